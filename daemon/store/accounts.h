/* Who sat in which run slot, and when. Writing: storage thread, inside a transaction; reading: any
 * connection, its thread. */
#ifndef DAEMON_STORE_ACCOUNTS_H
#define DAEMON_STORE_ACCOUNTS_H

#include "daemon/store/store.h"

#define ACCOUNTS_OPEN INT64_MAX /* t1_ns of what has not ended */

/* A run sits in the slot whose CPU time channel this is, from t0 of this boot on. */
int accounts_slot_take(struct store *s, int64_t channel, int64_t run, int64_t t0_ns,
                       struct err *e) MUST_USE;
/* It has left whatever slot it sat in; nothing to leave is fine. */
int accounts_slot_leave(struct store *s, int64_t run, int64_t t1_ns, struct err *e) MUST_USE;
/* At a start: nobody sits in the slots of the daemon before; they were left with its last sample. */
int accounts_slots_close(struct store *s, struct err *e) MUST_USE;

struct slot_use {
    unsigned slot;
    int64_t t0_ns, t1_ns; /* ACCOUNTS_OPEN: still there */
};
/* The stays of a run in one boot, oldest first: more than one when the daemon was restarted under it.
 * fn: 0 to go on, else it is returned. */
int accounts_slots_of(struct store *s, int64_t run, int64_t boot,
                      int (*fn)(void *arg, const struct slot_use *u), void *arg,
                      struct err *e) MUST_USE;

#endif
