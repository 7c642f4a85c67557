/* hwmon: energyN_input (counter, uJ), powerN_input (instant, uW), powerN_average (average, uW, over
 * powerN_average_interval ms). source: Documentation/hwmon/sysfs-interface.rst, acpi_power_meter.rst.
 *
 * hwmonN is numbered by probe order, so a channel is known by the device it hangs on. Where one quantity
 * is shown as counter, average and instant, the first is the channel and the others mirror it. The rails of
 * an INA3221 have voltage (mV) and current (mA) only; their product is uW.
 * Chips of GPUs that source_drm.c reads are left to it.
 * Per-core energies of amd_energy ("Ecore...") are left out: they lie inside the socket's counter and
 * there are hundreds. */
#include "daemon/meter/attr.h"
#include "daemon/meter/drm_card.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX  256
#define INA3221_RAILS 3                    /* in4 and above are shunt voltages */
#define INDEX_MAX     32                   /* energy1 .. energy32, power1 .. power32 */
#define PMAX_UW       INT64_C(20000000000) /* one node: no supply of a single machine gives 20 kW */

struct sensor {
    struct attr value;
    struct attr enable; /* path NULL: the driver has no such file */
    struct attr factor; /* path set: value x factor is the power */
};

struct source {
    struct sensor sensors[CHANNELS_MAX];
    struct channel_desc descs[CHANNELS_MAX];
    size_t n;
};

/* One hwmonN while it is looked through. */
struct chip {
    char *dir;
    char name[48];               /* driver: "amd_energy" */
    char device[WATTQ_PATH_MAX]; /* where it hangs, below the sysfs root */
};

/* ---- what a sensor is -------------------------------------------------------------------------- */

struct rule {
    const char *driver; /* of the chip's name; NULL = any */
    const char *label;  /* prefix of the label; NULL = any */
    enum channel_scope scope;
    enum channel_quality quality;
    const char *covers;
};

static const struct rule rules[] = {
    {"amd_energy", "Esocket", SCOPE_PACKAGE, QUALITY_MODELLED,
     "CPU package; not DRAM, GPU, board, PSU"},
    {"zenergy", "Esocket", SCOPE_PACKAGE, QUALITY_MODELLED,
     "CPU package; not DRAM, GPU, board, PSU"},
    {"fam15h_power", NULL, SCOPE_PACKAGE, QUALITY_MODELLED,
     "CPU package; not DRAM, GPU, board, PSU"},
    {"power_meter", "Module", SCOPE_MODULE, QUALITY_MEASURED, "module: CPU, its memory and GPU"},
    {"power_meter", "Grace", SCOPE_PACKAGE, QUALITY_MEASURED, "Grace CPU socket with its memory"},
    {"power_meter", "CPU", SCOPE_CPU, QUALITY_MEASURED, "CPU rail of one socket"},
    {"power_meter", "SysIO", SCOPE_UNCORE, QUALITY_MEASURED, "system I/O rail of one socket"},
    {"power_meter", NULL, SCOPE_NODE, QUALITY_MEASURED,
     "what the platform's power meter sees: usually all"},
    {"ina3221", "VDD_IN", SCOPE_MODULE, QUALITY_MEASURED,
     "module input: CPU, GPU, memory, its converters"},
    {"ina3221", "POM_5V_IN", SCOPE_MODULE, QUALITY_MEASURED, "module input: CPU, GPU, memory"},
    {"ina3221", "VDD_GPU", SCOPE_GPU, QUALITY_MEASURED, "GPU rail, perhaps with parts of the SoC"},
    {"ina3221", "POM_5V_GPU", SCOPE_GPU, QUALITY_MEASURED, "GPU rail"},
    {"ina3221", "VDD_CPU", SCOPE_CPU, QUALITY_MEASURED, "CPU rail, perhaps with accelerators"},
    {"ina3221", "POM_5V_CPU", SCOPE_CPU, QUALITY_MEASURED, "CPU rail"},
    {"nouveau", NULL, SCOPE_GPU, QUALITY_MEASURED, "one GPU card"},
    {NULL, NULL, SCOPE_OTHER, QUALITY_MEASURED, "a rail or supply; what it feeds is not stated"},
};

static const struct rule *rule_of(const char *driver, const char *label)
{
    for (size_t i = 0; i + 1 < ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if (strcmp(r->driver, driver) == 0 &&
            (!r->label || strncmp(label, r->label, strlen(r->label)) == 0)) {
            return r;
        }
    }
    return &rules[ARRAY_LEN(rules) - 1];
}

