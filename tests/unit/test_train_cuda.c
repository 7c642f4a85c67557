/* The GPU backend on a real card, against the reference; skipped (77) where there is none. Another backend's
 * name as argument runs the same checks on that: test_train_cuda openblas. */
#include "daemon/trainer/rng.h"
#include "daemon/trainer/train.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *name = "cuda";

static const struct backend_ops *under_test(void)
{
    for (const struct backend_ops *const *b = backends; *b; b++)
        if (strcmp((*b)->name, name) == 0)
            return *b;
    return NULL;
}

/* ---- problems ------------------------------------------------------------------------------------ */

static void make_data(struct dataset *d, enum net_loss loss, int64_t rows, int64_t inputs,
                      int64_t outputs)
{
    uint64_t n = 0;
    *d = (struct dataset){.rows = rows,
                          .rows_train = rows,
                          .inputs = inputs,
                          .outputs = outputs,
                          .classes = 2,
                          .loss = loss};
    d->x = base_alloc((size_t)(rows * inputs) * sizeof(float));
    for (int64_t i = 0; i < rows * inputs; i++)
        d->x[i] = (float)(2 * rng_uniform(17, RNG_TEST, n++) - 1);
    if (loss == NET_LOSS_CCE)
        d->label = base_alloc((size_t)rows * sizeof(int32_t));
    else
        d->target = base_alloc((size_t)(rows * outputs) * sizeof(float));
    for (int64_t i = 0; d->label && i < rows; i++)
        d->label[i] = (int32_t)(rng_uniform(17, RNG_TEST, n++) * (double)outputs);
    for (int64_t i = 0; d->target && i < rows * outputs; i++)
        d->target[i] = (float)(rng_uniform(17, RNG_TEST, n++) > 0.5);
}

