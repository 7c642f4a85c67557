/* Who else used the machine: scans on a timer, rows of what they saw, and what of it fell beside a run.
 * Scans are made in the pool (and, at a run's edges, on the storage thread); rows are written when there
 * is something to say, so that a machine on which nobody works writes nothing. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/others.h"

#define ROWS_NS (10 * NS_PER_S) /* a row stands for about so long */
#define TELL_MIN_NS                                                                                \
    (100 * NS_PER_MS) /* processes are charged in ticks of 10 ms: less cannot be told */

/* ---- storage thread ----------------------------------------------------------------------------- */

static int put_rows(struct store *s, struct owners *o, struct err *e)
{
    struct owner_use use[OWNERS_MAX];
    int64_t t0_ns = 0, t1_ns = 0;
    int rc = 0;
    size_t n = owners_take(o, use, &t0_ns, &t1_ns);
    /* A daemon that was stopped for long: what it found later belongs to no stretch that is this long. */
    if (t0_ns <= 0 || t1_ns <= t0_ns || t1_ns - t0_ns > OTHERS_STRETCH_MAX_NS)
        return 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct other_use u = {owner_kind_name(use[i].kind), use[i].name, "", use[i].busy_us};
        rc = others_put(s, &u, t0_ns, t1_ns, e);
    }
    return rc;
}

int queue_others_cut(struct store *s, struct queue *q, struct err *e)
{
    if (!q->cfg.owners)
        return 0;
    owners_scan(q->cfg.owners, clock_boot_ns());
    return put_rows(s, q->cfg.owners, e);
}

static int add_cpu(void *arg, const struct other_use *u)
{
    int64_t *sum_us = arg;
    if (u->device[0] == '\0')
        *sum_us += u->busy_us;
    return 0;
}

int queue_others_end(struct store *s, struct queue_item *r, struct err *e)
{
    struct queue_filing *f = &r->live->filing;
    const struct energy_window *w = &f->window;
    int64_t sum_us = 0;
    int rc = queue_others_cut(s, r->q, e);
    if (rc < 0 || !r->q->cfg.owners || w->t1_ns == RUN_NONE || w->t1_ns - w->t0_ns < TELL_MIN_NS)
        return rc;
    rc = others_keep(s, r->row.id, w->boot, w->t0_ns, w->t1_ns, e);
    if (rc == 0)
        rc = others_of_run(s, r->row.id, add_cpu, &sum_us, e);
    int64_t all_us = (w->t1_ns - w->t0_ns) / NS_PER_US * owners_cpus(r->q->cfg.owners);
    f->disturbed = rc == 0 && all_us > 0 &&
                   sum_us > units_muldiv_floor(all_us, r->q->cfg.disturbed_ppm, 1000000);
    return rc;
}

/* ---- loop --------------------------------------------------------------------------------------- */

struct rows_job {
    struct storage_job job;
    struct queue *q;
};

static int rows_work(struct store *s, struct storage_job *job, struct err *e)
{
    return put_rows(s, container_of(job, struct rows_job, job)->q->cfg.owners, e);
}

static void rows_done(struct storage_job *job, int rc, const struct err *e)
{
    struct rows_job *j = container_of(job, struct rows_job, job);
    queue_job_back(j->q);
    if (rc < 0)
        log_warn("what others use cannot be written down: %s", e->text);
    free(j);
}

static void write_rows(struct queue *q)
{
    struct rows_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = rows_work, .done = rows_done};
    j->q = q;
    queue_submit_job(q, &j->job);
}

static void scan_work(uv_work_t *req)
{
    owners_scan(container_of(req, struct queue, scan)->cfg.owners, clock_boot_ns());
}

static void scan_done(uv_work_t *req, int status)
{
    struct queue *q = container_of(req, struct queue, scan);
    (void)status;
    q->scanning = false;
    if (!q->closing && owners_gathered_ns(q->cfg.owners) >= ROWS_NS)
        write_rows(q);
    queue_job_back(q);
}

static void on_others(uv_timer_t *t)
{
    struct queue *q = container_of(t, struct queue, others);
    if (q->scanning || q->closing)
        return;
    q->scanning = uv_queue_work(q->cfg.loop, &q->scan, scan_work, scan_done) == 0;
    q->jobs_out += q->scanning;
}

void queue_others_start(struct queue *q)
{
    if (!q->cfg.owners)
        return;
    uint64_t ms = (uint64_t)(owners_period_ns(q->cfg.owners) / NS_PER_MS);
    uv_timer_start(&q->others, on_others, 0, ms);
}
