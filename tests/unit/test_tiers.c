/* Tiers and retention: what is left of curves when samples have gone, against the brute force over all samples; what
 * is pinned; what a damaged chunk costs; three years on a small budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/store/export.h"
#include "daemon/store/retention.h"
#include "daemon/store/thin.h"
#include "daemon/store/tiers.h"
#include "tests/support/curve_world.h"

#define DAY (INT64_C(86400) * NS_PER_S)

static struct world *world;

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void build_all(struct recorder *r)
{
    struct tiers_group *g;
    size_t n;
    struct err e = {0};
    rec_must(tiers_groups(r->store, &g, &n, &e), &e, "tiers_groups");
    for (size_t i = 0; i < n; i++)
        rec_must(tiers_build(r->store, &g[i], always, NULL, &e), &e, "tiers_build");
    free(g);
}

/* All that may go when it is `days` later, or above the budget. Returns how many steps that took. */
static int thin_out(struct recorder *r, int64_t days, int64_t budget, struct retention_state *state)
{
    struct err e = {0};
    const struct retention_ask ask = {budget, r->boot_ns + r->utc_minus_boot + days * DAY};
    int rc, steps = 0;
    build_all(r);
    while ((rc = retention_step(r->store, &ask, state, &e)) > 0)
        steps++;
    rec_must(rc, &e, "retention_step");
    return steps;
}

/* 50 ms apart, so that there are all tiers; ends cleanly and begins anew, so that all may be thinned. */
static void record(struct world *w, uint64_t seed, int ticks, int64_t fails, int64_t resets)
{
    memset(w, 0, sizeof(*w));
    world_init_at(w, seed, 301, 50 * NS_PER_MS);
    for (int i = 0; i < ticks; i++) {
        int64_t step = NS_PER_MS * (30 + rec_below(&w->seed, 40));
        if (fails && rec_below(&w->seed, 700) == 0)
            step += (1 + rec_below(&w->seed, 3)) * NS_PER_S; /* a stall */
        world_tick(w, step, fails, resets);
        if (rec_below(&w->seed, 40) == 0)
            rec_flush(&w->rec);
    }
    rec_flush(&w->rec);
}

static void end_epoch(struct world *w)
{
    world_restart(w, true, 20 * NS_PER_S);
    world_first_tick(w);
    rec_flush(&w->rec);
}

/* ---- at the ticks that were kept ----------------------------------------------------------------- */

/* A gauge has a reading at it, a register moved at it: then the curve goes through it. */
static bool stands_at(const struct reference *r, int64_t t_ns)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->s[i].t == t_ns)
            return i == 0 || r->kind != CHANNEL_COUNTER || r->s[i].v != 0 ||
                   r->s[i].link != REGULAR;
    return false;
}

static void check_kept_tick(struct world *w, int64_t t_ns)
{
    struct err e = {0};
    struct curve_point p;
    for (size_t i = 0; i < CHANNELS; i++) {
        const struct reference *r = &w->ref[i];
        if (r->n == 0 || t_ns < r->s[0].t || t_ns > r->s[r->n - 1].t)
            continue;
        assert_int_equal(samples_curve(w->rec.store, w->rec.id[i], 1, t_ns, &p, &e), 0);
        assert_int_equal(p.unknown_ns, ref_unknown(r, t_ns));
        assert_int_equal(p.bridged_ns, ref_bridged_ns(r, t_ns));
        if (stands_at(r, t_ns))
            assert_int_equal(p.e_uj, ref_at(r, t_ns));
    }
}

/* Every tick of every thinned chunk that stands for samples by now. */
static size_t check_kept(struct world *w)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    size_t ticks = 0;
    assert_int_equal(sqlite3_open_v2(w->rec.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT b FROM chunk WHERE tier > 0 AND id IN (SELECT"
                                        " chunk FROM head)",
                                        -1, &st, NULL),
                     SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        struct codec_view v;
        struct err e = {0};
        rec_must(
            codec_open(&v, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), &e), &e,
            "codec_open");
        assert_true(thin_is(&v));
        for (uint32_t i = 0; i < v.n; i++, ticks++)
            check_kept_tick(w, codec_time(&v, i));
        codec_close(&v);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return ticks;
}

