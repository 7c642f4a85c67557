/* GPUs of the DRM drivers on trees laid out as the kernel does: what they are, what is read, what is left
 * asleep, who is on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/meter/throttle.h"
#include "tests/support/fixture.h"
#include "tests/support/gpu_table.h"

#define CARD  "sys/devices/pci0000:00/0000:03:00.0/"
#define HWMON CARD "hwmon/hwmon4/"
#define JOULE 65536

extern const struct source_ops source_drm;
extern const struct source_ops source_hwmon;

static struct fixture dir;
static struct gpu_procs *procs;

static int setup(void **ctx)
{
    (void)ctx;
    fixture_init(&dir);
    procs = gpu_procs_new();
    return 0;
}

static int teardown(void **ctx)
{
    (void)ctx;
    gpu_procs_unref(procs);
    fixture_fini(&dir);
    return 0;
}

/* ---- trees ------------------------------------------------------------------------------------- */

static void put_card(const char *driver, int number)
{
    char path[96];
    char target[96];
    snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
    fixture_put(&dir, CARD "vendor", strcmp(driver, "amdgpu") == 0 ? "0x1002\n" : "0x8086\n");
    fixture_put(&dir, CARD "device", "0x740f\n");
    fixture_put(&dir, CARD "power/runtime_status", "active\n");
    fixture_link(&dir, CARD "driver", target);
    snprintf(path, sizeof(path), CARD "drm/card%d/dev", number);
    fixture_put(&dir, path, "226:0\n");
    snprintf(path, sizeof(path), CARD "drm/card%d/device", number);
    fixture_link(&dir, path, "../../../0000:03:00.0");
    snprintf(path, sizeof(path), "sys/class/drm/card%d", number);
    snprintf(target, sizeof(target), "../../devices/pci0000:00/0000:03:00.0/drm/card%d", number);
    fixture_link(&dir, path, target);
    /* outputs and render nodes are no cards */
    fixture_put(&dir, "sys/class/drm/card1-DP-1/status", "connected\n");
    fixture_put(&dir, "sys/class/drm/version", "drm 1.1.0 20060810\n");
}

static void put_chip(const char *hwmon, const char *name)
{
    char path[96];
    char target[96];
    snprintf(path, sizeof(path), CARD "hwmon/%s/name", hwmon);
    fixture_putf(&dir, path, "%s\n", name);
    snprintf(path, sizeof(path), CARD "hwmon/%s/device", hwmon);
    fixture_link(&dir, path, "../../../0000:03:00.0");
    snprintf(path, sizeof(path), "sys/class/hwmon/%s", hwmon);
    snprintf(target, sizeof(target), "../../devices/pci0000:00/0000:03:00.0/hwmon/%s", hwmon);
    fixture_link(&dir, path, target);
}

static void put_table(uint64_t watt, uint64_t energy, uint64_t reasons)
{
    struct gpu_table t;
    table_card(&t, 3, watt, energy, reasons);
    fixture_put_bytes(&dir, CARD "gpu_metrics", t.bytes, t.n);
}

static void put_amd(void)
{
    put_card("amdgpu", 0);
    fixture_put(&dir, CARD "unique_id", "1a2b3c4d5e6f7788\n");
    fixture_put(&dir, CARD "product_name", "AMD Instinct MI210\n");
    fixture_put(&dir, CARD "vbios_version", "113-D67301-059\n");
    fixture_put(&dir, CARD "gpu_busy_percent", "42\n");
    fixture_put(&dir, CARD "mem_busy_percent", "7\n");
    put_table(203, UINT64_C(1000) * JOULE, 1u << 1);
    put_chip("hwmon4", "amdgpu");
    fixture_put(&dir, HWMON "power1_average", "203000000\n");
    fixture_put(&dir, HWMON "power1_input", "211000000\n");
    fixture_put(&dir, HWMON "power1_cap", "300000000\n");
    fixture_put(&dir, HWMON "power1_cap_max", "300000000\n");
    fixture_put(&dir, HWMON "temp1_input", "61000\n");
    fixture_put(&dir, HWMON "temp1_label", "edge\n");
    fixture_put(&dir, HWMON "temp2_input", "74000\n");
    fixture_put(&dir, HWMON "temp2_label", "junction\n");
    fixture_put(&dir, HWMON "freq1_input", "1700000000\n");
    fixture_put(&dir, HWMON "freq2_input", "1600000000\n");
    fixture_put(&dir, HWMON "pwm1", "51\n");
}

