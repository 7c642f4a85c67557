/* A run's spec as the JSON text that is kept in `run.spec`, and back. Key order is fixed, so equal specs
 * give equal texts. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store/runs.h"

static const char *const kinds[] = {"command", "train", "exec"};

const char *runs_kind_name(enum spec_kind k)
{
    return kinds[k];
}

enum spec_kind runs_kind_parse(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (name && strcmp(kinds[i], name) == 0)
            return (enum spec_kind)i;
    return SPEC_COMMAND;
}

static void put(json_t *o, const char *key, json_t *value)
{
    if (json_object_set_new(o, key, value) != 0)
        abort(); /* out of memory, or text that is no UTF-8: spec_from_wire let it through */
}

static json_t *list_json(char *const *list, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(a, json_string(list[i])) != 0)
            abort();
    return a;
}

static json_t *params_json(const struct spec *s)
{
    json_t *o = json_object();
    for (size_t i = 0; i < s->nparams; i++)
        put(o, s->params[i].key, json_string(s->params[i].value));
    return o;
}

static void put_limits(json_t *o, const struct spec *s)
{
    if (s->mem_bytes > 0)
        put(o, "mem_bytes", json_integer(s->mem_bytes));
    if (s->nice > 0)
        put(o, "nice", json_integer(s->nice));
    if (s->energy_limit_uj > 0)
        put(o, "energy_limit_uj", json_integer(s->energy_limit_uj));
    if (s->energy_figure != SPEC_FIGURE_UNSAID)
        put(o, "energy_limit_figure", json_string(spec_figure_name(s->energy_figure)));
    if (s->nrlimits == 0)
        return;
    json_t *rlimits = json_object();
    for (size_t i = 0; i < s->nrlimits; i++) {
        const char *name = spec_rlimit_name(s->rlimits[i].resource);
        if (name)
            put(rlimits, name, json_integer(s->rlimits[i].soft));
    }
    put(o, "rlimits", rlimits);
}

char *runs_spec_json(const struct spec *s)
{
    json_t *o = json_object();
    put(o, "kind", json_string(kinds[s->kind]));
    put(o, "argv", list_json(s->argv, s->argc));
    put(o, "cwd", json_string(s->cwd ? s->cwd : "/"));
    if (s->stdin_path)
        put(o, "stdin", json_string(s->stdin_path));
    if (s->on_end)
        put(o, "on_end", json_string(s->on_end));
    put(o, "label", json_string(s->label));
    put(o, "project", json_string(s->project));
    put(o, "umask", json_integer((json_int_t)s->umask));
    put(o, "priority", json_integer(s->priority));
    put(o, "time_limit_ns", json_integer(s->time_limit_ns));
    put(o, "grace_ns", json_integer(s->grace_ns));
    put(o, "log_cap_bytes", json_integer(s->log_cap_bytes));
    if (s->pause_ns > 0)
        put(o, "pause_ns", json_integer(s->pause_ns));
    if (s->bracket_ns > 0)
        put(o, "idle_bracket_ns", json_integer(s->bracket_ns));
    if (s->quiet_ns > 0) {
        put(o, "quiet_ppm", json_integer(s->quiet_ppm));
        put(o, "quiet_ns", json_integer(s->quiet_ns));
    }
    if (s->gpus != SPEC_GPUS_DEFAULT)
        put(o, "gpus", json_integer(s->gpus));
    if (spec_gpu_ids(s) > 0)
        put(o, "gpu_ids", list_json(s->gpu_ids, spec_gpu_ids(s)));
    put_limits(o, s);
    if (s->cpus > 0)
        put(o, "cpus", json_integer(s->cpus));
    put(o, "exclusive", json_boolean(s->exclusive));
    put(o, "wait_children", json_boolean(s->wait_children));
    if (s->requeue)
        put(o, "requeue", json_true());
    put(o, "params", params_json(s));
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text)
        abort();
    return text;
}

static int bad(struct err *e, const char *what)
{
    return err_set(e, WATTQ_E_CORRUPT, "the stored description of a run is damaged (%s)", what);
}

static int64_t get_int(const json_t *o, const char *key, int64_t dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : dflt;
}

static int parse_argv(const json_t *o, struct spec *s, struct err *e)
{
    const json_t *a = json_object_get(o, "argv");
    size_t n = json_array_size(a);
    if (n < 1 || n > SPEC_ARGC_MAX)
        return bad(e, "argv");
    s->argv = base_alloc((n + 1) * sizeof(*s->argv));
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(a, i));
        if (!text)
            return bad(e, "argv");
        s->argv[s->argc++] = base_strdup(text);
    }
    return 0;
}

