/* Iso-loss curves of networks with a law: the cheapest size is known, and so is what every level costs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base.h"
#include "daemon/model/isoloss.h"

#define POINTS   400
#define RUNS_MAX 64

/* A network of S parameters reaches loss L after e = 1e5 / (L^2 sqrt S) epochs, and an epoch costs 1 J within
 * the cache, (S / 2^KNEE)^1.5 J beyond. So energy falls as 1/sqrt S up to the knee and rises as S after it. */
#define KNEE 17

struct world {
    struct study_run runs[RUNS_MAX];
    struct isoloss_curve curves[RUNS_MAX];
    struct isoloss_point points[RUNS_MAX][POINTS];
    size_t n;
};

static double epochs_to(double loss, double size)
{
    return 1e5 / (loss * loss * sqrt(size));
}

static double epoch_j(double size)
{
    double over = size / exp2(KNEE);
    return over <= 1 ? 1 : pow(over, 1.5);
}

static void add(struct world *w, const char *shape, int depth, int log2_size, double factor)
{
    struct study_run *r = &w->runs[w->n];
    double size = exp2(log2_size);
    *r = (struct study_run){.run = (int64_t)w->n + 1,
                            .size = INT64_C(1) << log2_size,
                            .rows_train = 4240,
                            .rows_test = 1060,
                            .raw_features = 2,
                            .batch = 256,
                            .threads = 1,
                            .number_bytes = 4,
                            .epochs = POINTS};
    base_strcpy(r->shape, sizeof r->shape, shape);
    base_strcpy(r->dataset, sizeof r->dataset, "banana");
    r->net = (struct net){
        .depth = depth, .inputs = 2, .widths = {8, 8, 1}, .params = INT64_C(1) << log2_size};
    for (int i = 0; i < POINTS; i++) {
        double epoch = 1 + i;
        w->points[w->n][i] =
            (struct isoloss_point){epoch, sqrt(1e5 / (epoch * sqrt(size))),
                                   factor * epoch * epoch_j(size), factor * epoch * 0.01};
    }
    w->curves[w->n] = (struct isoloss_curve){w->points[w->n], POINTS, false};
    w->n++;
}

static struct world *new_world(void)
{
    return base_alloc(sizeof(struct world));
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(b);
}

static void the_minimum_is_where_the_law_has_it(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_series *series;
    for (int k = 22; k >= 12; k--)
        add(w, "rectangle", 3, k, 1);
    isoloss_make(&s, w->runs, w->curves, w->n, 0, &caches_study_cpu);
    assert_int_equal(s.n, 11);
    assert_int_equal(isoloss_series(&series, &s, w->runs, ISOLOSS_ENERGY), 1);
    assert_int_equal(series->relaxed, ISOLOSS_STRICT);
    /* 2^12 to 2^22 are not all in reach of one level, but 2^14 to 2^21 must be. */
    assert_true(w->runs[s.config[series->config[0]].first].size <= ISOLOSS_SIZE_LO);
    assert_true(w->runs[s.config[series->config[series->n - 1]].first].size >= ISOLOSS_SIZE_HI);
    const struct study_run *best = &w->runs[s.config[series->config[series->least]].first];
    assert_int_equal(best->size, INT64_C(1) << KNEE);
    for (size_t i = 0; i < series->n; i++) {
        double size = (double)w->runs[s.config[series->config[i]].first].size;
        double e = epochs_to(exp(series->x), size);
        assert_true(near(series->cost[i].epochs, e));
        assert_true(near(series->cost[i].energy_j, e * epoch_j(size)));
        assert_true(near(series->cost[i].time_s, e * 0.01));
    }
    struct isoloss_histogram h = {0};
    isoloss_count(&h, series, 1, &s, w->runs);
    assert_int_equal(h.by_size[KNEE], 1);
    assert_int_equal(h.n, 1);
    isoloss_series_free(series, 1);
    isoloss_fini(&s);
    free(w);
}

static void the_highest_level_of_all_is_compared(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_series *series;
    for (int k = 12; k <= 22; k++)
        add(w, "rectangle", 3, k, 1);
    isoloss_make(&s, w->runs, w->curves, w->n, 0, &caches_study_cpu);
    assert_int_equal(isoloss_series(&series, &s, w->runs, ISOLOSS_ENERGY), 1);
    /* 2^21 begins (epoch 1) at the loss where 2^21 is reached at once: the next level up is not its own. */
    double first = log(sqrt(1e5 / sqrt(exp2(21))));
    double step = s.level[1] - s.level[0];
    assert_true(series->x <= first + 1e-12 && series->x > first - step - 1e-12);
    assert_true(near(s.level[0], log(sqrt(1e5 / (POINTS * sqrt(exp2(22)))))));
    assert_true(near(s.level[ISOLOSS_LEVELS - 1], log(sqrt(1e5 / sqrt(exp2(12))))));
    isoloss_series_free(series, 1);
    isoloss_fini(&s);
    free(w);
}

