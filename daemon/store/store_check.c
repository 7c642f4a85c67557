#include "daemon/store/stmt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HEADER_BYTES 16 /* "SQLite format 3" and its NUL. source: sqlite.org/fileformat2.html 1.3 */

/* File systems whose locks or shared memory do not hold what WAL needs, however new they are. */
static const char *remote_name(const char *dir)
{
    struct statfs fs;
    if (statfs(dir, &fs) != 0)
        return NULL;
    switch ((unsigned long)fs.f_type & 0xffffffffUL) {
    case NFS_SUPER_MAGIC:
        return "NFS";
    case 0xff534d42UL: /* CIFS_SUPER_MAGIC of newer headers */
    case 0xfe534d42UL: /* SMB2 */
    case SMB_SUPER_MAGIC:
        return "SMB";
    case AFS_SUPER_MAGIC:
        return "AFS";
    default:
        return NULL;
    }
}

static int dir_of(const char *path, char *dir, size_t cap, struct err *e)
{
    if (!base_strcpy(dir, cap, path))
        return err_set(e, WATTQ_E_USAGE, "the path of the database is too long: %.100s...", path);
    char *slash = strrchr(dir, '/');
    if (!slash)
        base_strcpy(dir, cap, ".");
    else
        slash[slash == dir] = '\0';
    return 0;
}

static int check_dir(const char *path, struct err *e)
{
    char dir[WATTQ_PATH_MAX];
    int rc = dir_of(path, dir, sizeof(dir), e);
    if (rc)
        return rc;
    struct stat st;
    if (stat(dir, &st) != 0) {
        err_errno(e, WATTQ_E_STORAGE, "the directory of the database, %s, cannot be used", dir);
        return err_next(e, "make it (mkdir -p -m 700 %s) or name another one with --state-dir DIR",
                        dir);
    }
    const char *remote = remote_name(dir);
    if (remote) {
        err_set(e, WATTQ_E_STORAGE, "%s is on %s, where a database cannot be shared safely", dir,
                remote);
        return err_next(e, "name a local directory: wattqd --state-dir /var/tmp/wattq-$USER");
    }
    if (access(dir, W_OK | X_OK) != 0) {
        err_errno(e, WATTQ_E_STORAGE, "the directory of the database, %s, cannot be written", dir);
        return err_next(e, "make it writable, or name another one with --state-dir DIR");
    }
    return 0;
}

static int not_ours(const char *path, struct err *e)
{
    err_set(e, WATTQ_E_CORRUPT, "%s is damaged: it does not begin as a database does", path);
    return err_next(e, "restore a backup, or set it aside: mv %s %s.damaged", path, path);
}

int store_check_file(const char *path, struct err *e)
{
    int rc = check_dir(path, e);
    if (rc)
        return rc;
    int fd CLEANUP(base_closep) = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err_errno(e, WATTQ_E_STORAGE, "%s cannot be opened for writing", path);
        return err_next(e, "check who owns it: ls -l %s", path);
    }
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(e, WATTQ_E_STORAGE, "%s cannot be examined", path);
    if (!S_ISREG(st.st_mode)) {
        err_set(e, WATTQ_E_STORAGE, "%s is not a regular file", path);
        return err_next(e, "name another directory with --state-dir DIR");
    }
    if (st.st_size == 0)
        return 0;
    char head[HEADER_BYTES];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return err_errno(e, WATTQ_E_STORAGE, "%s cannot be read", path);
    if (n != HEADER_BYTES || memcmp(head, "SQLite format 3", HEADER_BYTES) != 0)
        return not_ours(path, e);
    return 0;
}
