#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"

#define SUSPEND_NS                                                                                 \
    (100 * NS_PER_MS)        /* the two clocks of a tick are read up to a preemption apart */
#define FLUSH_TICKS_MAX 4096 /* per transaction: about 2 MiB of 20 channels */
#define TAIL_ROWS_MAX   128  /* then they become one row: a tail of many is slow to read */

/* ---- pending ticks ------------------------------------------------------------------------------ */

static size_t pending_size(const struct tick *t)
{
    return (tick_bytes(t->n) + 7) & ~(size_t)7;
}

static struct tick *pending_at(struct samples *w, size_t at)
{
    return (struct tick *)(void *)(w->pending + at);
}

/* Storage has been away for hours: keep order and span, halve the density. Counters lose no energy. */
static void thin(struct samples *w)
{
    size_t to = 0;
    int64_t kept = 0, i = 0, before = samples_pending(w);
    for (size_t at = w->now.consumed, size; at < w->pending_bytes; at += size, i++) {
        struct tick *t = pending_at(w, at);
        size = pending_size(t);
        if (i % 2 && !(t->flags & TICK_EDGE))
            continue;
        memmove(w->pending + to, t, size);
        to += size;
        kept++;
    }
    w->dropped += before - kept;
    w->pending_bytes = to;
    w->pending_ticks = kept;
    w->now.consumed = 0;
    w->now.consumed_ticks = 0;
}

static bool make_room(struct samples *w, size_t size)
{
    if (w->pending_bytes + size <= w->pending_cap)
        return true;
    size_t cap = w->pending_cap ? w->pending_cap * 2 : 1 << 16;
    if (cap <= (size_t)SAMPLES_PENDING_BYTES) {
        uint8_t *p = realloc(w->pending, cap);
        if (p) {
            w->pending = p;
            w->pending_cap = cap;
        }
    }
    if (w->pending_bytes + size > w->pending_cap && !w->in_flush)
        thin(w);
    return w->pending_bytes + size <= w->pending_cap;
}

static bool fits(const struct samples *w, const struct tick *t)
{
    return t->group < w->groups && t->n == w->group[t->group].n && t->before_ns >= 0 &&
           t->after_ns >= t->before_ns && t->after_ns <= CODEC_TIME_MAX;
}

void samples_put(struct samples *w, struct tick *t)
{
    size_t size = pending_size(t);
    if (!fits(w, t) || !make_room(w, size)) {
        w->dropped++;
        return;
    }
    memcpy(w->pending + w->pending_bytes, t, tick_bytes(t->n));
    w->pending_bytes += size;
    w->pending_ticks++;
}

void samples_set_watch(struct samples *w, const struct samples_watch *watch)
{
    w->watch = *watch;
}

int64_t samples_pending(const struct samples *w)
{
    return w->pending_ticks - w->now.consumed_ticks;
}

int64_t samples_dropped(const struct samples *w)
{
    return w->dropped;
}

/* ---- begin, commit, roll back ------------------------------------------------------------------- */

static void save(struct samples *w)
{
    assert(!w->in_flush);
    w->in_flush = true;
    w->epoch_ended = false;
    w->saved = w->now;
    memcpy(w->channel_saved, w->channel, w->n * sizeof(*w->channel));
    memcpy(w->gsaved, w->gnow, w->groups * sizeof(*w->gnow));
    for (size_t g = 0; g < w->groups; g++)
        codec_block_save(w->group[g].block);
}

/* The chunk is on disk: the block goes on with its last tick, or empty in a new epoch. */
static void restart_block(struct samples *w, size_t g)
{
    struct wgroup *grp = &w->group[g];
    struct wgroup_now *gn = &w->gnow[g];
    if (w->epoch_ended)
        codec_block_clear(grp->block);
    else
        codec_block_keep_last(grp->block);
    gn->ticks = gn->stored = codec_block_ticks(grp->block);
    gn->shared = gn->ticks > 0;
    gn->rows = 0;
    gn->compacted = false;
    for (uint32_t slot = 0; slot < grp->n; slot++) {
        const struct wchannel *c = &w->channel[grp->members[slot]];
        grp->head[slot] = c->state;
        if (!c->in_epoch)
            grp->head[slot].last_ns = WALK_NONE;
    }
}

