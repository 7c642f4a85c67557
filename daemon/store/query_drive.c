/* Which index to begin with. SQLite would have to guess how many runs a condition leaves; here the few that
 * can be counted are counted, which costs a fraction of a millisecond each, and everything else is checked
 * on the runs that are left. Without a narrow condition runs are read from the newest on until the page is
 * full. */
#include <string.h>

#include "common/spec.h"
#include "daemon/store/query_sql.h"

#define TRIES 16 /* conditions counted at most */

/* ---- a condition as ids -------------------------------------------------------------------------- */

/* Tables whose index on (value) or (key, value) has the run's id in it. */
static const char *const run_columns[COLUMN_ALL] = {
    [COLUMN_ID_SWEEP] = "sweep",
    [COLUMN_ID_LABEL] = "label",
    [COLUMN_ID_STATE] = "state",
    [COLUMN_ID_PROJECT] = "project",
    [COLUMN_ID_UID] = "uid",
    [COLUMN_ID_SUBMIT] = "submitted_utc_ns",
    [COLUMN_ID_START] = "started_utc_ns",
    [COLUMN_ID_END] = "ended_utc_ns",
};
/* Said by the program, or asked for when it was queued. */
static const char *const told_keys[COLUMN_ALL][2] = {
    [COLUMN_ID_DATASET] = {"info.dataset", "dataset"},
    [COLUMN_ID_SHAPE] = {"info.shape", "shape"},
    [COLUMN_ID_DEPTH] = {"info.depth", "depth"},
    [COLUMN_ID_SIZE] = {"info.size", "size"},
    [COLUMN_ID_PARAMS] = {"info.params", "params"},
    [COLUMN_ID_BACKEND] = {"info.backend", "backend"},
};

/* Does it leave only values that are there, and compare them as they are? */
static bool is_narrow(const struct filter *f, const struct filter_node *n)
{
    enum column_type t = column_type(&n->column);
    const struct filter_value *v = &f->values[n->first];
    bool equal = n->op == FILTER_IN || (n->op == FILTER_CMP && n->cmp == FILTER_EQ);
    if (n->negated || n->op == FILTER_NULL)
        return false;
    if (n->op == FILTER_CMP && (n->cmp == FILTER_NE || n->cmp >= FILTER_LIKE))
        return false;
    for (size_t i = 0; t == COLUMN_TEXT && i < n->n; i++)
        if (!equal || !v[i].text[0])
            return false; /* an empty text may be one that is not there */
    return true;
}

static void put_key(struct sql *q, const struct column *c)
{
    if (c->id == COLUMN_ID_INFO || c->id == COLUMN_ID_SUMMARY)
        sql_own(q, base_printf("%s.%s", c->id == COLUMN_ID_INFO ? "info" : "summary", c->key));
    else
        sql_text(q, c->key);
}

static bool put_param(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    SQL(q, "SELECT p.run FROM run_param p WHERE p.key = ");
    put_key(q, &n->column);
    SQL(q, " AND ");
    sql_test(q, "p.value", f, n);
    return true;
}

/* A text that would be kept as a number is compared as text, which the index cannot. */
static bool put_told(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    const char *const *keys = told_keys[n->column.id];
    for (size_t i = 0; column_type(&n->column) == COLUMN_TEXT && i < n->n; i++)
        if (spec_param_type(f->values[n->first + i].text) != SPEC_TEXT)
            return false;
    SQL(q, "SELECT p.run FROM run_param p WHERE p.key IN (");
    sql_text(q, keys[0]);
    SQL(q, ", ");
    sql_text(q, keys[1]);
    SQL(q, ") AND ");
    sql_test(q, "p.value", f, n);
    return true;
}

static bool put_metric(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    const struct column *c = &n->column;
    if (c->id == COLUMN_ID_METRIC && c->part != COLUMN_LAST)
        return false;
    SQL(q, "SELECT m.run FROM metric_head m WHERE m.key = ");
    sql_text(q, c->id == COLUMN_ID_METRIC      ? c->key
                : c->id == COLUMN_ID_TEST_LOSS ? "test_loss"
                                               : "test_accuracy");
    SQL(q, " AND ");
    sql_test(q, "m.last", f, n);
    return true;
}

static bool put_tag(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    SQL(q, "SELECT g.run FROM tag g WHERE ");
    if (n->column.id == COLUMN_ID_TAG) {
        sql_test(q, "g.tag", f, n);
        return true;
    }
    SQL(q, "g.tag = ");
    sql_text(q, n->column.key);
    return f->values[n->first].i == 1;
}

static bool put_run_column(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    const char *name = run_columns[n->column.id];
    if (!name)
        return false;
    SQL(q, "SELECT id FROM run WHERE ");
    if (n->column.id == COLUMN_ID_PROJECT)
        SQL(q, "project <> '' AND "); /* what its index holds */
    sql_test(q, name, f, n);
    return true;
}

