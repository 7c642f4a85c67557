/* A run whose shepherd is gone without a result: end what is left of it, then say so. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

#define STEP_MS   5
#define STEPS_MAX 400 /* 2 s: what is still there then sleeps uninterruptibly */

static void report(struct launch_run *r, bool untouched, bool again, const char *text)
{
    r->over = true;
    conn_close(r);
    struct launch_event ev = {.run_id = r->id,
                              .kind = LAUNCH_LOST,
                              .t_ns = clock_boot_ns(),
                              .text = text,
                              .mode = r->mode,
                              .untouched = untouched,
                              .again = again};
    r->l->on_event(r->l->arg, &ev);
}

void lost_step(struct launch_run *r)
{
    if (r->tree.cg.fd >= 0 && cgroup_populated(&r->tree.cg) && r->losing++ < STEPS_MAX) {
        cgroup_kill(&r->tree.cg);
        conn_seek(r, STEP_MS);
        return;
    }
    cgroup_remove(&r->tree.cg);
    char *text CLEANUP(base_freep) =
        base_printf("its supervisor was killed, so its exit code is not known; %zu process%s left "
                    "of it %s ended",
                    r->killed, r->killed == 1 ? "" : "es", r->killed == 1 ? "was" : "were");
    report(r, false, false, text);
}

static void kill_leftovers(struct launch_run *r, const struct result_shepherd *s)
{
    if (r->tree.cg.fd < 0 && s->cgroup[0] && !r->not_ours &&
        cgroup_open(&r->tree.cg, s->cgroup, NULL) < 0)
        r->tree.cg.fd = -1;
    if (r->tree.cg.fd >= 0) {
        r->killed = cgroup_pids(&r->tree.cg, NULL, 0);
        cgroup_kill(&r->tree.cg);
    }
    /* Also where there is a cgroup: a run may have left it, if it may write there. */
    r->killed += tree_kill_marked(r->dir);
}

/* What its directory says. */
struct left {
    struct result_shepherd s;
    bool known, alive; /* s is of this start; a shepherd, whosever, is there */
    struct result_state st;
};

static void look(const struct launch_run *r, struct left *f)
{
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *f = (struct left){0};
    f->known =
        dirfd >= 0 && result_shepherd_read(dirfd, &f->s, &f->alive) == 0 && f->s.token == r->token;
    result_state_read(dirfd, &f->st);
}

static const char *why_not_begun(const struct launch_run *r, const struct left *f)
{
    if (f->known)
        return "its supervisor was killed before the start; nothing of it has run";
    if (r->unanswered)
        return "the launcher went away before it had started it";
    return r->l->root.dir ? "its supervisor did not come up; nothing of it has run, the reason is "
                            "in the log of wattq-launcher"
                          : "its supervisor did not come up; nothing of it has run, the reason is "
                            "in wattqd's log";
}

/* Nobody knows how it ended, or will end. */
static void lose(struct launch_run *r, const struct left *f)
{
    if (f->known)
        kill_leftovers(r, &f->s);
    if (f->st.step >= RESULT_OPENED) {
        r->losing = 1;
        lost_step(r);
        return;
    }
    cgroup_remove(&r->tree.cg);
    report(r, true, r->unanswered, why_not_begun(r, f));
}

/* Released and not opened: its process is about to say that it is through the gate, or to end there. */
static bool may_still_open(struct launch_run *r, const struct left *f)
{
    if (f->st.step != RESULT_RELEASED || f->s.main_pid <= 1 || r->at_the_gate >= STEPS_MAX ||
        !tree_is_alive(f->s.main_pid))
        return false;
    r->at_the_gate++;
    return true;
}

/* Of another boot, or not of this start. */
static bool is_elsewhere(struct launch_run *r, const struct left *f)
{
    char boot[40];
    bool untouched = f->st.step == RESULT_AT_GATE;
    /* After a reboot the pids and the cgroup are somebody else's, and who was released may have run. */
    if (f->known && result_boot_id(boot) == 0 && strcmp(boot, f->s.boot_id) != 0) {
        report(r, untouched, false,
               untouched ? "the machine was restarted before it began; nothing of it has run"
                         : "the machine was restarted while it ran");
        return true;
    }
    if (f->alive && !f->known) {
        report(r, untouched, false,
               "another start of this run is being supervised; this one has not begun");
        return true;
    }
    return false;
}

void lost_begin(struct launch_run *r)
{
    struct left f;
    look(r, &f);
    if (is_elsewhere(r, &f))
        return;
    if (f.known && f.s.pid > 1 && f.st.step != RESULT_AT_GATE && witness_too_early(&f.s)) {
        conn_seek(r, 1);
        return;
    }
    if (f.known && may_still_open(r, &f)) {
        conn_seek(r, 1);
        return;
    }
    look(r, &f); /* nobody writes there any more, unless it is through the gate */
    if (!f.known || f.st.step < RESULT_OPENED)
        lose(r, &f);
    else if (f.st.step == RESULT_MAIN_ENDED)
        witness_of_file(r, &f.s, &f.st);
    else if (r->l->root.dir && f.st.t0_ns && !r->status_said)
        root_status(r);
    else if (!f.st.t0_ns || !witness_begin(r, &f.s, f.st.t0_ns))
        lose(r, &f);
}

void lost_answer(struct launch_run *r, enum launcher_run_state state, int wait_status, int64_t t_ns)
{
    struct left f;
    look(r, &f);
    if (uv_is_closing((uv_handle_t *)&r->timer))
        return;
    if (state == LAUNCHER_RUN_ALIVE || state == LAUNCHER_RUN_WITNESSED) {
        witness_begin_root(r, &f.s, f.st.t0_ns);
        const struct launch_reaped end = {f.s.main_pid, wait_status, t_ns};
        if (state == LAUNCHER_RUN_WITNESSED && !uv_is_closing((uv_handle_t *)&r->timer))
            witness_main_ended(r, &end);
        return;
    }
    /* With a result that was not there when we looked, or without one. */
    r->status_said = true;
    r->orphan = ORPHAN_NOT;
    conn_seek(r, 0);
}
