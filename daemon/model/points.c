#include "daemon/model/points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/opcount.h"
#include "daemon/model/stats.h"
#include "daemon/model/workset.h"

/* ---- settings ------------------------------------------------------------------------------------ */

static bool has_time(const struct study_run *r)
{
    return (r->excluded & STUDY_X_TIME) == 0 && r->role == STUDY_NETWORK && study_datum_s(r) > 0;
}

static bool has_joules(const struct study_run *r)
{
    return has_time(r) && (r->excluded & STUDY_X_JOULES) == 0 && study_datum_j(r) > 0 &&
           (r->quality == STUDY_MEASURED || r->quality == STUDY_MODELLED);
}

bool points_same_setting(const struct study_run *a, const struct study_run *b)
{
    return a->gpu == b->gpu && a->threads == b->threads && a->batch == b->batch &&
           a->number_bytes == b->number_bytes && strcmp(a->machine, b->machine) == 0 &&
           strcmp(a->backend, b->backend) == 0;
}

/* The run that stands for the setting most runs of that class have. */
static const struct study_run *main_setting(const struct study_run *runs, size_t n, bool gpu)
{
    const struct study_run *best = NULL;
    size_t most = 0;
    bool *seen CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *seen);
    for (size_t i = 0; i < n; i++) {
        if (seen[i] || runs[i].gpu != gpu || !has_time(&runs[i]))
            continue;
        size_t like = 0;
        for (size_t k = i; k < n; k++)
            if (!seen[k] && has_time(&runs[k]) && points_same_setting(&runs[i], &runs[k])) {
                seen[k] = true;
                like++;
            }
        if (like > most) {
            most = like;
            best = &runs[i];
        }
    }
    return best;
}

/* The scope most of the measured joules of that setting have; NULL = there are none. */
static const char *main_scope(const struct study_run *runs, size_t n, const struct study_run *set)
{
    const char *best = NULL;
    size_t most = 0;
    bool *seen CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *seen);
    for (size_t i = 0; i < n; i++) {
        size_t like = 0;
        for (size_t k = i; k < n && !seen[i]; k++)
            if (!seen[k] && has_joules(&runs[k]) && points_same_setting(&runs[k], set) &&
                strcmp(runs[i].scope, runs[k].scope) == 0) {
                seen[k] = true;
                like++;
            }
        if (like > most) {
            most = like;
            best = runs[i].scope;
        }
    }
    return best;
}

/* ---- configurations ------------------------------------------------------------------------------ */

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int points_compare(const struct point *a, const struct point *b, unsigned keys)
{
    int rc = keys & POINTS_DATASET ? strcmp(a->run->dataset, b->run->dataset) : 0;
    if (rc == 0 && keys & POINTS_SHAPE)
        rc = strcmp(a->run->shape, b->run->shape);
    if (rc == 0 && keys & POINTS_DEPTH)
        rc = compare_int(a->run->net.depth, b->run->net.depth);
    if (rc == 0 && keys & POINTS_SIZE)
        rc = compare_int(a->run->size, b->run->size);
    return rc;
}

static int compare_all(const void *va, const void *vb)
{
    const struct point *a = va;
    const struct point *b = vb;
    int rc = points_compare(a, b, POINTS_DATASET | POINTS_SHAPE | POINTS_DEPTH | POINTS_SIZE);
    return rc ? rc : compare_int(a->run->run, b->run->run);
}

static double median_of(const struct point *p, size_t n, size_t offset)
{
    double *v CLEANUP(base_freep) = base_alloc(n * sizeof *v);
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const char *)&p[i] + offset, sizeof x);
        if (isfinite(x))
            v[m++] = x;
    }
    return stats_median(v, m);
}

static double forward_set(const struct study_run *r, const struct caches *c)
{
    struct workset ws;
    struct workset_case k = {.net = &r->net, .batch = r->batch, .number_bytes = r->number_bytes};
    if (c->n == 0 || r->net.depth < 1 || r->batch < 1 || r->number_bytes < 1)
        return NAN;
    workset_compute(&ws, &k, c);
    return ws.place[WORKSET_F].index < 0 ? (double)NAN : (double)ws.place[WORKSET_F].occupied;
}

static double operations(const struct study_run *r)
{
    struct opcount o;
    struct opcount_case k = {.net = &r->net,
                             .rows_train = r->rows_train,
                             .rows_test = r->rows_test,
                             .batch = (double)r->batch};
    if (r->net.depth < 1 || r->batch < 1)
        return NAN;
    opcount_compute(&o, &k);
    return o.datum;
}

