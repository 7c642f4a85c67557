#include "daemon/store/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store/crc32c.h"

#define MAGIC        0x50u
#define FIXED_BYTES  12u /* up to the table of lengths */
#define STAMP_BYTES  17u /* before, after, flags of one tick */
#define COLUMN_HEAD  10u /* kind, flags, raw_last */
#define SAMPLE_BYTES 9u  /* value, state */
#define CRC_BYTES    4u
#define HAS_RAW      1u

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "columns are copied as they lie in memory");

/* ---- writing ------------------------------------------------------------------------------------ */

struct codec_block {
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

struct codec_block *codec_block_new(const uint8_t *kinds, uint32_t channels)
{
    assert(channels > 0 && channels <= CODEC_CHANNELS_MAX);
    struct codec_block *b = base_alloc(sizeof(*b));
    b->channels = channels;
    b->kinds = base_alloc(channels);
    memcpy(b->kinds, kinds, channels);
    return b;
}

void codec_block_free(struct codec_block *b)
{
    if (!b)
        return;
    free(b->kinds);
    free(b->before);
    free(b->after);
    free(b->flags);
    free(b->values);
    free(b->raws);
    free(b->states);
    free(b);
}

uint32_t codec_block_ticks(const struct codec_block *b)
{
    return b->n;
}

static bool regrow(void **p, size_t count, size_t each)
{
    void *q = reallocarray(*p, count, each);
    if (q)
        *p = q;
    return q != NULL;
}

static bool grow(struct codec_block *b)
{
    if (b->n < b->cap)
        return true;
    if (b->n >= CODEC_TICKS_MAX)
        return false;
    size_t cap = b->cap ? (size_t)b->cap * 2 : 64;
    size_t cells = cap * b->channels;
    if (!regrow((void **)&b->before, cap, 8) || !regrow((void **)&b->after, cap, 8) ||
        !regrow((void **)&b->flags, cap, 1) || !regrow((void **)&b->values, cells, 8) ||
        !regrow((void **)&b->raws, cells, 8) || !regrow((void **)&b->states, cells, 1))
        return false;
    b->cap = (uint32_t)cap;
    return true;
}

bool codec_block_add(struct codec_block *b, struct tick *t)
{
    assert(t->n == b->channels);
    if (!grow(b))
        return false;
    size_t at = (size_t)b->n * b->channels;
    b->before[b->n] = t->before_ns;
    b->after[b->n] = t->after_ns;
    b->flags[b->n] = (uint8_t)(t->flags & 0xff);
    memcpy(b->values + at, tick_values(t), (size_t)t->n * 8);
    memcpy(b->raws + at, tick_raws(t), (size_t)t->n * 8);
    memcpy(b->states + at, tick_states(t), t->n);
    b->n++;
    return true;
}

void codec_block_cut(struct codec_block *b, uint32_t ticks)
{
    if (ticks < b->n)
        b->n = ticks;
}

void codec_block_keep_last(struct codec_block *b)
{
    if (b->n < 2)
        return;
    size_t last = b->n - 1, from = last * b->channels;
    b->before[0] = b->before[last];
    b->after[0] = b->after[last];
    b->flags[0] = b->flags[last];
    memmove(b->values, b->values + from, (size_t)b->channels * 8);
    memmove(b->raws, b->raws + from, (size_t)b->channels * 8);
    memmove(b->states, b->states + from, b->channels);
    b->n = 1;
}

static uint8_t *put(uint8_t *p, const void *data, size_t bytes)
{
    memcpy(p, data, bytes);
    return p + bytes;
}

static size_t blob_bytes(size_t channels, size_t n)
{
    return FIXED_BYTES + 4 * (1 + channels) + STAMP_BYTES * n +
           channels * (COLUMN_HEAD + SAMPLE_BYTES * n) + CRC_BYTES;
}

static uint8_t *put_header(uint8_t *p, const struct codec_block *b, uint32_t n, uint8_t flags)
{
    uint8_t fixed[8] = {MAGIC, CODEC_VERSION, flags};
    uint16_t channels = (uint16_t)b->channels;
    memcpy(fixed + 4, &channels, 2);
    p = put(p, fixed, sizeof(fixed));
    p = put(p, &n, 4);
    uint32_t timeline = STAMP_BYTES * n, column = COLUMN_HEAD + SAMPLE_BYTES * n;
    p = put(p, &timeline, 4);
    for (uint32_t c = 0; c < b->channels; c++)
        p = put(p, &column, 4);
    return p;
}

static uint8_t *put_column(uint8_t *p, const struct codec_block *b, uint32_t from, uint32_t slot)
{
    uint8_t *head = p;
    uint8_t has_raw = 0;
    int64_t raw = 0;
    p += COLUMN_HEAD;
    for (uint32_t i = from; i < b->n; i++) {
        size_t at = (size_t)i * b->channels + slot;
        bool valid = (b->states[at] & TICK_STATE_MASK) == READING_OK;
        int64_t value = valid ? b->values[at] : 0;
        p = put(p, &value, 8);
        if (valid) {
            has_raw = HAS_RAW;
            raw = b->raws[at];
        }
    }
    for (uint32_t i = from; i < b->n; i++)
        *p++ = b->states[(size_t)i * b->channels + slot];
    head[0] = b->kinds[slot];
    head[1] = has_raw;
    memcpy(head + 2, &raw, 8);
    return p;
}

uint8_t *codec_encode(const struct codec_block *b, uint32_t from, uint8_t flags, size_t *bytes)
{
    assert(from < b->n);
    uint32_t n = b->n - from;
    *bytes = blob_bytes(b->channels, n);
    uint8_t *blob = malloc(*bytes);
    if (!blob)
        return NULL;
    uint8_t *p = put_header(blob, b, n, flags);
    p = put(p, b->before + from, (size_t)n * 8);
    p = put(p, b->after + from, (size_t)n * 8);
    p = put(p, b->flags + from, n);
    for (uint32_t c = 0; c < b->channels; c++)
        p = put_column(p, b, from, c);
    uint32_t crc = crc32c(blob, *bytes - CRC_BYTES);
    p = put(p, &crc, CRC_BYTES);
    assert(p == blob + *bytes);
    return blob;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static int64_t get64(const uint8_t *p)
{
    int64_t v;
    memcpy(&v, p, 8);
    return v;
}

static int damaged(struct err *e, const char *what)
{
    return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples is damaged (%s)", what);
}

/* Lengths that the header states must be those that version 0 has for its n and C. */
static int check_lengths(const struct codec_view *v, size_t bytes, struct err *e)
{
    if (blob_bytes(v->channels, v->n) != bytes)
        return damaged(e, "length");
    if (get32(v->data + FIXED_BYTES) != STAMP_BYTES * v->n)
        return damaged(e, "timeline");
    for (uint32_t c = 0; c < v->channels; c++)
        if (get32(v->data + FIXED_BYTES + 4 * (1 + (size_t)c)) != COLUMN_HEAD + SAMPLE_BYTES * v->n)
            return damaged(e, "column");
    return 0;
}

static int check_times(const struct codec_view *v, struct err *e)
{
    int64_t last = -1;
    for (uint32_t i = 0; i < v->n; i++) {
        int64_t before = codec_before(v, i), after = codec_after(v, i);
        if (before < 0 || after < before || after > CODEC_TIME_MAX)
            return damaged(e, "stamp");
        if (codec_time(v, i) <= last)
            return damaged(e, "order of stamps");
        last = codec_time(v, i);
    }
    return 0;
}

static int check_columns(const struct codec_view *v, struct err *e)
{
    for (uint32_t c = 0; c < v->channels; c++)
        if (v->data[v->columns + (size_t)c * (COLUMN_HEAD + SAMPLE_BYTES * (size_t)v->n)] >
            CHANNEL_CPU_TIME)
            return damaged(e, "kind of channel");
    return 0;
}

int codec_open(struct codec_view *v, const void *data, size_t bytes, struct err *e)
{
    memset(v, 0, sizeof(*v));
    v->data = data;
    if (bytes < blob_bytes(1, 1) || v->data[0] != MAGIC)
        return damaged(e, "beginning");
    if (v->data[1] != CODEC_VERSION)
        return damaged(e, "unknown version");
    uint16_t channels;
    memcpy(&channels, v->data + 4, 2);
    v->channels = channels;
    v->flags = v->data[2];
    v->n = get32(v->data + 8);
    if (v->n == 0 || v->n > CODEC_TICKS_MAX || channels == 0 || channels > CODEC_CHANNELS_MAX)
        return damaged(e, "counts");
    int rc = check_lengths(v, bytes, e);
    if (rc)
        return rc;
    if (get32(v->data + bytes - CRC_BYTES) != crc32c(v->data, bytes - CRC_BYTES))
        return damaged(e, "checksum");
    v->times = FIXED_BYTES + 4 * (1 + (size_t)channels);
    v->columns = v->times + STAMP_BYTES * (size_t)v->n;
    rc = check_times(v, e);
    return rc ? rc : check_columns(v, e);
}

int64_t codec_before(const struct codec_view *v, uint32_t i)
{
    return get64(v->data + v->times + 8 * (size_t)i);
}

int64_t codec_after(const struct codec_view *v, uint32_t i)
{
    return get64(v->data + v->times + 8 * ((size_t)v->n + i));
}

int64_t codec_time(const struct codec_view *v, uint32_t i)
{
    return codec_middle(codec_before(v, i), codec_after(v, i));
}

uint8_t codec_flags(const struct codec_view *v, uint32_t i)
{
    return v->data[v->times + 16 * (size_t)v->n + i];
}

struct codec_column codec_column_at(const struct codec_view *v, uint32_t slot)
{
    assert(slot < v->channels);
    const uint8_t *p = v->data + v->columns + slot * (COLUMN_HEAD + SAMPLE_BYTES * (size_t)v->n);
    return (struct codec_column){
        .kind = (enum channel_kind)p[0],
        .has_raw = (p[1] & HAS_RAW) != 0,
        .raw_last = get64(p + 2),
        .values = p + COLUMN_HEAD,
        .states = p + COLUMN_HEAD + 8 * (size_t)v->n,
    };
}

int64_t codec_value(const struct codec_column *c, uint32_t i)
{
    return get64(c->values + 8 * (size_t)i);
}

uint8_t codec_state(const struct codec_column *c, uint32_t i)
{
    return c->states[i];
}
