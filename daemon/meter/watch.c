#include "daemon/meter/watch_internal.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/meter/ring.h"

#define JUDGE_NS       NS_PER_S
#define ALIVE_NS       (3 * NS_PER_S)
#define KNOT_NS        (200 * NS_PER_MS)
#define STRETCH_NS     (60 * NS_PER_S)
#define LAG_ASSUMED_NS (60 * NS_PER_S)
#define RESETS_NS      (600 * NS_PER_S)

/* ---- verdicts ----------------------------------------------------------------------------------- */

enum meter_doubt watch_doubt_of(const struct watch *w, size_t i)
{
    return w->ch[i].opinion.doubt; /* the sampler alone writes it */
}

/* What a channel is comes before how it behaves. */
static bool outranks(enum meter_doubt fresh, enum meter_doubt old)
{
    return old == METER_DOUBT_NONE || old == METER_DOUBT_UNPROVEN ||
           (meter_doubt_excludes(fresh) && !meter_doubt_excludes(old));
}

void watch_doubt(struct watch *w, size_t i, enum meter_doubt d, const struct watch_grounds *g,
                 int64_t t_ns)
{
    struct watched *c = &w->ch[i];
    if (!outranks(d, c->opinion.doubt)) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    c->opinion.doubt = d;
    c->opinion.about = g->about == SIZE_MAX ? -1 : (int)g->about;
    c->opinion.since_ns = t_ns;
    c->opinion.mine_uj = llrint(g->mine_j * 1e6);
    c->opinion.other_uj = llrint(g->other_j * 1e6);
    c->opinion.span_ns = g->span_ns;
    c->opinion.proven = false;
    pthread_mutex_unlock(&w->lock);
}

void watch_restore(struct watch *w, size_t i, int64_t t_ns)
{
    struct watched *c = &w->ch[i];
    pthread_mutex_lock(&w->lock);
    c->opinion = (struct meter_opinion){
        .about = -1, .since_ns = t_ns, .proven = c->pub->desc.scope == SCOPE_PSYS};
    pthread_mutex_unlock(&w->lock);
}

void watch_set(struct watch *w, size_t i, const struct meter_opinion *o)
{
    struct meter_opinion *mine = &w->ch[i].opinion;
    if (i >= w->n) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    *mine = *o;
    if (w->ch[i].pub->desc.scope == SCOPE_PSYS && !o->proven && o->doubt == METER_DOUBT_NONE) {
        mine->doubt = METER_DOUBT_UNPROVEN;
        mine->about = -1;
    }
    pthread_mutex_unlock(&w->lock);
}

