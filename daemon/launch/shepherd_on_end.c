/* The command that its user wants run once the run has ended. Its process is made together with the run's, while
 * that can still be done as root, and goes the same way: PAM, limits, user; then it waits for a word. It is in a
 * cgroup of its own and no member of the run's tree, and until it execs no waitpid without __WALL sees it, so that
 * "no children are left" is still true of the run alone. Should the shepherd be killed, the word never comes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/shepherd_private.h"
#include "daemon/launch/spawn.h"

#define ALONE_NS (10 * NS_PER_S)       /* without a wattqd that would say when */
#define MOST_NS  (ON_END_S * NS_PER_S) /* it may take so long */
#define LOOK_NS  (500 * NS_PER_MS) /* it might have died before its exec, of which nobody is told */
#define KILL_NS  (10 * NS_PER_MS)
#define HIGH_FD  64

/* What it is told when its time has come. */
struct on_end_word {
    char state[16];
    char exit_code[24];
};

/* ---- its process --------------------------------------------------------------------------------- */

/* The run's environment, in which ours stand for what it has of the same names. */
static char **make_env(char **of_run, int64_t run_id, const struct on_end_word *w)
{
    size_t n = 0, used = 0;
    while (of_run[n])
        n++;
    char **env = base_alloc((n + 4) * sizeof(*env));
    env[used++] = base_printf("WATTQ_RUN_ID=%" PRId64, run_id);
    env[used++] = base_printf("WATTQ_STATE=%s", w->state);
    env[used++] = base_printf("WATTQ_EXIT_CODE=%s", w->exit_code);
    for (size_t i = 0; i < n; i++)
        if (strncmp(of_run[i], "WATTQ_RUN_ID=", 13) != 0 &&
            strncmp(of_run[i], "WATTQ_STATE=", 12) != 0 &&
            strncmp(of_run[i], "WATTQ_EXIT_CODE=", 16) != 0)
            env[used++] = of_run[i];
    return env;
}

/* Everything else that the shepherd had open is gone: its lock, and the ends whose closing tells of its death. */
static void keep_only(int *gate, int *report)
{
    int high[2] = {fcntl(*gate, F_DUPFD, HIGH_FD), fcntl(*report, F_DUPFD, HIGH_FD)};
    if (high[0] < 0 || high[1] < 0 || dup3(high[0], 3, O_CLOEXEC) < 0 ||
        dup3(high[1], 4, O_CLOEXEC) < 0)
        _exit(126);
    *gate = 3;
    *report = 4;
    spawn_close_from(5);
}

static void be_command(const struct shepherd *s, int gate, int report) __attribute__((noreturn));
static void be_command(const struct shepherd *s, int gate, int report)
{
    struct on_end_word w;
    char sh[] = "sh", dash_c[] = "-c";
    char *argv[] = {sh, dash_c, s->block->on_end, NULL};
    close(s->gate_fd); /* the run's */
    child_prepare(s, &s->end.cg, report);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    keep_only(&gate, &report);
    ssize_t n;
    do
        n = recv(gate, &w, sizeof(w), 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(w) || getppid() != s->tree.root)
        _exit(0);
    child_enter(s->block, NULL, report);
    spawn_reset_signals();
    execve("/bin/sh", argv, make_env(s->env, s->block->run_id, &w));
    child_fail(report, STEP_EXEC, errno);
    _exit(127);
}

/* ---- the shepherd's side: the beginning ---------------------------------------------------------- */

/* Beside the run's. */
static int make_leaf(struct shepherd *s, struct err *e)
{
    struct cgroup_missing missing;
    const char *last = s->tree.cg.fd >= 0 ? strrchr(s->tree.cg.path, '/') : NULL;
    if (!last)
        return 0;
    char *base CLEANUP(base_freep) =
        base_strdup_n(s->tree.cg.path, (size_t)(last - s->tree.cg.path));
    int rc = cgroup_create(&s->end.cg, base, s->block->run_id, e);
    if (rc == 0 && s->sys && cgroup_hand_over(&s->end.cg, s->sys->daemon_uid) < 0)
        rc = err_errno(e, WATTQ_E_IO, "cannot hand the cgroup of on_end over");
    if (rc == 0)
        cgroup_limit(&s->end.cg, s->block->mem_max_bytes, s->block->pids_max, &missing);
    return rc;
}

static pid_t fork_beside(struct shepherd *s)
{
    bool inside = false;
    pid_t pid = cgroup_fork_unseen(&s->end.cg, &inside);
    if (pid > 0 && !inside && s->end.cg.fd >= 0 && cgroup_add(&s->end.cg, pid, NULL) < 0)
        cgroup_remove(&s->end.cg);
    return pid;
}

int on_end_fork(struct shepherd *s, struct err *e)
{
    int gate[2], report[2];
    if (!s->block->on_end || !*s->block->on_end)
        return 0;
    int rc = make_leaf(s, e);
    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make the gate of on_end");
    if (pipe2(report, O_CLOEXEC) < 0) {
        close(gate[0]);
        close(gate[1]);
        return err_errno(e, WATTQ_E_IO, "cannot make the gate of on_end");
    }
    s->end.pid = fork_beside(s);
    if (s->end.pid == 0) {
        close(gate[1]);
        close(report[0]);
        be_command(s, gate[0], report[1]);
    }
    close(gate[0]);
    close(report[1]);
    s->end.gate_fd = gate[1];
    s->end.report_fd = report[0];
    if (s->end.pid < 0)
        return err_errno(e, WATTQ_E_IO, "cannot fork the process of on_end");
    s->tree.apart = s->end.pid;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = WAKE_ON_END};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, report[0], &ev) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot watch the process of on_end");
    return 0;
}

