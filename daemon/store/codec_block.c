#include <assert.h>

#include "daemon/store/codec_private.h"
#include "daemon/store/crc32c.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "numbers of a header are copied as they lie in memory");

struct codec_block *codec_block_new(const uint8_t *kinds, uint32_t channels, int64_t period_ns)
{
    assert(channels > 0 && channels <= CODEC_CHANNELS_MAX);
    struct codec_block *b = base_alloc(sizeof(*b));
    b->period_ns = period_ns > 0 ? period_ns : 1;
    b->channels = channels;
    b->kinds = base_alloc(channels);
    memcpy(b->kinds, kinds, channels);
    b->raw = base_alloc(channels * sizeof(*b->raw));
    b->raw_saved = base_alloc(channels * sizeof(*b->raw_saved));
    b->won = base_alloc(channels);
    memset(b->won, PREDICT_EMPTY, channels);
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
    free(b->raw);
    free(b->raw_saved);
    free(b->won);
    free(b->states);
    free(b);
}

uint32_t codec_block_ticks(const struct codec_block *b)
{
    return b->n;
}

int64_t codec_block_time(const struct codec_block *b, uint32_t i)
{
    return codec_middle(b->before[i], b->after[i]);
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
    size_t cap = b->cap ? (size_t)b->cap + b->cap / 2 : 64;
    size_t cells = cap * b->channels;
    if (!regrow((void **)&b->before, cap, 8) || !regrow((void **)&b->after, cap, 8) ||
        !regrow((void **)&b->flags, cap, 1) || !regrow((void **)&b->values, cells, 8) ||
        !regrow((void **)&b->states, cells, 1))
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
    memcpy(b->states + at, tick_states(t), t->n);
    for (uint32_t slot = 0; slot < t->n; slot++)
        if ((b->states[at + slot] & TICK_STATE_MASK) == READING_OK)
            b->raw[slot] = tick_raws(t)[slot];
    b->n++;
    return true;
}

void codec_block_save(struct codec_block *b)
{
    b->n_saved = b->n;
    memcpy(b->raw_saved, b->raw, (size_t)b->channels * 8);
}

void codec_block_undo(struct codec_block *b)
{
    b->n = b->n_saved;
    memcpy(b->raw, b->raw_saved, (size_t)b->channels * 8);
}

void codec_block_clear(struct codec_block *b)
{
    b->n = 0;
    codec_block_save(b);
}

void codec_block_keep_last(struct codec_block *b)
{
    if (b->n > 1) {
        size_t last = b->n - 1, from = last * b->channels;
        b->before[0] = b->before[last];
        b->after[0] = b->after[last];
        b->flags[0] = b->flags[last];
        memmove(b->values, b->values + from, (size_t)b->channels * 8);
        memmove(b->states, b->states + from, b->channels);
        b->n = 1;
    }
    codec_block_save(b);
}

static void put_header(struct bytes_out *o, const struct codec_block *b, uint32_t n,
                       uint8_t version, uint8_t flags, struct times_unit unit)
{
    uint8_t units = (uint8_t)(unit.stamp | unit.width << 4);
    const uint8_t begin[4] = {CODEC_MAGIC, version, flags, units};
    const uint16_t counts[2] = {(uint16_t)b->channels, RICE_BLOCK};
    bytes_put(o, begin, sizeof(begin));
    bytes_put(o, counts, sizeof(counts));
    bytes_put(o, &n, sizeof(n));
    for (uint32_t i = 0; i <= b->channels; i++) /* filled in as the parts are made */
        bytes_put(o, &(uint64_t){0}, codec_entry_bytes(version));
    if (version > 1)
        bytes_put(o, &(uint32_t){0}, CODEC_CRC_BYTES); /* and this behind them all */
}

/* Part 0 is the timeline, part 1 + slot a column; it began at `start` and has just ended. */
static void put_entry(struct bytes_out *o, uint8_t version, uint32_t part, size_t start)
{
    const uint32_t entry[2] = {(uint32_t)(o->n - start),
                               o->failed || version < 2 ? 0 : crc32c(o->p + start, o->n - start)};
    size_t bytes = codec_entry_bytes(version);
    if (!o->failed)
        memcpy(o->p + CODEC_FIXED + bytes * part, entry, bytes);
}

static void put_parts(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                      uint8_t version, struct times_unit unit, struct column_room *room)
{
    size_t start = o->n;
    times_encode(o, b, from, unit, version, room->stretch);
    put_entry(o, version, 0, start);
    for (uint32_t slot = 0; slot < b->channels; slot++) {
        start = o->n;
        column_encode(o, b, from, slot, room);
        put_entry(o, version, 1 + slot, start);
    }
}

/* Of everything, at the end; in version 2 of the header, where that ends. */
static void put_crc(struct bytes_out *o, uint8_t version, size_t header)
{
    if (version > 1 && !o->failed) {
        uint32_t crc = crc32c(o->p, header - CODEC_CRC_BYTES);
        memcpy(o->p + header - CODEC_CRC_BYTES, &crc, CODEC_CRC_BYTES);
    } else {
        uint32_t crc = o->failed ? 0 : crc32c(o->p, o->n);
        bytes_put(o, &crc, CODEC_CRC_BYTES);
    }
}

uint8_t *codec_encode(struct codec_block *b, uint32_t from, uint8_t flags, size_t *bytes)
{
    assert(from < b->n);
    struct column_room room CLEANUP(column_room_fini) = {0};
    struct bytes_out o = {0};
    uint32_t n = b->n - from;
    uint8_t version = n > CODEC_SHORT ? 2 : 1;
    struct times_unit unit = times_unit(b, from);
    if (!column_room_init(&room, version, n,
                          version > 1 ? marks_stretch(b, n, flags) : CODEC_TICKS_MAX))
        return NULL;
    put_header(&o, b, n, version, flags, unit);
    size_t header = o.n;
    put_parts(&o, b, from, version, unit, &room);
    put_crc(&o, version, header);
    if (o.failed) {
        free(o.p);
        return NULL;
    }
    *bytes = o.n;
    return o.p;
}
