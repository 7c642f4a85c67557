/* The power law, in joules of a step above idle: active t + e_op O + sum e_L M_L, for the measured time t.
 * Divided by the step's whole energy, so that a residual is relative to what a meter reads. (Divided by the
 * part above idle, a machine that idles at 90 % of its power would weigh its noise and not its work.) */
#include <math.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/nnls.h"

double fit_power_of(const double *c, const struct fit_features *f, int levels, double step_s)
{
    double j = c[FIT_STEP] * step_s + c[FIT_OP] * f->ops;
    for (int k = 0; k < levels; k++)
        j += c[FIT_LEVEL + k] * f->moved[k];
    return j;
}

void fit_power_solve(double *c, const struct fit_data *d, const struct fit_features *f,
                     const double *mult, uint32_t columns)
{
    struct nnls p;
    double row[FIT_TERMS_MAX];
    int n = FIT_LEVEL + d->levels;
    nnls_begin(&p, n);
    for (size_t i = 0; i < d->nrows; i++) {
        const struct fit_row *r = &d->row[i];
        const struct fit_features *x = &f[r->point];
        if (mult[r->point] <= 0 || isnan(r->power_w))
            continue;
        row[FIT_STEP] = r->step_s;
        row[FIT_LAYER] = 0;
        row[FIT_OP] = x->ops;
        fit_steps(row, x->moved, d->levels);
        for (int j = 0; j < n; j++)
            row[j] = columns >> j & 1 ? row[j] : 0;
        double above = (r->power_w - r->idle_w) * r->step_s;
        nnls_row(&p, row, above, sqrt(mult[r->point]) / (r->power_w * r->step_s));
    }
    nnls_solve(&p, c, 0);
    fit_sum_steps(c, d->levels);
}
