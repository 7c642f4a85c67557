/* cancel, hold, release, pause, resume, retry, phase, sweep_release. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"

/* ---- several runs, one answer ------------------------------------------------------------------- */

struct batch {
    struct ops_ticket t;
    size_t waiting; /* runs not heard of yet, and one for the handler itself */
    size_t n;
    size_t failed;
    struct one *ones;
    bool retry;
};
struct one {
    struct batch *b;
    int64_t run;
    int64_t made; /* retry: the new run */
    struct err err;
};

static void put_one(struct wire_out *o, const struct batch *b, const struct one *x)
{
    struct queue_run snap;
    wire_begin_map(o, NULL);
    wire_put_int(o, "run", b->retry && !x->err.code ? x->made : x->run);
    if (b->retry && !x->err.code)
        wire_put_int(o, "retry_of", x->run);
    else if (queue_find(b->t.d->queue, x->run, &snap) == 0)
        wire_put_str(o, "state", run_state_name(snap.row->state));
    else if (!x->err.code)
        wire_put_str(o, "state", run_state_name(RUN_CANCELLED));
    if (x->err.code) {
        wire_begin_map(o, "error");
        wire_put_str(o, "code", err_name(x->err.code));
        wire_put_str(o, "text", x->err.text);
        if (x->err.next[0])
            wire_put_str(o, "next", x->err.next);
        wire_end(o);
    }
    wire_end(o);
}

/* All refused: the answer is the first refusal. Some: each row says its own. */
static void finish(struct batch *b)
{
    if (--b->waiting > 0)
        return;
    if (b->failed == b->n) {
        peer_send_error(b->t.p, b->t.id, &b->ones[0].err);
    } else {
        struct ops_list l;
        ops_list_begin(&l, b->t.id, "runs");
        for (size_t i = 0; i < b->n; i++)
            put_one(ops_list_row(&l), b, &b->ones[i]);
        ops_list_end(&l);
        ops_list_send(&l, b->t.p);
    }
    ops_drop(&b->t);
    free(b->ones);
    free(b);
}

static void on_one(void *arg, int rc, const struct err *e, const int64_t *ids, size_t n)
{
    struct one *x = arg;
    if (rc < 0) {
        x->err = *e;
        x->b->failed++;
    } else if (x->b->retry && n > 0) {
        x->made = ids[0];
    }
    finish(x->b);
}

static int begin_batch(struct op_call *c, struct batch **out, struct err *e)
{
    int64_t *ids CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = ops_need_runs(c, &ids, &n, e);
    if (rc < 0)
        return rc;
    struct batch *b = base_alloc(sizeof(*b));
    ops_keep(&b->t, c);
    b->n = n;
    b->waiting = n + 1;
    b->ones = base_alloc(n * sizeof(*b->ones));
    for (size_t i = 0; i < n; i++)
        b->ones[i] = (struct one){.b = b, .run = ids[i]};
    *out = b;
    return 0;
}

static int act_on(struct op_call *c, enum queue_verb verb, struct err *e)
{
    struct batch *b = NULL;
    int64_t sig = wire_int(c->req, "signal", 0);
    if (sig < 0 || sig > 64)
        return err_set(e, WATTQ_E_USAGE, "there is no signal %lld", (long long)sig);
    int rc = begin_batch(c, &b, e);
    if (rc < 0)
        return rc;
    const struct queue_act a = {.verb = verb,
                                .by = ops_actor(c),
                                .signal = (int)sig,
                                .grace_ns = wire_int(c->req, "grace_ns", -1),
                                .reason = wire_str(c->req, "reason", NULL)};
    for (size_t i = 0; i < b->n; i++)
        queue_act(c->d->queue, b->ones[i].run, &a, on_one, &b->ones[i]);
    finish(b);
    return 0;
}

int op_cancel(struct op_call *c, struct err *e)
{
    return act_on(c, QUEUE_CANCEL, e);
}

int op_hold(struct op_call *c, struct err *e)
{
    return act_on(c, QUEUE_HOLD, e);
}

int op_release(struct op_call *c, struct err *e)
{
    return act_on(c, QUEUE_RELEASE, e);
}

int op_pause(struct op_call *c, struct err *e)
{
    return act_on(c, QUEUE_PAUSE, e);
}

int op_resume(struct op_call *c, struct err *e)
{
    return act_on(c, QUEUE_RESUME, e);
}

int op_retry(struct op_call *c, struct err *e)
{
    struct batch *b = NULL;
    int rc = begin_batch(c, &b, e);
    if (rc < 0)
        return rc;
    b->retry = true;
    for (size_t i = 0; i < b->n; i++)
        queue_retry(c->d->queue, b->ones[i].run, ops_actor(c), on_one, &b->ones[i]);
    finish(b);
    return 0;
}

/* ---- one number back ---------------------------------------------------------------------------- */

struct number {
    struct ops_ticket t;
    const char *key;
};

static void on_number(void *arg, int rc, const struct err *e, const int64_t *ids, size_t n)
{
    struct number *x = arg;
    struct wire_out o = {0};
    if (rc < 0) {
        peer_send_error(x->t.p, x->t.id, e);
    } else {
        ops_begin(&o, x->t.id);
        if (n > 0)
            wire_put_int(&o, x->key, ids[0]);
        peer_send(x->t.p, &o);
        wire_out_free(&o);
    }
    ops_drop(&x->t);
    free(x);
}

static struct number *new_number(const struct op_call *c, const char *key)
{
    struct number *x = base_alloc(sizeof(*x));
    ops_keep(&x->t, c);
    x->key = key;
    return x;
}

int op_phase(struct op_call *c, struct err *e)
{
    int64_t run = 0;
    const struct wire_val *v = wire_get(c->req, "name");
    const char *name = wire_as_str(v, NULL);
    int rc = ops_need_int(c, "run", &run, e);
    if (rc < 0)
        return rc;
    if (wire_type(v) != WIRE_NIL && (!name || !spec_key_ok(name) || strlen(name) >= SPEC_KEY_MAX)) {
        err_set(e, WATTQ_E_USAGE, "a phase is named like a variable: letters, digits and _.-");
        return err_next(e, "wattq phase train");
    }
    queue_phase(c->d->queue, run, ops_actor(c), name, on_number, new_number(c, "t_ns"));
    return 0;
}

int op_sweep_release(struct op_call *c, struct err *e)
{
    int64_t sweep = 0;
    int rc = ops_need_int(c, "sweep", &sweep, e);
    if (rc < 0)
        return rc;
    queue_sweep_release(c->d->queue, sweep, ops_actor(c), on_number, new_number(c, "released"));
    return 0;
}
