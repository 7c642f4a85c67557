/* admin check: what of the database is damaged; that of the daemon, or any file. */
#include <string.h>

#include "client/admin.h"
#include "client/print.h"
#include "common/units.h"

static void show_found(const struct app *app, const struct wire_val *d)
{
    FILE *f = app->print.out;
    char since[40];
    char until[40];
    int64_t t0 = wire_int(d, "t0_utc_ns", PRINT_NONE);
    int64_t t1 = wire_int(d, "t1_utc_ns", PRINT_NONE);
    const char *kind = wire_str(d, "kind", "?");
    (void)fprintf(f, "%sDAMAGED%s  %s", print_tone_on(&app->print, TONE_BAD),
                  print_tone_off(&app->print, TONE_BAD), kind);
    if (strcmp(kind, "structure") != 0)
        (void)fprintf(f, " %lld of group %lld", (long long)wire_int(d, "row", 0),
                      (long long)wire_int(d, "group", 0));
    if (t0 != PRINT_NONE && t1 != PRINT_NONE)
        (void)fprintf(f, ", %s to %s", units_show_utc(since, sizeof since, t0),
                      units_show_utc(until, sizeof until, t1));
    (void)fprintf(f, ": %s\n", wire_str(d, "text", "?"));
}

static void show(const struct app *app, const struct wire_val *r)
{
    char bytes[40];
    int64_t damaged = wire_int(r, "damaged", 0);
    const struct wire_val *found = wire_get(r, "found");
    for (size_t i = 0; i < wire_len(found); i++)
        show_found(app, wire_at(found, i));
    if (damaged > (int64_t)wire_len(found))
        (void)fprintf(app->print.out, "... and %lld more\n",
                      (long long)damaged - (long long)wire_len(found));
    (void)fprintf(app->print.out, "%s: %lld blocks of samples, %lld values in %s, %lld damaged\n",
                  damaged ? "DAMAGED" : "sound", (long long)wire_int(r, "blocks", 0),
                  (long long)wire_int(r, "values", 0),
                  units_show_size(bytes, sizeof bytes, wire_int(r, "bytes", 0)),
                  (long long)damaged);
    if (damaged)
        cmd_say(app, "what is named here cannot be read any more; all else can");
}

static void say_progress(const struct app *app, const struct wire_val *r)
{
    int64_t of = wire_int(r, "of", 0);
    if (strcmp(wire_str(r, "step", ""), "structure") == 0)
        cmd_say(app, "looking at pages, rows and indexes ...");
    else if (of > 0)
        cmd_say(app, "samples: %lld of %lld blocks", (long long)wire_int(r, "done", 0),
                (long long)of);
}

int admin_check(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    (void)conn_begin(c, "check");
    rc = conn_call(c, &m, e);
    while (rc == 0 && conn_more(m)) {
        say_progress(app, wire_msg_root(m));
        wire_msg_free(m);
        m = NULL;
        rc = conn_recv(c, &m, e);
    }
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    rc = app->json ? cmd_print_json(app, "admin_check", r, e) : 0;
    if (!app->json && !app->quiet)
        show(app, r);
    return rc < 0 ? rc : wire_int(r, "damaged", 0) > 0 ? EXIT_ASKED_FAILED : 0;
}
