/* sweep budget: nobody gets more sharp edges than the rate and one burst, whatever the times he asks at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/queue/sweep_budget.h"

static void test_burst_then_rate(void **state)
{
    (void)state;
    struct sweep_budget b = {0};
    int64_t t = 5 * NS_PER_S;
    for (int i = 0; i < SWEEP_BUDGET_BURST; i++)
        assert_true(sweep_budget_take(&b, 1000, t));
    assert_false(sweep_budget_take(&b, 1000, t));
    assert_true(sweep_budget_take(&b, 1001, t)); /* somebody else's is his own */
    assert_false(sweep_budget_take(&b, 1000, t + SWEEP_BUDGET_NS - 1));
    assert_true(sweep_budget_take(&b, 1000, t + SWEEP_BUDGET_NS));
    assert_false(sweep_budget_take(&b, 1000, t + SWEEP_BUDGET_NS));
    t += 3600 * NS_PER_S; /* an hour saves up a burst, not more */
    for (int i = 0; i < SWEEP_BUDGET_BURST; i++)
        assert_true(sweep_budget_take(&b, 1000, t));
    assert_false(sweep_budget_take(&b, 1000, t));
}

static void test_any_window(void **state)
{
    (void)state;
    struct sweep_budget b = {0};
    int64_t given[4096];
    size_t n = 0;
    uint64_t x = 88172645463325252u;
    for (int64_t t = NS_PER_S; t < 200 * NS_PER_S && n < ARRAY_LEN(given);
         t += (int64_t)(x % (80 * NS_PER_MS))) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (sweep_budget_take(&b, 1000, t))
            given[n++] = t;
    }
    assert_true(n >= 200);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i; k < n; k++)
            assert_true((int64_t)(k - i) <=
                        SWEEP_BUDGET_BURST + (given[k] - given[i]) / SWEEP_BUDGET_NS);
}

/* More users than are remembered: he who has used his up does not get a new one by that. */
static void test_many_users(void **state)
{
    (void)state;
    struct sweep_budget b = {0};
    for (int i = 0; i < SWEEP_BUDGET_BURST; i++)
        assert_true(sweep_budget_take(&b, 7, NS_PER_S));
    for (int64_t uid = 1000; uid < 1000 + 10 * SWEEP_BUDGET_UIDS; uid++)
        assert_true(sweep_budget_take(&b, uid, NS_PER_S));
    assert_false(sweep_budget_take(&b, 7, NS_PER_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_any_window),
        cmocka_unit_test(test_many_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
