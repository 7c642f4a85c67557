/* cancel, hold, release, pause, resume, retry, bump, phase: what is done to runs. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/sel.h"

static int no_signal(const char *name, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--signal: there is no signal '%.40s'", name);
    return err_next(e, "write --signal INT, TERM, KILL, USR1 or a number from 1 to 64");
}

/* "TERM", "SIGTERM", "15". */
static int parse_signal(const char *name, int64_t *out, struct err *e)
{
    const char *bare = strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    char *end;
    long n = strtol(bare, &end, 10);
    if (end != bare && !*end && n >= 1 && n <= 64) {
        *out = n;
        return 0;
    }
    for (int s = 1; s < 65; s++) {
        const char *known = sigabbrev_np(s);
        if (known && strcmp(known, bare) == 0) {
            *out = s;
            return 0;
        }
    }
    return no_signal(name, e);
}

static int put_how(const struct args *a, struct wire_out *o, struct err *e)
{
    int64_t grace = -1;
    int64_t sig = 0;
    const char *name = args_str(a, OPT_SIGNAL, NULL);
    const char *reason = args_str(a, OPT_REASON, NULL);
    int rc = args_duration(a, OPT_GRACE, &grace, e);
    if (rc == 0 && name)
        rc = parse_signal(name, &sig, e);
    if (rc < 0)
        return rc;
    if (sig > 0)
        wire_put_int(o, "signal", sig);
    if (grace >= 0)
        wire_put_int(o, "grace_ns", grace);
    if (reason)
        wire_put_str(o, "reason", reason);
    return 0;
}

/* One row of the answer, or in its own words why this run was refused. */
static void tell_one(const struct app *app, const struct wire_val *run)
{
    long long id = (long long)wire_int(run, "run", 0);
    long long of = (long long)wire_int(run, "retry_of", 0);
    long long position = (long long)wire_int(run, "position", 0);
    const struct wire_val *error = wire_get(run, "error");
    if (wire_type(error) == WIRE_MAP) {
        cmd_say(app, "%lld  %s%s%s", id, wire_str(error, "text", "refused"),
                wire_get(error, "next") ? "; " : "", wire_str(error, "next", ""));
        return;
    }
    if (of > 0 && app->quiet)
        (void)fprintf(app->print.out, "%lld\n", id);
    else if (of > 0)
        (void)fprintf(app->print.out, "%lld  queued again, as run %lld was\n", id, of);
    else if (!app->quiet && position > 0)
        (void)fprintf(app->print.out, "%lld  is number %lld of those that wait\n", id, position);
    else if (!app->quiet)
        (void)fprintf(app->print.out, "%lld  %s\n", id, wire_str(run, "state", "has started"));
}

/* The worst thing that happened to any of them is the exit code. */
static int tell(const struct app *app, const struct wire_val *reply)
{
    const struct wire_val *runs = wire_get(reply, "runs");
    int worst = 0;
    for (size_t i = 0; i < wire_len(runs); i++) {
        const struct wire_val *run = wire_at(runs, i);
        const struct wire_val *error = wire_get(run, "error");
        if (!app->json)
            tell_one(app, run);
        if (wire_type(error) != WIRE_MAP)
            continue;
        int code = err_exit_code(err_from_name(wire_str(error, "code", "internal")));
        worst = code > worst ? code : worst;
    }
    return worst;
}

/* Where to, of a bump. */
static int put_where(const struct args *a, struct conn *c, int64_t *before, struct err *e)
{
    const char *name = args_str(a, OPT_BEFORE, NULL);
    if (name && args_has(a, OPT_FIRST)) {
        err_set(e, WATTQ_E_USAGE, "--before and --first say different things");
        return err_next(e, "leave one of them out");
    }
    return name ? sel_one(before, c, name, e) : 0;
}

static int act(struct app *app, const char *op, struct err *e)
{
    int64_t before = 0;
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_need(app, 1, "runs", e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_runs(&runs, c, app->args.pos, app->args.npos, e);
    if (rc == 0)
        rc = put_where(&app->args, c, &before, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, op);
    sel_put(&runs, o);
    if (before > 0)
        wire_put_int(o, "before", before);
    if (args_has(&app->args, OPT_FIRST))
        wire_put_bool(o, "first", true);
    rc = put_how(&app->args, o, e);
    if (rc == 0)
        rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    rc = app->json ? cmd_print_json(app, op, wire_msg_root(m), e) : 0;
    return rc < 0 ? rc : tell(app, wire_msg_root(m));
}

int cmd_cancel(struct app *app, struct err *e)
{
    return act(app, "cancel", e);
}

int cmd_hold(struct app *app, struct err *e)
{
    return act(app, "hold", e);
}

int cmd_pause(struct app *app, struct err *e)
{
    return act(app, "pause", e);
}

int cmd_resume(struct app *app, struct err *e)
{
    return act(app, "resume", e);
}

int cmd_retry(struct app *app, struct err *e)
{
    return act(app, "retry", e);
}

int cmd_bump(struct app *app, struct err *e)
{
    return act(app, "bump", e);
}

/* A sweep that its breaker held goes on as a whole. */
static int release_sweep(struct app *app, int64_t sweep, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    wire_put_int(conn_begin(c, "sweep_release"), "sweep", sweep);
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    if (app->json)
        return cmd_print_json(app, "sweep_release", wire_msg_root(m), e);
    (void)fprintf(app->print.out, "sweep %lld goes on: %lld runs\n", (long long)sweep,
                  (long long)wire_int(wire_msg_root(m), "released", 0));
    return 0;
}

int cmd_release(struct app *app, struct err *e)
{
    static const char prefix[] = "sweep:";
    const char *word = app->args.npos == 1 ? app->args.pos[0] : "";
    if (strncmp(word, prefix, sizeof prefix - 1) == 0) {
        char *end;
        long long sweep = strtoll(word + sizeof prefix - 1, &end, 10);
        if (sweep > 0 && !*end)
            return release_sweep(app, sweep, e);
    }
    return act(app, "release", e);
}

/* The run we are inside of, when none is named. */
static int own_run(int64_t *run, struct err *e)
{
    const char *own = getenv("WATTQ_RUN");
    char *end;
    *run = own ? strtoll(own, &end, 10) : 0;
    if (*run > 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "which run? This is not inside of one (WATTQ_RUN is not set)");
    return err_next(e, "name it: wattq phase 17 train");
}

int cmd_phase(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int64_t run = 0;
    int rc = cmd_need(app, 1, "the name of the phase that begins", e);
    if (rc == 0 && app->args.npos == 1)
        rc = own_run(&run, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0 && app->args.npos == 2)
        rc = sel_one(&run, c, app->args.pos[0], e);
    if (rc < 0)
        return rc;
    const char *name = app->args.pos[app->args.npos - 1];
    struct wire_out *o = conn_begin(c, "phase");
    wire_put_int(o, "run", run);
    wire_put_str(o, "name", strcmp(name, "end") == 0 ? NULL : name);
    rc = conn_call(c, &m, e);
    return rc == 0 && app->json ? cmd_print_json(app, "phase", wire_msg_root(m), e) : rc;
}
