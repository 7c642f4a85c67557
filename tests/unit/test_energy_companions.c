/* What stood beside a run: sums against brute force over every instant, the same from stored samples with
 * failed reads and restarts, what is kept with a run, and the flags; and how often a register wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/energy/energy_internal.h"
#include "daemon/meter/throttle.h"
#include "daemon/store/beside.h"
#include "daemon/store/runs.h"
#include "tests/support/recorder.h"

__extension__ typedef __int128 wide;

#define STALL  INT64_C(30)
#define SPAN   200
#define PAST   60 /* before the window, and after */
#define POINTS 400

struct point {
    int64_t t, value;
    bool failed; /* reads before it had no value */
};
struct history {
    struct point at[POINTS];
    size_t n;
    bool failed; /* after the newest */
};

static const char *const units[] = {"mC", "mask", "n", "ms"};

static int64_t random_value(uint64_t *seed, const char *unit, int64_t before)
{
    if (strcmp(unit, "mask") == 0)
        return rec_below(seed, 2) ? 0 : rec_below(seed, 0x200);
    if (strcmp(unit, "mC") == 0)
        return rec_below(seed, 200) - 100;
    return rec_below(seed, 10) == 0 ? rec_below(seed, 5) : before + rec_below(seed, 3);
}

static void make(struct history *h, uint64_t *seed, const char *unit, int64_t step)
{
    int64_t value = 0;
    h->n = 0;
    for (int64_t t = rec_below(seed, PAST); t < 2 * PAST + SPAN && h->n < POINTS;) {
        value = random_value(seed, unit, value);
        h->at[h->n++] = (struct point){t, value, rec_below(seed, 12) == 0};
        t += 1 + rec_below(seed, rec_below(seed, 10) ? step : 3 * STALL);
    }
    h->failed = rec_below(seed, 4) == 0;
}

/* Does reading i hold at t? */
static bool holds_at(const struct history *h, size_t i, int64_t t, int64_t t1)
{
    if (h->at[i].t > t)
        return false;
    if (i + 1 < h->n)
        return t < h->at[i + 1].t && !h->at[i + 1].failed && h->at[i + 1].t - h->at[i].t <= STALL;
    return !h->failed && t1 - h->at[i].t <= STALL;
}

struct brute {
    bool any;
    int64_t known, sum, min, max, first, last, bits, limited, capped, samples, gained;
};

static void see(struct brute *b, int64_t v)
{
    if (!b->any)
        b->min = b->max = b->first = v;
    b->any = true;
    b->min = v < b->min ? v : b->min;
    b->max = v > b->max ? v : b->max;
    b->last = v;
    b->bits |= v;
}

static struct brute brute_of(const struct history *h, int64_t t0, int64_t t1)
{
    struct brute b = {0};
    for (int64_t t = t0; t < t1; t++) {
        for (size_t i = 0; i < h->n; i++) {
            if (h->at[i].t == t) {
                see(&b, h->at[i].value);
                b.samples++;
                bool held = i > 0 && !h->at[i].failed && t - h->at[i - 1].t <= STALL;
                if (i > 0 && (held || h->at[i - 1].t >= t0) && h->at[i].value > h->at[i - 1].value)
                    b.gained += h->at[i].value - h->at[i - 1].value;
            }
            if (!holds_at(h, i, t, t1))
                continue;
            see(&b, h->at[i].value);
            b.known++;
            b.sum += h->at[i].value;
            b.limited += (h->at[i].value & THROTTLE_LIMITED) != 0;
            b.capped += (h->at[i].value & THROTTLE_POWER_CAP) != 0;
        }
    }
    return b;
}

static int64_t rounded(int64_t sum, int64_t by)
{
    int64_t twice = 2 * sum + by;
    int64_t q = twice / (2 * by);
    return twice % (2 * by) < 0 ? q - 1 : q;
}