/* Runs of one configuration become its first entry. */
static void merge(struct points_set *s)
{
    const unsigned all = POINTS_DATASET | POINTS_SHAPE | POINTS_DEPTH | POINTS_SIZE;
    size_t kept = 0;
    if (s->n > 0)
        qsort(s->at, s->n, sizeof *s->at, compare_all);
    for (size_t i = 0, end; i < s->n; i = end) {
        for (end = i + 1; end < s->n && points_compare(&s->at[i], &s->at[end], all) == 0;)
            end++;
        struct point p = s->at[i];
        p.repeats = end - i;
        p.s = median_of(s->at + i, end - i, offsetof(struct point, s));
        p.j = median_of(s->at + i, end - i, offsetof(struct point, j));
        p.est_j =
            isnan(p.j) ? median_of(s->at + i, end - i, offsetof(struct point, est_j)) : (double)NAN;
        p.f = forward_set(p.run, &s->caches);
        p.ops = operations(p.run);
        s->at[kept++] = p;
    }
    s->n = kept;
}

/* Joules or seconds for all of them; a point without the joules that the others have is left out. */
static void judge(struct points_set *s)
{
    size_t with = 0;
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        with += isnan(s->at[i].j) ? 0 : 1;
        s->estimated += isnan(s->at[i].est_j) ? 0 : 1;
    }
    s->joules = s->n > 0 && with * 2 >= s->n;
    s->cost = s->joules ? "J/datum" : "s/datum";
    for (size_t i = 0; i < s->n; i++) {
        struct point p = s->at[i];
        p.cost = s->joules ? p.j : p.s;
        if (!isnan(p.cost))
            s->at[kept++] = p;
    }
    s->n = kept;
}

static void make_set(struct points_set *s, const struct study_run *runs, size_t n, bool gpu,
                     const struct caches *caches, const char *host)
{
    s->setting = main_setting(runs, n, gpu);
    s->cost = "s/datum";
    if (!s->setting)
        return;
    if (caches && (!host || strcmp(host, s->setting->machine) == 0)) {
        if (gpu)
            s->caches = *caches;
        else
            caches_use(&s->caches, caches, s->setting->threads);
    }
    const char *scope = main_scope(runs, n, s->setting);
    s->at = base_alloc((n + 1) * sizeof *s->at);
    for (size_t i = 0; i < n; i++) {
        const struct study_run *r = &runs[i];
        if (r->gpu != gpu || !has_time(r))
            continue;
        if (!points_same_setting(r, s->setting)) {
            s->other++;
            continue;
        }
        bool joules = has_joules(r) && scope && strcmp(scope, r->scope) == 0;
        bool guess = r->quality == STUDY_ESTIMATED;
        s->at[s->n++] = (struct point){.run = r,
                                       .s = study_datum_s(r),
                                       .j = joules ? study_datum_j(r) : (double)NAN,
                                       .est_j = guess ? study_datum_j(r) : (double)NAN};
    }
    merge(s);
    judge(s);
}

void points_make(struct points *out, const struct study_run *runs, size_t n,
                 const struct caches *cpu, const struct caches *gpu, const char *host)
{
    *out = (struct points){0};
    make_set(&out->set[POINTS_CPU], runs, n, false, cpu, host);
    make_set(&out->set[POINTS_GPU], runs, n, true, gpu, host);
}

void points_free(struct points *p)
{
    for (size_t i = 0; i < POINTS_CLASSES; i++)
        free(p->set[i].at);
    *p = (struct points){0};
}

double points_boundary(const struct caches *c, size_t level)
{
    double sum = 0;
    for (size_t i = 0; i <= level && i < c->n; i++)
        sum += (double)c->level[i].bytes;
    return sum;
}

/* ---- groups -------------------------------------------------------------------------------------- */

struct keyed {
    const struct point *p;
    unsigned keys;
    size_t i;
};

static int compare_keyed(const void *va, const void *vb)
{
    const struct keyed *a = va;
    const struct keyed *b = vb;
    int rc = points_compare(a->p, b->p, a->keys);
    return rc ? rc : compare_int((int64_t)a->i, (int64_t)b->i);
}

size_t points_group(const struct points_set *s, unsigned keys, size_t *group)
{
    struct keyed *k CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *k);
    size_t groups = 0;
    for (size_t i = 0; i < s->n; i++)
        k[i] = (struct keyed){&s->at[i], keys, i};
    if (s->n > 0)
        qsort(k, s->n, sizeof *k, compare_keyed);
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0 && points_compare(k[i - 1].p, k[i].p, keys) != 0)
            groups++;
        group[k[i].i] = groups;
    }
    return s->n > 0 ? groups + 1 : 0;
}
