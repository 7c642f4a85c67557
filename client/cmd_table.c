/* wattq runs with chosen columns, an order, or groups: the op `table` in every form. */
#include <stdlib.h>
#include <string.h>

#include "client/cells.h"
#include "client/cmd.h"

#define ROWS_SHOWN  20
#define ROWS_MOST   100000
#define NAMES_MAX   64
#define REASONS_MAX 4

static const char usual[] = "id,state,sweep,start,time,energy,lo,hi,power,label,command";

/* Names of a comma-separated list; a comma within quotes does not separate. */
struct names {
    char *name[NAMES_MAX];
    size_t n;
};

static void names_fini(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->name[i]);
    *l = (struct names){0};
}

static int add_name(struct names *l, const char *s, size_t n, struct err *e)
{
    if (n == 0) {
        err_set(e, WATTQ_E_USAGE, "a name is missing in a list of columns");
        return err_next(e, "write a,b,c without spaces; wattq help columns");
    }
    if (l->n == NAMES_MAX)
        return err_set(e, WATTQ_E_LIMIT, "at most %d names in a list", NAMES_MAX);
    l->name[l->n++] = base_strdup_n(s, n);
    return 0;
}

static int split(struct names *l, const char *text, struct err *e)
{
    for (const char *at = text;;) {
        const char *end = at;
        for (char quote = 0; *end && (quote || *end != ','); end++)
            quote = *end != '"' ? quote : quote ? 0 : '"';
        int rc = add_name(l, at, (size_t)(end - at), e);
        if (rc < 0 || !*end)
            return rc;
        at = end + 1;
    }
}

static void drop(struct names *l, size_t i)
{
    free(l->name[i]);
    memmove(&l->name[i], &l->name[i + 1], (--l->n - i) * sizeof *l->name);
}

/* "-command,+mem" changes the usual columns; a list without signs replaces them. */
static int choose_columns(struct names *out, const char *text, struct err *e)
{
    struct names asked CLEANUP(names_fini) = {0};
    int rc = split(&asked, text, e);
    bool fresh = rc == 0 && strchr("+-", asked.name[0][0]) == NULL;
    if (rc == 0 && !fresh)
        rc = split(out, usual, e);
    for (size_t i = 0; rc == 0 && i < asked.n; i++) {
        const char *name = asked.name[i];
        size_t k = 0;
        if (*name != '-') {
            name += *name == '+';
            rc = add_name(out, name, strlen(name), e);
            continue;
        }
        while (k < out->n && strcmp(out->name[k], name + 1) != 0)
            k++;
        if (k == out->n) {
            err_set(e, WATTQ_E_USAGE, "'%.40s' is not among the columns to begin with", name + 1);
            return err_next(e, "they are %s", usual);
        }
        drop(out, k);
    }
    return rc;
}

/* ---- asking -------------------------------------------------------------------------------------- */

struct ask {
    struct app *app;
    struct conn *c;
    const char *where;
    struct names columns, sort, group, agg;
    int64_t limit;
    struct wire_msg **frames; /* of all pages */
    size_t n;
    int64_t rows;
    int64_t next; /* id to go on before; 0 = that was all */
    bool cut;
};

static void ask_fini(struct ask *q)
{
    names_fini(&q->columns);
    names_fini(&q->sort);
    names_fini(&q->group);
    names_fini(&q->agg);
    for (size_t i = 0; i < q->n; i++)
        wire_msg_free(q->frames[i]);
    free(q->frames);
}

static int take_list(const struct app *app, enum opt_id id, struct names *out, struct err *e)
{
    const char *text = args_str(&app->args, id, NULL);
    return text ? split(out, text, e) : 0;
}

