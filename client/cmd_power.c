/* energy, power, meters: what was used, what is used now, and by what it is known. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/chart.h"
#include "client/cmd.h"
#include "client/json.h"
#include "client/sel.h"
#include "common/units.h"

#define PIXELS 60 /* characters of a bar of power over time */

/* ---- energy -------------------------------------------------------------------------------------- */

static int put_window(const struct app *app, struct conn *c, struct err *e)
{
    const struct args *a = &app->args;
    int64_t run = 0;
    int64_t since = PRINT_NONE;
    int64_t until = clock_utc_ns();
    int rc = 0;
    if (a->npos == 1)
        rc = sel_one(&run, c, a->pos[0], e);
    if (rc == 0)
        rc = args_time(a, OPT_SINCE, &since, e);
    if (rc == 0)
        rc = args_time(a, OPT_UNTIL, &until, e);
    if (rc < 0)
        return rc;
    if (run == 0 && args_has(a, OPT_POLICY)) {
        err_set(e, WATTQ_E_USAGE, "--policy is about the share of a run");
        return err_next(e, "wattq energy last --policy usage");
    }
    if ((run > 0) == (since != PRINT_NONE)) {
        err_set(e, WATTQ_E_USAGE, "wattq energy needs a run or --since, and not both");
        return err_next(e, "wattq energy last, or wattq energy --since -1h");
    }
    if (run == 0 && until <= since) {
        err_set(e, WATTQ_E_USAGE, "--until lies before --since, so there is nothing between them");
        return err_next(e, "give a later --until");
    }
    struct wire_out *o = conn_begin(c, "energy");
    if (args_has(a, OPT_CALIBRATED))
        wire_put_bool(o, "calibrated", true);
    if (run > 0) {
        wire_put_int(o, "run", run);
        if (args_has(a, OPT_POLICY))
            wire_put_str(o, "policy", args_str(a, OPT_POLICY, ""));
    } else {
        wire_put_int(o, "since_utc_ns", since);
        wire_put_int(o, "until_utc_ns", until);
    }
    return 0;
}

static void show_window(const struct app *app, const struct wire_val *reply)
{
    char from[40];
    char to[40];
    char length[40];
    const struct wire_val *w = wire_get(reply, "window");
    int64_t t0 = wire_int(w, "t0_utc_ns", PRINT_NONE);
    int64_t t1 = wire_int(w, "t1_utc_ns", PRINT_NONE);
    if (t0 != PRINT_NONE && t1 != PRINT_NONE)
        (void)fprintf(app->print.out, "from %s to %s, %s\n", units_show_utc(from, sizeof from, t0),
                      units_show_utc(to, sizeof to, t1),
                      print_duration(length, sizeof length, t1 - t0));
    show_figures(app, wire_get(reply, "figures"));
    show_shares(app, wire_get(reply, "shares"));
    if (*wire_str(reply, "meter", ""))
        (void)fprintf(app->print.out, "meter: %s\n", wire_str(reply, "meter", ""));
    if (*wire_str(reply, "covers", ""))
        (void)fprintf(app->print.out, "covers: %s\n", wire_str(reply, "covers", ""));
    int64_t beyond = wire_int(reply, "uncovered_uj", PRINT_NONE);
    char joules[40];
    if (beyond != PRINT_NONE)
        (void)fprintf(app->print.out, "uncovered: %s, what the outer meter saw beyond %s\n",
                      print_joules(joules, sizeof joules, (double)beyond * 1e-6),
                      wire_str(reply, "uncovered_beyond", "?"));
}

int cmd_energy(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = put_window(app, c, e);
    if (rc == 0)
        rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    if (app->json)
        return cmd_print_json(app, "energy", r, e);
    if (app->quiet) {
        char *text CLEANUP(base_freep) = print_energy(wire_at(wire_get(r, "figures"), 0));
        (void)fprintf(app->print.out, "%s\n", text);
        return 0;
    }
    show_window(app, r);
    if (args_has(&app->args, OPT_CALIBRATED))
        show_calibrated(app, wire_get(r, "calibrated"));
    return 0;
}

/* ---- power --------------------------------------------------------------------------------------- */

static bool wanted(const struct app *app, const struct wire_val *channel)
{
    const char *label = args_str(&app->args, OPT_CHANNEL, NULL);
    if (label)
        return strcmp(label, wire_str(channel, "label", "")) == 0;
    bool power = wire_get(channel, "power_uw") && !*wire_str(channel, "reason", "");
    return args_has(&app->args, OPT_ALL) || power || wire_bool(channel, "in_total", false);
}

