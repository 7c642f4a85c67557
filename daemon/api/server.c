#include "daemon/api/server.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/places.h"
#include "common/units.h"
#include "daemon/api/peer.h"
#include "daemon/log.h"

#define READ_BYTES (64u << 10)
#define BACKLOG    1024

struct server {
    uv_loop_t *loop;
    struct server_config cfg;
    char path[PLACES_SOCKET_MAX + 1]; /* "" with socket activation: then the file is not ours */
    dev_t dev;
    ino_t ino;
    uv_pipe_t listener;
    uv_timer_t timer;  /* runs while some peer has a deadline */
    uv_timer_t resume; /* at once, for peers that are stalled */
    size_t stalled;
    struct peer *peers;
    size_t npeers;
    size_t receive_bytes; /* memory that half frames take */
    unsigned handles;     /* listener, timers, peers that are not closed yet */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    char scratch[READ_BYTES]; /* everybody is read into it */
};

size_t server_peers(const struct server *s)
{
    return s->npeers;
}

/* ---- the end of peers and of the server -------------------------------------------------------- */

static void handle_gone(struct server *s)
{
    assert(s->handles > 0);
    if (--s->handles > 0)
        return;
    void (*closed)(void *arg) = s->closed;
    void *arg = s->closed_arg;
    free(s);
    if (closed)
        closed(arg);
}

static void release_input(struct peer *p)
{
    p->server->receive_bytes -= p->in_cap;
    free(p->in);
    p->in = NULL;
    p->in_bytes = p->in_cap = 0;
}

void server_on_peer_closed(uv_handle_t *handle)
{
    struct peer *p = container_of((uv_pipe_t *)handle, struct peer, pipe);
    struct server *s = p->server;
    if (p->prev)
        p->prev->next = p->next;
    else
        s->peers = p->next;
    if (p->next)
        p->next->prev = p->prev;
    s->npeers--;
    s->stalled -= p->stalled;
    release_input(p);
    server_resume(s); /* what it had under way counts no more */
    if (p->hello && s->cfg.on_close)
        s->cfg.on_close(s->cfg.arg, p);
    p->data = NULL;
    p->server = NULL; /* whoever still holds a reference outlives us */
    peer_unref(p);
    handle_gone(s);
}

/* ---- deadlines --------------------------------------------------------------------------------- */

static void refuse_late(struct peer *p)
{
    struct err e = {0};
    int64_t s = p->server->cfg.patience_ns / NS_PER_S;
    if (!p->hello && p->in_bytes == 0)
        err_set(&e, WATTQ_E_PROTOCOL, "no hello came within %" PRId64 " s of connecting", s);
    else
        err_set(&e, WATTQ_E_PROTOCOL, "a message was begun and not finished within %" PRId64 " s",
                s);
    peer_refuse(p, 0, &e);
}

static void server_on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, timer);
    int64_t now = clock_mono_ns();
    bool more = false;
    for (struct peer *p = s->peers, *next; p; p = next) {
        next = p->next;
        if (p->closing || p->since_mono_ns == 0 || (p->stalled && !p->draining))
            continue;
        more = true;
        if (now - p->since_mono_ns < s->cfg.patience_ns)
            continue;
        if (p->draining)
            peer_close(p);
        else
            refuse_late(p);
    }
    if (!more)
        uv_timer_stop(timer);
}

void server_watch(struct server *s)
{
    uint64_t every_ms = (uint64_t)(s->cfg.patience_ns / 10 / NS_PER_MS) + 1;
    if (!s->closing && !uv_is_active((uv_handle_t *)&s->timer))
        uv_timer_start(&s->timer, server_on_timer, every_ms, every_ms);
}

/* ---- input ------------------------------------------------------------------------------------- */

static int check_hello(struct peer *p, const struct wire_val *req, struct err *e)
{
    if (p->hello)
        return 0;
    if (strcmp(wire_str(req, "op", ""), "hello") != 0) {
        err_set(e, WATTQ_E_PROTOCOL, "the first request must be hello");
        return err_next(e, "send {op: hello, version: %d} first", WIRE_VERSION);
    }
    int64_t version = wire_int(req, "version", 0);
    if (version != WIRE_VERSION) {
        err_set(e, WATTQ_E_VERSION,
                "the client speaks version %" PRId64
                " of the protocol, wattqd %s speaks version %d",
                version, WATTQ_VERSION, WIRE_VERSION);
        return err_next(
            e, "use the wattq that came with this wattqd, or restart wattqd after an upgrade");
    }
    if (!p->rights.admitted) /* only now: had its hello not been read, the answer could be lost */
        return rights_refuse_peer(&p->server->cfg.policy, p->uid, e);
    p->hello = true;
    return 0;
}

