/* Storage: cost of a commit, bytes per stored sample, and latency of "energy of a window" on a database
 * of the standard mix of 20 channels (tests/support/mix.h). Prints ours, the target, and the ratio (above 1
 * = worse than the target).
 *
 *   bench_store [HOURS [QUERIES [HZ]]]     default 24 hours of samples at 10 Hz, 2000 queries per row
 *   bench_store 8784 10000 1               a year of samples a second: some minutes, 1 GB in /tmp
 *
 * Hot: the file is in the page cache. Cold: its pages were dropped from there, and the connection is a new one, before
 * every query. "channel" is one figure with bounds, "edge" one E(t). */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "common/units.h"
#include "daemon/energy/energy.h"
#include "daemon/store/tiers.h"
#include "tests/support/mix.h"

#define CHANNELS     MIX_CHANNELS
#define QUERY_TARGET 100.0 /* us, p99 */
#define COLD_TARGET  5000.0
#define CPU_TARGET   60.0 /* ns, at 1 kHz */

struct bench {
    struct recorder rec;
    struct meter_channel channel[CHANNELS];
    const struct meter_channel *list[CHANNELS];
    int64_t id[CHANNELS];
    int64_t hz, period_ns, ticks;
    struct mix mix;
    uint64_t seed;
};

static void set_base(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0, bool known)
{
    struct bench *b = arg;
    (void)e0;
    (void)raw0;
    (void)known;
    b->id[i] = id;
}

static void open_store(struct bench *b)
{
    struct err e = {0};
    rec_init(&b->rec);
    rec_must(store_open(&b->rec.store, b->rec.path, &e), &e, "open");
    for (size_t i = 0; i < CHANNELS; i++) {
        struct meter_channel *c = &b->channel[i];
        b->list[i] = c;
        c->source = "script";
        c->slot = (uint32_t)i;
        snprintf(c->desc.uid, sizeof(c->desc.uid), "bench-%zu", i);
        snprintf(c->desc.label, sizeof(c->desc.label), "bench-%zu", i);
        c->desc.kind = mix_kind((uint32_t)i);
        c->desc.scope = SCOPE_PACKAGE;
        c->desc.quantum = 61;
        c->desc.period_ns = NS_PER_MS;
        c->desc.period_declared = true;
        c->desc.pmax_uw = 400000000;
        c->desc.parent = c->desc.mirror_of = -1;
    }
    struct samples_setup u = {.channels = b->list,
                              .n = CHANNELS,
                              .periods_ns = &b->period_ns,
                              .groups = 1,
                              .set_base = set_base,
                              .arg = b};
    rec_must(samples_open_as(&b->rec.samples, b->rec.store, &u, &e), &e, "samples_open");
    b->rec.tick = base_alloc(tick_bytes(CHANNELS));
    b->rec.tick->n = CHANNELS;
}

