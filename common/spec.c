#include "common/spec.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void spec_init(struct spec *s)
{
    *s = (struct spec){
        .kind = SPEC_COMMAND,
        .umask = 0022,
        .grace_ns = 30 * NS_PER_S,
        .log_cap_bytes = SPEC_LOG_CAP,
        .gpus = SPEC_GPUS_DEFAULT,
        .exclusive = true,
    };
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        free(list[i]);
    free(list);
}

void spec_fini(struct spec *s)
{
    free_list(s->argv, s->argc);
    free_list(s->env, s->envc);
    free_list(s->gpu_ids, spec_gpu_ids(s));
    for (size_t i = 0; i < s->nparams; i++)
        free(s->params[i].value);
    free(s->params);
    free(s->rlimits);
    free(s->cwd);
    free(s->stdin_path);
    free(s->on_end);
    *s = (struct spec){0};
}

/* ---- from the wire ----------------------------------------------------------------------------- */

static const char *const kind_names[] = {"command", "train", "exec"};

static int take_kind(struct spec *s, const struct wire_val *map, struct err *e)
{
    const char *kind = wire_str(map, "kind", kind_names[SPEC_COMMAND]);
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (!strcmp(kind, kind_names[i])) {
            s->kind = (enum spec_kind)i;
            return 0;
        }
    err_set(e, WATTQ_E_USAGE, "kind '%.40s' is unknown", kind);
    return err_next(e, "use command, train or exec");
}

struct list_rule {
    const char *key;
    size_t count_max;
    size_t bytes_max; /* of all elements, each with its NUL */
    bool raw;         /* bytes that are no text (bin) are fine */
};

/* Text of one element; raw elements are copied up to their length. NULL when it is neither. */
static const char *element(const struct wire_val *v, bool raw, size_t *bytes)
{
    *bytes = wire_len(v);
    const char *s = wire_as_str(v, NULL);
    if (s || !raw || wire_type(v) != WIRE_BIN)
        return s;
    s = wire_as_bytes(v);
    return memchr(s, '\0', *bytes) ? NULL : s;
}

/* An array of strings into new memory. *n counts what is in *out also on failure: spec_fini frees. */
static int take_list(const struct wire_val *map, const struct list_rule *r, char ***out, size_t *n,
                     struct err *e)
{
    const struct wire_val *list = wire_get(map, r->key);
    size_t count = wire_len(list);
    if (wire_type(list) != WIRE_ARRAY)
        return err_set(e, WATTQ_E_USAGE, "'%s' must be an array of strings", r->key);
    if (count > r->count_max)
        return err_set(e, WATTQ_E_LIMIT, "'%s' has %zu elements; at most %zu are taken", r->key,
                       count, r->count_max);
    *out = base_alloc((count + 1) * sizeof(**out));
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        const char *s = element(wire_at(list, i), r->raw, &bytes);
        if (!s)
            return err_set(e, WATTQ_E_USAGE, "'%s' element %zu is not text in UTF-8", r->key, i);
        total += bytes + 1;
        if (total > r->bytes_max)
            return err_set(e, WATTQ_E_LIMIT, "'%s' is larger than %zu bytes", r->key, r->bytes_max);
        (*out)[i] = base_strdup_n(s, bytes);
        *n = i + 1;
    }
    return 0;
}

static int take_argv(struct spec *s, const struct wire_val *map, struct err *e)
{
    static const struct list_rule rule = {"argv", SPEC_ARGC_MAX, SPEC_ARGV_BYTES, false};
    int rc = take_list(map, &rule, &s->argv, &s->argc, e);
    if (rc < 0)
        return rc;
    if (s->argc == 0 || s->argv[0][0] == '\0') {
        err_set(e, WATTQ_E_USAGE, "no command was given");
        return err_next(e, "write it after --, as in: wattq submit -- python train.py");
    }
    return 0;
}