static void take_frame(struct peer *p, const uint8_t *body, size_t bytes)
{
    struct server *s = p->server;
    struct err e = {0};
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = wire_msg_new(&m, body, bytes, &e);
    int64_t id = rc < 0 ? 0 : wire_int(wire_msg_root(m), "id", 0);
    if (rc == 0)
        rc = check_hello(p, wire_msg_root(m), &e);
    if (rc < 0)
        peer_refuse(p, id, &e);
    else
        s->cfg.on_request(s->cfg.arg, p, wire_msg_root(m));
}

/* Of what is under way, a peer has as many references as requests, and its own. */
static size_t pending_of(const struct server *s, uid_t uid)
{
    size_t n = 0;
    for (const struct peer *p = s->peers; p; p = p->next)
        n += p->uid == uid ? p->refs - 1 : 0;
    return n;
}

static bool may_ask(const struct peer *p)
{
    return p->refs <= SERVER_PENDING_MAX &&
           (p->rights.admin || pending_of(p->server, p->uid) < SERVER_PENDING_UID);
}

bool server_unread_fits(struct server *s, const struct peer *p)
{
    size_t bytes = 0;
    if (!s || p->rights.admin)
        return true;
    for (const struct peer *x = s->peers; x; x = x->next)
        bytes += x->uid == p->uid ? x->out_bytes : 0;
    return bytes <= SERVER_UNREAD_UID;
}

/* Every whole frame at data that may be taken now. Returns how many bytes were used up. */
static size_t take_frames(struct peer *p, const uint8_t *data, size_t bytes)
{
    size_t used = 0;
    while (!peer_closing(p)) {
        struct err e = {0};
        size_t total = 0;
        size_t max = p->hello ? WIRE_FRAME_MAX : WIRE_HELLO_MAX;
        if (wire_frame_bytes(data + used, bytes - used, max, &total, &e) < 0) {
            peer_refuse(p, 0, &e);
            break;
        }
        if (total == 0 || total > bytes - used)
            break;
        if (!may_ask(p)) {
            p->server->stalled += !p->stalled;
            p->stalled = true;
            uv_read_stop((uv_stream_t *)&p->pipe);
            break;
        }
        take_frame(p, data + used + WIRE_HEADER_BYTES, total - WIRE_HEADER_BYTES);
        used += total;
    }
    return used;
}

/* Room for `more` bytes of a half frame, out of everybody's budget. Grows with what has really come:
 * a header may promise a megabyte and never send it. */
static bool reserve(struct peer *p, size_t more)
{
    struct server *s = p->server;
    size_t need = p->in_bytes + more;
    if (need <= p->in_cap)
        return true;
    size_t cap = p->in_cap ? p->in_cap : 64;
    while (cap < need)
        cap *= 2;
    if (s->receive_bytes - p->in_cap + cap > SERVER_RECEIVE_MAX)
        return false;
    uint8_t *in = realloc(p->in, cap);
    if (!in)
        return false;
    s->receive_bytes += cap - p->in_cap;
    p->in = in;
    p->in_cap = cap;
    return true;
}

static void keep(struct peer *p, const uint8_t *data, size_t bytes)
{
    if (!reserve(p, bytes)) {
        struct err e = {0};
        err_set(&e, WATTQ_E_LIMIT, "too many unfinished messages at once");
        err_next(&e, "try again in a few seconds");
        peer_refuse(p, 0, &e);
        return;
    }
    memcpy(p->in + p->in_bytes, data, bytes);
    p->in_bytes += bytes;
}

/* The deadline runs from the first byte of a half frame, whatever trickles in after it. */
static void set_deadline(struct peer *p, bool progress)
{
    if (p->draining || p->closing)
        return;
    if (p->in_bytes == 0 && p->hello)
        p->since_mono_ns = 0;
    else if (progress || p->since_mono_ns == 0) {
        p->since_mono_ns = clock_mono_ns();
        server_watch(p->server);
    }
}

static void take_bytes(struct peer *p, const uint8_t *data, size_t bytes)
{
    size_t used = 0;
    if (p->in_bytes == 0) {
        used = take_frames(p, data, bytes);
        if (used < bytes && !peer_closing(p))
            keep(p, data + used, bytes - used);
    } else {
        keep(p, data, bytes);
        if (!peer_closing(p))
            used = take_frames(p, p->in, p->in_bytes);
        memmove(p->in, p->in + used, p->in_bytes - used);
        p->in_bytes -= used;
    }
    if (p->in_bytes == 0)
        release_input(p);
    set_deadline(p, used > 0);
}

