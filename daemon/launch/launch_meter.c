/* Meters that only root may open, from the launcher. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch.h"
#include "daemon/launch/launcher.h"

#define PATIENCE_US 100000 /* a meter may be opened again by the thread that samples */

static int ask(int fd, const char *name, int *out)
{
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    struct launcher_record r = {.magic = LAUNCHER_MAGIC, .kind = LAUNCHER_METER}, answer;
    size_t n = 0;
    errno = ENAMETOOLONG;
    if (!base_strcpy(r.text, sizeof(r.text), name))
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        launcher_send(fd, &r, NULL, 0, NULL) < 0 || launcher_recv(fd, &answer, out, 1, &n, NULL)) {
        errno = EACCES; /* nobody to ask: what it was without him */
        return -1;
    }
    if (answer.kind == LAUNCHER_OK && n == 1)
        return 0;
    errno = answer.state > 0 ? answer.state : EACCES;
    return -1;
}

int launch_meter_fd(void *launcher, const char *name, int flags)
{
    int out = name[0] == '/' ? open(name, flags) : -1;
    if (out >= 0 || (name[0] == '/' && errno != EACCES && errno != EPERM))
        return out;
    int fd CLEANUP(base_closep) = launcher_connect(launcher, "control", NULL);
    if (fd < 0) {
        errno = EACCES;
        return -1;
    }
    return ask(fd, name, &out) < 0 ? -1 : out;
}
