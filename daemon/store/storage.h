/* The storage thread: the only writer of the database. It drains the sampler's ring into tail rows and
 * chunks (samples.h) about once per second, and runs jobs that the loop hands over.
 *
 * Order: before any job of a batch, everything that was in the ring when the job was submitted has been
 * put into the same transaction. So an edge sweep whose `done` ran before storage_submit is durable
 * when the job is.
 * While storage is degraded (health.h) samples wait in memory, in order, and jobs fail with the reason.
 * A batch of jobs is one transaction, committed FULL; each job is a savepoint of its own. `done` runs on
 * the loop thread after the commit, in submission order; a failed commit fails every job of the batch. */
#ifndef DAEMON_STORE_STORAGE_H
#define DAEMON_STORE_STORAGE_H

#include <uv.h>

#include "daemon/meter/meter.h"
#include "daemon/store/health.h"
#include "daemon/store/store.h"

struct storage;
struct samples;

struct storage_job {
    /* Storage thread, inside the transaction. May be NULL: then the job is only "commit what is there". */
    int (*work)(struct store *s, struct storage_job *job, struct err *e);
    /* Loop thread. rc and e are those of work, or of the commit. Owns the job again from here on. */
    void (*done)(struct storage_job *job, int rc, const struct err *e);
    /* The end of something that goes on anyway: it may use what is kept for a full disk, and its owner submits
     * it again, a second later, when it fails. */
    bool vital;
    struct storage_job *next; /* private */
    int rc;                   /* private */
    struct err err;           /* private */
};

struct storage_status {
    struct health_state health;
    int64_t waiting; /* ticks in memory */
    int64_t commits, samples, jobs;
    int64_t last_commit_ns;
    uint64_t dropped_ticks;
    int64_t used_bytes, budget_bytes; /* of the database; budget 0 = none */
    bool over_budget;                 /* and nothing may be thinned out any more */
};

/* Takes the meter's channels into the database (rows, groups, epoch, bases -> meter_set_base), so it
 * must run between meter_open and meter_start. Opens the writer itself. What the meter finds later is taken
 * in by the storage thread (meter_found, samples_add, meter_accept). */
int storage_open(struct storage **out, uv_loop_t *loop, const char *path, struct meter *m,
                 struct err *e) MUST_USE;
/* `durability = full`: samples too are on the disk with every commit. Before storage_start. */
void storage_set_full(struct storage *st, bool always);
/* What the database may take on the disk (retention.h); 0 = as much as it likes. Before storage_start. */
void storage_set_budget(struct storage *st, int64_t bytes);
/* Who writes curves of its own from what the meter says (accounts). Storage thread. tick: each tick of the
 * meter in order, on its way into the samples; borrowed. Its group and slots are the meter's
 * (meter_channel), whatever the writer's numbers are. due: after the ring is empty, between transactions;
 * may call samples_add and samples_put, or make a transaction of its own. Set before storage_start. */
struct storage_feed {
    void (*tick)(void *arg, struct tick *t);
    void (*due)(void *arg, struct store *s, struct samples *w);
    /* Inside every transaction, when all samples that were pending are in: may samples_put what follows from
     * them, which then gets into the same transaction. < 0 undoes it. NULL = nothing follows. */
    int (*flushed)(void *arg, struct store *s, struct samples *w, struct err *e);
    void *arg;
};
void storage_set_feed(struct storage *st, const struct storage_feed *feed);
int storage_start(struct storage *st, struct err *e) MUST_USE;
/* Any thread; fits meter_start's notify. There is something in the ring: it is committed if the last commit is
 * 0.8 s ago, else then. Who fills the ring calls it about once a second: nobody looks by himself. */
void storage_wake(void *st);
void storage_submit(struct storage *st, struct storage_job *job); /* loop thread */
/* Loop thread: drain ring and jobs, commit FULL, end the epoch with reason 'stop', checkpoint, join.
 * Every job's done is called before it returns. */
void storage_stop(struct storage *st);
void storage_close(struct storage *st, void (*closed)(void *arg),
                   void *arg);                                           /* after stop; async */
void storage_get_status(struct storage *st, struct storage_status *out); /* any thread */

/* Read-only connections for queries, used in the libuv pool. At most one job marked slow runs at once. What still
 * waits when its asker is gone, or when storage_close is called, is not worked any more: done says "unavailable". */
struct reader_job {
    int (*work)(struct store *s, struct reader_job *job, struct err *e); /* pool thread */
    void (*done)(struct reader_job *job, int rc, const struct err *e);   /* loop thread */
    bool slow;
    bool (*gone)(const void *asker); /* loop thread; NULL = the answer is always wanted */
    const void *asker;
    int64_t uid;           /* who asks: users take turns, each with the oldest of theirs */
    uv_work_t req;         /* private */
    struct storage *owner; /* private */
    struct reader_job *next;
    int rc;
    struct err err;
};
void storage_read(struct storage *st, struct reader_job *job); /* loop thread */

#endif
