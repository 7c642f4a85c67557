/* Inside store/: bytes that grow while a blob is made, and bits, most significant first, in and out.
 * Pure, any thread. Reading never leaves its bounds: what lies behind the end reads as 0 and is noted. */
#ifndef DAEMON_STORE_BITS_H
#define DAEMON_STORE_BITS_H

#include <stdlib.h>
#include <string.h>

#include "common/base.h"

/* ---- bytes out ---------------------------------------------------------------------------------- */

struct bytes_out {
    uint8_t *p; /* owned by who declared it */
    size_t n, cap;
    bool failed; /* no memory: what was put since is lost */
};

static inline bool bytes_room(struct bytes_out *o, size_t more)
{
    if (o->cap - o->n >= more)
        return true;
    size_t cap = o->cap * 2 > o->n + more ? o->cap * 2 : o->n + more + 64;
    uint8_t *p = o->failed ? NULL : realloc(o->p, cap);
    if (!p) {
        o->failed = true;
        return false;
    }
    o->p = p;
    o->cap = cap;
    return true;
}

static inline void bytes_put(struct bytes_out *o, const void *data, size_t n)
{
    if (n == 0 || !bytes_room(o, n))
        return;
    memcpy(o->p + o->n, data, n);
    o->n += n;
}

static inline void bytes_put8(struct bytes_out *o, uint8_t v)
{
    bytes_put(o, &v, 1);
}

/* Seven bits a byte, the lowest first, 0x80 = more follow. source: LEB128. */
static inline void bytes_put_varint(struct bytes_out *o, uint64_t v)
{
    uint8_t buf[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        buf[n++] = (uint8_t)(v | 0x80);
    buf[n++] = (uint8_t)v;
    bytes_put(o, buf, n);
}

/* 0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small numbers of either sign are small. */
static inline uint64_t bits_zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static inline int64_t bits_unzigzag(uint64_t u)
{
    return (int64_t)(u >> 1 ^ -(u & 1));
}

/* ---- bytes in ----------------------------------------------------------------------------------- */

struct bytes_in {
    const uint8_t *p, *end;
    bool over; /* something was asked for that is not there */
};

static inline uint8_t bytes_get8(struct bytes_in *in)
{
    if (in->p == in->end) {
        in->over = true;
        return 0;
    }
    return *in->p++;
}

static inline uint64_t bytes_get_varint(struct bytes_in *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = bytes_get8(in);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    in->over = true;
    return 0;
}

/* ---- bits out ----------------------------------------------------------------------------------- */

struct bits_out {
    struct bytes_out *to;
    uint64_t acc;
    unsigned n; /* bits in acc, < 8 between calls */
};

/* The lowest `bits` of v, bits <= 56; what is above them must be 0. */
static inline void bits_put(struct bits_out *o, uint64_t v, unsigned bits)
{
    o->acc = o->acc << bits | v;
    o->n += bits;
    if (o->n < 8 || !bytes_room(o->to, 8))
        return;
    /* Eight bytes are written; those that are whole count. */
    uint64_t next = __builtin_bswap64(o->acc << (64 - o->n));
    memcpy(o->to->p + o->to->n, &next, 8);
    o->to->n += o->n / 8;
    o->n %= 8;
}

/* Zeros up to the next byte. */
static inline void bits_end(struct bits_out *o)
{
    if (o->n > 0)
        bits_put(o, 0, 8 - o->n);
}

/* ---- bits in ------------------------------------------------------------------------------------ */

struct bits_in {
    const uint8_t *p, *end;
    uint64_t acc; /* the next bit is the highest */
    unsigned n;   /* bits in acc */
    bool over;
};

/* At least 56 bits in acc, zeros behind the end. */
static inline void bits_fill(struct bits_in *in)
{
    if (in->end - in->p >= 8) {
        uint64_t next;
        memcpy(&next, in->p, 8);
        in->acc |= __builtin_bswap64(next) >> in->n;
        in->p += (63 - in->n) >> 3;
        in->n |= 56;
        return;
    }
    for (; in->n <= 56 && in->p < in->end; in->n += 8)
        in->acc |= (uint64_t)*in->p++ << (56 - in->n);
}

static inline void bits_drop(struct bits_in *in, unsigned bits)
{
    if (bits > in->n) {
        in->over = true;
        in->acc = 0;
        in->n = 0;
        return;
    }
    in->acc <<= bits;
    in->n -= bits;
}

/* 0 <= bits <= 56, after bits_fill. */
static inline uint64_t bits_peek(const struct bits_in *in, unsigned bits)
{
    return bits == 0 ? 0 : in->acc >> (64 - bits);
}

static inline uint64_t bits_get(struct bits_in *in, unsigned bits)
{
    bits_fill(in);
    uint64_t v = bits_peek(in, bits);
    bits_drop(in, bits);
    return v;
}

#endif
