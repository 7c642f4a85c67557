/* RAPL through perf_event: PMU `power` (package, cores, DRAM, graphics, psys) and PMU `power_core` (one
 * counter per core, on the AMD processors that have it), in units of the event's scale, cumulative.
 * source: arch/x86/events/rapl.c, Documentation/ABI/testing/sysfs-bus-event_source-devices-*.
 *
 * One descriptor per event and CPU of the PMU's cpumask, open for the daemon's life: the kernel extends
 * the 32-bit register to 64 bits only while an event is open. A descriptor counts from its own opening, so
 * each opening is an era of its own (reading.era); powercap, whose register runs on, tells
 * what flowed while the daemon was away.
 *
 * An event is taken only with its unit "Joules" and a scale that is understood to the last digit. On AMD
 * only the package's event of `power` is taken: others were shown by kernels before 5.17 and measured
 * nothing (facts on meters, lesson 57). Hypervisors show events that stand still for ever; of what always draws
 * power such a one is no meter. */
#include "daemon/meter/attr.h"
#include "daemon/meter/perf_text.h"

#include "common/cpulist.h"
#include "common/units.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNTERS_MAX 512
#define UPDATE_NS    NS_PER_MS /* source: Intel SDM vol. 3B 15.10; amd_energy.rst */
#define WATT         INT64_C(1000000)
#define LOST_NS      NS_PER_MS /* more than that not counted between two reads is energy unseen */
#define STILL_NS     (200 * NS_PER_MS) /* psys of 1 J a step moves sooner, and all else in some ms */

struct counter {
    char name[96]; /* "perf:power:energy-pkg:0" */
    int fd;
    int cpu;
    uint32_t type;
    struct perf_config config;
    struct perf_scale scale;
    enum reading_state state;
    bool draws; /* what it meters draws power whenever the machine is on */
    bool begun; /* first is known, the count it had when it was opened */
    bool moves; /* it has had another one since */
    uint64_t first;
    int64_t retry_ns;   /* do not open before this instant */
    uint32_t era;       /* when it was opened; never 0 */
    int64_t enabled_ns; /* of the newest reading */
    int64_t lost_ns;
    int (*open_fd)(void *arg, const char *name, int flags);
    void *open_arg;
};

struct source {
    struct counter counters[COUNTERS_MAX];
    struct channel_desc descs[COUNTERS_MAX];
    size_t n;
};

/* ---- opening and reading one counter ----------------------------------------------------------- */

