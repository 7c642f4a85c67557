#include "client/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/braille.h"
#include "client/svg.h"

#define COLUMNS_DEFAULT 80
#define LABEL_WIDTH     10 /* of the numbers on the left */

struct plot_curve *plot_add(struct plot *p, const char *name, size_t n)
{
    if ((p->n & (p->n - 1)) == 0) {
        p->curves = realloc(p->curves, (p->n ? 2 * p->n : 1) * sizeof *p->curves);
        if (!p->curves)
            abort();
    }
    struct plot_curve *c = &p->curves[p->n++];
    *c = (struct plot_curve){.name = base_strdup(name), .n = n};
    c->x = base_alloc((n + 1) * sizeof *c->x);
    c->y = base_alloc((n + 1) * sizeof *c->y);
    return c;
}

void plot_fini(struct plot *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->curves[i].name);
        free(p->curves[i].x);
        free(p->curves[i].y);
    }
    free(p->curves);
    p->curves = NULL;
    p->n = 0;
}

static void widen(double *lo, double *hi, double v)
{
    if (!isfinite(v))
        return;
    *lo = fmin(*lo, v);
    *hi = fmax(*hi, v);
}

/* false: there is no point at all. */
static bool view_of(const struct plot *p, struct braille_view *v)
{
    *v = (struct braille_view){INFINITY, -INFINITY, p->from_zero ? 0 : INFINITY, -INFINITY};
    for (size_t i = 0; i < p->n; i++) {
        for (size_t k = 0; k < p->curves[i].n; k++) {
            if (!isfinite(p->curves[i].y[k]))
                continue;
            widen(&v->x_lo, &v->x_hi, p->curves[i].x[k]);
            widen(&v->y_lo, &v->y_hi, p->curves[i].y[k]);
        }
    }
    if (p->from_zero)
        v->x_lo = fmin(0, v->x_lo);
    if (!isfinite(v->y_hi) || !isfinite(v->x_hi))
        return false;
    if (!(v->x_hi > v->x_lo))
        v->x_hi = v->x_lo + 1;
    if (!(v->y_hi > v->y_lo))
        v->y_hi = v->y_lo + (v->y_lo != 0 ? fabs(v->y_lo) : 1);
    return true;
}

/* Does the curve have one known point? */
static bool is_empty(const struct plot_curve *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (isfinite(c->y[i]))
            return false;
    return true;
}

static void panel(const struct plot *p, const struct plot_curve *c, const struct braille_view *v,
                  const struct print *out, size_t rows)
{
    char line[BRAILLE_LINE];
    char lo[40];
    char hi[40];
    size_t columns = (out->columns > 0 ? (size_t)out->columns : COLUMNS_DEFAULT);
    columns = columns > LABEL_WIDTH + 12 ? columns - LABEL_WIDTH - 2 : 10;
    struct braille b;
    (void)fprintf(out->out, "%s%s%s%s\n", print_tone_on(out, TONE_BOLD), c->name,
                  print_tone_off(out, TONE_BOLD), c->estimated ? " (~ estimated)" : "");
    if (is_empty(c)) {
        (void)fputs("  nothing is known of it\n", out->out);
        return;
    }
    braille_init(&b, columns, rows, out->unicode);
    braille_curve(&b, v, c->x, c->y, c->n, c->estimated);
    for (size_t r = 0; r < b.rows; r++) {
        const char *text = "";
        if (r == 0)
            text = svg_number(hi, sizeof hi, v->y_hi, p->y_unit);
        else if (r + 1 == b.rows)
            text = svg_number(lo, sizeof lo, v->y_lo, p->y_unit);
        (void)fprintf(out->out, "%*s |%s\n", LABEL_WIDTH, text, braille_row(&b, r, line));
    }
    svg_number(lo, sizeof lo, v->x_lo, p->x_unit);
    svg_number(hi, sizeof hi, v->x_hi, p->x_unit);
    int gap = (int)columns - (int)print_width(lo) - (int)print_width(hi);
    (void)fprintf(out->out, "%*s  %s%*s%s\n", LABEL_WIDTH, "", lo, gap > 1 ? gap : 1, "", hi);
    braille_fini(&b);
}

void plot_terminal(const struct plot *p, const struct print *out, size_t rows)
{
    struct braille_view v;
    bool any = view_of(p, &v);
    (void)fprintf(out->out, "%s (%s, over %s)\n", p->title, p->y_label, p->x_label);
    for (size_t i = 0; i < p->n; i++) {
        if (any)
            panel(p, &p->curves[i], &v, out, rows);
        else
            (void)fprintf(out->out, "%s: nothing is known of it\n", p->curves[i].name);
    }
}

void plot_svg(const struct plot *p, struct html *h)
{
    struct svg_series *s CLEANUP(base_freep) = base_alloc((p->n + 1) * sizeof *s);
    char *desc CLEANUP(base_freep) =
        base_printf("%s of %zu run%s over %s", p->y_label, p->n, p->n == 1 ? "" : "s", p->x_label);
    for (size_t i = 0; i < p->n; i++)
        s[i] = (struct svg_series){.name = p->curves[i].name,
                                   .kind = SVG_LINE,
                                   .x = p->curves[i].x,
                                   .y = p->curves[i].y,
                                   .n = p->curves[i].n,
                                   .colour = (int)(i % SVG_COLOURS),
                                   .estimated = p->curves[i].estimated,
                                   .thin = p->n > SVG_COLOURS};
    const struct svg_chart chart = {
        .title = p->title,
        .desc = desc,
        .x = {.label = p->x_label, .unit = p->x_unit},
        .y = {.label = p->y_label, .unit = p->y_unit, .zero = p->from_zero},
        .series = s,
        .nseries = p->n,
        .standalone = true};
    svg_chart(h, &chart, "plot");
}
