#include "client/model_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"

/* One object on its way out (write) or in. What is missing or of another type is noted, once. */
struct io {
    json_t *o;
    bool write;
    char bad[80]; /* key that could not be read; "" = none */
};

static void miss(struct io *io, const char *key)
{
    if (!io->bad[0])
        base_strcpy(io->bad, sizeof io->bad, key);
}

static void number(struct io *io, const char *key, double *v)
{
    if (io->write) {
        json_put(io->o, key, json_number(*v));
        return;
    }
    const json_t *in = json_object_get(io->o, key);
    if (!json_is_number(in) && !json_is_null(in))
        miss(io, key);
    *v = json_is_number(in) ? json_number_value(in) : (double)NAN;
}

static int64_t integer(struct io *io, const char *key, int64_t v)
{
    if (io->write) {
        json_put(io->o, key, json_integer(v));
        return v;
    }
    const json_t *in = json_object_get(io->o, key);
    if (!json_is_integer(in))
        miss(io, key);
    return json_integer_value(in);
}

static void count(struct io *io, const char *key, size_t *v)
{
    int64_t n = integer(io, key, (int64_t)*v);
    *v = n > 0 ? (size_t)n : 0;
}

static void small(struct io *io, const char *key, int *v)
{
    int64_t n = integer(io, key, *v);
    *v = n > 0 && n < 1000000 ? (int)n : 0;
}

static void flag(struct io *io, const char *key, bool *v)
{
    if (io->write)
        json_put(io->o, key, json_boolean(*v));
    else
        *v = json_is_true(json_object_get(io->o, key));
}

static void text(struct io *io, const char *key, char *v, size_t cap)
{
    if (io->write) {
        json_put(io->o, key, json_text(v, strlen(v)));
        return;
    }
    const char *in = json_string_value(json_object_get(io->o, key));
    if (!in)
        miss(io, key);
    base_strcpy(v, cap, in ? in : "");
}

/* A word out of a list; *v its place. */
static void word(struct io *io, const char *key, int *v, const char *(*name)(int), int n)
{
    char w[32] = "";
    if (io->write)
        base_strcpy(w, sizeof w, name(*v));
    text(io, key, w, sizeof w);
    if (io->write)
        return;
    for (*v = 0; *v < n && strcmp(name(*v), w) != 0;)
        (*v)++;
    if (*v == n) {
        *v = 0;
        miss(io, key);
    }
}

/* An object inside: the same direction. */
static struct io inner(struct io *io, const char *key)
{
    struct io in = {.write = io->write};
    if (io->write) {
        in.o = json_object();
        json_put(io->o, key, in.o);
    } else {
        in.o = json_object_get(io->o, key);
        if (!json_is_object(in.o))
            miss(io, key);
    }
    return in;
}

static void leave(struct io *io, const struct io *in)
{
    if (in->bad[0])
        miss(io, in->bad);
}

static void numbers(struct io *io, const char *key, double *v, size_t n)
{
    json_t *a = io->write ? json_array() : json_object_get(io->o, key);
    if (!io->write && (!json_is_array(a) || json_array_size(a) != n))
        miss(io, key);
    for (size_t i = 0; i < n; i++) {
        if (io->write) {
            if (json_array_append_new(a, json_number(v[i])) != 0)
                abort();
            continue;
        }
        const json_t *in = json_array_get(a, i);
        v[i] = json_is_number(in) ? json_number_value(in) : (double)NAN;
    }
    if (io->write)
        json_put(io->o, key, a);
}

/* ---- the structs --------------------------------------------------------------------------------- */

static void one_error(struct io *up, const char *key, struct fit_error *v)
{
    struct io io = inner(up, key);
    count(&io, "runs", &v->n);
    number(&io, "mean_abs", &v->mean_abs);
    number(&io, "median_abs", &v->median_abs);
    number(&io, "p90_abs", &v->p90_abs);
    number(&io, "within_10", &v->within10);
    number(&io, "within_20", &v->within20);
    number(&io, "mean_ratio", &v->mean_ratio);
    number(&io, "sd_log", &v->sd_log);
    leave(up, &io);
}