/* Value of a channel in words: power, or what a companion says. */
static char *channel_now(const struct wire_val *ch)
{
    char buf[40];
    int64_t uw = wire_int(ch, "power_uw", PRINT_NONE);
    bool estimate = strcmp(wire_str(ch, "quality", ""), "estimated") == 0;
    if (uw != PRINT_NONE)
        return base_printf("%s%s%s", estimate ? "~" : "", print_power(buf, sizeof buf, uw),
                           estimate ? " estimated" : "");
    const struct wire_val *value = wire_get(ch, "value");
    const char *unit = wire_str(ch, "unit", "");
    if (wire_type(value) != WIRE_INT)
        return base_printf("- (%s)", wire_str(ch, "reason", "no value yet"));
    int64_t v = wire_as_int(value, 0);
    if (strcmp(unit, "mC") == 0)
        return base_printf("%.1f C", (double)v / 1e3);
    if (strcmp(unit, "kHz") == 0)
        return base_printf("%.2f GHz", (double)v / 1e6);
    return base_printf("%lld %s", (long long)v, unit);
}

static void put_sample(const struct app *app, const struct wire_val *frame)
{
    char when[40];
    const struct wire_val *channels = wire_get(frame, "channels");
    static const char *const heads[] = {"METER", ">NOW", "QUALITY", "IN TOTAL"};
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(channels); i++) {
        const struct wire_val *ch = wire_at(channels, i);
        if (!wanted(app, ch))
            continue;
        table_put(&t, "%s", wire_str(ch, "label", "?"));
        table_take(&t, channel_now(ch));
        table_put(&t, "%s", wire_str(ch, "quality", "-"));
        table_put(&t, "%s", wire_bool(ch, "in_total", false) ? "yes" : "-");
    }
    int64_t utc = wire_int(frame, "t_utc_ns", PRINT_NONE);
    if (utc != PRINT_NONE)
        (void)fprintf(app->print.out, "%s\n", units_show_utc(when, sizeof when, utc));
    if (t.n > 0)
        table_print(&t, &app->print);
    else
        (void)fputs("no such channel answers; see wattq meters\n", app->print.out);
    table_fini(&t);
}

static int live(struct app *app, struct conn *c, struct err *e)
{
    int64_t interval = NS_PER_S;
    int64_t count = args_has(&app->args, OPT_FOLLOW) ? INT64_MAX : 1;
    int rc = args_duration(&app->args, OPT_INTERVAL, &interval, e);
    if (rc == 0)
        rc = args_int(&app->args, OPT_COUNT, 1, INT64_MAX, &count, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, "power");
    wire_put_bool(o, "live", true);
    wire_put_int(o, "interval_ns", interval);
    rc = conn_send(c, e);
    for (int64_t i = 0; rc == 0 && i < count; i++) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        if (app->json)
            rc = cmd_print_jsonl(app, "power", wire_msg_root(m), e);
        else
            put_sample(app, wire_msg_root(m));
        (void)fflush(app->print.out);
        if (!conn_more(m))
            break;
    }
    return rc;
}

/* One pixel: [t0_utc_ns, t1_utc_ns, mean, min, max], or nil where nothing is known. */
static double pixel(const struct wire_val *px, size_t k)
{
    return wire_type(px) == WIRE_ARRAY ? wire_as_f64(wire_at(px, k), NAN) : (double)NAN;
}

static bool is_power(const struct wire_val *series)
{
    const char *unit = wire_str(series, "unit", "");
    return strcmp(unit, "W") == 0 || strcmp(unit, "uJ") == 0 || strcmp(unit, "uW") == 0;
}

static void put_series(const struct app *app, const struct wire_val *s)
{
    const struct wire_val *pixels = wire_get(s, "pixels");
    double v[CHART_WIDTH_MAX];
    char text[CHART_TEXT];
    char a[40];
    char b[40];
    size_t n = wire_len(pixels) < ARRAY_LEN(v) ? wire_len(pixels) : ARRAY_LEN(v);
    double max = 0;
    double sum = 0;
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = pixel(wire_at(pixels, i), 2);
        double top = pixel(wire_at(pixels, i), 4);
        max = isfinite(top) && top > max ? top : max;
        sum += isfinite(v[i]) ? v[i] : 0;
        known += isfinite(v[i]) ? 1 : 0;
    }
    bool estimate = strcmp(wire_str(s, "quality", ""), "estimated") == 0;
    chart_line(text, sizeof text, v, n, max, app->print.unicode);
    (void)fprintf(app->print.out, "%-16s |%s|", wire_str(s, "label", "?"), text);
    if (known == 0)
        (void)fputs("  nothing is known of this time\n", app->print.out);
    else
        (void)fprintf(app->print.out, "  mean %s%s%s, highest %s\n", estimate ? "~" : "",
                      print_power_w(a, sizeof a, sum / (double)known), estimate ? " estimated" : "",
                      print_power_w(b, sizeof b, max));
}

