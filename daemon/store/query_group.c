/* Groups and their aggregates (query.h). The rows are read once, in any order; the arithmetic is done here:
 * SQLite has no median and no interval, and could not tell one quality of joules from another. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/stats.h"
#include "daemon/store/query_sql.h"

#define MIXED "mixes measured and estimated energy"

/* The values of one aggregate within one group. */
struct values {
    double *v;
    size_t n, cap;
    bool measured, modelled, estimated;
};

struct key {
    enum query_kind kind;
    int64_t i;
    double r;
    char *text;
};

struct group {
    uint64_t hash;
    struct key *key;         /* one per group column */
    struct values *values;   /* one per aggregate */
    struct query_cell *cell; /* the same, when all rows are read */
    int64_t runs;
};

struct groups {
    const struct query *q;
    struct group *all;
    size_t n, cap;
    size_t *slot;             /* of the hash table: index + 1; 0 = free */
    size_t slots;             /* a power of two */
    bool real[QUERY_AGG_MAX]; /* a value was not a whole number */
    struct err *e;
};

/* ---- statement ----------------------------------------------------------------------------------- */

/* Group keys, then for each aggregate its column and, of joules, their quality. */
static void put_statement(struct sql *sql, const struct query *q, const struct drive *d)
{
    SQL(sql, "SELECT ");
    for (size_t i = 0; i < q->ngroup; i++) {
        sql_column(sql, &q->group[i]);
        SQL(sql, ", ");
    }
    for (size_t i = 0; i < q->nagg; i++) {
        if (q->agg[i].all)
            SQL(sql, "1");
        else
            sql_column(sql, &q->agg[i].column);
        SQL(sql, ", ");
        if (!q->agg[i].all && column_is_joule(&q->agg[i].column))
            sql_quality(sql, &q->agg[i].column);
        else
            SQL(sql, "NULL");
        SQL(sql, ", ");
    }
    SQL(sql, "1");
    sql_from(sql, q->where || d->node != DRIVE_NONE);
    sql_where(sql, q);
    sql_drive(sql, d);
}

/* ---- keys ---------------------------------------------------------------------------------------- */

static double number_of(enum query_kind kind, int64_t i, double r)
{
    return kind == QUERY_REAL ? r : (double)i;
}

/* Of what makes two keys equal: 1 and 1.0 are the same. */
static uint64_t hash_cell(uint64_t h, const struct query_cell *c)
{
    if (c->kind == QUERY_TEXT)
        return base_hash(h, c->text, strlen(c->text) + 1);
    double d = c->kind == QUERY_UNKNOWN ? -0.5 : number_of(c->kind, c->i, c->r);
    d = d == 0 ? 0 : d; /* not -0 */
    return base_hash(h, &d, sizeof(d));
}

/* Numbers, then texts, then what is not known. */
static int rank_of(enum query_kind kind)
{
    return kind == QUERY_UNKNOWN ? 2 : kind == QUERY_TEXT;
}

static int compare_keys(const struct key *a, const struct key *b)
{
    int ranks = rank_of(a->kind) - rank_of(b->kind);
    if (ranks != 0 || a->kind == QUERY_UNKNOWN)
        return ranks;
    if (a->kind == QUERY_TEXT)
        return strcmp(a->text, b->text);
    if (a->kind != QUERY_REAL && b->kind != QUERY_REAL)
        return (a->i > b->i) - (a->i < b->i);
    double x = number_of(a->kind, a->i, a->r);
    double y = number_of(b->kind, b->i, b->r);
    return (x > y) - (x < y);
}

static struct key view_of(const struct query_cell *c)
{
    union {
        const char *in;
        char *out;
    } text = {.in = c->text}; /* only looked at */
    return (struct key){c->kind, c->i, c->r, text.out};
}

static bool same_keys(const struct group *g, const struct query_cell *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct key k = view_of(&cells[i]);
        if (compare_keys(&g->key[i], &k) != 0)
            return false;
    }
    return true;
}

/* ---- groups -------------------------------------------------------------------------------------- */

