/* Takes tables from the daemon into a database of ours, page by page (op `export`). */
#ifndef CLIENT_FETCH_H
#define CLIENT_FETCH_H

#include "client/localdb.h"
#include "client/sel.h"

struct fetch {
    struct conn *c;
    struct localdb *db;
    const struct sel *runs; /* NULL = all */
};
/* Rows of the selected runs, or a whole table. */
int fetch_table(const struct fetch *f, const char *table, struct err *e) MUST_USE;
/* Rows around [t0, t1] of a boot: a table of samples. */
int fetch_window(const struct fetch *f, const char *table, int64_t boot, int64_t t0_ns,
                 int64_t t1_ns, struct err *e) MUST_USE;

#endif
