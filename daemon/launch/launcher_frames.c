/* Records between the launcher and those who ask it. Linked by the launcher, wattqd and the client. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/launch/launcher.h"

#define HEAD_BYTES offsetof(struct launcher_record, warrant)
#define PATIENCE_S 5

static bool has_warrant(const struct launcher_record *r)
{
    return r->warrant.n > 0;
}

size_t launcher_record_bytes(const struct launcher_record *r)
{
    return HEAD_BYTES + (has_warrant(r) ? warrant_bytes(&r->warrant) : 0);
}

/* Does that kind carry one: 1 must, 0 must not, 2 may; -1 = no such kind. */
static int wants_warrant(uint32_t kind)
{
    switch (kind) {
    case LAUNCHER_SIGN:
    case LAUNCHER_START:
        return 1;
    case LAUNCHER_STATUS:
    case LAUNCHER_METER:
    case LAUNCHER_EXEC_DIR:
    case LAUNCHER_REFUSED:
        return 0;
    case LAUNCHER_OK:
        return 2;
    default:
        return -1;
    }
}

int launcher_record_parse(struct launcher_record *r, const void *data, size_t bytes, struct err *e)
{
    memset(r, 0, sizeof(*r));
    if (bytes < HEAD_BYTES || bytes > sizeof(*r))
        return err_set(e, WATTQ_E_PROTOCOL, "a record of %zu bytes cannot be right", bytes);
    memcpy(r, data, HEAD_BYTES);
    int wants = wants_warrant(r->kind);
    if (r->magic != LAUNCHER_MAGIC || wants < 0)
        return err_set(e, WATTQ_E_PROTOCOL, "the launcher and its peer are of different versions");
    if (!memchr(r->text, 0, sizeof(r->text)) || !memchr(r->next, 0, sizeof(r->next)))
        return err_set(e, WATTQ_E_PROTOCOL, "a record's text has no end");
    if (wants < 2 && (wants == 1) != (bytes > HEAD_BYTES))
        return err_set(e, WATTQ_E_PROTOCOL, "a record of that kind cannot have %zu bytes", bytes);
    if (bytes == HEAD_BYTES)
        return 0;
    return warrant_parse(&r->warrant, (const char *)data + HEAD_BYTES, bytes - HEAD_BYTES, e);
}

/* ---- sockets ------------------------------------------------------------------------------------- */

int launcher_send(int fd, const struct launcher_record *r, const int *fds, size_t n, struct err *e)
{
    char control[CMSG_SPACE(LAUNCHER_FDS_MAX * sizeof(int))] __attribute__((aligned(8))) = {0};
    struct launcher_record copy = *r;
    struct iovec iov = {.iov_base = &copy, .iov_len = launcher_record_bytes(r)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n > LAUNCHER_FDS_MAX)
        return err_set(e, WATTQ_E_INTERNAL, "%zu descriptors are too many", n);
    if (n) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = (struct cmsghdr *)(void *)control;
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 || (size_t)sent != iov.iov_len)
        return err_errno(e, WATTQ_E_IO, "cannot send to the launcher's peer");
    return 0;
}

/* Every descriptor that came, to the first max of fds; returns how many there were. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < k; i++, n++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (n < max)
                fds[n] = fd;
            else
                close(fd);
        }
    }
    return n;
}

static void close_fds(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        close(fds[i]);
        fds[i] = -1;
    }
}

int launcher_recv(int fd, struct launcher_record *r, int *fds, size_t max, size_t *n, struct err *e)
{
    char control[CMSG_SPACE(LAUNCHER_FDS_MAX * sizeof(int))] __attribute__((aligned(8)));
    struct launcher_record raw;
    struct iovec iov = {.iov_base = &raw, .iov_len = sizeof(raw)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t got;
    *n = 0;
    do
        got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return 1;
    if (got < 0 && errno != ECONNRESET)
        return err_errno(e, WATTQ_E_IO, "cannot read from the launcher's peer");
    size_t came = got < 0 ? 0 : take_fds(&msg, fds, max);
    size_t kept = came < max ? came : max;
    if (got <= 0) {
        close_fds(fds, kept);
        errno = 0;
        return 1;
    }
    /* What did not fit the control buffer was closed by the kernel. */
    int rc = came > max || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
                 ? err_set(e, WATTQ_E_PROTOCOL, "a record came with more than belongs to it")
                 : launcher_record_parse(r, &raw, (size_t)got, e);
    if (rc < 0)
        close_fds(fds, kept);
    else
        *n = kept;
    return rc;
}

/* ---- those who ask ------------------------------------------------------------------------------- */

static int no_launcher(const char *dir, struct err *e)
{
    err_errno(e, WATTQ_E_UNAVAILABLE, "no launcher answers in %s", dir);
    err_next(e, "ask whoever looks after this machine to start wattq-launcher.service");
    return WATTQ_E_UNAVAILABLE;
}

int launcher_connect(const char *dir, const char *name, struct err *e)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
        return err_set(e, WATTQ_E_LIMIT, "the path of the launcher's socket is too long: %s", dir);
    int fd CLEANUP(base_closep) = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return no_launcher(dir, e);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0) {
        err_set(e, WATTQ_E_FORBIDDEN, "what answers in %s is not root, so it is no launcher", dir);
        err_next(e, "ask whoever looks after this machine who made %s", dir);
        return WATTQ_E_FORBIDDEN;
    }
    int out = fd;
    fd = -1;
    return out;
}

int launcher_verdict(const struct launcher_record *answer, struct err *e)
{
    if (answer->kind == LAUNCHER_OK)
        return 0;
    if (answer->kind != LAUNCHER_REFUSED)
        return err_set(e, WATTQ_E_PROTOCOL, "the launcher answered with a question");
    int code = err_from_name(err_name(answer->code)); /* one that this version knows */
    err_set(e, code, "%s", answer->text);
    if (answer->next[0])
        err_next(e, "%s", answer->next);
    return code;
}

int launcher_sign(const char *dir, struct warrant *w, struct err *e)
{
    struct launcher_record r = {.magic = LAUNCHER_MAGIC, .kind = LAUNCHER_SIGN};
    int fd CLEANUP(base_closep) = launcher_connect(dir, "sign", e);
    if (fd < 0)
        return fd;
    w->version = WARRANT_VERSION;
    w->reserved = 0;
    r.warrant = *w;
    size_t none;
    int rc = launcher_send(fd, &r, NULL, 0, e);
    if (rc == 0)
        rc = launcher_recv(fd, &r, NULL, 0, &none, e);
    if (rc > 0)
        return no_launcher(dir, e); /* it went away, or did not answer in time */
    if (rc == 0)
        rc = launcher_verdict(&r, e);
    if (rc < 0)
        return rc;
    size_t leaves = (size_t)w->n * SHA256_BYTES;
    if (r.warrant.n != w->n || memcmp(r.warrant.leaves, w->leaves, leaves) != 0)
        return err_set(e, WATTQ_E_PROTOCOL, "the launcher signed something else");
    *w = r.warrant;
    return 0;
}
