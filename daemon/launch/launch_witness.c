/* A run whose shepherd was killed while we live. As subreaper we are the new parent of its processes: the run
 * goes on, unguarded but not unseen, and how its main process ends is not lost. Then what is left of it is
 * ended, and it has a result as if its shepherd had written it.
 *
 * In system mode that parent is the launcher, which is asked now and then how it stands. We may not signal a user's
 * processes: what is left to us are the kill and freeze files of its cgroup, so that it is stopped by SIGKILL. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

#define STEP_MS      5
#define STEPS_MAX    400 /* 2 s: what is still there then sleeps uninterruptibly */
#define WATCH_MAX_MS 60000
#define ASK_MS       200 /* between two questions to the launcher */

/* ---- children that were reaped ------------------------------------------------------------------- */

static const struct launch_reaped *reaped_find(const struct launch *l, pid_t pid)
{
    for (size_t i = 1; i <= LAUNCH_REAPED; i++) {
        const struct launch_reaped *c = &l->reaped[(l->nreaped - i) % LAUNCH_REAPED];
        if (c->pid == pid)
            return c;
    }
    return NULL;
}

void launch_reaped(struct launch *l, pid_t pid, int status)
{
    const struct launch_reaped c = {pid, status, clock_boot_ns()};
    for (struct launch_run *r = l->runs; r; r = r->next)
        if (r->orphan == ORPHAN_WATCHED && !r->by_launcher && r->main_pid == pid) {
            witness_main_ended(r, &c);
            return;
        }
    l->reaped[l->nreaped++ % LAUNCH_REAPED] = c;
}

