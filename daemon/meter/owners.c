#include "daemon/meter/owners.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/meter/cpustat.h"
#include "daemon/meter/proc_stat.h"

#define SCAN_MIN_NS   (20 * NS_PER_MS)
#define REMEMBER_NS   (3600 * NS_PER_S)
#define TEXT_BYTES    4096
#define DEPTH_MAX     64  /* of a process tree that is followed upwards */
#define TRIFLE_DIV    100 /* an owner below 1 % of one CPU is not worth a row */
#define TRIFLE_US     INT64_C(10000)
#define LOGIN_UID_MIN 1000
#define SHEPHERD      "wattq-shepherd"
#define US_PER_S      INT64_C(1000000)
#define OWNER_NOT     (-1) /* nobody's: a run, this daemon, the kernel */
#define OWNER_NOT_YET (-2)

struct proc {
    pid_t pid, ppid;
    uint64_t start; /* tells apart two processes with one pid */
    int64_t ticks;
    int owner; /* index, OWNER_NOT, OWNER_NOT_YET */
    bool shepherd;
    bool kernel;
};

struct owner {
    enum owner_kind kind;
    char name[OWNERS_NAME_MAX];
    int64_t gathered_us; /* since the newest take */
    int64_t newest_us;   /* in the newest interval */
    int64_t since_ns;    /* busy since; 0 = is not */
};

struct mark { /* one interval: how much of all CPUs was others' */
    int64_t t0_ns;
    int64_t ppm;
};

struct owners {
    pthread_mutex_t lock;
    char *proc;
    int64_t period_ns, hz, cpus;
    struct proc *procs; /* by pid, of the newest scan */
    size_t nprocs;
    struct proc *next; /* of the scan under way */
    size_t nnext, cap;
    struct owner owner[OWNERS_MAX];
    size_t n;
    int64_t scan_ns, before_ns; /* newest scan and the one before it; 0 = none */
    int64_t take_ns;
    struct mark *marks; /* ring */
    size_t nmarks, capmarks, at;
    int64_t open_ns, open_us; /* the interval that is not yet long enough for a mark */
};

const char *owner_kind_name(enum owner_kind k)
{
    static const char *const names[] = {"login", "container", "service"};
    return (unsigned)k < ARRAY_LEN(names) ? names[k] : "unknown";
}

/* ---- one process -------------------------------------------------------------------------------- */

static bool read_stat(const struct owners *o, pid_t pid, struct proc *p)
{
    struct proc_stat stat;
    if (!proc_stat_read(o->proc, pid, &stat))
        return false;
    *p = (struct proc){.pid = pid,
                       .ppid = stat.ppid,
                       .start = stat.start_ticks,
                       .ticks = stat.ticks,
                       .owner = OWNER_NOT_YET,
                       .shepherd = strcmp(stat.name, SHEPHERD) == 0,
                       .kernel = stat.kernel};
    return true;
}

static int64_t real_uid(const struct owners *o, pid_t pid)
{
    char text[TEXT_BYTES];
    int64_t uid = -1;
    if (proc_stat_slurp(o->proc, pid, "status", text, sizeof(text)) <= 0)
        return -1;
    const char *line = strstr(text, "\nUid:");
    return line && sscanf(line + 5, "%" SCNd64, &uid) == 1 ? uid : -1;
}

/* The path of the unified hierarchy; where there is none, systemd's own. */
static bool cgroup_of(const struct owners *o, pid_t pid, char *out, size_t cap)
{
    char text[TEXT_BYTES];
    char *rest = NULL;
    bool found = false;
    if (proc_stat_slurp(o->proc, pid, "cgroup", text, sizeof(text)) <= 0)
        return false;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *v2 = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
        const char *named = strstr(line, ":name=systemd:");
        if (v2 && strcmp(v2, "/") != 0)
            return base_strcpy(out, cap, v2);
        if (named)
            found = base_strcpy(out, cap, named + strlen(":name=systemd:"));
    }
    return found;
}

/* ---- whose it is -------------------------------------------------------------------------------- */

