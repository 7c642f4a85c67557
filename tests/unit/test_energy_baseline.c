/* Idle power: which row is in force, what it says of a window, and what is learned from idle time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/energy/baseline_take.h"
#include "daemon/energy/calibrate.h"
#include "daemon/energy/marginal.h"
#include "daemon/store/baselines.h"
#include "tests/support/recorder.h"

static struct recorder rec;

static int64_t put(int64_t channel, const char *basis, int64_t power_uw, int64_t utc_ns,
                   int64_t run)
{
    struct err e = {0};
    int64_t id = 0;
    struct baseline b = {.channel = channel,
                         .boot = store_boot(rec.store),
                         .t0_ns = 1,
                         .t1_ns = 2,
                         .power_uw = power_uw,
                         .spread_uw = 1000,
                         .n = 60,
                         .temp_mc = INT64_MIN,
                         .busy_ppm = -1,
                         .created_utc_ns = utc_ns,
                         .run = run};
    base_strcpy(b.basis, sizeof(b.basis), basis);
    rec_must(store_begin(rec.store, true, &e), &e, "begin");
    rec_must(baselines_put(rec.store, &b, &id, &e), &e, "put");
    rec_must(store_commit(rec.store, &e), &e, "commit");
    return id;
}

static int64_t found(int64_t channel, int64_t utc_ns, int64_t run)
{
    struct err e = {0};
    struct baseline b;
    int rc = baseline_find(rec.store, channel, utc_ns, run, &b, &e);
    rec_must(rc < 0 ? rc : 0, &e, "find");
    return rc == 1 ? 0 : b.id;
}

static void test_in_force(void **state)
{
    (void)state;
    rec_init(&rec);
    rec_add(&rec, "a", CHANNEL_COUNTER);
    rec_add(&rec, "b", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    (void)rec_ask(&rec, "INSERT INTO run(id, uuid, uid, state, kind, spec, submitted_utc_ns)"
                        " VALUES(7, 'u7', 0, 'done', 'command', '{}', 1)");
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM run"), 1);
    const int64_t a = rec.id[0];
    assert_int_equal(found(a, INT64_MAX, 0), 0);
    int64_t learned = put(a, BASELINE_LEARNED, 10000000, 100, 0);
    int64_t measured = put(a, BASELINE_MEASURED, 11000000, 200, 0);
    int64_t bracket = put(a, BASELINE_BRACKET, 12000000, 300, 7);
    assert_int_equal(found(a, 99, 0), 0);
    assert_int_equal(found(a, 150, 0), learned);
    assert_int_equal(found(a, 200, 0), measured);
    assert_int_equal(found(a, 1000, 0), measured); /* another run's bracket is not for all */
    assert_int_equal(found(a, 1000, 8), measured);
    assert_int_equal(found(a, 100, 7), bracket); /* its own is, also when it came after the end */
    assert_int_equal(found(rec.id[1], 1000, 7), 0);
    struct err e = {0};
    struct baseline b;
    rec_must(baselines_get(rec.store, bracket, &b, &e), &e, "get");
    assert_int_equal(b.run, 7);
    assert_int_equal(b.busy_ppm, -1);
    assert_true(b.temp_mc == INT64_MIN);
    assert_string_equal(b.basis, "bracket");
    assert_int_equal(b.power_uw, 12000000);
    rec_fini(&rec);
}

static void test_energy(void **state)
{
    (void)state;
    struct baseline b = {.power_uw = 3};
    assert_int_equal(baseline_energy_uj(&b, NS_PER_S), 3);
    assert_int_equal(baseline_energy_uj(&b, NS_PER_S / 2), 2); /* 1.5 */
    assert_int_equal(baseline_energy_uj(&b, NS_PER_S / 3), 1);
    assert_int_equal(baseline_energy_uj(&b, NS_PER_S / 7), 0);
    b.power_uw = INT64_C(1000000000); /* 1 kW for a year */
    assert_int_equal(baseline_energy_uj(&b, INT64_C(31536000) * NS_PER_S),
                     INT64_C(31536000000000000));
    b.power_uw = -3; /* a gauge off its zero is subtracted as it is */
    assert_int_equal(baseline_energy_uj(&b, NS_PER_S), -3);
}

