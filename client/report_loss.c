/* What it costs to reach a loss: iso-loss lines of every data set, and where their minima lie. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/report.h"
#include "daemon/model/opcount.h"

#define CHARTS_OPEN 3 /* data sets whose charts stand open; the others are folded away */

/* ---- making them ---------------------------------------------------------------------------------- */

static bool belongs(const struct study_run *r, const struct points_set *s, const char *dataset)
{
    return !r->standin && r->role == STUDY_NETWORK && points_same_setting(r, s->setting) &&
           strcmp(r->dataset, dataset) == 0;
}

static void make_one(struct report *r, enum points_class k, const char *dataset)
{
    const struct points_set *s = &r->points.set[k];
    struct report_loss l = {.hardware = k, .dataset = dataset};
    uint32_t without = STUDY_X_TIME | STUDY_X(STANDIN_LOSS);
    l.runs = base_alloc((r->study.n + 1) * sizeof *l.runs);
    l.curves = base_alloc((r->study.n + 1) * sizeof *l.curves);
    for (size_t i = 0; i < r->study.n; i++)
        if (belongs(&r->study.runs[i], s, dataset)) {
            l.runs[l.n] = r->study.runs[i];
            l.curves[l.n++] = r->losses.curves[i];
        }
    if (r->loss_joules)
        without |= STUDY_X_JOULES;
    isoloss_make(&l.iso, l.runs, l.curves, l.n, without, &s->caches);
    l.nseries =
        isoloss_series(&l.series, &l.iso, l.runs, r->loss_joules ? ISOLOSS_ENERGY : ISOLOSS_TIME);
    struct report_loss *p = realloc(r->loss, (r->nloss + 1) * sizeof *p);
    if (!p)
        abort();
    r->loss = p;
    p[r->nloss++] = l;
}

void report_loss_make(struct report *r)
{
    if (!r->losses.curves)
        return;
    r->loss_joules = true; /* one kind of cost for all, so that lines can stand beside each other */
    for (int k = 0; k < POINTS_CLASSES; k++)
        r->loss_joules = r->loss_joules && (r->points.set[k].n == 0 || r->points.set[k].joules);
    for (int k = 0; k < POINTS_CLASSES; k++) {
        const struct points_set *s = &r->points.set[k];
        for (size_t i = 0; i < s->n; i++)
            if ((i == 0 || points_compare(&s->at[i - 1], &s->at[i], POINTS_DATASET) != 0) &&
                !s->at[i].run->standin)
                make_one(r, (enum points_class)k, s->at[i].run->dataset);
    }
}

void report_loss_free(struct report *r)
{
    for (size_t i = 0; i < r->nloss; i++) {
        isoloss_series_free(r->loss[i].series, r->loss[i].nseries);
        isoloss_fini(&r->loss[i].iso);
        free(r->loss[i].runs);
        free(r->loss[i].curves);
    }
    free(r->loss);
}

/* ---- lines ---------------------------------------------------------------------------------------- */

static double operations(const struct study_run *r, double epochs)
{
    struct opcount o;
    struct opcount_case c = {.net = &r->net,
                             .rows_train = r->rows_train,
                             .rows_test = r->rows_test,
                             .batch = (double)r->batch};
    opcount_compute(&o, &c);
    return o.epoch * epochs;
}

/* Doubles and sizes of one line lie behind each other in the block of all lines. */
static void fill_line(struct claims_line *out, const struct report *r, const struct report_loss *l,
                      const struct isoloss_series *s, double *at)
{
    const struct study_run *like = &l->runs[s->like];
    int64_t *size = (int64_t *)(void *)(at + 3 * s->n);
    for (size_t i = 0; i < s->n; i++) {
        const struct isoloss_config *c = &l->iso.config[s->config[i]];
        const struct study_run *run = &l->runs[c->first];
        at[i] = isoloss_cost_of(&s->cost[i], r->loss_joules ? ISOLOSS_ENERGY : ISOLOSS_TIME);
        at[s->n + i] = operations(run, s->cost[i].epochs);
        at[2 * s->n + i] = c->f_bytes;
        size[i] = run->size;
    }
    *out = (struct claims_line){.dataset = l->dataset,
                                .shape = like->shape,
                                .depth = like->net.depth,
                                .gpu = like->gpu,
                                .ordered = s->relaxed != ISOLOSS_ANY,
                                .n = s->n,
                                .size = size,
                                .cost = at,
                                .ops = at + s->n,
                                .f = at + 2 * s->n};
}

