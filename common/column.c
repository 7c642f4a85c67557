#include "common/column.h"

#include <string.h>

#include "common/suggest.h"

const struct column_def column_defs[COLUMN_FIXED] = {
#define X(id, name, type, doc) {name, COLUMN_##type, doc},
    COLUMNS(X)
#undef X
};

/* Families in the order of their ids. "tag" and "energy" are columns by themselves as well. */
static const char *const families[] = {"param", "info", "summary", "metric", "tag", "energy"};
static const char *const parts[] = {"last", "min", "max", "first", "n"};
_Static_assert(ARRAY_LEN(families) == COLUMN_ALL - COLUMN_FIXED, "one word per family");

/* ---- by name ------------------------------------------------------------------------------------- */

static bool is(const char *word, const char *name, size_t bytes)
{
    return strlen(word) == bytes && memcmp(word, name, bytes) == 0;
}

static int fixed(const char *name, size_t bytes)
{
    for (int i = 0; i < COLUMN_FIXED; i++)
        if (is(column_defs[i].name, name, bytes))
            return i;
    return is("elapsed", name, bytes) ? (int)COLUMN_ID_TIME : -1;
}

/* The user's part of a family: as it stands, or without its quotes. */
static int take_key(struct column *out, const char *key, size_t bytes, struct err *e)
{
    if (bytes >= 2 && (key[0] == '"' || key[0] == '\'') && key[bytes - 1] == key[0]) {
        key++;
        bytes -= 2;
    }
    if (bytes == 0) {
        err_set(e, WATTQ_E_USAGE, "a word is missing behind '%s.'",
                families[out->id - COLUMN_FIXED]);
        return err_next(e, "write param.lr, metric.loss, tag.good, energy.package-0");
    }
    if (bytes >= sizeof out->key || memchr(key, '\0', bytes) || memchr(key, '"', bytes)) {
        err_set(e, WATTQ_E_USAGE, "'%.40s...' cannot be a name", key);
        return err_next(e, "names have at most %d bytes and no double quotes", COLUMN_KEY_MAX - 1);
    }
    memcpy(out->key, key, bytes);
    out->key[bytes] = '\0';
    return 0;
}

/* "loss.min": the last word says which figure of the curve. */
static void take_part(struct column *out)
{
    char *dot = strrchr(out->key, '.');
    for (size_t i = 0; dot && dot != out->key && i < ARRAY_LEN(parts); i++)
        if (strcmp(dot + 1, parts[i]) == 0) {
            out->part = (enum column_part)i;
            *dot = '\0';
            return;
        }
}

static int family(struct column *out, const char *name, size_t bytes, struct err *e)
{
    const char *dot = memchr(name, '.', bytes);
    for (size_t i = 0; dot && i < ARRAY_LEN(families); i++) {
        if (!is(families[i], name, (size_t)(dot - name)))
            continue;
        const char *key = dot + 1;
        size_t n = bytes - (size_t)(key - name);
        out->id = (enum column_id)(COLUMN_FIXED + i);
        if (out->id == COLUMN_ID_CHANNEL && (is("lo", key, n) || is("hi", key, n))) {
            out->id = key[0] == 'l' ? COLUMN_ID_LO : COLUMN_ID_HI;
            return 0;
        }
        int rc = take_key(out, key, n, e);
        if (rc == 0 && out->id == COLUMN_ID_METRIC)
            take_part(out);
        return rc;
    }
    return 1;
}

/* "st": which names begin so? Several are all told, in reading order. */
static int candidates(const char *name, char *out, size_t cap)
{
    int n = 0;
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < COLUMN_FIXED; i++) {
        if (strncmp(column_defs[i].name, name, strlen(name)) != 0)
            continue;
        int put = snprintf(out + at, cap - at, "%s%s", n ? ", " : "", column_defs[i].name);
        at += put > 0 && (size_t)put < cap - at ? (size_t)put : 0;
        n++;
    }
    return n;
}

static const char *nearest(const char *name)
{
    struct suggest s;
    suggest_init(&s, name);
    for (size_t i = 0; i < COLUMN_FIXED; i++)
        suggest_offer(&s, column_defs[i].name);
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        suggest_offer(&s, families[i]);
    return s.best;
}

