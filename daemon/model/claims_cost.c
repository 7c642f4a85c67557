/* Findings about what a datum costs: against parameters, data, depth, working set. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/claims_private.h"
#include "daemon/model/stats.h"

#define GROUPS_LEAST 5
#define BIG_CPU      (INT64_C(1) << 21) /* where the study calls a network large */
#define BIG_GPU      (INT64_C(1) << 20)
#define BIG_SHALLOW  (INT64_C(1) << 22)

enum along { ALONG_PARAMS, ALONG_F, ALONG_ROWS, ALONG_DEPTH };

static double value_of(const struct point *p, enum along a)
{
    switch (a) {
    case ALONG_PARAMS:
        return p->run->net.params > 0 ? (double)p->run->net.params : (double)p->run->size;
    case ALONG_F:
        return p->f;
    case ALONG_ROWS:
        return (double)p->run->rows_train;
    case ALONG_DEPTH:
        return p->run->net.depth;
    }
    return NAN;
}

/* Which points, and against what: those with from <= value of `by` < to. */
struct cut {
    enum along along;
    unsigned keys; /* of the groups that each have a level of their own */
    enum along by;
    double from;
    double to;
};

static void slope_of(struct claims_figure *out, const struct points_set *s, const struct cut *c)
{
    struct claims_pairs p CLEANUP(claims_pairs_finip) = {0};
    size_t *group CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *group);
    claims_pairs_init(&p, s->n);
    (void)points_group(s, c->keys, group);
    for (size_t i = 0; i < s->n; i++) {
        double by = value_of(&s->at[i], c->by);
        double x = value_of(&s->at[i], c->along);
        if (!(by >= c->from && by < c->to) || !(x > 0))
            continue;
        double per = c->along == ALONG_ROWS ? x : 1; /* per epoch */
        claims_pairs_add(&p, c->along == ALONG_DEPTH ? x : log(x), log(s->at[i].cost * per),
                         group[i]);
    }
    claims_slope(out, &p);
}

/* ---- the common rule ----------------------------------------------------------------------------- */

enum shown { SHOWN_AS_IS, SHOWN_GROWTH, SHOWN_RATIO, SHOWN_DIP };

static double show(double v, enum shown how)
{
    switch (how) {
    case SHOWN_GROWTH:
        return expm1(v);
    case SHOWN_RATIO:
        return exp(v);
    case SHOWN_DIP:
        return -expm1(-v);
    case SHOWN_AS_IS:
        break;
    }
    return v;
}

/* The part of a rule that is not the effect itself. */
enum also { ALSO_HOLDS, ALSO_FAILS, ALSO_OPEN };

/* An effect above 0 whose size the study told: reproduced when the interval is above 0 and reaches a
 * quarter of it, not when it stays below that quarter, else these runs cannot tell. other: what is said
 * when the rest of the rule fails; more: what is added in any case. */
static void effect(struct claim *c, const struct claims_figure *f, double study, enum shown how,
                   enum also also, const char *other, const char *more)
{
    bool below = f->hi < study / 4;
    struct claims_figure as = {.value = show(f->value, how), .n = f->n};
    as.lo = show(f->lo, how);
    as.hi = show(f->hi, how);
    c->study_value = show(study, how);
    if (isnan(f->value) || isnan(f->lo)) {
        claims_untestable(c, "too few networks differ in what is compared%s", more);
    } else if (below) {
        claims_decide(c, &as, false, "less than a quarter of the study's effect%s", more);
    } else if (also == ALSO_FAILS) {
        claims_decide(c, &as, false, "%s%s", other, more);
    } else if (f->lo > 0 && also == ALSO_HOLDS) {
        claims_decide(c, &as, true, "the effect is there, in the study's order of magnitude%s",
                      more);
    } else {
        claims_decide(c, &as, false, "%s%s: more networks or repeats would decide",
                      f->lo > 0 ? other : "the interval covers both no effect and the study's",
                      more);
        c->verdict = CLAIM_UNTESTABLE;
    }
}

