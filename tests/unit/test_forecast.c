/* forecast: when a run that waits is likely to start, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/queue/forecast.h"

#define S         NS_PER_S
#define NO_SWEEP  INT64_MIN
#define ON(s)     ((s)*S)
#define WAITS     (-1)
#define UNKNOWN   (-1)
#define CPUS      8
#define MOST_RUNS 16

static struct forecast_run run(int64_t id, int64_t uid, int64_t cpus, int64_t limit_s,
                               int64_t elapsed_ns)
{
    struct forecast_run r = {.id = id,
                             .uid = uid,
                             .limit_ns = limit_s * S,
                             .sweep = NO_SWEEP,
                             .elapsed_ns = elapsed_ns,
                             .gpu_wait_ns = FORECAST_NOT,
                             .argv_hash = (uint64_t)id};
    r.want.count.n[RESOURCES_CPUS] = cpus;
    if (cpus == 0)
        r.want.all = true;
    return r;
}

/* With those that are on given what they want. */
static struct forecast *forecast_of(const struct forecast_run *runs, size_t n, int64_t target)
{
    struct forecast *f = base_alloc(sizeof(*f));
    f->runs = base_alloc(MOST_RUNS * sizeof(*runs));
    memcpy(f->runs, runs, n * sizeof(*runs));
    f->n = n;
    f->target = target;
    f->idle_ns = 3600 * S;
    f->pass_ns = 600 * S;
    f->resources.have.n[RESOURCES_CPUS] = CPUS;
    for (size_t i = 0; i < n; i++)
        if (runs[i].elapsed_ns >= 0)
            resources_take(&f->resources, &runs[i].want, 0, runs[i].id, 0, &f->runs[i].share);
    return f;
}

static struct forecast_answer play(struct forecast *f)
{
    struct forecast_answer a;
    forecast_play(f, &a);
    forecast_free(f);
    return a;
}

static void starts_in(const struct forecast_run *runs, size_t n, int64_t target, int64_t s)
{
    const struct forecast_answer a = play(forecast_of(runs, n, target));
    assert_int_equal(a.in_ns, s == UNKNOWN ? UNKNOWN : s * S);
    assert_int_equal(a.reason[0] != '\0', s == UNKNOWN);
}

static void one_after_another(void **state)
{
    (void)state;
    const struct forecast_run runs[] = {run(1, 100, 0, 60, ON(20)), run(2, 100, 0, 30, WAITS),
                                        run(3, 100, 0, 10, WAITS), run(4, 100, 0, 0, WAITS),
                                        run(5, 100, 0, 10, WAITS)};
    starts_in(runs, 5, 2, 40);
    starts_in(runs, 5, 3, 70);
    starts_in(runs, 5, 4, 80);
    starts_in(runs, 5, 5, UNKNOWN);
    const struct forecast_answer a = play(forecast_of(runs, 5, 4));
    assert_int_equal(a.starts, 2);
    assert_int_equal(a.limits, 3);
    assert_int_equal(a.pasts, 0);
    assert_non_null(strstr(play(forecast_of(runs, 5, 5)).reason, "run 4"));
}

static void users_in_turn(void **state)
{
    (void)state;
    const struct forecast_run runs[] = {run(1, 100, 0, 10, ON(0)), run(2, 100, 0, 10, WAITS),
                                        run(3, 100, 0, 10, WAITS), run(4, 200, 0, 10, WAITS)};
    struct forecast *f = forecast_of(runs, 4, 4);
    turns_serve(&f->line, 100);
    assert_int_equal(play(f).in_ns, 10 * S);
    f = forecast_of(runs, 4, 3);
    turns_serve(&f->line, 100);
    assert_int_equal(play(f).in_ns, 30 * S);
}

static void beside_others(void **state)
{
    (void)state;
    struct forecast_run runs[] = {run(1, 100, 6, 60, ON(0)), run(2, 100, 2, 30, ON(0)),
                                  run(3, 100, 4, 10, WAITS), run(4, 100, 1, 10, WAITS),
                                  run(5, 100, 0, 10, WAITS)};
    starts_in(runs, 5, 3, 60);
    starts_in(runs, 5, 4, 60); /* does not pass run 3, though it would fit at 30 */
    starts_in(runs, 5, 5, 70);
    struct forecast *f = forecast_of(runs, 5, 4);
    f->parallel = 1;
    assert_int_equal(play(f).in_ns, 70 * S);
}

static void whoever_has_no_end_is_waited_round(void **state)
{
    (void)state;
    const struct forecast_run runs[] = {run(1, 100, 4, 0, ON(5)), run(2, 100, 4, 20, ON(5)),
                                        run(3, 100, 4, 10, WAITS), run(4, 100, 5, 10, WAITS)};
    starts_in(runs, 4, 3, 15);
    starts_in(runs, 4, 4, UNKNOWN);
}

static void a_pause_before_it(void **state)
{
    (void)state;
    struct forecast_run runs[] = {run(1, 100, 0, 60, ON(20)), run(2, 100, 0, 30, WAITS),
                                  run(3, 100, 0, 30, WAITS)};
    runs[1].pause_ns = 7 * S;
    starts_in(runs, 3, 2, 47);
    starts_in(runs, 3, 3, 77);
    struct forecast *f = forecast_of(&runs[1], 2, 2);
    f->idle_ns = 3 * S;
    assert_int_equal(play(f).in_ns, 4 * S);
}

