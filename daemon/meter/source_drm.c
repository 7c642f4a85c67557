/* GPUs of the kernel drivers amdgpu, i915 and xe, one source for each, on a thread of its own: a read may
 * ask the card's firmware, and a card that is being reset lets it wait.
 *
 * AMD: the energy counter of `gpu_metrics` where its version has one; power1_average and power1_input of
 * hwmon, a mean over a time that is not stated and an instant, each a channel; where hwmon has neither,
 * what gpu_metrics says. On an APU power is that of the whole chip: it is then another view of the CPU
 * package. Intel: energyN_input of hwmon, of the card and of the package or tiles inside it.
 * Beside them: clocks, temperatures, the power limit, the fan, how busy it is, and why its clock is held
 * down, in the words of throttle.h. hwmon leaves these drivers' chips alone.
 *
 * A card that the kernel has put to sleep is neither read nor woken, not even to be found: its channels
 * are then those its files promise, and READING_ASLEEP.
 * source: Linux Documentation/gpu/amdgpu/thermal.rst, ABI/testing/sysfs-driver-intel-i915-hwmon and
 * -xe-hwmon, drivers/gpu/drm/xe/xe_gt_{freq,throttle,idle}.c; facts on meters, lessons 20, 23, 25, 59. */
#include "daemon/meter/attr.h"
#include "daemon/meter/drm_card.h"
#include "daemon/meter/drm_who.h"
#include "daemon/meter/gpu_metrics.h"
#include "daemon/meter/throttle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"

#define CHANNELS_MAX 40
#define TILES_MAX    4
#define GTS_MAX      8 /* graphics and media parts of all tiles */
#define REASONS_MAX  8
#define SLOW_NS      NS_PER_S
#define WHO_NS       (4 * NS_PER_S)
#define PERIOD_NS    (100 * NS_PER_MS)
#define PMAX_DEFAULT INT64_C(2000000000) /* uW; a card that states no limit */
#define PPM          INT64_C(1000000)

enum how {
    BY_FILE,         /* the number in a file */
    BY_TABLE_ENERGY, /* gpu_metrics */
    BY_TABLE_POWER,
    BY_TABLE_REASONS,
    BY_REASONS,  /* a file for each reason */
    BY_RESIDENCY /* the time it was idle */
};

struct sensor {
    enum how how;
    struct attr file;
    int64_t times, over; /* the file's number, in the channel's unit */
    bool zero_is_none;   /* a limit of 0 is switched off */
    bool slow;
    struct reading newest; /* of a slow one */
};

/* One gt of an Intel card. */
struct gt {
    char *dir;         /* its files */
    const char *clock; /* below that */
    struct attr idle, reasons[REASONS_MAX];
    int64_t idle_ms, idle_ns; /* at the newest look; idle_ns 0 = none yet */
};

struct source {
    struct drm_card card;
    struct drm_who who;
    struct sensor sensors[CHANNELS_MAX];
    struct channel_desc descs[CHANNELS_MAX];
    size_t n;
    int busy; /* channel; -1 = none */
    struct gt gts[GTS_MAX];
    size_t ngts;
    char *hwmon[GTS_MAX + 1]; /* its chips */
    size_t nhwmon;
    char *table; /* gpu_metrics; NULL = it has none */
    struct gpu_metrics metrics;
    enum reading_state table_state;
    bool apu, asleep; /* asleep: at open */
    char package[16]; /* of an APU */
    int64_t pmax_uw;
    int64_t slow_ns, who_ns;
};

/* ---- readings ---------------------------------------------------------------------------------- */

