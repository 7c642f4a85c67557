/* config: defaults, file, command line, in that order; every slip is named; the manual page says the same
 * as the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"

#define ARGS_MAX 8

/* Load with these arguments (NULL-terminated) and this file ("" = none). */
static int load(struct config *c, const char *file, struct err *e, ...)
{
    char *argv[ARGS_MAX + 3];
    char name[] = "wattqd";
    char option[] = "--config";
    char path[] = "/tmp/wattq-config-XXXXXX";
    int argc = 0;
    argv[argc++] = name;
    int fd = mkstemp(path);
    assert_true(write(fd, file, strlen(file)) == (ssize_t)strlen(file));
    close(fd);
    argv[argc++] = option;
    argv[argc++] = path;
    va_list ap;
    va_start(ap, e);
    for (char *a; (a = va_arg(ap, char *));)
        argv[argc++] = a;
    va_end(ap);
    int rc = config_load(c, argc, argv, e);
    unlink(path);
    return rc;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    assert_int_equal(load(&c, "", &e, NULL), 0);
    assert_int_equal(c.period_ns, 100 * NS_PER_MS);
    assert_int_equal(c.linger_ns, 10 * NS_PER_S);
    assert_int_equal(c.parallel, 1);
    assert_string_equal(c.socket, "");
    assert_string_equal(c.durability, "normal");
    assert_false(c.estimate);
    config_fini(&c);
}

/* What users see of each other is nobody's to choose but the machine's keeper's. */
static void test_system_mode_has_no_default_visibility(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    assert_int_equal(load(&c, "mode = system\n", &e, NULL), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "visibility"));
    config_fini(&c);
    assert_int_equal(load(&c, "mode = system\nvisibility = private\n", &e, NULL), 0);
    assert_true(config_system(&c));
    assert_int_equal(c.parallel, 0);
    assert_string_equal(c.launcher, "/run/wattq-launcher");
    config_fini(&c);
    assert_int_equal(load(&c, "visibility = full\n", &e, "--mode", "system", NULL), 0);
    config_fini(&c);
    assert_int_equal(load(&c, "", &e, "--mode", "shared", NULL), WATTQ_E_USAGE);
    config_fini(&c);
}

static void test_defaults_are_within_maxima(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
    } rows[] = {
        {"default-mem = 4G\nmax-mem = 2G\n", "default-mem is more than max-mem"},
        {"default-time = 2d\nmax-time = 47h\n", "default-time is more than max-time"},
        {"default-time = 2d\nmax-time = 48h\ndefault-mem = 1G\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config c;
        struct err e = {0};
        assert_int_equal(load(&c, rows[i].file, &e, NULL), rows[i].text ? WATTQ_E_USAGE : 0);
        if (rows[i].text)
            assert_non_null(strstr(e.text, rows[i].text));
        config_fini(&c);
    }
}

static void test_the_command_line_wins_over_the_file(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    const char *file = "# comment\n\n  period = 20ms   # why\nparallel=3\nestimate = yes\n"
                       "state-dir = /a#b\nsocket = /x y\n";
    assert_int_equal(load(&c, file, &e, "--parallel", "4", "--linger=1m", "--disable=", NULL), 0);
    assert_int_equal(c.period_ns, 20 * NS_PER_MS);
    assert_int_equal(c.parallel, 4);
    assert_int_equal(c.linger_ns, 60 * NS_PER_S);
    assert_true(c.estimate);
    assert_string_equal(c.state_dir, "/a#b");
    assert_string_equal(c.socket, "/x y");
    config_fini(&c);
    assert_int_equal(load(&c, "estimate = yes", &e, "--estimate=no", NULL), 0);
    assert_false(c.estimate);
    config_fini(&c);
    assert_int_equal(load(&c, "", &e, "--estimate", "--parallel", "2", NULL), 0);
    assert_true(c.estimate);
    config_fini(&c);
}

static void test_slips_on_the_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *text, *next;
    } rows[] = {
        {"--sockte", "x", "--sockte", "--socket"},
        {"--statedir", "x", "--statedir", "--state-dir"},
        {"--zzzzzzzz", NULL, "--zzzzzzzz", "--help"},
        {"--period", NULL, "needs a value", ""},
        {"--period", "100", "100s", "2h30m"},
        {"--period", "0ms", "1.0ms", ""},
        {"--period", "1h", "1m00s", ""},
        {"--parallel", "2000", "from 0 to 1024", ""},
        {"--mem", "32", "32M (MiB) or 32B (bytes)", "512M"},
        {"--mem", "2000T", "from 0 B to 1024 TiB", ""},
        {"--max-running", "2000", "from 0 to 1024", ""},
        {"--max-time", "3600", "3600s", ""},
        {"--parallel", "many", "whole number", "4096"},
        {"--durability", "ful", "normal|full", ""},
        {"--estimate=perhaps", NULL, "yes or no", ""},
        {"stray", NULL, "stray", "--help"},
        {"-x", NULL, "-x", "--help"},
        {"--", NULL, "--", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config c;
        struct err e = {0};
        int rc = load(&c, "", &e, rows[i].a, rows[i].b, NULL);
        if (rc != WATTQ_E_USAGE || !strstr(e.text, rows[i].text) || !strstr(e.next, rows[i].next))
            fail_msg("%s: %d \"%s\" \"%s\"", rows[i].a, rc, e.text, e.next);
        assert_int_equal(err_exit_code(rc), 2);
    }
}

