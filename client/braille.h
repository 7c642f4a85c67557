/* Curves in a terminal: a canvas of characters with 2 x 4 dots each (Unicode's braille patterns), or with plain
 * ASCII 1 x 2. Pure.
 * source: the dots' bits: The Unicode Standard, block U+2800 "Braille Patterns". */
#ifndef CLIENT_BRAILLE_H
#define CLIENT_BRAILLE_H

#include "common/base.h"

#define BRAILLE_COLUMNS_MAX 400
#define BRAILLE_ROWS_MAX    100
#define BRAILLE_LINE        (BRAILLE_COLUMNS_MAX * 3 + 1) /* bytes that hold any row */

struct braille {
    size_t columns, rows; /* characters */
    bool unicode;
    size_t width, height; /* dots */
    uint8_t *dots;        /* one byte each, row by row from the top */
};
/* Sizes beyond the limits are cut to them; at least 1 x 1. */
void braille_init(struct braille *b, size_t columns, size_t rows, bool unicode);
void braille_fini(struct braille *b);

/* What part of the plane the canvas shows; hi > lo. */
struct braille_view {
    double x_lo, x_hi, y_lo, y_hi;
};
/* Points joined in the order given. A y that is not finite is a hole: nothing is drawn to or from it; a point
 * between two holes is a dot. What lies outside of the view is left out. dashed: with gaps (an estimate). */
void braille_curve(struct braille *b, const struct braille_view *v, const double *x,
                   const double *y, size_t n, bool dashed);
/* Row 0 is the top; buf of BRAILLE_LINE bytes is returned, blanks at the end cut off. */
const char *braille_row(const struct braille *b, size_t row, char *buf);

#endif
