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

/* How far after the first tick on the grid, modulo the period and nearest to 0, the others lie: sorted. */
static uint32_t find_phases(const struct codec_block *b, uint32_t from, int64_t ref_ns,
                            int64_t *phase)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < b->n; i++) {
        if (b->flags[i] & TICK_EDGE)
            continue;
        int64_t x = floor_mod(b->before[i] - ref_ns, b->period_ns);
        phase[n++] = x > b->period_ns / 2 ? x - b->period_ns : x;
    }
    qsort(phase, n, sizeof(*phase), by_value);
    return n;
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

static uint64_t grid_bits(const struct grid *g, const struct codec_block *b, uint32_t from)
{
    uint64_t late[RICE_BLOCK], bits = 0;
    unsigned n = 0;
    for (uint32_t i = from; i < b->n; i++) {
        int64_t index;
        late[n++] = late_of(g, b->before[i], &index);
        if (n < RICE_BLOCK && i + 1 < b->n)
            continue;
        bits += rice_block_bits(late, n);
        n = 0;
    }
    return bits;
}

/* Most lateness is counted from the earliest tick; where some ticks were late by most of a period, and so
 * look early, from a tick a bit later than those. */
static struct grid find_grid(const struct codec_block *b, uint32_t from, uint8_t unit)
{
    uint32_t first = from;
    while (first + 1 < b->n && (b->flags[first] & TICK_EDGE))
        first++;
    struct grid best = grid_at(b, from, unit, b->before[first]);
    int64_t *phase CLEANUP(base_freep) = malloc((size_t)(b->n - from) * sizeof(*phase));
    uint32_t n = phase ? find_phases(b, from, b->before[first], phase) : 0, last = 0;
    uint64_t least = UINT64_MAX;
    for (unsigned shift = 32; shift >= 5 && n > 0; shift -= 3) {
        uint32_t at = (uint32_t)((uint64_t)n >> shift);
        if (at == last && shift < 32)
            continue;
        struct grid g = grid_at(b, from, unit, b->before[first] + phase[at]);
        uint64_t bits = grid_bits(&g, b, from);
        last = at;
        if (bits >= least)
            continue;
        least = bits;
        best = g;
    }
    return best;
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

void times_encode(struct bytes_out *o, const struct codec_block *b, uint32_t from,
                  struct times_unit unit)
{
    struct grid g = find_grid(b, from, unit.stamp);
    struct bits_out bits = {.to = o};
    struct packed p;
    int64_t least = narrowest(b, from), last = -1;
    unsigned n = 0;
    bytes_put_varint(o, bits_zigzag(g.base_ns));
    bytes_put_varint(o, (uint64_t)g.period_ns);
    bytes_put_varint(o, (uint64_t)least >> unit.width);
    for (uint32_t i = from; i < b->n; i++) {
        int64_t index;
        p.late[n] = late_of(&g, b->before[i], &index);
        p.step[n] = bits_zigzag(index - last - 1);
        p.width[n] = (uint64_t)(b->after[i] - b->before[i] - least) >> unit.width;
        p.flags[n++] = b->flags[i];
        last = index;
        if (n < RICE_BLOCK && i + 1 < b->n)
            continue;
        put_packed(&bits, &p, n);
        n = 0;
    }
    bits_end(&bits);
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

bool times_open(struct codec_view *v, const uint8_t *p, size_t bytes)
{
    struct bytes_in in = {p, p + bytes, false};
    v->base_ns = bits_unzigzag(bytes_get_varint(&in));
    v->period_ns = (int64_t)(bytes_get_varint(&in) & INT64_MAX);
    v->least_width = bytes_get_varint(&in);
    v->times = (struct bits_in){.p = in.p, .end = in.end};
    v->index = -1;
    return !in.over;
}

static void unpack_block(struct codec_view *v, unsigned n)
{
    struct times_unit unit = times_unit_of(v);
    struct grid g = {v->base_ns, v->period_ns, -(int64_t)(UINT64_C(1) << unit.stamp), unit.stamp};
    struct packed k;
    get_packed(&v->times, &k, n);
    for (unsigned j = 0; j < n; j++) {
        uint32_t i = v->known + j;
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

/* Ticks [from, to) are in order, or are made so and no longer count. */
static void check_block(struct codec_view *v, uint32_t from, uint32_t to)
{
    int64_t last = from == 0 ? -1 : codec_middle(v->before[from - 1], v->after[from - 1]);
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

void codec_unpack_times(struct codec_view *v, uint32_t until)
{
    while (v->known <= until) {
        unsigned n = v->n - v->known < RICE_BLOCK ? v->n - v->known : RICE_BLOCK;
        unpack_block(v, n);
        check_block(v, v->known, v->known + n);
        v->known += n;
    }
}
