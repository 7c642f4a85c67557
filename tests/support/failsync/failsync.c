/* An fsync that fails, loaded before libc (LD_PRELOAD): EIO for what lies below the directory that the file named by
 * WATTQ_FAIL_FSYNC names, for as long as that file is there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_chosen(int fd)
{
    char link[64], path[4096], below[4096] = "";
    const char *name = getenv("WATTQ_FAIL_FSYNC");
    FILE *f = name ? fopen(name, "re") : NULL;
    if (!f)
        return 0;
    char *got = fgets(below, sizeof(below), f);
    fclose(f);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return got && strncmp(path, below, strlen(below)) == 0;
}

int fsync(int fd)
{
    if (is_chosen(fd)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}
