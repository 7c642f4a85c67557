/* GPUs that are given to nobody: an admin says so, or their driver has reported what only a reset cures. */
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/gpu_out.h"

struct out_job {
    struct storage_job job;
    struct queue *q;
    struct gpu_out g;
    char *uuid, *label, *why;
    bool out;
    char text[GPU_OUT_WHY_MAX];
    void (*done)(void *arg, int rc, const struct err *e);
    void *arg;
};

static int out_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct out_job *j = container_of(job, struct out_job, job);
    return j->out ? gpu_out_put(s, &j->g, j->text, e) : gpu_out_drop(s, &j->g, e);
}

static void out_done(struct storage_job *job, int rc, const struct err *e)
{
    struct out_job *j = container_of(job, struct out_job, job);
    if (rc == 0) {
        resources_out(&j->q->resources, j->uuid, j->text);
        queue_gpus_look(j->q); /* one that is given again is `here` again */
        queue_kick(j->q);
    }
    if (j->done)
        j->done(j->arg, rc, e);
    else if (rc < 0)
        log_warn("%s (%s) is out until wattqd's next start only: %s", j->label, j->uuid, e->text);
    queue_job_back(j->q);
    free(j->uuid);
    free(j->label);
    free(j->why);
    free(j);
}

void queue_gpu_out(struct queue *q, const struct queue_gpu_said *said,
                   void (*done)(void *arg, int rc, const struct err *e), void *arg)
{
    const struct resources_gpu *gpu = &q->resources.gpus[said->gpu];
    struct out_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = out_work, .done = out_done};
    j->q = q;
    j->out = said->out;
    j->done = done;
    j->arg = arg;
    j->uuid = base_strdup(gpu->uuid);
    j->label = base_strdup(gpu->label);
    j->why = base_strdup(said->why);
    j->g = (struct gpu_out){.uuid = j->uuid, .label = j->label, .by = said->by, .why = j->why};
    queue_submit_job(q, &j->job);
}

void queue_gpu_xid(struct queue *q, const struct gpu_use *u)
{
    int i = resources_find(&q->resources, u->device);
    struct resources_gpu *g = i >= 0 ? &q->resources.gpus[i] : NULL;
    char why[GPU_OUT_WHY_MAX];
    if (!g || u->xid == 0 || u->xid_ns <= g->xid_ns)
        return;
    g->xid_ns = u->xid_ns;
    (void)snprintf(why, sizeof(why), "its driver reported Xid %u, which takes a reset", u->xid);
    log_warn("%s (%s) is given to no new run: %s", u->label, u->device, why);
    resources_out(&q->resources, u->device, why); /* at once; what follows makes it last */
    const struct queue_gpu_said said = {.gpu = i, .out = true, .by = RUN_NONE, .why = why};
    queue_gpu_out(q, &said, NULL, NULL);
}
