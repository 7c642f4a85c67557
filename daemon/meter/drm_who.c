#include "daemon/meter/drm_who.h"

#include "common/units.h"
#include "daemon/meter/attr.h"
#include "daemon/meter/proc_stat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDINFO_BYTES 8192
#define NODES_MAX    128 /* of kfd: processors and GPUs of one machine */
#define PPM          INT64_C(1000000)

/* ---- open files of the card --------------------------------------------------------------------- */

static struct drm_client *find(struct drm_client *list, size_t n, int64_t client)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].info.client == client) {
            return &list[i];
        }
    }
    return NULL;
}

/* A file without a number of its own would be counted once for each descriptor of it: it is left out. */
static void take_file(struct drm_who *w, int64_t pid, const char *fd)
{
    char text[FDINFO_BYTES];
    char name[300];
    struct drm_fdinfo info;
    (void)snprintf(name, sizeof(name), "fdinfo/%s", fd);
    if (proc_stat_slurp(w->root, pid, name, text, sizeof(text)) <= 0 ||
        !drm_fdinfo_parse(text, &info) || info.client < 0 || strcmp(info.pdev, w->pdev) != 0 ||
        w->nnow == DRM_CLIENTS_MAX || find(w->now, w->nnow, info.client)) {
        return;
    }
    w->now[w->nnow++] = (struct drm_client){.pid = pid, .info = info};
}

static bool is_card(int dir, const char *fd)
{
    char target[32];
    ssize_t n = readlinkat(dir, fd, target, sizeof(target));
    return n > 9 && strncmp(target, "/dev/dri/", 9) == 0;
}

/* Kernel threads and the dead have no open files, but refuse to show that too. */
static bool may_hide(const struct drm_who *w, int64_t pid)
{
    struct proc_stat s;
    return proc_stat_read(w->root, pid, &s) && !s.kernel && s.state != 'Z' && s.state != 'X';
}

static void look_into(struct drm_who *w, int64_t pid, struct gpu_use *u)
{
    char *path CLEANUP(base_freep) =
        base_printf("%s/proc/%lld/fd", w->root ? w->root : "", (long long)pid);
    DIR *dir = opendir(path);
    if (!dir) {
        bool denied = errno == EACCES || errno == EPERM;
        u->hidden += denied && may_hide(w, pid);
        return;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (isdigit((unsigned char)d->d_name[0]) && is_card(dirfd(dir), d->d_name)) {
            take_file(w, pid, d->d_name);
        }
    }
    closedir(dir);
}

static bool scan(struct drm_who *w, struct gpu_use *u)
{
    char *path CLEANUP(base_freep) = base_printf("%s/proc", w->root ? w->root : "");
    char *first CLEANUP(base_freep) = base_printf("%s/1", path);
    DIR *dir = opendir(path);
    if (!dir) {
        return false;
    }
    w->nnow = 0;
    u->hidden = !w->root && access(first, F_OK) != 0; /* a /proc that shows only one's own */
    for (struct dirent *d; (d = readdir(dir));) {
        int64_t pid = 0;
        if (attr_parse(d->d_name, strlen(d->d_name), &pid) && pid > 0) {
            look_into(w, pid, u);
        }
    }
    closedir(dir);
    return true;
}

/* ---- what each did ------------------------------------------------------------------------------ */

