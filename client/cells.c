#include "client/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "common/units.h"

/* ---- units --------------------------------------------------------------------------------------- */

static const struct {
    const char *wire, *base, *suffix;
    double per; /* wire units in one base unit */
} scales[] = {
    {"uJ", "J", "_j", 1e6},  {"uW", "W", "_w", 1e6}, {"ns", "s", "_s", 1e9},
    {"B", "B", "_bytes", 1}, {"J", "J", "", 1},      {"utc_ns", "UTC", "_utc", 1},
};
#define SCALES ARRAY_LEN(scales)

static size_t scale_of(const char *unit)
{
    size_t i = 0;
    while (i < SCALES && strcmp(scales[i].wire, unit) != 0)
        i++;
    return i;
}

static bool is(const struct cells_head *h, const char *unit)
{
    return strcmp(h->unit, unit) == 0;
}

int cells_heads(struct cells_heads *out, const struct wire_val *columns, struct err *e)
{
    out->n = wire_len(columns);
    if (wire_type(columns) != WIRE_ARRAY || out->n == 0 || out->n > CELLS_COLUMNS_MAX)
        return err_set(e, WATTQ_E_PROTOCOL, "the daemon's table has no columns");
    for (size_t i = 0; i < out->n; i++) {
        const struct wire_val *c = wire_at(columns, i);
        struct cells_head *h = &out->head[i];
        *h = (struct cells_head){.name = wire_str(c, "name", "?"),
                                 .type = wire_str(c, "type", "text"),
                                 .unit = wire_str(c, "unit", ""),
                                 .joule = wire_bool(c, "joule", false)};
        size_t s = scale_of(h->unit);
        (void)snprintf(h->key, sizeof h->key, "%s%s", h->name, s < SCALES ? scales[s].suffix : "");
    }
    return 0;
}

/* ---- cells --------------------------------------------------------------------------------------- */

static const struct wire_val *value_of(const struct cells_head *h, const struct wire_val *cell)
{
    return h->joule ? wire_at(cell, 0) : cell;
}

static const char *quality_of(const struct wire_val *cell)
{
    return wire_as_str(wire_at(cell, 1), "none");
}

const char *cells_reason(const struct cells_head *h, const struct wire_val *cell)
{
    return h->joule ? wire_as_str(wire_at(cell, 2), NULL) : NULL;
}

static bool is_number(const struct wire_val *v)
{
    return wire_type(v) == WIRE_INT || wire_type(v) == WIRE_F64;
}

/* In the base unit. */
static double base_value(const struct cells_head *h, const struct wire_val *v)
{
    size_t s = scale_of(h->unit);
    return wire_as_f64(v, NAN) / (s < SCALES ? scales[s].per : 1);
}

static int64_t whole(const struct wire_val *v)
{
    double d = wire_as_f64(v, NAN);
    return wire_type(v) == WIRE_INT ? wire_as_int(v, PRINT_NONE)
           : fabs(d) < 9e18         ? (int64_t)llround(d)
                                    : PRINT_NONE;
}

/* ---- for people ---------------------------------------------------------------------------------- */

static char *clean(const char *text)
{
    char *out = base_strdup(text);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return out;
}

static char *quantity(const struct cells_head *h, const struct wire_val *v)
{
    char buf[64];
    if (is(h, "uJ") || is(h, "J"))
        return base_strdup(print_joules(buf, sizeof buf, base_value(h, v)));
    if (is(h, "uW"))
        return base_strdup(print_power_w(buf, sizeof buf, base_value(h, v)));
    if (is(h, "ns"))
        return base_strdup(print_duration(buf, sizeof buf, whole(v)));
    if (is(h, "utc_ns"))
        return base_strdup(print_ago(buf, sizeof buf, whole(v)));
    if (is(h, "B"))
        return base_strdup(print_bytes(buf, sizeof buf, whole(v)));
    if (wire_type(v) == WIRE_INT)
        return base_printf("%lld", (long long)wire_as_int(v, 0));
    return base_printf("%.6g", wire_as_f64(v, NAN));
}

