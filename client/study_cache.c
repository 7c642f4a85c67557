/* study cache: the intervention. The same networks while one thing is changed that moves the place where a
 * working set outgrows a cache - batch, precision, neighbours on the same cache - and one that should not;
 * then, per variant, where the cost of a datum leaves the line of the smaller sizes. */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "client/print.h"
#include "client/study_cmd.h"
#include "client/study_load.h"
#include "client/study_sizes.h"
#include "client/sweep.h"
#include "common/cpulist.h"
#include "common/units.h"
#include "daemon/model/knee.h"
#include "daemon/model/resctrl.h"

#define RUN_MOST_S  "3" /* a run ends with the batch in which this is over */
#define DATA        "standin:wine_quality_white"
#define SEED        1 /* of the bootstrap: the same runs give the same intervals */
#define VARIANTS    16
#define SIZES_BELOW 4 /* powers of 2 on either side of the bound */

/* ---- variants ---------------------------------------------------------------------------------------- */

struct variant {
    char name[24];
    char args[128];   /* of wattq-train */
    const char *base; /* the variant it is compared with; NULL = it is one itself */
    const char *what; /* in words */
    int64_t batch;
    int64_t bytes; /* of a number */
    int beside;    /* further trainers at the same time */
    int l3;        /* percent of the last cache that it may fill */
};

struct variants {
    struct variant at[VARIANTS];
    size_t n;
};

static struct variant *add(struct variants *v, const char *name, const char *base, const char *what)
{
    struct variant *x = &v->at[v->n++];
    *x = (struct variant){.base = base, .what = what, .batch = 256, .bytes = 4, .l3 = 100};
    base_strcpy(x->name, sizeof x->name, name);
    return x;
}

/* The first and last CPU we may use: -1 for none. */
static void allowed_cpus(int *first, int *last, int *n)
{
    cpu_set_t set;
    *first = *last = -1;
    *n = 0;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &set))
            continue;
        *first = *first < 0 ? cpu : *first;
        *last = cpu;
        (*n)++;
    }
}

static void make_variants(struct variants *v)
{
    int first;
    int last;
    int cpus;
    *v = (struct variants){.n = 0};
    allowed_cpus(&first, &last, &cpus);
    (void)add(v, "base", NULL, "one trainer, batch 256, f32");
    struct variant *x = add(v, "batch64", "base", "a quarter of the batch: smaller activations");
    x->batch = 64;
    base_strcpy(x->args, sizeof x->args, "--batch 64");
    x = add(v, "batch1024", "base", "four times the batch: larger activations");
    x->batch = 1024;
    base_strcpy(x->args, sizeof x->args, "--batch 1024");
    if (cpus > 1) {
        x = add(v, "pinned", "base", "held on one CPU: nothing should move");
        (void)snprintf(x->args, sizeof x->args, "--cpus %d", last);
        x = add(v, "beside", "base", "with copies of itself on the other CPUs: they share caches");
        x->beside = cpus - 1 < 15 ? cpus - 1 : 15;
        (void)snprintf(x->args, sizeof x->args, "--beside %d", x->beside);
    }
    x = add(v, "plain32", NULL, "plain loops in f32, to compare f64 with");
    base_strcpy(x->args, sizeof x->args, "--backend reference");
    x = add(v, "plain64", "plain32", "plain loops in f64: every number twice as large");
    x->bytes = 8;
    base_strcpy(x->args, sizeof x->args, "--backend reference --precision f64");
}

/* A part of L3, 1 to 99 percent. NULL: it is there already, or the table is full. */
static struct variant *add_part(struct variants *v, int percent)
{
    char name[24];
    (void)snprintf(name, sizeof name, "l3-%d", percent);
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->at[i].name, name) == 0)
            return NULL;
    if (v->n == VARIANTS)
        return NULL;
    struct variant *x =
        add(v, name, "base", "in a resctrl group with that percentage of the last cache");
    x->l3 = percent;
    return x;
}

