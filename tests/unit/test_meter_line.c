/* The line protocol and the file of meters: what is a reading, what is a reason, what is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/meter/line.h"

static struct line parsed(const char *text, int want)
{
    struct line l;
    int rc = line_parse(text, strlen(text), &l);
    if (rc != want)
        fail_msg("'%s' gives %d, not %d", text, rc, want);
    return l;
}

static void values_are_exact_in_their_unit(void **state)
{
    static const struct {
        const char *text, *name;
        bool energy;
        int64_t value;
    } rows[] = {
        {"42.5 W", "", false, 42500000},
        {"42.5 W\r", "", false, 42500000},
        {"power 1500 mW", "power", false, 1500000},
        {"  p-1_x\t0.25  kW", "p-1_x", false, 250000000},
        {"-3 W", "", false, -3000000},
        {"1e-3 W", "", false, 1000},
        {"energy 12345.678 kWh", "energy", true, INT64_C(44444440800000000)},
        {"1 Wh", "", true, INT64_C(3600000000)},
        {"7 J", "", true, 7000000},
        {"7 uJ", "", true, 7},
        {"0 W", "", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line l = parsed(rows[i].text, 0);
        assert_string_equal(l.name, rows[i].name);
        assert_int_equal(l.state, READING_OK);
        assert_int_equal(l.energy, rows[i].energy);
        assert_int_equal(l.value, rows[i].value);
        assert_int_equal(l.lag_ns, -1);
    }
}

static void reasons_have_no_value(void **state)
{
    (void)state;
    struct line l = parsed("power - io the plug did not answer", 0);
    assert_string_equal(l.name, "power");
    assert_int_equal(l.state, READING_IO);
    assert_int_equal(parsed("- no_permission", 0).state, READING_NO_PERMISSION);
    assert_int_equal(parsed("- gone", 0).state, READING_GONE);
    parsed("- ok", WATTQ_E_INVALID); /* "ok" is no reason */
    parsed("- not_yet", WATTQ_E_INVALID);
    parsed("power -", WATTQ_E_INVALID);
}

static void what_is_no_reading_is_refused(void **state)
{
    static const char *const bad[] = {
        "42.5",       "W",        "power W", "42.5 watts",      "42,5 W",     "inf W",
        "nan W",      "0x10 W",   "1e400 W", "1e30 W",          "42.5W",      "42.5 W now",
        "42 W lag=x", "42 W lag", "--1 W",   "power power 1 W", "1 W box=-1s"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_not_equal(parsed(bad[i], WATTQ_E_INVALID).state, READING_OK);
    char text[LINE_MAX + 2];
    memset(text, ' ', sizeof(text));
    memcpy(text, "1 W", 3);
    struct line l;
    assert_int_equal(line_parse(text, LINE_MAX, &l), 0);
    assert_int_equal(line_parse(text, LINE_MAX + 1, &l), WATTQ_E_INVALID);
    assert_int_equal(line_parse("1\0W", 3, &l), WATTQ_E_INVALID);
}

static void comments_and_versions(void **state)
{
    (void)state;
    parsed("", 1);
    parsed("  ", 1);
    parsed("# 42 W", 1);
    parsed("#wattq-line 1", 1);
    parsed("#wattq-line 2", 2);
    struct line l = parsed("5 W lag=2s box=250ms", 0);
    assert_int_equal(l.lag_ns, 2 * NS_PER_S);
    assert_int_equal(l.box_ns, 250 * NS_PER_MS);
}

static int load(const char *text, struct line_file **f, struct err *e)
{
    char path[] = "/tmp/wattq-line-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int rc = line_file_load(f, path, e);
    unlink(path);
    return rc;
}

static void a_file_names_programs_and_channels(void **state)
{
    struct line_file *f = NULL;
    struct err e = {0};
    (void)state;
    assert_int_equal(load("# meters\n\nrun wall  exec wall.sh 'a b' # c\n"
                          "channel wall kind=gauge scope=node accuracy=10000\n"
                          "run rig rig.py\nchannel rig/power kind=average period=2s box=4s\n"
                          "channel rig/energy kind=counter mirror=rig/power",
                          &f, &e),
                     0);
    assert_int_equal(f->n, 2);
    assert_string_equal(f->meters[0].command, "exec wall.sh 'a b' # c");
    assert_int_equal(f->channels.n, 3);
    assert_string_equal(f->channels.descs[0].uid, "line/wall");
    assert_int_equal(f->channels.descs[0].scope, SCOPE_NODE);
    assert_int_equal(f->channels.descs[0].period_ns, NS_PER_S);
    assert_false(f->channels.descs[0].period_declared);
    assert_int_equal(f->channels.descs[1].period_ns, 2 * NS_PER_S);
    assert_int_equal(f->channels.descs[2].mirror_of, 1);
    line_file_free(f);
}

static void a_wrong_file_is_named_by_its_line(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"run wall\n", "line 1"},
        {"run wall x\nrun wall y\n", "line 2"},
        {"run w.all x\n", "line 1"},
        {"meter wall x\n", "'meter wall x' is neither run nor channel"},
        {"run wall x\n\nchannel wall kind=gauge scope=house\n", "line 3"},
        {"run wall x\nchannel rig/power kind=gauge\n", "no 'run rig' is in the file"},
        {"run wall x\nchannel wall/a/b kind=gauge\n", "line 2"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line_file *f = NULL;
        struct err e = {0};
        assert_true(load(rows[i].text, &f, &e) < 0);
        assert_null(f);
        if (!strstr(e.text, rows[i].says))
            fail_msg("'%s' does not say '%s'", e.text, rows[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_exact_in_their_unit),
        cmocka_unit_test(reasons_have_no_value),
        cmocka_unit_test(what_is_no_reading_is_refused),
        cmocka_unit_test(comments_and_versions),
        cmocka_unit_test(a_file_names_programs_and_channels),
        cmocka_unit_test(a_wrong_file_is_named_by_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
