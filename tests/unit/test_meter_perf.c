/* RAPL by perf_event: the kernel's texts, encoding, exact scale, discovery on fixture trees, and a real
 * perf counter of known law: cpu-clock of one CPU, 1 J per second when a count is worth 1e-9 J. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/perf_text.h"
#include "tests/support/fixture.h"

#define SCALE "2.3283064365386962890625e-10\n"
#define PMU   "sys/bus/event_source/devices/power"

extern const struct source_ops source_perf;
extern const struct source_ops source_perf_core;

/* ---- texts --------------------------------------------------------------------------------------- */

static void scales_are_exact_fractions(void **ctx)
{
    (void)ctx;
    struct perf_scale s;
    int64_t uj = 0;
    assert_true(perf_scale_parse(SCALE, &s));
    assert_int_equal(s.num, 15625);
    assert_int_equal(s.den, 1 << 26);
    /* 2^63 counts are 2^31 J: no step of the way there is rounded */
    assert_true(perf_scale_uj(&s, UINT64_C(1) << 63, &uj));
    assert_int_equal(uj, INT64_C(2147483648) * 1000000);
    assert_true(perf_scale_uj(&s, UINT64_MAX, &uj));
    assert_int_equal(uj, INT64_C(4294967296) * 1000000 - 1);
    assert_true(perf_scale_parse("1e-9", &s));
    assert_int_equal(s.num, 1);
    assert_int_equal(s.den, 1000);
    assert_true(perf_scale_parse("0.5", &s));
    assert_int_equal(s.num, 500000);
    assert_true(perf_scale_parse("1E+3\n", &s));
    assert_false(perf_scale_uj(&s, UINT64_MAX, &uj));
    static const char *const bad[] = {"",
                                      "\n",
                                      "0",
                                      "-1",
                                      "1 ",
                                      ".",
                                      "1.",
                                      "1e",
                                      "1e-",
                                      "1e999",
                                      "0x10",
                                      "nan",
                                      "inf",
                                      "1..2",
                                      "1e-90",
                                      "1\n\n",
                                      "1e30",
                                      "1,5",
                                      "1.0000000000000000000000000000001",
                                      "1e-9J"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(perf_scale_parse(bad[i], &s));
}

static void formats_place_bits(void **ctx)
{
    (void)ctx;
    struct perf_config c = {{0}};
    assert_true(perf_config_put(&c, "config:0-7\n", 2));
    assert_true(perf_config_put(&c, "config:8-11,32-35", 0xab));
    assert_true(perf_config_put(&c, "config1:63", 1));
    assert_true(perf_config_put(&c, "config2:0-63", UINT64_MAX));
    assert_int_equal(c.word[0], UINT64_C(0xa00000b02));
    assert_int_equal(c.word[1], UINT64_C(1) << 63);
    assert_true(c.word[2] == UINT64_MAX);
    static const char *const bad[] = {"",          "config",     "config:",     "config:8-",
                                      "config:64", "config:7-0", "config:0-7,", "config3:0-7",
                                      "config:x",  "config:0-7 "};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(perf_config_put(&c, bad[i], 1));
    assert_false(perf_config_put(&c, "config:0-7", 256)); /* does not fit */
}

static void terms_are_read_one_by_one(void **ctx)
{
    (void)ctx;
    char name[16];
    uint64_t v = 0;
    const char *p = "event=0x02,umask=3,edge\n";
    assert_int_equal(perf_term_next(&p, name, sizeof(name), &v), 1);
    assert_string_equal(name, "event");
    assert_int_equal(v, 2);
    assert_int_equal(perf_term_next(&p, name, sizeof(name), &v), 1);
    assert_int_equal(v, 3);
    assert_int_equal(perf_term_next(&p, name, sizeof(name), &v), 1);
    assert_string_equal(name, "edge");
    assert_int_equal(v, 1);
    assert_int_equal(perf_term_next(&p, name, sizeof(name), &v), 0);
    static const char *const bad[] = {"=1",
                                      "event=",
                                      "event=0x",
                                      "event=1 2",
                                      "event=1,",
                                      "event=99999999999999999999",
                                      "a_name_that_is_too_long=1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        p = bad[i];
        assert_int_equal(perf_term_next(&p, name, sizeof(name), &v), -1);
    }
}

/* ---- discovery ----------------------------------------------------------------------------------- */

static void put_event(const struct fixture *f, const char *pmu, const char *event, const char *code,
                      const char *scale)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/events/%s", pmu, event);
    fixture_put(f, path, code);
    snprintf(path, sizeof(path), "%s/events/%s.scale", pmu, event);
    fixture_put(f, path, scale);
    snprintf(path, sizeof(path), "%s/events/%s.unit", pmu, event);
    fixture_put(f, path, "Joules\n");
}

