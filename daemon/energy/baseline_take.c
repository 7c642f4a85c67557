#include "daemon/energy/baseline_take.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/model/stats.h"
#include "daemon/store/baselines.h"

void baseline_set_fini(struct baseline_set *s)
{
    free(s->channels);
    free(s->rows);
    memset(s, 0, sizeof(*s));
}

/* ---- how calm ----------------------------------------------------------------------------------- */

struct seconds {
    int64_t t0_ns;
    int64_t n;
    bool busy[BASELINE_PIECES_MAX];
};

static const struct channel_row *find_uid(const struct baseline_set *x, const char *uid)
{
    for (size_t i = 0; i < x->nchannels; i++)
        if (strcmp(x->channels[i].uid, uid) == 0)
            return &x->channels[i];
    return NULL;
}

/* CPU time between two instants, us; -1 = not known. */
static int64_t cpu_us(struct store *s, const struct channel_row *c, int64_t boot, int64_t t0,
                      int64_t t1)
{
    struct curve_point a, b;
    struct err e;
    if (!c || samples_curve(s, c->id, boot, t0, &a, &e) != 0 ||
        samples_curve(s, c->id, boot, t1, &b, &e) != 0 || b.unknown_ns != a.unknown_ns)
        return -1;
    return b.e_uj - a.e_uj;
}

static int64_t share_ppm(int64_t us, int64_t span_ns, int64_t cpus)
{
    int64_t all_ns = span_ns * cpus;
    return us < 0 || all_ns <= 0 ? -1 : units_muldiv_floor(us, INT64_C(1000000000), all_ns);
}

static void find_busy(struct store *s, const struct baseline_want *q, struct baseline_set *x,
                      struct seconds *sec)
{
    const struct channel_row *cpu = find_uid(x, "slots/machine");
    x->calm.busy_ppm = share_ppm(cpu_us(s, cpu, q->w.boot, q->w.t0_ns, q->w.t1_ns),
                                 q->w.t1_ns - q->w.t0_ns, q->cpus);
    for (int64_t i = 0; i < sec->n; i++) {
        int64_t t = sec->t0_ns + i * BASELINE_PIECE_NS;
        int64_t us = cpu_us(s, cpu, q->w.boot, t, t + BASELINE_PIECE_NS);
        sec->busy[i] = share_ppm(us, BASELINE_PIECE_NS, q->cpus) > q->busy_max_ppm;
        x->calm.busy_pieces += sec->busy[i];
    }
    x->calm.pieces = sec->n;
}

static bool newest(struct store *s, const struct channel_row *c, int64_t boot, int64_t t_ns,
                   int64_t *value)
{
    struct sample at;
    struct err e;
    if (samples_before(s, c->id, boot, t_ns, &at, &e) != 0)
        return false;
    *value = at.value;
    return true;
}

static void find_temperature(struct store *s, const struct baseline_want *q, struct baseline_set *x)
{
    x->calm.temp_mc = INT64_MIN;
    for (size_t i = 0; i < x->nchannels; i++) {
        const struct channel_row *c = &x->channels[i];
        int64_t v;
        if (c->kind != CHANNEL_COMPANION || strcmp(c->unit, "mC") != 0)
            continue;
        if (newest(s, c, q->w.boot, q->w.t0_ns, &v) && v > x->calm.temp_mc)
            x->calm.temp_mc = v;
        if (newest(s, c, q->w.boot, q->w.t1_ns, &v) && v > x->calm.temp_mc)
            x->calm.temp_mc = v;
    }
}

static bool is_utilisation(const struct channel_row *c)
{
    return c->kind == CHANNEL_COMPANION && c->scope == SCOPE_GPU && strcmp(c->unit, "ppm") == 0 &&
           strstr(c->uid, "util") != NULL;
}

/* A GPU that computes is not idle, and neither is what feeds it. */
static void find_gpu_work(struct store *s, const struct baseline_want *q, struct baseline_set *x,
                          const struct seconds *sec)
{
    for (size_t i = 0; i < x->nchannels; i++) {
        int64_t v;
        if (!is_utilisation(&x->channels[i]))
            continue;
        for (int64_t k = 0; k <= sec->n; k++)
            if (newest(s, &x->channels[i], q->w.boot, sec->t0_ns + k * BASELINE_PIECE_NS, &v) &&
                v > 0) {
                snprintf(x->calm.reason, sizeof(x->calm.reason), "%s: it was at work",
                         x->channels[i].label);
                return;
            }
    }
}

/* ---- pieces of one channel ---------------------------------------------------------------------- */

struct powers {
    double w[BASELINE_PIECES_MAX];
    size_t n;
};

/* A meter that changes slowly needs longer pieces: what lies between two of its readings is a line. */
static int64_t step_of(const struct channel_row *c)
{
    int64_t period = c->period_learned_ns > 0 ? c->period_learned_ns : c->period_ns;
    int64_t slowest = 2 * (period > c->box_ns ? period : c->box_ns);
    return (slowest + BASELINE_PIECE_NS - 1) / BASELINE_PIECE_NS > 1
               ? (slowest + BASELINE_PIECE_NS - 1) / BASELINE_PIECE_NS
               : 1;
}

