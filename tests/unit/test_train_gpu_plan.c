/* The plan of a GPU's work, run here: every operation as the card would do it (same arithmetic, same launch
 * geometry, plain loops for the products), against the reference backend; and what must hold of the plan
 * itself: nothing is read that this pass did not write, nothing lies over something still needed. */
#include "daemon/trainer/backend.h"
#include "daemon/trainer/gpu_plan.h"
#include "daemon/trainer/rng.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a card made of loops ------------------------------------------------------------------------ */

struct card {
    const struct network *n;
    const struct dataset *d;
    struct gpu_layout l;
    char *arena;
    int32_t
        *stamp;  /* per 4 bytes: the operation that wrote them, counted over all passes; 0 = none */
    int32_t now; /* operation that runs */
    int32_t pass; /* first operation of this pass */
};

static void *at(const struct card *c, size_t offset)
{
    assert_true(offset < c->l.workspace); /* which only the products' library touches */
    return c->arena + offset;
}

static void wrote(const struct card *c, size_t offset, size_t bytes)
{
    assert_true(offset + bytes <= c->l.workspace);
    for (size_t i = offset / 4; i < (offset + bytes) / 4; i++)
        c->stamp[i] = c->now;
}

/* Whole and from one writer of this pass: not stale, and nothing else has been written over part of it. */
static void reads(const struct card *c, size_t offset, int64_t floats)
{
    const int32_t *s = c->stamp + offset / 4;
    assert_true(offset % 4 == 0 && offset + (size_t)floats * 4 <= c->l.workspace);
    assert_true(s[0] >= c->pass);
    for (int64_t i = 1; i < floats; i++)
        assert_int_equal(s[i], s[0]);
}

/* What lasts from pass to pass: written at some time. */
static void reads_kept(const struct card *c, size_t offset, int64_t floats)
{
    for (int64_t i = 0; i < floats; i++)
        assert_true(c->stamp[offset / 4 + (size_t)i] > 0);
}

static bool is_param(const struct card *c, size_t offset)
{
    return offset >= c->l.param && offset < c->l.grad;
}

static void reads_operand(const struct card *c, size_t offset, int64_t floats)
{
    if (is_param(c, offset))
        reads_kept(c, offset, floats);
    else
        reads(c, offset, floats);
}

static void fill(const struct card *c, size_t offset, const void *from, size_t bytes)
{
    memcpy(at(c, offset), from, bytes);
    wrote(c, offset, bytes);
}

static void card_open(struct card *c, const struct network *n, const struct dataset *d,
                      int64_t batch)
{
    *c = (struct card){.n = n, .d = d, .now = 1, .pass = 1};
    gpu_layout_make(&c->l, n, d, batch);
    c->arena = base_alloc(c->l.workspace);
    c->stamp = base_alloc(c->l.workspace);
    size_t slice = n->scalars * sizeof(float);
    const struct gpu_score none[GPU_SCORES] = {{0}};
    fill(c, c->l.scores, none, sizeof(none));
    fill(c, c->l.param, n->param, slice);
    fill(c, c->l.grad, n->grad, slice);
    fill(c, c->l.m, n->m, slice);
    fill(c, c->l.v, n->v, slice);
    fill(c, c->l.x, d->x, (size_t)(d->rows * d->inputs) * sizeof(float));
    if (d->label)
        fill(c, c->l.label, d->label, (size_t)d->rows * sizeof(int32_t));
    else
        fill(c, c->l.target, d->target, (size_t)(d->rows * d->outputs) * sizeof(float));
}

static void card_close(struct card *c)
{
    free(c->arena);
    free(c->stamp);
}

/* ---- operations ---------------------------------------------------------------------------------- */

static int64_t threads(const struct gpu_op *op)
{
    return (int64_t)op->threads_x * op->threads_y;
}

/* Every element once, as a grid-stride loop takes them. */
#define EACH(i, op, count)                                                                         \
    for (int64_t thread = 0; thread < (op)->blocks * threads(op); thread++)                        \
        for (int64_t i = thread; i < (count); i += (op)->blocks * threads(op))

