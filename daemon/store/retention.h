/* What goes when samples get old: the finest that there is of a stretch of time, once a coarser tier (tiers.h)
 * stands for it; the curve, its gaps and every figure of a run stay. Thread: that of the store, the only writer;
 * outside a transaction.
 *
 * Kept are samples for 2^25 periods of their group (a second: 388 days; 100 ms: 39 days; 1 ms: 9.3 hours), tier 1
 * for 30 days, tier 2 for 5 years, tier 3 for ever. Where the file would grow above its budget all of these become
 * shorter by the same factor. Never thinned are: the last hour; the newest chunk of an epoch that goes on, which
 * the next one is joined to; what a pinned run took, and what stands around the start of one that goes on, with
 * a minute on both sides; damaged chunks, which nothing can stand for. */
#ifndef DAEMON_STORE_RETENTION_H
#define DAEMON_STORE_RETENTION_H

#include "daemon/store/store.h"

#define RETENTION_BUDGET (INT64_C(1) << 30) /* bytes; what wattqd does when it is not told */

struct retention_ask {
    int64_t budget_bytes; /* of the database file; 0 = only age counts */
    int64_t utc_ns;       /* now */
};
struct retention_state {
    int64_t used_bytes; /* pages that hold something */
    int64_t file_bytes; /* all pages */
    bool over;          /* above the budget, and nothing is left that may be thinned */
};
/* At most one stretch of one group, or a few free pages given back, in a transaction of its own. 1 = call again;
 * 0 = there is nothing to do. *out always says how it stood before. */
int retention_step(struct store *s, const struct retention_ask *ask, struct retention_state *out,
                   struct err *e) MUST_USE;

#endif
