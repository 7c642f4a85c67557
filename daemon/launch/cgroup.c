#include "daemon/launch/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TREE_DEPTH_MAX 16 /* how deep a run may nest cgroups of its own before we stop looking */

static bool is_cgroup2(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Our path below the cgroup2 mount: the "0::" line. */
static int own_path(char *out, size_t cap)
{
    char line[4096];
    FILE *f CLEANUP(base_fclosep) = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        return base_strcpy(out, cap, line + 3) ? 0 : -1;
    }
    return -1;
}

/* Mount point and root of the first cgroup2 mount. mountinfo: "id parent dev root point ... - type". */
static int mount_point(char *point, size_t cap, char *root, size_t root_cap)
{
    char line[8192], r[4096], p[4096];
    FILE *f CLEANUP(base_fclosep) = fopen("/proc/self/mountinfo", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (!strstr(line, " - cgroup2 "))
            continue;
        if (sscanf(line, "%*s %*s %*s %4095s %4095s", r, p) == 2)
            return base_strcpy(point, cap, p) && base_strcpy(root, root_cap, r) ? 0 : -1;
    }
    return -1;
}

static int own_cgroup(char *path, size_t cap)
{
    char own[512], point[512], root[512];
    if (own_path(own, sizeof(own)) < 0 || mount_point(point, sizeof(point), root, sizeof(root)) < 0)
        return 1;
    /* In a bind mount or namespace the mount shows only what lies below its root. */
    const char *below = own;
    size_t n = strlen(root);
    if (strcmp(root, "/") != 0) {
        if (strncmp(own, root, n) != 0)
            return 1;
        below = own + n;
    }
    int len = snprintf(path, cap, "%s%s", point, strcmp(below, "/") == 0 ? "" : below);
    return len > 0 && (size_t)len < cap && is_cgroup2(path) ? 0 : 1;
}

int cgroup_find(const char *hint, char *path, size_t cap)
{
    const char *env = getenv("WATTQ_CGROUP");
    if (env && *env)
        hint = env;
    if (!hint || !*hint)
        return own_cgroup(path, cap);
    if (strcmp(hint, "none") == 0 || !is_cgroup2(hint))
        return 1;
    return base_strcpy(path, cap, hint) ? 0 : 1;
}

bool cgroup_usable(const char *base)
{
    struct cgroup c;
    if (cgroup_create(&c, base, 0, NULL) < 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    bool ok = pid > 0 && cgroup_add(&c, pid, NULL) == 0;
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    cgroup_remove(&c);
    return ok;
}

static int write_at(const char *dir, const char *name, const char *text)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    int fd CLEANUP(base_closep) = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) > 0 ? 0 : -1;
}

/* Are we the only process in base itself? */
static bool is_alone(const char *base)
{
    char *path CLEANUP(base_freep) = base_printf("%s/cgroup.procs", base);
    FILE *f CLEANUP(base_fclosep) = fopen(path, "re");
    int pid = 0, other = 0;
    return f && fscanf(f, "%d %d", &pid, &other) == 1 && pid == getpid();
}

void cgroup_enable(const char *base)
{
    static const char *const wanted[] = {"+memory", "+pids"};
    if (is_alone(base)) {
        char *leaf CLEANUP(base_freep) = base_printf("%s/supervisor", base);
        if ((mkdir(leaf, 0755) < 0 && errno != EEXIST) || write_at(leaf, "cgroup.procs", "0") < 0)
            return;
    }
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        (void)!write_at(base, "cgroup.subtree_control", wanted[i]);
}

/* ---- one leaf ----------------------------------------------------------------------------------- */