static const struct gpu_step *step_of(const struct card *c)
{
    return at(c, c->l.step);
}

static void run_load(struct card *c, const struct gpu_op *op)
{
    const float *x = (const float *)at(c, c->l.x) + step_of(c)->row * op->width;
    float *in = at(c, c->l.input);
    reads(c, c->l.step, 2);
    EACH(i, op, op->rows * op->width) in[i] = x[i];
    wrote(c, c->l.input, (size_t)(op->rows * op->width) * 4);
}

static void run_gemm(struct card *c, const struct gpu_op *op)
{
    const struct gpu_gemm *g = &op->gemm;
    const float *a = at(c, g->a);
    const float *b = at(c, g->b);
    float *to = at(c, g->c);
    assert_int_equal(op->blocks, 0);
    assert_true(gpu_alignment(g->a) >= 64 && gpu_alignment(g->b) >= 64 &&
                gpu_alignment(g->c) >= 64);
    reads_operand(c, g->a, g->m * g->k);
    reads_operand(c, g->b, g->k * g->n);
    if (g->beta != 0)
        reads(c, g->c, g->m * g->n);
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            double sum = g->beta != 0 ? (double)(g->beta * to[i * g->ldc + j]) : 0;
            for (int64_t p = 0; p < g->k; p++)
                sum += (double)(g->ta ? a[p * g->lda + i] : a[i * g->lda + p]) *
                       (double)(g->tb ? b[j * g->ldb + p] : b[p * g->ldb + j]);
            to[i * g->ldc + j] = (float)sum;
        }
    wrote(c, g->c, (size_t)(g->m * g->n) * 4);
}

static void run_bias(struct card *c, const struct gpu_op *op)
{
    const struct gpu_bias *b = &op->bias;
    int64_t n = op->rows * op->width;
    float *z = at(c, b->z);
    float *act = at(c, b->act);
    const float *bias = at(c, b->bias);
    const float *skip = b->skip == GPU_NONE ? NULL : at(c, b->skip);
    reads(c, b->z, n);
    reads_kept(c, b->bias, op->width);
    if (skip)
        reads(c, b->skip, n);
    EACH(i, op, n)
    {
        z[i] = gpu_bias_one(z[i], bias[i % op->width], b->relu);
        if (skip)
            act[i] = z[i] + skip[i];
    }
    wrote(c, b->z, (size_t)n * 4);
    if (skip)
        wrote(c, b->act, (size_t)n * 4);
    else
        assert_true(b->act == b->z);
}

static void head_row(struct card *c, const struct gpu_op *op, int64_t r)
{
    const struct gpu_head *h = &op->head;
    float *loss = at(c, c->l.row_loss);
    int32_t *right = at(c, c->l.row_right);
    float *z = (float *)at(c, h->z) + r * op->width;
    int64_t row = step_of(c)->row + r;
    if (h->label != GPU_NONE)
        loss[r] = gpu_softmax_row(z, op->width, ((const int32_t *)at(c, h->label))[row], h->scale,
                                  right + r);
    else
        loss[r] = gpu_sigmoid_row(z, op->width, (const float *)at(c, h->target) + row * op->width,
                                  h->mse, h->scale, right + r);
    if (!h->count)
        right[r] = 0;
}

static void run_head(struct card *c, const struct gpu_op *op)
{
    reads(c, op->head.z, op->rows * op->width);
    EACH(r, op, op->rows) head_row(c, op, r);
    wrote(c, op->head.z, (size_t)(op->rows * op->width) * 4);
    wrote(c, c->l.row_loss, (size_t)op->rows * 4);
    wrote(c, c->l.row_right, (size_t)op->rows * 4);
}

