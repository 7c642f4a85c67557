#include "daemon/launch/shepherd_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"

#define ROUNDS_MAX      64 /* of "look again": a fork bomb is stopped first, then it is stable */
#define CGROUP_PIDS_MAX 65536
#define ENVIRON_MAX     (2u << 20) /* a run's environment is bounded well below (spec.h) */

struct proc {
    pid_t pid, ppid;
    char state;
    bool member;
    bool done;       /* was signalled in this call */
    uint64_t start;  /* clock ticks since boot: with the pid, a process's identity */
    uint64_t ticks;  /* utime + stime */
    uint64_t waited; /* cutime + cstime */
};
struct procs {
    struct proc *v;
    size_t n, cap;
};

static void free_procs(struct procs *ps)
{
    free(ps->v);
}

/* /proc/PID/stat: the name in parentheses may hold anything, so parsing begins behind the last one. */
static bool read_stat(pid_t pid, struct proc *p)
{
    char path[64], buf[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : -1;
    if (n <= 0)
        return false;
    buf[n] = 0;
    const char *s = strrchr(buf, ')');
    unsigned long long u, k, cu, ck, start;
    int ppid;
    memset(p, 0, sizeof(*p));
    if (!s ||
        sscanf(s + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d %*d %*d "
               "%llu",
               &p->state, &ppid, &u, &k, &cu, &ck, &start) != 7)
        return false;
    p->pid = pid;
    p->ppid = ppid;
    p->ticks = u + k;
    p->waited = cu + ck;
    p->start = start;
    return true;
}

static int by_pid(const void *a, const void *b)
{
    const struct proc *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct proc *find(const struct procs *ps, pid_t pid)
{
    struct proc key = {.pid = pid};
    return ps->n ? bsearch(&key, ps->v, ps->n, sizeof(key), by_pid) : NULL;
}

static void append(struct procs *ps, const struct proc *p)
{
    if (ps->n == ps->cap) {
        ps->cap = ps->cap ? ps->cap * 2 : 256;
        struct proc *v = realloc(ps->v, ps->cap * sizeof(*v));
        if (!v)
            abort();
        ps->v = v;
    }
    ps->v[ps->n++] = *p;
}

/* All processes of the machine that we can see, by pid. */
static void scan(struct procs *ps)
{
    ps->n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *de; d && (de = readdir(d));) {
        char *end;
        long pid = strtol(de->d_name, &end, 10);
        struct proc p;
        if (pid > 0 && *end == 0 && read_stat((pid_t)pid, &p))
            append(ps, &p);
    }
    if (d)
        closedir(d);
    if (ps->n)
        qsort(ps->v, ps->n, sizeof(*ps->v), by_pid);
}

/* Every child of a member, or of root, becomes one, but not `apart`; passes until nothing changes. TREE_NO_ROOT
 * where there are only members. */
static void spread(struct procs *ps, pid_t root, pid_t apart)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < ps->n; i++) {
            struct proc *p = &ps->v[i];
            if (p->member || p->pid == root || p->pid == apart)
                continue;
            const struct proc *parent = p->ppid == root ? NULL : find(ps, p->ppid);
            if (p->ppid == root || (parent && parent->member))
                changed = p->member = true;
        }
    }
}

static void members(const struct tree *t, struct procs *ps)
{
    scan(ps);
    if (t->cg.fd >= 0) {
        pid_t *pids CLEANUP(base_freep) = base_alloc(CGROUP_PIDS_MAX * sizeof(*pids));
        size_t n = cgroup_pids(&t->cg, pids, CGROUP_PIDS_MAX);
        for (size_t i = 0; i < n && i < CGROUP_PIDS_MAX; i++) {
            struct proc *p = find(ps, pids[i]);
            if (p && p->pid != t->root)
                p->member = true;
        }
    }
    spread(ps, t->root, t->apart);
}

static bool alive(const struct proc *p)
{
    return p->state != 'Z' && p->state != 'X';
}

static void send_signal(const struct proc *p, int signal)
{
    struct proc now;
    if (p->pid <= 1 || p->pid == getpid())
        return;
    int fd CLEANUP(base_closep) = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (fd < 0 && errno != ENOSYS)
        return;
    if (!read_stat(p->pid, &now) || now.start != p->start)
        return;
    if (fd >= 0)
        syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
    else
        kill(p->pid, signal);
}

