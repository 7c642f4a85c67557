/* A database of every schema there has been, as the wattqd of that time left it when it was killed
 * (tests/golden/db/make.py), is brought to the newest: nothing in it is damaged, its figures are what they were, and
 * they come out again, to the microjoule, from samples that a version before wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "daemon/energy/energy.h"
#include "daemon/store/damage.h"
#include "daemon/store/runs.h"
#include "tests/support/recorder.h"

#define WATTS 55 /* of the meter that those databases were made with */

static struct recorder rec;

/* 1 = there is no such file. */
static int build(int version)
{
    const char *src = getenv("WATTQ_SRC");
    char *path = base_printf("%s/tests/golden/db/schema_%d.sql", src ? src : ".", version);
    size_t bytes = 0;
    char *sql = base_read_file(AT_FDCWD, path, 1u << 20, &bytes);
    sqlite3 *db;
    char *why = NULL;
    free(path);
    if (!sql)
        return 1;
    rec_init(&rec);
    assert_int_equal(sqlite3_open(rec.path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("schema_%d.sql: %s", version, why);
    sqlite3_close(db);
    free(sql);
    assert_int_equal(chmod(rec.path, 0600), 0);
    return 0;
}

static void on_damage(void *arg, const struct damage *d)
{
    (void)arg;
    fail_msg("damaged: %s %lld: %s", damage_kind_name(d->kind), (long long)d->row, d->text);
}

static void check_sound(struct store *s)
{
    struct err e = {0};
    struct damage_walk w = {.of = 0};
    const struct damage_sink to = {.found = on_damage};
    rec_must(damage_structure(s, &to, &e), &e, "structure");
    while (damage_blocks(s, &w, NS_PER_S, &to, &e) > 0)
        continue;
    assert_int_equal(e.code, 0);
    assert_true(w.of > 0);        /* chunks */
    assert_true(w.blocks > w.of); /* and rows of the tail */
}

struct stored {
    int64_t uj, lo_uj, hi_uj;
    size_t n;
};

static int take_total(void *arg, const struct run_energy *f)
{
    struct stored *t = arg;
    if (f->channel != 0 || strcmp(f->figure, "machine") != 0 || strcmp(f->part, "window") != 0)
        return 0;
    t->uj = f->energy_uj;
    t->lo_uj = f->lo_uj;
    t->hi_uj = f->hi_uj;
    t->n++;
    return 0;
}

/* The stored figure, its copy in run_total, the same from the samples, and what the meter drew. */
static void check_energy(struct store *s, int64_t run, const char *label)
{
    struct err e = {0};
    struct run_row row CLEANUP(run_row_fini) = {0};
    struct stored t = {.n = 0};
    struct energy_set set = {.n = 0};
    rec_must(runs_get(s, run, &row, &e), &e, "run");
    assert_string_equal(row.label, label);
    assert_int_equal(row.state, RUN_DONE);
    rec_must(runs_energy(s, run, take_total, &t, &e), &e, "figures");
    assert_int_equal(t.n, 1);
    const struct energy_window w = {row.boot, row.t0_ns, row.t1_ns};
    rec_must(energy_of_window(s, &w, &set, &e), &e, "energy");
    assert_true(set.total.known && set.total.bounded);
    assert_int_equal(set.total.energy_uj, t.uj);
    assert_true(t.lo_uj <= t.uj && t.uj <= t.hi_uj);
    double joules = (double)(w.t1_ns - w.t0_ns) / 1e9 * WATTS;
    assert_float_equal((double)t.uj / 1e6, joules, 0.02 * joules);
    energy_set_fini(&set);
    char sql[160];
    snprintf(sql, sizeof(sql), "SELECT energy_uj FROM run_total WHERE run = %lld", (long long)run);
    assert_int_equal(rec_ask(&rec, sql), t.uj);
}

#define IS(n, sql) assert_int_equal(rec_ask(&rec, sql), n)

static void check_rows(void)
{
    IS(STORE_SCHEMA_VERSION, "PRAGMA user_version");
    IS(STORE_APPLICATION_ID, "PRAGMA application_id");
    IS(0, "SELECT count(*) FROM pragma_foreign_key_check");
    IS(3, "SELECT count(*) FROM run");
    IS(1, "SELECT count(*) FROM run WHERE label = 'waits' AND state = 'held'");
    IS(1, "SELECT count(*) FROM run_param WHERE run = 1 AND key = 'lr' AND value = 0.1");
    IS(1, "SELECT count(*) FROM phase WHERE run = 1 AND name = 'train' AND t1_ns > t0_ns");
    IS(3, "SELECT count(*) FROM metric WHERE run = 1 AND key = 'loss'");
    IS(1,
       "SELECT count(*) FROM metric_head WHERE run = 1 AND key = 'loss' AND n = 3 AND first = 3.5"
       " AND last = 1.5 AND min = 1.5 AND max = 3.5 AND last_step = 3");
    IS(1, "SELECT count(*) FROM epoch WHERE reason = 'killed' AND t1_ns > t0_ns");
}

/* It is written to as any other: the next run has the next number. */
static void check_goes_on(struct store *s)
{
    struct err e = {0};
    int64_t id = 0;
    struct run_row row CLEANUP(run_row_fini) = {0};
    struct spec spec CLEANUP(spec_fini) = {0};
    rec_must(runs_get(s, 1, &row, &e), &e, "run");
    rec_must(runs_spec_parse(row.spec_json, &spec, &e), &e, "spec");
    const struct run_new n = {.spec = &spec,
                              .uid = 1000,
                              .submitted_utc_ns = 1,
                              .sweep = RUN_NONE,
                              .sweep_index = RUN_NONE,
                              .retry_of = 1};
    rec_must(store_begin(s, true, &e), &e, "begin");
    rec_must(runs_insert(s, &n, &id, &e), &e, "insert");
    rec_must(store_commit(s, &e), &e, "commit");
    assert_int_equal(id, 4);
}

static void upgrade(int version)
{
    struct store *s;
    struct err e = {0};
    IS(version, "PRAGMA user_version");
    rec_must(store_open_boot(&s, rec.path, REC_BOOT, &e), &e, "store_open");
    check_rows();
    check_sound(s);
    check_energy(s, 1, "golden");
    check_energy(s, 2, "in the tail");
    check_goes_on(s);
    store_close(s);
    rec_fini(&rec);
}

static void every_schema(void **state)
{
    (void)state;
    int made = 0;
    for (int version = 1; version <= STORE_SCHEMA_VERSION; version++) {
        if (build(version) != 0) {
            if (version < STORE_SCHEMA_VERSION)
                fail_msg("tests/golden/db has no database of schema %d", version);
            continue;
        }
        upgrade(version);
        made++;
    }
    assert_true(made >= STORE_SCHEMA_VERSION - 1);
}

/* One sentence that names the file and both versions, and what to do; the file is as it was. */
static void newer_is_refused(void **state)
{
    (void)state;
    struct store *s;
    struct err e = {0};
    char sql[64];
    assert_int_equal(build(1), 0);
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", STORE_SCHEMA_VERSION + 1);
    rec_ask(&rec, sql);
    assert_int_equal(store_open(&s, rec.path, &e), WATTQ_E_VERSION);
    char said[400];
    snprintf(said, sizeof(said),
             "%s was written by a newer wattq (schema %d, this program knows %d)", rec.path,
             STORE_SCHEMA_VERSION + 1, STORE_SCHEMA_VERSION);
    assert_string_equal(e.text, said);
    assert_non_null(strstr(e.next, "newer wattqd"));
    IS(STORE_SCHEMA_VERSION + 1, "PRAGMA user_version");
    IS(0, "SELECT count(*) FROM sqlite_schema WHERE name = 'run_total'");
    rec_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_schema),
                                       cmocka_unit_test(newer_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
