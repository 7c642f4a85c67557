#include "daemon/model/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/stats.h"

/* The form `max` can stop in a corner, `sum` cannot: it must be better by this to be chosen. */
#define CLEARLY 0.95

const char *fit_fold_name(enum fit_fold f)
{
    static const char *const names[] = {"size", "dataset", "shape"};
    return names[f];
}

const char *fit_form_name(enum fit_form f)
{
    return f == FIT_SUM ? "sum" : "max";
}

static void tell(const struct fit_options *o, const char *doing, double share)
{
    if (o->progress)
        o->progress(o->arg, doing, share);
}

/* ---- what the terms are called ------------------------------------------------------------------- */

static void name_time(struct fit *f)
{
    struct fit_term *t = f->time.term;
    base_strcpy(t[FIT_STEP].name, sizeof(t->name), "step");
    base_strcpy(t[FIT_STEP].unit, sizeof(t->unit), "s/step");
    base_strcpy(t[FIT_LAYER].name, sizeof(t->name), "layer");
    base_strcpy(t[FIT_LAYER].unit, sizeof(t->unit), "s/layer");
    base_strcpy(t[FIT_OP].name, sizeof(t->name), "op");
    base_strcpy(t[FIT_OP].unit, sizeof(t->unit), "s/op");
    for (size_t k = 0; k < f->caches.n; k++) {
        snprintf(t[FIT_LEVEL + k].name, sizeof(t->name), "byte_%s", f->caches.level[k].name);
        base_strcpy(t[FIT_LEVEL + k].unit, sizeof(t->unit), "s/B");
    }
}

/* Large numbers as people say them: 12.3 G. */
static const char *rate(char *buf, size_t cap, double v)
{
    static const char *const prefix[] = {"", "k", "M", "G", "T", "P"};
    size_t p = 0;
    for (; v >= 1000 && p + 1 < ARRAY_LEN(prefix); p++)
        v /= 1000;
    snprintf(buf, cap, "%.3g %s", v, prefix[p]);
    return buf;
}

static void read_time(struct fit *f)
{
    struct fit_term *t = f->time.term;
    char v[32];
    size_t cap = sizeof(t->meaning);
    snprintf(t[FIT_STEP].meaning, cap, "paid for every batch, whatever the network");
    snprintf(t[FIT_LAYER].meaning, cap,
             "paid for every layer of every batch: starting and joining it");
    if (t[FIT_OP].value > 0)
        snprintf(t[FIT_OP].meaning, cap, "computing: %sop/s %s",
                 rate(v, sizeof(v), 1 / t[FIT_OP].value), f->gpu ? "of the card" : "per thread");
    else
        snprintf(t[FIT_OP].meaning, cap, "computing is hidden behind the rest");
    for (size_t k = 0; k < f->caches.n; k++) {
        struct fit_term *b = &t[FIT_LEVEL + k];
        const char *level = f->caches.level[k].name;
        if (!b->used)
            snprintf(b->meaning, cap, "no network of these runs lives in %s", level);
        else if (b->value > 0)
            snprintf(b->meaning, cap, "moving what lives in %s: %sB/s of one %s", level,
                     rate(v, sizeof(v), 1 / b->value), k + 1 == f->caches.n ? "memory" : "cache");
        else
            snprintf(b->meaning, cap, "moving what lives in %s takes no time of its own", level);
    }
}

static void name_power(struct fit *f)
{
    struct fit_term *t = f->power.term;
    size_t cap = sizeof(t->meaning);
    char v[32];
    base_strcpy(t[FIT_STEP].name, sizeof(t->name), "active");
    base_strcpy(t[FIT_STEP].unit, sizeof(t->unit), "W");
    snprintf(t[FIT_STEP].meaning, cap, "above idle whenever it trains, whatever the network");
    base_strcpy(t[FIT_OP].name, sizeof(t->name), "op");
    base_strcpy(t[FIT_OP].unit, sizeof(t->unit), "J/op");
    if (t[FIT_OP].value > 0)
        snprintf(t[FIT_OP].meaning, cap, "computing: %sop per joule",
                 rate(v, sizeof(v), 1 / t[FIT_OP].value));
    else
        snprintf(t[FIT_OP].meaning, cap, "no energy beyond what the others explain");
    for (size_t k = 0; k < f->caches.n; k++) {
        struct fit_term *b = &t[FIT_LEVEL + k];
        snprintf(b->name, sizeof(b->name), "byte_%s", f->caches.level[k].name);
        base_strcpy(b->unit, sizeof(b->unit), "J/B");
        snprintf(b->meaning, cap,
                 b->used ? "moving what lives in %s" : "no network of these runs lives in %s",
                 f->caches.level[k].name);
    }
}

