/* What meter.c (life, questions), meter_find.c (the first look), meter_thread.c (sampling) and meter_probe.c (what comes and goes) share.
 * Nobody else includes this.
 *
 * Threads: after meter_start the sampler owns lanes, groups, sources without worker, and the ring's
 * producer side. `lock` guards requests, stop and what the prober and the sampler hand each other; a
 * worker's outbox has a lock of its own. Channels, groups and paces stand in arrays that never move; the
 * prober fills places beyond what is counted, the sampler counts them between two sweeps (meter_change).
 * Everything in struct channel_slot.pub is constant once it is counted in `found`, but for id (before it is
 * counted in `n`). */
#ifndef DAEMON_METER_METER_INTERNAL_H
#define DAEMON_METER_METER_INTERNAL_H

#include <pthread.h>

#include "daemon/meter/lane.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/watch.h"

#define METER_SOURCES_MAX  128
#define METER_KINDS_MAX    64 /* of source_list */
#define METER_PACES_MAX    (METER_SOURCES_MAX + 2)
#define METER_NOWHERE      SIZE_MAX
#define METER_REQUESTS_MAX 64 /* one place more is kept for an edge that is taken again */
#define METER_SLOW_READ_NS (2 * NS_PER_MS) /* a read longer than this may not hold up the others */
#define METER_SLOW_READS   8               /* so many in a row, and the source gets a thread */
#define METER_STALE_NS     (2 * NS_PER_S)

struct channel_slot {
    struct meter_channel pub;
    struct lane lane;
    size_t source;        /* in meter.sources; sampler's */
    size_t at;            /* in that source's readings, METER_NOWHERE = its device is gone */
    bool was_away;        /* sampler: gone or without an answer at the newest sweep */
    bool told;            /* prober: that it is away has been logged ... */
    int64_t told_mono_ns; /* ... then; 0 = never */
    int missed;           /* prober: looks in a row that did not find it */
};

/* A source that is read on a thread of its own: reads on its grid into `out`, under `lock`. On a heap of
 * its own, because a thread that hangs inside a driver outlives the meter (docs/measurement.md). */
struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    const struct source_ops *ops;
    struct source *source;
    size_t n;
    int64_t period_ns;
    bool stop;
    bool finished;  /* the thread is past its last read */
    bool orphan;    /* nobody waits: the thread closes the source and frees this */
    int64_t cpu_ns; /* of the thread, at the newest answer */
    int64_t seq;    /* answers so far */
    int64_t index;  /* grid position of the newest answer */
    int64_t before_ns, after_ns;
    struct reading *scratch; /* thread's */
    struct reading *out;     /* newest answer */
};

struct worker_stamps {
    int64_t index; /* on the worker's grid */
    int64_t before_ns, after_ns;
    int64_t cpu_ns; /* that the thread has used so far */
};

struct meter_source {
    const struct source_ops *ops;
    struct source *source; /* NULL = all its devices are gone */
    size_t n;
    uint32_t pace;
    bool blocks;              /* has a pace and a thread of its own */
    bool abandoned;           /* its thread hangs in a driver: never closed */
    struct reading *readings; /* newest ones, n */
    int64_t read_ns;          /* CLOCK_BOOTTIME of the newest read on the grid */
    int64_t began_ns;         /* with a worker: when the reading of its newest answer began */
    int slow_reads;           /* in a row */
    struct worker *worker;    /* NULL while the sampler reads it itself */
    int64_t taken_seq;        /* the worker's newest answer that was taken */
    int64_t taken_cpu_ns;     /* and what its thread had used by then */
};

/* What is read in one sweep: the fast sources, the slow ones, or one that blocks. */
struct meter_pace {
    int64_t period_ns;
    bool own; /* of one blocking source: its answers are the sweeps */
    int64_t origin_mono_ns;
    int64_t next_mono_ns;
    int64_t index;
    bool swept;
    int64_t began_ns;      /* of its newest sweep */
    int64_t suspend_ns;    /* likewise */
    int64_t stale_mono_ns; /* own: when staleness is reported next */
};

/* Channels that share ticks. Each sweep of a pace makes one tick for each of its groups. */
struct meter_group {
    uint32_t pace;
    uint32_t n;
    uint32_t *channels; /* meter-wide indices by slot, rising */
    bool started;       /* a tick has been pushed */
    int64_t began_ns;   /* of the newest one: when its sweep began, and its middle on the grid */
    int64_t middle_ns;
};

