/* Power monitors of the kernel's IIO subsystem (INA219, INA226 by ina2xx-adc, PAC1934, ...): in_powerN in
 * mW, in_energyN in J, each raw value times a scale that is kept as an exact fraction. A chip that has
 * voltage and current of one number but no power gives their product. Read through I2C, so on a thread of
 * its own for all of them.
 *
 * A monitor converts all the time and averages over its integration time: that is the channel's box. Where
 * it is shorter than the sampling period the channel is an instant.
 * source: Linux Documentation/ABI/testing/sysfs-bus-iio (in_powerY_raw, in_energy_raw, in_voltageY_raw in
 * mV, in_currentY_raw in mA, integration_time in s), drivers/iio/adc/ina2xx-adc.c. */
#include "daemon/meter/attr.h"
#include "daemon/meter/perf_text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"

#define CHANNELS_MAX 128
#define INDEX_MAX    16
#define PMAX_UW      INT64_C(20000000000)
#define BOX_MAX_NS   (60 * NS_PER_S)

/* raw x scale */
struct quantity {
    struct attr raw;
    struct perf_scale scale;
};

struct sensor {
    struct quantity value;
    struct quantity current; /* raw.path set: value is the voltage, their product is the power */
    bool energy;
};

struct source {
    struct sensor sensors[CHANNELS_MAX];
    struct channel_desc descs[CHANNELS_MAX];
    size_t n;
    int64_t period_ns;
};

struct chip {
    char *dir;
    char name[32];
    char device[WATTQ_PATH_MAX]; /* where it hangs, below the sysfs root */
    char label[32];
    int64_t box_ns; /* 0 = not stated */
};

/* ---- readings ---------------------------------------------------------------------------------- */

/* Millionths of the unit that raw x scale has; negative where a current flows back. */
static struct reading read_quantity(struct quantity *q, int64_t boot_ns)
{
    struct reading r = attr_read(&q->raw, boot_ns);
    if (r.state != READING_OK) {
        return r;
    }
    int64_t value = 0;
    uint64_t count = r.value < 0 ? -(uint64_t)r.value : (uint64_t)r.value;
    if (!perf_scale_uj(&q->scale, count, &value)) {
        return (struct reading){.state = READING_IMPLAUSIBLE};
    }
    r.value = r.value < 0 ? -value : value;
    return r;
}

/* nV of mV, nA of mA: 1e-6 x 1e-3; their product is 1e-18 W, 1e-12 of the uW that is wanted. */
static struct reading read_product(struct sensor *x, struct reading volts, int64_t boot_ns)
{
    struct reading amps = read_quantity(&x->current, boot_ns);
    if (amps.state != READING_OK) {
        return amps;
    }
    volts.value = units_muldiv_floor(volts.value, amps.value, INT64_C(1000000000000));
    return volts;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        struct sensor *x = &s->sensors[i];
        out[i] = read_quantity(&x->value, boot_ns);
        if (out[i].state != READING_OK) {
            continue;
        }
        if (x->current.raw.path) {
            out[i] = read_product(x, out[i], boot_ns);
        } else if (!x->energy) {
            out[i].value = units_muldiv_floor(out[i].value, 1, 1000); /* nW of mW */
        }
    }
}

/* ---- what a chip has --------------------------------------------------------------------------- */

/* in_power2_scale, else what all of a kind share: in_power_scale; without either raw is the value. */
static bool open_quantity(struct quantity *q, const struct chip *c, const char *kind, int index)
{
    char text[64];
    char file[48];
    char *path CLEANUP(base_freep) = base_printf("%s/in_%s%d_raw", c->dir, kind, index);
    *q = (struct quantity){.raw = {.fd = -1}, .scale = {.num = 1000000, .den = 1}};
    if (access(path, F_OK) != 0) {
        return false;
    }
    (void)snprintf(file, sizeof(file), "in_%s%d_scale", kind, index);
    bool scaled = attr_text(c->dir, file, text, sizeof(text));
    if (!scaled) {
        (void)snprintf(file, sizeof(file), "in_%s_scale", kind);
        scaled = attr_text(c->dir, file, text, sizeof(text));
    }
    if (scaled && !perf_scale_parse(text, &q->scale)) {
        return false; /* a factor that is not understood would be a wrong watt */
    }
    attr_init(&q->raw, path);
    return true;
}

static void close_quantity(struct quantity *q)
{
    if (q->raw.path) {
        attr_fini(&q->raw);
    }
}

static struct channel_desc *add(struct source *s, const struct chip *c, const struct sensor *x,
                                const char *what, int index)
{
    struct channel_desc *d = &s->descs[s->n];
    int64_t box_ns = x->energy ? 0 : c->box_ns;
    s->sensors[s->n++] = *x;
    d->kind = x->energy                              ? CHANNEL_COUNTER
              : box_ns > 0 && box_ns >= s->period_ns ? CHANNEL_AVERAGE
                                                     : CHANNEL_GAUGE;
    d->quality = QUALITY_MEASURED;
    d->scope = SCOPE_OTHER;
    d->quantum = 1;
    d->box_ns = box_ns;
    d->period_declared = box_ns > 0;
    d->period_ns = box_ns > 0 ? box_ns : x->energy ? 100 * NS_PER_MS : NS_PER_S;
    d->pmax_uw = PMAX_UW;
    d->parent = -1;
    d->mirror_of = -1;
    attr_uid(d, "iio%s/%s/%s%d", c->device, c->name, what, index);
    (void)snprintf(d->label, sizeof(d->label), "%.18s %.16s%d", c->label[0] ? c->label : c->name,
                   what, index);
    (void)base_strcpy(d->unit, sizeof(d->unit), x->energy ? "uJ" : "uW");
    (void)base_strcpy(d->covers, sizeof(d->covers), "a rail; what it feeds is not stated");
    const char *base = strrchr(c->device, '/');
    (void)base_strcpy(d->device, sizeof(d->device), base ? base + 1 : c->device);
    attr_driver(d, c->name);
    if (attr_now(x->value.raw.path).state == READING_NO_PERMISSION) {
        (void)base_strcpy(d->remedy, sizeof(d->remedy), "wattq meters allow");
    }
    return d;
}