static void test_slips_in_the_file_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *next;
    } rows[] = {
        {"\nparalel = 2\n", "line 2: unknown option paralel", "parallel"},
        {"period = 5\n", "line 1", ""},
        {"period\n", "line 1: 'period' is not of the form", ""},
        {"config = /x\n", "command line only", ""},
        {"restore = /x\n", "command line only", ""},
        {"--period = 1s\n", "unknown option --period", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config c;
        struct err e = {0};
        int rc = load(&c, rows[i].file, &e, NULL);
        if (rc != WATTQ_E_USAGE || !strstr(e.text, rows[i].text) || !strstr(e.next, rows[i].next))
            fail_msg("%s: %d \"%s\" \"%s\"", rows[i].file, rc, e.text, e.next);
    }
    struct config c;
    struct err e = {0};
    char name[] = "wattqd";
    char option[] = "--config=/nonexistent/x";
    char *argv[] = {name, option, NULL};
    assert_int_equal(config_load(&c, 2, argv, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "/nonexistent/x"));
}

static void test_limits_of_one_user(void **state)
{
    (void)state;
    struct config c;
    struct err e = {0};
    /* The file's first lines say nothing of those behind, nor do the options of the command line. */
    assert_int_equal(load(&c,
                          "max-time@root = 2h\nmax-time = 1d\nmax-mem = 32G\nmax-running@4711 = 3\n"
                          "max-time@4711 = 0s\n",
                          &e, "--max-queued@root", "7", "--max-queued=100", "--max-mem@4711=1G",
                          NULL),
                     0);
    const struct user_limits *root = user_limits_find(&c.limits, 0),
                             *some = user_limits_find(&c.limits, 4711),
                             *each = user_limits_find(&c.limits, 1);
    assert_int_equal(c.limits.n, 2);
    assert_ptr_equal(each, &c.limits.each);
    assert_int_equal(root->max_time_ns, 7200 * NS_PER_S);
    assert_int_equal(root->max_mem_bytes, INT64_C(32) << 30);
    assert_int_equal(root->max_queued, 7);
    assert_int_equal(some->max_time_ns, 0); /* any */
    assert_int_equal(some->max_running, 3);
    assert_int_equal(some->max_mem_bytes, INT64_C(1) << 30);
    assert_int_equal(some->max_queued, 100);
    assert_int_equal(each->max_time_ns, 86400 * NS_PER_S);
    assert_int_equal(each->max_running, 0);
    config_fini(&c);
    static const struct {
        const char *file, *text;
    } bad[] = {
        {"max-time@nobody-of-that-name = 1h\n", "no such user"},
        {"max-time@ = 1h\n", "no such user"},
        {"period@root = 1s\n", "no limit of users"},
        {"max-pids@root = 1\n", "no limit of users"},
        {"max-tim@root = 1h\n", "unknown option max-tim"},
        {"max-time@root = 5\n", "line 1"},
        {"max-running@root = 9999\n", "must be from 0 to"},
        {"default-time@root = 3h\nmax-time = 2h\n", "more than max-time for root"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = load(&c, bad[i].file, &e, NULL);
        if (rc != WATTQ_E_USAGE || !strstr(e.text, bad[i].text))
            fail_msg("%s: %d \"%s\"", bad[i].file, rc, e.text);
    }
}

static void test_the_default_file_may_be_absent(void **state)
{
    (void)state;
    char name[] = "wattqd";
    char *argv[] = {name, NULL};
    struct config c;
    struct err e = {0};
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    assert_int_equal(config_load(&c, 1, argv, &e), 0);
    config_fini(&c);
    unsetenv("XDG_CONFIG_HOME");
}

/* "\-\-state\-dir" -> "--state-dir" */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++)
        if (*s != '\\')
            *to++ = *s;
    *to = '\0';
}

static void test_the_manual_page_lists_exactly_the_options(void **state)
{
    (void)state;
    const char *src = getenv("WATTQ_SRC");
    if (!src) {
        print_message("skipped: WATTQ_SRC names no source tree\n");
        skip();
    }
    char path[4096];
    size_t bytes = 0;
    snprintf(path, sizeof(path), "%s/docs/wattqd.8", src);
    char *page CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, 1 << 20, &bytes);
    assert_non_null(page);
    unescape(page);
    size_t listed = 0;
    for (char *p = page; (p = strstr(p, ".TP\n.B")); p++)
        listed += strstr(p, "--") == strchr(p, '-') && *strchr(p, '-') == '-' &&
                  strchr(p, '-') < strchr(p + 4, '\n');
    assert_int_equal(listed, config_option_count + 2); /* and --help, --version */
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        char head[160];
        if (o->type == CONFIG_BOOL)
            snprintf(head, sizeof(head), ".B --%s\n", o->name);
        else if (o->words)
            snprintf(head, sizeof(head), ".B --%s %s\n", o->name, o->words);
        else
            snprintf(head, sizeof(head), ".BI --%s \" %s\"\n", o->name, o->unit);
        char *para = strstr(page, head);
        if (!para)
            fail_msg("docs/wattqd.8 has no paragraph %s", head);
        char *end = strstr(para, "\n.TP");
        char want[80];
        snprintf(want, sizeof(want), "Default: %s", o->dflt);
        char *dflt = strstr(para, want);
        if (o->dflt[0] && (!dflt || (end && dflt > end)))
            fail_msg("docs/wattqd.8, --%s: no \"%s\"", o->name, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_system_mode_has_no_default_visibility),
        cmocka_unit_test(test_defaults_are_within_maxima),
        cmocka_unit_test(test_the_command_line_wins_over_the_file),
        cmocka_unit_test(test_slips_on_the_command_line),
        cmocka_unit_test(test_slips_in_the_file_name_the_line),
        cmocka_unit_test(test_limits_of_one_user),
        cmocka_unit_test(test_the_default_file_may_be_absent),
        cmocka_unit_test(test_the_manual_page_lists_exactly_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
