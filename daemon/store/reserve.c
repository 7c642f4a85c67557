#include "daemon/store/reserve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LEAST_BYTES (INT64_C(64) << 10) /* the -shm takes half of it */

static char *path_of(const char *database)
{
    return base_printf("%s-reserve", database);
}

/* Blocks, not length: on some file systems a file can be longer than what it holds. 0 = there is none. */
static int64_t held(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_blocks * 512 : 0;
}

/* What we may use of the file system that the reserve is on; 0 when nobody can say. */
static int64_t space(const char *path)
{
    struct statvfs fs;
    const char *slash = strrchr(path, '/');
    char *dir CLEANUP(base_freep) =
        slash ? base_strdup_n(path, (size_t)(slash - path) + 1) : base_strdup(".");
    if (statvfs(dir, &fs) != 0)
        return 0;
    return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

static bool grow(const char *path, int64_t bytes)
{
    int fd CLEANUP(base_closep) = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 && posix_fallocate(fd, 0, bytes) == 0;
}

bool reserve_hold(const char *database, int64_t bytes, int64_t spare)
{
    char *path CLEANUP(base_freep) = path_of(database);
    int64_t have = held(path);
    if (have >= bytes)
        return true;
    if (space(path) < bytes - have + spare)
        return false;
    if (grow(path, bytes))
        return true;
    reserve_cut(database, have); /* a part of it may be there now */
    return false;
}

void reserve_scrape(const char *database, int64_t bytes)
{
    char *path CLEANUP(base_freep) = path_of(database);
    int64_t want = (held(path) + space(path)) / 2;
    want = want < bytes ? want : bytes;
    if (want >= LEAST_BYTES)
        (void)reserve_hold(database, want, 0);
}

bool reserve_cut(const char *database, int64_t keep)
{
    char *path CLEANUP(base_freep) = path_of(database);
    int64_t have = held(path);
    if (have <= keep)
        return false;
    return keep > 0 ? truncate(path, keep) == 0 : unlink(path) == 0;
}
