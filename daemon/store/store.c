#include "daemon/store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "common/users.h"
#include "daemon/store/blocks.h"
#include "daemon/store/statements.h"
#include "daemon/store/stmt.h"
#include "daemon/store/store_boot.h"
#include "schema_embedded.h"

#define QUICK_CHECK_MAX (INT64_C(64) << 20) /* about 0.3 s; above it SQLite's own checks remain */
#define BUSY_MS         2000                /* somebody's sqlite3 shell may hold a lock briefly */
/* A power loss costs at most 10 s of samples: commits come 0.8 to 2 s apart. */
#define NORMAL_PER_FULL 10
#define NORMAL_NS       (INT64_C(8800) * NS_PER_MS)
#define WAL_PASSIVE     1000 /* frames: checkpoint when the log is longer */
#define WAL_RESTART     4096 /* frames, 16 MiB: a reader holds it, wait for it ... */
#define WAL_WAIT_MS     50
#define WAL_AGAIN_NS    (2 * NS_PER_S) /* ... and not all the time */
#define WAL_FRAME       (4096 + 24)    /* bytes. source: sqlite.org/fileformat2.html 4.1 */

struct store {
    sqlite3 *db;
    struct statements *statements;
    char path[WATTQ_PATH_MAX];
    bool writer;
    int64_t boot;
    int normal_commits;   /* since the last FULL one ... */
    int64_t full_mono_ns; /* ... which began then */
    bool synchronous_known, synchronous_full;
    bool always_full;
    int wal_frames, tried_frames; /* in use; at the last try to move them */
    int64_t tried_mono_ns;
    bool unsynced;         /* a sync failed: what the log holds may never get to the disk */
    struct blocks *blocks; /* what this connection has read of samples */
    int64_t deadline_ns;   /* CLOCK_MONOTONIC; of stmt_time_limit; 0 = none */
    const atomic_bool *stop;
    bool cut_log; /* at the next checkpoint */
    bool has_user_name;
};

sqlite3_stmt *stmt_get(struct store *s, enum stmt_id id)
{
    return statements_get(s->statements, id);
}

int64_t stmt_last_id(struct store *s)
{
    return sqlite3_last_insert_rowid(s->db);
}

int64_t stmt_changes(struct store *s)
{
    return sqlite3_changes(s->db);
}

bool store_in_transaction(const struct store *s)
{
    return sqlite3_get_autocommit(s->db) == 0;
}

sqlite3 *stmt_db(struct store *s)
{
    return s->db;
}

int stmt_exec(struct store *s, const char *sql, struct err *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : stmt_fail(s->db, e);
}

/* ---- statements of query*.c ----------------------------------------------------------------------- */

struct user_names { /* the last one looked up: runs of one user stand together */
    bool known;
    sqlite3_int64 uid;
    char name[USERS_NAME_MAX];
};

static void user_name(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    struct user_names *u = sqlite3_user_data(ctx);
    sqlite3_int64 uid = sqlite3_value_int64(args[0]);
    (void)n;
    if (!u->known || u->uid != uid) {
        u->known = true;
        u->uid = uid;
        (void)users_name(uid, u->name);
    }
    sqlite3_result_text(ctx, u->name, -1, SQLITE_TRANSIENT);
}

/* Once for each connection: it cannot be registered again while a statement of it runs. */
static int add_user_name(struct store *s, struct err *e)
{
    if (s->has_user_name)
        return 0;
    s->has_user_name = true;
    int rc = sqlite3_create_function_v2(s->db, "user_name", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                        base_alloc(sizeof(struct user_names)), user_name, NULL,
                                        NULL, free);
    return rc == SQLITE_OK ? 0 : stmt_fail(s->db, e);
}

int stmt_prepare(struct store *s, const char *sql, sqlite3_stmt **out, struct err *e)
{
    int rc = add_user_name(s, e);
    if (rc == 0 && sqlite3_prepare_v2(s->db, sql, -1, out, NULL) != SQLITE_OK)
        rc = stmt_fail(s->db, e);
    return rc;
}

void stmt_finalizep(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
    *st = NULL;
}