/* "docker-0123456789abcdef.scope" -> "docker-0123456789ab". source: names that docker, podman, containerd,
 * LXC, systemd-nspawn and kubernetes give their cgroups. */
static bool container_name(const char *path, char *out)
{
    static const char *const marks[] = {"docker-",         "/docker/", "libpod-",        "/lxc/",
                                        "cri-containerd-", "kubepods", "/machine.slice/"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        const char *at = strstr(path, marks[i]);
        if (!at)
            continue;
        at += *at == '/';
        if (strncmp(at, "machine.slice/", 14) == 0)
            at += 14;
        size_t n = strcspn(at, "/.");
        if (strncmp(at, "docker/", 7) == 0 || strncmp(at, "lxc/", 4) == 0)
            n = strcspn(at, "/") + 1 + strcspn(strchr(at, '/') + 1, "/.");
        n = n > 24 ? 24 : n;
        memcpy(out, at, n);
        out[n] = '\0';
        return n > 0;
    }
    return false;
}

/* The last "x.service" of the path, but not a user's manager. */
static bool service_name(const char *path, char *out)
{
    const char *end = strstr(path, ".service");
    const char *from = end;
    if (!end || strstr(path, "user@") || strncmp(path, "/user.slice", 11) == 0)
        return false;
    while (from > path && from[-1] != '/')
        from--;
    size_t n = (size_t)(end - from);
    if (n == 0 || n >= OWNERS_NAME_MAX)
        return false;
    memcpy(out, from, n);
    out[n] = '\0';
    return true;
}

static int owner_index(struct owners *o, enum owner_kind kind, const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->owner[i].kind == kind && strcmp(o->owner[i].name, name) == 0)
            return (int)i;
    if (o->n == OWNERS_MAX - 1 && strcmp(name, "others") != 0)
        return owner_index(o, OWNER_SERVICE, "others");
    if (o->n == OWNERS_MAX)
        return OWNERS_MAX - 1;
    o->owner[o->n] = (struct owner){.kind = kind};
    base_strcpy(o->owner[o->n].name, OWNERS_NAME_MAX, name);
    return (int)o->n++;
}

static int find_owner(struct owners *o, pid_t pid)
{
    char path[TEXT_BYTES] = "";
    char name[OWNERS_NAME_MAX];
    int64_t uid = real_uid(o, pid);
    bool grouped = cgroup_of(o, pid, path, sizeof(path));
    if (uid < 0)
        return OWNER_NOT; /* gone meanwhile */
    if (grouped && container_name(path, name))
        return owner_index(o, OWNER_CONTAINER, name);
    if (uid >= LOGIN_UID_MIN || (grouped && strncmp(path, "/user.slice/", 12) == 0))
        return owner_index(o, OWNER_LOGIN, users_name(uid, name));
    if (grouped && service_name(path, name))
        return owner_index(o, OWNER_SERVICE, name);
    return owner_index(o, OWNER_SERVICE, users_name(uid, name));
}