static int take_options(struct ask *q, struct err *e)
{
    const struct args *a = &q->app->args;
    bool groups = args_has(a, OPT_GROUP_BY) || args_has(a, OPT_AGG);
    if (groups && args_has(a, OPT_COLUMNS)) {
        err_set(e, WATTQ_E_USAGE, "--columns are those of single runs, and groups have their own");
        return err_next(e, "choose figures of groups with --agg n,mean:energy");
    }
    if (args_has(a, OPT_TOP) && !args_has(a, OPT_SORT)) {
        err_set(e, WATTQ_E_USAGE, "--top: the first in which order?");
        return err_next(e, "add --sort -energy, or use -n for the newest");
    }
    int rc = take_list(q->app, OPT_SORT, &q->sort, e);
    if (rc == 0)
        rc = take_list(q->app, OPT_GROUP_BY, &q->group, e);
    if (rc == 0)
        rc = take_list(q->app, OPT_AGG, &q->agg, e);
    if (rc == 0 && groups && q->agg.n == 0)
        rc = split(&q->agg, "n,mean:energy,ci:energy,mean:time", e);
    if (rc == 0 && !groups)
        rc = choose_columns(&q->columns, q->app->quiet ? "id" : args_str(a, OPT_COLUMNS, usual), e);
    bool all = args_has(a, OPT_ALL) || groups;
    q->limit = all ? ROWS_MOST : ROWS_SHOWN;
    if (rc == 0)
        rc = args_int(a, OPT_COUNT, 1, ROWS_MOST, &q->limit, e);
    return rc == 0 ? args_int(a, OPT_TOP, 1, ROWS_MOST, &q->limit, e) : rc;
}

static void put_names(struct wire_out *o, const char *key, const struct names *l)
{
    if (l->n == 0)
        return;
    wire_begin_array(o, key);
    for (size_t i = 0; i < l->n; i++)
        wire_put_str(o, NULL, l->name[i]);
    wire_end(o);
}

static int one_page(struct ask *q, struct err *e)
{
    struct wire_out *o = conn_begin(q->c, "table");
    if (q->where)
        wire_put_str(o, "where", q->where);
    put_names(o, "columns", &q->columns);
    put_names(o, "sort", &q->sort);
    put_names(o, "group_by", &q->group);
    put_names(o, "agg", &q->agg);
    wire_put_int(o, "limit", q->limit - q->rows);
    if (q->next > 0)
        wire_put_int(o, "before", q->next);
    q->next = 0;
    int rc = conn_send(q->c, e);
    for (bool more = true; rc == 0 && more;) {
        struct wire_msg *m = NULL;
        rc = conn_recv(q->c, &m, e);
        if (rc < 0)
            return rc;
        struct wire_msg **p = realloc(q->frames, (q->n + 1) * sizeof(void *));
        if (!p)
            abort();
        q->frames = p;
        q->frames[q->n++] = m;
        q->rows += (int64_t)wire_len(wire_get(wire_msg_root(m), "rows"));
        q->next = wire_int(wire_msg_root(m), "next", 0);
        q->cut = wire_bool(wire_msg_root(m), "cut", false);
        more = conn_more(m);
    }
    return rc;
}

/* ---- showing ------------------------------------------------------------------------------------- */

typedef void (*row_fn)(void *arg, const struct cells_heads *heads, const struct wire_val *row);

static void each_row(const struct ask *q, const struct cells_heads *heads, row_fn fn, void *arg)
{
    for (size_t i = 0; i < q->n; i++) {
        const struct wire_val *rows = wire_get(wire_msg_root(q->frames[i]), "rows");
        for (size_t k = 0; k < wire_len(rows); k++)
            fn(arg, heads, wire_at(rows, k));
    }
}

struct shown {
    struct table table;
    const char *reason[REASONS_MAX]; /* different ones, to be told below */
    const char *column[REASONS_MAX];
    size_t n;
};

static void keep_reason(struct shown *s, const char *column, const char *reason)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->reason[i], reason) == 0)
            return;
    if (s->n == REASONS_MAX)
        return;
    s->column[s->n] = column;
    s->reason[s->n++] = reason;
}

static void show_row(void *arg, const struct cells_heads *heads, const struct wire_val *row)
{
    struct shown *s = arg;
    for (size_t i = 0; i < heads->n; i++) {
        const struct wire_val *cell = wire_at(row, i);
        const char *reason = cells_reason(&heads->head[i], cell);
        table_take(&s->table, cells_text(&heads->head[i], cell));
        if (reason)
            keep_reason(s, heads->head[i].name, reason);
    }
}

