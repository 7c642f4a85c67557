/* study plan: which sizes straddle this machine's caches, what running them would take, which of the study's
 * findings that can test, and the command that queues it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "client/print.h"
#include "client/study_claims.h"
#include "client/study_cmd.h"
#include "client/sweep.h"
#include "common/units.h"

#define MANY_RUNS 1000 /* more need --yes */
#define BUDGET_NS (4 * 3600 * NS_PER_S)
#define FULL_SIZES                                                                                 \
    "2^5,2^6,2^7,2^8,2^9,2^10,2^11,2^12,2^13,2^14,2^15,2^16,2^17,2^18,2^19,2^20,2^21,2^22,2^23,"   \
    "2^24"
#define FULL_DEPTHS "2..10,12,14,16,18,20"

enum axis { DATASET, SHAPE, DEPTH, SIZE, AXES };
static const char *const keys[AXES] = {"dataset", "shape", "depth", "size"};

struct plan {
    const struct app *app;
    struct train_args rest; /* of the trainer: what is no axis */
    char *text[AXES];       /* as typed, or chosen */
    bool given[AXES];
    bool full; /* the study's own grid */
    int64_t budget_ns;
    struct caches machine;
    struct caches used; /* what one thread sees */
    struct study_axes axes;
    struct study_bound bounds[STUDY_BOUNDS_MAX];
    size_t nbounds;
    int64_t size[STUDY_SIZES_MAX];
    size_t nsizes;
    struct words words; /* of the sweep: --dry-run first, then what is shown */
    struct sweep_forecast forecast;
    struct cost_rates rates;
    bool calibrated;
    bool gpu;
    bool connected;
    char *cuts; /* what was left out for the budget, in words */
    struct study_testable claims[CLAIMS_MAX];
    size_t nclaims;
};

static void plan_finip(struct plan *p)
{
    train_args_finip(&p->rest);
    for (int i = 0; i < AXES; i++)
        free(p->text[i]);
    words_finip(&p->words);
    free(p->cuts);
}

static void set_text(struct plan *p, enum axis a, const char *text)
{
    char *copy = base_strdup(text);
    free(p->text[a]);
    p->text[a] = copy;
}

/* ---- axes -------------------------------------------------------------------------------------------- */

static char *all_shapes(void)
{
    char *text = base_strdup("");
    for (int i = 0; i < NET_SHAPES; i++) {
        char *longer = base_printf("%s%s%s", text, i ? "," : "", net_shape_name((enum net_shape)i));
        free(text);
        text = longer;
    }
    return text;
}

/* Each of the names as a real file where there is one, else its stand-in. */
static char *find_data(const struct plan *p, const char *const *names, size_t n)
{
    char *text = base_strdup("");
    for (size_t i = 0; i < n; i++) {
        char *real = NULL;
        struct err e;
        bool there = train_dataset(&real, &p->rest, names[i], &e) == 0;
        char *longer = base_printf("%s%s%s%s", text, i ? "," : "",
                                   there ? "" : "standin:", there ? real : names[i]);
        free(real);
        free(text);
        text = longer;
    }
    return text;
}

static void default_data(struct plan *p)
{
    static const char *const some[] = {"wine_quality_white", "nursery", "adult"};
    const char *names[16];
    size_t n = 0;
    for (; p->full && n < net_dataset_count && n < ARRAY_LEN(names); n++)
        names[n] = net_datasets[n].name;
    char *text = n > 0 ? find_data(p, names, n) : find_data(p, some, ARRAY_LEN(some));
    free(p->text[DATASET]);
    p->text[DATASET] = text;
}

static void defaults(struct plan *p)
{
    char *shapes CLEANUP(base_freep) = all_shapes();
    if (!p->given[DATASET] || strcmp(p->text[DATASET], "all") == 0)
        default_data(p);
    if (!p->given[SHAPE])
        set_text(p, SHAPE, p->full ? shapes : "rectangle,trapezoid,wide_first_4x");
    else if (strcmp(p->text[SHAPE], "all") == 0)
        set_text(p, SHAPE, shapes);
    if (!p->given[DEPTH])
        set_text(p, DEPTH, p->full ? FULL_DEPTHS : "2,3,5,8");
    if (!p->given[SIZE] && p->full)
        set_text(p, SIZE, FULL_SIZES);
}

