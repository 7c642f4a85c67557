#include "daemon/store/codec_private.h"

/* A tick lies `late` after a deadline, and deadlines lie a period apart. What a timer adds is small and
 * of its own, so it is counted from the deadline and not from the tick before, which would count the
 * lateness of two. An extra sweep is one that lies anywhere after the deadline of a tick before it. */
struct grid {
    int64_t base_ns; /* deadline 0, at or before the first tick */
    int64_t period_ns;
    int64_t mask; /* of the unit: stamps are multiples of it */
    uint8_t unit;
};

static int64_t deadline(const struct grid *g, int64_t index)
{
    return (int64_t)((uint64_t)g->base_ns + (uint64_t)index * (uint64_t)g->period_ns) & g->mask;
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t r = a % b;
    return r < 0 ? r + b : r;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static uint8_t common_unit(uint64_t all, unsigned most)
{
    return (uint8_t)__builtin_ctzll(all | UINT64_C(1) << most);
}

struct times_unit times_unit(const struct codec_block *b, uint32_t from)
{
    uint64_t stamps = 0, widths = 0;
    for (uint32_t i = from; i < b->n; i++) {
        stamps |= (uint64_t)b->before[i];
        widths |= (uint64_t)(b->after[i] - b->before[i]);
    }
    return (struct times_unit){common_unit(stamps, CODEC_UNIT_BITS),
                               common_unit(widths, CODEC_UNIT_BITS)};
}

static uint64_t late_of(const struct grid *g, int64_t before_ns, int64_t *index)
{
    int64_t since = before_ns - g->base_ns;
    *index = (since - floor_mod(since, g->period_ns)) / g->period_ns;
    return (uint64_t)(before_ns - deadline(g, *index)) >> g->unit;
}

/* The grid whose deadline 0 is the last one at or before the first tick. */
static struct grid grid_at(const struct codec_block *b, uint32_t from, uint8_t unit,
                           int64_t some_ns)
{
    struct grid g = {.period_ns = b->period_ns, .unit = unit};
    g.mask = -(int64_t)(UINT64_C(1) << unit);
    g.base_ns = b->before[from] - floor_mod(b->before[from] - some_ns, b->period_ns);
    return g;
}

/* Where ticks lie in a period that begins at some tick: 0 <= phase[i] < period_ns. */
struct phases {
    int64_t *phase; /* one allocation with early */
    int64_t *early; /* the first ones, sorted, as seen from -period / 2 on */
    uint32_t n, on_grid;
    int64_t period_ns;
    uint8_t unit;
};

static int64_t centred(const struct phases *p, int64_t phase)
{
    return phase > p->period_ns / 2 ? phase - p->period_ns : phase;
}

/* Those that are not on the grid take no part in `early`. */
static uint32_t pick(struct phases *p, const uint8_t *flags, uint32_t step, int64_t most)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i += step) {
        int64_t x = centred(p, p->phase[i]);
        if (!(flags[i] & TICK_EDGE) && x <= most)
            p->early[n++] = x;
    }
    qsort(p->early, n, sizeof(*p->early), by_value);
    return n;
}

#define EARLY_SHIFT 5    /* of n on the grid, n >> 5 and fewer are looked at */
#define SOME        256u /* of all tell where about they end */

/* False without memory. */
static bool find_phases(struct phases *p, const struct codec_block *b, uint32_t from,
                        int64_t ref_ns, uint8_t unit)
{
    const uint8_t *flags = b->flags + from;
    *p = (struct phases){.n = b->n - from, .period_ns = b->period_ns, .unit = unit};
    p->phase = malloc((size_t)p->n * 2 * sizeof(*p->phase));
    if (!p->phase)
        return false;
    p->early = p->phase + p->n;
    for (uint32_t i = 0; i < p->n; i++) {
        p->phase[i] = floor_mod(b->before[from + i] - ref_ns, b->period_ns);
        p->on_grid += !(flags[i] & TICK_EDGE);
    }
    uint32_t step = p->n / SOME + 1, some = pick(p, flags, step, INT64_MAX);
    int64_t most = some > 0 ? p->early[some / 8] : INT64_MAX;
    if (pick(p, flags, 1, most) <= p->on_grid >> EARLY_SHIFT)
        (void)pick(p, flags, 1, INT64_MAX);
    return true;
}

