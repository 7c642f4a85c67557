/* Idle power: learned while nothing is on, measured on request, and in brackets around a run. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "common/users.h"
#include "daemon/energy/calibrate.h"
#include "daemon/log.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/queue/queue_private.h"

#define LEARN_AGAIN_NS (60 * NS_PER_S)  /* after a try that found no calm */
#define LEARN_EVERY_NS (600 * NS_PER_S) /* after one that did */
#define EDGE_NS        (1 * NS_PER_S) /* behind the end of a run: what it left is being put away */

struct queue_measure {
    int64_t for_ns;
    int64_t start_ns; /* 0 = not begun */
    bool reading;
    struct queue_idle_asked asked;
};

/* One look at a stretch of idle time, on the storage thread: some milliseconds a minute. */
struct idle_job {
    struct storage_job job;
    struct queue *q;
    struct baseline_want want;
    struct baseline_set set;
    const char *basis;
    bool only_new;
    int written;
};

static int64_t cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? n : 1;
}

static int idle_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, job);
    j->want.w.boot = store_boot(s);
    int rc = baseline_take(s, &j->want, &j->set, e);
    if (rc == 0)
        rc = baseline_store(s, &j->set, j->basis, 0, clock_utc_ns(), j->only_new, e);
    j->written = rc < 0 ? 0 : rc;
    return rc < 0 ? rc : 0;
}

/* ---- contexts on GPUs ---------------------------------------------------------------------------- */

/* One answer of a GPU: the stretch in which it was held goes on, begins, or is over and remembered. */
static void note_use(struct baseline_held *h, const struct gpu_use *u)
{
    char name[USERS_NAME_MAX];
    const struct gpu_proc *first = NULL;
    for (size_t i = 0; i < u->n; i++)
        if (u->procs[i].compute && (!first || u->procs[i].first_ns < first->first_ns))
            first = &u->procs[i];
    if (!first)
        return;
    if (first->first_ns > h->last_ns || h->first_ns == 0)
        h->first_ns = first->first_ns;
    h->last_ns = u->stamp_ns;
    base_strcpy(h->device, sizeof(h->device), u->device);
    snprintf(h->by, sizeof(h->by), "process %" PRId64 " of %.40s", first->pid,
             first->uid < 0 ? "somebody" : users_name(first->uid, name));
}

static void note_held(struct queue *q, int64_t now_ns)
{
    size_t n = q->cfg.gpu_procs ? gpu_procs_count(q->cfg.gpu_procs) : 0;
    struct gpu_use *u CLEANUP(base_freep) = n > 0 ? base_alloc(sizeof(*u)) : NULL;
    for (size_t i = 0; i < n && i < BASELINE_HELD_MAX; i++)
        if (gpu_procs_get(q->cfg.gpu_procs, i, now_ns, u) && u->state == READING_OK)
            note_use(&q->idle.held[i], u);
    q->idle.nheld = n < BASELINE_HELD_MAX ? n : BASELINE_HELD_MAX;
}

void queue_idle_note_held(struct queue *q, struct queue_filing *f)
{
    note_held(q, clock_boot_ns());
    memcpy(f->held, q->idle.held, sizeof(f->held));
    f->nheld = q->idle.nheld;
}

static void submit(struct queue *q, const char *basis, int64_t t0_ns, int64_t t1_ns, int64_t least,
                   void (*done)(struct storage_job *job, int rc, const struct err *e))
{
    struct idle_job *j = base_alloc(sizeof(*j));
    *j = (struct idle_job){.job = {.work = idle_work, .done = done},
                           .q = q,
                           .want = {.w = {.t0_ns = t0_ns, .t1_ns = t1_ns},
                                    .cpus = cpus(),
                                    .busy_max_ppm = q->cfg.idle_busy_ppm,
                                    .pieces_min = least},
                           .basis = basis,
                           .only_new = strcmp(basis, BASELINE_LEARNED) == 0};
    memcpy(j->want.held, q->idle.held, sizeof(j->want.held));
    j->want.nheld = q->idle.nheld;
    queue_submit_job(q, &j->job);
}

static void free_job(struct idle_job *j)
{
    baseline_set_fini(&j->set);
    free(j);
}

/* ---- learned ------------------------------------------------------------------------------------ */

static bool any_known(const struct baseline_set *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->rows[i].known)
            return true;
    return false;
}

