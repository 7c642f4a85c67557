/* Single sources: strict numbers, sysfs files that fail, formula arithmetic, replay, estimate, slots. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
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
#include "daemon/meter/attr.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/script_formula.h"
#include "daemon/meter/slots.h"
#include "tests/support/fixture.h"

#define MS INT64_C(1000000)
#define S  INT64_C(1000000000)

static void rest_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS};
    nanosleep(&t, NULL);
}

/* ---- numbers ----------------------------------------------------------------------------------- */

static void only_whole_numbers_are_numbers(void **ctx)
{
    (void)ctx;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {{"0\n", true, 0},
                 {"12", true, 12},
                 {"-5\n", true, -5},
                 {"9223372036854775807\n", true, INT64_MAX},
                 {"9223372036854775808", false, 0},
                 {"", false, 0},
                 {"\n", false, 0},
                 {"-", false, 0},
                 {"-\n", false, 0},
                 {" 1", false, 0},
                 {"1 ", false, 0},
                 {"1\n\n", false, 0},
                 {"12 W", false, 0},
                 {"0x10", false, 0},
                 {"+1", false, 0},
                 {"1.5", false, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t v = 0;
        assert_int_equal(attr_parse(cases[i].text, strlen(cases[i].text), &v), cases[i].ok);
        assert_int_equal(v, cases[i].value);
    }
}

static void files_that_fail_have_reasons(void **ctx)
{
    (void)ctx;
    struct fixture f;
    char path[128];
    struct attr a;
    fixture_init(&f);
    snprintf(path, sizeof(path), "%s/x", f.root);
    attr_init(&a, path);
    assert_int_equal(attr_read(&a, 1 * S).state, READING_GONE);
    fixture_put(&f, "x", "17\n");
    assert_int_equal(attr_read(&a, 2 * S).state, READING_GONE); /* not touched again so soon */
    struct reading r = attr_read(&a, 12 * S);
    assert_int_equal(r.state, READING_OK);
    assert_int_equal(r.value, 17);
    static const char *const garbage[] = {"", "\n", "none\n", "1\n2\n"};
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        fixture_put(&f, "x", garbage[i]);
        assert_int_equal(attr_read(&a, 12 * S).state, READING_GARBLED);
    }
    fixture_put(&f, "x",
                "00000000000000000000000000000000000000000000000000000000000000000000001\n");
    assert_int_equal(attr_read(&a, 12 * S).state, READING_GARBLED);
    fixture_put(&f, "x", "4294967295000\n");
    assert_int_equal(attr_read(&a, 12 * S).state, READING_IMPLAUSIBLE);
    fixture_put(&f, "x", "18\n");
    assert_int_equal(attr_read(&a, 12 * S).value, 18);
    attr_fini(&a);
    fixture_fini(&f);
    assert_int_equal(attr_state(EPERM), READING_NO_PERMISSION);
    assert_int_equal(attr_state(ENODATA), READING_DISABLED);
    assert_int_equal(attr_state(ENODEV), READING_GONE);
    assert_int_equal(attr_state(EOPNOTSUPP), READING_UNSUPPORTED);
    assert_int_equal(attr_state(EIO), READING_IO);
}

/* A read of a directory fails with EISDIR each time: an I/O error is tried again at once. */
static void io_errors_are_tried_again_at_once(void **ctx)
{
    (void)ctx;
    struct fixture f;
    fixture_init(&f);
    struct attr a;
    attr_init(&a, f.root);
    assert_int_equal(attr_read(&a, 1 * S).state, READING_IO);
    assert_int_equal(a.retry_ns, 0);
    attr_fini(&a);
    fixture_fini(&f);
}

static void long_uids_stay_apart(void **ctx)
{
    (void)ctx;
    struct channel_desc a;
    struct channel_desc b;
    char path[300];
    memset(path, 'x', sizeof(path));
    path[299] = '\0';
    attr_uid(&a, "hwmon/a%s/power1", path);
    attr_uid(&b, "hwmon/b%s/power1", path);
    assert_int_equal(strlen(a.uid), sizeof(a.uid) - 1);
    assert_string_not_equal(a.uid, b.uid);
    assert_string_equal(a.uid + 18, b.uid + 18);
}

