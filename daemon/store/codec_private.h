/* Inside the codec: what its files share. */
#ifndef DAEMON_STORE_CODEC_PRIVATE_H
#define DAEMON_STORE_CODEC_PRIVATE_H

#include <assert.h>

#include "daemon/store/codec.h"

#define CODEC_MAGIC     0x50u
#define CODEC_FIXED     CODEC_BEGIN /* bytes before the table of parts */
#define CODEC_CRC_BYTES 4u
/* Of a table entry: the length; in version 2 the checksum of the part, too. */
static inline size_t codec_entry_bytes(uint8_t version)
{
    return version < 2 ? 4 : 4 + CODEC_CRC_BYTES;
}
#define CODEC_HAS_RAW 1u /* version 0, flag of a column */

/* First byte of a column: kind, predictor << 3, and these. */
#define COLUMN_KIND    0x07u
#define COLUMN_QUANTUM 0x40u
#define COLUMN_STATES  0x80u

enum codec_predictor {
    PREDICT_NOTHING,              /* the difference itself */
    PREDICT_LAST,                 /* as much as the last time */
    PREDICT_RATE,                 /* the smoothed rate by the time that passed */
    PREDICT_MEAN,                 /* the smoothed difference, whatever the time */
    PREDICT_HELD,                 /* no change, else by as much as the last time that it changed */
    PREDICT_LEVEL,                /* back to the smoothed level */
    PREDICTORS_1,                 /* number of them in version 1 */
    PREDICT_QUICK = PREDICTORS_1, /* the rate, smoothed less */
    PREDICTORS_2,                 /* number of them in version 2 */
    PREDICT_EMPTY = 7             /* no valid sample is in the column */
};

struct codec_block {
    int64_t period_ns;
    uint32_t channels;
    uint32_t n;
    uint32_t cap;
    uint8_t *kinds;
    int64_t *before;
    int64_t *after;
    uint8_t *flags;
    int64_t *values; /* tick-major: [tick * channels + slot]; columns are made when encoding */
    uint8_t *states;
    int64_t *raw; /* [slot]: what the hardware showed at the newest valid sample */
    uint8_t *
        won; /* [slot]: the predictor of the newest blob that could tell; PREDICT_EMPTY = none yet */
    uint32_t n_saved;
    int64_t *raw_saved;
};

#define CODEC_BRIEF                                                                                \
    2048u /* values; a column of no more is of a row of the tail, which is soon gone */

/* ---- timeline ----------------------------------------------------------------------------------- */

/* Powers of two: what all `before` from a tick on are multiples of, and all widths of sweeps. */
struct times_unit {
    uint8_t stamp, width;
};
struct times_unit times_unit(const struct codec_block *b, uint32_t from);
/* stretch: ticks from mark to mark, CODEC_TICKS_MAX = none; version 2 says it. */
void times_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                  struct times_unit unit, uint8_t version, uint32_t stretch);
struct times_unit times_unit_of(const struct codec_view *v);
/* The head of the timeline. False when it is none. */
bool times_open(struct codec_view *v, const uint8_t *p, size_t bytes);

/* ---- columns ------------------------------------------------------------------------------------ */

/* Room for one column of a block while it is encoded. */
struct column_room {
    int64_t *value; /* the valid samples */
    int64_t *t_ns;
    int64_t *longer; /* guess_longer of the step to each; [0] unused */
    int64_t *d;      /* differences in quanta; [0] unused */
    uint64_t *code;
    uint32_t n;
    bool whole;         /* t_ns and longer are those of all ticks */
    uint8_t predictors; /* that may be chosen */
    uint32_t stretch;   /* samples from mark to mark; CODEC_TICKS_MAX = the blob has no marks */
    struct column_mark *mark;
    struct bytes_out bits; /* of the codes */
};
/* False without memory. */
bool column_room_init(struct column_room *r, uint8_t version, uint32_t ticks, uint32_t stretch);
void column_room_fini(struct column_room *r);
void column_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from, uint32_t slot,
                   struct column_room *r);
