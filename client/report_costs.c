/* Figures of what training costs: against data, size, depth, working set, operations, hardware. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/report.h"

#define SERIES_MAX SVG_COLOURS
#define BIN_F      0.5 /* octaves of a working set, of operations */

enum along { ALONG_ROWS, ALONG_SIZE, ALONG_DEPTH, ALONG_F, ALONG_OPS };

static double along(const struct point *p, enum along a)
{
    switch (a) {
    case ALONG_ROWS:
        return (double)p->run->rows_train;
    case ALONG_SIZE:
        return (double)p->run->size;
    case ALONG_DEPTH:
        return p->run->net.depth;
    case ALONG_F:
        return p->f;
    case ALONG_OPS:
        return p->ops;
    }
    return NAN;
}

/* Points of a set as columns; those whose `by` is `only` (NAN = all). One block of memory: free x. */
struct columns {
    double *x;
    double *y;
    size_t n;
};
static void columns_freep(struct columns *c)
{
    free(c->x);
}

static struct columns columns_of(const struct points_set *s, enum along a, bool epoch,
                                 enum along by, double only)
{
    struct columns c = {.x = base_alloc(2 * (s->n + 1) * sizeof *c.x)};
    c.y = c.x + s->n + 1;
    for (size_t i = 0; i < s->n; i++) {
        const struct point *p = &s->at[i];
        if (!isnan(only) && along(p, by) != only)
            continue;
        c.x[c.n] = along(p, a);
        c.y[c.n] = p->cost * (epoch ? (double)p->run->rows_train : 1);
        c.n++;
    }
    return c;
}

/* ---- one cloud with its medians ------------------------------------------------------------------ */

struct cloud {
    const char *id;
    const char *title;
    struct svg_axis x;
    enum along along;
    bool epoch;
    double bin;
    const struct svg_marker *markers;
    size_t nmarkers;
    const char *caption;
};

static void put_cloud(struct html *h, const struct points_set *s, const struct cloud *k)
{
    struct columns c CLEANUP(columns_freep) = columns_of(s, k->along, k->epoch, ALONG_SIZE, NAN);
    struct report_curve m CLEANUP(report_curve_finip) = {0};
    char id[32];
    report_median(&m, c.x, c.y, c.n, k->bin);
    const struct svg_series series[] = {
        {.name = "middle half of the networks",
         .kind = SVG_BAND,
         .x = m.x,
         .lo = m.lo,
         .hi = m.hi,
         .n = m.n},
        {.name = "network", .kind = SVG_POINTS, .x = c.x, .y = c.y, .n = c.n},
        {.name = "median", .kind = SVG_LINE, .x = m.x, .y = m.y, .n = m.n, .colour = 1},
    };
    struct svg_chart chart = {
        .title = k->title,
        .desc = k->caption,
        .x = k->x,
        .y = {.label = report_axis(s, k->epoch), .scale = SVG_LOG10, .unit = report_unit(s)},
        .series = series,
        .nseries = ARRAY_LEN(series),
        .markers = k->markers,
        .nmarkers = k->nmarkers};
    (void)snprintf(id, sizeof id, "%s-%s", k->id, s->setting->gpu ? "gpu" : "cpu");
    report_figure(h, id, &chart, "%s", k->caption);
}

/* ---- one line per value of something ------------------------------------------------------------- */

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Distinct values, rising; of more than SERIES_MAX the first, the last, and evenly chosen between. */
static size_t distinct(const struct points_set *s, enum along a, double out[SERIES_MAX])
{
    double *v CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        v[i] = along(&s->at[i], a);
    qsort(v, s->n, sizeof *v, compare_double);
    for (size_t i = 0; i < s->n; i++)
        if (n == 0 || v[i] != v[n - 1])
            v[n++] = v[i];
    size_t take = n < SERIES_MAX ? n : SERIES_MAX;
    for (size_t i = 0; i < take; i++)
        out[i] = v[take > 1 ? i * (n - 1) / (take - 1) : 0];
    return take;
}

struct family {
    struct columns c[SERIES_MAX];
    struct report_curve m[SERIES_MAX];
    char name[SERIES_MAX][40];
    struct svg_series series[2 * SERIES_MAX];
    size_t n;
};

