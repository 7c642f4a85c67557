/* Which channels make the total, on trees as real machines show them: facts on meters, 5.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/meter/meter.h"
#include "tests/support/fixture.h"

#define RANGE INT64_C(262143328850)

static struct fixture tree;

static int setup(void **ctx)
{
    (void)ctx;
    fixture_init(&tree);
    return 0;
}

static int teardown(void **ctx)
{
    (void)ctx;
    fixture_fini(&tree);
    return 0;
}

static struct meter *look(void)
{
    struct meter_config cfg = {.sysfs_root = tree.root, .disable = "nvml"};
    struct meter *m = NULL;
    struct err e = {0};
    assert_int_equal(meter_open(&m, &cfg, &e), 0);
    return m;
}

/* Labels of the total, in order, joined by " + ". */
static void assert_total_of(struct meter *m, const bool *usable, const char *expected)
{
    size_t n = meter_count(m);
    const struct meter_channel *list[64];
    struct meter_view views[64];
    uint8_t in[64];
    char text[512] = "";
    assert_in_range(n, 0, 63);
    for (size_t i = 0; i < n; i++) {
        list[i] = meter_channel(m, i);
    }
    meter_views(m, views, n);
    size_t chosen =
        usable ? meter_antichain_of(list, n, usable, in) : meter_antichain(list, n, views, in);
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        if (in[i]) {
            size_t at = strlen(text);
            snprintf(text + at, sizeof(text) - at, "%s%s", at ? " + " : "", list[i]->desc.label);
            seen++;
        }
    }
    assert_string_equal(text, expected);
    assert_int_equal(seen, chosen);
}

static void assert_total(const char *expected)
{
    struct meter *m = look();
    assert_total_of(m, NULL, expected);
    meter_close(m);
}

static const struct meter_channel *channel(struct meter *m, const char *label)
{
    for (size_t i = 0; i < meter_count(m); i++) {
        if (strcmp(meter_channel(m, i)->desc.label, label) == 0) {
            return meter_channel(m, i);
        }
    }
    fail_msg("no channel %s", label);
    return NULL;
}