/* ---- rows 1, 2, 9, 10 ---------------------------------------------------------------------------- */

/* Growth on both sides of a boundary; text says which. */
static void kink(struct claim *c, const struct points_set *s, const struct cut *inside,
                 const struct cut *outside, double study, double flat)
{
    char more[160];
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(3 * sizeof *f);
    slope_of(&f[0], s, inside);
    slope_of(&f[1], s, outside);
    if (f[0].n < CLAIMS_LEAST || f[1].n < CLAIMS_LEAST) {
        claims_untestable(c,
                          "%zu networks inside of the boundary and %zu beyond it: at least %d on "
                          "both sides are needed",
                          f[0].n, f[1].n, CLAIMS_LEAST);
        return;
    }
    claims_minus(&f[2], &f[1], &f[0]);
    (void)snprintf(more, sizeof more, " (ln-slope %.2f inside, %.2f beyond; %zu and %zu networks)",
                   f[0].value, f[1].value, f[0].n, f[1].n);
    effect(c, &f[2], study, SHOWN_AS_IS, fabs(f[0].value) < flat ? ALSO_HOLDS : ALSO_FAILS,
           "there is no plateau inside of the boundary", more);
}

static const unsigned series = POINTS_DATASET | POINTS_SHAPE | POINTS_DEPTH;

void claims_flat_then_rises(struct claim *c, const struct claims_input *in)
{
    const struct points_set *s = claims_set(c, in, POINTS_GPU);
    if (!s)
        return;
    bool known = s->caches.n > 1;
    enum along by = known ? ALONG_F : ALONG_PARAMS;
    double at = known ? points_boundary(&s->caches, s->caches.n - 2) : (double)BIG_GPU;
    struct cut inside = {ALONG_PARAMS, series, by, 0, at};
    struct cut outside = {ALONG_PARAMS, series, by, at, INFINITY};
    kink(c, s, &inside, &outside, 0.53, 0.1);
}

void claims_rises(struct claim *c, const struct claims_input *in)
{
    const struct points_set *s = claims_set(c, in, POINTS_CPU);
    if (!s)
        return;
    double lo = INFINITY;
    double hi = 0;
    for (size_t i = 0; i < s->n; i++) {
        lo = fmin(lo, value_of(&s->at[i], ALONG_PARAMS));
        hi = fmax(hi, value_of(&s->at[i], ALONG_PARAMS));
    }
    if (hi < lo * CLAIMS_SPAN) {
        claims_untestable(c, "the sizes span a factor of %.3g; at least %d is needed", hi / lo,
                          CLAIMS_SPAN);
        return;
    }
    double mid = sqrt(lo * hi);
    struct cut all = {ALONG_PARAMS, series, ALONG_PARAMS, 0, INFINITY};
    struct cut small = {ALONG_PARAMS, series, ALONG_PARAMS, 0, mid};
    struct cut large = {ALONG_PARAMS, series, ALONG_PARAMS, mid, INFINITY};
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(3 * sizeof *f);
    slope_of(&f[0], s, &all);
    slope_of(&f[1], s, &small);
    slope_of(&f[2], s, &large);
    char more[160];
    (void)snprintf(more, sizeof more,
                   " (ln-slope %.2f in the smaller half of the sizes, %.2f in the larger)",
                   f[1].value, f[2].value);
    if (isnan(f[1].lo) || isnan(f[2].lo))
        claims_untestable(c, "too few sizes in one half of the range");
    else
        effect(c, &f[0], 0.207, SHOWN_AS_IS,
               f[1].lo > 0 && f[2].lo > 0   ? ALSO_HOLDS
               : f[1].hi < 0 || f[2].hi < 0 ? ALSO_FAILS
                                            : ALSO_OPEN,
               "in one half of the sizes no rise is seen", more);
}