/* What the lateness of all ticks takes where deadlines lie at that phase. A tick is a multiple of the unit and deadlines
 * are rounded down to one, so the lateness is rounded up. */
static uint64_t phase_bits(const struct phases *p, int64_t phase)
{
    uint64_t late[RICE_BLOCK], bits = 0, round = (UINT64_C(1) << p->unit) - 1;
    unsigned n;
    for (uint32_t i = 0; i < p->n; i += n) {
        n = p->n - i < RICE_BLOCK ? p->n - i : RICE_BLOCK;
        for (unsigned k = 0; k < n; k++) {
            int64_t x = p->phase[i + k] - phase;
            x += x < 0 ? p->period_ns : x >= p->period_ns ? -p->period_ns : 0;
            late[k] = ((uint64_t)x + round) >> p->unit;
        }
        bits += rice_block_bits(late, n);
    }
    return bits;
}

/* Most lateness is counted from the earliest tick; where some ticks were late by most of a period, and so
 * look early, from a tick a bit later than those. */
static int64_t best_phase(const struct phases *p)
{
    uint64_t least = UINT64_MAX;
    int64_t best = 0;
    uint32_t last = 0;
    for (unsigned shift = 32; shift >= EARLY_SHIFT && p->on_grid > 0; shift -= 3) {
        uint32_t at = (uint32_t)((uint64_t)p->on_grid >> shift);
        if (at == last && shift < 32)
            continue;
        last = at;
        uint64_t bits = phase_bits(p, p->early[at]);
        if (bits >= least)
            continue;
        least = bits;
        best = p->early[at];
    }
    return best;
}

static struct grid find_grid(const struct codec_block *b, uint32_t from, uint8_t unit)
{
    struct phases p;
    uint32_t first = from;
    while (first + 1 < b->n && (b->flags[first] & TICK_EDGE))
        first++;
    int64_t phase = 0;
    if (find_phases(&p, b, from, b->before[first], unit))
        phase = best_phase(&p);
    free(p.phase);
    return grid_at(b, from, unit, b->before[first] + phase);
}

static int64_t narrowest(const struct codec_block *b, uint32_t from)
{
    int64_t least = INT64_MAX;
    for (uint32_t i = from; i < b->n; i++)
        if (b->after[i] - b->before[i] < least)
            least = b->after[i] - b->before[i];
    return least;
}

/* What is packed of each tick of one block of ticks. */
struct packed {
    uint64_t step[RICE_BLOCK];  /* deadlines since the tick before, less the one that is usual */
    uint64_t late[RICE_BLOCK];  /* units after the deadline */
    uint64_t width[RICE_BLOCK]; /* units that the sweep took longer than the shortest one */
    uint64_t flags[RICE_BLOCK];
};

static void put_packed(struct bits_out *o, const struct packed *p, unsigned n)
{
    rice_put_block(o, p->step, n);
    rice_put_block(o, p->late, n);
    rice_put_block(o, p->width, n);
    rice_put_block(o, p->flags, n);
}

/* Of one stretch: between two marks, or all there is. */
struct stretch_out {
    const struct grid *grid;
    struct times_unit unit;
    int64_t least; /* width */
    int64_t last;  /* index of the tick before */
};

static void put_stretch(struct bits_out *o, struct stretch_out *x, const struct codec_block *b,
                        uint32_t from, uint32_t end)
{
    struct packed p;
    unsigned n = 0;
    for (uint32_t i = from; i < end; i++) {
        int64_t index;
        p.late[n] = late_of(x->grid, b->before[i], &index);
        p.step[n] = bits_zigzag(index - x->last - 1);
        p.width[n] = (uint64_t)(b->after[i] - b->before[i] - x->least) >> x->unit.width;
        p.flags[n++] = b->flags[i];
        x->last = index;
        if (n < RICE_BLOCK && i + 1 < end)
            continue;
        put_packed(o, &p, n);
        n = 0;
    }
    bits_end(o);
}

