/* What the storage thread does when the disk does not: full, refusing to write or to sync, and a log that somebody
 * else holds. Samples wait in order, what is vital is written as long as it can be, and all of it goes on by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "tests/support/disk.h"
#include "tests/support/storage_rig.h"

#define RECOVERY_NS (2 * NS_PER_S)
#define RESERVE     (INT64_C(1) << 20)

struct job {
    struct storage_job base;
    const char *sql;
    bool done;
    int rc;
    char text[320];
};

static int on_work(struct store *s, struct storage_job *base, struct err *e)
{
    return stmt_exec(s, container_of(base, struct job, base)->sql, e);
}

static void on_done(struct storage_job *base, int rc, const struct err *e)
{
    struct job *j = container_of(base, struct job, base);
    j->done = true;
    j->rc = rc;
    base_strcpy(j->text, sizeof(j->text), e->text);
}

/* Its return code; what it says in text. */
static int do_job(struct rig *r, const char *sql, bool vital, char text[320])
{
    struct job j = {.base = {.work = on_work, .done = on_done, .vital = vital}, .sql = sql};
    storage_submit(r->storage, &j.base);
    while (!j.done)
        uv_run(&r->loop, UV_RUN_ONCE);
    if (text)
        memcpy(text, j.text, sizeof(j.text));
    return j.rc;
}

static struct storage_status status(struct rig *r)
{
    struct storage_status s;
    storage_get_status(r->storage, &s);
    return s;
}

static void tick(struct rig *r, int64_t *value, int n)
{
    while (n-- > 0)
        assert_true(rig_tick(r, ++*value) > 0);
    storage_wake(r->storage);
}

/* Until it is healthy again and nothing waits: how long that took. */
static int64_t recovers(struct rig *r)
{
    int64_t began = clock_mono_ns();
    struct storage_status s;
    do {
        usleep(5000);
        storage_wake(r->storage);
        s = status(r);
        assert_true(clock_mono_ns() - began < 20 * NS_PER_S);
    } while (s.health.degraded || s.waiting > 0);
    assert_int_equal(s.health.since_ns, 0);
    return clock_mono_ns() - began;
}

