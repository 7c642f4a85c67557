/* admin restore: what to type to put a backup in the place of the database. We do not do it ourselves: it takes stopping
 * the daemon, and on a shared machine being its user. The commands are all that is printed on the standard output. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/admin.h"
#include "client/json.h"
#include "client/localdb.h"
#include "common/places.h"

struct way {
    bool system, unit; /* unit: it is the user's service, so systemd stops and starts it */
    int64_t pid;       /* 0 = none runs */
    char state[WATTQ_PATH_MAX];
    char *file; /* as a shell takes it */
};

/* In single quotes, for a shell. */
static char *quoted(const char *s)
{
    char *out = base_strdup("'");
    for (; *s; s++) {
        char *longer = base_printf(*s == '\'' ? "%s'\\''" : "%s%c", out, *s);
        free(out);
        out = longer;
    }
    char *end = base_printf("%s'", out);
    free(out);
    return end;
}

/* A file that can be restored, as far as we can tell without changing it. */
static int look(const char *name, int64_t *runs, struct err *e)
{
    struct localdb *db CLEANUP(localdb_closep) = NULL;
    int rc = localdb_open_file(&db, name, e);
    if (rc < 0)
        return rc;
    char *damage CLEANUP(base_freep) = localdb_text(db, "PRAGMA integrity_check(1)");
    *runs = localdb_int(db, "SELECT count(*) FROM run", -1);
    if (damage && strcmp(damage, "ok") == 0 && *runs >= 0)
        return 0;
    err_set(e, WATTQ_E_CORRUPT, "%.200s is damaged: %.200s", name,
            damage ? damage : "it cannot be read");
    return err_next(e, "try another backup");
}

/* Whose database: that of the daemon that answers; else the user's own, or the machine's where there is only that. */
static int find_way(const struct app *app, struct way *w, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    char path[WATTQ_PATH_MAX];
    size_t bytes = 0;
    int rc = places_state(w->state, e);
    if (rc < 0)
        return rc;
    if (conn_open(&c, args_str(&app->args, OPT_SOCKET, NULL), NULL) < 0) {
        w->system = access(w->state, F_OK) != 0 && access(PLACES_SYSTEM_STATE, F_OK) == 0;
        return 0;
    }
    const struct wire_val *hello = conn_hello(c);
    w->system = strcmp(wire_str(hello, "mode", "user"), "system") == 0;
    w->pid = wire_int(hello, "pid", 0);
    base_strcpy(w->state, sizeof w->state, wire_str(hello, "state_dir", w->state));
    (void)snprintf(path, sizeof path, "/proc/%lld/cgroup", (long long)w->pid);
    char *group CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, sizeof path, &bytes);
    w->unit = group && strstr(group, "/wattqd.service");
    return 0;
}

static json_t *commands(const struct way *w)
{
    json_t *list = json_array();
    char *state CLEANUP(base_freep) = quoted(w->state);
    char *line[3] = {NULL};
    if (w->system) {
        line[0] = base_strdup("sudo systemctl stop wattqd.socket wattqd.service");
        line[1] = base_printf("sudo -u wattq wattqd --mode system --restore - < %s", w->file);
        line[2] = base_strdup("sudo systemctl start wattqd.socket wattqd.service");
    } else {
        line[0] = w->unit      ? base_strdup("systemctl --user stop wattqd")
                  : w->pid > 0 ? base_printf("kill %lld; tail --pid=%lld -f /dev/null",
                                             (long long)w->pid, (long long)w->pid)
                               : NULL;
        line[1] = base_printf("wattqd --state-dir %s --restore %s", state, w->file);
        line[2] = w->unit ? base_strdup("systemctl --user start wattqd") : NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(line); i++) {
        if (line[i])
            (void)json_array_append_new(list, json_string(line[i]));
        free(line[i]);
    }
    return list;
}

static int show(const struct app *app, const struct way *w, int64_t runs, struct err *e)
{
    json_t *list = commands(w);
    if (app->json) {
        json_t *doc = json_object();
        json_put(doc, "schema", json_string("wattq.admin_restore/1"));
        json_put(doc, "runs", json_integer(runs));
        json_put(doc, "commands", list);
        return json_write(app->print.out, doc, false, e);
    }
    cmd_say(app, "%lld runs, sound. To put it in the place of the database:", (long long)runs);
    for (size_t i = 0; i < json_array_size(list); i++)
        (void)fprintf(app->print.out, "%s\n", json_string_value(json_array_get(list, i)));
    if (!w->system && !w->unit && w->pid > 0)
        cmd_say(app, "then start wattqd again as it was started");
    json_decref(list);
    return 0;
}

int admin_restore(struct app *app, struct err *e)
{
    struct way w = {.pid = 0};
    int64_t runs = 0;
    if (app->args.npos < 2) {
        err_set(e, WATTQ_E_USAGE, "wattq admin restore needs the file of a backup");
        return err_next(e, "wattq admin backup FILE makes one");
    }
    int rc = look(app->args.pos[1], &runs, e);
    if (rc == 0)
        rc = find_way(app, &w, e);
    if (rc < 0)
        return rc;
    char *whole CLEANUP(base_freep) = realpath(app->args.pos[1], NULL);
    w.file = quoted(whole ? whole : app->args.pos[1]);
    rc = show(app, &w, runs, e);
    free(w.file);
    return rc;
}
