/* queue (and bare wattq), wait, runs, info: what is there and how it went. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/chart.h"
#include "client/follow.h"
#include "client/json.h"

#define QUEUE_SHOWN 200
#define ENDED_SHOWN 5
#define RUNS_SHOWN  20
#define RUNS_MOST   100000

/* ---- queue --------------------------------------------------------------------------------------- */

static bool is_live(const struct wire_val *run)
{
    static const char *const live[] = {"held",    "queued", "starting",
                                       "running", "paused", "stopping"};
    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        if (strcmp(wire_str(run, "state", ""), live[i]) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct app *app, const struct wire_val *run)
{
    const char *user = args_str(&app->args, OPT_USER, NULL);
    if (user)
        return strcmp(user, wire_str(run, "user", "")) == 0;
    return args_has(&app->args, OPT_ALL) || wire_int(run, "uid", geteuid()) == geteuid();
}

static void put_queue_row(const struct app *app, struct table *t, const struct wire_val *run)
{
    char buf[40];
    const char *state = wire_str(run, "state", "?");
    int64_t position = wire_int(run, "position", 0);
    table_put(t, "%lld", (long long)wire_int(run, "run", 0));
    table_put(t, "%s", state);
    if (position > 0)
        table_put(t, "%lld", (long long)position);
    else
        table_put(t, "-");
    table_put(t, "%s", print_duration(buf, sizeof buf, wire_int(run, "elapsed_ns", PRINT_NONE)));
    table_put(t, "%s", args_has(&app->args, OPT_ALL) ? wire_str(run, "user", "-") : "-");
    table_put(t, "%s", wire_str(run, "label", ""));
    if (strcmp(state, "held") == 0 || strcmp(state, "queued") == 0)
        table_put(t, "%s", wire_str(run, "waiting_for", "-"));
    else
        table_put(t, "-");
    table_take(t, print_command(run));
}

static const char *const queue_heads[] = {">ID",  "STATE", ">POS",      ">TIME",
                                          "USER", "LABEL", "WAITS FOR", "COMMAND"};

struct queue_view {
    struct app *app;
    struct table live;
    int64_t ended[ENDED_SHOWN];
    size_t nended;
    char *power;
};

/* Cost line and label of one that ended. */
static void show_ended(const struct app *app, struct conn *c, int64_t id)
{
    const struct print *p = &app->print;
    struct wire_msg *m CLEANUP(wire_msg_freep) = cmd_whole_run(c, id);
    if (!m)
        return;
    const struct wire_val *run = wire_get(wire_msg_root(m), "run");
    enum tone tone = print_tone_of(wire_str(run, "state", ""));
    char *line CLEANUP(base_freep) = print_cost_line(run);
    const char *label = wire_str(run, "label", "");
    (void)fprintf(p->out, "%s%s%s%s%s\n", print_tone_on(p, tone), line, print_tone_off(p, tone),
                  *label ? "  " : "", label);
}

static void add_frame(struct queue_view *v, const struct wire_val *reply)
{
    const struct wire_val *runs = wire_get(reply, "runs");
    for (size_t i = 0; i < wire_len(runs); i++) {
        const struct wire_val *run = wire_at(runs, i);
        if (!is_wanted(v->app, run))
            continue;
        if (is_live(run))
            put_queue_row(v->app, &v->live, run);
        else if (v->nended < ENDED_SHOWN)
            v->ended[v->nended++] = wire_int(run, "run", 0);
    }
    if (wire_get(reply, "power") && !v->power)
        v->power = print_power_line(wire_get(reply, "power"));
}

static void show_queue(const struct queue_view *v, struct conn *c)
{
    FILE *f = v->app->print.out;
    if (v->live.n > 0)
        table_print(&v->live, &v->app->print);
    else
        (void)fputs("nothing is queued or running\n", f);
    for (size_t i = 0; i < v->nended; i++) {
        (void)fputs(i == 0 ? "\n" : "", f);
        show_ended(v->app, c, v->ended[i]);
    }
    if (v->power)
        (void)fprintf(f, "\n%s\n", v->power);
}

static void view_fini(struct queue_view *v)
{
    table_fini(&v->live);
    free(v->power);
}

static void begin_queue(const struct app *app, struct conn *c)
{
    struct wire_out *o = conn_begin(c, "queue");
    wire_put_bool(o, "all", args_has(&app->args, OPT_ALL) || args_has(&app->args, OPT_USER));
    wire_put_int(o, "limit", args_has(&app->args, OPT_ALL) ? RUNS_MOST : QUEUE_SHOWN);
}

/* One document from all frames of an answer: arrays of later ones are appended. */
static int collect_json(struct app *app, struct conn *c, const char *schema, struct err *e)
{
    json_t *doc = NULL;
    for (bool more = true; more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        int rc = conn_recv(c, &m, e);
        if (rc < 0) {
            json_decref(doc);
            return rc;
        }
        json_t *one CLEANUP(json_freep) = json_document(schema, wire_msg_root(m));
        json_t *runs = doc ? json_object_get(doc, "runs") : NULL;
        if (runs)
            (void)json_array_extend(runs, json_object_get(one, "runs"));
        if (doc)
            (void)json_object_update_missing(doc, one);
        else
            doc = json_incref(one);
        more = conn_more(m);
    }
    return json_write(app->print.out, doc, false, e);
}

/* Sweeps that go on, and those that were held, with the reason. Older daemons do not know the question. */
static void show_sweeps(const struct app *app, struct conn *c)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    (void)conn_begin(c, "sweeps");
    if (conn_call(c, &m, NULL) < 0)
        return;
    const struct wire_val *sweeps = wire_get(wire_msg_root(m), "sweeps");
    for (size_t i = 0; i < wire_len(sweeps); i++) {
        const struct wire_val *s = wire_at(sweeps, i);
        const char *state = wire_str(s, "state", "ended");
        char bar[CHART_TEXT];
        int64_t total = wire_int(s, "total", 0);
        int64_t over = total - wire_int(s, "queued", 0) - wire_int(s, "running", 0);
        if (strcmp(state, "ended") == 0 || over >= total)
            continue;
        chart_bar(bar, sizeof bar, (double)over, (double)total, 20, app->print.unicode);
        (void)fprintf(
            app->print.out, "sweep %lld %s  [%s%*s] %lld of %lld ended, %lld failed%s%s\n",
            (long long)wire_int(s, "sweep", 0), wire_str(s, "label", ""), bar,
            (int)(20 - print_width(bar)), "", (long long)over, (long long)total,
            (long long)wire_int(s, "failed", 0), strcmp(state, "held") == 0 ? "; held: " : "",
            strcmp(state, "held") == 0 ? wire_str(s, "reason", "no reason") : "");
        if (strcmp(state, "held") == 0)
            (void)fprintf(app->print.out,
                          "  look: wattq logs last; go on: wattq release sweep:%lld\n",
                          (long long)wire_int(s, "sweep", 0));
    }
}

