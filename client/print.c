#include "client/print.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"

/* ---- terminal ---------------------------------------------------------------------------------- */

static bool plain_terminal(void)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no && *no) || (term && strcmp(term, "dumb") == 0);
}

static int no_color(const char *color, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--color cannot be '%.40s'", color);
    return err_next(e, "write --color auto, --color always or --color never");
}

int print_init(struct print *p, FILE *out, const char *color, bool ascii, struct err *e)
{
    *p = (struct print){.out = out};
    bool tty = isatty(fileno(out)) == 1;
    struct winsize size;
    if (tty)
        p->columns = ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    const char *term = getenv("TERM");
    bool console = term && strcmp(term, "linux") == 0;
    p->unicode = !ascii && !console && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (strcmp(color, "auto") == 0)
        p->colour = tty && !plain_terminal();
    else if (strcmp(color, "always") == 0)
        p->colour = true;
    else if (strcmp(color, "never") == 0)
        p->colour = false;
    else
        return no_color(color, e);
    return 0;
}

static const char *const tones[] = {
    [TONE_PLAIN] = "",        [TONE_BOLD] = "\033[1m", [TONE_DIM] = "\033[2m",
    [TONE_GOOD] = "\033[32m", [TONE_BAD] = "\033[31m", [TONE_WARN] = "\033[33m",
};

const char *print_tone_on(const struct print *p, enum tone t)
{
    return p->colour ? tones[t] : "";
}

const char *print_tone_off(const struct print *p, enum tone t)
{
    return p->colour && t != TONE_PLAIN ? "\033[0m" : "";
}

enum tone print_tone_of(const char *state)
{
    static const char *const bad[] = {"failed", "timeout", "energy_limit", "oom", "lost"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (strcmp(state, bad[i]) == 0)
            return TONE_BAD;
    if (strcmp(state, "done") == 0)
        return TONE_GOOD;
    if (strcmp(state, "running") == 0)
        return TONE_BOLD;
    return strcmp(state, "cancelled") == 0 || strcmp(state, "held") == 0 ? TONE_WARN : TONE_PLAIN;
}

size_t print_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* ---- quantities -------------------------------------------------------------------------------- */

const char *print_duration(char *buf, size_t cap, int64_t ns)
{
    if (ns != PRINT_NONE)
        return units_show_duration(buf, cap, ns);
    base_strcpy(buf, cap, "-");
    return buf;
}

const char *print_bytes(char *buf, size_t cap, int64_t bytes)
{
    if (bytes != PRINT_NONE)
        return units_show_bytes(buf, cap, bytes);
    base_strcpy(buf, cap, "-");
    return buf;
}

const char *print_count(char *buf, size_t cap, int64_t n)
{
    char digits[24];
    if (n == PRINT_NONE) {
        base_strcpy(buf, cap, "-");
        return buf;
    }
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t at = 0;
    for (int i = 0; i < len && at + 2 < cap; i++) {
        if (i > 0 && digits[i - 1] != '-' && (len - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = '\0';
    return buf;
}

enum rounding { ROUND_NEAR, ROUND_DOWN, ROUND_UP };

/* 3 significant digits (4 from 100 on) and an SI prefix. */
static const char *show_si(char *buf, size_t cap, double v, const char *unit, enum rounding how)
{
    static const struct {
        double from;
        const char *prefix;
    } steps[] = {{1e9, "G"},  {1e6, "M"},  {1e3, "k"}, {1, ""},
                 {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}};
    double size = fabs(v);
    if (!isfinite(v)) {
        base_strcpy(buf, cap, "-");
        return buf;
    }
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(steps) && size < steps[i].from * 0.99995)
        i++;
    if (size == 0)
        i = 3;
    double scaled = v / steps[i].from;
    int decimals = fabs(scaled) >= 9.995 ? 1 : 2;
    double ten = decimals == 1 ? 10 : 100;
    if (how != ROUND_NEAR) /* the last digit of what is exact but for the representation stays */
        scaled =
            how == ROUND_DOWN ? floor(scaled * ten + 1e-9) / ten : ceil(scaled * ten - 1e-9) / ten;
    (void)snprintf(buf, cap, "%.*f %s%s", decimals, scaled, steps[i].prefix, unit);
    return buf;
}

const char *print_power_w(char *buf, size_t cap, double watt)
{
    return show_si(buf, cap, watt, "W", ROUND_NEAR);
}

const char *print_power(char *buf, size_t cap, int64_t uw)
{
    return print_power_w(buf, cap, uw == PRINT_NONE ? (double)NAN : (double)uw / 1e6);
}

const char *print_joules(char *buf, size_t cap, double joule)
{
    return show_si(buf, cap, joule, "J", ROUND_NEAR);
}

const char *print_bound(char *buf, size_t cap, double joule, bool upper)
{
    return show_si(buf, cap, joule, "J", upper ? ROUND_UP : ROUND_DOWN);
}

const char *print_seconds(char *buf, size_t cap, double s)
{
    return show_si(buf, cap, s, "s", ROUND_NEAR);
}

const char *print_ago(char *buf, size_t cap, int64_t utc_ns)
{
    time_t t = (time_t)(utc_ns / NS_PER_S);
    struct tm tm;
    if (utc_ns == PRINT_NONE || !localtime_r(&t, &tm) || !strftime(buf, cap, "%m-%d %H:%M", &tm))
        base_strcpy(buf, cap, "-");
    return buf;
}
