#include "client/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/svg_private.h"

#define WIDTH    720
#define LEFT     84
#define RIGHT    18
#define PLOT     330 /* height of the plot */
#define ROW      22  /* of the legend, of marker labels */
#define CHAR     7.6 /* width of an average character of the style's font */
#define TICKS_X  8
#define TICKS_Y  7
#define LEGEND_X 34 /* sample and gaps in front of and behind a name */

/* Colours: the set of Okabe and Ito, darkened where it had less than 3:1 on white. */
static const char style[] =
    ":root{--paper:#fff;--ink:#1b1f23;--soft:#d5d9de;--faint:#57606a;"
    "--s0:#0072b2;--s1:#d55e00;--s2:#00805d;--s3:#aa4499;--s4:#806000;--s5:#332288;--s6:#b2182b;"
    "--s7:#555}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e9ec;"
    "--soft:#3a4048;--faint:#a3adb8;--s0:#56b4e9;--s1:#f08d5b;--s2:#2fc79b;--s3:#dd94c4;--s4:#"
    "d4b83c;"
    "--s5:#b0a4ff;--s6:#ff8080;--s7:#bbb}}\n"
    "svg.chart{font:14px system-ui,sans-serif;background:var(--paper)}\n"
    "svg.chart text{fill:var(--ink)}svg.chart .tick{fill:var(--faint);font-size:13px}\n"
    "svg.chart .name{font-weight:600;font-size:16px}\n"
    "svg.chart .grid{stroke:var(--soft);stroke-width:1}svg.chart "
    ".frame{stroke:var(--faint);fill:none}\n"
    "svg.chart .mark{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:2 3}\n"
    ".c0{--c:var(--s0)}.c1{--c:var(--s1)}.c2{--c:var(--s2)}.c3{--c:var(--s3)}.c4{--c:var(--s4)}"
    ".c5{--c:var(--s5)}.c6{--c:var(--s6)}.c7{--c:var(--s7)}\n"
    "svg.chart .p path{fill:var(--c);stroke:var(--c);stroke-width:1.4;fill-opacity:.75}\n"
    "svg.chart .p.est path{fill:var(--paper);fill-opacity:1}\n"
    "svg.chart .l path{fill:none;stroke:var(--c);stroke-width:2.2;stroke-linejoin:round}\n"
    "svg.chart .l.thin path{stroke-width:1.1;stroke-opacity:.8}\n"
    "svg.chart .l.est path{stroke-dasharray:7 5}\n"
    "svg.chart .b path{fill:var(--c);fill-opacity:.18;stroke:none}\n"
    "svg.chart .b.est path{stroke:var(--c);stroke-dasharray:7 5;fill-opacity:.08}\n"
    "svg.chart .r path{fill:var(--c);fill-opacity:.75;stroke:var(--c)}\n"
    "svg.chart .r.est path{fill:var(--paper);stroke-dasharray:7 5;stroke-width:1.6}\n";

const char *svg_style(void)
{
    return style;
}

struct drawing {
    struct html *h;
    const struct svg_chart *c;
    const char *id;
    struct svg_map x;
    struct svg_map y;
    double top; /* of the plot */
    double bottom;
    double height;
};

/* ---- layout -------------------------------------------------------------------------------------- */

static double text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return (double)n * CHAR;
}

/* Half the width of a bar is added on both sides, so that the outer bars are whole. */
static double bar_edge(const struct svg_chart *c, const struct svg_series *s, double x, int side)
{
    if (c->x.scale == SVG_LINEAR)
        return x + side * s->width / 2;
    return s->width > 0 ? x * pow(s->width, side * 0.5) : x;
}

static void take_series(const struct svg_chart *c, const struct svg_series *s, struct svg_range *rx,
                        struct svg_range *ry)
{
    bool span = s->kind == SVG_BAND || s->kind == SVG_ERRORBAR;
    for (size_t i = 0; i < s->n; i++) {
        double y = s->kind == SVG_BAND ? s->lo[i] : s->y[i];
        if (isnan(svg_transform(c->x.scale, s->x[i])) || isnan(svg_transform(c->y.scale, y)))
            continue;
        svg_range_take(rx, c->x.scale, s->kind == SVG_BARS ? bar_edge(c, s, s->x[i], -1) : s->x[i]);
        svg_range_take(rx, c->x.scale, s->kind == SVG_BARS ? bar_edge(c, s, s->x[i], 1) : s->x[i]);
        svg_range_take(ry, c->y.scale, y);
        if (span) {
            svg_range_take(ry, c->y.scale, s->lo[i]);
            svg_range_take(ry, c->y.scale, s->hi[i]);
        }
    }
}

