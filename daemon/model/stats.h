/* The statistics of comparisons and models: location and spread, quantiles, tests of a difference and of
 * equivalence, bootstrap, multiplicity, power. Pure arithmetic; any thread; no state but a seed the caller
 * owns. NAN where a figure cannot be had (too few values, no spread known), never 0 in its place.
 *
 * A level is a probability: 0.95 gives a 95 % interval. sd is the sample's (n - 1).
 *
 * sources: incomplete beta: DLMF 8.17.22 (continued fraction), 8.17.4 (symmetry); Student t: DLMF 8.17,
 * Abramowitz and Stegun 26.7.1; normal quantile: Abramowitz and Stegun 26.2.23, refined by Halley steps;
 * Welch 1947 with Satterthwaite's degrees of freedom 1946; symmetric bootstrap-t: Hall 1988; BCa: Efron 1987;
 * Shapiro-Wilk: Royston 1995 (AS R94); Holm 1979; two one-sided tests: Schuirmann 1987; smallest detectable
 * effect: Bloom 1995. */
#ifndef DAEMON_MODEL_STATS_H
#define DAEMON_MODEL_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_BOOTSTRAPS 9999 /* enough for a p of 0.001 */
#define STATS_NORMAL_MIN 5    /* values, below which nobody can judge their distribution */

/* Location and spread. median and sort reorder v. */
void stats_sort(double *v, size_t n);
double stats_median(double *v, size_t n);
double stats_mean(const double *v, size_t n);
double stats_sd(const double *v, size_t n);                      /* NAN below 2 values */
double stats_quantile(const double *sorted, size_t n, double p); /* linear, R's type 7 */
double stats_shapiro(const double *sorted, size_t n, double *w); /* p; w may be NULL; n 3..5000 */

/* Distributions. */
double stats_beta(double x, double a, double b); /* regularised incomplete beta I_x(a, b) */
double stats_normal_cdf(double z);
double stats_normal_quantile(double p);
double stats_t_cdf(double t, double df); /* df need not be whole; INFINITY is the normal */
double stats_t_quantile(double p, double df);

/* Resampling by hand: n indexes drawn with replacement; an interval from replicates of any statistic.
 * interval: percentile; bca: corrected for bias and skewness, jack = the statistic with one unit left out at a
 * time. Both sort replicates, ignore NAN ones; lo, hi NAN when none is left. */
void stats_resample(size_t *index, size_t n, uint64_t *seed);
void stats_interval(double *replicates, size_t n, double level, double *lo, double *hi);
void stats_bca(double *replicates, size_t n, double estimate, const double *jack, size_t njack,
               double level, double *lo, double *hi);

/* A difference of two means with what is known of its error. */
enum stats_method { STATS_NONE, STATS_PAIRED, STATS_WELCH, STATS_BOOTSTRAP };

struct stats_contrast {
    enum stats_method method; /* NONE: too few values, or no spread at all: no test */
    size_t na, nb;            /* PAIRED: both the number of pairs */
    double diff;              /* mean of a - mean of b */
    double se;                /* of diff */
    double df;
    double *boot; /* BOOTSTRAP: |t*| ascending */
    size_t nboot;
};

void stats_paired(struct stats_contrast *out, const double *a, const double *b, size_t n);
void stats_welch(struct stats_contrast *out, const double *a, size_t na, const double *b,
                 size_t nb);
/* Studentised: resampled within each group. Same seed, same result. */
void stats_bootstrap(struct stats_contrast *out, const double *a, size_t na, const double *b,
                     size_t nb, uint64_t seed);
/* Welch while the groups are too small to be judged or look normal (p of Shapiro-Wilk >= 0.05 in both), else
 * bootstrap. */
void stats_unpaired(struct stats_contrast *out, const double *a, size_t na, const double *b,
                    size_t nb, uint64_t seed);
void stats_contrast_free(struct stats_contrast *c);
const char *
stats_method_name(enum stats_method m); /* "paired t", "Welch t", "bootstrap t", "none" */

/* slack: a systematic error of diff that no repeat averages out, added on both sides; 0 = none. */
double stats_contrast_p(const struct stats_contrast *c, double slack); /* two-sided, of diff = 0 */
void stats_contrast_interval(const struct stats_contrast *c, double level, double slack, double *lo,
                             double *hi);
/* p of "|diff| is margin or more": small = equivalent. Two one-sided tests. */
double stats_contrast_equivalence(const struct stats_contrast *c, double margin, double slack);
/* The true difference that a test at 1 - level finds with the given power. */
double stats_contrast_detectable(const struct stats_contrast *c, double level, double power);
/* Repeats per group (pairs) that are still missing until a difference of diff would be found, or, where
 * |diff| < margin, until it would be shown to be within margin, whichever is sooner, with the given power. 0 =
 * enough now; -1 = no number below 10,000 is enough. */
long stats_contrast_missing(const struct stats_contrast *c, double margin, double level,
                            double power);

/* Holm's step-down in place: p becomes the adjusted p. NAN ones are not counted and stay NAN. */
void stats_holm(double *p, size_t n);

#endif
