/* Runs that were measured elsewhere, into the run tables. Storage thread, inside a transaction; the caller
 * rolls back when anything here fails. A frame is what the operation `import_rows` carries (docs/protocol.md):
 * a table's name, its columns and rows; ids in it are the file's own and are replaced by ours.
 *
 * What keeps imported runs apart: run.origin names where they came from; their channels are rows of source
 * 'import:HOST', which samples_channels() leaves out, so they are no meters of this machine; windows and
 * overlaps look at runs without an origin only. Runs are known by their uuid: one that is here already is
 * passed over with all that belongs to it. */
#ifndef DAEMON_STORE_IMPORT_H
#define DAEMON_STORE_IMPORT_H

#include "common/wire.h"
#include "daemon/store/store.h"

struct import;
struct import_head {
    const char *machine; /* whose: a host name */
    const char *format;  /* 'wattq', 'standalone', 'butter' */
    const char *sha256;  /* of the file */
    const char *facts;   /* JSON */
    int64_t uid;         /* who imports */
    int64_t utc_ns;
};
struct import *import_new(struct store *s);
void import_free(struct import *im); /* NULL is fine */

/* First pass, all frames: which runs are new. */
int import_scan(struct import *im, const struct wire_val *frame, struct err *e) MUST_USE;
int64_t import_new_runs(const struct import *im);
int64_t import_known_runs(const struct import *im);
/* Second pass: the origin's row, all frames in the order of tables (docs/protocol.md), what follows. */
int import_begin(struct import *im, const struct import_head *h, int64_t *origin,
                 struct err *e) MUST_USE;
int import_apply(struct import *im, const struct wire_val *frame, struct err *e) MUST_USE;
int import_end(struct import *im, struct err *e) MUST_USE;

/* The tables that can be imported, in the order they must come; NULL behind the last. Their columns, in
 * order, into names: how many; 0 = no such table. */
#define IMPORT_COLUMNS_MAX 40
const char *import_table(size_t i);
size_t import_columns(const char *table, const char *names[IMPORT_COLUMNS_MAX]);

/* Is this frame well formed: a known table, known columns, rows of that width? Any thread. */
int import_check(const struct wire_val *frame, struct err *e) MUST_USE;

#endif
