#include "daemon/meter/drm_fdinfo.h"

#include "common/units.h"
#include "daemon/meter/attr.h"

#include <string.h>

#define PPM INT64_C(1000000)

struct line {
    const char *key, *value;
    size_t key_bytes, value_bytes;
};

/* "key:<blanks>value<blanks>" up to the newline; moves *text behind it. False = no more text. */
static bool next_line(const char **text, struct line *l)
{
    const char *at = *text;
    size_t bytes = strcspn(at, "\n");
    if (at[0] == '\0') {
        return false;
    }
    *text = at + bytes + (at[bytes] == '\n');
    l->key = at;
    l->key_bytes = strcspn(at, ":\n");
    l->value = at + l->key_bytes + (at[l->key_bytes] == ':');
    l->value += strspn(l->value, " \t");
    const char *end = at + bytes;
    l->value_bytes = l->value < end ? (size_t)(end - l->value) : 0;
    while (l->value_bytes > 0 && strchr(" \t\r", l->value[l->value_bytes - 1])) {
        l->value_bytes--;
    }
    return true;
}

/* What the key has behind that prefix; NULL = another key. Not ended by 0: *bytes of it. */
static const char *behind(const struct line *l, const char *prefix, size_t *bytes)
{
    size_t n = strlen(prefix);
    if (l->key_bytes < n || strncmp(l->key, prefix, n) != 0) {
        return NULL;
    }
    *bytes = l->key_bytes - n;
    return l->key + n;
}

static bool is_key(const struct line *l, const char *key)
{
    size_t rest = 0;
    return behind(l, key, &rest) && rest == 0;
}

static void copy(char *out, size_t cap, const char *text, size_t bytes)
{
    out[0] = '\0';
    if (bytes < cap) {
        memcpy(out, text, bytes);
        out[bytes] = '\0';
    }
}

/* A whole number that is not negative, with one of the units (times factor) or none. -1 = it is not. */
static int64_t number(const struct line *l, const char *const *units, const int64_t *factors)
{
    size_t digits = 0;
    int64_t v = 0;
    while (digits < l->value_bytes && l->value[digits] >= '0' && l->value[digits] <= '9') {
        digits++;
    }
    const char *unit = l->value + digits;
    size_t left = l->value_bytes - digits;
    while (left > 0 && (*unit == ' ' || *unit == '\t')) {
        unit++;
        left--;
    }
    if (digits == 0 || !attr_parse(l->value, digits, &v)) {
        return -1;
    }
    for (size_t i = 0; left > 0 && units && units[i]; i++) {
        if (strlen(units[i]) == left && strncmp(units[i], unit, left) == 0) {
            return __builtin_mul_overflow(v, factors[i], &v) ? -1 : v;
        }
    }
    return left == 0 ? v : -1;
}

static struct drm_engine *engine(struct drm_fdinfo *out, const char *name, size_t bytes)
{
    if (bytes == 0 || bytes >= sizeof(out->engines[0].name)) {
        return NULL;
    }
    for (size_t i = 0; i < out->n; i++) {
        struct drm_engine *e = &out->engines[i];
        if (strlen(e->name) == bytes && strncmp(e->name, name, bytes) == 0) {
            return e;
        }
    }
    if (out->n == DRM_ENGINES_MAX) {
        return NULL;
    }
    struct drm_engine *e = &out->engines[out->n++];
    *e = (struct drm_engine){.units = 1};
    copy(e->name, sizeof(e->name), name, bytes);
    return e;
}

static void take_engine(struct drm_fdinfo *out, const struct line *l)
{
    static const char *const ns[] = {"ns", NULL};
    static const int64_t one[] = {1};
    static const struct {
        const char *prefix;
        size_t field;
    } keys[] = {
        {"drm-engine-capacity-", offsetof(struct drm_engine, units)},
        {"drm-engine-", offsetof(struct drm_engine, busy)},
        {"drm-total-cycles-", offsetof(struct drm_engine, total)},
        {"drm-cycles-", offsetof(struct drm_engine, busy)},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t bytes = 0;
        const char *name = behind(l, keys[i].prefix, &bytes);
        if (!name) {
            continue;
        }
        int64_t v = number(l, ns, one);
        struct drm_engine *e = v >= 0 ? engine(out, name, bytes) : NULL;
        if (e && (v > 0 || keys[i].field != offsetof(struct drm_engine, units))) {
            memcpy((char *)e + keys[i].field, &v, sizeof(v));
        }
        return;
    }
}

/* Older kernels say "memory", newer ones say per region what is there in total and what is resident. */
static void take_memory(const struct line *l, int64_t sums[3])
{
    static const char *const prefixes[] = {"drm-resident-", "drm-memory-", "drm-total-"};
    static const char *const units[] = {"KiB", "MiB", NULL};
    static const int64_t factors[] = {1024, 1024 * 1024};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t bytes = 0;
        const char *region = behind(l, prefixes[i], &bytes);
        bool card = region && ((bytes >= 4 && strncmp(region, "vram", 4) == 0) ||
                               (bytes >= 5 && strncmp(region, "local", 5) == 0));
        int64_t v = card ? number(l, units, factors) : -1;
        int64_t sum = sums[i] < 0 ? 0 : sums[i];
        if (v >= 0 && !__builtin_add_overflow(sum, v, &sum)) {
            sums[i] = sum;
        }
    }
}

bool drm_fdinfo_parse(const char *text, struct drm_fdinfo *out)
{
    struct line l;
    int64_t memory[3] = {-1, -1, -1};
    *out = (struct drm_fdinfo){.client = -1, .memory_bytes = -1};
    while (next_line(&text, &l)) {
        if (is_key(&l, "drm-driver")) {
            copy(out->driver, sizeof(out->driver), l.value, l.value_bytes);
        } else if (is_key(&l, "drm-pdev")) {
            copy(out->pdev, sizeof(out->pdev), l.value, l.value_bytes);
        } else if (is_key(&l, "drm-client-id")) {
            out->client = number(&l, NULL, NULL);
        } else {
            take_engine(out, &l);
            take_memory(&l, memory);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(memory) && out->memory_bytes < 0; i++) {
        out->memory_bytes = memory[i];
    }
    return out->driver[0] != '\0';
}

static const struct drm_engine *same(const struct drm_fdinfo *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->engines[i].name, name) == 0) {
            return &f->engines[i];
        }
    }
    return NULL;
}

/* The driver leaves out an engine that was never used: it is then at 0. */
static int64_t engine_ppm(const struct drm_engine *was, const struct drm_engine *is,
                          int64_t span_ns)
{
    int64_t busy = is->busy - (was ? was->busy : 0);
    int64_t whole = is->total > 0 ? is->total - (was ? was->total : 0) : span_ns;
    if (busy <= 0 || whole <= 0 || __builtin_mul_overflow(whole, is->units, &whole)) {
        return 0;
    }
    int64_t ppm = units_muldiv_floor(busy, PPM, whole);
    return ppm < PPM ? ppm : PPM;
}

int64_t drm_fdinfo_busy_ppm(const struct drm_fdinfo *before, const struct drm_fdinfo *now,
                            int64_t span_ns)
{
    int64_t most = 0;
    for (size_t i = 0; i < now->n; i++) {
        const struct drm_engine *is = &now->engines[i];
        int64_t ppm = engine_ppm(same(before, is->name), is, span_ns);
        most = ppm > most ? ppm : most;
    }
    return most;
}
