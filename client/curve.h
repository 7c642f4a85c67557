/* Figures of one window from a handful of samples held in memory: what daemon/energy does from stored
 * ones, for runs without a daemon. Pure.
 *   U = update period, lag: a register read at t shows the true curve somewhere in [t - U - lag, t].
 *   hi = C(late) - C(open)                     late: first sample begun at >= t1 + U + lag
 *   lo = max(C(before), C(close) - Pmax (t_close - t1)) - C(settle)
 *                                              before: last sample wholly before t1, settle: first sample
 *                                              begun at >= t0 + U + lag
 * each +- one quantum, never below 0. */
#ifndef CLIENT_CURVE_H
#define CLIENT_CURVE_H

#include "daemon/meter/source.h"

struct curve_sample {
    int64_t before_ns; /* CLOCK_BOOTTIME around the read */
    int64_t after_ns;
    int64_t value; /* counter: cumulative uJ; gauge: uW */
    bool valid;
};

struct curve_figure {
    bool known;
    int64_t energy_uj;
    bool bounded;
    int64_t lo_uj;
    int64_t hi_uj;
    const char *basis;  /* "monotone", "soft: ...", "none: ..." */
    const char *method; /* "counter", "integral", "estimate" */
    const char *reason; /* why it is not known */
};

/* s: n samples in order of time. */
void curve_figure(struct curve_figure *f, const struct channel_desc *d,
                  const struct curve_sample *s, size_t n, int64_t t0_ns, int64_t t1_ns);

#endif
