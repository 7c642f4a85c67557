#include "daemon/store/curve.h"

#include "daemon/store/stmt.h"

#define JUMP_AFTER 2 /* blocks without an answer before the heads are asked where to go on */

void curve_close(struct curve *c)
{
    blocks_stop(&c->it);
}

/* At a head of this epoch, or behind all chunks. */
static void restart(struct curve *c, const struct walk_state *state, const struct rows_head *h)
{
    int tier = c->it.tier;
    blocks_stop(&c->it);
    if (h)
        blocks_start_at(&c->it, c->store, c->begin.grp, c->begin.epoch, c->begin.slot,
                        &(struct blocks_row){.id = h->chunk, .t0_ns = h->t0_ns, .t1_ns = h->t1_ns});
    else
        blocks_start(&c->it, c->store, c->begin.grp, c->begin.epoch, c->begin.slot, INT64_MAX);
    c->it.tier = tier;
    c->state = *state;
    c->loaded = c->thinned = false;
    c->resumed = true;
    c->blocks = 0;
}

void curve_prefer(struct curve *c, int tier)
{
    c->it.tier = tier;
}

/* Resume at a head of this epoch. */
static int resume(struct curve *c, const struct rows_head *h, struct err *e)
{
    if (h->begun && !rows_state_ok(&c->begin.rule, &h->state))
        return err_set(e, WATTQ_E_CORRUPT, "a row of the table 'head' is damaged");
    restart(c, h->begun ? &h->state : &c->begin.state, h);
    return 0;
}

static int open_epoch(struct curve *c, int64_t t_ns, struct err *e)
{
    struct rows_head h;
    int rc = rows_head_in(c->store, &c->begin, t_ns, &h, e);
    if (rc <= 0)
        return rc ? rc : resume(c, &h, e);
    restart(c, &c->begin.state, NULL); /* no chunk yet: tail rows only */
    return 0;
}

int curve_open(struct curve *c, struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
               struct err *e)
{
    *c = (struct curve){.store = s};
    int rc = rows_begin_at(s, channel, boot, t_ns, &c->begin, e);
    return rc ? rc : open_epoch(c, t_ns, e);
}

/* Kept ticks do not say all that samples did - when a register moved last, what a gauge showed - so where they
 * begin or end the chunk's head says how the curve stands. */
static int realign(struct curve *c, struct err *e)
{
    struct rows_head h;
    int rc = rows_head_in(c->store, &c->begin, c->it.row.t0_ns, &h, e);
    if (rc || h.t0_ns != c->it.row.t0_ns || !h.begun)
        return rc < 0 ? rc : 0; /* its first sample is inside: the state is that */
    if (!rows_state_ok(&c->begin.rule, &h.state))
        return err_set(e, WATTQ_E_CORRUPT, "a row of the table 'head' is damaged");
    c->state = h.state;
    return 0;
}

/* The state is that after tick 0 of a block of samples, before that was taken: go on at the last mark before t. */
static bool skip(struct curve *c, int64_t t_ns)
{
    const struct blocks_row *row = &c->it.row;
    uint32_t k = codec_mark_before(c->view, t_ns);
    struct codec_mark mark;
    if (k == 0 || c->thinned || c->state.last_ns != row->t0_ns ||
        c->begin.rule.stall_ns != walk_stall_ns(c->view->period_ns))
        return false;
    struct thin_cursor column = c->column;
    if (!thin_cursor_skip(&column, k, &mark))
        return false;
    int64_t at_ns = codec_time(c->view, mark.tick);
    if (at_ns <= row->t0_ns || at_ns > row->t1_ns ||
        !walk_skip(&c->begin.rule, &c->state, &mark, at_ns))
        return false;
    c->column = column;
    return true;
}

