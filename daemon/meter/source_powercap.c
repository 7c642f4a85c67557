/* RAPL through the powercap class: one counter per zone, energy_uj, in uJ.
 * source: Documentation/power/powercap/powercap.rst; drivers/powercap/intel_rapl_common.c.
 *
 * A zone is what its `name` says, never what its number suggests: intel-rapl:1 may be a second socket or
 * psys. DRAM hangs below the package in sysfs but is not part of it (facts on meters, lesson 12).
 * energy_uj is 0400 since CVE-2020-8694; an unreadable zone is listed with its remedy. */
#include "daemon/meter/attr.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define ZONES_MAX 256
#define DEPTH_MAX 4
#define UPDATE_NS                                                                                  \
    NS_PER_MS /* the register is refreshed about every 1 ms. source: Intel SDM vol. 3B 15.10 */
#define REMEDY     "wattq meters allow"
#define WATT       INT64_C(1000000)
#define PMAX_LIMIT (5000 * WATT) /* some boards state 4 kW of turbo: "unlimited" */

struct zone {
    char *dir;      /* owned */
    char id[48];    /* "intel-rapl:0:1" */
    char name[48];  /* content of `name`: "dram" */
    char path[128]; /* names from the top: "package-0/dram" */
    int up;         /* enclosing zone in sysfs, -1 = top level */
    struct attr energy;
};

struct source {
    struct zone *zones;
    struct channel_desc *descs;
    size_t n;
};

/* ---- finding zones ----------------------------------------------------------------------------- */

static bool known(const struct source *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->zones[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

static void add_zone(struct source *s, const struct meter_config *cfg, const char *dir,
                     const char *id)
{
    struct zone z = {.up = -1};
    if (s->n >= ZONES_MAX || known(s, id) || !base_strcpy(z.id, sizeof(z.id), id) ||
        !attr_text(dir, "name", z.name, sizeof(z.name))) {
        return;
    }
    char *file CLEANUP(base_freep) = base_printf("%s/energy_uj", dir);
    z.dir = base_strdup(dir);
    attr_init_root(&z.energy, file, cfg);
    s->zones[s->n++] = z;
}

/* The class directory holds all zones side by side as links; in a plain copy of the tree they are nested.
 * Both are walked, a zone counts once. Only names with "rapl" are entered, so the links back to the
 * class and to devices are not. */
static void walk(struct source *s, const struct meter_config *cfg, const char *dir, int depth)
{
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *id = list[i]->d_name;
        if (strstr(id, "rapl")) {
            char *sub CLEANUP(base_freep) = base_printf("%s/%s", dir, id);
            if (strchr(id, ':')) {
                add_zone(s, cfg, sub, id);
            }
            if (depth < DEPTH_MAX) {
                walk(s, cfg, sub, depth + 1);
            }
        }
        free(list[i]);
    }
    free(list);
}

/* By control type, then by number: intel-rapl:10 after intel-rapl:2, intel-rapl-mmio after intel-rapl. */
static int by_id(const void *va, const void *vb)
{
    const struct zone *a = va;
    const struct zone *b = vb;
    size_t la = strcspn(a->id, ":");
    size_t lb = strcspn(b->id, ":");
    int type = strncmp(a->id, b->id, la < lb ? la : lb);
    if (type != 0 || la != lb) {
        return type != 0 ? type : (la > lb) - (la < lb);
    }
    return strverscmp(a->id, b->id);
}

static int find_zone(const struct source *s, const char *id, size_t bytes)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strlen(s->zones[i].id) == bytes && memcmp(s->zones[i].id, id, bytes) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* intel-rapl:0:1 lies in intel-rapl:0. Parents sort before their children, so paths can be built up. */
static void nest(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct zone *z = &s->zones[i];
        const char *colon = strrchr(z->id, ':');
        z->up = colon ? find_zone(s, z->id, (size_t)(colon - z->id)) : -1;
        const char *outer = z->up >= 0 ? s->zones[z->up].path : "";
        (void)snprintf(z->path, sizeof(z->path), "%.64s%s%s", outer, *outer ? "/" : "", z->name);
    }
}

