#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/shepherd.h"
#include "daemon/launch/shepherd_private.h"
#include "daemon/launch/witness.h"

#define LOCK_TRIES   200 /* of 5 ms: a reader's shared lock lasts microseconds */
#define LOCK_WAIT_NS (5 * NS_PER_MS)

static int watch_fd(struct shepherd *s, int fd, uint32_t wake, struct err *e)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = wake};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot watch a descriptor");
    return 0;
}

static int open_events(struct shepherd *s, struct err *e)
{
    static const int taken[] = {SIGCHLD, SIGTERM, SIGHUP,  SIGINT, SIGQUIT,
                                SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM};
    struct sigaction old;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->nohup = sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN &&
               (s->block->flags & LAUNCH_FOREGROUND);
    /* An inherited SIG_IGN would hide signals from us, or have the kernel reap the run behind our back. */
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (taken[i] != SIGHUP || !s->nohup)
            signal(taken[i], SIG_DFL);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->epoll_fd < 0 || s->signal_fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot watch signals");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_errno(e, WATTQ_E_UNAVAILABLE,
                         "this kernel has no subreapers (Linux 3.4 or newer)");
    return watch_fd(s, s->signal_fd, WAKE_SIGNAL, e);
}

/* One shepherd per directory, for as long as it lives. */
static int lock(struct shepherd *s, struct err *e)
{
    const struct timespec pause = {.tv_nsec = LOCK_WAIT_NS};
    s->lock_fd = openat(s->dirfd, "shepherd", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (s->lock_fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot write in the run's directory %s", s->dir);
    for (int i = 0; flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK || i == LOCK_TRIES)
            return err_errno(e, WATTQ_E_CONFLICT, "another shepherd holds the run's directory %s",
                             s->dir);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int open_state(struct shepherd *s, struct err *e)
{
    char have[RESULT_STATE_BYTES], blank[RESULT_STATE_BYTES];
    memset(blank, '\n', sizeof(blank));
    s->state_fd = openat(s->dirfd, "state", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (s->state_fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot write in the run's directory %s", s->dir);
    if (pread(s->state_fd, have, sizeof(have), 0) == RESULT_STATE_BYTES &&
        memcmp(have, blank, sizeof(blank)) == 0)
        return 0; /* launch_prepare has made it, durably */
    if (ftruncate(s->state_fd, 0) < 0 || result_state_blank(s->state_fd) < 0 ||
        fsync(s->state_fd) < 0 || fsync(s->dirfd) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot write in the run's directory %s", s->dir);
    return 0;
}

/* Room that the result gets back on a disk that the run has filled. */
static void reserve(const struct shepherd *s)
{
    int fd CLEANUP(base_closep) =
        openat(s->dirfd, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        (void)!fallocate(fd, 0, 0, 4096);
}

/* Every task of the machine, its user's among them; < 0 = not known. /proc/loadavg: "0.1 0.1 0.1 2/345 6789". */
static int64_t all_tasks(void)
{
    long long n = -1;
    FILE *f CLEANUP(base_fclosep) = fopen("/proc/loadavg", "re");
    return f && fscanf(f, "%*s %*s %*s %*d/%lld", &n) == 1 ? n : -1;
}

/* Where a controller is not to be had, limits of single processes and of its user come nearest: memory that
 * a process may write and shares with nobody (RLIMIT_DATA), tasks of its user (RLIMIT_NPROC; not root's). */
static void set_cgroup_limits(struct shepherd *s)
{
    const struct launch_block *b = s->block;
    struct cgroup_missing missing = {b->mem_max_bytes > 0, b->pids_max > 0};
    if (s->tree.cg.fd >= 0)
        cgroup_limit(&s->tree.cg, b->mem_max_bytes, b->pids_max, &missing);
    if (missing.memory) {
        s->mem_each_bytes = b->mem_max_bytes;
        shepherd_note(
            s, "its memory limit held for each of its processes alone: no memory controller here");
    }
    int64_t tasks = missing.pids ? all_tasks() : -1;
    if (tasks >= 0)
        s->user_tasks = tasks + b->pids_max;
}

/* Without a launcher a run does without a cgroup where none can be had. */
static int enter_cgroup(struct shepherd *s, struct err *e)
{
    char base[512];
    int rc = 0;
    if (s->sys && s->sys->cgroup) {
        rc = cgroup_create(&s->tree.cg, s->sys->cgroup, s->block->run_id, e);
        if (rc == 0 && cgroup_hand_over(&s->tree.cg, s->sys->daemon_uid) < 0)
            rc = err_errno(e, WATTQ_E_IO, "cannot hand the run's cgroup over");
    } else if (!s->sys && cgroup_find(s->block->cgroup, base, sizeof(base)) == 0) {
        if (s->block->mem_max_bytes || s->block->pids_max)
            cgroup_enable(base);
        (void)!cgroup_create(&s->tree.cg, base, s->block->run_id, NULL);
    }
    if (rc == 0)
        set_cgroup_limits(s);
    return rc;
}

/* The child waits at the gate, so everything of the run begins inside the cgroup either way. */
static pid_t fork_inside(struct shepherd *s)
{
    pid_t pid = s->tree.cg.fd >= 0 ? cgroup_fork(&s->tree.cg) : -1;
    if (pid >= 0)
        return pid;
    pid = fork();
    if (pid > 0 && s->tree.cg.fd >= 0 && cgroup_add(&s->tree.cg, pid, NULL) < 0)
        cgroup_remove(&s->tree.cg);
    return pid;
}

static int be_witnessed(const struct shepherd *s, struct err *e)
{
    struct witness w = {.kind = WITNESS_FORKED, .pid = s->main_pid};
    base_strcpy(w.leaf, sizeof(w.leaf), s->tree.cg.fd >= 0 ? s->tree.cg.path : "");
    if (write(s->witness_fd, &w, sizeof(w)) != (ssize_t)sizeof(w))
        return err_errno(e, WATTQ_E_IO, "cannot tell the launcher of the run's process");
    return 0;
}

static int fork_child(struct shepherd *s, struct err *e)
{
    int gate[2], report[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make the gate");
    if (pipe2(report, O_CLOEXEC) < 0) {
        close(gate[0]);
        close(gate[1]);
        return err_errno(e, WATTQ_E_IO, "cannot make the gate");
    }
    s->main_pid = fork_inside(s);
    if (s->main_pid == 0)
        child_main(s, gate[0], gate[1], report[1]);
    close(gate[0]);
    close(report[1]);
    s->gate_fd = gate[1];
    s->exec_fd = report[0];
    if (s->main_pid < 0)
        return err_errno(e, WATTQ_E_IO, "cannot fork the run");
    return 0;
}

static int publish(struct shepherd *s, struct err *e)
{
    struct result_shepherd who = {.run_id = s->block->run_id,
                                  .token = s->block->token,
                                  .pid = getpid(),
                                  .main_pid = s->main_pid,
                                  .on_end_pid = s->end.pid};
    bool grouped = s->tree.cg.fd >= 0;
    base_strcpy(who.mode, sizeof(who.mode), grouped ? "cgroup" : "subreaper");
    base_strcpy(who.cgroup, sizeof(who.cgroup), grouped ? s->tree.cg.path : "");
    base_strcpy(who.boot_id, sizeof(who.boot_id), s->r.boot_id);
    base_strcpy(s->r.mode, sizeof(s->r.mode), who.mode);
    return result_shepherd_write(s->lock_fd, &who, e);
}

static int hold_dir(struct shepherd *s, struct err *e)
{
    int rc = lock(s, e);
    return rc ? rc : open_state(s, e);
}

static int open_files(struct shepherd *s, struct err *e)
{
    int rc =
        files_open(&s->files, s->dirfd,
                   s->block->flags & LAUNCH_FOREGROUND ? 0 : s->block->log_cap_bytes, s->sys, e);
    return rc == 0 && s->files.inotify_fd >= 0 ? watch_fd(s, s->files.inotify_fd, WAKE_FILES, e)
                                               : rc;
}

/* The run's process is made first, while we are root; of the run's directory, which belongs to the daemon's
 * user, nothing is touched before we are that user. */
static int set_up_as_root(struct shepherd *s, struct err *e)
{
    int rc = enter_cgroup(s, e);
    if (rc == 0)
        rc = fork_child(s, e);
    if (rc == 0)
        rc = on_end_fork(s, e);
    if (rc == 0 && s->sys->cgroup && s->tree.cg.fd < 0)
        rc = err_set(e, WATTQ_E_UNAVAILABLE, "the run cannot be put into a cgroup below %s",
                     s->sys->cgroup);
    if (rc == 0)
        rc = be_witnessed(s, e);
    if (rc == 0)
        rc = s->sys->leave_root(s->sys->arg, e);
    return rc ? rc : hold_dir(s, e);
}

/* Its process needs the log that is made here. */
static int set_up_as_user(struct shepherd *s, struct err *e)
{
    int rc = hold_dir(s, e);
    if (rc == 0)
        rc = open_files(s, e);
    if (rc == 0)
        rc = enter_cgroup(s, e);
    if (rc == 0)
        rc = fork_child(s, e);
    return rc ? rc : on_end_fork(s, e);
}

/* Whoever connects is told by ctl_open that the child stands at its gate. What comes behind that is there before GO is
 * read. */
int setup_all(struct shepherd *s, int conn, struct err *e)
{
    int rc = open_events(s, e);
    if (rc == 0)
        rc = s->sys ? set_up_as_root(s, e) : set_up_as_user(s, e);
    if (rc == 0)
        rc = publish(s, e);
    if (rc == 0)
        rc = ctl_open(s, conn, e);
    if (rc == 0 && s->sys)
        rc = open_files(s, e);
    if (rc == 0)
        reserve(s);
    return rc;
}

void setup_undo(struct shepherd *s)
{
    ctl_close(s);
    on_end_close(s);
    unlinkat(s->dirfd, "reserve", 0);
    cgroup_remove(&s->tree.cg);
    files_close(&s->files);
    child_env_free(s->env);
    int *fds[] = {&s->gate_fd,  &s->exec_fd, &s->signal_fd, &s->epoll_fd,
                  &s->state_fd, &s->dirfd,   &s->lock_fd,   &s->witness_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        base_closep(fds[i]);
}
