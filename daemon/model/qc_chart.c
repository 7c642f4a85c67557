/* The control chart: is a network that never changes still measured as it was? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"
#include "daemon/model/qc.h"
#include "daemon/model/stats.h"

#define MAD_TO_SD 1.4826 /* of a normal distribution */

static double value_of(const struct study_run *r, enum qc_quantity q)
{
    return q == QC_TIME ? study_datum_s(r) : study_datum_j(r);
}

static bool belongs(const struct study_run *r, const struct study_run *to)
{
    return r->role == STUDY_CANARY && r->sweep == to->sweep &&
           strcmp(r->machine, to->machine) == 0 && strcmp(r->backend, to->backend) == 0 &&
           strcmp(r->dataset, to->dataset) == 0 && strcmp(r->shape, to->shape) == 0 &&
           r->net.depth == to->net.depth && r->net.params == to->net.params;
}

static int by_start(const void *a, const void *b)
{
    const struct qc_point *x = a;
    const struct qc_point *y = b;
    if (x->started_utc_ns != y->started_utc_ns)
        return x->started_utc_ns < y->started_utc_ns ? -1 : 1;
    return (x->run > y->run) - (x->run < y->run);
}

void qc_chart_limits(struct qc_chart *c)
{
    double *v CLEANUP(base_freep) = base_alloc((c->n + 1) * sizeof *v);
    c->mean = c->n > 0 ? 0 : (double)NAN;
    for (size_t i = 0; i < c->n; i++) {
        v[i] = c->points[i].value;
        c->mean += v[i] / (double)c->n;
    }
    c->centre = stats_median(v, c->n);
    for (size_t i = 0; i < c->n; i++)
        v[i] = fabs(c->points[i].value - c->centre);
    bool enough = c->n >= QC_CHART_LEAST;
    c->sigma = enough ? MAD_TO_SD * stats_median(v, c->n) : (double)NAN;
    double half = fmax(QC_CHART_SIGMAS * c->sigma, QC_CHART_FLOOR * c->centre);
    c->lo = enough ? c->centre - half : (double)NAN;
    c->hi = enough ? c->centre + half : (double)NAN;
    c->failing = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct qc_point *p = &c->points[i];
        p->failing = enough && (p->value < c->lo || p->value > c->hi);
        c->failing += p->failing;
    }
}

static void name_network(struct qc_chart *c, const struct study_run *r)
{
    (void)snprintf(c->network, sizeof c->network, "%.60s %s depth %d, %lld parameters", r->dataset,
                   r->shape, r->net.depth, (long long)r->net.params);
}

/* false: nothing to chart, or joules that are an estimate. */
static bool fill_chart(struct qc_chart *c, const struct study_run *runs, size_t n, size_t first,
                       enum qc_quantity q)
{
    const struct study_run *to = &runs[first];
    *c = (struct qc_chart){.sweep = to->sweep, .quantity = q};
    base_strcpy(c->machine, sizeof c->machine, to->machine);
    base_strcpy(c->backend, sizeof c->backend, to->backend);
    name_network(c, to);
    c->points = base_alloc((n - first) * sizeof *c->points);
    for (size_t i = first; i < n; i++) {
        const struct study_run *r = &runs[i];
        if (!belongs(r, to))
            continue;
        double v = value_of(r, q);
        if (q == QC_ENERGY && r->quality == STUDY_ESTIMATED)
            return false;
        if (!isfinite(v))
            continue;
        c->points[c->n++] = (struct qc_point){.at = i,
                                              .run = r->run,
                                              .block = r->block,
                                              .started_utc_ns = r->started_utc_ns,
                                              .value = v};
    }
    qsort(c->points, c->n, sizeof *c->points, by_start);
    qc_chart_limits(c);
    return c->n > 0;
}

static bool is_first(const struct study_run *runs, size_t i)
{
    if (runs[i].role != STUDY_CANARY)
        return false;
    for (size_t k = 0; k < i; k++)
        if (belongs(&runs[k], &runs[i]))
            return false;
    return true;
}

size_t qc_charts(struct qc_chart **out, const struct study_run *runs, size_t n)
{
    size_t count = 0;
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        for (int q = QC_TIME; q <= QC_ENERGY && is_first(runs, i); q++) {
            struct qc_chart c;
            if (!fill_chart(&c, runs, n, i, (enum qc_quantity)q)) {
                free(c.points);
                continue;
            }
            struct qc_chart *p = realloc(*out, (count + 1) * sizeof *p);
            if (!p)
                abort();
            *out = p;
            p[count++] = c;
        }
    }
    return count;
}

void qc_charts_free(struct qc_chart *charts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(charts[i].points);
    free(charts);
}
