#include "common/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void durable_fini(struct durable *d)
{
    for (size_t i = 0; i < d->nfiles; i++)
        close(d->files[i]);
    for (size_t i = 0; i < d->ndirs; i++)
        close(d->dirs[i]);
    d->nfiles = d->ndirs = 0;
}

static int remember_dir(struct durable *d, int dirfd)
{
    struct stat st;
    if (fstat(dirfd, &st) < 0)
        return -1;
    for (size_t i = 0; i < d->ndirs; i++)
        if (d->inodes[i] == st.st_ino && d->devices[i] == st.st_dev)
            return 0;
    if (d->ndirs == DURABLE_DIRS) {
        errno = EINVAL;
        return -1;
    }
    int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    d->devices[d->ndirs] = st.st_dev;
    d->inodes[d->ndirs] = st.st_ino;
    d->dirs[d->ndirs++] = fd;
    return 0;
}

static int make_room(struct durable *d, int dirfd)
{
    if (d->nfiles == DURABLE_FILES && durable_wait(d) < 0)
        return -1;
    return remember_dir(d, dirfd);
}

static int fill(int fd, const void *data, size_t bytes, int64_t mtime_s)
{
    const struct timespec at = {.tv_sec = mtime_s}, times[2] = {at, at};
    if (base_write_all(fd, data, bytes) < 0 || (mtime_s && futimens(fd, times) < 0))
        return -1;
    /* So that the disk is at it while the next one is made. Where that is not to be had, it begins later. */
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    return 0;
}

int durable_add(struct durable *d, int dirfd, const char *name, const void *data, size_t bytes,
                unsigned mode, int64_t mtime_s)
{
    if (make_room(d, dirfd) < 0 || (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT))
        return -1;
    int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return -1;
    d->files[d->nfiles++] = fd;
    return fill(fd, data, bytes, mtime_s);
}

int durable_add_old(struct durable *d, int dirfd, const char *name)
{
    int fd = make_room(d, dirfd) < 0 ? -1 : openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    d->files[d->nfiles++] = fd;
    return 0;
}

/* The data of all of them first: a file system with a journal then has one commit to make and not one each. */
int durable_wait(struct durable *d)
{
    int error = 0;
    for (size_t i = 0; i < d->nfiles; i++)
        (void)sync_file_range(d->files[i], 0, 0,
                              SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    for (size_t i = 0; i < d->nfiles && !error; i++)
        error = fsync(d->files[i]) < 0 ? errno : 0;
    for (size_t i = 0; i < d->ndirs && !error; i++)
        error = fsync(d->dirs[i]) < 0 ? errno : 0;
    durable_fini(d);
    errno = error;
    return error ? -1 : 0;
}
