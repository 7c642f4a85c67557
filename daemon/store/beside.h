/* What stood beside a run, kept with it (table run_companion): companions that outlive their samples.
 * The writer runs on the storage thread, the reader on any connection's. */
#ifndef DAEMON_STORE_BESIDE_H
#define DAEMON_STORE_BESIDE_H

#include "daemon/energy/companions.h"

/* Instead of what was kept before. */
int beside_keep(struct store *s, int64_t run, const struct companions *c, struct err *e) MUST_USE;

struct beside_row {
    int64_t channel, default_uw; /* of a limit; COMPANION_NONE */
    const char *uid, *label, *unit, *scope, *device;
    struct companion c;
};
/* In the order of channels; strings live during the call. fn: 0 to go on, else it is returned. */
int beside_of_run(struct store *s, int64_t run, int (*fn)(void *arg, const struct beside_row *r),
                  void *arg, struct err *e) MUST_USE;

#endif
