#include <assert.h>

#include "daemon/store/codec_private.h"

/* Values are unpacked a block at a time, each step of it for all samples of the block: what is the same
 * for a column is decided once, and the loops are short enough for registers. */

/* The state of tick `at`, asked in order; the runs were checked when the view was opened. */
static inline uint8_t state_at(struct codec_runs *r, uint32_t at)
{
    if (at < r->from)
        return 0;
    if (at < r->to)
        return r->state;
    if (r->left == 0) {
        r->from = UINT32_MAX;
        return 0;
    }
    r->left--;
    r->from = r->to + (uint32_t)bytes_get_varint(&r->in);
    r->to = r->from + (uint32_t)bytes_get_varint(&r->in);
    r->state = bytes_get8(&r->in);
    return at < r->from ? 0 : r->state;
}

/* The time of the next sample that is one. */
static inline int64_t next_time(struct codec_cursor *c)
{
    while ((state_at(&c->ahead, c->ahead_at) & TICK_STATE_MASK) != READING_OK)
        c->ahead_at++;
    return codec_time(c->view, c->ahead_at++);
}

static void find_stretches(struct codec_cursor *c, int64_t *stretch, unsigned n)
{
    int64_t period = c->view->period_ns, inverse = guess_inverse(period), last = c->last_ns;
    for (unsigned i = 0; i < n; i++) {
        int64_t t_ns = next_time(c);
        stretch[i] = guess_longer(inverse, period, t_ns - last);
        last = t_ns;
    }
    c->last_ns = last;
}

/* Codes to differences; inlined once for each predictor. */
static inline __attribute__((always_inline)) void guess_all(struct codec_cursor *c,
                                                            uint8_t predictor, const uint64_t *code,
                                                            const int64_t *stretch, int64_t *d,
                                                            unsigned n)
{
    bool takes_time = predictor == PREDICT_RATE || predictor == PREDICT_QUICK;
    struct codec_guess g = c->guess;
    g.predictor = predictor;
    for (unsigned i = 0; i < n; i++)
        d[i] = guess_value(&g, code[i], takes_time ? stretch[i] : 0);
    c->guess = g;
}

static void unpack_differences(struct codec_cursor *c, int64_t *d, unsigned n)
{
    uint64_t code[RICE_BLOCK];
    int64_t stretch[RICE_BLOCK];
    rice_get_block(&c->bits, code, n);
    switch (c->guess.predictor) {
    case PREDICT_LAST:
        guess_all(c, PREDICT_LAST, code, stretch, d, n);
        return;
    case PREDICT_RATE:
        find_stretches(c, stretch, n);
        guess_all(c, PREDICT_RATE, code, stretch, d, n);
        return;
    case PREDICT_QUICK:
        find_stretches(c, stretch, n);
        guess_all(c, PREDICT_QUICK, code, stretch, d, n);
        return;
    case PREDICT_MEAN:
        guess_all(c, PREDICT_MEAN, code, stretch, d, n);
        return;
    case PREDICT_HELD:
        guess_all(c, PREDICT_HELD, code, stretch, d, n);
        return;
    case PREDICT_LEVEL:
        guess_all(c, PREDICT_LEVEL, code, stretch, d, n);
        return;
    default:
        guess_all(c, PREDICT_NOTHING, code, stretch, d, n);
    }
}

static void add_whole(struct codec_cursor *c, const int64_t *d, unsigned n)
{
    int64_t value = c->value, num = c->quantum.num;
    for (unsigned i = 0; i < n; i++)
        c->ready[i] = value = sum64(value, (int64_t)((uint64_t)d[i] * (uint64_t)num));
    c->value = value;
}

static void start_phase(struct codec_cursor *c)
{
    const struct codec_phase *p = &c->quantum.phase[c->phase++];
    c->value = sum64(c->value, p->jump_uj);
    c->rest = p->phase;
}

static void add_parts(struct codec_cursor *c, const int64_t *d, unsigned n)
{
    const struct codec_quantum *q = &c->quantum;
    uint64_t inverse = codec_inverse(q->den);
    int64_t rest;
    for (unsigned i = 0; i < n; i++) {
        int64_t move =
            d[i] > INT32_MAX || d[i] < INT32_MIN ? 0 : d[i]; /* forged: it wrote no such */
        c->value = sum64(c->value, codec_divide(move * q->num + c->rest, q->den, inverse, &rest));
        c->rest = (uint32_t)rest;
        if (c->phase < q->phases && q->phase[c->phase].at == c->unpacked + i)
            start_phase(c);
        c->ready[i] = c->value;
    }
}

/* The first sample stands in the head of the column. */
static void unpack_first(struct codec_cursor *c)
{
    c->ready[0] = c->value;
    c->have = 1;
    c->used = 0;
    c->unpacked = 1;
    c->last_ns = next_time(c);
}

