/* meters calibrate: one meter fitted to a better one; and what such fits make of figures. */
#include <string.h>

#include "client/cmd.h"
#include "client/print.h"
#include "common/units.h"

static const char *const heads[] = {"!METER", "!AGAINST", ">GAIN",  ">OFFSET", ">RESIDUAL",
                                    ">N",     "RANGE",    "SERIAL", "!SINCE"};

static void put_row(struct table *t, const struct wire_val *c)
{
    char a[40];
    char b[40];
    table_put(t, "%s", wire_str(c, "label", "?"));
    table_put(t, "%s", wire_str(c, "against_label", "?"));
    table_put(t, "%+.2f %%", (double)wire_int(c, "gain_ppm", 0) / 1e4);
    table_put(t, "%+.2f W", (double)wire_int(c, "offset_uw", 0) / 1e6);
    table_put(t, "%s", print_power(a, sizeof a, wire_int(c, "residual_uw", PRINT_NONE)));
    table_put(t, "%s", print_count(a, sizeof a, wire_int(c, "n", PRINT_NONE)));
    table_put(t, "%s..%s", print_power(a, sizeof a, wire_int(c, "lo_uw", PRINT_NONE)),
              print_power(b, sizeof b, wire_int(c, "hi_uw", PRINT_NONE)));
    table_put(t, "%s", *wire_str(c, "serial", "") ? wire_str(c, "serial", "") : "-");
    table_put(t, "%s", print_ago(a, sizeof a, wire_int(c, "created_utc_ns", PRINT_NONE)));
}

static int print_rows(const struct app *app, const struct wire_val *m, struct err *e)
{
    const struct wire_val *rows = wire_get(m, "calibrations");
    struct table t;
    if (app->json)
        return cmd_print_json(app, "calibrations", m, e);
    if (wire_len(rows) == 0) {
        (void)fputs("no meter has been fitted to a better one: wattq meters calibrate METER "
                    "--against BETTER\n",
                    app->print.out);
        return 0;
    }
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(rows); i++)
        put_row(&t, wire_at(rows, i));
    table_print(&t, &app->print);
    table_fini(&t);
    return 0;
}

int cmd_meters_calibrate(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    const struct args *a = &app->args;
    const char *against = args_str(a, OPT_AGAINST, NULL);
    int64_t since = PRINT_NONE;
    int64_t until = PRINT_NONE;
    if ((a->npos > 1) != (against != NULL)) {
        err_set(e, WATTQ_E_USAGE, "a meter and the better one belong together");
        return err_next(e, "wattq meters calibrate package-0 --against wall");
    }
    int rc = args_time(a, OPT_SINCE, &since, e);
    if (rc == 0)
        rc = args_time(a, OPT_UNTIL, &until, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, against ? "calibrate" : "calibrations");
    if (against) {
        wire_put_str(o, "meter", a->pos[1]);
        wire_put_str(o, "against", against);
        wire_put_str(o, "serial", args_str(a, OPT_SERIAL, ""));
        if (since != PRINT_NONE)
            wire_put_int(o, "since_utc_ns", since);
        if (until != PRINT_NONE)
            wire_put_int(o, "until_utc_ns", until);
    }
    rc = conn_call(c, &m, e);
    return rc < 0 ? rc : print_rows(app, wire_msg_root(m), e);
}

void show_calibrated(const struct app *app, const struct wire_val *list)
{
    FILE *f = app->print.out;
    char a[40];
    char b[40];
    char d[40];
    for (size_t i = 0; i < wire_len(list); i++) {
        const struct wire_val *c = wire_at(list, i);
        int64_t uj = wire_int(c, "energy_uj", PRINT_NONE);
        const char *serial = wire_str(c, "serial", "");
        (void)fprintf(f, "%s calibrated to %s (%s%s%s, %s..%s): ", wire_str(c, "label", "?"),
                      wire_str(c, "against_label", "?"), serial, *serial ? ", " : "",
                      print_ago(d, sizeof d, wire_int(c, "created_utc_ns", PRINT_NONE)),
                      print_power(a, sizeof a, wire_int(c, "lo_uw", PRINT_NONE)),
                      print_power(b, sizeof b, wire_int(c, "hi_uw", PRINT_NONE)));
        if (uj == PRINT_NONE)
            (void)fprintf(f, "- (%s)\n", wire_str(c, "reason", "not known"));
        else
            (void)fprintf(f, "%s (residual %s)\n", print_joules(a, sizeof a, (double)uj / 1e6),
                          print_joules(b, sizeof b, (double)wire_int(c, "residual_uj", 0) / 1e6));
    }
    if (wire_len(list) == 0)
        (void)fputs("none of its meters has been fitted to a better one: wattq meters calibrate\n",
                    f);
}
