/* What holds CPUs back, on a tree that advances: events and time of packages and cores without counting a
 * thread or a package twice, cores that go offline, the limits of RAPL and their switch, the mean clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/meter/source.h"
#include "tests/support/fixture.h"

extern const struct source_ops source_throttle;
extern const struct source_ops source_thermal;

#define MAX 32

struct bench {
    struct fixture f;
    const struct source_ops *ops;
    struct source *source;
    const struct channel_desc *descs;
    size_t n;
    struct reading now[MAX];
    int64_t t_ns;
};

static void put_cpu(struct bench *b, int cpu, int package, int core, const char *file, int value)
{
    char path[128];
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    fixture_putf(&b->f, path, "%d\n", package);
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    fixture_putf(&b->f, path, "%d\n", core);
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/thermal_throttle/%s", cpu, file);
    fixture_putf(&b->f, path, "%d\n", value);
}

static void set(struct bench *b, int cpu, const char *file, int value)
{
    char path[128];
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/thermal_throttle/%s", cpu, file);
    fixture_putf(&b->f, path, "%d\n", value);
}

/* Two packages of two cores of two threads, numbered as Linux does: the second threads come last. */
static void put_cpus(struct bench *b, bool times)
{
    static const char *const files[] = {"core_throttle_count", "package_throttle_count",
                                        "core_throttle_total_time_ms",
                                        "package_throttle_total_time_ms"};
    for (int cpu = 0; cpu < 8; cpu++)
        for (int i = 0; i < (times ? 4 : 2); i++)
            put_cpu(b, cpu, cpu % 4 / 2, cpu % 2, files[i], 10 * (cpu % 4) + i);
}

static void open_bench(struct bench *b, const struct source_ops *ops)
{
    struct err e = {0};
    struct meter_config cfg = {.sysfs_root = b->f.root};
    b->ops = ops;
    assert_int_equal(ops->open(&b->source, &cfg, &e), 0);
    b->n = ops->channels(b->source, &b->descs);
    assert_true(b->n <= MAX);
}

static void close_bench(struct bench *b)
{
    b->ops->close(b->source);
    fixture_fini(&b->f);
    free(b);
}

static void sweep(struct bench *b)
{
    b->t_ns += NS_PER_S;
    b->ops->read(b->source, b->t_ns, b->now);
}

static size_t channel(const struct bench *b, const char *uid)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->descs[i].uid, uid) == 0)
            return i;
    fail_msg("no channel %s", uid);
    return 0;
}

static void shows(const struct bench *b, const char *uid, int64_t value)
{
    const struct reading *r = &b->now[channel(b, uid)];
    assert_int_equal(r->state, READING_OK);
    if (r->value != value)
        print_error("%s: %lld, not %lld\n", uid, (long long)r->value, (long long)value);
    assert_int_equal(r->value, value);
}

static void test_cores_and_packages_once(void **state)
{
    (void)state;
    struct bench *b = calloc(1, sizeof(*b));
    fixture_init(&b->f);
    put_cpus(b, true);
    open_bench(b, &source_throttle);
    assert_int_equal(b->n, 8);
    sweep(b);
    /* the cores of package 0 are CPUs 0 and 1, those of package 1 are 2 and 3 */
    shows(b, "throttle/package-0/cores/events", 0 + 10);
    shows(b, "throttle/package-0/cores/time", 2 + 12);
    shows(b, "throttle/package-0/package/events", 1);
    shows(b, "throttle/package-0/package/time", 3);
    shows(b, "throttle/package-1/cores/events", 20 + 30);
    shows(b, "throttle/package-1/package/time", 23);
    set(b, 1, "core_throttle_count", 17);
    set(b, 5, "core_throttle_count", 99); /* the other thread of the same core */
    set(b, 2, "package_throttle_total_time_ms", 1023);
    set(b, 3, "package_throttle_total_time_ms", 4000); /* the same package once more */
    sweep(b);
    shows(b, "throttle/package-0/cores/events", 17);
    shows(b, "throttle/package-1/package/time", 1023);
    const struct channel_desc *d = &b->descs[channel(b, "throttle/package-1/package/time")];
    assert_int_equal(d->kind, CHANNEL_COMPANION);
    assert_int_equal(d->quality, QUALITY_NONE);
    assert_string_equal(d->device, "package-1");
    assert_string_equal(d->unit, "ms");
    close_bench(b);
}

