#include "client/print.h"

#include <langinfo.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
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
    else if (strcmp(color, "never") != 0)
        return err_set(e, WATTQ_E_USAGE, "--color is auto, always or never, not '%.40s'", color);
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

/* 3 significant digits (4 from 100 on) and an SI prefix. */
static const char *show_si(char *buf, size_t cap, double v, const char *unit)
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
    (void)snprintf(buf, cap, "%.*f %s%s", decimals, scaled, steps[i].prefix, unit);
    return buf;
}

const char *print_power_w(char *buf, size_t cap, double watt)
{
    return show_si(buf, cap, watt, "W");
}

const char *print_power(char *buf, size_t cap, int64_t uw)
{
    return print_power_w(buf, cap, uw == PRINT_NONE ? (double)NAN : (double)uw / 1e6);
}

const char *print_joules(char *buf, size_t cap, double joule)
{
    return show_si(buf, cap, joule, "J");
}

const char *print_seconds(char *buf, size_t cap, double s)
{
    return show_si(buf, cap, s, "s");
}

const char *print_ago(char *buf, size_t cap, int64_t utc_ns)
{
    time_t t = (time_t)(utc_ns / NS_PER_S);
    struct tm tm;
    if (utc_ns == PRINT_NONE || !localtime_r(&t, &tm) || !strftime(buf, cap, "%m-%d %H:%M", &tm))
        base_strcpy(buf, cap, "-");
    return buf;
}

/* ---- figures ----------------------------------------------------------------------------------- */

/* A unit for energies of one line, so that total, bounds and parts can be compared by eye. */
struct scale {
    int64_t per_uj; /* uJ in one unit */
    const char *unit;
    int decimals;
};

static struct scale pick_scale(int64_t uj, int64_t width_uj)
{
    static const struct scale scales[] = {{INT64_C(1000000000000000), "GJ", 0},
                                          {INT64_C(1000000000000), "MJ", 0},
                                          {INT64_C(1000000000), "kJ", 0},
                                          {INT64_C(1000000), "J", 0},
                                          {INT64_C(1000), "mJ", 0},
                                          {INT64_C(1), "uJ", 0}};
    int64_t size = uj < 0 ? -uj : uj;
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(scales) && size < scales[i].per_uj)
        i++;
    struct scale s = scales[uj == 0 ? 3 : i];
    double v = (double)size / (double)s.per_uj;
    s.decimals = v >= 10 ? 1 : 2;
    /* Tight bounds deserve the digits that tell them apart. */
    for (double step = pow(10, -s.decimals); s.decimals < 4 && width_uj > 0; s.decimals++) {
        if ((double)width_uj / (double)s.per_uj >= 4 * step)
            break;
        step /= 10;
    }
    if (s.per_uj == 1)
        s.decimals = 0;
    return s;
}

enum rounding { ROUND_NEAR, ROUND_DOWN, ROUND_UP };

/* Integer arithmetic: a bound must not move inward by a rounding error of its display. */
static void put_energy(FILE *f, const struct scale *s, int64_t uj, enum rounding how)
{
    int64_t ten = 1;
    for (int i = 0; i < s->decimals; i++)
        ten *= 10;
    int64_t v;
    if (how == ROUND_DOWN)
        v = units_muldiv_floor(uj, ten, s->per_uj);
    else if (how == ROUND_UP)
        v = units_muldiv_ceil(uj, ten, s->per_uj);
    else
        v = units_muldiv_floor(2 * uj + s->per_uj / ten, ten, 2 * s->per_uj);
    const char *sign = v < 0 ? "-" : "";
    v = v < 0 ? -v : v;
    if (s->decimals > 0)
        (void)fprintf(f, "%s%lld.%0*lld", sign, (long long)(v / ten), s->decimals,
                      (long long)(v % ten));
    else
        (void)fprintf(f, "%s%lld", sign, (long long)v);
}

