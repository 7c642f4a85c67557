/* The queue: every run that is not over, their order, what may start, and the life of each run through
 * gate, sweeps, end and figures. Loop thread. Holds live runs in memory (the database is the truth and
 * is written first); tells listeners after the commit.
 *
 * A run's start: (1) `starting` + token committed FULL (2) shepherd started, child at the gate (3) open
 * sweep, committed FULL (4) GO; its end: main exit -> `stopping` -> window closes -> close sweep, late
 * sweep -> figures and end state in one FULL commit -> ack. Killed at any step, queue_start finds the
 * step again (DESIGN of restart: docs/architecture.md). */
#ifndef DAEMON_QUEUE_QUEUE_H
#define DAEMON_QUEUE_QUEUE_H

#include <uv.h>

#include "common/spec.h"
#include "daemon/energy/shares.h"
#include "daemon/launch/launch.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/owners.h"
#include "daemon/queue/user_limits.h"
#include "daemon/queue/warrants.h"
#include "daemon/store/runs_marks.h"
#include "daemon/store/storage.h"

struct queue;

/* A run as listeners and the api see it: a snapshot, borrowed during the call. */
struct queue_run {
    const struct run_row *row;
    int position;                      /* in the waiting line, from 1; 0 = not waiting */
    int64_t elapsed_ns;                /* since its gate opened; RUN_NONE = not started */
    bool alone;                        /* nothing else ran beside it so far */
    const struct energy_figure *total; /* machine figure, once ended; NULL = none yet */
    const char *gpus; /* UUIDs of the GPUs it holds, with commas between; "" = none */
};

struct queue_config {
    uv_loop_t *loop;
    struct meter *meter;
    struct storage *storage;
    struct launch *launch;
    struct gpu_procs *gpu_procs;     /* which GPUs there are and who is on them; NULL = none */
    int64_t mem_bytes;               /* of the machine for runs; 0 = all there is */
    int64_t max_pids;                /* tasks of one run; 0 = any number */
    struct user_limits_table limits; /* what each user may have; `of` is borrowed */
    int64_t default_gpus;            /* of a run that may run beside others and did not say */
    int64_t cpus;                    /* for runs; 0 = all that this process may use */
    struct slots *slots;             /* where CPU time of runs is counted; NULL = nowhere */
    const char *database;            /* read once, by queue_start */
    const char *envs_dir;
    const char *runs_dir; /* what a foreground run is told: <runs_dir>/<id> */
    const char *
        warrants_dir; /* system mode: no run without a warrant, and they are kept here; NULL = user mode */
    const char *train_path;
    int64_t parallel;         /* runs at once that are not exclusive; 0 = what resources allow */
    enum share_policy policy; /* of figures of runs that were not alone */
    int64_t linger_ns;
    struct owners *owners; /* who else uses the machine (meter/owners.h); NULL = nobody looks */
    int64_t
        disturbed_ppm; /* of all CPUs used by others beside a run: more, and it is `disturbed` */
    int64_t idle_busy_ppm; /* of all CPUs: busier seconds are not idle */
    int64_t idle_learn_ns; /* of idle time, from which idle power is learned; 0 = never */
    /* Users whose runs' edges are swept whatever their number (sweep_budget.h); NULL = nobody's. */
    bool (*trusted)(void *arg, int64_t uid);
    /* After each committed move; also once with the final figures. */
    void (*on_change)(void *arg, const struct queue_run *r, enum run_state from);
    void *arg;
};

int queue_open(struct queue **out, const struct queue_config *cfg, struct err *e) MUST_USE;
/* Reads live runs, reattaches shepherds, imports results that wait, starts what may start. */
int queue_start(struct queue *q, struct err *e) MUST_USE;
/* For launch_config.on_event: launch is opened before the queue, the daemon passes its events on. */
void queue_on_launch(struct queue *q, const struct launch_event *ev);
/* For launch_config.on_ready. */
void queue_on_ready(struct queue *q);
void queue_close(struct queue *q, void (*closed)(void *arg), void *arg); /* runs go on */

/* Each calls done on the loop after the FULL commit (rc < 0 with err otherwise). */
typedef void (*queue_done)(void *arg, int rc, const struct err *e, const int64_t *ids, size_t n);
/* specs (one malloc'd array, and all they own) and warrants (NULL = none) are taken over, here and below. Without a
 * warrant for each run, in system mode: WATTQ_E_FORBIDDEN. */
void queue_submit(struct queue *q, struct spec *specs, size_t n, int64_t uid,
                  const struct run_code *code, struct warrants *warrants, queue_done done,
                  void *arg);

