#include "daemon/meter/proc_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAT_BYTES 1024
#define KTHREAD    0x00200000u /* PF_KTHREAD of the kernel's sched.h */

ssize_t proc_stat_slurp(const char *root, int64_t pid, const char *name, char *text, size_t cap)
{
    char *path CLEANUP(base_freep) =
        base_printf("%s/proc/%lld/%s", root ? root : "", (long long)pid, name);
    text[0] = '\0';
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, text, cap - 1);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

/* The name in field 2 may hold anything, also ')': fields count from the last one. */
bool proc_stat_parse(const char *text, struct proc_stat *out)
{
    const char *open = strchr(text, '(');
    const char *close = strrchr(text, ')');
    unsigned flags = 0;
    unsigned long long used[4] = {0};
    unsigned long long start = 0;
    int ppid = 0;
    *out = (struct proc_stat){0};
    if (!open || !close || close < open ||
        sscanf(close + 1,
               " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d %*d %*d %llu",
               &out->state, &ppid, &flags, &used[0], &used[1], &used[2], &used[3], &start) != 8) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(used); i++) {
        if (used[i] > INT64_MAX / 4) {
            return false;
        }
    }
    size_t n = (size_t)(close - open - 1);
    n = n < sizeof(out->name) ? n : sizeof(out->name) - 1;
    memcpy(out->name, open + 1, n);
    out->name[n] = '\0';
    out->ppid = ppid;
    out->kernel = (flags & KTHREAD) != 0;
    out->ticks = (int64_t)(used[0] + used[1]);
    out->waited_ticks = (int64_t)(used[2] + used[3]);
    out->start_ticks = start;
    return true;
}

bool proc_stat_read(const char *root, int64_t pid, struct proc_stat *out)
{
    char text[STAT_BYTES];
    errno = 0;
    if (proc_stat_slurp(root, pid, "stat", text, sizeof(text)) <= 0) {
        return false;
    }
    errno = 0;
    return proc_stat_parse(text, out);
}

int64_t proc_stat_uid(const char *root, int64_t pid)
{
    struct stat st;
    char *path CLEANUP(base_freep) = base_printf("%s/proc/%lld", root ? root : "", (long long)pid);
    return stat(path, &st) == 0 ? (int64_t)st.st_uid : -1;
}
