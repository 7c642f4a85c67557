/* amdgpu's binary table: each version that is known, and everything that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/meter/gpu_metrics.h"
#include "daemon/meter/throttle.h"
#include "tests/support/gpu_table.h"

#define JOULE 65536 /* in units of the counter */

static struct gpu_metrics parsed(const struct gpu_table *t, enum reading_state expect)
{
    struct gpu_metrics m;
    assert_int_equal(gpu_metrics_parse(t->bytes, t->n, &m), expect);
    return m;
}

static void cards_have_a_counter(void **ctx)
{
    (void)ctx;
    static const size_t sizes[] = {0, 96, 104, 120};
    for (int content = 1; content <= 3; content++) {
        struct gpu_table t;
        table_card(&t, content, 203, UINT64_C(1000) * JOULE + 1, 1u << 1);
        assert_int_equal(t.n, sizes[content]);
        struct gpu_metrics m = parsed(&t, READING_OK);
        assert_int_equal(m.energy_uj, INT64_C(1000000015));
        assert_int_equal(m.power_uw, 203000000);
        assert_int_equal(m.throttle_known, content == 3);
        assert_int_equal(m.throttle, content == 3 ? THROTTLE_POWER_CAP : 0);
        assert_int_equal(m.wrap_uj, INT64_C(65536000000));
        assert_false(m.apu);
    }
}

/* A register that has been beyond 32 bits is wider than that. */
static void range_is_that_of_the_register(void **ctx)
{
    (void)ctx;
    struct gpu_table t;
    table_card(&t, 3, 100, UINT32_MAX, 0);
    assert_int_equal(parsed(&t, READING_OK).energy_uj, INT64_C(65535999984));
    assert_int_equal(parsed(&t, READING_OK).wrap_uj, INT64_C(65536000000));
    table_card(&t, 3, 100, UINT64_C(1) << 32, 0);
    assert_int_equal(parsed(&t, READING_OK).wrap_uj, 0);
    table_begin(&t, 1, 0);
    table_put(&t, 8, 1);
    table_skip(&t, 2, 9);
    table_put(&t, 2, 55);
    table_put(&t, 4, 2 * JOULE);
    table_skip(&t, 2, 14);
    table_put(&t, 4, 1);
    table_skip(&t, 2, 1);
    table_skip(&t, 1, 2);
    table_end(&t);
    struct gpu_metrics m = parsed(&t, READING_OK);
    assert_int_equal(m.energy_uj, 2000000);
    assert_int_equal(m.power_uw, 55000000);
    assert_int_equal(m.wrap_uj, INT64_C(65536000000));
}

static void mi300(struct gpu_table *t, int content)
{
    table_begin(t, 1, content);
    table_skip(t, 2, 3);
    table_put(t, 2, 410);
    table_skip(t, 2, 2 + 4 + (content >= 5 ? 32 : 0));
    table_put(t, 8, UINT64_C(5000000) * JOULE);
    table_put(t, 8, 1);
    if (content >= 6)
        table_skip(t, 4, 6);
    table_put(t, 4, 1u << 1 | 1u << 4);
    table_skip(t, 4, 1);
    table_skip(t, 2, 4);
    table_skip(t, 4, 2);
    table_skip(t, 8, 5);
    if (content >= 5)
        table_skip(t, 4, 2);
    table_skip(t, 8, 8 + 8 + 1);
    table_skip(t, 2, 8 + 4 * 3 + 1 + 1);
    table_end(t);
}

static void later_cards_state_their_unit(void **ctx)
{
    (void)ctx;
    static const size_t sizes[] = {[4] = 288, [5] = 360, [6] = 384};
    for (int content = 4; content <= 6; content++) {
        struct gpu_table t;
        mi300(&t, content);
        assert_int_equal(t.n, sizes[content]);
        struct gpu_metrics m = parsed(&t, READING_OK);
        assert_int_equal(m.energy_uj, INT64_C(5000000000000));
        assert_int_equal(m.wrap_uj, 0);
        assert_int_equal(m.power_uw, 410000000);
        assert_true(m.throttle_known);
        assert_int_equal(m.throttle, THROTTLE_POWER_CAP | THROTTLE_HW_HEAT);
    }
}

static void apus_have_none(void **ctx)
{
    (void)ctx;
    static const size_t sizes[] = {0, 120, 128, 152, 168};
    struct gpu_table t;
    for (int content = 1; content <= 4; content++) {
        table_apu(&t, content, 15300, UINT64_C(1) << 36 | 1u << 21);
        assert_int_equal(t.n, sizes[content]);
        struct gpu_metrics m = parsed(&t, READING_OK);
        assert_true(m.apu);
        assert_int_equal(m.energy_uj, -1);
        /* a unit is stated for the last of them only */
        assert_int_equal(m.power_uw, content == 4 ? 15300000 : -1);
        assert_int_equal(m.throttle_known, content >= 2);
        assert_int_equal(m.throttle, content >= 2 ? THROTTLE_HW_HEAT | THROTTLE_HW_SLOWDOWN : 0);
    }
    table_begin(&t, 3, 0);
    table_skip(&t, 2, 2 + 16 + 1 + 2 + 8 + 16 + 4);
    table_put(&t, 8, 1);
    table_put(&t, 4, 28250);
    table_skip(&t, 2, 1);
    table_skip(&t, 4, 4);
    table_skip(&t, 2, 16 + 3 + 8 + 16 + 2);
    table_skip(&t, 4, 7 + 1);
    table_end(&t);
    assert_int_equal(t.n, 264);
    assert_int_equal(parsed(&t, READING_OK).power_uw, 28250000);
}

/* All ones, and the second die of a card whose first counts for both. */
static void what_is_not_told_is_no_number(void **ctx)
{
    (void)ctx;
    struct gpu_table t;
    table_card(&t, 3, 0xffff, UINT64_MAX, UINT64_MAX);
    struct gpu_metrics m = parsed(&t, READING_OK);
    assert_int_equal(m.energy_uj, -1);
    assert_int_equal(m.power_uw, -1);
    assert_false(m.throttle_known);
    table_card(&t, 3, 0, 0, 0);
    m = parsed(&t, READING_OK);
    assert_int_equal(m.energy_uj, -1);
    assert_int_equal(m.power_uw, -1);
    assert_true(m.throttle_known);
}

static void other_tables_are_refused(void **ctx)
{
    (void)ctx;
    struct gpu_metrics m;
    struct gpu_table t;
    table_card(&t, 3, 100, JOULE, 0);
    for (size_t n = 0; n < t.n; n++)
        assert_int_equal(gpu_metrics_parse(t.bytes, n, &m), READING_GARBLED);
    assert_int_equal(m.energy_uj, -1);
    t.bytes[3] = 9; /* v1_9 */
    (void)parsed(&t, READING_UNSUPPORTED);
    t.bytes[3] = 3;
    t.bytes[0] = 112; /* a layout of that name, but not that size */
    assert_int_equal(parsed(&t, READING_UNSUPPORTED).energy_uj, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_have_a_counter),
        cmocka_unit_test(range_is_that_of_the_register),
        cmocka_unit_test(later_cards_state_their_unit),
        cmocka_unit_test(apus_have_none),
        cmocka_unit_test(what_is_not_told_is_no_number),
        cmocka_unit_test(other_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
