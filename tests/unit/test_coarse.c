/* coarse, glance: what peers without the readings as taken get instead. Whatever they ask, no answer depends on
 * what happened inside a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/coarse.h"
#include "daemon/api/glance.h"

#define S  NS_PER_S
#define MS NS_PER_MS

static void test_grid(void **state)
{
    (void)state;
    assert_int_equal(coarse_floor(0), 0);
    assert_int_equal(coarse_floor(S - 1), 0);
    assert_int_equal(coarse_floor(-1), -S);
    assert_int_equal(coarse_ceil(1), S);
    assert_int_equal(coarse_ceil(S), S);
    assert_true(coarse_ceil(INT64_MAX) > INT64_MAX - S); /* no overflow */
}

/* Windows that differ inside their first and last second are one window. */
static void test_windows(void **state)
{
    (void)state;
    struct err e = {0};
    for (int64_t in = 0; in < S; in += 37 * MS)
        for (int64_t out = 1; out <= S; out += 41 * MS) {
            struct energy_window w = {1, 5 * S + in, 9 * S + out};
            assert_int_equal(coarse_window(&w, 100 * S, &e), 0);
            assert_int_equal(w.t0_ns, 5 * S);
            assert_int_equal(w.t1_ns, 10 * S);
        }
}

/* "until now", asked all the time: the end moves once per second, and never into the last one. */
static void test_now(void **state)
{
    (void)state;
    struct err e = {0};
    for (int64_t now = 20 * S; now < 23 * S; now += 13 * MS) {
        struct energy_window w = {1, 5 * S, now};
        assert_int_equal(coarse_window(&w, now, &e), 0);
        assert_int_equal(w.t1_ns, now / S * S - S);
        struct energy_window brief = {1, now - 100 * MS, now};
        assert_int_equal(coarse_window(&brief, now, &e), WATTQ_E_CONFLICT);
    }
    struct energy_window past = {1, 5 * S + 1, 5 * S + 2};
    assert_int_equal(coarse_window(&past, RUN_NONE, &e), 0);
    assert_int_equal(past.t1_ns - past.t0_ns, S);
}

/* ---- figures --------------------------------------------------------------------------------------- */

static struct run_energy figure(int64_t ms, int64_t uj)
{
    return (struct run_energy){.flags = "overlap",
                               .energy_uj = uj,
                               .lo_uj = uj - 7,
                               .hi_uj = uj + 9,
                               .covered_ns = ms * MS,
                               .idle_uj = 123,
                               .random_uj = 5,
                               .sampling_uj = 6,
                               .range_lo_uj = RUN_NONE,
                               .range_hi_uj = RUN_NONE};
}

static void test_brief_figures(void **state)
{
    (void)state;
    char flags[160];
    for (int64_t uj = 1; uj < 100000000; uj += 777777) {
        struct run_energy f = figure(300, uj);
        coarse_figure(&f, flags, sizeof(flags));
        assert_true(f.energy_uj == RUN_NONE); /* unknown, and a reason says so */
        assert_non_null(f.reason);
        assert_true(f.lo_uj % COARSE_UJ == 0 && f.hi_uj % COARSE_UJ == 0);
        assert_true(f.lo_uj <= uj - 7 && f.hi_uj >= uj + 9);
        assert_true(f.random_uj == RUN_NONE && f.sampling_uj == RUN_NONE);
        assert_true(f.idle_uj == RUN_NONE);
        assert_string_equal(f.flags, "overlap quantised");
        coarse_figure(&f, flags, sizeof(flags));
        assert_string_equal(f.flags, "overlap quantised"); /* twice is once */
    }
}

