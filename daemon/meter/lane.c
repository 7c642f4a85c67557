#include "daemon/meter/lane.h"

#include "common/units.h"

#include <string.h>

#define ODD_MAX        3 /* implausible readings in a row that agree with each other */
#define SPAN_MIN_NS    (200 * NS_PER_MS)
#define GAP_MAX_NS     (600 * NS_PER_S) /* a longer pause is idleness, not an update period */
#define STATUS_UNKNOWN INT64_C(-1)

static bool is_counter(const struct lane *l)
{
    return channel_kind_counts(l->desc->kind);
}

static void put(_Atomic int64_t *a, int64_t v)
{
    atomic_store_explicit(a, v, memory_order_relaxed);
}

static int64_t get(const _Atomic int64_t *a)
{
    return atomic_load_explicit(a, memory_order_relaxed);
}

void lane_init(struct lane *l, const struct channel_desc *desc, int64_t pace_ns)
{
    memset(l, 0, sizeof(*l));
    l->desc = desc;
    l->pace_ns = pace_ns;
    /* CPU time has no power; its gate stays open. */
    l->pmax_uw = desc->kind == CHANNEL_CPU_TIME ? 0 : desc->pmax_uw;
    /* A counter whose range is used up between two sweeps at pmax could never be unwrapped. Real
     * registers last minutes, so pmax is then an overestimate: 0.7 of a range per sweep is allowed. */
    int64_t sweep_ns = pace_ns + 2 * desc->period_ns + desc->lag_ns;
    int64_t most = units_muldiv_floor(desc->wrap_uj - desc->wrap_uj / 10 * 3, NS_PER_S, sweep_ns);
    if (is_counter(l) && most > 0 && l->pmax_uw > most) {
        l->pmax_uw = most;
    }
    atomic_init(&l->seen_state, READING_NOT_YET);
    put(&l->seen_power_uw, STATUS_UNKNOWN);
}

void lane_base(struct lane *l, int64_t e0, int64_t raw0, bool raw_known)
{
    l->cum = e0;
    l->prev_raw = raw0;
    l->bridge = raw_known;
    l->has_prev = false;
}

/* ---- counters ---------------------------------------------------------------------------------- */

/* What may have gone through since the newest valid reading: the register can lag by an update period
 * on either side, and moves in whole steps. */
static int64_t allowed_ns(const struct lane *l, int64_t dt_ns)
{
    int64_t step =
        l->pmax_uw > 0 ? units_muldiv_ceil(2 * l->desc->quantum, NS_PER_S, l->pmax_uw) : 0;
    return dt_ns + 2 * l->desc->period_ns + l->desc->lag_ns + step;
}

static void accept(struct lane *l, int64_t raw, int64_t t_ns)
{
    l->prev_raw = raw;
    l->prev_ns = t_ns;
    l->has_prev = true;
    l->gone = false;
    l->odd_count = 0;
}

/* Does this implausible reading go on from the one before it? Three that do are a register that began
 * anew (driver reload with a known range), not a glitch. */
static bool began_anew(struct lane *l, int64_t raw, int64_t t_ns)
{
    int64_t from = 0;
    bool agrees =
        l->odd_count > 0 && meter_unwrap(&from, l->odd_raw, raw, l->desc->wrap_uj, l->pmax_uw,
                                         allowed_ns(l, t_ns - l->odd_ns)) == 0;
    l->odd_count = agrees ? l->odd_count + 1 : 1;
    l->odd_raw = raw;
    l->odd_ns = t_ns;
    return l->odd_count >= ODD_MAX;
}

static uint8_t take_first(struct lane *l, int64_t raw, int64_t t_ns)
{
    uint8_t state = READING_OK;
    if (l->bridge) {
        /* No gate: whoever set the base has checked the gap's length against the range. */
        state = meter_unwrap(&l->cum, l->prev_raw, raw, l->desc->wrap_uj, 0, 0) == 0 ? TICK_BRIDGED
                                                                                     : TICK_RESET;
        l->bridge = false;
    }
    accept(l, raw, t_ns);
    return state;
}

/* The device was away. Only a register that visibly went on within its known range is believed; any other
 * may have begun anew, however the two values compare. */
