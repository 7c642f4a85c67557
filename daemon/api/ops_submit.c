/* warrants, submit, sweep, sweep_begin/rows/commit, sweep_release. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/sha256.h"
#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/api/run_request.h"

#define DRAFT_BYTES_MAX (64u << 20) /* environments that differ from row to row */

/* ---- what code it is ---------------------------------------------------------------------------- */

void request_code(const struct wire_val *run, struct run_code *c)
{
    const struct wire_val *m = wire_get(run, "code");
    struct sha256 h;
    *c = (struct run_code){.dirty = -1};
    if (wire_type(m) != WIRE_MAP || wire_len(m) == 0)
        return;
    c->commit_id = wire_str(m, "commit_id", NULL);
    c->diff = wire_str(m, "diff", NULL);
    c->script_sha256 = wire_str(m, "script_sha256", NULL);
    c->interpreter = wire_str(m, "interpreter", NULL);
    const struct wire_val *dirty = wire_get(m, "dirty");
    if (wire_type(dirty) == WIRE_BOOL)
        c->dirty = wire_bool(m, "dirty", false);
    else if (wire_type(dirty) == WIRE_INT)
        c->dirty = wire_as_int(dirty, 0) != 0;
    const char *const parts[] = {c->commit_id, c->diff, c->script_sha256, c->interpreter};
    const uint8_t flag = (uint8_t)(c->dirty + 1);
    sha256_init(&h);
    sha256_add(&h, &flag, 1);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *text = parts[i] ? parts[i] : "\x01"; /* absent is not empty */
        sha256_add(&h, text, strlen(text) + 1);
    }
    sha256_end_hex(&h, c->hash);
}

int request_run(const struct op_call *c, struct spec **out, struct run_code *code, struct err *e)
{
    const struct wire_val *run = wire_get(c->req, "run");
    if (wire_type(run) != WIRE_MAP)
        return err_set(e, WATTQ_E_USAGE, "'run' must be a map");
    struct spec *s = base_alloc(sizeof(*s));
    int rc = spec_from_wire(s, run, e);
    if (rc < 0) {
        free(s);
        return rc;
    }
    rc = rights_check_priority(&c->d->policy, peer_rights(c->p), s->priority, e);
    if (rc < 0) {
        spec_fini(s);
        free(s);
        return rc;
    }
    request_code(run, code);
    *out = s;
    return 0;
}

/* ---- warrants ----------------------------------------------------------------------------------- */

/* In system mode a client has its runs signed first (queue/warrants.h). They wait on its connection for the
 * submission that comes next; a refused one leaves nothing behind. */
int op_warrants(struct op_call *c, struct err *e)
{
    struct ops_peer *s = ops_peer(c->p);
    struct wire_out o = {0};
    const struct wire_val *list = wire_get(c->req, "warrants");
    int rc = wire_type(list) == WIRE_ARRAY
                 ? 0
                 : err_set(e, WATTQ_E_USAGE, "'warrants' must be an array of bin");
    if (!s->warrants)
        s->warrants = warrants_new();
    for (size_t i = 0; rc == 0 && i < wire_len(list); i++) {
        const struct wire_val *v = wire_at(list, i);
        size_t bytes = wire_type(v) == WIRE_BIN ? wire_len(v) : 0;
        rc = warrants_add(s->warrants, wire_as_bytes(v), bytes, peer_uid(c->p),
                          clock_utc_ns() / NS_PER_S, e);
    }
    if (rc < 0) {
        warrants_free(ops_take_warrants(c));
        return rc;
    }
    ops_begin(&o, c->id);
    wire_put_int(&o, "warrants", (int64_t)warrants_count(s->warrants));
    peer_send(c->p, &o);
    wire_out_free(&o);
    return 0;
}

struct warrants *ops_take_warrants(struct op_call *c)
{
    struct ops_peer *s = ops_peer(c->p);
    struct warrants *w = s->warrants;
    s->warrants = NULL;
    return w;
}

