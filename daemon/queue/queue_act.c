/* What people do to runs: cancel, hold, release, pause, resume, mark a phase, and the client's side of a
 * foreground run. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/queue/queue_private.h"

int queue_conflict(const struct queue_item *r, const char *verb, struct err *e)
{
    bool over = r->life >= LIFE_CLOSING || run_state_ended(r->next);
    return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is %s and cannot be %s", r->row.id,
                   over ? "ending" : run_state_name(r->next), verb);
}

/* 0: the waiter hears of the commit; 1: nothing had to be written. */
static int stop_it(struct queue_item *r, const struct queue_act *a, const struct run_change *c,
                   const struct queue_waiter *w, struct err *e)
{
    int rc = queue_item_spec(r, e);
    if (rc < 0)
        return rc;
    int64_t grace = a->grace_ns >= 0 ? a->grace_ns : r->spec->grace_ns;
    rc = launch_stop(r->q->cfg.launch, r->row.id, a->signal ? a->signal : SIGTERM, grace, e);
    if (rc < 0)
        return rc;
    base_strcpy(r->live->stop_reason, sizeof(r->live->stop_reason), c->reason);
    if (r->next != RUN_RUNNING && r->next != RUN_PAUSED)
        return 1;
    queue_move(r, RUN_STOPPING, c, w);
    queue_commit(r);
    return 0;
}

static int cancel(struct queue_item *r, const struct queue_act *a, const struct run_change *c,
                  const struct queue_waiter *w, struct err *e)
{
    if (r->life >= LIFE_CLOSING)
        return queue_conflict(r, "cancelled", e);
    if (r->next == RUN_HELD || r->next == RUN_QUEUED) {
        queue_end_plain(r, RUN_CANCELLED, c, w);
        return 0;
    }
    if (r->next == RUN_STARTING && r->life < LIFE_GOING) {
        queue_abort(r, c, w);
        return 0;
    }
    return stop_it(r, a, c, w, e);
}

static int hold(struct queue_item *r, const struct run_change *c, const struct queue_waiter *w,
                struct err *e)
{
    if (r->next != RUN_QUEUED)
        return queue_conflict(r, "held", e);
    (void)queue_line_take(r->q, r);
    queue_move(r, RUN_HELD, c, w);
    queue_commit(r);
    return 0;
}

static int release(struct queue_item *r, const struct run_change *c, const struct queue_waiter *w,
                   struct err *e)
{
    if (r->next != RUN_HELD)
        return queue_conflict(r, "released", e);
    queue_move(r, RUN_QUEUED, c, w);
    queue_line_put(r->q, r);
    queue_commit(r);
    return 0;
}

static int pause_it(struct queue_item *r, bool pause, const struct run_change *c,
                    const struct queue_waiter *w, struct err *e)
{
    if (r->next != (pause ? RUN_RUNNING : RUN_PAUSED) || r->life != LIFE_ON)
        return queue_conflict(r, pause ? "paused" : "resumed", e);
    int rc = launch_pause(r->q->cfg.launch, r->row.id, pause, e);
    if (rc < 0)
        return rc;
    queue_move(r, pause ? RUN_PAUSED : RUN_RUNNING, c, w);
    queue_commit(r);
    return 0;
}

static int act(struct queue_item *r, const struct queue_act *a, const struct queue_waiter *w,
               struct err *e)
{
    static const char *const words[] = {"cancelled", "held", "released", "paused", "resumed"};
    struct run_change c;
    run_change_init(&c);
    c.actor_uid = a->by.uid;
    c.reason = a->reason && a->reason[0] ? a->reason : words[a->verb];
    switch (a->verb) {
    case QUEUE_CANCEL:
        return cancel(r, a, &c, w, e);
    case QUEUE_HOLD:
        return hold(r, &c, w, e);
    case QUEUE_RELEASE:
        return release(r, &c, w, e);
    case QUEUE_PAUSE:
    case QUEUE_RESUME:
        break;
    }
    return pause_it(r, a->verb == QUEUE_PAUSE, &c, w, e);
}

