/* The page as data: wattq.report/1. */
#include <math.h>
#include <string.h>

#include "client/json.h"
#include "client/report.h"
#include "common/units.h"

static json_t *text(const char *s)
{
    return s && *s ? json_text(s, strlen(s)) : json_null();
}

static json_t *integer(int64_t v)
{
    return v > 0 ? json_integer(v) : json_null();
}

static void append(json_t *to, json_t *o)
{
    (void)json_array_append_new(to, o); /* fails for lack of memory only, and then o is null */
}

/* ---- verdicts ------------------------------------------------------------------------------------ */

static json_t *claims_json(const struct report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->nclaims; i++) {
        const struct claim *c = &r->claims[i];
        json_t *o = json_object();
        json_put(o, "row", json_integer(c->row));
        json_put(o, "hardware", json_string(claim_hardware_name(c->hardware)));
        json_put(o, "finding", json_string(c->finding));
        json_put(o, "study", json_string(c->study));
        json_put(o, "rule", json_string(c->rule));
        json_put(o, "verdict", json_string(claim_verdict_name(c->verdict)));
        json_put(o, "by", json_string(c->time ? "time" : "energy"));
        json_put(o, "study_value", json_number(c->study_value));
        json_put(o, "value", json_number(c->value));
        json_put(o, "lo", json_number(c->lo));
        json_put(o, "hi", json_number(c->hi));
        json_put(o, "unit", text(c->unit));
        json_put(o, "n", json_integer((json_int_t)c->n));
        json_put(o, "why", text(c->why));
        append(all, o);
    }
    return all;
}

/* ---- networks ------------------------------------------------------------------------------------ */

static json_t *point_json(const struct point *p)
{
    json_t *o = json_object();
    json_put(o, "run", json_integer(p->run->run));
    json_put(o, "dataset", text(p->run->dataset));
    json_put(o, "shape", text(p->run->shape));
    json_put(o, "depth", json_integer(p->run->net.depth));
    json_put(o, "size", integer(p->run->size));
    json_put(o, "params", integer(p->run->net.params));
    json_put(o, "repeats", json_integer((json_int_t)p->repeats));
    json_put(o, "s_per_datum", json_number(p->s));
    json_put(o, "j_per_datum", json_number(p->j));
    json_put(o, "forward_set_bytes", json_number(p->f));
    json_put(o, "ops_per_datum", json_number(p->ops));
    return o;
}

static json_t *boundaries_json(const struct caches *c)
{
    json_t *all = json_array();
    for (size_t i = 0; i + 1 < c->n; i++) {
        json_t *o = json_object();
        json_put(o, "level", json_string(c->level[i].name));
        json_put(o, "full_at_bytes", json_number(points_boundary(c, i)));
        append(all, o);
    }
    return all;
}

static json_t *set_json(const struct points_set *s)
{
    json_t *o = json_object();
    json_t *networks = json_array();
    char setting[200];
    for (size_t i = 0; i < s->n; i++)
        append(networks, point_json(&s->at[i]));
    json_put(o, "setting", json_string(report_setting(setting, sizeof setting, s)));
    json_put(o, "judged_by", json_string(s->joules ? "energy" : "time"));
    json_put(o, "scope", s->joules ? text(s->at[0].run->scope) : json_null());
    json_put(o, "runs_of_other_settings", json_integer((json_int_t)s->other));
    json_put(o, "boundaries", boundaries_json(&s->caches));
    json_put(o, "networks", networks);
    return o;
}

/* ---- losses -------------------------------------------------------------------------------------- */

static json_t *line_json(const struct report *r, const struct claims_line *l,
                         const struct isoloss_series *s)
{
    json_t *o = json_object();
    json_t *sizes = json_array();
    json_put(o, "dataset", text(l->dataset));
    json_put(o, "hardware", json_string(l->gpu ? "GPU" : "CPU"));
    json_put(o, "shape", text(l->shape));
    json_put(o, "depth", json_integer(l->depth));
    json_put(o, "loss", json_number(exp(s->x)));
    json_put(o, "by", json_string(r->loss_joules ? "energy" : "time"));
    for (size_t i = 0; i < l->n; i++) {
        json_t *one = json_object();
        json_put(one, "size", json_integer(l->size[i]));
        json_put(one, r->loss_joules ? "cost_j" : "cost_s", json_number(l->cost[i]));
        json_put(one, "epochs", json_number(s->cost[i].epochs));
        json_put(one, "ops", json_number(l->ops[i]));
        json_put(one, "forward_set_bytes", json_number(l->f[i]));
        append(sizes, one);
    }
    json_put(o, "sizes", sizes);
    return o;
}

