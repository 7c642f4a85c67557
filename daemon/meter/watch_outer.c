/* An outer meter against what lies in it: psys must be seen to contain its packages before it counts, and
 * whoever shows less than its parts - or a part more than its whole - is found out. */
#include "daemon/meter/watch_internal.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_NS       (2 * NS_PER_S) /* a clear shortfall need not wait for the window's end */
#define WINDOW_NS      (10 * NS_PER_S)
#define WINDOW_PERIODS 10
#define ENOUGH_J       1.0  /* inside, before an outer meter is judged */
#define TOLERANCE      0.05 /* two models, two calibrations */
#define LOW_ROWS       2    /* windows in a row */
#define PROOF_NS       (60 * NS_PER_S)
#define PROOF_J        60.0

/* ---- what lies inside, without counting anything twice ------------------------------------------- */

static bool counts(const struct watch *w, const struct watch_outer *o, size_t k, int64_t t_ns)
{
    const struct watched *c = &w->ch[o->inner[k]];
    return watch_alive(c, t_ns) && watch_whole(c, &o->at[k]) &&
           (c->opinion.doubt == METER_DOUBT_NONE);
}

static bool is_counter(const struct watched *c)
{
    return c->pub->desc.kind == CHANNEL_COUNTER;
}

/* Another one stands for it: a part's whole, or a better or earlier meter of the same thing. */
static bool stood_for(const struct watch *w, const struct watch_outer *o, size_t k, int64_t t_ns)
{
    size_t i = o->inner[k];
    for (size_t l = 0; l < o->n; l++) {
        size_t j = o->inner[l];
        if (l == k || !counts(w, o, l, t_ns)) {
            continue;
        }
        bool better =
            is_counter(&w->ch[j]) != is_counter(&w->ch[i]) ? is_counter(&w->ch[j]) : j < i;
        if (w->contained[j * w->n + i] || (w->thing[j] == w->thing[i] && better)) {
            return true;
        }
    }
    return false;
}

struct inside {
    double mean_w, slack_w;
    int64_t slow_ns;
    size_t witness; /* one of them; SIZE_MAX = there is nothing inside */
};

static struct inside look_inside(const struct watch *w, const struct watch_outer *o, int64_t t_ns)
{
    struct inside in = {.witness = SIZE_MAX};
    for (size_t k = 0; k < o->n; k++) {
        const struct watched *c = &w->ch[o->inner[k]];
        if (!counts(w, o, k, t_ns) || stood_for(w, o, k, t_ns)) {
            continue;
        }
        double mean = watch_mean_w(c, &o->at[k]);
        double most = in.witness == SIZE_MAX ? -1 : in.mean_w;
        in.witness = mean > most ? o->inner[k] : in.witness;
        in.mean_w += mean;
        in.slack_w += watch_slack_w(c, &o->at[k]);
        in.slow_ns = watch_slow_ns(c) > in.slow_ns ? watch_slow_ns(c) : in.slow_ns;
    }
    return in;
}

/* ---- verdicts ----------------------------------------------------------------------------------- */

static void open_window(struct watch *w, struct watch_outer *o, int64_t t_ns)
{
    o->open = true;
    o->from_ns = t_ns;
    o->at_self = watch_mark(&w->ch[o->self]);
    for (size_t k = 0; k < o->n; k++) {
        o->at[k] = watch_mark(&w->ch[o->inner[k]]);
        if (!watch_alive(&w->ch[o->inner[k]], t_ns)) {
            o->at[k].t_ns = 0;
        }
    }
}

/* A package is the surer one of itself and its cores; psys and node meters are the ones to be proven. */
static bool whole_is_surer(const struct watch *w, const struct watch_outer *o)
{
    return w->ch[o->self].pub->desc.scope == SCOPE_PACKAGE;
}

static void low(struct watch *w, struct watch_outer *o, const struct inside *in, double self_w,
                int64_t t_ns)
{
    o->fine_ns = 0;
    o->fine_j = 0;
    if (++o->low < LOW_ROWS) {
        return;
    }
    double span_s = (double)(w->ch[o->self].t_ns - o->at_self.t_ns) * 1e-9;
    bool part = whole_is_surer(w, o);
    struct watch_grounds g = {.about = part ? o->self : in->witness,
                              .mine_j = (part ? in->mean_w : self_w) * span_s,
                              .other_j = (part ? self_w : in->mean_w) * span_s,
                              .span_ns = w->ch[o->self].t_ns - o->at_self.t_ns};
    watch_doubt(w, part ? in->witness : o->self, part ? METER_DOUBT_HIGHER : METER_DOUBT_LOWER, &g,
                t_ns);
}

