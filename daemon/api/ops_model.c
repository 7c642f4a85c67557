/* model_put, models: energy models that a client has fitted, kept and read again. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/former.h"
#include "daemon/store/models.h"

#define NAME_MAX_BYTES      80
#define TEXT_MAX_BYTES      320
#define SELECTION_MAX_BYTES 4096

/* ---- model_put ----------------------------------------------------------------------------------- */

struct put_job {
    struct storage_job job;
    struct ops_ticket t;
    struct model_row row; /* its strings, as those of terms and runs, are copies in `text` */
    struct model_term_row *terms;
    size_t nterms;
    struct model_run_row *runs;
    size_t nruns;
    char **text;
    size_t ntext;
    int64_t model;
};

static void put_free(struct put_job *j)
{
    for (size_t i = 0; i < j->ntext; i++)
        free(j->text[i]);
    free(j->text);
    free(j->terms);
    free(j->runs);
    free(j);
}

/* A bounded copy that lives as long as the job; NULL stays NULL. WATTQ_E_USAGE naming the key. */
static int take(struct put_job *j, const struct wire_val *map, const char *key, size_t most,
                const char **out, struct err *e)
{
    const char *s = wire_str(map, key, NULL);
    *out = NULL;
    if (!s)
        return 0;
    size_t n = strlen(s);
    if (n > most)
        return err_set(e, WATTQ_E_LIMIT, "'%s' of a model is longer than %zu bytes", key, most);
    *out = j->text[j->ntext++] = base_strdup_n(s, n);
    return 0;
}

static int need(struct put_job *j, const struct wire_val *map, const char *key, size_t most,
                const char **out, struct err *e)
{
    int rc = take(j, map, key, most, out, e);
    if (rc == 0 && !*out)
        return err_set(e, WATTQ_E_USAGE, "a model needs '%s'", key);
    return rc;
}

static int need_object(struct put_job *j, const struct wire_val *req, const char *key, size_t most,
                       const char **out, struct err *e)
{
    int rc = need(j, req, key, most, out, e);
    if (rc < 0)
        return rc;
    json_t *v = json_loads(*out, 0, NULL);
    bool object = json_is_object(v);
    json_decref(v);
    return object ? 0 : err_set(e, WATTQ_E_USAGE, "'%s' of a model must be a JSON object", key);
}

static int take_term(struct put_job *j, const struct wire_val *v, struct err *e)
{
    struct model_term_row *t = &j->terms[j->nterms++];
    int rc = need(j, v, "part", NAME_MAX_BYTES, &t->part, e);
    if (rc == 0 && strcmp(t->part, "time") != 0 && strcmp(t->part, "power") != 0)
        rc = err_set(e, WATTQ_E_USAGE, "a term's 'part' is time or power");
    rc = rc < 0 ? rc : need(j, v, "name", NAME_MAX_BYTES, &t->name, e);
    rc = rc < 0 ? rc : need(j, v, "unit", NAME_MAX_BYTES, &t->unit, e);
    rc = rc < 0 ? rc : need(j, v, "meaning", TEXT_MAX_BYTES, &t->meaning, e);
    t->value = wire_f64(v, "value", (double)NAN);
    t->lo = wire_f64(v, "lo", (double)NAN);
    t->hi = wire_f64(v, "hi", (double)NAN);
    if (rc == 0 && (!isfinite(t->value) || isinf(t->lo) || isinf(t->hi)))
        rc = err_set(e, WATTQ_E_USAGE, "term '%s' of a model has no finite value", t->name);
    return rc;
}

static int take_run(struct put_job *j, const struct wire_val *v, struct err *e)
{
    struct model_run_row *r = &j->runs[j->nruns++];
    r->run = wire_int(v, "run", -1);
    r->used = wire_bool(v, "used", false);
    if (r->run < 0)
        return err_set(e, WATTQ_E_USAGE, "a run of a model needs its id");
    return take(j, v, "reason", TEXT_MAX_BYTES, &r->reason, e);
}