static json_t *losses_json(const struct report *r)
{
    json_t *all = json_array();
    size_t at = 0;
    for (size_t i = 0; i < r->nloss; i++)
        for (size_t k = 0; k < r->loss[i].nseries; k++)
            append(all, line_json(r, &r->lines[at++], &r->loss[i].series[k]));
    return all;
}

/* ---- model --------------------------------------------------------------------------------------- */

static json_t *law_json(const struct fit_law *law)
{
    json_t *all = json_array();
    for (size_t i = 0; i < law->n; i++) {
        const struct fit_term *t = &law->term[i];
        json_t *o = json_object();
        json_put(o, "term", text(t->name));
        json_put(o, "unit", text(t->unit));
        json_put(o, "value", t->used ? json_number(t->value) : json_null());
        json_put(o, "lo", t->used ? json_number(t->lo) : json_null());
        json_put(o, "hi", t->used ? json_number(t->hi) : json_null());
        json_put(o, "meaning", text(t->meaning));
        append(all, o);
    }
    return all;
}

static json_t *errors_json(const char *law, const char *left_out, const struct fit_errors *e)
{
    json_t *o = json_object();
    json_put(o, "law", json_string(law));
    json_put(o, "left_out", left_out ? json_string(left_out) : json_null());
    json_put(o, "time", json_number(e->time.mean_abs));
    json_put(o, "power", json_number(e->power.mean_abs));
    json_put(o, "energy", json_number(e->energy.mean_abs));
    return o;
}

static json_t *placebo_json(const struct fit_placebo *p)
{
    json_t *o = json_object();
    json_t *scan = json_array();
    for (size_t i = 0; i < p->n; i++) {
        json_t *one = json_object();
        json_put(one, "factor", json_number(p->factor[i]));
        json_put(one, "error", json_number(p->error[i]));
        append(scan, one);
    }
    json_put(o, "scan", scan);
    json_put(o, "verdict", json_string(fit_verdict_name(p->verdict)));
    json_put(o, "sentence", text(p->sentence));
    return o;
}

static json_t *model_json(const struct report_model *m)
{
    json_t *o = json_object();
    const struct fit *f = &m->fit;
    json_put(o, "made", json_boolean(m->made));
    json_put(o, "reason", m->made ? json_null() : text(m->why));
    if (!m->made)
        return o;
    json_t *errors = json_array();
    append(errors, errors_json("ours", NULL, &f->inside));
    for (int k = 0; k < FIT_FOLDS; k++)
        if (f->cv[k].folds > 0)
            append(errors, errors_json("ours", fit_fold_name((enum fit_fold)k), &f->cv[k].error));
    for (int k = 0; k < FIT_RIVAL_COUNT; k++)
        if (f->rival[k][FIT_BY_SIZE].folds > 0)
            append(errors, errors_json(fit_rival_name((enum fit_rival)k), "size",
                                       &f->rival[k][FIT_BY_SIZE].error));
    json_put(o, "form", json_string(fit_form_name(f->form)));
    json_put(o, "time", law_json(&f->time));
    json_put(o, "power", f->has == FIT_ENERGY ? law_json(&f->power) : json_null());
    json_put(o, "idle_w", json_number(f->idle_w));
    json_put(o, "noise_time", json_number(f->noise.time));
    json_put(o, "noise_energy", json_number(f->noise.energy));
    json_put(o, "errors", errors);
    json_put(o, "placebo", placebo_json(&f->placebo));
    json_put(o, "left_over", text(f->left_time.sentence));
    return o;
}

/* ---- runs ---------------------------------------------------------------------------------------- */

static json_t *reasons_json(uint32_t excluded)
{
    json_t *all = json_array();
    for (int x = 0; x < STUDY_X_COUNT; x++)
        if (excluded & UINT32_C(1) << x)
            append(all, json_string(study_exclusion_name((enum study_exclusion)x)));
    return all;
}

