/* From columns and filters to SQL (query.h). Aliases: r run, t run_total. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store/query_sql.h"

/* ---- text and bindings --------------------------------------------------------------------------- */

void sql_init(struct sql *q, const struct query *from)
{
    *q = (struct sql){.visible_uid = from ? from->visible_uid : RUN_NONE,
                      .coarse = from && from->coarse};
    q->binds = base_alloc(SQL_BINDS_MAX * sizeof(*q->binds));
}

void sql_fini(struct sql *q)
{
    for (size_t i = 0; i < q->nbinds; i++)
        free(q->binds[i].own);
    free(q->binds);
    free(q->text);
    *q = (struct sql){0};
}

void sql_append(struct sql *q, const char *constant)
{
    size_t n = strlen(constant);
    if (q->n + n + 1 > q->cap) {
        size_t cap = 2 * (q->n + n + 1);
        char *p = realloc(q->text, cap);
        if (!p)
            abort();
        q->text = p;
        q->cap = cap;
    }
    memcpy(q->text + q->n, constant, n + 1);
    q->n += n;
}

void sql_forget(struct sql *q, size_t bytes)
{
    q->n = bytes;
    q->text[bytes] = '\0';
}

static void bind(struct sql *q, const struct sql_bind *b)
{
    char place[16];
    if (q->nbinds >= SQL_BINDS_MAX)
        abort(); /* the limits of filters and columns keep far below it */
    q->binds[q->nbinds++] = *b;
    (void)snprintf(place, sizeof(place), "?%zu", q->nbinds);
    sql_append(q, place);
}

void sql_int(struct sql *q, int64_t v)
{
    bind(q, &(struct sql_bind){.kind = QUERY_INT, .i = v});
}

void sql_text(struct sql *q, const char *v)
{
    bind(q, &(struct sql_bind){.kind = QUERY_TEXT, .text = v});
}

void sql_own(struct sql *q, char *v)
{
    bind(q, &(struct sql_bind){.kind = QUERY_TEXT, .text = v, .own = v});
}

static void bind_value(struct sql *q, const struct filter_value *v)
{
    if (v->kind == FILTER_TEXT)
        sql_text(q, v->text);
    else if (v->kind == FILTER_REAL)
        bind(q, &(struct sql_bind){.kind = QUERY_REAL, .r = v->r});
    else
        sql_int(q, v->i);
}

/* ---- columns ------------------------------------------------------------------------------------- */

/* An expression is before + value + after: a test of a parameter must stand inside the subquery that finds
 * it, because a comparison may look at the value twice. "@" is the user's word, bound. */
struct source {
    const char *before, *value, *after;
    bool private; /* of the run's owner */
};

#define PLAIN(x)                                                                                   \
    {                                                                                              \
        "", x, "", false                                                                           \
    }
#define PRIVATE(x)                                                                                 \
    {                                                                                              \
        "", x, "", true                                                                            \
    }
#define PARAM_(what)  "(SELECT p.value FROM run_param p WHERE p.run = r.id AND p.key = '" what "')"
#define PARAM_TEXT(k) "CAST(coalesce(" PARAM_("info." k) ", " PARAM_(k) ") AS TEXT)"
#define PARAM_INT(k)                                                                               \
    "(SELECT p.value FROM run_param p WHERE p.run = r.id AND p.key IN ('info." k "', '" k "')"     \
    " AND typeof(p.value) = 'integer' ORDER BY p.key LIMIT 1)"
#define PARAM_NUM(k)                                                                               \
    "(SELECT p.value FROM run_param p WHERE p.run = r.id AND p.key = '" k "'"                      \
    " AND typeof(p.value) IN ('integer', 'real'))"
#define METRIC_(part, k)                                                                           \
    "(SELECT m." part " FROM metric_head m WHERE m.run = r.id AND m.key = '" k "')"
#define ELAPSED "(r.t1_ns - r.t0_ns)"
/* Of the newest total over a run's window. */
#define TOTAL_OF(what, figure)                                                                     \
    "(SELECT e." what                                                                              \
    " FROM energy e WHERE e.run = r.id AND e.channel IS NULL AND e.figure = '" figure              \
    "' AND e.part = 'window' ORDER BY e.id DESC LIMIT 1)"

