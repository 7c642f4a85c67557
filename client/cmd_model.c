/* model fit | ls | show: the energy model of this machine. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/model_load.h"
#include "client/model_page.h"
#include "client/study_load.h"

#define BOOTSTRAPS 500
#define SEED       1

/* ---- show ---------------------------------------------------------------------------------------- */

static json_t *parsed(const struct wire_val *v, const char *key)
{
    json_t *in = json_loads(wire_str(v, key, "null"), JSON_DECODE_ANY, NULL);
    return in ? in : json_null();
}

/* The answer of `models` for one model, its frames put together, its JSON texts as JSON. */
static int show_json(const struct app *app, struct conn *c, int64_t id, struct err *e)
{
    json_t *doc CLEANUP(json_freep) = NULL;
    json_t *runs CLEANUP(json_freep) = json_array();
    wire_put_int(conn_begin(c, "models"), "model", id);
    int rc = conn_send(c, e);
    while (rc == 0 && !doc) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *v = wire_msg_root(m);
        json_t *part CLEANUP(json_freep) = json_document("wattq.model/1", v);
        json_array_extend(runs, json_object_get(part, "runs"));
        if (conn_more(m))
            continue;
        doc = json_incref(part);
        json_put(doc, "caches", parsed(v, "caches"));
        json_put(doc, "report", parsed(v, "report"));
        json_put(doc, "runs", json_incref(runs));
    }
    return rc < 0 ? rc : json_write(app->print.out, json_incref(doc), false, e);
}

static int show(const struct app *app, struct conn *c, int64_t id, struct err *e)
{
    struct model *m CLEANUP(model_finip) = NULL;
    int rc = model_load(&m, c, id, NULL, args_str(&app->args, OPT_BACKEND, NULL), e);
    if (rc < 0)
        return rc;
    if (app->json)
        return show_json(app, c, m->id, e);
    if (app->quiet)
        (void)fprintf(app->print.out, "%lld\n", (long long)m->id);
    else
        model_page(&app->print, m);
    return 0;
}

static int parse_id(const char *word, int64_t *id, struct err *e)
{
    char *end;
    *id = strtoll(word, &end, 10);
    if (*end == '\0' && *id > 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "'%.40s' is no model", word);
    return err_next(e, "wattq model lists them");
}

/* ---- ls ------------------------------------------------------------------------------------------ */

static void put_row(struct table *t, const struct wire_val *v)
{
    char ago[64];
    table_put(t, "%lld", (long long)wire_int(v, "model", 0));
    table_put(t, "%s", print_ago(ago, sizeof ago, wire_int(v, "created_utc_ns", 0)));
    table_put(t, "%s", wire_str(v, "machine", "-"));
    table_put(t, "%s", wire_str(v, "backend", "-"));
    table_put(t, "%s",
              strcmp(wire_str(v, "energy", ""), "measured") == 0 ? "time, energy" : "time");
    table_put(t, "%lld", (long long)wire_int(v, "runs_used", 0));
    table_put(t, "%lld", (long long)wire_int(v, "runs_left_out", 0));
    table_put(t, "%s", wire_str(v, "selection", ""));
}

static void list_page(const struct app *app, const struct wire_val *reply, bool *any)
{
    static const char *const heads[] = {">MODEL", "FITTED", "MACHINE",   "BACKEND",
                                        "OF",     ">RUNS",  ">LEFT OUT", "CHOSEN AS"};
    const struct wire_val *models = wire_get(reply, "models");
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(models); i++)
        put_row(&t, wire_at(models, i));
    *any = *any || wire_len(models) > 0;
    if (wire_len(models) > 0)
        table_print(&t, &app->print);
    table_fini(&t);
}

static int list(const struct app *app, struct conn *c, struct err *e)
{
    bool any = false;
    json_t *all CLEANUP(json_freep) = NULL;
    (void)conn_begin(c, "models");
    int rc = conn_send(c, e);
    for (bool again = true; rc == 0 && again;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        again = conn_more(m);
        if (!app->json) {
            list_page(app, wire_msg_root(m), &any);
            continue;
        }
        json_t *part CLEANUP(json_freep) = json_document("wattq.models/1", wire_msg_root(m));
        if (!all)
            all = json_incref(part);
        else
            json_array_extend(json_object_get(all, "models"), json_object_get(part, "models"));
    }
    if (app->json)
        return json_write(app->print.out, json_incref(all), false, e);
    if (!any)
        cmd_say(app, "no model yet; wattq model fit makes one from the runs that are done");
    return 0;
}

/* ---- fit ----------------------------------------------------------------------------------------- */

/* What a fit is told of, and what it is kept from beforehand. */
struct choice {
    struct study_run *runs;
    size_t n;
    struct model_other *other;
    size_t nother;
    char backend[24];
};