static void errors(struct io *io, struct fit_errors *v)
{
    one_error(io, "time", &v->time);
    one_error(io, "power", &v->power);
    one_error(io, "dynamic", &v->dynamic);
    one_error(io, "energy", &v->energy);
}

static void folds(struct io *up, const char *key, struct fit_cv *cv)
{
    struct io all = inner(up, key);
    for (int k = 0; k < FIT_FOLDS; k++) {
        struct io io = inner(&all, fit_fold_name((enum fit_fold)k));
        count(&io, "folds", &cv[k].folds);
        errors(&io, &cv[k].error);
        leave(&all, &io);
    }
    leave(up, &all);
}

static void rivals(struct io *up, struct fit *f)
{
    struct io all = inner(up, "rivals");
    for (int r = 0; r < FIT_RIVAL_COUNT; r++)
        folds(&all, fit_rival_name((enum fit_rival)r), f->rival[r]);
    leave(up, &all);
}

static const char *verdict_name(int v)
{
    return fit_verdict_name((enum fit_verdict)v);
}

static void placebo(struct io *up, struct fit_placebo *p)
{
    struct io io = inner(up, "placebo");
    int verdict = (int)p->verdict;
    count(&io, "n", &p->n);
    p->n = p->n < FIT_FACTORS_MAX ? p->n : FIT_FACTORS_MAX;
    numbers(&io, "factor", p->factor, p->n);
    numbers(&io, "error", p->error, p->n);
    number(&io, "best", &p->best);
    word(&io, "verdict", &verdict, verdict_name, FIT_NOT_JUDGED + 1);
    p->verdict = (enum fit_verdict)verdict;
    text(&io, "sentence", p->sentence, sizeof p->sentence);
    leave(up, &io);
}

static void residuals(struct io *up, const char *key, struct fit_residuals *v)
{
    static const char *const names[] = {"size", "depth", "level", "data set", "shape"};
    static const char *const keys[] = {"size", "depth", "level", "dataset", "shape"};
    struct io io = inner(up, key);
    for (int k = 0; k < FIT_LEFT_COUNT; k++) {
        struct io in = inner(&io, keys[k]);
        struct fit_residual *l = &v->left[k];
        l->follows = names[k];
        count(&in, "groups", &l->groups);
        number(&in, "share", &l->share);
        number(&in, "sd", &l->sd);
        number(&in, "p", &l->p);
        leave(&io, &in);
    }
    number(&io, "misfit", &v->misfit);
    flag(&io, "clean", &v->clean);
    text(&io, "sentence", v->sentence, sizeof v->sentence);
    leave(up, &io);
}

static void covariance(struct io *up, const char *key, struct fit_law *law)
{
    double flat[FIT_TERMS_MAX * FIT_TERMS_MAX];
    size_t n = law->n;
    for (size_t i = 0; i < n * n; i++)
        flat[i] = law->cov[i / n][i % n];
    numbers(up, key, flat, n * n);
    for (size_t i = 0; i < n * n && !up->write; i++)
        law->cov[i / n][i % n] = flat[i];
}

static const char *form_name(int v)
{
    return fit_form_name((enum fit_form)v);
}

static const char *quality_name(int v)
{
    return study_quality_name((enum study_quality)v);
}

static void counts(struct io *up, struct fit *f)
{
    struct io io = inner(up, "runs");
    count(&io, "given", &f->runs);
    count(&io, "time", &f->time_runs);
    count(&io, "time_points", &f->time_points);
    count(&io, "energy", &f->energy_runs);
    count(&io, "energy_points", &f->energy_points);
    leave(up, &io);
    io = inner(up, "range");
    f->params_min = integer(&io, "params_min", f->params_min);
    f->params_max = integer(&io, "params_max", f->params_max);
    small(&io, "depth_min", &f->depth_min);
    small(&io, "depth_max", &f->depth_max);
    leave(up, &io);
    io = inner(up, "noise");
    count(&io, "points", &f->noise.points);
    number(&io, "time", &f->noise.time);
    number(&io, "power", &f->noise.power);
    number(&io, "energy", &f->noise.energy);
    leave(up, &io);
}

