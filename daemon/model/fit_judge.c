/* Errors, repeat noise, cross-validation. */
#include <math.h>
#include <stdlib.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/stats.h"

void fit_error_make(struct fit_error *out, double *ratio, size_t n)
{
    const double nan = (double)NAN;
    *out = (struct fit_error){n, nan, nan, nan, nan, nan, nan, nan};
    if (n == 0)
        return;
    double abs_sum = 0;
    double sum = 0;
    double log2_sum = 0;
    double in10 = 0;
    double in20 = 0;
    for (size_t i = 0; i < n; i++) {
        double l = log(ratio[i] > 1e-6 ? ratio[i] : 1e-6);
        double a = fabs(ratio[i] - 1);
        sum += ratio[i];
        log2_sum += l * l;
        abs_sum += a;
        in10 += a <= 0.1;
        in20 += a <= 0.2;
        ratio[i] = a;
    }
    stats_sort(ratio, n);
    double count = (double)n;
    *out = (struct fit_error){n,
                              abs_sum / count,
                              stats_quantile(ratio, n, 0.5),
                              stats_quantile(ratio, n, 0.9),
                              in10 / count,
                              in20 / count,
                              sum / count,
                              sqrt(log2_sum / count)};
}

/* Which figure of a row: predicted / measured; NAN where there is none. */
static double ratio_of(const struct fit_row *r, const struct fit_guess *g, int which)
{
    switch (which) {
    case 0:
        return g->step_s / r->step_s;
    case 1:
        return g->power_w / r->power_w;
    case 2:
        if (!(r->power_w > r->idle_w)) /* nothing above idle to be wrong about */
            return (double)NAN;
        return (g->power_w - r->idle_w) / (r->power_w - r->idle_w);
    default:
        return g->step_j / (r->power_w * r->step_s);
    }
}

void fit_errors_make(struct fit_errors *out, const struct fit_data *d,
                     const struct fit_guess *guess)
{
    struct fit_error *to[] = {&out->time, &out->power, &out->dynamic, &out->energy};
    double *ratio = base_alloc((d->nrows + 1) * sizeof(*ratio));
    for (int which = 0; which < (int)ARRAY_LEN(to); which++) {
        size_t n = 0;
        for (size_t i = 0; guess && i < d->nrows; i++) {
            double v = ratio_of(&d->row[i], &guess[i], which);
            if (!isnan(v))
                ratio[n++] = v;
        }
        fit_error_make(to[which], ratio, n);
    }
    free(ratio);
}

/* Pooled over points: sum of squares about each point's mean of the logarithms, over all degrees of
 * freedom. which as above, 3 = energy. */
static double pooled(const struct fit_data *d, int which, size_t *points)
{
    double ss = 0;
    double df = 0;
    *points = 0;
    for (size_t i = 0; i < d->nrows;) {
        double sum = 0;
        double sum2 = 0;
        double n = 0;
        size_t point = d->row[i].point;
        for (; i < d->nrows && d->row[i].point == point; i++) {
            const struct fit_row *r = &d->row[i];
            double v = log(which == 0   ? r->step_s
                           : which == 1 ? r->power_w
                                        : r->power_w * r->step_s);
            if (isnan(v))
                continue;
            sum += v;
            sum2 += v * v;
            n += 1;
        }
        if (n < 2)
            continue;
        double spread = sum2 - sum * sum / n;
        ss += spread > 0 ? spread : 0;
        df += n - 1;
        (*points)++;
    }
    return df > 0 ? sqrt(ss / df) : (double)NAN;
}

void fit_noise_make(struct fit_noise *out, const struct fit_data *d)
{
    size_t points;
    out->power = pooled(d, 1, &points);
    out->energy = pooled(d, 3, &points);
    out->time = pooled(d, 0, &out->points);
}

/* ---- our own method ------------------------------------------------------------------------------ */

static void learn_ours(struct fit_method *m, const struct fit_data *d, const double *mult)
{
    fit_time_solve(&m->time, m->form, d, m->f, mult, m->start, m->columns, m->quick);
    if (d->has_energy && !m->time_only)
        fit_power_solve(m->power, d, m->f, mult, m->columns);
}

static void guess_ours(const struct fit_method *m, const struct fit_data *d,
                       const struct fit_row *r, struct fit_guess *out)
{
    const struct fit_features *f = &m->f[r->point];
    out->step_s = fit_time_of(&m->time, f, d->levels);
    if (isnan(r->power_w) || m->time_only)
        return;
    out->power_w = r->idle_w + fit_power_of(m->power, f, d->levels, r->step_s) / r->step_s;
    out->step_j = r->idle_w * out->step_s + fit_power_of(m->power, f, d->levels, out->step_s);
}

void fit_method_ours(struct fit_method *m, const struct fit_features *f, enum fit_form form)
{
    *m = (struct fit_method){
        .learn = learn_ours, .guess = guess_ours, .f = f, .form = form, .columns = UINT32_MAX};
}

/* ---- cross-validation ---------------------------------------------------------------------------- */

static void leave_out(struct fit_method *m, const struct fit_data *d, enum fit_fold fold,
                      size_t group, struct fit_guess *out)
{
    double *mult = base_alloc(d->npoints * sizeof(*mult));
    for (size_t i = 0; i < d->npoints; i++)
        mult[i] = d->point[i].group[fold] != group;
    m->learn(m, d, mult);
    for (size_t i = 0; i < d->nrows; i++) {
        if (d->point[d->row[i].point].group[fold] != group)
            continue;
        out[i] = (struct fit_guess){(double)NAN, (double)NAN, (double)NAN};
        m->guess(m, d, &d->row[i], &out[i]);
    }
    free(mult);
}

void fit_cross(struct fit_method *m, const struct fit_data *d, enum fit_fold fold,
               struct fit_cv *cv, struct fit_guess *out)
{
    struct fit_guess *guess = out ? out : base_alloc(d->nrows * sizeof(*guess));
    bool enough = d->groups[fold] >= FIT_GROUPS_MIN;
    cv->folds = enough ? d->groups[fold] : 0;
    for (size_t g = 0; g < cv->folds; g++)
        leave_out(m, d, fold, g, guess);
    fit_errors_make(&cv->error, d, enough ? guess : NULL);
    if (!out)
        free(guess);
}
