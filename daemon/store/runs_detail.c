/* Readers of what belongs to one run: events, phases, metrics, parameters, figures. */
#include "daemon/store/runs.h"
#include "daemon/store/stmt.h"

int runs_events(struct store *s, int64_t run, int (*fn)(void *, const struct run_event *),
                void *arg, struct err *e)
{
    STMT_USE(st, s, EVENTS);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct run_event row = {stmt_int(st, 0), stmt_int(st, 1),  stmt_opt(st, 2),
                                stmt_opt(st, 3), stmt_text(st, 4), stmt_text(st, 5),
                                stmt_text(st, 6)};
        if ((rc = fn(arg, &row)) != 0)
            return rc;
    }
    return rc;
}

int runs_phases(struct store *s, int64_t run, int (*fn)(void *, const struct run_phase *),
                void *arg, struct err *e)
{
    STMT_USE(st, s, PHASES);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct run_phase row = {stmt_text(st, 0), stmt_int(st, 1), stmt_opt(st, 2)};
        if ((rc = fn(arg, &row)) != 0)
            return rc;
    }
    return rc;
}

static int visit_metrics(sqlite3_stmt *st, int (*fn)(void *, const struct run_metric *), void *arg,
                         struct err *e)
{
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct run_metric row = {stmt_int(st, 0),  stmt_opt(st, 1),  stmt_int(st, 2),
                                 stmt_text(st, 3), stmt_text(st, 4), stmt_real(st, 5)};
        if ((rc = fn(arg, &row)) != 0)
            return rc;
    }
    return rc;
}

int runs_metrics(struct store *s, int64_t run, int (*fn)(void *, const struct run_metric *),
                 void *arg, struct err *e)
{
    STMT_USE(st, s, METRICS);
    stmt_bind_int(st, 1, run);
    return visit_metrics(st, fn, arg, e);
}

int runs_metrics_tail(struct store *s, int64_t run, int64_t n,
                      int (*fn)(void *, const struct run_metric *), void *arg, struct err *e)
{
    STMT_USE(st, s, METRICS_TAIL);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, n);
    return visit_metrics(st, fn, arg, e);
}

static int ask_int(sqlite3_stmt *st, int64_t run, int64_t none, int64_t *out, struct err *e)
{
    stmt_bind_int(st, 1, run);
    int rc = stmt_step(st, e);
    *out = rc > 0 && !stmt_is_null(st, 0) ? stmt_int(st, 0) : none;
    return rc < 0 ? rc : 0;
}

int runs_metric_count(struct store *s, int64_t run, int64_t *count, int64_t *max_seq, struct err *e)
{
    STMT_USE(rows, s, METRIC_COUNT);
    STMT_USE(newest, s, METRIC_MAX);
    int rc = ask_int(rows, run, 0, count, e);
    return rc < 0 ? rc : ask_int(newest, run, -1, max_seq, e);
}

int runs_params(struct store *s, int64_t run, int (*fn)(void *, const char *key, const char *value),
                void *arg, struct err *e)
{
    STMT_USE(st, s, PARAMS);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        const char *value = stmt_text(st, 2);
        if ((rc = fn(arg, stmt_text(st, 0), value ? value : "")) != 0)
            return rc;
    }
    return rc;
}

int runs_place(struct store *s, int64_t run, struct run_place *out, struct err *e)
{
    STMT_USE(st, s, RUN_PLACE);
    *out = (struct run_place){.origin = RUN_NONE, .first_batch_ns = RUN_NONE};
    stmt_bind_int(st, 1, run);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc;
    out->origin = stmt_opt(st, 0);
    base_strcpy(out->machine, sizeof(out->machine), stmt_text(st, 1));
    out->first_batch_ns = stmt_opt(st, 2);
    out->is_pinned = !stmt_is_null(st, 3);
    if (out->is_pinned)
        base_strcpy(out->pinned, sizeof(out->pinned), stmt_text(st, 3));
    return 0;
}

int runs_machine_get(struct store *s, int64_t run, char **at_start, char **at_end, struct err *e)
{
    STMT_USE(st, s, MACHINE_OF_RUN);
    stmt_bind_int(st, 1, run);
    *at_start = *at_end = NULL;
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc;
    const char *start = stmt_text(st, 0);
    *at_start = start ? base_strdup(start) : NULL;
    const char *end = stmt_text(st, 1);
    *at_end = end ? base_strdup(end) : NULL;
    return 0;
}

static void take_figure(sqlite3_stmt *st, struct run_energy *f)
{
    const int64_t channel = stmt_opt(st, 1);
    *f = (struct run_energy){.id = stmt_int(st, 0),
                             .channel = channel == STMT_NULL ? 0 : channel,
                             .figure = stmt_text(st, 2),
                             .part = stmt_text(st, 3),
                             .method = stmt_text(st, 4),
                             .bound_basis = stmt_text(st, 5),
                             .flags = stmt_text(st, 6),
                             .reason = stmt_text(st, 7),
                             .label = stmt_text(st, 8),
                             .quality = stmt_text(st, 9),
                             .scope = stmt_text(st, 10),
                             .energy_uj = stmt_opt(st, 11),
                             .lo_uj = stmt_opt(st, 12),
                             .hi_uj = stmt_opt(st, 13),
                             .covered_ns = stmt_int(st, 14),
                             .bridged_uj = stmt_int(st, 15),
                             .unknown_ns = stmt_int(st, 16),
                             .random_uj = stmt_opt(st, 17),
                             .gain_ppm = stmt_opt(st, 18),
                             .in_total = stmt_int(st, 19) != 0,
                             .policy = stmt_text(st, 20),
                             .baseline = stmt_opt(st, 21),
                             .samples = stmt_opt(st, 22),
                             .max_gap_ns = stmt_opt(st, 23),
                             .idle_uj = stmt_opt(st, 24),
                             .range_lo_uj = stmt_opt(st, 25),
                             .range_hi_uj = stmt_opt(st, 26),
                             .sampling_uj = stmt_opt(st, 27),
                             .sampled_ppm = stmt_opt(st, 28),
                             .algo = stmt_int(st, 29),
                             .computed_utc_ns = stmt_int(st, 30),
                             .version = stmt_text(st, 31),
                             .lag_ns = stmt_opt(st, 32),
                             .lag_basis = stmt_text(st, 33),
                             .uncovered_uj = stmt_opt(st, 34),
                             .uncovered_beyond = stmt_text(st, 35)};
}

int runs_energy(struct store *s, int64_t run, int (*fn)(void *, const struct run_energy *),
                void *arg, struct err *e)
{
    STMT_USE(st, s, ENERGY_OF_RUN);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct run_energy row;
        take_figure(st, &row);
        if ((rc = fn(arg, &row)) != 0)
            return rc;
    }
    return rc;
}
