/* The arithmetic of a finding, and figures without a daemon: bounds that hold the truth, factors that are
 * claimed only when the data carry them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client/curve.h"
#include "client/finding.h"
#include "client_golden.h"

/* ---- curve: a staircase counter with a known truth ------------------------------------------------ */

#define PERIOD NS_PER_MS
#define WATTS  INT64_C(80000000) /* uW */

/* What has really flowed at t, and what the register shows: refreshed on a grid, late by lag. */
static int64_t truth(int64_t t_ns)
{
    return t_ns / 1000 * (WATTS / 1000000); /* 80 uJ per us */
}
static int64_t shown(int64_t t_ns, int64_t phase)
{
    return truth((t_ns - phase) / PERIOD * PERIOD + phase);
}

static void bounds_contain_the_truth(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    const struct channel_desc d = {.kind = CHANNEL_COUNTER,
                                   .quality = QUALITY_MODELLED,
                                   .quantum = 1,
                                   .period_ns = PERIOD,
                                   .period_declared = true,
                                   .pmax_uw = 300000000};
    for (int i = 0; i < 5000; i++) {
        struct curve_sample s[64];
        size_t n = 0;
        int64_t phase = rand() % PERIOD;
        int64_t t0 = NS_PER_S + rand() % NS_PER_MS;
        int64_t t1 = t0 + rand() % (50 * NS_PER_MS) + 3 * NS_PER_MS;
        int64_t at[64];
        at[n++] = t0 - rand() % NS_PER_MS - 20000;
        at[n++] = t0 + PERIOD + rand() % 100000;
        for (int64_t t = at[1] + 10 * NS_PER_MS; t < t1 - 100000; t += 10 * NS_PER_MS)
            at[n++] = t;
        at[n++] = t1 + rand() % 200000;
        at[n++] = t1 + PERIOD + rand() % 100000 + 200000;
        for (size_t k = 0; k < n; k++)
            s[k] = (struct curve_sample){.before_ns = at[k],
                                         .after_ns = at[k] + 10000,
                                         .value = shown(at[k] + 5000, phase),
                                         .valid = true};
        struct curve_figure f;
        curve_figure(&f, &d, s, n, t0, t1);
        int64_t real = truth(t1) - truth(t0);
        assert_true(f.known && f.bounded);
        if (f.lo_uj > real || f.hi_uj < real || f.energy_uj < f.lo_uj || f.energy_uj > f.hi_uj)
            fail_msg("truth %lld, figure %lld in %lld..%lld", (long long)real,
                     (long long)f.energy_uj, (long long)f.lo_uj, (long long)f.hi_uj);
    }
}

static void no_bound_without_its_samples(void **state)
{
    (void)state;
    struct channel_desc d = {.kind = CHANNEL_COUNTER,
                             .quality = QUALITY_MODELLED,
                             .quantum = 1,
                             .period_ns = PERIOD,
                             .period_declared = false};
    struct curve_sample s[] = {{0, 10, 0, true}, {100 * PERIOD, 100 * PERIOD + 10, 8000, true}};
    struct curve_figure f;
    curve_figure(&f, &d, s, 2, 20, 100 * PERIOD);
    assert_true(f.known);
    assert_false(f.bounded);
    assert_int_equal(strncmp(f.basis, "none:", 5), 0);
    s[1].valid = false;
    curve_figure(&f, &d, s, 2, 20, 100 * PERIOD);
    assert_false(f.known);
    assert_non_null(f.reason);
    d.quality = QUALITY_ESTIMATED;
    s[1].valid = true;
    curve_figure(&f, &d, s, 2, 20, 90 * PERIOD);
    assert_false(f.bounded);
    assert_string_equal(f.method, "estimate");
}

static void a_gauge_is_integrated_without_bounds(void **state)
{
    (void)state;
    const struct channel_desc d = {
        .kind = CHANNEL_GAUGE, .quality = QUALITY_MEASURED, .period_ns = PERIOD};
    struct curve_sample s[21];
    for (int i = 0; i < 21; i++)
        s[i] = (struct curve_sample){i * NS_PER_S, i * NS_PER_S, 50000000, i != 7};
    struct curve_figure f;
    curve_figure(&f, &d, s, 21, NS_PER_S / 2, 10 * NS_PER_S + NS_PER_S / 2);
    assert_true(f.known);
    assert_false(f.bounded);
    assert_int_equal(f.energy_uj, 500 * INT64_C(1000000));
    curve_figure(&f, &d, s, 21, NS_PER_S, 30 * NS_PER_S);
    assert_false(f.known);
}

