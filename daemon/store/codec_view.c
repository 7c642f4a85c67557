#include <assert.h>

#include "daemon/store/codec_private.h"
#include "daemon/store/crc32c.h"

/* Version 0 kept everything as it lies in memory. */
#define STAMP_BYTES  17u /* before, after, flags of one tick */
#define COLUMN_HEAD  10u /* kind, flags, raw_last */
#define SAMPLE_BYTES 9u  /* value, state */

/* At most so many: none is shorter than a block. */
#define STRETCHES(n) (1 + (size_t)(n) / RICE_BLOCK)

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

static const uint8_t *entry_of(const struct codec_view *v, uint32_t part)
{
    return v->data + CODEC_FIXED + codec_entry_bytes(v->version) * part;
}

static uint32_t part_bytes(const struct codec_view *v, uint32_t part)
{
    return get32(entry_of(v, part));
}

size_t codec_part_at(const struct codec_view *v, uint32_t part, size_t *bytes)
{
    size_t at = v->parts;
    for (uint32_t i = 0; i < part; i++)
        at += part_bytes(v, i);
    *bytes = part_bytes(v, part);
    return at;
}

/* ---- what the header says ----------------------------------------------------------------------- */

static uint32_t channels_of(const uint8_t *begin)
{
    uint16_t channels;
    memcpy(&channels, begin + 4, 2);
    return channels;
}

static size_t header_bytes(uint8_t version, uint32_t channels)
{
    return CODEC_FIXED + codec_entry_bytes(version) * (1 + (size_t)channels) +
           (version > 1 ? CODEC_CRC_BYTES : 0);
}

size_t codec_head_bytes(const uint8_t begin[CODEC_BEGIN])
{
    bool is = begin[0] == CODEC_MAGIC && begin[1] == 2;
    return is ? header_bytes(2, channels_of(begin)) : 0;
}

static int check_header(struct codec_view *v, struct err *e)
{
    if (v->bytes < CODEC_FIXED + 8 + CODEC_CRC_BYTES || v->data[0] != CODEC_MAGIC)
        return damaged(e, "beginning");
    v->version = v->data[1];
    if (v->version > CODEC_VERSION)
        return damaged(e, "unknown version");
    uint16_t block;
    memcpy(&block, v->data + 6, 2);
    v->channels = channels_of(v->data);
    v->flags = v->data[2];
    v->n = get32(v->data + 8);
    if (v->n == 0 || v->n > CODEC_TICKS_MAX || v->channels == 0 || v->channels > CODEC_CHANNELS_MAX)
        return damaged(e, "counts");
    struct times_unit unit = times_unit_of(v);
    if (v->version > 0 &&
        (unit.stamp > CODEC_UNIT_BITS || unit.width > CODEC_UNIT_BITS || block != RICE_BLOCK))
        return damaged(e, "unit or length of its blocks");
    return 0;
}

/* The parts must fill the blob, no byte left; in version 0 each has the one length that n allows. */
static int check_lengths(struct codec_view *v, struct err *e)
{
    size_t total = v->parts = header_bytes(v->version, v->channels);
    size_t crc = v->version < 2 ? CODEC_CRC_BYTES : 0;
    if (total + crc > v->bytes)
        return damaged(e, "length");
    for (uint32_t part = 0; part <= v->channels; part++) {
        uint32_t raw = part == 0 ? STAMP_BYTES * v->n : COLUMN_HEAD + SAMPLE_BYTES * v->n;
        if (v->version == 0 && part_bytes(v, part) != raw)
            return damaged(e, "length of a part");
        total += part_bytes(v, part);
    }
    return total + crc == v->bytes ? 0 : damaged(e, "length");
}

/* Of everything before, at the end; in version 2 of the header. */
static int check_crc(const struct codec_view *v, struct err *e)
{
    size_t end = (v->version < 2 ? v->bytes : v->parts) - CODEC_CRC_BYTES;
    return get32(v->data + end) == crc32c(v->data, end) ? 0 : damaged(e, "checksum");
}

/* ---- timeline ----------------------------------------------------------------------------------- */

static void copy_times(struct codec_view *v, const uint8_t *p)
{
    memcpy(v->before, p, 8 * (size_t)v->n);
    memcpy(v->after, p + 8 * (size_t)v->n, 8 * (size_t)v->n);
    memcpy(v->tick_flags, p + 16 * (size_t)v->n, v->n);
}

static int check_times(struct codec_view *v, struct err *e)
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

