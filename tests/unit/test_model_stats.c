/* The statistics against values of an independent implementation, and against their own promises: error rates
 * by simulation from a seed.
 * source of the values: scipy 1.17.1 (stats.t, stats.norm, special.betainc, ttest_ind(equal_var=False),
 * ttest_rel, shapiro, bootstrap); data A, B: six weighings as in the usual textbook example of Welch's test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "common/base.h"
#include "common/random.h"
#include "daemon/model/stats.h"

static const double a6[] = {30.02, 29.99, 30.11, 29.97, 30.01, 29.99};
static const double b6[] = {29.89, 29.93, 29.72, 29.98, 30.02, 29.98};

static void assert_near(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fmax(fabs(want), 1e-300)))
        fail_msg("%.17g, wanted %.17g", got, want);
}

static void test_location_and_spread(void **state)
{
    (void)state;
    double v[] = {3, 1, 2, 10};
    assert_near(stats_mean(v, 4), 4, 1e-15);
    assert_near(stats_sd(v, 4), 4.0824829046386304, 1e-15);
    assert_near(stats_median(v, 4), 2.5, 1e-15);
    assert_near(stats_median(v, 3), 2, 1e-15);
    assert_true(isnan(stats_mean(v, 0)) && isnan(stats_median(v, 0)) && isnan(stats_sd(v, 1)));
    double q[] = {12.1, 14.3, 11.8, 19.6, 13.3, 12.9, 16.4, 35.2};
    stats_sort(q, 8);
    assert_near(stats_quantile(q, 8, 0.1), 12.01, 1e-12);
    assert_near(stats_quantile(q, 8, 0.33), 13.024, 1e-12);
    assert_near(stats_quantile(q, 8, 1), 35.2, 1e-15);
    assert_true(isnan(stats_quantile(q, 0, 0.5)));
}

static void test_distributions(void **state)
{
    (void)state;
    static const struct {
        double p, df, t;
    } tq[] = {{0.975, 1, 12.706204736174694},  {0.975, 2, 4.302652729749462},
              {0.975, 9, 2.262157162798205},   {0.95, 4, 2.1318467863266495},
              {0.995, 30, 2.7499956535672254}, {0.975, 2.5, 3.5746548420036817},
              {0.8, 7, 0.8960296443137653},    {0.9999, 3, 22.203742273205}};
    for (size_t i = 0; i < ARRAY_LEN(tq); i++) {
        assert_near(stats_t_quantile(tq[i].p, tq[i].df), tq[i].t, 1e-10);
        assert_near(stats_t_quantile(1 - tq[i].p, tq[i].df), -tq[i].t, 1e-10);
    }
    assert_near(stats_t_cdf(2.5, 4), 0.966616727594006, 1e-12);
    assert_near(stats_t_cdf(-1, 3.7), 0.18907069988022623, 1e-12);
    assert_near(stats_t_cdf(40, 2), 0.9996877926639076, 1e-12);
    assert_near(stats_t_cdf(0.1, 200), 0.5397777537478394, 1e-12);
    assert_near(stats_beta(0.3, 2, 5), 0.579825, 1e-12);
    assert_near(stats_beta(0.9, 0.5, 0.5), 0.7951672353008665, 1e-12);
    assert_near(stats_beta(0.01, 10, 0.5), 1.770034965528571e-21, 1e-10);
    assert_near(stats_beta(0.5, 200, 210), 0.6894852134274166, 1e-11);
    assert_near(stats_normal_quantile(0.975), 1.959963984540054, 1e-13);
    assert_near(stats_normal_quantile(0.8), 0.8416212335729143, 1e-13);
    assert_near(stats_normal_quantile(0.001), -3.090232306167813, 1e-13);
    assert_near(stats_normal_quantile(1e-12), -7.034483825301131, 1e-11);
    assert_true(fabs(stats_normal_quantile(0.5)) < 1e-15);
    assert_near(stats_t_quantile(0.975, INFINITY), 1.959963984540054, 1e-13);
    assert_true(isnan(stats_t_quantile(0.975, 0)) && isnan(stats_normal_quantile(NAN)));
}

static void check_shapiro(const double *v, size_t n, double w, double p)
{
    double sorted[32];
    double got_w = 0;
    memcpy(sorted, v, n * sizeof *v);
    stats_sort(sorted, n);
    double got_p = stats_shapiro(sorted, n, &got_w);
    assert_near(got_w, w, 1e-6);
    assert_near(got_p, p, 1e-4);
}

static void test_shapiro_wilk(void **state)
{
    (void)state;
    static const double weights[] = {148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236};
    double even[30];
    double skewed[20];
    for (int i = 0; i < 30; i++)
        even[i] = i + 1;
    for (int i = 0; i < 20; i++)
        skewed[i] = exp(i / 3.0);
    check_shapiro(a6, 6, 0.8129975857212571, 0.07668307337498581);
    check_shapiro(b6, 6, 0.8511437503302007, 0.160788783905427);
    check_shapiro(weights, 11, 0.7888146948631716, 0.006703814061898823);
    check_shapiro((double[]){1, 2, 9}, 3, 0.8421052631578947, 0.21955918512098216);
    check_shapiro((double[]){1, 2, 4, 9}, 4, 0.8946862708551955, 0.4051472112475074);
    check_shapiro((double[]){1, 1.1, 1.2, 1.3, 5}, 5, 0.615294211789907, 0.0009944187852621432);
    check_shapiro(even, 30, 0.9574505592737159, 0.2662326827957217);
    check_shapiro(skewed, 20, 0.691030456988927, 3.0369349740703006e-05);
    assert_true(isnan(stats_shapiro((double[]){1, 1, 1}, 3, NULL)));
    assert_true(isnan(stats_shapiro(a6, 2, NULL)));
}

static void test_welch_and_equivalence(void **state)
{
    (void)state;
    struct stats_contrast c;
    double lo;
    double hi;
    stats_welch(&c, a6, 6, b6, 6);
    assert_int_equal(c.method, STATS_WELCH);
    assert_near(c.diff / c.se, 1.9590058081081434, 1e-9);
    assert_near(c.df, 7.030559959884322, 1e-9);
    assert_near(stats_contrast_p(&c, 0), 0.09077332428566112, 1e-9);
    stats_contrast_interval(&c, 0.95, 0, &lo, &hi);
    assert_near(lo, -0.01956908964604008, 1e-8);
    assert_near(hi, 0.20956908964604493, 1e-9);
    assert_near(stats_contrast_equivalence(&c, 0.3, 0), 0.001931448938129273, 1e-8);
    /* what no repeat averages out makes both verdicts harder */
    assert_true(stats_contrast_p(&c, 0.02) > stats_contrast_p(&c, 0));
    assert_true(stats_contrast_equivalence(&c, 0.3, 0.02) > 0.0019315);
    stats_contrast_interval(&c, 0.95, 0.02, &lo, &hi);
    assert_near(hi, 0.22956908964604493, 1e-9);
    stats_welch(&c, a6, 1, b6, 6);
    assert_int_equal(c.method, STATS_NONE);
    assert_true(isnan(stats_contrast_p(&c, 0)) && isnan(stats_contrast_detectable(&c, 0.95, 0.8)));
    stats_welch(&c, (double[]){1, 1}, 2, (double[]){2, 2}, 2);
    assert_int_equal(c.method, STATS_NONE); /* a coarse clock: no spread is no certainty */
}

