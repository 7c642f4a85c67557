/* tag, note, label, metric: what people say of runs afterwards. The first argument says which runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/sel.h"

/* One request about the runs of the first argument; put adds its keys. */
struct marks {
    struct app *app;
    const char *op;
    const char *done; /* "tagged" */
    int (*put)(struct app *app, struct wire_out *o, struct err *e);
};

/* The worst thing that happened to any of them is the exit code. */
static int tell(const struct marks *m, const struct wire_val *reply)
{
    const struct wire_val *runs = wire_get(reply, "runs");
    size_t good = 0;
    int worst = 0;
    for (size_t i = 0; i < wire_len(runs); i++) {
        const struct wire_val *run = wire_at(runs, i);
        const struct wire_val *error = wire_get(run, "error");
        if (wire_type(error) != WIRE_MAP) {
            good++;
            continue;
        }
        int code = err_exit_code(err_from_name(wire_str(error, "code", "internal")));
        worst = code > worst ? code : worst;
        if (!m->app->json)
            cmd_say(m->app, "%lld  %s%s%s", (long long)wire_int(run, "run", 0),
                    wire_str(error, "text", "refused"), wire_get(error, "next") ? "; " : "",
                    wire_str(error, "next", ""));
    }
    if (!m->app->json)
        cmd_say(m->app, "%zu run%s %s", good, good == 1 ? "" : "s", m->done);
    return worst;
}

static int mark(const struct marks *m, const char *what, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    struct wire_msg *reply CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_need(m->app, 2, what, e);
    if (rc == 0)
        rc = cmd_connect(m->app, &c, e);
    if (rc == 0)
        rc = sel_runs(&runs, c, m->app->args.pos, 1, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, m->op);
    sel_put(&runs, o);
    rc = m->put(m->app, o, e);
    if (rc == 0)
        rc = conn_call(c, &reply, e);
    if (rc < 0)
        return rc;
    rc = m->app->json ? cmd_print_json(m->app, m->op, wire_msg_root(reply), e) : 0;
    return rc < 0 ? rc : tell(m, wire_msg_root(reply));
}

/* "+keep" and "keep" add, "-draft" drops. */
static int put_tags(struct app *app, struct wire_out *o, struct err *e)
{
    (void)e;
    for (int drop = 0; drop < 2; drop++) {
        wire_begin_array(o, drop ? "drop" : "add");
        for (size_t i = 1; i < app->args.npos; i++) {
            const char *word = app->args.pos[i];
            if ((word[0] == '-') == (drop == 1))
                wire_put_str(o, NULL, word[0] == '+' || word[0] == '-' ? word + 1 : word);
        }
        wire_end(o);
    }
    return 0;
}

int cmd_tag(struct app *app, struct err *e)
{
    const struct marks m = {app, "tag", "tagged", put_tags};
    return mark(&m, "runs and tags", e);
}

/* The arguments behind the first as one text. */
static char *rest(const struct app *app)
{
    char *text = base_strdup(app->args.npos > 1 ? app->args.pos[1] : "");
    for (size_t i = 2; i < app->args.npos; i++) {
        char *longer = base_printf("%s %s", text, app->args.pos[i]);
        free(text);
        text = longer;
    }
    return text;
}

static int put_note(struct app *app, struct wire_out *o, struct err *e)
{
    char *text CLEANUP(base_freep) = rest(app);
    (void)e;
    wire_put_str(o, "text", text);
    return 0;
}

int cmd_note(struct app *app, struct err *e)
{
    const struct marks m = {app, "note", "noted", put_note};
    return mark(&m, "runs and a text", e);
}

static int put_label(struct app *app, struct wire_out *o, struct err *e)
{
    char *text CLEANUP(base_freep) = rest(app);
    (void)e;
    wire_put_str(o, "label", text);
    return 0;
}

int cmd_label(struct app *app, struct err *e)
{
    const struct marks m = {app, "label", "labelled", put_label};
    return mark(&m, "runs and a label", e);
}

static int put_value(struct wire_out *o, const char *word, struct err *e)
{
    const char *equals = strchr(word, '=');
    char *end = NULL;
    double v = equals ? strtod(equals + 1, &end) : (double)NAN;
    if (!equals || equals == word || end == equals + 1 || *end || !isfinite(v)) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' is no metric: write its name, =, and a number", word);
        return err_next(e, "wattq metric 17 accuracy=0.93");
    }
    char *key CLEANUP(base_freep) = base_strdup_n(word, (size_t)(equals - word));
    wire_put_f64(o, key, v);
    return 0;
}

static int put_values(struct app *app, struct wire_out *o, struct err *e)
{
    int rc = 0;
    wire_put_bool(o, "force", args_has(&app->args, OPT_FORCE));
    wire_begin_map(o, "values");
    for (size_t i = 1; rc == 0 && i < app->args.npos; i++)
        rc = put_value(o, app->args.pos[i], e);
    wire_end(o);
    return rc;
}

int cmd_metric(struct app *app, struct err *e)
{
    const struct marks m = {app, "metric", "given numbers", put_values};
    return mark(&m, "runs and name=number", e);
}
