#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/finding.h"
#include "common/net.h"
#include "daemon/model/stats.h"

#define POINTS_MAX 64 /* sizes of one series */
#define SERIES_MIN 3

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_series(const struct finding_row *a, const struct finding_row *b)
{
    int rc = strcmp(a->dataset, b->dataset);
    if (rc == 0)
        rc = strcmp(a->shape, b->shape);
    return rc ? rc : compare_i64(a->depth, b->depth);
}

static int compare_rows(const void *va, const void *vb)
{
    const struct finding_row *a = va;
    const struct finding_row *b = vb;
    int rc = compare_series(a, b);
    if (rc == 0)
        rc = compare_i64(a->size, b->size);
    return rc ? rc : compare_i64(a->run, b->run);
}

void finding_sort(struct finding *f)
{
    if (f->n > 0)
        qsort(f->rows, f->n, sizeof *f->rows, compare_rows);
}

/* ---- by size ------------------------------------------------------------------------------------- */

/* Median of one field over the rows of a size; NAN unless all of them have it. */
static double median_of(const struct finding *f, int64_t size, size_t offset)
{
    double *v CLEANUP(base_freep) = base_alloc((f->n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        double x;
        if (f->rows[i].size != size)
            continue;
        memcpy(&x, (const char *)&f->rows[i] + offset, sizeof x);
        if (isnan(x))
            return NAN;
        v[n++] = x;
    }
    return stats_median(v, n);
}

static void fill_size(struct finding_size *out, const struct finding *f, int64_t size)
{
    *out = (struct finding_size){.size = size, .home_lo = -1, .home_hi = -1};
    for (size_t i = 0; i < f->n; i++) {
        const struct finding_row *r = &f->rows[i];
        if (r->size != size)
            continue;
        out->n++;
        out->estimated = out->estimated || r->estimated;
        if (r->home >= 0 && (out->home_lo < 0 || r->home < out->home_lo))
            out->home_lo = r->home;
        if (r->home > out->home_hi)
            out->home_hi = r->home;
    }
    out->s_per_datum = median_of(f, size, offsetof(struct finding_row, s_per_datum));
    out->j_per_datum = median_of(f, size, offsetof(struct finding_row, j_per_datum));
}

size_t finding_by_size(const struct finding *f, struct finding_size *out, size_t cap)
{
    size_t n = 0;
    for (int64_t last = INT64_MIN;; n++) {
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < f->n; i++)
            if (f->rows[i].size > last && f->rows[i].size < next)
                next = f->rows[i].size;
        if (next == INT64_MAX)
            return n;
        if (n < cap)
            fill_size(&out[n], f, next);
        last = next;
    }
}

/* ---- points that have no run ---------------------------------------------------------------------- */

static bool has_row(const struct finding *f, const struct finding_row *like, int64_t size)
{
    for (size_t i = 0; i < f->n; i++)
        if (compare_series(&f->rows[i], like) == 0 && f->rows[i].size == size)
            return true;
    return false;
}

static void check_gap(struct finding *f, const struct finding_row *like, int64_t size)
{
    const struct net_dataset *d = net_dataset_find(like->dataset);
    enum net_shape shape;
    struct net net;
    if (!d || has_row(f, like, size) || net_shape_parse(like->shape, &shape, NULL) < 0 ||
        net_search(&net, shape, like->depth, d->inputs, d->outputs, size, NULL) != 1)
        return;
    finding_skip(
        f,
        base_printf("%s %s depth %d size %lld", like->dataset, like->shape, like->depth,
                    (long long)size),
        base_printf("no width comes within 20 %% of that size: the nearest network has %lld "
                    "parameters",
                    (long long)net.params));
}

void finding_gaps(struct finding *f)
{
    struct finding_size sizes[POINTS_MAX];
    size_t n = finding_by_size(f, sizes, ARRAY_LEN(sizes));
    n = n < ARRAY_LEN(sizes) ? n : ARRAY_LEN(sizes);
    for (size_t i = 0; i < f->n; i++) {
        if (i > 0 && compare_series(&f->rows[i], &f->rows[i - 1]) == 0)
            continue;
        for (size_t k = 0; k < n; k++)
            check_gap(f, &f->rows[i], sizes[k].size);
    }
}

