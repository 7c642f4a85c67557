/* Readers of the run tables. */
#include <stdlib.h>
#include <string.h>

#include "daemon/store/runs.h"
#include "daemon/store/stmt.h"

static char *text_or_empty(sqlite3_stmt *st, int col)
{
    const char *s = stmt_text(st, col);
    return base_strdup(s ? s : "");
}

/* Columns in the order of SQL_RUN_COLS. */
static int take_row(sqlite3_stmt *st, struct run_row *r, struct err *e)
{
    *r = (struct run_row){.id = stmt_int(st, 0), .token = stmt_int(st, 2), .uid = stmt_int(st, 3)};
    base_strcpy(r->uuid, sizeof(r->uuid), stmt_text(st, 1));
    if (run_state_parse(stmt_text(st, 4), &r->state))
        return err_set(e, WATTQ_E_CORRUPT, "run %lld has an unknown state", (long long)r->id);
    r->kind = runs_kind_parse(stmt_text(st, 5));
    r->spec_json = text_or_empty(st, 6);
    r->label = text_or_empty(st, 7);
    r->project = text_or_empty(st, 8);
    r->reason = text_or_empty(st, 9);
    r->mode = text_or_empty(st, 10);
    r->env_hash = stmt_dup(st, 11);
    r->code_hash = stmt_dup(st, 12);
    r->cpu_basis = stmt_dup(st, 13);
    int64_t *const ints[] = {&r->sweep,          &r->sweep_index,  &r->retry_of,
                             &r->priority,       &r->boot,         &r->t0_ns,
                             &r->main_exit_ns,   &r->t1_ns,        &r->submitted_utc_ns,
                             &r->started_utc_ns, &r->ended_utc_ns, &r->exit_code,
                             &r->term_signal,    &r->cpu_us,       &r->maxrss_bytes,
                             &r->leftovers};
    for (size_t i = 0; i < ARRAY_LEN(ints); i++)
        *ints[i] = stmt_opt(st, 14 + (int)i);
    r->warrant = stmt_dup(st, 30);
    r->mem_peak_bytes = stmt_opt(st, 31);
    r->place = stmt_opt(st, 32);
    return 0;
}

void run_row_fini(struct run_row *r)
{
    free(r->spec_json);
    free(r->label);
    free(r->project);
    free(r->reason);
    free(r->mode);
    free(r->env_hash);
    free(r->code_hash);
    free(r->cpu_basis);
    free(r->warrant);
    *r = (struct run_row){0};
}

static int visit_rows(sqlite3_stmt *st, run_visit fn, void *arg, struct err *e)
{
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct run_row row CLEANUP(run_row_fini) = {0};
        rc = take_row(st, &row, e);
        if (rc == 0)
            rc = fn(arg, &row);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int runs_get(struct store *s, int64_t id, struct run_row *out, struct err *e)
{
    STMT_USE(st, s, RUN_GET);
    stmt_bind_int(st, 1, id);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    rc = take_row(st, out, e);
    if (rc < 0)
        run_row_fini(out);
    return rc;
}

int runs_imported(struct store *s, int64_t run, struct err *e)
{
    STMT_USE(st, s, RUN_IMPORTED);
    stmt_bind_int(st, 1, run);
    int rc = stmt_step(st, e);
    return rc > 0 ? stmt_int(st, 0) != 0 : rc;
}

int runs_live(struct store *s, run_visit fn, void *arg, struct err *e)
{
    STMT_USE(st, s, RUN_LIVE_ALL);
    return visit_rows(st, fn, arg, e);
}

int runs_recent(struct store *s, int64_t n, run_visit fn, void *arg, struct err *e)
{
    STMT_USE(st, s, RUN_RECENT);
    stmt_bind_int(st, 1, n);
    return visit_rows(st, fn, arg, e);
}

int runs_token_max(struct store *s, int64_t *token, struct err *e)
{
    STMT_USE(st, s, RUN_TOKEN_MAX);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *token = stmt_int(st, 0);
    return rc < 0 ? rc : 0;
}

int runs_list(struct store *s, const struct run_query *q, run_visit fn, void *arg, struct err *e)
{
    enum stmt_id id = q->sweep != RUN_NONE ? STMT_RUN_LIST_SWEEP
                      : q->label           ? STMT_RUN_LIST_LABEL
                      : q->state >= 0      ? STMT_RUN_LIST_STATE
                                           : STMT_RUN_LIST;
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(s, id);
    stmt_bind_int(st, 1, q->before_id != RUN_NONE ? q->before_id : INT64_MAX);
    stmt_bind_opt(st, 2, q->uid);
    stmt_bind_text(st, 3, q->state >= 0 ? run_state_name((enum run_state)q->state) : NULL);
    stmt_bind_opt(st, 4, q->since_utc_ns);
    stmt_bind_opt(st, 5, q->until_utc_ns);
    stmt_bind_int(st, 6, q->limit);
    if (id == STMT_RUN_LIST_SWEEP)
        stmt_bind_int(st, 7, q->sweep);
    else if (id == STMT_RUN_LIST_LABEL)
        stmt_bind_text(st, 7, q->label);
    else if (id == STMT_RUN_LIST_STATE)
        stmt_bind_text(st, 7, run_state_name((enum run_state)q->state));
    return visit_rows(st, fn, arg, e);
}

int runs_retried_by(struct store *s, int64_t run, int64_t *by, struct err *e)
{
    STMT_USE(st, s, RUN_RETRIED_BY);
    stmt_bind_int(st, 1, run);
    int rc;
    *by = RUN_NONE;
    while ((rc = stmt_step(st, e)) > 0)
        *by = stmt_int(st, 0);
    return rc;
}

int runs_overlap(struct store *s, int64_t run, const struct energy_window *w, struct err *e)
{
    STMT_USE(st, s, RUN_OVERLAP);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, w->boot);
    stmt_bind_int(st, 3, w->t0_ns);
    stmt_bind_int(st, 4, w->t1_ns);
    return stmt_step(st, e);
}

