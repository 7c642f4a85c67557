/* The ledger against the meter: random runs that overlap, gaps, resets, restarts, a slow meter, another
 * baseline; whatever happens, everything adds up to the uJ, and is the same again from the samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/energy/audit.h"
#include "daemon/energy/ledger.h"
#include "daemon/energy/shares.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/store/baselines.h"
#include "tests/support/recorder.h"

#define SLOTS   3
#define RUNS    20
#define SLOW_NS (60 * NS_PER_S)
#define DEVICE  "GPU-1"
#define PID0    900000 /* of the shepherd of who sits in slot 0 */

enum { PKG, SLOW, WALL, GPU, SLOT0, MACHINE = SLOT0 + SLOTS };

struct planned {
    int64_t id, t0_ns, t1_ns;
    int slot;
    bool on, over;
};

static struct recorder rec;
static struct slots *slots;
static struct ledger *ledger;
static struct planned runs[RUNS];
static int64_t value[REC_CHANNELS], hidden_uj, suspend_ns;
static int64_t slow_ns;
static struct gpu_procs *procs;
static int64_t gpu_owner; /* 0 = nobody */

static int setup(void **state)
{
    (void)state;
    rec_init(&rec);
    rec.chunk_ticks = 50;
    rec_add(&rec, "pkg", CHANNEL_COUNTER);
    rec_add(&rec, "slow", CHANNEL_COUNTER)->period_ns = SLOW_NS;
    rec_add(&rec, "wall", CHANNEL_GAUGE)->scope = SCOPE_NODE;
    struct channel_desc *gpu = rec_add(&rec, "gpu", CHANNEL_COUNTER);
    gpu->scope = SCOPE_GPU;
    base_strcpy(gpu->device, sizeof(gpu->device), DEVICE);
    procs = gpu_procs_new();
    (void)gpu_procs_add(procs, DEVICE, "gpu0");
    gpu_owner = 0;
    for (int i = 0; i <= SLOTS; i++) {
        char uid[24];
        snprintf(uid, sizeof(uid), i < SLOTS ? "slots/%d" : "slots/machine", i);
        rec_add(&rec, uid, CHANNEL_CPU_TIME)->quality = QUALITY_NONE;
    }
    memset(value, 0, sizeof(value));
    memset(runs, 0, sizeof(runs));
    hidden_uj = slow_ns = 0;
    slots = slots_new(SLOTS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rec_fini(&rec);
    ledger_close(ledger);
    ledger = NULL;
    slots_free(slots);
    gpu_procs_unref(procs);
    return 0;
}

static void begin(void)
{
    struct err e = {0};
    rec_must(store_begin(rec.store, false, &e), &e, "begin");
}

static void commit(void)
{
    struct err e = {0};
    rec_must(store_commit(rec.store, &e), &e, "commit");
}

/* As the storage thread does it. */
static void flush(void)
{
    struct err e = {0};
    int rc;
    rec_must(ledger_prepare(ledger, rec.store, rec.samples, &e), &e, "prepare");
    do {
        begin();
        rc = samples_flush(rec.samples, &e);
        if (rc == 0 && (rc = ledger_write(ledger, rec.store, rec.samples, suspend_ns, &e)) >= 0)
            rc = samples_flush(rec.samples, &e);
        rec_must(rc < 0 ? rc : 0, &e, "flush");
        commit();
        samples_committed(rec.samples);
    } while (rc > 0);
}

static void open_all(int64_t now_ns)
{
    struct err e = {0};
    rec_open_as(&rec, REC_BOOT, now_ns);
    rec_must(ledger_open(&ledger, rec.store, rec.samples, slots, procs, &e), &e, "ledger_open");
    assert_non_null(ledger);
    for (size_t i = 0; i < rec.n; i++)
        value[i] = rec.channel[i].desc.kind == CHANNEL_GAUGE ? 0 : rec.e0[i];
}

static void add_baseline(size_t channel, int64_t power_uw)
{
    struct err e = {0};
    int64_t id;
    const struct baseline b = {.channel = rec.id[channel],
                               .boot = 1,
                               .t1_ns = NS_PER_S,
                               .power_uw = power_uw,
                               .n = 60,
                               .temp_mc = INT64_MIN,
                               .busy_ppm = -1,
                               .created_utc_ns = power_uw,
                               .basis = BASELINE_LEARNED};
    begin();
    rec_must(baselines_put(rec.store, &b, &id, &e), &e, "baselines_put");
    commit();
}

static void put_run(struct planned *r)
{
    struct err e = {0};
    char sql[320];
    snprintf(sql, sizeof(sql),
             "INSERT INTO run(id, uuid, uid, state, kind, spec, submitted_utc_ns, boot, t0_ns)"
             " VALUES(%lld, 'u%lld', 0, 'running', 'command', '{}', 0, 1, %lld)",
             (long long)r->id, (long long)r->id, (long long)r->t0_ns);
    begin();
    rec_must(stmt_exec(rec.store, sql, &e), &e, "run");
    commit();
}

static void end_run(const struct planned *r)
{
    struct err e = {0};
    char sql[160];
    snprintf(sql, sizeof(sql), "UPDATE run SET state = 'done', t1_ns = %lld WHERE id = %lld",
             (long long)r->t1_ns, (long long)r->id);
    begin();
    rec_must(stmt_exec(rec.store, sql, &e), &e, "end");
    rec_must(accounts_slot_leave(rec.store, r->id, r->t1_ns + 3 * NS_PER_MS, &e), &e, "leave");
    commit();
    if (gpu_owner == r->id)
        gpu_owner = 0;
}

/* From the claim on, a little before it has a seat. */
static void give_gpu(const struct planned *r)
{
    struct err e = {0};
    begin();
    rec_must(accounts_devices_take(rec.store, r->id, r->t0_ns - 2 * NS_PER_MS, false, DEVICE, &e),
             &e, "device");
    commit();
    gpu_owner = r->id;
}

/* Whoever sits in a slot, and one that is no run's. */
static void compute(uint64_t *seed)
{
    struct gpu_use u = {.state = READING_OK, .stamp_ns = clock_boot_ns(), .n = SLOTS + 1};
    for (size_t i = 0; i <= SLOTS; i++)
        u.procs[i] = (struct gpu_proc){.pid = (int64_t)i + 1,
                                       .root = i < SLOTS ? PID0 + (int64_t)i : 0,
                                       .busy_ppm = rec_below(seed, 3) * rec_below(seed, 500000)};
    gpu_procs_put(procs, 0, &u);
}

static void seat(struct planned *r, int64_t t_ns)
{
    struct err e = {0};
    for (int i = 0; i < SLOTS && r->slot < 0; i++)
        if (!slots_taken(slots, (size_t)i))
            r->slot = i;
    if (r->slot < 0)
        return;
    rec_must(slots_assign(slots, (size_t)r->slot, -1, PID0 + r->slot, &e), &e, "assign");
    begin();
    rec_must(accounts_slot_take(rec.store, rec.id[SLOT0 + r->slot], r->id, t_ns, &e), &e, "take");
    commit();
}

/* Begins and ends what is due; the rows of edges come later than the edges, as in life. */
static bool move_runs(int64_t t_ns)
{
    bool edge = false;
    for (size_t i = 0; i < RUNS; i++) {
        struct planned *r = &runs[i];
        if (!r->on && !r->over && r->t0_ns <= t_ns) {
            r->on = edge = true;
            r->slot = -1;
            put_run(r);
            if (gpu_owner == 0 && r->id % 4 != 0)
                give_gpu(r);
            seat(r, r->t0_ns - NS_PER_MS);
        } else if (r->on && r->t1_ns <= t_ns) {
            r->on = false;
            r->over = edge = true;
            end_run(r);
            if (r->slot >= 0)
                slots_clear(slots, (size_t)r->slot);
        }
    }
    return edge;
}

/* One sweep: power and CPU time since the last. */
static void sweep(int64_t t_ns, int64_t dt_ns, bool edge, uint64_t *seed)
{
    int64_t dt_us = dt_ns / NS_PER_US, busy = rec_below(seed, dt_us / 4 + 1);
    for (size_t i = 0; i < RUNS; i++) {
        if (!runs[i].on || runs[i].slot < 0)
            continue;
        int64_t used = rec_below(seed, dt_us * (int64_t)(i % 3) + 2);
        value[SLOT0 + runs[i].slot] += used;
        busy += used;
    }
    value[MACHINE] += busy - rec_below(seed, busy + 1) / 20;
    int64_t uj = dt_us * 20 + busy * 30 + rec_below(seed, 10000);
    value[PKG] += uj;
    value[GPU] += dt_us * 60 + rec_below(seed, dt_us * 200);
    value[WALL] = 30000000 + rec_below(seed, 50000000);
    hidden_uj += 2 * uj;
    if (t_ns - slow_ns >= SLOW_NS) {
        slow_ns = t_ns;
        value[SLOW] = rec.e0[SLOW] > hidden_uj ? rec.e0[SLOW] : hidden_uj;
    }
    for (size_t i = 0; i < rec.n; i++)
        rec_set(&rec, i, value[i], READING_OK);
    if (!edge && rec_below(seed, 40) == 0)
        rec_set(&rec, PKG, 0, READING_IO);
    else if (rec_below(seed, 60) == 0)
        rec_set(&rec, PKG, value[PKG] -= uj, TICK_RESET);
    if (rec_below(seed, 50) == 0)
        rec_set(&rec, WALL, 0, READING_GONE);
    rec_put(&rec, t_ns - 100 * NS_PER_US, t_ns + 100 * NS_PER_US, edge ? TICK_EDGE : 0);
}

static int64_t simulate(int64_t t_ns, int64_t end_ns, uint64_t *seed)
{
    int64_t flush_ns = t_ns;
    while (t_ns < end_ns) {
        int64_t dt_ns = 50 * NS_PER_MS + rec_below(seed, 400 * NS_PER_MS);
        if (rec_below(seed, 100) == 0)
            dt_ns += 4 * NS_PER_S; /* the daemon did not get to run */
        t_ns += dt_ns;
        bool edge = move_runs(t_ns);
        sweep(t_ns, dt_ns, edge, seed);
        if (edge || t_ns - flush_ns > 900 * NS_PER_MS) {
            compute(seed);
            flush();
            flush_ns = t_ns;
        }
    }
    flush();
    return t_ns;
}

static void plan_runs(int64_t from_ns, int64_t to_ns, uint64_t *seed)
{
    for (size_t i = 0; i < RUNS; i++) {
        runs[i].id = (int64_t)i + 1;
        runs[i].t0_ns = from_ns + rec_below(seed, (to_ns - from_ns) * 3 / 4);
        runs[i].t1_ns = runs[i].t0_ns + 20 * NS_PER_MS + rec_below(seed, 60 * NS_PER_S);
    }
}

static void restart(int64_t now_ns)
{
    struct err e = {0};
    rec_close(&rec, now_ns % 2 == 0);
    ledger_close(ledger);
    for (size_t i = 0; i < SLOTS; i++)
        slots_clear(slots, i);
    open_all(now_ns);
    begin();
    rec_must(accounts_slots_close(rec.store, &e), &e, "close");
    commit();
    for (size_t i = 0; i < RUNS; i++) {
        if (runs[i].on) {
            runs[i].slot = -1;
            seat(&runs[i], now_ns);
        }
    }
}

static void add_up(const struct shares *x, enum share_policy p)
{
    int64_t sum = x->system_uj + x->foreign_uj + x->idle_left[p];
    for (size_t i = 0; i < x->n; i++)
        sum += x->runs[i].dyn_uj + x->runs[i].idle_uj[p];
    assert_int_equal(sum, x->total_uj);
}

static int64_t share_in(const struct shares *x, int64_t run, enum share_policy p)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->runs[i].run == run)
            return x->runs[i].dyn_uj + x->runs[i].idle_uj[p];
    return 0;
}

