/* Quality filters, control chart and standardisation, against the study's own figures where it has some.
 * source of those: BUTTER-E, published analysis (notebooks 2 to 4) and its figures. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base.h"
#include "daemon/model/qc.h"

static struct study_run plain(int64_t id, const char *hardware, const char *dataset, int64_t size)
{
    struct study_run r = {.run = id,
                          .sweep = 1,
                          .size = size,
                          .batch = 256,
                          .rows_train = 4240,
                          .rows_test = 1060,
                          .run_s = 100,
                          .setup_s = 1,
                          .train_s = 80,
                          .test_s = 15,
                          .epochs = 10,
                          .rows_seen = 42400,
                          .quality = STUDY_MEASURED,
                          .run_j = 10000,
                          .setup_j = 100,
                          .train_j = 8000,
                          .test_j = 1500,
                          .idle_w = 50};
    base_strcpy(r.hardware, sizeof r.hardware, hardware);
    base_strcpy(r.machine, sizeof r.machine, hardware);
    base_strcpy(r.backend, sizeof r.backend, "openblas f32");
    base_strcpy(r.dataset, sizeof r.dataset, dataset);
    base_strcpy(r.shape, sizeof r.shape, "rectangle");
    r.net.depth = 3;
    r.net.params = size;
    return r;
}

/* ---- the study's filters -------------------------------------------------------------------------- */

static void filter_1_is_a_run_time(void **state)
{
    (void)state;
    struct study_run r[3] = {plain(1, "cpu1", "mnist", 64), plain(2, "cpu1", "mnist", 64),
                             plain(3, "cpu1", "mnist", 64)};
    r[0].run_s = 75000;
    r[1].run_s = 75000.001;
    r[2].run_s = NAN;
    qc_apply(r, 3, STUDY_X(SLOW));
    assert_int_equal(r[0].excluded, 0);
    assert_int_equal(r[1].excluded, STUDY_X(SLOW));
    assert_int_equal(r[2].excluded, 0);
}

static void filter_2_is_no_energy_at_all(void **state)
{
    (void)state;
    struct study_run r[2] = {plain(1, "cpu1", "mnist", 64), plain(2, "cpu1", "mnist", 64)};
    r[0].run_j = 0;
    r[1].run_j = NAN; /* unknown is not zero */
    qc_apply(r, 2, STUDY_X(ZERO) | STUDY_X(NO_ENERGY));
    assert_int_equal(r[0].excluded, STUDY_X(ZERO));
    assert_int_equal(r[1].excluded, STUDY_X(NO_ENERGY));
}

/* n runs of e^0 s and one of e^1: the population sd is sqrt(n)/(n+1), so the odd one is sqrt(n) sd away. */
static bool odd_one_of(size_t n)
{
    struct study_run r[32];
    for (size_t i = 0; i <= n; i++) {
        r[i] = plain((int64_t)i, "cpu1", "mnist", 64);
        r[i].run_s = i == n ? exp(1) : 1;
    }
    qc_apply(r, n + 1, STUDY_X(OUTLIER));
    assert_int_equal(qc_count(r, n, STUDY_X(OUTLIER)), 0);
    return r[n].excluded == STUDY_X(OUTLIER);
}

static void filter_3_is_four_population_sd(void **state)
{
    (void)state;
    assert_false(odd_one_of(15)); /* sqrt(15) < 4 */
    assert_true(odd_one_of(17));
    assert_false(odd_one_of(0)); /* a group of one */
}

static void filter_3_compares_within_its_group(void **state)
{
    (void)state;
    struct study_run r[40];
    for (size_t i = 0; i < 40; i++) {
        r[i] = plain((int64_t)i, "cpu1", "mnist", 64);
        r[i].run_s = 1 + (double)i / 1e4;
    }
    r[39].run_s = 50;
    static const struct {
        const char *hardware, *dataset;
        int64_t size;
        enum study_role role;
    } other[] = {{"gpu1", "mnist", 64, STUDY_NETWORK},
                 {"cpu1", "sleep", 64, STUDY_NETWORK},
                 {"cpu1", "mnist", 128, STUDY_NETWORK},
                 {"cpu1", "mnist", 64, STUDY_CANARY}};
    qc_apply(r, 40, STUDY_X(OUTLIER));
    assert_int_equal(r[39].excluded, STUDY_X(OUTLIER));
    for (size_t k = 0; k < ARRAY_LEN(other); k++) {
        double run_s = r[39].run_s;
        r[39] = plain(39, other[k].hardware, other[k].dataset, other[k].size);
        r[39].role = other[k].role;
        r[39].run_s = run_s;
        qc_apply(r, 40, STUDY_X(OUTLIER));
        assert_int_equal(qc_count(r, 40, STUDY_X(OUTLIER)), 0);
    }
}

