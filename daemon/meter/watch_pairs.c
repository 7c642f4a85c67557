/* Two channels that claim to meter the same thing, compared over windows for ever; and dies of one package
 * that show one register. */
#include "daemon/meter/watch_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AGREE_SWEEPS   INT64_C(32)
#define WINDOW_NS      (30 * NS_PER_S)
#define WINDOW_MAX_NS  (3600 * NS_PER_S)
#define WINDOW_PERIODS 10   /* of the slower of the two */
#define ENOUGH_J       30.0 /* less says nothing */
#define ENOUGH_QUANTA  20
#define DISAGREE_ROWS  3  /* windows in a row on one side: a verdict */
#define AGREE_ROWS     10 /* windows in a row in agreement: restored; doubled by each relapse */
#define AGREE_ROWS_MAX 1280
#define FLOOR_W        0.5  /* below it nobody is called wrong */
#define UNSTATED_GAIN  0.05 /* where its maker states none: NVML's +-5 % */
#define TWINS_GAIN     0.01 /* two counters of one thing read one sensor */

/* ---- dies --------------------------------------------------------------------------------------- */

/* Two zones of one package: "package-0-die-0" and "package-0-die-1", or the same name twice. Two sockets
 * are never taken for mirrors, however alike they run. */
static bool same_package(const struct meter_channel *a, const struct meter_channel *b)
{
    const struct channel_desc *x = &a->desc;
    const struct channel_desc *y = &b->desc;
    if (x->kind != CHANNEL_COUNTER || y->kind != CHANNEL_COUNTER || x->scope != SCOPE_PACKAGE ||
        y->scope != SCOPE_PACKAGE || strcmp(a->source, b->source) != 0 || x->mirror_of >= 0 ||
        y->mirror_of >= 0) {
        return false;
    }
    const char *dx = strstr(x->label, "-die-");
    const char *dy = strstr(y->label, "-die-");
    size_t lx = dx ? (size_t)(dx - x->label) : strlen(x->label);
    size_t ly = dy ? (size_t)(dy - y->label) : strlen(y->label);
    return lx == ly && memcmp(x->label, y->label, lx) == 0;
}

/* The registers agree to within what flowed during this sweep's interval, sweep after sweep, until
 * AGREE_SWEEPS times that much has gone through both. Independent counters of equal dies drift apart. */
static void compare_dies(struct watch *w, const struct watch_pair *p, int64_t t_ns)
{
    const struct watched *a = &w->ch[p->a];
    struct watched *b = &w->ch[p->b];
    int64_t moved = b->value - b->mirror_value;
    int64_t apart = a->raw - b->raw;
    int64_t wrap = b->pub->desc.wrap_uj;
    apart = apart < 0 ? -apart : apart;
    if (wrap > 0 && apart > wrap / 2) {
        apart = wrap - apart;
    }
    bool alive = watch_alive(a, t_ns) && watch_alive(b, t_ns);
    bool mirror = b->opinion.doubt == METER_DOUBT_MIRROR;
    bool agree = alive && apart <= moved + 2 * b->pub->desc.quantum;
    b->mirror_value = b->value;
    if (mirror ? agree || !alive : !agree) {
        b->mirror_agrees = 0;
    } else if (moved > 0) {
        b->mirror_agrees++;
    }
    if (b->mirror_agrees < AGREE_SWEEPS) {
        return;
    }
    b->mirror_agrees = 0;
    if (mirror) {
        watch_restore(w, p->b, t_ns);
    } else {
        watch_doubt(w, p->b, METER_DOUBT_MIRROR, &(struct watch_grounds){.about = p->a}, t_ns);
    }
}

void watch_dies_step(struct watch *w, int64_t t_ns)
{
    for (size_t k = 0; k < w->ndies; k++) {
        compare_dies(w, &w->dies[k], t_ns);
    }
}

/* ---- one window --------------------------------------------------------------------------------- */

static bool is_counter(const struct watched *c)
{
    return c->pub->desc.kind == CHANNEL_COUNTER;
}

