/* NVIDIA GPUs through NVML, one source for each, on a thread of its own: calls are synchronous and can hang
 * in the driver, and one GPU that hangs must hold up no other.
 *
 * Energy: mJ since the driver was loaded (Volta and later); a reload or GPU reset starts it again, which
 * is a step backwards without a range, i.e. a reset. Power: instant and 1-s average by field id where the
 * driver has them, each for the GPU, its memory, and the module of a Grace Hopper (which holds the CPU
 * too); nvmlDeviceGetPowerUsage besides, which is an average on Ampere and later except GA100. What a
 * device does not have gets no channel. A driver or GPU that goes is let go of, so that the library can
 * begin anew, and looked for every 10 s.
 *
 * A GPU that the kernel has suspended is not woken: not to be read, and not to be found. The library is
 * left alone in a forked child. source: NVML API reference; facts on meters, 3.2 and lessons 20, 29, 30, 59. */
#include "daemon/meter/attr.h"
#include "daemon/meter/nvml.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"

#define ENERGY_PERIOD_NS (100 * NS_PER_MS)   /* learned from current data-centre GPUs, not stated */
#define PMAX_DEFAULT     INT64_C(2000000000) /* uW; a GPU that states no limit, and a module */
#define SLOW_NS          NS_PER_S            /* temperature, fan and limit move slowly */
#define WHO_NS           (2 * NS_PER_S)      /* process lists may take 100 ms */
#define LOST_NS          (2 * NS_PER_S)      /* a reset of one GPU may end by itself before that */
#define RETRY_NS         (10 * NS_PER_S)
#define PCI_MAX          64

/* What a channel asks for; the order is that of the channels. Modules stand first, because they contain. */
enum ask {
    MODULE_AVERAGE,
    MODULE_INSTANT,
    ENERGY,
    POWER,
    POWER_AVERAGE,
    POWER_INSTANT,
    MEMORY_AVERAGE,
    MEMORY_INSTANT,
    TEMPERATURE,
    CLOCK_SM,
    CLOCK_MEM,
    THROTTLE,
    LIMIT,
    FAN,
    BUSY,
    ASKS
};

struct source {
    struct nvml nvml;
    nvml_device device;
    bool ready;      /* the library is initialised for us and knows the device */
    pid_t pid;       /* who initialised it */
    int64_t lost_ns; /* nothing answers since; 0 = it does */
    int64_t retry_ns, slow_ns, who_ns;
    char uuid[NVML_TEXT_BYTES];
    char name[NVML_TEXT_BYTES];
    char driver[48];
    char firmware[64];
    unsigned index;
    bool mig;
    char *runtime_dir; /* .../power, or NULL */
    char *root;        /* where /proc is, NULL = here */
    int64_t pmax_uw;
    struct nvml_who who; /* procs NULL: nobody wants to know */
    struct channel_desc descs[ASKS];
    enum ask asks[ASKS];
    struct reading slow[ASKS]; /* newest readings of the slow ones, by ask */
    size_t n;
};

