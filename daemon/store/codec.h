/* The blob of a tail row or chunk: all channels of a group over n ticks, column by column, with one
 * shared timeline. Versions 1 (short ones) and 2 pack both; blobs of version 0 (raw columns) are read as well. Byte by
 * byte in docs/storage.md. Pure, any thread.
 *
 * Writing: a codec_block collects ticks and is encoded from any tick on. Reading: codec_open checks the
 * checksums, the lengths and the heads of all parts; of version 2 the timeline and one column will do (codec_open_head,
 * codec_take), and a reader can begin at marks inside. The timeline is unpacked as far as it is asked for, and a
 * cursor runs along one column. A blob is untrusted: it comes from a file. What only a forged blob can have,
 * a part that ends early or stamps in no order under a right checksum, reads as READING_GARBLED from there
 * on, with stamps that still rise (in each stretch between two marks). */
#ifndef DAEMON_STORE_CODEC_H
#define DAEMON_STORE_CODEC_H

#include "common/err.h"
#include "daemon/meter/ring.h"
#include "daemon/meter/source.h"
#include "daemon/store/rice.h"

#define CODEC_VERSION      2
#define CODEC_SHORT        512u /* ticks; with no more than that it is a blob of version 1 */
#define CODEC_TICKS_MAX    (1u << 16)
#define CODEC_CHANNELS_MAX 4096u
#define CODEC_TIME_MAX     (INT64_C(1) << 62) /* ns; a stamp beyond it is damage */
#define CODEC_THIN         1u /* flag: kept ticks, three columns for each channel (thin.h) */
#define CODEC_SHARED       2u /* flag: tick 0 repeats the last tick of the chunk before */
/* Stamps and widths of sweeps that are all multiples of up to 2^15 ns take fewer bits. */
#define CODEC_UNIT_BITS 15u

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
void codec_block_save(struct codec_block *b);      /* what codec_block_undo goes back to */
void codec_block_undo(struct codec_block *b);      /* forget the ticks since then */
void codec_block_clear(struct codec_block *b);     /* forget all; saved, too, is nothing */
void codec_block_keep_last(struct codec_block *b); /* forget all but the last tick; and save */
/* Ticks [from, end) as a blob; caller frees. NULL without memory. Remembers in the block which predictors won: a short
 * blob, which is a row of the tail, takes those. */
uint8_t *codec_encode(struct codec_block *b, uint32_t from, uint8_t flags, size_t *bytes);

/* ---- reading ------------------------------------------------------------------------------------ */

struct codec_view {
    const uint8_t *data; /* borrowed */
    size_t bytes;
    uint32_t n; /* ticks, >= 1 */
    uint32_t channels;
    uint8_t version;
    uint8_t flags;
    size_t parts;      /* offset of the timeline, which column 0 follows */
    int64_t period_ns; /* of the timeline's grid */
    int64_t *before;   /* owned, with all behind it up to `known` */
    int64_t *after;
    uint8_t *tick_flags;
    uint8_t *taken;   /* parts that are there and checked */
    uint32_t *known;  /* of each stretch: its first so many ticks have their stamps unpacked */
    uint32_t turn;    /* the stretch that is being unpacked */
    uint32_t sound;   /* ticks before the first one that is forged */
    uint32_t stretch; /* from mark to mark, a power of two; CODEC_TICKS_MAX = no marks */
    uint8_t shift;    /* its logarithm */
    const uint8_t *marks, *stretches; /* of the timeline: its marks; the first stretch */
    int64_t index, base_ns;
    uint64_t least_width;
    struct bits_in times;
};
/* 0, or WATTQ_E_CORRUPT; WATTQ_E_STORAGE without memory. data must outlive the view. */
int codec_open(struct codec_view *v, const void *data, size_t bytes, struct err *e) MUST_USE;
void codec_close(struct codec_view *v); /* CLEANUP-able */
/* What an open view takes beside its data. */
size_t codec_view_bytes(const struct codec_view *v);
/* All stamps are as a writer makes them: unpacks the whole timeline. */
bool codec_is_sound(struct codec_view *v);

/* Part by part. How long the head of a blob is that begins like this: 0 = not of version 2, take it whole. */
#define CODEC_BEGIN 12u /* bytes that tell */
size_t codec_head_bytes(const uint8_t begin[CODEC_BEGIN]);
/* data: room for all bytes, of which the head is there. No part is there yet. Returns as codec_open. */
int codec_open_head(struct codec_view *v, const void *data, size_t bytes, struct err *e) MUST_USE;
/* Part 0 is the timeline, to be taken first, 1 + slot a column; where it lies. */
#define CODEC_TIMELINE 0u
size_t codec_part_at(const struct codec_view *v, uint32_t part, size_t *bytes);
static inline bool codec_has(const struct codec_view *v, uint32_t part)
{
    return v->taken[part] != 0;
}
/* The bytes of this part are in data now. 0 or WATTQ_E_CORRUPT. */
int codec_take(struct codec_view *v, uint32_t part, struct err *e) MUST_USE;

static inline int64_t codec_middle(int64_t before_ns, int64_t after_ns)
{
    return before_ns + (after_ns - before_ns) / 2;
}
/* The sweep's stamps; their middle, rounded down; TICK_EDGE, TICK_FIRST. */
void codec_unpack_times(struct codec_view *v, uint32_t i); /* for those below */
static inline bool codec_knows(const struct codec_view *v, uint32_t i)
{
    return (i & (v->stretch - 1)) < v->known[i >> v->shift];
}
/* Tick i is unpacked, and so are those behind it up to this one. */
static inline uint32_t codec_known_end(const struct codec_view *v, uint32_t i)
{
    return (i & ~(v->stretch - 1)) + v->known[i >> v->shift];
}
static inline int64_t codec_before(struct codec_view *v, uint32_t i)
{
    if (!codec_knows(v, i))
        codec_unpack_times(v, i);
    return v->before[i];
}
static inline int64_t codec_after(struct codec_view *v, uint32_t i)
{
    if (!codec_knows(v, i))
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
    if (!codec_knows(v, i))
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
    uint32_t stretch;           /* samples from mark to mark, CODEC_TICKS_MAX = no marks */
    struct bytes_in marks;      /* the next one */
    const uint8_t *stretch_at;  /* where the bits before it begin */
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
/* How many of the next ticks are plain values (state 0) that lie unpacked at *values; 0 = ask for the next one alone.
 * codec_cursor_drop: the first n of them were taken. */
uint32_t codec_cursor_ready(struct codec_cursor *c, const int64_t **values);
static inline void codec_cursor_drop(struct codec_cursor *c, uint32_t n)
{
    c->at += n;
    c->used += n;
}

/* ---- marks: where a reader can begin ------------------------------------------------------------ */

#define CODEC_SAME_KNOT INT64_MIN

/* How the curve of a channel stands after a tick, counted from how it stood after tick 0 (walk.h). */
struct codec_mark {
    uint32_t tick;
    int64_t value;
    int64_t knot_ns; /* CODEC_SAME_KNOT: where it was */
    int64_t e_uj;    /* gauges and averages: more than then; */
    int64_t rem;     /* and so much on top of the remainder, which may carry */
};
/* The last mark whose tick lies before t, 0 = none. */
uint32_t codec_mark_before(struct codec_view *v, int64_t t_ns);
/* Go on behind mark k > 0 of the view. False when the column has no marks: gaps, or ticks without a value. */
bool codec_cursor_skip(struct codec_cursor *c, uint32_t k, struct codec_mark *out);

#endif
