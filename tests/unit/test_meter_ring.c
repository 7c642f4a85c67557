/* The ring between sampler and storage: sizes, laps, full, two threads. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/meter/ring.h"

static void put(struct tick *t, int64_t index)
{
    t->index = index;
    for (uint32_t i = 0; i < t->n; i++) {
        tick_values(t)[i] = index * 1000 + i;
        tick_raws(t)[i] = -index;
        tick_states(t)[i] = (uint8_t)(index & 0xff);
    }
}

static void check(struct tick *t, int64_t index, uint32_t n)
{
    assert_non_null(t);
    assert_int_equal(t->index, index);
    assert_int_equal(t->n, n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(tick_values(t)[i], index * 1000 + i);
        assert_int_equal(tick_raws(t)[i], -index);
        assert_int_equal(tick_states(t)[i], (uint8_t)(index & 0xff));
    }
}

static uint32_t size_of(int64_t index)
{
    return (uint32_t)(index * 7 % 23);
}

static void ticks_of_any_size_survive_many_laps(void **ctx)
{
    (void)ctx;
    struct ring *r = ring_new(1);
    assert_null(ring_peek(r));
    int64_t in = 0;
    int64_t out = 0;
    while (in < 5000) {
        struct tick *t = ring_reserve(r, size_of(in));
        if (t) {
            put(t, in++);
            ring_push(r);
        }
        if (!t || in % 3 == 0) {
            check(ring_peek(r), out, size_of(out));
            ring_pop(r);
            out++;
        }
    }
    while (out < in) {
        check(ring_peek(r), out, size_of(out));
        ring_pop(r);
        out++;
    }
    assert_null(ring_peek(r));
    ring_pop(r);
    ring_free(r);
}

static void full_ring_drops_the_new_and_counts(void **ctx)
{
    (void)ctx;
    struct ring *r = ring_new(4096);
    int64_t in = 0;
    for (struct tick *t; (t = ring_reserve(r, 20)); in++) {
        put(t, in);
        ring_push(r);
    }
    assert_in_range(in, 8, 10); /* 4096 / (72 + 340 + 8) */
    assert_int_equal(ring_dropped(r), 1);
    assert_null(ring_reserve(r, 20));
    assert_null(ring_reserve(r, 100000));
    assert_int_equal(ring_dropped(r), 3);
    for (int64_t i = 0; i < in; i++) {
        check(ring_peek(r), i, 20);
        ring_pop(r);
    }
    assert_null(ring_peek(r));
    ring_free(r);
}

/* Outward, on the grids, by no more than a step of each; nothing that is narrower than a sweep. */
static void stamps_are_rounded_outward(void **ctx)
{
    (void)ctx;
    const int64_t periods[] = {1000000, 10000000, 100000000, 1000000000};
    for (size_t p = 0; p < sizeof(periods) / sizeof(periods[0]); p++) {
        int64_t unit = tick_unit_ns(periods[p]), width = tick_width_ns(periods[p]);
        for (int64_t i = 0; i < 20000; i++) {
            int64_t from = 1000000000 + i * 7919, to = from + i * 13 % 300000;
            int64_t before = from, after = to;
            tick_round(periods[p], &before, &after);
            assert_true(before <= from && from - before < unit && before % unit == 0);
            assert_true(after >= to && (after - before) % width == 0);
            int64_t took = to - before > TICK_SWEEP_NS ? to - before : TICK_SWEEP_NS;
            assert_true(after - before >= took && after - before - took < width);
        }
    }
}

static void unpushed_tick_is_not_seen(void **ctx)
{
    (void)ctx;
    struct ring *r = ring_new(4096);
    assert_non_null(ring_reserve(r, 3));
    assert_null(ring_peek(r));
    put(ring_reserve(r, 2), 9);
    ring_push(r);
    check(ring_peek(r), 9, 2);
    ring_free(r);
}

#define TICKS 200000

static void *produce(void *arg)
{
    struct ring *r = arg;
    for (int64_t i = 0; i < TICKS;) {
        struct tick *t = ring_reserve(r, size_of(i));
        if (t) {
            put(t, i++);
            ring_push(r);
        } else {
            sched_yield();
        }
    }
    return NULL;
}

static void two_threads_lose_nothing(void **ctx)
{
    (void)ctx;
    struct ring *r = ring_new(8192);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
    for (int64_t i = 0; i < TICKS;) {
        struct tick *t = ring_peek(r);
        if (t) {
            check(t, i, size_of(i));
            ring_pop(r);
            i++;
        } else {
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_of_any_size_survive_many_laps),
        cmocka_unit_test(full_ring_drops_the_new_and_counts),
        cmocka_unit_test(stamps_are_rounded_outward),
        cmocka_unit_test(unpushed_tick_is_not_seen),
        cmocka_unit_test(two_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
