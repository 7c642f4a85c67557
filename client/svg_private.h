/* Inside of svg: where a value lies on the paper, and which ticks an axis has (svg_axis.c). */
#ifndef CLIENT_SVG_PRIVATE_H
#define CLIENT_SVG_PRIVATE_H

#include "client/svg.h"

#define SVG_TICKS_MAX 24

/* An axis laid out: values between lo and hi (as transformed: log2 or log10 of them) become from..to. */
struct svg_map {
    enum svg_scale scale;
    double lo, hi;
    double from, to; /* in units of the drawing */
};

/* NAN unless v can stand on an axis of that scale (1e-60 .. 1e60 in size, or 0 on a linear one). */
double svg_transform(enum svg_scale scale, double v);
double svg_at(const struct svg_map *m, double v);

/* What an axis has to hold, gathered value by value. */
struct svg_range {
    double lo, hi; /* transformed; lo > hi = nothing yet */
};
void svg_range_take(struct svg_range *r, enum svg_scale scale, double v);
/* With the axis' own wishes and a margin. false = nothing can be drawn. */
bool svg_range_close(struct svg_range *r, const struct svg_axis *axis, bool bars);

/* Round values inside of m, at most `most` of them; returns how many. */
size_t svg_ticks(const struct svg_map *m, const char *unit, size_t most, double *out);

#endif