/* "1.5%" or "1.5": percent with at most four decimals -> ppm; 0 = nothing usable is stated */
static int64_t accuracy_ppm(const char *dir, int index)
{
    char file[32];
    char text[32];
    (void)snprintf(file, sizeof(file), "power%d_accuracy", index);
    if (!attr_text(dir, file, text, sizeof(text))) {
        return 0;
    }
    text[strcspn(text, "%")] = '\0';
    char *dot = strchr(text, '.');
    char digits[5] = "0000";
    if (dot) {
        *dot = '\0';
        size_t n = strlen(dot + 1);
        memcpy(digits, dot + 1, n < 4 ? n : 4);
    }
    int64_t whole = 0;
    int64_t part = 0;
    if (!attr_parse(text, strlen(text), &whole) || !attr_parse(digits, 4, &part) || whole < 0 ||
        part < 0 || whole > 100) {
        return 0;
    }
    return whole * 10000 + part;
}

/* 20 kW unless the chip states what it is built for. */
static int64_t pmax_of(const char *dir, int index)
{
    static const char *const stated[] = {"rated_max", "cap_max"};
    for (size_t i = 0; i < ARRAY_LEN(stated); i++) {
        char *file CLEANUP(base_freep) = base_printf("power%d_%s", index, stated[i]);
        struct reading r = attr_once(dir, file);
        if (r.state == READING_OK && r.value > 0 && r.value < PMAX_UW / 2) {
            return 2 * r.value;
        }
    }
    return PMAX_UW;
}

static void set_kind(struct channel_desc *d, const struct chip *c, enum channel_kind kind,
                     int index)
{
    d->kind = kind;
    d->quantum = 1;
    d->period_declared = false;
    d->period_ns = NS_PER_S; /* the interface states none; an assumption, marked as such */
    if (kind == CHANNEL_COUNTER) {
        /* No range is published, so wrap stays 0: a step backwards is a reset. */
        d->period_ns = 100 * NS_PER_MS;
        (void)base_strcpy(d->unit, sizeof(d->unit), "uJ");
        d->pmax_uw = PMAX_UW;
        return;
    }
    (void)base_strcpy(d->unit, sizeof(d->unit), "uW");
    d->pmax_uw = pmax_of(c->dir, index);
    d->accuracy_ppm = accuracy_ppm(c->dir, index);
    if (kind == CHANNEL_AVERAGE) {
        char file[40];
        (void)snprintf(file, sizeof(file), "power%d_average_interval", index);
        struct reading r = attr_once(c->dir, file);
        d->box_ns = r.state == READING_OK && r.value > 0 && r.value < 3600 * 1000
                        ? r.value * NS_PER_MS
                        : NS_PER_S;
    }
}

/* ---- what a chip says of itself ---------------------------------------------------------------- */

/* ACPI power meters link what they measure. Processors only, or single devices, are not the machine.
 * source: Documentation/hwmon/acpi_power_meter.rst */
static void read_measures(const struct chip *c, struct channel_desc *d)
{
    char *dir CLEANUP(base_freep) = base_printf("%s/measures", c->dir);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, NULL);
    int links = 0;
    int cpus = 0;
    bool whole = false;
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        links += name[0] != '.';
        cpus += strncmp(name, "LNXCPU", 6) == 0 || strncmp(name, "ACPI0007", 8) == 0;
        whole = whole || strncmp(name, "LNXSY", 5) == 0; /* LNXSYSTM, LNXSYBUS */
        free(list[i]);
    }
    free(list);
    if (links > 0 && links == cpus) {
        d->scope = SCOPE_CPU;
        (void)base_strcpy(d->covers, sizeof(d->covers), "the processors, says the platform");
    } else if (links > 0 && !whole) {
        d->scope = SCOPE_OTHER;
        (void)snprintf(d->covers, sizeof(d->covers), "%d devices that the platform names", links);
    }
}

/* Which device, so that other sources can be laid beside it, and who made it. */
static void identify(const struct chip *c, struct channel_desc *d, const char *label)
{
    const char *base = strrchr(c->device, '/');
    (void)base_strcpy(d->device, sizeof(d->device), base ? base + 1 : c->device);
    if (strncmp(label, "Esocket", 7) == 0) {
        (void)snprintf(d->device, sizeof(d->device), "package-%.8s", label + 7);
    }
    if (strcmp(c->name, "power_meter") != 0) {
        return;
    }
    char model[28];
    char serial[28];
    bool named = attr_text(c->dir, "power1_model_number", model, sizeof(model));
    bool numbered = attr_text(c->dir, "power1_serial_number", serial, sizeof(serial));
    (void)snprintf(d->firmware, sizeof(d->firmware), "%s%s%s", named ? model : "",
                   named && numbered ? " " : "", numbered ? serial : "");
    if (d->scope == SCOPE_NODE) {
        read_measures(c, d);
    }
    if (d->scope == SCOPE_NODE && attr_once(c->dir, "power1_is_battery").value == 1) {
        (void)base_strcpy(d->covers, sizeof(d->covers),
                          "what the platform's battery gives; nothing while on mains");
    }
}

