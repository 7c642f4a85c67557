/* The energy model: its coefficients, what it says of runs it has not seen, and simpler rivals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/report.h"

#define RATIO_LO  0.5 /* range of the histogram; what lies outside is in its outer bins */
#define RATIO_HI  2.0
#define RATIO_BIN 0.05
#define BINS      30

static const char *percent(char *buf, size_t cap, double v)
{
    if (isfinite(v))
        (void)snprintf(buf, cap, "%.1f %%", 100 * v);
    else
        (void)snprintf(buf, cap, "-");
    return buf;
}

/* ---- coefficients -------------------------------------------------------------------------------- */

static void number(char *buf, size_t cap, double v)
{
    (void)snprintf(buf, cap, isfinite(v) ? "%.3g" : "-", v);
}

static void put_law(struct html *h, const char *caption, const struct fit_law *law)
{
    static const char *const heads[] = {"Term", ">Value", ">95 % interval", "Unit", "What it says"};
    struct html_table t;
    char v[3][32];
    html_table_begin(&t, h, caption, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < law->n; i++) {
        const struct fit_term *term = &law->term[i];
        if (!term->name[0])
            continue;
        number(v[0], sizeof v[0], term->value);
        number(v[1], sizeof v[1], term->lo);
        number(v[2], sizeof v[2], term->hi);
        html_cell(&t, term->name);
        html_cell(&t, term->used ? v[0] : "-");
        html_cellf(&t, isfinite(term->lo) && term->used ? "%s .. %s" : "-", v[1], v[2]);
        html_cell(&t, term->unit);
        html_cell(&t, term->used ? term->meaning : "no run has anything there");
    }
    html_table_end(&t);
}

/* ---- errors -------------------------------------------------------------------------------------- */

static void put_errors(struct html_table *t, const char *name, const char *text,
                       const struct fit_errors *e, bool energy)
{
    char b[8][24];
    const struct fit_error *shown = energy ? &e->energy : &e->time;
    html_cell(t, name);
    html_cell(t, text);
    html_cell(t, percent(b[0], sizeof b[0], e->time.mean_abs));
    html_cell(t, percent(b[1], sizeof b[1], e->power.mean_abs));
    html_cell(t, percent(b[2], sizeof b[2], e->energy.mean_abs));
    html_cell(t, percent(b[3], sizeof b[3], shown->median_abs));
    html_cell(t, percent(b[4], sizeof b[4], shown->p90_abs));
    html_cell(t, percent(b[5], sizeof b[5], shown->within10));
}

static void put_error_table(struct html *h, const struct fit *f)
{
    static const char *const heads[] = {"Law",     "How",     ">Time", ">Power",
                                        ">Energy", ">Median", ">90th", ">Within 10 %"};
    bool energy = f->has == FIT_ENERGY;
    char text[80];
    struct html_table t;
    html_table_begin(&t, h,
                     energy
                         ? "Mean relative errors; median, 90th percentile and share within 10 % of "
                           "energy"
                         : "Mean relative errors; median, 90th percentile and share within 10 % of "
                           "time",
                     heads, ARRAY_LEN(heads));
    put_errors(&t, "ours", "runs the fit has seen", &f->inside, energy);
    for (int k = 0; k < FIT_FOLDS; k++) {
        if (f->cv[k].folds == 0)
            continue;
        (void)snprintf(text, sizeof text, "one %s left out, %zu in turn",
                       fit_fold_name((enum fit_fold)k), f->cv[k].folds);
        put_errors(&t, "ours", text, &f->cv[k].error, energy);
    }
    for (int k = 0; k < FIT_RIVAL_COUNT; k++) {
        if (f->rival[k][FIT_BY_SIZE].folds == 0)
            continue;
        (void)snprintf(text, sizeof text, "%s; one size left out",
                       fit_rival_text((enum fit_rival)k));
        put_errors(&t, "rival", text, &f->rival[k][FIT_BY_SIZE].error, energy);
    }
    html_table_end(&t);
}

/* ---- figures ------------------------------------------------------------------------------------- */

/* Predicted over measured, by the law that had not seen the run's size where there is one. */
static double ratio_of(const struct fit_run *r, bool energy)
{
    double out = energy ? r->out_j : r->out_s;
    double in = energy ? r->fit_j : r->fit_s;
    double real = energy ? r->step_j : r->step_s;
    return (isfinite(out) ? out : in) / real;
}

