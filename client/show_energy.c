#include "client/show_energy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "client/table.h"
#include "common/units.h"

static const struct wire_val *find(const struct wire_val *run, const char *figure)
{
    const struct wire_val *list = wire_get(run, "energy");
    for (size_t i = 0; i < wire_len(list); i++) {
        const struct wire_val *f = wire_at(list, i);
        if (wire_type(wire_get(f, "channel")) == WIRE_NIL &&
            strcmp(wire_str(f, "part", ""), "window") == 0 &&
            strcmp(wire_str(f, "figure", ""), figure) == 0)
            return f;
    }
    return NULL;
}

static const struct wire_val *meter_of(const struct wire_val *run, int64_t channel)
{
    const struct wire_val *list = wire_get(run, "meters");
    for (size_t i = 0; i < wire_len(list); i++)
        if (wire_int(wire_at(list, i), "channel", -1) == channel)
            return wire_at(list, i);
    return NULL;
}

static void say(const struct app *app, const char *key, const char *text)
{
    if (*text)
        (void)fprintf(app->print.out, "  %-12s %s\n", key, text);
}

/* ---- the total ----------------------------------------------------------------------------------- */

static void say_total(const struct app *app, const struct wire_val *f)
{
    char *energy CLEANUP(base_freep) = print_energy(f);
    char *bounds CLEANUP(base_freep) = print_bounds(f);
    const char *basis = wire_str(f, "bound_basis", "");
    bool bounded = wire_int(f, "lo_uj", PRINT_NONE) != PRINT_NONE;
    char *text CLEANUP(base_freep) = NULL;
    if (wire_int(f, "energy_uj", PRINT_NONE) == PRINT_NONE)
        text = base_printf("not known: %s", wire_str(f, "reason", "no reason was given"));
    else if (!bounded)
        text = base_printf("%s; no bounds: %s", energy,
                           strncmp(basis, "none: ", 6) == 0 ? basis + 6 : basis);
    else
        text = base_printf("%s; %s between %s (%s)", energy,
                           strncmp(basis, "soft", 4) == 0 ? "as far as the update period is known,"
                                                          : "the counters were surely",
                           bounds, basis);
    say(app, "energy", text);
}

/* Energy over observed time, nothing else. */
static void say_power(const struct app *app, const struct wire_val *f)
{
    char buf[40];
    int64_t uj = wire_int(f, "energy_uj", PRINT_NONE);
    int64_t seen = wire_int(f, "covered_ns", 0);
    int64_t unknown = wire_int(f, "unknown_ns", 0);
    if (uj == PRINT_NONE || seen <= 0)
        return;
    char *text CLEANUP(base_freep) =
        base_printf("%s%.4g W%s over the %s that were observed, %.4g %% of the window",
                    print_is_estimate(f) ? "~" : "", (double)uj * 1e3 / (double)seen,
                    print_is_estimate(f) ? " estimated" : "", print_duration(buf, sizeof buf, seen),
                    100.0 * (double)seen / (double)(seen + unknown));
    say(app, "mean power", text);
}

/* What the figure may be off beside another run on the same meters, as a part of it; NAN = not stated. */
static double own_error(const struct wire_val *f)
{
    double uj = (double)wire_int(f, "energy_uj", 0);
    int64_t lo = wire_int(f, "lo_uj", PRINT_NONE);
    int64_t hi = wire_int(f, "hi_uj", PRINT_NONE);
    int64_t sampling = wire_int(f, "sampling_uj", PRINT_NONE);
    if (!(uj > 0))
        return NAN;
    if (lo != PRINT_NONE && hi != PRINT_NONE)
        return fmax((double)hi - uj, uj - (double)lo) / uj;
    int64_t random = wire_int(f, "random_uj", PRINT_NONE);
    if (sampling == PRINT_NONE && random == PRINT_NONE)
        return NAN;
    return ((sampling == PRINT_NONE ? 0 : (double)sampling) +
            (random == PRINT_NONE ? 0 : 2.0 * (double)random)) /
           uj;
}