static void read_table(struct source *s)
{
    uint8_t bytes[GPU_METRICS_BYTES_MAX];
    int fd CLEANUP(base_closep) = open(s->table, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    s->table_state = n < 0 ? attr_state(errno) : gpu_metrics_parse(bytes, (size_t)n, &s->metrics);
}

static struct reading of_table(const struct source *s, int64_t value, bool told)
{
    struct reading r = {.state = s->table_state, .value = value};
    if (r.state == READING_OK && !told) {
        r.state = READING_UNSUPPORTED;
    }
    return r;
}

static struct reading read_file(struct sensor *x, int64_t boot_ns)
{
    struct reading r = attr_read(&x->file, boot_ns);
    if (r.state == READING_OK && x->zero_is_none && r.value == 0) {
        r.state = READING_DISABLED;
    } else if (r.state == READING_OK) {
        r.value = units_muldiv_floor(r.value, x->times, x->over);
    }
    return r;
}

/* In the order of the bits' files; what each means is in throttle.h. */
static const struct {
    const char *file;
    uint32_t means;
} reasons[REASONS_MAX] = {
    {"pl1", THROTTLE_POWER_CAP},         {"pl2", THROTTLE_POWER_CAP},
    {"pl4", THROTTLE_HW_SLOWDOWN},       {"thermal", THROTTLE_HW_HEAT},
    {"prochot", THROTTLE_HW_HEAT},       {"ratl", THROTTLE_HW_HEAT},
    {"vr_thermalert", THROTTLE_HW_HEAT}, {"vr_tdc", THROTTLE_POWER_CAP},
};

/* Of all its parts together. A reason that this card does not have holds nothing down. */
static struct reading read_reasons(struct source *s, int64_t boot_ns)
{
    struct reading all = {.state = READING_UNSUPPORTED};
    for (size_t g = 0; g < s->ngts; g++) {
        for (size_t i = 0; i < REASONS_MAX; i++) {
            struct attr *a = &s->gts[g].reasons[i];
            struct reading r = a->path ? attr_read(a, boot_ns) : all;
            if (a->path && r.state != READING_OK) {
                return r;
            }
            if (a->path) {
                all.state = READING_OK;
                all.value |= r.value != 0 ? reasons[i].means : 0;
            }
        }
    }
    return all;
}

/* The busiest of its parts: the share of the time since the look before in which it was not idle. */
static struct reading read_residency(struct source *s, int64_t boot_ns)
{
    struct reading most = {.state = READING_NOT_YET};
    for (size_t i = 0; i < s->ngts; i++) {
        struct gt *g = &s->gts[i];
        if (!g->idle.path) {
            continue;
        }
        struct reading r = attr_read(&g->idle, boot_ns);
        if (r.state != READING_OK) {
            return r;
        }
        int64_t idle_ns = (r.value - g->idle_ms) * NS_PER_MS;
        int64_t span_ns = boot_ns - g->idle_ns;
        if (g->idle_ns > 0 && span_ns > 0 && r.value >= g->idle_ms) {
            int64_t idle = units_muldiv_floor(idle_ns, PPM, span_ns);
            int64_t busy = idle < PPM ? PPM - idle : 0;
            most.value = busy > most.value ? busy : most.value;
            most.state = READING_OK;
        }
        g->idle_ms = r.value;
        g->idle_ns = boot_ns;
    }
    return most;
}

static struct reading read_sensor(struct source *s, struct sensor *x, int64_t boot_ns)
{
    switch (x->how) {
    case BY_TABLE_ENERGY:
        return of_table(s, s->metrics.energy_uj, s->metrics.energy_uj >= 0);
    case BY_TABLE_POWER:
        return of_table(s, s->metrics.power_uw, s->metrics.power_uw >= 0);
    case BY_TABLE_REASONS:
        return of_table(s, s->metrics.throttle, s->metrics.throttle_known);
    case BY_REASONS:
        return read_reasons(s, boot_ns);
    case BY_RESIDENCY:
        return read_residency(s, boot_ns);
    case BY_FILE:
    default:
        return read_file(x, boot_ns);
    }
}

static void read_card(struct source *s, int64_t boot_ns, struct reading *out)
{
    bool slow = boot_ns >= s->slow_ns;
    if (s->table) {
        read_table(s);
    }
    for (size_t i = 0; i < s->n; i++) {
        struct sensor *x = &s->sensors[i];
        if (!x->slow || slow) {
            x->newest = read_sensor(s, x, boot_ns);
        }
        out[i] = x->newest;
    }
    s->slow_ns = slow ? boot_ns + SLOW_NS : s->slow_ns;
}

static void look_who(struct source *s, int64_t boot_ns, const struct reading *out)
{
    if (boot_ns < s->who_ns) {
        return;
    }
    bool first = s->who_ns == 0; /* a look whether the card is still there asks nobody */
    s->who_ns = boot_ns + WHO_NS;
    if (!out) {
        drm_who_none(&s->who, boot_ns, READING_ASLEEP);
    } else if (!first) {
        bool told = s->busy >= 0 && out[s->busy].state == READING_OK;
        drm_who_look(&s->who, told ? out[s->busy].value : -1);
    }
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    if (!attr_suspended(s->card.power)) {
        read_card(s, boot_ns, out);
        look_who(s, boot_ns, out);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        out[i] = (struct reading){.state = READING_ASLEEP};
    }
    for (size_t i = 0; i < s->ngts; i++) {
        s->gts[i].idle_ns = 0;
    }
    s->slow_ns = 0;
    look_who(s, boot_ns, NULL);
}

/* One that was never initialised has no path. */
static void let_go(struct attr *a)
{
    if (a->path) {
        attr_fini(a);
    }
}

/* ---- channels ---------------------------------------------------------------------------------- */

struct shape {
    const char *name; /* in the uid, for ever */
    const char *unit;
    const char *covers;
    enum channel_kind kind;
    int64_t quantum;
    bool slow;
};

static void describe(const struct source *s, const struct shape *shape, const char *name,
                     struct channel_desc *d)
{
    bool power = shape->kind != CHANNEL_COMPANION;
    bool package = power && s->apu;
    d->kind = shape->kind;
    d->quality = power ? QUALITY_MEASURED : QUALITY_NONE;
    d->scope = package ? SCOPE_PACKAGE : SCOPE_GPU;
    d->quantum = shape->quantum;
    d->period_ns = shape->slow ? SLOW_NS : PERIOD_NS;
    d->box_ns = shape->kind == CHANNEL_AVERAGE ? NS_PER_S : 0;
    d->pmax_uw = power ? s->pmax_uw : 0;
    d->parent = -1;
    d->mirror_of = -1;
    attr_uid(d, "drm/%s/%s", s->card.uid, name);
    (void)snprintf(d->label, sizeof(d->label), strcmp(name, "energy") == 0 ? "card%u" : "card%u %s",
                   s->card.number, name);
    (void)base_strcpy(d->unit, sizeof(d->unit), shape->unit);
    (void)base_strcpy(d->covers, sizeof(d->covers),
                      package ? "the whole APU: processors, graphics, memory controller"
                              : shape->covers);
    (void)base_strcpy(d->device, sizeof(d->device), package ? s->package : s->card.name);
    attr_driver(d, drm_driver_name(s->card.driver));
    (void)base_strcpy(d->firmware, sizeof(d->firmware), s->card.firmware);
}

/* Takes x over. NULL: the card says that it does not have this, or there is no room. Asleep, everything that
 * its files promise is taken; what was promised too much is found out when it is awake. */
static struct channel_desc *add(struct source *s, const struct shape *shape, const char *suffix,
                                struct sensor x)
{
    char name[48];
    x.slow = shape->slow;
    x.newest.state = READING_NOT_YET;
    struct reading r = {.state = READING_ASLEEP};
    if (!s->asleep) {
        r = read_sensor(s, &x, 0);
    }
    if (s->n == CHANNELS_MAX || r.state == READING_UNSUPPORTED || r.state == READING_GONE) {
        let_go(&x.file);
        return NULL;
    }
    (void)snprintf(name, sizeof(name), "%s%s%s", shape->name, suffix[0] ? "_" : "", suffix);
    struct channel_desc *d = &s->descs[s->n];
    describe(s, shape, name, d);
    if (r.state == READING_NO_PERMISSION && x.how == BY_FILE) {
        (void)base_strcpy(d->remedy, sizeof(d->remedy), "wattq meters allow");
    }
    s->sensors[s->n++] = x;
    return d;
}

/* A file that is not there gives no channel. */
static struct channel_desc *add_file(struct source *s, const struct shape *shape,
                                     const char *suffix, const char *dir, const char *file,
                                     int64_t times, int64_t over)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, file);
    if (access(path, F_OK) != 0) {
        return NULL;
    }
    struct sensor x = {.how = BY_FILE, .times = times, .over = over};
    x.zero_is_none = strcmp(shape->name, "power_limit") == 0;
    attr_init(&x.file, path);
    return add(s, shape, suffix, x);
}

