#include "daemon/model/knee.h"

#include <math.h>
#include <stdlib.h>

#include "common/base.h"
#include "daemon/model/stats.h"

#define GRID   24
#define THIRDS 14
#define TERMS  3

struct bend {
    double k;
    double coef[TERMS]; /* a, b, c */
    double rss;
};

/* ---- one fit --------------------------------------------------------------------------------------- */

/* Normal equations of the relative error: rows (1, x, (x - k)+) / y against 1. */
struct sums {
    double xx[TERMS][TERMS];
    double xy[TERMS];
    double scale[TERMS]; /* columns are scaled: parameters and units differ by many decades */
    double n;
};

static void make_sums(struct sums *s, const struct knee_point *p, size_t n, double k)
{
    *s = (struct sums){.n = (double)n};
    for (size_t i = 0; i < n; i++) {
        const double row[TERMS] = {1 / p[i].y, p[i].x / p[i].y,
                                   p[i].x > k ? (p[i].x - k) / p[i].y : 0};
        for (int r = 0; r < TERMS; r++) {
            s->xy[r] += row[r];
            for (int c = 0; c < TERMS; c++)
                s->xx[r][c] += row[r] * row[c];
        }
    }
    for (int r = 0; r < TERMS; r++)
        s->scale[r] = s->xx[r][r] > 0 ? 1 / sqrt(s->xx[r][r]) : 0;
}

/* Gauss with pivots over the chosen columns; false where they depend on each other. */
static bool solve(const struct sums *s, const int *col, int n, double *out)
{
    double m[TERMS][TERMS + 1];
    for (int r = 0; r < n; r++) {
        for (int c = 0; c < n; c++)
            m[r][c] = s->xx[col[r]][col[c]] * s->scale[col[r]] * s->scale[col[c]];
        m[r][n] = s->xy[col[r]] * s->scale[col[r]];
    }
    for (int k = 0; k < n; k++) {
        int best = k;
        for (int r = k + 1; r < n; r++)
            best = fabs(m[r][k]) > fabs(m[best][k]) ? r : best;
        if (fabs(m[best][k]) < 1e-10)
            return false;
        for (int c = 0; c <= n; c++) {
            double t = m[k][c];
            m[k][c] = m[best][c];
            m[best][c] = t;
        }
        for (int r = 0; r < n; r++) {
            double f = r == k ? 0 : m[r][k] / m[k][k];
            for (int c = k; c <= n; c++)
                m[r][c] -= f * m[k][c];
        }
    }
    for (int r = 0; r < n; r++)
        out[col[r]] = m[r][n] / m[r][r] * s->scale[col[r]];
    return true;
}

static double rss_of(const struct sums *s, const double coef[TERMS])
{
    double rss = s->n;
    for (int r = 0; r < TERMS; r++) {
        rss -= 2 * coef[r] * s->xy[r];
        for (int c = 0; c < TERMS; c++)
            rss += coef[r] * coef[c] * s->xx[r][c];
    }
    return rss > 0 ? rss : 0;
}

/* Not negative: of all sets of columns the one that is feasible and fits best. Three columns: seven sets. */
static void fit_at(struct bend *out, const struct knee_point *p, size_t n, double k)
{
    struct sums s;
    make_sums(&s, p, n, k);
    *out = (struct bend){.k = k, .rss = INFINITY};
    for (int set = 1; set < 1 << TERMS; set++) {
        int col[TERMS];
        int used = 0;
        double coef[TERMS] = {0};
        for (int c = 0; c < TERMS; c++)
            if (set >> c & 1)
                col[used++] = c;
        if (!solve(&s, col, used, coef))
            continue;
        bool feasible = true;
        for (int c = 0; c < TERMS; c++)
            feasible = feasible && coef[c] >= 0;
        double rss = rss_of(&s, coef);
        if (!feasible || rss >= out->rss)
            continue;
        out->rss = rss;
        for (int c = 0; c < TERMS; c++)
            out->coef[c] = coef[c];
    }
}

struct range { /* where a knee may be */
    double from, to;
};

/* The grid finds the valley, thirds of what is left its bottom. */
static void best_bend(struct bend *out, const struct knee_point *p, size_t n,
                      const struct range *where)
{
    double step = pow(where->to / where->from, 1 / (GRID - 1.0));
    *out = (struct bend){.rss = INFINITY};
    for (int g = 0; g < GRID; g++) {
        struct bend one;
        fit_at(&one, p, n, where->from * pow(step, g));
        if (one.rss < out->rss)
            *out = one;
    }
    double lo = out->k / step > where->from ? out->k / step : where->from;
    double hi = out->k * step < where->to ? out->k * step : where->to;
    for (int i = 0; i < THIRDS; i++) {
        struct bend left;
        struct bend right;
        fit_at(&left, p, n, lo * cbrt(hi / lo));
        fit_at(&right, p, n, hi / cbrt(hi / lo));
        if (left.rss < right.rss)
            hi = right.k;
        else
            lo = left.k;
        if (left.rss < out->rss)
            *out = left;
        if (right.rss < out->rss)
            *out = right;
    }
}