static int take_env(struct spec *s, const struct wire_val *map, struct err *e)
{
    static const struct list_rule rule = {"env", SPEC_ENV_MAX, SPEC_ENV_BYTES, true};
    int rc = take_list(map, &rule, &s->env, &s->envc, e);
    if (rc == WATTQ_E_LIMIT)
        err_next(e, "start with a smaller environment: env -i PATH=\"$PATH\" wattq ...");
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->envc; i++) {
        const char *eq = strchr(s->env[i], '=');
        if (!eq || eq == s->env[i])
            return err_set(e, WATTQ_E_USAGE, "'env' element %zu is not of the form NAME=VALUE", i);
    }
    return 0;
}

/* An absolute path, or *out = NULL when absent and not required. */
static int take_path(const struct wire_val *map, const char *key, bool required, char **out,
                     struct err *e)
{
    const struct wire_val *v = wire_get(map, key);
    const char *path = wire_as_str(v, NULL);
    if (wire_type(v) == WIRE_NIL && !required)
        return 0;
    if (!path || path[0] != '/')
        return err_set(e, WATTQ_E_USAGE, "'%s' must be an absolute path", key);
    if (wire_len(v) >= WATTQ_PATH_MAX)
        return err_set(e, WATTQ_E_LIMIT, "'%s' is longer than %d bytes", key, WATTQ_PATH_MAX - 1);
    *out = base_strdup(path);
    return 0;
}

static int take_on_end(struct spec *s, const struct wire_val *map, struct err *e)
{
    const struct wire_val *v = wire_get(map, "on_end");
    const char *text = wire_as_str(v, NULL);
    if (wire_type(v) == WIRE_NIL)
        return 0;
    if (!text || !*text)
        return err_set(e, WATTQ_E_USAGE, "'on_end' must be a command, as text");
    if (strlen(text) > SPEC_ON_END_MAX) {
        err_set(e, WATTQ_E_LIMIT, "'on_end' is longer than %d bytes", SPEC_ON_END_MAX);
        return err_next(e, "put it into a script and name that");
    }
    if (s->kind == SPEC_EXEC)
        return err_set(e, WATTQ_E_USAGE, "'on_end' is for runs that wattqd starts, not for exec");
    s->on_end = base_strdup(text);
    return 0;
}

/* Labels end up in one-line tables and file names of exports: no control characters. */
static int take_label(const struct wire_val *map, const char *key, char out[SPEC_LABEL_MAX + 1],
                      struct err *e)
{
    const struct wire_val *v = wire_get(map, key);
    const char *s = wire_type(v) == WIRE_NIL ? "" : wire_as_str(v, NULL);
    if (!s)
        return err_set(e, WATTQ_E_USAGE, "'%s' must be text", key);
    if (!base_strcpy(out, SPEC_LABEL_MAX + 1, s))
        return err_set(e, WATTQ_E_LIMIT, "'%s' is longer than %d bytes", key, SPEC_LABEL_MAX);
    for (const char *p = out; *p; p++)
        if (iscntrl((unsigned char)*p))
            return err_set(e, WATTQ_E_USAGE, "'%s' contains a control character", key);
    return 0;
}

struct int_rule {
    const char *key;
    int64_t lo, hi;
};

/* *out keeps its default when the key is absent. */
static int take_int(const struct wire_val *map, const struct int_rule *r, int64_t *out,
                    struct err *e)
{
    const struct wire_val *v = wire_get(map, r->key);
    if (wire_type(v) == WIRE_NIL)
        return 0;
    int64_t n = wire_as_int(v, INT64_MIN);
    if (n < r->lo || n > r->hi)
        return err_set(e, WATTQ_E_USAGE, "'%s' must be a whole number from %" PRId64 " to %" PRId64,
                       r->key, r->lo, r->hi);
    *out = n;
    return 0;
}

/* ---- GPUs -------------------------------------------------------------------------------------- */

size_t spec_gpu_ids(const struct spec *s)
{
    return s->gpu_ids && s->gpus > 0 ? (size_t)s->gpus : 0;
}

