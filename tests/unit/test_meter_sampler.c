/* The sampler thread, driven by formulas with exact truth: grid, edges, stalls, failures, full ring. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/script_formula.h"
#include "tests/support/fixture.h"

#define MS   INT64_C(1000000)
#define WRAP INT64_C(50000000)

struct rig {
    struct fixture dir;
    struct meter *meter;
    struct formula *formula;
    int64_t origin_ns;
};

static void rest_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS};
    nanosleep(&t, NULL);
}

static void rig_open(struct rig *r, int64_t period_ns, const char *text)
{
    char path[128];
    struct err e = {0};
    fixture_init(&r->dir);
    r->origin_ns = clock_boot_ns();
    fixture_putf(&r->dir, "formula", "origin %" PRId64 "\n%s", r->origin_ns, text);
    snprintf(path, sizeof(path), "%s/formula", r->dir.root);
    struct meter_config cfg = {
        .sysfs_root = r->dir.root, .script = path, .disable = "nvml", .period_ns = period_ns};
    assert_int_equal(meter_open(&r->meter, &cfg, &e), 0);
    assert_int_equal(formula_load(&r->formula, path, &e), 0);
}

static void rig_close(struct rig *r)
{
    meter_close(r->meter);
    formula_free(r->formula);
    fixture_fini(&r->dir);
}

static const char two_counters[] =
    "channel package kind=counter scope=package wrap=50000000 quantum=61 period=1ms pmax=200W\n"
    "channel slow kind=counter scope=dram wrap=262143328851 quantum=16 period=30ms\n"
    "channel gauge kind=gauge scope=gpu\n"
    "power package = sine 160W 40W 700ms\n"
    "power slow = piecewise 0s:5W 200ms:20W repeat 500ms\n"
    "power gauge = constant 7W\n"
    "start package 49900000\n";

/* Every value lies between the true energies at the two ends of its sweep, less one refresh and one
 * quantum. Several wraps go by. */
static void counters_follow_the_truth(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 10 * MS, two_counters);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    int64_t from[2][2] = {{0}};
    int64_t highest = 0;
    int ticks = 0;
    for (int round = 0; round < 15; round++) {
        rest_ms(100);
        struct ring *ring = meter_ring(r.meter);
        for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring), ticks++) {
            assert_int_equal(t->group, 0);
            assert_int_equal(t->n, 3);
            assert_int_equal(t->flags, ticks == 0 ? TICK_FIRST : 0);
            for (size_t i = 0; i < 2; i++) {
                const struct channel_desc *d = &formula_descs(r.formula)[i];
                int64_t lo =
                    formula_energy_uj(r.formula, i, t->before_ns - d->period_ns) - d->quantum;
                int64_t hi = formula_energy_uj(r.formula, i, t->after_ns) + d->quantum;
                assert_int_equal(tick_states(t)[i], READING_OK);
                if (ticks == 0) {
                    /* the curve begins at this reading, somewhere in [lo, hi] */
                    assert_int_equal(tick_values(t)[i], 0);
                    from[i][0] = lo;
                    from[i][1] = hi;
                }
                assert_true(tick_values(t)[i] >= lo - from[i][1]);
                assert_true(tick_values(t)[i] <= hi - from[i][0]);
            }
            highest = tick_values(t)[0];
            assert_int_equal(tick_values(t)[2], 7000000);
        }
    }
    assert_true(ticks > 20);
    assert_true(highest > 2 * WRAP);
    struct meter_status s;
    meter_get_status(r.meter, 0, &s);
    assert_int_equal(s.state, READING_OK);
    assert_in_range(s.power_uw, 110000000, 210000000);
    rig_close(&r);
}

/* The grid does not drift: the best lateness at the end is that of the beginning. */
static void grid_does_not_drift(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 5 * MS, two_counters);
    int64_t began = clock_boot_ns();
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    rest_ms(1500);
    meter_stop(r.meter);
    int64_t passed = (clock_boot_ns() - began) / (5 * MS); /* more than 300 on a busy machine */
    int64_t first = INT64_MAX;
    int64_t second = INT64_MAX;
    int64_t last_index = -1;
    struct ring *ring = meter_ring(r.meter);
    for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring)) {
        assert_true(t->index > last_index);
        last_index = t->index;
        int64_t phase = t->before_ns - t->index * 5 * MS;
        int64_t *best = t->index < 100 ? &first : t->index >= 200 ? &second : NULL;
        if (best && phase < *best) {
            *best = phase;
        }
    }
    assert_in_range(last_index, 250, passed + 1);
    assert_true(llabs(second - first) < 2 * MS);
    rig_close(&r);
}

struct edge {
    struct meter *meter;
    _Atomic int64_t ticket;
    int64_t stall_ms;
};

static void on_edge(void *arg, int64_t ticket)
{
    struct edge *e = arg;
    atomic_store(&e->ticket, ticket);
    if (e->stall_ms) {
        rest_ms(e->stall_ms);
    }
}

