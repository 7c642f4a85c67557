/* idle: what the machine draws when no run is on: in force, its history, and taken on request. */
#include <string.h>

#include "client/cmd.h"
#include "client/print.h"
#include "common/units.h"

#define SHOWN_MAX 200 /* rows of history; --all shows every one */

static const char *const heads[] = {"!METER", ">!POWER", ">SPREAD", ">N",   "BASIS",
                                    "!SINCE", ">BUSY",   ">TEMP",   ">ROW", "NOTES"};

static void put_row(struct table *t, const struct wire_val *b, bool in_force)
{
    char buf[48];
    bool guess = strcmp(wire_str(b, "quality", ""), "estimated") == 0;
    int64_t busy = wire_int(b, "busy_ppm", PRINT_NONE);
    int64_t temp = wire_int(b, "temp_mc", PRINT_NONE);
    int64_t run = wire_int(b, "run", 0);
    table_put(t, "%s", wire_str(b, "label", "?"));
    table_put(t, "%s%s", guess ? "~" : "",
              print_power(buf, sizeof buf, wire_int(b, "power_uw", PRINT_NONE)));
    table_put(t, "%s", print_power(buf, sizeof buf, wire_int(b, "spread_uw", PRINT_NONE)));
    table_put(t, "%s", print_count(buf, sizeof buf, wire_int(b, "n", PRINT_NONE)));
    table_put(t, "%s", wire_str(b, "basis", "-"));
    table_put(t, "%s", print_ago(buf, sizeof buf, wire_int(b, "created_utc_ns", PRINT_NONE)));
    if (busy == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "%.1f %%", (double)busy / 1e4);
    if (temp == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "%.0f C", (double)temp / 1e3);
    table_put(t, "%s", print_count(buf, sizeof buf, wire_int(b, "baseline", PRINT_NONE)));
    if (run > 0)
        table_put(t, "around run %lld", (long long)run);
    else
        table_put(t, "%s%s%s", in_force ? "in force" : "", guess ? " estimated" : "",
                  wire_str(b, "reason", ""));
}

/* ---- what is in force ---------------------------------------------------------------------------- */

static int receive_all(const struct app *app, struct conn *c, struct table *t, size_t *n,
                       struct err *e)
{
    for (bool more = true; more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        int rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        more = conn_more(m);
        const struct wire_val *rows = wire_get(wire_msg_root(m), "baselines");
        for (size_t i = 0; i < wire_len(rows) && !app->json; i++)
            put_row(t, wire_at(rows, i), wire_bool(wire_at(rows, i), "in_force", false));
        *n += wire_len(rows);
        if (app->json)
            rc = cmd_print_jsonl(app, "baselines", wire_msg_root(m), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int show_all(struct app *app, struct conn *c, struct err *e)
{
    struct table t;
    size_t n = 0;
    wire_put_int(conn_begin(c, "baselines"), "limit",
                 args_has(&app->args, OPT_ALL) ? 10000 : SHOWN_MAX);
    int rc = conn_send(c, e);
    if (rc < 0)
        return rc;
    table_init(&t, heads, ARRAY_LEN(heads));
    rc = receive_all(app, c, &t, &n, e);
    if (rc == 0 && !app->json && n > 0)
        table_print(&t, &app->print);
    if (rc == 0 && !app->json && n == 0)
        (void)fputs("no idle power is known yet. It is learned when nothing has run for two and a "
                    "half minutes; now: wattq idle measure\n",
                    app->print.out);
    table_fini(&t);
    return rc;
}

/* ---- measure ------------------------------------------------------------------------------------- */

static const char *phase_words(const char *phase)
{
    static const char *const words[][2] = {
        {"waiting", "waits until nothing runs; nothing else is started"},
        {"cooling", "waits until the last run's heat is gone"},
        {"measuring", "measures; nothing is started meanwhile"},
        {"reading", "reads the samples"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i][0], phase) == 0)
            return words[i][1];
    return phase;
}

/* A line when the phase changes, and what is left every ten seconds. */
static void say_progress(const struct app *app, const struct wire_val *m, char last[16],
                         int64_t *said_ns)
{
    const char *phase = wire_str(m, "phase", "");
    int64_t left_ns = wire_int(m, "left_ns", 0);
    if (app->json ||
        (strcmp(phase, last) == 0 && (left_ns <= 0 || *said_ns - left_ns < 10 * NS_PER_S)))
        return;
    (void)base_strcpy(last, 16, phase);
    *said_ns = left_ns;
    if (left_ns > 0)
        cmd_say(app, "%s (%.0f s left)", phase_words(phase), (double)left_ns / 1e9);
    else
        cmd_say(app, "%s", phase_words(phase));
}

static void say_calm(const struct app *app, const struct wire_val *m)
{
    const struct wire_val *others = wire_get(m, "others");
    int64_t busy = wire_int(m, "busy_pieces", 0);
    FILE *f = app->print.out;
    if (wire_bool(m, "calm", false) && busy == 0)
        return;
    if (!wire_bool(m, "calm", false))
        (void)fprintf(f, "the machine was not calm: %s\n", wire_str(m, "reason", "no reason"));
    else
        (void)fprintf(f, "%lld of %lld s were too busy and are left out\n", (long long)busy,
                      (long long)wire_int(m, "pieces", 0));
    for (size_t i = 0; i < wire_len(others); i++) {
        const struct wire_val *o = wire_at(others, i);
        (void)fprintf(f, "  at work: %s (%s), %.1f %% of the CPUs\n", wire_str(o, "owner", "?"),
                      wire_str(o, "kind", "?"), (double)wire_int(o, "busy_ppm", 0) / 1e4);
    }
}

static int show_measured(const struct app *app, const struct wire_val *m, struct err *e)
{
    const struct wire_val *rows = wire_get(m, "baselines");
    bool stored = wire_int(m, "stored", 0) > 0;
    struct table t;
    if (app->json) {
        int rc = cmd_print_json(app, "idle", m, e);
        return rc < 0 ? rc : stored ? 0 : EXIT_ASKED_FAILED;
    }
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(rows); i++)
        put_row(&t, wire_at(rows, i), true);
    table_print(&t, &app->print);
    table_fini(&t);
    say_calm(app, m);
    return stored ? 0 : EXIT_ASKED_FAILED;
}

static int measure(struct app *app, struct conn *c, struct err *e)
{
    int64_t for_ns = 60 * NS_PER_S;
    int64_t said_ns = 0;
    char last[16] = "";
    int rc = args_duration(&app->args, OPT_FOR, &for_ns, e);
    if (rc < 0)
        return rc;
    wire_put_int(conn_begin(c, "idle_measure"), "for_ns", for_ns);
    rc = conn_send(c, e);
    while (rc == 0) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        if (!conn_more(m))
            return show_measured(app, wire_msg_root(m), e);
        say_progress(app, wire_msg_root(m), last, &said_ns);
    }
    return rc;
}

int cmd_idle(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    bool take = app->args.npos > 0;
    if (take && strcmp(app->args.pos[0], "measure") != 0) {
        err_set(e, WATTQ_E_USAGE, "'%.40s' is nothing that idle does", app->args.pos[0]);
        return err_next(e, "wattq idle, or wattq idle measure");
    }
    if (!take && args_has(&app->args, OPT_FOR)) {
        err_set(e, WATTQ_E_USAGE, "--for says how long to measure");
        return err_next(e, "wattq idle measure --for 60s");
    }
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    return take ? measure(app, c, e) : show_all(app, c, e);
}