static json_t *series_json(const struct wire_val *s)
{
    static const char *const names[] = {"mean", "min", "max"};
    const struct wire_val *pixels = wire_get(s, "pixels");
    json_t *out = json_object();
    json_t *array = json_array();
    json_put(out, "channel", json_from_wire(wire_get(s, "channel")));
    json_put(out, "label", json_from_wire(wire_get(s, "label")));
    json_put(out, "unit", json_from_wire(wire_get(s, "unit")));
    json_put(out, "quality", json_from_wire(wire_get(s, "quality")));
    for (size_t i = 0; i < wire_len(pixels); i++) {
        const struct wire_val *px = wire_at(pixels, i);
        if (wire_type(px) != WIRE_ARRAY) {
            (void)json_array_append_new(array, json_null());
            continue;
        }
        char t[40];
        json_t *one = json_object();
        json_put(one, "t0_utc",
                 json_string(units_show_utc(t, sizeof t, wire_as_int(wire_at(px, 0), 0))));
        json_put(one, "t1_utc",
                 json_string(units_show_utc(t, sizeof t, wire_as_int(wire_at(px, 1), 0))));
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            json_put(one, names[k], json_number(pixel(px, 2 + k)));
        (void)json_array_append_new(array, one);
    }
    json_put(out, "pixels", array);
    return out;
}

static int past(struct app *app, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int64_t since = PRINT_NONE;
    int64_t until = clock_utc_ns();
    int rc = args_time(&app->args, OPT_SINCE, &since, e);
    if (rc == 0)
        rc = args_time(&app->args, OPT_UNTIL, &until, e);
    if (rc < 0)
        return rc;
    if (since == PRINT_NONE) {
        err_set(e, WATTQ_E_USAGE, "--until needs --since");
        return err_next(e, "wattq power --since -1h");
    }
    struct wire_out *o = conn_begin(c, "power");
    wire_put_int(o, "since_utc_ns", since);
    wire_put_int(o, "until_utc_ns", until);
    wire_put_int(o, "pixels", PIXELS);
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *series = wire_get(wire_msg_root(m), "series");
    json_t *array CLEANUP(json_freep) = json_array();
    const char *label = args_str(&app->args, OPT_CHANNEL, NULL);
    for (size_t i = 0; i < wire_len(series); i++) {
        const struct wire_val *s = wire_at(series, i);
        bool chosen = label ? strcmp(label, wire_str(s, "label", "")) == 0
                            : is_power(s) || args_has(&app->args, OPT_ALL);
        if (chosen && app->json)
            (void)json_array_append_new(array, series_json(s));
        else if (chosen)
            put_series(app, s);
    }
    if (!app->json)
        return 0;
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.power_series/1"));
    json_put(doc, "series", json_incref(array));
    return json_write(app->print.out, doc, false, e);
}

int cmd_power(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    bool old = args_has(&app->args, OPT_SINCE) || args_has(&app->args, OPT_UNTIL);
    return old ? past(app, c, e) : live(app, c, e);
}

/* ---- meters -------------------------------------------------------------------------------------- */

static const char *const meter_heads[] = {"METER",  "SCOPE", "KIND",     "QUALITY",
                                          ">EVERY", "STATE", "IN TOTAL", ">NOW"};

static char *last_value(const struct wire_val *ch)
{
    char buf[40];
    int64_t uw = wire_int(ch, "power_uw", PRINT_NONE);
    int64_t v = wire_int(ch, "last_value", PRINT_NONE);
    const char *unit = wire_str(ch, "unit", "");
    bool estimate = strcmp(wire_str(ch, "quality", ""), "estimated") == 0;
    if (uw != PRINT_NONE && uw >= 0)
        return base_printf("%s%s", estimate ? "~" : "", print_power(buf, sizeof buf, uw));
    if (v == PRINT_NONE)
        return base_strdup("-");
    if (strcmp(unit, "mC") == 0)
        return base_printf("%.1f C", (double)v / 1e3);
    if (strcmp(unit, "kHz") == 0)
        return base_printf("%.2f GHz", (double)v / 1e6);
    return base_printf("%lld %s", (long long)v, unit);
}

static bool is_energy(const struct wire_val *ch)
{
    const char *kind = wire_str(ch, "kind", "");
    return strcmp(kind, "companion") != 0 && strcmp(kind, "cpu_time") != 0;
}

