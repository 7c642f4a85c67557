/* Opening the database: made private and whole, refused when it is damaged, newer or in the wrong place;
 * transactions, civil time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pwd.h>

#include "tests/support/recorder.h"

static struct recorder rec;

static int setup(void **state)
{
    (void)state;
    rec_init(&rec);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rec_fini(&rec);
    return 0;
}

static void make(void)
{
    struct store *s;
    struct err e = {0};
    rec_must(store_open(&s, rec.path, &e), &e, "store_open");
    store_close(s);
}

static void refuse(const char *path, int code, const char *text)
{
    struct store *s;
    struct err e = {0};
    int rc = store_open(&s, path, &e);
    if (rc != code || !strstr(e.text, text))
        print_error("%d: %s | %s\n", rc, e.text, e.next);
    assert_int_equal(rc, code);
    assert_null(s);
    assert_non_null(strstr(e.text, text));
    assert_true(*e.next != '\0');
}

static void test_created(void **state)
{
    (void)state;
    struct stat st;
    make();
    assert_int_equal(stat(rec.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(rec_ask(&rec, "PRAGMA page_size"), 4096);
    assert_int_equal(rec_ask(&rec, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(rec_ask(&rec, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM boot"), 1);
    make(); /* the same boot: no second row */
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM boot"), 1);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM sqlite_schema WHERE name = 'run'"), 1);
}

static void test_newer_schema(void **state)
{
    (void)state;
    make();
    rec_ask(&rec, "PRAGMA user_version = 999");
    refuse(rec.path, WATTQ_E_VERSION, "newer wattq");
    struct store *s;
    struct err e = {0};
    assert_int_equal(store_open_reader(&s, rec.path, &e), WATTQ_E_VERSION);
    assert_int_equal(rec_ask(&rec, "PRAGMA user_version"), 999); /* untouched */
}

static void write_at(long offset, const char *bytes, size_t n)
{
    int fd = open(rec.path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, offset), (ssize_t)n);
    close(fd);
}

static void test_damaged(void **state)
{
    (void)state;
    make();
    write_at(0, "this is no database", 19);
    refuse(rec.path, WATTQ_E_CORRUPT, rec.path);
}

static void test_damaged_inside(void **state)
{
    (void)state;
    char junk[4096];
    make();
    memset(junk, 0xa5, sizeof(junk));
    write_at(4096 * 3, junk, sizeof(junk));
    refuse(rec.path, WATTQ_E_CORRUPT, rec.path);
}

static void test_truncated(void **state)
{
    (void)state;
    make();
    assert_int_equal(truncate(rec.path, 4096 * 5), 0);
    refuse(rec.path, WATTQ_E_CORRUPT, rec.path);
    assert_int_equal(truncate(rec.path, 7), 0);
    refuse(rec.path, WATTQ_E_CORRUPT, rec.path);
}

