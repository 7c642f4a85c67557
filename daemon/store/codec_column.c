#include "daemon/store/codec_private.h"

#define HELD_MAX (INT64_C(1) << 60) /* its codes are one more than a zigzag */

bool column_room_init(struct column_room *r, uint32_t ticks)
{
    r->value = malloc((size_t)ticks * 5 * sizeof(int64_t));
    if (!r->value)
        return false;
    r->t_ns = r->value + ticks;
    r->stretch = r->t_ns + ticks;
    r->d = r->stretch + ticks;
    r->code = (uint64_t *)(r->d + ticks);
    return true;
}

void column_room_fini(struct column_room *r)
{
    free(r->value);
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* The valid samples of a column; what the hardware showed at the newest goes to *raw. */
static void gather(struct column_room *r, const struct codec_block *b, uint32_t from, uint32_t slot,
                   int64_t *raw)
{
    r->n = 0;
    for (uint32_t i = from; i < b->n; i++) {
        size_t at = (size_t)i * b->channels + slot;
        if ((b->states[at] & TICK_STATE_MASK) != READING_OK)
            continue;
        r->value[r->n] = b->values[at];
        r->t_ns[r->n++] = codec_middle(b->before[i], b->after[i]);
        *raw = b->raws[at];
    }
    int64_t inverse = guess_inverse(b->period_ns);
    for (uint32_t i = 1; i < r->n; i++)
        r->stretch[i] = guess_stretch(inverse, b->period_ns, r->t_ns[i] - r->t_ns[i - 1]);
}

/* Runs of one state that is not 0: ticks since the run before, length, state. */
static void put_states(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                       uint32_t slot)
{
    uint32_t end = from;
    for (uint32_t i = from, j; i < b->n; i = j) {
        uint8_t state = b->states[(size_t)i * b->channels + slot];
        for (j = i + 1; j < b->n && b->states[(size_t)j * b->channels + slot] == state; j++)
            ;
        if (state == 0)
            continue;
        bytes_put_varint(o, i - end);
        bytes_put_varint(o, j - i);
        bytes_put8(o, state);
        end = j;
    }
}

static uint32_t count_runs(const struct codec_block *b, uint32_t from, uint32_t slot)
{
    uint32_t runs = 0;
    uint8_t last = 0;
    for (uint32_t i = from; i < b->n; i++) {
        uint8_t state = b->states[(size_t)i * b->channels + slot];
        runs += state != 0 && state != last;
        last = state;
    }
    return runs;
}

static void put_quantum(struct bytes_out *o, const struct codec_quantum *q)
{
    uint32_t at = 0;
    bytes_put_varint(o, q->num);
    bytes_put_varint(o, q->den);
    bytes_put_varint(o, q->phases - 1);
    bytes_put_varint(o, q->phase[0].phase);
    for (uint32_t i = 1; i < q->phases; i++) {
        bytes_put_varint(o, q->phase[i].at - at);
        bytes_put_varint(o, bits_zigzag(q->phase[i].jump_uj));
        bytes_put_varint(o, q->phase[i].phase);
        at = q->phase[i].at;
    }
}

/* The codes of samples 1 .. n-1 with one predictor, to r->code. False where it has none. */
static bool make_codes(struct column_room *r, uint8_t predictor)
{
    struct codec_guess g = {.predictor = predictor};
    for (uint32_t i = 1; i < r->n; i++) {
        if (predictor == PREDICT_HELD && (r->d[i] >= HELD_MAX || r->d[i] <= -HELD_MAX))
            return false;
        r->code[i - 1] = guess_code(&g, r->d[i], r->stretch[i]);
    }
    return true;
}

static uint8_t best_predictor(struct column_room *r)
{
    uint64_t least = UINT64_MAX;
    uint8_t best = PREDICT_NOTHING;
    for (unsigned p = 0; p < PREDICTORS; p++) {
        if (!make_codes(r, (uint8_t)p))
            continue;
        uint64_t bits = rice_bits(r->code, r->n - 1);
        if (bits >= least)
            continue;
        least = bits;
        best = (uint8_t)p;
    }
    return best;
}

void column_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from, uint32_t slot,
                   struct column_room *r)
{
    int64_t raw = 0;
    struct codec_quantum q = {.num = 1, .den = 1, .phases = 1};
    uint8_t predictor = PREDICT_EMPTY;
    uint32_t runs = count_runs(b, from, slot);
    gather(r, b, from, slot, &raw);
    if (r->n > 0) {
        quantum_find(&q, (enum channel_kind)b->kinds[slot], r->value, r->d, r->n);
        predictor = r->n > 2 ? best_predictor(r) : PREDICT_NOTHING;
    }
    bool own = q.num != 1 || q.den != 1;
    unsigned first = b->kinds[slot] | (unsigned)predictor << 3;
    bytes_put8(o, (uint8_t)(first | (own ? COLUMN_QUANTUM : 0) | (runs ? COLUMN_STATES : 0)));
    if (runs) {
        bytes_put_varint(o, runs);
        put_states(o, b, from, slot);
    }
    if (r->n == 0)
        return;
    bytes_put_varint(o, bits_zigzag(raw));
    bytes_put_varint(o, bits_zigzag(r->value[0]));
    if (own)
        put_quantum(o, &q);
    make_codes(r, predictor);
    struct bits_out bits = {.to = o};
    rice_put(&bits, r->code, r->n - 1);
    bits_end(&bits);
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Walks the runs once, so that the cursor need not check them again. Returns the valid samples, or a
 * negative number when the runs are none. */
static int64_t check_runs(const struct codec_cursor *c, struct bytes_in *in, uint32_t runs)
{
    uint64_t at = 0, invalid = 0;
    for (uint32_t i = 0; i < runs; i++) {
        uint64_t gap = bytes_get_varint(in), length = bytes_get_varint(in);
        uint8_t state = bytes_get8(in);
        if (in->over || gap > c->view->n || length == 0 || length > c->view->n || state == 0)
            return -1;
        at += gap + length;
        if (at > c->view->n)
            return -1;
        invalid += (state & TICK_STATE_MASK) != READING_OK ? length : 0;
    }
    return (int64_t)(c->view->n - invalid);
}

static bool open_runs(struct codec_cursor *c, struct bytes_in *in, bool any)
{
    uint64_t runs = any ? bytes_get_varint(in) : 0;
    if (in->over || runs > c->view->n || (any && runs == 0))
        return false;
    c->runs = c->ahead = (struct codec_runs){.in = *in, .left = (uint32_t)runs};
    int64_t valid = check_runs(c, in, (uint32_t)runs);
    c->samples = valid > 0 ? (uint32_t)valid : 0;
    return valid >= 0;
}

static bool open_phases(struct codec_quantum *q, struct bytes_in *in)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < q->phases; i++) {
        if (i > 0) {
            at += bytes_get_varint(in);
            q->phase[i].jump_uj = bits_unzigzag(bytes_get_varint(in));
        }
        uint64_t phase = bytes_get_varint(in);
        if (in->over || phase >= q->den || at > CODEC_TICKS_MAX ||
            (i > 0 && at <= q->phase[i - 1].at))
            return false;
        q->phase[i].at = (uint32_t)at;
        q->phase[i].phase = (uint32_t)phase;
    }
    return true;
}