/* The stretches go to `bits` and between them, to o, their marks: bytes, and how far the index has come. */
static void put_stretches(struct bytes_out *o, struct bytes_out *bits, struct stretch_out *x,
                          const struct codec_block *b, uint32_t from, uint32_t stretch)
{
    for (uint32_t i = from; i < b->n; i += stretch) {
        struct bits_out out = {.to = bits};
        int64_t index = x->last;
        size_t start = bits->n;
        bool last = b->n - i <= stretch;
        put_stretch(&out, x, b, i, last ? b->n : i + stretch);
        if (last)
            break;
        bytes_put_varint(o, bits->n - start);
        bytes_put_varint(o, bits_zigzag(x->last - index - stretch));
    }
}

void times_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                  struct times_unit unit, uint8_t version, uint32_t stretch)
{
    struct grid g = find_grid(b, from, unit.stamp);
    struct stretch_out x = {.grid = &g, .unit = unit, .least = narrowest(b, from), .last = -1};
    struct bytes_out bits = {0};
    bytes_put_varint(o, bits_zigzag(g.base_ns));
    bytes_put_varint(o, (uint64_t)g.period_ns);
    bytes_put_varint(o, (uint64_t)x.least >> unit.width);
    if (version > 1)
        bytes_put8(o, (uint8_t)__builtin_ctz(stretch));
    put_stretches(o, &bits, &x, b, from, stretch);
    bytes_put(o, bits.p, bits.n);
    o->failed |= bits.failed;
    free(bits.p);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static void get_packed(struct bits_in *in, struct packed *p, unsigned n)
{
    rice_get_block(in, p->step, n);
    rice_get_block(in, p->late, n);
    rice_get_block(in, p->width, n);
    rice_get_block(in, p->flags, n);
}

struct times_unit times_unit_of(const struct codec_view *v)
{
    return (struct times_unit){v->data[3] & 15, v->data[3] >> 4};
}

static struct grid grid_of(const struct codec_view *v)
{
    uint8_t unit = times_unit_of(v).stamp;
    return (struct grid){v->base_ns, v->period_ns, -(int64_t)(UINT64_C(1) << unit), unit};
}

/* Reads the mark behind stretch k = 0, 1 ...; *index is that of the last tick before the mark. */
static uint64_t next_mark(const struct codec_view *v, struct bytes_in *in, int64_t *index)
{
    uint64_t bytes = bytes_get_varint(in);
    *index = sum64(sum64(*index, v->stretch), bits_unzigzag(bytes_get_varint(in)));
    return bytes;
}

static bool open_marks(struct codec_view *v, struct bytes_in *in)
{
    uint64_t total = 0;
    v->shift = bytes_get8(in);
    if (in->over || v->shift < 7 || v->shift > 16)
        return false;
    v->stretch = 1u << v->shift;
    v->marks = in->p;
    for (uint32_t k = 0; k < marks_count(v->n, v->stretch); k++) {
        int64_t index = 0;
        uint64_t bytes = next_mark(v, in, &index);
        if (bytes > v->bytes)
            return false;
        total += bytes;
    }
    return !in->over && total <= (size_t)(in->end - in->p);
}

bool times_open(struct codec_view *v, const uint8_t *p, size_t bytes)
{
    struct bytes_in in = {p, p + bytes, false};
    v->base_ns = bits_unzigzag(bytes_get_varint(&in));
    v->period_ns = (int64_t)(bytes_get_varint(&in) & INT64_MAX);
    v->least_width = bytes_get_varint(&in);
    v->marks = in.p;
    if (v->version > 1 && !open_marks(v, &in))
        return false;
    v->stretches = in.p;
    v->times = (struct bits_in){.p = in.p, .end = in.end};
    v->index = -1;
    return !in.over;
}

/* Stand at the beginning of a stretch. Of one that was left in the middle some are unpacked once more. */
static void turn_to(struct codec_view *v, uint32_t k)
{
    const uint8_t *end = v->times.end, *at = v->stretches;
    struct bytes_in in = {v->marks, end, false};
    v->index = -1;
    for (uint32_t i = 0; i < k; i++)
        at += next_mark(v, &in, &v->index);
    v->times = (struct bits_in){.p = at, .end = end};
    v->turn = k;
    v->known[k] = 0;
}

static void unpack_block(struct codec_view *v, uint32_t from, unsigned n)
{
    struct times_unit unit = times_unit_of(v);
    struct grid g = grid_of(v);
    struct packed k;
    get_packed(&v->times, &k, n);
    for (unsigned j = 0; j < n; j++) {
        uint32_t i = from + j;
        v->index = sum64(sum64(v->index, 1), bits_unzigzag(k.step[j]));
        v->before[i] = sum64(deadline(&g, v->index), (int64_t)(k.late[j] << unit.stamp));
        v->after[i] = sum64(v->before[i], (int64_t)((v->least_width + k.width[j]) << unit.width));
        v->tick_flags[i] = (uint8_t)k.flags[j];
    }
}

static bool in_order(int64_t before, int64_t after, int64_t last)
{
    return before >= 0 && after >= before && after <= CODEC_TIME_MAX &&
           codec_middle(before, after) > last;
}

/* Ticks [from, to) are made to be in order, and no longer count. */
static void mend_block(struct codec_view *v, uint32_t from, uint32_t to, int64_t last)
{
    if (v->times.over && v->sound > from)
        v->sound = from;
    for (uint32_t i = from; i < to; i++) {
        if (i < v->sound && !in_order(v->before[i], v->after[i], last))
            v->sound = i;
        if (i >= v->sound)
            v->before[i] = v->after[i] = last + 1;
        last = codec_middle(v->before[i], v->after[i]);
    }
}

/* What is before a stretch may be unknown. */
static void check_block(struct codec_view *v, uint32_t from, uint32_t to)
{
    bool after_known = from > 0 && codec_knows(v, from - 1);
    int64_t first = after_known ? codec_middle(v->before[from - 1], v->after[from - 1]) : -1;
    bool ok = !v->times.over && to <= v->sound;
    int64_t last = first;
    for (uint32_t i = from; ok && i < to; i++) {
        ok = in_order(v->before[i], v->after[i], last);
        last = !ok ? 0 : codec_middle(v->before[i], v->after[i]);
    }
    if (!ok)
        mend_block(v, from, to, first);
}

void codec_unpack_times(struct codec_view *v, uint32_t i)
{
    uint32_t k = i >> v->shift;
    if (k != v->turn)
        turn_to(v, k);
    while (!codec_knows(v, i)) {
        uint32_t from = (k << v->shift) + v->known[k], left = v->n - from;
        unsigned n = left < RICE_BLOCK ? left : RICE_BLOCK;
        unpack_block(v, from, n);
        check_block(v, from, from + n);
        v->known[k] += n;
    }
}

bool codec_is_sound(struct codec_view *v)
{
    for (uint32_t i = 0; i < v->n; i += RICE_BLOCK)
        (void)codec_time(v, i);
    (void)codec_time(v, v->n - 1);
    return v->sound == v->n;
}

uint32_t codec_mark_before(struct codec_view *v, int64_t t_ns)
{
    struct bytes_in in = {v->marks, v->times.end, false};
    struct grid g = grid_of(v);
    int64_t index = -1;
    uint32_t k = 0;
    while (k < marks_count(v->n, v->stretch)) {
        (void)next_mark(v, &in, &index);
        if (deadline(&g, index) >= t_ns)
            break;
        k++;
    }
    while (k > 0 && codec_time(v, k << v->shift) >= t_ns)
        k--;
    return k;
}
