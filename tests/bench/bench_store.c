/* Storage: cost of a commit, bytes per stored sample, and latency of "energy of a window" on a database
 * of 20 channels at 10 Hz. Prints ours, the target, and the ratio (above 1 = worse than the target).
 *
 *   bench_store [HOURS [QUERIES]]      default 24 hours of samples, 2000 queries per row
 *
 * The data are random walks of power, as synthetic as those the targets were set with. Hot: the file is in
 * the page cache. "channel" is one figure with bounds, "edge" one E(t). */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "common/units.h"
#include "daemon/energy/energy.h"
#include "tests/support/recorder.h"

#define CHANNELS     20
#define PERIOD_NS    (100 * NS_PER_MS)
#define BYTES_TARGET 0.85
#define QUERY_TARGET 100.0 /* us, p99 */

struct bench {
    struct recorder rec;
    struct meter_channel channel[CHANNELS];
    const struct meter_channel *list[CHANNELS];
    int64_t id[CHANNELS], value[CHANNELS], power_uw[CHANNELS];
    int64_t ticks;
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
        c->desc.kind = i < 12 ? CHANNEL_COUNTER : CHANNEL_GAUGE;
        c->desc.scope = SCOPE_PACKAGE;
        c->desc.quantum = 61;
        c->desc.period_ns = NS_PER_MS;
        c->desc.period_declared = true;
        c->desc.pmax_uw = 400000000;
        c->desc.parent = c->desc.mirror_of = -1;
        b->power_uw[i] = 50000000;
    }
    int64_t period = PERIOD_NS;
    struct samples_setup u = {.channels = b->list,
                              .n = CHANNELS,
                              .periods_ns = &period,
                              .groups = 1,
                              .set_base = set_base,
                              .arg = b};
    rec_must(samples_open_as(&b->rec.samples, b->rec.store, &u, &e), &e, "samples_open");
    b->rec.tick = base_alloc(tick_bytes(CHANNELS));
    b->rec.tick->n = CHANNELS;
}

static void put_tick(struct bench *b, int64_t i)
{
    for (size_t c = 0; c < CHANNELS; c++) {
        int64_t p = b->power_uw[c] + rec_below(&b->seed, 2000001) - 1000000;
        b->power_uw[c] = p < 5000000 ? 5000000 : p > 300000000 ? 300000000 : p;
        b->value[c] += b->power_uw[c] / 10;
        rec_set(&b->rec, c,
                b->channel[c].desc.kind == CHANNEL_COUNTER ? b->value[c] : b->power_uw[c], 0);
    }
    int64_t t = NS_PER_S + i * PERIOD_NS + rec_below(&b->seed, 100000);
    rec_put(&b->rec, t, t + 60000, 0);
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

/* One commit per second of samples, as the daemon does, but without waiting in between. */
static void write_all(struct bench *b)
{
    int64_t seconds = b->ticks / 10;
    double *us = base_alloc((size_t)seconds * sizeof(*us));
    double start = now_us();
    for (int64_t s = 0; s < seconds; s++) {
        for (int64_t i = 0; i < 10; i++)
            put_tick(b, s * 10 + i);
        double from = now_us();
        rec_flush(&b->rec);
        store_checkpoint(b->rec.store);
        us[s] = now_us() - from;
    }
    printf("%" PRId64 " ticks of %d channels, %.1f s\n", b->ticks, CHANNELS,
           (now_us() - start) * 1e-6);
    report("commit of 1 s (every 10th FULL)", us, (size_t)seconds, 0);
    free(us);
}

static void report_size(struct bench *b)
{
    struct stat st;
    if (stat(b->rec.path, &st) != 0)
        abort();
    double bytes = (double)st.st_size / (double)(b->ticks * CHANNELS);
    printf("%-34s %8.2f B/sample  target %.2f  ratio %.1f  (codec version %d: raw columns)\n",
           "whole file", bytes, BYTES_TARGET, bytes / BYTES_TARGET, CODEC_VERSION);
}

static int64_t random_time(struct bench *b)
{
    return 2 * NS_PER_S + rec_below(&b->seed, (b->ticks - 20) * PERIOD_NS);
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
        rec_must(samples_curve(s, id, 1, t, &p, &e) < 0, &e, "curve");
        rec_must(samples_curve(s, id, 1, other, &q, &e) < 0, &e, "curve");
        us[i] = now_us() - from;
    }
    report(name, us, n, QUERY_TARGET);
    free(us);
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
    static const int64_t minutes[] = {10, 60, 720};
    for (size_t k = 0; k < ARRAY_LEN(minutes); k++) {
        int64_t span = minutes[k] * 60 * NS_PER_S;
        if (span >= (b->ticks - 100) * PERIOD_NS)
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
    int64_t hours = argc > 1 ? atoll(argv[1]) : 24;
    size_t queries = argc > 2 ? (size_t)atoll(argv[2]) : 2000;
    if (hours < 1 || hours > 24 * 366 || queries < 100) {
        fprintf(stderr, "usage: bench_store [HOURS [QUERIES]]\n");
        return 2;
    }
    b->seed = 42;
    b->ticks = hours * 36000;
    open_store(b);
    write_all(b);
    rec_close(&b->rec, true);
    report_size(b);
    rec_must(store_open_reader(&s, b->rec.path, &e), &e, "reader");
    query_edges(b, s, queries, "E(t), first round (fills the cache)");
    query_edges(b, s, queries, "E(t), hot");
    query_windows(b, s, queries, 60 * NS_PER_S, "energy of 1 min, hot");
    query_windows(b, s, queries, 0, "energy of any window, hot");
    query_figures(b, s, queries);
    query_series(b, s);
    store_close(s);
    rec_fini(&b->rec);
    free(b);
    return 0;
}
