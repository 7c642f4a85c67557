/* The portable fast backend: matrix products by the serial OpenBLAS, everything between them by passes.h.
 * OpenBLAS is the serial build, linked in whole: a threaded one would spin against the other processes of
 * the machine and be slower on thin layers (docs/trainer.md). */
#include "daemon/trainer/backend_list.h"
#include "daemon/trainer/passes.h"
#include "daemon/trainer/workspace.h"

#include <cblas.h>
#include <stdlib.h>

struct openblas {
    struct backend base;
    struct workspace ws;
    const struct passes *passes;
};

/* OpenBLAS picks its kernels by processor model; one newer than the library gets those of a Pentium 4
 * ("Prescott", four times slower where it was measured). So we pick by feature. It reads this variable once, in
 * its own constructor, and is linked statically: a constructor of higher priority is the one place before
 * that. Whoever sets the variable is obeyed; the run records the kernels really used. */
__attribute__((constructor(101))) static void choose_kernels(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const char *core = NULL;
    if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl"))
        core = "Cooperlake";
    else if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        core = "SkylakeX";
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        core = __builtin_cpu_is("amd") ? "Zen" : "Haswell";
    if (core)
        setenv("OPENBLAS_CORETYPE", core, 0);
#endif
}

static struct openblas *self(struct backend *b)
{
    return container_of(b, struct openblas, base);
}

static void openblas_close(struct backend *b)
{
    struct openblas *o = self(b);
    workspace_close(&o->ws);
    network_close(&o->base.network);
    free(o);
}

/* source: cblas.h: openblas_get_parallel() is 0 for the serial build, 1 pthread, 2 OpenMP. */
static int check_serial(struct err *e)
{
    if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL)
        return 0;
    err_set(e, WATTQ_E_UNAVAILABLE, "this wattq-train was linked with a threaded OpenBLAS");
    return err_next(e,
                    "install libopenblas-serial-dev and build again, or use --backend reference");
}

static int open_parts(struct openblas *o, struct err *e)
{
    const struct backend_spec *spec = &o->base.spec;
    int rc = check_serial(e);
    if (rc == 0)
        rc = network_open(&o->base.network, &spec->net, sizeof(float), e);
    if (rc == 0)
        rc = workspace_open(&o->ws, &o->base.network, spec->batch, e);
    if (rc == 0)
        network_randomize(&o->base.network, spec->init, spec->seed);
    return rc;
}

static int openblas_open(struct backend **out, const struct backend_spec *spec, struct err *e)
{
    struct openblas *o = base_alloc(sizeof(*o));
    o->base.ops = &backend_openblas;
    o->base.spec = *spec;
    o->passes = passes_usable()[0];
    int rc = open_parts(o, e);
    if (rc < 0)
        openblas_close(&o->base);
    else
        *out = &o->base;
    return rc;
}

static void openblas_isa(char *out, size_t cap)
{
    snprintf(out, cap, "%s+%s", passes_usable()[0]->isa, openblas_get_corename());
}

static const float *input_of(const struct openblas *o, int k, int64_t row)
{
    const struct dataset *d = o->base.spec.data;
    return k == 0 ? d->x + row * d->inputs : o->ws.act[k - 1];
}

/* z = in W^T, then bias, ReLU and skip in one sweep. */
static void layer_forward(struct openblas *o, int k, int64_t row, int64_t rows)
{
    const struct network *n = &o->base.network;
    const struct network_layer *l = &n->layer[k];
    const float *w = (const float *)n->param + l->w;
    const float *bias = (const float *)n->param + l->b;
    const float *in = input_of(o, k, row);
    float *z = o->ws.relu[k];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)l->out,
                (blasint)l->in, 1, in, (blasint)l->in, w, (blasint)l->in, 0, z, (blasint)l->out);
    if (l->skip)
        o->passes->bias_relu_skip(z, o->ws.act[k], in, bias, rows, l->out);
    else if (l->relu)
        o->passes->bias_relu(z, bias, rows, l->out);
    else
        o->passes->bias(z, bias, rows, l->out);
}