static int on_progress(void *arg)
{
    const struct store *s = arg;
    if (s->stop && atomic_load_explicit(s->stop, memory_order_relaxed))
        return 1;
    return s->deadline_ns > 0 && clock_mono_ns() > s->deadline_ns;
}

static void watch_progress(struct store *s)
{
    bool watched = s->deadline_ns > 0 || s->stop;
    sqlite3_progress_handler(s->db, 20000, watched ? on_progress : NULL, s);
}

void stmt_time_limit(struct store *s, int64_t limit_ns)
{
    s->deadline_ns = limit_ns > 0 ? clock_mono_ns() + limit_ns : 0;
    watch_progress(s);
}

void stmt_stop_flag(struct store *s, const atomic_bool *stop)
{
    s->stop = stop;
    watch_progress(s);
}

const char *store_path(const struct store *s)
{
    return s->path;
}

struct blocks *store_blocks(struct store *s)
{
    if (!s->blocks)
        s->blocks = blocks_new();
    return s->blocks;
}

int64_t store_boot(const struct store *s)
{
    return s->boot;
}

/* ---- opening ------------------------------------------------------------------------------------ */

int stmt_ask_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    rc = rc == SQLITE_OK ? stmt_step(st, e) : stmt_fail(s->db, e);
    if (rc > 0)
        *out = stmt_int(st, 0);
    sqlite3_finalize(st);
    return rc < 0 ? rc : 0;
}

/* Likewise. */
static int ask_text(struct store *s, const char *sql, char *out, size_t cap, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
    rc = rc == SQLITE_OK ? stmt_step(st, e) : stmt_fail(s->db, e);
    if (rc > 0)
        base_strcpy(out, cap, stmt_text(st, 0) ? stmt_text(st, 0) : "");
    sqlite3_finalize(st);
    return rc < 0 ? rc : 0;
}

/* Ours, and not from the future? Runs before anything is written to the file. */
static int check_version(struct store *s, int64_t *version, struct err *e)
{
    int64_t app = 0, tables = 0;
    int rc = stmt_ask_int(s, "PRAGMA user_version", version, e);
    if (rc == 0)
        rc = stmt_ask_int(s, "PRAGMA application_id", &app, e);
    if (rc == 0)
        rc = stmt_ask_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e);
    if (rc)
        return rc;
    if (tables > 0 && app != STORE_APPLICATION_ID) {
        err_set(e, WATTQ_E_CORRUPT, "%s is a database of another program", s->path);
        return err_next(e, "name another directory with --state-dir DIR");
    }
    if (*version > STORE_SCHEMA_VERSION) {
        err_set(e, WATTQ_E_VERSION,
                "%s was written by a newer wattq (schema %" PRId64 ", this program knows %d)",
                s->path, *version, STORE_SCHEMA_VERSION);
        return err_next(e,
                        "start the newer wattqd, or name another directory with --state-dir DIR");
    }
    return 0;
}

static int check_content(struct store *s, struct err *e)
{
    int64_t pages = 0;
    int rc = stmt_ask_int(s, "PRAGMA page_count", &pages, e);
    if (rc || pages * STORE_PAGE_BYTES > QUICK_CHECK_MAX)
        return rc;
    char text[200] = "";
    rc = ask_text(s, "PRAGMA quick_check(1)", text, sizeof(text), e);
    if (rc || strcmp(text, "ok") == 0)
        return rc;
    text[strcspn(text, "\n")] = '\0';
    err_set(e, WATTQ_E_CORRUPT, "%s is damaged (%s)", s->path, text);
    return err_next(e, "restore a backup, or set it aside: mv %s %s.damaged", s->path, s->path);
}

static int set_journal(struct store *s, struct err *e)
{
    char mode[16] = "";
    int rc = ask_text(s, "PRAGMA journal_mode=WAL", mode, sizeof(mode), e);
    if (rc)
        return rc;
    if (strcmp(mode, "wal") != 0) {
        err_set(e, WATTQ_E_STORAGE, "the file system of %s cannot hold a write-ahead log", s->path);
        return err_next(e, "name a local directory with --state-dir DIR");
    }
    return 0;
}

const char *store_schema(size_t i)
{
    return i < ARRAY_LEN(schema_files) ? schema_files[i].sql : NULL;
}