/* The second and later views of one power mirror the first. */
static void mirror(struct source *s, const struct channel_desc *d, int *primary)
{
    if (d && *primary >= 0) {
        s->descs[d - s->descs].mirror_of = *primary;
    } else if (d) {
        *primary = (int)(d - s->descs);
    }
}

static const struct shape
    energy = {"energy", "uJ", "GPU card; not CPU, PSU", CHANNEL_COUNTER, 15, false},
    average = {"power_average", "uW", "GPU card, mean over a time that is not stated",
               CHANNEL_AVERAGE, 1000, false},
    instant = {"power_instant", "uW", "GPU card, now", CHANNEL_GAUGE, 1000, false},
    coarse = {"power", "uW", "GPU card, in its firmware's table", CHANNEL_AVERAGE, 1000, false},
    temperature = {"temperature", "mC", "GPU temperature", CHANNEL_COMPANION, 1000, true},
    clock_of = {"clock", "kHz", "clock", CHANNEL_COMPANION, 1000, true},
    throttle = {"throttle", "mask", "why the clock is held down", CHANNEL_COMPANION, 1, false},
    limit = {"power_limit", "uW", "power limit in force", CHANNEL_COMPANION, 1000, true},
    fan = {"fan", "ppm", "fan, part of its full speed", CHANNEL_COMPANION, 3921, true},
    busy = {"busy", "ppm", "part of the time in which the GPU was at work", CHANNEL_COMPANION,
            10000,  true};

