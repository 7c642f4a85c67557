#include <stdlib.h>

#include "common/units.h"
#include "daemon/store/samples_internal.h"

static void set_base(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0, bool raw_known)
{
    meter_set_base(arg, i, id, e0, raw0, raw_known);
}

int samples_open(struct samples **out, struct store *s, struct meter *m, struct err *e)
{
    size_t n = meter_count(m), groups = meter_groups(m);
    const struct meter_channel **channels = base_alloc((n + 1) * sizeof(struct meter_channel *));
    int64_t *periods CLEANUP(base_freep) = base_alloc((groups + 1) * sizeof(*periods));
    for (size_t i = 0; i < n; i++)
        channels[i] = meter_channel(m, i);
    for (size_t g = 0; g < groups; g++)
        periods[g] = meter_group_period_ns(m, g);
    struct samples_setup u = {
        .channels = channels,
        .n = n,
        .periods_ns = periods,
        .groups = groups,
        .now_ns = clock_boot_ns(),
        .set_base = set_base,
        .arg = m,
    };
    int rc = samples_open_as(out, s, &u, e);
    free(channels);
    return rc;
}