static int open_event(struct counter *c)
{
    if (c->open_fd) {
        return c->open_fd(c->open_arg, c->name, O_RDONLY | O_CLOEXEC);
    }
    struct perf_event_attr a = {
        .size = sizeof(a),
        .type = c->type,
        .config = c->config.word[0],
        .config1 = c->config.word[1],
        .config2 = c->config.word[2],
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
    };
    return (int)syscall(SYS_perf_event_open, &a, -1, c->cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* A CPU that is not there any more, or an event that this CPU does not have. */
static enum reading_state open_state(int errnum)
{
    return errnum == EINVAL || errnum == EOPNOTSUPP ? READING_UNSUPPORTED : attr_state(errnum);
}

static struct reading lose(struct counter *c, enum reading_state state, int64_t retry_ns)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
    c->state = state;
    c->retry_ns = retry_ns;
    return (struct reading){.state = state};
}

static bool ensure_open(struct counter *c, int64_t boot_ns)
{
    if (c->fd >= 0) {
        return true;
    }
    if (c->retry_ns != 0 && boot_ns < c->retry_ns) {
        return false;
    }
    c->fd = open_event(c);
    if (c->fd < 0) {
        (void)lose(c, open_state(errno), boot_ns + ATTR_RETRY_NS);
        return false;
    }
    c->era = (uint32_t)(boot_ns >> 20) | 1; /* unique among all that were ever opened here */
    c->enabled_ns = -1;
    c->lost_ns = 0;
    c->begun = c->moves = false;
    return true;
}

static void note_move(struct counter *c, uint64_t count)
{
    if (!c->begun) {
        c->first = count;
        c->begun = true;
    }
    c->moves |= count != c->first;
}

static struct reading read_counter(struct counter *c, int64_t boot_ns)
{
    struct {
        uint64_t count, enabled, running;
    } got;
    if (!ensure_open(c, boot_ns)) {
        return (struct reading){.state = c->state};
    }
    ssize_t n = read(c->fd, &got, sizeof(got));
    if (n != (ssize_t)sizeof(got)) {
        /* End of file: the event is in error, its CPU or PMU went away. */
        return lose(c, n < 0 ? attr_state(errno) : READING_GONE, boot_ns + ATTR_RETRY_NS);
    }
    int64_t enabled = (int64_t)got.enabled;
    int64_t lost = enabled - (int64_t)got.running;
    if (enabled == c->enabled_ns) { /* nobody counts: the CPU was taken away */
        return lose(c, READING_GONE, boot_ns + ATTR_RETRY_NS);
    }
    if (lost - c->lost_ns > LOST_NS) { /* it counted part of the time only */
        return lose(c, READING_IO, 0);
    }
    c->enabled_ns = enabled;
    c->lost_ns = lost;
    note_move(c, got.count);
    struct reading r = {.state = READING_OK, .era = c->era};
    if (!perf_scale_uj(&c->scale, got.count, &r.value)) {
        return (struct reading){.state = READING_IMPLAUSIBLE};
    }
    c->state = READING_OK;
    return r;
}

/* ---- what an event is -------------------------------------------------------------------------- */

struct kind {
    const char *event;
    const char *label; /* before the number of the package */
    enum channel_scope scope;
    int64_t pmax_uw;
    int64_t
        quantum; /* the coarsest unit seen: 2^-14 J; 1 J for psys of some Xeons. source: rapl.c */
    bool draws;  /* whenever the machine is on; cores and graphics may sleep */
    const char *covers;
};

static const struct kind kinds[] = {
    {"energy-psys", "psys", SCOPE_PSYS, 5000 * WATT, WATT, true,
     "platform as its maker wired it; not a proven whole, GPU cards uncertain"},
    {"energy-pkg", "package", SCOPE_PACKAGE, 1000 * WATT, 62, true,
     "CPU package: cores, caches, memory controller; not DRAM, GPU, board, PSU"},
    {"energy-ram", "dram", SCOPE_DRAM, 300 * WATT, 62, true, "DRAM of one package"},
    {"energy-cores", "cores", SCOPE_CORE, 1000 * WATT, 62, false, "CPU cores, part of the package"},
    {"energy-gpu", "graphics", SCOPE_UNCORE, 1000 * WATT, 62, false,
     "integrated graphics, part of the package"},
    {"energy-core", "core", SCOPE_CORE, 100 * WATT, 62, false, "one CPU core, part of the package"},
};

/* One PMU while it is looked through. */
struct pmu {
    const struct meter_config *cfg;
    const char *sys;
    const char *name; /* "power" */
    char *dir;
    uint32_t type;
    struct cpulist cpus;
};

static int topology(const struct pmu *p, int cpu, const char *what)
{
    char *dir CLEANUP(base_freep) =
        base_printf("%s/devices/system/cpu/cpu%d/topology", p->sys, cpu);
    struct reading r = attr_once(dir, what);
    return r.state == READING_OK && r.value >= 0 && r.value < INT32_MAX ? (int)r.value : 0;
}

/* "package-0", or "package-0-die-1" where the PMU has several CPUs in one package: powercap's names. */
static void name_device(const struct pmu *p, int cpu, char *out, size_t cap)
{
    int package = topology(p, cpu, "physical_package_id");
    bool dies = false;
    for (int other = 0; other < CPULIST_MAX && !dies; other++) {
        dies = other != cpu && cpulist_has(&p->cpus, other) &&
               topology(p, other, "physical_package_id") == package;
    }
    if (dies && strcmp(p->name, "power") == 0) {
        (void)snprintf(out, cap, "package-%d-die-%d", package, topology(p, cpu, "die_id"));
    } else {
        (void)snprintf(out, cap, "package-%d", package);
    }
}

static void set_remedy(struct channel_desc *d)
{
    struct reading paranoid = attr_now("/proc/sys/kernel/perf_event_paranoid");
    char self[96];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
    bool allowed = geteuid() == 0 || (paranoid.state == READING_OK && paranoid.value <= 0);
    if (allowed) {
        (void)base_strcpy(d->remedy, sizeof(d->remedy),
                          "perf_event_open is blocked here, as in a container: run wattqd outside");
    } else if (n > 0 && (size_t)n < sizeof(self)) {
        (void)snprintf(d->remedy, sizeof(d->remedy),
                       "sudo setcap cap_perfmon+ep %.*s, then restart wattqd", (int)n, self);
    } else {
        (void)base_strcpy(d->remedy, sizeof(d->remedy),
                          "sudo sysctl kernel.perf_event_paranoid=0 (for all users)");
    }
}

static void describe(struct channel_desc *d, const struct pmu *p, const struct kind *k, int cpu)
{
    name_device(p, cpu, d->device, sizeof(d->device));
    const char *number = d->device + strlen("package-");
    if (strcmp(p->name, "power_core") == 0) {
        (void)snprintf(d->label, sizeof(d->label), "core-%s-%d", number,
                       topology(p, cpu, "core_id"));
        attr_uid(d, "perf/%s/%s/%s/core-%d", p->name, k->event, d->device,
                 topology(p, cpu, "core_id"));
    } else {
        (void)snprintf(d->label, sizeof(d->label), "%s-%.30s", k->label, number);
        attr_uid(d, "perf/%s/%s/%s", p->name, k->event, d->device);
    }
    (void)base_strcpy(d->unit, sizeof(d->unit), "uJ");
    (void)base_strcpy(d->covers, sizeof(d->covers), k->covers);
    attr_driver(d, "rapl (perf)");
    d->scope = k->scope;
    d->kind = CHANNEL_COUNTER;
    d->quality = QUALITY_MODELLED;
    d->quantum = k->quantum;
    d->period_ns = UPDATE_NS;
    d->period_declared = true;
    d->pmax_uw = k->pmax_uw;
    d->parent = -1;
    d->mirror_of = -1;
}

/* ---- finding events ---------------------------------------------------------------------------- */

static bool encode(const struct pmu *p, const char *event, struct perf_config *out)
{
    char text[96];
    char name[32];
    char format[64];
    uint64_t value = 0;
    char *events CLEANUP(base_freep) = base_printf("%s/events", p->dir);
    char *formats CLEANUP(base_freep) = base_printf("%s/format", p->dir);
    if (!attr_text(events, event, text, sizeof(text))) {
        return false;
    }
    const char *rest = text;
    int rc = 0;
    *out = (struct perf_config){{0}};
    while ((rc = perf_term_next(&rest, name, sizeof(name), &value)) > 0) {
        if (!attr_text(formats, name, format, sizeof(format)) ||
            !perf_config_put(out, format, value)) {
            return false;
        }
    }
    return rc == 0;
}

static bool scaled(const struct pmu *p, const char *event, struct perf_scale *out)
{
    char text[64];
    char *events CLEANUP(base_freep) = base_printf("%s/events", p->dir);
    char *unit CLEANUP(base_freep) = base_printf("%s.unit", event);
    char *scale CLEANUP(base_freep) = base_printf("%s.scale", event);
    return attr_text(events, unit, text, sizeof(text)) && strcmp(text, "Joules") == 0 &&
           attr_text(events, scale, text, sizeof(text)) && perf_scale_parse(text, out);
}

static void add_counter(struct source *s, const struct pmu *p, const struct kind *k, int cpu,
                        const struct counter *made)
{
    if (s->n >= COUNTERS_MAX) {
        return;
    }
    struct counter *c = &s->counters[s->n];
    struct channel_desc *d = &s->descs[s->n++];
    *c = *made;
    c->cpu = cpu;
    c->fd = -1;
    c->state = READING_NOT_YET;
    c->open_fd = p->cfg->open_fd;
    c->open_arg = p->cfg->open_arg;
    (void)snprintf(c->name, sizeof(c->name), "perf:%s:%s:%d", p->name, k->event, cpu);
    describe(d, p, k, cpu);
    if (read_counter(c, clock_boot_ns()).state == READING_NO_PERMISSION) {
        set_remedy(d);
    }
}

static void add_event(struct source *s, const struct pmu *p, const struct kind *k)
{
    struct counter c = {.type = p->type, .draws = k->draws};
    if (!encode(p, k->event, &c.config) || !scaled(p, k->event, &c.scale)) {
        return;
    }
    for (int cpu = 0; cpu < CPULIST_MAX; cpu++) {
        if (cpulist_has(&p->cpus, cpu)) {
            add_counter(s, p, k, cpu, &c);
        }
    }
}

/* Does it count nothing so far, as far as can be seen? */
static bool is_still(struct counter *c)
{
    return c->draws && c->fd >= 0 && !c->moves &&
           read_counter(c, clock_boot_ns()).state == READING_OK && !c->moves;
}

static bool any_still(struct source *s)
{
    bool any = false;
    for (size_t i = 0; i < s->n; i++) {
        any |= is_still(&s->counters[i]);
    }
    return any;
}

static void drop_still(struct source *s)
{
    const struct timespec rest = {.tv_nsec = NS_PER_MS};
    for (int64_t end = clock_mono_ns() + STILL_NS; any_still(s) && clock_mono_ns() < end;) {
        (void)nanosleep(&rest, NULL);
    }
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (is_still(&s->counters[i])) {
            base_closep(&s->counters[i].fd);
            continue;
        }
        s->counters[kept] = s->counters[i];
        s->descs[kept++] = s->descs[i];
    }
    s->n = kept;
}

