/* A shepherd that stands ready: its program is loaded, and the launcher's PAM's modules, too, but it is no run's yet.
 * Who starts shepherds makes one as soon as a start is in sight, so that these milliseconds pass while the run is
 * being written down; the launcher, whose shepherds take longer, also when a run is over. Then it is told what it
 * would else have been started with: its arguments, and its descriptors from LAUNCH_FD on. Until then it has nothing
 * of any run: no directory, lock or cgroup, no child, no name.
 *
 * It goes by itself after READY_IDLE_S, and as soon as its keeper has gone. The pair is the keeper's and, as
 * descriptor LAUNCH_FD, the shepherd's. No libuv, no SQLite; nothing here is shared between threads. */
#ifndef DAEMON_LAUNCH_READY_H
#define DAEMON_LAUNCH_READY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base.h"

#define READY_IDLE_S   600
#define READY_FDS      6    /* descriptors that come with an order, at most */
#define READY_ARGS     16   /* arguments, at most */
#define READY_BYTES    9000 /* of them: two paths and numbers */
#define READY_ARGUMENT "--ready"
#define READY_PAM      "--pam" /* behind the runs' directory: with PAM's modules */

/* ---- keeper -------------------------------------------------------------------------------------- */

/* pair[0] is for us, pair[1] for it; both CLOEXEC. 0, or -1 with errno. */
int ready_pair(int pair[2]) MUST_USE;
/* Has the one behind fd gone meanwhile? true for -1. */
bool ready_has_gone(int fd);
/* argv ends with NULL. 0; -1 = it has gone and was told nothing, nor will be: start another. */
int ready_tell(int fd, char *const argv[], const int *fds, size_t n) MUST_USE;

/* ---- shepherd ------------------------------------------------------------------------------------ */

struct ready_order {
    int argc;
    char *argv[READY_ARGS + 1];
    char text[READY_BYTES]; /* argv points into it */
};
/* Before anything else is opened: LAUNCH_FD + 1 and on are kept for what will come. 0, or -1 with errno. */
int ready_keep_room(void) MUST_USE;
/* Waits; then the order's descriptors are LAUNCH_FD and on. 0; 1 = none came. */
int ready_wait(struct ready_order *o) MUST_USE;

#endif
