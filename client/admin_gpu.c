/* admin gpu: a GPU is taken out of what runs are given, or put back. */
#include <string.h>

#include "client/admin.h"
#include "client/cmd.h"

static int which(const struct app *app, bool *on, struct err *e)
{
    const char *word = app->args.npos == 3 ? app->args.pos[2] : "";
    *on = strcmp(word, "on") == 0;
    if (*on || strcmp(word, "off") == 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "wattq admin gpu needs a GPU, and off or on");
    return err_next(e, "for example: wattq admin gpu gpu1 off --reason 'its fan is loud'");
}

static void tell_gpu(const struct app *app, const struct wire_val *reply, bool on)
{
    const char *name = wire_str(reply, "label", wire_str(reply, "device", "?"));
    const char *out = wire_str(reply, "out", NULL);
    int64_t run = wire_int(reply, "run", 0);
    if (app->quiet)
        return;
    if (out)
        (void)fprintf(app->print.out, "%s is %sgiven to no new run: %s\n", name, on ? "still " : "",
                      out);
    else
        (void)fprintf(app->print.out, "%s is given to runs again\n", name);
    if (out && run > 0)
        (void)fprintf(app->print.out, "run %lld, which holds it, goes on\n", (long long)run);
}

int admin_gpu(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    bool on = false;
    int rc = which(app, &on, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, "gpu");
    wire_put_str(o, "gpu", app->args.pos[1]);
    wire_put_bool(o, "on", on);
    wire_put_str(o, "reason", args_str(&app->args, OPT_REASON, ""));
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    if (app->json)
        return cmd_print_json(app, "gpu", wire_msg_root(m), e);
    tell_gpu(app, wire_msg_root(m), on);
    return 0;
}
