/* Damage is found and named: in a chunk, in the newest samples, in a page of the file; and of a sound database
 * nothing is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "daemon/store/damage.h"
#include "tests/support/recorder.h"

#define TICKS       450
#define CHUNK_TICKS 100

struct seen {
    struct damage d[64];
    size_t n;
};

static struct recorder rec;

static void on_found(void *arg, const struct damage *d)
{
    struct seen *seen = arg;
    if (seen->n < 64)
        seen->d[seen->n] = *d;
    seen->n++;
}

/* Four chunks of two meters and a tail, as a kill leaves it. */
static int setup(void **state)
{
    (void)state;
    rec_init(&rec);
    rec_add(&rec, "a", CHANNEL_COUNTER);
    rec_add(&rec, "b", CHANNEL_COUNTER);
    rec.chunk_ticks = CHUNK_TICKS;
    rec_open_as(&rec, REC_BOOT, NS_PER_S);
    uint64_t seed = 7;
    int64_t e[2] = {0, 0};
    for (int64_t i = 0; i < TICKS; i++) {
        for (size_t k = 0; k < 2; k++)
            rec_set(&rec, k, e[k] += 1000 + rec_below(&seed, 500), READING_OK);
        rec_put(&rec, NS_PER_S + i * rec.period_ns, NS_PER_S + i * rec.period_ns + 8192,
                i == 0 ? TICK_FIRST : 0);
        if (i % 10 == 9)
            rec_flush(&rec);
    }
    rec_close(&rec, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rec_fini(&rec);
    return 0;
}

static void look(struct seen *seen, struct damage_walk *w)
{
    struct store *s;
    struct err e = {0};
    const struct damage_sink to = {.found = on_found, .arg = seen};
    int rc, pieces = 0;
    *seen = (struct seen){.n = 0};
    *w = (struct damage_walk){.of = 0};
    rec_must(store_open_reader(&s, rec.path, &e), &e, "reader");
    rec_must(damage_structure(s, &to, &e), &e, "structure");
    while ((rc = damage_blocks(s, w, 1, &to, &e)) > 0) /* a nanosecond: one block a call */
        pieces++;
    rec_must(rc, &e, "blocks");
    assert_true(pieces > 2);
    store_close(s);
}

static void exec(const char *sql)
{
    sqlite3 *db;
    char *text = NULL;
    assert_int_equal(sqlite3_open(rec.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
    sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(db);
}

static void test_sound(void **state)
{
    (void)state;
    struct seen seen;
    struct damage_walk w;
    int64_t chunks = rec_ask(&rec, "SELECT count(*) FROM chunk");
    int64_t tails = rec_ask(&rec, "SELECT count(*) FROM tail");
    assert_true(chunks == 4 && tails > 0);
    look(&seen, &w);
    assert_int_equal(seen.n, 0);
    assert_int_equal(w.of, chunks);
    assert_int_equal(w.blocks, chunks + tails);
    assert_int_equal(w.values, 2 * w.ticks);
    assert_int_equal(w.ticks,
                     rec_ask(&rec, "SELECT (SELECT sum(n) FROM chunk) + sum(n) FROM tail"));
    assert_int_equal(w.bytes, rec_ask(&rec, "SELECT (SELECT sum(length(b)) FROM chunk) +"
                                            " sum(length(b)) FROM tail"));
}

/* One byte, in the middle of its samples. */
static void test_a_byte_of_a_chunk(void **state)
{
    (void)state;
    struct seen seen;
    struct damage_walk w;
    exec("UPDATE chunk SET b = CAST(substr(b, 1, length(b) / 2) ||"
         " CASE substr(b, length(b) / 2 + 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END ||"
         " substr(b, length(b) / 2 + 2) AS BLOB) WHERE id = 2");
    look(&seen, &w);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.d[0].kind, DAMAGE_CHUNK);
    assert_int_equal(seen.d[0].row, 2);
    assert_int_equal(seen.d[0].grp, rec_ask(&rec, "SELECT grp FROM chunk WHERE id = 2"));
    assert_int_equal(seen.d[0].t0_ns, rec_ask(&rec, "SELECT t0_ns FROM chunk WHERE id = 2"));
    assert_int_equal(seen.d[0].t1_ns, rec_ask(&rec, "SELECT t1_ns FROM chunk WHERE id = 2"));
    assert_int_equal(seen.d[0].boot, 1);
    assert_non_null(strstr(seen.d[0].text, "checksum"));
}

/* What a sound blob in the wrong row would do: figures of another time. */
static void test_not_of_its_row(void **state)
{
    (void)state;
    struct seen seen;
    struct damage_walk w;
    exec("UPDATE chunk SET b = (SELECT b FROM chunk WHERE id = 1) WHERE id = 3");
    look(&seen, &w);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.d[0].row, 3);
    assert_non_null(strstr(seen.d[0].text, "row"));
}

static void test_tail(void **state)
{
    (void)state;
    struct seen seen;
    struct damage_walk w;
    exec("UPDATE tail SET b = x'00' WHERE seq = (SELECT max(seq) FROM tail)");
    look(&seen, &w);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.d[0].kind, DAMAGE_TAIL);
    assert_int_equal(seen.d[0].row, rec_ask(&rec, "SELECT max(seq) FROM tail"));
}

/* A page of the table of chunks: SQLite says so, and the chunks that stood there are named by the index. */
static void test_a_page_of_chunks(void **state)
{
    (void)state;
    struct seen seen;
    struct damage_walk w;
    char junk[4096];
    memset(junk, 0xa5, sizeof(junk));
    exec("UPDATE chunk SET b = b"); /* the log is in the file */
    long page = rec_ask(&rec, "SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'");
    int fd = open(rec.path, O_WRONLY);
    assert_true(fd >= 0 && page > 1);
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (page - 1) * 4096), 4096);
    close(fd);
    look(&seen, &w);
    size_t chunks = 0, structure = 0;
    for (size_t i = 0; i < seen.n && i < 64; i++) {
        chunks += seen.d[i].kind == DAMAGE_CHUNK;
        structure += seen.d[i].kind == DAMAGE_STRUCTURE;
    }
    assert_int_equal(chunks, 4);
    assert_true(structure > 0);
}

static void test_stopped(void **state)
{
    (void)state;
    struct store *s;
    struct err e = {0};
    struct seen seen = {.n = 0};
    struct damage_walk w = {.of = 0};
    atomic_bool stop = true;
    const struct damage_sink to = {on_found, &seen, &stop};
    rec_must(store_open_reader(&s, rec.path, &e), &e, "reader");
    assert_int_equal(damage_blocks(s, &w, NS_PER_S, &to, &e), 1); /* nothing was looked at */
    assert_int_equal(w.blocks, 0);
    store_close(s);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_sound), CASE(test_a_byte_of_a_chunk), CASE(test_not_of_its_row),
        CASE(test_tail),  CASE(test_a_page_of_chunks),  CASE(test_stopped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
