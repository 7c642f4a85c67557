/* A source on a thread of its own. */
#include "daemon/meter/meter_internal.h"

#include "common/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = (long)(ns % NS_PER_S)};
}

static void read_once(struct worker *w, int64_t index)
{
    int64_t before = clock_boot_ns();
    w->ops->read(w->source, before, w->scratch);
    int64_t after = clock_boot_ns();
    int64_t cpu = meter_thread_cpu_ns();
    pthread_mutex_lock(&w->lock);
    w->cpu_ns = cpu;
    memcpy(w->out, w->scratch, w->n * sizeof(*w->out));
    w->before_ns = before;
    w->after_ns = after;
    w->index = index;
    w->seq++;
    pthread_mutex_unlock(&w->lock);
}

/* Until that deadline or the stop; true = stop. */
static bool wait_until(struct worker *w, int64_t mono_ns)
{
    struct timespec deadline = timespec_of(mono_ns);
    pthread_mutex_lock(&w->lock);
    while (!w->stop && pthread_cond_timedwait(&w->wake, &w->lock, &deadline) != ETIMEDOUT) {
    }
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void release(struct worker *w)
{
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w->scratch);
    free(w->out);
    free(w);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    int64_t origin = clock_mono_ns();
    int64_t index = 0;
    (void)prctl(PR_SET_NAME, "meter-source");
    while (!wait_until(w, origin + index * w->period_ns)) {
        read_once(w, index);
        int64_t reached = (clock_mono_ns() - origin) / w->period_ns + 1;
        index = reached > index ? reached : index + 1;
    }
    pthread_mutex_lock(&w->lock);
    w->finished = true;
    bool orphan = w->orphan;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (orphan) {
        /* The meter did not wait for the driver; whoever comes back last puts out the light. */
        w->ops->close(w->source);
        release(w);
    }
    return NULL;
}

struct worker *worker_start(const struct meter_source *s, int64_t period_ns, struct err *e)
{
    struct worker *w = base_alloc(sizeof(*w));
    *w = (struct worker){.ops = s->ops, .source = s->source, .n = s->n, .period_ns = period_ns};
    w->scratch = base_alloc(s->n * sizeof(*w->scratch) + 1);
    w->out = base_alloc(s->n * sizeof(*w->out) + 1);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    int rc = pthread_create(&w->thread, NULL, run, w);
    if (rc != 0) {
        errno = rc;
        err_errno(e, WATTQ_E_IO, "cannot start a thread for the %s meter", s->ops->name);
        release(w);
        return NULL;
    }
    return w;
}

bool worker_stop(struct worker *w)
{
    struct timespec deadline = timespec_of(clock_mono_ns() + NS_PER_S);
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->wake);
    int rc = 0;
    while (!w->finished && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &deadline);
    }
    bool finished = w->finished;
    w->orphan = !finished;
    pthread_t thread = w->thread; /* an orphan may free w from here on */
    pthread_mutex_unlock(&w->lock);
    if (!finished) {
        pthread_detach(thread);
        return false;
    }
    pthread_join(thread, NULL);
    release(w);
    return true;
}

bool worker_take(struct worker *w, int64_t *seq, struct reading *out, struct worker_stamps *stamps)
{
    pthread_mutex_lock(&w->lock);
    bool fresh = w->seq > *seq;
    if (fresh) {
        *seq = w->seq;
        *stamps = (struct worker_stamps){w->index, w->before_ns, w->after_ns, w->cpu_ns};
        memcpy(out, w->out, w->n * sizeof(*out));
    }
    pthread_mutex_unlock(&w->lock);
    return fresh;
}
