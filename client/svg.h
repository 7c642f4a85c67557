/* Charts as SVG: axes, points, lines, bands, bars, marker lines, a legend. Pure; appends to struct html.
 *
 * A value that is not finite, or not positive on a logarithmic axis, is left out of the drawing and never
 * drawn as 0; a chart none of whose points can be drawn says "nothing to draw" in words.
 * Colours are told apart by colour-blind people and have a contrast of at least 3:1 on white and, in
 * dark mode, on black; beside its colour every series of points has a shape of its own, so that a chart
 * can be read in grey. Estimates are hollow and dashed and the legend says "(estimated)". */
#ifndef CLIENT_SVG_H
#define CLIENT_SVG_H

#include "client/html.h"

#define SVG_COLOURS 8

enum svg_scale { SVG_LINEAR, SVG_LOG2, SVG_LOG10 };

struct svg_axis {
    const char *label; /* what is shown, unit included */
    enum svg_scale scale;
    /* How ticks are written: "J", "s", "W" with SI prefixes ("10 mJ"), "B" with binary ones ("32 KiB"),
     * "%" of a ratio (0.1 -> "10 %"), "2^" as a power of two, "" with an SI prefix alone ("10 k"), NULL as
     * a number. */
    const char *unit;
    double lo, hi; /* range that is shown at least; lo >= hi = the data decide alone */
    bool zero;     /* linear: begin at 0 (bars always do) */
};

enum svg_kind {
    SVG_POINTS,
    SVG_LINE,    /* points joined in the order given; a hole breaks the line */
    SVG_BAND,    /* lo..hi, filled */
    SVG_BARS,    /* from 0 to y, `width` wide on the x axis */
    SVG_ERRORBAR /* points with lo..hi */
};

struct svg_series {
    const char *name; /* in the legend; NULL = not listed */
    enum svg_kind kind;
    const double *x;
    const double *y; /* not used by SVG_BAND */
    const double *lo;
    const double *hi;
    size_t n;
    double width;   /* of a bar, in x: on a logarithmic axis the factor between its edges */
    int colour;     /* 0 .. SVG_COLOURS - 1; the shape of its points goes with it */
    bool estimated; /* hollow, dashed, and the word in the legend */
    bool thin;      /* a fine line: a fit, a limit, one of many */
};

/* A line across the chart with a word beside it: a cache boundary, a limit. */
struct svg_marker {
    double at;
    const char *label;
    bool horizontal; /* at is on the y axis */
};

struct svg_chart {
    const char *title;
    const char *desc; /* what one sees, for who does not see it */
    struct svg_axis x;
    struct svg_axis y;
    const struct svg_series *series;
    size_t nseries;
    const struct svg_marker *markers;
    size_t nmarkers;
    bool standalone; /* a file of its own: XML head, namespace and style inside */
};

/* Appends <svg>...</svg>, 720 units wide; the page scales it. Ids carry `id` so that a page may hold
 * many: letters, digits and '-'. */
void svg_chart(struct html *h, const struct svg_chart *c, const char *id);

/* The style sheet of the charts; a page puts it once into its <style>. */
const char *svg_style(void);

/* "10 m", "2^14", "32 KiB", "10 %" as struct svg_axis.unit says, with the unit; buf is returned. */
const char *svg_number(char *buf, size_t cap, double v, const char *unit);

#endif