static int open_times(struct codec_view *v, struct err *e)
{
    const uint8_t *p = v->data + v->parts;
    if (v->version > 0)
        return times_open(v, p, part_bytes(v, 0)) ? 0 : damaged(e, "timeline");
    copy_times(v, p);
    v->known[0] = v->n;
    return check_times(v, e);
}

/* ---- columns ------------------------------------------------------------------------------------ */

static bool open_column(struct codec_cursor *c, struct codec_view *v, size_t at, size_t bytes)
{
    const uint8_t *p = v->data + at;
    c->view = v;
    c->at = c->ahead_at = c->unpacked = 0;
    c->have = c->used = 0;
    c->has_raw = false;
    c->raw_last = c->value = c->last_ns = 0;
    c->guess = (struct codec_guess){0};
    c->stretch = CODEC_TICKS_MAX;
    if (v->version > 0)
        return column_open(c, p, bytes);
    c->kind = (enum channel_kind)p[0];
    c->has_raw = (p[1] & CODEC_HAS_RAW) != 0;
    c->raw_last = get64(p + 2);
    c->values = p + COLUMN_HEAD;
    c->states = p + COLUMN_HEAD + 8 * (size_t)v->n;
    return c->kind <= CHANNEL_CPU_TIME;
}

void codec_cursor_open(struct codec_cursor *c, struct codec_view *v, uint32_t slot)
{
    assert(slot < v->channels && codec_has(v, 1 + slot));
    size_t bytes, at = codec_part_at(v, 1 + slot, &bytes);
    bool ok = open_column(c, v, at, bytes);
    assert(ok); /* codec_take has looked */
    (void)ok;
}

/* ---- open --------------------------------------------------------------------------------------- */

static int take(struct codec_view *v, uint32_t part, size_t at, size_t bytes, struct err *e)
{
    struct codec_cursor c;
    if (v->version > 1 && get32(entry_of(v, part) + 4) != crc32c(v->data + at, bytes))
        return damaged(e, "checksum");
    if (part != CODEC_TIMELINE && !open_column(&c, v, at, bytes))
        return damaged(e, "head of a column");
    int rc = part == CODEC_TIMELINE ? open_times(v, e) : 0;
    v->taken[part] = rc == 0;
    return rc;
}

int codec_take(struct codec_view *v, uint32_t part, struct err *e)
{
    size_t bytes, at = codec_part_at(v, part, &bytes);
    assert(part == CODEC_TIMELINE || codec_has(v, CODEC_TIMELINE));
    return take(v, part, at, bytes, e);
}

static int take_all(struct codec_view *v, struct err *e)
{
    size_t at = v->parts;
    int rc = 0;
    for (uint32_t part = 0; rc == 0 && part <= v->channels; part++) {
        rc = take(v, part, at, part_bytes(v, part), e);
        at += part_bytes(v, part);
    }
    return rc;
}

static int open_header(struct codec_view *v, struct err *e)
{
    int rc = check_header(v, e);
    if (rc == 0)
        rc = check_lengths(v, e);
    if (rc == 0)
        rc = check_crc(v, e);
    if (rc)
        return rc;
    v->before = malloc(codec_view_bytes(v));
    if (!v->before)
        return err_set(e, WATTQ_E_STORAGE, "no memory for stored samples");
    v->after = v->before + v->n;
    v->known = (uint32_t *)(v->after + v->n);
    v->tick_flags = (uint8_t *)(v->known + STRETCHES(v->n));
    v->taken = v->tick_flags + v->n;
    memset(v->known, 0, STRETCHES(v->n) * sizeof(*v->known));
    memset(v->taken, 0, 1 + (size_t)v->channels);
    v->sound = v->n;
    v->stretch = CODEC_TICKS_MAX;
    v->shift = 16;
    return 0;
}

int codec_open_head(struct codec_view *v, const void *data, size_t bytes, struct err *e)
{
    *v = (struct codec_view){.data = data, .bytes = bytes};
    return open_header(v, e);
}

int codec_open(struct codec_view *v, const void *data, size_t bytes, struct err *e)
{
    *v = (struct codec_view){.data = data, .bytes = bytes};
    int rc = open_header(v, e);
    if (rc == 0)
        rc = take_all(v, e);
    if (rc)
        codec_close(v);
    return rc;
}

void codec_close(struct codec_view *v)
{
    free(v->before);
    v->before = v->after = NULL;
    v->tick_flags = v->taken = NULL;
    v->known = NULL;
}

size_t codec_view_bytes(const struct codec_view *v)
{
    return STAMP_BYTES * (size_t)v->n + STRETCHES(v->n) * sizeof(*v->known) + 1 + v->channels;
}
