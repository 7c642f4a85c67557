/* Inside energy/: the two halves of a figure. Any thread that owns the connection. */
#ifndef DAEMON_ENERGY_ENERGY_INTERNAL_H
#define DAEMON_ENERGY_ENERGY_INTERNAL_H

#include "daemon/energy/energy.h"

/* Fill lo, hi, bounded, bound_basis of a counter's figure whose energy_uj is known; may only widen to
 * hold energy_uj. No bound: bound_basis says why in words. */
int bounds_of_counter(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *f, struct err *e) MUST_USE;

/* The total of a set, from its figures and in_total. */
void energy_set_sum(struct energy_set *x);

#endif
