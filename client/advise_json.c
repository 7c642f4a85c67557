/* wattq.advice/1: docs/model.md lists the keys. */
#include <math.h>
#include <string.h>

#include "client/advise.h"
#include "client/json.h"

static json_t *text(const char *s)
{
    return json_text(s, strlen(s));
}

static json_t *home_json(const char *name)
{
    return *name == '-' ? json_null() : json_string(name);
}

static void put_energy(json_t *o, const char *key, const struct advise_group *g, double joule)
{
    bool known = isfinite(joule) && g->by == ISOLOSS_ENERGY;
    json_put(o, key, known ? json_number(joule) : json_null());
    if (!known && !json_object_get(o, "reason"))
        json_put(o, "reason",
                 text(g->why_time[0] ? g->why_time : "the daemon has no joules of that stretch"));
}

static json_t *network_json(const struct advise *a, const struct advise_group *g, size_t config)
{
    const struct isoloss_config *c = &g->iso.config[config];
    const struct study_run *r = &g->runs[c->first];
    json_t *o = json_object();
    json_put(o, "run", json_integer(r->run));
    json_put(o, "repeats", json_integer((json_int_t)c->repeats));
    json_put(o, "shape", text(r->shape));
    json_put(o, "depth", json_integer(r->net.depth));
    json_put(o, "size", json_integer(r->size));
    json_put(o, "params", json_integer(r->net.params));
    json_put(o, "best_loss", json_number(exp(c->x_lo)));
    json_put(o, "forward_bytes", json_number(c->f_bytes));
    json_put(o, "training_bytes", json_number(c->b_bytes));
    json_put(o, "computes_in", home_json(advise_home(a, r, false)));
    json_put(o, "lives_in", home_json(advise_home(a, r, true)));
    return o;
}

static json_t *net_json(const struct advise *a, const struct advise_group *g, int i)
{
    if (i < 0)
        return json_null();
    const struct advise_net *n = &g->nets[i];
    json_t *o = network_json(a, g, n->config);
    double best = g->best < 0 ? (double)NAN : isoloss_cost_of(&g->nets[g->best].cost, g->by);
    json_put(o, "reaches", json_boolean(n->reaches));
    json_put(o, "at_once", json_boolean(n->at_once));
    json_put(o, "time_s", json_number(n->cost.time_s));
    json_put(o, "epochs", json_number(n->cost.epochs));
    json_put(o, "times_the_least",
             n->reaches ? json_number(isoloss_cost_of(&n->cost, g->by) / best) : json_null());
    if (!n->reaches)
        json_put(o, "reason", json_string("it never got to that loss"));
    put_energy(o, "energy_j", g, n->cost.energy_j);
    return o;
}

static json_t *frontier_json(const struct advise *a, const struct advise_group *g)
{
    json_t *all = json_array();
    for (size_t i = 0; i < g->nfrontier; i++) {
        const struct isoloss_step *s = &g->frontier[i];
        json_t *o = network_json(a, g, s->config);
        json_put(o, "from_loss", json_number(s->loss_hi));
        json_put(o, "to_loss", json_number(s->loss_lo));
        json_put(o, "from_time_s", json_number(s->cost_hi.time_s));
        json_put(o, "to_time_s", json_number(s->cost_lo.time_s));
        json_put(o, "to_epochs", json_number(s->cost_lo.epochs));
        put_energy(o, "from_energy_j", g, s->cost_hi.energy_j);
        put_energy(o, "to_energy_j", g, s->cost_lo.energy_j);
        (void)json_array_append_new(all, o);
    }
    return all;
}

static json_t *minima_json(const struct advise_group *g)
{
    static const char *const rules[] = {
        "as in the study", "spans the sizes of these runs",
        "spans the sizes of these runs; epochs do not fall with size"};
    json_t *all = json_array();
    for (size_t i = 0; i < g->nseries; i++) {
        const struct isoloss_series *s = &g->series[i];
        const struct isoloss_config *c = &g->iso.config[s->config[s->least]];
        const struct study_run *r = &g->runs[c->first];
        json_t *o = json_object();
        json_put(o, "shape", text(r->shape));
        json_put(o, "depth", json_integer(r->net.depth));
        json_put(o, "loss", json_number(exp(s->x)));
        json_put(o, "sizes", json_integer((json_int_t)s->n));
        json_put(o, "least_at_size", json_integer(r->size));
        json_put(o, "forward_bytes", json_number(c->f_bytes));
        json_put(o, "rules", json_string(rules[s->relaxed]));
        (void)json_array_append_new(all, o);
    }
    return all;
}

static json_t *excluded_json(const struct advise_group *g)
{
    json_t *o = json_object();
    for (unsigned x = 0; x < STUDY_X_COUNT; x++)
        if (g->excluded[x] > 0)
            json_put(o, study_exclusion_name((enum study_exclusion)x),
                     json_integer((json_int_t)g->excluded[x]));
    return o;
}

static json_t *group_json(const struct advise *a, const struct advise_group *g)
{
    const struct study_run *like = &g->runs[0];
    json_t *o = json_object();
    json_t *nets = json_array();
    for (size_t i = 0; i < g->iso.n; i++)
        (void)json_array_append_new(nets, net_json(a, g, (int)i));
    json_put(o, "machine", text(like->machine));
    json_put(o, "backend", text(like->backend));
    json_put(o, "by", json_string(g->by == ISOLOSS_ENERGY ? "energy" : "time"));
    json_put(o, "by_reason", g->why_time[0] ? text(g->why_time) : json_null());
    json_put(o, "scope", text(like->scope));
    json_put(o, "runs", json_integer((json_int_t)g->n));
    json_put(o, "runs_compared", json_integer((json_int_t)g->used));
    json_put(o, "excluded", excluded_json(g));
    json_put(o, "apportioned", json_boolean(g->iso.apportioned));
    json_put(o, "loss", json_number(g->loss));
    json_put(o, "loss_of",
             json_string(isnan(a->asked) ? "half of the networks reach it" : "asked for"));
    json_put(o, "networks", nets);
    json_put(o, "frontier", frontier_json(a, g));
    json_put(o, "minima", minima_json(g));
    json_put(o, "choice", net_json(a, g, g->best));
    json_put(o, "next_smaller", net_json(a, g, g->smaller));
    json_put(o, "next_larger", net_json(a, g, g->larger));
    json_put(o, "enough", json_boolean(g->enough));
    json_put(o, "missing", g->enough ? json_null() : text(g->missing));
    json_put(o, "command", g->enough ? json_null() : text(g->command));
    return o;
}

json_t *advise_json(const struct advise *a)
{
    json_t *doc = json_object();
    json_t *groups = json_array();
    for (size_t i = 0; i < a->n; i++)
        (void)json_array_append_new(groups, group_json(a, &a->group[i]));
    json_put(doc, "schema", json_string("wattq.advice/1"));
    json_put(doc, "dataset", text(a->dataset));
    json_put(doc, "loss_asked", json_number(a->asked));
    json_put(doc, "standins_left_out", json_integer((json_int_t)a->standins));
    json_put(doc, "machines", groups);
    return doc;
}
