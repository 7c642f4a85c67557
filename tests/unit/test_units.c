/* units: every spelling that people use, every slip that must not pass, and arithmetic at its edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/units.h"

typedef int (*parser)(const char *s, int64_t *out, struct err *e);
struct good {
    const char *text;
    int64_t value;
};

static void check_good(parser parse, const struct good *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        int64_t v = -1;
        if (parse(rows[i].text, &v, &e) < 0 || v != rows[i].value)
            fail_msg("%s -> %lld, expected %lld (%s)", rows[i].text, (long long)v,
                     (long long)rows[i].value, e.text);
    }
}

static void check_bad(parser parse, const char *const *rows)
{
    for (; *rows; rows++) {
        struct err e = {0};
        int64_t v = 0;
        int rc = parse(*rows, &v, &e);
        if (rc != WATTQ_E_USAGE || !e.text[0])
            fail_msg("'%s' -> %d, value %lld", *rows, rc, (long long)v);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"90s", 90 * NS_PER_S},
        {"15m", 900 * NS_PER_S},
        {"15min", 900 * NS_PER_S},
        {"2h30m", 9000 * NS_PER_S},
        {"1d", 86400 * NS_PER_S},
        {"250ms", 250 * NS_PER_MS},
        {"1.5h", 5400 * NS_PER_S},
        {"0s", 0},
        {"1w", 604800 * NS_PER_S},
        {"1h2m3s", 3723 * NS_PER_S},
        {"7us", 7000},
        {"3ns", 3},
        {"0.5s", 500 * NS_PER_MS},
        {"1d12h", 129600 * NS_PER_S},
        {"1y", 31536000 * NS_PER_S},
    };
    static const char *const bad[] = {"",    "s",   "90",           "1.5",   "-5s", "1h1h", "30m2h",
                                      "5x",  "5 s", "1e3s",         "0x10s", ".5s", "5.s",  "1h30",
                                      "nan", "inf", "99999999999d", "12:30", "5S",  NULL};
    check_good(units_parse_duration, good, ARRAY_LEN(good));
    check_bad(units_parse_duration, bad);
}

static void test_a_bare_number_shows_both_readings(void **state)
{
    (void)state;
    struct err e = {0};
    int64_t v = 0;
    assert_int_equal(units_parse_duration("90", &v, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "90s"));
    assert_non_null(strstr(e.text, "90m"));
    assert_int_equal(units_parse_bytes("512", &v, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "512M"));
    assert_non_null(strstr(e.text, "512B"));
    assert_int_equal(units_parse_energy("5", &v, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "5J"));
    assert_non_null(strstr(e.text, "5kWh"));
    assert_true(e.next[0]);
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"512M", INT64_C(512) << 20},
        {"2G", INT64_C(2) << 30},
        {"64k", 65536},
        {"64K", 65536},
        {"100B", 100},
        {"1.5G", INT64_C(3) << 29},
        {"1T", INT64_C(1) << 40},
        {"4KiB", 4096},
        {"4Ki", 4096},
        {"1MiB", 1 << 20},
        {"0B", 0},
    };
    static const char *const bad[] = {"", "512", "5MB", "5m", "-1M", "1G5M", "M", "1e3k", NULL};
    check_good(units_parse_bytes, good, ARRAY_LEN(good));
    check_bad(units_parse_bytes, bad);
}

static void test_energies(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"500J", 500000000},
        {"2kJ", 2000000000},
        {"1.5MJ", INT64_C(1500000000000)},
        {"0.2kWh", INT64_C(720000000000)},
        {"1Wh", INT64_C(3600000000)},
        {"3mJ", 3000},
        {"1uJ", 1},
    };
    static const char *const bad[] = {"", "5", "5kj", "5 J", "-5J", "5W", "1kJ5J", NULL};
    check_good(units_parse_energy, good, ARRAY_LEN(good));
    check_bad(units_parse_energy, bad);
}

static void test_counts(void **state)
{
    (void)state;
    static const struct good good[] = {
        {"4096", 4096},
        {"2^14", 16384},
        {"2^0", 1},
        {"2^62", INT64_C(1) << 62},
        {"64k", 64000},
        {"64Ki", 65536},
        {"1M", 1000000},
        {"1.5k", 1500},
        {"0", 0},
        {"9007199254740993", INT64_C(9007199254740993)}, /* 2^53 + 1: not through a double */
    };
    static const char *const bad[] = {"",
                                      "2^63",
                                      "3^2",
                                      "2^",
                                      "2^1.5",
                                      "1.5",
                                      "-1",
                                      "1e3",
                                      "64KiB",
                                      "x",
                                      "99999999999999999999",
                                      "1 000",
                                      NULL};
    check_good(units_parse_count, good, ARRAY_LEN(good));
    check_bad(units_parse_count, bad);
}

static int64_t parsed(const char *s, int64_t now)
{
    struct err e = {0};
    int64_t v = -1;
    if (units_parse_time(s, now, &v, &e) < 0)
        fail_msg("%s: %s", s, e.text);
    return v;
}