/* ---- formula ----------------------------------------------------------------------------------- */

static void formula_energy_is_the_exact_integral(void **ctx)
{
    (void)ctx;
    struct formula *f = NULL;
    assert_int_equal(
        formula_parse(&f,
                      "origin 1000\n"
                      "channel a kind=counter\nchannel s kind=counter\n"
                      "channel r kind=counter wrap=1000 quantum=7 period=10ms lag=5ms\n"
                      "power a = piecewise 0s:1W 2s:3W repeat 5s # comment\n"
                      "power s = sine 80W 20W 5s\n"
                      "power r = constant 1mW\nstart r 500\nreset r 2s\n",
                      NULL),
        0);
    assert_int_equal(formula_energy_uj(f, 0, 1000), 0);
    assert_int_equal(formula_energy_uj(f, 0, 1000 - S), 0);
    assert_int_equal(formula_energy_uj(f, 0, 1000 + S), 1000000);
    assert_int_equal(formula_energy_uj(f, 0, 1000 + 5 * S), 11000000);
    assert_int_equal(formula_energy_uj(f, 0, 1000 + 1000000 * 5 * S + 3 * S),
                     11000000000000 + 5000000);
    assert_int_equal(formula_power_uw(f, 0, 1000 + 2 * S), 3000000);
    assert_int_equal(formula_power_uw(f, 0, 1000 + 7 * S - 1), 1000000);
    /* steps of a sine are symmetric: a period carries its mean */
    assert_in_range(formula_energy_uj(f, 1, 1000 + 5 * S), 399999999, 400000001);
    /* register: at 0.5 s the refresh at 500 ms shows 495 ms: 500 + 495 uJ, in steps of 7, mod 1000 */
    assert_int_equal(formula_read(f, 2, 1000 + 509 * MS).value, 994);
    assert_int_equal(formula_read(f, 2, 1000 + 510 * MS).value, 1);   /* 1005 in steps of 7 */
    assert_int_equal(formula_read(f, 2, 1000 + 2105 * MS).value, 91); /* reset: 95 in steps of 7 */
    formula_free(f);
}

static void bad_formulas_are_refused_with_a_sentence(void **ctx)
{
    (void)ctx;
    static const char *const bad[] = {
        "",
        "channel a\npower a = constant 1W\n",
        "channel a kind=counter\n",
        "channel a kind=nothing\npower a = constant 1W\n",
        "channel a kind=counter parent=b\npower a = constant 1W\n",
        "channel a kind=counter quantum=0\npower a = constant 1W\n",
        "channel a kind=counter period=1\npower a = constant 1W\n",
        "channel a kind=counter\npower a = constant 1V\n",
        "channel a kind=counter\npower a = piecewise 1s:1W 1s:2W\n",
        "channel a kind=counter\npower a = sine 1W 2W 1s\n",
        "channel a kind=counter\npower b = constant 1W\n",
        "channel a kind=counter\npower a = constant 1W\nfail a 1s EIO\n",
        "channel a kind=counter\npower a = constant 1W\nreset a 2s\nreset a 1s\n",
        "channel a kind=counter\npower a = constant 1W\nnonsense a 1\n",
        "channel a kind=counter\nchannel a kind=counter\npower a = constant 1W\n",
        "origin soon\nchannel a kind=counter\npower a = constant 1W\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct formula *f = NULL;
        struct err e = {0};
        assert_int_equal(formula_parse(&f, bad[i], &e), WATTQ_E_INVALID);
        assert_null(f);
        assert_true(strlen(e.text) > 10);
    }
}

