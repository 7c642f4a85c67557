#include "daemon/launch/shepherd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/shepherd_private.h"
#include "daemon/launch/witness.h"

#define LOOK_NS      (10 * NS_PER_MS)
#define LOOK_SLOW_NS (500 * NS_PER_MS)
#define REST_NS      (2 * NS_PER_S) /* after the first wake since; at most so often */
#define KILLS_FAST   100 /* rounds of SIGKILL before something must be in an uninterruptible sleep */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t after(int64_t now_ns, int64_t wait_ns)
{
    return wait_ns >= NEVER - now_ns ? NEVER : now_ns + wait_ns;
}

void shepherd_note(struct shepherd *s, const char *text)
{
    size_t n = strlen(s->r.text);
    snprintf(s->r.text + n, sizeof(s->r.text) - n, "%s%s", n ? "; " : "", text);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static int64_t timeval_us(const struct timeval *t)
{
    return (int64_t)t->tv_sec * 1000000 + t->tv_usec;
}

static int64_t or_none(int64_t v)
{
    return v < 0 ? RESULT_NONE : v;
}

static void take_usage(struct shepherd *s)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    s->r.user_us = timeval_us(&u.ru_utime);
    s->r.sys_us = timeval_us(&u.ru_stime);
    s->r.maxrss_bytes = (int64_t)u.ru_maxrss * 1024;
    s->r.cpu_us = cgroup_cpu_us(&s->tree.cg);
    s->r.mem_peak_bytes = or_none(cgroup_mem_peak_bytes(&s->tree.cg));
    s->r.oom_kills = or_none(cgroup_oom_kills(&s->tree.cg));
    s->r.pids_refused = or_none(cgroup_pids_refused(&s->tree.cg));
    s->r.cpu_from_cgroup = s->r.cpu_us >= 0;
    if (!s->r.cpu_from_cgroup)
        s->r.cpu_us = s->r.user_us + s->r.sys_us;
}

static void take_files(struct shepherd *s)
{
    files_finish(&s->files);
    s->r.log_dropped_bytes = files_dropped(&s->files);
    if (s->files.disk_full)
        shepherd_note(s, "the disk was full: its log may be incomplete");
    if (s->files.cannot_punch)
        shepherd_note(
            s, "its log is larger than the cap: this file system cannot free the middle of a file");
}

/* All of the run is gone: make that durable, then say so. On a full disk it stays here and tries again,
 * for nobody else knows the exit status. */
static void conclude(struct shepherd *s, int64_t now_ns)
{
    if (s->phase != SHEPHERD_ENDED) {
        if (s->r.t0_ns != RESULT_NONE) {
            s->r.t1_ns = clock_boot_ns();
            s->phase = SHEPHERD_DRAINING;
            ctl_announce(s); /* before the slow part: the meters are read at this instant */
            take_usage(s);
        }
        take_files(s);
        s->phase = SHEPHERD_ENDED;
        s->limit_ns = s->kill_ns = s->look_ns = s->files.due_ns = NEVER;
    }
    unlinkat(s->dirfd, "reserve", 0);
    if (result_write(s->dirfd, &s->r, NULL) < 0) {
        s->look_ns = now_ns + LOOK_SLOW_NS;
        return;
    }
    ctl_announce(s);
    s->done = !on_end_begin(s, now_ns);
}

static bool is_empty(const struct shepherd *s)
{
    return s->no_children && !(s->tree.cg.fd >= 0 && cgroup_populated(&s->tree.cg));
}

/* Reads what the child had to say about its exec; by now it has exited or exec'd. */
static void take_start_failure(struct shepherd *s)
{
    struct child_report c;
    if (read(s->exec_fd, &c, sizeof(c)) != (ssize_t)sizeof(c))
        return;
    s->r.cause = RESULT_NOT_STARTED;
    s->r.exit_code = child_explain(s->block, &c, s->r.text, sizeof(s->r.text));
    s->r.term_signal = RESULT_NONE;
    base_strcpy(s->r.step, sizeof(s->r.step), child_step_name(c.step));
}

