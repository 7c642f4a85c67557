#include "daemon/store/thin.h"

#include <stdlib.h>
#include <string.h>

#include "common/units.h"

/* ---- levels -------------------------------------------------------------------------------------- */

#define LEVEL_BITS  10u
#define LEVEL_EXACT (INT64_C(1) << LEVEL_BITS) /* below it a level is its value */
#define LEVEL_HALF  (LEVEL_EXACT / 2)          /* levels from one power of two to the next */
#define LEVEL_STEP  8                          /* levels above that are written: every eighth */

/* The level at or below a magnitude; *rest: it lies above the level's value. */
static int64_t level_of(uint64_t magnitude, bool *rest)
{
    *rest = false;
    if (magnitude < (uint64_t)LEVEL_EXACT)
        return (int64_t)magnitude;
    unsigned shift = 63u - (unsigned)__builtin_clzll(magnitude) - (LEVEL_BITS - 1);
    *rest = (magnitude & ((UINT64_C(1) << shift) - 1)) != 0;
    return (int64_t)shift * LEVEL_HALF + (int64_t)(magnitude >> shift);
}

int64_t thin_level_value(int64_t level)
{
    uint64_t n = level < 0 ? -(uint64_t)level : (uint64_t)level;
    if (n < (uint64_t)LEVEL_EXACT)
        return level;
    uint64_t shift = n / (uint64_t)LEVEL_HALF - 1, digits = n - shift * (uint64_t)LEVEL_HALF;
    if (shift > 63 - LEVEL_BITS)
        return level < 0 ? INT64_MIN + 1 : INT64_MAX;
    int64_t value = (int64_t)(digits << shift);
    return level < 0 ? -value : value;
}

/* The level of those that are written at or below a value's magnitude; with `up`, at or above it. */
static int64_t coarse_level(int64_t value, bool up)
{
    bool rest;
    int64_t level = level_of(value < 0 ? -(uint64_t)value : (uint64_t)value, &rest);
    int64_t step = level < LEVEL_EXACT ? 1 : LEVEL_STEP, below = level / step * step;
    return up && (rest || level > below) ? below + step : below;
}

int64_t thin_level_down(int64_t value)
{
    return value < 0 ? -coarse_level(value, true) : coarse_level(value, false);
}

int64_t thin_level_up(int64_t value)
{
    return value < 0 ? -coarse_level(value, false) : coarse_level(value, true);
}

/* ---- reading ------------------------------------------------------------------------------------- */

void thin_cursor_open(struct thin_cursor *c, struct codec_view *v, uint32_t slot)
{
    uint32_t channels = thin_channels(v);
    c->view = v;
    c->at = 0;
    codec_cursor_open(&c->value, v, slot);
    if (!thin_is(v))
        return;
    codec_cursor_open(&c->lo, v, channels + slot);
    codec_cursor_open(&c->width, v, 2 * channels + slot);
}

bool thin_cursor_skip(struct thin_cursor *c, uint32_t k, struct codec_mark *out)
{
    if (!codec_cursor_skip(&c->value, k, out))
        return false;
    c->at = out->tick + 1;
    return true;
}

bool thin_cursor_pass(struct thin_cursor *c, const struct walk_rule *r, struct walk_state *s,
                      int64_t t_ns)
{
    struct codec_view *v = c->view;
    if (c->at == v->n || codec_time(v, c->at) >= t_ns)
        return false;
    struct walk_values x = {.before_ns = v->before + c->at, .after_ns = v->after + c->at};
    uint32_t known = codec_known_end(v, c->at) - c->at, n = codec_cursor_ready(&c->value, &x.value);
    x.n = n < known ? n : known;
    n = walk_pass_many(r, s, &x, t_ns);
    if (n > 0) {
        codec_cursor_drop(&c->value, n);
        c->at += n;
    } else {
        struct walk_sample one = thin_cursor_sample(c);
        walk_pass(r, s, &one);
    }
    return true;
}

struct walk_kept thin_cursor_kept(struct thin_cursor *c)
{
    uint8_t lo_state, width_state;
    struct walk_kept k = {.x = thin_cursor_sample(c)};
    int64_t lo = codec_cursor_next(&c->lo, &lo_state);
    int64_t width = codec_cursor_next(&c->width, &width_state);
    k.powered = lo_state == READING_OK && width_state == READING_OK && width >= 0;
    if (!k.powered)
        return k;
    k.lo = thin_level_value(lo);
    k.hi = thin_level_value((int64_t)((uint64_t)lo + (uint64_t)width));
    k.powered = k.hi >= k.lo; /* else somebody forged it */
    return k;
}

