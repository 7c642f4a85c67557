#include "client/model_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "client/model_json.h"

#define RUNS_MAX 10000 /* of one model: what the daemon takes */

void model_fini(struct model *m)
{
    for (size_t i = 0; i < m->nleft; i++)
        free(m->left[i].reason);
    free(m->left);
    free(m->selection);
    fit_free(&m->fit);
}

void model_finip(struct model **m)
{
    if (*m)
        model_fini(*m);
    free(*m);
    *m = NULL;
}

bool model_backend_is(const char *have, const char *asked)
{
    size_t n = strlen(asked);
    return strncmp(have, asked, n) == 0 && (have[n] == '\0' || have[n] == ' ');
}

/* ---- reading ------------------------------------------------------------------------------------- */

static struct fit_term *column_of(struct fit *f, const char *part, const char *name)
{
    struct fit_law *law = strcmp(part, "time") == 0 ? &f->time : &f->power;
    if (strcmp(name, "step") == 0 || strcmp(name, "active") == 0)
        return &law->term[FIT_STEP];
    if (strcmp(name, "layer") == 0)
        return &law->term[FIT_LAYER];
    if (strcmp(name, "op") == 0)
        return &law->term[FIT_OP];
    for (size_t k = 0; k < f->caches.n; k++)
        if (strncmp(name, "byte_", 5) == 0 && strcmp(name + 5, f->caches.level[k].name) == 0)
            return &law->term[FIT_LEVEL + k];
    return NULL;
}

static int read_terms(struct fit *f, const struct wire_val *terms, struct err *e)
{
    for (size_t i = 0; i < wire_len(terms); i++) {
        const struct wire_val *v = wire_at(terms, i);
        const char *name = wire_str(v, "name", "");
        struct fit_term *t = column_of(f, wire_str(v, "part", ""), name);
        if (!t)
            return err_set(e, WATTQ_E_CORRUPT, "this model has a term '%.40s' that is none", name);
        base_strcpy(t->name, sizeof t->name, name);
        base_strcpy(t->unit, sizeof t->unit, wire_str(v, "unit", ""));
        base_strcpy(t->meaning, sizeof t->meaning, wire_str(v, "meaning", ""));
        t->value = wire_f64(v, "value", NAN);
        t->lo = wire_f64(v, "lo", NAN);
        t->hi = wire_f64(v, "hi", NAN);
        t->used = true; /* terms without a run are not stored */
    }
    for (size_t k = FIT_LEVEL + 1; k < FIT_LEVEL + f->caches.n; k++) {
        f->time.term[k].value += f->time.term[k].used ? 0 : f->time.term[k - 1].value;
        f->power.term[k].value += f->power.term[k].used ? 0 : f->power.term[k - 1].value;
    }
    return 0;
}

static int read_json(const struct wire_val *m, const char *key, json_t **out, struct err *e)
{
    *out = json_loads(wire_str(m, key, ""), 0, NULL);
    return *out ? 0 : err_set(e, WATTQ_E_CORRUPT, "the %s of this model is no JSON", key);
}

static int read_fit(struct fit *f, const struct wire_val *v, struct err *e)
{
    json_t *caches CLEANUP(json_freep) = NULL;
    json_t *report CLEANUP(json_freep) = NULL;
    base_strcpy(f->machine, sizeof f->machine, wire_str(v, "machine", ""));
    base_strcpy(f->backend, sizeof f->backend, wire_str(v, "backend", ""));
    f->has = strcmp(wire_str(v, "energy", ""), "measured") == 0 ? FIT_ENERGY : FIT_NO_ENERGY;
    int rc = read_json(v, "caches", &caches, e);
    rc = rc < 0 ? rc : model_caches_read(&f->caches, caches, e);
    rc = rc < 0 ? rc : read_json(v, "report", &report, e);
    if (rc < 0)
        return rc;
    f->time.n = f->power.n = FIT_LEVEL + f->caches.n;
    rc = model_report_read(f, report, e);
    return rc < 0 ? rc : read_terms(f, wire_get(v, "terms"), e);
}

static void read_runs(struct model *m, const struct wire_val *runs)
{
    size_t n = wire_len(runs);
    m->left = realloc(m->left, (m->nleft + n + 1) * sizeof *m->left);
    if (!m->left)
        abort();
    for (size_t i = 0; i < n; i++) {
        const struct wire_val *v = wire_at(runs, i);
        const char *reason = wire_str(v, "reason", NULL);
        if (reason)
            m->left[m->nleft++] = (struct model_left){
                wire_int(v, "run", 0), wire_bool(v, "used", false), base_strdup(reason)};
    }
}

static int read_model(struct model *m, struct conn *c, int64_t id, struct err *e)
{
    wire_put_int(conn_begin(c, "models"), "model", id);
    int rc = conn_send(c, e);
    for (bool again = true; rc == 0 && again;) {
        struct wire_msg *msg CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &msg, e);
        if (rc < 0)
            return rc;
        const struct wire_val *v = wire_msg_root(msg);
        read_runs(m, wire_get(v, "runs"));
        again = conn_more(msg);
        if (again)
            continue;
        m->id = wire_int(v, "model", 0);
        m->created_utc_ns = wire_int(v, "created_utc_ns", 0);
        m->uid = wire_int(v, "uid", 0);
        m->selection = base_strdup(wire_str(v, "selection", ""));
        base_strcpy(m->version, sizeof m->version, wire_str(v, "version", ""));
        rc = read_fit(&m->fit, v, e);
    }
    return rc;
}

