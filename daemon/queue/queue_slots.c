/* Seats for runs: the slot in which the CPU time of a run is counted (meter/slots.h), from before its gate
 * opens until its figures are committed, and the row that says so. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/meter/slots.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/accounts.h"

struct slot_job {
    struct storage_job job;
    struct queue *q;
    int64_t run;
    int64_t channel; /* 0: it leaves */
    int64_t t_ns;
};

static int work(struct store *s, struct storage_job *job, struct err *e)
{
    struct slot_job *j = container_of(job, struct slot_job, job);
    return j->channel ? accounts_slot_take(s, j->channel, j->run, j->t_ns, e)
                      : accounts_slot_leave(s, j->run, j->t_ns, e);
}

/* Without the row the run has no share; its window and the machine's energy are as good as ever. */
static void done(struct storage_job *job, int rc, const struct err *e)
{
    struct slot_job *j = container_of(job, struct slot_job, job);
    queue_job_back(j->q);
    if (rc < 0)
        log_error("run %" PRId64 ": its CPU time slot cannot be written down: %s", j->run, e->text);
    free(j);
}

static void write_down(struct queue_item *r, int64_t channel)
{
    struct slot_job *j = base_alloc(sizeof(*j));
    *j = (struct slot_job){.job = {.work = work, .done = done},
                           .q = r->q,
                           .run = r->row.id,
                           .channel = channel,
                           .t_ns = clock_boot_ns()};
    queue_submit_job(r->q, &j->job);
}

/* The row of the slot's CPU time channel; 0 = it is not sampled. */
static int64_t channel_of(const struct queue *q, size_t slot)
{
    char uid[32];
    snprintf(uid, sizeof(uid), "slots/%zu", slot);
    for (size_t i = 0; i < meter_count(q->cfg.meter); i++) {
        const struct meter_channel *c = meter_channel(q->cfg.meter, i);
        if (strcmp(c->desc.uid, uid) == 0)
            return c->id;
    }
    return 0;
}

/* The lowest that is free and sampled; -1 = none. */
static int find_free(const struct queue *q, int64_t *channel)
{
    for (size_t i = 0; i < slots_count(q->cfg.slots); i++)
        if (!slots_taken(q->cfg.slots, i) && (*channel = channel_of(q, i)) > 0)
            return (int)i;
    return -1;
}

void queue_slot_take(struct queue_item *r)
{
    struct queue *q = r->q;
    struct err e = {0};
    int fd CLEANUP(base_closep) = -1;
    pid_t pid = 0;
    int64_t channel = 0;
    if (!q->cfg.slots || r->slot >= 0)
        return;
    int slot = find_free(q, &channel);
    if (slot < 0) {
        log_warn("run %" PRId64 ": no CPU time slot is left for it, so its share is not known",
                 r->row.id);
        return;
    }
    if (launch_cpu_source(q->cfg.launch, r->row.id, &fd, &pid) != 0)
        return; /* nobody to follow: it has ended, or its shepherd is on its way out */
    if (slots_assign(q->cfg.slots, (size_t)slot, fd, pid, &e) < 0) {
        log_warn("run %" PRId64 ": its CPU time is not followed: %s", r->row.id, e.text);
        return;
    }
    r->slot = slot;
    write_down(r, channel);
}

void queue_slot_leave(struct queue_item *r)
{
    if (r->slot < 0 && !r->has_devices)
        return;
    if (r->slot >= 0)
        slots_clear(r->q->cfg.slots, (size_t)r->slot);
    r->slot = -1;
    r->has_devices = false;
    write_down(r, 0);
}