static void say_errors(const struct app *app, const struct wire_val *f)
{
    int64_t ppm = wire_int(f, "gain_ppm", PRINT_NONE);
    double own = own_error(f);
    char *text CLEANUP(base_freep) = NULL;
    if (wire_int(f, "energy_uj", PRINT_NONE) == PRINT_NONE || print_is_estimate(f))
        return;
    if (ppm == PRINT_NONE || isnan(own))
        text =
            base_printf("%s", ppm == PRINT_NONE
                                  ? "not known: the makers state no accuracy for every meter in it"
                                  : "not known: what was missed between readings is not stated");
    else
        text = base_printf("+-%.2g %% (+-%.2g %% stated by the makers)",
                           (double)ppm / 1e4 + 100 * own, (double)ppm / 1e4);
    say(app, "absolute", text);
    free(text);
    text = isnan(own) ? base_strdup("not known")
                      : base_printf("+-%.2g %% beside another run on these meters", 100 * own);
    say(app, "comparable", text);
}

/* ---- the three figures --------------------------------------------------------------------------- */

static void show_three(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"FIGURE", ">ENERGY", ">BOUNDS", ">IDLE TAKEN OFF", "MEANS"};
    static const struct {
        const char *name, *means;
    } figures[] = {
        {"machine", "all that the meters saw while it ran"},
        {"attributed", "this run's share of that"},
        {"marginal", "its share beyond an idle machine"},
    };
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        const struct wire_val *f = find(run, figures[i].name);
        if (!f)
            continue;
        char buf[40];
        int64_t idle = wire_int(f, "idle_uj", PRINT_NONE);
        const char *reason = wire_str(f, "reason", "");
        table_put(&t, "%s", figures[i].name);
        table_take(&t, print_energy(f));
        table_take(&t, print_bounds(f));
        table_put(&t, "%s",
                  idle == PRINT_NONE ? "-" : print_joules(buf, sizeof buf, (double)idle / 1e6));
        table_put(&t, "%s%s%s", figures[i].means, *reason ? "; not known: " : "", reason);
    }
    (void)fputs("\nFigures\n", app->print.out);
    table_print(&t, &app->print);
    table_fini(&t);
}

/* ---- channels ------------------------------------------------------------------------------------ */

static void put_channel(struct table *t, const struct wire_val *run, const struct wire_val *f)
{
    char buf[40];
    const struct wire_val *m = meter_of(run, wire_int(f, "channel", -1));
    int64_t samples = wire_int(f, "samples", PRINT_NONE);
    int64_t seen = wire_int(f, "covered_ns", 0);
    int64_t all = seen + wire_int(f, "unknown_ns", 0);
    table_put(t, "%s%s", wire_str(f, "label", "?"),
              wire_bool(f, "in_total", false) ? "" : " (not in total)");
    table_take(t, print_energy(f));
    table_take(t, print_bounds(f));
    table_put(t, "%.4g %%", all > 0 ? 100.0 * (double)seen / (double)all : 0.0);
    if (samples == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "%lld", (long long)samples);
    table_put(t, "%s", print_duration(buf, sizeof buf, wire_int(f, "max_gap_ns", PRINT_NONE)));
    table_put(t, "%s", wire_str(f, "method", "-"));
    table_put(t, "%s%s%s%s%s", wire_str(m, "uid", "-"), *wire_str(m, "driver", "") ? ", " : "",
              wire_str(m, "driver", ""), *wire_str(m, "firmware", "") ? ", " : "",
              wire_str(m, "firmware", ""));
}

static void show_channels(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"METER",    ">ENERGY",      ">BOUNDS", ">COVERED",
                                        ">SAMPLES", ">LONGEST GAP", "METHOD",  "IDENTITY"};
    const struct wire_val *list = wire_get(run, "energy");
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(list); i++) {
        const struct wire_val *f = wire_at(list, i);
        if (wire_type(wire_get(f, "channel")) != WIRE_NIL &&
            strcmp(wire_str(f, "part", ""), "window") == 0 &&
            strcmp(wire_str(f, "figure", ""), "machine") == 0)
            put_channel(&t, run, f);
    }
    if (t.n > 0) {
        (void)fputs("\nMeters\n", app->print.out);
        table_print(&t, &app->print);
    }
    table_fini(&t);
}

