/* finding: what a sweep of networks says, as one page of text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/chart.h"
#include "client/cmd.h"
#include "client/finding.h"
#include "client/json.h"
#include "client/sel.h"
#include "client/study_load.h"
#include "common/net.h"
#include "daemon/model/qc.h"

#define BAR           24
#define SIZES_SHOWN   64
#define SKIPPED_SHOWN 8

static void head(const struct app *app, const char *title)
{
    (void)fprintf(app->print.out, "\n%s%s%s\n", print_tone_on(&app->print, TONE_BOLD), title,
                  print_tone_off(&app->print, TONE_BOLD));
}

static const char *level_name(const struct finding *f, int home)
{
    return home < 0 || (size_t)home >= f->caches.n ? "-" : f->caches.level[home].name;
}

/* 4096 as 2^12; other numbers as they are. */
static const char *size_text(char *buf, size_t cap, int64_t size)
{
    int k = 0;
    while (k < 62 && INT64_C(1) << k < size)
        k++;
    if (size >= 32 && INT64_C(1) << k == size)
        (void)snprintf(buf, cap, "2^%d", k);
    else
        print_count(buf, cap, size);
    return buf;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const char *const heads[] = {">RUN",        "DATA",       "SHAPE",   ">DEPTH",   ">SIZE",
                                    ">PARAMETERS", ">TEST LOSS", ">TIME",   ">!ENERGY", ">!LO",
                                    ">!HI",        ">!J/DATUM",  "QUALITY", "LIVES IN"};

static void put_row(struct table *t, const struct finding *f, const struct finding_row *r)
{
    char buf[64];
    const char *tilde = r->estimated ? "~" : "";
    table_put(t, "%lld", (long long)r->run);
    table_put(t, "%s%s", r->dataset, r->standin ? " (stand-in)" : "");
    table_put(t, "%s", r->shape);
    table_put(t, "%d", r->depth);
    table_put(t, "%s", size_text(buf, sizeof buf, r->size));
    table_put(t, "%s", print_count(buf, sizeof buf, r->params > 0 ? r->params : PRINT_NONE));
    if (isnan(r->test_loss))
        table_put(t, "-");
    else
        table_put(t, "%.5g", r->test_loss);
    table_put(t, "%s", print_seconds(buf, sizeof buf, r->elapsed_s));
    table_put(t, "%s%s", isnan(r->energy_j) ? "" : tilde,
              print_joules(buf, sizeof buf, r->energy_j));
    table_put(t, "%s", print_bound(buf, sizeof buf, r->lo_j, false));
    table_put(t, "%s", print_bound(buf, sizeof buf, r->hi_j, true));
    table_put(t, "%s%s", isnan(r->j_per_datum) ? "" : tilde,
              print_joules(buf, sizeof buf, r->j_per_datum));
    table_put(t, "%s", r->quality[0] ? r->quality : "-");
    table_put(t, "%s", level_name(f, r->home));
}

static void show_rows(const struct app *app, const struct finding *f)
{
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < f->n; i++)
        put_row(&t, f, &f->rows[i]);
    table_print(&t, &app->print);
    table_fini(&t);
    if (f->rows[0].meter[0])
        (void)fprintf(app->print.out, "meter: %s\n", f->rows[0].meter);
    for (size_t i = 0; i < f->n; i++) {
        if (!f->rows[i].whole_run || isnan(f->rows[i].j_per_datum))
            continue;
        (void)fputs(
            "J/datum of runs without a figure for phase train is of the whole run, start-up "
            "included\n",
            app->print.out);
        return;
    }
}

/* ---- bars by size -------------------------------------------------------------------------------- */

static double largest(const struct finding_size *s, size_t n, bool energy)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double v = energy ? s[i].j_per_datum : s[i].s_per_datum;
        most = isfinite(v) && v > most ? v : most;
    }
    return most;
}

static void put_bar(const struct app *app, double v, double most, const char *text)
{
    char bar[CHART_TEXT];
    chart_bar(bar, sizeof bar, v, most, BAR, app->print.unicode);
    (void)fprintf(app->print.out, "  %10s %s%*s", text, bar, (int)(BAR - print_width(bar)), "");
}

