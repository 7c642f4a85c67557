/* A database of the first schema is brought to the newest one, with what the new tables hold worked out from
 * the old rows; and the trigger goes on where the upgrade left off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/store/runs.h"
#include "schema_embedded.h"
#include "tests/support/recorder.h"

static struct recorder rec;

static void exec(sqlite3 *db, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

static const char rows[] =
    "INSERT INTO source(id, name) VALUES(1, 'script');"
    "INSERT INTO channel(id, uid, source, label, kind, unit, scope, quality, quantum, period_ns) "
    "VALUES"
    " (1, 'a', 1, 'package-0', 'counter', 'uJ', 'package', 'measured', 1, 1),"
    " (2, 'b', 1, 'dram', 'counter', 'uJ', 'dram', 'modelled', 1, 1),"
    " (3, 'c', 1, 'guess', 'counter', 'uJ', 'cpu', 'estimated', 1, 1);"
    "INSERT INTO run(id, uuid, uid, state, kind, spec, submitted_utc_ns) VALUES"
    " (1, 'u1', 1000, 'done', 'command', '{}', 1), (2, 'u2', 1000, 'done', 'command', '{}', 2),"
    " (3, 'u3', 1000, 'queued', 'command', '{}', 3), (4, 'u4', 1000, 'failed', 'command', '{}', 4);"
    /* run 1: two totals, the newer counts; parts are measured and modelled. Other figures are not totals. */
    "INSERT INTO energy(id, run, channel, figure, part, method, algo, energy_uj, lo_uj, hi_uj, "
    "bound_basis,"
    " covered_ns, flags, computed_utc_ns, supersedes) VALUES"
    " (1, 1, NULL, 'machine', 'window', 'counter', 1, 100, 90, 110, 'monotone', 5, '', 0, NULL),"
    " (2, 1, NULL, 'machine', 'window', 'counter', 1, 200, 190, 210, 'monotone', 5, 'bridged', 0, "
    "1),"
    " (3, 1, 1, 'machine', 'window', 'counter', 1, 150, NULL, NULL, 'monotone', 5, '', 0, NULL),"
    " (4, 1, NULL, 'attributed', 'window', 'share', 1, 999, NULL, NULL, 'none', 5, '', 0, NULL),"
    " (5, 1, NULL, 'machine', 'phase:train', 'counter', 1, 888, NULL, NULL, 'none', 5, '', 0, "
    "NULL),"
    " (6, 2, NULL, 'machine', 'window', 'estimate', 1, 300, NULL, NULL, 'none', 5, '', 0, NULL),"
    " (7, 4, NULL, 'machine', 'window', 'counter', 1, NULL, NULL, NULL, 'none', 0, '', 0, NULL);"
    "INSERT INTO energy_part VALUES(1, 1), (2, 1), (2, 2), (6, 3);"
    "INSERT INTO metric VALUES(1, 0, 1, 'loss', 3.0, 0, 'writer'), (1, 1, 2, 'loss', 1.0, 0, "
    "'writer'),"
    " (1, 1, 2, 'acc', 0.5, 0, 'writer'), (1, 2, NULL, 'loss', 2.0, 0, 'writer'),"
    " (2, 0, 1, 'loss', 9.0, 0, 'writer');";

static void make_version_one(void)
{
    sqlite3 *db;
    assert_int_equal(schema_files[0].version, 1);
    assert_int_equal(sqlite3_open(rec.path, &db), SQLITE_OK);
    exec(db, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL");
    exec(db, schema_files[0].sql);
    exec(db, rows);
    exec(db, "PRAGMA application_id = 0x57545451; PRAGMA user_version = 1");
    sqlite3_close(db);
    assert_int_equal(chmod(rec.path, 0600), 0);
}

#define IS(n, sql) assert_int_equal(rec_ask(&rec, sql), n)

static void check_totals(void)
{
    IS(3, "SELECT count(*) FROM run_total");
    IS(1, "SELECT count(*) FROM run_total WHERE run = 1 AND energy = 2 AND energy_uj = 200"
          " AND lo_uj = 190 AND hi_uj = 210 AND quality = 'modelled' AND flags = 'bridged'");
    IS(1, "SELECT count(*) FROM run_total WHERE run = 2 AND energy_uj = 300 AND lo_uj IS NULL"
          " AND quality = 'estimated'");
    IS(1,
       "SELECT count(*) FROM run_total WHERE run = 4 AND energy_uj IS NULL AND quality = 'none'");
}

static void upgraded_from_the_first(void **state)
{
    struct store *s;
    struct err e = {0};
    (void)state;
    rec_init(&rec);
    make_version_one();
    rec_must(store_open(&s, rec.path, &e), &e, "store_open");
    IS(STORE_SCHEMA_VERSION, "PRAGMA user_version");
    check_totals();
    IS(4, "SELECT count(*) FROM run WHERE warrant IS NULL");
    IS(3, "SELECT count(*) FROM metric_head");
    IS(1, "SELECT count(*) FROM metric_head WHERE run = 1 AND key = 'loss' AND n = 3 AND first = 3"
          " AND last = 2 AND min = 1 AND max = 3 AND last_step IS NULL AND by_uid IS NULL");
    IS(1, "SELECT count(*) FROM metric_head WHERE run = 1 AND key = 'acc' AND n = 1 AND last_step "
          "= 2");

    rec_must(store_begin(s, true, &e), &e, "begin");
    rec_must(runs_metric_put(s, 1, 3, 4, "loss", 0.5, 0, "writer", &e), &e, "metric");
    rec_must(runs_metric_put(s, 1, 3, 4, "loss", 7.5, 0, "writer", &e), &e, "the same again");
    rec_must(runs_metric_put(s, 3, 0, 1, "new", 1.5, 0, "writer", &e), &e, "metric");
    struct energy_set set = {.total = {.known = true, .energy_uj = 400, .random_uj = -1}};
    rec_must(runs_energy_put(s, 2, "machine", "window", &set, 1, &e), &e, "energy");
    rec_must(runs_energy_put(s, 2, "machine", "main", &set, 1, &e), &e, "energy of a part");
    rec_must(store_commit(s, &e), &e, "commit");
    store_close(s);
    IS(1, "SELECT count(*) FROM metric_head WHERE run = 1 AND key = 'loss' AND n = 4 AND first = 3"
          " AND last = 0.5 AND min = 0.5 AND max = 3 AND last_step = 4");
    IS(1,
       "SELECT count(*) FROM metric_head WHERE run = 3 AND key = 'new' AND n = 1 AND last = 1.5");
    IS(1, "SELECT count(*) FROM run_total t JOIN energy e ON e.id = t.energy WHERE t.run = 2"
          " AND t.energy_uj = 400 AND e.part = 'window'");
    IS(0, "SELECT count(*) FROM pragma_foreign_key_check");
    rec_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(upgraded_from_the_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
