#include "daemon/store/others.h"

#include "daemon/store/stmt.h"

int others_put(struct store *s, const struct other_use *u, int64_t t0_ns, int64_t t1_ns,
               struct err *e)
{
    STMT_USE(st, s, OTHER_PUT);
    stmt_bind_int(st, 1, store_boot(s));
    stmt_bind_int(st, 2, t0_ns);
    stmt_bind_int(st, 3, t1_ns);
    stmt_bind_text(st, 4, u->kind);
    stmt_bind_text(st, 5, u->owner);
    stmt_bind_text(st, 6, u->device);
    stmt_bind_int(st, 7, u->busy_us);
    return stmt_run(st, e);
}

static int clear(struct store *s, int64_t run, struct err *e)
{
    STMT_USE(st, s, RUN_OTHER_CLEAR);
    stmt_bind_int(st, 1, run);
    return stmt_run(st, e);
}

int others_keep(struct store *s, int64_t run, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                struct err *e)
{
    int rc = clear(s, run, e);
    if (rc < 0)
        return rc;
    STMT_USE(st, s, RUN_OTHER_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t0_ns);
    stmt_bind_int(st, 4, t1_ns);
    stmt_bind_int(st, 5, OTHERS_STRETCH_MAX_NS);
    return stmt_run(st, e);
}

int others_of_run(struct store *s, int64_t run, int (*fn)(void *arg, const struct other_use *u),
                  void *arg, struct err *e)
{
    STMT_USE(st, s, RUN_OTHERS);
    stmt_bind_int(st, 1, run);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        const struct other_use u = {stmt_text(st, 0), stmt_text(st, 1), stmt_text(st, 2),
                                    stmt_int(st, 3)};
        rc = fn(arg, &u);
        if (rc)
            return rc;
    }
    return rc;
}
