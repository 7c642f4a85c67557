/* compare: groups of runs side by side, with a verdict per quantity. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/compare.h"
#include "client/json.h"
#include "client/pages.h"
#include "client/sel.h"

#define WITHIN_PERCENT 2.0
#define LEFT_SHOWN     5
#define GROUPS_MAX     100
#define RUNS_MAX       10000
#define MARK           24 /* "A", "G100" */

/* ---- loading -------------------------------------------------------------------------------------- */

struct loader {
    struct compare *c;
    size_t group;
    const char *by; /* "param.lr"; NULL = all into `group` */
    struct err *e;
};

/* The text a run is put into a group by; buf for numbers. NULL = it has none. */
static const char *column_of(const struct wire_val *run, const char *by, char *buf, size_t cap)
{
    const char *dot = strchr(by, '.');
    const struct wire_val *v = wire_get(run, by);
    if (dot && strncmp(by, "param.", 6) == 0)
        v = wire_get(wire_get(run, "params"), dot + 1);
    else if (dot && strncmp(by, "info.", 5) == 0)
        v = wire_get(wire_get(run, "info"), dot + 1);
    if (wire_type(v) == WIRE_INT)
        (void)snprintf(buf, cap, "%lld", (long long)wire_as_int(v, 0));
    else if (wire_type(v) == WIRE_F64)
        (void)snprintf(buf, cap, "%.9g", wire_as_f64(v, NAN));
    else
        base_strcpy(buf, cap, wire_as_str(v, ""));
    return buf[0] ? buf : NULL;
}

static int too_many(struct err *e)
{
    err_set(e, WATTQ_E_LIMIT, "more than %d groups, or %d runs, are no comparison", GROUPS_MAX,
            RUNS_MAX);
    return err_next(e, "narrow the selection, or split by a parameter with fewer values");
}

static int take_run(void *arg, const struct wire_val *run)
{
    struct loader *l = arg;
    char buf[128];
    if (l->c->ngroups > GROUPS_MAX || l->c->nruns >= RUNS_MAX)
        return too_many(l->e);
    int64_t id = wire_int(run, "run", 0);
    if (compare_has(l->c, id)) {
        err_set(l->e, WATTQ_E_USAGE, "run %lld is named twice", (long long)id);
        return err_next(l->e, "a run belongs to one group: narrow the selections");
    }
    if (!l->by) {
        compare_add(l->c, l->group, run);
        return 0;
    }
    const char *value = column_of(run, l->by, buf, sizeof buf);
    if (value)
        compare_add(l->c, compare_group_of(l->c, value), run);
    else
        compare_leave(l->c, id, "it has no value of the column to split by");
    return 0;
}

static int load_group(struct loader *l, struct conn *c, char *word)
{
    struct sel s CLEANUP(sel_finip) = {0};
    int rc = sel_runs(&s, c, &word, 1, l->e);
    if (rc < 0)
        return rc;
    if (!l->by)
        l->group = compare_add_group(l->c, word);
    return pages_runs(c, s.ids, s.n, take_run, l, l->e);
}

static int check_by(const char *by, struct err *e)
{
    static const char *const plain[] = {"label", "project", "sweep", "user", "machine", "kind"};
    for (size_t i = 0; by && i < ARRAY_LEN(plain); i++)
        if (strcmp(by, plain[i]) == 0)
            return 0;
    if (!by || strncmp(by, "param.", 6) == 0 || strncmp(by, "info.", 5) == 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "--by: '%.60s' is nothing to split by", by);
    return err_next(e, "write --by param.NAME, info.NAME, label, project, sweep, user, machine or "
                       "kind");
}

static int no_ref(const struct compare *c, const char *ref, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--ref: no group is called '%.60s'", ref);
    return err_next(e, "with --by it names a value, such as %.60s",
                    c->ngroups > 0 ? c->groups[0].name : "0.1");
}

