/* Inside query*.c only: a statement under construction. Text comes from string literals (SQL) and from the
 * constant table of columns; everything else is bound. */
#ifndef DAEMON_STORE_QUERY_SQL_H
#define DAEMON_STORE_QUERY_SQL_H

#include "daemon/store/query.h"
#include "daemon/store/stmt.h"

#define SQL_BINDS_MAX 1500

struct sql_bind {
    enum query_kind kind;
    int64_t i;
    double r;
    const char *text; /* borrowed, or in `own` */
    char *own;
};

struct sql {
    char *text;
    size_t n, cap;
    struct sql_bind *binds;
    size_t nbinds;
    int64_t visible_uid;
    bool coarse;
};
void sql_init(struct sql *q, const struct query *from); /* NULL: whoever asks may see everything */
void sql_fini(struct sql *q);

void sql_append(struct sql *q, const char *constant);
#define SQL(q, literal) sql_append((q), "" literal "") /* takes nothing but a literal */
void sql_forget(struct sql *q, size_t bytes); /* all text behind them; its bindings stay, unused */
/* "?12", and what will stand there. */
void sql_int(struct sql *q, int64_t v);
void sql_text(struct sql *q, const char *v); /* borrowed */
void sql_own(struct sql *q, char *v);        /* takes it */

/* What a column is, as an expression; NULL = not known. */
void sql_column(struct sql *q, const struct column *c);
void sql_quality(struct sql *q, const struct column *c); /* of a joule column */
void sql_reason(struct sql *q, const struct column *c);  /* why a joule column is not known */
/* " FROM run r ...": by_id keeps SQLite from taking an index whose selectivity it can only guess. */
void sql_from(struct sql *q, bool by_id);
/* The tree as a condition; and everything else that a query demands, with " WHERE ". */
void sql_where(struct sql *q, const struct query *from);
/* One test of the tree, of a table's column instead of a run's. */
void sql_test(struct sql *q, const char *value, const struct filter *f,
              const struct filter_node *n);

/* query_drive.c: which condition narrows most? Those that must hold and have an index are counted, up to
 * DRIVE_MAX rows each; the smallest that stays below drives the query. */
#define DRIVE_MAX 4000
struct drive {
    const struct query *q;
    int node; /* of the filter; DRIVE_NONE; or one of the conditions of q->base */
};
enum { DRIVE_NONE = -1, DRIVE_SWEEP = -2, DRIVE_LABEL = -3, DRIVE_STATE = -4 };
int sql_choose_drive(struct store *s, struct drive *out, const struct query *q,
                     struct err *e) MUST_USE;
/* " AND r.id IN (...)"; nothing for DRIVE_NONE. */
void sql_drive(struct sql *q, const struct drive *d);

int sql_prepare(struct store *s, const struct sql *q, sqlite3_stmt **out, struct err *e) MUST_USE;

/* query_group.c */
int query_groups(struct store *s, const struct query *q, query_visit fn, void *arg,
                 struct err *e) MUST_USE;
/* A column of a row as a cell; joule columns take two. */
struct query_cell sql_cell(sqlite3_stmt *st, int col, enum column_type type);

#endif
