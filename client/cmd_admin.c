/* admin: users who leave this machine, what admins did to it, and the parts in admin_*.c. */
#include <stdlib.h>
#include <string.h>

#include "client/admin.h"
#include "client/print.h"
#include "common/suggest.h"
#include "common/users.h"

#define EVENTS_SHOWN 100

/* ---- retire, forget ---------------------------------------------------------------------------------- */

static int whom(const struct app *app, int64_t *uid, char name[USERS_NAME_MAX], struct err *e)
{
    if (app->args.npos < 2) {
        err_set(e, WATTQ_E_USAGE, "wattq admin %s needs a user", app->args.pos[0]);
        return err_next(e, "for example: %s", app->cmd->example);
    }
    const char *word = app->args.pos[1];
    if (users_find(word, uid)) {
        users_name(*uid, name);
        return 0;
    }
    err_set(e, WATTQ_E_NOT_FOUND, "this system knows no user '%.60s'", word);
    return err_next(e, "name one whose account is gone by number: wattq admin %s 1004",
                    app->args.pos[0]);
}

/* Directories of runs that wattqd has no right to. */
static void tell_left(const struct app *app, const struct wire_val *reply, bool forget)
{
    const struct wire_val *left = wire_get(reply, "left");
    long long n = (long long)wire_int(reply, "left_count", 0);
    if (n == 0)
        return;
    cmd_say(app, "%lld of their directories could not be %s; as root look at", n,
            forget ? "removed" : "closed");
    for (size_t i = 0; i < wire_len(left); i++)
        cmd_say(app, "  %s/%lld", wire_str(reply, "directory", ""),
                (long long)wire_as_int(wire_at(left, i), 0));
}

static int leave(struct app *app, bool forget, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    char name[USERS_NAME_MAX];
    int64_t uid = 0;
    int rc = whom(app, &uid, name, e);
    if (rc == 0 && forget && !args_has(&app->args, OPT_YES)) {
        err_set(e, WATTQ_E_USAGE, "nothing brings back what is forgotten of %s", name);
        return err_next(e, "wattq admin forget %s --yes", name);
    }
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, forget ? "forget" : "retire");
    wire_put_int(o, "uid", uid);
    wire_put_str(o, "name", name);
    rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *reply = wire_msg_root(m);
    if (app->json)
        return cmd_print_json(app, forget ? "forget" : "retire", reply, e);
    if (!app->quiet)
        (void)fprintf(app->print.out, "%s: %lld runs are of %s from now on\n", name,
                      (long long)wire_int(reply, "runs", 0), wire_str(reply, "user", "?"));
    tell_left(app, reply, forget);
    return wire_int(reply, "left_count", 0) > 0 ? EXIT_ASKED_FAILED : 0;
}

/* ---- log --------------------------------------------------------------------------------------------- */

static const char *const event_heads[] = {"!TIME", "!BY", ">RUN", "!ACT", "!TEXT"};
static const char *const retired_heads[] = {"!USER", "!WAS",      ">UID",
                                            "!LEFT", "FORGOTTEN", ">!RUNS"};

/* A move of somebody's run is told by the state it got. */
static void put_event(struct table *t, const struct wire_val *v)
{
    char buf[48];
    int64_t run = wire_int(v, "run", 0);
    const char *from = wire_str(v, "from", ""), *act = wire_str(v, "act", "");
    table_put(t, "%s", print_ago(buf, sizeof buf, wire_int(v, "t_utc_ns", PRINT_NONE)));
    table_put(t, "%s", wire_str(v, "actor", "?"));
    if (run > 0)
        table_put(t, "%lld", (long long)run);
    else
        table_put(t, "-");
    table_put(t, "%s", strcmp(from, act) == 0 ? "-" : act);
    table_put(t, "%s", wire_str(v, "text", ""));
}

static void put_retired(struct table *t, const struct wire_val *u)
{
    char buf[48];
    int64_t was = wire_int(u, "was_uid", PRINT_NONE);
    int64_t forgotten = wire_int(u, "forgotten_utc_ns", PRINT_NONE);
    table_put(t, "%s", wire_str(u, "user", "?"));
    table_put(t, "%s", wire_str(u, "name", "-"));
    if (was == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "%lld", (long long)was);
    table_put(t, "%s", print_ago(buf, sizeof buf, wire_int(u, "retired_utc_ns", PRINT_NONE)));
    table_put(t, "%s", forgotten == PRINT_NONE ? "" : print_ago(buf, sizeof buf, forgotten));
    table_put(t, "%s", print_count(buf, sizeof buf, wire_int(u, "runs", 0)));
}

static int receive(const struct app *app, struct conn *c, struct table *events,
                   struct table *retired, struct err *e)
{
    for (bool more = true; more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        int rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        more = conn_more(m);
        if (app->json) {
            rc = cmd_print_jsonl(app, "admin_log", wire_msg_root(m), e);
            if (rc < 0)
                return rc;
            continue;
        }
        const struct wire_val *list = wire_get(wire_msg_root(m), "events");
        for (size_t i = 0; i < wire_len(list); i++)
            put_event(events, wire_at(list, i));
        list = wire_get(wire_msg_root(m), "retired");
        for (size_t i = 0; i < wire_len(list); i++)
            put_retired(retired, wire_at(list, i));
    }
    return 0;
}

static int show_log(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct table events, retired;
    int64_t limit = EVENTS_SHOWN;
    int rc = args_int(&app->args, OPT_COUNT, 1, 10000, &limit, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    wire_put_int(conn_begin(c, "admin_log"), "limit", limit);
    rc = conn_send(c, e);
    table_init(&events, event_heads, ARRAY_LEN(event_heads));
    table_init(&retired, retired_heads, ARRAY_LEN(retired_heads));
    if (rc == 0)
        rc = receive(app, c, &events, &retired, e);
    if (rc == 0 && events.n > 0)
        table_print(&events, &app->print);
    else if (rc == 0 && !app->json)
        (void)fputs("no admin has done anything yet\n", app->print.out);
    if (rc == 0 && retired.n > 0) {
        (void)fputs("\n", app->print.out);
        table_print(&retired, &app->print);
    }
    table_fini(&events);
    table_fini(&retired);
    return rc;
}

/* ---- the parts --------------------------------------------------------------------------------------- */

static int retire(struct app *app, struct err *e)
{
    return leave(app, false, e);
}

static int forget(struct app *app, struct err *e)
{
    return leave(app, true, e);
}

static const struct sub {
    const char *name;
    int (*run)(struct app *app, struct err *e);
} subs[] = {{"retire", retire},         {"forget", forget},       {"log", show_log},
            {"check", admin_check},     {"backup", admin_backup}, {"restore", admin_restore},
            {"compact", admin_compact}, {"gpu", admin_gpu}};

int cmd_admin(struct app *app, struct err *e)
{
    const char *name = app->args.npos > 0 ? app->args.pos[0] : "log";
    struct suggest s;
    suggest_init(&s, name);
    for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
        if (strcmp(subs[i].name, name) == 0)
            return subs[i].run(app, e);
        suggest_offer(&s, subs[i].name);
    }
    err_set(e, WATTQ_E_USAGE, "wattq admin does not know '%.60s'", name);
    return err_next(e, s.best ? "did you mean wattq admin %s?" : "wattq help admin", s.best);
}
