/* Generated data with the dimensions of one of the study's sets, for machines that do not have it. The same
 * numbers everywhere and always: they depend on the name alone. Targets come from a sparse random teacher,
 * so that there is something to learn; losses mean nothing beyond that. */
#include "daemon/trainer/dataset.h"
#include "daemon/trainer/rng.h"

#include <math.h>
#include <string.h>

#define TEACHER_INPUTS 12 /* inputs each output of the teacher looks at */
#define OUTPUTS_MAX    16
#define TEACHER_NOISE  0.5

struct teacher {
    uint64_t key;
    int64_t scores; /* one per output */
    int64_t input[OUTPUTS_MAX][TEACHER_INPUTS];
    double weight[OUTPUTS_MAX][TEACHER_INPUTS];
};

static uint64_t key_of(const char *name)
{
    return base_hash(BASE_HASH, name, strlen(name));
}

static void make_teacher(struct teacher *t, uint64_t key, int64_t inputs, int64_t outputs)
{
    *t = (struct teacher){.key = key, .scores = outputs};
    uint64_t draw = 0;
    for (int64_t o = 0; o < outputs; o++)
        for (int i = 0; i < TEACHER_INPUTS; i++) {
            t->input[o][i] =
                (int64_t)(rng_uniform(key, RNG_STANDIN_TARGET, draw++) * (double)inputs);
            t->weight[o][i] = 4 * rng_uniform(key, RNG_STANDIN_TARGET, draw++) - 2;
        }
}

static double score(const struct teacher *t, const float *x, int64_t row, int64_t o)
{
    uint64_t draw = (UINT64_C(1) << 32) + (uint64_t)(row * t->scores + o);
    double s = TEACHER_NOISE * (2 * rng_uniform(t->key, RNG_STANDIN_TARGET, draw) - 1);
    for (int i = 0; i < TEACHER_INPUTS; i++)
        s += t->weight[o][i] * ((double)x[t->input[o][i]] - 0.5);
    return s;
}

/* The class with the best score; every class has at least one row, in the first rows. */
static int64_t class_of(const struct teacher *t, const float *x, int64_t row)
{
    if (row < t->scores)
        return row;
    int64_t best = 0;
    double best_score = -HUGE_VAL;
    for (int64_t o = 0; o < t->scores; o++) {
        double s = score(t, x, row, o);
        if (s > best_score) {
            best_score = s;
            best = o;
        }
    }
    return best;
}

/* More inputs than raw features means one-hot groups in the study's encoding; make such groups. */
static void fill_row(const struct dataset *d, uint64_t key, int64_t row, float *x)
{
    if (d->inputs <= d->raw_features) {
        for (int64_t i = 0; i < d->inputs; i++)
            x[i] = (float)rng_uniform(key, RNG_STANDIN, (uint64_t)(row * d->inputs + i));
        return;
    }
    int64_t start = 0;
    for (int64_t g = 0; g < d->raw_features; g++) {
        int64_t stop = d->inputs * (g + 1) / d->raw_features;
        double u = rng_uniform(key, RNG_STANDIN, (uint64_t)(row * d->raw_features + g));
        x[start + (int64_t)(u * (double)(stop - start))] = 1.0F; /* memory arrives zeroed */
        start = stop;
    }
}

static void fill_target(struct dataset *d, const struct teacher *t, const float *x, int64_t row,
                        int64_t to)
{
    if (d->label) {
        d->label[to] = (int32_t)class_of(t, x, row);
    } else if (d->outputs > 1) {
        d->target[to * d->outputs + class_of(t, x, row)] = 1.0F;
    } else {
        double s = score(t, x, row, 0);
        if (d->classes == 2)
            d->target[to] = row == 0 || (row > 1 && s > 0) ? 1.0F : 0.0F;
        else
            d->target[to] = (float)(1 / (1 + exp(-s)));
    }
}

static int unknown(const char *name, struct err *e)
{
    err_set(e, WATTQ_E_NOT_FOUND, "there is no stand-in called '%.60s'", name);
    char all[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < net_dataset_count && used < sizeof(all); i++)
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? " " : "",
                                 net_datasets[i].name);
    return err_next(e, "there are: %.180s", all);
}

int standin_open(struct dataset *d, const char *name, const struct dataset_spec *spec,
                 struct err *e)
{
    const struct net_dataset *study = net_dataset_find(name);
    if (!study)
        return unknown(name, e);
    d->standin = true;
    d->rows = study->rows;
    d->raw_features = study->raw_features;
    d->inputs = study->inputs;
    d->outputs = study->outputs;
    d->classes = study->classes;
    d->loss = study->loss;
    base_strcpy(d->name, sizeof(d->name), name);
    if (spec->dims_only) {
        dataset_split(d);
        return 0;
    }
    uint32_t *position CLEANUP(base_freep) = NULL;
    int rc = dataset_allocate(d, spec->seed, &position, e);
    if (rc < 0)
        return rc;
    struct teacher t;
    uint64_t key = key_of(name);
    make_teacher(&t, key, d->inputs, d->outputs);
    for (int64_t r = 0; r < d->rows; r++) {
        float *x = d->x + (int64_t)position[r] * d->inputs;
        fill_row(d, key, r, x);
        fill_target(d, &t, x, r, position[r]);
    }
    return 0;
}
