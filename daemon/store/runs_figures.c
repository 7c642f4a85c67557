/* Writers of what a run brought: phases, metrics, parameters, energy. */
#include <stdlib.h>
#include <string.h>

#include "daemon/store/runs.h"
#include "daemon/store/stmt.h"

/* 1 = a phase of that name is open. */
static int phase_is_open(struct store *s, int64_t run, const char *name, struct err *e)
{
    STMT_USE(st, s, PHASE_OPEN_ONE);
    stmt_bind_int(st, 1, run);
    int rc = stmt_step(st, e);
    return rc > 0 ? strcmp(stmt_text(st, 0), name) == 0 : rc;
}

static int close_phase(struct store *s, int64_t run, int64_t t_ns, struct err *e)
{
    STMT_USE(st, s, PHASE_CLOSE);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, t_ns);
    return stmt_run(st, e);
}

int runs_phase_open(struct store *s, int64_t run, const char *name, int64_t t_ns, struct err *e)
{
    int rc = name ? phase_is_open(s, run, name, e) : 0;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = close_phase(s, run, t_ns, e);
    if (rc < 0 || !name)
        return rc;
    STMT_USE(st, s, PHASE_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, name);
    stmt_bind_int(st, 3, t_ns);
    return stmt_run(st, e);
}

int runs_metric_put(struct store *s, int64_t run, int64_t seq, int64_t step, const char *key,
                    double value, int64_t t_ns, const char *stamp, struct err *e)
{
    STMT_USE(st, s, METRIC_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, seq);
    stmt_bind_opt(st, 3, step);
    stmt_bind_text(st, 4, key);
    stmt_bind_real(st, 5, value);
    stmt_bind_int(st, 6, t_ns);
    stmt_bind_text(st, 7, stamp);
    return stmt_run(st, e);
}

int runs_param_put(struct store *s, int64_t run, const char *key, const char *value, struct err *e)
{
    enum spec_type type = spec_param_type(value);
    STMT_USE(st, s, PARAM_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, key);
    if (type == SPEC_INT) {
        stmt_bind_text(st, 3, "int");
        stmt_bind_int(st, 4, strtoll(value, NULL, 10));
    } else if (type == SPEC_REAL) {
        stmt_bind_text(st, 3, "real");
        stmt_bind_real(st, 4, strtod(value, NULL));
    } else {
        stmt_bind_text(st, 3, "text");
        stmt_bind_text(st, 4, value);
    }
    return stmt_run(st, e);
}

/* 0; WATTQ_E_NOT_FOUND */
static int need_run(struct store *s, int64_t run, struct err *e)
{
    STMT_USE(st, s, RUN_STATE_OF);
    stmt_bind_int(st, 1, run);
    int rc = stmt_step(st, e);
    if (rc == 0)
        return err_set(e, WATTQ_E_NOT_FOUND, "there is no run %lld", (long long)run);
    return rc < 0 ? rc : 0;
}

int runs_pin(struct store *s, int64_t run, int64_t uid, int64_t utc_ns, const char *reason,
             struct err *e)
{
    int rc = need_run(s, run, e);
    if (rc)
        return rc;
    STMT_USE(st, s, PIN_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, uid);
    stmt_bind_int(st, 3, utc_ns);
    stmt_bind_text(st, 4, reason);
    return stmt_run(st, e);
}

int runs_unpin(struct store *s, int64_t run, struct err *e)
{
    int rc = need_run(s, run, e);
    if (rc)
        return rc;
    STMT_USE(st, s, PIN_DROP);
    stmt_bind_int(st, 1, run);
    return stmt_run(st, e);
}

struct put_figure {
    int64_t run;
    const char *figure;
    const char *part;
    int64_t utc_ns;
    const struct energy_set *set;
};