static void groups_fini(struct groups *x)
{
    for (size_t i = 0; i < x->n; i++) {
        struct group *g = &x->all[i];
        for (size_t k = 0; k < x->q->ngroup; k++)
            free(g->key[k].text);
        for (size_t k = 0; g->values && k < x->q->nagg; k++)
            free(g->values[k].v);
        free(g->key);
        free(g->values);
        free(g->cell);
    }
    free(x->all);
    free(x->slot);
}

static int add_group(struct groups *x, uint64_t hash, const struct query_cell *cells, size_t *at)
{
    if (x->n >= QUERY_GROUPS_MAX) {
        err_set(x->e, WATTQ_E_LIMIT, "that makes more than %d groups", QUERY_GROUPS_MAX);
        return err_next(x->e, "group by what has fewer values, or filter first");
    }
    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 64;
        struct group *p = realloc(x->all, x->cap * sizeof(*p));
        if (!p)
            abort();
        x->all = p;
    }
    struct group *g = &x->all[x->n];
    *g = (struct group){.hash = hash};
    g->key = base_alloc((x->q->ngroup + 1) * sizeof(*g->key));
    g->values = base_alloc((x->q->nagg + 1) * sizeof(*g->values));
    for (size_t i = 0; i < x->q->ngroup; i++) {
        g->key[i] = view_of(&cells[i]);
        g->key[i].text = cells[i].text ? base_strdup(cells[i].text) : NULL;
    }
    *at = x->n++;
    return 0;
}

static void rehash(struct groups *x)
{
    free(x->slot);
    x->slots = x->slots ? 4 * x->slots : 256;
    x->slot = base_alloc(x->slots * sizeof(*x->slot));
    for (size_t i = 0; i < x->n; i++) {
        size_t at = x->all[i].hash & (x->slots - 1);
        while (x->slot[at])
            at = (at + 1) & (x->slots - 1);
        x->slot[at] = i + 1;
    }
}

static int find_group(struct groups *x, const struct query_cell *cells, size_t *out)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < x->q->ngroup; i++)
        h = hash_cell(h, &cells[i]);
    h ^= h >> 29;
    if (2 * x->n >= x->slots)
        rehash(x);
    size_t at = h & (x->slots - 1);
    for (; x->slot[at]; at = (at + 1) & (x->slots - 1)) {
        assert(x->all); /* a slot that is taken names one of them */
        const struct group *g = &x->all[x->slot[at] - 1];
        if (g->hash == h && same_keys(g, cells, x->q->ngroup)) {
            *out = x->slot[at] - 1;
            return 0;
        }
    }
    int rc = add_group(x, h, cells, out);
    if (rc == 0)
        x->slot[at] = *out + 1;
    return rc;
}

static void add_value(struct values *v, double value)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 8;
        double *p = realloc(v->v, v->cap * sizeof(*p));
        if (!p)
            abort();
        v->v = p;
    }
    v->v[v->n++] = value;
}

/* Unknown values do not count; texts count for n only. */
static void add_cell(struct groups *x, size_t agg, struct values *v, const struct query_cell *c)
{
    if (c->kind == QUERY_UNKNOWN || (c->kind == QUERY_TEXT && x->q->agg[agg].stat != QUERY_N))
        return;
    x->real[agg] = x->real[agg] || c->kind == QUERY_REAL;
    add_value(v, c->kind == QUERY_TEXT ? 0 : number_of(c->kind, c->i, c->r));
    v->estimated = v->estimated || (c->quality && strcmp(c->quality, "estimated") == 0);
    v->modelled = v->modelled || (c->quality && strcmp(c->quality, "modelled") == 0);
    v->measured = v->measured || (c->quality && strcmp(c->quality, "measured") == 0);
}

static int read_rows(struct groups *x, sqlite3_stmt *st)
{
    const struct query *q = x->q;
    struct query_cell keys[QUERY_GROUP_MAX] = {{0}};
    int rc;
    while ((rc = stmt_step(st, x->e)) > 0) {
        int at = 0;
        size_t group = 0;
        for (size_t i = 0; i < q->ngroup; i++)
            keys[i] = sql_cell(st, at++, column_type(&q->group[i]));
        rc = find_group(x, keys, &group);
        if (rc < 0)
            return rc;
        assert(x->all);
        struct group *g = &x->all[group];
        g->runs++;
        for (size_t i = 0; i < q->nagg; i++) {
            struct query_cell c = sql_cell(st, at++, COLUMN_REAL);
            c.quality = stmt_text(st, at++);
            if (!q->agg[i].all)
                add_cell(x, i, &g->values[i], &c);
        }
    }
    return rc;
}

