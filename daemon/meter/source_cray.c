/* Cray's node counters, /sys/cray/pm_counters: cumulative energy of the node, its CPU, memory and
 * accelerators, at 10 Hz. Files say "12345 J", newer ones "12345 J 1700000000000000 us".
 * source: Cray XC series system administration guide, power monitoring (pm_counters); facts as Slurm's
 * pm_counters plug-in uses them.
 *
 * `generation` changes when the counters were set up anew: an era of its own. `freshness` counts their
 * updates: while it stands still nothing is known, READING_STALE. */
#include "daemon/meter/attr.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNTERS_MAX 16
#define PERIOD_NS    (100 * NS_PER_MS)
#define STALE_NS     (2 * NS_PER_S)
#define JOULE_UJ     1000000
#define PMAX_UW      INT64_C(20000000000)

struct source {
    char *dir;
    struct channel_desc descs[COUNTERS_MAX];
    char files[COUNTERS_MAX][24];
    size_t n;
    struct reading generation; /* newest */
    uint32_t era;
    int64_t freshness; /* newest, and when it was first seen */
    int64_t fresh_ns;
};

/* The number before " J" or before the end; a stamp behind the unit is not taken, it is not our clock. */
static struct reading read_number(const char *dir, const char *file)
{
    char text[ATTR_TEXT_BYTES];
    struct reading r = {.state = READING_GARBLED};
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, file);
    if (access(path, F_OK) < 0) {
        return (struct reading){.state = READING_GONE};
    }
    if (!attr_text(dir, file, text, sizeof(text))) {
        return (struct reading){.state = READING_IO};
    }
    size_t digits = strcspn(text, " ");
    const char *rest = text + digits;
    if ((*rest == '\0' || strcmp(rest, " J") == 0 || strncmp(rest, " J ", 3) == 0) &&
        attr_parse(text, digits, &r.value) && r.value >= 0) {
        r.state = attr_sentinel(r.value) ? READING_IMPLAUSIBLE : READING_OK;
    }
    return r;
}

/* ---- what a file is ---------------------------------------------------------------------------- */

static void add(struct source *s, const char *file, enum channel_scope scope, const char *covers)
{
    if (s->n == COUNTERS_MAX || read_number(s->dir, file).state == READING_GONE) {
        return;
    }
    struct channel_desc *d = &s->descs[s->n];
    (void)base_strcpy(s->files[s->n], sizeof(s->files[s->n]), file);
    attr_uid(d, "cray/%s", file);
    attr_driver(d, "cray pm_counters");
    (void)snprintf(d->label, sizeof(d->label), "cray %s", file);
    (void)base_strcpy(d->device, sizeof(d->device), "cray");
    (void)base_strcpy(d->unit, sizeof(d->unit), "uJ");
    (void)base_strcpy(d->covers, sizeof(d->covers), covers);
    d->kind = CHANNEL_COUNTER;
    d->quality = QUALITY_MEASURED;
    d->scope = scope;
    d->quantum = JOULE_UJ;
    d->period_ns = PERIOD_NS;
    d->period_declared = true;
    d->pmax_uw = PMAX_UW;
    d->parent = s->n > 0 && s->descs[0].scope == SCOPE_NODE ? 0 : -1;
    d->mirror_of = -1;
    s->n++;
}

static void find_counters(struct source *s)
{
    add(s, "energy", SCOPE_NODE, "one node: CPUs, memory, accelerators, board");
    add(s, "cpu_energy", SCOPE_PACKAGE, "CPU sockets of the node");
    add(s, "memory_energy", SCOPE_DRAM, "memory of the node");
    for (int i = 0; i < 8; i++) {
        char file[24];
        (void)snprintf(file, sizeof(file), "accel%d_energy", i);
        add(s, file, SCOPE_GPU, "one accelerator module");
    }
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void close_cray(struct source *s)
{
    free(s->dir);
    free(s);
}

static int open_cray(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    s->dir = base_printf("%s/cray/pm_counters", sys);
    s->generation = read_number(s->dir, "generation");
    s->freshness = -1;
    find_counters(s);
    if (s->n == 0) {
        close_cray(s);
        return 1;
    }
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->descs;
    return s->n;
}

static void watch_generation(struct source *s)
{
    struct reading now = read_number(s->dir, "generation");
    bool both = now.state == READING_OK && s->generation.state == READING_OK;
    if (both && now.value != s->generation.value) {
        s->era++;
    }
    if (now.state == READING_OK) {
        s->generation = now;
    }
}

/* Without the file nothing is said of freshness, and nothing held against the values. */
static bool is_fresh(struct source *s, int64_t boot_ns)
{
    struct reading now = read_number(s->dir, "freshness");
    if (now.state != READING_OK || now.value != s->freshness) {
        s->freshness = now.value;
        s->fresh_ns = boot_ns;
    }
    return boot_ns - s->fresh_ns <= STALE_NS;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    watch_generation(s);
    bool fresh = is_fresh(s, boot_ns);
    for (size_t i = 0; i < s->n; i++) {
        out[i] = read_number(s->dir, s->files[i]);
        out[i].era = s->era;
        if (out[i].state == READING_OK && !fresh) {
            out[i].state = READING_STALE;
        } else if (__builtin_mul_overflow(out[i].value, JOULE_UJ, &out[i].value)) {
            out[i].state = READING_IMPLAUSIBLE;
        }
    }
}

const struct source_ops source_cray = {
    .name = "cray",
    .open = open_cray,
    .channels = channels,
    .read = read_all,
    .close = close_cray,
};