/* ---- steps ---------------------------------------------------------------------------------------- */

static void steps_can_be_taken_back(void **state)
{
    (void)state;
    struct study_run r = plain(1, "cpu1", "mnist", 64);
    const struct study_run before = r;
    base_strcpy(r.flags, sizeof r.flags, "bridged overlapping coarse");
    r.stopped = true;
    r.quality = STUDY_ESTIMATED;
    r.standin = true;
    qc_apply(&r, 1, QC_ALL);
    assert_int_equal(r.excluded, STUDY_X(COVERAGE) | STUDY_X(RESOLUTION) | STUDY_X(STOPPED) |
                                     STUDY_X(ESTIMATE) | STUDY_X(STANDIN_LOSS));
    qc_undo(&r, 1, qc_step_bit("stopped") | qc_step_bit("coverage"));
    assert_int_equal(r.excluded, STUDY_X(RESOLUTION) | STUDY_X(ESTIMATE) | STUDY_X(STANDIN_LOSS));
    qc_apply(&r, 1, STUDY_X(STOPPED));
    assert_true(r.excluded & STUDY_X(STOPPED));
    qc_undo(&r, 1, QC_ALL);
    assert_int_equal(r.excluded, 0);
    assert_true(r.run_j == before.run_j && r.run_s == before.run_s);
    assert_int_equal(qc_step_bit("no_such_step"), 0);
    assert_int_equal(qc_step_bit("filter_3"), STUDY_X(OUTLIER));
}

/* ---- control chart -------------------------------------------------------------------------------- */

/* Seven blocks of one canary and two networks; canary `bad` took `factor` times as long. */
static void blocks(struct study_run r[21], int bad, double factor)
{
    static const double noise[] = {1.001, 0.999, 1.002, 0.998, 1.000, 1.001, 0.999};
    for (int b = 0; b < 7; b++) {
        for (int k = 0; k < 3; k++) {
            struct study_run *x = &r[3 * b + k];
            *x = plain(3 * b + k + 1, "vm", "mnist", 1024);
            x->block = b + 1;
            x->started_utc_ns = 1000 + 3 * b + k;
            x->role = k == 0 ? STUDY_CANARY : STUDY_NETWORK;
            x->train_s *= k == 0 ? noise[b] * (b == bad ? factor : 1) : 1;
        }
    }
}

static void a_failing_canary_takes_its_block(void **state)
{
    (void)state;
    struct study_run r[21];
    struct qc_chart *c;
    blocks(r, 4, 1.05);
    assert_int_equal(qc_charts(&c, r, 21), 2);
    assert_int_equal(c[0].quantity, QC_TIME);
    assert_int_equal(c[0].n, 7);
    assert_int_equal(c[0].failing, 1);
    assert_true(c[0].points[4].failing);
    assert_int_equal(c[0].points[4].run, 13);
    assert_int_equal(c[1].quantity, QC_ENERGY);
    assert_int_equal(c[1].failing, 0);
    qc_charts_free(c, 2);
    qc_apply(r, 21, STUDY_X(BLOCK) | STUDY_X(CANARY));
    for (int i = 0; i < 21; i++) {
        uint32_t want = (r[i].block == 5 ? STUDY_X(BLOCK) : 0) | (i % 3 ? 0 : STUDY_X(CANARY));
        assert_int_equal(r[i].excluded, want);
    }
}

