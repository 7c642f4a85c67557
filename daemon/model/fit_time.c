/* The time law. Points, not runs, are the equations: repeats of a point have the same left side, so that
 * sum over repeats of (x c / t_i - 1)^2 = ww (x c)^2 - 2 w x c + n, one row of length sqrt(ww) with the right
 * side w / sqrt(ww), and a constant.
 *
 * The form `max` is no linear problem, but it is one once every point is told which side decides it. So:
 * solve, move each point to its larger side, solve again, until none moves or the loss does not fall; from
 * several starts, because it can stop in a corner. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/nnls.h"

#define ROUNDS_MAX 30

void fit_steps(double *row, const double *bytes, int levels)
{
    double further = 0;
    for (int k = levels - 1; k >= 0; k--) {
        further += bytes[k];
        row[FIT_LEVEL + k] = further;
    }
}

void fit_sum_steps(double *c, int levels)
{
    for (int k = 1; k < levels; k++)
        c[FIT_LEVEL + k] += c[FIT_LEVEL + k - 1];
}

double fit_time_side(const struct fit_time *t, const struct fit_features *f, int levels,
                     bool *memory)
{
    double compute = t->c[FIT_OP] * f->ops_thread;
    double moving = 0;
    for (int k = 0; k < levels; k++)
        moving += t->c[FIT_LEVEL + k] * f->unit[k];
    if (memory)
        *memory = moving > compute;
    if (t->form == FIT_SUM)
        return compute + moving;
    return moving > compute ? moving : compute;
}

double fit_time_of(const struct fit_time *t, const struct fit_features *f, int levels)
{
    return t->c[FIT_STEP] + t->c[FIT_LAYER] * f->layers + fit_time_side(t, f, levels, NULL);
}

static double loss_of(const struct fit_time *t, const struct fit_data *d,
                      const struct fit_features *f, const double *mult)
{
    double loss = 0;
    double n = 0;
    for (size_t i = 0; i < d->npoints; i++) {
        const struct fit_point *p = &d->point[i];
        if (mult[i] <= 0)
            continue;
        double s = fit_time_of(t, &f[i], d->levels);
        loss += mult[i] * (p->ww * s * s - 2 * p->w * s + p->n);
        n += mult[i] * p->n;
    }
    return loss / n;
}

/* side[i]: 0 = computing decides, 1 = moving decides, 2 = both are paid. */
static void solve_sides(struct fit_time *t, const struct fit_data *d, const struct fit_features *f,
                        const double *mult, const unsigned char *side, uint32_t columns)
{
    struct nnls p;
    double row[FIT_TERMS_MAX];
    int n = FIT_LEVEL + d->levels;
    nnls_begin(&p, n);
    for (size_t i = 0; i < d->npoints; i++) {
        if (mult[i] <= 0)
            continue;
        row[FIT_STEP] = 1;
        row[FIT_LAYER] = f[i].layers;
        row[FIT_OP] = side[i] == 1 ? 0 : f[i].ops_thread;
        fit_steps(row, f[i].unit, d->levels);
        for (int k = 0; k < d->levels && side[i] == 0; k++)
            row[FIT_LEVEL + k] = 0;
        for (int j = 0; j < n; j++)
            row[j] = columns >> j & 1 ? row[j] : 0;
        nnls_row(&p, row, d->point[i].w / d->point[i].ww, sqrt(mult[i] * d->point[i].ww));
    }
    nnls_solve(&p, t->c, 0);
    fit_sum_steps(t->c, d->levels);
    t->loss = loss_of(t, d, f, mult);
}

static void sides_of(unsigned char *side, const struct fit_time *t, const struct fit_data *d,
                     const struct fit_features *f)
{
    for (size_t i = 0; i < d->npoints; i++) {
        bool memory;
        (void)fit_time_side(t, &f[i], d->levels, &memory);
        side[i] = memory;
    }
}

/* From the sides given to a fixed point; keeps the best it saw in *best. */
static void alternate(struct fit_time *best, const struct fit_data *d, const struct fit_features *f,
                      const double *mult, unsigned char *side, uint32_t columns)
{
    struct fit_time t = {.form = FIT_MAX};
    unsigned char *next = base_alloc(d->npoints);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        solve_sides(&t, d, f, mult, side, columns);
        if (t.loss < best->loss)
            *best = t;
        sides_of(next, &t, d, f);
        if (memcmp(next, side, d->npoints) == 0)
            break;
        memcpy(side, next, d->npoints);
    }
    free(next);
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Start: the share q of the points with the fewest operations per byte is bound by memory. */
static void sides_by_intensity(unsigned char *side, const struct fit_data *d,
                               const struct fit_features *f, double q)
{
    double *intensity = base_alloc(2 * d->npoints * sizeof(double));
    double *sorted = intensity + d->npoints;
    for (size_t i = 0; i < d->npoints; i++) {
        double bytes = 0;
        for (int k = 0; k < d->levels; k++)
            bytes += f[i].unit[k];
        sorted[i] = intensity[i] = f[i].ops_thread / bytes;
    }
    qsort(sorted, d->npoints, sizeof(double), by_double);
    double edge = sorted[(size_t)(q * (double)(d->npoints - 1))];
    for (size_t i = 0; i < d->npoints; i++)
        side[i] = intensity[i] <= edge;
    free(intensity);
}

static void solve_max(struct fit_time *out, const struct fit_data *d, const struct fit_features *f,
                      const double *mult, const struct fit_time *start, uint32_t columns,
                      bool quick)
{
    static const double shares[] = {0.2, 0.5, 0.8};
    unsigned char *side = base_alloc(d->npoints);
    struct fit_time sum = {.form = FIT_SUM};
    out->loss = INFINITY;
    if (start) {
        sides_of(side, start, d, f);
        alternate(out, d, f, mult, side, columns);
    }
    if (!start || !quick) {
        memset(side, 2, d->npoints);
        solve_sides(&sum, d, f, mult, side, columns);
        sides_of(side, &sum, d, f);
        alternate(out, d, f, mult, side, columns);
    }
    for (size_t i = 0; i < ARRAY_LEN(shares) && !quick; i++) {
        sides_by_intensity(side, d, f, shares[i]);
        alternate(out, d, f, mult, side, columns);
    }
    free(side);
}

void fit_time_solve(struct fit_time *out, enum fit_form form, const struct fit_data *d,
                    const struct fit_features *f, const double *mult, const struct fit_time *start,
                    uint32_t columns, bool quick)
{
    *out = (struct fit_time){.form = form};
    if (form == FIT_MAX) {
        solve_max(out, d, f, mult, start, columns, quick);
        return;
    }
    unsigned char *both = base_alloc(d->npoints);
    memset(both, 2, d->npoints);
    solve_sides(out, d, f, mult, both, columns);
    free(both);
}
