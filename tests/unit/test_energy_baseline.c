/* Idle power: which row is in force, what it says of a window, and what is learned from idle time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_force),
        cmocka_unit_test(test_energy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