static const struct {
    const char *name; /* in the uid, for ever */
    const char *unit;
    const char *covers;
    enum channel_kind kind;
    enum channel_scope scope;
    int64_t quantum;
    unsigned field, field_scope; /* of the power fields */
    bool slow;
} shapes[] = {
    [MODULE_AVERAGE] = {"module_average", "uW", "module: CPU, memory and GPU; mean of 1 s",
                        CHANNEL_AVERAGE, SCOPE_MODULE, 1000, NVML_FI_POWER_AVERAGE,
                        NVML_POWER_SCOPE_MODULE, false},
    [MODULE_INSTANT] = {"module_instant", "uW", "module: CPU, memory and GPU; now", CHANNEL_GAUGE,
                        SCOPE_MODULE, 1000, NVML_FI_POWER_INSTANT, NVML_POWER_SCOPE_MODULE, false},
    [ENERGY] = {"energy", "uJ", "GPU board with its memory; not CPU, PSU", CHANNEL_COUNTER,
                SCOPE_GPU, 1000, 0, 0, false},
    [POWER] = {"power", "uW", "GPU board with its memory", CHANNEL_AVERAGE, SCOPE_GPU, 1000, 0, 0,
               false},
    [POWER_AVERAGE] = {"power_average", "uW", "GPU board with its memory, mean of 1 s",
                       CHANNEL_AVERAGE, SCOPE_GPU, 1000, NVML_FI_POWER_AVERAGE,
                       NVML_POWER_SCOPE_GPU, false},
    [POWER_INSTANT] = {"power_instant", "uW",
                       "GPU board with its memory, now; A100 and H100 look 25 % of the time",
                       CHANNEL_GAUGE, SCOPE_GPU, 1000, NVML_FI_POWER_INSTANT, NVML_POWER_SCOPE_GPU,
                       false},
    [MEMORY_AVERAGE] = {"memory_average", "uW", "the GPU's memory alone, mean of 1 s",
                        CHANNEL_AVERAGE, SCOPE_OTHER, 1000, NVML_FI_POWER_AVERAGE,
                        NVML_POWER_SCOPE_MEMORY, false},
    [MEMORY_INSTANT] = {"memory_instant", "uW", "the GPU's memory alone, now", CHANNEL_GAUGE,
                        SCOPE_OTHER, 1000, NVML_FI_POWER_INSTANT, NVML_POWER_SCOPE_MEMORY, false},
    [TEMPERATURE] = {"temperature", "mC", "GPU core temperature", CHANNEL_COMPANION, SCOPE_GPU,
                     1000, 0, 0, true},
    [CLOCK_SM] = {"clock_sm", "kHz", "clock of the multiprocessors", CHANNEL_COMPANION, SCOPE_GPU,
                  1000, 0, 0, false},
    [CLOCK_MEM] = {"clock_mem", "kHz", "clock of the GPU's memory", CHANNEL_COMPANION, SCOPE_GPU,
                   1000, 0, 0, false},
    [THROTTLE] = {"throttle", "mask", "why the clock is held down, NVML's bits", CHANNEL_COMPANION,
                  SCOPE_GPU, 1, 0, 0, false},
    [LIMIT] = {"power_limit", "uW", "enforced power limit", CHANNEL_COMPANION, SCOPE_GPU, 1000, 0,
               0, true},
    [FAN] = {"fan", "ppm", "fan, part of its full speed as asked for", CHANNEL_COMPANION, SCOPE_GPU,
             10000, 0, 0, true},
    [BUSY] = {"busy", "ppm", "part of the time in which any kernel ran", CHANNEL_COMPANION,
              SCOPE_GPU, 10000, 0, 0, false},
};

/* ---- readings ---------------------------------------------------------------------------------- */

static struct reading read_power_field(const struct source *s, enum ask ask)
{
    struct nvml_field f = {.field_id = shapes[ask].field, .scope_id = shapes[ask].field_scope};
    nvml_return rc =
        s->nvml.fields ? s->nvml.fields(s->device, 1, &f) : (nvml_return)NVML_NO_FUNCTION;
    if (rc == NVML_OK) {
        rc = f.result;
    }
    if (rc == NVML_OK && f.value_type != NVML_VALUE_UINT) {
        rc = NVML_NOT_SUPPORTED;
    }
    return nvml_reading(rc, rc == NVML_OK ? f.value.u : 0, 1000, false);
}

/* An old driver lacks a function; the field is then as unsupported as if it had said so. */
#define CALL(fn, ...) ((fn) ? (fn)(s->device, __VA_ARGS__) : NVML_NO_FUNCTION)

static struct reading read_companion(const struct source *s, enum ask ask)
{
    const struct nvml *c = &s->nvml;
    struct nvml_utilization rates = {0};
    unsigned long long wide = 0;
    unsigned v = 0;
    nvml_return rc = NVML_NO_FUNCTION;
    switch ((int)ask) {
    case TEMPERATURE:
        rc = CALL(c->temperature, NVML_TEMPERATURE_GPU, &v);
        return nvml_reading(rc, v, 1000, false);
    case CLOCK_SM:
        rc = CALL(c->clock, NVML_CLOCK_SM, &v);
        return nvml_reading(rc, v, 1000, false);
    case CLOCK_MEM:
        rc = CALL(c->clock, NVML_CLOCK_MEM, &v);
        return nvml_reading(rc, v, 1000, false);
    case LIMIT:
        rc = CALL(c->limit, &v);
        return nvml_reading(rc, v, 1000, false);
    case FAN:
        rc = CALL(c->fan, &v);
        return nvml_reading(rc, v, 10000, false);
    case BUSY:
        rc = s->mig ? NVML_NOT_SUPPORTED : CALL(c->utilization, &rates);
        if (rc == NVML_OK && rates.gpu > 100) {
            return (struct reading){.state = READING_IMPLAUSIBLE};
        }
        return nvml_reading(rc, rates.gpu, 10000, false);
    case THROTTLE:
    default:
        rc = CALL(c->throttle, &wide);
        return nvml_reading(rc, wide, 1, true);
    }
}

