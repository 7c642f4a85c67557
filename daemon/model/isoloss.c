#include "daemon/model/isoloss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "daemon/model/qc.h"
#include "daemon/model/stats.h"
#include "daemon/model/workset.h"

double isoloss_cost_of(const struct isoloss_cost *c, enum isoloss_quantity q)
{
    return q == ISOLOSS_ENERGY ? c->energy_j : c->time_s;
}

static const struct isoloss_cost no_cost = {NAN, NAN, NAN};

/* ---- medians over repeats ------------------------------------------------------------------------- */

static double between(double a, double b, double share)
{
    return a + share * (b - a);
}

/* A run's best loss and cost at an epoch: loss steps down, cost goes up in between. false = before or after
 * what is known of it. */
static bool at_epoch(struct isoloss_point *out, const struct isoloss_curve *c, double epoch)
{
    size_t i = 0;
    while (i + 1 < c->n && c->at[i + 1].epoch <= epoch)
        i++;
    if (c->n == 0 || c->at[0].epoch > epoch || (i + 1 == c->n && c->at[i].epoch < epoch))
        return false;
    *out = c->at[i];
    if (i + 1 < c->n) {
        const struct isoloss_point *p = &c->at[i];
        const struct isoloss_point *q = &c->at[i + 1];
        double share = (epoch - p->epoch) / (q->epoch - p->epoch);
        out->energy_j = between(p->energy_j, q->energy_j, share);
        out->time_s = between(p->time_s, q->time_s, share);
    }
    out->epoch = epoch;
    return true;
}

struct members {
    const struct isoloss_curve **curve;
    size_t n;
    double *v; /* room for n values, three times */
};

/* false: not every repeat is known at that epoch. */
static bool median_at(struct isoloss_point *out, const struct members *m, double epoch)
{
    double *loss = m->v;
    double *energy = m->v + m->n;
    double *time = m->v + 2 * m->n;
    bool joules = true;
    for (size_t i = 0; i < m->n; i++) {
        struct isoloss_point p;
        if (!at_epoch(&p, m->curve[i], epoch))
            return false;
        loss[i] = p.loss;
        energy[i] = p.energy_j;
        time[i] = p.time_s;
        joules = joules && isfinite(p.energy_j);
    }
    *out = (struct isoloss_point){epoch, stats_median(loss, m->n),
                                  joules ? stats_median(energy, m->n) : (double)NAN,
                                  stats_median(time, m->n)};
    return true;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every epoch at which one of the repeats was looked at; new memory. */
static double *all_epochs(const struct members *m, size_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < m->n; i++)
        total += m->curve[i]->n;
    double *epochs = base_alloc((total + 1) * sizeof *epochs);
    size_t k = 0;
    for (size_t i = 0; i < m->n; i++)
        for (size_t p = 0; p < m->curve[i]->n; p++)
            epochs[k++] = m->curve[i]->at[p].epoch;
    qsort(epochs, total, sizeof *epochs, by_number);
    *n = 0;
    for (size_t i = 0; i < total; i++)
        if (*n == 0 || epochs[i] > epochs[*n - 1])
            epochs[(*n)++] = epochs[i];
    return epochs;
}

/* ---- a network's curve ---------------------------------------------------------------------------- */

struct merge {
    double *energy, *time, *epochs; /* of points with the same x */
    size_t n;
    size_t joules; /* of them with a known energy */
};

static void flush_merge(struct isoloss_config *c, struct merge *m, double x)
{
    if (m->n == 0)
        return;
    c->x[c->n] = x;
    c->cost[c->n++] =
        (struct isoloss_cost){stats_median(m->energy, m->joules), stats_median(m->time, m->n),
                              stats_median(m->epochs, m->n)};
    m->n = m->joules = 0;
}

/* x falls along the epochs; points with the same x become one. */
static void fill_curve(struct isoloss_config *c, const struct members *m)
{
    size_t n = 0;
    double *epochs CLEANUP(base_freep) = all_epochs(m, &n);
    double *room CLEANUP(base_freep) = base_alloc((3 * n + 1) * sizeof *room);
    struct merge merge = {room, room + n, room + 2 * n, 0, 0};
    double x = INFINITY;
    c->x = base_alloc((n + 1) * sizeof *c->x);
    c->cost = base_alloc((n + 1) * sizeof *c->cost);
    for (size_t i = 0; i < n; i++) {
        struct isoloss_point p;
        if (!median_at(&p, m, epochs[i]) || !(p.loss > 0) || !(p.time_s > 0))
            continue;
        if (log(p.loss) < x) {
            flush_merge(c, &merge, x);
            x = log(p.loss);
        }
        if (p.energy_j > 0)
            merge.energy[merge.joules++] = p.energy_j;
        merge.time[merge.n] = p.time_s;
        merge.epochs[merge.n++] = p.epoch;
    }
    flush_merge(c, &merge, x);
    c->x_hi = c->n > 0 ? c->x[0] : (double)NAN;
    c->x_lo = c->n > 0 ? c->x[c->n - 1] : (double)NAN;
}