/* [a, c] in two or more pieces is [a, c] in one, for everybody and to the uJ. */
static void check_additive(size_t channel, int64_t end_ns, uint64_t *seed)
{
    struct err e = {0};
    struct channel_row meter;
    rec_must(samples_channel(rec.store, rec.id[channel], &meter, &e), &e, "channel");
    for (int i = 0; i < 20; i++) {
        int64_t t[3] = {rec_below(seed, end_ns), rec_below(seed, end_ns), rec_below(seed, end_ns)};
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++)
                if (t[b] > t[b + 1]) {
                    int64_t x = t[b];
                    t[b] = t[b + 1];
                    t[b + 1] = x;
                }
        struct shares s[3];
        const struct energy_window w[3] = {{1, t[0], t[1]}, {1, t[1], t[2]}, {1, t[0], t[2]}};
        for (int k = 0; k < 3; k++)
            rec_must(shares_of_window(rec.store, &meter, &w[k], &s[k], &e), &e, "shares");
        for (int p = 0; p < SHARE_POLICIES; p++) {
            for (int k = 0; k < 3; k++)
                add_up(&s[k], (enum share_policy)p);
            for (int64_t run = 1; run <= RUNS; run++)
                assert_int_equal(share_in(&s[0], run, (enum share_policy)p) +
                                     share_in(&s[1], run, (enum share_policy)p),
                                 share_in(&s[2], run, (enum share_policy)p));
            assert_int_equal(s[0].idle_left[p] + s[1].idle_left[p], s[2].idle_left[p]);
        }
        assert_int_equal(s[0].system_uj + s[1].system_uj, s[2].system_uj);
        assert_int_equal(s[0].foreign_uj + s[1].foreign_uj, s[2].foreign_uj);
        for (int k = 0; k < 3; k++)
            shares_fini(&s[k]);
    }
}