static struct reading read_ask(const struct source *s, enum ask ask)
{
    unsigned long long wide = 0;
    unsigned v = 0;
    if (ask == ENERGY) {
        nvml_return rc = CALL(s->nvml.energy, &wide);
        return nvml_reading(rc, wide, 1000, true);
    }
    if (ask == POWER) {
        nvml_return rc = CALL(s->nvml.power, &v);
        return nvml_reading(rc, v, 1000, false);
    }
    return shapes[ask].field ? read_power_field(s, ask) : read_companion(s, ask);
}

static void fill(const struct source *s, enum reading_state state, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        out[i] = (struct reading){.state = state};
    }
}

/* The library goes on holding a driver that was unloaded until its last user lets go. */
static void let_go(struct source *s, int64_t boot_ns)
{
    nvml_watch_close(&s->nvml, &s->who.watch);
    if (s->ready) {
        (void)s->nvml.shutdown();
    }
    s->ready = false;
    s->retry_ns = boot_ns + RETRY_NS;
}

static bool take_again(struct source *s, int64_t boot_ns)
{
    if (boot_ns < s->retry_ns || !s->nvml.by_uuid) {
        return false;
    }
    s->retry_ns = boot_ns + RETRY_NS;
    if (s->nvml.init() != NVML_OK) {
        return false;
    }
    s->ready = s->nvml.by_uuid(s->uuid, &s->device) == NVML_OK;
    if (!s->ready) {
        (void)s->nvml.shutdown();
    } else if (s->who.procs) {
        nvml_watch_open(&s->nvml, s->device, s->runtime_dir, &s->who.watch);
    }
    return s->ready;
}

static void look_who(struct source *s, int64_t boot_ns, enum reading_state state)
{
    if (!s->who.procs || boot_ns < s->who_ns) {
        return;
    }
    bool first = s->who_ns == 0; /* a look whether we are still here asks nobody */
    s->who_ns = boot_ns + WHO_NS;
    nvml_watch_look(&s->nvml, &s->who.watch);
    if (state != READING_OK) {
        struct gpu_use none = {.state = state,
                               .xid = s->who.watch.xid,
                               .xid_ns = s->who.watch.xid_ns,
                               .stamp_ns = boot_ns};
        gpu_procs_put(s->who.procs, s->who.index, &none);
    } else if (!first) {
        nvml_who_look(&s->nvml, s->device, &s->who);
    }
}

static void read_device(struct source *s, int64_t boot_ns, struct reading *out)
{
    bool slow = boot_ns >= s->slow_ns;
    size_t asked = 0; /* of those that are read each time */
    size_t gone = 0;
    for (size_t i = 0; i < s->n; i++) {
        enum ask ask = s->asks[i];
        if (!shapes[ask].slow) {
            out[i] = read_ask(s, ask);
            asked++;
            gone += out[i].state == READING_GONE;
        } else {
            s->slow[ask] = slow ? read_ask(s, ask) : s->slow[ask];
            out[i] = s->slow[ask];
        }
    }
    s->slow_ns = slow ? boot_ns + SLOW_NS : s->slow_ns;
    bool lost = asked > 0 && gone == asked;
    look_who(s, boot_ns, lost ? READING_GONE : READING_OK);
    s->lost_ns = !lost ? 0 : s->lost_ns > 0 ? s->lost_ns : boot_ns;
    if (lost && boot_ns - s->lost_ns >= LOST_NS) {
        let_go(s, boot_ns);
        s->slow_ns = 0;
        fill(s, READING_GONE, out);
    }
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    if (getpid() != s->pid) {
        fill(s, READING_IO, out);
    } else if (attr_suspended(s->runtime_dir)) {
        fill(s, READING_ASLEEP, out);
        look_who(s, boot_ns, READING_ASLEEP);
        s->slow_ns = 0;
    } else if (s->ready || take_again(s, boot_ns)) {
        read_device(s, boot_ns, out);
    } else {
        fill(s, READING_GONE, out);
        look_who(s, boot_ns, READING_GONE);
    }
}

/* ---- channels ---------------------------------------------------------------------------------- */

/* Is GetPowerUsage the mean of a second? source: NVML reference: Ampere and later, except GA100. */
static bool averages(const struct source *s)
{
    unsigned arch = 0;
    bool known = CALL(s->nvml.architecture, &arch) == NVML_OK;
    bool ga100 = strstr(s->name, "A100") || strstr(s->name, "A30");
    return known && arch >= NVML_ARCH_AMPERE && !ga100;
}

