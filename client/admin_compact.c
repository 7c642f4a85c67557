/* admin compact: free space of the daemon's database is given back. */
#include "client/admin.h"
#include "client/print.h"
#include "common/units.h"

int admin_compact(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    char a[40];
    char b[40];
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    (void)conn_begin(c, "compact");
    rc = conn_call(c, &m, e);
    while (rc == 0 && conn_more(m)) {
        cmd_say(app, "still to be given back: %s",
                units_show_size(a, sizeof a, wire_int(wire_msg_root(m), "free_bytes", 0)));
        wire_msg_free(m);
        m = NULL;
        rc = conn_recv(c, &m, e);
    }
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    if (app->json)
        return cmd_print_json(app, "admin_compact", r, e);
    if (!app->quiet)
        (void)fprintf(app->print.out, "%s before, %s now\n",
                      units_show_size(a, sizeof a, wire_int(r, "before_bytes", 0)),
                      units_show_size(b, sizeof b, wire_int(r, "after_bytes", 0)));
    return 0;
}
