#include "daemon/meter/meter_job.h"

#include "daemon/meter/gpu_procs.h"

#include "common/units.h"

#include <stdlib.h>
#include <sys/prctl.h>

static const char *own_text(const char *s)
{
    return s ? base_strdup(s) : NULL;
}

static struct job *job_new(const struct source_ops *ops, const struct meter_config *cfg, int from)
{
    struct job *j = base_alloc(sizeof(*j));
    pthread_mutex_init(&j->lock, NULL);
    j->ops = ops;
    j->cfg = *cfg;
    j->cfg.sysfs_root = own_text(cfg->sysfs_root);
    j->cfg.script = own_text(cfg->script);
    j->cfg.replay = own_text(cfg->replay);
    j->cfg.nvml_path = own_text(cfg->nvml_path);
    j->cfg.disable = own_text(cfg->disable);
    j->cfg.meters_file = own_text(cfg->meters_file);
    j->cfg.meters_program = own_text(cfg->meters_program);
    j->cfg.meters_socket = own_text(cfg->meters_socket);
    j->cfg.gpu_procs = gpu_procs_ref(cfg->gpu_procs); /* a job that hangs may outlive everybody */
    j->from = from;
    return j;
}

void job_free(struct job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        if (j->fresh[i].source) {
            fresh_close(&j->fresh[i]);
        }
    }
    pthread_mutex_destroy(&j->lock);
    free((void *)(uintptr_t)j->cfg.sysfs_root);
    free((void *)(uintptr_t)j->cfg.script);
    free((void *)(uintptr_t)j->cfg.replay);
    free((void *)(uintptr_t)j->cfg.nvml_path);
    free((void *)(uintptr_t)j->cfg.disable);
    free((void *)(uintptr_t)j->cfg.meters_file);
    free((void *)(uintptr_t)j->cfg.meters_program);
    free((void *)(uintptr_t)j->cfg.meters_socket);
    gpu_procs_unref(j->cfg.gpu_procs);
    free(j);
}

/* Instances from..; stops at the first that is not there. */
static bool open_from(struct job *j, int from)
{
    int rc = 0;
    for (int i = from; rc == 0 && j->n < JOB_FRESH_MAX; i++) {
        struct meter_fresh *f = &j->fresh[j->n];
        j->cfg.instance = i;
        rc = fresh_open(f, j->ops, &j->cfg, &j->err);
        if (rc == 0 && f->n > METER_CHANNELS_MAX) {
            j->rc =
                err_set(&j->err, WATTQ_E_LIMIT, "the %s meter has %zu channels; %d are possible",
                        j->ops->name, f->n, METER_CHANNELS_MAX);
            fresh_close(f);
            return false;
        }
        if (rc == 0 && j->ops->may_block && !j->first) {
            f->ops->read(f->source, clock_boot_ns(), f->readings);
        }
        j->n += rc == 0;
        if (!j->ops->many) {
            break;
        }
    }
    j->rc = rc < 0 ? rc : 0;
    return rc >= 0;
}

static void *job_run(void *arg)
{
    struct job *j = arg;
    (void)prctl(PR_SET_NAME, "meter-look");
    bool ok = open_from(j, j->from);
    if (ok && j->from > 0 && j->n > 0) { /* one more than was known: see which is which */
        for (size_t i = 0; i < j->n; i++) {
            fresh_close(&j->fresh[i]);
        }
        j->n = 0;
        j->from = 0;
        ok = open_from(j, 0);
    }
    j->complete = ok && j->from == 0;
    pthread_mutex_lock(&j->lock);
    j->finished = true;
    bool orphan = j->orphan;
    if (!orphan) {
        struct meter *m = j->meter;
        pthread_mutex_lock(&m->lock);
        m->probe_job = true;
        pthread_cond_signal(&m->probe_wake);
        pthread_mutex_unlock(&m->lock);
    }
    pthread_mutex_unlock(&j->lock);
    if (orphan) {
        job_free(j);
    }
    return NULL;
}

bool job_finished(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    bool finished = j->finished;
    pthread_mutex_unlock(&j->lock);
    return finished;
}

void job_leave(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    bool finished = j->finished;
    j->orphan = !finished;
    pthread_mutex_unlock(&j->lock);
    if (finished) {
        job_free(j);
    }
}

bool job_spawn(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, arg) != 0) {
        return false;
    }
    pthread_detach(thread);
    return true;
}

struct job *job_start(const struct source_ops *ops, struct meter *m, const struct meter_config *cfg,
                      int from, bool first)
{
    struct job *j = job_new(ops, cfg, from);
    j->meter = m;
    j->first = first;
    if (!job_spawn(job_run, j)) {
        job_free(j);
        return NULL;
    }
    return j;
}
