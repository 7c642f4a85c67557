/* Curves in characters: where the dots are, what a hole is, what an estimate looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "client/braille.h"

static const struct braille_view unit = {0, 1, 0, 1};

static void test_a_diagonal(void **state)
{
    (void)state;
    struct braille b;
    char row[BRAILLE_LINE];
    braille_init(&b, 2, 1, true);
    braille_curve(&b, &unit, (double[]){0, 1}, (double[]){0, 1}, 2, false);
    /* dots (0,3) (1,2) of the first cell, (0,1) (1,0) of the second: U+2860, U+280A */
    assert_string_equal(braille_row(&b, 0, row), "\xe2\xa1\xa0\xe2\xa0\x8a");
    braille_fini(&b);
    braille_init(&b, 4, 2, false);
    braille_curve(&b, &unit, (double[]){0, 1}, (double[]){0, 1}, 2, false);
    assert_string_equal(braille_row(&b, 0, row), "  .'");
    assert_string_equal(braille_row(&b, 1, row), ".'");
    braille_fini(&b);
}

static void test_a_hole_is_no_zero(void **state)
{
    (void)state;
    struct braille b;
    char row[BRAILLE_LINE];
    const double x[] = {0, 0.25, 0.5, 0.75, 1};
    const double y[] = {1, 1, NAN, 1, 1};
    braille_init(&b, 9, 3, false);
    braille_curve(&b, &unit, x, y, 5, false);
    assert_string_equal(braille_row(&b, 0, row), "'''   '''");
    assert_string_equal(braille_row(&b, 2, row), "");
    braille_fini(&b);
    braille_init(&b, 3, 1, false); /* one known point between two holes is a dot */
    braille_curve(&b, &unit, (double[]){0, 0.5, 1}, (double[]){NAN, 1, NAN}, 3, false);
    assert_string_equal(braille_row(&b, 0, row), " '");
    braille_fini(&b);
}

static void test_an_estimate_is_dashed(void **state)
{
    (void)state;
    struct braille b;
    char row[BRAILLE_LINE];
    braille_init(&b, 14, 1, false);
    braille_curve(&b, &unit, (double[]){0, 1}, (double[]){1, 1}, 2, true);
    assert_string_equal(braille_row(&b, 0, row), "''''   ''''");
    braille_fini(&b);
}

static void test_outside_and_limits(void **state)
{
    (void)state;
    struct braille b;
    char row[BRAILLE_LINE];
    braille_init(&b, 100000, 0, true);
    assert_int_equal(b.columns, BRAILLE_COLUMNS_MAX);
    assert_int_equal(b.rows, 1);
    braille_curve(&b, &unit, (double[]){-1e300, 1e300}, (double[]){-1e300, 1e300}, 2, false);
    braille_curve(&b, &unit, (double[]){5, 6}, (double[]){5, 6}, 2, false);
    assert_true(strlen(braille_row(&b, 0, row)) < sizeof row);
    braille_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_diagonal),
        cmocka_unit_test(test_a_hole_is_no_zero),
        cmocka_unit_test(test_an_estimate_is_dashed),
        cmocka_unit_test(test_outside_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
