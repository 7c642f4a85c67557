/* What meter.c (life, questions) and meter_thread.c (sampling) share. Nobody else includes this.
 *
 * Threads: after meter_start the sampler owns lanes, groups, sources without worker, and the ring's
 * producer side. `lock` guards requests and stop; a worker's outbox has a lock of its own.
 * Everything in struct channel_slot.pub is constant from meter_open on, but for id (before start). */
#ifndef DAEMON_METER_METER_INTERNAL_H
#define DAEMON_METER_METER_INTERNAL_H

#include <pthread.h>

#include "daemon/meter/lane.h"
#include "daemon/meter/meter.h"

#define METER_REQUESTS_MAX 64 /* one place more is kept for an edge that is taken again */
#define METER_SLOW_READ_NS (2 * NS_PER_MS) /* a read longer than this may not hold up the others */
#define METER_SLOW_READS   8               /* so many in a row, and the source gets a thread */
#define METER_STALE_NS     (2 * NS_PER_S)

struct channel_slot {
    struct meter_channel pub;
    struct lane lane;
    size_t source;           /* in meter.sources */
    _Atomic int doubt;       /* enum meter_doubt */
    _Atomic int doubt_about; /* channel; -1 = none */
    int64_t watch_cum;       /* cumulative value at the previous sweep */
    int64_t watch_agrees;    /* sweeps in a row with the register of its package's first die */
    int64_t window_cum;      /* cumulative value when the window of comparison began */
    bool window_whole;       /* and it has been read without a break since */
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
    bool finished; /* the thread is past its last read */
    bool orphan;   /* nobody waits: the thread closes the source and frees this */
    int64_t seq;   /* answers so far */
    int64_t index; /* grid position of the newest answer */
    int64_t before_ns, after_ns;
    struct reading *scratch; /* thread's */
    struct reading *out;     /* newest answer */
};

struct worker_stamps {
    int64_t index; /* on the worker's grid */
    int64_t before_ns, after_ns;
};

struct meter_source {
    const struct source_ops *ops;
    struct source *source;
    size_t first; /* meter-wide index of its first channel */
    size_t n;
    uint32_t group;
    bool blocks;              /* has a group and a thread of its own */
    bool abandoned;           /* its thread hangs in a driver: never closed */
    struct reading *readings; /* newest ones, n */
    int64_t read_ns;          /* CLOCK_BOOTTIME of the newest read on the grid */
    int slow_reads;           /* in a row */
    struct worker *worker;    /* NULL while the sampler reads it itself */
    int64_t taken_seq;        /* the worker's newest answer that was taken */
};

struct meter_group {
    int64_t period_ns;
    uint32_t n;
    uint32_t *channels;       /* meter-wide indices by slot */
    struct meter_source *own; /* the blocking source that is this group; NULL for fast and slow */
    int64_t origin_mono_ns;
    int64_t next_mono_ns;
    int64_t index;
    bool started;          /* a tick has been pushed */
    int64_t suspend_ns;    /* of its newest sweep */
    int64_t stale_mono_ns; /* own: when staleness is reported next */
};

struct request {
    int64_t ticket;
    int64_t due_mono_ns;
    void (*done)(void *arg, int64_t ticket);
    void *arg;
};

struct meter {
    struct channel_slot *slots;
    size_t n;
    struct meter_source *sources;
    size_t nsources;
    struct meter_group *groups;
    size_t ngroups;
    struct ring *ring;

    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    struct request requests[METER_REQUESTS_MAX + 1];
    size_t nrequests;
    int64_t last_ticket;

    void (*notify)(void *arg);
    void *notify_arg;
    int64_t notified_mono_ns;
    struct {
        size_t a, b;
    } * pairs; /* dies of one package, possibly one register */
    size_t npairs;
    int64_t window_mono_ns; /* when the window of comparison began */
};

/* meter_thread.c */
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

/* meter_watch.c, sampler thread. Once at open: which channels to compare. After each grid sweep of the
 * fast group: do two dies of a package show one register? About once per second: does an outer meter show
 * less than what lies in it? */
void meter_watch_pairs(struct meter *m);
void meter_watch_sweep(struct meter *m);
void meter_watch(struct meter *m, int64_t mono_ns);

#endif
