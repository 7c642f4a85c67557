/* A run's machine figure over its whole window as it was stored, as a set: for those who show it or apply
 * something to it. Nothing is computed again, so it costs a few rows, and holds after the samples have gone and
 * for runs that were measured elsewhere. What a row does not keep (whether a channel was in doubt) is not set.
 * Thread: whichever owns the connection. */
#ifndef DAEMON_ENERGY_STORED_H
#define DAEMON_ENERGY_STORED_H

#include "daemon/energy/energy.h"

struct run_energy;
/* One stored row as a figure; also of a share or a part. */
void energy_of_row(const struct run_energy *r, struct energy_figure *out);

/* An empty set with an unknown total where the run has no figure. Caller frees with energy_set_fini. */
int energy_stored(struct store *s, int64_t run, struct energy_set *out, struct err *e) MUST_USE;
/* Its total alone. 0; 1 = the run has no figure. */
int energy_stored_total(struct store *s, int64_t run, struct energy_figure *out,
                        struct err *e) MUST_USE;

#endif