void claims_f_cpu(struct claim *c, const struct claims_input *in)
{
    const struct points_set *s = claims_set(c, in, POINTS_CPU);
    if (!s)
        return;
    if (s->caches.n < 3) {
        claims_untestable(c,
                          "the caches of the machine that ran these networks are not known here");
        return;
    }
    double l1 = points_boundary(&s->caches, 0);
    struct cut inside = {ALONG_F, series, ALONG_F, 0, l1};
    struct cut outside = {ALONG_F, series, ALONG_F, l1, points_boundary(&s->caches, 1)};
    kink(c, s, &inside, &outside, 0.26, 0.3);
}

void claims_f_gpu(struct claim *c, const struct claims_input *in)
{
    const struct points_set *s = claims_set(c, in, POINTS_GPU);
    if (!s)
        return;
    if (s->caches.n < 2) {
        claims_untestable(c, "the caches of this card are not known here");
        return;
    }
    double last = points_boundary(&s->caches, s->caches.n - 2);
    struct cut inside = {ALONG_F, series, ALONG_F, 0, last};
    struct cut outside = {ALONG_F, series, ALONG_F, last, INFINITY};
    kink(c, s, &inside, &outside, 0.43, 0.2);
}

/* ---- row 3 --------------------------------------------------------------------------------------- */

/* CPU over GPU for networks that both ran; x = log2(parameters asked for), y = ln of the ratio. */
static void pair_up(struct claims_pairs *p, const struct points_set *cpu,
                    const struct points_set *gpu, bool joules)
{
    const unsigned all = series | POINTS_SIZE;
    for (size_t i = 0, k = 0; i < cpu->n && k < gpu->n;) {
        const struct point *a = &cpu->at[i];
        const struct point *b = &gpu->at[k];
        int rc = points_compare(a, b, all);
        if (rc == 0)
            claims_pairs_add(p, log2((double)a->run->size), log(joules ? a->j / b->j : a->s / b->s),
                             0);
        i += rc <= 0;
        k += rc >= 0;
    }
}

static double crossing(const struct claims_pairs *p, double slope)
{
    double x = stats_mean(p->x, p->n);
    double y = stats_mean(p->y, p->n);
    return x - y / slope;
}

void claims_crossover(struct claim *c, const struct claims_input *in)
{
    const struct points_set *cpu = claims_set(c, in, POINTS_CPU);
    const struct points_set *gpu = cpu ? claims_set(c, in, POINTS_GPU) : NULL;
    if (!gpu)
        return;
    bool joules =
        cpu->joules && gpu->joules && strcmp(cpu->at[0].run->scope, gpu->at[0].run->scope) == 0;
    struct claims_pairs p CLEANUP(claims_pairs_finip) = {0};
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    claims_pairs_init(&p, cpu->n);
    pair_up(&p, cpu, gpu, joules);
    c->time = !joules;
    c->study_value = exp2(17.5);
    if (p.n < CLAIMS_LEAST) {
        claims_untestable(c, "%zu networks were trained on both; at least %d are needed", p.n,
                          CLAIMS_LEAST);
        return;
    }
    claims_slope(f, &p);
    double at = crossing(&p, f->value);
    double lo = INFINITY;
    double hi = 0;
    for (size_t i = 0; i < p.n; i++) {
        lo = fmin(lo, p.x[i]);
        hi = fmax(hi, p.x[i]);
    }
    struct claims_figure as = {.value = exp2(at), .n = p.n, .lo = NAN, .hi = NAN};
    if (f->lo > 0) { /* a steeper line crosses nearer to the middle of the sizes */
        double a = crossing(&p, f->lo);
        double b = crossing(&p, f->hi);
        as.lo = exp2(fmin(a, b));
        as.hi = exp2(fmax(a, b));
    }
    bool inside = f->lo > 0 && at > lo && at < hi;
    if (!inside)
        as.value = NAN;
    claims_decide(
        c, &as, inside, "%s%s",
        inside      ? "the CPU is cheaper for small networks, the GPU for large ones"
        : f->lo > 0 ? "the two do not cross within the sizes that were run"
                    : "the ratio does not rise with size",
        joules ? ""
               : "; by time, because their joules do not cover the same parts or are not measured");
}

