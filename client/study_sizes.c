#include "client/study_sizes.h"

#include <math.h>
#include <stdlib.h>

#define STEP  1.189207115002721 /* 2^(1/4): sizes that are tried */
#define STEPS (4 * 19)          /* of them from 2^5 to 2^24 */
#define NEAR  1.3

/* Level in which the working set of the network nearest to `size` lies; -1 = there is none within 20 %. */
static int level_at(const struct net_dataset *data, enum net_shape shape, int depth,
                    const struct study_axes *axes, enum workset_kind kind, int64_t size,
                    const struct caches *m)
{
    struct net net;
    struct workset w;
    struct err e;
    if (net_search(&net, shape, depth, data->inputs, data->outputs, size, &e) != 0)
        return -1;
    const struct workset_case c = {
        .net = &net, .batch = axes->batch, .number_bytes = axes->number_bytes, .adam = true};
    workset_compute(&w, &c, m);
    int index = w.place[kind].index;
    return index < 0 ? (int)m->n : index;
}

double study_bound_of(const struct net_dataset *data, enum net_shape shape, int depth,
                      const struct study_axes *axes, enum workset_kind kind, size_t level,
                      const struct caches *m, bool *never_inside)
{
    double inside = NAN;
    *never_inside = false;
    for (int k = 0; k <= STEPS; k++) {
        double size = STUDY_SIZE_MIN * pow(STEP, k);
        int at = level_at(data, shape, depth, axes, kind, llround(size), m);
        if (at < 0)
            continue;
        if (at <= (int)level) {
            inside = size;
            continue;
        }
        *never_inside = isnan(inside);
        return inside * sqrt(STEP);
    }
    return NAN; /* the largest fits */
}

static void add_bound(struct study_bound *b, const struct study_axes *axes, const struct caches *m)
{
    double sum = 0;
    size_t never = 0;
    size_t all = 0;
    for (size_t d = 0; d < axes->ndata; d++) {
        for (size_t s = 0; s < axes->nshapes; s++) {
            for (size_t k = 0; k < axes->ndepths; k++) {
                bool outside;
                double p = study_bound_of(axes->data[d], axes->shape[s], axes->depth[k], axes,
                                          b->kind, (size_t)b->level, m, &outside);
                all++;
                never += outside;
                if (isnan(p))
                    continue;
                sum += log(p);
                b->lo = b->networks == 0 || p < b->lo ? p : b->lo;
                b->hi = b->networks == 0 || p > b->hi ? p : b->hi;
                b->networks++;
            }
        }
    }
    b->never_inside = never == all;
    if (b->networks > 0)
        b->params = exp(sum / (double)b->networks);
}

size_t study_bounds(struct study_bound out[STUDY_BOUNDS_MAX], const struct study_axes *axes,
                    const struct caches *m)
{
    static const enum workset_kind kinds[] = {WORKSET_F, WORKSET_B};
    size_t n = 0;
    for (size_t level = 0; level + 1 < m->n; level++) {
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            out[n] = (struct study_bound){
                .level = (int)level, .kind = kinds[k], .params = NAN, .lo = NAN, .hi = NAN};
            add_bound(&out[n++], axes, m);
        }
    }
    return n;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* To two digits: 15316 is 15000 on the command line, and far within the 20 % of any search. */
static int64_t round_size(double size)
{
    double unit = pow(10, floor(log10(size)) - 1);
    return llround(unit > 1 ? round(size / unit) * unit : size);
}

size_t study_sizes(int64_t out[STUDY_SIZES_MAX], const struct study_bound *bounds, size_t n)
{
    double all[5 * STUDY_BOUNDS_MAX] = {0};
    size_t found = 0;
    size_t used = 0;
    for (size_t i = 0; i < n && i < STUDY_BOUNDS_MAX; i++)
        for (int k = -2; k <= 2 && !isnan(bounds[i].params); k++)
            all[found++] = bounds[i].params * pow(2, k);
    qsort(all, found, sizeof *all, rising);
    for (size_t i = 0; i < found; i++) {
        if (all[i] < STUDY_SIZE_MIN || all[i] > STUDY_SIZE_MAX)
            continue;
        if (used > 0 && all[i] < NEAR * (double)out[used - 1])
            continue;
        out[used++] = round_size(all[i]);
    }
    return used;
}
