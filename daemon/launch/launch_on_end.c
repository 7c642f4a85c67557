/* The command that a run's user wants run after it: its shepherd is told that the run's end is on disk, and when
 * that has gone, what became of the command is read from the state file. */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

#define AGAIN_MS 50

static void explain(const struct result_state *st, char *text, size_t cap)
{
    int status = st->on_end_status;
    switch (st->on_end) {
    case RESULT_ON_END_NOT:
        base_strcpy(
            text, cap,
            "on_end was not run: the run's supervisor went away before, or the log says why");
        break;
    case RESULT_ON_END_BEGUN:
        base_strcpy(text, cap,
                    "on_end was begun, and its supervisor was killed: how it ended is not known");
        break;
    case RESULT_ON_END_TIMED_OUT:
        base_strcpy(text, cap, "on_end was ended: it took longer than it may");
        break;
    case RESULT_ON_END_ENDED:
        if (WIFEXITED(status))
            snprintf(text, cap, "on_end ended with exit code %d", WEXITSTATUS(status));
        else
            snprintf(text, cap, "on_end was killed by signal %d (%s)", WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
        break;
    }
}

/* Its shepherd is no more. */
static void report(struct launch_run *r, int dirfd)
{
    struct result_state st;
    char text[160];
    result_state_read(dirfd, &st);
    if (st.on_end == RESULT_ON_END_BEGUN && !r->l->root.dir)
        (void)tree_kill_marked(r->dir); /* else the launcher does */
    explain(&st, text, sizeof(text));
    r->filed = false;
    struct launch_event ev = {
        .run_id = r->id, .kind = LAUNCH_ON_END, .t_ns = clock_boot_ns(), .text = text};
    r->l->on_event(r->l->arg, &ev);
}

/* 0 = there is a connection; 1 = no shepherd is there; < 0 = later. */
static int connect_again(struct launch_run *r, int dirfd)
{
    struct result_shepherd s;
    bool alive = false;
    if (r->conn)
        return 0;
    if (dirfd < 0 || result_shepherd_read(dirfd, &s, &alive) != 0 || !alive || s.token != r->token)
        return 1;
    int fd = frame_connect(dirfd, "ctl", NULL);
    return fd < 0 ? -1 : conn_open(r, fd, NULL);
}

void on_end_step(struct launch_run *r)
{
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = connect_again(r, dirfd);
    if (rc > 0)
        report(r, dirfd);
    else if (rc < 0 || conn_send(r, FRAME_FILED, 0, 0, NULL) < 0)
        conn_seek(r, AGAIN_MS);
}

void on_end_hold(struct launch_run *r)
{
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)connect_again(r, dirfd);
}

void launch_filed(struct launch *l, int64_t run_id, int64_t token)
{
    struct launch_run *r = launch_find(l, run_id);
    if (!r)
        r = launch_add(l, run_id, token, HOW_REATTACHED);
    r->over = r->filed = true;
    conn_seek(r, 0); /* not from inside the call */
}