/* ---- which ticks are kept ------------------------------------------------------------------------ */

/* What a kept tick says of one channel. */
struct entry {
    int64_t value;
    uint8_t state;
    bool powered;
    int64_t lo, hi;
};

enum { KEEP_NOT, KEEP_NOW, KEEP_NEXT };

/* The ticks of all blocks in a row, a shared one once. */
struct builder {
    const struct thin_job *j;
    uint32_t ticks, kept;
    uint8_t *keep;         /* per tick: KEEP_NOW, or KEEP_NEXT from the next pass on */
    int64_t *t_ns;         /* per kept tick */
    struct entry *entries; /* [kept tick * channels + slot] */
    int64_t *raws;         /* per channel: what the hardware showed last */
    bool grown;            /* a tick was added to those that are kept */
};

static void builder_fini(struct builder *b)
{
    free(b->keep);
    free(b->t_ns);
    free(b->entries);
    free(b->raws);
}

static void want(struct builder *b, uint32_t tick)
{
    if (b->keep[tick] != KEEP_NOT)
        return;
    b->keep[tick] = KEEP_NEXT;
    b->grown = true;
}

/* Is tick i of this block the last one of the block before? */
static bool is_repeated(const struct builder *b, size_t block, uint32_t i)
{
    if (block == 0 || i > 0)
        return false;
    struct codec_view *before = &b->j->blocks[block - 1];
    return codec_time(&b->j->blocks[block], 0) <= codec_time(before, before->n - 1);
}

static void keep_intervals(struct builder *b)
{
    int64_t last = -1;
    b->ticks = 0;
    for (size_t k = 0; k < b->j->n; k++) {
        struct codec_view *v = &b->j->blocks[k];
        for (uint32_t i = is_repeated(b, k, 0); i < v->n; i++, b->ticks++) {
            int64_t interval = codec_time(v, i) / b->j->interval_ns;
            b->keep[b->ticks] = interval != last ? KEEP_NOW : KEEP_NOT;
            last = interval;
        }
    }
    b->keep[b->ticks - 1] = KEEP_NOW;
}

/* ---- what they say ------------------------------------------------------------------------------- */

/* One channel on its way through the blocks. */
struct passage {
    struct builder *b;
    uint32_t slot;
    struct walk_state state;
    struct entry next; /* what was seen since the newest kept tick with a value */
    uint32_t tick, kept;
    int64_t last_valid; /* tick; -1 = before these blocks */
};

static void widen(struct entry *x, int64_t lo, int64_t hi)
{
    if (!x->powered || lo < x->lo)
        x->lo = lo;
    if (!x->powered || hi > x->hi)
        x->hi = hi;
    x->powered = true;
}

/* Power of a stretch that began at t0: also that of the kept ticks since. */
static void widen_since(struct passage *p, int64_t t0_ns, int64_t lo, int64_t hi)
{
    struct builder *b = p->b;
    widen(&p->next, lo, hi);
    for (uint32_t k = p->kept; k-- > 0 && b->t_ns[k] > t0_ns;) {
        struct entry *x = &b->entries[(size_t)k * b->j->channels + p->slot];
        if (x->state == READING_OK)
            widen(x, lo, hi);
    }
}

static void take_pieces(struct passage *p, const struct walk_piece *piece, int n)
{
    for (int i = 0; i < n; i++) {
        int64_t lo, hi;
        if (piece[i].shape != WALK_FLAT && walk_power(&piece[i], &lo, &hi)) {
            widen_since(p, piece[i].t0_ns, lo, hi);
        } else if (piece[i].shape == WALK_UNKNOWN || piece[i].shape == WALK_BRIDGED) {
            p->next.state = piece[i].shape == WALK_UNKNOWN ? TICK_RESET : TICK_BRIDGED;
            want(p->b, p->tick);
            if (p->last_valid >= 0)
                want(p->b, (uint32_t)p->last_valid);
        }
    }
}

