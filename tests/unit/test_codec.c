/* Blobs of samples: what went in comes out, of every shape that meters have and of random numbers; every
 * damage is found; nothing is read out of bounds; reading on from a mark is as reading from the start; version 0 is still
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/store/walk.h"
#include "tests/support/forge.h"
#include "tests/support/recorder.h"

#define CHANNELS_MAX 16
#define TICKS_MAX    5000

/* What a test puts in, to compare with what comes out. */
struct truth {
    uint32_t channels, n;
    int64_t period_ns;
    uint8_t kinds[CHANNELS_MAX];
    int64_t before[TICKS_MAX], after[TICKS_MAX];
    uint8_t flags[TICKS_MAX];
    int64_t value[CHANNELS_MAX][TICKS_MAX], raw[CHANNELS_MAX][TICKS_MAX];
    uint8_t state[CHANNELS_MAX][TICKS_MAX];
};

static int64_t any_number(uint64_t *seed)
{
    return (int64_t)(rec_random(seed) >> rec_below(seed, 64));
}

/* Stamps on the grid with what a timer adds, an extra sweep now and then, missed ticks, or no order at
 * all but the one that is needed. */
static void make_times(struct truth *t, uint64_t *seed)
{
    bool wild = rec_below(seed, 4) == 0, units = rec_below(seed, 2) == 0;
    int64_t at = rec_below(seed, INT64_C(1) << rec_below(seed, 50)), last = -1, index = 0;
    t->period_ns = 1 + rec_below(seed, INT64_C(1) << (1 + rec_below(seed, 40)));
    for (uint32_t i = 0; i < t->n; i++) {
        bool edge = rec_below(seed, 20) == 0;
        index += edge ? 0 : rec_below(seed, 50) ? 1 : 1 + rec_below(seed, 9);
        int64_t before =
            wild ? last + rec_below(seed, t->period_ns + 9)
                 : at + index * t->period_ns + rec_below(seed, edge ? t->period_ns : 99);
        before = before < 0 ? 0 : before;
        int64_t after = before + rec_below(seed, wild ? t->period_ns : 70000);
        before = units ? before & ~INT64_C(1023) : before;
        after = units ? (after | 1023) + 1 : after;
        while (codec_middle(before, after) <= last)
            after += 1024;
        t->before[i] = before;
        t->after[i] = after;
        t->flags[i] = edge ? TICK_EDGE : (uint8_t)(rec_below(seed, 99) ? 0 : rec_below(seed, 256));
        last = codec_middle(before, after);
    }
}

/* The shapes that meters have. */
static int64_t next_value(uint64_t *seed, int shape, int64_t last, uint32_t i, int64_t *energy)
{
    *energy += 900000 + rec_below(seed, 200000);
    switch (shape) {
    case 0: /* RAPL, the kernel's conversion, a register that goes round */
        return *energy / 61 % 3000000 * 61035 / 1000 + *energy / 61 / 3000000 * 7;
    case 1: /* perf's */
        return *energy / 61 * 15625 / 256;
    case 2: /* milli-joules, refreshed at every third tick */
        return *energy / 3000000 * 3000000 / 1000 * 1000;
    case 3: /* 25 mW steps around a level */
        return 50000000 + rec_below(seed, 40) * 25000;
    case 4:
        return last;
    case 5:
        return i < 100 ? 5 : -3;
    default:
        return any_number(seed) * (rec_below(seed, 2) ? 1 : -1);
    }
}

static void make_column(struct truth *t, uint32_t c, uint64_t *seed)
{
    int shape = (int)rec_below(seed, 8);
    int64_t last = any_number(seed), energy = rec_below(seed, INT64_C(1) << 50);
    uint8_t state = 0;
    bool plain = rec_below(seed, 2) == 0; /* without a gap: such columns have marks */
    t->kinds[c] = (uint8_t)(shape < 3 ? CHANNEL_COUNTER : rec_below(seed, CHANNEL_CPU_TIME + 1));
    for (uint32_t i = 0; i < t->n; i++) {
        if (!plain && rec_below(seed, 30) == 0)
            state = (uint8_t)(rec_below(seed, 2) ? 0 : rec_below(seed, 256));
        last = t->value[c][i] = next_value(seed, shape, last, i, &energy);
        t->raw[c][i] = any_number(seed);
        t->state[c][i] = state;
    }
}

