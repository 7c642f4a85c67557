/* The simpler ways, on the folds of the model. */
#include <math.h>
#include <stdlib.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/nnls.h"
#include "daemon/model/stats.h"

static const char *const names[] = {
#define X(sym, name, text) name,
    FIT_RIVALS(X)
#undef X
};
static const char *const texts[] = {
#define X(sym, name, text) text,
    FIT_RIVALS(X)
#undef X
};

const char *fit_rival_name(enum fit_rival r)
{
    return names[r];
}

const char *fit_rival_text(enum fit_rival r)
{
    return texts[r];
}

/* ---- a restricted cubic spline: straight beyond its outer knots ---------------------------------- */

#define KNOTS_MAX 5

struct fit_spline {
    int knots;
    double knot[KNOTS_MAX]; /* log2 P */
    double c[KNOTS_MAX + 1];
};

static double cube(double v)
{
    return v > 0 ? v * v * v : 0;
}

/* Columns: 1, depth, x, and knots - 2 bends. source: Harrell, Regression Modeling Strategies, 2.4.5. */
static int basis(double *row, const struct fit_spline *s, double x, double depth)
{
    int n = 0;
    row[n++] = 1;
    row[n++] = depth;
    row[n++] = x;
    int last = s->knots - 1;
    for (int k = 0; k < s->knots - 2; k++) {
        double width = s->knot[last] - s->knot[last - 1];
        double range = s->knot[last] - s->knot[0];
        double v = cube(x - s->knot[k]) -
                   cube(x - s->knot[last - 1]) * (s->knot[last] - s->knot[k]) / width +
                   cube(x - s->knot[last]) * (s->knot[last - 1] - s->knot[k]) / width;
        row[n++] = v / (range * range);
    }
    return n;
}

/* Knots at quantiles of the distinct sizes, so that many repeats of one do not pull them together. */
static void place_knots(struct fit_spline *s, const struct fit_data *d, const double *mult)
{
    static const double at[] = {0.05, 0.275, 0.5, 0.725, 0.95};
    double *x = base_alloc(d->npoints * sizeof(*x));
    size_t n = 0;
    for (size_t i = 0; i < d->npoints; i++)
        if (mult[i] > 0)
            x[n++] = log2(d->point[i].params);
    stats_sort(x, n);
    size_t distinct = 0;
    for (size_t i = 0; i < n; i++)
        if (distinct == 0 || x[i] - x[distinct - 1] > 0.25)
            x[distinct++] = x[i];
    s->knots = distinct < KNOTS_MAX ? 0 : KNOTS_MAX;
    for (int k = 0; k < s->knots; k++)
        s->knot[k] = stats_quantile(x, distinct, at[k]);
    free(x);
}

static double logarithm(const struct fit_row *r, bool energy)
{
    return log(energy ? r->power_w * r->step_s : r->step_s);
}

static void learn_curve(struct fit_spline *s, const struct fit_data *d, const double *mult,
                        bool energy)
{
    struct nnls p;
    double row[KNOTS_MAX + 1];
    place_knots(s, d, mult);
    nnls_begin(&p, s->knots > 2 ? s->knots + 1 : 3);
    for (size_t i = 0; i < d->nrows; i++) {
        const struct fit_point *at = &d->point[d->row[i].point];
        double y = logarithm(&d->row[i], energy);
        if (mult[d->row[i].point] <= 0 || isnan(y))
            continue;
        basis(row, s, log2(at->params), at->like->net.depth);
        nnls_row(&p, row, y, 1);
    }
    nnls_solve(&p, s->c, UINT32_MAX);
}

static double read_curve(const struct fit_spline *s, const struct fit_point *p)
{
    double row[KNOTS_MAX + 1];
    int n = basis(row, s, log2(p->params), p->like->net.depth);
    double v = 0;
    for (int j = 0; j < n; j++)
        v += row[j] * s->c[j];
    return exp(v);
}

static void learn_spline(struct fit_method *m, const struct fit_data *d, const double *mult)
{
    learn_curve(&m->spline[0], d, mult, false);
    if (d->has_energy)
        learn_curve(&m->spline[1], d, mult, true);
}

static void guess_spline(const struct fit_method *m, const struct fit_data *d,
                         const struct fit_row *r, struct fit_guess *out)
{
    const struct fit_point *p = &d->point[r->point];
    out->step_s = read_curve(&m->spline[0], p);
    if (isnan(r->power_w))
        return;
    out->step_j = read_curve(&m->spline[1], p);
    out->power_w = out->step_j / out->step_s;
}

/* ---- mean power ---------------------------------------------------------------------------------- */

static void learn_mean(struct fit_method *m, const struct fit_data *d, const double *mult)
{
    double sum = 0;
    double n = 0;
    for (size_t i = 0; i < d->nrows; i++) {
        if (mult[d->row[i].point] <= 0 || isnan(d->row[i].power_w))
            continue;
        sum += d->row[i].power_w;
        n += 1;
    }
    m->mean_w = sum / n;
    if (m->f)
        fit_time_solve(&m->time, m->form, d, m->f, mult, m->start, m->columns, m->quick);
}

static void guess_mean(const struct fit_method *m, const struct fit_data *d,
                       const struct fit_row *r, struct fit_guess *out)
{
    if (m->f) /* else the time is the measured one, and no prediction */
        out->step_s = fit_time_of(&m->time, &m->f[r->point], d->levels);
    if (isnan(r->power_w))
        return;
    out->power_w = m->mean_w;
    out->step_j = m->mean_w * (m->f ? out->step_s : r->step_s);
}

/* ---- all of them --------------------------------------------------------------------------------- */

static void one_rival(struct fit *f, const struct fit_data *d, enum fit_rival which,
                      struct fit_method *m)
{
    for (int fold = 0; fold < FIT_FOLDS; fold++)
        fit_cross(m, d, (enum fit_fold)fold, &f->rival[which][fold], NULL);
}

void fit_rivals_make(struct fit *f, const struct fit_data *d, const struct fit_features *features,
                     const struct fit_time *start)
{
    struct fit_method m;
    struct fit_features *merged = fit_features_merged(d, features);
    struct fit_spline spline[2] = {0};
    fit_method_ours(&m, merged, f->form);
    one_rival(f, d, FIT_RIVAL_NO_CACHE, &m);

    fit_method_ours(&m, features, FIT_SUM);
    m.columns = 1u << FIT_STEP | 1u << FIT_OP;
    one_rival(f, d, FIT_RIVAL_OPS, &m);

    m = (struct fit_method){.learn = learn_spline, .guess = guess_spline, .spline = spline};
    one_rival(f, d, FIT_RIVAL_SPLINE, &m);

    m = (struct fit_method){.learn = learn_mean, .guess = guess_mean};
    if (d->has_energy)
        one_rival(f, d, FIT_RIVAL_POWER_MEASURED, &m);
    m.f = features;
    m.form = f->form;
    m.columns = UINT32_MAX;
    m.start = start;
    if (d->has_energy)
        one_rival(f, d, FIT_RIVAL_POWER_PREDICTED, &m);
    free(merged);
}