static int load(struct app *app, struct compare *cmp, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    const char *by = args_str(&app->args, OPT_BY, NULL);
    char *ref CLEANUP(base_freep) = NULL;
    struct loader l = {.c = cmp, .by = by, .e = e};
    if (args_has(&app->args, OPT_REF))
        ref = base_strdup(args_str(&app->args, OPT_REF, ""));
    int rc = check_by(by, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0 && ref && !by)
        rc = load_group(&l, c, ref);
    for (size_t i = 0; rc == 0 && i < app->args.npos; i++)
        rc = load_group(&l, c, app->args.pos[i]);
    if (rc == 0 && by && !compare_sort(cmp, ref))
        rc = no_ref(cmp, ref, e);
    if (rc == 0 && cmp->ngroups < 2) {
        err_set(e, WATTQ_E_USAGE, "there is one group only, and nothing to compare it with");
        rc = err_next(e, "name another: wattq compare 3-5 6-8, or split: --by param.NAME");
    }
    return rc;
}

/* ---- for people ----------------------------------------------------------------------------------- */

static const char *mark(char buf[MARK], size_t group)
{
    if (group < 26)
        (void)snprintf(buf, MARK, "%c", (char)('A' + group));
    else
        (void)snprintf(buf, MARK, "G%zu", group + 1);
    return buf;
}

static void head(const struct app *app, const char *title)
{
    (void)fprintf(app->print.out, "\n%s%s%s\n", print_tone_on(&app->print, TONE_BOLD), title,
                  print_tone_off(&app->print, TONE_BOLD));
}

static void show_groups(const struct app *app, const struct compare *c)
{
    char buf[MARK];
    for (size_t g = 0; g < c->ngroups; g++)
        (void)fprintf(app->print.out, "%s  %s: %zu run%s%s\n", mark(buf, g), c->groups[g].name,
                      c->groups[g].n, c->groups[g].n == 1 ? "" : "s", g == 0 ? " (reference)" : "");
    for (size_t i = 0; i < c->nleft && i < LEFT_SHOWN; i++)
        (void)fprintf(app->print.out, "left out: run %lld: %s\n", (long long)c->left[i].run,
                      c->left[i].reason);
    if (c->nleft > LEFT_SHOWN)
        (void)fprintf(app->print.out, "left out: %zu more; all: --json\n", c->nleft - LEFT_SHOWN);
}

static void show_params(const struct app *app, const struct compare *c)
{
    size_t n = 0;
    struct compare_key *keys = compare_keys(c, &n);
    const char **heads CLEANUP(base_freep) = base_alloc((c->ngroups + 1) * sizeof *heads);
    char(*marks)[MARK] = base_alloc(c->ngroups * sizeof *marks);
    struct table t;
    heads[0] = "PARAMETER";
    for (size_t g = 0; g < c->ngroups; g++)
        heads[g + 1] = mark(marks[g], g);
    table_init(&t, heads, c->ngroups + 1);
    for (size_t k = 0; k < n; k++) {
        if (!keys[k].differs && args_has(&app->args, OPT_CHANGED_ONLY))
            continue;
        table_put(&t, "%s%s", keys[k].key, keys[k].differs ? " *" : "");
        for (size_t g = 0; g < c->ngroups; g++)
            table_put(&t, "%s", keys[k].values[g]);
    }
    if (t.n > 0) {
        head(app, "Parameters (* = differs)");
        table_print(&t, &app->print);
    }
    table_fini(&t);
    compare_keys_free(c, keys, n);
    free(marks);
}

static char *value_text(size_t quantity, double v, bool estimated)
{
    char buf[40];
    const char *text = buf;
    if (isnan(v))
        return base_strdup("-");
    if (quantity == COMPARE_TIME)
        print_seconds(buf, sizeof buf, v);
    else if (quantity == COMPARE_ENERGY)
        print_joules(buf, sizeof buf, v);
    else if (quantity == COMPARE_MEAN_POWER)
        print_power_w(buf, sizeof buf, v);
    else
        (void)snprintf(buf, sizeof buf, "%.6g", v);
    return base_printf("%s%s", estimated ? "~" : "", text);
}

