/* Any bytes as a blob of samples: refused, or read without a fault - by the accessors and by the curve.
 * The checksum is mended too, or a fuzzer would never get past it. */
#include <stdlib.h>
#include <string.h>

#include "daemon/store/codec.h"
#include "daemon/store/thin.h"
#include "daemon/store/walk.h"
#include "tests/support/forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t walk_column(struct codec_view *v, uint32_t slot)
{
    struct codec_cursor c;
    codec_cursor_open(&c, v, slot);
    struct walk_rule r = {c.kind, walk_stall_ns(c.raw_last >> 1 & INT64_MAX)};
    struct walk_state s = {.last_ns = WALK_NONE}, passed = s;
    int64_t sum = c.raw_last;
    for (uint32_t i = 0; i < v->n; i++) {
        struct walk_piece p[2];
        struct walk_sample x = {.t_ns = codec_time(v, i), .flags = codec_flags(v, i)};
        x.value = codec_cursor_next(&c, &x.state);
        int n = walk_step(&r, &s, &x, p);
        walk_pass(&r, &passed, &x);
        if (passed.last_ns != s.last_ns || passed.e_uj != s.e_uj || passed.rem != s.rem ||
            passed.knot_ns != s.knot_ns || passed.failed != s.failed ||
            passed.unknown_ns != s.unknown_ns)
            abort();
        for (int k = 0; k < n; k++) {
            struct curve_point at;
            int64_t lo, hi;
            walk_at(&p[k], p[k].t0_ns + (p[k].t1_ns - p[k].t0_ns) / 3, &at);
            sum ^= at.e_uj;
            /* A piece ends where the next begins: at t1 the curve is e1. */
            walk_at(&p[k], p[k].t1_ns, &at);
            if (at.e_uj != p[k].e1_uj && p[k].e1_uj < INT64_MAX && p[k].e1_uj > INT64_MIN + 1)
                abort();
            if (walk_power(&p[k], &lo, &hi))
                sum ^= lo ^ hi;
        }
    }
    return sum;
}

/* The same of what was kept of samples: pieces hang together, and their power is no nonsense. */
static int64_t walk_thinned(struct codec_view *v, uint32_t slot)
{
    struct thin_cursor c;
    thin_cursor_open(&c, v, slot);
    struct walk_rule r = {c.value.kind, walk_stall_ns(0)};
    struct walk_state s = {.last_ns = WALK_NONE};
    int64_t sum = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        struct walk_piece p[2];
        struct walk_kept k = thin_cursor_kept(&c);
        int n = walk_kept(&r, &s, &k, p);
        for (int j = 0; j < n; j++) {
            struct curve_point at;
            int64_t lo, hi;
            walk_at(&p[j], p[j].t0_ns + (p[j].t1_ns - p[j].t0_ns) / 3, &at);
            sum ^= at.e_uj;
            if (walk_power(&p[j], &lo, &hi) && lo > hi)
                abort();
        }
    }
    return sum;
}

/* From each mark on, and what the curve makes of it. */
static int64_t walk_marks(struct codec_view *v, uint32_t slot)
{
    struct codec_cursor c;
    struct codec_mark mark;
    uint8_t state;
    int64_t sum = 0;
    for (uint32_t k = codec_mark_before(v, CODEC_TIME_MAX); k > 0; k--) {
        codec_cursor_open(&c, v, slot);
        struct walk_rule r = {c.kind, walk_stall_ns(v->period_ns)};
        struct walk_state s = {.last_ns = codec_time(v, 0), .knot_ns = codec_time(v, 0)};
        s.last_value = codec_cursor_next(&c, &state);
        if (!codec_cursor_skip(&c, k, &mark))
            return 0;
        if (walk_skip(&r, &s, &mark, codec_time(v, mark.tick)) &&
            (s.knot_ns > s.last_ns || s.rem < 0 || s.e_uj >= WALK_VALUE_MAX))
            abort();
        for (int i = 0; i < 200 && c.at < v->n; i++)
            sum ^= codec_cursor_next(&c, &state);
    }
    return sum;
}

/* Taken part by part a blob is as good as whole. */
static void try_parts(const uint8_t *data, size_t size)
{
    struct codec_view v;
    struct err e = {0};
    if (codec_head_bytes(data) == 0)
        return;
    if (codec_open_head(&v, data, size, &e) != 0)
        abort();
    for (uint32_t part = 0; part <= v.channels; part++)
        if (codec_take(&v, part, &e) != 0)
            abort();
    codec_close(&v);
}

static void try_open(const uint8_t *data, size_t size)
{
    struct codec_view v;
    struct err e = {0};
    if (codec_open(&v, data, size, &e) != 0) {
        if (e.code != WATTQ_E_CORRUPT)
            abort();
        return;
    }
    volatile int64_t sink = 0;
    for (uint32_t slot = 0; slot < v.channels; slot++)
        sink ^= walk_column(&v, slot) ^ walk_marks(&v, slot);
    try_parts(data, size);
    for (uint32_t slot = 0; thin_is(&v) && slot < thin_channels(&v); slot++)
        sink ^= walk_thinned(&v, slot);
    (void)sink;
    codec_close(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_open(data, size);
    if (size < 4)
        return 0;
    uint8_t *mended = malloc(size);
    if (!mended)
        return 0;
    memcpy(mended, data, size);
    forge_mend(mended, size);
    try_open(mended, size);
    free(mended);
    return 0;
}