/* What nobody could learn any more should we be killed once it is reaped. */
static void leave_word(const struct shepherd *s, int status, int64_t boot_ns)
{
    const struct witness w = {.kind = WITNESS_MAIN_ENDED, .status = status, .t_ns = boot_ns};
    if (s->witness_fd >= 0)
        (void)!write(s->witness_fd, &w, sizeof(w));
    if (s->r.t0_ns != RESULT_NONE)
        (void)!result_state_ended(s->state_fd, status, s->r.cause, boot_ns);
}

static void take_end(struct shepherd *s, int status, int64_t boot_ns)
{
    s->main_gone = true;
    if (s->r.t0_ns == RESULT_NONE) {
        take_start_failure(s); /* else it has only waited */
        return;
    }
    s->r.main_exit_ns = boot_ns;
    if (WIFEXITED(status))
        s->r.exit_code = WEXITSTATUS(status);
    else
        s->r.term_signal = WTERMSIG(status);
    take_start_failure(s);
    if (s->r.cause == RESULT_EXITED && cgroup_oom_kills(&s->tree.cg) > 0 &&
        s->r.term_signal == SIGKILL)
        s->r.cause = RESULT_OOM;
    if (s->phase == SHEPHERD_PAUSED)
        tree_freeze(&s->tree, false);
}

