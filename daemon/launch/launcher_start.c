/* START: is it vouched for, may it be, and then a shepherd. The order is launcher.h's. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/cgroup.h"
#include "daemon/launch/frames.h"
#include "daemon/launch/launcher_private.h"
#include "daemon/launch/ready.h"
#include "daemon/launch/spawn.h"

#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define FIRST_HIGH 64 /* above every descriptor a shepherd is given */

/* ---- is it what somebody asked for --------------------------------------------------------------- */

static int check_fds(const int fds[2], struct err *e)
{
    int domain = 0, type = 0;
    socklen_t n = sizeof(int);
    int seals = fcntl(fds[0], F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return err_set(e, WATTQ_E_PROTOCOL, "the launch block is not sealed");
    if (getsockopt(fds[1], SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 ||
        getsockopt(fds[1], SOL_SOCKET, SO_TYPE, &type, &n) < 0 || domain != AF_UNIX ||
        type != SOCK_STREAM)
        return err_set(e, WATTQ_E_PROTOCOL, "the shepherd's connection is no Unix stream socket");
    return 0;
}

/* The trainer's program is ours, whatever the daemon has called it. */
static int take_order(const struct launcher *l, struct launch_block *b, char *trainer, size_t cap,
                      uint8_t leaf[SHA256_BYTES], struct err *e)
{
    char env[SHA256_HEX];
    bool train = b->flags & LAUNCH_TRAIN;
    order_env_hash(b->env, env);
    const struct order o = {.kind = train ? ORDER_TRAIN : ORDER_COMMAND,
                            .umask = b->umask,
                            .cwd = b->cwd,
                            .stdin_path = b->stdin_path,
                            .on_end = b->on_end,
                            .argv = train ? b->argv + 1 : b->argv,
                            .env_hash = env};
    order_hash(&o, leaf);
    if (!train)
        return 0;
    int n = snprintf(trainer, cap, "%s/wattq-train", l->cfg.libexec);
    if (n < 0 || (size_t)n >= cap)
        return err_set(e, WATTQ_E_LIMIT, "the path of the trainer is too long");
    b->argv[0] = trainer;
    return 0;
}

static int check_warrant(const struct launcher *l, const struct launcher_record *r,
                         const uint8_t leaf[SHA256_BYTES], struct err *e)
{
    const struct warrant *w = &r->warrant;
    int64_t now_s = clock_utc_ns() / NS_PER_S;
    if (!warrant_genuine(w, l->key)) {
        err_set(e, WATTQ_E_FORBIDDEN, "this launcher has not signed run %" PRId64, r->run_id);
        err_next(e, "submit it again");
        return WATTQ_E_FORBIDDEN;
    }
    if (w->uid != r->uid || warrant_find(w, leaf) < 0)
        return err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " is not what its user has had signed",
                       r->run_id);
    if (now_s > w->until_utc_s) {
        err_set(e, WATTQ_E_FORBIDDEN, "the signature of run %" PRId64 " is older than %d days",
                r->run_id, WARRANT_DAYS);
        err_next(e, "submit it again");
        return WATTQ_E_FORBIDDEN;
    }
    if (journal_starts(&l->journal, w->id) >= w->starts_max) {
        err_set(e, WATTQ_E_FORBIDDEN, "all %u starts that its user has signed are used up",
                w->starts_max);
        err_next(e, "submit it again");
        return WATTQ_E_FORBIDDEN;
    }
    return 0;
}

/* ---- its directory and files --------------------------------------------------------------------- */

/* O_PATH would do for us, but the shepherd fsyncs it. */
static int open_dir(const struct launcher *l, int64_t run_id, struct err *e)
{
    char name[32];
    struct stat st;
    snprintf(name, sizeof(name), "%" PRId64, run_id);
    int fd CLEANUP(base_closep) =
        openat(l->runs_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, WATTQ_E_NOT_FOUND, "cannot open the directory of run %" PRId64, run_id);
    if (st.st_uid != l->daemon_uid)
        return err_set(e, WATTQ_E_FORBIDDEN, "the directory of run %" PRId64 " is not the daemon's",
                       run_id);
    int out = fd;
    fd = -1;
    return out;
}

/* A new file of the user's in a directory of the daemon's, whatever lay there under that name: that is only
 * unlinked, never opened. A file of his that has something in it is an earlier start's. */
static int make_file(const struct launcher *l, int dirfd, const char *name, uid_t uid,
                     struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISREG(st.st_mode) && st.st_uid == uid && st.st_size > 0)
            return err_set(e, WATTQ_E_CONFLICT, "the run has been started before: it has a %s",
                           name);
        if (unlinkat(dirfd, name, 0) < 0)
            return err_errno(e, WATTQ_E_IO, "cannot replace the %s of a run", name);
    }
    int fd CLEANUP(base_closep) =
        openat(dirfd, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchown(fd, uid, l->daemon_gid) < 0 || fchmod(fd, 0640) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make the %s of a run", name);
    int out = fd;
    fd = -1;
    return out;
}

