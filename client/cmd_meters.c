/* meters METER: everything that is known of one meter, and what watching it has shown since when. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "common/units.h"

char *cmd_meters_doubt(const struct wire_val *ch)
{
    char mine[40], other[40], span[40];
    const char *text = wire_str(ch, "doubt_text", "");
    const char *about = wire_str(ch, "doubt_label", "");
    int64_t span_ns = wire_int(ch, "doubt_span_ns", 0);
    if (!*text)
        return NULL;
    if (span_ns <= 0)
        return base_printf("%s%s%s", text, *about ? " " : "", about);
    return base_printf("%s%s%s: %s where that shows %s, in %s", text, *about ? " " : "", about,
                       units_show_energy(mine, sizeof mine, wire_int(ch, "doubt_mine_uj", 0)),
                       units_show_energy(other, sizeof other, wire_int(ch, "doubt_other_uj", 0)),
                       print_duration(span, sizeof span, span_ns));
}

static void line(FILE *f, const char *name, const char *text)
{
    if (*text)
        (void)fprintf(f, "%-10s %s\n", name, text);
}

static void put_time(FILE *f, const struct wire_val *ch)
{
    char a[40], b[40];
    int64_t period = wire_int(ch, "period_ns", 0);
    int64_t learned = wire_int(ch, "period_learned_ns", 0);
    int64_t pace = wire_int(ch, "sample_ns", 0);
    int64_t lag = wire_int(ch, "lag_learned_ns", -1);
    (void)fprintf(f, "%-10s %s%s", "update", print_duration(a, sizeof a, period),
                  wire_bool(ch, "period_declared", false) ? " declared" : " assumed");
    if (learned > 0)
        (void)fprintf(f, ", seen at most %s%s", print_duration(b, sizeof b, learned),
                      learned <= pace + pace / 2 ? " (it is not polled more often)" : "");
    (void)fprintf(f, "; polled every %s\n", print_duration(a, sizeof a, pace));
    (void)fprintf(f, "%-10s %s stated", "lag",
                  print_duration(a, sizeof a, wire_int(ch, "lag_ns", 0)));
    if (lag >= 0)
        (void)fprintf(f, ", seen %s (from %lld changes of power)", print_duration(b, sizeof b, lag),
                      (long long)wire_int(ch, "lag_events", 0));
    (void)fputc('\n', f);
    if (wire_int(ch, "box_ns", 0) > 0)
        (void)fprintf(f, "%-10s mean over %s, %.0f %% of the time\n", "box",
                      print_duration(a, sizeof a, wire_int(ch, "box_ns", 0)),
                      (double)wire_int(ch, "sampled_ppm", 1000000) / 1e4);
}

static void put_register(FILE *f, const struct wire_val *ch)
{
    char a[40];
    const char *unit = wire_str(ch, "unit", "");
    int64_t learned = wire_int(ch, "quantum_learned", 0);
    int64_t wrap = wire_int(ch, "wrap_uj", 0);
    int64_t ppm = wire_int(ch, "accuracy_ppm", 0);
    (void)fprintf(f, "%-10s %lld %s stated", "step", (long long)wire_int(ch, "quantum", 0), unit);
    if (learned > 0)
        (void)fprintf(f, ", all changes seen are multiples of %lld", (long long)learned);
    (void)fputc('\n', f);
    if (wrap > 0)
        (void)fprintf(f, "%-10s at %s\n", "wraps", units_show_energy(a, sizeof a, wrap));
    if (ppm > 0)
        (void)fprintf(f, "%-10s %.4g %% stated\n", "accuracy", (double)ppm / 1e4);
    else
        line(f, "accuracy", "its maker states none");
}

static void put_history(FILE *f, const struct wire_val *notes)
{
    char when[40];
    for (size_t i = 0; i < wire_len(notes); i++) {
        const struct wire_val *n = wire_at(notes, i);
        int64_t utc = wire_int(n, "t_utc_ns", PRINT_NONE);
        (void)fprintf(f, "%s  %-9s  %s\n",
                      utc == PRINT_NONE ? "-" : units_show_utc(when, sizeof when, utc),
                      wire_str(n, "kind", "?"), wire_str(n, "text", ""));
    }
}

static void show(const struct app *app, const struct wire_val *ch)
{
    FILE *f = app->print.out;
    char *doubt CLEANUP(base_freep) = cmd_meters_doubt(ch);
    (void)fprintf(f, "%s: %s, %s, %s, source %s\n", wire_str(ch, "label", "?"),
                  wire_str(ch, "scope", "?"), wire_str(ch, "kind", "?"),
                  wire_str(ch, "quality", "?"), wire_str(ch, "source", "?"));
    line(f, "state", wire_str(ch, "state_text", "?"));
    if (strcmp(wire_str(ch, "state", ""), "ok") != 0)
        line(f, "to read it", wire_str(ch, "remedy", ""));
    line(f, "in total", wire_bool(ch, "in_total", false) ? "yes" : "no");
    line(f, "doubt", doubt ? doubt : "none");
    line(f, "covers", wire_str(ch, "covers", ""));
    line(f, "device", wire_str(ch, "device", ""));
    line(f, "driver", wire_str(ch, "driver", ""));
    line(f, "firmware", wire_str(ch, "firmware", ""));
    put_time(f, ch);
    put_register(f, ch);
    line(f, "uid", wire_str(ch, "uid", ""));
    put_history(f, wire_get(ch, "notes"));
}

/* Labels are for people and may stand twice: then the uid decides. 0 = there is none; -1 = several. */
static int64_t find(const struct wire_val *channels, const char *name)
{
    int64_t found = 0;
    for (size_t i = 0; i < wire_len(channels); i++) {
        const struct wire_val *ch = wire_at(channels, i);
        if (strcmp(wire_str(ch, "uid", ""), name) == 0)
            return wire_int(ch, "channel", 0);
        if (strcmp(wire_str(ch, "label", ""), name) == 0)
            found = found == 0 ? wire_int(ch, "channel", 0) : -1;
    }
    return found;
}

int cmd_meters_record(struct app *app, const char *name, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *all CLEANUP(wire_msg_freep) = NULL;
    struct wire_msg *one CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    (void)conn_begin(c, "meters");
    rc = conn_call(c, &all, e);
    if (rc < 0)
        return rc;
    int64_t id = find(wire_get(wire_msg_root(all), "channels"), name);
    if (id <= 0) {
        err_set(e, WATTQ_E_USAGE,
                id < 0 ? "several meters are called '%.40s'" : "wattq meters does not know '%.40s'",
                name);
        return err_next(e, id < 0 ? "give its uid: wattq meters --json"
                                  : "wattq meters, wattq meters allow, revoke or calibrate");
    }
    wire_put_int(conn_begin(c, "meter"), "channel", id);
    rc = conn_call(c, &one, e);
    if (rc < 0)
        return rc;
    if (app->json)
        return cmd_print_json(app, "meter", wire_msg_root(one), e);
    show(app, wire_msg_root(one));
    return 0;
}
