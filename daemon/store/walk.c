#include "daemon/store/walk.h"

#include <math.h>

#include "common/units.h"
#include "daemon/store/codec.h"

#define HALF_UW_NS_PER_UJ INT64_C(2000000000) /* 1 uJ = 1e9 uW ns = 2e9 halves of it */
__extension__ typedef __int128 wide;

#define STALL_MAX_NS (INT64_C(1800) * NS_PER_S) /* < 2^41: see WALK_GAUGE_MAX */

int64_t walk_stall_ns(int64_t period_ns)
{
    if (period_ns >= STALL_MAX_NS / 3)
        return STALL_MAX_NS;
    return period_ns * 3 > NS_PER_S ? period_ns * 3 : NS_PER_S;
}

static int64_t saturate(wide v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN + 1 ? INT64_MIN + 1 : (int64_t)v;
}

static wide floor_div(wide a, wide b)
{
    wide q = a / b;
    return a % b < 0 ? q - 1 : q; /* b > 0 everywhere here */
}

static bool counts(const struct walk_rule *r)
{
    return channel_kind_counts(r->kind);
}

static bool integrates(const struct walk_rule *r)
{
    return channel_kind_integrates(r->kind);
}

bool walk_valid(const struct walk_rule *r, const struct walk_sample *x)
{
    if ((x->state & TICK_STATE_MASK) != READING_OK)
        return false;
    int64_t max = integrates(r) ? WALK_GAUGE_MAX : WALK_VALUE_MAX;
    return x->value >= -max && x->value <= max;
}

/* A channel that an edge sweep does not touch, or that had no attempt yet, has not failed. */
static bool is_failure(const struct walk_sample *x)
{
    return !(x->flags & TICK_EDGE) && (x->state & TICK_STATE_MASK) != READING_NOT_YET;
}

static struct walk_piece piece_from(const struct walk_state *s, enum walk_shape shape, int64_t t0,
                                    int64_t t1)
{
    return (struct walk_piece){
        .shape = shape,
        .t0_ns = t0,
        .t1_ns = t1,
        .e0_uj = s->e_uj,
        .e1_uj = s->e_uj,
        .rem0 = s->rem,
        .unknown0_ns = s->unknown_ns,
        .bridged0_ns = s->bridged_ns,
        .bridged0_uj = s->bridged_uj,
    };
}

static enum walk_cause gap_cause(const struct walk_rule *r, const struct walk_state *s,
                                 const struct walk_sample *x)
{
    if (counts(r) && ((x->state & TICK_RESET) || x->value < s->last_value))
        return WALK_RESET;
    if (s->failed)
        return WALK_FAILED;
    return x->t_ns - s->last_ns > r->stall_ns ? WALK_STALL : WALK_REGULAR;
}

static void take(struct walk_state *s, const struct walk_sample *x)
{
    s->last_ns = x->t_ns;
    s->last_value = x->value;
    s->failed = false;
}

/* A gap starts at the last sample, wherever the register changed last: flat up to there, then the gap. */
static int step_counter_gap(struct walk_state *s, const struct walk_sample *x,
                            enum walk_cause cause, struct walk_piece out[2])
{
    int n = 0;
    if (s->last_ns > s->knot_ns)
        out[n++] = piece_from(s, WALK_FLAT, s->knot_ns, s->last_ns);
    struct walk_piece *gap = &out[n++];
    *gap = piece_from(s, cause == WALK_RESET ? WALK_UNKNOWN : WALK_BRIDGED, s->last_ns, x->t_ns);
    gap->cause = cause;
    if (cause == WALK_RESET) {
        s->unknown_ns = saturate((wide)s->unknown_ns + (x->t_ns - s->last_ns));
    } else {
        wide delta = (wide)x->value - s->last_value;
        gap->e1_uj = saturate(s->e_uj + delta);
        s->bridged_ns = saturate((wide)s->bridged_ns + (x->t_ns - s->last_ns));
        s->bridged_uj = saturate(s->bridged_uj + delta);
        s->e_uj = gap->e1_uj;
    }
    s->knot_ns = x->t_ns;
    take(s, x);
    return n;
}

