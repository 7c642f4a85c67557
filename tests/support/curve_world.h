/* A meter whose samples are made up, and the curve that they mean: a brute force over the list of samples alone, in
 * 128 bits. Header only; the program includes cmocka.h first. */
#ifndef TESTS_SUPPORT_CURVE_WORLD_H
#define TESTS_SUPPORT_CURVE_WORLD_H

#include "tests/support/recorder.h"

__extension__ typedef __int128 wide;

enum link { REGULAR, BRIDGED, UNKNOWN };
struct ref_sample {
    int64_t t, v; /* v: energy the counter went up by since the sample before; power of a gauge */
    enum link link;
    bool closed; /* an epoch ended here */
};
struct reference {
    enum channel_kind kind;
    struct ref_sample s[40000];
    size_t n;
};

static inline wide floor_div(wide a, wide b)
{
    wide q = a / b;
    return a % b < 0 ? q - 1 : q;
}

static inline int64_t counter_at(const struct reference *r, int64_t t)
{
    /* The pieces between knots, from the first sample on, until one holds t. */
    wide e = 0;
    size_t knot = 0;
    wide e_knot = 0;
    for (size_t j = 1; j < r->n; j++) {
        const struct ref_sample *x = &r->s[j];
        if (x->link == UNKNOWN) {
            if (t <= x->t)
                return (int64_t)e;
            knot = j;
            e_knot = e;
            continue;
        }
        if (x->link == REGULAR && x->v == 0)
            continue;
        size_t from = x->link == BRIDGED ? j - 1 : knot;
        if (x->link == BRIDGED && t <= r->s[from].t)
            return (int64_t)e; /* flat up to the gap */
        e += x->v;
        if (t <= x->t)
            return (int64_t)(e_knot +
                             floor_div((e - e_knot) * (t - r->s[from].t), x->t - r->s[from].t));
        knot = j;
        e_knot = e;
    }
    return (int64_t)e;
}

static inline int64_t gauge_at(const struct reference *r, int64_t t)
{
    wide a = 0; /* halves of uW ns */
    for (size_t j = 1; j < r->n; j++) {
        int64_t t0 = r->s[j - 1].t, t1 = r->s[j].t, p0 = r->s[j - 1].v, p1 = r->s[j].v;
        int64_t x = t < t1 ? t - t0 : t1 - t0;
        if (r->s[j].link == REGULAR && r->kind == CHANNEL_AVERAGE)
            a += (wide)2 * p1 * x;
        else if (r->s[j].link == REGULAR)
            a += (wide)2 * p0 * x + floor_div((wide)(p1 - p0) * x * x, t1 - t0);
        if (t <= t1)
            break;
    }
    return (int64_t)floor_div(a, 2000000000);
}

static inline int64_t ref_at(const struct reference *r, int64_t t)
{
    return r->kind == CHANNEL_COUNTER ? counter_at(r, t) : gauge_at(r, t);
}

static inline int64_t ref_unknown(const struct reference *r, int64_t t)
{
    int64_t sum = 0;
    for (size_t j = 1; j < r->n && r->s[j - 1].t < t; j++)
        if (r->s[j].link == UNKNOWN || (r->kind != CHANNEL_COUNTER && r->s[j].link == BRIDGED))
            sum += (t < r->s[j].t ? t : r->s[j].t) - r->s[j - 1].t;
    return sum;
}

static inline int64_t ref_bridged_ns(const struct reference *r, int64_t t)
{
    int64_t sum = 0;
    for (size_t j = 1; j < r->n && r->s[j - 1].t < t; j++)
        if (r->kind == CHANNEL_COUNTER && r->s[j].link == BRIDGED)
            sum += (t < r->s[j].t ? t : r->s[j].t) - r->s[j - 1].t;
    return sum;
}

/* ---- a world that makes samples and knows the truth --------------------------------------------- */

#define CHANNELS 4
struct world {
    struct recorder rec;
    struct reference ref[CHANNELS];
    int64_t reg[CHANNELS]; /* cumulative value as the meter gives it */
    enum link next[CHANNELS];
    int64_t pending[CHANNELS]; /* energy since the last valid sample */
    int64_t t;
    int64_t suspend_ns;
    uint64_t seed;
};

static inline void world_init_at(struct world *w, uint64_t seed, uint32_t chunk, int64_t period_ns)
{
    rec_init(&w->rec);
    w->seed = seed;
    w->t = 5 * NS_PER_S;
    w->rec.chunk_ticks = chunk;
    w->rec.period_ns = period_ns;
    rec_add(&w->rec, "counter-fast", CHANNEL_COUNTER)->wrap_uj = 262143328850;
    rec_add(&w->rec, "counter-slow", CHANNEL_COUNTER);
    rec_add(&w->rec, "gauge", CHANNEL_GAUGE);
    rec_add(&w->rec, "average", CHANNEL_AVERAGE);
    for (size_t i = 0; i < CHANNELS; i++)
        w->ref[i].kind = w->rec.channel[i].desc.kind;
    rec_open_as(&w->rec, REC_BOOT, w->t);
}

static inline void world_init(struct world *w, uint64_t seed, uint32_t chunk)
{
    world_init_at(w, seed, chunk, 100 * NS_PER_MS);
}