/* The next block into the view, and what of it is before t passed as far as marks tell. 1, 0 = none, < 0. */
static int load(struct curve *c, int64_t t_ns, struct err *e)
{
    int rc = blocks_next(&c->it, &c->view, e);
    if (rc <= 0)
        return rc;
    if (c->begin.slot >= thin_channels(c->view))
        return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples lacks a channel");
    bool was = c->thinned;
    c->thinned = thin_is(c->view);
    if ((c->thinned || was) && !c->resumed && !c->it.in_tail) {
        rc = realign(c, e);
        if (rc < 0)
            return rc;
    }
    thin_cursor_open(&c->column, c->view, c->begin.slot);
    if (!skip(c, t_ns) && codec_time(c->view, 0) != c->it.row.t0_ns)
        return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples is not that of its row");
    c->loaded = true;
    c->resumed = false;
    c->blocks++;
    return 1;
}

static bool at_end(const struct curve *c)
{
    return c->column.at == c->view->n;
}

/* A block that has a sample left, at t or after a mark before it. 1, 0 = none, < 0. */
static int provide(struct curve *c, int64_t t_ns, struct err *e)
{
    int rc = 1;
    while (rc > 0 && (!c->loaded || at_end(c)))
        rc = load(c, t_ns, e);
    return rc;
}

int curve_next(struct curve *c, struct walk_piece out[2], int *n, struct err *e)
{
    *n = 0;
    int rc = provide(c, INT64_MIN, e);
    if (rc <= 0)
        return rc;
    if (c->thinned) {
        c->kept = thin_cursor_kept(&c->column);
        *n = walk_kept(&c->begin.rule, &c->state, &c->kept, out);
    } else {
        struct walk_sample x = thin_cursor_sample(&c->column);
        *n = walk_step(&c->begin.rule, &c->state, &x, out);
    }
    return 1;
}

/* Nothing happened to this channel for blocks: let the heads say in which chunk something does. */
static int jump(struct curve *c, struct err *e)
{
    struct rows_head h;
    int64_t moved = INT64_MAX;
    int rc = rows_head_moved(c->store, &c->begin, &c->state, c->it.row.t0_ns, &moved, e);
    if (rc < 0)
        return rc;
    c->blocks = 0;
    rc = rows_head_in(c->store, &c->begin, moved - 1, &h, e);
    if (rc || !h.begun || h.t0_ns <= c->it.row.t0_ns)
        return rc < 0 ? rc : 0;
    return resume(c, &h, e);
}

/* The samples of this block before t: no piece that they complete holds it. */
static void pass(struct curve *c, int64_t t_ns)
{
    if (!c->loaded || c->thinned)
        return;
    while (thin_cursor_pass(&c->column, &c->begin.rule, &c->state, t_ns))
        ;
}

/* Pieces up to the one that holds t. 1 = found, 0 = the epoch's data end before, < 0. */
static int search(struct curve *c, int64_t t_ns, struct walk_piece *out, struct err *e)
{
    for (;;) {
        pass(c, t_ns);
        if (c->loaded && at_end(c) && c->blocks >= JUMP_AFTER && !c->it.in_tail) {
            int rc = jump(c, e);
            if (rc)
                return rc;
        }
        struct walk_piece p[2];
        int n = 0;
        bool entering = !c->loaded || at_end(c);
        int rc = entering ? provide(c, t_ns, e) : curve_next(c, p, &n, e);
        /* Damage that t does not lie in only hides when the register moved next. */
        if (rc == WATTQ_E_CORRUPT && c->it.row.t0_ns > t_ns)
            return 0;
        if (rc <= 0)
            return rc;
        for (int i = 0; i < n; i++) {
            if (t_ns > p[i].t1_ns)
                continue;
            *out = p[i];
            return 1;
        }
    }
}

