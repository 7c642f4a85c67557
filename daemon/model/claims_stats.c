#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/claims_private.h"
#include "daemon/model/stats.h"

#define SEED UINT64_C(20240312) /* fixed: a report made twice says the same */

void claims_pairs_init(struct claims_pairs *p, size_t most)
{
    *p = (struct claims_pairs){.x = base_alloc((most + 1) * sizeof *p->x),
                               .y = base_alloc((most + 1) * sizeof *p->y),
                               .group = base_alloc((most + 1) * sizeof *p->group)};
}

void claims_pairs_fini(struct claims_pairs *p)
{
    free(p->x);
    free(p->y);
    free(p->group);
    *p = (struct claims_pairs){0};
}

void claims_pairs_finip(struct claims_pairs *p)
{
    claims_pairs_fini(p);
}

void claims_pairs_add(struct claims_pairs *p, double x, double y, size_t group)
{
    if (!isfinite(x) || !isfinite(y))
        return;
    p->x[p->n] = x;
    p->y[p->n] = y;
    p->group[p->n] = group;
    p->n++;
    p->groups = group + 1 > p->groups ? group + 1 : p->groups;
}

/* ---- slope --------------------------------------------------------------------------------------- */

struct sums {
    double n, x, y;
};

/* Least squares with a level of its own for every group; index = NULL takes each pair once. Pairs are
 * weighted equally; a group with one x says nothing. */
static double slope(const struct claims_pairs *p, const size_t *index, struct sums *sum)
{
    double sxy = 0;
    double sxx = 0;
    memset(sum, 0, (p->groups + 1) * sizeof *sum);
    for (size_t k = 0; k < p->n; k++) {
        size_t i = index ? index[k] : k;
        struct sums *g = &sum[p->group[i]];
        g->n += 1;
        g->x += p->x[i];
        g->y += p->y[i];
    }
    for (size_t k = 0; k < p->n; k++) {
        size_t i = index ? index[k] : k;
        const struct sums *g = &sum[p->group[i]];
        double dx = p->x[i] - g->x / g->n;
        sxy += dx * (p->y[i] - g->y / g->n);
        sxx += dx * dx;
    }
    return sxx > 1e-9 ? sxy / sxx : (double)NAN;
}

static void interval(struct claims_figure *f)
{
    double *sorted CLEANUP(base_freep) = base_alloc(sizeof f->boot);
    memcpy(sorted, f->boot, sizeof f->boot);
    stats_interval(sorted, CLAIMS_BOOTSTRAPS, 0.95, &f->lo, &f->hi);
}

void claims_slope(struct claims_figure *out, const struct claims_pairs *p)
{
    uint64_t seed = SEED;
    size_t *index CLEANUP(base_freep) = base_alloc((p->n + 1) * sizeof *index);
    struct sums *sum CLEANUP(base_freep) = base_alloc((p->groups + 1) * sizeof *sum);
    out->n = p->n;
    out->value = slope(p, NULL, sum);
    for (size_t b = 0; b < CLAIMS_BOOTSTRAPS; b++) {
        out->boot[b] = NAN;
        if (p->n == 0)
            continue;
        stats_resample(index, p->n, &seed);
        out->boot[b] = slope(p, index, sum);
    }
    interval(out);
}

/* ---- median -------------------------------------------------------------------------------------- */

void claims_median(struct claims_figure *out, const double *v, size_t n)
{
    uint64_t seed = SEED;
    size_t *index CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *index);
    double *w CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *w);
    out->n = n;
    memcpy(w, v, n * sizeof *w);
    out->value = stats_median(w, n);
    for (size_t b = 0; b < CLAIMS_BOOTSTRAPS; b++) {
        out->boot[b] = NAN;
        if (n == 0)
            continue;
        stats_resample(index, n, &seed);
        for (size_t i = 0; i < n; i++)
            w[i] = v[index[i]];
        out->boot[b] = stats_median(w, n);
    }
    interval(out);
}

void claims_minus(struct claims_figure *out, const struct claims_figure *a,
                  const struct claims_figure *b)
{
    out->n = a->n + b->n;
    out->value = a->value - b->value;
    /* Both were drawn from one seed: shifted against each other they are independent. */
    for (size_t i = 0; i < CLAIMS_BOOTSTRAPS; i++)
        out->boot[i] = a->boot[i] - b->boot[(i + CLAIMS_BOOTSTRAPS / 3) % CLAIMS_BOOTSTRAPS];
    interval(out);
}

void claims_exp(struct claims_figure *f)
{
    f->value = exp(f->value);
    f->lo = exp(f->lo);
    f->hi = exp(f->hi);
}

void claims_exp2(struct claims_figure *f)
{
    f->value = exp2(f->value);
    f->lo = exp2(f->lo);
    f->hi = exp2(f->hi);
}
