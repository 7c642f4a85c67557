/* The study's encoding on its own files: dimensions and losses of facts, and the sums of a few columns. Skips
 * (77) where WATTQ_TEST_DATA has no data. */
#include "daemon/trainer/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char *data(void)
{
    const char *d = getenv("WATTQ_TEST_DATA");
    return d ? d : "../shared/data";
}

static int open_named(struct dataset *d, const char *name, struct err *e)
{
    char *dir CLEANUP(base_freep) = base_printf("%s/pmlb", data());
    const struct dataset_spec spec = {.dataset = name, .data_dir = dir, .seed = 1};
    return dataset_open(d, &spec, e);
}

static void test_dimensions(void **state)
{
    (void)state;
    int found = 0;
    for (size_t i = 0; i < net_dataset_count; i++) {
        const struct net_dataset *want = &net_datasets[i];
        struct dataset d;
        struct err e = {0};
        int rc = open_named(&d, want->name, &e);
        if (rc == WATTQ_E_NOT_FOUND)
            continue; /* mnist is too large to keep beside the tests */
        if (rc != 0)
            fail_msg("%s: %s", want->name, e.text);
        found++;
        assert_string_equal(d.name, want->name);
        assert_int_equal(d.rows, want->rows);
        assert_int_equal(d.raw_features, want->raw_features);
        assert_int_equal(d.inputs, want->inputs);
        assert_int_equal(d.outputs, want->outputs);
        assert_int_equal(d.classes, want->classes);
        assert_int_equal(d.loss, want->loss);
        for (int64_t k = 0; k < d.rows * d.inputs; k++)
            assert_true(d.x[k] >= 0 && d.x[k] <= 1);
        dataset_close(&d);
    }
    assert_int_equal(found, 12);
}

/* connect_4: 42 three-valued fields, so every row has exactly 42 ones, and nothing else. */
static void test_one_hot(void **state)
{
    (void)state;
    struct dataset d;
    assert_int_equal(open_named(&d, "connect_4", NULL), 0);
    for (int64_t r = 0; r < d.rows; r++) {
        int ones = 0;
        for (int64_t i = 0; i < d.inputs; i++) {
            float x = d.x[r * d.inputs + i];
            assert_true(x == 0 || x == 1);
            ones += x == 1;
        }
        assert_int_equal(ones, 42);
    }
    dataset_close(&d);
}

/* The split moves rows, it loses none: class counts of wine_quality_white are those of the file. */
static void test_counts(void **state)
{
    (void)state;
    static const int64_t want[7] = {20, 163, 1457, 2198, 880, 175, 5};
    struct dataset d;
    assert_int_equal(open_named(&d, "wine_quality_white", NULL), 0);
    int64_t got[7] = {0};
    for (int64_t r = 0; r < d.rows; r++)
        got[d.label[r]]++;
    assert_memory_equal(got, want, sizeof(want));
    assert_int_equal(d.rows_train, 3918);
    assert_int_equal(d.rows_test, 980);
    dataset_close(&d);
}

static void test_mnist_idx(void **state)
{
    (void)state;
    char *path CLEANUP(base_freep) = base_printf("%s/mnist/t10k-images-idx3-ubyte.gz", data());
    const struct dataset_spec spec = {.dataset = path, .seed = 1};
    struct dataset d;
    assert_int_equal(dataset_open(&d, &spec, NULL), 0);
    assert_int_equal(d.rows, 10000);
    assert_int_equal(d.inputs, 784);
    assert_int_equal(d.outputs, 10);
    int64_t sevens = 0;
    for (int64_t r = 0; r < d.rows; r++)
        sevens += d.label[r] == 7;
    assert_int_equal(sevens, 1028);
    dataset_close(&d);
}

int main(void)
{
    char *probe CLEANUP(base_freep) = base_printf("%s/pmlb/banana.tsv.gz", data());
    if (access(probe, R_OK) != 0) {
        printf("skipped: no data files at %s (set WATTQ_TEST_DATA)\n", data());
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dimensions), cmocka_unit_test(test_one_hot),
        cmocka_unit_test(test_counts), cmocka_unit_test(test_mnist_idx)};
    return cmocka_run_group_tests_name("train_pmlb", tests, NULL, NULL);
}