/* ---- finding sensors --------------------------------------------------------------------------- */

static void set_remedy(struct channel_desc *d, const struct sensor *s)
{
    struct reading on = s->enable.path ? attr_now(s->enable.path) : (struct reading){.value = 1};
    if (attr_now(s->value.path).state == READING_NO_PERMISSION) {
        (void)base_strcpy(d->remedy, sizeof(d->remedy), "wattq meters allow");
    } else if (on.state == READING_OK && on.value == 0) {
        (void)snprintf(d->remedy, sizeof(d->remedy), "echo 1 | sudo tee %.140s", s->enable.path);
    }
}

static const char *const stems[] = {"energy", "power", "power"};
static const char *const files[] = {"input", "average", "input"};
static const enum channel_kind kinds[] = {CHANNEL_COUNTER, CHANNEL_AVERAGE, CHANNEL_GAUGE};

static void read_label(const struct chip *c, const char *stem, int index, char *label, size_t cap)
{
    char file[40];
    (void)snprintf(file, sizeof(file), "%s%d_label", stem, index);
    if (!attr_text(c->dir, file, label, cap)) {
        label[0] = '\0';
    }
}

/* One file, if it is there. *primary is the channel that shows this quantity best so far. */
static void add_sensor(struct source *s, const struct chip *c, size_t form, int index, int *primary)
{
    char *path CLEANUP(base_freep) =
        base_printf("%s/%s%d_%s", c->dir, stems[form], index, files[form]);
    char label[40];
    read_label(c, stems[form], index, label, sizeof(label));
    if (s->n >= CHANNELS_MAX || strncmp(label, "Ecore", 5) == 0 ||
        attr_now(path).state == READING_GONE) {
        return;
    }
    struct channel_desc *d = &s->descs[s->n];
    struct sensor *sensor = &s->sensors[s->n];
    attr_init(&sensor->value, path);
    char *enable = base_printf("%s/%s%d_enable", c->dir, stems[form], index);
    if (attr_now(enable).state == READING_OK) {
        attr_init(&sensor->enable, enable);
    }
    free(enable);
    const struct rule *rule = rule_of(c->name, label);
    d->scope = rule->scope;
    d->quality = rule->quality;
    (void)base_strcpy(d->covers, sizeof(d->covers), rule->covers);
    (void)snprintf(d->label, sizeof(d->label), "%.20s %s%d%s%.20s", c->name, stems[form], index,
                   label[0] ? " " : "", label);
    attr_uid(d, "hwmon%s/%s/%s%d_%s", c->device, c->name, stems[form], index, files[form]);
    set_kind(d, c, kinds[form], index);
    set_remedy(d, sensor);
    attr_driver(d, c->name);
    identify(c, d, label);
    d->parent = -1;
    d->mirror_of = *primary;
    if (*primary < 0) {
        *primary = (int)s->n;
    }
    s->n++;
}

/* Parts of one chip: rails of a Grace socket lie in the socket, the socket in the module. */
static void place(struct source *s, size_t first)
{
    for (size_t i = first; i < s->n; i++) {
        struct channel_desc *d = &s->descs[i];
        for (size_t j = first; j < s->n; j++) {
            enum channel_scope outer = s->descs[j].scope;
            bool socket =
                outer == SCOPE_PACKAGE && (d->scope == SCOPE_CPU || d->scope == SCOPE_UNCORE);
            bool rail = strncmp(d->label, "ina3221", 7) == 0 && d->scope != SCOPE_MODULE;
            bool module = outer == SCOPE_MODULE && (d->scope == SCOPE_PACKAGE || rail);
            if (i != j && d->parent < 0 && s->descs[j].mirror_of < 0 && (socket || module)) {
                d->parent = (int)j;
            }
        }
    }
}

