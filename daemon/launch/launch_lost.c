/* A run whose shepherd is gone without a result: end what is left of it, then say so. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

#define STEP_MS   5
#define STEPS_MAX 400 /* 2 s: what is still there then sleeps uninterruptibly */

static void report(struct launch_run *r, const char *text)
{
    r->over = true;
    conn_close(r);
    struct launch_event ev = {.run_id = r->id,
                              .kind = LAUNCH_LOST,
                              .t_ns = clock_boot_ns(),
                              .text = text,
                              .mode = r->mode};
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
    report(r, text);
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

void lost_begin(struct launch_run *r)
{
    struct result_shepherd s = {0};
    bool alive = false;
    char boot[40];
    int64_t t0_ns = 0;
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool known = dirfd >= 0 && result_shepherd_read(dirfd, &s, &alive) == 0 && s.token == r->token;
    int state = dirfd >= 0 ? result_state_read(dirfd, &t0_ns) : 0;
    /* After a reboot the pids and the cgroup are somebody else's. */
    if (known && result_boot_id(boot) == 0 && strcmp(boot, s.boot_id) != 0) {
        report(r, state ? "the machine was restarted while it ran"
                        : "the machine was restarted before it began; nothing of it has run");
        return;
    }
    if (alive && !known) {
        report(r, "another start of this run is being supervised; this one has not begun");
        return;
    }
    if (known && state == 2 && s.pid > 1 && witness_too_early(&s)) {
        conn_seek(r, 1);
        return;
    }
    if (known && state == 2 && witness_begin(r, &s, t0_ns))
        return;
    if (known)
        kill_leftovers(r, &s);
    if (state == 0) {
        cgroup_remove(&r->tree.cg);
        report(r, known ? "its supervisor was killed before the start; nothing of it has run"
                        : "its supervisor did not come up; nothing of it has run, the reason is in "
                          "wattqd's log");
        return;
    }
    r->losing = 1;
    lost_step(r);
}
