#include "common/spec_limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/spec.h"
#include "common/units.h"

/* ---- names --------------------------------------------------------------------------------------- */

/* Without RSS and LOCKS, which no kernel since 2.4 heeds. source: getrlimit(2), limits.conf(5). */
static const struct {
    const char *name;
    int resource;
} rlimits[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};
_Static_assert(ARRAY_LEN(rlimits) <= SPEC_RLIMITS, "a place for each");

const char *spec_rlimit_name(int resource)
{
    for (size_t i = 0; i < ARRAY_LEN(rlimits); i++)
        if (rlimits[i].resource == resource)
            return rlimits[i].name;
    return NULL;
}

int spec_rlimit_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rlimits); i++)
        if (strcmp(rlimits[i].name, name) == 0)
            return rlimits[i].resource;
    return -1;
}

static const char *const figures[] = {[SPEC_FIGURE_UNSAID] = "",
                                      [SPEC_FIGURE_LO] = "lo",
                                      [SPEC_FIGURE_MACHINE] = "machine",
                                      [SPEC_FIGURE_ATTRIBUTED] = "attributed"};

const char *spec_figure_name(enum spec_figure f)
{
    return figures[f];
}

bool spec_figure_parse(const char *name, enum spec_figure *out)
{
    for (size_t i = SPEC_FIGURE_LO; i < ARRAY_LEN(figures); i++)
        if (strcmp(figures[i], name) == 0) {
            *out = (enum spec_figure)i;
            return true;
        }
    return false;
}

/* ---- one spec ------------------------------------------------------------------------------------ */

void spec_rlimits_set(struct spec *s, const struct spec_rlimit *list, size_t n)
{
    struct spec_rlimit *own = n > 0 ? base_alloc(n * sizeof(*own)) : NULL;
    if (own)
        memcpy(own, list, n * sizeof(*own));
    free(s->rlimits);
    s->rlimits = own;
    s->nrlimits = n;
}

void spec_rlimits_capture(struct spec *s)
{
    struct spec_rlimit list[SPEC_RLIMITS];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rlimits); i++) {
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)rlimits[i].resource, &now) < 0)
            continue;
        bool none = now.rlim_cur == RLIM_INFINITY || now.rlim_cur > INT64_MAX;
        list[n++] = (struct spec_rlimit){rlimits[i].resource, none ? -1 : (int64_t)now.rlim_cur};
    }
    spec_rlimits_set(s, list, n);
}

void spec_limits_copy(struct spec *to, const struct spec *from)
{
    to->mem_bytes = from->mem_bytes;
    to->nice = from->nice;
    to->energy_limit_uj = from->energy_limit_uj;
    to->energy_figure = from->energy_figure;
    spec_rlimits_set(to, from->rlimits, from->nrlimits);
}

static int bad_figure(const char *name, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.40s' is no figure that an energy limit can be held against",
            name);
    return err_next(e, "write lo (the machine's lower bound), machine or attributed");
}

int spec_energy_limit_parse(struct spec *s, const char *text, struct err *e)
{
    const char *comma = strchr(text, ',');
    char *head CLEANUP(base_freep) =
        base_strdup_n(text, comma ? (size_t)(comma - text) : strlen(text));
    enum spec_figure figure = SPEC_FIGURE_UNSAID;
    int64_t uj = 0;
    int rc = units_parse_energy(head, &uj, e);
    if (rc == 0 && comma && !spec_figure_parse(comma + 1, &figure))
        rc = bad_figure(comma + 1, e);
    if (rc == 0 && (uj <= 0 || uj > SPEC_ENERGY_MAX_UJ)) {
        err_set(e, WATTQ_E_USAGE, "'%.40s' is not an energy above 0 and up to 1 TJ", head);
        rc = err_next(e, "write 500J, 2kJ, 1.5MJ or 0.2kWh");
    }
    if (rc < 0)
        return rc;
    s->energy_limit_uj = uj;
    s->energy_figure = figure;
    return 0;
}

/* ---- the wire ------------------------------------------------------------------------------------ */