/* ---- submit ------------------------------------------------------------------------------------- */

struct reply { /* to one request, when its commit is there */
    struct ops_ticket t;
    struct queue_skipped *skipped;
    size_t nskipped;
    size_t runs;
};

static struct reply *new_reply(const struct op_call *c)
{
    struct reply *r = base_alloc(sizeof(*r));
    ops_keep(&r->t, c);
    return r;
}

static void free_reply(struct reply *r)
{
    queue_expand_free(NULL, 0, r->skipped, r->nskipped);
    ops_drop(&r->t);
    free(r);
}

/* How much it will be given; nothing where it did not say and there is none, or it is to have all. */
static void put_given(struct wire_out *o, const char *spec_json)
{
    struct spec s;
    struct err e;
    if (runs_spec_parse(spec_json, &s, &e) < 0)
        return;
    if (s.gpus >= 0)
        wire_put_int(o, "gpus", s.gpus);
    if (s.cpus > 0)
        wire_put_int(o, "cpus", s.cpus);
    if (s.time_limit_ns > 0)
        wire_put_int(o, "time_limit_ns", s.time_limit_ns);
    spec_fini(&s);
}

static void on_submitted(void *arg, int rc, const struct err *e, const int64_t *ids, size_t n)
{
    struct reply *r = arg;
    struct wire_out o = {0};
    struct queue_run run;
    if (rc < 0) {
        peer_send_error(r->t.p, r->t.id, e);
    } else {
        ops_begin(&o, r->t.id);
        wire_put_int(&o, "run", n > 0 ? ids[0] : 0);
        if (n > 0 && queue_find(r->t.d->queue, ids[0], &run) == 0) {
            wire_put_str(&o, "uuid", run.row->uuid);
            put_given(&o, run.row->spec_json);
        }
        peer_send(r->t.p, &o);
        wire_out_free(&o);
    }
    free_reply(r);
}

int op_submit(struct op_call *c, struct err *e)
{
    struct run_code code;
    struct spec *s = NULL;
    int rc = request_run(c, &s, &code, e);
    if (rc < 0)
        return rc;
    if (s->kind == SPEC_EXEC) {
        spec_fini(s);
        free(s);
        return err_set(e, WATTQ_E_USAGE, "a foreground run is begun by exec_begin");
    }
    queue_submit(c->d->queue, s, 1, peer_uid(c->p), &code, ops_take_warrants(c), on_submitted,
                 new_reply(c));
    return 0;
}

/* ---- sweep -------------------------------------------------------------------------------------- */

static void put_skipped(struct wire_out *o, const struct queue_skipped *s)
{
    char *text CLEANUP(base_freep) = base_strdup(s->params);
    char *save = NULL;
    wire_begin_map(o, NULL);
    wire_begin_map(o, "params");
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');
        if (!eq)
            continue;
        *eq = '\0';
        wire_put_str(o, w, eq + 1);
    }
    wire_end(o);
    wire_put_str(o, "reason", s->reason);
    wire_end(o);
}

static void on_sweep(void *arg, int rc, const struct err *e, int64_t sweep, int64_t first,
                     int64_t last)
{
    struct reply *r = arg;
    struct ops_list l;
    if (rc < 0) {
        peer_send_error(r->t.p, r->t.id, e);
        free_reply(r);
        return;
    }
    ops_list_begin(&l, r->t.id, "skipped");
    for (size_t i = 0; i < r->nskipped && !ops_list_full(&l); i++)
        put_skipped(ops_list_row(&l), &r->skipped[i]);
    struct wire_out *o = ops_list_end(&l);
    wire_put_int(o, "sweep", sweep);
    wire_put_int(o, "runs", (int64_t)r->runs);
    wire_put_int(o, "first", first);
    wire_put_int(o, "last", last);
    wire_put_int(o, "left_out", (int64_t)r->nskipped);
    ops_list_send(&l, r->t.p);
    free_reply(r);
}

struct sweep_request {
    struct queue_sweep sw;
    struct spec *run;
    struct run_code code;
};

