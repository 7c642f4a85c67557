#include "daemon/energy/energy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/calibrate.h"
#include "daemon/energy/energy_internal.h"

#define COARSE_SHARE 10 /* flag `coarse`: the bounds are further apart than a tenth of the figure */

const char *energy_method_name(enum energy_method m)
{
    static const char *const names[] = {"counter", "integral", "estimate", "share"};
    return (size_t)m < ARRAY_LEN(names) ? names[m] : "unknown";
}

void energy_figure_init(struct energy_figure *f)
{
    *f = (struct energy_figure){
        .random_uj = -1, .samples = -1, .max_gap_ns = -1, .sampling_uj = -1, .lag_ns = -1};
}

void energy_flag(struct energy_figure *f, const char *word)
{
    size_t have = strlen(f->flags), len = strlen(word);
    for (const char *p = f->flags; (p = strstr(p, word)); p += len)
        if ((p == f->flags || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return;
    if (have + len + 2 <= sizeof(f->flags))
        snprintf(f->flags + have, sizeof(f->flags) - have, "%s%s", have ? " " : "", word);
}

static bool is_counter(const struct channel_row *ch)
{
    return ch->kind == CHANNEL_COUNTER;
}

static int unknown(struct energy_figure *f, const char *why)
{
    f->known = false;
    f->bounded = false;
    f->covered_ns = 0;
    base_strcpy(f->reason, sizeof(f->reason), why);
    base_strcpy(f->bound_basis, sizeof(f->bound_basis), "none: the energy is not known");
    return 0;
}

static void init_figure(struct energy_figure *f, const struct channel_row *ch)
{
    energy_figure_init(f);
    f->channel = ch->id;
    f->quality = ch->quality;
    f->gain_ppm = ch->accuracy_ppm;
    f->method = is_counter(ch) ? ENERGY_COUNTER : ENERGY_INTEGRAL;
    if (ch->quality == QUALITY_ESTIMATED) {
        f->method = ENERGY_ESTIMATE;
        energy_flag(f, "estimate");
    }
}

/* ---- lag ---------------------------------------------------------------------------------------- */

#define LEARNED_CELL_NS (250 * NS_PER_MS) /* a learned lag is rounded up to the next such cell */

int64_t energy_lag_ns(const struct channel_row *ch, char basis[12])
{
    int64_t lag = 0;
    basis[0] = '\0';
    if ((ch->kind != CHANNEL_GAUGE && ch->kind != CHANNEL_AVERAGE) ||
        ch->quality == QUALITY_ESTIMATED)
        return 0;
    if (ch->lag_ns > 0) {
        lag = ch->lag_ns;
        base_strcpy(basis, 12, "declared");
    } else if (ch->lag_learned_ns > LEARNED_CELL_NS) {
        lag = ch->lag_learned_ns - LEARNED_CELL_NS;
        base_strcpy(basis, 12, "learned");
    }
    if (ch->kind == CHANNEL_AVERAGE && ch->box_ns > ch->period_ns) {
        lag += (ch->box_ns - ch->period_ns) / 2;
        if (!basis[0])
            base_strcpy(basis, 12, "declared");
    }
    return lag;
}

/* The stretch of the curve that shows the window. As long as the meter has not shown its end yet, the window
 * itself, and the figure may still move. */
static int move_window(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                       struct energy_figure *f, struct energy_window *out, struct err *e)
{
    struct curve_point end;
    *out = *w;
    if (ch->kind == CHANNEL_COUNTER)
        return 0;
    int64_t lag = energy_lag_ns(ch, f->lag_basis);
    int rc = lag > 0 ? samples_curve(s, ch->id, w->boot, w->t1_ns + lag, &end, e) : 0;
    f->lag_ns = lag;
    if (rc == 0) {
        out->t0_ns += lag;
        out->t1_ns += lag;
        return 0;
    }
    f->lag_ns = 0;
    f->lag_basis[0] = '\0';
    if (rc > 0)
        energy_flag(f, "provisional");
    return rc < 0 && rc != WATTQ_E_CORRUPT ? rc : 0;
}

/* ---- the figure --------------------------------------------------------------------------------- */

/* One edge of the window on the curve, moved inside what was sampled. */
struct edge {
    int64_t t_ns;
    struct curve_point at;
};

/* 0; 1 = nothing was sampled on the window's side of it. */
static int find_edge(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                     bool start, struct edge *x, struct err *e)
{
    struct sample near;
    x->t_ns = start ? w->t0_ns : w->t1_ns;
    int rc = samples_curve(s, ch->id, w->boot, x->t_ns, &x->at, e);
    if (rc <= 0)
        return rc;
    rc = start ? samples_after(s, ch->id, w->boot, w->t0_ns, &near, e)
               : samples_before(s, ch->id, w->boot, w->t1_ns, &near, e);
    if (rc == 0) {
        x->t_ns = near.t_ns;
        rc = samples_curve(s, ch->id, w->boot, near.t_ns, &x->at, e);
    }
    return rc;
}

static int on_gap(void *arg, const struct sample_gap *g)
{
    struct energy_figure *f = arg;
    if (strcmp(g->kind, "suspend") == 0)
        energy_flag(f, "suspend");
    else if (strcmp(g->kind, "reset") == 0)
        energy_flag(f, "reset");
    else if (strcmp(g->kind, "stall") == 0)
        energy_flag(f, "stalled");
    return 0;
}

static int flag_gaps(struct store *s, const struct energy_window *w, struct energy_figure *f,
                     int64_t bridged_ns, struct err *e)
{
    if (f->unknown_ns > 0)
        energy_flag(f, "unknown");
    if (bridged_ns > 0)
        energy_flag(f, "bridged");
    if (f->unknown_ns > 0 || bridged_ns > 0) {
        int rc = samples_gaps(s, f->channel, w->boot, w->t0_ns, w->t1_ns, on_gap, f, e);
        if (rc)
            return rc;
    }
    int stepped = samples_clock_stepped(s, w->boot, w->t0_ns, w->t1_ns, e);
    if (stepped > 0)
        energy_flag(f, "clock_step");
    return stepped < 0 ? stepped : 0;
}

/* One standard deviation: the register's step at both edges, and the width of a sweep times power. */
static void state_random(const struct channel_row *ch, const struct energy_window *w,
                         const struct sample *first, const struct sample *last,
                         struct energy_figure *f)
{
    double span_ns = (double)(w->t1_ns - w->t0_ns);
    double power_w = span_ns > 0 ? (double)f->energy_uj * 1e3 / span_ns : 0;
    double half0 = (double)(first->after_ns - first->before_ns) / 2;
    double half1 = (double)(last->after_ns - last->before_ns) / 2;
    double quantum_uj = (double)ch->quantum / sqrt(6.0);
    double stamp_uj = power_w * 1e-3 * sqrt(half0 * half0 + half1 * half1);
    f->random_uj = (int64_t)ceil(sqrt(quantum_uj * quantum_uj + stamp_uj * stamp_uj));
}

/* Too short for this meter: said in words, whatever number came out. */
static bool is_below_resolution(const struct channel_row *ch, const struct energy_window *w,
                                const struct energy_figure *f)
{
    int64_t span = w->t1_ns - w->t0_ns;
    int64_t period = ch->period_ns > ch->box_ns ? ch->period_ns : ch->box_ns;
    if (f->bounded && f->lo_uj == 0)
        return true;
    return span < period + ch->lag_ns || (is_counter(ch) && f->energy_uj < ch->quantum);
}

static int finish_counter(struct store *s, const struct channel_row *ch,
                          const struct energy_window *w, struct energy_figure *f, struct err *e)
{
    struct sample first, last;
    int rc = bounds_of_counter(s, ch, w, f, e);
    if (rc)
        return rc;
    rc = samples_before(s, ch->id, w->boot, w->t0_ns, &first, e);
    if (rc == 0)
        rc = samples_after(s, ch->id, w->boot, w->t1_ns, &last, e);
    if (rc == 0 && f->method != ENERGY_ESTIMATE)
        state_random(ch, w, &first, &last, f);
    return rc == WATTQ_E_CORRUPT || rc > 0 ? 0 : rc;
}

static int fill(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                const struct edge *a, const struct edge *b, struct energy_figure *f, struct err *e)
{
    int64_t outside = (a->t_ns - w->t0_ns) + (w->t1_ns - b->t_ns);
    f->energy_uj = b->at.e_uj - a->at.e_uj;
    f->unknown_ns = b->at.unknown_ns - a->at.unknown_ns + outside;
    f->bridged_uj = b->at.bridged_uj - a->at.bridged_uj;
    f->covered_ns = w->t1_ns - w->t0_ns - f->unknown_ns;
    if (f->covered_ns <= 0 && w->t1_ns > w->t0_ns)
        return unknown(f, "the meter gave no reading in this window");
    f->known = true;
    if (a->at.provisional || b->at.provisional)
        energy_flag(f, "provisional");
    if (a->at.thinned || b->at.thinned)
        energy_flag(f, "thinned");
    const struct wrap_span span = {w->boot, a->t_ns, b->t_ns, a->at.e_uj, b->at.e_uj};
    int rc = flag_gaps(s, w, f, b->at.bridged_ns - a->at.bridged_ns, e);
    if (rc == 0)
        rc = flag_wrap(s, ch, &span, f, e);
    if (rc)
        return rc;
    if (is_counter(ch))
        rc = finish_counter(s, ch, w, f, e);
    else
        base_strcpy(f->bound_basis, sizeof(f->bound_basis),
                    f->method == ENERGY_ESTIMATE ? "none: an estimate"
                                                 : "none: power readings were integrated");
    if (is_below_resolution(ch, w, f))
        energy_flag(f, "below_resolution");
    else if (f->bounded && f->hi_uj - f->lo_uj > f->energy_uj / COARSE_SHARE)
        energy_flag(f, "coarse");
    return rc;
}

/* What a fit to a real meter showed of how far off the guess is. */
static int state_estimate_error(struct store *s, const struct channel_row *ch,
                                struct energy_figure *out, struct err *e)
{
    struct calibration c;
    int rc = ch->quality == QUALITY_ESTIMATED ? calibrations_newest(s, ch->id, &c, e) : 1;
    if (rc == 0)
        out->gain_ppm = calibrate_gain_ppm(&c);
    return rc < 0 ? rc : 0;
}

int energy_of_channel(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *out, struct err *e)
{
    struct edge a, b;
    struct energy_window at;
    init_figure(out, ch);
    if (w->t0_ns < 0 || w->t1_ns < w->t0_ns)
        return err_set(e, WATTQ_E_USAGE, "the window ends before it starts");
    out->unknown_ns = w->t1_ns - w->t0_ns;
    if (ch->quality == QUALITY_NONE || ch->kind == CHANNEL_COMPANION ||
        ch->kind == CHANNEL_CPU_TIME)
        return unknown(out, "this channel does not measure energy");
    int rc = move_window(s, ch, w, out, &at, e);
    if (rc == 0)
        rc = find_edge(s, ch, &at, true, &a, e);
    if (rc == 0)
        rc = find_edge(s, ch, &at, false, &b, e);
    if (rc == WATTQ_E_CORRUPT)
        return unknown(out, "stored samples at the window's edge are damaged");
    if (rc < 0)
        return rc;
    if (rc > 0 || a.t_ns > b.t_ns)
        return unknown(out, "the meter gave no reading in this window");
    rc = fill(s, ch, &at, &a, &b, out, e);
    return rc < 0 ? rc : state_estimate_error(s, ch, out, e);
}

/* ---- splitting ---------------------------------------------------------------------------------- */

__extension__ typedef __int128 wide;

/* floor(energy * weight / sum), and what it left over, both exact. */
static int64_t share_of(int64_t energy_uj, int64_t weight, wide sum, wide *left)
{
    wide product = (wide)energy_uj * weight;
    wide q = product / sum;
    if (product % sum < 0)
        q--;
    *left = product - q * sum;
    return (int64_t)q;
}

void energy_split(int64_t energy_uj, const int64_t *weights, size_t n, int64_t *parts)
{
    wide sum = 0, given = 0;
    for (size_t i = 0; i < n; i++)
        sum += weights[i] > 0 ? weights[i] : 0;
    bool equal = sum == 0;
    if (equal)
        sum = (wide)n;
    for (size_t i = 0; i < n; i++) {
        wide left;
        int64_t weight = equal ? 1 : weights[i] > 0 ? weights[i] : 0;
        parts[i] = share_of(energy_uj, weight, sum, &left);
        given += parts[i];
    }
    /* Fewer than n uJ are left: each goes to the largest remainder that has not got one yet. */
    uint8_t *got = base_alloc(n ? n : 1);
    for (int64_t rest = (int64_t)(energy_uj - given); rest > 0 && n > 0; rest--) {
        size_t best = n;
        wide best_left = -1;
        for (size_t i = 0; i < n; i++) {
            wide left;
            int64_t weight = equal ? 1 : weights[i] > 0 ? weights[i] : 0;
            (void)share_of(energy_uj, weight, sum, &left);
            if (!got[i] && left > best_left) {
                best = i;
                best_left = left;
            }
        }
        got[best] = 1;
        parts[best]++;
    }
    free(got);
}