static void make_truth(struct truth *t, uint64_t *seed)
{
    memset(t, 0, sizeof(*t));
    t->channels = 1 + (uint32_t)rec_below(seed, CHANNELS_MAX);
    t->n = 1 + (uint32_t)rec_below(seed, rec_below(seed, 4)   ? 40
                                         : rec_below(seed, 6) ? 1000
                                                              : TICKS_MAX);
    make_times(t, seed);
    for (uint32_t c = 0; c < t->channels; c++)
        make_column(t, c, seed);
}

/* Long, with no gap but now and then a column that has one: what marks are made of. */
static void make_steady(struct truth *t, uint64_t *seed)
{
    memset(t, 0, sizeof(*t));
    t->channels = 1 + (uint32_t)rec_below(seed, CHANNELS_MAX);
    t->n = 600 + (uint32_t)rec_below(seed, TICKS_MAX - 600);
    t->period_ns = rec_below(seed, 2) ? NS_PER_S : 100 * NS_PER_MS;
    for (uint32_t i = 0, index = 0; i < t->n; i++) {
        index += rec_below(seed, 50) ? 1 : 2;
        t->before[i] = NS_PER_S + index * t->period_ns + rec_below(seed, 90000);
        t->after[i] = t->before[i] + 20000 + rec_below(seed, 9000);
    }
    for (uint32_t c = 0; c < t->channels; c++) {
        int shape = (int)rec_below(seed, 5);
        int64_t last = rec_below(seed, 1000000), energy = rec_below(seed, INT64_C(1) << 40);
        t->kinds[c] =
            (uint8_t)(shape < 3 ? CHANNEL_COUNTER : rec_below(seed, CHANNEL_CPU_TIME + 1));
        for (uint32_t i = 0; i < t->n; i++) {
            last = t->value[c][i] = next_value(seed, shape, last, i, &energy);
            t->state[c][i] = rec_below(seed, 20000) ? READING_OK : READING_IO;
        }
    }
}

static struct codec_block *block_of(const struct truth *t)
{
    struct codec_block *b = codec_block_new(t->kinds, t->channels, t->period_ns);
    struct tick *k = base_alloc(tick_bytes(t->channels));
    k->n = t->channels;
    for (uint32_t i = 0; i < t->n; i++) {
        k->before_ns = t->before[i];
        k->after_ns = t->after[i];
        k->flags = t->flags[i];
        for (uint32_t c = 0; c < t->channels; c++) {
            tick_values(k)[c] = t->value[c][i];
            tick_raws(k)[c] = t->raw[c][i];
            tick_states(k)[c] = t->state[c][i];
        }
        assert_true(codec_block_add(b, k));
    }
    free(k);
    return b;
}

static void check_column(const struct truth *t, uint32_t from, struct codec_view *v, uint32_t c)
{
    struct codec_cursor col;
    bool any = false;
    int64_t raw = 0;
    codec_cursor_open(&col, v, c);
    assert_int_equal(col.kind, t->kinds[c]);
    for (uint32_t i = from; i < t->n; i++) {
        uint8_t state;
        int64_t value = codec_cursor_next(&col, &state);
        bool valid = (t->state[c][i] & TICK_STATE_MASK) == READING_OK;
        assert_int_equal(state, t->state[c][i]);
        assert_int_equal(value, valid ? t->value[c][i] : 0);
        raw = valid ? t->raw[c][i] : raw;
        any |= valid;
    }
    assert_int_equal(col.has_raw, any);
    assert_int_equal(col.raw_last, raw);
}

static void check_view(const struct truth *t, uint32_t from, struct codec_view *v)
{
    assert_int_equal(v->n, t->n - from);
    assert_int_equal(v->channels, t->channels);
    for (uint32_t i = from; i < t->n; i++) {
        assert_int_equal(codec_before(v, i - from), t->before[i]);
        assert_int_equal(codec_after(v, i - from), t->after[i]);
        assert_int_equal(codec_flags(v, i - from), t->flags[i]);
    }
    for (uint32_t c = 0; c < t->channels; c++)
        check_column(t, from, v, c);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    struct truth *t = base_alloc(sizeof(*t));
    for (int round = 0; round < 400; round++) {
        struct codec_view v;
        struct err e = {0};
        size_t bytes;
        make_truth(t, &seed);
        uint32_t from = rec_below(&seed, 2) ? 0 : (uint32_t)rec_below(&seed, t->n);
        struct codec_block *b = block_of(t);
        uint8_t *blob = codec_encode(b, from, CODEC_SHARED, &bytes);
        if (codec_open(&v, blob, bytes, &e) != 0)
            fail_msg("%s", e.text);
        assert_int_equal(v.version, t->n - from > CODEC_SHORT ? 2 : 1);
        assert_int_equal(v.flags, CODEC_SHARED);
        check_view(t, from, &v);
        codec_close(&v);
        free(blob);
        codec_block_free(b);
    }
    free(t);
}

