#include "daemon/api/ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"

const struct op ops_table[] = {
    {"hello", RIGHTS_ANY, op_hello},
    {"info", RIGHTS_ANY, op_info},
    {"warrants", RIGHTS_SUBMIT, op_warrants},
    {"submit", RIGHTS_SUBMIT, op_submit},
    {"sweep", RIGHTS_SUBMIT, op_sweep},
    {"sweep_begin", RIGHTS_SUBMIT, op_sweep_begin},
    {"sweep_rows", RIGHTS_SUBMIT, op_sweep_rows},
    {"sweep_commit", RIGHTS_SUBMIT, op_sweep_commit},
    {"sweeps", RIGHTS_ANY, op_sweeps},
    {"sweep_release", RIGHTS_OWN, op_sweep_release},
    {"queue", RIGHTS_ANY, op_queue},
    {"show", RIGHTS_ANY, op_show},
    {"logs", RIGHTS_DETAIL, op_logs},
    {"wait", RIGHTS_ANY, op_wait},
    {"watch", RIGHTS_ANY, op_watch},
    {"cancel", RIGHTS_OWN, op_cancel},
    {"hold", RIGHTS_OWN, op_hold},
    {"release", RIGHTS_OWN, op_release},
    {"pause", RIGHTS_OWN, op_pause},
    {"resume", RIGHTS_OWN, op_resume},
    {"retry", RIGHTS_SUBMIT, op_retry},
    {"bump", RIGHTS_OWN, op_bump},
    {"why", RIGHTS_DETAIL, op_why},
    {"runs", RIGHTS_ANY, op_runs},
    {"table", RIGHTS_ANY, op_table},
    {"energy", RIGHTS_ANY, op_energy},
    {"power", RIGHTS_ANY, op_power},
    {"meters", RIGHTS_ANY, op_meters},
    {"meter", RIGHTS_ANY, op_meter},
    {"phase", RIGHTS_OWN, op_phase},
    {"tag", RIGHTS_OWN, op_tag},
    {"note", RIGHTS_OWN, op_note},
    {"label", RIGHTS_OWN, op_label},
    {"metric", RIGHTS_OWN, op_metric},
    {"exec_begin", RIGHTS_SUBMIT, op_exec_begin},
    {"exec_ready", RIGHTS_SUBMIT, op_exec_ready},
    {"exec_abort", RIGHTS_SUBMIT, op_exec_abort},
    {"idle", RIGHTS_ANY, op_idle},
    {"audit", RIGHTS_WHOLE, op_audit},
    {"check", RIGHTS_ADMIN, op_check},
    {"compact", RIGHTS_ADMIN, op_compact},
    {"backup", RIGHTS_DATABASE, op_backup},
    {"calibrate", RIGHTS_ADMIN, op_calibrate},
    {"calibrations", RIGHTS_ANY, op_calibrations},
    {"idle_measure", RIGHTS_ADMIN, op_idle_measure},
    {"baselines", RIGHTS_ANY, op_baselines},
    {"who", RIGHTS_ANY, op_who},
    {"export", RIGHTS_RAW, op_export},
    {"pin", RIGHTS_OWN, op_pin},
    {"unpin", RIGHTS_OWN, op_unpin},
    {"settle", RIGHTS_OWN, op_settle},
    {"import_begin", RIGHTS_SUBMIT, op_import_begin},
    {"import_rows", RIGHTS_SUBMIT, op_import_rows},
    {"import_commit", RIGHTS_SUBMIT, op_import_commit},
    {"curves", RIGHTS_DETAIL, op_curves},
    {"model_put", RIGHTS_ADMIN, op_model_put},
    {"models", RIGHTS_WHOLE, op_models},
    {"retire", RIGHTS_ADMIN, op_retire},
    {"forget", RIGHTS_ADMIN, op_forget},
    {"admin_log", RIGHTS_ADMIN, op_admin_log},
    {"gpu", RIGHTS_ADMIN, op_gpu},
};
const size_t ops_count = ARRAY_LEN(ops_table);