static void learned(struct storage_job *job, int rc, const struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, job);
    struct queue *q = j->q;
    q->idle.learning = false;
    bool found = rc == 0 && any_known(&j->set);
    q->idle.next_ns = clock_boot_ns() + (found ? LEARN_EVERY_NS : LEARN_AGAIN_NS);
    if (rc < 0)
        log_warn("idle power was not learned: %s", e->text);
    else if (j->written > 0)
        log_info("idle power learned channels=%d", j->written);
    else if (!found && j->set.calm.reason[0])
        log_debug("idle power was not learned: %s", j->set.calm.reason);
    free_job(j);
    queue_job_back(q);
}

/* Since when nothing has been on, the thermal tail left out. */
static int64_t calm_since(const struct queue *q)
{
    int64_t cool = q->idle.last_end_ns > 0 ? q->idle.last_end_ns + BASELINE_TAIL_NS : 0;
    return cool > q->idle_since_ns ? cool : q->idle_since_ns;
}

static void learn(struct queue *q, int64_t now)
{
    struct storage_status st;
    int64_t learn_ns = q->cfg.idle_learn_ns;
    if (learn_ns == 0 || q->idle.learning || now < q->idle.next_ns ||
        now < calm_since(q) + learn_ns + EDGE_NS)
        return;
    storage_get_status(q->cfg.storage, &st);
    if (st.health.degraded)
        return;
    q->idle.learning = true;
    int64_t calm = learn_ns * 2 / 3 / NS_PER_S;
    submit(q, BASELINE_LEARNED, now - learn_ns - EDGE_NS, now - EDGE_NS, calm > 3 ? calm : 3,
           learned);
}

/* ---- on request --------------------------------------------------------------------------------- */

static void end_measure(struct queue *q, const struct queue_idle_answer *a, int rc,
                        const struct err *e)
{
    struct queue_measure *m = q->idle.measure;
    q->idle.measure = NULL;
    if (m && m->asked.done)
        m->asked.done(m->asked.arg, rc, e, a);
    free(m);
}

static void measured(struct storage_job *job, int rc, const struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, job);
    struct queue *q = j->q;
    const struct queue_idle_answer a = {&j->set, &j->want.w, j->written};
    end_measure(q, &a, rc, e);
    free_job(j);
    queue_job_back(q);
    if (!q->closing)
        queue_kick(q);
}

enum queue_idle_phase queue_idle_state(const struct queue *q, int64_t *left_ns)
{
    const struct queue_measure *m = q->idle.measure;
    int64_t now = clock_boot_ns();
    *left_ns = 0;
    if (!m)
        return QUEUE_IDLE_NONE;
    if (m->reading)
        return QUEUE_IDLE_READING;
    if (m->start_ns > 0)
        *left_ns = m->start_ns + m->for_ns - now;
    else if (q->active.n == 0)
        *left_ns = calm_since(q) - now;
    *left_ns = *left_ns > 0 ? *left_ns : 0;
    if (m->start_ns > 0)
        return QUEUE_IDLE_MEASURING;
    return q->active.n > 0 ? QUEUE_IDLE_WAITING : QUEUE_IDLE_COOLING;
}

static void go_on(struct queue *q, int64_t now)
{
    struct queue_measure *m = q->idle.measure;
    int64_t left_ns;
    if (m->reading)
        return;
    if (m->start_ns == 0 && q->active.n == 0 && q->reserved == 0 && !queue_on_end_run(q) &&
        now >= calm_since(q))
        m->start_ns = now;
    if (m->start_ns > 0 && now >= m->start_ns + m->for_ns + EDGE_NS) {
        m->reading = true;
        submit(q, BASELINE_MEASURED, m->start_ns, m->start_ns + m->for_ns, m->for_ns / NS_PER_S / 2,
               measured);
        return;
    }
    enum queue_idle_phase phase = queue_idle_state(q, &left_ns);
    if (m->asked.progress)
        m->asked.progress(m->asked.arg, phase, left_ns);
}

int queue_idle_measure(struct queue *q, int64_t for_ns, const struct queue_idle_asked *asked,
                       struct err *e)
{
    if (q->idle.measure) {
        err_set(e, WATTQ_E_CONFLICT, "idle power is being measured already");
        return err_next(e, "wait for it: wattq idle");
    }
    q->idle.measure = base_alloc(sizeof(*q->idle.measure));
    *q->idle.measure = (struct queue_measure){.for_ns = for_ns, .asked = *asked};
    go_on(q, clock_boot_ns());
    return 0;
}

