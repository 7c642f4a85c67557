/* The only unwrap, against an exact model: random curves, wraps, resets, absences. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/meter/lane.h"
#include "daemon/meter/meter.h"

#define WRAP INT64_C(262143328851)
#define MS   INT64_C(1000000)

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t below(int64_t n)
{
    return (int64_t)(draw() % (uint64_t)n);
}

static void seed(void)
{
    const char *given = getenv("WATTQ_SEED");
    state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
    printf("seed WATTQ_SEED=%" PRIu64 "\n", state);
}

static void steps_forward_add_up(void **ctx)
{
    (void)ctx;
    int64_t cum = 500;
    assert_int_equal(meter_unwrap(&cum, 100, 160, WRAP, 0, MS), 0);
    assert_int_equal(cum, 560);
    assert_int_equal(meter_unwrap(&cum, WRAP - 10, 5, WRAP, 0, MS), 0);
    assert_int_equal(cum, 575);
}

static void backwards_without_a_range_is_unknown(void **ctx)
{
    (void)ctx;
    int64_t cum = 7;
    assert_int_equal(meter_unwrap(&cum, 100, 99, 0, 0, MS), 1);
    assert_int_equal(cum, 7);
}

static void more_than_pmax_is_implausible(void **ctx)
{
    (void)ctx;
    int64_t cum = 7;
    int64_t pmax = 100 * INT64_C(1000000); /* 100 W: 100 mJ in 1 ms */
    assert_int_equal(meter_unwrap(&cum, 0, 100001, WRAP, pmax, MS), 2);
    assert_int_equal(meter_unwrap(&cum, 0, 100000, WRAP, pmax, MS), 0);
    assert_int_equal(cum, 100007);
    assert_int_equal(meter_unwrap(&cum, INT64_MIN, INT64_MAX, 0, 0, MS), 2);
    assert_int_equal(meter_unwrap(&cum, WRAP + 5, 3, WRAP, 0, MS), 2);
}

/* 200 W on a 262 kJ register: after 0.9 of a range nobody can count the wraps. */
static void long_absence_is_refused(void **ctx)
{
    (void)ctx;
    int64_t pmax = 200 * INT64_C(1000000);
    int64_t range_ns = WRAP / 200 * 1000;
    int64_t cum = 7;
    assert_int_equal(meter_unwrap(&cum, 10, 20, WRAP, pmax, range_ns), 1);
    assert_int_equal(cum, 7);
    assert_int_equal(meter_unwrap(&cum, 10, 20, WRAP, pmax, range_ns / 10 * 8), 0);
    assert_int_equal(cum, 17);
}

/* A true curve; the register shows it modulo its range from a random start. The unwrapped value must
 * follow exactly, whatever the pace, as long as less than a range goes by. */
static void any_curve_is_followed_exactly(void **ctx)
{
    (void)ctx;
    for (int round = 0; round < 2000; round++) {
        int64_t wrap = 1 + below(round % 2 ? WRAP : 100000);
        int64_t truth = 0;
        int64_t start = below(wrap);
        int64_t raw = start;
        int64_t cum = 0;
        for (int i = 0; i < 100; i++) {
            truth += below(wrap);
            int64_t next = (start + truth) % wrap;
            assert_int_equal(meter_unwrap(&cum, raw, next, wrap, 0, MS), 0);
            assert_int_equal(cum, truth);
            raw = next;
        }
    }
}

/* ---- the same through a lane, with resets and failures ------------------------------------------ */

static struct channel_desc counter(int64_t wrap, int64_t pmax_uw)
{
    return (struct channel_desc){.kind = CHANNEL_COUNTER,
                                 .quantum = 1,
                                 .wrap_uj = wrap,
                                 .period_ns = MS,
                                 .period_declared = true,
                                 .pmax_uw = pmax_uw,
                                 .parent = -1,
                                 .mirror_of = -1};
}

static struct reading ok(int64_t v)
{
    return (struct reading){.value = v, .state = READING_OK};
}

/* Without a range every fall is a reset: what is handed out never falls, loses only the energy between
 * the last reading and the reset, and says so. */
static void resets_lose_only_what_is_flagged(void **ctx)
{
    (void)ctx;
    for (int round = 0; round < 500; round++) {
        struct channel_desc d = counter(0, 0);
        struct lane l;
        lane_init(&l, &d, 100 * MS);
        int64_t raw = below(1000000);
        int64_t expect = 0;
        int64_t t = 1;
        (void)lane_take(&l, ok(raw), t, false);
        for (int i = 0; i < 200; i++) {
            t += 100 * MS;
            int64_t what = below(10);
            if (what == 0) {
                struct lane_value v =
                    lane_take(&l, (struct reading){.state = READING_IO}, t, false);
                assert_int_equal(v.state, READING_IO);
                assert_int_equal(v.value, expect);
            } else if (what == 1 && raw > 0) {
                raw = below(raw);
                struct lane_value v = lane_take(&l, ok(raw), t, false);
                assert_int_equal(v.state, TICK_RESET);
                assert_int_equal(v.value, expect);
            } else {
                int64_t step = below(1000000);
                raw += step;
                expect += step;
                struct lane_value v = lane_take(&l, ok(raw), t, false);
                assert_int_equal(v.state, READING_OK);
                assert_int_equal(v.value, expect);
            }
        }
    }
}