static double steeper(const struct bend *b)
{
    return b->coef[1] > 0 ? 1 + b->coef[2] / b->coef[1] : b->coef[2] > 0 ? (double)INFINITY : 1;
}

static double value(const struct bend *b, double x)
{
    return b->coef[0] + b->coef[1] * x + (x > b->k ? b->coef[2] * (x - b->k) : 0);
}

/* ---- a curve --------------------------------------------------------------------------------------- */

static bool find_range(struct range *where, size_t *sizes, const struct knee_point *p, size_t n)
{
    double *x CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *x);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        x[i] = p[i].x;
    stats_sort(x, n);
    for (size_t i = 0; i < n; i++)
        if (m == 0 || x[i] > x[m - 1])
            x[m++] = x[i];
    *sizes = m;
    if (m < KNEE_SIZES_MIN)
        return false;
    *where = (struct range){x[1], x[m - 2]};
    return true;
}

static void bootstrap(struct knee *out, const struct bend *fit, const struct knee_point *p,
                      size_t n, const struct range *where, uint64_t seed)
{
    struct knee_point *q CLEANUP(base_freep) = base_alloc(n * sizeof *q);
    double *residual CLEANUP(base_freep) = base_alloc(n * sizeof *residual);
    size_t *index CLEANUP(base_freep) = base_alloc(n * sizeof *index);
    size_t straight = 0;
    for (size_t i = 0; i < n; i++)
        residual[i] = p[i].y / value(fit, p[i].x);
    for (size_t r = 0; r < KNEE_BOOTSTRAPS; r++) {
        struct bend one;
        stats_resample(index, n, &seed);
        for (size_t i = 0; i < n; i++)
            q[i] = (struct knee_point){p[i].x, value(fit, p[i].x) * residual[index[i]]};
        best_bend(&one, q, n, where);
        bool bent = steeper(&one) > KNEE_STEEPER;
        out->boot[r] = bent ? one.k : (double)NAN;
        straight += !bent;
    }
    out->seen = steeper(fit) > KNEE_STEEPER && (double)straight <= 0.025 * KNEE_BOOTSTRAPS;
}

void knee_fit(struct knee *out, const struct knee_point *p, size_t n, uint64_t seed)
{
    struct range where;
    struct bend fit;
    *out = (struct knee){.n = n, .at = NAN, .lo = NAN, .hi = NAN, .a = NAN, .b = NAN};
    out->steeper = out->error = NAN;
    if (!find_range(&where, &out->sizes, p, n))
        return;
    best_bend(&fit, p, n, &where);
    out->fitted = true;
    out->a = fit.coef[0];
    out->b = fit.coef[1];
    out->steeper = steeper(&fit);
    out->error = 0;
    for (size_t i = 0; i < n; i++)
        out->error += fabs(value(&fit, p[i].x) / p[i].y - 1) / (double)n;
    bootstrap(out, &fit, p, n, &where, seed);
    if (!out->seen)
        return;
    double sorted[KNEE_BOOTSTRAPS];
    for (size_t i = 0; i < KNEE_BOOTSTRAPS; i++)
        sorted[i] = out->boot[i];
    out->at = fit.k;
    stats_interval(sorted, KNEE_BOOTSTRAPS, 0.95, &out->lo, &out->hi);
}

/* ---- two curves ------------------------------------------------------------------------------------ */

static enum knee_verdict judge(const struct knee_move *m)
{
    bool holds_one = m->lo <= 1 && m->hi >= 1;
    if (m->predicted == 1)
        return holds_one ? KNEE_STAYED : KNEE_AGAINST;
    if (!holds_one)
        return (m->lo > 1) == (m->predicted > 1) ? KNEE_MOVED : KNEE_AGAINST;
    return m->predicted < m->lo || m->predicted > m->hi ? KNEE_STAYED : KNEE_UNDECIDED;
}

void knee_compare(struct knee_move *out, const struct knee *base, const struct knee *variant,
                  double predicted)
{
    double ratio[KNEE_BOOTSTRAPS];
    *out = (struct knee_move){NAN, NAN, NAN, predicted, KNEE_UNDECIDED};
    if (!base->seen || !variant->seen)
        return;
    for (size_t i = 0; i < KNEE_BOOTSTRAPS; i++) /* NAN where one of them did not bend */
        ratio[i] = variant->boot[i] / base->boot[i];
    out->ratio = variant->at / base->at;
    stats_interval(ratio, KNEE_BOOTSTRAPS, 0.95, &out->lo, &out->hi);
    if (!isnan(out->lo) && !isnan(predicted))
        out->verdict = judge(out);
}

const char *knee_verdict_name(enum knee_verdict v)
{
    static const char *const names[] = {[KNEE_MOVED] = "moved",
                                        [KNEE_AGAINST] = "moved against the prediction",
                                        [KNEE_STAYED] = "stayed",
                                        [KNEE_UNDECIDED] = "undecided"};
    return names[v];
}