static char *effect_text(const struct compare_result *r, double v, bool sign)
{
    if (isnan(v))
        return base_strdup("-");
    double x = r->ratio ? v * 100 : v;
    return base_printf(sign ? "%+.3g%s" : "%.3g%s", x, r->ratio ? " %" : "");
}

static char *interval_text(const struct compare_result *r)
{
    if (isnan(r->lo) || isnan(r->hi))
        return base_strdup("-");
    double scale = r->ratio ? 100 : 1;
    return base_printf("%+.3g..%+.3g%s", r->lo * scale, r->hi * scale, r->ratio ? " %" : "");
}

static char *test_text(const struct compare_result *r)
{
    if (r->test == STATS_NONE || r->reason)
        return base_strdup("-");
    if (r->matched)
        return base_printf("%s, %zu pairs by %s", stats_method_name(r->test), r->n, r->matched);
    return base_strdup(stats_method_name(r->test));
}

static char *verdict_text(const struct compare *c, const struct compare_result *r)
{
    double percent = c->within * 100;
    switch (r->verdict) {
    case COMPARE_DIFFERS:
        if (r->equivalence < 1 - COMPARE_LEVEL)
            return base_printf("differs, by less than %.3g %%", percent);
        return base_strdup("differs");
    case COMPARE_EQUIVALENT:
        return base_printf("equivalent within %.3g %%", percent);
    case COMPARE_UNDECIDED:
        if (r->more > 0)
            return base_printf("undecided: about %ld more repeats needed", r->more);
        return base_strdup(r->more < 0 ? "undecided: more repeats will not decide it"
                                       : "undecided: repeat once more");
    case COMPARE_NO_VERDICT:
        break;
    }
    return base_printf("no verdict: %s", r->reason ? r->reason : "not known");
}

static void put_side(struct table *t, const struct compare *c, size_t group, size_t quantity)
{
    char buf[MARK];
    struct compare_side s;
    compare_side(c, group, quantity, &s);
    table_put(t, "%s", mark(buf, group));
    table_put(t, "%zu", s.n);
    table_take(t, value_text(quantity, s.mean, s.estimated));
    table_take(t, value_text(quantity, s.sd, s.estimated));
}

static void put_result(struct table *t, const struct compare *c, const struct compare_result *r)
{
    table_take(t, effect_text(r, r->effect, true));
    table_take(t, interval_text(r));
    table_take(t, test_text(r));
    if (isnan(r->p))
        table_put(t, "-");
    else
        table_put(t, r->p < 0.0001 ? "< 0.0001" : "%.2g", r->p);
    table_take(t, effect_text(r, r->detectable, false));
    table_take(t, verdict_text(c, r));
}

static void show_quantity(const struct app *app, const struct compare *c, size_t quantity,
                          const struct compare_result *results, size_t n)
{
    static const char *const heads[] = {"",         ">N",   ">MEAN", ">SD",         ">EFFECT",
                                        ">95 % CI", "TEST", ">P",    ">DETECTABLE", "VERDICT"};
    struct table t;
    bool estimated = false;
    table_init(&t, heads, ARRAY_LEN(heads));
    put_side(&t, c, 0, quantity);
    for (int i = 0; i < 6; i++)
        table_put(&t, "-");
    for (size_t i = 0; i < n; i++) {
        struct compare_side s;
        if (results[i].quantity != quantity)
            continue;
        compare_side(c, results[i].group, quantity, &s);
        estimated = estimated || s.estimated;
        put_side(&t, c, results[i].group, quantity);
        put_result(&t, c, &results[i]);
    }
    char *title CLEANUP(base_freep) =
        base_printf("%s%s", c->quantities[quantity], estimated ? " (~ estimated)" : "");
    head(app, title);
    table_print(&t, &app->print);
    table_fini(&t);
}

