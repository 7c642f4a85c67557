#include <stdlib.h>
#include <string.h>

#include "daemon/store/blocks.h"
#include "daemon/store/curve.h"
#include "daemon/store/rows.h"
#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"

/* A dead epoch's tail of one group on its way to a chunk. */
struct rescue {
    struct store *store;
    int64_t boot, grp, epoch;
    uint32_t n;
    int64_t period_ns;
    int64_t *ids;
    uint8_t *kinds;
    struct walk_rule *rules;
    struct walk_state *head, *first;
    struct codec_block *block;
    struct tick *tick; /* room for one tick */
    bool shared;
};

static void rescue_fini(struct rescue *r)
{
    free(r->ids);
    free(r->kinds);
    free(r->rules);
    free(r->head);
    free(r->first);
    free(r->tick);
    codec_block_free(r->block);
}

static int load_boot(struct rescue *r, struct err *e)
{
    STMT_USE(st, r->store, EPOCH_BOOT);
    stmt_bind_int(st, 1, r->epoch);
    int rc = stmt_step(st, e);
    if (rc > 0)
        r->boot = stmt_int(st, 0);
    return rc > 0 ? 0 : rc < 0 ? rc : err_set(e, WATTQ_E_CORRUPT, "samples of no epoch");
}

static int load_slots(struct rescue *r, struct err *e)
{
    size_t cap = CODEC_CHANNELS_MAX;
    r->ids = base_alloc(cap * sizeof(*r->ids));
    r->kinds = base_alloc(cap);
    r->rules = base_alloc(cap * sizeof(*r->rules));
    STMT_USE(st, r->store, GRP_SLOTS);
    stmt_bind_int(st, 1, r->grp);
    int rc;
    while ((rc = stmt_step(st, e)) > 0 && r->n < cap) {
        enum channel_kind kind;
        if (!rows_kind(stmt_text(st, 2), &kind))
            kind = CHANNEL_COMPANION;
        r->ids[r->n] = stmt_int(st, 1);
        r->kinds[r->n] = (uint8_t)kind;
        r->rules[r->n] = (struct walk_rule){kind, walk_stall_ns(stmt_int(st, 3))};
        r->period_ns = stmt_int(st, 3);
        r->n++;
    }
    return rc < 0 ? rc : 0;
}

/* Where each channel's curve stood at the end of the epoch's last chunk. */
static int load_states(struct rescue *r, struct err *e)
{
    r->head = base_alloc(r->n * sizeof(*r->head));
    r->first = base_alloc(r->n * sizeof(*r->first));
    for (uint32_t slot = 0; slot < r->n; slot++) {
        struct rows_begin b;
        r->head[slot].last_ns = r->first[slot].last_ns = WALK_NONE;
        int rc = rows_begin_at(r->store, r->ids[slot], r->boot, INT64_MAX, &b, e);
        if (rc < 0)
            return rc;
        if (rc > 0 || b.epoch != r->epoch)
            continue;
        r->first[slot] = b.state;
        rc = curve_chunks_end(r->store, &b, &r->head[slot], e);
        if (rc < 0)
            return rc;
        if (rc > 0)
            r->head[slot].last_ns = WALK_NONE; /* it began in the tail */
    }
    return 0;
}

/* Tick i of the view, each column's cursor standing at it. */
static void read_tick(struct rescue *r, struct codec_view *v, struct codec_cursor *col, uint32_t i)
{
    r->tick->n = r->n;
    r->tick->before_ns = codec_before(v, i);
    r->tick->after_ns = codec_after(v, i);
    r->tick->flags = codec_flags(v, i);
    for (uint32_t slot = 0; slot < r->n; slot++) {
        tick_values(r->tick)[slot] = codec_cursor_next(&col[slot], &tick_states(r->tick)[slot]);
        tick_raws(r->tick)[slot] = col[slot].raw_last;
    }
}