static void run_column(struct card *c, const struct gpu_op *op)
{
    const struct gpu_column *k = &op->column;
    float *sum = at(c, k->sum);
    const float *relu = k->relu == GPU_NONE ? NULL : at(c, k->relu);
    reads(c, k->dh, op->rows * op->width);
    if (relu)
        reads(c, k->relu, op->rows * op->width);
    assert_true(op->threads_x == GPU_SUM_COLUMNS && op->threads_y == GPU_SUM_LANES);
    for (int64_t first = 0; first < (int64_t)op->blocks * GPU_SUM_COLUMNS; first++)
        for (int64_t i = first; i < op->width; i += (int64_t)op->blocks * GPU_SUM_COLUMNS) {
            float part[GPU_SUM_LANES];
            for (int64_t lane = 0; lane < GPU_SUM_LANES; lane++)
                part[lane] =
                    gpu_column_lane(at(c, k->dz), at(c, k->dh), relu, op->rows, op->width, i, lane);
            for (int half = GPU_SUM_LANES / 2; half > 0; half /= 2)
                for (int lane = 0; lane < half; lane++)
                    part[lane] += part[lane + half];
            sum[i] = part[0];
        }
    if (relu)
        wrote(c, k->dz, (size_t)(op->rows * op->width) * 4);
    wrote(c, k->sum, (size_t)op->width * 4);
}

static void run_adam(struct card *c, const struct gpu_op *op)
{
    float *p = at(c, c->l.param);
    float *m = at(c, c->l.m);
    float *v = at(c, c->l.v);
    const float *g = at(c, c->l.grad);
    for (int k = 0; k < c->n->net.depth; k++) { /* every gradient is this pass's */
        const struct network_layer *l = &c->n->layer[k];
        reads(c, c->l.grad + l->w * 4, l->in * l->out);
        reads(c, c->l.grad + l->b * 4, l->out);
    }
    assert_int_equal(op->rows, 1);
    EACH(i, op, op->width) gpu_adam_one(p + i, g[i], m + i, v + i, step_of(c));
    wrote(c, c->l.param, (size_t)op->width * 4);
    wrote(c, c->l.m, (size_t)op->width * 4);
    wrote(c, c->l.v, (size_t)op->width * 4);
}

static void run_score(struct card *c, const struct gpu_op *op)
{
    struct gpu_score part[GPU_SCORE_LANES];
    struct gpu_score *s = at(c, op->score);
    assert_true(op->blocks == 1 && op->threads_x == GPU_SCORE_LANES);
    reads(c, c->l.row_loss, op->rows);
    reads(c, c->l.row_right, op->rows);
    for (int64_t lane = 0; lane < GPU_SCORE_LANES; lane++)
        part[lane] = gpu_score_lane(at(c, c->l.row_loss), at(c, c->l.row_right), op->rows, lane);
    for (int half = GPU_SCORE_LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) {
            part[lane].loss += part[lane + half].loss;
            part[lane].right += part[lane + half].right;
        }
    s->loss += part[0].loss;
    s->right += part[0].right;
}

static void run_plan(struct card *c, const struct gpu_plan *p, const struct gpu_step *step)
{
    static void (*const run[])(struct card *, const struct gpu_op *) = {
        [GPU_LOAD] = run_load,  [GPU_GEMM] = run_gemm,     [GPU_BIAS] = run_bias,
        [GPU_HEAD] = run_head,  [GPU_COLUMN] = run_column, [GPU_ADAM] = run_adam,
        [GPU_SCORE] = run_score};
    c->pass = ++c->now;
    fill(c, c->l.step, step, sizeof(*step));
    for (int i = 0; i < p->n; i++) {
        c->now++;
        run[p->op[i].kind](c, &p->op[i]);
    }
}

/* ---- problems ------------------------------------------------------------------------------------ */

struct problem {
    struct dataset d;
    struct net net;
    struct backend *want;  /* reference, in double */
    struct backend *plain; /* reference, in float: how far off rounding alone can be */
    struct network n;      /* what the card starts from */
    struct card card;
    int64_t batch;
};