static void set_used(struct fit *f, const struct fit_data *d, const struct fit_features *x)
{
    for (int j = 0; j < FIT_LEVEL; j++) {
        f->time.term[j].used = true;
        f->power.term[j].used = j != FIT_LAYER;
    }
    for (size_t i = 0; i < d->npoints; i++)
        for (int k = 0; k < d->levels; k++)
            f->time.term[FIT_LEVEL + k].used |= x[i].unit[k] > 0;
    for (size_t i = 0; i < d->nrows; i++)
        for (int k = 0; k < d->levels; k++)
            f->power.term[FIT_LEVEL + k].used |=
                !isnan(d->row[i].power_w) && x[d->row[i].point].moved[k] > 0;
}

/* ---- intervals ----------------------------------------------------------------------------------- */

static void spread(struct fit_law *law, double *draws, size_t n, size_t boots)
{
    double mean[FIT_TERMS_MAX] = {0};
    for (size_t j = 0; j < n; j++)
        for (size_t b = 0; b < boots; b++)
            mean[j] += draws[j * boots + b] / (double)boots;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t b = 0; b < boots; b++)
                sum += (draws[i * boots + b] - mean[i]) * (draws[j * boots + b] - mean[j]);
            law->cov[i][j] = sum / (double)(boots - 1);
        }
    for (size_t j = 0; j < n; j++) /* last, because it sorts */
        stats_interval(draws + j * boots, boots, 0.95, &law->term[j].lo, &law->term[j].hi);
}

static void count_draws(double *mult, size_t *index, size_t n, uint64_t *seed)
{
    stats_resample(index, n, seed);
    memset(mult, 0, n * sizeof(*mult));
    for (size_t i = 0; i < n; i++)
        mult[index[i]] += 1;
}

static void bootstrap(struct fit *f, const struct fit_data *d, const struct fit_features *x,
                      const struct fit_time *full, const struct fit_options *o)
{
    size_t n = FIT_LEVEL + (size_t)d->levels;
    size_t boots = o->bootstraps;
    uint64_t seed = o->seed;
    if (boots < 2)
        return;
    double *draws = base_alloc(2 * n * boots * sizeof(*draws));
    double *mult = base_alloc(d->npoints * sizeof(*mult));
    size_t *index = base_alloc(d->npoints * sizeof(*index));
    double *power_draws = draws + n * boots;
    for (size_t b = 0; b < boots; b++) {
        struct fit_time t;
        double power[FIT_TERMS_MAX] = {0};
        if (b % 16 == 0)
            tell(o, "bootstrap", (double)b / (double)boots);
        count_draws(mult, index, d->npoints, &seed);
        fit_time_solve(&t, f->form, d, x, mult, full, UINT32_MAX, true);
        if (d->has_energy)
            fit_power_solve(power, d, x, mult, UINT32_MAX);
        for (size_t j = 0; j < n; j++) {
            draws[j * boots + b] = t.c[j];
            power_draws[j * boots + b] = power[j];
        }
    }
    spread(&f->time, draws, n, boots);
    if (d->has_energy)
        spread(&f->power, power_draws, n, boots);
    free(index);
    free(mult);
    free(draws);
}

/* ---- the runs ------------------------------------------------------------------------------------ */

static double median_over(const struct fit_data *d, double (*of)(const struct study_run *r))
{
    double *v = base_alloc((d->nrows + 1) * sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < d->nrows; i++) {
        double x = of(&d->runs[d->row[i].index]);
        if (!isnan(x))
            v[n++] = x;
    }
    double m = n > 0 ? stats_median(v, n) : (double)NAN;
    free(v);
    return m;
}

static double idle_of(const struct study_run *r)
{
    return r->idle_w;
}

static double setup_of(const struct study_run *r)
{
    return r->setup_s;
}

/* A step of the test pass, in steps of training. */
static double test_ratio_of(const struct study_run *r)
{
    if (r->rows_test < 1 || r->epochs < 1 || !(r->test_s > 0))
        return (double)NAN;
    double steps = r->epochs * ceil((double)r->rows_test / (double)r->batch);
    return r->test_s / steps / study_step_s(r);
}

