/* Which channels may be added. The graph is given by parent (what contains a channel), mirror_of (what
 * shows the same power again) and, where no source said, by what a scope physically encloses. */
#include "daemon/meter/meter.h"

#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX        16 /* longest parent chain; guards against a cycle in stored rows */
#define MISSING_SLACK_NS (10 * NS_PER_S)

struct graph {
    const struct meter_channel *const *ch;
    const struct meter_view *views;
    size_t n;
    size_t *thing; /* the first channel that meters the same thing */
    uint8_t *in;   /* still a candidate */
};

static const struct channel_desc *desc(const struct graph *g, size_t i)
{
    return &g->ch[i]->desc;
}

static size_t follow(const struct graph *g, size_t i, int link)
{
    return link >= 0 && (size_t)link < g->n ? (size_t)link : i;
}

/* The channel whose power i shows. */
static size_t origin(const struct graph *g, size_t i)
{
    for (int step = 0; step < CHAIN_MAX; step++) {
        int seen = g->views ? g->views[i].mirror : -1;
        size_t next = follow(g, i, seen >= 0 ? seen : desc(g, i)->mirror_of);
        if (next == i) {
            break;
        }
        i = next;
    }
    return i;
}

static bool is_power(const struct channel_desc *d)
{
    return d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
}

static bool one_claim(const struct channel_desc *a, const struct channel_desc *b)
{
    return a->device[0] && is_power(a) && is_power(b) && a->scope == b->scope &&
           a->scope != SCOPE_OTHER && strcmp(a->device, b->device) == 0;
}

/* Two rails of one chip have one device and the scope `other`: only links join those. */
static void name_things(struct graph *g)
{
    g->thing = base_alloc((g->n + 1) * sizeof(*g->thing));
    for (size_t i = 0; i < g->n; i++) {
        g->thing[i] = origin(g, i);
    }
    for (size_t i = 0; i < g->n; i++) {
        size_t shown = g->thing[i];
        for (size_t j = 0; j < shown; j++) {
            if (g->thing[j] == j && one_claim(desc(g, j), desc(g, shown))) {
                g->thing[i] = j;
                break;
            }
        }
    }
}

/* Counters lose nothing between polls, averages little, instants most. */
static int kind_rank(enum channel_kind k)
{
    return k == CHANNEL_COUNTER ? 0 : k == CHANNEL_AVERAGE ? 1 : 2;
}

/* Between a counter and a gauge a short hole decides nothing: the gauge has holes nobody sees. */
static int64_t less_missing(const struct graph *g, size_t a, size_t b)
{
    int64_t more = g->views ? g->views[a].missing_ns - g->views[b].missing_ns : 0;
    bool one_kind = desc(g, a)->kind == desc(g, b)->kind;
    return one_kind || more > MISSING_SLACK_NS || more < -MISSING_SLACK_NS ? more : 0;
}

/* Negative: a leads. In this order: what knows more of the window, what is not in doubt, counter before
 * average before instant, the register itself before its mirror, and between two sources the finer step,
 * the declared period, the earlier source. */
static int64_t lead(const struct graph *g, size_t a, size_t b)
{
    const struct channel_desc *x = desc(g, a);
    const struct channel_desc *y = desc(g, b);
    int64_t order[] = {
        less_missing(g, a, b),
        g->views ? g->views[a].demoted - g->views[b].demoted : 0,
        kind_rank(x->kind) - kind_rank(y->kind),
        (origin(g, a) != a) - (origin(g, b) != b),
        x->kind == CHANNEL_COUNTER && x->quantum > 1 && y->quantum > 1 ? x->quantum - y->quantum
                                                                       : 0,
        y->period_declared - x->period_declared,
    };
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (order[i] != 0) {
            return order[i];
        }
    }
    return a < b ? -1 : 1;
}

static void drop_mirrors(struct graph *g)
{
    for (size_t i = 0; i < g->n; i++) {
        for (size_t j = 0; g->in[i] && j < g->n; j++) {
            if (j != i && g->in[j] && g->thing[j] == g->thing[i] && lead(g, j, i) < 0) {
                g->in[i] = 0;
            }
        }
    }
}

static bool one_source_only(enum channel_scope s)
{
    return s == SCOPE_NODE || s == SCOPE_PSYS || s == SCOPE_PACKAGE || s == SCOPE_DRAM ||
           s == SCOPE_CORE || s == SCOPE_UNCORE || s == SCOPE_CPU;
}

/* Two sources that both meter packages meter the same packages; the earlier source is preferred. Where
 * both name their devices those have been compared already: sources may share the packages out. */
static bool both_named(const struct graph *g, size_t i, size_t j)
{
    return desc(g, i)->device[0] && desc(g, j)->device[0];
}

static void drop_second_sources(struct graph *g)
{
    for (size_t i = 0; i < g->n; i++) {
        enum channel_scope scope = desc(g, i)->scope;
        for (size_t j = 0; g->in[i] && one_source_only(scope) && j < i; j++) {
            if (g->in[j] && desc(g, j)->scope == scope && !both_named(g, i, j) &&
                strcmp(g->ch[j]->source, g->ch[i]->source) != 0) {
                g->in[i] = 0;
            }
        }
    }
}

