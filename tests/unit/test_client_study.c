/* Planning a study: where networks cross cache levels, the sizes around that, and which findings a grid can
 * test. */
#include "client/study_claims.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/study_load.h"
#include "client_golden.h"
#include "daemon/model/qc.h"

static struct study_axes axes_of(const char *data, int depth)
{
    struct study_axes a = {.nshapes = 1, .ndepths = 1, .batch = 256, .number_bytes = 4};
    a.data[a.ndata++] = net_dataset_find(data);
    a.shape[0] = NET_RECTANGLE;
    a.depth[0] = depth;
    return a;
}

/* Against the definition: the network just inside fits, the one just outside does not. */
static void test_bound_is_where_the_set_outgrows_the_level(void **state)
{
    (void)state;
    struct caches m;
    caches_use(&m, &caches_study_cpu, 1);
    const struct study_axes a = axes_of("mnist", 6);
    bool outside;
    double p = study_bound_of(a.data[0], NET_RECTANGLE, 6, &a, WORKSET_B, 1, &m, &outside);
    assert_false(outside);
    for (int side = 0; side < 2; side++) {
        struct net net;
        struct workset w;
        struct err e;
        int64_t size = (int64_t)(side ? p * 1.15 : p / 1.15);
        assert_int_equal(net_search(&net, NET_RECTANGLE, 6, 784, 10, size, &e), 0);
        const struct workset_case c = {.net = &net, .batch = 256, .number_bytes = 4, .adam = true};
        workset_compute(&w, &c, &m);
        if (side)
            assert_true(w.place[WORKSET_B].index > 1);
        else
            assert_true(w.place[WORKSET_B].index <= 1);
    }
}

/* Twice the bytes of a number: the knee at about half the parameters. */
static void test_bound_scales_with_what_fills_it(void **state)
{
    (void)state;
    struct caches m;
    bool outside;
    caches_use(&m, &caches_study_cpu, 1);
    struct study_axes a = axes_of("banana", 4);
    double one = study_bound_of(a.data[0], NET_RECTANGLE, 4, &a, WORKSET_B, 2, &m, &outside);
    a.number_bytes = 8;
    double two = study_bound_of(a.data[0], NET_RECTANGLE, 4, &a, WORKSET_B, 2, &m, &outside);
    assert_true(two / one > 0.4 && two / one < 0.6);
    a.number_bytes = 4;
    a.batch = 4096; /* more activations: less room for parameters */
    assert_true(study_bound_of(a.data[0], NET_RECTANGLE, 4, &a, WORKSET_B, 2, &m, &outside) < one);
}

static void test_sizes_around_bounds(void **state)
{
    (void)state;
    struct study_bound b[3] = {{.params = 1000}, {.params = NAN}, {.params = 1e7}};
    int64_t size[STUDY_SIZES_MAX];
    size_t n = study_sizes(size, b, 3);
    static const int64_t want[] = {250, 500, 1000, 2000, 4000, 2500000, 5000000, 10000000};
    assert_int_equal(n, 8); /* 2e7 and 4e7 are beyond the study's largest */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(size[i], want[i]);
    b[1].params = 1100; /* nearer than 1.3 to what is there */
    assert_int_equal(study_sizes(size, b, 3), 8);
    for (size_t i = 1; i < n; i++)
        assert_true((double)size[i] > 1.2 * (double)size[i - 1]);
}

static void test_never_inside_and_never_outside(void **state)
{
    (void)state;
    struct caches m;
    struct study_bound b[STUDY_BOUNDS_MAX];
    caches_use(&m, &caches_study_cpu, 1);
    m.level[0].bytes = 64; /* no network's set fits */
    m.level[2].bytes = INT64_C(1) << 40;
    const struct study_axes a = axes_of("mnist", 3);
    size_t n = study_bounds(b, &a, &m);
    assert_int_equal(n, 6);
    assert_true(isnan(b[0].params) && b[0].never_inside);
    assert_true(isnan(b[5].params) && !b[5].never_inside);
    assert_true(b[2].networks == 1 && b[2].lo == b[2].hi);
}

/* ---- copies beside a run ------------------------------------------------------------------------- */