/* ---- what a zone is ---------------------------------------------------------------------------- */

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static enum channel_scope scope_of(const char *name)
{
    static const struct {
        const char *prefix;
        enum channel_scope scope;
    } scopes[] = {{"package", SCOPE_PACKAGE},
                  {"dram", SCOPE_DRAM},
                  {"core", SCOPE_CORE},
                  {"uncore", SCOPE_UNCORE},
                  {"psys", SCOPE_PSYS}};
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        if (starts(name, scopes[i].prefix)) {
            return scopes[i].scope;
        }
    }
    return SCOPE_OTHER;
}

static const char *covers_of(enum channel_scope scope)
{
    switch (scope) {
    case SCOPE_PSYS:
        return "platform as its maker wired it; not a proven whole, GPU cards uncertain";
    case SCOPE_PACKAGE:
        return "CPU package: cores, caches, memory controller; not DRAM, GPU, board, PSU";
    case SCOPE_DRAM:
        return "DRAM of one package";
    case SCOPE_CORE:
        return "CPU cores, part of the package";
    case SCOPE_UNCORE:
        return "integrated graphics or uncore, part of the package";
    case SCOPE_NODE:
    case SCOPE_GPU:
    case SCOPE_MODULE:
    case SCOPE_CPU:
    case SCOPE_OTHER:
    default:
        return "a RAPL zone of unknown extent";
    }
}

/* "package-1", "package-1-die-0", "psys-1" -> 1; no number -> 0 */
static long socket_of(const char *name)
{
    const char *dash = strchr(name, '-');
    return dash ? strtol(dash + 1, NULL, 10) : 0;
}

/* The psys zone around a socket: its own where every socket has one, else the only one there is. */
static int psys_of(const struct source *s, const char *type, const char *package)
{
    int found = -1;
    int count = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct zone *z = &s->zones[i];
        if (s->descs[i].scope != SCOPE_PSYS || !starts(z->id, type)) {
            continue;
        }
        count++;
        if (found < 0 || socket_of(z->name) == socket_of(package)) {
            found = (int)i;
        }
    }
    if (count > 1 && socket_of(s->zones[found].name) != socket_of(package)) {
        return -1;
    }
    return found;
}

static int parent_of(const struct source *s, size_t i)
{
    const struct zone *z = &s->zones[i];
    enum channel_scope scope = s->descs[i].scope;
    int top = z->up >= 0 ? z->up : (int)i;
    if (scope == SCOPE_PSYS) {
        return -1;
    }
    if (scope == SCOPE_PACKAGE || scope == SCOPE_DRAM) {
        char type[sizeof(z->id)];
        (void)base_strcpy(type, sizeof(type), z->id);
        type[strcspn(type, ":") + 1] = '\0'; /* with its colon: "intel-rapl:" */
        return psys_of(s, type, s->zones[top].name);
    }
    return z->up;
}

/* The same package and domain under another control type: MSR and MMIO show one register. */
static int mirror_of(const struct source *s, size_t i)
{
    size_t type = strcspn(s->zones[i].id, ":");
    for (size_t j = 0; j < i; j++) {
        bool other = strcspn(s->zones[j].id, ":") != type ||
                     memcmp(s->zones[j].id, s->zones[i].id, type) != 0;
        if (other && strcmp(s->zones[j].path, s->zones[i].path) == 0) {
            return (int)j;
        }
    }
    return -1;
}

/* Twice the largest limit the zone states: a power limit is an average over seconds, the current peak is
 * not. Laptops state 15 W and turbo to 64 W for long, hence the floor. */
static int64_t pmax_of(const struct zone *z, enum channel_scope scope)
{
    static const char *const limits[] = {"constraint_0_max_power_uw", "constraint_1_max_power_uw",
                                         "constraint_0_power_limit_uw",
                                         "constraint_1_power_limit_uw"};
    int64_t stated = 0;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct reading r = attr_once(z->dir, limits[i]);
        if (r.state == READING_OK && r.value > stated) {
            stated = r.value;
        }
    }
    if (stated == 0 || stated > PMAX_LIMIT) {
        return scope == SCOPE_PSYS ? PMAX_LIMIT : scope == SCOPE_DRAM ? 300 * WATT : 1000 * WATT;
    }
    int64_t floor = scope == SCOPE_DRAM ? 100 * WATT : 250 * WATT;
    return 2 * stated > floor ? 2 * stated : floor;
}