static json_t *run_json(const struct study_run *r)
{
    json_t *o = json_object();
    json_put(o, "run", json_integer(r->run));
    json_put(o, "dataset", text(r->dataset));
    json_put(o, "standin", json_boolean(r->standin));
    json_put(o, "shape", text(r->shape));
    json_put(o, "depth", json_integer(r->net.depth));
    json_put(o, "size", integer(r->size));
    json_put(o, "params", integer(r->net.params));
    json_put(o, "backend", text(r->backend));
    json_put(o, "threads", json_integer(r->threads));
    json_put(o, "repeat", integer(r->repeat));
    json_put(o, "block", integer(r->block));
    json_put(o, "epochs", json_number(r->epochs));
    json_put(o, "elapsed_s", json_number(r->run_s));
    json_put(o, "energy_j", json_number(r->run_j));
    json_put(o, "lo_j", json_number(r->lo_j));
    json_put(o, "hi_j", json_number(r->hi_j));
    if (isnan(r->run_j))
        json_put(o, "reason", json_string("the run has no energy figure; see wattq show"));
    json_put(o, "s_per_datum", json_number(study_datum_s(r)));
    json_put(o, "j_per_datum", json_number(study_datum_j(r)));
    json_put(o, "quality", json_string(study_quality_name(r->quality)));
    json_put(o, "estimated", json_boolean(r->quality == STUDY_ESTIMATED));
    json_put(o, "test_loss", json_number(r->test_loss));
    json_put(o, "meter", text(r->meter));
    json_put(o, "scope", text(r->scope));
    json_put(o, "flags", text(r->flags));
    json_put(o, "excluded", reasons_json(r->excluded));
    return o;
}

static json_t *runs_json(const struct report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->study.n; i++)
        append(all, run_json(&r->study.runs[i]));
    return all;
}

static json_t *left_json(const struct report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->study.nleft; i++) {
        json_t *o = json_object();
        json_put(o, "what", text(r->study.left[i].what));
        json_put(o, "reason", text(r->study.left[i].reason));
        append(all, o);
    }
    return all;
}

static json_t *charts_json(const struct report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->ncharts; i++) {
        const struct qc_chart *c = &r->charts[i];
        json_t *o = json_object();
        json_t *values = json_array();
        for (size_t k = 0; k < c->n; k++)
            append(values, json_number(c->points[k].value));
        json_put(o, "sweep", json_integer(c->sweep));
        json_put(o, "network", text(c->network));
        json_put(o, "quantity",
                 json_string(c->quantity == QC_ENERGY ? "j_per_datum" : "s_per_datum"));
        json_put(o, "values", values);
        json_put(o, "centre", json_number(c->centre));
        json_put(o, "lo", json_number(c->lo));
        json_put(o, "hi", json_number(c->hi));
        json_put(o, "failing", json_integer((json_int_t)c->failing));
        append(all, o);
    }
    return all;
}

json_t *report_json(const struct report *r)
{
    char when[40];
    json_t *doc = json_object();
    json_t *machine = json_object();
    json_put(machine, "host", text(r->host));
    json_put(machine, "processor", text(r->cpu));
    json_put(machine, "system", text(r->kernel));
    json_put(doc, "schema", json_string("wattq.report/1"));
    json_put(doc, "title", text(r->title));
    json_put(doc, "selection", text(r->selection));
    json_put(doc, "made_utc", json_string(units_show_utc(when, sizeof when, r->made_utc_ns)));
    json_put(doc, "version", json_string(WATTQ_VERSION));
    json_put(doc, "machine", machine);
    json_put(doc, "covers", text(r->study.covers));
    json_put(doc, "measured_runs", json_integer((json_int_t)r->measured));
    json_put(doc, "estimated_runs", json_integer((json_int_t)r->estimated));
    json_put(doc, "claims", claims_json(r));
    json_put(doc, "cpu", set_json(&r->points.set[POINTS_CPU]));
    json_put(doc, "gpu", set_json(&r->points.set[POINTS_GPU]));
    json_put(doc, "iso_loss", losses_json(r));
    json_put(doc, "model_cpu", model_json(&r->model[POINTS_CPU]));
    json_put(doc, "model_gpu", model_json(&r->model[POINTS_GPU]));
    json_put(doc, "control", charts_json(r));
    json_put(doc, "runs", runs_json(r));
    json_put(doc, "left_out", left_json(r));
    return doc;
}