static void make_data(struct dataset *d, enum net_loss loss, int64_t rows, int64_t inputs,
                      int64_t outputs)
{
    uint64_t n = 0;
    *d = (struct dataset){.rows = rows,
                          .rows_train = rows,
                          .inputs = inputs,
                          .outputs = outputs,
                          .classes = loss == NET_LOSS_MSE && outputs == 1 ? 0 : 2,
                          .loss = loss};
    d->x = base_alloc((size_t)(rows * inputs) * sizeof(float));
    for (int64_t i = 0; i < rows * inputs; i++)
        d->x[i] = (float)(2 * rng_uniform(11, RNG_TEST, n++) - 1);
    if (loss == NET_LOSS_CCE)
        d->label = base_alloc((size_t)rows * sizeof(int32_t));
    else
        d->target = base_alloc((size_t)(rows * outputs) * sizeof(float));
    for (int64_t i = 0; d->label && i < rows; i++)
        d->label[i] = (int32_t)(rng_uniform(11, RNG_TEST, n++) * (double)outputs);
    for (int64_t i = 0; d->target && i < rows * outputs; i++) {
        double u = rng_uniform(11, RNG_TEST, n++);
        d->target[i] = (float)(loss == NET_LOSS_BCE ? u > 0.5 : u);
    }
}

static void problem_open(struct problem *p, const struct net *net, enum net_loss loss, int64_t rows,
                         int64_t batch)
{
    struct err e = {0};
    *p = (struct problem){.net = *net, .batch = batch};
    make_data(&p->d, loss, rows, net->inputs, net->widths[net->depth - 1]);
    struct backend_spec spec = {.net = *net,
                                .data = &p->d,
                                .precision = BACKEND_F64,
                                .batch = batch,
                                .lr = 1e-3,
                                .eps = 1e-7,
                                .seed = 5};
    const struct backend_ops *ops = NULL;
    assert_int_equal(backend_choose("reference", BACKEND_F64, &ops, &e), 0);
    assert_int_equal(ops->open(&p->want, &spec, &e), 0);
    spec.precision = BACKEND_F32;
    assert_int_equal(ops->open(&p->plain, &spec, &e), 0);
    assert_int_equal(network_open(&p->n, net, sizeof(float), &e), 0);
    network_randomize(&p->n, spec.init, spec.seed);
    card_open(&p->card, &p->n, &p->d, batch);
}

static void problem_close(struct problem *p)
{
    card_close(&p->card);
    network_close(&p->n);
    p->want->ops->close(p->want);
    p->plain->ops->close(p->plain);
    dataset_close(&p->d);
}

static double *flat_of(const struct network *n, const void *slice)
{
    double *flat = base_alloc((size_t)n->net.params * sizeof(double));
    network_get(n, slice, flat);
    return flat;
}

static double relative_norm(const double *a, const double *b, int64_t n)
{
    double diff = 0;
    double norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(diff / (norm + DBL_MIN));
}

/* Within `allowed`, or thrice what the reference itself loses in float: a loss near its end and a
 * pre-activation near 0 magnify rounding. */
static void check_slice(const struct problem *p, size_t offset, bool grad, double allowed)
{
    const struct network *want = &p->want->network;
    const struct network *plain = &p->plain->network;
    double *a CLEANUP(base_freep) = flat_of(&p->n, at(&p->card, offset));
    double *b CLEANUP(base_freep) = flat_of(want, grad ? want->grad : want->param);
    double *f CLEANUP(base_freep) = flat_of(plain, grad ? plain->grad : plain->param);
    double err = relative_norm(a, b, p->net.params);
    double rounding = relative_norm(f, b, p->net.params);
    if (!(err <= allowed || err <= 3 * rounding))
        fail_msg("%s depth %d, width %d, %d outputs, batch %d of %d rows: %s off by %.3g, the "
                 "reference in float by %.3g",
                 net_shape_name(p->net.shape), p->net.depth, (int)p->net.widths[0],
                 (int)p->d.outputs, (int)p->batch, (int)p->d.rows, grad ? "gradient" : "parameters",
                 err, rounding);
}

static struct gpu_score take_score(struct problem *p, int which)
{
    struct gpu_score *s = (struct gpu_score *)at(&p->card, p->card.l.scores) + which;
    struct gpu_score got = *s;
    *s = (struct gpu_score){0};
    return got;
}