static void same(const struct companion *c, const struct brute *b, const char *unit)
{
    enum companion_kind kind = companion_kind_of(unit);
    bool level = kind == COMPANION_LEVEL, mask = kind == COMPANION_MASK;
    assert_int_equal(c->samples, b->samples);
    assert_int_equal(c->known_ns, b->known);
    assert_int_equal(c->first, b->first);
    assert_int_equal(c->last, b->last);
    assert_int_equal(c->min, level ? b->min : COMPANION_NONE);
    assert_int_equal(c->max, level ? b->max : COMPANION_NONE);
    assert_int_equal(c->mean, level && b->known ? rounded(b->sum, b->known) : COMPANION_NONE);
    assert_int_equal(c->gained, kind == COMPANION_COUNT ? b->gained : COMPANION_NONE);
    assert_int_equal(c->bits, mask ? b->bits : COMPANION_NONE);
    assert_int_equal(c->capped_ns, mask ? b->capped : COMPANION_NONE);
    assert_int_equal(c->limited_ns, mask                      ? b->limited
                                    : strcmp(unit, "ms") == 0 ? b->gained * NS_PER_MS
                                                              : COMPANION_NONE);
}

/* Hands the sum what its header asks for: from the newest before t0 to the oldest from t1 on. */
static bool sum_of(const struct history *h, const char *unit, int64_t t0, int64_t t1,
                   struct companion *out)
{
    struct companion_sum x;
    size_t i = 0;
    companion_begin(&x, unit, t0, t1, STALL);
    while (i + 1 < h->n && h->at[i + 1].t < t0)
        i++;
    for (; i < h->n; i++) {
        companion_take(&x, h->at[i].t, h->at[i].value, h->at[i].failed);
        if (h->at[i].t >= t1)
            return companion_end(&x, false, out);
    }
    return companion_end(&x, h->failed, out);
}

static void test_sums(void **state)
{
    (void)state;
    struct history h;
    uint64_t seed = rec_seed();
    int unknown = 0, partly = 0;
    for (int i = 0; i < 20000; i++) {
        const char *unit = units[rec_below(&seed, 4)];
        int64_t t0 = PAST + rec_below(&seed, SPAN), t1 = t0 + 1 + rec_below(&seed, SPAN);
        struct companion c;
        make(&h, &seed, unit, 1 + rec_below(&seed, STALL));
        struct brute b = brute_of(&h, t0, t1);
        bool any = h.n > 0 && sum_of(&h, unit, t0, t1, &c);
        assert_int_equal(any, b.any);
        unknown += !any;
        partly += any && b.known > 0 && b.known < t1 - t0;
        if (any)
            same(&c, &b, unit);
    }
    printf("%d unknown, %d known in part\n", unknown, partly);
    assert_true(unknown > 10 && partly > 1000);
}

/* ---- stored -------------------------------------------------------------------------------------- */

#define TICK (100 * NS_PER_MS)

struct stored {
    struct recorder rec;
    struct companion_sum x[4]; /* fed beside, of the window */
    bool failed[4], fresh[4];  /* fresh: no reading yet in this epoch */
    int64_t t0, t1;
    uint64_t seed;
};

static void record(struct stored *w, int64_t t)
{
    for (size_t i = 0; i < 4; i++) {
        struct companion_sum *x = &w->x[i];
        bool fails = rec_below(&w->seed, 20) == 0;
        int64_t v = fails ? x->prev_value : random_value(&w->seed, units[i], x->prev_value);
        rec_set(&w->rec, i, v, fails ? READING_IO : READING_OK);
        if (x->prev_ns != INT64_MIN && x->prev_ns >= w->t1)
            continue;
        if (!fails) {
            companion_take(x, t, v, w->failed[i]);
            w->fresh[i] = false;
        }
        w->failed[i] = fails && !w->fresh[i];
    }
    rec_put(&w->rec, t - 1000, t + 1000, 0);
}

static void fresh_epoch(struct stored *w, int64_t now_ns)
{
    rec_open_as(&w->rec, REC_BOOT, now_ns);
    for (size_t i = 0; i < 4; i++) {
        w->fresh[i] = true;
        w->failed[i] = false;
    }
}