struct queue_sweep {
    const struct spec *run; /* argv may hold {key} */
    struct spec_axis *axes;
    size_t naxes;
    bool random;
    int64_t seed;
    int64_t repeat;
    char label[SPEC_LABEL_MAX + 1];
    const struct run_code *code;
    int64_t max_fails;
    int64_t max_running; /* of its runs at a time; 0 = any number */
    /* The design of a measurement (docs/study.md). Lists as argv of `run`, without {key}; NULL = none. */
    char **canary; /* the same run again and again, for the control chart */
    size_t ncanary;
    int64_t canary_every; /* points between two of them; 0 = no canaries and no blocks */
    char **warmup;        /* runs first and is thrown away */
    size_t nwarmup;
};
struct queue_skipped {
    char *params; /* "dataset=mnist size=32 ..." */
    char *reason;
};
/* Pure part: the points of a grid in order, with the ones left out. Order "random" shuffles each repeat
 * anew from seed, so that each repeat is a randomised block. With canaries there is one before the first
 * point, one after every canary_every points and one behind the last; every run has a parameter `block`
 * (from 1; a canary opens its block, the last one closes the last), a canary has `role=canary`, the
 * warm-up `role=warmup`; both have the network of their argv as parameters. The specs have no environment of their own: that of sw->run is theirs. For kind train a
 * key that argv does not name is appended as `--key value` (of the key `variant`, whose values are
 * NAME:WORDS, the words), points of the study's grid that no width
 * reaches (the 20 % rule) and second shapes of the same depth-2 network are left out. Caller frees with
 * queue_expand_free. */
int queue_expand(const struct queue_sweep *sw, struct spec **specs, size_t *n,
                 struct queue_skipped **skipped, size_t *nskipped, struct err *e) MUST_USE;
void queue_expand_free(struct spec *specs, size_t n, struct queue_skipped *skipped,
                       size_t nskipped);
/* specs without an environment get that of sw->run. */
void queue_submit_sweep(struct queue *q, struct spec *specs, size_t n, const struct queue_sweep *sw,
                        int64_t uid, struct warrants *warrants,
                        void (*done)(void *arg, int rc, const struct err *e, int64_t sweep,
                                     int64_t first, int64_t last),
                        void *arg);
void queue_sweep_release(struct queue *q, int64_t sweep, struct run_actor by, queue_done done,
                         void *arg);

enum queue_verb { QUEUE_CANCEL, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_PAUSE, QUEUE_RESUME };
struct queue_act {
    enum queue_verb verb;
    struct run_actor by; /* who asks */
    int signal;          /* QUEUE_CANCEL; 0 = TERM */
    int64_t grace_ns;    /* -1 = the run's own */
    const char *reason;
};
/* One run. WATTQ_E_NOT_FOUND, WATTQ_E_FORBIDDEN, WATTQ_E_CONFLICT with the state it is in. */
void queue_act(struct queue *q, int64_t run, const struct queue_act *a, queue_done done, void *arg);
/* The new run is of the old one's user, under the same warrant. */
void queue_retry(struct queue *q, int64_t run, struct run_actor by, queue_done done, void *arg);
void queue_phase(struct queue *q, int64_t run, struct run_actor by, const char *name,
                 queue_done done, void *arg);

/* What people say of runs, live or long ended (runs_marks.h). runs (malloc'd) and what mark owns are taken
 * over. done: rc < 0 for all of them, else errs has one per run (code 0 = done). */
typedef void (*queue_marked)(void *arg, int rc, const struct err *e, const struct err *errs);
void queue_mark(struct queue *q, int64_t *runs, size_t n, struct run_actor by,
                struct run_mark *mark, queue_marked done, void *arg);

/* Moves runs that are queued, in the order given, to the front of their owner's of the same priority, or before
 * another of these: nobody else's turn changes (turns.h). `first`, which is for an admin: before everybody's, by a
 * priority above all that wait. runs (malloc'd) are taken over; done as of queue_mark. What is done to a run is an
 * event of it with who did it. */
struct queue_bump {
    struct run_actor by;
    int64_t before; /* RUN_NONE */
    bool first;
};
void queue_bump(struct queue *q, int64_t *runs, size_t n, const struct queue_bump *how,
                queue_marked done, void *arg);

/* Foreground runs: `turn` is called when it may start (the client then starts the shepherd in run_dir
 * and calls queue_exec_ready). A client that goes away before that is queue_exec_gone. */
struct queue_turn {
    int64_t run, token;
    const char *run_dir;
    const char *gpus; /* UUIDs it is to see, with commas between */
    int64_t cpus;     /* it may count on; 0 = not known */
    const struct spec *spec;
};
void queue_exec(struct queue *q, struct spec *spec, int64_t uid, const struct run_code *code,
                struct warrants *warrants, void (*turn)(void *arg, const struct queue_turn *t),
                queue_done done, void *arg);
