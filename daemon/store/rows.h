/* The two tables a curve is resumed from - `epoch_channel` and `head` - as walk states. Thread: that of
 * the store. Every function: 0, 1 = there is no such row, or < 0. Numbers that no writer of ours could
 * have written are WATTQ_E_CORRUPT, so that the arithmetic behind them needs no checks. */
#ifndef DAEMON_STORE_ROWS_H
#define DAEMON_STORE_ROWS_H

#include "daemon/store/store.h"
#include "daemon/store/walk.h"

/* A column `kind`; false = it is none (or NULL). */
bool rows_kind(const char *name, enum channel_kind *out);
/* Can these numbers be walked on from? A head is checked again when its channel's kind is known. */
bool rows_state_ok(const struct walk_rule *r, const struct walk_state *s);

/* A channel's first valid sample of an epoch. */
struct rows_begin {
    int64_t channel, boot;
    int64_t epoch, grp;
    uint32_t slot;
    int64_t raw0;
    bool open; /* the epoch still runs (or was killed and not yet closed) */
    struct walk_rule rule;
    struct walk_state state; /* right after that sample */
};
int rows_begin_at(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                  struct rows_begin *out, struct err *e) MUST_USE; /* newest at or before t */
int rows_begin_after(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                     struct rows_begin *out, struct err *e) MUST_USE; /* oldest after t */
int rows_begin_last(struct store *s, int64_t channel, struct rows_begin *out,
                    struct err *e) MUST_USE; /* newest of all boots */

struct rows_head {
    int64_t t0_ns, t1_ns, epoch, chunk;
    int64_t e1_uj;
    int64_t valid;
    int64_t min, max;        /* STMT_NULL = none */
    bool begun;              /* false: the channel's first valid sample of the epoch is inside */
    struct walk_state state; /* at t0; meaningless unless begun, but for e_uj */
};
int rows_head_at(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                 struct rows_head *out,
                 struct err *e) MUST_USE; /* newest that starts at or before t */
/* The same within the epoch of b: a later epoch's first chunk may start before its first valid sample. */
int rows_head_in(struct store *s, const struct rows_begin *b, int64_t t_ns, struct rows_head *out,
                 struct err *e) MUST_USE;
int rows_head_after(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                    struct rows_head *out, struct err *e) MUST_USE; /* oldest that starts after t */
/* Oldest head after t_ns whose chunk holds a valid sample. */
int rows_head_valid(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                    struct rows_head *out, struct err *e) MUST_USE;
/* Oldest start after t_ns of a chunk of this epoch that begins with another knot (counters) or another
 * last sample (gauges) than `state` has, or of a later epoch. */
int rows_head_moved(struct store *s, const struct rows_begin *b, const struct walk_state *state,
                    int64_t t_ns, int64_t *t0_ns, struct err *e) MUST_USE;

#endif
