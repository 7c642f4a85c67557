#include "daemon/trainer/network.h"

#include <math.h>
#include <sys/mman.h>

#include "daemon/trainer/rng.h"

#define ALIGN_SCALARS 16 /* 64 bytes of float */

void *network_map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, bytes,
                  MADV_HUGEPAGE); /* only a wish: 4 KiB pages are right too, just slower */
    return p;
}

void network_unmap(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes);
}

static size_t padded(size_t scalars)
{
    return (scalars + ALIGN_SCALARS - 1) / ALIGN_SCALARS * ALIGN_SCALARS;
}

static void lay_out(struct network *n)
{
    int64_t in = n->net.inputs;
    size_t at = 0;
    for (int k = 0; k < n->net.depth; k++) {
        struct network_layer *l = &n->layer[k];
        bool last = k == n->net.depth - 1;
        *l = (struct network_layer){.in = in, .out = n->net.widths[k], .w = at, .relu = !last};
        l->skip = n->net.shape == NET_RECTANGLE_RESIDUAL && k > 0 && !last;
        at += padded((size_t)(l->in * l->out));
        l->b = at;
        at += padded((size_t)l->out);
        in = l->out;
    }
    n->scalars = at;
}

int network_open(struct network *n, const struct net *net, size_t scalar_bytes, struct err *e)
{
    *n = (struct network){.net = *net, .scalar_bytes = scalar_bytes};
    if (net->params > INT64_C(1) << 32) {
        err_set(e, WATTQ_E_LIMIT, "a network of %lld parameters is too large",
                (long long)net->params);
        return err_next(e, "give a --size of at most 2^30");
    }
    lay_out(n);
    size_t slice = n->scalars * scalar_bytes;
    n->arena_bytes = 4 * slice;
    n->arena = network_map(n->arena_bytes);
    if (!n->arena)
        return err_set(e, WATTQ_E_LIMIT, "no memory for %lld parameters (%zu MB)",
                       (long long)net->params, n->arena_bytes >> 20);
    char *base = n->arena;
    n->param = base;
    n->grad = base + slice;
    n->m = base + 2 * slice;
    n->v = base + 3 * slice;
    return 0;
}

void network_close(struct network *n)
{
    network_unmap(n->arena, n->arena_bytes);
    *n = (struct network){0};
}

static double scalar_get(const struct network *n, const void *slice, size_t i)
{
    return n->scalar_bytes == sizeof(float) ? (double)((const float *)slice)[i]
                                            : ((const double *)slice)[i];
}

static void scalar_set(const struct network *n, void *slice, size_t i, double x)
{
    if (n->scalar_bytes == sizeof(float))
        ((float *)slice)[i] = (float)x;
    else
        ((double *)slice)[i] = x;
}

void network_randomize(struct network *n, enum network_init init, uint64_t seed)
{
    uint64_t draw = 0;
    for (int k = 0; k < n->net.depth; k++) {
        const struct network_layer *l = &n->layer[k];
        bool he = init == NETWORK_HE_UNIFORM && l->relu;
        double limit = sqrt(6.0 / (double)(he ? l->in : l->in + l->out));
        size_t weights = (size_t)(l->in * l->out);
        for (size_t i = 0; i < weights; i++) {
            double u = 2 * rng_uniform(seed, RNG_INIT, draw++) - 1;
            scalar_set(n, n->param, l->w + i, (double)(float)(limit * u));
        }
    }
}

void network_get(const struct network *n, const void *slice, double *flat)
{
    for (int k = 0; k < n->net.depth; k++) {
        const struct network_layer *l = &n->layer[k];
        for (size_t i = 0; i < (size_t)(l->in * l->out); i++)
            *flat++ = scalar_get(n, slice, l->w + i);
        for (size_t i = 0; i < (size_t)l->out; i++)
            *flat++ = scalar_get(n, slice, l->b + i);
    }
}

void network_set(struct network *n, void *slice, const double *flat)
{
    for (int k = 0; k < n->net.depth; k++) {
        const struct network_layer *l = &n->layer[k];
        for (size_t i = 0; i < (size_t)(l->in * l->out); i++)
            scalar_set(n, slice, l->w + i, *flat++);
        for (size_t i = 0; i < (size_t)l->out; i++)
            scalar_set(n, slice, l->b + i, *flat++);
    }
}
