#include "common/units.h"
#include "daemon/energy/energy.h"
#include "daemon/store/curve.h"

#define COUNT_MAX    500000 /* samples of one channel that are walked at a run's end */
#define UW_NS_PER_UJ 1e9

struct tally {
    int64_t t0_ns, t1_ns, stall_ns;
    int64_t prev_ns, prev_value; /* WALK_NONE = none yet */
    int64_t n, max_gap_ns;
    double steps_uj;
};

static void stretch(struct tally *x, int64_t from_ns, int64_t to_ns)
{
    if (to_ns > x->t0_ns && from_ns < x->t1_ns && to_ns - from_ns > x->max_gap_ns)
        x->max_gap_ns = to_ns - from_ns;
}

static void take(struct tally *x, int64_t t_ns, int64_t value)
{
    if (t_ns >= x->t0_ns && t_ns <= x->t1_ns)
        x->n++;
    int64_t from = x->prev_ns == WALK_NONE ? x->t0_ns : x->prev_ns;
    stretch(x, from, t_ns);
    bool inside = x->prev_ns != WALK_NONE && t_ns > x->t0_ns && x->prev_ns < x->t1_ns;
    if (inside && t_ns - from <= x->stall_ns) {
        double step =
            (double)(value > x->prev_value ? value - x->prev_value : x->prev_value - value);
        x->steps_uj += step * (double)(t_ns - from) / 2 / UW_NS_PER_UJ;
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
        if (rc <= 0)
            return rc;
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
    while (rc == 0 && next.state.last_ns < x->t1_ns) {
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

static int sample_one(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *f, struct err *e)
{
    int64_t pace = ch->period_ns > NS_PER_MS ? ch->period_ns : NS_PER_MS;
    f->sampled_ppm = sampled_ppm(ch);
    if (f->sampled_ppm > 0 && f->sampled_ppm < 1000000)
        energy_flag(f, "part_time");
    if (!f->known || (w->t1_ns - w->t0_ns) / pace > COUNT_MAX)
        return 0;
    struct tally x = {.t0_ns = w->t0_ns, .t1_ns = w->t1_ns, .prev_ns = WALK_NONE};
    int rc = tally_all(&x, s, ch->id, w->boot, e);
    if (rc == WATTQ_E_CORRUPT)
        return 0; /* a damaged block: not counted */
    if (rc < 0)
        return rc;
    if (x.prev_ns != WALK_NONE && x.prev_ns < w->t1_ns)
        stretch(&x, x.prev_ns > w->t0_ns ? x.prev_ns : w->t0_ns, w->t1_ns);
    f->samples = x.n;
    f->max_gap_ns = x.max_gap_ns;
    if (ch->kind == CHANNEL_GAUGE && ch->quality != QUALITY_ESTIMATED && x.steps_uj < 9e18)
        f->sampling_uj = (int64_t)x.steps_uj + 1;
    return 0;
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
