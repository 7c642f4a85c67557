/* Questions about runs in the filter language: rows of chosen columns, sorted or newest first, or groups
 * with aggregates. Readers only, any thread that holds a store.
 *
 * This is the one place outside the catalogue (stmt.h) that makes SQL: what a person may ask cannot be
 * listed in advance. A statement is put together from constant fragments only; every name, key and value
 * of the asker is bound (query_sql.h: the function that appends takes string literals). So it cannot
 * differ from the schema in more ways than the tests go through, and no text of the asker is ever SQL.
 *
 * Who may see what (visible_uid): of somebody else's run id, uuid, state, kind, label, project, user, uid,
 * sweep, index, priority, retry_of, times, energy and its quality, power, cpu, mem, exit, signal, mode,
 * leftovers, origin. Everything else - the command line, parameters, metrics, tags, notes, reasons - is
 * unknown to him, in tests too, so that no filter finds it out bit by bit. The same goes for the joules of short
 * runs, and for the bounds of all, where readings are given by whole seconds (coarse; api/coarse.h).
 *
 * Energy: joules that were measured or modelled and joules that were estimated never meet in one
 * aggregate. A group that holds both has no aggregate of them; its reason says so. Group by quality as
 * well to have them apart. */
#ifndef DAEMON_STORE_QUERY_H
#define DAEMON_STORE_QUERY_H

#include "common/filter.h"
#include "daemon/store/runs.h"

#define QUERY_COLUMNS_MAX 64
#define QUERY_SORT_MAX    8
#define QUERY_GROUP_MAX   8
#define QUERY_AGG_MAX     32
#define QUERY_GROUPS_MAX  20000
#define QUERY_BRIEF_NS    NS_PER_S
#define QUERY_LIMIT_NS    (10 * NS_PER_S)

enum query_stat {
    QUERY_N, /* values known; without a column: runs */
    QUERY_MEAN,
    QUERY_SD,
    QUERY_CI, /* half width of the 95 % interval of the mean, by Student's t */
    QUERY_MEDIAN,
    QUERY_MIN,
    QUERY_MAX,
    QUERY_SUM,
    QUERY_STATS
};

struct query_agg {
    enum query_stat stat;
    bool all; /* QUERY_N of no column */
    struct column column;
};
/* "n", "mean:energy", "ci:metric.loss". */
int query_agg_parse(struct query_agg *out, const char *text, struct err *e) MUST_USE;
const char *query_agg_name(char *buf, size_t cap, const struct query_agg *a);

struct query_sort {
    bool descending; /* "-energy"; what is not known comes last either way */
    bool agg;        /* by an aggregate, of groups only */
    struct column column;
    struct query_agg by;
};
int query_sort_parse(struct query_sort *out, const char *text, struct err *e) MUST_USE;

/* Zero-initialise with query_init; pointers are borrowed. Everything in `base` holds as well as `where`. */
struct query {
    const struct filter *where; /* NULL = every run */
    struct run_query base;      /* before_id: only without sort and groups */
    int64_t visible_uid;        /* RUN_NONE: everything may be seen */
    bool coarse;                /* no joules of runs below QUERY_BRIEF_NS, and no bounds */
    struct column column[QUERY_COLUMNS_MAX];
    size_t ncolumns;
    struct query_sort sort[QUERY_SORT_MAX]; /* none: newest first; groups: by their keys */
    size_t nsort;
    struct column group[QUERY_GROUP_MAX]; /* some: the answer is groups and aggregates */
    size_t ngroup;
    struct query_agg agg[QUERY_AGG_MAX]; /* also without group: one group of all */
    size_t nagg;
    int64_t limit_ns; /* of time; 0 = QUERY_LIMIT_NS */
};
void query_init(struct query *q);

enum query_kind { QUERY_UNKNOWN, QUERY_INT, QUERY_REAL, QUERY_TEXT, QUERY_BOOL };
struct query_cell {
    enum query_kind kind;
    int64_t i; /* in the wire's unit of the column's type */
    double r;
    const char *text;
    const char *quality; /* of a joule column, else NULL */
    const char *reason;  /* why a joule column or an aggregate is unknown, else NULL */
};

/* cells: ncolumns of them, or ngroup + nagg. id: of the run; of a group its number of runs. As run_visit. */
typedef int (*query_visit)(void *arg, int64_t id, const struct query_cell *cells);
/* 0, what fn returned, WATTQ_E_USAGE (a channel that there is not, or two of that name), WATTQ_E_LIMIT (the
 * time, or too many groups). Rows: with sort equal ones newest first. */
int query_run(struct store *s, const struct query *q, query_visit fn, void *arg,
              struct err *e) MUST_USE;

#endif