static void record_all(struct stored *w)
{
    rec_init(&w->rec);
    w->rec.chunk_ticks = (uint32_t)(20 + rec_below(&w->seed, 30));
    for (size_t i = 0; i < 4; i++) {
        struct channel_desc *d = rec_add(&w->rec, units[i], CHANNEL_COMPANION);
        strcpy(d->unit, units[i]);
        d->period_ns = TICK;
        companion_begin(&w->x[i], units[i], w->t0, w->t1, walk_stall_ns(TICK));
    }
    fresh_epoch(w, NS_PER_S);
    int64_t t = NS_PER_S;
    for (int k = 0; k < 400; k++) {
        t += rec_below(&w->seed, 60) ? TICK : rec_below(&w->seed, 20) * TICK;
        t += 3000;
        record(w, t);
        if (rec_below(&w->seed, 130) == 0) {
            rec_close(&w->rec, true);
            fresh_epoch(w, t + 2000);
        } else if (rec_below(&w->seed, 5) == 0) {
            rec_flush(&w->rec);
        }
    }
    rec_flush(&w->rec);
}

static void test_stored(void **state)
{
    (void)state;
    struct stored *w = calloc(1, sizeof(*w));
    w->seed = rec_seed();
    for (int i = 0; i < 60; i++) {
        struct companions c CLEANUP(companions_fini) = {0};
        struct err e = {0};
        w->t0 = NS_PER_S + rec_below(&w->seed, 30 * NS_PER_S);
        w->t1 = w->t0 + 1 + rec_below(&w->seed, 20 * NS_PER_S);
        record_all(w);
        const struct energy_window win = {1, w->t0, w->t1};
        rec_must(companions_of_window(w->rec.store, &win, &c, &e), &e, "companions");
        for (size_t k = 0; k < 4; k++) {
            struct companion expected;
            size_t at = 0;
            bool any = companion_end(&w->x[k], w->failed[k], &expected);
            while (at < c.n && c.channels[at].id != w->rec.id[k])
                at++;
            assert_int_equal(at < c.n, any);
            if (any)
                assert_memory_equal(&c.at[at], &expected, sizeof(expected));
        }
        rec_fini(&w->rec);
    }
    free(w);
}

/* ---- kept with a run ------------------------------------------------------------------------------ */

static int64_t new_run(struct store *s)
{
    struct err e = {0};
    struct spec spec;
    int64_t id = 0;
    spec_init(&spec);
    spec.argv = base_alloc(2 * sizeof(char *));
    spec.argv[0] = base_strdup("true");
    spec.argc = 1;
    spec.cwd = base_strdup("/");
    const struct run_new n = {.spec = &spec,
                              .submitted_utc_ns = 1,
                              .sweep = RUN_NONE,
                              .sweep_index = RUN_NONE,
                              .retry_of = RUN_NONE};
    rec_must(runs_insert(s, &n, &id, &e), &e, "run");
    spec_fini(&spec);
    return id;
}

static int compare_row(void *arg, const struct beside_row *r)
{
    const struct companions *c = arg;
    for (size_t i = 0; i < c->n; i++)
        if (c->channels[i].id == r->channel) {
            assert_memory_equal(&r->c, &c->at[i], sizeof(r->c));
            assert_string_equal(r->uid, c->channels[i].uid);
            assert_int_equal(r->default_uw, COMPANION_NONE);
            return 0;
        }
    fail();
    return 0;
}

static void test_kept(void **state)
{
    (void)state;
    struct stored *w = calloc(1, sizeof(*w));
    struct companions c CLEANUP(companions_fini) = {0};
    struct err e = {0};
    w->seed = rec_seed();
    w->t0 = 2 * NS_PER_S;
    w->t1 = 20 * NS_PER_S;
    record_all(w);
    const struct energy_window win = {1, w->t0, w->t1};
    rec_must(companions_of_window(w->rec.store, &win, &c, &e), &e, "companions");
    assert_int_equal(c.n, 4);
    rec_must(store_begin(w->rec.store, true, &e), &e, "begin");
    int64_t run = new_run(w->rec.store);
    rec_must(beside_keep(w->rec.store, run, &c, &e), &e, "keep");
    rec_must(beside_keep(w->rec.store, run, &c, &e), &e, "keep again");
    rec_must(beside_of_run(w->rec.store, run, compare_row, &c, &e), &e, "rows");
    rec_must(store_commit(w->rec.store, &e), &e, "commit");
    assert_int_equal(rec_ask(&w->rec, "SELECT count(*) FROM run_companion"), 4);
    rec_fini(&w->rec);
    free(w);
}