static int parse_params(const json_t *o, struct spec *s, struct err *e)
{
    json_t *params = json_object_get(o, "params");
    size_t n = json_object_size(params);
    if (n > SPEC_PARAMS_MAX)
        return bad(e, "params");
    s->params = base_alloc((n + 1) * sizeof(*s->params));
    const char *key;
    json_t *value;
    json_object_foreach(params, key, value)
    {
        if (!json_is_string(value) || !spec_key_ok(key))
            return bad(e, "params");
        struct spec_param *p = &s->params[s->nparams++];
        base_strcpy(p->key, sizeof(p->key), key);
        p->value = base_strdup(json_string_value(value));
    }
    return 0;
}

static int parse_gpus(const json_t *o, struct spec *s, struct err *e)
{
    const json_t *list = json_object_get(o, "gpu_ids");
    size_t n = json_array_size(list);
    int64_t gpus = get_int(o, "gpus", SPEC_GPUS_DEFAULT);
    char *ids[SPEC_GPUS_MAX];
    if (n > SPEC_GPUS_MAX || gpus < SPEC_GPUS_DEFAULT || gpus > SPEC_GPUS_MAX)
        return bad(e, "gpus");
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text)
            return bad(e, "gpu_ids");
        ids[i] = (char *)(uintptr_t)text; /* copied, never written */
    }
    spec_gpus_set(s, (int)gpus, ids, n);
    return 0;
}

/* A limit that this build has no name for is left out: it is one less. */
static void parse_limits(json_t *o, struct spec *s)
{
    const char *figure = json_string_value(json_object_get(o, "energy_limit_figure"));
    struct spec_rlimit list[SPEC_RLIMITS];
    size_t n = 0;
    const char *key;
    json_t *value;
    s->mem_bytes = get_int(o, "mem_bytes", 0);
    s->nice = (int)get_int(o, "nice", 0);
    s->energy_limit_uj = get_int(o, "energy_limit_uj", 0);
    if (figure)
        (void)spec_figure_parse(figure, &s->energy_figure);
    json_object_foreach(json_object_get(o, "rlimits"), key, value)
    {
        int resource = spec_rlimit_find(key);
        if (resource >= 0 && n < SPEC_RLIMITS && json_is_integer(value))
            list[n++] = (struct spec_rlimit){resource, (int64_t)json_integer_value(value)};
    }
    spec_rlimits_set(s, list, n);
}

static void parse_scalars(const json_t *o, struct spec *s)
{
    const char *text = json_string_value(json_object_get(o, "cwd"));
    s->kind = runs_kind_parse(json_string_value(json_object_get(o, "kind")));
    free(s->cwd);
    s->cwd = base_strdup(text ? text : "/");
    text = json_string_value(json_object_get(o, "stdin"));
    s->stdin_path = text ? base_strdup(text) : NULL;
    text = json_string_value(json_object_get(o, "on_end"));
    s->on_end = text && *text ? base_strdup(text) : NULL;
    text = json_string_value(json_object_get(o, "label"));
    base_strcpy(s->label, sizeof(s->label), text ? text : "");
    text = json_string_value(json_object_get(o, "project"));
    base_strcpy(s->project, sizeof(s->project), text ? text : "");
    s->umask = (unsigned)get_int(o, "umask", s->umask);
    s->priority = (int)get_int(o, "priority", 0);
    s->time_limit_ns = get_int(o, "time_limit_ns", 0);
    s->grace_ns = get_int(o, "grace_ns", s->grace_ns);
    s->log_cap_bytes = get_int(o, "log_cap_bytes", s->log_cap_bytes);
    s->pause_ns = get_int(o, "pause_ns", 0);
    s->bracket_ns = get_int(o, "idle_bracket_ns", 0);
    s->quiet_ppm = get_int(o, "quiet_ppm", 0);
    s->quiet_ns = get_int(o, "quiet_ns", 0);
    s->cpus = get_int(o, "cpus", 0);
    s->exclusive = json_is_true(json_object_get(o, "exclusive"));
    s->wait_children = json_is_true(json_object_get(o, "wait_children"));
    s->requeue = json_is_true(json_object_get(o, "requeue"));
}

int runs_spec_parse(const char *json, struct spec *out, struct err *e)
{
    json_error_t je;
    json_t *o = json_loads(json, 0, &je);
    if (!json_is_object(o)) {
        json_decref(o);
        return bad(e, "not an object");
    }
    spec_init(out);
    parse_scalars(o, out);
    int rc = parse_argv(o, out, e);
    if (rc == 0)
        rc = parse_params(o, out, e);
    if (rc == 0)
        rc = parse_gpus(o, out, e);
    parse_limits(o, out);
    json_decref(o);
    if (rc < 0)
        spec_fini(out);
    return rc;
}