/* ---- row 4 --------------------------------------------------------------------------------------- */

/* Neighbouring sizes of one series, from `least` parameters on: elasticity and cost per parameter. */
static size_t neighbours(const struct points_set *s, int64_t least, double *elastic,
                         double *marginal)
{
    size_t n = 0;
    for (size_t i = 1; i < s->n; i++) {
        const struct point *a = &s->at[i - 1];
        const struct point *b = &s->at[i];
        double pa = value_of(a, ALONG_PARAMS);
        double pb = value_of(b, ALONG_PARAMS);
        if (points_compare(a, b, series) != 0 || a->run->size < least || !(pb > pa * 1.2))
            continue;
        elastic[n] = log(b->cost / a->cost) / log(pb / pa);
        marginal[n] = (b->cost - a->cost) / (pb - pa);
        n++;
    }
    return n;
}

static void large(struct claim *c, const struct claims_input *in, enum points_class k,
                  int64_t least, double study)
{
    const struct points_set *s = claims_set(c, in, k);
    if (!s)
        return;
    double *elastic CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *elastic);
    double *marginal CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *marginal);
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    size_t n = neighbours(s, least, elastic, marginal);
    c->study_value = study;
    if (n < GROUPS_LEAST) {
        claims_untestable(c,
                          "%zu pairs of neighbouring sizes from 2^%.0f parameters on; at least %d "
                          "are needed",
                          n, log2((double)least), GROUPS_LEAST);
        return;
    }
    claims_median(f, elastic, n);
    double per = stats_median(marginal, n);
    const char *scope = s->joules ? s->at[0].run->scope : "";
    bool overlaps = f->lo <= study * 1.5 && f->hi >= study * 0.5;
    claims_decide(c, f, overlaps && f->lo > 0,
                  "the marginal cost is %.2g %s per parameter%s%s%s; the study's joules are those "
                  "of a whole node",
                  per, s->cost, *scope ? " (meter: " : "", scope, *scope ? ")" : "");
}

void claims_large_cpu(struct claim *c, const struct claims_input *in)
{
    large(c, in, POINTS_CPU, BIG_CPU, 0.58);
}

void claims_large_gpu(struct claim *c, const struct claims_input *in)
{
    large(c, in, POINTS_GPU, BIG_GPU, 0.48);
}

/* ---- row 5 --------------------------------------------------------------------------------------- */

static void data(struct claim *c, const struct claims_input *in, enum points_class k)
{
    const struct points_set *s = claims_set(c, in, k);
    if (!s)
        return;
    double lo = INFINITY;
    double hi = 0;
    size_t *group CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *group);
    size_t datasets = points_group(s, POINTS_DATASET, group);
    for (size_t i = 0; i < s->n; i++) {
        lo = fmin(lo, value_of(&s->at[i], ALONG_ROWS));
        hi = fmax(hi, value_of(&s->at[i], ALONG_ROWS));
    }
    if (datasets < 3 || hi < 4 * lo) {
        claims_untestable(c,
                          "%zu data sets whose rows span a factor of %.2g; at least 3 and a factor "
                          "of 4 are needed",
                          datasets, hi / lo);
        return;
    }
    struct cut cut = {ALONG_ROWS, POINTS_SHAPE | POINTS_DEPTH | POINTS_SIZE, ALONG_ROWS, 0,
                      INFINITY};
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    slope_of(f, s, &cut);
    c->study_value = 1.02;
    bool inside = f->lo >= 0.8 && f->hi <= 1.2;
    if (isnan(f->lo)) {
        claims_untestable(
            c, "no network of one shape, depth and size was trained on several data sets");
        return;
    }
    bool open = !inside && f->lo <= 1.1 && f->hi >= 0.9;
    claims_decide(
        c, f, inside,
        "an epoch over k times the rows costs k^%.2f times as much, at equal shape, depth "
        "and size, over %zu data sets%s",
        f->value, datasets,
        open ? "; the interval is too wide to tell: more networks would decide" : "");
    if (open)
        c->verdict = CLAIM_UNTESTABLE;
}

