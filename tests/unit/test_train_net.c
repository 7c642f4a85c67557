/* Width search, parameter counts and shapes against the study's numbers. */
#include "common/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct golden {
    const char *dataset;
    enum net_shape shape;
    int depth;
    int64_t size;
    int64_t params;
    const char *widths;
};

/* Five of these (529_pollen, rectangle) are printed in the study's notebook 4; the others were computed
 * from its published search with a separate program. "422x5" is five layers of 422. */
static const struct golden goldens[] = {
    {"529_pollen", NET_RECTANGLE, 3, 32, 31, "3,3,1"},
    {"529_pollen", NET_RECTANGLE, 3, 64, 61, "5,5,1"},
    {"529_pollen", NET_RECTANGLE, 3, 128, 121, "8,8,1"},
    {"529_pollen", NET_RECTANGLE, 3, 256, 261, "13,13,1"},
    {"529_pollen", NET_RECTANGLE, 3, 512, 495, "19,19,1"},
    {"529_pollen", NET_TRAPEZOID, 4, 1024, 1013, "30,20,11,1"},
    {"529_pollen", NET_EXPONENTIAL, 4, 1024, 1029, "50,14,4,1"},
    {"529_pollen", NET_WIDE_FIRST_2X, 4, 1024, 998, "33,16,16,1"},
    {"529_pollen", NET_WIDE_FIRST_16X, 4, 1024, 1023, "88,6,6,1"},
    {"mnist", NET_RECTANGLE, 2, 16384, 16705, "21,10"},
    {"mnist", NET_RECTANGLE, 6, 1 << 20, 1049524, "422x5,10"},
    {"mnist", NET_TRAPEZOID, 6, 1 << 20, 1048550, "596,479,362,244,127,10"},
    {"mnist", NET_EXPONENTIAL, 6, 1 << 20, 1047538, "865,354,145,60,24,10"},
    {"mnist", NET_WIDE_FIRST_4X, 6, 1 << 20, 1047200, "890,222x4,10"},
    {"mnist", NET_WIDE_FIRST_8X, 6, 1 << 20, 1048335, "1078,135x4,10"},
    {"mnist", NET_WIDE_FIRST_16X, 6, 1 << 20, 1048215, "1198,75x4,10"},
    {"connect_4", NET_TRAPEZOID, 4, 65536, 65357, "207,139,71,3"},
    {"sleep", NET_EXPONENTIAL, 8, 32768, 32989, "121,77,49,31,20,12,8,5"},
    {"201_pol", NET_RECTANGLE, 2, 4096, 4115, "108,11"},
    {"adult", NET_WIDE_FIRST_2X, 20, 1 << 24, 16781381, "1870,935x18,1"},
    {"wine_quality_white", NET_EXPONENTIAL, 5, 512, 516, "12,10,9,8,7"},
    {"nursery", NET_TRAPEZOID, 9, 2048, 2087, "21,19,17,15,12,10,8,6,4"},
    {"banana", NET_RECTANGLE, 20, 1 << 20, 1050761, "241x19,1"},
    {"splice", NET_RECTANGLE_RESIDUAL, 10, 1 << 22, 4198585, "706x9,3"},
};

static void show_widths(char *out, size_t cap, const struct net *n)
{
    size_t used = 0;
    for (int k = 0; k < n->depth;) {
        int run = 1;
        while (k + run < n->depth && n->widths[k + run] == n->widths[k])
            run++;
        const char *comma = k ? "," : "";
        if (run > 3)
            used += (size_t)snprintf(out + used, cap - used, "%s%lldx%d", comma,
                                     (long long)n->widths[k], run);
        for (int i = 0; run <= 3 && i < run; i++)
            used += (size_t)snprintf(out + used, cap - used, "%s%lld", i ? "," : comma,
                                     (long long)n->widths[k]);
        k += run;
    }
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
        const struct golden *g = &goldens[i];
        const struct net_dataset *d = net_dataset_find(g->dataset);
        assert_non_null(d);
        struct net n;
        struct err e = {0};
        assert_int_equal(net_search(&n, g->shape, g->depth, d->inputs, d->outputs, g->size, &e), 0);
        char widths[512] = "";
        show_widths(widths, sizeof(widths), &n);
        assert_string_equal(widths, g->widths);
        assert_int_equal(n.params, g->params);
    }
}

static const int depths[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20};

