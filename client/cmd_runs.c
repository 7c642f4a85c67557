/* runs: the history. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/sel.h"
#include "common/filter.h"
#include "common/units.h"

#define RUNS_SHOWN 20
#define RUNS_MOST  100000

struct wanted {
    const struct args *args;
    int64_t sweep;
    int64_t since;
    int64_t until;
    char *where; /* filter words; NULL = none */
};

static void put_filter(void *arg, struct wire_out *o)
{
    const struct wanted *f = arg;
    const char *state = args_str(f->args, OPT_STATE, NULL);
    const char *label = args_str(f->args, OPT_LABEL, NULL);
    if (state)
        wire_put_str(o, "state", state);
    if (label)
        wire_put_str(o, "label", label);
    if (f->sweep > 0)
        wire_put_int(o, "sweep", f->sweep);
    if (f->since != PRINT_NONE)
        wire_put_int(o, "since_utc_ns", f->since);
    if (f->until != PRINT_NONE)
        wire_put_int(o, "until_utc_ns", f->until);
    if (f->where)
        wire_put_str(o, "where", f->where);
    wire_put_bool(o, "energy", true);
    wire_put_bool(o, "params", true);
}

static const char *const runs_heads[] = {">ID",      "STATE",    ">SWEEP", "STARTED", ">TIME",
                                         ">!ENERGY", ">!BOUNDS", ">POWER", "LABEL",   "COMMAND"};

/* Mean power over the run, from the total and the time; "~" when it is estimated. */
static char *mean_power(const struct wire_val *run)
{
    char buf[40];
    const struct wire_val *figure = print_total(run, "window");
    int64_t ns = wire_int(run, "elapsed_ns", PRINT_NONE);
    double watt = ns == PRINT_NONE ? (double)NAN : print_joule_per(figure, (double)ns / 1e9);
    const char *text = print_power_w(buf, sizeof buf, watt);
    return base_printf("%s%s", print_is_estimate(figure) && *text != '-' ? "~" : "", text);
}

static void put_run_row(struct table *t, const struct wire_val *run)
{
    char buf[40];
    const struct wire_val *figure = print_total(run, "window");
    int64_t sweep = wire_int(run, "sweep", 0);
    table_put(t, "%lld", (long long)wire_int(run, "run", 0));
    table_put(t, "%s", wire_str(run, "state", "?"));
    if (sweep > 0)
        table_put(t, "%lld", (long long)sweep);
    else
        table_put(t, "-");
    table_put(t, "%s", print_ago(buf, sizeof buf, wire_int(run, "started_utc_ns", PRINT_NONE)));
    table_put(t, "%s", print_duration(buf, sizeof buf, wire_int(run, "elapsed_ns", PRINT_NONE)));
    table_take(t, print_energy(figure));
    table_take(t, print_bounds(figure));
    table_take(t, mean_power(run));
    table_put(t, "%s", wire_str(run, "label", ""));
    table_take(t, print_command(run));
}

struct list {
    struct app *app;
    struct table table;
    json_t *json;
};

static int take_run(void *arg, const struct wire_val *run)
{
    struct list *l = arg;
    if (l->app->json)
        (void)json_array_append_new(l->json, json_from_wire(run));
    else if (l->app->quiet)
        (void)fprintf(l->app->print.out, "%lld\n", (long long)wire_int(run, "run", 0));
    else
        put_run_row(&l->table, run);
    return 0;
}

static int named_runs(struct list *l, struct conn *c, const struct sel *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        wire_put_int(conn_begin(c, "show"), "run", s->ids[i]);
        int rc = conn_call(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *run = wire_get(wire_msg_root(m), "run");
        take_run(l, wire_type(run) == WIRE_MAP ? run : wire_msg_root(m));
    }
    return 0;
}

/* What the options ask for, and the words when they are a filter. */
static int take_wanted(struct app *app, struct wanted *f, int64_t *most, struct err *e)
{
    const struct args *a = &app->args;
    *most = args_has(a, OPT_ALL) || args_has(a, OPT_SWEEP) ? RUNS_MOST : RUNS_SHOWN;
    int rc = args_int(a, OPT_COUNT, 1, RUNS_MOST, most, e);
    if (rc == 0)
        rc = args_int(a, OPT_SWEEP, 1, INT64_MAX, &f->sweep, e);
    if (rc == 0)
        rc = args_time(a, OPT_SINCE, &f->since, e);
    if (rc == 0)
        rc = args_time(a, OPT_UNTIL, &f->until, e);
    if (rc == 0)
        rc = sel_filter(&f->where, a->pos, a->npos, e);
    return rc < 0 ? rc : 0;
}

