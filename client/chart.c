#include "client/chart.h"

#include <math.h>
#include <string.h>

static const char *const across[] = {"",       "\u258f", "\u258e", "\u258d", "\u258c",
                                     "\u258b", "\u258a", "\u2589", "\u2588"};
static const char *const up[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                 "\u2585", "\u2586", "\u2587", "\u2588"};
static const char ascii_up[] = "_.-=+*%#";

static size_t append(char *buf, size_t cap, size_t at, const char *s)
{
    size_t n = strlen(s);
    if (at + n >= cap)
        return at;
    memcpy(buf + at, s, n + 1);
    return at + n;
}

const char *chart_bar(char *buf, size_t cap, double v, double max, size_t width, bool unicode)
{
    size_t at = 0;
    buf[0] = '\0';
    if (!isfinite(v) || !isfinite(max) || v <= 0 || max <= 0)
        return buf;
    double share = v < max ? v / max : 1;
    size_t steps = unicode ? 8 : 1;
    size_t filled = (size_t)lrint(share * (double)(width * steps));
    if (filled == 0)
        filled = 1;
    for (size_t i = 0; i < filled / steps; i++)
        at = append(buf, cap, at, unicode ? across[8] : "#");
    if (unicode)
        (void)append(buf, cap, at, across[filled % 8]);
    return buf;
}

const char *chart_line(char *buf, size_t cap, const double *v, size_t n, double max, bool unicode)
{
    size_t at = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        char one[2] = " ";
        if (!isfinite(v[i]) || !(max > 0)) {
            at = append(buf, cap, at, one);
            continue;
        }
        double share = v[i] / max;
        size_t level = share >= 1 ? 7 : share <= 0 ? 0 : (size_t)(share * 8);
        one[0] = ascii_up[level];
        at = append(buf, cap, at, unicode ? up[level] : one);
    }
    return buf;
}