static bool scope_contains(enum channel_scope outer, enum channel_scope inner)
{
    if (outer == SCOPE_NODE) {
        return inner != SCOPE_NODE;
    }
    bool die = inner == SCOPE_CORE || inner == SCOPE_UNCORE;
    if (outer == SCOPE_PSYS) {
        return die || inner == SCOPE_PACKAGE || inner == SCOPE_DRAM || inner == SCOPE_CPU;
    }
    return outer == SCOPE_PACKAGE && (die || inner == SCOPE_CPU);
}

static bool is_ancestor(const struct graph *g, size_t outer, size_t inner)
{
    for (int step = 0; step < CHAIN_MAX; step++) {
        size_t up = follow(g, inner, desc(g, inner)->parent);
        if (up == inner) {
            return false;
        }
        if (g->thing[up] == g->thing[outer]) {
            return true;
        }
        inner = up;
    }
    return false;
}

/* A channel with a parent is placed by it; scopes speak for those that nobody placed. A psys of one
 * socket (parent of package-1) therefore does not swallow package-0. */
static bool contains(const struct graph *g, size_t outer, size_t inner)
{
    if (outer == inner || is_ancestor(g, inner, outer)) {
        return false;
    }
    if (is_ancestor(g, outer, inner)) {
        return true;
    }
    bool placed = desc(g, inner)->parent >= 0 && desc(g, outer)->scope != SCOPE_NODE &&
                  strcmp(g->ch[outer]->source, g->ch[inner]->source) == 0;
    return !placed && scope_contains(desc(g, outer)->scope, desc(g, inner)->scope);
}

static bool any(const struct graph *g, enum channel_scope scope, bool equal)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->in[i] && (desc(g, i)->scope == scope) == equal) {
            return true;
        }
    }
    return false;
}

/* No maker says whether psys includes a card in a slot. Beside a metered GPU that is not placed inside
 * it, the packages are preferred: what they include is known. */
static void drop_psys_beside_gpu(struct graph *g)
{
    if (!any(g, SCOPE_PACKAGE, true) || any(g, SCOPE_NODE, true)) {
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        for (size_t j = 0; g->in[i] && desc(g, i)->scope == SCOPE_PSYS && j < g->n; j++) {
            if (g->in[j] && desc(g, j)->scope == SCOPE_GPU && !is_ancestor(g, i, j)) {
                g->in[i] = 0;
            }
        }
    }
}

/* A rail or supply that nobody placed may overlap anything: alone it is better than nothing. */
static void drop_unplaced(struct graph *g)
{
    bool others = any(g, SCOPE_OTHER, false);
    for (size_t i = 0; i < g->n; i++) {
        if (g->in[i] && desc(g, i)->scope == SCOPE_OTHER) {
            g->in[i] = !others;
            others = true;
        }
    }
}

static void drop_inner(struct graph *g)
{
    uint8_t *outer = base_alloc(g->n + 1);
    memcpy(outer, g->in, g->n);
    for (size_t i = 0; i < g->n; i++) {
        for (size_t j = 0; g->in[i] && j < g->n; j++) {
            if (outer[j] && contains(g, j, i)) {
                g->in[i] = 0;
            }
        }
    }
    free(outer);
}

static size_t choose(struct graph *g, const bool *usable, bool estimates)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct channel_desc *d = desc(g, i);
        g->in[i] = (usable ? usable[i] : g->views[i].usable) && is_power(d) &&
                   d->quality != QUALITY_NONE && (d->quality == QUALITY_ESTIMATED) == estimates;
    }
    drop_mirrors(g);
    drop_second_sources(g);
    drop_unplaced(g);
    drop_psys_beside_gpu(g);
    drop_inner(g);
    size_t chosen = 0;
    for (size_t i = 0; i < g->n; i++) {
        chosen += g->in[i];
    }
    return chosen;
}

static size_t antichain(struct graph *g, const bool *usable)
{
    if (g->n == 0) {
        return 0;
    }
    name_things(g);
    size_t chosen = choose(g, usable, false);
    chosen = chosen > 0 ? chosen : choose(g, usable, true);
    free(g->thing);
    return chosen;
}

size_t meter_antichain(const struct meter_channel *const *channels, size_t n,
                       const struct meter_view *views, uint8_t *out)
{
    struct graph g = {.ch = channels, .views = views, .n = n, .in = out};
    return antichain(&g, NULL);
}

size_t meter_antichain_of(const struct meter_channel *const *channels, size_t n, const bool *usable,
                          uint8_t *out)
{
    struct graph g = {.ch = channels, .n = n, .in = out};
    return antichain(&g, usable);
}

void meter_relations(const struct meter_channel *const *channels, size_t n, size_t *thing,
                     uint8_t *contained)
{
    struct graph g = {.ch = channels, .n = n};
    name_things(&g);
    for (size_t outer = 0; outer < n; outer++) {
        thing[outer] = g.thing[outer];
        for (size_t inner = 0; inner < n; inner++) {
            contained[outer * n + inner] = is_power(desc(&g, outer)) && is_power(desc(&g, inner)) &&
                                           g.thing[outer] != g.thing[inner] &&
                                           contains(&g, outer, inner);
        }
    }
    free(g.thing);
}
