/* Gradients, optimiser, losses and passes: the reference against central differences in double, every other
 * backend and instruction set against the reference. */
#include "daemon/trainer/backend.h"
#include "daemon/trainer/passes.h"
#include "daemon/trainer/rng.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a small random problem ---------------------------------------------------------------------- */

static double draw(uint64_t seed, uint64_t *n)
{
    return rng_uniform(seed, RNG_TEST, (*n)++);
}

static void make_data(struct dataset *d, enum net_loss loss, int64_t rows, int64_t inputs,
                      int64_t outputs, uint64_t seed)
{
    *d = (struct dataset){.rows = rows,
                          .rows_train = rows,
                          .inputs = inputs,
                          .outputs = outputs,
                          .classes = outputs > 1 ? outputs : 2,
                          .loss = loss};
    uint64_t n = 0;
    d->x = base_alloc((size_t)(rows * inputs) * sizeof(float));
    for (int64_t i = 0; i < rows * inputs; i++)
        d->x[i] = (float)(2 * draw(seed, &n) - 1);
    if (loss == NET_LOSS_CCE) {
        d->label = base_alloc((size_t)rows * sizeof(int32_t));
        for (int64_t i = 0; i < rows; i++)
            d->label[i] = (int32_t)(draw(seed, &n) * (double)outputs);
        return;
    }
    d->target = base_alloc((size_t)(rows * outputs) * sizeof(float));
    for (int64_t i = 0; i < rows * outputs; i++)
        d->target[i] = (float)(loss == NET_LOSS_BCE ? draw(seed, &n) > 0.5 : draw(seed, &n));
}

static struct backend *open_backend(const struct backend_ops *ops, const struct net *net,
                                    const struct dataset *d, enum backend_precision precision,
                                    int64_t batch)
{
    const struct backend_spec spec = {.net = *net,
                                      .data = d,
                                      .precision = precision,
                                      .batch = batch,
                                      .lr = 1e-3,
                                      .eps = 1e-7,
                                      .seed = 5};
    struct backend *b = NULL;
    struct err e = {0};
    if (ops->open(&b, &spec, &e) != 0)
        fail_msg("%s: %s", ops->name, e.text);
    return b;
}

static const struct backend_ops *named(const char *name)
{
    const struct backend_ops *ops = NULL;
    assert_int_equal(backend_choose(name, BACKEND_F32, &ops, NULL), 0);
    return ops;
}

static double *params_of(const struct backend *b, const void *slice)
{
    double *flat = base_alloc((size_t)b->network.net.params * sizeof(double));
    network_get(&b->network, slice, flat);
    return flat;
}

/* ---- gradient check ------------------------------------------------------------------------------ */

/* A central difference across a ReLU's kink is wrong, so a parameter whose two one-sided slopes differ is
 * measured with a smaller step, which leaves the kink outside. */
static double slope(struct backend *b, double *flat, int64_t i, int64_t rows, double h)
{
    double keep = flat[i];
    double side[2];
    for (int s = 0; s < 2; s++) {
        flat[i] = keep + (s ? h : -h);
        network_set(&b->network, b->network.param, flat);
        struct backend_score score = {0};
        b->ops->evaluate(b, 0, rows, &score);
        side[s] = score.loss / (double)rows;
    }
    flat[i] = keep;
    network_set(&b->network, b->network.param, flat);
    return (side[1] - side[0]) / (2 * h);
}

static void check_gradient(enum net_shape shape, int depth, enum net_loss loss, int64_t outputs,
                           int64_t width, int64_t rows)
{
    struct dataset d;
    struct net net;
    make_data(&d, loss, rows, 5, outputs, (uint64_t)(shape * 100 + depth));
    net_widths(&net, shape, depth, 5, outputs, width);
    struct backend *b = open_backend(named("reference"), &net, &d, BACKEND_F64, rows);
    double *flat CLEANUP(base_freep) = params_of(b, b->network.param);
    uint64_t n = 0;
    for (int64_t i = 0; i < net.params; i++) /* biases too must not be 0 */
        flat[i] += 0.2 * draw(77, &n) - 0.1;
    network_set(&b->network, b->network.param, flat);
    struct backend_score s;
    b->ops->gradient(b, 0, rows, &s);
    double *grad CLEANUP(base_freep) = params_of(b, b->network.grad);
    for (int64_t i = 0; i < net.params; i++) {
        double err = DBL_MAX;
        for (double h = 1e-4; h > 1e-7 && err > 1e-6; h /= 10)
            err = fabs(slope(b, flat, i, rows, h) - grad[i]) / (fabs(grad[i]) + 1e-3);
        if (err > 1e-6)
            fail_msg("%s depth %d loss %d width %d: gradient %d is %g, off by %g relative",
                     net_shape_name(shape), depth, (int)loss, (int)width, (int)i, grad[i], err);
    }
    b->ops->close(b);
    dataset_close(&d);
}

