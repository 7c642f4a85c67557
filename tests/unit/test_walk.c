/* The quick ways of the curve's arithmetic against the slow one and against 128 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "common/units.h"
#include "daemon/store/walk.h"
#include "tests/support/recorder.h"

__extension__ typedef __int128 wide;

#define HALVES INT64_C(2000000000) /* uW ns / 2 in 1 uJ */

/* Any size up to 2^bits, small ones as often as large ones. */
static int64_t any(uint64_t *seed, unsigned bits)
{
    return (int64_t)(rec_random(seed) >> (64 - 1 - rec_below(seed, bits)) >> 1);
}

static enum channel_kind any_kind(uint64_t *seed)
{
    static const enum channel_kind kinds[] = {CHANNEL_COUNTER, CHANNEL_GAUGE, CHANNEL_AVERAGE,
                                              CHANNEL_CPU_TIME, CHANNEL_COMPANION};
    return kinds[rec_below(seed, (int64_t)ARRAY_LEN(kinds))];
}

static struct walk_state any_state(uint64_t *seed, bool gauge)
{
    struct walk_state s = {.last_ns = any(seed, 60), .last_value = any(seed, gauge ? 40 : 60)};
    s.knot_ns = s.last_ns - any(seed, 20);
    s.e_uj = any(seed, 63);
    s.rem = gauge ? rec_below(seed, HALVES) : 0;
    s.failed = rec_below(seed, 20) == 0;
    return s;
}

static void expect(const struct walk_state *before, const struct walk_state *after,
                   enum channel_kind kind, const struct walk_sample *x)
{
    bool gauge = channel_kind_integrates(kind);
    wide dt = x->t_ns - before->last_ns, e = (wide)before->e_uj + x->value - before->last_value;
    wide twice = kind == CHANNEL_AVERAGE ? (wide)2 * x->value : (wide)before->last_value + x->value;
    wide a = before->rem + twice * dt;
    if (gauge)
        e = before->e_uj + a / HALVES;
    assert_true(after->e_uj == e);
    assert_true(after->rem == (gauge ? a % HALVES : before->rem));
    bool moved = gauge || x->value != before->last_value;
    assert_int_equal(after->knot_ns, moved ? x->t_ns : before->knot_ns);
}

static void test_regular_steps(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    uint32_t quick = 0;
    for (int i = 0; i < 300000; i++) {
        const struct walk_rule r = {any_kind(&seed), NS_PER_S << rec_below(&seed, 11)};
        struct walk_state s = any_state(&seed, channel_kind_integrates(r.kind)), before = s,
                          slow = s;
        struct walk_sample x = {s.last_ns + any(&seed, 36), any(&seed, 44), READING_OK, 0};
        if (channel_kind_counts(r.kind))
            x.value += s.last_value - (rec_below(&seed, 30) == 0 ? 1 << 30 : 0);
        if (rec_below(&seed, 20) == 0)
            x.state = (uint8_t)rec_below(&seed, 256);
        struct walk_piece piece[2];
        if (!walk_regular(&r, &s, &x)) {
            assert_memory_equal(&s, &before, sizeof(s));
            continue;
        }
        quick++;
        expect(&before, &s, r.kind, &x);
        int n = walk_step(&r, &slow, &x, piece);
        assert_memory_equal(&s, &slow, sizeof(s));
        assert_int_equal(n, s.knot_ns != before.knot_ns);
        assert_true(n == 0 || (piece[0].cause == WALK_REGULAR && piece[0].t1_ns == x.t_ns));
    }
    printf("%u of 300000 steps were regular ones\n", quick);
    assert_true(quick > 50000);
}

static void test_power_that_lies_between(void **state)
{
    (void)state;
    uint64_t seed = rec_seed();
    uint32_t inside = 0;
    for (int i = 0; i < 300000; i++) {
        int64_t rise = any(&seed, 62), ns = 1 + any(&seed, 50);
        int64_t lo = units_muldiv_floor(rise, NS_PER_S, ns),
                hi = units_muldiv_ceil(rise, NS_PER_S, ns);
        int64_t least = lo - any(&seed, 4), most = hi + any(&seed, 4);
        if (lo == INT64_MAX || hi == INT64_MAX || least > lo || most < hi)
            continue;
        if (walk_within(rise, ns, (double)least, (double)most)) {
            inside++;
            assert_true(least < lo && hi < most);
        }
        assert_false(walk_within(rise, ns, (double)hi, INFINITY));
        assert_false(walk_within(rise, ns, -INFINITY, (double)lo));
    }
    printf("%u surely lay between\n", inside);
    assert_true(inside > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regular_steps),
        cmocka_unit_test(test_power_that_lies_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
