/* The meter: all sources of this machine, one sampler thread, one group of channels per pace.
 * Owns sources, thread and schedule; produces ticks into a ring it owns. Values of counters leave here
 * unwrapped and cumulative (int64 uJ since the channel was first seen); a reading that has no value
 * leaves with its reason.
 *
 * Life: meter_open (finds everything) -> the store names the channels and says where each curve stood
 * (meter_set_base) -> meter_start -> ... -> meter_stop -> meter_close.
 * Deadlines are absolute CLOCK_MONOTONIC on a grid of period_ns; a late wake skips grid points, never
 * shifts the grid. Stamps are CLOCK_BOOTTIME.
 *
 * Groups: 0 = fast (config period; also the edge sweeps; always there, even when empty), then slow (1 s)
 * where there is something slow, then one for each source that may block. Such a source is read on a
 * thread of its own, on its own grid; the sampler takes over its newest answer, with the answer's own
 * stamps, and says READING_STALE when none has come for 2 s. A source that turns out slow while running
 * (> 2 ms, 8 sweeps in a row) is read that way too but keeps its slots: its newest answer stands in the
 * group's ticks, never older than 2 s. */
#ifndef DAEMON_METER_METER_H
#define DAEMON_METER_METER_H

#include "daemon/meter/ring.h"
#include "daemon/meter/source.h"

struct meter;

#define METER_CHANNELS_MAX 1024
#define METER_GROUPS_MAX   256

/* A channel as the rest of the daemon sees it: its description and where it stands in a tick. */
struct meter_channel {
    struct channel_desc desc; /* parent and mirror_of are meter-wide indices here */
    const char *source;       /* source_ops.name */
    int64_t id;               /* row in `channel`; 0 until meter_set_base */
    uint32_t group;
    uint32_t slot; /* position in that group's ticks */
    /* Learned while sampling; written by the sampler, read by anyone (relaxed atomics inside). */
};

/* What watching the channels side by side showed (watch.h judges, docs/measurement.md has the rules).
 * The first four keep a channel out of totals; the last three let anything else that meters the same thing
 * come first. Each can end: a channel that agrees again for long is restored. */
enum meter_doubt {
    METER_DOUBT_NONE,
    METER_DOUBT_MIRROR, /* moves in step with another die's channel: the same register seen again */
    METER_DOUBT_LOWER, /* shows less than what lies inside it: what it covers is not what it says */
    METER_DOUBT_HIGHER,    /* a part that shows more than its whole */
    METER_DOUBT_UNPROVEN,  /* psys that has not been seen to contain its packages yet */
    METER_DOUBT_DISAGREES, /* is the worse one of two that meter the same thing */
    METER_DOUBT_BACKWARDS, /* a counter that began anew again and again */
    METER_DOUBT_FROZEN,    /* a reading that stood still while what it meters moved */
    METER_DOUBTS
};
const char *meter_doubt_name(enum meter_doubt d); /* "mirror"; "" for none */
const char *meter_doubt_text(enum meter_doubt d); /* "shows the same register as"; "" for none */
bool meter_doubt_excludes(enum meter_doubt d);    /* out of totals; a mirror only stands in */

/* A doubt with what it rests on. */
struct meter_opinion {
    enum meter_doubt doubt;
    int about;        /* the other channel, meter-wide index; -1 = none */
    int64_t since_ns; /* CLOCK_BOOTTIME when it began, or ended; 0 = never any */
    int64_t mine_uj, other_uj,
        span_ns; /* what both showed, and over how long; span 0 = no numbers */
    bool proven; /* psys: has been seen to contain its packages */
};

/* A snapshot for `wattq meters`, `top` and energy decisions. */
struct meter_status {
    enum reading_state state;
    int64_t last_value; /* newest valid value, unit of the channel; counters cumulative */
    int64_t last_ns;    /* its time; 0 = never */
    int64_t changed_ns; /* when the value was last seen to change; 0 = never */
    int64_t
        power_uw; /* counters: over the last >= 2 update periods; gauges: the value; -1 = unknown */
    int64_t period_learned_ns; /* longest of the newest gaps between changes; 0 = not yet */
    int64_t pace_ns;           /* how far apart it is polled: nothing shorter can be learned */
    int64_t
        quantum_learned; /* every change was a multiple of this, unit of the channel; 0 = not yet */
    int64_t lag_learned_ns; /* against a faster meter; -1 = not yet */
    int64_t lag_events;     /* changes of power it rests on */
    int64_t reads, failures;
    struct meter_opinion opinion;
};

int meter_open(struct meter **out, const struct meter_config *cfg, struct err *e) MUST_USE;
void meter_close(struct meter *m); /* NULL is fine; stops first */
/* Any thread. How many channels are sampled; grows while the meter runs and never shrinks: take it once
 * and use that number. A channel keeps its index, its place and its description for the meter's life. */
