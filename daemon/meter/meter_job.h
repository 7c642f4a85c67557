/* One kind of source being opened afresh, beside the instances that are read: on a thread of its own, because
 * an open may hang inside a driver. Shared by the prober and that thread; the last one to leave frees it. */
#ifndef DAEMON_METER_METER_JOB_H
#define DAEMON_METER_METER_JOB_H

#include "daemon/meter/meter_internal.h"

#define JOB_FRESH_MAX METER_SOURCES_MAX

struct job {
    pthread_mutex_t lock;
    pthread_cond_t *done; /* the prober's; NULL = it has left */
    pthread_mutex_t *done_lock;
    const struct source_ops *ops;
    struct meter_config cfg; /* its strings are this job's own */
    int from;                /* first instance to try: the others are known and well */
    bool finished, orphan;
    bool late;     /* prober's: a look has waited for it in vain */
    bool complete; /* every instance was looked at */
    struct meter_fresh fresh[JOB_FRESH_MAX];
    size_t n;
};

/* cfg is copied, its strings too. from: the first instance to try; those before it are known and well. When
 * it has finished, `done` is signalled under done_lock. NULL = no thread can be had. */
struct job *job_start(const struct source_ops *ops, const struct meter_config *cfg, int from,
                      pthread_cond_t *done, pthread_mutex_t *done_lock);
bool job_finished(struct job *j);
void job_free(struct job *j);  /* finished: closes what nobody took (fresh[].source set) */
void job_leave(struct job *j); /* finished or not: one that hangs cleans up after itself */

/* A detached thread. */
bool job_spawn(void *(*run)(void *), void *arg);

#endif
