/* Single-producer single-consumer ring of ticks between the sampler and the storage thread. Lock-free;
 * a full ring drops the new tick and counts it, the consumer sees the count as a gap. */
#ifndef DAEMON_METER_RING_H
#define DAEMON_METER_RING_H

#include "common/base.h"
#include "common/units.h"

#define TICK_EDGE  1u /* an off-grid sweep at a run's edge */
#define TICK_FIRST 2u /* first tick of its group in this epoch */

/* Stamps are kept outward, on two grids that are powers of two: the first stamp on that of tick_unit_ns; a sweep is said
 * to be a whole number of tick_width_ns wide, and no narrower than TICK_SWEEP_NS, which one of 20 files hardly is. So
 * nearly all are as wide, and both stamps take two bits. 50 us at 250 W are 13 mJ, less than what flows between two moves
 * of a register of 1 ms. */
#define TICK_SWEEP_NS    INT64_C(48000)
#define TICK_UNIT_MAX_NS INT64_C(16384)

static inline int64_t tick_unit_ns(int64_t period_ns)
{
    return period_ns < 50 * NS_PER_MS ? 8192 : TICK_UNIT_MAX_NS;
}
static inline int64_t tick_width_ns(int64_t period_ns)
{
    return 2 * tick_unit_ns(period_ns);
}
/* The stamps of a sweep that took from *before_ns to *after_ns. */
static inline void tick_round(int64_t period_ns, int64_t *before_ns, int64_t *after_ns)
{
    const int64_t unit = tick_unit_ns(period_ns), width = tick_width_ns(period_ns);
    *before_ns = *before_ns / unit * unit;
    int64_t took = *after_ns - *before_ns;
    *after_ns =
        *before_ns + ((took > TICK_SWEEP_NS ? took : TICK_SWEEP_NS) + width - 1) / width * width;
}

/* State byte of a value in a tick: an enum reading_state, plus these bits for counters. */
#define TICK_STATE_MASK 0x3fu
#define TICK_RESET                                                                                 \
    0x40u                  /* the register went backwards without a range: energy since the last
                                 valid value is unknown; the curve goes on from where it was */
#define TICK_BRIDGED 0x80u /* first value after a daemon gap that the counter bridges */

struct tick {
    uint32_t group; /* index of the meter group */
    uint32_t n;     /* values */
    uint32_t flags;
    uint32_t reserved;
    int64_t index;      /* position on the deadline grid of its group; edges repeat the last one */
    int64_t before_ns;  /* CLOCK_BOOTTIME before the first read of the sweep */
    int64_t after_ns;   /* and after the last one; the sample's time is the middle */
    int64_t suspend_ns; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC at the sweep: growth is a suspend */
    int64_t ticket;     /* of the meter_sweep that asked for it; 0 on the grid */
    /* followed by: int64_t value[n] (counters: cumulative uJ, unwrapped), int64_t raw[n], uint8_t state[n] */
};
static inline int64_t *tick_values(struct tick *t)
{
    return (int64_t *)(void *)(t + 1);
}
static inline int64_t *tick_raws(struct tick *t)
{
    return tick_values(t) + t->n;
}
static inline uint8_t *tick_states(struct tick *t)
{
    return (uint8_t *)(tick_raws(t) + t->n);
}
static inline size_t tick_bytes(uint32_t n)
{
    return sizeof(struct tick) + (size_t)n * 17;
}

struct ring;
struct ring *ring_new(size_t bytes);
void ring_free(struct ring *r);
/* Producer: space for one tick of n values, or NULL when full (counted). Commit it by ring_push. */
struct tick *ring_reserve(struct ring *r, uint32_t n);
void ring_push(struct ring *r);
/* Consumer: the oldest tick, or NULL; borrowed until ring_pop. */
struct tick *ring_peek(struct ring *r);
void ring_pop(struct ring *r);
uint64_t ring_dropped(const struct ring *r);

#endif