static int step_counter(const struct walk_rule *r, struct walk_state *s,
                        const struct walk_sample *x, struct walk_piece out[2])
{
    enum walk_cause cause = gap_cause(r, s, x);
    if (cause != WALK_REGULAR)
        return step_counter_gap(s, x, cause, out);
    if (x->value == s->last_value) {
        take(s, x);
        return 0;
    }
    out[0] = piece_from(s, WALK_LINEAR, s->knot_ns, x->t_ns);
    out[0].e1_uj = saturate((wide)s->e_uj + x->value - s->last_value);
    s->e_uj = out[0].e1_uj;
    s->knot_ns = x->t_ns;
    take(s, x);
    return 1;
}

/* The integral in halves of uW ns from t0 to t0 + x, the carried remainder included. */
static wide integral(const struct walk_piece *p, int64_t x)
{
    wide a = (wide)p->rem0;
    if (p->shape == WALK_BOX)
        return a + (wide)2 * p->p1_uw * x;
    wide rise = (wide)(p->p1_uw - p->p0_uw) * x * x;
    return a + (wide)2 * p->p0_uw * x + floor_div(rise, p->t1_ns - p->t0_ns);
}

#define PASS_UW_MAX (INT64_C(1) << 30) /* 1 kW for 4 s: their product is below 2^63 */
#define PASS_NS_MAX (INT64_C(1) << 32)

static bool is_plain(const struct walk_state *s)
{
    return s->last_ns != WALK_NONE && !s->failed && s->e_uj < WALK_VALUE_MAX &&
           s->e_uj > -WALK_VALUE_MAX && s->last_value >= 0;
}

/* A regular step with moderate numbers. rise t^2 / t of a whole step needs no division. */
static bool regular_gauge(const struct walk_rule *r, struct walk_state *s,
                          const struct walk_sample *x)
{
    int64_t p0 = s->last_value, p1 = x->value, dt = x->t_ns - s->last_ns;
    if (p0 >= PASS_UW_MAX || p1 < 0 || p1 >= PASS_UW_MAX || dt >= PASS_NS_MAX)
        return false;
    uint64_t a =
        (uint64_t)s->rem + (uint64_t)(r->kind == CHANNEL_AVERAGE ? 2 * p1 : p0 + p1) * (uint64_t)dt;
    uint64_t whole = a / (uint64_t)HALF_UW_NS_PER_UJ;
    s->e_uj += (int64_t)whole;
    s->rem = (int64_t)(a - whole * (uint64_t)HALF_UW_NS_PER_UJ);
    s->knot_ns = x->t_ns;
    take(s, x);
    return true;
}

static int step_gauge(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x,
                      struct walk_piece out[2])
{
    enum walk_cause cause = gap_cause(r, s, x);
    struct walk_piece *p = &out[0];
    enum walk_shape regular = r->kind == CHANNEL_AVERAGE ? WALK_BOX : WALK_TRAPEZOID;
    *p = piece_from(s, cause == WALK_REGULAR ? regular : WALK_UNKNOWN, s->last_ns, x->t_ns);
    p->cause = cause;
    if (cause != WALK_REGULAR) {
        s->unknown_ns = saturate((wide)s->unknown_ns + (x->t_ns - s->last_ns));
    } else {
        p->p0_uw = s->last_value;
        p->p1_uw = x->value;
        if (is_plain(s) && regular_gauge(r, s, x)) {
            p->e1_uj = s->e_uj;
            return 1;
        }
        wide a = integral(p, x->t_ns - s->last_ns);
        wide whole = floor_div(a, HALF_UW_NS_PER_UJ);
        p->e1_uj = saturate(s->e_uj + whole);
        s->e_uj = p->e1_uj;
        s->rem = (int64_t)(a - whole * HALF_UW_NS_PER_UJ);
    }
    s->knot_ns = x->t_ns;
    take(s, x);
    return 1;
}