/* ---- taking one --------------------------------------------------------------------------------- */

#define IDLE_UW 20000000 /* what the truth of these tests draws when nothing is on */

/* 90 s at 10 Hz of a counter, a slow gauge, the CPU time of 4 CPUs, a thermometer and a GPU's utilisation. */
struct machine {
    int64_t (*power_uw)(double t_s);
    double (*busy)(double t_s); /* part of all CPUs */
    int64_t (*gpu_ppm)(double t_s);
};

static int64_t steady_power(double t_s)
{
    (void)t_s;
    return IDLE_UW;
}

static double no_load(double t_s)
{
    (void)t_s;
    return 0.01;
}

static int64_t no_gpu(double t_s)
{
    (void)t_s;
    return 0;
}

static void record(const struct machine *m)
{
    int64_t uj = 0;
    double busy_us = 0;
    rec_init(&rec);
    rec_add(&rec, "package", CHANNEL_COUNTER);
    rec_add(&rec, "plug", CHANNEL_GAUGE)->period_ns = NS_PER_S;
    struct channel_desc *cpu = rec_add(&rec, "slots/machine", CHANNEL_CPU_TIME);
    cpu->quality = QUALITY_NONE;
    base_strcpy(cpu->unit, sizeof(cpu->unit), "us");
    base_strcpy(rec_add(&rec, "temp", CHANNEL_COMPANION)->unit, 8, "mC");
    struct channel_desc *util = rec_add(&rec, "nvml/GPU-1/utilisation", CHANNEL_COMPANION);
    util->scope = SCOPE_GPU;
    base_strcpy(util->unit, sizeof(util->unit), "ppm");
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 900; i++) {
        double t = i / 10.0;
        rec_set(&rec, 0, uj, 0);
        rec_set(&rec, 1, m->power_uw(i / 10), 0);
        rec_set(&rec, 2, (int64_t)busy_us, 0);
        rec_set(&rec, 3, 41000 + i, 0);
        rec_set(&rec, 4, m->gpu_ppm(t), 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 1000, 0);
        uj += m->power_uw(t) / 10;
        busy_us += 1e5 * 4 * m->busy(t);
    }
    rec_flush(&rec);
}

static void take(struct baseline_set *out, int64_t t0_s, int64_t t1_s)
{
    struct err e = {0};
    const struct baseline_want q = {
        .w = {store_boot(rec.store), t0_s * NS_PER_S, t1_s * NS_PER_S},
        .cpus = 4,
        .busy_max_ppm = 50000,
        .pieces_min = (t1_s - t0_s) / 2,
    };
    rec_must(baseline_take(rec.store, &q, out, &e), &e, "take");
}

static void test_calm(void **state)
{
    (void)state;
    struct baseline_set x;
    record(&(struct machine){steady_power, no_load, no_gpu});
    take(&x, 10, 70);
    assert_string_equal(x.calm.reason, "");
    assert_int_equal(x.n, 2);
    assert_true(x.rows[0].known && x.rows[1].known);
    assert_in_range(x.rows[0].b.power_uw, IDLE_UW - 2, IDLE_UW + 2);
    assert_in_range(x.rows[1].b.power_uw, IDLE_UW - 2, IDLE_UW + 2);
    assert_in_range(x.rows[0].b.n, 55, 60);
    assert_in_range(x.calm.busy_ppm, 9000, 11000);
    assert_in_range(x.rows[0].b.temp_mc, 41000 + 690, 41000 + 701);
    baseline_set_fini(&x);
    rec_fini(&rec);
}