bool print_is_estimate(const struct wire_val *figure)
{
    return strcmp(wire_str(figure, "quality", ""), "estimated") == 0 ||
           strcmp(wire_str(figure, "method", ""), "estimate") == 0;
}

static bool has_flag(const struct wire_val *figure, const char *flag)
{
    const char *p = wire_str(figure, "flags", "");
    size_t n = strlen(flag);
    for (p = strstr(p, flag); p; p = strstr(p + 1, flag))
        if (p[n] == '\0' || p[n] == ' ')
            return true;
    return false;
}

static bool bounds_of(const struct wire_val *figure, int64_t *lo, int64_t *hi)
{
    *lo = wire_int(figure, "lo_uj", PRINT_NONE);
    *hi = wire_int(figure, "hi_uj", PRINT_NONE);
    return *lo != PRINT_NONE && *hi != PRINT_NONE;
}

static struct scale scale_of(const struct wire_val *figure)
{
    int64_t lo;
    int64_t hi;
    bool bounded = bounds_of(figure, &lo, &hi);
    return pick_scale(wire_int(figure, "energy_uj", 0), bounded ? hi - lo : 0);
}

double print_joule_per(const struct wire_val *figure, double n)
{
    int64_t uj = wire_int(figure, "energy_uj", PRINT_NONE);
    if (uj == PRINT_NONE || !(n > 0))
        return NAN;
    return (double)uj / 1e6 / n;
}

/* What open_memstream built; FILE errors here can only be lack of memory. */
static void finish(FILE *f)
{
    if (fclose(f) != 0)
        abort();
}

static FILE *start(char **text, size_t *bytes)
{
    FILE *f = open_memstream(text, bytes);
    if (!f)
        abort();
    return f;
}

char *print_energy(const struct wire_val *figure)
{
    int64_t uj = wire_int(figure, "energy_uj", PRINT_NONE);
    if (uj == PRINT_NONE)
        return base_strdup("-");
    if (has_flag(figure, "below_resolution"))
        return base_strdup("below resolution");
    char *text = NULL;
    size_t bytes;
    FILE *f = start(&text, &bytes);
    struct scale s = scale_of(figure);
    bool estimate = print_is_estimate(figure);
    if (estimate)
        (void)fputc('~', f);
    put_energy(f, &s, uj, ROUND_NEAR);
    (void)fprintf(f, " %s%s", s.unit, estimate ? " estimated" : "");
    finish(f);
    return text;
}

static void put_bounds(FILE *f, const struct scale *s, int64_t lo, int64_t hi)
{
    put_energy(f, s, lo, ROUND_DOWN);
    (void)fputs("..", f);
    put_energy(f, s, hi, ROUND_UP);
}

char *print_bounds(const struct wire_val *figure)
{
    int64_t lo;
    int64_t hi;
    if (!bounds_of(figure, &lo, &hi))
        return base_strdup("-");
    char *text = NULL;
    size_t bytes;
    FILE *f = start(&text, &bytes);
    struct scale s = scale_of(figure);
    put_bounds(f, &s, lo, hi);
    (void)fprintf(f, " %s", s.unit);
    finish(f);
    return text;
}

static void put_below_resolution(FILE *f, const struct wire_val *figure)
{
    int64_t hi = wire_int(figure, "hi_uj", PRINT_NONE);
    (void)fputs("energy below the meter's resolution", f);
    if (hi == PRINT_NONE)
        return;
    struct scale s = pick_scale(hi, 0);
    (void)fputs(" (at most ", f);
    put_energy(f, &s, hi, ROUND_UP);
    (void)fprintf(f, " %s)", s.unit);
}

