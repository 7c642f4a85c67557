/* Sweeps: the points of a grid in their order, each a complete run; the ones that make no sense are left
 * out with the reason. Pure. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/net.h"
#include "common/random.h"
#include "common/units.h"
#include "daemon/queue/queue.h"

#define VARIANT_WORDS 16

struct expansion {
    const struct queue_sweep *sw;
    size_t points; /* of the grid, left out ones included */
    struct spec_param
        *at; /* parameters of the point at hand: base, axes, repeat; values borrowed */
    size_t nat;
    bool *used; /* one per element of at */
    struct spec *specs;
    size_t n;
    struct queue_skipped *skipped;
    size_t nskipped;
    int64_t block;    /* at hand; 0 = the sweep has none */
    int64_t in_block; /* points put since the last canary */
};

static int count_points(const struct queue_sweep *sw, size_t *points, struct err *e)
{
    size_t n = 1;
    for (size_t i = 0; i < sw->naxes; i++) {
        if (sw->axes[i].n == 0)
            return err_set(e, WATTQ_E_USAGE, "'%s' has no values", sw->axes[i].key);
        if (!spec_key_ok(sw->axes[i].key))
            return err_set(e, WATTQ_E_USAGE, "'%.60s' is no name for a key", sw->axes[i].key);
        for (size_t k = 0; k < i; k++)
            if (strcmp(sw->axes[k].key, sw->axes[i].key) == 0)
                return err_set(e, WATTQ_E_USAGE, "the key '%s' is given twice", sw->axes[i].key);
        if (sw->axes[i].n > SPEC_SWEEP_RUNS / n)
            n = SPEC_SWEEP_RUNS + 1;
        else
            n *= sw->axes[i].n;
    }
    if (sw->repeat < 1 || (size_t)sw->repeat > SPEC_SWEEP_RUNS ||
        n > SPEC_SWEEP_RUNS / (size_t)sw->repeat) {
        err_set(e, WATTQ_E_LIMIT, "the grid has more than %d runs", SPEC_SWEEP_RUNS);
        return err_next(e, "split it into several sweeps, or use fewer values or repeats");
    }
    *points = n;
    return 0;
}

/* The last axis runs fastest. */
static void go_to_point(struct expansion *x, size_t point, const char *repeat)
{
    const struct queue_sweep *sw = x->sw;
    size_t base = sw->run->nparams;
    for (size_t i = sw->naxes; i-- > 0;) {
        struct spec_param *p = &x->at[base + i];
        base_strcpy(p->key, sizeof(p->key), sw->axes[i].key);
        p->value = sw->axes[i].values[point % sw->axes[i].n];
        point /= sw->axes[i].n;
    }
    if (repeat) {
        base_strcpy(x->at[x->nat - 1].key, SPEC_KEY_MAX, "repeat");
        x->at[x->nat - 1].value = base_strdup(repeat);
    }
}

/* What follows --name in the trainer's arguments; NULL = it is not there. */
static const char *argv_value(char *const *argv, size_t argc, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (a[0] != '-' || a[1] != '-' || strncmp(a + 2, name, n) != 0)
            continue;
        if (a[2 + n] == '=')
            return a + 3 + n;
        if (a[2 + n] == '\0' && i + 1 < argc)
            return argv[i + 1];
    }
    return NULL;
}

/* A value of this point: an axis or parameter of that name, else what follows --name in argv. */
static const char *point_value(const struct expansion *x, const char *name)
{
    for (size_t i = 0; i < x->nat; i++)
        if (strcmp(x->at[i].key, name) == 0)
            return x->at[i].value;
    return argv_value(x->sw->run->argv, x->sw->run->argc, name);
}

struct grid_point {
    const struct net_dataset *data;
    enum net_shape shape;
    int depth;
    int64_t size;
};

