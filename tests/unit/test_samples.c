/* What is written and read back: single samples around an instant, series, flushes that fail, anchors,
 * channels over restarts, ticks that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

/* samples_before and samples_after against a list, while samples are in chunks, tail rows and epochs. */
struct seen {
    int64_t before, after, value;
    bool valid;
};
static struct seen seen[3000];
static size_t nseen;

static void check_neighbours(int64_t t)
{
    struct err e = {0};
    struct sample s;
    const struct seen *want = NULL;
    for (size_t i = 0; i < nseen && seen[i].after <= t; i++)
        if (seen[i].valid)
            want = &seen[i];
    int rc = samples_before(rec.store, rec.id[0], 1, t, &s, &e);
    assert_int_equal(rc, want ? 0 : 1);
    if (want) {
        assert_int_equal(s.before_ns, want->before);
        assert_int_equal(s.after_ns, want->after);
        assert_int_equal(s.value, want->value);
    }
    want = NULL;
    for (size_t i = nseen; i-- > 0 && seen[i].before >= t;)
        if (seen[i].valid)
            want = &seen[i];
    rc = samples_after(rec.store, rec.id[0], 1, t, &s, &e);
    assert_int_equal(rc, want ? 0 : 1);
    if (want) {
        assert_int_equal(s.before_ns, want->before);
        assert_int_equal(s.value, want->value);
    }
}

static void test_neighbours(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    rec.chunk_ticks = 13;
    nseen = 0;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    int64_t t = NS_PER_S, value = 0;
    for (int life = 0; life < 4; life++) {
        rec_open_as(&rec, REC_BOOT, t);
        value = life ? rec.e0[0] : 0;
        bool silent = false;
        for (int i = 0; i < 150; i++) {
            if (i % 40 == 20) /* long stretches without any value, over several chunks */
                silent = !silent;
            t += 10 * NS_PER_MS + rec_below(&seed, 90 * NS_PER_MS);
            struct seen x = {t, t + rec_below(&seed, 2 * NS_PER_MS), value += rec_below(&seed, 100),
                             !silent && rec_below(&seed, 5) != 0};
            seen[nseen++] = x;
            rec_set(&rec, 0, value, x.valid ? 0 : READING_IO);
            rec_put(&rec, x.before, x.after, 0);
            if (rec_below(&seed, 8) == 0)
                rec_flush(&rec);
        }
        rec_flush(&rec);
        for (int k = 0; k < 200; k++)
            check_neighbours(rec_below(&seed, t + NS_PER_S));
        for (int k = 0; k < 50; k++) { /* exactly on the stamps */
            const struct seen *x = &seen[rec_below(&seed, (int64_t)nseen)];
            check_neighbours(x->before);
            check_neighbours(x->after);
        }
        rec_close(&rec, life % 2);
        t += 3 * NS_PER_S;
    }
}

/* A commit that fails loses nothing: the same ticks, written later, give the same file content. */
static void fill(bool fail, uint64_t seed, int64_t *rows)
{
    struct err e = {0};
    rec_init(&rec);
    rec.n = 0;
    rec.chunk_ticks = 20;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_add(&rec, "g", CHANNEL_GAUGE);
    rec_open_as(&rec, REC_BOOT, 0);
    uint64_t faults = seed * 31 + 1;
    for (int i = 0; i < 400; i++) {
        rec_set(&rec, 0, i * 10, rec_below(&seed, 9) ? 0 : READING_IO);
        rec_set(&rec, 1, rec_below(&seed, 1000000), 0);
        rec.tick->suspend_ns = i < 200 ? 0 : NS_PER_S;
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 10, 0);
        if (i % 7 != 6)
            continue;
        for (int k = 0; fail && k < rec_below(&faults, 4); k++) {
            rec_must(store_begin(rec.store, false, &e), &e, "begin");
            assert_true(samples_flush(rec.samples, &e) >= 0);
            store_rollback(rec.store);
            samples_rolled_back(rec.samples);
        }
        rec_flush(&rec);
    }
    rec_close(&rec, true);
    rows[0] = rec_ask(&rec, "SELECT count(*) FROM chunk");
    rows[1] = rec_ask(&rec, "SELECT sum(e1_uj * t1_ns % 1000003) FROM head");
    rows[2] = rec_ask(&rec, "SELECT count(*) FROM gap");
    rows[3] = rec_ask(&rec, "SELECT sum(length(b)) + sum(n) FROM chunk");
    rows[4] = rec_ask(&rec, "SELECT count(*) FROM tail");
    rec_fini(&rec);
}

