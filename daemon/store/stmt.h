/* Inside store/ only: the statement catalogue and how a statement is borrowed, bound, stepped and read.
 * With store.c the only place that includes sqlite3.h. Thread: that of the store.
 *
 * Every statement of the program is one line in a catalogue (sql_*.h). All are tried when the writer is opened, so a
 * wrong one stops the start; each is kept prepared from its first use on. One C function per statement:
 *
 *     int runs_sweep_state(struct store *s, int64_t id, const char *state, struct err *e)
 *     {
 *         STMT_USE(st, s, SWEEP_STATE);   // borrowed; reset and unbound when st leaves its scope
 *         stmt_bind_int(st, 1, id);
 *         stmt_bind_text(st, 2, state);   // not copied: must live until the scope ends
 *         return stmt_run(st, e);
 *     }
 *
 * Rows: `while ((rc = stmt_step(st, e)) > 0) { ... stmt_int(st, 0) ... } return rc;`
 * The one exception is query*.c, which makes statements of constant fragments.
 * Borrowing a statement that is already borrowed is a bug and asserts; so a visitor that is called
 * inside a loop must not ask the same question again. */
#ifndef DAEMON_STORE_STMT_H
#define DAEMON_STORE_STMT_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "daemon/store/sql_accounts.h"
#include "daemon/store/sql_baselines.h"
#include "daemon/store/sql_beside.h"
#include "daemon/store/sql_damage.h"
#include "daemon/store/sql_export.h"
#include "daemon/store/sql_former.h"
#include "daemon/store/sql_gpu_out.h"
#include "daemon/store/sql_import.h"
#include "daemon/store/sql_marks.h"
#include "daemon/store/sql_models.h"
#include "daemon/store/sql_others.h"
#include "daemon/store/sql_replace.h"
#include "daemon/store/sql_runs.h"
#include "daemon/store/sql_samples.h"
#include "daemon/store/sql_store.h"
#include "daemon/store/sql_tiers.h"
#include "daemon/store/store.h"

/* X(NAME, "sql"): parameters are ?1, ?2 ... */
#define SQL_ALL(X)                                                                                 \
    SQL_STORE(X)                                                                                   \
    SQL_SAMPLES(X)                                                                                 \
    SQL_RUNS(X)                                                                                    \
    SQL_EXPORT(X)                                                                                  \
    SQL_IMPORT(X)                                                                                  \
    SQL_MARKS(X)                                                                                   \
    SQL_MODELS(X)                                                                                  \
    SQL_ACCOUNTS(X)                                                                                \
    SQL_BASELINES(X)                                                                               \
    SQL_OTHERS(X)                                                                                  \
    SQL_BESIDE(X) SQL_FORMER(X) SQL_DAMAGE(X) SQL_GPU_OUT(X) SQL_REPLACE(X) SQL_TIERS(X)

enum stmt_id {
#define STMT_ID(name, sql) STMT_##name,
    SQL_ALL(STMT_ID)
#undef STMT_ID
        STMT_COUNT
};

#define STMT_NULL INT64_MIN /* an integer column or parameter that is NULL */