/* Voltage times current, where a chip of separate rails shows no power. */
static void add_product(struct source *s, const struct chip *c, int index)
{
    char *volts CLEANUP(base_freep) = base_printf("%s/in%d_input", c->dir, index);
    char *amps CLEANUP(base_freep) = base_printf("%s/curr%d_input", c->dir, index);
    char *enable CLEANUP(base_freep) = base_printf("%s/in%d_enable", c->dir, index);
    char label[40];
    read_label(c, "in", index, label, sizeof(label));
    if (s->n >= CHANNELS_MAX || strcmp(label, "NC") == 0 || attr_now(volts).state == READING_GONE ||
        attr_now(amps).state == READING_GONE) {
        return;
    }
    struct channel_desc *d = &s->descs[s->n];
    struct sensor *sensor = &s->sensors[s->n++];
    attr_init(&sensor->value, volts);
    attr_init(&sensor->factor, amps);
    if (attr_now(enable).state == READING_OK) {
        attr_init(&sensor->enable, enable);
    }
    const struct rule *rule = rule_of(c->name, label);
    d->scope = rule->scope;
    d->quality = rule->quality;
    (void)base_strcpy(d->covers, sizeof(d->covers), rule->covers);
    (void)snprintf(d->label, sizeof(d->label), "%.20s %.24s", c->name, label[0] ? label : "rail");
    attr_uid(d, "hwmon%s/%s/in%d_curr%d", c->device, c->name, index, index);
    set_kind(d, c, CHANNEL_GAUGE, index);
    set_remedy(d, sensor);
    attr_driver(d, c->name);
    identify(c, d, label);
    d->parent = -1;
    d->mirror_of = -1;
}

static void scan_chip(struct source *s, struct chip *c)
{
    size_t first = s->n;
    if (!attr_text(c->dir, "name", c->name, sizeof(c->name)) || drm_driver_chip(c->name)) {
        return; /* source_drm.c reads those, and lets the card sleep */
    }
    for (int index = 1; index <= INDEX_MAX; index++) {
        int primary = -1;
        for (size_t form = 0; form < ARRAY_LEN(kinds); form++) {
            add_sensor(s, c, form, index, &primary);
        }
        if (primary < 0 && strcmp(c->name, "ina3221") == 0 && index <= INA3221_RAILS) {
            add_product(s, c, index);
        }
    }
    place(s, first);
}

/* The device's own path is the same at every boot; hwmonN is not. */
static void locate(struct chip *c, const char *sys)
{
    char *link CLEANUP(base_freep) = base_printf("%s/device", c->dir);
    char *real CLEANUP(base_freep) = realpath(link, NULL);
    char *root CLEANUP(base_freep) = realpath(sys, NULL);
    const char *below = real;
    if (real && root && strncmp(real, root, strlen(root)) == 0) {
        below = real + strlen(root);
    }
    (void)base_strcpy(c->device, sizeof(c->device), below ? below : "/virtual");
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void close_hwmon(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        attr_fini(&s->sensors[i].value);
        if (s->sensors[i].enable.path) {
            attr_fini(&s->sensors[i].enable);
        }
        if (s->sensors[i].factor.path) {
            attr_fini(&s->sensors[i].factor);
        }
    }
    free(s);
}

static int open_hwmon(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    char *dir CLEANUP(base_freep) = base_printf("%s/class/hwmon", sys);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, versionsort);
    for (int i = 0; i < n; i++) {
        if (strncmp(list[i]->d_name, "hwmon", 5) == 0) {
            struct chip c = {.dir = base_printf("%s/%s", dir, list[i]->d_name)};
            locate(&c, sys);
            scan_chip(s, &c);
            free(c.dir);
        }
        free(list[i]);
    }
    free(list);
    if (s->n == 0) {
        close_hwmon(s);
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

static struct reading read_sensor(struct sensor *s, int64_t boot_ns)
{
    struct reading r = attr_read(&s->value, boot_ns);
    if (r.state == READING_OK && s->factor.path) {
        struct reading f = attr_read(&s->factor, boot_ns);
        r.state = f.state;
        if (f.state == READING_OK && __builtin_mul_overflow(r.value, f.value, &r.value)) {
            r.state = READING_IMPLAUSIBLE;
        }
    }
    if (r.state == READING_OK && s->enable.path) {
        struct reading on = attr_read(&s->enable, boot_ns);
        if (on.state == READING_OK && on.value == 0) {
            return (struct reading){.state = READING_DISABLED};
        }
    }
    return r;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        out[i] = read_sensor(&s->sensors[i], boot_ns);
    }
}

const struct source_ops source_hwmon = {
    .name = "hwmon",
    .open = open_hwmon,
    .channels = channels,
    .read = read_all,
    .close = close_hwmon,
};
