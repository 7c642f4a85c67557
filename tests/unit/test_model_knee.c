/* Knees of generated curves: found where they were put, not seen where there is none, moved or not. */
#include "daemon/model/knee.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/model/stats.h"

#define SIZES   12
#define REPEATS 3

/* A standard normal deviate from the bootstrap's own generator. */
static double noise(uint64_t *seed)
{
    size_t index[2];
    stats_resample(index, 2, seed);
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        size_t many[1009];
        stats_resample(many, 1009, seed);
        sum += (double)many[i] / 1008 - 0.5;
    }
    return sum;
}

/* 2^10 .. 2^21: 1 us and 0.1 ns per parameter; beyond k so many times steeper. */
static size_t curve(struct knee_point *p, double k, double steeper, double spread, uint64_t seed)
{
    size_t n = 0;
    for (int s = 0; s < SIZES; s++) {
        double x = pow(2, 10 + s);
        double y = 1e-6 + 1e-10 * x + (x > k ? 1e-10 * (steeper - 1) * (x - k) : 0);
        for (int r = 0; r < REPEATS; r++)
            p[n++] = (struct knee_point){x, y * exp(spread * noise(&seed))};
    }
    return n;
}

static void test_found_where_it_is(void **state)
{
    (void)state;
    struct knee_point p[SIZES * REPEATS];
    static const double at[] = {16384, 65536, 200000};
    for (int i = 0; i < 3; i++) {
        struct knee k;
        size_t n = curve(p, at[i], 3, 0.02, 7 + (uint64_t)i);
        knee_fit(&k, p, n, 1);
        assert_true(k.fitted && k.seen);
        if (k.lo > at[i] || k.hi < at[i] || k.hi / k.lo > 4)
            fail_msg("%g: %g (%g .. %g)", at[i], k.at, k.lo, k.hi);
        assert_true(k.steeper > 2.5 && k.steeper < 3.6);
        assert_true(k.error < 0.04);
    }
}

/* The bend from overhead to arithmetic, in a straight line of costs, is no knee. */
static void test_overhead_is_no_knee(void **state)
{
    (void)state;
    struct knee_point p[SIZES * REPEATS];
    int seen = 0;
    for (uint64_t s = 0; s < 20; s++) {
        struct knee k;
        size_t n = curve(p, 65536, 1, 0.02, 100 + s);
        knee_fit(&k, p, n, s);
        assert_true(k.fitted);
        seen += k.seen;
        assert_true(k.seen || (isnan(k.at) && isnan(k.lo)));
    }
    assert_true(seen <= 2);
}

static void test_too_few_sizes(void **state)
{
    (void)state;
    struct knee k;
    static const struct knee_point p[] = {{1, 1}, {2, 1}, {4, 1}, {8, 2}, {16, 4}};
    knee_fit(&k, p, 5, 1);
    assert_false(k.fitted);
    assert_int_equal(k.sizes, 5);
    assert_true(isnan(k.at) && isnan(k.steeper));
}

static void pair(struct knee_move *m, double base, double variant, double predicted, double spread)
{
    struct knee_point p[SIZES * REPEATS];
    struct knee a;
    struct knee b;
    knee_fit(&a, p, curve(p, base, 4, spread, 11), 1);
    knee_fit(&b, p, curve(p, variant, 4, spread, 12), 2);
    knee_compare(m, &a, &b, predicted);
}

static void test_moved_or_not(void **state)
{
    (void)state;
    struct knee_move m;
    pair(&m, 131072, 16384, 0.125, 0.02);
    assert_int_equal(m.verdict, KNEE_MOVED);
    if (m.lo > 0.125 || m.hi < 0.125)
        fail_msg("%g (%g .. %g)", m.ratio, m.lo, m.hi);
    pair(&m, 131072, 16384, 8, 0.02);
    assert_int_equal(m.verdict, KNEE_AGAINST);
    pair(&m, 65536, 65536, 0.125, 0.02);
    assert_int_equal(m.verdict, KNEE_STAYED);
    pair(&m, 65536, 65536, 1, 0.02);
    assert_int_equal(m.verdict, KNEE_STAYED);
    pair(&m, 65536, 65536, 0.97, 0.02); /* too fine a difference for these data */
    assert_int_equal(m.verdict, KNEE_UNDECIDED);
}

static void test_no_knee_decides_nothing(void **state)
{
    (void)state;
    struct knee_point p[SIZES * REPEATS];
    struct knee a;
    struct knee b;
    struct knee_move m;
    knee_fit(&a, p, curve(p, 65536, 4, 0.02, 11), 1);
    knee_fit(&b, p, curve(p, 65536, 1, 0.02, 12), 2);
    knee_compare(&m, &a, &b, 0.5);
    assert_int_equal(m.verdict, KNEE_UNDECIDED);
    assert_true(isnan(m.ratio) && m.predicted == 0.5);
}

static void test_same_seed_same_result(void **state)
{
    (void)state;
    struct knee_point p[SIZES * REPEATS];
    struct knee a;
    struct knee b;
    size_t n = curve(p, 65536, 3, 0.05, 3);
    knee_fit(&a, p, n, 9);
    knee_fit(&b, p, n, 9);
    assert_true(a.at == b.at && a.lo == b.lo && a.hi == b.hi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_where_it_is),
        cmocka_unit_test(test_overhead_is_no_knee),
        cmocka_unit_test(test_too_few_sizes),
        cmocka_unit_test(test_moved_or_not),
        cmocka_unit_test(test_no_knee_decides_nothing),
        cmocka_unit_test(test_same_seed_same_result),
    };
    return cmocka_run_group_tests_name("model_knee", tests, NULL, NULL);
}
