#include "daemon/store/export.h"

#include <string.h>

#include "daemon/store/stmt.h"

struct handed {
    const char *name;
    enum export_scope scope;
    enum stmt_id stmt;
};
static const struct handed tables[] = {
    {"run", EXPORT_RUNS, STMT_X_RUN},
    {"run_param", EXPORT_RUNS, STMT_X_RUN_PARAM},
    {"metric", EXPORT_RUNS, STMT_X_METRIC},
    {"metric_head", EXPORT_RUNS, STMT_X_METRIC_HEAD},
    {"energy", EXPORT_RUNS, STMT_X_ENERGY},
    {"energy_part", EXPORT_RUNS, STMT_X_ENERGY_PART},
    {"run_companion", EXPORT_RUNS, STMT_X_RUN_COMPANION},
    {"run_total", EXPORT_RUNS, STMT_X_RUN_TOTAL},
    {"phase", EXPORT_RUNS, STMT_X_PHASE},
    {"event", EXPORT_RUNS, STMT_X_EVENT},
    {"tag", EXPORT_RUNS, STMT_X_TAG},
    {"note", EXPORT_RUNS, STMT_X_NOTE},
    {"pin", EXPORT_RUNS, STMT_X_PIN},
    {"sweep", EXPORT_WHOLE, STMT_X_SWEEP},
    {"code", EXPORT_WHOLE, STMT_X_CODE},
    {"machine", EXPORT_WHOLE, STMT_X_MACHINE},
    {"origin", EXPORT_WHOLE, STMT_X_ORIGIN},
    {"boot", EXPORT_WHOLE, STMT_X_BOOT},
    {"anchor", EXPORT_WHOLE, STMT_X_ANCHOR},
    {"source", EXPORT_WHOLE, STMT_X_SOURCE},
    {"channel", EXPORT_WHOLE, STMT_X_CHANNEL},
    {"channel_note", EXPORT_WHOLE, STMT_X_CHANNEL_NOTE},
    {"baseline", EXPORT_WHOLE, STMT_X_BASELINE},
    {"model", EXPORT_WHOLE, STMT_X_MODEL},
    {"model_term", EXPORT_WHOLE, STMT_X_MODEL_TERM},
    {"model_run", EXPORT_WHOLE, STMT_X_MODEL_RUN},
    {"grp", EXPORT_WHOLE, STMT_X_GRP},
    {"grp_slot", EXPORT_WHOLE, STMT_X_GRP_SLOT},
    {"epoch", EXPORT_WHOLE, STMT_X_EPOCH},
    {"epoch_channel", EXPORT_WINDOW, STMT_X_EPOCH_CHANNEL},
    {"gap", EXPORT_WINDOW, STMT_X_GAP},
    {"tail", EXPORT_WINDOW, STMT_X_TAIL},
    {"chunk", EXPORT_WINDOW, STMT_X_CHUNK},
    {"head", EXPORT_WINDOW, STMT_X_HEAD},
};

static const struct handed *find(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(tables); i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    return NULL;
}

int export_scope_of(const char *table, enum export_scope *out)
{
    const struct handed *t = find(table);
    if (!t)
        return 1;
    *out = t->scope;
    return 0;
}

static int no_table(const char *name, struct err *e)
{
    return err_set(e, WATTQ_E_NOT_FOUND, "there is no table '%.40s' to hand out", name);
}

int export_names(struct store *s, const char *table, export_visit fn, void *arg, struct err *e)
{
    struct export_cell cells[EXPORT_COLUMNS_MAX] = {0};
    const struct handed *t = find(table);
    if (!t)
        return no_table(table, e);
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, t->stmt);
    size_t n = stmt_columns(st) - 1;
    if (n > EXPORT_COLUMNS_MAX)
        return err_set(e, WATTQ_E_INTERNAL, "table '%.40s' has too many columns", table);
    for (size_t i = 0; i < n; i++)
        cells[i] = (struct export_cell){.type = EXPORT_TEXT, .text = stmt_name(st, (int)i + 1)};
    return fn(arg, -1, cells, n);
}

static struct export_cell cell(sqlite3_stmt *st, int col)
{
    struct export_cell c = {.type = EXPORT_NIL};
    switch (stmt_type(st, col)) {
    case SQLITE_INTEGER:
        c.type = EXPORT_INT;
        c.i = stmt_int(st, col);
        break;
    case SQLITE_FLOAT:
        c.type = EXPORT_REAL;
        c.d = stmt_real(st, col);
        break;
    case SQLITE_TEXT:
        c.type = EXPORT_TEXT;
        c.text = stmt_text(st, col);
        break;
    case SQLITE_BLOB:
        c.type = EXPORT_BLOB;
        c.data = stmt_blob(st, col, &c.bytes);
        break;
    default:
        break;
    }
    return c;
}

int export_rows(struct store *s, const struct export_ask *a, export_visit fn, void *arg,
                struct err *e)
{
    struct export_cell cells[EXPORT_COLUMNS_MAX];
    const struct handed *t = find(a->table);
    int rc;
    if (!t)
        return no_table(a->table, e);
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, t->stmt);
    size_t n = stmt_columns(st) - 1;
    if (n > EXPORT_COLUMNS_MAX)
        return err_set(e, WATTQ_E_INTERNAL, "table '%.40s' has too many columns", a->table);
    if (t->scope != EXPORT_WHOLE) {
        stmt_bind_int(st, 1, a->lo);
        stmt_bind_int(st, 2, a->hi);
    }
    stmt_bind_int(st, 3, a->skip);
    if (t->scope == EXPORT_WINDOW)
        stmt_bind_int(st, 4, a->boot);
    while ((rc = stmt_step(st, e)) > 0) {
        for (size_t i = 0; i < n; i++)
            cells[i] = cell(st, (int)i + 1);
        rc = fn(arg, stmt_int(st, 0), cells, n);
        if (rc)
            return rc;
    }
    return rc;
}
