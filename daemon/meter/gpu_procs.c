#include "daemon/meter/gpu_procs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/meter/proc_stat.h"

#define DEPTH_MAX 64 /* of a process tree that is followed upwards */
#define SHEPHERD  "wattq-shepherd"

struct gathered {
    struct gpu_sum sum[GPU_SUMS_MAX];
    size_t n;
    int64_t t0_ns, t1_ns; /* 0 = nothing yet */
};

struct gpu_procs {
    pthread_mutex_t lock;
    int refs;
    size_t n;
    struct gpu_use gpus[GPU_PROCS_GPUS_MAX];
    struct gathered gathered[GPU_PROCS_GPUS_MAX];
};

struct gpu_procs *gpu_procs_new(void)
{
    struct gpu_procs *p = base_alloc(sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
    p->refs = 1;
    return p;
}

struct gpu_procs *gpu_procs_ref(struct gpu_procs *p)
{
    if (p) {
        pthread_mutex_lock(&p->lock);
        p->refs++;
        pthread_mutex_unlock(&p->lock);
    }
    return p;
}

void gpu_procs_unref(struct gpu_procs *p)
{
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (last) {
        pthread_mutex_destroy(&p->lock);
        free(p);
    }
}

size_t gpu_procs_count(struct gpu_procs *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static void fail(struct gpu_use *u, enum reading_state state)
{
    u->state = state;
    u->n = u->more = u->hidden = 0;
    u->busy_ppm = -1;
    u->idle_since_ns = 0;
}

bool gpu_procs_get(struct gpu_procs *p, size_t index, int64_t now_ns, struct gpu_use *out)
{
    pthread_mutex_lock(&p->lock);
    bool found = index < p->n;
    if (found) {
        *out = p->gpus[index];
    }
    pthread_mutex_unlock(&p->lock);
    if (!found) {
        return false;
    }
    if (out->state == READING_OK && now_ns - out->stamp_ns > GPU_PROCS_STALE_NS) {
        fail(out, READING_STALE);
    } else if (out->state != READING_OK) {
        fail(out, out->state);
    }
    out->reason = out->state == READING_OK ? "" : reading_state_text(out->state);
    return true;
}

bool gpu_procs_find(struct gpu_procs *p, const char *device, int64_t now_ns, struct gpu_use *out)
{
    size_t n = gpu_procs_count(p);
    for (size_t i = 0; i < n; i++) {
        if (gpu_procs_get(p, i, now_ns, out) && strcmp(out->device, device) == 0) {
            return true;
        }
    }
    return false;
}

size_t gpu_procs_take(struct gpu_procs *p, size_t index, struct gpu_sum *out, int64_t *t0_ns,
                      int64_t *t1_ns)
{
    size_t n = 0;
    *t0_ns = *t1_ns = 0;
    pthread_mutex_lock(&p->lock);
    if (index < p->n) {
        struct gathered *g = &p->gathered[index];
        *t0_ns = g->t0_ns;
        *t1_ns = g->t1_ns;
        n = g->n;
        memcpy(out, g->sum, n * sizeof(*out));
        g->n = 0;
        g->t0_ns = g->t1_ns;
    }
    pthread_mutex_unlock(&p->lock);
    return n;
}

int gpu_procs_add(struct gpu_procs *p, const char *device, const char *label)
{
    int index = -1;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n && index < 0; i++) {
        index = strcmp(p->gpus[i].device, device) == 0 ? (int)i : -1;
    }
    if (index < 0 && p->n < GPU_PROCS_GPUS_MAX) {
        struct gpu_use *u = &p->gpus[p->n];
        (void)base_strcpy(u->device, sizeof(u->device), device);
        (void)base_strcpy(u->label, sizeof(u->label), label);
        fail(u, READING_NOT_YET);
        index = (int)p->n++;
    }
    pthread_mutex_unlock(&p->lock);
    return index;
}

void gpu_procs_fault(struct gpu_procs *p, int index, const char *fault)
{
    pthread_mutex_lock(&p->lock);
    p->gpus[index].fault = fault;
    pthread_mutex_unlock(&p->lock);
}

static const struct gpu_proc *same(const struct gpu_use *u, const struct gpu_proc *who)
{
    for (size_t i = 0; i < u->n; i++) {
        if (u->procs[i].pid == who->pid && u->procs[i].start_ticks == who->start_ticks) {
            return &u->procs[i];
        }
    }
    return NULL;
}

/* What a process used so far: its share of this answer's span, on top of what it had. */
static void gather(struct gathered *g, const struct gpu_proc *p, int64_t more_us)
{
    size_t i = 0;
    while (i < g->n && (g->sum[i].uid != p->uid || g->sum[i].root != p->root)) {
        i++;
    }
    if (i == GPU_SUMS_MAX || more_us == 0) {
        return;
    }
    if (i == g->n) {
        g->sum[g->n++] = (struct gpu_sum){.uid = p->uid, .root = p->root};
    }
    g->sum[i].busy_us += more_us;
}

static void add_up(struct gpu_proc *now, const struct gpu_proc *before, int64_t stamp_ns,
                   int64_t span_ns, struct gathered *g)
{
    now->first_ns = before ? before->first_ns : stamp_ns;
    now->busy_us = before ? before->busy_us : -1;
    if (now->busy_ppm >= 0) {
        int64_t more_us = units_muldiv_floor(span_ns / 1000, now->busy_ppm, 1000000);
        now->busy_us = (now->busy_us < 0 ? 0 : now->busy_us) + more_us;
        gather(g, now, more_us);
    }
}

void gpu_procs_put(struct gpu_procs *p, int index, const struct gpu_use *use)
{
    struct gpu_use next = *use;
    pthread_mutex_lock(&p->lock);
    struct gpu_use *old = &p->gpus[index];
    if (use->state != READING_OK) {
        old->state = use->state;
        pthread_mutex_unlock(&p->lock);
        return;
    }
    (void)base_strcpy(next.device, sizeof(next.device), old->device);
    (void)base_strcpy(next.label, sizeof(next.label), old->label);
    /* What happened while no list came is not this answer's: its share is of the time since the last. */
    next.span_ns = old->stamp_ns > 0 ? use->stamp_ns - old->stamp_ns : 0;
    if (next.span_ns > GPU_PROCS_STALE_NS) {
        next.span_ns = 0;
    }
    next.idle_since_ns = 0;
    if (use->busy_ppm == 0) {
        next.idle_since_ns = old->idle_since_ns > 0 ? old->idle_since_ns : use->stamp_ns;
    }
    struct gathered *g = &p->gathered[index];
    if (next.span_ns == 0 || g->t0_ns == 0) {
        g->t0_ns = use->stamp_ns - next.span_ns;
        g->n = 0; /* what was before a silence belongs to no stretch that can be told */
    }
    g->t1_ns = use->stamp_ns;
    for (size_t i = 0; i < next.n; i++) {
        add_up(&next.procs[i], same(old, &next.procs[i]), use->stamp_ns, next.span_ns, g);
    }
    *old = next;
    pthread_mutex_unlock(&p->lock);
}

/* Upwards through the parents: what a run starts stays below its shepherd, who adopts orphans. */
static int64_t find_shepherd(const char *root, int64_t pid)
{
    struct proc_stat stat;
    for (int depth = 0; pid > 1 && depth < DEPTH_MAX; depth++) {
        if (!proc_stat_read(root, pid, &stat)) {
            return depth > 0 ? 0 : -1; /* a parent that has just ended: its child is init's now */
        }
        if (strcmp(stat.name, SHEPHERD) == 0) {
            return pid;
        }
        pid = stat.ppid;
    }
    return 0;
}

bool gpu_procs_identify(const char *root, struct gpu_proc *proc)
{
    struct proc_stat stat;
    bool real = !root || root[0] == '\0';
    proc->start_ticks = 0;
    proc->uid = proc->root = -1;
    if (!proc_stat_read(root, proc->pid, &stat)) {
        /* Hidden from us, but there: a /proc that shows only one's own must not hide an intruder. */
        return errno != 0 && real && kill((pid_t)proc->pid, 0) < 0 && errno == EPERM;
    }
    proc->start_ticks = (int64_t)stat.start_ticks;
    proc->uid = proc_stat_uid(root, proc->pid);
    proc->root = find_shepherd(root, proc->pid);
    return stat.state != 'Z' && stat.state != 'X';
}

struct gpu_proc *gpu_procs_row(struct gpu_use *use, const char *root, int64_t pid)
{
    for (size_t i = 0; i < use->n; i++) {
        if (use->procs[i].pid == pid) {
            return &use->procs[i];
        }
    }
    struct gpu_proc who = {.pid = pid, .memory_bytes = -1, .busy_ppm = -1};
    if (!gpu_procs_identify(root, &who)) {
        return NULL;
    }
    if (use->n == GPU_PROCS_MAX) {
        use->more++;
        return NULL;
    }
    use->procs[use->n] = who;
    return &use->procs[use->n++];
}