/* ---- flags --------------------------------------------------------------------------------------- */

struct scene {
    struct channel_row ch[4];
    struct companion at[4];
    struct companions c;
    struct channel_row meter[2];
    struct energy_figure figure[2];
    struct energy_set set;
};

static void scene_init(struct scene *x)
{
    memset(x, 0, sizeof(*x));
    x->c = (struct companions){.channels = x->ch, .at = x->at};
    x->set = (struct energy_set){.channels = x->meter, .figures = x->figure, .n = 2};
    strcpy(x->meter[0].device, "package-0");
    strcpy(x->meter[1].device, "GPU-1");
}

static struct companion *add(struct scene *x, const char *unit, const char *device)
{
    struct companion *c = &x->at[x->c.n];
    strcpy(x->ch[x->c.n].unit, unit);
    strcpy(x->ch[x->c.n++].device, device);
    *c = (struct companion){.samples = 100,
                            .known_ns = 100 * NS_PER_S,
                            .min = COMPANION_NONE,
                            .mean = COMPANION_NONE,
                            .max = COMPANION_NONE,
                            .gained = COMPANION_NONE,
                            .bits = COMPANION_NONE,
                            .limited_ns = COMPANION_NONE,
                            .capped_ns = COMPANION_NONE};
    return c;
}

static void flagged(struct scene *x, const char *total, const char *cpu, const char *gpu)
{
    x->set.total.flags[0] = x->figure[0].flags[0] = x->figure[1].flags[0] = '\0';
    companions_flag(&x->c, &x->set);
    assert_string_equal(x->set.total.flags, total);
    assert_string_equal(x->figure[0].flags, cpu);
    assert_string_equal(x->figure[1].flags, gpu);
}

static void test_masks_flag(void **state)
{
    (void)state;
    struct scene x;
    scene_init(&x);
    struct companion *mask = add(&x, "mask", "GPU-1");
    mask->bits = THROTTLE_IDLE | THROTTLE_SET_CLOCKS;
    mask->limited_ns = NS_PER_S; /* 1 % is not more than 1 % */
    mask->capped_ns = NS_PER_S;
    flagged(&x, "", "", "");
    mask->limited_ns++;
    flagged(&x, "throttled", "", "throttled");
    mask->capped_ns = 60 * NS_PER_S;
    flagged(&x, "throttled power_capped", "", "throttled power_capped");
    mask->limited_ns = 0;
    flagged(&x, "power_capped", "", "power_capped");
    mask->known_ns = 0; /* nothing known is not "all of it" */
    mask->capped_ns = 0;
    flagged(&x, "", "", "");
}

static void test_counts_flag(void **state)
{
    (void)state;
    struct scene x;
    scene_init(&x);
    struct companion *events = add(&x, "n", "package-0");
    strcpy(x.ch[0].uid, "throttle/package-0/cores/events");
    events->gained = 0;
    flagged(&x, "", "", "");
    events->gained = 3;
    flagged(&x, "throttled", "throttled", ""); /* nobody says for how long */
    struct companion *other = add(&x, "ms", "package-0");
    strcpy(x.ch[1].uid, "throttle/package-0/package/time");
    other->gained = other->limited_ns = 0;
    flagged(&x, "throttled", "throttled", ""); /* that is another thing's time */
    struct companion *ms = add(&x, "ms", "package-0");
    strcpy(x.ch[2].uid, "throttle/package-0/cores/time");
    ms->gained = 20;
    ms->limited_ns = 20 * NS_PER_MS;
    flagged(&x, "", "", ""); /* too short to matter */
    ms->gained = 2000;
    ms->limited_ns = 2 * NS_PER_S;
    flagged(&x, "throttled", "throttled", "");
    ms->gained = ms->limited_ns = 0;
    flagged(&x, "throttled", "throttled", ""); /* one goes on: its time is told when it is over */
}

