/* usage: who used how much. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/sel.h"
#include "client/usage.h"
#include "common/units.h"

#define PAGE     10000
#define GPUS_MAX 64

enum by { BY_USER, BY_PROJECT, BY_GPU, BY_DAY };

/* Columns of the rows that are asked for; those of GPUs follow. */
enum {
    C_ID,
    C_USER,
    C_PROJECT,
    C_START,
    C_TIME,
    C_CPU,
    C_GPU,
    C_ENERGY,
    C_LO,
    C_HI,
    C_ATTRIBUTED,
    C_FLAGS,
    C_N
};
static const char *const columns[C_N] = {"id",   "user", "project",    "start",
                                         "time", "cpu",  "gpu",        "energy",
                                         "lo",   "hi",   "attributed", "flags"};

struct question {
    struct app *app;
    enum by by;
    struct usage_factors f;
    int64_t since, until; /* PRINT_NONE = open */
    char *where;
    char *gpus[GPUS_MAX]; /* labels */
    size_t ngpus;
    struct usage u;
};

/* ---- asking --------------------------------------------------------------------------------------- */

static int64_t integer(const struct wire_val *row, size_t i)
{
    return wire_as_int(wire_at(row, i), USAGE_UNKNOWN);
}

/* A cell of joules: [value or nil, quality, reason]. */
static int64_t joules(const struct wire_val *row, size_t i)
{
    return wire_as_int(wire_at(wire_at(row, i), 0), USAGE_UNKNOWN);
}

static const char *quality(const struct wire_val *row, size_t i)
{
    return wire_as_str(wire_at(wire_at(row, i), 1), "");
}

static const char *text(const struct wire_val *row, size_t i)
{
    return wire_as_str(wire_at(row, i), "");
}

/* The local day a run began. */
static const char *day_of(char *buf, size_t cap, int64_t utc_ns)
{
    time_t t = (time_t)(utc_ns / NS_PER_S);
    struct tm tm;
    if (utc_ns == USAGE_UNKNOWN || !localtime_r(&t, &tm) || !strftime(buf, cap, "%Y-%m-%d", &tm))
        base_strcpy(buf, cap, "?");
    return buf;
}

static void add_gpus(struct question *q, const struct wire_val *row, struct usage_run r)
{
    r.lo_uj = r.hi_uj = USAGE_UNKNOWN; /* a column of one channel has no bounds, and no share */
    r.attributed_uj = USAGE_UNKNOWN;
    r.gpu_ns = USAGE_UNKNOWN; /* of all its GPUs together */
    for (size_t i = 0; i < q->ngpus; i++) {
        r.energy_uj = joules(row, C_N + i);
        r.quality = quality(row, C_N + i);
        if (r.energy_uj != USAGE_UNKNOWN)
            usage_add(&q->u, q->gpus[i], &r);
    }
}

static void add_row(struct question *q, const struct wire_val *row)
{
    char day[32];
    struct usage_run r = {.run_ns = integer(row, C_TIME),
                          .cpu_ns = integer(row, C_CPU),
                          .energy_uj = joules(row, C_ENERGY),
                          .lo_uj = joules(row, C_LO),
                          .hi_uj = joules(row, C_HI),
                          .quality = quality(row, C_ENERGY),
                          .attributed_uj = joules(row, C_ATTRIBUTED),
                          .gpu_ns = integer(row, C_GPU),
                          .shared = strstr(text(row, C_FLAGS), "overlap") != NULL};
    const char *project = text(row, C_PROJECT);
    switch (q->by) {
    case BY_USER:
        usage_add(&q->u, text(row, C_USER), &r);
        return;
    case BY_PROJECT:
        usage_add(&q->u, *project ? project : "(none)", &r);
        return;
    case BY_DAY:
        usage_add(&q->u, day_of(day, sizeof day, integer(row, C_START)), &r);
        return;
    case BY_GPU:
        break;
    }
    add_gpus(q, row, r);
}

