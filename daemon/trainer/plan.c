/* What is trained: data set, network and backend from the options. */
#include <string.h>

#include "daemon/trainer/train.h"
#include "daemon/trainer/workspace.h"

static int find_network(struct train_plan *p, struct err *e)
{
    const struct options *o = &p->opt;
    const struct dataset *d = &p->data;
    if (o->layers)
        return net_parse_layers(&p->net, o->layers, d->inputs, d->outputs, e);
    enum net_shape shape;
    int rc = net_shape_parse(o->shape, &shape, e);
    if (rc == 0)
        rc = net_search(&p->net, shape, (int)o->depth, d->inputs, d->outputs, o->size, e);
    if (rc <= 0)
        return rc;
    err_set(
        e, WATTQ_E_INVALID,
        "no width of %s at depth %lld reaches %lld parameters within 20 %% on %.60s: the nearest "
        "network has %lld",
        o->shape, (long long)o->depth, (long long)o->size, d->name, (long long)p->net.params);
    return err_next(e, "use --size %lld, or another --depth or --shape", (long long)p->net.params);
}

int train_plan_open(struct train_plan *p, const struct options *o, struct err *e)
{
    *p = (struct train_plan){.opt = *o};
    enum net_shape shape;
    int rc =
        o->layers ? 0 : net_shape_parse(o->shape, &shape, e); /* a wrong word before a long load */
    if (rc == 0)
        rc = backend_choose(o->backend, (enum backend_precision)o->precision, &p->ops, e);
    if (rc < 0)
        return rc;
    const struct dataset_spec spec = {
        .dataset = o->dataset,
        .data_dir = o->data_dir && *o->data_dir ? o->data_dir : NULL,
        .labels = o->labels,
        .target = o->target,
        .seed = (uint64_t)o->seed,
        .dims_only = o->describe,
    };
    rc = dataset_open(&p->data, &spec, e);
    if (rc == 0)
        rc = find_network(p, e);
    if (rc < 0)
        train_plan_close(p);
    return rc;
}

void train_plan_close(struct train_plan *p)
{
    dataset_close(&p->data);
    *p = (struct train_plan){0};
}

static int64_t batches(int64_t rows, int64_t batch)
{
    return (rows + batch - 1) / batch;
}

static void data_json(const struct train_plan *p, struct json *j)
{
    const struct dataset *d = &p->data;
    static const char *const losses[] = {
        [NET_LOSS_MSE] = "mse", [NET_LOSS_BCE] = "bce", [NET_LOSS_CCE] = "cce"};
    json_text(j, "dataset", d->name);
    json_bool(j, "standin", d->standin);
    json_i64(j, "rows_train", d->rows_train);
    json_i64(j, "rows_test", d->rows_test);
    json_i64(j, "raw_features", d->raw_features);
    json_i64(j, "inputs", d->inputs);
    json_i64(j, "outputs", d->outputs);
    json_i64(j, "classes", d->classes);
    json_text(j, "loss", losses[d->loss]);
    json_text(j, "output_activation", d->loss == NET_LOSS_CCE ? "softmax" : "sigmoid");
}

static void network_json(const struct train_plan *p, struct json *j)
{
    json_text(j, "shape", net_shape_name(p->net.shape));
    json_i64(j, "depth", p->net.depth);
    if (p->opt.layers)
        json_null(j, "size");
    else
        json_i64(j, "size", p->opt.size);
    json_i64s(j, "widths", p->net.widths, (size_t)p->net.depth);
    json_i64(j, "params", p->net.params);
}

/* How many epochs it will be is not known before they are over where their time decides. */
static void epochs_json(const struct options *o, struct json *j)
{
    if (o->epochs == OPTIONS_AUTO) {
        json_text(j, "epochs_asked", "auto");
        json_f64(j, "min_seconds", o->min_seconds);
        json_i64(j, "min_epochs", o->min_epochs);
    } else {
        json_i64(j, "epochs", o->epochs);
        json_i64(j, "epochs_asked", o->epochs);
    }
    if (o->warmup_seconds > 0)
        json_f64(j, "warmup_seconds", o->warmup_seconds);
}

void train_plan_json(const struct train_plan *p, const struct backend *b, struct json *j)
{
    const struct options *o = &p->opt;
    data_json(p, j);
    network_json(p, j);
    json_i64(j, "batch", o->batch);
    json_i64(j, "batches_train", batches(p->data.rows_train, o->batch));
    json_i64(j, "batches_test", batches(p->data.rows_test, o->batch));
    epochs_json(o, j);
    json_f64(j, "lr", o->lr);
    json_i64(j, "seed", o->seed);
    char isa[64];
    p->ops->isa(isa, sizeof(isa));
    json_text(j, "backend", p->ops->name);
    json_text(j, "isa", isa);
    json_text(j, "precision", options_word("precision", o->precision));
    json_i64(j, "threads", o->threads);
    if (o->cpus)
        json_text(j, "cpus", o->cpus);
    if (o->beside > 0)
        json_i64(j, "beside", o->beside);
    if (o->resctrl)
        json_text(j, "resctrl", o->resctrl);
    json_f64(j, "eps", o->eps);
    json_text(j, "adam", options_word("adam", o->adam));
    json_text(j, "init", options_word("init", o->init));
    json_text(j, "version", WATTQ_VERSION);
    if (p->ops->facts)
        p->ops->facts(b, j);
}

/* The numbers from which the four working sets are computed, wherever that is done. */
static void working_set_json(const struct train_plan *p, struct json *j)
{
    int64_t units[NET_DEPTH_MAX + 1] = {p->data.inputs};
    memcpy(units + 1, p->net.widths, (size_t)p->net.depth * sizeof(*units));
    json_open(j, "working_set");
    json_i64(j, "scalar_bytes", p->opt.precision == BACKEND_F64 ? 8 : 4);
    json_i64(j, "batch", p->opt.batch);
    json_i64s(j, "units", units, (size_t)p->net.depth + 1);
    json_i64(j, "params", p->net.params);
    json_i64(j, "rows", p->data.rows);
    json_i64(j, "target_columns", p->data.loss == NET_LOSS_CCE ? 1 : p->data.outputs);
    json_close(j);
}

void train_describe(const struct train_plan *p, FILE *out)
{
    struct json j;
    json_start(&j);
    train_plan_json(p, NULL, &j);
    working_set_json(p, &j);
    json_close(&j);
    fprintf(out, "%.*s\n", (int)j.used, j.text);
}

static void backend_json(const struct backend_ops *b, struct json *j)
{
    char isa[64];
    struct err e = {0};
    json_open(j, b->name);
    json_text(j, "summary", b->summary);
    bool usable = backend_usable(b, &e);
    json_bool(j, "usable", usable);
    json_text(j, "reason", usable ? NULL : e.text);
    json_text(j, "next", usable ? NULL : e.next);
    b->isa(isa, sizeof(isa));
    json_text(j, "isa", usable ? isa : NULL);
    if (usable && b->facts)
        b->facts(NULL, j);
    json_close(j);
}

void train_backends(FILE *out)
{
    struct json j;
    json_start(&j);
    json_text(&j, "version", WATTQ_VERSION);
    json_open(&j, "backends");
    for (const struct backend_ops *const *b = backends; *b; b++)
        backend_json(*b, &j);
    json_close(&j);
    json_close(&j);
    fprintf(out, "%.*s\n", (int)j.used, j.text);
}