/* ---- marks -------------------------------------------------------------------------------------- */

/* Where the curve stands after tick `end`, sample by sample. */
static struct walk_state walk_to(const struct truth *t, struct codec_view *v, uint32_t c,
                                 uint32_t end)
{
    const struct walk_rule rule = {(enum channel_kind)t->kinds[c], walk_stall_ns(v->period_ns)};
    struct walk_state s = {.last_ns = WALK_NONE, .e_uj = 12345};
    for (uint32_t i = 0; i <= end; i++) {
        const struct walk_sample x = {.t_ns = codec_time(v, i), .value = t->value[c][i]};
        walk_pass(&rule, &s, &x);
    }
    return s;
}

/* From mark k the values are the same, and the curve stands where the samples before lead it. True: it has marks. */
static bool check_mark(const struct truth *t, struct codec_view *v, uint32_t c, uint32_t k)
{
    const struct walk_rule rule = {(enum channel_kind)t->kinds[c], walk_stall_ns(v->period_ns)};
    struct codec_cursor col;
    struct codec_mark mark;
    uint8_t state;
    codec_cursor_open(&col, v, c);
    if (!codec_cursor_skip(&col, k, &mark))
        return false;
    assert_int_equal(mark.tick, k * v->stretch);
    assert_int_equal(mark.value, t->value[c][mark.tick]);
    struct walk_state s = walk_to(t, v, c, 0), want = walk_to(t, v, c, mark.tick);
    assert_true(walk_skip(&rule, &s, &mark, codec_time(v, mark.tick)));
    assert_int_equal(s.e_uj, want.e_uj);
    assert_int_equal(s.rem, want.rem);
    assert_int_equal(s.knot_ns, want.knot_ns);
    assert_int_equal(s.last_ns, want.last_ns);
    assert_int_equal(s.last_value, want.last_value);
    assert_int_equal(want.unknown_ns + want.bridged_ns, 0);
    for (uint32_t i = mark.tick + 1; i < t->n; i++)
        assert_int_equal(codec_cursor_next(&col, &state), t->value[c][i]);
    return true;
}

/* As a file has it: nothing but the head and, in any order, the parts that were taken. */
static void check_parts(const struct truth *t, const uint8_t *blob, size_t bytes, uint64_t *seed)
{
    struct codec_view v;
    struct err e = {0};
    size_t head = codec_head_bytes(blob), part_bytes;
    uint8_t *data = base_alloc(bytes);
    memcpy(data, blob, head);
    assert_int_equal(codec_open_head(&v, data, bytes, &e), 0);
    for (uint32_t i = 0; i <= t->channels; i++) {
        uint32_t part = i == 0 ? CODEC_TIMELINE : 1 + (uint32_t)rec_below(seed, t->channels);
        assert_true(i > 0 || !codec_has(&v, part));
        size_t at = codec_part_at(&v, part, &part_bytes);
        memcpy(data + at, blob + at, part_bytes);
        assert_int_equal(codec_take(&v, part, &e), 0);
        if (part != CODEC_TIMELINE)
            check_column(t, 0, &v, part - 1);
    }
    codec_close(&v);
    free(data);
}

/* A time before which mark k is the last one. */
static void check_search(struct codec_view *v)
{
    for (uint32_t i = 0; i < v->n; i += 97)
        assert_int_equal(codec_mark_before(v, codec_time(v, i) + 1), i / v->stretch);
    for (uint32_t k = 1; k <= (v->n - 1) / v->stretch; k++)
        assert_int_equal(codec_mark_before(v, codec_time(v, k * v->stretch)), k - 1);
}

static void test_marks(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    struct truth *t = base_alloc(sizeof(*t));
    int marks = 0, without = 0, slow = 0;
    for (int round = 0; round < 40; round++) {
        struct codec_view v;
        struct err e = {0};
        size_t bytes;
        make_steady(t, &seed);
        struct codec_block *b = block_of(t);
        uint8_t *blob = codec_encode(b, 0, 0, &bytes);
        assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
        check_search(&v);
        slow += v.stretch < 2000 && v.n > v.stretch;
        for (uint32_t k = (v.n - 1) / v.stretch; k > 0; k--)
            for (uint32_t c = 0; c < v.channels; c++)
                if (check_mark(t, &v, c, k))
                    marks++;
                else
                    without++;
        assert_true(codec_is_sound(&v));
        codec_close(&v);
        check_parts(t, blob, bytes, &seed);
        free(blob);
        codec_block_free(b);
    }
    print_message("%d marks, %d times a column without; %d blobs of slow groups\n", marks, without,
                  slow);
    assert_true(marks > 0 && without > 0 && slow > 0);
    free(t);
}