static const struct source sources[COLUMN_ALL] = {
    [COLUMN_ID_ID] = PLAIN("r.id"),
    [COLUMN_ID_UUID] = PLAIN("r.uuid"),
    [COLUMN_ID_STATE] = PLAIN("r.state"),
    [COLUMN_ID_KIND] = PLAIN("r.kind"),
    [COLUMN_ID_LABEL] = PLAIN("r.label"),
    [COLUMN_ID_PROJECT] = PLAIN("r.project"),
    [COLUMN_ID_USER] = PLAIN("user_name(r.uid)"),
    [COLUMN_ID_UID] = PLAIN("r.uid"),
    [COLUMN_ID_SWEEP] = PLAIN("r.sweep"),
    [COLUMN_ID_INDEX] = PLAIN("r.sweep_index"),
    [COLUMN_ID_PRIORITY] = PLAIN("r.priority"),
    [COLUMN_ID_RETRY_OF] = PLAIN("r.retry_of"),
    [COLUMN_ID_SUBMIT] = PLAIN("r.submitted_utc_ns"),
    [COLUMN_ID_START] = PLAIN("r.started_utc_ns"),
    [COLUMN_ID_END] = PLAIN("r.ended_utc_ns"),
    [COLUMN_ID_TIME] = PLAIN(ELAPSED),
    [COLUMN_ID_ENERGY] = PLAIN("t.energy_uj"),
    [COLUMN_ID_LO] = PLAIN("t.lo_uj"),
    [COLUMN_ID_HI] = PLAIN("t.hi_uj"),
    [COLUMN_ID_ATTRIBUTED] = PLAIN(TOTAL_OF("energy_uj", "attributed")),
    [COLUMN_ID_MARGINAL] = PLAIN(TOTAL_OF("energy_uj", "marginal")),
    [COLUMN_ID_QUALITY] = PLAIN("t.quality"),
    [COLUMN_ID_FLAGS] = PLAIN("t.flags"),
    [COLUMN_ID_POWER] = PLAIN("(t.energy_uj * 1e9 / nullif(" ELAPSED ", 0))"),
    [COLUMN_ID_CPU] = PLAIN("(r.cpu_us * 1000)"),
    [COLUMN_ID_GPU] = PLAIN(
        "(SELECT sum(max(0, min(coalesce(d.t1_ns, r.t1_ns), r.t1_ns) - max(d.t0_ns, r.t0_ns)))"
        " FROM device_owner d WHERE d.run = r.id)"),
    [COLUMN_ID_CPU_SHARE] = PLAIN("(r.cpu_us * 1e3 / nullif(" ELAPSED ", 0))"),
    [COLUMN_ID_MEM] = PLAIN("r.maxrss_bytes"),
    [COLUMN_ID_EXIT] = PLAIN("r.exit_code"),
    [COLUMN_ID_SIGNAL] = PLAIN("r.term_signal"),
    [COLUMN_ID_REASON] = PRIVATE("r.reason"),
    [COLUMN_ID_COMMAND] =
        PRIVATE("(SELECT CASE r.kind WHEN 'train' THEN 'wattq-train ' ELSE '' END ||"
                " group_concat(j.value, ' ') FROM json_each(r.spec, '$.argv') j)"),
    [COLUMN_ID_MODE] = PLAIN("r.mode"),
    [COLUMN_ID_LEFTOVERS] = PLAIN("r.leftovers"),
    [COLUMN_ID_TAG] = PRIVATE("(SELECT group_concat(g.tag, ' ') FROM"
                              " (SELECT tag FROM tag WHERE run = r.id ORDER BY tag) g)"),
    [COLUMN_ID_NOTE] = PRIVATE("(SELECT group_concat(n.text, ' | ') FROM"
                               " (SELECT text FROM note WHERE run = r.id ORDER BY id) n)"),
    [COLUMN_ID_ORIGIN] = PLAIN("(SELECT o.machine FROM origin o WHERE o.id = r.origin)"),
    [COLUMN_ID_DATASET] = PRIVATE(PARAM_TEXT("dataset")),
    [COLUMN_ID_SHAPE] = PRIVATE(PARAM_TEXT("shape")),
    [COLUMN_ID_DEPTH] = PRIVATE(PARAM_INT("depth")),
    [COLUMN_ID_SIZE] = PRIVATE(PARAM_INT("size")),
    [COLUMN_ID_PARAMS] = PRIVATE(PARAM_INT("params")),
    [COLUMN_ID_EPOCHS] =
        PRIVATE("coalesce(" PARAM_NUM("summary.epochs") ", " PARAM_INT("epochs") ")"),
    [COLUMN_ID_BACKEND] = PRIVATE(PARAM_TEXT("backend")),
    [COLUMN_ID_J_PER_DATUM] = PRIVATE(PARAM_NUM("j_per_datum.exact")),
    [COLUMN_ID_TEST_LOSS] = PRIVATE(METRIC_("last", "test_loss")),
    [COLUMN_ID_BEST_LOSS] = PRIVATE(
        "coalesce(" PARAM_NUM("summary.best_test_loss") ", " METRIC_("min", "test_loss") ")"),
    [COLUMN_ID_ACCURACY] = PRIVATE(METRIC_("last", "test_accuracy")),
#define OF_PARAM                                                                                   \
    {                                                                                              \
        "(SELECT ", "p.value", " FROM run_param p WHERE p.run = r.id AND p.key = @)", true         \
    }
    [COLUMN_ID_PARAM] = OF_PARAM,
    [COLUMN_ID_INFO] = OF_PARAM,
    [COLUMN_ID_SUMMARY] = OF_PARAM,
    [COLUMN_ID_METRIC] = {"", NULL, "", true}, /* metric_parts */
    [COLUMN_ID_TAG_OF] = {"", "EXISTS(SELECT 1 FROM tag g WHERE g.run = r.id AND g.tag = @)", "",
                          true},
    [COLUMN_ID_CHANNEL] =
        {"",
         "(SELECT e.energy_uj FROM energy e JOIN channel c ON c.id = e.channel WHERE e.run = r.id"
         " AND e.figure = 'machine' AND e.part = 'window' AND @ IN (c.label, c.uid)"
         " ORDER BY e.id DESC LIMIT 1)",
         "", false},
};

