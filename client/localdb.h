/* A SQLite database of the client's own: what `sql` asks, what `export` writes, what a bundle is. The only
 * file of client/ that includes sqlite3.h is localdb.c; the daemon's database is never opened here. The
 * tables are the schema's (schema/), filled from the daemon's `export` answers; on top of them stand the
 * views of views.h. Single-threaded. */
#ifndef CLIENT_LOCALDB_H
#define CLIENT_LOCALDB_H

#include "common/wire.h"
#include "daemon/store/export.h"

#define LOCALDB_NAME 40 /* longest name of a table or column, with its NUL */

struct localdb;

/* path NULL: private, in memory and a temporary file that nobody else sees; else a new file (0600 less
 * umask), WATTQ_E_CONFLICT when there is one. The schema and views are made; a transaction is open. */
int localdb_open(struct localdb **out, const char *path, struct err *e) MUST_USE;
/* A file that is there, read-only. WATTQ_E_INVALID when it is no database of ours. */
int localdb_open_file(struct localdb **out, const char *path, struct err *e) MUST_USE;
/* Commit. Without it localdb_close leaves no file behind. */
int localdb_keep(struct localdb *db, struct err *e) MUST_USE;
void localdb_close(struct localdb *db); /* NULL is fine */
void localdb_closep(struct localdb **db);

/* Statements without rows, of this program; execf: numbers and our own names only, nothing from outside. */
int localdb_exec(struct localdb *db, const char *sql, struct err *e) MUST_USE;
int localdb_execf(struct localdb *db, struct err *e, const char *fmt, ...) PRINTF(3, 4) MUST_USE;

/* One row of table meta, which tells what a file is. */
int localdb_meta(struct localdb *db, const char *key, const char *value, struct err *e) MUST_USE;

/* Rows of a table, as the daemon's `export` sends them: names first, then values. A row that is there
 * already is passed over. Blobs that came in parts (columns part, parts) are put together. */
int localdb_names(struct localdb *db, const char *table, const struct wire_val *names,
                  struct err *e) MUST_USE;
int localdb_add(struct localdb *db, const struct wire_val *row, struct err *e) MUST_USE;

/* One row of our own making; the schema's checks hold, a row that is there already is a failure. */
int localdb_insert(struct localdb *db, const char *table, const char *const *names,
                   const struct export_cell *cells, size_t n, struct err *e) MUST_USE;

/* ---- asking -------------------------------------------------------------------------------------- */

struct localdb_limits {
    int64_t timeout_ns;
    int64_t rows;
};
/* Names once, then every row; 0 to go on, else it ends and is passed on. */
struct localdb_sink {
    int (*names)(void *arg, const char *const *names, size_t n);
    int (*row)(void *arg, const struct export_cell *cells, size_t n);
    void *arg;
};
/* A statement of this program. */
int localdb_select(struct localdb *db, const char *sql, const struct localdb_sink *to,
                   struct err *e) MUST_USE;
/* A statement that a person wrote: one, reading only, nothing attached or loaded, within the limits.
 * 0; 1 = cut at limits->rows. WATTQ_E_USAGE with SQLite's words; WATTQ_E_LIMIT: time or memory. */
int localdb_ask(struct localdb *db, const char *sql, const struct localdb_limits *limits,
                const struct localdb_sink *to, struct err *e) MUST_USE;
/* Which tables of the schema that statement would read; checks it as localdb_ask does. */
int localdb_tables(struct localdb *db, const char *sql, char (*tables)[LOCALDB_NAME], size_t cap,
                   size_t *n, struct err *e) MUST_USE;
/* One integer or text; dflt where there is no row or NULL. */
int64_t localdb_int(struct localdb *db, const char *sql, int64_t dflt);
char *localdb_text(struct localdb *db, const char *sql); /* caller frees; NULL */

/* SHA-256 over a table's rows: each value with its type, in the table's key order. 64 hex digits. */
int localdb_hash(struct localdb *db, const char *table, char out[65], int64_t *rows,
                 struct err *e) MUST_USE;

#endif
