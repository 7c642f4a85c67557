#include "client/advise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/model_load.h"
#include "common/suggest.h"
#include "daemon/model/qc.h"
#include "daemon/model/stats.h"
#include "daemon/model/workset.h"

const struct study_run *advise_run(const struct advise_group *g, int net)
{
    return &g->runs[g->iso.config[g->nets[net].config].first];
}

const char *advise_home(const struct advise *a, const struct study_run *r, bool training)
{
    if (a->caches.n == 0 || r->origin != 0 || r->gpu || r->net.inputs < 1 || r->net.widths[0] < 1)
        return "-";
    const struct caches_level *l =
        workset_home(&r->net, training ? WORKSET_B : WORKSET_F, r->threads, &a->caches);
    return l ? l->name : "-";
}

/* ---- groups --------------------------------------------------------------------------------------- */

static struct advise_group *group_of(struct advise *a, const struct study_run *r, size_t most)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->group[i].runs[0].hardware, r->hardware) == 0)
            return &a->group[i];
    struct advise_group *p = realloc(a->group, (a->n + 1) * sizeof *p);
    if (!p)
        abort();
    a->group = p;
    struct advise_group *g = &p[a->n++];
    *g = (struct advise_group){.best = -1, .smaller = -1, .larger = -1};
    g->runs = base_alloc(most * sizeof *g->runs);
    g->curves = base_alloc(most * sizeof *g->curves);
    return g;
}

static int none_of_it(const struct study *s, const char *dataset, struct err *e)
{
    struct suggest g;
    suggest_init(&g, dataset);
    for (size_t i = 0; i < s->n; i++)
        if (!s->runs[i].standin)
            suggest_offer(&g, s->runs[i].dataset);
    err_set(e, WATTQ_E_NOT_FOUND, "no finished run was trained on a data set '%.60s'", dataset);
    if (g.best)
        return err_next(e, "did you mean --dataset %s?", g.best);
    return err_next(e,
                    "queue some: wattq sweep train --dataset %.40s --shape rectangle --depth 3 "
                    "--size 2^8..2^16",
                    dataset);
}

static int only_standins(const char *dataset, struct err *e)
{
    err_set(e, WATTQ_E_INVALID,
            "every run on '%.60s' used its stand-in: generated rows of the same shape, whose loss "
            "says nothing about the real data, so no network can be advised by it",
            dataset);
    return err_next(e,
                    "train on the real file: wattq sweep train --dataset %.40s --data-dir DIR ...; "
                    "what networks cost: wattq finding, wattq predict",
                    dataset);
}

static int split(struct advise *a, const struct study *s, const struct study_loss *loss,
                 const char *backend, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct study_run *r = &s->runs[i];
        if (strcmp(r->dataset, a->dataset) != 0 ||
            (backend && !model_backend_is(r->backend, backend)))
            continue;
        a->standins += r->standin;
        if (r->standin)
            continue;
        struct advise_group *g = group_of(a, r, s->n);
        g->curves[g->n] = loss->curves[i];
        g->runs[g->n++] = *r;
    }
    if (a->n > 0)
        return 0;
    return a->standins > 0 ? only_standins(a->dataset, e) : none_of_it(s, a->dataset, e);
}

/* ---- energy or time ------------------------------------------------------------------------------- */

/* What keeps most joules out. */
static const char *commonest(const struct advise_group *g, uint32_t bits)
{
    unsigned best = STUDY_X_NO_ENERGY;
    size_t most = 0;
    for (unsigned x = 0; x < STUDY_X_COUNT; x++) {
        size_t n = qc_count(g->runs, g->n, (UINT32_C(1) << x) & bits);
        best = n > most ? x : best;
        most = n > most ? n : most;
    }
    return study_exclusion_text((enum study_exclusion)best);
}