static double gain_of(const struct watched *c, bool twins)
{
    if (c->pub->desc.accuracy_ppm > 0) {
        return (double)c->pub->desc.accuracy_ppm * 1e-6;
    }
    return twins ? TWINS_GAIN : UNSTATED_GAIN;
}

static void open_window(struct watch *w, struct watch_pair *p)
{
    p->at_a = watch_mark(&w->ch[p->a]);
    p->at_b = watch_mark(&w->ch[p->b]);
    p->open = true;
}

static int64_t window_ns(const struct watched *a, const struct watched *b)
{
    int64_t slow = WINDOW_PERIODS * (watch_slow_ns(a) + watch_slow_ns(b));
    int64_t need = slow > WINDOW_NS ? slow : WINDOW_NS;
    return need < WINDOW_MAX_NS ? need : WINDOW_MAX_NS;
}

/* Is b the one whose word counts less where nothing else decides? Counter before average before instant;
 * between two of a kind the later source. docs/measurement.md, standing doubts. */
static bool yields(const struct watched *a, const struct watched *b)
{
    static const int rank[] = {[CHANNEL_COUNTER] = 0, [CHANNEL_AVERAGE] = 1, [CHANNEL_GAUGE] = 2};
    int ra = rank[a->pub->desc.kind];
    int rb = rank[b->pub->desc.kind];
    return ra != rb ? rb > ra : b > a;
}

static const struct watch_pair *pair_of(const struct watch *w, size_t x, size_t y)
{
    for (size_t k = 0; k < w->npairs; k++) {
        const struct watch_pair *p = &w->pairs[k];
        if ((p->a == x && p->b == y) || (p->a == y && p->b == x)) {
            return p->judged ? p : NULL;
        }
    }
    return NULL;
}

/* A third meter of the same thing that agrees with one of them and not with the other. */
static size_t outvoted(const struct watch *w, const struct watch_pair *p)
{
    for (size_t c = 0; c < w->n; c++) {
        if (c == p->a || c == p->b || w->thing[c] != w->thing[p->a] ||
            w->ch[c].opinion.doubt != METER_DOUBT_NONE) {
            continue;
        }
        const struct watch_pair *ac = pair_of(w, p->a, c);
        const struct watch_pair *bc = pair_of(w, p->b, c);
        if (ac && bc && (ac->streak == 0) != (bc->streak == 0)) {
            return ac->streak == 0 ? p->b : p->a;
        }
    }
    return SIZE_MAX;
}

static size_t worse(const struct watch *w, const struct watch_pair *p, double a_w, double b_w)
{
    const struct watched *a = &w->ch[p->a];
    const struct watched *b = &w->ch[p->b];
    if (is_counter(a) && !(a_w > b_w * 0.01)) {
        return p->a; /* a register that stands still */
    }
    if (is_counter(b) && !(b_w > a_w * 0.01)) {
        return p->b;
    }
    size_t third = outvoted(w, p);
    return third != SIZE_MAX ? third : yields(a, b) ? p->b : p->a;
}

static void disagree(struct watch *w, struct watch_pair *p, double a_w, double b_w, int64_t t_ns)
{
    int side = a_w > b_w ? 1 : -1;
    p->streak = p->streak * side > 0 ? p->streak + side : side;
    p->agrees = 0;
    if (abs(p->streak) < DISAGREE_ROWS) {
        return;
    }
    size_t bad = worse(w, p, a_w, b_w);
    if (w->ch[p->a].opinion.doubt != METER_DOUBT_NONE ||
        w->ch[p->b].opinion.doubt != METER_DOUBT_NONE) {
        return; /* that is why; or it was said already */
    }
    const struct watched *c = &w->ch[bad];
    const struct watch_mark *m = bad == p->a ? &p->at_a : &p->at_b;
    double span_s = (double)(c->t_ns - m->t_ns) * 1e-9;
    struct watch_grounds g = {.about = bad == p->a ? p->b : p->a,
                              .mine_j = (bad == p->a ? a_w : b_w) * span_s,
                              .other_j = (bad == p->a ? b_w : a_w) * span_s,
                              .span_ns = c->t_ns - m->t_ns};
    watch_doubt(w, bad, METER_DOUBT_DISAGREES, &g, t_ns);
    p->need = p->need == 0                   ? AGREE_ROWS
              : p->need < AGREE_ROWS_MAX / 2 ? 2 * p->need
                                             : AGREE_ROWS_MAX;
}

