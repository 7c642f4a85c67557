/* NVIDIA GPUs through NVML, loaded at run time.
 * Energy: mJ since the driver was loaded (Volta and later); a reload or GPU reset starts it again, which
 * is a step backwards without a range, i.e. a reset. Power: instant and 1-s average by field id where the
 * driver has them; nvmlDeviceGetPowerUsage otherwise, which is an average on Ampere and later except
 * GA100. Calls are synchronous and can hang in the driver: own thread, watched by the sampler.
 * NVML is initialised once, for the daemon's life, and left alone in a forked child. A GPU that the
 * kernel has suspended is not woken. source: NVML API reference; facts on meters, 3.2 and lesson 59. */
#include "daemon/meter/attr.h"
#include "daemon/meter/nvml_api.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GPUS_MAX         32
#define PER_GPU          7
#define DEFAULT_LIB      "libnvidia-ml.so.1"
#define ENERGY_PERIOD_NS (100 * NS_PER_MS)   /* learned from current data-centre GPUs, not stated */
#define PMAX_DEFAULT     INT64_C(2000000000) /* uW; a GPU that states no limit */

struct calls {
#define X(field, name, params) nvml_return(*field) params;
    NVML_CALLS(X)
#undef X
};

struct gpu {
    nvml_device device;
    char name[NVML_TEXT_BYTES];
    char uuid[NVML_TEXT_BYTES];
    char *runtime_dir; /* .../power, or NULL */
    int64_t pmax_uw;
};

/* What a channel asks for. */
enum field { ENERGY, POWER, POWER_INSTANT, TEMPERATURE, CLOCK_SM, CLOCK_MEM, THROTTLE };

struct source {
    void *library;
    struct calls nvml;
    pid_t pid; /* who initialised it */
    struct gpu gpus[GPUS_MAX];
    size_t ngpus;
    struct channel_desc descs[GPUS_MAX * PER_GPU];
    struct {
        size_t gpu;
        enum field field;
    } asks[GPUS_MAX * PER_GPU];
    size_t n;
};

/* ---- readings ---------------------------------------------------------------------------------- */

static enum reading_state state_of(nvml_return rc)
{
    switch (rc) {
    case NVML_OK:
        return READING_OK;
    case NVML_NOT_SUPPORTED:
    case NVML_NO_FUNCTION:
        return READING_UNSUPPORTED;
    case NVML_NO_PERMISSION:
        return READING_NO_PERMISSION;
    case NVML_NOT_FOUND:
    case NVML_NO_DRIVER:
    case NVML_GPU_IS_LOST:
    case NVML_RESET_REQUIRED:
        return READING_GONE;
    default:
        return READING_IO;
    }
}

/* value x factor; all ones is the library's "not available". */
static struct reading scaled(nvml_return rc, unsigned long long v, int64_t factor, bool wide)
{
    struct reading r = {.state = state_of(rc)};
    if (r.state != READING_OK) {
        return r;
    }
    if ((!wide && v >= UINT32_MAX) || v > (unsigned long long)(INT64_MAX / factor)) {
        r.state = READING_IMPLAUSIBLE;
        return r;
    }
    r.value = (int64_t)v * factor;
    return r;
}

static struct reading read_instant(const struct calls *c, nvml_device device)
{
    struct nvml_field f = {.field_id = NVML_FI_POWER_INSTANT};
    nvml_return rc = c->fields ? c->fields(device, 1, &f) : NVML_NO_FUNCTION;
    if (rc == NVML_OK) {
        rc = f.result;
    }
    if (rc == NVML_OK && f.value_type != NVML_VALUE_UINT) {
        rc = NVML_NOT_SUPPORTED;
    }
    return scaled(rc, rc == NVML_OK ? f.value.u : 0, 1000, false);
}

static struct reading read_field(const struct source *s, nvml_device device, enum field field)
{
    const struct calls *c = &s->nvml;
    unsigned long long wide = 0;
    unsigned v = 0;
    nvml_return rc = NVML_NO_FUNCTION;
    switch (field) {
    case ENERGY:
        rc = c->energy ? c->energy(device, &wide) : rc;
        return scaled(rc, wide, 1000, true);
    case POWER:
        rc = c->power ? c->power(device, &v) : rc;
        return scaled(rc, v, 1000, false);
    case POWER_INSTANT:
        return read_instant(c, device);
    case TEMPERATURE:
        rc = c->temperature ? c->temperature(device, NVML_TEMPERATURE_GPU, &v) : rc;
        return scaled(rc, v, 1000, false);
    case CLOCK_SM:
    case CLOCK_MEM:
        rc = c->clock ? c->clock(device, field == CLOCK_SM ? NVML_CLOCK_SM : NVML_CLOCK_MEM, &v)
                      : rc;
        return scaled(rc, v, 1000, false);
    case THROTTLE:
    default:
        rc = c->throttle ? c->throttle(device, &wide) : rc;
        return scaled(rc, wide, 1, true);
    }
}

