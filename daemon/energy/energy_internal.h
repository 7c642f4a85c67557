/* Inside energy/: the two halves of a figure. Any thread that owns the connection. */
#ifndef DAEMON_ENERGY_ENERGY_INTERNAL_H
#define DAEMON_ENERGY_ENERGY_INTERNAL_H

#include "daemon/energy/energy.h"

/* Fill lo, hi, bounded, bound_basis of a counter's figure whose energy_uj is known; may only widen to
 * hold energy_uj. No bound: bound_basis says why in words. */
int bounds_of_counter(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *f, struct err *e) MUST_USE;

/* How long after an instant a read of that counter must begin to show it: update period and lag. */
int64_t bounds_settle_ns(const struct channel_row *ch);

/* A counter's way through a window: E at both edges, inside what was sampled. */
struct wrap_span {
    int64_t boot, t0_ns, t1_ns, e0_uj, e1_uj;
};
/* Flag `wrap`: the register passed its range at least once in it. What the register showed at t0 follows from
 * the first reading of its epoch; after a reset or a sleep in between nobody knows it, and nothing is said. */
int flag_wrap(struct store *s, const struct channel_row *ch, const struct wrap_span *x,
              struct energy_figure *f, struct err *e) MUST_USE;
/* How often a register of that range that stood at raw_uj passed it while moving on by moved_uj. Pure. */
int64_t wraps_between(int64_t raw_uj, int64_t moved_uj, int64_t wrap_uj);

/* The total of a set, from its figures and in_total. */
void energy_set_sum(struct energy_set *x);
/* meter and covers, from channels and in_total. */
void energy_set_name(struct energy_set *x);

#endif
