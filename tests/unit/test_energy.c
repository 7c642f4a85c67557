/* Figures of windows: bounds must hold the true energy of a formula meter for any period, lag and phase;
 * adjacent windows add up bit for bit; totals, flags and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/energy/energy.h"
#include "daemon/energy/spent.h"
#include "tests/support/recorder.h"

__extension__ typedef __int128 wide;

/* The true curve: power steps between levels at known instants; energy in uJ, rounded down. */
#define STEPS 64
struct truth {
    int64_t t[STEPS], p_uw[STEPS];
    wide e_unw[STEPS]; /* uW ns at t[i] */
    int n;
    int64_t pmax_uw;
};

static void truth_make(struct truth *x, uint64_t *seed, int64_t t0, int64_t pmax_uw)
{
    int64_t t = t0;
    x->n = STEPS;
    x->pmax_uw = pmax_uw;
    for (int i = 0; i < STEPS; i++) {
        x->t[i] = t;
        x->p_uw[i] = rec_below(seed, 4) ? rec_below(seed, pmax_uw) : 0;
        x->e_unw[i] = i ? x->e_unw[i - 1] + (wide)x->p_uw[i - 1] * (t - x->t[i - 1]) : 0;
        t += 1 + rec_below(seed, 60 * NS_PER_MS);
    }
}

static wide truth_unw(const struct truth *x, int64_t t)
{
    int i = 0;
    while (i + 1 < x->n && x->t[i + 1] <= t)
        i++;
    return t < x->t[0] ? 0 : x->e_unw[i] + (wide)x->p_uw[i] * (t - x->t[i]);
}

/* What a register shows that refreshes on a grid of `period` with `phase`, `lag` late, in steps of q. */
static int64_t shown(const struct truth *x, const struct channel_desc *d, int64_t phase, int64_t t)
{
    int64_t refreshed = t - (((t - phase) % d->period_ns) + d->period_ns) % d->period_ns;
    wide uj = truth_unw(x, refreshed - d->lag_ns) / 1000000000;
    return (int64_t)(uj / d->quantum * d->quantum);
}

struct rig {
    struct recorder rec;
    struct truth truth;
    int64_t phase, base;
    uint64_t seed;
};

static void sweep(struct rig *r, int64_t t, bool edge)
{
    int64_t before = t, after = t + 1000 + rec_below(&r->seed, 60000);
    /* The register is read somewhere inside the sweep. */
    int64_t at = before + rec_below(&r->seed, after - before);
    rec_set(&r->rec, 0, shown(&r->truth, &r->rec.channel[0].desc, r->phase, at) - r->base, 0);
    rec_put(&r->rec, before, after, edge ? TICK_EDGE : 0);
}

/* A 10-Hz grid and the four event sweeps of one run, as the queue takes them. */
static void record_run(struct rig *r, int64_t a, int64_t b, int64_t end)
{
    const struct channel_desc *d = &r->rec.channel[0].desc;
    int64_t u = d->period_ns + d->lag_ns, grid = NS_PER_S;
    int64_t edges[4] = {a - 200000, a + u + 1, b + 1000, b + u + 2000};
    int next = 0;
    int64_t last = 0;
    for (; grid < end; grid += 100 * NS_PER_MS) {
        while (next < 4 && edges[next] < grid) {
            int64_t t = edges[next] > last + 70000 ? edges[next] : last + 70000;
            if (t >= grid - 70000)
                t = grid - 140000 > last + 70000 ? t : last + 70000;
            next++;
            if (t <= last)
                continue;
            sweep(r, t, true);
            last = t;
        }
        if (grid > last + 70000) {
            sweep(r, grid, false);
            last = grid;
        }
    }
    rec_flush(&r->rec);
}

