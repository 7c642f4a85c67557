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
#include "daemon/meter/gpu_procs.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/nvml.h"
#include "tests/support/fixture.h"

#define MS INT64_C(1000000)

extern const struct source_ops source_nvml;

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
    assert_int_equal(meter_count(m), 20);
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
    assert_int_equal(meter_count(m), 9);
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

/* Asleep before it was ever seen: not even looked up, because that wakes it. The other one is. */
static void sleeping_gpu_is_not_woken_to_be_found(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "gpus 2\n");
    fixture_put(&dir, "sys/bus/pci/drivers/nvidia/0000:01:00.0/power/runtime_status",
                "suspended\n");
    fixture_put(&dir, "sys/bus/pci/drivers/nvidia/0000:02:00.0/power/runtime_status", "active\n");
    struct meter *m = look();
    assert_int_equal(meter_count(m), 10);
    assert_string_equal(meter_channel(m, 0)->desc.uid,
                        "nvml/GPU-fa4e0000-0000-0000-0000-000000000001/energy");
    meter_close(m);
    fixture_put(&dir, "sys/bus/pci/drivers/nvidia/0000:02:00.0/power/runtime_status",
                "suspended\n");
    m = look();
    assert_int_equal(meter_count(m), 0);
    meter_close(m);
}

static size_t ticks_of(struct meter *m, uint32_t group)
{
    size_t n = 0;
    for (struct tick *t; (t = ring_peek(meter_ring(m))); ring_pop(meter_ring(m))) {
        n += t->group == group && tick_states(t)[0] == READING_OK;
    }
    return n;
}

static void one_hung_gpu_holds_up_no_other(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "gpus 2\n");
    struct meter *m = look();
    size_t first = find(m, "000000000000/energy");
    size_t second = find(m, "000000000001/energy");
    uint32_t group = meter_channel(m, second)->group;
    assert_true(meter_channel(m, first)->group != group);
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, first, READING_OK, 3000), READING_OK);
    fixture_put(&dir, "control", "gpus 2\nhang@0 1\n");
    assert_int_equal(wait_state(m, first, READING_STALE, 8000), READING_STALE);
    (void)ticks_of(m, group);
    int64_t t0 = clock_mono_ns();
    rest_ms(1000);
    size_t n = ticks_of(m, group);
    int64_t periods = (clock_mono_ns() - t0) / (100 * MS);
    assert_true((int64_t)n >= periods / 2);
    t0 = clock_mono_ns();
    meter_close(m);
    assert_true(clock_mono_ns() - t0 < 5000 * MS);
    fixture_put(&dir, "control", "hang 0\n");
    rest_ms(300);
}

/* Grace Hopper before its driver tells them apart: the module is all there is, and is called that. */
static void module_alone_is_called_module(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "no_energy 1\nno_power 1\nmodule_mw 800000\n");
    struct meter *m = look();
    const struct channel_desc *d = &meter_channel(m, 0)->desc;
    assert_string_equal(d->uid, "nvml/GPU-fa4e0000-0000-0000-0000-000000000000/module_average");
    assert_int_equal(d->scope, SCOPE_MODULE);
    for (size_t i = 0; i < meter_count(m); i++) {
        d = &meter_channel(m, i)->desc;
        assert_true(d->kind == CHANNEL_COMPANION || d->scope == SCOPE_MODULE);
    }
    meter_close(m);
}

static void module_contains_gpu_and_gpu_its_memory(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "module_mw 800000\nmemory_mw 40000\n");
    struct meter *m = look();
    size_t module = find(m, "/module_average");
    size_t energy = find(m, "/energy");
    assert_int_equal(meter_channel(m, energy)->desc.parent, module);
    assert_int_equal(meter_channel(m, find(m, "/power_instant"))->desc.parent, module);
    assert_int_equal(meter_channel(m, find(m, "/power_instant"))->desc.mirror_of, energy);
    assert_int_equal(meter_channel(m, find(m, "/memory_instant"))->desc.parent, energy);
    assert_int_equal(meter_channel(m, find(m, "/module_instant"))->desc.mirror_of, module);
    const struct channel_desc *d = &meter_channel(m, energy)->desc;
    assert_string_equal(d->device, "GPU-fa4e0000-0000-0000-0000-000000000000");
    assert_string_equal(d->driver, "nvidia 999.1");
    assert_string_equal(d->firmware, "96.00.61.00.01");
    meter_close(m);
}

