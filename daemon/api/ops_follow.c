/* wait and watch: what is there already is answered here, the rest by the streams. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"

#define SWEEP_ENDED_MAX 2000 /* ended runs of a sweep that a wait reports; the others are counted */

struct target {
    int64_t run;
    bool answered; /* its row is among the frames */
};

struct wait_job {
    struct reader_job job;
    struct ops_ticket t;
    struct rights as;
    enum stream_until until;
    int64_t sweep; /* RUN_NONE: the targets are the list */
    struct target *targets;
    size_t n;
    struct wire_out *frames; /* open: "more" is still to be put */
    size_t nframes;
    struct err *e;
    struct store *s;
};

static void free_wait(struct wait_job *j)
{
    for (size_t i = 0; i < j->nframes; i++)
        wire_out_free(&j->frames[i]);
    free(j->frames);
    free(j->targets);
    ops_drop(&j->t);
    free(j);
}

static struct wire_out *new_frame(struct wait_job *j)
{
    j->frames = realloc(j->frames, (j->nframes + 1) * sizeof(*j->frames));
    if (!j->frames)
        abort();
    struct wire_out *o = &j->frames[j->nframes++];
    *o = (struct wire_out){0};
    ops_begin(o, j->t.id);
    return o;
}

/* ---- pool --------------------------------------------------------------------------------------- */

static int put_row(struct wait_job *j, const struct run_row *row)
{
    static const struct encode_want want = {.energy = true};
    struct encode enc = {.as = j->as};
    struct wire_out *o = new_frame(j);
    wire_begin_map(o, "run");
    int rc = encode_row(j->s, &enc, o, row, NULL, &want, j->e);
    wire_end(o);
    return rc;
}

/* Only ended ones: the others are in memory by the time the answer is put together. */
static int take_sweep_run(void *arg, const struct run_row *row)
{
    struct wait_job *j = arg;
    return run_state_ended(row->state) && j->nframes < SWEEP_ENDED_MAX ? put_row(j, row) : 0;
}

static int wait_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct wait_job *j = container_of(job, struct wait_job, job);
    int rc = 0;
    j->s = s;
    j->e = e;
    if (j->sweep != RUN_NONE) {
        const struct run_query q = {.uid = RUN_NONE,
                                    .sweep = j->sweep,
                                    .state = -1,
                                    .since_utc_ns = RUN_NONE,
                                    .until_utc_ns = RUN_NONE,
                                    .before_id = RUN_NONE,
                                    .limit = SPEC_SWEEP_RUNS};
        return runs_list(s, &q, take_sweep_run, j, e);
    }
    for (size_t i = 0; rc == 0 && i < j->n; i++) {
        struct run_row row CLEANUP(run_row_fini) = {0};
        if (j->targets[i].answered)
            continue;
        rc = runs_get(s, j->targets[i].run, &row, e);
        if (rc > 0)
            return ops_no_run(j->targets[i].run, e);
        if (rc == 0 && run_state_ended(row.state)) {
            rc = put_row(j, &row);
            j->targets[i].answered = true;
        }
    }
    return rc;
}

/* ---- loop --------------------------------------------------------------------------------------- */

static bool reached(const struct wait_job *j, const struct queue_run *r)
{
    if (run_state_ended(r->row->state))
        return true;
    return j->until == STREAM_UNTIL_STARTED && r->row->t0_ns != RUN_NONE;
}

struct pending {
    struct wait_job *j;
    int64_t *ids;
    size_t n;
};

static int count_sweep(void *arg, const struct queue_run *r)
{
    struct pending *p = arg;
    if (r->row->sweep == p->j->sweep && !reached(p->j, r))
        p->n++;
    return 0;
}

/* The targets that are still to come; those that got there in memory are answered. 1 = one has left
 * memory since it was looked up: ask the database again. */
