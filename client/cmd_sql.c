/* sql: one statement of a person's own over what the daemon hands out. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/export_out.h"
#include "client/fetch.h"
#include "client/json.h"
#include "client/views.h"

#define ROWS_DEFAULT    100000
#define ROWS_MOST       INT64_C(100000000)
#define TIMEOUT_DEFAULT (10 * NS_PER_S)
#define TABLES_MAX      48

void sql_help(FILE *f)
{
    (void)fputs("\nViews:\n", f);
    for (size_t i = 0; i < view_count; i++)
        (void)fprintf(f, "  %-14s %s\n", view_list[i].name, view_list[i].what);
    (void)fputs(
        "\nUnits: _j joule, _w watt, _s second, _ns nanoseconds of boot time, _utc_ns of UTC. What "
        "is "
        "not known is NULL.\nColumns: wattq sql 'SELECT * FROM runs LIMIT 1'. The database is a "
        "copy in memory of what is asked for;\nit can only be read.\n",
        f);
}

/* Only tables that the statement reads are asked for. */
static int fill(struct app *app, struct localdb *db, const char *sql, struct err *e)
{
    char tables[TABLES_MAX][LOCALDB_NAME];
    size_t n = 0;
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel sel CLEANUP(sel_finip) = {0};
    int rc = localdb_tables(db, sql, tables, ARRAY_LEN(tables), &n, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0 && app->args.npos > 1)
        rc = sel_runs(&sel, c, app->args.pos + 1, app->args.npos - 1, e);
    struct fetch f = {.c = c, .db = db, .runs = app->args.npos > 1 ? &sel : NULL};
    enum export_scope scope;
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (export_scope_of(tables[i], &scope) == 0 && scope != EXPORT_WINDOW)
            rc = fetch_table(&f, tables[i], e);
    return rc;
}

static int finish(const struct app *app, struct export_out *out, bool cut, int64_t rows,
                  struct err *e)
{
    json_t *found = export_out_end(out);
    if (cut)
        cmd_say(app, "wattq: cut after %lld rows; -n allows more", (long long)rows);
    if (!found)
        return 0;
    json_t *columns = json_array();
    for (size_t i = 0; i < out->n; i++)
        (void)json_array_append_new(columns, json_string(out->names[i]));
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.sql/1"));
    json_put(doc, "columns", columns);
    json_put(doc, "rows", found);
    json_put(doc, "cut", json_boolean(cut));
    return json_write(app->print.out, doc, false, e);
}

int cmd_sql(struct app *app, struct err *e)
{
    struct localdb *db CLEANUP(localdb_closep) = NULL;
    struct localdb_limits limits = {.timeout_ns = TIMEOUT_DEFAULT, .rows = ROWS_DEFAULT};
    int rc = cmd_need(app, 1, "a SELECT statement in quotes", e);
    if (rc == 0)
        rc = args_int(&app->args, OPT_COUNT, 1, ROWS_MOST, &limits.rows, e);
    if (rc == 0)
        rc = args_duration(&app->args, OPT_TIMEOUT, &limits.timeout_ns, e);
    if (rc == 0)
        rc = localdb_open(&db, NULL, e);
    if (rc == 0)
        rc = fill(app, db, app->args.pos[0], e);
    if (rc < 0)
        return rc;
    struct export_out out CLEANUP(export_out_fini);
    export_out_init(&out, app->print.out,
                    app->json                         ? EXPORT_JSON
                    : args_has(&app->args, OPT_CSV)   ? EXPORT_CSV
                    : args_has(&app->args, OPT_JSONL) ? EXPORT_JSONL
                                                      : EXPORT_PEOPLE);
    out.print = &app->print;
    struct localdb_sink to = export_out_sink(&out);
    rc = localdb_ask(db, app->args.pos[0], &limits, &to, e);
    return rc < 0 ? rc : finish(app, &out, rc > 0, limits.rows, e);
}
