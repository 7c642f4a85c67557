/* export: runs and all that belongs to them, as files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/bundle.h"
#include "client/butter.h"
#include "client/export_out.h"
#include "client/fetch.h"
#include "client/json.h"
#include "client/views.h"

#define TABLES_MAX 48

struct exporting {
    struct app *app;
    struct conn *c;
    struct sel sel;
    bool all; /* every run */
    struct localdb *db;
    const char *path;
    const struct view *views[64];
    size_t n;
    char fetched[TABLES_MAX][LOCALDB_NAME];
    size_t nfetched;
};

static void finip(struct exporting *x)
{
    conn_close(x->c);
    sel_fini(&x->sel);
    localdb_close(x->db);
}

/* ---- which tables -------------------------------------------------------------------------------- */

static int unknown_table(const char *name, struct err *e)
{
    char names[190];
    err_set(e, WATTQ_E_USAGE, "there is no table '%.40s'", name);
    return err_next(e, "views: %s", view_names(names, sizeof names));
}

static int choose(struct exporting *x, struct err *e)
{
    const struct args *a = &x->app->args;
    bool curves = args_has(a, OPT_CURVES);
    for (size_t i = 0; i < a->n[OPT_TABLE]; i++) {
        const struct view *v = view_find(a->value[OPT_TABLE][i]);
        if (!v)
            return unknown_table(a->value[OPT_TABLE][i], e);
        if (x->n < ARRAY_LEN(x->views))
            x->views[x->n++] = v;
    }
    if (x->n > 0)
        return 0;
    if (strcmp(x->path, "-") == 0 && args_has(a, OPT_CSV)) {
        x->views[x->n++] = view_find("runs"); /* one stream holds one table */
        return 0;
    }
    for (size_t i = 0; i < view_count; i++)
        if (curves || !view_list[i].curve)
            x->views[x->n++] = &view_list[i];
    return 0;
}

static int fetch_once(struct exporting *x, const struct fetch *f, const char *table, struct err *e)
{
    enum export_scope scope;
    for (size_t i = 0; i < x->nfetched; i++)
        if (strcmp(x->fetched[i], table) == 0)
            return 0;
    if (export_scope_of(table, &scope) != 0 || scope == EXPORT_WINDOW || x->nfetched == TABLES_MAX)
        return 0;
    base_strcpy(x->fetched[x->nfetched++], LOCALDB_NAME, table);
    return fetch_table(f, table, e);
}

/* Rows of whole tables that no exported run refers to. */
static int prune(struct exporting *x, struct err *e)
{
    return localdb_exec(
        x->db,
        "DELETE FROM code WHERE hash NOT IN (SELECT code FROM run WHERE code IS NOT NULL);"
        "DELETE FROM sweep WHERE id NOT IN (SELECT sweep FROM run WHERE sweep IS NOT NULL);"
        "DELETE FROM origin WHERE id NOT IN (SELECT origin FROM run WHERE origin IS NOT NULL);"
        "DELETE FROM machine WHERE id NOT IN (SELECT machine_start FROM run WHERE machine_start"
        " IS NOT NULL UNION SELECT machine_end FROM run WHERE machine_end IS NOT NULL);"
        "DELETE FROM boot WHERE id NOT IN (SELECT boot FROM run WHERE boot IS NOT NULL);"
        "DELETE FROM anchor WHERE boot NOT IN (SELECT id FROM boot)",
        e);
}