/* false: not a point of the study's grid (own data, free widths, other spellings): nothing to check. */
static bool grid_point(const struct expansion *x, struct grid_point *g)
{
    const char *data = point_value(x, "dataset");
    const char *shape = point_value(x, "shape");
    const char *depth = point_value(x, "depth");
    const char *size = point_value(x, "size");
    int64_t d = 0;
    struct err ignored;
    if (!data || !shape || !depth || !size)
        return false;
    if (strncmp(data, "standin:", 8) == 0)
        data += 8;
    g->data = net_dataset_find(data);
    if (!g->data || net_shape_parse(shape, &g->shape, &ignored) < 0 || g->shape >= NET_SHAPES ||
        units_parse_count(depth, &d, &ignored) < 0 ||
        units_parse_count(size, &g->size, &ignored) < 0)
        return false;
    g->depth = d >= 0 && d <= NET_DEPTH_MAX ? (int)d : -1;
    return true;
}

/* At depth 2 all shapes are one hidden layer; an earlier shape of the same sweep with the same width is
 * the same network. NULL = this one is the first. */
static const char *same_network(const struct expansion *x, const struct grid_point *g,
                                const struct net *net)
{
    const struct queue_sweep *sw = x->sw;
    const char *mine = point_value(x, "shape");
    for (size_t i = 0; i < sw->naxes; i++) {
        if (strcmp(sw->axes[i].key, "shape") != 0)
            continue;
        for (size_t k = 0; k < sw->axes[i].n && strcmp(sw->axes[i].values[k], mine) != 0; k++) {
            struct net other;
            enum net_shape shape;
            struct err ignored;
            if (net_shape_parse(sw->axes[i].values[k], &shape, &ignored) == 0 &&
                shape < NET_SHAPES &&
                net_search(&other, shape, g->depth, g->data->inputs, g->data->outputs, g->size,
                           &ignored) == 0 &&
                other.widths[0] == net->widths[0])
                return sw->axes[i].values[k];
        }
    }
    return NULL;
}

/* Why this point is not queued, in new memory; NULL = it is. */
static char *reason_to_skip(const struct expansion *x)
{
    struct grid_point g;
    struct net net;
    struct err why;
    if (x->sw->run->kind != SPEC_TRAIN || !grid_point(x, &g))
        return NULL;
    int rc = net_search(&net, g.shape, g.depth, g.data->inputs, g.data->outputs, g.size, &why);
    if (rc < 0)
        return base_strdup(why.text);
    if (rc > 0)
        return base_printf(
            "no width comes within 20 %% of %lld parameters: the nearest network has %lld",
            (long long)g.size, (long long)net.params);
    const char *twin = g.depth == 2 ? same_network(x, &g, &net) : NULL;
    return twin ? base_printf("at depth 2 it is the same network as %s", twin) : NULL;
}

static void skip_point(struct expansion *x, char *reason)
{
    char *text = base_strdup("");
    for (size_t i = 0; i < x->sw->naxes; i++) {
        const struct spec_param *p = &x->at[x->sw->run->nparams + i];
        char *longer = base_printf("%s%s%s=%s", text, i ? " " : "", p->key, p->value);
        free(text);
        text = longer;
    }
    x->skipped[x->nskipped++] = (struct queue_skipped){text, reason};
}

