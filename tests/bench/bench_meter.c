/* What sampling costs. Prints ours, the limit, and the ratio.
 *
 *   bench_meter [SECONDS [NVML]]      per rate, default 5 (more at 1 Hz); NVML: a library, real or fake
 *
 * First: CPU of sampler and storage together, 20 real sysfs attributes at 1, 10, 100 and 1000 Hz, in percent
 * of a core. The attributes are network statistics, linked into a powercap-like tree so that the daemon's
 * own path (source, unwrap, ring, tail rows, chunks, commits) is what runs; the share is user + system time
 * of the whole process. `floor` is the same wakes and preads with nothing around them, measured right after
 * it. Then: one sweep of each source, on a tree of 8 zones and 8 hwmon sensors where it reads sysfs, median
 * of many. The load average stands with it: on a busy machine caches are cold. */
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/slots.h"
#include "daemon/store/storage.h"

#define CHANNELS 20

static void rest_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void make_zone(const char *root, int i, const char *target)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:%d", root, i);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:%d/name", root, i);
    FILE *f = fopen(path, "w");
    if (f) {
        fprintf(f, "package-%d\n", i);
        fclose(f);
    }
    snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:%d/energy_uj", root, i);
    if (symlink(target, path) != 0) {
        perror(path);
        exit(1);
    }
}

static int make_tree(char *root)
{
    glob_t g;
    if (!mkdtemp(root) || glob("/sys/class/net/*/statistics/*", 0, NULL, &g) != 0) {
        return 0;
    }
    char path[512];
    static const char *const parts[] = {"sys", "sys/class", "sys/class/powercap"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, parts[i]);
        mkdir(path, 0755);
    }
    int n = 0;
    for (; n < CHANNELS && n < (int)g.gl_pathc; n++) {
        make_zone(root, n, g.gl_pathv[n]);
    }
    globfree(&g);
    return n;
}

static void remove_tree(const char *root)
{
    char command[600];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    if (system(command) != 0) {
        fprintf(stderr, "cannot remove %s\n", root);
    }
}

static void must(int rc, const struct err *e)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