void samples_committed(struct samples *w)
{
    if (!w->in_flush)
        return;
    w->in_flush = false;
    for (size_t g = 0; g < w->groups; g++)
        if (w->gnow[g].compacted || w->epoch_ended)
            restart_block(w, g);
    w->epoch_ended = false;
    /* Move the rest down only when it is worth it. */
    if (w->now.consumed * 2 < w->pending_bytes)
        return;
    memmove(w->pending, w->pending + w->now.consumed, w->pending_bytes - w->now.consumed);
    w->pending_bytes -= w->now.consumed;
    w->pending_ticks -= w->now.consumed_ticks;
    w->now.consumed = 0;
    w->now.consumed_ticks = 0;
}

void samples_rolled_back(struct samples *w)
{
    if (!w->in_flush)
        return;
    w->in_flush = false;
    w->epoch_ended = false;
    w->now = w->saved;
    memcpy(w->channel, w->channel_saved, w->n * sizeof(*w->channel));
    memcpy(w->gnow, w->gsaved, w->groups * sizeof(*w->gnow));
    for (size_t g = 0; g < w->groups; g++)
        codec_block_undo(w->group[g].block);
}

/* ---- rows --------------------------------------------------------------------------------------- */

struct gap_row {
    int64_t channel, t0_ns, t1_ns;
    int64_t e_uj; /* STMT_NULL = unknown */
    const char *kind;
};

static int insert_gap(struct samples *w, const struct gap_row *g, struct err *e)
{
    STMT_USE(st, w->store, GAP_INSERT);
    stmt_bind_int(st, 1, g->channel);
    stmt_bind_int(st, 2, store_boot(w->store));
    stmt_bind_int(st, 3, g->t0_ns);
    stmt_bind_int(st, 4, g->t1_ns);
    stmt_bind_opt(st, 5, g->e_uj);
    stmt_bind_text(st, 6, g->kind);
    return stmt_run(st, e);
}

static int insert_epoch(struct samples *w, int64_t t_ns, struct err *e)
{
    STMT_USE(st, w->store, EPOCH_INSERT);
    stmt_bind_int(st, 1, store_boot(w->store));
    stmt_bind_int(st, 2, t_ns);
    int rc = stmt_run(st, e);
    if (rc == 0)
        w->now.epoch = stmt_last_id(w->store);
    return rc;
}

static int insert_epoch_channel(struct samples *w, const struct wchannel *c, uint32_t group,
                                uint32_t slot, int64_t raw, struct err *e)
{
    STMT_USE(st, w->store, EC_INSERT);
    stmt_bind_int(st, 1, c->id);
    stmt_bind_int(st, 2, store_boot(w->store));
    stmt_bind_int(st, 3, c->first.last_ns);
    stmt_bind_int(st, 4, w->now.epoch);
    stmt_bind_int(st, 5, w->group[group].id);
    stmt_bind_int(st, 6, slot);
    stmt_bind_int(st, 7, c->first.last_value);
    stmt_bind_int(st, 8, raw);
    stmt_bind_int(st, 9, c->first.e_uj);
    stmt_bind_int(st, 10, c->first.rem);
    stmt_bind_int(st, 11, c->first.unknown_ns);
    stmt_bind_int(st, 12, c->first.bridged_ns);
    stmt_bind_int(st, 13, c->first.bridged_uj);
    return stmt_run(st, e);
}

/* ---- one sample --------------------------------------------------------------------------------- */

static bool counts(const struct wchannel *c)
{
    return channel_kind_counts(c->rule.kind);
}

/* Did the counter carry the energy of a gap between epochs over? After a restart the meter says so
 * (TICK_BRIDGED); across a suspend it counts on by itself and only the length of the gap is in question. */
static bool is_bridged(const struct wchannel *c, const struct walk_sample *x)
{
    if (!counts(c) || (x->state & TICK_RESET) || x->value < c->carry.last_value)
        return false;
    if (x->state & TICK_BRIDGED)
        return true;
    return c->carry_suspended && x->t_ns - c->carry.last_ns < c->bridge_ns;
}