/* What GetPowerUsage means depends on the chip; it is written down with the channel. */
static void power_usage_says_what_it_means(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "arch 6\n");
    struct meter *m = look();
    assert_int_equal(meter_channel(m, find(m, "/power"))->desc.kind, CHANNEL_GAUGE);
    meter_close(m);
    fixture_put(&dir, "control", "arch 7\nmig 1\n");
    m = look();
    const struct channel_desc *d = &meter_channel(m, find(m, "/power"))->desc;
    assert_int_equal(d->kind, CHANNEL_AVERAGE);
    assert_int_equal(d->box_ns, 1000 * MS);
    assert_non_null(strstr(d->covers, "all MIG"));
    for (size_t i = 0; i < meter_count(m); i++) { /* not told is not 0 */
        assert_null(strstr(meter_channel(m, i)->desc.uid, "/busy"));
    }
    meter_close(m);
}

/* 593 W at idle on a card that is limited to 175 W: refused, whatever the driver says. */
static void power_beyond_the_limit_is_refused(void **ctx)
{
    (void)ctx;
    fixture_put(&dir, "control", "limit_mw 175000\npower_mw 593000\n");
    struct meter *m = look();
    size_t power = find(m, "/power");
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    assert_int_equal(wait_state(m, power, READING_IMPLAUSIBLE, 3000), READING_IMPLAUSIBLE);
    fixture_put(&dir, "control", "limit_mw 175000\npower_mw 150000\n");
    assert_int_equal(wait_state(m, power, READING_OK, 3000), READING_OK);
    meter_close(m);
}

/* The library works again only after its last user has let go, as after a driver's reload. */
static void lost_gpu_comes_back(void **ctx)
{
    (void)ctx;
    struct meter_config cfg = {.sysfs_root = dir.root, .nvml_path = library, .instance = 0};
    struct source *s = NULL;
    const struct channel_desc *descs = NULL;
    struct reading r[32];
    assert_int_equal(source_nvml.open(&s, &cfg, NULL), 0);
    assert_true(source_nvml.channels(s, &descs) <= ARRAY_LEN(r));
    source_nvml.read(s, clock_boot_ns(), r);
    assert_int_equal(r[0].state, READING_OK);
    int64_t t = clock_boot_ns();
    fixture_put(&dir, "control", "error 15\n");
    source_nvml.read(s, t, r);
    assert_int_equal(r[0].state, READING_GONE);
    source_nvml.read(s, t + 3 * NS_PER_S, r); /* lets go of the library */
    assert_int_equal(r[0].state, READING_GONE);
    fixture_put(&dir, "control", "init_error 9\n");
    source_nvml.read(s, t + 14 * NS_PER_S, r);
    assert_int_equal(r[0].state, READING_GONE);
    fixture_put(&dir, "control", "gpus 1\n");
    source_nvml.read(s, t + 15 * NS_PER_S, r); /* not at every tick */
    assert_int_equal(r[0].state, READING_GONE);
    source_nvml.read(s, t + 25 * NS_PER_S, r);
    assert_int_equal(r[0].state, READING_OK);
    source_nvml.close(s);
}

/* One source read at those times, into a list of who is there. */
static void see_who(struct gpu_procs *p, struct gpu_use *out)
{
    struct meter_config cfg = {.sysfs_root = dir.root, .nvml_path = library, .gpu_procs = p};
    struct source *s = NULL;
    struct reading r[32];
    int64_t now = clock_boot_ns();
    assert_int_equal(source_nvml.open(&s, &cfg, NULL), 0);
    for (int i = 0; i < 3; i++) {
        source_nvml.read(s, now + i * 3 * NS_PER_S, r);
    }
    source_nvml.close(s);
    assert_true(gpu_procs_get(p, 0, now, out));
}

