/* What the run writes, watched from outside: stamps for its metrics, a cap for what its files take of the disk. */
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
#define LARGE_LOOK_NS  NS_PER_S /* at files with holes */
#define MARKS_A_STEP   10000    /* marks after which their least distance doubles */
#define MARK_STEPS_MAX 20
#define BLOCK          4096

#define OPEN_APPEND (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW)

static int open_append(int dirfd, const char *name)
{
    return openat(dirfd, name, OPEN_APPEND, 0640);
}

int files_open(struct files *f, int dirfd, int64_t cap_bytes, const struct shepherd_system *sys,
               struct err *e)
{
    *f = (struct files){.dirfd = dirfd, .cap_bytes = cap_bytes, .due_ns = NEVER};
    f->head_bytes = cap_bytes / 4 / BLOCK * BLOCK;
    f->punched_to = f->head_bytes;
    f->log_fd = sys ? sys->log_fd : open_append(dirfd, "log");
    f->metrics_fd = sys ? sys->metrics_fd : open_append(dirfd, "metrics");
    f->marks_fd = -1; /* few runs write metrics: made with the first mark */
    f->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (f->log_fd < 0 || f->metrics_fd < 0) {
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

/* By then the directory may have been in its user's hands: nothing there is waited for. */
static bool open_marks(struct files *f)
{
    if (f->marks_fd < 0)
        f->marks_fd = openat(f->dirfd, "marks", OPEN_APPEND | O_NONBLOCK, 0640);
    f->disk_full |= f->marks_fd < 0 && (errno == ENOSPC || errno == EDQUOT);
    return f->marks_fd >= 0;
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
    if (!open_marks(f))
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

/* What of a file may stay, its first and its last bytes. */
struct keep {
    int64_t cap_bytes; /* on the disk */
    int64_t head_bytes, tail_bytes;
};

static int64_t on_disk(const struct stat *st)
{
    return (int64_t)st->st_blocks * 512;
}

/* What is reserved behind a file's end goes with a truncation to where it ends. Of what is written in that instant a
 * part may be lost, so only where there is such a reserve. */
static void cut_reserve(int fd, const struct keep *k, int64_t hole_to)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || on_disk(&st) <= k->cap_bytes)
        return;
    int64_t within = hole_to > k->head_bytes ? k->head_bytes + st.st_size - hole_to : st.st_size;
    if (on_disk(&st) > within + k->cap_bytes / 4 + 16 * BLOCK)
        (void)!ftruncate(fd, st.st_size);
}

/* Frees the middle once more than the cap is allocated, all of it each time: the file is its user's, who may cut it short,
 * write into the hole, or reserve room behind the end. Returns where the hole ends, or 0 when there was nothing to do. */
static int64_t cap_file(struct files *f, int fd, const struct stat *st, const struct keep *k)
{
    if (f->cannot_punch || on_disk(st) <= k->cap_bytes)
        return 0;
    int64_t to = (st->st_size - k->tail_bytes) / BLOCK * BLOCK;
    if (to > k->head_bytes && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                        k->head_bytes, to - k->head_bytes) < 0) {
        f->cannot_punch = errno == EOPNOTSUPP || errno == ENOSYS;
        return 0;
    }
    cut_reserve(fd, k, to);
    return to;
}

/* Half of the cap stays as the tail, a quarter as the head, so that it takes another quarter until the next hole. True =
 * larger than its cap: what is written into the hole by a mapping makes no event. */
static bool cap_log(struct files *f)
{
    const struct keep keep = {f->cap_bytes, f->head_bytes, f->cap_bytes / 2};
    struct stat st;
    if (fstat(f->log_fd, &st) < 0)
        return false;
    if (st.st_size != f->log_bytes)
        note_disk(f);
    f->log_bytes = st.st_size;
    if (!f->cap_bytes)
        return false;
    int64_t to = cap_file(f, f->log_fd, &st, &keep);
    f->punched_to = to > f->punched_to ? to : f->punched_to;
    return st.st_size > f->cap_bytes;
}

/* Beyond what is read of metrics nothing has to stay. */
static bool cap_metrics(struct files *f)
{
    static const struct keep keep = {RESULT_METRICS_MAX, RESULT_METRICS_MAX, 0};
    struct stat st;
    if (!f->cap_bytes || fstat(f->metrics_fd, &st) < 0)
        return false;
    (void)cap_file(f, f->metrics_fd, &st, &keep);
    return st.st_size > keep.cap_bytes;
}

void files_look(struct files *f, int64_t now_ns)
{
    f->looked_ns = now_ns;
    /* Armed before looking: what is written in between is seen by one of the two. */
    bool armed = arm(f, f->metrics_fd) && arm(f, f->log_fd);
    bool owed = mark(f, false);
    bool large = cap_log(f);
    large |= cap_metrics(f);
    if (!armed || owed)
        f->due_ns = now_ns + LOOK_NS;
    else
        f->due_ns = large ? now_ns + LARGE_LOOK_NS : NEVER;
}

void files_finish(struct files *f)
{
    mark(f, true);
    (void)cap_log(f);
    (void)cap_metrics(f);
}

int64_t files_dropped(const struct files *f)
{
    return f->punched_to - f->head_bytes;
}