static void free_words(char **words, size_t n)
{
    for (size_t i = 0; words && i < n; i++)
        free(words[i]);
    free(words);
}

static void free_request(struct sweep_request *q)
{
    for (size_t i = 0; i < q->sw.naxes; i++)
        spec_axis_fini(&q->sw.axes[i]);
    free(q->sw.axes);
    free_words(q->sw.canary, q->sw.ncanary);
    free_words(q->sw.warmup, q->sw.nwarmup);
    if (q->run)
        spec_fini(q->run);
    free(q->run);
}

static int take_axis(struct spec_axis *a, const struct wire_val *v, struct err *e)
{
    const struct wire_val *values = wire_get(v, "values");
    const char *key = wire_str(v, "key", "");
    if (!spec_key_ok(key) || !base_strcpy(a->key, sizeof(a->key), key))
        return err_set(e, WATTQ_E_USAGE, "'%.60s' is no name for a key", key);
    size_t n = wire_len(values);
    if (wire_type(values) != WIRE_ARRAY || n == 0 || n > SPEC_SWEEP_RUNS)
        return err_set(e, WATTQ_E_USAGE, "the key '%s' needs 1 to %d values", key, SPEC_SWEEP_RUNS);
    a->values = base_alloc((n + 1) * sizeof(*a->values));
    for (size_t i = 0; i < n; i++) {
        const char *text = wire_as_str(wire_at(values, i), NULL);
        if (!text)
            return err_set(e, WATTQ_E_USAGE, "value %zu of '%s' is not text", i, key);
        a->values[a->n++] = base_strdup(text);
    }
    return 0;
}

