#include "daemon/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"
#include "daemon/launch/ready.h"
#include "daemon/launch/spawn.h"

#define PATIENCE_NS   (2 * NS_PER_S) /* for a shepherd that was being started when we were killed */
#define ADOPT_WAIT_NS (10 * NS_PER_S) /* for one that a client starts */

struct launch_run *launch_find(const struct launch *l, int64_t id)
{
    struct launch_run *r = l->runs;
    while (r && r->id != id)
        r = r->next;
    return r;
}

static int need(struct launch *l, int64_t id, struct launch_run **r, struct err *e)
{
    *r = launch_find(l, id);
    if (!*r || (*r)->over)
        return err_set(e, WATTQ_E_NOT_FOUND, "run %" PRId64 " is not running", id);
    return 0;
}

/* ---- life --------------------------------------------------------------------------------------- */

/* --scope execs the shepherd from our own process, so descriptors pass; a service would not. */
static bool user_manager_answers(void)
{
    char path[WATTQ_PATH_MAX];
    const char *dir = getenv("XDG_RUNTIME_DIR"), *chosen = getenv("WATTQ_CGROUP");
    if (!dir || (chosen && *chosen))
        return false;
    int n = snprintf(path, sizeof(path), "%s/systemd/private", dir);
    return n > 0 && (size_t)n < sizeof(path) && access(path, W_OK) == 0;
}

