/* Kills a program at its n-th system call, by ptrace, so that each of its steps can be the last one without a
 * line of test code in it. The call is not made any more.
 *
 *   killat --at N [--all] [--hold FILE] --log FILE --pid PID        PID, which runs already, with its threads
 *   killat --at N [--all] [--hold FILE] --log FILE -- PROGRAM ...   PROGRAM, in our place, from its exec on
 *
 * Counted are calls that others can see the effect of, or every call with --all; N = 0 never kills. --hold: the
 * thread is held at that call until FILE exists, and not killed. Children of the program are not followed.
 * To the log: "ready", then "killed N NAME", "held N NAME", "released", "ended N" (calls counted), a line each.
 *
 * Exit code 77: ptrace is not allowed here. PROGRAM is not our child: it keeps our pid, parent and descriptors,
 * and the tracer, two forks away, is nobody's child that it could notice. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* linux/ptrace.h and sys/ptrace.h do not go together; glibc has its own names for these. */
#define OPTIONS      (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define SKIP         77

static const struct {
    long nr;
    const char *name;
} visible[] = {
#define C(name) {SYS_##name, #name},
    C(write) C(pwrite64) C(writev) C(pwritev) C(pwritev2) C(fsync) C(fdatasync) C(ftruncate)
        C(fallocate) C(renameat) C(renameat2) C(unlinkat) C(mkdirat) C(openat) C(linkat) C(fchmod)
            C(fchmodat) C(sendmsg) C(sendto) C(clone) C(clone3) C(execve) C(wait4) C(waitid) C(kill)
                C(pidfd_send_signal) C(flock) C(bind) C(listen) C(connect) C(accept4) C(recvmsg)
                    C(recvfrom) C(exit_group)
#ifdef SYS_rename
                        C(rename) C(unlink) C(mkdir) C(chmod) C(fork) C(vfork) C(open)
#endif
#undef C
};

struct tracer {
    pid_t pid;
    long at, count;
    bool all, counting;
    const char *hold;
    int log;
};

static const char *name_of(long nr, bool *known)
{
    static char number[32];
    *known = true;
    for (size_t i = 0; i < sizeof(visible) / sizeof(visible[0]); i++)
        if (visible[i].nr == nr)
            return visible[i].name;
    *known = false;
    snprintf(number, sizeof(number), "%ld", nr);
    return number;
}

static void wait_for_file(const char *path)
{
    const struct timespec step = {.tv_nsec = 1000000};
    while (access(path, F_OK) < 0)
        nanosleep(&step, NULL);
}

static void on_call(struct tracer *t, long nr)
{
    bool known;
    const char *name = name_of(nr, &known);
    if (!t->counting || !(known || t->all))
        return;
    if (++t->count != t->at)
        return;
    if (t->hold) {
        dprintf(t->log, "held %ld %s\n", t->count, name);
        wait_for_file(t->hold);
        dprintf(t->log, "released\n");
        return;
    }
    kill(t->pid, SIGKILL);
    dprintf(t->log, "killed %ld %s\n", t->count, name);
}

/* One stop of one thread, which goes on afterwards. */
static void on_stop(struct tracer *t, pid_t tid, int status)
{
    struct __ptrace_syscall_info info;
    int sig = WSTOPSIG(status), event = status >> 16;
    if (sig == SYSCALL_STOP) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) > 0 &&
            info.op == PTRACE_SYSCALL_INFO_ENTRY)
            on_call(t, (long)info.entry.nr);
        sig = 0;
    } else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
        ptrace(PTRACE_LISTEN, tid, 0, 0); /* stopped by a signal: it stays so until SIGCONT */
        return;
    } else if (event) {
        t->counting |= event == PTRACE_EVENT_EXEC;
        sig = 0;
    }
    ptrace(PTRACE_SYSCALL, tid, 0, sig);
}

/* Until the program has ended. */
static void trace(struct tracer *t)
{
    int status;
    for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (tid > 0 && WIFSTOPPED(status))
            on_stop(t, tid, status);
        else if (tid == t->pid)
            break;
    }
    dprintf(t->log, "ended %ld\n", t->count);
}

static int seize(pid_t tid)
{
    if (ptrace(PTRACE_SEIZE, tid, 0, OPTIONS) < 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0)
        return -1;
    return 0;
}

static int skip(void)
{
    fprintf(stderr, "killat: ptrace is not allowed here: %s\n", strerror(errno));
    return SKIP;
}

/* Threads that start meanwhile are followed by the option, if their parent was seized before. */
static int seize_all(const struct tracer *t)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)t->pid);
    for (size_t found = 1; found > 0;) {
        found = 0;
        DIR *d = opendir(path);
        for (struct dirent *de; d && (de = readdir(d));) {
            pid_t tid = (pid_t)atoi(de->d_name);
            if (tid > 0 && seize(tid) == 0) /* else ours already */
                found++;
        }
        if (d)
            closedir(d);
        if (!d)
            return -1;
    }
    return 0;
}

static int follow_running(struct tracer *t)
{
    t->counting = true;
    if (seize(t->pid) < 0)
        return skip();
    if (seize_all(t) < 0)
        return 1;
    dprintf(t->log, "ready\n");
    trace(t);
    return 0;
}

/* The tracer of PROGRAM: holds nothing of it open. */
static void follow_started(struct tracer *t, int go)
{
    int keep_log = fcntl(t->log, F_DUPFD_CLOEXEC, 200), keep_go = fcntl(go, F_DUPFD_CLOEXEC, 201);
    setsid();
    for (int fd = 0; fd < 200; fd++)
        close(fd);
    t->log = keep_log;
    if (seize(t->pid) == 0) {
        dprintf(t->log, "ready\n");
        (void)!write(keep_go, "!", 1);
        close(keep_go);
        trace(t);
    }
    _exit(0);
}

static int run_traced(struct tracer *t, char **argv)
{
    int go[2], high[2];
    char byte;
    if (pipe(go) < 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        high[i] = fcntl(go[i], F_DUPFD_CLOEXEC, 150); /* argv's descriptors lie below */
        close(go[i]);
    }
    t->pid = getpid();
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pid_t between = fork();
    if (between == 0) {
        if (fork() == 0)
            follow_started(t, high[1]);
        _exit(0);
    }
    close(high[1]);
    close(t->log);
    if (between < 0 || waitpid(between, NULL, 0) < 0)
        return 1;
    ssize_t n;
    do
        n = read(high[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return skip();
    execvp(argv[0], argv);
    return 127;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"at", required_argument, NULL, 'n'},   {"all", no_argument, NULL, 'a'},
        {"hold", required_argument, NULL, 'h'}, {"log", required_argument, NULL, 'l'},
        {"pid", required_argument, NULL, 'p'},  {0}};
    struct tracer t = {.log = -1};
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        if (c == 'n')
            t.at = atol(optarg);
        else if (c == 'a')
            t.all = true;
        else if (c == 'h')
            t.hold = optarg;
        else if (c == 'l')
            t.log = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        else if (c == 'p')
            t.pid = (pid_t)atoi(optarg);
        else
            return 2;
    }
    if (t.log < 0 || (t.pid == 0) == (optind == argc)) {
        fprintf(stderr, "killat: see the head of killat.c\n");
        return 2;
    }
    return t.pid ? follow_running(&t) : run_traced(&t, argv + optind);
}
