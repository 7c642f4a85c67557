/* Runs of a machine whose law is known, for tests and benchmarks of the energy model: a grid like the
 * study's, seconds and joules by the coefficients below, repeats with a known spread, and terms that the
 * fitted form does not have. */
#ifndef TESTS_UNIT_MODEL_LAW_H
#define TESTS_UNIT_MODEL_LAW_H

#include <math.h>
#include <stdlib.h>

#include "daemon/model/fit.h"
#include "daemon/model/fit_private.h"

struct law {
    const struct caches *caches;
    int threads;
    enum fit_form form;
    double time[FIT_TERMS_MAX]; /* at fit_column */
    double power[FIT_TERMS_MAX];
    double idle_w;
    double noise_time; /* relative sd of a repeat */
    double noise_power;
    /* what is not of the form; 0 = none */
    double depth2; /* seconds per layer squared */
    double tlb;    /* relative slowing of networks above tlb_params */
    double tlb_params;
    int sizes_log2[32]; /* 0 ends; empty = 2^6 .. 2^22 */
};

struct law_runs {
    struct study_run *run;
    size_t n;
};

static const char *const law_datasets[] = {
    "529_pollen", "wine_quality_white", "nursery", "537_houses",
    "adult",      "connect_4",          "splice",  "mnist"};
static const enum net_shape law_shapes[] = {NET_RECTANGLE, NET_TRAPEZOID, NET_EXPONENTIAL,
                                            NET_WIDE_FIRST_2X, NET_WIDE_FIRST_8X};
static const int law_depths[] = {2, 3, 4, 6, 8, 12, 16};

/* Two cores of a cloud machine. */
static const struct caches law_cloud = {4,
                                        {{"L1", 1, 32 << 10, 32 << 10, 2, 1},
                                         {"L2", 2, 1 << 20, 1 << 20, 2, 1},
                                         {"L3", 3, 32 << 20, 32 << 20, 1, 2},
                                         {"RAM", 4, INT64_C(16) << 30, INT64_C(16) << 30, 1, 2}},
                                        2,
                                        2};

/* A CPU node as in the study: 36 threads, 220 W idle. */
static inline struct law law_study(void)
{
    return (struct law){.caches = &caches_study_cpu,
                        .threads = 36,
                        .form = FIT_SUM,
                        .time = {60e-6, 25e-6, 8e-11, 6e-12, 2.5e-11, 9e-11, 2.8e-10},
                        .power = {40, 0, 6e-12, 1e-12, 8e-12, 4e-11, 1.6e-10},
                        .idle_w = 220,
                        .noise_time = 0.02,
                        .noise_power = 0.01};
}

static inline struct law law_small(void)
{
    return (struct law){.caches = &law_cloud,
                        .threads = 1,
                        .form = FIT_SUM,
                        .time = {3e-6, 1.5e-6, 2.5e-11, 8e-12, 3e-11, 6e-11, 1.5e-10},
                        .power = {6, 0, 4e-11, 5e-12, 3e-11, 1e-10, 4e-10},
                        .idle_w = 18,
                        .noise_time = 0.015,
                        .noise_power = 0.01};
}

static inline double law_uniform(uint64_t *seed)
{
    return ((double)(fit_random(seed) >> 11) + 0.5) * 0x1p-53;
}

static inline double law_normal(uint64_t *seed)
{
    double u = law_uniform(seed);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * law_uniform(seed));
}

/* Seconds and joules above idle of one step, without noise. */
static inline void law_step(const struct law *l, const struct study_run *r, double *seconds,
                            double *joules)
{
    struct fit_features f;
    struct fit_time t = {.form = l->form};
    int levels = (int)l->caches->n;
    fit_features_make(&f,
                      &(struct fit_network){.net = &r->net,
                                            .rows_train = r->rows_train,
                                            .rows_test = r->rows_test,
                                            .batch = r->batch,
                                            .threads = r->threads,
                                            .number_bytes = r->number_bytes},
                      false, l->caches, 1);
    for (int j = 0; j < FIT_TERMS_MAX; j++)
        t.c[j] = l->time[j];
    *seconds = fit_time_of(&t, &f, levels) + l->depth2 * f.layers * f.layers;
    if (l->tlb > 0 && (double)net_params(&r->net) > l->tlb_params)
        *seconds *= 1 + l->tlb;
    *joules = fit_power_of(l->power, &f, levels, *seconds);
}

static inline void law_measure(struct study_run *r, const struct law *l, uint64_t *seed)
{
    double seconds;
    double joules;
    law_step(l, r, &seconds, &joules);
    double true_w = l->idle_w + joules / seconds;
    seconds *= exp(l->noise_time * law_normal(seed));
    r->epochs = 20;
    r->rows_seen = r->epochs * (double)r->rows_train;
    r->train_s = seconds * study_steps(r);
    r->test_s = 0.1 * r->train_s;
    r->setup_s = 0.5;
    r->run_s = r->train_s + r->test_s + r->setup_s;
    r->train_j = true_w * exp(l->noise_power * law_normal(seed)) * r->train_s;
    r->run_j = r->train_j / r->train_s * r->run_s;
    r->idle_w = l->idle_w;
    r->quality = STUDY_MEASURED;
}

/* points different networks at random, each `repeats` times. Caller frees run. */
static inline struct law_runs law_sweep(const struct law *l, size_t points, int repeats,
                                        uint64_t seed)
{
    struct law_runs out = {base_alloc((points + 1) * (size_t)repeats * sizeof(*out.run)), 0};
    int nsizes = 0;
    while (l->sizes_log2[nsizes] > 0)
        nsizes++;
    for (size_t made = 0; made < points;) {
        const struct net_dataset *d =
            net_dataset_find(law_datasets[fit_random(&seed) % ARRAY_LEN(law_datasets)]);
        enum net_shape shape = law_shapes[fit_random(&seed) % ARRAY_LEN(law_shapes)];
        int depth = law_depths[fit_random(&seed) % ARRAY_LEN(law_depths)];
        int log2 = nsizes > 0 ? l->sizes_log2[fit_random(&seed) % (uint64_t)nsizes]
                              : 6 + (int)(fit_random(&seed) % 17);
        struct study_run r = {.size = INT64_C(1) << log2,
                              .batch = 256,
                              .threads = l->threads,
                              .number_bytes = 4,
                              .rows_train = d->rows - (d->rows + 4) / 5,
                              .rows_test = (d->rows + 4) / 5,
                              .raw_features = d->raw_features};
        shape = depth == 2 ? NET_RECTANGLE : shape;
        if (net_search(&r.net, shape, depth, d->inputs, d->outputs, r.size, NULL) != 0)
            continue;
        base_strcpy(r.dataset, sizeof(r.dataset), d->name);
        base_strcpy(r.shape, sizeof(r.shape), net_shape_name(shape));
        base_strcpy(r.machine, sizeof(r.machine), "lab");
        base_strcpy(r.backend, sizeof(r.backend), "openblas f32");
        base_strcpy(r.scope, sizeof(r.scope), "node");
        for (int k = 0; k < repeats; k++) {
            r.repeat = k + 1;
            r.run = (int64_t)out.n + 1;
            out.run[out.n] = r;
            law_measure(&out.run[out.n++], l, &seed);
        }
        made++;
    }
    return out;
}

#endif
