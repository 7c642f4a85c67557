#include "daemon/store/accounts.h"

#include <stdio.h>

#include "daemon/store/stmt.h"

/* ---- run slots ---------------------------------------------------------------------------------- */

int accounts_slot_take(struct store *s, int64_t channel, int64_t run, int64_t t0_ns, struct err *e)
{
    STMT_USE(st, s, SLOT_TAKE);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, run);
    stmt_bind_int(st, 3, store_boot(s));
    stmt_bind_int(st, 4, t0_ns);
    return stmt_run(st, e);
}

int accounts_slot_leave(struct store *s, int64_t run, int64_t t1_ns, struct err *e)
{
    STMT_USE(st, s, SLOT_LEAVE);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, t1_ns);
    return stmt_run(st, e);
}

int accounts_slots_close(struct store *s, struct err *e)
{
    STMT_USE(st, s, SLOT_CLOSE);
    return stmt_run(st, e);
}

int accounts_slots_of(struct store *s, int64_t run, int64_t boot,
                      int (*fn)(void *arg, const struct slot_use *u), void *arg, struct err *e)
{
    STMT_USE(st, s, SLOT_OF_RUN);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, boot);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct slot_use u = {.t0_ns = stmt_int(st, 1), .t1_ns = ACCOUNTS_OPEN};
        const char *uid = stmt_text(st, 0);
        if (!uid || sscanf(uid, "slots/%u", &u.slot) != 1)
            continue;
        if (!stmt_is_null(st, 2))
            u.t1_ns = stmt_int(st, 2);
        rc = fn(arg, &u);
        if (rc)
            return rc;
    }
    return rc;
}
