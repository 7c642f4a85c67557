/* audit: does everything that is stored add up? */
#include "client/cmd.h"
#include "client/print.h"
#include "common/units.h"

static void show_audit(const struct app *app, const struct wire_val *r)
{
    FILE *f = app->print.out;
    char since[40];
    const struct wire_val *failed = wire_get(r, "failed");
    int64_t failures = wire_int(r, "failures", 0);
    for (size_t i = 0; i < wire_len(failed); i++)
        (void)fprintf(f, "%s\n", wire_as_str(wire_at(failed, i), "?"));
    if (failures > (int64_t)wire_len(failed))
        (void)fprintf(f, "... and %lld more\n", (long long)(failures - (int64_t)wire_len(failed)));
    (void)fprintf(f, "%s since %s: %lld checks, %lld failed\n",
                  failures ? "DOES NOT ADD UP" : "adds up",
                  units_show_utc(since, sizeof since, wire_int(r, "since_utc_ns", 0)),
                  (long long)wire_int(r, "checks", 0), (long long)failures);
    (void)fprintf(f,
                  "%lld meters, %lld ticks of accounts (%lld computed again from samples), %lld "
                  "windows x 4 policies, %lld borders of chunks\n",
                  (long long)wire_int(r, "meters", 0), (long long)wire_int(r, "ticks", 0),
                  (long long)wire_int(r, "replayed", 0), (long long)wire_int(r, "windows", 0),
                  (long long)wire_int(r, "chunks", 0));
    if (wire_bool(r, "cut", false))
        (void)fprintf(f, "not all of it was looked at: a minute was over; give a later --since\n");
}

int cmd_audit(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int64_t since = PRINT_NONE;
    int rc = args_time(&app->args, OPT_SINCE, &since, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, "audit");
    if (since != PRINT_NONE)
        wire_put_int(o, "since_utc_ns", since);
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    rc = app->json ? cmd_print_json(app, "audit", r, e) : 0;
    if (!app->json && !app->quiet)
        show_audit(app, r);
    return rc < 0 ? rc : wire_int(r, "failures", 0) > 0 ? EXIT_ASKED_FAILED : 0;
}