void spec_gpus_set(struct spec *s, int gpus, char *const *ids, size_t n)
{
    char **own = n > 0 ? base_alloc((n + 1) * sizeof(*own)) : NULL;
    for (size_t i = 0; i < n; i++)
        own[i] = base_strdup(ids[i]);
    free_list(s->gpu_ids, spec_gpu_ids(s));
    s->gpu_ids = own;
    s->gpus = n > 0 ? (int)n : gpus;
}

static int bad_gpus(const char *text, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.60s' is neither a number of GPUs up to %d nor their names", text,
            SPEC_GPUS_MAX);
    return err_next(e, "write 1, or names as in gpu0,gpu1 or GPU-8f3a...; wattq who lists them");
}

/* Names stand in environments and in sentences. */
static bool gpu_name_ok(const char *name, size_t n)
{
    if (n == 0 || n > SPEC_GPU_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("-_.:/", name[i]))
            return false;
    return true;
}

static bool all_digits(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

int spec_gpus_parse(struct spec *s, const char *text, struct err *e)
{
    char *ids[SPEC_GPUS_MAX] = {0};
    size_t n = 0;
    bool good = true;
    if (all_digits(text)) {
        long count = strlen(text) > 4 ? SPEC_GPUS_MAX + 1 : strtol(text, NULL, 10);
        if (count > SPEC_GPUS_MAX)
            return bad_gpus(text, e);
        spec_gpus_set(s, (int)count, NULL, 0);
        return 0;
    }
    for (const char *p = text; good && p;) {
        size_t len = strcspn(p, ",");
        good = n < SPEC_GPUS_MAX && gpu_name_ok(p, len);
        if (good)
            ids[n++] = base_strdup_n(p, len);
        p = p[len] ? p + len + 1 : NULL;
    }
    if (good)
        spec_gpus_set(s, (int)n, ids, n);
    for (size_t i = 0; i < n; i++)
        free(ids[i]);
    return good ? 0 : bad_gpus(text, e);
}

static int take_gpu_ids(struct spec *s, const struct wire_val *map, struct err *e)
{
    static const struct list_rule rule = {"gpu_ids", SPEC_GPUS_MAX,
                                          SPEC_GPUS_MAX * (SPEC_GPU_NAME_MAX + 1), false};
    char **ids = NULL;
    size_t n = 0;
    int rc = 0;
    if (wire_type(wire_get(map, "gpu_ids")) == WIRE_NIL)
        return 0;
    rc = take_list(map, &rule, &ids, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!gpu_name_ok(ids[i], strlen(ids[i])))
            rc = err_set(e, WATTQ_E_USAGE, "'gpu_ids' element %zu is no name of a GPU", i);
    if (rc == 0 && n == 0)
        rc = err_set(e, WATTQ_E_USAGE, "'gpu_ids' is empty; for no GPU at all 'gpus' is 0");
    if (rc == 0 && s->gpus != SPEC_GPUS_DEFAULT && s->gpus != (int)n)
        rc = err_set(e, WATTQ_E_USAGE, "'gpus' says %d and 'gpu_ids' names %zu", s->gpus, n);
    if (rc == 0)
        spec_gpus_set(s, (int)n, ids, n);
    free_list(ids, n);
    return rc;
}

static int take_ints(struct spec *s, const struct wire_val *map, struct err *e)
{
    const int64_t year_ns = INT64_C(366) * 86400 * NS_PER_S;
    int64_t umask = s->umask;
    int64_t priority = s->priority;
    int64_t gpus = s->gpus;
    const struct {
        struct int_rule rule;
        int64_t *out;
    } rows[] = {
        {{"umask", 0, 0777}, &umask},
        {{"priority", -SPEC_PRIORITY_MAX, SPEC_PRIORITY_MAX}, &priority},
        {{"time_limit_ns", 0, 10 * year_ns}, &s->time_limit_ns},
        {{"grace_ns", 0, 86400 * NS_PER_S}, &s->grace_ns},
        {{"log_cap_bytes", 0, INT64_C(1) << 50}, &s->log_cap_bytes},
        {{"pause_ns", 0, SPEC_PAUSE_MAX_NS}, &s->pause_ns},
        {{"idle_bracket_ns", 0, SPEC_PAUSE_MAX_NS}, &s->bracket_ns},
        {{"quiet_ppm", 0, 1000000}, &s->quiet_ppm},
        {{"quiet_ns", 0, SPEC_PAUSE_MAX_NS}, &s->quiet_ns},
        {{"gpus", SPEC_GPUS_DEFAULT, SPEC_GPUS_MAX}, &gpus},
        {{"cpus", 0, SPEC_CPUS_MAX}, &s->cpus},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int rc = take_int(map, &rows[i].rule, rows[i].out, e);
        if (rc < 0)
            return rc;
    }
    s->umask = (unsigned)umask;
    s->priority = (int)priority;
    s->gpus = (int)gpus;
    return take_gpu_ids(s, map, e);
}

static int take_bools(struct spec *s, const struct wire_val *map, struct err *e)
{
    const struct {
        const char *key;
        bool *out;
    } rows[] = {{"exclusive", &s->exclusive},
                {"wait_children", &s->wait_children},
                {"hold", &s->hold},
                {"requeue", &s->requeue}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum wire_type t = wire_type(wire_get(map, rows[i].key));
        if (t != WIRE_NIL && t != WIRE_BOOL)
            return err_set(e, WATTQ_E_USAGE, "'%s' must be true or false", rows[i].key);
        *rows[i].out = wire_bool(map, rows[i].key, *rows[i].out);
    }
    if ((s->pause_ns == 0 && s->bracket_ns == 0) || s->exclusive)
        return 0;
    if (s->bracket_ns > 0) {
        err_set(e, WATTQ_E_USAGE,
                "'idle_bracket_ns' needs an exclusive run: beside others nothing is idle");
        return err_next(e, "leave out --idle-bracket, or --shared");
    }
    err_set(e, WATTQ_E_USAGE, "'pause_ns' needs an exclusive run: beside others nothing is idle");
    return err_next(e, "leave out --pause, or --shared");
}

static int take_params(struct spec *s, const struct wire_val *map, struct err *e)
{
    const struct wire_val *params = wire_get(map, "params");
    size_t n = wire_len(params);
    if (wire_type(params) == WIRE_NIL)
        return 0;
    if (wire_type(params) != WIRE_MAP)
        return err_set(e, WATTQ_E_USAGE, "'params' must be a map");
    if (n > SPEC_PARAMS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "%zu parameters; at most %d are taken", n,
                       SPEC_PARAMS_MAX);
    s->params = base_alloc((n + 1) * sizeof(*s->params));
    for (size_t i = 0; i < n; i++) {
        const char *key = wire_key_at(params, i, NULL);
        const char *value = wire_as_str(wire_at(params, i), NULL);
        if (!spec_key_ok(key))
            return err_set(e, WATTQ_E_USAGE,
                           "parameter name '%.64s' is not like [A-Za-z_][A-Za-z0-9_.-]*", key);
        if (!value || strlen(value) >= WATTQ_PATH_MAX)
            return err_set(e, WATTQ_E_USAGE,
                           "the value of parameter '%s' must be text of at most %d bytes", key,
                           WATTQ_PATH_MAX - 1);
        for (size_t k = 0; k < s->nparams; k++)
            if (!strcmp(s->params[k].key, key))
                return err_set(e, WATTQ_E_USAGE, "parameter '%s' is given twice", key);
        base_strcpy(s->params[i].key, SPEC_KEY_MAX, key);
        s->params[i].value = base_strdup(value);
        s->nparams = i + 1;
    }
    return 0;
}

static int take_all(struct spec *s, const struct wire_val *map, struct err *e)
{
    if (wire_type(map) != WIRE_MAP)
        return err_set(e, WATTQ_E_USAGE, "'run' must be a map");
    int rc = take_kind(s, map, e);
    if (rc == 0)
        rc = take_argv(s, map, e);
    if (rc == 0)
        rc = take_path(map, "cwd", true, &s->cwd, e);
    if (rc == 0)
        rc = take_env(s, map, e);
    if (rc == 0)
        rc = take_path(map, "stdin", false, &s->stdin_path, e);
    if (rc == 0)
        rc = take_on_end(s, map, e);
    if (rc == 0)
        rc = take_label(map, "label", s->label, e);
    if (rc == 0)
        rc = take_label(map, "project", s->project, e);
    if (rc == 0)
        rc = take_ints(s, map, e);
    if (rc == 0)
        rc = spec_limits_from_wire(s, map, e);
    if (rc == 0)
        rc = take_bools(s, map, e);
    return rc == 0 ? take_params(s, map, e) : rc;
}

int spec_from_wire(struct spec *s, const struct wire_val *map, struct err *e)
{
    spec_init(s);
    int rc = take_all(s, map, e);
    if (rc < 0)
        spec_fini(s);
    return rc;
}

/* ---- to the wire ------------------------------------------------------------------------------- */

static void put_list(struct wire_out *o, const char *key, char *const *list, size_t n)
{
    wire_begin_array(o, key);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(list[i]);
        if (wire_utf8_ok(list[i], bytes))
            wire_put_strn(o, NULL, list[i], bytes);
        else
            wire_put_bin(o, NULL, list[i], bytes);
    }
    wire_end(o);
}

