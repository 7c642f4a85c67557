/* What holds the CPUs back: how often and for how long each package and its cores were throttled, and the
 * power limits of RAPL. Companions, once per second.
 *
 * thermal_throttle counts since the machine started, for each logical CPU: events of its package (one CPU of
 * a package is asked) and of its core (one CPU of a core is asked, and all cores of a package are added up).
 * The kernel adds an event's time when it is over. A core that is offline keeps what it last showed, so the
 * sum never falls; of more cores than CORES_PER_SWEEP a part is read each second. Kernels before 5.6 count
 * events only; AMD and ARM have no such files.
 * source: arch/x86/kernel/cpu/mce/therm_throt.c (drivers/thermal/intel from 5.12 on).
 *
 * A limit is the constraint of a package's or platform's zone, its default the largest the zone states for it
 * (constraint_N_max_power_uw, the rated power). Where the zone says that limits are not enabled - or the BIOS
 * has locked them, which the kernel shows alike - there is no reading.
 * source: Documentation/power/powercap/powercap.rst; drivers/powercap/intel_rapl_common.c. */
#include "daemon/meter/attr.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX    128
#define CPUS_MAX        4096
#define CORES_PER_SWEEP 32
#define LIMIT_MAX       INT64_C(5000000000) /* uW: "unlimited" as some boards write it */

/* One number, or many added up. */
struct part {
    struct attr file;
    int64_t value;
    bool known; /* has had a value */
};
struct item {
    struct part *parts;
    size_t n, next; /* next: where the following sweep goes on */
    bool read;      /* all parts have been tried */
    char *gate;     /* file whose 0 means that there is no reading, or NULL */
    struct attr gated;
};
struct source {
    struct item items[CHANNELS_MAX];
    struct channel_desc descs[CHANNELS_MAX];
    size_t n;
};

/* ---- channels ---------------------------------------------------------------------------------- */

/* NULL: no room. */
static struct item *add_item(struct source *s, const char *unit, enum channel_scope scope,
                             const char *device)
{
    if (s->n == CHANNELS_MAX) {
        return NULL;
    }
    struct channel_desc *d = &s->descs[s->n];
    d->kind = CHANNEL_COMPANION;
    d->quality = QUALITY_NONE;
    d->scope = scope;
    d->quantum = 1;
    d->period_ns = NS_PER_S;
    d->parent = -1;
    d->mirror_of = -1;
    (void)base_strcpy(d->unit, sizeof(d->unit), unit);
    (void)base_strcpy(d->device, sizeof(d->device), device);
    return &s->items[s->n++];
}

static void add_part(struct item *x, const char *path)
{
    struct part *more = reallocarray(x->parts, x->n + 1, sizeof(*more));
    if (!more) {
        return;
    }
    x->parts = more;
    more[x->n] = (struct part){0};
    attr_init(&more[x->n++].file, path);
}

/* ---- throttling -------------------------------------------------------------------------------- */

struct cpu {
    int64_t number, package, core;
};

static int by_core(const void *va, const void *vb)
{
    const struct cpu *a = va;
    const struct cpu *b = vb;
    if (a->package != b->package) {
        return a->package < b->package ? -1 : 1;
    }
    if (a->core != b->core) {
        return a->core < b->core ? -1 : 1;
    }
    return (a->number > b->number) - (a->number < b->number);
}