/* Percent of one core. */
static double share(const char *root, int hz, double seconds, int64_t *samples)
{
    struct meter_config cfg = {.sysfs_root = root,
                               .disable = "perf,perf_core,nvml,hwmon,thermal,battery,ipmi,estimate",
                               .period_ns = NS_PER_S / hz};
    struct meter *m = NULL;
    struct storage *st = NULL;
    struct err e = {0};
    char path[600];
    uv_loop_t loop;
    uv_loop_init(&loop);
    snprintf(path, sizeof(path), "%s/%d.db", root, hz);
    must(meter_open(&m, &cfg, &e), &e);
    must(storage_open(&st, &loop, path, m, &e), &e);
    must(storage_start(st, &e), &e);
    must(meter_start(m, storage_wake, st, &e), &e);
    rest_ms(1500);
    struct storage_status before, after;
    storage_get_status(st, &before);
    int64_t t0 = clock_mono_ns();
    int64_t c0 = cpu_ns();
    rest_ms((int64_t)(seconds * 1e3));
    double percent = (double)(cpu_ns() - c0) * 1e2 / (double)(clock_mono_ns() - t0);
    storage_get_status(st, &after);
    *samples = after.samples - before.samples;
    meter_stop(m);
    storage_stop(st);
    storage_close(st, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    meter_close(m);
    return percent;
}

/* What the wake and the reads alone cost: absolute sleep, 20 preads. */
static double floor_share(const char *root, int hz, double seconds)
{
    int fd[CHANNELS];
    char path[512];
    char text[64];
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:%d/energy_uj", root, i);
        fd[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
    int64_t t0 = clock_mono_ns();
    int64_t c0 = cpu_ns();
    for (int64_t due = t0; (double)(due - t0) < seconds * 1e9; due += NS_PER_S / hz) {
        struct timespec t = {.tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        for (int i = 0; i < CHANNELS; i++) {
            if (pread(fd[i], text, sizeof(text), 0) <= 0) {
                perror("pread");
                exit(1);
            }
        }
    }
    double percent = (double)(cpu_ns() - c0) * 1e2 / (double)(clock_mono_ns() - t0);
    for (int i = 0; i < CHANNELS; i++) {
        close(fd[i]);
    }
    return percent;
}

/* ---- one sweep of each source ------------------------------------------------------------------- */

#define SWEEPS_MAX 1000
#define SWEEP_NS   (500 * NS_PER_MS) /* spent on each source at most */

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void put(const char *root, const char *name, const char *text)
{
    char path[700];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void make_sensors(const char *root)
{
    char name[96];
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "sys/class/powercap/intel-rapl:%d/name", i);
        char text[32];
        snprintf(text, sizeof(text), "package-%d\n", i);
        put(root, name, text);
        snprintf(name, sizeof(name), "sys/class/powercap/intel-rapl:%d/energy_uj", i);
        put(root, name, "123456789\n");
        snprintf(name, sizeof(name), "sys/class/hwmon/hwmon%d/name", i);
        put(root, name, "ina3221\n");
        snprintf(name, sizeof(name), "sys/class/hwmon/hwmon%d/power1_input", i);
        put(root, name, "2500000\n");
    }
}

static void sweep_cost(const struct source_ops *ops, const struct meter_config *cfg)
{
    struct source *s = NULL;
    const struct channel_desc *descs = NULL;
    struct err e = {0};
    if (ops->open(&s, cfg, &e) != 0) {
        printf("%-10s %8s\n", ops->name, "none");
        return;
    }
    size_t n = ops->channels(s, &descs);
    struct reading *r = base_alloc((n + 1) * sizeof(*r));
    int64_t took[SWEEPS_MAX];
    size_t sweeps = 0;
    int64_t end = clock_mono_ns() + SWEEP_NS;
    for (; sweeps < SWEEPS_MAX && clock_mono_ns() < end; sweeps++) {
        int64_t t0 = clock_mono_ns();
        ops->read(s, clock_boot_ns(), r);
        took[sweeps] = clock_mono_ns() - t0;
    }
    size_t ok = 0;
    for (size_t i = 0; i < n; i++) {
        ok += r[i].state == READING_OK;
    }
    qsort(took, sweeps, sizeof(*took), by_value);
    size_t last = sweeps * 99 / 100;
    double median = (double)took[sweeps / 2] / 1e3;
    printf("%-10s %8zu %8zu %12.2f %12.2f %12.3f\n", ops->name, n, ok, median,
           (double)took[last] / 1e3, median / (double)n);
    fflush(stdout);
    free(r);
    ops->close(s);
}

static void sweep_costs(const char *nvml)
{
    char root[] = "/tmp/wattq-bench-XXXXXX";
    if (!mkdtemp(root)) {
        return;
    }
    make_sensors(root);
    struct slots *slots = slots_new(16);
    struct meter_config tree = {.sysfs_root = root, .nvml_path = nvml, .slots = slots};
    struct meter_config real = {.sysfs_root = "", .nvml_path = nvml, .slots = slots};
    printf("\n%-10s %8s %8s %12s %12s %12s\n", "source", "channels", "read", "p50 us", "p99 us",
           "us/channel");
    for (size_t i = 0; source_list[i]; i++) {
        const char *name = source_list[i]->name;
        bool fixture = strcmp(name, "powercap") == 0 || strcmp(name, "hwmon") == 0;
        if (strcmp(name, "script") != 0 && strcmp(name, "replay") != 0) {
            sweep_cost(source_list[i], fixture ? &tree : &real);
        }
    }
    slots_free(slots);
    remove_tree(root);
}

int main(int argc, char **argv)
{
    static const struct {
        int hz;
        double limit;
    } rates[] = {{1, 0.02}, {10, 0.15}, {100, 1.2}, {1000, 5.5}};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 5;
    double load[1] = {0};
    char root[] = "/tmp/wattq-bench-XXXXXX";
    int n = make_tree(root);
    if (n < CHANNELS) {
        printf("skipped: %d of %d attributes below /sys/class/net\n", n, CHANNELS);
        remove_tree(root);
        return 77;
    }
    printf("%6s %12s %8s %8s %8s %8s %8s\n", "Hz", "% of a core", "limit", "ratio", "floor",
           "ticks", "load");
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        int64_t samples = 0;
        double length = rates[i].hz == 1 ? 2 * seconds : seconds;
        double ours = share(root, rates[i].hz, length, &samples);
        double least = floor_share(root, rates[i].hz, length);
        (void)getloadavg(load, 1);
        printf("%6d %12.4f %8.2f %8.2f %8.4f %8" PRId64 " %8.1f\n", rates[i].hz, ours,
               rates[i].limit, ours / rates[i].limit, least, samples, load[0]);
        fflush(stdout);
    }
    remove_tree(root);
    sweep_costs(argc > 2 ? argv[2] : NULL);
    return 0;
}
