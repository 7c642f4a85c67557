/* Channels that the meter finds while it runs, on their way into the database. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/store/storage_internal.h"

#define RETRY_NS NS_PER_S

struct adopted {
    struct meter *meter;
    size_t n;      /* channels of the meter that are written */
    size_t groups; /* and its groups */
    int *channel;  /* the meter's index -> the writer's */
    uint32_t *group;
    int64_t retry_ns; /* clock_mono_ns; 0 = nothing has failed */
};

struct adopted *adopted_new(struct meter *m)
{
    struct adopted *a = base_alloc(sizeof(*a));
    a->meter = m;
    if (!m)
        return a;
    a->channel = base_alloc(METER_CHANNELS_MAX * sizeof(*a->channel));
    a->group = base_alloc(METER_GROUPS_MAX * sizeof(*a->group));
    a->n = meter_count(m);
    a->groups = meter_groups(m);
    for (size_t i = 0; i < a->n; i++)
        a->channel[i] = (int)i;
    for (size_t g = 0; g < a->groups; g++)
        a->group[g] = (uint32_t)g;
    return a;
}

void adopted_free(struct adopted *a)
{
    if (!a)
        return;
    free(a->channel);
    free(a->group);
    free(a);
}

bool adopted_translate(const struct adopted *a, struct tick *t)
{
    if (!a->meter)
        return true;
    if (t->group >= a->groups)
        return false;
    t->group = a->group[t->group];
    return true;
}

static int link_of(const struct adopted *a, const struct samples *w, int index)
{
    if (index < 0)
        return -1;
    /* one of this batch follows the writer's channels in the batch's order */
    return (size_t)index < a->n ? a->channel[index]
                                : (int)(samples_count(w) + (size_t)index - a->n);
}

static void set_base(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0, bool raw_known)
{
    const struct adopted *a = arg;
    meter_set_base(a->meter, a->n + i, id, e0, raw0, raw_known);
}

static int add(struct adopted *a, struct samples *w, size_t found, struct err *e)
{
    size_t n = found - a->n, groups = meter_groups(a->meter) - a->groups;
    struct meter_channel *copy CLEANUP(base_freep) = base_alloc(n * sizeof(*copy));
    const struct meter_channel **list CLEANUP(base_freep) =
        base_alloc(n * sizeof(struct meter_channel *));
    int64_t *periods CLEANUP(base_freep) = base_alloc((groups + 1) * sizeof(*periods));
    for (size_t i = 0; i < n; i++) {
        copy[i] = *meter_channel(a->meter, a->n + i);
        copy[i].group -= (uint32_t)a->groups;
        copy[i].desc.parent = link_of(a, w, copy[i].desc.parent);
        copy[i].desc.mirror_of = link_of(a, w, copy[i].desc.mirror_of);
        list[i] = &copy[i];
    }
    for (size_t g = 0; g < groups; g++)
        periods[g] = meter_group_period_ns(a->meter, a->groups + g);
    const struct samples_more more = {
        .channels = list,
        .n = n,
        .periods_ns = periods,
        .groups = groups,
        .now_ns = clock_boot_ns(),
        .set_base = set_base,
        .arg = a,
    };
    size_t before = samples_count(w);
    uint32_t first_group = 0;
    int rc = samples_add(w, &more, &first_group, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        a->channel[a->n + i] = (int)(before + i);
    for (size_t g = 0; rc == 0 && g < groups; g++)
        a->group[a->groups + g] = first_group + (uint32_t)g;
    if (rc == 0)
        a->groups += groups;
    return rc;
}

void adopted_update(struct adopted *a, struct samples *w)
{
    size_t found = a->meter ? meter_found(a->meter) : 0;
    if (found <= a->n || clock_mono_ns() < a->retry_ns)
        return;
    struct err e = {0};
    if (add(a, w, found, &e) < 0) {
        if (a->retry_ns == 0)
            log_warn("a meter that was found cannot be recorded yet: %s", e.text);
        a->retry_ns = clock_mono_ns() + RETRY_NS;
        return;
    }
    a->retry_ns = 0;
    a->n = found;
    meter_accept(a->meter, found);
}
