/* Power monitors of the IIO subsystem, on trees as its drivers make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/source.h"
#include "tests/support/fixture.h"

#define I2C   "sys/devices/pci0000:00/i2c-5/5-0041/"
#define CHIP  I2C "iio:device0/"
#define CLASS "sys/bus/iio/devices/"

extern const struct source_ops source_iio;

static struct source *opened(const struct fixture *f, const struct channel_desc **d, size_t expect)
{
    struct source *s = NULL;
    const struct meter_config cfg = {.sysfs_root = f->root, .period_ns = 100 * NS_PER_MS};
    assert_int_equal(source_iio.open(&s, &cfg, NULL), 0);
    assert_int_equal(source_iio.channels(s, d), expect);
    return s;
}

/* As ina2xx-adc shows an INA226. */
static void put_ina226(const struct fixture *f, const char *times)
{
    fixture_link(f, CLASS "iio:device0", "../../../devices/pci0000:00/i2c-5/5-0041/iio:device0");
    fixture_put(f, CHIP "name", "ina226\n");
    fixture_put(f, CHIP "in_power2_raw", "256\n");
    fixture_put(f, CHIP "in_power2_scale", "6.250000000\n");
    fixture_put(f, CHIP "in_voltage0_raw", "11\n");
    fixture_put(f, CHIP "in_voltage0_scale", "0.002500000\n");
    fixture_put(f, CHIP "in_voltage0_integration_time", "0.001100\n");
    fixture_put(f, CHIP "in_voltage1_raw", "9600\n");
    fixture_put(f, CHIP "in_voltage1_scale", "1.250000000\n");
    fixture_put(f, CHIP "in_voltage1_integration_time", "0.001100\n");
    fixture_put(f, CHIP "in_current3_raw", "133\n");
    fixture_put(f, CHIP "in_current3_scale", "1\n");
    fixture_put(f, CHIP "in_oversampling_ratio", times);
    fixture_put(f, CHIP "in_sampling_frequency", "455\n");
}

static void monitor_is_described_and_read(void **ctx)
{
    (void)ctx;
    struct fixture f;
    const struct channel_desc *d = NULL;
    struct reading r;
    fixture_init(&f);
    put_ina226(&f, "1\n");
    struct source *s = opened(&f, &d, 1);
    assert_string_equal(d->uid, "iio/devices/pci0000:00/i2c-5/5-0041/ina226/power2");
    assert_string_equal(d->label, "ina226 power2");
    assert_string_equal(d->device, "5-0041");
    assert_memory_equal(d->driver, "ina226, Linux ", 14);
    assert_int_equal(d->kind, CHANNEL_GAUGE); /* 2.2 ms are an instant at 10 Hz */
    assert_int_equal(d->box_ns, 2200000);
    assert_int_equal(d->scope, SCOPE_OTHER);
    source_iio.read(s, NS_PER_S, &r);
    assert_int_equal(r.state, READING_OK);
    assert_int_equal(r.value, 1600000);
    fixture_put(&f, CHIP "in_power2_raw", "257\n");
    source_iio.read(s, 2 * NS_PER_S, &r);
    assert_int_equal(r.value, 1606250);
    fixture_put(&f, CHIP "in_power2_raw", "\n");
    source_iio.read(s, 3 * NS_PER_S, &r);
    assert_int_equal(r.state, READING_GARBLED);
    fixture_put(&f, CHIP "in_power2_raw", "9223372036854775806\n");
    source_iio.read(s, 4 * NS_PER_S, &r);
    assert_int_equal(r.state, READING_IMPLAUSIBLE);
    source_iio.close(s);
    fixture_fini(&f);
}

/* A chip that is told to average for longer than the sampling period gives a mean. */
static void long_integration_is_an_average(void **ctx)
{
    (void)ctx;
    struct fixture f;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    put_ina226(&f, "64\n");
    struct source *s = opened(&f, &d, 1);
    assert_int_equal(d->kind, CHANNEL_AVERAGE);
    assert_int_equal(d->box_ns, 140800000);
    assert_int_equal(d->period_ns, 140800000);
    source_iio.close(s);
    fixture_fini(&f);
}

static void counters_and_products(void **ctx)
{
    (void)ctx;
    struct fixture f;
    const struct channel_desc *d = NULL;
    struct reading r[4];
    fixture_init(&f);
    fixture_put(&f, CLASS "iio:device0/name", "pac1934\n");
    fixture_put(&f, CLASS "iio:device0/label", "board rails\n");
    fixture_put(&f, CLASS "iio:device0/in_energy1_raw", "1000\n");
    fixture_put(&f, CLASS "iio:device0/in_energy1_scale", "0.000512\n");
    fixture_put(&f, CLASS "iio:device0/in_power1_raw", "2000\n");
    fixture_put(&f, CLASS "iio:device0/in_power_scale", "0.5\n"); /* shared by all of a kind */
    fixture_put(&f, CLASS "iio:device1/name", "adc\n");
    fixture_put(&f, CLASS "iio:device1/in_voltage0_raw", "12000\n");
    fixture_put(&f, CLASS "iio:device1/in_voltage_scale", "1.0\n");
    fixture_put(&f, CLASS "iio:device1/in_current0_raw", "-1500\n");
    fixture_put(&f, CLASS "iio:device1/in_voltage1_raw", "3300\n"); /* no current beside it */
    fixture_put(&f, CLASS "iio:device2/name", "bme280\n");
    fixture_put(&f, CLASS "iio:device2/in_temp_input", "23000\n");
    fixture_put(&f, CLASS "iio:device3/name", "odd\n");
    fixture_put(&f, CLASS "iio:device3/in_power0_raw", "1\n");
    fixture_put(&f, CLASS "iio:device3/in_power0_scale", "1 mW\n"); /* not understood: no channel */
    struct source *s = opened(&f, &d, 3);
    source_iio.read(s, NS_PER_S, r);
    assert_int_equal(d[0].kind, CHANNEL_COUNTER);
    assert_string_equal(d[0].label, "board rails energy1");
    assert_int_equal(r[0].value, 512000);
    assert_int_equal(d[1].mirror_of, 0);
    assert_int_equal(r[1].value, 1000000);
    assert_int_equal(r[2].value, -18000000); /* a current that flows back */
    source_iio.close(s);
    fixture_fini(&f);
}

static void none_is_none(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    fixture_init(&f);
    const struct meter_config cfg = {.sysfs_root = f.root};
    assert_int_equal(source_iio.open(&s, &cfg, NULL), 1);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monitor_is_described_and_read),
        cmocka_unit_test(long_integration_is_an_average),
        cmocka_unit_test(counters_and_products),
        cmocka_unit_test(none_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