/* Between them: counters never fall, and are nowhere further off than what flowed in the interval around. */
static void check_between(struct world *w, int64_t interval_ns)
{
    struct err e = {0};
    int64_t t_ns = w->ref[0].s[0].t, end_ns = w->ref[0].s[w->ref[0].n - 1].t;
    int64_t last[2] = {INT64_MIN, INT64_MIN};
    while ((t_ns += 1 + rec_below(&w->seed, 400 * NS_PER_MS)) < end_ns) {
        for (size_t i = 0; i < 2; i++) {
            struct curve_point p;
            const struct reference *r = &w->ref[i];
            int rc = samples_curve(w->rec.store, w->rec.id[i], 1, t_ns, &p, &e);
            assert_true(rc >= 0);
            assert_true(p.e_uj >= last[i]);
            last[i] = p.e_uj;
            if (rc > 0)
                continue;
            assert_true(p.e_uj >= ref_at(r, t_ns - 2 * interval_ns));
            assert_true(p.e_uj <= ref_at(r, t_ns + 2 * interval_ns));
        }
    }
}

static void check_heads(struct recorder *r)
{
    assert_int_equal(rec_ask(r, "SELECT count(*) FROM head a JOIN head b ON a.channel = b.channel"
                                " AND a.boot = b.boot AND a.t1_ns = b.t0_ns AND a.t0_ns < b.t0_ns"
                                " WHERE a.e1_uj <> b.e0_uj"),
                     0);
    assert_int_equal(rec_ask(r, "SELECT count(*) FROM head h LEFT JOIN chunk c ON c.id = h.chunk"
                                " WHERE c.id IS NULL OR c.t0_ns <> h.t0_ns OR c.t1_ns <> h.t1_ns"),
                     0);
}

static int64_t count_tier(struct recorder *r, int tier)
{
    char sql[80];
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM chunk WHERE tier = %d", tier);
    return rec_ask(r, sql);
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void test_levels(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int i = 0; i < 200000; i++) {
        int64_t v = (int64_t)(rec_random(&seed) >> rec_below(&seed, 63));
        v = rec_below(&seed, 2) ? v : -v;
        if (v > INT64_MAX / 4 || v < -INT64_MAX / 4)
            continue;
        int64_t lo = thin_level_down(v), hi = thin_level_up(v);
        int64_t size = v < 0 ? -v : v, slack = size / 64 + 1;
        assert_true(thin_level_value(lo) <= v && thin_level_value(hi) >= v);
        assert_true(v - thin_level_value(lo) < slack && thin_level_value(hi) - v < slack);
        assert_true(size >= 1024 ? hi - lo <= 8 : hi == lo);
        assert_true(thin_level_value(lo + 1) > thin_level_value(lo));
        assert_int_equal(thin_level_down(thin_level_value(lo)), lo);
        assert_int_equal(thin_level_up(thin_level_value(hi)), hi);
    }
}

static void test_nothing_changes_while_samples_are_there(void **state)
{
    (void)state;
    struct retention_state left;
    record(world, rec_seed(), 6000, 25, 200);
    end_epoch(world);
    assert_int_equal(thin_out(&world->rec, 0, 0, &left), 0);
    assert_true(count_tier(&world->rec, 1) > 1);
    assert_true(count_tier(&world->rec, 2) > 0);
    assert_true(count_tier(&world->rec, 3) > 0);
    check_many(world, 100);
    rec_fini(&world->rec);
}

/* The same samples go tier by tier: what is known at a tick that is still there never changes. */
static void test_samples_go(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int round = 0; round < 3; round++) {
        struct retention_state left;
        record(world, seed + (uint64_t)round * 7919, 7000, round ? 30 : 0, round > 1 ? 150 : 0);
        end_epoch(world);
        assert_true(thin_out(&world->rec, 25, 0, &left) > 0);
        assert_int_equal(count_tier(&world->rec, 0), 0);
        assert_true(count_tier(&world->rec, 1) > 0);
        check_heads(&world->rec);
        size_t second = check_kept(world);
        check_between(world, 2 * NS_PER_S);
        assert_true(thin_out(&world->rec, 60, 0, &left) > 0);
        assert_int_equal(count_tier(&world->rec, 1), 0);
        size_t minute = check_kept(world);
        check_heads(&world->rec);
        check_between(world, 70 * NS_PER_S);
        assert_true(thin_out(&world->rec, 3000, 0, &left) > 0);
        assert_int_equal(count_tier(&world->rec, 2), 0);
        check_heads(&world->rec);
        size_t hour = check_kept(world);
        assert_true(second > minute && minute > hour && hour > 0);
        rec_fini(&world->rec);
    }
}

