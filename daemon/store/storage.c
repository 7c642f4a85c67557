#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/store/health.h"
#include "daemon/store/opinions.h"
#include "daemon/store/reserve.h"
#include "daemon/store/storage_internal.h"
#include "daemon/store/upkeep.h"

#define FLUSH_NS (800 * NS_PER_MS) /* a kill costs what came since: < 1 s */
#define REST_NS  (5 * NS_PER_S)    /* nothing is pending: the sampler says when to look */

struct job_list {
    struct storage_job *first, *last;
};

struct storage {
    uv_loop_t *loop;
    struct store *store;       /* storage thread while it runs */
    struct samples *samples;   /* likewise */
    struct ring *ring;         /* the storage thread is its consumer */
    struct meter *meter;       /* outlives us; may be NULL */
    struct opinions *opinions; /* what the meter has found out about its channels, as stored */
    struct adopted *adopted;   /* which of the meter's channels are written, and as what */
    struct storage_feed feed;
    struct health *health; /* storage thread while it runs */
    struct upkeep upkeep;  /* likewise */
    struct readers *readers;
    uv_async_t async; /* done jobs wait for the loop */
    uv_thread_t thread;
    bool running;
    uv_mutex_t lock; /* of everything below */
    uv_cond_t cond;
    struct job_list submitted, finished;
    bool woken, stopping;
    struct storage_status status;
    /* storage thread only */
    int64_t flush_ns;
    int64_t flushed_ns; /* clock_mono_ns of the newest attempt */
    void (*closed)(void *arg);
    void *closed_arg;
};

static void append(struct job_list *l, struct storage_job *job)
{
    job->next = NULL;
    if (l->last)
        l->last->next = job;
    else
        l->first = job;
    l->last = job;
}

static struct job_list take_all(struct storage *st, struct job_list *l)
{
    uv_mutex_lock(&st->lock);
    struct job_list all = *l;
    *l = (struct job_list){0};
    uv_mutex_unlock(&st->lock);
    return all;
}

/* ---- health ------------------------------------------------------------------------------------- */

static void recover(struct storage *st, int64_t samples, int64_t jobs)
{
    health_committed(st->health);
    uv_mutex_lock(&st->lock);
    st->status.commits++;
    st->status.samples += samples;
    st->status.jobs += jobs;
    st->status.last_commit_ns = clock_boot_ns();
    uv_mutex_unlock(&st->lock);
}

/* Once per round, between transactions: what memory holds, and whether the disk takes it again. */
static void look(struct storage *st)
{
    uv_mutex_lock(&st->lock);
    st->status.waiting = samples_pending(st->samples);
    st->status.dropped_ticks = ring_dropped(st->ring) + (uint64_t)samples_dropped(st->samples);
    uv_mutex_unlock(&st->lock);
    health_look(st->health, store_log_bytes(st->store));
}

/* ---- transactions (storage thread) -------------------------------------------------------------- */

static void drain(struct storage *st)
{
    for (struct tick *t; (t = ring_peek(st->ring));) {
        if (st->feed.tick)
            st->feed.tick(st->feed.arg, t);
        if (adopted_translate(st->adopted, t))
            samples_put(st->samples, t);
        ring_pop(st->ring);
    }
}

/* Between transactions: what the meter has found since, and whoever writes curves of its own. */
static void grow(struct storage *st)
{
    if (health_degraded(st->health))
        return; /* the disk is full, or worse: later */
    adopted_update(st->adopted, st->samples);
    if (st->feed.due)
        st->feed.due(st->feed.arg, st->store, st->samples);
}

/* Likewise, when nobody waits: tiers, and what is too old or too much. */
static void tend(struct storage *st)
{
    if (health_degraded(st->health))
        return;
    upkeep_run(&st->upkeep, st->store, clock_mono_ns());
    uv_mutex_lock(&st->lock);
    st->status.used_bytes = st->upkeep.state.used_bytes;
    st->status.over_budget = st->upkeep.state.over;
    uv_mutex_unlock(&st->lock);
}

static int fail_back(struct storage *st, int rc, const struct err *e)
{
    store_rollback(st->store);
    samples_rolled_back(st->samples);
    opinions_rolled_back(st->opinions);
    health_failed(st->health, e);
    return rc;
}

