/* Slow meters show later what happened at a run's end: its figures are computed once more when the slowest
 * has had the time. Loop thread; the computing is a storage job. What waits when the daemon stops is not
 * made up for: op `settle` does it on request. */
#include <stdlib.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define LATE_RUNS_MAX 1000
#define LATE_FAST_NS  (10 * NS_PER_MS) /* faster meters have answered by the late sweep */
#define LATE_MAX_NS   (120 * NS_PER_S)

struct queue_late {
    struct queue_late *next;
    struct storage_job job;
    struct queue *q;
    int64_t run;
    int64_t due_ns;
    bool changed;
    struct energy_figure total; /* then */
};

/* Until the slowest meter has shown what happened just now; 0 = all have. */
static int64_t slowest_ns(const struct meter *m)
{
    int64_t most = 0;
    for (size_t i = 0; i < meter_count(m); i++) {
        const struct channel_desc *d = &meter_channel(m, i)->desc;
        bool power =
            d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
        if (!power || d->quality == QUALITY_NONE || d->quality == QUALITY_ESTIMATED)
            continue;
        struct meter_status st;
        meter_get_status(m, i, &st);
        int64_t period = d->period_ns > d->box_ns ? d->period_ns : d->box_ns;
        int64_t lag = st.lag_learned_ns > d->lag_ns ? st.lag_learned_ns : d->lag_ns;
        most = period + lag > most ? period + lag : most;
    }
    if (most <= LATE_FAST_NS)
        return 0;
    return most + NS_PER_S < LATE_MAX_NS ? most + NS_PER_S : LATE_MAX_NS;
}

void queue_late_add(struct queue *q, int64_t run)
{
    int64_t wait = slowest_ns(q->cfg.meter);
    if (wait == 0 || q->closing || q->nlate >= LATE_RUNS_MAX)
        return;
    struct queue_late *l = base_alloc(sizeof(*l));
    l->q = q;
    l->run = run;
    l->due_ns = clock_boot_ns() + wait;
    struct queue_late **at = &q->late;
    while (*at)
        at = &(*at)->next;
    *at = l;
    q->nlate++;
}

static int late_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct queue_late *l = container_of(job, struct queue_late, job);
    int rc = queue_settle(s, l->run, l->q->cfg.policy, &l->total, e);
    l->changed = rc > 0;
    return rc < 0 ? rc : 0;
}

static void late_done(struct storage_job *job, int rc, const struct err *e)
{
    struct queue_late *l = container_of(job, struct queue_late, job);
    if (rc < 0)
        log_warn("run %lld: its figures could not be computed again: %s", (long long)l->run,
                 e->text);
    else if (l->changed)
        queue_refresh(l->q, l->run, &l->total);
    queue_job_back(l->q);
    free(l);
}

void queue_late_tick(struct queue *q, int64_t now_ns)
{
    while (q->late && q->late->due_ns <= now_ns) {
        struct queue_late *l = q->late;
        q->late = l->next;
        q->nlate--;
        l->job = (struct storage_job){.work = late_work, .done = late_done};
        queue_submit_job(q, &l->job);
    }
}

void queue_late_close(struct queue *q)
{
    while (q->late) {
        struct queue_late *l = q->late;
        q->late = l->next;
        free(l);
    }
    q->nlate = 0;
}
