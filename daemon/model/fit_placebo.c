/* The placebo scan: what if the caches were of another size? */
#include <math.h>
#include <stdlib.h>

#include "daemon/model/fit_private.h"
#include "daemon/model/stats.h"

/* A difference of errors that could be chance: 5 % over all factors that are compared. */
#define CHANCE (0.05 / (FIT_FACTORS_MAX - 1))
/* A curve that rises less than this above its minimum tells nothing worth knowing. */
#define RISE 0.05
/* "Near": the true size or one step of the scan's octave to either side. */
#define NEAR 2.0

static const char *const verdicts[] = {"near 1", "elsewhere", "flat", "not judged"};

const char *fit_verdict_name(enum fit_verdict v)
{
    return verdicts[v];
}

/* |error| of time per point, left out by size, with the caches `factor` times their size. */
static double scan_one(double *error, const struct fit_data *d, const struct fit *f,
                       const struct fit_time *start, double factor)
{
    struct fit_features *features = fit_features_all(d, &f->caches, f->gpu, factor);
    struct fit_guess *guess = base_alloc(d->nrows * sizeof(*guess));
    struct fit_method m;
    struct fit_cv cv;
    fit_method_ours(&m, features, f->form);
    m.time_only = true;
    m.quick = true;
    /* From the wrong caches' own solution: the right ones' would favour factor 1. */
    struct fit_time own;
    double *all = base_alloc(d->npoints * sizeof(*all));
    for (size_t i = 0; i < d->npoints; i++)
        all[i] = 1;
    fit_time_solve(&own, f->form, d, features, all, start, UINT32_MAX, false);
    m.start = &own;
    fit_cross(&m, d, FIT_BY_SIZE, &cv, guess);
    for (size_t i = 0; i < d->npoints; i++)
        error[i] = 0;
    for (size_t i = 0; i < d->nrows; i++) {
        size_t p = d->row[i].point;
        error[p] += fabs(guess[i].step_s / d->row[i].step_s - 1) / d->point[p].n;
    }
    free(all);
    free(guess);
    free(features);
    return cv.error.time.mean_abs;
}

/* Is a's error larger than b's by more than chance? Paired over points (t, Bonferroni over the factors):
 * what a wrong size spoils may be a few sizes of network only, so that sizes are too few units. */
static bool worse(const struct fit_data *d, const double *a, const double *b)
{
    double *diff = base_alloc(d->npoints * sizeof(*diff));
    for (size_t i = 0; i < d->npoints; i++)
        diff[i] = a[i] - b[i];
    double n = (double)d->npoints;
    double mean = stats_mean(diff, d->npoints);
    double se = stats_sd(diff, d->npoints) / sqrt(n);
    free(diff);
    return mean > se * stats_t_quantile(1 - CHANCE / 2, n - 1);
}

static void judge(struct fit_placebo *out, const struct fit_data *d, double *const *error)
{
    size_t best = 0;
    size_t one = 0;
    for (size_t k = 0; k < out->n; k++) {
        if (out->error[k] < out->error[best])
            best = k;
        if (fabs(log(out->factor[k])) < fabs(log(out->factor[one])))
            one = k;
    }
    bool rises = false;
    for (size_t k = 0; k < out->n; k++)
        rises = rises ||
                (out->error[k] > (1 + RISE) * out->error[best] && worse(d, error[k], error[best]));
    bool one_worse =
        out->error[one] > (1 + RISE) * out->error[best] && worse(d, error[one], error[best]);
    out->best = out->factor[best];
    bool near = out->best <= NEAR * 1.01 && out->best >= 1 / (NEAR * 1.01);
    /* The end of the scan that is no worse than the true sizes: then a wrong size does as well. */
    bool ends = !worse(d, error[0], error[one]) || !worse(d, error[out->n - 1], error[one]);
    if (!rises || (!one_worse && !near && ends))
        out->verdict = FIT_FLAT;
    else
        out->verdict = near || !one_worse ? FIT_NEAR_ONE : FIT_ELSEWHERE;
}

static void say(struct fit_placebo *out)
{
    switch (out->verdict) {
    case FIT_FLAT:
        snprintf(out->sentence, sizeof(out->sentence),
                 "flat: these runs do not tell caches of this machine's size from others");
        break;
    case FIT_NEAR_ONE:
        snprintf(out->sentence, sizeof(out->sentence),
                 "the error is least at %.2g x the true sizes: the caches do what the model says",
                 out->best);
        break;
    case FIT_ELSEWHERE:
        snprintf(out->sentence, sizeof(out->sentence),
                 "the error is least at %.2g x the true sizes: the levels stand for something else "
                 "than these caches, do not read them as such",
                 out->best);
        break;
    case FIT_NOT_JUDGED:
        snprintf(out->sentence, sizeof(out->sentence),
                 "not judged: fewer than %d sizes, or no caches known", FIT_GROUPS_MIN);
    }
}

void fit_placebo_make(struct fit_placebo *out, const struct fit_data *d, const struct fit *f,
                      const struct fit_time *start, const struct fit_options *o)
{
    double *error[FIT_FACTORS_MAX];
    *out = (struct fit_placebo){.best = (double)NAN, .verdict = FIT_NOT_JUDGED};
    if (d->groups[FIT_BY_SIZE] < FIT_GROUPS_MIN || f->caches.n < 2) {
        say(out);
        return;
    }
    for (size_t k = 0; k < FIT_FACTORS_MAX; k++) {
        if (o->progress)
            o->progress(o->arg, "placebo scan", (double)k / FIT_FACTORS_MAX);
        out->factor[k] = pow(2, ((double)k - (FIT_FACTORS_MAX - 1) / 2.0) / 2);
        error[k] = base_alloc(d->npoints * sizeof(double));
        out->error[k] = scan_one(error[k], d, f, start, out->factor[k]);
        out->n++;
    }
    judge(out, d, error);
    say(out);
    for (size_t k = 0; k < out->n; k++)
        free(error[k]);
}
