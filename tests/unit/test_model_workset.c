/* Working sets and their placement, against the study's own figures.
 * source: BUTTER-E, published analysis (common.py) run by us and its data files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/model/workset.h"

static void search(struct net *n, const char *dataset, int depth, int64_t inputs, int64_t size)
{
    const struct net_dataset *d = net_dataset_find(dataset);
    assert_non_null(d);
    assert_int_equal(net_search(n, NET_RECTANGLE, depth, inputs, d->outputs, size, NULL) < 0, 0);
}

static struct workset pollen(int64_t size, const struct caches *m)
{
    struct net n;
    struct workset ws;
    search(&n, "529_pollen", 3, 4, size);
    struct workset_case c = {
        .net = &n, .rows = 3848, .features = 4, .targets = 1, .batch = 256, .number_bytes = 4};
    workset_compute(&ws, &c, m);
    return ws;
}

static void test_pollen_meets_the_study(void **state)
{
    (void)state;
    static const struct {
        int64_t size, cpu_b, gpu_b;
    } rows[] = {{256, 2969, 2276}, {128, 1565, 1095}, {32, 560, 314}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct workset cpu = pollen(rows[i].size, &caches_study_cpu);
        struct workset gpu = pollen(rows[i].size, &caches_study_gpu);
        assert_int_equal(cpu.place[WORKSET_B].occupied, rows[i].cpu_b);
        assert_int_equal(gpu.place[WORKSET_B].occupied, rows[i].gpu_b);
        assert_int_equal(cpu.place[WORKSET_B].index, 0);
    }
    assert_int_equal(pollen(256, &caches_study_cpu).place[WORKSET_D].occupied, 5106);
    assert_int_equal(pollen(256, &caches_study_gpu).place[WORKSET_D].occupied, 2734);
}

static struct workset mnist_large(const struct caches *m)
{
    struct net n;
    struct workset ws;
    search(&n, "mnist", 6, 784, INT64_C(1) << 20);
    struct workset_case c = {
        .net = &n, .rows = 70000, .features = 784, .targets = 10, .batch = 256, .number_bytes = 4};
    workset_compute(&ws, &c, m);
    return ws;
}

static void test_mnist_meets_the_study(void **state)
{
    (void)state;
    struct workset cpu = mnist_large(&caches_study_cpu);
    assert_int_equal(cpu.place[WORKSET_L].occupied, 67072);
    assert_int_equal(cpu.place[WORKSET_F].index, 2);
    assert_int_equal(cpu.place[WORKSET_F].occupied, 5279440);
    assert_int_equal(cpu.place[WORKSET_B].index, 2);
    assert_int_equal(cpu.place[WORKSET_B].occupied, 10346912);
    assert_int_equal(cpu.place[WORKSET_D].index, 3);

    struct workset gpu = mnist_large(&caches_study_gpu);
    assert_int_equal(gpu.place[WORKSET_F].index, 1);
    assert_int_equal(gpu.place[WORKSET_F].occupied, 4312784);
    assert_int_equal(gpu.place[WORKSET_B].index, 2);
    assert_int_equal(gpu.place[WORKSET_B].occupied, 15671712);
}

static void test_adam_adds_two_numbers_per_parameter(void **state)
{
    (void)state;
    struct net n;
    search(&n, "529_pollen", 3, 4, 65536);
    struct workset_case c = {.net = &n, .batch = 256, .number_bytes = 4};
    struct workset plain;
    struct workset adam;
    workset_compute(&plain, &c, &caches_study_cpu);
    c.adam = true;
    workset_compute(&adam, &c, &caches_study_cpu);
    assert_int_equal(adam.place[WORKSET_B].bytes - plain.place[WORKSET_B].bytes, 8 * n.params);
    assert_int_equal(adam.place[WORKSET_F].occupied, plain.place[WORKSET_F].occupied);
}

static void test_larger_than_everything_fits_nowhere(void **state)
{
    (void)state;
    struct net n;
    search(&n, "mnist", 6, 784, INT64_C(1) << 20);
    struct caches tiny = {.n = 1, .level = {{"L1", 1, 32768, 32768, 1, 1}}, .cores = 1, .cpus = 1};
    struct workset_case c = {.net = &n, .batch = 256, .number_bytes = 4};
    struct workset ws;
    workset_compute(&ws, &c, &tiny);
    assert_int_equal(ws.place[WORKSET_L].index, -1);
    assert_int_equal(ws.place[WORKSET_B].index, -1);
    assert_int_equal(ws.place[WORKSET_D].index, -1);
    assert_null(workset_home(&n, WORKSET_B, 1, &tiny));
}

static void test_home_walks_outward_with_size(void **state)
{
    (void)state;
    int last = -1;
    for (int bits = 5; bits <= 24; bits++) {
        struct net n;
        search(&n, "mnist", 3, 784, INT64_C(1) << bits);
        const struct caches_level *home = workset_home(&n, WORKSET_B, 1, &caches_study_cpu);
        assert_non_null(home);
        assert_true(home->level >= last);
        last = home->level;
    }
    assert_int_equal(last, 4); /* 2^24 parameters with gradients and moments are in RAM */
    struct caches unknown = {.n = 1, .level = {caches_study_cpu.level[3]}};
    struct net n;
    search(&n, "mnist", 3, 784, 4096);
    assert_null(workset_home(&n, WORKSET_B, 1, &unknown));
}

/* Any network, any machine: sets stack, none shrinks, and each lies within its level's reach. */
static void test_placement_properties(void **state)
{
    (void)state;
    const char *given = getenv("WATTQ_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; round++) {
        struct net n = {.depth = 1 + rand() % 20, .inputs = 1 + rand() % 1000};
        for (int i = 0; i < n.depth; i++)
            n.widths[i] = 1 + rand() % 3000;
        struct caches m;
        caches_use(&m, rand() % 2 ? &caches_study_cpu : &caches_study_gpu, rand() % 40);
        struct workset_case c = {.net = &n,
                                 .rows = rand() % 100000,
                                 .features = n.inputs,
                                 .targets = 1,
                                 .batch = 1 + rand() % 512,
                                 .number_bytes = 4,
                                 .adam = rand() % 2};
        struct workset ws;
        workset_compute(&ws, &c, &m);
        const struct workset_place *p = ws.place;
        assert_true(p[WORKSET_F].occupied >= p[WORKSET_L].occupied);
        assert_true(p[WORKSET_B].occupied >= p[WORKSET_F].occupied);
        assert_true(p[WORKSET_B].index >= p[WORKSET_F].index || p[WORKSET_B].index < 0);
        for (int k = 0; k < WORKSET_D; k++) {
            int64_t reach = 0;
            for (int i = 0; i <= p[k].index; i++)
                reach += m.level[i].bytes;
            assert_true(p[k].index < 0 || p[k].occupied <= reach);
            assert_true(p[k].effective <= p[k].occupied);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pollen_meets_the_study),
        cmocka_unit_test(test_mnist_meets_the_study),
        cmocka_unit_test(test_adam_adds_two_numbers_per_parameter),
        cmocka_unit_test(test_larger_than_everything_fits_nowhere),
        cmocka_unit_test(test_home_walks_outward_with_size),
        cmocka_unit_test(test_placement_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