static struct backend *open_one(const struct backend_ops *ops, const struct net *net,
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

static struct backend *open_reference(const struct net *net, const struct dataset *d, int64_t batch)
{
    const struct backend_ops *ops = NULL;
    assert_int_equal(backend_choose("reference", BACKEND_F64, &ops, NULL), 0);
    return open_one(ops, net, d, BACKEND_F64, batch);
}

static double step_loss(struct backend *b, int64_t row, int64_t rows)
{
    struct backend_score s;
    struct err e = {0};
    b->ops->step(b, row, rows, &s);
    if (b->ops->flush && b->ops->flush(b, &s, &e) < 0)
        fail_msg("%s", e.text);
    return s.loss;
}

static double *flat_of(const struct backend *b, const void *slice)
{
    double *flat = base_alloc((size_t)b->network.net.params * sizeof(double));
    network_get(&b->network, slice, flat);
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

static bool near(double got, double want, int64_t rows)
{
    return fabs(got - want) <= 1e-5 * fabs(want) + 1e-6 * (double)rows;
}

/* ---- against the reference ----------------------------------------------------------------------- */

static void check_gradient(struct backend *got, struct backend *want, int64_t row, int64_t rows)
{
    struct backend_score sg;
    struct backend_score sw;
    got->ops->gradient(got, row, rows, &sg);
    want->ops->gradient(want, row, rows, &sw);
    assert_true(near(sg.loss, sw.loss, rows));
    assert_int_equal(sg.right, sw.right);
    double *a CLEANUP(base_freep) = flat_of(got, got->network.grad);
    double *b CLEANUP(base_freep) = flat_of(want, want->network.grad);
    double err = relative_norm(a, b, got->network.net.params);
    if (!(err < 1e-4))
        fail_msg("%s depth %d, width %d, %d rows: gradient off by %.3g",
                 net_shape_name(got->network.net.shape), got->network.net.depth,
                 (int)got->network.net.widths[0], (int)rows, err);
}

static void check_steps(struct backend *got, struct backend *want, int64_t rows, int64_t batch)
{
    int64_t row = 0;
    for (int t = 0; t < 20; t++) {
        int64_t n = rows - row < batch ? rows - row : batch;
        double lg = step_loss(got, row, n);
        double lw = step_loss(want, row, n);
        if (!near(lg, lw, n))
            fail_msg("step %d: loss %.9g, not %.9g", t + 1, lg, lw);
        row = row + n < rows ? row + n : 0;
    }
    struct backend_score sg = {0};
    struct backend_score sw = {0};
    got->ops->evaluate(got, 0, rows, &sg);
    want->ops->evaluate(want, 0, rows, &sw);
    assert_true(near(sg.loss, sw.loss, rows));
}

static void check(const struct net *net, enum net_loss loss, int64_t rows, int64_t batch)
{
    struct dataset d;
    make_data(&d, loss, rows, net->inputs, net->widths[net->depth - 1]);
    struct backend *got = open_one(under_test(), net, &d, BACKEND_F32, batch);
    struct backend *want = open_reference(net, &d, batch);
    check_gradient(got, want, 0, rows < batch ? rows : batch);
    check_gradient(got, want, rows - 1, 1);
    check_steps(got, want, rows, batch);
    got->ops->close(got);
    want->ops->close(want);
    dataset_close(&d);
}

static void test_shapes(void **state)
{
    (void)state;
    static const int64_t outputs[] = {[NET_LOSS_MSE] = 3, [NET_LOSS_BCE] = 1, [NET_LOSS_CCE] = 4};
    for (int shape = 0; shape < NET_SHAPES; shape++)
        for (int loss = NET_LOSS_MSE; loss <= NET_LOSS_CCE; loss++) {
            struct net net;
            net_widths(&net, (enum net_shape)shape, 2 + loss * 2, 9, outputs[loss], 37);
            check(&net, (enum net_loss)loss, 300, 128);
        }
}

static void test_edges(void **state)
{
    (void)state;
    static const int64_t widths[] = {1, 2, 31, 64, 129, 513};
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        struct net net;
        net_widths(&net, NET_RECTANGLE_RESIDUAL, 4, 13, 10, widths[i]);
        check(&net, NET_LOSS_CCE, 40, 256); /* fewer rows than a batch */
        check(&net, NET_LOSS_CCE, 65, 32);
    }
    struct net net;
    net_widths(&net, NET_RECTANGLE, 20, 13, 1, 9);
    check(&net, NET_LOSS_BCE, 100, 32);
    assert_int_equal(net_parse_layers(&net, "20000,3", 5, 3, NULL), 0);
    check(&net, NET_LOSS_CCE, 20, 16);
}

/* ---- determinism --------------------------------------------------------------------------------- */

static double *train_some(const struct net *net, const struct dataset *d)
{
    struct backend *b = open_one(under_test(), net, d, BACKEND_F32, 64);
    for (int i = 0; i < 40; i++)
        (void)step_loss(b, i % 4 * 64, i % 4 == 3 ? 8 : 64);
    if (b->ops->fetch)
        b->ops->fetch(b);
    double *flat = flat_of(b, b->network.param);
    b->ops->close(b);
    return flat;
}

static void test_bit_equal(void **state)
{
    (void)state;
    struct dataset d;
    struct net net;
    make_data(&d, NET_LOSS_CCE, 200, 20, 4);
    net_widths(&net, NET_RECTANGLE_RESIDUAL, 5, 20, 4, 300);
    double *a CLEANUP(base_freep) = train_some(&net, &d);
    double *b CLEANUP(base_freep) = train_some(&net, &d);
    assert_memory_equal(a, b, (size_t)net.params * sizeof(double));
    dataset_close(&d);
}

static void test_nan_is_seen(void **state)
{
    (void)state;
    struct dataset d;
    struct net net;
    make_data(&d, NET_LOSS_CCE, 40, 6, 3);
    d.x[100] = NAN;
    net_widths(&net, NET_RECTANGLE, 4, 6, 3, 9);
    struct backend *b = open_one(under_test(), &net, &d, BACKEND_F32, 40);
    assert_false(isfinite(step_loss(b, 0, 40)));
    b->ops->close(b);
    dataset_close(&d);
}

/* ---- a whole run --------------------------------------------------------------------------------- */

static void run_backend(const char *backend, struct train_result *r)
{
    struct train_plan p;
    struct options o;
    struct err e = {0};
    struct metrics none = {.fd = -1};
    char *words[] = {(char[]){"wattq-train"}, (char[]){"--dataset=standin:nursery"},
                     (char[]){"--size=2048"}, (char[]){"--epochs=5"}, (char[]){"--lr=3e-3"}};
    assert_int_equal(options_parse(&o, (int)ARRAY_LEN(words), words, &e), 0);
    o.backend = backend;
    if (train_plan_open(&p, &o, &e) != 0)
        fail_msg("%s", e.text);
    const struct train_hooks h = {.metrics = &none};
    if (train_run(&p, &h, r, &e) != 0)
        fail_msg("%s", e.text);
    train_plan_close(&p);
}

/* Rounding is magnified over 205 steps, and the curve is still the same one. */
static void test_loss_curve(void **state)
{
    (void)state;
    struct train_result got;
    struct train_result again;
    struct train_result want;
    run_backend(name, &got);
    run_backend(name, &again);
    run_backend("reference", &want);
    assert_true(got.train_loss == again.train_loss && got.test_loss == again.test_loss);
    assert_true(fabs(got.train_loss / want.train_loss - 1) < 1e-3);
    assert_true(fabs(got.test_loss / want.test_loss - 1) < 1e-3);
    assert_true(fabs(got.test_accuracy - want.test_accuracy) < 5e-3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),     cmocka_unit_test(test_edges),
        cmocka_unit_test(test_bit_equal),  cmocka_unit_test(test_nan_is_seen),
        cmocka_unit_test(test_loss_curve),
    };
    struct err e = {0};
    name = argc > 1 ? argv[1] : name;
    if (!under_test()) {
        printf("skipped: this wattq-train was built without the backend %s\n", name);
        return 77;
    }
    if (!backend_usable(under_test(), &e)) {
        printf("skipped: %s\n", e.text);
        return 77;
    }
    backend_enter_thread();
    return cmocka_run_group_tests_name("train_cuda", tests, NULL, NULL);
}
