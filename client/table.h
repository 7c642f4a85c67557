/* Tables for people. */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include "client/print.h"

/* Collects cells, then prints them aligned: numbers to the right, the last column cut to the terminal,
 * columns with nothing in them left out. */
struct table {
    const char *const *heads; /* marks in front: '>' right-aligned, '!' never left out */
    size_t columns;
    char **cells;
    size_t n; /* cells so far */
};
void table_init(struct table *t, const char *const *heads, size_t columns);
void table_fini(struct table *t);
void table_put(struct table *t, const char *fmt, ...) PRINTF(2, 3);
void table_take(struct table *t, char *text); /* takes ownership; NULL counts as "-" */
void table_print(const struct table *t, const struct print *p);

#endif
