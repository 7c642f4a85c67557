/* The one table of moves: what may follow what, and that nothing ended comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/store/runs.h"

static void test_names_round_trip(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RUN_STATES; i++) {
        enum run_state s = RUN_STATES;
        assert_int_equal(run_state_parse(run_state_name((enum run_state)i), &s), 0);
        assert_int_equal(s, i);
    }
    enum run_state s;
    assert_int_equal(run_state_parse("finished", &s), 1);
    assert_string_equal(run_state_name(RUN_STATES), "unknown");
}

static void test_ended_states_are_final(void **state)
{
    (void)state;
    for (unsigned from = 0; from < RUN_STATES; from++) {
        bool any = false;
        for (unsigned to = 0; to < RUN_STATES; to++)
            any |= run_move_allowed((enum run_state)from, (enum run_state)to);
        assert_int_equal(any, !run_state_ended((enum run_state)from));
    }
}

/* Every live state can reach an end, and nothing moves to itself. */
static void test_every_state_reaches_an_end(void **state)
{
    (void)state;
    unsigned reach = 0;
    for (unsigned i = 0; i < RUN_STATES; i++)
        if (run_state_ended((enum run_state)i))
            reach |= 1u << i;
    for (int round = 0; round < RUN_STATES; round++)
        for (unsigned from = 0; from < RUN_STATES; from++)
            for (unsigned to = 0; to < RUN_STATES; to++)
                if (run_move_allowed((enum run_state)from, (enum run_state)to) &&
                    (reach & 1u << to))
                    reach |= 1u << from;
    assert_int_equal(reach, (1u << RUN_STATES) - 1);
    for (unsigned i = 0; i < RUN_STATES; i++)
        assert_false(run_move_allowed((enum run_state)i, (enum run_state)i));
}

static void test_a_run_only_starts_from_the_line(void **state)
{
    (void)state;
    for (unsigned from = 0; from < RUN_STATES; from++) {
        assert_int_equal(run_move_allowed((enum run_state)from, RUN_STARTING), from == RUN_QUEUED);
        if (run_move_allowed((enum run_state)from, RUN_DONE))
            assert_int_equal(from, RUN_STOPPING);
    }
    assert_false(run_move_allowed(RUN_RUNNING, RUN_QUEUED));
    assert_true(run_move_allowed(RUN_STARTING, RUN_QUEUED)); /* its gate never opened */
    assert_false(run_move_allowed(RUN_STATES, RUN_QUEUED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_round_trip),
        cmocka_unit_test(test_ended_states_are_final),
        cmocka_unit_test(test_every_state_reaches_an_end),
        cmocka_unit_test(test_a_run_only_starts_from_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
