/* Who is on a GPU: snapshots, what adds up, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/gpu_procs.h"
#include "tests/support/fixture.h"

static struct gpu_use answer(int64_t stamp_ns, int64_t pid, int64_t busy_ppm)
{
    struct gpu_use u = {.state = READING_OK, .stamp_ns = stamp_ns, .busy_ppm = busy_ppm, .n = 1};
    u.procs[0] = (struct gpu_proc){.pid = pid, .start_ticks = 7, .busy_ppm = busy_ppm};
    return u;
}

static void use_adds_up_over_answers(void **ctx)
{
    (void)ctx;
    struct gpu_procs *p = gpu_procs_new();
    int g = gpu_procs_add(p, "GPU-a", "gpu0");
    struct gpu_use u = answer(NS_PER_S, 100, 500000);
    struct gpu_use seen;
    assert_true(gpu_procs_get(p, 0, NS_PER_S, &seen));
    assert_int_equal(seen.state, READING_NOT_YET);
    gpu_procs_put(p, g, &u);
    u = answer(3 * NS_PER_S, 100, 500000);
    gpu_procs_put(p, g, &u);
    assert_true(gpu_procs_find(p, "GPU-a", 3 * NS_PER_S, &seen));
    assert_int_equal(seen.state, READING_OK);
    assert_int_equal(seen.procs[0].busy_us, 1000000);
    assert_int_equal(seen.procs[0].first_ns, NS_PER_S);
    assert_int_equal(seen.span_ns, 2 * NS_PER_S);
    /* a share that was not told adds nothing and takes nothing away */
    u = answer(4 * NS_PER_S, 100, -1);
    gpu_procs_put(p, g, &u);
    assert_true(gpu_procs_find(p, "GPU-a", 4 * NS_PER_S, &seen));
    assert_int_equal(seen.procs[0].busy_us, 1000000);
    assert_int_equal(seen.procs[0].busy_ppm, -1);
    /* the same pid, another process */
    u = answer(5 * NS_PER_S, 100, -1);
    u.procs[0].start_ticks = 8;
    gpu_procs_put(p, g, &u);
    assert_true(gpu_procs_find(p, "GPU-a", 5 * NS_PER_S, &seen));
    assert_int_equal(seen.procs[0].busy_us, -1);
    assert_int_equal(seen.procs[0].first_ns, 5 * NS_PER_S);
    gpu_procs_unref(p);
}

static void idle_is_told_since_when(void **ctx)
{
    (void)ctx;
    struct gpu_procs *p = gpu_procs_new();
    int g = gpu_procs_add(p, "GPU-a", "gpu0");
    struct gpu_use seen;
    const int64_t busy[] = {200000, 0, 0, -1};
    const int64_t since[] = {0, 2 * NS_PER_S, 2 * NS_PER_S, 0};
    for (int i = 0; i < 4; i++) {
        struct gpu_use u = answer((i + 1) * NS_PER_S, 100, busy[i]);
        gpu_procs_put(p, g, &u);
        assert_true(gpu_procs_get(p, 0, (i + 1) * NS_PER_S, &seen));
        assert_int_equal(seen.idle_since_ns, since[i]);
    }
    gpu_procs_unref(p);
}

static void old_answers_are_none(void **ctx)
{
    (void)ctx;
    struct gpu_procs *p = gpu_procs_new();
    int g = gpu_procs_add(p, "GPU-a", "gpu0");
    assert_int_equal(gpu_procs_add(p, "GPU-a", "gpu0"), g);
    struct gpu_use u = answer(NS_PER_S, 100, 0);
    struct gpu_use seen;
    gpu_procs_put(p, g, &u);
    assert_true(gpu_procs_get(p, 0, NS_PER_S + GPU_PROCS_STALE_NS + 1, &seen));
    assert_int_equal(seen.state, READING_STALE);
    assert_int_equal(seen.n, 0);
    assert_int_equal(seen.busy_ppm, -1);
    /* a driver that is gone says so; when it is back the span is not made up */
    u.state = READING_GONE;
    u.stamp_ns = 2 * NS_PER_S;
    gpu_procs_put(p, g, &u);
    assert_true(gpu_procs_get(p, 0, 2 * NS_PER_S, &seen));
    assert_int_equal(seen.state, READING_GONE);
    assert_true(seen.reason[0] != '\0');
    u = answer(60 * NS_PER_S, 100, 500000);
    gpu_procs_put(p, g, &u);
    assert_true(gpu_procs_get(p, 0, 60 * NS_PER_S, &seen));
    assert_int_equal(seen.procs[0].busy_us, 0);
    assert_int_equal(seen.span_ns, 0);
    assert_false(gpu_procs_get(p, 1, 0, &seen));
    gpu_procs_unref(p);
}