static struct audit_result audit(int64_t end_ns, int windows)
{
    struct err e = {0};
    struct store *reader = NULL; /* as the daemon has it done: nothing is known from before */
    struct audit_result out = {0};
    const struct audit_plan p = {.boot = 1, .t1_ns = end_ns, .windows = windows, .seed = 7};
    rec_must(store_open_reader(&reader, rec.path, &e), &e, "reader");
    rec_must(audit_run(reader, &p, &out, &e), &e, "audit_run");
    store_close(reader);
    return out;
}

static void test_everything_adds_up(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    int64_t t_ns = 10 * NS_PER_S, third_ns = 100 * NS_PER_S;
    plan_runs(t_ns, t_ns + 3 * third_ns, &seed);
    open_all(t_ns);
    t_ns = simulate(t_ns, t_ns + third_ns, &seed);
    add_baseline(PKG, 18000000);
    restart(t_ns += 3 * NS_PER_S);
    t_ns = simulate(t_ns, t_ns + third_ns, &seed);
    add_baseline(PKG, 25000000); /* more than it takes at times: dyn is negative */
    add_baseline(SLOW, 30000000);
    add_baseline(WALL, 20000000);
    add_baseline(GPU, 70000000);
    restart(t_ns += 3 * NS_PER_S + 1);
    t_ns = simulate(t_ns, t_ns + third_ns, &seed);
    struct audit_result r = audit(t_ns, 40);
    if (r.failures)
        print_error("%lld of %lld: %s\n", (long long)r.failures, (long long)r.checks, r.text[0]);
    assert_int_equal(r.failures, 0);
    assert_int_equal(r.meters, 4);
    assert_true(rec_ask(&rec, "SELECT count(*) FROM account_intruder WHERE others_ppm > 0") > 20);
    print_message("%lld ticks, %lld replayed, %lld windows, %lld chunks\n", (long long)r.ticks,
                  (long long)r.replayed, (long long)r.windows, (long long)r.chunks);
    assert_true(r.ticks > 100 && r.replayed > r.ticks / 2 && r.windows > 100 && r.chunks > 20);
    for (size_t c = PKG; c <= GPU; c++)
        check_additive(c, t_ns, &seed);
}