/* The gap between the epoch before and this one, in the same boot. */
static int cross_gap(struct samples *w, struct wchannel *c, const struct walk_sample *x,
                     struct err *e)
{
    bool suspended = c->carry_suspended;
    struct gap_row gap = {c->id, c->carry.last_ns, x->t_ns, STMT_NULL,
                          suspended ? "suspend" : "unknown"};
    if (is_bridged(c, x)) {
        gap.e_uj = x->value - c->carry.last_value;
        if (!suspended)
            gap.kind = "bridged";
        c->state.e_uj += gap.e_uj;
        c->state.bridged_uj += gap.e_uj;
        c->state.bridged_ns += gap.t1_ns - gap.t0_ns;
    } else {
        if (!suspended && (x->state & TICK_RESET))
            gap.kind = "reset";
        c->state.unknown_ns += gap.t1_ns - gap.t0_ns;
    }
    /* A channel without a curve (temperature, clock) has no energy to miss. */
    return c->rule.kind == CHANNEL_COMPANION ? 0 : insert_gap(w, &gap, e);
}

/* First valid sample of a channel in this epoch: its curve goes on from where it was. */
static int begin_channel(struct samples *w, struct wchannel *c, const struct walk_sample *x,
                         struct err *e)
{
    int rc = 0;
    bool had = c->carry.last_ns != WALK_NONE;
    c->state = c->carry;
    if (!had)
        c->state = (struct walk_state){0};
    else if (c->carry_same_boot)
        rc = cross_gap(w, c, x, e);
    c->state.last_ns = x->t_ns;
    c->state.last_value = x->value;
    c->state.knot_ns = x->t_ns;
    c->state.failed = false;
    c->first = c->state;
    c->in_epoch = true;
    return rc;
}

static const char *cause_name(enum walk_cause c)
{
    return c == WALK_RESET ? "reset" : c == WALK_FAILED ? "failed" : "stall";
}

static int step_channel(struct samples *w, struct wchannel *c, const struct walk_sample *x,
                        struct err *e)
{
    struct walk_piece p[2];
    if (walk_regular(&c->rule, &c->state, x))
        return 0;
    int n = walk_step(&c->rule, &c->state, x, p);
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        if (p[i].cause == WALK_REGULAR)
            continue;
        struct gap_row gap = {c->id, p[i].t0_ns, p[i].t1_ns, STMT_NULL, cause_name(p[i].cause)};
        if (p[i].shape == WALK_BRIDGED)
            gap.e_uj = p[i].e1_uj - p[i].e0_uj;
        rc = insert_gap(w, &gap, e);
    }
    return rc;
}

static void tell(const struct samples *w, const struct wchannel *c, const struct walk_sample *x)
{
    const struct samples_watch *to = &w->watch;
    if (!c->in_epoch || c->state.last_ns != x->t_ns)
        return; /* no value */
    if (c->rule.kind == CHANNEL_CPU_TIME && to->usage)
        to->usage(to->arg, c->id, x->t_ns, x->value);
    if (c->rule.kind == CHANNEL_CPU_TIME || c->rule.kind == CHANNEL_COMPANION || !to->knot ||
        c->state.knot_ns != x->t_ns)
        return;
    const struct samples_knot k = {w->now.epoch, x->t_ns, c->state.e_uj, c->state.unknown_ns};
    to->knot(to->arg, c->id, &k);
}

static int take_tick(struct samples *w, struct tick *t, int64_t t_ns, struct err *e)
{
    const struct wgroup *g = &w->group[t->group];
    int rc = 0;
    for (uint32_t slot = 0; rc == 0 && slot < t->n; slot++) {
        struct wchannel *c = &w->channel[g->members[slot]];
        struct walk_sample x = {t_ns, tick_values(t)[slot], tick_states(t)[slot],
                                (uint8_t)(t->flags & 0xff)};
        if (c->in_epoch) {
            rc = step_channel(w, c, &x, e);
        } else if (walk_valid(&c->rule, &x) && !(c->carry_same_boot && t_ns <= c->carry.last_ns)) {
            rc = begin_channel(w, c, &x, e);
            if (rc == 0)
                rc = insert_epoch_channel(w, c, t->group, slot, tick_raws(t)[slot], e);
        }
        if (rc == 0)
            tell(w, c, &x);
    }
    return rc;
}

