/* Inside daemon/queue only: what the parts of the queue share. Loop thread unless a function says so.
 *
 * A run's row holds the state that is committed; `next` the state it will have when its pending moves
 * are. Moves of one run are committed in order, all that have gathered in one job; a commit that failed
 * is tried again (queue_tick), so nothing is forgotten while the disk is full. */
#ifndef DAEMON_QUEUE_QUEUE_PRIVATE_H
#define DAEMON_QUEUE_QUEUE_PRIVATE_H

#include "common/durable.h"
#include "daemon/energy/baseline_take.h"
#include "daemon/queue/machine.h"
#include "daemon/queue/queue.h"
#include "daemon/queue/resources.h"
#include "daemon/queue/sweep_budget.h"
#include "daemon/queue/turns.h"

/* The sweep before the gate opens. It is asked for as soon as a shepherd is started. */
enum open_sweep {
    OPEN_NONE,
    OPEN_ASKED,   /* the meters are being read */
    OPEN_SEALING, /* it is on the way to the disk */
    OPEN_SEALED
};

/* Where a live run is between two commits. */
enum life {
    LIFE_WAITING,  /* held or queued */
    LIFE_CLAIMING, /* `starting` + token on the way to the disk */
    LIFE_SPAWNING, /* until the shepherd stands at the gate */
    LIFE_OPENING,  /* it does, and waits for the open sweep to be on disk */
    LIFE_GOING,    /* GO sent */
    LIFE_ON,       /* gate open */
    LIFE_CLOSING,  /* result known; close and late sweeps */
    LIFE_BRACKET,  /* the idle time behind it */
    LIFE_DRAINING, /* the rest of its metrics */
    LIFE_FILING,   /* figures and end state on the way to the disk */
    LIFE_ABORTING  /* cancelled before its gate opened */
};

struct queue_waiter { /* somebody who wants to hear when a move is committed */
    queue_done done;
    void *arg;
};

struct queue_move {
    struct queue_move *next;
    enum run_state from;
    enum run_state to;
    struct run_change change; /* its strings are owned by the move */
    struct queue_waiter waiter;
};

struct queue_filing;
struct queue_import;                                   /* queue_idle.c */
void queue_idle_tick(struct queue *q, int64_t now_ns); /* once per second */
void queue_idle_close(struct queue *q);
/* Storage thread: idle power before and behind a run becomes its own baseline. */
int queue_idle_bracket(struct store *s, const struct queue *q, int64_t run,
                       const struct queue_filing *f, struct err *e) MUST_USE;
/* Loop thread: what is known of contexts on GPUs goes with the run to its brackets. */
void queue_idle_note_held(struct queue *q, struct queue_filing *f);
int64_t queue_idle_bracket_end(int64_t t1_ns, int64_t bracket_ns); /* when its samples are there */

/* queue_metrics.c */

/* The last job of a run: what is handed to the storage thread and back. */
struct queue_filing {
    struct energy_window window; /* t0_ns RUN_NONE: the gate never opened, no figures */
    int64_t main_exit_ns;
    bool to_last_sample; /* other boot: the window ends where the samples do */
    enum share_policy policy;
    struct baseline_held held[BASELINE_HELD_MAX]; /* contexts on GPUs, for its brackets */
    size_t nheld;
    bool overlapped;    /* as far as memory knows */
    bool disturbed;     /* others used more than their share beside it */
    int64_t bracket_ns; /* idle time on either side that is measured; 0 = none */
    bool drop_env;
    bool env_unused; /* back: nobody needs the file any more */
    bool on_end;     /* its on_end command is still to be run */
    struct energy_figure total;
    bool has_total;
};

/* What only a run needs that moves; 100,000 that wait do without. */
struct queue_live {
    struct queue_item *r;
    struct queue_filing filing;
    struct storage_job job;
    struct storage_job seal; /* commit of the open sweep */
    struct result result;
    char stop_reason[160];   /* why somebody stopped it */
    bool energy_over;        /* its energy limit has ended it */
    bool energy_told;        /* its history says that the limit cannot be watched */
    int64_t energy_blind_ns; /* CLOCK_BOOTTIME since when that is so; 0 = it is not */
    struct energy_figure total;
    bool has_total;
};