/* ---- flags and rules ----------------------------------------------------------------------------- */

static void show_flags(const struct app *app, const struct wire_val *f)
{
    static const struct {
        const char *word, *clause;
    } known[] = {
        {"bridged",
         "the daemon was away for a while; the counters went on, only the shape is unknown"},
        {"unknown", "for a part of the time there is no reading; its energy is not in the figure"},
        {"reset", "a register began again inside the window"},
        {"suspend", "the machine slept inside the window"},
        {"clock_step", "the civil clock was set; times are by the boot clock, so no joule changed"},
        {"stalled", "the sampler did not get to run for a while"},
        {"overlap", "other runs went on beside it"},
        {"below_resolution", "too short or too small for these meters: a bound, not a number"},
        {"estimate", "guessed from CPU time, not measured"},
        {"provisional", "the register had not moved on at an edge; it may still change"},
        {"coarse", "the bounds are further apart than a tenth of the figure"},
        {"part_time",
         "the sensor looks at a part of the time only; a load in step with it misleads"},
        {"disturbed", "others used the machine beside it"},
    };
    const char *flags = wire_str(f, "flags", "");
    bool any = false;
    for (const char *p = flags; *p;) {
        size_t n = strcspn(p, " ");
        const char *clause = "";
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (strlen(known[i].word) == n && strncmp(known[i].word, p, n) == 0)
                clause = known[i].clause;
        (void)fprintf(app->print.out, "%s  %.*s%s%s\n", any ? "" : "\nFlags\n", (int)n, p,
                      *clause ? ": " : "", clause);
        any = true;
        p += n + (p[n] == ' ');
    }
}

static const char *met(const struct wire_val *c, const char *key)
{
    if (wire_type(wire_get(c, key)) == WIRE_NIL)
        return "not known";
    return wire_bool(c, key, false) ? "met" : "not met";
}

static void show_rules(const struct app *app, const struct wire_val *c)
{
    if (wire_type(c) != WIRE_MAP)
        return;
    int64_t class = wire_int(c, "accuracy_class", PRINT_NONE);
    char *accuracy CLEANUP(base_freep) =
        class == PRINT_NONE ? base_strdup("none") : base_printf("%lld %%", (long long)class);
    (void)fprintf(
        app->print.out,
        "\nRules for published figures (a check of this record, no certificate)\n"
        "  same run %s; whole run covered %s; readings at 1 Hz or faster %s; idle measured %s;"
        " stated accuracy class %s\n",
        met(c, "same_run"), met(c, "whole_run"), met(c, "rate_1hz"), met(c, "idle_phase"),
        accuracy);
}

static void say_uncovered(const struct app *app, const struct wire_val *run)
{
    char energy[40];
    char power[40];
    int64_t uj = wire_int(run, "uncovered_uj", PRINT_NONE);
    int64_t ns = wire_int(run, "t1_ns", 0) - wire_int(run, "t0_ns", 0);
    if (uj == PRINT_NONE || ns <= 0)
        return;
    char *text CLEANUP(base_freep) =
        base_printf("%s (%s): what the outer meter saw beyond %s",
                    print_joules(energy, sizeof energy, (double)uj * 1e-6),
                    print_power_w(power, sizeof power, (double)uj * 1e3 / (double)ns),
                    wire_str(run, "uncovered_beyond", "?"));
    say(app, "uncovered", text);
}

void show_energy(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *f = find(run, "machine");
    long long id = (long long)wire_int(run, "run", 0);
    (void)fprintf(app->print.out, "run %lld\n", id);
    if (!f) {
        say(app, "energy", "no figure: the run has not ended, or never started");
        return;
    }
    say_total(app, f);
    say(app, "meter", wire_str(run, "meter", ""));
    say(app, "covers", wire_str(run, "covers", ""));
    say_uncovered(app, run);
    say_power(app, f);
    say_errors(app, f);
    show_three(app, run);
    show_channels(app, run);
    show_flags(app, f);
    show_rules(app, wire_get(run, "conformance"));
    (void)fprintf(app->print.out,
                  "\nall of it: wattq show %lld --json; how it is computed: docs/measurement.md\n",
                  id);
}