void claims_data_cpu(struct claim *c, const struct claims_input *in)
{
    data(c, in, POINTS_CPU);
}

void claims_data_gpu(struct claim *c, const struct claims_input *in)
{
    data(c, in, POINTS_GPU);
}

/* ---- rows 6, 7, 8 -------------------------------------------------------------------------------- */

static void depth(struct claim *c, const struct claims_input *in, enum points_class k, double study)
{
    const struct points_set *s = claims_set(c, in, k);
    if (!s)
        return;
    struct cut cut = {ALONG_DEPTH, POINTS_DATASET | POINTS_SHAPE | POINTS_SIZE, ALONG_DEPTH, 0,
                      INFINITY};
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    slope_of(f, s, &cut);
    if (isnan(f->lo)) {
        c->study_value = expm1(study);
        claims_untestable(c, "no data set, shape and size was run at several depths");
    } else {
        effect(c, f, study, SHOWN_GROWTH, ALSO_HOLDS, "", "");
    }
}

void claims_depth_cpu(struct claim *c, const struct claims_input *in)
{
    depth(c, in, POINTS_CPU, log(16.5 / 4.3) / 18);
}

void claims_depth_gpu(struct claim *c, const struct claims_input *in)
{
    depth(c, in, POINTS_GPU, log(13.5 / 10.0) / 18);
}

/* Median cost over the points that agree with p in keys and have a depth from lo to hi; NAN = none. */
static double cost_at(const struct points_set *s, const struct point *p, unsigned keys, int lo,
                      int hi)
{
    double *v CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        int d = s->at[i].run->net.depth;
        if (d >= lo && d <= hi && points_compare(&s->at[i], p, keys) == 0)
            v[n++] = s->at[i].cost;
    }
    return stats_median(v, n);
}

void claims_wide_shallow(struct claim *c, const struct claims_input *in)
{
    const struct points_set *s = claims_set(c, in, POINTS_CPU);
    if (!s)
        return;
    double *v CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *v);
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct point *p = &s->at[i];
        if (p->run->net.depth != 2 || p->run->size < BIG_SHALLOW)
            continue;
        double deeper = cost_at(s, p, POINTS_DATASET | POINTS_SIZE, 3, 5);
        if (!isnan(deeper))
            v[n++] = log(p->cost / deeper);
    }
    c->study_value = 120.0 / 38;
    if (n < GROUPS_LEAST) {
        claims_untestable(c,
                          "%zu networks of depth 2 with 2^22 parameters or more stand beside ones "
                          "of depth 3 to 5; at least %d are needed",
                          n, GROUPS_LEAST);
        return;
    }
    claims_median(f, v, n);
    effect(c, f, log(120.0 / 38), SHOWN_RATIO, ALSO_HOLDS, "", "");
}

void claims_dip(struct claim *c, const struct claims_input *in)
{
    const unsigned keys = POINTS_DATASET | POINTS_SHAPE | POINTS_SIZE;
    const struct points_set *s = claims_set(c, in, POINTS_CPU);
    if (!s)
        return;
    double *v CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *v);
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct point *p = &s->at[i];
        if (p->run->net.depth != 6)
            continue;
        double both = sqrt(cost_at(s, p, keys, 5, 5) * cost_at(s, p, keys, 7, 7));
        if (!isnan(both))
            v[n++] = log(both / p->cost);
    }
    c->study_value = 1 - 4.3 / sqrt(5.7 * 7.2);
    if (n < GROUPS_LEAST) {
        claims_untestable(c,
                          "%zu data sets, shapes and sizes were run at depths 5, 6 and 7; at least "
                          "%d are needed",
                          n, GROUPS_LEAST);
        return;
    }
    claims_median(f, v, n);
    effect(c, f, -log(4.3 / sqrt(5.7 * 7.2)), SHOWN_DIP, ALSO_HOLDS, "",
           "; the study itself takes its dip for an artefact");
}