#define METRIC_OF(part) "(SELECT m." part " FROM metric_head m WHERE m.run = r.id AND m.key = @)"
static const char *const metric_parts[] = {
    [COLUMN_LAST] = METRIC_OF("last"), [COLUMN_MIN] = METRIC_OF("min"),
    [COLUMN_MAX] = METRIC_OF("max"),   [COLUMN_FIRST] = METRIC_OF("first"),
    [COLUMN_N] = METRIC_OF("n"),
};

/* A fragment with the user's word bound where "@" stands. */
static void put_keyed(struct sql *q, const char *fragment, const struct column *c)
{
    const char *at = strchr(fragment, '@');
    if (!at) {
        sql_append(q, fragment);
        return;
    }
    char *before CLEANUP(base_freep) = base_strdup_n(fragment, (size_t)(at - fragment));
    sql_append(q, before);
    if (c->id == COLUMN_ID_INFO || c->id == COLUMN_ID_SUMMARY)
        sql_own(q, base_printf("%s.%s", c->id == COLUMN_ID_INFO ? "info" : "summary", c->key));
    else
        sql_text(q, c->key);
    sql_append(q, at + 1);
}

static const char *value_of(const struct column *c)
{
    return c->id == COLUMN_ID_METRIC ? metric_parts[c->part] : sources[c->id].value;
}

#define LONG_ENOUGH ELAPSED " >= 1000000000"
_Static_assert(QUERY_BRIEF_NS == 1000000000, "as LONG_ENOUGH has it");

/* Joules that one run's own time is all there is to know of: also those kept as parameters. */
static bool is_brief(const struct sql *q, const struct column *c)
{
    return q->coarse && (column_is_joule(c) ||
                         (c->id == COLUMN_ID_PARAM && strncmp(c->key, "j_per_datum", 11) == 0));
}

/* Somebody else's, or too fine: unknown. Brackets whatever stands between open and close. */
static bool hidden_begin(struct sql *q, const struct column *c)
{
    bool others = q->visible_uid != RUN_NONE && sources[c->id].private;
    bool bound = q->coarse && (c->id == COLUMN_ID_LO || c->id == COLUMN_ID_HI);
    bool brief = is_brief(q, c);
    if (!others && !bound && !brief)
        return false;
    SQL(q, "CASE WHEN ");
    if (others) {
        SQL(q, "r.uid = ");
        sql_int(q, q->visible_uid);
    }
    if (brief)
        sql_append(q, others ? " AND " LONG_ENOUGH : LONG_ENOUGH);
    if (bound)
        SQL(q, " AND 0");
    SQL(q, " THEN ");
    return true;
}