void report_loss_lines(struct report *r)
{
    size_t series = 0;
    size_t points = 0;
    for (size_t i = 0; i < r->nloss; i++)
        for (size_t k = 0; k < r->loss[i].nseries; k++, series++)
            points += r->loss[i].series[k].n;
    r->lines = base_alloc((series + 1) * sizeof *r->lines);
    r->line_data = base_alloc((4 * points + 1) * sizeof *r->line_data);
    double *at = r->line_data;
    for (size_t i = 0; i < r->nloss; i++)
        for (size_t k = 0; k < r->loss[i].nseries; k++) {
            const struct isoloss_series *s = &r->loss[i].series[k];
            fill_line(&r->lines[r->nlines++], r, &r->loss[i], s, at);
            at += 4 * s->n;
        }
}

/* ---- all of them together ------------------------------------------------------------------------- */

static const char *cost_name(const struct report *r)
{
    return r->loss_joules ? "energy" : "time";
}

static void put_all(struct html *h, const struct report *r)
{
    size_t points = 0;
    for (size_t i = 0; i < r->nlines; i++)
        points += r->lines[i].n;
    double *x CLEANUP(base_freep) = base_alloc(2 * (points + 1) * sizeof *x);
    double *y = x + points + 1;
    struct svg_series *series CLEANUP(base_freep) = base_alloc((r->nlines + 1) * sizeof *series);
    struct report_boundaries b;
    struct report_curve m CLEANUP(report_curve_finip) = {0};
    size_t at = 0;
    report_boundaries(&b, &r->points.set[POINTS_CPU].caches);
    for (size_t i = 0; i < r->nlines; i++) {
        const struct claims_line *l = &r->lines[i];
        double least = INFINITY;
        for (size_t k = 0; k < l->n; k++)
            least = fmin(least, l->cost[k]);
        series[i] = (struct svg_series){.name = i == 0 ? "one shape and depth" : NULL,
                                        .kind = SVG_LINE,
                                        .x = x + at,
                                        .y = y + at,
                                        .n = l->n,
                                        .thin = true};
        for (size_t k = 0; k < l->n; k++, at++) {
            x[at] = l->f[k];
            y[at] = l->cost[k] / least;
        }
    }
    report_median(&m, x, y, at, 1);
    series[r->nlines] = (struct svg_series){
        .name = "median", .kind = SVG_LINE, .x = m.x, .y = m.y, .n = m.n, .colour = 1};
    struct svg_chart c = {
        .title = "Cost of reaching a loss, over the least",
        .desc = "One line per data set, shape and depth against the forward working set.",
        .x = {.label = "forward working set of one core or unit", .scale = SVG_LOG2, .unit = "B"},
        .y = {.label = "times the least", .scale = SVG_LOG10},
        .series = series,
        .nseries = r->nlines + 1,
        .markers = b.at,
        .nmarkers = b.n};
    report_figure(h, "iso-all", &c,
                  "%zu lines, in %s. Each is at the highest loss that all of its sizes reach. The "
                  "study found a fall to a cache boundary and a rise behind it.",
                  r->nlines, cost_name(r));
}

static void put_minima(struct html *h, const struct report *r)
{
    struct isoloss_histogram n = {0};
    double x[ISOLOSS_LOG2_SLOTS];
    double y[ISOLOSS_LOG2_SLOTS];
    size_t bars = 0;
    struct report_boundaries b;
    report_boundaries(&b, &r->points.set[POINTS_CPU].caches);
    for (size_t i = 0; i < r->nloss; i++)
        isoloss_count(&n, r->loss[i].series, r->loss[i].nseries, &r->loss[i].iso, r->loss[i].runs);
    for (size_t i = 0; i < ISOLOSS_LOG2_SLOTS; i++)
        if (n.by_f[i] > 0) {
            x[bars] = exp2((double)i + 0.5);
            y[bars++] = (double)n.by_f[i];
        }
    const struct svg_series s = {.kind = SVG_BARS, .x = x, .y = y, .n = bars, .width = 2};
    struct svg_chart c = {
        .title = "Where the cheapest networks lie",
        .desc = "How many iso-loss lines have their minimum at a forward working set.",
        .x = {.label = "forward working set at the minimum", .scale = SVG_LOG2, .unit = "B"},
        .y = {.label = "lines", .zero = true},
        .series = &s,
        .nseries = 1,
        .markers = b.at,
        .nmarkers = b.n};
    report_figure(
        h, "minima", &c,
        "%zu minima of %s, those at the smallest and largest size included. In the study half "
        "of them lie between 8 and 16 MiB.",
        n.n, cost_name(r));
}

