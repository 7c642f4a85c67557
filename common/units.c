#include "common/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts = {0};
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}
int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
int64_t clock_utc_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

__extension__ typedef __int128 wide;

static int64_t saturate(wide v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int64_t units_muldiv_floor(int64_t a, int64_t b, int64_t c)
{
    wide p = (wide)a * b;
    wide q = p / c;
    return saturate(q * c > p ? q - 1 : q);
}

int64_t units_muldiv_ceil(int64_t a, int64_t b, int64_t c)
{
    wide p = (wide)a * b;
    wide q = p / c;
    return saturate(q * c < p ? q + 1 : q);
}

/* ---- parsing ----------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    double factor;
};

static const struct unit *find_unit(const struct unit *table, const char *name, size_t len)
{
    for (const struct unit *u = table; u->name; u++)
        if (strlen(u->name) == len && !memcmp(u->name, name, len))
            return u;
    return NULL;
}

/* Digits with an optional fraction, nothing else strtod would take: no sign, exponent, hex, inf.
 * Returns where it ends, NULL when s does not start with a digit. */
static const char *scan_number(const char *s, double *out)
{
    char buf[32];
    size_t n = 0;
    bool dot = false;
    for (; isdigit((unsigned char)s[n]) || (s[n] == '.' && !dot && n > 0); n++) {
        if (n + 1 >= sizeof(buf))
            return NULL;
        dot = dot || s[n] == '.';
        buf[n] = s[n];
    }
    if (n == 0 || s[n - 1] == '.')
        return NULL;
    buf[n] = '\0';
    *out = strtod(buf, NULL);
    return s + n;
}

static size_t unit_len(const char *s)
{
    size_t n = 0;
    while (isalpha((unsigned char)s[n]))
        n++;
    return n;
}

struct quantity {
    const struct unit *table;
    const char *what;  /* "duration" */
    const char *bare;  /* the two readings of a bare number, %s three times */
    const char *units; /* for the message */
    bool many;         /* "2h30m" */
};

static int not_a(const struct quantity *q, const char *s, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.60s' is not %s", s, q->what);
    err_next(e, "write a number and a unit: %s", q->units);
    return WATTQ_E_USAGE;
}

/* Sum of "number unit" terms in the table's base unit, rounded to the nearest whole one. */
static int parse_quantity(const struct quantity *q, const char *s, int64_t *out, struct err *e)
{
    double sum = 0;
    double last = HUGE_VAL; /* "30m2h" and "1h1h" are slips, not sums */
    const char *p = s;
    do {
        double v = 0;
        p = scan_number(p, &v);
        if (!p)
            return not_a(q, s, e);
        if (*p == '\0' && p != s && last == HUGE_VAL) {
            err_set(e, WATTQ_E_USAGE, "'%.40s' has no unit: is it %s?", s, q->bare);
            err_next(e, "write a number and a unit: %s", q->units);
            return WATTQ_E_USAGE;
        }
        size_t n = unit_len(p);
        const struct unit *u = find_unit(q->table, p, n);
        if (!u || u->factor >= last)
            return not_a(q, s, e);
        sum += v * u->factor;
        last = u->factor;
        p += n;
    } while (q->many && *p);
    if (*p)
        return not_a(q, s, e);
    if (sum > 9.2e18)
        return err_set(e, WATTQ_E_USAGE, "'%.60s' is more than can be counted", s);
    /* llround would be all of libm that a shepherd loads. */
    *out = (int64_t)(sum < 0 ? sum - 0.5 : sum + 0.5);
    return 0;
}

int units_parse_duration(const char *s, int64_t *out_ns, struct err *e)
{
    static const struct unit table[] = {
        {"y", 31536000e9}, {"w", 604800e9}, {"d", 86400e9}, {"h", 3600e9},
        {"m", 60e9},       {"min", 60e9},   {"s", 1e9},     {"ms", 1e6},
        {"us", 1e3},       {"ns", 1},       {NULL, 0},
    };
    char bare[120];
    snprintf(bare, sizeof(bare), "%.30ss (seconds) or %.30sm (minutes)", s, s);
    const struct quantity q = {table, "a duration", bare, "90s, 15m, 2h30m, 1d, 250ms", true};
    return parse_quantity(&q, s, out_ns, e);
}

int units_parse_bytes(const char *s, int64_t *out_bytes, struct err *e)
{
    static const struct unit table[] = {
        {"B", 1},        {"k", 0x1p10},   {"K", 0x1p10},   {"M", 0x1p20},
        {"G", 0x1p30},   {"T", 0x1p40},   {"KiB", 0x1p10}, {"kiB", 0x1p10},
        {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"Ki", 0x1p10},
        {"Mi", 0x1p20},  {"Gi", 0x1p30},  {"Ti", 0x1p40},  {NULL, 0},
    };
    char bare[120];
    snprintf(bare, sizeof(bare), "%.30sM (MiB) or %.30sB (bytes)", s, s);
    const struct quantity q = {table, "a size", bare, "100B, 64k, 512M, 2G", false};
    return parse_quantity(&q, s, out_bytes, e);
}

int units_parse_energy(const char *s, int64_t *out_uj, struct err *e)
{
    static const struct unit table[] = {
        {"uJ", 1},    {"mJ", 1e3},    {"J", 1e6},      {"kJ", 1e9}, {"MJ", 1e12},
        {"GJ", 1e15}, {"Wh", 3600e6}, {"kWh", 3600e9}, {NULL, 0},
    };
    char bare[120];
    snprintf(bare, sizeof(bare), "%.30sJ (joules) or %.30skWh", s, s);
    const struct quantity q = {table, "an energy", bare, "500J, 2kJ, 1.5MJ, 0.2kWh", false};
    return parse_quantity(&q, s, out_uj, e);
}

int units_parse_power(const char *s, int64_t *out_uw, struct err *e)
{
    static const struct unit table[] = {
        {"uW", 1}, {"mW", 1e3}, {"W", 1e6}, {"kW", 1e9}, {"MW", 1e12}, {NULL, 0},
    };
    char bare[120];
    snprintf(bare, sizeof(bare), "%.30sW (watts) or %.30smW", s, s);
    const struct quantity q = {table, "a power", bare, "50W, 1.5kW, 300mW", false};
    return parse_quantity(&q, s, out_uw, e);
}

int units_parse_count(const char *s, int64_t *out, struct err *e)
{
    static const struct unit table[] = {
        {"", 1},        {"k", 1e3},     {"K", 1e3},     {"M", 1e6},     {"G", 1e9}, {"T", 1e12},
        {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}, {NULL, 0},
    };
    double v = 0;
    const char *p = scan_number(s, &v);
    double power = 0;
    const char *end = p && *p == '^' ? scan_number(p + 1, &power) : NULL;
    if (end && *end == '\0' && v == 2 && power == floor(power) && power <= 62) {
        *out = INT64_C(1) << (int)power;
        return 0;
    }
    const struct unit *u = p ? find_unit(table, p, strlen(p)) : NULL;
    double n = u ? v * u->factor : -1;
    if (!p || n < 0 || n != floor(n) || n > 9.2e18) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' is not a whole number", s);
        err_next(e, "write it like 4096, 2^14, 64k (= 64000) or 64Ki (= 65536)");
        return WATTQ_E_USAGE;
    }
    /* Digits alone are read exactly; a double has only 53 bits. */
    *out = *p == '\0' && !strchr(s, '.') ? strtoll(s, NULL, 10) : (int64_t)n;
    return 0;
}