static void put_request(struct question *q, struct conn *c, int64_t before)
{
    struct wire_out *o = conn_begin(c, "table");
    wire_put_str(o, "where", q->where);
    wire_put_int(o, "limit", PAGE);
    if (before > 0)
        wire_put_int(o, "before", before);
    wire_begin_array(o, "columns");
    for (size_t i = 0; i < C_N; i++)
        wire_put_str(o, NULL, columns[i]);
    for (size_t i = 0; i < q->ngpus; i++) {
        char *name CLEANUP(base_freep) = base_printf("energy.\"%s\"", q->gpus[i]);
        wire_put_str(o, NULL, name);
    }
    wire_end(o);
}

static int ask(struct question *q, struct conn *c, struct err *e)
{
    int64_t before = 0;
    do {
        put_request(q, c, before);
        int rc = conn_send(c, e);
        before = 0;
        for (bool again = true; rc == 0 && again;) {
            struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
            rc = conn_recv(c, &m, e);
            if (rc < 0)
                return rc;
            const struct wire_val *rows = wire_get(wire_msg_root(m), "rows");
            for (size_t i = 0; i < wire_len(rows); i++)
                add_row(q, wire_at(rows, i));
            again = conn_more(m);
            before = wire_int(wire_msg_root(m), "next", 0);
        }
        if (rc < 0)
            return rc;
    } while (before > 0);
    return 0;
}

/* Labels of every channel of scope gpu; one whose label has a quote in it cannot be named as a column. */
static int find_gpus(struct question *q, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    (void)conn_begin(c, "meters");
    int rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *channels = wire_get(wire_msg_root(m), "channels");
    for (size_t i = 0; i < wire_len(channels) && q->ngpus < GPUS_MAX; i++) {
        const struct wire_val *ch = wire_at(channels, i);
        const char *label = wire_str(ch, "label", "");
        const char *kind = wire_str(ch, "kind", "");
        bool energy = strcmp(kind, "companion") != 0 && strcmp(kind, "cpu_time") != 0;
        if (strcmp(wire_str(ch, "scope", ""), "gpu") != 0 || !energy || !*label ||
            strchr(label, '"'))
            continue;
        q->gpus[q->ngpus++] = base_strdup(label);
    }
    if (q->ngpus > 0)
        return 0;
    err_set(e, WATTQ_E_UNAVAILABLE, "no meter of this machine covers a GPU");
    return err_next(e, "wattq meters lists what there is");
}

/* Runs that have ended here, in words of the filter language. */
static int make_where(struct question *q, struct err *e)
{
    const struct args *a = &q->app->args;
    char *words CLEANUP(base_freep) = NULL;
    char from[40];
    char to[40];
    int rc = sel_filter(&words, a->pos, a->npos, e);
    if (rc == 1) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' is no filter", a->pos[0]);
        rc = err_next(e, "name runs by what they have: wattq usage project=thesis");
    }
    if (rc < 0)
        return rc;
    bool since = q->since != PRINT_NONE;
    bool until = q->until != PRINT_NONE;
    q->where = base_printf("%s%s%send is not null and origin = ''%s%s%s%s", words ? "(" : "",
                           words ? words : "", words ? ") and " : "", since ? " and start ge " : "",
                           since ? units_show_utc(from, sizeof from, q->since) : "",
                           until ? " and start lt " : "",
                           until ? units_show_utc(to, sizeof to, q->until) : "");
    return 0;
}

/* ---- for people ----------------------------------------------------------------------------------- */

static void put_factor(struct table *t, double kwh, double factor, double scale)
{
    if (isnan(factor))
        table_put(t, "-");
    else
        table_put(t, "%.4g", kwh * factor * scale);
}

static void put_sum(struct table *t, const struct question *q, const struct usage_sum *s,
                    const char *tilde)
{
    if (s->runs == 0) {
        for (int i = 0; i < 4; i++)
            table_put(t, "-");
        return;
    }
    double kwh = usage_kwh(s->uj);
    table_put(t, "%s%.4g", tilde, kwh);
    if (s->bounded == s->runs)
        table_put(t, "%.4g..%.4g", usage_kwh(s->lo_uj), usage_kwh(s->hi_uj));
    else
        table_put(t, "-");
    put_factor(t, kwh, q->f.price, 1);
    put_factor(t, kwh, q->f.co2_g, 1e-3);
}

