/* Who is next, and the breaker of sweeps. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define QUICK_NS                                                                                   \
    (10 * NS_PER_S) /* a failure this soon after the start says: the command is wrong */

struct queue_sweep_state *queue_sweep_find(struct queue *q, int64_t id)
{
    for (size_t i = 0; id != RUN_NONE && i < q->nsweeps; i++)
        if (q->sweeps[i].id == id)
            return &q->sweeps[i];
    return NULL;
}

struct queue_sweep_state *queue_sweep_make(struct queue *q, int64_t id, int64_t max_fails)
{
    struct queue_sweep_state *list = realloc(q->sweeps, (q->nsweeps + 1) * sizeof(*list));
    if (!list)
        abort();
    q->sweeps = list;
    list[q->nsweeps] = (struct queue_sweep_state){.id = id, .max_fails = max_fails};
    return &list[q->nsweeps++];
}

bool queue_item_exclusive(struct queue_item *r)
{
    struct err e;
    /* One whose description cannot be read fails at its start; until then it disturbs nobody. */
    return queue_item_spec(r, &e) < 0 || r->spec->exclusive;
}

/* With nothing active: how long must it still stay so before r may start? */
static int64_t pause_left(const struct queue *q, struct queue_item *r)
{
    struct err e;
    if (queue_item_spec(r, &e) < 0)
        return 0;
    int64_t pause_ns =
        r->spec->pause_ns > r->spec->bracket_ns ? r->spec->pause_ns : r->spec->bracket_ns;
    int64_t left = pause_ns > 0 ? q->idle_since_ns + pause_ns - clock_boot_ns() : 0;
    return left > 0 ? left : 0;
}

/* A run that wants a quiet machine waits until others have used little for long enough. */
static bool calm_enough(const struct queue *q, struct queue_item *r)
{
    struct err e;
    if (!q->cfg.owners || queue_item_spec(r, &e) < 0 || r->spec->quiet_ns == 0)
        return true;
    return owners_calm_ns(q->cfg.owners, r->spec->quiet_ppm) >= r->spec->quiet_ns;
}

/* Everything but resources. */
static bool fits(struct queue *q, struct queue_item *r)
{
    if (q->reserved > 0 || q->idle.measure || !calm_enough(q, r))
        return false;
    if (queue_on_end_run(q) && queue_item_exclusive(r))
        return false;
    if (q->active.n == 0)
        return pause_left(q, r) == 0;
    if (queue_item_exclusive(r) || (q->cfg.parallel > 0 && (int64_t)q->active.n >= q->cfg.parallel))
        return false;
    for (size_t i = 0; i < q->active.n; i++)
        if (queue_item_exclusive(q->active.at[i]))
            return false;
    return true;
}

bool queue_sweep_full(const struct queue *q, const struct queue_sweep_state *sw)
{
    int64_t n = 0;
    for (size_t i = 0; sw->max_running > 0 && i < q->active.n; i++)
        n += q->active.at[i]->row.sweep == sw->id;
    return sw->max_running > 0 && n >= sw->max_running;
}

static bool user_may_start(const struct queue *q, int64_t uid)
{
    int64_t n = 0;
    const struct user_limits *l = user_limits_find(&q->cfg.limits, uid);
    for (size_t i = 0; l->max_running > 0 && i < q->active.n; i++)
        n += q->active.at[i]->row.uid == uid;
    return user_limits_may_start(l, n);
}

int64_t queue_waits_own(struct queue *q, int64_t run)
{
    const struct queue_item *r = queue_item_find(q, run);
    return r && !user_may_start(q, r->row.uid)
               ? user_limits_find(&q->cfg.limits, r->row.uid)->max_running
               : 0;
}

/* Runs of a held sweep are stepped over, and those of one that has as many running as it may. */
static bool is_up(struct queue *q, struct queue_item *r)
{
    const struct queue_sweep_state *sw = queue_sweep_find(q, r->row.sweep);
    return !(sw && (sw->held || queue_sweep_full(q, sw))) && !r->job_busy && !r->unsent;
}

/* Whoever all others wait for. */
static struct queue_item *first_of_line(struct queue *q)
{
    struct turns_walk w;
    struct queue_item *r;
    struct resources_want want;
    gpu_set ignored;
    turns_walk_begin(&w, &q->line);
    while ((r = turns_walk_next(&w)) != NULL) {
        if (!user_may_start(q, r->row.uid)) {
            turns_walk_drop(&w);
            continue;
        }
        if (is_up(q, r) && queue_gpus_want(q, r, &want) &&
            resources_choose(&q->resources, &want, NULL, &ignored) != RESOURCES_GONE)
            break;
        turns_walk_again(&w);
    }
    turns_walk_end(&w);
    return r;
}

static void look(void *arg, void *run, struct turns_look *out)
{
    struct queue *q = arg;
    struct queue_item *r = run;
    out->full = !user_may_start(q, r->row.uid);
    out->skip = out->full || !is_up(q, r) || !queue_gpus_want(q, r, &out->want);
    out->blocked = !out->skip && !fits(q, r);
}

static gpu_set keep(void *arg, void *run, const struct resources_want *want)
{
    struct queue_item *r = run;
    int64_t now_ns = clock_boot_ns();
    (void)arg;
    if (r->gpu_wait_ns == 0)
        r->gpu_wait_ns = now_ns;
    gpu_set all = want->named ? want->named : ~(gpu_set)0;
    return now_ns - r->gpu_wait_ns < QUEUE_PASS_NS ? 0 : all;
}

struct queue_item *queue_pick(struct queue *q, gpu_set *gpus)
{
    const struct turns_rules rules = {look, keep, q};
    return turns_pick(&q->line, &q->resources, &rules, gpus);
}

