#include "client/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"

#define KEY_MAX 80

void json_freep(json_t **doc)
{
    json_decref(*doc);
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        abort(); /* only lack of memory: keys and values are ours */
}

json_t *json_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

size_t json_utf8(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : (s[0] & 0xf0) == 0xe0       ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)))
        return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
        return 0;
    return n;
}

json_t *json_text(const char *s, size_t bytes)
{
    json_t *whole = json_stringn(s, bytes);
    if (whole)
        return whole;
    char *clean = base_alloc(bytes * 3 + 1);
    size_t at = 0;
    for (size_t i = 0; i < bytes;) {
        size_t n = json_utf8(s + i, bytes - i);
        memcpy(clean + at, n ? s + i : "\xef\xbf\xbd", n ? n : 3);
        at += n ? n : 3;
        i += n ? n : 1;
    }
    whole = json_stringn(clean, at);
    free(clean);
    return whole;
}

/* Does key end in suffix? stem gets what stands before it. */
static bool ends(const char *key, const char *suffix, char *stem)
{
    size_t k = strlen(key);
    size_t s = strlen(suffix);
    if (k < s || k - s >= KEY_MAX || strcmp(key + k - s, suffix) != 0)
        return false;
    memcpy(stem, key, k - s);
    stem[k - s] = '\0';
    return true;
}

static void put_as(json_t *to, const char *stem, const char *suffix, json_t *value)
{
    char key[KEY_MAX + 8];
    (void)snprintf(key, sizeof key, "%s%s", stem, suffix);
    json_put(to, key, value);
}

static bool is_length(const char *stem)
{
    static const char *const lengths[] = {"elapsed", "covered",    "unknown",  "period",
                                          "lag",     "box",        "uptime",   "period_learned",
                                          "grace",   "time_limit", "interval", "wait"};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        if (strcmp(stem, lengths[i]) == 0)
            return true;
    return false;
}

static void put_ns(json_t *to, const char *key, const char *stem, const struct wire_val *v)
{
    bool null = wire_type(v) == WIRE_NIL;
    int64_t ns = wire_as_int(v, 0);
    char text[40];
    char utc[KEY_MAX];
    (void)snprintf(text, sizeof text, "%lld", (long long)ns);
    json_put(to, key, null ? json_null() : json_string(text));
    if (ends(key, "_utc_ns", utc))
        put_as(to, stem, "",
               null ? json_null() : json_string(units_show_utc(text, sizeof text, ns)));
    else if (is_length(stem))
        put_as(to, stem, "_s", null ? json_null() : json_number((double)ns / 1e9));
}

/* A quantity in its stored unit, as a number in the base unit. */
static bool put_scaled(json_t *to, const char *key, const struct wire_val *v)
{
    static const struct {
        const char *from;
        const char *to;
    } scaled[] = {{"_uj", "_j"}, {"_uw", "_w"}, {"_us", "_s"}};
    char stem[KEY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(scaled); i++) {
        if (!ends(key, scaled[i].from, stem))
            continue;
        json_t *value = json_null();
        if (wire_type(v) != WIRE_NIL) {
            json_decref(value);
            value = json_number(wire_as_f64(v, NAN) / 1e6);
        }
        put_as(to, stem, scaled[i].to, value);
        return true;
    }
    return false;
}

static void put_member(json_t *to, const struct wire_val *map, const char *key,
                       const struct wire_val *v)
{
    char stem[KEY_MAX];
    enum wire_type type = wire_type(v);
    bool number = type == WIRE_INT || type == WIRE_F64 || type == WIRE_NIL;
    if (type == WIRE_BOOL)
        json_put(to, key, json_boolean(wire_bool(map, key, false)));
    else if (number && ends(key, "_ns", stem))
        put_ns(to, key, stem, v);
    else if (!number || !put_scaled(to, key, v))
        json_put(to, key, json_from_wire(v));
}

/* Maps whose keys are somebody's own words. */
static json_t *verbatim(const struct wire_val *map)
{
    json_t *to = json_object();
    for (size_t i = 0; i < wire_len(map); i++)
        json_put(to, wire_key_at(map, i, NULL), json_from_wire(wire_at(map, i)));
    return to;
}

static bool is_verbatim(const char *key)
{
    return strcmp(key, "params") == 0 || strcmp(key, "env") == 0 || strcmp(key, "info") == 0 ||
           strcmp(key, "last_metrics") == 0;
}

/* A run that has no figure still has an energy: unknown, and why. */
static json_t *no_figure(const struct wire_val *run)
{
    json_t *figure = json_object();
    bool ended = wire_type(wire_get(run, "ended_utc_ns")) == WIRE_INT;
    json_put(figure, "energy_j", json_null());
    json_put(figure, "lo_j", json_null());
    json_put(figure, "hi_j", json_null());
    json_put(figure, "reason",
             json_string(ended ? "no figure is stored for this run" : "the run has not ended"));
    return figure;
}

static json_t *from_map(const struct wire_val *map)
{
    json_t *to = json_object();
    for (size_t i = 0; i < wire_len(map); i++) {
        const char *key = wire_key_at(map, i, NULL);
        const struct wire_val *v = wire_at(map, i);
        if (wire_type(v) == WIRE_MAP && is_verbatim(key))
            json_put(to, key, verbatim(v));
        else if (wire_type(v) == WIRE_NIL && strcmp(key, "energy") == 0)
            json_put(to, key, no_figure(map));
        else
            put_member(to, map, key, v);
    }
    bool unknown = json_is_null(json_object_get(to, "energy_j"));
    if (unknown && !json_is_string(json_object_get(to, "reason")))
        json_put(to, "reason", json_string("wattqd gave no reason"));
    return to;
}

static json_t *from_array(const struct wire_val *array)
{
    json_t *to = json_array();
    for (size_t i = 0; i < wire_len(array); i++)
        if (json_array_append_new(to, json_from_wire(wire_at(array, i))) != 0)
            abort();
    return to;
}

static json_t *from_str(const struct wire_val *v)
{
    const char *s = wire_as_str(v, NULL);
    return s ? json_text(s, strlen(s)) : json_null();
}

json_t *json_from_wire(const struct wire_val *v)
{
    switch (wire_type(v)) {
    case WIRE_INT:
        return json_integer(wire_as_int(v, 0));
    case WIRE_F64:
        return json_number(wire_as_f64(v, NAN));
    case WIRE_STR:
        return from_str(v);
    case WIRE_ARRAY:
        return from_array(v);
    case WIRE_MAP:
        return from_map(v);
    case WIRE_BOOL: /* only as a member: the protocol has no lists of them */
    case WIRE_BIN:
    case WIRE_NIL:
        break;
    }
    return json_null();
}

json_t *json_document(const char *schema, const struct wire_val *reply)
{
    static const char *const ours[] = {"op", "id", "ok", "more"};
    json_t *doc = json_object();
    json_put(doc, "schema", json_string(schema));
    json_t *body CLEANUP(json_freep) = json_from_wire(reply);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        (void)json_object_del(body, ours[i]);
    if (json_object_update_missing(doc, body) != 0)
        abort();
    return doc;
}

int json_write(FILE *f, json_t *doc, bool one_line, struct err *e)
{
    size_t flags = JSON_REAL_PRECISION(15) | (one_line ? JSON_COMPACT : JSON_INDENT(2));
    int rc = json_dumpf(doc, f, flags);
    json_decref(doc);
    if (rc != 0 || fputc('\n', f) == EOF)
        return err_errno(e, WATTQ_E_IO, "cannot write the JSON");
    return 0;
}
