/* report: one page about a selection of training runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/report.h"
#include "common/units.h"

#define DEFAULT_NAME "wattq-report.html"
#define SAY_NS       (2 * NS_PER_S)

/* Progress goes to stderr from the moment it takes longer than 2 s. */
struct talk {
    const struct app *app;
    int64_t since_ns;
};

static void say(void *arg, const char *what)
{
    struct talk *t = arg;
    int64_t now = clock_mono_ns();
    if (now - t->since_ns < SAY_NS)
        return;
    t->since_ns = now;
    cmd_say(t->app, "%s", what);
}

static int write_page(const struct app *app, const struct report *r, struct err *e)
{
    struct html h CLEANUP(html_finip) = {0};
    const char *name = args_str(&app->args, OPT_OUT, DEFAULT_NAME);
    bool out = strcmp(name, "-") == 0;
    report_page(&h, r);
    FILE *f = out ? app->print.out : fopen(name, "we");
    if (!f) {
        err_errno(e, WATTQ_E_IO, "cannot write %.200s", name);
        return err_next(e, "name another file: wattq report -o /tmp/report.html");
    }
    bool failed = fwrite(h.s, 1, h.n, f) != h.n;
    failed = (out ? fflush(f) : fclose(f)) != 0 || failed;
    if (failed)
        return err_errno(e, WATTQ_E_IO, "cannot write %.200s", name);
    if (!out)
        cmd_say(app, "%s: %zu training runs, %zu bytes; open it in a browser", name, r->study.n,
                h.n);
    return 0;
}

int cmd_report(struct app *app, struct err *e)
{
    struct report r CLEANUP(report_finip) = {0};
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct talk talk = {app, clock_mono_ns()};
    report_init(&r);
    r.title = base_strdup(args_str(&app->args, OPT_TITLE, "What training costs on this machine"));
    int rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = report_load(&r, c, app->args.pos, app->args.npos, say, &talk, e);
    if (rc < 0)
        return rc;
    if (app->json)
        return json_write(app->print.out, report_json(&r), false, e);
    return write_page(app, &r, e);
}
