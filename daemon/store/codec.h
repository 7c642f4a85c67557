/* The blob of a tail row or chunk: all channels of a group over n ticks, column by column, with one
 * shared timeline. Version 1 packs both; blobs of version 0 (raw columns) are read as well. Byte by byte
 * in docs/storage.md. Pure, any thread.
 *
 * Writing: a codec_block collects ticks and is encoded from any tick on. Reading: codec_open checks the
 * checksum, the lengths and the heads of all parts; the timeline is unpacked as far as it is asked for, and a
 * cursor runs along one column. A blob is untrusted: it comes from a file. What only a forged blob can have,
 * a part that ends early or stamps in no order under a right checksum, reads as READING_GARBLED from there
 * on, with stamps that still rise. */
#ifndef DAEMON_STORE_CODEC_H
#define DAEMON_STORE_CODEC_H

#include "common/err.h"
#include "daemon/meter/ring.h"
#include "daemon/meter/source.h"
#include "daemon/store/rice.h"

#define CODEC_VERSION      1
#define CODEC_TICKS_MAX    (1u << 16)
#define CODEC_CHANNELS_MAX 4096u
#define CODEC_TIME_MAX     (INT64_C(1) << 62) /* ns; a stamp beyond it is damage */
#define CODEC_THIN         1u /* flag: kept ticks, three columns for each channel (thin.h) */
#define CODEC_SHARED       2u /* flag: tick 0 repeats the last tick of the chunk before */
/* Stamps and widths of sweeps that are all multiples of up to 2^12 ns take fewer bits. */
#define CODEC_UNIT_BITS 12u

/* ---- writing ------------------------------------------------------------------------------------ */

struct codec_block; /* ticks of one group, in memory */

/* kinds: one enum channel_kind per channel, copied. period_ns: what the group's deadlines are apart; any
 * stamps are kept whatever it is, those near their deadlines take less room. */
struct codec_block *codec_block_new(const uint8_t *kinds, uint32_t channels, int64_t period_ns);
void codec_block_free(struct codec_block *b); /* NULL is fine */
uint32_t codec_block_ticks(const struct codec_block *b);
/* t->n must be the block's number of channels, 0 <= before <= after <= CODEC_TIME_MAX, and the middle of
 * the two later than that of the tick before. False when CODEC_TICKS_MAX ticks are in. */
bool codec_block_add(struct codec_block *b, struct tick *t);
/* The middle of tick i's sweep, i < codec_block_ticks. */
int64_t codec_block_time(const struct codec_block *b, uint32_t i);
void codec_block_cut(struct codec_block *b, uint32_t ticks); /* forget all but the first `ticks` */
void codec_block_keep_last(struct codec_block *b);           /* forget all but the last tick */
/* Ticks [from, end) as a blob; caller frees. NULL without memory. */
uint8_t *codec_encode(const struct codec_block *b, uint32_t from, uint8_t flags, size_t *bytes);

/* ---- reading ------------------------------------------------------------------------------------ */

struct codec_view {
    const uint8_t *data; /* borrowed */
    size_t bytes;
    uint32_t n; /* ticks, >= 1 */
    uint32_t channels;
    uint8_t version;
    uint8_t flags;
    size_t columns;    /* offset of column 0 */
    int64_t period_ns; /* of the timeline's grid */
    int64_t *before;   /* owned: n stamps, n more of `after`, n flags */
    int64_t *after;
    uint8_t *tick_flags;
    uint32_t known; /* ticks whose stamps are unpacked */
    uint32_t sound; /* ticks before the first one that is forged */
    int64_t index, base_ns;
    uint64_t least_width;
    struct bits_in times;
};
/* 0, or WATTQ_E_CORRUPT; WATTQ_E_STORAGE without memory. data must outlive the view. */
int codec_open(struct codec_view *v, const void *data, size_t bytes, struct err *e) MUST_USE;
void codec_close(struct codec_view *v); /* CLEANUP-able */
/* What an open view takes beside its data. */
size_t codec_view_bytes(const struct codec_view *v);

static inline int64_t codec_middle(int64_t before_ns, int64_t after_ns)
{
    return before_ns + (after_ns - before_ns) / 2;
}
/* The sweep's stamps; their middle, rounded down; TICK_EDGE, TICK_FIRST. */
void codec_unpack_times(struct codec_view *v, uint32_t until); /* for those below */
static inline int64_t codec_before(struct codec_view *v, uint32_t i)
{
    if (i >= v->known)
        codec_unpack_times(v, i);
    return v->before[i];
}
static inline int64_t codec_after(struct codec_view *v, uint32_t i)
{
    if (i >= v->known)
        codec_unpack_times(v, i);
    return v->after[i];
}
static inline int64_t codec_time(struct codec_view *v, uint32_t i)
{
    int64_t before_ns = codec_before(v, i); /* unpacks both */
    return codec_middle(before_ns, v->after[i]);
}
static inline uint8_t codec_flags(struct codec_view *v, uint32_t i)
{
    if (i >= v->known)
        codec_unpack_times(v, i);
    return v->tick_flags[i];
}

#define CODEC_PHASES_MAX 8u /* pieces of a column with a phase of its own quantum each */

/* Where a quantum's rounding starts anew: a register that went round, a piece joined on. */
struct codec_phase {
    uint32_t at;     /* sample */
    uint32_t phase;  /* 0 <= phase < den */
    int64_t jump_uj; /* added there to what the differences say */
};
/* value[i] = value[i-1] + floor((d[i] num + rest[i-1]) / den), rest the remainder, rest[0] = phase. */
struct codec_quantum {
    uint32_t num, den; /* 1/1 = whole units */
    uint32_t phases;   /* the first one is at sample 0, jump 0 */
    struct codec_phase phase[CODEC_PHASES_MAX];
};
/* What a difference is guessed from; both ends keep the same. */
struct codec_guess {
    uint8_t predictor;
    bool begun;
    int64_t last; /* the last difference; of `held` the last that was not 0 */
    int64_t mean; /* what is smoothed, 8 bits of fraction */
};
/* Along the states of a column; ticks that no run names are plain samples. */
struct codec_runs {
    struct bytes_in in;
    uint32_t left;
    uint32_t from, to; /* the newest run, [from, to) */
    uint8_t state;
};

/* Along one column from tick 0. The view must stay open. */
struct codec_cursor {
    enum channel_kind kind;
    bool has_raw;     /* a valid sample is in the column */
    int64_t raw_last; /* what the hardware showed at the newest valid sample */
    /* the rest is its own */
    struct codec_view *view;
    uint32_t at;
    const uint8_t *values, *states; /* version 0 */
    struct codec_runs runs, ahead;  /* at the next tick; at the next sample to unpack */
    uint32_t ahead_at;
    struct codec_quantum quantum;
    struct codec_guess guess;
    struct bits_in bits;
    uint32_t samples, unpacked; /* valid ones in the column; of these, unpacked so far */
    uint32_t phase, rest;
    int64_t value, last_ns; /* the newest one unpacked */
    unsigned have, used;    /* of what is unpacked */
    int64_t ready[RICE_BLOCK];
};
/* slot < v->channels. */
void codec_cursor_open(struct codec_cursor *c, struct codec_view *v, uint32_t slot);
/* The next tick's value (0 where there is none) and state (enum reading_state | TICK_RESET ...). Call it
 * at most v->n times. */
int64_t codec_cursor_next(struct codec_cursor *c, uint8_t *state);

#endif
