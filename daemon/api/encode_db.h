/* The parts of a run summary that only the database has. Pool or storage thread. */
#ifndef DAEMON_API_ENCODE_DB_H
#define DAEMON_API_ENCODE_DB_H

#include "daemon/api/encode.h"

struct encode_want {
    bool energy; /* energy, energy_parts, alone, tags */
    bool params; /* params, info, summary, j_per_datum, last_metrics, metric_heads, tags */
};
/* Summary keys of an ended or stored run into the open map. live: what memory knows beside it, or NULL. To whom
 * may not see its details tags and params are left out. */
int encode_row(struct store *s, struct encode *enc, struct wire_out *o, const struct run_row *row,
               const struct queue_run *live, const struct encode_want *w, struct err *e) MUST_USE;
/* `params`, `info`, `summary`, `j_per_datum`, `last_metrics`. */
int encode_params(struct store *s, struct wire_out *o, const struct run_row *row,
                  struct err *e) MUST_USE;

/* `notes`: at most RUN_NOTES_MAX. */
int encode_notes(struct store *s, struct wire_out *o, int64_t run, struct err *e) MUST_USE;

#endif
