/* Bars and sparklines in a line of text: eighth blocks where the terminal has them, '#' elsewhere. Pure.
 * Values that are not finite are drawn as blanks: a hole is not a zero. */
#ifndef CLIENT_CHART_H
#define CLIENT_CHART_H

#include "common/base.h"

#define CHART_WIDTH_MAX 200
#define CHART_TEXT      (CHART_WIDTH_MAX * 3 + 1) /* bytes that hold any of them */

/* v of max as a bar at most `width` characters long; a positive v shows at least something. */
const char *chart_bar(char *buf, size_t cap, double v, double max, size_t width, bool unicode);
/* One character per value, from 0 to max. */
const char *chart_line(char *buf, size_t cap, const double *v, size_t n, double max, bool unicode);

#endif
