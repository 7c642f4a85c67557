/* Selectors, sockets' paths, and what a submission captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/conn.h"
#include "client/job.h"
#include "client/sel.h"
#include "client/submit.h"

static void ids_ranges_and_lists(void **state)
{
    (void)state;
    struct sel s;
    struct err e = {0};
    static const int64_t want[] = {2, 5, 8, 9, 10};
    sel_init(&s);
    assert_int_equal(sel_parse(&s, "2,5,8-10", &e), 0);
    assert_int_equal(s.n, ARRAY_LEN(want));
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(s.ids[i], want[i]);
    sel_fini(&s);
}

static void what_is_no_selector(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0", "3-", "9-3", "1,,2", "1,", "17x", "1-2-3", "1 2", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sel s = {0};
        struct err e = {0};
        if (sel_parse(&s, bad[i], &e) != WATTQ_E_USAGE)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(e.next[0] != '\0');
        sel_fini(&s);
    }
    struct sel s = {0};
    struct err e = {0};
    assert_int_equal(sel_parse(&s, "last", &e), 1);
    assert_int_equal(sel_parse(&s, "1-100000000", &e), WATTQ_E_LIMIT);
    sel_fini(&s);
}

static char *filter_of(const char *a, const char *b, const char *c)
{
    char *const words[] = {base_strdup(a), b ? base_strdup(b) : NULL, c ? base_strdup(c) : NULL};
    char *out = NULL;
    struct err e = {0};
    int rc = sel_filter(&out, words, 1 + (b != NULL) + (c != NULL), &e);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        free(words[i]);
    if (rc < 0)
        return base_printf("%s: %s", err_name(e.code), e.text);
    return out ? out : base_strdup("ids");
}

/* Words that are no ids are a filter; each alone or all as one text; never mixed with ids. */
static void filter_words(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"17", NULL, NULL, "ids"},
        {"3-9", "last", "sweep:12", "ids"},
        {"sweep=12", NULL, NULL, "ids"},
        {"state=failed", NULL, NULL, "state = failed"},
        {"state=failed or id=1", "sweep:12", NULL, "(state = failed or id = 1) and sweep = 12"},
        {"energy", "gt", "2kJ", "energy > 2kJ"},
        {"id", "gt", "5", "id > 5"},
        {"tag.good", NULL, NULL, "tag.good = true"},
        {"foo", NULL, NULL, "usage: 'foo' names no run"},
        {"enrgy>1J", NULL, NULL, "usage: a run has no column 'enrgy' (column 1)"},
        {"3-9", "state=failed", NULL,
         "usage: '3-9' names runs, 'state=failed' is a filter: which is meant?"},
        {"state=failed", "last", NULL,
         "usage: 'last' names runs, 'state=failed' is a filter: which is meant?"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *got = filter_of(cases[i][0], cases[i][1], cases[i][2]);
        assert_string_equal(got, cases[i][3]);
        free(got);
    }
}

static void socket_paths(void **state)
{
    (void)state;
    char path[WATTQ_PATH_MAX];
    char *dir = getenv("XDG_RUNTIME_DIR") ? base_strdup(getenv("XDG_RUNTIME_DIR")) : NULL;
    struct err e = {0};
    unsetenv("WATTQ_SOCKET");
    setenv("XDG_RUNTIME_DIR", "/tmp", 1); /* not ours unless we are root, so the state directory */
    setenv("XDG_STATE_HOME", "/s", 1);
    assert_int_equal(conn_path(NULL, path, &e), 0);
    assert_true(strcmp(path, "/s/wattq/run/wattqd.sock") == 0 ||
                strcmp(path, "/tmp/wattq/wattqd.sock") == 0);
    setenv("WATTQ_SOCKET", "/w.sock", 1);
    assert_int_equal(conn_path(NULL, path, &e), 0);
    assert_string_equal(path, "/w.sock");
    assert_int_equal(conn_path("/given", path, &e), 0);
    assert_string_equal(path, "/given");
    char longest[200];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[107] = '\0';
    assert_int_equal(conn_path(longest, path, &e), 0);
    longest[107] = 'x';
    longest[108] = '\0';
    assert_int_equal(conn_path(longest, path, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "107"));
    unsetenv("WATTQ_SOCKET");
    if (dir)
        setenv("XDG_RUNTIME_DIR", dir, 1);
    free(dir);
}

static void nobody_listens(void **state)
{
    (void)state;
    struct conn *c = NULL;
    struct err e = {0};
    assert_int_equal(conn_open(&c, "/nonexistent/wattqd.sock", &e), WATTQ_E_NO_DAEMON);
    assert_int_equal(err_exit_code(e.code), 4);
    assert_non_null(strstr(e.next, "wattqd"));
    assert_null(c);
}

/* ---- jobs ---------------------------------------------------------------------------------------- */

static int make(struct job *j, struct err *e, enum spec_kind kind, const struct args *a,
                const char *program)
{
    char store[64];
    char *argv[] = {store, NULL};
    base_strcpy(store, sizeof store, program);
    *e = (struct err){0};
    return job_init(j, kind, a, true, argv, 1, e);
}

