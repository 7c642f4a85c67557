/* Values of the filter language: from what was written to what is compared, and back. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/filter.h"
#include "common/spec.h"
#include "common/units.h"

/* ---- reading ------------------------------------------------------------------------------------- */

static int take_int(struct filter_value *v, int rc, int64_t i, const char *text)
{
    v->kind = FILTER_INT;
    v->i = i;
    v->text = rc < 0 ? NULL : base_strdup(text);
    return rc;
}

/* A plain decimal with sign and exponent: nothing else that strtod would take. */
static bool plain_real(const char *s, double *out)
{
    char *end;
    if (s[strspn(s, "0123456789+-.eE")] != '\0' || !strpbrk(s, "0123456789"))
        return false;
    *out = strtod(s, &end);
    return *end == '\0' && isfinite(*out);
}

static int whole(int64_t *out, const char *text, struct err *e)
{
    int rc = units_parse_count(text + (*text == '-'), out, e);
    if (*text == '-')
        *out = -*out;
    return rc;
}

static int take_real(struct filter_value *v, const char *text, struct err *e)
{
    int64_t i = 0;
    v->kind = FILTER_REAL;
    if (!plain_real(text, &v->r)) {
        if (whole(&i, text, NULL) < 0) {
            err_set(e, WATTQ_E_USAGE, "'%.60s' is not a number", text);
            return err_next(e, "write it like 0.5, 1e-3 or 2^14");
        }
        v->r = (double)i;
    }
    v->text = base_strdup(text);
    return 0;
}

static int take_bool(struct filter_value *v, const char *text, struct err *e)
{
    static const char *const yes[] = {"true", "yes", "1"};
    static const char *const no[] = {"false", "no", "0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0)
            return take_int(v, 0, strcmp(text, yes[i]) == 0, text);
    err_set(e, WATTQ_E_USAGE, "'%.60s' is neither true nor false", text);
    return err_next(e, "write true or false");
}

/* A number if it reads as one, by the rule that typed the run's own parameters, or as a count; else text. */
static int take_any(struct filter_value *v, const char *text)
{
    int64_t i = 0;
    enum spec_type type = spec_param_type(text);
    bool zero_led = text[0] == '0' && text[1] != '\0';
    if (type == SPEC_INT)
        return take_int(v, 0, strtoll(text, NULL, 10), text);
    if (type == SPEC_TEXT && !zero_led && whole(&i, text, NULL) == 0)
        return take_int(v, 0, i, text);
    v->kind = type == SPEC_REAL ? FILTER_REAL : FILTER_TEXT;
    v->r = type == SPEC_REAL ? strtod(text, NULL) : 0;
    v->text = base_strdup(text);
    return 0;
}

static int take_text(struct filter_value *v, const char *text)
{
    v->kind = FILTER_TEXT;
    v->text = base_strdup(text);
    return 0;
}

int filter_value_parse(struct filter_value *out, const struct column *c, const char *text,
                       bool quoted, int64_t now_utc_ns, struct err *e)
{
    int64_t i = 0;
    int rc = 0;
    *out = (struct filter_value){0};
    bool zero = strcmp(text, "0") == 0; /* the same in every unit */
    switch (column_type(c)) {
    case COLUMN_INT:
        rc = whole(&i, text, e);
        break;
    case COLUMN_REAL:
        return take_real(out, text, e);
    case COLUMN_BOOL:
        return take_bool(out, text, e);
    case COLUMN_TIME:
        rc = units_parse_time(text, now_utc_ns, &i, e);
        break;
    case COLUMN_DURATION:
        rc = zero ? 0 : units_parse_duration(text, &i, e);
        break;
    case COLUMN_ENERGY:
        rc = zero ? 0 : units_parse_energy(text, &i, e);
        break;
    case COLUMN_POWER:
        rc = zero ? 0 : units_parse_power(text, &i, e);
        break;
    case COLUMN_BYTES:
        rc = zero ? 0 : units_parse_bytes(text, &i, e);
        break;
    case COLUMN_ANY:
        return quoted ? take_text(out, text) : take_any(out, text);
    case COLUMN_TEXT:
        return take_text(out, text);
    }
    return take_int(out, rc, i, text);
}

bool filter_is_pattern(const char *text)
{
    return strpbrk(text, "*?") != NULL;
}

/* ---- writing back -------------------------------------------------------------------------------- */

static bool needs_quotes(const char *text)
{
    if (*text == '\0' || strstr(text, ".."))
        return true;
    for (const char *p = text; *p; p++)
        if (isspace((unsigned char)*p) || strchr(",()[]=<>~!'\"\\", *p))
            return true;
    return false;
}

static char *in_quotes(const char *text)
{
    char *out = base_alloc(2 * strlen(text) + 3);
    char *at = out;
    *at++ = '"';
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            *at++ = '\\';
        *at++ = *p;
    }
    *at = '"';
    return out;
}

char *filter_quote(const char *text)
{
    return needs_quotes(text) ? in_quotes(text) : base_strdup(text);
}

/* RFC 3339 in UTC with every digit: the same instant wherever and whenever it is read. */
static char *instant(int64_t utc_ns)
{
    struct tm tm;
    char day[40];
    int64_t s = units_muldiv_floor(utc_ns, 1, NS_PER_S);
    time_t t = (time_t)s;
    if (!gmtime_r(&t, &tm) || strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return base_strdup("now");
    return base_printf("%s.%09lldZ", day, (long long)(utc_ns - s * NS_PER_S));
}

char *filter_value_text(const struct filter_value *v, const struct column *c)
{
    if (v->kind == FILTER_OPEN)
        return base_strdup("");
    if (column_type(c) == COLUMN_TIME)
        return instant(v->i);
    struct filter_value again;
    if (v->kind == FILTER_TEXT && column_type(c) == COLUMN_ANY) {
        bool text = take_any(&again, v->text) == 0 && again.kind == FILTER_TEXT;
        free(again.text);
        if (!text)
            return in_quotes(v->text); /* a number in quotes is meant as text */
    }
    return filter_quote(v->text);
}
