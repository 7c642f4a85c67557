/* E(t) against a brute-force curve that is made from the list of samples alone, in 128 bits; the same in
 * tail rows and chunks, over failed reads, stalls, resets, restarts and suspends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/curve_world.h"

/* ---- tests -------------------------------------------------------------------------------------- */

static struct world *world;

static void test_random_curves(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int round = 0; round < 6; round++) {
        memset(world, 0, sizeof(*world));
        world_init(world, seed + (uint64_t)round * 7919, (uint32_t)(3 + 17 * round));
        for (int i = 0; i < 900; i++) {
            int64_t step = NS_PER_MS * (40 + rec_below(&world->seed, 120));
            if (rec_below(&world->seed, 150) == 0)
                step += 2 * NS_PER_S; /* a stall */
            world_tick(world, step, round % 2 ? 12 : 0, round > 2 ? 60 : 0);
            if (rec_below(&world->seed, 10) == 0)
                rec_flush(&world->rec);
            if (i == 450)
                rec_flush(&world->rec), check_many(world, 60);
        }
        rec_flush(&world->rec);
        check_many(world, 200);
        rec_fini(&world->rec);
    }
}

/* Chunks so long that a reader begins at marks inside: with no gap in them, with one now and then, with some failed
 * reads. */
static void test_marks(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int round = 0; round < 4; round++) {
        memset(world, 0, sizeof(*world));
        world_init_at(world, seed + (uint64_t)round * 15485863, (uint32_t)(700 + 600 * round),
                      500 * NS_PER_MS);
        for (int i = 0; i < 3000; i++) {
            int64_t step = NS_PER_MS * (400 + rec_below(&world->seed, 200));
            if (round > 1 && rec_below(&world->seed, 900) == 0)
                step += 3 * NS_PER_S; /* a stall */
            world_tick(world, step, round == 3 ? 1500 : 0, 0);
            if (i % 50 == 0)
                rec_flush(&world->rec);
        }
        rec_flush(&world->rec);
        assert_true(rec_ask(&world->rec, "SELECT count(*) FROM chunk WHERE hex(substr(b, 2, 1))"
                                         " = '02'") > 0);
        check_many(world, 400);
        rec_fini(&world->rec);
    }
}

/* The same instants asked while the samples stand in tail rows and when they stand in chunks. */
static void test_tail_and_chunk_agree(void **state)
{
    (void)state;
    memset(world, 0, sizeof(*world));
    world_init(world, rec_seed(), 300);
    for (int i = 0; i < 250; i++) {
        world_tick(world, 100 * NS_PER_MS, 15, 0);
        if (i % 10 == 9)
            rec_flush(&world->rec);
    }
    assert_int_equal(rec_ask(&world->rec, "SELECT count(*) FROM chunk"), 0);
    int64_t t[100];
    struct curve_point tail[100][CHANNELS], p;
    struct err e = {0};
    int64_t settled =
        world->ref[1].s[world->ref[1].n - 30].t; /* later ones are still provisional */
    for (int k = 0; k < 100; k++) {
        t[k] = 5 * NS_PER_S + rec_below(&world->seed, settled - 5 * NS_PER_S);
        for (size_t i = 0; i < CHANNELS; i++)
            assert_true(
                samples_curve(world->rec.store, world->rec.id[i], 1, t[k], &tail[k][i], &e) >= 0);
    }
    for (int i = 0; i < 60; i++)
        world_tick(world, 100 * NS_PER_MS, 0, 0);
    rec_flush(&world->rec);
    assert_int_equal(rec_ask(&world->rec, "SELECT count(*) FROM chunk"), 1);
    assert_true(rec_ask(&world->rec, "SELECT coalesce(sum(n), 0) FROM tail") < 20);
    for (int k = 0; k < 100; k++)
        for (size_t i = 0; i < CHANNELS; i++) {
            assert_true(samples_curve(world->rec.store, world->rec.id[i], 1, t[k], &p, &e) >= 0);
            if (tail[k][i].provisional)
                continue;
            assert_int_equal(p.e_uj, tail[k][i].e_uj);
            assert_int_equal(p.unknown_ns, tail[k][i].unknown_ns);
            assert_int_equal(p.bridged_uj, tail[k][i].bridged_uj);
        }
    rec_fini(&world->rec);
}

