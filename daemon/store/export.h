/* The tables of the database as they are handed out: `wattq export`, `sql` and bundles. A row is what
 * the schema says (schema/), under the schema's own names; two things are left out: figures that a
 * newer one superseded, and what concerns this daemon alone (env, meta).
 *
 * Three scopes: rows of runs (asked for by a range of run ids), rows around a stretch of time of one boot
 * (samples: everything the figures of that stretch depend on), and whole small tables. An answer may be
 * taken in pages: rows have a fixed order, the caller says where to go on. Thread: that of the store. */
#ifndef DAEMON_STORE_EXPORT_H
#define DAEMON_STORE_EXPORT_H

#include "daemon/store/store.h"

enum export_scope { EXPORT_RUNS, EXPORT_WINDOW, EXPORT_WHOLE };

/* Blobs of samples come in parts of at most this many bytes, in order: columns `part` and `parts`. */
#define EXPORT_PART_BYTES  (512 << 10)
#define EXPORT_COLUMNS_MAX 64

struct export_ask {
    const char *table;
    int64_t lo, hi; /* EXPORT_RUNS: ids lo < run <= hi. EXPORT_WINDOW: ns of `boot`, inclusive */
    int64_t boot;
    int64_t skip; /* rows of this answer that the caller has already */
};

enum export_type { EXPORT_NIL, EXPORT_INT, EXPORT_REAL, EXPORT_TEXT, EXPORT_BLOB };
struct export_cell {
    enum export_type type;
    int64_t i;
    double d;
    const char *text; /* NUL-terminated; borrowed during the call */
    const void *data; /* blob */
    size_t bytes;
};
/* One row. run: the run it belongs to, 0 outside EXPORT_RUNS. 0 to go on; else it is returned. */
typedef int (*export_visit)(void *arg, int64_t run, const struct export_cell *cells, size_t n);

/* 0; 1 = there is no such table. */
int export_scope_of(const char *table, enum export_scope *out) MUST_USE;
/* The names of a table's columns go to fn first, as text cells with run -1; then the rows. */
int export_names(struct store *s, const char *table, export_visit fn, void *arg,
                 struct err *e) MUST_USE;
int export_rows(struct store *s, const struct export_ask *a, export_visit fn, void *arg,
                struct err *e) MUST_USE;

#endif