static struct gpu_step step_at(const struct problem *p, int64_t row, int64_t t)
{
    struct backend_adam_step a = backend_adam_at(&p->want->spec, t);
    return (struct gpu_step){row, (float)a.c1, (float)a.c2, (float)a.alpha, (float)a.eps};
}

/* A loss near 0 is a difference of numbers near 1. */
static bool loss_near(double got, double want, int64_t rows)
{
    return fabs(got - want) <= 1e-5 * fabs(want) + 5e-7 * (double)rows;
}

/* ---- against the reference ----------------------------------------------------------------------- */

static void check_gradient(struct problem *p, struct gpu_plan *plan, int64_t rows)
{
    struct backend_score want;
    const struct gpu_step step = {.row = p->d.rows - rows};
    gpu_plan_make(plan, &p->card.l, &p->n, &p->d, GPU_PASS_GRADIENT, rows);
    run_plan(&p->card, plan, &step);
    p->plain->ops->gradient(p->plain, p->d.rows - rows, rows, &want);
    p->want->ops->gradient(p->want, p->d.rows - rows, rows, &want);
    struct gpu_score got = take_score(p, GPU_SCORE_STEPS);
    assert_true(loss_near(got.loss, want.loss, rows));
    assert_int_equal(got.right, want.right);
    check_slice(p, p->card.l.grad, true, 5e-6);
}

static void check_steps(struct problem *p, struct gpu_plan *plan, int steps)
{
    int64_t row = 0;
    for (int t = 1; t <= steps; t++) {
        struct backend_score want;
        int64_t rows = p->d.rows - row < p->batch ? p->d.rows - row : p->batch;
        const struct gpu_step step = step_at(p, row, t);
        gpu_plan_make(plan, &p->card.l, &p->n, &p->d, GPU_PASS_STEP, rows);
        run_plan(&p->card, plan, &step);
        p->plain->ops->step(p->plain, row, rows, &want);
        p->want->ops->step(p->want, row, rows, &want);
        struct gpu_score got = take_score(p, GPU_SCORE_STEPS);
        if (!loss_near(got.loss, want.loss, rows))
            fail_msg("%s depth %d: loss of step %d is %.9g, not %.9g", net_shape_name(p->net.shape),
                     p->net.depth, t, got.loss, want.loss);
        row = row + rows < p->d.rows ? row + rows : 0;
    }
    check_slice(p, p->card.l.param, false, 1e-5);
}

static void check_test_pass(struct problem *p, struct gpu_plan *plan)
{
    struct backend_score want = {0};
    for (int64_t row = 0; row < p->d.rows; row += p->batch) {
        int64_t rows = p->d.rows - row < p->batch ? p->d.rows - row : p->batch;
        const struct gpu_step step = {.row = row};
        gpu_plan_make(plan, &p->card.l, &p->n, &p->d, GPU_PASS_TEST, rows);
        run_plan(&p->card, plan, &step);
    }
    p->want->ops->evaluate(p->want, 0, p->d.rows, &want);
    struct gpu_score got = take_score(p, GPU_SCORE_TESTS);
    assert_true(loss_near(got.loss, want.loss, p->d.rows));
    assert_int_equal(take_score(p, GPU_SCORE_STEPS).right, 0); /* the two are kept apart */
}

static void check_padding(const struct problem *p)
{
    const struct network *n = &p->n;
    const size_t slices[] = {p->card.l.param, p->card.l.grad, p->card.l.m, p->card.l.v};
    for (size_t s = 0; s < ARRAY_LEN(slices); s++) {
        const float *slice = at(&p->card, slices[s]);
        for (int k = 0; k < n->net.depth; k++) {
            const struct network_layer *l = &n->layer[k];
            size_t end = k + 1 < n->net.depth ? n->layer[k + 1].w : n->scalars;
            for (size_t i = l->w + (size_t)(l->in * l->out); i < l->b; i++)
                assert_true(slice[i] == 0);
            for (size_t i = l->b + (size_t)l->out; i < end; i++)
                assert_true(slice[i] == 0);
        }
    }
}

