/* A database of a few hundred random runs, and what was written kept apart from it. Header only; the
 * including test has cmocka. */
#ifndef TESTS_SUPPORT_QUERY_ROWS_H
#define TESTS_SUPPORT_QUERY_ROWS_H

#include "daemon/store/query.h"
#include "tests/support/recorder.h"

#define RUNS    300
#define NOW     INT64_C(1750000000000000000)
#define HOSTILE "x'; DROP TABLE run; --"

enum kind { UNKNOWN, NUMBER, TEXT };
struct val {
    enum kind kind;
    double d;
    const char *text;
};

/* What was written, kept apart from the database. */
struct truth {
    struct val id, state, label, uid, sweep, submit, start, time, energy, lo, quality, power, cpu,
        mem, exit, reason, lr, opt, loss, loss_min, loss_n;
    bool tag[3];
};
static const char *const tags[] = {"good", "bad", "so so"};

static struct recorder rec;
static struct truth truths[RUNS + 1]; /* by id */
static struct store *store;

/* ---- the rows ------------------------------------------------------------------------------------ */

static sqlite3 *db;

/* sqlite3_mprintf: %Q is a quoted text or NULL. */
static inline void sql(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_free(text);
}

static inline struct val num(double d)
{
    return (struct val){NUMBER, d, NULL};
}

static inline struct val text(const char *s)
{
    return (struct val){TEXT, 0, s};
}

static inline bool chance(uint64_t *seed, int64_t percent)
{
    return rec_below(seed, 100) < percent;
}

static inline void put_energy(uint64_t *seed, int id, struct truth *t, double seconds)
{
    static const char *const qualities[] = {"measured", "measured", "modelled", "estimated"};
    const char *q = qualities[rec_below(seed, 4)];
    int64_t uj = rec_below(seed, 50) * 100000000;
    bool known = chance(seed, 90);
    if (chance(seed, 15))
        return;
    t->quality = text(q);
    sql("INSERT INTO energy(id, run, figure, method, algo, bound_basis, covered_ns, reason,"
        " computed_utc_ns) VALUES(%d, %d, 'machine', 'counter', 1, 'monotone', 0, %Q, 0)",
        id, id, known ? NULL : "the meter failed");
    if (known) {
        sql("INSERT INTO run_total VALUES(%d, %d, %lld, %lld, %lld, %Q, '')", id, id, (long long)uj,
            (long long)uj - 5000, (long long)uj + 5000, q);
        t->energy = num((double)uj);
        t->lo = num((double)uj - 5000);
        if (t->time.kind == NUMBER)
            t->power = num((double)uj * 1e9 / (seconds * 1e9));
    } else {
        sql("INSERT INTO run_total VALUES(%d, %d, NULL, NULL, NULL, %Q, '')", id, id, q);
    }
}

static inline void put_param(int id, const char *key, const struct val *v)
{
    if (v->kind == NUMBER)
        sql("INSERT INTO run_param VALUES(%d, %Q, 'real', %!.17g)", id, key, v->d);
    else if (v->kind == TEXT)
        sql("INSERT INTO run_param VALUES(%d, %Q, 'text', %Q)", id, key, v->text);
}

static inline void put_details(uint64_t *seed, int id, struct truth *t)
{
    static const char *const opts[] = {"adam", "SGD", "Sgd momentum", HOSTILE, "01", "[x]"};
    if (chance(seed, 80))
        t->lr = num((double)(1 + rec_below(seed, 8)) / 8);
    if (chance(seed, 60))
        t->opt = text(opts[rec_below(seed, 6)]);
    else if (chance(seed, 60))
        t->opt = num((double)rec_below(seed, 5));
    put_param(id, "lr", &t->lr);
    put_param(id, "opt", &t->opt);
    int n = (int)rec_below(seed, 4);
    for (int i = 0; i < n; i++) {
        double v = (double)rec_below(seed, 16) / 4;
        t->loss_min = num(i == 0 || v < t->loss_min.d ? v : t->loss_min.d);
        t->loss = num(v);
        t->loss_n = num(i + 1);
        sql("INSERT INTO metric VALUES(%d, %d, %d, 'loss', %g, 0, 'writer')", id, i, i, v);
    }
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if ((t->tag[i] = chance(seed, 30)))
            sql("INSERT INTO tag VALUES(%d, %Q)", id, tags[i]);
}

