/* Between the files of the shepherd only. One struct shepherd per process, owned by shepherd_run. */
#ifndef DAEMON_LAUNCH_SHEPHERD_PRIVATE_H
#define DAEMON_LAUNCH_SHEPHERD_PRIVATE_H

#include "daemon/launch/shepherd.h"
#include "daemon/launch/shepherd_tree.h"

#define CTL_PEERS 8         /* connections at a time: wattqd, a client, and those being replaced */
#define NEVER     INT64_MAX /* a deadline that does not come */

/* What woke the loop, in epoll's data. */
enum shepherd_wake { WAKE_SIGNAL, WAKE_CTL, WAKE_FILES, WAKE_ON_END, WAKE_PEER0 };

struct ctl_peer {
    int fd; /* -1 = free */
    size_t have;
    struct frame in;
};

/* Watches metrics and log by inotify, from the open gate on; without one it looks every 100 ms. */
struct files {
    int dirfd;
    int inotify_fd; /* -1 = polls */
    int metrics_fd, marks_fd, log_fd;
    int64_t due_ns; /* monotonic: when to look; NEVER = when inotify says so */
    int64_t looked_ns;
    int64_t marked_bytes, marked_ns;
    int64_t marks;
    int64_t log_bytes;
    int64_t cap_bytes;              /* 0 = none */
    int64_t head_bytes, punched_to; /* the log's hole was at most [head_bytes, punched_to) */
    bool cannot_punch;
    bool disk_full; /* was seen while the log or the marks were growing */
};

/* shepherd_on_end.c */
enum on_end_step {
    ON_END_NONE,
    ON_END_WAITS, /* the result is on disk; FRAME_FILED may come */
    ON_END_RUNS,
    ON_END_ENDS /* what it has left is killed */
};
struct on_end {
    pid_t pid;             /* of its process, until that is reaped; 0 = there is none */
    int gate_fd;           /* our end; -1 once used */
    int report_fd;         /* why it could not be run; -1 */
    struct cgroup cg;      /* its own leaf; fd -1 = none */
    enum on_end_step step; /* NONE as long as the run goes on */
    int64_t due_ns;        /* monotonic: when to look; NEVER */
    int64_t until_ns;      /* RUNS: when its time is over */
    bool timed_out;
    int status; /* as waitpid gave it */
};

struct shepherd {
    const struct launch_block *block;
    const struct shepherd_system *sys; /* NULL = we are the run's user ourselves */
    const char *dir;
    char **env; /* the run's, complete */
    int dirfd, lock_fd, state_fd, epoll_fd, signal_fd, ctl_fd;
    int gate_fd; /* our end, the only one that opens it; -1 once used */
    int exec_fd; /* the child reports here why it could not exec */
    int witness_fd;
    struct ctl_peer peers[CTL_PEERS];
    struct files files;
    struct tree tree;
    struct on_end end;
    enum shepherd_phase phase;
    struct result r;
    pid_t main_pid;
    int64_t mem_each_bytes; /* without a controller: for each of its processes; 0 = not so */
    int64_t user_tasks;     /* likewise: tasks that its user may have in all; 0 = not so */
    bool nohup;             /* SIGHUP was ignored when we came */
    bool main_gone;
    bool no_children;  /* waitpid said so */
    bool given_up;     /* ABORT: leave no result */
    bool done;         /* the loop ends */
    int64_t limit_ns;  /* monotonic deadlines, NEVER = none */
    int64_t kill_ns;   /* SIGKILL to all from here on */
    int64_t look_ns;   /* when to see again whether all have gone, or to retry the result */
    int64_t paused_ns; /* since when */
    int64_t rest_ns;   /* when what the last wakes have mapped is let go; NEVER = it is */
    int kills;         /* rounds of SIGKILL so far */
};

/* shepherd_setup.c: from an open directory to a child at its gate and everything watched; and back. */
int setup_all(struct shepherd *s, int conn, struct err *e) MUST_USE;
void setup_undo(struct shepherd *s); /* also of what setup_all has left half done */

/* shepherd_child.c: what happens between fork and exec. */
/* Never returns. gate: its end; other_end: closed here first; report: write end, CLOEXEC. */
void child_main(const struct shepherd *s, int gate, int other_end, int report)
    __attribute__((noreturn));
/* Its steps, for on_end's process too; each ends that process with a report when it fails. */
void child_prepare(const struct shepherd *s, const struct cgroup *cg, int report);
void child_enter(const struct launch_block *b, const char *stdin_path, int report);
void child_fail(int report, enum child_step step, int error);
/* The gate is a socket pair: one byte opens it, and with it goes the state file, in which the child says
 * that it is through. 0, or -1. */
int gate_open(int gate_fd, int state_fd);
/* The run's environment: WATTQ_RUN, WATTQ_RUN_DIR and WATTQ_METRICS, then the block's extra_env, then of its
 * env what those do not replace. child_env_free for it. */
char **child_env(const struct launch_block *b, const char *dir);
void child_env_free(char **env);
/* Why it did not start, for people; returns the shell's exit code for it (126 or 127). */
int child_explain(const struct launch_block *b, const struct child_report *c, char *text,
                  size_t cap);
const char *child_step_name(int32_t step); /* "cwd" */

/* shepherd_on_end.c */
int on_end_fork(struct shepherd *s, struct err *e) MUST_USE; /* nothing where there is no command */
void on_end_woken(struct shepherd *s);                       /* report_fd is readable */
void on_end_reaped(struct shepherd *s, int status);          /* end.pid, by whoever reaped it */
/* The result is on disk: false = there is nothing to be run. */
bool on_end_begin(struct shepherd *s, int64_t now_ns);
void on_end_go(struct shepherd *s);                   /* FRAME_FILED */
void on_end_look(struct shepherd *s, int64_t now_ns); /* when due */
void on_end_close(struct shepherd *s);

/* shepherd_files.c */
/* sys NULL = make log and metrics where they are not there. */
int files_open(struct files *f, int dirfd, int64_t cap_bytes, const struct shepherd_system *sys,
               struct err *e) MUST_USE;
void files_close(struct files *f);
void files_woken(struct files *f, int64_t now_ns); /* inotify_fd is readable */
void files_look(struct files *f, int64_t now_ns);  /* when due */
void files_finish(struct files *f);                /* the last look */
int64_t files_dropped(const struct files *f);      /* bytes missing from the middle of the log */

/* shepherd_ctl.c */
int ctl_open(struct shepherd *s, int conn, struct err *e) MUST_USE;
void ctl_close(struct shepherd *s);
void ctl_accept(struct shepherd *s);
void ctl_read(struct shepherd *s, size_t peer);
void ctl_announce(struct shepherd *s);      /* FRAME_STATE to all */
size_t ctl_peers(const struct shepherd *s); /* connected */

/* shepherd_memory.c */
/* Unmaps code and constants of the program and its libraries until they are used again, and what was used of the stack
 * below the caller. Changes nothing that can be read. Takes 60 us, and what is used next 20 more. */
void memory_let_go(void);

/* shepherd.c: what frames and signals ask for. */
void shepherd_go(struct shepherd *s);
void shepherd_stop(struct shepherd *s, enum result_cause cause, int signal, int64_t grace_ns);
void shepherd_pause(struct shepherd *s, bool pause);
void shepherd_abort(struct shepherd *s);
void shepherd_note(struct shepherd *s, const char *text); /* for the result */

#endif