static struct wire_msg *run_beside(int64_t copies)
{
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_put_int(&o, "run", 1);
    wire_put_str(&o, "state", "done");
    wire_put_str(&o, "kind", "train");
    wire_begin_map(&o, "info");
    wire_put_str(&o, "backend", "openblas");
    if (copies > 0)
        wire_put_int(&o, "beside", copies);
    wire_end(&o);
    wire_begin_map(&o, "params");
    wire_put_str(&o, "variant", "beside");
    wire_end(&o);
    return wired(&o);
}

/* They shared its time: it enters no fit, like a run that others overlapped. */
static void test_copies_are_company(void **state)
{
    (void)state;
    for (int64_t copies = 0; copies < 2; copies++) {
        struct study s;
        struct wire_msg *m = run_beside(copies);
        study_init(&s);
        study_add(&s, wire_msg_root(m));
        qc_apply(s.runs, s.n, QC_ALL);
        assert_int_equal(s.n, 1);
        assert_string_equal(s.runs[0].variant, "beside");
        assert_int_equal((s.runs[0].excluded & STUDY_X(OVERLAP)) != 0, copies > 0);
        study_fini(&s);
        wire_msg_free(m);
    }
}

/* ---- findings ------------------------------------------------------------------------------------ */

static const struct study_testable *find(const struct study_testable *t, size_t n, int row,
                                         enum claim_hardware h)
{
    for (size_t i = 0; i < n; i++)
        if (t[i].row == row && t[i].hardware == h)
            return &t[i];
    fail_msg("there is no finding %d", row);
    return &t[0];
}

static void test_what_a_grid_can_test(void **state)
{
    (void)state;
    struct study_testable t[CLAIMS_MAX];
    static const int64_t sizes[] = {256, 4096, 65536, 1 << 20, 1 << 21, 1 << 22, 1 << 24};
    struct study_axes a = axes_of("mnist", 6);
    const struct study_bound b = {.level = 1, .kind = WORKSET_F, .params = 50000};
    struct study_facts f = {.axes = &a,
                            .size = sizes,
                            .nsizes = 7,
                            .bounds = &b,
                            .nbounds = 1,
                            .caches = 4,
                            .joules = true,
                            .real = true};
    size_t n = study_claims(t, &f);
    assert_true(n >= 16);
    for (size_t i = 0; i < n; i++) {
        assert_true(t[i].why[0] && t[i].finding[0]);
        assert_true(!(t[i].yes && t[i].hardware == CLAIM_GPU)); /* there is none */
    }
    assert_true(find(t, n, 2, CLAIM_CPU)->yes);
    assert_true(find(t, n, 4, CLAIM_CPU)->yes);
    assert_false(find(t, n, 5, CLAIM_CPU)->yes); /* one data set */
    assert_false(find(t, n, 6, CLAIM_CPU)->yes); /* one depth */
    assert_true(find(t, n, 9, CLAIM_CPU)->yes);
    assert_true(find(t, n, 13, CLAIM_BOTH)->yes); /* mnist rectangle at depth 6 */
    f.real = false;
    f.joules = false;
    n = study_claims(t, &f);
    assert_false(find(t, n, 13, CLAIM_BOTH)->yes);
    assert_true(find(t, n, 2, CLAIM_CPU)->time);
    f.gpu = true;
    f.nsizes = 3;
    a.ndata = 0;
    a.data[a.ndata++] = net_dataset_find("banana");
    a.data[a.ndata++] = net_dataset_find("adult");
    a.data[a.ndata++] = net_dataset_find("sleep");
    n = study_claims(t, &f);
    assert_true(find(t, n, 5, CLAIM_GPU)->yes);
    assert_false(find(t, n, 2, CLAIM_CPU)->yes); /* three sizes */
    assert_false(find(t, n, 16, CLAIM_CPU)->yes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_is_where_the_set_outgrows_the_level),
        cmocka_unit_test(test_bound_scales_with_what_fills_it),
        cmocka_unit_test(test_sizes_around_bounds),
        cmocka_unit_test(test_never_inside_and_never_outside),
        cmocka_unit_test(test_copies_are_company),
        cmocka_unit_test(test_what_a_grid_can_test),
    };
    return cmocka_run_group_tests_name("client_study", tests, NULL, NULL);
}