/* Counter and power of one rail show one thing; a product stands in where a chip has neither. */
static void add_rail(struct source *s, const struct chip *c, int index)
{
    struct sensor x = {.energy = true};
    int primary = -1;
    if (s->n + 2 > CHANNELS_MAX) {
        return;
    }
    if (open_quantity(&x.value, c, "energy", index)) {
        (void)add(s, c, &x, "energy", index);
        primary = (int)s->n - 1;
    }
    x = (struct sensor){.energy = false};
    if (open_quantity(&x.value, c, "power", index)) {
        add(s, c, &x, "power", index)->mirror_of = primary;
    }
}

static void add_product(struct source *s, const struct chip *c, int index)
{
    struct sensor x = {.energy = false};
    if (s->n < CHANNELS_MAX && open_quantity(&x.value, c, "voltage", index) &&
        open_quantity(&x.current, c, "current", index)) {
        (void)add(s, c, &x, "voltage_current", index);
        return;
    }
    close_quantity(&x.value);
    close_quantity(&x.current);
}

/* ---- the integration time ------------------------------------------------------------------------ */

/* "0.001100", in s */
static int64_t seconds(const char *dir, const char *file)
{
    char text[32];
    struct perf_scale one;
    int64_t us = 0;
    bool ok = attr_text(dir, file, text, sizeof(text)) && perf_scale_parse(text, &one) &&
              perf_scale_uj(&one, 1, &us);
    return ok && us > 0 && us < BOX_MAX_NS / 1000 ? us * 1000 : 0;
}

/* An INA converts voltages one after the other, so many times as it averages. Where only the rate of its
 * answers is stated, each covers the time since the one before. */
static int64_t box_of(const char *dir)
{
    int64_t ns =
        seconds(dir, "in_voltage0_integration_time") + seconds(dir, "in_voltage1_integration_time");
    struct reading times = attr_once(dir, "in_oversampling_ratio");
    struct reading hz = attr_once(dir, "in_sampling_frequency");
    hz = hz.state == READING_OK ? hz : attr_once(dir, "sampling_frequency");
    if (ns == 0) {
        ns = seconds(dir, "integration_time");
    }
    if (ns > 0) {
        ns *=
            times.state == READING_OK && times.value > 0 && times.value <= 65536 ? times.value : 1;
        return ns < BOX_MAX_NS ? ns : 0;
    }
    return hz.state == READING_OK && hz.value > 0 ? NS_PER_S / hz.value : 0;
}

/* ---- finding ------------------------------------------------------------------------------------- */

static void scan_chip(struct source *s, struct chip *c)
{
    size_t before = s->n;
    if (!attr_text(c->dir, "name", c->name, sizeof(c->name))) {
        return;
    }
    if (!attr_text(c->dir, "label", c->label, sizeof(c->label))) {
        c->label[0] = '\0';
    }
    c->box_ns = box_of(c->dir);
    for (int i = 0; i < INDEX_MAX; i++) {
        add_rail(s, c, i);
    }
    bool told = s->n > before;
    for (int i = 0; i < INDEX_MAX && !told; i++) {
        add_product(s, c, i);
    }
}

/* iio:deviceN is numbered by probe order; what it hangs on is not. */
static void locate(struct chip *c, const char *sys)
{
    char *real CLEANUP(base_freep) = realpath(c->dir, NULL);
    char *root CLEANUP(base_freep) = realpath(sys, NULL);
    const char *below = real;
    if (real && root && strncmp(real, root, strlen(root)) == 0) {
        below = real + strlen(root);
    }
    (void)base_strcpy(c->device, sizeof(c->device), below ? below : "/virtual");
    char *last = strrchr(c->device, '/');
    if (last && strncmp(last, "/iio:device", 11) == 0) {
        *last = '\0';
    }
}

/* ---- source_ops ---------------------------------------------------------------------------------- */

static void close_iio(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        close_quantity(&s->sensors[i].value);
        close_quantity(&s->sensors[i].current);
    }
    free(s);
}

static int open_iio(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    char *dir CLEANUP(base_freep) = base_printf("%s/bus/iio/devices", sys);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, versionsort);
    s->period_ns = cfg->period_ns > 0 ? cfg->period_ns : 100 * NS_PER_MS;
    for (int i = 0; i < n; i++) {
        if (strncmp(list[i]->d_name, "iio:device", 10) == 0) {
            struct chip c = {.dir = base_printf("%s/%s", dir, list[i]->d_name)};
            locate(&c, sys);
            scan_chip(s, &c);
            free(c.dir);
        }
        free(list[i]);
    }
    free(list);
    if (s->n == 0) {
        close_iio(s);
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

const struct source_ops source_iio = {
    .name = "iio",
    .may_block = true,
    .open = open_iio,
    .channels = channels,
    .read = read_all,
    .close = close_iio,
};
