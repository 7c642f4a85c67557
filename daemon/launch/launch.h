/* wattqd's side of running things: starts one shepherd per run, talks to it, finds it again after a
 * restart. Loop thread only. Owns the control connections, not the runs.
 *
 * A shepherd outlives us. launch_start forks it (double fork, own session; through `systemd-run --user
 * --scope` where a user manager answers, so that there is a cgroup of its own); its child waits at the
 * gate. One end of a socket pair travels with it, so nothing is polled for; later connections use the
 * socket `ctl` in the run's directory.
 *
 * In system mode wattq-launcher forks it, as root, for a user's run (launcher.h): wattqd sends it the launch
 * block and the user's warrant and keeps the other end of the same socket pair. Its place as witness is the
 * launcher's, which outlives us likewise.
 *
 * Events come through `on_event`, on the loop, never from inside a call of this module; the last one of
 * a run is LAUNCH_ENDED or LAUNCH_LOST. After it launch_ack forgets the run, or launch_filed brings LAUNCH_ON_END.
 *
 * If a shepherd is killed that this process had started, and this process is a subreaper, the run's processes
 * become our children: the run goes on, can be stopped and paused, and its main process's status makes the
 * result (in system mode the launcher's children, and its word). A main process that had ended before is known
 * from the state file. Else whatever is left of its run is killed before LAUNCH_LOST is reported: an unsupervised run
 * cannot be metered, stopped or ended. */
#ifndef DAEMON_LAUNCH_LAUNCH_H
#define DAEMON_LAUNCH_LAUNCH_H

#include <uv.h>

#include "daemon/launch/frames.h"
#include "daemon/launch/result.h"

struct launch;
struct warrant;

enum launch_event_kind {
    LAUNCH_AT_GATE,   /* shepherd is up, child waits */
    LAUNCH_STARTED,   /* gate opened: t_ns = t0 */
    LAUNCH_MAIN_EXIT, /* t_ns */
    LAUNCH_EMPTY,     /* the last process is gone, t_ns = t1; the result is being written */
    LAUNCH_PAUSED,
    LAUNCH_RESUMED,
    LAUNCH_ENDED, /* result is complete */
    LAUNCH_LOST, /* no shepherd and no result: text says what was found, untouched whether it can start anew */
    LAUNCH_REFUSED, /* by the launcher, and nothing has run: text and next; the last event, or in place
                       of LAUNCH_HANDED */
    LAUNCH_HANDED, /* launch_hand_over is done */
    LAUNCH_ON_END /* after launch_filed: what became of its on_end command, in text; launch_ack may follow */
};
struct launch_event {
    int64_t run_id;
    enum launch_event_kind kind;
    int64_t t_ns;
    const struct result *result; /* LAUNCH_ENDED only; borrowed */
    const char *text;
    const char *next; /* LAUNCH_REFUSED: what can be done; "" = nothing */
    const char *mode; /* "user+cgroup", "user+subreaper", "system+cgroup", "system+subreaper" */
    int pid;          /* main process, LAUNCH_STARTED */
    bool untouched;   /* LAUNCH_LOST: nothing of the run has run, and nothing of this start will */
    bool again;       /* with untouched: the start was not to blame either */
};

struct launch_config {
    const char *runs_dir;      /* <state>/runs; one directory per run id below it */
    const char *shepherd_path; /* program; a name without '/' is looked up in PATH */
    const char *launcher; /* system mode: directory of the launcher's sockets; NULL = user mode */
    void (*on_ready)(void *arg); /* the launcher answers (again): what waited for it may start */
    void (*on_event)(void *arg, const struct launch_event *ev);
    void *arg;
};

int launch_open(struct launch **out, uv_loop_t *loop, const struct launch_config *cfg,
                struct err *e) MUST_USE;
void launch_close(struct launch *l, void (*closed)(void *arg), void *arg); /* runs go on */
const char *launch_mode(const struct launch *l); /* how runs are supervised here */

/* NULL, or why no run can be started now, for people: then leave them in the line until on_ready. */
const char *launch_blocked(const struct launch *l);

