/* What each user may have: defaults, maxima, numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/queue/user_limits.h"

#define GIB (INT64_C(1) << 30)
#define DAY (86400 * NS_PER_S)

static void test_memory_that_is_not_said(void **state)
{
    (void)state;
    static const struct {
        int64_t dflt, max, machine, said;
        bool exclusive;
        int64_t gets;
    } rows[] = {
        {0, 0, 64, 0, false, 0},   {4, 0, 64, 0, false, 4},   {4, 0, 64, 0, true, 0},
        {4, 32, 64, 0, true, 32},  {0, 32, 64, 0, false, 32}, {4, 32, 64, 8, false, 8},
        {4, 32, 64, 50, true, 50}, {4, 32, 2, 0, false, 2},   {0, 32, 16, 0, true, 16},
        {0, 32, 0, 0, true, 32},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct user_limits l = {.default_mem_bytes = rows[i].dflt * GIB,
                                      .max_mem_bytes = rows[i].max * GIB};
        struct spec s = {.exclusive = rows[i].exclusive, .mem_bytes = rows[i].said * GIB};
        user_limits_settle(&l, rows[i].machine * GIB, &s);
        assert_int_equal(s.mem_bytes, rows[i].gets * GIB);
    }
}

static void test_maxima(void **state)
{
    (void)state;
    const struct user_limits l = {.max_time_ns = 7 * DAY, .max_mem_bytes = 32 * GIB};
    const struct user_limits none = {0};
    struct err e = {0};
    struct spec s = {.time_limit_ns = 0};
    assert_int_equal(user_limits_check(&none, &s, &e), 0);
    assert_int_equal(s.time_limit_ns, 0);
    assert_int_equal(user_limits_check(&l, &s, &e), 0);
    assert_int_equal(s.time_limit_ns, 7 * DAY);
    s.mem_bytes = 32 * GIB;
    assert_int_equal(user_limits_check(&l, &s, &e), 0);
    s.mem_bytes++;
    assert_int_equal(user_limits_check(&l, &s, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "32 GiB of memory at most"));
    assert_non_null(strstr(e.next, "--mem"));
    assert_int_equal(user_limits_check(&none, &s, &e), 0);
    s = (struct spec){.time_limit_ns = 9 * DAY};
    assert_int_equal(user_limits_check(&l, &s, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "at most here, and"));
    assert_non_null(strstr(e.next, "--time"));
    assert_int_equal(s.time_limit_ns, 9 * DAY); /* nothing is cut down in silence */
}

static void test_logs(void **state)
{
    (void)state;
    static const struct {
        int64_t max, said, gets; /* -1: refused */
    } rows[] = {
        {0, 0, 0},        {0, 1 << 20, 1 << 20},      {0, SPEC_LOG_CAP, SPEC_LOG_CAP},
        {4096, 100, 100}, {4096, 4096, 4096},         {4096, 4097, -1},
        {4096, 0, -1},    {4096, SPEC_LOG_CAP, 4096}, {GIB, SPEC_LOG_CAP, SPEC_LOG_CAP},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct user_limits l = {.max_log_bytes = rows[i].max};
        struct spec s = {.log_cap_bytes = rows[i].said};
        struct err e = {0};
        int rc = user_limits_check(&l, &s, &e);
        assert_int_equal(rc, rows[i].gets < 0 ? WATTQ_E_USAGE : 0);
        if (rc == 0)
            assert_int_equal(s.log_cap_bytes, rows[i].gets);
        else
            assert_non_null(strstr(e.next, "--log-cap"));
    }
    const struct user_limits l = {.max_log_bytes = 4096};
    struct spec s = {.kind = SPEC_EXEC, .log_cap_bytes = GIB}; /* its log is a terminal */
    assert_int_equal(user_limits_check(&l, &s, NULL), 0);
}

static void test_numbers(void **state)
{
    (void)state;
    const struct user_limits l = {.max_queued = 10, .max_running = 2};
    const struct user_limits none = {0};
    struct err e = {0};
    assert_int_equal(user_limits_room(&none, 1000000, 1000000, &e), 0);
    assert_int_equal(user_limits_room(&l, 7, 3, &e), 0);
    assert_int_equal(user_limits_room(&l, 8, 3, &e), WATTQ_E_LIMIT);
    assert_non_null(strstr(e.text, "may have 10 runs waiting here: there are 8 and would be 11"));
    assert_true(e.next[0] != '\0');
    assert_true(user_limits_may_start(&none, 1000));
    assert_true(user_limits_may_start(&l, 1));
    assert_false(user_limits_may_start(&l, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_that_is_not_said),
        cmocka_unit_test(test_maxima),
        cmocka_unit_test(test_logs),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
