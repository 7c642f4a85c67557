/* Blobs of samples as readers need them: checked once, kept in a small cache of their connection, and
 * walked in the order of time - chunks of an epoch first, then its tail rows. Thread: that of the store.
 * A caller that asks more than once wants one snapshot: store_begin ... store_commit. */
#ifndef DAEMON_STORE_BLOCKS_H
#define DAEMON_STORE_BLOCKS_H

#include "daemon/store/codec.h"
#include "daemon/store/store.h"

#define BLOCKS_CACHE_BYTES (3u << 19) /* two chunks of 20 channels: the ends of a window */
#define BLOCKS_TAIL_MAX    4096       /* rows; the writer keeps a few hundred */

struct blocks; /* the cache; made by store.c, freed with the store */
struct blocks *blocks_new(void);
void blocks_free(struct blocks *b); /* NULL is fine */

#define BLOCKS_ALL UINT32_MAX /* as a slot: all channels are going to be read */

/* One chunk by its id and first tick, as its heads have them; of its channels only the one in `slot` need be there. *v
 * is the cache's own, so that what one reader unpacks of its timeline the next one has; borrowed until the next blocks_
 * call. WATTQ_E_CORRUPT when damaged, or not that of its row. */
int blocks_chunk(struct store *s, int64_t chunk, int64_t t0_ns, uint32_t slot,
                 struct codec_view **v, struct err *e) MUST_USE;

struct blocks_row {
    int64_t id;
    int64_t t0_ns, t1_ns;
    int64_t n;
};
struct blocks_iter {
    struct store *store;
    int64_t grp, epoch;
    uint32_t slot;
    int64_t next_ns; /* the next chunk starts at or after it */
    int tier; /* thinned chunks up to this tier are taken before what they were made of; 0 = the finest there is */
    bool in_tail;
    int64_t first;           /* id of the chunk that starts at next_ns; 0 = it must be looked for */
    struct blocks_row row;   /* what blocks_next returned last */
    struct blocks_row *tail; /* loaded when the chunks are through */
    size_t tails, tail_at;
};
/* For the channel in `slot`, from the first chunk of the epoch that starts at or after from_ns. */
void blocks_start(struct blocks_iter *it, struct store *s, int64_t grp, int64_t epoch,
                  uint32_t slot, int64_t from_ns);
/* The same from a chunk that is known, t0_ns .. t1_ns. */
void blocks_start_at(struct blocks_iter *it, struct store *s, int64_t grp, int64_t epoch,
                     uint32_t slot, const struct blocks_row *chunk);
void blocks_stop(struct blocks_iter *it); /* frees; CLEANUP-able */
/* 1 = it->row and *v (borrowed as above) are the next block; 0 = no more; < 0: WATTQ_E_CORRUPT when this block is damaged
 * (it->row says which; the next call goes on behind it), or another error. Whether its times are
 * those of the row is left to the caller, who may begin at a mark. */
int blocks_next(struct blocks_iter *it, struct codec_view **v, struct err *e) MUST_USE;
/* The tail rows of an epoch, oldest first; caller frees. */
int blocks_tail(struct store *s, int64_t grp, int64_t epoch, struct blocks_row **out, size_t *n,
                struct err *e) MUST_USE;
int blocks_tail_row(struct store *s, const struct blocks_row *row, struct codec_view **v,
                    struct err *e) MUST_USE;

#endif
