/* predict: what a network will cost, before it is trained. */
#include <math.h>
#include <string.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/predict.h"
#include "client/submit.h"
#include "common/units.h"
#include "daemon/model/workset.h"

struct forecast {
    struct predict_net net;
    struct predict p;
    const struct model *m;
};

static const char *level_name(const struct forecast *x, enum workset_kind k)
{
    int i = x->p.p.level[k];
    return i < 0 || (size_t)i >= x->m->fit.caches.n ? NULL : x->m->fit.caches.level[i].name;
}

static const char *no_joules(const struct forecast *x)
{
    return x->m->fit.has == FIT_ENERGY ? NULL
                                       : "this model was fitted without measured joules: time only";
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

static json_t *figure_json(const struct fit_figure *f)
{
    json_t *o = json_object();
    json_put(o, "value", json_number(f->value));
    json_put(o, "lo", json_number(f->lo));
    json_put(o, "hi", json_number(f->hi));
    return o;
}

static json_t *energy_json(const struct forecast *x, const struct fit_figure *f)
{
    json_t *o = figure_json(f);
    const char *reason = no_joules(x);
    if (reason)
        json_put(o, "reason", json_string(reason));
    return o;
}

static json_t *network_json(const struct forecast *x)
{
    const struct predict_net *n = &x->net;
    json_t *o = json_object();
    json_t *widths = json_array();
    for (int i = 0; i < n->net.depth; i++)
        (void)json_array_append_new(widths, json_integer(n->net.widths[i]));
    json_put(o, "dataset", json_text(n->dataset, strlen(n->dataset)));
    json_put(o, "shape", json_text(n->shape, strlen(n->shape)));
    json_put(o, "depth", json_integer(n->net.depth));
    json_put(o, "size", n->size > 0 ? json_integer(n->size) : json_null());
    json_put(o, "params", json_integer(n->net.params));
    json_put(o, "widths", widths);
    json_put(o, "rows_train", json_integer(n->rows_train));
    json_put(o, "rows_test", json_integer(n->rows_test));
    json_put(o, "batch", json_integer(n->batch));
    json_put(o, "threads", json_integer(n->threads));
    json_put(o, "backend", json_string(n->backend));
    json_put(o, "epochs", json_number(x->p.epochs));
    return o;
}

static json_t *model_json(const struct forecast *x)
{
    const struct fit *f = &x->m->fit;
    const struct fit_errors *out = &f->cv[FIT_BY_SIZE].error;
    json_t *o = json_object();
    json_put(o, "id", json_integer(x->m->id));
    json_put(o, "machine", json_text(f->machine, strlen(f->machine)));
    json_put(o, "backend", json_string(f->backend));
    json_put(o, "quality", json_string(study_quality_name(f->quality)));
    json_put(o, "networks", json_integer((json_int_t)f->time_points));
    json_put(o, "time_error", json_number(out->time.mean_abs));
    json_put(o, "energy_error", json_number(out->energy.mean_abs));
    json_put(o, "error_of", json_string("mean |predicted / measured - 1|, size left out"));
    return o;
}

static json_t *homes_json(const struct forecast *x)
{
    json_t *o = json_object();
    for (int k = 0; k < WORKSET_KINDS; k++) {
        const char *name = level_name(x, (enum workset_kind)k);
        json_put(o, workset_kind_name((enum workset_kind)k),
                 name ? json_string(name) : json_null());
    }
    return o;
}

static json_t *document(const struct forecast *x)
{
    const struct fit_prediction *p = &x->p.p;
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.predict/1"));
    json_put(doc, "network", network_json(x));
    json_put(doc, "time_s", figure_json(&p->run_s));
    json_put(doc, "train_time_s", figure_json(&p->train_s));
    json_put(doc, "step_time_s", figure_json(&p->step_s));
    json_put(doc, "energy_j", energy_json(x, &p->run_j));
    json_put(doc, "train_energy_j", energy_json(x, &p->train_j));
    json_put(doc, "power_w", energy_json(x, &p->power_w));
    json_put(doc, "j_per_datum", json_number(p->datum_j));
    json_put(doc, "interval", json_number(0.95));
    json_put(doc, "lives_in", homes_json(x));
    json_put(doc, "waits_for", json_string(p->memory_bound ? "memory" : "arithmetic"));
    json_put(doc, "outside", json_boolean(p->outside));
    json_put(doc, "outside_reason", p->outside ? json_string(p->where) : json_null());
    json_put(doc, "model", model_json(x));
    return doc;
}

/* ---- text ----------------------------------------------------------------------------------------- */

/* Nobody reads kiloseconds. */
static const char *show_time(char *buf, size_t cap, double s)
{
    return s < 120 || !isfinite(s) ? print_seconds(buf, cap, s)
                                   : print_duration(buf, cap, (int64_t)(s * 1e9));
}

typedef const char *show_fn(char *buf, size_t cap, double v);

static void put_figure(const struct app *app, const char *what, const struct fit_figure *f,
                       show_fn *show)
{
    char value[40];
    char lo[40];
    char hi[40];
    (void)fprintf(app->print.out, "  %-8s %10s", what, show(value, sizeof value, f->value));
    if (isfinite(f->lo) && isfinite(f->hi))
        (void)fprintf(app->print.out, "  (%s .. %s, 95 %%)", show(lo, sizeof lo, f->lo),
                      show(hi, sizeof hi, f->hi));
}

static void put_title(const struct app *app, const struct forecast *x)
{
    const struct predict_net *n = &x->net;
    char params[40];
    char rows[40];
    (void)fprintf(app->print.out,
                  "%s %s depth %d: %s parameters, %.0f epochs of %s rows, batch %lld, %s\n",
                  n->dataset, n->shape, n->net.depth,
                  print_count(params, sizeof params, n->net.params), x->p.epochs,
                  print_count(rows, sizeof rows, n->rows_train), (long long)n->batch, n->backend);
}

static void put_costs(const struct app *app, const struct forecast *x)
{
    const struct fit_prediction *p = &x->p.p;
    char text[40];
    put_figure(app, "time", &p->run_s, show_time);
    (void)fprintf(app->print.out, "  of it training %s\n",
                  show_time(text, sizeof text, p->train_s.value));
    if (no_joules(x)) {
        (void)fprintf(app->print.out, "  %-8s %10s  %s\n", "energy", "-", no_joules(x));
        return;
    }
    put_figure(app, "energy", &p->run_j, print_joules);
    (void)fprintf(app->print.out, "  of it training %s\n",
                  print_joules(text, sizeof text, p->train_j.value));
    put_figure(app, "power", &p->power_w, print_power_w);
    (void)fprintf(app->print.out, "  while it trains; %s a row\n",
                  print_joules(text, sizeof text, p->datum_j));
}

static void put_homes(const struct app *app, const struct forecast *x)
{
    const char *f = level_name(x, WORKSET_F);
    const char *b = level_name(x, WORKSET_B);
    const char *d = level_name(x, WORKSET_D);
    if (!f || !b)
        return;
    (void)fprintf(
        app->print.out, "  computes in %s, lives in %s while it trains%s%s; waits for %s\n", f, b,
        d ? ", its data in " : "", d ? d : "", x->p.p.memory_bound ? "memory" : "arithmetic");
}

static void put_percent(const struct app *app, const char *what, double v)
{
    if (isfinite(v))
        (void)fprintf(app->print.out, "%s off by %.1f %%", what, 100 * v);
}

static void put_model(const struct app *app, const struct forecast *x)
{
    const struct fit *f = &x->m->fit;
    const struct fit_errors *out = &f->cv[FIT_BY_SIZE].error;
    char when[40];
    (void)fprintf(app->print.out, "  by model %lld of %s, %s: %zu networks, %s",
                  (long long)x->m->id, f->machine, f->backend, f->time_points,
                  print_ago(when, sizeof when, x->m->created_utc_ns));
    put_percent(app, "; on sizes it had not seen its time was", out->time.mean_abs);
    put_percent(app, ", its energy", out->energy.mean_abs);
    (void)fputc('\n', app->print.out);
    if (x->p.p.outside)
        (void)fprintf(app->print.out, "  beyond the model: %s; the interval does not cover that\n",
                      x->p.p.where);
}

static int show(const struct app *app, const struct forecast *x, struct err *e)
{
    if (app->json)
        return json_write(app->print.out, document(x), false, e);
    if (app->quiet) {
        (void)fprintf(app->print.out, "%.6g\n",
                      no_joules(x) ? x->p.p.run_s.value : x->p.p.run_j.value);
        return 0;
    }
    put_title(app, x);
    put_costs(app, x);
    put_homes(app, x);
    put_model(app, x);
    return 0;
}

/* ---- the command ---------------------------------------------------------------------------------- */

/* The study's data sets need not be here to know their numbers. */
static int settle(struct train_args *t, struct err *e)
{
    const char *dataset = train_args_get(t, "dataset");
    if (!dataset) {
        err_set(e, WATTQ_E_USAGE, "which data set? --dataset is missing");
        return err_next(e, "for example: --dataset adult, or a .tsv.gz, .csv or IDX file");
    }
    if (net_dataset_find(dataset)) {
        char *name CLEANUP(base_freep) = base_printf("standin:%s", dataset);
        train_args_set(t, "dataset", name);
    }
    return 0;
}

static int predict(struct app *app, struct conn *c, struct forecast *x, struct err *e)
{
    struct model *m CLEANUP(model_finip) = NULL;
    int64_t id = 0;
    int rc = args_int(&app->args, OPT_MODEL, 1, INT64_MAX, &id, e);
    if (rc < 0)
        return rc;
    rc = model_load(&m, c, id, NULL, x->net.backend, e);
    if (rc < 0 || !m)
        return rc;
    x->m = m;
    predict_one(&x->p, &m->fit, &x->net);
    return show(app, x, e);
}

int cmd_predict(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct train_args t CLEANUP(train_args_finip) = {0};
    struct forecast x = {0};
    int rc = cmd_need(app, 1, "a data set and a network", e);
    if (rc == 0)
        rc = train_args_init(&t, &app->args, 0, e);
    if (rc == 0)
        rc = settle(&t, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    const char *program = rc == 0 ? conn_train_path(c) : NULL;
    if (rc == 0)
        rc = predict_describe(&x.net, program ? program : "", t.argv, t.n, e);
    return rc != 0 ? rc : predict(app, c, &x, e);
}
