/* Rows of a query as CSV, JSON lines or a table for people. Columns that end in _ns are strings in JSON
 * (2^53 is not enough); blobs are hexadecimal. */
#ifndef CLIENT_EXPORT_OUT_H
#define CLIENT_EXPORT_OUT_H

#include <jansson.h>

#include "client/csv.h"
#include "client/localdb.h"
#include "client/table.h"

enum export_form { EXPORT_CSV, EXPORT_JSONL, EXPORT_JSON, EXPORT_PEOPLE };

struct export_out {
    FILE *f;
    enum export_form form;
    const char *table; /* JSON lines: value of the key `table`; NULL = no such key */
    const struct print *print;
    /* private */
    struct csv_out csv;
    char **names;
    size_t n;
    json_t *rows;          /* EXPORT_JSON: an array */
    struct table table_of; /* EXPORT_PEOPLE */
    int64_t seen;
};
void export_out_init(struct export_out *o, FILE *f, enum export_form form);
/* Rows go in through this; o must stay where it is. */
struct localdb_sink export_out_sink(struct export_out *o);
/* What was gathered is printed (people) or returned (JSON; new reference, else NULL). */
json_t *export_out_end(struct export_out *o);
void export_out_fini(struct export_out *o);

#endif
