/* Users who leave: their rows are nobody's who could come, and of the forgotten nothing tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store/former.h"
#include "daemon/store/runs.h"
#include "daemon/store/runs_marks.h"
#include "daemon/store/stmt.h"

#define ADA   1001
#define BOB   1002
#define ADMIN 7

struct fixture {
    char dir[64];
    struct store *s;
    int64_t ada[2], bob; /* runs */
    struct err e;
};

/* What a statement says in its first column; "" for NULL or nothing. */
static const char *ask(struct fixture *f, const char *sql)
{
    static char text[4][600];
    static unsigned turn;
    char *out = text[turn++ % 4];
    sqlite3_stmt *st CLEANUP(stmt_finalizep) = NULL;
    assert_int_equal(stmt_prepare(f->s, sql, &st, &f->e), 0);
    out[0] = '\0';
    if (sqlite3_step(st) == SQLITE_ROW && stmt_text(st, 0))
        (void)base_strcpy(out, sizeof(text[0]), stmt_text(st, 0));
    return out;
}

static void tell(struct fixture *f, const char *sql)
{
    if (stmt_exec(f->s, sql, &f->e) < 0)
        fail_msg("%s: %s", sql, f->e.text);
}

static int64_t add(struct fixture *f, int64_t uid, const char *word, const char *label)
{
    struct spec spec;
    int64_t id = 0;
    spec_init(&spec);
    spec.argv = base_alloc(2 * sizeof(char *));
    spec.argv[0] = base_strdup(word);
    spec.argc = 1;
    spec.cwd = base_strdup("/home/ada");
    (void)base_strcpy(spec.label, sizeof(spec.label), label);
    (void)base_strcpy(spec.project, sizeof(spec.project), "vision");
    const char *hash = uid == ADA ? "aaaa" : "bbbb";
    const struct run_code code = {.hash = "cccc", .diff = "+ada", .dirty = 1};
    assert_int_equal(runs_env_put(f->s, hash, "env/x", "{\"HOME\":\"/home/ada\"}", &f->e), 0);
    assert_int_equal(runs_code_put(f->s, &code, &f->e), 0);
    const struct run_new n = {.spec = &spec,
                              .uid = uid,
                              .submitted_utc_ns = 1,
                              .sweep = RUN_NONE,
                              .sweep_index = RUN_NONE,
                              .retry_of = RUN_NONE,
                              .env_hash = hash,
                              .code_hash = "cccc",
                              .warrant = "w"};
    assert_int_equal(runs_insert(f->s, &n, &id, &f->e), 0);
    spec_fini(&spec);
    return id;
}