static void show_notes(const struct app *app, const struct compare *c,
                       const struct compare_result *r, size_t n)
{
    FILE *f = app->print.out;
    size_t tests = 0;
    size_t without = 0;
    double slack = 0;
    for (size_t i = 0; i < n; i++) {
        tests += isnan(r[i].p) ? 0 : 1;
        slack = fmax(slack, r[i].slack);
    }
    (void)fputc('\n', f);
    for (size_t i = 0; i < c->nruns; i++)
        if (c->runs[i].why_no_energy && without++ < LEFT_SHOWN)
            (void)fprintf(f, "no energy of run %lld: %s\n", (long long)c->runs[i].run,
                          c->runs[i].why_no_energy);
    if (without > LEFT_SHOWN)
        (void)fprintf(f, "no energy of %zu more runs; all: --json\n", without - LEFT_SHOWN);
    if (slack > 0)
        (void)fprintf(f,
                      "the groups were measured with different meters: their stated accuracies add "
                      "up to %.3g %% to each side\n",
                      slack * 100);
    if (tests > 0)
        (void)fprintf(
            f,
            "effect: against A, as a ratio of geometric means where it is in %%; P: after "
            "Holm over %zu comparison%s; DETECTABLE: the smallest effect found 8 times of "
            "10\n",
            tests, tests == 1 ? "" : "s");
}

/* ---- for programs --------------------------------------------------------------------------------- */

static json_t *groups_json(const struct compare *c)
{
    json_t *array = json_array();
    for (size_t g = 0; g < c->ngroups; g++) {
        json_t *o = json_object();
        json_t *runs = json_array();
        for (size_t i = 0; i < c->nruns; i++)
            if (c->runs[i].group == g)
                (void)json_array_append_new(runs, json_integer(c->runs[i].run));
        json_put(o, "name", json_text(c->groups[g].name, strlen(c->groups[g].name)));
        json_put(o, "reference", json_boolean(g == 0));
        json_put(o, "runs", runs);
        (void)json_array_append_new(array, o);
    }
    return array;
}

static json_t *reason_json(int64_t run, const char *reason)
{
    json_t *o = json_object();
    json_put(o, "run", json_integer(run));
    json_put(o, "reason", json_string(reason));
    return o;
}

static json_t *params_json(const struct compare *c)
{
    size_t n = 0;
    struct compare_key *keys = compare_keys(c, &n);
    json_t *array = json_array();
    for (size_t k = 0; k < n; k++) {
        json_t *o = json_object();
        json_t *values = json_array();
        for (size_t g = 0; g < c->ngroups; g++)
            (void)json_array_append_new(values,
                                        json_text(keys[k].values[g], strlen(keys[k].values[g])));
        json_put(o, "key", json_string(keys[k].key));
        json_put(o, "differs", json_boolean(keys[k].differs));
        json_put(o, "values", values);
        (void)json_array_append_new(array, o);
    }
    compare_keys_free(c, keys, n);
    return array;
}

static json_t *sides_json(const struct compare *c, size_t quantity)
{
    json_t *array = json_array();
    for (size_t g = 0; g < c->ngroups; g++) {
        struct compare_side s;
        json_t *o = json_object();
        compare_side(c, g, quantity, &s);
        json_put(o, "group", json_integer((json_int_t)g));
        json_put(o, "n", json_integer((json_int_t)s.n));
        json_put(o, "mean", json_number(s.mean));
        json_put(o, "sd", json_number(s.sd));
        json_put(o, "estimated", json_boolean(s.estimated));
        (void)json_array_append_new(array, o);
    }
    return array;
}

static json_t *result_json(const struct compare_result *r)
{
    json_t *o = json_object();
    json_put(o, "group", json_integer((json_int_t)r->group));
    json_put(o, "scale", json_string(r->ratio ? "ratio" : "difference"));
    json_put(o, "effect", json_number(r->effect));
    json_put(o, "lo", json_number(r->lo));
    json_put(o, "hi", json_number(r->hi));
    json_put(o, "test", json_string(stats_method_name(r->reason ? STATS_NONE : r->test)));
    json_put(o, "matched_by", r->matched ? json_string(r->matched) : json_null());
    json_put(o, "n", json_integer((json_int_t)r->n));
    json_put(o, "n_reference", json_integer((json_int_t)r->nref));
    json_put(o, "p", json_number(r->p));
    json_put(o, "p_equivalence", json_number(r->equivalence));
    json_put(o, "detectable", json_number(r->detectable));
    json_put(o, "meter_gain", json_number(r->slack));
    json_put(o, "verdict", json_string(compare_verdict_name(r->verdict)));
    json_put(o, "more_repeats",
             r->verdict == COMPARE_UNDECIDED && r->more >= 0 ? json_integer(r->more) : json_null());
    json_put(o, "reason", r->reason ? json_string(r->reason) : json_null());
    return o;
}