static void a_job_captures_where_we_are(void **state)
{
    (void)state;
    struct job j;
    struct err e;
    const char *env[] = {"WATTQ_TEST_X=1", "HOME=/elsewhere"};
    const char *params[] = {"lr=0.1", "note=a=b"};
    struct args a = {.n[OPT_ENV] = 2, .n[OPT_PARAM] = 2};
    a.value[OPT_ENV] = env;
    a.value[OPT_PARAM] = params;
    mode_t old = umask(027);
    assert_int_equal(make(&j, &e, SPEC_COMMAND, &a, "sh"), 0);
    (void)umask(old);
    char cwd[WATTQ_PATH_MAX];
    assert_string_equal(j.spec.cwd, getcwd(cwd, sizeof cwd));
    assert_int_equal(j.spec.umask, 027);
    assert_true(j.spec.exclusive);
    bool home = false;
    for (size_t i = 0; i < j.spec.envc; i++) {
        home = home || strcmp(j.spec.env[i], "HOME=/elsewhere") == 0;
        assert_true(strncmp(j.spec.env[i], "HOME=", 5) != 0 ||
                    strcmp(j.spec.env[i], "HOME=/elsewhere") == 0);
    }
    assert_true(home);
    assert_string_equal(j.spec.params[1].key, "note");
    assert_string_equal(j.spec.params[1].value, "a=b");
    job_fini(&j);
}

static void programs_that_cannot_be_run(void **state)
{
    (void)state;
    struct job j;
    struct err e;
    struct args a = {0};
    assert_int_equal(make(&j, &e, SPEC_COMMAND, &a, "no-such-program-at-all"), WATTQ_E_NOT_FOUND);
    job_fini(&j);
    assert_int_equal(make(&j, &e, SPEC_EXEC, &a, "/no/such/program"), WATTQ_E_NOT_FOUND);
    job_fini(&j);
    assert_int_equal(make(&j, &e, SPEC_EXEC, &a, "/etc/passwd"), WATTQ_E_FORBIDDEN);
    assert_non_null(strstr(e.next, "chmod"));
    job_fini(&j);
    assert_int_equal(make(&j, &e, SPEC_EXEC, &a, "/tmp"), WATTQ_E_FORBIDDEN);
    job_fini(&j);
}

static void options_that_make_no_sense(void **state)
{
    (void)state;
    struct job j;
    struct err e;
    const char *pair[] = {"novalue"};
    const char *none[] = {""};
    const char *missing[] = {"/no/such/file"};
    struct args a = {.n[OPT_ENV] = 1};
    a.value[OPT_ENV] = pair;
    assert_int_equal(make(&j, &e, SPEC_COMMAND, &a, "sh"), WATTQ_E_USAGE);
    job_fini(&j);
    a = (struct args){.n[OPT_EXCLUSIVE] = 1, .n[OPT_SHARED] = 1};
    a.value[OPT_EXCLUSIVE] = a.value[OPT_SHARED] = none;
    assert_int_equal(make(&j, &e, SPEC_COMMAND, &a, "sh"), WATTQ_E_USAGE);
    job_fini(&j);
    a = (struct args){.n[OPT_STDIN] = 1};
    a.value[OPT_STDIN] = missing;
    assert_int_equal(make(&j, &e, SPEC_COMMAND, &a, "sh"), WATTQ_E_NOT_FOUND);
    job_fini(&j);
}

/* ---- the trainer's arguments --------------------------------------------------------------------- */

static void trainer_arguments(void **state)
{
    (void)state;
    char words[][24] = {"--dataset", "standin:mnist", "--size=2^5", "--epochs", "3"};
    char *pos[] = {words[0], words[1], words[2], words[3], words[4], NULL};
    struct args a = {.pos = pos, .npos = 5};
    struct train_args t = {0};
    struct err e = {0};
    assert_int_equal(train_args_init(&t, &a, 0, &e), 0);
    assert_string_equal(train_args_get(&t, "dataset"), "standin:mnist");
    assert_string_equal(train_args_get(&t, "size"), "2^5");
    assert_null(train_args_get(&t, "siz"));
    train_args_drop(&t, "dataset");
    assert_null(train_args_get(&t, "dataset"));
    assert_string_equal(train_args_get(&t, "epochs"), "3");
    train_args_set(&t, "size", train_args_get(&t, "size"));
    assert_string_equal(train_args_get(&t, "size"), "2^5");
    assert_int_equal(t.n, 4);
    train_args_finip(&t);
}

static void data_sets(void **state)
{
    (void)state;
    char dir[] = "/tmp/wattq-test-XXXXXX";
    char *full = NULL;
    struct train_args t = {0};
    struct err e = {0};
    assert_non_null(mkdtemp(dir));
    char *file = base_printf("%s/529_pollen.tsv.gz", dir);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(train_dataset(&full, &t, "standin:mnist", &e), 0);
    free(full);
    assert_int_equal(train_dataset(&full, &t, "standin:mnits", &e), WATTQ_E_NOT_FOUND);
    assert_non_null(strstr(e.next, "standin:mnist"));
    unsetenv("WATTQ_DATA");
    assert_int_equal(train_dataset(&full, &t, "529_pollen", &e), WATTQ_E_NOT_FOUND);
    assert_non_null(strstr(e.next, "standin:529_pollen"));
    train_args_set(&t, "data-dir", dir);
    assert_int_equal(train_dataset(&full, &t, "529_pollen", &e), 0);
    assert_string_equal(full, "529_pollen");
    free(full);
    assert_int_equal(train_dataset(&full, &t, file, &e), 0);
    assert_string_equal(full, file);
    free(full);
    train_args_finip(&t);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_ranges_and_lists),
        cmocka_unit_test(what_is_no_selector),
        cmocka_unit_test(filter_words),
        cmocka_unit_test(socket_paths),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_job_captures_where_we_are),
        cmocka_unit_test(programs_that_cannot_be_run),
        cmocka_unit_test(options_that_make_no_sense),
        cmocka_unit_test(trainer_arguments),
        cmocka_unit_test(data_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