static uint8_t take_returned(struct lane *l, int64_t raw, int64_t t_ns)
{
    bool known = l->desc->wrap_uj > 0 && l->pmax_uw > 0;
    bool went_on = known && meter_unwrap(&l->cum, l->prev_raw, raw, l->desc->wrap_uj, l->pmax_uw,
                                         allowed_ns(l, t_ns - l->prev_ns)) == 0;
    accept(l, raw, t_ns);
    return went_on ? READING_OK : TICK_RESET;
}

static uint8_t take_counter(struct lane *l, int64_t raw, int64_t t_ns, bool resumed, bool anew)
{
    if (!l->has_prev) {
        if (anew && l->bridge) {
            l->bridge = false;
            accept(l, raw, t_ns);
            return TICK_RESET;
        }
        return take_first(l, raw, t_ns);
    }
    if (anew || (resumed && l->desc->kind == CHANNEL_COUNTER)) {
        accept(l, raw, t_ns);
        return TICK_RESET;
    }
    if (l->gone) {
        return take_returned(l, raw, t_ns);
    }
    int rc = meter_unwrap(&l->cum, l->prev_raw, raw, l->desc->wrap_uj, l->pmax_uw,
                          allowed_ns(l, t_ns - l->prev_ns));
    if (rc == 2 && !began_anew(l, raw, t_ns)) {
        return READING_IMPLAUSIBLE;
    }
    accept(l, raw, t_ns);
    return rc == 0 ? READING_OK : TICK_RESET;
}

/* ---- status ------------------------------------------------------------------------------------ */

/* An upper estimate of the update period: the longest of the newest gaps between changes. Polls cannot
 * see finer than their own pace, so it never goes below it. */
static void learn_period(struct lane *l, int64_t t_ns)
{
    int64_t gap = t_ns - l->change_ns;
    if (l->change_ns != 0 && gap > 0 && gap <= GAP_MAX_NS) {
        l->gaps[l->ngaps++ % LANE_GAPS] = gap;
    }
    l->change_ns = t_ns;
    if (l->ngaps < LANE_GAPS) {
        return;
    }
    int64_t longest = 0;
    for (size_t i = 0; i < LANE_GAPS; i++) {
        longest = l->gaps[i] > longest ? l->gaps[i] : longest;
    }
    put(&l->seen_period_ns, longest);
}

/* Every change is a whole number of steps, so their greatest common divisor is never finer than the step:
 * an error that rests on it is never too small. */
static void learn_step(struct lane *l, int64_t moved)
{
    int64_t a = moved < 0 ? -moved : moved;
    for (int64_t b = l->step; b != 0;) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    l->step = a;
    l->nsteps += l->nsteps < LANE_STEPS;
    if (l->nsteps == LANE_STEPS) {
        put(&l->seen_step, l->step);
    }
}

static int64_t span_ns(const struct lane *l)
{
    int64_t learned = get(&l->seen_period_ns);
    int64_t period = learned > l->desc->period_ns ? learned : l->desc->period_ns;
    return 2 * period > SPAN_MIN_NS ? 2 * period : SPAN_MIN_NS;
}

static void restart_power(struct lane *l)
{
    l->has_mark = false;
    put(&l->seen_power_uw, STATUS_UNKNOWN);
}

/* Power of a counter over one to two spans back. */
static void counter_power(struct lane *l, int64_t t_ns)
{
    struct lane_mark now = {.ns = t_ns, .cum = l->cum};
    if (!l->has_mark) {
        l->mark[0] = l->mark[1] = now;
        l->has_mark = true;
        return;
    }
    int64_t dt = t_ns - l->mark[0].ns;
    if (dt >= span_ns(l)) {
        put(&l->seen_power_uw, units_muldiv_floor(l->cum - l->mark[0].cum, NS_PER_S, dt));
    }
    if (t_ns - l->mark[1].ns >= span_ns(l)) {
        l->mark[0] = l->mark[1];
        l->mark[1] = now;
    }
}

