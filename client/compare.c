/* Groups, runs and their parameters; the tests are in compare_test.c. */
#include "client/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"

static void *more(void *p, size_t n, size_t bytes)
{
    if ((n & (n - 1)) == 0) /* room doubles when it is full */
        p = realloc(p, (n ? 2 * n : 1) * bytes);
    if (!p)
        abort();
    return p;
}

void compare_init(struct compare *c, const char *const *metrics, size_t n, double within)
{
    static const char *const always[COMPARE_METRICS] = {"time", "energy", "power"};
    *c = (struct compare){.within = within, .nquantities = COMPARE_METRICS + n};
    c->quantities = base_alloc(c->nquantities * sizeof *c->quantities);
    for (size_t i = 0; i < c->nquantities; i++)
        c->quantities[i] =
            base_strdup(i < COMPARE_METRICS ? always[i] : metrics[i - COMPARE_METRICS]);
}

static void free_run(struct compare_run *r)
{
    for (size_t i = 0; i < r->nparams; i++) {
        free(r->params[i].key);
        free(r->params[i].value);
    }
    free(r->params);
    free(r->values);
    free(r->meter);
    free(r->scope);
}

void compare_fini(struct compare *c)
{
    for (size_t i = 0; i < c->nquantities; i++)
        free(c->quantities[i]);
    for (size_t i = 0; i < c->ngroups; i++)
        free(c->groups[i].name);
    for (size_t i = 0; i < c->nruns; i++)
        free_run(&c->runs[i]);
    free(c->quantities);
    free(c->groups);
    free(c->runs);
    free(c->left);
    *c = (struct compare){0};
}

size_t compare_add_group(struct compare *c, const char *name)
{
    c->groups = more(c->groups, c->ngroups, sizeof *c->groups);
    c->groups[c->ngroups] = (struct compare_group){.name = base_strdup(name)};
    return c->ngroups++;
}

size_t compare_group_of(struct compare *c, const char *name)
{
    for (size_t i = 0; i < c->ngroups; i++)
        if (strcmp(c->groups[i].name, name) == 0)
            return i;
    return compare_add_group(c, name);
}

void compare_drop_group(struct compare *c)
{
    free(c->groups[--c->ngroups].name);
}

void compare_no_energy(struct compare *c, const char *reason)
{
    struct compare_run *r = &c->runs[c->nruns - 1];
    r->why_no_energy = reason;
    r->values[COMPARE_ENERGY] = NAN;
    r->values[COMPARE_MEAN_POWER] = NAN;
}

void compare_leave(struct compare *c, int64_t run, const char *reason)
{
    c->left = more(c->left, c->nleft, sizeof *c->left);
    c->left[c->nleft++] = (struct compare_left){run, reason};
}

struct order {
    struct compare_group group;
    size_t was;
    bool first;
};

static int by_value(const void *va, const void *vb)
{
    const struct order *a = va;
    const struct order *b = vb;
    char *end_a;
    char *end_b;
    double x = strtod(a->group.name, &end_a);
    double y = strtod(b->group.name, &end_b);
    if (a->first != b->first)
        return a->first ? -1 : 1;
    if (!*end_a && !*end_b && x != y)
        return x < y ? -1 : 1;
    return strcmp(a->group.name, b->group.name);
}

bool compare_sort(struct compare *c, const char *ref)
{
    struct order *o CLEANUP(base_freep) = base_alloc((c->ngroups + 1) * sizeof *o);
    size_t *now CLEANUP(base_freep) = base_alloc((c->ngroups + 1) * sizeof *now);
    bool found = !ref;
    for (size_t i = 0; i < c->ngroups; i++) {
        o[i] = (struct order){c->groups[i], i, ref && strcmp(ref, c->groups[i].name) == 0};
        found = found || o[i].first;
    }
    if (c->ngroups > 1)
        qsort(o, c->ngroups, sizeof *o, by_value);
    for (size_t i = 0; i < c->ngroups; i++) {
        c->groups[i] = o[i].group;
        now[o[i].was] = i;
    }
    for (size_t i = 0; i < c->nruns; i++)
        c->runs[i].group = now[c->runs[i].group];
    return found;
}