static int commit(struct storage *st, int64_t samples, int64_t jobs, struct err *e)
{
    int rc = store_commit(st->store, e);
    if (rc)
        return fail_back(st, rc, e);
    samples_committed(st->samples);
    recover(st, samples, jobs);
    return 0;
}

/* What is pending, and what follows from it. As samples_flush. */
static int flush_all(struct storage *st, struct err *e)
{
    int rc = samples_flush(st->samples, e);
    if (rc != 0 || !st->feed.flushed)
        return rc;
    rc = st->feed.flushed(st->feed.arg, st->store, st->samples, e);
    return rc == 0 ? samples_flush(st->samples, e) : rc;
}

/* Open a transaction that holds everything pending; what is too much for one goes into earlier ones. */
static int begin_with_samples(struct storage *st, bool full, int64_t *ticks, struct err *e)
{
    for (;;) {
        int64_t before = samples_pending(st->samples);
        int rc = store_begin(st->store, full, e);
        if (rc == 0)
            rc = flush_all(st, e);
        if (rc < 0)
            return fail_back(st, rc, e);
        *ticks = before - samples_pending(st->samples);
        if (rc == 0) {
            rc = opinions_flush(st->opinions, st->store, e);
            return rc ? fail_back(st, rc, e) : 0;
        }
        rc = commit(st, *ticks, 0, e);
        if (rc)
            return rc;
    }
}

static void flush(struct storage *st)
{
    struct err e = {0};
    int64_t ticks = 0;
    st->flushed_ns = clock_mono_ns();
    if (samples_pending(st->samples) == 0 || health_vital_only(st->health, &e))
        return;
    if (begin_with_samples(st, false, &ticks, &e) == 0)
        (void)commit(st, ticks, 0, &e); /* failure: degraded, tried again later */
}

/* A job in its savepoint. False when the whole transaction is gone. */
static bool run_job(struct storage *st, struct storage_job *job)
{
    if (!job->work)
        return true;
    job->rc = store_savepoint(st->store, &job->err);
    if (job->rc == 0)
        job->rc = job->work(st->store, job, &job->err);
    if (!store_in_transaction(st->store))
        return false;
    if (job->rc < 0) {
        store_rollback_to(st->store);
        return true;
    }
    struct err e = {0};
    int rc = store_release(st->store, &e);
    if (rc) {
        job->rc = rc;
        job->err = e;
    }
    return store_in_transaction(st->store);
}

static void fail_all(const struct job_list *l, int rc, const struct err *e)
{
    for (struct storage_job *j = l->first; j; j = j->next) {
        j->rc = rc;
        j->err = *e;
    }
}

static int run_batch(struct storage *st, const struct job_list *l, struct err *e)
{
    int64_t ticks = 0, jobs = 0;
    int rc = begin_with_samples(st, true, &ticks, e);
    if (rc)
        return rc;
    for (struct storage_job *j = l->first; j; j = j->next, jobs++) {
        if (j->rc || run_job(st, j))
            continue;
        *e = j->err;
        if (e->code == 0)
            err_set(e, WATTQ_E_STORAGE, "the database gave up a transaction");
        return fail_back(st, e->code, e);
    }
    return commit(st, ticks, jobs, e);
}

/* Who may write now; the others are refused. false = nobody may. */
static bool admit(struct storage *st, const struct job_list *l)
{
    struct err why = {0};
    bool few = health_vital_only(st->health, &why), any = false;
    for (struct storage_job *j = l->first; j; j = j->next) {
        j->err = few && !j->vital ? why : (struct err){0};
        j->rc = j->err.code;
        any |= j->rc == 0;
    }
    return any;
}

static bool any_vital(const struct job_list *l)
{
    const struct storage_job *j = l->first;
    while (j && !j->vital)
        j = j->next;
    return j != NULL;
}

static void run_jobs(struct storage *st, struct job_list l)
{
    struct err e = {0};
    int rc = admit(st, &l) ? run_batch(st, &l, &e) : 0;
    if (rc)
        fail_all(&l, rc, &e);
    if (rc == WATTQ_E_STORAGE && any_vital(&l))
        (void)health_give(st->health); /* its owner tries again */
    st->flushed_ns = clock_mono_ns();
    uv_mutex_lock(&st->lock);
    if (st->finished.last)
        st->finished.last->next = l.first;
    else
        st->finished.first = l.first;
    st->finished.last = l.last;
    uv_mutex_unlock(&st->lock);
    uv_async_send(&st->async);
}