/* Cut on a character's border: a label must stay UTF-8. */
static void set_label(char out[SPEC_LABEL_MAX + 1], const char *text)
{
    size_t n = strlen(text);
    if (n > SPEC_LABEL_MAX) {
        n = SPEC_LABEL_MAX;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

/* A value of the key `variant` is NAME:WORDS: the parameter is the name, the words are the trainer's. */
static size_t variant_name(const char *value)
{
    return strcspn(value, ":");
}

static int put_variant(struct spec *s, const char *value, struct err *e)
{
    const char *words = value + variant_name(value);
    char *text CLEANUP(base_freep) = base_strdup(*words ? words + 1 : "");
    char *save = NULL;
    size_t room = VARIANT_WORDS;
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        if (room-- == 0)
            return err_set(e, WATTQ_E_LIMIT, "a variant has at most %d words", VARIANT_WORDS);
        s->argv[s->argc++] = base_strdup(w);
    }
    return 0;
}

/* Each repeat of a network begins with weights and a split of its own, so that the spread of losses over the
 * repeats is real; two networks of one pass have the same seed. */
static void put_seed(const struct expansion *x, struct spec *s)
{
    const struct queue_sweep *sw = x->sw;
    bool repeats = x->nat > sw->run->nparams + sw->naxes;
    if (sw->run->kind != SPEC_TRAIN || !repeats || point_value(x, "seed"))
        return;
    s->argv[s->argc++] = base_strdup("--seed");
    s->argv[s->argc++] = base_strdup(x->at[x->nat - 1].value);
}

static int expand_argv(struct expansion *x, struct spec *s, struct err *e)
{
    const struct spec *run = x->sw->run;
    size_t extra = run->kind == SPEC_TRAIN ? 2 * x->sw->naxes + VARIANT_WORDS + 2 : 0;
    if (run->argc + extra > SPEC_ARGC_MAX)
        return err_set(e, WATTQ_E_LIMIT, "the command has more than %d words", SPEC_ARGC_MAX);
    s->argv = base_alloc((run->argc + extra + 1) * sizeof(*s->argv));
    for (size_t i = 0; i < run->argc; i++) {
        int rc = spec_expand(run->argv[i], x->at, x->nat, x->used, &s->argv[i], e);
        if (rc < 0)
            return rc;
        s->argc++;
    }
    for (size_t i = 0; i < x->sw->naxes; i++) {
        size_t k = run->nparams + i;
        if (x->used[k])
            continue;
        if (run->kind != SPEC_TRAIN) {
            err_set(e, WATTQ_E_USAGE, "the key '%s' appears nowhere in the command", x->at[k].key);
            return err_next(e, "write {%s} where its value belongs, or drop -p %s=...",
                            x->at[k].key, x->at[k].key);
        }
        if (strcmp(x->at[k].key, "variant") == 0) {
            int rc = put_variant(s, x->at[k].value, e);
            if (rc < 0)
                return rc;
            continue;
        }
        s->argv[s->argc++] = base_printf("--%s", x->at[k].key);
        s->argv[s->argc++] = base_strdup(x->at[k].value);
    }
    put_seed(x, s);
    return 0;
}

static void copy_scalars(struct spec *s, const struct spec *run)
{
    s->kind = run->kind;
    s->cwd = base_strdup(run->cwd);
    s->stdin_path = run->stdin_path ? base_strdup(run->stdin_path) : NULL;
    s->on_end = run->on_end ? base_strdup(run->on_end) : NULL;
    memcpy(s->project, run->project, sizeof(s->project));
    s->umask = run->umask;
    s->priority = run->priority;
    s->time_limit_ns = run->time_limit_ns;
    s->grace_ns = run->grace_ns;
    s->log_cap_bytes = run->log_cap_bytes;
    s->pause_ns = run->pause_ns;
    s->quiet_ppm = run->quiet_ppm;
    s->quiet_ns = run->quiet_ns;
    spec_gpus_set(s, run->gpus, run->gpu_ids, spec_gpu_ids(run));
    spec_limits_copy(s, run);
    s->exclusive = run->exclusive;
    s->wait_children = run->wait_children;
    s->hold = run->hold;
    s->requeue = run->requeue;
}

static void put_param(struct spec *s, const char *key, const char *value)
{
    struct spec_param *p = &s->params[s->nparams++];
    base_strcpy(p->key, sizeof(p->key), key);
    p->value = base_strdup(value);
}

static void put_point_param(struct spec *s, const struct spec_param *p)
{
    bool variant = s->kind == SPEC_TRAIN && strcmp(p->key, "variant") == 0;
    size_t n = variant ? variant_name(p->value) : strlen(p->value);
    char *value CLEANUP(base_freep) = base_strdup_n(p->value, n);
    put_param(s, p->key, value);
}

static void put_block(const struct expansion *x, struct spec *s)
{
    char text[24];
    if (x->block == 0)
        return;
    snprintf(text, sizeof(text), "%lld", (long long)x->block);
    put_param(s, "block", text);
}

/* ---- canaries and warm-up ----------------------------------------------------------------------- */

/* A run that is no point of the grid: its own arguments, all else as the sweep's. */
static void put_control(struct expansion *x, const char *role, char *const *argv, size_t argc)
{
    static const char *const keys[] = {"dataset", "shape", "depth", "size", "epochs"};
    struct spec *s = &x->specs[x->n++];
    const char *label = x->sw->label[0] ? x->sw->label : x->sw->run->label;
    char *text CLEANUP(base_freep) =
        strchr(label, '{') || !label[0] ? base_strdup(role) : base_printf("%s %s", label, role);
    spec_init(s);
    copy_scalars(s, x->sw->run);
    set_label(s->label, text);
    s->argv = base_alloc((argc + 1) * sizeof(*s->argv));
    for (size_t i = 0; i < argc; i++)
        s->argv[s->argc++] = base_strdup(argv[i]);
    s->params = base_alloc((ARRAY_LEN(keys) + 2) * sizeof(*s->params));
    put_param(s, "role", role);
    put_block(x, s);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = argv_value(argv, argc, keys[i]);
        if (value)
            put_param(s, keys[i], value);
    }
}