static int read_data(struct plan *p, const struct spec_axis *a, struct err *e)
{
    for (size_t i = 0; i < a->n && i < ARRAY_LEN(p->axes.data); i++) {
        const char *name = a->values[i];
        const struct net_dataset *d =
            net_dataset_find(strncmp(name, "standin:", 8) == 0 ? name + 8 : name);
        if (!d) {
            err_set(e, WATTQ_E_USAGE, "a plan needs data sets of the study, and '%.60s' is none",
                    name);
            return err_next(e, "queue your own data with wattq sweep train --dataset %.60s", name);
        }
        p->axes.data[p->axes.ndata++] = d;
    }
    return 0;
}

static int bad_depth(const char *text, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "a depth is 2 to %d, not %.20s", NET_DEPTH_MAX, text);
    return err_next(e, "write --depth 3,5,8");
}

static int read_value(struct plan *p, enum axis axis, const char *text, struct err *e)
{
    int64_t n = 0;
    if (axis == SHAPE) {
        enum net_shape shape;
        int rc = net_shape_parse(text, &shape, e);
        if (rc == 0 && p->axes.nshapes < NET_SHAPES)
            p->axes.shape[p->axes.nshapes++] = shape;
        return rc;
    }
    int rc = units_parse_count(text, &n, e);
    if (rc < 0)
        return rc;
    if (axis == DEPTH && n >= 2 && n <= NET_DEPTH_MAX && p->axes.ndepths < NET_DEPTH_MAX)
        p->axes.depth[p->axes.ndepths++] = (int)n;
    else if (axis == DEPTH)
        return bad_depth(text, e);
    else if (p->nsizes < STUDY_SIZES_MAX)
        p->size[p->nsizes++] = n;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int read_axis(struct plan *p, enum axis axis, struct err *e)
{
    struct spec_axis a = {0};
    char *text CLEANUP(base_freep) = base_printf("%s=%s", keys[axis], p->text[axis]);
    int rc = spec_axis_parse(&a, text, e);
    if (rc == 0 && axis == DATASET)
        rc = read_data(p, &a, e);
    for (size_t i = 0; rc == 0 && axis != DATASET && i < a.n; i++)
        rc = read_value(p, axis, a.values[i], e);
    spec_axis_fini(&a);
    if (rc == 0 && axis == SIZE)
        qsort(p->size, p->nsizes, sizeof *p->size, by_size);
    return rc;
}

/* From the texts: axes, bounds, and the sizes where none were given. */
static int resolve(struct plan *p, struct err *e)
{
    const char *batch = train_args_get(&p->rest, "batch");
    const char *precision = train_args_get(&p->rest, "precision");
    p->axes = (struct study_axes){
        .batch = 256, .number_bytes = precision && strcmp(precision, "f64") == 0 ? 8 : 4};
    p->nsizes = 0;
    int rc = batch ? units_parse_count(batch, &p->axes.batch, e) : 0;
    for (int i = 0; rc == 0 && i < SIZE; i++)
        rc = read_axis(p, (enum axis)i, e);
    if (rc < 0)
        return rc;
    p->nbounds = study_bounds(p->bounds, &p->axes, &p->used);
    if (p->given[SIZE] || p->full)
        return read_axis(p, SIZE, e);
    p->nsizes = study_sizes(p->size, p->bounds, p->nbounds);
    if (p->nsizes == 0) {
        err_set(e, WATTQ_E_NOT_FOUND,
                "no cache boundary of this machine lies within the sizes of "
                "the study");
        return err_next(e, "give sizes: wattq study plan --size 2^8..2^20, or --grid study");
    }
    char *text = base_strdup("");
    for (size_t i = 0; i < p->nsizes; i++) {
        char *longer = base_printf("%s%s%lld", text, i ? "," : "", (long long)p->size[i]);
        free(text);
        text = longer;
    }
    free(p->text[SIZE]);
    p->text[SIZE] = text;
    return 0;
}

/* ---- the sweep --------------------------------------------------------------------------------------- */

static void make_words(struct plan *p)
{
    static const char *const first[] = {"--dry-run", "--yes", "-J", "study", "train"};
    words_finip(&p->words);
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        words_put(&p->words, first[i]);
    for (int i = 0; i < AXES; i++) {
        char *option CLEANUP(base_freep) = base_printf("--%s", keys[i]);
        words_put(&p->words, option);
        words_put(&p->words, p->text[i]);
    }
    for (size_t i = 0; i < p->rest.n; i++)
        words_put(&p->words, p->rest.argv[i]);
}

static int foretell(struct plan *p, struct err *e)
{
    int rc = resolve(p, e);
    if (rc < 0)
        return rc;
    make_words(p);
    return sweep_foretell(&p->forecast, p->app, p->words.at, p->words.n, &p->rates, &p->calibrated,
                          e);
}

static bool too_long(const struct plan *p)
{
    const struct cost *c = &p->forecast.cost;
    return c->unknown < c->runs && (c->run_s + c->pause_s) * 1e9 > (double)p->budget_ns;
}

/* The first n of a list. */
static char *first_of(const char *list, size_t n)
{
    const char *end = list;
    for (; n > 0 && *end; n--)
        end += strcspn(end, ",") + (n > 1 && strchr(end, ',') ? 1 : 0);
    return base_strdup_n(list, (size_t)(end - list));
}

static void note_cut(struct plan *p, enum axis a)
{
    char *longer =
        base_printf("%s%s%s %s", p->cuts ? p->cuts : "", p->cuts ? ", " : "", keys[a], p->text[a]);
    free(p->cuts);
    p->cuts = longer;
}

/* What a study can best do without comes first; what was typed is not touched. */
static int fit_budget(struct plan *p, struct err *e)
{
    static const struct {
        enum axis axis;
        size_t keep;
        const char *value; /* instead of the first `keep` of the list */
    } steps[] = {{SHAPE, 2, NULL},  {DEPTH, 0, "2,3,8"}, {SHAPE, 1, NULL}, {DATASET, 2, NULL},
                 {DEPTH, 0, "3,8"}, {DATASET, 1, NULL},  {DEPTH, 0, "4"}};
    int rc = foretell(p, e);
    for (size_t i = 0; rc == 0 && !p->full && too_long(p) && i < ARRAY_LEN(steps); i++) {
        enum axis a = steps[i].axis;
        if (p->given[a])
            continue;
        char *text =
            steps[i].value ? base_strdup(steps[i].value) : first_of(p->text[a], steps[i].keep);
        free(p->text[a]);
        p->text[a] = text;
        note_cut(p, a);
        rc = foretell(p, e);
    }
    return rc;
}

/* ---- the machine ------------------------------------------------------------------------------------- */

static bool all_real(const struct plan *p)
{
    return strstr(p->text[DATASET], "standin:") == NULL;
}

static void judge_claims(struct plan *p)
{
    const struct study_facts f = {
        .axes = &p->axes,
        .size = p->size,
        .nsizes = p->nsizes,
        .bounds = p->bounds,
        .nbounds = p->nbounds,
        .caches = p->machine.n,
        .gpu = p->gpu,
        .joules = p->forecast.length.why[0] && !p->forecast.length.estimate,
        .real = all_real(p),
    };
    p->nclaims = study_claims(p->claims, &f);
}

static void look_at_machine(struct plan *p)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct err e;
    if (caches_detect(&p->machine, "", NULL, &e) != 0)
        p->machine.n = 0;
    p->used = p->machine;
    caches_use(&p->used, &p->machine, 1);
    p->connected = cmd_connect(p->app, &c, &e) == 0;
    p->gpu = p->connected && cost_backend_works(c, "cuda");
}