static void limits_come_from_median_and_mad(void **state)
{
    (void)state;
    struct qc_point p[5] = {
        {.value = 10}, {.value = 11}, {.value = 12}, {.value = 13}, {.value = 90}};
    struct qc_chart c = {.points = p, .n = 5};
    qc_chart_limits(&c);
    assert_true(fabs(c.centre - 12) < 1e-12 && fabs(c.sigma - 1.4826) < 1e-12);
    assert_true(fabs(c.hi - (12 + 3 * 1.4826)) < 1e-12 && fabs(c.lo - (12 - 3 * 1.4826)) < 1e-12);
    assert_true(fabs(c.mean - 27.2) < 1e-12);
    assert_int_equal(c.failing, 1);
    for (int i = 0; i < 5; i++)
        p[i].value = 100 + 0.001 * i; /* quieter than anybody looks: the floor */
    p[4].value = 101.9;
    qc_chart_limits(&c);
    assert_int_equal(c.failing, 0);
    p[4].value = 102.1;
    qc_chart_limits(&c);
    assert_int_equal(c.failing, 1);
    c.n = 4; /* too few to say anything */
    p[3].value = 1000;
    qc_chart_limits(&c);
    assert_true(isnan(c.lo) && isnan(c.sigma));
    assert_int_equal(c.failing, 0);
}

static void no_chart_of_estimates(void **state)
{
    (void)state;
    struct study_run r[21];
    struct qc_chart *c;
    blocks(r, -1, 1);
    r[3].quality = STUDY_ESTIMATED;
    assert_int_equal(qc_charts(&c, r, 21), 1);
    assert_int_equal(c[0].quantity, QC_TIME);
    qc_charts_free(c, 1);
}

/* ---- standardisation ------------------------------------------------------------------------------ */

static void offsets_bring_nodes_to_the_reference(void **state)
{
    (void)state;
    static const struct {
        const char *hardware;
        bool gpu;
        double add_w;
    } rows[] = {{"cpu1", false, 0},    {"cpu2", false, -10}, {"cpu3", false, -89},
                {"cpu4", false, -168}, {"gpu1", true, 0},    {"gpu2", true, -29}};
    const struct qc_options o = {.steps = QC_STD_OFFSET,
                                 .reference = {"cpu1", "gpu1"},
                                 .idle = qc_idle_study,
                                 .nidle = qc_idle_study_count};
    struct study_run r[ARRAY_LEN(rows)];
    struct qc_standard s[ARRAY_LEN(rows)];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        r[i] = plain((int64_t)i, rows[i].hardware, "mnist", 64);
        r[i].gpu = rows[i].gpu;
        r[i].run_s = 1000;
        r[i].run_j = 400e3;
    }
    qc_standardise(s, r, ARRAY_LEN(rows), &o);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(fabs(s[i].std_j - 1000 * (400 + rows[i].add_w)) < 1e-6);
        assert_true(fabs(s[i].net_j - s[i].std_j) < 1e-9);
        assert_true(r[i].run_j == 400e3);
    }
}

/* The study's start-up of a CPU node: 14,028.67 J and 52.88 s, the 5th percentile over its smallest data
 * set's runs up to 1,024 parameters. Twenty-one such runs, of which the second smallest is that quantile. */
static void start_up_is_the_5th_percentile(void **state)
{
    (void)state;
    const struct qc_options o = {.steps = QC_STD_STARTUP, .startup = QC_STARTUP_SMALLEST};
    struct study_run r[24];
    struct qc_standard s[24];
    for (int i = 0; i < 21; i++) {
        r[i] = plain(i, "cpu1", "505_tecator", 1024);
        r[i].rows_train = 192;
        r[i].rows_test = 48;
        r[i].run_s = i == 0 ? 50 : i == 7 ? 52.88 : 60 + i;
        r[i].run_j = i == 7 ? 13000 : i == 0 ? 14028.67 : 15000 + i;
    }
    r[21] = plain(21, "cpu1", "505_tecator", 2048); /* too large to count */
    r[21].rows_train = 192;
    r[21].run_s = r[21].run_j = 1;
    r[22] = plain(22, "cpu1", "mnist", 64);
    r[22].rows_train = 56000;
    r[22].rows_test = 14000;
    r[22].epochs = 3000;
    r[22].run_s = 52.88 + 4500;
    r[22].run_j = 14028.67 + 502.0 * 3000;  /* the study's median mnist network: 502 J per epoch */
    r[23] = plain(23, "gpu1", "mnist", 64); /* no calibration run of its hardware */
    qc_standardise(s, r, 24, &o);
    assert_true(fabs(s[22].overhead_j - 14028.67) < 1e-6 && fabs(s[22].overhead_s - 52.88) < 1e-9);
    assert_true(fabs(s[22].net_s - 4500) < 1e-9 && fabs(s[22].study.epoch_j - 502) < 1e-9);
    /* 219 batches of 256 an epoch: the study's 56,064 data. */
    assert_true(fabs(s[22].study.batch_j - 502.0 / 219) < 1e-12);
    assert_true(fabs(s[22].study.datum_j - 502.0 / 56064) < 1e-12);
    assert_true(s[0].dropped && s[21].dropped && !s[22].dropped);
    assert_true(isnan(s[23].net_j) && !s[23].dropped);
}

