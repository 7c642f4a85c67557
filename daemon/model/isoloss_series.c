/* One iso-loss curve per depth and shape, and where their minima lie. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "daemon/model/isoloss.h"

static bool same_series(const struct study_run *a, const struct study_run *b)
{
    return a->net.depth == b->net.depth && strcmp(a->shape, b->shape) == 0;
}

/* The networks of one depth and shape by size, and what one level costs them. */
struct group {
    const struct isoloss *s;
    const struct study_run *runs;
    size_t *config;
    struct isoloss_cost *cost;
    size_t n;       /* that reach the level */
    int64_t lo, hi; /* sizes of the whole group */
    size_t like;
    enum isoloss_quantity q;
};

static int64_t size_of(const struct group *g, size_t config)
{
    return g->runs[g->s->config[config].first].size;
}

static void insert(struct group *g, size_t config, const struct isoloss_cost *cost)
{
    size_t at = g->n++;
    while (at > 0 && size_of(g, g->config[at - 1]) > size_of(g, config)) {
        g->config[at] = g->config[at - 1];
        g->cost[at] = g->cost[at - 1];
        at--;
    }
    g->config[at] = config;
    g->cost[at] = *cost;
}

/* Only networks whose own range holds the level. */
static void gather(struct group *g, double x)
{
    g->n = 0;
    g->lo = INT64_MAX;
    g->hi = 0;
    for (size_t i = 0; i < g->s->n; i++) {
        struct isoloss_cost cost;
        int64_t size = size_of(g, i);
        if (!same_series(&g->runs[g->like], &g->runs[g->s->config[i].first]))
            continue;
        g->lo = size < g->lo ? size : g->lo;
        g->hi = size > g->hi ? size : g->hi;
        if (isoloss_reach(&g->s->config[i], x, &cost) == 0 &&
            isfinite(isoloss_cost_of(&cost, g->q)))
            insert(g, i, &cost);
    }
}

static bool spans(const struct group *g, enum isoloss_relaxed relaxed)
{
    int64_t lo = size_of(g, g->config[0]);
    int64_t hi = size_of(g, g->config[g->n - 1]);
    if (relaxed == ISOLOSS_STRICT)
        return lo <= ISOLOSS_SIZE_LO && hi >= ISOLOSS_SIZE_HI;
    return lo == g->lo && hi == g->hi;
}

static bool epochs_fall(const struct group *g)
{
    double first = g->cost[0].epochs;
    double last = g->cost[g->n - 1].epochs;
    for (size_t i = 0; i < g->n; i++)
        if (g->cost[i].epochs > first || g->cost[i].epochs < last)
            return false;
    return true;
}

static bool keep(const struct group *g, enum isoloss_relaxed relaxed)
{
    return g->n >= ISOLOSS_LEAST && spans(g, relaxed) && (relaxed == ISOLOSS_ANY || epochs_fall(g));
}

static bool make_series(struct isoloss_series *out, struct group *g)
{
    for (int relaxed = ISOLOSS_STRICT; relaxed <= ISOLOSS_ANY; relaxed++) {
        for (int k = ISOLOSS_LEVELS; k-- > 0;) {
            gather(g, g->s->level[k]);
            if (!keep(g, (enum isoloss_relaxed)relaxed))
                continue;
            *out = (struct isoloss_series){.like = g->like,
                                           .x = g->s->level[k],
                                           .relaxed = (enum isoloss_relaxed)relaxed,
                                           .n = g->n,
                                           .config = g->config,
                                           .cost = g->cost};
            for (size_t i = 1; i < g->n; i++)
                if (isoloss_cost_of(&g->cost[i], g->q) <
                    isoloss_cost_of(&g->cost[out->least], g->q))
                    out->least = i;
            return true;
        }
    }
    return false;
}

static bool is_first(const struct isoloss *s, const struct study_run *runs, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_series(&runs[s->config[k].first], &runs[s->config[i].first]))
            return false;
    return true;
}

size_t isoloss_series(struct isoloss_series **out, const struct isoloss *s,
                      const struct study_run *runs, enum isoloss_quantity q)
{
    size_t count = 0;
    *out = base_alloc((s->n + 1) * sizeof **out);
    for (size_t i = 0; i < s->n; i++) {
        if (!is_first(s, runs, i))
            continue;
        struct group g = {.s = s, .runs = runs, .like = s->config[i].first, .q = q};
        g.config = base_alloc(s->n * sizeof *g.config);
        g.cost = base_alloc(s->n * sizeof *g.cost);
        if (make_series(&(*out)[count], &g)) {
            count++;
            continue;
        }
        free(g.config);
        free(g.cost);
    }
    return count;
}

void isoloss_series_free(struct isoloss_series *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(s[i].config);
        free(s[i].cost);
    }
    free(s);
}

static void count_at(size_t slots[ISOLOSS_LOG2_SLOTS], double v)
{
    if (v >= 1 && v < ldexp(1, ISOLOSS_LOG2_SLOTS))
        slots[ilogb(v)]++;
}

void isoloss_count(struct isoloss_histogram *h, const struct isoloss_series *series, size_t n,
                   const struct isoloss *s, const struct study_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        const struct isoloss_config *c = &s->config[series[i].config[series[i].least]];
        count_at(h->by_f, c->f_bytes);
        count_at(h->by_size, (double)runs[c->first].size);
        h->n++;
    }
}