double spec_idle_s(const struct spec *s)
{
    int64_t before = s->pause_ns > s->bracket_ns ? s->pause_ns : s->bracket_ns;
    return (double)(before + s->bracket_ns) / 1e9;
}

void spec_put_wire(const struct spec *s, struct wire_out *o)
{
    wire_put_str(o, "kind", kind_names[s->kind]);
    put_list(o, "argv", s->argv, s->argc);
    wire_put_str(o, "cwd", s->cwd);
    if (s->env)
        put_list(o, "env", s->env, s->envc);
    if (s->stdin_path)
        wire_put_str(o, "stdin", s->stdin_path);
    if (s->on_end)
        wire_put_str(o, "on_end", s->on_end);
    wire_put_str(o, "label", s->label);
    wire_put_str(o, "project", s->project);
    wire_put_int(o, "umask", s->umask);
    wire_put_int(o, "priority", s->priority);
    wire_put_int(o, "time_limit_ns", s->time_limit_ns);
    wire_put_int(o, "grace_ns", s->grace_ns);
    wire_put_int(o, "log_cap_bytes", s->log_cap_bytes);
    if (s->pause_ns > 0)
        wire_put_int(o, "pause_ns", s->pause_ns);
    if (s->bracket_ns > 0)
        wire_put_int(o, "idle_bracket_ns", s->bracket_ns);
    if (s->quiet_ns > 0) {
        wire_put_int(o, "quiet_ppm", s->quiet_ppm);
        wire_put_int(o, "quiet_ns", s->quiet_ns);
    }
    if (s->gpus != SPEC_GPUS_DEFAULT)
        wire_put_int(o, "gpus", s->gpus);
    if (spec_gpu_ids(s) > 0)
        put_list(o, "gpu_ids", s->gpu_ids, spec_gpu_ids(s));
    spec_limits_put_wire(s, o);
    if (s->cpus > 0)
        wire_put_int(o, "cpus", s->cpus);
    wire_put_bool(o, "exclusive", s->exclusive);
    wire_put_bool(o, "wait_children", s->wait_children);
    wire_put_bool(o, "hold", s->hold);
    wire_put_bool(o, "requeue", s->requeue);
    wire_begin_map(o, "params");
    for (size_t i = 0; i < s->nparams; i++)
        wire_put_str(o, s->params[i].key, s->params[i].value);
    wire_end(o);
}