static int open_leaf(struct cgroup *c, struct err *e)
{
    c->fd = open(c->path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (c->fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the cgroup %s", c->path);
    /* Kill (Linux 5.14) is all that a launcher hands over to the daemon's user. */
    if (!is_cgroup2(c->path) || (faccessat(c->fd, "cgroup.procs", W_OK, 0) < 0 &&
                                 faccessat(c->fd, "cgroup.kill", W_OK, 0) < 0)) {
        cgroup_close(c);
        return err_set(e, WATTQ_E_UNAVAILABLE, "%s is no cgroup we may use", c->path);
    }
    return 0;
}

int cgroup_create(struct cgroup *c, const char *base, int64_t run_id, struct err *e)
{
    c->fd = -1;
    /* A leaf that a killed shepherd of the same pid left behind takes its name with it. */
    for (int i = 0; i < 100; i++) {
        int n = snprintf(c->path, sizeof(c->path), "%s/wattq-%" PRId64 "-%d.%d", base, run_id,
                         (int)getpid(), i);
        if (n < 0 || (size_t)n >= sizeof(c->path))
            return err_set(e, WATTQ_E_LIMIT, "the cgroup path %s is too long", base);
        if (mkdir(c->path, 0755) == 0) {
            int rc = open_leaf(c, e);
            if (rc)
                rmdir(c->path);
            return rc;
        }
        if (errno != EEXIST)
            break;
    }
    return err_errno(e, WATTQ_E_UNAVAILABLE, "cannot make a cgroup below %s", base);
}

int cgroup_open(struct cgroup *c, const char *path, struct err *e)
{
    c->fd = -1;
    const char *last = strrchr(path, '/');
    if (!last || strncmp(last + 1, "wattq-", 6) != 0 ||
        !base_strcpy(c->path, sizeof(c->path), path))
        return err_set(e, WATTQ_E_INVALID, "%.200s is no cgroup of ours", path);
    return open_leaf(c, e);
}

void cgroup_close(struct cgroup *c)
{
    base_closep(&c->fd);
    c->fd = -1;
}

typedef void visit_fn(int dirfd, void *arg);

static int open_dir(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Depth first, children before their parent; rmdir_too removes what is empty. */
static void walk(int dirfd, int depth, visit_fn *visit, void *arg, bool rmdir_too)
{
    int fd = open_dir(dirfd, ".");
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        base_closep(&fd);
        return;
    }
    for (struct dirent *de; depth < TREE_DEPTH_MAX && (de = readdir(d));) {
        if (de->d_type != DT_DIR || de->d_name[0] == '.')
            continue;
        int sub CLEANUP(base_closep) = open_dir(dirfd, de->d_name);
        if (sub < 0)
            continue;
        walk(sub, depth + 1, visit, arg, rmdir_too);
        if (rmdir_too)
            unlinkat(dirfd, de->d_name, AT_REMOVEDIR);
    }
    if (visit)
        visit(dirfd, arg);
    closedir(d);
}

void cgroup_remove(struct cgroup *c)
{
    if (c->fd < 0)
        return;
    walk(c->fd, 0, NULL, NULL, true);
    cgroup_close(c);
    rmdir(c->path);
}

static int write_file(const struct cgroup *c, const char *name, const char *text)
{
    int fd CLEANUP(base_closep) = c->fd >= 0 ? openat(c->fd, name, O_WRONLY | O_CLOEXEC) : -1;
    return fd >= 0 && write(fd, text, strlen(text)) > 0 ? 0 : -1;
}

int cgroup_add(const struct cgroup *c, pid_t pid, struct err *e)
{
    char text[32];
    snprintf(text, sizeof(text), "%d", (int)pid);
    if (write_file(c, "cgroup.procs", text) < 0)
        return err_errno(e, WATTQ_E_UNAVAILABLE, "cannot move the run into its cgroup");
    return 0;
}

bool cgroup_has_self(const struct cgroup *c)
{
    char own[512];
    const char *leaf = strrchr(c->path, '/');
    if (!leaf || own_path(own, sizeof(own)) < 0)
        return false;
    const char *last = strrchr(own, '/');
    return last && strcmp(last, leaf) == 0; /* names of leaves are unique */
}

int cgroup_hand_over(const struct cgroup *c, uid_t uid)
{
    if (chmod(c->path, 0755) < 0) /* whatever our umask made of it */
        return -1;
    if (fchownat(c->fd, "cgroup.kill", uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
        return -1;
    return fchownat(c->fd, "cgroup.freeze", uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW);
}

static int write_number(const struct cgroup *c, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return write_file(c, name, text);
}

void cgroup_limit(const struct cgroup *c, int64_t mem_max_bytes, int64_t pids_max,
                  struct cgroup_missing *missing)
{
    missing->memory = mem_max_bytes > 0 && write_number(c, "memory.max", mem_max_bytes) < 0;
    missing->pids = pids_max > 0 && write_number(c, "pids.max", pids_max) < 0;
    if (mem_max_bytes == 0 || missing->memory)
        return;
    (void)!write_file(c, "memory.swap.max",
                      "0"); /* else the limit is only where it begins to swap */
    (void)!write_file(c, "memory.oom.group", "1"); /* half a run is no run */
}

pid_t cgroup_fork(const struct cgroup *c)
{
    struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
    if (c->fd < 0) {
        errno = EBADF;
        return -1;
    }
    args.cgroup = (__u64)c->fd;
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* No exit signal is what makes it so. */
pid_t cgroup_fork_unseen(const struct cgroup *c, bool *inside)
{
    struct clone_args args = {.flags = CLONE_INTO_CGROUP};
    args.cgroup = (__u64)(c->fd < 0 ? 0 : c->fd);
    pid_t pid = c->fd < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    *inside = pid >= 0;
    return pid >= 0 ? pid : (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
}

struct pid_list {
    pid_t *pids;
    size_t cap, n;
};

static void collect(int dirfd, void *arg)
{
    struct pid_list *l = arg;
    int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *f CLEANUP(base_fclosep) = fd >= 0 ? fdopen(fd, "re") : NULL;
    for (int pid; f && fscanf(f, "%d", &pid) == 1;) {
        if (l->n < l->cap)
            l->pids[l->n] = pid;
        l->n++;
    }
}

size_t cgroup_pids(const struct cgroup *c, pid_t *pids, size_t cap)
{
    struct pid_list l = {pids, cap, 0};
    if (c->fd >= 0)
        walk(c->fd, 0, collect, &l, false);
    return l.n;
}

/* The number behind `key ` in a flat-keyed file; -1 when there is none. */
static int64_t keyed(const struct cgroup *c, const char *name, const char *key)
{
    char buf[4096];
    int fd CLEANUP(base_closep) = c->fd >= 0 ? openat(c->fd, name, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? pread(fd, buf, sizeof(buf) - 1, 0) : -1;
    if (n < 0)
        return -1;
    buf[n] = 0;
    size_t len = strlen(key);
    for (char *p = buf; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
        if (strncmp(p, key, len) == 0 && p[len] == ' ')
            return strtoll(p + len + 1, NULL, 10);
    return -1;
}

bool cgroup_populated(const struct cgroup *c)
{
    return keyed(c, "cgroup.events", "populated") == 1;
}

int cgroup_kill(const struct cgroup *c)
{
    return write_file(c, "cgroup.kill", "1");
}

int cgroup_freeze(const struct cgroup *c, bool frozen)
{
    return write_file(c, "cgroup.freeze", frozen ? "1" : "0");
}

int64_t cgroup_cpu_us(const struct cgroup *c)
{
    return keyed(c, "cpu.stat", "usage_usec");
}

int64_t cgroup_mem_peak_bytes(const struct cgroup *c)
{
    char text[32];
    int fd CLEANUP(base_closep) =
        c->fd >= 0 ? openat(c->fd, "memory.peak", O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n <= 0)
        return -1;
    text[n] = 0;
    return strtoll(text, NULL, 10);
}

int64_t cgroup_pids_refused(const struct cgroup *c)
{
    return keyed(c, "pids.events", "max");
}

int64_t cgroup_oom_kills(const struct cgroup *c)
{
    return keyed(c, "memory.events", "oom_kill");
}