static void put_canary(struct expansion *x)
{
    x->in_block = 0;
    put_control(x, "canary", x->sw->canary, x->sw->ncanary);
}

/* Before a point: a new block when the last one is full. */
static void turn_block(struct expansion *x)
{
    if (x->sw->canary_every == 0 || (x->block > 0 && x->in_block < x->sw->canary_every))
        return;
    x->block++;
    put_canary(x);
}

/* ---- points ------------------------------------------------------------------------------------- */

/* The environment stays with the sweep: 100,000 copies of it would be a gigabyte. */
static int put_point(struct expansion *x, struct err *e)
{
    turn_block(x);
    x->in_block++;
    struct spec *s = &x->specs[x->n++];
    const char *label = x->sw->run->label[0] ? x->sw->run->label : x->sw->label;
    spec_init(s);
    copy_scalars(s, x->sw->run);
    memset(x->used, 0, x->nat * sizeof(*x->used));
    int rc = expand_argv(x, s, e);
    char *text CLEANUP(base_freep) = NULL;
    if (rc == 0)
        rc = spec_expand(label, x->at, x->nat, x->used, &text, e);
    if (rc < 0)
        return rc;
    set_label(s->label, text);
    s->params = base_alloc((x->nat + 2) * sizeof(*s->params));
    for (size_t i = 0; i < x->nat; i++)
        put_point_param(s, &x->at[i]);
    put_block(x, s);
    return 0;
}

static bool has_key(const struct queue_sweep *sw, const char *key)
{
    for (size_t i = 0; i < sw->naxes; i++)
        if (strcmp(sw->axes[i].key, key) == 0)
            return true;
    for (size_t i = 0; i < sw->run->nparams; i++)
        if (strcmp(sw->run->params[i].key, key) == 0)
            return true;
    return false;
}

/* One pass over the grid in its order; what is left out is reported by the first pass only. */
static int one_pass(struct expansion *x, const size_t *order, int64_t repeat, struct err *e)
{
    char text[24];
    bool with_key = x->nat > x->sw->run->nparams + x->sw->naxes;
    snprintf(text, sizeof(text), "%lld", (long long)repeat);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->points; i++) {
        go_to_point(x, order[i], with_key ? text : NULL);
        char *reason = reason_to_skip(x);
        if (!reason)
            rc = put_point(x, e);
        else if (repeat == 1)
            skip_point(x, reason);
        else
            free(reason);
        if (with_key)
            free(x->at[x->nat - 1].value);
    }
    return rc;
}