void spec_to_wire(const struct spec *s, struct wire_out *o, const char *key)
{
    wire_begin_map(o, key);
    spec_put_wire(s, o);
    wire_end(o);
}

/* ---- parameters -------------------------------------------------------------------------------- */

bool spec_key_ok(const char *key)
{
    size_t n = strlen(key);
    if (n == 0 || n >= SPEC_KEY_MAX || !(isalpha((unsigned char)key[0]) || key[0] == '_'))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!isalnum((unsigned char)key[i]) && !strchr("_.-", key[i]))
            return false;
    return true;
}

static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p))
        p++;
    return p;
}

/* The number grammar of JSON, so that a stored value is the value that was written. */
enum spec_type spec_param_type(const char *value)
{
    const char *p = value[0] == '-' ? value + 1 : value;
    const char *end = skip_digits(p);
    if (end == p || (*p == '0' && end != p + 1))
        return SPEC_TEXT;
    if (*end == '\0') {
        errno = 0;
        (void)strtoll(value, NULL, 10);
        return errno || !strcmp(value, "-0") ? SPEC_TEXT : SPEC_INT;
    }
    if (*end == '.') {
        p = end + 1;
        end = skip_digits(p);
        if (end == p)
            return SPEC_TEXT;
    }
    if (*end == 'e' || *end == 'E') {
        p = end + 1 + (end[1] == '+' || end[1] == '-');
        end = skip_digits(p);
        if (end == p)
            return SPEC_TEXT;
    }
    return *end == '\0' && isfinite(strtod(value, NULL)) ? SPEC_REAL : SPEC_TEXT;
}

