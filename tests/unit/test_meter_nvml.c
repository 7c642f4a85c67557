/* The NVML source against a library of our own: values, errors, a reset, a hang. */
#include <inttypes.h>
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
#include "tests/support/fixture.h"

#define MS INT64_C(1000000)

static struct fixture dir;
static char library[512];

static void rest_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS};
    nanosleep(&t, NULL);
}

static int setup(void **ctx)
{
    (void)ctx;
    char path[128];
    fixture_init(&dir);
    fixture_put(&dir, "control", "gpus 1\n");
    snprintf(path, sizeof(path), "%s/control", dir.root);
    return setenv("FAKE_NVML_CONTROL", path, 1);
}

static int teardown(void **ctx)
{
    (void)ctx;
    fixture_fini(&dir);
    return 0;
}

static struct meter *look(void)
{
    struct meter_config cfg = {.sysfs_root = dir.root, .nvml_path = library, .disable = "estimate"};
    struct meter *m = NULL;
    struct err e = {0};
    assert_int_equal(meter_open(&m, &cfg, &e), 0);
    return m;
}

static size_t find(struct meter *m, const char *end)
{
    for (size_t i = 0; i < meter_count(m); i++) {
        const char *uid = meter_channel(m, i)->desc.uid;
        if (strlen(uid) > strlen(end) && strcmp(uid + strlen(uid) - strlen(end), end) == 0) {
            return i;
        }
    }
    fail_msg("no channel ...%s", end);
    return 0;
}

static enum reading_state wait_state(struct meter *m, size_t i, enum reading_state want, int64_t ms)
{
    struct meter_status s = {0};
    for (; ms > 0; ms -= 20) {
        meter_get_status(m, i, &s);
        if (s.state == want) {
            break;
        }
        rest_ms(20);
    }
    return s.state;
}

static void gpus_are_described(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "gpus 2\nlimit_mw 700000\n");
    struct meter *m = look();
    assert_int_equal(meter_count(m), 14);
    const struct channel_desc *energy = &meter_channel(m, find(m, "000000000001/energy"))->desc;
    assert_string_equal(energy->uid, "nvml/GPU-fa4e0000-0000-0000-0000-000000000001/energy");
    assert_int_equal(energy->kind, CHANNEL_COUNTER);
    assert_int_equal(energy->quantum, 1000);
    assert_int_equal(energy->wrap_uj, 0);
    assert_int_equal(energy->scope, SCOPE_GPU);
    assert_int_equal(energy->pmax_uw, INT64_C(1050000000));
    assert_int_equal(meter_channel(m, find(m, "000000000000/power"))->desc.kind, CHANNEL_AVERAGE);
    assert_int_equal(meter_channel(m, find(m, "000000000000/power_instant"))->desc.kind,
                     CHANNEL_GAUGE);
    assert_int_equal(meter_group_period_ns(m, meter_channel(m, 0)->group), 100 * MS);
    assert_true(meter_channel(m, 0)->group != 0);
    meter_close(m);
}

/* Board without an energy counter: its power is all there is, and is not called a counter. */
static void without_counter_there_is_power(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "no_energy 1\n");
    struct meter *m = look();
    assert_int_equal(meter_count(m), 6);
    assert_int_equal(meter_channel(m, 0)->desc.kind, CHANNEL_AVERAGE);
    assert_int_equal(meter_channel(m, 0)->desc.mirror_of, -1);
    meter_close(m);
}

static void readings_arrive_with_their_own_stamps(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "power_mw 250000\n");
    struct meter *m = look();
    size_t energy = find(m, "/energy");
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    rest_ms(1000);
    meter_stop(m);
    int64_t first = 0;
    int64_t t0 = 0;
    int64_t value = 0;
    int64_t t1 = 0;
    int64_t index = -1;
    for (struct tick *t; (t = ring_peek(meter_ring(m))); ring_pop(meter_ring(m))) {
        if (t->group != meter_channel(m, energy)->group) {
            continue;
        }
        assert_true(t->index > index);
        index = t->index;
        value = tick_values(t)[meter_channel(m, energy)->slot];
        t1 = t->before_ns;
        first = t0 ? first : value;
        t0 = t0 ? t0 : t1;
    }
    assert_true(t1 - t0 > 500 * MS);
    int64_t expected = (t1 - t0) / 4; /* 250 W: 1 uJ in 4 ns */
    assert_true(llabs(value - first - expected) < 2 * 20 * 250000);
    struct meter_status s;
    meter_get_status(m, find(m, "/power_instant"), &s);
    assert_int_equal(s.last_value, 250000000);
    meter_get_status(m, find(m, "/clock_sm"), &s);
    assert_int_equal(s.last_value, 1980000);
    meter_get_status(m, find(m, "/throttle"), &s);
    assert_int_equal(s.last_value, 4);
    meter_close(m);
}

