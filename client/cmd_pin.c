/* runs pin, runs unpin: whether the samples of a run's time are kept. */
#include "client/cmd.h"
#include "client/json.h"
#include "client/sel.h"

#define PIN_AT_ONCE 10000

int runs_pinning(struct app *app, bool keep, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    const struct args *a = &app->args;
    if (a->npos < 2) {
        err_set(e, WATTQ_E_USAGE, "which runs' samples?");
        return err_next(e, "wattq runs %s 17", keep ? "pin" : "unpin");
    }
    int rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_runs(&runs, c, a->pos + 1, a->npos - 1, e);
    if (rc == 0)
        rc = sel_tell(c, keep ? "pin" : "unpin", PIN_AT_ONCE, &runs,
                      keep ? args_str(a, OPT_REASON, "by hand") : NULL, e);
    if (rc < 0)
        return rc;
    if (app->json) {
        json_t *doc = json_object();
        json_put(doc, "schema", json_string(keep ? "wattq.pin/1" : "wattq.unpin/1"));
        json_put(doc, keep ? "pinned" : "unpinned", json_integer((json_int_t)runs.n));
        return json_write(app->print.out, doc, false, e);
    }
    cmd_say(app, "%zu run%s: their samples %s", runs.n, runs.n == 1 ? "" : "s",
            keep ? "are kept, whatever the database's budget says"
                 : "may be thinned out when they are old, like all others");
    return 0;
}
