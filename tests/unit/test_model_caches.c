/* Cache detection on trees made here: what the kernel writes for machines we do not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/model/caches.h"

struct tree {
    char root[64];
};

static int make(void **state)
{
    struct tree *t = base_alloc(sizeof(*t));
    base_strcpy(t->root, sizeof(t->root), "/tmp/wattq-caches-XXXXXX");
    assert_non_null(mkdtemp(t->root));
    *state = t;
    return 0;
}

static int drop(void **state)
{
    struct tree *t = *state;
    char *cmd CLEANUP(base_freep) = base_printf("rm -rf '%s'", t->root);
    int rc = system(cmd);
    free(t);
    return rc;
}

static void put(const struct tree *t, const char *path, const char *text)
{
    char *full CLEANUP(base_freep) = base_printf("%s/%s", t->root, path);
    for (char *p = full + strlen(t->root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *p = '/';
    }
    FILE *f CLEANUP(base_fclosep) = fopen(full, "we");
    assert_non_null(f);
    fputs(text, f);
}

static void put_cache(const struct tree *t, int cpu, int index, const char *level, const char *type,
                      const char *size, const char *shared)
{
    const char *names[] = {"level", "type", "size", "shared_cpu_list"};
    const char *values[] = {level, type, size, shared};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path CLEANUP(base_freep) =
            base_printf("sys/devices/system/cpu/cpu%d/cache/index%d/%s", cpu, index, names[i]);
        char *line CLEANUP(base_freep) = base_printf("%s\n", values[i]);
        put(t, path, line);
    }
}

/* Two sockets of two cores of two hardware threads, numbered as Intel does: 0-3 first threads. */
static void put_two_sockets(const struct tree *t)
{
    for (int cpu = 0; cpu < 8; cpu++) {
        char pair[16];
        snprintf(pair, sizeof(pair), "%d,%d", cpu % 4, cpu % 4 + 4);
        const char *socket = cpu % 4 < 2 ? "0-1,4-5" : "2-3,6-7";
        put_cache(t, cpu, 0, "1", "Data", "32K", pair);
        put_cache(t, cpu, 1, "1", "Instruction", "64K", pair);
        put_cache(t, cpu, 2, "2", "Unified", "1024K", pair);
        put_cache(t, cpu, 3, "3", "Unified", "25344K", socket);
    }
    put(t, "proc/meminfo", "MemFree: 1 kB\nMemTotal:       100663296 kB\n");
    put(t, "sys/devices/system/cpu/cpufreq/boost", "1\n");
    put(t, "sys/devices/system/cpu/cpu9/online", "0\n"); /* offline: no cache directory */
}

static void check(const struct caches_level *l, const char *name, int64_t bytes, int units,
                  int sharers)
{
    assert_string_equal(l->name, name);
    assert_int_equal(l->bytes, bytes);
    assert_int_equal(l->units, units);
    assert_int_equal(l->cpus_per_unit, sharers);
}

static void test_two_sockets(void **state)
{
    const struct tree *t = *state;
    struct caches c;
    put_two_sockets(t);
    assert_int_equal(caches_detect(&c, t->root, NULL, NULL), 0);
    assert_int_equal(c.n, 4);
    assert_int_equal(c.cpus, 8);
    assert_int_equal(c.cores, 4);
    check(&c.level[0], "L1", 32 << 10, 4, 2);
    check(&c.level[1], "L2", 1 << 20, 4, 2);
    check(&c.level[2], "L3", 25344 << 10, 2, 4);
    check(&c.level[3], "RAM", INT64_C(96) << 30, 1, 8);
    assert_int_equal(c.level[3].level, 4);
    char text[200];
    assert_string_equal(caches_show(text, sizeof(text), &c),
                        "L1 32 KiB x 4, L2 1 MiB x 4, L3 24.75 MiB x 2, RAM 96 GiB");
    assert_string_equal(caches_show(text, 9, &c), "L1 32 Ki");
}

static void test_chosen_cpus_reach_fewer_caches(void **state)
{
    const struct tree *t = *state;
    struct caches c;
    put_two_sockets(t);
    assert_int_equal(caches_detect(&c, t->root, "1,5", NULL), 0); /* one core, both its threads */
    assert_int_equal(c.level[0].units, 1);
    assert_int_equal(c.level[2].units, 1);
    assert_int_equal(caches_detect(&c, t->root, "5-6", NULL), 0); /* one core of each socket */
    assert_int_equal(c.cores, 2);
    assert_int_equal(c.level[2].units, 2);

    struct err e = {0};
    assert_int_equal(caches_detect(&c, t->root, "0-", &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "0-"));
    assert_int_equal(caches_detect(&c, t->root, "3-1", &e), WATTQ_E_INVALID);
    assert_int_equal(caches_detect(&c, t->root, "a", &e), WATTQ_E_INVALID);
}

