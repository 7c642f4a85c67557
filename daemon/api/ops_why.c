/* why: what a run waits for, and when it is likely to start. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/queue/forecast.h"

#define BEFORE_SHOWN 10
#define PAST_MAX     2000 /* ended runs that are looked at for those alike */

struct why {
    struct reader_job job;
    struct ops_ticket t;
    struct wire_out o; /* the answer but for the forecast */
    struct forecast *f;
    struct forecast_answer a;
    int64_t now_utc_ns; /* of what the forecast was handed */
    struct forecast_past *past;
    size_t npast;
};

static void put_reason(void *arg, const char *text)
{
    wire_put_str(arg, NULL, text);
}

/* What keeps everybody waiting comes first. */
static void put_reasons(const struct op_call *c, struct wire_out *o, int64_t run)
{
    struct storage_status st;
    struct queue_run r;
    storage_get_status(c->d->storage, &st);
    wire_begin_array(o, "reasons");
    if (queue_find(c->d->queue, run, &r) == 0 && r.position > 0) {
        if (st.health.degraded)
            wire_put_str(o, NULL, "storage is degraded, nothing is started: wattq info");
        if (launch_blocked(c->d->launch))
            wire_put_str(o, NULL, launch_blocked(c->d->launch));
    }
    queue_reasons(c->d->queue, run, put_reason, o);
    wire_end(o);
}

static void put_before(const struct op_call *c, struct wire_out *o, int64_t run)
{
    int64_t ids[BEFORE_SHOWN];
    size_t n = queue_before(c->d->queue, run, ids, BEFORE_SHOWN);
    wire_begin_array(o, "before");
    for (size_t i = 0; i < n && i < BEFORE_SHOWN; i++)
        wire_put_int(o, NULL, ids[i]);
    wire_end(o);
    wire_put_int(o, "before_count", (int64_t)n);
}

/* y NULL: there is nothing to foretell, for that reason. */
static void put_expected(struct wire_out *o, const struct why *y, const char *reason)
{
    const struct forecast_answer *a = y && y->a.in_ns >= 0 ? &y->a : NULL;
    wire_begin_map(o, "expected");
    if (a) {
        wire_put_int(o, "wait_ns", a->in_ns);
        wire_put_int(o, "start_utc_ns", y->now_utc_ns + a->in_ns);
        wire_put_int(o, "starts_before", (int64_t)a->starts);
        wire_put_int(o, "by_limit", (int64_t)a->limits);
        wire_put_int(o, "by_past", (int64_t)a->pasts);
        wire_put_str(o, "quality", "estimated");
    } else {
        wire_put_nil(o, "wait_ns");
        wire_put_nil(o, "start_utc_ns");
        wire_put_str(o, "reason", reason);
    }
    wire_end(o);
}

/* ---- the forecast, on a reader's thread --------------------------------------------------------- */

static int take_past(void *arg, const struct run_length *r)
{
    struct why *y = arg;
    struct spec s = {0};
    struct err e;
    struct forecast_past *p = &y->past[y->npast];
    if (runs_spec_parse(r->spec_json, &s, &e) < 0)
        return 0;
    *p = (struct forecast_past){.uid = r->uid,
                                .sweep = r->sweep,
                                .length_ns = r->length_ns,
                                .argv_hash = forecast_argv(s.argv, s.argc),
                                .label = base_strdup(r->label)};
    spec_fini(&s);
    return ++y->npast < PAST_MAX ? 0 : 1;
}

static int work(struct store *s, struct reader_job *job, struct err *e)
{
    struct why *y = container_of(job, struct why, job);
    y->past = base_alloc(PAST_MAX * sizeof(*y->past));
    int rc = runs_lengths(s, PAST_MAX, take_past, y, e);
    if (rc < 0)
        return rc;
    forecast_learn(y->f, y->past, y->npast);
    forecast_play(y->f, &y->a);
    return 0;
}

static void done(struct reader_job *job, int rc, const struct err *e)
{
    struct why *y = container_of(job, struct why, job);
    if (rc == 0)
        put_expected(&y->o, y, y->a.reason);
    for (size_t i = 0; i < y->npast; i++)
        free(y->past[i].label);
    free(y->past);
    forecast_free(y->f);
    ops_answer(&y->t, &y->o, rc, e);
    free(y);
}

int op_why(struct op_call *c, struct err *e)
{
    struct queue_run r;
    struct err why = {0};
    int64_t run = 0;
    int rc = ops_need_int(c, "run", &run, e);
    if (rc < 0)
        return rc;
    if (queue_find(c->d->queue, run, &r) != 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "run %" PRId64 " is not waiting or running", run);
        return err_next(e, "wattq show %" PRId64, run);
    }
    if (!rights_may_see(peer_rights(c->p), r.row->uid)) {
        err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " is somebody else's", run);
        return err_next(e, "wattq queue -a, which has its place");
    }
    struct why *y = base_alloc(sizeof(*y));
    y->job = (struct reader_job){.work = work, .done = done};
    y->now_utc_ns = clock_utc_ns();
    ops_keep(&y->t, c);
    ops_begin(&y->o, c->id);
    wire_put_int(&y->o, "run", run);
    wire_put_str(&y->o, "state", run_state_name(r.row->state));
    encode_opt(&y->o, "position", r.position > 0 ? r.position : RUN_NONE);
    put_reasons(c, &y->o, run);
    put_before(c, &y->o, run);
    if (queue_forecast(c->d->queue, run, &y->f, &why) == 0) {
        ops_read(&y->t, &y->job);
        return 0;
    }
    put_expected(&y->o, NULL, why.text);
    ops_answer(&y->t, &y->o, 0, NULL);
    free(y);
    return 0;
}
