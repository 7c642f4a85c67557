/* How long a run must be so that its meter can tell its energy to a stated part. Pure arithmetic; any
 * thread. Derived in docs/study.md, "How long a run is"; the letters are those of docs/measurement.md,
 * "Counter bounds".
 *
 * Whatever a meter leaves open about a run it leaves open at the two edges, so it is worth a fixed time of
 * the run's power: the slack. A run of slack / r seconds is told to the part r.
 *
 *   counter   hi - lo = P (4 (U + L) + 4 d) + P_max d + 2 q: open and settle at the start, inner or close and
 *             late at the end, each a refresh U late by L, in sweeps that are d long; slack = that / P.
 *             A phase inside the run has no sweeps of its own: its edge lies between two samples h apart,
 *             between which the curve is straight. Power that steps there by no more than itself is off by
 *             at most P h / 4 at an edge: slack h / 2. The larger of the two counts.
 *   gauge     between two values, max(h, U, box) apart, nothing is seen: half of that at either edge, and
 *             the lag; and no fewer than RESOLVE_VALUES of them.
 *   estimate  CPU time moves in ticks: one at either edge. */
#ifndef DAEMON_MODEL_RESOLVE_H
#define DAEMON_MODEL_RESOLVE_H

#include <stddef.h>

#define RESOLVE_VALUES  30  /* of a gauge in one run */
#define RESOLVE_LEAST_S 1   /* no run is shorter, whatever its meter: clocks and caches settle */
#define RESOLVE_MOST_S  300 /* nor longer, however coarse it is; then the error is what it is */

enum resolve_kind { RESOLVE_COUNTER, RESOLVE_GAUGE, RESOLVE_ESTIMATE };

struct resolve_meter {
    enum resolve_kind kind;
    double refresh_s; /* U */
    double lag_s;     /* L */
    double box_s;     /* what one value of a gauge is the mean of */
    double sample_s;  /* h: time between two samples */
    double sweep_s;   /* d */
    double tick_s;    /* of CPU time */
    double quantum_j; /* q */
    double power_w;   /* P expected; NAN = not known */
    double most_w;    /* P_max; NAN = not known: then it is taken for P */
};

/* Seconds of its own power that the meter leaves open at a run's edges. */
double resolve_slack_s(const struct resolve_meter *m);
/* Shortest run for the relative error rel, between the limits above. *reached: the error it then has,
 * above rel only where the upper limit cut it off; may be NULL. */
double resolve_seconds(const struct resolve_meter *m, double rel, double *reached);

#endif
