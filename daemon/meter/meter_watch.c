/* Watching channels side by side: mirrored dies, and an outer meter that shows less than what lies in
 * it. A doubt sticks; the channel is still sampled and shown, but left out of totals. */
#include "daemon/meter/meter_internal.h"

#include <string.h>

#define WINDOW_NS     (10 * NS_PER_S)
#define FIRST_NS      (2 * NS_PER_S)
#define ENOUGH_UJ     INT64_C(1000000) /* 1 J inside before an outer meter is judged */
#define TOLERANCE_DIV 20 /* an outer meter may be 5 % low: two models, two calibrations */
#define AGREE_SWEEPS  INT64_C(32)

static bool alive(const struct channel_slot *c)
{
    return c->lane.has_prev &&
           atomic_load_explicit(&c->lane.seen_state, memory_order_relaxed) == READING_OK;
}

static bool doubted(const struct channel_slot *c)
{
    return atomic_load_explicit(&c->doubt, memory_order_relaxed) != METER_DOUBT_NONE;
}

static void doubt(struct channel_slot *c, enum meter_doubt why, size_t about)
{
    atomic_store_explicit(&c->doubt_about, (int)about, memory_order_relaxed);
    atomic_store_explicit(&c->doubt, (int)why, memory_order_relaxed);
}

/* ---- mirrored dies ----------------------------------------------------------------------------- */

/* Two zones of one package: "package-0-die-0" and "package-0-die-1", or the same name twice. Two sockets
 * are never taken for mirrors, however alike they run. */
static bool same_package(const struct channel_slot *a, const struct channel_slot *b)
{
    const struct channel_desc *x = &a->pub.desc;
    const struct channel_desc *y = &b->pub.desc;
    if (x->kind != CHANNEL_COUNTER || y->kind != CHANNEL_COUNTER || x->scope != SCOPE_PACKAGE ||
        y->scope != SCOPE_PACKAGE || strcmp(a->pub.source, b->pub.source) != 0 ||
        x->mirror_of >= 0 || y->mirror_of >= 0) {
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
static void compare(struct channel_slot *a, struct channel_slot *b, size_t about)
{
    int64_t moved = b->lane.cum - b->watch_cum;
    int64_t apart = a->lane.prev_raw - b->lane.prev_raw;
    int64_t wrap = b->pub.desc.wrap_uj;
    apart = apart < 0 ? -apart : apart;
    if (wrap > 0 && apart > wrap / 2) {
        apart = wrap - apart;
    }
    if (!alive(a) || !alive(b) || apart > moved + 2 * b->pub.desc.quantum) {
        b->watch_agrees = 0;
    } else if (moved > 0) {
        b->watch_agrees++;
    }
    if (b->watch_agrees >= AGREE_SWEEPS) {
        doubt(b, METER_DOUBT_MIRROR, about);
    }
}

void meter_watch_sweep(struct meter *m)
{
    for (size_t k = 0; k < m->npairs; k++) {
        struct channel_slot *a = &m->slots[m->pairs[k].a];
        struct channel_slot *b = &m->slots[m->pairs[k].b];
        if (!doubted(b)) {
            compare(a, b, m->pairs[k].a);
        }
        b->watch_cum = b->lane.cum;
    }
}

/* ---- outer and inner --------------------------------------------------------------------------- */

/* What went through in this window; comparable only for channels that were read without a break. A reset
 * in the middle clears window_whole. */
static int64_t since(const struct channel_slot *c)
{
    return c->lane.cum - c->window_cum;
}

static void judge_outer(struct meter *m, size_t outer)
{
    struct channel_slot *o = &m->slots[outer];
    int64_t inside = 0;
    size_t witness = outer;
    for (size_t i = 0; i < m->n; i++) {
        struct channel_slot *c = &m->slots[i];
        if (c->pub.desc.parent == (int)outer && c->pub.desc.kind == CHANNEL_COUNTER &&
            c->pub.desc.mirror_of < 0 && !doubted(c) && c->window_whole && alive(c)) {
            inside += since(c);
            witness = i;
        }
    }
    int64_t slack = inside / TOLERANCE_DIV + 2 * o->pub.desc.quantum;
    if (inside >= ENOUGH_UJ && since(o) + slack < inside) {
        doubt(o, METER_DOUBT_LOWER, witness);
    }
}

static bool is_outer(const struct meter *m, size_t i)
{
    for (size_t j = 0; j < m->n; j++) {
        if (m->slots[j].pub.desc.parent == (int)i) {
            return true;
        }
    }
    return false;
}

void meter_watch(struct meter *m, int64_t mono_ns)
{
    int64_t age = mono_ns - m->window_mono_ns;
    if (m->window_mono_ns != 0 && age >= FIRST_NS) {
        for (size_t i = 0; i < m->n; i++) {
            struct channel_slot *c = &m->slots[i];
            if (c->pub.desc.kind == CHANNEL_COUNTER && c->window_whole && !doubted(c) && alive(c) &&
                is_outer(m, i)) {
                judge_outer(m, i);
            }
        }
    }
    if (m->window_mono_ns == 0 || age >= WINDOW_NS) {
        m->window_mono_ns = mono_ns;
        for (size_t i = 0; i < m->n; i++) {
            m->slots[i].window_cum = m->slots[i].lane.cum;
            m->slots[i].window_whole = alive(&m->slots[i]);
        }
    }
}

void meter_watch_pairs(struct meter *m)
{
    m->npairs = 0;
    m->paired = m->n;
    for (size_t b = 0; b < m->n; b++) {
        for (size_t a = 0; a < b; a++) {
            if (same_package(&m->slots[a], &m->slots[b])) {
                m->pairs[m->npairs].a = a;
                m->pairs[m->npairs++].b = b;
                break; /* each channel is compared with the first of its package */
            }
        }
    }
}

const char *meter_doubt_text(enum meter_doubt d)
{
    switch (d) {
    case METER_DOUBT_MIRROR:
        return "shows the same register as";
    case METER_DOUBT_LOWER:
        return "shows less than what lies in it, among it";
    case METER_DOUBT_NONE:
    default:
        return "";
    }
}
