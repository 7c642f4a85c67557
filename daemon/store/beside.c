#include "daemon/store/beside.h"

#include "daemon/store/stmt.h"

_Static_assert(COMPANION_NONE == STMT_NULL, "unknown is stored as NULL");

static int clear(struct store *s, int64_t run, struct err *e)
{
    STMT_USE(st, s, BESIDE_CLEAR);
    stmt_bind_int(st, 1, run);
    return stmt_run(st, e);
}

static int put(struct store *s, int64_t run, int64_t channel, const struct companion *c,
               struct err *e)
{
    STMT_USE(st, s, BESIDE_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, channel);
    stmt_bind_int(st, 3, c->samples);
    stmt_bind_int(st, 4, c->known_ns);
    stmt_bind_opt(st, 5, c->min);
    stmt_bind_opt(st, 6, c->mean);
    stmt_bind_opt(st, 7, c->max);
    stmt_bind_int(st, 8, c->first);
    stmt_bind_int(st, 9, c->last);
    stmt_bind_opt(st, 10, c->gained);
    stmt_bind_opt(st, 11, c->bits);
    stmt_bind_opt(st, 12, c->limited_ns);
    stmt_bind_opt(st, 13, c->capped_ns);
    return stmt_run(st, e);
}

int beside_keep(struct store *s, int64_t run, const struct companions *c, struct err *e)
{
    int rc = clear(s, run, e);
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = put(s, run, c->channels[i].id, &c->at[i], e);
    return rc;
}

int beside_of_run(struct store *s, int64_t run, int (*fn)(void *arg, const struct beside_row *r),
                  void *arg, struct err *e)
{
    STMT_USE(st, s, BESIDE_OF_RUN);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct beside_row r = {
            .channel = stmt_int(st, 0),
            .uid = stmt_text(st, 1),
            .label = stmt_text(st, 2),
            .unit = stmt_text(st, 3),
            .scope = stmt_text(st, 4),
            .device = stmt_text(st, 5),
            .default_uw = stmt_opt(st, 6),
            .c = {.samples = stmt_int(st, 7),
                  .known_ns = stmt_int(st, 8),
                  .min = stmt_opt(st, 9),
                  .mean = stmt_opt(st, 10),
                  .max = stmt_opt(st, 11),
                  .first = stmt_int(st, 12),
                  .last = stmt_int(st, 13),
                  .gained = stmt_opt(st, 14),
                  .bits = stmt_opt(st, 15),
                  .limited_ns = stmt_opt(st, 16),
                  .capped_ns = stmt_opt(st, 17)},
        };
        rc = fn(arg, &r);
        if (rc)
            return rc;
    }
    return rc;
}
