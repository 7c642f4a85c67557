#include "daemon/meter/perf_text.h"

#include <string.h>

#define DIGITS_MAX   30 /* 10^30 < 2^127 */
#define EXPONENT_MAX 60

__extension__ typedef unsigned __int128 u128;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
}

static bool at_end(const char *p)
{
    return *p == '\0' || (*p == '\n' && p[1] == '\0');
}

/* ---- scale ------------------------------------------------------------------------------------- */

/* Digits with an optional point: mantissa and how many of them stood behind the point. */
static bool read_mantissa(const char **p, u128 *mantissa, int *behind)
{
    int digits = 0;
    bool point = false;
    *mantissa = 0;
    *behind = 0;
    for (; is_digit(**p) || (**p == '.' && !point); (*p)++) {
        if (**p == '.') {
            point = true;
            continue;
        }
        if (++digits > DIGITS_MAX) {
            return false;
        }
        *mantissa = *mantissa * 10 + (u128)(unsigned)(**p - '0');
        *behind += point;
    }
    return digits > 0 && is_digit((*p)[-1]);
}

static bool read_exponent(const char **p, int *exponent)
{
    *exponent = 0;
    if (**p != 'e' && **p != 'E') {
        return true;
    }
    (*p)++;
    bool negative = **p == '-';
    if (negative || **p == '+') {
        (*p)++;
    }
    if (!is_digit(**p)) {
        return false;
    }
    for (; is_digit(**p); (*p)++) {
        *exponent = *exponent * 10 + (**p - '0');
        if (*exponent > EXPONENT_MAX) {
            return false;
        }
    }
    *exponent = negative ? -*exponent : *exponent;
    return true;
}

/* num / den = mantissa * 10^power, in lowest terms. */
static bool reduce(u128 mantissa, int power, struct perf_scale *out)
{
    u128 num = mantissa;
    u128 den = 1;
    for (; power > 0; power--) {
        if (num > (u128)INT64_MAX) {
            return false;
        }
        num *= 10;
    }
    static const unsigned primes[] = {2, 5};
    for (size_t i = 0; i < ARRAY_LEN(primes); i++) {
        for (int k = power; k < 0; k++) {
            if (num % primes[i] == 0) {
                num /= primes[i];
            } else if (den > (u128)INT64_MAX) {
                return false;
            } else {
                den *= primes[i];
            }
        }
    }
    if (num == 0 || num > (u128)INT64_MAX || den > (u128)INT64_MAX) {
        return false;
    }
    *out = (struct perf_scale){.num = (int64_t)num, .den = (int64_t)den};
    return true;
}

bool perf_scale_parse(const char *text, struct perf_scale *out)
{
    u128 mantissa = 0;
    int behind = 0;
    int exponent = 0;
    const char *p = text;
    if (!read_mantissa(&p, &mantissa, &behind) || !read_exponent(&p, &exponent) || !at_end(p)) {
        return false;
    }
    return reduce(mantissa, exponent - behind + 6, out); /* 1 J = 10^6 uJ */
}

bool perf_scale_uj(const struct perf_scale *s, uint64_t count, int64_t *uj)
{
    u128 v = (u128)count * (u128)s->num / (u128)s->den;
    if (v > (u128)INT64_MAX) {
        return false;
    }
    *uj = (int64_t)v;
    return true;
}

/* ---- events ------------------------------------------------------------------------------------ */

static bool read_bit(const char **p, int *bit)
{
    if (!is_digit(**p)) {
        return false;
    }
    for (*bit = 0; is_digit(**p); (*p)++) {
        *bit = *bit * 10 + (**p - '0');
        if (*bit > 63) {
            return false;
        }
    }
    return true;
}

/* "0-7" or "8": bits lo..hi */
static bool read_range(const char **p, int *lo, int *hi)
{
    if (!read_bit(p, lo)) {
        return false;
    }
    *hi = *lo;
    if (**p == '-') {
        (*p)++;
        return read_bit(p, hi) && *hi >= *lo;
    }
    return true;
}

bool perf_config_put(struct perf_config *c, const char *format, uint64_t value)
{
    static const char *const words[] = {"config:", "config1:", "config2:"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strncmp(format, words[i], strlen(words[i])) != 0) {
            continue;
        }
        const char *p = format + strlen(words[i]);
        int lo = 0;
        int hi = 0;
        do {
            if (!read_range(&p, &lo, &hi)) {
                return false;
            }
            int width = hi - lo + 1;
            uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
            c->word[i] |= (value & mask) << lo;
            value = width == 64 ? 0 : value >> width;
        } while (*p == ',' && p++);
        return at_end(p) && value == 0;
    }
    return false;
}

static int hex_digit(char c)
{
    return is_digit(c)              ? c - '0'
           : (c >= 'a' && c <= 'f') ? c - 'a' + 10
           : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                    : -1;
}

static bool read_number(const char **p, uint64_t *out)
{
    uint64_t base = 10;
    if ((*p)[0] == '0' && ((*p)[1] == 'x' || (*p)[1] == 'X')) {
        base = 16;
        *p += 2;
    }
    int digits = 0;
    uint64_t v = 0;
    for (int d = 0; (d = hex_digit(**p)) >= 0 && (uint64_t)d < base; (*p)++, digits++) {
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v)) {
            return false;
        }
    }
    *out = v;
    return digits > 0;
}

int perf_term_next(const char **text, char *name, size_t cap, uint64_t *value)
{
    const char *p = *text;
    if (at_end(p)) {
        return 0;
    }
    size_t n = 0;
    while (is_name(p[n])) {
        n++;
    }
    if (n == 0 || n >= cap) {
        return -1;
    }
    memcpy(name, p, n);
    name[n] = '\0';
    p += n;
    *value = 1;
    if (*p == '=') {
        p++;
        if (!read_number(&p, value)) {
            return -1;
        }
    }
    if (*p == ',') {
        p++;
        if (at_end(p)) {
            return -1;
        }
    } else if (!at_end(p)) {
        return -1;
    }
    *text = p;
    return 1;
}
