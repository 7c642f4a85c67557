#include "daemon/store/accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store/stmt.h"

#define CLEAN_AUDITS_KEPT 1440 /* a day, at one a minute */

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
    STMT_USE(devices, s, DEVICE_LEAVE);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, t1_ns);
    stmt_bind_int(devices, 1, run);
    stmt_bind_int(devices, 2, t1_ns);
    int rc = stmt_run(st, e);
    return rc == 0 ? stmt_run(devices, e) : rc;
}

int accounts_slots_close(struct store *s, struct err *e)
{
    STMT_USE(st, s, SLOT_CLOSE);
    STMT_USE(devices, s, DEVICE_CLOSE);
    stmt_bind_int(devices, 1, store_boot(s));
    int rc = stmt_run(st, e);
    return rc == 0 ? stmt_run(devices, e) : rc;
}

static bool slot_of_uid(const char *uid, unsigned *slot)
{
    return uid && sscanf(uid, "slots/%u", slot) == 1;
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
        if (!slot_of_uid(stmt_text(st, 0), &u.slot))
            continue;
        if (!stmt_is_null(st, 2))
            u.t1_ns = stmt_int(st, 2);
        rc = fn(arg, &u);
        if (rc)
            return rc;
    }
    return rc;
}

int accounts_device_slot(struct store *s, int64_t meter, int64_t boot, int64_t t_ns, unsigned *slot,
                         struct err *e)
{
    STMT_USE(st, s, DEVICE_SLOT);
    stmt_bind_int(st, 1, meter);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    return slot_of_uid(stmt_text(st, 0), slot) ? 0 : 1;
}

/* ---- accounts ----------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"idle", "system", "foreign", "slot"};

const char *account_kind_name(enum account_kind k)
{
    return kind_names[k];
}

int accounts_put(struct store *s, int64_t meter, const struct account *a, struct err *e)
{
    STMT_USE(st, s, ACCOUNT_PUT);
    stmt_bind_int(st, 1, a->channel);
    stmt_bind_int(st, 2, meter);
    stmt_bind_text(st, 3, account_kind_name(a->kind));
    stmt_bind_opt(st, 4, a->kind == ACCOUNT_SLOT ? (int64_t)a->slot : STMT_NULL);
    return stmt_run(st, e);
}

static int take_account(sqlite3_stmt *st, struct account *a, struct err *e)
{
    const char *kind = stmt_text(st, 1);
    *a = (struct account){.channel = stmt_int(st, 0)};
    for (unsigned k = 0; kind && k < ARRAY_LEN(kind_names); k++) {
        if (strcmp(kind, kind_names[k]) != 0)
            continue;
        a->kind = (enum account_kind)k;
        a->slot = stmt_is_null(st, 2) ? 0 : (unsigned)stmt_int(st, 2);
        return 0;
    }
    return err_set(e, WATTQ_E_CORRUPT, "an account has an unknown kind");
}

/* Room for one more of `size`; what there was is lost with the program where there is none. */
static void *grow(void *list, size_t n, size_t size)
{
    if (n % 16 != 0)
        return list;
    void *more = reallocarray(list, n + 16, size);
    if (!more)
        abort();
    return more;
}

int accounts_of(struct store *s, int64_t meter, struct account **out, size_t *n, struct err *e)
{
    STMT_USE(st, s, ACCOUNT_OF);
    stmt_bind_int(st, 1, meter);
    struct account *list = NULL;
    int rc;
    *n = 0;
    while ((rc = stmt_step(st, e)) > 0) {
        list = grow(list, *n, sizeof(*list));
        rc = take_account(st, &list[*n], e);
        if (rc < 0)
            break;
        (*n)++;
    }
    *out = list;
    return rc;
}

int accounts_meters(struct store *s, int64_t **out, size_t *n, struct err *e)
{
    STMT_USE(st, s, ACCOUNT_METERS);
    int64_t *list = NULL;
    int rc;
    *n = 0;
    while ((rc = stmt_step(st, e)) > 0) {
        list = grow(list, *n, sizeof(*list));
        list[(*n)++] = stmt_int(st, 0);
    }
    *out = list;
    return rc;
}

int accounts_boot_before(struct store *s, int64_t channel, int64_t boot, int64_t *out,
                         struct err *e)
{
    STMT_USE(st, s, ACCOUNT_BOOT);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    int rc = stmt_step(st, e);
    if (rc <= 0 || stmt_is_null(st, 0))
        return rc < 0 ? rc : 1;
    *out = stmt_int(st, 0);
    return 0;
}

int accounts_basis_put(struct store *s, int64_t meter, int64_t t_ns, int64_t baseline,
                       int64_t power_uw, struct err *e)
{
    STMT_USE(st, s, BASIS_PUT);
    stmt_bind_int(st, 1, meter);
    stmt_bind_int(st, 2, store_boot(s));
    stmt_bind_int(st, 3, t_ns);
    stmt_bind_opt(st, 4, baseline > 0 ? baseline : STMT_NULL);
    stmt_bind_opt(st, 5, power_uw >= 0 ? power_uw : STMT_NULL);
    return stmt_run(st, e);
}

int accounts_basis_at(struct store *s, int64_t meter, int64_t boot, int64_t t_ns, int64_t *baseline,
                      int64_t *power_uw, struct err *e)
{
    STMT_USE(st, s, BASIS_AT);
    stmt_bind_int(st, 1, meter);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    *baseline = 0;
    *power_uw = -1;
    int rc = stmt_step(st, e);
    if (rc > 0 && !stmt_is_null(st, 1)) {
        *baseline = stmt_is_null(st, 0) ? 0 : stmt_int(st, 0);
        *power_uw = stmt_int(st, 1);
    }
    return rc < 0 ? rc : 0;
}

