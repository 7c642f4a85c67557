/* why: what keeps a run waiting, and when it is likely to start. */
#include "client/cmd.h"
#include "client/sel.h"
#include "common/units.h"

static void show_before(FILE *f, const struct wire_val *why)
{
    const struct wire_val *ids = wire_get(why, "before");
    size_t more = (size_t)wire_int(why, "before_count", 0) - wire_len(ids);
    if (wire_len(ids) == 0)
        return;
    (void)fprintf(f, "before it:");
    for (size_t i = 0; i < wire_len(ids); i++)
        (void)fprintf(f, "%s %lld", i ? "," : "", (long long)wire_as_int(wire_at(ids, i), 0));
    if (more > 0)
        (void)fprintf(f, " and %zu more", more);
    (void)fprintf(f, "\n");
}

/* "2 time limits and the usual length of 1 run" */
static void put_basis(FILE *f, const struct wire_val *x)
{
    long long limits = (long long)wire_int(x, "by_limit", 0);
    long long pasts = (long long)wire_int(x, "by_past", 0);
    if (limits > 0)
        (void)fprintf(f, "%lld time limit%s", limits, limits == 1 ? "" : "s");
    if (limits > 0 && pasts > 0)
        (void)fprintf(f, " and ");
    if (pasts > 0)
        (void)fprintf(f, "how long %lld run%s like these took", pasts, pasts == 1 ? "" : "s");
}

static void show_expected(const struct app *app, const struct wire_val *x)
{
    FILE *f = app->print.out;
    char in[40], at[40];
    int64_t in_ns = wire_int(x, "wait_ns", PRINT_NONE);
    if (in_ns == PRINT_NONE) {
        (void)fprintf(f, "when it starts is not known: %s\n", wire_str(x, "reason", "?"));
        return;
    }
    (void)fprintf(f, "starts in ~%s, at ~%s: an estimate", print_duration(in, sizeof in, in_ns),
                  print_ago(at, sizeof at, wire_int(x, "start_utc_ns", 0)));
    if (wire_int(x, "by_limit", 0) + wire_int(x, "by_past", 0) > 0) {
        (void)fprintf(f, ", by ");
        put_basis(f, x);
    }
    (void)fprintf(f, "\n");
}

static void show_why(const struct app *app, const struct wire_val *why)
{
    FILE *f = app->print.out;
    const struct wire_val *reasons = wire_get(why, "reasons");
    int64_t position = wire_int(why, "position", 0);
    (void)fprintf(f, "%lld  %s", (long long)wire_int(why, "run", 0), wire_str(why, "state", "?"));
    if (position > 0)
        (void)fprintf(f, ", number %lld of those that wait", (long long)position);
    (void)fprintf(f, "\n");
    for (size_t i = 0; i < wire_len(reasons); i++)
        (void)fprintf(f, "waits for: %s\n", wire_as_str(wire_at(reasons, i), ""));
    show_before(f, why);
    if (position > 0)
        show_expected(app, wire_get(why, "expected"));
}

int cmd_why(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    int rc = cmd_need(app, 1, "a run", e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_runs(&runs, c, app->args.pos, app->args.npos, e);
    for (size_t i = 0; rc == 0 && i < runs.n; i++) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        wire_put_int(conn_begin(c, "why"), "run", runs.ids[i]);
        rc = conn_call(c, &m, e);
        if (rc < 0)
            return rc;
        if (app->json) {
            rc = cmd_print_json(app, "why", wire_msg_root(m), e);
            continue;
        }
        (void)fputs(i > 0 ? "\n" : "", app->print.out);
        show_why(app, wire_msg_root(m));
    }
    return rc;
}
