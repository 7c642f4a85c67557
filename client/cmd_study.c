/* study: planning a repetition of the study, moving its knees, and its control chart. */
#include <stdlib.h>
#include <string.h>

#include "client/study_cmd.h"
#include "common/suggest.h"

void words_put(struct words *w, const char *text)
{
    char **p = realloc(w->at, (w->n + 2) * sizeof *p);
    if (!p)
        abort();
    w->at = p;
    p[w->n++] = base_strdup(text);
    p[w->n] = NULL;
}

void words_finip(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->at[i]);
    free(w->at);
    *w = (struct words){0};
}

char *words_line(const struct words *w, size_t from)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_.,:/=^+@%";
    char *line = base_strdup("");
    for (size_t i = from; i < w->n; i++) {
        bool bare = w->at[i][0] && w->at[i][strspn(w->at[i], plain)] == '\0';
        char *longer = base_printf("%s%s%s%s%s", line, i > from ? " " : "", bare ? "" : "'",
                                   w->at[i], bare ? "" : "'");
        free(line);
        line = longer;
    }
    return line;
}

static const struct sub {
    const char *name;
    int (*run)(struct app *app, struct err *e);
} subs[] = {{"plan", study_plan}, {"cache", study_cache}, {"canary", study_canary}};

int cmd_study(struct app *app, struct err *e)
{
    struct suggest s;
    int rc = cmd_need(app, 1, "plan, cache or canary", e);
    if (rc < 0)
        return rc;
    const char *name = app->args.pos[0];
    suggest_init(&s, name);
    for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
        if (strcmp(subs[i].name, name) == 0)
            return subs[i].run(app, e);
        suggest_offer(&s, subs[i].name);
    }
    err_set(e, WATTQ_E_USAGE, "wattq study does not know '%.60s'", name);
    return err_next(e, s.best ? "did you mean wattq study %s?" : "wattq study plan", s.best);
}