static bool put_test_ids(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    if (!is_narrow(f, n))
        return false;
    switch ((int)n->column.id) {
    case COLUMN_ID_ENERGY:
        SQL(q, "SELECT e.run FROM run_total e WHERE ");
        sql_test(q, "e.energy_uj", f, n);
        return true;
    case COLUMN_ID_PARAM:
    case COLUMN_ID_INFO:
    case COLUMN_ID_SUMMARY:
        return put_param(q, f, n);
    case COLUMN_ID_METRIC:
    case COLUMN_ID_TEST_LOSS:
    case COLUMN_ID_ACCURACY:
        return put_metric(q, f, n);
    case COLUMN_ID_TAG:
    case COLUMN_ID_TAG_OF:
        return put_tag(q, f, n);
    default:
        break;
    }
    if (told_keys[n->column.id][0])
        return put_told(q, f, n);
    return put_run_column(q, f, n);
}

/* The ids of runs that pass, and perhaps of some more; twice where two tests name them. False: there is no
 * index for it, and nothing was written. */
static bool put_ids(struct sql *q, const struct filter *f, int at)
{
    const struct filter_node *n = &f->nodes[at];
    size_t bytes = q->n;
    bool good = false;
    if (n->op == FILTER_AND)
        return put_ids(q, f, n->left) || put_ids(q, f, n->right);
    if (n->op == FILTER_OR) {
        good = put_ids(q, f, n->left);
        if (good)
            SQL(q, " UNION ALL ");
        good = good && put_ids(q, f, n->right);
    } else if (n->op != FILTER_NOT) {
        good = put_test_ids(q, f, n);
    }
    if (!good)
        sql_forget(q, bytes);
    return good;
}

static bool put_base(struct sql *q, const struct query *from, int which)
{
    const struct run_query *b = &from->base;
    if (which == DRIVE_SWEEP && b->sweep != RUN_NONE) {
        SQL(q, "SELECT id FROM run WHERE sweep = ");
        sql_int(q, b->sweep);
        return true;
    }
    if (which == DRIVE_LABEL && b->label) {
        SQL(q, "SELECT id FROM run WHERE label = ");
        sql_text(q, b->label);
        return true;
    }
    if (which == DRIVE_STATE && b->state >= 0) {
        SQL(q, "SELECT id FROM run WHERE state = ");
        sql_text(q, run_state_name((enum run_state)b->state));
        return true;
    }
    return false;
}

static bool put_drive(struct sql *q, const struct query *from, int which)
{
    return which >= 0 ? put_ids(q, from->where, which) : put_base(q, from, which);
}

/* ---- choice -------------------------------------------------------------------------------------- */

/* How many ids, DRIVE_MAX + 1 at most; -1 = no index. */
static int count_ids(struct store *s, const struct query *q, int which, int64_t *out, struct err *e)
{
    struct sql sql CLEANUP(sql_fini) = {0};
    sqlite3_stmt *st CLEANUP(stmt_finalizep) = NULL;
    sql_init(&sql, NULL);
    SQL(&sql, "SELECT count(*) FROM (");
    *out = -1;
    if (!put_drive(&sql, q, which))
        return 0;
    SQL(&sql, " LIMIT ");
    sql_int(&sql, DRIVE_MAX + 1);
    SQL(&sql, ")");
    int rc = sql_prepare(s, &sql, &st, e);
    if (rc == 0)
        rc = stmt_step(st, e);
    if (rc > 0)
        *out = stmt_int(st, 0);
    return rc < 0 ? rc : 0;
}

struct choice {
    struct store *s;
    struct drive *best;
    int64_t fewest;
    int tries;
    struct err *e;
};

static int try_one(struct choice *x, int which)
{
    int64_t n = 0;
    if (x->tries++ >= TRIES)
        return 0;
    int rc = count_ids(x->s, x->best->q, which, &n, x->e);
    if (rc == 0 && n >= 0 && n < x->fewest) {
        x->fewest = n;
        x->best->node = which;
    }
    return rc;
}

/* Tests that must hold: the root, and both sides of every "and" below it. */
static int try_tests(struct choice *x, int at)
{
    const struct filter_node *n = &x->best->q->where->nodes[at];
    if (n->op == FILTER_AND) {
        int rc = try_tests(x, n->left);
        return rc < 0 ? rc : try_tests(x, n->right);
    }
    return try_one(x, at);
}

int sql_choose_drive(struct store *s, struct drive *out, const struct query *q, struct err *e)
{
    struct choice x = {.s = s, .best = out, .fewest = DRIVE_MAX + 1, .e = e};
    *out = (struct drive){.q = q, .node = DRIVE_NONE};
    int rc = 0;
    for (int base = DRIVE_SWEEP; rc == 0 && base >= DRIVE_STATE; base--)
        rc = try_one(&x, base);
    if (rc == 0 && q->where)
        rc = try_tests(&x, (int)q->where->n - 1);
    return rc;
}

void sql_drive(struct sql *q, const struct drive *d)
{
    if (d->node == DRIVE_NONE)
        return;
    SQL(q, " AND r.id IN (");
    (void)put_drive(q, d->q, d->node);
    SQL(q, ")");
}
