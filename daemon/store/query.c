#include "daemon/store/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/suggest.h"
#include "daemon/store/query_sql.h"

/* ---- words --------------------------------------------------------------------------------------- */

static const char *const stats[QUERY_STATS] = {"n",      "mean", "sd",  "ci",
                                               "median", "min",  "max", "sum"};

static int no_stat(const char *word, size_t n, struct err *e)
{
    char name[32];
    struct suggest s;
    (void)snprintf(name, sizeof(name), "%.*s", n < sizeof(name) ? (int)n : 31, word);
    suggest_init(&s, name);
    for (size_t i = 0; i < QUERY_STATS; i++)
        suggest_offer(&s, stats[i]);
    err_set(e, WATTQ_E_USAGE, "there is no aggregate '%s'", name);
    if (s.best)
        return err_next(e, "did you mean %s? They are n mean sd ci median min max sum", s.best);
    return err_next(e, "they are n mean sd ci median min max sum, as in mean:energy");
}

static int no_number(const char *text, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.60s': there is no arithmetic with texts", text);
    return err_next(e, "group by it, or count it: n");
}

int query_agg_parse(struct query_agg *out, const char *text, struct err *e)
{
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    *out = (struct query_agg){.stat = QUERY_STATS};
    for (size_t i = 0; i < QUERY_STATS; i++)
        if (strlen(stats[i]) == n && memcmp(stats[i], text, n) == 0)
            out->stat = (enum query_stat)i;
    if (out->stat == QUERY_STATS)
        return no_stat(text, n, e);
    out->all = !colon;
    if (out->all && out->stat == QUERY_N)
        return 0;
    if (out->all) {
        err_set(e, WATTQ_E_USAGE, "'%s' of what?", stats[out->stat]);
        return err_next(e, "write %s:energy, %s:time, %s:metric.loss", stats[out->stat],
                        stats[out->stat], stats[out->stat]);
    }
    int rc = column_find(&out->column, colon + 1, strlen(colon + 1), e);
    if (rc == 0 && out->stat != QUERY_N && !column_is_number(&out->column))
        rc = no_number(text, e);
    return rc;
}

const char *query_agg_name(char *buf, size_t cap, const struct query_agg *a)
{
    char name[COLUMN_NAME_MAX];
    (void)snprintf(buf, cap, "%s%s%s", stats[a->stat], a->all ? "" : ":",
                   a->all ? "" : column_name(name, sizeof(name), &a->column));
    return buf;
}

int query_sort_parse(struct query_sort *out, const char *text, struct err *e)
{
    *out = (struct query_sort){.descending = *text == '-'};
    text += *text == '-' || *text == '+';
    out->agg = strchr(text, ':') != NULL || strcmp(text, "n") == 0;
    return out->agg ? query_agg_parse(&out->by, text, e)
                    : column_find(&out->column, text, strlen(text), e);
}

void query_init(struct query *q)
{
    *q = (struct query){.visible_uid = RUN_NONE};
    q->base = (struct run_query){.uid = RUN_NONE,
                                 .sweep = RUN_NONE,
                                 .state = -1,
                                 .since_utc_ns = RUN_NONE,
                                 .until_utc_ns = RUN_NONE,
                                 .before_id = RUN_NONE,
                                 .limit = 10000};
}

/* ---- channels ------------------------------------------------------------------------------------ */

struct channel_ask {
    struct store *s;
    struct err *e;
};

static int no_channel(struct store *s, const char *key, struct err *e)
{
    STMT_USE(st, s, CHANNEL_LABELS);
    struct suggest near;
    char best[COLUMN_KEY_MAX] = "";
    suggest_init(&near, key);
    int rc;
    while ((rc = stmt_step(st, NULL)) > 0) {
        const char *name = stmt_text(st, 0);
        const struct suggest before = near;
        suggest_offer(&near, name);
        if (near.best && (!before.best || near.distance < before.distance))
            base_strcpy(best, sizeof(best), name); /* the row's memory goes with the next step */
    }
    err_set(e, WATTQ_E_USAGE, "no meter has a channel '%.60s'", key);
    if (rc == 0 && best[0])
        return err_next(e, "did you mean energy.%.60s? wattq meters lists them", best);
    return err_next(e, "wattq meters lists the channels");
}

/* A label that two channels have means neither. */
static int check_channel(struct channel_ask *a, const struct column *c)
{
    char list[160] = "";
    size_t n = 0;
    int rc = 0;
    if (c->id != COLUMN_ID_CHANNEL)
        return 0;
    {
        STMT_USE(st, a->s, CHANNEL_NAMED);
        stmt_bind_text(st, 1, c->key);
        while ((rc = stmt_step(st, a->e)) > 0) {
            size_t at = strlen(list);
            (void)snprintf(list + at, sizeof(list) - at, "%s%.60s", n++ ? ", " : "",
                           stmt_text(st, 0));
        }
    }
    if (rc < 0 || n == 1)
        return rc;
    if (n == 0)
        return no_channel(a->s, c->key, a->e);
    err_set(a->e, WATTQ_E_USAGE, "%zu channels are called '%.60s'", n, c->key);
    return err_next(a->e, "name one by its uid in quotes: %s", list);
}

