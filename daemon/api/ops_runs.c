/* runs: the history, newest first, a page at a time. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/query.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     10000

struct runs_job {
    struct reader_job job;
    struct ops_ticket t;
    struct run_query q;
    struct filter *where; /* NULL = none was given */
    char *label;
    struct encode_want want;
    struct encode enc;
    struct ops_list l;
    struct store *s;
    struct err *e;
    int64_t *ids; /* NULL = a page of the history; else these runs */
    size_t nids;
    int64_t seen;
    int64_t next; /* RUN_NONE = that was all */
};

static int put_row(void *arg, const struct run_row *row)
{
    struct runs_job *j = arg;
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_map(o, NULL);
    int rc = encode_row(j->s, &j->enc, o, row, NULL, &j->want, j->e);
    wire_end(o);
    if (rc < 0)
        return rc;
    if (++j->seen < j->q.limit && !ops_list_full(&j->l))
        return 0;
    j->next = row->id;
    return 1;
}

/* The runs named, in the order named; the reply says where it stopped when it became too long. */
static int put_named(struct store *s, struct runs_job *j, struct err *e)
{
    for (size_t i = 0; i < j->nids; i++) {
        struct run_row row CLEANUP(run_row_fini) = {0};
        if (ops_list_full(&j->l)) {
            j->next = j->ids[i];
            return 0;
        }
        int rc = runs_get(s, j->ids[i], &row, e);
        if (rc > 0)
            return ops_no_run(j->ids[i], e);
        if (rc == 0)
            rc = put_row(j, &row);
        if (rc < 0)
            return rc;
    }
    j->next = RUN_NONE;
    return 0;
}

static int put_found(void *arg, int64_t id, const struct query_cell *cells)
{
    struct runs_job *j = arg;
    struct run_row row CLEANUP(run_row_fini) = {0};
    (void)cells;
    int rc = runs_get(j->s, id, &row, j->e);
    return rc == 0 ? put_row(j, &row) : rc < 0 ? rc : 0;
}

static int find_runs(struct runs_job *j)
{
    struct query *q CLEANUP(base_freep) = base_alloc(sizeof(*q));
    query_init(q);
    q->base = j->q;
    q->where = j->where;
    ops_limit_query(&j->enc.as, q);
    return query_run(j->s, q, put_found, j, j->e);
}

static int runs_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct runs_job *j = container_of(job, struct runs_job, job);
    j->s = s;
    j->e = e;
    int rc = j->ids     ? put_named(s, j, e)
             : j->where ? find_runs(j)
                        : runs_list(s, &j->q, put_row, j, e);
    if (rc < 0)
        return rc;
    encode_opt(ops_list_end(&j->l), "next", j->next);
    return 0;
}

static void runs_done(struct reader_job *job, int rc, const struct err *e)
{
    struct runs_job *j = container_of(job, struct runs_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    filter_free(j->where);
    free(j->label);
    free(j->ids);
    free(j);
}

static int take_state(const struct op_call *c, int *out, struct err *e)
{
    const char *name = wire_str(c->req, "state", NULL);
    enum run_state state = RUN_STATES;
    *out = -1;
    if (!name)
        return 0;
    if (run_state_parse(name, &state) != 0) {
        err_set(e, WATTQ_E_USAGE, "there is no state '%.40s'", name);
        return err_next(e, "held queued starting running paused stopping done failed timeout "
                           "energy_limit oom cancelled skipped lost");
    }
    *out = (int)state;
    return 0;
}

int ops_where(const struct op_call *c, struct filter **out, struct err *e)
{
    const struct wire_val *v = wire_get(c->req, "where");
    const char *text = wire_as_str(v, NULL);
    *out = NULL;
    if (wire_type(v) == WIRE_NIL)
        return 0;
    if (!text)
        return err_set(e, WATTQ_E_USAGE, "'where' must be a filter's text");
    return filter_parse(out, text, clock_utc_ns(), e);
}

void ops_limit_query(const struct rights *as, struct query *q)
{
    q->visible_uid = as->details ? RUN_NONE : as->uid;
    q->coarse = !as->raw;
}

int op_runs(struct op_call *c, struct err *e)
{
    int state = -1;
    int64_t limit = wire_int(c->req, "limit", LIMIT_DEFAULT);
    int rc = take_state(c, &state, e);
    if (rc < 0)
        return rc;
    if (limit < 1 || limit > LIMIT_MAX)
        return err_set(e, WATTQ_E_LIMIT, "a page has 1 to %d runs", LIMIT_MAX);
    int64_t *ids = NULL;
    size_t nids = 0;
    if (wire_type(wire_get(c->req, "runs")) != WIRE_NIL)
        rc = ops_need_runs(c, &ids, &nids, e);
    struct filter *where = NULL;
    if (rc == 0)
        rc = ops_where(c, &where, e);
    if (rc < 0) {
        free(ids);
        return rc;
    }
    struct runs_job *j = base_alloc(sizeof(*j));
    j->ids = ids;
    j->nids = nids;
    const char *label = wire_str(c->req, "label", NULL);
    j->job = (struct reader_job){.work = runs_work, .done = runs_done};
    j->where = where;
    j->enc.as = *peer_rights(c->p);
    j->job.slow = where != NULL;
    j->label = label ? base_strdup(label) : NULL;
    j->q = (struct run_query){
        .uid = wire_bool(c->req, "mine", false) ? (int64_t)peer_uid(c->p) : RUN_NONE,
        .sweep = wire_int(c->req, "sweep", RUN_NONE),
        .state = state,
        .label = j->label,
        .since_utc_ns = wire_int(c->req, "since_utc_ns", RUN_NONE),
        .until_utc_ns = wire_int(c->req, "until_utc_ns", RUN_NONE),
        .before_id = wire_int(c->req, "before", RUN_NONE),
        .limit = limit,
    };
    j->want = (struct encode_want){.energy = wire_bool(c->req, "energy", false),
                                   .params = wire_bool(c->req, "params", false)};
    j->next = RUN_NONE;
    ops_keep(&j->t, c);
    ops_list_begin(&j->l, c->id, "runs");
    ops_read(&j->t, &j->job);
    return 0;
}
