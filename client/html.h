/* Text of a page, as it grows: HTML that is XML at the same time, and SVG. Every text from outside goes
 * through html_text() or html_textf(): markup characters are escaped, bytes that are no UTF-8 and control
 * characters (which XML cannot hold) become U+FFFD. What html_raw() and html_rawf() append is ours and is
 * taken as it stands. Pure; aborts when there is no memory. */
#ifndef CLIENT_HTML_H
#define CLIENT_HTML_H

#include "common/base.h"

struct html {
    char *s; /* NUL-terminated; NULL before the first append */
    size_t n;
    size_t cap;
};
void html_fini(struct html *h);
void html_finip(struct html *h); /* for CLEANUP() */

void html_raw(struct html *h, const char *markup);
void html_rawf(struct html *h, const char *fmt, ...) PRINTF(2, 3);
void html_text(struct html *h, const char *text); /* as content or inside of "..." */
void html_textf(struct html *h, const char *fmt, ...) PRINTF(2, 3);
/* <tag>text</tag>; tag may carry attributes: "h2 id=\"model\"". */
void html_element(struct html *h, const char *tag, const char *text);
void html_elementf(struct html *h, const char *tag, const char *fmt, ...) PRINTF(3, 4);

/* A table with a caption (NULL = none), in a box that scrolls sideways on a narrow screen and can be
 * reached with the keyboard. heads: ">" in front aligns the column to the right (numbers). The first
 * cell of a row is its header. */
struct html_table {
    struct html *h;
    const char *const *heads;
    size_t columns;
    size_t at; /* cells in the open row */
    bool cards;
};
void html_table_begin(struct html_table *t, struct html *h, const char *caption,
                      const char *const *heads, size_t columns);
/* The same as cards: on a narrow screen every row becomes a block, each cell under its column's name. */
void html_cards_begin(struct html_table *t, struct html *h, const char *caption,
                      const char *const *heads, size_t columns);
void html_table_class(struct html_table *t,
                      const char *name);                /* of the next row; before its cells */
void html_cell(struct html_table *t, const char *text); /* NULL or "" = "-" */
void html_cellf(struct html_table *t, const char *fmt, ...) PRINTF(2, 3);
void html_table_end(struct html_table *t);

#endif
