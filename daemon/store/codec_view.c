#include <assert.h>

#include "daemon/store/codec_private.h"
#include "daemon/store/crc32c.h"

/* Version 0 kept everything as it lies in memory. */
#define STAMP_BYTES  17u /* before, after, flags of one tick */
#define COLUMN_HEAD  10u /* kind, flags, raw_last */
#define SAMPLE_BYTES 9u  /* value, state */

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

static uint32_t part_bytes(const struct codec_view *v, uint32_t part)
{
    return get32(v->data + CODEC_FIXED + 4 * (size_t)part);
}

static size_t column_offset(const struct codec_view *v, uint32_t slot)
{
    size_t at = v->columns;
    for (uint32_t c = 0; c < slot; c++)
        at += part_bytes(v, 1 + c);
    return at;
}

/* ---- what the header says ----------------------------------------------------------------------- */

static int check_header(struct codec_view *v, struct err *e)
{
    if (v->bytes < CODEC_FIXED + 8 + CODEC_CRC_BYTES || v->data[0] != CODEC_MAGIC)
        return damaged(e, "beginning");
    v->version = v->data[1];
    if (v->version > CODEC_VERSION)
        return damaged(e, "unknown version");
    uint16_t channels, block;
    memcpy(&channels, v->data + 4, 2);
    memcpy(&block, v->data + 6, 2);
    v->channels = channels;
    v->flags = v->data[2];
    v->n = get32(v->data + 8);
    if (v->n == 0 || v->n > CODEC_TICKS_MAX || channels == 0 || channels > CODEC_CHANNELS_MAX)
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
    size_t total = CODEC_FIXED + 4 * (1 + (size_t)v->channels);
    if (total + CODEC_CRC_BYTES > v->bytes)
        return damaged(e, "length");
    v->columns = total + part_bytes(v, 0);
    for (uint32_t part = 0; part <= v->channels; part++) {
        uint32_t raw = part == 0 ? STAMP_BYTES * v->n : COLUMN_HEAD + SAMPLE_BYTES * v->n;
        if (v->version == 0 && part_bytes(v, part) != raw)
            return damaged(e, "length of a part");
        total += part_bytes(v, part);
    }
    return total + CODEC_CRC_BYTES == v->bytes ? 0 : damaged(e, "length");
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
    v->before = malloc(codec_view_bytes(v));
    if (!v->before)
        return err_set(e, WATTQ_E_STORAGE, "no memory for stored samples");
    v->after = v->before + v->n;
    v->tick_flags = (uint8_t *)(v->after + v->n);
    v->sound = v->n;
    const uint8_t *p = v->data + CODEC_FIXED + 4 * (1 + (size_t)v->channels);
    if (v->version > 0)
        return times_open(v, p, part_bytes(v, 0)) ? 0 : damaged(e, "timeline");
    copy_times(v, p);
    v->known = v->n;
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
    if (v->version > 0)
        return column_open(c, p, bytes);
    c->kind = (enum channel_kind)p[0];
    c->has_raw = (p[1] & CODEC_HAS_RAW) != 0;
    c->raw_last = get64(p + 2);
    c->values = p + COLUMN_HEAD;
    c->states = p + COLUMN_HEAD + 8 * (size_t)v->n;
    return c->kind <= CHANNEL_CPU_TIME;
}

static int check_columns(struct codec_view *v, struct err *e)
{
    struct codec_cursor c;
    size_t at = v->columns;
    for (uint32_t slot = 0; slot < v->channels; slot++) {
        size_t bytes = part_bytes(v, 1 + slot);
        if (!open_column(&c, v, at, bytes))
            return damaged(e, "head of a column");
        at += bytes;
    }
    return 0;
}

void codec_cursor_open(struct codec_cursor *c, struct codec_view *v, uint32_t slot)
{
    assert(slot < v->channels);
    bool ok = open_column(c, v, column_offset(v, slot), part_bytes(v, 1 + slot));
    assert(ok); /* codec_open has looked */
    (void)ok;
}

/* ---- open --------------------------------------------------------------------------------------- */

static int open_checked(struct codec_view *v, struct err *e)
{
    int rc = check_header(v, e);
    if (rc == 0)
        rc = check_lengths(v, e);
    if (rc == 0 &&
        get32(v->data + v->bytes - CODEC_CRC_BYTES) != crc32c(v->data, v->bytes - CODEC_CRC_BYTES))
        rc = damaged(e, "checksum");
    if (rc == 0)
        rc = open_times(v, e);
    return rc ? rc : check_columns(v, e);
}

int codec_open(struct codec_view *v, const void *data, size_t bytes, struct err *e)
{
    *v = (struct codec_view){.data = data, .bytes = bytes};
    int rc = open_checked(v, e);
    if (rc)
        codec_close(v);
    return rc;
}

void codec_close(struct codec_view *v)
{
    free(v->before);
    v->before = v->after = NULL;
    v->tick_flags = NULL;
}

size_t codec_view_bytes(const struct codec_view *v)
{
    return STAMP_BYTES * (size_t)v->n;
}