static inline void note(struct world *w, size_t i, int64_t mid, int64_t v, enum link link)
{
    struct reference *r = &w->ref[i];
    assert_true(r->n < ARRAY_LEN(r->s));
    if (r->n > 0 && mid - r->s[r->n - 1].t > walk_stall_ns(w->rec.period_ns) && link == REGULAR)
        link = BRIDGED; /* a stall */
    r->s[r->n++] = (struct ref_sample){mid, v, link, false};
    w->next[i] = REGULAR;
    w->pending[i] = 0;
}

static inline int64_t new_value(struct world *w, size_t i)
{
    if (i == 0)
        return rec_below(&w->seed, 30000000);
    if (i == 1)
        return rec_below(&w->seed, 10) ? 0 : 1 + rec_below(&w->seed, 50000000);
    return rec_below(&w->seed, 400000000);
}

/* One tick `step` later; each channel fails with 1 in `fails`, a counter resets with 1 in `resets`. */
static inline void world_tick(struct world *w, int64_t step, int64_t fails, int64_t resets)
{
    w->t += step;
    int64_t before = w->t, after = w->t + 1 + rec_below(&w->seed, 200000);
    int64_t mid = before + (after - before) / 2;
    bool edge = rec_below(&w->seed, 20) == 0;
    for (size_t i = 0; i < CHANNELS; i++) {
        bool counter = i < 2;
        int64_t v = new_value(w, i);
        uint8_t state = READING_OK;
        if (fails && rec_below(&w->seed, fails) == 0) {
            state = READING_IO;
            if (!edge && w->ref[i].n > 0)
                w->next[i] = w->next[i] == REGULAR ? BRIDGED : w->next[i];
            w->pending[i] += counter ? v : 0;
        } else if (counter && resets && w->ref[i].n > 0 && rec_below(&w->seed, resets) == 0) {
            state = READING_OK | TICK_RESET;
            note(w, i, mid, 0, UNKNOWN);
        } else if (counter) {
            w->reg[i] += w->pending[i] + v;
            if (w->next[i] == BRIDGED && w->rec.raw_known[i])
                state |= TICK_BRIDGED; /* harmless inside an epoch */
            note(w, i, mid, w->pending[i] + v, w->next[i]);
        } else {
            note(w, i, mid, v, w->next[i]);
        }
        rec_set(&w->rec, i, counter ? w->reg[i] : v, state);
    }
    w->rec.tick->suspend_ns = w->suspend_ns;
    rec_put(&w->rec, before, after, edge ? TICK_EDGE : 0);
}

static inline void check_point(struct world *w, size_t i, int64_t t)
{
    struct err e = {0};
    struct curve_point p;
    const struct reference *r = &w->ref[i];
    int rc = samples_curve(w->rec.store, w->rec.id[i], 1, t, &p, &e);
    if (rc < 0)
        print_error("%s\n", e.text);
    bool inside = t >= r->s[0].t && t <= r->s[r->n - 1].t;
    assert_int_equal(rc, inside ? 0 : 1);
    if (!inside)
        return;
    if (p.e_uj != ref_at(r, t))
        print_error("channel %zu t %lld: %lld, reference %lld\n", i, (long long)t,
                    (long long)p.e_uj, (long long)ref_at(r, t));
    assert_int_equal(p.e_uj, ref_at(r, t));
    assert_int_equal(p.unknown_ns, ref_unknown(r, t));
    assert_int_equal(p.bridged_ns, ref_bridged_ns(r, t));
}

static inline void check_many(struct world *w, int n)
{
    int64_t from = 5 * NS_PER_S, span = w->t - from + NS_PER_S;
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < CHANNELS; i++)
            check_point(w, i, from + rec_below(&w->seed, span));
    for (int k = 0; k < n; k++) { /* exactly on samples, where pieces meet */
        size_t i = (size_t)rec_below(&w->seed, CHANNELS);
        check_point(w, i, w->ref[i].s[rec_below(&w->seed, (int64_t)w->ref[i].n)].t);
    }
}

/* What a restart must do to the reference: counters bridge when the store says they may. */
static inline void world_restart(struct world *w, bool stop, int64_t away_ns)
{
    rec_flush(&w->rec);
    rec_close(&w->rec, stop);
    w->t += away_ns;
    rec_open_as(&w->rec, REC_BOOT, w->t);
    for (size_t i = 0; i < CHANNELS; i++) {
        int64_t used = i < 2 ? 1 + rec_below(&w->seed, 100000000) : 0;
        w->next[i] = i < 2 && w->rec.raw_known[i] ? BRIDGED : UNKNOWN;
        w->reg[i] = w->rec.e0[i];
        w->pending[i] = w->next[i] == BRIDGED ? used : 0;
    }
}

/* First tick of an epoch: the meter marks bridged counters; unknown ones start without a delta. */
static inline void world_first_tick(struct world *w)
{
    w->t += 50 * NS_PER_MS;
    for (size_t i = 0; i < CHANNELS; i++) {
        bool bridged = i < 2 && w->next[i] == BRIDGED;
        int64_t v = i < 2 ? w->pending[i] : new_value(w, i);
        if (i < 2)
            w->reg[i] += bridged ? v : 0;
        note(w, i, w->t, i < 2 && !bridged ? 0 : v, w->next[i]);
        rec_set(&w->rec, i, i < 2 ? w->reg[i] : v, bridged ? TICK_BRIDGED : 0);
    }
    w->rec.tick->suspend_ns = w->suspend_ns;
    rec_put(&w->rec, w->t, w->t, TICK_FIRST);
}

#endif