static void family_finip(struct family *f)
{
    for (size_t i = 0; i < f->n; i++) {
        columns_freep(&f->c[i]);
        report_curve_finip(&f->m[i]);
    }
}

static void name_member(char *buf, size_t cap, enum along by, double v)
{
    char number[32];
    if (by == ALONG_DEPTH)
        (void)snprintf(buf, cap, "depth %.0f", v);
    else
        (void)snprintf(buf, cap, "%s parameters", svg_number(number, sizeof number, v, "2^"));
}

static void family_make(struct family *f, const struct points_set *s, enum along a, enum along by)
{
    double value[SERIES_MAX] = {0};
    f->n = distinct(s, by, value);
    for (size_t i = 0; i < f->n; i++) {
        f->c[i] = columns_of(s, a, false, by, value[i]);
        report_median(&f->m[i], f->c[i].x, f->c[i].y, f->c[i].n, 0);
        name_member(f->name[i], sizeof f->name[i], by, value[i]);
        f->series[2 * i] = (struct svg_series){.kind = SVG_LINE,
                                               .x = f->m[i].x,
                                               .y = f->m[i].y,
                                               .n = f->m[i].n,
                                               .colour = (int)i,
                                               .thin = true};
        f->series[2 * i + 1] = (struct svg_series){.name = f->name[i],
                                                   .kind = SVG_POINTS,
                                                   .x = f->m[i].x,
                                                   .y = f->m[i].y,
                                                   .n = f->m[i].n,
                                                   .colour = (int)i};
    }
}

static void put_family(struct html *h, const struct points_set *s, const struct cloud *k,
                       enum along by)
{
    struct family f CLEANUP(family_finip) = {0};
    char id[32];
    family_make(&f, s, k->along, by);
    struct svg_chart chart = {
        .title = k->title,
        .desc = k->caption,
        .x = k->x,
        .y = {.label = report_axis(s, false), .scale = SVG_LOG10, .unit = report_unit(s)},
        .series = f.series,
        .nseries = 2 * f.n,
        .markers = k->markers,
        .nmarkers = k->nmarkers};
    (void)snprintf(id, sizeof id, "%s-%s", k->id, s->setting->gpu ? "gpu" : "cpu");
    report_figure(h, id, &chart, "%s", k->caption);
}

/* ---- both ---------------------------------------------------------------------------------------- */

/* Networks that both ran, and only where both costs are of one kind and cover the same. */
static void put_both(struct html *h, const struct points *p)
{
    const struct points_set *cpu = &p->set[POINTS_CPU];
    const struct points_set *gpu = &p->set[POINTS_GPU];
    if (cpu->n == 0 || gpu->n == 0)
        return;
    bool joules =
        cpu->joules && gpu->joules && strcmp(cpu->at[0].run->scope, gpu->at[0].run->scope) == 0;
    const unsigned all = POINTS_DATASET | POINTS_SHAPE | POINTS_DEPTH | POINTS_SIZE;
    double *v CLEANUP(base_freep) = base_alloc(3 * (cpu->n + 1) * sizeof *v);
    double *y[2] = {v + cpu->n + 1, v + 2 * (cpu->n + 1)};
    size_t n = 0;
    for (size_t i = 0, k = 0; i < cpu->n && k < gpu->n;) {
        int rc = points_compare(&cpu->at[i], &gpu->at[k], all);
        if (rc == 0) {
            v[n] = (double)cpu->at[i].run->size;
            y[0][n] = joules ? cpu->at[i].j : cpu->at[i].s;
            y[1][n] = joules ? gpu->at[k].j : gpu->at[k].s;
            n++;
        }
        i += rc <= 0;
        k += rc >= 0;
    }
    struct report_curve m[2];
    struct svg_series series[4];
    static const char *const names[] = {"CPU", "GPU"};
    for (int k = 0; k < 2; k++) {
        report_median(&m[k], v, y[k], n, 0);
        series[2 * k] = (struct svg_series){
            .kind = SVG_LINE, .x = m[k].x, .y = m[k].y, .n = m[k].n, .colour = k};
        series[2 * k + 1] = series[2 * k];
        series[2 * k + 1].kind = SVG_POINTS;
        series[2 * k + 1].name = names[k];
    }
    struct svg_chart chart = {
        .title = "CPU and GPU",
        .desc = "Median cost of a datum against the size of the network, CPU and GPU.",
        .x = {.label = "parameters", .scale = SVG_LOG2, .unit = "2^"},
        .y = {.label = joules ? "energy per datum (J)" : "time per datum (s)",
              .scale = SVG_LOG10,
              .unit = joules ? "J" : "s"},
        .series = series,
        .nseries = ARRAY_LEN(series)};
    report_figure(h, "cpu-gpu", &chart, "Medians over the %zu networks that were run on both.%s", n,
                  joules ? ""
                         : " Compared by time: their joules do not cover the same parts of the "
                           "machine, or are not measured.");
    report_curve_finip(&m[0]);
    report_curve_finip(&m[1]);
}

