#include "client/import.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "client/views.h"
#include "common/sha256.h"
#include "daemon/store/import.h"

#define LINE_MAX_BYTES (4u << 20)
#define FRAME_ROOM     (600u << 10)
#define LIVE           "('held', 'queued', 'starting', 'running', 'paused', 'stopping')"

int import_bad(const struct import_file *f, int64_t line, struct err *e, const char *fmt, ...)
{
    char what[220];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(e, WATTQ_E_INVALID, "%.60s:%lld: %s", f->name, (long long)line, what);
}

void import_uuid(const char *text, char out[37])
{
    uint8_t h[SHA256_BYTES];
    struct sha256 s;
    sha256_init(&s);
    sha256_add(&s, text, strlen(text));
    sha256_end(&s, h);
    h[6] = (uint8_t)((h[6] & 0x0f) | 0x80); /* version 8: a hash of our own */
    h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += snprintf(p, 3, "%02x", h[i]);
    }
}

/* ---- JSON lines of an export --------------------------------------------------------------------- */

/* Columns whose unit an export changed. */
static json_t *value_of(const json_t *row, const char *column)
{
    static const struct {
        const char *stored, *shown;
    } units[] = {{"_uj", "_j"}, {"_uw", "_w"}, {"_us", "_s"}};
    char name[LOCALDB_NAME];
    json_t *v = json_object_get(row, column);
    size_t n = strlen(column);
    for (size_t i = 0; !v && i < ARRAY_LEN(units); i++) {
        size_t k = strlen(units[i].stored);
        if (n <= k || strcmp(column + n - k, units[i].stored) != 0)
            continue;
        (void)snprintf(name, sizeof name, "%.*s%s", (int)(n - k), column, units[i].shown);
        v = json_object_get(row, name);
        if (json_is_number(v))
            return json_integer((json_int_t)llround(json_number_value(v) * 1e6));
    }
    return v ? json_incref(v) : json_null();
}

static bool is_ns(const char *name)
{
    size_t n = strlen(name);
    return n > 3 && strcmp(name + n - 3, "_ns") == 0;
}

static struct export_cell cell_of(const char *column, const json_t *v)
{
    struct export_cell c = {.type = EXPORT_NIL};
    if (json_is_integer(v)) {
        c.type = EXPORT_INT;
        c.i = (int64_t)json_integer_value(v);
    } else if (json_is_real(v)) {
        c.type = EXPORT_REAL;
        c.d = json_real_value(v);
    } else if (json_is_string(v)) {
        c.type = EXPORT_TEXT;
        c.text = json_string_value(v);
        c.bytes = json_string_length(v);
        char *end;
        errno = 0;
        long long ns = strtoll(c.text, &end, 10);
        if (is_ns(column) && end != c.text && !*end && errno == 0)
            c = (struct export_cell){.type = EXPORT_INT, .i = ns};
    }
    return c;
}

/* A column that is not imported and must not be empty. */
static const char *needed_here(const char *table)
{
    if (strcmp(table, "channel") == 0)
        return "source";
    return strcmp(table, "run") == 0 || strcmp(table, "note") == 0 ? "uid" : NULL;
}

static int take_object(struct import_file *f, const json_t *row, int64_t line, struct err *e)
{
    const char *name = json_string_value(json_object_get(row, "table"));
    const struct view *v = name ? view_find(name) : NULL;
    if (!v)
        return import_bad(f, line, e, "'%.40s' is no table of an export", name ? name : "");
    const char *columns[IMPORT_COLUMNS_MAX + 1];
    size_t n = import_columns(v->table, columns);
    struct export_cell cells[IMPORT_COLUMNS_MAX + 1];
    json_t *values[IMPORT_COLUMNS_MAX];
    struct err why = {0};
    if (n == 0 || strcmp(v->name, "epochs") == 0)
        return 0; /* nothing of it is imported */
    for (size_t i = 0; i < n; i++) {
        bool own = i == 0 && strcmp(columns[0], "id") == 0 && strcmp(v->table, "run") == 0;
        values[i] = value_of(row, own ? "run" : columns[i]);
        cells[i] = cell_of(columns[i], values[i]);
    }
    size_t all = n;
    const char *ours = needed_here(v->table);
    if (ours) { /* the daemon has its own; the schema wants one */
        columns[all] = ours;
        cells[all++] = (struct export_cell){.type = EXPORT_INT, .i = 0};
    }
    int rc = localdb_insert(f->db, v->table, columns, cells, all, &why);
    for (size_t i = 0; i < n; i++)
        json_decref(values[i]);
    return rc < 0 ? import_bad(f, line, e, "table %s: %.180s", v->name, why.text) : 0;
}