static void one_socket(void)
{
    fixture_zone(&tree, "intel-rapl:0", "package-0", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:0:0", "core", 500, RANGE);
    fixture_zone(&tree, "intel-rapl:0:1", "uncore", 100, RANGE);
    fixture_zone(&tree, "intel-rapl:0:2", "dram", 200, INT64_C(65712999613));
}

static void one_socket_is_package_and_dram(void **ctx)
{
    (void)ctx;
    one_socket();
    assert_total("package-0 + dram-0");
}

/* sysfs nests dram in the package, the power does not. The range's step and modulus come from the file. */
static void zones_are_described_by_their_files(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_put(&tree, "sys/class/powercap/intel-rapl:0/constraint_0_max_power_uw", "350000000\n");
    struct meter *m = look();
    const struct meter_channel *package = channel(m, "package-0");
    const struct meter_channel *dram = channel(m, "dram-0");
    assert_int_equal(dram->desc.parent, -1);
    assert_ptr_equal(meter_channel(m, (size_t)channel(m, "package-0/core")->desc.parent), package);
    assert_int_equal(package->desc.wrap_uj, RANGE + 1);
    assert_int_equal(package->desc.quantum, 62);
    assert_int_equal(dram->desc.quantum, 16);
    assert_int_equal(package->desc.pmax_uw, 700000000);
    assert_int_equal(package->desc.period_ns, 1000000);
    assert_true(package->desc.period_declared);
    assert_int_equal(package->desc.quality, QUALITY_MODELLED);
    assert_string_equal(package->desc.uid, "powercap/intel-rapl:0/package-0");
    assert_string_equal(dram->desc.uid, "powercap/intel-rapl:0:2/package-0/dram");
    meter_close(m);
}

static void missing_range_means_no_wrap(void **ctx)
{
    (void)ctx;
    fixture_zone(&tree, "intel-rapl:0", "package-0", 1000, 0);
    struct meter *m = look();
    assert_int_equal(channel(m, "package-0")->desc.wrap_uj, 0);
    meter_close(m);
}

/* Numbers of zones say nothing: here zone 0 is socket 1. */
static void two_sockets_by_name(void **ctx)
{
    (void)ctx;
    fixture_zone(&tree, "intel-rapl:0", "package-1", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:0:0", "dram", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:1", "package-0", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:1:0", "dram", 1000, RANGE);
    assert_total("package-1 + dram-1 + package-0 + dram-0");
}

static void psys_contains_packages_and_dram(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_zone(&tree, "intel-rapl:1", "psys", 3000, RANGE);
    assert_total("package-0 + dram-0"); /* nobody has seen it contain them yet */
    struct meter *m = look();
    bool all[] = {true, true, true, true, true};
    assert_total_of(m, all, "psys");
    struct meter_opinion seen = {.about = -1, .proven = true};
    meter_set_opinion(m, 4, &seen);
    assert_total_of(m, NULL, "psys");
    meter_close(m);
}

static void unreadable_psys_leaves_the_packages(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_zone(&tree, "intel-rapl:1", "psys", 3000, RANGE);
    fixture_put(&tree, "sys/class/powercap/intel-rapl:1/energy_uj", "\n");
    assert_total("package-0 + dram-0");
}

/* Sapphire Rapids: psys counts in whole joules. */
static void psys_of_one_joule_steps(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_zone(&tree, "intel-rapl:1", "psys", 5000000, INT64_C(4294967295) * 1000000);
    struct meter *m = look();
    assert_int_equal(channel(m, "psys")->desc.quantum, 1000000);
    assert_total_of(m, NULL, "package-0 + dram-0");
    meter_close(m);
}

static void psys_for_each_socket(void **ctx)
{
    (void)ctx;
    fixture_zone(&tree, "intel-rapl:0", "package-0", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:1", "package-1", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:2", "psys", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:3", "psys-1", 1000, RANGE);
    struct meter *m = look();
    bool all[] = {true, true, true, true};
    assert_total_of(m, all, "psys + psys-1");
    bool usable[] = {true, true, true, false};
    assert_total_of(m, usable, "package-1 + psys");
    meter_close(m);
}

static void mmio_mirror_is_not_added(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_zone(&tree, "intel-rapl-mmio:0", "package-0", 1000, RANGE);
    struct meter *m = look();
    assert_total_of(m, NULL, "package-0 + dram-0");
    size_t mirrors = 0;
    for (size_t i = 0; i < meter_count(m); i++) {
        mirrors += meter_channel(m, i)->desc.mirror_of >= 0;
    }
    assert_int_equal(mirrors, 1);
    meter_close(m);
}

/* The MSR zone cannot be read, its MMIO twin can: the twin stands in. */
static void mirror_stands_in(void **ctx)
{
    (void)ctx;
    fixture_zone(&tree, "intel-rapl:0", "package-0", 1000, RANGE);
    fixture_put(&tree, "sys/class/powercap/intel-rapl:0/energy_uj", "");
    fixture_zone(&tree, "intel-rapl-mmio:0", "package-0", 1000, RANGE);
    struct meter *m = look();
    struct meter_view views[8];
    meter_views(m, views, meter_count(m));
    assert_false(views[0].usable);
    assert_true(views[1].usable);
    assert_total_of(m, NULL, "package-0");
    meter_close(m);
}

/* AMD: core without uncore and dram, dies in the name; two dies are two zones until they are watched. */
static void amd_zones(void **ctx)
{
    (void)ctx;
    fixture_zone(&tree, "intel-rapl:0", "package-0-die-0", 1000, RANGE);
    fixture_zone(&tree, "intel-rapl:0:0", "core", 900, RANGE);
    fixture_zone(&tree, "intel-rapl:1", "package-0-die-1", 7000, RANGE);
    fixture_zone(&tree, "intel-rapl:1:0", "core", 800, RANGE);
    assert_total("package-0-die-0 + package-0-die-1");
}

/* The class directory of a real machine holds links into a nested tree. */
static void linked_tree_counts_each_zone_once(void **ctx)
{
    (void)ctx;
    static const char base[] = "sys/devices/virtual/powercap/intel-rapl/intel-rapl:0";
    char path[200];
    snprintf(path, sizeof(path), "%s/name", base);
    fixture_put(&tree, path, "package-0\n");
    snprintf(path, sizeof(path), "%s/energy_uj", base);
    fixture_put(&tree, path, "5\n");
    snprintf(path, sizeof(path), "%s/intel-rapl:0:0/name", base);
    fixture_put(&tree, path, "dram\n");
    snprintf(path, sizeof(path), "%s/intel-rapl:0:0/energy_uj", base);
    fixture_put(&tree, path, "5\n");
    fixture_link(&tree, "sys/class/powercap/intel-rapl",
                 "../../devices/virtual/powercap/intel-rapl");
    fixture_link(&tree, "sys/class/powercap/intel-rapl:0",
                 "../../devices/virtual/powercap/intel-rapl/intel-rapl:0");
    fixture_link(&tree, "sys/class/powercap/intel-rapl:0:0",
                 "../../devices/virtual/powercap/intel-rapl/intel-rapl:0/intel-rapl:0:0");
    assert_total("package-0 + dram-0");
}

static void hwmon_socket_does_not_double_rapl(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_put(&tree, "sys/class/hwmon/hwmon3/name", "amd_energy\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon3/energy1_input", "123\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon3/energy1_label", "Ecore000\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon3/energy2_input", "456\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon3/energy2_label", "Esocket0\n");
    assert_total("package-0 + dram-0");
}

static void hwmon_energy_alone(void **ctx)
{
    (void)ctx;
    fixture_put(&tree, "sys/class/hwmon/hwmon3/name", "amd_energy\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon3/energy1_input", "456\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon3/energy1_label", "Esocket0\n");
    assert_total("amd_energy energy1 Esocket0");
}

/* One card shown as counter, average and instant: one of them counts. */
static void counter_before_average_before_instant(void **ctx)
{
    (void)ctx;
    fixture_put(&tree, "sys/class/hwmon/hwmon0/name", "nouveau\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/energy1_input", "456\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_average", "30000000\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_input", "31000000\n");
    assert_total("nouveau energy1");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/energy1_input", "oops\n");
    assert_total("nouveau power1");
}

static void acpi_meter_sees_the_node(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_put(&tree, "sys/class/hwmon/hwmon0/name", "power_meter\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_average", "250000000\n");
    assert_total("power_meter power1");
}

static void acpi_sentinel_is_no_meter(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_put(&tree, "sys/class/hwmon/hwmon0/name", "power_meter\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_average", "4294967295000\n");
    assert_total("package-0 + dram-0");
}

static void disabled_sensor_is_no_meter(void **ctx)
{
    (void)ctx;
    one_socket();
    fixture_put(&tree, "sys/class/hwmon/hwmon0/name", "power_meter\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_average", "0\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_enable", "0\n");
    struct meter *m = look();
    assert_total_of(m, NULL, "package-0 + dram-0");
    struct meter_status s;
    size_t last = meter_count(m) - 1;
    meter_get_status(m, last, &s);
    assert_int_equal(s.state, READING_DISABLED);
    assert_non_null(strstr(meter_channel(m, last)->desc.remedy, "power1_enable"));
    meter_close(m);
}

/* A rail that nobody placed is never added to a package, and is used when it is all there is. */
static void unplaced_rail(void **ctx)
{
    (void)ctx;
    fixture_put(&tree, "sys/class/hwmon/hwmon0/name", "ina226\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon0/power1_input", "5000000\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon1/name", "ina226\n");
    fixture_put(&tree, "sys/class/hwmon/hwmon1/power1_input", "6000000\n");
    assert_total("ina226 power1");
    one_socket();
    assert_total("package-0 + dram-0");
}

static void without_any_meter_an_estimate_says_so(void **ctx)
{
    (void)ctx;
    struct meter *m = look();
    assert_int_equal(meter_count(m), 1);
    assert_int_equal(meter_channel(m, 0)->desc.quality, QUALITY_ESTIMATED);
    assert_string_equal(meter_channel(m, 0)->source, "estimate");
    assert_total_of(m, NULL, meter_channel(m, 0)->desc.label);
    meter_close(m);
}

static void estimate_is_never_added_to_a_measurement(void **ctx)
{
    (void)ctx;
    one_socket();
    struct meter_config cfg = {
        .sysfs_root = tree.root, .disable = "nvml, thermal", .estimate_always = true};
    struct meter *m = NULL;
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 5);
    assert_total_of(m, NULL, "package-0 + dram-0");
    meter_close(m);
}

static void unreadable_counters_are_listed_with_a_remedy(void **ctx)
{
    (void)ctx;
    if (geteuid() == 0) {
        /* Root reads any file: let a helper without rights look. */
        print_message("root: permission is tested with an unprivileged uid\n");
        fixture_fini(&tree);
        assert_int_equal(seteuid(65534), 0);
        fixture_init(&tree);
    }
    one_socket();
    char path[200];
    snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:0/energy_uj", tree.root);
    assert_int_equal(chmod(path, 0), 0);
    struct meter *m = look();
    struct meter_status s;
    meter_get_status(m, 0, &s);
    assert_int_equal(s.state, READING_NO_PERMISSION);
    assert_string_equal(meter_channel(m, 0)->desc.remedy, "wattq meters allow");
    /* What can be read inside it is still disjoint, and named for what it is. */
    assert_total_of(m, NULL, "package-0/core + package-0/uncore + dram-0");
    meter_close(m);
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
}

/* ---- pure: cases no sysfs tree here can make ---------------------------------------------------- */

static struct meter_channel made(enum channel_scope scope, const char *source, int parent)
{
    return (struct meter_channel){.desc = {.kind = CHANNEL_COUNTER,
                                           .scope = scope,
                                           .quality = QUALITY_MEASURED,
                                           .parent = parent,
                                           .mirror_of = -1},
                                  .source = source};
}

static void assert_chosen(struct meter_channel *c, size_t n, const char *mask)
{
    const struct meter_channel *list[8];
    bool usable[8];
    uint8_t in[8];
    char got[9] = "";
    for (size_t i = 0; i < n; i++) {
        list[i] = &c[i];
        usable[i] = true;
    }
    (void)meter_antichain_of(list, n, usable, in);
    for (size_t i = 0; i < n; i++) {
        got[i] = in[i] ? 'x' : '.';
    }
    assert_string_equal(got, mask);
}

static void gpus_are_added_to_packages_not_to_psys(void **ctx)
{
    (void)ctx;
    struct meter_channel c[] = {made(SCOPE_PACKAGE, "powercap", 2), made(SCOPE_DRAM, "powercap", 2),
                                made(SCOPE_PSYS, "powercap", -1), made(SCOPE_GPU, "nvml", -1),
                                made(SCOPE_GPU, "nvml", -1)};
    assert_chosen(c, 5, "xx.xx");
    assert_chosen(c, 3, "..x");
    c[3].desc.parent = 2; /* somebody knows that psys includes the card */
    c[4].desc.parent = 2;
    assert_chosen(c, 5, "..x..");
}

static void node_contains_all_and_modules_their_parts(void **ctx)
{
    (void)ctx;
    struct meter_channel c[] = {made(SCOPE_MODULE, "hwmon", -1), made(SCOPE_PACKAGE, "hwmon", 0),
                                made(SCOPE_GPU, "nvml", 0), made(SCOPE_NODE, "hwmon", -1)};
    assert_chosen(c, 3, "x..");
    assert_chosen(c, 4, "...x");
}

/* Two sources that name their devices: each package once, the finer counter first, and the other stands in
 * for the one package that the first cannot read, has lost for part of the window, or is in doubt. */
static void sources_share_devices(void **ctx)
{
    (void)ctx;
    struct meter_channel c[] = {made(SCOPE_PACKAGE, "perf", -1), made(SCOPE_PACKAGE, "perf", -1),
                                made(SCOPE_PACKAGE, "powercap", -1),
                                made(SCOPE_PACKAGE, "powercap", -1), made(SCOPE_PSYS, "perf", -1)};
    const struct meter_channel *list[5];
    struct meter_view v[5];
    uint8_t in[5];
    for (size_t i = 0; i < 5; i++) {
        list[i] = &c[i];
        v[i] = (struct meter_view){.usable = i != 4, .mirror = -1};
        snprintf(c[i].desc.device, sizeof(c[i].desc.device), "package-%zu", i % 2);
    }
    assert_int_equal(meter_antichain(list, 5, v, in), 2);
    assert_true(in[0] && in[1]);
    v[1].usable = false;
    assert_int_equal(meter_antichain(list, 5, v, in), 2);
    assert_true(in[0] && in[3]);
    v[1] = (struct meter_view){.usable = true, .mirror = -1, .missing_ns = 300000000};
    assert_int_equal(meter_antichain(list, 5, v, in), 2);
    assert_true(in[0] && in[3]);
    v[1] = (struct meter_view){.usable = true, .mirror = -1, .demoted = true};
    assert_int_equal(meter_antichain(list, 5, v, in), 2);
    assert_true(in[0] && in[3]);
    v[3].usable = false; /* a demoted one is better than none */
    assert_int_equal(meter_antichain(list, 5, v, in), 2);
    assert_true(in[0] && in[1]);
    v[3].usable = true;
    v[1].demoted = false;
    c[0].desc.quantum = c[1].desc.quantum = 1000;
    c[2].desc.quantum = c[3].desc.quantum = 61;
    assert_int_equal(meter_antichain(list, 5, v, in), 2);
    assert_true(in[2] && in[3]);
}

/* A die seen to show another's register stands in for it when that one fails, and never beside it. */
static void observed_mirror_stands_in(void **ctx)
{
    (void)ctx;
    struct meter_channel c[] = {made(SCOPE_PACKAGE, "powercap", -1),
                                made(SCOPE_PACKAGE, "powercap", -1)};
    const struct meter_channel *list[] = {&c[0], &c[1]};
    struct meter_view v[] = {{.usable = true, .mirror = -1}, {.usable = true, .mirror = 0}};
    uint8_t in[2];
    assert_int_equal(meter_antichain(list, 2, v, in), 1);
    assert_true(in[0]);
    v[0].usable = false;
    assert_int_equal(meter_antichain(list, 2, v, in), 1);
    assert_true(in[1]);
}

static void cycles_in_stored_rows_end(void **ctx)
{
    (void)ctx;
    struct meter_channel c[] = {made(SCOPE_OTHER, "script", 1), made(SCOPE_OTHER, "script", 0)};
    c[0].desc.mirror_of = 99;
    assert_chosen(c, 2, "x.");
    assert_int_equal(meter_antichain_of(NULL, 0, NULL, NULL), 0);
}

#define ON_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TREE(one_socket_is_package_and_dram),
        ON_TREE(zones_are_described_by_their_files),
        ON_TREE(missing_range_means_no_wrap),
        ON_TREE(two_sockets_by_name),
        ON_TREE(psys_contains_packages_and_dram),
        ON_TREE(unreadable_psys_leaves_the_packages),
        ON_TREE(psys_of_one_joule_steps),
        ON_TREE(psys_for_each_socket),
        ON_TREE(mmio_mirror_is_not_added),
        ON_TREE(mirror_stands_in),
        ON_TREE(amd_zones),
        ON_TREE(linked_tree_counts_each_zone_once),
        ON_TREE(hwmon_socket_does_not_double_rapl),
        ON_TREE(hwmon_energy_alone),
        ON_TREE(counter_before_average_before_instant),
        ON_TREE(acpi_meter_sees_the_node),
        ON_TREE(acpi_sentinel_is_no_meter),
        ON_TREE(disabled_sensor_is_no_meter),
        ON_TREE(unplaced_rail),
        ON_TREE(without_any_meter_an_estimate_says_so),
        ON_TREE(estimate_is_never_added_to_a_measurement),
        ON_TREE(unreadable_counters_are_listed_with_a_remedy),
        cmocka_unit_test(gpus_are_added_to_packages_not_to_psys),
        cmocka_unit_test(node_contains_all_and_modules_their_parts),
        cmocka_unit_test(sources_share_devices),
        cmocka_unit_test(observed_mirror_stands_in),
        cmocka_unit_test(cycles_in_stored_rows_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