static void one_window(struct rig *r, int64_t span, int *hard, int *pmax)
{
    struct err e = {0};
    struct channel_row ch;
    struct energy_figure f;
    int64_t a = NS_PER_S + 150 * NS_PER_MS + rec_below(&r->seed, 300 * NS_PER_MS), b = a + span;
    rec_init(&r->rec);
    struct channel_desc *d = rec_add(&r->rec, "formula", CHANNEL_COUNTER);
    d->period_ns = 1 + rec_below(&r->seed, 3) * 20 * NS_PER_MS + rec_below(&r->seed, 2 * NS_PER_MS);
    d->lag_ns = rec_below(&r->seed, 2) ? rec_below(&r->seed, 5 * NS_PER_MS) : 0;
    d->quantum = 1 + rec_below(&r->seed, 100);
    truth_make(&r->truth, &r->seed, NS_PER_S / 2, 300000000);
    d->pmax_uw = rec_below(&r->seed, 2) ? r->truth.pmax_uw : 0;
    r->phase = rec_below(&r->seed, d->period_ns);
    rec_open_as(&r->rec, REC_BOOT, NS_PER_S);
    record_run(r, a, b, NS_PER_S + 2 * NS_PER_S);
    rec_must(samples_channel(r->rec.store, r->rec.id[0], &ch, &e), &e, "channel");
    struct energy_window w = {1, a, b};
    rec_must(energy_of_channel(r->rec.store, &ch, &w, &f, &e), &e, "energy");
    assert_true(f.known);
    if (!f.bounded)
        print_error("%s\n", f.bound_basis);
    assert_true(f.bounded);
    wide truth = truth_unw(&r->truth, b) - truth_unw(&r->truth, a);
    if ((wide)f.lo_uj * 1000000000 > truth || (wide)f.hi_uj * 1000000000 < truth)
        print_error("truth %lld not in %lld..%lld (%s), period %lld lag %lld\n",
                    (long long)(truth / 1000000000), (long long)f.lo_uj, (long long)f.hi_uj,
                    f.bound_basis, (long long)d->period_ns, (long long)d->lag_ns);
    assert_true((wide)f.lo_uj * 1000000000 <= truth);
    assert_true((wide)f.hi_uj * 1000000000 >= truth);
    assert_true(f.lo_uj <= f.energy_uj && f.energy_uj <= f.hi_uj);
    assert_true(f.lo_uj > 0 || strstr(f.flags, "below_resolution"));
    *hard += f.lo_uj > 0;
    *pmax += strcmp(f.bound_basis, "monotone+pmax") == 0;
    rec_fini(&r->rec);
}

static void test_bounds_hold_the_truth(void **state)
{
    (void)state;
    struct rig *r = calloc(1, sizeof(*r));
    int hard = 0, pmax = 0, n = 200;
    r->seed = rec_seed();
    for (int i = 0; i < n; i++)
        one_window(r, i % 2 ? 50 * NS_PER_MS : 1 + rec_below(&r->seed, 800 * NS_PER_MS), &hard,
                   &pmax);
    printf("%d windows, %d with a lower bound above 0, %d of them by pmax\n", n, hard, pmax);
    assert_true(hard > n / 3);
    assert_true(pmax > 0);
    free(r);
}

/* Thousands of windows over one recording without event sweeps: any window, any edge. */
static void test_any_window(void **state)
{
    (void)state;
    struct rig *r = calloc(1, sizeof(*r));
    struct err e = {0};
    struct channel_row ch;
    struct energy_figure f, g, h;
    r->seed = rec_seed();
    rec_init(&r->rec);
    r->rec.chunk_ticks = 37;
    struct channel_desc *d = rec_add(&r->rec, "formula", CHANNEL_COUNTER);
    d->period_ns = 37 * NS_PER_MS;
    d->lag_ns = 3 * NS_PER_MS;
    d->pmax_uw = 300000000;
    truth_make(&r->truth, &r->seed, NS_PER_S / 2, d->pmax_uw);
    rec_open_as(&r->rec, REC_BOOT, NS_PER_S);
    int64_t end = 5 * NS_PER_S, t = NS_PER_S;
    while (t < end) {
        sweep(r, t, false);
        t += 2 * NS_PER_MS + rec_below(&r->seed, 30 * NS_PER_MS);
    }
    rec_flush(&r->rec);
    rec_must(samples_channel(r->rec.store, r->rec.id[0], &ch, &e), &e, "channel");
    for (int i = 0; i < 3000; i++) {
        int64_t a = NS_PER_S + 40 * NS_PER_MS + rec_below(&r->seed, 3 * NS_PER_S);
        int64_t b = a + rec_below(&r->seed, 800 * NS_PER_MS),
                c = b + rec_below(&r->seed, 100 * NS_PER_MS);
        struct energy_window wf = {1, a, b}, wg = {1, b, c}, wh = {1, a, c};
        rec_must(energy_of_channel(r->rec.store, &ch, &wf, &f, &e), &e, "energy");
        rec_must(energy_of_channel(r->rec.store, &ch, &wg, &g, &e), &e, "energy");
        rec_must(energy_of_channel(r->rec.store, &ch, &wh, &h, &e), &e, "energy");
        wide truth = (truth_unw(&r->truth, b) - truth_unw(&r->truth, a));
        assert_true(f.bounded);
        assert_true((wide)f.lo_uj * 1000000000 <= truth && (wide)f.hi_uj * 1000000000 >= truth);
        assert_int_equal(f.energy_uj + g.energy_uj, h.energy_uj);
        assert_true(f.energy_uj >= 0 && g.energy_uj >= 0);
    }
    rec_fini(&r->rec);
    free(r);
}

