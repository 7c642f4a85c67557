/* table: chosen columns of runs, or groups of runs with aggregates. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"
#include "daemon/store/query.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     100000

struct table_job {
    struct reader_job job;
    struct ops_ticket t;
    struct filter *where;
    struct query q;
    struct ops_list l;
    int64_t seen;
    int64_t next; /* RUN_NONE = that was all */
    bool cut;
};

/* ---- request ------------------------------------------------------------------------------------- */

/* Names of an array key, one by one, into places of `size` bytes. */
struct names {
    const char *key;
    void *out;
    size_t size, max;
    int (*parse)(void *out, const char *name, struct err *e);
};

static int parse_column(void *out, const char *name, struct err *e)
{
    return column_find(out, name, strlen(name), e);
}

static int parse_sort(void *out, const char *name, struct err *e)
{
    return query_sort_parse(out, name, e);
}

static int parse_agg(void *out, const char *name, struct err *e)
{
    return query_agg_parse(out, name, e);
}

static int take_names(const struct op_call *c, const struct names *want, size_t *n, struct err *e)
{
    const struct wire_val *list = wire_get(c->req, want->key);
    *n = 0;
    if (wire_type(list) == WIRE_NIL)
        return 0;
    if (wire_type(list) != WIRE_ARRAY)
        return err_set(e, WATTQ_E_USAGE, "'%s' must be an array of names", want->key);
    if (wire_len(list) > want->max)
        return err_set(e, WATTQ_E_LIMIT, "'%s' takes at most %zu names", want->key, want->max);
    for (size_t i = 0; i < wire_len(list); i++) {
        const char *name = wire_as_str(wire_at(list, i), NULL);
        if (!name)
            return err_set(e, WATTQ_E_USAGE, "'%s' element %zu is no name", want->key, i);
        int rc = want->parse((char *)want->out + i * want->size, name, e);
        if (rc < 0)
            return rc;
    }
    *n = wire_len(list);
    return 0;
}

static int take_lists(const struct op_call *c, struct query *q, struct err *e)
{
    const struct names columns = {"columns", q->column, sizeof(*q->column), QUERY_COLUMNS_MAX,
                                  parse_column};
    const struct names sort = {"sort", q->sort, sizeof(*q->sort), QUERY_SORT_MAX, parse_sort};
    const struct names group = {"group_by", q->group, sizeof(*q->group), QUERY_GROUP_MAX,
                                parse_column};
    const struct names agg = {"agg", q->agg, sizeof(*q->agg), QUERY_AGG_MAX, parse_agg};
    int rc = take_names(c, &columns, &q->ncolumns, e);
    if (rc == 0)
        rc = take_names(c, &sort, &q->nsort, e);
    if (rc == 0)
        rc = take_names(c, &group, &q->ngroup, e);
    return rc == 0 ? take_names(c, &agg, &q->nagg, e) : rc;
}

static int check(const struct query *q, struct err *e)
{
    bool groups = q->ngroup > 0 || q->nagg > 0;
    if (q->base.limit < 1 || q->base.limit > LIMIT_MAX)
        return err_set(e, WATTQ_E_LIMIT, "a table has 1 to %d rows", LIMIT_MAX);
    if (groups == (q->ncolumns > 0)) {
        err_set(e, WATTQ_E_USAGE, "a table has either columns of runs or groups with aggregates");
        return err_next(e, "give 'columns', or 'group_by' and 'agg'");
    }
    if (q->base.before_id != RUN_NONE && (groups || q->nsort > 0)) {
        err_set(e, WATTQ_E_USAGE, "'before' goes with the newest-first order only");
        return err_next(e, "leave 'sort' or 'before' out");
    }
    return 0;
}

/* ---- answer -------------------------------------------------------------------------------------- */

static void put_value(struct wire_out *o, const struct query_cell *c)
{
    switch (c->kind) {
    case QUERY_INT:
        wire_put_int(o, NULL, c->i);
        break;
    case QUERY_REAL:
        wire_put_f64(o, NULL, c->r);
        break;
    case QUERY_BOOL:
        wire_put_bool(o, NULL, c->i != 0);
        break;
    case QUERY_TEXT:
        wire_put_str(o, NULL, c->text);
        break;
    case QUERY_UNKNOWN:
        wire_put_nil(o, NULL);
        break;
    }
}