int walk_step(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x,
              struct walk_piece out[2])
{
    if (s->last_ns != WALK_NONE && x->t_ns <= s->last_ns)
        return 0;
    if (!walk_valid(r, x)) {
        if (is_failure(x))
            s->failed = true;
        return 0;
    }
    if (s->last_ns == WALK_NONE || r->kind == CHANNEL_COMPANION) {
        s->knot_ns = x->t_ns;
        take(s, x);
        return 0;
    }
    return counts(r) ? step_counter(r, s, x, out) : step_gauge(r, s, x, out);
}

/* ---- ticks that were kept ------------------------------------------------------------------------ */

bool walk_kept_valid(const struct walk_sample *x)
{
    return (x->state & TICK_STATE_MASK) == READING_OK && x->value >= -WALK_VALUE_MAX &&
           x->value <= WALK_VALUE_MAX;
}

static void shape_kept(struct walk_piece *p, const struct walk_kept *k)
{
    int64_t rise = saturate((wide)p->e1_uj - p->e0_uj), ns = p->t1_ns - p->t0_ns;
    p->shape = WALK_KEPT;
    p->p0_uw = k->powered ? k->lo : units_muldiv_floor(rise, NS_PER_S, ns);
    p->p1_uw = k->powered ? k->hi : units_muldiv_ceil(rise, NS_PER_S, ns);
}

static int kept_counter(struct walk_state *s, const struct walk_kept *k, struct walk_piece out[2])
{
    const struct walk_sample *x = &k->x;
    if ((x->state & TICK_RESET) || x->value < s->last_value)
        return step_counter_gap(s, x, WALK_RESET, out);
    if (x->state & TICK_BRIDGED)
        return step_counter_gap(s, x, WALK_FAILED, out);
    if (x->value == s->last_value) {
        take(s, x);
        return 0;
    }
    out[0] = piece_from(s, WALK_LINEAR, s->knot_ns, x->t_ns);
    s->e_uj = out[0].e1_uj = saturate((wide)s->e_uj + x->value - s->last_value);
    shape_kept(&out[0], k);
    s->knot_ns = x->t_ns;
    take(s, x);
    return 1;
}

static int kept_gauge(struct walk_state *s, const struct walk_kept *k, struct walk_piece out[2])
{
    bool gap = (k->x.state & (TICK_RESET | TICK_BRIDGED)) != 0;
    out[0] = piece_from(s, WALK_UNKNOWN, s->last_ns, k->x.t_ns);
    out[0].cause = gap ? WALK_FAILED : WALK_REGULAR;
    if (gap) {
        s->unknown_ns = saturate((wide)s->unknown_ns + (k->x.t_ns - s->last_ns));
    } else {
        s->e_uj = out[0].e1_uj = k->x.value;
        shape_kept(&out[0], k);
    }
    s->knot_ns = k->x.t_ns;
    take(s, &k->x);
    s->last_value = s->rem = 0;
    return 1;
}

int walk_kept(const struct walk_rule *r, struct walk_state *s, const struct walk_kept *k,
              struct walk_piece out[2])
{
    if ((s->last_ns != WALK_NONE && k->x.t_ns <= s->last_ns) || !walk_kept_valid(&k->x))
        return 0;
    if (s->last_ns != WALK_NONE && counts(r))
        return kept_counter(s, k, out);
    if (s->last_ns != WALK_NONE && integrates(r))
        return kept_gauge(s, k, out);
    s->knot_ns = k->x.t_ns;
    take(s, &k->x);
    return 0;
}

/* ---- many samples -------------------------------------------------------------------------------- */

#define PASS_MANY 4096u /* so many steps surely fit 64 bits */

