/* sweep: a grid of runs. Expanded here only to show it (--dry-run) and to count it; the daemon gets the
 * grid as written and expands it with the same code and the same seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cost.h"
#include "client/design.h"
#include "client/json.h"
#include "client/sign.h"
#include "client/submit.h"
#include "client/sweep.h"
#include "common/net.h"
#include "common/units.h"
#include "daemon/queue/queue.h"

#define MANY_RUNS     1000 /* more need --yes */
#define SKIPPED_SHOWN 5    /* of each reason */

struct sweep {
    struct job job;
    struct train_args train;
    struct spec_axis axes[SPEC_PARAMS_MAX];
    struct queue_sweep q;
    struct design design; /* of a sweep of networks */
    struct conn *c;       /* NULL = not connected (yet) */
};

static void sweep_finip(struct sweep *s)
{
    for (size_t i = 0; i < s->q.naxes; i++)
        spec_axis_fini(&s->axes[i]);
    train_args_finip(&s->train);
    design_finip(&s->design);
    conn_close(s->c);
    job_fini(&s->job);
}

/* ---- axes ---------------------------------------------------------------------------------------- */

static int add_axis(struct sweep *s, const char *text, struct err *e)
{
    if (s->q.naxes == ARRAY_LEN(s->axes)) {
        err_set(e, WATTQ_E_USAGE, "a sweep has at most %zu keys", ARRAY_LEN(s->axes));
        return err_next(e, "split it into several sweeps");
    }
    int rc = spec_axis_parse(&s->axes[s->q.naxes], text, e);
    if (rc == 0)
        s->q.naxes++;
    return rc;
}

/* "--shape all", "--dataset all": every one of the study's. */
static char *all_of(const char *key)
{
    bool shape = strcmp(key, "shape") == 0;
    char *text = base_printf("%s=", key);
    size_t n = shape ? (size_t)NET_SHAPES : net_dataset_count;
    for (size_t i = 0; i < n; i++) {
        const char *name = shape ? net_shape_name((enum net_shape)i) : net_datasets[i].name;
        char *longer = base_printf("%s%s%s", text, i ? "," : "", name);
        free(text);
        text = longer;
    }
    return text;
}

/* The four keys of the grid may be lists: each becomes an axis and leaves the trainer's arguments. */
static int train_axes(struct sweep *s, struct err *e)
{
    static const char *const keys[] = {"dataset", "shape", "depth", "size"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = train_args_get(&s->train, keys[i]);
        if (!value)
            continue;
        bool all = strcmp(value, "all") == 0 && i < 2;
        char *text CLEANUP(base_freep) =
            all ? all_of(keys[i]) : base_printf("%s=%s", keys[i], value);
        int rc = add_axis(s, text, e);
        if (rc < 0)
            return rc;
        train_args_drop(&s->train, keys[i]);
    }
    return 0;
}

static int check_datasets(struct sweep *s, struct err *e)
{
    for (size_t i = 0; i < s->q.naxes; i++) {
        struct spec_axis *a = &s->axes[i];
        for (size_t k = 0; strcmp(a->key, "dataset") == 0 && k < a->n; k++) {
            char *full = NULL;
            int rc = train_dataset(&full, &s->train, a->values[k], e);
            if (rc < 0)
                return rc;
            free(a->values[k]);
            a->values[k] = full;
        }
    }
    return 0;
}

/* ---- the whole sweep ----------------------------------------------------------------------------- */

static int read_order(struct sweep *s, const struct args *a, struct err *e)
{
    const char *order = args_str(a, OPT_ORDER, "random");
    s->q.random = strcmp(order, "random") == 0;
    if (!s->q.random && strcmp(order, "given") != 0) {
        err_set(e, WATTQ_E_USAGE, "--order: '%.40s' is not an order", order);
        return err_next(e, "write --order random or --order given");
    }
    s->q.seed = clock_utc_ns() / NS_PER_MS % 1000000;
    s->q.repeat = 1;
    s->q.max_fails = 5;
    int rc = args_int(a, OPT_SEED, 0, INT64_MAX, &s->q.seed, e);
    if (rc == 0)
        rc = args_int(a, OPT_REPEAT, 1, SPEC_SWEEP_RUNS, &s->q.repeat, e);
    if (rc == 0)
        rc = args_int(a, OPT_MAX_RUNNING, 1, SPEC_SWEEP_RUNS, &s->q.max_running, e);
    return rc == 0 ? args_int(a, OPT_MAX_FAILS, 1, SPEC_SWEEP_RUNS, &s->q.max_fails, e) : rc;
}

