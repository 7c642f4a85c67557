/* Recorder's store and samples behind a real storage thread, which gets its ticks through a ring. */
#ifndef TESTS_SUPPORT_STORAGE_RIG_H
#define TESTS_SUPPORT_STORAGE_RIG_H

#include "common/units.h"
#include "daemon/store/storage_internal.h"
#include "tests/support/recorder.h"

struct rig {
    struct recorder rec;
    uv_loop_t loop;
    struct storage *storage;
    struct ring *ring;
    bool closed;
    int64_t flush_ns, reserve_bytes; /* storage_parts */
};

/* now_ns: when sampling starts. The recorder has its channels. */
static inline void rig_open_at(struct rig *r, int64_t now_ns)
{
    struct err e = {0};
    rec_open_as(&r->rec, REC_BOOT, now_ns);
    struct storage_parts parts = {.store = r->rec.store, .samples = r->rec.samples};
    parts.ring = r->ring = ring_new(1 << 20);
    parts.flush_ns = r->flush_ns;
    parts.reserve_bytes = r->reserve_bytes;
    rec_must(uv_loop_init(&r->loop), &e, "uv_loop_init");
    rec_must(storage_open_parts(&r->storage, &r->loop, r->rec.path, &parts, &e), &e,
             "storage_open");
    r->rec.store = NULL; /* the storage's now */
    r->rec.samples = NULL;
    rec_must(storage_start(r->storage, &e), &e, "storage_start");
}

static inline void rig_open(struct rig *r)
{
    rig_open_at(r, clock_boot_ns());
}

static inline void rig_on_closed(void *arg)
{
    ((struct rig *)arg)->closed = true;
}

static inline void rig_close(struct rig *r)
{
    storage_stop(r->storage);
    storage_close(r->storage, rig_on_closed, r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    if (!r->closed || uv_loop_close(&r->loop) != 0)
        abort();
    ring_free(r->ring);
    r->closed = false;
}

/* Every channel has this value. after_ns 0 = a sweep now. The sweep's end; 0 = the ring is full. */
static inline int64_t rig_tick_at(struct rig *r, int64_t value, int64_t after_ns)
{
    struct tick *t = ring_reserve(r->ring, (uint32_t)r->rec.n);
    if (!t)
        return 0;
    t->group = 0;
    t->flags = 0;
    t->suspend_ns = 0;
    t->before_ns = after_ns ? after_ns : clock_boot_ns();
    for (size_t i = 0; i < r->rec.n; i++) {
        tick_values(t)[i] = tick_raws(t)[i] = value;
        tick_states(t)[i] = 0;
    }
    t->after_ns = after_ns ? after_ns : clock_boot_ns();
    int64_t end_ns = t->after_ns;
    ring_push(r->ring);
    return end_ns;
}

static inline int64_t rig_tick(struct rig *r, int64_t value)
{
    return rig_tick_at(r, value, 0);
}

#endif
