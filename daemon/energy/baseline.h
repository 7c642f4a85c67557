/* Idle power of a channel: measured, dated, versioned. Rows of `baseline` are only ever added; a figure
 * names the row it used, so that it can be had again whatever is learned later.
 * Thread: whichever owns the connection; writing is the storage thread's. */
#ifndef DAEMON_ENERGY_BASELINE_H
#define DAEMON_ENERGY_BASELINE_H

#include "daemon/store/samples.h"

#define BASELINE_LEARNED  "learned"  /* from idle time, by the daemon */
#define BASELINE_MEASURED "measured" /* on request: idle measure */
#define BASELINE_BRACKET  "bracket"  /* around one run: --idle-bracket */

struct baseline {
    int64_t id;
    int64_t channel;
    int64_t boot, t0_ns, t1_ns; /* the idle time it was taken in */
    int64_t power_uw;           /* median over n pieces of a second or more */
    int64_t spread_uw;          /* their interquartile range */
    int64_t n;
    int64_t temp_mc;  /* warmest package or GPU sensor meanwhile; INT64_MIN = none */
    int64_t busy_ppm; /* CPU time of everybody, part of all CPUs; -1 = not sampled */
    int64_t created_utc_ns;
    int64_t run; /* bracket: the run it belongs to; 0 = none */
    char basis[12];
};

/* The baseline in force for a channel at that civil time: the newest of it created until then that is no
 * other run's bracket; a bracket of `run` (0 = none) before all others. 0; 1 = none yet. */
int baseline_find(struct store *s, int64_t channel, int64_t utc_ns, int64_t run,
                  struct baseline *out, struct err *e) MUST_USE;

/* What idling took over a window of that length: power x time, rounded to the nearest uJ. Pure. */
int64_t baseline_energy_uj(const struct baseline *b, int64_t ns);

#endif
