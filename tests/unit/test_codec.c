/* The blob of version 0: round trip, every damage found, nothing read out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/store/crc32c.h"
#include "tests/support/recorder.h"

static struct codec_block *make(uint64_t *seed, uint32_t channels, uint32_t n, struct tick *t)
{
    uint8_t kinds[16];
    for (uint32_t c = 0; c < channels; c++)
        kinds[c] = (uint8_t)rec_below(seed, CHANNEL_CPU_TIME + 1);
    struct codec_block *b = codec_block_new(kinds, channels);
    int64_t at = rec_below(seed, NS_PER_S);
    for (uint32_t i = 0; i < n; i++) {
        t->n = channels;
        t->before_ns = at += 2 + rec_below(seed, NS_PER_S);
        t->after_ns = at + rec_below(seed, 2);
        t->flags = (uint32_t)rec_below(seed, 4);
        for (uint32_t c = 0; c < channels; c++) {
            tick_values(t)[c] = (int64_t)rec_random(seed);
            tick_raws(t)[c] = (int64_t)rec_random(seed);
            tick_states(t)[c] = (uint8_t)(rec_below(seed, 3) ? 0 : rec_below(seed, 256));
        }
        assert_true(codec_block_add(b, t));
    }
    return b;
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    struct tick *t = calloc(1, tick_bytes(16));
    for (int round = 0; round < 300; round++) {
        uint32_t channels = 1 + (uint32_t)rec_below(&seed, 16),
                 n = 1 + (uint32_t)rec_below(&seed, 200);
        uint64_t again = seed;
        struct codec_block *b = make(&seed, channels, n, t);
        uint32_t from = (uint32_t)rec_below(&seed, n);
        size_t bytes;
        uint8_t *blob = codec_encode(b, from, CODEC_SHARED, &bytes);
        struct codec_view v;
        struct err e = {0};
        assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
        assert_int_equal(v.n, n - from);
        assert_int_equal(v.channels, channels);
        assert_int_equal(v.flags, CODEC_SHARED);
        /* The same numbers once more, tick by tick. */
        codec_block_free(b);
        b = make(&again, channels, n, t); /* t is the last tick now */
        uint32_t last = v.n - 1;
        assert_int_equal(codec_before(&v, last), t->before_ns);
        assert_int_equal(codec_after(&v, last), t->after_ns);
        assert_int_equal(codec_flags(&v, last), t->flags);
        for (uint32_t c = 0; c < channels; c++) {
            struct codec_column col = codec_column_at(&v, c);
            bool valid = (tick_states(t)[c] & TICK_STATE_MASK) == READING_OK;
            assert_int_equal(codec_state(&col, last), tick_states(t)[c]);
            assert_int_equal(codec_value(&col, last), valid ? tick_values(t)[c] : 0);
            if (valid)
                assert_int_equal(col.raw_last, tick_raws(t)[c]);
        }
        /* Encoded again from what is in memory: the same bytes. */
        size_t bytes2;
        uint8_t *blob2 = codec_encode(b, from, CODEC_SHARED, &bytes2);
        assert_int_equal(bytes, bytes2);
        assert_memory_equal(blob, blob2, bytes);
        free(blob);
        free(blob2);
        codec_block_free(b);
    }
    free(t);
}

static void test_every_bit_matters(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    struct tick *t = calloc(1, tick_bytes(16));
    struct codec_block *b = make(&seed, 3, 20, t);
    size_t bytes;
    uint8_t *blob = codec_encode(b, 0, 0, &bytes);
    struct codec_view v;
    struct err e = {0};
    for (size_t i = 0; i < bytes * 8; i++) {
        blob[i / 8] ^= (uint8_t)(1u << (i % 8));
        assert_int_equal(codec_open(&v, blob, bytes, &e), WATTQ_E_CORRUPT);
        blob[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t n = 0; n < bytes; n++) { /* exact copies, so that a read past the end is seen */
        uint8_t *cut = malloc(n ? n : 1);
        memcpy(cut, blob, n);
        assert_int_equal(codec_open(&v, cut, n, &e), WATTQ_E_CORRUPT);
        free(cut);
    }
    assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
    free(blob);
    codec_block_free(b);
    free(t);
}

/* A right checksum over wrong content: order of time, kinds, counts. */
static void test_content_is_checked(void **state)
{
    (void)state;
    uint64_t seed = 7;
    struct tick *t = calloc(1, tick_bytes(16));
    struct codec_block *b = make(&seed, 2, 4, t);
    size_t bytes;
    uint8_t *blob = codec_encode(b, 0, 0, &bytes);
    struct codec_view v;
    struct err e = {0};
    assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
    const struct {
        size_t at;
        uint8_t value;
    } damage[] = {
        {1, 1},                      /* another version */
        {v.columns, 9},              /* a kind that there is not */
        {v.times + 7, 0x7f},         /* a stamp in the year 290 000 */
        {v.times + 8 * 3 + 7, 0x80}, /* negative */
        {v.times + 8 * 2 + 5, 0},    /* earlier than the one before it */
    };
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        uint8_t *copy = malloc(bytes);
        memcpy(copy, blob, bytes);
        copy[damage[i].at] = damage[i].value;
        if (i == 4)
            memset(copy + v.times + 16, 0, 8);
        uint32_t crc = crc32c(copy, bytes - 4);
        memcpy(copy + bytes - 4, &crc, 4);
        assert_int_equal(codec_open(&v, copy, bytes, &e), WATTQ_E_CORRUPT);
        free(copy);
        assert_int_equal(codec_open(&v, blob, bytes, &e), 0);
    }
    free(blob);
    codec_block_free(b);
    free(t);
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
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_bit_matters),
        cmocka_unit_test(test_content_is_checked),
        cmocka_unit_test(test_crc32c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