static void put_group(struct table *t, const struct question *q, const struct usage_group *g)
{
    static const char *const tildes[] = {"", "", "~", ""};
    int64_t unknown = 0;
    for (int r = 0; r < USAGE_REASONS; r++)
        unknown += g->unknown[r];
    table_put(t, "%s", g->name);
    table_put(t, "%lld", (long long)g->runs);
    table_put(t, "%.4g", (double)g->run_ns / 3.6e12);
    table_put(t, "%s%.4g", g->cpu_unknown ? ">= " : "", (double)g->cpu_ns / 3.6e12);
    if (g->gpu_runs > 0)
        table_put(t, "%.4g", (double)g->gpu_ns / 3.6e12);
    else
        table_put(t, "-");
    for (int s = 0; s < USAGE_QUALITIES; s++)
        put_sum(t, q, &g->sum[s], tildes[s]);
    if (unknown > 0)
        table_put(t, "%lld runs", (long long)unknown);
    else
        table_put(t, "-");
}

#define SUM_COLUMNS 4
#define HEADS       5 /* before the sums */

static void show(const struct question *q)
{
    static const char *const names[] = {"USER", "PROJECT", "GPU", "DAY"};
    static const char *const words[] = {"", " MODELLED", " ESTIMATED", " APPORTIONED"};
    char *made[USAGE_QUALITIES * SUM_COLUMNS];
    const char *heads[HEADS + 1 + USAGE_QUALITIES * SUM_COLUMNS] = {names[q->by], ">RUNS", ">HOURS",
                                                                    ">CPU HOURS", ">GPU HOURS"};
    FILE *f = q->app->print.out;
    struct table t;
    for (int s = 0; s < USAGE_QUALITIES; s++) {
        made[SUM_COLUMNS * s] = base_printf(">%skWh%s", s == 0 ? "!" : "", words[s]);
        made[SUM_COLUMNS * s + 1] = base_printf(">BOUNDS%s", words[s]);
        made[SUM_COLUMNS * s + 2] =
            base_printf(">%s%s", q->f.currency[0] ? q->f.currency : "COST", words[s]);
        made[SUM_COLUMNS * s + 3] = base_printf(">kg CO2%s", words[s]);
    }
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        heads[HEADS + i] = made[i];
    heads[HEADS + ARRAY_LEN(made)] = ">ENERGY UNKNOWN";
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < q->u.n; i++)
        put_group(&t, q, &q->u.groups[i]);
    if (q->u.n > 1)
        put_group(&t, q, &q->u.total);
    table_print(&t, &q->app->print);
    table_fini(&t);
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        free(made[i]);
    for (int r = 0; r < USAGE_REASONS; r++)
        if (q->u.total.unknown[r] > 0)
            (void)fprintf(f, "%lld runs count without energy: %s\n",
                          (long long)q->u.total.unknown[r],
                          usage_reason_text((enum usage_reason)r));
    if (!isnan(q->f.price))
        (void)fprintf(f, "price: %.4g %s/kWh, as asked\n", q->f.price, q->f.currency);
    if (!isnan(q->f.co2_g))
        (void)fprintf(f, "CO2: %.4g g/kWh, as asked\n", q->f.co2_g);
}

/* ---- for programs --------------------------------------------------------------------------------- */

static json_t *sum_json(const struct question *q, const struct usage_sum *s)
{
    if (s->runs == 0)
        return json_null();
    json_t *o = json_object();
    bool bounded = s->bounded == s->runs;
    double kwh = usage_kwh(s->uj);
    json_put(o, "runs", json_integer(s->runs));
    json_put(o, "energy_j", json_number((double)s->uj / 1e6));
    json_put(o, "lo_j", bounded ? json_number((double)s->lo_uj / 1e6) : json_null());
    json_put(o, "hi_j", bounded ? json_number((double)s->hi_uj / 1e6) : json_null());
    json_put(o, "energy_kwh", json_number(kwh));
    json_put(o, "cost", json_number(kwh * q->f.price));
    json_put(o, "co2_g", json_number(kwh * q->f.co2_g));
    return o;
}

