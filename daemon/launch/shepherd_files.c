/* What the run writes, watched from outside: stamps for its metrics, a cap for its log. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/shepherd_private.h"

#define LOOK_NS        (100 * NS_PER_MS)
#define MARKS_A_STEP   10000 /* marks after which their least distance doubles */
#define MARK_STEPS_MAX 20
#define BLOCK          4096

static int open_append(int dirfd, const char *name)
{
    return openat(dirfd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
}

int files_open(struct files *f, int dirfd, int64_t cap_bytes, const struct shepherd_system *sys,
               struct err *e)
{
    *f = (struct files){.dirfd = dirfd, .cap_bytes = cap_bytes, .due_ns = 0};
    f->head_bytes = cap_bytes / 4 / BLOCK * BLOCK;
    f->punched_to = f->head_bytes;
    f->log_fd = sys ? sys->log_fd : open_append(dirfd, "log");
    f->metrics_fd = sys ? sys->metrics_fd : open_append(dirfd, "metrics");
    f->marks_fd = open_append(dirfd, "marks");
    f->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (f->log_fd < 0 || f->metrics_fd < 0 || f->marks_fd < 0) {
        int saved = errno;
        files_close(f);
        errno = saved;
        return err_errno(e, WATTQ_E_IO, "cannot make the run's files");
    }
    return 0;
}

void files_close(struct files *f)
{
    int *fds[] = {&f->log_fd, &f->metrics_fd, &f->marks_fd, &f->inotify_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        base_closep(fds[i]);
        *fds[i] = -1;
    }
}

/* One event each and then silence until armed again: a busy log costs ten wakes a second, not more. */
static bool arm(struct files *f, int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return f->inotify_fd >= 0 &&
           inotify_add_watch(f->inotify_fd, path, IN_MODIFY | IN_ONESHOT) >= 0;
}

void files_woken(struct files *f, int64_t now_ns)
{
    char buf[4096] __attribute__((aligned(8)));
    while (read(f->inotify_fd, buf, sizeof(buf)) > 0)
        continue;
    int64_t at = f->looked_ns + LOOK_NS;
    f->due_ns = at > now_ns ? at : now_ns;
}

static void note_disk(struct files *f)
{
    struct statvfs fs;
    if (fstatvfs(f->log_fd, &fs) == 0 && fs.f_blocks > 0 && fs.f_bavail == 0)
        f->disk_full = true;
}

static int64_t mark_distance(const struct files *f)
{
    int64_t steps = f->marks / MARKS_A_STEP;
    return LOOK_NS << (steps < MARK_STEPS_MAX ? steps : MARK_STEPS_MAX);
}

/* true = there is growth that has not got its mark yet. */
static bool mark(struct files *f, bool last)
{
    struct stat st;
    if (fstat(f->metrics_fd, &st) < 0 || st.st_size <= f->marked_bytes)
        return false;
    int64_t now_ns = clock_boot_ns();
    if (!last && f->marks && now_ns - f->marked_ns < mark_distance(f))
        return true;
    char line[64];
    int n = snprintf(line, sizeof(line), "%" PRId64 " %" PRId64 "\n", (int64_t)st.st_size, now_ns);
    ssize_t wrote = write(f->marks_fd, line, (size_t)n);
    if (wrote != n) {
        /* Half a line would end the list for its reader. */
        struct stat m;
        if (wrote > 0 && fstat(f->marks_fd, &m) == 0)
            (void)!ftruncate(f->marks_fd, m.st_size - wrote);
        f->disk_full |= wrote >= 0 || errno == ENOSPC || errno == EDQUOT;
        return true;
    }
    f->marks++;
    f->marked_bytes = st.st_size;
    f->marked_ns = now_ns;
    return false;
}

/* Frees the middle once more than the cap is allocated. Half of the cap stays as the tail, a quarter as
 * the head, so that it takes another quarter until the next hole. */
static void cap_log(struct files *f)
{
    struct stat st;
    if (fstat(f->log_fd, &st) < 0)
        return;
    if (st.st_size != f->log_bytes)
        note_disk(f);
    f->log_bytes = st.st_size;
    if (!f->cap_bytes || f->cannot_punch || (int64_t)st.st_blocks * 512 <= f->cap_bytes)
        return;
    int64_t to = (st.st_size - f->cap_bytes / 2) / BLOCK * BLOCK;
    if (to <= f->punched_to)
        return;
    if (fallocate(f->log_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, f->punched_to,
                  to - f->punched_to) == 0)
        f->punched_to = to;
    else if (errno == EOPNOTSUPP || errno == ENOSYS)
        f->cannot_punch = true;
}

void files_look(struct files *f, int64_t now_ns)
{
    f->looked_ns = now_ns;
    /* Armed before looking: what is written in between is seen by one of the two. */
    bool armed = arm(f, f->metrics_fd) && arm(f, f->log_fd);
    bool owed = mark(f, false);
    cap_log(f);
    f->due_ns = armed && !owed ? NEVER : now_ns + LOOK_NS;
}

void files_finish(struct files *f)
{
    mark(f, true);
    cap_log(f);
}

int64_t files_dropped(const struct files *f)
{
    return f->punched_to - f->head_bytes;
}
