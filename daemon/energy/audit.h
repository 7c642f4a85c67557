/* Does it add up? For each meter with accounts, over a stretch of stored time:
 *   - at each of the ledger's ticks the accounts add up to the meter's E(t), to the uJ;
 *   - while the raw samples exist, the ledger's arithmetic gives the same parts again, bit for bit;
 *   - over windows of runs and random ones, under every policy, shares of runs + system + foreign + idle are
 *     the meter's energy;
 *   - each chunk of samples begins with the energy that the one before ended with.
 * Any connection, best inside one snapshot. Reads only. */
#ifndef DAEMON_ENERGY_AUDIT_H
#define DAEMON_ENERGY_AUDIT_H

#include "daemon/store/store.h"

#define AUDIT_TEXTS 10

struct audit_plan {
    int64_t boot, t0_ns, t1_ns;
    size_t first;      /* with which meter to begin, so that a short budget comes round to all */
    int windows;       /* random ones per meter */
    uint64_t seed;     /* of these */
    int64_t budget_ns; /* of time for all of it; 0 = as long as it takes */
};
struct audit_result {
    int64_t meters, ticks, replayed, windows, chunks; /* looked at */
    int64_t checks, failures;
    bool cut;                    /* the budget ended it */
    char text[AUDIT_TEXTS][240]; /* the first failures in words */
};
/* Adds to *out, which the caller has set to 0. */
int audit_run(struct store *s, const struct audit_plan *p, struct audit_result *out,
              struct err *e) MUST_USE;

#endif
