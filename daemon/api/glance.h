/* What each meter says now, for peers who get readings by whole seconds (coarse.h): taken once per second for all
 * of them together, so that many connections see no more than one. The power of a counter is the mean since
 * the second before; counts of joules are not shown, since with the power of a window they would tell the time
 * between. Loop thread.
 * A peer with the readings as taken gets what the meter has. */
#ifndef DAEMON_API_GLANCE_H
#define DAEMON_API_GLANCE_H

#include "daemon/api/rights.h"
#include "daemon/meter/meter.h"

struct glance;

struct glance *glance_new(const struct meter *m);
void glance_free(struct glance *g); /* NULL is fine */
/* Called about once per second, and never sooner than GLANCE_MIN_NS after the last time: then it does
 * nothing. now_ns: CLOCK_BOOTTIME. */
#define GLANCE_MIN_NS (900 * NS_PER_MS)
void glance_take(struct glance *g, int64_t now_ns);
/* i below meter_count. A channel that came since the last second: unknown. */
void glance_status(const struct glance *g, size_t i, const struct rights *as,
                   struct meter_status *out);

/* The pure part: what is shown of `now`, after `before` (last_ns 0 = the first time) and `shown` then. */
struct meter_status glance_step(const struct channel_desc *d, const struct meter_status *before,
                                const struct meter_status *now, const struct meter_status *shown);

#endif