static void end_doubt(struct watch *w, size_t i, size_t about, int64_t t_ns)
{
    const struct meter_opinion *o = &w->ch[i].opinion;
    if (o->doubt == METER_DOUBT_DISAGREES && o->about == (int)about) {
        watch_restore(w, i, t_ns);
    }
}

static void agree(struct watch *w, struct watch_pair *p, int64_t t_ns)
{
    p->streak = 0;
    p->agrees++;
    if (p->agrees >= (p->need > 0 ? p->need : AGREE_ROWS)) {
        end_doubt(w, p->a, p->b, t_ns);
        end_doubt(w, p->b, p->a, t_ns);
    }
}

static void judge(struct watch *w, struct watch_pair *p, int64_t t_ns)
{
    const struct watched *a = &w->ch[p->a];
    const struct watched *b = &w->ch[p->b];
    double a_w = watch_mean_w(a, &p->at_a);
    double b_w = watch_mean_w(b, &p->at_b);
    double span_s = (double)(a->t_ns - p->at_a.t_ns) * 1e-9;
    double big = fmax(a_w, b_w);
    double step = (double)(a->quantum > b->quantum ? a->quantum : b->quantum) * 1e-6;
    if (big * span_s < ENOUGH_J || (is_counter(a) && big * span_s < ENOUGH_QUANTA * step)) {
        if (span_s * 1e9 > (double)WINDOW_MAX_NS) {
            p->open = false;
        }
        return; /* the window grows until enough has flowed */
    }
    bool twins = is_counter(a) && is_counter(b);
    double allowed = (gain_of(a, twins) + gain_of(b, twins)) * big + watch_slack_w(a, &p->at_a) +
                     watch_slack_w(b, &p->at_b) + FLOOR_W;
    p->judged = true;
    if (fabs(a_w - b_w) > allowed) {
        disagree(w, p, a_w, b_w, t_ns);
    } else {
        agree(w, p, t_ns);
    }
    open_window(w, p);
}

void watch_pairs_step(struct watch *w, int64_t t_ns)
{
    for (size_t k = 0; k < w->npairs; k++) {
        struct watch_pair *p = &w->pairs[k];
        const struct watched *a = &w->ch[p->a];
        const struct watched *b = &w->ch[p->b];
        if (!watch_alive(a, t_ns) || !watch_alive(b, t_ns)) {
            p->open = false;
        } else if (!p->open || a->breaks != p->at_a.breaks || b->breaks != p->at_b.breaks) {
            open_window(w, p);
        } else if (a->t_ns - p->at_a.t_ns >= window_ns(a, b) && watch_whole(b, &p->at_b)) {
            judge(w, p, t_ns);
        }
    }
}

/* ---- which ------------------------------------------------------------------------------------- */

void watch_pairs_new(struct watch *w)
{
    size_t room = 0;
    for (size_t b = 0; b < w->n; b++) {
        for (size_t a = 0; a < b; a++) {
            room += w->ch[a].power && w->ch[b].power && w->thing[a] == w->thing[b];
        }
    }
    w->pairs = base_alloc((room + 1) * sizeof(*w->pairs));
    w->dies = base_alloc((w->n + 1) * sizeof(*w->dies));
    for (size_t b = 0; b < w->n; b++) {
        bool die = false;
        for (size_t a = 0; a < b; a++) {
            if (!w->ch[a].power || !w->ch[b].power) {
                continue;
            }
            if (w->thing[a] == w->thing[b]) {
                w->pairs[w->npairs++] = (struct watch_pair){.a = a, .b = b};
            } else if (!die && same_package(w->ch[a].pub, w->ch[b].pub)) {
                w->dies[w->ndies++] = (struct watch_pair){.a = a, .b = b};
                die = true; /* each die is compared with the first of its package */
            }
        }
    }
}