/* A bracket of less than a piece, of which none is asked for: no power is made of none. */
static void test_too_short(void **state)
{
    (void)state;
    struct baseline_set x;
    record(&(struct machine){steady_power, no_load, no_gpu});
    take(&x, 10, 10);
    for (size_t i = 0; i < x.n; i++)
        assert_true(!x.rows[i].known && x.rows[i].reason[0]);
    baseline_set_fini(&x);
    rec_fini(&rec);
}

/* Somebody compiles for a quarter of the time: those seconds are left out, not averaged in. */
static double quarter(double t_s)
{
    return (int)t_s % 16 >= 12 ? 0.9 : 0.01;
}
static int64_t quarter_power(double t_s)
{
    return quarter(t_s) > 0.5 ? 5 * IDLE_UW : IDLE_UW;
}

static void test_busy_pieces(void **state)
{
    (void)state;
    struct baseline_set x;
    record(&(struct machine){quarter_power, quarter, no_gpu});
    take(&x, 10, 70);
    assert_true(x.rows[0].known);
    assert_in_range(x.rows[0].b.power_uw, IDLE_UW - 2, IDLE_UW + 2);
    assert_in_range(x.calm.busy_pieces, 12, 24);
    assert_true(x.rows[0].b.n <= 60 - x.calm.busy_pieces);
    baseline_set_fini(&x);
    rec_fini(&rec);
}

static double always_busy(double t_s)
{
    (void)t_s;
    return 0.5;
}

static void test_busy_is_refused(void **state)
{
    (void)state;
    struct baseline_set x;
    struct err e = {0};
    record(&(struct machine){steady_power, always_busy, no_gpu});
    take(&x, 10, 70);
    assert_non_null(strstr(x.calm.reason, "CPUs were busy"));
    assert_false(x.rows[0].known);
    rec_must(store_begin(rec.store, true, &e), &e, "begin");
    assert_int_equal(baseline_store(rec.store, &x, BASELINE_LEARNED, 0, 100, true, &e), 0);
    store_rollback(rec.store);
    baseline_set_fini(&x);
    rec_fini(&rec);
}

/* A minute after a run the fans are still slowing down. */
static int64_t cooling(double t_s)
{
    return IDLE_UW + (int64_t)(10e6 * (90 - t_s) / 90);
}

static void test_thermal_tail(void **state)
{
    (void)state;
    struct baseline_set x;
    record(&(struct machine){cooling, no_load, no_gpu});
    take(&x, 10, 70);
    assert_string_equal(x.calm.reason, "");
    assert_false(x.rows[0].known);
    assert_non_null(strstr(x.rows[0].reason, "going down"));
    baseline_set_fini(&x);
    rec_fini(&rec);
}

static int64_t gpu_once(double t_s)
{
    return t_s > 30 && t_s < 33 ? 200000 : 0;
}

static void test_gpu_work(void **state)
{
    (void)state;
    struct baseline_set x;
    record(&(struct machine){steady_power, no_load, gpu_once});
    take(&x, 10, 70);
    assert_non_null(strstr(x.calm.reason, "at work"));
    assert_false(x.rows[0].known);
    baseline_set_fini(&x);
    take(&x, 40, 80);
    assert_true(x.rows[0].known);
    baseline_set_fini(&x);
    rec_fini(&rec);
}

/* Neither the least that was seen nor the mean: half of the machine's idle seconds draw a fifth less. */
static int64_t two_levels(double t_s)
{
    return (int)t_s % 5 < 2 ? IDLE_UW * 4 / 5 : IDLE_UW;
}