static void test_rolled_back(void **state)
{
    (void)state;
    int64_t plain[5], failed[5];
    uint64_t seed = rec_seed();
    rec_fini(&rec);
    fill(false, seed, plain);
    fill(true, seed, failed);
    for (int i = 0; i < 5; i++)
        assert_int_equal(plain[i], failed[i]);
    assert_true(plain[0] >= 20);
    assert_int_equal(plain[4], 0);
    rec_init(&rec);
    rec.n = 0;
}

static void test_heads_agree(void **state)
{
    (void)state;
    rec.chunk_ticks = 25;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_add(&rec, "g", CHANNEL_GAUGE);
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 500; i++) {
        rec_set(&rec, 0, i * i, 0);
        rec_set(&rec, 1, i * 1001, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
        if (i % 10 == 0)
            rec_flush(&rec);
    }
    rec_flush(&rec);
    /* What any user of the file can check: chunks join, and energy goes on where it was. */
    assert_int_equal(rec_ask(&rec,
                             "SELECT count(*) FROM head a JOIN head b ON a.channel = b.channel AND"
                             " a.t1_ns = b.t0_ns AND a.t0_ns < b.t0_ns WHERE a.e1_uj <> b.e0_uj"),
                     0);
    assert_true(rec_ask(&rec, "SELECT count(*) FROM head a JOIN head b ON a.channel = b.channel AND"
                              " a.t1_ns = b.t0_ns AND a.t0_ns < b.t0_ns") > 30);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    /* Every chunk but the first says that its tick 0 is the last one of the chunk before. */
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM chunk WHERE substr(b, 3, 1) <> x'02'"), 1);
    assert_true(rec_ask(&rec, "SELECT count(*) FROM chunk") > 15);
}

/* Reads fail, then an edge sweep that does not touch the channel is the last tick of a chunk: nothing in
 * the next chunk says that reads failed, only its head. The gap must be a gap all the same. */
static void test_failure_across_chunks(void **state)
{
    (void)state;
    struct err e = {0};
    struct curve_point p;
    rec.chunk_ticks = 5;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_add(&rec, "g", CHANNEL_GAUGE);
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 10; i++) {
        bool edge = i == 4, failed = i == 3;
        for (size_t c = 0; c < 2; c++)
            rec_set(&rec, c, i * 1000, edge || failed ? READING_IO : 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, edge ? TICK_EDGE : 0);
        rec_flush(&rec);
    }
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM chunk"), 2);
    assert_int_equal(rec_ask(&rec, "SELECT sum(failed) FROM head"), 2);
    assert_int_equal(samples_curve(rec.store, rec.id[0], 1, 800 * NS_PER_MS, &p, &e), 0);
    assert_int_equal(p.e_uj, 8000);
    assert_int_equal(p.bridged_ns, 300 * NS_PER_MS);
    assert_int_equal(p.bridged_uj, 3000);
    assert_int_equal(samples_curve(rec.store, rec.id[1], 1, 800 * NS_PER_MS, &p, &e), 0);
    assert_int_equal(p.unknown_ns, 300 * NS_PER_MS);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM gap WHERE kind = 'failed'"), 2);
}

