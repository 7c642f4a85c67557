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
        text = base_printf("%s; %s %s (%s)", energy,
                           strncmp(basis, "soft", 4) == 0
                               ? "as far as the meters' timing is known between"
                               : "by the counters' own readings surely between",
                           bounds, basis);
    say(app, "energy", text);
}

/* Its bounds are the answer; nothing is derived from the number. */
static bool too_small(const struct wire_val *f)
{
    return strstr(wire_str(f, "flags", ""), "below_resolution") != NULL;
}

/* Energy over observed time, nothing else. */
static void say_power(const struct app *app, const struct wire_val *f)
{
    char buf[40];
    int64_t uj = wire_int(f, "energy_uj", PRINT_NONE);
    int64_t seen = wire_int(f, "covered_ns", 0);
    int64_t unknown = wire_int(f, "unknown_ns", 0);
    if (uj == PRINT_NONE || seen <= 0 || too_small(f))
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
    const char *of = wire_int(f, "unknown_ns", 0) > 0 ? " of what was observed" : "";
    char *text CLEANUP(base_freep) = NULL;
    if (wire_int(f, "energy_uj", PRINT_NONE) == PRINT_NONE || print_is_estimate(f) || too_small(f))
        return;
    if (ppm == PRINT_NONE || isnan(own))
        text =
            base_printf("%s", ppm == PRINT_NONE
                                  ? "not known: the makers state no accuracy for every meter in it"
                                  : "not known: what was missed between readings is not stated");
    else
        text = base_printf("+-%.2g %%%s (+-%.2g %% stated by the makers)",
                           (double)ppm / 1e4 + 100 * own, of, (double)ppm / 1e4);
    say(app, "absolute", text);
    free(text);
    text = isnan(own)
               ? base_strdup("not known")
               : base_printf("+-%.2g %%%s beside another run on these meters", 100 * own, of);
    say(app, "comparable", text);
}

/* ---- the three figures --------------------------------------------------------------------------- */

/* By what rule a share was made, and how far it depends on the rule. */
static char *policy_of(const struct wire_val *f)
{
    char lo[40];
    char hi[40];
    const char *policy = wire_str(f, "policy", "");
    int64_t lo_uj = wire_int(f, "range_lo_uj", PRINT_NONE);
    int64_t hi_uj = wire_int(f, "range_hi_uj", PRINT_NONE);
    if (!*policy)
        return base_strdup("");
    if (lo_uj == PRINT_NONE || hi_uj == PRINT_NONE)
        return base_printf("; apportioned, idle by policy %s", policy);
    return base_printf("; apportioned, idle by policy %s (%s to %s over all policies)", policy,
                       print_joules(lo, sizeof lo, (double)lo_uj / 1e6),
                       print_joules(hi, sizeof hi, (double)hi_uj / 1e6));
}

static void show_three(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"FIGURE", ">!ENERGY", ">!BOUNDS", ">IDLE TAKEN OFF",
                                        "MEANS"};
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
        char *policy CLEANUP(base_freep) = policy_of(f);
        table_put(&t, "%s%s%s%s", figures[i].means, policy, *reason ? "; not known: " : "", reason);
    }
    (void)fputs("\nFigures\n", app->print.out);
    table_print(&t, &app->print);
    table_fini(&t);
}

/* ---- channels ------------------------------------------------------------------------------------ */

static char *covered(const struct wire_val *f)
{
    int64_t seen = wire_int(f, "covered_ns", 0);
    int64_t all = seen + wire_int(f, "unknown_ns", 0);
    return base_printf("%.4g %%", all > 0 ? 100.0 * (double)seen / (double)all : 0.0);
}

/* How it was had; a lagging power meter's curve is read later by its lag. */
static void put_method(struct table *t, const struct wire_val *f)
{
    char buf[40];
    int64_t lag = wire_int(f, "lag_ns", 0);
    const char *method = wire_str(f, "method", "-");
    if (lag > 0)
        table_put(t, "%s, read %s later (lag %s)", method, print_duration(buf, sizeof buf, lag),
                  wire_str(f, "lag_basis", "?"));
    else
        table_put(t, "%s", method);
}