static void put_figure(FILE *f, const struct wire_val *figure)
{
    int64_t uj = wire_int(figure, "energy_uj", PRINT_NONE);
    if (uj == PRINT_NONE) {
        (void)fprintf(f, "energy unknown: %s", wire_str(figure, "reason", "no reason was given"));
        return;
    }
    if (has_flag(figure, "below_resolution")) {
        put_below_resolution(f, figure);
        return;
    }
    char *energy CLEANUP(base_freep) = print_energy(figure);
    (void)fputs(energy, f);
    if (print_is_estimate(figure)) {
        (void)fputs(" (-)", f);
        return;
    }
    int64_t lo;
    int64_t hi;
    struct scale s = scale_of(figure);
    (void)fputs(" (", f);
    if (bounds_of(figure, &lo, &hi))
        put_bounds(f, &s, lo, hi);
    else
        (void)fputc('-', f);
    bool soft = strncmp(wire_str(figure, "bound_basis", ""), "soft", 4) == 0;
    (void)fprintf(f, " %s%s)", soft ? "soft " : "", wire_str(figure, "method", "?"));
}

char *print_figure(const struct wire_val *figure)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = start(&text, &bytes);
    put_figure(f, figure);
    finish(f);
    return text;
}

/* ---- runs -------------------------------------------------------------------------------------- */

static bool is_total(const struct wire_val *figure, const char *part)
{
    return wire_type(wire_get(figure, "channel")) == WIRE_NIL &&
           strcmp(wire_str(figure, "figure", "machine"), "machine") == 0 &&
           strcmp(wire_str(figure, "part", "window"), part) == 0;
}

const struct wire_val *print_total(const struct wire_val *run, const char *part)
{
    const struct wire_val *energy = wire_get(run, "energy");
    if (wire_type(energy) == WIRE_MAP)
        return strcmp(part, "window") == 0 ? energy : NULL;
    for (size_t i = 0; i < wire_len(energy); i++)
        if (is_total(wire_at(energy, i), part))
            return wire_at(energy, i);
    return NULL;
}

const char *print_ending(char *buf, size_t cap, const struct wire_val *run)
{
    int64_t sig = wire_int(run, "term_signal", 0);
    int64_t code = wire_int(run, "exit_code", 0);
    const char *state = wire_str(run, "state", "");
    const char *name = sig > 0 && sig < 65 ? sigabbrev_np((int)sig) : NULL;
    buf[0] = '\0';
    if (strcmp(state, "done") == 0)
        return buf;
    if (name && strcmp(state, "failed") == 0)
        (void)snprintf(buf, cap, "killed by SIG%s", name);
    else if (code != 0 && strcmp(state, "failed") == 0)
        (void)snprintf(buf, cap, "exit %lld", (long long)code);
    else
        base_strcpy(buf, cap, wire_str(run, "reason", ""));
    return buf;
}

static const char *part_name(const char *scope)
{
    static const char *const names[][2] = {
        {"gpu", "GPU"},       {"package", "CPU"}, {"cpu", "CPU"},
        {"dram", "DRAM"},     {"node", "node"},   {"psys", "platform"},
        {"module", "module"}, {"core", "cores"},  {"uncore", "uncore"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(scope, names[i][0]) == 0)
            return names[i][1];
    return "other";
}

/* "  GPU 24.0 CPU 7.2" in the total's unit, one entry per kind of part; nothing for a single kind. */
static void put_parts(FILE *f, const struct wire_val *parts, const struct scale *s, bool estimate)
{
    struct {
        const char *name;
        int64_t uj;
        bool unknown;
    } sum[10];
    size_t n = 0;
    for (size_t i = 0; i < wire_len(parts); i++) {
        const struct wire_val *part = wire_at(parts, i);
        const char *name = part_name(wire_str(part, "scope", ""));
        int64_t uj = wire_int(part, "energy_uj", PRINT_NONE);
        size_t k = 0;
        while (k < n && strcmp(sum[k].name, name) != 0)
            k++;
        if (k == n) {
            if (n == ARRAY_LEN(sum))
                return;
            sum[n].name = name;
            sum[n].uj = 0;
            sum[n++].unknown = false;
        }
        if (uj == PRINT_NONE)
            sum[k].unknown = true;
        else
            sum[k].uj += uj;
    }
    for (size_t k = 0; n > 1 && k < n; k++) {
        (void)fprintf(f, "%s%s%s ", k == 0 ? "  " : " ", estimate ? "~" : "", sum[k].name);
        if (sum[k].unknown)
            (void)fputc('-', f);
        else
            put_energy(f, s, sum[k].uj, ROUND_NEAR);
    }
}

/* What the reader must know about the figure, in one bracket. */
static void put_flags(FILE *f, const struct wire_val *figure)
{
    static const char *const told[] = {"bridged",    "unknown", "reset",   "suspend",
                                       "clock_step", "stalled", "overlap", "provisional"};
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        if (!has_flag(figure, told[i]))
            continue;
        (void)fprintf(f, "%s%s", any ? " " : "  [", told[i]);
        any = true;
    }
    if (any)
        (void)fputc(']', f);
}

