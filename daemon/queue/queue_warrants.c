/* System mode: no run without a warrant that covers it (warrants.h). The launcher would refuse to start it; here
 * whoever submits is told at once. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/queue/queue_private.h"

#define EXPIRE_EVERY_NS (3600 * NS_PER_S)

static int64_t now_utc_s(void)
{
    return clock_utc_ns() / NS_PER_S;
}

int queue_warrants_keep(const struct queue *q, const struct warrants *w, const struct spec *specs,
                        struct queue_env *const *envs, size_t n, struct durable *files,
                        struct err *e)
{
    if (!q->warrants_dir)
        return 0;
    for (size_t i = 0; i < n; i++) {
        int rc = warrants_cover(w, i, &specs[i], envs[i] ? envs[i]->hash : NULL, e);
        if (rc < 0)
            return rc;
    }
    return warrants_store(w, n, q->warrants_dir, files, e);
}

int queue_warrants_again(const struct queue *q, const struct run_row *old, struct err *e)
{
    struct warrant w;
    if (!q->warrants_dir)
        return 0;
    if (old->warrant)
        return warrants_load(q->warrants_dir, old->warrant, now_utc_s(), &w, e);
    err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " was not submitted to this wattqd", old->id);
    return err_next(e, "submit it again: wattq show %" PRId64 " has its command", old->id);
}

/* ---- those that have expired ---------------------------------------------------------------------- */

struct expire_job {
    struct storage_job job;
    struct queue *q;
};

static int expire_work(struct store *s, struct storage_job *job, struct err *e)
{
    (void)s;
    (void)e;
    warrants_expire(container_of(job, struct expire_job, job)->q->warrants_dir, now_utc_s());
    return 0;
}

static void expire_done(struct storage_job *job, int rc, const struct err *e)
{
    struct expire_job *j = container_of(job, struct expire_job, job);
    (void)rc; /* files that stay are found in an hour */
    (void)e;
    queue_job_back(j->q);
    free(j);
}

void queue_warrants_tick(struct queue *q, int64_t now_ns)
{
    if (!q->warrants_dir || now_ns < q->warrants_next_ns)
        return;
    q->warrants_next_ns = now_ns + EXPIRE_EVERY_NS;
    struct expire_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = expire_work, .done = expire_done};
    j->q = q;
    queue_submit_job(q, &j->job);
}
