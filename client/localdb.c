#include "client/localdb.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/views.h"
#include "common/sha256.h"
#include "common/units.h"
#include "daemon/store/store.h"

#define HEAP_BYTES   (INT64_C(1) << 30)  /* of SQLite in this process */
#define LENGTH_BYTES (64 << 20)          /* longest text or blob a person's statement may make */
#define STEPS        10000               /* of SQLite's machine between looks at the clock */
#define PART_MAX     (INT64_C(32) << 20) /* longest blob that comes in parts */

struct localdb {
    sqlite3 *db;
    char *path; /* NULL = private */
    bool keep;  /* the file stays */
    /* the table that rows go to */
    sqlite3_stmt *insert;
    char table[LOCALDB_NAME];
    size_t columns; /* of a row that comes in */
    int part;       /* its column, -1 = none; `parts` stands behind it, then the blob */
    uint8_t *blob;  /* gathered so far */
    size_t blob_bytes;
    /* statements of localdb_insert: of the tables that were filled last */
    struct {
        sqlite3_stmt *st;
        char table[LOCALDB_NAME];
        size_t n;
    } own[16];
    size_t own_next;
    /* a person's statement */
    int64_t deadline_ns;
    char (*seen)[LOCALDB_NAME];
    size_t seen_cap, seen_n;
};

static int fail(struct localdb *db, struct err *e)
{
    return err_set(e, WATTQ_E_STORAGE, "SQLite: %s", sqlite3_errmsg(db->db));
}

static void finalizep(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}

int localdb_exec(struct localdb *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, e);
}

int localdb_execf(struct localdb *db, struct err *e, const char *fmt, ...)
{
    char *sql CLEANUP(base_freep) = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&sql, fmt, ap);
    va_end(ap);
    return n < 0 ? err_set(e, WATTQ_E_LIMIT, "no memory for a statement")
                 : localdb_exec(db, sql, e);
}

int localdb_meta(struct localdb *db, const char *key, const char *value, struct err *e)
{
    sqlite3_stmt *st CLEANUP(finalizep) = NULL;
    if (sqlite3_prepare_v2(db->db, "INSERT OR REPLACE INTO meta(k, v) VALUES(?1, ?2)", -1, &st,
                           NULL) != SQLITE_OK ||
        sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_DONE)
        return fail(db, e);
    return 0;
}

/* ---- making one ---------------------------------------------------------------------------------- */

/* Triggers keep copies up to date that come along as rows of their own. */
static int drop_triggers(struct localdb *db, struct err *e)
{
    for (;;) {
        char *name CLEANUP(base_freep) =
            localdb_text(db, "SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1");
        if (!name)
            return 0;
        int rc = localdb_execf(db, e, "DROP TRIGGER \"%s\"", name);
        if (rc < 0)
            return rc;
    }
}

static int make_schema(struct localdb *db, struct err *e)
{
    int rc = localdb_exec(db, "PRAGMA foreign_keys=OFF; PRAGMA page_size=4096; BEGIN", e);
    for (size_t i = 0; rc == 0 && store_schema(i); i++)
        rc = localdb_exec(db, store_schema(i), e);
    if (rc == 0)
        rc = drop_triggers(db, e);
    for (size_t i = 0; rc == 0 && i < view_count; i++)
        rc = localdb_execf(db, e, "CREATE VIEW \"%s\" AS %s", view_list[i].name, view_list[i].sql);
    if (rc == 0)
        rc = localdb_execf(db, e, "PRAGMA application_id=%d; PRAGMA user_version=%d",
                           STORE_APPLICATION_ID, STORE_SCHEMA_VERSION);
    return rc;
}

/* A file that nobody else had before: never overwritten, removed again unless kept. */
static int make_file(struct localdb *db, const char *path, struct err *e)
{
    int fd CLEANUP(base_closep) = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        db->path = base_strdup(path);
        return 0;
    }
    err_errno(e, errno == EEXIST ? WATTQ_E_CONFLICT : WATTQ_E_IO, "cannot make %.200s", path);
    return err_next(e, "name a file that does not exist, in a directory you may write in");
}

