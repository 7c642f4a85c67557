/* One channel while it is sampled: raw readings in, cumulative values, reasons and status out.
 * Owned and fed by the sampler thread alone; the status may be read by any thread (relaxed atomics, so
 * two fields of one snapshot can be one tick apart). Pure: time is a parameter. */
#ifndef DAEMON_METER_LANE_H
#define DAEMON_METER_LANE_H

#include <stdatomic.h>

#include "daemon/meter/meter.h"
#include "daemon/meter/ring.h"

#define LANE_GAPS  16 /* changes that the learned period looks back */
#define LANE_STEPS 32 /* changes before a learned step is believed */

struct lane_mark {
    int64_t ns;
    int64_t cum;
};

struct lane {
    const struct channel_desc *desc;
    int64_t
        pmax_uw; /* gate used here: desc's, unless the range could then not be told at this pace */
    int64_t cum; /* value handed out last */
    int64_t prev_raw; /* newest valid reading ... */
    int64_t prev_ns;  /* ... and its time */
    uint32_t era;     /* of prev_raw */
    bool has_prev;
    bool gone;   /* its device has been away since the newest valid reading */
    bool bridge; /* prev_raw is the base of an earlier epoch: the next reading bridges the gap */

    int64_t
        odd_raw; /* newest implausible reading; several that agree mean the register began anew */
    int64_t odd_ns;
    int odd_count;

    struct lane_mark mark[2]; /* old and newer: power is taken over at least span_ns */
    bool has_mark;

    int64_t change_ns; /* when the register was last seen at a new value; 0 = never */
    int64_t gaps[LANE_GAPS];
    unsigned ngaps;
    int64_t pace_ns;
    int64_t step; /* greatest common divisor of all changes */
    unsigned nsteps;

    _Atomic int64_t seen_value, seen_ns, seen_power_uw, seen_period_ns, seen_reads, seen_failures;
    _Atomic int64_t seen_changed_ns, seen_step;
    _Atomic int seen_state;
};

struct lane_value {
    int64_t value; /* counters: cumulative */
    int64_t raw;
    uint8_t state; /* enum reading_state and TICK_RESET, TICK_BRIDGED */
};

/* pace_ns: how far apart its sweeps are. */
void lane_init(struct lane *l, const struct channel_desc *desc, int64_t pace_ns);
void lane_base(struct lane *l, int64_t e0, int64_t raw0, bool raw_known);
/* One reading taken at t_ns. resumed: the machine slept since the previous sweep; what a register did
 * meanwhile is not known, so a counter starts a new stretch (TICK_RESET). */
struct lane_value lane_take(struct lane *l, struct reading r, int64_t t_ns, bool resumed);
/* Before sampling: the state found when the meter was opened. */
void lane_seen(struct lane *l, struct reading r, int64_t t_ns);
void lane_status(const struct lane *l, struct meter_status *out);

#endif
