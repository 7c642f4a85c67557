/* plot: power of runs over time, or a metric over epochs. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/pages.h"
#include "client/plot.h"
#include "client/sel.h"
#include "common/units.h"

#define RUNS_MAX    40
#define PIXELS_TERM 600
#define PIXELS_FILE 1000
#define POINTS      1000
#define ROWS        8
#define ROWS_ALONE  16

struct wanted {
    int64_t run;
    int64_t t0_utc_ns, t1_utc_ns; /* PRINT_NONE = it has not started */
    char *name;
    char **parts; /* labels of the channels of its total */
    size_t nparts;
};

struct runs {
    struct wanted at[RUNS_MAX];
    size_t n;
};

static void runs_fini(struct runs *r)
{
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < r->at[i].nparts; k++)
            free(r->at[i].parts[k]);
        free(r->at[i].parts);
        free(r->at[i].name);
    }
}

static int take_run(void *arg, const struct wire_val *run)
{
    struct runs *r = arg;
    struct wanted *w = &r->at[r->n++];
    const struct wire_val *parts = wire_get(run, "energy_parts");
    const char *label = wire_str(run, "label", "");
    *w = (struct wanted){.run = wire_int(run, "run", 0)};
    w->name = base_printf("run %lld%s%s", (long long)w->run, *label ? " " : "", label);
    w->t0_utc_ns = wire_int(run, "started_utc_ns", PRINT_NONE);
    w->t1_utc_ns = wire_int(run, "ended_utc_ns", PRINT_NONE);
    int64_t elapsed = wire_int(run, "elapsed_ns", PRINT_NONE);
    if (w->t0_utc_ns != PRINT_NONE && elapsed != PRINT_NONE)
        w->t1_utc_ns = w->t0_utc_ns + elapsed;
    else if (w->t1_utc_ns == PRINT_NONE)
        w->t1_utc_ns = clock_utc_ns();
    w->parts = base_alloc((wire_len(parts) + 1) * sizeof *w->parts);
    for (size_t i = 0; i < wire_len(parts); i++)
        w->parts[w->nparts++] = base_strdup(wire_str(wire_at(parts, i), "label", "?"));
    return 0;
}

static int load(struct app *app, struct conn *c, struct runs *r, struct err *e)
{
    struct sel s CLEANUP(sel_finip) = {0};
    int rc = sel_runs(&s, c, app->args.pos, app->args.npos, e);
    if (rc < 0)
        return rc;
    if (s.n > RUNS_MAX) {
        err_set(e, WATTQ_E_LIMIT, "%zu runs are too many for one picture (at most %d)", s.n,
                RUNS_MAX);
        return err_next(e, "name fewer");
    }
    return pages_runs(c, s.ids, s.n, take_run, r, e);
}

/* ---- power ---------------------------------------------------------------------------------------- */

/* Is this series asked for: by --channel, else one of the run's total (all powers while it has none)? */
static bool is_wanted(const struct app *app, const struct wanted *w, const struct wire_val *series)
{
    const char *label = wire_str(series, "label", "");
    const char *only = args_str(&app->args, OPT_CHANNEL, NULL);
    if (only)
        return strcmp(only, label) == 0;
    for (size_t i = 0; i < w->nparts; i++)
        if (strcmp(w->parts[i], label) == 0)
            return true;
    return false;
}

/* Mean of a pixel; NAN where nothing is known. */
static double mean_of(const struct wire_val *px)
{
    return wire_type(px) == WIRE_ARRAY ? wire_as_f64(wire_at(px, 2), NAN) : (double)NAN;
}

/* Sum over channels: known only where all are. */
static void add_series(struct plot_curve *c, const struct wanted *w, const struct wire_val *series,
                       bool first)
{
    const struct wire_val *pixels = wire_get(series, "pixels");
    double step = (double)(w->t1_utc_ns - w->t0_utc_ns) / 1e9 / (double)c->n;
    for (size_t i = 0; i < c->n; i++) {
        double v = mean_of(wire_at(pixels, i));
        c->x[i] = ((double)i + 0.5) * step;
        c->y[i] = first ? v : c->y[i] + v;
    }
    c->estimated = c->estimated || strcmp(wire_str(series, "quality", ""), "estimated") == 0;
}

static int plot_power(struct app *app, struct conn *c, struct plot *p, const struct wanted *w,
                      int64_t pixels, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (w->t0_utc_ns == PRINT_NONE || w->t1_utc_ns <= w->t0_utc_ns) {
        (void)plot_add(p, w->name, 0);
        return 0;
    }
    struct wire_out *o = conn_begin(c, "power");
    wire_put_int(o, "since_utc_ns", w->t0_utc_ns);
    wire_put_int(o, "until_utc_ns", w->t1_utc_ns);
    wire_put_int(o, "pixels", pixels);
    int rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *series = wire_get(wire_msg_root(m), "series");
    struct plot_curve *curve = NULL;
    for (size_t i = 0; i < wire_len(series); i++) {
        const struct wire_val *s = wire_at(series, i);
        bool first = !curve;
        if (!is_wanted(app, w, s))
            continue;
        if (first)
            curve = plot_add(p, w->name, wire_len(wire_get(s, "pixels")));
        add_series(curve, w, s, first);
    }
    if (curve)
        return 0;
    const char *only = args_str(&app->args, OPT_CHANNEL, NULL);
    if (!only) {
        (void)plot_add(p, w->name, 0);
        return 0;
    }
    err_set(e, WATTQ_E_NOT_FOUND, "no channel '%.60s' was sampled while run %lld was on", only,
            (long long)w->run);
    return err_next(e, "wattq meters --all lists them");
}