int curve_find(struct curve *c, int64_t t_ns, struct walk_piece *out, bool *settled, struct err *e)
{
    *settled = true;
    int rc = search(c, t_ns, out, e);
    if (rc)
        return rc < 0 ? rc : 0;
    if (t_ns <= c->state.last_ns) { /* polls saw no change: flat, and open while the epoch runs */
        *out = (struct walk_piece){
            .shape = WALK_FLAT,
            .t0_ns = c->state.knot_ns,
            .t1_ns = c->state.last_ns,
            .e0_uj = c->state.e_uj,
            .e1_uj = c->state.e_uj,
            .unknown0_ns = c->state.unknown_ns,
            .bridged0_ns = c->state.bridged_ns,
            .bridged0_uj = c->state.bridged_uj,
        };
        *settled = t_ns <= c->state.knot_ns || !c->begin.open;
        return 0;
    }
    struct rows_begin next;
    rc = rows_begin_after(c->store, c->begin.channel, c->begin.boot, c->state.last_ns, &next, e);
    if (rc == 0)
        *out = walk_between(&c->state, next.state.last_ns, &next.state);
    return rc;
}

static void point_of(const struct walk_state *s, struct curve_point *out)
{
    *out = (struct curve_point){
        .e_uj = s->e_uj,
        .unknown_ns = s->unknown_ns,
        .bridged_uj = s->bridged_uj,
        .bridged_ns = s->bridged_ns,
    };
}

/* t is before everything: the beginning is the nearest end. */
static int before_first(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                        struct curve_point *out, struct err *e)
{
    struct rows_begin b;
    *out = (struct curve_point){0};
    int rc = rows_begin_after(s, channel, boot, t_ns, &b, e);
    if (rc == 0)
        point_of(&b.state, out);
    return rc < 0 ? rc : 1;
}

int samples_curve(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                  struct curve_point *out, struct err *e)
{
    struct curve c CLEANUP(curve_close) = {0};
    struct walk_piece p;
    bool settled = true;
    int rc = curve_open(&c, s, channel, boot, t_ns, e);
    if (rc > 0)
        return before_first(s, channel, boot, t_ns, out, e);
    if (rc == 0)
        rc = curve_find(&c, t_ns, &p, &settled, e);
    if (rc < 0)
        return rc;
    if (rc > 0) {
        point_of(&c.state, out);
        out->provisional = c.begin.open;
        return 1;
    }
    if (p.t1_ns > p.t0_ns) {
        walk_at(&p, t_ns, out);
    } else {
        point_of(&c.state, out);
    }
    out->provisional = !settled;
    out->thinned = c.thinned;
    return 0;
}

/* ---- ends --------------------------------------------------------------------------------------- */

int curve_chunks_end(struct store *s, const struct rows_begin *b, struct walk_state *out,
                     struct err *e)
{
    struct curve c CLEANUP(curve_close) = {.store = s, .begin = *b};
    struct rows_head h;
    int rc = rows_head_in(s, b, INT64_MAX, &h, e);
    if (rc)
        return rc;
    rc = resume(&c, &h, e);
    while (rc >= 0 && !c.it.in_tail) {
        struct walk_piece p[2];
        int n;
        struct walk_state reached = c.state;
        rc = curve_next(&c, p, &n, e);
        if (c.it.in_tail || rc == 0) {
            *out = reached;
            return 0;
        }
    }
    if (rc != WATTQ_E_CORRUPT)
        return rc;
    /* The chunk's energy is in its head; the reading it ended with is not. No register is as high as
     * this one, so the next sample starts anew after an unknown gap. */
    *out = h.begun ? h.state : b->state;
    out->e_uj = h.e1_uj;
    out->last_ns = out->knot_ns = h.t1_ns;
    out->last_value = channel_kind_counts(b->rule.kind) ? WALK_VALUE_MAX : 0;
    out->failed = true;
    return 0;
}

int curve_last_raw(struct store *s, const struct rows_begin *b, int64_t last_ns, int64_t *raw,
                   struct err *e)
{
    struct rows_head h;
    struct codec_view *v;
    int rc = rows_head_in(s, b, last_ns, &h, e);
    if (rc)
        return rc;
    rc = blocks_chunk(s, h.chunk, h.t0_ns, b->slot, &v, e);
    if (rc == WATTQ_E_CORRUPT || (rc == 0 && b->slot >= thin_channels(v)))
        return 1;
    if (rc)
        return rc;
    struct codec_cursor col;
    codec_cursor_open(&col, v, b->slot);
    *raw = col.raw_last;
    return col.has_raw ? 0 : 1;
}