/* The newest chunk of an epoch that goes on stays, and so do curves in and behind it. */
static void test_epoch_goes_on(void **state)
{
    (void)state;
    struct retention_state left;
    record(world, rec_seed(), 9000, 60, 0);
    assert_true(thin_out(&world->rec, 25, 0, &left) > 0);
    assert_true(count_tier(&world->rec, 0) > 0);
    check_heads(&world->rec);
    int64_t from = rec_ask(&world->rec, "SELECT min(t0_ns) FROM chunk WHERE tier = 0");
    for (int i = 0; i < 2000; i++) {
        world_tick(world, 50 * NS_PER_MS, 30, 0);
        if (i % 16 == 0)
            rec_flush(&world->rec);
    }
    rec_flush(&world->rec);
    (void)check_kept(world);
    for (int k = 0; k < 400; k++)
        check_point(world, (size_t)rec_below(&world->seed, CHANNELS),
                    from + rec_below(&world->seed, world->t - from));
    end_epoch(world);
    check_heads(&world->rec);
    rec_fini(&world->rec);
}

/* Highest and lowest power of a picture bound every reading in it, from whatever tier it is drawn. */
static void test_series_bounds(void **state)
{
    (void)state;
    enum { PIXELS = 40 };
    struct series_pixel px[PIXELS];
    struct retention_state left;
    struct err e = {0};
    record(world, rec_seed(), 6000, 80, 0);
    end_epoch(world);
    for (int pass = 0; pass < 3; pass++) {
        if (pass > 0)
            assert_true(thin_out(&world->rec, pass == 1 ? 25 : 60, 0, &left) > 0);
        for (size_t i = 2; i < CHANNELS; i++) {
            const struct reference *r = &world->ref[i];
            int64_t t0 = r->s[0].t, t1 = r->s[r->n - 1].t;
            size_t seen = 0;
            assert_int_equal(
                samples_series(world->rec.store, world->rec.id[i], 1, t0, t1, px, PIXELS, &e), 0);
            for (size_t k = 1; k + 1 < r->n; k++) {
                if (r->s[k].link != REGULAR || r->s[k + 1].link != REGULAR)
                    continue;
                size_t p = (size_t)((r->s[k].t - t0) * PIXELS / (t1 - t0));
                assert_true(px[p].valid);
                double w = (double)r->s[k].v * 1e-6;
                assert_true(px[p].min_w <= w + 1e-9 && px[p].max_w >= w - 1e-9);
                seen++;
            }
            assert_true(seen > 1000);
        }
    }
    rec_fini(&world->rec);
}

/* A pinned run keeps its samples, to the microjoule, and a run that goes on those around its start. */
static void test_pinned(void **state)
{
    (void)state;
    struct retention_state left;
    record(world, rec_seed(), 20000, 100, 0);
    end_epoch(world);
    int64_t t0 = world->ref[0].s[5000].t, t1 = world->ref[0].s[6000].t;
    char sql[600];
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO run(id, uuid, uid, state, kind, spec, boot, t0_ns, t1_ns,"
        " submitted_utc_ns) VALUES(7, 'u7', 1, 'done', 'command', '{}', 1, %lld, %lld, 1)",
        (long long)t0, (long long)t1);
    (void)rec_ask(&world->rec, sql);
    (void)rec_ask(&world->rec, "INSERT INTO pin(run, uid, utc_ns, reason) VALUES(7, 1, 1, 'kept')");
    assert_int_equal(rec_ask(&world->rec, "SELECT count(*) FROM pin JOIN run ON run.id = run"), 1);
    assert_true(thin_out(&world->rec, 25, 0, &left) > 0);
    int64_t kept = count_tier(&world->rec, 0);
    assert_true(kept > 0 && kept < 40);
    for (int k = 0; k < 200; k++)
        check_point(world, (size_t)rec_below(&world->seed, CHANNELS),
                    t0 + rec_below(&world->seed, t1 - t0));
    (void)check_kept(world);
    check_heads(&world->rec);
    /* Not even years later, nor by another tier's end. */
    (void)thin_out(&world->rec, 3000, 1, &left);
    assert_true(left.over);
    assert_int_equal(count_tier(&world->rec, 0), kept);
    (void)rec_ask(&world->rec, "DELETE FROM pin");
    (void)rec_ask(&world->rec, "UPDATE run SET state = 'running', t1_ns = NULL");
    (void)thin_out(&world->rec, 25, 0, &left);
    assert_true(count_tier(&world->rec, 0) > 0);
    (void)rec_ask(&world->rec, "UPDATE run SET state = 'done', t1_ns = t0_ns + 1");
    (void)thin_out(&world->rec, 25, 0, &left);
    assert_int_equal(count_tier(&world->rec, 0), 0);
    (void)check_kept(world);
    rec_fini(&world->rec);
}

