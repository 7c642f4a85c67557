#include "daemon/model/caches.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cpulist.h"

#define CPUS_MAX    CPULIST_MAX
#define INDICES_MAX 16
#define FILE_MAX    65536 /* a sysfs file is a page; a list of 4096 CPUs fits well */
#define BYTES_MAX   (INT64_C(1) << 50)
#define CPU_DIR     "/sys/devices/system/cpu"

const struct caches caches_study_cpu = {
    .n = 4,
    .level = {{"L1", 1, INT64_C(32) << 10, INT64_C(32) << 10, 36, 2},
              {"L2", 2, INT64_C(1) << 20, INT64_C(1) << 20, 36, 2},
              {"L3", 3, (INT64_C(99) << 20) / 4, (INT64_C(99) << 20) / 4, 2, 36},
              {"RAM", 4, INT64_C(96) << 30, INT64_C(96) << 30, 1, 72}},
    .cpus = 72,
    .cores = 36,
};

const struct caches caches_study_gpu = {
    .n = 3,
    .level = {{"L1", 1, INT64_C(112) << 10, INT64_C(112) << 10, 168, 1},
              {"L2", 2, INT64_C(6) << 20, INT64_C(6) << 20, 2, 84},
              {"HBM", 3, INT64_C(16) << 30, INT64_C(16) << 30, 2, 84}},
    .cpus = 168,
    .cores = 168,
};

/* "48K", "260M": bytes; -1 for anything else. */
static int64_t parse_size(const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == text || errno != 0 || v <= 0 || v > BYTES_MAX >> shift)
        return -1;
    return (int64_t)v << shift;
}

static char *read_attr(const char *root, int cpu, int index, const char *name)
{
    char *path CLEANUP(base_freep) =
        base_printf("%s" CPU_DIR "/cpu%d/cache/index%d/%s", root, cpu, index, name);
    size_t bytes;
    return base_read_file(AT_FDCWD, path, FILE_MAX, &bytes);
}

/* One cache as one CPU sees it. */
struct seen {
    int level;
    int64_t bytes;
    struct cpulist shared;
};

enum { SEEN_OK, SEEN_OTHER, SEEN_END };

/* SEEN_OTHER: an instruction cache, or a description that misses something we need. */
static int read_cache(struct seen *out, const char *root, int cpu, int index)
{
    char *type CLEANUP(base_freep) = read_attr(root, cpu, index, "type");
    if (type == NULL)
        return SEEN_END;
    if (strncmp(type, "Data", 4) != 0 && strncmp(type, "Unified", 7) != 0)
        return SEEN_OTHER;
    char *level CLEANUP(base_freep) = read_attr(root, cpu, index, "level");
    char *size CLEANUP(base_freep) = read_attr(root, cpu, index, "size");
    char *shared CLEANUP(base_freep) = read_attr(root, cpu, index, "shared_cpu_list");
    if (level == NULL || size == NULL || shared == NULL || level[0] < '1' || level[0] > '9')
        return SEEN_OTHER;
    out->level = level[0] - '0';
    out->bytes = parse_size(size);
    return out->bytes > 0 && cpulist_parse(&out->shared, shared) ? SEEN_OK : SEEN_OTHER;
}

/* The level's entry, kept in order of level; NULL when the table is full (RAM needs the last place). */
static struct caches_level *entry(struct caches *c, int level)
{
    size_t at = 0;
    while (at < c->n && c->level[at].level < level)
        at++;
    if (at < c->n && c->level[at].level == level)
        return &c->level[at];
    if (c->n + 1 >= CACHES_LEVELS_MAX)
        return NULL;
    memmove(&c->level[at + 1], &c->level[at], (c->n - at) * sizeof(c->level[0]));
    c->n++;
    c->level[at] = (struct caches_level){.level = level};
    snprintf(c->level[at].name, sizeof(c->level[at].name), "L%d", level);
    return &c->level[at];
}

/* A cache is counted once, by the lowest of the chosen CPUs that share it. */
static bool counts_for(const struct seen *s, const struct cpulist *chosen, int cpu)
{
    for (int c = 0; c < cpu; c++)
        if (cpulist_has(&s->shared, c) && cpulist_has(chosen, c))
            return false;
    return true;
}

static void add_unit(struct caches *out, const struct seen *s)
{
    struct caches_level *l = entry(out, s->level);
    if (l == NULL)
        return;
    int sharers = cpulist_count(&s->shared);
    if (l->units == 0 || s->bytes < l->bytes)
        l->bytes = s->bytes;
    if (s->bytes > l->bytes_max)
        l->bytes_max = s->bytes;
    if (sharers > l->cpus_per_unit)
        l->cpus_per_unit = sharers;
    l->units++;
}

static void add_cpu(struct caches *out, const char *root, const struct cpulist *chosen, int cpu)
{
    for (int index = 0; index < INDICES_MAX; index++) {
        struct seen s;
        int rc = read_cache(&s, root, cpu, index);
        if (rc == SEEN_END)
            return;
        if (rc == SEEN_OK && counts_for(&s, chosen, cpu))
            add_unit(out, &s);
    }
}

