/* Operation counts, worked out by hand from the study's formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "daemon/model/opcount.h"

/* 529_pollen, rectangle, depth 3, size 32: [3, 3, 1] on 4 inputs, 31 parameters (a golden network). */
static struct net pollen(void)
{
    struct net n;
    assert_int_equal(net_search(&n, NET_RECTANGLE, 3, 4, 1, 32, NULL), 0);
    assert_int_equal(n.widths[0], 3);
    assert_int_equal(net_params(&n), 31);
    return n;
}

static void test_by_hand(void **state)
{
    (void)state;
    struct net n = pollen();
    struct opcount o;
    opcount_compute(
        &o, &(struct opcount_case){.net = &n, .batch = 256, .rows_train = 3078, .rows_test = 770});
    /* F = B (4*3+3 + 3*3+3 + 3*1+1) = B * 31: one operation per parameter and row. */
    assert_true(o.forward == 256.0 * 31);
    /* G = B (2*3+12 + 2*3+9+9 + 2*1+3+3) + P (1 + B) = B * 50 + 31 * 257. */
    assert_true(o.backward == 256.0 * 50 + 31 * 257.0);
    /* 13 batches of training, 4 of testing. */
    assert_true(o.epoch == 13 * (o.forward + o.backward) + 4 * o.forward);
    assert_true(o.datum == o.epoch / (13 * 256));
}

/* The study took the raw features as inputs: connect_4 has 42 of them, and 126 when encoded. */
static void test_raw_features_as_the_study(void **state)
{
    (void)state;
    struct net n;
    struct opcount raw;
    struct opcount own;
    assert_int_equal(net_search(&n, NET_RECTANGLE, 2, 126, 3, 1 << 12, NULL), 0);
    struct opcount_case c = {.net = &n, .batch = 256, .raw = true, .raw_features = 42};
    opcount_compute(&raw, &c);
    c.raw = false;
    opcount_compute(&own, &c);
    double missing = 256.0 * (126 - 42) * (double)n.widths[0];
    assert_true(own.forward - raw.forward == missing);
    assert_true(own.backward - raw.backward ==
                missing);          /* the weights' gradient; P is the encoded net's */
    assert_true(isnan(own.epoch)); /* the rows are not known */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_raw_features_as_the_study),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