static void missing_formula_stops_the_meter(void **ctx)
{
    (void)ctx;
    struct meter_config cfg = {.script = "/nonexistent/formula", .disable = "nvml"};
    struct meter *m = NULL;
    struct err e = {0};
    assert_int_equal(meter_open(&m, &cfg, &e), WATTQ_E_IO);
    assert_non_null(strstr(e.text, "/nonexistent/formula"));
}

/* ---- replay ------------------------------------------------------------------------------------ */

static void trace_is_played_by_the_clock(void **ctx)
{
    (void)ctx;
    struct fixture f;
    char path[128];
    fixture_init(&f);
    fixture_putf(&f, "trace",
                 "# channel x/energy kind=counter wrap=1000000\n# channel x/power kind=gauge\n"
                 "# origin %" PRId64 "\nt_ns,uid,value\n0,x/energy,999000\n0,x/power,5000000\n"
                 "1000000000,x/energy,500\n1000000000,x/power,\n3600000000000,x/energy,600\n",
                 clock_boot_ns() - 2 * S);
    snprintf(path, sizeof(path), "%s/trace", f.root);
    struct meter_config cfg = {.sysfs_root = f.root, .replay = path, .disable = "nvml"};
    struct meter *m = NULL;
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 2);
    assert_string_equal(meter_channel(m, 0)->desc.uid, "x/energy");
    assert_int_equal(meter_channel(m, 0)->desc.wrap_uj, 1000000);
    struct meter_status s;
    meter_get_status(m, 0, &s);
    assert_int_equal(s.state, READING_OK);
    meter_get_status(m, 1, &s);
    assert_int_equal(s.state, READING_IO); /* the trace says that this read failed */
    meter_close(m);
    fixture_put(&f, "trace", "# channel x kind=counter\n5,x,1\n4,x,2\n");
    assert_int_equal(meter_open(&m, &cfg, NULL), WATTQ_E_INVALID);
    fixture_put(&f, "trace", "1,unknown,1\n");
    assert_int_equal(meter_open(&m, &cfg, NULL), WATTQ_E_INVALID);
    fixture_fini(&f);
}

/* ---- estimate ---------------------------------------------------------------------------------- */

static struct ring *one_second(struct meter *m)
{
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    rest_ms(1000);
    meter_stop(m);
    return meter_ring(m);
}

/* Busy CPUs cost the declared watts, idle ones the idle share; the fixture's /proc/stat stands still, so
 * exactly the idle share flows. guest time is in user already and is not counted twice. */
static void estimate_is_idle_share_plus_cpu_time(void **ctx)
{
    (void)ctx;
    struct fixture f;
    fixture_init(&f);
    fixture_put(&f, "proc/stat", "cpu  100 0 50 100000 700 0 10 999 80 0\ncpu0 1 1 1 1\n");
    fixture_put(&f, "sys/empty", "");
    struct meter_config cfg = {
        .sysfs_root = f.root, .disable = "nvml", .cpu_watts_uw = 100000000, .period_ns = 10 * MS};
    struct meter *m = NULL;
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_string_equal(meter_channel(m, 0)->desc.uid, "estimate/cpu-100000mW");
    assert_int_equal(meter_channel(m, 0)->desc.quality, QUALITY_ESTIMATED);
    struct ring *ring = one_second(m);
    int64_t first_ns = 0;
    int64_t raw = 0;
    int64_t value = 0;
    int64_t when = 0;
    for (struct tick *t; (t = ring_peek(ring)); ring_pop(ring)) {
        first_ns = first_ns ? first_ns : t->before_ns;
        when = t->before_ns;
        value = tick_values(t)[0];
        raw = tick_raws(t)[0];
    }
    double idle_w = 100.0 * 0.74 / 3.5;
    double expected = idle_w * (double)(when - first_ns) / 1e9;
    assert_true((double)value / 1e6 > expected * 0.97 - 0.5);
    assert_true((double)value / 1e6 < expected * 1.03 + 0.5);
    /* 160 busy ticks of 10 ms stand in the register since boot, beside the idle share of the uptime */
    int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
    double busy_j = (100.0 - idle_w) * 1.6 / (double)cpus;
    double up_j = idle_w * (double)clock_mono_ns() / 1e9;
    assert_true((double)raw / 1e6 < up_j + busy_j + 1);
    assert_true((double)raw / 1e6 > up_j + busy_j - idle_w * 30 - 1);
    meter_close(m);
    fixture_fini(&f);
}

