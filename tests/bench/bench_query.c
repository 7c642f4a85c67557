/* Questions about past runs: the first page of filters that an index answers, and groups over everything, on
 * a database of 100,000 runs with parameters, metrics, energies and tags. Prints ours, the limit, and the
 * ratio (above 1 = worse than the limit).
 *
 *   bench_query [RUNS [ROUNDS]]      default 100000 runs, 200 rounds of each filter
 *
 * The file is in the page cache, as that of a daemon in use; the connection's own cache is SQLite's 4 MiB. A
 * page is the usual columns of 100 runs, command line included. Values of the filters change every round. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/units.h"
#include "daemon/store/query.h"
#include "tests/support/recorder.h"

#define PAGE_LIMIT_MS  50.0
#define GROUP_LIMIT_MS 1000.0
#define NOW            INT64_C(1750000000000000000)

static sqlite3 *db;

static void must(int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
    abort();
}

static void exec(const char *text)
{
    must(sqlite3_exec(db, text, NULL, NULL, NULL), text);
}

enum { PUT_RUN, PUT_ENERGY, PUT_TOTAL, PUT_PARAM, PUT_HEAD, PUT_TAG, PUTS };
static const char *const put_sql[PUTS] = {
    "INSERT INTO run(id, uuid, uid, state, kind, spec, label, project, sweep, submitted_utc_ns,"
    " started_utc_ns, ended_utc_ns, t0_ns, t1_ns, cpu_us, maxrss_bytes, exit_code) VALUES(?1,"
    " printf('u%d', ?1), ?2, ?3, 'train', ?4, ?5, ?6, ?7, ?8, ?8 + 1000000000, ?8 + ?9, 1000, 1000 "
    "+ ?9,"
    " ?9 / 1000, 100000000, ?10)",
    "INSERT INTO energy(id, run, figure, method, algo, energy_uj, lo_uj, hi_uj, bound_basis, "
    "covered_ns,"
    " computed_utc_ns) VALUES(?1, ?1, 'machine', 'counter', 1, ?2, ?2 - 1000, ?2 + 1000, "
    "'monotone', 0, 0)",
    "INSERT INTO run_total VALUES(?1, ?1, ?2, ?2 - 1000, ?2 + 1000, 'measured', '')",
    "INSERT INTO run_param VALUES(?1, ?2, ?3, ?4)",
    "INSERT INTO metric_head VALUES(?1, ?2, 100, 1, ?3, ?3, 1, 100, NULL)",
    "INSERT INTO tag VALUES(?1, ?2)",
};
static sqlite3_stmt *put[PUTS];

static void step(sqlite3_stmt *st)
{
    must(sqlite3_step(st), "insert");
    sqlite3_reset(st);
}

static void put_text(int64_t id, const char *key, const char *value)
{
    sqlite3_bind_int64(put[PUT_PARAM], 1, id);
    sqlite3_bind_text(put[PUT_PARAM], 2, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(put[PUT_PARAM], 3, "text", -1, SQLITE_STATIC);
    sqlite3_bind_text(put[PUT_PARAM], 4, value, -1, SQLITE_STATIC);
    step(put[PUT_PARAM]);
}

static void put_number(int64_t id, const char *key, double value)
{
    bool whole = value == (double)(int64_t)value;
    sqlite3_bind_int64(put[PUT_PARAM], 1, id);
    sqlite3_bind_text(put[PUT_PARAM], 2, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(put[PUT_PARAM], 3, whole ? "int" : "real", -1, SQLITE_STATIC);
    if (whole)
        sqlite3_bind_int64(put[PUT_PARAM], 4, (int64_t)value);
    else
        sqlite3_bind_double(put[PUT_PARAM], 4, value);
    step(put[PUT_PARAM]);
}

static void put_metric(int64_t id, const char *key, double value)
{
    sqlite3_bind_int64(put[PUT_HEAD], 1, id);
    sqlite3_bind_text(put[PUT_HEAD], 2, key, -1, SQLITE_STATIC);
    sqlite3_bind_double(put[PUT_HEAD], 3, value);
    step(put[PUT_HEAD]);
}

static void put_row(int64_t id, int64_t runs, uint64_t *seed)
{
    char label[32];
    char project[16];
    int64_t ns = (1 + rec_below(seed, 600)) * NS_PER_S;
    int64_t die = rec_below(seed, 100);
    sqlite3_stmt *st = put[PUT_RUN];
    snprintf(label, sizeof(label), "night-%" PRId64, id / 50);
    snprintf(project, sizeof(project), "p%" PRId64, rec_below(seed, 20));
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, rec_below(seed, 10) ? 1000 : 1001);
    sqlite3_bind_text(st, 3, die < 2 ? "failed" : die < 3 ? "lost" : "done", -1, SQLITE_STATIC);
    sqlite3_bind_text(
        st, 4,
        "{\"kind\":\"train\",\"argv\":[\"--dataset\",\"mnist\",\"--shape\",\"rectangle\","
        "\"--depth\",\"4\",\"--size\",\"65536\",\"--epochs\",\"30\",\"--lr\",\"0.01\"],"
        "\"cwd\":\"/home/somebody/experiments/mnist\",\"umask\":18,\"priority\":0,"
        "\"time_limit_ns\":0,\"grace_ns\":30000000000,\"log_cap_bytes\":268435456}",
        -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, label, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 6, project, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 7, 1 + id / 200);
    sqlite3_bind_int64(st, 8, NOW - (runs - id) * 300 * NS_PER_S);
    sqlite3_bind_int64(st, 9, ns);
    sqlite3_bind_int64(st, 10, die < 2);
    step(st);
}

static void put_details(int64_t id, uint64_t *seed)
{
    static const char *const sets[] = {"mnist", "adult", "sleep", "chess"};
    int64_t uj = rec_below(seed, 10000) * 1000000;
    for (int i = PUT_ENERGY; i <= PUT_TOTAL; i++) {
        sqlite3_bind_int64(put[i], 1, id);
        sqlite3_bind_int64(put[i], 2, uj);
        step(put[i]);
    }
    put_number(id, "lr", (double)(1 + rec_below(seed, 8)) / 1000);
    put_number(id, "seed", (double)id);
    put_text(id, "dataset", sets[rec_below(seed, 4)]);
    put_number(id, "size", (double)(INT64_C(32) << rec_below(seed, 16)));
    put_number(id, "info.size", (double)(INT64_C(32) << rec_below(seed, 16)));
    put_text(id, "info.backend", "openblas");
    put_metric(id, "test_loss", (double)rec_below(seed, 100000) / 100000);
    put_metric(id, "test_accuracy", (double)rec_below(seed, 1000) / 1000);
    sqlite3_bind_int64(put[PUT_TAG], 1, id);
    sqlite3_bind_text(put[PUT_TAG], 2, "paper", -1, SQLITE_STATIC);
    if (rec_below(seed, 50) == 0)
        step(put[PUT_TAG]);
}

static void fill(const char *path, int64_t runs)
{
    uint64_t seed = 7;
    must(sqlite3_open(path, &db), "open");
    exec("PRAGMA synchronous=OFF; PRAGMA cache_size=-200000; BEGIN");
    for (int64_t i = 0; i <= runs / 200; i++)
        exec("INSERT INTO sweep(uid, label, spec, submitted_utc_ns, state) VALUES(1000, '', '{}', "
             "0, 'ended')");
    for (int i = 0; i < PUTS; i++)
        must(sqlite3_prepare_v2(db, put_sql[i], -1, &put[i], NULL), put_sql[i]);
    for (int64_t id = 1; id <= runs; id++) {
        put_row(id, runs, &seed);
        put_details(id, &seed);
    }
    for (int i = 0; i < PUTS; i++)
        sqlite3_finalize(put[i]);
    exec("COMMIT");
    sqlite3_close(db);
}

/* ---- questions ----------------------------------------------------------------------------------- */