static char *title(const struct cells_head *h)
{
    bool left = strcmp(h->type, "text") == 0 || strcmp(h->type, "time") == 0;
    char *text = base_printf("%s!%s", left ? "" : ">", h->name);
    bool own = strchr(h->name, '.') != NULL; /* the user's words keep their case */
    for (char *p = text; *p && !own; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    return text;
}

static void show_table(const struct ask *q, const struct cells_heads *heads)
{
    char *titles[CELLS_COLUMNS_MAX] = {NULL};
    const char *names[CELLS_COLUMNS_MAX] = {NULL};
    struct shown s = {0};
    for (size_t i = 0; i < heads->n; i++)
        names[i] = titles[i] = title(&heads->head[i]);
    table_init(&s.table, names, heads->n);
    each_row(q, heads, show_row, &s);
    if (q->rows > 0)
        table_print(&s.table, &q->app->print);
    else
        cmd_say(q->app, "no such runs; all of them: wattq runs --all");
    for (size_t i = 0; i < s.n; i++)
        cmd_say(q->app, "wattq: where %s is -: %s", s.column[i], s.reason[i]);
    table_fini(&s.table);
    for (size_t i = 0; i < heads->n; i++)
        free(titles[i]);
}

static void csv_row(void *arg, const struct cells_heads *heads, const struct wire_val *row)
{
    cells_csv_row(arg, heads, row);
}

static void json_row(void *arg, const struct cells_heads *heads, const struct wire_val *row)
{
    if (json_array_append_new(arg, cells_json_row(heads, row)) != 0)
        abort();
}

struct lines {
    FILE *f;
    int rc;
    struct err *e;
};

static void json_line(void *arg, const struct cells_heads *heads, const struct wire_val *row)
{
    struct lines *l = arg;
    if (l->rc == 0)
        l->rc = json_write(l->f, cells_json_row(heads, row), true, l->e);
}

static void id_line(void *arg, const struct cells_heads *heads, const struct wire_val *row)
{
    char *text CLEANUP(base_freep) = cells_text(&heads->head[0], wire_at(row, 0));
    (void)fprintf(arg, "%s\n", text);
}

static int show(const struct ask *q, struct err *e)
{
    const struct args *a = &q->app->args;
    FILE *f = q->app->print.out;
    struct cells_heads heads;
    int rc = cells_heads(&heads, wire_get(wire_msg_root(q->frames[q->n - 1]), "columns"), e);
    if (rc < 0)
        return rc;
    if (args_has(a, OPT_CSV)) {
        struct csv_out o = {.f = f};
        cells_csv_heads(&o, &heads);
        each_row(q, &heads, csv_row, &o);
    } else if (args_has(a, OPT_JSONL)) {
        struct lines l = {.f = f, .e = e};
        each_row(q, &heads, json_line, &l);
        rc = l.rc;
    } else if (q->app->json) {
        json_t *doc = json_object();
        json_t *rows = json_array();
        json_put(doc, "schema", json_string("wattq.table/1"));
        json_put(doc, "columns", cells_json_heads(&heads));
        each_row(q, &heads, json_row, rows);
        json_put(doc, "rows", rows);
        rc = json_write(f, doc, false, e);
    } else if (q->app->quiet) {
        each_row(q, &heads, id_line, f);
    } else {
        show_table(q, &heads);
    }
    if (q->cut && q->next == 0 && rc == 0)
        cmd_say(q->app, "wattq: the answer was too long, and only its first %lld rows are shown",
                (long long)q->rows);
    return rc;
}

bool runs_table_wanted(const struct app *app)
{
    static const enum opt_id ids[] = {OPT_COLUMNS,  OPT_SORT, OPT_TOP,  OPT_CSV,
                                      OPT_GROUP_BY, OPT_AGG,  OPT_JSONL};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (args_has(&app->args, ids[i]))
            return true;
    return false;
}

int runs_table(struct app *app, struct conn *c, const char *where, struct err *e)
{
    struct ask q = {.app = app, .c = c, .where = where};
    int rc = take_options(&q, e);
    do {
        if (rc == 0)
            rc = one_page(&q, e);
    } while (rc == 0 && q.next > 0 && q.rows < q.limit);
    rc = rc < 0 ? rc : show(&q, e);
    ask_fini(&q);
    return rc;
}
