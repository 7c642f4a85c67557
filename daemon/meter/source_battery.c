/* What a machine draws from its own battery: the sum over those that discharge.
 * source: Documentation/ABI/testing/sysfs-class-power (power_now, uW; else current_now, uA, x voltage_now,
 * uV; a negative current is one that flows out).
 *
 * Only while a battery discharges is its power the machine's: on mains, or while charging, the reading is
 * READING_DISABLED. Batteries of mice and pens (scope "Device") are not looked at. Coarse: fuel gauges
 * refresh after seconds, at a pace that nobody states. */
#include "daemon/meter/attr.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define BATTERIES_MAX 8
#define PERIOD_NS     (5 * NS_PER_S)
#define PMAX_UW       INT64_C(500000000) /* what a battery pack of a portable machine can give */

struct battery {
    char *dir; /* owned */
    struct attr power, current, voltage;
};

struct source {
    struct battery batteries[BATTERIES_MAX];
    size_t n;
    struct channel_desc desc;
};

static bool is_word(const char *dir, const char *file, const char *word)
{
    char text[32];
    return attr_text(dir, file, text, sizeof(text)) && strcmp(text, word) == 0;
}

/* Some drivers have no `present`: what is listed is there then. */
static bool absent(const char *dir)
{
    struct reading r = attr_once(dir, "present");
    return r.state == READING_OK && r.value == 0;
}

/* Taken when there is something to read power from. */
static void add_battery(struct source *s, const char *dir)
{
    if (s->n == BATTERIES_MAX || !is_word(dir, "type", "Battery") ||
        is_word(dir, "scope", "Device") || absent(dir)) {
        return;
    }
    bool power = attr_once(dir, "power_now").state != READING_GONE;
    bool product = attr_once(dir, "current_now").state != READING_GONE &&
                   attr_once(dir, "voltage_now").state != READING_GONE;
    if (!power && !product) {
        return;
    }
    struct battery *b = &s->batteries[s->n++];
    b->dir = base_strdup(dir);
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, power ? "power_now" : "current_now");
    char *volts CLEANUP(base_freep) = base_printf("%s/voltage_now", dir);
    if (power) {
        attr_init(&b->power, path);
    } else {
        attr_init(&b->current, path);
        attr_init(&b->voltage, volts);
    }
}

static int64_t size_of(int64_t v)
{
    return v < 0 && v != INT64_MIN ? -v : v;
}

/* Discharging, the sign says only which way a driver counts. */
static struct reading battery_power(struct battery *b, int64_t boot_ns)
{
    if (b->power.path) {
        struct reading r = attr_read(&b->power, boot_ns);
        r.value = size_of(r.value);
        return r;
    }
    struct reading amps = attr_read(&b->current, boot_ns);
    struct reading volts = attr_read(&b->voltage, boot_ns);
    int64_t product = 0;
    if (amps.state != READING_OK || volts.state != READING_OK) {
        return (struct reading){.state = amps.state != READING_OK ? amps.state : volts.state};
    }
    if (volts.value <= 0 || __builtin_mul_overflow(size_of(amps.value), volts.value, &product)) {
        return (struct reading){.state = READING_IMPLAUSIBLE};
    }
    return (struct reading){.value = product / 1000000,
                            .state = READING_OK}; /* uA x uV = 10^-6 uW */
}

/* One that charges takes from the mains, which then feeds the machine too: no figure at all. */
static struct reading read_power(struct source *s, int64_t boot_ns)
{
    struct reading sum = {.state = READING_DISABLED};
    for (size_t i = 0; i < s->n; i++) {
        struct battery *b = &s->batteries[i];
        if (is_word(b->dir, "status", "Charging")) {
            return (struct reading){.state = READING_DISABLED};
        }
        if (!is_word(b->dir, "status", "Discharging")) {
            continue;
        }
        struct reading r = battery_power(b, boot_ns);
        if (r.state != READING_OK) {
            return r;
        }
        /* A fuel gauge that shows nothing has not measured yet: the machine is on. */
        if (r.value == 0 && s->n == 1) {
            return (struct reading){.state = READING_IMPLAUSIBLE};
        }
        sum.value += r.value;
        sum.state = READING_OK;
    }
    return sum;
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void describe(struct source *s)
{
    struct channel_desc *d = &s->desc;
    char maker[24] = "";
    char model[24] = "";
    (void)attr_text(s->batteries[0].dir, "manufacturer", maker, sizeof(maker));
    (void)attr_text(s->batteries[0].dir, "model_name", model, sizeof(model));
    (void)snprintf(d->firmware, sizeof(d->firmware), "%s%s%s", maker, maker[0] ? " " : "", model);
    attr_uid(d, "battery");
    attr_driver(d, "power_supply");
    (void)base_strcpy(d->label, sizeof(d->label), "battery");
    (void)base_strcpy(d->device, sizeof(d->device), "battery");
    (void)base_strcpy(d->unit, sizeof(d->unit), "uW");
    (void)base_strcpy(d->covers, sizeof(d->covers),
                      "whole machine, while it runs from its battery; else nothing");
    d->kind = CHANNEL_GAUGE;
    d->quality = QUALITY_MEASURED;
    d->scope = SCOPE_NODE;
    d->quantum = 1;
    d->period_ns = PERIOD_NS;
    d->pmax_uw = PMAX_UW;
    d->parent = -1;
    d->mirror_of = -1;
}

static void close_battery(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct battery *b = &s->batteries[i];
        struct attr *attrs[] = {&b->power, &b->current, &b->voltage};
        for (size_t k = 0; k < ARRAY_LEN(attrs); k++) {
            if (attrs[k]->path) {
                attr_fini(attrs[k]);
            }
        }
        free(b->dir);
    }
    free(s);
}

static int open_battery(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    char *dir CLEANUP(base_freep) = base_printf("%s/class/power_supply", sys);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, versionsort);
    for (int i = 0; i < n; i++) {
        char *sub CLEANUP(base_freep) = base_printf("%s/%s", dir, list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            add_battery(s, sub);
        }
        free(list[i]);
    }
    free(list);
    if (s->n == 0) {
        close_battery(s);
        return 1;
    }
    describe(s);
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = &s->desc;
    return 1;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    *out = read_power(s, boot_ns);
}

const struct source_ops source_battery = {
    .name = "battery",
    .slow = true,
    .open = open_battery,
    .channels = channels,
    .read = read_all,
    .close = close_battery,
};