/* ---- looking ----------------------------------------------------------------------------------- */

struct look {
    struct source *s;
    const struct channel_desc *d;
    size_t n;
    struct reading r[64];
};

static bool look(struct look *l)
{
    const struct meter_config cfg = {.sysfs_root = dir.root, .gpu_procs = procs};
    memset(l, 0, sizeof(*l));
    if (source_drm.open(&l->s, &cfg, NULL) != 0)
        return false;
    l->n = source_drm.channels(l->s, &l->d);
    return true;
}

static void read_at(struct look *l, int64_t boot_ns)
{
    source_drm.read(l->s, boot_ns, l->r);
}

/* By the end of its uid; -1 = there is none. */
static int find(const struct look *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(strrchr(l->d[i].uid, '/') + 1, name) == 0)
            return (int)i;
    return -1;
}

static void assert_value(const struct look *l, const char *name, int64_t expect)
{
    int i = find(l, name);
    if (i < 0)
        fail_msg("no channel %s", name);
    assert_int_equal(l->r[i].state, READING_OK);
    assert_int_equal(l->r[i].value, expect);
}

/* ---- amdgpu ------------------------------------------------------------------------------------ */

static void amd_card_is_described_and_read(void **ctx)
{
    (void)ctx;
    struct look l;
    put_amd();
    assert_true(look(&l));
    read_at(&l, NS_PER_S);
    int energy = find(&l, "energy");
    int average = find(&l, "power_average");
    int instant = find(&l, "power_instant");
    const struct channel_desc *d = &l.d[energy];
    assert_string_equal(d->uid, "drm/1a2b3c4d5e6f7788/energy");
    assert_string_equal(d->label, "card0");
    assert_string_equal(d->device, "GPU-1a2b3c4d5e6f7788");
    assert_string_equal(d->firmware, "113-D67301-059");
    assert_memory_equal(d->driver, "amdgpu, Linux ", 14);
    assert_int_equal(d->scope, SCOPE_GPU);
    assert_int_equal(d->wrap_uj, INT64_C(65536000000));
    assert_int_equal(d->pmax_uw, 600000000);
    /* counter, mean and instant: one power, three channels */
    assert_int_equal(d->kind, CHANNEL_COUNTER);
    assert_int_equal(l.d[average].kind, CHANNEL_AVERAGE);
    assert_int_equal(l.d[instant].kind, CHANNEL_GAUGE);
    assert_int_equal(l.d[average].mirror_of, energy);
    assert_int_equal(l.d[instant].mirror_of, energy);
    assert_value(&l, "energy", 1000000000);
    assert_value(&l, "power_average", 203000000);
    assert_value(&l, "power_instant", 211000000);
    assert_value(&l, "temperature", 61000);
    assert_value(&l, "temperature_junction", 74000);
    assert_value(&l, "clock_gfx", 1700000);
    assert_value(&l, "clock_mem", 1600000);
    assert_value(&l, "throttle", THROTTLE_POWER_CAP);
    assert_value(&l, "power_limit", 300000000);
    assert_value(&l, "busy", 420000);
    assert_value(&l, "busy_mem", 70000);
    assert_value(&l, "fan", 200000);
    assert_int_equal(find(&l, "power"), -1); /* hwmon says more */
    put_table(250, UINT64_C(1000) * JOULE + 2 * JOULE, UINT64_C(1) << 36);
    fixture_put(&dir, CARD "gpu_busy_percent", "43\n");
    read_at(&l, NS_PER_S + NS_PER_S / 10);
    assert_value(&l, "energy", 1002000000);
    assert_value(&l, "throttle", THROTTLE_HW_HEAT);
    assert_value(&l, "busy", 420000); /* companions that move slowly are read once per second */
    source_drm.close(l.s);
}