static bool asleep(const struct gpu *g)
{
    char text[32];
    return g->runtime_dir && attr_text(g->runtime_dir, "runtime_status", text, sizeof(text)) &&
           strcmp(text, "suspended") == 0;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    (void)boot_ns;
    bool ours = getpid() == s->pid;
    bool sleeping[GPUS_MAX];
    for (size_t g = 0; g < s->ngpus; g++) {
        sleeping[g] = asleep(&s->gpus[g]);
    }
    for (size_t i = 0; i < s->n; i++) {
        const struct gpu *g = &s->gpus[s->asks[i].gpu];
        if (!ours) {
            out[i] = (struct reading){.state = READING_IO};
        } else if (sleeping[s->asks[i].gpu]) {
            out[i] = (struct reading){.state = READING_ASLEEP};
        } else {
            out[i] = read_field(s, g->device, s->asks[i].field);
        }
    }
}

/* ---- channels ---------------------------------------------------------------------------------- */

static const struct {
    const char *name; /* in the uid, for ever */
    const char *unit;
    enum channel_kind kind;
    int64_t quantum;
    const char *covers;
} shapes[] = {
    [ENERGY] = {"energy", "uJ", CHANNEL_COUNTER, 1000, "GPU board with its memory; not CPU, PSU"},
    [POWER] = {"power", "uW", CHANNEL_AVERAGE, 1000, "GPU board with its memory, mean of 1 s"},
    [POWER_INSTANT] = {"power_instant", "uW", CHANNEL_GAUGE, 1000,
                       "GPU board with its memory, now; A100 and H100 look 25 % of the time"},
    [TEMPERATURE] = {"temperature", "mC", CHANNEL_COMPANION, 1000, "GPU core temperature"},
    [CLOCK_SM] = {"clock_sm", "kHz", CHANNEL_COMPANION, 1000, "clock of the multiprocessors"},
    [CLOCK_MEM] = {"clock_mem", "kHz", CHANNEL_COMPANION, 1000, "clock of the GPU's memory"},
    [THROTTLE] = {"throttle", "mask", CHANNEL_COMPANION, 1,
                  "why the clock is held down, NVML's bits"},
};

/* Is GetPowerUsage the mean of a second? source: NVML reference: Ampere and later, except GA100. */
static bool averages(const struct source *s, const struct gpu *g)
{
    unsigned arch = 0;
    bool known = s->nvml.architecture && s->nvml.architecture(g->device, &arch) == NVML_OK;
    bool ga100 = strstr(g->name, "A100") || strstr(g->name, "A30");
    return known && arch >= NVML_ARCH_AMPERE && !ga100;
}

static void add_channel(struct source *s, size_t gpu, enum field field, int primary)
{
    const struct gpu *g = &s->gpus[gpu];
    struct channel_desc *d = &s->descs[s->n];
    d->kind = shapes[field].kind;
    d->quality = d->kind == CHANNEL_COMPANION ? QUALITY_NONE : QUALITY_MEASURED;
    d->scope = SCOPE_GPU;
    d->quantum = shapes[field].quantum;
    d->period_ns = ENERGY_PERIOD_NS;
    d->pmax_uw = d->kind == CHANNEL_COMPANION ? 0 : g->pmax_uw;
    d->parent = -1;
    d->mirror_of = d->kind == CHANNEL_COMPANION ? -1 : primary;
    if (field == POWER && !averages(s, g)) {
        d->kind = CHANNEL_GAUGE;
    }
    d->box_ns = d->kind == CHANNEL_AVERAGE ? NS_PER_S : 0;
    attr_uid(d, "nvml/%s/%s", g->uuid, shapes[field].name);
    (void)snprintf(d->label, sizeof(d->label), field == ENERGY ? "gpu%zu" : "gpu%zu %s", gpu,
                   shapes[field].name);
    (void)base_strcpy(d->unit, sizeof(d->unit), shapes[field].unit);
    (void)base_strcpy(d->covers, sizeof(d->covers), shapes[field].covers);
    s->asks[s->n].gpu = gpu;
    s->asks[s->n].field = field;
    s->n++;
}