/* One for each group that an administrator has made for us. */
static size_t add_groups(struct variants *v, const char *root)
{
    struct resctrl_group g[RESCTRL_GROUPS_MAX];
    size_t n = resctrl_groups(g, root);
    for (size_t i = 0; i < n; i++) {
        struct variant *x = add_part(v, g[i].percent);
        if (x)
            (void)snprintf(x->args, sizeof x->args, "--resctrl %.95s", g[i].path);
    }
    return n;
}

/* The parts that these runs had: their groups may be gone, or were another machine's. */
static void add_seen(struct variants *v, const struct study *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *name = s->runs[i].variant;
        char *end = NULL;
        long percent = strncmp(name, "l3-", 3) == 0 ? strtol(name + 3, &end, 10) : 0;
        if (end && !*end && percent > 0 && percent < 100)
            (void)add_part(v, (int)percent);
    }
}

static const struct variant *find_variant(const struct variants *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->at[i].name, name) == 0)
            return &v->at[i];
    return NULL;
}

/* ---- queueing ------------------------------------------------------------------------------------------ */

struct setup {
    const struct net_dataset *data;
    enum net_shape shape;
    int depth;
};

/* What a trainer with others beside it, or in a part of the last cache, sees of the machine. */
static void share_caches(struct caches *out, const struct caches *machine, const struct variant *v)
{
    caches_use(out, machine, 1);
    for (size_t i = 0; i + 1 < out->n; i++) {
        int sharing = machine->level[i].units > 0
                          ? (v->beside + machine->level[i].units) / machine->level[i].units
                          : 1;
        out->level[i].bytes /= sharing > 1 ? sharing : 1;
        if (out->level[i].level == 3)
            out->level[i].bytes = out->level[i].bytes * v->l3 / 100;
    }
}

static double bound_of(const struct variant *v, const struct setup *s, size_t level,
                       const struct caches *machine)
{
    struct caches seen;
    bool outside;
    const struct study_axes axes = {.batch = v->batch, .number_bytes = v->bytes};
    if (machine->n == 0)
        return NAN;
    share_caches(&seen, machine, v);
    return study_bound_of(s->data, s->shape, s->depth, &axes, WORKSET_B, level, &seen, &outside);
}

/* The outermost cache whose bound has room for sizes on both sides. */
static int best_level(const struct variant *base, const struct setup *s, const struct caches *m)
{
    for (int level = (int)m->n - 2; level >= 0; level--) {
        double p = bound_of(base, s, (size_t)level, m);
        if (p > STUDY_SIZE_MIN * (1 << SIZES_BELOW) && p * 4 < STUDY_SIZE_MAX)
            return level;
    }
    return -1;
}

static int read_setup(struct setup *s, const struct train_args *t, struct err *e)
{
    const char *name = train_args_get(t, "dataset") ? train_args_get(t, "dataset") : DATA;
    const char *shape = train_args_get(t, "shape") ? train_args_get(t, "shape") : "rectangle";
    const char *depth = train_args_get(t, "depth") ? train_args_get(t, "depth") : "4";
    int64_t n = 0;
    s->data = net_dataset_find(strncmp(name, "standin:", 8) == 0 ? name + 8 : name);
    if (!s->data) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' is not one of the study's data sets", name);
        return err_next(e, "write --dataset %s", DATA);
    }
    int rc = net_shape_parse(shape, &s->shape, e);
    if (rc == 0)
        rc = units_parse_count(depth, &n, e);
    if (rc == 0 && (n < 2 || n > NET_DEPTH_MAX)) {
        err_set(e, WATTQ_E_USAGE, "a depth is 2 to %d, not %.20s", NET_DEPTH_MAX, depth);
        rc = err_next(e, "write --depth 4");
    }
    s->depth = (int)n;
    return rc;
}

static char *axis_of(const struct variants *v)
{
    char *text = base_strdup("variant=");
    for (size_t i = 0; i < v->n; i++) {
        char *longer = base_printf("%s%s%s:%s", text, i ? "," : "", v->at[i].name, v->at[i].args);
        free(text);
        text = longer;
    }
    return text;
}