/* As waitpid would give it. */
static int wait_status(const siginfo_t *si)
{
    if (si->si_code == CLD_EXITED)
        return W_EXITCODE(si->si_status & 0xff, 0);
    return si->si_status | (si->si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

static void on_main_exit(struct shepherd *s, int status, int64_t boot_ns)
{
    take_end(s, status, boot_ns);
    leave_word(s, status, boot_ns);
}

/* Looked at first and reaped then: a main process that is not reaped yet outlives us as somebody's zombie. */
static void reap(struct shepherd *s)
{
    int64_t boot_ns = clock_boot_ns();
    siginfo_t si;
    int rc;
    for (;;) {
        si.si_pid = 0;
        rc = waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT);
        if (rc < 0 || si.si_pid == 0)
            break;
        if (si.si_pid == s->main_pid && !s->main_gone)
            on_main_exit(s, wait_status(&si), boot_ns);
        else if (si.si_pid == s->end.pid)
            on_end_reaped(s, wait_status(&si));
        (void)waitpid(si.si_pid, NULL, WNOHANG);
    }
    s->no_children = rc < 0 && errno == ECHILD;
}

static void after_reap(struct shepherd *s, int64_t now_ns)
{
    if (!s->main_gone || s->phase == SHEPHERD_ENDED)
        return;
    if (s->given_up) {
        s->done = true;
    } else if (is_empty(s)) {
        conclude(s, now_ns);
    } else if (s->phase == SHEPHERD_DRAINING) {
        if (s->no_children && s->look_ns == NEVER)
            s->look_ns = now_ns + LOOK_NS; /* others joined its cgroup: nothing wakes us for them */
    } else {
        s->phase = SHEPHERD_DRAINING;
        if (!(s->block->flags & LAUNCH_WAIT_CHILDREN))
            s->kill_ns = sooner(s->kill_ns, after(now_ns, s->block->linger_ns));
        s->look_ns = now_ns + LOOK_NS;
        ctl_announce(s);
    }
}

/* ---- what is asked for -------------------------------------------------------------------------- */

/* Unused, the child sees the end of the pipe and goes. */
static void close_gate(struct shepherd *s)
{
    base_closep(&s->gate_fd);
    s->gate_fd = -1;
}

void shepherd_go(struct shepherd *s)
{
    if (s->phase != SHEPHERD_GATE || s->gate_fd < 0)
        return;
    /* Were this not durable, a power cut could make a run that has begun look like one that has not. */
    int rc = result_state_released(s->state_fd);
    int64_t t0_ns = clock_boot_ns();
    if (rc < 0 || result_state_started(s->state_fd, t0_ns) < 0) {
        shepherd_note(s, "the disk did not take the start; nothing has run");
        s->r.cause = RESULT_NOT_STARTED;
        s->r.exit_code = 126;
        close_gate(s);
        return;
    }
    s->r.t0_ns = t0_ns;
    bool opened = gate_open(s->gate_fd, s->state_fd) == 0;
    close_gate(s);
    s->phase = SHEPHERD_RUNNING;
    s->files.due_ns = 0;
    if (opened && s->block->time_limit_ns > 0)
        s->limit_ns = after(clock_mono_ns(), s->block->time_limit_ns);
    ctl_announce(s);
    if (s->sys)
        s->sys->settled(s->sys->warm);
}

static void kill_all(struct shepherd *s, int64_t now_ns)
{
    if (s->main_gone && s->kills == 0)
        s->r.leftovers = (int64_t)tree_count(&s->tree);
    tree_kill(&s->tree);
    s->kills++;
    s->kill_ns = NEVER;
    s->look_ns = now_ns + (s->kills < KILLS_FAST ? LOOK_NS : LOOK_SLOW_NS);
    if (s->kills == KILLS_FAST)
        shepherd_note(s, "a process of it could not be killed for a second");
}

void shepherd_stop(struct shepherd *s, enum result_cause cause, int signal, int64_t grace_ns)
{
    int64_t now_ns = clock_mono_ns();
    if (s->phase == SHEPHERD_ENDED || s->given_up)
        return;
    bool on = !s->main_gone || (s->block->flags & LAUNCH_WAIT_CHILDREN);
    if (on && s->r.cause == RESULT_EXITED)
        s->r.cause = cause;
    if (s->phase == SHEPHERD_GATE) {
        if (s->gate_fd >= 0)
            shepherd_note(s, "stopped before it started; nothing has run");
        close_gate(s);
        return;
    }
    /* First the signal, then the thaw: a paused run gets no time in between. */
    if (signal != SIGKILL)
        tree_signal(&s->tree, signal);
    if (s->phase == SHEPHERD_PAUSED)
        shepherd_pause(s, false);
    s->kill_ns =
        sooner(s->kill_ns, signal == SIGKILL ? now_ns : after(now_ns, grace_ns > 0 ? grace_ns : 0));
}

void shepherd_pause(struct shepherd *s, bool pause)
{
    if (s->phase != (pause ? SHEPHERD_RUNNING : SHEPHERD_PAUSED))
        return;
    int64_t now_ns = clock_mono_ns();
    tree_freeze(&s->tree, pause);
    s->phase = pause ? SHEPHERD_PAUSED : SHEPHERD_RUNNING;
    if (pause)
        s->paused_ns = now_ns;
    else if (s->limit_ns != NEVER)
        s->limit_ns += now_ns - s->paused_ns;
    ctl_announce(s);
}

void shepherd_abort(struct shepherd *s)
{
    if (s->phase != SHEPHERD_GATE)
        return;
    s->given_up = true;
    close_gate(s);
}

static void on_signal(struct shepherd *s, int signal)
{
    bool foreground = s->block->flags & LAUNCH_FOREGROUND;
    bool interrupt = signal == SIGINT || signal == SIGQUIT;
    /* Ctrl-C reaches the run itself; while it waits at the gate there is nobody but us to take it. */
    if (interrupt && !(foreground && s->phase == SHEPHERD_GATE))
        return;
    if (signal == SIGHUP && (!foreground || s->nohup))
        return;
    if (signal != SIGTERM && signal != SIGHUP && !interrupt)
        return;
    if (s->phase != SHEPHERD_GATE && s->r.cause == RESULT_EXITED && !s->main_gone)
        shepherd_note(s, "its shepherd was told to end");
    shepherd_stop(s, signal == SIGTERM ? RESULT_TOLD : RESULT_STOPPED, SIGTERM, s->block->grace_ns);
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void on_signals(struct shepherd *s)
{
    struct signalfd_siginfo si[8];
    for (ssize_t n; (n = read(s->signal_fd, si, sizeof(si))) > 0;)
        for (size_t i = 0; i < (size_t)n / sizeof(si[0]); i++)
            if (si[i].ssi_signo != SIGCHLD)
                on_signal(s, (int)si[i].ssi_signo);
    reap(s);
}

static void on_wake(struct shepherd *s, uint32_t wake)
{
    if (wake == WAKE_SIGNAL)
        on_signals(s);
    else if (wake == WAKE_CTL)
        ctl_accept(s);
    else if (wake == WAKE_FILES)
        files_woken(&s->files, clock_mono_ns());
    else if (wake == WAKE_ON_END)
        on_end_woken(s);
    else
        ctl_read(s, wake - WAKE_PEER0);
}

static void on_deadlines(struct shepherd *s, int64_t now_ns)
{
    if (now_ns >= s->files.due_ns && (s->phase != SHEPHERD_ENDED || s->end.step != ON_END_NONE))
        files_look(&s->files, now_ns);
    if (now_ns >= s->end.due_ns)
        on_end_look(s, now_ns);
    /* Not while it is paused; also for children that are waited for. */
    if (s->phase != SHEPHERD_PAUSED && now_ns >= s->limit_ns) {
        s->limit_ns = NEVER;
        shepherd_stop(s, RESULT_TIMED_OUT, SIGTERM, s->block->grace_ns);
    }
    if (s->phase != SHEPHERD_ENDED && (now_ns >= s->kill_ns || (s->kills && now_ns >= s->look_ns)))
        kill_all(s, now_ns);
    if (now_ns >= s->look_ns) {
        s->look_ns = now_ns + LOOK_NS;
        reap(s);
        if (s->phase == SHEPHERD_ENDED)
            conclude(s, now_ns);
        else if (!s->kills && !(s->no_children && s->main_gone))
            s->look_ns = NEVER; /* its children's ends wake us */
    }
}

static int timeout_ms(const struct shepherd *s)
{
    int64_t at = sooner(sooner(s->limit_ns, s->kill_ns), sooner(s->look_ns, s->files.due_ns));
    if (s->phase == SHEPHERD_PAUSED)
        at = sooner(s->kill_ns, s->files.due_ns);
    at = sooner(at, sooner(s->end.due_ns, s->rest_ns));
    if (at == NEVER)
        return -1;
    int64_t left_ns = at - clock_mono_ns();
    int64_t ms = left_ns <= 0 ? 0 : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* It waits for hours beside its run, and whatever woke it has mapped a few hundred kilobytes. */
static void rest(struct shepherd *s, int64_t now_ns)
{
    if (now_ns >= s->rest_ns) {
        s->rest_ns = NEVER;
        memory_let_go();
    } else if (s->rest_ns == NEVER) {
        s->rest_ns = now_ns + REST_NS;
    }
}

static void loop(struct shepherd *s)
{
    struct epoll_event ev[16];
    while (!s->done) {
        int n = epoll_wait(s->epoll_fd, ev, (int)ARRAY_LEN(ev), timeout_ms(s));
        for (int i = 0; i < n; i++)
            on_wake(s, ev[i].data.u32);
        int64_t now_ns = clock_mono_ns();
        on_deadlines(s, now_ns);
        after_reap(s, now_ns);
        rest(s, now_ns);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------- */

int shepherd_run(const char *dir, const struct launch_block *b, int conn, struct err *e)
{
    return shepherd_run_system(dir, b, conn, NULL, e);
}

int shepherd_run_system(const char *dir, const struct launch_block *b, int conn,
                        const struct shepherd_system *sys, struct err *e)
{
    struct shepherd s = {
        .block = b,
        .dir = dir,
        .sys = sys,
        .witness_fd = sys ? sys->witness_fd : -1,
        .lock_fd = -1,
        .state_fd = -1,
        .epoll_fd = -1,
        .signal_fd = -1,
        .ctl_fd = -1,
        .gate_fd = -1,
        .exec_fd = -1,
        .files = {.inotify_fd = -1, .metrics_fd = -1, .marks_fd = -1, .log_fd = -1},
        .tree = {.cg = {.fd = -1}, .root = getpid()},
        .end = {.gate_fd = -1, .report_fd = -1, .cg = {.fd = -1}, .due_ns = NEVER},
        .limit_ns = NEVER,
        .kill_ns = NEVER,
        .look_ns = NEVER,
        .rest_ns = NEVER};
    for (size_t i = 0; i < CTL_PEERS; i++)
        s.peers[i].fd = -1;
    result_init(&s.r);
    s.r.cause = RESULT_EXITED;
    s.r.run_id = b->run_id;
    s.r.token = b->token;
    result_boot_id(s.r.boot_id);
    s.env = child_env(b, dir);
    s.dirfd = sys ? sys->dirfd : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    umask(027); /* what we make is for our group, the daemon's, to read */
    int rc = s.dirfd < 0 ? err_errno(e, WATTQ_E_IO, "cannot open the run's directory %s", dir)
                         : setup_all(&s, conn, e);
    if (rc == 0)
        loop(&s);
    setup_undo(&s);
    return rc;
}