static bool has_engine(const struct drm_fdinfo *f, bool graphics)
{
    static const char *const drawing[] = {"gfx", "render", "rcs"};
    static const char *const computing[] = {"compute", "ccs"};
    for (size_t i = 0; i < f->n; i++) {
        const struct drm_engine *e = &f->engines[i];
        for (size_t k = 0; e->busy > 0 && k < (graphics ? 3 : 2); k++) {
            if (strcmp(e->name, graphics ? drawing[k] : computing[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Cycles have a beginning only when they have been seen before; ns begin with the file. */
static bool comparable(const struct drm_client *before, const struct drm_fdinfo *now)
{
    bool cycles = false;
    for (size_t i = 0; i < now->n; i++) {
        cycles = cycles || now->engines[i].total > 0;
    }
    return before || !cycles;
}

static void add_client(struct drm_who *w, const struct drm_client *c, int64_t span_ns,
                       struct gpu_use *u)
{
    static const struct drm_fdinfo nothing = {0};
    struct gpu_proc *p = gpu_procs_row(u, w->root, c->pid);
    if (!p) {
        return;
    }
    p->graphics = p->graphics || has_engine(&c->info, true);
    p->compute = p->compute || has_engine(&c->info, false);
    if (c->info.memory_bytes >= 0) {
        int64_t sum = p->memory_bytes > 0 ? p->memory_bytes : 0;
        p->memory_bytes = __builtin_add_overflow(sum, c->info.memory_bytes, &sum) ? -1 : sum;
    }
    const struct drm_client *before = find(w->before, w->nbefore, c->info.client);
    if (span_ns <= 0 || !comparable(before, &c->info)) {
        return;
    }
    int64_t ppm = drm_fdinfo_busy_ppm(before ? &before->info : &nothing, &c->info, span_ns);
    ppm += p->busy_ppm > 0 ? p->busy_ppm : 0;
    p->busy_ppm = ppm < PPM ? ppm : PPM;
}

/* A count that fell back is kept at its largest until it has caught up. */
static void keep_largest(const struct drm_fdinfo *before, struct drm_fdinfo *now)
{
    for (size_t i = 0; i < now->n; i++) {
        for (size_t k = 0; k < before->n; k++) {
            const struct drm_engine *was = &before->engines[k];
            struct drm_engine *is = &now->engines[i];
            if (strcmp(was->name, is->name) == 0 && is->busy < was->busy) {
                is->busy = was->busy;
            }
        }
    }
}

static void remember(struct drm_who *w, int64_t stamp_ns)
{
    for (size_t i = 0; i < w->nnow; i++) {
        const struct drm_client *old = find(w->before, w->nbefore, w->now[i].info.client);
        if (old) {
            keep_largest(&old->info, &w->now[i].info);
        }
    }
    struct drm_client *spare = w->before;
    w->before = w->now;
    w->nbefore = w->nnow;
    w->now = spare;
    w->before_ns = stamp_ns;
}

/* ---- AMD's compute queues ------------------------------------------------------------------------ */

static char *kfd_path(const struct drm_who *w, const char *below)
{
    const struct meter_config cfg = {.sysfs_root = w->root};
    char *sys CLEANUP(base_freep) = attr_sysfs(&cfg);
    return base_printf("%s/class/kfd/kfd/%s", sys, below);
}

static int64_t property(const char *text, const char *key)
{
    int64_t v = -1;
    size_t n = strlen(key);
    for (const char *at = text; (at = strstr(at, key)); at += n) {
        const char *number = at + n + 1;
        if ((at == text || at[-1] == '\n') && at[n] == ' ' &&
            attr_parse(number, strcspn(number, "\n"), &v)) {
            return v;
        }
    }
    return -1;
}

/* location_id is bus and function as PCI has them. source: kfd_topology.c */
static int64_t kfd_gpu(const struct drm_who *w)
{
    unsigned domain, bus, device, function;
    char text[FDINFO_BYTES];
    if (sscanf(w->pdev, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4) {
        return 0;
    }
    for (int node = 0; node < NODES_MAX; node++) {
        char below[48];
        (void)snprintf(below, sizeof(below), "topology/nodes/%d", node);
        char *dir CLEANUP(base_freep) = kfd_path(w, below);
        if (!attr_text(dir, "gpu_id", text, sizeof(text))) {
            break;
        }
        struct reading id = attr_once(dir, "gpu_id");
        if (id.state == READING_OK && id.value > 0 &&
            attr_whole(dir, "properties", text, sizeof(text)) &&
            property(text, "location_id") == (int64_t)(bus << 8 | device << 3 | function) &&
            (property(text, "domain") < 0 || property(text, "domain") == (int64_t)domain)) {
            return id.value;
        }
    }
    return 0;
}

/* A process that has memory on it computes there, in queues that fdinfo does not count: how much of the
 * time is not told by anybody. */
static void add_kfd(const struct drm_who *w, struct gpu_use *u)
{
    char *path CLEANUP(base_freep) = kfd_path(w, "proc");
    DIR *dir = w->kfd_id > 0 ? opendir(path) : NULL;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char file[300];
        int64_t pid = 0;
        if (!attr_parse(d->d_name, strlen(d->d_name), &pid) || pid <= 0) {
            continue;
        }
        (void)snprintf(file, sizeof(file), "%s/vram_%lld", d->d_name, (long long)w->kfd_id);
        struct reading r = attr_once(path, file);
        struct gpu_proc *p =
            r.state == READING_OK && r.value > 0 ? gpu_procs_row(u, w->root, pid) : NULL;
        if (p) {
            p->compute = true;
            p->busy_ppm = -1;
            p->memory_bytes = r.value > p->memory_bytes ? r.value : p->memory_bytes;
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* ---- drm_who.h ----------------------------------------------------------------------------------- */

void drm_who_init(struct drm_who *w, struct gpu_procs *procs, const char *root, const char *device,
                  const char *label, const char *pdev)
{
    *w = (struct drm_who){.index = procs ? gpu_procs_add(procs, device, label) : -1};
    (void)base_strcpy(w->pdev, sizeof(w->pdev), pdev);
    if (w->index < 0) {
        return;
    }
    w->procs = gpu_procs_ref(procs);
    w->root = root && root[0] ? base_strdup(root) : NULL;
    w->before = base_alloc(DRM_CLIENTS_MAX * sizeof(*w->before));
    w->now = base_alloc(DRM_CLIENTS_MAX * sizeof(*w->now));
    w->kfd_id = kfd_gpu(w);
}

void drm_who_fini(struct drm_who *w)
{
    gpu_procs_unref(w->procs);
    free(w->root);
    free(w->before);
    free(w->now);
}

void drm_who_look(struct drm_who *w, int64_t busy_ppm)
{
    if (!w->procs) {
        return;
    }
    struct gpu_use *u = base_alloc(sizeof(*u));
    u->busy_ppm = busy_ppm;
    u->stamp_ns = clock_boot_ns();
    u->state = scan(w, u) ? READING_OK : READING_IO;
    int64_t span_ns = w->before_ns > 0 ? u->stamp_ns - w->before_ns : 0;
    for (size_t i = 0; u->state == READING_OK && i < w->nnow; i++) {
        add_client(w, &w->now[i], span_ns, u);
    }
    if (u->state == READING_OK) {
        add_kfd(w, u);
        remember(w, u->stamp_ns);
    }
    gpu_procs_put(w->procs, w->index, u);
    free(u);
}

void drm_who_none(struct drm_who *w, int64_t boot_ns, enum reading_state why)
{
    if (w->procs) {
        struct gpu_use none = {.state = why, .stamp_ns = boot_ns};
        gpu_procs_put(w->procs, w->index, &none);
    }
}
