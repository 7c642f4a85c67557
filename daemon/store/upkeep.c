#include "daemon/store/upkeep.h"

#include <stdlib.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/store/tiers.h"

#define TURN_NS  (20 * NS_PER_MS)
#define REST_NS  (10 * NS_PER_S)
#define AGAIN_NS (600 * NS_PER_S)

static bool has_time(void *arg)
{
    const int64_t *until_ns = arg;
    return clock_mono_ns() < *until_ns;
}

/* 1 = there is more to do, 0, < 0. */
static int build(struct store *s, int64_t *until_ns, struct err *e)
{
    struct tiers_group *groups CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = tiers_groups(s, &groups, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = tiers_build(s, &groups[i], has_time, until_ns, e);
    return rc;
}

static int thin_out(struct upkeep *u, struct store *s, int64_t *until_ns, struct err *e)
{
    const struct retention_ask ask = {u->budget_bytes, clock_utc_ns()};
    int rc;
    do
        rc = retention_step(s, &ask, &u->state, e);
    while (rc > 0 && has_time(until_ns));
    return rc;
}

static void tell(struct upkeep *u)
{
    if (u->state.over && !u->told_over)
        log_warn("the database holds %lld bytes, more than its budget of %lld, and there are no "
                 "samples left "
                 "that may be thinned out; a larger one: wattqd --budget",
                 (long long)u->state.used_bytes, (long long)u->budget_bytes);
    u->told_over = u->state.over;
}

void upkeep_run(struct upkeep *u, struct store *s, int64_t mono_ns)
{
    struct err e = {0};
    int64_t until_ns = mono_ns + TURN_NS;
    if (mono_ns < u->due_ns)
        return;
    int rc = build(s, &until_ns, &e);
    if (rc >= 0) {
        int more = rc;
        rc = thin_out(u, s, &until_ns, &e);
        rc = rc == 0 ? more : rc;
    }
    if (rc < 0)
        log_warn("old samples cannot be thinned out now: %s", e.text);
    tell(u);
    u->due_ns = rc < 0 ? mono_ns + AGAIN_NS : rc > 0 ? mono_ns : mono_ns + REST_NS;
}
