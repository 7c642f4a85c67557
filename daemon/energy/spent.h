/* What a run that is still on has used so far, as its energy limit is held against it (--energy-limit).
 *
 *   lo          the sum of the lower bounds of the counters that the machine's figure is made of, each up to the
 *               newest sample whose edge can be bounded. Energy only flows one way, so this is at most what the
 *               run's figure will show as `lo`. A part without a bound adds nothing, and is named.
 *   machine     the machine's figure, as it stands; whatever it is made of
 *   attributed  the run's share of it; alone on the machine, all of it
 *
 * From stored samples, so about a second behind, and further where a meter refreshes more slowly. What is counted
 * late is counted: nothing is extrapolated.
 * Thread: whichever owns the connection. Reads only. */
#ifndef DAEMON_ENERGY_SPENT_H
#define DAEMON_ENERGY_SPENT_H

#include "common/spec.h"
#include "daemon/energy/shares.h"

struct spent_ask {
    int64_t run;
    int64_t boot, t0_ns; /* when its gate opened */
    int64_t now_ns;
    enum spec_figure figure; /* not UNSAID */
    bool alone;              /* nothing else ran beside it so far */
    enum share_policy policy;
};
struct energy_spent {
    bool known; /* false: energy_uj means nothing, reason says why */
    int64_t energy_uj;
    char reason[160]; /* known: which part of it adds nothing, and why; "" = all of it does */
};
int energy_spent(struct store *s, const struct spent_ask *ask, struct energy_spent *out,
                 struct err *e) MUST_USE;

/* Can that figure be told of a machine whose total is made of these channels (those with in_total)? "" = yes;
 * else why not, to be read behind "the machine's figure". Pure. */
const char *spent_why_not(enum spec_figure figure, const struct meter_channel *const *channels,
                          const uint8_t *in_total, size_t n, char buf[160]);

#endif
