/* Hard bounds against exact truth: any window of 20 ms to 10 min, any meter from 1 ms to 60 s with lag, step,
 * jittered refresh and sampler stalls must lie between lo and hi; and figures add up over any split.
 * WATTQ_WINDOWS: how many (500; .ci/slow asks for 10000). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/energy/energy.h"
#include "tests/support/recorder.h"

__extension__ typedef __int128 wide;

#define UNW INT64_C(1000000000) /* uW ns in a uJ */
#define MS  NS_PER_MS

/* Power steps at random times; exact to the uW ns. */
#define STEPS 4096
struct truth {
    int64_t t[STEPS], p_uw[STEPS];
    wide e[STEPS];
    int n;
};

static void truth_make(struct truth *x, uint64_t *seed, int64_t t0, int64_t t1, int64_t pmax_uw)
{
    int64_t mean = (t1 - t0) / (STEPS / 2) + 1;
    x->n = 0;
    for (int64_t t = t0; x->n < STEPS && t < t1; x->n++) {
        int i = x->n;
        x->t[i] = t;
        x->p_uw[i] = rec_below(seed, 4) ? rec_below(seed, pmax_uw) : 0;
        x->e[i] = i ? x->e[i - 1] + (wide)x->p_uw[i - 1] * (t - x->t[i - 1]) : 0;
        t += 1 + rec_below(seed, 2 * mean);
    }
}

static wide truth_at(const struct truth *x, int64_t t)
{
    int lo = 0, hi = x->n - 1;
    if (t <= x->t[0])
        return 0;
    while (lo < hi) {
        int mid = (lo + hi + 1) / 2;
        if (x->t[mid] <= t)
            lo = mid;
        else
            hi = mid - 1;
    }
    return x->e[lo] + (wide)x->p_uw[lo] * (t - x->t[lo]);
}

struct rig {
    struct recorder rec;
    struct truth truth;
    uint64_t seed;
    int64_t refreshed_ns, next_ns; /* the register's newest refresh, and its next one */
    int64_t base;
};

/* The register refreshes at least every period, at jittered times, and shows what was `lag` ago or later. */
static int64_t shown(struct rig *r, const struct channel_desc *d, int64_t t)
{
    if (t - r->next_ns > 8 * d->period_ns) /* nobody looked: where it would be now */
        r->next_ns = t - rec_below(&r->seed, d->period_ns);
    while (r->next_ns <= t) {
        r->refreshed_ns = r->next_ns;
        r->next_ns += 1 + d->period_ns / 2 + rec_below(&r->seed, d->period_ns - d->period_ns / 2);
    }
    int64_t late = d->lag_ns;
    wide uj = truth_at(&r->truth, r->refreshed_ns - late) / UNW;
    return (int64_t)uj - (int64_t)uj % d->quantum;
}

static int64_t sweep(struct rig *r, int64_t t, bool edge)
{
    struct channel_desc *d = &r->rec.channel[0].desc;
    int64_t after = t + 1000 + rec_below(&r->seed, rec_below(&r->seed, 50) ? 60000 : 4 * MS);
    int64_t at = t + rec_below(&r->seed, after - t);
    rec_set(&r->rec, 0, shown(r, d, at) - r->base, 0);
    rec_put(&r->rec, t, after, edge ? TICK_EDGE : 0);
    return after;
}

/* A grid of `pace` with stalls, and (for half of the recordings) the four edge sweeps of a run. */
static void record(struct rig *r, int64_t from, int64_t to, int64_t pace, const int64_t edges[4])
{
    int64_t t = from;
    int next = 0;
    while (t < to) {
        int64_t after = sweep(r, t, false);
        int64_t grid = (t / pace + 1) * pace;
        if (rec_below(&r->seed, 200) == 0)
            grid += pace * (1 + rec_below(&r->seed, 30)); /* the sampler stalled */
        while (next < 4 && edges[next] < grid) {
            int64_t x = edges[next] > after ? edges[next] : after + 1;
            if (x >= grid)
                break;
            after = sweep(r, x, true);
            next++;
        }
        t = grid > after ? grid : after + 1;
    }
    rec_flush(&r->rec);
}

static void draw_meter(struct rig *r, struct channel_desc *d)
{
    static const int64_t top[] = {1, 10, 100, 1000, 10000, 60000};
    d->period_ns = MS * (1 + rec_below(&r->seed, top[rec_below(&r->seed, 6)]));
    d->lag_ns = rec_below(&r->seed, 2) ? rec_below(&r->seed, d->period_ns + 1) : 0;
    d->quantum =
        rec_below(&r->seed, 2) ? 1 + rec_below(&r->seed, 100) : 1 + rec_below(&r->seed, 1000000);
}

/* 20 ms to 10 min, each size of it as likely. */
static int64_t draw_span(uint64_t *seed)
{
    static const int64_t most[] = {50, 200, 1000, 5000, 30000, 120000, 600000};
    return MS * (20 + rec_below(seed, most[rec_below(seed, 7)] - 20 + 1));
}

struct tally {
    int windows, bounded, positive, pmax, splits;
};