/* Half powers of 2 from a sixteenth to eight times the bound. */
static char *sizes_around(double bound)
{
    char *text = base_strdup("");
    for (int k = -2 * SIZES_BELOW; k <= 6; k++) {
        double size = bound * pow(2, k / 2.0);
        if (size < STUDY_SIZE_MIN || size > STUDY_SIZE_MAX)
            continue;
        char *longer = base_printf("%s%s%lld", text, *text ? "," : "", (long long)size);
        free(text);
        text = longer;
    }
    return text;
}

static void default_arg(struct train_args *t, const char *key, const char *value)
{
    if (!train_args_get(t, key))
        train_args_set(t, key, value);
}

static int queue_variants(struct app *app, struct train_args *t, struct err *e)
{
    struct words w CLEANUP(words_finip) = {0};
    struct variants v;
    struct setup s;
    struct caches machine;
    make_variants(&v);
    size_t groups = add_groups(&v, RESCTRL_ROOT);
    int rc = read_setup(&s, t, e);
    if (rc < 0)
        return rc;
    if (caches_detect(&machine, "", NULL, e) != 0)
        machine.n = 0;
    int level = best_level(&v.at[0], &s, &machine);
    if (level < 0 && !train_args_get(t, "size")) {
        err_set(e, WATTQ_E_UNAVAILABLE,
                "no cache of this machine is outgrown within the sizes of the study");
        return err_next(e, "name sizes: wattq study cache --size 2^12..2^22");
    }
    if (!train_args_get(t, "size")) {
        char *sizes CLEANUP(base_freep) =
            sizes_around(bound_of(&v.at[0], &s, (size_t)level, &machine));
        train_args_set(t, "size", sizes);
    }
    default_arg(t, "dataset", DATA);
    default_arg(t, "shape", "rectangle");
    default_arg(t, "depth", "4");
    /* An epoch of a large network on the plain loops takes minutes; a time per row needs no whole one. */
    default_arg(t, "max-seconds", RUN_MOST_S);
    char *axis CLEANUP(base_freep) = axis_of(&v);
    const char *const first[] = {"--yes", "-J", "cache", "-p", axis, "train"};
    if (args_has(&app->args, OPT_DRY_RUN))
        words_put(&w, "--dry-run");
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        words_put(&w, first[i]);
    for (size_t i = 0; i < t->n; i++)
        words_put(&w, t->argv[i]);
    if (level >= 0)
        cmd_say(app, "the knee looked for: %s, outgrown at about %.3g parameters",
                machine.level[level].name, bound_of(&v.at[0], &s, (size_t)level, &machine));
    if (groups == 0)
        cmd_say(app,
                "not varied: the size of the last cache itself; there is no resctrl group here "
                "that you may enter (docs/study.md says how to make one)");
    int64_t sweep = 0;
    rc = sweep_queue(app, w.at, w.n, app->json ? NULL : &sweep, e);
    if (rc == 0 && sweep > 0)
        cmd_say(app, "what it shows: wattq study cache sweep:%lld", (long long)sweep);
    return rc;
}

/* ---- showing ------------------------------------------------------------------------------------------- */

struct outcome {
    const struct variant *v;
    struct knee time;
    size_t runs;
    size_t excluded; /* from fits */
    double foretold; /* parameters at which its working set outgrows the level */
    struct knee_move move;
};

struct results {
    struct outcome at[VARIANTS];
    size_t n;
    struct setup setup;
    int level;
    struct caches machine;
    size_t excluded;
    size_t strange; /* runs of no variant, or of other data */
};

static bool same_setup(const struct setup *s, const struct study_run *r)
{
    return strcmp(r->dataset, s->data->name) == 0 && r->net.shape == s->shape &&
           r->net.depth == s->depth;
}

static int find_setup(struct setup *s, const struct study *all, struct err *e)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct study_run *r = &all->runs[i];
        if (!r->variant[0] || !net_dataset_find(r->dataset))
            continue;
        *s = (struct setup){net_dataset_find(r->dataset), r->net.shape, r->net.depth};
        return 0;
    }
    err_set(e, WATTQ_E_NOT_FOUND, "none of these runs is of a cache study");
    return err_next(e, "queue one: wattq study cache");
}