/* Numbers of the directories that count throttling. A CPU that does not tell its core is one by itself. */
static size_t list_cpus(const char *root, struct cpu *out)
{
    size_t n = 0;
    struct dirent **list = NULL;
    int found = scandir(root, &list, NULL, versionsort);
    for (int i = 0; i < found; i++) {
        const char *name = list[i]->d_name;
        char *end = NULL;
        int64_t number = strncmp(name, "cpu", 3) == 0 ? strtoll(name + 3, &end, 10) : -1;
        if (end && end != name + 3 && *end == '\0' && n < CPUS_MAX) {
            char *dir CLEANUP(base_freep) = base_printf("%s/%s", root, name);
            struct reading package = attr_once(dir, "topology/physical_package_id");
            struct reading core = attr_once(dir, "topology/core_id");
            struct reading die = attr_once(dir, "topology/die_id");
            bool counts =
                attr_once(dir, "thermal_throttle/core_throttle_count").state == READING_OK ||
                attr_once(dir, "thermal_throttle/package_throttle_count").state == READING_OK;
            if (counts) {
                out[n++] =
                    (struct cpu){number, package.state == READING_OK ? package.value : 0,
                                 core.state != READING_OK  ? number
                                 : die.state == READING_OK ? die.value * CPUS_MAX + core.value
                                                           : core.value};
            }
        }
        free(list[i]);
    }
    free(list);
    qsort(out, n, sizeof(*out), by_core);
    return n;
}

static const struct throttle_file {
    const char *file;
    const char *name; /* in the uid, for ever */
    const char *unit;
    const char *label;
    const char *covers;
    bool of_core;
} throttle_files[] = {
    {"package_throttle_count", "package/events", "n", "throttle events",
     "times the package was too hot, since the machine started", false},
    {"package_throttle_total_time_ms", "package/time", "ms", "throttled",
     "time the package was too hot, since the machine started", false},
    {"core_throttle_count", "cores/events", "n", "cores throttle events",
     "times a core was too hot, all cores added up", true},
    {"core_throttle_total_time_ms", "cores/time", "ms", "cores throttled",
     "time a core was too hot, all cores added up", true},
};

/* One channel of the package that begins at cpus[0], where its files are. */
static void add_throttle(struct source *s, const char *root, const struct cpu *cpus, size_t n,
                         const struct throttle_file *t)
{
    char device[24];
    struct item *x = NULL;
    (void)snprintf(device, sizeof(device), "package-%lld", (long long)cpus[0].package);
    for (size_t i = 0; i < n && (t->of_core || i == 0); i++) {
        if (i > 0 && cpus[i].core == cpus[i - 1].core) {
            continue;
        }
        char *path CLEANUP(base_freep) =
            base_printf("%s/cpu%lld/thermal_throttle/%s", root, (long long)cpus[i].number, t->file);
        if (attr_now(path).state != READING_OK) {
            continue;
        }
        x = x ? x : add_item(s, t->unit, SCOPE_CPU, device);
        if (!x) {
            return;
        }
        add_part(x, path);
    }
    if (!x) {
        return;
    }
    struct channel_desc *d = &s->descs[s->n - 1];
    attr_uid(d, "throttle/%s/%s", device, t->name);
    attr_driver(d, "thermal_throttle");
    (void)snprintf(d->label, sizeof(d->label), "%s %s", device, t->label);
    (void)base_strcpy(d->covers, sizeof(d->covers), t->covers);
}

static void add_cpus(struct source *s, const char *root)
{
    struct cpu *cpus CLEANUP(base_freep) = base_alloc(CPUS_MAX * sizeof(*cpus));
    size_t n = list_cpus(root, cpus);
    for (size_t from = 0, to = 0; from < n; from = to) {
        while (to < n && cpus[to].package == cpus[from].package) {
            to++;
        }
        for (size_t i = 0; i < ARRAY_LEN(throttle_files); i++) {
            add_throttle(s, root, cpus + from, to - from, &throttle_files[i]);
        }
    }
}

/* ---- limits ------------------------------------------------------------------------------------ */