static int open_db(struct localdb *db, const char *path, int flags, struct err *e)
{
    sqlite3_hard_heap_limit64(HEAP_BYTES);
    if (sqlite3_open_v2(path, &db->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return fail(db, e);
    sqlite3_db_config(db->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_limit(db->db, SQLITE_LIMIT_ATTACHED, 0);
    return 0;
}

int localdb_open(struct localdb **out, const char *path, struct err *e)
{
    struct localdb *db = base_alloc(sizeof(*db));
    db->part = -1;
    int rc = path ? make_file(db, path, e) : 0;
    if (rc == 0)
        rc = open_db(db, path ? path : "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e);
    if (rc == 0)
        rc = localdb_exec(db,
                          path ? "PRAGMA journal_mode=MEMORY"
                               : "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF",
                          e);
    if (rc == 0)
        rc = make_schema(db, e);
    if (rc < 0) {
        localdb_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

int localdb_open_file(struct localdb **out, const char *path, struct err *e)
{
    struct localdb *db = base_alloc(sizeof(*db));
    db->keep = true;
    int rc = 0;
    if (access(path, R_OK) != 0)
        rc = err_errno(e, errno == ENOENT ? WATTQ_E_NOT_FOUND : WATTQ_E_IO, "cannot read %.200s",
                       path);
    if (rc == 0)
        rc = open_db(db, path, SQLITE_OPEN_READONLY, e);
    if (rc == 0) /* somebody else's views and triggers may call nothing that acts */
        sqlite3_db_config(db->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (rc == 0 && localdb_int(db, "PRAGMA application_id", 0) != STORE_APPLICATION_ID) {
        err_set(e, WATTQ_E_INVALID, "%.200s is no file that wattq wrote", path);
        rc = err_next(e,
                      "wattq export --sqlite FILE and wattq export --bundle FILE write such files");
    }
    if (rc == 0 && localdb_int(db, "PRAGMA user_version", 0) > STORE_SCHEMA_VERSION) {
        err_set(e, WATTQ_E_VERSION, "%.200s was written by a newer wattq", path);
        rc = err_next(e, "use that version, or a newer one");
    }
    if (rc < 0) {
        localdb_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

static void end_insert(struct localdb *db)
{
    sqlite3_finalize(db->insert);
    free(db->blob);
    db->insert = NULL;
    db->blob = NULL;
    db->blob_bytes = 0;
    db->part = -1;
}

int localdb_keep(struct localdb *db, struct err *e)
{
    end_insert(db);
    int rc = localdb_exec(db, "COMMIT", e);
    db->keep = rc == 0;
    return rc;
}

void localdb_close(struct localdb *db)
{
    if (!db)
        return;
    end_insert(db);
    for (size_t i = 0; i < ARRAY_LEN(db->own); i++)
        sqlite3_finalize(db->own[i].st);
    sqlite3_close(db->db);
    if (db->path && !db->keep)
        (void)unlink(db->path);
    free(db->path);
    free(db);
}

void localdb_closep(struct localdb **db)
{
    localdb_close(*db);
    *db = NULL;
}

/* ---- filling it ---------------------------------------------------------------------------------- */

static bool is_name(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n < LOCALDB_NAME && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

int localdb_names(struct localdb *db, const char *table, const struct wire_val *names,
                  struct err *e)
{
    char sql[4096];
    size_t at = 0;
    end_insert(db);
    db->columns = wire_len(names);
    base_strcpy(db->table, sizeof db->table, table);
    at += (size_t)snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO \"%s\"(", table);
    size_t kept = 0;
    for (size_t i = 0; i < db->columns; i++) {
        const char *name = wire_as_str(wire_at(names, i), "");
        if (!is_name(name) || at + LOCALDB_NAME + 8 > sizeof sql)
            return err_set(e, WATTQ_E_PROTOCOL, "the daemon sent a column without a name");
        if (strcmp(name, "part") == 0 && strcmp(table, "energy") != 0 && i + 3 == db->columns)
            db->part = (int)i;
        if (db->part >= 0 && i < (size_t)db->part + 2 && i >= (size_t)db->part)
            continue;
        at += (size_t)snprintf(sql + at, sizeof sql - at, "%s\"%s\"", kept++ ? "," : "", name);
    }
    at += (size_t)snprintf(sql + at, sizeof sql - at, ") VALUES(");
    for (size_t i = 0; i < kept && at + 8 < sizeof sql; i++)
        at += (size_t)snprintf(sql + at, sizeof sql - at, "%s?", i ? "," : "");
    (void)snprintf(sql + at, sizeof sql - at, ")");
    return sqlite3_prepare_v2(db->db, sql, -1, &db->insert, NULL) == SQLITE_OK ? 0 : fail(db, e);
}

static void bind(sqlite3_stmt *st, int i, const struct wire_val *v)
{
    switch (wire_type(v)) {
    case WIRE_INT:
    case WIRE_BOOL:
        sqlite3_bind_int64(st, i, wire_as_int(v, 0));
        break;
    case WIRE_F64:
        sqlite3_bind_double(st, i, wire_as_f64(v, 0));
        break;
    case WIRE_STR:
        sqlite3_bind_text(st, i, wire_as_str(v, ""), -1, SQLITE_STATIC);
        break;
    case WIRE_BIN:
        sqlite3_bind_blob64(st, i, wire_as_bytes(v), wire_len(v), SQLITE_STATIC);
        break;
    case WIRE_NIL:
    case WIRE_ARRAY:
    case WIRE_MAP:
        sqlite3_bind_null(st, i);
        break;
    }
}

/* 1 = more parts are to come. */
static int gather(struct localdb *db, const struct wire_val *row, struct err *e)
{
    int64_t part = wire_as_int(wire_at(row, (size_t)db->part), -1);
    int64_t parts = wire_as_int(wire_at(row, (size_t)db->part + 1), -1);
    const struct wire_val *b = wire_at(row, (size_t)db->part + 2);
    size_t n = wire_len(b);
    if (part == 0)
        db->blob_bytes = 0;
    if (part < 0 || parts < 1 || part >= parts || wire_type(b) != WIRE_BIN ||
        (int64_t)(db->blob_bytes + n) > PART_MAX)
        return err_set(e, WATTQ_E_PROTOCOL, "the daemon sent a block of samples out of order");
    uint8_t *more = realloc(db->blob, db->blob_bytes + n + 1);
    if (!more)
        return err_set(e, WATTQ_E_LIMIT, "no memory for a block of samples");
    db->blob = more;
    memcpy(db->blob + db->blob_bytes, wire_as_bytes(b), n);
    db->blob_bytes += n;
    return part + 1 < parts;
}

int localdb_add(struct localdb *db, const struct wire_val *row, struct err *e)
{
    if (!db->insert || wire_len(row) != db->columns)
        return err_set(e, WATTQ_E_PROTOCOL, "the daemon sent a row of another width");
    int rc = db->part >= 0 ? gather(db, row, e) : 0;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    size_t plain = db->part >= 0 ? (size_t)db->part : db->columns;
    for (size_t i = 0; i < plain; i++)
        bind(db->insert, (int)i + 1, wire_at(row, i));
    if (db->part >= 0)
        sqlite3_bind_blob64(db->insert, (int)plain + 1, db->blob, db->blob_bytes, SQLITE_STATIC);
    if (sqlite3_step(db->insert) != SQLITE_DONE)
        rc = fail(db, e);
    sqlite3_reset(db->insert);
    return rc;
}

static int own_insert(struct localdb *db, const char *table, const char *const *names, size_t n,
                      sqlite3_stmt **out, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(db->own); i++)
        if (db->own[i].st && db->own[i].n == n && strcmp(db->own[i].table, table) == 0) {
            *out = db->own[i].st;
            return 0;
        }
    char *sql CLEANUP(base_freep) = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&sql, &bytes);
    if (!f)
        abort();
    (void)fprintf(f, "INSERT INTO \"%s\"(", table);
    for (size_t i = 0; i < n; i++)
        (void)fprintf(f, "%s\"%s\"", i ? "," : "", names[i]);
    (void)fputs(") VALUES(", f);
    for (size_t i = 0; i < n; i++)
        (void)fputs(i ? ",?" : "?", f);
    (void)fputc(')', f);
    (void)fclose(f);
    size_t k = db->own_next++ % ARRAY_LEN(db->own);
    sqlite3_finalize(db->own[k].st);
    db->own[k].st = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &db->own[k].st, NULL) != SQLITE_OK)
        return fail(db, e);
    base_strcpy(db->own[k].table, LOCALDB_NAME, table);
    db->own[k].n = n;
    *out = db->own[k].st;
    return 0;
}

static void bind_cell(sqlite3_stmt *st, int i, const struct export_cell *c)
{
    switch (c->type) {
    case EXPORT_NIL:
        sqlite3_bind_null(st, i);
        break;
    case EXPORT_INT:
        sqlite3_bind_int64(st, i, c->i);
        break;
    case EXPORT_REAL:
        sqlite3_bind_double(st, i, c->d);
        break;
    case EXPORT_TEXT:
        sqlite3_bind_text64(st, i, c->text, c->bytes, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case EXPORT_BLOB:
        sqlite3_bind_blob64(st, i, c->data, c->bytes, SQLITE_STATIC);
        break;
    }
}

int localdb_insert(struct localdb *db, const char *table, const char *const *names,
                   const struct export_cell *cells, size_t n, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = own_insert(db, table, names, n, &st, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        bind_cell(st, (int)i + 1, &cells[i]);
    if (sqlite3_step(st) != SQLITE_DONE)
        rc = err_set(e, WATTQ_E_INVALID, "%s", sqlite3_errmsg(db->db));
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return rc;
}

/* ---- asking it ----------------------------------------------------------------------------------- */

static struct export_cell cell(sqlite3_stmt *st, int col)
{
    struct export_cell c = {.type = EXPORT_NIL};
    switch (sqlite3_column_type(st, col)) {
    case SQLITE_INTEGER:
        c.type = EXPORT_INT;
        c.i = sqlite3_column_int64(st, col);
        break;
    case SQLITE_FLOAT:
        c.type = EXPORT_REAL;
        c.d = sqlite3_column_double(st, col);
        break;
    case SQLITE_TEXT:
        c.type = EXPORT_TEXT;
        c.text = (const char *)sqlite3_column_text(st, col);
        c.bytes = (size_t)sqlite3_column_bytes(st, col);
        break;
    case SQLITE_BLOB:
        c.type = EXPORT_BLOB;
        c.data = sqlite3_column_blob(st, col);
        c.bytes = (size_t)sqlite3_column_bytes(st, col);
        break;
    default:
        break;
    }
    return c;
}

/* 0; 1 = `rows` were enough; what the sink returned; SQLite's failure as -1. */
static int run(sqlite3_stmt *st, int64_t rows, const struct localdb_sink *to)
{
    size_t n = (size_t)sqlite3_column_count(st);
    const char **names CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(char *));
    struct export_cell *cells CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *cells);
    for (size_t i = 0; i < n; i++)
        names[i] = sqlite3_column_name(st, (int)i);
    int rc = to->names ? to->names(to->arg, names, n) : 0;
    for (int64_t seen = 0; rc == 0; seen++) {
        int step = sqlite3_step(st);
        if (step != SQLITE_ROW)
            return step == SQLITE_DONE ? 0 : -1;
        if (seen == rows)
            return 1;
        for (size_t i = 0; i < n; i++)
            cells[i] = cell(st, (int)i);
        rc = to->row(to->arg, cells, n);
    }
    return rc;
}

int localdb_select(struct localdb *db, const char *sql, const struct localdb_sink *to,
                   struct err *e)
{
    sqlite3_stmt *st CLEANUP(finalizep) = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &st, NULL) != SQLITE_OK)
        return fail(db, e);
    int rc = run(st, INT64_MAX, to);
    return rc == -1 ? fail(db, e) : rc;
}

int64_t localdb_int(struct localdb *db, const char *sql, int64_t dflt)
{
    sqlite3_stmt *st CLEANUP(finalizep) = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW || sqlite3_column_type(st, 0) == SQLITE_NULL)
        return dflt;
    return sqlite3_column_int64(st, 0);
}

char *localdb_text(struct localdb *db, const char *sql)
{
    sqlite3_stmt *st CLEANUP(finalizep) = NULL;
    if (sqlite3_prepare_v2(db->db, sql, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW || sqlite3_column_type(st, 0) == SQLITE_NULL)
        return NULL;
    return base_strdup((const char *)sqlite3_column_text(st, 0));
}

/* ---- a person's statement ------------------------------------------------------------------------ */

static void see(struct localdb *db, const char *table)
{
    for (size_t i = 0; db->seen && i < db->seen_n; i++)
        if (strcmp(db->seen[i], table) == 0)
            return;
    if (db->seen && db->seen_n < db->seen_cap)
        base_strcpy(db->seen[db->seen_n++], LOCALDB_NAME, table);
}

/* Reading tables, calling functions, recursion; nothing else. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    struct localdb *db = arg;
    (void)c;
    (void)d;
    switch (action) {
    case SQLITE_READ:
        if (a)
            see(db, a);
        return SQLITE_OK;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return b && strcmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static int on_progress(void *arg)
{
    return clock_mono_ns() > ((struct localdb *)arg)->deadline_ns;
}

static int says(struct localdb *db, struct err *e)
{
    char names[190];
    int code = sqlite3_errcode(db->db) & 0xff;
    if (code == SQLITE_INTERRUPT) {
        err_set(e, WATTQ_E_LIMIT, "the statement took too long and was stopped");
        return err_next(e, "allow it more time with --timeout 60s, or ask for fewer runs");
    }
    if (code == SQLITE_NOMEM || code == SQLITE_TOOBIG) {
        err_set(e, WATTQ_E_LIMIT, "the statement needs more memory than it may have (1 GiB)");
        return err_next(e, "ask for fewer runs, or export --sqlite FILE and use sqlite3");
    }
    if (code == SQLITE_AUTH) {
        err_set(e, WATTQ_E_FORBIDDEN, "only reading is possible here: %.200s",
                sqlite3_errmsg(db->db));
        return err_next(e, "write one SELECT; wattq export --sqlite FILE makes a file of your own");
    }
    err_set(e, WATTQ_E_USAGE, "%.280s", sqlite3_errmsg(db->db));
    return err_next(e, "views: %s", view_names(names, sizeof names));
}

static int prepare(struct localdb *db, const char *sql, sqlite3_stmt **st, struct err *e)
{
    const char *rest = NULL;
    sqlite3_limit(db->db, SQLITE_LIMIT_LENGTH, LENGTH_BYTES);
    sqlite3_set_authorizer(db->db, authorize, db);
    int rc = sqlite3_prepare_v2(db->db, sql, -1, st, &rest);
    sqlite3_set_authorizer(db->db, NULL, NULL);
    if (rc != SQLITE_OK)
        return says(db, e);
    if (!*st)
        return err_set(e, WATTQ_E_USAGE, "that is no statement");
    sqlite3_stmt *second CLEANUP(finalizep) = NULL;
    if (rest && (sqlite3_prepare_v2(db->db, rest, -1, &second, NULL) != SQLITE_OK || second))
        return err_set(e, WATTQ_E_USAGE, "one statement at a time: '%.60s' is too much", rest);
    if (!sqlite3_stmt_readonly(*st))
        return err_set(e, WATTQ_E_FORBIDDEN, "only reading is possible here");
    return 0;
}

int localdb_tables(struct localdb *db, const char *sql, char (*tables)[LOCALDB_NAME], size_t cap,
                   size_t *n, struct err *e)
{
    sqlite3_stmt *st CLEANUP(finalizep) = NULL;
    db->seen = tables;
    db->seen_cap = cap;
    db->seen_n = 0;
    int rc = prepare(db, sql, &st, e);
    *n = db->seen_n;
    db->seen = NULL;
    db->seen_n = 0;
    return rc;
}

int localdb_ask(struct localdb *db, const char *sql, const struct localdb_limits *limits,
                const struct localdb_sink *to, struct err *e)
{
    sqlite3_stmt *st CLEANUP(finalizep) = NULL;
    db->deadline_ns = clock_mono_ns() + limits->timeout_ns;
    sqlite3_progress_handler(db->db, STEPS, on_progress, db);
    end_insert(db);
    int rc = prepare(db, sql, &st, e);
    if (rc == 0) {
        /* The authorizer stays: SQLite prepares again where it thinks it must. */
        sqlite3_set_authorizer(db->db, authorize, db);
        rc = run(st, limits->rows, to);
        sqlite3_set_authorizer(db->db, NULL, NULL);
        if (rc == -1)
            rc = says(db, e);
    }
    sqlite3_progress_handler(db->db, 0, NULL, NULL);
    return rc;
}

/* ---- checksums ----------------------------------------------------------------------------------- */

struct hashing {
    struct sha256 h;
    int64_t rows;
};

static void feed(struct sha256 *h, char type, const void *data, size_t bytes)
{
    uint8_t head[9] = {(uint8_t)type};
    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)((uint64_t)bytes >> (56 - 8 * i));
    sha256_add(h, head, sizeof head);
    sha256_add(h, data, bytes);
}

