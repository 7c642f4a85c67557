/* What it costs to reach a given test loss: iso-loss curves, the cheapest size on each, and the frontier of
 * energy and loss. Pure; any thread.
 *
 * source: BUTTER-E analysis, notebook 6. Per hardware and data set: x = ln(best test loss so far), 200 equal
 * steps from its smallest to its largest value. Per network (median over its repeats at each epoch) ln
 * energy, ln time and ln epoch are interpolated linearly against x, equal x merged by their median, only
 * inside of the network's own range. A level is kept for a depth and shape when the epochs it takes are
 * fewest at the largest size and most at the smallest, and the sizes that reach it span at least 2^14 down
 * and 2^21 up. Of the kept levels the highest loss is the one that is compared.
 * The study read its losses from another study's runs and spread each run's energy evenly over its epochs.
 * Here both are the run's own; only where the daemon has no joules of an epoch (imported runs) they are
 * spread evenly, and `apportioned` says so.
 * A grid smaller than the study's cannot span its sizes: then the rules are relaxed one after the other, and
 * the series says which (enum isoloss_relaxed). */
#ifndef DAEMON_MODEL_ISOLOSS_H
#define DAEMON_MODEL_ISOLOSS_H

#include "daemon/model/caches.h"
#include "daemon/model/study.h"

#define ISOLOSS_LEVELS     200
#define ISOLOSS_SIZE_LO    (INT64_C(1) << 14)
#define ISOLOSS_SIZE_HI    (INT64_C(1) << 21)
#define ISOLOSS_LEAST      3 /* sizes, fewer are no curve */
#define ISOLOSS_LOG2_SLOTS 48

struct isoloss_point {
    double epoch;
    double loss;     /* best so far */
    double energy_j; /* since the first batch; NAN = not known */
    double time_s;
};
/* Of one run, by epoch. */
struct isoloss_curve {
    const struct isoloss_point *at;
    size_t n;         /* 0 = it has none */
    bool apportioned; /* its joules are the run's, spread evenly over its epochs */
};

struct isoloss_cost {
    double energy_j; /* NAN = not known */
    double time_s;
    double epochs;
};
enum isoloss_quantity { ISOLOSS_ENERGY, ISOLOSS_TIME };
double isoloss_cost_of(const struct isoloss_cost *c, enum isoloss_quantity q);

/* One network: all repeats of it. */
struct isoloss_config {
    size_t first; /* into the runs */
    size_t repeats;
    double x_lo; /* ln of the lowest loss it reaches, and of the first it was seen at */
    double x_hi;
    double f_bytes; /* its forward and training working set, as the study places them */
    double b_bytes;
    int f_level; /* into the caches; -1 = fits nowhere */
    int b_level;
    size_t n; /* points of its curve, x falling */
    double *x;
    struct isoloss_cost *cost; /* to get there */
};

struct isoloss {
    double level[ISOLOSS_LEVELS]; /* ln loss, rising */
    struct isoloss_config *config;
    size_t n;
    bool apportioned; /* of at least one network */
};

/* The runs of one hardware and data set that have a curve and none of the bits `without`. curves: one per
 * run. n = 0 when there is none. Caller frees with isoloss_fini. */
void isoloss_make(struct isoloss *out, const struct study_run *runs,
                  const struct isoloss_curve *curves, size_t n, uint32_t without,
                  const struct caches *machine);
void isoloss_fini(struct isoloss *s);

/* What a network needs to reach ln loss x. 0; 1 = it was better than that from its first point on, whose
 * cost is given; -1 = it never got there, all NAN. */
int isoloss_reach(const struct isoloss_config *c, double x, struct isoloss_cost *out);

/* ---- one curve per depth and shape ---------------------------------------------------------------- */

enum isoloss_relaxed {
    ISOLOSS_STRICT, /* as in the study */
    ISOLOSS_SPAN,   /* it spans the sizes of these runs, not the study's */
    ISOLOSS_ANY     /* nor are epochs fewest at the largest size */
};
struct isoloss_series {
    size_t like; /* a run of its depth and shape */
    double x;    /* the level compared */
    enum isoloss_relaxed relaxed;
    size_t n;
    size_t *config; /* by size */
    struct isoloss_cost *cost;
    size_t least; /* index of the cheapest */
};
/* One per depth and shape with a level left; caller frees with isoloss_series_free. */
size_t isoloss_series(struct isoloss_series **out, const struct isoloss *s,
                      const struct study_run *runs, enum isoloss_quantity q);
void isoloss_series_free(struct isoloss_series *s, size_t n);

/* Where the minima lie: how many series have theirs at floor(log2) of the forward set, and of the size. */
struct isoloss_histogram {
    size_t by_f[ISOLOSS_LOG2_SLOTS];
    size_t by_size[ISOLOSS_LOG2_SLOTS];
    size_t n;
};
void isoloss_count(struct isoloss_histogram *h, const struct isoloss_series *series, size_t n,
                   const struct isoloss *s, const struct study_run *runs); /* adds */

/* ---- frontier ------------------------------------------------------------------------------------- */

/* The networks no other is both cheaper and better than, from the cheapest to the best: each is the
 * cheapest way to the losses from loss_hi down to loss_lo. */
struct isoloss_step {
    size_t config;
    double loss_hi, loss_lo;
    struct isoloss_cost cost_hi, cost_lo; /* to reach the one and the other */
};
size_t isoloss_frontier(struct isoloss_step *out, size_t cap, const struct isoloss *s,
                        enum isoloss_quantity q); /* at most cap; ISOLOSS_LEVELS is enough */

#endif