static int take_axes(struct queue_sweep *sw, const struct wire_val *axes, struct err *e)
{
    size_t n = wire_len(axes);
    if (n > SPEC_PARAMS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "at most %d keys", SPEC_PARAMS_MAX);
    sw->axes = base_alloc((n + 1) * sizeof(*sw->axes));
    for (size_t i = 0; i < n; i++) {
        sw->naxes++;
        int rc = take_axis(&sw->axes[i], wire_at(axes, i), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A command line beside the grid: an array of text, or absent. */
static int take_words(char ***out, size_t *n, const struct wire_val *m, const char *key,
                      struct err *e)
{
    const struct wire_val *v = wire_get(m, key);
    size_t count = wire_len(v);
    size_t bytes = 0;
    if (wire_type(v) == WIRE_NIL)
        return 0;
    if (wire_type(v) != WIRE_ARRAY || count == 0 || count > SPEC_ARGC_MAX)
        return err_set(e, WATTQ_E_USAGE, "'%s' needs 1 to %d words", key, SPEC_ARGC_MAX);
    *out = base_alloc((count + 1) * sizeof(**out));
    for (size_t i = 0; i < count; i++) {
        const char *text = wire_as_str(wire_at(v, i), NULL);
        bytes += text ? strlen(text) + 1 : 0;
        if (!text || bytes > SPEC_ARGV_BYTES)
            return err_set(e, WATTQ_E_USAGE, "word %zu of '%s' is not text, or too long", i, key);
        (*out)[(*n)++] = base_strdup(text);
    }
    return 0;
}

static int take_design(struct queue_sweep *sw, const struct wire_val *m, struct err *e)
{
    sw->canary_every = wire_int(m, "canary_every", 0);
    int rc = take_words(&sw->canary, &sw->ncanary, m, "canary", e);
    return rc == 0 ? take_words(&sw->warmup, &sw->nwarmup, m, "warmup", e) : rc;
}

static int take_sweep(struct sweep_request *q, const struct wire_val *m, struct err *e)
{
    const struct wire_val *run = wire_get(m, "run");
    const char *order = wire_str(m, "order", "random");
    *q = (struct sweep_request){.sw = {.seed = wire_int(m, "seed", 0),
                                       .repeat = wire_int(m, "repeat", 1),
                                       .max_fails = wire_int(m, "max_fails", 5),
                                       .max_running = wire_int(m, "max_running", 0)}};
    if (wire_type(run) != WIRE_MAP)
        return err_set(e, WATTQ_E_USAGE, "a sweep needs a 'run'");
    q->sw.random = strcmp(order, "random") == 0;
    if (!q->sw.random && strcmp(order, "given") != 0)
        return err_set(e, WATTQ_E_USAGE, "order is random or given, not '%.40s'", order);
    base_strcpy(q->sw.label, sizeof(q->sw.label), wire_str(m, "label", ""));
    q->run = base_alloc(sizeof(*q->run));
    int rc = spec_from_wire(q->run, run, e);
    if (rc < 0) {
        free(q->run);
        q->run = NULL;
        return rc;
    }
    q->sw.run = q->run;
    request_code(run, &q->code);
    q->sw.code = &q->code;
    rc = take_axes(&q->sw, wire_get(m, "axes"), e);
    return rc == 0 ? take_design(&q->sw, m, e) : rc;
}

static int nothing_left(const struct queue_skipped *skipped, size_t n, struct err *e)
{
    if (n == 0)
        return err_set(e, WATTQ_E_USAGE, "a sweep needs at least one run");
    err_set(e, WATTQ_E_INVALID, "nothing is left of the sweep; %.120s: %.120s", skipped[0].params,
            skipped[0].reason);
    return err_next(e, "choose other sizes, shapes or depths");
}

int op_sweep(struct op_call *c, struct err *e)
{
    struct sweep_request q;
    struct spec *specs = NULL;
    struct queue_skipped *skipped = NULL;
    size_t n = 0;
    size_t nskipped = 0;
    int rc = take_sweep(&q, wire_get(c->req, "sweep"), e);
    if (rc == 0)
        rc = rights_check_priority(&c->d->policy, peer_rights(c->p), q.run->priority, e);
    if (rc == 0)
        rc = queue_expand(&q.sw, &specs, &n, &skipped, &nskipped, e);
    if (rc == 0 && n == 0) {
        rc = nothing_left(skipped, nskipped, e);
        queue_expand_free(specs, n, skipped, nskipped);
    }
    if (rc == 0) {
        struct reply *r = new_reply(c);
        r->skipped = skipped;
        r->nskipped = nskipped;
        r->runs = n;
        queue_submit_sweep(c->d->queue, specs, n, &q.sw, peer_uid(c->p), ops_take_warrants(c),
                           on_sweep, r);
    }
    free_request(&q);
    return rc;
}

/* ---- drafts ------------------------------------------------------------------------------------- */

struct ops_draft {
    int64_t number;
    struct spec *specs;
    size_t n;
    size_t cap;
    size_t env_bytes; /* of rows whose environment is not the first one's */
    char label[SPEC_LABEL_MAX + 1];
    int64_t max_fails;
};

void ops_draft_free(struct ops_draft *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n; i++)
        spec_fini(&d->specs[i]);
    free(d->specs);
    free(d);
}

int op_sweep_begin(struct op_call *c, struct err *e)
{
    struct ops_peer *s = ops_peer(c->p);
    struct wire_out o = {0};
    if (s->draft)
        return err_set(e, WATTQ_E_CONFLICT, "this connection has begun a sweep already");
    s->draft = base_alloc(sizeof(*s->draft));
    s->draft->number = 1;
    s->draft->max_fails = wire_int(c->req, "max_fails", 5);
    base_strcpy(s->draft->label, sizeof(s->draft->label), wire_str(c->req, "label", ""));
    ops_begin(&o, c->id);
    wire_put_int(&o, "draft", s->draft->number);
    peer_send(c->p, &o);
    wire_out_free(&o);
    return 0;
}

static int need_draft(struct op_call *c, struct ops_draft **out, struct err *e)
{
    *out = ops_peer(c->p)->draft;
    if (!*out || wire_int(c->req, "draft", 0) != (*out)->number)
        return err_set(e, WATTQ_E_NOT_FOUND,
                       "this connection has no such draft; begin with sweep_begin");
    return 0;
}

static bool same_env(const struct spec *a, const struct spec *b)
{
    if (a->envc != b->envc)
        return false;
    for (size_t i = 0; i < a->envc; i++)
        if (strcmp(a->env[i], b->env[i]) != 0)
            return false;
    return true;
}

/* Rows with the first one's environment share it. */
static int share_env(struct ops_draft *d, struct spec *s, struct err *e)
{
    if (d->n == 0)
        return 0;
    if (same_env(&d->specs[0], s)) {
        for (size_t i = 0; i < s->envc; i++)
            free(s->env[i]);
        free(s->env);
        s->env = NULL;
        s->envc = 0;
        return 0;
    }
    for (size_t i = 0; i < s->envc; i++)
        d->env_bytes += strlen(s->env[i]) + 1;
    if (d->env_bytes > DRAFT_BYTES_MAX)
        return err_set(e, WATTQ_E_LIMIT, "the rows' environments differ by more than %u MiB in all",
                       DRAFT_BYTES_MAX >> 20);
    return 0;
}

static int add_row(const struct op_call *c, struct ops_draft *d, const struct wire_val *v,
                   struct err *e)
{
    if (d->n >= SPEC_SWEEP_RUNS)
        return err_set(e, WATTQ_E_LIMIT, "a sweep has at most %d runs", SPEC_SWEEP_RUNS);
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 64;
        d->specs = realloc(d->specs, d->cap * sizeof(*d->specs));
        if (!d->specs)
            abort();
    }
    struct spec *s = &d->specs[d->n];
    int rc = spec_from_wire(s, v, e);
    if (rc < 0)
        return rc;
    rc = s->kind == SPEC_EXEC ? err_set(e, WATTQ_E_USAGE, "a sweep has no foreground runs")
                              : share_env(d, s, e);
    if (rc == 0)
        rc = rights_check_priority(&c->d->policy, peer_rights(c->p), s->priority, e);
    if (rc < 0)
        spec_fini(s);
    else
        d->n++;
    return rc;
}

int op_sweep_rows(struct op_call *c, struct err *e)
{
    struct ops_draft *d = NULL;
    struct wire_out o = {0};
    const struct wire_val *runs = wire_get(c->req, "runs");
    int rc = need_draft(c, &d, e);
    if (rc == 0 && wire_type(runs) != WIRE_ARRAY)
        rc = err_set(e, WATTQ_E_USAGE, "'runs' must be an array of run maps");
    for (size_t i = 0; rc == 0 && i < wire_len(runs); i++)
        rc = add_row(c, d, wire_at(runs, i), e);
    if (rc < 0)
        return rc;
    ops_begin(&o, c->id);
    wire_put_int(&o, "rows", (int64_t)d->n);
    peer_send(c->p, &o);
    wire_out_free(&o);
    return 0;
}

/* The first row lends its environment to the others; it keeps a copy of its own as the sweep's run. */
int op_sweep_commit(struct op_call *c, struct err *e)
{
    struct ops_draft *d = NULL;
    int rc = need_draft(c, &d, e);
    if (rc == 0 && d->n == 0)
        rc = err_set(e, WATTQ_E_USAGE, "the draft has no rows");
    if (rc < 0)
        return rc;
    struct queue_sweep sw = {.run = &d->specs[0], .repeat = 1, .max_fails = d->max_fails};
    base_strcpy(sw.label, sizeof(sw.label), d->label);
    struct reply *r = new_reply(c);
    r->runs = d->n;
    struct spec *specs = d->specs;
    size_t n = d->n;
    d->specs = NULL;
    d->n = 0;
    ops_draft_free(d);
    ops_peer(c->p)->draft = NULL;
    queue_submit_sweep(c->d->queue, specs, n, &sw, peer_uid(c->p), ops_take_warrants(c), on_sweep,
                       r);
    return 0;
}