static struct tick *find_edge(struct ring *ring, int64_t ticket)
{
    for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring)) {
        if (t->ticket == ticket) {
            return t;
        }
        assert_int_equal(t->flags & TICK_EDGE, 0);
    }
    return NULL;
}

/* When done is called the tick is in the ring, and its stamps lie after the moment asked for. */
static void edges_are_stamped_and_answered(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 200 * MS, two_counters);
    struct edge e = {.meter = r.meter};
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    int64_t previous = 0;
    for (int i = 0; i < 20; i++) {
        int64_t asked = clock_boot_ns();
        int64_t at = i % 2 ? asked + 3 * MS : 0;
        int64_t ticket = meter_sweep(r.meter, at, on_edge, &e);
        assert_true(ticket > previous);
        previous = ticket;
        for (int k = 0; k < 2000 && atomic_load(&e.ticket) != ticket; k++) {
            rest_ms(1);
        }
        assert_int_equal(atomic_load(&e.ticket), ticket);
        struct tick *t = find_edge(meter_ring(r.meter), ticket);
        if (!t) {
            fail_msg("edge %" PRId64 " is not in the ring", ticket);
            return;
        }
        assert_true(t->flags & TICK_EDGE);
        assert_true(t->before_ns >= (at ? at : asked));
        assert_true(t->after_ns >= t->before_ns);
        assert_int_equal(tick_states(t)[0], READING_OK);
        ring_pop(meter_ring(r.meter));
    }
    assert_int_equal(meter_settle_ns(r.meter), 1 * MS);
    rig_close(&r);
}

static void too_many_edges_are_refused(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 100 * MS, two_counters);
    int64_t later = clock_boot_ns() + 3600000 * MS;
    for (int i = 0; i < 64; i++) {
        assert_true(meter_sweep(r.meter, later, NULL, NULL) > 0);
    }
    assert_int_equal(meter_sweep(r.meter, later, NULL, NULL), 0);
    rig_close(&r);
}

/* Held up for 300 ms: grid points are left out, the grid stays, the counter loses nothing. */
static void stall_skips_grid_points(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 20 * MS,
             "channel p kind=counter scope=package period=1ms pmax=200W wrap=262143328851\n"
             "power p = constant 50W\n");
    struct edge e = {.meter = r.meter, .stall_ms = 300};
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    rest_ms(200);
    assert_true(meter_sweep(r.meter, 0, on_edge, &e) > 0);
    rest_ms(600);
    meter_stop(r.meter);
    int64_t jump = 0;
    int64_t index = -1;
    int64_t value = 0;
    int64_t when = 0;
    int64_t slack = 0;
    int64_t swept = 0;
    struct ring *ring = meter_ring(r.meter);
    for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring)) {
        if (t->ticket == 0) {
            jump = index >= 0 && t->index - index > jump ? t->index - index : jump;
            /* no more of them than there was time for */
            assert_true(index < 0 || t->index - index <= (t->before_ns - swept) / (20 * MS) + 1);
            index = t->index;
            swept = t->before_ns;
        }
        int64_t middle = t->before_ns + (t->after_ns - t->before_ns) / 2;
        if (when) {
            /* 1 uJ in 20 ns, to within a refresh and a sweep's length at both ends */
            int64_t error = tick_values(t)[0] - value - (middle - when) / 20;
            int64_t length = (t->after_ns - t->before_ns) / 20;
            assert_true(llabs(error) <= 2 * 50000 + length + slack);
            slack = length;
        }
        value = tick_values(t)[0];
        when = middle;
    }
    assert_true(jump >= 14);
    rig_close(&r);
}

/* A failed read has a reason, repeats the curve, and is never 0; the energy of the time is not lost. */
static void failed_reads_are_never_zero(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 10 * MS,
             "channel p kind=counter scope=package period=1ms pmax=200W wrap=262143328851\n"
             "channel g kind=gauge scope=gpu pmax=100W\n"
             "power p = constant 50W\npower g = constant 30W\n"
             "fail p 200ms..400ms EIO\nfail g 200ms..400ms GARBLED\n"
             "start p 1000000\n");
    meter_set_base(r.meter, 0, 1, 123456789, 0, false);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    rest_ms(700);
    meter_stop(r.meter);
    int failures = 0;
    int64_t value = 123456789;
    struct ring *ring = meter_ring(r.meter);
    for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring)) {
        assert_true(tick_values(t)[0] >= value);
        value = tick_values(t)[0];
        if (tick_states(t)[0] != READING_OK) {
            assert_int_equal(tick_states(t)[0], READING_IO);
            assert_int_equal(tick_states(t)[1], READING_GARBLED);
            failures++;
        }
        assert_true(tick_values(t)[1] != 0);
    }
    assert_in_range(failures, 5, 21);
    assert_true(value - 123456789 > 25000000); /* > 0.5 s at 50 W: the failed stretch is in it */
    struct meter_status s;
    meter_get_status(r.meter, 0, &s);
    assert_int_equal(s.failures, failures);
    rig_close(&r);
}