/* A single impossible reading costs nothing; a register that began anew is seen after three. */
static void glitch_and_restart_are_told_apart(void **ctx)
{
    (void)ctx;
    struct channel_desc d = counter(WRAP, 200 * INT64_C(1000000));
    struct lane l;
    lane_init(&l, &d, 100 * MS);
    int64_t t = 1;
    (void)lane_take(&l, ok(50000000), t, false);
    assert_int_equal(lane_take(&l, ok(200000000000), t += 100 * MS, false).state,
                     READING_IMPLAUSIBLE);
    struct lane_value v = lane_take(&l, ok(60000000), t += 100 * MS, false);
    assert_int_equal(v.state, READING_OK);
    assert_int_equal(v.value, 10000000);
    assert_int_equal(lane_take(&l, ok(1000), t += 100 * MS, false).state, READING_IMPLAUSIBLE);
    assert_int_equal(lane_take(&l, ok(2000), t += 100 * MS, false).state, READING_IMPLAUSIBLE);
    v = lane_take(&l, ok(3000), t += 100 * MS, false);
    assert_int_equal(v.state, TICK_RESET);
    assert_int_equal(v.value, 10000000);
    assert_int_equal(lane_take(&l, ok(4000), t += 100 * MS, false).value, 10001000);
}

static void base_bridges_or_starts_anew(void **ctx)
{
    (void)ctx;
    struct channel_desc d = counter(1000, 0);
    struct lane l;
    lane_init(&l, &d, 100 * MS);
    lane_base(&l, 5000, 990, true);
    struct lane_value v = lane_take(&l, ok(10), 1, false);
    assert_int_equal(v.state, TICK_BRIDGED);
    assert_int_equal(v.value, 5020);
    lane_base(&l, 5000, 0, false);
    v = lane_take(&l, ok(77), 2, false);
    assert_int_equal(v.state, READING_OK);
    assert_int_equal(v.value, 5000);
}

static void sleep_is_a_reset(void **ctx)
{
    (void)ctx;
    struct channel_desc d = counter(WRAP, 0);
    struct lane l;
    lane_init(&l, &d, 100 * MS);
    (void)lane_take(&l, ok(100), 1, false);
    struct lane_value v = lane_take(&l, ok(90), 3600000 * MS, true);
    assert_int_equal(v.state, TICK_RESET);
    assert_int_equal(v.value, 0);
}

static void gauge_over_its_limit_has_no_value(void **ctx)
{
    (void)ctx;
    struct channel_desc d = {.kind = CHANNEL_GAUGE, .period_ns = MS, .pmax_uw = 450000000};
    struct lane l;
    struct meter_status s;
    lane_init(&l, &d, 100 * MS);
    assert_int_equal(lane_take(&l, ok(593000000), 1, false).state, READING_IMPLAUSIBLE);
    lane_status(&l, &s);
    assert_int_equal(s.power_uw, -1);
    assert_int_equal(lane_take(&l, ok(-1), 2, false).state, READING_IMPLAUSIBLE);
    assert_int_equal(lane_take(&l, ok(0), 3, false).state, READING_OK);
    lane_status(&l, &s);
    assert_int_equal(s.power_uw, 0);
    assert_int_equal(s.failures, 2);
}

/* 50 W on a staircase of 300 ms, polled at 100 ms: the period is learned, the power steady. */
static void period_and_power_are_learned(void **ctx)
{
    (void)ctx;
    struct channel_desc d = counter(WRAP, 0);
    struct lane l;
    struct meter_status s;
    lane_init(&l, &d, 100 * MS);
    for (int64_t i = 0; i < 100; i++) {
        (void)lane_take(&l, ok(i / 3 * 15000000), 1 + i * 100 * MS, false);
    }
    lane_status(&l, &s);
    assert_int_equal(s.period_learned_ns, 300 * MS);
    assert_in_range(s.power_uw, 35000000, 65000000);
}

/* A range so small that pmax could use it up between two sweeps: half a range per sweep is allowed. */
static void small_ranges_are_still_followed(void **ctx)
{
    (void)ctx;
    struct channel_desc d = counter(20000000, 1000 * INT64_C(1000000));
    struct lane l;
    lane_init(&l, &d, 100 * MS);
    int64_t truth = 0;
    for (int64_t i = 0; i < 100; i++) {
        struct lane_value v = lane_take(&l, ok(truth % 20000000), 1 + i * 100 * MS, false);
        assert_int_equal(v.state, READING_OK);
        assert_int_equal(v.value, truth);
        truth += 7000000;
    }
}

int main(void)
{
    seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_forward_add_up),
        cmocka_unit_test(backwards_without_a_range_is_unknown),
        cmocka_unit_test(more_than_pmax_is_implausible),
        cmocka_unit_test(long_absence_is_refused),
        cmocka_unit_test(any_curve_is_followed_exactly),
        cmocka_unit_test(resets_lose_only_what_is_flagged),
        cmocka_unit_test(glitch_and_restart_are_told_apart),
        cmocka_unit_test(base_bridges_or_starts_anew),
        cmocka_unit_test(sleep_is_a_reset),
        cmocka_unit_test(gauge_over_its_limit_has_no_value),
        cmocka_unit_test(period_and_power_are_learned),
        cmocka_unit_test(small_ranges_are_still_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
