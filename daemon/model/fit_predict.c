/* What a network would cost, from the coefficients alone: a fit that was read back serves as well. */
#include <math.h>

#include "daemon/model/fit_private.h"

static double variance(const struct fit_law *law, const double *x)
{
    double v = 0;
    for (size_t i = 0; i < law->n; i++)
        for (size_t j = 0; j < law->n; j++)
            v += x[i] * x[j] * law->cov[i][j];
    return v > 0 ? v : 0;
}

/* value with a relative spread, which multiplies: exp(+-1.96 s). */
static struct fit_figure around(double value, double relative)
{
    double s = exp(1.96 * relative);
    return (struct fit_figure){value, value / s, value * s};
}

static struct fit_figure times(struct fit_figure f, double by)
{
    return (struct fit_figure){f.value * by, f.lo * by, f.hi * by};
}

static struct fit_figure plus(struct fit_figure f, double more)
{
    return isnan(more) ? f : (struct fit_figure){f.value + more, f.lo + more, f.hi + more};
}

/* Errors of a network that was not there to be fitted: left out by size, else of the fit itself. */
static const struct fit_errors *held_out(const struct fit *f)
{
    return f->cv[FIT_BY_SIZE].folds > 0 ? &f->cv[FIT_BY_SIZE].error : &f->inside;
}

static double predict_step(struct fit_prediction *out, const struct fit *f,
                           const struct fit_features *x)
{
    struct fit_time t = {.form = f->form};
    double row[FIT_TERMS_MAX] = {1, x->layers, x->ops_thread};
    int levels = (int)f->caches.n;
    for (size_t j = 0; j < f->time.n; j++)
        t.c[j] = f->time.term[j].value;
    double s = fit_time_of(&t, x, levels);
    (void)fit_time_side(&t, x, levels, &out->memory_bound);
    for (int k = 0; k < levels; k++)
        row[FIT_LEVEL + k] = f->form == FIT_MAX && !out->memory_bound ? 0 : x->unit[k];
    if (f->form == FIT_MAX && out->memory_bound)
        row[FIT_OP] = 0;
    double coefficients = variance(&f->time, row) / (s * s);
    double error = held_out(f)->time.sd_log;
    out->step_s = around(s, sqrt(coefficients + error * error));
    return sqrt(coefficients) * s;
}

/* Joules of a step: idle and active power times the time, and what the work itself takes. Power errs less than
 * joules: most of it does not depend on the time, which is what errs most. */
static struct fit_figure predict_joules(struct fit_prediction *out, const struct fit *f,
                                        const struct fit_features *x, double s_sd)
{
    double s = out->step_s.value;
    double c[FIT_TERMS_MAX] = {0};
    double row[FIT_TERMS_MAX] = {s, 0, x->ops};
    for (size_t j = 0; j < f->power.n; j++)
        c[j] = f->power.term[j].value;
    for (size_t k = 0; k < f->caches.n; k++)
        row[FIT_LEVEL + k] = x->moved[k];
    double j = f->idle_w * s + fit_power_of(c, x, (int)f->caches.n, s);
    double steady = (f->idle_w + c[FIT_STEP]) * s / j; /* share that goes with the time */
    double coefficients = variance(&f->power, row) / (j * j);
    double time = s_sd / s;
    const struct fit_errors *e = held_out(f);
    double late = hypot(time, e->time.sd_log) * (1 - steady);
    out->power_w =
        around(j / s, sqrt(coefficients + e->power.sd_log * e->power.sd_log + late * late));
    double error = e->energy.sd_log;
    return around(j, sqrt(coefficients + steady * steady * time * time + error * error));
}

static void look_outside(struct fit_prediction *out, const struct fit *f,
                         const struct fit_network *net)
{
    double params = (double)net_params(net->net);
    int depth = net->net->depth;
    out->outside = true;
    for (size_t k = 0; k < f->caches.n; k++)
        if (out->bytes[k] > 0 && !f->time.term[FIT_LEVEL + k].used) {
            snprintf(out->where, sizeof(out->where),
                     "it uses %s, where no network of the model lived", f->caches.level[k].name);
            return;
        }
    /* A size half as far again is the same network to anyone's eye. */
    if (params > 1.5 * (double)f->params_max || params < (double)f->params_min / 1.5)
        snprintf(out->where, sizeof(out->where),
                 "its %.0f parameters are outside of the model's %lld .. %lld", params,
                 (long long)f->params_min, (long long)f->params_max);
    else if (depth > f->depth_max || depth < f->depth_min)
        snprintf(out->where, sizeof(out->where), "its depth %d is outside of the model's %d .. %d",
                 depth, f->depth_min, f->depth_max);
    else
        out->outside = false;
}

static void predict_run(struct fit_prediction *out, const struct fit *f,
                        const struct fit_network *net, struct fit_figure step_j)
{
    double steps = net->epochs * ceil((double)net->rows_train / (double)net->batch);
    double tests = net->epochs * ceil((double)net->rows_test / (double)net->batch);
    double whole = steps + (isnan(f->test_ratio) ? 0 : tests * f->test_ratio);
    out->train_s = times(out->step_s, steps);
    out->run_s = plus(times(out->step_s, whole), f->setup_s);
    out->train_j = times(step_j, steps);
    out->run_j =
        plus(times(step_j, whole), f->setup_s * (f->idle_w + f->power.term[FIT_STEP].value));
    out->datum_j = out->train_j.value / (net->epochs * (double)net->rows_train);
}

void fit_predict(const struct fit *f, const struct fit_network *net, struct fit_prediction *out)
{
    const double nan = (double)NAN;
    struct fit_features x;
    *out = (struct fit_prediction){0};
    fit_features_make(&x, net, f->gpu, &f->caches, 1);
    out->ops = x.ops;
    for (size_t k = 0; k < f->caches.n; k++)
        out->bytes[k] = x.moved[k];
    for (int k = 0; k < 4; k++)
        out->level[k] = x.home[k];
    double s_sd = predict_step(out, f, &x);
    struct fit_figure step_j = {nan, nan, nan};
    out->power_w = step_j;
    if (f->has == FIT_ENERGY)
        step_j = predict_joules(out, f, &x, s_sd);
    predict_run(out, f, net, step_j);
    look_outside(out, f, net);
}