int queue_exec_ready(struct queue *q, int64_t run, int64_t token, struct err *e) MUST_USE;
void queue_exec_gone(struct queue *q, int64_t run, const char *reason);

/* Snapshot access, in memory. visit: live ones in order of running, then waiting line. */
void queue_visit(struct queue *q, int (*fn)(void *arg, const struct queue_run *r), void *arg);
/* 0; 1 = not live (ask the database). Valid until the loop turns. */
int queue_find(struct queue *q, int64_t run, struct queue_run *out);
int64_t
queue_boot(const struct queue *q); /* boot.id of the running kernel; RUN_NONE = not read yet */
/* Which GPUs are there and who holds them, as of now. Loop thread; valid until the loop turns. */
struct resources;
const struct resources *queue_resources(const struct queue *q);
/* That GPU (its index in them) is given to no new run from now on, or to runs again. done: once that is written. */
struct queue_gpu_said {
    int gpu;
    bool out;
    int64_t by;      /* the admin */
    const char *why; /* "" = nothing was said */
};
void queue_gpu_out(struct queue *q, const struct queue_gpu_said *said,
                   void (*done)(void *arg, int rc, const struct err *e), void *arg);
/* Which run the shepherd with this pid looks after; RUN_NONE = none that is live. */
int64_t queue_run_of(const struct queue *q, int64_t shepherd);
/* What a run waits for, the first of it that is not its turn, in one sentence for lists; NULL = nothing but its turn.
 * buf has QUEUE_REASON_MAX bytes. */
#define QUEUE_REASON_MAX 400
const char *queue_waiting_for(struct queue *q, int64_t run, char *buf, size_t cap);
/* Why a run that waits does, all of it, one sentence at a time; nothing when it does not wait, or is about to start. */
void queue_reasons(struct queue *q, int64_t run, void (*fn)(void *arg, const char *text),
                   void *arg);
/* Those that come before it in turn: their number, and the first of them. */
size_t queue_before(struct queue *q, int64_t run, int64_t *ids, size_t cap);
/* What is to be known to foretell its start (forecast.h), to be freed. WATTQ_E_CONFLICT with why there is nothing to
 * foretell. */
struct forecast;
int queue_forecast(struct queue *q, int64_t run, struct forecast **out, struct err *e) MUST_USE;
struct queue_counts {
    int64_t queued, held, starting, running, paused, stopping;
};
void queue_get_counts(const struct queue *q, struct queue_counts *out);
/* Newest ended runs, newest first, at most 5. */
void queue_recent(struct queue *q, int (*fn)(void *arg, const struct queue_run *r), void *arg);

/* Idle power on request: no run is started from here on until it is there. It waits until those that run
 * have ended and for the thermal tail of the last one. progress: about once per second; done: once, a is
 * NULL when rc < 0. WATTQ_E_CONFLICT: one is under way. What it finds is stored (basis `measured`). */
enum queue_idle_phase {
    QUEUE_IDLE_NONE,
    QUEUE_IDLE_WAITING, /* for runs */
    QUEUE_IDLE_COOLING, /* for the thermal tail */
    QUEUE_IDLE_MEASURING,
    QUEUE_IDLE_READING
};
struct baseline_set;
struct queue_idle_answer {
    const struct baseline_set *set;
    const struct energy_window *window;
    int written;
};
struct queue_idle_asked {
    void (*progress)(void *arg, enum queue_idle_phase phase, int64_t left_ns);
    void (*done)(void *arg, int rc, const struct err *e, const struct queue_idle_answer *a);
    void *arg;
};
int queue_idle_measure(struct queue *q, int64_t for_ns, const struct queue_idle_asked *asked,
                       struct err *e) MUST_USE;
/* Whoever asked has gone: it is given up; done is not called. */
void queue_idle_forget(struct queue *q, const void *arg);
enum queue_idle_phase queue_idle_state(const struct queue *q, int64_t *left_ns);

/* Storage thread, inside a transaction: compute the figures of an ended run again where samples that came
 * after its end say more than was known at its end - a slow meter's next reading gives a bound, an edge
 * is no longer provisional. New rows supersede the old ones. 1 = they are stored, 0 = all is as it was (or
 * the run was measured elsewhere, or its samples are gone). total gets the new figure with 1: once the
 * transaction is committed the loop hands it to queue_refresh. */
int queue_settle(struct store *s, int64_t run, enum share_policy policy,
                 struct energy_figure *total, struct err *e) MUST_USE;
/* Loop: what memory shows of a run that has ended follows what the disk has: its figures; whose it is, once its user
 * has left (forget: it is not shown any more). */
void queue_former(struct queue *q, int64_t uid, int64_t now, bool forget);
void queue_refresh(struct queue *q, int64_t run, const struct energy_figure *total);

#endif
