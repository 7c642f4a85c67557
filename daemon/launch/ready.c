#include "daemon/launch/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/launch/frames.h"

union ready_control {
    struct cmsghdr head;
    char room[CMSG_SPACE(READY_FDS * sizeof(int))];
};

/* ---- keeper -------------------------------------------------------------------------------------- */

int ready_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

/* It never says anything: what can be read is its end. */
bool ready_has_gone(int fd)
{
    char byte;
    if (fd < 0)
        return true;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* One after the other, each with its NUL. -1: they do not fit. */
static ssize_t join(char text[READY_BYTES], char *const argv[])
{
    size_t n = 0, argc = 0;
    for (; argv[argc]; argc++) {
        size_t len = strlen(argv[argc]) + 1;
        if (argc == READY_ARGS || len > READY_BYTES - n)
            return -1;
        memcpy(text + n, argv[argc], len);
        n += len;
    }
    return (ssize_t)n;
}

int ready_tell(int fd, char *const argv[], const int *fds, size_t n)
{
    char text[READY_BYTES];
    union ready_control control = {0};
    ssize_t bytes = join(text, argv);
    struct iovec iov = {text, bytes > 0 ? (size_t)bytes : 0};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (bytes <= 0 || n < 1 || n > READY_FDS || !c) {
        errno = EMSGSIZE;
        return -1;
    }
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == bytes ? 0 : -1;
}

/* ---- shepherd ------------------------------------------------------------------------------------ */

int ready_keep_room(void)
{
    int null CLEANUP(base_closep) = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 1; i < READY_FDS; i++)
        if (null < 0 || (null != LAUNCH_FD + i && dup3(null, LAUNCH_FD + i, O_CLOEXEC) < 0))
            return -1;
    if (null < LAUNCH_FD + READY_FDS)
        null = -1; /* it is one of them */
    return 0;
}

/* Where they belong; what was only kept free is closed. */
static int place(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (dup2(fds[i], LAUNCH_FD + (int)i) < 0)
            return -1;
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    for (int i = (int)n; i < READY_FDS; i++)
        close(LAUNCH_FD + i);
    return 0;
}

static int split(struct ready_order *o, size_t bytes)
{
    char *p = o->text;
    if (bytes == 0 || bytes > sizeof(o->text) || p[bytes - 1])
        return -1;
    for (o->argc = 0; p < o->text + bytes; p += strlen(p) + 1) {
        if (o->argc == READY_ARGS)
            return -1;
        o->argv[o->argc++] = p;
    }
    o->argv[o->argc] = NULL;
    return 0;
}

/* Its keeper is whoever made us: of nobody else is the other end. */
static int take(struct ready_order *o)
{
    union ready_control control;
    struct iovec iov = {o->text, sizeof(o->text)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control.room)};
    ssize_t bytes = recvmsg(LAUNCH_FD, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const struct cmsghdr *c = bytes > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    int fds[READY_FDS];
    if (!c || c->cmsg_type != SCM_RIGHTS || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return 1;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    return split(o, (size_t)bytes) < 0 || place(fds, n) < 0 ? 1 : 0;
}

int ready_wait(struct ready_order *o)
{
    struct pollfd p = {.fd = LAUNCH_FD, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, READY_IDLE_S * 1000);
    while (n < 0 && errno == EINTR);
    /* From here on the keeper cannot tell us any more; what it has told us already is taken all the same. */
    shutdown(LAUNCH_FD, SHUT_RD);
    return take(o);
}