bool compare_has(const struct compare *c, int64_t run)
{
    for (size_t i = 0; i < c->nruns; i++)
        if (c->runs[i].run == run)
            return true;
    for (size_t i = 0; i < c->nleft; i++)
        if (c->left[i].run == run)
            return true;
    return false;
}

/* ---- reading a run -------------------------------------------------------------------------------- */

static const char *reason_to_leave(const struct wire_val *run)
{
    const char *role = wire_str(wire_get(run, "params"), "role", "");
    if (strcmp(wire_str(run, "state", ""), "done") != 0)
        return "it did not end well";
    if (strcmp(role, "warmup") == 0)
        return "it warmed the machine up";
    if (strcmp(role, "canary") == 0)
        return "it is a control run";
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct compare_param *)a)->key, ((const struct compare_param *)b)->key);
}

static void read_params(struct compare_run *r, const struct wire_val *map)
{
    r->params = base_alloc((wire_len(map) + 1) * sizeof *r->params);
    for (size_t i = 0; i < wire_len(map); i++) {
        const char *value = wire_as_str(wire_at(map, i), NULL);
        if (value)
            r->params[r->nparams++] =
                (struct compare_param){base_strdup(wire_key_at(map, i, NULL)), base_strdup(value)};
    }
    if (r->nparams > 1)
        qsort(r->params, r->nparams, sizeof *r->params, by_key);
}

/* "pkg/package + dram/dram": text of every part of the total, in the daemon's order. */
static char *join_parts(const struct wire_val *parts, bool scopes_only)
{
    char *text = base_strdup("");
    for (size_t i = 0; i < wire_len(parts); i++) {
        const struct wire_val *p = wire_at(parts, i);
        char *longer = base_printf("%s%s%s%s%s", text, i ? " + " : "",
                                   scopes_only ? "" : wire_str(p, "label", "?"),
                                   scopes_only ? "" : "/", wire_str(p, "scope", "?"));
        free(text);
        text = longer;
    }
    return text;
}

static const char *energy_trouble(const struct wire_val *run, const struct wire_val *figure)
{
    const char *flags = wire_str(figure, "flags", "");
    if (wire_int(figure, "energy_uj", PRINT_NONE) == PRINT_NONE)
        return "its energy is not known";
    if (strstr(flags, "below_resolution"))
        return "its energy is below the meter's resolution";
    if (strstr(flags, "unknown") || strstr(flags, "reset"))
        return "its meter did not cover the whole run";
    if (strstr(flags, "overlap") || !wire_bool(run, "alone", true))
        return "other runs shared its time";
    return NULL;
}

static void read_energy(struct compare_run *r, const struct wire_val *run)
{
    const struct wire_val *figure = print_total(run, "window");
    const struct wire_val *parts = wire_get(run, "energy_parts");
    char *channels CLEANUP(base_freep) = join_parts(parts, false);
    int64_t ppm = wire_int(figure, "gain_ppm", 0);
    r->why_no_energy = energy_trouble(run, figure);
    r->estimated = print_is_estimate(figure);
    r->gain = ppm > 0 ? (double)ppm / 1e6 : (double)NAN;
    r->scope = join_parts(parts, true);
    r->meter = base_printf("%s: %s", wire_str(run, "machine", "?"), channels);
    if (r->why_no_energy)
        return;
    r->values[COMPARE_ENERGY] = (double)wire_int(figure, "energy_uj", 0) / 1e6;
    r->values[COMPARE_MEAN_POWER] = r->values[COMPARE_ENERGY] / r->values[COMPARE_TIME];
}

/* The newest value the program or a person gave; else what the program said of itself. */
static double metric_of(const struct wire_val *run, const char *key)
{
    const struct wire_val *heads = wire_get(run, "metric_heads");
    static const char *const places[] = {"summary", "info", "j_per_datum"};
    for (size_t i = 0; i < wire_len(heads); i++)
        if (strcmp(wire_str(wire_at(heads, i), "key", ""), key) == 0)
            return wire_f64(wire_at(heads, i), "last", NAN);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        double v = wire_f64(wire_get(run, places[i]), key, NAN);
        if (!isnan(v))
            return v;
    }
    return NAN;
}