static void test_limits_flag(void **state)
{
    (void)state;
    struct scene x;
    scene_init(&x);
    struct companion *limit = add(&x, "uW", "package-0");
    limit->min = limit->max = limit->mean = 65000000;
    flagged(&x, "", "", ""); /* no default is known, and it stood still */
    x.ch[0].pmax_uw = 65000000;
    flagged(&x, "", "", "");
    limit->min = limit->max = 45000000;
    flagged(&x, "power_capped", "power_capped", "");
    limit->min = limit->max = 64500000; /* within 1 %: a limit is kept in steps */
    flagged(&x, "", "", "");
    x.ch[0].pmax_uw = 0;
    limit->max = 90000000;
    flagged(&x, "power_capped", "power_capped", ""); /* changed meanwhile */
    strcpy(x.ch[0].device, "GPU-1");
    add(&x, "mask", "GPU-1")->limited_ns = 0;
    x.at[1].capped_ns = 0;
    flagged(&x, "", "", ""); /* its mask says that the limit was not reached */
}

/* ---- wraps --------------------------------------------------------------------------------------- */

static void test_wraps(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int i = 0; i < 20000; i++) {
        int64_t wrap = 1 + rec_below(&seed, 50), raw = rec_below(&seed, wrap), n = 0;
        int64_t moved = rec_below(&seed, 200);
        for (int64_t k = 0, at = raw; k < moved; k++) {
            at = at + 1 == wrap ? 0 : at + 1;
            n += at == 0;
        }
        assert_int_equal(wraps_between(raw, moved, wrap), n);
    }
    assert_int_equal(wraps_between(5, 100, 0), 0);
    assert_int_equal(wraps_between(5, -3, 10), 0);
    assert_int_equal(wraps_between(INT64_MAX, INT64_MAX, INT64_C(262143328851)),
                     2 * (wide)INT64_MAX / INT64_C(262143328851) -
                         INT64_MAX / INT64_C(262143328851));
}

/* A register of 1 J at 1 W, and what a window says of it. */
static void wrap_case(int64_t t0, int64_t t1, int64_t reset_ns, bool wraps)
{
    struct recorder *r = calloc(1, sizeof(*r));
    struct err e = {0};
    struct channel_row ch;
    struct energy_figure f;
    rec_init(r);
    struct channel_desc *d = rec_add(r, "small", CHANNEL_COUNTER);
    d->wrap_uj = 1000000;
    d->quantum = 1;
    rec_open_as(r, REC_BOOT, NS_PER_S);
    int64_t cum = 0;
    for (int64_t t = NS_PER_S; t < 4 * NS_PER_S; t += TICK, cum += 100000) {
        rec_set(r, 0, cum, t == reset_ns ? TICK_RESET : 0);
        tick_raws(r->tick)[0] = (cum + 550000) % 1000000;
        rec_put(r, t - 1000, t + 1000, 0);
    }
    rec_flush(r);
    rec_must(samples_channel(r->store, r->id[0], &ch, &e), &e, "channel");
    const struct energy_window w = {1, t0, t1};
    rec_must(energy_of_channel(r->store, &ch, &w, &f, &e), &e, "energy");
    if ((strstr(f.flags, "wrap") != NULL) != wraps)
        print_error("%lld..%lld: '%s'\n", (long long)t0, (long long)t1, f.flags);
    assert_int_equal(strstr(f.flags, "wrap") != NULL, wraps);
    rec_fini(r);
    free(r);
}

/* It stands at 0.55 J at 1 s: it wraps at 1.45, 2.45 and 3.45 s. */
static void test_wrap_is_flagged(void **state)
{
    (void)state;
    wrap_case(1500 * NS_PER_MS, 2400 * NS_PER_MS, 0, false);
    wrap_case(1500 * NS_PER_MS, 2500 * NS_PER_MS, 0, true);
    wrap_case(1100 * NS_PER_MS, 1400 * NS_PER_MS, 0, false);
    wrap_case(1400 * NS_PER_MS, 1600 * NS_PER_MS, 0, true);
    wrap_case(2500 * NS_PER_MS, 3700 * NS_PER_MS, 0, true);
    wrap_case(2500 * NS_PER_MS, 3700 * NS_PER_MS, 2000 * NS_PER_MS, false); /* nobody knows */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_kept),        cmocka_unit_test(test_masks_flag),
        cmocka_unit_test(test_counts_flag), cmocka_unit_test(test_limits_flag),
        cmocka_unit_test(test_wraps),       cmocka_unit_test(test_wrap_is_flagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