char *cells_text(const struct cells_head *h, const struct wire_val *cell)
{
    const struct wire_val *v = value_of(h, cell);
    if (wire_type(v) == WIRE_STR)
        return clean(wire_as_str(v, "?"));
    if (wire_type(v) == WIRE_BOOL)
        return base_strdup(wire_as_bool(v, false) ? "yes" : "no");
    if (!is_number(v))
        return base_strdup("-");
    char *text = quantity(h, v);
    if (!h->joule || strcmp(quality_of(cell), "estimated") != 0)
        return text;
    char *marked = base_printf("~%s estimated", text);
    free(text);
    return marked;
}

/* ---- for programs -------------------------------------------------------------------------------- */

static void csv_value(struct csv_out *o, const struct cells_head *h, const struct wire_val *v)
{
    char utc[40];
    if (wire_type(v) == WIRE_STR)
        csv_str(o, wire_as_str(v, ""));
    else if (wire_type(v) == WIRE_BOOL)
        csv_int(o, wire_as_bool(v, false));
    else if (!is_number(v))
        csv_none(o);
    else if (is(h, "utc_ns"))
        csv_str(o, units_show_utc(utc, sizeof utc, whole(v)));
    else if (wire_type(v) == WIRE_INT && (*h->unit == '\0' || is(h, "B")))
        csv_int(o, wire_as_int(v, 0));
    else
        csv_real(o, base_value(h, v));
}

void cells_csv_heads(struct csv_out *o, const struct cells_heads *heads)
{
    char name[220];
    for (size_t i = 0; i < heads->n; i++) {
        csv_str(o, heads->head[i].key);
        (void)snprintf(name, sizeof name, "%s_quality", heads->head[i].name);
        if (heads->head[i].joule)
            csv_str(o, name);
    }
    csv_end(o);
}

void cells_csv_row(struct csv_out *o, const struct cells_heads *heads, const struct wire_val *row)
{
    for (size_t i = 0; i < heads->n; i++) {
        const struct cells_head *h = &heads->head[i];
        csv_value(o, h, value_of(h, wire_at(row, i)));
        if (h->joule)
            csv_str(o, quality_of(wire_at(row, i)));
    }
    csv_end(o);
}

static json_t *json_value(const struct cells_head *h, const struct wire_val *v)
{
    char utc[40];
    if (wire_type(v) == WIRE_STR)
        return json_text(wire_as_str(v, ""), strlen(wire_as_str(v, "")));
    if (wire_type(v) == WIRE_BOOL)
        return json_boolean(wire_as_bool(v, false));
    if (!is_number(v))
        return json_null();
    if (is(h, "utc_ns"))
        return json_string(units_show_utc(utc, sizeof utc, whole(v)));
    if (wire_type(v) == WIRE_INT && (*h->unit == '\0' || is(h, "B")))
        return json_integer(wire_as_int(v, 0));
    return json_number(base_value(h, v));
}

json_t *cells_json_heads(const struct cells_heads *heads)
{
    json_t *list = json_array();
    for (size_t i = 0; i < heads->n; i++) {
        const struct cells_head *h = &heads->head[i];
        size_t s = scale_of(h->unit);
        json_t *o = json_object();
        json_put(o, "name", json_string(h->name));
        json_put(o, "key", json_string(h->key));
        json_put(o, "type", json_string(h->type));
        json_put(o, "unit", json_string(s < SCALES ? scales[s].base : ""));
        if (json_array_append_new(list, o) != 0)
            abort();
    }
    return list;
}

json_t *cells_json_row(const struct cells_heads *heads, const struct wire_val *row)
{
    char name[220];
    json_t *o = json_object();
    for (size_t i = 0; i < heads->n; i++) {
        const struct cells_head *h = &heads->head[i];
        const struct wire_val *cell = wire_at(row, i);
        json_put(o, h->key, json_value(h, value_of(h, cell)));
        if (!h->joule)
            continue;
        (void)snprintf(name, sizeof name, "%s_quality", h->name);
        json_put(o, name, json_string(quality_of(cell)));
        (void)snprintf(name, sizeof name, "%s_reason", h->name);
        if (cells_reason(h, cell))
            json_put(o, name, json_string(cells_reason(h, cell)));
    }
    return o;
}
