/* Inside store/ (and its tests): the writer's side of samples.h, taken apart. Storage thread.
 *
 * Each flush is one transaction: what it changes in memory is kept twice (`now`, `saved`) until the
 * caller says samples_committed or samples_rolled_back, so that a full disk costs no sample and no order.
 * A group's open block holds the ticks that its tail rows hold; when it is long enough it becomes a chunk
 * and only its last tick stays, as tick 0 of the next. */
#ifndef DAEMON_STORE_SAMPLES_INTERNAL_H
#define DAEMON_STORE_SAMPLES_INTERNAL_H

#include "daemon/store/codec.h"
#include "daemon/store/samples.h"
#include "daemon/store/walk.h"

/* Longer chunks are smaller (each has a head for every channel) and slower to read: docs/storage.md. */
#define SAMPLES_CHUNK_TICKS 14400
#define SAMPLES_CHUNK_FAST  20000 /* of groups that are faster than 2 Hz */
#define SAMPLES_PENDING_BYTES                                                                      \
    (INT64_C(64) << 20) /* while storage is degraded; above it every second tick goes */

/* How samples_open_as learns what samples_open asks a meter for; tests fill it by hand. */
struct samples_setup {
    const struct meter_channel *const *channels; /* group and slot are used; parents are indices */
    size_t n;
    const int64_t *periods_ns; /* one per group */
    size_t groups;
    uint32_t chunk_ticks; /* 0 = as the period says */
    int64_t now_ns;       /* when sampling will start, for the bridging decision */
    /* As meter_set_base; NULL = not wanted. */
    void (*set_base)(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0, bool raw_known);
    /* A (boottime, realtime) pair taken at once; NULL = the clocks of this machine. */
    void (*read_clocks)(void *arg, int64_t *boot_ns, int64_t *utc_ns);
    void *arg;
};
int samples_open_as(struct samples **out, struct store *s, const struct samples_setup *setup,
                    struct err *e) MUST_USE;

/* One channel while it is written. */
struct wchannel {
    int64_t id;
    struct walk_rule rule;
    int64_t bridge_ns;       /* samples_bridge_limit_ns */
    bool in_epoch;           /* `state` and `first` are of this epoch */
    struct walk_state state; /* after the newest tick */
    struct walk_state first; /* at its first valid sample of the epoch */
    struct walk_state
        carry; /* where its curve stood before this epoch; last_ns WALK_NONE = nowhere */
    bool carry_same_boot;
    bool carry_suspended; /* the machine slept between the two; the same daemon goes on */
};

struct wgroup {
    int64_t id; /* grp.id */
    int64_t period_ns;
    uint32_t chunk_ticks;
    uint32_t n;
    size_t *members; /* slot -> index of the channel */
    struct codec_block *block;
    struct walk_state *head; /* slot -> state at the block's tick 0 */
};

/* What a transaction changes. */
struct wgroup_now {
    uint32_t ticks;  /* in the block */
    uint32_t stored; /* of these, in tail rows (or the chunk before) */
    uint32_t rows;   /* tail rows of the block */
    int64_t last_ns; /* newest tick */
    bool shared;     /* tick 0 is the last one of the chunk before */
    bool compacted;  /* this transaction made a chunk of the block */
};
struct wnow {
    int64_t epoch; /* 0 = none open */
    int64_t epoch_last_ns;
    int64_t suspend_ns; /* of the newest tick; WALK_NONE = none yet */
    int64_t anchor_ns;  /* newest anchor; WALK_NONE = none in this boot */
    int64_t anchor_offset_ns;
    int64_t seen_ns; /* newest look at the clocks */
    int64_t seen_offset_ns;
    size_t consumed; /* bytes of pending */
    int64_t consumed_ticks;
};

struct samples {
    struct store *store;
    uint32_t chunk_ticks; /* of the setup */
    void (*read_clocks)(void *arg, int64_t *boot_ns, int64_t *utc_ns);
    void *clocks_arg;
    struct samples_watch watch;
    size_t n, groups;
    struct wgroup *group;
    struct wchannel *channel, *channel_saved;
    struct wgroup_now *gnow, *gsaved;
    struct wnow now, saved;
    bool in_flush;
    bool epoch_ended; /* this transaction ended the epoch: blocks start empty after it */
    uint8_t *pending;
    size_t pending_bytes, pending_cap;
    int64_t pending_ticks;
    int64_t dropped;
};

/* A block that becomes a chunk: writer and recovery fill it. */
struct chunk_job {
    int64_t boot, grp, epoch;
    const uint8_t *blob; /* of the whole block */
    size_t bytes;
    uint32_t n;
    const int64_t *ids; /* slot -> channel id */
    const struct walk_rule *rules;
    const struct walk_state *head; /* slot -> state at tick 0; last_ns WALK_NONE = not begun */
    const struct walk_state
        *first; /* slot -> state at the first valid sample, used where not begun */
};
/* Inside a transaction: chunk and heads in, tail rows of (grp, epoch) out. */
int chunk_write(struct store *s, const struct chunk_job *j, struct err *e) MUST_USE;
int chunk_delete_tail(struct store *s, int64_t grp, int64_t epoch, struct err *e) MUST_USE;

/* Inside a transaction: tail rows of epochs that are over (after a kill) become chunks. A row that is
 * damaged is left out and costs only itself. */
int samples_recover(struct store *s, struct err *e) MUST_USE;

/* samples_anchor.c: write an anchor when one is due. */
int anchor_check(struct samples *w, struct err *e) MUST_USE;
void anchor_load(struct samples *w);

/* Longest gap over which a counter with this range cannot have gone round: 0.9 wrap / pmax. */
int64_t samples_bridge_limit_ns(int64_t wrap_uj, int64_t pmax_uw, enum channel_scope scope);

#endif