static void add_limit(struct source *s, const char *dir, const char *id, const char *zone, int nth)
{
    char file[40];
    char name[24];
    (void)snprintf(file, sizeof(file), "constraint_%d_name", nth);
    char *path CLEANUP(base_freep) = base_printf("%s/constraint_%d_power_limit_uw", dir, nth);
    enum reading_state state = attr_now(path).state;
    if (!attr_text(dir, file, name, sizeof(name)) || state == READING_GONE ||
        state == READING_DISABLED) {
        return;
    }
    struct item *x =
        add_item(s, "uW", strncmp(zone, "psys", 4) == 0 ? SCOPE_PSYS : SCOPE_PACKAGE, zone);
    if (!x) {
        return;
    }
    add_part(x, path);
    x->gate = base_printf("%s/enabled", dir);
    attr_init(&x->gated, x->gate);
    struct channel_desc *d = &s->descs[s->n - 1];
    (void)snprintf(file, sizeof(file), "constraint_%d_max_power_uw", nth);
    struct reading most = attr_once(dir, file);
    d->pmax_uw =
        most.state == READING_OK && most.value > 0 && most.value < LIMIT_MAX ? most.value : 0;
    attr_uid(d, "limit/%s/%s/%s", id, zone, name);
    attr_driver(d, "powercap");
    (void)snprintf(d->label, sizeof(d->label), "%.20s %.20s", zone, name);
    (void)base_strcpy(d->covers, sizeof(d->covers), "power limit in force, of a RAPL zone");
}

/* Top zones only: a limit of the cores alone is in no machine that we know of, DRAM's is never set. */
static void add_limits(struct source *s, const char *root)
{
    struct dirent **list = NULL;
    int n = scandir(root, &list, NULL, versionsort);
    for (int i = 0; i < n; i++) {
        const char *id = list[i]->d_name;
        const char *colon = strchr(id, ':');
        char zone[40];
        char *dir CLEANUP(base_freep) = base_printf("%s/%s", root, id);
        if (strncmp(id, "intel-rapl", 10) == 0 && colon && !strchr(colon + 1, ':') &&
            attr_text(dir, "name", zone, sizeof(zone)) &&
            (strncmp(zone, "package", 7) == 0 || strncmp(zone, "psys", 4) == 0)) {
            add_limit(s, dir, id, zone, 0);
            add_limit(s, dir, id, zone, 1);
        }
        free(list[i]);
    }
    free(list);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static enum reading_state read_parts(struct item *x, int64_t boot_ns)
{
    enum reading_state state = READING_NOT_YET;
    size_t most = x->read && x->n > CORES_PER_SWEEP ? CORES_PER_SWEEP : x->n;
    for (size_t i = 0; i < most; i++) {
        struct part *p = &x->parts[x->next];
        struct reading r = attr_read(&p->file, boot_ns);
        x->next = (x->next + 1) % x->n;
        if (r.state == READING_OK) {
            p->value = r.value;
            p->known = true;
        }
        state = i == 0 || r.state == READING_OK ? r.state : state;
    }
    x->read = true;
    return state;
}

/* All that is known, as long as any of it answers. */
static struct reading read_item(struct item *x, int64_t boot_ns)
{
    struct reading r = {.state = READING_DISABLED};
    if (x->gate) {
        struct reading on = attr_read(&x->gated, boot_ns);
        if (on.state == READING_OK && on.value == 0) {
            return r;
        }
    }
    r.state = read_parts(x, boot_ns);
    for (size_t i = 0; i < x->n; i++) {
        r.value += x->parts[i].known ? x->parts[i].value : 0;
    }
    return r;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        out[i] = read_item(&s->items[i], boot_ns);
    }
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void close_throttle(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct item *x = &s->items[i];
        for (size_t k = 0; k < x->n; k++) {
            attr_fini(&x->parts[k].file);
        }
        if (x->gate) {
            attr_fini(&x->gated);
        }
        free(x->gate);
        free(x->parts);
    }
    free(s);
}

static int open_throttle(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    char *cpus CLEANUP(base_freep) = base_printf("%s/devices/system/cpu", sys);
    char *zones CLEANUP(base_freep) = base_printf("%s/class/powercap", sys);
    add_cpus(s, cpus);
    add_limits(s, zones);
    if (s->n == 0) {
        close_throttle(s);
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

const struct source_ops source_throttle = {
    .name = "throttle",
    .slow = true,
    .open = open_throttle,
    .channels = channels,
    .read = read_all,
    .close = close_throttle,
};
