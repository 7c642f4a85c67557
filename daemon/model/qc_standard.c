/* Standardisation and the study's units: values beside the measured ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "daemon/model/qc.h"
#include "daemon/model/stats.h"

#define STARTUP_QUANTILE 0.05
#define CALIBRATION_SIZE 1024
#define TRAIN_SHARE      0.8 /* of the rows, as the study counts them */

/* source: BUTTER-E analysis, notebook 3. */
const struct qc_idle qc_idle_study[] = {{"cpu1", 220}, {"cpu2", 230}, {"cpu3", 309},
                                        {"cpu4", 388}, {"gpu1", 374}, {"gpu2", 403}};
const size_t qc_idle_study_count = ARRAY_LEN(qc_idle_study);

/* ---- node offset ---------------------------------------------------------------------------------- */

static double own_idle(const char *hardware, const struct study_run *runs, size_t n)
{
    double *v CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *v);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(runs[i].hardware, hardware) == 0 && isfinite(runs[i].idle_w))
            v[m++] = runs[i].idle_w;
    return stats_median(v, m);
}

static double idle_of(const char *hardware, const struct qc_options *o,
                      const struct study_run *runs, size_t n)
{
    if (!o->idle)
        return own_idle(hardware, runs, n);
    for (size_t i = 0; i < o->nidle; i++)
        if (strcmp(o->idle[i].hardware, hardware) == 0)
            return o->idle[i].w;
    return NAN;
}

/* The same for every run of a hardware, which are asked for one after the other. */
struct offset {
    const char *hardware;
    double w;
};

static double offset_of(struct offset *last, const struct study_run *r, const struct qc_options *o,
                        const struct study_run *runs, size_t n)
{
    const char *ref = o->reference[r->gpu];
    if (!(o->steps & QC_STD_OFFSET) || !ref || strcmp(ref, r->hardware) == 0)
        return 0;
    if (!last->hardware || strcmp(last->hardware, r->hardware) != 0)
        *last = (struct offset){r->hardware,
                                idle_of(ref, o, runs, n) - idle_of(r->hardware, o, runs, n)};
    return last->w;
}

/* ---- start-up ------------------------------------------------------------------------------------- */

static const char *smallest_data(const struct study_run *runs, size_t n)
{
    const struct study_run *least = NULL;
    for (size_t i = 0; i < n; i++)
        if (runs[i].rows_train > 0 && (!least || runs[i].rows_train < least->rows_train))
            least = &runs[i];
    return least ? least->dataset : "";
}

struct calibration {
    const char *hardware;
    double j;
    double s;
};

static void calibrate(struct calibration *c, const char *hardware, const struct qc_options *o,
                      const struct study_run *runs, const struct qc_standard *std, size_t n)
{
    const char *data = o->calibration ? o->calibration : smallest_data(runs, n);
    int64_t most = o->calibration_size > 0 ? o->calibration_size : CALIBRATION_SIZE;
    double *j CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *j);
    double *s CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *s);
    size_t nj = 0;
    size_t ns = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(runs[i].hardware, hardware) != 0 || strcmp(runs[i].dataset, data) != 0 ||
            runs[i].size > most)
            continue;
        if (isfinite(std[i].std_j))
            j[nj++] = std[i].std_j;
        if (isfinite(runs[i].run_s))
            s[ns++] = runs[i].run_s;
    }
    stats_sort(j, nj);
    stats_sort(s, ns);
    *c = (struct calibration){hardware, stats_quantile(j, nj, STARTUP_QUANTILE),
                              stats_quantile(s, ns, STARTUP_QUANTILE)};
}

static void take_startup(struct qc_standard *s, const struct study_run *r,
                         const struct calibration *c)
{
    if (c) {
        s->overhead_j = c->j;
        s->overhead_s = c->s;
    } else {
        s->overhead_s = r->run_s - r->train_s - r->test_s;
        s->overhead_j = r->run_j - r->train_j - r->test_j + s->offset_w * s->overhead_s;
    }
}

/* ---- units ---------------------------------------------------------------------------------------- */

static double per(double what, double n)
{
    return n > 0 ? what / n : (double)NAN;
}