bool tree_is_alive(pid_t pid)
{
    struct proc p;
    return read_stat(pid, &p) && alive(&p);
}

size_t tree_count(const struct tree *t)
{
    struct procs ps CLEANUP(free_procs) = {0};
    size_t n = 0;
    members(t, &ps);
    for (size_t i = 0; i < ps.n; i++)
        n += ps.v[i].member && alive(&ps.v[i]);
    return n;
}

/* One round: signal the members not yet in `done`; returns how many those were. */
static size_t signal_new(struct procs *ps, struct procs *done, int signal)
{
    size_t n = 0;
    for (size_t i = 0; i < ps->n; i++) {
        const struct proc *p = &ps->v[i];
        const struct proc *before = find(done, p->pid);
        if (!p->member || !alive(p) || (before && before->start == p->start))
            continue;
        send_signal(p, signal);
        ps->v[i].done = true;
        n++;
    }
    for (size_t i = 0; i < ps->n; i++)
        if (ps->v[i].done)
            append(done, &ps->v[i]);
    if (done->n)
        qsort(done->v, done->n, sizeof(*done->v), by_pid);
    return n;
}

size_t tree_signal(const struct tree *t, int signal)
{
    struct procs ps CLEANUP(free_procs) = {0}, done CLEANUP(free_procs) = {0};
    size_t total = 0, n = 1;
    for (int round = 0; n && round < ROUNDS_MAX; round++) {
        members(t, &ps);
        n = signal_new(&ps, &done, signal);
        total += n;
    }
    return total;
}

void tree_kill(const struct tree *t)
{
    /* Atomic where there is a cgroup. Elsewhere stop first: what does not run does not fork. */
    if (t->cg.fd < 0 || cgroup_kill(&t->cg) < 0)
        tree_signal(t, SIGSTOP);
    tree_signal(t, SIGKILL);
}

void tree_freeze(const struct tree *t, bool frozen)
{
    if (t->cg.fd < 0 || cgroup_freeze(&t->cg, frozen) < 0)
        tree_signal(t, frozen ? SIGSTOP : SIGCONT);
}

int64_t tree_cpu_us(const struct tree *t)
{
    struct procs ps CLEANUP(free_procs) = {0};
    scan(&ps);
    const struct proc *root = find(&ps, t->root);
    long hz = sysconf(_SC_CLK_TCK);
    if (!root || hz <= 0)
        return -1;
    uint64_t ticks = root->waited;
    spread(&ps, t->root, t->apart);
    for (size_t i = 0; i < ps.n; i++)
        if (ps.v[i].member)
            ticks += ps.v[i].ticks + ps.v[i].waited;
    return units_muldiv_floor((int64_t)ticks, 1000000, hz);
}

/* ---- after a killed shepherd -------------------------------------------------------------------- */

static bool has_variable(pid_t pid, const char *want)
{
    char path[64];
    size_t bytes, len = strlen(want) + 1;
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    char *env CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, ENVIRON_MAX, &bytes);
    if (!env)
        return false;
    for (size_t i = 0; i + len <= bytes; i += strlen(env + i) + 1)
        if (memcmp(env + i, want, len) == 0)
            return true;
    return false;
}

size_t tree_kill_marked(const char *dir)
{
    char *want CLEANUP(base_freep) = base_printf("WATTQ_RUN_DIR=%s", dir);
    struct procs ps CLEANUP(free_procs) = {0}, done CLEANUP(free_procs) = {0};
    const struct timespec pause = {.tv_nsec = 2 * NS_PER_MS};
    int64_t end_ns = clock_mono_ns() + 200 * NS_PER_MS;
    size_t total = 0;
    for (size_t n = 1; n && clock_mono_ns() < end_ns; total += n) {
        scan(&ps);
        for (size_t i = 0; i < ps.n; i++)
            ps.v[i].member =
                ps.v[i].pid != getpid() && alive(&ps.v[i]) && has_variable(ps.v[i].pid, want);
        spread(&ps, TREE_NO_ROOT, 0);
        n = signal_new(&ps, &done, SIGKILL);
        nanosleep(&pause, NULL);
    }
    return total;
}
