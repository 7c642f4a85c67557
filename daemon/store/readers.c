#include <assert.h>
#include <stdlib.h>

#include "daemon/store/storage_internal.h"

#define READERS 3 /* at most one of them is at a slow job, so two stay quick */

struct reader {
    struct readers *owner;
    struct store *store; /* opened by its first job */
    struct reader_job *job;
};
struct readers {
    uv_loop_t *loop;
    char path[WATTQ_PATH_MAX];
    struct reader reader[READERS];
    struct reader_job *first; /* waiting, oldest first */
    int busy;
    bool slow_busy;
    void (*idle)(void *arg);
    void *arg;
};

struct readers *readers_new(uv_loop_t *loop, const char *path)
{
    struct readers *r = base_alloc(sizeof(*r));
    r->loop = loop;
    base_strcpy(r->path, sizeof(r->path), path);
    for (int i = 0; i < READERS; i++)
        r->reader[i].owner = r;
    return r;
}

static void finish_close(struct readers *r)
{
    void (*idle)(void *) = r->idle;
    void *arg = r->arg;
    for (int i = 0; i < READERS; i++)
        store_close(r->reader[i].store);
    free(r);
    idle(arg);
}

/* Pool thread. */
static void on_work(uv_work_t *req)
{
    struct reader *x = req->data;
    struct reader_job *job = x->job;
    job->rc = 0;
    if (!x->store)
        job->rc = store_open_reader(&x->store, x->owner->path, &job->err);
    if (job->rc == 0)
        job->rc = store_begin(x->store, false, &job->err);
    if (job->rc)
        return;
    job->rc = job->work(x->store, job, &job->err);
    store_rollback(x->store); /* nothing was written: it only ends the snapshot */
}

/* Who waits for nobody any more, or must not begin now, is told so. */
static void dismiss(struct readers *r)
{
    struct reader_job *out = NULL, **end = &out;
    for (struct reader_job **at = &r->first; *at;) {
        struct reader_job *job = *at;
        if (!r->idle && !(job->gone && job->gone(job->asker))) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = NULL;
        *end = job;
        end = &job->next;
    }
    struct err e = {0};
    err_set(&e, WATTQ_E_UNAVAILABLE, r->idle ? "wattqd is stopping" : "whoever asked has gone");
    while (out) {
        struct reader_job *job = out;
        out = job->next;
        job->done(job, WATTQ_E_UNAVAILABLE, &e);
    }
}

static void pump(struct readers *r);

static void on_worked(uv_work_t *req, int status)
{
    struct reader *x = req->data;
    struct readers *r = x->owner;
    struct reader_job *job = x->job;
    if (status == UV_ECANCELED)
        job->rc = err_set(&job->err, WATTQ_E_UNAVAILABLE, "the query was cancelled");
    x->job = NULL;
    r->busy--;
    if (job->slow)
        r->slow_busy = false;
    job->done(job, job->rc, &job->err);
    dismiss(r);
    pump(r);
    if (r->idle && r->busy == 0)
        finish_close(r);
}

static void start(struct readers *r, struct reader *x, struct reader_job *job)
{
    x->job = job;
    job->req.data = x;
    job->err = (struct err){0};
    r->busy++;
    r->slow_busy = r->slow_busy || job->slow;
    int rc = uv_queue_work(r->loop, &job->req, on_work, on_worked);
    assert(rc == 0); /* fails only without a work function */
    (void)rc;
}

/* Free connections take the oldest jobs that may run. */
static void pump(struct readers *r)
{
    for (int i = 0; i < READERS; i++) {
        struct reader_job **at = &r->first;
        if (r->reader[i].job)
            continue;
        while (*at && (*at)->slow && r->slow_busy)
            at = &(*at)->next;
        if (!*at)
            return;
        struct reader_job *job = *at;
        *at = job->next;
        start(r, &r->reader[i], job);
    }
}

void readers_submit(struct readers *r, struct reader_job *job)
{
    struct reader_job **at = &r->first;
    while (*at)
        at = &(*at)->next;
    job->next = NULL;
    *at = job;
    pump(r);
}

void readers_close(struct readers *r, void (*idle)(void *arg), void *arg)
{
    r->idle = idle;
    r->arg = arg;
    dismiss(r);
    if (r->busy == 0)
        finish_close(r);
}