static void test_longer_figures(void **state)
{
    (void)state;
    char flags[160];
    struct run_energy f = figure(1000, 123456789);
    coarse_figure(&f, flags, sizeof(flags));
    assert_int_equal(f.energy_uj, 123456789);
    assert_int_equal(f.lo_uj, 120000000); /* they would tell of the milliseconds at the edges */
    assert_int_equal(f.hi_uj, 130000000);
    assert_int_equal(f.random_uj, 5);
    struct run_energy none = {.flags = "",
                              .energy_uj = RUN_NONE,
                              .lo_uj = RUN_NONE,
                              .hi_uj = RUN_NONE,
                              .range_lo_uj = RUN_NONE,
                              .range_hi_uj = RUN_NONE,
                              .unknown_ns = 2 * S,
                              .reason = "nothing measures energy here"};
    coarse_figure(&none, flags, sizeof(flags));
    assert_string_equal(none.flags, "");
    assert_string_equal(none.reason, "nothing measures energy here");
    struct run_energy back = figure(300, -14000000); /* marginal figures are signed */
    coarse_figure(&back, flags, sizeof(flags));
    assert_true(back.energy_uj == RUN_NONE);
    assert_int_equal(back.lo_uj, -20000000);
    assert_int_equal(back.hi_uj, -10000000);
}

static void test_pixels(void **state)
{
    (void)state;
    for (int64_t seconds = 1; seconds < 500; seconds += 7)
        for (size_t n = 1; n < 300; n += 13) {
            struct energy_window w = {1, 1000 * S, (1000 + seconds) * S};
            size_t k = coarse_pixels(&w, n);
            assert_true(k >= 1 && k <= n);
            assert_int_equal(w.t1_ns, (1000 + seconds) * S);
            assert_true(w.t0_ns <= 1000 * S);
            assert_int_equal((w.t1_ns - w.t0_ns) % ((int64_t)k * S), 0);
        }
    struct energy_window w = {1, 0, 7 * S}; /* four of two seconds do not fit into the boot */
    assert_int_equal(coarse_pixels(&w, 4), 3);
    assert_int_equal(w.t0_ns, S);
}

/* ---- glance ---------------------------------------------------------------------------------------- */

static void test_a_counter_at_a_glance(void **state)
{
    (void)state;
    const struct channel_desc d = {.kind = CHANNEL_COUNTER, .period_ns = MS};
    struct meter_status before = {
        .last_value = 1000, .last_ns = 10 * S, .power_uw = 7, .state = READING_OK};
    struct meter_status now = before;
    const struct meter_status shown = {.power_uw = 42};
    now.last_value += 50000000;
    now.last_ns += S;
    now.changed_ns = 10 * S + 990 * MS;
    now.power_uw = 99; /* of the last milliseconds */
    struct meter_status s = glance_step(&d, &before, &now, &shown);
    assert_int_equal(s.power_uw, 50000000);
    assert_int_equal(s.last_value, 0); /* no count */
    assert_int_equal(s.last_ns, 0);
    assert_int_equal(s.changed_ns, 10 * S);
    now.last_ns = before.last_ns + 10 * MS;
    assert_int_equal(glance_step(&d, &before, &now, &shown).power_uw, 42);
    before.last_ns = 0;
    assert_int_equal(glance_step(&d, &before, &now, &shown).power_uw, -1);
}

static void test_other_meters_at_a_glance(void **state)
{
    (void)state;
    const struct meter_status before = {.last_ns = 10 * S, .last_value = 5, .power_uw = 5};
    const struct meter_status now = {
        .last_ns = 11 * S + 3, .last_value = 9, .power_uw = 9, .state = READING_OK};
    const struct channel_desc gauge = {.kind = CHANNEL_GAUGE};
    struct meter_status s = glance_step(&gauge, &before, &now, &before);
    assert_int_equal(s.power_uw, 9);
    assert_int_equal(s.last_value, 9);
    assert_int_equal(s.last_ns, 11 * S);
    const struct channel_desc slow = {.kind = CHANNEL_COUNTER, .period_ns = 10 * S};
    assert_int_equal(glance_step(&slow, &before, &now, &before).power_uw, 9);
    const struct channel_desc time = {.kind = CHANNEL_CPU_TIME};
    assert_int_equal(glance_step(&time, &before, &now, &before).last_ns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_now),
        cmocka_unit_test(test_brief_figures),
        cmocka_unit_test(test_longer_figures),
        cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_a_counter_at_a_glance),
        cmocka_unit_test(test_other_meters_at_a_glance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