/* type 4000000000 is no PMU of any kernel: what is found cannot be opened. */
static void put_pmu(const struct fixture *f, const char *pmu, const char *type, const char *cpus)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/type", pmu);
    fixture_put(f, path, type);
    snprintf(path, sizeof(path), "%s/cpumask", pmu);
    fixture_put(f, path, cpus);
    snprintf(path, sizeof(path), "%s/format/event", pmu);
    fixture_put(f, path, "config:0-7\n");
}

static void put_cpu(const struct fixture *f, int cpu, int package, int die)
{
    char path[160];
    static const char base[] = "sys/devices/system/cpu/cpu";
    snprintf(path, sizeof(path), "%s%d/topology/physical_package_id", base, cpu);
    fixture_putf(f, path, "%d\n", package);
    snprintf(path, sizeof(path), "%s%d/topology/die_id", base, cpu);
    fixture_putf(f, path, "%d\n", die);
    snprintf(path, sizeof(path), "%s%d/topology/core_id", base, cpu);
    fixture_putf(f, path, "%d\n", cpu);
}

static size_t opened(const struct fixture *f, const struct source_ops *ops, struct source **s,
                     const struct channel_desc **d)
{
    const struct meter_config cfg = {.sysfs_root = f->root};
    int rc = ops->open(s, &cfg, NULL);
    assert_true(rc >= 0);
    return rc == 0 ? ops->channels(*s, d) : 0;
}

static void two_packages_have_their_own_counters(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    put_pmu(&f, PMU, "4000000000\n", "0,24\n");
    put_cpu(&f, 0, 0, 0);
    put_cpu(&f, 24, 1, 0);
    put_event(&f, PMU, "energy-pkg", "event=0x02\n", SCALE);
    put_event(&f, PMU, "energy-cores", "event=0x01\n", SCALE);
    put_event(&f, PMU, "energy-ram", "event=0x03\n", SCALE);
    assert_int_equal(opened(&f, &source_perf, &s, &d), 6);
    assert_string_equal(d[0].device, "package-0");
    assert_string_equal(d[1].device, "package-1");
    assert_string_equal(d[1].label, "package-1");
    assert_string_equal(d[3].uid, "perf/power/energy-ram/package-1");
    assert_int_equal(d[3].scope, SCOPE_DRAM);
    assert_int_equal(d[3].parent, -1); /* beside the package, not in it */
    assert_int_equal(d[5].scope, SCOPE_CORE);
    assert_int_equal(d[5].parent, 1);
    struct reading r[6];
    source_perf.read(s, 1, r);
    for (int i = 0; i < 6; i++)
        assert_int_not_equal(r[i].state, READING_OK);
    source_perf.close(s);
    fixture_fini(&f);
}

static void dies_are_told_apart(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    put_pmu(&f, PMU, "4000000000\n", "0,8\n");
    put_cpu(&f, 0, 0, 0);
    put_cpu(&f, 8, 0, 1);
    put_event(&f, PMU, "energy-pkg", "event=0x02\n", SCALE);
    assert_int_equal(opened(&f, &source_perf, &s, &d), 2);
    assert_string_equal(d[0].device, "package-0-die-0");
    assert_string_equal(d[1].device, "package-0-die-1");
    source_perf.close(s);
    fixture_fini(&f);
}