/* ---- findings ------------------------------------------------------------------------------------ */

static double noise(void)
{
    return ((double)rand() / RAND_MAX - 0.5) * 0.04;
}

/* A sweep of `series` shapes over 2^5..2^14; sizes from 2^10 on live one level further out and are
 * `factor` times as dear as the trend. */
static void synthesize(struct finding *f, int series, double factor, double spread, int repeats)
{
    *f = (struct finding){.idle_w = NAN, .load_w = NAN};
    f->caches.n = 2;
    strcpy(f->caches.level[0].name, "L1");
    strcpy(f->caches.level[1].name, "L2");
    f->rows = calloc((size_t)series * 10 * (size_t)repeats, sizeof *f->rows);
    assert_non_null(f->rows);
    for (int k = 0; k < series; k++) {
        double own = factor * exp(spread * (k % 2 ? 1 : -1));
        for (int p = 5; p < 15; p++) {
            for (int r = 0; r < repeats; r++) {
                struct finding_row *row = &f->rows[f->n];
                *row = (struct finding_row){
                    .run = (int64_t)f->n, .depth = 2 + k, .size = INT64_C(1) << p};
                strcpy(row->dataset, "mnist");
                strcpy(row->shape, "rectangle");
                row->params = row->size;
                row->home = p >= 10;
                row->s_per_datum =
                    1e-7 * pow((double)row->size, 0.6) * exp(noise()) * (p >= 10 ? own : 1);
                row->j_per_datum = row->s_per_datum * 50;
                f->n++;
            }
        }
    }
    finding_sort(f);
}

static void a_crossing_is_found(void **state)
{
    (void)state;
    struct finding f;
    struct finding_crossing x;
    srand(1);
    synthesize(&f, 5, 1.5, 0.05, 3);
    finding_cross(&x, &f, 0, FINDING_TIME);
    assert_int_equal(x.series, 5);
    assert_true(x.supported);
    assert_true(fabs(x.factor - 1.5) < 0.12);
    assert_true(x.lo <= x.factor && x.factor <= x.hi);
    assert_true(x.noise > 0 && x.noise < 0.05);
    finding_cross(&x, &f, 0, FINDING_ENERGY);
    assert_true(x.supported);
    finding_cross(&x, &f, 1, FINDING_TIME);
    assert_int_equal(x.series, 0);
    assert_false(x.supported);
    finding_fini(&f);
}

static void no_crossing_is_invented(void **state)
{
    (void)state;
    struct finding f;
    struct finding_crossing x;
    srand(2);
    synthesize(&f, 4, 1.0, 0.3, 1); /* series that contradict each other */
    finding_cross(&x, &f, 0, FINDING_TIME);
    assert_int_equal(x.series, 4);
    assert_false(x.supported);
    finding_fini(&f);
    synthesize(&f, 2, 2.0, 0, 1); /* too few series, however clear */
    finding_cross(&x, &f, 0, FINDING_TIME);
    assert_int_equal(x.series, 2);
    assert_false(x.supported);
    finding_fini(&f);
}

static void an_estimate_carries_no_energy_factor(void **state)
{
    (void)state;
    struct finding f;
    struct finding_crossing x;
    srand(3);
    synthesize(&f, 5, 1.5, 0.05, 1);
    for (size_t i = 0; i < f.n; i++)
        f.rows[i].estimated = true;
    finding_cross(&x, &f, 0, FINDING_ENERGY);
    assert_int_equal(x.series, 0);
    finding_cross(&x, &f, 0, FINDING_TIME);
    assert_true(x.supported);
    finding_fini(&f);
}

static void medians_by_size(void **state)
{
    (void)state;
    struct finding f;
    struct finding_size s[32];
    srand(4);
    synthesize(&f, 3, 1, 0, 1);
    f.rows[0].j_per_datum = NAN;
    assert_int_equal(finding_by_size(&f, s, ARRAY_LEN(s)), 10);
    assert_int_equal(s[0].size, 32);
    assert_int_equal(s[0].n, 3);
    assert_true(isnan(s[0].j_per_datum)); /* one of three is unknown: so is the median */
    assert_true(s[1].j_per_datum > 0 && s[9].s_per_datum > s[1].s_per_datum);
    assert_int_equal(s[9].home_lo, 1);
    assert_int_equal(finding_by_size(&f, s, 2), 10);
    finding_fini(&f);
}