struct queue_item {
    struct queue *q;
    struct queue_live *live; /* NULL until queue_item_wake */
    struct run_row row;
    enum run_state next;
    enum life life;
    struct spec *spec; /* parsed when it is first needed */
    bool alone;
    bool cancel_wanted; /* while claiming: cancel as soon as the commit is there */
    bool window_open;   /* gate open and not all gone */
    int attempts;       /* shepherds started in this life of the daemon */
    bool keeping;       /* its environment is not durable yet: it stays at its gate */
    bool env_lost;      /* nor could it be made so */
    bool unswept;       /* its owner has used up his edge sweeps (sweep_budget.h) */
    enum open_sweep open;
    int64_t open_ns; /* CLOCK_BOOTTIME; when that sweep was asked for */
    int64_t ticket;  /* of the sweep that is waited for; 0 = none */
    int64_t
        deadline_ns; /* CLOCK_BOOTTIME; go on without the sweep, or try the commit again; 0 = none */
    struct queue_move *unsent;
    struct queue_move *flying;
    bool job_busy;
    bool file_now;    /* the next job is the last: with the figures */
    bool flying_file; /* the job that is out is the last */
    bool facts_now;   /* the next job writes down the state the machine is in at the start */
    bool flying_facts;
    char *lost_text; /* the end is `lost`, and why; NULL = result says */
    bool requeue; /* lost to a reboot, and to be tried again: training, or whoever asked for it */
    bool ended;   /* leaves the lists as soon as its job is back */
    struct queue_import *import;
    int64_t
        metrics_seen; /* largest metric row the database had when the daemon started; -1 = none */
    void (*turn)(void *arg, const struct queue_turn *t);
    void *turn_arg;
    bool client_gone;
    char *
        gpus; /* UUIDs that it holds, with commas between; NULL = none. A job that is out reads it */
    struct resources_count share; /* what it holds of what is counted */
    bool has_devices;             /* rows say that it holds devices: they are closed when it goes */
    int64_t gpu_wait_ns; /* CLOCK_BOOTTIME; it could start but for GPUs since then; 0 = not so */
    int slot;            /* in which its CPU time is counted; -1 = none */
};

struct queue_sweep_state {
    int64_t id;
    int64_t uid; /* whose it is */
    int64_t max_fails;
    int64_t max_running; /* 0 = any number */
    int64_t fails;       /* in a row */
    int64_t live;
    bool held;
    char reason[160];
};

#define QUEUE_RECENT   5
#define QUEUE_TICKETS  256
#define QUEUE_ATTEMPTS 3

struct items { /* pointers in a stated order */
    struct queue_item **at;
    size_t n;
    size_t cap;
};

struct queue_idle {
    struct queue_measure *measure; /* on request; NULL = none */
    int64_t last_end_ns;           /* CLOCK_BOOTTIME; 0 = this daemon saw no run end */
    int64_t next_ns;               /* when to try to learn again */
    bool learning;                 /* a job is out */
    int64_t fit_ns;                /* when to look again whether the estimate can be fitted */
    struct baseline_held held[BASELINE_HELD_MAX]; /* contexts on GPUs, by gpu_procs' index */
    size_t nheld;
};

struct queue_late;
struct queue_energy;
struct queue_on_end;
struct submit_job;

