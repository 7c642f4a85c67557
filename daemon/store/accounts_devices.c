/* Who was given which GPU (accounts.h). */
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
