/* Which sizes straddle the cache levels of a machine: where a study of the memory hierarchy must look. Pure
 * arithmetic on the networks of the study. */
#ifndef CLIENT_STUDY_SIZES_H
#define CLIENT_STUDY_SIZES_H

#include "daemon/model/workset.h"

#define STUDY_SIZE_MIN   32
#define STUDY_SIZE_MAX   (1 << 24) /* the study's largest */
#define STUDY_SIZES_MAX  64
#define STUDY_BOUNDS_MAX (2 * CACHES_LEVELS_MAX)

/* A list of values to train: data sets (of the study's), shapes, depths. */
struct study_axes {
    const struct net_dataset *data[16];
    size_t ndata;
    enum net_shape shape[NET_SHAPES];
    size_t nshapes;
    int depth[NET_DEPTH_MAX];
    size_t ndepths;
    int64_t batch;
    int64_t number_bytes;
};

/* The parameters with which a working set outgrows a level: geometric mean over the axes' networks, and the
 * smallest and largest of them. */
struct study_bound {
    int level; /* index into caches.level */
    enum workset_kind kind;
    double params; /* NAN: no network of the study's sizes is on both sides */
    double lo;
    double hi;
    size_t networks;   /* that cross it within the sizes */
    bool never_inside; /* the smallest is outside already */
};

/* For every level but the last, f and b. m: as the trainer's threads see it (caches_use). Returns how many. */
size_t study_bounds(struct study_bound out[STUDY_BOUNDS_MAX], const struct study_axes *axes,
                    const struct caches *m);
/* One network's: NAN as above. */
double study_bound_of(const struct net_dataset *data, enum net_shape shape, int depth,
                      const struct study_axes *axes, enum workset_kind kind, size_t level,
                      const struct caches *m, bool *never_inside);
/* 1/4, 1/2, 1, 2 and 4 times each bound, rising, none nearer than 1.3 to the one before. */
size_t study_sizes(int64_t out[STUDY_SIZES_MAX], const struct study_bound *bounds, size_t n);

#endif