static void hidden_end(struct sql *q, bool hide)
{
    if (hide)
        SQL(q, " END");
}

static void put_expression(struct sql *q, const struct column *c)
{
    put_keyed(q, sources[c->id].before, c);
    put_keyed(q, value_of(c), c);
    put_keyed(q, sources[c->id].after, c);
}

void sql_column(struct sql *q, const struct column *c)
{
    bool hide = hidden_begin(q, c);
    put_expression(q, c);
    hidden_end(q, hide);
}

void sql_quality(struct sql *q, const struct column *c)
{
    if (c->id != COLUMN_ID_CHANNEL) {
        SQL(q, "t.quality");
        return;
    }
    SQL(q, "(SELECT c.quality FROM energy e JOIN channel c ON c.id = e.channel WHERE e.run = r.id"
           " AND e.figure = 'machine' AND e.part = 'window' AND ");
    sql_text(q, c->key);
    SQL(q, " IN (c.label, c.uid) ORDER BY e.id DESC LIMIT 1)");
}

static void put_reason(struct sql *q, const struct column *c)
{
    if (c->id == COLUMN_ID_ATTRIBUTED || c->id == COLUMN_ID_MARGINAL) {
        sql_append(q, c->id == COLUMN_ID_MARGINAL ? TOTAL_OF("reason", "marginal")
                                                  : TOTAL_OF("reason", "attributed"));
        return;
    }
    if (c->id != COLUMN_ID_CHANNEL) {
        SQL(q, "(SELECT e.reason FROM energy e WHERE e.id = t.energy)");
        return;
    }
    SQL(q, "(SELECT e.reason FROM energy e JOIN channel c ON c.id = e.channel WHERE e.run = r.id"
           " AND e.figure = 'machine' AND e.part = 'window' AND ");
    sql_text(q, c->key);
    SQL(q, " IN (c.label, c.uid) ORDER BY e.id DESC LIMIT 1)");
}

void sql_reason(struct sql *q, const struct column *c)
{
    if (!q->coarse) {
        put_reason(q, c);
        return;
    }
    if (c->id == COLUMN_ID_LO || c->id == COLUMN_ID_HI) {
        SQL(q, "'to you bounds are given with the figure only: wattq show'");
        return;
    }
    SQL(q, "CASE WHEN " ELAPSED " < 1000000000 THEN"
           " 'shorter than a second: to you readings are given by whole seconds' ELSE ");
    put_reason(q, c);
    SQL(q, " END");
}

/* ---- tests --------------------------------------------------------------------------------------- */

static const char *cmp_sign(enum filter_cmp cmp)
{
    static const char *const signs[] = {" = ", " <> ", " < ", " <= ", " > ", " >= ", "", ""};
    return signs[cmp];
}

/* For GLOB only * and ? are special in this language, so its [ is made one of itself. */
static char *glob_of(const char *text)
{
    char *out = base_alloc(3 * strlen(text) + 1);
    char *at = out;
    for (const char *p = text; *p; p++) {
        *at++ = *p;
        if (*p == '[') {
            at[-1] = '[';
            *at++ = '[';
            *at++ = ']';
        }
    }
    *at = '\0';
    return out;
}

/* What is tested: written once or more by `put`. */
struct subject {
    const struct column *column;
    void (*put)(struct sql *q, const struct column *c);
    const char *constant; /* in place of both: a column of a table */
    bool any;             /* a parameter: number or text, each compared with its like only */
};

static void put_subject(struct sql *q, const struct subject *x)
{
    assert(x->constant || x->put);
    if (x->constant)
        sql_append(q, x->constant);
    else
        x->put(q, x->column);
}

static void put_like(struct sql *q, const struct subject *x, const struct filter_value *v,
                     bool not )
{
    sql_append(q, not ? "NOT (" : "(");
    if (filter_is_pattern(v->text)) {
        SQL(q, "lower(CAST(");
        put_subject(q, x);
        SQL(q, " AS TEXT)) GLOB lower(");
        sql_own(q, glob_of(v->text));
        SQL(q, "))");
    } else {
        SQL(q, "instr(lower(CAST(");
        put_subject(q, x);
        SQL(q, " AS TEXT)), lower(");
        sql_text(q, v->text);
        SQL(q, ")) > 0)");
    }
}

