/* Starting a program that outlives us: own session, exactly the descriptors it is given.
 * Not uv_spawn, which has no way to detach and would keep the child as ours. */
#ifndef DAEMON_LAUNCH_SPAWN_H
#define DAEMON_LAUNCH_SPAWN_H

#include <sys/types.h>

#include "common/err.h"

/* Exec argv[0] (a path, or looked up in our PATH) with /dev/null as stdin and stdout, our stderr, and
 * fds[i] as descriptor 3 + i; everything else is closed, signals are reset, the environment is ours.
 * Returns once the exec has succeeded (a fraction of a millisecond) or failed: 0, or WATTQ_E_IO naming
 * the program. Its parent is the nearest subreaper, or init; where we are a subreaper, that is us. */
int spawn_detached(char *const argv[], const int *fds, size_t nfds, struct err *e) MUST_USE;

/* Run argv, collect at most cap - 1 bytes of its stdout (NUL-terminated), give up at deadline
 * (CLOCK_MONOTONIC ns). stdin and stderr are /dev/null. env NULL = ours. *truncated is set when there was
 * more. Returns its exit code, or -1: not started, killed, or out of time (it is killed then). */
int spawn_capture(char *const argv[], char *const env[], int64_t deadline_mono_ns, char *out,
                  size_t cap, bool *truncated);

/* Every signal back to its default, none blocked. Between fork and exec. */
void spawn_reset_signals(void);
/* Close every descriptor from `first` on. Between fork and exec. */
void spawn_close_from(int first);

#endif