/* ---- figures ------------------------------------------------------------------------------------- */

static double sum_of(const double *v, size_t n)
{
    double sum = 0;
    double lost = 0; /* Kahan: a sum of 100,000 microjoule figures keeps its last digits */
    for (size_t i = 0; i < n; i++) {
        double y = v[i] - lost;
        double t = sum + y;
        lost = (t - sum) - y;
        sum = t;
    }
    return sum;
}

static double extreme(const double *v, size_t n, bool largest)
{
    double m = v[0];
    for (size_t i = 1; i < n; i++)
        m = (largest ? v[i] > m : v[i] < m) ? v[i] : m;
    return m;
}

static double half_width(const double *v, size_t n)
{
    return n < 2 ? (double)NAN
                 : stats_t_quantile(0.975, (double)(n - 1)) * stats_sd(v, n) / sqrt((double)n);
}

/* NAN where there are too few values. */
static double figure_of(enum query_stat stat, struct values *v)
{
    if (v->n == 0)
        return NAN;
    switch (stat) {
    case QUERY_MEAN:
        return sum_of(v->v, v->n) / (double)v->n;
    case QUERY_SD:
        return stats_sd(v->v, v->n);
    case QUERY_CI:
        return half_width(v->v, v->n);
    case QUERY_MEDIAN:
        return stats_median(v->v, v->n);
    case QUERY_MIN:
    case QUERY_MAX:
        return extreme(v->v, v->n, stat == QUERY_MAX);
    case QUERY_SUM:
        return sum_of(v->v, v->n);
    case QUERY_N:
    case QUERY_STATS:
        break;
    }
    return NAN;
}

static bool stays_whole(enum query_stat stat)
{
    return stat == QUERY_MIN || stat == QUERY_MAX || stat == QUERY_SUM;
}

static struct query_cell cell_of(const struct groups *x, size_t i, struct values *v, int64_t runs)
{
    const struct query_agg *a = &x->q->agg[i];
    struct query_cell c = {.kind = QUERY_INT, .i = a->all ? runs : (int64_t)v->n};
    if (a->stat == QUERY_N)
        return c;
    c = (struct query_cell){0};
    if (column_is_joule(&a->column))
        c.quality = v->estimated  ? "estimated"
                    : v->modelled ? "modelled"
                    : v->measured ? "measured"
                                  : "none";
    if (v->estimated && (v->measured || v->modelled)) {
        c.quality = "none";
        c.reason = MIXED;
        return c;
    }
    c.r = figure_of(a->stat, v);
    if (isnan(c.r)) {
        c.reason = v->n == 0 ? "no value is known" : "needs two values";
        return c;
    }
    c.kind = QUERY_REAL;
    if (!x->real[i] && stays_whole(a->stat) && fabs(c.r) < 9e15) {
        c.kind = QUERY_INT;
        c.i = (int64_t)c.r;
    }
    return c;
}

static void make_figures(struct groups *x)
{
    for (size_t i = 0; i < x->n; i++) {
        struct group *g = &x->all[i];
        g->cell = base_alloc((x->q->nagg + 1) * sizeof(*g->cell));
        for (size_t k = 0; k < x->q->nagg; k++) {
            g->cell[k] = cell_of(x, k, &g->values[k], g->runs);
            free(g->values[k].v);
            g->values[k].v = NULL;
        }
    }
}

/* ---- order --------------------------------------------------------------------------------------- */

struct order {
    int index; /* of the group columns, or of the aggregates */
    bool agg;
    bool descending;
};

static bool same_agg(const struct query_agg *a, const struct query_agg *b)
{
    return a->stat == b->stat && a->all == b->all &&
           (a->all || column_same(&a->column, &b->column));
}