static int sort_targets(struct wait_job *j, struct pending *p)
{
    for (size_t i = 0; i < j->n; i++) {
        struct queue_run r;
        if (j->targets[i].answered)
            continue;
        if (queue_find(j->t.d->queue, j->targets[i].run, &r) != 0)
            return 1;
        if (!reached(j, &r)) {
            p->ids[p->n++] = j->targets[i].run;
            continue;
        }
        ops_put_run(j->t.d, new_frame(j), "run", &r, &j->as);
        j->targets[i].answered = true;
    }
    return 0;
}

static void send_frames(struct wait_job *j, bool more)
{
    if (j->nframes == 0 && !more)
        new_frame(j);
    for (size_t i = 0; i < j->nframes; i++) {
        wire_put_bool(&j->frames[i], "more", more || i + 1 < j->nframes);
        peer_send(j->t.p, &j->frames[i]);
    }
}

static void subscribe(struct wait_job *j, const struct pending *p)
{
    struct err e = {0};
    const struct stream_filter f = {
        .runs = p->ids, .n = j->sweep == RUN_NONE ? p->n : 0, .sweep = j->sweep};
    if (stream_wait_subscribe(j->t.d->streams, j->t.p, j->t.id, &f, j->until, p->n, &e) < 0)
        peer_send_error(j->t.p, j->t.id, &e);
}

static void wait_done(struct reader_job *job, int rc, const struct err *e)
{
    struct wait_job *j = container_of(job, struct wait_job, job);
    if (rc < 0) {
        peer_send_error(j->t.p, j->t.id, e);
        free_wait(j);
        return;
    }
    if (peer_closing(j->t.p) || j->t.d->stopping || !j->t.d->streams) {
        free_wait(j);
        return;
    }
    int64_t *ids CLEANUP(base_freep) = base_alloc((j->n + 1) * sizeof(*ids));
    struct pending p = {.j = j, .ids = ids};
    if (j->sweep != RUN_NONE)
        queue_visit(j->t.d->queue, count_sweep, &p);
    else if (sort_targets(j, &p) == 1) {
        ops_read(&j->t, &j->job);
        return;
    }
    send_frames(j, p.n > 0);
    if (p.n > 0)
        subscribe(j, &p);
    free_wait(j);
}

static int take_targets(struct op_call *c, struct wait_job *j, struct err *e)
{
    int64_t *ids CLEANUP(base_freep) = NULL;
    int rc = ops_need_runs(c, &ids, &j->n, e);
    if (rc < 0)
        return rc;
    j->targets = base_alloc(j->n * sizeof(*j->targets));
    for (size_t i = 0; i < j->n; i++)
        j->targets[i].run = ids[i];
    return 0;
}

int op_wait(struct op_call *c, struct err *e)
{
    const char *until = wire_str(c->req, "for", "ended");
    bool started = strcmp(until, "started") == 0;
    if (!started && strcmp(until, "ended") != 0)
        return err_set(e, WATTQ_E_USAGE, "a run is waited for until started or ended, not '%.40s'",
                       until);
    struct wait_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = wait_work, .done = wait_done};
    j->until = started ? STREAM_UNTIL_STARTED : STREAM_UNTIL_ENDED;
    j->sweep = wire_int(c->req, "sweep", RUN_NONE);
    int rc = j->sweep == RUN_NONE ? take_targets(c, j, e) : 0;
    if (rc < 0) {
        free(j->targets);
        free(j);
        return rc;
    }
    ops_keep(&j->t, c);
    j->as = *peer_rights(c->p);
    ops_read(&j->t, &j->job);
    return 0;
}

int op_watch(struct op_call *c, struct err *e)
{
    int64_t *ids CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = wire_type(wire_get(c->req, "runs")) == WIRE_NIL ? 0 : ops_need_runs(c, &ids, &n, e);
    if (rc < 0)
        return rc;
    const struct stream_filter f = {
        .runs = ids, .n = n, .sweep = wire_int(c->req, "sweep", RUN_NONE)};
    return stream_watch_subscribe(c->d->streams, c->p, c->id, &f, e);
}