/* psys contains the package of its number, a package its cores and graphics. */
static void nest(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        enum channel_scope scope = s->descs[i].scope;
        enum channel_scope outer =
            scope == SCOPE_PACKAGE || scope == SCOPE_DRAM ? SCOPE_PSYS : SCOPE_PACKAGE;
        for (size_t j = 0; j < s->n && scope != SCOPE_PSYS; j++) {
            if (s->descs[j].scope == outer && strcmp(s->descs[j].device, s->descs[i].device) == 0) {
                s->descs[i].parent = (int)j;
            }
        }
    }
}

static bool is_amd(const struct meter_config *cfg)
{
    char *path CLEANUP(base_freep) =
        base_printf("%s/proc/cpuinfo", cfg->sysfs_root ? cfg->sysfs_root : "");
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC);
    char head[512];
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
    if (n < 0) {
        return false;
    }
    head[n] = '\0';
    return strstr(head, "AuthenticAMD") || strstr(head, "HygonGenuine");
}

/* False when this machine has no such PMU, or one that is not understood. */
static bool find_pmu(struct pmu *p)
{
    char text[512];
    p->dir = base_printf("%s/bus/event_source/devices/%s", p->sys, p->name);
    struct reading type = attr_once(p->dir, "type");
    if (type.state != READING_OK || type.value < 0 || type.value > UINT32_MAX ||
        !attr_text(p->dir, "cpumask", text, sizeof(text))) {
        return false;
    }
    p->type = (uint32_t)type.value;
    return cpulist_parse(&p->cpus, text);
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void close_perf(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        base_closep(&s->counters[i].fd);
    }
    free(s);
}