/* ---- instants ---------------------------------------------------------------------------------- */

static const char *scan_digits(const char *s, int digits, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, s++) {
        if (!isdigit((unsigned char)*s))
            return NULL;
        *out = *out * 10 + (*s - '0');
    }
    return s;
}

/* "HH:MM[:SS[.fff]]" at s; returns where it ends, or NULL. */
static const char *scan_clock(const char *s, struct tm *tm, int64_t *frac_ns)
{
    const char *p = scan_digits(s, 2, &tm->tm_hour);
    p = p && *p == ':' ? scan_digits(p + 1, 2, &tm->tm_min) : NULL;
    if (p && *p == ':')
        p = scan_digits(p + 1, 2, &tm->tm_sec);
    if (p && *p == '.' && isdigit((unsigned char)p[1])) {
        int64_t unit = NS_PER_S / 10;
        for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
            *frac_ns += (*p - '0') * unit;
    }
    return p && tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61 ? p : NULL;
}

/* "Z" or "+HH:MM" or "+HHMM": seconds east of UTC. */
static const char *scan_zone(const char *s, int *east_s)
{
    *east_s = 0;
    if (*s == 'Z' || *s == 'z')
        return s + 1;
    int h = 0;
    int m = 0;
    int sign = *s == '-' ? -1 : 1;
    const char *p = *s == '+' || *s == '-' ? scan_digits(s + 1, 2, &h) : NULL;
    p = p ? scan_digits(*p == ':' ? p + 1 : p, 2, &m) : NULL;
    *east_s = sign * (h * 3600 + m * 60);
    return p && h < 24 && m < 60 ? p : NULL;
}

