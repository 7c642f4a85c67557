#include "daemon/store/former.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/store/stmt.h"

/* ---- the log ---------------------------------------------------------------------------------------- */

int former_act(struct store *s, int64_t by, const char *act, const char *text, struct err *e)
{
    STMT_USE(st, s, ADMIN_EVENT);
    stmt_bind_int(st, 1, store_boot(s));
    stmt_bind_int(st, 2, clock_boot_ns());
    stmt_bind_opt(st, 3, by);
    stmt_bind_text(st, 4, act);
    stmt_bind_text(st, 5, text);
    return stmt_run(st, e);
}

int former_log(struct store *s, int64_t limit, int (*fn)(void *arg, const struct former_event *v),
               void *arg, struct err *e)
{
    STMT_USE(st, s, ADMIN_LOG);
    stmt_bind_int(st, 1, limit);
    int rc = 0;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct former_event v = {.id = stmt_int(st, 0),
                                       .utc_ns = store_utc_of(s, stmt_int(st, 1), stmt_int(st, 2)),
                                       .run = stmt_opt(st, 3),
                                       .actor_uid = stmt_opt(st, 4),
                                       .from = stmt_text(st, 5),
                                       .act = stmt_text(st, 6),
                                       .text = stmt_text(st, 7)};
        rc = fn(arg, &v);
        if (rc)
            return rc;
    }
    return rc;
}

/* ---- who has left ------------------------------------------------------------------------------------ */

/* Nothing of theirs may be under way: it would go on in the name of whoever gets the uid. */
static int nothing_live(struct store *s, int64_t uid, const char *name, struct err *e)
{
    char ids[200] = "";
    size_t used = 0;
    int n = 0;
    STMT_USE(st, s, FORMER_LIVE);
    stmt_bind_int(st, 1, uid);
    int rc = 0;
    while ((rc = stmt_step(st, e)) > 0 && n++ < 8)
        used += (size_t)snprintf(ids + used, sizeof(ids) - used, " %" PRId64, stmt_int(st, 0));
    if (rc < 0 || n == 0)
        return rc;
    err_set(e, WATTQ_E_CONFLICT, "runs of %.60s are not over yet:%s%s", name, ids,
            n > 8 ? " and more" : "");
    return err_next(e, "wattq cancel%s, and then again", ids);
}

static int count(struct store *s, int64_t uid, struct former *out, struct err *e)
{
    STMT_USE(st, s, FORMER_COUNT);
    stmt_bind_int(st, 1, uid);
    int rc = stmt_step(st, e);
    out->runs = rc > 0 ? stmt_int(st, 0) : 0;
    out->sweeps = rc > 0 ? stmt_int(st, 1) : 0;
    return rc < 0 ? rc : 0;
}

static int next_uid(struct store *s, int64_t *uid, struct err *e)
{
    STMT_USE(st, s, FORMER_KNOWN);
    int rc = stmt_step(st, e);
    *uid = USERS_RETIRED - 1 - (rc > 0 ? stmt_int(st, 0) : 0);
    return rc < 0 ? rc : 0;
}

static int put(struct store *s, int64_t uid, const char *name, int64_t was, struct err *e)
{
    STMT_USE(st, s, FORMER_PUT);
    stmt_bind_int(st, 1, uid);
    stmt_bind_text(st, 2, name);
    stmt_bind_int(st, 3, was);
    stmt_bind_int(st, 4, clock_utc_ns());
    return stmt_run(st, e);
}

static int hand_over(struct store *s, int64_t from, int64_t to, struct err *e)
{
    static const enum stmt_id rows[] = {
        STMT_RETIRE_RUN,    STMT_RETIRE_SWEEP, STMT_RETIRE_EVENT, STMT_RETIRE_NOTE,
        STMT_RETIRE_METRIC, STMT_RETIRE_PIN,   STMT_RETIRE_MODEL, STMT_RETIRE_CALIBRATION,
        STMT_RETIRE_ORIGIN, STMT_RETIRE_GPU};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++) {
        sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, rows[i]);
        stmt_bind_int(st, 1, from);
        stmt_bind_int(st, 2, to);
        rc = stmt_run(st, e);
    }
    return rc;
}

/* Who it was is not said: the event stays when that is to be forgotten. */
static int note(struct store *s, const char *act, const struct former *f, int64_t by, struct err *e)
{
    char name[USERS_NAME_MAX];
    char text[160];
    (void)snprintf(text, sizeof(text), "%s: %" PRId64 " runs, %" PRId64 " sweeps",
                   users_name(f->uid, name), f->runs, f->sweeps);
    return former_act(s, by, act, text, e);
}

static int tell_files(struct store *s, enum stmt_id id, int64_t uid,
                      void (*fn)(void *arg, const char *name), void *arg, struct err *e)
{
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, id);
    int rc = 0;
    stmt_bind_int(st, 1, uid);
    while ((rc = stmt_step(st, e)) > 0)
        fn(arg, stmt_text(st, 0));
    return rc;
}