/* ---- tail rows and chunks ----------------------------------------------------------------------- */

static int compact(struct samples *w, size_t g, struct err *e)
{
    struct wgroup *grp = &w->group[g];
    size_t bytes = 0;
    uint8_t *blob CLEANUP(base_freep) =
        codec_encode(grp->block, 0, w->gnow[g].shared ? CODEC_SHARED : 0, &bytes);
    if (!blob)
        return err_set(e, WATTQ_E_STORAGE, "no memory for a chunk of samples");
    int64_t *ids CLEANUP(base_freep) = base_alloc(grp->n * sizeof(*ids));
    struct walk_rule *rules CLEANUP(base_freep) = base_alloc(grp->n * sizeof(*rules));
    struct walk_state *first CLEANUP(base_freep) = base_alloc(grp->n * sizeof(*first));
    for (uint32_t slot = 0; slot < grp->n; slot++) {
        const struct wchannel *c = &w->channel[grp->members[slot]];
        ids[slot] = c->id;
        rules[slot] = c->rule;
        first[slot] = c->first;
        if (!c->in_epoch)
            first[slot].last_ns = WALK_NONE;
    }
    struct chunk_job job = {
        .boot = store_boot(w->store),
        .grp = grp->id,
        .epoch = w->now.epoch,
        .blob = blob,
        .bytes = bytes,
        .n = grp->n,
        .ids = ids,
        .rules = rules,
        .head = grp->head,
        .first = first,
    };
    w->gnow[g].compacted = true;
    return chunk_write(w->store, &job, e);
}

static int insert_tail(struct samples *w, size_t g, struct err *e)
{
    struct wgroup_now *gn = &w->gnow[g];
    size_t bytes = 0;
    struct codec_block *block = w->group[g].block;
    uint8_t *blob CLEANUP(base_freep) = codec_encode(block, gn->stored, 0, &bytes);
    if (!blob)
        return err_set(e, WATTQ_E_STORAGE, "no memory for a row of samples");
    STMT_USE(st, w->store, TAIL_INSERT);
    stmt_bind_int(st, 1, w->group[g].id);
    stmt_bind_int(st, 2, w->now.epoch);
    stmt_bind_int(st, 3, codec_block_time(block, gn->stored));
    stmt_bind_int(st, 4, codec_block_time(block, gn->ticks - 1));
    stmt_bind_int(st, 5, gn->ticks - gn->stored);
    stmt_bind_blob(st, 6, blob, bytes);
    gn->stored = gn->ticks;
    gn->rows++;
    return stmt_run(st, e);
}

/* One row in place of the rows that the block has so far. */
static int merge_tail(struct samples *w, size_t g, struct err *e)
{
    struct wgroup_now *gn = &w->gnow[g];
    int rc = chunk_delete_tail(w->store, w->group[g].id, w->now.epoch, e);
    if (rc)
        return rc;
    gn->stored = gn->shared ? 1 : 0;
    gn->rows = 0;
    return insert_tail(w, g, e);
}

static bool is_full(const struct samples *w, size_t g)
{
    const struct wgroup_now *gn = &w->gnow[g];
    return gn->ticks - (gn->shared ? 1 : 0) >= w->group[g].chunk_ticks;
}

static int store_group(struct samples *w, size_t g, struct err *e)
{
    if (is_full(w, g))
        return compact(w, g, e);
    return w->gnow[g].rows < TAIL_ROWS_MAX ? insert_tail(w, g, e) : merge_tail(w, g, e);
}

static int store_groups(struct samples *w, struct err *e)
{
    int rc = 0;
    for (size_t g = 0; rc == 0 && g < w->groups; g++) {
        if (w->gnow[g].stored == w->gnow[g].ticks || w->gnow[g].compacted)
            continue;
        rc = store_group(w, g, e);
    }
    return rc;
}

/* ---- epochs ------------------------------------------------------------------------------------- */