static void fill_units(struct qc_standard *s, const struct study_run *r)
{
    double batch = (double)r->batch;
    double batches = ceil(TRAIN_SHARE * (double)(r->rows_train + r->rows_test) / batch);
    double steps = r->epochs * batches;
    double offset_j = s->offset_w * r->train_s;
    s->study = (struct qc_units){
        .batch_j = per(s->net_j, steps),
        .datum_j = per(s->net_j, steps * batch),
        .epoch_j = per(s->net_j, r->epochs),
        .batch_s = per(s->net_s, steps),
        .datum_s = per(s->net_s, steps * batch),
        .epoch_s = per(s->net_s, r->epochs),
    };
    s->exact = (struct qc_units){
        .batch_j = per(r->train_j + offset_j, study_steps(r)),
        .datum_j = per(r->train_j + offset_j, r->rows_seen),
        .epoch_j = per(r->train_j + offset_j, r->rows_seen) * (double)r->rows_train,
        .batch_s = study_step_s(r),
        .datum_s = study_datum_s(r),
        .epoch_s = study_datum_s(r) * (double)r->rows_train,
    };
}

void qc_standardise(struct qc_standard *out, const struct study_run *runs, size_t n,
                    const struct qc_options *o)
{
    struct offset last = {0};
    struct calibration cal = {0};
    for (size_t i = 0; i < n; i++) {
        struct qc_standard *s = &out[i];
        *s = (struct qc_standard){.power_w = per(runs[i].run_j, runs[i].run_s)};
        s->offset_w = offset_of(&last, &runs[i], o, runs, n);
        s->std_j = (s->power_w + s->offset_w) * runs[i].run_s;
    }
    for (size_t i = 0; i < n; i++) {
        struct qc_standard *s = &out[i];
        bool smallest = o->startup == QC_STARTUP_SMALLEST;
        if (smallest && (!cal.hardware || strcmp(cal.hardware, runs[i].hardware) != 0))
            calibrate(&cal, runs[i].hardware, o, runs, out, n);
        if (o->steps & QC_STD_STARTUP)
            take_startup(s, &runs[i], smallest ? &cal : NULL);
        s->net_j = s->std_j - s->overhead_j;
        s->net_s = runs[i].run_s - s->overhead_s;
        s->dropped = s->net_j <= 0 || s->net_s <= 0;
        fill_units(s, &runs[i]);
    }
}

/* ---- medians over repeats ------------------------------------------------------------------------- */

bool qc_same_network(const struct study_run *a, const struct study_run *b)
{
    return a->net.params == b->net.params && a->size == b->size && a->net.depth == b->net.depth &&
           a->batch == b->batch && strcmp(a->shape, b->shape) == 0 &&
           strcmp(a->dataset, b->dataset) == 0 && strcmp(a->hardware, b->hardware) == 0 &&
           a->standin == b->standin;
}

/* Median of one field over the members; all fields are doubles at a place in struct qc_standard. */
static double median_at(const struct qc_standard *std, const size_t *members, size_t n, size_t off,
                        double *v)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const char *)&std[members[i]] + off, sizeof x);
        if (isfinite(x))
            v[m++] = x;
    }
    return stats_median(v, m);
}

static void fill_medians(struct qc_config *c, const struct qc_standard *std, const size_t *members,
                         double *v)
{
#define MEDIAN(field) median_at(std, members, c->n, offsetof(struct qc_standard, field), v)
    c->net_j = MEDIAN(net_j);
    c->net_s = MEDIAN(net_s);
    c->study =
        (struct qc_units){MEDIAN(study.batch_j), MEDIAN(study.datum_j), MEDIAN(study.epoch_j),
                          MEDIAN(study.batch_s), MEDIAN(study.datum_s), MEDIAN(study.epoch_s)};
    c->exact =
        (struct qc_units){MEDIAN(exact.batch_j), MEDIAN(exact.datum_j), MEDIAN(exact.epoch_j),
                          MEDIAN(exact.batch_s), MEDIAN(exact.datum_s), MEDIAN(exact.epoch_s)};
#undef MEDIAN
}

size_t qc_medians(struct qc_config **out, const struct study_run *runs,
                  const struct qc_standard *std, size_t n, uint32_t without)
{
    bool *taken CLEANUP(base_freep) = base_alloc(n + 1);
    size_t *members CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *members);
    double *v CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *v);
    size_t count = 0;
    *out = base_alloc((n + 1) * sizeof **out);
    for (size_t i = 0; i < n; i++) {
        if (taken[i] || (runs[i].excluded & without) || std[i].dropped)
            continue;
        struct qc_config *c = &(*out)[count++];
        *c = (struct qc_config){.first = i};
        for (size_t k = i; k < n; k++) {
            if (taken[k] || (runs[k].excluded & without) || std[k].dropped ||
                !qc_same_network(&runs[i], &runs[k]))
                continue;
            taken[k] = true;
            members[c->n++] = k;
        }
        fill_medians(c, std, members, v);
    }
    return count;
}
