/* Configurations: what repeats of one network on one data set come to. The study takes the median over
 * repetitions before it compares anything, so do claims and figures. Pure; any thread.
 *
 * Costs are comparable only between runs of one setting: host, backend, threads, batch, bytes per number,
 * and, for joules, what the meter covers. points_make() takes the setting with most networks on the CPU
 * and the one with most on the GPU, and counts what it left out.
 *
 * Joules where they are measured, else seconds: a run whose joules are an estimate counts with its time
 * only. Which of the two a whole hardware class is judged by is decided once: joules when at least half of
 * the networks that have a time have joules. */
#ifndef DAEMON_MODEL_POINTS_H
#define DAEMON_MODEL_POINTS_H

#include "daemon/model/caches.h"
#include "daemon/model/study.h"

enum points_class { POINTS_CPU, POINTS_GPU, POINTS_CLASSES };

struct point {
    const struct study_run *run; /* first of its repeats: says what was trained */
    size_t repeats;
    double s;     /* per training row, median over repeats */
    double j;     /* the same of joules; NAN where not measured */
    double est_j; /* estimated joules where j is NAN; never a result */
    double cost;  /* j or s, as the class is judged */
    double
        f; /* forward working set with what lies below it, in bytes of one unit; NAN = not known */
    double ops; /* per training row, as counted in opcount.h */
};

/* What was taken of one hardware class. */
struct points_set {
    struct point *at; /* by data set, shape, depth, size */
    size_t n;
    bool joules;                     /* cost is in J per datum, else in s per datum */
    const char *cost;                /* "J/datum" or "s/datum" */
    const struct study_run *setting; /* a run of it; NULL = no run at all */
    struct caches caches;            /* as its threads see them; n = 0 = not known */
    size_t other;                    /* runs of other settings, left out */
    size_t estimated;                /* networks whose joules are only an estimate */
};

struct points {
    struct points_set set[POINTS_CLASSES];
};

/* caches: of the machine, for CPU runs of this host; gpu: of its card; either may be NULL (then f is not
 * known). A setting of another machine has no caches unless `host` is NULL. */
void points_make(struct points *out, const struct study_run *runs, size_t n,
                 const struct caches *cpu, const struct caches *gpu, const char *host);
void points_free(struct points *p);

/* Host, backend, threads, batch, bytes per number. */
bool points_same_setting(const struct study_run *a, const struct study_run *b);

/* Bytes up to and including a level, one unit of each: where the study draws its boundaries. */
double points_boundary(const struct caches *c, size_t level);

/* What two configurations have in common. */
enum points_key { POINTS_DATASET = 1, POINTS_SHAPE = 2, POINTS_DEPTH = 4, POINTS_SIZE = 8 };
/* Below, equal, above 0; equal = the same in all of the keys. */
int points_compare(const struct point *a, const struct point *b, unsigned keys);
/* group[i] = number of the group of at[i], points of one group agreeing in keys; how many groups. */
size_t points_group(const struct points_set *s, unsigned keys, size_t *group);

#endif