static void server_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void server_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* What it had sent before comes first; then it is read from again. */
static void go_on(struct peer *p)
{
    p->stalled = false;
    p->server->stalled--;
    size_t used = take_frames(p, p->in, p->in_bytes);
    memmove(p->in, p->in + used, p->in_bytes - used);
    p->in_bytes -= used;
    if (p->in_bytes == 0)
        release_input(p);
    set_deadline(p, true);
    if (!p->stalled && !peer_closing(p) &&
        uv_read_start((uv_stream_t *)&p->pipe, server_on_alloc, server_on_read) < 0)
        peer_close(p);
}

static void server_on_resume(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, resume);
    for (struct peer *p = s->peers, *next; p; p = next) {
        next = p->next;
        if (p->stalled && !peer_closing(p) && may_ask(p))
            go_on(p);
    }
}

void server_resume(struct server *s)
{
    if (s->stalled > 0 && !s->closing && !uv_is_active((uv_handle_t *)&s->resume))
        uv_timer_start(&s->resume, server_on_resume, 0, 0);
}

static void server_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct peer *p = container_of((uv_pipe_t *)handle, struct peer, pipe);
    *buf = uv_buf_init(p->server->scratch, READ_BYTES);
}

static void server_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = container_of((uv_pipe_t *)stream, struct peer, pipe);
    if (n < 0)
        peer_close(p);
    else if (n > 0)
        take_bytes(p, (const uint8_t *)buf->base, (size_t)n);
}

/* ---- connections ------------------------------------------------------------------------------- */

static size_t peers_of(const struct server *s, uid_t uid)
{
    size_t n = 0;
    for (const struct peer *p = s->peers; p; p = p->next)
        n += p->uid == uid;
    return n;
}

static size_t guests(const struct server *s)
{
    size_t n = 0;
    for (const struct peer *p = s->peers; p; p = p->next)
        n += !p->rights.admin;
    return n;
}

static int admit(const struct server *s, const struct peer *p, struct err *e)
{
    if (s->npeers > SERVER_PEERS_MAX || peers_of(s, p->uid) > SERVER_PEERS_UID ||
        (!p->rights.admin && guests(s) > SERVER_PEERS_GUEST)) {
        err_set(e, WATTQ_E_LIMIT, "too many connections (%zu)", s->npeers);
        return err_next(e, "close some clients and try again");
    }
    return 0;
}

/* All groups of the peer's process: its own and the supplementary ones. A kernel without SO_PEERGROUPS (before
 * 4.13) tells the first only. */
static int read_rights(struct peer *p, int fd, gid_t gid)
{
    gid_t few[64];
    gid_t *many CLEANUP(base_freep) = NULL;
    gid_t *groups = few;
    socklen_t bytes = sizeof(few) - sizeof(*few);
    int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few + 1, &bytes);
    if (rc < 0 && errno == ERANGE) {
        groups = many = base_alloc(sizeof(gid) + bytes);
        rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, many + 1, &bytes);
    }
    groups[0] = gid;
    size_t n = 1 + (rc == 0 ? bytes / sizeof(gid) : 0);
    p->rights = rights_of(&p->server->cfg.policy, p->uid, groups, n);
    return 0;
}