static void test_bad_ticks(void **state)
{
    (void)state;
    struct err e = {0};
    struct curve_point p;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    rec_set(&rec, 0, 0, 0);
    rec_put(&rec, NS_PER_S, NS_PER_S, 0);
    rec_set(&rec, 0, 100, 0);
    rec_put(&rec, 2 * NS_PER_S, 2 * NS_PER_S, 0);
    rec_set(&rec, 0, 50000, 0);
    rec_put(&rec, NS_PER_S, NS_PER_S, 0);         /* back in time */
    rec_put(&rec, 2 * NS_PER_S, 2 * NS_PER_S, 0); /* twice the same instant */
    rec_put(&rec, -5, -5, 0);                     /* before the boot */
    rec_put(&rec, 5 * NS_PER_S, 4 * NS_PER_S, 0); /* ended before it began */
    rec_put(&rec, INT64_MAX, INT64_MAX, 0);
    rec.tick->group = 7;
    rec_put(&rec, 3 * NS_PER_S, 3 * NS_PER_S, 0); /* of no group */
    rec.tick->group = 0;
    rec_set(&rec, 0, INT64_MAX, 0); /* no meter shows this: as a failed read */
    rec_put(&rec, 2500 * NS_PER_MS, 2500 * NS_PER_MS, 0);
    rec_set(&rec, 0, 200, 0);
    rec_put(&rec, 3 * NS_PER_S, 3 * NS_PER_S, 0);
    rec_flush(&rec);
    assert_int_equal(samples_dropped(rec.samples), 6);
    assert_int_equal(samples_curve(rec.store, rec.id[0], 1, 3 * NS_PER_S, &p, &e), 0);
    assert_int_equal(p.e_uj, 200);
    assert_int_equal(p.bridged_uj, 100);
    assert_int_equal(samples_curve(rec.store, 4711, 1, 0, &p, &e), 1);
}

/* Storage away for long: memory is bounded, order stays, a counter loses no energy. */
static void test_thinning(void **state)
{
    (void)state;
    struct err e = {0};
    struct curve_point p;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec.period_ns = NS_PER_S;
    rec_open_as(&rec, REC_BOOT, 0);
    int64_t n = SAMPLES_PENDING_BYTES / (int64_t)tick_bytes(1) * 3;
    for (int64_t i = 0; i < n; i++) {
        rec_set(&rec, 0, i * 3, 0);
        rec_put(&rec, i * NS_PER_MS, i * NS_PER_MS, 0);
    }
    assert_true(samples_dropped(rec.samples) > n / 3);
    assert_true(samples_pending(rec.samples) > 1000);
    /* Only the beginning is written: that all of it can be is a matter of time. */
    struct samples *w = rec.samples;
    for (int k = 0; k < 3; k++) {
        rec_must(store_begin(rec.store, false, &e), &e, "begin");
        assert_int_equal(samples_flush(w, &e), 1);
        rec_must(store_commit(rec.store, &e), &e, "commit");
        samples_committed(w);
    }
    assert_int_equal(samples_curve(rec.store, rec.id[0], 1, NS_PER_S, &p, &e), 0);
    assert_int_equal(p.e_uj, 3000);
    assert_int_equal(p.unknown_ns, 0);
}

static void test_anchors(void **state)
{
    (void)state;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec.period_ns = NS_PER_S;
    rec_open_as(&rec, REC_BOOT, 0);
    int64_t utc = rec.utc_minus_boot;
    for (int64_t i = 0; i < 2000; i++) {
        rec.utc_minus_boot =
            utc + (i >= 900 ? -3600 * NS_PER_S : 0) + i * 20000; /* slewed a little */
        rec_set(&rec, 0, i, 0);
        rec_put(&rec, i * NS_PER_S, i * NS_PER_S, 0);
        rec_flush(&rec);
    }
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM anchor"), 4); /* 0, 600, 900, 1500 s */
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM anchor WHERE step = 1"), 1);
    assert_int_equal(rec_ask(&rec, "SELECT boottime_ns FROM anchor WHERE step = 1"),
                     900 * NS_PER_S);
    assert_int_equal(store_utc_of(rec.store, 1, 100 * NS_PER_S), utc + 100 * NS_PER_S);
}