/* A child of ours, alive or not yet reaped. */
static bool is_ours(pid_t pid)
{
    siginfo_t si;
    return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The kernel closes a dying process's descriptors before it gives its children away. */
bool witness_too_early(const struct result_shepherd *s)
{
    siginfo_t si = {0};
    return waitid(P_PID, (id_t)s->pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == 0;
}

/* ---- watching ------------------------------------------------------------------------------------ */

/* Its main process beside the tree's members, of which it would be the root; once that is gone, its pid may be
 * anybody's. */
static struct tree all_of(const struct launch_run *r)
{
    struct tree t = r->tree;
    t.root = r->orphan == ORPHAN_WATCHED ? r->main_pid : TREE_NO_ROOT;
    return t;
}

static int64_t next_deadline_ns(const struct launch_run *r)
{
    int64_t limit_ns = r->limit_ns && !r->paused ? r->limit_ns : INT64_MAX;
    int64_t kill_ns = r->kill_ns ? r->kill_ns : INT64_MAX;
    return limit_ns < kill_ns ? limit_ns : kill_ns;
}

static void watch_on(struct launch_run *r)
{
    int64_t at_ns = next_deadline_ns(r), left_ns = at_ns - clock_mono_ns();
    uint64_t ms = r->by_launcher ? ASK_MS : WATCH_MAX_MS;
    if (at_ns != INT64_MAX && left_ns < (int64_t)ms * NS_PER_MS)
        ms = left_ns > 0 ? (uint64_t)(left_ns / NS_PER_MS) + 1 : 1;
    conn_seek(r, ms);
}

static void take_over(struct launch_run *r, const struct result_shepherd *s, int64_t t0_ns)
{
    r->main_pid = s->main_pid;
    r->t0_ns = t0_ns;
    r->paused_told = r->paused;
    r->orphan = ORPHAN_WATCHED;
    if (r->tree.cg.fd < 0 && s->cgroup[0] && !r->not_ours &&
        cgroup_open(&r->tree.cg, s->cgroup, NULL) < 0)
        r->tree.cg.fd = -1;
}

static void watch_from_now(struct launch_run *r)
{
    watch_on(r);
    /* What was asked for while nobody had noticed yet. */
    if (r->want_pause)
        witness_pause(r, r->want_pause == FRAME_PAUSE);
    if (r->want_stop)
        witness_stop(r, (int)r->stop_signal, r->stop_grace_ns);
}

void witness_begin_root(struct launch_run *r, const struct result_shepherd *s, int64_t t0_ns)
{
    if (r->orphan != ORPHAN_NOT)
        return;
    take_over(r, s, t0_ns);
    r->by_launcher = true;
    snprintf(r->mode, sizeof(r->mode), "%s+%s", launch_whose(r->l), s->mode);
    if (!r->started) { /* found by a wattqd that has not seen it run */
        r->started = true;
        conn_event(r, LAUNCH_STARTED, t0_ns);
    }
    if (!uv_is_closing((uv_handle_t *)&r->timer))
        watch_from_now(r);
}

bool witness_begin(struct launch_run *r, const struct result_shepherd *s, int64_t t0_ns)
{
    const struct launch_reaped *gone = reaped_find(r->l, s->main_pid);
    if (r->l->root.dir || r->how == HOW_ADOPTED || s->main_pid <= 1 ||
        (!gone && !is_ours(s->main_pid)))
        return false;
    take_over(r, s, t0_ns);
    if (gone) {
        witness_main_ended(r, gone);
        return true;
    }
    watch_from_now(r);
    return true;
}

static void signal_all(const struct launch_run *r, int signal)
{
    struct tree t = all_of(r);
    kill(r->main_pid, signal); /* not reaped yet, so nobody else has its pid */
    (void)tree_signal(&t, signal);
}

static void kill_all(struct launch_run *r)
{
    struct tree t = all_of(r);
    if (r->by_launcher) {
        (void)cgroup_kill(&r->tree.cg);
        return;
    }
    tree_kill(&t);
    if (r->orphan == ORPHAN_WATCHED)
        kill(r->main_pid, SIGKILL);
    r->killed += tree_kill_marked(r->dir);
}

void witness_stop(struct launch_run *r, int signal, int64_t grace_ns)
{
    int64_t now_ns = clock_mono_ns();
    if (r->orphan != ORPHAN_WATCHED)
        return;
    if (r->orphan_cause == RESULT_EXITED)
        r->orphan_cause = r->want_stop ? r->stop_cause : RESULT_STOPPED;
    if (r->by_launcher)
        signal = SIGKILL;
    if (signal != SIGKILL)
        signal_all(r, signal);
    if (r->paused)
        witness_pause(r, false);
    int64_t at_ns = signal == SIGKILL ? now_ns : now_ns + (grace_ns > 0 ? grace_ns : 0);
    if (!r->kill_ns || at_ns < r->kill_ns)
        r->kill_ns = at_ns;
    watch_on(r);
}

void witness_pause(struct launch_run *r, bool pause)
{
    struct tree t = all_of(r);
    int64_t now_ns = clock_mono_ns();
    if (r->orphan != ORPHAN_WATCHED || r->paused == pause)
        return;
    tree_freeze(&t, pause);
    if (t.cg.fd < 0 && !r->by_launcher)
        kill(r->main_pid, pause ? SIGSTOP : SIGCONT);
    if (pause)
        r->paused_ns = now_ns;
    else if (r->limit_ns)
        r->limit_ns += now_ns - r->paused_ns;
    r->paused = pause;
    conn_seek(r, 0);
}

/* ---- its end ------------------------------------------------------------------------------------- */

/* So that it is not lost should we be killed as well. */
static void file_end(const struct launch_run *r, const struct launch_reaped *c)
{
    char *path CLEANUP(base_freep) = base_printf("%s/state", r->dir);
    int fd CLEANUP(base_closep) = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        (void)!result_state_ended(fd, c->status, r->orphan_cause, c->t_ns);
}

void witness_main_ended(struct launch_run *r, const struct launch_reaped *c)
{
    if (!r->end_was_filed)
        file_end(r, c);
    r->orphan = ORPHAN_ENDING;
    r->end = *c;
    conn_seek(r, 0);
}

void witness_of_file(struct launch_run *r, const struct result_shepherd *s,
                     const struct result_state *st)
{
    const struct launch_reaped end = {s->main_pid, st->status, st->main_exit_ns};
    take_over(r, s, st->t0_ns);
    r->orphan_cause = st->cause;
    r->end_was_filed = true;
    witness_main_ended(r, &end);
}

/* What it left behind is ended at once: nobody would guard it. false: r is gone. */
static bool clear_up(struct launch_run *r)
{
    if (r->main_exited)
        return true;
    r->main_exited = true;
    conn_event(r, LAUNCH_MAIN_EXIT, r->end.t_ns);
    if (uv_is_closing((uv_handle_t *)&r->timer))
        return false;
    if (r->tree.cg.fd >= 0)
        r->killed = cgroup_pids(&r->tree.cg, NULL, 0);
    kill_all(r);
    return true;
}

static void conclude(struct launch_run *r)
{
    struct result res;
    result_init(&res);
    res.run_id = r->id;
    res.token = r->token;
    res.cause = r->orphan_cause;
    res.t0_ns = r->t0_ns;
    res.main_exit_ns = r->end.t_ns;
    /* Where nothing was left of it the window ends with its main process, however long we were away. */
    res.t1_ns = r->end_was_filed && r->killed == 0 ? r->end.t_ns : clock_boot_ns();
    if (WIFEXITED(r->end.status))
        res.exit_code = WEXITSTATUS(r->end.status);
    else
        res.term_signal = WTERMSIG(r->end.status);
    res.cpu_us = r->tree.cg.fd >= 0 ? cgroup_cpu_us(&r->tree.cg) : RESULT_NONE;
    res.cpu_from_cgroup = res.cpu_us >= 0;
    if (res.cpu_us < 0)
        res.cpu_us = RESULT_NONE;
    res.leftovers = (int64_t)r->killed;
    if (r->end_was_filed)
        base_strcpy(res.text, sizeof(res.text),
                    "its shepherd was killed; how it ended had been noted before");
    else
        snprintf(res.text, sizeof(res.text), "its shepherd was killed; %s saw it end",
                 r->by_launcher ? "wattq-launcher" : "wattqd");
    base_strcpy(res.mode, sizeof(res.mode), r->tree.cg.fd >= 0 ? "cgroup" : "subreaper");
    (void)result_boot_id(res.boot_id);
    conn_event(r, LAUNCH_EMPTY, res.t1_ns);
    if (!uv_is_closing((uv_handle_t *)&r->timer))
        conn_end(r, &res);
}

void witness_step(struct launch_run *r)
{
    int64_t now_ns = clock_mono_ns();
    if (r->orphan == ORPHAN_ENDING) {
        if (!clear_up(r))
            return;
        if (r->tree.cg.fd >= 0 && cgroup_populated(&r->tree.cg) && r->losing++ < STEPS_MAX) {
            (void)cgroup_kill(&r->tree.cg);
            conn_seek(r, STEP_MS);
            return;
        }
        conclude(r);
        return;
    }
    if (r->paused != r->paused_told) {
        r->paused_told = r->paused;
        conn_event(r, r->paused ? LAUNCH_PAUSED : LAUNCH_RESUMED, clock_boot_ns());
        if (uv_is_closing((uv_handle_t *)&r->timer))
            return;
    }
    if (r->limit_ns && !r->paused && now_ns >= r->limit_ns) {
        r->limit_ns = 0;
        r->orphan_cause = RESULT_TIMED_OUT;
        witness_stop(r, SIGTERM, r->grace_ns);
    }
    if (r->kill_ns && now_ns >= r->kill_ns) {
        r->kill_ns = now_ns + 100 * NS_PER_MS; /* again, until it is reaped */
        kill_all(r);
    }
    if (r->by_launcher)
        root_status(r);
    watch_on(r);
}