static void choice_fini(struct choice *c)
{
    free(c->runs);
    free(c->other);
}

static void put_aside(struct choice *c, int64_t run, const char *reason)
{
    c->other[c->nother++] = (struct model_other){run, reason};
}

/* The backend most of the usable runs have. */
static const char *commonest(const struct study *s)
{
    const char *best = "";
    size_t most = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = 0;
        for (size_t k = 0; k < s->n; k++)
            n += !(s->runs[k].excluded & STUDY_X_TIME) && s->runs[k].origin == 0 &&
                 strcmp(s->runs[k].backend, s->runs[i].backend) == 0;
        if (strcmp(best, s->runs[i].backend) != 0 && n > most) {
            most = n;
            best = s->runs[i].backend;
        }
    }
    return best;
}

static int choose(struct choice *c, const struct app *app, const struct study *s, struct err *e)
{
    const char *asked = args_str(&app->args, OPT_BACKEND, NULL);
    base_strcpy(c->backend, sizeof c->backend, asked ? asked : commonest(s));
    c->runs = base_alloc((s->n + 1) * sizeof *c->runs);
    c->other = base_alloc((s->n + s->nleft + 1) * sizeof *c->other);
    for (size_t i = 0; i < s->n; i++) {
        const struct study_run *r = &s->runs[i];
        if (r->origin != 0)
            put_aside(c, r->run, "imported: the caches of its machine are not known here");
        else if (!model_backend_is(r->backend, c->backend))
            put_aside(c, r->run, "another backend");
        else
            c->runs[c->n++] = *r;
    }
    for (size_t i = 0; i < s->nleft; i++)
        put_aside(c, s->left[i].run, s->left[i].reason);
    if (c->n > 0 || s->n == 0)
        return 0;
    err_set(e, WATTQ_E_NOT_FOUND, "none of these %zu runs was trained here by '%.24s'", s->n,
            c->backend);
    return err_next(e, "wattq runs --json tells the backend of each");
}

/* Told on a terminal, once it has taken two seconds. */
struct progress {
    const struct app *app;
    double since_s;
    bool shown;
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void on_progress(void *arg, const char *doing, double share)
{
    struct progress *p = arg;
    if (p->app->quiet || !isatty(STDERR_FILENO) || now_s() - p->since_s < 2)
        return;
    (void)fprintf(stderr, "\r%s %3.0f %%   ", doing, 100 * share);
    p->shown = true;
}

static int make(struct fit *f, const struct app *app, const struct choice *c, const struct study *s,
                struct err *e)
{
    struct progress p = {app, now_s(), false};
    struct fit_options o = {.caches = c->n > 0 && c->runs[0].gpu ? &s->card : &s->caches,
                            .bootstraps = BOOTSTRAPS,
                            .seed = SEED,
                            .progress = on_progress,
                            .arg = &p};
    int rc = fit_make(f, c->runs, c->n, &o, e);
    if (p.shown)
        (void)fprintf(stderr, "\r%40s\r", "");
    return rc;
}

static int fit_study(const struct app *app, struct conn *c, const struct study *s,
                     const char *selection, struct err *e)
{
    struct choice chosen CLEANUP(choice_fini) = {0};
    struct fit *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    int64_t id = 0;
    int rc = choose(&chosen, app, s, e);
    rc = rc < 0 ? rc : make(f, app, &chosen, s, e);
    if (rc < 0)
        return rc;
    rc = model_store(&id, c, f, selection, chosen.other, chosen.nother, e);
    fit_free(f);
    return rc < 0 ? rc : show(app, c, id, e);
}

static int fit(const struct app *app, struct conn *c, struct err *e)
{
    struct study s;
    char *selection CLEANUP(base_freep) = NULL;
    int rc = study_load_words(&s, c, app->args.pos + 1, app->args.npos - 1, &selection, e);
    rc = rc < 0 ? rc : fit_study(app, c, &s, selection, e);
    study_fini(&s);
    return rc;
}

int cmd_model(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    const char *verb = app->args.npos > 0 ? app->args.pos[0] : "ls";
    int64_t id = 0;
    bool showing = strcmp(verb, "show") == 0;
    if (!showing && strcmp(verb, "fit") != 0 && strcmp(verb, "ls") != 0) {
        err_set(e, WATTQ_E_USAGE, "wattq model does not know '%.40s'", verb);
        return err_next(e, "wattq model ls, wattq model show ID, wattq model fit sweep:ID");
    }
    if (showing && app->args.npos > 1) {
        int rc = parse_id(app->args.pos[1], &id, e);
        if (rc < 0)
            return rc;
    }
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    if (showing)
        return show(app, c, id, e);
    return strcmp(verb, "fit") == 0 ? fit(app, c, e) : list(app, c, e);
}
