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

static void put_header(struct bytes_out *o, const struct codec_block *b, uint32_t n, uint8_t flags,
                       struct times_unit unit)
{
    uint8_t units = (uint8_t)(unit.stamp | unit.width << 4);
    const uint8_t begin[4] = {CODEC_MAGIC, CODEC_VERSION, flags, units};
    const uint16_t counts[2] = {(uint16_t)b->channels, RICE_BLOCK};
    bytes_put(o, begin, sizeof(begin));
    bytes_put(o, counts, sizeof(counts));
    bytes_put(o, &n, sizeof(n));
    for (uint32_t i = 0; i <= b->channels; i++) /* filled in as the parts are made */
        bytes_put(o, &(uint32_t){0}, 4);
}

/* Part 0 is the timeline, part 1 + slot a column; it began at `start` and has just ended. */
static void put_length(struct bytes_out *o, uint32_t part, size_t start)
{
    uint32_t length = (uint32_t)(o->n - start);
    if (!o->failed)
        memcpy(o->p + CODEC_FIXED + 4 * (size_t)part, &length, 4);
}

static void put_parts(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                      struct times_unit unit, struct column_room *room)
{
    size_t start = o->n;
    times_encode(o, b, from, unit);
    put_length(o, 0, start);
    for (uint32_t slot = 0; slot < b->channels; slot++) {
        start = o->n;
        column_encode(o, b, from, slot, room);
        put_length(o, 1 + slot, start);
    }
}

uint8_t *codec_encode(const struct codec_block *b, uint32_t from, uint8_t flags, size_t *bytes)
{
    assert(from < b->n);
    struct column_room room CLEANUP(column_room_fini) = {0};
    struct bytes_out o = {0};
    uint32_t n = b->n - from;
    struct times_unit unit = times_unit(b, from);
    if (!column_room_init(&room, n))
        return NULL;
    put_header(&o, b, n, flags, unit);
    put_parts(&o, b, from, unit, &room);
    uint32_t crc = o.failed ? 0 : crc32c(o.p, o.n);
    bytes_put(&o, &crc, CODEC_CRC_BYTES);
    if (o.failed) {
        free(o.p);
        return NULL;
    }
    *bytes = o.n;
    return o.p;
}
