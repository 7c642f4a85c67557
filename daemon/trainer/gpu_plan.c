#include "daemon/trainer/gpu_plan.h"

#include <assert.h>

/* ---- the arena ----------------------------------------------------------------------------------- */

static size_t carve(struct gpu_layout *l, size_t bytes)
{
    size_t at = l->bytes;
    l->bytes += (bytes + GPU_ALIGN - 1) / GPU_ALIGN * GPU_ALIGN;
    return at;
}

static size_t carve_floats(struct gpu_layout *l, int64_t rows, int64_t width)
{
    return carve(l, (size_t)(rows * width) * sizeof(float));
}

static void place_data(struct gpu_layout *l, const struct dataset *d)
{
    l->x = carve_floats(l, d->rows, d->inputs);
    l->target = d->label ? GPU_NONE : carve_floats(l, d->rows, d->outputs);
    l->label = d->label ? carve(l, (size_t)d->rows * sizeof(int32_t)) : GPU_NONE;
}

static void place_scratch(struct gpu_layout *l, const struct network *n, int64_t batch)
{
    int64_t widest[2] = {0, 0};
    int64_t skip_width = 0;
    for (int k = 0; k < n->net.depth; k++) {
        const struct network_layer *layer = &n->layer[k];
        l->act[k] = carve_floats(l, batch, layer->out);
        l->relu[k] = layer->skip ? carve_floats(l, batch, layer->out) : l->act[k];
        if (k < n->net.depth - 1 && layer->out > widest[k % 2])
            widest[k % 2] = layer->out;
        if (layer->skip)
            skip_width = layer->out;
    }
    l->delta[0] = carve_floats(l, batch, widest[0]);
    l->delta[1] = carve_floats(l, batch, widest[1]);
    l->carry = skip_width ? carve_floats(l, batch, skip_width) : GPU_NONE;
    l->row_loss = carve_floats(l, batch, 1);
    l->row_right = carve(l, (size_t)batch * sizeof(int32_t));
}

void gpu_layout_make(struct gpu_layout *l, const struct network *n, const struct dataset *d,
                     int64_t batch)
{
    *l = (struct gpu_layout){0};
    l->step = carve(l, sizeof(struct gpu_step));
    l->scores = carve(l, GPU_SCORES * sizeof(struct gpu_score));
    l->param = carve(l, n->scalars * sizeof(float));
    l->grad = carve(l, n->scalars * sizeof(float));
    l->m = carve(l, n->scalars * sizeof(float));
    l->v = carve(l, n->scalars * sizeof(float));
    place_data(l, d);
    l->input = carve_floats(l, batch, d->inputs);
    place_scratch(l, n, batch);
    l->workspace = carve(l, GPU_WORKSPACE);
}

uint32_t gpu_alignment(size_t offset)
{
    uint32_t a = GPU_ALIGN;
    while (offset % a != 0)
        a /= 2;
    return a;
}

/* ---- operations ---------------------------------------------------------------------------------- */

/* A plan under construction, with all it is made from. */
struct maker {
    struct gpu_plan *p;
    const struct gpu_layout *l;
    const struct network *n;
    const struct dataset *d;
    bool backward;
};

static struct gpu_op *add(struct maker *k, enum gpu_op_kind kind, int64_t rows, int64_t width)
{
    assert(k->p->n < GPU_OPS_MAX);
    struct gpu_op *op = &k->p->op[k->p->n++];
    *op = (struct gpu_op){.kind = kind, .rows = rows, .width = width};
    return op;
}

static uint32_t blocks_for(int64_t n, int64_t per_block)
{
    int64_t blocks = (n + per_block - 1) / per_block;
    return blocks < GPU_BLOCKS_MAX ? (uint32_t)blocks : GPU_BLOCKS_MAX;
}

/* One thread an element. */
static void launch_flat(struct gpu_op *op)
{
    op->blocks = blocks_for(op->rows * op->width, GPU_THREADS);
    op->threads_x = GPU_THREADS;
    op->threads_y = 1;
}

static size_t floats(size_t base, size_t n)
{
    return base + n * sizeof(float);
}

static size_t input_of(const struct maker *k, int layer)
{
    return layer == 0 ? k->l->input : k->l->act[layer - 1];
}

static size_t delta_of(const struct maker *k, int layer)
{
    return layer == k->n->net.depth - 1 ? k->l->act[layer] : k->l->delta[layer % 2];
}

static void add_load(struct maker *k)
{
    launch_flat(add(k, GPU_LOAD, k->p->rows, k->d->inputs));
}

static void add_gemm(struct maker *k, const struct gpu_gemm *g)
{
    struct gpu_op *op = add(k, GPU_GEMM, g->m, g->n);
    op->gemm = *g;
    op->gemm.lda = g->ta ? g->m : g->k;
    op->gemm.ldb = g->tb ? g->k : g->n;
    op->gemm.ldc = g->n;
}

