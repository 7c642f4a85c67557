/* The blob of a tail row or chunk: all channels of a group over n ticks, column by column, with one
 * shared timeline. Version 0 keeps raw int64 columns; byte by byte in docs/storage.md. Pure, any thread.
 *
 * Writing: a codec_block collects ticks and is encoded from any tick on. Reading: codec_open checks the
 * whole blob (length, CRC, order of times) and allocates nothing; the accessors then cannot fail.
 * A blob is untrusted: it comes from a file. */
#ifndef DAEMON_STORE_CODEC_H
#define DAEMON_STORE_CODEC_H

#include "common/err.h"
#include "daemon/meter/ring.h"
#include "daemon/meter/source.h"

#define CODEC_VERSION      0
#define CODEC_TICKS_MAX    (1u << 16)
#define CODEC_CHANNELS_MAX 4096u
#define CODEC_TIME_MAX     (INT64_C(1) << 62) /* ns; a stamp beyond it is damage */
#define CODEC_SHARED       2u /* flag: tick 0 repeats the last tick of the chunk before */

/* ---- writing ------------------------------------------------------------------------------------ */

struct codec_block; /* ticks of one group, in memory */

/* kinds: one enum channel_kind per channel, copied. */
struct codec_block *codec_block_new(const uint8_t *kinds, uint32_t channels);
void codec_block_free(struct codec_block *b); /* NULL is fine */
uint32_t codec_block_ticks(const struct codec_block *b);
/* t->n must be the block's number of channels. False when CODEC_TICKS_MAX ticks are in. */
bool codec_block_add(struct codec_block *b, struct tick *t);
void codec_block_cut(struct codec_block *b, uint32_t ticks); /* forget all but the first `ticks` */
void codec_block_keep_last(struct codec_block *b);           /* forget all but the last tick */
/* Ticks [from, end) as a blob; caller frees. NULL without memory. */
uint8_t *codec_encode(const struct codec_block *b, uint32_t from, uint8_t flags, size_t *bytes);

/* ---- reading ------------------------------------------------------------------------------------ */

struct codec_view {
    const uint8_t *data; /* borrowed */
    uint32_t n;          /* ticks, >= 1 */
    uint32_t channels;
    uint8_t flags;
    size_t times; /* offsets of the timeline and of column 0 */
    size_t columns;
};
/* 0, or WATTQ_E_CORRUPT. data must outlive the view. */
int codec_open(struct codec_view *v, const void *data, size_t bytes, struct err *e) MUST_USE;

int64_t codec_before(const struct codec_view *v, uint32_t i); /* the sweep's stamps */
int64_t codec_after(const struct codec_view *v, uint32_t i);
int64_t codec_time(const struct codec_view *v, uint32_t i);  /* their middle, rounded down */
uint8_t codec_flags(const struct codec_view *v, uint32_t i); /* TICK_EDGE, TICK_FIRST */

struct codec_column {
    enum channel_kind kind;
    bool has_raw;     /* a valid sample is in the column */
    int64_t raw_last; /* what the hardware showed at the newest valid sample */
    const uint8_t *values;
    const uint8_t *states;
};
/* slot < v->channels. */
struct codec_column codec_column_at(const struct codec_view *v, uint32_t slot);
int64_t codec_value(const struct codec_column *c, uint32_t i);
uint8_t codec_state(const struct codec_column *c,
                    uint32_t i); /* enum reading_state | TICK_RESET ... */

static inline int64_t codec_middle(int64_t before_ns, int64_t after_ns)
{
    return before_ns + (after_ns - before_ns) / 2;
}

#endif