static void processes_are_listed_without_the_dead(void **ctx)
{
    (void)ctx;
    struct gpu_procs *p = gpu_procs_new();
    struct gpu_use u;
    fixture_put(&dir, "proc/71/stat", "71 (a) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 500 0\n");
    fixture_put(&dir, "proc/72/stat", "72 (b) Z 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 501 0\n");
    fixture_put(&dir, "proc/74/stat", "74 (d) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 502 0\n");
    fixture_put(&dir, "control",
                "busy 60\nproc_71 4096\nproc_72 1\nproc_73 1\nproc_74 -1\n"
                "use_71 60\nuse_72 30\nuse_74 4000000\nuse_99 10\n");
    see_who(p, &u);
    assert_int_equal(u.state, READING_OK);
    assert_int_equal(u.busy_ppm, 600000);
    assert_int_equal(u.n, 2); /* 72 is a zombie, 73 is gone, 99 is not listed */
    assert_int_equal(u.procs[0].pid, 71);
    assert_int_equal(u.procs[0].memory_bytes, 4096);
    assert_int_equal(u.procs[0].busy_ppm, 600000);
    assert_true(u.procs[0].compute);
    assert_int_equal(u.procs[0].uid, (int64_t)getuid());
    assert_int_equal(u.procs[1].memory_bytes, -1); /* not told is not all there is */
    assert_int_equal(u.procs[1].busy_ppm, 0);      /* more than 100 % is no sample */
    gpu_procs_unref(p);
}

static void use_on_a_divided_board_is_unknown(void **ctx)
{
    (void)ctx;
    struct gpu_procs *p = gpu_procs_new();
    struct gpu_use u;
    fixture_put(&dir, "proc/71/stat", "71 (a) S 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 500 0\n");
    fixture_put(&dir, "control", "mig 1\nbusy 60\nproc_71 4096\nuse_71 60\n");
    see_who(p, &u);
    assert_int_equal(u.n, 1);
    assert_int_equal(u.procs[0].busy_ppm, -1);
    assert_int_equal(u.busy_ppm, -1);
    gpu_procs_unref(p);
}

/* Of what the driver reports, what a program can cause says nothing against the GPU. One that may sleep is not watched. */
static void xids_that_take_a_reset(void **ctx)
{
    (void)ctx;
    struct nvml c = {0};
    nvml_device device = NULL;
    struct nvml_watch w = {0};
    char power[128];
    assert_true(nvml_load(&c, library));
    assert_int_equal(c.init(), NVML_OK);
    assert_int_equal(c.by_index(0, &device), NVML_OK);
    nvml_watch_open(&c, device, NULL, &w);
    fixture_put(&dir, "control", "xid 13\n");
    nvml_watch_look(&c, &w);
    assert_int_equal(w.xid, 0);
    fixture_put(&dir, "control", "xid 79\n");
    nvml_watch_look(&c, &w);
    assert_int_equal(w.xid, 79);
    int64_t seen_ns = w.xid_ns;
    assert_true(seen_ns > 0);
    nvml_watch_look(&c, &w); /* no other since */
    assert_int_equal(w.xid_ns, seen_ns);
    nvml_watch_close(&c, &w);
    fixture_put(&dir, "power/control", "auto\n");
    snprintf(power, sizeof(power), "%s/power", dir.root);
    nvml_watch_open(&c, device, power, &w);
    assert_null(w.set);
    nvml_watch_look(&c, &w);
    fixture_put(&dir, "power/control", "on\n");
    nvml_watch_open(&c, device, power, &w);
    assert_non_null(w.set);
    nvml_watch_close(&c, &w);
    assert_int_equal(c.shutdown(), NVML_OK);
    nvml_unload(&c);
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
        WITH_DIR(xids_that_take_a_reset),
        WITH_DIR(sleeping_gpu_is_not_woken_to_be_found),
        WITH_DIR(one_hung_gpu_holds_up_no_other),
        WITH_DIR(module_alone_is_called_module),
        WITH_DIR(module_contains_gpu_and_gpu_its_memory),
        WITH_DIR(power_usage_says_what_it_means),
        WITH_DIR(power_beyond_the_limit_is_refused),
        WITH_DIR(lost_gpu_comes_back),
        WITH_DIR(processes_are_listed_without_the_dead),
        WITH_DIR(use_on_a_divided_board_is_unknown),
        WITH_DIR(named_library_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
