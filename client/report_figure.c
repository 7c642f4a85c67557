#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/report.h"
#include "daemon/model/stats.h"

void report_figure(struct html *h, const char *id, const struct svg_chart *c, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    html_rawf(
        h, "<figure id=\"%s\">\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"",
        id);
    html_text(h, c->title);
    html_raw(h, "\">\n");
    svg_chart(h, c, id);
    html_raw(h, "</div>\n<figcaption><strong>");
    html_text(h, c->title);
    html_raw(h, ".</strong> ");
    html_text(h, text);
    html_raw(h, "</figcaption></figure>\n");
    free(text);
}

const char *report_unit(const struct points_set *s)
{
    return s->joules ? "J" : "s";
}

const char *report_cost(char *buf, size_t cap, const struct points_set *s, double v)
{
    return svg_number(buf, cap, v, report_unit(s));
}

const char *report_axis(const struct points_set *s, bool epoch)
{
    if (epoch)
        return s->joules ? "energy per epoch (J)" : "time per epoch (s)";
    return s->joules ? "energy per datum (J)" : "time per datum (s)";
}

const char *report_setting(char *buf, size_t cap, const struct points_set *s)
{
    const struct study_run *r = s->setting;
    if (!r)
        (void)snprintf(buf, cap, "no runs");
    else
        (void)snprintf(buf, cap, "%s: %s, %d thread%s, batch %lld, on %s", r->gpu ? "GPU" : "CPU",
                       r->backend[0] ? r->backend : "unknown backend", r->threads,
                       r->threads == 1 ? "" : "s", (long long)r->batch,
                       r->machine[0] ? r->machine : "an unnamed machine");
    return buf;
}

void report_boundaries(struct report_boundaries *b, const struct caches *c)
{
    char bytes[32];
    b->n = 0;
    for (size_t i = 0; i + 1 < c->n; i++) {
        double at = points_boundary(c, i);
        (void)snprintf(b->label[i], sizeof b->label[i], "%s full: %s", c->level[i].name,
                       svg_number(bytes, sizeof bytes, at, "B"));
        b->at[b->n++] = (struct svg_marker){.at = at, .label = b->label[i]};
    }
}

/* ---- medians ------------------------------------------------------------------------------------- */

struct pair {
    double key; /* x, or the middle of its bin */
    double y;
};

static int compare_pair(const void *va, const void *vb)
{
    const struct pair *a = va;
    const struct pair *b = vb;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->y > b->y) - (a->y < b->y);
}

static double key_of(double x, double bin)
{
    return bin > 0 ? exp2((floor(log2(x) / bin) + 0.5) * bin) : x;
}

void report_median(struct report_curve *out, const double *x, const double *y, size_t n, double bin)
{
    struct pair *p CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *p);
    double *v CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *v);
    double *all = base_alloc(4 * (n + 1) * sizeof *all);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (x[i] > 0 && y[i] > 0)
            p[m++] = (struct pair){key_of(x[i], bin), y[i]};
    qsort(p, m, sizeof *p, compare_pair);
    *out = (struct report_curve){all, all + n + 1, all + 2 * (n + 1), all + 3 * (n + 1), 0};
    for (size_t i = 0, end; i < m; i = end) {
        for (end = i; end < m && p[end].key == p[i].key; end++)
            v[end - i] = p[end].y;
        out->x[out->n] = p[i].key;
        out->y[out->n] = stats_quantile(v, end - i, 0.5);
        out->lo[out->n] = stats_quantile(v, end - i, 0.25);
        out->hi[out->n] = stats_quantile(v, end - i, 0.75);
        out->n++;
    }
}

void report_curve_finip(struct report_curve *c)
{
    free(c->x);
}