static bool regular_counter(struct walk_state *s, const struct walk_sample *x)
{
    if (x->value < s->last_value || x->value > WALK_VALUE_MAX)
        return false;
    if (x->value > s->last_value)
        s->knot_ns = x->t_ns;
    s->e_uj += x->value - s->last_value;
    take(s, x);
    return true;
}

bool walk_regular(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x)
{
    bool plain = is_plain(s) && x->state == READING_OK && x->t_ns > s->last_ns &&
                 x->t_ns - s->last_ns <= r->stall_ns;
    if (!plain || r->kind == CHANNEL_COMPANION)
        return false;
    return counts(r) ? regular_counter(s, x) : regular_gauge(r, s, x);
}

static uint32_t pass_counters(const struct walk_rule *r, struct walk_state *s,
                              const struct walk_values *x, int64_t t_ns)
{
    int64_t last = s->last_value, last_ns = s->last_ns;
    uint32_t i = 0;
    for (; i < x->n; i++) {
        int64_t now_ns = codec_middle(x->before_ns[i], x->after_ns[i]), value = x->value[i];
        if (now_ns >= t_ns || now_ns - last_ns > r->stall_ns || value < last ||
            value > WALK_VALUE_MAX)
            break;
        if (value > last)
            s->knot_ns = now_ns;
        last = value;
        last_ns = now_ns;
    }
    s->e_uj += last - s->last_value;
    s->last_value = last;
    s->last_ns = last_ns;
    return i;
}

/* rise t^2 / t of a whole step needs no division, and what is rounded off is carried along: so there is one for all. */
static uint32_t pass_gauges(const struct walk_rule *r, struct walk_state *s,
                            const struct walk_values *x, int64_t t_ns)
{
    int64_t p0 = s->last_value, last_ns = s->last_ns;
    wide sum = s->rem;
    uint32_t i = 0;
    for (; i < x->n; i++) {
        int64_t now_ns = codec_middle(x->before_ns[i], x->after_ns[i]), p1 = x->value[i];
        int64_t dt = now_ns - last_ns;
        if (now_ns >= t_ns || dt > r->stall_ns || p1 < 0 || p1 >= PASS_UW_MAX || dt >= PASS_NS_MAX)
            break;
        sum += (r->kind == CHANNEL_AVERAGE ? 2 * p1 : p0 + p1) * dt;
        p0 = p1;
        last_ns = now_ns;
    }
    int64_t whole = (int64_t)(sum / HALF_UW_NS_PER_UJ);
    s->e_uj += whole;
    s->rem = (int64_t)(sum - (wide)whole * HALF_UW_NS_PER_UJ);
    s->last_value = p0;
    s->last_ns = last_ns;
    if (i > 0)
        s->knot_ns = last_ns;
    return i;
}

uint32_t walk_pass_many(const struct walk_rule *r, struct walk_state *s,
                        const struct walk_values *x, int64_t t_ns)
{
    if (!is_plain(s) || x->n == 0 || x->n > PASS_MANY ||
        codec_middle(x->before_ns[0], x->after_ns[0]) <= s->last_ns)
        return 0;
    if (counts(r))
        return pass_counters(r, s, x, t_ns);
    return integrates(r) && s->last_value < PASS_UW_MAX ? pass_gauges(r, s, x, t_ns) : 0;
}

void walk_pass(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x)
{
    struct walk_piece unwanted[2];
    if (!walk_regular(r, s, x))
        (void)walk_step(r, s, x, unwanted);
}