static void fill_sets(struct isoloss_config *c, const struct study_run *r,
                      const struct caches *machine)
{
    struct caches used;
    struct workset ws;
    const struct workset_case what = {.net = &r->net,
                                      .rows = r->rows_train + r->rows_test,
                                      .features = r->raw_features,
                                      .targets = r->classes > 2 ? r->classes : 1,
                                      .batch = r->batch,
                                      .number_bytes = r->number_bytes};
    c->f_level = c->b_level = -1;
    c->f_bytes = c->b_bytes = NAN;
    if (machine->n == 0 || r->net.inputs < 1 || r->net.widths[0] < 1)
        return;
    if (r->gpu)
        used = *machine; /* a card's units all work on one network */
    else
        caches_use(&used, machine, r->threads);
    workset_compute(&ws, &what, &used);
    c->f_level = ws.place[WORKSET_F].index;
    c->b_level = ws.place[WORKSET_B].index;
    c->f_bytes = (double)ws.place[WORKSET_F].occupied;
    c->b_bytes = (double)ws.place[WORKSET_B].occupied;
}

/* ---- all networks --------------------------------------------------------------------------------- */

struct input {
    const struct study_run *runs;
    const struct isoloss_curve *curves;
    size_t n;
    const struct caches *machine;
    bool *taken;
};

static void add_config(struct isoloss *s, const struct input *in, size_t first)
{
    struct members m = {0};
    m.curve = base_alloc(in->n * sizeof(const struct isoloss_curve *));
    for (size_t k = first; k < in->n; k++) {
        if (in->taken[k] || !qc_same_network(&in->runs[first], &in->runs[k]))
            continue;
        in->taken[k] = true;
        m.curve[m.n++] = &in->curves[k];
        s->apportioned = s->apportioned || in->curves[k].apportioned;
    }
    m.v = base_alloc(3 * m.n * sizeof *m.v);
    struct isoloss_config *c = &s->config[s->n];
    *c = (struct isoloss_config){.first = first, .repeats = m.n};
    fill_curve(c, &m);
    fill_sets(c, &in->runs[first], in->machine);
    free(m.curve);
    free(m.v);
    if (c->n > 0) {
        s->n++;
        return;
    }
    free(c->x);
    free(c->cost);
}

static void fill_levels(struct isoloss *s)
{
    double lo = INFINITY;
    double hi = -INFINITY;
    for (size_t i = 0; i < s->n; i++) {
        lo = fmin(lo, s->config[i].x_lo);
        hi = fmax(hi, s->config[i].x_hi);
    }
    for (int k = 0; k < ISOLOSS_LEVELS; k++)
        s->level[k] = between(lo, hi, (double)k / (ISOLOSS_LEVELS - 1));
    s->level[ISOLOSS_LEVELS - 1] = hi;
}

void isoloss_make(struct isoloss *out, const struct study_run *runs,
                  const struct isoloss_curve *curves, size_t n, uint32_t without,
                  const struct caches *machine)
{
    bool *taken CLEANUP(base_freep) = base_alloc(n + 1);
    const struct input in = {runs, curves, n, machine, taken};
    *out = (struct isoloss){0};
    out->config = base_alloc((n + 1) * sizeof *out->config);
    for (size_t i = 0; i < n; i++)
        taken[i] = (runs[i].excluded & without) != 0 || curves[i].n == 0;
    for (size_t i = 0; i < n; i++)
        if (!taken[i])
            add_config(out, &in, i);
    if (out->n > 0)
        fill_levels(out);
}

void isoloss_fini(struct isoloss *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->config[i].x);
        free(s->config[i].cost);
    }
    free(s->config);
    *s = (struct isoloss){0};
}

/* ln y is linear in x between two points. */
static double log_between(double a, double b, double share)
{
    return exp(between(log(a), log(b), share));
}

int isoloss_reach(const struct isoloss_config *c, double x, struct isoloss_cost *out)
{
    *out = no_cost;
    if (c->n == 0 || x < c->x_lo)
        return -1;
    *out = c->cost[0];
    if (x >= c->x_hi)
        return x > c->x_hi;
    size_t i = 1;
    while (c->x[i] > x)
        i++;
    double share = (c->x[i - 1] - x) / (c->x[i - 1] - c->x[i]);
    *out = (struct isoloss_cost){
        log_between(c->cost[i - 1].energy_j, c->cost[i].energy_j, share),
        log_between(c->cost[i - 1].time_s, c->cost[i].time_s, share),
        log_between(c->cost[i - 1].epochs, c->cost[i].epochs, share),
    };
    return 0;
}

/* ---- frontier ------------------------------------------------------------------------------------- */

/* The cheapest way to a level; false = nobody gets there. A network that is better than the level from the
 * start on gets there with its first point. */
static bool cheapest(const struct isoloss *s, double x, enum isoloss_quantity q, size_t *best,
                     struct isoloss_cost *cost)
{
    bool any = false;
    for (size_t i = 0; i < s->n; i++) {
        struct isoloss_cost c;
        if (isoloss_reach(&s->config[i], x, &c) < 0 || !isfinite(isoloss_cost_of(&c, q)))
            continue;
        if (any && isoloss_cost_of(&c, q) >= isoloss_cost_of(cost, q))
            continue;
        any = true;
        *best = i;
        *cost = c;
    }
    return any;
}

size_t isoloss_frontier(struct isoloss_step *out, size_t cap, const struct isoloss *s,
                        enum isoloss_quantity q)
{
    size_t n = 0;
    for (int k = s->n > 0 ? ISOLOSS_LEVELS : 0; k-- > 0;) {
        size_t best = 0;
        struct isoloss_cost cost;
        double loss = exp(s->level[k]);
        if (!cheapest(s, s->level[k], q, &best, &cost))
            continue;
        if (n == 0 || out[n - 1].config != best) {
            if (n == cap)
                return n;
            out[n++] = (struct isoloss_step){best, loss, loss, cost, cost};
        }
        out[n - 1].loss_lo = loss;
        out[n - 1].cost_lo = cost;
    }
    return n;
}
