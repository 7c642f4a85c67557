/* Tags, notes, labels and numbers by hand: one job for all runs of a request. */
#include <stdlib.h>

#include "common/units.h"
#include "daemon/queue/queue_private.h"

struct mark_job {
    struct storage_job job;
    struct queue *q;
    struct run_actor by;
    struct run_mark mark;
    int64_t *runs;
    size_t n;
    struct err *errs; /* one per run */
    queue_marked done;
    void *arg;
};

/* One run that is refused takes nothing from the others; the disk that fails ends it for all. */
static int mark_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct mark_job *j = container_of(job, struct mark_job, job);
    int64_t utc_ns = clock_utc_ns();
    for (size_t i = 0; i < j->n; i++) {
        struct err *why = &j->errs[i];
        int rc = runs_mark(s, j->runs[i], j->by, &j->mark, utc_ns, why);
        if (rc == WATTQ_E_STORAGE || rc == WATTQ_E_CORRUPT) {
            *e = *why;
            return rc;
        }
    }
    return 0;
}

static void relabel(struct queue_item *r, const char *label)
{
    if (!r)
        return;
    free(r->row.label);
    r->row.label = base_strdup(label);
}

/* What memory shows follows what the disk has. */
static void set_labels(const struct mark_job *j)
{
    struct queue *q = j->q;
    for (size_t i = 0; i < j->n; i++) {
        if (j->errs[i].code)
            continue;
        relabel(queue_item_find(q, j->runs[i]), j->mark.text);
        for (size_t k = 0; k < QUEUE_RECENT; k++)
            if (q->recent[k] && q->recent[k]->row.id == j->runs[i])
                relabel(q->recent[k], j->mark.text);
    }
}

static void mark_done(struct storage_job *job, int rc, const struct err *e)
{
    struct mark_job *j = container_of(job, struct mark_job, job);
    queue_job_back(j->q);
    if (rc == 0 && j->mark.kind == RUN_MARK_LABEL)
        set_labels(j);
    j->done(j->arg, rc, e, j->errs);
    run_mark_fini(&j->mark);
    free(j->runs);
    free(j->errs);
    free(j);
}

void queue_mark(struct queue *q, int64_t *runs, size_t n, struct run_actor by,
                struct run_mark *mark, queue_marked done, void *arg)
{
    struct mark_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = mark_work, .done = mark_done};
    j->q = q;
    j->by = by;
    j->mark = *mark;
    *mark = (struct run_mark){0};
    j->runs = runs;
    j->n = n;
    j->errs = base_alloc(n * sizeof(*j->errs));
    j->done = done;
    j->arg = arg;
    queue_submit_job(q, &j->job);
}