static int set_up(void **state)
{
    struct fixture *f = base_alloc(sizeof(*f));
    char path[80];
    (void)base_strcpy(f->dir, sizeof(f->dir), "/tmp/wattq-former-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/wattq.db", f->dir);
    if (store_open(&f->s, path, &f->e) < 0 || store_begin(f->s, true, &f->e) < 0)
        return -1;
    f->ada[0] = add(f, ADA, "/home/ada/train.py", "Ada's best");
    f->ada[1] = add(f, ADA, "/home/ada/train.py", "Ada's best");
    f->bob = add(f, BOB, "bobs", "ada told me");
    tell(f, "UPDATE run SET state = 'done', reason = 'cannot open /home/ada/x'");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    store_rollback(f->s);
    store_close(f->s);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static void keep_name(void *arg, const char *name)
{
    char *text = arg;
    (void)snprintf(text + strlen(text), 80 - strlen(text), "%s;", name);
}

/* What was to be removed, since it was last looked at. */
static char removed[80];

static int retire(struct fixture *f, const char *name, struct former *out)
{
    const struct former_who who = {ADA, name, ADMIN};
    const struct former_files files = {keep_name, keep_name, removed};
    removed[0] = '\0';
    return former_retire(f->s, &who, &files, out, &f->e);
}

static int forget(struct fixture *f, int64_t uid, struct former *out)
{
    const struct former_who who = {uid, "", ADMIN};
    const struct former_files files = {keep_name, keep_name, removed};
    removed[0] = '\0';
    return former_forget(f->s, &who, &files, out, &f->e);
}

static int keep_user(void *arg, const struct former_user *u)
{
    char *text = arg;
    (void)snprintf(text + strlen(text), 200 - strlen(text), "%lld %s %lld;", (long long)u->uid,
                   u->name ? u->name : "-", u->was_uid == STMT_NULL ? -1LL : (long long)u->was_uid);
    return 0;
}

static const char *users(struct fixture *f)
{
    static char text[200];
    text[0] = '\0';
    assert_int_equal(former_list(f->s, keep_user, text, &f->e), 0);
    return text;
}

static void test_a_uid_that_comes_again(void **state)
{
    struct fixture *f = *state;
    struct former out = {0};
    const struct run_mark m = {.kind = RUN_MARK_NOTE, .text = (char[]){"mine"}};
    assert_int_equal(runs_mark(f->s, f->ada[0], (struct run_actor){ADA, false}, &m, 5, &f->e), 0);
    assert_int_equal(runs_pin(f->s, f->ada[0], ADA, 5, "keep", &f->e), 0);
    assert_int_equal(former_act(f->s, ADA, "calibrate", "x", &f->e), 0);
    assert_int_equal(retire(f, "ada", &out), 0);
    assert_int_equal(out.uid, USERS_RETIRED - 1);
    assert_string_equal(removed, "w;");
    assert_int_equal(out.runs, 2);
    assert_string_equal(ask(f, "SELECT group_concat(DISTINCT uid) FROM run ORDER BY id"),
                        "-1001,1002");
    /* Nothing that counts as theirs is left with the number. */
    assert_string_equal(
        ask(f, "SELECT (SELECT count(*) FROM run WHERE uid = 1001) || (SELECT count(*) FROM note"
               " WHERE uid = 1001) || (SELECT count(*) FROM event WHERE actor_uid = 1001) ||"
               " (SELECT count(*) FROM pin WHERE uid = 1001)"),
        "0000");
    assert_string_equal(ask(f, "SELECT count(warrant) FROM run WHERE uid = -1001"), "0");
    assert_string_equal(users(f), "-1001 ada 1001;");
    /* Whoever has it next, and leaves too, is another. */
    add(f, ADA, "new", "");
    tell(f, "UPDATE run SET state = 'done' WHERE state = 'queued'");
    assert_int_equal(retire(f, "eve", &out), 0);
    assert_int_equal(out.runs, 1);
    assert_string_equal(users(f), "-1001 ada 1001;-1002 eve 1001;");
    assert_int_equal(retire(f, "eve", &out), WATTQ_E_NOT_FOUND);
}

static void test_what_is_in_the_way(void **state)
{
    struct fixture *f = *state;
    struct former out = {0};
    tell(f, "UPDATE run SET state = 'held' WHERE id = 2");
    assert_int_equal(retire(f, "ada", &out), WATTQ_E_CONFLICT);
    assert_string_equal(f->e.text, "runs of ada are not over yet: 2");
    assert_string_equal(f->e.next, "wattq cancel 2, and then again");
    assert_string_equal(ask(f, "SELECT count(*) FROM run WHERE uid = 1001"), "2");
}

static void test_nothing_tells_of_the_forgotten(void **state)
{
    struct fixture *f = *state;
    struct former out = {0};
    char *words[] = {(char[]){"adas"}};
    const struct run_mark tag = {.kind = RUN_MARK_TAG, .add = words, .nadd = 1};
    const struct run_mark note = {.kind = RUN_MARK_NOTE, .text = (char[]){"mine, Ada"}};
    for (int i = 0; i < 2; i++) {
        struct run_actor by = {ADA, false};
        assert_int_equal(runs_mark(f->s, f->ada[i], by, &tag, 5, &f->e), 0);
        assert_int_equal(runs_mark(f->s, f->ada[i], by, &note, 5, &f->e), 0);
        assert_int_equal(runs_param_put(f->s, f->ada[i], "lr", "0.1", &f->e), 0);
        assert_int_equal(runs_param_put(f->s, f->ada[i], "data", "/home/ada/d", &f->e), 0);
        assert_int_equal(runs_param_put(f->s, f->ada[i], "kind", "wide", &f->e), 0);
    }
    tell(f, "INSERT INTO run_other(run, kind, owner, busy_us) VALUES(3, 'login', 'ada', 5)");
    assert_int_equal(forget(f, ADA, &out), WATTQ_E_NOT_FOUND);
    assert_int_equal(retire(f, "ada", &out), 0);
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(forget(f, out.uid, &out), 0);
    assert_string_equal(removed, "aaaa;");
    assert_string_equal(
        ask(f, "SELECT count(*) FROM run WHERE uid < 0 AND (spec LIKE '%ada%' OR label LIKE"
               " '%ada%' OR reason LIKE '%ada%' OR project LIKE '%ada%')"),
        "0");
    assert_string_equal(
        ask(f, "SELECT json_extract(spec, '$.argv[0]') || ' ' || label || ' ' || project || ' ' ||"
               " reason FROM run WHERE id = 2"),
        "(forgotten) retired-1 label 1 vision (forgotten)");
    assert_string_equal(ask(f, "SELECT group_concat(key || '=' || value) FROM run_param WHERE run"
                               " = 1 ORDER BY key"),
                        "data=retired-1,kind=wide,lr=0.1");
    assert_string_equal(ask(f, "SELECT (SELECT count(*) FROM tag) || (SELECT count(*) FROM note)"),
                        "00");
    assert_string_equal(ask(f, "SELECT shown FROM env WHERE hash = 'aaaa'"), "{}");
    assert_string_equal(ask(f, "SELECT count(*) FROM event WHERE reason LIKE '%ada%'"), "0");
    assert_string_equal(ask(f, "SELECT owner FROM run_other"), "retired-1");
    assert_string_equal(users(f), "-1001 - -1;");
    /* Of others all is as it was; what they share with others too. */
    assert_string_equal(ask(f, "SELECT json_extract(spec, '$.argv[0]') || label || reason FROM"
                               " run WHERE id = 3"),
                        "bobsada told mecannot open /home/ada/x");
    assert_string_equal(ask(f, "SELECT diff FROM code"), "+ada");
    assert_string_not_equal(ask(f, "SELECT shown FROM env WHERE hash = 'bbbb'"), "{}");
    struct run_row row CLEANUP(run_row_fini) = {0};
    struct spec spec;
    assert_int_equal(runs_get(f->s, 1, &row, &f->e), 0);
    assert_int_equal(runs_spec_parse(row.spec_json, &spec, &f->e), 0);
    spec_fini(&spec);
}

static int keep_event(void *arg, const struct former_event *v)
{
    char *text = arg;
    (void)snprintf(text + strlen(text), 400 - strlen(text), "%lld %s %s;", (long long)v->actor_uid,
                   v->act, v->text);
    return 0;
}

static void test_the_log(void **state)
{
    struct fixture *f = *state;
    char text[400] = "";
    struct former out = {0};
    assert_int_equal(runs_act(f->s, f->bob, (struct run_actor){ADMIN, true}, "moved", &f->e), 0);
    assert_int_equal(runs_done_to(f->s, f->bob, (struct run_actor){BOB, false}, "his own", &f->e),
                     0);
    assert_int_equal(retire(f, "ada", &out), 0);
    assert_int_equal(former_log(f->s, 10, keep_event, text, &f->e), 0);
    assert_string_equal(text, "7 retire retired-1: 2 runs, 0 sweeps;7 done moved;");
    text[0] = '\0';
    assert_int_equal(former_log(f->s, 1, keep_event, text, &f->e), 0);
    assert_string_equal(text, "7 retire retired-1: 2 runs, 0 sweeps;");
}

static void test_names(void **state)
{
    char name[USERS_NAME_MAX];
    int64_t uid = 0;
    (void)state;
    assert_string_equal(users_name(-1001, name), "retired-1");
    assert_string_equal(users_name(-1000, name), "-1000");
    assert_string_equal(users_name(0, name), "root");
    assert_true(users_find("retired-12", &uid) && uid == -1012);
    assert_true(users_find("root", &uid) && uid == 0);
    assert_true(users_find("4294967294", &uid) && uid == 4294967294);
    static const char *const nobody[] = {"",           "retired-", "retired-0",   "retired-1x",
                                         "4294967295", "-1001",    "no such user"};
    for (size_t i = 0; i < ARRAY_LEN(nobody); i++)
        assert_false(users_find(nobody[i], &uid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_uid_that_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_in_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_tells_of_the_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_log, set_up, tear_down),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