void queue_idle_forget(struct queue *q, const void *arg)
{
    struct queue_measure *m = q->idle.measure;
    if (!m || m->asked.arg != arg)
        return;
    m->asked = (struct queue_idle_asked){0};
    if (m->reading)
        return; /* its result is kept all the same */
    end_measure(q, NULL, 0, NULL);
    queue_kick(q);
}

/* ---- the estimate beside a real meter ----------------------------------------------------------- */

static int estimate_work(struct store *s, struct storage_job *job, struct err *e)
{
    (void)job;
    return calibrate_estimate(s, clock_boot_ns(), e);
}

static void estimate_done(struct storage_job *job, int rc, const struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, job);
    struct queue *q = j->q;
    if (rc < 0)
        log_warn("the estimate was not fitted to a meter: %s", e->text);
    free(j);
    queue_job_back(q);
}

static void fit_estimate(struct queue *q, int64_t now)
{
    struct idle_job *j;
    if (now < q->idle.fit_ns)
        return;
    q->idle.fit_ns = now + LEARN_EVERY_NS;
    j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = estimate_work, .done = estimate_done};
    j->q = q;
    queue_submit_job(q, &j->job);
}

void queue_idle_tick(struct queue *q, int64_t now)
{
    if (!q->started || q->closing)
        return;
    note_held(q, now);
    fit_estimate(q, now);
    if (q->idle.measure)
        go_on(q, now);
    else if (q->active.n == 0 && q->reserved == 0 && !queue_on_end_run(q))
        learn(q, now);
}

void queue_idle_close(struct queue *q)
{
    struct err e = {0};
    err_set(&e, WATTQ_E_UNAVAILABLE, "wattqd is stopping");
    if (q->idle.measure && !q->idle.measure->reading)
        end_measure(q, NULL, WATTQ_E_UNAVAILABLE, &e);
}

/* ---- brackets, storage thread ------------------------------------------------------------------- */

static int take_claim(void *arg, const struct run_event *ev)
{
    int64_t *t_ns = arg;
    if (ev->to && strcmp(ev->to, "starting") == 0)
        *t_ns = ev->t_ns; /* the newest: an earlier try never ran */
    return 0;
}

static int take_half(struct store *s, const struct queue *q, const struct queue_filing *f,
                     const struct energy_window *w, struct baseline_set *out, struct err *e)
{
    struct baseline_want want = {.w = *w,
                                 .cpus = cpus(),
                                 .busy_max_ppm = q->cfg.idle_busy_ppm,
                                 .pieces_min = (w->t1_ns - w->t0_ns) / NS_PER_S / 2,
                                 .may_drift = true};
    memcpy(want.held, f->held, sizeof(want.held));
    want.nheld = f->nheld;
    return baseline_take(s, &want, out, e);
}

int queue_idle_bracket(struct store *s, const struct queue *q, int64_t run,
                       const struct queue_filing *f, struct err *e)
{
    const struct energy_window *w = &f->window;
    int64_t bracket_ns = f->bracket_ns;
    struct baseline_set before CLEANUP(baseline_set_fini) = {0};
    struct baseline_set after CLEANUP(baseline_set_fini) = {0};
    int64_t claim_ns = w->t0_ns;
    int rc = runs_events(s, run, take_claim, &claim_ns, e);
    if (rc < 0)
        return rc;
    const struct energy_window head = {w->boot, claim_ns > bracket_ns ? claim_ns - bracket_ns : 0,
                                       claim_ns};
    const struct energy_window tail = {w->boot, w->t1_ns + EDGE_NS,
                                       w->t1_ns + EDGE_NS + bracket_ns};
    rc = take_half(s, q, f, &head, &before, e);
    if (rc == 0)
        rc = take_half(s, q, f, &tail, &after, e);
    if (rc < 0)
        return rc;
    baseline_join(&before, &after);
    rc = baseline_store(s, &before, BASELINE_BRACKET, run, clock_utc_ns(), false, e);
    return rc < 0 ? rc : 0;
}

int64_t queue_idle_bracket_end(int64_t t1_ns, int64_t bracket_ns)
{
    return t1_ns + 2 * EDGE_NS + bracket_ns;
}