static int fill(struct exporting *x, struct err *e)
{
    char tables[TABLES_MAX][LOCALDB_NAME];
    char sql[128];
    struct fetch f = {.c = x->c, .db = x->db, .runs = x->all ? NULL : &x->sel};
    int rc = fetch_once(x, &f, "run", e);
    if (rc == 0 && args_has(&x->app->args, OPT_SQLITE))
        rc = fetch_once(x, &f, "run_total", e);
    for (size_t i = 0; rc == 0 && i < x->n; i++) {
        size_t n = 0;
        (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", x->views[i]->name);
        rc = localdb_tables(x->db, sql, tables, TABLES_MAX, &n, e);
        for (size_t k = 0; rc == 0 && k < n; k++)
            rc = fetch_once(x, &f, tables[k], e);
    }
    return rc == 0 && !x->all ? prune(x, e) : rc;
}

/* ---- files --------------------------------------------------------------------------------------- */

static int write_view(struct exporting *x, const struct view *v, FILE *f, bool csv, struct err *e)
{
    struct export_out out CLEANUP(export_out_fini);
    char sql[128];
    export_out_init(&out, f, csv ? EXPORT_CSV : EXPORT_JSONL);
    out.table = csv ? NULL : v->name;
    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", v->name);
    struct localdb_sink to = export_out_sink(&out);
    int rc = localdb_select(x->db, sql, &to, e);
    if (rc == 0 && ferror(f))
        rc = err_errno(e, WATTQ_E_IO, "cannot write table %s", v->name);
    return rc;
}

/* 1 = `path` is "-": *f is the standard output. */
static int create(const char *path, FILE **f, struct err *e)
{
    *f = stdout;
    if (strcmp(path, "-") == 0)
        return 1;
    *f = fopen(path, "wxe");
    if (*f)
        return 0;
    err_errno(e, errno == EEXIST ? WATTQ_E_CONFLICT : WATTQ_E_IO, "cannot make %.200s", path);
    return err_next(e, "name a file that does not exist, in a directory you may write in");
}

static int close_file(FILE *f, const char *path, struct err *e)
{
    bool bad = fflush(f) != 0 || ferror(f) != 0;
    if (f != stdout)
        bad = fclose(f) != 0 || bad;
    return bad ? err_errno(e, WATTQ_E_IO, "cannot write %.200s", path) : 0;
}

static int to_jsonl(struct exporting *x, struct err *e)
{
    FILE *f;
    int rc = create(x->path, &f, e);
    if (rc < 0)
        return rc;
    rc = 0;
    for (size_t i = 0; rc == 0 && i < x->n; i++)
        rc = write_view(x, x->views[i], f, false, e);
    int closed = close_file(f, x->path, rc == 0 ? e : NULL);
    return rc < 0 ? rc : closed;
}

static int to_csv(struct exporting *x, struct err *e)
{
    bool pipe = strcmp(x->path, "-") == 0;
    if (pipe && x->n > 1) {
        err_set(e, WATTQ_E_USAGE, "the standard output takes one table as CSV");
        return err_next(e, "name one with --table, or a directory instead of -");
    }
    if (!pipe && mkdir(x->path, 0777) != 0 && errno != EEXIST)
        return err_errno(e, WATTQ_E_IO, "cannot make the directory %.200s", x->path);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->n; i++) {
        char *path CLEANUP(base_freep) =
            pipe ? base_strdup("-") : base_printf("%s/%s.csv", x->path, x->views[i]->name);
        FILE *f;
        rc = create(path, &f, e);
        if (rc < 0)
            break;
        rc = write_view(x, x->views[i], f, true, e);
        int closed = close_file(f, path, rc == 0 ? e : NULL);
        rc = rc < 0 ? rc : closed;
    }
    return rc;
}

/* ---- the study's files ---------------------------------------------------------------------------- */

static void say_butter(const struct exporting *x, const struct butter_result *r, size_t others)
{
    cmd_say(x->app,
            "wattq: %zu runs in %s/runs_with_standardized_energy.csv and butter_e_metadata.csv",
            r->runs, x->path);
    if (r->no_joules > 0)
        cmd_say(x->app,
                "       %zu of them without energy: what they have is an estimate or nothing",
                r->no_joules);
    if (others + r->design > 0)
        cmd_say(x->app, "       left out: %zu that are no networks, %zu warm-up and control runs",
                others, r->design);
}

static int report_butter(const struct exporting *x, const struct butter_result *r, size_t others,
                         struct err *e)
{
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.export_butter/1"));
    json_put(doc, "path", json_text(x->path, strlen(x->path)));
    json_put(doc, "runs", json_integer((json_int_t)r->runs));
    json_put(doc, "without_energy", json_integer((json_int_t)r->no_joules));
    json_put(doc, "no_networks", json_integer((json_int_t)others));
    json_put(doc, "warmup_and_control", json_integer((json_int_t)r->design));
    return json_write(x->app->print.out, doc, false, e);
}

