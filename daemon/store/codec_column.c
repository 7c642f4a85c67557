#include "daemon/store/codec_private.h"

bool column_room_init(struct column_room *r, uint8_t version, uint32_t ticks, uint32_t stretch)
{
    r->predictors = version > 1 ? PREDICTORS_2 : PREDICTORS_1;
    r->stretch = stretch;
    r->mark = malloc((1 + (size_t)marks_count(ticks, stretch)) * sizeof(*r->mark));
    r->value = malloc((size_t)ticks * 5 * sizeof(int64_t));
    if (!r->value || !r->mark)
        return false;
    r->t_ns = r->value + ticks;
    r->longer = r->t_ns + ticks;
    r->d = r->longer + ticks;
    r->code = (uint64_t *)(r->d + ticks);
    return true;
}

void column_room_fini(struct column_room *r)
{
    free(r->value);
    free(r->mark);
    free(r->bits.p);
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void gather_times(struct column_room *r, int64_t period_ns)
{
    int64_t inverse = guess_inverse(period_ns);
    for (uint32_t i = 1; i < r->n; i++)
        r->longer[i] = guess_longer(inverse, period_ns, r->t_ns[i] - r->t_ns[i - 1]);
}

/* A column without a state has a value for each tick. Most are so, and have the times of the one before. */
static void gather_whole(struct column_room *r, const struct codec_block *b, uint32_t from,
                         uint32_t slot)
{
    r->n = b->n - from;
    for (uint32_t i = 0; i < r->n; i++)
        r->value[i] = b->values[(size_t)(from + i) * b->channels + slot];
    if (r->whole)
        return;
    for (uint32_t i = 0; i < r->n; i++)
        r->t_ns[i] = codec_middle(b->before[from + i], b->after[from + i]);
    gather_times(r, b->period_ns);
    r->whole = true;
}

/* The valid samples of any column. */
static void gather(struct column_room *r, const struct codec_block *b, uint32_t from, uint32_t slot)
{
    r->n = 0;
    r->whole = false;
    for (uint32_t i = from; i < b->n; i++) {
        size_t at = (size_t)i * b->channels + slot;
        if ((b->states[at] & TICK_STATE_MASK) != READING_OK)
            continue;
        r->value[r->n] = b->values[at];
        r->t_ns[r->n++] = codec_middle(b->before[i], b->after[i]);
    }
    gather_times(r, b->period_ns);
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

/* To r->bits; how many bytes lie between two marks goes to the mark. stretch: samples from mark to mark; as many as
 * there are or more where the column has no marks. */
static void put_codes(struct column_room *r, uint32_t stretch)
{
    r->bits.n = 0;
    for (uint32_t i = 1, k = 0; i < r->n; i += stretch, k++) {
        struct bits_out bits = {.to = &r->bits};
        size_t start = r->bits.n;
        bool last = r->n - i <= stretch;
        rice_put(&bits, r->code + i - 1, last ? r->n - i : stretch);
        bits_end(&bits);
        if (!last)
            r->mark[k].bytes = r->bits.n - start;
    }
}

/* What it is made of, and the quantum and the predictor that were found. */
struct column_plan {
    enum channel_kind kind;
    struct codec_quantum q;
    uint8_t predictor;
    uint32_t runs;
    bool marked;
};

static void put_values(struct bytes_out *o, const struct column_plan *p, struct column_room *r,
                       int64_t raw)
{
    uint32_t stretch = p->marked ? r->stretch : CODEC_TICKS_MAX;
    bytes_put_varint(o, bits_zigzag(raw));
    bytes_put_varint(o, bits_zigzag(r->value[0]));
    if (p->q.num != 1 || p->q.den != 1)
        put_quantum(o, &p->q);
    if (r->stretch < CODEC_TICKS_MAX && p->runs == 0)
        bytes_put8(o, p->marked);
    codes_make(r, p->predictor, stretch);
    put_codes(r, stretch);
    for (uint32_t k = 0; p->marked && k < marks_count(r->n, stretch); k++)
        marks_put(o, p->kind, &r->mark[k]);
    bytes_put(o, r->bits.p, r->bits.n);
    o->failed |= r->bits.failed;
}

static void plan_values(struct column_plan *p, struct column_room *r, int64_t period_ns,
                        uint8_t *won)
{
    quantum_find(&p->q, p->kind, r->value, r->d, r->n);
    p->marked = r->stretch < CODEC_TICKS_MAX && p->runs == 0 && p->q.phases == 1 &&
                marks_find(r, p->kind, period_ns);
    p->predictor = PREDICT_NOTHING;
    if (r->n > 2)
        p->predictor = codes_best(r, p->marked, won);
}

void column_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from, uint32_t slot,
                   struct column_room *r)
{
    struct column_plan p = {.kind = (enum channel_kind)b->kinds[slot],
                            .q = {.num = 1, .den = 1, .phases = 1},
                            .predictor = PREDICT_EMPTY,
                            .runs = count_runs(b, from, slot)};
    if (p.runs == 0)
        gather_whole(r, b, from, slot);
    else
        gather(r, b, from, slot);
    if (r->n > 0)
        plan_values(&p, r, b->period_ns, &b->won[slot]);
    bool own = p.q.num != 1 || p.q.den != 1;
    unsigned first = b->kinds[slot] | (unsigned)p.predictor << 3;
    bytes_put8(o, (uint8_t)(first | (own ? COLUMN_QUANTUM : 0) | (p.runs ? COLUMN_STATES : 0)));
    if (p.runs) {
        bytes_put_varint(o, p.runs);
        put_states(o, b, from, slot);
    }
    if (r->n > 0)
        put_values(o, &p, r, b->raw[slot]);
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

/* Where the column may have marks a byte says whether it has. Walks them once, so that the cursor need not check. */
static bool open_marks(struct codec_cursor *c, struct bytes_in *in)
{
    uint8_t marked = bytes_get8(in);
    uint64_t total = 0;
    if (in->over || marked > 1)
        return false;
    c->marks = *in;
    c->stretch = marked ? c->view->stretch : CODEC_TICKS_MAX;
    for (uint32_t k = 0; k < marks_count(c->samples, c->stretch); k++) {
        struct column_mark m;
        marks_get(in, c->kind, &m);
        if (m.bytes > c->view->bytes)
            return false;
        total += m.bytes;
    }
    c->stretch_at = in->p;
    return !in->over && total <= (size_t)(in->end - in->p);
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
    if (c->view->stretch < CODEC_TICKS_MAX && c->samples == c->view->n && c->runs.left == 0 &&
        !open_marks(c, in))
        return false;
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
    if (in.over || c->kind > CHANNEL_CPU_TIME ||
        (!empty && predictor >= (c->view->version > 1 ? PREDICTORS_2 : PREDICTORS_1)) ||
        !open_runs(c, &in, (first & COLUMN_STATES) != 0) || empty != (c->samples == 0))
        return false;
    return empty || open_values(c, &in, (first & COLUMN_QUANTUM) != 0);
}
