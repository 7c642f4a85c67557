#include "daemon/store/stmt.h"

#include <assert.h>
#include <string.h>

static const char *file_of(sqlite3 *db)
{
    const char *name = db ? sqlite3_db_filename(db, "main") : NULL;
    return name && *name ? name : "the database";
}

static int fail_full(sqlite3 *db, struct err *e)
{
    err_set(e, WATTQ_E_STORAGE, "no space left on the disk that holds %s", file_of(db));
    return err_next(e, "free some space there; wattqd goes on by itself within 2 s");
}

static int fail_corrupt(sqlite3 *db, struct err *e)
{
    const char *file = file_of(db);
    err_set(e, WATTQ_E_CORRUPT, "%s is damaged (%s)", file, sqlite3_errmsg(db));
    return err_next(e, "restore a backup, or set it aside: mv %s %s.damaged", file, file);
}

int stmt_fail(sqlite3 *db, struct err *e)
{
    int rc = sqlite3_extended_errcode(db);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return fail_full(db, e);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return fail_corrupt(db, e);
    case SQLITE_CONSTRAINT:
        return err_set(e, WATTQ_E_CONFLICT, "the database refused a row (%s)", sqlite3_errmsg(db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err_set(e, WATTQ_E_STORAGE, "another program keeps %s locked", file_of(db));
        return err_next(e, "see who: fuser %s", file_of(db));
    case SQLITE_READONLY:
        err_set(e, WATTQ_E_STORAGE, "%s cannot be written", file_of(db));
        return err_next(e, "check who owns it: ls -l %s", file_of(db));
    case SQLITE_INTERRUPT:
        err_set(e, WATTQ_E_LIMIT, "the question took too long and was given up");
        return err_next(e, "narrow it down: by sweep, label, state or time (since -7d)");
    case SQLITE_MISUSE:
    case SQLITE_ERROR:
    case SQLITE_RANGE:
        return err_set(e, WATTQ_E_INTERNAL, "database statement failed: %s", sqlite3_errmsg(db));
    case SQLITE_IOERR:
        err_set(e, WATTQ_E_STORAGE, "%s: %s (SQLite %d)", file_of(db), sqlite3_errmsg(db), rc);
        return err_next(e, "see what the kernel says of that disk: dmesg | tail");
    default:
        return err_set(e, WATTQ_E_STORAGE, "%s: %s (SQLite %d)", file_of(db), sqlite3_errmsg(db),
                       rc);
    }
}

void stmt_put(sqlite3_stmt **st)
{
    if (!*st)
        return;
    sqlite3_reset(*st); /* its result repeats an error that stmt_step already reported */
    sqlite3_clear_bindings(*st);
    *st = NULL;
}

/* With borrowed text no memory is taken, so a bind fails only for a wrong index: our bug. */
static void bound(int rc)
{
    assert(rc == SQLITE_OK);
    (void)rc;
}

void stmt_bind_int(sqlite3_stmt *st, int i, int64_t v)
{
    bound(sqlite3_bind_int64(st, i, v));
}

void stmt_bind_opt(sqlite3_stmt *st, int i, int64_t v)
{
    bound(v == STMT_NULL ? sqlite3_bind_null(st, i) : sqlite3_bind_int64(st, i, v));
}

void stmt_bind_real(sqlite3_stmt *st, int i, double v)
{
    bound(sqlite3_bind_double(st, i, v));
}

void stmt_bind_text(sqlite3_stmt *st, int i, const char *s)
{
    bound(s ? sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC) : sqlite3_bind_null(st, i));
}

void stmt_bind_blob(sqlite3_stmt *st, int i, const void *data, size_t bytes)
{
    bound(sqlite3_bind_blob64(st, i, data, bytes, SQLITE_STATIC));
}

int stmt_step(sqlite3_stmt *st, struct err *e)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    return stmt_fail(sqlite3_db_handle(st), e);
}

int stmt_run(sqlite3_stmt *st, struct err *e)
{
    int rc;
    do {
        rc = stmt_step(st, e);
    } while (rc > 0);
    return rc;
}

bool stmt_is_null(sqlite3_stmt *st, int col)
{
    return sqlite3_column_type(st, col) == SQLITE_NULL;
}

int64_t stmt_int(sqlite3_stmt *st, int col)
{
    return sqlite3_column_int64(st, col);
}

int64_t stmt_opt(sqlite3_stmt *st, int col)
{
    return stmt_is_null(st, col) ? STMT_NULL : sqlite3_column_int64(st, col);
}

double stmt_real(sqlite3_stmt *st, int col)
{
    return sqlite3_column_double(st, col);
}

const char *stmt_text(sqlite3_stmt *st, int col)
{
    return (const char *)sqlite3_column_text(st, col);
}

char *stmt_dup(sqlite3_stmt *st, int col)
{
    const char *s = stmt_text(st, col);
    return s ? base_strdup(s) : NULL;
}

int stmt_type(sqlite3_stmt *st, int col)
{
    return sqlite3_column_type(st, col);
}

const char *stmt_name(sqlite3_stmt *st, int col)
{
    return sqlite3_column_name(st, col);
}

size_t stmt_columns(sqlite3_stmt *st)
{
    return (size_t)sqlite3_column_count(st);
}

const void *stmt_blob(sqlite3_stmt *st, int col, size_t *bytes)
{
    const void *p = sqlite3_column_blob(st, col);
    *bytes = p ? (size_t)sqlite3_column_bytes(st, col) : 0;
    return p;
}

int stmt_blob_open(struct store *s, const char *table, const char *column, int64_t row,
                   sqlite3_blob **out, struct err *e)
{
    sqlite3 *db = stmt_db(s);
    int rc = sqlite3_blob_open(db, "main", table, column, row, 0, out);
    if (rc == SQLITE_OK)
        return 0;
    *out = NULL;
    return rc == SQLITE_ERROR ? 1 : stmt_fail(db, e);
}

size_t stmt_blob_bytes(sqlite3_blob *b)
{
    return (size_t)sqlite3_blob_bytes(b);
}

int stmt_blob_read(sqlite3_blob *b, size_t at, void *to, size_t bytes, struct err *e)
{
    int rc = sqlite3_blob_read(b, to, (int)bytes, (int)at);
    if (rc == SQLITE_OK)
        return 0;
    if (rc == SQLITE_CORRUPT || rc == SQLITE_CORRUPT_VTAB)
        return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples cannot be read");
    return err_set(e, WATTQ_E_STORAGE, "a stored block of samples cannot be read (%s)",
                   sqlite3_errstr(rc));
}

void stmt_blob_closep(sqlite3_blob **b)
{
    (void)sqlite3_blob_close(*b); /* read-only: nothing is left to fail */
    *b = NULL;
}