static int check_channels(struct store *s, const struct query *q, struct err *e)
{
    struct channel_ask a = {s, e};
    int rc = 0;
    for (size_t i = 0; rc == 0 && q->where && i < q->where->n; i++)
        rc = check_channel(&a, &q->where->nodes[i].column);
    for (size_t i = 0; rc == 0 && i < q->ncolumns; i++)
        rc = check_channel(&a, &q->column[i]);
    for (size_t i = 0; rc == 0 && i < q->ngroup; i++)
        rc = check_channel(&a, &q->group[i]);
    for (size_t i = 0; rc == 0 && i < q->nagg; i++)
        rc = check_channel(&a, &q->agg[i].column);
    for (size_t i = 0; rc == 0 && i < q->nsort; i++)
        rc = check_channel(&a, &q->sort[i].column);
    return rc;
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static const char *const sort_names[QUERY_SORT_MAX] = {"s0", "s1", "s2", "s3",
                                                       "s4", "s5", "s6", "s7"};

static void put_order(struct sql *sql, const struct query *q)
{
    SQL(sql, " ORDER BY ");
    for (size_t i = 0; i < q->nsort; i++) {
        sql_append(sql, sort_names[i]);
        sql_append(sql, q->sort[i].descending ? " DESC NULLS LAST, " : " ASC NULLS LAST, ");
    }
    SQL(sql, "r.id DESC");
}

static void put_columns(struct sql *sql, const struct query *q)
{
    SQL(sql, "SELECT r.id");
    for (size_t i = 0; i < q->ncolumns; i++) {
        SQL(sql, ", ");
        sql_column(sql, &q->column[i]);
        if (!column_is_joule(&q->column[i]))
            continue;
        SQL(sql, ", ");
        sql_quality(sql, &q->column[i]);
        SQL(sql, ", ");
        sql_reason(sql, &q->column[i]);
    }
}

/* r.id, then one result column per column (three of a joule one). Sorted rows are found first with what they
 * are sorted by alone: else every column of every run would be made, and carried through the sort. */
static void put_rows(struct sql *sql, const struct query *q, const struct drive *d)
{
    put_columns(sql, q);
    if (q->nsort > 0) {
        SQL(sql, " FROM (SELECT r.id AS id");
        for (size_t i = 0; i < q->nsort; i++) {
            SQL(sql, ", ");
            sql_column(sql, &q->sort[i].column);
            SQL(sql, " AS ");
            sql_append(sql, sort_names[i]);
        }
    }
    sql_from(sql, true);
    sql_where(sql, q);
    sql_drive(sql, d);
    put_order(sql, q);
    SQL(sql, " LIMIT ");
    sql_int(sql, q->base.limit);
    if (q->nsort == 0)
        return;
    SQL(sql, ") o CROSS JOIN run r ON r.id = o.id LEFT JOIN run_total t ON t.run = r.id");
    put_order(sql, q);
}

static void take_cells(sqlite3_stmt *st, const struct query *q, struct query_cell *cells)
{
    int at = 1;
    for (size_t i = 0; i < q->ncolumns; i++) {
        const struct column *c = &q->column[i];
        cells[i] = sql_cell(st, at++, column_type(c));
        if (!column_is_joule(c))
            continue;
        const char *quality = stmt_text(st, at++);
        const char *reason = stmt_text(st, at++);
        cells[i].quality = quality ? quality : "none";
        if (cells[i].kind == QUERY_UNKNOWN)
            cells[i].reason = reason ? reason : "no figure of it is stored";
    }
}

static int visit_rows(sqlite3_stmt *st, const struct query *q, query_visit fn, void *arg,
                      struct err *e)
{
    struct query_cell cells[QUERY_COLUMNS_MAX];
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        take_cells(st, q, cells);
        if ((rc = fn(arg, stmt_int(st, 0), cells)) != 0)
            return rc;
    }
    return rc;
}

static int run_rows(struct store *s, const struct query *q, query_visit fn, void *arg,
                    struct err *e)
{
    struct sql sql CLEANUP(sql_fini) = {0};
    sqlite3_stmt *st CLEANUP(stmt_finalizep) = NULL;
    struct drive drive;
    int rc = sql_choose_drive(s, &drive, q, e);
    if (rc < 0)
        return rc;
    sql_init(&sql, q);
    put_rows(&sql, q, &drive);
    rc = sql_prepare(s, &sql, &st, e);
    return rc < 0 ? rc : visit_rows(st, q, fn, arg, e);
}

static int check_sort(const struct query *q, struct err *e)
{
    for (size_t i = 0; i < q->nsort; i++)
        if (q->sort[i].agg) {
            char name[COLUMN_NAME_MAX + 8];
            err_set(e, WATTQ_E_USAGE, "single runs cannot be sorted by '%s'",
                    query_agg_name(name, sizeof(name), &q->sort[i].by));
            return err_next(e, "aggregates sort groups: add --group-by");
        }
    return 0;
}

int query_run(struct store *s, const struct query *q, query_visit fn, void *arg, struct err *e)
{
    int rc = check_channels(s, q, e);
    bool groups = q->ngroup > 0 || q->nagg > 0;
    if (rc == 0 && !groups)
        rc = check_sort(q, e);
    if (rc < 0)
        return rc;
    stmt_time_limit(s, q->limit_ns > 0 ? q->limit_ns : QUERY_LIMIT_NS);
    rc = groups ? query_groups(s, q, fn, arg, e) : run_rows(s, q, fn, arg, e);
    stmt_time_limit(s, 0);
    return rc;
}
