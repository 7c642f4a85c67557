/* Which channels may be added. The graph is given by parent (what contains a channel), mirror_of (what
 * shows the same power again) and, where no source said, by what a scope physically encloses. */
#include "daemon/meter/meter.h"

#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16 /* longest parent chain; guards against a cycle in stored rows */

struct graph {
    const struct meter_channel *const *ch;
    size_t n;
    uint8_t *in; /* still a candidate */
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
        size_t next = follow(g, i, desc(g, i)->mirror_of);
        if (next == i) {
            break;
        }
        i = next;
    }
    return i;
}

/* Counters lose nothing between polls, averages little, instants most. */
static int kind_rank(enum channel_kind k)
{
    return k == CHANNEL_COUNTER ? 0 : k == CHANNEL_AVERAGE ? 1 : 2;
}

static bool better(const struct graph *g, size_t a, size_t b, size_t shown)
{
    int ra = kind_rank(desc(g, a)->kind);
    int rb = kind_rank(desc(g, b)->kind);
    if (ra != rb) {
        return ra < rb;
    }
    return a == shown || (b != shown && a < b);
}

static void drop_mirrors(struct graph *g)
{
    for (size_t i = 0; i < g->n; i++) {
        for (size_t j = 0; g->in[i] && j < g->n; j++) {
            size_t shown = origin(g, i);
            if (j != i && g->in[j] && origin(g, j) == shown && better(g, j, i, shown)) {
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

/* Two sources that both meter packages meter the same packages; the earlier source is preferred. */
static void drop_second_sources(struct graph *g)
{
    for (size_t i = 0; i < g->n; i++) {
        enum channel_scope scope = desc(g, i)->scope;
        for (size_t j = 0; g->in[i] && one_source_only(scope) && j < i; j++) {
            if (g->in[j] && desc(g, j)->scope == scope &&
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
    size_t shown = origin(g, outer);
    for (int step = 0; step < CHAIN_MAX; step++) {
        size_t up = follow(g, inner, desc(g, inner)->parent);
        if (up == inner) {
            return false;
        }
        if (origin(g, up) == shown) {
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

static bool is_power(const struct channel_desc *d)
{
    return d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
}

static size_t choose(struct graph *g, const bool *usable, bool estimates)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct channel_desc *d = desc(g, i);
        g->in[i] = usable[i] && is_power(d) && d->quality != QUALITY_NONE &&
                   (d->quality == QUALITY_ESTIMATED) == estimates;
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

size_t meter_antichain(const struct meter_channel *const *channels, size_t n, const bool *usable,
                       uint8_t *out)
{
    if (n == 0) {
        return 0;
    }
    struct graph g = {.ch = channels, .n = n, .in = out};
    size_t chosen = choose(&g, usable, false);
    return chosen > 0 ? chosen : choose(&g, usable, true);
}
