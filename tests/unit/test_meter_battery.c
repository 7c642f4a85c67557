/* The machine's battery and Cray's node counters, on fixture trees. */
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

#define S     NS_PER_S
#define BAT   "sys/class/power_supply/BAT0/"
#define OTHER "sys/class/power_supply/BAT1/"
#define CRAY  "sys/cray/pm_counters/"

extern const struct source_ops source_battery;
extern const struct source_ops source_cray;

static struct reading read_one(const struct source_ops *ops, struct source *s, int64_t ns)
{
    struct reading r[16];
    ops->read(s, ns, r);
    return r[0];
}

static void put_battery(const struct fixture *f, const char *status)
{
    fixture_put(f, BAT "type", "Battery\n");
    fixture_put(f, BAT "status", status);
    fixture_put(f, BAT "power_now", "12500000\n");
}

static void only_a_discharging_battery_is_the_machine(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    fixture_init(&f);
    const struct meter_config cfg = {.sysfs_root = f.root};
    fixture_put(&f, "sys/class/power_supply/AC/type", "Mains\n");
    fixture_put(&f, "sys/class/power_supply/mouse/type", "Battery\n");
    fixture_put(&f, "sys/class/power_supply/mouse/scope", "Device\n");
    fixture_put(&f, "sys/class/power_supply/mouse/power_now", "1000\n");
    assert_int_equal(source_battery.open(&s, &cfg, NULL), 1); /* none of the machine's own */
    put_battery(&f, "Discharging\n");
    fixture_put(&f, BAT "model_name", "X1\n");
    assert_int_equal(source_battery.open(&s, &cfg, NULL), 0);
    assert_int_equal(source_battery.channels(s, &d), 1);
    assert_int_equal(d->scope, SCOPE_NODE);
    assert_string_equal(d->firmware, "X1");
    struct reading r = read_one(&source_battery, s, 1 * S);
    assert_int_equal(r.state, READING_OK);
    assert_int_equal(r.value, 12500000);
    static const char *const others[] = {"Charging\n", "Full\n", "Not charging\n", "Unknown\n", ""};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        fixture_put(&f, BAT "status", others[i]);
        assert_int_equal(read_one(&source_battery, s, 1 * S).state, READING_DISABLED);
    }
    fixture_put(&f, BAT "status", "Discharging\n");
    fixture_put(&f, BAT "power_now", "0\n");
    assert_int_equal(read_one(&source_battery, s, 1 * S).state, READING_IMPLAUSIBLE);
    source_battery.close(s);
    fixture_fini(&f);
}

static void current_times_voltage_and_two_batteries(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    fixture_init(&f);
    const struct meter_config cfg = {.sysfs_root = f.root};
    put_battery(&f, "Discharging\n");
    fixture_put(&f, OTHER "type", "Battery\n");
    fixture_put(&f, OTHER "status", "Discharging\n");
    fixture_put(&f, OTHER "current_now", "-1500000\n"); /* out of it: 1.5 A at 12 V */
    fixture_put(&f, OTHER "voltage_now", "12000000\n");
    assert_int_equal(source_battery.open(&s, &cfg, NULL), 0);
    struct reading r = read_one(&source_battery, s, 1 * S);
    assert_int_equal(r.state, READING_OK);
    assert_int_equal(r.value, 12500000 + 18000000);
    fixture_put(&f, OTHER "voltage_now", "\n");
    assert_int_equal(read_one(&source_battery, s, 1 * S).state, READING_GARBLED);
    fixture_put(&f, OTHER "status", "Charging\n"); /* then mains feeds the machine */
    assert_int_equal(read_one(&source_battery, s, 1 * S).state, READING_DISABLED);
    source_battery.close(s);
    fixture_fini(&f);
}

static void cray_counters_say_when_they_are_stale_or_new(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    struct reading r[16];
    fixture_init(&f);
    const struct meter_config cfg = {.sysfs_root = f.root};
    assert_int_equal(source_cray.open(&s, &cfg, NULL), 1);
    fixture_put(&f, CRAY "energy", "123456 J\n");
    fixture_put(&f, CRAY "cpu_energy", "1000 J 1700000000000000 us\n");
    fixture_put(&f, CRAY "accel0_energy", "77 J\n");
    fixture_put(&f, CRAY "generation", "3\n");
    fixture_put(&f, CRAY "freshness", "10\n");
    assert_int_equal(source_cray.open(&s, &cfg, NULL), 0);
    assert_int_equal(source_cray.channels(s, &d), 3);
    assert_int_equal(d[0].scope, SCOPE_NODE);
    assert_int_equal(d[1].parent, 0);
    assert_int_equal(d[2].scope, SCOPE_GPU);
    source_cray.read(s, 10 * S, r);
    assert_int_equal(r[0].state, READING_OK);
    assert_int_equal(r[0].value, INT64_C(123456000000));
    assert_int_equal(r[1].value, INT64_C(1000000000));
    assert_int_equal(r[0].era, 0); /* the register runs on: a restart may be bridged */
    source_cray.read(s, 13 * S, r);
    assert_int_equal(r[0].state, READING_STALE); /* freshness stood still for 3 s */
    fixture_put(&f, CRAY "freshness", "11\n");
    fixture_put(&f, CRAY "generation", "4\n");
    source_cray.read(s, 14 * S, r);
    assert_int_equal(r[0].state, READING_OK);
    assert_int_equal(r[0].era, 1);
    static const char *const garbage[] = {"", "J\n", "12 W\n", "-5 J\n", "12J\n", "0x1 J\n"};
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        fixture_put(&f, CRAY "energy", garbage[i]);
        source_cray.read(s, 14 * S, r);
        assert_int_equal(r[0].state, READING_GARBLED);
    }
    fixture_put(&f, CRAY "energy", "9223372036854 J\n");
    source_cray.read(s, 14 * S, r);
    assert_int_equal(r[0].state, READING_OK);
    fixture_put(&f, CRAY "energy", "9223372036855 J\n");
    source_cray.read(s, 14 * S, r);
    assert_int_equal(r[0].state, READING_IMPLAUSIBLE);
    fixture_remove(&f, CRAY "energy");
    source_cray.read(s, 14 * S, r);
    assert_int_equal(r[0].state, READING_GONE);
    source_cray.close(s);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_discharging_battery_is_the_machine),
        cmocka_unit_test(current_times_voltage_and_two_batteries),
        cmocka_unit_test(cray_counters_say_when_they_are_stale_or_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