static void close_fd(int *fd)
{
    base_closep(fd);
    *fd = -1;
}

/* ---- its end ------------------------------------------------------------------------------------- */

static bool is_empty(const struct shepherd *s)
{
    return s->end.pid == 0 && s->no_children &&
           !(s->end.cg.fd >= 0 && cgroup_populated(&s->end.cg));
}

static void finish(struct shepherd *s)
{
    enum result_on_end what = s->end.timed_out ? RESULT_ON_END_TIMED_OUT : RESULT_ON_END_ENDED;
    if (s->end.step == ON_END_ENDS)
        (void)!result_state_on_end(s->state_fd, what, s->end.status);
    files_finish(&s->files);
    s->end.step = ON_END_NONE;
    s->end.due_ns = NEVER;
    s->done = true;
}

void on_end_reaped(struct shepherd *s, int status)
{
    s->end.pid = 0;
    s->end.status = status;
    close_fd(&s->end.gate_fd);
    if (s->end.step == ON_END_RUNS)
        s->end.step = ON_END_ENDS;
    s->end.due_ns = s->end.step == ON_END_NONE ? NEVER : 0; /* at once */
}

/* Before its exec only this finds it. */
static void look_for_it(struct shepherd *s, bool wait)
{
    int status;
    if (s->end.pid > 0 &&
        waitpid(s->end.pid, &status, wait ? __WALL : __WALL | WNOHANG) == s->end.pid)
        on_end_reaped(s, status);
}

/* It has become its command, or has something to say, or has died. */
void on_end_woken(struct shepherd *s)
{
    struct child_report c;
    char text[200];
    ssize_t n = read(s->end.report_fd, &c, sizeof(c));
    (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->end.report_fd, NULL);
    close_fd(&s->end.report_fd);
    if (n == (ssize_t)sizeof(c)) {
        (void)child_explain(s->block, &c, text, sizeof(text));
        dprintf(s->files.log_fd, "wattq: on_end was not run: %s\n", text);
    }
    look_for_it(s, n != 0 || s->end.step != ON_END_RUNS);
}

static void kill_rest(struct shepherd *s, int64_t now_ns)
{
    const struct tree all = {.cg = s->end.cg, .root = s->tree.root};
    if (is_empty(s)) {
        finish(s);
        return;
    }
    tree_kill(&all);
    s->end.due_ns = now_ns + KILL_NS;
}

static void run_it(struct shepherd *s, int64_t now_ns)
{
    struct on_end_word w = {0};
    const struct result *r = &s->r;
    base_strcpy(w.state, sizeof(w.state), result_end_name(r));
    if (r->exit_code != RESULT_NONE)
        snprintf(w.exit_code, sizeof(w.exit_code), "%" PRId64, r->exit_code);
    else if (r->term_signal != RESULT_NONE) /* as a shell has it */
        snprintf(w.exit_code, sizeof(w.exit_code), "%" PRId64, 128 + r->term_signal);
    /* Not durable, it could be said after a power cut that it was not run. */
    if (s->end.pid == 0 || result_state_on_end(s->state_fd, RESULT_ON_END_BEGUN, 0) < 0) {
        finish(s);
        return;
    }
    s->end.step = ON_END_RUNS;
    s->end.until_ns = now_ns + MOST_NS;
    s->end.due_ns = now_ns + LOOK_NS;
    files_look(&s->files, now_ns); /* the log's cap holds for it too */
    (void)!send(s->end.gate_fd, &w, sizeof(w), MSG_NOSIGNAL);
    close_fd(&s->end.gate_fd);
}

void on_end_go(struct shepherd *s)
{
    if (s->end.step == ON_END_WAITS)
        run_it(s, clock_mono_ns());
}

void on_end_look(struct shepherd *s, int64_t now_ns)
{
    switch (s->end.step) {
    case ON_END_WAITS:
        if (s->end.pid > 0 && ctl_peers(s) > 0)
            s->end.due_ns = now_ns + ALONE_NS;
        else
            run_it(s, now_ns);
        break;
    case ON_END_RUNS:
        look_for_it(s, false);
        s->end.due_ns = s->end.due_ns == 0 ? 0 : now_ns + LOOK_NS;
        if (s->end.step != ON_END_RUNS || now_ns < s->end.until_ns)
            break;
        dprintf(s->files.log_fd, "wattq: on_end is ended: it took more than %d s\n", ON_END_S);
        s->end.timed_out = true;
        s->end.step = ON_END_ENDS;
        kill_rest(s, now_ns);
        break;
    case ON_END_ENDS:
        kill_rest(s, now_ns);
        break;
    case ON_END_NONE:
        break;
    }
}

bool on_end_begin(struct shepherd *s, int64_t now_ns)
{
    if (s->end.pid == 0 || s->r.t0_ns == RESULT_NONE)
        return false;
    s->end.step = ON_END_WAITS;
    s->end.due_ns = now_ns + ALONE_NS;
    return true;
}

void on_end_close(struct shepherd *s)
{
    close_fd(&s->end.gate_fd);
    close_fd(&s->end.report_fd);
    if (s->end.pid > 0) {
        kill(s->end.pid, SIGKILL);
        look_for_it(s, true);
    }
    cgroup_remove(&s->end.cg);
}