static void put_cell(struct wire_out *o, const struct query_cell *c, bool joule)
{
    if (!joule) {
        put_value(o, c);
        return;
    }
    wire_begin_array(o, NULL);
    put_value(o, c);
    wire_put_str(o, NULL, c->quality ? c->quality : "none");
    wire_put_str(o, NULL, c->kind == QUERY_UNKNOWN ? c->reason : NULL);
    wire_end(o);
}

static bool agg_is_joule(const struct query_agg *a)
{
    return a->stat != QUERY_N && column_is_joule(&a->column);
}

static int put_row(void *arg, int64_t id, const struct query_cell *cells)
{
    struct table_job *j = arg;
    const struct query *q = &j->q;
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_array(o, NULL);
    for (size_t i = 0; i < q->ncolumns; i++)
        put_cell(o, &cells[i], column_is_joule(&q->column[i]));
    for (size_t i = 0; i < q->ngroup; i++)
        put_cell(o, &cells[i], false);
    for (size_t i = 0; i < q->nagg; i++)
        put_cell(o, &cells[q->ngroup + i], agg_is_joule(&q->agg[i]));
    wire_end(o);
    bool pages = q->nsort == 0 && q->ncolumns > 0;
    bool full = ops_list_full(&j->l);
    if (++j->seen < q->base.limit && !full)
        return 0;
    j->next = pages ? id : RUN_NONE;
    j->cut = full;
    return 1;
}

static void put_head(struct wire_out *o, const char *name, enum column_type type, bool joule)
{
    wire_begin_map(o, NULL);
    wire_put_str(o, "name", name);
    wire_put_str(o, "type", column_type_name(type));
    wire_put_str(o, "unit", joule && type == COLUMN_REAL ? "J" : column_unit(type));
    wire_put_bool(o, "joule", joule);
    wire_end(o);
}

static void put_heads(struct wire_out *o, const struct query *q)
{
    char name[COLUMN_NAME_MAX + 8];
    wire_begin_array(o, "columns");
    for (size_t i = 0; i < q->ncolumns; i++)
        put_head(o, column_name(name, sizeof(name), &q->column[i]), column_type(&q->column[i]),
                 column_is_joule(&q->column[i]));
    for (size_t i = 0; i < q->ngroup; i++)
        put_head(o, column_name(name, sizeof(name), &q->group[i]), column_type(&q->group[i]),
                 false);
    for (size_t i = 0; i < q->nagg; i++) {
        const struct query_agg *a = &q->agg[i];
        enum column_type type = a->stat == QUERY_N ? COLUMN_INT : column_type(&a->column);
        put_head(o, query_agg_name(name, sizeof(name), a),
                 type == COLUMN_INT && a->stat != QUERY_N ? COLUMN_REAL : type, agg_is_joule(a));
    }
    wire_end(o);
}

static int table_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct table_job *j = container_of(job, struct table_job, job);
    int rc = query_run(s, &j->q, put_row, j, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = ops_list_end(&j->l);
    put_heads(o, &j->q);
    if (j->next == RUN_NONE)
        wire_put_nil(o, "next");
    else
        wire_put_int(o, "next", j->next);
    wire_put_bool(o, "cut", j->cut);
    return 0;
}

static void table_done(struct reader_job *job, int rc, const struct err *e)
{
    struct table_job *j = container_of(job, struct table_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    filter_free(j->where);
    free(j);
}

int op_table(struct op_call *c, struct err *e)
{
    struct table_job *j CLEANUP(base_freep) = base_alloc(sizeof(*j));
    query_init(&j->q);
    j->job = (struct reader_job){.work = table_work, .done = table_done, .slow = true};
    j->next = RUN_NONE;
    j->q.base.limit = wire_int(c->req, "limit", LIMIT_DEFAULT);
    j->q.base.before_id = wire_int(c->req, "before", RUN_NONE);
    ops_limit_query(peer_rights(c->p), &j->q);
    int rc = take_lists(c, &j->q, e);
    if (rc == 0)
        rc = check(&j->q, e);
    if (rc == 0)
        rc = ops_where(c, &j->where, e);
    if (rc < 0)
        return rc;
    j->q.where = j->where;
    ops_keep(&j->t, c);
    ops_list_begin(&j->l, c->id, "rows");
    ops_read(&j->t, &j->job);
    j = NULL; /* the reader's from here on */
    return 0;
}