static void show_sizes(const struct app *app, const struct finding *f)
{
    struct finding_size s[SIZES_SHOWN];
    size_t n = finding_by_size(f, s, ARRAY_LEN(s));
    n = n < ARRAY_LEN(s) ? n : ARRAY_LEN(s);
    double most_s = largest(s, n, false);
    double most_j = largest(s, n, true);
    head(app, "Per datum against size (medians; a datum is one training row in one epoch)");
    (void)fprintf(app->print.out, "%8s  %10s %-*s  %10s %-*s  %s\n", "SIZE", "TIME", BAR, "",
                  f->measured ? "ENERGY" : "~ENERGY", BAR, f->measured ? "" : "estimated",
                  "LIVES IN");
    for (size_t i = 0; i < n; i++) {
        char size[32];
        char text[40];
        char joule[44];
        (void)fprintf(app->print.out, "%8s", size_text(size, sizeof size, s[i].size));
        put_bar(app, s[i].s_per_datum, most_s, print_seconds(text, sizeof text, s[i].s_per_datum));
        print_joules(text, sizeof text, s[i].j_per_datum);
        (void)snprintf(joule, sizeof joule, "%s%s", s[i].estimated && *text != '-' ? "~" : "",
                       text);
        put_bar(app, s[i].j_per_datum, most_j, joule);
        (void)fprintf(app->print.out, "  %s%s%s  (%zu)\n", level_name(f, s[i].home_lo),
                      s[i].home_lo == s[i].home_hi ? "" : "..",
                      s[i].home_lo == s[i].home_hi ? "" : level_name(f, s[i].home_hi), s[i].n);
    }
    char caches[200];
    if (f->caches.n > 0)
        (void)fprintf(app->print.out, "this machine: %s\n",
                      caches_show(caches, sizeof caches, &f->caches));
}

/* ---- crossings ------------------------------------------------------------------------------------ */

static void put_crossing(const struct app *app, const struct finding *f, int level,
                         enum finding_cost cost, bool *any)
{
    struct finding_crossing x;
    const char *what = cost == FINDING_TIME ? "time" : "energy";
    finding_cross(&x, f, level, cost);
    if (x.series == 0)
        return;
    *any = true;
    (void)fprintf(app->print.out, "  %s -> %s, %s: ", level_name(f, level),
                  level_name(f, level + 1), what);
    if (x.supported)
        (void)fprintf(app->print.out,
                      "%.2f x what the networks within %s foretell (%zu series, %.2f..%.2f)",
                      x.factor, level_name(f, level), x.series, x.lo, x.hi);
    else if (x.series < 3)
        (void)fprintf(app->print.out,
                      "not supported: only %zu series have two sizes on both sides, it takes 3",
                      x.series);
    else
        (void)fprintf(app->print.out,
                      "not supported: the series disagree (%.2f..%.2f over %zu of them)", x.lo,
                      x.hi, x.series);
    if (!isnan(x.noise))
        (void)fprintf(app->print.out, "; repeats scatter by %.1f %%", 100 * x.noise);
    (void)fputc('\n', app->print.out);
}

static void show_crossings(const struct app *app, const struct finding *f)
{
    bool any = false;
    head(app, "Leaving a cache level");
    for (int level = 0; level + 1 < (int)f->caches.n; level++) {
        put_crossing(app, f, level, FINDING_TIME, &any);
        put_crossing(app, f, level, FINDING_ENERGY, &any);
    }
    if (!any)
        (void)fputs(
            "  the data do not support a factor: no series of networks has two sizes on both sides "
            "of a boundary\n",
            app->print.out);
}

/* ---- the rest ------------------------------------------------------------------------------------- */

static void show_machine(const struct app *app, const struct finding *f)
{
    char a[40];
    head(app, "The machine");
    const char *mark = f->measured ? "" : "~";
    const char *word = f->measured ? "" : " estimated";
    (void)fprintf(app->print.out, "  idle  %s%s%s  %s\n", isnan(f->idle_w) ? "" : mark,
                  print_power_w(a, sizeof a, f->idle_w), isnan(f->idle_w) ? "" : word,
                  isnan(f->idle_w) ? "(not known: no stretch without a run was long enough)"
                                   : f->idle);
    (void)fprintf(app->print.out, "  load  %s%s%s  median over the runs\n",
                  isnan(f->load_w) ? "" : mark, print_power_w(a, sizeof a, f->load_w),
                  isnan(f->load_w) ? "" : word);
    if (f->covers[0])
        (void)fprintf(app->print.out, "  the meter covers: %s\n", f->covers);
    if (!f->measured)
        (void)fputs(
            "  The joules above are ~ estimated from CPU time: good for comparing time, not for "
            "quoting energy.\n  To get measured ones: wattq meters says which meter is here and "
            "what makes it readable.\n",
            app->print.out);
}