static void hwmon_leaves_it(void **ctx)
{
    (void)ctx;
    struct source *s = NULL;
    const struct meter_config cfg = {.sysfs_root = dir.root};
    put_amd();
    assert_int_equal(source_hwmon.open(&s, &cfg, NULL), 1);
    fixture_put(&dir, "sys/class/hwmon/hwmon9/name", "nouveau\n");
    fixture_put(&dir, "sys/class/hwmon/hwmon9/power1_input", "9000000\n");
    assert_int_equal(source_hwmon.open(&s, &cfg, NULL), 0);
    const struct channel_desc *d = NULL;
    assert_int_equal(source_hwmon.channels(s, &d), 1);
    source_hwmon.close(s);
}

static void broken_table_is_no_number(void **ctx)
{
    (void)ctx;
    struct look l;
    put_amd();
    assert_true(look(&l));
    fixture_put(&dir, CARD "gpu_metrics", "");
    read_at(&l, NS_PER_S);
    assert_int_equal(l.r[find(&l, "energy")].state, READING_GARBLED);
    assert_int_equal(l.r[find(&l, "throttle")].state, READING_GARBLED);
    assert_value(&l, "power_average", 203000000);
    fixture_remove(&dir, CARD "gpu_metrics");
    read_at(&l, 2 * NS_PER_S);
    assert_int_equal(l.r[find(&l, "energy")].state, READING_GONE);
    source_drm.close(l.s);
}

/* No hwmon, an old kernel: the table's power is all there is. */
static void table_alone_gives_power(void **ctx)
{
    (void)ctx;
    struct look l;
    put_card("amdgpu", 0);
    put_table(88, 0, 0); /* and a register that does not count */
    assert_true(look(&l));
    read_at(&l, NS_PER_S);
    assert_int_equal(find(&l, "energy"), -1);
    assert_value(&l, "power", 88000000);
    assert_string_equal(l.d[0].uid, "drm/0000:03:00.0/power");
    assert_string_equal(l.d[0].device, "0000:03:00.0");
    source_drm.close(l.s);
}

/* An APU's power is that of the processor too: another view of its package, never added to it. */
static void apu_is_a_package(void **ctx)
{
    (void)ctx;
    struct look l;
    struct gpu_table t;
    put_card("amdgpu", 1);
    fixture_put(&dir, CARD "local_cpulist", "8-15\n");
    fixture_put(&dir, "sys/devices/system/cpu/cpu8/topology/physical_package_id", "1\n");
    put_chip("hwmon4", "amdgpu");
    fixture_put(&dir, HWMON "in1_label", "vddnb\n");
    fixture_put(&dir, HWMON "power1_input", "15000000\n");
    table_apu(&t, 3, 15, 1);
    fixture_put_bytes(&dir, CARD "gpu_metrics", t.bytes, t.n);
    assert_true(look(&l));
    int power = find(&l, "power_instant");
    assert_int_equal(l.d[power].scope, SCOPE_PACKAGE);
    assert_string_equal(l.d[power].device, "package-1");
    assert_int_equal(find(&l, "energy"), -1);
    read_at(&l, NS_PER_S);
    assert_value(&l, "throttle", THROTTLE_POWER_CAP);
    assert_int_equal(l.d[find(&l, "throttle")].scope, SCOPE_GPU);
    source_drm.close(l.s);
}

/* ---- asleep ------------------------------------------------------------------------------------ */