static void test_median_and_versions(void **state)
{
    (void)state;
    struct err e = {0};
    struct baseline_set x;
    record(&(struct machine){two_levels, no_load, no_gpu});
    take(&x, 10, 70);
    assert_true(x.rows[0].known);
    assert_in_range(x.rows[0].b.power_uw, IDLE_UW - 2, IDLE_UW + 2);
    assert_in_range(x.rows[0].b.spread_uw, IDLE_UW / 5 - 2, IDLE_UW / 5 + 2);
    rec_must(store_begin(rec.store, true, &e), &e, "begin");
    assert_int_equal(baseline_store(rec.store, &x, BASELINE_LEARNED, 0, 100, true, &e), 2);
    assert_int_equal(baseline_store(rec.store, &x, BASELINE_LEARNED, 0, 200, true, &e), 0);
    x.rows[0].b.power_uw += IDLE_UW / 4; /* by more than the spread */
    assert_int_equal(baseline_store(rec.store, &x, BASELINE_LEARNED, 0, 300, true, &e), 1);
    int64_t later = 400 + BASELINE_OLD_NS; /* the same, but a day later */
    assert_int_equal(baseline_store(rec.store, &x, BASELINE_LEARNED, 0, later, true, &e), 2);
    rec_must(store_commit(rec.store, &e), &e, "commit");
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM baseline"), 5);
    baseline_set_fini(&x);
    rec_fini(&rec);
}

static void test_join(void **state)
{
    (void)state;
    struct baseline_row a = {
        .known = true, .b = {.channel = 1, .power_uw = 100, .spread_uw = 4, .n = 30, .t1_ns = 5}};
    struct baseline_row b = a;
    b.b.power_uw = 120;
    b.b.t1_ns = 9;
    struct baseline_set before = {.rows = &a, .n = 1}, after = {.rows = &b, .n = 1};
    baseline_join(&before, &after);
    assert_int_equal(a.b.power_uw, 110);
    assert_int_equal(a.b.spread_uw, 20); /* what it drifted by */
    assert_int_equal(a.b.n, 60);
    assert_int_equal(a.b.t1_ns, 9);
    a.known = false;
    baseline_join(&before, &after);
    assert_true(a.known);
    assert_int_equal(a.b.power_uw, 120);
}

/* ---- marginal figures --------------------------------------------------------------------------- */

static void test_marginal_channel(void **state)
{
    (void)state;
    struct energy_figure f = {.channel = 1,
                              .known = true,
                              .energy_uj = 30000000,
                              .bounded = true,
                              .covered_ns = 2 * NS_PER_S,
                              .random_uj = 3000};
    const struct baseline b = {.id = 5, .power_uw = 20000000, .spread_uw = 2698};
    struct energy_figure m;
    marginal_of_channel(&f, &b, &m);
    assert_int_equal(m.energy_uj, -10000000); /* signed, not clamped */
    assert_int_equal(m.idle_uj, 40000000);
    assert_int_equal(m.baseline, 5);
    assert_false(m.bounded);
    assert_int_equal(m.random_uj, 5000); /* 3000 and 2 s x 2698 / 1.349 uW, in squares */
    f.random_uj = -1;
    marginal_of_channel(&f, &b, &m);
    assert_int_equal(m.random_uj, -1);
    marginal_of_channel(&f, NULL, &m);
    assert_false(m.known);
    assert_non_null(strstr(m.reason, "wattq idle measure"));
    assert_int_equal(m.baseline, 0);
    f.known = false;
    base_strcpy(f.reason, sizeof(f.reason), "gone");
    marginal_of_channel(&f, &b, &m);
    assert_false(m.known);
    assert_string_equal(m.reason, "gone");
}

