/* The control socket. A peer that does not read or does not speak our frames is dropped: the run's files
 * tell it everything when it comes back. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/launch/shepherd_private.h"

static int64_t or_zero(int64_t ns)
{
    return ns == RESULT_NONE ? 0 : ns;
}

/* Out of the epoll set by name: closing is not enough for the first connection, of which the child at the gate
 * holds a copy until it execs; it would report the peer's end again and again. */
static void drop(const struct shepherd *s, struct ctl_peer *p)
{
    if (p->fd >= 0)
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
    base_closep(&p->fd);
    p->fd = -1;
    p->have = 0;
}

/* One that has gone may have left a word that is still to be read, its ABORT say: ctl_read comes to its end. */
static void send_frame(const struct shepherd *s, struct ctl_peer *p, const struct frame *f)
{
    ssize_t n = send(p->fd, f, sizeof(*f), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n != (ssize_t)sizeof(*f) && (n >= 0 || errno != EPIPE))
        drop(s, p);
}

static struct frame state_frame(const struct shepherd *s)
{
    return (struct frame){.magic = FRAME_MAGIC,
                          .kind = FRAME_STATE,
                          .phase = (uint16_t)s->phase,
                          .token = s->block->token,
                          .t0_ns = or_zero(s->r.t0_ns),
                          .main_exit_ns = or_zero(s->r.main_exit_ns),
                          .t1_ns = or_zero(s->r.t1_ns),
                          .pid = s->main_pid};
}

void ctl_announce(struct shepherd *s)
{
    struct frame f = state_frame(s);
    for (size_t i = 0; i < CTL_PEERS; i++)
        if (s->peers[i].fd >= 0)
            send_frame(s, &s->peers[i], &f);
}

size_t ctl_peers(const struct shepherd *s)
{
    size_t n = 0;
    for (size_t i = 0; i < CTL_PEERS; i++)
        n += s->peers[i].fd >= 0;
    return n;
}

/* The socket lies in a directory of our user; this also holds when that was opened up. */
static bool may_speak(const struct shepherd *s, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           (cred.uid == getuid() || cred.uid == 0 || cred.uid == s->block->peer_uid);
}

/* Takes fd over. When all places are taken the oldest silent peer is not worth more than the new one:
 * the first goes. */
static void add_peer(struct shepherd *s, int fd)
{
    size_t i = 0;
    while (i < CTL_PEERS && s->peers[i].fd >= 0)
        i++;
    if (i == CTL_PEERS) {
        i = 0;
        drop(s, &s->peers[0]);
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = WAKE_PEER0 + (uint32_t)i};
    s->peers[i] = (struct ctl_peer){.fd = fd};
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        drop(s, &s->peers[i]);
        return;
    }
    struct frame f = state_frame(s);
    send_frame(s, &s->peers[i], &f);
}

int ctl_open(struct shepherd *s, int conn, struct err *e)
{
    s->ctl_fd = frame_listen(s->dirfd, "ctl", e);
    if (s->ctl_fd < 0)
        return s->ctl_fd;
    /* A client's run directory has the daemon's group, and so has what is made in it. */
    if (s->block->peer_uid && fchmodat(s->dirfd, "ctl", 0660, 0) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the control socket to the daemon");
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = WAKE_CTL};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->ctl_fd, &ev) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot watch the control socket");
    if (conn >= 0)
        add_peer(s, conn);
    return 0;
}

void ctl_close(struct shepherd *s)
{
    for (size_t i = 0; i < CTL_PEERS; i++)
        drop(s, &s->peers[i]);
    if (s->ctl_fd >= 0)
        unlinkat(s->dirfd, "ctl", 0);
    base_closep(&s->ctl_fd);
    s->ctl_fd = -1;
}

void ctl_accept(struct shepherd *s)
{
    for (int fd; (fd = accept4(s->ctl_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        if (may_speak(s, fd))
            add_peer(s, fd);
        else
            close(fd);
    }
}

/* wattqd knows why it stops a run; of anybody else the result has to say it. */
static void stop(struct shepherd *s, int fd, const struct frame *f)
{
    char text[80];
    struct ucred cred;
    socklen_t len = sizeof(cred);
    bool first = s->r.cause == RESULT_EXITED;
    shepherd_stop(s, f->cause == RESULT_ENERGY_LIMIT ? RESULT_ENERGY_LIMIT : RESULT_STOPPED,
                  f->a >= 1 && f->a < NSIG ? (int)f->a : SIGTERM, f->b);
    if (f->pid <= 0 || !first || s->r.cause != RESULT_STOPPED ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return;
    snprintf(text, sizeof(text), "stopped by hand (wattq-shepherd --stop, uid %u)",
             (unsigned)cred.uid);
    shepherd_note(s, text);
}

static void on_frame(struct shepherd *s, struct ctl_peer *p)
{
    const struct frame *f = &p->in;
    struct frame answer = state_frame(s);
    if (f->token != s->block->token) {
        /* Somebody else's run, or a start that was given up. */
        answer.kind = FRAME_NACK;
        answer.a = s->block->token;
        send_frame(s, p, &answer);
        return;
    }
    switch ((enum frame_kind)f->kind) {
    case FRAME_GO:
        /* May come any number of times: a new wattqd cannot know whether the old one's arrived. */
        if (s->phase == SHEPHERD_GATE)
            shepherd_go(s);
        else
            send_frame(s, p, &answer);
        break;
    case FRAME_STOP:
        stop(s, p->fd, f);
        break;
    case FRAME_PAUSE:
    case FRAME_RESUME:
        shepherd_pause(s, f->kind == FRAME_PAUSE);
        break;
    case FRAME_ABORT:
        shepherd_abort(s);
        break;
    case FRAME_FILED:
        on_end_go(s);
        break;
    case FRAME_STATE:
    case FRAME_NACK:
        drop(s, p); /* these are ours to send */
        break;
    }
}

void ctl_read(struct shepherd *s, size_t peer)
{
    struct ctl_peer *p = &s->peers[peer];
    while (p->fd >= 0) {
        ssize_t n = recv(p->fd, (char *)&p->in + p->have, sizeof(p->in) - p->have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(s, p);
            return;
        }
        p->have += (size_t)n;
        if (p->have < sizeof(p->in))
            continue;
        p->have = 0;
        if (frame_ok(&p->in))
            on_frame(s, p);
        else
            drop(s, p);
    }
}