static void fine(struct watch *w, struct watch_outer *o, const struct inside *in, double self_w,
                 int64_t t_ns)
{
    int64_t span_ns = w->ch[o->self].t_ns - o->at_self.t_ns;
    enum meter_doubt d = watch_doubt_of(w, o->self);
    o->low = 0;
    if (d == METER_DOUBT_UNPROVEN && self_w + in->slack_w < in->mean_w) {
        o->fine_ns = 0; /* within the tolerance, and still less: no proof */
        o->fine_j = 0;
        return;
    }
    o->fine_ns += span_ns;
    o->fine_j += in->mean_w * (double)span_ns * 1e-9;
    bool proven = d == METER_DOUBT_UNPROVEN && o->fine_ns >= PROOF_NS && o->fine_j >= PROOF_J;
    if (proven || (d == METER_DOUBT_LOWER && o->fine_ns >= WATCH_CALM_NS)) {
        watch_restore(w, o->self, t_ns);
    }
}

static void judge(struct watch *w, struct watch_outer *o, int64_t t_ns)
{
    const struct watched *self = &w->ch[o->self];
    struct inside in = look_inside(w, o, t_ns);
    if (!watch_whole(self, &o->at_self) || in.witness == SIZE_MAX) {
        o->open = false;
        return;
    }
    int64_t span_ns = self->t_ns - o->at_self.t_ns;
    int64_t slow = WINDOW_PERIODS * (watch_slow_ns(self) + in.slow_ns);
    int64_t need = slow > WINDOW_NS ? slow : WINDOW_NS;
    bool enough = in.mean_w * (double)span_ns * 1e-9 >= ENOUGH_J;
    double self_w = watch_mean_w(self, &o->at_self);
    double slack = in.slack_w + watch_slack_w(self, &o->at_self);
    bool less = self_w + slack < in.mean_w * (1 - TOLERANCE);
    if (!enough || span_ns < slow || (span_ns < need && !less)) {
        return;
    }
    in.slack_w = slack;
    if (less) {
        low(w, o, &in, self_w, t_ns);
    } else {
        fine(w, o, &in, self_w, t_ns);
    }
    o->open = false;
}

static void judge_parts(struct watch *w, size_t part, int64_t t_ns)
{
    const struct meter_opinion *m = &w->ch[part].opinion;
    if (m->doubt == METER_DOUBT_HIGHER && t_ns - m->since_ns > WATCH_CALM_NS) {
        watch_restore(w, part,
                      t_ns); /* on trial again: a part still too high is found out at once */
    }
}

void watch_outers_step(struct watch *w, int64_t t_ns)
{
    for (size_t k = 0; k < w->nouters; k++) {
        struct watch_outer *o = &w->outers[k];
        if (!watch_alive(&w->ch[o->self], t_ns)) {
            o->open = false;
        } else if (!o->open) {
            open_window(w, o, t_ns);
        } else if (t_ns - o->from_ns >= FIRST_NS) {
            judge(w, o, t_ns);
            if (!o->open) {
                open_window(w, o, t_ns);
            }
        }
        for (size_t l = 0; l < o->n; l++) {
            judge_parts(w, o->inner[l], t_ns);
        }
    }
}

/* ---- which ------------------------------------------------------------------------------------- */

void watch_outers_new(struct watch *w)
{
    w->outers = base_alloc((w->n + 1) * sizeof(*w->outers));
    for (size_t i = 0; i < w->n; i++) {
        struct watch_outer *o = &w->outers[w->nouters];
        if (!w->ch[i].power) {
            continue;
        }
        *o = (struct watch_outer){.self = i};
        o->inner = base_alloc((w->n + 1) * sizeof(*o->inner));
        for (size_t j = 0; j < w->n; j++) {
            if (w->ch[j].power && w->contained[i * w->n + j]) {
                o->inner[o->n++] = j;
            }
        }
        o->at = base_alloc((o->n + 1) * sizeof(*o->at));
        if (o->n > 0) {
            w->nouters++;
        } else {
            free(o->inner);
            free(o->at);
        }
    }
}

void watch_outers_free(struct watch *w)
{
    for (size_t k = 0; k < w->nouters; k++) {
        free(w->outers[k].inner);
        free(w->outers[k].at);
    }
    free(w->outers);
}