static void test_restarts(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int round = 0; round < 4; round++) {
        memset(world, 0, sizeof(*world));
        world_init(world, seed + (uint64_t)round * 104729, (uint32_t)(10 + 40 * round));
        int bridged = 0;
        for (int life = 0; life < 6; life++) {
            if (life > 0) {
                /* 262 kJ at the assumed 2 kW last 131 s, of which 0.9 count: 200 s cannot be bridged. */
                bool longer = life % 3 == 2;
                world_restart(world, life % 2, (longer ? 200 : 20) * NS_PER_S);
                assert_int_equal(world->next[0], longer ? UNKNOWN : BRIDGED);
                assert_int_equal(world->next[1], BRIDGED); /* never goes round */
                bridged += world->next[0] == BRIDGED;
                world_first_tick(world);
            }
            int ticks = (int)(30 + rec_below(&world->seed, 150));
            for (int i = 0; i < ticks; i++) {
                world_tick(world, 100 * NS_PER_MS, 20, 0);
                if (i % 10 == 9)
                    rec_flush(&world->rec);
            }
            rec_flush(&world->rec);
            check_many(world, 60);
        }
        assert_true(bridged > 0);
        assert_true(rec_ask(&world->rec, "SELECT count(*) FROM gap WHERE kind = 'bridged'") >=
                    bridged);
        assert_int_equal(rec_ask(&world->rec, "SELECT count(*) FROM epoch"), 6);
        assert_true(rec_ask(&world->rec, "SELECT count(*) FROM epoch WHERE reason = 'killed'") >=
                    2);
        rec_fini(&world->rec);
    }
}

/* Another boot: energy goes on from where it was, time does not, nothing is bridged. */
static void test_other_boot(void **state)
{
    (void)state;
    memset(world, 0, sizeof(*world));
    world_init(world, rec_seed(), 50);
    for (int i = 0; i < 120; i++)
        world_tick(world, 100 * NS_PER_MS, 0, 0);
    rec_flush(&world->rec);
    int64_t end = counter_at(&world->ref[0], INT64_MAX);
    rec_close(&world->rec, true);
    rec_open_as(&world->rec, "22222222-2222-2222-2222-222222222222", NS_PER_S);
    assert_false(world->rec.raw_known[0]);
    assert_int_equal(world->rec.e0[0], end);
    for (size_t i = 0; i < CHANNELS; i++)
        rec_set(&world->rec, i, world->rec.e0[i], 0);
    rec_put(&world->rec, NS_PER_S, NS_PER_S, TICK_FIRST);
    rec_set(&world->rec, 0, end + 1000, 0);
    rec_put(&world->rec, 2 * NS_PER_S, 2 * NS_PER_S, 0);
    rec_flush(&world->rec);
    struct curve_point p;
    struct err e = {0};
    assert_int_equal(samples_curve(world->rec.store, world->rec.id[0], 2, NS_PER_S * 3 / 2, &p, &e),
                     0);
    assert_int_equal(p.e_uj, end + 500);
    assert_int_equal(samples_curve(world->rec.store, world->rec.id[0], 1, 6 * NS_PER_S, &p, &e), 0);
    assert_int_equal(p.e_uj, ref_at(&world->ref[0], 6 * NS_PER_S));
    rec_fini(&world->rec);
}

static void test_suspend(void **state)
{
    (void)state;
    memset(world, 0, sizeof(*world));
    world_init(world, rec_seed(), 50);
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < 70; i++)
            world_tick(world, 100 * NS_PER_MS, 0, 0);
        rec_flush(&world->rec);
        if (part == 2)
            break;
        /* 30 s: the counters carry on; an hour: the one that goes round does not. */
        int64_t slept = (part == 0 ? 30 : 3600) * NS_PER_S;
        world->t += slept;
        world->suspend_ns += slept;
        world->next[0] = part == 0 ? BRIDGED : UNKNOWN;
        world->next[1] = BRIDGED;
        world->next[2] = world->next[3] = UNKNOWN;
        /* What the meter added meanwhile stands in the value, known or not. */
        if (part == 1)
            world->reg[0] += 77777;
        world_tick(world, 100 * NS_PER_MS, 0, 0);
        if (part == 1)
            world->ref[0].s[world->ref[0].n - 1].v = 0;
    }
    check_many(world, 100);
    assert_int_equal(rec_ask(&world->rec, "SELECT count(*) FROM epoch WHERE reason = 'suspend'"),
                     2);
    assert_int_equal(rec_ask(&world->rec, "SELECT count(*) FROM gap WHERE kind = 'suspend'"), 8);
    rec_fini(&world->rec);
}