static void add_temperatures(struct source *s, const char *dir)
{
    for (int i = 1; i <= 4; i++) {
        char file[24];
        char label[24];
        (void)snprintf(file, sizeof(file), "temp%d_label", i);
        if (!attr_text(dir, file, label, sizeof(label))) {
            label[0] = '\0';
        }
        (void)snprintf(file, sizeof(file), "temp%d_input", i);
        bool main = label[0] == '\0' || strcmp(label, "edge") == 0 || strcmp(label, "pkg") == 0;
        (void)add_file(s, &temperature, main ? "" : label, dir, file, 1, 1);
    }
}

static void add_busy(struct source *s, const struct channel_desc *d)
{
    s->busy = d ? (int)(d - s->descs) : -1;
}

/* ---- amdgpu -------------------------------------------------------------------------------------- */

/* Only an APU has a north bridge whose voltage its graphics tells. Which processor it is: the one whose CPUs
 * are near it. */
static void place_apu(struct source *s, const char *sys)
{
    char list[256];
    int package = 0;
    char *nb CLEANUP(base_freep) =
        base_printf("%s/in1_label", s->nhwmon ? s->hwmon[0] : s->card.device);
    s->apu = s->metrics.apu || access(nb, F_OK) == 0;
    if (s->apu && attr_text(s->card.device, "local_cpulist", list, sizeof(list))) {
        char *cpu CLEANUP(base_freep) =
            base_printf("%s/devices/system/cpu/cpu%ld/topology", sys, strtol(list, NULL, 10));
        struct reading r = attr_once(cpu, "physical_package_id");
        package = r.state == READING_OK && r.value > 0 && r.value < 1000 ? (int)r.value : 0;
    }
    (void)snprintf(s->package, sizeof(s->package), "package-%d", package);
}

static void add_amd_power(struct source *s)
{
    int primary = -1;
    if (s->table) {
        struct channel_desc *d = add(s, &energy, "", (struct sensor){.how = BY_TABLE_ENERGY});
        if (d) {
            d->wrap_uj = s->metrics.wrap_uj;
        }
        mirror(s, d, &primary);
    }
    const char *dir = s->nhwmon ? s->hwmon[0] : s->card.device;
    const struct channel_desc *mean = add_file(s, &average, "", dir, "power1_average", 1, 1);
    mirror(s, mean, &primary);
    const struct channel_desc *now = add_file(s, &instant, "", dir, "power1_input", 1, 1);
    mirror(s, now, &primary);
    if (s->table && !mean && !now) {
        mirror(s, add(s, &coarse, "", (struct sensor){.how = BY_TABLE_POWER}), &primary);
    }
}