static int read_train(struct sweep *s, struct app *app, struct err *e)
{
    struct args *a = &app->args;
    struct args rest = *a;
    a->pos =
        NULL; /* what follows "train" is parsed again: our options may stand among the trainer's */
    a->npos = 0;
    opt_set ours =
        (OPT_COMMON | app->cmd->options) & ~OPT(CPUS); /* that one is the trainer's too */
    int rc = opt_parse(a, ours, OPT_PASS, (int)rest.npos - 1, rest.pos + 1, e);
    free(rest.pos);
    app->json = args_has(a, OPT_JSON);
    app->quiet = args_has(a, OPT_BARE);
    if (rc == 0)
        rc = train_args_init(&s->train, a, 0, e);
    return rc == 0 ? train_axes(s, e) : rc;
}

/* The meters say how long a run must be; a dry run does without them where there is no daemon. */
static int read_design(struct sweep *s, struct app *app, struct err *e)
{
    int rc = cmd_connect(app, &s->c, e);
    if (rc < 0 && !args_has(&app->args, OPT_DRY_RUN))
        return rc;
    return design_init(&s->design, &app->args, &s->train, &s->q, s->c, e);
}

static int read_axes(struct sweep *s, const struct args *a, struct err *e)
{
    for (size_t i = 0; i < a->n[OPT_PARAM]; i++) {
        int rc = add_axis(s, a->value[OPT_PARAM][i], e);
        if (rc < 0)
            return rc;
    }
    if (s->q.naxes > 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "a sweep needs at least one list of values");
    return err_next(e, "wattq sweep -p lr=0.1,0.01 -- python train.py --lr {lr}");
}

static int sweep_init(struct sweep *s, struct app *app, struct err *e)
{
    struct args *a = &app->args;
    bool train = !a->dashes && strcmp(a->pos[0], "train") == 0;
    int rc = train ? read_train(s, app, e) : 0;
    if (rc == 0)
        rc = read_order(s, a, e);
    if (rc == 0)
        rc = read_axes(s, a, e);
    if (rc == 0 && train)
        rc = check_datasets(s, e);
    if (rc == 0)
        rc = train ? read_design(s, app, e) : design_refuse(a, e);
    if (rc == 0 && !train)
        rc = design_pause(a, &s->design.pause_ns, e);
    if (rc < 0)
        return rc;
    rc = train ? job_init(&s->job, SPEC_TRAIN, a, false, s->train.argv, s->train.n, e)
               : job_init(&s->job, SPEC_COMMAND, a, false, a->pos, a->npos, e);
    if (rc == 0 && train)
        rc = train_params(&s->job.spec, &s->train, e);
    if (rc == 0 && s->design.pause_ns > 0 && !s->job.spec.exclusive) {
        err_set(e, WATTQ_E_USAGE, "--pause and --shared contradict each other");
        return err_next(e, "beside other runs nothing is idle: leave one of them out");
    }
    s->job.spec.pause_ns = s->design.pause_ns;
    s->q.run = &s->job.spec;
    s->q.axes = s->axes;
    base_strcpy(s->q.label, sizeof s->q.label, s->job.spec.label);
    return rc;
}

/* ---- talk ---------------------------------------------------------------------------------------- */

/* Points left out, by reason: the first few of each, then how many more. */
static void tell_skipped(const struct app *app, const struct queue_skipped *skipped, size_t n)
{
    bool *told CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *told);
    if (n > 0)
        cmd_say(app, "left out %zu:", n);
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = i; !told[i] && k < n; k++) {
            if (k != i && (told[k] || strcmp(skipped[i].reason, skipped[k].reason) != 0))
                continue;
            if (same++ < SKIPPED_SHOWN)
                cmd_say(app, "  %s: %s", skipped[k].params, skipped[k].reason);
            told[k] = k != i || told[k];
        }
        if (same > SKIPPED_SHOWN)
            cmd_say(app, "  ... and %zu more for the same reason", same - SKIPPED_SHOWN);
    }
}