int import_jsonl(struct import_file *f, FILE *in, struct err *e)
{
    char *text CLEANUP(base_freep) = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    f->format = "wattq";
    for (int64_t line = 1; rc == 0 && (n = getline(&text, &cap, in)) > 0; line++) {
        json_error_t je;
        if ((size_t)n > LINE_MAX_BYTES)
            return import_bad(f, line, e, "this line is longer than 4 MiB");
        json_t *row = json_loadb(text, (size_t)n, 0, &je);
        rc = json_is_object(row) ? take_object(f, row, line, e)
                                 : import_bad(f, line, e, "column %d: %.150s", je.column,
                                              row ? "not an object" : je.text);
        json_decref(row);
    }
    return rc;
}

/* ---- what a file is ------------------------------------------------------------------------------ */

static int hash_file(struct import_file *f, FILE *in, struct err *e)
{
    uint8_t buf[65536];
    struct sha256 s;
    size_t n;
    sha256_init(&s);
    while ((n = fread(buf, 1, sizeof buf, in)) > 0)
        sha256_add(&s, buf, n);
    sha256_end_hex(&s, f->sha256);
    if (ferror(in))
        return err_errno(e, WATTQ_E_IO, "cannot read %.200s", f->path);
    rewind(in);
    return 0;
}

/* Whose runs are these: the host most of them name. */
static void find_machine(struct import_file *f)
{
    char *host CLEANUP(base_freep) = localdb_text(
        f->db, "SELECT json_extract(b.machine, '$.host') AS host FROM run r JOIN boot b ON b.id ="
               " r.boot WHERE json_valid(b.machine) GROUP BY host ORDER BY count(*) DESC LIMIT 1");
    if (!f->machine[0])
        base_strcpy(f->machine, sizeof f->machine, host && *host ? host : "unknown");
    for (char *p = f->machine; *p; p++)
        if (*p == ':')
            *p = '_';
}

static int read_text(struct import_file *f, FILE *in, struct err *e)
{
    char head[512];
    int rc = localdb_open(&f->db, NULL, e);
    size_t n = fread(head, 1, sizeof head - 1, in);
    head[n] = '\0';
    rewind(in);
    if (rc < 0)
        return rc;
    if (head[0] != '{')
        return import_study(f, in, e);
    return strstr(head, "\"wattq.standalone/") ? import_record(f, in, e) : import_jsonl(f, in, e);
}

int import_open(struct import_file *f, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    *f = (struct import_file){.path = path, .name = slash ? slash + 1 : path, .format = "wattq"};
    char magic[16] = "";
    FILE *in CLEANUP(base_fclosep) = fopen(path, "re");
    if (!in)
        return err_errno(e, errno == ENOENT ? WATTQ_E_NOT_FOUND : WATTQ_E_IO, "cannot read %.200s",
                         path);
    int rc = hash_file(f, in, e);
    if (rc < 0)
        return rc;
    size_t n = fread(magic, 1, sizeof magic, in);
    rewind(in);
    if (n == 0)
        return err_set(e, WATTQ_E_INVALID, "%.200s is empty", path);
    rc = n == sizeof magic && memcmp(magic, "SQLite format 3", 16) == 0
             ? localdb_open_file(&f->db, path, e)
             : read_text(f, in, e);
    if (rc == 0)
        find_machine(f);
    return rc;
}

void import_close(struct import_file *f)
{
    localdb_close(f->db);
    free(f->facts);
    *f = (struct import_file){0};
}

/* ---- to the daemon ------------------------------------------------------------------------------- */

struct sending {
    struct conn *c;
    const char *table;
    const char *columns[IMPORT_COLUMNS_MAX];
    size_t n;
    struct wire_out *o; /* NULL = no request is open */
    int64_t row;        /* of the table, from 1 */
    struct err *e;
};

static int flush(struct sending *s)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (!s->o)
        return 0;
    wire_end(s->o);
    s->o = NULL;
    return conn_call(s->c, &m, s->e);
}

static void begin_frame(struct sending *s)
{
    s->o = conn_begin(s->c, "import_rows");
    wire_put_str(s->o, "table", s->table);
    wire_put_int(s->o, "row", s->row);
    wire_begin_array(s->o, "columns");
    for (size_t i = 0; i < s->n; i++)
        wire_put_str(s->o, NULL, s->columns[i]);
    wire_end(s->o);
    wire_begin_array(s->o, "rows");
}

static void put_cell(struct wire_out *o, const struct export_cell *c)
{
    switch (c->type) {
    case EXPORT_INT:
        wire_put_int(o, NULL, c->i);
        break;
    case EXPORT_REAL:
        wire_put_f64(o, NULL, c->d);
        break;
    case EXPORT_TEXT:
        wire_put_strn(o, NULL, c->text, c->bytes);
        break;
    case EXPORT_NIL:
    case EXPORT_BLOB: /* no imported column is one */
        wire_put_nil(o, NULL);
        break;
    }
}

