#include "daemon/store/models.h"

#include <inttypes.h>
#include <math.h>

#include "daemon/store/stmt.h"

static int put_model(struct store *s, const struct model_row *m, struct err *e)
{
    STMT_USE(st, s, MODEL_INSERT);
    stmt_bind_int(st, 1, m->created_utc_ns);
    stmt_bind_int(st, 2, m->uid);
    stmt_bind_text(st, 3, m->machine);
    stmt_bind_text(st, 4, m->backend);
    stmt_bind_text(st, 5, m->selection);
    stmt_bind_text(st, 6, m->energy);
    stmt_bind_text(st, 7, m->version);
    stmt_bind_text(st, 8, m->caches);
    stmt_bind_text(st, 9, m->report);
    return stmt_run(st, e);
}

static void bind_number(sqlite3_stmt *st, int i, double v)
{
    if (isnan(v))
        stmt_bind_opt(st, i, STMT_NULL);
    else
        stmt_bind_real(st, i, v);
}

static int put_term(struct store *s, int64_t id, const struct model_term_row *t, struct err *e)
{
    STMT_USE(st, s, MODEL_TERM_INSERT);
    stmt_bind_int(st, 1, id);
    stmt_bind_text(st, 2, t->part);
    stmt_bind_text(st, 3, t->name);
    stmt_bind_text(st, 4, t->unit);
    stmt_bind_text(st, 5, t->meaning);
    stmt_bind_real(st, 6, t->value);
    bind_number(st, 7, t->lo);
    bind_number(st, 8, t->hi);
    return stmt_run(st, e);
}

static int put_run(struct store *s, int64_t id, const struct model_run_row *r, struct err *e)
{
    {
        STMT_USE(known, s, RUN_STATE_OF);
        stmt_bind_int(known, 1, r->run);
        int rc = stmt_step(known, e);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            err_set(e, WATTQ_E_NOT_FOUND, "there is no run %" PRId64 " for a model", r->run);
            return err_next(e, "wattq runs lists them");
        }
    }
    STMT_USE(st, s, MODEL_RUN_INSERT);
    stmt_bind_int(st, 1, id);
    stmt_bind_int(st, 2, r->run);
    stmt_bind_int(st, 3, r->used);
    stmt_bind_text(st, 4, r->reason);
    return stmt_run(st, e);
}

int models_put(struct store *s, const struct model_row *m, const struct model_term_row *terms,
               size_t nterms, const struct model_run_row *runs, size_t nruns, int64_t *id,
               struct err *e)
{
    int rc = put_model(s, m, e);
    *id = rc < 0 ? 0 : stmt_last_id(s);
    for (size_t i = 0; rc == 0 && i < nterms; i++)
        rc = put_term(s, *id, &terms[i], e);
    for (size_t i = 0; rc == 0 && i < nruns; i++)
        rc = put_run(s, *id, &runs[i], e);
    return rc;
}

int models_list(struct store *s, int64_t id, model_visit fn, void *arg, struct err *e)
{
    STMT_USE(st, s, MODEL_LIST);
    stmt_bind_opt(st, 1, id == MODELS_ALL ? STMT_NULL : id);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct model_row m = {.id = stmt_int(st, 0),
                              .created_utc_ns = stmt_int(st, 1),
                              .uid = stmt_int(st, 2),
                              .machine = stmt_text(st, 3),
                              .backend = stmt_text(st, 4),
                              .selection = stmt_text(st, 5),
                              .energy = stmt_text(st, 6),
                              .version = stmt_text(st, 7),
                              .used = stmt_int(st, 8),
                              .left_out = stmt_int(st, 9)};
        rc = fn(arg, &m);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int models_texts(struct store *s, int64_t id, char **caches, char **report, struct err *e)
{
    STMT_USE(st, s, MODEL_TEXTS);
    stmt_bind_int(st, 1, id);
    *caches = *report = NULL;
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    *caches = stmt_dup(st, 0);
    *report = stmt_dup(st, 1);
    return 0;
}

static double number(sqlite3_stmt *st, int col)
{
    return stmt_is_null(st, col) ? (double)NAN : stmt_real(st, col);
}

int models_terms(struct store *s, int64_t id, int (*fn)(void *, const struct model_term_row *),
                 void *arg, struct err *e)
{
    STMT_USE(st, s, MODEL_TERMS);
    stmt_bind_int(st, 1, id);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct model_term_row t = {stmt_text(st, 0), stmt_text(st, 1), stmt_text(st, 2),
                                   stmt_text(st, 3), stmt_real(st, 4), number(st, 5),
                                   number(st, 6)};
        rc = fn(arg, &t);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int models_runs(struct store *s, int64_t id, int (*fn)(void *, const struct model_run_row *),
                void *arg, struct err *e)
{
    STMT_USE(st, s, MODEL_RUNS);
    stmt_bind_int(st, 1, id);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct model_run_row r = {stmt_int(st, 0), stmt_int(st, 1) != 0, stmt_text(st, 2)};
        rc = fn(arg, &r);
        if (rc != 0)
            return rc;
    }
    return rc;
}