static void form(struct io *up, struct fit *f)
{
    int form_index = (int)f->form;
    int quality = (int)f->quality;
    word(up, "form", &form_index, form_name, FIT_FORMS);
    f->form = (enum fit_form)form_index;
    struct io io = inner(up, "form_error");
    for (int k = 0; k < FIT_FORMS; k++)
        number(&io, form_name(k), &f->form_cv[k]);
    leave(up, &io);
    word(up, "quality", &quality, quality_name, STUDY_NO_ENERGY + 1);
    f->quality = (enum study_quality)quality;
    flag(up, "gpu", &f->gpu);
    text(up, "no_energy", f->no_energy, sizeof f->no_energy);
    number(up, "idle_w", &f->idle_w);
    number(up, "setup_s", &f->setup_s);
    number(up, "test_ratio", &f->test_ratio);
    count(up, "bootstraps", &f->bootstraps);
    f->seed = (uint64_t)integer(up, "seed", (int64_t)f->seed);
}

static void report(struct io *io, struct fit *f)
{
    form(io, f);
    counts(io, f);
    struct io inside = inner(io, "inside");
    errors(&inside, &f->inside);
    leave(io, &inside);
    folds(io, "left_out", f->cv);
    rivals(io, f);
    placebo(io, &f->placebo);
    residuals(io, "left_in_time", &f->left_time);
    residuals(io, "left_in_power", &f->left_power);
    struct io cov = inner(io, "covariance");
    covariance(&cov, "time", &f->time);
    covariance(&cov, "power", &f->power);
    leave(io, &cov);
}

json_t *model_report_json(const struct fit *f)
{
    struct fit *copy CLEANUP(base_freep) = base_alloc(sizeof *copy);
    struct io io = {.o = json_object(), .write = true};
    *copy = *f; /* written from, not into */
    report(&io, copy);
    return io.o;
}

int model_report_read(struct fit *f, const json_t *v, struct err *e)
{
    struct io io = {.o = json_deep_copy(v)};
    report(&io, f);
    json_decref(io.o);
    if (!io.bad[0])
        return 0;
    err_set(e, WATTQ_E_CORRUPT, "the report of this model has no '%s'", io.bad);
    return err_next(e, "it was written by another version: wattq model fit makes a new one");
}

/* ---- caches -------------------------------------------------------------------------------------- */

static void level(struct io *io, struct caches_level *l)
{
    text(io, "name", l->name, sizeof l->name);
    small(io, "level", &l->level);
    l->bytes = integer(io, "bytes", l->bytes);
    l->bytes_max = integer(io, "bytes_max", l->bytes_max);
    small(io, "units", &l->units);
    small(io, "cpus_per_unit", &l->cpus_per_unit);
}

json_t *model_caches_json(const struct caches *c)
{
    json_t *o = json_object();
    json_t *levels = json_array();
    for (size_t i = 0; i < c->n; i++) {
        struct caches_level l = c->level[i];
        struct io io = {.o = json_object(), .write = true};
        level(&io, &l);
        if (json_array_append_new(levels, io.o) != 0)
            abort();
    }
    json_put(o, "levels", levels);
    json_put(o, "cpus", json_integer(c->cpus));
    json_put(o, "cores", json_integer(c->cores));
    return o;
}

int model_caches_read(struct caches *c, const json_t *v, struct err *e)
{
    const json_t *levels = json_object_get(v, "levels");
    size_t n = json_array_size(levels);
    *c = (struct caches){0};
    for (size_t i = 0; i < n && i < CACHES_LEVELS_MAX; i++) {
        struct io io = {.o = json_array_get(levels, i)};
        level(&io, &c->level[c->n++]);
        if (io.bad[0] || c->level[i].units < 1 || c->level[i].bytes < 1)
            return err_set(e, WATTQ_E_CORRUPT, "the caches of this model are damaged");
    }
    if (n < 1 || n > CACHES_LEVELS_MAX)
        return err_set(e, WATTQ_E_CORRUPT, "the caches of this model are damaged");
    c->cpus = (int)json_integer_value(json_object_get(v, "cpus"));
    c->cores = (int)json_integer_value(json_object_get(v, "cores"));
    return 0;
}
