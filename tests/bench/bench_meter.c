/* CPU share of sampling 20 real sysfs attributes at 1, 10, 100 and 1000 Hz, against the budget of sampling
 * and storage together. Prints ours, the limit, and the ratio.
 *
 *   bench_meter [SECONDS]      per rate, default 5 (more at 1 Hz)
 *
 * The attributes are network statistics, linked into a powercap-like tree so that the daemon's own path
 * (source, unwrap, ring) is what runs. The share is user + system time of the whole process, consumer
 * included. `floor` is the same wakes and preads with nothing around them, measured beside it. */
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

/* Percent of one core. */
static double share(const char *root, int hz, double seconds, int64_t *ticks)
{
    struct meter_config cfg = {
        .sysfs_root = root, .disable = "nvml,hwmon,thermal,estimate", .period_ns = NS_PER_S / hz};
    struct meter *m = NULL;
    struct err e = {0};
    if (meter_open(&m, &cfg, &e) != 0 || meter_start(m, NULL, NULL, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    rest_ms(100);
    int64_t t0 = clock_mono_ns();
    int64_t c0 = cpu_ns();
    *ticks = 0;
    while ((double)(clock_mono_ns() - t0) < seconds * 1e9) {
        rest_ms(1000);
        for (; ring_peek(meter_ring(m)); ring_pop(meter_ring(m))) {
            ++*ticks;
        }
    }
    double percent = (double)(cpu_ns() - c0) * 1e2 / (double)(clock_mono_ns() - t0);
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

int main(int argc, char **argv)
{
    static const struct {
        int hz;
        double limit;
    } rates[] = {{1, 0.02}, {10, 0.15}, {100, 1.2}, {1000, 5.5}};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 5;
    char root[] = "/tmp/wattq-bench-XXXXXX";
    int n = make_tree(root);
    if (n < CHANNELS) {
        printf("skipped: %d of %d attributes below /sys/class/net\n", n, CHANNELS);
        remove_tree(root);
        return 77;
    }
    printf("%6s %12s %8s %8s %8s %8s\n", "Hz", "% of a core", "limit", "ratio", "floor", "ticks");
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        int64_t ticks = 0;
        double length = rates[i].hz == 1 ? 2 * seconds : seconds;
        double ours = share(root, rates[i].hz, length, &ticks);
        double least = floor_share(root, rates[i].hz, length);
        printf("%6d %12.4f %8.2f %8.2f %8.4f %8" PRId64 "\n", rates[i].hz, ours, rates[i].limit,
               ours / rates[i].limit, least, ticks);
        fflush(stdout);
    }
    remove_tree(root);
    return 0;
}