static int migrate_to(struct store *s, const struct schema_file *f, struct err *e)
{
    char *tail = sqlite3_mprintf("; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                                 STORE_APPLICATION_ID, f->version);
    int rc = tail ? stmt_exec(s, "BEGIN IMMEDIATE", e) : err_set(e, WATTQ_E_INTERNAL, "no memory");
    if (rc == 0)
        rc = stmt_exec(s, f->sql, e);
    if (rc == 0)
        rc = stmt_exec(s, tail, e);
    if (rc)
        store_rollback(s);
    sqlite3_free(tail);
    return rc;
}

static int migrate(struct store *s, int64_t version, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(schema_files); i++) {
        if (schema_files[i].version <= version)
            continue;
        int rc = migrate_to(s, &schema_files[i], e);
        if (rc)
            return rc;
    }
    return 0;
}

/* The size of the log after each commit; checkpoints are ours to time (store_checkpoint). */
static int on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    ((struct store *)arg)->wal_frames = frames;
    return SQLITE_OK;
}

static int open_file(struct store *s, const char *path, int flags, struct err *e)
{
    if (!base_strcpy(s->path, sizeof(s->path), path))
        return err_set(e, WATTQ_E_USAGE, "the path of the database is too long: %.100s...", path);
    int rc =
        sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK)
        return stmt_fail(s->db, e);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    rc = stmt_exec(s,
                   "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                   "PRAGMA temp_store=MEMORY",
                   e);
    /* Pages, in KiB; of several readers, whom the kernel's cache serves nearly as fast. */
    if (rc == 0)
        rc = stmt_exec(s, s->writer ? "PRAGMA cache_size=-2048" : "PRAGMA cache_size=-512", e);
    return rc ? rc : statements_new(&s->statements, s->db, e);
}