static void check(const struct net *net, enum net_loss loss, int64_t rows, int64_t batch)
{
    struct problem p;
    struct gpu_plan *plan = base_alloc(sizeof(*plan));
    problem_open(&p, net, loss, rows, batch);
    check_gradient(&p, plan, rows < batch ? rows : batch);
    check_gradient(&p, plan, 1);
    check_steps(&p, plan, 20);
    check_test_pass(&p, plan);
    check_padding(&p);
    problem_close(&p);
    free(plan);
}

static void check_shape(enum net_shape shape, int depth, int64_t width)
{
    static const int64_t outputs[] = {[NET_LOSS_MSE] = 1, [NET_LOSS_BCE] = 1, [NET_LOSS_CCE] = 4};
    for (int loss = NET_LOSS_MSE; loss <= NET_LOSS_CCE; loss++) {
        struct net net;
        net_widths(&net, shape, depth, 7, outputs[loss], width);
        check(&net, (enum net_loss)loss, 40, 16);
        check(&net, (enum net_loss)loss, 9, 64);
    }
}

static void test_shapes(void **state)
{
    (void)state;
    static const int depths[] = {2, 3, 4, 5, 8, 20};
    for (int shape = 0; shape < NET_SHAPES; shape++)
        for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
            check_shape((enum net_shape)shape, depths[i], 12);
            check_shape((enum net_shape)shape, depths[i], 1);
        }
}

static void test_edges(void **state)
{
    (void)state;
    struct net net;
    net_widths(&net, NET_RECTANGLE, 3, 13, 5, 33); /* several outputs, mean squared error */
    check(&net, NET_LOSS_MSE, 70, 64);
    net_widths(&net, NET_RECTANGLE_RESIDUAL, 4, 3, 2, 65);
    check(&net, NET_LOSS_CCE, 300, 257);
    assert_int_equal(net_parse_layers(&net, "3", 9, 3, NULL), 0); /* one layer */
    check(&net, NET_LOSS_CCE, 20, 8);
    assert_int_equal(net_parse_layers(&net, "5,1,7,2", 1, 2, NULL), 0);
    check(&net, NET_LOSS_CCE, 20, 1);
}

/* Enough elements that a thread takes more than one. */
static void test_many_elements(void **state)
{
    (void)state;
    struct problem p;
    struct net net;
    struct gpu_plan *plan = base_alloc(sizeof(*plan));
    net_widths(&net, NET_RECTANGLE, 2, 6, 2, 200000);
    problem_open(&p, &net, NET_LOSS_CCE, 6, 6);
    check_gradient(&p, plan, 6);
    check_steps(&p, plan, 1);
    assert_int_equal(plan->op[2].blocks, GPU_BLOCKS_MAX); /* bias of the wide layer */
    problem_close(&p);
    free(plan);
}

/* ---- the plan ------------------------------------------------------------------------------------ */

static int by_offset(const void *pa, const void *pb)
{
    size_t a = *(const size_t *)pa;
    size_t b = *(const size_t *)pb;
    return (a > b) - (a < b);
}

static void test_layout(void **state)
{
    (void)state;
    struct problem p;
    struct net net;
    net_widths(&net, NET_RECTANGLE_RESIDUAL, 6, 11, 3, 37);
    problem_open(&p, &net, NET_LOSS_CCE, 100, 32);
    const struct gpu_layout *l = &p.card.l;
    size_t block[64] = {l->step,     l->scores,    l->param,     l->grad,     l->m,        l->v,
                        l->x,        l->label,     l->input,     l->delta[0], l->delta[1], l->carry,
                        l->row_loss, l->row_right, l->workspace, l->bytes};
    size_t n = 16;
    for (int k = 0; k < 6; k++)
        block[n++] = l->act[k];
    for (int k = 1; k < 5; k++)
        block[n++] = l->relu[k];
    qsort(block, n, sizeof(*block), by_offset);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(block[i] % GPU_ALIGN, 0);
        assert_true(i == 0 || block[i] > block[i - 1]);
    }
    assert_true(l->target == GPU_NONE && l->relu[0] == l->act[0]);
    assert_true(l->bytes - l->workspace == GPU_WORKSPACE);
    assert_int_equal(gpu_alignment(64), 64);
    assert_int_equal(gpu_alignment(4096 + 192), 64);
    assert_int_equal(gpu_alignment(0), GPU_ALIGN);
    problem_close(&p);
}