static int by_pid(const void *a, const void *b)
{
    const struct proc *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct proc *find_proc(struct proc *list, size_t n, pid_t pid)
{
    const struct proc key = {.pid = pid};
    return n ? bsearch(&key, list, n, sizeof(*list), by_pid) : NULL;
}

/* Is it a shepherd of ours, or does one stand above it? A name is all we ask: whoever may start processes
 * as this user may also start runs. */
static bool in_run(const struct owners *o, const struct proc *p)
{
    for (int depth = 0; p && depth < DEPTH_MAX; depth++) {
        if (p->shepherd && (o->proc[0] || real_uid(o, p->pid) == (int64_t)getuid()))
            return true;
        p = find_proc(o->next, o->nnext, p->ppid);
    }
    return false;
}

/* ---- a scan ------------------------------------------------------------------------------------- */

/* False: the directory cannot be read, and nobody knows who is at work. */
static bool read_procs(struct owners *o)
{
    char path[WATTQ_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/proc", o->proc);
    DIR *dir = opendir(path);
    o->nnext = 0;
    for (struct dirent *d; dir && (d = readdir(dir)) && o->nnext < OWNERS_PROCS_MAX;) {
        if (!isdigit((unsigned char)d->d_name[0]))
            continue;
        if (o->nnext == o->cap) {
            o->cap = o->cap ? 2 * o->cap : 512;
            o->next = realloc(o->next, o->cap * sizeof(*o->next));
            o->procs = realloc(o->procs, o->cap * sizeof(*o->procs));
            if (!o->next || !o->procs)
                abort();
        }
        o->nnext += read_stat(o, (pid_t)strtol(d->d_name, NULL, 10), &o->next[o->nnext]);
    }
    if (!dir)
        return false;
    closedir(dir);
    if (o->nnext > 0)
        qsort(o->next, o->nnext, sizeof(*o->next), by_pid);
    return true;
}

/* What it has used since the scan before; a process that is new brings all it has, but not at the first
 * scan, when everything is new. */
static int64_t grew(const struct owners *o, struct proc *p)
{
    struct proc *old = find_proc(o->procs, o->nprocs, p->pid);
    if (old && old->start == p->start) {
        p->owner = old->owner;
        return p->ticks - old->ticks;
    }
    return o->scan_ns != 0 ? p->ticks : 0;
}

static int64_t account(struct owners *o)
{
    int64_t all = 0;
    for (size_t i = 0; i < o->n; i++)
        o->owner[i].newest_us = 0;
    for (size_t i = 0; i < o->nnext; i++) {
        struct proc *p = &o->next[i];
        int64_t ticks = grew(o, p);
        if (ticks <= 0)
            continue;
        /* Asked when it has done something, and again each time: it may have changed its user since. */
        bool none = p->kernel || p->pid == getpid() || in_run(o, p);
        p->owner = none ? OWNER_NOT : find_owner(o, p->pid);
        if (p->owner < 0)
            continue;
        int64_t us = units_muldiv_floor(ticks, US_PER_S, o->hz);
        o->owner[p->owner].newest_us += us;
        o->owner[p->owner].gathered_us += us;
        all += us;
    }
    return all;
}

static bool trifle(int64_t us, int64_t ns)
{
    return us < TRIFLE_US || us < ns / 1000 / TRIFLE_DIV;
}

/* Runs ask for scans at their edges too: an interval of a few ticks says nothing about calm. */
static void put_mark(struct owners *o, int64_t now_ns, int64_t busy_us)
{
    int64_t ns = now_ns - o->open_ns;
    o->open_us += busy_us;
    if (ns < o->period_ns / 2)
        return;
    int64_t ppm = units_muldiv_floor(o->open_us, INT64_C(1000000), ns / 1000 * o->cpus);
    o->marks[o->at] = (struct mark){o->open_ns, ppm};
    o->open_ns = now_ns;
    o->open_us = 0;
    o->at = (o->at + 1) % o->capmarks;
    o->nmarks += o->nmarks < o->capmarks;
}

static void scan(struct owners *o, int64_t now_ns)
{
    if (!read_procs(o))
        return;
    int64_t busy_us = account(o);
    if (o->scan_ns != 0) {
        put_mark(o, now_ns, busy_us);
        for (size_t i = 0; i < o->n; i++) {
            struct owner *w = &o->owner[i];
            if (trifle(w->newest_us, now_ns - o->scan_ns))
                w->since_ns = 0;
            else if (w->since_ns == 0)
                w->since_ns = o->scan_ns;
        }
    } else {
        o->take_ns = o->open_ns = now_ns;
    }
    struct proc *spare = o->procs;
    o->procs = o->next;
    o->nprocs = o->nnext;
    o->next = spare;
    o->before_ns = o->scan_ns;
    o->scan_ns = now_ns;
}

/* ---- owners.h ----------------------------------------------------------------------------------- */

struct owners *owners_new(const char *root, int64_t period_ns)
{
    struct owners *o = base_alloc(sizeof(*o));
    char *own CLEANUP(base_freep) = base_printf("%s/proc", root);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_mutex_init(&o->lock, NULL);
    o->proc = base_strdup(access(own, X_OK) == 0 ? root : "");
    o->period_ns = period_ns;
    o->hz = cpustat_hz();
    o->cpus = cpus > 0 ? cpus : 1;
    o->capmarks = (size_t)(REMEMBER_NS / (period_ns > NS_PER_S ? period_ns : NS_PER_S)) + 2;
    o->marks = base_alloc(o->capmarks * sizeof(*o->marks));
    return o;
}

void owners_free(struct owners *o)
{
    if (!o)
        return;
    pthread_mutex_destroy(&o->lock);
    free(o->procs);
    free(o->next);
    free(o->marks);
    free(o->proc);
    free(o);
}

int64_t owners_cpus(const struct owners *o)
{
    return o->cpus;
}

int64_t owners_period_ns(const struct owners *o)
{
    return o->period_ns;
}

void owners_scan(struct owners *o, int64_t now_ns)
{
    pthread_mutex_lock(&o->lock);
    if (o->scan_ns == 0 || now_ns - o->scan_ns >= SCAN_MIN_NS)
        scan(o, now_ns);
    pthread_mutex_unlock(&o->lock);
}

size_t owners_take(struct owners *o, struct owner_use *out, int64_t *t0_ns, int64_t *t1_ns)
{
    size_t n = 0;
    pthread_mutex_lock(&o->lock);
    *t0_ns = o->take_ns;
    *t1_ns = o->scan_ns;
    for (size_t i = 0; i < o->n; i++) {
        struct owner *w = &o->owner[i];
        if (!trifle(w->gathered_us, *t1_ns - *t0_ns)) {
            out[n] = (struct owner_use){.kind = w->kind, .busy_us = w->gathered_us};
            base_strcpy(out[n++].name, OWNERS_NAME_MAX, w->name);
        }
        w->gathered_us = 0;
    }
    o->take_ns = o->scan_ns;
    pthread_mutex_unlock(&o->lock);
    return n;
}

int64_t owners_gathered_ns(struct owners *o)
{
    pthread_mutex_lock(&o->lock);
    int64_t ns = o->scan_ns - o->take_ns;
    pthread_mutex_unlock(&o->lock);
    return ns;
}

static int by_use(const void *a, const void *b)
{
    const struct owner_use *x = a, *y = b;
    return (x->busy_us < y->busy_us) - (x->busy_us > y->busy_us);
}

size_t owners_now(struct owners *o, struct owner_use *out, int64_t *ns)
{
    size_t n = 0;
    pthread_mutex_lock(&o->lock);
    *ns = o->before_ns != 0 ? o->scan_ns - o->before_ns : 0;
    for (size_t i = 0; i < o->n; i++) {
        const struct owner *w = &o->owner[i];
        if (w->since_ns == 0)
            continue;
        out[n] =
            (struct owner_use){.kind = w->kind, .busy_us = w->newest_us, .since_ns = w->since_ns};
        base_strcpy(out[n++].name, OWNERS_NAME_MAX, w->name);
    }
    pthread_mutex_unlock(&o->lock);
    qsort(out, n, sizeof(*out), by_use);
    return n;
}

static const struct mark *newest_mark(const struct owners *o, size_t back)
{
    return &o->marks[(o->at + o->capmarks - 1 - back) % o->capmarks];
}

int64_t owners_calm_ns(struct owners *o, int64_t ppm)
{
    int64_t calm = -1;
    pthread_mutex_lock(&o->lock);
    size_t back = 0;
    while (back < o->nmarks && newest_mark(o, back)->ppm <= ppm)
        back++;
    if (back > 0)
        calm = o->open_ns - newest_mark(o, back - 1)->t0_ns;
    pthread_mutex_unlock(&o->lock);
    return calm;
}

int64_t owners_share_ppm(struct owners *o)
{
    pthread_mutex_lock(&o->lock);
    int64_t ppm = o->nmarks > 0 ? newest_mark(o, 0)->ppm : -1;
    pthread_mutex_unlock(&o->lock);
    return ppm;
}
