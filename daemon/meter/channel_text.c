#include "daemon/meter/channel_text.h"

#include "daemon/meter/attr.h"

#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Decimal number times a unit's factor, exact: "1.5kW" is 15 tenths of 1e9. */
static bool scaled(const char *s, const struct unit *units, size_t n, int64_t *out)
{
    size_t digits = strspn(s, "0123456789");
    size_t decimals = s[digits] == '.' ? strspn(s + digits + 1, "0123456789") : 0;
    size_t number = digits + (decimals ? decimals + 1 : 0);
    int64_t factor = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s + number, units[i].name) == 0) {
            factor = units[i].factor;
        }
    }
    int64_t v = 0;
    if (digits == 0 || factor == 0 || !attr_parse(s, digits, &v) ||
        __builtin_mul_overflow(v, factor, &v)) {
        return false;
    }
    for (size_t i = 0; i < decimals; i++) {
        factor /= 10;
        v += factor * (s[digits + 1 + i] - '0');
    }
    *out = v;
    return true;
}

bool channel_text_power(const char *s, int64_t *uw)
{
    static const struct unit units[] = {
        {"", 1}, {"uW", 1}, {"mW", 1000}, {"W", 1000000}, {"kW", 1000000000}};
    return scaled(s, units, ARRAY_LEN(units), uw);
}

bool channel_text_duration(const char *s, int64_t *ns)
{
    static const struct unit units[] = {
        {"ns", 1}, {"us", 1000}, {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}};
    if (strcmp(s, "0") == 0) {
        *ns = 0;
        return true;
    }
    return scaled(s, units, ARRAY_LEN(units), ns);
}

int channel_text_find(const struct channel_text *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool integer(const char *s, int64_t *out)
{
    return attr_parse(s, strlen(s), out) && *out >= 0;
}

static bool set_kind(struct channel_desc *d, const char *v)
{
    for (int k = CHANNEL_COUNTER; k <= CHANNEL_COMPANION; k++) {
        if (strcmp(channel_kind_name((enum channel_kind)k), v) == 0) {
            static const char *const unit[] = {"uJ", "uW", "uW", "mC"};
            d->kind = (enum channel_kind)k;
            (void)base_strcpy(d->unit, sizeof(d->unit), unit[k]);
            if (k == CHANNEL_COMPANION) {
                d->quality = QUALITY_NONE;
            }
            return true;
        }
    }
    return false;
}

static bool set_scope(struct channel_desc *d, const char *v)
{
    for (int s = SCOPE_NODE; s <= SCOPE_OTHER; s++) {
        if (strcmp(channel_scope_name((enum channel_scope)s), v) == 0) {
            d->scope = (enum channel_scope)s;
            return true;
        }
    }
    return false;
}

static bool set_quality(struct channel_desc *d, const char *v)
{
    for (int q = QUALITY_MEASURED; q <= QUALITY_NONE; q++) {
        if (strcmp(channel_quality_name((enum channel_quality)q), v) == 0) {
            d->quality = (enum channel_quality)q;
            return true;
        }
    }
    return false;
}

static bool set_text(struct channel_desc *d, const char *key, const char *v, bool *mine)
{
    *mine = true;
    if (strcmp(key, "label") == 0) {
        return base_strcpy(d->label, sizeof(d->label), v);
    }
    if (strcmp(key, "unit") == 0) {
        return base_strcpy(d->unit, sizeof(d->unit), v);
    }
    if (strcmp(key, "kind") == 0) {
        return set_kind(d, v);
    }
    if (strcmp(key, "scope") == 0) {
        return set_scope(d, v);
    }
    if (strcmp(key, "quality") == 0) {
        return set_quality(d, v);
    }
    if (strcmp(key, "declared") == 0) {
        d->period_declared = strcmp(v, "no") != 0;
        return d->period_declared == (strcmp(v, "yes") == 0);
    }
    *mine = false;
    return true;
}

static bool set_number(struct channel_desc *d, const char *key, const char *v)
{
    const struct {
        const char *key;
        int64_t *field;
        bool (*parse)(const char *, int64_t *);
    } numbers[] = {{"quantum", &d->quantum, integer},
                   {"wrap", &d->wrap_uj, integer},
                   {"accuracy", &d->accuracy_ppm, integer},
                   {"pmax", &d->pmax_uw, channel_text_power},
                   {"period", &d->period_ns, channel_text_duration},
                   {"lag", &d->lag_ns, channel_text_duration},
                   {"box", &d->box_ns, channel_text_duration}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (strcmp(numbers[i].key, key) == 0) {
            return numbers[i].parse(v, numbers[i].field);
        }
    }
    return false;
}

static bool set_key(const struct channel_text *t, struct channel_desc *d, const char *key,
                    const char *v)
{
    if (strcmp(key, "parent") == 0) {
        d->parent = channel_text_find(t, v);
        return d->parent >= 0;
    }
    if (strcmp(key, "mirror") == 0) {
        d->mirror_of = channel_text_find(t, v);
        return d->mirror_of >= 0;
    }
    bool mine = false;
    bool ok = set_text(d, key, v, &mine);
    return mine ? ok : set_number(d, key, v);
}

int channel_text_add(struct channel_text *t, const char *prefix, char *line, struct err *e)
{
    char *rest = NULL;
    const char *name = strtok_r(line, " \t", &rest);
    if (!name || t->n == CHANNEL_TEXT_MAX || channel_text_find(t, name) >= 0 ||
        !base_strcpy(t->names[t->n], CHANNEL_NAME_MAX, name)) {
        return err_set(e, WATTQ_E_INVALID,
                       "channel '%s' has no name of at most %d letters of its own",
                       name ? name : "", CHANNEL_NAME_MAX - 1);
    }
    struct channel_desc d = {.kind = CHANNEL_COUNTER,
                             .quality = QUALITY_MEASURED,
                             .scope = SCOPE_OTHER,
                             .quantum = 1,
                             .period_ns = NS_PER_MS,
                             .period_declared = true,
                             .parent = -1,
                             .mirror_of = -1};
    bool has_kind = false;
    attr_uid(&d, "%s%s%s", prefix ? prefix : "", prefix ? "/" : "", name);
    (void)base_strcpy(d.label, sizeof(d.label), name);
    for (char *word = strtok_r(NULL, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        char *equals = strchr(word, '=');
        if (equals) {
            *equals = '\0';
        }
        if (!equals || !set_key(t, &d, word, equals + 1)) {
            return err_set(e, WATTQ_E_INVALID,
                           "channel %s: '%s' is not a key with a value that fits", name, word);
        }
        has_kind = has_kind || strcmp(word, "kind") == 0;
    }
    if (!has_kind || d.period_ns <= 0 || d.quantum <= 0) {
        return err_set(e, WATTQ_E_INVALID,
                       "channel %s needs a kind, and a period and quantum above 0", name);
    }
    if (d.kind == CHANNEL_AVERAGE && d.box_ns == 0) {
        d.box_ns = NS_PER_S;
    }
    t->descs[t->n++] = d;
    return 0;
}