int runs_windows(struct store *s, const struct energy_window *w,
                 int (*fn)(void *, int64_t t0_ns, int64_t t1_ns), void *arg, struct err *e)
{
    STMT_USE(st, s, RUN_WINDOWS);
    stmt_bind_int(st, 1, w->boot);
    stmt_bind_int(st, 2, w->t0_ns);
    stmt_bind_int(st, 3, w->t1_ns);
    int rc;
    while ((rc = stmt_step(st, e)) > 0)
        if ((rc = fn(arg, stmt_int(st, 0), stmt_int(st, 1))) != 0)
            return rc;
    return rc;
}

#define SERVED_EVENTS 50000 /* some ten ms of reading */

int runs_served(struct store *s, int (*fn)(void *, int64_t uid), void *arg, struct err *e)
{
    STMT_USE(st, s, RUN_SERVED);
    stmt_bind_int(st, 1, SERVED_EVENTS);
    int rc;
    while ((rc = stmt_step(st, e)) > 0)
        if ((rc = fn(arg, stmt_int(st, 0))) != 0)
            return rc;
    return rc;
}

int runs_lengths(struct store *s, int64_t most, int (*fn)(void *, const struct run_length *),
                 void *arg, struct err *e)
{
    STMT_USE(st, s, RUN_LENGTHS);
    stmt_bind_int(st, 1, most);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct run_length r = {stmt_int(st, 0), stmt_opt(st, 1), stmt_int(st, 2),
                                     stmt_text(st, 3), stmt_text(st, 4)};
        if ((rc = fn(arg, &r)) != 0)
            return rc < 0 ? rc : 0;
    }
    return rc;
}

int runs_sweep_counts(struct store *s, int64_t id, int64_t counts[RUN_STATES], struct err *e)
{
    STMT_USE(st, s, SWEEP_COUNTS);
    stmt_bind_int(st, 1, id);
    int rc;
    enum run_state state;
    memset(counts, 0, RUN_STATES * sizeof(*counts));
    while ((rc = stmt_step(st, e)) > 0)
        if (run_state_parse(stmt_text(st, 0), &state) == 0)
            counts[state] = stmt_int(st, 1);
    return rc;
}

int runs_sweep_get(struct store *s, int64_t id, int (*fn)(void *, const struct run_sweep *),
                   void *arg, struct err *e)
{
    STMT_USE(st, s, SWEEP_GET);
    stmt_bind_opt(st, 1, id);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct run_sweep row = {stmt_int(st, 0),  stmt_int(st, 1),  stmt_int(st, 2),
                                stmt_text(st, 3), stmt_text(st, 4), stmt_text(st, 5),
                                stmt_text(st, 6)};
        if ((rc = fn(arg, &row)) != 0)
            return rc;
    }
    return rc;
}

int runs_env_get(struct store *s, const char *hash, char **path, char **shown_json, struct err *e)
{
    STMT_USE(st, s, ENV_GET);
    stmt_bind_text(st, 1, hash);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    *path = stmt_dup(st, 0);
    *shown_json = stmt_dup(st, 1);
    return 0;
}

int runs_code_get(struct store *s, const char *hash, int (*fn)(void *, const struct run_code *),
                  void *arg, struct err *e)
{
    STMT_USE(st, s, CODE_GET);
    stmt_bind_text(st, 1, hash);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc;
    struct run_code c = {.commit_id = stmt_text(st, 0),
                         .dirty = stmt_is_null(st, 1) ? -1 : (int)stmt_int(st, 1),
                         .diff = stmt_text(st, 2),
                         .script_sha256 = stmt_text(st, 3),
                         .interpreter = stmt_text(st, 4)};
    base_strcpy(c.hash, sizeof(c.hash), hash);
    return fn(arg, &c);
}
