/* tag, note, label, metric: what people say of runs; bump, which is answered alike. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"

struct marking {
    struct ops_ticket t;
    int64_t *runs; /* copy: the queue owns its own */
    size_t n;
    bool position; /* each row says where the run stands */
};

static void put_one(struct wire_out *o, const struct marking *m, size_t i, const struct err *why)
{
    struct queue_run r;
    wire_begin_map(o, NULL);
    wire_put_int(o, "run", m->runs[i]);
    if (m->position && !why->code && queue_find(m->t.d->queue, m->runs[i], &r) == 0 &&
        r.position > 0)
        wire_put_int(o, "position", r.position);
    if (why->code) {
        wire_begin_map(o, "error");
        wire_put_str(o, "code", err_name(why->code));
        wire_put_str(o, "text", why->text);
        if (why->next[0])
            wire_put_str(o, "next", why->next);
        wire_end(o);
    }
    wire_end(o);
}

/* All refused: the answer is the first refusal. Some: each row says its own. */
static void on_marked(void *arg, int rc, const struct err *e, const struct err *errs)
{
    struct marking *m = arg;
    struct ops_list l;
    size_t refused = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        refused += errs[i].code ? 1 : 0;
    if (rc < 0 || refused == m->n) {
        peer_send_error(m->t.p, m->t.id, rc < 0 ? e : &errs[0]);
    } else {
        ops_list_begin(&l, m->t.id, "runs");
        for (size_t i = 0; i < m->n; i++)
            put_one(ops_list_row(&l), m, i, &errs[i]);
        ops_list_end(&l);
        ops_list_send(&l, m->t.p);
    }
    ops_drop(&m->t);
    free(m->runs);
    free(m);
}

static struct marking *new_marking(const struct op_call *c, const int64_t *ids, size_t n)
{
    struct marking *m = base_alloc(sizeof(*m));
    ops_keep(&m->t, c);
    m->n = n;
    m->runs = base_alloc(n * sizeof(*ids));
    memcpy(m->runs, ids, n * sizeof(*ids));
    return m;
}

/* Takes what mark owns, whatever comes of it. */
static int mark_runs(struct op_call *c, struct run_mark *mark, struct err *e)
{
    int64_t *ids = NULL;
    size_t n = 0;
    int rc = ops_need_runs(c, &ids, &n, e);
    if (rc < 0) {
        run_mark_fini(mark);
        return rc;
    }
    queue_mark(c->d->queue, ids, n, ops_actor(c), mark, on_marked, new_marking(c, ids, n));
    return 0;
}

static int bad_tag(const char *tag, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.60s' is no tag: letters, digits and _.:- , at most %d of them",
            tag ? tag : "", RUN_TAG_MAX);
    return err_next(e, "wattq tag 17 +keep -draft");
}

static int take_tags(const struct op_call *c, const char *key, char ***out, size_t *n,
                     struct err *e)
{
    const struct wire_val *list = wire_get(c->req, key);
    size_t most = wire_type(list) == WIRE_ARRAY ? wire_len(list) : 0;
    if (most > RUN_TAGS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "a run has at most %d tags", RUN_TAGS_MAX);
    *out = base_alloc((most + 1) * sizeof(**out));
    for (size_t i = 0; i < most; i++) {
        const char *tag = wire_as_str(wire_at(list, i), NULL);
        if (!tag || !run_tag_ok(tag))
            return bad_tag(tag, e);
        (*out)[(*n)++] = base_strdup(tag);
    }
    return 0;
}

int op_tag(struct op_call *c, struct err *e)
{
    struct run_mark m = {.kind = RUN_MARK_TAG};
    int rc = take_tags(c, "add", &m.add, &m.nadd, e);
    if (rc == 0)
        rc = take_tags(c, "drop", &m.drop, &m.ndrop, e);
    if (rc == 0 && m.nadd + m.ndrop == 0)
        rc = err_set(e, WATTQ_E_USAGE, "no tag to add or to drop");
    if (rc < 0) {
        run_mark_fini(&m);
        return rc;
    }
    return mark_runs(c, &m, e);
}

int op_note(struct op_call *c, struct err *e)
{
    const char *text = wire_str(c->req, "text", "");
    if (text[0] == '\0' || strlen(text) > RUN_NOTE_MAX)
        return err_set(e, WATTQ_E_USAGE, "a note has 1 to %d bytes of text", RUN_NOTE_MAX);
    struct run_mark m = {.kind = RUN_MARK_NOTE, .text = base_strdup(text)};
    return mark_runs(c, &m, e);
}

int op_label(struct op_call *c, struct err *e)
{
    const char *text = wire_str(c->req, "label", NULL);
    if (!text || strlen(text) > SPEC_LABEL_MAX)
        return err_set(e, WATTQ_E_USAGE, "a label has at most %d bytes of text", SPEC_LABEL_MAX);
    struct run_mark m = {.kind = RUN_MARK_LABEL, .text = base_strdup(text)};
    return mark_runs(c, &m, e);
}

static int take_values(const struct op_call *c, struct run_mark *m, struct err *e)
{
    const struct wire_val *map = wire_get(c->req, "values");
    size_t n = wire_type(map) == WIRE_MAP ? wire_len(map) : 0;
    if (n == 0 || n > RUN_VALUES_MAX)
        return err_set(e, WATTQ_E_USAGE, "'values' must be a map of 1 to %d numbers",
                       RUN_VALUES_MAX);
    m->add = base_alloc(n * sizeof(*m->add));
    m->values = base_alloc(n * sizeof(*m->values));
    for (size_t i = 0; i < n; i++) {
        const char *key = wire_key_at(map, i, NULL);
        double v = wire_as_f64(wire_at(map, i), NAN);
        if (!spec_key_ok(key) || strlen(key) >= SPEC_KEY_MAX)
            return err_set(e, WATTQ_E_USAGE, "'%.60s' is no name for a metric", key);
        if (!isfinite(v))
            return err_set(e, WATTQ_E_USAGE, "the value of '%s' is no finite number", key);
        m->values[m->nadd] = v;
        m->add[m->nadd++] = base_strdup(key);
    }
    return 0;
}

int op_metric(struct op_call *c, struct err *e)
{
    struct run_mark m = {.kind = RUN_MARK_METRIC, .force = wire_bool(c->req, "force", false)};
    int rc = take_values(c, &m, e);
    if (rc < 0) {
        run_mark_fini(&m);
        return rc;
    }
    return mark_runs(c, &m, e);
}

#define BUMP_MAX 1000 /* they are found again among all that wait */

int op_bump(struct op_call *c, struct err *e)
{
    int64_t *ids = NULL;
    size_t n = 0;
    const struct queue_bump how = {.by = ops_actor(c),
                                   .before = wire_int(c->req, "before", RUN_NONE),
                                   .first = wire_bool(c->req, "first", false)};
    if (how.first && !peer_rights(c->p)->admin) {
        err_set(e, WATTQ_E_FORBIDDEN, "only an admin moves runs before everybody's");
        return err_next(e, "without --first it goes to the front of your own");
    }
    if (how.first && how.before != RUN_NONE)
        return err_set(e, WATTQ_E_USAGE, "'before' and 'first' say different things");
    int rc = ops_need_runs(c, &ids, &n, e);
    if (rc < 0)
        return rc;
    if (n > BUMP_MAX) {
        free(ids);
        return err_set(e, WATTQ_E_LIMIT, "at most %d runs at a time", BUMP_MAX);
    }
    struct marking *m = new_marking(c, ids, n);
    m->position = true;
    queue_bump(c->d->queue, ids, n, &how, on_marked, m);
    return 0;
}