int start_exec_dir(struct launcher *l, const struct launcher_record *r, struct err *e)
{
    static const char *const names[] = {"log", "metrics", "marks", "state"};
    int rc = key_user(l, r->uid, e);
    if (rc < 0)
        return rc;
    int fd CLEANUP(base_closep) = open_dir(l, r->run_id, e);
    if (fd < 0)
        return fd;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlinkat(fd, names[i], 0);
    if (fchown(fd, (uid_t)r->uid, l->daemon_gid) < 0 || fchmod(fd, 02770) < 0 || fsync(fd) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot give the directory of run %" PRId64 " to its user",
                         r->run_id);
    return 0;
}

/* ---- the shepherd -------------------------------------------------------------------------------- */

/* What it has open, in this order from LAUNCH_FD on (main_shepherd.c). */
enum { BLOCK, CONN, DIR_FD, LOG_FD, METRICS_FD, WITNESS_FD, OPEN_FDS };
_Static_assert(OPEN_FDS <= READY_FDS, "they fit into one order");

struct arguments {
    char program[WATTQ_PATH_MAX], dir[WATTQ_PATH_MAX], user[24], daemon[24];
    char *argv[12];
};

static void set_program(const struct launcher *l, struct arguments *a)
{
    snprintf(a->program, sizeof(a->program), "%s/wattq-shepherd", l->cfg.libexec);
    snprintf(a->daemon, sizeof(a->daemon), "%u", l->daemon_uid);
    a->argv[0] = a->program;
}

