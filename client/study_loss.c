#include "client/study_loss.h"

#include <math.h>
#include <stdlib.h>

void study_loss_fini(struct study_loss *l)
{
    free(l->curves);
    free(l->points);
    *l = (struct study_loss){0};
}

static double per_epoch(double train, double test, double epochs)
{
    return epochs > 0 ? (train + (isnan(test) ? 0 : test)) / epochs : (double)NAN;
}

static void fill(struct isoloss_curve *out, struct isoloss_point *at, const struct study_run *r,
                 const struct study_curve *c)
{
    double epoch_j = per_epoch(r->train_j, r->test_j, r->epochs);
    double epoch_s = per_epoch(r->train_s, r->test_s, r->epochs);
    for (size_t i = 0; i < c->n; i++) {
        const struct study_point *p = &c->at[i];
        bool joules = isfinite(p->energy_j);
        bool timed = r->first_batch_ns > 0 && p->t_ns > r->first_batch_ns;
        at[i] = (struct isoloss_point){
            p->epoch, p->value, joules ? p->energy_j : p->epoch * epoch_j,
            timed ? (double)(p->t_ns - r->first_batch_ns) / 1e9 : p->epoch * epoch_s};
        out->apportioned = out->apportioned || (!joules && isfinite(epoch_j));
    }
    out->at = at;
    out->n = c->n;
}

int study_loss_load(struct study_loss *out, struct conn *c, const struct study *s, struct err *e)
{
    struct study_curves curves;
    *out = (struct study_loss){0};
    int rc = study_load_curves(&curves, c, s, "test_loss", STUDY_LOSS_POINTS, STUDY_RECORDS, e);
    if (rc < 0)
        return rc;
    out->curves = base_alloc((s->n + 1) * sizeof *out->curves);
    out->points = base_alloc((s->n + 1) * STUDY_LOSS_POINTS * sizeof *out->points);
    for (size_t i = 0; i < s->n; i++) {
        const struct study_curve *curve = study_curve_of(&curves, s->runs[i].run);
        if (curve && curve->n <= STUDY_LOSS_POINTS)
            fill(&out->curves[i], out->points + i * STUDY_LOSS_POINTS, &s->runs[i], curve);
    }
    study_curves_fini(&curves);
    return 0;
}
