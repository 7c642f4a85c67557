#include "daemon/queue/machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX     (1 << 20) /* /proc/cpuinfo of a large machine; the rest are single lines */
#define ENTRIES_MAX  4096
#define DISTINCT_MAX 256
#define CPUFREQ      "/sys/devices/system/cpu/cpufreq"
#define EDAC         "/sys/devices/system/edac/mc"

struct machine {
    char *root;
    json_t *fixed; /* what does not change while the system is up; NULL until it was read */
};

struct machine *machine_open(const char *root)
{
    struct machine *m = base_alloc(sizeof(*m));
    m->root = base_strdup(root ? root : "");
    return m;
}

void machine_close(struct machine *m)
{
    if (!m)
        return;
    json_decref(m->fixed);
    free(m->root);
    free(m);
}

/* ---- files --------------------------------------------------------------------------------------- */

/* A whole file without the white space at its end, or NULL; an empty one is NULL too. */
static char *slurp(const struct machine *m, const char *path)
{
    char *full CLEANUP(base_freep) = base_printf("%s%s", m->root, path);
    size_t bytes = 0;
    char *text = base_read_file(AT_FDCWD, full, FILE_MAX, &bytes);
    while (text && bytes > 0 && strchr(" \n\t", text[bytes - 1]))
        text[--bytes] = '\0';
    if (text && bytes == 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* Text that is not UTF-8 is left out. */
static void put_text(json_t *o, const char *key, const char *value)
{
    json_t *j = value && *value ? json_string(value) : NULL;
    if (j)
        json_object_set_new(o, key, j);
}

static void put_file(json_t *o, const struct machine *m, const char *key, const char *path)
{
    char *text CLEANUP(base_freep) = slurp(m, path);
    put_text(o, key, text);
}

/* "always [madvise] never": the word in brackets. */
static void put_chosen(json_t *o, const struct machine *m, const char *key, const char *path)
{
    char *text CLEANUP(base_freep) = slurp(m, path);
    char *from = text ? strchr(text, '[') : NULL;
    char *to = from ? strchr(from, ']') : NULL;
    if (!to)
        return;
    *to = '\0';
    put_text(o, key, from + 1);
}

/* The value of "name : value" at the start of a line of /proc text; NULL. In new memory. */
static char *field(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *p = line + n;
        if (strncmp(line, name, n) != 0)
            continue;
        p += strspn(p, " \t");
        if (*p++ != ':')
            continue;
        p += strspn(p, " \t");
        return base_strdup_n(p, strcspn(p, "\n"));
    }
    return NULL;
}

static void put_field(json_t *o, const char *key, const char *text, const char *name)
{
    char *value CLEANUP(base_freep) = text ? field(text, name) : NULL;
    put_text(o, key, value);
}

static void closedirp(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* The directory's entries that start with prefix and go on with a digit (or anything, with any). */
static size_t each(const struct machine *m, const char *dir, const char *prefix, bool any,
                   void (*fn)(void *arg, const char *path), void *arg)
{
    char *full CLEANUP(base_freep) = base_printf("%s%s", m->root, dir);
    DIR *d CLEANUP(closedirp) = base_open_dir(full);
    size_t n = strlen(prefix);
    size_t found = 0;
    const struct dirent *ent;
    while (d && found < ENTRIES_MAX && (ent = readdir(d)) != NULL) {
        char next = strncmp(ent->d_name, prefix, n) == 0 ? ent->d_name[n] : '\0';
        if (ent->d_name[0] == '.' || (any ? next == '\0' : next < '0' || next > '9'))
            continue;
        char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, ent->d_name);
        found++;
        if (fn)
            fn(arg, path);
    }
    return found;
}

/* ---- distinct values ----------------------------------------------------------------------------- */

/* Sorted by readdir's whim otherwise, and then equal states would not be equal texts. */
struct distinct {
    const struct machine *m;
    const char *name; /* file in each directory */
    char *value[DISTINCT_MAX];
    size_t n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes value. */
static void distinct_add(struct distinct *d, char *value)
{
    for (size_t i = 0; value && i < d->n; i++)
        if (strcmp(d->value[i], value) == 0) {
            free(value);
            return;
        }
    if (value && d->n < DISTINCT_MAX)
        d->value[d->n++] = value;
    else
        free(value);
}

static void add_file(void *arg, const char *path)
{
    struct distinct *d = arg;
    char *file CLEANUP(base_freep) = base_printf("%s/%s", path, d->name);
    distinct_add(d, slurp(d->m, file));
}

static void put_distinct(json_t *o, const char *key, struct distinct *d)
{
    char *all CLEANUP(base_freep) = base_strdup("");
    qsort(d->value, d->n, sizeof(d->value[0]), by_text);
    for (size_t i = 0; i < d->n; i++) {
        char *longer = base_printf("%s%s%s", all, i ? "," : "", d->value[i]);
        free(all);
        all = longer;
        free(d->value[i]);
    }
    put_text(o, key, all);
}

static void put_policies(json_t *o, const struct machine *m, const char *key, const char *name)
{
    struct distinct d = {.m = m, .name = name};
    each(m, CPUFREQ, "policy", false, add_file, &d);
    put_distinct(o, key, &d);
}

/* ---- what does not change ------------------------------------------------------------------------ */

static void put_cpu(json_t *o, const struct machine *m)
{
    char *info CLEANUP(base_freep) = slurp(m, "/proc/cpuinfo");
    char *flags CLEANUP(base_freep) = info ? field(info, "flags") : NULL;
    put_field(o, "cpu", info, "model name");
    put_field(o, "vendor", info, "vendor_id");
    put_field(o, "family", info, "cpu family");
    put_field(o, "model", info, "model");
    put_field(o, "stepping", info, "stepping");
    put_field(o, "microcode", info, "microcode"); /* where sysfs has none */
    if (flags) {
        char *words CLEANUP(base_freep) = base_printf(" %s ", flags);
        json_object_set_new(o, "hypervisor", json_boolean(strstr(words, " hypervisor ") != NULL));
    }
}

static void put_memory(json_t *o, const struct machine *m)
{
    char *info CLEANUP(base_freep) = slurp(m, "/proc/meminfo");
    char *total CLEANUP(base_freep) = info ? field(info, "MemTotal") : NULL;
    long long kib = total ? strtoll(total, NULL, 10) : 0;
    if (kib > 0 && kib < INT64_MAX / 1024)
        json_object_set_new(o, "memory_bytes", json_integer(kib * 1024));
    size_t nodes = each(m, "/sys/devices/system/node", "node", false, NULL, NULL);
    if (nodes > 0)
        json_object_set_new(o, "numa_nodes", json_integer((json_int_t)nodes));
}

struct dimms {
    const struct machine *m;
    struct distinct kinds;
    long long count;
};

/* source: driver-api/edac.rst: size in MiB, dimm_mem_type such as "Unbuffered-DDR4". */
static void add_dimm(void *arg, const char *path)
{
    struct dimms *d = arg;
    char *size_file CLEANUP(base_freep) = base_printf("%s/size", path);
    char *type_file CLEANUP(base_freep) = base_printf("%s/dimm_mem_type", path);
    char *size CLEANUP(base_freep) = slurp(d->m, size_file);
    char *type CLEANUP(base_freep) = slurp(d->m, type_file);
    long long mib = size ? strtoll(size, NULL, 10) : 0;
    if (mib <= 0)
        return;
    d->count++;
    distinct_add(&d->kinds, base_printf("%g GiB %s", (double)mib / 1024, type ? type : "?"));
}

static void add_controller(void *arg, const char *path)
{
    struct dimms *d = arg;
    each(d->m, path, "dimm", false, add_dimm, d);
}

static void put_dimms(json_t *o, const struct machine *m)
{
    struct dimms d = {.m = m};
    each(m, EDAC, "mc", false, add_controller, &d);
    if (d.count == 0)
        return;
    json_t *kinds = json_object();
    put_distinct(kinds, "kinds", &d.kinds);
    char *text CLEANUP(base_freep) =
        base_printf("%lld x %s", d.count, json_string_value(json_object_get(kinds, "kinds")));
    put_text(o, "dimms", text);
    json_decref(kinds);
}

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue ...": the first word with a digit and a dot
 * that begins with a digit. */
static char *driver_version(const char *text)
{
    for (const char *p = text; p && *p; p += strcspn(p, " \n") + 1) {
        size_t n = strcspn(p, " \n");
        if (*p >= '0' && *p <= '9' && memchr(p, '.', n))
            return base_strdup_n(p, n);
        if (p[n] == '\0')
            break;
    }
    return NULL;
}

static void add_gpu(void *arg, const char *path)
{
    struct distinct *d = arg;
    char *file CLEANUP(base_freep) = base_printf("%s/information", path);
    char *text CLEANUP(base_freep) = slurp(d->m, file);
    char *model CLEANUP(base_freep) = text ? field(text, "Model") : NULL;
    char *bios CLEANUP(base_freep) = text ? field(text, "Video BIOS") : NULL;
    if (model)
        distinct_add(d, base_printf("%s (BIOS %s)", model, bios ? bios : "not told"));
}

static void put_gpus(json_t *o, const struct machine *m)
{
    char *version CLEANUP(base_freep) = slurp(m, "/proc/driver/nvidia/version");
    char *driver CLEANUP(base_freep) = driver_version(version);
    struct distinct d = {.m = m};
    put_text(o, "nvidia_driver", driver);
    each(m, "/proc/driver/nvidia/gpus", "", true, add_gpu, &d);
    put_distinct(o, "gpus", &d);
}

static json_t *read_fixed(const struct machine *m)
{
    json_t *o = json_object();
    put_cpu(o, m);
    put_memory(o, m);
    put_dimms(o, m);
    put_gpus(o, m);
    put_file(o, m, "kernel", "/proc/sys/kernel/osrelease");
    return o;
}

/* ---- what may change under a run ----------------------------------------------------------------- */

/* Two drivers say it the other way round from each other. */
static void put_boost(json_t *o, const struct machine *m)
{
    char *boost CLEANUP(base_freep) = slurp(m, CPUFREQ "/boost");
    char *no_turbo CLEANUP(base_freep) = slurp(m, "/sys/devices/system/cpu/intel_pstate/no_turbo");
    if (boost)
        put_text(o, "boost", boost[0] == '0' ? "off" : "on");
    else if (no_turbo)
        put_text(o, "boost", no_turbo[0] == '0' ? "on" : "off");
}

static void put_resctrl(json_t *o, const struct machine *m)
{
    char *schemata CLEANUP(base_freep) = slurp(m, "/sys/fs/resctrl/schemata");
    char *systems CLEANUP(base_freep) = slurp(m, "/proc/filesystems");
    if (schemata)
        put_text(o, "resctrl", "mounted");
    else if (systems && strstr(systems, "\tresctrl"))
        put_text(o, "resctrl", "available");
    char *spare = schemata ? strstr(schemata, "L3:") : NULL;
    char *l3 CLEANUP(base_freep) = spare ? base_strdup_n(spare, strcspn(spare, "\n")) : NULL;
    put_text(o, "resctrl_l3", l3);
}

static void put_changing(json_t *o, const struct machine *m)
{
    char *status CLEANUP(base_freep) = slurp(m, "/proc/self/status");
    put_policies(o, m, "governor", "scaling_governor");
    put_policies(o, m, "epp", "energy_performance_preference");
    put_policies(o, m, "scaling_driver", "scaling_driver");
    put_policies(o, m, "max_khz", "scaling_max_freq");
    put_boost(o, m);
    put_file(o, m, "microcode", "/sys/devices/system/cpu/cpu0/microcode/version");
    put_file(o, m, "smt", "/sys/devices/system/cpu/smt/control");
    put_chosen(o, m, "thp", "/sys/kernel/mm/transparent_hugepage/enabled");
    put_file(o, m, "numa_balancing", "/proc/sys/kernel/numa_balancing");
    put_file(o, m, "cpus_online", "/sys/devices/system/cpu/online");
    put_field(o, "affinity", status, "Cpus_allowed_list");
    put_resctrl(o, m);
}

char *machine_facts(struct machine *m)
{
    if (!m->fixed)
        m->fixed = read_fixed(m);
    json_t *o = json_copy(m->fixed);
    put_changing(o, m);
    char *text = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(o);
    return text ? text : base_strdup("{}");
}
