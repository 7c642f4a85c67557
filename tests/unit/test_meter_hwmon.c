/* hwmon beyond the plain file: what chips state of themselves, rails without power, switched-off sensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/source.h"
#include "tests/support/fixture.h"

#define CHIP "sys/class/hwmon/hwmon0/"

extern const struct source_ops source_hwmon;

static struct source *opened(const struct fixture *f, const struct channel_desc **d, size_t expect)
{
    struct source *s = NULL;
    const struct meter_config cfg = {.sysfs_root = f->root};
    assert_int_equal(source_hwmon.open(&s, &cfg, NULL), 0);
    assert_int_equal(source_hwmon.channels(s, d), expect);
    return s;
}

static void accuracy_interval_and_maker_are_kept(void **ctx)
{
    (void)ctx;
    struct fixture f;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    fixture_put(&f, CHIP "name", "power_meter\n");
    fixture_put(&f, CHIP "power1_average", "250000000\n");
    fixture_put(&f, CHIP "power1_average_interval", "2500\n");
    fixture_put(&f, CHIP "power1_accuracy", "1.5%\n");
    fixture_put(&f, CHIP "power1_model_number", "PM-7\n");
    fixture_put(&f, CHIP "power1_serial_number", "0042\n");
    fixture_put(&f, CHIP "measures/LNXSYBUS:00", "");
    struct source *s = opened(&f, &d, 1);
    assert_int_equal(d->accuracy_ppm, 15000);
    assert_int_equal(d->box_ns, 2500 * NS_PER_MS);
    assert_int_equal(d->kind, CHANNEL_AVERAGE);
    assert_string_equal(d->firmware, "PM-7 0042");
    assert_int_equal(d->scope, SCOPE_NODE);
    assert_memory_equal(d->driver, "power_meter, Linux ", 19);
    source_hwmon.close(s);
    fixture_fini(&f);
}

/* A power meter of the processors only is no meter of the machine. */
static void what_an_acpi_meter_measures_places_it(void **ctx)
{
    (void)ctx;
    struct fixture f;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    fixture_put(&f, CHIP "name", "power_meter\n");
    fixture_put(&f, CHIP "power1_average", "90000000\n");
    fixture_put(&f, CHIP "measures/LNXCPU:00", "");
    fixture_put(&f, CHIP "measures/LNXCPU:01", "");
    struct source *s = opened(&f, &d, 1);
    assert_int_equal(d->scope, SCOPE_CPU);
    source_hwmon.close(s);
    fixture_put(&f, CHIP "measures/device:1c", "");
    s = opened(&f, &d, 1);
    assert_int_equal(d->scope, SCOPE_OTHER);
    source_hwmon.close(s);
    fixture_fini(&f);
}

static void put_rail(const struct fixture *f, int n, const char *label, const char *mv,
                     const char *ma)
{
    char path[64];
    snprintf(path, sizeof(path), CHIP "in%d_label", n);
    fixture_put(f, path, label);
    snprintf(path, sizeof(path), CHIP "in%d_input", n);
    fixture_put(f, path, mv);
    snprintf(path, sizeof(path), CHIP "curr%d_input", n);
    fixture_put(f, path, ma);
    snprintf(path, sizeof(path), CHIP "in%d_enable", n);
    fixture_put(f, path, "1\n");
}

/* A Jetson: no NVML, three rails, of which the first feeds the two others. */
static void rails_are_voltage_times_current(void **ctx)
{
    (void)ctx;
    struct fixture f;
    const struct channel_desc *d = NULL;
    struct reading r[3];
    fixture_init(&f);
    fixture_put(&f, CHIP "name", "ina3221\n");
    put_rail(&f, 1, "VDD_IN\n", "19000\n", "1500\n");
    put_rail(&f, 2, "VDD_CPU_CV\n", "19000\n", "400\n");
    put_rail(&f, 3, "VDD_GPU_SOC\n", "19000\n", "600\n");
    fixture_put(&f, CHIP "in4_input", "80\n"); /* a shunt, not a rail */
    fixture_put(&f, CHIP "curr4_input", "2500\n");
    struct source *s = opened(&f, &d, 3);
    assert_int_equal(d[0].scope, SCOPE_MODULE);
    assert_int_equal(d[1].scope, SCOPE_CPU);
    assert_int_equal(d[2].scope, SCOPE_GPU);
    assert_int_equal(d[1].parent, 0);
    assert_int_equal(d[2].parent, 0);
    source_hwmon.read(s, NS_PER_S, r);
    assert_int_equal(r[0].state, READING_OK);
    assert_int_equal(r[0].value, 28500000);
    assert_int_equal(r[2].value, 11400000);
    fixture_put(&f, CHIP "curr2_input", "\n");
    fixture_put(&f, CHIP "in3_enable", "0\n");
    source_hwmon.read(s, 2 * NS_PER_S, r);
    assert_int_equal(r[1].state, READING_GARBLED); /* half a product is none */
    assert_int_equal(r[2].state, READING_DISABLED);
    source_hwmon.close(s);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accuracy_interval_and_maker_are_kept),
        cmocka_unit_test(what_an_acpi_meter_measures_places_it),
        cmocka_unit_test(rails_are_voltage_times_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