static void test_paired(void **state)
{
    (void)state;
    struct stats_contrast c;
    double lo;
    double hi;
    stats_paired(&c, a6, b6, 6);
    assert_near(c.diff / c.se, 1.5099668870541376, 1e-9);
    assert_near(stats_contrast_p(&c, 0), 0.19143688433660136, 1e-9);
    stats_contrast_interval(&c, 0.95, 0, &lo, &hi);
    assert_near(lo, -0.06672889384473878, 1e-8);
    assert_near(hi, 0.2567288938447377, 1e-9);
    stats_paired(&c, a6, b6, 1);
    assert_int_equal(c.method, STATS_NONE);
}

static double mean_of(const double *v, const size_t *index, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[index[i]];
    return sum / (double)n;
}

static void test_intervals_by_resampling(void **state)
{
    (void)state;
    static const double v[] = {12.1, 14.3, 11.8, 19.6, 13.3, 12.9, 16.4, 35.2};
    enum { N = 8, B = 20000 };
    double *r = base_alloc(B * sizeof *r);
    double jack[N];
    double lo;
    double hi;
    size_t index[N];
    uint64_t seed = 1;
    for (size_t i = 0; i < B; i++) {
        stats_resample(index, N, &seed);
        r[i] = mean_of(v, index, N);
    }
    r[7] = NAN; /* a resample whose fit failed */
    for (size_t i = 0; i < N; i++)
        jack[i] = (stats_mean(v, N) * N - v[i]) / (N - 1);
    stats_interval(r, B, 0.95, &lo, &hi);
    assert_near(lo, 13.075, 0.01); /* Monte-Carlo error of 20,000 resamples */
    assert_near(hi, 22.6625, 0.01);
    stats_bca(r, B, stats_mean(v, N), jack, N, 0.95, &lo, &hi);
    assert_near(lo, 13.625, 0.01);
    assert_near(hi, 25.5375, 0.015);
    stats_interval(r, 0, 0.95, &lo, &hi);
    assert_true(isnan(lo) && isnan(hi));
    base_freep(&r);
}

