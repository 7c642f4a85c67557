/* A parsed text table: tab-separated (PMLB) or CSV, one header line, every cell a finite number or text.
 * Bounded in every direction before memory is taken; a cell that is empty, NaN or infinite is an error
 * that names its row. Row numbers in messages count data rows from 1. */
#ifndef TRAINER_TABLE_H
#define TRAINER_TABLE_H

#include "common/err.h"

#define TABLE_COLUMNS_MAX  65536
#define TABLE_CELLS_MAX    (INT64_C(1) << 28) /* 2 GiB of doubles */
#define TABLE_TEXTS_MAX    4096               /* distinct texts in one column */
#define TABLE_NAME_MAX     100
#define TABLE_SAMPLE_BYTES 40

struct table_column {
    char name[TABLE_NAME_MAX + 1];
    double *value;   /* rows values; for a text column the rank of the text, sorted bytewise */
    bool text;       /* at least one cell is no number, so all are texts */
    int64_t numbers; /* cells that are numbers */
    int64_t odd_row; /* first row (from 1) whose kind differs from row 1's; 0 = none */
    char odd_sample[TABLE_SAMPLE_BYTES]; /* that cell as written */
};

struct table {
    int64_t rows;
    int64_t cols;
    struct table_column *column; /* cols of them; each owns its values */
};

enum table_format { TABLE_TSV, TABLE_CSV };

/* Parse text (NUL-terminated after `bytes`; changed in place for quoted CSV). `label` names the file in
 * messages. On failure *t is empty. 0, WATTQ_E_INVALID, WATTQ_E_LIMIT. */
int table_parse(struct table *t, enum table_format format, const char *label, char *text,
                size_t bytes, struct err *e) MUST_USE;
void table_fini(struct table *t);
/* Column of that name, or -1. */
int64_t table_find(const struct table *t, const char *name);

/* One number, the whole of s[0..n). Accepts what strtod does in the C locale, plus blanks around it.
 * false: it is no number. NaN and infinities are numbers here. s[n] must be readable and end the cell. */
bool table_number(const char *s, size_t n, double *out);

#endif
