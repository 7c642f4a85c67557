/* Inside the codec: what its files share. */
#ifndef DAEMON_STORE_CODEC_PRIVATE_H
#define DAEMON_STORE_CODEC_PRIVATE_H

#include "daemon/store/codec.h"

#define CODEC_MAGIC     0x50u
#define CODEC_FIXED     12u /* bytes before the table of lengths */
#define CODEC_CRC_BYTES 4u
#define CODEC_HAS_RAW   1u /* version 0, flag of a column */

/* First byte of a column: kind, predictor << 3, and these. */
#define COLUMN_KIND    0x07u
#define COLUMN_QUANTUM 0x40u
#define COLUMN_STATES  0x80u

enum codec_predictor {
    PREDICT_NOTHING,  /* the difference itself */
    PREDICT_LAST,     /* as much as the last time */
    PREDICT_RATE,     /* the smoothed rate by the time that passed */
    PREDICT_MEAN,     /* the smoothed difference, whatever the time */
    PREDICT_HELD,     /* no change, else by as much as the last time that it changed */
    PREDICT_LEVEL,    /* back to the smoothed level */
    PREDICTORS,       /* number of them */
    PREDICT_EMPTY = 7 /* no valid sample is in the column */
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
    int64_t *raws;
    uint8_t *states;
};

/* ---- timeline ----------------------------------------------------------------------------------- */

/* Powers of two: what all `before` from a tick on are multiples of, and all widths of sweeps. */
struct times_unit {
    uint8_t stamp, width;
};
struct times_unit times_unit(const struct codec_block *b, uint32_t from);
void times_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                  struct times_unit unit);
struct times_unit times_unit_of(const struct codec_view *v);
/* The head of the timeline. False when it is none. */
bool times_open(struct codec_view *v, const uint8_t *p, size_t bytes);

/* ---- columns ------------------------------------------------------------------------------------ */

/* Room for one column of a block while it is encoded. */
struct column_room {
    int64_t *value; /* the valid samples */
    int64_t *t_ns;
    int64_t *stretch; /* guess_stretch of the step to each; [0] unused */
    int64_t *d;       /* differences in quanta; [0] unused */
    uint64_t *code;
    uint32_t n;
};
bool column_room_init(struct column_room *r, uint32_t ticks); /* false without memory */
void column_room_fini(struct column_room *r);
void column_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from, uint32_t slot,
                   struct column_room *r);
/* The head of a column of version 1, up to its bits. False when it is not one. */
bool column_open(struct codec_cursor *c, const uint8_t *p, size_t bytes);

/* Differences of `value` in the quantum that it turns out to have: fills d and *q. */
void quantum_find(struct codec_quantum *q, enum channel_kind kind, const int64_t *value, int64_t *d,
                  uint32_t n);

/* ---- predictors --------------------------------------------------------------------------------- */

__extension__ typedef __int128 codec_wide;

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

static inline int64_t guess_stretch(int64_t inverse, int64_t period_ns, int64_t dt_ns)
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

/* Differences of a period, 8 bits of fraction, smoothed by 1/4; the first one is taken as it is. */
static inline void guess_learn_rate(struct codec_guess *g, int64_t d, int64_t stretch)
{
    if (guess_is_far(d) || stretch > STRETCH_NEAR || stretch < -STRETCH_NEAR)
        return;
    int64_t now = d * 256 - (d * 256 * stretch >> 20);
    g->mean = g->begun ? g->mean + ((now - g->mean) >> 2) : now;
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
        guess_learn_rate(g, d, stretch);
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

static inline uint64_t guess_code(struct codec_guess *g, int64_t d, int64_t stretch)
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
