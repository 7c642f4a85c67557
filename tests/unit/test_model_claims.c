/* Verdicts about the study's findings, on runs made by a law: what the law has is reproduced, what it has
 * not is refused, what the runs cannot show is not judged - and no sentence ever holds a "nan". */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/model/claims.h"
#include "study_world.h"

static size_t judge(struct claim *out, const struct world *w, const struct claims_input *more)
{
    struct points p;
    struct claims_input in = more ? *more : (struct claims_input){0};
    if (!more)
        for (size_t k = 0; k < POINTS_CLASSES; k++)
            in.model[k] = (struct claims_model){NAN, NAN, NAN, NAN, 0};
    points_make(&p, w->runs, w->n, &caches_study_cpu, &caches_study_gpu, "here");
    in.points = &p;
    size_t n = claims_judge(out, &in);
    points_free(&p);
    for (size_t i = 0; i < n; i++) {
        assert_true(out[i].why[0]);
        assert_null(strstr(out[i].why, "nan"));
        assert_null(strstr(out[i].why, "inf"));
        assert_true(out[i].row >= 1 && out[i].row <= 16);
        if (out[i].verdict == CLAIM_REPRODUCED)
            assert_true(isfinite(out[i].value));
    }
    return n;
}

static const struct claim *claim_of(const struct claim *c, size_t n, int row, enum claim_hardware h)
{
    for (size_t i = 0; i < n; i++)
        if (c[i].row == row && c[i].hardware == h)
            return &c[i];
    print_error("no claim %d\n", row);
    abort();
}

static void expect(const struct claim *c, size_t n, int row, enum claim_hardware h,
                   enum claim_verdict v)
{
    const struct claim *one = claim_of(c, n, row, h);
    if (one->verdict != v)
        fail_msg("row %d: %s, not %s: %g (%g..%g) %s", row, claim_verdict_name(one->verdict),
                 claim_verdict_name(v), one->value, one->lo, one->hi, one->why);
}

/* ---- laws ---------------------------------------------------------------------------------------- */

static const int two_depths[] = {2, 4, 8, 0};
static const int dip_depths[] = {5, 6, 7, 0};

/* Rises with depth by 7 %, slowly with f inside of L1, fast beyond. */
static double law_study(const struct study_run *r, double f)
{
    double l1 = 32768;
    double grow = f < l1 ? 0.05 : 0.4;
    return 1e-6 * pow(f / l1, grow) * pow(1.07, r->net.depth - 2);
}

/* Nothing of all that. */
static double law_flat(const struct study_run *r, double f)
{
    (void)r;
    (void)f;
    return 2e-6;
}

static double law_gpu(const struct study_run *r, double f)
{
    double l2 = 6406144;
    (void)r;
    return 8e-6 * (f < l2 ? 1 : pow(f / l2, 0.6));
}

static double law_dip(const struct study_run *r, double f)
{
    return law_study(r, f) * (r->net.depth == 6 ? 0.65 : 1);
}