/* The register of a counter changed at the end of a stretch that began at t0. */
static void widen_linear(struct passage *p, int64_t t0_ns, int64_t rise_uj, int64_t ns)
{
    const struct entry *x = &p->next;
    bool alone = p->kept == 0 || p->b->t_ns[p->kept - 1] <= t0_ns;
    if (!alone || !x->powered || !walk_within(rise_uj, ns, (double)x->lo, (double)x->hi))
        widen_since(p, t0_ns, units_muldiv_floor(rise_uj, NS_PER_S, ns),
                    units_muldiv_ceil(rise_uj, NS_PER_S, ns));
}

/* What take_pieces makes of a regular step. */
static bool step_regular(struct passage *p, const struct walk_sample *x)
{
    const struct walk_rule *rule = &p->b->j->rules[p->slot];
    const struct walk_state before = p->state;
    if (!walk_regular(rule, &p->state, x))
        return false;
    if (!channel_kind_counts(rule->kind)) {
        int64_t p0 = rule->kind == CHANNEL_AVERAGE ? x->value : before.last_value, p1 = x->value;
        widen_since(p, before.last_ns, p0 < p1 ? p0 : p1, p0 < p1 ? p1 : p0);
    } else if (p->state.knot_ns != before.knot_ns) {
        widen_linear(p, before.knot_ns, p->state.e_uj - before.e_uj, x->t_ns - before.knot_ns);
    }
    return true;
}

/* The next tick through the arithmetic of the curve; false = the channel has no value there. */
static bool step(struct passage *p, struct thin_cursor *c, struct walk_sample *x)
{
    const struct walk_rule *rule = &p->b->j->rules[p->slot];
    struct walk_piece piece[2];
    int64_t before = p->state.last_ns;
    struct walk_kept k = {.powered = false};
    bool thin = thin_is(c->view);
    if (thin)
        k = thin_cursor_kept(c);
    else
        k.x = thin_cursor_sample(c);
    *x = k.x;
    if (!thin && step_regular(p, x))
        return true;
    int n = thin ? walk_kept(rule, &p->state, &k, piece) : walk_step(rule, &p->state, x, piece);
    take_pieces(p, piece, n);
    bool valid = thin ? walk_kept_valid(x) : walk_valid(rule, x);
    if (!valid || p->state.last_ns != x->t_ns)
        return false;
    if (rule->kind == CHANNEL_COMPANION && before != x->t_ns)
        widen(&p->next, k.powered ? k.lo : x->value, k.powered ? k.hi : x->value);
    return true;
}

static void put_entry(struct passage *p, const struct walk_sample *x, bool valid)
{
    struct builder *b = p->b;
    struct entry *to = &b->entries[(size_t)p->kept * b->j->channels + p->slot];
    b->t_ns[p->kept++] = x->t_ns;
    if (!valid) {
        uint8_t why = x->state & TICK_STATE_MASK;
        *to = (struct entry){.state = why == READING_OK ? READING_GARBLED : why};
        return;
    }
    *to = p->next;
    to->value = channel_kind_integrates(b->j->rules[p->slot].kind) ? p->state.e_uj : x->value;
    p->next = (struct entry){.state = READING_OK};
}

static void pass_block(struct passage *p, size_t block)
{
    struct builder *b = p->b;
    struct thin_cursor c;
    struct codec_view *v = &b->j->blocks[block];
    thin_cursor_open(&c, v, p->slot);
    if (c.value.has_raw)
        b->raws[p->slot] = c.value.raw_last;
    for (uint32_t i = 0; i < v->n; i++) {
        struct walk_sample x;
        bool valid = step(p, &c, &x);
        if (is_repeated(b, block, i))
            continue;
        if (valid)
            p->last_valid = p->tick;
        if (b->keep[p->tick] == KEEP_NOW)
            put_entry(p, &x, valid);
        p->tick++;
    }
}

static void pass_channel(struct builder *b, uint32_t slot)
{
    struct passage p = {.b = b, .slot = slot, .state = b->j->starts[slot], .last_valid = -1};
    for (size_t k = 0; k < b->j->n; k++)
        pass_block(&p, k);
    if (p.last_valid >= 0)
        want(b, (uint32_t)p.last_valid);
}