struct queue {
    struct queue_config cfg;
    struct queue_late
        *late; /* queue_late.c: runs whose slow meters have yet to answer, oldest first */
    size_t nlate;
    struct queue_energy *energy; /* queue_energy.c: what is being read; NULL = nothing */
    int64_t energy_next_ns;      /* CLOCK_BOOTTIME; not before */
    struct queue_on_end *on_end; /* queue_on_end.c: commands that are still run after their runs */
    struct queue_idle idle;
    struct resources resources;
    char *envs_dir;
    char *runs_dir;
    char *warrants_dir;       /* NULL = user mode */
    int64_t warrants_next_ns; /* CLOCK_BOOTTIME; when to look for those that have expired */
    char *train_path;
    struct sweep_budget budget;
    struct machine *machine; /* used by jobs, that is on the storage thread */
    struct items all;        /* by id */
    struct turns line;       /* queued and not claimed */
    struct items active;     /* starting to stopping, in order of their claim */
    struct queue_sweep_state *sweeps;
    size_t nsweeps;
    struct queue_item *recent[QUEUE_RECENT]; /* newest first; NULL = none */
    uv_async_t ticket_async;
    uv_timer_t tick;    /* 1 s: retries, deadlines, storage that came back */
    uv_timer_t metrics; /* 250 ms while something runs */
    uv_timer_t others;  /* scans of who else uses the machine */
    uv_work_t scan;     /* one is under way while scanning; uv_cancel cannot stop it */
    bool scanning;
    uv_timer_t pause; /* until the first of the line has had its idle time */
    int64_t
        idle_since_ns; /* CLOCK_BOOTTIME; nothing has been active since then, as far as we saw */
    uv_mutex_t ticket_lock;
    int64_t tickets[QUEUE_TICKETS]; /* that came true; written by the sampler */
    size_t ntickets;
    size_t sweeps_out;         /* sweeps whose callback has not come yet (ticket_lock) */
    struct submit_job *coming; /* queue_submit.c: submissions on their way to the disk */
    unsigned reserved;  /* submissions on their way that start as soon as they are committed */
    unsigned keeping;   /* of them, and since: those whose files are not known to be durable yet */
    size_t jobs_out;    /* storage jobs on their way */
    int64_t token;      /* system mode: the largest that was ever given */
    int64_t boot;       /* boot.id of this kernel; known once started */
    bool retry_waiting; /* a held or queued run's move waits for another try */
    bool started;
    bool closing;
    unsigned handles;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* queue.c: the lists */
struct queue_item *queue_item_new(struct queue *q);
void queue_item_free(struct queue_item *r);
void queue_item_wake(struct queue_item *r); /* live is there from now on */
void queue_add(struct queue *q,
               struct queue_item *r); /* takes it; row.state says where it belongs */
void queue_remove(struct queue *q, struct queue_item *r); /* from all lists; not freed */
struct queue_item *queue_item_find(const struct queue *q, int64_t id);
void queue_line_put(struct queue *q, struct queue_item *r);
bool queue_line_take(struct queue *q, struct queue_item *r); /* false = it was not there */
struct turns_key queue_item_key(const struct queue_item *r);
void queue_active_put(struct queue *q, struct queue_item *r);
void queue_active_take(struct queue *q, struct queue_item *r);
void queue_snapshot(struct queue *q, const struct queue_item *r, struct queue_run *out);
void queue_retire(struct queue *q,
                  struct queue_item *r); /* ended: out of the lists, into `recent` */
int queue_item_spec(struct queue_item *r, struct err *e) MUST_USE;
void queue_submit_job(struct queue *q, struct storage_job *job);
void queue_wait_pause(struct queue *q, int64_t left_ns); /* then queue_kick */
void queue_job_back(struct queue *q);                    /* first thing in every job's done */
/* Ask for a sweep at an instant (0 = now): at an edge of r, and nobody waits for it; or r->ticket waits. For a run
 * without sweeps there is none, and what waits goes on a moment later with the samples of the grid. */
void queue_edge(struct queue_item *r, int64_t at_ns);
void queue_ask_sweep(struct queue_item *r, int64_t at_ns);

/* queue_move.c */
/* Gather a move from r->next to `to`; c's strings are copied. w may be NULL. */
void queue_move(struct queue_item *r, enum run_state to, const struct run_change *c,
                const struct queue_waiter *w);
void queue_commit(struct queue_item *r); /* send what has gathered, unless a job is out */
void queue_moves_free(struct queue_item *r);

/* queue_order.c */
struct queue_sweep_state *queue_sweep_find(struct queue *q, int64_t id); /* NULL */
struct queue_sweep_state *queue_sweep_make(struct queue *q, int64_t id, int64_t max_fails);
void queue_sweep_end(struct queue *q, struct queue_sweep_state *sw); /* its last run has ended */
bool queue_sweep_full(const struct queue *q, const struct queue_sweep_state *sw); /* max_running */
void queue_sweep_ended_run(struct queue *q, const struct queue_item *r);
/* The next run that may start now, with the GPUs it gets, or NULL (turns_pick). What comes free of the GPUs that a
 * first one wants goes to those that pass it only as long as it has not waited so for QUEUE_PASS_NS: so one who
 * wants two is not starved by many who want one. */
struct queue_item *queue_pick(struct queue *q, gpu_set *gpus);
#define QUEUE_PASS_NS (600 * NS_PER_S)
bool queue_item_exclusive(struct queue_item *r);
/* What is left of the pause that the first of the line wants, when nothing else keeps it back; 0 = none. */
int64_t queue_pause_left(struct queue *q, const struct queue_item **first);

/* queue_gpus.c: who gets which GPU, and how much of what is counted. Loop thread. */
void queue_gpus_look(struct queue *q); /* which are there, and strangers on them */
/* queue_gpu_out.c: one whose driver has reported what only a reset cures is taken out. */
struct gpu_use;
void queue_gpu_xid(struct queue *q, const struct gpu_use *u);
void queue_gpus_count(
    struct queue *q); /* what there is of what is counted; once, before all else */
/* Before submission: what they do not say of time and resources, and what can never be given (resources_settle). */
int queue_gpus_settle(struct queue *q, int64_t uid, struct spec *specs, size_t n,
                      struct err *e) MUST_USE;
/* What it wants. false = a GPU that is not known now; one whose description cannot be read wants nothing: it fails
 * at its start, which says why. */
bool queue_gpus_want(struct queue *q, struct queue_item *r, struct resources_want *out);
void queue_gpus_take(struct queue_item *r, gpu_set set); /* before its claim is written */
void queue_gpus_free(struct queue_item *r);              /* and its share of what is counted */
/* Found again after a restart with what the rows say. */
void queue_gpus_found(struct queue_item *r);
/* What is to stand in its environment, or to take the place of what does, so that it sees its GPUs:
 * resources_env_free. */
char **queue_gpus_env(const struct queue_item *r, char *const *env);
char *queue_gpus_visible(const struct queue_item *r); /* UUIDs, in new memory */

/* queue_act.c */
/* The live run that he may act on. WATTQ_E_NOT_FOUND, WATTQ_E_FORBIDDEN. */
int queue_item_mine(struct queue *q, int64_t run, struct run_actor by, struct queue_item **out,
                    struct err *e) MUST_USE;
/* "run 7 is held and cannot be moved": WATTQ_E_CONFLICT. */
int queue_conflict(const struct queue_item *r, const char *verb, struct err *e);

/* What keeps a run waiting: queue_gpus.c, queue_order.c; queue_why.c says it. */
/* Why the runs of a sweep are not started: the breaker's sentence, or that as many run as may; NULL = they are. */
const char *queue_sweep_reason(struct queue *q, int64_t sweep);
/* What a queued run waits for when that is resources ("1 GPU: held by run 12; 4 CPUs: of 8 CPUs only 2 CPUs left"); NULL = it
 * is something else. */
const char *queue_waits_resources(struct queue *q, int64_t run, char *buf, size_t cap);
/* Is a queued run kept back by how many of its user's may go on at once? Then how many that is; 0 = no. */
int64_t queue_waits_own(struct queue *q, int64_t run);
/* How long the first of the line is still kept back by its own pause alone; 0 = it is not. */
int64_t queue_pause_left_ns(struct queue *q, int64_t run);
/* What the first of the line, if it is `run`, still waits for with --quiet; false = it does not. */
struct queue_calm {
    int64_t need_ns, need_ppm;
    int64_t calm_ns; /* so long it has been calm enough; -1 = it is not, or nobody has looked yet */
    int64_t share_ppm; /* what others use now; -1 = not known yet */
};
bool queue_waits_calm(struct queue *q, int64_t run, struct queue_calm *out);

/* queue_start.c */
/* The token of r's next start; r may be new. In system mode tokens rise over all runs, across restarts and a
 * clock that was set back: the launcher takes none twice. */
int64_t queue_token(struct queue *q, const struct queue_item *r);
void queue_kick(struct queue *q);                 /* start whatever may start */
void queue_claimed(struct queue_item *r, int rc); /* commit of `starting` is back */
void queue_kept(struct queue_item *r);  /* what its submission left beside its row is on disk */
void queue_swept(struct queue_item *r); /* its sweep is in the ring, or did not come in time */
void queue_start_failed(struct queue_item *r, const struct err *e);
/* Cancel before its gate opened. */
void queue_abort(struct queue_item *r, const struct run_change *c, const struct queue_waiter *w);

/* queue_end.c */
void queue_end_begin(struct queue_item *r, const struct result *res);
/* Lost to a reboot: is it to be tried again? */
bool queue_end_again(struct queue_item *r);
void queue_end_lost(struct queue_item *r, const char *reason, int64_t t1_ns);
void queue_end_swept(struct queue_item *r);
void queue_end_bracketed(struct queue_item *r);
void queue_end_drained(struct queue_item *r);
int queue_end_work(struct store *s, struct queue_item *r,
                   struct err *e) MUST_USE; /* storage thread */
void queue_end_filed(struct queue_item *r);
/* End a run that has no window: never started, or cancelled before. */
void queue_end_plain(struct queue_item *r, enum run_state to, const struct run_change *c,
                     const struct queue_waiter *w);

/* queue_on_end.c */
#define QUEUE_ON_END_FOLLOWS                                                                       \
    "on_end follows"           /* the remark with which a run with such a command ends */
#define QUEUE_ON_END_MOST 1000 /* found again after a restart, at most */
bool queue_on_end_wanted(struct queue_item *r); /* at its end: has it one, and did it begin */
void queue_on_end_begin(struct queue_item *r);  /* it is filed; instead of launch_ack */
void queue_on_end_over(struct queue *q, const struct launch_event *ev);
int64_t
queue_on_end_run(const struct queue *q); /* one whose command has not ended; 0 = there is none */
int queue_on_end_load(struct queue *q, struct store *s, struct err *e) MUST_USE;
void queue_on_end_recover(struct queue *q);
void queue_on_end_close(struct queue *q);

/* queue_slots.c */
/* Give it the lowest free run slot, unless it has one; and write that down. */
void queue_slot_take(struct queue_item *r);
void queue_slot_leave(struct queue_item *r); /* and that; nothing to leave is fine */

/* queue_metrics.c */
void queue_metrics_open(struct queue_item *r);
void queue_metrics_poll(struct queue *q);
bool queue_metrics_drain(struct queue_item *r); /* true: everything is committed */
void queue_metrics_close(struct queue_item *r);

/* queue_env.c */
struct queue_env {
    char hash[65];
    char *block; /* NUL-separated, NUL-terminated */
    size_t bytes;
    char *shown; /* JSON object */
};
struct queue_env *queue_env_new(char *const *env, size_t n);
void queue_env_free(struct queue_env *v);
/* Storage thread: write the file unless it is there and referred to, then refer to it once more. `files` must be durable before
 * that is committed, or before anybody is told. again: one that is there may not be durable yet. */
int queue_env_refer(struct store *s, const char *dir, const struct queue_env *v, bool again,
                    struct durable *files, struct err *e) MUST_USE;
char **queue_env_read(const char *dir, const char *hash, struct err *e); /* one free() for all */
/* Storage thread: remove the file unless somebody refers to it. */
void queue_env_remove(struct store *s, const char *dir, const char *hash);

/* queue_warrants.c, storage thread: does each run have a warrant; then to files, likewise. Nothing in user mode. */
int queue_warrants_keep(const struct queue *q, const struct warrants *w, const struct spec *specs,
                        struct queue_env *const *envs, size_t n, struct durable *files,
                        struct err *e) MUST_USE;
/* May it be started once more under the warrant it had? */
int queue_warrants_again(const struct queue *q, const struct run_row *old, struct err *e) MUST_USE;
void queue_warrants_tick(struct queue *q, int64_t now_ns); /* loop thread */

/* queue_figures.c, storage thread: every figure of the window in f, and j_per_datum */
int queue_figures(struct store *s, int64_t run, struct queue_filing *f, struct err *e) MUST_USE;

/* queue_others.c: who else used the machine. Loop thread: */
void queue_others_start(struct queue *q); /* scans on the timer, in the pool */
/* Storage thread: look now and write down what has gathered, so that a run's edge is a border. */
int queue_others_cut(struct store *s, struct queue *q, struct err *e) MUST_USE;
/* Storage thread: the same, then keep with the run what others used beside it; f->disturbed. */
int queue_others_end(struct store *s, struct queue_item *r, struct err *e) MUST_USE;

/* queue_sweep.c */
char *queue_sweep_json(const struct queue_sweep *sw); /* the spec of a sweep's row, in new memory */
void queue_sweep_limits(struct queue_sweep_state *sw, const char *json); /* of a sweep row's spec */

/* queue_energy.c: --energy-limit. At submission: which figure an exclusive run's is held against; WATTQ_E_USAGE
 * where that cannot be told here. */
int queue_energy_settle(struct queue *q, struct spec *specs, size_t n, struct err *e) MUST_USE;
void queue_energy_tick(struct queue *q, int64_t now_ns);

/* queue_late.c. Figures of slow meters get their reading from after the end: once, as soon as the slowest
 * channel must have shown it (update period, box and lag, and a second; at most two minutes), they are
 * computed again. What is not done when the daemon stops is left to the operation `settle`. */
void queue_late_add(struct queue *q, int64_t run);
void queue_late_tick(struct queue *q, int64_t now_ns);
void queue_late_close(struct queue *q);

#endif
