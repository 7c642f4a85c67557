#include "daemon/store/runs_marks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/store/stmt.h"

void run_mark_fini(struct run_mark *m)
{
    for (size_t i = 0; i < m->nadd; i++)
        free(m->add[i]);
    for (size_t i = 0; i < m->ndrop; i++)
        free(m->drop[i]);
    free(m->add);
    free(m->drop);
    free(m->values);
    free(m->text);
    *m = (struct run_mark){0};
}

bool run_tag_ok(const char *tag)
{
    size_t n = strlen(tag);
    if (n == 0 || n > RUN_TAG_MAX || !isalnum((unsigned char)tag[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)tag[i]) && !strchr("_.:-", tag[i]))
            return false;
    return true;
}

/* ---- who and what it is --------------------------------------------------------------------------- */

struct marked {
    int64_t run;
    int64_t uid;
    bool own; /* his own run */
    char state[16];
    char *label;
};

static int find(struct store *s, struct run_actor by, struct marked *x, struct err *e)
{
    STMT_USE(st, s, RUN_OWNER);
    stmt_bind_int(st, 1, x->run);
    int rc = stmt_step(st, e);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no run %lld", (long long)x->run);
        return err_next(e, "wattq runs lists them");
    }
    if (!run_actor_may(by, stmt_int(st, 0)))
        return err_set(e, WATTQ_E_FORBIDDEN, "run %lld is somebody else's", (long long)x->run);
    x->uid = by.uid;
    x->own = by.uid == stmt_int(st, 0);
    base_strcpy(x->state, sizeof x->state, stmt_text(st, 1));
    x->label = stmt_dup(st, 2);
    return 0;
}

/* A move to the state it is in already: the history says who did what and when. */
static int put_event(struct store *s, const struct marked *x, const char *reason, struct err *e)
{
    STMT_USE(st, s, EVENT_PUT);
    stmt_bind_int(st, 1, store_boot(s));
    stmt_bind_int(st, 2, clock_boot_ns());
    stmt_bind_int(st, 3, x->run);
    stmt_bind_opt(st, 4, x->uid);
    stmt_bind_text(st, 5, x->state);
    stmt_bind_text(st, 6, x->state);
    stmt_bind_text(st, 7, reason);
    return stmt_run(st, e);
}

int runs_act(struct store *s, int64_t run, struct run_actor by, const char *what, struct err *e)
{
    struct marked x = {.run = run};
    int rc = find(s, by, &x, e);
    free(x.label);
    return rc < 0 || x.own ? rc : put_event(s, &x, what, e);
}

int runs_done_to(struct store *s, int64_t run, struct run_actor by, const char *what, struct err *e)
{
    struct marked x = {.run = run};
    int rc = find(s, by, &x, e);
    free(x.label);
    return rc < 0 ? rc : put_event(s, &x, what, e);
}

int runs_remark(struct store *s, int64_t run, const char *what, struct err *e)
{
    struct marked x = {.run = run};
    int rc = find(s, (struct run_actor){RUN_NONE, true}, &x, e);
    free(x.label);
    return rc < 0 ? rc : put_event(s, &x, what, e);
}

int runs_on_end_owed(struct store *s, struct runs_owed *out, size_t cap, size_t *n, struct err *e)
{
    int rc = 0;
    STMT_USE(st, s, ON_END_OWED);
    stmt_bind_int(st, 1, (int64_t)cap);
    *n = 0;
    while (*n < cap && (rc = stmt_step(st, e)) > 0)
        out[(*n)++] = (struct runs_owed){stmt_int(st, 0), stmt_int(st, 1)};
    return rc < 0 ? rc : 0;
}

int runs_sweep_act(struct store *s, int64_t sweep, int64_t uid, const char *what, struct err *e)
{
    STMT_USE(st, s, EVENT_SWEEP);
    stmt_bind_int(st, 1, store_boot(s));
    stmt_bind_int(st, 2, clock_boot_ns());
    stmt_bind_int(st, 3, sweep);
    stmt_bind_int(st, 4, uid);
    stmt_bind_text(st, 5, what);
    return stmt_run(st, e);
}

/* ---- tags ----------------------------------------------------------------------------------------- */

static int count(struct store *s, enum stmt_id id, int64_t run, int64_t *n, struct err *e)
{
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, id);
    stmt_bind_int(st, 1, run);
    int rc = stmt_step(st, e);
    *n = rc > 0 ? stmt_int(st, 0) : 0;
    return rc < 0 ? rc : 0;
}

/* changed: whether there was anything to do. */
static int one_tag(struct store *s, enum stmt_id id, int64_t run, const char *tag, bool *changed,
                   struct err *e)
{
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, id);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, tag);
    int rc = stmt_run(st, e);
    *changed = rc == 0 && stmt_changes(s) > 0;
    return rc;
}

static void append(char **text, const char *sign, const char *tag)
{
    char *longer = base_printf("%s %s%s", *text, sign, tag);
    free(*text);
    *text = longer;
}

static int mark_tags(struct store *s, const struct marked *x, const struct run_mark *m,
                     struct err *e)
{
    char *said CLEANUP(base_freep) = base_strdup("tags:");
    bool changed = false;
    bool any = false;
    int64_t n = 0;
    int rc = count(s, STMT_TAG_COUNT, x->run, &n, e);
    if (rc == 0 && n + (int64_t)m->nadd > RUN_TAGS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "run %lld would have more than %d tags", (long long)x->run,
                       RUN_TAGS_MAX);
    for (size_t i = 0; rc == 0 && i < m->ndrop; i++) {
        rc = one_tag(s, STMT_TAG_DROP, x->run, m->drop[i], &changed, e);
        if (changed)
            append(&said, "-", m->drop[i]);
        any = any || changed;
    }
    for (size_t i = 0; rc == 0 && i < m->nadd; i++) {
        rc = one_tag(s, STMT_TAG_PUT, x->run, m->add[i], &changed, e);
        if (changed)
            append(&said, "+", m->add[i]);
        any = any || changed;
    }
    return rc == 0 && any ? put_event(s, x, said, e) : rc;
}