static void put_channel(struct table *t, const struct wire_val *run, const struct wire_val *f)
{
    char buf[40];
    const struct wire_val *m = meter_of(run, wire_int(f, "channel", -1));
    int64_t samples = wire_int(f, "samples", PRINT_NONE);
    table_put(t, "%s%s", wire_str(f, "label", "?"),
              wire_bool(f, "in_total", false) ? "" : " (not in total)");
    table_take(t, print_energy(f));
    table_take(t, print_bounds(f));
    table_take(t, covered(f));
    if (samples == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "%lld", (long long)samples);
    table_put(t, "%s", print_duration(buf, sizeof buf, wire_int(f, "max_gap_ns", PRINT_NONE)));
    put_method(t, f);
    table_put(t, "%s%s%s%s%s", wire_str(m, "uid", "-"), *wire_str(m, "driver", "") ? ", " : "",
              wire_str(m, "driver", ""), *wire_str(m, "firmware", "") ? ", " : "",
              wire_str(m, "firmware", ""));
}

static void show_channels(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"METER",    ">ENERGY",      ">!BOUNDS", ">COVERED",
                                        ">SAMPLES", ">LONGEST GAP", "METHOD",   "IDENTITY"};
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
        {"thinned",
         "its samples are gone; at an edge the nearest tick that was kept stands for them"},
        {"coarse", "the bounds are further apart than a tenth of the figure"},
        {"part_time",
         "the sensor looks at a part of the time only; a load in step with it misleads"},
        {"disturbed", "others used the machine beside it"},
        {"wrap", "a register passed its range and was followed; no joule is lost by it"},
        {"throttled", "a CPU or GPU was held back by heat or its supply for more than 1 % of it"},
        {"power_capped", "a CPU or GPU was held to a power limit"},
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

static void say_rule(const struct app *app, const char *verdict, const char *rule,
                     const char *advice)
{
    bool helped = strcmp(verdict, "met") == 0;
    (void)fprintf(app->print.out, "  %-10s %s%s%s\n", verdict, rule, helped ? "" : ": ",
                  helped ? "" : advice);
}

static void show_rules(const struct app *app, const struct wire_val *c, bool estimate)
{
    int64_t class = wire_int(c, "accuracy_class", PRINT_NONE);
    char *accuracy CLEANUP(base_freep) =
        class == PRINT_NONE ? base_strdup("stated accuracy of 5 % or better")
                            : base_printf("stated accuracy of %lld %% or better", (long long)class);
    if (wire_type(c) == WIRE_MAP || estimate)
        (void)fputs("\nCommon rules for published figures (this record checked; no certificate)\n",
                    app->print.out);
    if (estimate)
        (void)fputs("  an estimate meets none of them: they are about measurements\n",
                    app->print.out);
    if (wire_type(c) != WIRE_MAP)
        return;
    say_rule(app, met(c, "same_run"), "energy and results are of the same run", "");
    say_rule(app, met(c, "whole_run"), "the whole run was covered",
             "for a part of it a meter gave no reading");
    say_rule(app, met(c, "rate_1hz"), "a reading at least every second",
             "LONGEST GAP above; a faster meter helps");
    say_rule(app, met(c, "idle_phase"), "idle power was measured",
             "wattq idle measure, or submit with --idle-bracket 30s");
    say_rule(app, class == PRINT_NONE ? "not met" : "met", accuracy,
             "the maker of some meter states none, or a worse one");
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

/* ---- what the figures rest on --------------------------------------------------------------------- */

static void show_idle(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"METER",   ">IDLE POWER", ">SPREAD",
                                        ">PIECES", "BASIS",       "TAKEN (UTC)"};
    const struct wire_val *list = wire_get(run, "baselines");
    struct table t;
    if (wire_len(list) == 0)
        return;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(list); i++) {
        const struct wire_val *b = wire_at(list, i);
        char buf[40];
        int64_t utc = wire_int(b, "created_utc_ns", PRINT_NONE);
        table_put(&t, "%s", wire_str(b, "label", "?"));
        table_put(&t, "%s", print_power(buf, sizeof buf, wire_int(b, "power_uw", PRINT_NONE)));
        table_put(&t, "%s", print_power(buf, sizeof buf, wire_int(b, "spread_uw", PRINT_NONE)));
        table_put(&t, "%s", print_count(buf, sizeof buf, wire_int(b, "n", PRINT_NONE)));
        table_put(&t, "%s", wire_str(b, "basis", "?"));
        table_put(&t, "%s", utc == PRINT_NONE ? "-" : units_show_utc(buf, sizeof buf, utc));
    }
    (void)fputs("\nIdle power that was taken off (median; spread: interquartile range)\n",
                app->print.out);
    table_print(&t, &app->print);
    table_fini(&t);
}

