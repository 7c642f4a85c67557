#include "daemon/meter/uevent.h"

#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP_KERNEL  1u
#define MESSAGE_BYTES 8192 /* the kernel's own limit is 2 KiB and a header */
#define CALM_MS       500  /* a driver makes its devices one after the other */
#define DRAIN_MAX     1000 /* a storm is no reason to stay */

int uevent_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The value of a key, within the message; NULL when it has none. */
static const char *value_of(const char *text, size_t bytes, const char *key)
{
    size_t n = strlen(key);
    for (size_t at = 0; at < bytes;) {
        size_t length = strnlen(text + at, bytes - at);
        if (length == bytes - at) {
            break; /* not ended: cut short */
        }
        if (length > n && text[at + n] == '=' && memcmp(text + at, key, n) == 0) {
            return text + at + n + 1;
        }
        at += length + 1;
    }
    return NULL;
}

static bool one_of(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; word && i < n; i++) {
        if (strcmp(word, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool uevent_matters(const char *text, size_t bytes)
{
    static const char *const actions[] = {"add", "remove", "bind", "unbind", "move"};
    static const char *const kinds[] = {"powercap",     "hwmon", "drm",     "event_source",
                                        "power_supply", "ipmi",  "thermal", "module"};
    return one_of(value_of(text, bytes, "ACTION"), actions, ARRAY_LEN(actions)) &&
           one_of(value_of(text, bytes, "SUBSYSTEM"), kinds, ARRAY_LEN(kinds));
}

bool uevent_drain(int fd)
{
    char text[MESSAGE_BYTES];
    bool matters = false;
    for (int i = 0; i < DRAIN_MAX; i++) {
        struct sockaddr_nl from = {0};
        socklen_t length = sizeof(from);
        ssize_t n = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &length);
        if (n < 0) {
            break;
        }
        /* the kernel's own port is 0 */
        matters = matters || (from.nl_pid == 0 && uevent_matters(text, (size_t)n));
    }
    return matters;
}

/* ---- the listener ------------------------------------------------------------------------------ */

struct uevents {
    pthread_t thread;
    int fd, ending;
    void (*fn)(void *arg);
    void *arg;
};

/* True = the end. */
static bool ended(const struct uevents *u, bool hear, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = u->ending, .events = POLLIN},
                            {.fd = hear ? u->fd : -1, .events = POLLIN}};
    (void)poll(fds, 2, timeout_ms);
    return fds[0].revents != 0;
}

static void *listen_uevents(void *arg)
{
    const struct uevents *u = arg;
    (void)prctl(PR_SET_NAME, "meter-uevent");
    while (!ended(u, true, -1)) {
        if (!uevent_drain(u->fd)) {
            continue;
        }
        if (ended(u, false, CALM_MS)) {
            break;
        }
        u->fn(u->arg);
    }
    return NULL;
}

static void release(struct uevents *u)
{
    base_closep(&u->fd);
    base_closep(&u->ending);
    free(u);
}

struct uevents *uevents_start(void (*fn)(void *arg), void *arg)
{
    struct uevents *u = base_alloc(sizeof(*u));
    *u = (struct uevents){
        .fd = uevent_open(), .ending = eventfd(0, EFD_CLOEXEC), .fn = fn, .arg = arg};
    if (u->fd < 0 || u->ending < 0 || pthread_create(&u->thread, NULL, listen_uevents, u) != 0) {
        release(u);
        return NULL;
    }
    return u;
}

void uevents_stop(struct uevents *u)
{
    if (!u) {
        return;
    }
    (void)eventfd_write(u->ending, 1);
    pthread_join(u->thread, NULL);
    release(u);
}