static int take_lists(struct put_job *j, const struct wire_val *req, struct err *e)
{
    const struct wire_val *terms = wire_get(req, "terms");
    const struct wire_val *runs = wire_get(req, "runs");
    size_t nterms = wire_len(terms);
    size_t nruns = wire_len(runs);
    if (wire_type(terms) != WIRE_ARRAY || wire_type(runs) != WIRE_ARRAY || nterms == 0 ||
        nruns == 0)
        return err_set(e, WATTQ_E_USAGE, "a model needs its 'terms' and its 'runs'");
    if (nterms > MODELS_TERMS_MAX || nruns > OPS_RUNS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "at most %d terms and %d runs in a model",
                       MODELS_TERMS_MAX, OPS_RUNS_MAX);
    j->terms = base_alloc(nterms * sizeof(*j->terms));
    j->runs = base_alloc(nruns * sizeof(*j->runs));
    j->text = base_alloc((4 * nterms + nruns + 8) * sizeof(*j->text));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < nterms; i++)
        rc = take_term(j, wire_at(terms, i), e);
    for (size_t i = 0; rc == 0 && i < nruns; i++)
        rc = take_run(j, wire_at(runs, i), e);
    return rc;
}

static int take_model(struct put_job *j, const struct wire_val *req, struct err *e)
{
    struct model_row *m = &j->row;
    int rc = take_lists(j, req, e);
    rc = rc < 0 ? rc : need(j, req, "machine", NAME_MAX_BYTES, &m->machine, e);
    rc = rc < 0 ? rc : need(j, req, "backend", NAME_MAX_BYTES, &m->backend, e);
    rc = rc < 0 ? rc : need(j, req, "selection", SELECTION_MAX_BYTES, &m->selection, e);
    rc = rc < 0 ? rc : need(j, req, "version", NAME_MAX_BYTES, &m->version, e);
    rc = rc < 0 ? rc : need(j, req, "energy", NAME_MAX_BYTES, &m->energy, e);
    rc = rc < 0 ? rc : need_object(j, req, "caches", MODELS_CACHES_MAX, &m->caches, e);
    rc = rc < 0 ? rc : need_object(j, req, "report", MODELS_REPORT_MAX, &m->report, e);
    if (rc == 0 && strcmp(m->energy, "measured") != 0 && strcmp(m->energy, "none") != 0)
        rc = err_set(e, WATTQ_E_USAGE, "'energy' of a model is measured or none");
    return rc;
}

static int put_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct put_job *j = container_of(job, struct put_job, job);
    int rc = models_put(s, &j->row, j->terms, j->nterms, j->runs, j->nruns, &j->model, e);
    if (rc < 0)
        return rc;
    char text[64];
    (void)snprintf(text, sizeof(text), "model %" PRId64, j->model);
    return former_act(s, j->row.uid, "model", text, e);
}

static void put_done(struct storage_job *job, int rc, const struct err *e)
{
    struct put_job *j = container_of(job, struct put_job, job);
    struct wire_out o = {0};
    ops_begin(&o, j->t.id);
    wire_put_int(&o, "model", j->model);
    ops_answer(&j->t, &o, rc, e);
    put_free(j);
}