/* Create the run's directory (0700, fsynced) with empty log and metrics files; in system mode 0711 and
 * without them, which are the launcher's to make. Idempotent. */
int launch_prepare(struct launch *l, int64_t run_id, struct err *e) MUST_USE;
/* Whose run it is, and that he asked for it: system mode. */
struct launch_order {
    int64_t uid;
    /* borrowed for the call; NULL = there is none, and so no start */
    const struct warrant *warrant;
};
/* A start is in sight: in user mode a shepherd is made ready for it (ready.h), in system mode the launcher does so.
 * Costs the loop a fork, so it is called where the loop would wait for the disk. */
void launch_get_ready(struct launch *l);
/* Start its shepherd; LAUNCH_AT_GATE, LAUNCH_REFUSED or LAUNCH_LOST follows. b is copied into a memfd. What
 * is added to the user's environment stands in b->extra_env: b->env is what was signed. */
int launch_start(struct launch *l, const struct launch_block *b, const struct launch_order *o,
                 struct err *e) MUST_USE;
/* The directory of a foreground run becomes its user's, who starts the shepherd himself. 0 = nothing to do
 * (user mode); 1 = LAUNCH_HANDED or LAUNCH_REFUSED follows. */
int launch_hand_over(struct launch *l, int64_t run_id, int64_t uid) MUST_USE;
/* For meter_config.open_fd, with the launcher's directory as arg: a meter that only root may open, as a
 * descriptor from the launcher. -1 with errno. Blocks for 100 ms at most; any thread. */
int launch_meter_fd(void *launcher, const char *name, int flags);
/* A foreground client has started the shepherd itself: connect to it. */
int launch_adopt(struct launch *l, int64_t run_id, int64_t token, struct err *e) MUST_USE;
/* After a restart, for a run that the database has as starting, running, paused or stopping: find its
 * shepherd or its result. Exactly one of AT_GATE, STARTED, ENDED, LOST follows, then whatever comes. */
void launch_reattach(struct launch *l, int64_t run_id, int64_t token);

int launch_go(struct launch *l, int64_t run_id, int64_t token, struct err *e) MUST_USE;
int launch_stop(struct launch *l, int64_t run_id, int signal, int64_t grace_ns,
                struct err *e) MUST_USE;
/* Likewise, by TERM, because it is over its energy limit: its result will say so. */
int launch_stop_energy(struct launch *l, int64_t run_id, int64_t grace_ns, struct err *e) MUST_USE;
int launch_pause(struct launch *l, int64_t run_id, bool pause, struct err *e) MUST_USE;
/* For each child of this process that waitpid gave, whoever it was. */
void launch_reaped(struct launch *l, pid_t pid, int status);
/* Before GO: the shepherd goes, nothing has run, and no event follows; the run may be started anew. */
int launch_abort(struct launch *l, int64_t run_id, struct err *e) MUST_USE;
/* The result of a run with an on_end command is committed: now it may be run, if its shepherd is still there.
 * LAUNCH_ON_END follows, at the latest when its time is over. Also of a run that is not known here, after a
 * restart. In place of launch_ack, which follows LAUNCH_ON_END. */
void launch_filed(struct launch *l, int64_t run_id, int64_t token);
/* The result is committed: drop what is known of the run here; all its files stay. */
void launch_ack(struct launch *l, int64_t run_id);

/* fd of a file of the run, O_NOFOLLOW, regular, one link; or < 0. */
int launch_open_file(struct launch *l, int64_t run_id, const char *name, struct err *e) MUST_USE;
/* CPU time of the run's tree so far in us, -1 if it cannot be had. For `top` and slots. */
int64_t launch_cpu_us(struct launch *l, int64_t run_id);
/* How that CPU time can be followed by somebody else: a new descriptor of its cgroup's cpu.stat, or -1
 * and the shepherd's pid, whose descendants it is. 0; 1 = not known (yet). */
int launch_cpu_source(struct launch *l, int64_t run_id, int *cpu_stat_fd, pid_t *pid);

#endif
