/* How often runs of one user may have the meters read at their edges: a token bucket per uid. Pure; the caller says
 * what time it is.
 *
 * A run's edges are instants of its owner's choosing, and the sweeps there make its figure sharp: who starts
 * ten-millisecond runs without end would have a fast power meter (docs/security.md). So each run takes one token when its
 * open sweep is due, and all its sweeps go with it. A run without a token is measured from the samples on the grid
 * alone: it loses no joule, its bounds are wider. Users whom the meters are open to anyway are not counted. */
#ifndef DAEMON_QUEUE_SWEEP_BUDGET_H
#define DAEMON_QUEUE_SWEEP_BUDGET_H

#include "common/base.h"

#define SWEEP_BUDGET_BURST 20         /* runs at once */
#define SWEEP_BUDGET_NS    (NS_PER_S) /* one more for each of these */
#define SWEEP_BUDGET_UIDS  256        /* remembered; beyond them the fullest bucket is forgotten */

struct sweep_bucket {
    int64_t uid;
    int64_t full_ns; /* when it will hold the whole burst again; past = it does */
};
struct sweep_budget { /* zero-initialise */
    struct sweep_bucket at[SWEEP_BUDGET_UIDS];
    size_t n;
};

/* May a run of that user have its sweeps now? Takes the token. now_ns never goes back. */
bool sweep_budget_take(struct sweep_budget *b, int64_t uid, int64_t now_ns);

#endif