static void test_series(void **state)
{
    (void)state;
    struct err e = {0};
    struct series_pixel px[100];
    struct curve_point a, b;
    rec.chunk_ticks = 50;
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_add(&rec, "g", CHANNEL_GAUGE);
    rec_add(&rec, "t", CHANNEL_COMPANION);
    rec_open_as(&rec, REC_BOOT, 0);
    int64_t v = 0;
    for (int i = 0; i < 1000; i++) {
        v += i % 100 < 50 ? 500000 : 2000000; /* 5 W and 20 W in turn */
        bool gone = i >= 400 && i < 500;
        rec_set(&rec, 0, v, 0);
        rec_set(&rec, 1, i * 1000, gone ? READING_GONE : 0);
        rec_set(&rec, 2, 40000 + i, gone ? READING_GONE : 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
        if (i % 10 == 0)
            rec_flush(&rec);
    }
    rec_flush(&rec);
    int64_t t0 = NS_PER_S, t1 = 98 * NS_PER_S;
    rec_must(samples_series(rec.store, rec.id[0], 1, t0, t1, px, 97, &e), &e, "series");
    double sum = 0;
    for (int i = 0; i < 97; i++) {
        assert_true(px[i].valid);
        assert_true(px[i].min_w <= px[i].mean_w + 1e-6 && px[i].mean_w <= px[i].max_w + 1e-6);
        sum += px[i].mean_w * (double)(px[i].t1_ns - px[i].t0_ns) * 1e-9;
    }
    assert_int_equal(samples_curve(rec.store, rec.id[0], 1, t0, &a, &e), 0);
    assert_int_equal(samples_curve(rec.store, rec.id[0], 1, t1, &b, &e), 0);
    assert_true(sum * 1e6 - (double)(b.e_uj - a.e_uj) < 200);
    assert_true(sum * 1e6 - (double)(b.e_uj - a.e_uj) > -200);
    assert_true(px[2].mean_w > 4.9 && px[2].mean_w < 5.1 && px[7].max_w > 19.9);
    rec_must(samples_series(rec.store, rec.id[1], 1, t0, t1, px, 97, &e), &e, "series");
    assert_false(px[44].valid);
    assert_true(px[20].valid && px[60].valid);
    rec_must(samples_series(rec.store, rec.id[2], 1, t0, t1, px, 97, &e), &e, "series");
    assert_true(px[9].valid && px[9].mean_w > 40100 && px[9].mean_w < 40110);
    assert_false(px[44].valid);
    rec_must(samples_series(rec.store, rec.id[0], 1, 200 * NS_PER_S, 300 * NS_PER_S, px, 10, &e),
             &e, "series");
    assert_false(px[0].valid || px[9].valid);
    assert_int_equal(samples_series(rec.store, rec.id[0], 1, 5, 5, px, 10, &e), WATTQ_E_USAGE);
}

static void test_channels_stay(void **state)
{
    (void)state;
    struct err e = {0};
    struct channel_row *rows;
    size_t n;
    struct channel_desc *d = rec_add(&rec, "package-0", CHANNEL_COUNTER);
    base_strcpy(d->covers, sizeof(d->covers), "CPU package; not DRAM");
    rec_add(&rec, "core", CHANNEL_COUNTER)->parent = 0;
    rec_open_as(&rec, REC_BOOT, 0);
    int64_t first = rec.id[0];
    rec_close(&rec, true);
    base_strcpy(d->label, sizeof(d->label), "renamed");
    rec_add(&rec, "new", CHANNEL_GAUGE); /* another set of channels: another group */
    rec_open_as(&rec, REC_BOOT, 0);
    assert_int_equal(rec.id[0], first);
    rec_must(samples_channels(rec.store, &rows, &n, &e), &e, "channels");
    assert_int_equal(n, 3);
    assert_string_equal(rows[0].label, "renamed");
    assert_string_equal(rows[0].covers, "CPU package; not DRAM");
    assert_string_equal(rows[0].source, "script");
    assert_true(rows[0].period_declared);
    assert_int_equal(rows[1].parent, rows[0].id);
    free(rows);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM grp"), 2);
    rec_close(&rec, true);
    rec_open_as(&rec, REC_BOOT, 0);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM grp"), 2);
}

/* A driver that is told for the first time is written; one that changed leaves a note. */
static void test_identity(void **state)
{
    (void)state;
    struct err e = {0};
    struct channel_row row;
    struct channel_desc *d = rec_add(&rec, "gpu", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    rec_close(&rec, true);
    base_strcpy(d->device, sizeof(d->device), "GPU-1");
    base_strcpy(d->driver, sizeof(d->driver), "nvidia 550.1");
    rec_open_as(&rec, REC_BOOT, 5);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM channel_note"), 0);
    rec_close(&rec, true);
    base_strcpy(d->driver, sizeof(d->driver), "nvidia 560.2");
    rec_open_as(&rec, REC_BOOT, 10);
    rec_must(samples_channel(rec.store, rec.id[0], &row, &e), &e, "channel");
    assert_string_equal(row.device, "GPU-1");
    assert_string_equal(row.driver, "nvidia 560.2");
    assert_string_equal(row.firmware, "");
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM channel_note WHERE kind = 'identity' AND"
                                   " t_ns = 10 AND text LIKE '%550.1%560.2%'"),
                     1);
    rec_close(&rec, true);
    rec_open_as(&rec, REC_BOOT, 20);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM channel_note"), 1);
}

