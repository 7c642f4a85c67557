#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/launch/launcher_private.h"

#define FIRST_FD 3

static int64_t number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoll(text, NULL, 10) : 0;
}

int unit_listen_fd(const char *name)
{
    int64_t n = number("LISTEN_FDS");
    if (number("LISTEN_PID") != getpid() || n > 16)
        return -1;
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)n; fd++) {
        struct sockaddr_un sa = {0};
        socklen_t len = sizeof(sa) - 1;
        if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 || sa.sun_family != AF_UNIX)
            continue;
        const char *last = strrchr(sa.sun_path, '/');
        if (last && strcmp(last + 1, name) == 0)
            return fd;
    }
    return -1;
}

void unit_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@')
        sa.sun_path[0] = 0; /* the abstract name space */
    int fd CLEANUP(base_closep) = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sa,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

int64_t unit_watchdog_ns(void)
{
    int64_t us = number("WATCHDOG_USEC"), pid = number("WATCHDOG_PID");
    if (us <= 0 || us > INT64_C(86400) * 1000000 || (pid && pid != getpid()))
        return 0;
    return us * NS_PER_US / 2;
}