/* The head of a column of version 1 or 2, up to its bits. False when it is not one. */
bool column_open(struct codec_cursor *c, const uint8_t *p, size_t bytes);

/* r->code of all samples but the first. stretch: samples from mark to mark, CODEC_TICKS_MAX = the column has none. */
void codes_make(struct column_room *r, uint8_t predictor, uint32_t stretch);
/* The predictor whose codes are cheapest, or nearly so. r->n >= 2; marked: r->stretch and r->mark are the column's; won:
 * of the column's blob before, which will do for a brief one. */
uint8_t codes_best(struct column_room *r, bool marked, uint8_t *won);

/* Differences of `value` in the quantum that it turns out to have: fills d and *q. */
void quantum_find(struct codec_quantum *q, enum channel_kind kind, const int64_t *value, int64_t *d,
                  uint32_t n);

/* ---- marks -------------------------------------------------------------------------------------- */

/* As it is stored: since the mark before, or since sample 0. */
struct column_mark {
    int64_t units;  /* quanta that were added */
    int64_t e_uj;   /* gauges and averages */
    uint64_t rem;   /* likewise: of all since sample 0 */
    uint64_t knot;  /* counters: 0 = at the mark, 1 = where it was, else 1 + ns before it */
    uint64_t bytes; /* of the bits between the two */
};
uint32_t marks_stretch(const struct codec_block *b, uint32_t n, uint8_t flags);
static inline uint32_t marks_count(uint32_t n, uint32_t stretch)
{
    return (n - 1) / stretch;
}
/* Walks r->value; fills all of r->mark but `bytes`. False when a gap is in there: no marks. */
bool marks_find(struct column_room *r, enum channel_kind kind, int64_t period_ns);
void marks_put(struct bytes_out *o, enum channel_kind kind, const struct column_mark *m);
void marks_get(struct bytes_in *in, enum channel_kind kind, struct column_mark *m);

/* ---- predictors --------------------------------------------------------------------------------- */

__extension__ typedef __int128 codec_wide;

/* floor(x / by) and what is left, by a product and a correction: a division would take longer than all else.
 * 1 <= by < 2^31, inverse: codec_inverse(by). */
static inline uint64_t codec_inverse(int64_t by)
{
    return (UINT64_C(1) << 63) / (uint64_t)by;
}

static inline int64_t codec_divide(int64_t x, int64_t by, uint64_t inverse, int64_t *rest)
{
    int64_t q = (int64_t)((codec_wide)x * (codec_wide)inverse >> 63), r = x - q * by;
    for (; r < 0; r += by)
        q--;
    for (; r >= by; r -= by)
        q++;
    *rest = r;
    return q;
}

#define GUESS_DIFF_MAX (INT64_C(1) << 35) /* larger differences teach nothing */
#define STRETCH_MAX    (INT64_C(1) << 24) /* 16 periods */
#define STRETCH_NEAR   (INT64_C(1) << 18) /* a quarter of a period */

/* How much longer than the period a step was, as a part of the period with 20 bits of fraction. Intervals
 * differ from the period by what a timer adds, so a first-order correction does, and no division is
 * needed for each sample. */
static inline int64_t guess_inverse(int64_t period_ns)
{
    return (INT64_C(1) << 62) / (period_ns > 0 ? period_ns : 1);
}

static inline int64_t guess_longer(int64_t inverse, int64_t period_ns, int64_t dt_ns)
{
    codec_wide x = (codec_wide)(dt_ns - period_ns) * inverse >> 42;
    return x > STRETCH_MAX ? STRETCH_MAX : x < -STRETCH_MAX ? -STRETCH_MAX : (int64_t)x;
}