static void end_channels(struct samples *w, bool suspended)
{
    for (size_t i = 0; i < w->n; i++) {
        struct wchannel *c = &w->channel[i];
        if (c->in_epoch) {
            c->carry = c->state;
            c->carry_same_boot = true;
        }
        c->carry_suspended = suspended;
        c->in_epoch = false;
        c->state.last_ns = WALK_NONE;
        c->first.last_ns = WALK_NONE;
    }
}

static int end_epoch(struct samples *w, const char *reason, struct err *e)
{
    int rc = 0;
    for (size_t g = 0; rc == 0 && g < w->groups; g++)
        if (w->gnow[g].ticks > (w->gnow[g].shared ? 1u : 0u))
            rc = compact(w, g, e);
    if (rc)
        return rc;
    STMT_USE(st, w->store, EPOCH_END);
    stmt_bind_int(st, 1, w->now.epoch);
    stmt_bind_int(st, 2, w->now.epoch_last_ns);
    stmt_bind_text(st, 3, reason);
    rc = stmt_run(st, e);
    end_channels(w, strcmp(reason, "suspend") == 0);
    w->now.epoch = 0;
    w->now.suspend_ns = WALK_NONE;
    w->epoch_ended = true;
    return rc;
}

int samples_end_epoch(struct samples *w, const char *reason, struct err *e)
{
    assert(samples_pending(w) == 0);
    if (w->now.epoch == 0)
        return 0;
    save(w);
    return end_epoch(w, reason, e);
}

/* ---- flush -------------------------------------------------------------------------------------- */

static bool is_suspend(const struct samples *w, const struct tick *t)
{
    return w->now.epoch && w->now.suspend_ns != WALK_NONE &&
           t->suspend_ns - w->now.suspend_ns > SUSPEND_NS;
}

static void consume(struct samples *w, const struct tick *t)
{
    w->now.consumed += pending_size(t);
    w->now.consumed_ticks++;
    w->now.suspend_ns = t->suspend_ns;
}

static int flush_tick(struct samples *w, struct tick *t, struct err *e)
{
    int64_t t_ns = codec_middle(t->before_ns, t->after_ns);
    struct wgroup_now *gn = &w->gnow[t->group];
    consume(w, t);
    if (t_ns <= gn->last_ns) { /* boottime does not go back: a tick that does is none */
        w->dropped++;
        return 0;
    }
    int rc = w->now.epoch ? 0 : insert_epoch(w, t_ns, e);
    if (rc == 0)
        rc = take_tick(w, t, t_ns, e);
    if (rc)
        return rc;
    if ((t->flags & TICK_EDGE) && w->watch.edge)
        w->watch.edge(w->watch.arg, t_ns);
    if (!codec_block_add(w->group[t->group].block, t))
        return err_set(e, WATTQ_E_STORAGE, "no memory for samples");
    gn->ticks++;
    gn->last_ns = t_ns;
    if (t_ns > w->now.epoch_last_ns)
        w->now.epoch_last_ns = t_ns;
    return 0;
}

static int flush_ticks(struct samples *w, struct err *e)
{
    for (int i = 0; i < FLUSH_TICKS_MAX && w->now.consumed < w->pending_bytes; i++) {
        struct tick *t = pending_at(w, w->now.consumed);
        if (is_suspend(w, t)) /* a transaction of its own ends the epoch */
            return i > 0 ? 0 : end_epoch(w, "suspend", e);
        int rc = flush_tick(w, t, e);
        if (rc)
            return rc;
        if (is_full(w, t->group))
            return 0; /* one chunk per group and transaction */
    }
    return 0;
}

int samples_flush(struct samples *w, struct err *e)
{
    if (samples_pending(w) == 0)
        return 0;
    if (!w->in_flush) /* a second time in one transaction: what the first brought about */
        save(w);
    int rc = flush_ticks(w, e);
    if (rc == 0 && !w->epoch_ended)
        rc = store_groups(w, e);
    if (rc == 0)
        rc = anchor_check(w, e);
    if (rc)
        return rc;
    return samples_pending(w) > 0 ? 1 : 0;
}