/* ---- one data set --------------------------------------------------------------------------------- */

static void put_dataset(struct html *h, const struct report *r, const struct report_loss *l,
                        const struct claims_line *lines)
{
    struct svg_series series[2 * SVG_COLOURS];
    double *x CLEANUP(base_freep) = NULL;
    char name[SVG_COLOURS][64];
    char id[32];
    char title[120];
    size_t shown = l->nseries < SVG_COLOURS ? l->nseries : SVG_COLOURS;
    size_t points = 0;
    for (size_t i = 0; i < l->nseries; i++)
        points += lines[i].n;
    x = base_alloc((points + 1) * sizeof *x);
    double *at = x;
    for (size_t i = 0; i < shown; i++) {
        size_t which = shown > 1 ? i * (l->nseries - 1) / (shown - 1) : 0;
        const struct claims_line *line = &lines[which];
        (void)snprintf(name[i], sizeof name[i], "%.30s, depth %d, loss %.3g", line->shape,
                       line->depth, exp(l->series[which].x));
        for (size_t k = 0; k < line->n; k++)
            at[k] = (double)line->size[k];
        series[2 * i] = (struct svg_series){.kind = SVG_LINE,
                                            .x = at,
                                            .y = line->cost,
                                            .n = line->n,
                                            .colour = (int)i,
                                            .thin = true};
        series[2 * i + 1] = series[2 * i];
        series[2 * i + 1].kind = SVG_POINTS;
        series[2 * i + 1].name = name[i];
        at += line->n;
    }
    (void)snprintf(title, sizeof title, "%s, %s: %s to reach a loss", l->dataset,
                   l->hardware == POINTS_GPU ? "GPU" : "CPU", cost_name(r));
    struct svg_chart c = {
        .title = title,
        .desc = "Cost to reach one test loss against the size of the network.",
        .x = {.label = "parameters", .scale = SVG_LOG2, .unit = "2^"},
        .y = {.label = r->loss_joules ? "energy to the loss (J)" : "time to the loss (s)",
              .scale = SVG_LOG10,
              .unit = r->loss_joules ? "J" : "s"},
        .series = series,
        .nseries = 2 * shown};
    (void)snprintf(id, sizeof id, "iso-%zu", (size_t)(l - r->loss));
    report_figure(h, id, &c, "Shape and depth, at the loss named.%s%s",
                  l->iso.apportioned ? " Joules of some runs were spread evenly over their epochs."
                                     : "",
                  shown < l->nseries ? " Not all shapes and depths are drawn." : "");
}

static bool relaxed(const struct report *r)
{
    for (size_t i = 0; i < r->nloss; i++)
        for (size_t k = 0; k < r->loss[i].nseries; k++)
            if (r->loss[i].series[k].relaxed != ISOLOSS_STRICT)
                return true;
    return false;
}

void report_losses(struct html *h, const struct report *r)
{
    const struct claims_line *lines = r->lines;
    size_t charts = 0;
    html_element(h, "h2 id=\"loss\"", "What it costs to reach a loss");
    if (r->nlines == 0) {
        html_element(
            h, "p",
            "There is no iso-loss line: it needs at least 3 sizes of one shape and depth, on "
            "real data (the loss of a stand-in means nothing), whose test losses overlap.");
        return;
    }
    if (relaxed(r))
        html_element(
            h, "p",
            "The study compares levels that networks from 2^14 down to 2^21 up reach. These "
            "runs do not span that: their lines span what there is.");
    put_all(h, r);
    put_minima(h, r);
    for (size_t i = 0; i < r->nloss; i++) {
        if (r->loss[i].nseries == 0)
            continue;
        if (charts++ == CHARTS_OPEN)
            html_raw(h, "<details><summary>More data sets</summary>\n");
        put_dataset(h, r, &r->loss[i], lines);
        lines += r->loss[i].nseries;
    }
    if (charts > CHARTS_OPEN)
        html_raw(h, "</details>\n");
}
