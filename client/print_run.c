/* Figures and runs in words (print.h). */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "common/carried.h"
#include "common/units.h"

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
    else if (strcmp(state, wire_str(run, "reason", "")) != 0)
        base_strcpy(buf, cap, wire_str(run, "reason", ""));
    return buf;
}

/* Kinds of parts in the order they are shown; several scopes may be one kind. */
static const char *const part_kinds[] = {"GPU",    "CPU",   "DRAM",   "node", "platform",
                                         "module", "cores", "uncore", "other"};
#define PART_KINDS ARRAY_LEN(part_kinds)

static size_t part_kind(const char *scope)
{
    static const char *const scopes[][2] = {
        {"gpu", "GPU"},       {"package", "CPU"}, {"cpu", "CPU"},
        {"dram", "DRAM"},     {"node", "node"},   {"psys", "platform"},
        {"module", "module"}, {"core", "cores"},  {"uncore", "uncore"}};
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
        for (size_t k = 0; strcmp(scope, scopes[i][0]) == 0 && k < PART_KINDS; k++)
            if (strcmp(part_kinds[k], scopes[i][1]) == 0)
                return k;
    return PART_KINDS - 1;
}

/* "  GPU 24.0 CPU 7.2" in the total's unit, one entry per kind of part; nothing for a single kind. */
static void put_parts(FILE *f, const struct wire_val *parts, const struct scale *s, bool estimate)
{
    struct {
        size_t parts;
        int64_t uj;
        bool unknown;
    } sum[PART_KINDS] = {{0}};
    size_t kinds = 0;
    for (size_t i = 0; i < wire_len(parts); i++) {
        const struct wire_val *part = wire_at(parts, i);
        size_t k = part_kind(wire_str(part, "scope", ""));
        int64_t uj = wire_int(part, "energy_uj", PRINT_NONE);
        kinds += sum[k].parts++ == 0;
        sum[k].unknown = sum[k].unknown || uj == PRINT_NONE;
        sum[k].uj += uj == PRINT_NONE ? 0 : uj;
    }
    const char *gap = "  ";
    for (size_t k = 0; kinds > 1 && k < PART_KINDS; k++) {
        if (sum[k].parts == 0)
            continue;
        (void)fprintf(f, "%s%s%s ", gap, estimate ? "~" : "", part_kinds[k]);
        if (sum[k].unknown)
            (void)fputc('-', f);
        else
            put_energy(f, s, sum[k].uj, ROUND_NEAR);
        gap = " ";
    }
}

/* What the reader must know about the figure, in one bracket. */
static void put_flags(FILE *f, const struct wire_val *figure)
{
    static const char *const told[] = {"bridged", "unknown", "reset",       "suspend", "clock_step",
                                       "stalled", "overlap", "provisional", "thinned"};
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
    size_t n = wire_len(argv);
    const char **words CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *words);
    for (size_t i = 0; i < n; i++)
        words[i] = wire_as_str(wire_at(argv, i), "?");
    struct carried c = {0};
    if (carried_find(words, n, &c))
        put_word(f, c.name); /* as it was asked for; its text is in --json */
    for (size_t i = c.args; i < n; i++) {
        if (i > 0)
            (void)fputc(' ', f);
        put_word(f, words[i]);
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