static int dispatch(struct op_call *c, struct err *e)
{
    const char *name = wire_str(c->req, "op", NULL);
    if (!name)
        return err_set(e, WATTQ_E_PROTOCOL, "a request needs an 'op'");
    for (size_t i = 0; i < ops_count; i++) {
        const struct op *op = &ops_table[i];
        if (strcmp(op->name, name) != 0)
            continue;
        int rc = rights_check(peer_rights(c->p), op->who, name, e);
        return rc < 0 ? rc : op->handle(c, e);
    }
    err_set(e, WATTQ_E_PROTOCOL, "there is no operation '%.40s'", name);
    return err_next(e, "see docs/protocol.md, or use a client of this version");
}

void ops_on_request(void *daemon, struct peer *p, const struct wire_val *request)
{
    struct err e = {0};
    struct op_call c = {daemon, p, wire_int(request, "id", 0), request};
    if (c.d->stopping)
        err_set(&e, WATTQ_E_UNAVAILABLE, "wattqd is stopping");
    else if (dispatch(&c, &e) >= 0)
        return;
    peer_send_error(p, c.id, &e);
}

struct ops_peer *ops_peer(struct peer *p)
{
    struct ops_peer *s = peer_data(p);
    if (!s) {
        s = base_alloc(sizeof(*s));
        peer_set_data(p, s);
    }
    return s;
}

void ops_on_close(void *daemon, struct peer *p)
{
    struct ops_peer *s = peer_data(p);
    (void)daemon;
    if (!s)
        return;
    peer_set_data(p, NULL);
    ops_draft_free(s->draft);
    ops_import_free(s->import);
    ops_exec_closed(s);
    ops_logs_closed(s);
    ops_measure_closed(s);
    ops_check_closed(s);
    ops_backup_closed(s);
    warrants_free(s->warrants);
    free(s);
}

void ops_put_run(void *daemon, struct wire_out *o, const char *key, const struct queue_run *r,
                 const struct rights *as)
{
    struct encode enc = {.as = *as};
    (void)daemon;
    wire_begin_map(o, key);
    encode_run(&enc, o, r->row, r);
    wire_end(o);
}

/* ---- replies ------------------------------------------------------------------------------------ */

void ops_begin(struct wire_out *o, int64_t id)
{
    wire_out_reset(o);
    wire_put_int(o, "id", id);
    wire_put_bool(o, "ok", true);
}

void ops_ok(struct peer *p, int64_t id)
{
    struct wire_out o = {0};
    ops_begin(&o, id);
    peer_send(p, &o);
    wire_out_free(&o);
}

void ops_keep(struct ops_ticket *t, const struct op_call *c)
{
    *t = (struct ops_ticket){c->d, peer_ref(c->p), c->id};
}

void ops_drop(struct ops_ticket *t)
{
    peer_unref(t->p);
    t->p = NULL;
}

static bool peer_gone(const void *asker)
{
    return peer_closing(asker);
}

void ops_read(const struct ops_ticket *t, struct reader_job *job)
{
    job->gone = peer_gone;
    job->asker = t->p;
    job->uid = peer_uid(t->p);
    storage_read(t->d->storage, job);
}

/* ---- lists -------------------------------------------------------------------------------------- */

static void new_frame(struct ops_list *l)
{
    l->frames = realloc(l->frames, (l->n + 1) * sizeof(*l->frames));
    if (!l->frames)
        abort();
    struct wire_out *o = &l->frames[l->n++];
    *o = (struct wire_out){0};
    ops_begin(o, l->id);
    wire_begin_array(o, l->key);
}

void ops_list_begin(struct ops_list *l, int64_t id, const char *key)
{
    *l = (struct ops_list){.id = id, .key = key};
    new_frame(l);
}

