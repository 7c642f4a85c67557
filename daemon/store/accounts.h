/* Who sat in which run slot and owned which device, which channels are accounts of which meter, who was
 * present when, and what audits found. Writing: storage thread, inside a transaction; reading: any
 * connection, its thread. What accounts mean: energy/ledger.h, energy/shares.h. */
#ifndef DAEMON_STORE_ACCOUNTS_H
#define DAEMON_STORE_ACCOUNTS_H

#include "daemon/store/store.h"

#define ACCOUNTS_OPEN INT64_MAX /* t1_ns of what has not ended */

/* ---- runs in slots ------------------------------------------------------------------------------ */

/* A run sits in the slot whose CPU time channel this is, from t0 of this boot on. */
int accounts_slot_take(struct store *s, int64_t channel, int64_t run, int64_t t0_ns,
                       struct err *e) MUST_USE;
/* GPUs are given to a run, from t0 of this boot on: those of uuids (commas between), and, `all`, every one
 * that has a channel. It keeps them over restarts of the daemon. */
int accounts_devices_take(struct store *s, int64_t run, int64_t t0_ns, bool all, const char *uuids,
                          struct err *e) MUST_USE;
/* It has left whatever it had, slot and GPUs; nothing to leave is fine. */
int accounts_slot_leave(struct store *s, int64_t run, int64_t t1_ns, struct err *e) MUST_USE;
/* Devices that a run was ever given; now: those that it has now, in this boot. fn: 0 to go on, else it is
 * returned. */
int accounts_devices_of(struct store *s, int64_t run, bool now,
                        int (*fn)(void *arg, const char *device), void *arg,
                        struct err *e) MUST_USE;
/* Who has the device, or sits in the slot, at t of this boot. 0; 1 = nobody. */
int accounts_device_run(struct store *s, const char *device, int64_t t_ns, int64_t *run,
                        struct err *e) MUST_USE;
int accounts_slot_run(struct store *s, int slot, int64_t t_ns, int64_t *run,
                      struct err *e) MUST_USE;
/* At a start: nobody sits in the slots of the daemon before; they were left with its last sample, and so
 * were GPUs of runs that are not live in this boot any more. */
int accounts_slots_close(struct store *s, struct err *e) MUST_USE;

struct slot_use {
    unsigned slot;
    int64_t t0_ns, t1_ns; /* ACCOUNTS_OPEN: still there */
};
/* The stays of a run in one boot, oldest first: more than one when the daemon was restarted under it.
 * fn: 0 to go on, else it is returned. */
int accounts_slots_of(struct store *s, int64_t run, int64_t boot,
                      int (*fn)(void *arg, const struct slot_use *u), void *arg,
                      struct err *e) MUST_USE;
/* The slot of the run that owns the device of this meter at t. 0; 1 = nobody does. */
int accounts_device_slot(struct store *s, int64_t meter, int64_t boot, int64_t t_ns, unsigned *slot,
                         struct err *e) MUST_USE;

/* ---- accounts ----------------------------------------------------------------------------------- */

enum account_kind { ACCOUNT_IDLE, ACCOUNT_SYSTEM, ACCOUNT_FOREIGN, ACCOUNT_SLOT };
const char *account_kind_name(enum account_kind k); /* "idle" */

struct account {
    int64_t channel;
    enum account_kind kind;
    unsigned slot; /* ACCOUNT_SLOT */
};
int accounts_put(struct store *s, int64_t meter, const struct account *a, struct err *e) MUST_USE;
/* Caller frees *out. */
int accounts_of(struct store *s, int64_t meter, struct account **out, size_t *n,
                struct err *e) MUST_USE;
/* Channels that have accounts; caller frees *out. */
int accounts_meters(struct store *s, int64_t **out, size_t *n, struct err *e) MUST_USE;
/* The newest boot before this one in which the channel was written. 0; 1 = none. */
int accounts_boot_before(struct store *s, int64_t channel, int64_t boot, int64_t *out,
                         struct err *e) MUST_USE;

/* By which baseline `idle` grows over spans that begin at t or later; id 0 = none. */
int accounts_basis_put(struct store *s, int64_t meter, int64_t t_ns, int64_t baseline,
                       int64_t power_uw, struct err *e) MUST_USE;
/* 0 with power_uw -1 where there is none. */
int accounts_basis_at(struct store *s, int64_t meter, int64_t boot, int64_t t_ns, int64_t *baseline,
                      int64_t *power_uw, struct err *e) MUST_USE;
/* What part of what a GPU's processes do is not its owner's, of spans that begin at t or later; 0 where
 * nothing is written. */
int accounts_intruder_put(struct store *s, int64_t meter, int64_t t_ns, int64_t others_ppm,
                          struct err *e) MUST_USE;
int accounts_intruder_at(struct store *s, int64_t meter, int64_t boot, int64_t t_ns,
                         int64_t *others_ppm, struct err *e) MUST_USE;
/* The epoch that an instant lies in, or after: its id and begin. 0; 1 = before the first. */
int accounts_epoch_at(struct store *s, int64_t boot, int64_t t_ns, int64_t *id, int64_t *t0_ns,
                      struct err *e) MUST_USE;
/* 0; 1 = no such channel. */
int accounts_channel(struct store *s, const char *uid, int64_t *id, struct err *e) MUST_USE;

/* ---- who was present ---------------------------------------------------------------------------- */

struct presence {
    int64_t run;
    int64_t t0_ns, t1_ns; /* ACCOUNTS_OPEN: still on */
    const char *spec;     /* borrowed during the call */
};
/* Runs whose window touches (t0, t1), by id. */
int accounts_present(struct store *s, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                     int (*fn)(void *arg, const struct presence *p), void *arg,
                     struct err *e) MUST_USE;
/* Newest end of a run at or before t, oldest begin at or after it; INT64_MIN, INT64_MAX = none. */
int accounts_ended_before(struct store *s, int64_t boot, int64_t t_ns, int64_t *out,
                          struct err *e) MUST_USE;
int accounts_begun_after(struct store *s, int64_t boot, int64_t t_ns, int64_t *out,
                         struct err *e) MUST_USE;

/* Chunks of a channel that touch [t0, t1], each but an epoch's first: what its curve begins with and what the
 * one before ended with, which is the same. */
int accounts_heads(struct store *s, int64_t channel, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                   int (*fn)(void *arg, int64_t t_ns, int64_t e0_uj, int64_t before_uj), void *arg,
                   struct err *e) MUST_USE;
/* Boots of this machine from that one on. */
int accounts_boots(struct store *s, int64_t from, int (*fn)(void *arg, int64_t boot), void *arg,
                   struct err *e) MUST_USE;

/* ---- shares ------------------------------------------------------------------------------------- */

/* By which policy the figures of a run that were just stored are shares, and what the total would be under
 * all of them. known false: no range. */
struct share_note {
    const char *figure, *policy;
    bool known;
    int64_t range_lo_uj, range_hi_uj;
};
int accounts_share_note(struct store *s, int64_t run, const struct share_note *n,
                        struct err *e) MUST_USE;

/* ---- audits ------------------------------------------------------------------------------------- */

struct audit_row {
    int64_t boot, t0_ns, t1_ns;
    int64_t checks, failures;
    int64_t created_utc_ns;
    char text[240]; /* the first failure; "" = none */
};
/* Clean audits but the newest few are forgotten; those that failed stay. */
int accounts_audit_put(struct store *s, const struct audit_row *a, struct err *e) MUST_USE;
int accounts_audit_last(struct store *s, bool failed, struct audit_row *out,
                        struct err *e) MUST_USE; /* 0; 1 = none */

#endif
