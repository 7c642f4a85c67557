/* What a shepherd leaves in the run's directory. Files:
 *   log       stdout and stderr of the run, O_APPEND, 0640
 *   metrics   the run's JSON lines ($WATTQ_METRICS), append-only
 *   marks     "<offset> <boottime_ns>\n": metrics had this many bytes at that time; not there before the first one
 *   state     how far it got, see struct result_state; written in place, over padding of blank lines, without
 *             allocating on a full disk
 *   shepherd  who supervises: key=value lines (struct result_shepherd); flocked while the shepherd lives
 *   result    written once, by tmp + fsync + rename + fsync of the directory: key=value lines, below
 *   ctl       control socket
 * Read by wattqd on import; importing twice is a no-op. */
#ifndef DAEMON_LAUNCH_RESULT_H
#define DAEMON_LAUNCH_RESULT_H

#include "common/err.h"

#define RESULT_NONE        INT64_MIN
#define RESULT_METRICS_MAX (INT64_C(256) << 20) /* bytes of metrics that are read, and kept */

enum result_cause {
    RESULT_EXITED,      /* by itself */
    RESULT_STOPPED,     /* FRAME_STOP came first */
    RESULT_TIMED_OUT,   /* time_limit_ns */
    RESULT_OOM,         /* memory.events said so */
    RESULT_NOT_STARTED, /* exec failed: text says at which step; exit_code 126 or 127 */
    RESULT_ENERGY_LIMIT, /* FRAME_STOP with this cause: wattqd has measured that it is over its limit */
    RESULT_TOLD /* SIGTERM to its shepherd came first: the machine is shut down, or somebody did it by hand */
};

struct result {
    int64_t run_id, token;
    enum result_cause cause;
    int64_t t0_ns, main_exit_ns, t1_ns;    /* CLOCK_BOOTTIME; RESULT_NONE if never */
    int64_t exit_code;                     /* RESULT_NONE when killed by a signal */
    int64_t term_signal;                   /* RESULT_NONE when it exited */
    int64_t user_us, sys_us, maxrss_bytes; /* rusage of the whole tree as far as waited for */
    int64_t cpu_us;                        /* cgroup cpu.stat, else user + sys */
    bool cpu_from_cgroup;
    int64_t mem_peak_bytes; /* of all processes together, by the cgroup; RESULT_NONE = not known */
    int64_t oom_kills;      /* processes killed for memory; as above */
    int64_t pids_refused;   /* forks above the limit of processes; as above */
    int64_t leftovers;      /* processes killed after the main one had ended */
    int64_t log_dropped_bytes; /* punched out of the middle by the cap */
    char text[200];            /* for people; may be empty */
    char step[16];             /* NOT_STARTED: where, e.g. "cwd" (shepherd.h); "" = not known */
    char boot_id[40];
    char mode[32]; /* "cgroup" or "subreaper" */
};

int result_write(int dirfd, const struct result *r, struct err *e) MUST_USE;
/* 0; 1 = there is none (yet). */
int result_read(int dirfd, struct result *r, struct err *e) MUST_USE;
/* The text of a result file, NUL-terminated. Unknown keys are skipped; a missing "end" line, which is
 * written last, or a bad number is WATTQ_E_CORRUPT. */
int result_parse(const char *text, struct result *r, struct err *e) MUST_USE;
void result_init(struct result *r); /* every number RESULT_NONE, leftovers and dropped bytes 0 */
const char *result_cause_name(enum result_cause c); /* "exited", "stopped", ... */
const char *
result_end_name(const struct result *r); /* the state it ends in: "done", "cancelled", ... */

/* The state file: what must be known of a run should its shepherd be killed before the result is there. Each
 * line is written before the step it tells of can be seen by anybody else:
 *   released                            durable, then the gate may be opened
 *   started <t0_ns>                     just before it is opened
 *   opened                              by the run's own process, once it is through the gate: without this line
 *                                       and with that process gone nothing of the run has run
 *   ended <status> <cause> <t_ns>       before the main process is reaped; status as waitpid gives it
 *   on_end <what> <status>              begun: durable, before its command can begin; then how that ended
 * Only the first and the last survive a power cut for sure, so after one `released` counts as opened. */
enum result_step { RESULT_AT_GATE, RESULT_RELEASED, RESULT_OPENED, RESULT_MAIN_ENDED };
enum result_on_end {
    RESULT_ON_END_NOT, /* not begun; nobody can begin it but the shepherd */
    RESULT_ON_END_BEGUN,
    RESULT_ON_END_ENDED,    /* by itself or by a signal: on_end_status */
    RESULT_ON_END_TIMED_OUT /* it was killed: its time was over */
};
struct result_state {
    enum result_step step;
    int64_t t0_ns; /* 0 = not known */
    int status;    /* MAIN_ENDED, as the two below */
    enum result_cause cause;
    int64_t main_exit_ns; /* CLOCK_BOOTTIME */
    enum result_on_end on_end;
    int on_end_status; /* as waitpid gave it */
};
#define RESULT_STATE_BYTES 96
/* A missing or damaged file is AT_GATE with nothing known. */
void result_state_read(int dirfd, struct result_state *s);
void result_state_parse(const char *text, struct result_state *s);
/* fd is open for writing. 0, or -1 with errno. */
int result_state_blank(int fd); /* a new file's padding; not synced */
int result_state_released(int fd);
int result_state_started(int fd, int64_t t0_ns);
int result_state_opened(int fd);
int result_state_ended(int fd, int status, enum result_cause cause, int64_t main_exit_ns);
int result_state_on_end(int fd, enum result_on_end what, int status); /* synced */

/* The shepherd file. */
struct result_shepherd {
    int64_t run_id, token;
    int32_t pid; /* of the shepherd, for people: liveness is the lock */
    int32_t main_pid;
    char boot_id[40];
    char mode[32];    /* "cgroup" or "subreaper" */
    char cgroup[512]; /* leaf of the run, or "" */
    int32_t
        on_end_pid; /* the process that waits to become on_end's command: none of the run's; 0 = none */
};
int result_shepherd_write(int fd, const struct result_shepherd *s, struct err *e) MUST_USE;
/* 0; 1 = there is none or it is incomplete. *alive = a shepherd holds the lock; while one does, a run
 * directory is its own. */
int result_shepherd_read(int dirfd, struct result_shepherd *s, bool *alive);
int result_shepherd_parse(const char *text, struct result_shepherd *s); /* 0; 1 = incomplete */
int result_boot_id(char out[40]); /* 0, or -1: this system has none */

/* Marks are written no closer than 100 ms apart, and ever more sparsely in a long run: about 110,000 a
 * month. Offsets and times never fall. */
struct result_mark {
    int64_t offset; /* bytes of metrics */
    int64_t t_ns;   /* CLOCK_BOOTTIME */
};
#define RESULT_MARKS_MAX 262144
/* Up to RESULT_MARKS_MAX marks into new memory (free()); a bad or half-written line ends the list.
 * 0 also when there are none. */
int result_marks_read(int dirfd, struct result_mark **out, size_t *n, struct err *e) MUST_USE;
size_t result_marks_parse(const char *text, struct result_mark *out, size_t cap);

#endif