static void a_smaller_grid_relaxes_and_says_so(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_series *series;
    for (int k = 6; k <= 10; k++)
        add(w, "rectangle", 3, k, 1);
    add(w, "trapezoid", 3, 6, 1); /* two sizes are no curve */
    add(w, "trapezoid", 3, 7, 1);
    for (int k = 6; k <= 8; k++)
        add(w, "rectangle", 4, k, 1);
    for (int i = 0; i < POINTS; i++) /* its largest network learns no faster than the middle one */
        w->points[w->n - 1][i].loss = w->points[w->n - 2][i].loss * 1.1;
    isoloss_make(&s, w->runs, w->curves, w->n, 0, &caches_study_cpu);
    assert_int_equal(isoloss_series(&series, &s, w->runs, ISOLOSS_ENERGY), 2);
    assert_int_equal(series[0].relaxed, ISOLOSS_SPAN);
    assert_int_equal(series[0].n, 5);
    assert_int_equal(series[0].least, 4);
    assert_int_equal(series[1].relaxed, ISOLOSS_ANY);
    assert_int_equal(series[1].least, 1);
    isoloss_series_free(series, 2);
    isoloss_fini(&s);
    free(w);
}

static void repeats_are_their_median(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_cost c;
    add(w, "rectangle", 3, 10, 1);
    add(w, "rectangle", 3, 10, 1.1);
    add(w, "rectangle", 3, 10, 9);
    add(w, "rectangle", 3, 10, 1000);
    w->runs[3].excluded = STUDY_X(OVERLAP);
    isoloss_make(&s, w->runs, w->curves, w->n, STUDY_X_JOULES, &caches_study_cpu);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.config[0].repeats, 3);
    double x = (s.config[0].x_lo + s.config[0].x_hi) / 2;
    assert_int_equal(isoloss_reach(&s.config[0], x, &c), 0);
    assert_true(near(c.energy_j, 1.1 * epochs_to(exp(x), 1024)));
    assert_int_equal(isoloss_reach(&s.config[0], s.config[0].x_lo - 1e-9, &c), -1);
    assert_true(isnan(c.energy_j));
    assert_int_equal(isoloss_reach(&s.config[0], s.config[0].x_hi + 1, &c), 1);
    assert_true(near(c.energy_j, 1.1));
    isoloss_fini(&s);
    free(w);
}

static void losses_that_rise_again_do_not_count(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_cost c;
    add(w, "rectangle", 3, 10, 1);
    w->curves[0].n = 4;
    static const double loss[] = {4, 2, 2, 1};
    for (int i = 0; i < 4; i++)
        w->points[0][i].loss = loss[i];
    isoloss_make(&s, w->runs, w->curves, w->n, 0, &caches_study_cpu);
    assert_int_equal(s.config[0].n, 3); /* the two points of loss 2 are one, half way */
    assert_int_equal(isoloss_reach(&s.config[0], log(2), &c), 0);
    assert_true(near(c.epochs, 2.5));
    isoloss_fini(&s);
    free(w);
}

static void unknown_joules_leave_the_time(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_step f[ISOLOSS_LEVELS];
    struct isoloss_series *series;
    for (int k = 6; k <= 10; k++) {
        add(w, "rectangle", 3, k, 1);
        for (int i = 0; i < POINTS; i++)
            w->points[w->n - 1][i].energy_j = NAN;
    }
    isoloss_make(&s, w->runs, w->curves, w->n, 0, &caches_study_cpu);
    assert_int_equal(isoloss_series(&series, &s, w->runs, ISOLOSS_ENERGY), 0);
    isoloss_series_free(series, 0);
    assert_int_equal(isoloss_frontier(f, ISOLOSS_LEVELS, &s, ISOLOSS_ENERGY), 0);
    assert_true(isoloss_frontier(f, ISOLOSS_LEVELS, &s, ISOLOSS_TIME) > 0);
    isoloss_fini(&s);
    free(w);
}

static void the_frontier_is_not_dominated(void **state)
{
    (void)state;
    struct world *w = new_world();
    struct isoloss s;
    struct isoloss_step f[ISOLOSS_LEVELS];
    for (int k = 12; k <= 22; k++)
        add(w, "rectangle", 3, k, 1);
    isoloss_make(&s, w->runs, w->curves, w->n, 0, &caches_study_cpu);
    size_t n = isoloss_frontier(f, ISOLOSS_LEVELS, &s, ISOLOSS_ENERGY);
    assert_true(n >= 2);
    for (size_t i = 0; i < n; i++) {
        assert_true(f[i].loss_hi >= f[i].loss_lo);
        assert_true(f[i].cost_hi.energy_j <= f[i].cost_lo.energy_j);
        for (size_t k = 0; k < s.n; k++) {
            struct isoloss_cost c;
            if (isoloss_reach(&s.config[k], log(f[i].loss_lo), &c) >= 0)
                assert_true(c.energy_j >= f[i].cost_lo.energy_j * (1 - 1e-9));
        }
        if (i > 0)
            assert_true(f[i].loss_hi < f[i - 1].loss_lo &&
                        f[i].cost_hi.energy_j >= f[i - 1].cost_lo.energy_j * (1 - 1e-9));
    }
    /* The best losses are the largest network's alone. */
    assert_int_equal(w->runs[s.config[f[n - 1].config].first].size, INT64_C(1) << 22);
    isoloss_fini(&s);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_minimum_is_where_the_law_has_it),
        cmocka_unit_test(the_highest_level_of_all_is_compared),
        cmocka_unit_test(a_smaller_grid_relaxes_and_says_so),
        cmocka_unit_test(repeats_are_their_median),
        cmocka_unit_test(losses_that_rise_again_do_not_count),
        cmocka_unit_test(unknown_joules_leave_the_time),
        cmocka_unit_test(the_frontier_is_not_dominated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
