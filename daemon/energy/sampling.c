#include "common/units.h"
#include "daemon/energy/energy.h"
#include "daemon/store/curve.h"

#define COUNT_MAX    500000 /* samples of one channel that are walked at a run's end */
#define UW_NS_PER_UJ 1e9

struct tally {
    int64_t t0_ns, t1_ns, stall_ns;
    int64_t prev_ns, prev_value; /* WALK_NONE = none yet */
    int64_t refresh_ns;          /* a reading may be so old */
    int64_t n, max_gap_ns;
    int64_t most; /* largest reading in [t0, t1] */
    double steps_uj;
    bool gone; /* samples were thinned out: they cannot be counted */
};

static void stretch(struct tally *x, int64_t from_ns, int64_t to_ns)
{
    if (to_ns > x->t0_ns && from_ns < x->t1_ns && to_ns - from_ns > x->max_gap_ns)
        x->max_gap_ns = to_ns - from_ns;
}

static void take(struct tally *x, int64_t t_ns, int64_t value)
{
    if (t_ns >= x->t0_ns && t_ns <= x->t1_ns) {
        x->n++;
        x->most = value > x->most ? value : x->most;
    }
    int64_t from = x->prev_ns == WALK_NONE ? x->t0_ns : x->prev_ns;
    stretch(x, from, t_ns);
    bool inside = x->prev_ns != WALK_NONE && t_ns > x->t0_ns && x->prev_ns < x->t1_ns;
    if (inside && t_ns - from <= x->stall_ns) {
        double step =
            (double)(value > x->prev_value ? value - x->prev_value : x->prev_value - value);
        int64_t within = t_ns - from > x->refresh_ns ? t_ns - from : x->refresh_ns;
        x->steps_uj += step * (double)within / 2 / UW_NS_PER_UJ;
    }
    x->prev_ns = t_ns;
    x->prev_value = value;
}

/* One epoch from where the cursor stands. */
static int tally_epoch(struct tally *x, struct curve *c, struct err *e)
{
    x->stall_ns = c->begin.rule.stall_ns;
    if (x->prev_ns == WALK_NONE || c->state.last_ns > x->prev_ns)
        take(x, c->state.last_ns, c->state.last_value);
    while (x->prev_ns < x->t1_ns) {
        struct walk_piece p[2];
        int n;
        int rc = curve_next(c, p, &n, e);
        x->gone |= c->thinned;
        if (rc <= 0 || x->gone)
            return rc < 0 ? rc : 0;
        if (c->state.last_ns > x->prev_ns)
            take(x, c->state.last_ns, c->state.last_value);
    }
    return 0;
}

static int tally_all(struct tally *x, struct store *s, int64_t channel, int64_t boot, struct err *e)
{
    struct curve c CLEANUP(curve_close) = {0};
    struct rows_begin next;
    int64_t from = x->t0_ns;
    int rc = rows_begin_at(s, channel, boot, from, &next, e);
    if (rc == 1)
        rc = rows_begin_after(s, channel, boot, from, &next, e);
    while (rc == 0 && !x->gone && next.state.last_ns < x->t1_ns) {
        if (next.state.last_ns > from)
            from = next.state.last_ns;
        curve_close(&c);
        rc = curve_open(&c, s, channel, boot, from, e);
        if (rc == 0)
            rc = tally_epoch(x, &c, e);
        if (rc == 0)
            rc = rows_begin_after(s, channel, boot, c.state.last_ns, &next, e);
    }
    return rc < 0 ? rc : 0;
}

/* Part of the time the sensor looks at. An instant reading tells nothing about it. */
static int64_t sampled_ppm(const struct channel_row *ch)
{
    if (ch->kind == CHANNEL_COUNTER)
        return 1000000;
    if (ch->box_ns <= 0 || ch->period_ns <= 0)
        return 0;
    return ch->box_ns >= ch->period_ns ? 1000000
                                       : units_muldiv_floor(ch->box_ns, 1000000, ch->period_ns);
}

/* How seldom its reading changes. */
static int64_t refresh_ns(const struct channel_row *ch)
{
    return ch->period_declared || ch->period_learned_ns <= 0 ? ch->period_ns
                                                             : ch->period_learned_ns;
}

/* The largest power read around an instant of the curve, half_ns to either side. */
static int most_near(struct store *s, const struct channel_row *ch, int64_t boot, int64_t t_ns,
                     int64_t half_ns, int64_t *most_uw, struct err *e)
{
    struct tally x = {.t0_ns = t_ns - half_ns, .t1_ns = t_ns + half_ns, .prev_ns = WALK_NONE};
    int rc = tally_all(&x, s, ch->id, boot, e);
    *most_uw = x.most;
    return rc;
}