/* ---- telling ----------------------------------------------------------------------------------------- */

static void tell_bound(FILE *f, const struct plan *p, const struct study_bound *b)
{
    (void)fprintf(f, "  %s, %s: ", p->machine.level[b->level].name, workset_kind_name(b->kind));
    if (!isnan(b->params))
        (void)fprintf(f, "outgrown at about %.3g parameters (%.2g to %.2g)\n", b->params, b->lo,
                      b->hi);
    else
        (void)fputs(b->never_inside ? "outgrown by the smallest network already\n"
                                    : "not outgrown by the study's largest network\n",
                    f);
}

static void tell_claims(FILE *f, const struct plan *p)
{
    size_t yes = 0;
    for (size_t i = 0; i < p->nclaims; i++)
        yes += p->claims[i].yes;
    (void)fprintf(f, "\nThe study's findings this can test (%zu of %zu)\n", yes, p->nclaims);
    for (size_t i = 0; i < p->nclaims; i++) {
        const struct study_testable *t = &p->claims[i];
        (void)fprintf(f, "  %2d %s  %s\n        %s%s\n", t->row, t->yes ? "yes" : "no ", t->finding,
                      t->why, t->time ? "; by time only, no joules are measured here" : "");
    }
}

static void tell(const struct plan *p)
{
    FILE *f = p->app->print.out;
    char text[400];
    char length[400];
    char *line CLEANUP(base_freep) = words_line(&p->words, p->forecast.runs > MANY_RUNS ? 1 : 2);
    (void)fprintf(f, "This machine\n  caches: %s\n  GPU: %s\n  %s\n",
                  p->machine.n > 0 ? caches_show(text, sizeof text, &p->machine) : "none described",
                  p->gpu ? "wattq-train can use one: add --backend cuda for a second sweep"
                         : "none that wattq-train can use",
                  design_say_length(length, sizeof length, &p->forecast.length));
    (void)fprintf(f, "\nCache boundaries (batch %lld, one thread)\n", (long long)p->axes.batch);
    for (size_t i = 0; i < p->nbounds; i++)
        tell_bound(f, p, &p->bounds[i]);
    (void)fprintf(f, "\nThe plan\n  wattq sweep %s\n", line);
    (void)fprintf(f, "  %zu networks x %lld repeats in %zu blocks, %zu control runs: %zu runs\n",
                  p->forecast.networks, (long long)p->forecast.repeat, p->forecast.blocks,
                  p->forecast.canaries, p->forecast.runs);
    (void)fprintf(f, "  %s%s\n", cost_say(text, sizeof text, &p->forecast.cost),
                  p->forecast.model > 0 ? ", foretold by the newest model"
                  : p->rates.n > 0      ? ", foretold from a calibration of a second"
                                        : "");
    if (p->cuts)
        (void)fprintf(f, "  cut to fit the budget of %s: %s\n",
                      units_show_duration(text, sizeof text, p->budget_ns), p->cuts);
    if (too_long(p))
        (void)fprintf(f, "  that is more than the budget of %s: give fewer values, or --budget\n",
                      units_show_duration(text, sizeof text, p->budget_ns));
    tell_claims(f, p);
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

static json_t *bounds_json(const struct plan *p)
{
    json_t *all = json_array();
    for (size_t i = 0; i < p->nbounds; i++) {
        const struct study_bound *b = &p->bounds[i];
        json_t *o = json_object();
        json_put(o, "level", json_string(p->machine.level[b->level].name));
        json_put(o, "bytes", json_integer(p->machine.level[b->level].bytes));
        json_put(o, "set", json_string(workset_kind_name(b->kind)));
        json_put(o, "params", json_number(b->params));
        json_put(o, "smallest", json_number(b->lo));
        json_put(o, "largest", json_number(b->hi));
        (void)json_array_append_new(all, o);
    }
    return all;
}

static json_t *claims_json(const struct plan *p)
{
    json_t *all = json_array();
    for (size_t i = 0; i < p->nclaims; i++) {
        const struct study_testable *t = &p->claims[i];
        json_t *o = json_object();
        json_put(o, "row", json_integer(t->row));
        json_put(o, "hardware", json_string(claim_hardware_name(t->hardware)));
        json_put(o, "finding", json_string(t->finding));
        json_put(o, "testable", json_boolean(t->yes));
        json_put(o, "by", t->yes ? json_string(t->time ? "time" : "energy") : json_null());
        json_put(o, "why", json_text(t->why, strlen(t->why)));
        (void)json_array_append_new(all, o);
    }
    return all;
}

static json_t *sweep_json(const struct plan *p)
{
    const struct sweep_forecast *f = &p->forecast;
    json_t *o = json_object();
    json_t *argv = json_array();
    for (size_t i = 1; i < p->words.n; i++)
        (void)json_array_append_new(argv, json_text(p->words.at[i], strlen(p->words.at[i])));
    bool known = f->cost.unknown < f->cost.runs;
    json_put(o, "argv", argv);
    json_put(o, "runs", json_integer((json_int_t)f->runs));
    json_put(o, "networks", json_integer((json_int_t)f->networks));
    json_put(o, "repeat", json_integer(f->repeat));
    json_put(o, "canaries", json_integer((json_int_t)f->canaries));
    json_put(o, "left_out", json_integer((json_int_t)f->left_out));
    json_put(o, "train_s", f->length.seconds > 0 ? json_number(f->length.seconds) : json_null());
    json_put(o, "seconds", known ? json_number(f->cost.run_s + f->cost.pause_s) : json_null());
    json_put(o, "energy_j", json_number(f->cost.energy_j));
    json_put(o, "estimated", json_boolean(f->cost.estimate));
    json_put(o, "reason", f->cost.reason ? json_string(f->cost.reason) : json_null());
    json_put(o, "cut", p->cuts ? json_text(p->cuts, strlen(p->cuts)) : json_null());
    return o;
}

static int tell_json(const struct plan *p, int64_t sweep, struct err *e)
{
    char text[200];
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.study_plan/1"));
    json_put(doc, "caches",
             p->machine.n > 0 ? json_string(caches_show(text, sizeof text, &p->machine))
                              : json_null());
    json_put(doc, "gpu", json_boolean(p->gpu));
    json_put(doc, "boundaries", bounds_json(p));
    json_put(doc, "sweep", sweep_json(p));
    json_put(doc, "budget_s", json_number((double)p->budget_ns / 1e9));
    json_put(doc, "claims", claims_json(p));
    json_put(doc, "queued", sweep > 0 ? json_integer(sweep) : json_null());
    return json_write(p->app->print.out, doc, false, e);
}

/* ---- the command --------------------------------------------------------------------------------------- */

static int read_options(struct plan *p, struct err *e)
{
    const struct args *a = &p->app->args;
    const char *grid = args_str(a, OPT_GRID, "caches");
    p->budget_ns = BUDGET_NS;
    p->full = strcmp(grid, "study") == 0;
    if (!p->full && strcmp(grid, "caches") != 0) {
        err_set(e, WATTQ_E_USAGE, "--grid: '%.40s' is not a grid", grid);
        return err_next(e, "write --grid caches (around this machine's caches) or --grid study");
    }
    int rc = args_duration(a, OPT_BUDGET, &p->budget_ns, e);
    if (rc == 0)
        rc = train_args_init(&p->rest, a, 1, e);
    for (int i = 0; rc == 0 && i < AXES; i++) {
        const char *value = train_args_get(&p->rest, keys[i]);
        p->given[i] = value != NULL;
        if (!value)
            continue;
        set_text(p, (enum axis)i, value);
        train_args_drop(&p->rest, keys[i]);
    }
    return rc;
}

int study_plan(struct app *app, struct err *e)
{
    struct plan p CLEANUP(plan_finip) = {.app = app};
    int64_t sweep = 0;
    int rc = read_options(&p, e);
    if (rc < 0)
        return rc;
    look_at_machine(&p);
    defaults(&p);
    rc = fit_budget(&p, e);
    if (rc < 0)
        return rc;
    judge_claims(&p);
    if (!app->json)
        tell(&p);
    if (args_has(&app->args, OPT_QUEUE))
        rc = sweep_queue(app, p.words.at + 1, p.words.n - 1, &sweep, e);
    return rc == 0 && app->json ? tell_json(&p, sweep, e) : rc;
}