int former_retire(struct store *s, const struct former_who *who, const struct former_files *files,
                  struct former *out, struct err *e)
{
    int rc = nothing_live(s, who->uid, who->name, e);
    if (rc == 0)
        rc = count(s, who->uid, out, e);
    if (rc == 0 && out->runs + out->sweeps == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "no run here is of %.60s", who->name);
        return err_next(e, "wattq usage --by user names those that have some");
    }
    if (rc == 0)
        rc = next_uid(s, &out->uid, e);
    if (rc == 0)
        rc = put(s, out->uid, who->name, who->uid, e);
    if (rc == 0)
        rc = note(s, "retire", out, who->by, e);
    if (rc == 0)
        rc = tell_files(s, STMT_RETIRE_WARRANTS, who->uid, files->warrant, files->arg, e);
    /* The last: an admin who retires himself has done this too. */
    return rc < 0 ? rc : hand_over(s, who->uid, out->uid, e);
}

int former_run(struct store *s, int64_t uid, int64_t after, int64_t *run, struct err *e)
{
    STMT_USE(st, s, FORMER_NEXT_RUN);
    stmt_bind_int(st, 1, uid);
    stmt_bind_int(st, 2, after);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *run = stmt_int(st, 0);
    return rc < 0 ? rc : rc == 0;
}

int former_list(struct store *s, int (*fn)(void *arg, const struct former_user *u), void *arg,
                struct err *e)
{
    STMT_USE(st, s, FORMER_LIST);
    int rc = 0;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct former_user u = {.uid = stmt_int(st, 0),
                                      .name = stmt_text(st, 1),
                                      .was_uid = stmt_opt(st, 2),
                                      .utc_ns = stmt_int(st, 3),
                                      .forgotten_utc_ns = stmt_opt(st, 4),
                                      .runs = stmt_int(st, 5)};
        rc = fn(arg, &u);
        if (rc)
            return rc;
    }
    return rc;
}

/* ---- who is forgotten -------------------------------------------------------------------------------- */

struct person {
    int64_t uid;
    char pseudonym[USERS_NAME_MAX];
    char *name, *was; /* NULL = forgotten already */
};

static void person_finip(struct person *p)
{
    free(p->name);
    free(p->was);
}

static int find(struct store *s, int64_t uid, struct person *p, struct err *e)
{
    p->uid = uid;
    users_name(uid, p->pseudonym);
    STMT_USE(st, s, FORMER_GET);
    stmt_bind_int(st, 1, uid);
    int rc = stmt_step(st, e);
    if (rc > 0) {
        p->name = stmt_dup(st, 0);
        p->was = stmt_dup(st, 1);
        return 0;
    }
    if (rc < 0)
        return rc;
    err_set(e, WATTQ_E_NOT_FOUND, "nobody here is called %s", p->pseudonym);
    return err_next(e, "wattq admin log lists who has left");
}

static void bind(sqlite3_stmt *st, const struct person *p)
{
    int n = sqlite3_bind_parameter_count(st);
    stmt_bind_int(st, 1, p->uid);
    if (n >= 2)
        stmt_bind_text(st, 2, p->pseudonym);
    if (n >= 3)
        stmt_bind_text(st, 3, p->name);
    if (n >= 4)
        stmt_bind_text(st, 4, p->was);
}

static int forget_rows(struct store *s, const struct person *p, struct err *e)
{
    static const enum stmt_id rows[] = {STMT_FORGET_CODE,   STMT_FORGET_LABEL, STMT_FORGET_SWEEP,
                                        STMT_FORGET_RUN,    STMT_FORGET_SPEC,  STMT_FORGET_PARAM,
                                        STMT_FORGET_TAG,    STMT_FORGET_NOTE,  STMT_FORGET_PIN,
                                        STMT_FORGET_MODEL,  STMT_FORGET_EVENT, STMT_FORGET_OTHER,
                                        STMT_FORGET_BESIDE, STMT_FORGET_GPU};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++) {
        sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, rows[i]);
        bind(st, p);
        rc = stmt_run(st, e);
    }
    return rc;
}

static int forget_name(struct store *s, int64_t uid, struct err *e)
{
    STMT_USE(st, s, FORMER_FORGOTTEN);
    stmt_bind_int(st, 1, uid);
    stmt_bind_int(st, 2, clock_utc_ns());
    return stmt_run(st, e);
}

int former_forget(struct store *s, const struct former_who *who, const struct former_files *files,
                  struct former *out, struct err *e)
{
    struct person p CLEANUP(person_finip) = {0};
    out->uid = who->uid;
    int rc = find(s, who->uid, &p, e);
    if (rc == 0)
        rc = count(s, who->uid, out, e);
    if (rc == 0) /* what is deleted is overwritten, and not left in free pages */
        rc = stmt_exec(s, "PRAGMA secure_delete = ON", e);
    if (rc == 0)
        rc = tell_files(s, STMT_FORGET_ENV, who->uid, files->env, files->arg, e);
    if (rc == 0)
        rc = forget_rows(s, &p, e);
    if (rc == 0)
        rc = forget_name(s, who->uid, e);
    return rc < 0 ? rc : note(s, "forget", out, who->by, e);
}