/* The quantum is found through a register that goes round: a bit more than the steps' own noise. */
static void test_quantum(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    uint8_t kind = CHANNEL_COUNTER;
    int64_t ticks = 0, wraps = 0;
    struct tick *k = base_alloc(tick_bytes(1));
    struct codec_block *b = codec_block_new(&kind, 1, 1024000);
    k->n = 1;
    for (int i = 0; i < 1000; i++) {
        ticks += 800 + rec_below(&seed, 16);
        if (ticks > 600000) {
            ticks -= 600000;
            wraps++;
        }
        k->before_ns = (i + 1) * 1024000;
        k->after_ns = k->before_ns + 20480;
        tick_values(k)[0] = wraps * (INT64_C(600000) * 61035 / 1000) + ticks * 61035 / 1000;
        assert_true(codec_block_add(b, k));
    }
    size_t bytes;
    uint8_t *blob = codec_encode(b, 0, 0, &bytes);
    assert_true(wraps == 1);
    print_message("%zu bytes for 1000 samples of 4 bits of noise\n", bytes);
    assert_true(bytes < 1000 * 6 / 8); /* in uJ they would take 11 bits each */
    free(blob);
    codec_block_free(b);
    free(k);
}

static void check_every_bit(uint64_t *seed, uint32_t ticks)
{
    struct truth *t = base_alloc(sizeof(*t));
    struct codec_view v;
    struct err e = {0};
    size_t bytes;
    make_truth(t, seed);
    t->channels = t->channels < 3 ? t->channels : 3;
    t->n = t->n < ticks ? t->n : ticks;
    struct codec_block *b = block_of(t);
    uint8_t *blob = codec_encode(b, 0, 0, &bytes);
    size_t step = 1 + bytes / 200; /* of a long one not every bit */
    for (size_t i = 0; i < bytes * 8; i += step) {
        blob[i / 8] ^= (uint8_t)(1u << (i % 8));
        assert_int_equal(codec_open(&v, blob, bytes, &e), WATTQ_E_CORRUPT);
        blob[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t n = 0; n < bytes;
         n += step) { /* exact copies, so that a read past the end is seen */
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, blob, n);
        assert_int_equal(codec_open(&v, cut, n, &e), WATTQ_E_CORRUPT);
        free(cut);
    }
    assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
    codec_close(&v);
    free(blob);
    codec_block_free(b);
    free(t);
}

static void test_every_bit_matters(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    for (int round = 0; round < 20; round++)
        check_every_bit(&seed, round % 2 ? TICKS_MAX : 20);
}

static void read_from_any_mark(struct codec_view *v, uint32_t c, uint64_t *seed)
{
    struct codec_cursor col;
    struct codec_mark mark;
    uint8_t state;
    uint32_t k = codec_mark_before(v, rec_below(seed, CODEC_TIME_MAX));
    codec_cursor_open(&col, v, c);
    if (k == 0 || !codec_cursor_skip(&col, k, &mark))
        return;
    assert_true(mark.tick < v->n);
    while (col.at < v->n)
        (void)codec_cursor_next(&col, &state);
}

/* A right checksum over damaged bytes: refused or read, never out of bounds, and no more ticks than it says. */
static void test_forged(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    struct truth *t = base_alloc(sizeof(*t));
    int opened = 0, refused = 0;
    for (int round = 0; round < 3000; round++) {
        struct codec_view v;
        struct err e = {0};
        size_t bytes;
        if (round % 30 == 0)
            make_truth(t, &seed);
        struct codec_block *b = block_of(t);
        uint8_t *blob = codec_encode(b, 0, 0, &bytes);
        for (int64_t k = rec_below(&seed, 3); k >= 0; k--)
            blob[rec_below(&seed, (int64_t)bytes)] = (uint8_t)rec_random(&seed);
        forge_mend(blob, bytes);
        if (codec_open(&v, blob, bytes, &e) == 0) {
            opened++;
            for (uint32_t c = 0; c < v.channels; c++) {
                struct codec_cursor col;
                uint8_t s;
                codec_cursor_open(&col, &v, c);
                for (uint32_t i = 0; i < v.n; i++)
                    (void)codec_cursor_next(&col, &s);
                read_from_any_mark(&v, c, &seed);
            }
            codec_close(&v);
        } else {
            assert_int_equal(e.code, WATTQ_E_CORRUPT);
            refused++;
        }
        free(blob);
        codec_block_free(b);
    }
    print_message("%d forged blobs were read, %d refused\n", opened, refused);
    assert_true(opened > 0 && refused > 0);
    free(t);
}