struct handed_out {
    int64_t id[200];
    size_t n;
};

static int take_chunk(void *arg, int64_t run, const struct export_cell *cells, size_t n)
{
    struct handed_out *x = arg;
    (void)run;
    assert_true(n > 3 && x->n < ARRAY_LEN(x->id));
    x->id[x->n++] = cells[0].i;
    return 0;
}

/* Who takes a stretch of time away gets what stands for its samples. */
static void test_export(void **state)
{
    (void)state;
    struct retention_state left;
    struct err e = {0};
    record(world, rec_seed(), 8000, 0, 0);
    end_epoch(world);
    int64_t t0 = world->ref[0].s[3000].t, t1 = world->ref[0].s[3500].t;
    for (int pass = 0; pass < 3; pass++) {
        struct handed_out x = {.n = 0};
        char sql[300];
        (void)thin_out(&world->rec, pass == 0 ? 0 : pass == 1 ? 25 : 60, 0, &left);
        const struct export_ask ask = {.table = "chunk", .lo = t0, .hi = t1, .boot = 1};
        rec_must(export_rows(world->rec.store, &ask, take_chunk, &x, &e), &e, "export_rows");
        assert_true(x.n > 0);
        for (size_t i = 0; i < x.n; i++) {
            (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM head WHERE chunk = %lld",
                           (long long)x.id[i]);
            assert_true(rec_ask(&world->rec, sql) > 0);
        }
        (void)snprintf(sql, sizeof(sql),
                       "SELECT count(DISTINCT chunk) FROM head WHERE t0_ns < %lld AND t1_ns > %lld",
                       (long long)t1, (long long)t0);
        assert_true(rec_ask(&world->rec, sql) <= (int64_t)x.n);
    }
    rec_fini(&world->rec);
}

static void spoil(struct recorder *r, const char *which)
{
    char sql[200];
    (void)snprintf(sql, sizeof(sql),
                   "UPDATE chunk SET b = CAST(substr(b, 1, 200) || x'5a5b' || substr(b, 203) AS"
                   " BLOB) WHERE id = (%s)",
                   which);
    (void)rec_ask(r, sql);
}

