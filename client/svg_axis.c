#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/svg_private.h"

#define LARGEST 1e60 /* beyond it, and below its inverse, no quantity has a place on a chart */

double svg_transform(enum svg_scale scale, double v)
{
    if (!isfinite(v) || fabs(v) > LARGEST)
        return NAN;
    if (scale == SVG_LINEAR)
        return fabs(v) < 1 / LARGEST ? 0 : v;
    if (v < 1 / LARGEST)
        return NAN;
    return scale == SVG_LOG2 ? log2(v) : log10(v);
}

static double untransform(enum svg_scale scale, double t)
{
    return scale == SVG_LINEAR ? t : scale == SVG_LOG2 ? exp2(t) : pow(10, t);
}

double svg_at(const struct svg_map *m, double v)
{
    double t = svg_transform(m->scale, v);
    return m->from + (t - m->lo) / (m->hi - m->lo) * (m->to - m->from);
}

/* ---- range --------------------------------------------------------------------------------------- */

void svg_range_take(struct svg_range *r, enum svg_scale scale, double v)
{
    double t = svg_transform(scale, v);
    if (isnan(t))
        return;
    r->lo = fmin(r->lo, t);
    r->hi = fmax(r->hi, t);
}

bool svg_range_close(struct svg_range *r, const struct svg_axis *axis, bool bars)
{
    if (axis->lo < axis->hi) {
        svg_range_take(r, axis->scale, axis->lo);
        svg_range_take(r, axis->scale, axis->hi);
    }
    bool zero = axis->scale == SVG_LINEAR && (bars || axis->zero);
    if (zero)
        svg_range_take(r, SVG_LINEAR, 0);
    if (r->lo > r->hi)
        return false;
    double span = r->hi - r->lo;
    if (span <= fabs(r->hi) * 1e-9) /* all values are one: a range around it */
        span = axis->scale != SVG_LINEAR ? 1 : r->hi != 0 ? fabs(r->hi) : 1;
    bool at_zero_lo = zero && r->lo >= 0;
    bool at_zero_hi = zero && r->hi <= 0;
    r->lo -= at_zero_lo ? 0 : span * 0.05;
    r->hi += at_zero_hi ? 0 : span * 0.05;
    return r->hi > r->lo;
}

/* ---- ticks --------------------------------------------------------------------------------------- */

/* Multiples of step from lo to hi, transformed back. */
static size_t multiples(const struct svg_map *m, double step, double *out)
{
    size_t n = 0;
    double first = ceil(m->lo / step - 1e-9);
    double last = floor(m->hi / step + 1e-9);
    while (n < SVG_TICKS_MAX && first + (double)n <= last) {
        out[n] = untransform(m->scale, (first + (double)n) * step);
        n++;
    }
    return n;
}

/* 1, 2 or 5 times a power of ten, so that at most `most` steps fit. */
static double round_step(double span, double most)
{
    double raw = span / most;
    double ten = pow(10, floor(log10(raw)));
    double ratio = raw / ten;
    return ten * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
}

/* Less than two decades: 1 2 5 of each; less than a third of one: evenly spaced values. */
static size_t few_decades(const struct svg_map *m, size_t most, double *out)
{
    static const double digits[] = {1, 2, 5};
    double lo = untransform(m->scale, m->lo);
    double hi = untransform(m->scale, m->hi);
    size_t n = 0;
    int first = (int)floor(log10(lo));
    for (int i = 0; i < 3 * 3; i++) { /* less than two decades touch at most three */
        int decade = first + i / 3;
        double v = digits[i % 3] * pow(10, decade);
        if (v >= lo && v <= hi)
            out[n++] = v;
    }
    if (n >= 3)
        return n;
    struct svg_map linear = {.scale = SVG_LINEAR, .lo = lo, .hi = hi};
    return multiples(&linear, round_step(hi - lo, (double)most), out);
}

size_t svg_ticks(const struct svg_map *m, const char *unit, size_t most, double *out)
{
    double span = m->hi - m->lo;
    if (m->scale == SVG_LINEAR) {
        double step = round_step(span, (double)most);
        if (unit && strcmp(unit, "2^") == 0 && step < 1)
            step = 1;
        return multiples(m, step, out);
    }
    if (m->scale == SVG_LOG10 && span < 2)
        return few_decades(m, most, out);
    if (m->scale == SVG_LOG2 && span < 3 && !(unit && strcmp(unit, "2^") == 0))
        return few_decades(m, most, out);
    /* Steps that a reader of bytes expects: powers of two, then of 4, 16, 32, 1024. */
    static const double steps[] = {1, 2, 4, 5, 10, 20};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(steps) && span / steps[i] > (double)most)
        i++;
    return multiples(m, steps[i], out);
}

/* ---- numbers ------------------------------------------------------------------------------------- */

static const char *number_si(char *buf, size_t cap, double v, const char *unit)
{
    static const struct {
        double from;
        const char *prefix;
    } steps[] = {{1e12, "T"}, {1e9, "G"},         {1e6, "M"},  {1e3, "k"},  {1, ""},
                 {1e-3, "m"}, {1e-6, "\xc2\xb5"}, {1e-9, "n"}, {1e-12, "p"}};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(steps) && fabs(v) < steps[i].from * 0.9995)
        i++;
    if (v == 0)
        i = 4;
    const char *gap = *steps[i].prefix || *unit ? " " : "";
    (void)snprintf(buf, cap, "%.3g%s%s%s", v / steps[i].from, gap, steps[i].prefix, unit);
    return buf;
}

static const char *number_bytes(char *buf, size_t cap, double v)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    for (; i + 1 < ARRAY_LEN(units) && fabs(v) >= 1024 * 0.9995; i++)
        v /= 1024;
    (void)snprintf(buf, cap, v < 1000 ? "%.3g %s" : "%.0f %s", v, units[i]);
    return buf;
}

const char *svg_number(char *buf, size_t cap, double v, const char *unit)
{
    if (!isfinite(v))
        (void)snprintf(buf, cap, "-");
    else if (!unit)
        (void)snprintf(buf, cap, fabs(v) < 1e6 && (v == 0 || fabs(v) >= 1e-3) ? "%.5g" : "%.2g", v);
    else if (strcmp(unit, "2^") == 0)
        (void)snprintf(buf, cap, v > 0 ? "2^%.3g" : "%.3g", v > 0 ? log2(v) : v);
    else if (strcmp(unit, "B") == 0)
        return number_bytes(buf, cap, v);
    else if (strcmp(unit, "%") == 0)
        (void)snprintf(buf, cap, "%.3g %%", v * 100);
    else
        return number_si(buf, cap, v, unit);
    return buf;
}
