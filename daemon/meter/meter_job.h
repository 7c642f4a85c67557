/* One kind of source being opened, when the daemon starts or afresh, beside the instances that are read: on a
 * thread of its own, because an open may hang inside a driver. Shared by meter_open or the prober and that
 * thread; the last one to leave frees it. */
#ifndef DAEMON_METER_METER_JOB_H
#define DAEMON_METER_METER_JOB_H

#include "daemon/meter/meter_internal.h"

#define JOB_FRESH_MAX METER_SOURCES_MAX

struct job {
    pthread_mutex_t lock;
    struct meter *meter; /* whose probe_job is set at the end, unless orphan */
    const struct source_ops *ops;
    struct meter_config cfg; /* its strings are this job's own */
    bool first;              /* at start: what may block is opened, and not read yet */
    int from;                /* first instance to try: the others are known and well */
    bool finished, orphan;
    bool late;     /* its owner's: a look has waited for it in vain */
    bool complete; /* every instance was looked at */
    int rc;        /* < 0 = it failed: err says why */
    struct err err;
    struct meter_fresh fresh[JOB_FRESH_MAX];
    size_t n;
};

/* cfg is copied, its strings too. from: the first instance to try; those before it are known and well. At
 * the end m->probe_job is set and probe_wake signalled, under m->lock. NULL = no thread can be had. */
struct job *job_start(const struct source_ops *ops, struct meter *m, const struct meter_config *cfg,
                      int from, bool first);
bool job_finished(struct job *j);
void job_free(struct job *j);  /* finished: closes what nobody took (fresh[].source set) */
void job_leave(struct job *j); /* finished or not: one that hangs cleans up after itself */

/* A detached thread. */
bool job_spawn(void *(*run)(void *), void *arg);

#endif