int queue_item_mine(struct queue *q, int64_t run, struct run_actor by, struct queue_item **out,
                    struct err *e)
{
    *out = queue_item_find(q, run);
    if (!*out || run_state_ended((*out)->next)) {
        err_set(e, WATTQ_E_NOT_FOUND, "run %" PRId64 " is not waiting or running", run);
        return err_next(e, "wattq queue");
    }
    if (!run_actor_may(by, (*out)->row.uid))
        return err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " is somebody else's", run);
    return 0;
}

void queue_act(struct queue *q, int64_t run, const struct queue_act *a, queue_done done, void *arg)
{
    struct err e = {0};
    struct queue_item *r = NULL;
    const struct queue_waiter w = {done, arg};
    int rc = queue_item_mine(q, run, a->by, &r, &e);
    if (rc == 0)
        rc = act(r, a, &w, &e);
    if (rc != 0)
        done(arg, rc < 0 ? rc : 0, rc < 0 ? &e : NULL, &run, 1);
}

/* ---- phases ------------------------------------------------------------------------------------- */

struct phase_job {
    struct storage_job job;
    struct queue *q;
    int64_t run;
    struct run_actor by;
    int64_t t_ns;
    char *name; /* NULL closes */
    queue_done done;
    void *arg;
};

static int phase_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct phase_job *j = container_of(job, struct phase_job, job);
    int rc = runs_act(s, j->run, j->by, j->name ? "phase begun" : "phase ended", e);
    return rc < 0 ? rc : runs_phase_open(s, j->run, j->name, j->t_ns, e);
}

static void phase_done(struct storage_job *job, int rc, const struct err *e)
{
    struct phase_job *j = container_of(job, struct phase_job, job);
    queue_job_back(j->q);
    j->done(j->arg, rc, e, &j->t_ns, rc == 0 ? 1 : 0);
    free(j->name);
    free(j);
}

void queue_phase(struct queue *q, int64_t run, struct run_actor by, const char *name,
                 queue_done done, void *arg)
{
    struct err e = {0};
    struct queue_item *r = NULL;
    int rc = queue_item_mine(q, run, by, &r, &e);
    /* Its program may ask before its shepherd's word that the gate is open has come. */
    if (rc == 0 && !r->window_open && r->life != LIFE_GOING)
        rc = err_set(&e, WATTQ_E_CONFLICT, "run %" PRId64 " is not running", run);
    if (rc < 0) {
        done(arg, rc, &e, NULL, 0);
        return;
    }
    struct phase_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = phase_work, .done = phase_done};
    j->q = q;
    j->run = run;
    j->by = by;
    j->t_ns = clock_boot_ns();
    j->name = name ? base_strdup(name) : NULL;
    j->done = done;
    j->arg = arg;
    queue_submit_job(q, &j->job);
}

/* ---- foreground runs ---------------------------------------------------------------------------- */

int queue_exec_ready(struct queue *q, int64_t run, int64_t token, struct err *e)
{
    struct queue_item *r = queue_item_find(q, run);
    if (!r || r->row.kind != SPEC_EXEC || r->next != RUN_STARTING || r->life != LIFE_SPAWNING)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is not waiting for its client", run);
    if (token != r->row.token)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " was given another token", run);
    return launch_adopt(q->cfg.launch, run, token, e);
}

void queue_exec_gone(struct queue *q, int64_t run, const char *reason)
{
    struct queue_item *r = queue_item_find(q, run);
    struct run_change c;
    if (!r || r->row.kind != SPEC_EXEC || q->closing)
        return;
    r->client_gone = true;
    r->turn = NULL;
    run_change_init(&c);
    c.reason = reason;
    if (r->next == RUN_HELD || r->next == RUN_QUEUED)
        queue_end_plain(r, RUN_CANCELLED, &c, NULL);
    else if (r->next == RUN_STARTING && r->life < LIFE_GOING)
        queue_abort(r, &c, NULL);
}