static void errors_have_reasons(void **ctx)
{
    (void)ctx;
    struct meter *m = look();
    size_t energy = find(m, "/energy");
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    static const struct {
        int code;
        enum reading_state state;
    } cases[] = {{15, READING_GONE}, {4, READING_NO_PERMISSION}, {999, READING_IO}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_putf(&dir, "control", "error %d\n", cases[i].code);
        assert_int_equal(wait_state(m, energy, cases[i].state, 3000), cases[i].state);
    }
    fixture_put(&dir, "control", "sentinel 1\n");
    assert_int_equal(wait_state(m, energy, READING_IMPLAUSIBLE, 3000), READING_IMPLAUSIBLE);
    assert_int_equal(wait_state(m, find(m, "/power"), READING_IMPLAUSIBLE, 3000),
                     READING_IMPLAUSIBLE);
    fixture_put(&dir, "control", "gpus 1\n");
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    meter_close(m);
}

/* The driver is loaded again: the counter starts from 0, the curve goes on, the break is marked. */
static void driver_reload_is_a_reset(void **ctx)
{
    (void)ctx;
    struct meter *m = look();
    size_t energy = find(m, "/energy");
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    rest_ms(400);
    fixture_putf(&dir, "control", "reset_ns %" PRId64 "\n", clock_boot_ns());
    rest_ms(600);
    meter_stop(m);
    int resets = 0;
    int64_t value = 0;
    for (struct tick *t; (t = ring_peek(meter_ring(m))); ring_pop(meter_ring(m))) {
        if (t->group == meter_channel(m, energy)->group) {
            uint32_t slot = meter_channel(m, energy)->slot;
            assert_true(tick_values(t)[slot] >= value);
            value = tick_values(t)[slot];
            resets += (tick_states(t)[slot] & TICK_RESET) != 0;
        }
    }
    assert_int_equal(resets, 1);
    meter_close(m);
}

/* A driver that hangs: its channels go stale, the fast group goes on, edges are answered, and when it
 * comes back so do the readings. Closing while it hangs does not hang. */
static void hang_stays_in_its_own_thread(void **ctx)
{
    (void)ctx;
    fixture_zone(&dir, "intel-rapl:0", "package-0", 1000, 1000000000);
    struct meter *m = look();
    size_t energy = find(m, "/energy");
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    fixture_put(&dir, "control", "hang 1\n");
    assert_int_equal(wait_state(m, energy, READING_STALE, 6000), READING_STALE);
    struct meter_status s;
    meter_get_status(m, 0, &s);
    assert_int_equal(s.state, READING_OK);
    assert_true(clock_boot_ns() - s.last_ns < 1000 * MS);
    fixture_put(&dir, "control", "hang 0\n");
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    fixture_put(&dir, "control", "hang 1\n");
    rest_ms(300);
    int64_t t0 = clock_mono_ns();
    meter_close(m);
    assert_true(clock_mono_ns() - t0 < 5000 * MS);
    fixture_put(&dir, "control", "hang 0\n");
    rest_ms(300);
}

static void suspended_gpu_is_left_asleep(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "sys/bus/pci/devices/0000:01:00.0/power/runtime_status", "active\n");
    struct meter *m = look();
    size_t energy = find(m, "/energy");
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, energy, READING_OK, 3000), READING_OK);
    fixture_put(&dir, "sys/bus/pci/devices/0000:01:00.0/power/runtime_status", "suspended\n");
    assert_int_equal(wait_state(m, energy, READING_ASLEEP, 3000), READING_ASLEEP);
    meter_close(m);
}

static void named_library_must_exist(void **ctx)
{
    (void)ctx;
    struct meter_config cfg = {.sysfs_root = dir.root,
                               .nvml_path = "/nonexistent/libnvidia-ml.so.1"};
    struct meter *m = NULL;
    struct err e = {0};
    assert_int_equal(meter_open(&m, &cfg, &e), WATTQ_E_UNAVAILABLE);
    assert_non_null(strstr(e.text, "/nonexistent"));
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const char *bin = getenv("WATTQ_BIN");
    snprintf(library, sizeof(library), "%s/tests/support/fake/libnvidia-ml.so.1", bin ? bin : ".");
    if (access(library, R_OK) != 0) {
        printf("skipped: %s is not built; set WATTQ_BIN to the build directory\n", library);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        WITH_DIR(gpus_are_described),
        WITH_DIR(without_counter_there_is_power),
        WITH_DIR(readings_arrive_with_their_own_stamps),
        WITH_DIR(errors_have_reasons),
        WITH_DIR(driver_reload_is_a_reset),
        WITH_DIR(hang_stays_in_its_own_thread),
        WITH_DIR(suspended_gpu_is_left_asleep),
        WITH_DIR(named_library_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
