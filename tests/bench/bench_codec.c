/* Bytes that a stored sample takes, lossless: ours, a row per sample, Gorilla, a Netdata-like encoding, and
 * the floor that the noise of a counter sets, on the standard mix (tests/support/mix.h) at four rates and on
 * counters of this machine, recorded while the bench runs.
 *
 *   bench_codec [TICKS [SECONDS]]     default 36000 ticks of the mix, 20 s of real counters at 100 Hz
 *
 * "ratio" is ours by Netdata-like; that keeps no times, so "values" is the same without our timeline.
 * Blobs only: what the file adds (heads, pages) is in bench_store. The floor is the entropy of a normal
 * distribution as wide as what the best linear predictor of 16 samples leaves unsaid, counted in quanta. */
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "daemon/store/codec.h"
#include "tests/bench/rivals.h"
#include "tests/support/mix.h"

#define ORDER       16
#define REAL_MAX    20
#define REAL_PERIOD (10 * NS_PER_MS)

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- ours --------------------------------------------------------------------------------------- */

struct ours {
    double bytes, times_bytes, rapl_bytes, encode_ns, decode_ns;
};

/* Bytes of some parts: 0 is the timeline, then come the columns. */
static double part_bytes(const uint8_t *blob, size_t bytes, uint32_t from, uint32_t n)
{
    struct codec_view v;
    struct err e = {0};
    double sum = 0;
    rec_must(codec_open(&v, blob, bytes, &e), &e, "open");
    for (uint32_t i = from; i < from + n; i++) {
        size_t part;
        (void)codec_part_at(&v, i, &part);
        sum += (double)part;
    }
    codec_close(&v);
    return sum;
}

static int64_t read_all(const uint8_t *blob, size_t bytes)
{
    struct codec_view v;
    struct err e = {0};
    int64_t sum = 0;
    rec_must(codec_open(&v, blob, bytes, &e), &e, "open");
    for (uint32_t c = 0; c < v.channels; c++) {
        struct codec_cursor col;
        uint8_t state;
        codec_cursor_open(&col, &v, c);
        for (uint32_t i = 0; i < v.n; i++)
            sum += codec_cursor_next(&col, &state);
    }
    codec_close(&v);
    return sum;
}

static struct ours encode(struct codec_block *b, uint32_t rapl, int64_t *check)
{
    struct ours o = {0};
    size_t bytes;
    double start = now_ns();
    uint8_t *blob = codec_encode(b, 0, CODEC_SHARED, &bytes);
    double made = now_ns();
    *check += read_all(blob, bytes);
    o.decode_ns = now_ns() - made;
    o.encode_ns = made - start;
    o.bytes = (double)bytes;
    o.times_bytes = part_bytes(blob, bytes, 0, 1);
    o.rapl_bytes = part_bytes(blob, bytes, 1, rapl);
    free(blob);
    return o;
}

/* The trace in chunks that share a tick, as they are stored. */
static struct ours measure(const struct trace *t, const struct tick *stamps, uint32_t rapl)
{
    struct ours sum = {0};
    struct codec_block *b = codec_block_new(t->kinds, t->channels, t->period_ns);
    struct tick *k = base_alloc(tick_bytes(t->channels));
    int64_t check = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        *k = stamps[i];
        for (uint32_t c = 0; c < t->channels; c++) {
            tick_values(k)[c] = tick_raws(k)[c] = t->value[(size_t)c * t->n + i];
            check -= tick_values(k)[c];
        }
        if (!codec_block_add(b, k))
            abort();
        if (codec_block_ticks(b) <= SAMPLES_CHUNK_TICKS && i + 1 < t->n)
            continue;
        struct ours o = encode(b, rapl, &check);
        sum.bytes += o.bytes;
        sum.times_bytes += o.times_bytes;
        sum.rapl_bytes += o.rapl_bytes;
        sum.encode_ns += o.encode_ns;
        sum.decode_ns += o.decode_ns;
        codec_block_keep_last(b);
        for (uint32_t c = 0; c < t->channels && i + 1 < t->n; c++)
            check -= tick_values(k)[c]; /* it is read twice */
    }
    if (check != 0)
        abort(); /* a sum of all values: what went in came out */
    codec_block_free(b);
    free(k);
    return sum;
}

/* ---- floor -------------------------------------------------------------------------------------- */

/* source: Levinson, Durbin, as in Press et al., "Numerical Recipes", 13.6: the coefficients of the best
 * predictor from the autocovariances r[0 .. ORDER]. */