/* A day that does not exist (31 April) comes back changed. */
static bool same_day(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday;
}

static bool parse_date(const char *s, int64_t *out_utc_ns)
{
    struct tm tm = {.tm_isdst = -1};
    int64_t frac_ns = 0;
    int east_s = 0;
    const char *p = scan_digits(s, 4, &tm.tm_year);
    p = p && *p == '-' ? scan_digits(p + 1, 2, &tm.tm_mon) : NULL;
    p = p && *p == '-' ? scan_digits(p + 1, 2, &tm.tm_mday) : NULL;
    if (!p)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (*p == ' ' || *p == 'T' || *p == 't')
        p = scan_clock(p + 1, &tm, &frac_ns);
    bool local = p && *p == '\0';
    p = !p || local ? p : scan_zone(p, &east_s);
    if (!p || *p)
        return false;
    struct tm asked = tm;
    time_t t = local ? mktime(&tm) : timegm(&tm);
    if (!same_day(&asked, &tm))
        return false;
    *out_utc_ns = ((int64_t)t - east_s) * NS_PER_S + frac_ns;
    return true;
}

/* "HH:MM[:SS]": today, or yesterday when that would lie in the future. */
static bool parse_today(const char *s, int64_t now_utc_ns, int64_t *out_utc_ns)
{
    struct tm tm;
    int64_t frac_ns = 0;
    time_t now = (time_t)(now_utc_ns / NS_PER_S);
    if (!localtime_r(&now, &tm))
        return false;
    tm.tm_sec = 0;
    const char *p = scan_clock(s, &tm, &frac_ns);
    if (!p || *p)
        return false;
    for (int days = 0; days < 2; days++) {
        struct tm day = tm;
        day.tm_mday -= days;
        day.tm_isdst = -1;
        *out_utc_ns = (int64_t)mktime(&day) * NS_PER_S + frac_ns;
        if (*out_utc_ns <= now_utc_ns)
            return true;
    }
    return true;
}

int units_parse_time(const char *s, int64_t now_utc_ns, int64_t *out_utc_ns, struct err *e)
{
    if (!strcmp(s, "now")) {
        *out_utc_ns = now_utc_ns;
        return 0;
    }
    if (s[0] == '-') {
        int64_t ago_ns = 0;
        int rc = units_parse_duration(s + 1, &ago_ns, e);
        *out_utc_ns = now_utc_ns - ago_ns;
        return rc;
    }
    if (parse_date(s, out_utc_ns) || parse_today(s, now_utc_ns, out_utc_ns))
        return 0;
    err_set(e, WATTQ_E_USAGE, "'%.60s' is not a point in time", s);
    err_next(e, "write -2h, 14:30, 2026-11-23, '2026-11-23 14:30' or 2026-11-23T14:30:00Z");
    return WATTQ_E_USAGE;
}