/* The head works in place: the logits' buffer holds their gradient afterwards. */
static float *logits(const struct openblas *o)
{
    return o->ws.act[o->base.network.net.depth - 1];
}

static float *delta(const struct openblas *o, int k)
{
    return k == o->base.network.net.depth - 1 ? logits(o) : o->ws.delta[k % 2];
}

static void head(struct openblas *o, int64_t row, int64_t rows, bool grad, struct backend_score *s)
{
    const struct dataset *d = o->base.spec.data;
    struct pass_head h = {
        .z = logits(o),
        .target = d->target ? d->target + row * d->outputs : NULL,
        .label = d->label ? d->label + row : NULL,
        .rows = rows,
        .width = d->outputs,
        .scale = grad ? 1 / (float)rows : 0,
        .mse = d->loss == NET_LOSS_MSE,
    };
    if (d->label)
        o->passes->softmax(&h);
    else
        o->passes->sigmoid(&h);
    s->loss += h.loss;
    s->right += d->classes ? h.right : 0;
}

static void forward(struct openblas *o, int64_t row, int64_t rows)
{
    for (int k = 0; k < o->base.network.net.depth; k++)
        layer_forward(o, k, row, rows);
}

static void layer_gradient(struct openblas *o, int k, int64_t row, int64_t rows)
{
    struct network *n = &o->base.network;
    const struct network_layer *l = &n->layer[k];
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)l->out, (blasint)l->in,
                (blasint)rows, 1, delta(o, k), (blasint)l->out, input_of(o, k, row), (blasint)l->in,
                0, (float *)n->grad + l->w, (blasint)l->in);
}

/* The gradient below layer k, masked by the ReLU there; the same sweep sums layer k-1's bias gradient.
 * With a skip the unmasked gradient must survive for the layer below, so it lives in ws.carry. */
static void layer_backward(struct openblas *o, int k, int64_t rows)
{
    struct network *n = &o->base.network;
    const struct network_layer *l = &n->layer[k];
    const struct network_layer *below = &n->layer[k - 1];
    float *dz = delta(o, k - 1);
    float *dh = l->skip || below->skip ? o->ws.carry : dz;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)l->in,
                (blasint)l->out, 1, delta(o, k), (blasint)l->out, (const float *)n->param + l->w,
                (blasint)l->in, l->skip ? 1 : 0, dh, (blasint)l->in);
    o->passes->mask_sum(dz, dh, o->ws.relu[k - 1], (float *)n->grad + below->b, rows, l->in);
}

static void openblas_gradient(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    struct openblas *o = self(b);
    int last = b->network.net.depth - 1;
    *s = (struct backend_score){0};
    forward(o, row, rows);
    head(o, row, rows, true, s);
    o->passes->sum(delta(o, last), (float *)b->network.grad + b->network.layer[last].b, rows,
                   b->network.layer[last].out);
    for (int k = last; k >= 0; k--) {
        layer_gradient(o, k, row, rows);
        if (k > 0)
            layer_backward(o, k, rows);
    }
}

static void openblas_step(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    openblas_gradient(b, row, rows, s);
    struct backend_adam_step t = backend_adam_at(&b->spec, ++b->steps);
    const struct pass_adam a = {
        .p = b->network.param,
        .g = b->network.grad,
        .m = b->network.m,
        .v = b->network.v,
        .n = b->network.scalars,
        .c1 = (float)t.c1,
        .c2 = (float)t.c2,
        .alpha = (float)t.alpha,
        .eps = (float)t.eps,
    };
    self(b)->passes->adam(&a);
}

static void openblas_evaluate(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    struct openblas *o = self(b);
    for (int64_t end = row + rows; row < end; row += b->spec.batch) {
        int64_t n = end - row < b->spec.batch ? end - row : b->spec.batch;
        forward(o, row, n);
        head(o, row, n, false, s);
    }
}

const struct backend_ops backend_openblas = {
    .name = "openblas",
    .summary = "serial OpenBLAS and fused passes; f32",
    .open = openblas_open,
    .isa = openblas_isa,
    .step = openblas_step,
    .gradient = openblas_gradient,
    .evaluate = openblas_evaluate,
    .close = openblas_close,
};