static void estimate_gives_way_to_a_readable_meter(void **ctx)
{
    (void)ctx;
    struct fixture f;
    fixture_init(&f);
    fixture_zone(&f, "intel-rapl:0", "package-0", 5, 1000000);
    struct meter_config cfg = {.sysfs_root = f.root, .disable = "nvml"};
    struct meter *m = NULL;
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 1);
    assert_string_equal(meter_channel(m, 0)->source, "powercap");
    meter_close(m);
    fixture_put(&f, "sys/class/powercap/intel-rapl:0/energy_uj", "\n");
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 2);
    assert_string_equal(meter_channel(m, 1)->source, "estimate");
    meter_close(m);
    cfg.disable = "nvml,estimate";
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 1);
    meter_close(m);
    cfg.disable = "nvml"; /* psys without the packages that would prove it is in no total */
    fixture_zone(&f, "intel-rapl:0", "psys", 5, 1000000);
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 2);
    assert_string_equal(meter_channel(m, 1)->source, "estimate");
    meter_close(m);
    fixture_fini(&f);
}

/* ---- companions -------------------------------------------------------------------------------- */

static void companions_are_slow_and_no_energy(void **ctx)
{
    (void)ctx;
    struct fixture f;
    fixture_init(&f);
    fixture_put(&f, "sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
    fixture_put(&f, "sys/class/thermal/thermal_zone0/temp", "48000\n");
    fixture_put(&f, "sys/class/hwmon/hwmon1/name", "coretemp\n");
    fixture_put(&f, "sys/class/hwmon/hwmon1/temp1_label", "Package id 0\n");
    fixture_put(&f, "sys/class/hwmon/hwmon1/temp1_input", "49000\n");
    fixture_put(&f, "sys/class/hwmon/hwmon1/temp2_label", "Core 0\n");
    fixture_put(&f, "sys/class/hwmon/hwmon1/temp2_input", "47000\n");
    fixture_put(&f, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1200000\n");
    fixture_put(&f, "sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "3400000\n");
    struct meter_config cfg = {.sysfs_root = f.root, .disable = "nvml,estimate"};
    struct meter *m = NULL;
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 4);
    assert_int_equal(meter_groups(m), 2);
    assert_int_equal(meter_group_period_ns(m, 1), S);
    static const int64_t expected[] = {48000, 49000, 3400000, 2300000};
    struct meter_view views[4];
    meter_views(m, views, 4);
    for (size_t i = 0; i < 4; i++) {
        struct meter_status s;
        meter_get_status(m, i, &s);
        assert_int_equal(s.state, READING_OK);
        assert_int_equal(s.last_value, expected[i]);
        assert_int_equal(s.power_uw, -1);
        assert_int_equal(meter_channel(m, i)->group, 1);
        assert_false(views[i].usable);
    }
    meter_close(m);
    fixture_fini(&f);
}

/* hwmon3 may be hwmon5 after a reboot: the device it hangs on names the channel. */
static void hwmon_is_known_by_its_device(void **ctx)
{
    (void)ctx;
    char uid[2][160];
    for (int boot = 0; boot < 2; boot++) {
        struct fixture f;
        char path[100];
        fixture_init(&f);
        fixture_put(&f, "sys/devices/pci0000:00/0000:03:00.0/vendor", "0x10de\n");
        snprintf(path, sizeof(path), "sys/class/hwmon/hwmon%d/device", boot ? 5 : 3);
        fixture_link(&f, path, "../../../devices/pci0000:00/0000:03:00.0");
        snprintf(path, sizeof(path), "sys/class/hwmon/hwmon%d/name", boot ? 5 : 3);
        fixture_put(&f, path, "nouveau\n");
        snprintf(path, sizeof(path), "sys/class/hwmon/hwmon%d/power1_average", boot ? 5 : 3);
        fixture_put(&f, path, "35000000\n");
        snprintf(path, sizeof(path), "sys/class/hwmon/hwmon%d/power1_average_interval",
                 boot ? 5 : 3);
        fixture_put(&f, path, "2500\n");
        snprintf(path, sizeof(path), "sys/class/hwmon/hwmon%d/power1_accuracy", boot ? 5 : 3);
        fixture_put(&f, path, "1.5%\n");
        struct meter_config cfg = {.sysfs_root = f.root, .disable = "nvml"};
        struct meter *m = NULL;
        assert_int_equal(meter_open(&m, &cfg, NULL), 0);
        const struct channel_desc *d = &meter_channel(m, 0)->desc;
        strcpy(uid[boot], d->uid);
        assert_int_equal(d->kind, CHANNEL_AVERAGE);
        assert_int_equal(d->box_ns, 2500 * MS);
        assert_int_equal(d->accuracy_ppm, 15000);
        assert_int_equal(d->scope, SCOPE_GPU);
        meter_close(m);
        fixture_fini(&f);
    }
    assert_string_equal(uid[0], uid[1]);
    assert_string_equal(uid[0], "hwmon/devices/pci0000:00/0000:03:00.0/nouveau/power1_average");
}

/* ---- slots ------------------------------------------------------------------------------------- */

static void slots_go_on_over_occupants(void **ctx)
{
    (void)ctx;
    struct fixture f;
    char path[128];
    fixture_init(&f);
    fixture_put(&f, "cpu.stat", "usage_usec 1000\nuser_usec 900\nsystem_usec 100\n");
    snprintf(path, sizeof(path), "%s/cpu.stat", f.root);
    int fd = open(path, O_RDONLY);
    struct slots *s = slots_new(16);
    assert_int_equal(slots_assign(s, 3, fd, 0, NULL), 0);
    assert_int_equal(slots_assign(s, 3, fd, 0, NULL), WATTQ_E_CONFLICT);
    assert_int_equal(slots_assign(s, 16, fd, 0, NULL), WATTQ_E_CONFLICT);
    assert_int_equal(slots_read(s, 3), 0); /* what it had used before is not this run's */
    fixture_put(&f, "cpu.stat", "usage_usec 5000\nuser_usec 900\n");
    assert_int_equal(slots_read(s, 3), 4000);
    fixture_put(&f, "cpu.stat", "nr_periods 0\n");
    assert_int_equal(slots_read(s, 3), 4000);
    fixture_put(&f, "cpu.stat", "usage_usec 6000\n");
    slots_clear(s, 3);
    assert_false(slots_taken(s, 3));
    fixture_put(&f, "cpu.stat", "usage_usec 100\n");
    assert_int_equal(slots_read(s, 3), 5000);
    assert_int_equal(slots_assign(s, 3, fd, 0, NULL), 0);
    fixture_put(&f, "cpu.stat", "usage_usec 350\n");
    assert_int_equal(slots_read(s, 3), 5250);
    close(fd);
    slots_free(s);
    fixture_fini(&f);
}

/* Without a cgroup: a child and its grandchild burn 0.3 s of CPU together; the counter does not fall when
 * they are gone. */
static void slots_follow_a_process_tree(void **ctx)
{
    (void)ctx;
    int go[2];
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        (void)!read(go[0], &c, 1);
        pid_t grandchild = fork();
        clock_t end = clock() + CLOCKS_PER_SEC * 15 / 100;
        while (clock() < end) {
        }
        if (grandchild > 0) {
            waitpid(grandchild, NULL, 0);
            pause();
        }
        _exit(0);
    }
    struct slots *s = slots_new(2);
    assert_int_equal(slots_assign(s, 0, -1, child, NULL), 0);
    assert_int_equal(write(go[1], "x", 1), 1);
    int64_t us = 0;
    for (int i = 0; i < 1000 && us < 270000; i++) {
        rest_ms(10);
        int64_t now = slots_read(s, 0);
        assert_true(now >= us);
        us = now;
    }
    assert_in_range(us, 270000, 400000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(slots_read(s, 0) >= us);
    slots_clear(s, 0);
    assert_true(slots_read(s, 0) >= us);
    slots_free(s);
    close(go[0]);
    close(go[1]);
}

/* At 100 Hz the slots are still read at 10 Hz, and at every edge. */
static void slots_rest_on_the_grid(void **ctx)
{
    (void)ctx;
    struct fixture f;
    char path[128];
    fixture_init(&f);
    fixture_put(&f, "cpu.stat", "usage_usec 0\n");
    snprintf(path, sizeof(path), "%s/cpu.stat", f.root);
    int fd = open(path, O_RDONLY);
    struct slots *s = slots_new(1);
    assert_int_equal(slots_assign(s, 0, fd, 0, NULL), 0);
    struct meter_config cfg = {
        .sysfs_root = f.root, .disable = "nvml,estimate", .slots = s, .period_ns = 10 * MS};
    struct meter *m = NULL;
    assert_int_equal(meter_open(&m, &cfg, NULL), 0);
    assert_int_equal(meter_count(m), 2);
    assert_int_equal(meter_channel(m, 0)->desc.kind, CHANNEL_CPU_TIME);
    assert_int_equal(meter_start(m, NULL, NULL, NULL), 0);
    for (int i = 1; i <= 100; i++) {
        fixture_putf(&f, "cpu.stat", "usage_usec %d\n", i);
        rest_ms(10);
    }
    meter_stop(m);
    int ticks = 0;
    int changes = 0;
    int64_t value = -1;
    for (struct tick *t; (t = ring_peek(meter_ring(m))); ring_pop(meter_ring(m)), ticks++) {
        changes += tick_values(t)[0] != value;
        value = tick_values(t)[0];
    }
    assert_true(ticks > 50);
    assert_in_range(changes, 5, 16);
    meter_close(m);
    slots_free(s);
    close(fd);
    fixture_fini(&f);
}

static void names_are_stable(void **ctx)
{
    (void)ctx;
    assert_string_equal(reading_state_name(READING_NO_PERMISSION), "no_permission");
    assert_string_equal(reading_state_text(READING_NO_PERMISSION), "permission denied");
    assert_string_equal(reading_state_name((enum reading_state)99), "unknown");
    assert_string_equal(channel_kind_name(CHANNEL_CPU_TIME), "cpu_time");
    assert_string_equal(channel_quality_name(QUALITY_MODELLED), "modelled");
    assert_string_equal(channel_scope_name(SCOPE_PSYS), "psys");
    for (int i = 0; i < READING_STATES; i++) {
        assert_string_not_equal(reading_state_text((enum reading_state)i), "unknown");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_numbers_are_numbers),
        cmocka_unit_test(files_that_fail_have_reasons),
        cmocka_unit_test(io_errors_are_tried_again_at_once),
        cmocka_unit_test(long_uids_stay_apart),
        cmocka_unit_test(formula_energy_is_the_exact_integral),
        cmocka_unit_test(bad_formulas_are_refused_with_a_sentence),
        cmocka_unit_test(missing_formula_stops_the_meter),
        cmocka_unit_test(trace_is_played_by_the_clock),
        cmocka_unit_test(estimate_is_idle_share_plus_cpu_time),
        cmocka_unit_test(estimate_gives_way_to_a_readable_meter),
        cmocka_unit_test(companions_are_slow_and_no_energy),
        cmocka_unit_test(hwmon_is_known_by_its_device),
        cmocka_unit_test(slots_go_on_over_occupants),
        cmocka_unit_test(slots_follow_a_process_tree),
        cmocka_unit_test(slots_rest_on_the_grid),
        cmocka_unit_test(names_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
