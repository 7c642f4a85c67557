#include "client/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/submit.h"
#include "common/units.h"

#define BATCH  256 /* wattq-train's own defaults */
#define EPOCHS 30

/* ---- one ------------------------------------------------------------------------------------------ */

static double auto_epochs(const struct fit *f, const struct predict_net *n)
{
    struct fit_network one = {&n->net, n->rows_train, 0, n->batch, n->threads, n->number_bytes, 1};
    struct fit_prediction p;
    fit_predict(f, &one, &p);
    return fmax(n->min_epochs, ceil(n->min_seconds / p.train_s.value));
}

void predict_one(struct predict *out, const struct fit *f, const struct predict_net *n)
{
    out->epochs = isnan(n->epochs) ? auto_epochs(f, n) : n->epochs;
    struct fit_network net = {&n->net,    n->rows_train,   n->rows_test, n->batch,
                              n->threads, n->number_bytes, out->epochs};
    fit_predict(f, &net, &out->p);
}

/* ---- many ----------------------------------------------------------------------------------------- */

/* "/data/adult.tsv.gz", "standin:adult", "adult". */
static const struct net_dataset *dataset_of(const char *word)
{
    char name[64];
    const char *slash = strrchr(word, '/');
    word = slash ? slash + 1 : word;
    word += strncmp(word, "standin:", 8) == 0 ? 8 : 0;
    base_strcpy(name, sizeof name, word);
    char *dot = strstr(name, ".tsv");
    if (dot)
        *dot = '\0';
    return net_dataset_find(name);
}

static double number_of(const struct train_args *t, const char *option, double dflt)
{
    const char *text = train_args_get(t, option);
    int64_t count;
    if (!text)
        return dflt;
    if (units_parse_count(text, &count, NULL) == 0)
        return (double)count;
    char *end;
    double v = strtod(text, &end);
    return *end == '\0' ? v : (double)NAN;
}

static bool net_of(struct predict_net *n, const struct train_args *t, const struct net_dataset *d)
{
    const char *layers = train_args_get(t, "layers");
    const char *shape = train_args_get(t, "shape");
    enum net_shape s = NET_RECTANGLE;
    if (layers)
        return net_parse_layers(&n->net, layers, d->inputs, d->outputs, NULL) == 0;
    if (shape && net_shape_parse(shape, &s, NULL) < 0)
        return false;
    double depth = number_of(t, "depth", 2);
    double size = number_of(t, "size", NAN);
    if (!(depth >= 2 && depth <= NET_DEPTH_MAX && size >= 1 && size < 1e15))
        return false;
    n->size = (int64_t)size;
    return net_search(&n->net, s, (int)depth, d->inputs, d->outputs, n->size, NULL) == 0;
}

static bool read_spec(struct predict_net *n, const struct spec *s)
{
    const struct train_args t = {s->argv, s->argc};
    const char *dataset = train_args_get(&t, "dataset");
    const char *epochs = train_args_get(&t, "epochs");
    const char *precision = train_args_get(&t, "precision");
    const struct net_dataset *d = dataset && s->kind == SPEC_TRAIN ? dataset_of(dataset) : NULL;
    *n = (struct predict_net){.rows_test = d ? (d->rows + 4) / 5 : 0, .threads = 1};
    if (!d || !net_of(n, &t, d))
        return false;
    n->rows_train = d->rows - n->rows_test;
    n->batch = (int64_t)number_of(&t, "batch", BATCH);
    n->number_bytes = precision && strcmp(precision, "f64") == 0 ? 8 : 4;
    n->min_seconds = number_of(&t, "min-seconds", 0);
    n->min_epochs = number_of(&t, "min-epochs", 1);
    n->max_seconds = number_of(&t, "max-seconds", INFINITY);
    n->epochs =
        epochs && strcmp(epochs, "auto") == 0 ? (double)NAN : number_of(&t, "epochs", EPOCHS);
    return n->batch > 0;
}

static void add(struct fit_figure *sum, const struct fit_figure *one)
{
    sum->value += one->value;
    sum->lo += one->lo;
    sum->hi += one->hi;
}

/* A run that is stopped by its own limit. */
static void cut(struct fit_figure *f, double share)
{
    if (share >= 1)
        return;
    f->value *= share;
    f->lo *= share;
    f->hi *= share;
}

void predict_grid(struct predict_grid *out, const struct fit *f, const struct spec *specs, size_t n)
{
    *out = (struct predict_grid){0};
    for (size_t i = 0; i < n; i++) {
        struct predict_net net;
        struct predict p;
        if (!read_spec(&net, &specs[i])) {
            out->unknown++;
            continue;
        }
        predict_one(&p, f, &net);
        double share = net.max_seconds / p.p.run_s.value;
        cut(&p.p.run_s, share);
        cut(&p.p.run_j, share);
        add(&out->run_s, &p.p.run_s);
        add(&out->run_j, &p.p.run_j);
        out->longest_s = fmax(out->longest_s, p.p.run_s.value);
        out->outside += p.p.outside;
        out->runs++;
    }
}
