/* Who else used the machine: scans on a timer, rows of what they saw, and what of it fell beside a run.
 * Scans are made in the pool (and, at a run's edges, on the storage thread); rows are written when there
 * is something to say, so that a machine on which nobody works writes nothing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/meter/slots.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/accounts.h"
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

/* Whose it was, as a row names it. 1 = the run's whose GPU it is, or not to be told. owner: that run. */
static int name_user(struct store *s, struct queue *q, const struct gpu_sum *u, int64_t owner,
                     int64_t t_ns, char name[OWNERS_NAME_MAX], struct err *e)
{
    int64_t run = 0;
    if (u->root < 0)
        return 1;
    if (u->root == 0) {
        base_strcpy(name, OWNERS_NAME_MAX, "unknown");
        (void)(u->uid >= 0 ? users_name(u->uid, name) : name);
        return 0;
    }
    int slot = q->cfg.slots ? slots_find(q->cfg.slots, u->root) : -1;
    int rc = slot >= 0 ? accounts_slot_run(s, slot, t_ns, &run, e) : 1;
    if (rc == 0 && run == owner)
        rc = 1;
    if (rc == 0)
        (void)snprintf(name, OWNERS_NAME_MAX, "run %" PRId64, run);
    return rc;
}

/* One GPU's: everybody but the run that has it. The stretch ends between two runs' edges, or nearly. */
static int put_gpu_rows(struct store *s, struct queue *q, size_t index, struct err *e)
{
    struct gpu_sum sums[GPU_SUMS_MAX];
    char name[OWNERS_NAME_MAX];
    struct gpu_use *u CLEANUP(base_freep) = base_alloc(sizeof(*u));
    int64_t t0_ns = 0, t1_ns = 0, owner = RUN_NONE;
    size_t n = gpu_procs_take(q->cfg.gpu_procs, index, sums, &t0_ns, &t1_ns);
    if (n == 0 || t1_ns <= t0_ns || t1_ns - t0_ns > OTHERS_STRETCH_MAX_NS ||
        !gpu_procs_get(q->cfg.gpu_procs, index, t1_ns, u))
        return 0;
    int rc = accounts_device_run(s, u->device, t1_ns, &owner, e);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc = name_user(s, q, &sums[i], owner, t1_ns, name, e);
        const struct other_use row = {"gpu", name, u->device, sums[i].busy_us};
        if (rc == 0)
            rc = others_put(s, &row, t0_ns, t1_ns, e);
    }
    return rc < 0 ? rc : 0;
}

static int put_all_gpu_rows(struct store *s, struct queue *q, struct err *e)
{
    size_t n = q->cfg.gpu_procs ? gpu_procs_count(q->cfg.gpu_procs) : 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_gpu_rows(s, q, i, e);
    return rc;
}

int queue_others_cut(struct store *s, struct queue *q, struct err *e)
{
    int rc = put_all_gpu_rows(s, q, e);
    if (rc < 0 || !q->cfg.owners)
        return rc;
    owners_scan(q->cfg.owners, clock_boot_ns());
    return put_rows(s, q->cfg.owners, e);
}

struct beside { /* what others used of the CPUs, and of each GPU that the run has */
    int64_t cpu_us;
    size_t n;
    struct {
        char device[64];
        int64_t us;
    } gpu[GPU_PROCS_GPUS_MAX];
};

static int add_use(void *arg, const struct other_use *u)
{
    struct beside *b = arg;
    size_t i = 0;
    if (u->device[0] == '\0') {
        b->cpu_us += u->busy_us;
        return 0;
    }
    while (i < b->n && strcmp(b->gpu[i].device, u->device) != 0)
        i++;
    if (i == GPU_PROCS_GPUS_MAX)
        return 0;
    if (i == b->n) {
        base_strcpy(b->gpu[i].device, sizeof(b->gpu[i].device), u->device);
        b->n++;
    }
    b->gpu[i].us += u->busy_us;
    return 0;
}

static bool too_much(const struct beside *b, int64_t window_us, int64_t cpus, int64_t ppm)
{
    bool much = b->cpu_us > units_muldiv_floor(window_us * cpus, ppm, 1000000);
    for (size_t i = 0; i < b->n; i++)
        much = much || b->gpu[i].us > units_muldiv_floor(window_us, ppm, 1000000);
    return much;
}

int queue_others_end(struct store *s, struct queue_item *r, struct err *e)
{
    struct queue_filing *f = &r->live->filing;
    const struct energy_window *w = &f->window;
    struct beside beside = {0};
    int rc = queue_others_cut(s, r->q, e);
    if (rc < 0 || !r->q->cfg.owners || w->t1_ns == RUN_NONE || w->t1_ns - w->t0_ns < TELL_MIN_NS)
        return rc;
    rc = others_keep(s, r->row.id, w->boot, w->t0_ns, w->t1_ns, e);
    if (rc == 0)
        rc = others_of_run(s, r->row.id, add_use, &beside, e);
    f->disturbed = rc == 0 && too_much(&beside, (w->t1_ns - w->t0_ns) / NS_PER_US,
                                       owners_cpus(r->q->cfg.owners), r->q->cfg.disturbed_ppm);
    return rc;
}

/* ---- loop --------------------------------------------------------------------------------------- */

struct rows_job {
    struct storage_job job;
    struct queue *q;
};

static int rows_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct queue *q = container_of(job, struct rows_job, job)->q;
    int rc = put_all_gpu_rows(s, q, e);
    return rc < 0 ? rc : put_rows(s, q->cfg.owners, e);
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