static inline void put_run(uint64_t *seed, int id)
{
    static const char *const states[] = {"done", "failed", "queued", "lost"};
    static const char *const labels[] = {"", "night", "Night-2", HOSTILE, "100%", "a_b"};
    struct truth *t = &truths[id];
    int64_t submit = NOW - (RUNS - id) * 3600 * NS_PER_S;
    int64_t seconds = 1 + rec_below(seed, 600);
    bool ran = chance(seed, 85);
    *t = (struct truth){.id = num(id),
                        .state = text(states[rec_below(seed, 4)]),
                        .label = text(labels[rec_below(seed, 6)]),
                        .uid = num((double)(1000 + rec_below(seed, 2))),
                        .submit = num((double)submit)};
    if (chance(seed, 70))
        t->sweep = num((double)(1 + rec_below(seed, 5)));
    if (ran) {
        t->start = num((double)submit + 1e9);
        t->time = num((double)seconds * 1e9);
        t->cpu = num((double)rec_below(seed, 100) * 1e9);
        t->mem = num((double)(rec_below(seed, 64) << 20));
        t->exit = num((double)rec_below(seed, 3));
        t->reason = text("exit code");
    }
    sql("INSERT INTO run(id, uuid, uid, state, kind, spec, label, sweep, submitted_utc_ns)"
        " VALUES(%d, 'u%d', %d, %Q, 'command', '{\"argv\":[\"echo\",\"secret%d\"]}', %Q, %s, %lld)",
        id, id, (int)t->uid.d, t->state.text, id, t->label.text,
        t->sweep.kind ? (const char[]){(char)('0' + (int)t->sweep.d), 0} : "NULL",
        (long long)submit);
    if (ran)
        sql("UPDATE run SET started_utc_ns = %lld, t0_ns = 5, t1_ns = %lld, cpu_us = %lld,"
            " maxrss_bytes = %lld, exit_code = %d, reason = 'exit code' WHERE id = %d",
            (long long)submit + NS_PER_S, (long long)(5 + seconds * NS_PER_S),
            (long long)(t->cpu.d / 1e3), (long long)t->mem.d, (int)t->exit.d, id);
    put_energy(seed, id, t, (double)seconds);
    put_details(seed, id, t);
}

static inline void put_channels(void)
{
    sql("INSERT INTO source(id, name) VALUES(1, 'script')");
    for (int i = 1; i <= 3; i++)
        sql("INSERT INTO channel(id, uid, source, label, kind, unit, scope, quality, quantum, "
            "period_ns)"
            " VALUES(%d, 'uid-%d', 1, %Q, 'counter', 'uJ', 'package', 'measured', 1, 1)",
            i, i, i == 1 ? "package-0" : "twin");
    sql("INSERT INTO energy(run, channel, figure, method, algo, energy_uj, bound_basis, covered_ns,"
        " computed_utc_ns) VALUES(7, 1, 'machine', 'counter', 1, 42000000, 'monotone', 0, 0)");
}

/* Run 1 has figures beside the machine's, the newest counts, and held a GPU to its end. */
static inline void put_shares(void)
{
    sql("INSERT INTO energy(run, figure, method, algo, energy_uj, bound_basis, covered_ns, "
        "computed_utc_ns) VALUES(1, 'marginal', 'counter', 1, 9, 'none', 1, 1),"
        " (1, 'marginal', 'counter', 1, -7000000, 'none', 1, 2),"
        " (1, 'attributed', 'counter', 1, 5000000, 'none', 1, 2)");
    sql("INSERT INTO device_owner(device, run, boot, t0_ns, t1_ns) SELECT 'GPU-a', 1,"
        " coalesce(boot, 1), t0_ns - 5, NULL FROM run WHERE id = 1 AND t0_ns IS NOT NULL");
}

static inline int set_up(void **state)
{
    struct err e = {0};
    struct store *writer;
    uint64_t seed = rec_seed();
    (void)state;
    rec_init(&rec);
    rec_must(store_open(&writer, rec.path, &e), &e, "store_open");
    store_close(writer);
    if (sqlite3_open(rec.path, &db) != SQLITE_OK)
        return -1;
    sql("BEGIN");
    for (int i = 1; i <= 5; i++)
        sql("INSERT INTO sweep VALUES(%d, 1000, '', '{}', 0, 'ended', NULL)", i);
    for (int i = 1; i <= RUNS; i++)
        put_run(&seed, i);
    put_channels();
    put_shares();
    sql("COMMIT");
    sqlite3_close(db);
    rec_must(store_open_reader(&store, rec.path, &e), &e, "store_open_reader");
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    store_close(store);
    rec_fini(&rec);
    return 0;
}

/* ---- asking -------------------------------------------------------------------------------------- */

struct found {
    int64_t id[RUNS];
    size_t n;
};

static inline int keep_id(void *arg, int64_t id, const struct query_cell *cells)
{
    struct found *f = arg;
    (void)cells;
    assert_true(f->n < RUNS);
    f->id[f->n++] = id;
    return 0;
}

static inline struct filter *parse(const char *where)
{
    struct filter *f = NULL;
    struct err e = {0};
    if (filter_parse(&f, where, NOW, &e) < 0)
        fail_msg("%s: %s; %s", where, e.text, e.next);
    return f;
}

static inline void ask(struct found *out, const struct filter *f, int64_t visible_uid)
{
    struct query *q = base_alloc(sizeof *q);
    struct err e = {0};
    out->n = 0;
    query_init(q);
    q->where = f;
    q->visible_uid = visible_uid;
    rec_must(query_run(store, q, keep_id, out, &e), &e, "query_run");
    free(q);
}

static inline size_t count(const char *where, int64_t visible_uid)
{
    struct found got;
    struct filter *f CLEANUP(filter_freep) = parse(where);
    ask(&got, f, visible_uid);
    return got.n;
}

#endif
