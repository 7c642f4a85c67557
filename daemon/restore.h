/* wattqd --restore FILE: a backup in the place of the database (store/replace.h), for whoever owns the state directory,
 * while no wattqd runs on it. */
#ifndef DAEMON_RESTORE_H
#define DAEMON_RESTORE_H

#include "daemon/config.h"

/* Prints what it did. WATTQ_E_CONFLICT: a wattqd runs there. */
int restore_run(const struct config *cfg, struct err *e) MUST_USE;

#endif