static int unknown(const char *name, size_t bytes, struct err *e)
{
    char word[64];
    char list[120];
    size_t kept = bytes < sizeof word ? bytes : 0;
    memcpy(word, name, kept);
    word[kept] = '\0';
    err_set(e, WATTQ_E_USAGE, "a run has no column '%.*s'", bytes < 60 ? (int)bytes : 60, name);
    int n = strlen(word) > 1 ? candidates(word, list, sizeof list) : 0;
    if (n > 1)
        return err_next(e, "'%.20s' may be %s", word, list);
    const char *near = n == 1 ? list : strlen(word) > 2 ? nearest(word) : NULL;
    if (near)
        return err_next(e, "did you mean %.40s? A parameter is param.%.20s", near, word);
    if (!*word || *word == '-' || *word == '.')
        return err_next(e, "the columns are listed by wattq help columns");
    return err_next(e, "a parameter is param.%.24s, a metric metric.%.24s; wattq help columns",
                    word, word);
}

int column_find(struct column *out, const char *name, size_t bytes, struct err *e)
{
    *out = (struct column){0};
    int id = fixed(name, bytes);
    if (id >= 0) {
        out->id = (enum column_id)id;
        return 0;
    }
    int rc = family(out, name, bytes, e);
    return rc > 0 ? unknown(name, bytes, e) : rc;
}

/* ---- about one ----------------------------------------------------------------------------------- */

static bool plain(const char *key)
{
    for (const char *p = key; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '_' || *p == '-' || *p == '.'))
            return false;
    return true;
}

/* Would the bare key of a metric be read as one with a part? */
static bool ends_in_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    for (size_t i = 0; dot && dot != key && i < ARRAY_LEN(parts); i++)
        if (strcmp(dot + 1, parts[i]) == 0)
            return true;
    return false;
}

const char *column_name(char *buf, size_t cap, const struct column *c)
{
    if (c->id < COLUMN_FIXED) {
        base_strcpy(buf, cap, column_defs[c->id].name);
        return buf;
    }
    char key[COLUMN_NAME_MAX];
    bool part = c->id == COLUMN_ID_METRIC && (c->part != COLUMN_LAST || ends_in_part(c->key));
    (void)snprintf(key, sizeof key, "%s%s%s", c->key, part ? "." : "", part ? parts[c->part] : "");
    const char *quote = plain(key) && strcmp(key, "lo") != 0 && strcmp(key, "hi") != 0 ? "" : "\"";
    (void)snprintf(buf, cap, "%s.%s%s%s", families[c->id - COLUMN_FIXED], quote, key, quote);
    return buf;
}

enum column_type column_type(const struct column *c)
{
    switch ((int)c->id) {
    case COLUMN_ID_PARAM:
    case COLUMN_ID_INFO:
    case COLUMN_ID_SUMMARY:
        return COLUMN_ANY;
    case COLUMN_ID_METRIC:
        return c->part == COLUMN_N ? COLUMN_INT : COLUMN_REAL;
    case COLUMN_ID_TAG_OF:
        return COLUMN_BOOL;
    case COLUMN_ID_CHANNEL:
        return COLUMN_ENERGY;
    default:
        return column_defs[c->id].type;
    }
}

bool column_is_joule(const struct column *c)
{
    enum column_type t = column_type(c);
    return t == COLUMN_ENERGY || t == COLUMN_POWER || c->id == COLUMN_ID_J_PER_DATUM;
}

bool column_is_number(const struct column *c)
{
    enum column_type t = column_type(c);
    return t != COLUMN_TEXT && t != COLUMN_BOOL;
}

const char *column_type_name(enum column_type t)
{
    static const char *const names[] = {"int",      "real",   "text",  "bool",  "time",
                                        "duration", "energy", "power", "bytes", "any"};
    return names[t];
}

const char *column_unit(enum column_type t)
{
    static const char *const units[] = {"", "", "", "", "utc_ns", "ns", "uJ", "uW", "B", ""};
    return units[t];
}

const char *const *column_words(const struct column *c)
{
    static const char *const states[] = {
        "held",    "queued",       "starting", "running",   "paused",  "stopping", "done", "failed",
        "timeout", "energy_limit", "oom",      "cancelled", "skipped", "lost",     NULL};
    static const char *const kinds[] = {"command", "train", "exec", NULL};
    static const char *const qualities[] = {"measured", "modelled", "estimated", "none", NULL};
    switch ((int)c->id) {
    case COLUMN_ID_STATE:
        return states;
    case COLUMN_ID_KIND:
        return kinds;
    case COLUMN_ID_QUALITY:
        return qualities;
    default:
        return NULL;
    }
}

bool column_same(const struct column *a, const struct column *b)
{
    return a->id == b->id && a->part == b->part && strcmp(a->key, b->key) == 0;
}