/* Behind a mark the bits begin anew, and the guess does. */
static void next_stretch(struct codec_cursor *c)
{
    struct column_mark m;
    marks_get(&c->marks, c->kind, &m);
    c->stretch_at += m.bytes;
    c->bits.p = c->stretch_at;
    c->bits.acc = 0;
    c->bits.n = 0;
    guess_restart(&c->guess, m.units, c->stretch);
}

static void unpack(struct codec_cursor *c)
{
    int64_t d[RICE_BLOCK];
    uint32_t left = c->samples - c->unpacked;
    if (c->unpacked > 1 && ((c->unpacked - 1) & (c->stretch - 1)) == 0)
        next_stretch(c);
    unsigned n = left < RICE_BLOCK ? left : RICE_BLOCK;
    unpack_differences(c, d, n);
    if (c->quantum.den == 1)
        add_whole(c, d, n);
    else
        add_parts(c, d, n);
    c->unpacked += n;
    c->have = n;
    c->used = 0;
}

static int64_t next_packed(struct codec_cursor *c, uint8_t *state)
{
    *state = state_at(&c->runs, c->at++);
    if ((*state & TICK_STATE_MASK) != READING_OK)
        return 0;
    if (c->used == c->have) {
        if (c->unpacked == 0)
            unpack_first(c);
        else
            unpack(c);
    }
    if (c->bits.over || c->at > c->view->sound) {
        *state = READING_GARBLED;
        return 0;
    }
    return c->ready[c->used++];
}

int64_t codec_cursor_next(struct codec_cursor *c, uint8_t *state)
{
    if (c->view->version > 0)
        return next_packed(c, state);
    uint32_t i = c->at++;
    int64_t value;
    memcpy(&value, c->values + 8 * (size_t)i, 8);
    *state = c->states[i];
    return value;
}

/* Ticks from the next one on that no run of states names, as far as that is known without going there. */
static uint32_t plain_ticks(const struct codec_cursor *c)
{
    const struct codec_runs *r = &c->runs;
    uint32_t end = c->view->sound;
    if (c->at < r->from)
        end = r->from < end ? r->from : end;
    else if (c->at < r->to || r->left > 0)
        end = c->at;
    return end > c->at ? end - c->at : 0;
}

uint32_t codec_cursor_ready(struct codec_cursor *c, const int64_t **values)
{
    if (c->view->version == 0 || c->at >= c->view->n)
        return 0;
    uint32_t plain = plain_ticks(c);
    if (plain == 0)
        return 0;
    if (c->used == c->have && c->unpacked > 0)
        unpack(c);
    uint32_t n = c->have - c->used;
    *values = c->ready + c->used;
    return c->bits.over ? 0 : n < plain ? n : plain;
}

/* ---- marks -------------------------------------------------------------------------------------- */

/* Value and rest after so many quanta, as add_whole and add_parts would have them. */
static void jump_units(struct codec_cursor *c, int64_t units)
{
    codec_wide x = (codec_wide)units * c->quantum.num + c->rest;
    codec_wide whole = x / c->quantum.den;
    if (x % c->quantum.den < 0)
        whole--;
    c->rest = (uint32_t)(x - whole * c->quantum.den);
    c->value = sum64(c->value, (int64_t)(uint64_t)whole);
}

/* The newest change of the register before the marks that were passed. */
struct knot {
    uint32_t tick; /* of the mark that tells, 0 = none does */
    int64_t back_ns;
};

static void add_mark(const struct column_mark *m, uint32_t stretch, struct codec_mark *out,
                     struct knot *knot)
{
    out->tick += stretch;
    out->e_uj = sum64(out->e_uj, m->e_uj);
    out->rem = (int64_t)(m->rem & INT32_MAX);
    if (m->knot != 1)
        *knot = (struct knot){out->tick, m->knot ? (int64_t)(m->knot - 1) : 0};
}

bool codec_cursor_skip(struct codec_cursor *c, uint32_t k, struct codec_mark *out)
{
    assert(c->unpacked <= 1 && k > 0 && k <= marks_count(c->view->n, c->view->stretch));
    if (c->stretch == CODEC_TICKS_MAX)
        return false;
    struct knot knot = {0};
    *out = (struct codec_mark){.knot_ns = CODEC_SAME_KNOT};
    for (uint32_t i = 1; i <= k; i++) {
        struct bytes_in at = c->marks;
        struct column_mark m;
        marks_get(&c->marks, c->kind, &m);
        jump_units(c, m.units);
        add_mark(&m, c->stretch, out, &knot);
        if (i == k)
            c->marks = at; /* next_stretch begins with it */
        else
            c->stretch_at += m.bytes;
    }
    if (knot.tick)
        out->knot_ns = diff64(codec_time(c->view, knot.tick), knot.back_ns);
    out->value = c->value;
    c->at = c->ahead_at = c->unpacked = out->tick + 1;
    c->have = c->used = 0;
    c->last_ns = codec_time(c->view, out->tick);
    return true;
}
