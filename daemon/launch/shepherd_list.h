/* wattq-shepherd --list and --stop: the runs that go on while wattqd is down, from their directories and their
 * shepherds' own control sockets. For whoever may read those directories: a user his own daemon's runs, root
 * the machine's. Stopping goes down the shepherd's ladder, so that the result is there for the next wattqd. */
#ifndef DAEMON_LAUNCH_SHEPHERD_LIST_H
#define DAEMON_LAUNCH_SHEPHERD_LIST_H

#include "common/err.h"

struct shepherd_choice {
    const char *state_dir; /* NULL = where wattqd of this user has it; of root /var/lib/wattq */
    const char **runs;     /* ids as typed; borrowed */
    size_t n;
    bool all;
};
/* Prints a line for each live shepherd. */
int shepherd_list_print(const struct shepherd_choice *c, struct err *e) MUST_USE;
/* Stops the chosen ones and waits for each to end; their records will say that it was done by hand, and by whom. Refused while a wattqd is there: its queue would start the
 * next one. WATTQ_E_IO when one of them could not be stopped (which, is said on stderr), WATTQ_E_NOT_FOUND when
 * one has no live shepherd; the others are stopped all the same. */
int shepherd_list_stop(const struct shepherd_choice *c, struct err *e) MUST_USE;

#endif