static void show_skipped(const struct app *app, const struct finding *f)
{
    if (f->nskipped == 0)
        return;
    head(app, "Left out");
    for (size_t i = 0; i < f->nskipped && i < SKIPPED_SHOWN; i++)
        (void)fprintf(app->print.out, "  %s: %s\n", f->skipped[i].what, f->skipped[i].reason);
    if (f->nskipped > SKIPPED_SHOWN)
        (void)fprintf(app->print.out, "  ... and %zu more: wattq finding --json\n",
                      f->nskipped - SKIPPED_SHOWN);
}

/* The control chart in one line. */
static void show_controls(const struct app *app, const struct finding *f, struct conn *c)
{
    struct qc_chart *charts = NULL;
    struct study s;
    size_t failing = 0;
    bool limits = false;
    if (f->ncontrols == 0)
        return;
    study_init(&s);
    size_t n = study_load(&s, c, f->controls, f->ncontrols, NULL) == 0
                   ? qc_charts(&charts, s.runs, s.n)
                   : 0;
    for (size_t i = 0; i < n; i++) {
        failing += charts[i].failing;
        limits = limits || !isnan(charts[i].lo);
    }
    (void)fprintf(app->print.out, "  control runs  %zu", f->ncontrols);
    if (limits)
        (void)fprintf(app->print.out, ", %zu out of limits", failing);
    else
        (void)fprintf(app->print.out, ", too few for limits");
    (void)fprintf(app->print.out, ": wattq study canary\n");
    qc_charts_free(charts, n);
    study_fini(&s);
}

static void show_next(const struct app *app, const struct finding *f)
{
    const struct finding_row *r = &f->rows[f->n - 1];
    head(app, "Try next");
    (void)fprintf(app->print.out, "  wattq show %lld\n", (long long)r->run);
    (void)fputs("  wattq power --since -10m\n", app->print.out);
    (void)fprintf(
        app->print.out,
        "  wattq sweep --dry-run train --dataset %s%s --shape %s --depth %d --size 2^8..2^20\n",
        net_dataset_find(r->dataset) ? "standin:" : "", r->dataset, r->shape, r->depth);
}

static void show(const struct app *app, const struct finding *f, struct conn *c)
{
    show_rows(app, f);
    show_sizes(app, f);
    show_crossings(app, f);
    show_machine(app, f);
    show_controls(app, f, c);
    show_skipped(app, f);
    show_next(app, f);
}

/* The newest sweep, when nothing is named. */
static int newest_sweep(struct conn *c, int64_t *sweep, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    (void)conn_begin(c, "sweeps");
    int rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *sweeps = wire_get(wire_msg_root(m), "sweeps");
    *sweep = 0;
    for (size_t i = 0; i < wire_len(sweeps); i++) {
        int64_t id = wire_int(wire_at(sweeps, i), "sweep", 0);
        *sweep = id > *sweep ? id : *sweep;
    }
    if (*sweep > 0)
        return 0;
    err_set(e, WATTQ_E_NOT_FOUND, "there is no sweep to find something in");
    return err_next(
        e, "queue one: wattq sweep train --dataset standin:mnist --shape rectangle --depth "
           "2..4 --size 2^5..2^12");
}

static int choose(struct app *app, struct conn *c, struct sel *runs, struct err *e)
{
    char word[40];
    char *words[] = {word, NULL};
    int64_t sweep;
    if (app->args.npos > 0)
        return sel_runs(runs, c, app->args.pos, app->args.npos, e);
    int rc = newest_sweep(c, &sweep, e);
    if (rc < 0)
        return rc;
    (void)snprintf(word, sizeof word, "sweep:%lld", (long long)sweep);
    return sel_runs(runs, c, words, 1, e);
}

int cmd_finding(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    struct finding f;
    int rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = choose(app, c, &runs, e);
    if (rc < 0)
        return rc;
    finding_init(&f);
    rc = finding_read(&f, c, runs.ids, runs.n, e);
    if (rc == 0 && app->json) {
        rc = json_write(app->print.out, finding_json(&f), false, e);
    } else if (rc == 0 && f.n == 0) {
        show_skipped(app, &f);
        err_set(e, WATTQ_E_NOT_FOUND,
                "none of these runs is a finished run of the built-in trainer");
        rc = err_next(e, "look at them with wattq runs, and wait for the queue with wattq wait");
    } else if (rc == 0) {
        show(app, &f, c);
    }
    finding_fini(&f);
    return rc;
}