static int read_credentials(struct peer *p)
{
    uv_os_fd_t fd = -1;
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    if (uv_fileno((uv_handle_t *)&p->pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -1;
    p->uid = cred.uid;
    p->pid = cred.pid;
    return read_rights(p, (int)fd, cred.gid);
}

static struct peer *new_peer(struct server *s)
{
    struct peer *p = base_alloc(sizeof(*p));
    uv_pipe_init(s->loop, &p->pipe, 0);
    p->server = s;
    p->refs = 1;
    p->tail = &p->head;
    p->next = s->peers;
    if (p->next)
        p->next->prev = p;
    s->peers = p;
    s->npeers++;
    s->handles++;
    return p;
}

static void server_on_connection(uv_stream_t *listener, int status)
{
    struct server *s = container_of((uv_pipe_t *)listener, struct server, listener);
    if (status < 0) {
        log_warn("accept failed: %s", uv_strerror(status));
        return;
    }
    struct peer *p = new_peer(s);
    struct err e = {0};
    if (uv_accept(listener, (uv_stream_t *)&p->pipe) < 0 || read_credentials(p) < 0) {
        peer_close(p);
        return;
    }
    if (admit(s, p, &e) < 0) {
        peer_refuse(p, 0, &e);
        return;
    }
    set_deadline(p, true);
    if (uv_read_start((uv_stream_t *)&p->pipe, server_on_alloc, server_on_read) < 0)
        peer_close(p);
}

/* ---- the listener ------------------------------------------------------------------------------ */

/* Somebody listens: conflict. Nobody, and the file is a socket of ours: it is left from a kill. */
static int clear_path(const struct sockaddr_un *addr, struct err *e)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(e, WATTQ_E_IO, "cannot look at %s", addr->sun_path);
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid()) {
        err_set(e, WATTQ_E_CONFLICT, "%s exists and is not a socket of ours", addr->sun_path);
        return err_next(e, "move it away, or name another with --socket PATH");
    }
    int fd CLEANUP(base_closep) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot create a socket");
    /* EAGAIN: its backlog is full, so somebody listens. */
    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN) {
        err_set(e, WATTQ_E_CONFLICT, "another wattqd listens on %s", addr->sun_path);
        return err_next(e, "use it (wattq info), or name another with --socket PATH");
    }
    if (errno != ECONNREFUSED || unlink(addr->sun_path) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot replace %s", addr->sun_path);
    return 0;
}

/* Bound, with its mode, not yet listening: so nobody gets in before the mode is right. */
static int bind_path(struct server *s, struct err *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st;
    int rc = places_check_socket(s->cfg.path, e);
    if (rc < 0)
        return rc;
    base_strcpy(addr.sun_path, sizeof(addr.sun_path), s->cfg.path);
    rc = clear_path(&addr, e);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* On Linux the file gets the mode that the socket had before bind. */
    if (fd < 0 || fchmod(fd, (mode_t)s->cfg.mode) < 0 ||
        bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        chmod(addr.sun_path, (mode_t)s->cfg.mode) < 0 || lstat(addr.sun_path, &st) < 0) {
        rc = err_errno(e, WATTQ_E_IO, "cannot create the socket %s", addr.sun_path);
        base_closep(&fd);
        return rc;
    }
    base_strcpy(s->path, sizeof(s->path), addr.sun_path);
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    return fd;
}

static int activated_fd(struct err *e)
{
    int n = sd_listen_fds(0);
    if (n != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
        return err_set(e, WATTQ_E_USAGE, "socket activation passed %d sockets, one is needed", n);
    return SD_LISTEN_FDS_START;
}

static int listen_on(struct server *s, int fd, struct err *e)
{
    int rc = uv_pipe_open(&s->listener, fd);
    if (rc < 0)
        close(fd);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&s->listener, BACKLOG, server_on_connection);
    return rc == 0 ? 0 : err_set(e, WATTQ_E_IO, "cannot listen: %s", uv_strerror(rc));
}

int server_open(struct server **out, uv_loop_t *loop, const struct server_config *cfg,
                struct err *e)
{
    struct server *s = base_alloc(sizeof(*s));
    *out = NULL;
    s->loop = loop;
    s->cfg = *cfg;
    if (s->cfg.patience_ns == 0)
        s->cfg.patience_ns = SERVER_PATIENCE_NS;
    int fd = cfg->path ? bind_path(s, e) : activated_fd(e);
    s->cfg.path = NULL; /* the caller's memory */
    if (fd < 0) {
        free(s);
        return fd;
    }
    uv_pipe_init(loop, &s->listener, 0);
    uv_timer_init(loop, &s->timer);
    uv_timer_init(loop, &s->resume);
    s->handles = 3;
    int rc = listen_on(s, fd, e);
    if (rc < 0)
        server_close(s, NULL, NULL);
    else
        *out = s;
    return rc;
}

static void server_on_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

/* Only the file we made: another daemon may have put its own there. */
static void remove_path(const struct server *s)
{
    struct stat st;
    if (s->path[0] && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
        unlink(s->path);
}

void server_close(struct server *s, void (*closed)(void *arg), void *arg)
{
    if (!s || s->closing)
        return;
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    remove_path(s);
    s->listener.data = s;
    s->timer.data = s;
    s->resume.data = s;
    for (struct peer *p = s->peers; p; p = p->next)
        peer_close(p);
    uv_close((uv_handle_t *)&s->listener, server_on_closed);
    uv_close((uv_handle_t *)&s->timer, server_on_closed);
    uv_close((uv_handle_t *)&s->resume, server_on_closed);
}
