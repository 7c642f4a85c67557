/* What a run took beyond an idle machine: its attributed energy less measured idle power times the time it
 * was observed. Signed: a run that was metered below idle shows a negative figure with its error, never 0.
 * A channel without a baseline is unknown, and so is a total one of whose parts is.
 *
 * Random part, one standard deviation: u^2 = u_E^2 + (T u_idle)^2, u_idle = interquartile range / 1.349 (of
 * a normal distribution its standard deviation): how much idle power wanders from second to second stands
 * for how far it may have been off during the run. Not stated where u_E is not. There are no hard bounds.
 * Thread: whichever owns the connection. */
#ifndef DAEMON_ENERGY_MARGINAL_H
#define DAEMON_ENERGY_MARGINAL_H

#include "daemon/energy/baseline.h"
#include "daemon/energy/energy.h"

/* One channel's: from its attributed figure. b NULL = no baseline. Pure. */
void marginal_of_channel(const struct energy_figure *attributed, const struct baseline *b,
                         struct energy_figure *out);
/* Of a set: same channels, same parts. utc_ns: what was in force then; run: its bracket goes first. Caller
 * frees out with energy_set_fini. */
int marginal_of_set(struct store *s, const struct energy_set *attributed, int64_t utc_ns,
                    int64_t run, struct energy_set *out, struct err *e) MUST_USE;

#endif