/* Growing text, at most SPEC_ARGV_BYTES. */
struct text {
    char *s;
    size_t n, cap;
};

static void text_put(struct text *t, const char *s, size_t n)
{
    if (t->n + n + 1 > t->cap) {
        size_t cap = 2 * (t->n + n + 1);
        char *p = base_alloc(cap);
        if (t->s)
            memcpy(p, t->s, t->n);
        free(t->s);
        t->s = p;
        t->cap = cap;
    }
    memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = '\0';
}

/* "{key}" at p: its parameter, or n when it is none. *end is behind the closing brace. */
static size_t find_key(const char *p, const struct spec_param *params, size_t n, const char **end)
{
    const char *close = strchr(p, '}');
    *end = close ? close + 1 : p + 1;
    for (size_t i = 0; close && i < n; i++)
        if (strlen(params[i].key) == (size_t)(close - p - 1) &&
            !memcmp(params[i].key, p + 1, (size_t)(close - p - 1)))
            return i;
    return n;
}

static int unknown_key(const char *p, const char *end, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.*s' is not one of the sweep's parameters",
            end - p > 60 ? 60 : (int)(end - p), p);
    return err_next(e, "add it with -p KEY=VALUES, or write {{ for a literal brace");
}

int spec_expand(const char *text, const struct spec_param *params, size_t n, bool *used, char **out,
                struct err *e)
{
    struct text t = {0};
    *out = NULL;
    text_put(&t, "", 0);
    for (const char *p = text; *p;) {
        const char *end = NULL;
        size_t plain = strcspn(p, "{");
        text_put(&t, p, plain);
        p += plain;
        if (p[0] == '{' && p[1] == '{') {
            text_put(&t, p, 1);
            p += 2;
        } else if (p[0] == '{') {
            size_t i = find_key(p, params, n, &end);
            if (i == n) {
                free(t.s);
                return unknown_key(p, end, e);
            }
            text_put(&t, params[i].value, strlen(params[i].value));
            if (used)
                used[i] = true;
            p = end;
        }
        if (t.n >= SPEC_ARGV_BYTES) {
            free(t.s);
            return err_set(e, WATTQ_E_LIMIT, "an argument becomes longer than %u bytes",
                           SPEC_ARGV_BYTES);
        }
    }
    *out = t.s;
    return 0;
}