static void fit_variant(struct outcome *r, const struct variant *v, struct results *all,
                        const struct study *s)
{
    struct knee_point *p CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *p);
    size_t n = 0;
    *r = (struct outcome){.v = v, .foretold = NAN};
    for (size_t i = 0; i < s->n; i++) {
        const struct study_run *run = &s->runs[i];
        double datum_s = study_datum_s(run);
        if (strcmp(run->variant, v->name) != 0 || !same_setup(&all->setup, run))
            continue;
        uint32_t why = run->excluded & STUDY_X_TIME;
        if (v->beside > 0)
            why &= ~STUDY_X(OVERLAP); /* its neighbours are the experiment */
        if (why || !(datum_s > 0)) {
            r->excluded++;
            continue;
        }
        p[n++] = (struct knee_point){(double)run->net.params, datum_s};
    }
    r->runs = n;
    all->excluded += r->excluded;
    knee_fit(&r->time, p, n, SEED);
    if (all->level >= 0)
        r->foretold = bound_of(v, &all->setup, (size_t)all->level, &all->machine);
}

static const struct outcome *result_of(const struct results *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->at[i].v->name, name) == 0)
            return &all->at[i];
    return NULL;
}

static void compare_all(struct results *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct outcome *r = &all->at[i];
        const struct outcome *base = r->v->base ? result_of(all, r->v->base) : NULL;
        r->move = (struct knee_move){NAN, NAN, NAN, NAN, KNEE_UNDECIDED};
        if (base)
            knee_compare(&r->move, &base->time, &r->time, r->foretold / base->foretold);
    }
}

static int make_results(struct results *all, const struct variants *v, const struct study *s,
                        struct err *e)
{
    *all = (struct results){.level = -1};
    int rc = find_setup(&all->setup, s, e);
    if (rc < 0)
        return rc;
    if (caches_detect(&all->machine, "", NULL, e) != 0)
        all->machine.n = 0;
    all->level = best_level(&v->at[0], &all->setup, &all->machine);
    for (size_t i = 0; i < v->n; i++) {
        fit_variant(&all->at[all->n], &v->at[i], all, s);
        /* Also one whose runs were all kept out of fits: it was there. */
        all->n += all->at[all->n].runs + all->at[all->n].excluded > 0;
    }
    for (size_t i = 0; i < s->n; i++)
        all->strange += s->runs[i].role == STUDY_NETWORK && (!find_variant(v, s->runs[i].variant) ||
                                                             !same_setup(&all->setup, &s->runs[i]));
    compare_all(all);
    return 0;
}

/* "1.2e+05 (9.8e+04..1.5e+05)"; "none" where no knee is seen. */
static const char *with_interval(char *buf, size_t cap, double v, double lo, double hi,
                                 const char *none)
{
    if (isnan(v))
        (void)snprintf(buf, cap, "%s", none);
    else
        (void)snprintf(buf, cap, "%.3g (%.2g..%.2g)", v, lo, hi);
    return buf;
}

static void show_results(const struct app *app, const struct results *all)
{
    static const char *const heads[] = {"VARIANT",  ">RUNS",           "KNEE AT (parameters)",
                                        ">STEEPER", ">FORETOLD",       "AGAINST",
                                        "RATIO",    ">FORETOLD RATIO", "VERDICT"};
    FILE *f = app->print.out;
    struct table t;
    char a[64];
    (void)fprintf(f, "Time per datum against size: %s %s, depth %d; level looked at: %s\n",
                  all->setup.data->name, net_shape_name(all->setup.shape), all->setup.depth,
                  all->level >= 0 ? all->machine.level[all->level].name : "none known");
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < all->n; i++) {
        const struct outcome *r = &all->at[i];
        table_put(&t, "%s", r->v->name);
        table_put(&t, "%zu", r->runs);
        table_put(&t, "%s",
                  with_interval(a, sizeof a, r->time.at, r->time.lo, r->time.hi,
                                r->time.fitted ? "none seen" : "too few sizes"));
        if (r->time.seen && !isinf(r->time.steeper))
            table_put(&t, "%.2f x", r->time.steeper);
        else
            table_put(&t, "%s", r->time.seen ? "from flat" : "-");
        table_put(&t, isnan(r->foretold) ? "-" : "%.3g", r->foretold);
        table_put(&t, "%s", r->v->base ? r->v->base : "");
        table_put(&t, "%s",
                  r->v->base
                      ? with_interval(a, sizeof a, r->move.ratio, r->move.lo, r->move.hi, "-")
                      : "");
        if (r->v->base && !isnan(r->move.predicted))
            table_put(&t, "%.3g", r->move.predicted);
        else
            table_put(&t, "%s", "");
        table_put(&t, "%s", r->v->base ? knee_verdict_name(r->move.verdict) : "");
    }
    table_print(&t, &app->print);
    table_fini(&t);
    for (size_t i = 0; i < all->n; i++)
        (void)fprintf(f, "  %-10s %s\n", all->at[i].v->name, all->at[i].v->what);
    if (all->excluded > 0)
        (void)fprintf(f, "left out: %zu runs that the quality steps keep out of fits\n",
                      all->excluded);
    if (all->strange > 0)
        (void)fprintf(f, "left out: %zu runs of other networks\n", all->strange);
}

