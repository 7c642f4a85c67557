#include <assert.h>
#include <stdlib.h>

#include "daemon/store/storage_internal.h"

#define READERS 3 /* at most one of them is at a slow job, so two stay quick */

struct reader {
    struct readers *owner;
    struct store *store; /* opened by its first job */
    struct reader_job *job;
};
/* Somebody whose jobs wait, oldest first. */
struct reader_user {
    struct reader_user *next;
    int64_t uid;
    struct reader_job *first, **end;
};
struct readers {
    uv_loop_t *loop;
    char path[WATTQ_PATH_MAX];
    struct reader reader[READERS];
    struct reader_user *users; /* whose turn is next comes first; nobody without a job */
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

/* ---- who waits ---------------------------------------------------------------------------------- */

/* The user's oldest for which `wanted` holds, taken out. */
static struct reader_job *take_first(struct readers *r, struct reader_user *u,
                                     bool (*wanted)(const struct readers *r,
                                                    const struct reader_job *job))
{
    for (struct reader_job **at = &u->first; *at; at = &(*at)->next) {
        struct reader_job *job = *at;
        if (!wanted(r, job))
            continue;
        *at = job->next;
        if (!*at)
            u->end = at;
        job->next = NULL;
        return job;
    }
    return NULL;
}

static struct reader_user *user_of(struct readers *r, int64_t uid)
{
    struct reader_user **at = &r->users;
    while (*at && (*at)->uid != uid)
        at = &(*at)->next;
    if (!*at) {
        *at = base_alloc(sizeof(**at));
        (*at)->uid = uid;
        (*at)->end = &(*at)->first;
    }
    return *at;
}

/* Out of the turn; back at its end while there is more. */
static void had_turn(struct reader_user **at)
{
    struct reader_user *u = *at, **end = at;
    *at = u->next;
    u->next = NULL;
    if (!u->first) {
        free(u);
        return;
    }
    while (*end)
        end = &(*end)->next;
    *end = u;
}

static bool is_useless(const struct readers *r, const struct reader_job *job)
{
    return r->idle || (job->gone && job->gone(job->asker));
}

/* Who waits for nobody any more, or must not begin now, is told so. */
static void dismiss(struct readers *r)
{
    struct reader_job *out = NULL, **end = &out;
    for (struct reader_user **at = &r->users; *at;) {
        struct reader_user *u = *at;
        while ((*end = take_first(r, u, is_useless)))
            end = &(*end)->next;
        if (u->first) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        free(u);
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

static bool may_begin(const struct readers *r, const struct reader_job *job)
{
    return !job->slow || !r->slow_busy;
}

static struct reader_job *next_job(struct readers *r)
{
    for (struct reader_user **at = &r->users; *at; at = &(*at)->next) {
        struct reader_job *job = take_first(r, *at, may_begin);
        if (!job)
            continue;
        had_turn(at);
        return job;
    }
    return NULL;
}

/* Free connections take what may run, of each user in turn. */
static void pump(struct readers *r)
{
    for (int i = 0; i < READERS; i++) {
        if (r->reader[i].job)
            continue;
        struct reader_job *job = next_job(r);
        if (!job)
            return;
        start(r, &r->reader[i], job);
    }
}

void readers_submit(struct readers *r, struct reader_job *job)
{
    struct reader_user *u = user_of(r, job->uid);
    job->next = NULL;
    *u->end = job;
    u->end = &job->next;
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
