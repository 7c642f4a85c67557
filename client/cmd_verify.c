/* verify: a bundle's sums, and its joules once more. */
#include <string.h>

#include "client/bundle.h"
#include "client/json.h"

static json_t *line_json(const struct verify_line *l)
{
    json_t *o = json_object();
    json_put(o, "run", l->run > 0 ? json_integer((json_int_t)l->run) : json_null());
    json_put(o, "status", json_string(verify_status_name(l->status)));
    json_put(o, "figures", json_integer((json_int_t)l->figures));
    json_put(o, "reason", l->text[0] ? json_text(l->text, strlen(l->text)) : json_null());
    return o;
}

static int print_json(const struct app *app, const struct verify_report *r, struct err *e)
{
    json_t *doc = json_object();
    json_t *runs = json_array();
    json_t *file = json_array();
    for (size_t i = 0; i < r->n; i++)
        (void)json_array_append_new(r->lines[i].run > 0 ? runs : file, line_json(&r->lines[i]));
    json_put(doc, "schema", json_string("wattq.verify/1"));
    json_put(doc, "file", json_string(app->args.pos[0]));
    json_put(doc, "manifest_sha256", json_string(r->manifest));
    json_put(doc, "tables", json_integer((json_int_t)r->tables));
    json_put(doc, "figures", json_integer((json_int_t)r->figures));
    json_put(doc, "ok", json_integer((json_int_t)r->count[VERIFY_OK]));
    json_put(doc, "differs", json_integer((json_int_t)r->count[VERIFY_DIFFERS]));
    json_put(doc, "not_recomputable", json_integer((json_int_t)r->count[VERIFY_NOT]));
    json_put(doc, "damage", file);
    json_put(doc, "runs", runs);
    return json_write(app->print.out, doc, false, e);
}

static void print_text(const struct app *app, const struct verify_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct verify_line *l = &r->lines[i];
        enum tone tone = l->status == VERIFY_OK        ? TONE_GOOD
                         : l->status == VERIFY_DIFFERS ? TONE_BAD
                                                       : TONE_WARN;
        (void)fprintf(app->print.out, "%s%-16s%s ", print_tone_on(&app->print, tone),
                      verify_status_name(l->status), print_tone_off(&app->print, tone));
        if (l->run > 0)
            (void)fprintf(app->print.out, "%6lld  ", (long long)l->run);
        if (l->status == VERIFY_OK)
            (void)fprintf(app->print.out, "%zu figures\n", l->figures);
        else
            (void)fprintf(app->print.out, "%s\n", l->text);
    }
    (void)fprintf(
        app->print.out,
        "%zu runs ok (%zu figures from the samples), %zu differ, %zu not recomputable; %zu of "
        "%zu tables damaged\nsha256:%s\n",
        r->count[VERIFY_OK], r->figures, r->count[VERIFY_DIFFERS], r->count[VERIFY_NOT], r->damage,
        r->tables, r->manifest);
}

int cmd_verify(struct app *app, struct err *e)
{
    struct verify_report r = {0};
    int rc = cmd_need(app, 1, "the file of a bundle", e);
    if (rc == 0)
        rc = verify_file(app->args.pos[0], &r, e);
    if (rc == 0 && app->json)
        rc = print_json(app, &r, e);
    else if (rc == 0)
        print_text(app, &r);
    if (rc == 0 && r.count[VERIFY_DIFFERS] + r.damage > 0)
        rc = EXIT_ASKED_FAILED;
    verify_fini(&r);
    return rc;
}