int cmd_queue(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    begin_queue(app, c);
    rc = conn_send(c, e);
    if (rc < 0 || app->json)
        return rc < 0 ? rc : collect_json(app, c, "wattq.queue/1", e);
    struct queue_view v = {.app = app};
    table_init(&v.live, queue_heads, ARRAY_LEN(queue_heads));
    for (bool more = true; rc == 0 && more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc == 0) {
            add_frame(&v, wire_msg_root(m));
            more = conn_more(m);
        }
    }
    if (rc == 0) {
        show_sweeps(app, c);
        show_queue(&v, c);
    }
    view_fini(&v);
    return rc;
}

int cmd_overview(struct app *app, struct err *e)
{
    int rc = cmd_queue(app, e);
    if (rc == 0)
        cmd_say(app, "%s", "\nqueue something: wattq submit -- COMMAND; all commands: wattq help");
    return rc;
}

/* ---- wait ---------------------------------------------------------------------------------------- */

struct waited {
    struct app *app;
    bool ended; /* --for ended */
    int exit_code;
    int rc;
    struct err *e;
};

static void on_waited(void *arg, const struct wire_val *run)
{
    struct waited *w = arg;
    if (w->ended && cmd_exit_of(run) != 0)
        w->exit_code = EXIT_ASKED_FAILED;
    if (w->app->json)
        w->rc = cmd_print_jsonl(w->app, "run", run, w->e);
    else if (w->app->quiet)
        return;
    else if (w->ended)
        follow_print_end(w->app, w->app->print.out, run);
    else
        (void)fprintf(w->app->print.out, "%s %lld\n", wire_str(run, "state", "?"),
                      (long long)wire_int(run, "run", 0));
    (void)fflush(w->app->print.out);
}

static int check_for(const char *what, struct err *e)
{
    if (strcmp(what, "ended") == 0 || strcmp(what, "started") == 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "--for: '%.40s' is nothing to wait for", what);
    return err_next(e, "write --for ended or --for started");
}

