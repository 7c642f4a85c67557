/* A difference of two means: three ways to know its error, one way to ask it questions. */
#include <math.h>
#include <stdlib.h>

#include "common/base.h"
#include "common/random.h"
#include "daemon/model/stats.h"

#define NORMAL_P    0.05
#define REPEATS_MAX 10000
#define REPEATS_MIN 3 /* per group, to plan for: fewer say nothing of their own spread */

const char *stats_method_name(enum stats_method m)
{
    static const char *const names[] = {"none", "paired t", "Welch t", "bootstrap t"};
    return names[m];
}

void stats_contrast_free(struct stats_contrast *c)
{
    free(c->boot);
    c->boot = NULL;
    c->nboot = 0;
}

/* Without spread there is nothing to test with: two equal readings of a coarse clock prove nothing. */
static void settle(struct stats_contrast *c, enum stats_method m)
{
    c->method = c->se > 0 && c->df > 0 ? m : STATS_NONE;
}

void stats_paired(struct stats_contrast *out, const double *a, const double *b, size_t n)
{
    double *d CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *d);
    for (size_t i = 0; i < n; i++)
        d[i] = a[i] - b[i];
    *out = (struct stats_contrast){.na = n, .nb = n, .diff = stats_mean(d, n), .df = NAN};
    out->se = stats_sd(d, n) / sqrt((double)n);
    if (n >= 2)
        out->df = (double)n - 1;
    settle(out, STATS_PAIRED);
}

void stats_welch(struct stats_contrast *out, const double *a, size_t na, const double *b, size_t nb)
{
    double va = pow(stats_sd(a, na), 2) / (double)na;
    double vb = pow(stats_sd(b, nb), 2) / (double)nb;
    *out =
        (struct stats_contrast){.na = na, .nb = nb, .diff = stats_mean(a, na) - stats_mean(b, nb)};
    out->se = sqrt(va + vb);
    out->df = (va + vb) * (va + vb) / (va * va / ((double)na - 1) + vb * vb / ((double)nb - 1));
    settle(out, STATS_WELCH);
}

/* Mean and variance of the mean of one resample. */
static double resample(const double *v, size_t n, uint64_t *seed, double *variance)
{
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        double x = v[random_below(seed, n)] - v[0]; /* near 0: the squares keep their digits */
        sum += x;
        squares += x * x;
    }
    double k = (double)n;
    *variance = fmax(0, (squares - sum * sum / k) / (k - 1) / k);
    return v[0] + sum / k;
}

void stats_bootstrap(struct stats_contrast *out, const double *a, size_t na, const double *b,
                     size_t nb, uint64_t seed)
{
    stats_welch(out, a, na, b, nb);
    if (out->method == STATS_NONE)
        return;
    out->method = STATS_BOOTSTRAP;
    out->boot = base_alloc(STATS_BOOTSTRAPS * sizeof *out->boot);
    out->nboot = STATS_BOOTSTRAPS;
    for (size_t i = 0; i < out->nboot; i++) {
        double va = 0;
        double vb = 0;
        double d = resample(a, na, &seed, &va) - resample(b, nb, &seed, &vb) - out->diff;
        out->boot[i] = va + vb > 0 ? fabs(d) / sqrt(va + vb) : (double)INFINITY;
    }
    stats_sort(out->boot, out->nboot);
}

static bool looks_normal(const double *v, size_t n)
{
    double *sorted CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = v[i];
    stats_sort(sorted, n);
    double p = stats_shapiro(sorted, n, NULL);
    return isnan(p) || p >= NORMAL_P;
}

void stats_unpaired(struct stats_contrast *out, const double *a, size_t na, const double *b,
                    size_t nb, uint64_t seed)
{
    bool small = na < STATS_NORMAL_MIN || nb < STATS_NORMAL_MIN;
    if (small || (looks_normal(a, na) && looks_normal(b, nb)))
        stats_welch(out, a, na, b, nb);
    else
        stats_bootstrap(out, a, na, b, nb, seed);
}

/* ---- questions ------------------------------------------------------------------------------------ */

/* How many of the |t*| reach x, as a probability that is never 0. */
static double boot_tail(const struct stats_contrast *c, double x)
{
    size_t lo = 0;
    size_t hi = c->nboot;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c->boot[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return ((double)(c->nboot - lo) + 1) / ((double)c->nboot + 1);
}

/* P(T >= x). */
static double tail(const struct stats_contrast *c, double x)
{
    if (c->method != STATS_BOOTSTRAP)
        return stats_t_cdf(-x, c->df);
    double t = boot_tail(c, fabs(x)) / 2;
    return x >= 0 ? t : 1 - t;
}

/* The x that |T| exceeds with probability 1 - level. */
static double critical(const struct stats_contrast *c, double level)
{
    return c->method == STATS_BOOTSTRAP ? stats_quantile(c->boot, c->nboot, level)
                                        : stats_t_quantile((1 + level) / 2, c->df);
}

double stats_contrast_p(const struct stats_contrast *c, double slack)
{
    if (c->method == STATS_NONE)
        return NAN;
    return fmin(1, 2 * tail(c, fmax(0, fabs(c->diff) - slack) / c->se));
}

void stats_contrast_interval(const struct stats_contrast *c, double level, double slack, double *lo,
                             double *hi)
{
    double half = c->method == STATS_NONE ? (double)NAN : critical(c, level) * c->se + slack;
    *lo = c->diff - half;
    *hi = c->diff + half;
}

double stats_contrast_equivalence(const struct stats_contrast *c, double margin, double slack)
{
    if (c->method == STATS_NONE)
        return NAN;
    return tail(c, (margin - slack - fabs(c->diff)) / c->se);
}

double stats_contrast_detectable(const struct stats_contrast *c, double level, double power)
{
    if (c->method == STATS_NONE)
        return NAN;
    double df = c->method == STATS_BOOTSTRAP ? (double)(c->na + c->nb) - 2 : c->df;
    return (critical(c, level) + stats_t_quantile(power, df)) * c->se;
}

static bool would_do(const struct stats_contrast *c, double n, double margin, double level,
                     double power)
{
    double now = (double)(c->na < c->nb ? c->na : c->nb);
    double se = c->se * sqrt(now / n);
    double df = c->method == STATS_PAIRED ? n - 1 : 2 * n - 2;
    double far = stats_t_quantile((1 + level) / 2, df) + stats_t_quantile(power, df);
    double near = stats_t_quantile(level, df) + stats_t_quantile(power, df);
    return fabs(c->diff) >= far * se || margin - fabs(c->diff) >= near * se;
}

long stats_contrast_missing(const struct stats_contrast *c, double margin, double level,
                            double power)
{
    long now = (long)(c->na < c->nb ? c->na : c->nb);
    if (c->method == STATS_NONE)
        return -1;
    long lo = now < REPEATS_MIN ? REPEATS_MIN : now;
    long hi = REPEATS_MAX;
    if (would_do(c, (double)lo, margin, level, power))
        return lo - now;
    if (!would_do(c, (double)hi, margin, level, power))
        return -1;
    while (hi - lo > 1) { /* more repeats never do worse */
        long mid = (lo + hi) / 2;
        if (would_do(c, (double)mid, margin, level, power))
            hi = mid;
        else
            lo = mid;
    }
    return hi - now;
}