/* In SQLite every number is less than every text: the other kind is kept out. */
static void put_same_kind(struct sql *q, const struct subject *x, enum filter_cmp cmp,
                          const struct filter_value *v)
{
    bool number = v->kind != FILTER_TEXT;
    bool up = cmp == FILTER_GT || cmp == FILTER_GE;
    bool down = cmp == FILTER_LT || cmp == FILTER_LE;
    if (!x->any || !(number ? up : down))
        return;
    SQL(q, " AND ");
    put_subject(q, x);
    sql_append(q, number ? " < ''" : " >= ''");
}

static void put_cmp(struct sql *q, const struct subject *x, enum filter_cmp cmp,
                    const struct filter_value *v)
{
    if (cmp == FILTER_LIKE || cmp == FILTER_UNLIKE) {
        put_like(q, x, v, cmp == FILTER_UNLIKE);
        return;
    }
    SQL(q, "(");
    put_subject(q, x);
    sql_append(q, cmp_sign(cmp));
    bind_value(q, v);
    put_same_kind(q, x, cmp, v);
    SQL(q, ")");
}

static void put_in(struct sql *q, const struct subject *x, const struct filter *f,
                   const struct filter_node *n)
{
    SQL(q, "(");
    put_subject(q, x);
    sql_append(q, n->negated ? " NOT IN (" : " IN (");
    for (size_t i = 0; i < n->n; i++) {
        sql_append(q, i ? ", " : "");
        bind_value(q, &f->values[n->first + i]);
    }
    SQL(q, "))");
}

static void put_range(struct sql *q, const struct subject *x, const struct filter *f,
                      const struct filter_node *n)
{
    const struct filter_value *lo = &f->values[n->first];
    const struct filter_value *hi = lo + 1;
    sql_append(q, n->negated ? "NOT (" : "(");
    if (lo->kind != FILTER_OPEN && hi->kind != FILTER_OPEN) {
        put_subject(q, x);
        SQL(q, " BETWEEN ");
        bind_value(q, lo);
        SQL(q, " AND ");
        bind_value(q, hi);
    } else {
        bool up = lo->kind != FILTER_OPEN;
        put_cmp(q, x, up ? FILTER_GE : FILTER_LE, up ? lo : hi);
    }
    SQL(q, ")");
}

static void put_test(struct sql *q, const struct subject *x, const struct filter *f,
                     const struct filter_node *n)
{
    if (n->op == FILTER_IN)
        put_in(q, x, f, n);
    else if (n->op == FILTER_RANGE)
        put_range(q, x, f, n);
    else
        put_cmp(q, x, n->cmp, &f->values[n->first]);
}

static void put_value(struct sql *q, const struct column *c)
{
    put_keyed(q, value_of(c), c);
}

static void put_text(struct sql *q, const struct column *c)
{
    SQL(q, "coalesce(");
    put_expression(q, c);
    SQL(q, ", '')");
}

/* A run's tags are many: a test holds if one of them passes it, its denial if none does. */
static void put_tag_test(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    const struct subject x = {.constant = "g.tag"};
    struct filter_node plain = *n;
    bool not = n->op == FILTER_NULL ? !n->negated : n->negated;
    if (n->op == FILTER_CMP && (n->cmp == FILTER_NE || n->cmp == FILTER_UNLIKE)) {
        not = true;
        plain.cmp = n->cmp == FILTER_NE ? FILTER_EQ : FILTER_LIKE;
    }
    plain.negated = false;
    sql_append(q, not ? "NOT EXISTS(" : "EXISTS(");
    SQL(q, "SELECT 1 FROM tag g WHERE g.run = r.id");
    if (n->op != FILTER_NULL) {
        SQL(q, " AND ");
        put_test(q, &x, f, &plain);
    }
    SQL(q, ")");
}

static void put_null_test(struct sql *q, const struct filter_node *n)
{
    bool text = column_type(&n->column) == COLUMN_TEXT;
    SQL(q, "(");
    if (text)
        put_text(q, &n->column);
    else
        put_expression(q, &n->column);
    if (text)
        sql_append(q, n->negated ? " <> '')" : " = '')");
    else
        sql_append(q, n->negated ? " IS NOT NULL)" : " IS NULL)");
}