static int store_rest(struct storage *st, struct err *e)
{
    int64_t ticks = 0;
    int rc = begin_with_samples(st, true, &ticks, e);
    return rc ? rc : commit(st, ticks, 0, e);
}

static void end_epoch(struct storage *st)
{
    struct err e = {0};
    drain(st);
    grow(st);
    int rc = store_rest(st, &e);
    if (rc == WATTQ_E_STORAGE && health_give(st->health))
        rc = store_rest(st, &e);
    if (rc == 0)
        rc = store_begin(st->store, true, &e);
    if (rc == 0) {
        rc = samples_end_epoch(st->samples, "stop", &e);
        rc = rc ? fail_back(st, rc, &e) : commit(st, 0, 0, &e);
    }
    if (rc)
        log_error("the last samples could not be stored: %s", e.text);
}

/* ---- the thread --------------------------------------------------------------------------------- */

static int64_t wait_ns(const struct storage *st)
{
    int64_t every = health_degraded(st->health)         ? HEALTH_RETRY_NS
                    : samples_pending(st->samples) == 0 ? REST_NS
                                                        : st->flush_ns;
    int64_t left = st->flushed_ns + every - clock_mono_ns();
    return left > 0 ? left : 0;
}

/* Sleeps until there is something to do; returns the jobs, and whether this is the last round. */
static struct job_list wait_for_work(struct storage *st, bool *stopping)
{
    uv_mutex_lock(&st->lock);
    while (!st->woken && !st->stopping && !st->submitted.first) {
        int64_t left = wait_ns(st);
        if (left == 0 || uv_cond_timedwait(&st->cond, &st->lock, (uint64_t)left) == UV_ETIMEDOUT)
            break;
    }
    struct job_list jobs = st->submitted;
    st->submitted = (struct job_list){0};
    st->woken = false;
    *stopping = st->stopping;
    uv_mutex_unlock(&st->lock);
    return jobs;
}

static void run(void *arg)
{
    struct storage *st = arg;
    bool stopping = false;
    while (!stopping) {
        /* Jobs first, then the ring: what was in it when a job came is in before the job. */
        struct job_list jobs = wait_for_work(st, &stopping);
        drain(st);
        look(st);
        grow(st);
        if (jobs.first)
            run_jobs(st, jobs);
        else if (wait_ns(st) == 0)
            flush(st);
        store_checkpoint(st->store);
        if (!stopping && !jobs.first)
            tend(st);
    }
    end_epoch(st);
}

/* ---- loop thread -------------------------------------------------------------------------------- */

static void call_done(struct storage *st)
{
    struct job_list l = take_all(st, &st->finished);
    while (l.first) {
        struct storage_job *job = l.first;
        l.first = job->next; /* the job is its owner's again in done */
        job->done(job, job->rc, &job->err);
    }
}

static void free_learned(struct storage *st)
{
    adopted_free(st->adopted);
    opinions_free(st->opinions);
}

static void on_async(uv_async_t *async)
{
    call_done(container_of(async, struct storage, async));
}

int storage_open_parts(struct storage **out, uv_loop_t *loop, const char *path,
                       const struct storage_parts *parts, struct err *e)
{
    struct storage *st = base_alloc(sizeof(*st));
    *out = NULL;
    st->loop = loop;
    st->store = parts->store;
    st->samples = parts->samples;
    st->ring = parts->ring;
    st->meter = parts->meter;
    st->flush_ns = parts->flush_ns ? parts->flush_ns : FLUSH_NS;
    st->health = health_new(path, parts->reserve_bytes);
    st->adopted = adopted_new(st->meter);
    st->opinions = opinions_new(st->meter);
    st->flushed_ns = clock_mono_ns();
    int rc = uv_async_init(loop, &st->async, on_async);
    if (rc) {
        samples_close(st->samples);
        store_close(st->store);
        free_learned(st);
        health_free(st->health);
        free(st);
        return err_set(e, WATTQ_E_INTERNAL, "the storage thread cannot be set up: %s",
                       uv_strerror(rc));
    }
    uv_mutex_init(&st->lock);
    uv_cond_init(&st->cond);
    st->readers = readers_new(loop, path);
    *out = st;
    return 0;
}

static int open_parts(struct storage_parts *parts, const char *path, struct err *e)
{
    int rc = store_open(&parts->store, path, e);
    if (rc)
        return rc;
    rc = samples_open(&parts->samples, parts->store, parts->meter, e);
    if (rc)
        store_close(parts->store);
    return rc;
}