size_t meter_count(const struct meter *m);
const struct meter_channel *meter_channel(const struct meter *m, size_t i);
size_t meter_groups(const struct meter *m); /* of all channels found */
int64_t meter_group_period_ns(const struct meter *m, size_t group);
struct ring *meter_ring(struct meter *m);

/* Before meter_start: the channel's row id, the cumulative value its curve goes on from, and the raw
 * reading it stood at. raw_known false: the first reading starts at e0 without a delta (unknown gap).
 * raw_known true: the first reading adds the unwrapped difference to raw0 (bridged gap); the caller has
 * checked that the boot is the same and that fewer than 0.9 wraps can have happened. */
void meter_set_base(struct meter *m, size_t i, int64_t id, int64_t e0, int64_t raw0,
                    bool raw_known);

/* Storage thread. Channels [meter_count, meter_found) were found while sampling, in groups of their own;
 * they are sampled from when somebody has given each its row and base (meter_set_base) and accepted them.
 * meter_groups counts their groups too. */
size_t meter_found(const struct meter *m);
void meter_accept(struct meter *m, size_t n);

/* notify is called on the sampler thread after each push that somebody should look at soon: every
 * edge tick, and about once per second. It must only wake another thread. */
int meter_start(struct meter *m, void (*notify)(void *arg), void *arg, struct err *e) MUST_USE;
void meter_stop(struct meter *m);

/* Any thread: ask for an extra sweep of the fast local channels, now (at_boot_ns = 0) or at an instant;
 * its stamps, however they are rounded, are not before that. When its tick is in the ring, `done` is called
 * on the sampler thread with the ticket. Returns the ticket, > 0. At most 64 wait at once; 0 = too many. */
int64_t meter_sweep(struct meter *m, int64_t at_boot_ns, void (*done)(void *arg, int64_t ticket),
                    void *arg);
/* How long after an edge a sweep must be taken so that every fast counter has refreshed:
 * max (period + lag) over the counters that refresh within 2 ms; slower ones are not waited for, their
 * neighbouring samples on the grid bracket the edge. 0 = there is none. */
int64_t meter_settle_ns(const struct meter *m);

/* What sampling itself costs, any thread: CPU time of the sampler and of the threads that read for it, about
 * a second old, and readings taken, since `since_ns`. */
struct meter_cost {
    int64_t since_ns; /* CLOCK_BOOTTIME; 0 = it has not started */
    int64_t cpu_ns;
    int64_t readings;
};
void meter_get_cost(const struct meter *m, struct meter_cost *out);

void meter_get_status(const struct meter *m, size_t i, struct meter_status *out); /* any thread */
/* For meter_antichain, any thread: what is known of each channel now. usable: it carries power, gave a
 * value lately (10 s, or three update periods) and no doubt excludes it. The first n
 * channels. */
struct meter_view {
    bool usable;
    bool demoted;       /* anything else that meters the same thing comes first */
    int mirror;         /* seen to show this channel's register again; -1 = none */
    int64_t missing_ns; /* of a window: time of which it knows nothing. The smallest comes first */
};
void meter_views(const struct meter *m, struct meter_view *views, size_t n);
/* Before meter_start: what an earlier life of the daemon in this boot had found. */
void meter_set_opinion(struct meter *m, size_t i, const struct meter_opinion *o);

/* The only unwrap. Advances *cum by what the counter did between prev and raw.
 * 0 ok; 1 = unknown: it went backwards without a range, or dt at pmax is more than 0.9 of a range, so
 * that nobody can tell how often it wrapped; 2 = implausible (more than pmax allows in dt). On 1 and 2
 * *cum is unchanged. wrap_uj 0 = no range, pmax_uw 0 = no gate. source: docs/measurement.md, counters. */
int meter_unwrap(int64_t *cum, int64_t prev_raw, int64_t raw, int64_t wrap_uj, int64_t pmax_uw,
                 int64_t dt_ns);

/* Channels whose sum is the machine's figure: an antichain of the containment graph. Of several that
 * meter the same thing (mirror_of, an observed mirror, or one device and scope) one is taken; estimates are
 * left out when anything better is there; outer before inner (node, then psys, then packages + DRAM +
 * GPUs). out[i] = 1 for each chosen one. Returns how many; 0 = nothing measures energy here. Pure. */
size_t meter_antichain(const struct meter_channel *const *channels, size_t n,
                       const struct meter_view *views, uint8_t *out);
/* The same for sets of channels nobody has watched: usable or not is all that is known. */
size_t meter_antichain_of(const struct meter_channel *const *channels, size_t n, const bool *usable,
                          uint8_t *out);
/* The graph itself: thing[i] = the first channel that meters the same thing; contained[outer * n + inner] = 1
 * where outer physically encloses inner, by parents or by what their scopes enclose. Pure. */
void meter_relations(const struct meter_channel *const *channels, size_t n, size_t *thing,
                     uint8_t *contained);

#endif