static void put_tick(struct bench *b, int64_t i)
{
    mix_tick(&b->mix, i, b->rec.tick);
    b->rec.boot_ns = b->rec.tick->after_ns;
    samples_put(b->rec.samples, b->rec.tick);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, double *us, size_t n, double target)
{
    qsort(us, n, sizeof(*us), compare);
    double p99 = us[n * 99 / 100];
    printf("%-34s p50 %8.1f us  p99 %8.1f us", name, us[n / 2], p99);
    if (target > 0)
        printf("  target p99 %.0f us  ratio %.2f", target, p99 / target);
    printf("\n");
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Packing and SQL of all commits; tiers are apart. At 1 kHz little of it is SQL. */
static void report_cpu(const struct bench *b, double ns)
{
    double each = ns / (double)(b->ticks * CHANNELS);
    printf("%-34s %8.1f ns/sample  %.3f %% of a core", "CPU of storage", each,
           ns / ((double)b->ticks / (double)b->hz * 1e9) * 100);
    if (b->hz >= 400)
        printf("  target %.0f ns  ratio %.2f", CPU_TARGET, each / CPU_TARGET);
    printf("\n");
}

/* One commit per second of samples, as the daemon does, but without waiting in between; of more than some days one
 * in ten minutes. */
static void write_all(struct bench *b)
{
    int64_t at_once = b->ticks / b->hz > 5 * 86400 ? 600 : 1;
    int64_t seconds = b->ticks / b->hz / at_once;
    double *us = base_alloc((size_t)seconds * sizeof(*us));
    double start = now_us(), cpu = 0;
    for (int64_t s = 0; s < seconds; s++) {
        for (int64_t i = 0; i < b->hz * at_once; i++)
            put_tick(b, s * b->hz * at_once + i);
        double from = now_us(), cpu_from = cpu_ns();
        rec_flush(&b->rec);
        store_checkpoint(b->rec.store);
        us[s] = now_us() - from;
        cpu += cpu_ns() - cpu_from;
    }
    printf("%" PRId64 " ticks of %d channels, %.1f s\n", b->ticks, CHANNELS,
           (now_us() - start) * 1e-6);
    report(at_once == 1 ? "commit of 1 s (every 10th FULL)" : "commit of 10 min", us,
           (size_t)seconds, 0);
    report_cpu(b, cpu);
    free(us);
}

static void report_size(struct bench *b)
{
    struct stat st;
    if (stat(b->rec.path, &st) != 0)
        abort();
    double bytes = (double)st.st_size / (double)(b->ticks * CHANNELS);
    double target = b->hz < 4 ? 1.25 : b->hz < 40 ? 0.85 : b->hz < 400 ? 0.60 : 0.38;
    printf("%-34s %8.3f B/sample  target %.2f  ratio %.2f\n", "whole file", bytes, target,
           bytes / target);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

/* Tiers, made at once of all that is there. */
static void build_tiers(struct bench *b)
{
    struct err e = {0};
    struct tiers_group *g;
    size_t n;
    double start = now_us();
    rec_must(tiers_groups(b->rec.store, &g, &n, &e), &e, "groups");
    for (size_t i = 0; i < n; i++)
        rec_must(tiers_build(b->rec.store, &g[i], always, NULL, &e), &e, "tiers");
    free(g);
    printf("tiers: %.1f s, %.2f us for each tick\n", (now_us() - start) * 1e-6,
           (now_us() - start) / (double)b->ticks);
    for (int tier = 1; tier <= TIERS; tier++) {
        char sql[160];
        (void)snprintf(
            sql, sizeof(sql),
            "SELECT coalesce(sum(length(b)) * 1000 / sum(n), 0) FROM chunk WHERE tier = %d", tier);
        double bytes = (double)rec_ask(&b->rec, sql) / 1000 / CHANNELS;
        if (bytes > 0)
            printf("tier %d, %-5" PRId64 " s %22s %8.2f B/entry   target 5.00  ratio %.2f\n", tier,
                   tiers_interval_ns(tier) / NS_PER_S, "", bytes, bytes / 5);
    }
}

static int64_t random_time(struct bench *b)
{
    return 2 * NS_PER_S + rec_below(&b->seed, (b->ticks - 20) * b->period_ns);
}

static void query_edges(struct bench *b, struct store *s, size_t n, const char *name)
{
    struct err e = {0};
    struct curve_point p;
    double *us = base_alloc(n * sizeof(*us));
    for (size_t i = 0; i < n; i++) {
        int64_t id = b->id[rec_below(&b->seed, CHANNELS)], t = random_time(b);
        double from = now_us();
        rec_must(samples_curve(s, id, 1, t, &p, &e) < 0, &e, "curve");
        us[i] = now_us() - from;
    }
    report(name, us, n, 0);
    free(us);
}

static void query_windows(struct bench *b, struct store *s, size_t n, int64_t span,
                          const char *name)
{
    struct err e = {0};
    double *us = base_alloc(n * sizeof(*us));
    for (size_t i = 0; i < n; i++) {
        int64_t t = random_time(b);
        struct curve_point p, q;
        int64_t id = b->id[rec_below(&b->seed, CHANNELS)];
        int64_t other = span > 0 ? t + span : random_time(b);
        double from = now_us();
        rec_must(store_begin(s, false, &e), &e, "snapshot");
        rec_must(samples_curve(s, id, 1, t, &p, &e) < 0, &e, "curve");
        rec_must(samples_curve(s, id, 1, other, &q, &e) < 0, &e, "curve");
        rec_must(store_commit(s, &e), &e, "snapshot");
        us[i] = now_us() - from;
    }
    report(name, us, n, QUERY_TARGET);
    free(us);
}

static void drop_pages(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        abort();
    close(fd);
}

static void query_cold(struct bench *b, size_t n)
{
    struct err e = {0};
    double *us = base_alloc(n * sizeof(*us));
    for (size_t i = 0; i < n; i++) {
        struct store *s;
        struct curve_point p, q;
        int64_t t = random_time(b), other = random_time(b);
        int64_t id = b->id[rec_below(&b->seed, CHANNELS)];
        rec_must(store_open_reader(&s, b->rec.path, &e), &e, "reader");
        drop_pages(b->rec.path);
        double from = now_us();
        rec_must(samples_curve(s, id, 1, t, &p, &e) < 0, &e, "curve");
        rec_must(samples_curve(s, id, 1, other, &q, &e) < 0, &e, "curve");
        us[i] = now_us() - from;
        store_close(s);
    }
    report("energy of any window, cold", us, n, COLD_TARGET);
    free(us);
}

/* What "hot" means: all of the file is in the page cache. */
static void read_all(const char *path)
{
    static char buf[1 << 20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
        ;
    if (fd >= 0)
        close(fd);
}

static void query_figures(struct bench *b, struct store *s, size_t n)
{
    struct err e = {0};
    struct channel_row ch;
    struct energy_figure f;
    struct energy_set set;
    double *us = base_alloc(n * sizeof(*us));
    rec_must(samples_channel(s, b->id[0], &ch, &e), &e, "channel");
    for (size_t i = 0; i < n; i++) {
        int64_t t0 = random_time(b), t1 = random_time(b);
        struct energy_window w = {1, t0 < t1 ? t0 : t1, t0 < t1 ? t1 : t0};
        double from = now_us();
        rec_must(energy_of_channel(s, &ch, &w, &f, &e), &e, "energy");
        us[i] = now_us() - from;
    }
    report("figure of one channel with bounds", us, n, 0);
    size_t few = n / 20 + 1;
    for (size_t i = 0; i < few; i++) {
        int64_t t0 = random_time(b), t1 = random_time(b);
        struct energy_window w = {1, t0 < t1 ? t0 : t1, t0 < t1 ? t1 : t0};
        double from = now_us();
        rec_must(energy_of_window(s, &w, &set, &e), &e, "window");
        us[i] = now_us() - from;
        energy_set_fini(&set);
    }
    report("figure of the machine, 20 channels", us, few, 0);
    free(us);
}

static void query_series(struct bench *b, struct store *s)
{
    struct err e = {0};
    static struct series_pixel px[1000];
    static const int64_t minutes[] = {10, 60, 720, 43200, 525600};
    for (size_t k = 0; k < ARRAY_LEN(minutes); k++) {
        int64_t span = minutes[k] * 60 * NS_PER_S;
        if (span >= (b->ticks - 100) * b->period_ns)
            break;
        double us[9];
        char name[40];
        for (size_t i = 0; i < ARRAY_LEN(us); i++) {
            double from = now_us();
            rec_must(
                samples_series(s, b->id[0], 1, 2 * NS_PER_S, 2 * NS_PER_S + span, px, 1000, &e), &e,
                "series");
            us[i] = now_us() - from;
        }
        snprintf(name, sizeof(name), "series of %" PRId64 " min, 1000 px", minutes[k]);
        report(name, us, ARRAY_LEN(us), 16000);
    }
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct store *s;
    struct bench *b = base_alloc(sizeof(*b));
    setvbuf(stdout, NULL, _IOLBF, 0);
    int64_t hours = argc > 1 ? atoll(argv[1]) : 24;
    size_t queries = argc > 2 ? (size_t)atoll(argv[2]) : 2000;
    b->hz = argc > 3 ? atoll(argv[3]) : 10;
    if (hours < 1 || hours > 24 * 366 || queries < 100 || b->hz < 1 || b->hz > 1000) {
        fprintf(stderr, "usage: bench_store [HOURS [QUERIES [HZ]]]\n");
        return 2;
    }
    b->seed = 42;
    b->period_ns = NS_PER_S / b->hz;
    b->ticks = hours * 3600 * b->hz;
    mix_init(&b->mix, b->seed, b->period_ns);
    open_store(b);
    write_all(b);
    build_tiers(b);
    rec_close(&b->rec, true);
    report_size(b);
    rec_must(store_open_reader(&s, b->rec.path, &e), &e, "reader");
    read_all(b->rec.path);
    query_edges(b, s, queries, "E(t), hot");
    query_windows(b, s, queries, 60 * NS_PER_S, "energy of 1 min, hot");
    query_windows(b, s, queries, 0, "energy of any window, hot");
    query_cold(b, queries / 20 + 20);
    read_all(b->rec.path);
    query_figures(b, s, queries);
    query_series(b, s);
    store_close(s);
    rec_fini(&b->rec);
    free(b);
    return 0;
}