/* Names of the files below the card that were opened since; everything a look may touch is in the list. */
static size_t touched(int watch)
{
    static const char *const allowed[] = {
        "runtime_status", "unique_id",     "product_name", "vendor",
        "device",         "vbios_version", "name",         "temp1_label",
        "temp2_label",    "temp3_label",   "temp4_label",  "local_cpulist",
        "in1_label",      "hwmon",         "hwmon4",       "power"};
    char text[16384] __attribute__((aligned(8)));
    size_t others = 0;
    ssize_t n = read(watch, text, sizeof(text));
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *e = (const struct inotify_event *)(text + at);
        bool known = e->len == 0 || (e->mask & IN_ISDIR);
        for (size_t i = 0; !known && i < ARRAY_LEN(allowed); i++)
            known = strcmp(e->name, allowed[i]) == 0;
        others += !known;
        at += (ssize_t)sizeof(*e) + e->len;
    }
    return others;
}

static int watch_card(void)
{
    static const char *const below[] = {CARD, HWMON, CARD "power"};
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        char *path = base_printf("%s/%s", dir.root, below[i]);
        assert_true(inotify_add_watch(fd, path, IN_OPEN | IN_ACCESS) >= 0);
        free(path);
    }
    return fd;
}

static void sleeping_card_is_neither_read_nor_woken(void **ctx)
{
    (void)ctx;
    struct look awake, l;
    struct gpu_use u;
    put_amd();
    int watch = watch_card();
    assert_true(look(&awake));
    read_at(&awake, NS_PER_S);
    assert_true(touched(watch) > 0); /* so that the watch itself is known to see */
    fixture_put(&dir, CARD "power/runtime_status", "suspended\n");
    (void)touched(watch);
    read_at(&awake, 2 * NS_PER_S);
    for (size_t i = 0; i < awake.n; i++)
        assert_int_equal(awake.r[i].state, READING_ASLEEP);
    /* asleep when it is first seen: what its files promise */
    assert_true(look(&l));
    assert_int_equal(l.n, awake.n);
    for (size_t i = 0; i < l.n; i++)
        assert_string_equal(l.d[i].uid, awake.d[i].uid);
    read_at(&l, 2 * NS_PER_S);
    assert_int_equal(l.r[0].state, READING_ASLEEP);
    assert_int_equal(touched(watch), 0);
    assert_true(gpu_procs_find(procs, "GPU-1a2b3c4d5e6f7788", clock_boot_ns(), &u));
    assert_int_equal(u.state, READING_ASLEEP);
    fixture_put(&dir, CARD "power/runtime_status", "active\n");
    read_at(&l, 3 * NS_PER_S);
    assert_value(&l, "energy", 1000000000);
    source_drm.close(l.s);
    source_drm.close(awake.s);
    close(watch);
}

/* ---- Intel ------------------------------------------------------------------------------------- */

static void put_gt(const char *gt, int mhz, int idle_ms, int pl1, int thermal)
{
    char path[128];
    snprintf(path, sizeof(path), CARD "%s/freq0/act_freq", gt);
    fixture_putf(&dir, path, "%d\n", mhz);
    snprintf(path, sizeof(path), CARD "%s/gtidle/idle_residency_ms", gt);
    fixture_putf(&dir, path, "%d\n", idle_ms);
    snprintf(path, sizeof(path), CARD "%s/freq0/throttle/reason_pl1", gt);
    fixture_putf(&dir, path, "%d\n", pl1);
    snprintf(path, sizeof(path), CARD "%s/freq0/throttle/reason_thermal", gt);
    fixture_putf(&dir, path, "%d\n", thermal);
}