static void test_hybrid_cores_differ(void **state)
{
    const struct tree *t = *state;
    struct caches c;
    put_cache(t, 0, 0, "1", "Data", "48K", "0-1");
    put_cache(t, 1, 0, "1", "Data", "48K", "0-1");
    put_cache(t, 2, 0, "1", "Data", "32K", "2");
    put_cache(t, 0, 2, "2", "Unified", "1280K",
              "0-1"); /* index 1 is not there: a hole ends the list */
    put_cache(t, 0, 1, "2", "Unified", "1280K", "0-1");
    put_cache(t, 2, 1, "2", "Unified", "2M", "2");
    assert_int_equal(caches_detect(&c, t->root, "", NULL), 0);
    assert_int_equal(c.level[0].bytes, 32 << 10);
    assert_int_equal(c.level[0].bytes_max, 48 << 10);
    assert_int_equal(c.level[0].units, 2);
    assert_int_equal(c.level[1].bytes_max, 2 << 20);
    assert_string_equal(c.level[c.n - 1].name, "L2"); /* no meminfo: RAM is not invented */
}

static void test_no_caches_described(void **state)
{
    const struct tree *t = *state;
    struct caches c;
    struct err e = {0};
    assert_int_equal(caches_detect(&c, t->root, NULL, &e), WATTQ_E_UNAVAILABLE);
    assert_non_null(strstr(e.text, t->root));
    put(t, "proc/meminfo", "MemTotal: 1024 kB\n");
    assert_int_equal(caches_detect(&c, t->root, NULL, NULL), 1);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.cores, 0);
    assert_string_equal(c.level[0].name, "RAM");
}

static void test_nonsense_is_left_out(void **state)
{
    const struct tree *t = *state;
    struct caches c;
    put_cache(t, 0, 0, "1", "Data", "-5K", "0");
    put_cache(t, 0, 1, "x", "Unified", "1M", "0");
    put_cache(t, 0, 2, "3", "Unified", "99999999999999G", "0");
    put_cache(t, 0, 3, "4", "Unified", "1M", "0-x");
    put_cache(t, 0, 4, "2", "Unified", "1M", "0-99999999");
    put(t, "proc/meminfo", "MemTotal: x\n");
    assert_int_equal(caches_detect(&c, t->root, NULL, NULL), 0);
    assert_int_equal(c.n, 1);
    check(&c.level[0], "L2", 1 << 20, 1, 4096);
}

static void test_use_never_exceeds_threads(void **state)
{
    (void)state;
    struct caches c;
    caches_use(&c, &caches_study_cpu, 3);
    assert_int_equal(c.level[0].units, 3);
    assert_int_equal(c.level[2].units, 2);
    caches_use(&c, &caches_study_cpu, 0);
    assert_int_equal(c.cores, 1);
}

/* Two V100 as the study counted them, from what a run on one would say. */
static void test_gpu(void **state)
{
    (void)state;
    struct caches c;
    struct caches_gpu v100 = {.devices = 2,
                              .sms = 84,
                              .l1_bytes = INT64_C(112) << 10,
                              .l2_bytes = INT64_C(6) << 20,
                              .memory_bytes = INT64_C(16) << 30};
    assert_int_equal(caches_of_gpu(&c, &v100), 0);
    assert_int_equal(c.n, caches_study_gpu.n);
    assert_int_equal(c.cpus, caches_study_gpu.cpus);
    assert_int_equal(c.cores, caches_study_gpu.cores);
    for (size_t i = 0; i < c.n; i++) {
        const struct caches_level *got = &c.level[i];
        const struct caches_level *want = &caches_study_gpu.level[i];
        assert_string_equal(got->name, want->name);
        assert_int_equal(got->level, want->level);
        assert_true(got->bytes == want->bytes && got->bytes_max == want->bytes_max);
        assert_int_equal(got->units, want->units);
        assert_int_equal(got->cpus_per_unit, want->cpus_per_unit);
    }
    v100.devices = 0; /* not said: one */
    v100.l1_bytes = 0;
    assert_int_equal(caches_of_gpu(&c, &v100), 0);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.level[0].name, "L2");
    assert_true(c.level[0].level == 1 && c.level[0].units == 1 && c.cores == 84);
    const struct caches_gpu nothing = {0};
    assert_int_equal(caches_of_gpu(&c, &nothing), 1);
    assert_int_equal(c.n, 0);
}

static void test_this_machine(void **state)
{
    (void)state;
    struct caches c;
    int rc = caches_detect(&c, "", NULL, NULL);
    assert_true(rc == 0 || rc == 1);
    for (size_t i = 0; i + 1 < c.n; i++)
        assert_true(c.level[i].level < c.level[i + 1].level && c.level[i].units >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_sockets, make, drop),
        cmocka_unit_test_setup_teardown(test_chosen_cpus_reach_fewer_caches, make, drop),
        cmocka_unit_test_setup_teardown(test_hybrid_cores_differ, make, drop),
        cmocka_unit_test_setup_teardown(test_no_caches_described, make, drop),
        cmocka_unit_test_setup_teardown(test_nonsense_is_left_out, make, drop),
        cmocka_unit_test(test_use_never_exceeds_threads),
        cmocka_unit_test(test_gpu),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
