#include "daemon/store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/store/stmt.h"

#define STEP_PAGES 2048 /* 8 MiB: how often it is looked whether somebody still wants it */

/* ---- a copy ------------------------------------------------------------------------------------- */

static void remove_beside(const char *path, const char *suffix)
{
    char *name CLEANUP(base_freep) = base_printf("%s%s", path, suffix);
    (void)unlink(name);
}

void backup_remove(const char *path)
{
    remove_beside(path, "");
    remove_beside(path, "-wal");
    remove_beside(path, "-shm");
    remove_beside(path, "-journal");
}

static int check_space(struct store *s, const char *path, struct backup_watch *w, struct err *e)
{
    struct statvfs fs;
    char need[40], has[40];
    int64_t pages = 0;
    int rc = stmt_ask_int(s, "PRAGMA page_count", &pages, e);
    if (rc < 0)
        return rc;
    atomic_store(&w->of_bytes, pages * STORE_PAGE_BYTES);
    if (statvfs(store_path(s), &fs) != 0)
        return err_errno(e, WATTQ_E_STORAGE, "the disk of %s cannot be asked for space", path);
    int64_t spare = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize - BACKUP_SPARE_BYTES;
    if (spare >= pages * STORE_PAGE_BYTES)
        return 0;
    err_set(e, WATTQ_E_STORAGE,
            "a copy takes %s on the disk that holds the database, which has %s to spare",
            units_show_size(need, sizeof(need), pages * STORE_PAGE_BYTES),
            units_show_size(has, sizeof(has), spare > 0 ? spare : 0));
    return err_next(e, "free some space there, or write what you need: wattq export");
}

/* An empty file that nobody else can read, which SQLite then fills. */
static int make_file(const char *path, struct err *e)
{
    backup_remove(path);
    int fd CLEANUP(base_closep) =
        open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? err_errno(e, WATTQ_E_STORAGE, "cannot make %.200s", path) : 0;
}

static int copy_pages(sqlite3 *to, struct store *s, struct backup_watch *w, struct err *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", stmt_db(s), "main");
    if (!b)
        return stmt_fail(to, e);
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && !atomic_load(&w->stop)) {
        rc = sqlite3_backup_step(b, STEP_PAGES);
        int64_t pages = sqlite3_backup_pagecount(b) - sqlite3_backup_remaining(b);
        atomic_store(&w->done_bytes, pages * STORE_PAGE_BYTES);
    }
    sqlite3_backup_finish(b);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc == SQLITE_OK)
        return err_set(e, WATTQ_E_UNAVAILABLE, "nobody wants the copy any more");
    return stmt_fail(to, e);
}

static int fill_file(const char *path, struct store *s, struct backup_watch *w, struct err *e)
{
    sqlite3 *to = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);
    rc = rc == SQLITE_OK ? 0 : stmt_fail(to, e);
    /* It is read once, by us, right away. */
    if (rc == 0 && sqlite3_exec(to, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", NULL,
                                NULL, NULL) != SQLITE_OK)
        rc = stmt_fail(to, e);
    if (rc == 0)
        rc = copy_pages(to, s, w, e);
    sqlite3_close(to);
    return rc;
}

/* The header says that there is a log beside it: there is none, and whoever only reads the copy cannot make one. */
static int without_log(const char *path, struct err *e)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=DELETE", NULL, NULL,
                          NULL);
    rc = rc == SQLITE_OK ? 0 : stmt_fail(db, e);
    sqlite3_close(db);
    return rc;
}

int backup_copy(struct store *s, const char *path, struct backup_watch *w, int *fd, struct err *e)
{
    int rc = check_space(s, path, w, e);
    *fd = -1;
    if (rc == 0)
        rc = make_file(path, e);
    if (rc < 0)
        return rc;
    rc = fill_file(path, s, w, e);
    if (rc == 0)
        rc = without_log(path, e);
    if (rc == 0 && (*fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        rc = err_errno(e, WATTQ_E_STORAGE, "cannot read %.200s", path);
    backup_remove(path);
    return rc;
}

/* ---- giving back -------------------------------------------------------------------------------- */

static int64_t bytes_of(const char *path, const char *suffix)
{
    struct stat st;
    char *name CLEANUP(base_freep) = base_printf("%s%s", path, suffix);
    return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

int compact_measure(struct store *s, struct compact_size *out, struct err *e)
{
    int64_t pages = 0;
    int rc = stmt_ask_int(s, "PRAGMA freelist_count", &pages, e);
    out->free_bytes = pages * STORE_PAGE_BYTES;
    out->file_bytes = bytes_of(store_path(s), "") + bytes_of(store_path(s), "-wal");
    return rc;
}

int compact_step(struct store *s, int pages, struct err *e)
{
    char sql[64];
    int64_t before = 0, after = 0;
    (void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", pages);
    int rc = stmt_ask_int(s, "PRAGMA freelist_count", &before, e);
    if (rc == 0 && before > 0)
        rc = stmt_exec(s, sql, e);
    if (rc == 0)
        rc = stmt_ask_int(s, "PRAGMA freelist_count", &after, e);
    if (rc < 0)
        return rc;
    bool more = after > 0 && after < before;
    if (!more)
        store_want_checkpoint(s);
    return more ? 1 : 0;
}