static bool layout(struct drawing *d)
{
    const struct svg_chart *c = d->c;
    struct svg_range rx = {INFINITY, -INFINITY};
    struct svg_range ry = {INFINITY, -INFINITY};
    bool bars = false;
    for (size_t i = 0; i < c->nseries; i++) {
        take_series(c, &c->series[i], &rx, &ry);
        bars = bars || c->series[i].kind == SVG_BARS;
    }
    if (rx.lo > rx.hi || ry.lo > ry.hi)
        return false;
    for (size_t i = 0; i < c->nmarkers; i++)
        if (c->markers[i].horizontal)
            svg_range_take(&ry, c->y.scale, c->markers[i].at);
    if (!svg_range_close(&rx, &c->x, false) || !svg_range_close(&ry, &c->y, bars))
        return false;
    d->x = (struct svg_map){c->x.scale, rx.lo, rx.hi, LEFT, WIDTH - RIGHT};
    d->y = (struct svg_map){c->y.scale, ry.lo, ry.hi, d->bottom, d->top};
    return true;
}

/* ---- frame --------------------------------------------------------------------------------------- */

static void text_at(struct drawing *d, double x, double y, const char *class, const char *anchor,
                    const char *text)
{
    html_rawf(d->h, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s%s%s>", x, y, anchor,
              class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
    html_text(d->h, text);
    html_raw(d->h, "</text>\n");
}

static void axis_x(struct drawing *d)
{
    char buf[32];
    double tick[SVG_TICKS_MAX];
    size_t n = svg_ticks(&d->x, d->c->x.unit, TICKS_X, tick);
    for (size_t i = 0; i < n; i++) {
        double x = svg_at(&d->x, tick[i]);
        html_rawf(d->h, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                  x, x, d->top, d->bottom);
        text_at(d, x, d->bottom + 18, "tick", "middle",
                svg_number(buf, sizeof buf, tick[i], d->c->x.unit));
    }
    text_at(d, (LEFT + WIDTH - RIGHT) / 2.0, d->bottom + 40, NULL, "middle", d->c->x.label);
}

static void axis_y(struct drawing *d)
{
    char buf[32];
    double tick[SVG_TICKS_MAX];
    size_t n = svg_ticks(&d->y, d->c->y.unit, TICKS_Y, tick);
    for (size_t i = 0; i < n; i++) {
        double y = svg_at(&d->y, tick[i]);
        html_rawf(d->h, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                  LEFT, WIDTH - RIGHT, y, y);
        text_at(d, LEFT - 8, y + 4.5, "tick", "end",
                svg_number(buf, sizeof buf, tick[i], d->c->y.unit));
    }
    html_rawf(d->h, "<text transform=\"translate(16 %.1f) rotate(-90)\" text-anchor=\"middle\">",
              (d->top + d->bottom) / 2);
    html_text(d->h, d->c->y.label);
    html_raw(d->h, "</text>\n");
}

/* ---- markers ------------------------------------------------------------------------------------- */

/* Labels stand above the plot, each in the first row where it touches no other. */
static void marker_vertical(struct drawing *d, const struct svg_marker *m, double *ends)
{
    double x = svg_at(&d->x, m->at);
    double half = text_width(m->label) / 2;
    double at = fmin(fmax(x, LEFT + half - 20), WIDTH - half - 2);
    size_t row = at - half > ends[0] ? 0 : 1;
    ends[row] = at + half + 8;
    html_rawf(d->h, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x,
              x, d->top - 4, d->bottom);
    text_at(d, at, d->top - 9 - (double)row * ROW, NULL, "middle", m->label);
}

static void marker_horizontal(struct drawing *d, const struct svg_marker *m)
{
    double y = svg_at(&d->y, m->at);
    html_rawf(d->h, "<line class=\"mark\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT,
              WIDTH - RIGHT, y, y);
    text_at(d, WIDTH - RIGHT - 4, y - 5, NULL, "end", m->label);
}

static bool inside(const struct svg_map *map, double v)
{
    double t = svg_transform(map->scale, v);
    return !isnan(t) && t >= map->lo && t <= map->hi;
}

static void markers(struct drawing *d)
{
    double ends[2] = {0, 0};
    for (size_t i = 0; i < d->c->nmarkers; i++) {
        const struct svg_marker *m = &d->c->markers[i];
        if (m->horizontal && inside(&d->y, m->at))
            marker_horizontal(d, m);
        else if (!m->horizontal && inside(&d->x, m->at))
            marker_vertical(d, m, ends);
    }
}

/* ---- series -------------------------------------------------------------------------------------- */

static void shape(struct html *h, int which, double x, double y)
{
    static const char *const shapes[SVG_COLOURS] = {
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", /* circle */
        "m-3.5-3.5h7v7h-7z",                 /* square */
        "m0-5l4.6 8h-9.2z",                  /* triangle */
        "m0-5.2l5.2 5.2l-5.2 5.2l-5.2-5.2z", /* diamond */
        "m0 5l4.6-8h-9.2z",                  /* triangle on its tip */
        "m-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z",
        "m-4-2.2l4-2.6l4 2.6v4.4l-4 2.6l-4-2.6z", /* hexagon */
        "m-5-2h10v4h-10z",                        /* bar */
    };
    html_rawf(h, "<path d=\"M%.1f %.1f%s\"/>", x, y, shapes[which % SVG_COLOURS]);
}

static void draw_points(struct drawing *d, const struct svg_series *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (inside(&d->x, s->x[i]) && inside(&d->y, s->y[i]))
            shape(d->h, s->colour, svg_at(&d->x, s->x[i]), svg_at(&d->y, s->y[i]));
}

static void draw_errorbars(struct drawing *d, const struct svg_series *s)
{
    html_rawf(d->h, "</g><g class=\"l thin c%d%s\">", s->colour % SVG_COLOURS,
              s->estimated ? " est" : "");
    for (size_t i = 0; i < s->n; i++)
        if (inside(&d->x, s->x[i]) && inside(&d->y, s->lo[i]) && inside(&d->y, s->hi[i]))
            html_rawf(d->h, "<path d=\"M%.1f %.1fV%.1f\"/>", svg_at(&d->x, s->x[i]),
                      svg_at(&d->y, s->lo[i]), svg_at(&d->y, s->hi[i]));
}

static void draw_line(struct drawing *d, const struct svg_series *s)
{
    bool pen = false;
    html_raw(d->h, "<path d=\"");
    for (size_t i = 0; i < s->n; i++) {
        bool here = inside(&d->x, s->x[i]) && inside(&d->y, s->y[i]);
        if (here)
            html_rawf(d->h, "%c%.1f %.1f", pen ? 'L' : 'M', svg_at(&d->x, s->x[i]),
                      svg_at(&d->y, s->y[i]));
        pen = here;
    }
    html_raw(d->h, "\"/>");
}

/* Forth along hi, back along lo; points that cannot be drawn are stepped over. */
static void draw_band(struct drawing *d, const struct svg_series *s)
{
    char pen = 'M';
    html_raw(d->h, "<path d=\"");
    for (size_t k = 0; k < 2 * s->n; k++) {
        size_t i = k < s->n ? k : 2 * s->n - 1 - k;
        double v = k < s->n ? s->hi[i] : s->lo[i];
        if (!inside(&d->x, s->x[i]) || !inside(&d->y, s->lo[i]) || !inside(&d->y, s->hi[i]))
            continue;
        html_rawf(d->h, "%c%.1f %.1f", pen, svg_at(&d->x, s->x[i]), svg_at(&d->y, v));
        pen = 'L';
    }
    html_raw(d->h, pen == 'L' ? "z\"/>" : "\"/>");
}

static void draw_bars(struct drawing *d, const struct svg_series *s)
{
    double zero = d->y.scale == SVG_LINEAR ? svg_at(&d->y, 0) : d->bottom;
    for (size_t i = 0; i < s->n; i++) {
        double left = svg_at(&d->x, bar_edge(d->c, s, s->x[i], -1));
        double right = svg_at(&d->x, bar_edge(d->c, s, s->x[i], 1));
        if (!inside(&d->y, s->y[i]) || s->y[i] == 0 || isnan(left) || isnan(right))
            continue;
        double y = svg_at(&d->y, s->y[i]);
        html_rawf(d->h, "<path d=\"M%.1f %.1fH%.1fV%.1fH%.1fz\"/>", left + 0.5, zero, right - 0.5,
                  y, left + 0.5);
    }
}

static char kind_class(enum svg_kind kind)
{
    static const char classes[] = {[SVG_POINTS] = 'p',
                                   [SVG_LINE] = 'l',
                                   [SVG_BAND] = 'b',
                                   [SVG_BARS] = 'r',
                                   [SVG_ERRORBAR] = 'p'};
    return classes[kind];
}

static void open_group(struct drawing *d, const struct svg_series *s)
{
    html_rawf(d->h, "<g class=\"%c c%d%s%s\">", kind_class(s->kind), s->colour % SVG_COLOURS,
              s->thin ? " thin" : "", s->estimated ? " est" : "");
}

static void draw_series(struct drawing *d, const struct svg_series *s)
{
    open_group(d, s);
    switch (s->kind) {
    case SVG_ERRORBAR:
        draw_points(d, s);
        draw_errorbars(d, s);
        break;
    case SVG_POINTS:
        draw_points(d, s);
        break;
    case SVG_LINE:
        draw_line(d, s);
        break;
    case SVG_BAND:
        draw_band(d, s);
        break;
    case SVG_BARS:
        draw_bars(d, s);
        break;
    }
    html_raw(d->h, "</g>\n");
}

/* Bands lie below everything, points above it. */
static void all_series(struct drawing *d)
{
    static const enum svg_kind order[] = {SVG_BAND, SVG_BARS, SVG_LINE, SVG_POINTS, SVG_ERRORBAR};
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < d->c->nseries; i++)
            if (d->c->series[i].kind == order[k])
                draw_series(d, &d->c->series[i]);
}

