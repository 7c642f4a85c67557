/* What of a shared machine's energy is one run's, from stored accounts only (energy/ledger.h), for any
 * window and policy, also after the raw samples have gone. Any connection, best inside one snapshot.
 *
 * An account between two ticks grows in proportion to the meter's E(t), by largest remainder, so that the
 * accounts add up to E(t) exactly at any instant. A run's part of dyn is what its slot's account grew by
 * while it sat there; what a slot's account grew by outside any run's window (a shepherd at its gate) is
 * `system`. Idle is nobody's by nature; a policy shares it out among the runs that were present, anew at
 * each start and end of one:
 *   none      it stays idle: the share is dyn alone
 *   equal     each present run the same
 *   reserved  by the threads that each asked for (`--threads` of a training run; others count as one)
 *   usage     by what each took beyond idling in that stretch; nobody anything: the same
 * Each stretch of unchanged presence is split from its beginning on, wherever a window cuts it. So shares of
 * adjacent windows add up, and at any window runs + system + foreign + idle = the meter, to the uJ. */
#ifndef DAEMON_ENERGY_SHARES_H
#define DAEMON_ENERGY_SHARES_H

#include "daemon/energy/energy.h"
#include "daemon/store/accounts.h"

enum share_policy { SHARE_NONE, SHARE_EQUAL, SHARE_RESERVED, SHARE_USAGE, SHARE_POLICIES };
const char *share_policy_name(enum share_policy p);             /* "none" */
bool share_policy_parse(const char *s, enum share_policy *out); /* false: no such one */

#define SHARES_RUNS_MAX 2000 /* present in one window; more are refused in words */

struct share_run {
    int64_t run;
    int64_t t0_ns, t1_ns;            /* its window; ACCOUNTS_OPEN = still on */
    int64_t threads;                 /* asked for */
    int64_t seated_ns;               /* of the window asked about: time in a slot */
    int64_t dyn_uj;                  /* beyond idling */
    int64_t idle_uj[SHARE_POLICIES]; /* its part of idle under each policy */
};
/* One meter over one window. For each policy: sum over runs of dyn + idle, plus system, foreign and
 * idle_left = total. */
struct shares {
    struct share_run *runs; /* by id */
    size_t n;
    int64_t total_uj;
    int64_t system_uj, foreign_uj, idle_uj; /* idle_uj: before any policy */
    int64_t idle_left[SHARE_POLICIES];
    bool baseline; /* false: none was known at the window's begin, and dyn contains idling */
};
/* 0; 1 = this meter has no accounts. shares_fini also after a failure. */
int shares_of_window(struct store *s, const struct channel_row *meter,
                     const struct energy_window *w, struct shares *out, struct err *e) MUST_USE;
void shares_fini(struct shares *x);

/* What beside a run's share was in its window, of the meters of the total. */
struct shares_rest {
    int64_t others_uj; /* other runs */
    int64_t system_uj, foreign_uj, idle_uj;
    int64_t range_lo_uj, range_hi_uj; /* the share's total, over all policies */
    /* The machine's figure less all of these and the share. Accounts are kept on each meter's curve as it stands;
     * the machine's figure of a lagging one is read later by its lag (energy_lag_ns), and this is what that moves
     * over the window's edges, signed. 0 where no meter of the total lags. */
    int64_t moved_uj;
    bool known;
};
/* The share of a run in a window: the machine's set, each figure replaced. Its bounds are the meter's edge
 * bounds, "given the policy". Never < 0 for what cannot be known: that is an unknown figure with its
 * reason. Caller frees out with energy_set_fini. */
int shares_of_run(struct store *s, int64_t run, const struct energy_window *w,
                  enum share_policy policy, const struct energy_set *machine,
                  struct energy_set *out, struct shares_rest *rest, struct err *e) MUST_USE;

/* ---- accounts at instants, for the audit too ----------------------------------------------------- */

struct share_book { /* of one meter */
    const struct channel_row *meter;
    int64_t boot;
    struct account *accounts;
    size_t n;
};
/* 0; 1 = it has none. */
int shares_book_open(struct store *s, const struct channel_row *meter, int64_t boot,
                     struct share_book *b, struct err *e) MUST_USE;
void shares_book_close(struct share_book *b); /* CLEANUP-able */
/* Where each account stands at t: their sum is E(t). values has b->n elements. */
int shares_book_at(struct store *s, const struct share_book *b, int64_t t_ns, int64_t *values,
                   struct err *e) MUST_USE;
/* The ledger's ticks around t: newest at or before (INT64_MIN = none), oldest at or after (INT64_MAX). v0 and
 * v1 (each b->n elements) are where the accounts stood there. */
int shares_book_ticks(struct store *s, const struct share_book *b, int64_t t_ns, int64_t *t0_ns,
                      int64_t *v0, int64_t *t1_ns, int64_t *v1, struct err *e) MUST_USE;

#endif
