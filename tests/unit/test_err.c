/* err: whatever was put into it, one line of clean text comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/err.h"

static void test_one_line_of_clean_text(void **state)
{
    (void)state;
    static const struct {
        const char *said, *text;
    } rows[] = {
        {"\n", "no [?]"},
        {"a\tb\x7f\x1b[2J", "no [a?b??[2J]"},
        {"\xc2\x9b"
         "31m",
         "no [??31m]"}, /* CSI of one character */
        {"\xc3\xa4\xf0\x9f\x98\x80", "no [\xc3\xa4\xf0\x9f\x98\x80]"},
        {"\xff\xc3", "no [??]"},
        {"\xc0\xaf\xed\xa0\x80", "no [?????]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {0};
        assert_int_equal(err_set(&e, WATTQ_E_USAGE, "no [%s]", rows[i].said), WATTQ_E_USAGE);
        assert_string_equal(e.text, rows[i].text);
        err_next(&e, "no [%s]", rows[i].said);
        assert_string_equal(e.next, rows[i].text);
        errno = ENOENT;
        err_errno(&e, WATTQ_E_IO, "%s", rows[i].said);
        assert_null(strpbrk(e.text, "\n\t\x1b"));
        assert_non_null(strstr(e.text, ": No such file"));
    }
}

/* A letter of several bytes that a precision or the buffer's end cuts. */
static void test_cut_letters(void **state)
{
    (void)state;
    struct err e = {0};
    (void)err_set(&e, WATTQ_E_USAGE, "'%.2s'", "a\xc3\xa4");
    assert_string_equal(e.text, "'a?'");
    char many[2 * sizeof(e.text)];
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = i % 2 ? '\xa4' : '\xc3';
    (void)err_set(&e, WATTQ_E_USAGE, "%.*s", (int)sizeof(many), many);
    assert_string_equal(e.text + sizeof(e.text) - 4, "\xc3\xa4?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_line_of_clean_text),
                                       cmocka_unit_test(test_cut_letters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