static bool any_busy(const struct seconds *sec, int64_t from, int64_t n)
{
    for (int64_t i = from; i < from + n; i++)
        if (sec->busy[i])
            return true;
    return false;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The curve is read at each border once; a piece with unknown time is none. Slow meters are shifted by
 * their lag: what they show now was drawn before. */
static int find_powers(struct store *s, const struct channel_row *c, const struct baseline_want *q,
                       const struct seconds *sec, struct powers *p, struct err *e)
{
    struct curve_point last = {0};
    bool have = false;
    int64_t step = step_of(c);
    p->n = 0;
    for (int64_t i = 0; i <= sec->n; i += step) {
        struct curve_point at;
        int64_t t = clamp(sec->t0_ns + i * BASELINE_PIECE_NS + c->lag_ns, q->w.t0_ns, q->w.t1_ns);
        int rc = samples_curve(s, c->id, q->w.boot, t, &at, e);
        if (rc < 0)
            return rc;
        bool good =
            rc == 0 && have && at.unknown_ns == last.unknown_ns && !any_busy(sec, i - step, step);
        if (good && sec->t0_ns + i * BASELINE_PIECE_NS + c->lag_ns <= q->w.t1_ns)
            p->w[p->n++] = (double)(at.e_uj - last.e_uj) * 1e3 / (double)(step * BASELINE_PIECE_NS);
        have = rc == 0;
        last = at;
    }
    return 0;
}

static double median_of(const double *v, size_t n)
{
    double *copy CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(*copy));
    memcpy(copy, v, n * sizeof(*copy));
    return stats_median(copy, n);
}

/* How far the medians of the first and the last third lie apart: power that moves in one direction. In
 * order of time. */
static double moved(const struct powers *p)
{
    size_t third = p->n / 3;
    return third < 3 ? 0 : fabs(median_of(p->w, third) - median_of(p->w + p->n - third, third));
}