static json_t *quantities_json(const struct compare *c, const struct compare_result *r, size_t n)
{
    static const char *const units[COMPARE_METRICS] = {"s", "J", "W"};
    json_t *array = json_array();
    for (size_t q = 0; q < c->nquantities; q++) {
        json_t *o = json_object();
        json_t *results = json_array();
        for (size_t i = 0; i < n; i++)
            if (r[i].quantity == q)
                (void)json_array_append_new(results, result_json(&r[i]));
        json_put(o, "name", json_string(c->quantities[q]));
        json_put(o, "unit", q < COMPARE_METRICS ? json_string(units[q]) : json_null());
        json_put(o, "groups", sides_json(c, q));
        json_put(o, "comparisons", results);
        (void)json_array_append_new(array, o);
    }
    return array;
}

static int print_json(const struct app *app, const struct compare *c,
                      const struct compare_result *r, size_t n, struct err *e)
{
    json_t *doc = json_object();
    json_t *left = json_array();
    json_t *without = json_array();
    for (size_t i = 0; i < c->nleft; i++)
        (void)json_array_append_new(left, reason_json(c->left[i].run, c->left[i].reason));
    for (size_t i = 0; i < c->nruns; i++)
        if (c->runs[i].why_no_energy)
            (void)json_array_append_new(without,
                                        reason_json(c->runs[i].run, c->runs[i].why_no_energy));
    json_put(doc, "schema", json_string("wattq.compare/1"));
    json_put(doc, "level", json_number(COMPARE_LEVEL));
    json_put(doc, "power", json_number(COMPARE_POWER));
    json_put(doc, "within", json_number(c->within));
    json_put(doc, "groups", groups_json(c));
    json_put(doc, "left_out", left);
    json_put(doc, "without_energy", without);
    json_put(doc, "params", params_json(c));
    json_put(doc, "quantities", quantities_json(c, r, n));
    return json_write(app->print.out, doc, false, e);
}

/* ---- the command ---------------------------------------------------------------------------------- */

static int parse_within(const struct app *app, double *within, struct err *e)
{
    const char *text = args_str(&app->args, OPT_WITHIN, NULL);
    char *end = NULL;
    *within = WITHIN_PERCENT / 100;
    if (!text)
        return 0;
    double v = strtod(text, &end);
    if (end != text && strcmp(end + strspn(end, " "), "%") == 0 && v > 0 && v <= 100) {
        *within = v / 100;
        return 0;
    }
    err_set(e, WATTQ_E_USAGE, "--within: '%.40s' is no percentage", text);
    return err_next(e, "write --within 2%%");
}

static void show(const struct app *app, const struct compare *c, const struct compare_result *r,
                 size_t n)
{
    show_groups(app, c);
    show_params(app, c);
    for (size_t q = 0; q < c->nquantities; q++)
        show_quantity(app, c, q, r, n);
    show_notes(app, c, r, n);
}

int cmd_compare(struct app *app, struct err *e)
{
    struct compare c;
    double within = 0;
    size_t n = 0;
    int rc = cmd_need(app, 1, "groups of runs", e);
    if (rc == 0)
        rc = parse_within(app, &within, e);
    if (rc < 0)
        return rc;
    compare_init(&c, app->args.value[OPT_METRIC], app->args.n[OPT_METRIC], within);
    rc = load(app, &c, e);
    if (rc == 0) {
        struct compare_result *r = compare_results(&c, &n);
        if (app->json)
            rc = print_json(app, &c, r, n, e);
        else
            show(app, &c, r, n);
        free(r);
    }
    compare_fini(&c);
    return rc;
}
