/* Groups of runs: aggregates are those of the values, joules of two kinds never meet in one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/model/stats.h"
#include "tests/support/query_rows.h"

/* ---- groups -------------------------------------------------------------------------------------- */

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * (1 + fabs(b))))
        fail_msg("%.17g is not %.17g", a, b);
}

struct figures {
    size_t groups, mixed;
};

/* Group keys opt; aggregates n, mean, sd, ci, median, min, max, sum, n of the loss, then the mean energy. */
static int check_group(void *arg, int64_t n, const struct query_cell *cells)
{
    struct figures *x = arg;
    double v[RUNS];
    double sum = 0;
    size_t have = 0;
    int64_t runs = 0;
    bool estimated = false;
    bool measured = false;
    for (int id = 1; id <= RUNS; id++) {
        const struct truth *t = &truths[id];
        bool same = t->opt.kind == NUMBER ? cells[0].kind == QUERY_REAL && cells[0].r == t->opt.d
                    : t->opt.kind == TEXT
                        ? cells[0].kind == QUERY_TEXT && strcmp(cells[0].text, t->opt.text) == 0
                        : cells[0].kind == QUERY_UNKNOWN;
        if (!same)
            continue;
        runs++;
        if (t->loss.kind == NUMBER)
            sum += v[have++] = t->loss.d;
        if (t->energy.kind == NUMBER) {
            estimated = estimated || strcmp(t->quality.text, "estimated") == 0;
            measured = measured || strcmp(t->quality.text, "estimated") != 0;
        }
    }
    x->groups++;
    assert_int_equal(n, runs);
    assert_int_equal(cells[1].i, runs);
    assert_int_equal(cells[9].i, have);
    if (have >= 2) {
        assert_near(cells[2].r, sum / (double)have);
        assert_near(cells[3].r, stats_sd(v, have));
        assert_near(cells[4].r, stats_t_quantile(0.975, (double)have - 1) * stats_sd(v, have) /
                                    sqrt((double)have));
        stats_sort(v, have);
        assert_near(cells[5].r, (v[(have - 1) / 2] + v[have / 2]) / 2);
        assert_near(cells[6].r, v[0]);
        assert_near(cells[7].r, v[have - 1]);
        assert_near(cells[8].r, sum);
    } else {
        assert_int_equal(cells[3].kind, QUERY_UNKNOWN);
        assert_non_null(cells[3].reason);
    }
    if (estimated && measured) {
        x->mixed++;
        assert_int_equal(cells[10].kind, QUERY_UNKNOWN);
        assert_string_equal(cells[10].reason, "mixes measured and estimated energy");
    } else if (estimated || measured) {
        assert_int_equal(cells[10].kind, QUERY_REAL);
        assert_int_equal(strcmp(cells[10].quality, "estimated") == 0, estimated);
    }
    return 0;
}

static void group_query(struct query *q, const char *group)
{
    static const char *const aggs[] = {"n",
                                       "mean:metric.loss",
                                       "sd:metric.loss",
                                       "ci:metric.loss",
                                       "median:metric.loss",
                                       "min:metric.loss",
                                       "max:metric.loss",
                                       "sum:metric.loss",
                                       "n:metric.loss",
                                       "mean:energy"};
    struct err e = {0};
    query_init(q);
    q->ngroup = 1;
    rec_must(column_find(&q->group[0], group, strlen(group), &e), &e, "group");
    q->nagg = ARRAY_LEN(aggs);
    for (size_t i = 0; i < q->nagg; i++)
        rec_must(query_agg_parse(&q->agg[i], aggs[i], &e), &e, aggs[i]);
}

static void figures_of_groups(void **state)
{
    (void)state;
    struct query *q = base_alloc(sizeof *q);
    struct figures x = {0};
    struct err e = {0};
    group_query(q, "param.opt");
    rec_must(query_run(store, q, check_group, &x, &e), &e, "groups");
    assert_int_equal(x.groups, 6 + 5 + 1);
    assert_true(x.mixed > 0);
    x.groups = 0;
    q->nsort = 1;
    assert_int_equal(query_sort_parse(&q->sort[0], "-n", &e), 0);
    q->base.limit = 3;
    rec_must(query_run(store, q, check_group, &x, &e), &e, "sorted groups");
    assert_int_equal(x.groups, 3);
    assert_int_equal(query_sort_parse(&q->sort[0], "median:time", &e), 0);
    assert_int_equal(query_run(store, q, check_group, &x, &e), WATTQ_E_USAGE);
    free(q);
}

struct by_quality {
    size_t groups;
    double sum;
};

static int sum_group(void *arg, int64_t n, const struct query_cell *cells)
{
    struct by_quality *x = arg;
    (void)n;
    x->groups++;
    assert_true(cells[10].kind == QUERY_REAL || cells[0].kind == QUERY_UNKNOWN);
    return 0;
}

static void by_quality_nothing_mixes(void **state)
{
    (void)state;
    struct query *q = base_alloc(sizeof *q);
    struct by_quality x = {0};
    struct err e = {0};
    group_query(q, "quality");
    rec_must(query_run(store, q, sum_group, &x, &e), &e, "groups");
    assert_int_equal(x.groups, 4); /* and those without a figure */
    free(q);
}

static void words_of_figures(void **state)
{
    (void)state;
    struct query_agg a;
    struct err e = {0};
    char name[COLUMN_NAME_MAX + 8];
    static const char *const good[] = {"n", "n:label", "ci:metric.loss.min",
                                       "sum:energy.\"GPU 0\""};
    static const char *const bad[] = {"",           "mean",     "mean:",     "avg:energy",
                                      "mean:label", "sd:tag.x", "mean:enrgy"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(query_agg_parse(&a, good[i], &e), 0);
        assert_string_equal(query_agg_name(name, sizeof name, &a), good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(query_agg_parse(&a, bad[i], &e), WATTQ_E_USAGE);
        assert_true(e.next[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_groups),
        cmocka_unit_test(by_quality_nothing_mixes),
        cmocka_unit_test(words_of_figures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
