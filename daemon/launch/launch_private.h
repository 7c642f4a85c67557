/* Between the files of launch only. */
#ifndef DAEMON_LAUNCH_LAUNCH_PRIVATE_H
#define DAEMON_LAUNCH_LAUNCH_PRIVATE_H

#include "daemon/launch/launch.h"
#include "daemon/launch/launcher.h"
#include "daemon/launch/shepherd_tree.h"

/* One connection to a shepherd. Memory lives until its handle's close callback. */
struct launch_conn {
    uv_poll_t poll;
    struct launch_run *run; /* NULL once closing */
    struct launch *l;
    int fd;
    bool greeted; /* the first frame has come */
    size_t have;
    struct frame in;
};

/* How we came to know a run decides how long its shepherd may take to appear. */
enum launch_how { HOW_STARTED, HOW_ADOPTED, HOW_REATTACHED, HOW_KNOWN };

/* A run whose shepherd was killed while its processes became ours (launch_witness.c). */
enum launch_orphan { ORPHAN_NOT, ORPHAN_WATCHED, ORPHAN_ENDING };

#define LAUNCH_REAPED 64 /* of our children that ended, the newest */
struct launch_reaped {
    pid_t pid;
    int status;   /* as waitpid gave it */
    int64_t t_ns; /* CLOCK_BOOTTIME */
};

struct launch_run {
    struct launch_run *next;
    struct launch *l;
    int64_t id, token;
    char *dir;
    uv_timer_t timer;         /* the next attempt to find it, or step of losing it */
    struct launch_conn *conn; /* NULL = none now */
    enum launch_how how;
    int64_t until_ns;                           /* monotonic: how long no shepherd is no news */
    uint64_t wait_ms;                           /* between attempts; grows */
    bool at_gate, started, paused, main_exited; /* events that were sent */
    bool syncing; /* its directory is on the way to the disk: AT_GATE is sent when it is there */
    bool over;    /* ENDED, LOST or REFUSED was sent */
    bool aborted;
    bool filed;              /* launch_filed: LAUNCH_ON_END is still to come */
    int64_t go_ns;           /* when GO was asked for; 0 = not by us */
    bool want_go, want_stop; /* kept, to be sent again on a new connection */
    enum frame_kind
        want_pause; /* FRAME_PAUSE, FRAME_RESUME; 0 = neither was asked for; kept likewise */
    int64_t stop_signal, stop_grace_ns;
    enum result_cause stop_cause; /* STOPPED or ENERGY_LIMIT: of the first stop */
    bool by_systemd;              /* started through systemd-run: may fall back */
    int block_fd;                 /* the launch block until the shepherd has spoken; -1 */
    int losing;                   /* steps of waiting for the leftovers' end; 0 = not losing it */
    int at_the_gate; /* steps of waiting for what a killed shepherd's child makes of its gate */
    size_t killed;
    char mode[40];    /* "user+cgroup" */
    struct tree tree; /* of the shepherd; root 0 = not known yet */
    int64_t cpu_us;   /* largest seen, -1 = none */
    enum launch_orphan orphan;
    enum result_cause orphan_cause;
    pid_t main_pid;            /* of an orphan */
    struct launch_reaped end;  /* how it ended */
    bool end_was_filed;        /* that was found in the state file */
    int64_t t0_ns;             /* of an orphan */
    int64_t time_limit_ns;     /* as it was started with; 0 = none, or started by another wattqd */
    int64_t limit_ns, kill_ns; /* monotonic, for an orphan; 0 = none */
    int64_t paused_ns;         /* since when, monotonic */
    bool paused_told;          /* of an orphan: what the last event said */
    int64_t grace_ns;
    bool asked;      /* the launcher has a question about it: START or STATUS */
    bool unanswered; /* it went away with START */
    bool
        by_launcher; /* the orphan's parent is the launcher: it can be killed and frozen by cgroup only */
    bool status_said; /* what the launcher knows of its end has been taken */
    bool not_ours;    /* its directory is another user's (`wattq exec` in system mode) */
};