#define KWH_UJ    INT64_C(3600000000000)
#define KWH_SHOWN (KWH_UJ / 10000) /* less than 0.0001 kWh is not worth a column */

static void put_cost(FILE *f, const struct wire_val *run)
{
    const struct wire_val *figure = print_total(run, "window");
    if (!figure) {
        (void)fputs("energy unknown: no figure is stored yet", f);
        return;
    }
    put_figure(f, figure);
    int64_t uj = wire_int(figure, "energy_uj", PRINT_NONE);
    if (uj == PRINT_NONE || has_flag(figure, "below_resolution"))
        return;
    bool estimate = print_is_estimate(figure);
    struct scale s = scale_of(figure);
    if (s.decimals > 2)
        s.decimals = 2;
    put_parts(f, wire_get(run, "energy_parts"), &s, estimate);
    if (uj >= KWH_SHOWN)
        (void)fprintf(f, "  %s%.2g kWh", estimate ? "~" : "", (double)uj / (double)KWH_UJ);
    put_flags(f, figure);
}

char *print_cost_line(const struct wire_val *run)
{
    char *text = NULL;
    size_t bytes;
    char time[40];
    char end[200];
    FILE *f = start(&text, &bytes);
    int64_t elapsed = wire_int(run, "elapsed_ns", PRINT_NONE);
    long long id = (long long)wire_int(run, "run", 0);
    (void)fprintf(f, "%s", wire_str(run, "state", "?"));
    if (id > 0) /* a run without a daemon has none */
        (void)fprintf(f, " %lld", id);
    (void)fputs("  ", f);
    print_ending(end, sizeof end, run);
    if (elapsed == PRINT_NONE) {
        (void)fprintf(f, "never started%s%s", end[0] ? ": " : "", end);
    } else {
        (void)fprintf(f, "%s  ", print_duration(time, sizeof time, elapsed));
        if (end[0])
            (void)fprintf(f, "%s  ", end);
        put_cost(f, run);
        if (wire_get(run, "alone"))
            (void)fputs(wire_bool(run, "alone", false) ? "  alone" : "  shared", f);
    }
    finish(f);
    return text;
}

static void put_word(FILE *f, const char *word)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "@%+=:,./_-{}~^";
    bool plain = *word && strspn(word, safe) == strlen(word);
    if (!plain)
        (void)fputc('\'', f);
    for (const char *p = word; *p; p++) {
        if (*p == '\'')
            (void)fputs("'\\''", f);
        else
            (void)fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, f);
    }
    if (!plain)
        (void)fputc('\'', f);
}

char *print_command(const struct wire_val *run)
{
    const struct wire_val *argv = wire_get(run, "argv");
    if (wire_type(argv) != WIRE_ARRAY)
        return base_strdup(wire_str(run, "command", ""));
    char *text = NULL;
    size_t bytes;
    FILE *f = start(&text, &bytes);
    for (size_t i = 0; i < wire_len(argv); i++) {
        if (i > 0)
            (void)fputc(' ', f);
        put_word(f, wire_as_str(wire_at(argv, i), "?"));
    }
    finish(f);
    return text;
}