static bool wanted(const struct wire_val *v, const char *machine, const char *backend)
{
    return (!machine || !*machine || strcmp(wire_str(v, "machine", ""), machine) == 0) &&
           (!backend || !*backend || model_backend_is(wire_str(v, "backend", ""), backend));
}

/* Newest first; 0 = there is none. */
static int newest(int64_t *id, struct conn *c, const char *machine, const char *backend,
                  struct err *e)
{
    *id = 0;
    (void)conn_begin(c, "models");
    int rc = conn_send(c, e);
    for (bool again = true; rc == 0 && again;) {
        struct wire_msg *msg CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &msg, e);
        if (rc < 0)
            return rc;
        const struct wire_val *models = wire_get(wire_msg_root(msg), "models");
        for (size_t i = 0; i < wire_len(models) && *id == 0; i++)
            if (wanted(wire_at(models, i), machine, backend))
                *id = wire_int(wire_at(models, i), "model", 0);
        again = conn_more(msg);
    }
    return rc;
}

int model_load(struct model **out, struct conn *c, int64_t id, const char *machine,
               const char *backend, struct err *e)
{
    int rc = id > 0 ? 0 : newest(&id, c, machine, backend, e);
    *out = NULL;
    if (rc < 0)
        return rc;
    if (id == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "no energy model has been fitted%s%.40s yet",
                backend && *backend ? " for " : "", backend ? backend : "");
        return err_next(e, "wattq model fit makes one from the runs that are done");
    }
    *out = base_alloc(sizeof **out);
    rc = read_model(*out, c, id, e);
    if (rc < 0)
        model_finip(out);
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static char *join_names(uint32_t bits)
{
    char *all = base_strdup("");
    for (int x = 0; x < STUDY_X_COUNT; x++) {
        if (!(bits >> x & 1))
            continue;
        char *next = base_printf("%s%s%s", all, *all ? ", " : "",
                                 study_exclusion_name((enum study_exclusion)x));
        free(all);
        all = next;
    }
    return all;
}

char *model_reason(const struct fit *f, const struct fit_run *r)
{
    uint32_t bits = r->excluded & (r->time ? STUDY_X_JOULES : STUDY_X_TIME);
    if (r->time && (r->energy || f->has == FIT_NO_ENERGY) && !bits && !r->refused)
        return NULL;
    if (r->refused && !bits)
        return base_printf("%s%s", r->time ? "joules: " : "", r->refused);
    if (!bits)
        return r->time ? base_strdup("joules: not measured") : base_strdup("not usable");
    char *names = join_names(bits);
    char *out = base_printf("%s%s", r->time ? "joules: " : "", names);
    free(names);
    return out;
}

static void put_run(struct wire_out *o, int64_t run, bool used, const char *reason)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "run", run);
    wire_put_bool(o, "used", used);
    if (reason)
        wire_put_str(o, "reason", reason);
    wire_end(o);
}

static void put_number(struct wire_out *o, const char *key, double v)
{
    if (isnan(v))
        wire_put_nil(o, key);
    else
        wire_put_f64(o, key, v);
}

static void put_law(struct wire_out *o, const char *part, const struct fit_law *law)
{
    for (size_t j = 0; j < law->n; j++) {
        const struct fit_term *t = &law->term[j];
        if (!t->used)
            continue;
        wire_begin_map(o, NULL);
        wire_put_str(o, "part", part);
        wire_put_str(o, "name", t->name);
        wire_put_str(o, "unit", t->unit);
        wire_put_str(o, "meaning", t->meaning);
        wire_put_f64(o, "value", t->value);
        put_number(o, "lo", t->lo);
        put_number(o, "hi", t->hi);
        wire_end(o);
    }
}

static void put_json(struct wire_out *o, const char *key, json_t *v)
{
    char *s CLEANUP(base_freep) = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(12));
    if (!s)
        abort();
    wire_put_str(o, key, s);
    json_decref(v);
}

int model_store(int64_t *id, struct conn *c, const struct fit *f, const char *selection,
                const struct model_other *other, size_t nother, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (f->runs + nother > RUNS_MAX) {
        err_set(e, WATTQ_E_LIMIT, "a model keeps at most %d runs; these are %zu", RUNS_MAX,
                f->runs + nother);
        return err_next(e, "name fewer of them, for example sweep:ID");
    }
    struct wire_out *o = conn_begin(c, "model_put");
    wire_put_str(o, "machine", f->machine[0] ? f->machine : "unknown");
    wire_put_str(o, "backend", f->backend);
    wire_put_str(o, "selection", selection);
    wire_put_str(o, "energy", f->has == FIT_ENERGY ? "measured" : "none");
    wire_put_str(o, "version", WATTQ_VERSION);
    put_json(o, "caches", model_caches_json(&f->caches));
    put_json(o, "report", model_report_json(f));
    wire_begin_array(o, "terms");
    put_law(o, "time", &f->time);
    if (f->has == FIT_ENERGY)
        put_law(o, "power", &f->power);
    wire_end(o);
    wire_begin_array(o, "runs");
    for (size_t i = 0; i < f->runs; i++) {
        char *reason CLEANUP(base_freep) = model_reason(f, &f->run[i]);
        put_run(o, f->run[i].run, f->run[i].time, reason);
    }
    for (size_t i = 0; i < nother; i++)
        put_run(o, other[i].run, false, other[i].reason);
    wire_end(o);
    int rc = conn_call(c, &m, e);
    if (rc == 0)
        *id = wire_int(wire_msg_root(m), "model", 0);
    return rc;
}
