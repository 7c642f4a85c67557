/* wattq-shepherd RUN_DIR [CONNECTION]: one run's supervisor, see shepherd.h. The launch block is
 * descriptor 3; CONNECTION is a descriptor that already speaks frames. Started by wattqd. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/launch/shepherd.h"

static int usage(void)
{
    fprintf(
        stderr,
        "wattq-shepherd is started by wattqd; to run something, type: wattq submit -- COMMAND\n");
    return 2;
}

/* Keeps nobody's terminal or journal pipe open once nothing more is to be said there. */
static void leave_stderr(void)
{
    int null CLEANUP(base_closep) = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, 2);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct launch_block b = {0};
    int conn = argc == 3 ? atoi(argv[2]) : -1;
    if (argc < 2 || argc > 3 || argv[1][0] != '/' || (argc == 3 && conn <= LAUNCH_FD))
        return usage();
    if (launch_block_read(LAUNCH_FD, &b, &e) < 0) {
        fprintf(stderr, "wattq-shepherd: %s\n", e.text);
        return usage();
    }
    close(LAUNCH_FD);
    if (conn >= 0 && fcntl(conn, F_SETFD, FD_CLOEXEC) < 0)
        return usage();
    int keep = dup(2);
    if (keep >= 0)
        fcntl(keep, F_SETFD, FD_CLOEXEC);
    if (!(b.flags & LAUNCH_FOREGROUND))
        leave_stderr();
    int rc = shepherd_run(argv[1], &b, conn, &e);
    if (rc && keep >= 0)
        dprintf(keep, "wattq-shepherd: %s\n", e.text);
    launch_block_fini(&b);
    return rc ? 1 : 0;
}
