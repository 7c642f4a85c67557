#include "daemon/launch/launch_dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

struct name {
    char text[40];
};

static struct name name_of(int64_t run, const char *suffix)
{
    struct name n;
    (void)snprintf(n.text, sizeof(n.text), "%" PRId64 "%s", run, suffix);
    return n;
}

static DIR *list(int dirfd)
{
    int fd = openat(dirfd, ".", OPEN_DIR);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0)
        close(fd);
    return d;
}

/* Each name in it to `to`, or away with to < 0. */
static bool empty(int dirfd, int to)
{
    DIR *d = list(dirfd);
    const struct dirent *entry;
    bool all = d != NULL;
    while (d && (entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        all = (to >= 0 ? renameat(dirfd, entry->d_name, to, entry->d_name)
                       : unlinkat(dirfd, entry->d_name, 0)) == 0 &&
              all;
    }
    if (d)
        (void)closedir(d);
    return all;
}

/* The user's own: its files go into one of ours of that name. Killed half way, the next one goes on. */
static bool take_over(int runs_fd, int64_t run)
{
    struct name now = name_of(run, ""), old = name_of(run, ".left");
    if (renameat(runs_fd, now.text, runs_fd, old.text) < 0 || mkdirat(runs_fd, now.text, 0700) < 0)
        return false;
    int from CLEANUP(base_closep) = openat(runs_fd, old.text, OPEN_DIR);
    int to CLEANUP(base_closep) = openat(runs_fd, now.text, OPEN_DIR);
    return from >= 0 && to >= 0 && empty(from, to) &&
           unlinkat(runs_fd, old.text, AT_REMOVEDIR) == 0;
}

bool launch_dir_close(int runs_fd, int64_t run)
{
    struct stat st;
    int fd CLEANUP(base_closep) = openat(runs_fd, name_of(run, "").text, OPEN_DIR);
    if (fd < 0)
        return errno == ENOENT;
    if (fstat(fd, &st) < 0)
        return false;
    return st.st_uid == geteuid() ? fchmod(fd, 0700) == 0 : take_over(runs_fd, run);
}

bool launch_dir_remove(int runs_fd, int64_t run)
{
    struct name name = name_of(run, "");
    int fd CLEANUP(base_closep) = openat(runs_fd, name.text, OPEN_DIR);
    if (fd < 0)
        return errno == ENOENT;
    return empty(fd, -1) && unlinkat(runs_fd, name.text, AT_REMOVEDIR) == 0;
}