static void test_foreign(void **state)
{
    (void)state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(rec.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE song(name)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    refuse(rec.path, WATTQ_E_CORRUPT, "another program");
}

static void test_places(void **state)
{
    (void)state;
    char path[300];
    snprintf(path, sizeof(path), "%s/no/such/wattq.db", rec.dir);
    refuse(path, WATTQ_E_STORAGE, "cannot be used");
    snprintf(path, sizeof(path), "%s/sub", rec.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    refuse(path, WATTQ_E_STORAGE, "cannot be opened");
    refuse("/proc/wattq.db", WATTQ_E_STORAGE, "/proc");
}

static void test_read_only(void **state)
{
    (void)state;
    make();
    if (getuid() == 0) {
        struct passwd *nobody = getpwnam("nobody");
        if (!nobody || seteuid(nobody->pw_uid) != 0)
            skip();
        refuse(rec.path, WATTQ_E_STORAGE, "cannot be");
        assert_int_equal(seteuid(0), 0);
        return;
    }
    chmod(rec.dir, 0500);
    refuse(rec.path, WATTQ_E_STORAGE, "cannot be written");
    chmod(rec.dir, 0700);
    chmod(rec.path, 0400);
    refuse(rec.path, WATTQ_E_STORAGE, "cannot be opened for writing");
}

static void test_killed_epochs_are_closed(void **state)
{
    (void)state;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 30; i++) {
        rec_set(&rec, 0, i, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    rec_close(&rec, false);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM epoch WHERE t1_ns IS NULL"), 1);
    make();
    assert_int_equal(rec_ask(&rec, "SELECT t1_ns FROM epoch WHERE reason = 'killed'"),
                     2900 * NS_PER_MS);
}

static void exec(struct store *s, const char *sql)
{
    struct err e = {0};
    rec_must(stmt_exec(s, sql, &e), &e, sql);
}

static void test_transactions(void **state)
{
    (void)state;
    struct store *s;
    struct err e = {0};
    rec_must(store_open(&s, rec.path, &e), &e, "open");
    rec_must(store_begin(s, true, &e), &e, "begin");
    exec(s, "INSERT INTO meta VALUES('a', '1')");
    rec_must(store_savepoint(s, &e), &e, "savepoint");
    exec(s, "INSERT INTO meta VALUES('b', '1')");
    store_rollback_to(s);
    rec_must(store_savepoint(s, &e), &e, "savepoint");
    exec(s, "INSERT INTO meta VALUES('c', '1')");
    rec_must(store_release(s, &e), &e, "release");
    assert_true(store_in_transaction(s));
    rec_must(store_commit(s, &e), &e, "commit");
    assert_false(store_in_transaction(s));
    rec_must(store_begin(s, false, &e), &e, "begin");
    exec(s, "INSERT INTO meta VALUES('d', '1')");
    store_rollback(s);
    assert_int_equal(stmt_exec(s, "INSERT INTO grp_slot VALUES(1, 1, 1)", &e), WATTQ_E_CONFLICT);
    store_close(s);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM meta WHERE k IN ('a', 'c')"), 2);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM meta WHERE k IN ('b', 'd')"), 0);
}

/* A reader sees one state from begin to commit, whatever the writer does, and writes nothing. */
static void test_reader(void **state)
{
    (void)state;
    struct store *w, *r;
    struct err e = {0};
    assert_int_equal(store_open_reader(&r, rec.path, &e) < 0, 1); /* not there yet */
    rec_must(store_open(&w, rec.path, &e), &e, "open");
    rec_must(store_open_reader(&r, rec.path, &e), &e, "reader");
    assert_int_equal(store_boot(r), store_boot(w));
    exec(w, "INSERT INTO anchor VALUES(1, 100, 1000, 0)");
    rec_must(store_begin(r, false, &e), &e, "begin");
    assert_int_equal(store_utc_of(r, 1, 150), 1050);
    exec(w, "INSERT INTO anchor VALUES(1, 120, 5000, 1)");
    assert_int_equal(store_utc_of(r, 1, 150), 1050);
    rec_must(store_commit(r, &e), &e, "commit");
    assert_int_equal(store_utc_of(r, 1, 150), 5030);
    assert_true(stmt_exec(r, "INSERT INTO meta VALUES('x', 'y')", &e) < 0);
    store_close(r);
    store_close(w);
}

/* -1 = the question failed, and why is in e. */
static int baselines(struct store *s, struct err *e)
{
    STMT_USE(st, s, BASELINE_LIST);
    stmt_bind_opt(st, 1, STMT_NULL);
    stmt_bind_int(st, 2, 10);
    return stmt_run(st, e) == 0 ? 0 : -1;
}

/* A statement is prepared when it is first used. One that cannot be fails as a question does, each time, and is well
 * again when its cause is gone. */
static void test_unprepared(void **state)
{
    (void)state;
    struct store *w, *r;
    struct err e = {0};
    rec_must(store_open(&w, rec.path, &e), &e, "open");
    rec_must(store_open_reader(&r, rec.path, &e), &e, "reader");
    exec(w, "ALTER TABLE baseline RENAME TO elsewhere");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(baselines(r, &e), -1);
        assert_int_equal(e.code, WATTQ_E_INTERNAL);
        assert_non_null(strstr(e.text, "no such table: baseline"));
    }
    rec_must(store_begin(r, false, &e), &e, "begin");
    assert_int_equal(baselines(r, &e), -1);
    store_rollback(r);
    exec(w, "ALTER TABLE elsewhere RENAME TO baseline");
    assert_int_equal(baselines(r, &e), 0);
    store_close(r);
    store_close(w);
}

static void test_civil_time(void **state)
{
    (void)state;
    struct store *s;
    struct err e = {0};
    int64_t boot = 0, t = 0;
    rec_must(store_open(&s, rec.path, &e), &e, "open");
    assert_int_equal(store_utc_of(s, 1, 5), -1);
    assert_int_equal(store_boot_of(s, 5, &boot, &t), 1);
    exec(s, "INSERT INTO boot VALUES(2, 'b', '{}');"
            "INSERT INTO anchor VALUES(1, 100, 10000, 0), (1, 200, 10100, 0), (1, 300, 15000, 1),"
            "(2, 10, 20000, 0), (2, 60, 19000, 1)");
    assert_int_equal(store_utc_of(s, 1, 250), 10150);
    assert_int_equal(store_utc_of(s, 1, 50), 9950); /* before the first: the nearest */
    assert_int_equal(store_boot_of(s, 10150, &boot, &t), 0);
    assert_int_equal(boot, 1);
    assert_int_equal(t, 250);
    assert_int_equal(store_boot_of(s, 12000, &boot, &t), 0); /* the step jumped over it */
    assert_int_equal(t, 300);
    assert_int_equal(store_boot_of(s, 20010, &boot, &t), 0);
    assert_int_equal(boot, 2);
    assert_int_equal(t, 20);
    assert_int_equal(store_boot_of(s, 19010, &boot, &t), 0); /* after the clock was set back */
    assert_int_equal(t, 70);
    store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_created),      T(test_newer_schema),
        T(test_damaged),      T(test_damaged_inside),
        T(test_truncated),    T(test_foreign),
        T(test_places),       T(test_read_only),
        T(test_transactions), T(test_killed_epochs_are_closed),
        T(test_reader),       T(test_unprepared),
        T(test_civil_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
