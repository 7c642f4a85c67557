/* Inside store/: a cursor over the pieces of one channel's curve, the same over chunks and tail rows.
 * Thread: that of the store, best inside one snapshot. */
#ifndef DAEMON_STORE_CURVE_H
#define DAEMON_STORE_CURVE_H

#include "daemon/store/blocks.h"
#include "daemon/store/rows.h"
#include "daemon/store/thin.h"

struct curve {
    struct store *store;
    struct rows_begin begin; /* the epoch it is in */
    struct walk_state state;
    struct blocks_iter it;
    struct codec_view *view;   /* the cache's */
    struct thin_cursor column; /* column.at: the next sample of the view */
    struct walk_kept kept;     /* the newest one of a thinned block */
    bool loaded;               /* view is a block */
    bool thinned;              /* and a thinned one */
    bool resumed;              /* state is that of a head, and no block was taken since */
    int blocks;                /* taken since the last jump */
};

/* Stand at or before t. 0; 1 = the channel has no sample at or before t in that boot; < 0. */
int curve_open(struct curve *c, struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
               struct err *e) MUST_USE;
void curve_close(struct curve *c); /* CLEANUP-able */
/* Before anything was taken: thinned chunks up to that tier (tiers.h) will do, although there is more. */
void curve_prefer(struct curve *c, int tier);
/* The piece that holds t (t not before where the cursor stands). 0; 1 = t is after the newest sample:
 * c->state is that sample. `settled` is false where t lies after the newest change and may still move.
 * WATTQ_E_CORRUPT when the block that holds t is damaged. */
int curve_find(struct curve *c, int64_t t_ns, struct walk_piece *out, bool *settled,
               struct err *e) MUST_USE;
/* The next pieces in order, within the epoch. n = 0 .. 2. 1 = a sample was taken; 0 = end of the epoch. */
int curve_next(struct curve *c, struct walk_piece out[2], int *n, struct err *e) MUST_USE;

/* Where the curve stands after the last chunk of an epoch (tail rows not counted), or after everything.
 * 0; 1 = no chunk has a head of it. */
int curve_chunks_end(struct store *s, const struct rows_begin *b, struct walk_state *out,
                     struct err *e) MUST_USE;
/* What the hardware showed at the newest valid sample of the newest epoch. 0; 1 = not known. */
int curve_last_raw(struct store *s, const struct rows_begin *b, int64_t last_ns, int64_t *raw,
                   struct err *e) MUST_USE;

#endif
