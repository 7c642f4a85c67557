/* The numbers of one network: parameters, gradient and Adam's two moments as four slices of one arena, all
 * with the same offsets. Layer k has its weights as W[out][in] (row-major) and then its bias; every block
 * starts on a 64-byte boundary, and the padding between blocks is zero and stays zero. Owned by a backend,
 * one thread. */
#ifndef TRAINER_NETWORK_H
#define TRAINER_NETWORK_H

#include "common/net.h"

enum network_init { NETWORK_GLOROT_UNIFORM, NETWORK_HE_UNIFORM };

struct network_layer {
    int64_t in;
    int64_t out;
    size_t w;  /* offset of W[0][0] in every slice, in scalars */
    size_t b;  /* offset of the bias */
    bool relu; /* all but the last */
    bool skip; /* adds its input after the activation (rectangle_residual) */
};

struct network {
    struct net net;
    struct network_layer layer[NET_DEPTH_MAX];
    size_t scalar_bytes; /* 4 or 8 */
    size_t scalars;      /* of one slice, padding included */
    void *arena;
    size_t arena_bytes;
    void *param; /* float or double by scalar_bytes, as the three below */
    void *grad;
    void *m;
    void *v;
};

/* Lays the slices out and takes zeroed memory. 0, or WATTQ_E_LIMIT. */
int network_open(struct network *n, const struct net *net, size_t scalar_bytes,
                 struct err *e) MUST_USE;
void network_close(struct network *n);

/* Biases 0; weights uniform in +-sqrt(6 / (in + out)) (Glorot, what the study's Keras did), or for He
 * +-sqrt(6 / in) in hidden layers and Glorot in the last. Weight i of all weights in order is a pure
 * function of (seed, i). Drawn in double and rounded to float, so both precisions start equal. */
void network_randomize(struct network *n, enum network_init init, uint64_t seed);

/* Flat order without padding: per layer W[out][in], then the bias; net.params scalars. */
void network_get(const struct network *n, const void *slice, double *flat);
void network_set(struct network *n, void *slice, const double *flat);

/* Page-aligned zeroed memory in huge pages where the kernel grants them; NULL when there is none. */
void *network_map(size_t bytes) MUST_USE;
void network_unmap(void *p, size_t bytes);

#endif
