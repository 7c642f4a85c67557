/* How it was measured: the meters, the windows, repeats and blocks, the control chart. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "client/report.h"
#include "common/units.h"
#include "daemon/model/stats.h"

/* ---- meters -------------------------------------------------------------------------------------- */

static const char *dash(const char *s)
{
    return *s ? s : "-";
}

static void put_meter(struct html_table *t, const struct wire_val *m)
{
    char buf[32];
    int64_t period = wire_int(m, "period_ns", 0);
    int64_t ppm = wire_int(m, "accuracy_ppm", PRINT_NONE);
    html_cell(t, wire_str(m, "label", "?"));
    html_cell(t, dash(wire_str(m, "source", "")));
    html_cell(t, dash(wire_str(m, "scope", "")));
    html_cell(t, dash(wire_str(m, "quality", "")));
    html_cell(t, wire_bool(m, "in_total", false) ? "yes" : "no");
    html_cell(t, dash(wire_str(m, "kind", "")));
    html_cell(t, period > 0 ? print_seconds(buf, sizeof buf, (double)period / 1e9) : "-");
    if (ppm == PRINT_NONE)
        html_cell(t, "none stated");
    else
        html_cellf(t, "%.3g %%", (double)ppm / 1e4);
    html_cell(t, dash(wire_str(m, "covers", "")));
}

static void put_meters(struct html *h, const struct report *r)
{
    static const char *const heads[] = {"Meter",   "Source", "Scope",    "Quality", "In the total",
                                        "Reading", ">Every", "Accuracy", "Covers"};
    const struct wire_val *all = r->meters ? wire_get(wire_msg_root(r->meters), "channels") : NULL;
    struct html_table t;
    html_element(h, "h3", "Meters");
    if (r->study.covers[0])
        html_elementf(h, "p", "What the joules cover, and what not: %s.", r->study.covers);
    if (wire_len(all) == 0) {
        html_element(h, "p", "The daemon names no meter.");
        return;
    }
    html_table_begin(&t, h, "Power meters of this machine", heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(all); i++) {
        const struct wire_val *m = wire_at(all, i);
        const char *unit = wire_str(m, "unit", "");
        if (strcmp(unit, "uJ") == 0 || strcmp(unit, "uW") == 0)
            put_meter(&t, m);
    }
    html_table_end(&t);
}

/* ---- windows, repeats ---------------------------------------------------------------------------- */