void watch_get(struct watch *w, size_t i, struct meter_opinion *out, int64_t *lag_ns,
               int64_t *lag_events)
{
    *out = (struct meter_opinion){.about = -1};
    *lag_ns = -1;
    *lag_events = 0;
    pthread_mutex_lock(&w->lock);
    if (i < w->n) {
        *out = w->ch[i].opinion;
        *lag_ns = w->ch[i].lag_ns;
        *lag_events = w->ch[i].lag_events;
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- windows ------------------------------------------------------------------------------------ */

bool watch_alive(const struct watched *c, int64_t t_ns)
{
    int64_t patience = 3 * c->pace_ns > ALIVE_NS ? 3 * c->pace_ns : ALIVE_NS;
    return c->power && c->has && t_ns - c->t_ns <= patience;
}

struct watch_mark watch_mark(const struct watched *c)
{
    return (struct watch_mark){c->t_ns, c->breaks, c->energy_j, c->steps_w2};
}

bool watch_whole(const struct watched *c, const struct watch_mark *m)
{
    return m->t_ns > 0 && c->t_ns > m->t_ns && c->breaks == m->breaks;
}

double watch_mean_w(const struct watched *c, const struct watch_mark *m)
{
    return (c->energy_j - m->energy_j) / ((double)(c->t_ns - m->t_ns) * 1e-9);
}

/* A slow meter that states neither lag nor box may be this late, until watching has shown how late. */
static int64_t lag_of(const struct watched *c)
{
    const struct channel_desc *d = &c->pub->desc;
    bool told = d->lag_ns > 0 || d->box_ns > 0 || c->period_ns < WATCH_SLOW_NS;
    if (c->lag_ns < 0) {
        return told ? d->lag_ns : LAG_ASSUMED_NS;
    }
    return d->lag_ns > c->lag_ns ? d->lag_ns : c->lag_ns;
}

int64_t watch_slow_ns(const struct watched *c)
{
    return c->period_ns + lag_of(c) + c->pub->desc.box_ns;
}

/* At both edges a reading is up to an update period old (what then flowed is missing, or too much), and a
 * late one tells of another time. Between its samples a gauge is not seen: steps at random phases, four
 * standard deviations. docs/measurement.md, standing doubts. */
double watch_slack_w(const struct watched *c, const struct watch_mark *m)
{
    const struct channel_desc *d = &c->pub->desc;
    double span_s = (double)(c->t_ns - m->t_ns) * 1e-9;
    double peak = fmax(c->peak_w[0], c->peak_w[1]);
    double range = peak - fmin(c->trough_w[0], c->trough_w[1]);
    double period_s = (double)(c->period_ns > c->pace_ns ? c->period_ns : c->pace_ns) * 1e-9;
    double quantum = (double)c->quantum * 1e-6;
    double late_s = (double)(watch_slow_ns(c) - c->period_ns) * 1e-9;
    if (!(peak >= 0) || !(range >= 0)) {
        return INFINITY;
    }
    double j = late_s * range;
    if (d->kind == CHANNEL_COUNTER) {
        return (j + 2 * (double)c->period_ns * 1e-9 * peak + 2 * quantum) / span_s;
    }
    j += 4 * period_s * sqrt((c->steps_w2 - m->steps_w2) / 12) + 2 * period_s * range;
    return j / span_s + quantum / 2;
}

/* ---- samples ------------------------------------------------------------------------------------ */

static void note_reset(struct watch *w, size_t i, int64_t t_ns)
{
    struct watched *c = &w->ch[i];
    c->reset_ns[c->resets++ % WATCH_RESETS] = t_ns;
    int64_t oldest = c->reset_ns[c->resets % WATCH_RESETS];
    if (c->resets >= WATCH_RESETS && t_ns - oldest <= RESETS_NS) {
        watch_doubt(w, i, METER_DOUBT_BACKWARDS, &(struct watch_grounds){.about = SIZE_MAX}, t_ns);
    }
}

static void break_curve(struct watched *c)
{
    c->breaks++;
    c->has = false;
}

static void integrate(struct watched *c, const struct watch_sample *s)
{
    const struct channel_desc *d = &c->pub->desc;
    if (d->kind == CHANNEL_COUNTER) {
        c->energy_j = (double)s->value * 1e-6;
        return;
    }
    int64_t dt = s->t_ns - c->t_ns;
    double before = (double)c->value * 1e-6;
    double now = (double)s->value * 1e-6;
    double mean = d->kind == CHANNEL_AVERAGE ? now : (before + now) / 2;
    c->energy_j += mean * (double)dt * 1e-9;
    c->steps_w2 += (now - before) * (now - before);
}

/* Counters: mean power between knots that are at least KNOT_NS apart and moved; gauges: what they say. */
static void note_power(struct watched *c, const struct watch_sample *s)
{
    if (c->pub->desc.kind != CHANNEL_COUNTER) {
        c->power_w = (double)s->value * 1e-6;
        return;
    }
    bool still = !(c->energy_j > c->knot_j) && s->t_ns - c->knot_ns < 2 * c->period_ns;
    if (c->knot_ns != 0 && (s->t_ns - c->knot_ns < KNOT_NS || still)) {
        return;
    }
    if (c->knot_ns != 0) {
        c->power_w = (c->energy_j - c->knot_j) / ((double)(s->t_ns - c->knot_ns) * 1e-9);
    }
    c->knot_ns = s->t_ns;
    c->knot_j = c->energy_j;
}

static void note_range(struct watched *c, int64_t t_ns)
{
    if (c->stretch_ns == 0 || t_ns - c->stretch_ns >= STRETCH_NS) {
        bool first = c->stretch_ns == 0;
        c->peak_w[1] = first ? (double)NAN : c->peak_w[0];
        c->trough_w[1] = first ? (double)NAN : c->trough_w[0];
        c->peak_w[0] = c->trough_w[0] = NAN;
        c->stretch_ns = t_ns;
    }
    c->peak_w[0] = fmax(c->peak_w[0], c->power_w); /* fmax and fmin skip a NaN */
    c->trough_w[0] = fmin(c->trough_w[0], c->power_w);
}

static void note_learned(struct watched *c, const struct watch_sample *s)
{
    const struct channel_desc *d = &c->pub->desc;
    c->period_ns = d->period_ns;
    if (!d->period_declared && s->period_ns > d->period_ns) {
        c->period_ns = s->period_ns;
    }
    c->quantum = d->quantum > s->quantum ? d->quantum : s->quantum;
}

static bool is_hole(const struct watched *c, const struct watch_sample *s)
{
    int64_t patience = 3 * c->pace_ns > NS_PER_S ? 3 * c->pace_ns : NS_PER_S;
    return c->pub->desc.kind != CHANNEL_COUNTER && s->t_ns - c->t_ns > patience;
}

void watch_put(struct watch *w, size_t i, const struct watch_sample *s)
{
    struct watched *c = &w->ch[i];
    if (i >= w->n || !c->power) {
        return;
    }
    bool counter = c->pub->desc.kind == CHANNEL_COUNTER;
    if ((s->state & TICK_STATE_MASK) != READING_OK) {
        if (!counter && c->has) {
            break_curve(c);
        }
        return;
    }
    if (c->has && ((s->state & (TICK_RESET | TICK_BRIDGED)) || is_hole(c, s))) {
        break_curve(c);
        c->knot_ns = 0;
    }
    if (counter && (s->state & TICK_RESET) && !s->resumed) {
        note_reset(w, i, s->t_ns);
    }
    note_learned(c, s);
    if (c->has && s->t_ns > c->t_ns) {
        integrate(c, s);
    } else if (counter) {
        c->energy_j = (double)s->value * 1e-6;
    }
    if (c->moved_ns == 0 && c->opinion.doubt == METER_DOUBT_FROZEN) {
        c->moved_ns = c->opinion.since_ns; /* nobody has seen it move since then */
    } else if (c->moved_ns == 0 || s->value != c->value) {
        c->moved_ns = s->t_ns;
    }
    note_power(c, s);
    note_range(c, s->t_ns);
    c->has = true;
    c->t_ns = s->t_ns;
    c->value = s->value;
    c->raw = s->raw;
}

void watch_step(struct watch *w, int64_t t_ns)
{
    watch_dies_step(w, t_ns);
    watch_cells_step(w, t_ns);
    if (w->judged_ns != 0 && t_ns - w->judged_ns < JUDGE_NS) {
        return;
    }
    w->judged_ns = t_ns;
    watch_pairs_step(w, t_ns);
    watch_outers_step(w, t_ns);
    watch_frozen_step(w, t_ns);
    watch_lag_step(w, t_ns);
    for (size_t i = 0; i < w->n; i++) {
        const struct watched *c = &w->ch[i];
        int64_t newest = c->reset_ns[(c->resets + WATCH_RESETS - 1) % WATCH_RESETS];
        newest =
            newest > c->opinion.since_ns ? newest : c->opinion.since_ns; /* of an earlier life */
        if (c->opinion.doubt == METER_DOUBT_BACKWARDS && t_ns - newest > WATCH_CALM_NS) {
            watch_restore(w, i, t_ns);
        }
    }
}

/* ---- life --------------------------------------------------------------------------------------- */

static bool is_watched(const struct channel_desc *d)
{
    bool power =
        d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
    return power && (d->quality == QUALITY_MEASURED || d->quality == QUALITY_MODELLED);
}

/* Parts of a die are many and never slow: no history is kept of them. */
static bool has_history(enum channel_scope s)
{
    return s != SCOPE_CORE && s != SCOPE_UNCORE && s != SCOPE_CPU;
}

static void init_channel(struct watched *c, const struct meter_channel *pub, int64_t pace_ns)
{
    c->pub = pub;
    c->pace_ns = pace_ns;
    c->power = is_watched(&pub->desc);
    c->period_ns = pub->desc.period_ns;
    c->quantum = pub->desc.quantum;
    c->power_w = NAN;
    c->lag_ns = -1;
    c->opinion.about = -1;
    if (c->power && pub->desc.scope == SCOPE_PSYS) {
        c->opinion.doubt = METER_DOUBT_UNPROVEN;
    }
    if (c->power && has_history(pub->desc.scope)) {
        c->cells = base_alloc(WATCH_CELLS * sizeof(*c->cells));
        for (size_t k = 0; k < WATCH_CELLS; k++) {
            c->cells[k] = NAN;
        }
    }
}

struct watch *watch_new(size_t most)
{
    struct watch *w = base_alloc(sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    w->cell = -1;
    w->most = most;
    w->ch = base_alloc((most + 1) * sizeof(*w->ch));
    return w;
}

static void forget_relations(struct watch *w)
{
    watch_outers_free(w);
    free(w->pairs);
    free(w->dies);
    free(w->contained);
    free(w->thing);
    w->npairs = w->ndies = w->nouters = 0;
}

void watch_more(struct watch *w, const struct meter_channel *const *channels,
                const int64_t *paces_ns, size_t n)
{
    n = n < w->most ? n : w->most;
    forget_relations(w);
    for (size_t i = w->n; i < n; i++) {
        init_channel(&w->ch[i], channels[i], paces_ns[i]);
    }
    pthread_mutex_lock(&w->lock);
    w->n = n;
    pthread_mutex_unlock(&w->lock);
    w->thing = base_alloc((n + 1) * sizeof(*w->thing));
    w->contained = base_alloc(n * n + 1);
    meter_relations(channels, n, w->thing, w->contained);
    watch_pairs_new(w);
    watch_outers_new(w);
}

void watch_free(struct watch *w)
{
    if (!w) {
        return;
    }
    forget_relations(w);
    for (size_t i = 0; i < w->n; i++) {
        free(w->ch[i].cells);
    }
    free(w->ch);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- words -------------------------------------------------------------------------------------- */

bool meter_doubt_excludes(enum meter_doubt d)
{
    return d == METER_DOUBT_MIRROR || d == METER_DOUBT_LOWER || d == METER_DOUBT_HIGHER ||
           d == METER_DOUBT_UNPROVEN;
}

const char *meter_doubt_name(enum meter_doubt d)
{
    static const char *const names[METER_DOUBTS] = {
        [METER_DOUBT_MIRROR] = "mirror",       [METER_DOUBT_LOWER] = "lower",
        [METER_DOUBT_HIGHER] = "higher",       [METER_DOUBT_UNPROVEN] = "unproven",
        [METER_DOUBT_DISAGREES] = "disagrees", [METER_DOUBT_BACKWARDS] = "backwards",
        [METER_DOUBT_FROZEN] = "frozen",
    };
    return (unsigned)d < METER_DOUBTS && names[d] ? names[d] : "";
}

const char *meter_doubt_text(enum meter_doubt d)
{
    static const char *const texts[METER_DOUBTS] = {
        [METER_DOUBT_MIRROR] = "shows the same register as",
        [METER_DOUBT_LOWER] = "shows less than what lies in it, among it",
        [METER_DOUBT_HIGHER] = "shows more than what it lies in:",
        [METER_DOUBT_UNPROVEN] = "has not been seen to contain its packages yet",
        [METER_DOUBT_DISAGREES] = "disagrees with",
        [METER_DOUBT_BACKWARDS] = "keeps starting again from a lower value",
        [METER_DOUBT_FROZEN] = "stands still while its power moves by",
    };
    return (unsigned)d < METER_DOUBTS && texts[d] ? texts[d] : "";
}
