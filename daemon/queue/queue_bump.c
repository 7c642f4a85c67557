/* bump: runs that wait are moved among those of their owner, or, by an admin, before everybody's. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/queue/queue_private.h"

struct stand { /* where a run is to stand */
    int64_t id, place, priority;
};
struct bump_job {
    struct storage_job job;
    struct queue *q;
    struct queue_bump how;
    int64_t *runs;
    size_t n;
    struct err *errs; /* one per run */
    struct stand *stands;
    size_t nstands;
    queue_marked done;
    void *arg;
};

/* ---- where to ----------------------------------------------------------------------------------- */

static int check_before(const struct bump_job *j, const struct queue_item *r,
                        const struct queue_item *before, struct err *e)
{
    if (r == before)
        return err_set(e, WATTQ_E_USAGE, "run %" PRId64 " cannot stand before itself", r->row.id);
    if (before->row.uid != r->row.uid) {
        err_set(e, WATTQ_E_CONFLICT,
                "run %" PRId64 " is of another user: a run is moved among its owner's",
                j->how.before);
        return err_next(e, "wattq bump %" PRId64 ", which moves it to the front of these",
                        r->row.id);
    }
    if (before->row.priority != r->row.priority) {
        err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " has priority %" PRId64 " and not %" PRId64,
                j->how.before, before->row.priority, r->row.priority);
        return err_next(e, "the larger one goes first, whatever their order");
    }
    return 0;
}

static int check(const struct bump_job *j, int64_t run, const struct queue_item *before,
                 struct err *e)
{
    struct queue_item *r = NULL;
    int rc = queue_item_mine(j->q, run, j->how.by, &r, e);
    if (rc < 0)
        return rc;
    if (r->next != RUN_QUEUED)
        return queue_conflict(r, "moved", e);
    return before ? check_before(j, r, before, e) : 0;
}

/* Above everybody who waits and is not moved as well. */
static int top(const struct bump_job *j, int64_t *priority, struct err *e)
{
    struct turns_walk w;
    const struct queue_item *r;
    turns_walk_begin(&w, &j->q->line);
    r = turns_walk_next(&w);
    turns_walk_end(&w);
    *priority = r ? r->row.priority + 1 : 0;
    if (*priority <= SPEC_PRIORITY_MAX)
        return 0;
    err_set(e, WATTQ_E_CONFLICT,
            "runs of priority %d wait already: nothing can stand before them all",
            SPEC_PRIORITY_MAX);
    return err_next(e, "wattq hold those that can wait");
}

/* The runs of one owner and priority, from the i-th on, that nobody has placed yet. */
static void place_group(struct bump_job *j, size_t i, const struct queue_item *before, bool *placed,
                        int64_t priority)
{
    struct turns_key *keys CLEANUP(base_freep) = base_alloc((j->n - i) * sizeof(*keys));
    struct turns_place *places CLEANUP(base_freep) = NULL;
    const struct queue_item *first = queue_item_find(j->q, j->runs[i]);
    size_t n = 0;
    for (size_t k = i; k < j->n; k++) {
        const struct queue_item *r = queue_item_find(j->q, j->runs[k]);
        if (placed[k] || j->errs[k].code || r->row.uid != first->row.uid ||
            (!j->how.first && r->row.priority != first->row.priority))
            continue;
        placed[k] = true;
        keys[n] = queue_item_key(r);
        if (j->how.first)
            keys[n].priority = priority;
        n++;
    }
    const struct turns_key to = before ? queue_item_key(before) : (struct turns_key){0};
    int64_t to_priority = keys[0].priority;
    size_t m = turns_move(&j->q->line, keys, n, before ? &to : NULL, &places);
    j->stands = reallocarray(j->stands, j->nstands + m, sizeof(*j->stands));
    if (!j->stands)
        abort();
    for (size_t k = 0; k < m; k++)
        j->stands[j->nstands++] = (struct stand){places[k].id, places[k].place, to_priority};
}

static int place(struct bump_job *j, struct err *e)
{
    const struct queue_item *before = NULL;
    bool *placed CLEANUP(base_freep) = base_alloc(j->n * sizeof(*placed));
    int64_t priority = 0;
    int rc = j->how.first ? top(j, &priority, e) : 0;
    if (rc == 0 && j->how.before != RUN_NONE) {
        before = queue_item_find(j->q, j->how.before);
        if (!before || before->next != RUN_QUEUED)
            rc = err_set(e, WATTQ_E_NOT_FOUND, "run %" PRId64 " does not wait", j->how.before);
    }
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        (void)check(j, j->runs[i], before, &j->errs[i]);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        if (!placed[i] && !j->errs[i].code)
            place_group(j, i, before, placed, priority);
    return rc;
}

/* ---- written, then so in memory ----------------------------------------------------------------- */

static int bump_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct bump_job *j = container_of(job, struct bump_job, job);
    char what[80] = "moved to the front of its owner's";
    int rc = 0;
    if (j->how.first)
        base_strcpy(what, sizeof(what), "moved before everybody's");
    else if (j->how.before != RUN_NONE)
        (void)snprintf(what, sizeof(what), "moved before run %" PRId64, j->how.before);
    for (size_t i = 0; rc == 0 && i < j->nstands; i++)
        rc = runs_line_put(s, j->stands[i].id, j->stands[i].place, j->stands[i].priority, e);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        if (!j->errs[i].code)
            rc = runs_done_to(s, j->runs[i], j->how.by, what, e);
    return rc;
}

static void free_job(struct bump_job *j)
{
    free(j->runs);
    free(j->errs);
    free(j->stands);
    free(j);
}

static void bump_done(struct storage_job *job, int rc, const struct err *e)
{
    struct bump_job *j = container_of(job, struct bump_job, job);
    struct queue *q = j->q;
    queue_job_back(q);
    for (size_t i = 0; rc == 0 && i < j->nstands; i++) {
        struct queue_item *r = queue_item_find(q, j->stands[i].id);
        if (!r)
            continue;
        bool waits = queue_line_take(q, r);
        r->row.place = j->stands[i].place;
        r->row.priority = j->stands[i].priority;
        if (waits)
            queue_line_put(q, r);
    }
    j->done(j->arg, rc, e, j->errs);
    free_job(j);
    queue_kick(q);
}

void queue_bump(struct queue *q, int64_t *runs, size_t n, const struct queue_bump *how,
                queue_marked done, void *arg)
{
    struct bump_job *j = base_alloc(sizeof(*j));
    struct err e = {0};
    j->job = (struct storage_job){.work = bump_work, .done = bump_done};
    j->q = q;
    j->how = *how;
    j->runs = runs;
    j->n = n;
    j->errs = base_alloc(n * sizeof(*j->errs));
    j->done = done;
    j->arg = arg;
    int rc = place(j, &e);
    if (rc == 0 && j->nstands > 0) {
        queue_submit_job(q, &j->job);
        return;
    }
    done(arg, rc, rc < 0 ? &e : NULL, j->errs);
    free_job(j);
}
