/* What a sweep's row says of it: how its runs came about, and what holds of all of them. */
#include <jansson.h>
#include <stdlib.h>

#include "daemon/queue/queue_private.h"

static json_t *axes_json(const struct queue_sweep *sw)
{
    json_t *axes = json_array();
    for (size_t i = 0; i < sw->naxes; i++) {
        json_t *values = json_array();
        for (size_t k = 0; k < sw->axes[i].n; k++)
            json_array_append_new(values, json_string(sw->axes[i].values[k]));
        json_t *axis = json_object();
        json_object_set_new(axis, "key", json_string(sw->axes[i].key));
        json_object_set_new(axis, "values", values);
        json_array_append_new(axes, axis);
    }
    return axes;
}

static json_t *list_json(char *const *argv, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(argv[i]));
    return list;
}

char *queue_sweep_json(const struct queue_sweep *sw)
{
    char *run CLEANUP(base_freep) = runs_spec_json(sw->run);
    json_t *o = json_object();
    json_object_set_new(o, "run", json_loads(run, 0, NULL));
    json_object_set_new(o, "axes", axes_json(sw));
    json_object_set_new(o, "order", json_string(sw->random ? "random" : "given"));
    json_object_set_new(o, "seed", json_integer(sw->seed));
    json_object_set_new(o, "repeat", json_integer(sw->repeat));
    json_object_set_new(o, "max_fails", json_integer(sw->max_fails));
    if (sw->max_running > 0)
        json_object_set_new(o, "max_running", json_integer(sw->max_running));
    if (sw->canary_every > 0) {
        json_object_set_new(o, "canary_every", json_integer(sw->canary_every));
        json_object_set_new(o, "canary", list_json(sw->canary, sw->ncanary));
    }
    if (sw->nwarmup > 0)
        json_object_set_new(o, "warmup", list_json(sw->warmup, sw->nwarmup));
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text ? text : base_strdup("{}");
}

void queue_sweep_limits(struct queue_sweep_state *sw, const char *json)
{
    json_t *o = json_loads(json, 0, NULL);
    const json_t *fails = json_object_get(o, "max_fails");
    const json_t *running = json_object_get(o, "max_running");
    sw->max_fails = json_is_integer(fails) ? (int64_t)json_integer_value(fails) : 5;
    sw->max_running = json_is_integer(running) ? (int64_t)json_integer_value(running) : 0;
    json_decref(o);
}