static void start_expansion(struct expansion *x, const struct queue_sweep *sw, size_t points)
{
    bool with_key = sw->repeat > 1 && !has_key(sw, "repeat");
    *x = (struct expansion){.sw = sw, .points = points};
    x->nat = sw->run->nparams + sw->naxes + (with_key ? 1 : 0);
    x->at = base_alloc((x->nat + 1) * sizeof(*x->at));
    x->used = base_alloc((x->nat + 1) * sizeof(*x->used));
    for (size_t i = 0; i < sw->run->nparams; i++)
        x->at[i] = sw->run->params[i];
    size_t runs = points * (size_t)sw->repeat;
    size_t canaries = sw->canary_every > 0 ? runs / (size_t)sw->canary_every + 2 : 0;
    x->specs = base_alloc((runs + canaries + 2) * sizeof(*x->specs));
    x->skipped = base_alloc((points + 1) * sizeof(*x->skipped));
}

void queue_expand_free(struct spec *specs, size_t n, struct queue_skipped *skipped, size_t nskipped)
{
    for (size_t i = 0; i < n; i++)
        spec_fini(&specs[i]);
    for (size_t i = 0; i < nskipped; i++) {
        free(skipped[i].params);
        free(skipped[i].reason);
    }
    free(specs);
    free(skipped);
}

static int check_design(const struct queue_sweep *sw, struct err *e)
{
    static const char *const ours[] = {"block", "role"};
    if (sw->canary_every < 0 || sw->canary_every > SPEC_SWEEP_RUNS ||
        (sw->canary_every > 0 && sw->ncanary == 0))
        return err_set(e, WATTQ_E_USAGE,
                       "canaries need a network, and a number of runs between two");
    for (size_t i = 0; (sw->canary_every > 0 || sw->nwarmup > 0) && i < ARRAY_LEN(ours); i++) {
        if (!has_key(sw, ours[i]))
            continue;
        err_set(e, WATTQ_E_USAGE, "the key '%s' is the sweep's own", ours[i]);
        return err_next(e, "give yours another name, or say --canary-every 0 --warmup 0");
    }
    return 0;
}

/* The last canary; a grid of which nothing is left needs no warm-up either. */
static void close_blocks(struct expansion *x)
{
    if (x->block > 0)
        put_canary(x);
    else if (x->n == 1 && x->in_block == 0 && x->sw->nwarmup > 0)
        spec_fini(&x->specs[--x->n]);
}

int queue_expand(const struct queue_sweep *sw, struct spec **specs, size_t *n,
                 struct queue_skipped **skipped, size_t *nskipped, struct err *e)
{
    struct expansion x;
    size_t points = 0;
    uint64_t state = (uint64_t)sw->seed;
    int rc = count_points(sw, &points, e);
    if (rc < 0)
        return rc;
    if (sw->run->nparams + sw->naxes + 2 > SPEC_PARAMS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "a run has at most %d parameters", SPEC_PARAMS_MAX);
    rc = check_design(sw, e);
    if (rc < 0)
        return rc;
    start_expansion(&x, sw, points);
    if (sw->nwarmup > 0)
        put_control(&x, "warmup", sw->warmup, sw->nwarmup);
    size_t *order CLEANUP(base_freep) = base_alloc(points * sizeof(*order));
    for (int64_t r = 1; rc == 0 && r <= sw->repeat; r++) {
        for (size_t i = 0; i < points; i++)
            order[i] = i;
        if (sw->random)
            random_shuffle(order, points, &state);
        rc = one_pass(&x, order, r, e);
    }
    if (rc == 0)
        close_blocks(&x);
    free(x.at);
    free(x.used);
    if (rc < 0) {
        queue_expand_free(x.specs, x.n, x.skipped, x.nskipped);
        return rc;
    }
    *specs = x.specs;
    *n = x.n;
    *skipped = x.skipped;
    *nskipped = x.nskipped;
    return 0;
}