/* ---- one span ----------------------------------------------------------------------------------- */

static int64_t parts_sum(const struct ledger_parts *p)
{
    int64_t sum = p->idle_uj + p->system_uj + p->foreign_uj;
    for (size_t i = 0; i < SLOTS_MAX; i++)
        sum += p->slot_uj[i];
    return sum;
}

static void test_split(void **state)
{
    (void)state;
    struct ledger_parts p;
    struct ledger_span x = {.de_uj = 60000001,
                            .known_ns = NS_PER_S,
                            .baseline_uw = 20000000,
                            .owner = LEDGER_BY_CPU,
                            .slots = 2,
                            .busy_us = 1000000,
                            .used_us = {500000, 250000}};
    ledger_split(&x,
                 &p); /* 40.000001 J of dyn: a half, a quarter, a quarter of the machine's own */
    assert_int_equal(p.idle_uj, 20000000);
    assert_int_equal(p.slot_uj[0], 20000001);
    assert_int_equal(p.slot_uj[1], 10000000);
    assert_int_equal(p.system_uj, 10000000);
    assert_int_equal(parts_sum(&p), x.de_uj);
    x.de_uj = 5000000; /* less than idling: dyn is negative, and so are the parts */
    ledger_split(&x, &p);
    assert_int_equal(p.slot_uj[0], -7500000);
    assert_int_equal(parts_sum(&p), x.de_uj);
    x.busy_us = 740000; /* ticks of 10 ms show a little less than the slots used */
    ledger_split(&x, &p);
    assert_int_equal(p.system_uj, 0);
    memset(x.used_us, 0, sizeof(x.used_us));
    x.busy_us = 0; /* nobody ran: not in equal parts */
    ledger_split(&x, &p);
    assert_int_equal(p.system_uj, -15000000);
    x.baseline_uw = -1;
    x.owner = LEDGER_NOBODY;
    ledger_split(&x, &p);
    assert_int_equal(p.foreign_uj, x.de_uj);
    assert_int_equal(p.idle_uj, 0);
    x.owner = 1; /* a GPU that belongs to the run in slot 1 */
    ledger_split(&x, &p);
    assert_int_equal(p.slot_uj[1], x.de_uj);
    x.others_ppm = 250000; /* a quarter of what its processes did was not the run's */
    x.de_uj = 5000003;
    ledger_split(&x, &p);
    assert_int_equal(p.slot_uj[1], 3750002);
    assert_int_equal(p.foreign_uj, 1250001);
    x.others_ppm = 1000000; /* and here all of it */
    ledger_split(&x, &p);
    assert_int_equal(p.foreign_uj, x.de_uj);
    x.baseline_uw = 6000000; /* less than idling */
    ledger_split(&x, &p);
    assert_int_equal(parts_sum(&p), x.de_uj);
    assert_int_equal(p.foreign_uj, x.de_uj - 6000000);
}