static void judge(const struct baseline_want *q, struct powers *p, int64_t step,
                  struct baseline_row *r)
{
    int64_t asked = q->pieces_min / step, fewest = step > 1 ? 3 : 1;
    int64_t least = asked > fewest ? asked : fewest;
    if ((int64_t)p->n < least) {
        snprintf(r->reason, sizeof(r->reason),
                 "%zu calm pieces of %" PRId64 " s were measured; %" PRId64 " are needed", p->n,
                 step, least);
        return;
    }
    double median = median_of(p->w, p->n);
    struct powers sorted = *p;
    stats_sort(sorted.w, sorted.n);
    double iqr =
        stats_quantile(sorted.w, sorted.n, 0.75) - stats_quantile(sorted.w, sorted.n, 0.25);
    double drift = moved(p);
    if (q->may_drift)
        iqr = fmax(iqr, drift);
    if (drift > iqr && drift > fabs(median) / 100) {
        snprintf(r->reason, sizeof(r->reason),
                 "its power was still going %s: the machine had not settled",
                 p->w[0] > p->w[p->n - 1] ? "down" : "up");
        return;
    }
    r->known = true;
    r->b.power_uw = llround(median * 1e6);
    r->b.spread_uw = llround(iqr * 1e6);
    r->b.n = (int64_t)p->n;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static bool measures_energy(const struct channel_row *ch)
{
    return ch->quality != QUALITY_NONE &&
           (ch->kind == CHANNEL_COUNTER || ch->kind == CHANNEL_GAUGE ||
            ch->kind == CHANNEL_AVERAGE);
}

/* Would a context on some GPU be in what that meter shows? */
static const struct baseline_held *held_of(const struct channel_row *c,
                                           const struct baseline_want *q)
{
    bool whole = c->scope == SCOPE_NODE || c->scope == SCOPE_PSYS;
    bool gpu = c->scope == SCOPE_GPU || c->scope == SCOPE_MODULE;
    for (size_t i = 0; i < q->nheld; i++) {
        const struct baseline_held *h = &q->held[i];
        if (h->first_ns <= q->w.t1_ns && h->last_ns >= q->w.t0_ns &&
            (whole || (gpu && strcmp(h->device, c->device) == 0)))
            return h;
    }
    return NULL;
}

static int take_channel(struct store *s, const struct channel_row *c, const struct baseline_want *q,
                        const struct seconds *sec, struct baseline_set *x, struct err *e)
{
    struct powers *p CLEANUP(base_freep) = base_alloc(sizeof(*p));
    struct sample at;
    int rc = samples_after(s, c->id, q->w.boot, q->w.t0_ns, &at, e);
    if (rc < 0 || rc == 1 || at.t_ns > q->w.t1_ns)
        return rc < 0 ? rc : 0; /* a channel of other times */
    struct baseline_row *r = &x->rows[x->n++];
    *r = (struct baseline_row){.channel = c,
                               .b = {.channel = c->id,
                                     .boot = q->w.boot,
                                     .t0_ns = q->w.t0_ns,
                                     .t1_ns = q->w.t1_ns,
                                     .temp_mc = x->calm.temp_mc,
                                     .busy_ppm = x->calm.busy_ppm}};
    const struct baseline_held *held = held_of(c, q);
    base_strcpy(r->reason, sizeof(r->reason), x->calm.reason);
    if (!r->reason[0] && held)
        snprintf(r->reason, sizeof(r->reason), "%s held a GPU, which draws more than an empty one",
                 held->by);
    if (r->reason[0])
        return 0;
    rc = find_powers(s, c, q, sec, p, e);
    if (rc == 0)
        judge(q, p, step_of(c), r);
    return rc;
}

int baseline_take(struct store *s, const struct baseline_want *q, struct baseline_set *out,
                  struct err *e)
{
    struct seconds *sec CLEANUP(base_freep) = base_alloc(sizeof(*sec));
    memset(out, 0, sizeof(*out));
    sec->t0_ns = q->w.t0_ns;
    sec->n = clamp((q->w.t1_ns - q->w.t0_ns) / BASELINE_PIECE_NS, 0, BASELINE_PIECES_MAX - 1);
    int rc = samples_channels(s, &out->channels, &out->nchannels, e);
    if (rc < 0)
        return rc;
    out->rows = base_alloc((out->nchannels + 1) * sizeof(*out->rows));
    find_busy(s, q, out, sec);
    find_temperature(s, q, out);
    find_gpu_work(s, q, out, sec);
    if (!out->calm.reason[0] && out->calm.pieces - out->calm.busy_pieces < q->pieces_min)
        snprintf(out->calm.reason, sizeof(out->calm.reason),
                 "in %" PRId64 " of %" PRId64 " s the CPUs were busy for more than %.3g %%",
                 out->calm.busy_pieces, out->calm.pieces, (double)q->busy_max_ppm / 1e4);
    for (size_t i = 0; rc == 0 && i < out->nchannels; i++)
        if (measures_energy(&out->channels[i]))
            rc = take_channel(s, &out->channels[i], q, sec, out, e);
    if (rc < 0)
        baseline_set_fini(out);
    return rc;
}

bool baseline_differs(const struct baseline *in_force, const struct baseline *now)
{
    int64_t apart = llabs(in_force->power_uw - now->power_uw);
    int64_t spread = in_force->spread_uw > now->spread_uw ? in_force->spread_uw : now->spread_uw;
    return apart > spread || now->created_utc_ns - in_force->created_utc_ns > BASELINE_OLD_NS;
}

int baseline_store(struct store *s, struct baseline_set *set, const char *basis, int64_t run,
                   int64_t utc_ns, bool only_new, struct err *e)
{
    int written = 0;
    for (size_t i = 0; i < set->n; i++) {
        struct baseline *b = &set->rows[i].b;
        struct baseline old;
        if (!set->rows[i].known)
            continue;
        base_strcpy(b->basis, sizeof(b->basis), basis);
        b->run = run;
        b->created_utc_ns = utc_ns;
        int rc = only_new ? baselines_in_force(s, b->channel, utc_ns, &old, e) : 1;
        if (rc < 0)
            return rc;
        if (rc == 0 && !baseline_differs(&old, b))
            continue;
        rc = baselines_put(s, b, &b->id, e);
        if (rc < 0)
            return rc;
        written++;
    }
    return written;
}

static const struct baseline_row *row_of(const struct baseline_set *x, int64_t channel)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->rows[i].b.channel == channel && x->rows[i].known)
            return &x->rows[i];
    return NULL;
}

void baseline_join(struct baseline_set *before, const struct baseline_set *after)
{
    for (size_t i = 0; i < before->n; i++) {
        struct baseline_row *r = &before->rows[i];
        const struct baseline_row *o = row_of(after, r->b.channel);
        if (!o)
            continue;
        if (!r->known) {
            r->known = true;
            r->b = o->b;
            continue;
        }
        int64_t drift = llabs(r->b.power_uw - o->b.power_uw);
        r->b.power_uw = r->b.power_uw + (o->b.power_uw - r->b.power_uw) / 2;
        r->b.spread_uw = o->b.spread_uw > r->b.spread_uw ? o->b.spread_uw : r->b.spread_uw;
        r->b.spread_uw = drift > r->b.spread_uw ? drift : r->b.spread_uw;
        r->b.n += o->b.n;
        r->b.t1_ns = o->b.t1_ns;
        r->b.temp_mc = o->b.temp_mc > r->b.temp_mc ? o->b.temp_mc : r->b.temp_mc;
        r->b.busy_ppm = o->b.busy_ppm > r->b.busy_ppm ? o->b.busy_ppm : r->b.busy_ppm;
    }
}