int cmd_wait(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    const char *what = args_str(&app->args, OPT_FOR, "ended");
    struct waited w = {.app = app, .ended = strcmp(what, "ended") == 0, .e = e};
    struct follow f = {
        .app = app, .timeout_ns = FOLLOW_FOREVER, .until = what, .on_run = on_waited, .arg = &w};
    int rc = cmd_need(app, 1, "runs to wait for", e);
    if (rc == 0)
        rc = check_for(what, e);
    if (rc == 0)
        rc = args_duration(&app->args, OPT_TIMEOUT, &f.timeout_ns, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_runs(&runs, c, app->args.pos, app->args.npos, e);
    if (rc == 0)
        rc = follow_runs(&f, &runs, e);
    if (rc == 1) {
        cmd_say(app,
                "wattq: the time is up; the runs go on. Wait longer: wattq wait --timeout ...");
        return EXIT_TIMED_OUT;
    }
    if (rc == 0)
        rc = w.rc;
    return rc < 0 ? rc : w.exit_code;
}

/* ---- runs ---------------------------------------------------------------------------------------- */

struct filter {
    const struct args *args;
    int64_t sweep;
    int64_t since;
    int64_t until;
};

static void put_filter(void *arg, struct wire_out *o)
{
    const struct filter *f = arg;
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

static int list_runs(struct list *l, struct err *e)
{
    const struct args *a = &l->app->args;
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel s CLEANUP(sel_finip) = {0};
    struct filter f = {.args = a, .since = PRINT_NONE, .until = PRINT_NONE};
    int64_t most = args_has(a, OPT_ALL) || args_has(a, OPT_SWEEP) ? RUNS_MOST : RUNS_SHOWN;
    int rc = args_int(a, OPT_COUNT, 1, RUNS_MOST, &most, e);
    if (rc == 0)
        rc = args_int(a, OPT_SWEEP, 1, INT64_MAX, &f.sweep, e);
    if (rc == 0)
        rc = args_time(a, OPT_SINCE, &f.since, e);
    if (rc == 0)
        rc = args_time(a, OPT_UNTIL, &f.until, e);
    if (rc == 0)
        rc = cmd_connect(l->app, &c, e);
    if (rc == 0)
        rc = sel_runs(&s, c, a->pos, a->npos, e);
    if (rc < 0)
        return rc;
    if (s.sweep > 0) {
        f.sweep = s.sweep;
        most = args_has(a, OPT_COUNT) ? most : RUNS_MOST;
    } else if (s.n > 0) {
        return named_runs(l, c, &s, e);
    }
    return sel_list(c, put_filter, &f, most, take_run, l, e);
}

int cmd_runs(struct app *app, struct err *e)
{
    struct list l = {.app = app, .json = json_array()};
    table_init(&l.table, runs_heads, ARRAY_LEN(runs_heads));
    int rc = list_runs(&l, e);
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

/* ---- info ---------------------------------------------------------------------------------------- */

int cmd_info(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    char a[40];
    char b[40];
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    (void)conn_begin(c, "info");
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    if (app->json)
        return cmd_print_json(app, "info", r, e);
    const struct wire_val *storage = wire_get(r, "storage");
    const struct wire_val *queue = wire_get(r, "queue");
    FILE *f = app->print.out;
    int64_t cpu_us = wire_int(r, "cpu_us", PRINT_NONE);
    (void)fprintf(f, "wattqd %s, %s mode, runs supervised by %s, up %s\n",
                  wire_str(r, "daemon", "?"), wire_str(r, "mode", "?"),
                  wire_str(r, "supervision", "?"),
                  print_duration(a, sizeof a, wire_int(r, "uptime_ns", PRINT_NONE)));
    (void)fprintf(f, "database %s, %s, %lld samples stored\n", wire_str(storage, "path", "?"),
                  print_bytes(a, sizeof a, wire_int(storage, "bytes", PRINT_NONE)),
                  (long long)wire_int(storage, "samples", 0));
    if (wire_bool(storage, "degraded", false))
        (void)fprintf(f, "STORAGE IS DEGRADED, no run is started: %s\n",
                      wire_str(storage, "reason", "no reason given"));
    (void)fprintf(f, "queue: %lld waiting, %lld running, %lld held; %lld shared runs at once\n",
                  (long long)wire_int(queue, "queued", 0), (long long)wire_int(queue, "running", 0),
                  (long long)wire_int(queue, "held", 0), (long long)wire_int(queue, "parallel", 1));
    (void)fprintf(f, "cost of the daemon itself: %s of CPU time, %s of memory\n",
                  print_duration(a, sizeof a, cpu_us == PRINT_NONE ? cpu_us : cpu_us * NS_PER_US),
                  print_bytes(b, sizeof b, wire_int(r, "rss_bytes", PRINT_NONE)));
    return 0;
}