/* All channels, with room for the ticks that are kept by now. */
static int pass_all(struct builder *b, struct err *e)
{
    free(b->entries);
    free(b->t_ns);
    b->kept = 0;
    for (uint32_t i = 0; i < b->ticks; i++) {
        b->keep[i] = b->keep[i] != KEEP_NOT ? KEEP_NOW : KEEP_NOT;
        b->kept += b->keep[i];
    }
    b->entries = calloc((size_t)b->kept * b->j->channels + 1, sizeof(*b->entries));
    b->t_ns = calloc((size_t)b->kept + 1, sizeof(*b->t_ns));
    if (!b->entries || !b->t_ns)
        return err_set(e, WATTQ_E_STORAGE, "no memory for thinning samples");
    b->grown = false;
    for (uint32_t slot = 0; slot < b->j->channels; slot++)
        pass_channel(b, slot);
    return 0;
}

/* ---- the blob ------------------------------------------------------------------------------------ */

static void fill_tick(const struct builder *b, uint32_t kept, struct tick *t)
{
    uint32_t channels = b->j->channels;
    for (uint32_t slot = 0; slot < channels; slot++) {
        const struct entry *x = &b->entries[(size_t)kept * channels + slot];
        bool valid = (x->state & TICK_STATE_MASK) == READING_OK;
        int64_t lo = x->powered ? thin_level_down(x->lo) : 0;
        tick_values(t)[slot] = x->value;
        tick_raws(t)[slot] = b->raws[slot];
        tick_states(t)[slot] = x->state;
        tick_values(t)[channels + slot] = lo;
        tick_values(t)[2 * channels + slot] = x->powered ? thin_level_up(x->hi) - lo : 0;
        tick_states(t)[channels + slot] = tick_states(t)[2 * channels + slot] =
            valid && x->powered ? READING_OK : READING_NOT_YET;
    }
}

static struct codec_block *new_block(const struct thin_job *j)
{
    uint32_t channels = j->channels;
    uint8_t *kinds CLEANUP(base_freep) = base_alloc((size_t)channels * 3);
    for (uint32_t slot = 0; slot < channels; slot++) {
        enum channel_kind k = j->rules[slot].kind;
        kinds[slot] = (uint8_t)(channel_kind_integrates(k) ? CHANNEL_COUNTER : k);
        kinds[channels + slot] = kinds[2 * channels + slot] = CHANNEL_COMPANION;
    }
    return codec_block_new(kinds, channels * 3, j->interval_ns);
}

static void add_ticks(const struct builder *b, struct codec_block *out)
{
    struct tick *t CLEANUP(base_freep) = base_alloc(tick_bytes(b->j->channels * 3));
    uint32_t tick = 0, kept = 0;
    t->n = b->j->channels * 3;
    for (size_t k = 0; k < b->j->n; k++) {
        struct codec_view *v = &b->j->blocks[k];
        for (uint32_t i = is_repeated(b, k, 0); i < v->n; i++) {
            if (b->keep[tick++] == KEEP_NOT)
                continue;
            t->before_ns = codec_before(v, i);
            t->after_ns = codec_after(v, i);
            t->flags = codec_flags(v, i);
            fill_tick(b, kept++, t);
            (void)codec_block_add(out, t);
        }
    }
}

static int encode(const struct builder *b, uint8_t **blob, size_t *bytes, struct err *e)
{
    struct codec_block *block = new_block(b->j);
    if (block) {
        add_ticks(b, block);
        *blob = codec_encode(block, 0, CODEC_THIN | (b->j->blocks[0].flags & CODEC_SHARED), bytes);
    }
    codec_block_free(block);
    return block && *blob ? 0 : err_set(e, WATTQ_E_STORAGE, "no memory for thinning samples");
}

static int build(struct builder *b, uint8_t **blob, size_t *bytes, struct err *e)
{
    size_t ticks = 0;
    for (size_t k = 0; k < b->j->n; k++)
        ticks += b->j->blocks[k].n;
    b->keep = base_alloc(ticks + 1);
    b->raws = base_alloc(b->j->channels * sizeof(*b->raws));
    keep_intervals(b);
    int rc;
    do {
        rc = pass_all(b, e); /* once more where there are gaps: then their ends are known */
    } while (rc == 0 && b->grown);
    return rc ? rc : encode(b, blob, bytes, e);
}

int thin_build(const struct thin_job *j, uint8_t **blob, size_t *bytes, struct err *e)
{
    *blob = NULL;
    if (j->n == 0 || j->channels == 0 || j->channels > CODEC_CHANNELS_MAX / 3)
        return err_set(e, WATTQ_E_LIMIT, "a group of %u channels is not thinned", j->channels);
    struct builder b = {.j = j};
    int rc = build(&b, blob, bytes, e);
    builder_fini(&b);
    return rc;
}
