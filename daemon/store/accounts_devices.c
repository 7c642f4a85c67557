/* Who was given which GPU (accounts.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store/accounts.h"
#include "daemon/store/stmt.h"

static int take_all(struct store *s, int64_t run, int64_t t0_ns, struct err *e)
{
    STMT_USE(st, s, DEVICE_TAKE);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, store_boot(s));
    stmt_bind_int(st, 3, t0_ns);
    return stmt_run(st, e);
}

static int take_one(struct store *s, int64_t run, int64_t t0_ns, const char *device, struct err *e)
{
    STMT_USE(st, s, DEVICE_PUT);
    stmt_bind_text(st, 1, device);
    stmt_bind_int(st, 2, run);
    stmt_bind_int(st, 3, store_boot(s));
    stmt_bind_int(st, 4, t0_ns);
    return stmt_run(st, e);
}

int accounts_devices_take(struct store *s, int64_t run, int64_t t0_ns, bool all, const char *uuids,
                          struct err *e)
{
    char *list CLEANUP(base_freep) = base_strdup(uuids);
    char *rest = NULL;
    int rc = all ? take_all(s, run, t0_ns, e) : 0;
    for (char *one = strtok_r(list, ",", &rest); rc == 0 && one; one = strtok_r(NULL, ",", &rest))
        rc = take_one(s, run, t0_ns, one, e);
    return rc;
}

int accounts_devices_of(struct store *s, int64_t run, bool now,
                        int (*fn)(void *arg, const char *device), void *arg, struct err *e)
{
    STMT_USE(st, s, DEVICE_OF_RUN);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, now);
    stmt_bind_int(st, 3, store_boot(s));
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        rc = fn(arg, stmt_text(st, 0));
        if (rc)
            return rc;
    }
    return rc;
}

static int run_at(sqlite3_stmt *st, struct store *s, const char *what, int64_t t_ns, int64_t *run,
                  struct err *e)
{
    stmt_bind_text(st, 1, what);
    stmt_bind_int(st, 2, store_boot(s));
    stmt_bind_int(st, 3, t_ns);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *run = stmt_int(st, 0);
    return rc < 0 ? rc : rc == 0;
}

int accounts_device_run(struct store *s, const char *device, int64_t t_ns, int64_t *run,
                        struct err *e)
{
    STMT_USE(st, s, DEVICE_RUN);
    return run_at(st, s, device, t_ns, run, e);
}

int accounts_slot_run(struct store *s, int slot, int64_t t_ns, int64_t *run, struct err *e)
{
    char uid[32];
    snprintf(uid, sizeof(uid), "slots/%d", slot);
    STMT_USE(st, s, SLOT_RUN);
    return run_at(st, s, uid, t_ns, run, e);
}

/* ---- who computes on it beside its owner -------------------------------------------------------- */

int accounts_intruder_put(struct store *s, int64_t meter, int64_t t_ns, int64_t others_ppm,
                          struct err *e)
{
    STMT_USE(st, s, INTRUDER_PUT);
    stmt_bind_int(st, 1, meter);
    stmt_bind_int(st, 2, store_boot(s));
    stmt_bind_int(st, 3, t_ns);
    stmt_bind_int(st, 4, others_ppm);
    return stmt_run(st, e);
}

int accounts_intruder_at(struct store *s, int64_t meter, int64_t boot, int64_t t_ns,
                         int64_t *others_ppm, struct err *e)
{
    STMT_USE(st, s, INTRUDER_AT);
    stmt_bind_int(st, 1, meter);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    int rc = stmt_step(st, e);
    *others_ppm = rc > 0 ? stmt_int(st, 0) : 0;
    return rc < 0 ? rc : 0;
}