char *print_power_line(const struct wire_val *power)
{
    char buf[40];
    int64_t uw = wire_int(power, "power_uw", PRINT_NONE);
    if (uw == PRINT_NONE)
        return base_printf("power unknown: %s",
                           wire_str(power, "reason", "no meter answers; see wattq meters"));
    bool estimate = strcmp(wire_str(power, "quality", ""), "estimated") == 0;
    return base_printf("now %s%s%s (%s%s%s)", estimate ? "~" : "", print_power(buf, sizeof buf, uw),
                       estimate ? " estimated" : "", wire_str(power, "channel", "machine"),
                       estimate ? "" : ", ", estimate ? "" : wire_str(power, "quality", "?"));
}

/* ---- tables ------------------------------------------------------------------------------------ */

void table_init(struct table *t, const char *const *heads, size_t columns)
{
    *t = (struct table){.heads = heads, .columns = columns};
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}

void table_take(struct table *t, char *text)
{
    if (t->n % 64 == 0) {
        char **p = realloc(t->cells, (t->n + 64) * sizeof *p);
        if (!p)
            abort();
        t->cells = p;
    }
    t->cells[t->n++] = text ? text : base_strdup("-");
}

void table_put(struct table *t, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    table_take(t, text);
}

static const char *head_text(const char *head)
{
    return head + (head[0] == '>');
}

/* Width of each column; 0 = all its cells are empty or "-" and it is left out. */
static void measure(const struct table *t, size_t *width)
{
    for (size_t c = 0; c < t->columns; c++) {
        bool used = t->n == 0;
        width[c] = print_width(head_text(t->heads[c]));
        for (size_t i = c; i < t->n; i += t->columns) {
            size_t w = print_width(t->cells[i]);
            used = used || (w > 0 && strcmp(t->cells[i], "-") != 0);
            width[c] = w > width[c] ? w : width[c];
        }
        if (!used)
            width[c] = 0;
    }
}

/* At most `room` characters of a cell. */
static void put_cut(FILE *f, const char *s, size_t room)
{
    if (print_width(s) <= room) {
        (void)fputs(s, f);
        return;
    }
    size_t n = 0;
    for (; *s && n + 1 < room + (((unsigned char)*s & 0xc0) == 0x80); s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
        (void)fputc(*s, f);
    }
    (void)fputc('+', f);
}

static void put_row(const struct table *t, const struct print *p, const size_t *width,
                    char *const *cells)
{
    size_t last = t->columns;
    for (size_t c = 0; c < t->columns; c++)
        if (width[c] > 0)
            last = c;
    size_t at = 0;
    for (size_t c = 0; c < t->columns && last < t->columns; c++) {
        if (width[c] == 0)
            continue;
        const char *cell = cells ? cells[c] : head_text(t->heads[c]);
        size_t pad = width[c] - print_width(cell);
        bool right = t->heads[c][0] == '>';
        size_t room = p->columns > 0 && c == last ? (size_t)p->columns : SIZE_MAX;
        room = room == SIZE_MAX ? room : (room > at + 8 ? room - at : 8);
        (void)fprintf(p->out, "%*s", right ? (int)pad : 0, "");
        put_cut(p->out, cell, room);
        if (c != last)
            (void)fprintf(p->out, "%*s  ", right ? 0 : (int)pad, "");
        at += width[c] + 2;
    }
    (void)fputc('\n', p->out);
}

void table_print(const struct table *t, const struct print *p)
{
    size_t width[32];
    if (t->columns > ARRAY_LEN(width))
        return;
    measure(t, width);
    (void)fputs(print_tone_on(p, TONE_DIM), p->out);
    put_row(t, p, width, NULL);
    (void)fputs(print_tone_off(p, TONE_DIM), p->out);
    for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
        put_row(t, p, width, t->cells + i);
}