static json_t *result_json(const struct outcome *r)
{
    json_t *o = json_object();
    json_put(o, "variant", json_string(r->v->name));
    json_put(o, "what", json_string(r->v->what));
    json_put(o, "runs", json_integer((json_int_t)r->runs));
    json_put(o, "sizes", json_integer((json_int_t)r->time.sizes));
    json_put(o, "seen", json_boolean(r->time.seen));
    json_put(o, "params", json_number(r->time.at));
    json_put(o, "lo", json_number(r->time.lo));
    json_put(o, "hi", json_number(r->time.hi));
    json_put(o, "steeper", json_number(r->time.steeper));
    json_put(o, "fit_error", json_number(r->time.error));
    json_put(o, "foretold_params", json_number(r->foretold));
    json_put(o, "against", r->v->base ? json_string(r->v->base) : json_null());
    json_put(o, "ratio", json_number(r->move.ratio));
    json_put(o, "ratio_lo", json_number(r->move.lo));
    json_put(o, "ratio_hi", json_number(r->move.hi));
    json_put(o, "foretold_ratio", json_number(r->move.predicted));
    json_put(o, "verdict",
             r->v->base ? json_string(knee_verdict_name(r->move.verdict)) : json_null());
    return o;
}

static int results_json(const struct app *app, const struct results *all, struct err *e)
{
    json_t *doc = json_object();
    json_t *list = json_array();
    for (size_t i = 0; i < all->n; i++)
        (void)json_array_append_new(list, result_json(&all->at[i]));
    json_put(doc, "schema", json_string("wattq.study_cache/1"));
    json_put(doc, "dataset", json_string(all->setup.data->name));
    json_put(doc, "shape", json_string(net_shape_name(all->setup.shape)));
    json_put(doc, "depth", json_integer(all->setup.depth));
    json_put(doc, "level",
             all->level >= 0 ? json_string(all->machine.level[all->level].name) : json_null());
    json_put(doc, "variants", list);
    json_put(doc, "excluded", json_integer((json_int_t)all->excluded));
    json_put(doc, "other", json_integer((json_int_t)all->strange));
    return json_write(app->print.out, doc, false, e);
}

static int show_variants(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct study s;
    struct variants v;
    struct results *all CLEANUP(base_freep) = base_alloc(sizeof *all);
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    study_init(&s);
    make_variants(&v);
    rc = study_load_words(&s, c, app->args.pos + 1, app->args.npos - 1, NULL, e);
    if (rc == 0) {
        add_seen(&v, &s);
        rc = make_results(all, &v, &s, e);
    }
    if (rc == 0 && app->json)
        rc = results_json(app, all, e);
    else if (rc == 0)
        show_results(app, all);
    study_fini(&s);
    return rc;
}

int study_cache(struct app *app, struct err *e)
{
    struct train_args t CLEANUP(train_args_finip) = {0};
    if (app->args.npos > 1 && app->args.pos[1][0] != '-')
        return show_variants(app, e);
    int rc = train_args_init(&t, &app->args, 1, e);
    return rc == 0 ? queue_variants(app, &t, e) : rc;
}