int launch_open(struct launch **out, uv_loop_t *loop, const struct launch_config *cfg,
                struct err *e)
{
    char base[512];
    int fd = open(cfg->runs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the directory of runs %s", cfg->runs_dir);
    struct launch *l = base_alloc(sizeof(*l));
    l->loop = loop;
    l->runs_fd = fd;
    l->ready_fd = -1;
    l->runs_dir = base_strdup(cfg->runs_dir);
    l->shepherd_path = base_strdup(cfg->shepherd_path);
    l->on_event = cfg->on_event;
    l->on_ready = cfg->on_ready;
    l->arg = cfg->arg;
    l->systemd = !cfg->launcher && user_manager_answers();
    bool grouped =
        !cfg->launcher &&
        (l->systemd || (cgroup_find(NULL, base, sizeof(base)) == 0 && cgroup_usable(base)));
    l->mode = cfg->launcher ? "system" : grouped ? "user+cgroup" : "user+subreaper";
    uv_timer_init(loop, &l->alive);
    l->handles = 1;
    if (cfg->launcher)
        root_open(l, cfg->launcher);
    *out = l;
    return 0;
}

const char *launch_whose(const struct launch *l)
{
    return l->root.dir ? "system" : "user";
}

const char *launch_mode(const struct launch *l)
{
    return l->mode;
}

void launch_handle_closed(struct launch *l)
{
    if (--l->handles > 0)
        return;
    void (*closed)(void *) = l->closed;
    void *arg = l->closed_arg;
    close(l->runs_fd);
    free(l->root.dir);
    free(l->runs_dir);
    free(l->shepherd_path);
    free(l);
    if (closed)
        closed(arg);
}

static void on_alive_closed(uv_handle_t *h)
{
    launch_handle_closed(container_of(h, struct launch, alive));
}

static void on_run_closed(uv_handle_t *h)
{
    struct launch_run *r = container_of(h, struct launch_run, timer);
    struct launch *l = r->l;
    free(r->dir);
    free(r);
    launch_handle_closed(l);
}

static void forget(struct launch_run *r)
{
    for (struct launch_run **p = &r->l->runs; *p; p = &(*p)->next)
        if (*p == r) {
            *p = r->next;
            break;
        }
    conn_close(r);
    cgroup_close(&r->tree.cg);
    base_closep(&r->block_fd);
    r->block_fd = -1;
    uv_close((uv_handle_t *)&r->timer, on_run_closed);
}

static void drop_ready(struct launch *l)
{
    base_closep(&l->ready_fd);
    l->ready_fd = -1;
}

void launch_close(struct launch *l, void (*closed)(void *arg), void *arg)
{
    l->closed = closed;
    l->closed_arg = arg;
    drop_ready(l);
    while (l->runs)
        forget(l->runs);
    root_close(l);
    uv_close((uv_handle_t *)&l->alive, on_alive_closed);
}

/* What its shepherd writes there is its user's word, and good for nothing but this run. */
static bool is_not_ours(const struct launch_run *r)
{
    struct stat st;
    return r->l->root.dir && lstat(r->dir, &st) == 0 && st.st_uid != geteuid();
}

struct launch_run *launch_add(struct launch *l, int64_t id, int64_t token, enum launch_how how)
{
    struct launch_run *old = launch_find(l, id);
    if (old)
        forget(old);
    struct launch_run *r = base_alloc(sizeof(*r));
    r->l = l;
    r->id = id;
    r->token = token;
    r->how = how;
    r->until_ns = clock_mono_ns() + (how == HOW_ADOPTED ? ADOPT_WAIT_NS : PATIENCE_NS);
    r->dir = base_printf("%s/%" PRId64, l->runs_dir, id);
    r->tree.cg.fd = -1;
    r->block_fd = -1;
    r->cpu_us = -1;
    base_strcpy(r->mode, sizeof(r->mode), l->mode);
    r->not_ours = is_not_ours(r);
    uv_timer_init(l->loop, &r->timer);
    l->handles++;
    r->next = l->runs;
    l->runs = r;
    return r;
}

/* ---- the run's directory ------------------------------------------------------------------------ */

static int open_run_dir(const struct launch *l, int64_t id)
{
    char name[32];
    snprintf(name, sizeof(name), "%" PRId64, id);
    return openat(l->runs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int create_file(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* With padding, so that the gate can be noted later without allocating. All of it is made durable before that
 * (launch_sync.c), or a power cut could leave a started run without any. */
static int create_state(int dirfd)
{
    int fd CLEANUP(base_closep) =
        openat(dirfd, "state", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    return fd >= 0 ? result_state_blank(fd) : -1;
}

static int cannot_make(const struct launch *l, int64_t run_id, struct err *e)
{
    return err_errno(e, WATTQ_E_IO, "cannot make the files of a run in %s/%" PRId64, l->runs_dir,
                     run_id);
}

/* Its directory, not durable yet. 1: it was there, from a start that was given up. */
static int make_dir(struct launch *l, int64_t run_id, int *dirfd, struct err *e)
{
    char name[32];
    struct stat st;
    bool system = l->root.dir != NULL;
    *dirfd = -1;
    snprintf(name, sizeof(name), "%" PRId64, run_id);
    if (mkdirat(l->runs_fd, name, 0700) < 0 && errno != EEXIST)
        return err_errno(e, WATTQ_E_IO, "cannot make the run's directory %s/%s", l->runs_dir, name);
    int fd CLEANUP(base_closep) = open_run_dir(l, run_id);
    /* The last one to be made: where it is, the others are. */
    bool was = fd >= 0 && fstatat(fd, "state", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
    bool made = fd >= 0 &&
                (was || (system ? fchmod(fd, 0711) == 0
                                : create_file(fd, "log") == 0 && create_file(fd, "metrics") == 0));
    if (!made || (!was && create_state(fd) < 0))
        return cannot_make(l, run_id, e);
    *dirfd = fd;
    fd = -1;
    return was;
}

int launch_prepare(struct launch *l, int64_t run_id, struct err *e)
{
    int dirfd CLEANUP(base_closep) = -1;
    int rc = make_dir(l, run_id, &dirfd, e);
    if (rc < 0)
        return rc;
    return sync_dir(l, dirfd) < 0 ? cannot_make(l, run_id, e) : 0;
}

int launch_open_file(struct launch *l, int64_t run_id, const char *name, struct err *e)
{
    struct stat st;
    int dirfd CLEANUP(base_closep) = open_run_dir(l, run_id);
    if (dirfd < 0 || strchr(name, '/'))
        return err_set(e, WATTQ_E_NOT_FOUND, "run %" PRId64 " has no files here", run_id);
    int fd CLEANUP(base_closep) =
        openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, errno == ENOENT ? WATTQ_E_NOT_FOUND : WATTQ_E_IO,
                         "cannot open the %s of run %" PRId64, name, run_id);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return err_set(e, WATTQ_E_INVALID, "the %s of run %" PRId64 " is not the file we made",
                       name, run_id);
    int out = fd;
    fd = -1;
    return out;
}

/* ---- starting ----------------------------------------------------------------------------------- */

/* Not where systemd-run is to start it. Failure is none: then a start takes longer. */
void launch_get_ready(struct launch *l)
{
    char word[] = READY_ARGUMENT, *argv[] = {l->shepherd_path, word, l->runs_dir, NULL};
    int pair[2];
    if (l->root.dir || l->systemd || !ready_has_gone(l->ready_fd))
        return;
    drop_ready(l);
    if (ready_pair(pair) < 0)
        return;
    l->ready_fd = pair[0];
    if (spawn_detached(argv, &pair[1], 1, NULL) < 0)
        drop_ready(l);
    close(pair[1]);
}

static bool tell_ready(struct launch *l, char *const argv[], const int *fds, size_t n)
{
    bool told = l->ready_fd >= 0 && ready_tell(l->ready_fd, argv, fds, n) == 0;
    drop_ready(l);
    return told;
}

static int spawn_shepherd(const struct launch_run *r, int memfd, int conn, struct err *e)
{
    char unit[96], delegate[] = "--property=Delegate=yes", mode[] = "--property=KillMode=process";
    char run[] = "systemd-run", user[] = "--user", scope[] = "--scope", quiet[] = "--quiet";
    char collect[] = "--collect", dashes[] = "--", conn_fd[] = "4";
    const int fds[] = {memfd, conn};
    char *direct[] = {r->l->shepherd_path, r->dir, conn_fd, NULL};
    char *scoped[] = {run,      user,    scope, quiet,  collect,
                      delegate, mode,    unit,  dashes, r->l->shepherd_path,
                      r->dir,   conn_fd, NULL};
    snprintf(unit, sizeof(unit), "--unit=wattq-run-%" PRId64 "-%" PRId64 "-%d", r->id, r->token,
             (int)getpid());
    if (!r->by_systemd && tell_ready(r->l, direct, fds, ARRAY_LEN(fds)))
        return 0;
    return spawn_detached(r->by_systemd ? scoped : direct, fds, ARRAY_LEN(fds), e);
}

int launch_spawn(struct launch_run *r, struct err *e)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a socket pair");
    int rc = spawn_shepherd(r, r->block_fd, pair[1], e);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        return rc;
    }
    return conn_open(r, pair[0], e);
}

/* What an earlier start of this run left that was given up before its gate opened. */
static int clear_stale(struct launch *l, int64_t run_id, struct err *e)
{
    struct result_shepherd s;
    struct result_state state;
    bool alive = false;
    int dirfd CLEANUP(base_closep) = open_run_dir(l, run_id);
    if (dirfd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the directory of run %" PRId64, run_id);
    /* One that was released and not opened was found out as such before it came here again. */
    result_state_read(dirfd, &state);
    if (state.step > RESULT_RELEASED)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " has been started before", run_id);
    result_shepherd_read(dirfd, &s, &alive);
    if (alive && s.token != 0) {
        /* It waits at a gate nobody will open any more. */
        struct frame f = {.magic = FRAME_MAGIC, .kind = FRAME_ABORT, .token = s.token};
        int fd CLEANUP(base_closep) = frame_connect(dirfd, "ctl", NULL);
        if (fd >= 0)
            (void)!frame_send(fd, &f, NULL);
    }
    unlinkat(dirfd, "result", 0);
    return 0;
}

int launch_start(struct launch *l, const struct launch_block *b, const struct launch_order *o,
                 struct err *e)
{
    struct launch_run *old = launch_find(l, b->run_id);
    if (old && !old->over && !old->aborted)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is being supervised already",
                       b->run_id);
    int dirfd CLEANUP(base_closep) = -1;
    int rc = make_dir(l, b->run_id, &dirfd, e);
    if (rc > 0)
        rc = clear_stale(l, b->run_id, e);
    if (rc)
        return rc;
    struct launch_run *r = launch_add(l, b->run_id, b->token, HOW_STARTED);
    r->by_systemd = l->systemd;
    r->time_limit_ns = b->time_limit_ns;
    r->grace_ns = b->grace_ns;
    rc = launch_block_write(b, &r->block_fd, e);
    if (rc == 0)
        rc = l->root.dir ? root_start(r, o, e) : launch_spawn(r, e);
    if (rc && r->by_systemd && r->block_fd >= 0) {
        r->by_systemd = l->systemd = false; /* systemd-run is not there after all */
        rc = launch_spawn(r, e);
    }
    if (rc == 0 && sync_begin(r, dirfd) < 0)
        rc = cannot_make(l, b->run_id, e);
    else if (rc == 0)
        dirfd = -1; /* the sync's */
    if (rc && r->asked)
        root_forget(r);
    if (rc && r->conn)
        (void)!conn_send(r, FRAME_ABORT, 0, 0, NULL);
    if (rc)
        forget(r);
    return rc;
}

int launch_adopt(struct launch *l, int64_t run_id, int64_t token, struct err *e)
{
    struct launch_run *old = launch_find(l, run_id);
    if (old && !old->over)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is being supervised already", run_id);
    conn_seek(launch_add(l, run_id, token, HOW_ADOPTED), 0);
    return 0;
}

void launch_reattach(struct launch *l, int64_t run_id, int64_t token)
{
    conn_seek(launch_add(l, run_id, token, HOW_REATTACHED), 0);
}

/* ---- what is asked of it ------------------------------------------------------------------------ */

int launch_go(struct launch *l, int64_t run_id, int64_t token, struct err *e)
{
    struct launch_run *r;
    int rc = need(l, run_id, &r, e);
    if (rc)
        return rc;
    if (token != r->token)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " was started under another token",
                       run_id);
    r->want_go = true;
    r->go_ns = clock_boot_ns();
    return r->conn ? conn_send(r, FRAME_GO, 0, 0, e) : 0;
}

static int stop(struct launch *l, int64_t run_id, enum result_cause cause, int signal,
                int64_t grace_ns, struct err *e)
{
    struct launch_run *r;
    int rc = need(l, run_id, &r, e);
    if (rc)
        return rc;
    if (!r->want_stop)
        r->stop_cause = cause;
    r->want_stop = true;
    r->stop_signal = signal;
    r->stop_grace_ns = grace_ns;
    if (r->orphan != ORPHAN_NOT)
        witness_stop(r, signal, grace_ns);
    return r->conn ? conn_send(r, FRAME_STOP, signal, grace_ns, e) : 0;
}

int launch_stop(struct launch *l, int64_t run_id, int signal, int64_t grace_ns, struct err *e)
{
    return stop(l, run_id, RESULT_STOPPED, signal, grace_ns, e);
}

int launch_stop_energy(struct launch *l, int64_t run_id, int64_t grace_ns, struct err *e)
{
    return stop(l, run_id, RESULT_ENERGY_LIMIT, SIGTERM, grace_ns, e);
}

int launch_pause(struct launch *l, int64_t run_id, bool pause, struct err *e)
{
    struct launch_run *r;
    int rc = need(l, run_id, &r, e);
    if (rc < 0)
        return rc;
    r->want_pause = pause ? FRAME_PAUSE : FRAME_RESUME;
    if (r->orphan != ORPHAN_NOT) {
        witness_pause(r, pause);
        return 0;
    }
    return r->conn ? conn_send(r, r->want_pause, 0, 0, e) : 0;
}

int launch_abort(struct launch *l, int64_t run_id, struct err *e)
{
    struct launch_run *r;
    int rc = need(l, run_id, &r, e);
    if (rc)
        return rc;
    if (r->want_go || r->started)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " has been released; stop it instead",
                       run_id);
    rc = conn_send(r, FRAME_ABORT, 0, 0, e);
    r->aborted = rc == 0;
    if (r->aborted && r->asked)
        root_forget(r);
    return rc;
}

void launch_ack(struct launch *l, int64_t run_id)
{
    struct launch_run *r = launch_find(l, run_id);
    if (r)
        forget(r);
}

int64_t launch_cpu_us(struct launch *l, int64_t run_id)
{
    struct launch_run *r = launch_find(l, run_id);
    if (!r || r->over || !r->tree.root)
        return -1;
    int64_t now_us = r->tree.cg.fd >= 0 ? cgroup_cpu_us(&r->tree.cg) : tree_cpu_us(&r->tree);
    /* /proc is read one process after the other: one that ends meanwhile would make the sum fall. */
    if (now_us > r->cpu_us)
        r->cpu_us = now_us;
    return r->cpu_us;
}

int launch_cpu_source(struct launch *l, int64_t run_id, int *cpu_stat_fd, pid_t *pid)
{
    struct launch_run *r = launch_find(l, run_id);
    *cpu_stat_fd = -1;
    if (!r || r->over || !r->tree.root)
        return 1;
    *pid = r->tree.root;
    if (r->tree.cg.fd >= 0)
        *cpu_stat_fd = openat(r->tree.cg.fd, "cpu.stat", O_RDONLY | O_CLOEXEC);
    return 0;
}
