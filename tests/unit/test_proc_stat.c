/* /proc/PID/stat: names that hold anything, cut lines, numbers too large, this very process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/meter/proc_stat.h"

static void a_line_is_understood(void **ctx)
{
    (void)ctx;
    struct proc_stat s;
    assert_true(proc_stat_parse("41 (a ) Z (b) S 7 41 41 0 -1 4194304 1 2 3 4 30 12 5 6 20 0 1 0 "
                                "123456 0 0\n",
                                &s));
    assert_string_equal(s.name, "a ) Z (b");
    assert_int_equal(s.state, 'S');
    assert_int_equal(s.ppid, 7);
    assert_int_equal(s.ticks, 42);
    assert_int_equal(s.waited_ticks, 11);
    assert_int_equal(s.start_ticks, 123456);
    assert_false(s.kernel);
    assert_true(
        proc_stat_parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 9 0 0 20 0 1 0 0 0 0", &s));
    assert_true(s.kernel);
}

static void half_a_line_is_none(void **ctx)
{
    (void)ctx;
    static const char *const lines[] = {
        "",
        "\n",
        "41",
        "41 (cut",
        "41 cut) S 1",
        ")41 (cut",
        "41 (cut) S 1 2 3",
        "41 (big) S 1 1 1 0 -1 0 0 0 0 0 18446744073709551615 1 0 0 20 0 1 0 5 0",
    };
    struct proc_stat s;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_false(proc_stat_parse(lines[i], &s));
    }
}

static void this_process_is_found(void **ctx)
{
    (void)ctx;
    struct proc_stat s;
    char text[8];
    assert_true(proc_stat_read(NULL, getpid(), &s));
    assert_int_equal(s.ppid, getppid());
    assert_true(s.start_ticks > 0);
    assert_int_equal(proc_stat_uid("", getpid()), (int64_t)geteuid());
    assert_int_equal(proc_stat_slurp("", getpid(), "stat", text, sizeof(text)), 7);
    assert_int_equal(text[7], '\0');
    assert_false(proc_stat_read("/nowhere", 1, &s));
    assert_int_equal(proc_stat_uid("/nowhere", 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_understood),
        cmocka_unit_test(half_a_line_is_none),
        cmocka_unit_test(this_process_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