/* mnist has 784 inputs: no rectangle of depth 3 has 32 parameters. */
static void points_without_a_network_are_named(void **state)
{
    (void)state;
    struct finding f = {0};
    f.rows = calloc(3, sizeof *f.rows);
    assert_non_null(f.rows);
    for (size_t i = 0; i < 3; i++) {
        strcpy(f.rows[i].dataset, i == 0 ? "mnist" : "banana");
        strcpy(f.rows[i].shape, "rectangle");
        f.rows[i].depth = 3;
        f.rows[i].size = i == 1 ? 32 : 4096;
        f.n++;
    }
    finding_sort(&f);
    finding_gaps(&f);
    assert_int_equal(f.nskipped, 1);
    assert_non_null(strstr(f.skipped[0].what, "mnist"));
    assert_non_null(strstr(f.skipped[0].reason, "20 %"));
    finding_fini(&f);
}

/* A run as `show` tells it; widths as text, as the daemon keeps them. */
static struct wire_msg *shown_run(const char *widths, int64_t inputs)
{
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_put_int(&o, "run", 7);
    wire_put_int(&o, "elapsed_ns", 2 * NS_PER_S);
    wire_begin_map(&o, "info");
    wire_put_str(&o, "dataset", "banana");
    wire_put_str(&o, "shape", "rectangle");
    wire_put_bool(&o, "standin", true);
    wire_put_int(&o, "inputs", inputs);
    wire_put_str(&o, "widths", widths);
    wire_put_int(&o, "params", 8193);
    wire_put_int(&o, "threads", 1);
    wire_end(&o);
    wire_begin_map(&o, "summary");
    wire_put_int(&o, "rows_train_seen", 1000);
    wire_put_int(&o, "train_ns", NS_PER_S);
    wire_put_f64(&o, "test_loss", 0.25);
    wire_end(&o);
    wire_begin_map(&o, "params");
    wire_put_str(&o, "depth", "2");
    wire_put_str(&o, "size", "2^13");
    wire_end(&o);
    wire_begin_array(&o, "energy");
    for (int i = 0; i < 2; i++) {
        wire_begin_map(&o, NULL);
        wire_put_nil(&o, "channel");
        wire_put_str(&o, "figure", i ? "machine" : "attributed");
        wire_put_str(&o, "part", "window");
        wire_put_str(&o, "quality", "modelled");
        wire_put_str(&o, "method", "counter");
        wire_put_int(&o, "energy_uj", i ? 100000000 : 1);
        wire_end(&o);
    }
    wire_end(&o);
    return wired(&o);
}

static void a_row_is_read_from_what_show_says(void **state)
{
    (void)state;
    struct finding f = {
        .caches = {.n = 2,
                   .cores = 1,
                   .cpus = 1,
                   .level = {{.name = "L1", .level = 1, .bytes = 49152, .units = 1},
                             {.name = "L2", .level = 2, .bytes = 1 << 24, .units = 1}}}};
    static const char *const widths[] = {"[2048,1]", "[4,1]", "[0,1]", "[a]", "nonsense"};
    static const int homes[] = {1, 0, -1, -1, -1};
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        struct wire_msg *m = shown_run(widths[i], 2);
        finding_add(&f, wire_msg_root(m));
        const struct finding_row *r = &f.rows[i];
        assert_int_equal(r->home, homes[i]);
        assert_int_equal(r->size, 8192);
        assert_int_equal(r->params, 8193);
        assert_int_equal(r->depth, 2);
        assert_true(r->standin && r->whole_run && !r->estimated);
        assert_true(r->energy_j == 100); /* the machine's, not a share */
        assert_true(r->j_per_datum == 0.1 && r->s_per_datum == 1e-3);
        assert_true(r->test_loss == 0.25 && isnan(r->lo_j));
        wire_msg_free(m);
    }
    assert_true(f.measured);
    finding_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_contain_the_truth),
        cmocka_unit_test(no_bound_without_its_samples),
        cmocka_unit_test(a_gauge_is_integrated_without_bounds),
        cmocka_unit_test(a_crossing_is_found),
        cmocka_unit_test(no_crossing_is_invented),
        cmocka_unit_test(an_estimate_carries_no_energy_factor),
        cmocka_unit_test(medians_by_size),
        cmocka_unit_test(points_without_a_network_are_named),
        cmocka_unit_test(a_row_is_read_from_what_show_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