static const char *param_of(const struct spec *s, const char *key)
{
    for (size_t i = 0; i < s->nparams; i++)
        if (strcmp(s->params[i].key, key) == 0)
            return s->params[i].value;
    return NULL;
}

static json_t *params_json(const struct spec *s)
{
    json_t *params = json_object();
    for (size_t i = 0; i < s->nparams; i++)
        json_put(params, s->params[i].key,
                 json_text(s->params[i].value, strlen(s->params[i].value)));
    return params;
}

/* The whole grid, as it would be queued. */
struct grid {
    struct spec *specs;
    size_t n;
    struct queue_skipped *skipped;
    size_t nskipped;
};

static void grid_finip(struct grid *g)
{
    queue_expand_free(g->specs, g->n, g->skipped, g->nskipped);
}

/* ---- the plan of a sweep of networks --------------------------------------------------------------- */

/* The backend and CPUs of the sweep hold for the calibration as well. */
static void calibrate(struct cost_rates *r, const struct sweep *s)
{
    static const char *const shared[] = {"backend", "precision", "cpus"};
    struct train_args extra CLEANUP(train_args_finip) = {0};
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        const char *value = train_args_get(&s->train, shared[i]);
        if (value)
            train_args_set(&extra, shared[i], value);
    }
    cost_calibrate(r, s->c, extra.argv, extra.n);
}

/* The newest model of the sweep's backend, if there is one, knows this machine better than a calibration. */
static bool by_model(struct sweep_forecast *p, const struct sweep *s, const struct grid *g)
{
    struct model *m CLEANUP(model_finip) = NULL;
    const char *backend = train_args_get(&s->train, "backend");
    bool any = !backend || strcmp(backend, "auto") == 0;
    if (!s->c || model_load(&m, s->c, 0, NULL, any ? NULL : backend, NULL) < 0)
        return false;
    predict_grid(&p->grid, &m->fit, g->specs, g->n);
    p->model = m->id;
    p->cost = (struct cost){.runs = g->n,
                            .unknown = p->grid.unknown,
                            .run_s = p->grid.run_s.value,
                            .longest_s = p->grid.longest_s};
    for (size_t i = 0; i < g->n; i++)
        p->cost.pause_s += spec_idle_s(&g->specs[i]);
    p->cost.energy_j = p->grid.run_j.value + p->cost.pause_s * m->fit.idle_w;
    if (p->cost.unknown == p->cost.runs)
        p->cost.energy_j = NAN;
    if (isnan(p->cost.energy_j))
        p->cost.reason = m->fit.has == FIT_ENERGY ? "nothing is known of these data"
                                                  : "the model was fitted without measured joules";
    return true;
}

/* By a model, else by a calibration, which is made once for all that ask. */
static void foretell(struct sweep_forecast *p, const struct sweep *s, const struct grid *g,
                     struct cost_rates *rates, bool *calibrated)
{
    *p = (struct sweep_forecast){
        .runs = g->n, .left_out = g->nskipped, .repeat = s->q.repeat, .length = s->design.length};
    for (size_t i = 0; i < g->n; i++) {
        const char *role = param_of(&g->specs[i], "role");
        const char *block = param_of(&g->specs[i], "block");
        size_t n = block ? strtoul(block, NULL, 10) : 0;
        p->canaries += role && strcmp(role, "canary") == 0;
        p->warmups += role && strcmp(role, "warmup") == 0;
        p->blocks = n > p->blocks ? n : p->blocks;
    }
    p->networks = (g->n - p->canaries - p->warmups) / (size_t)s->q.repeat;
    if (by_model(p, s, g))
        return;
    if (!*calibrated)
        calibrate(rates, s);
    *calibrated = true;
    cost_of_specs(&p->cost, rates, g->specs, g->n);
}

static json_t *interval_json(const struct sweep_forecast *p, double seconds)
{
    return p->model > 0 ? json_number(seconds) : json_null();
}