/* What this device answers; a field that it does not have gets no channel. Others that fail now (lost,
 * no permission) are listed with their reason. */
static void add_fields(struct source *s, size_t gpu)
{
    int primary = -1;
    for (int f = ENERGY; f <= THROTTLE; f++) {
        enum field field = (enum field)f;
        struct reading r = read_field(s, s->gpus[gpu].device, field);
        if (r.state != READING_UNSUPPORTED) {
            add_channel(s, gpu, field, primary);
            primary = primary < 0 && field <= POWER ? (int)s->n - 1 : primary;
        }
    }
}

/* Power of more than 1.5 x the enforced limit is a driver's mistake (593 W at idle was seen). */
static void set_pmax(struct source *s, struct gpu *g)
{
    unsigned mw = 0;
    g->pmax_uw = PMAX_DEFAULT;
    if (s->nvml.limit && s->nvml.limit(g->device, &mw) == NVML_OK && mw > 0 && mw < UINT32_MAX) {
        g->pmax_uw = INT64_C(1500) * mw;
    }
}

static void find_runtime(struct source *s, struct gpu *g, const char *sys)
{
    struct nvml_pci pci;
    memset(&pci, 0, sizeof(pci));
    if (s->nvml.pci && s->nvml.pci(g->device, &pci) == NVML_OK) {
        g->runtime_dir = base_printf("%s/bus/pci/devices/%04x:%02x:%02x.0/power", sys, pci.domain,
                                     pci.bus, pci.device);
    }
}

static void add_gpu(struct source *s, unsigned index, const char *sys)
{
    struct gpu *g = &s->gpus[s->ngpus];
    if (s->nvml.by_index(index, &g->device) != NVML_OK ||
        s->nvml.uuid(g->device, g->uuid, sizeof(g->uuid)) != NVML_OK) {
        return;
    }
    g->uuid[sizeof(g->uuid) - 1] = '\0';
    if (!s->nvml.name || s->nvml.name(g->device, g->name, sizeof(g->name)) != NVML_OK) {
        g->name[0] = '\0';
    }
    g->name[sizeof(g->name) - 1] = '\0';
    set_pmax(s, g);
    find_runtime(s, g, sys);
    s->ngpus++;
    add_fields(s, s->ngpus - 1);
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static bool load(struct source *s, const char *path)
{
    s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!s->library) {
        return false;
    }
    /* ISO C has no cast from data to function pointer; POSIX promises the representation is the same. */
#define X(field, name, params)                                                                     \
    {                                                                                              \
        void *symbol = dlsym(s->library, name);                                                    \
        memcpy(&s->nvml.field, &symbol, sizeof(symbol));                                           \
    }
    NVML_CALLS(X)
#undef X
    return s->nvml.init && s->nvml.shutdown && s->nvml.count && s->nvml.by_index && s->nvml.uuid;
}

static void close_nvml(struct source *s)
{
    for (size_t i = 0; i < s->ngpus; i++) {
        free(s->gpus[i].runtime_dir);
    }
    if (s->pid != 0 && s->pid == getpid()) {
        (void)s->nvml.shutdown();
    }
    if (s->library) {
        dlclose(s->library);
    }
    free(s);
}

static int open_nvml(struct source **out, const struct meter_config *cfg, struct err *e)
{
    struct source *s = base_alloc(sizeof(*s));
    if (!load(s, cfg->nvml_path ? cfg->nvml_path : DEFAULT_LIB)) {
        close_nvml(s);
        if (cfg->nvml_path) {
            (void)err_set(e, WATTQ_E_UNAVAILABLE, "cannot load NVML from %s", cfg->nvml_path);
            return err_next(e, "leave nvml_path empty to use the driver's own library");
        }
        return 1;
    }
    unsigned count = 0;
    if (s->nvml.init() == NVML_OK) {
        s->pid = getpid();
        (void)s->nvml.count(&count);
    }
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    for (unsigned i = 0; i < count && i < GPUS_MAX; i++) {
        add_gpu(s, i, sys);
    }
    if (s->n == 0) {
        close_nvml(s);
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

const struct source_ops source_nvml = {
    .name = "nvml",
    .may_block = true,
    .open = open_nvml,
    .channels = channels,
    .read = read_all,
    .close = close_nvml,
};