static void test_share_inside_a_span(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int i = 0; i < 2000; i++) {
        int64_t grown[5], parts[5], total = 0, sum = 0;
        for (size_t k = 0; k < 5; k++)
            total += grown[k] = rec_below(&seed, 2000001) - 700000;
        int64_t x = rec_below(&seed, (total < 0 ? -total : total) + 1) * (total < 0 ? -1 : 1);
        ledger_share(x, grown, 5, 1, parts);
        for (size_t k = 0; k < 5; k++)
            sum += parts[k];
        assert_int_equal(sum, x);
        ledger_share(total, grown, 5, 1, parts);
        for (size_t k = 0; k < 5 && total != 0; k++)
            assert_int_equal(parts[k], grown[k]);
    }
}

/* ---- damage ------------------------------------------------------------------------------------- */

/* The only column once more, its newest value 1 more than it was. */
static uint8_t *add_one(const void *blob, size_t *bytes)
{
    struct codec_view v;
    struct codec_cursor col;
    struct err e = {0};
    struct tick *t = base_alloc(tick_bytes(1));
    rec_must(codec_open(&v, blob, *bytes, &e), &e, "codec_open");
    codec_cursor_open(&col, &v, 0);
    const uint8_t kind = (uint8_t)col.kind;
    struct codec_block *b = codec_block_new(&kind, 1, v.period_ns);
    t->n = v.channels;
    for (uint32_t i = 0; i < v.n; i++) {
        t->before_ns = codec_before(&v, i);
        t->after_ns = codec_after(&v, i);
        t->flags = codec_flags(&v, i);
        tick_values(t)[0] = codec_cursor_next(&col, tick_states(t)) + (i + 1 == v.n);
        tick_raws(t)[0] = col.raw_last;
        assert_true(codec_block_add(b, t));
    }
    uint8_t *forged = codec_encode(b, 0, v.flags, bytes);
    codec_block_free(b);
    codec_close(&v);
    free(t);
    return forged;
}

/* Another value in the newest tail row of an account, with a checksum that fits it. */
static void forge(int64_t account)
{
    sqlite3 *db;
    sqlite3_stmt *get, *put;
    char sql[256];
    assert_int_equal(sqlite3_open_v2(rec.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    snprintf(sql, sizeof(sql),
             "SELECT seq, b FROM tail WHERE grp IN (SELECT grp FROM grp_slot WHERE channel = %lld)"
             " ORDER BY seq DESC LIMIT 1",
             (long long)account);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &get, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(get), SQLITE_ROW);
    size_t bytes = (size_t)sqlite3_column_bytes(get, 1);
    uint8_t *blob = add_one(sqlite3_column_blob(get, 1), &bytes);
    assert_int_equal(
        sqlite3_prepare_v2(db, "UPDATE tail SET b = ?1 WHERE seq = ?2", -1, &put, NULL), SQLITE_OK);
    sqlite3_bind_blob(put, 1, blob, (int)bytes, SQLITE_STATIC);
    sqlite3_bind_int64(put, 2, sqlite3_column_int64(get, 0));
    sqlite3_finalize(get);
    assert_int_equal(sqlite3_step(put), SQLITE_DONE);
    sqlite3_finalize(put);
    sqlite3_close(db);
    free(blob);
}

static void test_a_forged_value_is_found(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    int64_t t_ns = 10 * NS_PER_S;
    for (size_t i = 0; i < RUNS; i++)
        runs[i].over = true;
    open_all(t_ns);
    rec.chunk_ticks = 600;
    t_ns = simulate(t_ns, t_ns + 5 * NS_PER_S, &seed);
    assert_int_equal(audit(t_ns, 5).failures, 0);
    forge(rec_ask(&rec, "SELECT channel FROM account WHERE kind = 'system' AND meter = 1"));
    struct audit_result r = audit(t_ns, 5);
    assert_true(r.failures > 0);
    assert_non_null(strstr(r.text[0], "pkg"));
    assert_non_null(strstr(r.text[0], "the accounts add up to"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_share_inside_a_span),
        cmocka_unit_test_setup_teardown(test_everything_adds_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_forged_value_is_found, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
