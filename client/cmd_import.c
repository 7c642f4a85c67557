/* import: runs from files. */
#include <string.h>

#include "client/cmd.h"
#include "client/import.h"
#include "client/json.h"

static int one_file(struct app *app, const char *path, json_t *files, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct import_file f;
    struct import_result r = {0};
    int rc = import_open(&f, path, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = import_send(&f, c, &r, e);
    if (rc < 0) {
        char text[sizeof e->text];
        base_strcpy(text, sizeof text, e->text);
        if (rc != WATTQ_E_NO_DAEMON && f.name && !strstr(text, f.name))
            (void)snprintf(e->text, sizeof e->text, "%.60s: %.240s", f.name, text);
        import_close(&f);
        return rc;
    }
    if (app->json) {
        json_t *o = json_object();
        json_put(o, "file", json_text(path, strlen(path)));
        json_put(o, "machine", json_string(f.machine));
        json_put(o, "format", json_string(f.format));
        json_put(o, "imported", json_integer((json_int_t)r.imported));
        json_put(o, "already_here", json_integer((json_int_t)r.known));
        json_put(o, "not_ended", json_integer((json_int_t)r.live));
        json_put(o, "origin", r.origin > 0 ? json_integer((json_int_t)r.origin) : json_null());
        (void)json_array_append_new(files, o);
    } else {
        (void)fprintf(app->print.out, "%s: %lld runs of %s imported", f.name, (long long)r.imported,
                      f.machine);
        if (r.known > 0)
            (void)fprintf(app->print.out, ", already here: %lld", (long long)r.known);
        if (r.live > 0)
            (void)fprintf(app->print.out, ", not ended: %lld", (long long)r.live);
        (void)fputc('\n', app->print.out);
    }
    import_close(&f);
    return 0;
}

int cmd_import(struct app *app, struct err *e)
{
    json_t *files CLEANUP(json_freep) = json_array();
    int rc = cmd_need(app, 1, "a file to import", e);
    for (size_t i = 0; rc == 0 && i < app->args.npos; i++)
        rc = one_file(app, app->args.pos[i], files, e);
    if (rc < 0 || !app->json)
        return rc;
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.import/1"));
    json_put(doc, "files", json_incref(files));
    return json_write(app->print.out, doc, false, e);
}
