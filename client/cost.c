#include "client/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "common/units.h"
#include "daemon/model/opcount.h"

#define AROUND_S 0.05 /* gate, edge sweeps and figures of a run */

void cost_from_points(struct cost_rates *r, const struct cost_point *at, size_t n, int layers)
{
    r->n = n < COST_POINTS ? n : COST_POINTS;
    memcpy(r->at, at, r->n * sizeof *at);
    /* In the smallest network there is next to nothing but the layers themselves. */
    r->layer_s = r->n > 0 ? r->at[0].step_s / layers : (double)NAN;
}

/* Between two points straight in logarithms; beyond them in proportion to the operations. */
static double step_of_ops(const struct cost_rates *r, double ops)
{
    const struct cost_point *p = r->at;
    if (ops <= p[0].ops)
        return p[0].step_s;
    for (size_t i = 1; i < r->n; i++) {
        if (ops > p[i].ops)
            continue;
        double part = log(ops / p[i - 1].ops) / log(p[i].ops / p[i - 1].ops);
        return p[i - 1].step_s * pow(p[i].step_s / p[i - 1].step_s, part);
    }
    return p[r->n - 1].step_s * ops / p[r->n - 1].ops;
}

static double step_s(const struct cost_rates *r, const struct net *net, double ops)
{
    double s = step_of_ops(r, ops) + (net->depth - 4) * r->layer_s;
    return s > net->depth * r->layer_s / 2 ? s : net->depth * r->layer_s / 2;
}

void cost_of_net(struct cost_run *out, const struct cost_rates *r, const struct net *net,
                 const struct net_dataset *data, double epochs, double min_s, double batch)
{
    struct opcount ops;
    int64_t test = (data->rows + 4) / 5;
    const struct opcount_case c = {
        .net = net, .rows_train = data->rows - test, .rows_test = test, .batch = batch};
    *out = (struct cost_run){NAN, NAN};
    if (r->n == 0)
        return;
    opcount_compute(&ops, &c);
    double both = ops.forward + ops.backward;
    double one = step_s(r, net, both);
    double train_s = ceil((double)c.rows_train / batch) * one;
    double test_s = ceil((double)test / batch) * one * ops.forward / both;
    out->epochs = epochs > 0 ? epochs : ceil(min_s / train_s);
    out->epochs = out->epochs < 1 ? 1 : out->epochs;
    out->seconds = out->epochs * (train_s + test_s) + AROUND_S +
                   r->number_s * (double)data->rows * (double)(data->inputs + data->outputs);
}

/* ---- a list of runs ------------------------------------------------------------------------------ */

static const char *arg_of(const struct spec *s, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < s->argc; i++) {
        const char *a = s->argv[i];
        if (!a || strncmp(a, "--", 2) != 0 || strncmp(a + 2, name, n) != 0)
            continue;
        if (a[2 + n] == '=')
            return a + 3 + n;
        if (a[2 + n] == '\0' && i + 1 < s->argc)
            return s->argv[i + 1];
    }
    return NULL;
}

static double number_of(const struct spec *s, const char *name, double dflt)
{
    const char *text = arg_of(s, name);
    int64_t n = 0;
    if (!text)
        return dflt;
    if (units_parse_count(text, &n, NULL) == 0)
        return (double)n;
    return strtod(text, NULL);
}

/* false: data or widths of the user's own. */
static bool network_of(const struct spec *s, struct net *net, const struct net_dataset **data)
{
    const char *name = arg_of(s, "dataset");
    const char *word = arg_of(s, "shape");
    enum net_shape shape = NET_RECTANGLE;
    struct err e;
    if (name && strncmp(name, "standin:", 8) == 0)
        name += 8;
    *data = name ? net_dataset_find(name) : NULL;
    if (!*data || arg_of(s, "layers") || (word && net_shape_parse(word, &shape, &e) < 0))
        return false;
    return net_search(net, shape, (int)number_of(s, "depth", 4), (*data)->inputs, (*data)->outputs,
                      (int64_t)number_of(s, "size", 0), &e) >= 0;
}

static void add_run(struct cost *out, const struct cost_rates *r, const struct spec *s)
{
    struct net net;
    const struct net_dataset *data;
    const char *epochs = arg_of(s, "epochs");
    bool automatic = epochs && strcmp(epochs, "auto") == 0;
    struct cost_run one;
    double limit = number_of(s, "max-seconds", INFINITY);
    out->pause_s += spec_idle_s(s);
    if (!network_of(s, &net, &data)) {
        out->unknown++;
        return;
    }
    cost_of_net(&one, r, &net, data, automatic ? 0 : number_of(s, "epochs", 30),
                number_of(s, "min-seconds", 0), number_of(s, "batch", 256));
    if (isnan(one.seconds)) {
        out->unknown++;
        return;
    }
    if (one.seconds > limit + 1)
        one.seconds = limit + AROUND_S;
    out->run_s += one.seconds;
    if (one.seconds > out->longest_s)
        out->longest_s = one.seconds;
}

void cost_of_specs(struct cost *out, const struct cost_rates *r, const struct spec *specs, size_t n)
{
    *out = (struct cost){.runs = n, .energy_j = NAN, .estimate = r->estimate};
    for (size_t i = 0; i < n; i++)
        add_run(out, r, &specs[i]);
    double idle = isnan(r->idle_w) ? r->load_w : r->idle_w;
    if (out->unknown < n)
        out->energy_j = out->run_s * r->load_w + out->pause_s * idle;
    if (isnan(out->energy_j))
        out->reason = r->reason[0] ? r->reason : "nothing is known of these data";
}

const char *cost_say(char *buf, size_t cap, const struct cost *c)
{
    char time[24];
    char text[64] = "energy not known";
    if (c->unknown == c->runs)
        return snprintf(buf, cap, "time and energy not known: %s", c->reason) < 0 ? "" : buf;
    if (!isnan(c->energy_j))
        (void)snprintf(text, sizeof text, "%s%.3g kWh%s", c->estimate ? "~" : "",
                       c->energy_j / 3.6e6, c->estimate ? " (estimated)" : "");
    (void)snprintf(buf, cap, "about %s and %s%s",
                   units_show_duration(time, sizeof time, (int64_t)((c->run_s + c->pause_s) * 1e9)),
                   text, c->unknown ? ", without the runs on data of your own" : "");
    return buf;
}