static int take_number(const struct wire_val *map, const char *key, int64_t lo, int64_t hi,
                       int64_t *out, struct err *e)
{
    const struct wire_val *v = wire_get(map, key);
    if (wire_type(v) == WIRE_NIL)
        return 0;
    int64_t n = wire_as_int(v, INT64_MIN);
    if (n != 0 && (n < lo || n > hi))
        return err_set(e, WATTQ_E_USAGE,
                       "'%s' must be a whole number from %" PRId64 " to %" PRId64 ", or 0", key, lo,
                       hi);
    *out = n;
    return 0;
}

static int take_figure(struct spec *s, const struct wire_val *map, struct err *e)
{
    const struct wire_val *v = wire_get(map, "energy_limit_figure");
    if (wire_type(v) == WIRE_NIL)
        return 0;
    const char *name = wire_as_str(v, "");
    if (!spec_figure_parse(name, &s->energy_figure))
        return bad_figure(name, e);
    if (s->energy_limit_uj == 0)
        return err_set(e, WATTQ_E_USAGE, "'energy_limit_figure' without 'energy_limit_uj'");
    return 0;
}

static int take_rlimits(struct spec *s, const struct wire_val *map, struct err *e)
{
    const struct wire_val *m = wire_get(map, "rlimits");
    struct spec_rlimit list[SPEC_RLIMITS];
    size_t n = wire_len(m);
    if (wire_type(m) == WIRE_NIL)
        return 0;
    if (wire_type(m) != WIRE_MAP || n > SPEC_RLIMITS)
        return err_set(e, WATTQ_E_USAGE, "'rlimits' must be a map of at most %d limits",
                       SPEC_RLIMITS);
    for (size_t i = 0; i < n; i++) {
        const char *name = wire_key_at(m, i, NULL);
        int64_t soft = wire_as_int(wire_at(m, i), INT64_MIN);
        int resource = spec_rlimit_find(name);
        if (resource < 0)
            return err_set(e, WATTQ_E_USAGE, "there is no resource limit '%.40s'", name);
        if (soft < -1)
            return err_set(e, WATTQ_E_USAGE,
                           "the limit '%s' must be a whole number, or -1 for none", name);
        for (size_t k = 0; k < i; k++)
            if (list[k].resource == resource)
                return err_set(e, WATTQ_E_USAGE, "the limit '%s' is given twice", name);
        list[i] = (struct spec_rlimit){resource, soft};
    }
    spec_rlimits_set(s, list, n);
    return 0;
}

int spec_limits_from_wire(struct spec *s, const struct wire_val *map, struct err *e)
{
    int64_t nice = 0;
    int rc =
        take_number(map, "mem_bytes", SPEC_MEM_MIN_BYTES, SPEC_MEM_MAX_BYTES, &s->mem_bytes, e);
    if (rc == 0)
        rc = take_number(map, "nice", 1, SPEC_NICE_MAX, &nice, e);
    if (rc == 0)
        rc = take_number(map, "energy_limit_uj", 1, SPEC_ENERGY_MAX_UJ, &s->energy_limit_uj, e);
    if (rc == 0)
        rc = take_figure(s, map, e);
    s->nice = (int)nice;
    return rc == 0 ? take_rlimits(s, map, e) : rc;
}

void spec_limits_put_wire(const struct spec *s, struct wire_out *o)
{
    if (s->mem_bytes > 0)
        wire_put_int(o, "mem_bytes", s->mem_bytes);
    if (s->nice > 0)
        wire_put_int(o, "nice", s->nice);
    if (s->energy_limit_uj > 0)
        wire_put_int(o, "energy_limit_uj", s->energy_limit_uj);
    if (s->energy_figure != SPEC_FIGURE_UNSAID)
        wire_put_str(o, "energy_limit_figure", figures[s->energy_figure]);
    if (s->nrlimits == 0)
        return;
    wire_begin_map(o, "rlimits");
    for (size_t i = 0; i < s->nrlimits; i++) {
        const char *name = spec_rlimit_name(s->rlimits[i].resource);
        if (name)
            wire_put_int(o, name, s->rlimits[i].soft);
    }
    wire_end(o);
}
