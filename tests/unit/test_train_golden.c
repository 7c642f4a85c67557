/* 20 steps against PyTorch's losses (tests/golden/train_torch.txt; made by make_train_torch.py). */
#include "daemon/trainer/backend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS  200
#define BATCH 64
#define STEPS 20

struct fixture {
    char name[40];
    char loss[8];
    char adam[8];
    int skip;
    uint64_t seed;
    char layers[60];
    double f64[STEPS];
    double f32[STEPS];
};

/* The same as uniform() in make_train_torch.py. */
static double uniform(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * UINT64_C(0x9E3779B97F4A7C15) + (i + 1) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (double)(z >> 40) / 0x1p24;
}

static bool read_losses(FILE *f, double *out)
{
    for (int i = 0; i < STEPS; i++)
        if (fscanf(f, "%lf", &out[i]) != 1)
            return false;
    return true;
}

static bool read_fixture(FILE *f, struct fixture *x)
{
    if (fscanf(f, " #%*[^\n]") == EOF)
        return false;
    return fscanf(f, " %39s %7s %7s %d %lu %59s", x->name, x->loss, x->adam, &x->skip, &x->seed,
                  x->layers) == 6 &&
           read_losses(f, x->f64) && read_losses(f, x->f32);
}

static void make_net(const struct fixture *x, struct net *n)
{
    int64_t inputs = strtoll(x->layers, NULL, 10);
    int64_t outputs = strtoll(strrchr(x->layers, ',') + 1, NULL, 10);
    assert_int_equal(net_parse_layers(n, strchr(x->layers, ',') + 1, inputs, outputs, NULL), 0);
    if (x->skip)
        n->shape = NET_RECTANGLE_RESIDUAL;
}

static void make_data(const struct fixture *x, const struct net *n, struct dataset *d,
                      uint64_t *draw)
{
    *d = (struct dataset){.rows = ROWS, .rows_train = ROWS, .inputs = n->inputs};
    d->outputs = n->widths[n->depth - 1];
    d->loss = strcmp(x->loss, "cce") == 0   ? NET_LOSS_CCE
              : strcmp(x->loss, "bce") == 0 ? NET_LOSS_BCE
                                            : NET_LOSS_MSE;
    d->x = base_alloc((size_t)(ROWS * d->inputs) * sizeof(float));
    for (int64_t i = 0; i < ROWS * d->inputs; i++)
        d->x[i] = (float)uniform(x->seed, (*draw)++);
    if (d->loss == NET_LOSS_CCE) {
        d->label = base_alloc(ROWS * sizeof(int32_t));
        for (int i = 0; i < ROWS; i++)
            d->label[i] = (int32_t)(uniform(x->seed, (*draw)++) * (double)d->outputs);
        return;
    }
    d->target = base_alloc((size_t)(ROWS * d->outputs) * sizeof(float));
    for (int64_t i = 0; i < ROWS * d->outputs; i++) {
        double u = uniform(x->seed, (*draw)++);
        d->target[i] = (float)(d->loss == NET_LOSS_BCE ? u > 0.5 : u);
    }
}

static void set_params(const struct fixture *x, struct backend *b, uint64_t *draw)
{
    double *flat CLEANUP(base_freep) = base_alloc((size_t)b->network.net.params * sizeof(double));
    double *p = flat;
    for (int k = 0; k < b->network.net.depth; k++) {
        const struct network_layer *l = &b->network.layer[k];
        for (int64_t i = 0; i < l->in * l->out; i++)
            *p++ = uniform(x->seed, (*draw)++) - 0.5;
        for (int64_t i = 0; i < l->out; i++)
            *p++ = (uniform(x->seed, (*draw)++) - 0.5) / 4;
    }
    network_set(&b->network, b->network.param, flat);
}

static void compare(const struct fixture *x, const struct backend_ops *ops,
                    enum backend_precision precision, const double *want, double tolerance)
{
    struct net net;
    struct dataset d;
    uint64_t draw = 0;
    make_net(x, &net);
    make_data(x, &net, &d, &draw);
    bool torch = strcmp(x->adam, "torch") == 0;
    const struct backend_spec spec = {.net = net,
                                      .data = &d,
                                      .precision = precision,
                                      .adam = torch ? BACKEND_ADAM_TORCH : BACKEND_ADAM_KERAS,
                                      .batch = BATCH,
                                      .lr = 1e-3,
                                      .eps = torch ? 1e-8 : 1e-7};
    struct backend *b = NULL;
    assert_int_equal(ops->open(&b, &spec, NULL), 0);
    set_params(x, b, &draw);
    for (int s = 0; s < STEPS; s++) {
        int64_t row = s % 4 * BATCH;
        int64_t rows = ROWS - row < BATCH ? ROWS - row : BATCH;
        struct backend_score score;
        ops->step(b, row, rows, &score);
        double got = score.loss / (double)rows;
        if (!(fabs(got - want[s]) <= tolerance * fabs(want[s])))
            fail_msg("%s, %s: step %d has loss %.10g, PyTorch %.10g (off by %.2g, allowed %.2g)",
                     x->name, ops->name, s + 1, got, want[s], fabs(got / want[s] - 1), tolerance);
    }
    ops->close(b);
    dataset_close(&d);
}

static void test_torch_losses(void **state)
{
    (void)state;
    const char *src = getenv("WATTQ_SRC");
    char *path CLEANUP(base_freep) =
        base_printf("%s/tests/golden/train_torch.txt", src ? src : ".");
    FILE *f CLEANUP(base_fclosep) = fopen(path, "re");
    assert_non_null(f);
    int n = 0;
    struct fixture x;
    backend_enter_thread();
    for (; read_fixture(f, &x); n++) {
        const struct backend_ops *reference = NULL;
        assert_int_equal(backend_choose("reference", BACKEND_F64, &reference, NULL), 0);
        /* Semantics: in double nothing but the order of sums differs. */
        compare(&x, reference, BACKEND_F64, x.f64, 1e-11);
        for (const struct backend_ops *const *b = backends; *b; b++) {
            if ((*b)->probe) /* a device: test_train_cuda */
                continue;
            compare(&x, *b, BACKEND_F32, x.f64, 1e-6);
            compare(&x, *b, BACKEND_F32, x.f32, 1e-6);
        }
    }
    assert_int_equal(n, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torch_losses)};
    return cmocka_run_group_tests_name("train_golden", tests, NULL, NULL);
}