/* ---- the section --------------------------------------------------------------------------------- */

static void put_class(struct html *h, const struct points_set *s)
{
    struct report_boundaries b;
    char text[200];
    struct svg_axis size = {.label = "parameters", .scale = SVG_LOG2, .unit = "2^"};
    report_boundaries(&b, &s->caches);
    html_element(h, "h3", report_setting(text, sizeof text, s));
    html_elementf(h, "p",
                  "%zu networks, each the median of its repeats%s%s%s. What is counted is training "
                  "alone: start-up and test passes are left out.",
                  s->n, s->joules ? "; joules of " : "", s->joules ? s->at[0].run->scope : "",
                  s->joules ? ", idle power included" : "; costs are times");
    if (s->other > 0)
        html_elementf(h, "p",
                      "%zu more runs were made in another setting (backend, threads, batch or "
                      "machine) and are not in these figures.",
                      s->other);
    put_cloud(h, s,
              &(struct cloud){.id = "rows",
                              .title = "An epoch against the size of the data",
                              .x = {.label = "training rows", .scale = SVG_LOG10, .unit = ""},
                              .along = ALONG_ROWS,
                              .epoch = true,
                              .caption =
                                  "Networks of one data set stand above each other. The study "
                                  "found energy per epoch proportional to the data."});
    put_family(h, s,
               &(struct cloud){.id = "size",
                               .title = "A datum against the size of the network, by depth",
                               .x = size,
                               .along = ALONG_SIZE,
                               .caption =
                                   "Medians over data sets and shapes. Not every size exists "
                                   "for every data set, so the mixture changes with size."},
               ALONG_DEPTH);
    put_family(h, s,
               &(struct cloud){.id = "depth",
                               .title = "A datum against depth, by size",
                               .x = {.label = "layers", .scale = SVG_LINEAR},
                               .along = ALONG_DEPTH,
                               .caption = "Medians over data sets and shapes at equal parameter "
                                          "count. The study found that depth costs energy."},
               ALONG_SIZE);
    put_cloud(h, s,
              &(struct cloud){.id = "f",
                              .title = "A datum against the forward working set",
                              .x = {.label = "forward working set of one core or unit",
                                    .scale = SVG_LOG2,
                                    .unit = "B"},
                              .along = ALONG_F,
                              .bin = BIN_F,
                              .markers = b.at,
                              .nmarkers = b.n,
                              .caption =
                                  "Weights and the largest pair of layers, as placed in the "
                                  "caches of this machine; dotted lines: where a level and all "
                                  "before it are full. The study found plateaus between them."});
    put_cloud(h, s,
              &(struct cloud){
                  .id = "ops",
                  .title = "A datum against the operations of its training",
                  .x = {.label = "multiply-accumulates per datum", .scale = SVG_LOG10, .unit = ""},
                  .along = ALONG_OPS,
                  .bin = BIN_F,
                  .caption = "If operations decided, all points would lie on one line "
                             "of slope 1."});
}

void report_costs(struct html *h, const struct report *r)
{
    bool any = false;
    html_element(h, "h2 id=\"cost\"", "What training costs");
    for (int k = 0; k < POINTS_CLASSES; k++) {
        const struct points_set *s = &r->points.set[k];
        if (s->n > 0)
            put_class(h, s);
        any = any || s->n > 0;
    }
    if (!any)
        html_element(h, "p",
                     "None of these runs can be drawn: there is no finished training run that "
                     "passes the quality filters. Queue some networks with: wattq sweep train "
                     "--dataset standin:mnist --shape rectangle --depth 2,4 --size 2^8,2^12,2^16");
    put_both(h, &r->points);
}