/* By energy where at least half of the runs that may be compared have joules that hold for them. */
static void choose_quantity(struct advise_group *g)
{
    size_t timed = g->n - qc_count(g->runs, g->n, STUDY_X_TIME);
    size_t metered = g->n - qc_count(g->runs, g->n, STUDY_X_JOULES);
    g->by = 2 * metered >= timed && metered > 0 ? ISOLOSS_ENERGY : ISOLOSS_TIME;
    if (g->by == ISOLOSS_TIME)
        (void)snprintf(
            g->why_time, sizeof g->why_time,
            "%zu of %zu runs have no joules that hold for them, most of them because: %s",
            g->n - metered, g->n, commonest(g, STUDY_X_JOULES & ~STUDY_X_TIME));
}

static uint32_t without(const struct advise_group *g)
{
    return g->by == ISOLOSS_ENERGY ? STUDY_X_JOULES : STUDY_X_TIME;
}

static void count_excluded(struct advise_group *g)
{
    for (unsigned x = 0; x < STUDY_X_COUNT; x++)
        g->excluded[x] = qc_count(g->runs, g->n, (UINT32_C(1) << x) & without(g));
    g->used = g->n - qc_count(g->runs, g->n, without(g));
}

/* ---- networks ------------------------------------------------------------------------------------- */

static int compare_runs(const struct study_run *a, const struct study_run *b)
{
    int c = strcmp(a->shape, b->shape);
    if (c == 0)
        c = a->net.depth - b->net.depth;
    if (c == 0)
        c = (a->size > b->size) - (a->size < b->size);
    return c;
}

/* Few enough that insertion does. */
static void sort_nets(struct advise_group *g)
{
    g->nets = base_alloc((g->iso.n + 1) * sizeof *g->nets);
    for (size_t i = 0; i < g->iso.n; i++) {
        size_t at = i;
        const struct study_run *r = &g->runs[g->iso.config[i].first];
        while (at > 0 && compare_runs(advise_run(g, (int)at - 1), r) > 0) {
            g->nets[at] = g->nets[at - 1];
            at--;
        }
        g->nets[at] = (struct advise_net){.config = i};
    }
}

/* The loss that half of the networks reach. */
static double common_loss(const struct advise_group *g)
{
    double *x CLEANUP(base_freep) = base_alloc((g->iso.n + 1) * sizeof *x);
    for (size_t i = 0; i < g->iso.n; i++)
        x[i] = g->iso.config[i].x_lo;
    return exp(stats_median(x, g->iso.n));
}

static void price(struct advise_group *g)
{
    for (size_t i = 0; i < g->iso.n; i++) {
        struct advise_net *n = &g->nets[i];
        int rc = isoloss_reach(&g->iso.config[n->config], log(g->loss), &n->cost);
        double cost = isoloss_cost_of(&n->cost, g->by);
        n->reaches = rc >= 0 && isfinite(cost);
        n->at_once = rc > 0;
        g->reached += n->reaches;
        if (n->reaches && (g->best < 0 || cost < isoloss_cost_of(&g->nets[g->best].cost, g->by)))
            g->best = (int)i;
    }
}

static bool beside(const struct advise_group *g, int i)
{
    const struct study_run *a = advise_run(g, g->best);
    return i >= 0 && i < (int)g->iso.n && strcmp(advise_run(g, i)->shape, a->shape) == 0 &&
           advise_run(g, i)->net.depth == a->net.depth;
}

static void find_neighbours(struct advise_group *g)
{
    if (g->best < 0)
        return;
    g->smaller = beside(g, g->best - 1) ? g->best - 1 : -1;
    g->larger = beside(g, g->best + 1) ? g->best + 1 : -1;
}

/* ---- what is missing ------------------------------------------------------------------------------ */

static void put_command(struct advise_group *g, const struct study_run *r, int64_t from, int64_t to,
                        double epochs)
{
    (void)snprintf(g->command, sizeof g->command,
                   "wattq sweep train --dataset %s --shape %s --depth %d --size %lld,%lld "
                   "--epochs %.0f",
                   r->dataset, r->shape, r->net.depth, (long long)from, (long long)to, epochs);
}