/* launch_root.c: the launcher. */
struct root_conn;
struct root_ask;
struct root {
    char *dir;              /* of its sockets; NULL = user mode */
    struct root_conn *conn; /* NULL = none now */
    uv_timer_t timer;       /* the next attempt to connect */
    uint64_t wait_ms;
    bool ready;            /* it has answered on this connection */
    char why[200];         /* what was wrong, as it was logged */
    struct root_ask *asks; /* in order: first those that were sent */
};

struct launch {
    uv_loop_t *loop;
    char *runs_dir, *shepherd_path;
    void (*on_event)(void *arg, const struct launch_event *ev);
    void (*on_ready)(void *arg);
    void *arg;
    int runs_fd;
    int ready_fd; /* user mode: to a shepherd that stands ready (ready.h); -1 = none does */
    struct root root;
    const char *mode;
    bool systemd; /* a user manager answers */
    struct launch_run *runs;
    struct launch_reaped reaped[LAUNCH_REAPED];
    size_t nreaped;   /* in all */
    uv_timer_t alive; /* only so that closed() always comes from the loop */
    int handles;      /* still to be closed */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* launch.c */
struct launch_run *launch_find(const struct launch *l, int64_t id);
const char *launch_whose(const struct launch *l); /* "user" or "system" */
void launch_handle_closed(struct launch *l);
struct launch_run *launch_add(struct launch *l, int64_t id, int64_t token, enum launch_how how);
int launch_spawn(struct launch_run *r, struct err *e) MUST_USE; /* a shepherd with r->block_fd */

/* launch_sync.c */
int sync_dir(const struct launch *l, int dirfd) MUST_USE; /* any thread; 0, or -1 with errno */
int sync_begin(struct launch_run *r, int dirfd) MUST_USE; /* the same in the pool; takes dirfd */

/* launch_conn.c */
int conn_open(struct launch_run *r, int fd, struct err *e) MUST_USE; /* takes fd over */
void conn_close(struct launch_run *r);
int conn_send(struct launch_run *r, enum frame_kind kind, int64_t a, int64_t b,
              struct err *e) MUST_USE;
void conn_seek(struct launch_run *r, uint64_t after_ms); /* look for the shepherd or its result */
void conn_event(struct launch_run *r, enum launch_event_kind kind, int64_t t_ns);
void conn_end(struct launch_run *r, const struct result *res); /* LAUNCH_ENDED */

/* launch_on_end.c */
void on_end_step(struct launch_run *r); /* by the timer, while r->filed */
void on_end_hold(
    struct launch_run *r); /* so that a shepherd that waits for FRAME_FILED knows of us */

/* launch_lost.c: no shepherd and no result. */
void lost_begin(struct launch_run *r);
void lost_step(struct launch_run *r); /* by the timer */

void lost_answer(struct launch_run *r, enum launcher_run_state state, int wait_status,
                 int64_t t_ns);

/* launch_root.c: system mode only */
void root_open(struct launch *l, const char *dir);
void root_close(struct launch *l);
int root_start(struct launch_run *r, const struct launch_order *o,
               struct err *e) MUST_USE; /* takes r->block_fd */
void root_status(struct launch_run *r); /* lost_answer follows, as soon as the launcher answers */
void root_forget(struct launch_run *r);

/* launch_witness.c. A shepherd of ours that is about to be gone: look again in a moment. */
bool witness_too_early(const struct result_shepherd *s);
/* true: its processes are ours, the run goes on and will have a result. */
bool witness_begin(struct launch_run *r, const struct result_shepherd *s, int64_t t0_ns);
/* Its main process has ended as st says: the rest of it is ended, then it has a result. */
void witness_of_file(struct launch_run *r, const struct result_shepherd *s,
                     const struct result_state *st);
/* The same where its parent is the launcher; each STATUS that says ALIVE. */
void witness_begin_root(struct launch_run *r, const struct result_shepherd *s, int64_t t0_ns);
/* Its main process has ended: WITNESSED. */
void witness_main_ended(struct launch_run *r, const struct launch_reaped *c);
void witness_step(struct launch_run *r); /* by the timer, while r->orphan */
void witness_stop(struct launch_run *r, int signal, int64_t grace_ns);
void witness_pause(struct launch_run *r, bool pause);

#endif
