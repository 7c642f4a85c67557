/* Watching channels side by side, for as long as they are sampled: which show one register twice, which
 * disagree about the same device, which show less than what lies in them, which stand still, and how late
 * a slow one is. Judges only; what a doubt does to totals is meter_graph.c's. Rules: docs/measurement.md,
 * standing doubts.
 *
 * Owned and fed by the sampler thread; watch_get may be called from any thread (a lock is held for the copy).
 * Pure: time is a parameter, nothing is read but what is put in. Only watch_new and watch_more allocate. */
#ifndef DAEMON_METER_WATCH_H
#define DAEMON_METER_WATCH_H

#include "daemon/meter/meter.h"

struct watch;

/* One sample as it went into a tick, with what the lane has learned so far. */
struct watch_sample {
    int64_t t_ns;
    int64_t value; /* counters: cumulative uJ; gauges: uW */
    int64_t raw;   /* what the register showed */
    uint8_t state; /* as in a tick */
    bool resumed;  /* the machine slept before it: a reset then says nothing about the register */
    int64_t period_ns; /* learned, 0 = not yet */
    int64_t quantum;   /* learned, 0 = not yet */
};

/* Of up to `most` channels; none is watched yet. */
struct watch *watch_new(size_t most);
/* The channels to watch: those watched already, and behind them new ones. channels[i] stay the caller's and
 * live longer; paces_ns[i]: how far apart it is sampled. psys begins unproven. Comparisons begin anew,
 * verdicts stay. Allocates. */
void watch_more(struct watch *w, const struct meter_channel *const *channels,
                const int64_t *paces_ns, size_t n);
void watch_free(struct watch *w); /* NULL is fine */
/* Before sampling: where an earlier life ended. */
void watch_set(struct watch *w, size_t i, const struct meter_opinion *o);
void watch_put(struct watch *w, size_t i, const struct watch_sample *s);
/* After each sweep of the fast group. */
void watch_step(struct watch *w, int64_t t_ns);
void watch_get(struct watch *w, size_t i, struct meter_opinion *out, int64_t *lag_ns,
               int64_t *lag_events);

#endif