static json_t *plan_json(const struct sweep_forecast *p, const struct sweep *s)
{
    const struct design_length *l = &p->length;
    json_t *o = json_object();
    json_put(o, "networks", json_integer((json_int_t)p->networks));
    json_put(o, "repeat", json_integer(p->repeat));
    json_put(o, "canaries", json_integer((json_int_t)p->canaries));
    json_put(o, "warmups", json_integer((json_int_t)p->warmups));
    json_put(o, "blocks", json_integer((json_int_t)p->blocks));
    json_put(o, "pause_s", json_number((double)s->design.pause_ns / 1e9));
    json_put(o, "train_s", l->seconds > 0 ? json_number(l->seconds) : json_null());
    json_put(o, "rel_error", l->why[0] ? json_number(l->reached) : json_null());
    json_put(o, "meter", l->why[0] ? json_text(l->why, strlen(l->why)) : json_null());
    bool known = p->cost.unknown < p->cost.runs;
    json_put(o, "seconds", known ? json_number(p->cost.run_s + p->cost.pause_s) : json_null());
    json_put(o, "longest_s", known ? json_number(p->cost.longest_s) : json_null());
    json_put(o, "model", p->model > 0 ? json_integer(p->model) : json_null());
    json_put(o, "outside_model", json_integer((json_int_t)p->grid.outside));
    json_put(o, "seconds_lo", interval_json(p, p->grid.run_s.lo + p->cost.pause_s));
    json_put(o, "seconds_hi", interval_json(p, p->grid.run_s.hi + p->cost.pause_s));
    json_put(o, "runs_not_known", json_integer((json_int_t)p->cost.unknown));
    json_put(o, "energy_j", json_number(p->cost.energy_j));
    json_put(o, "estimated", json_boolean(p->cost.estimate));
    json_put(o, "reason", p->cost.reason ? json_string(p->cost.reason) : json_null());
    return o;
}

static void tell_model(const struct app *app, const struct sweep_forecast *p)
{
    char lo[40];
    char hi[40];
    cmd_say(app, "(foretold by model %lld: the runs alone take %s to %s; the longest about %.3g s)",
            (long long)p->model, print_duration(lo, sizeof lo, (int64_t)(p->grid.run_s.lo * 1e9)),
            print_duration(hi, sizeof hi, (int64_t)(p->grid.run_s.hi * 1e9)), p->grid.longest_s);
    if (p->grid.outside > 0)
        cmd_say(app, "%zu of the runs lie beyond what that model has seen", p->grid.outside);
    if (p->cost.reason)
        cmd_say(app, "no energy: %s", p->cost.reason);
}

static void tell_plan(const struct app *app, const struct sweep_forecast *p,
                      const struct cost_rates *rates)
{
    char text[400];
    cmd_say(app, "%zu networks x %lld repeats, %zu control runs in %zu blocks, %s warm-up",
            p->networks, (long long)p->repeat, p->canaries, p->blocks, p->warmups ? "a" : "no");
    cmd_say(app, "%s", design_say_length(text, sizeof text, &p->length));
    cmd_say(app, "%s", cost_say(text, sizeof text, &p->cost));
    if (p->model > 0)
        tell_model(app, p);
    else if (rates->n > 0)
        cmd_say(app,
                "(foretold from a calibration of 1.2 s just now; the longest run takes about "
                "%.3g s)",
                p->cost.longest_s);
}

static int dry_run_json(const struct app *app, const struct sweep *s, const struct grid *g,
                        struct err *e)
{
    json_t *runs = json_array();
    json_t *skipped = json_array();
    for (size_t i = 0; i < g->n; i++)
        (void)json_array_append_new(runs, params_json(&g->specs[i]));
    for (size_t i = 0; i < g->nskipped; i++) {
        json_t *one = json_object();
        json_put(one, "params", json_string(g->skipped[i].params));
        json_put(one, "reason", json_string(g->skipped[i].reason));
        (void)json_array_append_new(skipped, one);
    }
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.sweep_dry_run/1"));
    json_put(doc, "count", json_integer((json_int_t)g->n));
    json_put(doc, "seed", json_integer(s->q.seed));
    json_put(doc, "runs", runs);
    json_put(doc, "skipped", skipped);
    if (s->job.spec.kind == SPEC_TRAIN) {
        struct sweep_forecast p;
        struct cost_rates rates = {0};
        bool calibrated = false;
        foretell(&p, s, g, &rates, &calibrated);
        json_put(doc, "plan", plan_json(&p, s));
    }
    return json_write(app->print.out, doc, false, e);
}