static void add_amd(struct source *s, const char *sys)
{
    const char *dir = s->nhwmon ? s->hwmon[0] : s->card.device;
    if (s->table && !s->asleep) {
        read_table(s);
    }
    place_apu(s, sys);
    add_amd_power(s);
    add_temperatures(s, dir);
    (void)add_file(s, &clock_of, "gfx", dir, "freq1_input", 1, 1000);
    (void)add_file(s, &clock_of, "mem", dir, "freq2_input", 1, 1000);
    (void)add_file(s, &limit, "", dir, "power1_cap", 1, 1);
    (void)add_file(s, &fan, "", dir, "pwm1", PPM, 255);
    if (s->table) {
        (void)add(s, &throttle, "", (struct sensor){.how = BY_TABLE_REASONS});
    }
    add_busy(s, add_file(s, &busy, "", s->card.device, "gpu_busy_percent", 10000, 1));
    (void)add_file(s, &busy, "mem", s->card.device, "mem_busy_percent", 10000, 1);
}

/* ---- Intel --------------------------------------------------------------------------------------- */

static void put_gt(struct source *s, char *dir, const char *clock, const char *idle,
                   const char *reason)
{
    if (s->ngts == GTS_MAX || access(dir, F_OK) != 0) {
        free(dir);
        return;
    }
    struct gt *g = &s->gts[s->ngts++];
    g->dir = dir;
    g->clock = clock;
    char *residency CLEANUP(base_freep) = base_printf("%s/%s", dir, idle);
    if (access(residency, F_OK) == 0) {
        attr_init(&g->idle, residency);
    }
    for (size_t i = 0; i < REASONS_MAX; i++) {
        char *path CLEANUP(base_freep) = base_printf("%s/%s%s", dir, reason, reasons[i].file);
        if (access(path, F_OK) == 0) {
            attr_init(&g->reasons[i], path);
        }
    }
}

/* i915 numbers its gts below the card, xe below the tiles of the device. */
static void find_gts(struct source *s)
{
    for (int g = 0; g < GTS_MAX && s->card.driver == DRM_I915; g++) {
        put_gt(s, base_printf("%s/gt/gt%d", s->card.dir, g), "rps_act_freq_mhz", "rc6_residency_ms",
               "throttle_reason_");
    }
    for (int i = 0; i < TILES_MAX * GTS_MAX && s->card.driver == DRM_XE; i++) {
        put_gt(s, base_printf("%s/tile%d/gt%d", s->card.device, i / GTS_MAX, i % GTS_MAX),
               "freq0/act_freq", "gtidle/idle_residency_ms", "freq0/throttle/reason_");
    }
}

/* The first is the card, or what of it there is; others lie inside it. */
static void add_inner(struct source *s, struct channel_desc *d, int *primary)
{
    if (d && *primary >= 0) {
        d->scope = SCOPE_OTHER;
        d->parent = *primary;
        (void)base_strcpy(d->covers, sizeof(d->covers), "a part of the GPU card");
    } else if (d) {
        *primary = (int)(d - s->descs);
    }
}

static void add_intel_energy(struct source *s)
{
    static const char *const usual[] = {"card", "pkg", "vram"};
    int primary = -1;
    for (size_t h = 0; h < s->nhwmon; h++) {
        char chip[32] = "";
        (void)attr_text(s->hwmon[h], "name", chip, sizeof(chip));
        const char *tile = strncmp(chip, "i915_", 5) == 0 ? chip + 5 : "";
        for (int i = 1; i <= 3; i++) {
            char file[32];
            char label[24];
            (void)snprintf(file, sizeof(file), "energy%d_label", i);
            if (tile[0] || !attr_text(s->hwmon[h], file, label, sizeof(label))) {
                (void)base_strcpy(label, sizeof(label), tile[0] ? tile : usual[i - 1]);
            }
            (void)snprintf(file, sizeof(file), "energy%d_input", i);
            add_inner(s,
                      add_file(s, &energy, strcmp(label, "card") == 0 ? "" : label, s->hwmon[h],
                               file, 1, 1),
                      &primary);
        }
    }
}