static void xe_card_contains_its_package(void **ctx)
{
    (void)ctx;
    struct look l;
    put_card("xe", 0);
    put_chip("hwmon4", "xe");
    fixture_put(&dir, HWMON "energy1_input", "5000000\n");
    fixture_put(&dir, HWMON "energy1_label", "card\n");
    fixture_put(&dir, HWMON "energy2_input", "4000000\n");
    fixture_put(&dir, HWMON "energy2_label", "pkg\n");
    fixture_put(&dir, HWMON "power1_max", "0\n");
    fixture_put(&dir, HWMON "power1_rated_max", "190000000\n");
    fixture_put(&dir, HWMON "temp2_input", "55000\n");
    fixture_put(&dir, HWMON "temp2_label", "pkg\n");
    put_gt("tile0/gt0", 2050, 1000, 1, 0);
    put_gt("tile0/gt1", 800, 1000, 0, 0);
    put_gt("tile1/gt2", 1900, 1000, 0, 1);
    assert_true(look(&l));
    read_at(&l, NS_PER_S);
    int card = find(&l, "energy");
    int package = find(&l, "energy_pkg");
    assert_int_equal(l.d[card].scope, SCOPE_GPU);
    assert_int_equal(l.d[card].pmax_uw, 380000000);
    assert_int_equal(l.d[package].scope, SCOPE_OTHER);
    assert_int_equal(l.d[package].parent, card);
    assert_value(&l, "energy", 5000000);
    assert_value(&l, "energy_pkg", 4000000);
    assert_value(&l, "temperature", 55000);
    assert_value(&l, "clock_gt0", 2050000);
    assert_value(&l, "clock_gt1", 800000);
    assert_value(&l, "clock_gt2", 1900000);
    assert_value(&l, "throttle", THROTTLE_POWER_CAP | THROTTLE_HW_HEAT);
    assert_int_equal(l.r[find(&l, "power_limit")].state, READING_DISABLED);
    assert_int_equal(l.r[find(&l, "busy")].state, READING_NOT_YET);
    put_gt("tile0/gt0", 2050, 1900, 0, 0);
    put_gt("tile1/gt2", 2050, 1250, 0, 0); /* idle for 250 of 1000 ms */
    read_at(&l, 2 * NS_PER_S);
    assert_value(&l, "busy", 1000000); /* gt1 did not rest at all */
    put_gt("tile0/gt0", 2050, 2900, 0, 0);
    put_gt("tile0/gt1", 2050, 2000, 0, 0);
    put_gt("tile1/gt2", 2050, 1500, 0, 0);
    read_at(&l, 3 * NS_PER_S);
    assert_value(&l, "busy", 750000);
    assert_value(&l, "throttle", 0);
    source_drm.close(l.s);
}

static void i915_tiles_lie_in_the_card(void **ctx)
{
    (void)ctx;
    struct look l;
    put_card("i915", 2);
    put_chip("hwmon3", "i915_gt0"); /* numbered before the card's own */
    fixture_put(&dir, CARD "hwmon/hwmon3/energy1_input", "11000000\n");
    put_chip("hwmon4", "i915");
    fixture_put(&dir, HWMON "energy1_input", "30000000\n");
    fixture_put(&dir, HWMON "power1_max", "120000000\n");
    put_chip("hwmon5", "i915_gt1");
    fixture_put(&dir, CARD "hwmon/hwmon5/energy1_input", "12000000\n");
    fixture_put(&dir, CARD "drm/card2/gt/gt0/rps_act_freq_mhz", "1300\n");
    fixture_put(&dir, CARD "drm/card2/gt/gt0/rc6_residency_ms", "10\n");
    fixture_put(&dir, CARD "drm/card2/gt/gt0/throttle_reason_pl4", "1\n");
    assert_true(look(&l));
    read_at(&l, NS_PER_S);
    int card = find(&l, "energy");
    assert_string_equal(l.d[card].label, "card2");
    assert_int_equal(l.d[find(&l, "energy_gt0")].parent, card);
    assert_int_equal(l.d[find(&l, "energy_gt1")].parent, card);
    assert_value(&l, "energy", 30000000);
    assert_value(&l, "energy_gt0", 11000000);
    assert_value(&l, "energy_gt1", 12000000);
    assert_value(&l, "power_limit", 120000000);
    assert_value(&l, "clock_gt0", 1300000);
    assert_value(&l, "throttle", THROTTLE_HW_SLOWDOWN);
    source_drm.close(l.s);
}

