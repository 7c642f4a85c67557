/* A shepherd in the foreground, for `wattq exec`. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/shepherd.h"
#include "daemon/launch/spawn.h"

#define CONN_FD 3

/* Never returns. Only our end of the pair comes along: whatever else the client holds open (its
 * connection to the daemon) would otherwise live as long as the run. */
static void be_shepherd(const char *dir, const struct launch_block *b, int conn)
{
    struct err e;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (dup2(conn, CONN_FD) < 0)
        _exit(1);
    fcntl(CONN_FD, F_SETFD, FD_CLOEXEC);
    spawn_close_from(CONN_FD + 1);
    int rc = shepherd_run(dir, b, CONN_FD, &e);
    if (rc)
        dprintf(2, "wattq: %s\n", e.text);
    _exit(rc ? 1 : 0);
}

int shepherd_fork(const char *dir, const struct launch_block *b, pid_t *pid, int *conn,
                  struct err *e)
{
    int pair[2];
    struct launch_block fore = *b;
    fore.flags |= LAUNCH_FOREGROUND;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a socket pair");
    *pid = fork();
    if (*pid == 0)
        be_shepherd(dir, &fore, pair[1]);
    close(pair[1]);
    if (*pid < 0) {
        close(pair[0]);
        return err_errno(e, WATTQ_E_IO, "cannot fork");
    }
    *conn = pair[0];
    return 0;
}

/* ---- without a daemon --------------------------------------------------------------------------- */

static char *make_dir(struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = base_printf("%s/wattq-run-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(dir))
        return dir;
    err_errno(e, WATTQ_E_IO, "cannot make a directory %s", dir);
    err_next(e, "set TMPDIR to a directory you may write in");
    free(dir);
    return NULL;
}

static void remove_dir(const char *dir)
{
    static const char *const names[] = {"log",    "metrics",  "marks", "state",
                                        "result", "shepherd", "ctl",   "reserve"};
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(names); i++)
        unlinkat(fd, names[i], 0);
    rmdir(dir);
}

/* Waits for a frame, ticking meanwhile. 0; 1 = the shepherd has gone; < 0. */
static int next_frame(int conn, const struct shepherd_watch *w, bool ticks, struct frame *f,
                      struct err *e)
{
    ticks = ticks && w && w->on_tick && w->tick_ns > 0;
    int64_t next_ns = ticks ? clock_mono_ns() + w->tick_ns : 0;
    for (;;) {
        int64_t left_ns = ticks ? next_ns - clock_mono_ns() : 0;
        int64_t ms = !ticks ? -1 : left_ns > 0 ? (left_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
        struct pollfd p = {.fd = conn, .events = POLLIN};
        int n = poll(&p, 1, ms > 60000 ? 60000 : (int)ms);
        if (n > 0)
            return frame_recv(conn, f, e);
        if (n < 0 && errno != EINTR)
            return err_errno(e, WATTQ_E_IO, "cannot wait for the run");
        if (n == 0 && ticks && clock_mono_ns() >= next_ns) {
            w->on_tick(w->arg);
            next_ns += w->tick_ns;
        }
    }
}

/* From the gate to the end. */
static int attend(int conn, int64_t token, const struct shepherd_watch *w, struct err *e)
{
    struct frame f, go = {.magic = FRAME_MAGIC, .kind = FRAME_GO, .token = token};
    bool running = false, went = false;
    for (;;) {
        int rc = next_frame(conn, w, running, &f, e);
        if (rc)
            return rc < 0 ? rc : 0; /* gone: the result tells */
        if (w && w->on_state)
            w->on_state(w->arg, &f);
        running = f.phase == SHEPHERD_RUNNING || f.phase == SHEPHERD_PAUSED ||
                  f.phase == SHEPHERD_DRAINING;
        if (f.phase == SHEPHERD_ENDED)
            return 0;
        if (f.phase == SHEPHERD_GATE && !went && (rc = frame_send(conn, &go, e)) < 0)
            return rc;
        went = true;
    }
}

static int run_in(const char *dir, const struct launch_block *b, const struct shepherd_watch *w,
                  struct result *r, struct err *e)
{
    pid_t pid;
    int conn CLEANUP(base_closep) = -1;
    int rc = shepherd_fork(dir, b, &pid, &conn, e);
    if (rc)
        return rc;
    rc = attend(conn, b->token, w, e);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (rc)
        return rc;
    int dirfd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = dirfd < 0 ? 1 : result_read(dirfd, r, e);
    if (rc > 0)
        return err_set(e, WATTQ_E_IO,
                       "the run's supervisor was killed; what the run did is not known");
    return rc;
}

int shepherd_standalone(const struct launch_block *b, const struct shepherd_watch *watch,
                        struct result *r, struct err *e)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old_int, old_quit;
    char *dir CLEANUP(base_freep) = make_dir(e);
    if (!dir)
        return e ? e->code : WATTQ_E_IO;
    sigaction(SIGINT, &ignore, &old_int);
    sigaction(SIGQUIT, &ignore, &old_quit);
    int rc = run_in(dir, b, watch, r, e);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGQUIT, &old_quit, NULL);
    remove_dir(dir);
    return rc;
}