static void test_gradients(void **state)
{
    (void)state;
    for (int shape = 0; shape < NET_SHAPES; shape++)
        for (int depth = 2; depth <= 5; depth++) {
            check_gradient((enum net_shape)shape, depth, NET_LOSS_CCE, 3, 7, 9);
            check_gradient((enum net_shape)shape, depth, NET_LOSS_BCE, 1, 6, 8);
            check_gradient((enum net_shape)shape, depth, NET_LOSS_MSE, 1, 5, 7);
            check_gradient((enum net_shape)shape, depth, NET_LOSS_MSE, 4, 8, 1);
        }
}

/* ---- backends against the float64 reference ------------------------------------------------------ */

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

/* One gradient per matrix, norm-wise within 1e-6 sqrt(K), K the longest sum behind it. */
static void compare_gradients(const struct backend *got, const struct backend *want, int64_t rows)
{
    double *a CLEANUP(base_freep) = params_of(got, got->network.grad);
    double *b CLEANUP(base_freep) = params_of(want, want->network.grad);
    const double *pa = a;
    const double *pb = b;
    for (int k = 0; k < got->network.net.depth; k++) {
        const struct network_layer *l = &got->network.layer[k];
        int64_t n = (l->in + 1) * l->out;
        double err = relative_norm(pa, pb, n);
        double allowed = 1e-6 * sqrt((double)(rows > l->in ? rows : l->in));
        if (!(err <= allowed))
            fail_msg("%s, layer %d of %d, %d x %d, %d rows: gradient off by %.3g, allowed %.3g",
                     got->ops->name, k + 1, got->network.net.depth, (int)l->in, (int)l->out,
                     (int)rows, err, allowed);
        pa += n;
        pb += n;
    }
}

static void compare_backends(const struct net *net, enum net_loss loss, int64_t rows)
{
    int64_t outputs = net->widths[net->depth - 1];
    struct dataset d;
    make_data(&d, loss, rows, net->inputs, outputs, 11);
    struct backend *want = open_backend(named("reference"), net, &d, BACKEND_F64, rows);
    struct backend_score sw;
    want->ops->gradient(want, 0, rows, &sw);
    for (const struct backend_ops *const *ops = backends; *ops; ops++) {
        if ((*ops)->probe) /* a device: test_train_cuda */
            continue;
        struct backend *got = open_backend(*ops, net, &d, BACKEND_F32, rows);
        struct backend_score sg;
        got->ops->gradient(got, 0, rows, &sg);
        assert_true(fabs(sg.loss - sw.loss) <= 2e-6 * fabs(sw.loss));
        struct backend_score ev = {0};
        got->ops->evaluate(got, 0, rows, &ev);
        assert_true(fabs(ev.loss - sw.loss) <= 2e-6 * fabs(sw.loss));
        assert_int_equal(ev.right, sw.right);
        compare_gradients(got, want, rows);
        got->ops->close(got);
    }
    want->ops->close(want);
    dataset_close(&d);
}

static void test_backends_agree(void **state)
{
    (void)state;
    static const int widths[] = {1,  2,  7,  8,  9,  15,  16,  17,  31,
                                 32, 33, 63, 64, 65, 127, 128, 129, 200};
    static const int rows[] = {1, 31, 32, 33, 255, 256, 257};
    for (size_t w = 0; w < ARRAY_LEN(widths); w++)
        for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
            struct net net;
            net_widths(&net, r % 2 ? NET_RECTANGLE_RESIDUAL : NET_RECTANGLE, 4, 13, 10, widths[w]);
            compare_backends(&net, NET_LOSS_CCE, rows[r]);
            net_widths(&net, NET_RECTANGLE_RESIDUAL, 3, 13, r % 2 ? 1 : 6, widths[w]);
            compare_backends(&net, NET_LOSS_MSE, rows[r]);
            net_widths(&net, NET_WIDE_FIRST_4X, 5, 13, 1, widths[w]);
            compare_backends(&net, NET_LOSS_BCE, rows[r]);
        }
}