static void other_drivers_are_no_business(void **ctx)
{
    (void)ctx;
    struct look l;
    assert_false(look(&l));
    put_card("nouveau", 0);
    assert_false(look(&l));
}

/* ---- who --------------------------------------------------------------------------------------- */

static void put_proc(int pid, const char *fdinfo)
{
    char path[64];
    snprintf(path, sizeof(path), "proc/%d/stat", pid);
    fixture_putf(&dir, path, "%d (p) S 1 1 1 0 -1 0 0 0 0 0 3 1 0 0 20 0 1 0 %d 0 0\n", pid, pid);
    snprintf(path, sizeof(path), "proc/%d/fdinfo/7", pid);
    fixture_put(&dir, path, fdinfo);
    snprintf(path, sizeof(path), "proc/%d/fdinfo/8", pid);
    fixture_put(&dir, path, fdinfo); /* a copy of the descriptor */
}

static void put_fds(int pid)
{
    char path[64];
    snprintf(path, sizeof(path), "proc/%d/fd/0", pid);
    fixture_link(&dir, path, "/dev/null");
    for (int fd = 7; fd <= 8; fd++) {
        snprintf(path, sizeof(path), "proc/%d/fd/%d", pid, fd);
        fixture_link(&dir, path, "/dev/dri/renderD128");
    }
}

static void put_client(int pid, int client, const char *pdev, int64_t gfx_ns)
{
    char text[256];
    snprintf(text, sizeof(text),
             "pos:\t0\ndrm-driver:\tamdgpu\ndrm-pdev:\t%s\ndrm-client-id:\t%d\n"
             "drm-memory-vram:\t1024 KiB\ndrm-engine-gfx:\t%lld ns\n",
             pdev, client, (long long)gfx_ns);
    put_proc(pid, text);
}

static void clients_are_counted_once(void **ctx)
{
    (void)ctx;
    struct look l;
    struct gpu_use *u = base_alloc(sizeof(*u));
    put_amd();
    put_client(100, 71, "0000:03:00.0", 1000);
    put_client(101, 71, "0000:03:00.0", 1000); /* inherited the open file */
    put_client(102, 72, "0000:0a:00.0", 5);    /* on another card */
    put_client(103, 73, "0000:03:00.0", 0);
    for (int pid = 100; pid <= 103; pid++)
        put_fds(pid);
    assert_true(look(&l));
    read_at(&l, 1 * NS_PER_S); /* a look whether it is there asks nobody */
    assert_true(gpu_procs_get(procs, 0, clock_boot_ns(), u));
    assert_int_equal(u->state, READING_NOT_YET);
    assert_string_equal(u->label, "card0 AMD Instinct MI210");
    read_at(&l, 6 * NS_PER_S);
    assert_true(gpu_procs_get(procs, 0, clock_boot_ns(), u));
    assert_int_equal(u->state, READING_OK);
    assert_int_equal(u->n, 2);
    assert_int_equal(u->procs[0].pid == 100 || u->procs[0].pid == 101 || u->procs[0].pid == 103, 1);
    assert_int_equal(u->procs[0].busy_ppm, -1); /* nobody has looked before */
    assert_int_equal(u->procs[0].memory_bytes, 1024 * 1024);
    assert_int_equal(u->busy_ppm, 420000);
    put_client(100, 71, "0000:03:00.0", INT64_C(3600) * NS_PER_S);
    put_client(101, 71, "0000:03:00.0", INT64_C(3600) * NS_PER_S);
    read_at(&l, 11 * NS_PER_S);
    assert_true(gpu_procs_get(procs, 0, clock_boot_ns(), u));
    for (size_t i = 0; i < u->n; i++)
        assert_int_equal(u->procs[i].busy_ppm, u->procs[i].pid == 103 ? 0 : 1000000);
    source_drm.close(l.s);
    free(u);
}