/* A source just opened, before it has a place. */
struct meter_fresh {
    const struct source_ops *ops;
    struct source *source;
    const struct channel_desc *descs;
    size_t n;
    struct reading *readings;
    bool blocks; /* too slow to be read between others */
};

/* What the prober hands the sampler: sources to put in, channels to point at them. */
struct meter_change {
    struct {
        size_t source;
        struct meter_source now; /* after the sampler took it: what was there */
    } swaps[METER_SOURCES_MAX];
    size_t nswaps;
    struct {
        size_t channel, source, at;
    } moves[METER_CHANNELS_MAX];
    size_t nmoves;
    size_t found, ngroups, npaces, nsources;
};

struct job; /* meter_job.h */

struct request {
    int64_t ticket;
    int64_t due_mono_ns;
    void (*done)(void *arg, int64_t ticket);
    void *arg;
};

struct meter {
    struct channel_slot *slots;
    _Atomic size_t n;     /* sampled */
    _Atomic size_t found; /* and those that have no row yet */
    struct meter_source *sources;
    size_t nsources;
    struct meter_group *groups;
    _Atomic size_t ngroups;
    struct meter_pace *paces;
    size_t npaces;
    struct ring *ring;
    struct meter_config cfg;
    int64_t (*slept_ns)(void);

    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    struct request requests[METER_REQUESTS_MAX + 1];
    size_t nrequests;
    int64_t last_ticket;
    struct prober *prober; /* NULL = nobody looks */
    pthread_cond_t probe_wake;
    bool probe_look;   /* a channel went away or came back */
    bool probe_resume; /* the machine slept: look at every meter */
    bool probe_event;  /* a device or driver came or went */
    bool probe_job;    /* one of the jobs has finished */
    struct job
        *jobs[METER_KINDS_MAX];  /* looks under way, by place in source_list: of meter_open, then
                                          the prober's */
    struct meter_change *change; /* for the sampler, until it has taken it */
    _Atomic int64_t cost_since_ns, cost_sampler_ns, cost_workers_ns, cost_readings;
    bool away_moved; /* sampler's: probe_look is due */
    size_t paired;   /* sampler's: channels that are watched */

    void (*notify)(void *arg);
    void *notify_arg;
    int64_t notified_mono_ns;
    struct watch *watch; /* fed by the sampler */
};

/* meter_find.c. Everything that answers within first_ns; the jobs of what does not stay in m->jobs. */
int meter_find_first(struct meter *m, struct err *e) MUST_USE;
void meter_leave_jobs(struct meter *m); /* they clean up after themselves */
/* 0; 1 = there is none (or no more) of this kind; < 0. */
int fresh_open(struct meter_fresh *out, const struct source_ops *ops,
               const struct meter_config *cfg, struct err *e) MUST_USE;
void fresh_close(struct meter_fresh *f);
bool fresh_gives_energy(const struct meter_fresh *f);
/* Does a channel, where it answers, measure what would else be estimated? */
bool desc_spares_estimate(const struct channel_desc *d);
bool meter_disabled(const struct meter_config *cfg, const struct source_ops *ops);
/* meter.c */
int64_t meter_pace_ns(const struct meter_config *cfg, const struct source_ops *ops, bool blocks);
/* The next channel in its place, not counted yet; its group must exist. desc.parent and mirror_of of d are
 * meter-wide already. */
struct channel_slot *meter_put_channel(struct meter *m, size_t i, const struct channel_desc *d,
                                       size_t source, size_t at, uint32_t group, struct reading r);

int64_t meter_thread_cpu_ns(void); /* of the calling thread */

/* meter_probe.c. After the sampler has started, before it is stopped. */
int prober_start(struct prober **out, struct meter *m, const struct meter_config *cfg,
                 struct err *e) MUST_USE;
void prober_stop(struct prober *p); /* NULL is fine; meter.stop is set */

/* meter_thread.c */
void meter_watch_more(
    struct meter *m); /* sampler's, after open: channels that have come are watched too */
void *meter_run(void *meter);

/* meter_worker.c */
struct worker *worker_start(const struct meter_source *s, int64_t period_ns,
                            struct err *e) MUST_USE;
/* Asks the thread to end and frees it. A thread that does not answer within a second is left behind with
 * its source, which it closes itself if the driver ever returns; returns false then, and the source must
 * not be touched any more. */
bool worker_stop(struct worker *w);
/* Copies the newest answer if it is newer than *seq. True = copied; *seq is then its number. */
bool worker_take(struct worker *w, int64_t *seq, struct reading *out, struct worker_stamps *stamps);

#endif