static void put_leaf(struct sql *q, const struct filter *f, const struct filter_node *n)
{
    const struct column *c = &n->column;
    bool hide = hidden_begin(q, c);
    if (c->id == COLUMN_ID_TAG) {
        put_tag_test(q, f, n);
    } else if (n->op == FILTER_NULL) {
        put_null_test(q, n);
    } else if (column_type(c) == COLUMN_TEXT) {
        put_test(q, &(struct subject){.column = c, .put = put_text}, f, n);
    } else {
        const struct subject x = {
            .column = c, .put = put_value, .any = column_type(c) == COLUMN_ANY};
        put_keyed(q, sources[c->id].before, c);
        put_test(q, &x, f, n);
        put_keyed(q, sources[c->id].after, c);
    }
    hidden_end(q, hide);
}

static void put_node(struct sql *q, const struct filter *f, int at)
{
    const struct filter_node *n = &f->nodes[at];
    switch (n->op) {
    case FILTER_AND:
    case FILTER_OR:
        SQL(q, "(");
        put_node(q, f, n->left);
        sql_append(q, n->op == FILTER_AND ? " AND " : " OR ");
        put_node(q, f, n->right);
        SQL(q, ")");
        break;
    case FILTER_NOT:
        SQL(q, "NOT (");
        put_node(q, f, n->left);
        SQL(q, ")");
        break;
    case FILTER_CMP:
    case FILTER_IN:
    case FILTER_RANGE:
    case FILTER_NULL:
        put_leaf(q, f, n);
        break;
    }
}

/* ---- the rest of a statement --------------------------------------------------------------------- */

void sql_from(struct sql *q, bool by_id)
{
    SQL(q, " FROM run r");
    if (by_id) /* from the newest on, or by the ids of a driver: no other index is better */
        SQL(q, " NOT INDEXED");
    /* NOT INDEXED: or a bound on the energy would turn the join round, and read every run in a random order. */
    SQL(q, " LEFT JOIN run_total t NOT INDEXED ON t.run = r.id");
}

void sql_test(struct sql *q, const char *value, const struct filter *f, const struct filter_node *n)
{
    const struct subject x = {.constant = value, .any = column_type(&n->column) == COLUMN_ANY};
    put_test(q, &x, f, n);
}

static void also_int(struct sql *q, const char *constant, int64_t v)
{
    if (v == RUN_NONE)
        return;
    sql_append(q, constant);
    sql_int(q, v);
}

void sql_where(struct sql *q, const struct query *from)
{
    const struct run_query *b = &from->base;
    SQL(q, " WHERE 1");
    also_int(q, " AND r.id < ", b->before_id);
    also_int(q, " AND r.uid = ", b->uid);
    also_int(q, " AND r.sweep = ", b->sweep);
    also_int(q, " AND r.submitted_utc_ns >= ", b->since_utc_ns);
    also_int(q, " AND r.submitted_utc_ns <= ", b->until_utc_ns);
    if (b->state >= 0) {
        SQL(q, " AND r.state = ");
        sql_text(q, run_state_name((enum run_state)b->state));
    }
    if (b->label) {
        SQL(q, " AND r.label = ");
        sql_text(q, b->label);
    }
    if (from->where) {
        SQL(q, " AND ");
        put_node(q, from->where, (int)from->where->n - 1);
    }
}

int sql_prepare(struct store *s, const struct sql *q, sqlite3_stmt **out, struct err *e)
{
    int rc = stmt_prepare(s, q->text, out, e);
    for (size_t i = 0; rc == 0 && i < q->nbinds; i++) {
        const struct sql_bind *b = &q->binds[i];
        if (b->kind == QUERY_INT)
            stmt_bind_int(*out, (int)i + 1, b->i);
        else if (b->kind == QUERY_REAL)
            stmt_bind_real(*out, (int)i + 1, b->r);
        else
            stmt_bind_text(*out, (int)i + 1, b->text);
    }
    return rc;
}

struct query_cell sql_cell(sqlite3_stmt *st, int col, enum column_type type)
{
    struct query_cell c = {0};
    switch (sqlite3_column_type(st, col)) {
    case SQLITE_INTEGER:
        c.kind = type == COLUMN_BOOL ? QUERY_BOOL : QUERY_INT;
        c.i = stmt_int(st, col);
        break;
    case SQLITE_FLOAT:
        c.kind = QUERY_REAL;
        c.r = stmt_real(st, col);
        break;
    case SQLITE_TEXT:
        c.kind = QUERY_TEXT;
        c.text = stmt_text(st, col);
        break;
    default:
        break;
    }
    return c;
}
