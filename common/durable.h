/* New files that are made durable together: each is written as soon as it is known, the disk is waited for once. Until
 * durable_wait has returned 0 none of them may be relied on, so nothing may refer to them before. No threads. */
#ifndef COMMON_DURABLE_H
#define COMMON_DURABLE_H

#include <sys/types.h>

#include "common/base.h"

#define DURABLE_FILES 32 /* at a time; with more, durable_add waits for those before */
#define DURABLE_DIRS  2

struct durable {
    int files[DURABLE_FILES], dirs[DURABLE_DIRS];
    dev_t devices[DURABLE_DIRS];
    ino_t inodes[DURABLE_DIRS];
    size_t nfiles, ndirs;
};

/* A new file in place of any of that name, which nothing may refer to. mode as for open(2); mtime_s: 0 = now. 0, or -1
 * with errno. */
int durable_add(struct durable *d, int dirfd, const char *name, const void *data, size_t bytes,
                unsigned mode, int64_t mtime_s) MUST_USE;
/* A file that is there and has the right content, but that perhaps nobody has made durable. */
int durable_add_old(struct durable *d, int dirfd, const char *name) MUST_USE;
/* All that was added and its directories. 0, or -1 with errno: of none of it anything is known. */
int durable_wait(struct durable *d) MUST_USE;
void durable_fini(struct durable *d); /* closes without waiting; also for CLEANUP() */

#endif
