#include "daemon/api/glance.h"

#include <stdlib.h>

#include "common/units.h"
#include "daemon/api/coarse.h"

struct seen {
    struct meter_status before; /* as the meter had it */
    struct meter_status shown;
    bool known;
};

struct glance {
    const struct meter *meter;
    struct seen *seen;
    size_t n;
    int64_t taken_ns;
};

struct glance *glance_new(const struct meter *m)
{
    struct glance *g = base_alloc(sizeof(*g));
    g->meter = m;
    return g;
}

void glance_free(struct glance *g)
{
    if (g)
        free(g->seen);
    free(g);
}

/* Its own power is a mean over two periods or more: a second at least. */
static bool is_slow(const struct channel_desc *d, const struct meter_status *st)
{
    return d->period_ns >= COARSE_NS / 2 || st->period_learned_ns >= COARSE_NS / 2;
}

/* Over what was counted since, if that is most of a second; what was shown stands until there is more. */
static int64_t mean_power(const struct meter_status *before, const struct meter_status *now,
                          const struct meter_status *shown)
{
    int64_t ns = now->last_ns - before->last_ns;
    if (now->power_uw < 0 || before->last_ns == 0 || now->last_value < before->last_value)
        return -1;
    if (ns < GLANCE_MIN_NS / 2)
        return shown->power_uw;
    return units_muldiv_floor(now->last_value - before->last_value, NS_PER_S, ns);
}

struct meter_status glance_step(const struct channel_desc *d, const struct meter_status *before,
                                const struct meter_status *now, const struct meter_status *shown)
{
    struct meter_status s = *now;
    if (d->kind == CHANNEL_COUNTER && !is_slow(d, now))
        s.power_uw = mean_power(before, now, shown);
    if (channel_kind_counts(d->kind))
        s.last_value = s.last_ns = 0;
    s.last_ns = coarse_floor(s.last_ns);
    s.changed_ns = coarse_floor(s.changed_ns);
    return s;
}

static void grow(struct glance *g, size_t n)
{
    if (n <= g->n)
        return;
    g->seen = realloc(g->seen, n * sizeof(*g->seen));
    if (!g->seen)
        abort();
    for (size_t i = g->n; i < n; i++)
        g->seen[i] = (struct seen){.shown.power_uw = -1};
    g->n = n;
}

void glance_take(struct glance *g, int64_t now_ns)
{
    if (g->taken_ns && now_ns - g->taken_ns < GLANCE_MIN_NS)
        return;
    g->taken_ns = now_ns;
    grow(g, meter_count(g->meter));
    for (size_t i = 0; i < g->n; i++) {
        struct seen *x = &g->seen[i];
        struct meter_status now;
        meter_get_status(g->meter, i, &now);
        x->shown = glance_step(&meter_channel(g->meter, i)->desc, &x->before, &now, &x->shown);
        x->known = true;
        /* A span that was too short for a mean goes on. */
        if (now.last_ns - x->before.last_ns >= GLANCE_MIN_NS / 2)
            x->before = now;
    }
}

void glance_status(const struct glance *g, size_t i, const struct rights *as,
                   struct meter_status *out)
{
    if (as->raw) {
        meter_get_status(g->meter, i, out);
        return;
    }
    struct meter_status now;
    meter_get_status(g->meter, i, &now);
    *out = (struct meter_status){.state = now.state, .power_uw = -1, .lag_learned_ns = -1};
    if (i < g->n && g->seen[i].known)
        *out = g->seen[i].shown;
}