/* Groups can be sorted by what the answer has. */
static int find_order(const struct query *q, const struct query_sort *s, struct order *out,
                      struct err *e)
{
    char name[COLUMN_NAME_MAX + 8];
    *out = (struct order){.index = -1, .agg = s->agg, .descending = s->descending};
    for (size_t i = 0; !s->agg && i < q->ngroup; i++)
        if (column_same(&q->group[i], &s->column))
            out->index = (int)i;
    for (size_t i = 0; s->agg && i < q->nagg; i++)
        if (same_agg(&q->agg[i], &s->by))
            out->index = (int)i;
    if (out->index >= 0)
        return 0;
    if (s->agg)
        query_agg_name(name, sizeof(name), &s->by);
    else
        column_name(name, sizeof(name), &s->column);
    err_set(e, WATTQ_E_USAGE, "groups cannot be sorted by '%s': the answer does not have it", name);
    return err_next(e, "sort by a column of --group-by or by one of --agg");
}

struct sorting {
    const struct query *q;
    struct order by[QUERY_SORT_MAX];
    size_t n;
};

/* Unknown last, whichever way round. */
static int compare_cells(const struct query_cell *a, const struct query_cell *b, bool descending)
{
    const struct key x = view_of(a);
    const struct key y = view_of(b);
    int d = compare_keys(&x, &y);
    bool unknown = a->kind == QUERY_UNKNOWN || b->kind == QUERY_UNKNOWN;
    return descending && !unknown ? -d : d;
}

static int compare_groups(const void *pa, const void *pb, void *arg)
{
    const struct group *a = pa;
    const struct group *b = pb;
    const struct sorting *s = arg;
    for (size_t i = 0; i < s->n; i++) {
        int k = s->by[i].index;
        int d = 0;
        if (s->by[i].agg)
            d = compare_cells(&a->cell[k], &b->cell[k], s->by[i].descending);
        else
            d = compare_keys(&a->key[k], &b->key[k]);
        if (d != 0 && !s->by[i].agg && s->by[i].descending)
            d = rank_of(a->key[k].kind) == 2 || rank_of(b->key[k].kind) == 2 ? d : -d;
        if (d != 0)
            return d;
    }
    for (size_t i = 0; i < s->q->ngroup; i++) {
        int d = compare_keys(&a->key[i], &b->key[i]);
        if (d != 0)
            return d;
    }
    return 0;
}

static int sort_groups(struct groups *x)
{
    struct sorting s = {.q = x->q};
    for (; s.n < x->q->nsort; s.n++) {
        int rc = find_order(x->q, &x->q->sort[s.n], &s.by[s.n], x->e);
        if (rc < 0)
            return rc;
    }
    if (x->n > 1)
        qsort_r(x->all, x->n, sizeof(*x->all), compare_groups, &s);
    return 0;
}

static int visit_groups(const struct groups *x, query_visit fn, void *arg)
{
    const struct query *q = x->q;
    struct query_cell cells[QUERY_GROUP_MAX + QUERY_AGG_MAX];
    for (size_t i = 0; i < x->n && (int64_t)i < q->base.limit; i++) {
        const struct group *g = &x->all[i];
        for (size_t k = 0; k < q->ngroup; k++)
            cells[k] = (struct query_cell){
                .kind = g->key[k].kind, .i = g->key[k].i, .r = g->key[k].r, .text = g->key[k].text};
        memcpy(cells + q->ngroup, g->cell, q->nagg * sizeof(*cells));
        int rc = fn(arg, g->runs, cells);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_groups(struct groups *x, struct store *s)
{
    struct sql sql CLEANUP(sql_fini) = {0};
    sqlite3_stmt *st CLEANUP(stmt_finalizep) = NULL;
    struct drive drive;
    int rc = sql_choose_drive(s, &drive, x->q, x->e);
    if (rc < 0)
        return rc;
    sql_init(&sql, x->q);
    put_statement(&sql, x->q, &drive);
    rc = sql_prepare(s, &sql, &st, x->e);
    return rc < 0 ? rc : read_rows(x, st);
}

int query_groups(struct store *s, const struct query *q, query_visit fn, void *arg, struct err *e)
{
    struct groups x = {.q = q, .e = e};
    int rc = read_groups(&x, s);
    if (rc >= 0) {
        make_figures(&x);
        rc = sort_groups(&x);
    }
    if (rc >= 0)
        rc = visit_groups(&x, fn, arg);
    groups_fini(&x);
    return rc;
}