static json_t *group_json(const struct question *q, const struct usage_group *g)
{
    json_t *o = json_object();
    json_t *unknown = json_array();
    json_put(o, "name", json_text(g->name, strlen(g->name)));
    json_put(o, "runs", json_integer(g->runs));
    json_put(o, "run_s", json_number((double)g->run_ns / 1e9));
    json_put(o, "cpu_s", json_number((double)g->cpu_ns / 1e9));
    json_put(o, "cpu_unknown_runs", json_integer(g->cpu_unknown));
    json_put(o, "gpu_s", g->gpu_runs ? json_number((double)g->gpu_ns / 1e9) : json_null());
    for (int s = 0; s < USAGE_QUALITIES; s++)
        json_put(o, usage_quality_name((enum usage_quality)s), sum_json(q, &g->sum[s]));
    for (int r = 0; r < USAGE_REASONS; r++) {
        if (g->unknown[r] == 0)
            continue;
        json_t *one = json_object();
        json_put(one, "runs", json_integer(g->unknown[r]));
        json_put(one, "reason", json_string(usage_reason_text((enum usage_reason)r)));
        (void)json_array_append_new(unknown, one);
    }
    json_put(o, "energy_unknown", unknown);
    return o;
}

static json_t *time_json(int64_t utc_ns)
{
    char buf[40];
    return utc_ns == PRINT_NONE ? json_null()
                                : json_string(units_show_utc(buf, sizeof buf, utc_ns));
}

static int print_json(const struct question *q, const char *by, struct err *e)
{
    json_t *doc = json_object();
    json_t *groups = json_array();
    json_t *factors = json_object();
    for (size_t i = 0; i < q->u.n; i++)
        (void)json_array_append_new(groups, group_json(q, &q->u.groups[i]));
    json_put(factors, "price_per_kwh", json_number(q->f.price));
    json_put(factors, "currency",
             q->f.currency[0] ? json_text(q->f.currency, strlen(q->f.currency)) : json_null());
    json_put(factors, "co2_g_per_kwh", json_number(q->f.co2_g));
    json_put(doc, "schema", json_string("wattq.usage/1"));
    json_put(doc, "by", json_string(by));
    json_put(doc, "since_utc", time_json(q->since));
    json_put(doc, "until_utc", time_json(q->until));
    json_put(doc, "factors", factors);
    json_put(doc, "groups", groups);
    json_put(doc, "total", group_json(q, &q->u.total));
    return json_write(q->app->print.out, doc, false, e);
}

/* ---- the command ---------------------------------------------------------------------------------- */

static int parse(struct question *q, const char *by, struct err *e)
{
    static const char *const names[] = {"user", "project", "gpu", "day"};
    const struct args *a = &q->app->args;
    const char *price = args_str(a, OPT_PRICE, NULL);
    const char *co2 = args_str(a, OPT_CO2, NULL);
    size_t i = 0;
    while (i < ARRAY_LEN(names) && strcmp(names[i], by) != 0)
        i++;
    if (i == ARRAY_LEN(names)) {
        err_set(e, WATTQ_E_USAGE, "--by: '%.40s' is nothing to add up by", by);
        return err_next(e, "write --by user, project, gpu or day");
    }
    q->by = (enum by)i;
    int rc = args_time(a, OPT_SINCE, &q->since, e);
    if (rc == 0)
        rc = args_time(a, OPT_UNTIL, &q->until, e);
    if (rc == 0 && price)
        rc = usage_parse_price(price, &q->f, e);
    if (rc == 0 && co2)
        rc = usage_parse_co2(co2, &q->f, e);
    return rc == 0 ? make_where(q, e) : rc;
}

static void finish(struct question *q)
{
    for (size_t i = 0; i < q->ngpus; i++)
        free(q->gpus[i]);
    free(q->where);
    usage_fini(&q->u);
}

int cmd_usage(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct question q = {
        .app = app, .since = PRINT_NONE, .until = PRINT_NONE, .f = {.price = NAN, .co2_g = NAN}};
    const char *by = args_str(&app->args, OPT_BY, "user");
    usage_init(&q.u);
    int rc = parse(&q, by, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0 && q.by == BY_GPU)
        rc = find_gpus(&q, c, e);
    if (rc == 0)
        rc = ask(&q, c, e);
    usage_sort(&q.u);
    if (rc == 0 && app->json)
        rc = print_json(&q, by, e);
    else if (rc == 0 && q.u.n > 0)
        show(&q);
    else if (rc == 0)
        cmd_say(app, "no run of that time has ended");
    finish(&q);
    return rc;
}