static void zombies_and_the_dead_are_left_out(void **ctx)
{
    (void)ctx;
    struct fixture dir;
    fixture_init(&dir);
    fixture_put(&dir, "proc/41/stat",
                "41 (a ) Z (b) S 1 41 41 0 -1 4194304 0 0 0 0 3 1 0 0 20 0 1 0 123456 0 0\n");
    fixture_put(&dir, "proc/42/stat",
                "42 (dead) Z 1 42 42 0 -1 4194304 0 0 0 0 3 1 0 0 20 0 1 0 123457 0 0\n");
    fixture_put(&dir, "proc/43/stat", "43 (cut) S 1\n");
    struct gpu_proc who = {.pid = 41};
    assert_true(gpu_procs_identify(dir.root, &who));
    assert_int_equal(who.start_ticks, 123456);
    assert_int_equal(who.uid, (int64_t)getuid());
    for (who.pid = 42; who.pid <= 44; who.pid++) {
        assert_false(gpu_procs_identify(dir.root, &who));
    }
    who.pid = getpid();
    assert_true(gpu_procs_identify(NULL, &who));
    assert_true(who.start_ticks > 0);
    fixture_fini(&dir);
}

static void what_gathers_is_taken_once(void **ctx)
{
    (void)ctx;
    struct gpu_procs *p = gpu_procs_new();
    struct gpu_sum sums[GPU_SUMS_MAX];
    int64_t t0 = 0, t1 = 0;
    int g = gpu_procs_add(p, "GPU-a", "gpu0");
    assert_int_equal(gpu_procs_take(p, 0, sums, &t0, &t1), 0);
    assert_true(t1 <= t0);
    struct gpu_use u = answer(NS_PER_S, 100, 500000);
    gpu_procs_put(p, g, &u);
    for (int64_t s = 3; s <= 5; s += 2) { /* two processes of one user, and one of a run's */
        u = answer(s * NS_PER_S, 100, 250000);
        u.n = 3;
        u.procs[1] = (struct gpu_proc){.pid = 101, .busy_ppm = 250000};
        u.procs[2] = (struct gpu_proc){.pid = 102, .root = 77, .busy_ppm = 100000};
        gpu_procs_put(p, g, &u);
    }
    assert_int_equal(gpu_procs_take(p, 0, sums, &t0, &t1), 2);
    assert_int_equal(t0, NS_PER_S);
    assert_int_equal(t1, 5 * NS_PER_S);
    assert_int_equal(sums[0].busy_us, 2000000);
    assert_int_equal(sums[1].root, 77);
    assert_int_equal(sums[1].busy_us, 400000);
    assert_int_equal(gpu_procs_take(p, 0, sums, &t0, &t1), 0);
    assert_int_equal(t0, 5 * NS_PER_S);
    gpu_procs_unref(p);
}

static void a_run_is_known_by_its_shepherd(void **ctx)
{
    (void)ctx;
    struct fixture dir;
    fixture_init(&dir);
    fixture_put(&dir, "proc/50/stat",
                "50 (wattq-shepherd) S 1 50 50 0 -1 0 0 0 0 0 3 1 0 0 20 0 1 0 1 0 0\n");
    fixture_put(&dir, "proc/51/stat", "51 (sh) S 50 51 51 0 -1 0 0 0 0 0 3 1 0 0 20 0 1 0 2 0 0\n");
    fixture_put(&dir, "proc/52/stat",
                "52 (a) wattq-shepherd) S 51 52 52 0 -1 0 0 0 0 0 3 1 0 0 20 0 1 0 3 0 0\n");
    fixture_put(&dir, "proc/53/stat",
                "53 (nobody's) S 1 53 53 0 -1 0 0 0 0 0 3 1 0 0 20 0 1 0 4 0 0\n");
    static const int64_t want[] = {50, 50, 0};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct gpu_proc who = {.pid = 51 + (int64_t)i};
        assert_true(gpu_procs_identify(dir.root, &who));
        assert_int_equal(who.root, want[i]);
    }
    fixture_fini(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(use_adds_up_over_answers),
        cmocka_unit_test(idle_is_told_since_when),
        cmocka_unit_test(old_answers_are_none),
        cmocka_unit_test(zombies_and_the_dead_are_left_out),
        cmocka_unit_test(what_gathers_is_taken_once),
        cmocka_unit_test(a_run_is_known_by_its_shepherd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