/* How many shapes reach this size at this depth within 20 %. */
static int reachable(const struct net_dataset *d, int depth, int64_t size)
{
    int n_ok = 0;
    for (int s = 0; s < NET_SHAPES; s++) {
        struct net n;
        int rc = net_search(&n, (enum net_shape)s, depth, d->inputs, d->outputs, size, NULL);
        assert_true(rc == 0 || rc == 1);
        n_ok += rc == 0;
    }
    return n_ok;
}

static void test_grid_counts(void **state)
{
    (void)state;
    int all = 0;
    int kept = 0;
    int distinct = 0;
    for (size_t i = 0; i < net_dataset_count; i++)
        for (size_t k = 0; k < ARRAY_LEN(depths); k++)
            for (int p = 5; p <= 24; p++) {
                int n = reachable(&net_datasets[i], depths[k], INT64_C(1) << p);
                all += NET_SHAPES;
                kept += n;
                distinct += depths[k] == 2 ? n > 0 : n;
            }
    assert_int_equal(all, 29120);
    assert_int_equal(kept, 25685);
    assert_int_equal(distinct, 24035);
}

static void test_search_refuses(void **state)
{
    (void)state;
    struct net n;
    struct err e = {0};
    assert_int_equal(net_search(&n, NET_RECTANGLE, 1, 4, 1, 32, &e), WATTQ_E_USAGE);
    assert_int_equal(net_search(&n, NET_RECTANGLE, NET_DEPTH_MAX + 1, 4, 1, 32, &e), WATTQ_E_USAGE);
    assert_int_equal(net_search(&n, NET_RECTANGLE, 3, 4, 1, 0, &e), WATTQ_E_USAGE);
    assert_int_equal(net_search(&n, NET_RECTANGLE, 3, 4, 1, INT64_MAX, &e), WATTQ_E_USAGE);
    /* mnist cannot be had with 32 parameters: the nearest network is named. */
    assert_int_equal(net_search(&n, NET_RECTANGLE, 2, 784, 10, 32, &e), 1);
    assert_int_equal(n.params, 785 + 20);
}

static void test_shape_names(void **state)
{
    (void)state;
    for (int s = 0; s < NET_SHAPES; s++) {
        enum net_shape back = NET_FREE;
        assert_int_equal(net_shape_parse(net_shape_name((enum net_shape)s), &back, NULL), 0);
        assert_int_equal(back, s);
    }
    enum net_shape out;
    struct err e = {0};
    assert_int_equal(net_shape_parse("square", &out, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "square"));
    assert_string_equal(net_shape_name(NET_FREE), "layers");
}

static void test_layers(void **state)
{
    (void)state;
    struct net n;
    struct err e = {0};
    assert_int_equal(net_parse_layers(&n, "32,64,10", 4, 10, &e), 0);
    assert_int_equal(n.depth, 3);
    assert_int_equal(n.params, 5 * 32 + 33 * 64 + 65 * 10);
    assert_int_equal(net_parse_layers(&n, "10", 4, 10, &e), 0);
    assert_int_equal(n.params, 50);
    static const char *const bad[] = {"",
                                      ",",
                                      "3,",
                                      ",10",
                                      "0,10",
                                      "-1,10",
                                      " 3,10",
                                      "3 ,10",
                                      "3,10x",
                                      "1073741825,10",
                                      "99999999999999999999,10",
                                      "3,9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(net_parse_layers(&n, bad[i], 4, 10, &e), WATTQ_E_USAGE);
    char many[4 * NET_DEPTH_MAX] = "1";
    for (int i = 0; i < NET_DEPTH_MAX; i++)
        strcat(many, ",1");
    assert_int_equal(net_parse_layers(&n, many, 4, 1, &e), WATTQ_E_USAGE);
}

/* The count must not wrap where the search looks at widths of 2^30. */
static void test_params_saturate(void **state)
{
    (void)state;
    struct net n;
    net_widths(&n, NET_RECTANGLE, 20, 784, 10, NET_WIDTH_MAX);
    assert_true(n.params == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),         cmocka_unit_test(test_grid_counts),
        cmocka_unit_test(test_search_refuses), cmocka_unit_test(test_shape_names),
        cmocka_unit_test(test_layers),         cmocka_unit_test(test_params_saturate),
    };
    return cmocka_run_group_tests_name("train_net", tests, NULL, NULL);
}