static int count(void *arg, int64_t id, const struct query_cell *cells)
{
    (void)id;
    (void)cells;
    ++*(int64_t *)arg;
    return 0;
}

static void columns(struct query *q)
{
    static const char *const usual[] = {"id", "state", "sweep", "start", "time",   "energy",
                                        "lo", "hi",    "power", "label", "command"};
    struct err e = {0};
    q->ncolumns = ARRAY_LEN(usual);
    for (size_t i = 0; i < q->ncolumns; i++)
        rec_must(column_find(&q->column[i], usual[i], strlen(usual[i]), &e), &e, usual[i]);
}

/* Of this thread: what the answer costs, whatever else the machine does meanwhile. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

struct spent {
    double wall_ms, cpu_ms;
};

static struct spent ask(struct store *s, struct query *q, const char *where, int64_t *rows)
{
    struct filter *f CLEANUP(filter_freep) = NULL;
    struct err e = {0};
    *rows = 0;
    int64_t begin = clock_mono_ns();
    int64_t cpu = cpu_ns();
    if (where)
        rec_must(filter_parse(&f, where, NOW, &e), &e, where);
    q->where = f;
    rec_must(store_begin(s, false, &e), &e, "begin");
    rec_must(query_run(s, q, count, rows, &e), &e, where ? where : "all");
    store_rollback(s);
    return (struct spent){(double)(clock_mono_ns() - begin) / 1e6, (double)(cpu_ns() - cpu) / 1e6};
}

static int by_wall(const void *a, const void *b)
{
    double x = ((const struct spent *)a)->wall_ms;
    double y = ((const struct spent *)b)->wall_ms;
    return (x > y) - (x < y);
}

static int by_cpu(const void *a, const void *b)
{
    double x = ((const struct spent *)a)->cpu_ms;
    double y = ((const struct spent *)b)->cpu_ms;
    return (x > y) - (x < y);
}

static bool tell(const char *what, struct spent *t, size_t n, double limit, int64_t rows)
{
    size_t last = n - 1 - n / 100;
    qsort(t, n, sizeof(*t), by_cpu);
    double cpu = t[last].cpu_ms;
    qsort(t, n, sizeof(*t), by_wall);
    double p99 = t[last].wall_ms;
    printf("%-52.52s %4" PRId64
           " rows  p50 %7.2f  p99 %7.2f  (CPU p99 %7.2f)  limit %5.0f ms  ratio %.3f\n",
           what, rows, t[n / 2].wall_ms, p99, cpu, limit, p99 / limit);
    return p99 <= limit;
}

static bool page(struct store *s, const char *form, int64_t below, size_t rounds)
{
    struct query *q = base_alloc(sizeof(*q));
    struct spent *ms = base_alloc(rounds * sizeof(*ms));
    uint64_t seed = 11;
    int64_t rows = 0;
    query_init(q);
    columns(q);
    q->base.limit = 100;
    for (size_t i = 0; i < rounds; i++) {
        char where[300];
        size_t n = strcspn(form, "@");
        snprintf(where, sizeof(where), "%.*s%" PRId64 "%s", (int)n, form,
                 1 + rec_below(&seed, below), form + n + 1);
        ms[i] = ask(s, q, where, &rows);
    }
    bool good = tell(form, ms, rounds, PAGE_LIMIT_MS, rows);
    free(ms);
    free(q);
    return good;
}

static bool groups(struct store *s, const char *by, const char *where, const char *const *aggs,
                   size_t n)
{
    struct query *q = base_alloc(sizeof(*q));
    struct spent ms[5];
    struct err e = {0};
    int64_t rows = 0;
    query_init(q);
    q->ngroup = 1;
    rec_must(column_find(&q->group[0], by, strlen(by), &e), &e, by);
    q->nagg = n;
    for (size_t i = 0; i < n; i++)
        rec_must(query_agg_parse(&q->agg[i], aggs[i], &e), &e, aggs[i]);
    for (size_t i = 0; i < ARRAY_LEN(ms); i++)
        ms[i] = ask(s, q, where, &rows);
    char what[100];
    snprintf(what, sizeof(what), "group by %s, %zu aggregates%s%s", by, n, where ? ", " : "",
             where ? where : "");
    free(q);
    return tell(what, ms, ARRAY_LEN(ms), GROUP_LIMIT_MS, rows);
}

static bool all_pages(struct store *s, int64_t runs, size_t rounds)
{
    static const char *const forms[] = {
        "sweep=@",
        "label=night-@",
        "state=failed and id <= @",
        "state=done and id <= @",
        "state=lost and label=night-@",
        "param.seed=@",
        "param.lr=0.003 and id <= @",
        "param.lr=0.003 and state=failed and id <= @",
        "tag=paper and id <= @",
        "project=p3 and id <= @",
        "uid=1001 and id <= @",
        "dataset=mnist and size >= 2^14 and id <= @",
        "energy > 9990J and id <= @",
        "energy=5000J..5010J and id <= @",
        "metric.test_loss < 0.001 and id <= @",
        "test_loss < 0.001 and energy < 2kJ and id <= @",
        "start > -2d and id > @",
        "end < -340d or sweep=@",
        "state=failed and param.lr in [0.001,0.002] and energy > 2kJ and id <= @",
    };
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        bool small = strstr(forms[i], "sweep=") || strstr(forms[i], "label=");
        bool high = strstr(forms[i], "id <") != NULL;
        good = page(s, forms[i], small ? runs / 200 : high ? runs * 10 : runs, rounds) && good;
    }
    return good;
}

/* ---- what it costs to be asked ------------------------------------------------------------------- */