int storage_open(struct storage **out, uv_loop_t *loop, const char *path, struct meter *m,
                 struct err *e)
{
    struct storage_parts parts = {
        .ring = meter_ring(m), .meter = m, .reserve_bytes = HEALTH_RESERVE};
    *out = NULL;
    int rc = open_parts(&parts, path, e);
    if (rc == WATTQ_E_STORAGE &&
        reserve_cut(path, 0)) /* the disk is full: it was kept for this too */
        rc = open_parts(&parts, path, e);
    if (rc)
        return rc;
    rc = storage_open_parts(out, loop, path, &parts, e);
    if (rc == 0)
        rc = opinions_load((*out)->opinions, (*out)->store, e);
    return rc;
}

void storage_set_full(struct storage *st, bool always)
{
    store_set_full(st->store, always);
}

void storage_set_budget(struct storage *st, int64_t bytes)
{
    st->upkeep.budget_bytes = st->status.budget_bytes = bytes;
}

void storage_set_feed(struct storage *st, const struct storage_feed *feed)
{
    st->feed = *feed;
}

int storage_start(struct storage *st, struct err *e)
{
    int rc = uv_thread_create(&st->thread, run, st);
    if (rc)
        return err_set(e, WATTQ_E_INTERNAL, "the storage thread cannot be started: %s",
                       uv_strerror(rc));
    st->running = true;
    return 0;
}

void storage_wake(void *arg)
{
    struct storage *st = arg;
    uv_mutex_lock(&st->lock);
    st->woken = true;
    uv_mutex_unlock(&st->lock);
    uv_cond_signal(&st->cond); /* after the lock: who wakes need not wait for it */
}

/* After stop there is nobody to do the work: say so, but never from inside the caller's call. */
static bool refuse(struct storage *st, struct storage_job *job)
{
    if (!st->stopping || st->running)
        return false;
    job->err = (struct err){0};
    job->rc = err_set(&job->err, WATTQ_E_UNAVAILABLE, "wattqd is stopping");
    append(&st->finished, job);
    uv_async_send(&st->async);
    return true;
}

void storage_submit(struct storage *st, struct storage_job *job)
{
    uv_mutex_lock(&st->lock);
    if (!refuse(st, job)) {
        append(&st->submitted, job);
        uv_cond_signal(&st->cond);
    }
    uv_mutex_unlock(&st->lock);
}

void storage_stop(struct storage *st)
{
    if (!st->running)
        return;
    uv_mutex_lock(&st->lock);
    st->stopping = true;
    uv_cond_signal(&st->cond);
    uv_mutex_unlock(&st->lock);
    uv_thread_join(&st->thread);
    st->running = false;
    /* Jobs that came after the thread's last round, from callbacks of this one included. */
    for (;;) {
        struct job_list late = take_all(st, &st->submitted);
        if (late.first)
            run_jobs(st, late);
        bool any = st->finished.first != NULL;
        call_done(st);
        if (!any && !late.first)
            break;
    }
    samples_close(st->samples);
    store_close(st->store);
    st->samples = NULL;
    st->store = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct storage *st = container_of(handle, struct storage, async);
    void (*closed)(void *) = st->closed;
    void *arg = st->closed_arg;
    call_done(st);
    uv_mutex_destroy(&st->lock);
    uv_cond_destroy(&st->cond);
    free_learned(st);
    health_free(st->health);
    free(st);
    if (closed)
        closed(arg);
}

static void on_readers_idle(void *arg)
{
    struct storage *st = arg;
    uv_close((uv_handle_t *)&st->async, on_closed);
}

void storage_close(struct storage *st, void (*closed)(void *arg), void *arg)
{
    assert(!st->running);
    samples_close(st->samples); /* never started: they are still ours */
    store_close(st->store);
    st->samples = NULL;
    st->store = NULL;
    st->closed = closed;
    st->closed_arg = arg;
    readers_close(st->readers, on_readers_idle, st);
    st->readers = NULL;
}

void storage_get_status(struct storage *st, struct storage_status *out)
{
    uv_mutex_lock(&st->lock);
    *out = st->status;
    uv_mutex_unlock(&st->lock);
    health_get(st->health, &out->health);
}

void storage_read(struct storage *st, struct reader_job *job)
{
    readers_submit(st->readers, job);
}
