/* Sums of usage: what is never added, what is counted as unknown, factors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "client/usage.h"

#define NONE USAGE_UNKNOWN

static void test_qualities_are_never_added(void **state)
{
    (void)state;
    struct usage u;
    usage_init(&u);
    usage_add(&u, "b", &(struct usage_run){1, 2, 100, 90, 110, "measured", false, NONE, NONE});
    usage_add(&u, "a",
              &(struct usage_run){1, NONE, 1000, NONE, NONE, "estimated", false, NONE, NONE});
    usage_add(&u, "b", &(struct usage_run){1, 2, 200, NONE, NONE, "measured", false, NONE, NONE});
    usage_add(&u, "b", &(struct usage_run){1, 2, 50, 50, 50, "modelled", false, NONE, NONE});
    usage_sort(&u);
    assert_int_equal(u.n, 2);
    assert_string_equal(u.groups[0].name, "a");
    assert_int_equal(u.groups[0].sum[USAGE_ESTIMATED].uj, 1000);
    assert_int_equal(u.groups[0].sum[USAGE_MEASURED].runs, 0);
    assert_int_equal(u.groups[0].cpu_unknown, 1);
    assert_int_equal(u.groups[1].sum[USAGE_MEASURED].uj, 300);
    assert_int_equal(u.groups[1].sum[USAGE_MEASURED].bounded, 1); /* of two: no bounds of the sum */
    assert_int_equal(u.groups[1].sum[USAGE_MODELLED].uj, 50);
    assert_int_equal(u.total.runs, 4);
    assert_int_equal(u.total.sum[USAGE_MEASURED].uj, 300);
    assert_int_equal(u.total.sum[USAGE_ESTIMATED].uj, 1000);
    usage_fini(&u);
}

static void test_unknown_is_counted(void **state)
{
    (void)state;
    struct usage u;
    usage_init(&u);
    usage_add(&u, "a", &(struct usage_run){1, 2, NONE, NONE, NONE, "none", false, NONE, NONE});
    usage_add(&u, "a", &(struct usage_run){1, 2, 100, 90, 110, "measured", true, NONE, NONE});
    assert_int_equal(u.total.unknown[USAGE_NO_FIGURE], 1);
    assert_int_equal(u.total.unknown[USAGE_SHARED], 1);
    for (int q = 0; q < USAGE_QUALITIES; q++)
        assert_int_equal(u.total.sum[q].runs, 0);
    usage_fini(&u);
}

/* A share is known: it has a sum of its own, and a share of a guess stays among the guesses. */
static void test_shares_stand_apart(void **state)
{
    (void)state;
    struct usage u;
    const int64_t hour = INT64_C(3600000000000);
    usage_init(&u);
    usage_add(&u, "a", &(struct usage_run){1, 2, 100, 90, 110, "measured", true, 40, 2 * hour});
    usage_add(&u, "a", &(struct usage_run){1, 2, 100, NONE, NONE, "estimated", true, 30, hour});
    usage_add(&u, "a", &(struct usage_run){1, 2, 7, 6, 8, "measured", false, 7, NONE});
    assert_int_equal(u.total.sum[USAGE_APPORTIONED].uj, 40);
    assert_int_equal(u.total.sum[USAGE_APPORTIONED].bounded, 0);
    assert_int_equal(u.total.sum[USAGE_ESTIMATED].uj, 30);
    assert_int_equal(u.total.sum[USAGE_MEASURED].uj, 7);
    assert_int_equal(u.total.gpu_ns, 3 * hour);
    assert_int_equal(u.total.gpu_runs, 2);
    for (int r = 0; r < USAGE_REASONS; r++)
        assert_int_equal(u.total.unknown[r], 0);
    usage_fini(&u);
}

static void test_factors(void **state)
{
    (void)state;
    struct usage_factors f = {.price = NAN, .co2_g = NAN};
    struct err e = {0};
    assert_int_equal(usage_parse_price("0.30EUR/kWh", &f, &e), 0);
    assert_true(f.price == 0.30 && strcmp(f.currency, "EUR") == 0);
    assert_int_equal(usage_parse_price("1 \xe2\x82\xac/kWh", &f, &e), 0);
    assert_string_equal(f.currency, "\xe2\x82\xac");
    assert_int_equal(usage_parse_co2("380g/kWh", &f, &e), 0);
    assert_true(f.co2_g == 380);
    assert_int_equal(usage_parse_co2("0.38 kg/kWh", &f, &e), 0);
    assert_true(f.co2_g == 380);
    const char *prices[] = {"",           "0.3",       "EUR/kWh",    "0.3EUR",
                            "0.3EUR/MWh", "-1EUR/kWh", "nanEUR/kWh", "1ABCDEFGHIJKLM/kWh",
                            "1/kWh"};
    for (size_t i = 0; i < ARRAY_LEN(prices); i++)
        assert_int_equal(usage_parse_price(prices[i], &f, &e), WATTQ_E_USAGE);
    const char *co2[] = {"", "380", "380g", "g/kWh", "-1g/kWh", "380t/kWh"};
    for (size_t i = 0; i < ARRAY_LEN(co2); i++)
        assert_int_equal(usage_parse_co2(co2[i], &f, &e), WATTQ_E_USAGE);
    assert_true(usage_kwh(INT64_C(3600000000000)) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qualities_are_never_added),
        cmocka_unit_test(test_unknown_is_counted),
        cmocka_unit_test(test_shares_stand_apart),
        cmocka_unit_test(test_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
