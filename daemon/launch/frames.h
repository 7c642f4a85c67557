/* What travels between wattqd (or a foreground client) and one shepherd: fixed 64-byte frames over a
 * Unix stream socket named `ctl` in the run's directory. No libuv, no msgpack, no SQLite. Native byte
 * order: both ends are the same machine and the same build; the first field proves it. */
#ifndef DAEMON_LAUNCH_FRAMES_H
#define DAEMON_LAUNCH_FRAMES_H

#include "common/err.h"

#define FRAME_MAGIC 0x71747477u /* "wttq", bumped with the layout */

enum frame_kind {
    /* shepherd -> wattqd */
    FRAME_STATE = 1, /* first frame of every connection, and after each change: see frame.phase */
    FRAME_NACK,      /* a frame with the wrong token, not acted upon: a = the token it has */
    /* wattqd -> shepherd, each with the run's token */
    FRAME_GO = 32, /* open the gate; idempotent */
    FRAME_STOP, /* a = first signal (15), b = grace ns, then SIGKILL to the whole tree; at the gate:
                         nothing runs, the result says so. cause: RESULT_ENERGY_LIMIT, else stopped */
    FRAME_PAUSE, /* freeze the tree */
    FRAME_RESUME,
    FRAME_ABORT, /* only before GO: give up, nothing has run, no result is left */
    FRAME_FILED /* its end and its figures are in the database: on_end, if it has one, may be run */
};

enum shepherd_phase {
    SHEPHERD_GATE,    /* child forked and waiting; nothing of the user's has run */
    SHEPHERD_RUNNING, /* gate opened at t0_ns */
    SHEPHERD_PAUSED,
    SHEPHERD_DRAINING, /* main process gone at main_exit_ns, others still there */
    SHEPHERD_ENDED /* all gone at t1_ns, `result` is on disk; the shepherd exits without waiting:
                          what it knew is durable, so there is nothing left to acknowledge. With an on_end
                          command it stays for FRAME_FILED, runs that and exits then */
};

struct frame {
    uint32_t magic;
    uint16_t kind;
    uint16_t phase; /* enum shepherd_phase, in FRAME_STATE */
    int64_t token;
    int64_t t0_ns; /* CLOCK_BOOTTIME; 0 = not yet */
    int64_t main_exit_ns;
    int64_t t1_ns;
    int64_t a;
    int64_t b;
    int32_t pid;   /* of the main process; in FRAME_STOP of who does it by hand, 0 = wattqd */
    int32_t cause; /* of FRAME_STOP: enum result_cause */
};
_Static_assert(sizeof(struct frame) == 64, "frames are 64 bytes");

/* Blocking helpers for non-libuv users. 0; 1 = peer closed; < 0. */
int frame_send(int fd, const struct frame *f, struct err *e) MUST_USE;
int frame_recv(int fd, struct frame *f, struct err *e) MUST_USE;
bool frame_ok(const struct frame *f); /* magic and kind in range */

/* Bind, or connect to, the socket `name` inside directory dirfd, whatever the length of its path
 * (through /proc/self/fd). Returns a CLOEXEC fd, or < 0 with err. */
int frame_listen(int dirfd, const char *name,
                 struct err *e) MUST_USE; /* nonblocking; replaces it */
int frame_connect(int dirfd, const char *name, struct err *e) MUST_USE;

/* The launch block: everything a shepherd needs, in one file descriptor it inherits as fd 3 (a sealed
 * memfd). Layout: header, rlimits, then NUL-terminated strings. */
#define LAUNCH_FD      3
#define LAUNCH_MAGIC   0x71746c32u /* "2ltq", bumped with the block's layout */
#define LAUNCH_RLIMITS 16          /* RLIM_NLIMITS */

/* A soft limit as whoever submitted the run had it. */
struct launch_rlimit {
    int32_t resource; /* RLIMIT_* */
    int32_t reserved;
    int64_t soft; /* -1 = none */
};
struct launch_block {
    int64_t run_id;
    int64_t token;
    int64_t grace_ns;
    int64_t linger_ns;     /* leftovers' grace after the main process ended; default 10 s */
    int64_t log_cap_bytes; /* 0 = none */
    int64_t time_limit_ns; /* 0 = none: the shepherd itself enforces it, wattqd may be away */
    int64_t mem_max_bytes; /* of all its processes together, by the memory controller; 0 = none */
    int64_t pids_max;      /* by the pids controller; 0 = none */
    int32_t nice;          /* 0 .. 19 */
    uint32_t umask;
    uint32_t flags; /* LAUNCH_* */
    char **argv;    /* NULL-terminated */
    char **env;     /* NULL-terminated, complete as its user has it */
    char **
        extra_env; /* NULL-terminated or NULL: what wattqd adds, and what it replaces of env; only names
                         that launch_env_allowed knows */
    struct launch_rlimit *rlimits;
    size_t nrlimits; /* at most LAUNCH_RLIMITS */
    uint32_t
        peer_uid; /* LAUNCH_FOREGROUND: whose frames are taken beside our own user's and root's: the
                          daemon's in system mode; not written */
    char *cwd;
    char *stdin_path; /* "" or NULL = /dev/null */
    char *on_end;     /* for /bin/sh -c, once, after the run has ended; "" or NULL = nothing */
    char *cgroup;     /* directory of a cgroup v2 subtree we may create children in; "none" = use
                               none; "" or NULL = the shepherd looks for its own (cgroup.h) */
    void *storage;    /* the bytes the strings of a block that was read lie in; else NULL */
};
#define LAUNCH_WAIT_CHILDREN 1u
#define LAUNCH_FOREGROUND    2u /* keep tty, session and stdio: `wattq exec` */
#define LAUNCH_TRAIN         4u /* argv[0] is the built-in trainer; under a launcher, the one it names */
#define LAUNCH_HAS_ON_END                                                                          \
    8u /* of the block as it is written: on_end is there; set by launch_block_write */

/* May wattqd set that variable ("NAME=value") in a run whose user has not asked for it: WATTQ_*, the GPUs
 * that a run was given (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER, ROCR_VISIBLE_DEVICES, ZE_AFFINITY_MASK), and
 * for how many threads it has CPUs (OMP_NUM_THREADS). */
bool launch_env_allowed(const char *variable);

int launch_block_write(const struct launch_block *b, int *memfd,
                       struct err *e) MUST_USE; /* sealed */
#define LAUNCH_BLOCK_MAX (1u << 20) /* header and strings; argv and env are bounded as in spec.h */
int launch_block_read(int fd, struct launch_block *b,
                      struct err *e) MUST_USE; /* checks every length */
/* The same from memory (launch_block_read maps onto it); the bytes are copied. */
int launch_block_parse(const void *data, size_t bytes, struct launch_block *b,
                       struct err *e) MUST_USE;
void launch_block_fini(struct launch_block *b); /* frees strings of a block that was read */

#endif