/* An average's readings hold all that flowed, each that of its box. A moment next to an edge lies in boxes of
 * both sides: what flowed within half a box, and the age of a reading, may be counted on the wrong one. No box
 * holds more than its reading, and power is not below 0, so it is at most the largest reading there times that
 * long. Inside, what a box sees a refresh too often or too seldom is seen in its readings' steps. */
static int state_average(struct store *s, const struct channel_row *ch,
                         const struct energy_window *w, const struct tally *x,
                         struct energy_figure *f, struct err *e)
{
    int64_t gap = f->max_gap_ns > x->refresh_ns ? f->max_gap_ns : x->refresh_ns;
    int64_t wrong_ns = (ch->box_ns + 3 * x->refresh_ns) / 2 + gap;
    double sum = x->steps_uj * (ch->box_ns < gap ? 2 : 1);
    const int64_t edges[] = {w->t0_ns, w->t1_ns};
    for (size_t i = 0; i < 2; i++) {
        int64_t most = 0;
        int rc =
            most_near(s, ch, w->boot, edges[i], ch->box_ns + 2 * x->refresh_ns + gap, &most, e);
        if (rc < 0)
            return rc;
        sum += (double)most * (double)wrong_ns / UW_NS_PER_UJ;
    }
    if (sum < 9e18)
        f->sampling_uj = (int64_t)sum + 1;
    return 0;
}

static int count(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                 struct energy_figure *f, struct err *e)
{
    struct tally x = {.t0_ns = w->t0_ns,
                      .t1_ns = w->t1_ns,
                      .prev_ns = WALK_NONE,
                      .refresh_ns = ch->kind == CHANNEL_COUNTER ? 0 : refresh_ns(ch)};
    int rc = tally_all(&x, s, ch->id, w->boot, e);
    if (rc < 0)
        return rc;
    if (x.gone)
        return 0;
    if (x.prev_ns != WALK_NONE && x.prev_ns < w->t1_ns)
        stretch(&x, x.prev_ns > w->t0_ns ? x.prev_ns : w->t0_ns, w->t1_ns);
    f->samples = x.n;
    f->max_gap_ns = x.max_gap_ns;
    if (ch->quality == QUALITY_ESTIMATED)
        return 0;
    if (ch->kind == CHANNEL_GAUGE && x.steps_uj < 9e18)
        f->sampling_uj = (int64_t)x.steps_uj + 1;
    return ch->kind == CHANNEL_AVERAGE && ch->box_ns > 0 ? state_average(s, ch, w, &x, f, e) : 0;
}

static int sample_one(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *f, struct err *e)
{
    int64_t pace = ch->period_ns > NS_PER_MS ? ch->period_ns : NS_PER_MS;
    int64_t lag = f->lag_ns > 0 ? f->lag_ns : 0;
    const struct energy_window at = {w->boot, w->t0_ns + lag, w->t1_ns + lag};
    f->sampled_ppm = sampled_ppm(ch);
    if (f->sampled_ppm > 0 && f->sampled_ppm < 1000000)
        energy_flag(f, "part_time");
    if (!f->known || (w->t1_ns - w->t0_ns) / pace > COUNT_MAX)
        return 0;
    int rc = count(s, ch, &at, f, e);
    return rc == WATTQ_E_CORRUPT ? 0 : rc; /* a damaged block: not counted */
}

int energy_sampling(struct store *s, const struct energy_window *w, struct energy_set *set,
                    struct err *e)
{
    int64_t sampling = 0, gap = -1;
    bool stated = false, all = true;
    for (size_t i = 0; i < set->n; i++) {
        struct energy_figure *f = &set->figures[i];
        int rc = sample_one(s, &set->channels[i], w, f, e);
        if (rc < 0)
            return rc;
        if (!set->in_total[i])
            continue;
        all = all && f->max_gap_ns >= 0;
        gap = f->max_gap_ns > gap ? f->max_gap_ns : gap;
        if (f->sampling_uj >= 0) {
            sampling += f->sampling_uj;
            stated = true;
        }
        if (f->sampled_ppm > 0 && f->sampled_ppm < 1000000)
            energy_flag(&set->total, "part_time");
    }
    if (set->total.known && stated)
        set->total.sampling_uj = sampling;
    if (set->total.known && all)
        set->total.max_gap_ns = gap;
    return 0;
}
