#include "daemon/launch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"

#define FDS_MAX     8
#define FD_LIMIT    65536 /* how far the fallback of close_range goes */
#define STACK_BYTES 65536

void spawn_reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &dfl, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void spawn_close_from(int first)
{
    if (close_range((unsigned)first, ~0u, 0) == 0)
        return;
    long n = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (n > 0 && n < FD_LIMIT ? (int)n : FD_LIMIT); fd++)
        close(fd);
}

/* Put fds at 3, 4, ... and the error pipe behind them, whatever numbers they have now. */
static int place(const int *fds, size_t n, int err_fd)
{
    int high[FDS_MAX + 1];
    for (size_t i = 0; i <= n; i++) {
        high[i] = fcntl(i < n ? fds[i] : err_fd, F_DUPFD, 3 + FDS_MAX + 1);
        if (high[i] < 0)
            return -1;
    }
    for (size_t i = 0; i <= n; i++)
        if (dup3(high[i], 3 + (int)i, i < n ? 0 : O_CLOEXEC) < 0)
            return -1;
    spawn_close_from(4 + (int)n);
    return 3 + (int)n;
}

/* In the grandchild: never returns. */
static void become(char *const argv[], const int *fds, size_t n, int err_fd)
{
    int null = open("/dev/null", O_RDWR);
    int report = null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 ? place(fds, n, err_fd) : -1;
    if (report >= 0) {
        spawn_reset_signals();
        execvp(argv[0], argv);
    }
    int code = errno;
    (void)!write(report >= 0 ? report : err_fd, &code, sizeof(code));
    _exit(127);
}

/* All signals stay blocked until they are reset: a handler of ours must not run in the child. */
static pid_t fork_blocked(sigset_t *old)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, old);
    pid_t pid = fork();
    if (pid != 0)
        sigprocmask(SIG_SETMASK, old, NULL);
    return pid;
}

static void wait_for(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
}

struct program {
    char *const *argv;
    const int *fds;
    size_t n;
    int report; /* write end, CLOEXEC */
};

static int be_program(void *arg)
{
    const struct program *p = arg;
    setsid();
    become(p->argv, p->fds, p->n, p->report);
    return 127;
}

/* In our memory, while this thread stands still until the exec: nothing of a large process is copied, and no other
 * thread pays for pages that became shared. On a stack of its own, as posix_spawn does it. */
static pid_t start_in_place(struct program *p)
{
    sigset_t all, old;
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -1;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    pid_t pid = clone(be_program, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, p);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    munmap(stack, STACK_BYTES);
    errno = saved;
    return pid;
}

static pid_t start_twice_removed(struct program *p)
{
    sigset_t old;
    pid_t pid = fork_blocked(&old);
    if (pid > 0)
        wait_for(pid, NULL);
    if (pid != 0)
        return pid;
    pid_t grandchild = fork();
    if (grandchild == 0)
        _exit(be_program(p));
    if (grandchild < 0)
        (void)!write(p->report, &errno, sizeof(errno));
    _exit(0);
}

/* ThreadSanitizer keeps the handlers of signals in our memory: a child that resets its own would take ours away. */
#ifdef __SANITIZE_THREAD__
#define IN_PLACE false
#else
#define IN_PLACE true
#endif

static bool is_subreaper(void)
{
    int on = 0;
    return prctl(PR_GET_CHILD_SUBREAPER, &on) == 0 && on;
}

int spawn_detached(char *const argv[], const int *fds, size_t nfds, struct err *e)
{
    int report[2];
    if (nfds > FDS_MAX)
        return err_set(e, WATTQ_E_INTERNAL, "too many descriptors for %s", argv[0]);
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot start %s", argv[0]);
    struct program p = {argv, fds, nfds, report[1]};
    /* What is twice removed from a subreaper becomes its child all the same. */
    pid_t pid = IN_PLACE && is_subreaper() ? start_in_place(&p) : start_twice_removed(&p);
    int saved = errno;
    close(report[1]);
    int code = 0;
    ssize_t n = 0;
    if (pid > 0) {
        do
            n = read(report[0], &code, sizeof(code));
        while (n < 0 && errno == EINTR);
    }
    close(report[0]);
    if (pid < 0 || n > 0) {
        errno = pid < 0 ? saved : code;
        err_errno(e, WATTQ_E_IO, "cannot start %s", argv[0]);
        err_next(e, "is wattq installed completely? see `wattqd --help`");
        return WATTQ_E_IO;
    }
    return 0;
}

/* ---- capture ------------------------------------------------------------------------------------ */

/* Reads to the end, the deadline or cap; true = the end was reached. */
static bool drain(int fd, int64_t deadline_ns, char *out, size_t cap, bool *truncated)
{
    char spill[4096] = {0};
    size_t have = 0;
    out[0] = 0;
    for (;;) {
        int64_t left_ns = deadline_ns - clock_mono_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ns <= 0 || poll(&p, 1, (int)(left_ns / NS_PER_MS) + 1) <= 0)
            return false;
        bool full = have == cap - 1;
        ssize_t n = read(fd, full ? spill : out + have, full ? sizeof(spill) : cap - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (full)
            *truncated = true;
        else
            have += (size_t)n;
        out[have] = 0;
    }
}

static void become_captured(char *const argv[], char *const env[], int out)
{
    setpgid(0, 0);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0 || dup2(out, 1) < 0)
        _exit(127);
    spawn_close_from(3);
    spawn_reset_signals();
    if (env)
        execvpe(argv[0], argv, env);
    else
        execvp(argv[0], argv);
    _exit(127);
}

int spawn_capture(char *const argv[], char *const env[], int64_t deadline_mono_ns, char *out,
                  size_t cap, bool *truncated)
{
    int pipes[2];
    sigset_t old;
    *truncated = false;
    out[0] = 0;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork_blocked(&old);
    if (pid == 0)
        become_captured(argv, env, pipes[1]);
    close(pipes[1]);
    if (pid > 0)
        setpgid(pid, pid); /* both sides do it: whoever comes first */
    bool ended = pid > 0 && drain(pipes[0], deadline_mono_ns, out, cap, truncated);
    close(pipes[0]);
    if (pid < 0)
        return -1;
    /* It may close its stdout and stay. */
    int status = 0;
    const struct timespec step = {.tv_nsec = NS_PER_MS};
    while (ended && waitpid(pid, &status, WNOHANG) == 0) {
        ended = clock_mono_ns() < deadline_mono_ns;
        nanosleep(&step, NULL);
    }
    if (ended)
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    kill(-pid, SIGKILL);
    wait_for(pid, &status);
    return -1;
}