static int hash_row(void *arg, const struct export_cell *cells, size_t n)
{
    struct hashing *x = arg;
    char text[64];
    x->rows++;
    for (size_t i = 0; i < n; i++) {
        const struct export_cell *c = &cells[i];
        switch (c->type) {
        case EXPORT_NIL:
            feed(&x->h, 'n', "", 0);
            break;
        case EXPORT_INT:
            (void)snprintf(text, sizeof text, "%lld", (long long)c->i);
            feed(&x->h, 'i', text, strlen(text));
            break;
        case EXPORT_REAL:
            (void)snprintf(text, sizeof text, "%.17g", c->d);
            feed(&x->h, 'r', text, strlen(text));
            break;
        case EXPORT_TEXT:
            feed(&x->h, 't', c->text, c->bytes);
            break;
        case EXPORT_BLOB:
            feed(&x->h, 'b', c->data ? c->data : "", c->bytes);
            break;
        }
    }
    return 0;
}

int localdb_hash(struct localdb *db, const char *table, char out[65], int64_t *rows, struct err *e)
{
    struct hashing x = {0};
    struct localdb_sink to = {.row = hash_row, .arg = &x};
    char sql[256];
    if (!is_name(table))
        return err_set(e, WATTQ_E_INVALID, "'%.40s' is no name of a table", table);
    char ask[200];
    (void)snprintf(
        ask, sizeof ask,
        "SELECT group_concat(quote_name, ',') FROM (SELECT '\"' || name || '\"' AS quote_name"
        " FROM pragma_table_info('%s') WHERE pk > 0 ORDER BY pk)",
        table);
    char *key CLEANUP(base_freep) = localdb_text(db, ask);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY %.120s", table,
                   key ? key : "rowid");
    sha256_init(&x.h);
    int rc = localdb_select(db, sql, &to, e);
    sha256_end_hex(&x.h, out);
    *rows = x.rows;
    return rc;
}
