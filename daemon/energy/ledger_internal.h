/* What the ledger's two sides - as it runs, and again from stored samples - must do alike. */
#ifndef DAEMON_ENERGY_LEDGER_INTERNAL_H
#define DAEMON_ENERGY_LEDGER_INTERNAL_H

#include "daemon/energy/ledger.h"
#include "daemon/store/accounts.h"

/* A counter between two readings, linear, rounded down; ta <= t <= tb. */
int64_t ledger_between(int64_t ta, int64_t va, int64_t tb, int64_t vb, int64_t t);
/* By what dyn of a span goes that begins at t0. usage: CPU time is known over all of it. */
int ledger_owner(struct store *s, const struct channel_row *meter, int64_t boot, int64_t t0_ns,
                 bool usage, int *owner, struct err *e) MUST_USE;
/* The CPU time channel of a slot; -1 = of all CPUs. 0; 1 = there is none. */
int ledger_usage_channel(struct store *s, int slot, int64_t *id, struct err *e) MUST_USE;

#endif