static void describe(struct fit *f, const struct fit_data *d)
{
    const struct study_run *any = d->point[0].like;
    base_strcpy(f->machine, sizeof(f->machine), any->machine);
    base_strcpy(f->backend, sizeof(f->backend), any->backend);
    f->gpu = any->gpu;
    f->runs = d->nruns;
    f->time_runs = d->nrows;
    f->time_points = d->npoints;
    f->energy_runs = d->energy_rows;
    f->idle_w = d->has_energy ? median_over(d, idle_of) : (double)NAN;
    f->setup_s = median_over(d, setup_of);
    f->test_ratio = median_over(d, test_ratio_of);
    f->params_min = INT64_MAX;
    f->depth_min = NET_DEPTH_MAX;
    f->quality = STUDY_NO_ENERGY;
    for (size_t i = 0; i < d->npoints; i++) {
        int64_t params = (int64_t)d->point[i].params;
        int depth = d->point[i].like->net.depth;
        f->params_min = params < f->params_min ? params : f->params_min;
        f->params_max = params > f->params_max ? params : f->params_max;
        f->depth_min = depth < f->depth_min ? depth : f->depth_min;
        f->depth_max = depth > f->depth_max ? depth : f->depth_max;
    }
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < d->nrows && d->has_energy; i++) {
        if (isnan(d->row[i].power_w))
            continue;
        f->quality = d->runs[d->row[i].index].quality;
        f->energy_points += d->row[i].point != last;
        last = d->row[i].point;
    }
}

static void list_runs(struct fit *f, const struct fit_data *d, const struct fit_guess *inside,
                      const struct fit_guess *outside)
{
    const double nan = (double)NAN;
    f->run = base_alloc((d->nruns + 1) * sizeof(*f->run));
    for (size_t i = 0; i < d->nruns; i++)
        f->run[i] = (struct fit_run){.run = d->runs[i].run,
                                     .index = i,
                                     .excluded = d->runs[i].excluded,
                                     .refused = d->refused[i],
                                     .step_s = study_step_s(&d->runs[i]),
                                     .step_j = nan,
                                     .fit_s = nan,
                                     .fit_j = nan,
                                     .out_s = nan,
                                     .out_j = nan};
    for (size_t i = 0; i < d->nrows; i++) {
        const struct fit_row *r = &d->row[i];
        struct fit_run *to = &f->run[r->index];
        to->time = true;
        to->energy = d->has_energy && !isnan(r->power_w);
        to->step_j = r->power_w * r->step_s;
        to->fit_s = inside[i].step_s;
        to->fit_j = inside[i].step_j;
        to->out_s = outside[i].step_s;
        to->out_j = outside[i].step_j;
    }
}

/* ---- judging ------------------------------------------------------------------------------------- */

/* Mean over each point's runs of ln(predicted / measured). */
static void residuals(double *to, const struct fit_data *d, const struct fit_guess *g, bool power)
{
    double *n = base_alloc(d->npoints * sizeof(*n));
    memset(to, 0, d->npoints * sizeof(*to));
    for (size_t i = 0; i < d->nrows; i++) {
        const struct fit_row *r = &d->row[i];
        double v = power ? log(g[i].power_w / r->power_w) : log(g[i].step_s / r->step_s);
        if (isnan(v))
            continue;
        to[r->point] += v;
        n[r->point] += 1;
    }
    for (size_t i = 0; i < d->npoints; i++)
        to[i] = n[i] > 0 ? to[i] / n[i] : (double)NAN;
    free(n);
}

static struct fit_guess *blank(const struct fit_data *d)
{
    struct fit_guess *g = base_alloc((d->nrows + 1) * sizeof(*g));
    for (size_t i = 0; i < d->nrows; i++)
        g[i] = (struct fit_guess){(double)NAN, (double)NAN, (double)NAN};
    return g;
}

