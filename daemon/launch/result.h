/* What a shepherd leaves in the run's directory. Files:
 *   log       stdout and stderr of the run, O_APPEND, 0640
 *   metrics   the run's JSON lines ($WATTQ_METRICS), append-only
 *   marks     "<offset> <boottime_ns>\n": metrics had this many bytes at that time
 *   state     "released" (fsynced before the gate opens), then "started <t0_ns>"
 *   result    written once, by tmp + fsync + rename + fsync of the directory: key=value lines, below
 *   ctl       control socket
 * Read by wattqd on import; importing twice is a no-op. */
#ifndef DAEMON_LAUNCH_RESULT_H
#define DAEMON_LAUNCH_RESULT_H

#include "common/err.h"

#define RESULT_NONE INT64_MIN

enum result_cause {
    RESULT_EXITED,     /* by itself */
    RESULT_STOPPED,    /* FRAME_STOP came first */
    RESULT_TIMED_OUT,  /* time_limit_ns */
    RESULT_OOM,        /* memory.events said so */
    RESULT_NOT_STARTED /* exec failed: text says at which step; exit_code 126 or 127 */
};

struct result {
    int64_t run_id, token;
    enum result_cause cause;
    int64_t t0_ns, main_exit_ns, t1_ns; /* CLOCK_BOOTTIME; RESULT_NONE if never */
    int64_t exit_code;                  /* RESULT_NONE when killed by a signal */
    int64_t term_signal;                /* RESULT_NONE when it exited */
    int64_t user_us, sys_us, maxrss_bytes; /* rusage of the whole tree as far as waited for */
    int64_t cpu_us;                     /* cgroup cpu.stat, else user + sys */
    bool cpu_from_cgroup;
    int64_t leftovers;                  /* processes killed after the main one had ended */
    int64_t log_dropped_bytes;          /* punched out of the middle by the cap */
    char text[200];                     /* for people; may be empty */
    char boot_id[40];
    char mode[32];                      /* "cgroup" or "subreaper" */
};

int result_write(int dirfd, const struct result *r, struct err *e) MUST_USE;
/* 0; 1 = there is none (yet). */
int result_read(int dirfd, struct result *r, struct err *e) MUST_USE;
/* The state file: 0 gate, 1 released, 2 started (t0_ns set). */
int result_state_read(int dirfd, int64_t *t0_ns);

#endif