/* By what, and from where on its curve. */
static void bind_making(sqlite3_stmt *st, const struct put_figure *p, const struct energy_figure *f)
{
    bool beyond = f == &p->set->total && p->set->has_uncovered && strcmp(p->figure, "machine") == 0;
    stmt_bind_text(st, 25, WATTQ_VERSION);
    stmt_bind_opt(st, 26, f->lag_ns < 0 ? STMT_NULL : f->lag_ns);
    stmt_bind_text(st, 27, f->lag_basis[0] ? f->lag_basis : NULL);
    stmt_bind_opt(st, 28, beyond ? p->set->uncovered_uj : STMT_NULL);
    stmt_bind_text(st, 29, beyond ? p->set->inner : NULL);
}

static int put_figure(struct store *s, const struct put_figure *p, const struct energy_figure *f,
                      int64_t *id, struct err *e)
{
    STMT_USE(st, s, ENERGY_PUT);
    stmt_bind_int(st, 1, p->run);
    stmt_bind_opt(st, 2, f->channel ? f->channel : STMT_NULL);
    stmt_bind_text(st, 3, p->figure);
    stmt_bind_text(st, 4, p->part);
    stmt_bind_text(st, 5, energy_method_name(f->method));
    stmt_bind_int(st, 6, ENERGY_ALGO_VERSION);
    stmt_bind_opt(st, 7, f->known ? f->energy_uj : STMT_NULL);
    stmt_bind_opt(st, 8, f->known && f->bounded ? f->lo_uj : STMT_NULL);
    stmt_bind_opt(st, 9, f->known && f->bounded ? f->hi_uj : STMT_NULL);
    stmt_bind_text(st, 10, f->bound_basis);
    stmt_bind_int(st, 11, f->covered_ns);
    stmt_bind_int(st, 12, f->bridged_uj);
    stmt_bind_int(st, 13, f->unknown_ns);
    stmt_bind_opt(st, 14, f->random_uj < 0 ? STMT_NULL : f->random_uj);
    stmt_bind_opt(st, 15, f->gain_ppm ? f->gain_ppm : STMT_NULL);
    stmt_bind_text(st, 16, f->flags);
    stmt_bind_text(st, 17, f->reason[0] ? f->reason : NULL);
    stmt_bind_int(st, 18, p->utc_ns);
    stmt_bind_opt(st, 19, f->baseline ? f->baseline : STMT_NULL);
    stmt_bind_opt(st, 20, f->samples < 0 ? STMT_NULL : f->samples);
    stmt_bind_opt(st, 21, f->max_gap_ns < 0 ? STMT_NULL : f->max_gap_ns);
    stmt_bind_opt(st, 22, f->has_idle ? f->idle_uj : STMT_NULL);
    stmt_bind_opt(st, 23, f->sampling_uj < 0 ? STMT_NULL : f->sampling_uj);
    stmt_bind_opt(st, 24, f->sampled_ppm ? f->sampled_ppm : STMT_NULL);
    bind_making(st, p, f);
    int rc = stmt_run(st, e);
    if (rc == 0)
        *id = stmt_last_id(s);
    return rc;
}

static int put_part(struct store *s, int64_t total, int64_t channel, struct err *e)
{
    STMT_USE(st, s, ENERGY_PART_PUT);
    stmt_bind_int(st, 1, total);
    stmt_bind_int(st, 2, channel);
    return stmt_run(st, e);
}

/* The copy that lists and filters read; after the parts, whose quality is the total's. */
static int put_run_total(struct store *s, int64_t total, struct err *e)
{
    STMT_USE(st, s, RUN_TOTAL_PUT);
    stmt_bind_int(st, 1, total);
    return stmt_run(st, e);
}

int runs_energy_put(struct store *s, int64_t run, const char *figure, const char *part,
                    const struct energy_set *set, int64_t utc_ns, struct err *e)
{
    const struct put_figure p = {run, figure, part, utc_ns, set};
    int64_t total = 0;
    int64_t id = 0;
    int rc = put_figure(s, &p, &set->total, &total, e);
    for (size_t i = 0; rc == 0 && i < set->n; i++) {
        rc = put_figure(s, &p, &set->figures[i], &id, e);
        if (rc == 0 && set->in_total[i])
            rc = put_part(s, total, set->figures[i].channel, e);
    }
    if (rc == 0 && strcmp(figure, "machine") == 0 && strcmp(part, "window") == 0)
        rc = put_run_total(s, total, e);
    return rc;
}