/* 2 launches a layer forward, 3 backward less what the first layer does without. */
static void test_counts(void **state)
{
    (void)state;
    struct problem p;
    struct net net;
    struct gpu_plan *plan = base_alloc(sizeof(*plan));
    net_widths(&net, NET_RECTANGLE, 5, 4, 3, 9);
    problem_open(&p, &net, NET_LOSS_CCE, 30, 8);
    gpu_plan_make(plan, &p.card.l, &p.n, &p.d, GPU_PASS_STEP, 8);
    assert_int_equal(plan->n, 1 + 2 * 5 + 2 + 3 * 5 - 2 + 2);
    gpu_plan_make(plan, &p.card.l, &p.n, &p.d, GPU_PASS_TEST, 8);
    assert_int_equal(plan->n, 1 + 2 * 5 + 2);
    problem_close(&p);
    char deep[2 * NET_DEPTH_MAX] = "1";
    for (int i = 1; i < NET_DEPTH_MAX; i++)
        strcat(deep, ",1");
    assert_int_equal(net_parse_layers(&net, deep, 4, 1, NULL), 0);
    problem_open(&p, &net, NET_LOSS_BCE, 30, 8);
    gpu_plan_make(plan, &p.card.l, &p.n, &p.d, GPU_PASS_STEP, 8);
    assert_true(plan->n <= GPU_OPS_MAX);
    problem_close(&p);
    free(plan);
}

/* A NaN must reach the score. */
static void test_nan_is_seen(void **state)
{
    (void)state;
    for (int loss = NET_LOSS_MSE; loss <= NET_LOSS_CCE; loss++) {
        struct problem p;
        struct net net;
        struct gpu_plan *plan = base_alloc(sizeof(*plan));
        net_widths(&net, NET_RECTANGLE, 4, 6, 3, 9);
        problem_open(&p, &net, (enum net_loss)loss, 20, 20);
        ((float *)at(&p.card, p.card.l.x))[50] = NAN;
        const struct gpu_step step = step_at(&p, 0, 1);
        gpu_plan_make(plan, &p.card.l, &p.n, &p.d, GPU_PASS_STEP, 20);
        run_plan(&p.card, plan, &step);
        assert_false(isfinite(take_score(&p, GPU_SCORE_STEPS).loss));
        problem_close(&p);
        free(plan);
    }
}

/* Logits far out: no infinity in loss or gradient. */
static void test_extremes(void **state)
{
    (void)state;
    int32_t right;
    float z[3] = {1e4F, -1e4F, 0};
    assert_true(gpu_softmax_row(z, 3, 1, 0.25F, &right) == 2e4F && right == 0);
    assert_true(z[0] == 0.25F && z[1] == -0.25F && z[2] == 0);
    float equal[3] = {5, 5, 5};
    assert_true(fabsf(gpu_softmax_row(equal, 3, 0, 0, &right) - logf(3)) < 1e-6F && right == 1);
    assert_true(equal[0] == 5); /* no gradient wanted */
    static const float target[2] = {1, 0};
    float y[2] = {-200, 1e4F};
    float bce = gpu_sigmoid_row(y, 2, target, false, 1, &right);
    assert_true(fabsf(bce - 5100) < 1e-2F && y[0] == -0.5F && y[1] == 0.5F);
    float one[1] = {1e4F};
    assert_true(gpu_sigmoid_row(one, 1, target, true, 1, &right) == 0 && one[0] == 0 && right == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_many_elements), cmocka_unit_test(test_layout),
        cmocka_unit_test(test_counts),        cmocka_unit_test(test_nan_is_seen),
        cmocka_unit_test(test_extremes),
    };
    backend_enter_thread();
    return cmocka_run_group_tests_name("train_gpu_plan", tests, NULL, NULL);
}
