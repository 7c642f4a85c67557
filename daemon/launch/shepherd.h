/* One run's supervisor. It outlives wattqd, opens the gate, holds the exit status, stamps the metrics,
 * caps the log, ends the whole tree and leaves a durable result. One thread, epoll; no libuv, no SQLite.
 *
 *   GATE --GO--> RUNNING <-> PAUSED     main process exits, others are left: DRAINING     all gone: ENDED
 *
 * The program's child is forked at once and waits on a socket whose only other end is here: one byte lets
 * it exec, end of file makes it _exit. t0_ns is read immediately before that byte, t1_ns when the last
 * process has been reaped. The files it leaves are described in result.h: whatever instruction it is killed
 * at, they say whether anything of the run has run, and how its main process ended unless that still can be
 * waited for. */
#ifndef DAEMON_LAUNCH_SHEPHERD_H
#define DAEMON_LAUNCH_SHEPHERD_H

#include <sys/types.h>

#include "daemon/launch/frames.h"
#include "daemon/launch/result.h"

/* Be the shepherd of one run until it has ended or was given up. dir is the run's directory (absolute;
 * also what the run finds in WATTQ_RUN_DIR); conn an already connected peer, or -1. The caller is a
 * process of its own for this: signals, subreaper state and children are taken over and the caller
 * should _exit afterwards. 0, also when the run failed; < 0 when nothing was started, with err. */
int shepherd_run(const char *dir, const struct launch_block *b, int conn, struct err *e) MUST_USE;

/* With b->on_end: /bin/sh -c of it, once, as the run's user, with its environment (and WATTQ_RUN_ID, WATTQ_STATE,
 * WATTQ_EXIT_CODE), directory, umask and limits, in a cgroup of its own, with the log for output. It begins when
 * the result is on disk and FRAME_FILED has come, or when no wattqd has been connected for 10 s, so never inside the
 * run's window; after ON_END_S it is killed, with all that it began. Not of a run that never began. It is begun by
 * its shepherd or by nobody; what became of it stands in the state file (result.h). */
#define ON_END_S 60

/* Where in the run's process a start failed, in the order of the steps (shepherd_child.c). Each has a name,
 * which a result keeps as `step`: launch:NAME. */
enum child_step {
    STEP_ACCOUNT, /* PAM: may that user use this machine now */
    STEP_SESSION, /* PAM: credentials, session, hard limits */
    STEP_CGROUP,
    STEP_LIMITS,
    STEP_USER, /* groups, gid, uid */
    STEP_GATE,
    STEP_STDIN,
    STEP_CWD,
    STEP_INTERPRETER,
    STEP_EXEC
};
struct child_report { /* what the run's process tells its shepherd; nothing = the exec succeeded */
    int32_t step;
    int32_t error;  /* errno, or 0 with text */
    char text[104]; /* for people */
};

/* What a shepherd that the launcher started as root has beside its block. Descriptors are taken over. */
struct shepherd_system {
    int dirfd;  /* of the run's directory, which belongs to the daemon's user */
    int log_fd; /* files of the run's user, made by the launcher */
    int metrics_fd;
    int witness_fd;      /* witness.h */
    const char *cgroup;  /* where leaves are made, which belong to root; NULL = none */
    uint32_t daemon_uid; /* who may kill and freeze them */
    /* In the run's process, as root, with its limits and cgroup set in between. 0, or -1 with c. */
    int (*session)(void *arg, struct child_report *c);
    int (*become)(void *arg, struct child_report *c);
    /* In the shepherd, once the run's process is there: nothing of it needs root from here on. */
    int (*leave_root)(void *arg, struct err *e);
    /* There, when nobody waits any more: frees what only others needed. */
    void (*settled)(void *warm);
    void *arg, *warm;
};
/* The same for the launcher: the run's process becomes its user and the shepherd the daemon's. */
int shepherd_run_system(const char *dir, const struct launch_block *b, int conn,
                        const struct shepherd_system *sys, struct err *e) MUST_USE;

/* Fork a shepherd in the foreground (b->flags gets LAUNCH_FOREGROUND): it keeps our terminal, session
 * and standard files, and ends its run when we die. *pid is to be waited for, *conn speaks frames: the
 * first one is FRAME_STATE at the gate. Not for programs with threads. */
int shepherd_fork(const char *dir, const struct launch_block *b, pid_t *pid, int *conn,
                  struct err *e) MUST_USE;

/* Called on the way of a standalone run, all in the caller's thread. */
struct shepherd_watch {
    void (*on_state)(void *arg,
                     const struct frame *f); /* each change; at SHEPHERD_GATE the gate opens
                                                           after it returns */
    void (*on_tick)(void *arg); /* about every tick_ns while the run goes on; NULL = not wanted */
    int64_t tick_ns;
    void *arg;
};
/* Run b in the foreground without any daemon, in a temporary run directory (TMPDIR) that is removed
 * again, and hand back its result. SIGINT and SIGQUIT are left to the run meanwhile. b->token and
 * b->run_id may be 0. watch may be NULL. */
int shepherd_standalone(const struct launch_block *b, const struct shepherd_watch *watch,
                        struct result *r, struct err *e) MUST_USE;

#endif