static inline int64_t sum64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t diff64(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline bool guess_is_far(int64_t d)
{
    return d >= GUESS_DIFF_MAX || d <= -GUESS_DIFF_MAX;
}

/* Differences of a period, 8 bits of fraction, smoothed by 1/4 or 1/2; the first one is taken as it is. */
static inline void guess_learn_rate(struct codec_guess *g, int64_t d, int64_t stretch,
                                    unsigned shift)
{
    if (guess_is_far(d) || stretch > STRETCH_NEAR || stretch < -STRETCH_NEAR)
        return;
    int64_t now = d * 256 - (d * 256 * stretch >> 20);
    g->mean = g->begun ? g->mean + ((now - g->mean) >> shift) : now;
    g->begun = true;
}

/* Differences of a sample, 8 bits of fraction, smoothed by 1/16. */
static inline void guess_learn_mean(struct codec_guess *g, int64_t d)
{
    if (guess_is_far(d))
        return;
    g->mean = g->begun ? g->mean + ((d * 256 - g->mean) >> 4) : d * 256;
    g->begun = true;
}

/* Where the smoothed level lies from the newest sample, 8 bits of fraction, smoothed by 1/4: it lay `mean`
 * from the sample before, and the newest lies d from that one. */
static inline void guess_learn_level(struct codec_guess *g, int64_t d)
{
    int64_t off = guess_is_far(d) ? 0 : g->mean - d * 256;
    g->mean = off - (off >> 2);
}

static inline int64_t guess_offset(const struct codec_guess *g, int64_t stretch)
{
    switch (g->predictor) {
    case PREDICT_LAST:
        return g->last;
    case PREDICT_RATE:
    case PREDICT_QUICK:
        return (g->mean + (int64_t)((codec_wide)g->mean * stretch >> 20) + 128) >> 8;
    case PREDICT_MEAN:
    case PREDICT_LEVEL:
        return (g->mean + 128) >> 8;
    default:
        return 0;
    }
}

static inline void guess_learn(struct codec_guess *g, int64_t d, int64_t stretch)
{
    switch (g->predictor) {
    case PREDICT_RATE:
        guess_learn_rate(g, d, stretch, 2);
        break;
    case PREDICT_QUICK:
        guess_learn_rate(g, d, stretch, 1);
        break;
    case PREDICT_MEAN:
        guess_learn_mean(g, d);
        break;
    case PREDICT_LEVEL:
        guess_learn_level(g, d);
        break;
    case PREDICT_LAST:
        g->last = d;
        break;
    default:
        if (d != 0)
            g->last = d;
    }
}

#define RESTART_MAX (INT64_C(1) << 48) /* quanta in a stretch: more teach nothing */

/* Behind a mark nothing is known but how much came between it and the one before. */
static inline void guess_restart(struct codec_guess *g, int64_t units, uint32_t stretch)
{
    assert(stretch > 0);
    bool rate = g->predictor == PREDICT_RATE || g->predictor == PREDICT_QUICK ||
                g->predictor == PREDICT_MEAN;
    bool any = units < RESTART_MAX && units > -RESTART_MAX;
    g->last = g->predictor == PREDICT_LAST && any ? units / stretch : 0;
    g->mean = rate && any ? units * 256 / stretch : 0;
    g->begun = rate && any;
}

static inline __attribute__((always_inline)) uint64_t guess_code(struct codec_guess *g, int64_t d,
                                                                 int64_t stretch)
{
    uint64_t code;
    if (g->predictor == PREDICT_HELD)
        code = d == 0 ? 0 : bits_zigzag(diff64(d, g->last)) + 1;
    else
        code = bits_zigzag(diff64(d, guess_offset(g, stretch)));
    guess_learn(g, d, stretch);
    return code;
}

static inline __attribute__((always_inline)) int64_t guess_value(struct codec_guess *g,
                                                                 uint64_t code, int64_t stretch)
{
    int64_t d;
    if (g->predictor == PREDICT_HELD)
        d = code == 0 ? 0 : sum64(bits_unzigzag(code - 1), g->last);
    else
        d = sum64(bits_unzigzag(code), guess_offset(g, stretch));
    guess_learn(g, d, stretch);
    return d;
}

#endif