bool walk_skip(const struct walk_rule *r, struct walk_state *s, const struct codec_mark *m,
               int64_t t_ns)
{
    wide more = counts(r) ? (wide)m->value - s->last_value : integrates(r) ? m->e_uj : 0;
    int64_t rem = integrates(r) ? s->rem + m->rem : s->rem;
    wide e = (wide)s->e_uj + more + (integrates(r) ? rem / HALF_UW_NS_PER_UJ : 0);
    if (e >= WALK_VALUE_MAX || e <= -WALK_VALUE_MAX || (counts(r) && more < 0) ||
        t_ns <= s->last_ns || s->failed || m->knot_ns > t_ns)
        return false;
    s->e_uj = (int64_t)e;
    if (integrates(r))
        s->rem = rem % HALF_UW_NS_PER_UJ;
    if (!counts(r))
        s->knot_ns = t_ns;
    else if (m->knot_ns > s->knot_ns)
        s->knot_ns = m->knot_ns;
    s->last_ns = t_ns;
    s->last_value = m->value;
    return true;
}

struct walk_piece walk_between(const struct walk_state *s, int64_t t_ns,
                               const struct walk_state *next)
{
    bool known = next->unknown_ns == s->unknown_ns;
    struct walk_piece p = piece_from(s, known ? WALK_BRIDGED : WALK_UNKNOWN, s->last_ns, t_ns);
    p.e1_uj = next->e_uj;
    return p;
}

void walk_at(const struct walk_piece *p, int64_t t_ns, struct curve_point *out)
{
    int64_t x = t_ns - p->t0_ns;
    wide rise = (wide)p->e1_uj - p->e0_uj;
    *out = (struct curve_point){
        .e_uj = p->e0_uj,
        .unknown_ns = p->unknown0_ns,
        .bridged_ns = p->bridged0_ns,
        .bridged_uj = p->bridged0_uj,
    };
    switch (p->shape) {
    case WALK_FLAT:
        break;
    case WALK_BRIDGED:
        out->bridged_ns = saturate((wide)p->bridged0_ns + x);
        out->e_uj = saturate(p->e0_uj + floor_div(rise * x, p->t1_ns - p->t0_ns));
        out->bridged_uj = saturate((wide)p->bridged0_uj + out->e_uj - p->e0_uj);
        break;
    case WALK_LINEAR:
    case WALK_KEPT:
        out->e_uj = saturate(p->e0_uj + floor_div(rise * x, p->t1_ns - p->t0_ns));
        break;
    case WALK_BOX:
    case WALK_TRAPEZOID:
        out->e_uj = saturate(p->e0_uj + floor_div(integral(p, x), HALF_UW_NS_PER_UJ));
        break;
    case WALK_UNKNOWN:
        out->unknown_ns = saturate((wide)p->unknown0_ns + x);
        break;
    }
}

bool walk_within(int64_t rise_uj, int64_t ns, double lo_uw, double hi_uw)
{
    double uw = (double)rise_uj * (double)NS_PER_S / (double)ns, slack = 1 + fabs(uw) * 1e-12;
    return uw - slack > lo_uw && uw + slack < hi_uw;
}

bool walk_power(const struct walk_piece *p, int64_t *lo_uw, int64_t *hi_uw)
{
    int64_t rise = saturate((wide)p->e1_uj - p->e0_uj);
    switch (p->shape) {
    case WALK_LINEAR:
    case WALK_FLAT:
        *lo_uw = units_muldiv_floor(rise, NS_PER_S, p->t1_ns - p->t0_ns);
        *hi_uw = units_muldiv_ceil(rise, NS_PER_S, p->t1_ns - p->t0_ns);
        return true;
    case WALK_KEPT:
        *lo_uw = p->p0_uw;
        *hi_uw = p->p1_uw;
        return true;
    case WALK_BOX:
        *lo_uw = *hi_uw = p->p1_uw;
        return true;
    case WALK_TRAPEZOID:
        *lo_uw = p->p0_uw < p->p1_uw ? p->p0_uw : p->p1_uw;
        *hi_uw = p->p0_uw < p->p1_uw ? p->p1_uw : p->p0_uw;
        return true;
    case WALK_BRIDGED:
    case WALK_UNKNOWN:
        return false;
    }
    return false;
}