static int open_pmu(struct source **out, const struct meter_config *cfg, const char *name)
{
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    struct pmu p = {.cfg = cfg, .sys = sys, .name = name};
    struct source *s = base_alloc(sizeof(*s));
    bool package_only = strcmp(name, "power") == 0 && is_amd(cfg);
    if (find_pmu(&p)) {
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
            if (!package_only || kinds[i].scope == SCOPE_PACKAGE) {
                add_event(s, &p, &kinds[i]);
            }
        }
        drop_still(s);
        nest(s);
    }
    free(p.dir);
    if (s->n == 0) {
        close_perf(s);
        return 1;
    }
    *out = s;
    return 0;
}

static int open_power(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    return open_pmu(out, cfg, "power");
}

static int open_cores(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    return open_pmu(out, cfg, "power_core");
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->descs;
    return s->n;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        out[i] = read_counter(&s->counters[i], boot_ns);
    }
}

const struct source_ops source_perf = {
    .name = "perf",
    .open = open_power,
    .channels = channels,
    .read = read_all,
    .close = close_perf,
};

/* One read per core wakes that core: once per second, not ten times. */
const struct source_ops source_perf_core = {
    .name = "perf_core",
    .slow = true,
    .open = open_cores,
    .channels = channels,
    .read = read_all,
    .close = close_perf,
};
