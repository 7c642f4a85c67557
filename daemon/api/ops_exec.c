/* exec_begin, exec_ready, exec_abort: a run in its client's foreground. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"
#include "daemon/api/run_request.h"
#include "daemon/queue/resources.h"

static void unlink_exec(struct ops_exec *x)
{
    if (!x->p)
        return;
    struct ops_peer *s = ops_peer(x->p);
    for (struct ops_exec **at = &s->execs; *at; at = &(*at)->next) {
        if (*at == x) {
            *at = x->next;
            return;
        }
    }
}

/* The connection is gone: what has not been started yet never will be; what runs goes on under its
 * shepherd. */
void ops_exec_closed(struct ops_peer *s)
{
    while (s->execs) {
        struct ops_exec *x = s->execs;
        s->execs = x->next;
        x->p = NULL;
        if (x->run == 0)
            continue; /* on_queued frees it */
        if (x->d->queue)
            queue_exec_gone(x->d->queue, x->run, "its client went away");
        free(x);
    }
}

/* What its client is to add to its environment. */
static void put_env(struct wire_out *o, const struct queue_turn *t)
{
    const struct resources_told told = {.uuids = t->gpus,
                                        .cpus = t->cpus}; /* it knows its own environment */
    char **env = resources_env(t->spec, &told);
    wire_begin_array(o, "env");
    for (size_t i = 0; env[i]; i++)
        wire_put_str(o, NULL, env[i]);
    wire_end(o);
    resources_env_free(env);
}

static void on_turn(void *arg, const struct queue_turn *t)
{
    struct ops_exec *x = arg;
    struct wire_out o = {0};
    if (!x->p)
        return;
    ops_begin(&o, x->id);
    wire_put_int(&o, "run", t->run);
    wire_put_bool(&o, "go", true);
    wire_put_int(&o, "token", t->token);
    wire_put_str(&o, "run_dir", t->run_dir);
    wire_put_int(&o, "time_limit_ns", t->spec->time_limit_ns);
    wire_put_int(&o, "mem_bytes", t->spec->mem_bytes);
    put_env(&o, t);
    wire_put_bool(&o, "more", true);
    peer_send(x->p, &o);
    wire_out_free(&o);
}

static int follow_end(struct ops_exec *x, struct err *e)
{
    const struct stream_filter f = {.runs = &x->run, .n = 1, .sweep = RUN_NONE};
    return stream_wait_subscribe(x->d->streams, x->p, x->id, &f, STREAM_UNTIL_ENDED, 1, e);
}

static void on_queued(void *arg, int rc, const struct err *e, const int64_t *ids, size_t n)
{
    struct ops_exec *x = arg;
    struct wire_out o = {0};
    struct err refused = {0};
    struct queue_run snap;
    x->run = rc == 0 && n > 0 ? ids[0] : 0;
    if (!x->p || rc < 0) {
        if (x->p)
            peer_send_error(x->p, x->id, e);
        else if (x->run && x->d->queue)
            queue_exec_gone(x->d->queue, x->run, "its client went away");
        unlink_exec(x);
        free(x);
        return;
    }
    ops_begin(&o, x->id);
    wire_put_int(&o, "run", x->run);
    if (queue_find(x->d->queue, x->run, &snap) == 0)
        wire_put_str(&o, "state", run_state_name(snap.row->state));
    wire_put_bool(&o, "more", true);
    peer_send(x->p, &o);
    wire_out_free(&o);
    if (follow_end(x, &refused) < 0)
        peer_send_error(x->p, x->id, &refused);
}

int op_exec_begin(struct op_call *c, struct err *e)
{
    struct run_code code;
    struct spec *s = NULL;
    int rc = request_run(c, &s, &code, e);
    if (rc < 0)
        return rc;
    struct ops_peer *mine = ops_peer(c->p);
    struct ops_exec *x = base_alloc(sizeof(*x));
    *x = (struct ops_exec){.next = mine->execs, .d = c->d, .p = c->p, .id = c->id};
    mine->execs = x;
    queue_exec(c->d->queue, s, peer_uid(c->p), &code, ops_take_warrants(c), on_turn, on_queued, x);
    return 0;
}

/* Only the connection that began a run may speak for it. */
static int need_own(struct op_call *c, int64_t *run, struct err *e)
{
    int rc = ops_need_int(c, "run", run, e);
    if (rc < 0)
        return rc;
    for (struct ops_exec *x = ops_peer(c->p)->execs; x; x = x->next)
        if (x->run == *run)
            return 0;
    return err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " was not begun on this connection", *run);
}

int op_exec_ready(struct op_call *c, struct err *e)
{
    int64_t run = 0;
    int rc = need_own(c, &run, e);
    if (rc == 0)
        rc = queue_exec_ready(c->d->queue, run, wire_int(c->req, "token", -1), e);
    if (rc == 0)
        ops_ok(c->p, c->id);
    return rc;
}

int op_exec_abort(struct op_call *c, struct err *e)
{
    int64_t run = 0;
    int rc = need_own(c, &run, e);
    if (rc < 0)
        return rc;
    queue_exec_gone(c->d->queue, run, wire_str(c->req, "reason", "given up by its client"));
    ops_ok(c->p, c->id);
    return 0;
}
