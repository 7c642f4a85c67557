/* The way to one shepherd: finding it, its frames, and the events they become. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

#define WAIT_MAX_MS 50

void conn_event(struct launch_run *r, enum launch_event_kind kind, int64_t t_ns)
{
    struct launch_event ev = {.run_id = r->id, .kind = kind, .t_ns = t_ns, .mode = r->mode};
    if (kind == LAUNCH_STARTED && r->conn)
        ev.pid = r->conn->in.pid;
    r->l->on_event(r->l->arg, &ev);
}

/* ---- sending ------------------------------------------------------------------------------------ */

int conn_send(struct launch_run *r, enum frame_kind kind, int64_t a, int64_t b, struct err *e)
{
    struct frame f = {
        .magic = FRAME_MAGIC, .kind = (uint16_t)kind, .token = r->token, .a = a, .b = b};
    if (kind == FRAME_STOP)
        f.cause = (int32_t)r->stop_cause;
    if (!r->conn)
        return err_set(e, WATTQ_E_CONFLICT, "run %lld's supervisor is not connected just now",
                       (long long)r->id);
    if (send(r->conn->fd, &f, sizeof(f), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(f))
        return err_errno(e, WATTQ_E_IO, "run %lld's supervisor does not listen", (long long)r->id);
    return 0;
}

/* What was asked for while the connection was away, or got lost with it. */
static void send_again(struct launch_run *r, enum shepherd_phase phase)
{
    struct err e;
    if (r->want_go && phase == SHEPHERD_GATE && conn_send(r, FRAME_GO, 0, 0, &e) < 0)
        return;
    if (r->want_pause && phase != SHEPHERD_ENDED)
        (void)!conn_send(r, r->want_pause, 0, 0, &e);
    if (r->want_stop && phase != SHEPHERD_ENDED)
        (void)!conn_send(r, FRAME_STOP, r->stop_signal, r->stop_grace_ns, &e);
}

/* ---- receiving ---------------------------------------------------------------------------------- */

/* Who listens at the other end, by the kernel's word; 0 = nobody that it knows. */
static pid_t peer_pid_of(const struct launch_run *r)
{
    struct ucred c;
    socklen_t n = sizeof(c);
    bool known = r->conn && getsockopt(r->conn->fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0;
    return known ? c.pid : 0;
}

/* What the shepherd's own file adds to its frames. */
static void learn(struct launch_run *r)
{
    struct result_shepherd s;
    bool alive;
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->tree.root || dirfd < 0 || result_shepherd_read(dirfd, &s, &alive) != 0)
        return;
    snprintf(r->mode, sizeof(r->mode), "%s+%s", launch_whose(r->l),
             strcmp(s.mode, "cgroup") == 0 ? "cgroup" : "subreaper");
    r->tree.root = r->not_ours ? peer_pid_of(r) : s.pid;
    r->tree.apart = r->not_ours ? 0 : s.on_end_pid;
    if (s.cgroup[0] && !r->not_ours && cgroup_open(&r->tree.cg, s.cgroup, NULL) < 0)
        r->tree.cg.fd = -1;
}

/* A supervisor that is not ours may say what it likes. */
static int64_t started_ns(const struct launch_run *r, const struct frame *f)
{
    int64_t now_ns = clock_boot_ns();
    bool fits = f->t0_ns >= r->go_ns && f->t0_ns <= now_ns;
    return !r->not_ours || fits ? f->t0_ns : now_ns;
}

static void on_state(struct launch_run *r, const struct frame *f)
{
    struct launch_conn *conn = r->conn;
    enum shepherd_phase phase = (enum shepherd_phase)f->phase;
    learn(r);
    r->how = HOW_KNOWN;
    r->wait_ms = 0;
    base_closep(&r->block_fd);
    r->block_fd = -1;
    if (phase == SHEPHERD_ENDED) {
        conn_seek(r, 0); /* the result is there: it is read on the loop's next turn */
        return;
    }
    if (phase == SHEPHERD_GATE) {
        if (!r->at_gate) {
            r->at_gate = true;
            if (!r->syncing)
                conn_event(r, LAUNCH_AT_GATE, clock_boot_ns());
        }
        return;
    }
    if (!r->started) {
        r->started = true;
        if (r->time_limit_ns > 0)
            r->limit_ns = clock_mono_ns() + r->time_limit_ns;
        r->t0_ns = started_ns(r, f);
        conn_event(r, LAUNCH_STARTED, r->t0_ns);
    }
    /* The handler may have closed all of this. */
    if (r->conn != conn)
        return;
    if (r->paused != (phase == SHEPHERD_PAUSED)) {
        r->paused = !r->paused;
        conn_event(r, r->paused ? LAUNCH_PAUSED : LAUNCH_RESUMED, clock_boot_ns());
    }
    if (phase == SHEPHERD_DRAINING && !r->main_exited && r->conn == conn) {
        r->main_exited = true;
        conn_event(r, LAUNCH_MAIN_EXIT, f->main_exit_ns);
    }
    if (phase == SHEPHERD_DRAINING && f->t1_ns > 0 && r->conn == conn)
        conn_event(r, LAUNCH_EMPTY, f->t1_ns);
}

static void on_frame(struct launch_conn *c)
{
    struct launch_run *r = c->run;
    struct frame f = c->in;
    bool first = !c->greeted;
    c->greeted = true;
    if (!frame_ok(&f) || f.kind != FRAME_STATE || f.token != r->token) {
        conn_close(r);
        conn_seek(r, WAIT_MAX_MS);
        return;
    }
    if (r->over) /* it waits for what launch_filed says */
        return;
    if (first)
        send_again(r, (enum shepherd_phase)f.phase);
    on_state(r, &f);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct launch_conn *c = container_of(handle, struct launch_conn, poll);
    (void)events;

    while (c->run && status == 0) {
        ssize_t n = recv(c->fd, (char *)&c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        c->have += (size_t)n;
        if (c->have < sizeof(c->in))
            continue;
        c->have = 0;
        on_frame(c);
    }
    struct launch_run *r = c->run;
    if (!r)
        return;
    /* Whom we gave the other end to is gone: no use waiting for it to come up. */
    if (!c->greeted)
        r->until_ns = 0;
    conn_close(r);
    conn_seek(r, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct launch_conn *c = container_of(handle, struct launch_conn, poll);
    launch_handle_closed(c->l);
    free(c);
}

void conn_close(struct launch_run *r)
{
    struct launch_conn *c = r->conn;
    if (!c)
        return;
    r->conn = NULL;
    c->run = NULL;
    uv_close((uv_handle_t *)&c->poll, on_closed);
    close(c->fd);
}

int conn_open(struct launch_run *r, int fd, struct err *e)
{
    struct launch_conn *c = base_alloc(sizeof(*c));
    int rc = uv_poll_init(r->l->loop, &c->poll, fd);
    if (rc < 0) {
        close(fd);
        free(c);
        return err_set(e, WATTQ_E_IO, "cannot watch a connection: %s", uv_strerror(rc));
    }
    c->fd = fd;
    c->l = r->l;
    c->run = r;
    r->conn = c;
    r->l->handles++;
    rc = uv_poll_start(&c->poll, UV_READABLE, on_readable);
    if (rc < 0) {
        conn_close(r);
        return err_set(e, WATTQ_E_IO, "cannot watch a connection: %s", uv_strerror(rc));
    }
    return 0;
}

/* ---- finding ------------------------------------------------------------------------------------ */

void conn_end(struct launch_run *r, const struct result *res)
{
    /* A shepherd that was killed behind its result has not tidied up. */
    learn(r);
    cgroup_remove(&r->tree.cg);
    on_end_hold(r);
    r->over = true;
    snprintf(r->mode, sizeof(r->mode), "%s+%s", launch_whose(r->l),
             strcmp(res->mode, "cgroup") == 0 ? "cgroup" : "subreaper");
    struct launch_event ev = {.run_id = r->id,
                              .kind = LAUNCH_ENDED,
                              .t_ns = res->t1_ns,
                              .result = res,
                              .text = res->text,
                              .mode = r->mode};
    if (res->t1_ns == RESULT_NONE)
        ev.t_ns = clock_boot_ns();
    r->l->on_event(r->l->arg, &ev);
}

/* true = it has ended and the event was sent. */
static bool take_result(struct launch_run *r, int dirfd)
{
    struct result res;
    struct err e;
    if (dirfd < 0 || result_read(dirfd, &res, &e) != 0 || res.token != r->token)
        return false;
    if (r->started && !r->main_exited && res.main_exit_ns != RESULT_NONE) {
        r->main_exited = true;
        conn_event(r, LAUNCH_MAIN_EXIT, res.main_exit_ns);
    }
    if (!uv_is_closing((uv_handle_t *)&r->timer))
        conn_end(r, &res);
    return true;
}

static void again(struct launch_run *r)
{
    r->wait_ms = r->wait_ms ? r->wait_ms * 2 : 1;
    if (r->wait_ms > WAIT_MAX_MS)
        r->wait_ms = WAIT_MAX_MS;
    conn_seek(r, r->wait_ms);
}

/* systemd-run took the shepherd and did not start it. */
static void start_directly(struct launch_run *r)
{
    r->by_systemd = r->l->systemd = false;
    if (r->block_fd < 0 || launch_spawn(r, NULL) < 0)
        lost_begin(r);
}

/* The order matters: a shepherd leaves its result before it lets go of its lock. */
static void seek(struct launch_run *r)
{
    struct result_shepherd s;
    bool alive = false;
    int dirfd CLEANUP(base_closep) = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int none = dirfd < 0 ? 1 : result_shepherd_read(dirfd, &s, &alive);
    if (r->aborted) {
        r->over = true;
        return;
    }
    if (take_result(r, dirfd) || r->conn)
        return;
    int fd = alive && s.token == r->token ? frame_connect(dirfd, "ctl", NULL) : -1;
    if (fd >= 0) {
        if (conn_open(r, fd, NULL) < 0)
            again(r);
        return;
    }
    if (r->asked) /* the launcher's answer decides */
        return;
    bool its = !none && s.token == r->token;
    bool may_come = r->how != HOW_KNOWN && !its && dirfd >= 0 && clock_mono_ns() < r->until_ns;
    if ((alive && its) || may_come)
        again(r);
    else if (!alive && r->by_systemd && r->how == HOW_STARTED)
        start_directly(r);
    else
        lost_begin(r);
}

static void on_timer(uv_timer_t *timer)
{
    struct launch_run *r = container_of(timer, struct launch_run, timer);
    if (r->filed)
        on_end_step(r);
    if (r->over)
        return;
    if (r->orphan != ORPHAN_NOT)
        witness_step(r);
    else if (r->losing)
        lost_step(r);
    else
        seek(r);
}

void conn_seek(struct launch_run *r, uint64_t after_ms)
{
    if (!uv_is_closing((uv_handle_t *)&r->timer))
        uv_timer_start(&r->timer, on_timer, after_ms, 0);
}