#define STMT_USE(var, store, NAME)                                                                 \
    sqlite3_stmt *var CLEANUP(stmt_put) = stmt_get((store), STMT_##NAME)

/* Where one cannot be prepared, its step fails and says why (statements.h). */
sqlite3_stmt *stmt_get(struct store *s, enum stmt_id id) __attribute__((returns_nonnull));
void stmt_put(sqlite3_stmt **st); /* reset, bindings cleared */

/* Parameters count from 1. Text and blobs are borrowed until the statement is put. */
void stmt_bind_int(sqlite3_stmt *st, int i, int64_t v);
void stmt_bind_opt(sqlite3_stmt *st, int i, int64_t v); /* STMT_NULL binds NULL */
void stmt_bind_real(sqlite3_stmt *st, int i, double v);
void stmt_bind_text(sqlite3_stmt *st, int i, const char *s); /* NULL binds NULL */
void stmt_bind_blob(sqlite3_stmt *st, int i, const void *data, size_t bytes);

/* 1 = a row, 0 = no more, < 0 = error (WATTQ_E_STORAGE, _CORRUPT, _CONFLICT for a broken constraint). */
int stmt_step(sqlite3_stmt *st, struct err *e) MUST_USE;
/* Step to the end, rows ignored. 0, or < 0. */
int stmt_run(sqlite3_stmt *st, struct err *e) MUST_USE;

/* Columns count from 0. Pointers live until the next step or put. */
bool stmt_is_null(sqlite3_stmt *st, int col);
int64_t stmt_int(sqlite3_stmt *st, int col); /* 0 for NULL: only for NOT NULL columns */
int64_t stmt_opt(sqlite3_stmt *st, int col); /* STMT_NULL for NULL */
double stmt_real(sqlite3_stmt *st, int col);
const char *stmt_text(sqlite3_stmt *st, int col); /* NULL for NULL */
char *stmt_dup(sqlite3_stmt *st, int col);        /* caller frees; NULL for NULL */
int stmt_type(sqlite3_stmt *st, int col);         /* SQLITE_INTEGER, ... */
const char *stmt_name(sqlite3_stmt *st, int col);
size_t stmt_columns(sqlite3_stmt *st);
const void *stmt_blob(sqlite3_stmt *st, int col, size_t *bytes); /* NULL for NULL or empty */

/* A blob of a row, to be read in pieces, inside a snapshot. 0; 1 = there is no such row, or no blob in it; < 0. */
int stmt_blob_open(struct store *s, const char *table, const char *column, int64_t row,
                   sqlite3_blob **out, struct err *e) MUST_USE;
size_t stmt_blob_bytes(sqlite3_blob *b);
int stmt_blob_read(sqlite3_blob *b, size_t at, void *to, size_t bytes, struct err *e) MUST_USE;
void stmt_blob_closep(sqlite3_blob **b); /* NULL in it is fine */

int64_t stmt_last_id(struct store *s); /* rowid of the newest INSERT */
int64_t stmt_changes(struct store *s); /* rows the newest statement changed */

/* SQLite's current error of this connection as one of ours, with a sentence that names the file. */
int stmt_fail(sqlite3 *db, struct err *e);

/* A list of statements without parameters or rows: schema, pragmas. */
int stmt_exec(struct store *s, const char *sql, struct err *e) MUST_USE;

/* First column of the first row of a statement that is needed once: a pragma. */
int stmt_ask_int(struct store *s, const char *sql, int64_t *out, struct err *e) MUST_USE;
/* For backup.c only, whose copy SQLite makes from the connection. */
sqlite3 *stmt_db(struct store *s);

/* For query*.c, which answer questions that no catalogue can list (query.h says why that is safe), and damage.c: a
 * statement of its own, to be finalised by the caller, in which user_name(uid) may be called; and a bound
 * on what the statements of this connection take together from now on (0 = none any more): beyond it they
 * fail with WATTQ_E_LIMIT. */
int stmt_prepare(struct store *s, const char *sql, sqlite3_stmt **out, struct err *e) MUST_USE;
void stmt_finalizep(sqlite3_stmt **st);
void stmt_time_limit(struct store *s, int64_t limit_ns);
/* Likewise from the moment on when another thread sets *stop. NULL = nobody will. */
void stmt_stop_flag(struct store *s, const atomic_bool *stop);

/* As store_open, but as if the kernel's boot id were this one: restarts across boots in tests. */
int store_open_boot(struct store **out, const char *path, const char *boot_id,
                    struct err *e) MUST_USE;
const char *store_path(const struct store *s);

/* What readers of samples keep per connection (blocks.h); made on first use, freed with the store. */
struct blocks;
struct blocks *store_blocks(struct store *s);

/* Is this file worth opening? Directory there and writable, file system fit for WAL, 0600 file made when
 * it is missing, header that of SQLite. Must run before this process has the file open (POSIX locks). */
int store_check_file(const char *path, struct err *e) MUST_USE;

#endif