/* ---- legend -------------------------------------------------------------------------------------- */

static char *legend_name(const struct svg_series *s)
{
    return base_printf("%s%s", s->name, s->estimated ? " (estimated)" : "");
}

static void sample(struct drawing *d, const struct svg_series *s, double x, double y)
{
    open_group(d, s);
    if (s->kind == SVG_POINTS || s->kind == SVG_ERRORBAR)
        shape(d->h, s->colour, x + 12, y);
    else if (s->kind == SVG_LINE)
        html_rawf(d->h, "<path d=\"M%.1f %.1fh24\"/>", x, y);
    else
        html_rawf(d->h, "<path d=\"M%.1f %.1fh24v10h-24z\"/>", x, y - 5);
    html_raw(d->h, "</g>");
}

/* Entries flow into rows below the plot; h = NULL only counts the rows. */
static int legend(struct drawing *d, bool draw)
{
    double x = LEFT;
    int row = 0;
    size_t n = 0;
    for (size_t i = 0; i < d->c->nseries; i++) {
        const struct svg_series *s = &d->c->series[i];
        if (!s->name)
            continue;
        char *name CLEANUP(base_freep) = legend_name(s);
        double width = text_width(name) + LEGEND_X + 14;
        if (n++ > 0 && x + width > WIDTH) {
            x = LEFT;
            row++;
        }
        double y = d->bottom + 64 + row * ROW;
        if (draw) {
            sample(d, s, x, y - 4.5);
            text_at(d, x + 30, y, NULL, "start", name);
        }
        x += width;
    }
    return n > 0 ? row + 1 : 0;
}

