/* Runs of a study that never was: networks of the real grid whose cost is a law, with a little noise. */
#ifndef TESTS_UNIT_STUDY_WORLD_H
#define TESTS_UNIT_STUDY_WORLD_H

#include <math.h>

#include "daemon/model/study.h"
#include "daemon/model/workset.h"

#define RUNS_MAX 4000

struct world {
    struct study_run *runs;
    size_t n;
};

struct grid {
    double (*law)(const struct study_run *r, double f); /* per datum */
    int sizes_from, sizes_to;                           /* powers of 2 */
    const int *depths;                                  /* ends with 0 */
    enum study_quality quality;
    bool gpu;
    int repeats;
};

static double unit_noise(unsigned *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return (double)(*seed >> 8) / (1 << 24) - 0.5;
}

static void add_run(struct world *w, const struct grid *g, const struct net_dataset *d,
                    const struct net *net, int64_t size, int repeat)
{
    static unsigned seed = 7;
    struct caches used;
    struct workset ws;
    struct study_run r = {.run = (int64_t)w->n + 1,
                          .repeat = repeat,
                          .gpu = g->gpu,
                          .standin = false,
                          .size = size,
                          .net = *net,
                          .rows_train = d->rows - (d->rows + 4) / 5,
                          .rows_test = (d->rows + 4) / 5,
                          .raw_features = d->raw_features,
                          .classes = d->classes,
                          .batch = 256,
                          .threads = 36,
                          .number_bytes = 4,
                          .quality = g->quality,
                          .epochs = 10,
                          .test_loss = NAN,
                          .best_loss = NAN,
                          .accuracy = NAN};
    base_strcpy(r.machine, sizeof r.machine, "here");
    base_strcpy(r.backend, sizeof r.backend, g->gpu ? "cuda f32" : "native f32");
    base_strcpy(r.dataset, sizeof r.dataset, d->name);
    base_strcpy(r.shape, sizeof r.shape, net_shape_name(net->shape));
    base_strcpy(r.scope, sizeof r.scope, "package");
    struct workset_case c = {.net = &r.net, .batch = 256, .number_bytes = 4};
    caches_use(&used, g->gpu ? &caches_study_gpu : &caches_study_cpu, 36);
    workset_compute(&ws, &c, g->gpu ? &caches_study_gpu : &used);
    r.rows_seen = r.epochs * (double)r.rows_train;
    double cost = g->law(&r, (double)ws.place[WORKSET_F].occupied);
    cost *= 1 + 0.05 * unit_noise(&seed);
    r.train_s = r.run_s = cost * r.rows_seen;
    r.train_j = r.run_j = 100 * r.train_s;
    r.lo_j = 0.99 * r.run_j;
    r.hi_j = 1.01 * r.run_j;
    r.idle_w = 60;
    r.setup_s = r.test_s = r.gain = r.random_j = NAN;
    if (g->quality == STUDY_ESTIMATED)
        r.excluded |= STUDY_X(ESTIMATE);
    w->runs[w->n++] = r;
    assert_true(w->n < RUNS_MAX);
}

static void add_grid(struct world *w, const struct grid *g)
{
    static const char *const datasets[] = {"529_pollen", "537_houses", "nursery", "connect_4"};
    if (!w->runs)
        w->runs = base_alloc(RUNS_MAX * sizeof *w->runs);
    for (size_t i = 0; i < ARRAY_LEN(datasets); i++) {
        const struct net_dataset *d = net_dataset_find(datasets[i]);
        for (const int *depth = g->depths; *depth; depth++)
            for (int k = g->sizes_from; k <= g->sizes_to; k++) {
                struct net net;
                int64_t size = INT64_C(1) << k;
                if (net_search(&net, NET_RECTANGLE, *depth, d->inputs, d->outputs, size, NULL) != 0)
                    continue;
                for (int repeat = 1; repeat <= (g->repeats ? g->repeats : 1); repeat++)
                    add_run(w, g, d, &net, size, repeat);
            }
    }
}

#endif