/* Update period: as the maker declares it, else as learned ("~"), else unknown. */
static char *period(const struct wire_val *ch)
{
    char buf[40];
    int64_t declared = wire_int(ch, "period_ns", 0);
    int64_t learned = wire_int(ch, "period_learned_ns", 0);
    if (wire_bool(ch, "period_declared", false) && declared > 0)
        return base_strdup(print_duration(buf, sizeof buf, declared));
    if (learned > 0)
        return base_printf("~%s", print_duration(buf, sizeof buf, learned));
    return base_strdup("-");
}

static void put_meter(struct table *t, const struct wire_val *ch)
{
    table_put(t, "%s", wire_str(ch, "label", "?"));
    table_put(t, "%s", wire_str(ch, "scope", "?"));
    table_put(t, "%s", wire_str(ch, "kind", "?"));
    table_put(t, "%s", wire_str(ch, "quality", "?"));
    table_take(t, period(ch));
    table_put(t, "%s", wire_str(ch, "state_text", wire_str(ch, "state", "?")));
    table_put(t, "%s", wire_bool(ch, "in_total", false) ? "yes" : "-");
    table_take(t, last_value(ch));
}

/* What each measures, and what would make an unreadable one readable; each sentence once. */
static void put_remarks(const struct app *app, const struct wire_val *channels)
{
    FILE *f = app->print.out;
    for (size_t i = 0; i < wire_len(channels); i++) {
        const struct wire_val *ch = wire_at(channels, i);
        const char *covers = wire_str(ch, "covers", "");
        if (*covers && is_energy(ch))
            (void)fprintf(f, "%s: %s\n", wire_str(ch, "label", "?"), covers);
    }
    for (size_t i = 0; i < wire_len(channels); i++) {
        char *doubt CLEANUP(base_freep) = cmd_meters_doubt(wire_at(channels, i));
        if (doubt)
            (void)fprintf(f, "%s %s\n", wire_str(wire_at(channels, i), "label", "?"), doubt);
    }
    for (size_t i = 0; i < wire_len(channels); i++) {
        const char *remedy = wire_str(wire_at(channels, i), "remedy", "");
        bool told = !*remedy || strcmp(wire_str(wire_at(channels, i), "state", ""), "ok") == 0;
        for (size_t k = 0; k < i && !told; k++)
            told = strcmp(wire_str(wire_at(channels, k), "remedy", ""), remedy) == 0;
        if (!told)
            (void)fprintf(f, "to read %s: %s\n", wire_str(wire_at(channels, i), "label", "it"),
                          remedy);
    }
}

static void show_meters(const struct app *app, const struct wire_val *channels)
{
    struct table t;
    size_t hidden = 0;
    bool measured = false;
    table_init(&t, meter_heads, ARRAY_LEN(meter_heads));
    for (size_t i = 0; i < wire_len(channels); i++) {
        const struct wire_val *ch = wire_at(channels, i);
        const char *quality = wire_str(ch, "quality", "");
        bool real = strcmp(quality, "measured") == 0 || strcmp(quality, "modelled") == 0;
        measured = measured || (real && wire_bool(ch, "in_total", false));
        if (is_energy(ch) || args_has(&app->args, OPT_ALL))
            put_meter(&t, ch);
        else
            hidden++;
    }
    table_print(&t, &app->print);
    table_fini(&t);
    put_remarks(app, channels);
    if (hidden > 0)
        cmd_say(app,
                "%zu temperatures, clocks and counters of CPU time are not shown: wattq meters -a",
                hidden);
    if (!measured)
        cmd_say(app, "no meter of this machine measures energy that wattqd may read: joules are ~ "
                     "estimated");
}

int cmd_meters(struct app *app, struct err *e)
{
    const char *verb = app->args.npos >= 1 ? app->args.pos[0] : NULL;
    if (verb && strcmp(verb, "calibrate") == 0)
        return cmd_meters_calibrate(app, e);
    if (args_has(&app->args, OPT_AGAINST) || args_has(&app->args, OPT_SERIAL) ||
        args_has(&app->args, OPT_SINCE) || args_has(&app->args, OPT_UNTIL) || app->args.npos > 1) {
        err_set(e, WATTQ_E_USAGE, "--against, --serial and times belong to calibrate");
        return err_next(e, "wattq meters calibrate METER --against METER");
    }
    if (verb && (strcmp(verb, "allow") == 0 || strcmp(verb, "revoke") == 0))
        return cmd_meters_allow(app, verb[0] == 'a', e);
    if (verb)
        return cmd_meters_record(app, verb, e);
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    (void)conn_begin(c, "meters");
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    if (app->json)
        return cmd_print_json(app, "meters", wire_msg_root(m), e);
    show_meters(app, wire_get(wire_msg_root(m), "channels"));
    return 0;
}
