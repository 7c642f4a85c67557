/* What a run keeps of its machine, read from trees made here. */
#include "daemon/queue/machine.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct tree {
    char root[64];
};

static int make(void **state)
{
    struct tree *t = base_alloc(sizeof(*t));
    base_strcpy(t->root, sizeof(t->root), "/tmp/wattq-machine-XXXXXX");
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

#define CPU  "sys/devices/system/cpu/"
#define MC   "sys/devices/system/edac/mc/"
#define CARD "proc/driver/nvidia/gpus/0000:17:00.0/"

/* A server of two sockets, two frequency policies, four DIMMs and a card. */
static void put_server(const struct tree *t)
{
    put(t, "proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n"
        "model name\t: Intel(R) Xeon(R) Gold 6154\nstepping\t: 4\nmicrocode\t: 0x1\n"
        "flags\t\t: fpu vme hypervisorless\n\nprocessor\t: 1\nmodel name\t: another\n");
    put(t, "proc/meminfo", "MemTotal:       98304 kB\nMemFree: 1 kB\n");
    put(t, "proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    put(t, "proc/sys/kernel/numa_balancing", "1\n");
    put(t, "proc/self/status", "Name:\twattqd\nCpus_allowed_list:\t0-3\n");
    put(t, "proc/filesystems", "nodev\tsysfs\nnodev\tresctrl\n");
    put(t, CPU "online", "0-3\n");
    put(t, CPU "smt/control", "on\n");
    put(t, CPU "intel_pstate/no_turbo", "0\n");
    put(t, CPU "cpu0/microcode/version", "0x2007006\n");
    for (int i = 0; i < 2; i++) {
        char path[80];
        snprintf(path, sizeof(path), CPU "cpufreq/policy%d/scaling_governor", i);
        put(t, path, "powersave\n");
        snprintf(path, sizeof(path), CPU "cpufreq/policy%d/scaling_max_freq", i);
        put(t, path, i ? "3700000\n" : "3000000\n");
        snprintf(path, sizeof(path), "sys/devices/system/node/node%d/cpulist", i);
        put(t, path, "0\n");
        snprintf(path, sizeof(path), MC "mc%d/dimm0/size", i);
        put(t, path, "16384\n");
        snprintf(path, sizeof(path), MC "mc%d/dimm0/dimm_mem_type", i);
        put(t, path, "Registered-DDR4\n");
    }
    put(t, MC "mc0/dimm1/size", "0\n"); /* an empty socket */
    put(t, MC "power/control", "auto\n");
    put(t, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put(t, "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC version: "
        "12.2\n");
    put(t, CARD "information",
        "Model: \t\t Tesla V100-PCIE-16GB\nIRQ:   \t\t 146\nVideo BIOS: \t 88.00.48.00.02\n");
}

static json_t *facts_of(struct machine *m)
{
    char *text CLEANUP(base_freep) = machine_facts(m);
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    return j;
}

static void check(const json_t *j, const char *key, const char *want)
{
    const char *got = json_string_value(json_object_get(j, key));
    if (!want && got)
        fail_msg("%s is '%s', and should not be told", key, got);
    if (want && (!got || strcmp(got, want) != 0))
        fail_msg("%s is '%s', not '%s'", key, got ? got : "missing", want);
}

static void test_server(void **state)
{
    const struct tree *t = *state;
    put_server(t);
    struct machine *m = machine_open(t->root);
    json_t *j = facts_of(m);
    static const char *const want[][2] = {{"cpu", "Intel(R) Xeon(R) Gold 6154"},
                                          {"vendor", "GenuineIntel"},
                                          {"family", "6"},
                                          {"model", "85"},
                                          {"stepping", "4"},
                                          {"microcode", "0x2007006"}, /* sysfs knows better */
                                          {"kernel", "6.1.0-18-amd64"},
                                          {"dimms", "2 x 16 GiB Registered-DDR4"},
                                          {"nvidia_driver", "550.54.15"},
                                          {"gpus", "Tesla V100-PCIE-16GB (BIOS 88.00.48.00.02)"},
                                          {"governor", "powersave"},
                                          {"epp", NULL},
                                          {"max_khz", "3000000,3700000"},
                                          {"boost", "on"},
                                          {"smt", "on"},
                                          {"thp", "madvise"},
                                          {"numa_balancing", "1"},
                                          {"cpus_online", "0-3"},
                                          {"affinity", "0-3"},
                                          {"resctrl", "available"},
                                          {"resctrl_l3", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        check(j, want[i][0], want[i][1]);
    assert_true(json_is_false(json_object_get(j, "hypervisor")));
    assert_int_equal(json_integer_value(json_object_get(j, "memory_bytes")), 98304 * 1024);
    assert_int_equal(json_integer_value(json_object_get(j, "numa_nodes")), 2);
    json_decref(j);
    machine_close(m);
}

static void test_changes(void **state)
{
    const struct tree *t = *state;
    put_server(t);
    struct machine *m = machine_open(t->root);
    char *first CLEANUP(base_freep) = machine_facts(m);
    char *again CLEANUP(base_freep) = machine_facts(m);
    assert_string_equal(first, again);
    put(t, CPU "cpufreq/policy1/scaling_governor", "performance\n");
    put(t, CPU "intel_pstate/no_turbo", "1\n");
    put(t, CPU "cpufreq/boost", "1\n"); /* goes before no_turbo */
    put(t, "sys/fs/resctrl/schemata", "    MB:0=100\n    L3:0=7ff;1=3\n");
    put(t, "proc/sys/kernel/osrelease", "7.0\n"); /* cannot happen while the system is up */
    json_t *j = facts_of(m);
    check(j, "governor", "performance,powersave");
    check(j, "boost", "on");
    check(j, "resctrl", "mounted");
    check(j, "resctrl_l3", "L3:0=7ff;1=3");
    check(j, "kernel", "6.1.0-18-amd64");
    json_decref(j);
    machine_close(m);
}

static void test_nothing_told(void **state)
{
    const struct tree *t = *state;
    struct machine *m = machine_open(t->root);
    char *text CLEANUP(base_freep) = machine_facts(m);
    assert_string_equal(text, "{}");
    put(t, "proc/self/status", "Cpus_allowed_list\nCpus_allowed_list:\n");
    put(t, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise");
    put(t, "proc/driver/nvidia/version", "no version here");
    put(t, CPU "smt/control", "\xff\xfe\n"); /* not UTF-8 */
    char *odd CLEANUP(base_freep) = machine_facts(m);
    assert_string_equal(odd, "{}");
    machine_close(m);
    machine_close(NULL);
}

static void test_this_machine(void **state)
{
    (void)state;
    struct machine *m = machine_open(NULL);
    json_t *j = facts_of(m);
    assert_non_null(json_object_get(j, "kernel"));
    assert_non_null(json_object_get(j, "affinity"));
    assert_true(json_integer_value(json_object_get(j, "memory_bytes")) > 0);
    json_decref(j);
    machine_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server, make, drop),
        cmocka_unit_test_setup_teardown(test_changes, make, drop),
        cmocka_unit_test_setup_teardown(test_nothing_told, make, drop),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
