#include "daemon/meter/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* head and tail count bytes for ever and are taken modulo the capacity; head == tail is empty. Every
 * record starts with its length; a record never straddles the end, SKIP fills the rest of a lap. */
#define HEADER_BYTES sizeof(uint64_t)
#define SKIP         UINT64_MAX
#define LINE_BYTES   64 /* producer and consumer write to different cache lines */

struct ring {
    uint8_t *data;
    size_t bytes;
    char pad0[LINE_BYTES];
    atomic_size_t head; /* producer's */
    size_t reserved;    /* bytes of the record handed out by ring_reserve, its header included */
    size_t skipped;     /* bytes left unused before it at the end of the lap */
    atomic_uint_fast64_t dropped;
    char pad1[LINE_BYTES];
    atomic_size_t tail; /* consumer's */
};

static size_t record_bytes(uint32_t n)
{
    return HEADER_BYTES + ((tick_bytes(n) + 7) & ~(size_t)7);
}

static void put_length(struct ring *r, size_t at, uint64_t length)
{
    memcpy(r->data + at, &length, sizeof(length));
}

struct ring *ring_new(size_t bytes)
{
    struct ring *r = base_alloc(sizeof(*r));
    r->bytes = (bytes + 4095) & ~(size_t)4095;
    r->data = base_alloc(r->bytes);
    return r;
}

void ring_free(struct ring *r)
{
    if (!r) {
        return;
    }
    free(r->data);
    free(r);
}

struct tick *ring_reserve(struct ring *r, uint32_t n)
{
    size_t need = record_bytes(n);
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    size_t at = head % r->bytes;
    size_t skip = r->bytes - at >= need ? 0 : r->bytes - at;
    if (need > r->bytes || r->bytes - (head - tail) < need + skip) {
        atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    if (skip) {
        put_length(r, at, SKIP);
        at = 0;
    }
    r->skipped = skip;
    r->reserved = need;
    put_length(r, at, need);
    struct tick *t = (struct tick *)(void *)(r->data + at + HEADER_BYTES);
    memset(t, 0, tick_bytes(n));
    t->n = n;
    return t;
}

void ring_push(struct ring *r)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    atomic_store_explicit(&r->head, head + r->skipped + r->reserved, memory_order_release);
    r->skipped = 0;
    r->reserved = 0;
}

/* The record at the tail, past a skip; NULL when empty. A skip is always followed by a record that was
 * pushed with it. */
static uint8_t *oldest(struct ring *r, size_t *tail)
{
    *tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (atomic_load_explicit(&r->head, memory_order_acquire) == *tail) {
        return NULL;
    }
    uint64_t length = 0;
    memcpy(&length, r->data + *tail % r->bytes, sizeof(length));
    if (length == SKIP) {
        *tail += r->bytes - *tail % r->bytes;
    }
    return r->data + *tail % r->bytes;
}

struct tick *ring_peek(struct ring *r)
{
    size_t tail = 0;
    uint8_t *record = oldest(r, &tail);
    return record ? (struct tick *)(void *)(record + HEADER_BYTES) : NULL;
}

void ring_pop(struct ring *r)
{
    size_t tail = 0;
    const uint8_t *record = oldest(r, &tail);
    if (!record) {
        return;
    }
    uint64_t length = 0;
    memcpy(&length, record, sizeof(length));
    atomic_store_explicit(&r->tail, tail + (size_t)length, memory_order_release);
}

uint64_t ring_dropped(const struct ring *r)
{
    return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}