static void judge(struct fit *f, const struct fit_data *d, const struct fit_features *x,
                  const struct fit_method *ours, const struct fit_options *o)
{
    struct fit_guess *inside = blank(d);
    struct fit_guess *outside = blank(d);
    double *left = base_alloc(d->npoints * sizeof(*left));
    for (size_t i = 0; i < d->nrows; i++)
        ours->guess(ours, d, &d->row[i], &inside[i]);
    fit_errors_make(&f->inside, d, inside);
    fit_noise_make(&f->noise, d);
    for (int fold = 0; fold < FIT_FOLDS; fold++) {
        struct fit_method m;
        tell(o, "leaving out", (double)fold / FIT_FOLDS);
        fit_method_ours(&m, x, f->form);
        m.start = &ours->time;
        fit_cross(&m, d, (enum fit_fold)fold, &f->cv[fold], fold == FIT_BY_SIZE ? outside : NULL);
    }
    tell(o, "rivals", 0);
    for (int r = 0; r < FIT_RIVAL_COUNT; r++)
        for (int fold = 0; fold < FIT_FOLDS; fold++)
            fit_errors_make(&f->rival[r][fold].error, d, NULL);
    fit_rivals_make(f, d, x, &ours->time);
    fit_placebo_make(&f->placebo, d, f, &ours->time, o);
    residuals(left, d, inside, false);
    fit_residuals_make(&f->left_time, d, x, left, f->noise.time, "time", o->seed);
    if (d->has_energy) {
        residuals(left, d, inside, true);
        fit_residuals_make(&f->left_power, d, x, left, f->noise.power, "power", o->seed);
    }
    list_runs(f, d, inside, outside);
    free(left);
    free(outside);
    free(inside);
}

/* Both forms, judged by size left out; within the runs where there are too few sizes. */
static void choose_form(struct fit *f, const struct fit_data *d, const struct fit_features *x,
                        const double *all)
{
    for (int form = 0; form < FIT_FORMS; form++) {
        struct fit_method m;
        struct fit_cv cv;
        struct fit_time t;
        fit_time_solve(&t, (enum fit_form)form, d, x, all, NULL, UINT32_MAX, false);
        fit_method_ours(&m, x, (enum fit_form)form);
        m.time_only = true;
        m.start = &t;
        fit_cross(&m, d, FIT_BY_SIZE, &cv, NULL);
        f->form_cv[form] = cv.folds > 0 ? cv.error.time.mean_abs : sqrt(t.loss);
    }
    f->form = f->form_cv[FIT_MAX] < CLEARLY * f->form_cv[FIT_SUM] ? FIT_MAX : FIT_SUM;
}

static void set_law(struct fit_law *law, const double *c, int levels)
{
    law->n = FIT_LEVEL + (size_t)levels;
    for (size_t j = 0; j < law->n; j++) {
        law->term[j].value = c[j];
        law->term[j].lo = law->term[j].hi = (double)NAN;
    }
}

static void fit_all(struct fit *f, struct fit_data *d, const struct fit_options *o)
{
    struct fit_method ours;
    double *all = base_alloc(d->npoints * sizeof(*all));
    for (size_t i = 0; i < d->npoints; i++)
        all[i] = 1;
    describe(f, d);
    struct fit_features *x = fit_features_all(d, &f->caches, f->gpu, 1);
    tell(o, "fitting", 0);
    choose_form(f, d, x, all);
    fit_method_ours(&ours, x, f->form);
    ours.learn(&ours, d, all);
    set_law(&f->time, ours.time.c, d->levels);
    set_law(&f->power, ours.power, d->levels);
    set_used(f, d, x);
    bootstrap(f, d, x, &ours.time, o);
    name_time(f);
    read_time(f);
    name_power(f);
    judge(f, d, x, &ours, o);
    tell(o, "done", 1);
    free(x);
    free(all);
}

int fit_make(struct fit *out, const struct study_run *runs, size_t n, const struct fit_options *o,
             struct err *e)
{
    static const struct caches unknown = {
        1, {{"memory", 1, INT64_MAX / 2, INT64_MAX / 2, 1, 1}}, 1, 1};
    struct fit_data d;
    *out = (struct fit){.bootstraps = o->bootstraps, .seed = o->seed};
    int rc = fit_data_make(&d, runs, n, e);
    if (rc < 0)
        return rc;
    out->caches = o->caches->n > 0 ? *o->caches : unknown;
    d.levels = (int)out->caches.n;
    base_strcpy(out->no_energy, sizeof(out->no_energy), d.no_energy);
    out->has = d.has_energy ? FIT_ENERGY : FIT_NO_ENERGY;
    fit_all(out, &d, o);
    fit_data_free(&d);
    return 0;
}

void fit_free(struct fit *f)
{
    free(f->run);
    f->run = NULL;
}
