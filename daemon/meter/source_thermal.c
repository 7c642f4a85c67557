/* What explains power: temperatures and the CPU clock. Companions, once per second.
 * source: thermal zones (milli-degrees), hwmon tempN_input of CPU drivers (milli-degrees), cpufreq
 * scaling_cur_freq (kHz; the largest over all policies, so one core's turbo is seen, and their mean). What a
 * driver answers there is the clock a CPU ran at lately (on x86 from the hardware's counters, APERF/MPERF),
 * idle or not. */
#include "daemon/meter/attr.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX 64
#define POLICIES_MAX 512
#define ZONES_MAX    16

struct source {
    struct attr attrs[CHANNELS_MAX]; /* of the temperatures */
    struct channel_desc descs[CHANNELS_MAX + 2];
    size_t n; /* temperatures */
    struct attr policies[POLICIES_MAX];
    size_t npolicies; /* > 0: two more channels, the clock */
};

static void describe(struct channel_desc *d, const char *unit, const char *label,
                     const char *covers)
{
    d->kind = CHANNEL_COMPANION;
    d->quality = QUALITY_NONE;
    d->scope = SCOPE_CPU;
    d->quantum = 1;
    d->period_ns = NS_PER_S;
    d->parent = -1;
    d->mirror_of = -1;
    (void)base_strcpy(d->unit, sizeof(d->unit), unit);
    (void)base_strcpy(d->label, sizeof(d->label), label);
    (void)base_strcpy(d->covers, sizeof(d->covers), covers);
}

/* A zone's number depends on probe order; its type and its place among zones of that type do not. */
static void add_zone(struct source *s, const char *dir)
{
    char type[40];
    char *path CLEANUP(base_freep) = base_printf("%s/temp", dir);
    if (s->n >= ZONES_MAX || !attr_text(dir, "type", type, sizeof(type)) ||
        attr_now(path).state == READING_GONE) {
        return;
    }
    char label[48];
    (void)snprintf(label, sizeof(label), "temp %s", type);
    int nth = 0;
    for (size_t i = 0; i < s->n; i++) {
        nth += strcmp(s->descs[i].label, label) == 0;
    }
    struct channel_desc *d = &s->descs[s->n];
    describe(d, "mC", label, "temperature of a thermal zone");
    attr_uid(d, "thermal/%s/%d", type, nth);
    attr_driver(d, type);
    attr_init(&s->attrs[s->n++], path);
}

static bool cpu_driver(const char *name)
{
    static const char *const drivers[] = {"coretemp", "k10temp", "zenpower", "cpu_thermal"};
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        if (strcmp(drivers[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The package's temperature only ("Package id 0", "Tctl", "Tdie", "Tccd1"): cores are too many. */
static void add_chip(struct source *s, const char *dir)
{
    char name[32];
    if (!attr_text(dir, "name", name, sizeof(name)) || !cpu_driver(name)) {
        return;
    }
    for (int i = 1; i <= ZONES_MAX && s->n < CHANNELS_MAX; i++) {
        char file[32];
        char label[32];
        (void)snprintf(file, sizeof(file), "temp%d_label", i);
        if (!attr_text(dir, file, label, sizeof(label)) || strncmp(label, "Core", 4) == 0) {
            continue;
        }
        char *path CLEANUP(base_freep) = base_printf("%s/temp%d_input", dir, i);
        char *link CLEANUP(base_freep) = base_printf("%s/device", dir);
        char *device CLEANUP(base_freep) = realpath(link, NULL);
        const char *base = device ? strrchr(device, '/') : NULL;
        char shown[48];
        (void)snprintf(shown, sizeof(shown), "temp %.30s", label);
        struct channel_desc *d = &s->descs[s->n];
        describe(d, "mC", shown, "CPU package temperature");
        attr_uid(d, "thermal/%s/%s/%s", name, base ? base + 1 : "virtual", label);
        attr_driver(d, name);
        (void)base_strcpy(d->device, sizeof(d->device), base ? base + 1 : "virtual");
        attr_init(&s->attrs[s->n++], path);
    }
}

static void add_policy(struct source *s, const char *dir)
{
    char *path CLEANUP(base_freep) = base_printf("%s/scaling_cur_freq", dir);
    if (s->npolicies < POLICIES_MAX && attr_now(path).state == READING_OK) {
        attr_init(&s->policies[s->npolicies++], path);
    }
}

static void scan(struct source *s, const char *dir, const char *prefix,
                 void (*add)(struct source *s, const char *dir))
{
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, versionsort);
    for (int i = 0; i < n; i++) {
        if (strncmp(list[i]->d_name, prefix, strlen(prefix)) == 0) {
            char *sub CLEANUP(base_freep) = base_printf("%s/%s", dir, list[i]->d_name);
            add(s, sub);
        }
        free(list[i]);
    }
    free(list);
}

static void close_thermal(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        attr_fini(&s->attrs[i]);
    }
    for (size_t i = 0; i < s->npolicies; i++) {
        attr_fini(&s->policies[i]);
    }
    free(s);
}

static void describe_clock(struct channel_desc *d, const char *what, const char *covers)
{
    char label[32];
    (void)snprintf(label, sizeof(label), "cpu clock (%s)", what);
    describe(d, "kHz", label, covers);
    attr_uid(d, "thermal/cpufreq/%s", what);
    attr_driver(d, "cpufreq");
}

static int open_thermal(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    char *zones CLEANUP(base_freep) = base_printf("%s/class/thermal", sys);
    char *chips CLEANUP(base_freep) = base_printf("%s/class/hwmon", sys);
    char *policies CLEANUP(base_freep) = base_printf("%s/devices/system/cpu/cpufreq", sys);
    scan(s, zones, "thermal_zone", add_zone);
    scan(s, chips, "hwmon", add_chip);
    scan(s, policies, "policy", add_policy);
    if (s->n == 0 && s->npolicies == 0) {
        close_thermal(s);
        return 1;
    }
    if (s->npolicies > 0) {
        describe_clock(&s->descs[s->n], "max", "highest clock of any CPU");
        describe_clock(&s->descs[s->n + 1], "mean", "mean clock over all CPUs, idle ones too");
    }
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->descs;
    return s->n + (s->npolicies > 0 ? 2 : 0);
}

/* Over the policies that answer; all of one CPU each on most machines. */
static void read_clock(struct source *s, int64_t boot_ns, struct reading out[2])
{
    struct reading best = {.state = READING_GONE};
    int64_t sum = 0;
    int64_t n = 0;
    for (size_t i = 0; i < s->npolicies; i++) {
        struct reading r = attr_read(&s->policies[i], boot_ns);
        if (best.state != READING_OK || (r.state == READING_OK && r.value > best.value)) {
            best = r;
        }
        if (r.state == READING_OK) {
            sum += r.value;
            n++;
        }
    }
    out[0] = out[1] = best;
    if (n > 0) {
        out[1].value = sum / n;
    }
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        out[i] = attr_read(&s->attrs[i], boot_ns);
    }
    if (s->npolicies > 0) {
        read_clock(s, boot_ns, &out[s->n]);
    }
}

const struct source_ops source_thermal = {
    .name = "thermal",
    .slow = true,
    .open = open_thermal,
    .channels = channels,
    .read = read_all,
    .close = close_thermal,
};