static void add_intel(struct source *s)
{
    find_gts(s);
    add_intel_energy(s);
    bool reasoned = false;
    bool rests = false;
    for (size_t h = 0; h < s->nhwmon; h++) {
        add_temperatures(s, s->hwmon[h]);
    }
    if (s->nhwmon > 0 && !add_file(s, &limit, "", s->hwmon[0], "power1_max", 1, 1)) {
        (void)add_file(s, &limit, "", s->hwmon[0], "power2_max", 1, 1);
    }
    for (size_t i = 0; i < s->ngts; i++) {
        char suffix[16];
        const char *slash = strrchr(s->gts[i].dir, '/');
        (void)snprintf(suffix, sizeof(suffix), "%.15s", slash ? slash + 1 : "gt");
        (void)add_file(s, &clock_of, suffix, s->gts[i].dir, s->gts[i].clock, 1000, 1);
        rests = rests || s->gts[i].idle.path;
        for (size_t k = 0; k < REASONS_MAX; k++) {
            reasoned = reasoned || s->gts[i].reasons[k].path;
        }
    }
    if (reasoned) {
        (void)add(s, &throttle, "", (struct sensor){.how = BY_REASONS});
    }
    if (rests) {
        add_busy(s, add(s, &busy, "", (struct sensor){.how = BY_RESIDENCY}));
    }
}

/* ---- finding ------------------------------------------------------------------------------------- */

/* The card's own chip first, then those of its tiles. */
static void find_hwmon(struct source *s)
{
    char *dir CLEANUP(base_freep) = base_printf("%s/hwmon", s->card.device);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, versionsort);
    for (int tiles = 0; tiles < 2; tiles++) {
        for (int i = 0; i < n; i++) {
            char name[32];
            char *chip = base_printf("%s/%s", dir, list[i]->d_name);
            bool mine = strncmp(list[i]->d_name, "hwmon", 5) == 0 &&
                        attr_text(chip, "name", name, sizeof(name)) && drm_driver_chip(name) &&
                        (strncmp(name, "i915_gt", 7) == 0) == tiles;
            if (mine && s->nhwmon < ARRAY_LEN(s->hwmon)) {
                s->hwmon[s->nhwmon++] = chip;
            } else {
                free(chip);
            }
        }
    }
    for (int i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

/* Twice what it may be set to: more is a driver's mistake. To ask a sleeping card would wake it. */
static void set_pmax(struct source *s)
{
    static const char *const stated[] = {"power1_cap_max", "power1_rated_max", "power2_rated_max",
                                         "power1_cap", "power1_max"};
    s->pmax_uw = PMAX_DEFAULT;
    for (size_t i = 0; i < ARRAY_LEN(stated) && s->nhwmon > 0 && !s->asleep; i++) {
        struct reading r = attr_once(s->hwmon[0], stated[i]);
        if (r.state == READING_OK && r.value > 0 && r.value < PMAX_DEFAULT) {
            s->pmax_uw = 2 * r.value;
            return;
        }
    }
}

static void offer_who(struct source *s, const struct meter_config *cfg)
{
    char label[48];
    (void)snprintf(label, sizeof(label), "card%u %.38s", s->card.number, s->card.model);
    drm_who_init(&s->who, cfg->gpu_procs, cfg->sysfs_root, s->card.name, label, s->card.pdev);
}

/* ---- source_ops ---------------------------------------------------------------------------------- */

static void close_drm(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        let_go(&s->sensors[i].file);
    }
    for (size_t i = 0; i < s->ngts; i++) {
        let_go(&s->gts[i].idle);
        for (size_t k = 0; k < REASONS_MAX; k++) {
            let_go(&s->gts[i].reasons[k]);
        }
        free(s->gts[i].dir);
    }
    for (size_t i = 0; i < s->nhwmon; i++) {
        free(s->hwmon[i]);
    }
    drm_who_fini(&s->who);
    drm_card_fini(&s->card);
    free(s->table);
    free(s);
}

static int open_drm(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    s->busy = -1;
    s->table_state = READING_NOT_YET;
    if (!drm_card_find(&s->card, sys, cfg->instance)) {
        close_drm(s);
        return 1;
    }
    s->asleep = attr_suspended(s->card.power);
    find_hwmon(s);
    set_pmax(s);
    if (s->card.driver == DRM_AMDGPU) {
        s->table = base_printf("%s/gpu_metrics", s->card.device);
        if (access(s->table, F_OK) != 0) {
            base_freep(&s->table);
            s->table = NULL;
        }
        add_amd(s, sys);
    } else {
        add_intel(s);
    }
    offer_who(s, cfg);
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->descs;
    return s->n;
}

const struct source_ops source_drm = {
    .name = "drm",
    .may_block = true,
    .many = true,
    .open = open_drm,
    .channels = channels,
    .read = read_all,
    .close = close_drm,
};