static void add_forward(struct maker *k, int layer)
{
    const struct network_layer *l = &k->n->layer[layer];
    size_t z = k->l->relu[layer];
    add_gemm(k, &(struct gpu_gemm){.m = k->p->rows,
                                   .n = l->out,
                                   .k = l->in,
                                   .tb = true,
                                   .a = input_of(k, layer),
                                   .b = floats(k->l->param, l->w),
                                   .c = z});
    struct gpu_op *op = add(k, GPU_BIAS, k->p->rows, l->out);
    launch_flat(op);
    op->bias = (struct gpu_bias){.z = z,
                                 .bias = floats(k->l->param, l->b),
                                 .skip = l->skip ? input_of(k, layer) : GPU_NONE,
                                 .act = k->l->act[layer],
                                 .relu = l->relu};
}

static void add_head(struct maker *k)
{
    struct gpu_op *op = add(k, GPU_HEAD, k->p->rows, k->d->outputs);
    op->blocks = blocks_for(op->rows, GPU_ROW_THREADS);
    op->threads_x = GPU_ROW_THREADS;
    op->threads_y = 1;
    op->head = (struct gpu_head){.z = k->l->act[k->n->net.depth - 1],
                                 .target = k->l->target,
                                 .label = k->l->label,
                                 .scale = k->backward ? 1 / (float)k->p->rows : 0,
                                 .mse = k->d->loss == NET_LOSS_MSE,
                                 .count = k->d->classes != 0};
}

static void add_column(struct maker *k, int layer, size_t dh, size_t relu)
{
    const struct network_layer *l = &k->n->layer[layer];
    struct gpu_op *op = add(k, GPU_COLUMN, k->p->rows, l->out);
    op->blocks = blocks_for(l->out, GPU_SUM_COLUMNS);
    op->threads_x = GPU_SUM_COLUMNS;
    op->threads_y = GPU_SUM_LANES;
    op->column = (struct gpu_column){
        .dz = delta_of(k, layer), .dh = dh, .relu = relu, .sum = floats(k->l->grad, l->b)};
}

static void add_weight_gradient(struct maker *k, int layer)
{
    const struct network_layer *l = &k->n->layer[layer];
    add_gemm(k, &(struct gpu_gemm){.m = l->out,
                                   .n = l->in,
                                   .k = k->p->rows,
                                   .ta = true,
                                   .a = delta_of(k, layer),
                                   .b = input_of(k, layer),
                                   .c = floats(k->l->grad, l->w)});
}

/* The gradient below the layer, masked by the ReLU there; the same sweep sums that layer's bias gradient.
 * With a skip the unmasked gradient must survive for the layer below, so it lies in `carry`. */
static void add_backward(struct maker *k, int layer)
{
    const struct network_layer *l = &k->n->layer[layer];
    bool carried = l->skip || k->n->layer[layer - 1].skip;
    size_t dh = carried ? k->l->carry : delta_of(k, layer - 1);
    add_gemm(k, &(struct gpu_gemm){.m = k->p->rows,
                                   .n = l->in,
                                   .k = l->out,
                                   .beta = l->skip ? 1 : 0,
                                   .a = delta_of(k, layer),
                                   .b = floats(k->l->param, l->w),
                                   .c = dh});
    add_column(k, layer - 1, dh, k->l->relu[layer - 1]);
}

static void add_score(struct maker *k, int which)
{
    struct gpu_op *op = add(k, GPU_SCORE, k->p->rows, 1);
    op->blocks = 1;
    op->threads_x = GPU_SCORE_LANES;
    op->threads_y = 1;
    op->score = k->l->scores + (size_t)which * sizeof(struct gpu_score);
}

void gpu_plan_make(struct gpu_plan *p, const struct gpu_layout *l, const struct network *n,
                   const struct dataset *d, enum gpu_pass pass, int64_t rows)
{
    int last = n->net.depth - 1;
    struct maker k = {.p = p, .l = l, .n = n, .d = d, .backward = pass != GPU_PASS_TEST};
    p->rows = rows;
    p->n = 0;
    add_load(&k);
    for (int i = 0; i <= last; i++)
        add_forward(&k, i);
    add_head(&k);
    if (k.backward)
        add_column(&k, last, l->act[last], GPU_NONE);
    for (int i = last; k.backward && i >= 0; i--) {
        add_weight_gradient(&k, i);
        if (i > 0)
            add_backward(&k, i);
    }
    if (pass == GPU_PASS_STEP)
        launch_flat(add(&k, GPU_ADAM, 1, (int64_t)n->scalars));
    add_score(&k, k.backward ? GPU_SCORE_STEPS : GPU_SCORE_TESTS);
}