/* ---- showing ----------------------------------------------------------------------------------- */

/* Three or four significant digits with the prefix that keeps the number between 1 and 1000. */
static const char *show_scaled(char *buf, size_t cap, double v, const char *unit)
{
    static const struct {
        const char *prefix;
        double factor;
    } steps[] = {{"T", 1e12}, {"G", 1e9},  {"M", 1e6}, {"k", 1e3},
                 {"", 1},     {"m", 1e-3}, {"u", 1e-6}};
    if (!isfinite(v)) {
        snprintf(buf, cap, "-");
        return buf;
    }
    if (v == 0) {
        snprintf(buf, cap, "0 %s", unit);
        return buf;
    }
    size_t i = 0;
    /* 999.95 would print as 1000: it belongs to the next prefix already. */
    while (i + 1 < ARRAY_LEN(steps) && fabs(v) < steps[i].factor * 0.99995)
        i++;
    double shown = v / steps[i].factor;
    int decimals = fabs(shown) < 9.995 ? 2 : fabs(shown) < 999.95 ? 1 : 0;
    snprintf(buf, cap, "%.*f %s%s", decimals, shown, steps[i].prefix, unit);
    return buf;
}

const char *units_show_energy(char *buf, size_t cap, int64_t uj)
{
    return show_scaled(buf, cap, (double)uj / 1e6, "J");
}

const char *units_show_power(char *buf, size_t cap, double watt)
{
    return show_scaled(buf, cap, watt, "W");
}

const char *units_show_bytes(char *buf, size_t cap, int64_t bytes)
{
    if (bytes > -1000 && bytes < 1000)
        snprintf(buf, cap, "%" PRId64 " B", bytes);
    else
        show_scaled(buf, cap, (double)bytes, "B");
    return buf;
}

const char *units_show_size(char *buf, size_t cap, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(units) && fabs(v) >= 1024) {
        v /= 1024;
        i++;
    }
    snprintf(buf, cap, "%.*f %s", v == floor(v) ? 0 : fabs(v) < 10 ? 2 : 1, v, units[i]);
    return buf;
}

const char *units_show_duration(char *buf, size_t cap, int64_t ns)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    uint64_t s = (n + 500000000u) / 1000000000u;
    double sec = (double)n / 1e9;
    if (n == 0)
        snprintf(buf, cap, "0s");
    else if (n < 1000)
        snprintf(buf, cap, "%s%" PRIu64 "ns", sign, n);
    else if (n < 999950)
        snprintf(buf, cap, "%s%.*fus", sign, n < 99950 ? 1 : 0, (double)n / 1e3);
    else if (n < 999500000)
        snprintf(buf, cap, "%s%.*fms", sign, n < 99950000 ? 1 : 0, (double)n / 1e6);
    else if (sec < 9.995)
        snprintf(buf, cap, "%s%.2fs", sign, sec);
    else if (sec < 59.95)
        snprintf(buf, cap, "%s%.1fs", sign, sec);
    else if (s < 3600)
        snprintf(buf, cap, "%s%" PRIu64 "m%02" PRIu64 "s", sign, s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, cap, "%s%" PRIu64 "h%02" PRIu64 "m", sign, s / 3600, s % 3600 / 60);
    else
        snprintf(buf, cap, "%s%" PRIu64 "d%02" PRIu64 "h", sign, s / 86400, s % 86400 / 3600);
    return buf;
}

const char *units_show_utc(char *buf, size_t cap, int64_t utc_ns)
{
    int64_t s = utc_ns / NS_PER_S;
    int64_t rest = utc_ns % NS_PER_S;
    if (rest < 0) {
        rest += NS_PER_S;
        s--;
    }
    time_t t = (time_t)s;
    struct tm tm;
    char day[40] = "";
    if (gmtime_r(&t, &tm))
        strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf, cap, "%s.%03dZ", day, (int)(rest / NS_PER_MS));
    return buf;
}