static void note_value(struct lane *l, struct lane_value v, int64_t t_ns, int64_t moved)
{
    put(&l->seen_value, v.value);
    put(&l->seen_ns, t_ns);
    if (v.state & (TICK_RESET | TICK_BRIDGED)) {
        l->change_ns = 0; /* what went on meanwhile says nothing about the period */
    }
    if (l->change_ns == 0 || moved != 0) {
        learn_period(l, t_ns);
        put(&l->seen_changed_ns, t_ns);
    }
    if (moved != 0 && l->desc->kind != CHANNEL_COMPANION) {
        learn_step(l, moved);
    }
    if (l->desc->kind == CHANNEL_COUNTER) {
        if (v.state & (TICK_RESET | TICK_BRIDGED)) {
            restart_power(l);
        }
        counter_power(l, t_ns);
    } else if (l->desc->kind == CHANNEL_GAUGE || l->desc->kind == CHANNEL_AVERAGE) {
        put(&l->seen_power_uw, v.value);
    }
}

static void note_state(struct lane *l, enum reading_state state)
{
    atomic_store_explicit(&l->seen_state, (int)state, memory_order_relaxed);
    put(&l->seen_reads, get(&l->seen_reads) + 1);
    if (state != READING_OK) {
        put(&l->seen_failures, get(&l->seen_failures) + 1);
        l->change_ns = 0; /* it may have changed unseen */
        restart_power(l);
    }
}

/* ---- the way through --------------------------------------------------------------------------- */

static bool plausible_gauge(const struct lane *l, int64_t v)
{
    bool power = l->desc->kind == CHANNEL_GAUGE || l->desc->kind == CHANNEL_AVERAGE;
    return !power || (v >= 0 && (l->pmax_uw == 0 || v <= l->pmax_uw));
}

struct lane_value lane_take(struct lane *l, struct reading r, int64_t t_ns, bool resumed)
{
    struct lane_value v = {.state = (uint8_t)r.state};
    if (r.again && l->has_prev) {
        return (struct lane_value){l->cum, l->prev_raw, READING_NOT_YET};
    }
    l->gone = l->gone || r.state == READING_GONE;
    int64_t before = l->cum;
    bool first = !l->has_prev;
    if (r.state == READING_OK && is_counter(l)) {
        v.state = take_counter(l, r.value, t_ns, resumed, r.era != (l->has_prev ? l->era : 0));
    } else if (r.state == READING_OK && !plausible_gauge(l, r.value)) {
        v.state = READING_IMPLAUSIBLE;
    } else if (r.state == READING_OK) {
        l->cum = r.value;
        accept(l, r.value, t_ns);
    }
    if (v.state != READING_IMPLAUSIBLE && r.state == READING_OK) {
        l->era = r.era;
    }
    /* Without a value the newest valid one is repeated: its state says that it is not one. */
    v.value = l->cum;
    v.raw = l->prev_raw;
    enum reading_state state = (enum reading_state)(v.state & TICK_STATE_MASK);
    note_state(l, state);
    if (state == READING_OK) {
        note_value(l, v, t_ns, first ? 0 : l->cum - before);
    }
    return v;
}

void lane_seen(struct lane *l, struct reading r, int64_t t_ns)
{
    atomic_store_explicit(&l->seen_state, (int)r.state, memory_order_relaxed);
    if (r.state == READING_OK) {
        put(&l->seen_ns, t_ns);
        if (l->desc->kind != CHANNEL_COUNTER && l->desc->kind != CHANNEL_CPU_TIME) {
            put(&l->seen_value, r.value);
        }
    }
}

void lane_status(const struct lane *l, struct meter_status *out)
{
    *out = (struct meter_status){
        .state = (enum reading_state)atomic_load_explicit(&l->seen_state, memory_order_relaxed),
        .last_value = get(&l->seen_value),
        .last_ns = get(&l->seen_ns),
        .power_uw = get(&l->seen_power_uw),
        .period_learned_ns = get(&l->seen_period_ns),
        .reads = get(&l->seen_reads),
        .failures = get(&l->seen_failures),
        .changed_ns = get(&l->seen_changed_ns),
        .pace_ns = l->pace_ns,
        .quantum_learned = get(&l->seen_step),
        .lag_learned_ns = -1,
        .opinion.about = -1,
    };
}