/* ---- version 0 ---------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
    memcpy(p, data, n);
    return p + n;
}

/* As docs/storage.md describes it: nobody writes it any more. */
static uint8_t *encode_v0(const struct truth *t, size_t *bytes)
{
    uint32_t n = t->n, times = 17 * n, column = 10 + 9 * n;
    *bytes = 12 + 4 * (1 + (size_t)t->channels) + times + (size_t)t->channels * column + 4;
    uint8_t *blob = base_alloc(*bytes), *p = blob;
    const uint8_t head[8] = {0x50, 0, CODEC_SHARED, 0, (uint8_t)t->channels};
    p = put(put(p, head, 8), &n, 4);
    p = put(p, &times, 4);
    for (uint32_t c = 0; c < t->channels; c++)
        p = put(p, &column, 4);
    p = put(put(put(p, t->before, 8 * n), t->after, 8 * n), t->flags, n);
    for (uint32_t c = 0; c < t->channels; c++) {
        uint8_t *start = p;
        p += 10;
        for (uint32_t i = 0; i < n; i++) {
            bool valid = (t->state[c][i] & TICK_STATE_MASK) == READING_OK;
            int64_t value = valid ? t->value[c][i] : 0;
            p = put(p, &value, 8);
            if (valid) {
                start[1] = 1;
                memcpy(start + 2, &t->raw[c][i], 8);
            }
        }
        p = put(p, t->state[c], n);
        start[0] = t->kinds[c];
    }
    forge_mend(blob, *bytes);
    return blob;
}

static void test_version_0(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    struct truth *t = base_alloc(sizeof(*t));
    for (int round = 0; round < 50; round++) {
        struct codec_view v;
        struct err e = {0};
        size_t bytes;
        make_truth(t, &seed);
        uint8_t *blob = encode_v0(t, &bytes);
        assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
        assert_int_equal(v.version, 0);
        check_view(t, 0, &v);
        codec_close(&v);
        size_t at = 12 + 4 * (1 + (size_t)t->channels) + 17 * (size_t)t->n;
        blob[at] = 9; /* a kind that there is not */
        forge_mend(blob, bytes);
        assert_int_equal(codec_open(&v, blob, bytes, &e), WATTQ_E_CORRUPT);
        blob[at] = t->kinds[0];
        blob[1] = CODEC_VERSION + 1;
        forge_mend(blob, bytes);
        assert_int_equal(codec_open(&v, blob, bytes, &e), WATTQ_E_CORRUPT);
        free(blob);
    }
    free(t);
}

/* ---- numbers in blocks -------------------------------------------------------------------------- */

static void test_rice(void **state)
{
    (void)state;
    uint64_t seed = rec_seed(), v[RICE_BLOCK], w[RICE_BLOCK];
    for (int round = 0; round < 5000; round++) {
        struct bytes_out o = {0};
        struct bits_out bits = {.to = &o};
        unsigned n = 1 + (unsigned)rec_below(&seed, RICE_BLOCK);
        int64_t width = rec_below(&seed, 64), zeros = rec_below(&seed, 100);
        for (unsigned i = 0; i < n; i++) {
            v[i] = rec_below(&seed, 100) < zeros ? 0 : rec_random(&seed) >> width;
            if (rec_below(&seed, 64) == 0)
                v[i] = rec_random(&seed);
        }
        rice_put_block(&bits, v, n);
        uint64_t took = o.n * 8 + bits.n;
        assert_int_equal(took, rice_block_bits(v, n));
        bits_end(&bits);
        struct bits_in in = {.p = o.p, .end = o.p + o.n};
        rice_get_block(&in, w, n);
        assert_false(in.over);
        assert_memory_equal(v, w, n * sizeof(*v));
        free(o.p);
    }
}

static void test_crc32c(void **state)
{
    (void)state;
    /* source: RFC 3720 B.4 */
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    uint8_t zeros[32] = {0};
    assert_int_equal(crc32c(zeros, 32), 0x8a9136aa);
    uint64_t seed = rec_seed();
    uint8_t data[257];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)rec_random(&seed);
    for (size_t n = 0; n <= sizeof(data); n++)
        assert_int_equal(crc32c(data, n), crc32c_portable(data, n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rice),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_quantum),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_every_bit_matters),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_version_0),
        cmocka_unit_test(test_crc32c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