/* ---- Adam ---------------------------------------------------------------------------------------- */

static double adam_once(const struct passes *p, float g, float *m, float *v, double lr, int64_t t)
{
    const struct backend_spec spec = {.lr = lr, .eps = 1e-7};
    struct backend_adam_step s = backend_adam_at(&spec, t);
    float x = 1;
    const struct pass_adam a = {&x,          &g, m, v, 1, (float)s.c1, (float)s.c2, (float)s.alpha,
                                (float)s.eps};
    p->adam(&a);
    return (double)x - 1;
}

static void test_adam_edges(void **state)
{
    (void)state;
    for (const struct passes *const *p = passes_usable(); *p; p++) {
        float m = 0;
        float v = 0;
        /* No gradient: 0 / (0 + eps), the parameter must not move. */
        assert_true(adam_once(*p, 0, &m, &v, 0.1, 1) == 0);
        /* The first step moves by lr against the gradient's sign, whatever its size. */
        static const float sizes[] = {1e-3F, 1, 1e5F, -1e-3F, -1, -1e5F};
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            m = v = 0;
            double moved = adam_once(*p, sizes[i], &m, &v, 1e-2, 1);
            assert_true(fabs(moved + (sizes[i] > 0 ? 1e-2 : -1e-2)) < 5e-5);
        }
        /* Long after the start the corrections are 1: a constant gradient still moves by lr. */
        m = 0.5F;
        v = 0.25F;
        assert_true(fabs(adam_once(*p, 0.5F, &m, &v, 1e-2, 1000000) + 1e-2) < 1e-6);
    }
    /* 1 - beta2 must be right to the last bit of float: 1 - 0.999f is off by 1.3e-5. */
    const struct backend_spec spec = {.lr = 1, .eps = 1e-7};
    struct backend_adam_step s = backend_adam_at(&spec, 1);
    assert_true((float)s.c2 == 0.001F);
    assert_true((float)s.c1 == 0.1F);
    assert_true(fabs(s.alpha - sqrt(1 - 0.999) / (1 - 0.9)) < 1e-15);
    assert_true(s.eps == 1e-7);
}

/* The definition in double, in Keras's form, over 50 steps and all variants. */
static void test_adam_formula(void **state)
{
    (void)state;
    for (const struct passes *const *p = passes_usable(); *p; p++) {
        float x[37] = {0};
        float g[37];
        float m[37] = {0};
        float v[37] = {0};
        double rx[37] = {0};
        double rm[37] = {0};
        double rv[37] = {0};
        uint64_t n = 0;
        const struct backend_spec spec = {.lr = 1e-2, .eps = 1e-7};
        for (int64_t t = 1; t <= 50; t++) {
            struct backend_adam_step s = backend_adam_at(&spec, t);
            double alpha = 1e-2 * sqrt(1 - pow(0.999, (double)t)) / (1 - pow(0.9, (double)t));
            for (int i = 0; i < 37; i++) {
                g[i] = (float)(draw(3, &n) - 0.5);
                rm[i] = 0.9 * rm[i] + 0.1 * (double)g[i];
                rv[i] = 0.999 * rv[i] + 0.001 * (double)g[i] * (double)g[i];
                rx[i] -= alpha * rm[i] / (sqrt(rv[i]) + 1e-7);
            }
            const struct pass_adam a = {
                x, g, m, v, 37, (float)s.c1, (float)s.c2, (float)s.alpha, (float)s.eps};
            (*p)->adam(&a);
        }
        for (int i = 0; i < 37; i++)
            assert_true(fabs((double)x[i] - rx[i]) < 1e-6);
    }
}

/* ---- losses at their edges ----------------------------------------------------------------------- */