/* A damaged chunk of samples is nothing that a coarser one can stand for; a damaged coarser one costs its time. */
static void test_damaged(void **state)
{
    (void)state;
    struct retention_state left;
    struct err e = {0};
    struct curve_point p;
    record(world, rec_seed(), 9000, 0, 0);
    spoil(&world->rec, "SELECT id FROM chunk WHERE tier = 0 ORDER BY t0_ns LIMIT 1 OFFSET 14");
    end_epoch(world);
    int64_t hole0 = rec_ask(
        &world->rec, "SELECT t0_ns FROM chunk WHERE tier = 0 ORDER BY t0_ns LIMIT 1 OFFSET 14");
    int64_t hole1 = rec_ask(
        &world->rec, "SELECT t1_ns FROM chunk WHERE tier = 0 ORDER BY t0_ns LIMIT 1 OFFSET 14");
    (void)thin_out(&world->rec, 25, 0, &left);
    assert_int_equal(count_tier(&world->rec, 0), 1);
    spoil(&world->rec, "SELECT id FROM chunk WHERE tier = 1 ORDER BY t0_ns LIMIT 1");
    int64_t bad0 = rec_ask(&world->rec, "SELECT min(t0_ns) FROM chunk WHERE tier = 1");
    int64_t bad1 =
        rec_ask(&world->rec, "SELECT t1_ns FROM chunk WHERE tier = 1 ORDER BY t0_ns LIMIT 1");
    int errors = 0;
    for (int k = 0; k < 2000; k++) {
        const struct reference *r = &world->ref[2];
        size_t at = (size_t)rec_below(&world->seed, (int64_t)r->n - 1);
        int64_t t = r->s[at].t;
        int rc = samples_curve(world->rec.store, world->rec.id[2], 1, t, &p, &e);
        if (rc == WATTQ_E_CORRUPT) {
            assert_true((t >= hole0 && t <= hole1) || (t >= bad0 && t <= bad1));
            errors++;
            continue;
        }
        assert_int_equal(rc, 0);
        assert_true(p.e_uj >= ref_at(r, t - 3 * NS_PER_S) - 1);
        assert_true(p.e_uj <= ref_at(r, t + 3 * NS_PER_S) + 1);
    }
    assert_true(errors > 0);
    rec_fini(&world->rec);
}

/* Three years of a meter that is read every 20 s, on 3 MiB. */
static void test_three_years(void **state)
{
    (void)state;
    const int64_t budget = 3 << 20, step = 20 * NS_PER_S, day = DAY / step;
    struct recorder r;
    struct retention_state left = {0};
    struct err e = {0};
    struct curve_point p;
    uint64_t seed = rec_seed();
    int64_t value = 0, first = 0, half = 0;
    rec_init(&r);
    r.period_ns = step;
    rec_add(&r, "counter", CHANNEL_COUNTER);
    rec_add(&r, "gauge", CHANNEL_GAUGE);
    rec_open_as(&r, REC_BOOT, 0);
    for (int64_t i = 0; i < 3 * 365 * day; i++) {
        value += 100000000 + rec_below(&seed, 1000000000);
        rec_set(&r, 0, value, 0);
        rec_set(&r, 1, 40000000 + rec_below(&seed, 20000000), 0);
        rec_put(&r, (i + 1) * step, (i + 1) * step + 4096, 0);
        first = i == 0 ? value : first;
        half = i == 3 * 365 * day / 2 ? value : half;
        if (i % 1800 == 0)
            rec_flush(&r);
        if (i % (7 * day) == 0) {
            (void)thin_out(&r, 0, budget, &left);
            (void)thin_out(&r, 0, budget, &left); /* how it stands after that */
            assert_false(left.over);
            assert_true(left.used_bytes <= budget);
            assert_true(left.file_bytes <= budget);
        }
    }
    rec_flush(&r);
    assert_true(count_tier(&r, 3) > 100);
    assert_true(rec_ask(&r, "SELECT count(*) FROM anchor") < 20000);
    check_heads(&r);
    /* A year's energy is what the register says, whatever became of the samples between. */
    int64_t last_ns = 3 * 365 * day * step + 2048;
    assert_int_equal(samples_curve(r.store, r.id[0], 1, last_ns, &p, &e), 0);
    assert_int_equal(p.e_uj, value - first);
    assert_int_equal(p.unknown_ns, 0);
    assert_int_equal(samples_curve(r.store, r.id[0], 1, step + 2048, &p, &e), 0);
    assert_int_equal(p.e_uj, 0);
    assert_int_equal(
        samples_curve(r.store, r.id[0], 1, (3 * 365 * day / 2 + 1) * step + 2048, &p, &e), 0);
    half -= first;
    int64_t off = p.e_uj > half ? p.e_uj - half : half - p.e_uj;
    assert_true(off < 200 * INT64_C(1000000000)); /* not a kept tick: an hour has 180 */
    rec_fini(&r);
}

int main(void)
{
    world = calloc(1, sizeof(*world));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_nothing_changes_while_samples_are_there),
        cmocka_unit_test(test_samples_go),
        cmocka_unit_test(test_epoch_goes_on),
        cmocka_unit_test(test_series_bounds),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_three_years),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(world);
    return rc;
}