/* primary: the channel that shows this scope's power best so far; within: what contains it. */
static struct channel_desc *add_channel(struct source *s, enum ask ask, int primary, int within)
{
    struct channel_desc *d = &s->descs[s->n];
    bool power = shapes[ask].kind != CHANNEL_COMPANION;
    bool instant = ask == POWER && !averages(s);
    d->kind = instant ? CHANNEL_GAUGE : shapes[ask].kind;
    d->quality = power ? QUALITY_MEASURED : QUALITY_NONE;
    d->scope = shapes[ask].scope;
    d->quantum = shapes[ask].quantum;
    d->period_ns = shapes[ask].slow ? SLOW_NS : ENERGY_PERIOD_NS;
    d->box_ns = d->kind == CHANNEL_AVERAGE ? NS_PER_S : 0;
    d->parent = power ? within : -1;
    d->mirror_of = power ? primary : -1;
    if (power) {
        d->pmax_uw = d->scope == SCOPE_MODULE ? PMAX_DEFAULT : s->pmax_uw;
    }
    attr_uid(d, "nvml/%s/%s", s->uuid, shapes[ask].name);
    (void)snprintf(d->label, sizeof(d->label), ask == ENERGY ? "gpu%u" : "gpu%u %s", s->index,
                   shapes[ask].name);
    (void)base_strcpy(d->unit, sizeof(d->unit), shapes[ask].unit);
    char covers[128];
    (void)snprintf(covers, sizeof(covers), "%s%s%s", power && s->mig ? "all MIG: " : "",
                   shapes[ask].covers,
                   ask != POWER ? ""
                   : instant    ? ", now"
                                : ", mean of 1 s");
    (void)base_strcpy(d->covers, sizeof(d->covers), covers);
    (void)base_strcpy(d->device, sizeof(d->device), s->uuid);
    (void)base_strcpy(d->driver, sizeof(d->driver), s->driver);
    (void)base_strcpy(d->firmware, sizeof(d->firmware), s->firmware);
    s->asks[s->n++] = ask;
    return d;
}

/* What this device answers; a field that it does not have gets no channel. Others that fail now (lost,
 * no permission) are listed with their reason. */
static void add_channels(struct source *s)
{
    int primary[SCOPE_OTHER + 1];
    for (size_t i = 0; i < ARRAY_LEN(primary); i++) {
        primary[i] = -1;
    }
    for (int a = 0; a < ASKS; a++) {
        enum ask ask = (enum ask)a;
        enum channel_scope scope = shapes[ask].scope;
        struct reading r = read_ask(s, ask);
        s->slow[ask] = r;
        if (r.state == READING_UNSUPPORTED) {
            continue;
        }
        int within = scope == SCOPE_GPU     ? primary[SCOPE_MODULE]
                     : scope == SCOPE_OTHER ? primary[SCOPE_GPU]
                                            : -1;
        const struct channel_desc *d = add_channel(s, ask, primary[scope], within);
        if (d->kind != CHANNEL_COMPANION && primary[scope] < 0) {
            primary[scope] = (int)s->n - 1;
        }
    }
}

/* ---- finding a device -------------------------------------------------------------------------- */

struct pci_list {
    size_t total; /* devices of the driver; 0 = sysfs does not tell */
    size_t awake;
    char address[PCI_MAX][32]; /* of those awake, in order */
};

/* To ask the library for a GPU wakes it; the kernel says which ones sleep without waking them. */
static void list_pci(struct pci_list *l, const char *sys)
{
    char *dir CLEANUP(base_freep) = base_printf("%s/bus/pci/drivers/nvidia", sys);
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        if (strlen(name) == strlen("0000:01:00.0") && name[4] == ':' && l->awake < PCI_MAX) {
            char *power CLEANUP(base_freep) = base_printf("%s/%s/power", dir, name);
            l->total++;
            if (!attr_suspended(power)) {
                (void)base_strcpy(l->address[l->awake++], sizeof(l->address[0]), name);
            }
        }
        free(names[i]);
    }
    free(names);
}

static bool find_device(struct source *s, const struct pci_list *l, int instance)
{
    unsigned count = 0;
    if (l->total > 0 && s->nvml.by_pci) {
        return (size_t)instance < l->awake &&
               s->nvml.by_pci(l->address[instance], &s->device) == NVML_OK;
    }
    return s->nvml.count(&count) == NVML_OK && (unsigned)instance < count &&
           s->nvml.by_index((unsigned)instance, &s->device) == NVML_OK;
}

/* Power of more than 1.5 x the enforced limit is a driver's mistake (593 W at idle was seen). */
static void set_pmax(struct source *s)
{
    unsigned mw = 0;
    s->pmax_uw = PMAX_DEFAULT;
    if (CALL(s->nvml.limit, &mw) == NVML_OK && mw > 0 && mw < UINT32_MAX) {
        s->pmax_uw = INT64_C(1500) * mw;
    }
}