/* ---- metrics -------------------------------------------------------------------------------------- */

static void take_curve(struct plot *p, const struct runs *r, const struct wire_val *curve)
{
    const struct wire_val *points = wire_get(curve, "points");
    const char *name = "?";
    for (size_t i = 0; i < r->n; i++)
        if (r->at[i].run == wire_int(curve, "run", 0))
            name = r->at[i].name;
    struct plot_curve *c = plot_add(p, name, wire_len(points));
    for (size_t i = 0; i < c->n; i++) {
        c->x[i] = wire_as_f64(wire_at(wire_at(points, i), 0), (double)i);
        c->y[i] = wire_as_f64(wire_at(wire_at(points, i), 1), NAN);
    }
}

static int plot_metric(struct conn *c, struct plot *p, const struct runs *r, const char *key,
                       struct err *e)
{
    struct wire_out *o = conn_begin(c, "curves");
    wire_begin_array(o, "runs");
    for (size_t i = 0; i < r->n; i++)
        wire_put_int(o, NULL, r->at[i].run);
    wire_end(o);
    wire_begin_array(o, "keys");
    wire_put_str(o, NULL, key);
    wire_end(o);
    wire_put_int(o, "points", POINTS);
    int rc = conn_send(c, e);
    for (bool again = true; rc == 0 && again;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *curves = wire_get(wire_msg_root(m), "curves");
        for (size_t i = 0; i < wire_len(curves); i++)
            take_curve(p, r, wire_at(curves, i));
        again = conn_more(m);
    }
    if (rc == 0 && p->n == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "none of these runs reported a metric '%.60s'", key);
        rc = err_next(e, "wattq show RUN lists what a run reported");
    }
    return rc;
}

/* ---- the command ---------------------------------------------------------------------------------- */

static int write_file(const char *path, const struct plot *p, struct err *e)
{
    struct html h CLEANUP(html_finip) = {0};
    plot_svg(p, &h);
    FILE *f = fopen(path, "we");
    if (!f)
        return err_errno(e, WATTQ_E_IO, "cannot write %s", path);
    bool good = fwrite(h.s, 1, h.n, f) == h.n;
    good = fclose(f) == 0 && good;
    return good ? 0 : err_errno(e, WATTQ_E_IO, "cannot write %s", path);
}

static int print_json(const struct app *app, const struct plot *p, struct err *e)
{
    json_t *doc = json_object();
    json_t *curves = json_array();
    for (size_t i = 0; i < p->n; i++) {
        const struct plot_curve *c = &p->curves[i];
        json_t *o = json_object();
        json_t *points = json_array();
        for (size_t k = 0; k < c->n; k++)
            (void)json_array_append_new(
                points, json_pack("[o, o]", json_number(c->x[k]), json_number(c->y[k])));
        json_put(o, "name", json_text(c->name, strlen(c->name)));
        json_put(o, "estimated", json_boolean(c->estimated));
        json_put(o, "points", points);
        (void)json_array_append_new(curves, o);
    }
    json_put(doc, "schema", json_string("wattq.plot/1"));
    json_put(doc, "x", json_string(p->x_unit ? p->x_unit : p->x_label));
    json_put(doc, "y", json_string(p->y_unit ? p->y_unit : p->y_label));
    json_put(doc, "curves", curves);
    return json_write(app->print.out, doc, false, e);
}

static int draw(struct app *app, struct conn *c, struct plot *p, const struct runs *r,
                struct err *e)
{
    const char *path = args_str(&app->args, OPT_OUT, NULL);
    const char *key = args_str(&app->args, OPT_METRIC, NULL);
    int rc = 0;
    if (key)
        rc = plot_metric(c, p, r, key, e);
    for (size_t i = 0; !key && rc == 0 && i < r->n; i++)
        rc = plot_power(app, c, p, &r->at[i], path ? PIXELS_FILE : PIXELS_TERM, e);
    if (rc == 0 && path)
        rc = write_file(path, p, e);
    else if (rc == 0 && app->json)
        rc = print_json(app, p, e);
    else if (rc == 0)
        plot_terminal(p, &app->print, p->n == 1 ? ROWS_ALONE : ROWS);
    if (rc == 0 && path)
        cmd_say(app, "%s: %zu curve%s", path, p->n, p->n == 1 ? "" : "s");
    return rc;
}

int cmd_plot(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct runs r = {.n = 0};
    const char *key = args_str(&app->args, OPT_METRIC, NULL);
    const char *channel = args_str(&app->args, OPT_CHANNEL, NULL);
    struct plot p = {.title = key       ? key
                              : channel ? channel
                                        : "Power of the machine",
                     .x_label = key ? "epochs" : "time since the start",
                     .x_unit = key ? NULL : "s",
                     .y_label = key ? key : "power",
                     .y_unit = key ? NULL : "W",
                     .from_zero = !key};
    int rc = cmd_need(app, 1, "runs", e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = load(app, c, &r, e);
    if (rc == 0)
        rc = draw(app, c, &p, &r, e);
    plot_fini(&p);
    runs_fini(&r);
    return rc;
}
