#include "daemon/store/baselines.h"

#include "daemon/store/stmt.h"

static int64_t or_null(bool known, int64_t v)
{
    return known ? v : STMT_NULL;
}

int baselines_put(struct store *s, const struct baseline *b, int64_t *id, struct err *e)
{
    STMT_USE(st, s, BASELINE_PUT);
    stmt_bind_int(st, 1, b->channel);
    stmt_bind_int(st, 2, b->boot);
    stmt_bind_int(st, 3, b->t0_ns);
    stmt_bind_int(st, 4, b->t1_ns);
    stmt_bind_int(st, 5, b->power_uw);
    stmt_bind_int(st, 6, b->spread_uw);
    stmt_bind_int(st, 7, b->n);
    stmt_bind_opt(st, 8, b->temp_mc);
    stmt_bind_opt(st, 9, or_null(b->busy_ppm >= 0, b->busy_ppm));
    stmt_bind_int(st, 10, b->created_utc_ns);
    stmt_bind_opt(st, 11, or_null(b->run > 0, b->run));
    stmt_bind_text(st, 12, b->basis);
    int rc = stmt_run(st, e);
    *id = rc < 0 ? 0 : stmt_last_id(s);
    return rc;
}

_Static_assert(STMT_NULL == INT64_MIN, "an unknown temperature is handed on as it is");

static void read_baseline(sqlite3_stmt *st, struct baseline *b)
{
    *b = (struct baseline){
        .id = stmt_int(st, 0),
        .channel = stmt_int(st, 1),
        .boot = stmt_int(st, 2),
        .t0_ns = stmt_int(st, 3),
        .t1_ns = stmt_int(st, 4),
        .power_uw = stmt_int(st, 5),
        .spread_uw = stmt_int(st, 6),
        .n = stmt_int(st, 7),
        .temp_mc = stmt_opt(st, 8),
        .busy_ppm = stmt_is_null(st, 9) ? -1 : stmt_int(st, 9),
        .created_utc_ns = stmt_int(st, 10),
        .run = stmt_int(st, 11), /* NULL is no run: 0 */
    };
    base_strcpy(b->basis, sizeof(b->basis), stmt_text(st, 12));
}

/* The row a statement stands for. 0; 1 = none. */
static int one_baseline(sqlite3_stmt *st, struct baseline *out, struct err *e)
{
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    read_baseline(st, out);
    return 0;
}

int baselines_of_run(struct store *s, int64_t channel, int64_t run, struct baseline *out,
                     struct err *e)
{
    STMT_USE(st, s, BASELINE_OF_RUN);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, run);
    return one_baseline(st, out, e);
}

int baselines_in_force(struct store *s, int64_t channel, int64_t utc_ns, struct baseline *out,
                       struct err *e)
{
    STMT_USE(st, s, BASELINE_IN_FORCE);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, utc_ns);
    return one_baseline(st, out, e);
}

int baselines_get(struct store *s, int64_t id, struct baseline *out, struct err *e)
{
    STMT_USE(st, s, BASELINE_GET);
    stmt_bind_int(st, 1, id);
    return one_baseline(st, out, e);
}

int baselines_list(struct store *s, int64_t channel, int64_t limit,
                   int (*fn)(void *arg, const struct baseline *b), void *arg, struct err *e)
{
    STMT_USE(st, s, BASELINE_LIST);
    stmt_bind_opt(st, 1, channel);
    stmt_bind_int(st, 2, limit);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct baseline b;
        read_baseline(st, &b);
        rc = fn(arg, &b);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* ---- calibrations ------------------------------------------------------------------------------- */

int calibrations_put(struct store *s, const struct calibration *c, int64_t *id, struct err *e)
{
    STMT_USE(st, s, CALIBRATION_PUT);
    stmt_bind_int(st, 1, c->channel);
    stmt_bind_int(st, 2, c->against);
    stmt_bind_int(st, 3, c->boot);
    stmt_bind_int(st, 4, c->t0_ns);
    stmt_bind_int(st, 5, c->t1_ns);
    stmt_bind_int(st, 6, c->n);
    stmt_bind_int(st, 7, c->gain_ppm);
    stmt_bind_int(st, 8, c->offset_uw);
    stmt_bind_int(st, 9, c->residual_uw);
    stmt_bind_int(st, 10, c->lo_uw);
    stmt_bind_int(st, 11, c->hi_uw);
    stmt_bind_opt(st, 12, c->actor_uid);
    stmt_bind_int(st, 13, c->created_utc_ns);
    stmt_bind_text(st, 14, c->serial);
    int rc = stmt_run(st, e);
    *id = rc < 0 ? 0 : stmt_last_id(s);
    return rc;
}

int calibrations_note(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                      const char *text, struct err *e)
{
    STMT_USE(st, s, NOTE_INSERT);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    stmt_bind_text(st, 4, "calibrated");
    stmt_bind_text(st, 5, text);
    return stmt_run(st, e);
}

static void read_calibration(sqlite3_stmt *st, struct calibration *c)
{
    *c = (struct calibration){
        .id = stmt_int(st, 0),
        .channel = stmt_int(st, 1),
        .against = stmt_int(st, 2),
        .boot = stmt_int(st, 3),
        .t0_ns = stmt_int(st, 4),
        .t1_ns = stmt_int(st, 5),
        .n = stmt_int(st, 6),
        .gain_ppm = stmt_int(st, 7),
        .offset_uw = stmt_int(st, 8),
        .residual_uw = stmt_int(st, 9),
        .lo_uw = stmt_int(st, 10),
        .hi_uw = stmt_int(st, 11),
        .actor_uid = stmt_opt(st, 12),
        .created_utc_ns = stmt_int(st, 13),
    };
    base_strcpy(c->serial, sizeof(c->serial), stmt_text(st, 14));
}

int calibrations_newest(struct store *s, int64_t channel, struct calibration *out, struct err *e)
{
    STMT_USE(st, s, CALIBRATION_NEWEST);
    stmt_bind_int(st, 1, channel);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    read_calibration(st, out);
    return 0;
}

int calibrations_list(struct store *s, int64_t channel, int64_t limit,
                      int (*fn)(void *arg, const struct calibration *c), void *arg, struct err *e)
{
    STMT_USE(st, s, CALIBRATION_LIST);
    stmt_bind_opt(st, 1, channel);
    stmt_bind_int(st, 2, limit);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct calibration c;
        read_calibration(st, &c);
        rc = fn(arg, &c);
        if (rc != 0)
            return rc;
    }
    return rc;
}