static void closedirp(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

/* The CPUs that have a cache directory: an offline one has none. */
static void find_cpus(struct cpulist *out, const char *root)
{
    memset(out, 0, sizeof(*out));
    char *path CLEANUP(base_freep) = base_printf("%s" CPU_DIR, root);
    DIR *d CLEANUP(closedirp) = opendir(path);
    const struct dirent *ent;
    while (d != NULL && (ent = readdir(d)) != NULL) {
        char *end;
        if (strncmp(ent->d_name, "cpu", 3) != 0 || ent->d_name[3] < '0' || ent->d_name[3] > '9')
            continue;
        unsigned long cpu = strtoul(ent->d_name + 3, &end, 10);
        char *dir CLEANUP(base_freep) = base_printf("%s/%s/cache", path, ent->d_name);
        if (*end == '\0' && cpu < CPUS_MAX && access(dir, F_OK) == 0)
            out->word[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
}

/* RAM as one more level. Returns false when /proc/meminfo does not say. */
static bool add_ram(struct caches *out, const char *root)
{
    char *path CLEANUP(base_freep) = base_printf("%s/proc/meminfo", root);
    size_t bytes;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, FILE_MAX, &bytes);
    const char *line = text == NULL ? NULL : strstr(text, "MemTotal:");
    if (line == NULL)
        return false;
    long long kib = strtoll(line + strlen("MemTotal:"), NULL, 10);
    if (kib <= 0 || kib > BYTES_MAX >> 10)
        return false;
    int level = out->n == 0 ? 1 : out->level[out->n - 1].level + 1;
    out->level[out->n++] = (struct caches_level){"RAM", level, kib << 10, kib << 10, 1, out->cpus};
    return true;
}

int caches_detect(struct caches *out, const char *root, const char *cpulist, struct err *e)
{
    *out = (struct caches){0};
    root = root == NULL ? "" : root;
    struct cpulist chosen;
    find_cpus(&chosen, root);
    if (cpulist != NULL && cpulist[0] != '\0') {
        struct cpulist wanted;
        if (!cpulist_parse(&wanted, cpulist))
            return err_set(e, WATTQ_E_INVALID, "\"%.60s\" is not a list of CPUs", cpulist);
        for (size_t i = 0; i < CPULIST_WORDS; i++)
            chosen.word[i] &= wanted.word[i];
    }
    out->cpus = cpulist_count(&chosen);
    for (int cpu = 0; cpu < CPUS_MAX; cpu++)
        if (cpulist_has(&chosen, cpu))
            add_cpu(out, root, &chosen, cpu);
    out->cores = out->n == 0 ? 0 : out->level[0].units;
    bool ram = add_ram(out, root);
    if (out->n == 0)
        return err_set(e, WATTQ_E_UNAVAILABLE,
                       "this system describes neither its caches nor its memory "
                       "(%s" CPU_DIR "/cpu*/cache and %s/proc/meminfo)",
                       root, root);
    return ram && out->n == 1 ? 1 : 0;
}

void caches_use(struct caches *out, const struct caches *machine, int threads)
{
    *out = *machine;
    threads = threads < 1 ? 1 : threads;
    for (size_t i = 0; i < out->n; i++)
        if (out->level[i].units > threads)
            out->level[i].units = threads;
    if (out->cores > threads)
        out->cores = threads;
}

static void add_gpu_level(struct caches *out, const char *name, int64_t bytes, int units, int sms)
{
    if (bytes <= 0)
        return;
    struct caches_level *l = &out->level[out->n++];
    *l = (struct caches_level){.level = (int)out->n, .bytes = bytes, .bytes_max = bytes};
    base_strcpy(l->name, sizeof(l->name), name);
    l->units = units;
    l->cpus_per_unit = sms;
}

int caches_of_gpu(struct caches *out, const struct caches_gpu *g)
{
    int devices = g->devices < 1 ? 1 : g->devices;
    *out = (struct caches){0};
    if (g->sms > 0) {
        out->cpus = out->cores = g->sms * devices;
        add_gpu_level(out, "L1", g->l1_bytes, out->cores, 1);
    }
    add_gpu_level(out, "L2", g->l2_bytes, devices, g->sms);
    add_gpu_level(out, "HBM", g->memory_bytes, devices, g->sms);
    return out->n == 0 ? 1 : 0;
}

const char *caches_show(char *buf, size_t cap, const struct caches *c)
{
    size_t at = 0;
    if (cap > 0)
        buf[0] = '\0';
    for (size_t i = 0; i < c->n && at < cap; i++) {
        const struct caches_level *l = &c->level[i];
        static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
        double v = (double)l->bytes / 1024;
        size_t u = 0;
        for (; v >= 1024 && u + 1 < ARRAY_LEN(units); u++)
            v /= 1024;
        int n =
            snprintf(buf + at, cap - at, "%s%s %.4g %s", i == 0 ? "" : ", ", l->name, v, units[u]);
        at += n < 0 ? 0 : (size_t)n;
        if (l->units > 1 && at < cap)
            at += (size_t)snprintf(buf + at, cap - at, " x %d", l->units);
    }
    return buf;
}
