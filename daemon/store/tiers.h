/* Tiers: thinned chunks (thin.h) beside the samples, each of an hour or more, made as soon as there is enough to
 * make them of. Long series are drawn from them, and they are what stays when samples go (retention.h).
 * Thread: that of the store, the only writer; outside a transaction.
 *
 * Tier 1 keeps a tick a second, tier 2 a minute, tier 3 an hour, each made of the one below it. A group whose
 * ticks are not at least 16 times as frequent does without that tier. A chunk of a tier stands for some whole
 * chunks of the tier below: those that make up 128 intervals, or what the epoch has left. */
#ifndef DAEMON_STORE_TIERS_H
#define DAEMON_STORE_TIERS_H

#include "daemon/store/store.h"

#define TIERS 3 /* beside the samples themselves, which are tier 0 */

int64_t tiers_interval_ns(int tier);            /* 1 .. TIERS */
bool tiers_has(int64_t period_ns, int tier);    /* does a group of that period have it? */
int tiers_finer(int64_t period_ns, int tier);   /* what that tier is made of; 0 = samples */
int tiers_coarser(int64_t period_ns, int tier); /* what is made of it; 0 = nothing */
int tiers_for(int64_t pixel_ns); /* the coarsest tier with an interval in every pixel; 0 = none */

struct tiers_group {
    int64_t id, period_ns;
    uint32_t channels;
};
/* All groups; caller frees *out. */
int tiers_groups(struct store *s, struct tiers_group **out, size_t *n, struct err *e) MUST_USE;

/* Chunks of that group that are due, one in each transaction, while `more` says so. 1 = there are more; 0. */
int tiers_build(struct store *s, const struct tiers_group *g, bool (*more)(void *arg), void *arg,
                struct err *e) MUST_USE;

#endif