int op_model_put(struct op_call *c, struct err *e)
{
    struct timespec now;
    struct put_job *j = base_alloc(sizeof(*j));
    int rc = take_model(j, c->req, e);
    if (rc < 0) {
        put_free(j);
        return rc;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    j->row.created_utc_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
    j->row.uid = peer_uid(c->p);
    j->job = (struct storage_job){.work = put_work, .done = put_done};
    ops_keep(&j->t, c);
    storage_submit(c->d->storage, &j->job);
    return 0;
}

/* ---- models -------------------------------------------------------------------------------------- */

struct list_job {
    struct reader_job job;
    struct ops_ticket t;
    struct ops_list l;
    int64_t model; /* MODELS_ALL = the list */
    bool found;
};

static void put_head(struct wire_out *o, const struct model_row *m)
{
    wire_put_int(o, "model", m->id);
    wire_put_int(o, "created_utc_ns", m->created_utc_ns);
    wire_put_int(o, "uid", m->uid);
    wire_put_str(o, "machine", m->machine);
    wire_put_str(o, "backend", m->backend);
    wire_put_str(o, "selection", m->selection);
    wire_put_str(o, "energy", m->energy);
    wire_put_str(o, "version", m->version);
    wire_put_int(o, "runs_used", m->used);
    wire_put_int(o, "runs_left_out", m->left_out);
}

static int visit_row(void *arg, const struct model_row *m)
{
    struct list_job *j = arg;
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_map(o, NULL);
    put_head(o, m);
    wire_end(o);
    return ops_list_full(&j->l) ? 1 : 0;
}

/* One model: its runs as the list, everything else in the last frame. */
static int visit_head(void *arg, const struct model_row *m)
{
    struct list_job *j = arg;
    j->found = true;
    put_head(ops_list_end(&j->l), m);
    return 0;
}

static int visit_run(void *arg, const struct model_run_row *r)
{
    struct list_job *j = arg;
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_map(o, NULL);
    wire_put_int(o, "run", r->run);
    wire_put_bool(o, "used", r->used);
    wire_put_str(o, "reason", r->reason);
    wire_end(o);
    return 0;
}

static void put_number(struct wire_out *o, const char *key, double v)
{
    if (isnan(v))
        wire_put_nil(o, key);
    else
        wire_put_f64(o, key, v);
}

static int visit_term(void *arg, const struct model_term_row *t)
{
    struct wire_out *o = arg;
    wire_begin_map(o, NULL);
    wire_put_str(o, "part", t->part);
    wire_put_str(o, "name", t->name);
    wire_put_str(o, "unit", t->unit);
    wire_put_str(o, "meaning", t->meaning);
    put_number(o, "value", t->value);
    put_number(o, "lo", t->lo);
    put_number(o, "hi", t->hi);
    wire_end(o);
    return 0;
}

static int no_model(int64_t id, struct err *e)
{
    err_set(e, WATTQ_E_NOT_FOUND, "there is no model %" PRId64, id);
    return err_next(e, "wattq model lists them");
}

static int one_model(struct list_job *j, struct store *s, struct err *e)
{
    char *caches CLEANUP(base_freep) = NULL;
    char *report CLEANUP(base_freep) = NULL;
    ops_list_begin(&j->l, j->t.id, "runs");
    int rc = models_texts(s, j->model, &caches, &report, e);
    if (rc > 0)
        return no_model(j->model, e);
    rc = rc < 0 ? rc : models_runs(s, j->model, visit_run, j, e);
    rc = rc < 0 ? rc : models_list(s, j->model, visit_head, j, e);
    if (rc < 0 || !j->found)
        return rc < 0 ? rc : no_model(j->model, e);
    struct wire_out *o = &j->l.frames[j->l.n - 1];
    wire_put_str(o, "caches", caches);
    wire_put_str(o, "report", report);
    wire_begin_array(o, "terms");
    rc = models_terms(s, j->model, visit_term, o, e);
    wire_end(o);
    return rc;
}

static int list_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct list_job *j = container_of(job, struct list_job, job);
    if (j->model != MODELS_ALL)
        return one_model(j, s, e);
    ops_list_begin(&j->l, j->t.id, "models");
    int rc = models_list(s, MODELS_ALL, visit_row, j, e);
    ops_list_end(&j->l);
    return rc < 0 ? rc : 0;
}

static void list_done(struct reader_job *job, int rc, const struct err *e)
{
    struct list_job *j = container_of(job, struct list_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free(j);
}

int op_models(struct op_call *c, struct err *e)
{
    int64_t model = MODELS_ALL;
    if (wire_type(wire_get(c->req, "model")) != WIRE_NIL) {
        int rc = ops_need_int(c, "model", &model, e);
        if (rc < 0)
            return rc;
    }
    struct list_job *j = base_alloc(sizeof(*j));
    j->model = model;
    j->job = (struct reader_job){.work = list_work, .done = list_done};
    ops_keep(&j->t, c);
    ops_read(&j->t, &j->job);
    return 0;
}