/* At 2^22 and beyond depth 2 costs three times as much; half of the cost does not depend on size. */
static double law_large(const struct study_run *r, double f)
{
    (void)f;
    double base = 1e-6 + 5e-13 * (double)r->net.params;
    return base * (r->net.depth == 2 && r->size >= 1 << 22 ? 3 : 1);
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void what_the_law_has_is_reproduced(void **state)
{
    (void)state;
    struct world w = {0};
    struct claim c[CLAIMS_MAX];
    add_grid(&w, &(struct grid){law_study, 6, 19, two_depths, STUDY_MEASURED, false, 2});
    size_t n = judge(c, &w, NULL);
    expect(c, n, 2, CLAIM_CPU, CLAIM_REPRODUCED);
    expect(c, n, 5, CLAIM_CPU, CLAIM_REPRODUCED);
    expect(c, n, 6, CLAIM_CPU, CLAIM_REPRODUCED);
    expect(c, n, 9, CLAIM_CPU, CLAIM_REPRODUCED);
    const struct claim *depth = claim_of(c, n, 6, CLAIM_CPU);
    /* Growth per layer: the law's 7 %, less what narrower layers save by their smaller sets. */
    assert_true(depth->value > 0.03 && depth->value < 0.08);
    assert_true(depth->hi - depth->lo < 0.03);
    assert_false(depth->time);
    for (int row = 11; row <= 16; row++)
        if (row != 16)
            expect(c, n, row, CLAIM_BOTH, CLAIM_UNTESTABLE);
    expect(c, n, 1, CLAIM_GPU, CLAIM_UNTESTABLE);
    expect(c, n, 3, CLAIM_BOTH, CLAIM_UNTESTABLE);
    expect(c, n, 4, CLAIM_CPU, CLAIM_UNTESTABLE); /* nothing larger than 2^19 */
    expect(c, n, 16, CLAIM_GPU, CLAIM_UNTESTABLE);
    free(w.runs);
}

static void what_it_has_not_is_refused(void **state)
{
    (void)state;
    struct world w = {0};
    struct claim c[CLAIMS_MAX];
    add_grid(&w, &(struct grid){law_flat, 6, 19, two_depths, STUDY_MEASURED, false, 1});
    size_t n = judge(c, &w, NULL);
    expect(c, n, 2, CLAIM_CPU, CLAIM_NOT);
    expect(c, n, 6, CLAIM_CPU, CLAIM_NOT);
    expect(c, n, 9, CLAIM_CPU, CLAIM_NOT);
    expect(c, n, 5, CLAIM_CPU, CLAIM_REPRODUCED); /* a datum costs the same: proportional */
    free(w.runs);
}

static void estimates_are_judged_by_time(void **state)
{
    (void)state;
    struct world w = {0};
    struct claim c[CLAIMS_MAX];
    add_grid(&w, &(struct grid){law_study, 6, 19, two_depths, STUDY_ESTIMATED, false, 1});
    size_t n = judge(c, &w, NULL);
    expect(c, n, 2, CLAIM_CPU, CLAIM_REPRODUCED);
    assert_true(claim_of(c, n, 2, CLAIM_CPU)->time);
    struct points p;
    points_make(&p, w.runs, w.n, NULL, NULL, NULL);
    assert_false(p.set[POINTS_CPU].joules);
    assert_string_equal(p.set[POINTS_CPU].cost, "s/datum");
    assert_int_equal(p.set[POINTS_CPU].estimated, p.set[POINTS_CPU].n);
    assert_true(isnan(p.set[POINTS_CPU].at[0].j));
    points_free(&p);
    free(w.runs);
}

static void nothing_is_no_verdict(void **state)
{
    (void)state;
    struct world w = {0};
    struct claim c[CLAIMS_MAX];
    w.runs = base_alloc(RUNS_MAX * sizeof *w.runs);
    size_t n = judge(c, &w, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(c[i].verdict, CLAIM_UNTESTABLE);
    static const int one[] = {3, 0};
    add_grid(&w, &(struct grid){law_study, 10, 10, one, STUDY_MEASURED, false, 1});
    n = judge(c, &w, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(c[i].verdict, CLAIM_UNTESTABLE);
    free(w.runs);
}

static void cpu_and_gpu_cross(void **state)
{
    (void)state;
    struct world w = {0};
    struct claim c[CLAIMS_MAX];
    add_grid(&w, &(struct grid){law_study, 8, 22, two_depths, STUDY_MEASURED, false, 1});
    add_grid(&w, &(struct grid){law_gpu, 8, 22, two_depths, STUDY_MEASURED, true, 1});
    size_t n = judge(c, &w, NULL);
    expect(c, n, 3, CLAIM_BOTH, CLAIM_REPRODUCED);
    expect(c, n, 1, CLAIM_GPU, CLAIM_REPRODUCED);
    expect(c, n, 10, CLAIM_GPU, CLAIM_REPRODUCED);
    expect(c, n, 6, CLAIM_GPU, CLAIM_NOT);
    const struct claim *x = claim_of(c, n, 3, CLAIM_BOTH);
    assert_true(x->value > 1 << 16 && x->value < 1 << 22);
    assert_false(x->time);
    /* Joules of different parts of the machine are not compared: the verdict is by time. */
    for (size_t i = 0; i < w.n; i++)
        if (w.runs[i].gpu)
            base_strcpy(w.runs[i].scope, sizeof w.runs[i].scope, "gpu");
    n = judge(c, &w, NULL);
    assert_true(claim_of(c, n, 3, CLAIM_BOTH)->time);
    free(w.runs);
}

static void large_shallow_and_dip(void **state)
{
    (void)state;
    struct world w = {0};
    struct claim c[CLAIMS_MAX];
    add_grid(&w, &(struct grid){law_large, 19, 23, two_depths, STUDY_MEASURED, false, 1});
    size_t n = judge(c, &w, NULL);
    expect(c, n, 4, CLAIM_CPU, CLAIM_REPRODUCED);
    expect(c, n, 7, CLAIM_CPU, CLAIM_REPRODUCED);
    assert_true(fabs(claim_of(c, n, 7, CLAIM_CPU)->value - 3) < 0.2);
    expect(c, n, 8, CLAIM_CPU, CLAIM_UNTESTABLE);
    w.n = 0;
    add_grid(&w, &(struct grid){law_dip, 10, 16, dip_depths, STUDY_MEASURED, false, 1});
    n = judge(c, &w, NULL);
    expect(c, n, 8, CLAIM_CPU, CLAIM_REPRODUCED);
    assert_true(fabs(claim_of(c, n, 8, CLAIM_CPU)->value - 0.35) < 0.03);
    w.n = 0;
    add_grid(&w, &(struct grid){law_study, 10, 16, dip_depths, STUDY_MEASURED, false, 1});
    n = judge(c, &w, NULL);
    expect(c, n, 8, CLAIM_CPU, CLAIM_NOT);
    free(w.runs);
}

/* ---- lines and models ---------------------------------------------------------------------------- */

#define LINE_SIZES 10
struct line_data {
    int64_t size[LINE_SIZES];
    double cost[LINE_SIZES];
    double ops[LINE_SIZES];
    double f[LINE_SIZES];
};

/* Falls from 200 times the least to its minimum at index `at`, then rises. f passes the study's caches. */
static void fill_line(struct line_data *d, int at, double tiny, double behind)
{
    for (int i = 0; i < LINE_SIZES; i++) {
        d->size[i] = INT64_C(1) << (14 + i);
        d->f[i] = 6.0 * (double)d->size[i];
        d->cost[i] = i <= at ? pow(tiny, (double)(at - i) / at) : pow(behind, i - at);
        d->ops[i] = 1 + fabs(i - 1.0);
    }
}

static void lines_of_equal_loss(void **state)
{
    (void)state;
    struct world w = {.runs = base_alloc(RUNS_MAX * sizeof *w.runs)};
    struct claim c[CLAIMS_MAX];
    struct line_data d[6];
    struct claims_line lines[6];
    struct claims_input in = {.lines = lines, .nlines = 6, .lines_joules = true};
    add_grid(&w, &(struct grid){law_study, 8, 12, two_depths, STUDY_MEASURED, false, 1});
    for (int i = 0; i < 6; i++) {
        fill_line(&d[i], 7 + i % 2, 200, 1.6);
        lines[i] = (struct claims_line){.dataset = i ? "nursery" : "connect_4",
                                        .shape = "trapezoid",
                                        .depth = 4,
                                        .ordered = true,
                                        .n = LINE_SIZES,
                                        .size = d[i].size,
                                        .cost = d[i].cost,
                                        .ops = d[i].ops,
                                        .f = d[i].f};
    }
    size_t n = judge(c, &w, &in);
    expect(c, n, 11, CLAIM_BOTH, CLAIM_REPRODUCED);
    assert_true(fabs(claim_of(c, n, 11, CLAIM_BOTH)->value - 200) < 1);
    expect(c, n, 12, CLAIM_BOTH, CLAIM_REPRODUCED);
    expect(c, n, 14, CLAIM_BOTH, CLAIM_REPRODUCED);
    expect(c, n, 13, CLAIM_BOTH, CLAIM_NOT); /* 2^21 where the study has 2^18 */
    for (int i = 0; i < 6; i++)
        fill_line(&d[i], 7, 3, 1.0);
    n = judge(c, &w, &in);
    expect(c, n, 11, CLAIM_BOTH, CLAIM_NOT);
    for (int i = 0; i < 6; i++)
        lines[i].standin = true;
    n = judge(c, &w, &in);
    for (int row = 11; row <= 14; row++)
        expect(c, n, row, CLAIM_BOTH, CLAIM_UNTESTABLE);
    assert_non_null(strstr(claim_of(c, n, 11, CLAIM_BOTH)->why, "stand-in"));
    for (int i = 0; i < 6; i++) { /* a loss that all reach at once */
        lines[i].standin = false;
        lines[i].ordered = false;
    }
    n = judge(c, &w, &in);
    expect(c, n, 11, CLAIM_BOTH, CLAIM_UNTESTABLE);
    assert_non_null(strstr(claim_of(c, n, 11, CLAIM_BOTH)->why, "long enough"));
    free(w.runs);
}

static void models_against_the_study(void **state)
{
    (void)state;
    struct world w = {.runs = base_alloc(RUNS_MAX * sizeof *w.runs)};
    struct claim c[CLAIMS_MAX];
    struct claims_input in = {0};
    in.model[POINTS_CPU] = (struct claims_model){0.04, 0.03, 0.35, 0.20, 60};
    in.model[POINTS_GPU] = (struct claims_model){NAN, 0.08, 0.35, 0.20, 60};
    size_t n = judge(c, &w, &in);
    expect(c, n, 15, CLAIM_BOTH, CLAIM_REPRODUCED);
    expect(c, n, 16, CLAIM_CPU, CLAIM_REPRODUCED);
    expect(c, n, 16, CLAIM_GPU, CLAIM_NOT);
    assert_true(claim_of(c, n, 16, CLAIM_GPU)->time);
    in.model[POINTS_CPU] = (struct claims_model){0.04, 0.18, 0.35, 0.20, 60};
    n = judge(c, &w, &in);
    expect(c, n, 15, CLAIM_BOTH, CLAIM_NOT);
    free(w.runs);
}

/* ---- points -------------------------------------------------------------------------------------- */

static void repeats_become_one_median(void **state)
{
    (void)state;
    static const int one[] = {3, 0};
    struct world w = {0};
    struct points p;
    add_grid(&w, &(struct grid){law_study, 10, 10, one, STUDY_MEASURED, false, 3});
    assert_int_equal(w.n, 12);
    for (size_t i = 0; i < w.n; i++) /* 1 2 9, then others */
        w.runs[i].train_j =
            w.runs[i].rows_seen * (w.runs[i].repeat == 3 ? 9 : (double)w.runs[i].repeat);
    w.runs[3].excluded = STUDY_X(OUTLIER);
    w.runs[4].role = STUDY_CANARY;
    points_make(&p, w.runs, w.n, &caches_study_cpu, NULL, "elsewhere");
    const struct points_set *s = &p.set[POINTS_CPU];
    assert_int_equal(s->n, 4);
    assert_true(s->joules);
    assert_int_equal(s->caches.n, 0); /* another machine's caches are not ours */
    assert_true(isnan(s->at[0].f));
    size_t nine = 0;
    for (size_t i = 0; i < s->n; i++) {
        nine += s->at[i].repeats == 1 && s->at[i].j == 9;
        assert_true(s->at[i].repeats == 1 || (s->at[i].repeats == 3 && s->at[i].j == 2));
    }
    assert_int_equal(nine, 1);
    points_free(&p);
    free(w.runs);
}

static void only_one_setting_is_taken(void **state)
{
    (void)state;
    struct world w = {0};
    struct points p;
    add_grid(&w, &(struct grid){law_study, 8, 16, two_depths, STUDY_MEASURED, false, 1});
    for (size_t i = 0; i < 10; i++)
        w.runs[i].threads = 1;
    base_strcpy(w.runs[10].scope, sizeof w.runs[10].scope, "node");
    points_make(&p, w.runs, w.n, NULL, NULL, NULL);
    assert_int_equal(p.set[POINTS_CPU].other, 10);
    assert_int_equal(p.set[POINTS_CPU].n,
                     w.n - 11); /* joules of another scope are not comparable */
    assert_int_equal(p.set[POINTS_GPU].n, 0);
    assert_null(p.set[POINTS_GPU].setting);
    size_t *group = base_alloc(w.n * sizeof *group);
    assert_int_equal(points_group(&p.set[POINTS_CPU], POINTS_DATASET, group), 4);
    assert_int_equal(points_group(&p.set[POINTS_CPU], POINTS_DEPTH, group), 3);
    free(group);
    points_free(&p);
    free(w.runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_law_has_is_reproduced),
        cmocka_unit_test(what_it_has_not_is_refused),
        cmocka_unit_test(estimates_are_judged_by_time),
        cmocka_unit_test(nothing_is_no_verdict),
        cmocka_unit_test(cpu_and_gpu_cross),
        cmocka_unit_test(large_shallow_and_dip),
        cmocka_unit_test(lines_of_equal_loss),
        cmocka_unit_test(models_against_the_study),
        cmocka_unit_test(repeats_become_one_median),
        cmocka_unit_test(only_one_setting_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