/* ---- soft, missing and broken bounds ------------------------------------------------------------ */

static struct recorder rec;

static void steady(int64_t from, int64_t to, int64_t uj_per_tick)
{
    static int64_t value;
    if (from == 0)
        value = 0;
    for (int64_t i = from; i < to; i++) {
        value += uj_per_tick;
        rec_set(&rec, 0, value, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 1000, 0);
    }
    rec_flush(&rec);
}

static struct energy_figure figure_of(int64_t t0, int64_t t1)
{
    struct err e = {0};
    struct channel_row ch;
    struct energy_figure f;
    struct energy_window w = {store_boot(rec.store), t0, t1};
    rec_must(samples_channel(rec.store, rec.id[0], &ch, &e), &e, "channel");
    rec_must(energy_of_channel(rec.store, &ch, &w, &f, &e), &e, "energy");
    return f;
}

static void test_soft_and_none(void **state)
{
    (void)state;
    rec_init(&rec);
    struct channel_desc *d = rec_add(&rec, "c", CHANNEL_COUNTER);
    d->period_declared = false;
    rec_open_as(&rec, REC_BOOT, 0);
    steady(0, 100, 1000000);
    struct energy_figure f = figure_of(2 * NS_PER_S, 5 * NS_PER_S);
    assert_true(f.bounded);
    assert_string_equal(f.bound_basis, "soft: monotone, update period assumed");
    assert_int_equal(f.energy_uj, 30000000);
    f = figure_of(2 * NS_PER_S, 9900 * NS_PER_MS); /* nothing after it yet */
    assert_true(f.known);
    assert_false(f.bounded);
    assert_string_equal(f.bound_basis, "none: no sample after the window yet");
    f = figure_of(20 * NS_PER_S, 30 * NS_PER_S);
    assert_false(f.known);
    assert_true(*f.reason != '\0');
    assert_int_equal(f.covered_ns, 0);
    assert_int_equal(f.unknown_ns, 10 * NS_PER_S);
    f = figure_of(9 * NS_PER_S, 20 * NS_PER_S); /* half of it is not there */
    assert_true(f.known);
    assert_true(f.covered_ns < NS_PER_S && f.unknown_ns > 10 * NS_PER_S);
    assert_non_null(strstr(f.flags, "unknown"));
    rec_fini(&rec);
}

static void test_reset_breaks_bounds(void **state)
{
    (void)state;
    rec_init(&rec);
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    steady(0, 50, 1000);
    rec_set(&rec, 0, 50000, TICK_RESET);
    rec_put(&rec, 50 * 100 * NS_PER_MS, 50 * 100 * NS_PER_MS + 1000, 0);
    for (int i = 51; i < 100; i++) {
        rec_set(&rec, 0, 50000 + (i - 50) * 1000, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 1000, 0);
    }
    rec_flush(&rec);
    struct energy_figure f = figure_of(2 * NS_PER_S, 8 * NS_PER_S);
    assert_true(f.known);
    assert_false(f.bounded);
    assert_int_equal(f.energy_uj, 59000); /* 60 tenths of a second, one of them unknown */
    assert_int_equal(f.unknown_ns, 100 * NS_PER_MS);
    assert_non_null(strstr(f.flags, "reset"));
    assert_true(figure_of(6 * NS_PER_S, 8 * NS_PER_S).bounded);
    rec_fini(&rec);
}

/* A kill and a restart in the middle of a window: the counter bridges, the figure is whole and bounded. */
static void test_restart_inside(void **state)
{
    (void)state;
    rec_init(&rec);
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    steady(0, 50, 1000);
    rec_close(&rec, false);
    rec_open_as(&rec, REC_BOOT, 6 * NS_PER_S);
    assert_true(rec.raw_known[0]);
    for (int i = 70; i < 120; i++) {
        rec_set(&rec, 0, rec.e0[0] + (i - 49) * 1000, i == 70 ? TICK_BRIDGED : 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS + 1000, 0);
    }
    rec_flush(&rec);
    struct energy_figure f = figure_of(2 * NS_PER_S, 9 * NS_PER_S);
    assert_int_equal(f.energy_uj, 70000);
    assert_int_equal(f.bridged_uj, 21000);
    assert_int_equal(f.unknown_ns, 0);
    assert_int_equal(f.covered_ns, 7 * NS_PER_S);
    assert_true(f.bounded);
    assert_true(f.lo_uj <= 70000 && f.hi_uj >= 70000 && f.hi_uj < 75000);
    assert_non_null(strstr(f.flags, "bridged"));
    rec_fini(&rec);
}