static void predictor_of(const double *r, double *a)
{
    double error = r[0], old[ORDER];
    for (int m = 0; m < ORDER; m++) {
        double k = r[m + 1];
        for (int j = 0; j < m; j++)
            k -= a[j] * r[m - j];
        k /= error;
        memcpy(old, a, sizeof(old));
        a[m] = k;
        for (int j = 0; j < m; j++)
            a[j] = old[j] - k * old[m - 1 - j];
        error *= 1 - k * k;
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Bytes per sample of one counter whose quantum is known. The spread is the median's, which jumps of the
 * load do not widen. */
static double floor_bytes(const int64_t *v, uint32_t n, double quantum)
{
    double r[ORDER + 1] = {0}, a[ORDER] = {0}, mean = (double)(v[n - 1] - v[0]) / (n - 1);
    double *x = base_alloc(n * sizeof(*x)), *left = base_alloc(n * sizeof(*left));
    for (uint32_t i = 1; i < n; i++)
        x[i - 1] = (double)(v[i] - v[i - 1]) - mean;
    for (int lag = 0; lag <= ORDER; lag++)
        for (uint32_t i = 0; i + 1 + (uint32_t)lag < n; i++)
            r[lag] += x[i] * x[i + (uint32_t)lag];
    predictor_of(r, a);
    for (uint32_t i = ORDER; i + 1 < n; i++) {
        double guess = 0;
        for (uint32_t j = 0; j < ORDER; j++)
            guess += a[j] * x[i - 1 - j];
        left[i - ORDER] = fabs(x[i] - guess);
    }
    qsort(left, n - 1 - ORDER, sizeof(*left), by_size);
    double sigma = left[(n - 1 - ORDER) / 2] / 0.6745 / quantum;
    free(x);
    free(left);
    return sigma > 0.3 ? 0.5 * log2(2 * M_PI * M_E * sigma * sigma) / 8 : 0;
}

/* ---- the mix ------------------------------------------------------------------------------------ */

static void print_row(const char *what, const struct trace *t, const struct ours *o, double floor)
{
    double samples = (double)t->n * t->channels, ours = o->bytes / samples;
    double netdata = rival_netdata(t);
    printf("%-22s %6.3f  %6.2f  %6.2f  %6.2f  %6.2f  %6.2f", what, ours, rival_rows(t),
           rival_gorilla(t), netdata, ours / netdata,
           ours / netdata - o->times_bytes / samples / netdata);
    if (floor > 0)
        printf("  %6.3f %6.3f %6.3f", o->rapl_bytes / ((double)t->n * MIX_RAPL), floor,
               o->rapl_bytes / ((double)t->n * MIX_RAPL) / floor);
    else
        printf("  %20s", "");
    printf("  %5.1f %5.1f\n", o->encode_ns / samples, o->decode_ns / samples);
}

static void bench_mix(uint32_t n, int64_t period_ns, const char *what)
{
    struct mix *m = base_alloc(sizeof(*m));
    uint8_t kinds[MIX_CHANNELS];
    int64_t *value = base_alloc((size_t)n * MIX_CHANNELS * sizeof(*value));
    int64_t *t_ns = base_alloc(n * sizeof(*t_ns));
    struct tick *stamps = base_alloc(n * sizeof(*stamps)),
                *k = base_alloc(tick_bytes(MIX_CHANNELS));
    mix_init(m, 42, period_ns);
    for (uint32_t c = 0; c < MIX_CHANNELS; c++)
        kinds[c] = (uint8_t)mix_kind(c);
    for (uint32_t i = 0; i < n; i++) {
        mix_tick(m, i, k);
        stamps[i] = *k;
        t_ns[i] = codec_middle(k->before_ns, k->after_ns);
        for (uint32_t c = 0; c < MIX_CHANNELS; c++)
            value[(size_t)c * n + i] = tick_values(k)[c];
    }
    const struct trace t = {MIX_CHANNELS, n, period_ns, kinds, t_ns, value};
    struct ours o = measure(&t, stamps, MIX_RAPL);
    double floor = 0;
    for (uint32_t c = 0; c < MIX_RAPL; c++)
        floor += floor_bytes(value + (size_t)c * n, n, c < 4 ? 61.035 : 15.258) / MIX_RAPL;
    print_row(what, &t, &o, floor);
    free(m);
    free(value);
    free(t_ns);
    free(stamps);
    free(k);
}

/* ---- this machine ------------------------------------------------------------------------------- */

/* Counters that every Linux has: CPU times, bytes and packets, context switches. */
static size_t find_counters(int *fd)
{
    static const char *const names[] = {"rx_bytes", "tx_bytes", "rx_packets", "tx_packets"};
    char path[512];
    size_t n = 0;
    DIR *d = base_open_dir("/sys/class/net");
    for (struct dirent *x; d && (x = readdir(d)) && n + 4 <= REAL_MAX;) {
        for (size_t i = 0; i < ARRAY_LEN(names) && x->d_name[0] != '.'; i++) {
            snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", x->d_name, names[i]);
            int f = open(path, O_RDONLY | O_CLOEXEC);
            if (f >= 0)
                fd[n++] = f;
        }
    }
    if (d)
        closedir(d);
    return n;
}

/* user, nice, system, idle, iowait of all CPUs in us, and context switches. */
static void read_stat(int fd, int64_t *v)
{
    char buf[8192];
    ssize_t got = pread(fd, buf, sizeof(buf) - 1, 0);
    buf[got > 0 ? got : 0] = 0;
    char *p = buf + 4;
    for (int i = 0; i < 5; i++)
        v[i] = strtoll(p, &p, 10) * 10000;
    char *ctxt = strstr(buf, "ctxt ");
    v[5] = ctxt ? atoll(ctxt + 5) : 0;
}

static int64_t read_number(int fd)
{
    char buf[32];
    ssize_t got = pread(fd, buf, sizeof(buf) - 1, 0);
    buf[got > 0 ? got : 0] = 0;
    return atoll(buf);
}

static int64_t boot_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void bench_real(uint32_t seconds)
{
    int fd[REAL_MAX], stat = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    uint32_t net = (uint32_t)find_counters(fd), channels = net + 6;
    uint32_t n = (uint32_t)(seconds * (NS_PER_S / REAL_PERIOD));
    uint8_t kinds[REAL_MAX + 6] = {0};
    int64_t *value = base_alloc((size_t)n * channels * sizeof(*value));
    int64_t *t_ns = base_alloc(n * sizeof(*t_ns)), start = boot_ns();
    struct tick *stamps = base_alloc(n * sizeof(*stamps));
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = start + i * REAL_PERIOD, v[6];
        const struct timespec until = {at / NS_PER_S, at % NS_PER_S};
        clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL);
        int64_t before = boot_ns();
        for (uint32_t c = 0; c < net; c++)
            value[(size_t)c * n + i] = read_number(fd[c]);
        read_stat(stat, v);
        for (uint32_t c = 0; c < 6; c++)
            value[(size_t)(net + c) * n + i] = v[c];
        stamps[i] = (struct tick){.n = channels, .before_ns = before, .after_ns = boot_ns()};
        tick_round(REAL_PERIOD, &stamps[i].before_ns, &stamps[i].after_ns);
        t_ns[i] = codec_middle(stamps[i].before_ns, stamps[i].after_ns);
    }
    const struct trace t = {channels, n, REAL_PERIOD, kinds, t_ns, value};
    struct ours o = measure(&t, stamps, 0);
    char what[64];
    snprintf(what, sizeof(what), "real, 100 Hz, %u ch.", channels);
    print_row(what, &t, &o, 0);
    free(value);
    free(t_ns);
    free(stamps);
}

int main(int argc, char **argv)
{
    int64_t ticks = argc > 1 ? atoll(argv[1]) : 36000, seconds = argc > 2 ? atoll(argv[2]) : 20;
    if (ticks < 1000 || ticks > 10000000 || seconds < 1 || seconds > 86400) {
        fprintf(stderr, "usage: bench_codec [TICKS [SECONDS]]\n");
        return 2;
    }
    printf("B/sample                 ours    rows  gorilla netdata  ratio  values    RAPL  floor  "
           "ratio  "
           "ns: enc   dec\n");
    bench_mix((uint32_t)ticks, NS_PER_S, "mix, 1 Hz");
    bench_mix((uint32_t)ticks, 100 * NS_PER_MS, "mix, 10 Hz");
    bench_mix((uint32_t)ticks, 10 * NS_PER_MS, "mix, 100 Hz");
    bench_mix((uint32_t)ticks, NS_PER_MS, "mix, 1000 Hz");
    bench_real((uint32_t)seconds);
    return 0;
}