/* ---- notes, labels, numbers ----------------------------------------------------------------------- */

static int mark_note(struct store *s, const struct marked *x, const struct run_mark *m,
                     int64_t utc_ns, struct err *e)
{
    int64_t n = 0;
    int rc = count(s, STMT_NOTE_COUNT, x->run, &n, e);
    if (rc < 0)
        return rc;
    if (n >= RUN_NOTES_MAX)
        return err_set(e, WATTQ_E_LIMIT, "run %lld has %d notes already", (long long)x->run,
                       RUN_NOTES_MAX);
    STMT_USE(st, s, NOTE_PUT);
    stmt_bind_int(st, 1, x->run);
    stmt_bind_int(st, 2, x->uid);
    stmt_bind_int(st, 3, utc_ns);
    stmt_bind_text(st, 4, m->text);
    return stmt_run(st, e);
}

static int set_label(struct store *s, int64_t run, const char *label, struct err *e)
{
    STMT_USE(st, s, RUN_SET_LABEL);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, label);
    return stmt_run(st, e);
}

static int mark_label(struct store *s, const struct marked *x, const struct run_mark *m,
                      struct err *e)
{
    if (strcmp(x->label, m->text) == 0)
        return 0;
    char *said CLEANUP(base_freep) = base_printf("label: '%s', was '%s'", m->text, x->label);
    int rc = set_label(s, x->run, m->text, e);
    return rc < 0 ? rc : put_event(s, x, said, e);
}

/* 1 = the program wrote it. */
static int is_programs(struct store *s, int64_t run, const char *key, struct err *e)
{
    STMT_USE(st, s, HEAD_BY);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, key);
    int rc = stmt_step(st, e);
    return rc > 0 ? stmt_is_null(st, 0) : rc;
}

static int put_head(struct store *s, const struct marked *x, const char *key, double value,
                    struct err *e)
{
    STMT_USE(st, s, HEAD_PUT);
    stmt_bind_int(st, 1, x->run);
    stmt_bind_text(st, 2, key);
    stmt_bind_real(st, 3, value);
    stmt_bind_int(st, 4, x->uid);
    return stmt_run(st, e);
}

static int mark_metrics(struct store *s, const struct marked *x, const struct run_mark *m,
                        struct err *e)
{
    char *said CLEANUP(base_freep) = base_strdup("metrics:");
    int rc = 0;
    for (size_t i = 0; !m->force && i < m->nadd; i++) {
        rc = is_programs(s, x->run, m->add[i], e);
        if (rc < 0)
            return rc;
        if (rc > 0) {
            err_set(e, WATTQ_E_CONFLICT, "run %lld itself reported '%s'", (long long)x->run,
                    m->add[i]);
            return err_next(e, "choose another name, or write over it with --force (what it "
                               "reported stays in its epochs)");
        }
    }
    for (size_t i = 0; i < m->nadd; i++) {
        char number[32];
        rc = put_head(s, x, m->add[i], m->values[i], e);
        if (rc < 0)
            return rc;
        (void)snprintf(number, sizeof number, "=%.17g", m->values[i]);
        append(&said, m->add[i], number);
    }
    return put_event(s, x, said, e);
}

static int put_mark(struct store *s, const struct marked *x, const struct run_mark *m,
                    int64_t utc_ns, struct err *e)
{
    switch (m->kind) {
    case RUN_MARK_TAG:
        return mark_tags(s, x, m, e);
    case RUN_MARK_NOTE:
        return mark_note(s, x, m, utc_ns, e);
    case RUN_MARK_LABEL:
        return mark_label(s, x, m, e);
    case RUN_MARK_METRIC:
        break;
    }
    return mark_metrics(s, x, m, e);
}

int runs_mark(struct store *s, int64_t run, struct run_actor by, const struct run_mark *m,
              int64_t utc_ns, struct err *e)
{
    struct marked x = {.run = run};
    int rc = find(s, by, &x, e);
    if (rc == 0)
        rc = put_mark(s, &x, m, utc_ns, e);
    free(x.label);
    return rc;
}

/* ---- readers -------------------------------------------------------------------------------------- */

int runs_tags(struct store *s, int64_t run, int (*fn)(void *, const char *tag), void *arg,
              struct err *e)
{
    STMT_USE(st, s, TAGS);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0)
        if ((rc = fn(arg, stmt_text(st, 0))) != 0)
            return rc;
    return rc;
}

int runs_notes(struct store *s, int64_t run, int (*fn)(void *, const struct run_note *), void *arg,
               struct err *e)
{
    STMT_USE(st, s, NOTES);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct run_note n = {stmt_int(st, 0), stmt_int(st, 1), stmt_text(st, 2)};
        if ((rc = fn(arg, &n)) != 0)
            return rc;
    }
    return rc;
}

int runs_heads(struct store *s, int64_t run, int (*fn)(void *, const struct run_head *), void *arg,
               struct err *e)
{
    STMT_USE(st, s, HEADS);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct run_head h = {stmt_text(st, 0), stmt_int(st, 1),  stmt_real(st, 2),
                                   stmt_real(st, 3), stmt_real(st, 4), stmt_real(st, 5),
                                   stmt_opt(st, 6),  stmt_opt(st, 7)};
        if ((rc = fn(arg, &h)) != 0)
            return rc;
    }
    return rc;
}