/* execve and the like take strings that they do not write to. */
static char *constant(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void set_run(const struct launcher *l, const struct launcher_record *r, struct arguments *a)
{
    size_t n = 1;
    set_program(l, a);
    snprintf(a->dir, sizeof(a->dir), "%s/%" PRId64, l->cfg.runs, r->run_id);
    snprintf(a->user, sizeof(a->user), "%" PRId64, r->uid);
    const char *const pairs[][2] = {{a->dir, "4"},
                                    {"--user", a->user},
                                    {"--daemon-user", a->daemon},
                                    {l->cgroup[0] ? "--cgroup" : NULL, l->cgroup},
                                    {l->cfg.pam_dir ? "--pam-dir" : NULL, l->cfg.pam_dir}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        for (size_t k = 0; k < 2 && pairs[i][0]; k++)
            a->argv[n++] = constant(pairs[i][k]);
    a->argv[n] = NULL;
}

/* Never returns. Nothing of ours but those descriptors and stderr comes along, and no environment. */
static void be_shepherd(char *const argv[], const int *fds, size_t n)
{
    char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *env[] = {path, NULL};
    int high[OPEN_FDS], null = open("/dev/null", O_RDWR);
    bool ok = null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0;
    for (size_t i = 0; i < n; i++)
        ok = ok && (high[i] = fcntl(fds[i], F_DUPFD, FIRST_HIGH)) >= 0;
    for (size_t i = 0; i < n && ok; i++)
        ok = dup2(high[i], LAUNCH_FD + (int)i) >= 0;
    spawn_close_from(LAUNCH_FD + (int)n);
    spawn_reset_signals();
    if (ok)
        execve(argv[0], argv, env);
    dprintf(2, "<3>wattq-launcher: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static pid_t fork_shepherd(const struct launcher *l, char *const argv[], const int *fds, size_t n)
{
    const struct cgroup leaf = {.fd = l->shepherds_fd};
    pid_t pid = leaf.fd >= 0 ? cgroup_fork(&leaf) : -1;
    if (pid < 0)
        pid = fork();
    if (pid == 0)
        be_shepherd(argv, fds, n);
    return pid;
}

static void drop_ready(struct launcher *l)
{
    base_closep(&l->ready_fd);
    l->ready_fd = -1;
}

void start_ready_reaped(struct launcher *l)
{
    if (ready_has_gone(l->ready_fd))
        drop_ready(l);
}

void start_ready(struct launcher *l)
{
    struct arguments a = {0};
    char word[] = READY_ARGUMENT, pam[] = READY_PAM;
    int pair[2];
    if (!ready_has_gone(l->ready_fd))
        return;
    drop_ready(l);
    if (ready_pair(pair) < 0)
        return;
    set_program(l, &a);
    a.argv[1] = word;
    a.argv[2] = constant(l->cfg.runs);
    a.argv[3] = pam;
    a.argv[4] = constant(l->cfg.pam_dir);
    l->ready_pid = fork_shepherd(l, a.argv, &pair[1], 1);
    close(pair[1]);
    l->ready_fd = pair[0];
    if (l->ready_pid < 0)
        drop_ready(l);
}

/* One that stands ready is told of the run only now, when its start is in the journal. -1 = there is none. */
static pid_t tell_ready(struct launcher *l, char *const argv[], const int *fds, size_t n)
{
    bool told = l->ready_fd >= 0 && ready_tell(l->ready_fd, argv, fds, n) == 0;
    drop_ready(l);
    return told ? l->ready_pid : -1;
}

static int give_shepherd(struct launcher *l, const struct launcher_record *r, int fds[OPEN_FDS],
                         pid_t *shepherd, struct err *e)
{
    struct arguments a = {0};
    int witness[2];
    if (pipe2(witness, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a pipe");
    fds[WITNESS_FD] = witness[1];
    set_run(l, r, &a);
    pid_t pid = tell_ready(l, a.argv, fds, OPEN_FDS);
    if (pid < 0)
        pid = fork_shepherd(l, a.argv, fds, OPEN_FDS);
    close(witness[1]);
    if (pid < 0) {
        close(witness[0]);
        return err_errno(e, WATTQ_E_IO, "cannot fork");
    }
    watch_add(l, r, pid, witness[0]);
    *shepherd = pid;
    return 0;
}

/* All but the witness's; those that were made are the caller's to close, also after an error. */
static int make_files(const struct launcher *l, const struct launcher_record *r,
                      const struct launch_block *b, int dirfd, int fds[OPEN_FDS], struct err *e)
{
    fds[LOG_FD] = make_file(l, dirfd, "log", (uid_t)r->uid, e);
    if (fds[LOG_FD] < 0)
        return fds[LOG_FD];
    fds[METRICS_FD] = make_file(l, dirfd, "metrics", (uid_t)r->uid, e);
    return fds[METRICS_FD] < 0 ? fds[METRICS_FD] : launch_block_write(b, &fds[BLOCK], e);
}

/* While the disk takes the start, its files are made: they tell nobody of it. Whatever becomes of them, the token is
 * used. */
static int write_down(struct launcher *l, const struct launcher_record *r,
                      const struct launch_block *b, int dirfd, int fds[OPEN_FDS], struct err *e)
{
    struct err why = {0};
    struct journal_record j = {.token = r->token,
                               .run_id = r->run_id,
                               .uid = r->uid,
                               .until_utc_s = r->warrant.until_utc_s};
    memcpy(j.warrant, r->warrant.id, sizeof(j.warrant));
    int rc = journal_begin(&l->journal, &j, clock_utc_ns() / NS_PER_S, e);
    if (rc < 0)
        return rc;
    int made = make_files(l, r, b, dirfd, fds, &why);
    rc = journal_end(&l->journal, &j, e);
    if (rc == 0 && made < 0)
        *e = why;
    return rc < 0 ? rc : made;
}

static int start_checked(struct launcher *l, const struct launcher_record *r,
                         const struct launch_block *b, int dirfd, int conn, pid_t *shepherd,
                         struct err *e)
{
    int fds[OPEN_FDS] = {-1, conn, dirfd, -1, -1, -1};
    if (r->token <= l->journal.high)
        return err_set(e, WATTQ_E_CONFLICT, "token %" PRId64 " is not above %" PRId64 ", the last",
                       r->token, l->journal.high);
    int rc = write_down(l, r, b, dirfd, fds, e);
    if (rc == 0)
        rc = give_shepherd(l, r, fds, shepherd, e);
    base_closep(&fds[BLOCK]);
    base_closep(&fds[LOG_FD]);
    base_closep(&fds[METRICS_FD]);
    return rc;
}

int start_run(struct launcher *l, const struct launcher_record *r, const int fds[2],
              pid_t *shepherd, struct err *e)
{
    struct launch_block b = {0};
    char trainer[WATTQ_PATH_MAX], none[] = "none";
    uint8_t leaf[SHA256_BYTES];
    int rc = check_fds(fds, e);
    if (rc == 0)
        rc = launch_block_read(fds[0], &b, e);
    if (rc < 0)
        return rc;
    if (b.run_id != r->run_id || b.token != r->token || (b.flags & LAUNCH_FOREGROUND))
        rc =
            err_set(e, WATTQ_E_PROTOCOL, "the launch block is not that of run %" PRId64, r->run_id);
    if (rc == 0)
        rc = take_order(l, &b, trainer, sizeof(trainer), leaf, e);
    if (rc == 0)
        rc = check_warrant(l, r, leaf, e);
    if (rc == 0)
        rc = key_user(l, r->uid, e);
    b.cgroup = none; /* --cgroup decides */
    int dirfd CLEANUP(base_closep) = rc == 0 ? open_dir(l, r->run_id, e) : -1;
    if (rc == 0)
        rc = dirfd < 0 ? dirfd : start_checked(l, r, &b, dirfd, fds[1], shepherd, e);
    launch_block_fini(&b);
    return rc;
}