static bool add_view(struct rescue *r, struct codec_view *v, uint32_t from)
{
    if (v->channels != r->n)
        return false;
    struct codec_cursor *col CLEANUP(base_freep) = base_alloc(r->n * sizeof(*col));
    for (uint32_t slot = 0; slot < r->n; slot++)
        codec_cursor_open(&col[slot], v, slot);
    for (uint32_t i = 0; i < v->n; i++) {
        read_tick(r, v, col, i);
        if (i >= from && !codec_block_add(r->block, r->tick))
            return false;
    }
    return true;
}

/* The chunk before ends with the tick that the new one begins with. */
static int add_shared(struct rescue *r, struct err *e)
{
    int64_t chunk, t0_ns;
    {
        STMT_USE(st, r->store, CHUNK_LAST);
        stmt_bind_int(st, 1, r->grp);
        stmt_bind_int(st, 2, r->epoch);
        int rc = stmt_step(st, e);
        if (rc <= 0)
            return rc;
        chunk = stmt_int(st, 0);
        t0_ns = stmt_int(st, 1);
    }
    struct codec_view *v;
    int rc = blocks_chunk(r->store, chunk, t0_ns, BLOCKS_ALL, &v, e);
    if (rc == 0)
        r->shared = add_view(r, v, v->n - 1);
    return rc == WATTQ_E_CORRUPT ? 0 : rc;
}

static int add_tail(struct rescue *r, struct err *e)
{
    struct blocks_row *rows = NULL;
    size_t n = 0;
    int rc = blocks_tail(r->store, r->grp, r->epoch, &rows, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct codec_view *v;
        rc = blocks_tail_row(r->store, &rows[i], &v, e);
        if (rc == 0)
            (void)add_view(r, v, 0);
        else if (rc == WATTQ_E_CORRUPT)
            rc = 0; /* this second is lost; what a counter did in it is bridged by the next */
    }
    free(rows);
    return rc;
}

static int store_chunk(struct rescue *r, struct err *e)
{
    size_t bytes = 0;
    uint8_t *blob CLEANUP(base_freep) =
        codec_encode(r->block, 0, r->shared ? CODEC_SHARED : 0, &bytes);
    if (!blob)
        return err_set(e, WATTQ_E_STORAGE, "no memory for a chunk of samples");
    struct chunk_job job = {
        .boot = r->boot,
        .grp = r->grp,
        .epoch = r->epoch,
        .blob = blob,
        .bytes = bytes,
        .n = r->n,
        .ids = r->ids,
        .rules = r->rules,
        .head = r->head,
        .first = r->first,
    };
    return chunk_write(r->store, &job, e);
}

static int drop_tail(struct rescue *r, struct err *e)
{
    STMT_USE(st, r->store, TAIL_DELETE);
    stmt_bind_int(st, 1, r->grp);
    stmt_bind_int(st, 2, r->epoch);
    return stmt_run(st, e);
}

static int rescue_group(struct rescue *r, struct err *e)
{
    int rc = load_boot(r, e);
    if (rc == 0)
        rc = load_slots(r, e);
    if (rc == 0 && r->n == 0)
        return drop_tail(r, e);
    if (rc == 0)
        rc = load_states(r, e);
    if (rc)
        return rc;
    r->block = codec_block_new(r->kinds, r->n, r->period_ns);
    r->tick = base_alloc(tick_bytes(r->n));
    rc = add_shared(r, e);
    if (rc == 0)
        rc = add_tail(r, e);
    if (rc == 0)
        rc = codec_block_ticks(r->block) > (r->shared ? 1u : 0u) ? store_chunk(r, e)
                                                                 : drop_tail(r, e);
    return rc;
}

/* 0; 1 = no tail row is left. */
static int next_tail(struct store *s, struct rescue *r, struct err *e)
{
    STMT_USE(st, s, TAIL_ONE);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc ? rc : 1;
    *r = (struct rescue){.store = s, .grp = stmt_int(st, 0), .epoch = stmt_int(st, 1)};
    return 0;
}

int samples_recover(struct store *s, struct err *e)
{
    int rc;
    struct rescue r;
    while ((rc = next_tail(s, &r, e)) == 0) {
        rc = rescue_group(&r, e);
        rescue_fini(&r);
        if (rc)
            return rc;
    }
    return rc < 0 ? rc : 0;
}