static int send_row(void *arg, const struct export_cell *cells, size_t n)
{
    struct sending *s = arg;
    if (!s->o)
        begin_frame(s);
    wire_begin_array(s->o, NULL);
    for (size_t i = 0; i < n; i++)
        put_cell(s->o, &cells[i]);
    wire_end(s->o);
    s->row++;
    return s->o->bytes > FRAME_ROOM ? flush(s) : 0;
}

/* A reference to a row that the file does not have is left empty. */
static void put_column(FILE *f, const char *table, const char *column)
{
    static const struct {
        const char *column, *table, *key;
    } refs[] = {{"code", "code", "hash"},
                {"boot", "boot", "id"},
                {"machine_start", "machine", "id"},
                {"machine_end", "machine", "id"}};
    for (size_t i = 0; strcmp(table, "run") == 0 && i < ARRAY_LEN(refs); i++) {
        if (strcmp(column, refs[i].column) != 0)
            continue;
        (void)fprintf(f, "CASE WHEN %s IN (SELECT %s FROM %s) THEN %s END", column, refs[i].key,
                      refs[i].table, column);
        return;
    }
    (void)fprintf(f, "\"%s\"", column);
}

/* Rows of runs that have ended, in the order of their ids. */
static char *select_of(const char *table, const char *const *columns, size_t n)
{
    char *sql = NULL;
    size_t bytes = 0;
    bool run_column = false;
    FILE *f = open_memstream(&sql, &bytes);
    if (!f)
        abort();
    (void)fputs("SELECT ", f);
    for (size_t i = 0; i < n; i++) {
        if (i)
            (void)fputc(',', f);
        put_column(f, table, columns[i]);
        run_column |= strcmp(columns[i], "run") == 0;
    }
    (void)fprintf(f, " FROM \"%s\"", table);
    if (strcmp(table, "run") == 0)
        (void)fputs(" WHERE state NOT IN " LIVE, f);
    else if (run_column)
        (void)fputs(" WHERE run IN (SELECT id FROM run WHERE state NOT IN " LIVE ")", f);
    else if (strcmp(table, "energy_part") == 0)
        (void)fputs(" WHERE total IN (SELECT e.id FROM energy e JOIN run r ON r.id = e.run WHERE"
                    " r.state NOT IN " LIVE ")",
                    f);
    if (strcmp(columns[0], "id") == 0)
        (void)fputs(" ORDER BY id", f);
    (void)fclose(f);
    return sql;
}

/* A file of an earlier version has no table that came later. */
static bool has_table(const struct import_file *f, const char *table)
{
    char *sql CLEANUP(base_freep) =
        base_printf("SELECT count(*) FROM sqlite_master WHERE name = '%s'", table);
    return localdb_int(f->db, sql, 0) > 0;
}

static int send_table(struct import_file *f, struct conn *c, size_t i, struct err *e)
{
    struct sending s = {.c = c, .table = import_table(i), .row = 1, .e = e};
    if (!has_table(f, s.table))
        return 0;
    s.n = import_columns(s.table, s.columns);
    char *sql CLEANUP(base_freep) = select_of(s.table, s.columns, s.n);
    const struct localdb_sink to = {.row = send_row, .arg = &s};
    int rc = localdb_select(f->db, sql, &to, e);
    return rc == 0 ? flush(&s) : rc;
}

int import_send(struct import_file *f, struct conn *c, struct import_result *out, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    struct wire_msg *done CLEANUP(wire_msg_freep) = NULL;
    struct wire_out *o = conn_begin(c, "import_begin");
    wire_put_str(o, "machine", f->machine);
    wire_put_str(o, "format", f->format);
    wire_put_str(o, "sha256", f->sha256);
    wire_put_str(o, "facts", f->facts ? f->facts : "{}");
    int rc = conn_call(c, &m, e);
    for (size_t i = 0; rc == 0 && import_table(i); i++)
        rc = send_table(f, c, i, e);
    if (rc < 0)
        return rc;
    (void)conn_begin(c, "import_commit");
    rc = conn_call(c, &done, e);
    if (rc < 0)
        return rc;
    out->imported = wire_int(wire_msg_root(done), "imported", 0);
    out->known = wire_int(wire_msg_root(done), "known", 0);
    out->origin = wire_int(wire_msg_root(done), "origin", 0);
    out->live = localdb_int(f->db, "SELECT count(*) FROM run WHERE state IN " LIVE, 0);
    return 0;
}