static void so_many_of_a_sweep(void **state)
{
    (void)state;
    struct forecast_run runs[] = {run(1, 100, 1, 10, ON(0)), run(2, 100, 1, 10, WAITS),
                                  run(3, 100, 1, 10, WAITS), run(4, 100, 1, 10, WAITS)};
    for (size_t i = 0; i < 3; i++) {
        runs[i].sweep = 9;
        runs[i].sweep_most = 1;
    }
    starts_in(runs, 4, 2, 10);
    starts_in(runs, 4, 3, 20);
    starts_in(runs, 4, 4, 0);
}

static void so_many_of_a_user(void **state)
{
    (void)state;
    const struct forecast_run runs[] = {run(1, 100, 1, 10, ON(0)), run(2, 100, 1, 10, WAITS),
                                        run(3, 100, 1, 10, WAITS), run(4, 200, 1, 10, WAITS)};
    const int64_t want[] = {10, 20, 0};
    for (size_t i = 0; i < 3; i++) {
        struct forecast *f = forecast_of(runs, 4, (int64_t)i + 2);
        for (size_t k = 0; k < 4; k++)
            f->runs[k].user_most = 1;
        assert_int_equal(play(f).in_ns, want[i] * S);
    }
}

/* One GPU: whoever wants it waits for its holder, and is passed by one that wants none. */
static void gpus(void **state)
{
    (void)state;
    struct forecast_run runs[] = {run(1, 100, 1, 50, ON(10)), run(2, 200, 1, 10, WAITS),
                                  run(3, 300, 1, 10, WAITS), run(4, 400, 1, 10, WAITS)};
    const int64_t want[] = {40, 50, 0};
    runs[0].want.gpus = runs[1].want.gpus = runs[2].want.gpus = 1;
    for (size_t i = 0; i < 3; i++) {
        struct forecast *f = forecast_of(runs, 4, (int64_t)i + 2);
        resources_see(&f->resources, "GPU-fa4e0000-0000-0000-0000-000000000000", "gpu0", true, 0);
        f->resources.gpus[0].run = 1;
        assert_int_equal(play(f).in_ns, want[i] * S);
    }
}

/* ---- how long ----------------------------------------------------------------------------------- */

static void like_it(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b", none[] = "";
    const struct forecast_past past[] = {
        {100, NO_SWEEP, 10 * S, 1, none}, {100, NO_SWEEP, 30 * S, 1, none},
        {100, NO_SWEEP, 20 * S, 1, none}, {200, NO_SWEEP, 900 * S, 1, a},
        {300, 9, 40 * S, 77, none},       {100, NO_SWEEP, 50 * S, 78, a},
        {200, NO_SWEEP, 900 * S, 79, b}};
    struct forecast_run runs[] = {run(1, 100, 1, 0, WAITS), run(2, 100, 1, 0, WAITS),
                                  run(3, 100, 1, 0, WAITS), run(4, 100, 1, 0, WAITS)};
    runs[1].sweep = 9;
    base_strcpy(runs[2].label, sizeof(runs[2].label), "a");
    base_strcpy(runs[3].label, sizeof(runs[3].label), "b"); /* another user's */
    struct forecast *f = forecast_of(runs, 4, 1);
    forecast_learn(f, past, ARRAY_LEN(past));
    const int64_t want[][2] = {{20, 3}, {40, 1}, {50, 1}, {0, 0}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(f->runs[i].past_ns, want[i][0] * S);
        assert_int_equal(f->runs[i].npast, want[i][1]);
    }
    forecast_free(f);
}

static void longer_than_those_like_it(void **state)
{
    (void)state;
    char none[] = "";
    const struct forecast_past past = {100, NO_SWEEP, 30 * S, 1, none};
    const struct {
        int64_t elapsed_s, limit_s, in_s;
    } cases[] = {{10, 0, 20},   {10, 25, 15},     {10, 100, 20},
                 {40, 100, 60}, {40, 0, UNKNOWN}, {40, 35, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct forecast_run runs[] = {
            run(1, 100, 0, cases[i].limit_s, ON(cases[i].elapsed_s)), run(2, 100, 0, 0, WAITS)};
        struct forecast *f = forecast_of(runs, 2, 2);
        forecast_learn(f, &past, 1);
        assert_int_equal(play(f).in_ns, cases[i].in_s == UNKNOWN ? UNKNOWN : cases[i].in_s * S);
    }
}

static void commands_apart(void **state)
{
    (void)state;
    char ab[] = "ab", c[] = "c", a[] = "a", bc[] = "bc";
    char *const one[] = {ab, c}, *const other[] = {a, bc};
    assert_true(forecast_argv(one, 2) == forecast_argv(one, 2));
    assert_true(forecast_argv(one, 2) != forecast_argv(other, 2));
    assert_true(forecast_argv(one, 1) != forecast_argv(one, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_another), cmocka_unit_test(users_in_turn),
        cmocka_unit_test(beside_others),     cmocka_unit_test(whoever_has_no_end_is_waited_round),
        cmocka_unit_test(a_pause_before_it), cmocka_unit_test(so_many_of_a_sweep),
        cmocka_unit_test(so_many_of_a_user), cmocka_unit_test(gpus),
        cmocka_unit_test(like_it),           cmocka_unit_test(longer_than_those_like_it),
        cmocka_unit_test(commands_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