static void test_softmax_extremes(void **state)
{
    (void)state;
    for (const struct passes *const *p = passes_usable(); *p; p++) {
        float z[4 * 3] = {1e4F, -1e4F, 0, 1e4F, -1e4F, 0, 5, 5, 5, -1e4F, -1e4F, -1e4F};
        static const int32_t label[4] = {0, 1, 2, 0};
        struct pass_head h = {.z = z, .label = label, .rows = 4, .width = 3, .scale = 0.25F};
        (*p)->softmax(&h);
        /* 0, 2e4, log 3, log 3 */
        assert_true(fabs(h.loss - (20000 + 2 * log(3))) < 1e-3);
        assert_int_equal(h.right, 2); /* the first of equals counts */
        assert_true(fabs((double)z[0]) < 1e-7 && z[3] == 0.25F && z[4] == -0.25F);
        assert_true(fabs((double)z[6] - 0.25 / 3) < 1e-7);
        for (int i = 0; i < 12; i++)
            assert_true(isfinite(z[i]));
    }
}

static void test_sigmoid_extremes(void **state)
{
    (void)state;
    static const float target[4] = {1, 0, 0, 1};
    for (const struct passes *const *p = passes_usable(); *p; p++)
        for (int mse = 0; mse < 2; mse++) {
            float z[4] = {1e4F, -1e4F, 1e4F, -200};
            struct pass_head h = {
                .z = z, .target = target, .rows = 4, .width = 1, .scale = 0.25F, .mse = mse};
            (*p)->sigmoid(&h);
            assert_true(fabs(h.loss - (mse ? 2 : 10200)) < 1e-2);
            assert_int_equal(h.right, 2);
            assert_true(z[0] == 0 && fabs((double)z[1]) < 1e-30);
            assert_true(mse ? fabs((double)z[2]) < 1e-30 : z[2] == 0.25F);
        }
}

/* A NaN must reach the loss: a ReLU that swallows it would train on silently. */
static void test_nan_is_seen(void **state)
{
    (void)state;
    struct dataset d;
    struct net net;
    make_data(&d, NET_LOSS_CCE, 40, 6, 3, 9);
    d.x[100] = NAN;
    net_widths(&net, NET_RECTANGLE, 4, 6, 3, 9);
    for (const struct backend_ops *const *ops = backends; *ops; ops++) {
        if ((*ops)->probe) /* a device: test_train_cuda */
            continue;
        struct backend *b = open_backend(*ops, &net, &d, BACKEND_F32, 40);
        struct backend_score s;
        b->ops->step(b, 0, 40, &s);
        assert_false(isfinite(s.loss));
        b->ops->close(b);
    }
    dataset_close(&d);
}

static void test_exp(void **state)
{
    (void)state;
    for (const struct passes *const *p = passes_usable(); *p; p++) {
        double worst = 0;
        for (int i = 0; i < 200000; i++) {
            float x = -87.0F * (float)i / 200000;
            float y = x;
            (*p)->exp_neg(&y, 1);
            double want = exp((double)x);
            worst = fmax(worst, fabs((double)y - want) / want);
        }
        assert_true(worst < 2.4e-7); /* 2 ulp */
        float one = 0;
        float tiny = -1e30F;
        (*p)->exp_neg(&one, 1);
        (*p)->exp_neg(&tiny, 1);
        assert_true(one == 1 && tiny >= 0 && tiny < 2e-38F);
    }
}

/* ---- layout and determinism ---------------------------------------------------------------------- */

static void assert_padding_zero(const struct network *n, const float *slice)
{
    for (int k = 0; k < n->net.depth; k++) {
        const struct network_layer *l = &n->layer[k];
        for (size_t i = l->w + (size_t)(l->in * l->out); i < l->b; i++)
            assert_true(slice[i] == 0);
        size_t end = k + 1 < n->net.depth ? n->layer[k + 1].w : n->scalars;
        for (size_t i = l->b + (size_t)l->out; i < end; i++)
            assert_true(slice[i] == 0);
    }
}

static void test_padding_stays_zero(void **state)
{
    (void)state;
    struct dataset d;
    struct net net;
    make_data(&d, NET_LOSS_CCE, 100, 5, 3, 1);
    net_widths(&net, NET_TRAPEZOID, 4, 5, 3, 11);
    struct backend *b = open_backend(named("openblas"), &net, &d, BACKEND_F32, 64);
    struct backend_score s;
    for (int i = 0; i < 1000; i++)
        b->ops->step(b, i % 2 * 64, i % 2 ? 36 : 64, &s);
    assert_padding_zero(&b->network, b->network.param);
    assert_padding_zero(&b->network, b->network.m);
    assert_padding_zero(&b->network, b->network.v);
    b->ops->close(b);
    dataset_close(&d);
}

