/* Time of one optimiser step: bench_train_steps IN,W,..,OUT [BACKEND] prints one line of JSON with the median
 * over blocks, as the peer's script does. Random data, softmax, batch 256. train_vs_torch.py compares. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/trainer/backend.h"
#include "daemon/trainer/rng.h"

#define BATCH    256
#define ROWS     8192
#define BLOCKS   5
#define BLOCK_NS (NS_PER_S / 4)

static void make_data(struct dataset *d, int64_t inputs, int64_t outputs)
{
    *d = (struct dataset){.rows = ROWS, .rows_train = ROWS, .inputs = inputs, .outputs = outputs};
    d->loss = NET_LOSS_CCE;
    d->x = base_alloc((size_t)(ROWS * inputs) * sizeof(float));
    d->label = base_alloc(ROWS * sizeof(*d->label));
    for (int64_t i = 0; i < ROWS * inputs; i++)
        d->x[i] = (float)(2 * rng_uniform(1, RNG_TEST, (uint64_t)i) - 1);
    for (int64_t i = 0; i < ROWS; i++)
        d->label[i] = (int32_t)(rng_uniform(2, RNG_TEST, (uint64_t)i) * (double)outputs);
}

/* Mean ns of a step over one block. */
static double block_ns(struct backend *b, int64_t block)
{
    struct backend_score s;
    int64_t steps = 0;
    int64_t t0 = clock_mono_ns();
    int64_t t;
    do {
        for (int i = 0; i < 8 && (i == 0 || block > NS_PER_S / 100); i++, steps++)
            b->ops->step(b, steps % (ROWS / BATCH) * BATCH, BATCH, &s);
        if (clock_mono_ns() - t0 >= block && b->ops->flush)
            (void)b->ops->flush(b, &s, NULL); /* steps that still go on count with their time */
        t = clock_mono_ns();
    } while (t - t0 < block);
    return (double)(t - t0) / (double)steps;
}

static int by_size(const void *pa, const void *pb)
{
    double a = *(const double *)pa;
    double b = *(const double *)pb;
    return (a > b) - (a < b);
}

static void report(struct backend *b, const char *layers)
{
    double ns[BLOCKS];
    (void)block_ns(b, BLOCK_NS / 4); /* warm */
    for (int i = 0; i < BLOCKS; i++)
        ns[i] = block_ns(b, BLOCK_NS);
    qsort(ns, BLOCKS, sizeof(*ns), by_size);
    char isa[64];
    b->ops->isa(isa, sizeof(isa));
    printf("{\"layers\":\"%s\",\"params\":%lld,\"backend\":\"%s\",\"isa\":\"%s\",\"step_us\":%.3f,"
           "\"min_step_us\":%.3f,\"max_step_us\":%.3f}\n",
           layers, (long long)b->network.net.params, b->ops->name, isa, ns[BLOCKS / 2] / 1e3,
           ns[0] / 1e3, ns[BLOCKS - 1] / 1e3);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    const char *widths = argc > 1 ? strchr(argv[1], ',') : NULL;
    if (!widths) {
        fprintf(stderr, "usage: bench_train_steps IN,W,..,OUT [BACKEND]\n");
        return 2;
    }
    struct dataset d;
    struct backend_spec spec = {.data = &d, .batch = BATCH, .lr = 1e-3, .eps = 1e-7, .seed = 1};
    const struct backend_ops *ops = NULL;
    struct backend *b = NULL;
    int64_t inputs = strtoll(argv[1], NULL, 10);
    int64_t outputs = strtoll(strrchr(argv[1], ',') + 1, NULL, 10);
    backend_enter_thread();
    if (inputs < 1 || inputs > 1 << 20 ||
        net_parse_layers(&spec.net, widths + 1, inputs, outputs, &e) < 0 ||
        backend_choose(argc > 2 ? argv[2] : "auto", BACKEND_F32, &ops, &e) < 0) {
        fprintf(stderr, "bench_train_steps: %s\n", e.text[0] ? e.text : "bad number of inputs");
        return 2;
    }
    make_data(&d, inputs, outputs);
    if (ops->open(&b, &spec, &e) < 0) {
        fprintf(stderr, "bench_train_steps: %s\n", e.text);
        return 1;
    }
    report(b, argv[1]);
    ops->close(b);
    dataset_close(&d);
    return 0;
}