static int list_runs(struct list *l, struct wanted *f, struct err *e)
{
    const struct args *a = &l->app->args;
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel s CLEANUP(sel_finip) = {0};
    int64_t most = 0;
    int rc = take_wanted(l->app, f, &most, e);
    if (rc == 0)
        rc = cmd_connect(l->app, &c, e);
    if (rc == 0 && !f->where)
        rc = sel_runs(&s, c, a->pos, a->npos, e);
    if (rc < 0)
        return rc;
    if (s.sweep > 0) {
        f->sweep = s.sweep;
        most = args_has(a, OPT_COUNT) ? most : RUNS_MOST;
    } else if (s.n > 0) {
        return named_runs(l, c, &s, e);
    }
    return sel_list(c, put_filter, f, most, take_run, l, e);
}

/* Words and options as one filter; NULL = every run. */
static int whole_filter(struct app *app, struct conn *c, char **out, struct err *e)
{
    const struct args *a = &app->args;
    char *words CLEANUP(base_freep) = NULL;
    struct wanted f = {.args = a, .since = PRINT_NONE, .until = PRINT_NONE};
    int rc = args_int(a, OPT_SWEEP, 1, INT64_MAX, &f.sweep, e);
    if (rc == 0)
        rc = args_time(a, OPT_SINCE, &f.since, e);
    if (rc == 0)
        rc = args_time(a, OPT_UNTIL, &f.until, e);
    if (rc == 0)
        rc = sel_where(&words, c, a->pos, a->npos, e);
    if (rc < 0)
        return rc;
    char utc[40];
    size_t bytes = 0;
    char *state CLEANUP(base_freep) = filter_quote(args_str(a, OPT_STATE, ""));
    char *label CLEANUP(base_freep) = filter_quote(args_str(a, OPT_LABEL, ""));
    FILE *o = open_memstream(out, &bytes);
    if (!o)
        abort();
    if (words)
        (void)fprintf(o, " and (%s)", words);
    if (args_has(a, OPT_STATE))
        (void)fprintf(o, " and state = %s", state);
    if (args_has(a, OPT_LABEL))
        (void)fprintf(o, " and label = %s", label);
    if (f.sweep > 0)
        (void)fprintf(o, " and sweep = %lld", (long long)f.sweep);
    if (f.since != PRINT_NONE)
        (void)fprintf(o, " and submit >= %s", units_show_utc(utc, sizeof utc, f.since));
    if (f.until != PRINT_NONE)
        (void)fprintf(o, " and submit <= %s", units_show_utc(utc, sizeof utc, f.until));
    if (fclose(o) != 0)
        abort();
    size_t and = bytes > 0 ? strlen(" and ") : 0;
    memmove(*out, *out + and, bytes - and+1);
    return 0;
}

static int chosen_table(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    char *where CLEANUP(base_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = whole_filter(app, c, &where, e);
    return rc < 0 ? rc : runs_table(app, c, where && *where ? where : NULL, e);
}

int cmd_runs(struct app *app, struct err *e)
{
    const char *verb = app->args.npos > 0 ? app->args.pos[0] : "";
    if (strcmp(verb, "pin") == 0 || strcmp(verb, "unpin") == 0)
        return runs_pinning(app, verb[0] == 'p', e);
    if (args_has(&app->args, OPT_REASON)) {
        err_set(e, WATTQ_E_USAGE, "--reason says why samples are kept");
        return err_next(e, "wattq runs pin 17 --reason 'figure 2'");
    }
    if (runs_table_wanted(app))
        return chosen_table(app, e);
    struct list l = {.app = app, .json = json_array()};
    table_init(&l.table, runs_heads, ARRAY_LEN(runs_heads));
    struct wanted f = {.args = &app->args, .since = PRINT_NONE, .until = PRINT_NONE};
    int rc = list_runs(&l, &f, e);
    free(f.where);
    if (rc == 0 && app->json) {
        json_t *doc = json_object();
        json_put(doc, "schema", json_string("wattq.runs/1"));
        json_put(doc, "runs", json_incref(l.json));
        rc = json_write(app->print.out, doc, false, e);
    } else if (rc == 0 && l.table.n > 0) {
        table_print(&l.table, &app->print);
    } else if (rc == 0 && !app->quiet) {
        cmd_say(app, "no such runs; all of them: wattq runs --all");
    }
    table_fini(&l.table);
    json_decref(l.json);
    return rc;
}