static void show_better(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *list = wire_get(run, "calibrated");
    if (wire_len(list) == 0)
        return;
    (void)fputs("\nWhat a better meter would have shown (it changes no figure above)\n",
                app->print.out);
    show_calibrated(app, list);
}

/* Who computed it, when, and by which version of the arithmetic. */
static void say_making(const struct app *app, const struct wire_val *f)
{
    char when[40];
    int64_t utc = wire_int(f, "computed_utc_ns", PRINT_NONE);
    int64_t algo = wire_int(f, "algo", 0);
    const char *version = wire_str(f, "version", "");
    char *text CLEANUP(base_freep) = base_printf(
        "%s%s, %s%s", *version ? "by wattq " : "by a program that did not say its version", version,
        utc == PRINT_NONE ? "at a time not known" : "on ",
        utc == PRINT_NONE ? "" : units_show_utc(when, sizeof when, utc));
    if (algo > 0)
        (void)fprintf(app->print.out, "  %-12s %s, arithmetic %lld\n", "computed", text,
                      (long long)algo);
    else
        say(app, "computed", text);
}

static void say_origin(const struct app *app, const struct wire_val *run)
{
    if (wire_int(run, "origin", PRINT_NONE) == PRINT_NONE)
        return;
    char *text CLEANUP(base_freep) =
        base_printf("elsewhere, on %s; this is what its file says", wire_str(run, "machine", "?"));
    say(app, "measured", text);
}

/* ---- while it runs -------------------------------------------------------------------------------- */

static void show_so_far(const struct app *app, const struct wire_val *run,
                        const struct wire_val *reply)
{
    const struct wire_val *figures = wire_get(reply, "figures");
    const struct wire_val *total = wire_at(figures, 0);
    struct table t;
    static const char *const heads[] = {"METER", ">ENERGY", ">!BOUNDS", ">COVERED", "METHOD"};
    say(app, "state", wire_str(run, "state", "?"));
    say(app, "so far", "what follows is provisional; the figure is made when the run has ended");
    say_total(app, total);
    say(app, "meter", wire_str(reply, "meter", ""));
    say(app, "covers", wire_str(reply, "covers", ""));
    say_power(app, total);
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 1; i < wire_len(figures); i++) {
        const struct wire_val *f = wire_at(figures, i);
        table_put(&t, "%s%s", wire_str(f, "label", "?"),
                  wire_bool(f, "in_total", false) ? "" : " (not in total)");
        table_take(&t, print_energy(f));
        table_take(&t, print_bounds(f));
        table_take(&t, covered(f));
        put_method(&t, f);
    }
    (void)fputs("\nMeters\n", app->print.out);
    table_print(&t, &app->print);
    table_fini(&t);
    show_shares(app, wire_get(reply, "shares"));
}

/* A run without a stored figure: what is known so far, or why there is nothing. */
static void show_unmade(const struct app *app, struct conn *c, const struct wire_val *run)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    const char *state = wire_str(run, "state", "");
    bool started = wire_int(run, "t0_ns", 0) > 0;
    if (!started) {
        char *text CLEANUP(base_freep) =
            base_printf("none: the run is %s and never started", state);
        say(app, "energy", text);
        return;
    }
    if (wire_int(run, "t1_ns", PRINT_NONE) != PRINT_NONE || !c) {
        say(app, "energy", "none: no figure was stored with this run");
        return;
    }
    wire_put_int(conn_begin(c, "energy"), "run", wire_int(run, "run", 0));
    if (conn_call(c, &m, NULL) < 0)
        say(app, "energy", "none yet: the figure is made when the run has ended");
    else
        show_so_far(app, run, wire_msg_root(m));
}

void show_energy(const struct app *app, struct conn *c, const struct wire_val *run)
{
    const struct wire_val *f = find(run, "machine");
    long long id = (long long)wire_int(run, "run", 0);
    (void)fprintf(app->print.out, "run %lld\n", id);
    say_origin(app, run);
    if (!f) {
        show_unmade(app, c, run);
        return;
    }
    say_total(app, f);
    say(app, "meter", wire_str(run, "meter", ""));
    say(app, "covers", wire_str(run, "covers", ""));
    say_uncovered(app, run);
    say_power(app, f);
    say_errors(app, f);
    say_making(app, f);
    show_three(app, run);
    show_channels(app, run);
    show_idle(app, run);
    show_better(app, run);
    show_flags(app, f);
    show_rules(app, wire_get(run, "conformance"), print_is_estimate(f));
    (void)fprintf(app->print.out,
                  "\nall of it: wattq show %lld --json; how it is computed: docs/measurement.md\n",
                  id);
}
