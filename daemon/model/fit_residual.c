/* What the form does not have: residuals that follow something. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/stats.h"

#define PERMUTATIONS 999
#define LEVEL        0.05
/* A pattern smaller than this does not spoil a prediction and is not worth a word. */
#define SMALL 0.002

static const char *const follows[] = {"size", "depth", "level", "data set", "shape"};

/* source: Steele, Lea and Flood 2014 (SplitMix64). */
uint64_t fit_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* The points that have a residual. */
struct set {
    double *r; /* residual, mean taken off */
    size_t *point;
    size_t *group;
    size_t n;
    size_t groups;
    double *sum; /* scratch, per group */
    double *count;
};

static size_t key_of(const struct fit_data *d, const struct fit_features *f, size_t i,
                     enum fit_left what)
{
    switch (what) {
    case FIT_LEFT_SIZE:
        return d->point[i].group[FIT_BY_SIZE];
    case FIT_LEFT_DEPTH:
        return (size_t)d->point[i].like->net.depth;
    case FIT_LEFT_LEVEL:
        return (size_t)f[i].home[2] + 1;
    case FIT_LEFT_DATASET:
        return d->point[i].group[FIT_BY_DATASET];
    case FIT_LEFT_SHAPE:
    case FIT_LEFT_COUNT:
        break;
    }
    return d->point[i].group[FIT_BY_SHAPE];
}

static void group_by(struct set *s, const struct fit_data *d, const struct fit_features *f,
                     enum fit_left what)
{
    size_t *key = base_alloc((s->n + 1) * sizeof(*key));
    s->groups = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t k = key_of(d, f, s->point[i], what);
        size_t g = 0;
        while (g < s->groups && key[g] != k)
            g++;
        key[g] = k;
        s->group[i] = g;
        s->groups = g == s->groups ? g + 1 : s->groups;
    }
    free(key);
}

/* Sum of squares that lies between the groups. */
static double between(struct set *s)
{
    memset(s->sum, 0, s->groups * sizeof(double));
    memset(s->count, 0, s->groups * sizeof(double));
    for (size_t i = 0; i < s->n; i++) {
        s->sum[s->group[i]] += s->r[i];
        s->count[s->group[i]] += 1;
    }
    double ss = 0;
    for (size_t g = 0; g < s->groups; g++)
        ss += s->sum[g] * s->sum[g] / s->count[g];
    return ss;
}

static void shuffle(double *v, size_t n, uint64_t *seed)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(fit_random(seed) % i);
        double t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}

static void test_one(struct fit_residual *out, struct set *s, double total, uint64_t seed)
{
    out->groups = s->groups;
    out->p = out->share = out->sd = (double)NAN;
    if (s->groups < 2 || s->n <= s->groups || total <= 0)
        return;
    double ss = between(s);
    double within = (total - ss) / (double)(s->n - s->groups);
    double beyond = ss - (double)(s->groups - 1) * within;
    beyond = beyond > 0 ? beyond : 0;
    out->share = beyond / total;
    out->sd = sqrt(beyond / (double)s->n);
    double *kept = base_alloc(s->n * sizeof(*kept));
    memcpy(kept, s->r, s->n * sizeof(*kept));
    int as_large = 1;
    for (int k = 0; k < PERMUTATIONS; k++) {
        shuffle(s->r, s->n, &seed);
        as_large += between(s) >= ss;
    }
    memcpy(s->r, kept, s->n * sizeof(*kept));
    free(kept);
    out->p = (double)as_large / (PERMUTATIONS + 1);
}

static void say(struct fit_residuals *out, const char *what)
{
    char list[240] = "";
    double least = 1;
    size_t at = 0;
    for (int k = 0; k < FIT_LEFT_COUNT; k++) {
        const struct fit_residual *l = &out->left[k];
        least = l->p < least ? l->p : least;
        if (!(l->p <= LEVEL && l->sd >= SMALL) || at >= sizeof(list))
            continue;
        int n = snprintf(list + at, sizeof(list) - at, "%s%s (%.1f %% of the value, p %.3f)",
                         at ? ", " : "", l->follows, 100 * l->sd, l->p);
        at += n > 0 ? (size_t)n : 0;
    }
    out->clean = at == 0;
    if (out->clean)
        snprintf(out->sentence, sizeof(out->sentence),
                 "nothing is left in the %s: its residuals follow neither size, depth, level, data "
                 "set nor "
                 "shape (smallest p %.2f)",
                 what, least);
    else
        snprintf(out->sentence, sizeof(out->sentence),
                 "the truth is not wholly of this form: what is left of the %s follows %s", what,
                 list);
}

static void fill(struct set *s, const struct fit_data *d, const double *ln_ratio)
{
    s->r = base_alloc((d->npoints + 1) * 3 * sizeof(double));
    s->sum = s->r + d->npoints + 1;
    s->count = s->sum + d->npoints + 1;
    s->point = base_alloc((d->npoints + 1) * 2 * sizeof(size_t));
    s->group = s->point + d->npoints + 1;
    double mean = 0;
    for (size_t i = 0; i < d->npoints; i++) {
        if (isnan(ln_ratio[i]))
            continue;
        s->r[s->n] = ln_ratio[i];
        s->point[s->n++] = i;
        mean += ln_ratio[i];
    }
    mean /= (double)s->n;
    for (size_t i = 0; i < s->n; i++)
        s->r[i] -= mean;
}

void fit_residuals_make(struct fit_residuals *out, const struct fit_data *d,
                        const struct fit_features *f, const double *ln_ratio, double noise,
                        const char *what, uint64_t seed)
{
    struct set s = {0};
    double p[FIT_LEFT_COUNT];
    double total = 0;
    double chance = 0;
    fill(&s, d, ln_ratio);
    for (size_t i = 0; i < s.n; i++) {
        total += s.r[i] * s.r[i];
        chance += noise * noise / d->point[s.point[i]].n;
    }
    out->misfit = sqrt(total / chance);
    for (int k = 0; k < FIT_LEFT_COUNT; k++) {
        group_by(&s, d, f, (enum fit_left)k);
        out->left[k].follows = follows[k];
        test_one(&out->left[k], &s, total, seed + (uint64_t)k);
        p[k] = out->left[k].p;
    }
    stats_holm(p, FIT_LEFT_COUNT);
    for (int k = 0; k < FIT_LEFT_COUNT; k++)
        out->left[k].p = p[k];
    say(out, what);
    free(s.r);
    free(s.point);
}