static void test_instants(void **state)
{
    (void)state;
    /* Not UTC, and with half an hour, so that a forgotten zone shows. */
    setenv("TZ", "XXX-05:30", 1);
    tzset();
    const int64_t now =
        INT64_C(1795468204512000000); /* 2026-11-23T21:10:04.512Z, 02:40:04 next day here */
    char buf[40];
    assert_string_equal(units_show_utc(buf, sizeof(buf), now), "2026-11-23T21:10:04.512Z");
    assert_true(parsed("now", now) == now);
    assert_true(parsed("-2h", now) == now - 7200 * NS_PER_S);
    const struct {
        const char *text, *utc;
    } rows[] = {
        {"2026-11-23", "2026-11-22T18:30:00.000Z"},
        {"2026-11-23 14:30", "2026-11-23T09:00:00.000Z"},
        {"2026-11-23 14:30:05", "2026-11-23T09:00:05.000Z"},
        {"2026-11-23T14:30:05Z", "2026-11-23T14:30:05.000Z"},
        {"2026-11-23T14:30:05.25Z", "2026-11-23T14:30:05.250Z"},
        {"2026-11-23T14:30:05+02:00", "2026-11-23T12:30:05.000Z"},
        {"2026-11-23T14:30:05-0200", "2026-11-23T16:30:05.000Z"},
        {"02:00", "2026-11-23T20:30:00.000Z"}, /* today */
        {"14:30", "2026-11-23T09:00:00.000Z"}, /* would be ahead: yesterday's */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(units_show_utc(buf, sizeof(buf), parsed(rows[i].text, now)),
                            rows[i].utc);
    static const char *const bad[] = {
        "",   "yesterday", "2026-13-01", "2026-02-30", "25:00", "14:60", "2026-11-23T14:30:05X",
        "-5", "--2h",      "2026-11",    "14:30pm",    NULL};
    for (const char *const *b = bad; *b; b++) {
        int64_t v = 0;
        if (units_parse_time(*b, now, &v, NULL) != WATTQ_E_USAGE)
            fail_msg("'%s' was taken", *b);
    }
}

static void test_muldiv(void **state)
{
    (void)state;
    assert_int_equal(units_muldiv_floor(7, 3, 2), 10);
    assert_int_equal(units_muldiv_ceil(7, 3, 2), 11);
    assert_int_equal(units_muldiv_floor(-7, 3, 2), -11);
    assert_int_equal(units_muldiv_ceil(-7, 3, 2), -10);
    assert_true(units_muldiv_floor(INT64_MAX, INT64_MAX, INT64_MAX) == INT64_MAX);
    assert_true(units_muldiv_floor(INT64_MAX, 2, 1) == INT64_MAX);
    assert_true(units_muldiv_floor(INT64_MIN, 2, 1) == INT64_MIN);
    assert_true(units_muldiv_ceil(INT64_MAX, INT64_MAX, 2) == INT64_MAX);
    for (int64_t a = -50; a <= 50; a++)
        for (int64_t c = 1; c < 9; c++) {
            int64_t lo = units_muldiv_floor(a, 5, c);
            int64_t hi = units_muldiv_ceil(a, 5, c);
            assert_true(lo * c <= a * 5 && (lo + 1) * c > a * 5);
            assert_true(hi * c >= a * 5 && (hi - 1) * c < a * 5);
        }
}

static void test_what_people_see(void **state)
{
    (void)state;
    char b[40];
    static const struct {
        int64_t uj;
        const char *text;
    } energies[] = {{31200000000, "31.2 kJ"}, {0, "0 J"},          {1, "1.00 uJ"},
                    {999, "999.0 uJ"},        {2500, "2.50 mJ"},   {999960, "1.00 J"},
                    {-1500000, "-1.50 J"},    {1000000, "1.00 J"}, {123456789, "123.5 J"}};
    for (size_t i = 0; i < ARRAY_LEN(energies); i++)
        assert_string_equal(units_show_energy(b, sizeof(b), energies[i].uj), energies[i].text);
    static const struct {
        int64_t ns;
        const char *text;
    } durations[] = {{252 * NS_PER_S, "4m12s"},
                     {0, "0s"},
                     {50 * NS_PER_MS, "50.0ms"},
                     {1500 * NS_PER_MS, "1.50s"},
                     {59970 * NS_PER_MS, "1m00s"},
                     {3599600 * NS_PER_MS, "1h00m"},
                     {90 * 3600 * NS_PER_S, "3d18h"},
                     {12300 * NS_PER_MS, "12.3s"},
                     {700, "700ns"},
                     {1500, "1.5us"},
                     {-2 * NS_PER_S, "-2.00s"},
                     {999700 * NS_PER_US, "1.00s"}};
    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        assert_string_equal(units_show_duration(b, sizeof(b), durations[i].ns), durations[i].text);
    assert_string_equal(units_show_bytes(b, sizeof(b), 1050000), "1.05 MB");
    assert_string_equal(units_show_bytes(b, sizeof(b), 999), "999 B");
    assert_string_equal(units_show_size(b, sizeof(b), INT64_C(32) << 30), "32 GiB");
    assert_string_equal(units_show_size(b, sizeof(b), 3 << 19), "1.50 MiB");
    assert_string_equal(units_show_size(b, sizeof(b), 1023), "1023 B");
    assert_string_equal(units_show_power(b, sizeof(b), 87.25), "87.2 W");
    assert_string_equal(units_show_power(b, sizeof(b), 0.0 / 0.0), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_a_bare_number_shows_both_readings),
        cmocka_unit_test(test_bytes),     cmocka_unit_test(test_energies),
        cmocka_unit_test(test_counts),    cmocka_unit_test(test_instants),
        cmocka_unit_test(test_muldiv),    cmocka_unit_test(test_what_people_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