static double median_by(const struct report *r, double (*fn)(const struct study_run *run))
{
    double *v CLEANUP(base_freep) = base_alloc((r->study.n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < r->study.n; i++) {
        double x = fn(&r->study.runs[i]);
        if (isfinite(x))
            v[n++] = x;
    }
    return stats_median(v, n);
}

static double window_s(const struct study_run *run)
{
    return run->run_s;
}

static double bound_width(const struct study_run *run)
{
    return run->quality == STUDY_ESTIMATED ? (double)NAN : (run->hi_j - run->lo_j) / run->run_j;
}

static double idle_w(const struct study_run *run)
{
    return run->quality == STUDY_ESTIMATED ? (double)NAN : run->idle_w;
}

static void put_windows(struct html *h, const struct report *r)
{
    char a[32];
    char b[32];
    double width = median_by(r, bound_width);
    double idle = median_by(r, idle_w);
    html_element(h, "h3", "Windows and bounds");
    html_elementf(
        h, "p",
        "A run's window opens when its program is let go and closes when its last process is "
        "gone; the median window is %s. Meters are read all the time, independent of runs, "
        "and once more at each edge of a window.",
        print_seconds(a, sizeof a, median_by(r, window_s)));
    html_element(
        h, "p",
        "Energy per datum is that of the phase in which the network was trained, over the rows "
        "that were really seen; start-up and test passes are outside of it.");
    if (isfinite(width))
        html_elementf(
            h, "p",
            "Where a counter gives hard bounds, they lie %.2g %% of the energy apart (median). "
            "The bounds say what the meter counted, not how accurate the meter is.",
            100 * width);
    if (isfinite(idle))
        html_elementf(h, "p",
                      "With no run on, the machine drew %s (median); that is inside of all joules.",
                      print_power_w(b, sizeof b, idle));
}

static void put_design(struct html *h, const struct report *r)
{
    size_t warmup = 0;
    size_t canary = 0;
    size_t points = 0;
    size_t repeated = 0;
    int64_t blocks = 0;
    for (size_t i = 0; i < r->study.n; i++) {
        warmup += r->study.runs[i].role == STUDY_WARMUP;
        canary += r->study.runs[i].role == STUDY_CANARY;
        blocks = r->study.runs[i].block > blocks ? r->study.runs[i].block : blocks;
    }
    for (int k = 0; k < POINTS_CLASSES; k++)
        for (size_t i = 0; i < r->points.set[k].n; i++) {
            points++;
            repeated += r->points.set[k].at[i].repeats > 1;
        }
    html_element(h, "h3", "Repeats, blocks, controls");
    html_elementf(
        h, "p",
        "%zu of %zu networks were run more than once; figures show the median. %zu warm-up runs "
        "were thrown away, %zu control runs of one fixed network watch the machine, in %lld "
        "blocks.",
        repeated, points, warmup, canary, (long long)blocks);
    if (repeated == 0)
        html_element(
            h, "p",
            "Without repeats nobody can tell a difference from noise: wattq sweep --repeat 3.");
}

/* ---- control chart ------------------------------------------------------------------------------- */

static void put_chart(struct html *h, const struct qc_chart *c, size_t nth)
{
    char id[32];
    double *v CLEANUP(base_freep) = base_alloc(3 * (c->n + 1) * sizeof *v);
    double *good = v + c->n + 1;
    double *bad = v + 2 * (c->n + 1);
    bool joules = c->quantity == QC_ENERGY;
    for (size_t i = 0; i < c->n; i++) {
        v[i] = (double)(i + 1);
        good[i] = c->points[i].failing ? (double)NAN : c->points[i].value;
        bad[i] = c->points[i].failing ? c->points[i].value : (double)NAN;
    }
    const struct svg_series s[] = {
        {.name = "control run", .kind = SVG_POINTS, .x = v, .y = good, .n = c->n},
        {.name = c->failing ? "out of its limits" : NULL,
         .kind = SVG_POINTS,
         .x = v,
         .y = bad,
         .n = c->n,
         .colour = 3},
    };
    const struct svg_marker m[] = {{.at = c->hi, .label = "upper limit", .horizontal = true},
                                   {.at = c->centre, .label = "median", .horizontal = true},
                                   {.at = c->lo, .label = "lower limit", .horizontal = true}};
    struct svg_chart chart = {.title = joules ? "Control runs: energy" : "Control runs: time",
                              .desc = "The same network again and again, in the order it ran.",
                              .x = {.label = "control run, in order"},
                              .y = {.label = joules ? "energy per datum (J)" : "time per datum (s)",
                                    .unit = joules ? "J" : "s"},
                              .series = s,
                              .nseries = ARRAY_LEN(s),
                              .markers = m,
                              .nmarkers = ARRAY_LEN(m)};
    (void)snprintf(id, sizeof id, "control-%zu", nth);
    if (isnan(c->sigma))
        report_figure(h, id, &chart,
                      "%s, sweep %lld. With fewer than %d control runs there are no limits.",
                      c->network, (long long)c->sweep, QC_CHART_LEAST);
    else
        report_figure(
            h, id, &chart,
            "%s, sweep %lld: %zu of %zu are out of their limits (%.0f robust standard "
            "deviations, at least %.0f %%). The block of one that is does not enter fits.",
            c->network, (long long)c->sweep, c->failing, c->n, QC_CHART_SIGMAS,
            100 * QC_CHART_FLOOR);
}

void report_method(struct html *h, const struct report *r)
{
    html_element(h, "h2 id=\"method\"", "How it was measured");
    put_meters(h, r);
    if (r->study.n > 0) {
        put_windows(h, r);
        put_design(h, r);
    }
    for (size_t i = 0; i < r->ncharts; i++)
        put_chart(h, &r->charts[i], i);
}