/* Channels that come while the epoch runs: rows of their own, the old ones go on, one channel has one
 * writer, and after a restart the curve goes on like any other. */
static void test_added(void **state)
{
    (void)state;
    struct err e = {0};
    struct curve_point p;
    rec_add(&rec, "old", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    struct meter_channel late = rec.channel[0];
    base_strcpy(late.desc.uid, sizeof(late.desc.uid), "late");
    late.desc.parent = 0; /* the old one */
    const struct meter_channel *list[] = {&late};
    int64_t period_ns = NS_PER_S;
    const struct samples_more more = {
        .channels = list, .n = 1, .periods_ns = &period_ns, .groups = 1, .now_ns = 0};
    uint32_t group = 0;
    rec_must(samples_add(rec.samples, &more, &group, &e), &e, "add");
    assert_int_equal(group, 1);
    assert_int_equal(samples_count(rec.samples), 2);
    assert_int_equal(samples_add(rec.samples, &more, &group, &e), WATTQ_E_CONFLICT);
    assert_int_equal(samples_count(rec.samples), 2);
    struct tick *t = base_alloc(tick_bytes(1));
    for (int i = 1; i <= 4; i++) {
        rec_set(&rec, 0, 1000 * i, READING_OK);
        rec_put(&rec, i * NS_PER_S, i * NS_PER_S, 0);
        *t = (struct tick){
            .group = group, .n = 1, .before_ns = i * NS_PER_S, .after_ns = i * NS_PER_S};
        tick_values(t)[0] = 70 * i;
        tick_states(t)[0] = READING_OK;
        samples_put(rec.samples, t);
        rec_flush(&rec);
    }
    free(t);
    int64_t id = rec_ask(&rec, "SELECT id FROM channel WHERE uid = 'late'");
    assert_int_equal(rec_ask(&rec, "SELECT parent FROM channel WHERE uid = 'late'"), rec.id[0]);
    assert_int_equal(samples_curve(rec.store, id, 1, 3 * NS_PER_S, &p, &e), 0);
    assert_int_equal(p.e_uj, 140);
    assert_int_equal(samples_curve(rec.store, rec.id[0], 1, 3 * NS_PER_S, &p, &e), 0);
    assert_int_equal(p.e_uj, 2000);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM epoch"), 1);
    rec_close(&rec, true);
    rec_open_as(&rec, REC_BOOT, 5 * NS_PER_S);
    struct samples *w = rec.samples;
    rec_must(samples_add(w, &more, &group, &e), &e, "add");
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM grp"), 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_identity),    T(test_added),         T(test_neighbours),
        T(test_rolled_back), T(test_heads_agree),   T(test_failure_across_chunks),
        T(test_bad_ticks),   T(test_thinning),      T(test_anchors),
        T(test_series),      T(test_channels_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