#define LINES      10000
#define HEAD_LIMIT 2.0 /* times the cost without metric_head */

/* CPU time of a run's lines of three metrics, imported a hundred at a time. */
static double import_ms(struct store *s, int64_t run)
{
    static const char *const keys[] = {"train_loss", "test_loss", "test_accuracy"};
    struct err e = {0};
    int64_t begin = cpu_ns();
    for (int64_t i = 0; i < LINES; i++) {
        if (i % 100 == 0)
            rec_must(store_begin(s, false, &e), &e, "begin");
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            rec_must(runs_metric_put(s, run, i, i, keys[k], (double)i / 7, i, "writer", &e), &e,
                     "metric");
        if (i % 100 == 99)
            rec_must(store_commit(s, &e), &e, "commit");
    }
    return (double)(cpu_ns() - begin) / 1e6;
}

/* metric_head is kept by a trigger: what does that add to a run of 10,000 lines? */
static bool heads(const char *path)
{
    struct store *s;
    struct err e = {0};
    rec_must(store_open(&s, path, &e), &e, "open");
    for (int64_t i = 1; i <= 2; i++)
        rec_must(
            stmt_exec(s,
                      "INSERT INTO run(uuid, uid, state, kind, spec, submitted_utc_ns)"
                      " VALUES('m' || (SELECT count(*) FROM run), 0, 'done', 'command', '{}', 0)",
                      &e),
            &e, "run");
    int64_t last = stmt_last_id(s);
    double with = import_ms(s, last - 1);
    rec_must(stmt_exec(s, "DROP TRIGGER metric_kept", &e), &e, "drop");
    double without = import_ms(s, last);
    store_close(s);
    printf(
        "%d lines of 3 metrics: CPU %.0f ms, %.0f ms without metric_head: %.2f x, limit %.0f x\n",
        LINES, with, without, with / without, HEAD_LIMIT);
    return with <= HEAD_LIMIT * without;
}

