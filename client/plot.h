/* Curves of runs, as a drawing in the terminal or as an SVG file. Pure but for the stream it writes to.
 * A value that is not known is a hole, never a zero; an estimate is dashed and says so. */
#ifndef CLIENT_PLOT_H
#define CLIENT_PLOT_H

#include "client/html.h"
#include "client/print.h"

struct plot_curve {
    char *name; /* "run 17 baseline" */
    double *x;
    double *y; /* NAN = a hole */
    size_t n;
    bool estimated;
};
struct plot {
    const char *title;
    const char *x_label; /* "time since the start" */
    const char *x_unit;  /* "s", or NULL = a number */
    const char *y_label;
    const char *y_unit; /* "W", or NULL */
    bool from_zero;     /* both axes begin at 0 */
    struct plot_curve *curves;
    size_t n;
};
/* A curve of n points, to be filled by the caller; valid until the next one is added. */
struct plot_curve *plot_add(struct plot *p, const char *name, size_t n);
void plot_fini(struct plot *p);

/* One panel per curve, all to the same scale. */
void plot_terminal(const struct plot *p, const struct print *out, size_t rows);
/* All curves in one chart: a file of its own. */
void plot_svg(const struct plot *p, struct html *h);

#endif