struct wire_out *ops_list_row(struct ops_list *l)
{
    struct wire_out *o = &l->frames[l->n - 1];
    if (o->bytes > OPS_FRAME_FULL) {
        wire_end(o);
        wire_put_bool(o, "more", true);
        l->bytes += o->bytes;
        new_frame(l);
        o = &l->frames[l->n - 1];
    }
    return o;
}

bool ops_list_full(const struct ops_list *l)
{
    return l->bytes + l->frames[l->n - 1].bytes > OPS_REPLY_MAX;
}

struct wire_out *ops_list_end(struct ops_list *l)
{
    struct wire_out *o = &l->frames[l->n - 1];
    wire_end(o);
    return o;
}

void ops_list_free(struct ops_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        wire_out_free(&l->frames[i]);
    free(l->frames);
    *l = (struct ops_list){0};
}

void ops_list_send(struct ops_list *l, struct peer *p)
{
    for (size_t i = 0; i < l->n; i++)
        peer_send(p, &l->frames[i]);
    ops_list_free(l);
}

/* ---- answers ------------------------------------------------------------------------------------ */

void ops_answer(struct ops_ticket *t, struct wire_out *o, int rc, const struct err *e)
{
    if (rc < 0)
        peer_send_error(t->p, t->id, e);
    else
        peer_send(t->p, o);
    wire_out_free(o);
    ops_drop(t);
}

void ops_answer_list(struct ops_ticket *t, struct ops_list *l, int rc, const struct err *e)
{
    if (rc < 0) {
        peer_send_error(t->p, t->id, e);
        ops_list_free(l);
    } else {
        ops_list_send(l, t->p);
    }
    ops_drop(t);
}

/* ---- rights --------------------------------------------------------------------------------------- */

struct run_actor ops_actor(const struct op_call *c)
{
    const struct rights *as = peer_rights(c->p);
    return (struct run_actor){as->uid, as->admin};
}

int ops_may_see(struct store *s, const struct rights *as, int64_t run, struct err *e)
{
    struct run_row row CLEANUP(run_row_fini) = {0};
    int rc = as->details ? 0 : runs_get(s, run, &row, e);
    if (rc > 0)
        return ops_no_run(run, e);
    if (rc < 0 || as->details || rights_may_see(as, row.uid))
        return rc;
    err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " is somebody else's: you see its summary only",
            run);
    return err_next(e, "wattq show %" PRId64, run);
}

/* ---- request keys ------------------------------------------------------------------------------- */

int ops_need_int(const struct op_call *c, const char *key, int64_t *out, struct err *e)
{
    const struct wire_val *v = wire_get(c->req, key);
    if (wire_type(v) != WIRE_INT)
        return err_set(e, WATTQ_E_USAGE, "'%s' must be an integer", key);
    *out = wire_as_int(v, 0);
    return 0;
}

int ops_need_runs(const struct op_call *c, int64_t **ids, size_t *n, struct err *e)
{
    const struct wire_val *list = wire_get(c->req, "runs");
    *n = wire_len(list);
    if (wire_type(list) != WIRE_ARRAY || *n == 0)
        return err_set(e, WATTQ_E_USAGE, "'runs' must be an array of run ids");
    if (*n > OPS_RUNS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "at most %d runs at a time", OPS_RUNS_MAX);
    *ids = base_alloc(*n * sizeof(**ids));
    for (size_t i = 0; i < *n; i++) {
        (*ids)[i] = wire_as_int(wire_at(list, i), -1);
        if ((*ids)[i] < 0) {
            free(*ids);
            *ids = NULL;
            return err_set(e, WATTQ_E_USAGE, "'runs' element %zu is no run id", i);
        }
    }
    return 0;
}

int ops_no_run(int64_t run, struct err *e)
{
    err_set(e, WATTQ_E_NOT_FOUND, "there is no run %" PRId64, run);
    return err_next(e, "wattq runs lists them");
}