/* Rows of a data set -> training data per epoch as the study counts them, its printed table. */
static void data_per_epoch_are_the_study_s(void **state)
{
    (void)state;
    static const struct {
        int64_t train, test;
        double data;
    } rows[] = {{2550, 638, 2560},     {3078, 770, 3328},     {3918, 980, 4096},
                {4240, 1060, 4352},    {5148, 1287, 5376},    {10366, 2592, 10496},
                {12000, 3000, 12032},  {16512, 4128, 16640},  {39073, 9769, 39168},
                {54045, 13512, 54272}, {56000, 14000, 56064}, {84726, 21182, 84736}};
    const struct qc_options o = {.steps = 0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct study_run r = plain(1, "cpu1", "x", 64);
        struct qc_standard s;
        r.rows_train = rows[i].train;
        r.rows_test = rows[i].test;
        qc_standardise(&s, &r, 1, &o);
        assert_true(fabs(s.study.epoch_j / s.study.datum_j - rows[i].data) < 1e-6);
    }
}

static void marks_give_the_start_up_of_each_run(void **state)
{
    (void)state;
    const struct qc_options o = {.steps = QC_STD_STARTUP};
    struct study_run r = plain(1, "vm", "banana", 64);
    struct qc_standard s;
    qc_standardise(&s, &r, 1, &o);
    assert_true(fabs(s.overhead_s - 5) < 1e-12 && fabs(s.overhead_j - 500) < 1e-9);
    assert_true(fabs(s.net_s - 95) < 1e-12 && fabs(s.net_j - 9500) < 1e-9);
    assert_true(fabs(s.exact.datum_j - 8000.0 / 42400) < 1e-12);
    assert_true(fabs(s.exact.batch_j - 8000.0 / 170) < 1e-9); /* 17 batches, the last one short */
    assert_true(fabs(s.exact.epoch_j - 800) < 1e-9);
    r.test_s = NAN;
    qc_standardise(&s, &r, 1, &o);
    assert_true(isnan(s.net_s)); /* unknown stays unknown */
}

static void repeats_become_their_median(void **state)
{
    (void)state;
    const struct qc_options o = {.steps = QC_STD_STARTUP};
    struct study_run r[5];
    struct qc_standard s[5];
    struct qc_config *c;
    static const double j[] = {8000, 8200, 9000, 1e6, 7000};
    for (int i = 0; i < 5; i++) {
        r[i] = plain(i, "vm", "banana", i == 4 ? 128 : 64);
        r[i].run_j += j[i] - r[i].train_j;
        r[i].train_j = j[i];
    }
    r[3].excluded = STUDY_X(OVERLAP);
    qc_standardise(s, r, 5, &o);
    assert_int_equal(qc_medians(&c, r, s, 5, STUDY_X_JOULES), 2);
    assert_int_equal(c[0].n, 3);
    assert_true(fabs(c[0].net_j - 9700) < 1e-9);
    assert_true(fabs(c[0].exact.epoch_j - 820) < 1e-9);
    assert_int_equal(c[1].n, 1);
    assert_int_equal(c[1].first, 4);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_1_is_a_run_time),
        cmocka_unit_test(filter_2_is_no_energy_at_all),
        cmocka_unit_test(filter_3_is_four_population_sd),
        cmocka_unit_test(filter_3_compares_within_its_group),
        cmocka_unit_test(steps_can_be_taken_back),
        cmocka_unit_test(a_failing_canary_takes_its_block),
        cmocka_unit_test(limits_come_from_median_and_mad),
        cmocka_unit_test(no_chart_of_estimates),
        cmocka_unit_test(offsets_bring_nodes_to_the_reference),
        cmocka_unit_test(start_up_is_the_5th_percentile),
        cmocka_unit_test(data_per_epoch_are_the_study_s),
        cmocka_unit_test(marks_give_the_start_up_of_each_run),
        cmocka_unit_test(repeats_become_their_median),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