static void put_histogram(struct html *h, const char *id, const struct fit *f, bool energy)
{
    double x[BINS];
    double y[BINS] = {0};
    size_t n = 0;
    for (size_t i = 0; i < BINS; i++)
        x[i] = RATIO_LO + ((double)i + 0.5) * RATIO_BIN;
    for (size_t i = 0; f->run && i < f->runs; i++) {
        double ratio = ratio_of(&f->run[i], energy);
        if (!(energy ? f->run[i].energy : f->run[i].time) || !isfinite(ratio))
            continue;
        double bin = fmin(fmax((ratio - RATIO_LO) / RATIO_BIN, 0), BINS - 1);
        y[(size_t)bin] += 1;
        n++;
    }
    const struct svg_series s = {
        .kind = SVG_BARS, .x = x, .y = y, .n = n ? BINS : 0, .width = RATIO_BIN};
    const struct svg_marker m = {.at = 1, .label = "right"};
    struct svg_chart c = {.title = energy ? "Predicted energy over measured energy"
                                          : "Predicted time over measured time",
                          .desc = "Histogram of runs.",
                          .x = {.label = "predicted / measured"},
                          .y = {.label = "runs", .zero = true},
                          .series = &s,
                          .nseries = 1,
                          .markers = &m,
                          .nmarkers = 1};
    report_figure(
        h, id, &c,
        "%zu runs, each predicted by a law that had not seen its size, where one could be "
        "fitted. Outer bars hold what lies outside.",
        n);
}

static void put_placebo(struct html *h, const char *id, const struct fit_placebo *p)
{
    const struct svg_series s[] = {
        {.kind = SVG_LINE, .x = p->factor, .y = p->error, .n = p->n},
        {.kind = SVG_POINTS, .x = p->factor, .y = p->error, .n = p->n},
    };
    const struct svg_marker m = {.at = 1, .label = "true sizes"};
    struct svg_chart c = {
        .title = "Placebo: what if the caches were larger or smaller",
        .desc = "Error of the time law against the factor by which all caches were scaled.",
        .x = {.label = "caches scaled by", .scale = SVG_LOG2},
        .y = {.label = "mean relative error of time", .unit = "%", .zero = true},
        .series = s,
        .nseries = 2,
        .markers = &m,
        .nmarkers = 1};
    if (p->n > 0)
        report_figure(
            h, id, &c,
            "If the levels of memory do what the law says, the error is least near the true "
            "sizes. %s",
            p->sentence);
}

/* ---- the section --------------------------------------------------------------------------------- */

static void put_noise(struct html *h, const struct fit *f)
{
    char b[3][24];
    if (f->noise.points == 0) {
        html_element(h, "p",
                     "No network was repeated, so it is not known how small the error could be: "
                     "repeats show what no law can foretell.");
        return;
    }
    html_elementf(
        h, "p",
        "Repeats of one network scatter by %s in time and %s in energy (%zu networks): no "
        "law can be better than that.",
        percent(b[0], sizeof b[0], f->noise.time), percent(b[1], sizeof b[1], f->noise.energy),
        f->noise.points);
}

static void put_fit(struct html *h, const struct fit *f, const char *class)
{
    char id[32];
    bool energy = f->has == FIT_ENERGY;
    html_elementf(h, "p",
                  "Fitted to %zu runs of %zu networks for time%s. Time is computing plus moving%s.",
                  f->time_runs, f->time_points,
                  energy ? "" : "; the joules are no measurements, so there is no law of power",
                  f->form == FIT_MAX ? ", whichever is slower" : "");
    if (energy)
        html_elementf(
            h, "p",
            "Power from %zu runs of %zu networks; idle power %.3g W. The study's own model "
            "has a mean relative error of %s on its machine.",
            f->energy_runs, f->energy_points, f->idle_w, f->gpu ? "5.5 % (GPU)" : "21.1 % (CPU)");
    put_noise(h, f);
    put_error_table(h, f);
    (void)snprintf(id, sizeof id, "ratio-%s", class);
    put_histogram(h, id, f, energy);
    put_law(h, "Time: seconds of a training step", &f->time);
    if (energy)
        put_law(h, "Power: what is drawn above idle", &f->power);
    (void)snprintf(id, sizeof id, "placebo-%s", class);
    put_placebo(h, id, &f->placebo);
    html_elementf(h, "p", "What the law leaves over in time: %s", f->left_time.sentence);
    if (energy)
        html_elementf(h, "p", "In energy: %s", f->left_power.sentence);
}

void report_models(struct html *h, const struct report *r)
{
    static const char *const class[] = {"cpu", "gpu"};
    char text[200];
    html_element(h, "h2 id=\"model\"", "The energy model");
    html_element(
        h, "p",
        "Time first, then power: seconds of a step from operations and from the bytes each "
        "level of memory must move, joules from idle power times time plus what operations "
        "and bytes cost.");
    for (int k = 0; k < POINTS_CLASSES; k++) {
        const struct points_set *s = &r->points.set[k];
        if (k == POINTS_GPU && !s->setting)
            continue;
        html_element(h, "h3", report_setting(text, sizeof text, s));
        if (r->model[k].made)
            put_fit(h, &r->model[k].fit, class[k]);
        else
            html_elementf(h, "p", "No model: %s.", r->model[k].why);
    }
}