/* ---- the chart ----------------------------------------------------------------------------------- */

static void head(struct drawing *d)
{
    const char *id = d->id;
    if (d->c->standalone)
        html_raw(d->h, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    html_rawf(d->h, "<svg%s class=\"chart\" viewBox=\"0 0 %d %.0f\" role=\"img\" ",
              d->c->standalone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", WIDTH, d->height);
    html_rawf(d->h, "aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">", id, id, id);
    html_text(d->h, d->c->title);
    html_rawf(d->h, "</title>\n<desc id=\"%s-d\">", id);
    html_text(d->h, d->c->desc ? d->c->desc : d->c->title);
    html_raw(d->h, "</desc>\n");
    if (!d->c->standalone)
        return;
    html_rawf(d->h, "<style>%s</style>\n", style);
    text_at(d, LEFT, 22, "name", "start", d->c->title);
}

void svg_chart(struct html *h, const struct svg_chart *c, const char *id)
{
    struct drawing d = {.h = h, .c = c, .id = id};
    bool above = false; /* labels of vertical marker lines */
    for (size_t i = 0; i < c->nmarkers; i++)
        above = above || !c->markers[i].horizontal;
    d.top = (c->standalone ? 34 : 8) + (above ? 2 * ROW + 4 : 4);
    d.bottom = d.top + PLOT;
    d.height = d.bottom + 52 + legend(&d, false) * ROW;
    bool drawn = layout(&d);
    head(&d);
    if (drawn) {
        axis_x(&d);
        axis_y(&d);
        html_rawf(h, "<path class=\"frame\" d=\"M%d %.1fV%.1fH%d\"/>\n", LEFT, d.top, d.bottom,
                  WIDTH - RIGHT);
        all_series(&d);
        markers(&d);
        (void)legend(&d, true);
    } else {
        text_at(&d, WIDTH / 2.0, (d.top + d.bottom) / 2, NULL, "middle", "nothing to draw");
    }
    html_raw(h, "</svg>\n");
}