static int to_butter(struct exporting *x, struct err *e)
{
    static const char *const tables[] = {"run", "run_param", "sweep", "origin", "boot"};
    const struct fetch f = {.c = x->c, .db = x->db, .runs = x->all ? NULL : &x->sel};
    const struct args *a = &x->app->args;
    struct butter_result r = {0};
    struct study s;
    study_init(&s);
    int rc = study_load_words(&s, x->c, a->pos + 1, a->npos - 1, NULL, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(tables); i++)
        rc = fetch_table(&f, tables[i], e);
    if (rc == 0 && mkdir(x->path, 0777) != 0 && errno != EEXIST)
        rc = err_errno(e, WATTQ_E_IO, "cannot make the directory %.200s", x->path);
    if (rc == 0)
        rc = butter_write(x->db, &s, x->path, &r, e);
    if (rc == 0 && x->app->json)
        rc = report_butter(x, &r, s.nleft, e);
    else if (rc == 0)
        say_butter(x, &r, s.nleft);
    study_fini(&s);
    return rc;
}

/* ---- the command --------------------------------------------------------------------------------- */

static int count_formats(const struct app *app)
{
    return args_has(&app->args, OPT_CSV) + args_has(&app->args, OPT_JSONL) +
           args_has(&app->args, OPT_SQLITE) + args_has(&app->args, OPT_BUNDLE) +
           args_has(&app->args, OPT_BUTTER);
}

static int begin(struct exporting *x, struct err *e)
{
    struct app *app = x->app;
    if (count_formats(app) != 1) {
        err_set(e, WATTQ_E_USAGE, "wattq export needs one format");
        return err_next(
            e, "--csv or --butter DIR, --jsonl, --sqlite or --bundle FILE; for example: %s",
            app->cmd->example);
    }
    int rc = cmd_need(app, 1, "a file or directory to write", e);
    if (rc < 0)
        return rc;
    x->path = app->args.pos[0];
    x->all = app->args.npos == 1;
    if (args_has(&app->args, OPT_BUNDLE) && x->all)
        return cmd_need(app, 2, "a file and the runs that go into it", e);
    rc = choose(x, e);
    if (rc == 0)
        rc = cmd_connect(app, &x->c, e);
    if (rc == 0 && !x->all)
        rc = sel_runs(&x->sel, x->c, app->args.pos + 1, app->args.npos - 1, e);
    return rc;
}

/* --json: what was written. */
static int report(const struct exporting *x, int64_t runs, struct err *e)
{
    json_t *tables = json_array();
    for (size_t i = 0; i < x->n; i++)
        (void)json_array_append_new(tables, json_string(x->views[i]->name));
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.export/1"));
    json_put(doc, "path", json_text(x->path, strlen(x->path)));
    json_put(doc, "runs", json_integer((json_int_t)runs));
    json_put(doc, "tables", tables);
    return json_write(x->app->print.out, doc, false, e);
}

int cmd_export(struct app *app, struct err *e)
{
    struct exporting x CLEANUP(finip) = {.app = app};
    bool sqlite = args_has(&app->args, OPT_SQLITE);
    int rc = begin(&x, e);
    if (rc == 0 && args_has(&app->args, OPT_BUNDLE))
        return bundle_write(app, x.c, &x.sel, x.path, e);
    if (rc == 0)
        rc = localdb_open(&x.db, sqlite ? x.path : NULL, e);
    if (rc == 0 && args_has(&app->args, OPT_BUTTER))
        return to_butter(&x, e);
    if (rc == 0)
        rc = fill(&x, e);
    if (rc == 0)
        rc = sqlite                            ? localdb_keep(x.db, e)
             : args_has(&app->args, OPT_JSONL) ? to_jsonl(&x, e)
                                               : to_csv(&x, e);
    if (rc < 0 || strcmp(x.path, "-") == 0)
        return rc;
    int64_t runs = localdb_int(x.db, "SELECT count(*) FROM run", 0);
    if (!app->json)
        cmd_say(app, "wattq: %lld run%s in %s", (long long)runs, runs == 1 ? "" : "s", x.path);
    return app->json ? report(&x, runs, e) : 0;
}