static void train_some(const struct backend_ops *ops, const struct dataset *d,
                       const struct net *net, double *flat)
{
    struct backend *b = open_backend(ops, net, d, BACKEND_F32, 64);
    struct backend_score s;
    for (int i = 0; i < 40; i++)
        b->ops->step(b, i % 4 * 64, i % 4 == 3 ? 8 : 64, &s);
    network_get(&b->network, b->network.param, flat);
    b->ops->close(b);
}

/* Flushing denormals must change nothing in an ordinary run. */
static void test_bit_equal(void **state)
{
    (void)state;
    struct dataset d;
    struct net net;
    make_data(&d, NET_LOSS_CCE, 200, 20, 4, 2);
    net_widths(&net, NET_RECTANGLE_RESIDUAL, 5, 20, 4, 33);
    size_t bytes = (size_t)net.params * sizeof(double);
    double *a CLEANUP(base_freep) = base_alloc(bytes);
    double *b CLEANUP(base_freep) = base_alloc(bytes);
    for (const struct backend_ops *const *ops = backends; *ops; ops++) {
        if ((*ops)->probe) /* a device: test_train_cuda */
            continue;
        train_some(*ops, &d, &net, a);
        train_some(*ops, &d, &net, b);
        assert_memory_equal(a, b, bytes);
    }
    dataset_close(&d);
}

static void test_init(void **state)
{
    (void)state;
    struct net net;
    struct network n;
    net_widths(&net, NET_RECTANGLE, 3, 784, 10, 100);
    assert_int_equal(network_open(&n, &net, sizeof(float), NULL), 0);
    network_randomize(&n, NETWORK_GLOROT_UNIFORM, 3);
    const float *w = n.param;
    double limit = sqrt(6.0 / 884);
    double most = 0;
    double square = 0;
    for (int64_t i = 0; i < 784 * 100; i++) {
        most = fmax(most, fabs((double)w[i]));
        square += (double)w[i] * (double)w[i];
    }
    assert_true(most <= limit && most > 0.999 * limit);
    assert_true(fabs(square / 78400 / (limit * limit / 3) - 1) < 0.02);
    for (int64_t i = 0; i < 100; i++)
        assert_true(w[n.layer[0].b + (size_t)i] == 0);
    float glorot = w[n.layer[2].w];
    float first = w[0];
    network_randomize(&n, NETWORK_HE_UNIFORM, 3); /* hidden: sqrt(6/in); the last stays Glorot */
    assert_true(fabs((double)w[0] / (double)first - sqrt(884.0 / 784)) < 1e-6);
    assert_true(w[n.layer[2].w] == glorot);
    network_close(&n);
}

static void test_choose(void **state)
{
    (void)state;
    const struct backend_ops *ops = NULL;
    struct err e = {0};
    assert_int_equal(backend_choose("auto", BACKEND_F32, &ops, &e), 0);
    assert_string_equal(ops->name, "openblas");
    assert_int_equal(backend_choose("auto", BACKEND_F64, &ops, &e), 0);
    assert_string_equal(ops->name, "reference");
    assert_int_equal(backend_choose("openblas", BACKEND_F64, &ops, &e), WATTQ_E_USAGE);
    assert_int_equal(backend_choose("openblas", BACKEND_TF32, &ops, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "--backend cuda"));
    assert_int_equal(backend_choose("auto", BACKEND_TF32, &ops, &e), WATTQ_E_USAGE);
    assert_int_equal(backend_choose("cuda9", BACKEND_F32, &ops, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "reference"));
}

/* Known answers of Random123's philox4x32-10. */
static void test_philox(void **state)
{
    (void)state;
    static const uint32_t in[3][6] = {
        {0, 0, 0, 0, 0, 0},
        {~0U, ~0U, ~0U, ~0U, ~0U, ~0U},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0}};
    static const uint32_t want[3][4] = {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        rng_philox(in[i], in[i] + 4, out);
        assert_memory_equal(out, want[i], sizeof(out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_backends_agree),
        cmocka_unit_test(test_adam_edges),
        cmocka_unit_test(test_adam_formula),
        cmocka_unit_test(test_softmax_extremes),
        cmocka_unit_test(test_sigmoid_extremes),
        cmocka_unit_test(test_nan_is_seen),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_padding_stays_zero),
        cmocka_unit_test(test_bit_equal),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_philox),
    };
    backend_enter_thread();
    return cmocka_run_group_tests_name("train_numeric", tests, NULL, NULL);
}