static void reset_is_flagged_once(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 10 * MS,
             "channel p kind=counter scope=gpu period=1ms pmax=200W\n"
             "power p = constant 50W\nreset p 300ms\n");
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    rest_ms(600);
    meter_stop(r.meter);
    int resets = 0;
    struct ring *ring = meter_ring(r.meter);
    for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring)) {
        assert_int_equal(tick_states(t)[0] & TICK_STATE_MASK, READING_OK);
        resets += (tick_states(t)[0] & TICK_RESET) != 0;
    }
    assert_int_equal(resets, 1);
    rig_close(&r);
}

/* Nobody empties the ring: ticks are lost and counted, the curve is not; an edge waits for room. */
static void full_ring_loses_ticks_not_energy(void **ctx)
{
    (void)ctx;
    struct rig r;
    char text[8192] = "";
    for (int i = 0; i < 60; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at,
                 "channel c%d kind=counter period=1ms pmax=200W\npower c%d = constant 50W\n", i, i);
    }
    rig_open(&r, 1 * MS, text);
    struct edge e = {.meter = r.meter};
    struct ring *ring = meter_ring(r.meter);
    while (ring_reserve(ring, 60)) {
        ring_push(ring); /* nothing is sampling yet: this thread is the producer */
    }
    uint64_t before = ring_dropped(ring);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    int64_t ticket = meter_sweep(r.meter, 0, on_edge, &e);
    rest_ms(200);
    assert_int_equal(atomic_load(&e.ticket), 0);
    assert_true(ring_dropped(ring) > before);
    struct tick *t = NULL;
    for (int k = 0; k < 2000 && !(t = find_edge(ring, ticket)); k++) {
        rest_ms(1);
    }
    if (!t) {
        fail_msg("edge %" PRId64 " is not in the ring", ticket);
        return;
    }
    assert_true(tick_values(t)[0] > 5000000); /* > 0.1 s at 50 W */
    rig_close(&r);
}

/* Two dies with one register are found by watching; two sockets that run alike are not suspected. */
static void mirrored_dies_are_found(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 5 * MS,
             "channel a kind=counter scope=package label=package-0-die-0 period=1ms pmax=200W\n"
             "channel b kind=counter scope=package label=package-0-die-1 period=1ms pmax=200W\n"
             "channel c kind=counter scope=package label=package-1-die-0 period=1ms pmax=200W\n"
             "channel d kind=counter scope=package label=package-1-die-1 period=1ms pmax=200W\n"
             "power a = sine 60W 40W 700ms\npower b = sine 60W 40W 700ms\n"
             "power c = sine 60W 40W 700ms\npower d = sine 50W 40W 600ms\n"
             "start d 90000000\n");
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    rest_ms(1000);
    struct meter_view views[4];
    struct meter_status s;
    meter_views(r.meter, views, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(views[i].mirror, i == 1 ? 0 : -1);
    }
    meter_get_status(r.meter, 1, &s);
    assert_int_equal(s.opinion.doubt, METER_DOUBT_MIRROR);
    assert_int_equal(s.opinion.about, 0);
    rig_close(&r);
}

/* psys that shows less than its package is not what it says: the package makes the total. */
static void psys_below_its_package_is_doubted(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r, 20 * MS,
             "channel psys kind=counter scope=psys period=1ms pmax=500W\n"
             "channel good kind=counter scope=psys period=1ms pmax=500W\n"
             "channel package kind=counter scope=package parent=psys period=1ms pmax=200W\n"
             "channel other kind=counter scope=package parent=good period=1ms pmax=200W\n"
             "power psys = constant 1W\npower good = constant 100W\n"
             "power package = constant 90W\npower other = constant 90W\n");
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    struct meter_status s = {0};
    for (int i = 0; i < 100 && s.opinion.doubt != METER_DOUBT_LOWER; i++) {
        rest_ms(100);
        meter_get_status(r.meter, 0, &s);
    }
    assert_int_equal(s.opinion.doubt, METER_DOUBT_LOWER);
    assert_int_equal(s.opinion.about, 2);
    struct meter_view views[4];
    uint8_t in[4];
    const struct meter_channel *list[4];
    for (size_t i = 0; i < 4; i++) {
        list[i] = meter_channel(r.meter, i);
    }
    meter_views(r.meter, views, 4);
    assert_int_equal(meter_antichain(list, 4, views, in), 2);
    assert_true(!in[0] && !in[1] && in[2] && in[3]); /* the good one has not been proven yet */
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_follow_the_truth),
        cmocka_unit_test(grid_does_not_drift),
        cmocka_unit_test(edges_are_stamped_and_answered),
        cmocka_unit_test(too_many_edges_are_refused),
        cmocka_unit_test(stall_skips_grid_points),
        cmocka_unit_test(failed_reads_are_never_zero),
        cmocka_unit_test(reset_is_flagged_once),
        cmocka_unit_test(full_ring_loses_ticks_not_energy),
        cmocka_unit_test(mirrored_dies_are_found),
        cmocka_unit_test(psys_below_its_package_is_doubted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