/* Every tick is there, each once, in order: the counter goes up by one from each to the next. */
static void check_all(struct rig *r, int64_t value)
{
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM tail"), 0);
    assert_int_equal(rec_ask(&r->rec, "SELECT sum(n) - count(*) + 1 FROM chunk"), value);
    assert_int_equal(rec_ask(&r->rec, "SELECT max(e1_uj) FROM head"), value - 1);
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM gap"), 0);
    assert_int_equal(
        rec_ask(&r->rec,
                "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    rec_init(&r->rec);
    rec_add(&r->rec, "c", CHANNEL_COUNTER);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    rec_fini(&r->rec);
    free(r);
    return 0;
}

/* ---- a full disk -------------------------------------------------------------------------------- */

static int64_t reserve_bytes(const struct rig *r)
{
    char path[160];
    struct stat st;
    snprintf(path, sizeof(path), "%s-reserve", r->rec.path);
    return stat(path, &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
}

static void fill_disk(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    static char block[4096];
    assert_true(fd >= 0);
    for (size_t n = sizeof(block); n > 0; n /= 2)
        while (write(fd, block, n) == (ssize_t)n)
            ;
    close(fd);
}

#define GROW "INSERT INTO meta SELECT hex(randomblob(8)), hex(randomblob(30000))"

/* Free pages of the log may serve a few commits before it is seen that the disk is full. */
static void until_full(struct rig *r, int64_t *value)
{
    char text[320];
    int rc = 0;
    for (int i = 0; rc == 0 && i < 200; i++) {
        tick(r, value, 20);
        rc = do_job(r, GROW, false, text);
    }
    assert_int_equal(rc, WATTQ_E_STORAGE);
    assert_non_null(strstr(text, "no space"));
    assert_true(status(r).health.degraded);
}

/* The end of a run is refused once, which gives the reserve back, and written then; nothing else is. */
static void write_the_end(struct rig *r, int64_t *value)
{
    char text[320];
    assert_int_equal(do_job(r, GROW, true, NULL), WATTQ_E_STORAGE);
    assert_true(reserve_bytes(r) < RESERVE / 4 && reserve_bytes(r) > 0);
    for (int i = 0; i < 5; i++) {
        tick(r, value, 20);
        assert_int_equal(do_job(r, GROW, true, text), 0);
        assert_int_equal(do_job(r, "SELECT 1", false, text), WATTQ_E_STORAGE);
        assert_non_null(strstr(text, "only the ends of runs"));
    }
    assert_true(status(r).health.degraded);
    tick(r, value, 50);
    sleep(2); /* nobody asks: samples alone leave what is left alone */
    assert_true(status(r).waiting >= 50);
    assert_non_null(strstr(status(r).health.reason, "only the ends of runs"));
}

static void test_full_disk(void **state)
{
    struct rig *r = *state;
    int64_t value = 0;
    char filler[160];
    if (getuid() != 0 || mount("none", r->rec.dir, "tmpfs", 0, "size=6m") != 0) {
        printf("skipped: a small file system of our own needs root\n");
        skip();
    }
    snprintf(filler, sizeof(filler), "%s/filler", r->rec.dir);
    r->reserve_bytes = RESERVE;
    rig_open(r);
    assert_false(status(r).health.degraded);
    assert_true(reserve_bytes(r) >= RESERVE);
    fill_disk(filler);
    until_full(r, &value);
    write_the_end(r, &value);
    fill_disk(filler);
    unlink(filler);
    int64_t took = recovers(r);
    printf("full disk: works again %lld ms after there was room\n", (long long)(took / NS_PER_MS));
    assert_true(took <= RECOVERY_NS);
    assert_true(reserve_bytes(r) >= RESERVE);
    assert_int_equal(do_job(r, "SELECT 1", false, NULL), 0);
    rig_close(r);
    check_all(r, value);
    umount2(r->rec.dir, MNT_DETACH);
}

/* Where there is no room for the reserve at the start, nothing but the ends of runs is written. */
static void test_no_room_at_start(void **state)
{
    struct rig *r = *state;
    int64_t value = 0;
    if (getuid() != 0 || mount("none", r->rec.dir, "tmpfs", 0, "size=2m") != 0) {
        printf("skipped: a small file system of our own needs root\n");
        skip();
    }
    r->reserve_bytes = RESERVE;
    rig_open(r);
    assert_true(status(r).health.degraded);
    assert_true(reserve_bytes(r) > 0); /* what there is room for, for the next start */
    tick(r, &value, 10);
    assert_int_equal(do_job(r, GROW, false, NULL), WATTQ_E_STORAGE);
    assert_int_equal(do_job(r, GROW, true, NULL), 0);
    mount("none", r->rec.dir, "tmpfs", MS_REMOUNT, "size=8m");
    assert_true(recovers(r) <= RECOVERY_NS);
    rig_close(r);
    check_all(r, value);
    umount2(r->rec.dir, MNT_DETACH);
}

/* ---- a disk that refuses ------------------------------------------------------------------------ */

/* A file system that has become read-only, a medium that fails: writes, or syncs alone. */
static void refuse(struct rig *r, atomic_int *what, int code)
{
    int64_t value = 0;
    char text[320];
    rig_open(r);
    tick(r, &value, 10);
    assert_int_equal(do_job(r, GROW, false, NULL), 0);
    atomic_store(what, code);
    for (int i = 0; i < 3; i++) {
        tick(r, &value, 10);
        assert_int_equal(do_job(r, GROW, i % 2, text), WATTQ_E_STORAGE);
        assert_non_null(strstr(text, r->rec.path));
    }
    assert_true(status(r).health.degraded && status(r).health.since_ns > 0);
    assert_true(status(r).waiting >= 10);
    sleep(2); /* tried again, in vain */
    assert_true(status(r).health.degraded);
    atomic_store(what, 0);
    assert_true(recovers(r) <= RECOVERY_NS);
    assert_int_equal(do_job(r, GROW, false, NULL), 0);
    rig_close(r);
    check_all(r, value);
}

static void test_refused(void **state)
{
    struct rig *r = *state;
    struct disk *d = calloc(1, sizeof(*d));
    disk_install(d);
    refuse(r, &d->fail_write, SQLITE_IOERR_WRITE);
    disk_remove(d);
    free(d);
}

static void test_syncs_fail(void **state)
{
    struct rig *r = *state;
    struct disk *d = calloc(1, sizeof(*d));
    disk_install(d);
    refuse(r, &d->fail_sync, SQLITE_IOERR_FSYNC);
    disk_remove(d);
    free(d);
}

/* ---- somebody else's reader --------------------------------------------------------------------- */

#define MUCH "INSERT OR REPLACE INTO meta VALUES('much', hex(randomblob(2000000)))" /* 4 MB */

static void test_reader_holds_log(void **state)
{
    struct rig *r = *state;
    sqlite3 *reader;
    int64_t value = 0;
    int n = 0;
    rig_open(r);
    assert_int_equal(sqlite3_open(r->rec.path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM run", NULL, NULL, NULL),
                     SQLITE_OK);
    char text[320];
    for (tick(r, &value, 5); n < 200 && do_job(r, MUCH, false, text) == 0; n++)
        tick(r, &value, 5);
    assert_true(n > 40 && n < 80); /* 256 MiB */
    assert_non_null(strstr(text, "a program that reads"));
    assert_true(status(r).health.degraded);
    assert_true(status(r).health.log_bytes >= HEALTH_LOG_MAX);
    assert_true(status(r).health.log_bytes < HEALTH_LOG_MAX + (16 << 20));
    assert_int_equal(do_job(r, "INSERT INTO meta VALUES('vital', '1')", true, NULL), 0);
    sqlite3_close(reader);
    int64_t took = recovers(r);
    printf("log of %d MiB: works again %lld ms after its reader left\n", n * 4,
           (long long)(took / NS_PER_MS));
    assert_true(took <= 4 * NS_PER_S); /* 2 s until it is tried again, and the disk */
    assert_true(status(r).health.log_bytes < HEALTH_LOG_SAY);
    char wal[160];
    struct stat st;
    snprintf(wal, sizeof(wal), "%s-wal", r->rec.path);
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size < 16 << 20); /* given back */
    rig_close(r);
    check_all(r, value);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_full_disk),  T(test_no_room_at_start), T(test_refused),
        T(test_syncs_fail), T(test_reader_holds_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