static int open_writer(struct store *s, const char *path, struct err *e)
{
    int64_t version = 0;
    int rc = store_check_file(path, e);
    if (rc == 0)
        rc = open_file(s, path, SQLITE_OPEN_READWRITE, e);
    if (rc == 0)
        rc = check_version(s, &version, e);
    if (rc == 0)
        rc = check_content(s, e);
    if (rc == 0) /* page size and vacuum mode act on an empty file only */
        rc = stmt_exec(s, "PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL", e);
    if (rc == 0)
        rc = set_journal(s, e);
    if (rc == 0)
        rc = stmt_exec(s, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL", e);
    if (rc)
        return rc;
    sqlite3_wal_hook(s->db, on_wal, s);
    rc = migrate(s, version, e);
    return rc ? rc : statements_check(s->statements, e);
}

int store_open_boot(struct store **out, const char *path, const char *boot_id, struct err *e)
{
    *out = NULL;
    struct store *s = base_alloc(sizeof(*s));
    s->writer = true;
    int rc = open_writer(s, path, e);
    if (rc == 0)
        rc = boot_register(s, boot_id, &s->boot, e);
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int store_open(struct store **out, const char *path, struct err *e)
{
    char boot_id[64];
    *out = NULL;
    int rc = boot_read_id(boot_id, sizeof(boot_id), e);
    return rc ? rc : store_open_boot(out, path, boot_id, e);
}

/* The boot a reader belongs to is looked up, never added. */
static int open_reader(struct store *s, const char *path, struct err *e)
{
    char boot_id[64];
    int64_t version = 0;
    int rc = open_file(s, path, SQLITE_OPEN_READONLY, e);
    if (rc == 0)
        rc = check_version(s, &version, e);
    if (rc == 0 && version < STORE_SCHEMA_VERSION) {
        err_set(e, WATTQ_E_VERSION, "%s has an older schema", path);
        rc = err_next(e, "start wattqd once: it brings the file up to date");
    }
    if (rc == 0)
        rc = boot_read_id(boot_id, sizeof(boot_id), e);
    if (rc == 0)
        rc = boot_find(s, boot_id, &s->boot, e);
    return rc < 0 ? rc : 0;
}

int store_open_reader(struct store **out, const char *path, struct err *e)
{
    *out = NULL;
    struct store *s = base_alloc(sizeof(*s));
    int rc = open_reader(s, path, e);
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    statements_free(s->statements);
    if (s->db && s->writer) {
        sqlite3_exec(s->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    blocks_free(s->blocks);
    sqlite3_close(s->db);
    free(s);
}

/* ---- transactions ------------------------------------------------------------------------------- */

void store_set_full(struct store *s, bool always)
{
    s->always_full = always;
}

/* synchronous acts while the pragma is prepared, and not inside a transaction; it then stays. */
static int set_synchronous(struct store *s, bool full, struct err *e)
{
    if (s->synchronous_known && s->synchronous_full == full)
        return 0;
    int rc = stmt_exec(s, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", e);
    s->synchronous_known = rc == 0;
    s->synchronous_full = full;
    return rc;
}

static void note_sync(struct store *s)
{
    int rc = sqlite3_extended_errcode(s->db);
    s->unsynced |= rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC;
}

/* Linux forgets what it could not write: the next sync of the same file would succeed and mean nothing. The
 * cache still has the log; what is in it is written anew, to the database, and the log begins anew. */
static int settle(struct store *s, struct err *e)
{
    int rc = set_synchronous(s, true, e);
    if (rc)
        return rc;
    if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
        return stmt_fail(s->db, e);
    s->unsynced = false;
    s->wal_frames = 0;
    return 0;
}

static int begin_read(struct store *s, struct err *e)
{
    STMT_USE(st, s, BEGIN_READ);
    return stmt_run(st, e);
}

int store_begin(struct store *s, bool full, struct err *e)
{
    if (!s->writer)
        return begin_read(s, e);
    int rc = s->unsynced ? settle(s, e) : 0;
    if (rc)
        return rc;
    int64_t now = clock_mono_ns();
    if (!full && (s->always_full || ++s->normal_commits >= NORMAL_PER_FULL ||
                  now - s->full_mono_ns >= NORMAL_NS))
        full = true;
    if (full) {
        s->normal_commits = 0;
        s->full_mono_ns = now;
    }
    rc = set_synchronous(s, full, e);
    if (rc)
        return rc;
    STMT_USE(st, s, BEGIN_WRITE);
    return stmt_run(st, e);
}

int store_commit(struct store *s, struct err *e)
{
    STMT_USE(st, s, COMMIT);
    int rc = stmt_run(st, e);
    if (rc) {
        note_sync(s);
        store_rollback(s);
    }
    return rc;
}

void store_rollback(struct store *s)
{
    if (s->db && !sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_savepoint(struct store *s, struct err *e)
{
    return stmt_exec(s, "SAVEPOINT job", e);
}

int store_release(struct store *s, struct err *e)
{
    return stmt_exec(s, "RELEASE job", e);
}

void store_rollback_to(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK TO job; RELEASE job", NULL, NULL, NULL);
}

void store_want_checkpoint(struct store *s)
{
    s->cut_log = true;
}

int64_t store_log_bytes(const struct store *s)
{
    return (int64_t)s->wal_frames * WAL_FRAME;
}

/* PASSIVE, TRUNCATE, or -1: not now. A log that had to grow long gives its room back. */
static int checkpoint_mode(const struct store *s, int64_t now)
{
    if (s->cut_log)
        return SQLITE_CHECKPOINT_TRUNCATE;
    if (s->wal_frames < WAL_PASSIVE ||
        (s->wal_frames - s->tried_frames < WAL_PASSIVE && now - s->tried_mono_ns < WAL_AGAIN_NS))
        return -1;
    return s->wal_frames < WAL_RESTART ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
}

void store_checkpoint(struct store *s)
{
    int64_t now = clock_mono_ns();
    int mode = checkpoint_mode(s, now), frames = 0, done = 0;
    if (mode < 0)
        return;
    sqlite3_busy_timeout(s->db, s->cut_log ? BUSY_MS : WAL_WAIT_MS);
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, &frames, &done);
    if (rc == SQLITE_OK && done == frames)
        s->wal_frames = 0; /* the next writer starts the log from its beginning */
    else if (rc != SQLITE_OK)
        note_sync(s);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    s->cut_log = false;
    s->tried_frames = s->wal_frames;
    s->tried_mono_ns = now;
}