/* ---- crossing a cache boundary -------------------------------------------------------------------- */

struct point {
    double x;   /* log parameters */
    double sum; /* of log cost over repeats */
    double sum2;
    size_t n;
    int home;
};

static double cost_of(const struct finding_row *r, enum finding_cost cost)
{
    if (cost == FINDING_TIME)
        return r->s_per_datum;
    return r->estimated ? (double)NAN
                        : r->j_per_datum; /* an estimate is CPU time again, not energy */
}

/* The series that begins at row `at` as points, one per size; *end = the row behind it. */
static size_t points_of(const struct finding *f, size_t at, enum finding_cost cost, struct point *p,
                        size_t *end)
{
    size_t n = 0;
    size_t i = at;
    for (; i < f->n && compare_series(&f->rows[i], &f->rows[at]) == 0; i++) {
        const struct finding_row *r = &f->rows[i];
        double y = log(cost_of(r, cost));
        if (!isfinite(y) || r->home < 0 || r->params < 1)
            continue;
        if (n == 0 || f->rows[i - 1].size != r->size || i == at) {
            if (n == POINTS_MAX)
                continue;
            p[n++] = (struct point){.x = log((double)r->params), .home = r->home};
        }
        p[n - 1].sum += y;
        p[n - 1].sum2 += y * y;
        p[n - 1].n++;
    }
    *end = i;
    return n;
}

/* Mean logarithm of seen over foretold in the level behind `level`; NAN when a side has fewer than 2. */
static double excess(const struct point *p, size_t n, int level)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, sum = 0;
    double below = 0, above = 0;
    for (size_t i = 0; i < n; i++) {
        double y = p[i].sum / (double)p[i].n;
        if (p[i].home > level)
            continue;
        below++;
        sx += p[i].x;
        sy += y;
        sxx += p[i].x * p[i].x;
        sxy += p[i].x * y;
    }
    double det = below * sxx - sx * sx;
    if (below < 2 || det <= 0)
        return NAN;
    double slope = (below * sxy - sx * sy) / det;
    double base = (sy - slope * sx) / below;
    for (size_t i = 0; i < n; i++) {
        if (p[i].home != level + 1)
            continue;
        above++;
        sum += p[i].sum / (double)p[i].n - (base + slope * p[i].x);
    }
    return above < 2 ? (double)NAN : sum / above;
}

/* Pooled variance of repeats. */
struct noise {
    double sum;
    double degrees;
};

static void add_noise(struct noise *z, const struct point *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double k = (double)p[i].n;
        if (p[i].n < 2)
            continue;
        z->sum += p[i].sum2 - p[i].sum * p[i].sum / k;
        z->degrees += k - 1;
    }
}

void finding_cross(struct finding_crossing *out, const struct finding *f, int level,
                   enum finding_cost cost)
{
    struct point p[POINTS_MAX];
    struct noise z = {0, 0};
    double sum = 0, sum2 = 0, lo = INFINITY, hi = -INFINITY;
    *out = (struct finding_crossing){
        .level = level, .factor = NAN, .lo = NAN, .hi = NAN, .noise = NAN};
    for (size_t at = 0, end; at < f->n; at = end) {
        size_t n = points_of(f, at, cost, p, &end);
        double x = excess(p, n, level);
        add_noise(&z, p, n);
        if (isnan(x))
            continue;
        out->series++;
        sum += x;
        sum2 += x * x;
        lo = x < lo ? x : lo;
        hi = x > hi ? x : hi;
    }
    if (z.degrees > 0)
        out->noise = sqrt(z.sum > 0 ? z.sum / z.degrees : 0);
    if (out->series == 0)
        return;
    double n = (double)out->series;
    double mean = sum / n;
    double variance = n > 1 ? (sum2 - sum * mean) / (n - 1) : (double)INFINITY;
    double error = sqrt((variance > 0 ? variance : 0) / n);
    if (!isnan(out->noise)) /* repeats scatter more than the series do: believe the repeats */
        error = fmax(error, out->noise / sqrt(n));
    out->factor = exp(mean);
    out->lo = exp(lo);
    out->hi = exp(hi);
    out->supported = out->series >= SERIES_MIN && fabs(mean) > 2 * error;
}