/* The civil clock is set back an hour: an anchor more, not one joule. */
static void test_clock_step(void **state)
{
    (void)state;
    rec_init(&rec);
    rec_add(&rec, "c", CHANNEL_COUNTER);
    rec_open_as(&rec, REC_BOOT, 0);
    steady(0, 50, 1000);
    rec.utc_minus_boot -= 3600 * NS_PER_S;
    steady(50, 60, 1000); /* the daemon looks at the clocks once per second */
    steady(60, 100, 1000);
    struct energy_figure f = figure_of(2 * NS_PER_S, 8 * NS_PER_S);
    assert_int_equal(f.energy_uj, 60000);
    assert_true(f.bounded);
    assert_int_equal(f.unknown_ns, 0);
    assert_non_null(strstr(f.flags, "clock_step"));
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM anchor"), 2);
    assert_int_equal(rec_ask(&rec, "SELECT count(*) FROM anchor WHERE step = 1"), 1);
    assert_null(strstr(figure_of(NS_PER_S, 2 * NS_PER_S).flags, "clock_step"));
    rec_fini(&rec);
}

static void test_gauge_and_estimate(void **state)
{
    (void)state;
    rec_init(&rec);
    rec_add(&rec, "g", CHANNEL_GAUGE);
    rec_add(&rec, "est", CHANNEL_COUNTER)->quality = QUALITY_ESTIMATED;
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        rec_set(&rec, 0, 5000000, 0); /* 5 W */
        rec_set(&rec, 1, i * 1000, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    struct energy_figure f = figure_of(NS_PER_S, 3 * NS_PER_S);
    assert_int_equal(f.energy_uj, 10000000);
    assert_false(f.bounded);
    assert_int_equal(f.method, ENERGY_INTEGRAL);
    assert_int_equal(strncmp(f.bound_basis, "none: ", 6), 0);
    rec.id[0] = rec.id[1];
    f = figure_of(NS_PER_S, 3 * NS_PER_S);
    assert_int_equal(f.energy_uj, 20000);
    assert_false(f.bounded);
    assert_int_equal(f.method, ENERGY_ESTIMATE);
    assert_non_null(strstr(f.flags, "estimate"));
    rec_fini(&rec);
}

/* ---- limits ------------------------------------------------------------------------------------- */

static struct energy_spent spent(enum spec_figure figure, int64_t t0_ns, int64_t now_ns)
{
    struct energy_spent x;
    struct err e = {0};
    const struct spent_ask ask = {
        .boot = 1, .t0_ns = t0_ns, .now_ns = now_ns, .figure = figure, .alone = true};
    rec_must(energy_spent(rec.store, &ask, &x, &e), &e, "spent");
    return x;
}

/* 10 mW counted and 5 W read; 100 samples, 100 ms apart. */
static void record_both(void)
{
    rec_init(&rec);
    rec_add(&rec, "package-0", CHANNEL_COUNTER);
    rec_add(&rec, "gpu0", CHANNEL_GAUGE)->scope = SCOPE_GPU;
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        rec_set(&rec, 0, i * 1000, 0);
        rec_set(&rec, 1, 5000000, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
}

static void test_spent(void **state)
{
    (void)state;
    record_both();
    int64_t end = 9900 * NS_PER_MS;
    /* Nothing is claimed before its samples can have been stored. */
    struct energy_spent x = spent(SPEC_FIGURE_LO, end - NS_PER_S, end);
    assert_true(x.known);
    assert_int_equal(x.energy_uj, 0);
    /* The counter alone, never above what its final figure has for a bound, and not far below what flowed. */
    x = spent(SPEC_FIGURE_LO, 2 * NS_PER_S, end);
    assert_true(x.known);
    assert_in_range(x.energy_uj, 79000 - 3000, 79000);
    assert_true(x.energy_uj <= figure_of(2 * NS_PER_S, end - 200 * NS_PER_MS).lo_uj + 2000);
    assert_non_null(strstr(x.reason, "gpu0: not a counter"));
    /* Both, as the figure has them, up to where samples surely are. */
    x = spent(SPEC_FIGURE_MACHINE, 2 * NS_PER_S, end);
    assert_int_equal(x.energy_uj, 6700 * (10 + 5000));
    assert_string_equal(x.reason, "");
    assert_int_equal(spent(SPEC_FIGURE_ATTRIBUTED, 2 * NS_PER_S, end).energy_uj, x.energy_uj);
    assert_false(spent(SPEC_FIGURE_MACHINE, 20 * NS_PER_S, 30 * NS_PER_S).known);
    rec_fini(&rec);
}

static void test_spent_why_not(void **state)
{
    (void)state;
    char why[160];
    struct meter_channel c[3] = {{.desc = {.label = "pkg", .kind = CHANNEL_COUNTER}},
                                 {.desc = {.label = "gpu0", .kind = CHANNEL_GAUGE}},
                                 {.desc = {.label = "est", .kind = CHANNEL_COUNTER}}};
    c[2].desc.quality = QUALITY_ESTIMATED;
    const struct meter_channel *list[] = {&c[0], &c[1], &c[2]};
    static const struct {
        uint8_t in[3];
        enum spec_figure figure;
        const char *why;
    } rows[] = {
        {{1, 0, 0}, SPEC_FIGURE_LO, ""},
        {{1, 1, 0}, SPEC_FIGURE_LO, "gpu0 is integrated"},
        {{1, 1, 0}, SPEC_FIGURE_MACHINE, ""},
        {{0, 0, 1}, SPEC_FIGURE_LO, "est is an estimate"},
        {{0, 0, 1}, SPEC_FIGURE_ATTRIBUTED, ""},
        {{0, 0, 0}, SPEC_FIGURE_LO, "no meter"},
        {{0, 0, 0}, SPEC_FIGURE_MACHINE, "no meter"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)spent_why_not(rows[i].figure, list, rows[i].in, 3, why);
        assert_int_equal(why[0] == '\0', rows[i].why[0] == '\0');
        assert_non_null(strstr(why, rows[i].why));
    }
}

/* ---- totals ------------------------------------------------------------------------------------- */

static void test_total(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set set;
    rec_init(&rec);
    rec_add(&rec, "package-0", CHANNEL_COUNTER);
    struct channel_desc *core = rec_add(&rec, "core-0", CHANNEL_COUNTER);
    core->scope = SCOPE_CORE;
    core->parent = 0;
    struct channel_desc *dram = rec_add(&rec, "dram-0", CHANNEL_COUNTER);
    dram->scope = SCOPE_DRAM;
    struct channel_desc *mmio = rec_add(&rec, "package-0-mmio", CHANNEL_COUNTER);
    mmio->mirror_of = 0;
    struct channel_desc *est = rec_add(&rec, "estimate", CHANNEL_COUNTER);
    est->quality = QUALITY_ESTIMATED;
    est->scope = SCOPE_CPU;
    rec_add(&rec, "temp", CHANNEL_COMPANION);
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        static const int64_t step[] = {1000, 600, 300, 1000, 5000};
        for (size_t c = 0; c < 5; c++)
            rec_set(&rec, c, i * step[c], 0);
        rec_set(&rec, 5, 45000, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    struct energy_window w = {1, NS_PER_S, 3 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_int_equal(set.n, 5);
    assert_int_equal(set.total.energy_uj,
                     20000 + 6000); /* package + DRAM, nothing twice, no estimate */
    assert_string_equal(set.meter, "package-0 + dram-0");
    assert_string_equal(set.covers, "CPU package + DRAM; not GPU, PSU, fans, disks");
    assert_true(set.total.bounded);
    assert_int_equal(set.total.lo_uj, set.figures[0].lo_uj + set.figures[2].lo_uj);
    assert_int_equal(set.total.hi_uj, set.figures[0].hi_uj + set.figures[2].hi_uj);
    assert_null(strstr(set.total.flags, "estimate"));
    energy_set_fini(&set);
    /* Watching showed that the DRAM zone is the package again: the total follows. */
    rec_must(samples_doubt(rec.store, rec.id[2], NS_PER_S, "mirror", "shows package-0", &e), &e,
             "doubt");
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_int_equal(set.total.energy_uj, 20000);
    assert_string_equal(set.meter, "package-0");
    energy_set_fini(&set);
    w.t0_ns = 100 * NS_PER_S;
    w.t1_ns = 101 * NS_PER_S;
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_false(set.total.known);
    assert_true(*set.total.reason != '\0');
    energy_set_fini(&set);
    rec_fini(&rec);
}

/* Over a restart the leading source knows nothing of its gap; the other one bridges it and stands in. */
static void test_another_source_stands_in(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set set;
    rec_init(&rec);
    rec_add(&rec, "perf", CHANNEL_COUNTER);
    rec_add(&rec, "powercap", CHANNEL_COUNTER);
    rec.channel[0].source = "perf";
    rec.channel[1].source = "powercap";
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        bool away = i > 40 && i < 60;
        bool first = i == 60;
        rec_set(&rec, 0, (i < 60 ? i : i - 20) * 1000, first ? TICK_RESET : 0);
        rec_set(&rec, 1, i * 1000, first ? TICK_BRIDGED : 0);
        if (!away)
            rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    struct energy_window w = {1, 2 * NS_PER_S, 9 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_true(set.figures[0].unknown_ns > 0);
    assert_string_equal(set.meter, "powercap");
    assert_int_equal(set.total.energy_uj, 70000);
    assert_int_equal(set.total.unknown_ns, 0);
    energy_set_fini(&set);
    w.t1_ns = 3 * NS_PER_S; /* where both know all of it, the first one leads */
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_string_equal(set.meter, "perf");
    energy_set_fini(&set);
    rec_fini(&rec);
}

static void test_only_an_estimate(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set set;
    rec_init(&rec);
    struct channel_desc *est = rec_add(&rec, "estimate", CHANNEL_COUNTER);
    est->quality = QUALITY_ESTIMATED;
    est->scope = SCOPE_CPU;
    rec_open_as(&rec, REC_BOOT, 0);
    steady(0, 100, 1000);
    struct energy_window w = {1, NS_PER_S, 3 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_true(set.total.known);
    assert_int_equal(set.total.quality, QUALITY_ESTIMATED);
    assert_int_equal(set.total.method, ENERGY_ESTIMATE);
    assert_false(set.total.bounded);
    assert_non_null(strstr(set.total.flags, "estimate"));
    energy_set_fini(&set);
    rec_fini(&rec);
}

/* ---- splitting ---------------------------------------------------------------------------------- */

static void test_split(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int i = 0; i < 20000; i++) {
        int64_t weights[9], parts[9], sum = 0;
        wide all = 0;
        size_t n = 1 + (size_t)rec_below(&seed, 9);
        for (size_t k = 0; k < n; k++) {
            weights[k] =
                rec_below(&seed, 3) ? rec_below(&seed, INT64_C(1) << rec_below(&seed, 50)) : 0;
            all += weights[k];
        }
        int64_t energy = rec_below(&seed, INT64_C(1) << (1 + rec_below(&seed, 60)));
        energy_split(energy, weights, n, parts);
        for (size_t k = 0; k < n; k++) {
            sum += parts[k];
            wide exact = all ? (wide)energy * weights[k] / all : (wide)energy / (wide)n;
            assert_true(parts[k] - exact >= 0 && parts[k] - exact <= 1);
            assert_true(all == 0 || weights[k] > 0 || parts[k] == 0);
        }
        assert_int_equal(sum, energy);
    }
}

/* ---- how it was sampled ------------------------------------------------------------------------- */

static void test_sampling(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set set;
    rec_init(&rec);
    rec_add(&rec, "package-0", CHANNEL_COUNTER);
    struct channel_desc *g = rec_add(&rec, "gpu-0", CHANNEL_GAUGE);
    g->scope = SCOPE_GPU;
    struct channel_desc *a = rec_add(&rec, "gpu-1", CHANNEL_AVERAGE);
    a->scope = SCOPE_GPU;
    a->period_ns = 100 * NS_PER_MS;
    a->box_ns = 25 * NS_PER_MS;
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 100; i++) {
        if (i > 15 && i < 20)
            continue; /* 1.5 s to 2.0 s: nobody read */
        rec_set(&rec, 0, i * 1000, 0);
        rec_set(&rec, 1, i < 25 ? 5000000 : 9000000,
                0); /* one step of 4 W between 2.4 s and 2.5 s */
        rec_set(&rec, 2, 5000000, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    struct energy_window w = {1, NS_PER_S, 3 * NS_PER_S};
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    assert_int_equal(set.figures[0].samples, -1);
    rec_must(energy_sampling(rec.store, &w, &set, &e), &e, "sampling");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(set.figures[i].samples, 17); /* 1.0 .. 3.0 s, less four */
        assert_int_equal(set.figures[i].max_gap_ns, 500 * NS_PER_MS);
    }
    assert_int_equal(set.figures[0].sampling_uj, -1);            /* counters have bounds instead */
    assert_in_range(set.figures[1].sampling_uj, 200000, 200001); /* 4 W x 0.1 s / 2 */
    assert_int_equal(set.figures[0].sampled_ppm, 1000000);
    assert_int_equal(set.figures[1].sampled_ppm, 0);
    assert_int_equal(set.figures[2].sampled_ppm, 250000);
    assert_non_null(strstr(set.figures[2].flags, "part_time"));
    assert_non_null(strstr(set.total.flags, "part_time"));
    assert_int_equal(set.total.max_gap_ns, 500 * NS_PER_MS);
    energy_set_fini(&set);
    /* Edges inside a gap: it is counted whole, from reading to reading, though none is inside. */
    w = (struct energy_window){1, 1600 * NS_PER_MS, 1900 * NS_PER_MS};
    rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
    rec_must(energy_sampling(rec.store, &w, &set, &e), &e, "sampling");
    assert_int_equal(set.figures[0].samples, 0);
    assert_int_equal(set.figures[0].max_gap_ns, 500 * NS_PER_MS);
    energy_set_fini(&set);
    rec_fini(&rec);
}

/* ---- lag ---------------------------------------------------------------------------------------- */

/* What a power meter shows at t: of its newest refresh, `lag` late, the power or its mean over the box. */
static int64_t power_shown(const struct truth *x, const struct channel_desc *d, int64_t phase,
                           int64_t t)
{
    int64_t of = t - (((t - phase) % d->period_ns) + d->period_ns) % d->period_ns - d->lag_ns;
    int64_t box = d->kind == CHANNEL_AVERAGE ? d->box_ns : 1;
    return (int64_t)((truth_unw(x, of) - truth_unw(x, of - box)) / box);
}

static double off(int64_t uj, wide truth)
{
    double d = (double)uj * 1e9 - (double)truth;
    return (d < 0 ? -d : d) / 1e9;
}

/* Sums over many windows of how far off the figure is, read at the lag and as it stands. */
struct lag_sums {
    double moved, still;
    int held, n;
};

static void one_lagging(struct rig *r, bool average, struct lag_sums *sums)
{
    struct err e = {0};
    struct channel_row ch;
    struct energy_set set;
    rec_init(&r->rec);
    struct channel_desc *d = rec_add(&r->rec, "wall", average ? CHANNEL_AVERAGE : CHANNEL_GAUGE);
    d->scope = SCOPE_NODE;
    d->period_ns = (1 + rec_below(&r->seed, 10)) * 10 * NS_PER_MS;
    d->lag_ns = (2 + rec_below(&r->seed, 8)) * 100 * NS_PER_MS;
    d->box_ns = average ? d->period_ns + rec_below(&r->seed, 5) * 100 * NS_PER_MS : 0;
    truth_make(&r->truth, &r->seed, NS_PER_S, 300000000);
    r->phase = rec_below(&r->seed, d->period_ns);
    rec_open_as(&r->rec, REC_BOOT, 0);
    for (int64_t t = NS_PER_S / 10; t < 6 * NS_PER_S; t += 50 * NS_PER_MS) {
        int64_t at = t + rec_below(&r->seed, 100000);
        rec_set(&r->rec, 0, power_shown(&r->truth, d, r->phase, at), 0);
        rec_put(&r->rec, at, at, 0);
    }
    rec_flush(&r->rec);
    rec_must(samples_channel(r->rec.store, r->rec.id[0], &ch, &e), &e, "channel");
    int64_t a = NS_PER_S + rec_below(&r->seed, NS_PER_S);
    const struct energy_window w = {1, a, a + NS_PER_S / 2 + rec_below(&r->seed, NS_PER_S)};
    wide truth = truth_unw(&r->truth, w.t1_ns) - truth_unw(&r->truth, w.t0_ns);
    rec_must(energy_of_window(r->rec.store, &w, &set, &e), &e, "window");
    rec_must(energy_sampling(r->rec.store, &w, &set, &e), &e, "sampling");
    const struct energy_figure *f = &set.figures[0];
    assert_true(f->known && f->unknown_ns == 0);
    assert_int_equal(f->lag_ns, d->lag_ns + (average ? (d->box_ns - d->period_ns) / 2 : 0));
    assert_string_equal(f->lag_basis, "declared");
    sums->moved += off(f->energy_uj, truth);
    sums->held += off(f->energy_uj, truth) <= (double)f->sampling_uj;
    if (average && off(f->energy_uj, truth) > (double)f->sampling_uj)
        print_error("%.0f uJ off, %lld stated; period %lld box %lld lag %lld\n",
                    off(f->energy_uj, truth), (long long)f->sampling_uj, (long long)d->period_ns,
                    (long long)d->box_ns, (long long)d->lag_ns);
    energy_set_fini(&set);
    ch.lag_ns = 0; /* as if nobody had declared it */
    ch.box_ns = ch.period_ns;
    struct energy_figure still;
    rec_must(energy_of_channel(r->rec.store, &ch, &w, &still, &e), &e, "energy");
    assert_int_equal(still.lag_ns, 0);
    sums->still += off(still.energy_uj, truth);
    sums->n++;
    rec_fini(&r->rec);
}

static void test_lag_is_taken_out(void **state)
{
    (void)state;
    struct rig *r = calloc(1, sizeof(*r));
    r->seed = rec_seed();
    for (int average = 0; average < 2; average++) {
        struct lag_sums sums = {0};
        for (int i = 0; i < 60; i++)
            one_lagging(r, average != 0, &sums);
        print_message("%s: %.2f J off, %.2f J unmoved; %d of %d within what was stated\n",
                      average ? "average" : "gauge", sums.moved / 6e7, sums.still / 6e7, sums.held,
                      sums.n);
        assert_true(sums.moved < 0.8 * sums.still);
        if (average) /* the box bounds it; what a gauge has not seen it cannot state */
            assert_int_equal(sums.held, sums.n);
    }
    free(r);
}

static void test_lag_rules(void **state)
{
    (void)state;
    char basis[12];
    struct channel_row ch = {.kind = CHANNEL_GAUGE, .lag_learned_ns = -1, .period_ns = NS_PER_S};
    assert_int_equal(energy_lag_ns(&ch, basis), 0);
    assert_string_equal(basis, "");
    ch.lag_learned_ns = 1500 * NS_PER_MS; /* rounded up by at most a quarter of a second */
    assert_int_equal(energy_lag_ns(&ch, basis), 1250 * NS_PER_MS);
    assert_string_equal(basis, "learned");
    ch.lag_ns = 2 * NS_PER_S;
    assert_int_equal(energy_lag_ns(&ch, basis), 2 * NS_PER_S);
    assert_string_equal(basis, "declared");
    ch.kind = CHANNEL_COUNTER;
    assert_int_equal(energy_lag_ns(&ch, basis), 0);
    ch.kind = CHANNEL_AVERAGE;
    ch.quality = QUALITY_ESTIMATED;
    assert_int_equal(energy_lag_ns(&ch, basis), 0);
}

/* Adjacent windows add up; before the meter has shown an end the figure is provisional and not moved. */
static void test_lag_at_the_end(void **state)
{
    (void)state;
    rec_init(&rec);
    struct channel_desc *d = rec_add(&rec, "g", CHANNEL_GAUGE);
    d->lag_ns = 2 * NS_PER_S;
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 101; i++) {
        rec_set(&rec, 0, i * 1000000, 0); /* rises by 10 W a second */
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    struct energy_figure x = figure_of(NS_PER_S, 3 * NS_PER_S);
    struct energy_figure y = figure_of(3 * NS_PER_S, 5 * NS_PER_S);
    assert_int_equal(x.energy_uj, 80000000); /* 30 to 50 W: that of 3 s to 5 s of the curve */
    assert_int_equal(x.energy_uj + y.energy_uj, figure_of(NS_PER_S, 5 * NS_PER_S).energy_uj);
    assert_null(strstr(x.flags, "provisional"));
    struct energy_figure late = figure_of(7 * NS_PER_S, 9 * NS_PER_S);
    assert_int_equal(late.energy_uj, 160000000); /* 70 to 90 W: as it stands */
    assert_int_equal(late.lag_ns, 0);
    assert_int_equal(late.unknown_ns, 0);
    assert_non_null(strstr(late.flags, "provisional"));
    rec_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_hold_the_truth),
        cmocka_unit_test(test_any_window),
        cmocka_unit_test(test_soft_and_none),
        cmocka_unit_test(test_reset_breaks_bounds),
        cmocka_unit_test(test_restart_inside),
        cmocka_unit_test(test_clock_step),
        cmocka_unit_test(test_gauge_and_estimate),
        cmocka_unit_test(test_spent),
        cmocka_unit_test(test_spent_why_not),
        cmocka_unit_test(test_total),
        cmocka_unit_test(test_another_source_stands_in),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_lag_is_taken_out),
        cmocka_unit_test(test_lag_rules),
        cmocka_unit_test(test_lag_at_the_end),
        cmocka_unit_test(test_only_an_estimate),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