void compare_add(struct compare *c, size_t group, const struct wire_val *run)
{
    const char *reason = reason_to_leave(run);
    if (reason) {
        compare_leave(c, wire_int(run, "run", 0), reason);
        return;
    }
    c->runs = more(c->runs, c->nruns, sizeof *c->runs);
    struct compare_run *r = &c->runs[c->nruns++];
    *r = (struct compare_run){.run = wire_int(run, "run", 0), .group = group};
    r->values = base_alloc(c->nquantities * sizeof *r->values);
    for (size_t i = 0; i < c->nquantities; i++)
        r->values[i] = i < COMPARE_METRICS ? (double)NAN : metric_of(run, c->quantities[i]);
    int64_t ns = wire_int(run, "elapsed_ns", PRINT_NONE);
    if (ns != PRINT_NONE)
        r->values[COMPARE_TIME] = (double)ns / 1e9;
    read_params(r, wire_get(run, "params"));
    read_energy(r, run);
    c->groups[group].n++;
}

/* ---- parameters ----------------------------------------------------------------------------------- */

static const char *param(const struct compare_run *r, const char *key)
{
    for (size_t i = 0; i < r->nparams; i++)
        if (strcmp(r->params[i].key, key) == 0)
            return r->params[i].value;
    return NULL;
}

#define VALUES_SHOWN 4

/* The values of a key in a group, in order of appearance; *n how many there are. */
static char *values_of(const struct compare *c, size_t group, const char *key, size_t *n)
{
    const char **seen CLEANUP(base_freep) = base_alloc((c->nruns + 1) * sizeof *seen);
    char *text = base_strdup("");
    *n = 0;
    for (size_t i = 0; i < c->nruns; i++) {
        const char *v = c->runs[i].group == group ? param(&c->runs[i], key) : NULL;
        size_t k = 0;
        while (v && k < *n && strcmp(seen[k], v) != 0)
            k++;
        if (!v || k < *n)
            continue;
        seen[(*n)++] = v;
        char *longer = base_printf("%s%s%s", text, *n > 1 ? ", " : "", v);
        free(text);
        text = longer;
    }
    if (*n > 0 && *n <= VALUES_SHOWN)
        return text;
    free(text);
    return *n == 0 ? base_strdup("-") : base_printf("%zu values", *n);
}

static void fill_key(const struct compare *c, struct compare_key *k)
{
    size_t first = 0;
    k->values = base_alloc(c->ngroups * sizeof *k->values);
    for (size_t g = 0; g < c->ngroups; g++) {
        size_t n = 0;
        k->values[g] = values_of(c, g, k->key, &n);
        first = g == 0 ? n : first;
        if (n != first || strcmp(k->values[g], k->values[0]) != 0)
            k->differs = true;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct compare_key *)a)->key, ((const struct compare_key *)b)->key);
}

struct compare_key *compare_keys(const struct compare *c, size_t *n)
{
    struct compare_key *keys = NULL;
    *n = 0;
    for (size_t i = 0; i < c->nruns; i++) {
        for (size_t p = 0; p < c->runs[i].nparams; p++) {
            const char *key = c->runs[i].params[p].key;
            size_t k = 0;
            while (k < *n && strcmp(keys[k].key, key) != 0)
                k++;
            if (k < *n)
                continue;
            keys = more(keys, *n, sizeof *keys);
            keys[(*n)++] = (struct compare_key){.key = key};
        }
    }
    for (size_t k = 0; k < *n; k++)
        fill_key(c, &keys[k]);
    if (*n > 1)
        qsort(keys, *n, sizeof *keys, by_name);
    return keys;
}

void compare_keys_free(const struct compare *c, struct compare_key *keys, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t g = 0; g < c->ngroups; g++)
            free(keys[k].values[g]);
        free(keys[k].values);
    }
    free(keys);
}

void compare_side(const struct compare *c, size_t group, size_t quantity, struct compare_side *out)
{
    double *v CLEANUP(base_freep) = base_alloc((c->nruns + 1) * sizeof *v);
    bool joules = quantity == COMPARE_ENERGY || quantity == COMPARE_MEAN_POWER;
    *out = (struct compare_side){0};
    for (size_t i = 0; i < c->nruns; i++) {
        const struct compare_run *r = &c->runs[i];
        if (r->group != group || isnan(r->values[quantity]))
            continue;
        v[out->n++] = r->values[quantity];
        out->estimated = out->estimated || (joules && r->estimated);
    }
    out->mean = stats_mean(v, out->n);
    out->sd = stats_sd(v, out->n);
}