/* The sum of counts must not fall, or the return of a core would look like events. */
static void test_an_offline_core_keeps_its_count(void **state)
{
    (void)state;
    struct bench *b = calloc(1, sizeof(*b));
    fixture_init(&b->f);
    put_cpus(b, false);
    open_bench(b, &source_throttle);
    assert_int_equal(b->n, 4); /* an old kernel counts no time */
    sweep(b);
    shows(b, "throttle/package-0/cores/events", 10);
    fixture_put(&b->f, "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "");
    sweep(b);
    shows(b, "throttle/package-0/cores/events", 10);
    set(b, 1, "core_throttle_count", 12);
    sweep(b);
    shows(b, "throttle/package-0/cores/events", 12);
    fixture_put(&b->f, "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "");
    fixture_put(&b->f, "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "");
    sweep(b);
    assert_int_equal(b->now[channel(b, "throttle/package-0/cores/events")].state, READING_GARBLED);
    close_bench(b);
}

/* A part of many cores each second; all within so many seconds. */
static void test_many_cores_in_turn(void **state)
{
    (void)state;
    struct bench *b = calloc(1, sizeof(*b));
    fixture_init(&b->f);
    for (int cpu = 0; cpu < 100; cpu++)
        put_cpu(b, cpu, 0, cpu, "core_throttle_count", 1);
    open_bench(b, &source_throttle);
    assert_int_equal(b->n, 1);
    sweep(b);
    shows(b, "throttle/package-0/cores/events", 100);
    for (int cpu = 0; cpu < 100; cpu++)
        set(b, cpu, "core_throttle_count", 3);
    sweep(b);
    int64_t v = b->now[0].value;
    assert_true(v > 100 && v < 300);
    for (int i = 0; i < 3; i++)
        sweep(b);
    shows(b, "throttle/package-0/cores/events", 300);
    close_bench(b);
}

static void put_zone(struct bench *b, const char *id, const char *file, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "sys/class/powercap/%s/%s", id, file);
    fixture_put(&b->f, path, text);
}

static void test_limits(void **state)
{
    (void)state;
    struct bench *b = calloc(1, sizeof(*b));
    fixture_init(&b->f);
    put_zone(b, "intel-rapl:0", "name", "package-0\n");
    put_zone(b, "intel-rapl:0", "enabled", "1\n");
    put_zone(b, "intel-rapl:0", "constraint_0_name", "long_term\n");
    put_zone(b, "intel-rapl:0", "constraint_0_power_limit_uw", "65000000\n");
    put_zone(b, "intel-rapl:0", "constraint_0_max_power_uw", "65000000\n");
    put_zone(b, "intel-rapl:0", "constraint_1_name", "short_term\n");
    put_zone(b, "intel-rapl:0", "constraint_1_power_limit_uw", "90000000\n");
    put_zone(b, "intel-rapl:0", "constraint_1_max_power_uw", "0\n");
    put_zone(b, "intel-rapl:0:0", "name", "core\n");
    put_zone(b, "intel-rapl:0:0", "constraint_0_name", "long_term\n");
    put_zone(b, "intel-rapl:0:0", "constraint_0_power_limit_uw", "0\n");
    put_zone(b, "intel-rapl-mmio:0", "name", "package-0\n");
    put_zone(b, "intel-rapl-mmio:0", "constraint_0_name", "long_term\n");
    put_zone(b, "intel-rapl-mmio:0", "constraint_0_power_limit_uw", "15000000\n");
    open_bench(b, &source_throttle);
    assert_int_equal(b->n, 3);
    sweep(b);
    shows(b, "limit/intel-rapl:0/package-0/long_term", 65000000);
    shows(b, "limit/intel-rapl:0/package-0/short_term", 90000000);
    shows(b, "limit/intel-rapl-mmio:0/package-0/long_term", 15000000);
    const struct channel_desc *d = &b->descs[channel(b, "limit/intel-rapl:0/package-0/long_term")];
    assert_int_equal(d->pmax_uw, 65000000);
    assert_string_equal(d->unit, "uW");
    assert_string_equal(d->device, "package-0");
    d = &b->descs[channel(b, "limit/intel-rapl:0/package-0/short_term")];
    assert_int_equal(d->pmax_uw, 0); /* none is stated, and 0 W is none */
    put_zone(b, "intel-rapl:0", "enabled", "0\n");
    put_zone(b, "intel-rapl:0", "constraint_0_power_limit_uw", "45000000\n");
    sweep(b);
    size_t at = channel(b, "limit/intel-rapl:0/package-0/long_term");
    assert_int_equal(b->now[at].state, READING_DISABLED);
    shows(b, "limit/intel-rapl-mmio:0/package-0/long_term", 15000000);
    put_zone(b, "intel-rapl:0", "enabled", "1\n");
    sweep(b);
    shows(b, "limit/intel-rapl:0/package-0/long_term", 45000000);
    close_bench(b);
}

static void test_nothing_here(void **state)
{
    (void)state;
    struct bench *b = calloc(1, sizeof(*b));
    struct err e = {0};
    fixture_init(&b->f);
    fixture_put(&b->f, "sys/devices/system/cpu/cpu0/topology/core_id", "0\n");
    struct meter_config cfg = {.sysfs_root = b->f.root};
    assert_int_equal(source_throttle.open(&b->source, &cfg, &e), 1);
    fixture_fini(&b->f);
    free(b);
}

static void test_clocks(void **state)
{
    (void)state;
    struct bench *b = calloc(1, sizeof(*b));
    fixture_init(&b->f);
    fixture_put(&b->f, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1000000\n");
    fixture_put(&b->f, "sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "3000000\n");
    open_bench(b, &source_thermal);
    sweep(b);
    shows(b, "thermal/cpufreq/max", 3000000);
    shows(b, "thermal/cpufreq/mean", 2000000);
    fixture_put(&b->f, "sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "");
    sweep(b);
    shows(b, "thermal/cpufreq/mean", 1000000); /* of those that answer */
    fixture_put(&b->f, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "");
    sweep(b);
    assert_int_equal(b->now[channel(b, "thermal/cpufreq/mean")].state, READING_GARBLED);
    close_bench(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores_and_packages_once),
        cmocka_unit_test(test_an_offline_core_keeps_its_count),
        cmocka_unit_test(test_many_cores_in_turn),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nothing_here),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