static void check(struct rig *r, const struct channel_row *ch, int64_t a, int64_t b,
                  struct tally *n)
{
    struct err e = {0};
    struct energy_figure f;
    struct energy_window w = {1, a, b};
    rec_must(energy_of_channel(r->rec.store, ch, &w, &f, &e), &e, "energy");
    n->windows++;
    if (!f.known || !f.bounded)
        return;
    wide truth = truth_at(&r->truth, b) - truth_at(&r->truth, a);
    if ((wide)f.lo_uj * UNW > truth || (wide)f.hi_uj * UNW < truth)
        print_error(
            "[%lld, %lld]: truth %lld not in %lld..%lld (%s), period %lld lag %lld step %lld\n",
            (long long)a, (long long)b, (long long)(truth / UNW), (long long)f.lo_uj,
            (long long)f.hi_uj, f.bound_basis, (long long)ch->period_ns, (long long)ch->lag_ns,
            (long long)ch->quantum);
    assert_true((wide)f.lo_uj * UNW <= truth);
    assert_true((wide)f.hi_uj * UNW >= truth);
    assert_true(f.lo_uj <= f.energy_uj && f.energy_uj <= f.hi_uj);
    n->bounded++;
    n->positive += f.lo_uj > 0;
    n->pmax += strcmp(f.bound_basis, "monotone+pmax") == 0;
}

static void split(struct rig *r, const struct channel_row *ch, int64_t a, int64_t c,
                  struct tally *n)
{
    struct err e = {0};
    struct energy_figure f, g, h;
    int64_t b = a + rec_below(&r->seed, c - a + 1);
    struct energy_window wf = {1, a, b}, wg = {1, b, c}, wh = {1, a, c};
    rec_must(energy_of_channel(r->rec.store, ch, &wf, &f, &e), &e, "energy");
    rec_must(energy_of_channel(r->rec.store, ch, &wg, &g, &e), &e, "energy");
    rec_must(energy_of_channel(r->rec.store, ch, &wh, &h, &e), &e, "energy");
    if (f.known && g.known && h.known) {
        assert_int_equal(f.energy_uj + g.energy_uj, h.energy_uj);
        n->splits++;
    }
}

/* One meter, one recording, some windows over it. */
static void one_recording(struct rig *r, int windows, struct tally *n)
{
    struct err e = {0};
    struct channel_row ch;
    rec_init(&r->rec);
    r->rec.chunk_ticks = (uint32_t)(20 + rec_below(&r->seed, 400));
    struct channel_desc *d = rec_add(&r->rec, "formula", CHANNEL_COUNTER);
    draw_meter(r, d);
    int64_t span = draw_span(&r->seed), u = d->period_ns + d->lag_ns;
    int64_t from = 200 * NS_PER_S, a = from + u + rec_below(&r->seed, 300 * MS) + MS, b = a + span;
    int64_t to = b + 2 * u + NS_PER_S, pmax = 1000000 + rec_below(&r->seed, 500000000);
    int64_t pace = (to - from) / 4000 > 100 * MS ? NS_PER_S : 100 * MS;
    const int64_t none[4] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    const int64_t edges[4] = {a - 200000, a + u + 1, b + 1000, b + u + 2000};
    truth_make(&r->truth, &r->seed, from - 2 * u - NS_PER_S, to, pmax);
    d->pmax_uw = rec_below(&r->seed, 2) ? pmax : 0;
    r->rec.period_ns = pace;
    r->next_ns = from - rec_below(&r->seed, d->period_ns);
    r->refreshed_ns = r->next_ns - d->period_ns;
    r->base = 0;
    rec_open_as(&r->rec, REC_BOOT, from);
    record(r, from, to, pace, rec_below(&r->seed, 2) ? edges : none);
    rec_must(samples_channel(r->rec.store, r->rec.id[0], &ch, &e), &e, "channel");
    check(r, &ch, a, b, n);
    for (int i = 1; i < windows; i++) {
        int64_t last = to - u - NS_PER_S / 2; /* mostly with a late sample, sometimes without */
        int64_t x = from + rec_below(&r->seed, last - from), y = x + draw_span(&r->seed);
        y = y < last || rec_below(&r->seed, 20) == 0 ? y : last;
        check(r, &ch, x, y, n);
        split(r, &ch, x, y, n);
    }
    rec_fini(&r->rec);
}

static void test_bounds_hold_the_truth(void **state)
{
    (void)state;
    const char *asked = getenv("WATTQ_WINDOWS");
    int want = asked ? atoi(asked) : 500;
    struct rig *r = calloc(1, sizeof(*r));
    struct tally n = {0};
    r->seed = rec_seed();
    while (n.windows < want)
        one_recording(r, 10, &n);
    print_message("%d windows, %d bounded, %d of them above 0, %d by pmax; %d splits\n", n.windows,
                  n.bounded, n.positive, n.pmax, n.splits);
    assert_true(n.bounded > n.windows / 3);
    assert_true(n.positive > n.windows / 10);
    assert_true(n.splits > n.windows / 3);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounds_hold_the_truth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