/* The range file shows the largest value; the register then goes to 0. Its step follows from 32 bits:
 * 262143328850 uJ / (2^32 - 1) = 61.04 uJ. source: rapl_unit_xlate of ENERGY_STATUS_MASK. */
static void set_range(struct channel_desc *d, const char *dir)
{
    const int64_t top = INT64_C(0xffffffff);
    struct reading r = attr_once(dir, "max_energy_range_uj");
    d->quantum = 1;
    /* 2^32 - 1 steps of 1 J is both a sentinel of sensors and the true range of psys on some Xeons. */
    bool number = r.state == READING_OK || r.state == READING_IMPLAUSIBLE;
    if (!number || r.value <= 0 || r.value == INT64_MAX) {
        return; /* wrap 0: a step backwards is then a reset, never a guess */
    }
    d->wrap_uj = r.value + 1;
    if (r.value > top) {
        d->quantum = (r.value + top - 1) / top;
    }
}

/* The package a zone belongs to, "package-0" or "package-0-die-1", as source_perf.c names it too; a zone
 * that lies in none is a device of its own. */
static void identify(struct channel_desc *d, const struct source *s, size_t i)
{
    const struct zone *z = &s->zones[i];
    while (z->up >= 0) {
        z = &s->zones[z->up];
    }
    (void)base_strcpy(d->device, sizeof(d->device), z->name);
    char type[sizeof(z->id)];
    (void)base_strcpy(type, sizeof(type), z->id);
    type[strcspn(type, ":")] = '\0';
    attr_driver(d, type);
}

static void describe(struct source *s, size_t i)
{
    const struct zone *z = &s->zones[i];
    struct channel_desc *d = &s->descs[i];
    attr_uid(d, "powercap/%s/%s", z->id, z->path);
    const char *top = z->up >= 0 ? s->zones[z->up].name : NULL;
    if (d->scope == SCOPE_DRAM && top && starts(top, "package-")) {
        (void)snprintf(d->label, sizeof(d->label), "dram-%s", top + strlen("package-"));
    } else if (top) {
        (void)snprintf(d->label, sizeof(d->label), "%.23s/%.23s", top, z->name);
    } else {
        (void)base_strcpy(d->label, sizeof(d->label), z->name);
    }
    (void)base_strcpy(d->unit, sizeof(d->unit), "uJ");
    (void)base_strcpy(d->covers, sizeof(d->covers), covers_of(d->scope));
    identify(d, s, i);
    d->kind = CHANNEL_COUNTER;
    d->quality = QUALITY_MODELLED;
    d->period_ns = UPDATE_NS;
    d->period_declared = true;
    set_range(d, z->dir);
    d->pmax_uw = pmax_of(z, d->scope);
    d->parent = parent_of(s, i);
    d->mirror_of = mirror_of(s, i);
    if (attr_read(&s->zones[i].energy, 0).state == READING_NO_PERMISSION) {
        (void)base_strcpy(d->remedy, sizeof(d->remedy), REMEDY);
    }
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void close_powercap(struct source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        attr_fini(&s->zones[i].energy);
        free(s->zones[i].dir);
    }
    free(s->zones);
    free(s->descs);
    free(s);
}

static int open_powercap(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    s->zones = base_alloc(ZONES_MAX * sizeof(*s->zones));
    char *sys CLEANUP(base_freep) = attr_sysfs(cfg);
    char *dir CLEANUP(base_freep) = base_printf("%s/class/powercap", sys);
    walk(s, cfg, dir, 0);
    if (s->n == 0) {
        close_powercap(s);
        return 1;
    }
    qsort(s->zones, s->n, sizeof(*s->zones), by_id);
    nest(s);
    s->descs = base_alloc(s->n * sizeof(*s->descs));
    for (size_t i = 0; i < s->n; i++) {
        s->descs[i].scope = scope_of(s->zones[i].name);
    }
    for (size_t i = 0; i < s->n; i++) {
        describe(s, i);
    }
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->descs;
    return s->n;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < s->n; i++) {
        out[i] = attr_read(&s->zones[i].energy, boot_ns);
    }
}

const struct source_ops source_powercap = {
    .name = "powercap",
    .open = open_powercap,
    .channels = channels,
    .read = read_all,
    .close = close_powercap,
};
