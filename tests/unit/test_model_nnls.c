/* Non-negative least squares: known solutions, and the conditions every minimum must meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/nnls.h"

static double uniform(uint64_t *seed)
{
    return (double)(fit_random(seed) >> 11) * 0x1p-53;
}

static void near(double a, double b, double eps)
{
    if (!(fabs(a - b) <= eps))
        fail_msg("%.17g is not %.17g", a, b);
}

static void test_exact_solutions(void **state)
{
    (void)state;
    /* x + y = 3, x - y = 1, x = 2: (2, 1); and the same with y pulled below 0. */
    static const double rows[][2] = {{1, 1}, {1, -1}, {1, 0}};
    struct nnls p;
    double x[2];
    nnls_begin(&p, 2);
    for (int i = 0; i < 3; i++)
        nnls_row(&p, rows[i], (const double[]){3, 1, 2}[i], 1);
    near(nnls_solve(&p, x, 0), 0, 1e-12);
    near(x[0], 2, 1e-12);
    near(x[1], 1, 1e-12);
    /* min over y >= 0 of the same with right sides (1, 3, 2): free (2, -1); bound (2, 0), residual sqrt 2. */
    nnls_begin(&p, 2);
    for (int i = 0; i < 3; i++)
        nnls_row(&p, rows[i], (const double[]){1, 3, 2}[i], 1);
    near(nnls_solve(&p, x, 0), sqrt(2), 1e-12);
    near(x[0], 2, 1e-12);
    near(x[1], 0, 0);
    near(nnls_solve(&p, x, 2), 0, 1e-12); /* the second may be negative */
    near(x[1], -1, 1e-12);
}

/* Lawson and Hanson's own difficulty: a column that enters and must leave again. */
static void test_a_column_leaves_again(void **state)
{
    (void)state;
    struct nnls p;
    double x[3];
    static const double rows[][3] = {{1, 0.9, 0}, {0, 0.5, 1}, {1, 1.2, 1}};
    static const double y[] = {2, 0.1, 2};
    nnls_begin(&p, 3);
    for (int i = 0; i < 3; i++)
        nnls_row(&p, rows[i], y[i], 1);
    nnls_solve(&p, x, 0);
    double g[3];
    nnls_gradient(&p, x, g);
    for (int j = 0; j < 3; j++) {
        assert_true(x[j] >= 0);
        assert_true(x[j] > 0 ? fabs(g[j]) < 1e-10 : g[j] > -1e-10);
    }
}

/* Karush, Kuhn, Tucker: x >= 0, gradient >= 0, and one of the two is 0 in every column. */
static void check_kkt(struct nnls *p, const double *x, double scale)
{
    double g[NNLS_COLS];
    nnls_gradient(p, x, g);
    for (int j = 0; j < p->n; j++) {
        if (x[j] < 0)
            fail_msg("x[%d] = %g", j, x[j]);
        if (x[j] > 0 ? fabs(g[j]) > 1e-8 * scale : g[j] < -1e-8 * scale)
            fail_msg("x[%d] = %g with gradient %g", j, x[j], g[j]);
    }
}

static void random_problem(struct nnls *p, uint64_t *seed, double *scale)
{
    int n = 1 + (int)(fit_random(seed) % NNLS_COLS);
    int m = 1 + (int)(fit_random(seed) % 200);
    double row[NNLS_COLS];
    double unit[NNLS_COLS]; /* columns of very different units, as seconds and bytes are */
    *scale = 0;
    for (int j = 0; j < n; j++) {
        unit[j] = pow(10, 6 * uniform(seed) - 3);
        *scale = fmax(*scale, unit[j]);
    }
    nnls_begin(p, n);
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++)
            row[j] = unit[j] * (uniform(seed) - (j % 3 == 0 ? 0.5 : 0.1));
        if (n > 2 && m % 5 == 0)
            row[n - 1] = 2 * row[0] + row[1]; /* nothing of its own */
        nnls_row(p, row, uniform(seed) - 0.3, 0.5 + uniform(seed));
    }
    *scale *= m;
}

static void test_every_minimum_is_one(void **state)
{
    (void)state;
    const char *given = getenv("WATTQ_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 7;
    for (int k = 0; k < 3000; k++) {
        struct nnls p;
        double x[NNLS_COLS];
        double scale;
        random_problem(&p, &seed, &scale);
        double r = nnls_solve(&p, x, 0);
        check_kkt(&p, x, scale);
        double again[NNLS_COLS];
        near(nnls_solve(&p, again, 0), r, 0); /* solving does not change the problem */
        assert_true(nnls_solve(&p, again, UINT32_MAX) <= r * (1 + 1e-9) + 1e-12);
    }
}

static void test_weights_are_repeats(void **state)
{
    (void)state;
    uint64_t seed = 3;
    struct nnls once;
    struct nnls twice;
    double x[4];
    double y[4];
    nnls_begin(&once, 4);
    nnls_begin(&twice, 4);
    for (int i = 0; i < 90; i++) {
        double row[4];
        for (int j = 0; j < 4; j++)
            row[j] = uniform(&seed);
        double v = uniform(&seed);
        int times = i % 3;
        nnls_row(&once, row, v, sqrt(times));
        for (int k = 0; k < times; k++)
            nnls_row(&twice, row, v, 1);
    }
    near(nnls_solve(&once, x, 0), nnls_solve(&twice, y, 0), 1e-10);
    for (int j = 0; j < 4; j++)
        near(x[j], y[j], 1e-10);
}

static void test_nothing_determines_a_column(void **state)
{
    (void)state;
    struct nnls p;
    double x[3];
    nnls_begin(&p, 3);
    for (int i = 1; i < 10; i++)
        nnls_row(&p, (const double[]){i, 0, 2.0 * i}, 3.0 * i, 1);
    near(nnls_solve(&p, x, 0), 0, 1e-12);
    near(x[1], 0, 0);
    near(x[0] + 2 * x[2], 3, 1e-12); /* one of the two copies carries it all */
    assert_true(x[0] == 0 || x[2] == 0);
    nnls_begin(&p, 2);
    near(nnls_solve(&p, x, 0), 0, 0); /* no row at all */
    near(x[0], 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_solutions),
        cmocka_unit_test(test_a_column_leaves_again),
        cmocka_unit_test(test_every_minimum_is_one),
        cmocka_unit_test(test_weights_are_repeats),
        cmocka_unit_test(test_nothing_determines_a_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