static bool open_quantum(struct codec_quantum *q, struct bytes_in *in)
{
    uint64_t num = bytes_get_varint(in), den = bytes_get_varint(in);
    if (in->over || num == 0 || num > INT32_MAX || den == 0 || den > INT32_MAX)
        return false;
    q->num = (uint32_t)num;
    q->den = (uint32_t)den;
    uint64_t more = bytes_get_varint(in);
    if (in->over || more >= CODEC_PHASES_MAX)
        return false;
    q->phases = 1 + (uint32_t)more;
    return open_phases(q, in);
}

static bool open_values(struct codec_cursor *c, struct bytes_in *in, bool own_quantum)
{
    c->raw_last = bits_unzigzag(bytes_get_varint(in));
    c->value = bits_unzigzag(bytes_get_varint(in));
    c->has_raw = true;
    if (own_quantum && !open_quantum(&c->quantum, in))
        return false;
    c->rest = c->quantum.phase[0].phase;
    c->phase = 1;
    c->bits = (struct bits_in){.p = in->p, .end = in->end};
    return !in->over;
}

bool column_open(struct codec_cursor *c, const uint8_t *p, size_t bytes)
{
    struct bytes_in in = {p, p + bytes, false};
    uint8_t first = bytes_get8(&in);
    uint8_t predictor = first >> 3 & 7;
    bool empty = predictor == PREDICT_EMPTY;
    c->kind = (enum channel_kind)(first & COLUMN_KIND);
    c->guess.predictor = predictor;
    c->quantum = (struct codec_quantum){.num = 1, .den = 1, .phases = 1};
    if (in.over || c->kind > CHANNEL_CPU_TIME || (!empty && predictor >= PREDICTORS) ||
        !open_runs(c, &in, (first & COLUMN_STATES) != 0) || empty != (c->samples == 0))
        return false;
    return empty || open_values(c, &in, (first & COLUMN_QUANTUM) != 0);
}