static void test_marginal_set(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set machine, m;
    record(&(struct machine){steady_power, no_load, no_gpu});
    struct energy_window w = {store_boot(rec.store), 20 * NS_PER_S, 30 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &machine, &e), &e, "machine");
    assert_true(machine.total.known);
    rec_must(marginal_of_set(rec.store, &machine, 1000, 0, &m, &e), &e, "marginal");
    assert_false(m.total.known); /* nothing was measured yet */
    assert_non_null(strstr(m.total.reason, "no idle power"));
    energy_set_fini(&m);
    int64_t id = put(rec.id[0], BASELINE_LEARNED, IDLE_UW / 2, 100, 0);
    (void)put(rec.id[1], BASELINE_LEARNED, IDLE_UW / 2, 100, 0);
    rec_must(marginal_of_set(rec.store, &machine, 1000, 0, &m, &e), &e, "marginal");
    assert_true(m.total.known);
    int64_t parts = 0, idle = 0;
    for (size_t i = 0; i < m.n; i++) {
        if (m.figures[i].channel == rec.id[0])
            assert_int_equal(m.figures[i].baseline, id);
        parts += m.in_total[i] ? m.figures[i].energy_uj : 0;
        idle += m.in_total[i] ? m.figures[i].idle_uj : 0;
    }
    assert_int_equal(m.total.energy_uj, parts);
    assert_int_equal(m.total.idle_uj, idle);
    assert_int_equal(m.total.energy_uj + m.total.idle_uj, machine.total.energy_uj);
    energy_set_fini(&m);
    energy_set_fini(&machine);
    rec_fini(&rec);
}

/* ---- calibration -------------------------------------------------------------------------------- */

static void test_calibrate_fit(void **state)
{
    (void)state;
    struct err e = {0};
    struct calibration c = {0};
    double x[60], y[60];
    for (int i = 0; i < 60; i++) {
        x[i] = 20 + i;
        y[i] = (x[i] - 5) * 1.08 + (i % 3 - 1) * 0.1;
    }
    y[7] += 300; /* one window in which the other saw something else */
    rec_must(calibrate_fit(x, y, 60, &c, &e), &e, "fit");
    assert_in_range(c.gain_ppm, 79000, 81000);
    assert_in_range(c.offset_uw, 4800000, 5200000);
    assert_in_range(c.residual_uw, 50000, 250000);
    assert_int_equal(c.lo_uw, 20000000);
    assert_int_equal(c.hi_uw, 79000000);
    assert_int_equal(c.n, 60);
    struct energy_figure f = {.known = true, .energy_uj = 500000000, .covered_ns = 10 * NS_PER_S};
    int64_t uj = 0, residual = 0;
    assert_int_equal(calibrate_apply(&c, &f, &uj, &residual), 0); /* 50 W */
    assert_in_range(uj, 483000000, 489000000);
    assert_int_equal(f.energy_uj, 500000000); /* what is stored stays */
    f.energy_uj = 1000000000;                 /* 100 W: nobody looked there */
    assert_int_equal(calibrate_apply(&c, &f, &uj, &residual), 1);
    f.known = false;
    assert_int_equal(calibrate_apply(&c, &f, &uj, &residual), 1);
    for (int i = 0; i < 60; i++)
        x[i] = 50 + 0.01 * i;
    assert_int_equal(calibrate_fit(x, y, 60, &c, &e), WATTQ_E_CONFLICT);
    assert_non_null(strstr(e.text, "hardly moved"));
    assert_int_equal(calibrate_fit(x, y, 5, &c, &e), WATTQ_E_CONFLICT);
}

/* Two meters of the same power, one a counter and one a gauge: nothing to correct. */
static int64_t waves(double t_s)
{
    return IDLE_UW + (int64_t)t_s % 30 * 1000000;
}

static void test_calibrate_over(void **state)
{
    (void)state;
    struct err e = {0};
    struct calibration c;
    struct channel_row a, b;
    record(&(struct machine){waves, no_load, no_gpu});
    rec_must(samples_channel(rec.store, rec.id[0], &a, &e), &e, "a");
    rec_must(samples_channel(rec.store, rec.id[1], &b, &e), &e, "b");
    const struct energy_window w = {store_boot(rec.store), NS_PER_S, 88 * NS_PER_S};
    b.period_ns = NS_PER_S / 10;
    rec_must(calibrate_over(rec.store, &a, &b, &w, &c, &e), &e, "over");
    assert_in_range(c.gain_ppm + 1000000, 990000, 1010000);
    assert_in_range(c.n, 80, 87);
    rec_fini(&rec);
}

