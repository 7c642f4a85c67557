/* A run whose shepherd is gone without a result: end what is left of it, then say so. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

#define STEP_MS   5
#define STEPS_MAX 400 /* 2 s: what is still there then sleeps uninterruptibly */

static void report(struct launch_run *r, bool untouched, const char *text)
{
    r->over = true;
    conn_close(r);
    struct launch_event ev = {.run_id = r->id,
                              .kind = LAUNCH_LOST,
                              .t_ns = clock_boot_ns(),
                              .text = text,
                              .mode = r->mode,
                              .untouched = untouched};
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
    report(r, false, text);
}

static void kill_leftovers(struct launch_run *r, const struct result_shepherd *s)
{
    if (r->tree.cg.fd < 0 && s->cgroup[0] && cgroup_open(&r->tree.cg, s->cgroup, NULL) < 0)
        r->tree.cg.fd = -1;
    if (r->tree.cg.fd >= 0) {
        r->killed = cgroup_pids(&r->tree.cg, NULL, 0);
        cgroup_kill(&r->tree.cg);
    }
    /* Also where there is a cgroup: a run may have left it, if it may write there. */
    r->killed += tree_kill_marked(r->dir);
}

static void lose(struct launch_run *r, const struct result_shepherd *s, bool opened)
{
    if (s)
        kill_leftovers(r, s);
    if (opened) {
        r->losing = 1;
        lost_step(r);
        return;
    }
    cgroup_remove(&r->tree.cg);
    report(
        r, true,
        s ? "its supervisor was killed before the start; nothing of it has run"
          : "its supervisor did not come up; nothing of it has run, the reason is in wattqd's log");
}

/* Released and not opened: its process is about to say that it is through the gate, or to end there. */
static bool may_still_open(struct launch_run *r, const struct result_state *st, pid_t main_pid)
{
    if (st->step != RESULT_RELEASED || main_pid <= 1 || r->at_the_gate >= STEPS_MAX ||
        !tree_is_alive(main_pid))
        return false;
    r->at_the_gate++;
    return true;
}

void lost_begin(struct launch_run *r)
{
    struct result_shepherd s = {0};
    struct result_state st;
    bool alive = false;
    char boot[40];
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool known = dirfd >= 0 && result_shepherd_read(dirfd, &s, &alive) == 0 && s.token == r->token;
    result_state_read(dirfd, &st);
    /* After a reboot the pids and the cgroup are somebody else's, and who was released may have run. */
    if (known && result_boot_id(boot) == 0 && strcmp(boot, s.boot_id) != 0) {
        report(r, st.step == RESULT_AT_GATE,
               st.step != RESULT_AT_GATE
                   ? "the machine was restarted while it ran"
                   : "the machine was restarted before it began; nothing of it has run");
        return;
    }
    if (alive && !known) {
        report(r, st.step == RESULT_AT_GATE,
               "another start of this run is being supervised; this one has not begun");
        return;
    }
    if (known && s.pid > 1 && st.step != RESULT_AT_GATE && witness_too_early(&s)) {
        conn_seek(r, 1);
        return;
    }
    if (known && may_still_open(r, &st, s.main_pid)) {
        conn_seek(r, 1);
        return;
    }
    result_state_read(dirfd, &st); /* nobody writes there any more, unless it is through the gate */
    if (known && st.step == RESULT_MAIN_ENDED)
        witness_of_file(r, &s, &st);
    else if (!known || st.step != RESULT_OPENED || !st.t0_ns || !witness_begin(r, &s, st.t0_ns))
        lose(r, known ? &s : NULL, st.step >= RESULT_OPENED);
}