int accounts_epoch_at(struct store *s, int64_t boot, int64_t t_ns, int64_t *id, int64_t *t0_ns,
                      struct err *e)
{
    STMT_USE(st, s, EPOCH_AT);
    stmt_bind_int(st, 1, boot);
    stmt_bind_int(st, 2, t_ns);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    *id = stmt_int(st, 0);
    *t0_ns = stmt_int(st, 1);
    return 0;
}

int accounts_channel(struct store *s, const char *uid, int64_t *id, struct err *e)
{
    STMT_USE(st, s, CHANNEL_BY_UID);
    stmt_bind_text(st, 1, uid);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    *id = stmt_int(st, 0);
    return 0;
}

/* ---- who was present ---------------------------------------------------------------------------- */

int accounts_present(struct store *s, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                     int (*fn)(void *arg, const struct presence *p), void *arg, struct err *e)
{
    STMT_USE(st, s, PRESENT_RUNS);
    stmt_bind_int(st, 1, boot);
    stmt_bind_int(st, 2, t0_ns);
    stmt_bind_int(st, 3, t1_ns);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct presence p = {
            .run = stmt_int(st, 0),
            .t0_ns = stmt_int(st, 1),
            .t1_ns = stmt_is_null(st, 2) ? ACCOUNTS_OPEN : stmt_int(st, 2),
            .spec = stmt_text(st, 3),
        };
        rc = fn(arg, &p);
        if (rc)
            return rc;
    }
    return rc;
}

/* An aggregate of one column; NULL leaves *out. */
static int one_value(sqlite3_stmt *st, int64_t boot, int64_t t_ns, int64_t *out, struct err *e)
{
    stmt_bind_int(st, 1, boot);
    stmt_bind_int(st, 2, t_ns);
    int rc = stmt_step(st, e);
    if (rc > 0 && !stmt_is_null(st, 0))
        *out = stmt_int(st, 0);
    return rc < 0 ? rc : 0;
}

int accounts_ended_before(struct store *s, int64_t boot, int64_t t_ns, int64_t *out, struct err *e)
{
    STMT_USE(st, s, PRESENCE_BEFORE);
    *out = INT64_MIN;
    return one_value(st, boot, t_ns, out, e);
}

int accounts_begun_after(struct store *s, int64_t boot, int64_t t_ns, int64_t *out, struct err *e)
{
    STMT_USE(st, s, PRESENCE_AFTER);
    *out = INT64_MAX;
    return one_value(st, boot, t_ns, out, e);
}

/* ---- shares ------------------------------------------------------------------------------------- */

int accounts_share_note(struct store *s, int64_t run, const struct share_note *n, struct err *e)
{
    STMT_USE(st, s, SHARE_POLICY);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, n->figure);
    stmt_bind_text(st, 3, n->policy);
    stmt_bind_opt(st, 4, n->known ? n->range_lo_uj : STMT_NULL);
    stmt_bind_opt(st, 5, n->known ? n->range_hi_uj : STMT_NULL);
    return stmt_run(st, e);
}

/* ---- audits ------------------------------------------------------------------------------------- */

int accounts_heads(struct store *s, int64_t channel, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                   int (*fn)(void *arg, int64_t t_ns, int64_t e0_uj, int64_t before_uj), void *arg,
                   struct err *e)
{
    STMT_USE(st, s, AUDIT_HEADS);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t0_ns);
    stmt_bind_int(st, 4, t1_ns);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        rc = fn(arg, stmt_int(st, 0), stmt_int(st, 1), stmt_int(st, 2));
        if (rc)
            return rc;
    }
    return rc;
}

int accounts_boots(struct store *s, int64_t from, int (*fn)(void *arg, int64_t boot), void *arg,
                   struct err *e)
{
    STMT_USE(st, s, AUDIT_BOOTS);
    stmt_bind_int(st, 1, from);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        rc = fn(arg, stmt_int(st, 0));
        if (rc)
            return rc;
    }
    return rc;
}

static int forget_clean(struct store *s, int64_t newest, struct err *e)
{
    STMT_USE(st, s, AUDIT_DROP);
    stmt_bind_int(st, 1, newest - CLEAN_AUDITS_KEPT);
    return stmt_run(st, e);
}

int accounts_audit_put(struct store *s, const struct audit_row *a, struct err *e)
{
    STMT_USE(st, s, AUDIT_PUT);
    stmt_bind_int(st, 1, a->boot);
    stmt_bind_int(st, 2, a->t0_ns);
    stmt_bind_int(st, 3, a->t1_ns);
    stmt_bind_int(st, 4, a->checks);
    stmt_bind_int(st, 5, a->failures);
    stmt_bind_text(st, 6, a->text);
    stmt_bind_int(st, 7, a->created_utc_ns);
    int rc = stmt_run(st, e);
    return rc == 0 ? forget_clean(s, stmt_last_id(s), e) : rc;
}

static int take_audit(sqlite3_stmt *st, struct audit_row *out, struct err *e)
{
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    *out = (struct audit_row){stmt_int(st, 0),
                              stmt_int(st, 1),
                              stmt_int(st, 2),
                              stmt_int(st, 3),
                              stmt_int(st, 4),
                              stmt_int(st, 6),
                              ""};
    const char *text = stmt_text(st, 5);
    base_strcpy(out->text, sizeof(out->text), text ? text : "");
    return 0;
}

int accounts_audit_last(struct store *s, bool failed, struct audit_row *out, struct err *e)
{
    if (failed) {
        STMT_USE(st, s, AUDIT_FAILED);
        return take_audit(st, out, e);
    }
    STMT_USE(st, s, AUDIT_LAST);
    return take_audit(st, out, e);
}
