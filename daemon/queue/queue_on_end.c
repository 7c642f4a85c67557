/* Runs that are over and filed while the command that their user wants run after them (--on-end) is not: an
 * exclusive run waits for it, and what became of it is written into the history of its run.
 *
 * That something is owed stands in the database: the remark FOLLOWS, committed with the end, without a later one
 * that begins like it. So a daemon that is started again asks for the same (queue_on_end_recover). */
#include <inttypes.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/runs_marks.h"

struct queue_on_end {
    struct queue_on_end *next;
    struct storage_job job;
    struct queue *q;
    int64_t run, token;
    bool said; /* what became of it is on its way to the disk */
    char text[200];
};

int64_t queue_on_end_run(const struct queue *q)
{
    const struct queue_on_end *x = q->on_end;
    while (x && x->said)
        x = x->next;
    return x ? x->run : 0;
}

bool queue_on_end_wanted(struct queue_item *r)
{
    struct err e;
    const struct energy_window *w = &r->live->filing.window;
    return w->t0_ns != RUN_NONE && w->t0_ns != 0 && queue_item_spec(r, &e) == 0 && r->spec->on_end;
}

static void put(struct queue *q, int64_t run, int64_t token)
{
    struct queue_on_end *x = base_alloc(sizeof(*x));
    x->q = q;
    x->run = run;
    x->token = token;
    x->next = q->on_end;
    q->on_end = x;
}

void queue_on_end_begin(struct queue_item *r)
{
    put(r->q, r->row.id, r->row.token);
    launch_filed(r->q->cfg.launch, r->row.id, r->row.token);
}

static void drop(struct queue *q, struct queue_on_end *x)
{
    struct queue_on_end **p = &q->on_end;
    while (*p != x)
        p = &(*p)->next;
    *p = x->next;
    free(x);
}

/* ---- what became of it --------------------------------------------------------------------------- */

static int work(struct store *s, struct storage_job *job, struct err *e)
{
    const struct queue_on_end *x = container_of(job, struct queue_on_end, job);
    return runs_remark(s, x->run, x->text, e);
}

static void done(struct storage_job *job, int rc, const struct err *e)
{
    struct queue_on_end *x = container_of(job, struct queue_on_end, job);
    struct queue *q = x->q;
    if (rc < 0) /* asked for again at the next start */
        log_warn("run %" PRId64 ": %s; and this cannot be written down: %s", x->run, x->text,
                 e->text);
    drop(q, x);
    queue_job_back(q);
}

void queue_on_end_over(struct queue *q, const struct launch_event *ev)
{
    struct queue_on_end *x = q->on_end;
    while (x && x->run != ev->run_id)
        x = x->next;
    launch_ack(q->cfg.launch, ev->run_id);
    if (!x || x->said)
        return;
    x->said = true;
    base_strcpy(x->text, sizeof(x->text), ev->text);
    x->job = (struct storage_job){.work = work, .done = done};
    queue_submit_job(q, &x->job);
    if (q->active.n == 0 && !queue_on_end_run(q))
        q->idle_since_ns = clock_boot_ns();
    queue_kick(q);
}

/* ---- after a restart ----------------------------------------------------------------------------- */

int queue_on_end_load(struct queue *q, struct store *s, struct err *e)
{
    struct runs_owed owed[QUEUE_ON_END_MOST];
    size_t n = 0;
    int rc = runs_on_end_owed(s, owed, QUEUE_ON_END_MOST, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        put(q, owed[i].run, owed[i].token);
    return rc;
}

void queue_on_end_recover(struct queue *q)
{
    for (const struct queue_on_end *x = q->on_end; x; x = x->next)
        launch_filed(q->cfg.launch, x->run, x->token);
}

void queue_on_end_close(struct queue *q)
{
    while (q->on_end)
        drop(q, q->on_end);
}
