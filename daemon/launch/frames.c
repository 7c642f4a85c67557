#include "daemon/launch/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/spec.h"

bool frame_ok(const struct frame *f)
{
    bool from_shepherd = f->kind >= FRAME_STATE && f->kind <= FRAME_NACK;
    bool to_shepherd = f->kind >= FRAME_GO && f->kind <= FRAME_FILED;
    return f->magic == FRAME_MAGIC && (from_shepherd || to_shepherd) && f->phase <= SHEPHERD_ENDED;
}

int frame_send(int fd, const struct frame *f, struct err *e)
{
    const char *p = (const char *)f;
    for (size_t done = 0; done < sizeof(*f);) {
        ssize_t n = send(fd, p + done, sizeof(*f) - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 1;
        if (n < 0)
            return err_errno(e, WATTQ_E_IO, "cannot send to the shepherd");
        done += (size_t)n;
    }
    return 0;
}

int frame_recv(int fd, struct frame *f, struct err *e)
{
    char *p = (char *)f;
    for (size_t have = 0; have < sizeof(*f);) {
        ssize_t n = recv(fd, p + have, sizeof(*f) - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return 1;
        if (n < 0)
            return err_errno(e, WATTQ_E_IO, "cannot read from the shepherd");
        have += (size_t)n;
    }
    if (!frame_ok(f))
        return err_set(e, WATTQ_E_PROTOCOL, "the shepherd speaks another version of its protocol");
    return 0;
}

/* sun_path holds 107 bytes; through /proc/self/fd the directory's own path does not count. */
static int address(struct sockaddr_un *sa, int dirfd, const char *name, struct err *e)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
    if (n < 0 || (size_t)n >= sizeof(sa->sun_path))
        return err_set(e, WATTQ_E_INTERNAL, "the socket name \"%s\" is too long", name);
    return 0;
}

int frame_listen(int dirfd, const char *name, struct err *e)
{
    struct sockaddr_un sa;
    int rc = address(&sa, dirfd, name, e);
    if (rc)
        return rc;
    int fd CLEANUP(base_closep) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a control socket");
    if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        return err_errno(e, WATTQ_E_IO, "cannot remove an old control socket");
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot listen on the control socket");
    int out = fd;
    fd = -1;
    return out;
}

int frame_connect(int dirfd, const char *name, struct err *e)
{
    struct sockaddr_un sa;
    int rc = address(&sa, dirfd, name, e);
    if (rc)
        return rc;
    int fd CLEANUP(base_closep) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a control socket");
    /* Not to wait for a shepherd that does not accept; afterwards frame_recv wants to block. */
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_errno(e,
                         errno == ENOENT || errno == ECONNREFUSED ? WATTQ_E_NOT_FOUND : WATTQ_E_IO,
                         "cannot reach the shepherd");
    if (fcntl(fd, F_SETFL, 0) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot use the control socket");
    int out = fd;
    fd = -1;
    return out;
}

/* ---- the launch block --------------------------------------------------------------------------- */

/* What stands before the strings: argv, env, extra_env, then cwd, stdin_path, cgroup, with LAUNCH_HAS_ON_END also
 * on_end; the rlimits are in between. */
struct block_header {
    uint32_t magic;
    uint32_t bytes; /* of all of it */
    int64_t run_id, token, grace_ns, linger_ns, log_cap_bytes, time_limit_ns;
    int64_t mem_max_bytes, pids_max;
    int32_t nice;
    uint32_t umask, flags;
    uint32_t argc, envc, extrac, nrlimits;
    uint32_t reserved;
};

bool launch_env_allowed(const char *variable)
{
    static const char *const names[] = {
        "CUDA_VISIBLE_DEVICES=", "CUDA_DEVICE_ORDER=", "ROCR_VISIBLE_DEVICES=", "ZE_AFFINITY_MASK=",
        "OMP_NUM_THREADS="};
    if (strncmp(variable, "WATTQ_", 6) == 0 && strchr(variable, '='))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static size_t count(char **v, size_t *bytes)
{
    size_t n = 0;
    for (; v && v[n]; n++)
        *bytes += strlen(v[n]) + 1;
    return n;
}

static char *put(char *p, const char *s)
{
    size_t n = strlen(s) + 1;
    memcpy(p, s, n);
    return p + n;
}

static int check_bounds(const struct block_header *h, size_t bytes, struct err *e)
{
    if (h->argc < 1 || h->argc > SPEC_ARGC_MAX)
        return err_set(e, WATTQ_E_LIMIT, "a run has 1 to %d arguments", SPEC_ARGC_MAX);
    if (h->envc > SPEC_ENV_MAX || h->extrac > SPEC_ENV_MAX)
        return err_set(e, WATTQ_E_LIMIT, "a run has at most %d environment variables",
                       SPEC_ENV_MAX);
    if (h->nrlimits > LAUNCH_RLIMITS)
        return err_set(e, WATTQ_E_LIMIT, "a run has at most %d limits", LAUNCH_RLIMITS);
    if (bytes > LAUNCH_BLOCK_MAX)
        return err_set(e, WATTQ_E_LIMIT, "arguments and environment exceed %u KiB together",
                       LAUNCH_BLOCK_MAX >> 10);
    return 0;
}

static int seal(int fd, const char *data, size_t bytes, struct err *e)
{
    if (base_write_all(fd, data, bytes) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot hand the run over to its shepherd");
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot seal the run's arguments");
    return 0;
}

int launch_block_write(const struct launch_block *b, int *memfd, struct err *e)
{
    bool on_end = b->on_end && *b->on_end;
    const char *tail[] = {b->cwd ? b->cwd : "/", b->stdin_path ? b->stdin_path : "",
                          b->cgroup ? b->cgroup : "", on_end ? b->on_end : NULL};
    size_t ntail = on_end ? ARRAY_LEN(tail) : ARRAY_LEN(tail) - 1;
    size_t bytes = sizeof(struct block_header);
    struct block_header h = {.magic = LAUNCH_MAGIC,
                             .run_id = b->run_id,
                             .token = b->token,
                             .grace_ns = b->grace_ns,
                             .linger_ns = b->linger_ns,
                             .log_cap_bytes = b->log_cap_bytes,
                             .time_limit_ns = b->time_limit_ns,
                             .mem_max_bytes = b->mem_max_bytes,
                             .pids_max = b->pids_max,
                             .nice = b->nice,
                             .umask = b->umask,
                             .flags =
                                 (b->flags & ~LAUNCH_HAS_ON_END) | (on_end ? LAUNCH_HAS_ON_END : 0),
                             .argc = (uint32_t)count(b->argv, &bytes),
                             .envc = (uint32_t)count(b->env, &bytes),
                             .extrac = (uint32_t)count(b->extra_env, &bytes),
                             .nrlimits = (uint32_t)b->nrlimits};
    size_t limits = b->nrlimits * sizeof(*b->rlimits);
    bytes += limits;
    for (size_t i = 0; i < ntail; i++)
        bytes += strlen(tail[i]) + 1;
    int rc = check_bounds(&h, bytes, e);
    if (rc)
        return rc;
    h.bytes = (uint32_t)bytes;
    char *data CLEANUP(base_freep) = base_alloc(bytes);
    memcpy(data, &h, sizeof(h));
    if (limits)
        memcpy(data + sizeof(h), b->rlimits, limits);
    char *p = data + sizeof(h) + limits;
    char **lists[] = {b->argv, b->env, b->extra_env};
    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        for (char **v = lists[k]; v && *v; v++)
            p = put(p, *v);
    for (size_t i = 0; i < ntail; i++)
        p = put(p, tail[i]);
    int fd CLEANUP(base_closep) = memfd_create("wattq-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make memory for the run's arguments");
    rc = seal(fd, data, bytes, e);
    if (rc)
        return rc;
    *memfd = fd;
    fd = -1;
    return 0;
}

/* The next string, or NULL when the bytes end before its NUL does. */
static char *take(char **p, size_t *left)
{
    char *s = *p;
    const char *end = *left ? memchr(s, 0, *left) : NULL;
    if (!end)
        return NULL;
    size_t n = (size_t)(end - s) + 1;
    *p += n;
    *left -= n;
    return s;
}

static char **take_list(char **p, size_t *left, size_t n)
{
    char **v = base_alloc((n + 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        v[i] = take(p, left);
        if (!v[i]) {
            free(v);
            return NULL;
        }
    }
    return v;
}

static bool in_range(const struct block_header *h)
{
    const int64_t year = INT64_C(366) * 86400 * NS_PER_S;
    return h->token >= 0 && h->run_id >= 0 && h->grace_ns >= 0 && h->grace_ns <= year &&
           h->linger_ns >= 0 && h->linger_ns <= year && h->log_cap_bytes >= 0 &&
           h->time_limit_ns >= 0 && h->time_limit_ns <= 100 * year && h->umask <= 0777 &&
           h->mem_max_bytes >= 0 && h->pids_max >= 0 && h->nice >= 0 && h->nice <= 19 &&
           h->reserved == 0 &&
           (h->flags &
            ~(LAUNCH_WAIT_CHILDREN | LAUNCH_FOREGROUND | LAUNCH_TRAIN | LAUNCH_HAS_ON_END)) == 0;
}

static bool take_rlimits(const struct block_header *h, struct launch_block *b)
{
    b->nrlimits = h->nrlimits;
    b->rlimits = (struct launch_rlimit *)(void *)((char *)b->storage + sizeof(*h));
    for (size_t i = 0; i < b->nrlimits; i++) {
        const struct launch_rlimit *r = &b->rlimits[i];
        if (r->resource < 0 || r->resource >= LAUNCH_RLIMITS || r->reserved || r->soft < -1)
            return false;
    }
    return true;
}

static bool all_allowed(char *const *extra_env)
{
    for (; *extra_env; extra_env++)
        if (!launch_env_allowed(*extra_env))
            return false;
    return true;
}

static int take_strings(const struct block_header *h, struct launch_block *b, size_t bytes,
                        struct err *e)
{
    size_t before = sizeof(*h) + h->nrlimits * sizeof(struct launch_rlimit);
    if (bytes < before || !take_rlimits(h, b)) {
        launch_block_fini(b);
        return err_set(e, WATTQ_E_PROTOCOL, "the launch block's limits make no sense");
    }
    char *p = (char *)b->storage + before;
    size_t left = bytes - before;
    b->argv = take_list(&p, &left, h->argc);
    b->env = b->argv ? take_list(&p, &left, h->envc) : NULL;
    b->extra_env = b->env ? take_list(&p, &left, h->extrac) : NULL;
    b->cwd = take(&p, &left);
    b->stdin_path = b->cwd ? take(&p, &left) : NULL;
    b->cgroup = b->stdin_path ? take(&p, &left) : NULL;
    bool on_end = h->flags & LAUNCH_HAS_ON_END;
    b->on_end = b->cgroup && on_end ? take(&p, &left) : NULL;
    bool whole = b->extra_env && b->cgroup && on_end == (b->on_end != NULL) && left == 0;
    if (whole && all_allowed(b->extra_env))
        return 0;
    launch_block_fini(b);
    return err_set(e, WATTQ_E_PROTOCOL,
                   whole ? "the launch block adds a variable that is not wattqd's to set"
                         : "the launch block is cut short");
}

int launch_block_parse(const void *data, size_t bytes, struct launch_block *b, struct err *e)
{
    struct block_header h;
    memset(b, 0, sizeof(*b));
    if (bytes < sizeof(h) || bytes > LAUNCH_BLOCK_MAX)
        return err_set(e, WATTQ_E_PROTOCOL, "a launch block of %zu bytes cannot be right", bytes);
    memcpy(&h, data, sizeof(h));
    if (h.magic != LAUNCH_MAGIC || h.bytes != bytes || !in_range(&h))
        return err_set(e, WATTQ_E_PROTOCOL, "the launch block is not one of this version");
    int rc = check_bounds(&h, bytes, e);
    if (rc)
        return rc;
    b->storage = malloc(bytes);
    if (!b->storage)
        return err_errno(e, WATTQ_E_IO, "no memory for the launch block");
    memcpy(b->storage, data, bytes);
    b->run_id = h.run_id;
    b->token = h.token;
    b->grace_ns = h.grace_ns;
    b->linger_ns = h.linger_ns;
    b->log_cap_bytes = h.log_cap_bytes;
    b->time_limit_ns = h.time_limit_ns;
    b->mem_max_bytes = h.mem_max_bytes;
    b->pids_max = h.pids_max;
    b->nice = h.nice;
    b->umask = h.umask;
    b->flags = h.flags;
    return take_strings(&h, b, bytes, e);
}

int launch_block_read(int fd, struct launch_block *b, struct err *e)
{
    struct stat st;
    memset(b, 0, sizeof(*b));
    if (fstat(fd, &st) < 0)
        return err_errno(e, WATTQ_E_IO, "there is no launch block on descriptor %d", fd);
    if (!S_ISREG(st.st_mode) || st.st_size < 1 || st.st_size > (off_t)LAUNCH_BLOCK_MAX)
        return err_set(e, WATTQ_E_PROTOCOL, "descriptor %d holds no launch block", fd);
    size_t bytes = (size_t)st.st_size;
    char *data CLEANUP(base_freep) = base_alloc(bytes);
    ssize_t n = pread(fd, data, bytes, 0);
    if (n < 0 || (size_t)n != bytes)
        return err_errno(e, WATTQ_E_IO, "cannot read the launch block");
    return launch_block_parse(data, bytes, b, e);
}

void launch_block_fini(struct launch_block *b)
{
    if (!b->storage)
        return;
    free(b->argv);
    free(b->env);
    free(b->extra_env);
    free(b->storage);
    memset(b, 0, sizeof(*b));
}