static int dry_run(const struct app *app, const struct sweep *s, const struct grid *g,
                   struct err *e)
{
    if (app->json)
        return dry_run_json(app, s, g, e);
    static const char *const ours[] = {"role", "block", "repeat"};
    const char *heads[SPEC_PARAMS_MAX + 5];
    struct table t;
    size_t columns = 0;
    heads[columns++] = ">N";
    for (size_t i = 0; i < s->q.naxes; i++)
        heads[columns++] = s->axes[i].key;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        heads[columns++] = ours[i];
    heads[columns++] = "COMMAND";
    table_init(&t, heads, columns);
    for (size_t i = 0; i < g->n; i++) {
        const struct spec *one = &g->specs[i];
        table_put(&t, "%zu", i + 1);
        for (size_t k = 1; k + 1 < columns; k++)
            table_put(&t, "%s", param_of(one, heads[k]) ? param_of(one, heads[k]) : "");
        table_put(&t, "%s%s", one->kind == SPEC_TRAIN ? "wattq-train " : "", one->argv[0]);
        for (size_t k = 1; k < one->argc; k++) {
            char *longer = base_printf("%s %s", t.cells[t.n - 1], one->argv[k]);
            free(t.cells[t.n - 1]);
            t.cells[t.n - 1] = longer;
        }
    }
    table_print(&t, &app->print);
    table_fini(&t);
    cmd_say(app, "would queue %zu runs (order %s, seed %lld); nothing was queued", g->n,
            s->q.random ? "random" : "given", (long long)s->q.seed);
    if (s->job.spec.kind == SPEC_TRAIN) {
        struct sweep_forecast p;
        struct cost_rates rates = {0};
        bool calibrated = false;
        foretell(&p, s, g, &rates, &calibrated);
        tell_plan(app, &p, &rates);
    }
    tell_skipped(app, g->skipped, g->nskipped);
    return 0;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static void put_words(struct wire_out *o, const char *key, char *const *words, size_t n)
{
    wire_begin_array(o, key);
    for (size_t i = 0; i < n; i++)
        wire_put_str(o, NULL, words[i]);
    wire_end(o);
}

static void put_request(struct sweep *s, struct wire_out *o)
{
    wire_begin_map(o, "sweep");
    job_put(&s->job, o);
    wire_begin_array(o, "axes");
    for (size_t i = 0; i < s->q.naxes; i++) {
        wire_begin_map(o, NULL);
        wire_put_str(o, "key", s->axes[i].key);
        wire_begin_array(o, "values");
        for (size_t k = 0; k < s->axes[i].n; k++)
            wire_put_str(o, NULL, s->axes[i].values[k]);
        wire_end(o);
        wire_end(o);
    }
    wire_end(o);
    wire_put_str(o, "order", s->q.random ? "random" : "given");
    wire_put_int(o, "seed", s->q.seed);
    wire_put_int(o, "repeat", s->q.repeat);
    wire_put_str(o, "label", s->q.label);
    wire_put_int(o, "max_fails", s->q.max_fails);
    if (s->q.max_running > 0)
        wire_put_int(o, "max_running", s->q.max_running);
    if (s->q.canary_every > 0) {
        wire_put_int(o, "canary_every", s->q.canary_every);
        put_words(o, "canary", s->q.canary, s->q.ncanary);
    }
    if (s->q.nwarmup > 0)
        put_words(o, "warmup", s->q.warmup, s->q.nwarmup);
    wire_end(o);
}

static int send_sweep(const struct app *app, struct sweep *s, const struct grid *g, int64_t *sweep,
                      struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = s->c ? 0 : cmd_connect(app, &s->c, e);
    if (rc < 0)
        return rc;
    job_settle(&s->job, &app->args, conn_hello(s->c));
    job_find_code(&s->job);
    rc = sign_runs(s->c, g->specs, g->n, &s->job.spec, e);
    if (rc < 0)
        return rc;
    put_request(s, conn_begin(s->c, "sweep"));
    rc = conn_call(s->c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    long long id = (long long)wire_int(r, "sweep", 0);
    if (sweep)
        *sweep = id;
    if (app->json && !sweep)
        return cmd_print_json(app, "sweep", r, e);
    if (app->json)
        return 0;
    (void)fprintf(app->print.out, "%lld\n", id);
    cmd_say(app, "queued %lld runs as sweep %lld: runs %lld to %lld, order %s, seed %lld",
            (long long)wire_int(r, "runs", 0), id, (long long)wire_int(r, "first", 0),
            (long long)wire_int(r, "last", 0), s->q.random ? "random" : "given",
            (long long)s->q.seed);
    if (s->job.spec.kind == SPEC_TRAIN) {
        char text[400];
        cmd_say(app, "%s", design_say_length(text, sizeof text, &s->design.length));
    }
    tell_skipped(app, g->skipped, g->nskipped);
    cmd_say(app, "watch it: wattq top; when it is done: wattq %s sweep:%lld",
            s->job.spec.kind == SPEC_TRAIN ? "finding" : "runs", id);
    return 0;
}

static int refuse_size(const struct app *app, const struct grid *g, struct err *e)
{
    if (g->n == 0) {
        tell_skipped(app, g->skipped, g->nskipped);
        err_set(e, WATTQ_E_INVALID, "no point of this grid can be trained, so nothing was queued");
        return err_next(e, "choose larger sizes, fewer layers or another shape");
    }
    if (g->n > MANY_RUNS && !args_has(&app->args, OPT_YES)) {
        err_set(e, WATTQ_E_USAGE, "this sweep has %zu runs; nothing was queued", g->n);
        return err_next(e, "look at them with --dry-run, or say --yes");
    }
    return 0;
}

static int run_sweep(struct app *app, int64_t *sweep, struct err *e)
{
    struct sweep s CLEANUP(sweep_finip) = {0};
    struct grid g CLEANUP(grid_finip) = {0};
    int rc = cmd_need(app, 1, "a command, or `train`", e);
    if (rc == 0)
        rc = sweep_init(&s, app, e);
    if (rc == 0)
        rc = queue_expand(&s.q, &g.specs, &g.n, &g.skipped, &g.nskipped, e);
    if (rc < 0)
        return rc;
    if (args_has(&app->args, OPT_DRY_RUN))
        return dry_run(app, &s, &g, e);
    rc = refuse_size(app, &g, e);
    return rc == 0 ? send_sweep(app, &s, &g, sweep, e) : rc;
}

int cmd_sweep(struct app *app, struct err *e)
{
    return run_sweep(app, NULL, e);
}

/* ---- for other commands ---------------------------------------------------------------------------- */

/* The command line of a sweep beside that of the command which asks for it: same socket, same output. */
static int borrow(struct app *mine, const struct app *app, char *const *words, size_t n,
                  struct err *e)
{
    *mine = *app;
    mine->cmd = cmd_find("sweep");
    mine->args = (struct args){0};
    char **argv CLEANUP(base_freep) = base_alloc((n + 5) * sizeof *argv);
    static char option[] = "--socket";
    static char json[] = "--json";
    static char quiet[] = "--bare";
    size_t k = 0;
    if (args_has(&app->args, OPT_SOCKET)) {
        argv[k++] = option;
        argv[k++] = (char *)(uintptr_t)args_str(&app->args, OPT_SOCKET, "");
    }
    if (app->json)
        argv[k++] = json;
    if (app->quiet)
        argv[k++] = quiet;
    memcpy(argv + k, words, n * sizeof *argv);
    return opt_parse(&mine->args, OPT_COMMON | mine->cmd->options, mine->cmd->mode, (int)(k + n),
                     argv, e);
}

int sweep_foretell(struct sweep_forecast *out, const struct app *app, char *const *words, size_t n,
                   struct cost_rates *rates, bool *calibrated, struct err *e)
{
    struct sweep s CLEANUP(sweep_finip) = {0};
    struct grid g CLEANUP(grid_finip) = {0};
    struct app mine;
    int rc = borrow(&mine, app, words, n, e);
    if (rc == 0)
        rc = sweep_init(&s, &mine, e);
    if (rc == 0)
        rc = queue_expand(&s.q, &g.specs, &g.n, &g.skipped, &g.nskipped, e);
    if (rc == 0)
        foretell(out, &s, &g, rates, calibrated);
    args_fini(&mine.args);
    return rc;
}

int sweep_queue(const struct app *app, char *const *words, size_t n, int64_t *sweep, struct err *e)
{
    struct app mine;
    int rc = borrow(&mine, app, words, n, e);
    if (rc == 0)
        rc = run_sweep(&mine, sweep, e);
    args_fini(&mine.args);
    return rc;
}