static void test_same_seed_same_bootstrap(void **state)
{
    (void)state;
    struct stats_contrast c[3];
    for (size_t i = 0; i < 3; i++)
        stats_bootstrap(&c[i], a6, 6, b6, 6, i == 2 ? 8 : 7);
    assert_true(stats_contrast_p(&c[0], 0) == stats_contrast_p(&c[1], 0));
    assert_true(memcmp(c[0].boot, c[2].boot, 100 * sizeof(double)) != 0);
    assert_true(stats_contrast_p(&c[0], 0) > 0.03 && stats_contrast_p(&c[0], 0) < 0.3);
    for (size_t i = 0; i < 3; i++)
        stats_contrast_free(&c[i]);
}

static void test_holm(void **state)
{
    (void)state;
    double p[] = {0.01, 0.04, NAN, 0.03, 0.005};
    stats_holm(p, 5);
    assert_near(p[4], 0.02, 1e-12);
    assert_near(p[0], 0.03, 1e-12);
    assert_near(p[3], 0.06, 1e-12);
    assert_near(p[1], 0.06, 1e-12); /* never below a smaller one's */
    assert_true(isnan(p[2]));
    double high[] = {0.9, 0.8};
    stats_holm(high, 2);
    assert_near(high[0], 1, 1e-12);
}

/* ---- promises, by simulation ---------------------------------------------------------------------- */

static double gauss(uint64_t *seed)
{
    return stats_normal_quantile((double)(random_next(seed) >> 12) * 0x1p-52 + 0x1p-53);
}

enum law { NORMAL, LOGNORMAL };

static void draw(double *v, size_t n, enum law law, double shift, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (law == NORMAL ? gauss(seed) : exp(gauss(seed))) + shift;
}

/* How often a difference is found among groups that differ by shift. */
static double found(enum law law, size_t na, size_t nb, double shift, bool paired, int trials)
{
    double a[16];
    double b[16];
    uint64_t seed = 20240312;
    int hits = 0;
    for (int i = 0; i < trials; i++) {
        struct stats_contrast c;
        draw(a, na, law, shift, &seed);
        draw(b, nb, law, 0, &seed);
        if (paired)
            stats_paired(&c, a, b, na);
        else
            stats_unpaired(&c, a, na, b, nb, (uint64_t)i);
        hits += stats_contrast_p(&c, 0) < 0.05;
        stats_contrast_free(&c);
    }
    return (double)hits / trials;
}

/* 5 % and two standard errors of 500 trials. */
#define ALPHA_500 0.0695

static void test_no_difference_is_rarely_found(void **state)
{
    (void)state;
    assert_true(found(NORMAL, 2, 2, 0, false, 500) <= ALPHA_500);
    assert_true(found(NORMAL, 3, 3, 0, false, 500) <= ALPHA_500);
    assert_true(found(NORMAL, 3, 7, 0, false, 500) <= ALPHA_500);
    assert_true(found(NORMAL, 8, 8, 0, false, 500) <= ALPHA_500);
    assert_true(found(NORMAL, 5, 5, 0, true, 500) <= ALPHA_500);
    assert_true(found(LOGNORMAL, 4, 4, 0, false, 500) <= ALPHA_500);
    assert_true(found(LOGNORMAL, 12, 12, 0, false, 500) <= ALPHA_500);
}

/* The smallest detectable effect is found with the power it is named for. */
static void test_detectable_is_detected(void **state)
{
    (void)state;
    double shift = (stats_t_quantile(0.975, 14) + stats_t_quantile(0.8, 14)) * sqrt(2.0 / 8);
    double power = found(NORMAL, 8, 8, shift, false, 1000);
    assert_true(power > 0.74 && power < 0.86);
}

static void test_repeats_still_missing(void **state)
{
    (void)state;
    struct stats_contrast c = {
        .method = STATS_WELCH, .na = 3, .nb = 3, .diff = 1, .se = 1, .df = 4};
    long more = stats_contrast_missing(&c, 0, 0.95, 0.8);
    assert_true(more > 15 && more < 30); /* se must fall to about 1 / 2.85: 3 x 8.1 = 24 in all */
    c.diff = 10;
    assert_int_equal(stats_contrast_missing(&c, 0, 0.95, 0.8), 0);
    c.diff = 1e-9;
    assert_int_equal(stats_contrast_missing(&c, 0, 0.95, 0.8), -1);
    more =
        stats_contrast_missing(&c, 1, 0.95, 0.8); /* nothing to find, but soon to be shown small */
    assert_true(more > 10 && more < 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_location_and_spread),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_shapiro_wilk),
        cmocka_unit_test(test_welch_and_equivalence),
        cmocka_unit_test(test_paired),
        cmocka_unit_test(test_intervals_by_resampling),
        cmocka_unit_test(test_same_seed_same_bootstrap),
        cmocka_unit_test(test_holm),
        cmocka_unit_test(test_no_difference_is_rarely_found),
        cmocka_unit_test(test_detectable_is_detected),
        cmocka_unit_test(test_repeats_still_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