static double most_epochs(const struct advise_group *g)
{
    double most = 1;
    for (size_t i = 0; i < g->n; i++)
        most = fmax(most, g->runs[i].epochs);
    return most;
}

/* The network that came nearest. */
static const struct study_run *nearest(const struct advise_group *g)
{
    size_t best = 0;
    for (size_t i = 1; i < g->iso.n; i++)
        if (g->iso.config[i].x_lo < g->iso.config[best].x_lo)
            best = i;
    return &g->runs[g->iso.config[best].first];
}

static void find_missing(struct advise_group *g)
{
    const struct study_run *r = g->iso.n == 0 ? &g->runs[0]
                                : g->best < 0 ? nearest(g)
                                              : advise_run(g, g->best);
    double epochs = most_epochs(g);
    if (g->iso.n == 0) {
        base_strcpy(g->missing, sizeof g->missing, "none of these runs can be compared");
        put_command(g, r, r->size, r->size * 2, epochs);
    } else if (g->best < 0) {
        base_strcpy(g->missing, sizeof g->missing,
                    "no network got there; train the best one longer, and a larger one");
        put_command(g, r, r->size, r->size * 2, 4 * epochs);
    } else if (g->larger < 0) {
        base_strcpy(g->missing, sizeof g->missing,
                    "2 more networks: the cheapest one is the largest of its shape and depth");
        put_command(g, r, r->size * 2, r->size * 4, epochs);
    } else if (g->smaller < 0 && r->size >= 64) {
        base_strcpy(g->missing, sizeof g->missing,
                    "2 more networks: the cheapest one is the smallest of its shape and depth");
        put_command(g, r, r->size / 4, r->size / 2, epochs);
    } else if (g->reached < ADVISE_NETWORKS) {
        (void)snprintf(g->missing, sizeof g->missing,
                       "%zu more that get there: only %zu do; train them longer",
                       ADVISE_NETWORKS - g->reached, g->reached);
        put_command(g, r, advise_run(g, g->smaller >= 0 ? g->smaller : g->best)->size,
                    advise_run(g, g->larger)->size, 4 * epochs);
    } else {
        g->enough = true;
    }
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static void make_group(struct advise_group *g, const struct advise *a)
{
    static const struct caches none = {0};
    bool here = g->runs[0].origin == 0 && !g->runs[0].gpu;
    choose_quantity(g);
    count_excluded(g);
    isoloss_make(&g->iso, g->runs, g->curves, g->n, without(g), here ? &a->caches : &none);
    sort_nets(g);
    g->loss = isnan(a->asked) && g->iso.n > 0 ? common_loss(g) : a->asked;
    g->nfrontier = isoloss_frontier(g->frontier, ARRAY_LEN(g->frontier), &g->iso, g->by);
    g->nseries = isoloss_series(&g->series, &g->iso, g->runs, g->by);
    price(g);
    find_neighbours(g);
    find_missing(g);
}

int advise_make(struct advise *out, const struct study *s, const struct study_loss *loss,
                const char *dataset, const char *backend, double asked, struct err *e)
{
    *out = (struct advise){.asked = asked, .caches = s->caches};
    base_strcpy(out->dataset, sizeof out->dataset, dataset);
    int rc = split(out, s, loss, backend, e);
    for (size_t i = 0; rc == 0 && i < out->n; i++)
        make_group(&out->group[i], out);
    if (rc < 0)
        advise_fini(out);
    return rc;
}

void advise_fini(struct advise *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct advise_group *g = &a->group[i];
        isoloss_series_free(g->series, g->nseries);
        isoloss_fini(&g->iso);
        free(g->nets);
        free(g->runs);
        free(g->curves);
    }
    free(a->group);
    *a = (struct advise){0};
}
