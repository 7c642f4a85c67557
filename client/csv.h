/* Comma-separated values: quoting by RFC 4180, lines end in LF when written and in LF or CRLF when read.
 * An unknown value is an empty field without quotes; an empty text is "". Pure but for the streams. */
#ifndef CLIENT_CSV_H
#define CLIENT_CSV_H

#include "common/err.h"

#define CSV_FIELDS_MAX 512
#define CSV_ROW_MAX    (16u << 20) /* bytes of one record */

/* ---- writing: fields of a record in order, then csv_end ------------------------------------------- */

struct csv_out {
    FILE *f;
    bool begun; /* a field of this record is written */
};
void csv_text(struct csv_out *o, const char *s, size_t bytes); /* s NULL: unknown */
void csv_str(struct csv_out *o, const char *s);
void csv_int(struct csv_out *o, int64_t v);
void csv_real(struct csv_out *o,
              double v); /* shortest that reads back the same; unknown unless finite */
void csv_none(struct csv_out *o);
void csv_end(struct csv_out *o);

/* ---- reading --------------------------------------------------------------------------------------- */

struct csv_field {
    const char *s; /* NUL-terminated UTF-8 */
    size_t bytes;
    size_t column; /* byte in its line where it begins, from 1 */
    bool quoted;   /* false and bytes 0: unknown */
};
struct csv_in {
    FILE *f;
    const char *name; /* of the file, for messages */
    int64_t line;     /* where the record at hand begins, from 1 */
    int64_t next_line;
    struct csv_field field[CSV_FIELDS_MAX];
    size_t n;
    /* private */
    char *buf;
    size_t bytes, cap;
    size_t at[CSV_FIELDS_MAX]; /* offsets while buf still moves */
};
void csv_open(struct csv_in *in, FILE *f, const char *name);
void csv_close(struct csv_in *in); /* frees; f stays open. CLEANUP-able */
/* The next record into in->field; they live until the next call. 1; 0 = end of the file;
 * WATTQ_E_INVALID with file, line and column. Empty lines are passed over. */
int csv_next(struct csv_in *in, struct err *e) MUST_USE;
/* "FILE:LINE:COLUMN: " + what, as WATTQ_E_INVALID. */
int csv_bad(const struct csv_in *in, size_t field, struct err *e, const char *fmt, ...)
    PRINTF(4, 5);

#endif