/* A counter that stands still for many chunks: one change far away decides the slope in all of them. */
static void test_still_counter(void **state)
{
    (void)state;
    struct recorder r;
    struct err e = {0};
    struct curve_point p;
    rec_init(&r);
    r.chunk_ticks = 5;
    rec_add(&r, "still", CHANNEL_COUNTER);
    rec_open_as(&r, REC_BOOT, 0);
    for (int i = 0; i <= 1000; i++) {
        rec_set(&r, 0, i < 900 ? 0 : 900, 0);
        rec_put(&r, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
        if (i % 5 == 0)
            rec_flush(&r);
    }
    rec_flush(&r);
    for (int64_t i = 0; i <= 900; i += 7) {
        assert_int_equal(samples_curve(r.store, r.id[0], 1, i * 100 * NS_PER_MS, &p, &e), 0);
        assert_int_equal(p.e_uj, i);
        assert_false(p.provisional);
    }
    assert_int_equal(samples_curve(r.store, r.id[0], 1, 950 * 100 * NS_PER_MS, &p, &e), 0);
    assert_int_equal(p.e_uj, 900);
    assert_true(p.provisional);
    rec_fini(&r);
}

/* A new world with so many ticks at 10 Hz and no gap. */
static void fill(struct world *w, uint32_t chunk_ticks, int ticks)
{
    memset(w, 0, sizeof(*w));
    world_init(w, rec_seed(), chunk_ticks);
    for (int i = 0; i < ticks; i++) {
        world_tick(w, 100 * NS_PER_MS, 0, 0);
        if (i % 50 == 0)
            rec_flush(&w->rec);
    }
    rec_flush(&w->rec);
}

/* Neighbours of a damaged chunk, and windows across it, do not notice. */
static void test_damaged_chunk(void **state)
{
    (void)state;
    fill(world, 100, 700);
    int64_t t0 = rec_ask(&world->rec, "SELECT t0_ns FROM chunk WHERE id = 3");
    int64_t t1 = rec_ask(&world->rec, "SELECT t1_ns FROM chunk WHERE id = 3");
    rec_ask(&world->rec,
            "UPDATE chunk SET b = CAST(substr(b, 1, 998) || x'5a5b' || substr(b, 1001) AS"
            " BLOB) WHERE id = 3");
    struct err e = {0};
    struct curve_point p;
    int errors = 0;
    for (int k = 0; k < 300; k++) {
        int64_t t = world->ref[0].s[0].t + rec_below(&world->seed, world->t - world->ref[0].s[0].t);
        for (size_t i = 0; i < CHANNELS; i += 2) {
            int rc = samples_curve(world->rec.store, world->rec.id[i], 1, t, &p, &e);
            if (rc == WATTQ_E_CORRUPT) {
                assert_true(t >= t0 - NS_PER_S / 2 && t <= t1);
                errors++;
                continue;
            }
            assert_int_equal(rc, 0);
            assert_int_equal(p.e_uj, ref_at(&world->ref[i], t));
        }
    }
    assert_true(errors > 0);
    rec_fini(&world->rec);
}

/* Of a long chunk a damaged column costs its channel only. */
static void test_damaged_column(void **state)
{
    (void)state;
    fill(world, 700, 1600);
    int64_t t0 = rec_ask(&world->rec, "SELECT t0_ns FROM chunk WHERE id = 2");
    int64_t t1 = rec_ask(&world->rec, "SELECT t1_ns FROM chunk WHERE id = 2");
    rec_ask(&world->rec, "UPDATE chunk SET b = CAST(substr(b, 1, length(b) - 9) || x'5a5b5c5d' ||"
                         " substr(b, length(b) - 4) AS BLOB) WHERE id = 2");
    struct err e = {0};
    struct curve_point p;
    int lost = 0;
    for (int k = 0; k < 100; k++) {
        int64_t t = t0 + 1 + rec_below(&world->seed, t1 - t0 - 1);
        for (size_t i = 0; i < CHANNELS; i++) {
            int rc = samples_curve(world->rec.store, world->rec.id[i], 1, t, &p, &e);
            assert_int_equal(rc, i == CHANNELS - 1 ? WATTQ_E_CORRUPT : 0);
            lost += rc != 0;
            if (rc == 0)
                assert_int_equal(p.e_uj, ref_at(&world->ref[i], t));
        }
    }
    assert_int_equal(lost, 100);
    rec_fini(&world->rec);
}

/* A sound blob in the row of another: its readings are of another time, and nobody gets them. Long enough for marks,
 * from which one channel is read without tick 0. */
static void test_chunk_of_another_row(void **state)
{
    (void)state;
    fill(world, 5000, 16000);
    int64_t t0 = rec_ask(&world->rec, "SELECT t0_ns FROM chunk WHERE id = 3");
    int64_t t1 = rec_ask(&world->rec, "SELECT t1_ns FROM chunk WHERE id = 3");
    rec_ask(&world->rec, "UPDATE chunk SET b = (SELECT b FROM chunk WHERE id = 1) WHERE id = 3");
    struct store *s = world->rec.store;
    struct err e = {0};
    struct curve_point p;
    struct sample x;
    for (int k = 0; k < 100; k++) {
        int64_t t = t0 + NS_PER_S + rec_below(&world->seed, t1 - t0 - 2 * NS_PER_S);
        for (size_t i = 0; i < CHANNELS; i++) {
            int64_t id = world->rec.id[i];
            assert_int_equal(samples_curve(s, id, 1, t, &p, &e), WATTQ_E_CORRUPT);
            assert_int_equal(samples_before(s, id, 1, t, &x, &e), WATTQ_E_CORRUPT);
            assert_int_equal(samples_after(s, id, 1, t, &x, &e), WATTQ_E_CORRUPT);
            assert_int_equal(samples_at(s, id, 1, t, &x, &e), WATTQ_E_CORRUPT);
            assert_int_equal(samples_from(s, id, 1, t, &x, &e), WATTQ_E_CORRUPT);
        }
    }
    rec_fini(&world->rec);
}

/* A tail row that a kill or a disk spoilt: recovery leaves it out and everything else is there. */
static void test_damaged_tail(void **state)
{
    (void)state;
    struct recorder r;
    struct err e = {0};
    struct curve_point p;
    rec_init(&r);
    rec_add(&r, "c", CHANNEL_COUNTER);
    rec_open_as(&r, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        rec_set(&r, 0, i * 1000, 0);
        rec_put(&r, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
        if (i % 10 == 9)
            rec_flush(&r);
    }
    rec_close(&r, false);
    rec_ask(&r, "UPDATE tail SET b = x'50' WHERE seq = 5");
    rec_open_as(&r, REC_BOOT, 11 * NS_PER_S);
    assert_int_equal(rec_ask(&r, "SELECT count(*) FROM tail"), 0);
    assert_int_equal(rec_ask(&r, "SELECT n FROM chunk"), 90);
    assert_true(r.raw_known[0]);
    assert_int_equal(r.raw0[0], 99000);
    assert_int_equal(samples_curve(r.store, r.id[0], 1, 99 * 100 * NS_PER_MS, &p, &e), 0);
    assert_int_equal(p.e_uj, 99000);
    assert_int_equal(samples_curve(r.store, r.id[0], 1, 45 * 100 * NS_PER_MS, &p, &e), 0);
    assert_int_equal(p.e_uj, 45000);
    rec_fini(&r);
}

int main(void)
{
    world = calloc(1, sizeof(*world));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_curves),        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_tail_and_chunk_agree), cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_other_boot),           cmocka_unit_test(test_suspend),
        cmocka_unit_test(test_still_counter),        cmocka_unit_test(test_damaged_chunk),
        cmocka_unit_test(test_damaged_column),       cmocka_unit_test(test_chunk_of_another_row),
        cmocka_unit_test(test_damaged_tail),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(world);
    return rc;
}
