/* queue (and bare wattq), wait, info: what is there and how it went. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/chart.h"
#include "client/follow.h"
#include "client/json.h"
#include "client/train_backends.h"

#define QUEUE_SHOWN 200
#define ENDED_SHOWN 5
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
    char *audit; /* what does not add up; NULL = nothing */
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
    if (*wire_str(reply, "audit", "") && !v->audit)
        v->audit = base_strdup(wire_str(reply, "audit", ""));
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
    if (v->audit)
        (void)fprintf(f, "IT DOES NOT ADD UP, see wattq audit: %s\n", v->audit);
}

static void view_fini(struct queue_view *v)
{
    table_fini(&v->live);
    free(v->power);
    free(v->audit);
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

/* ---- info ---------------------------------------------------------------------------------------- */

#define LOG_SAY_BYTES                                                                              \
    (INT64_C(64) << 20) /* daemon/store/health.h says it to the log from there on */

static void show_sampling(FILE *f, const struct wire_val *sampling)
{
    double span_s = (double)wire_int(sampling, "span_ns", 0) / 1e9;
    double cpu_s = (double)wire_int(sampling, "cpu_us", 0) / 1e6;
    if (span_s <= 0)
        return; /* an older daemon does not say */
    (void)fprintf(f, "sampling: %lld channels, %.0f readings a second, %.3f %% of a core\n",
                  (long long)wire_int(sampling, "channels", 0),
                  (double)wire_int(sampling, "readings", 0) / span_s, 100 * cpu_s / span_s);
}

static void show_storage(FILE *f, const struct wire_val *storage)
{
    char a[40], b[40];
    int64_t log_bytes = wire_int(storage, "log_bytes", 0);
    int64_t budget = wire_int(storage, "budget_bytes", PRINT_NONE);
    (void)fprintf(f, "database %s, %s%s%s, %lld samples stored\n", wire_str(storage, "path", "?"),
                  print_bytes(a, sizeof a, wire_int(storage, "bytes", PRINT_NONE)),
                  budget == PRINT_NONE ? "" : " of ",
                  budget == PRINT_NONE ? "" : print_bytes(b, sizeof b, budget),
                  (long long)wire_int(storage, "samples", 0));
    if (wire_bool(storage, "over_budget", false))
        (void)fprintf(f,
                      "it is above its budget, and no samples are left that may be thinned out\n");
    if (log_bytes >= LOG_SAY_BYTES)
        (void)fprintf(f, "its log has grown to %s: some program reads it without end\n",
                      print_bytes(a, sizeof a, log_bytes));
    if (!wire_bool(storage, "degraded", false))
        return;
    (void)fprintf(f, "STORAGE IS DEGRADED, no run is started: %s\n",
                  wire_str(storage, "reason", "no reason given"));
    (void)fprintf(f, "  for %s; %lld samples wait in memory\n",
                  print_duration(a, sizeof a, wire_int(storage, "degraded_ns", PRINT_NONE)),
                  (long long)wire_int(storage, "waiting", 0));
}

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
    json_t *trainer CLEANUP(json_freep) = train_backends(conn_train_path(c));
    if (app->json) {
        json_t *doc = json_document("wattq.info/1", r);
        json_put(doc, "trainer", json_incref(trainer));
        return json_write(app->print.out, doc, false, e);
    }
    const struct wire_val *storage = wire_get(r, "storage");
    const struct wire_val *queue = wire_get(r, "queue");
    FILE *f = app->print.out;
    int64_t cpu_us = wire_int(r, "cpu_us", PRINT_NONE);
    (void)fprintf(f, "wattqd %s, %s mode, runs supervised by %s, up %s\n",
                  wire_str(r, "daemon", "?"), wire_str(r, "mode", "?"),
                  wire_str(r, "supervision", "?"),
                  print_duration(a, sizeof a, wire_int(r, "uptime_ns", PRINT_NONE)));
    show_storage(f, storage);
    if (wire_str(r, "blocked", NULL))
        (void)fprintf(f, "NO RUN IS STARTED: %s\n", wire_str(r, "blocked", ""));
    const struct wire_val *gpus = wire_get(r, "gpus_out");
    for (size_t i = 0; i < wire_len(gpus); i++) {
        const struct wire_val *gpu = wire_at(gpus, i);
        (void)fprintf(f, "GIVEN TO NO NEW RUN: %s, %s\n",
                      wire_str(gpu, "label", wire_str(gpu, "device", "?")),
                      wire_str(gpu, "out", "no reason given"));
    }
    if (*wire_str(r, "audit", ""))
        (void)fprintf(f, "IT DOES NOT ADD UP, see wattq audit: %s\n", wire_str(r, "audit", ""));
    (void)fprintf(f, "queue: %lld waiting, %lld running, %lld held; ",
                  (long long)wire_int(queue, "queued", 0), (long long)wire_int(queue, "running", 0),
                  (long long)wire_int(queue, "held", 0));
    int64_t parallel = wire_int(queue, "parallel", 1);
    if (parallel > 0)
        (void)fprintf(f, "%lld shared runs at once\n", (long long)parallel);
    else
        (void)fprintf(f, "shared runs at once: as many as CPUs, memory and GPUs allow\n");
    (void)fprintf(f, "cost of the daemon itself: %s of CPU time, %s of memory\n",
                  print_duration(a, sizeof a, cpu_us == PRINT_NONE ? cpu_us : cpu_us * NS_PER_US),
                  print_bytes(b, sizeof b, wire_int(r, "rss_bytes", PRINT_NONE)));
    show_sampling(f, wire_get(r, "sampling"));
    char *line CLEANUP(base_freep) = train_backends_line(trainer);
    (void)fprintf(f, "%s\n", line);
    return 0;
}