/* What the driver does not count is unknown, and kfd says who computes. */
static void compute_queues_are_listed_by_kfd(void **ctx)
{
    (void)ctx;
    struct look l;
    struct gpu_use *u = base_alloc(sizeof(*u));
    put_amd();
    fixture_put(&dir, "sys/class/kfd/kfd/topology/nodes/0/gpu_id", "0\n");
    fixture_put(&dir, "sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 8\n");
    fixture_put(&dir, "sys/class/kfd/kfd/topology/nodes/1/gpu_id", "51234\n");
    fixture_put(&dir, "sys/class/kfd/kfd/topology/nodes/1/properties",
                "simd_count 416\nlocation_id 768\ndomain 0\n");
    fixture_put(&dir, "sys/class/kfd/kfd/proc/200/vram_51234", "4194304\n");
    fixture_put(&dir, "sys/class/kfd/kfd/proc/201/vram_51234", "0\n");
    put_client(200, 9, "0000:03:00.0", 0);
    put_fds(200);
    put_client(201, 10, "0000:0a:00.0", 0);
    assert_true(look(&l));
    read_at(&l, 1 * NS_PER_S);
    read_at(&l, 6 * NS_PER_S);
    read_at(&l, 11 * NS_PER_S);
    assert_true(gpu_procs_get(procs, 0, clock_boot_ns(), u));
    assert_int_equal(u->n, 1);
    assert_int_equal(u->procs[0].pid, 200);
    assert_true(u->procs[0].compute);
    assert_int_equal(u->procs[0].busy_ppm, -1);
    assert_int_equal(u->procs[0].memory_bytes, 4194304);
    source_drm.close(l.s);
    free(u);
}

/* Whose open files may not be looked at may be on it: how many is said, and the GPU's own word stands. */
static void others_are_unknown_not_absent(void **ctx)
{
    (void)ctx;
    struct look l;
    struct gpu_use *u = base_alloc(sizeof(*u));
    bool root = geteuid() == 0;
    put_amd();
    put_client(100, 71, "0000:03:00.0", 1000);
    put_fds(100);
    put_client(101, 72, "0000:03:00.0", 1000);
    put_fds(101);
    fixture_put(&dir, "proc/2/stat",
                "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 9 0 0 20 0 1 0 0 0 0\n");
    fixture_put(&dir, "proc/2/fd/x", "");
    for (int pid = 2; pid <= 101; pid += 99) {
        char *path = base_printf("%s/proc/%d/fd", dir.root, pid);
        assert_int_equal(chmod(path, 0), 0);
        free(path);
    }
    assert_int_equal(chmod(dir.root, 0755), 0);
    assert_true(look(&l));
    read_at(&l, 1 * NS_PER_S);
    assert_int_equal(root ? seteuid(65534) : 0, 0);
    read_at(&l, 6 * NS_PER_S);
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_true(gpu_procs_get(procs, 0, clock_boot_ns(), u));
    assert_int_equal(u->state, READING_OK);
    assert_int_equal(u->n, 1);
    assert_int_equal(u->procs[0].pid, 100);
    assert_int_equal(u->hidden, 1); /* a kernel thread is on no GPU */
    assert_int_equal(u->busy_ppm, 420000);
    source_drm.close(l.s);
    for (int pid = 2; pid <= 101; pid += 99) {
        char *path = base_printf("%s/proc/%d/fd", dir.root, pid);
        assert_int_equal(chmod(path, 0700), 0);
        free(path);
    }
    free(u);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(amd_card_is_described_and_read),
        WITH_DIR(hwmon_leaves_it),
        WITH_DIR(broken_table_is_no_number),
        WITH_DIR(table_alone_gives_power),
        WITH_DIR(apu_is_a_package),
        WITH_DIR(sleeping_card_is_neither_read_nor_woken),
        WITH_DIR(xe_card_contains_its_package),
        WITH_DIR(i915_tiles_lie_in_the_card),
        WITH_DIR(other_drivers_are_no_business),
        WITH_DIR(clients_are_counted_once),
        WITH_DIR(compute_queues_are_listed_by_kfd),
        WITH_DIR(others_are_unknown_not_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
