/* What common rules for published energy figures ask for, and whether a run's record meets it. Computed from
 * the stored figures; a help for whoever writes the paper, never a certificate. Pure.
 * Keys of the map: same_run (energy and results are of one run), whole_run (no time of it is unknown),
 * rate_1hz (no two readings of a meter in the total further apart than a second, and none refreshes slower), idle_phase (idle power was
 * measured), accuracy_class (5, 2 or 1 %: the best that the stated accuracy reaches; nil: none is stated or
 * it is worse). nil = not known. source: docs/measurement.md, conformance. */
#ifndef DAEMON_API_CONFORM_H
#define DAEMON_API_CONFORM_H

#include "common/wire.h"
#include "daemon/store/runs.h"

struct conform {
    bool measured; /* there is a total and it is no estimate */
    bool whole, idle;
    int64_t max_gap_ns; /* RUN_NONE = not counted */
    int64_t gain_ppm;   /* RUN_NONE = none stated */
    int64_t period_ns;  /* the slowest refresh of a meter in the total; 0 = not known */
};

void conform_take(struct conform *c, const struct run_energy *f); /* each figure of the run */
void conform_put(struct wire_out *o, const char *key, const struct conform *c);

#endif