/* A factor that is not understood, another unit, a format that is not: no channel, never a wrong one. */
static void what_is_not_understood_is_left_out(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    put_pmu(&f, PMU, "4000000000\n", "0\n");
    put_event(&f, PMU, "energy-pkg", "event=0x02\n", "about half\n");
    put_event(&f, PMU, "energy-ram", "umask=0x03\n", SCALE);
    put_event(&f, PMU, "energy-psys", "event=0x05\n", SCALE);
    fixture_put(&f, PMU "/events/energy-psys.unit", "mJ\n");
    assert_int_equal(opened(&f, &source_perf, &s, &d), 0);
    put_event(&f, PMU, "energy-cores", "event=0x01\n", SCALE);
    assert_int_equal(opened(&f, &source_perf, &s, &d), 1);
    source_perf.close(s);
    fixture_put(&f, PMU "/cpumask", "0-x\n");
    assert_int_equal(opened(&f, &source_perf, &s, &d), 0);
    fixture_fini(&f);
}

static void amd_counts_packages_and_real_cores(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    static const char cores[] = "sys/bus/event_source/devices/power_core";
    fixture_init(&f);
    fixture_put(&f, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\n");
    put_pmu(&f, PMU, "4000000000\n", "0\n");
    put_event(&f, PMU, "energy-pkg", "event=0x02\n", SCALE);
    put_event(&f, PMU, "energy-cores", "event=0x01\n", SCALE);
    put_pmu(&f, cores, "4000000000\n", "0-1\n");
    put_event(&f, cores, "energy-core", "event=0x01\n", SCALE);
    put_cpu(&f, 0, 0, 0);
    put_cpu(&f, 1, 0, 0);
    assert_int_equal(opened(&f, &source_perf, &s, &d), 1);
    assert_int_equal(d[0].scope, SCOPE_PACKAGE);
    source_perf.close(s);
    assert_int_equal(opened(&f, &source_perf_core, &s, &d), 2);
    assert_string_equal(d[1].label, "core-0-1");
    assert_string_equal(d[1].device, "package-0");
    assert_int_equal(d[1].scope, SCOPE_CORE);
    source_perf_core.close(s);
    fixture_fini(&f);
}

/* ---- a real counter ------------------------------------------------------------------------------ */

static void put_clock(const struct fixture *f)
{
    put_pmu(f, PMU, "1\n", "0\n");                             /* PERF_TYPE_SOFTWARE */
    put_event(f, PMU, "energy-pkg", "event=0x00\n", "1e-9\n"); /* PERF_COUNT_SW_CPU_CLOCK, ns */
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void a_real_counter_of_one_watt_is_read_as_one(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    struct reading a;
    struct reading b;
    fixture_init(&f);
    put_clock(&f);
    assert_int_equal(opened(&f, &source_perf, &s, &d), 1);
    int64_t before_a = now_ns();
    source_perf.read(s, before_a, &a);
    int64_t after_a = now_ns();
    if (a.state == READING_NO_PERMISSION) {
        assert_non_null(strstr(d[0].remedy, "perf"));
        source_perf.close(s);
        fixture_fini(&f);
        skip();
    }
    assert_int_equal(a.state, READING_OK);
    assert_int_not_equal(a.era, 0);
    struct timespec rest = {.tv_nsec = 50000000};
    nanosleep(&rest, NULL);
    int64_t before_b = now_ns();
    source_perf.read(s, before_b, &b);
    int64_t after_b = now_ns();
    assert_int_equal(b.state, READING_OK);
    assert_int_equal(b.era, a.era);
    /* 1 W: as many uJ as us, within what lies between the two clocks, and 0.1 % */
    int64_t least = (before_b - after_a) / 1000;
    int64_t most = (after_b - before_a) / 1000;
    assert_in_range(b.value - a.value, least - least / 1000 - 1, most + most / 1000 + 1);
    source_perf.close(s);
    fixture_fini(&f);
}

/* A virtual machine may show events that count nothing: a package at 0 W is none, graphics at 0 W sleep. */
static void what_stands_still_is_no_meter(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    struct reading r[3];
    static const char still[] = "event=0x09\n"; /* PERF_COUNT_SW_DUMMY */
    fixture_init(&f);
    put_pmu(&f, PMU, "1\n", "0\n");
    put_event(&f, PMU, "energy-psys", still, SCALE);
    put_event(&f, PMU, "energy-gpu", still, SCALE);
    put_event(&f, PMU, "energy-pkg", "event=0x00\n", "1e-9\n");
    size_t n = opened(&f, &source_perf, &s, &d);
    source_perf.read(s, now_ns(), r);
    if (r[0].state == READING_NO_PERMISSION) {
        source_perf.close(s);
        fixture_fini(&f);
        skip();
    }
    assert_int_equal(n, 2);
    assert_string_equal(d[0].label, "package-0");
    assert_string_equal(d[1].label, "graphics-0");
    assert_int_equal(d[1].parent, 0);
    source_perf.close(s);
    put_event(&f, PMU, "energy-gpu", still, "about half\n");
    put_event(&f, PMU, "energy-pkg", still, SCALE);
    assert_int_equal(opened(&f, &source_perf, &s, &d), 0);
    fixture_fini(&f);
}

static void an_ordinary_user_is_told_what_would_help(void **ctx)
{
    (void)ctx;
    char text[8] = "";
    int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        assert_true(read(fd, text, sizeof(text) - 1) >= 0);
        close(fd);
    }
    if (getuid() != 0 || atoi(text) <= 0)
        skip();
    struct fixture f;
    fixture_init(&f);
    put_clock(&f);
    char chmod_all[128];
    snprintf(chmod_all, sizeof(chmod_all), "chmod -R a+rX %s", f.root);
    assert_int_equal(system(chmod_all), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct source *s = NULL;
        const struct channel_desc *d = NULL;
        struct reading r;
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(2);
        if (opened(&f, &source_perf, &s, &d) != 1)
            _exit(3);
        source_perf.read(s, now_ns(), &r);
        if (r.state != READING_NO_PERMISSION)
            _exit(4);
        _exit(strstr(d[0].remedy, "cap_perfmon") || strstr(d[0].remedy, "paranoid") ? 0 : 5);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 255, 0);
    fixture_fini(&f);
}

/* perf leads, powercap stands beside it: the two meter one package and are not added. */
static void perf_leads_and_powercap_stands_in(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct meter *m = NULL;
    fixture_init(&f);
    put_clock(&f);
    fixture_zone(&f, "intel-rapl:0", "package-0", 1000, 262143328850);
    const struct meter_config cfg = {.sysfs_root = f.root, .disable = "nvml,thermal,slots,hwmon"};
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 2);
    const struct meter_channel *list[] = {meter_channel(m, 0), meter_channel(m, 1)};
    assert_string_equal(list[0]->source, "perf");
    assert_string_equal(list[1]->source, "powercap");
    assert_string_equal(list[0]->desc.device, list[1]->desc.device);
    uint8_t in[2] = {0};
    assert_int_equal(meter_antichain_of(list, 2, (const bool[]){true, true}, in), 1);
    assert_int_equal(in[0], 1);
    assert_int_equal(meter_antichain_of(list, 2, (const bool[]){false, true}, in), 1);
    assert_int_equal(in[1], 1); /* the one that answers counts */
    meter_close(m);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_are_exact_fractions),
        cmocka_unit_test(formats_place_bits),
        cmocka_unit_test(terms_are_read_one_by_one),
        cmocka_unit_test(two_packages_have_their_own_counters),
        cmocka_unit_test(dies_are_told_apart),
        cmocka_unit_test(what_is_not_understood_is_left_out),
        cmocka_unit_test(amd_counts_packages_and_real_cores),
        cmocka_unit_test(a_real_counter_of_one_watt_is_read_as_one),
        cmocka_unit_test(what_stands_still_is_no_meter),
        cmocka_unit_test(an_ordinary_user_is_told_what_would_help),
        cmocka_unit_test(perf_leads_and_powercap_stands_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