/* An estimate and a measurement side by side: the total is the measurement alone. */
static void test_estimate_never_joins(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set x;
    rec_init(&rec);
    rec_add(&rec, "plug", CHANNEL_COUNTER)->scope = SCOPE_GPU;
    struct channel_desc *guess = rec_add(&rec, "estimate/cpu", CHANNEL_COUNTER);
    guess->quality = QUALITY_ESTIMATED;
    guess->scope = SCOPE_CPU; /* nothing measures the CPU, so a careless sum would take it */
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        rec_set(&rec, 0, i * 1000000, 0);
        rec_set(&rec, 1, i * 7000000, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 1000, 0);
    }
    rec_flush(&rec);
    struct energy_window w = {store_boot(rec.store), 2 * NS_PER_S, 8 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &x, &e), &e, "window");
    assert_int_equal(x.n, 2);
    assert_true(x.total.known);
    assert_int_equal(x.total.energy_uj, 60000000);
    assert_int_equal(x.total.quality, QUALITY_MEASURED);
    for (size_t i = 0; i < x.n; i++)
        assert_int_equal(x.in_total[i] != 0, x.channels[i].quality == QUALITY_MEASURED);
    energy_set_fini(&x);
    rec_fini(&rec);
}

/* Beside a package meter for ten minutes: fitted once, says its error from then on, stays an estimate. */
static void test_estimate_is_fitted(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set x;
    int64_t a = 0, b = 0;
    rec_init(&rec);
    rec_add(&rec, "package-0", CHANNEL_COUNTER);
    struct channel_desc *guess = rec_add(&rec, "estimate/cpu", CHANNEL_COUNTER);
    guess->quality = QUALITY_ESTIMATED;
    guess->scope = SCOPE_CPU;
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 7000; i++) {
        rec_set(&rec, 0, a, 0);
        rec_set(&rec, 1, b, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 1000, 0);
        a += 2000000 + i / 300 * 100000;
        b += (2000000 + i / 300 * 100000) * 2;
    }
    rec_flush(&rec);
    rec_must(store_begin(rec.store, true, &e), &e, "begin");
    assert_int_equal(calibrate_estimate(rec.store, 300 * NS_PER_S, &e), 0); /* not long enough */
    assert_int_equal(calibrate_estimate(rec.store, 690 * NS_PER_S, &e), 1);
    assert_int_equal(calibrate_estimate(rec.store, 695 * NS_PER_S, &e), 0); /* once */
    rec_must(store_commit(rec.store, &e), &e, "commit");
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM calibration WHERE actor_uid IS NULL"), 1);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM channel_note WHERE kind = 'calibrated'"),
                     1);
    struct energy_window w = {store_boot(rec.store), 100 * NS_PER_S, 200 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &x, &e), &e, "window");
    assert_int_equal(x.total.quality, QUALITY_MEASURED);
    for (size_t i = 0; i < x.n; i++)
        if (x.channels[i].quality == QUALITY_ESTIMATED) {
            assert_in_range(x.figures[i].gain_ppm, 490000, 520000); /* it shows twice the truth */
            assert_int_equal(x.figures[i].quality, QUALITY_ESTIMATED);
            assert_false(x.in_total[i]);
        }
    energy_set_fini(&x);
    rec_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_force),
        cmocka_unit_test(test_energy),
        cmocka_unit_test(test_calm),
        cmocka_unit_test(test_too_short),
        cmocka_unit_test(test_busy_pieces),
        cmocka_unit_test(test_busy_is_refused),
        cmocka_unit_test(test_thermal_tail),
        cmocka_unit_test(test_gpu_work),
        cmocka_unit_test(test_median_and_versions),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_marginal_channel),
        cmocka_unit_test(test_marginal_set),
        cmocka_unit_test(test_calibrate_fit),
        cmocka_unit_test(test_calibrate_over),
        cmocka_unit_test(test_estimate_never_joins),
        cmocka_unit_test(test_estimate_is_fitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