static void text_of(char *out, size_t cap, nvml_return rc, char *text)
{
    text[NVML_TEXT_BYTES - 1] = '\0';
    if (rc != NVML_OK || !base_strcpy(out, cap, text)) {
        out[0] = '\0';
    }
}

static void identify(struct source *s, const char *sys)
{
    char text[NVML_TEXT_BYTES] = "";
    nvml_return rc = s->nvml.driver_version ? s->nvml.driver_version(text, sizeof(text))
                                            : (nvml_return)NVML_NO_FUNCTION;
    char version[32];
    text_of(version, sizeof(version), rc, text);
    (void)snprintf(s->driver, sizeof(s->driver), version[0] ? "nvidia %s" : "nvidia", version);
    rc = CALL(s->nvml.vbios, text, sizeof(text));
    text_of(s->firmware, sizeof(s->firmware), rc, text);
    rc = CALL(s->nvml.name, text, sizeof(text));
    text_of(s->name, sizeof(s->name), rc, text);
    unsigned mode = 0;
    unsigned pending = 0;
    s->mig = CALL(s->nvml.mig, &mode, &pending) == NVML_OK && mode == 1;
    struct nvml_pci pci;
    memset(&pci, 0, sizeof(pci));
    if (CALL(s->nvml.pci, &pci) == NVML_OK) {
        s->runtime_dir = base_printf("%s/bus/pci/devices/%04x:%02x:%02x.0/power", sys, pci.domain,
                                     pci.bus, pci.device);
    }
    set_pmax(s);
}

static void offer_who(struct source *s, const struct meter_config *cfg)
{
    char label[48];
    (void)snprintf(label, sizeof(label), "gpu%u %.36s", s->index, s->name);
    s->root = cfg->sysfs_root && cfg->sysfs_root[0] ? base_strdup(cfg->sysfs_root) : NULL;
    s->who.index = cfg->gpu_procs ? gpu_procs_add(cfg->gpu_procs, s->uuid, label) : -1;
    if (s->who.index >= 0) {
        s->who.procs = gpu_procs_ref(cfg->gpu_procs);
        s->who.root = s->root;
        s->who.mig = s->mig;
        if (!attr_suspended(s->runtime_dir)) /* before anybody is given it */
            gpu_procs_fault(s->who.procs, s->who.index, nvml_fault(&s->nvml, s->device));
        nvml_watch_open(&s->nvml, s->device, s->runtime_dir, &s->who.watch);
    }
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void close_nvml(struct source *s)
{
    gpu_procs_unref(s->who.procs);
    if (s->ready && s->pid == getpid()) {
        nvml_watch_close(&s->nvml, &s->who.watch);
        (void)s->nvml.shutdown();
    }
    nvml_unload(&s->nvml);
    free(s->runtime_dir);
    free(s->root);
    free(s);
}

static bool start(struct source *s, const struct meter_config *cfg, const char *sys)
{
    struct pci_list l = {0};
    list_pci(&l, sys);
    if ((l.total > 0 && l.awake <= (size_t)cfg->instance) || s->nvml.init() != NVML_OK) {
        return false;
    }
    s->ready = true;
    s->pid = getpid();
    if (!find_device(s, &l, cfg->instance) ||
        s->nvml.uuid(s->device, s->uuid, sizeof(s->uuid)) != NVML_OK) {
        return false;
    }
    s->uuid[sizeof(s->uuid) - 1] = '\0';
    if (CALL(s->nvml.index, &s->index) != NVML_OK) {
        s->index = (unsigned)cfg->instance;
    }
    return true;
}

static int open_nvml(struct source **out, const struct meter_config *cfg, struct err *e)
{
    struct source *s = base_alloc(sizeof(*s));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    if (!nvml_load(&s->nvml, cfg->nvml_path)) {
        close_nvml(s);
        if (cfg->nvml_path) {
            (void)err_set(e, WATTQ_E_UNAVAILABLE, "cannot load NVML from %s", cfg->nvml_path);
            return err_next(e, "leave nvml_path empty to use the driver's own library");
        }
        return 1;
    }
    if (start(s, cfg, sys)) {
        identify(s, sys);
        add_channels(s);
    }
    if (s->n == 0) {
        close_nvml(s);
        return 1;
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

const struct source_ops source_nvml = {
    .name = "nvml",
    .may_block = true,
    .many = true,
    .open = open_nvml,
    .channels = channels,
    .read = read_all,
    .close = close_nvml,
};