int main(int argc, char **argv)
{
    static const char *const two[] = {"n", "mean:energy", "ci:energy"};
    static const char *const many[] = {
        "n",         "mean:energy",         "sd:energy", "ci:energy", "median:energy",
        "mean:time", "min:metric.test_loss"};
    int64_t runs = argc > 1 ? strtoll(argv[1], NULL, 10) : 100000;
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    struct recorder rec;
    struct store *s;
    struct err e = {0};
    rec_init(&rec);
    rec_must(store_open(&s, rec.path, &e), &e, "open");
    store_close(s);
    int64_t begin = clock_mono_ns();
    fill(rec.path, runs);
    struct stat st;
    if (stat(rec.path, &st) != 0)
        abort();
    printf("%" PRId64 " runs, %.0f MB, written in %.1f s\n", runs, (double)st.st_size / 1e6,
           (double)(clock_mono_ns() - begin) / 1e9);
    rec_must(store_open_reader(&s, rec.path, &e), &e, "open_reader");
    bool good = all_pages(s, runs, rounds);
    good = groups(s, "param.lr", NULL, two, ARRAY_LEN(two)) && good;
    good = groups(s, "dataset", NULL, many, ARRAY_LEN(many)) && good;
    good = groups(s, "param.lr", "state=done and energy > 1kJ", two, ARRAY_LEN(two)) && good;
    store_close(s);
    good = heads(rec.path) && good;
    rec_fini(&rec);
    printf("%s\n", good ? "all within their limits" : "NOT all within their limits");
    return good ? 0 : 1;
}
