/* diff: what tells two runs apart. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/diff.h"
#include "client/json.h"
#include "client/sel.h"

static json_t *text_or_null(const char *s)
{
    return s ? json_text(s, strlen(s)) : json_null();
}

static int print_json(const struct app *app, const struct diff *d, const int64_t ids[2],
                      struct err *e)
{
    json_t *doc = json_object();
    json_t *items = json_array();
    for (size_t i = 0; i < d->n; i++) {
        json_t *o = json_object();
        json_put(o, "section", json_string(d->items[i].section));
        json_put(o, "key", json_text(d->items[i].key, strlen(d->items[i].key)));
        json_put(o, "a", text_or_null(d->items[i].a));
        json_put(o, "b", text_or_null(d->items[i].b));
        (void)json_array_append_new(items, o);
    }
    json_put(doc, "schema", json_string("wattq.diff/1"));
    json_put(doc, "a", json_integer(ids[0]));
    json_put(doc, "b", json_integer(ids[1]));
    json_put(doc, "differs", json_boolean(d->differs));
    json_put(doc, "differences", items);
    return json_write(app->print.out, doc, false, e);
}

static void put_side(const struct app *app, const char *sign, enum tone tone, const char *text)
{
    const struct print *p = &app->print;
    if (text)
        (void)fprintf(p->out, "  %s%s %s%s\n", print_tone_on(p, tone), sign, text,
                      print_tone_off(p, tone));
}

static void show(const struct app *app, const struct diff *d, const int64_t ids[2])
{
    FILE *f = app->print.out;
    const char *section = "";
    if (d->n > 0)
        (void)fprintf(f, "- run %lld\n+ run %lld\n", (long long)ids[0], (long long)ids[1]);
    for (size_t i = 0; i < d->n; i++) {
        const struct diff_item *it = &d->items[i];
        if (strcmp(section, it->section) != 0)
            (void)fprintf(f, "\n%s%s%s\n", print_tone_on(&app->print, TONE_BOLD), it->section,
                          print_tone_off(&app->print, TONE_BOLD));
        section = it->section;
        (void)fprintf(f, " %s\n", it->key);
        put_side(app, "-", TONE_BAD, it->a);
        put_side(app, "+", TONE_GOOD, it->b);
    }
}

int cmd_diff(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m[2] = {NULL, NULL};
    struct diff d = {0};
    int64_t ids[2] = {0, 0};
    int rc = cmd_need(app, 2, "two runs", e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = sel_one(&ids[i], c, app->args.pos[i], e);
        if (rc == 0) {
            wire_put_int(conn_begin(c, "show"), "run", ids[i]);
            rc = conn_call(c, &m[i], e);
        }
    }
    if (rc == 0) {
        diff_init(&d, wire_get(wire_msg_root(m[0]), "run"), wire_get(wire_msg_root(m[1]), "run"));
        if (app->json)
            rc = print_json(app, &d, ids, e);
        else if (!app->quiet)
            show(app, &d, ids);
    }
    wire_msg_free(m[0]);
    wire_msg_free(m[1]);
    int differs = d.differs ? EXIT_ASKED_FAILED : 0;
    diff_fini(&d);
    return rc < 0 ? rc : differs;
}