int64_t queue_pause_left(struct queue *q, const struct queue_item **first)
{
    struct queue_item *r = first_of_line(q);
    if (first)
        *first = r;
    return r && q->active.n == 0 && q->reserved == 0 ? pause_left(q, r) : 0;
}

/* For lists: who is first is looked for only where somebody asks for a pause or for calm. */
int64_t queue_pause_left_ns(struct queue *q, int64_t run)
{
    const struct queue_item *first = NULL;
    struct queue_item *r = queue_item_find(q, run);
    if (!r || q->active.n > 0 || pause_left(q, r) == 0)
        return 0;
    int64_t left_ns = queue_pause_left(q, &first);
    return first && first->row.id == run ? left_ns : 0;
}

bool queue_waits_calm(struct queue *q, int64_t run, struct queue_calm *out)
{
    struct queue_item *r = queue_item_find(q, run);
    if (!r || calm_enough(q, r) || first_of_line(q) != r)
        return false;
    *out = (struct queue_calm){.need_ns = r->spec->quiet_ns,
                               .need_ppm = r->spec->quiet_ppm,
                               .calm_ns = owners_calm_ns(q->cfg.owners, r->spec->quiet_ppm),
                               .share_ppm = owners_share_ppm(q->cfg.owners)};
    return true;
}

/* ---- breaker ------------------------------------------------------------------------------------ */

struct sweep_job {
    struct storage_job job;
    struct queue *q;
    int64_t id;
    const char *state; /* literal */
    int64_t by_uid;    /* somebody else than its owner; RUN_NONE */
    char reason[160];
};

static int sweep_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct sweep_job *j = container_of(job, struct sweep_job, job);
    int rc = runs_sweep_state(s, j->id, j->state, j->reason[0] ? j->reason : NULL, e);
    if (rc == 0 && j->by_uid != RUN_NONE)
        rc = runs_sweep_act(s, j->id, j->by_uid, "sweep released", e);
    return rc;
}

static void sweep_done(struct storage_job *job, int rc, const struct err *e)
{
    struct sweep_job *j = container_of(job, struct sweep_job, job);
    queue_job_back(j->q);
    if (rc < 0)
        log_error("sweep %" PRId64 ": its state cannot be written down: %s", j->id, e->text);
    free(j);
}

static void write_sweep(struct queue *q, int64_t id, const char *state, const char *reason,
                        int64_t by_uid)
{
    struct sweep_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = sweep_work, .done = sweep_done};
    j->q = q;
    j->id = id;
    j->state = state;
    j->by_uid = by_uid;
    base_strcpy(j->reason, sizeof(j->reason), reason);
    queue_submit_job(q, &j->job);
}

static bool failed_quickly(const struct queue_item *r)
{
    if (r->row.state != RUN_FAILED)
        return false;
    return r->row.t0_ns == RUN_NONE || r->row.t1_ns == RUN_NONE ||
           r->row.t1_ns - r->row.t0_ns < QUICK_NS;
}

void queue_sweep_end(struct queue *q, struct queue_sweep_state *sw)
{
    write_sweep(q, sw->id, "ended", "", RUN_NONE);
    *sw = q->sweeps[--q->nsweeps];
}

void queue_sweep_ended_run(struct queue *q, const struct queue_item *r)
{
    struct queue_sweep_state *sw = queue_sweep_find(q, r->row.sweep);
    if (!sw)
        return;
    sw->live--;
    sw->fails = failed_quickly(r) ? sw->fails + 1 : 0;
    if (sw->live <= 0) {
        queue_sweep_end(q, sw);
    } else if (!sw->held && sw->max_fails > 0 && sw->fails >= sw->max_fails) {
        sw->held = true;
        snprintf(sw->reason, sizeof(sw->reason),
                 "%" PRId64
                 " runs in a row failed within 10 s of their start, the last was %" PRId64,
                 sw->fails, r->row.id);
        log_warn("sweep %" PRId64 " held: %s", sw->id, sw->reason);
        write_sweep(q, sw->id, "held", sw->reason, RUN_NONE);
    }
}

const char *queue_sweep_reason(struct queue *q, int64_t sweep)
{
    const struct queue_sweep_state *sw = queue_sweep_find(q, sweep);
    if (sw && sw->held)
        return sw->reason;
    return sw && queue_sweep_full(q, sw)
               ? "others of its sweep to end: so many run as may (--max-running)"
               : NULL;
}

void queue_sweep_release(struct queue *q, int64_t sweep, struct run_actor by, queue_done done,
                         void *arg)
{
    struct err e = {0};
    struct queue_sweep_state *sw = queue_sweep_find(q, sweep);
    int rc = 0;
    if (!sw) {
        rc = err_set(&e, WATTQ_E_NOT_FOUND, "no sweep %" PRId64 " is under way", sweep);
        err_next(&e, "wattq queue, which shows the sweeps under way");
    } else if (!run_actor_may(by, sw->uid)) {
        rc = err_set(&e, WATTQ_E_FORBIDDEN, "sweep %" PRId64 " is somebody else's", sweep);
    } else if (!sw->held) {
        rc = err_set(&e, WATTQ_E_CONFLICT, "sweep %" PRId64 " is not held", sweep);
    }
    if (rc < 0) {
        done(arg, rc, &e, NULL, 0);
        return;
    }
    sw->held = false;
    sw->fails = 0;
    write_sweep(q, sweep, "open", "", by.uid != sw->uid ? by.uid : RUN_NONE);
    int64_t waiting = sw->live;
    done(arg, 0, NULL, &waiting, 1);
    queue_kick(q);
}
