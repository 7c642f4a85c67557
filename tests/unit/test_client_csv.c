/* CSV: what is written reads back the same, and what is wrong is named with line and column. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/csv.h"

static uint32_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static size_t draw_text(char *s, size_t most)
{
    static const char alphabet[] = "a,\"\n\r z9";
    size_t n = draw((uint32_t)most);
    for (size_t i = 0; i < n; i++)
        s[i] = alphabet[draw(sizeof alphabet - 1)];
    s[n] = '\0';
    return n;
}

/* Random records of texts and unknowns, among them quotes, line ends and blanks. */
static void records_come_back(void **unused)
{
    (void)unused;
    state = 1;
    for (int round = 0; round < 2000; round++) {
        char sent[8][16];
        bool known[8];
        size_t n = 2 + draw(6);
        char *text = NULL;
        size_t bytes = 0;
        struct csv_out out = {.f = open_memstream(&text, &bytes)};
        for (size_t i = 0; i < n; i++) {
            size_t len = draw_text(sent[i], sizeof sent[i]);
            known[i] = draw(4) != 0;
            csv_text(&out, known[i] ? sent[i] : NULL, len);
        }
        csv_end(&out);
        (void)fclose(out.f);
        FILE *f = fmemopen(text, bytes, "r");
        struct csv_in in;
        struct err e = {0};
        csv_open(&in, f, "t");
        assert_int_equal(csv_next(&in, &e), 1);
        assert_int_equal(in.n, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(in.field[i].quoted || in.field[i].bytes > 0, known[i]);
            assert_string_equal(in.field[i].s, known[i] ? sent[i] : "");
        }
        assert_int_equal(csv_next(&in, &e), 0);
        csv_close(&in);
        (void)fclose(f);
        free(text);
    }
}

static void numbers_come_back(void **unused)
{
    static const double v[] = {0.1, 1e-300, DBL_MAX, -2.5, 1.0 / 3, 16.641357, NAN, INFINITY};
    char *text = NULL;
    size_t bytes = 0;
    (void)unused;
    struct csv_out out = {.f = open_memstream(&text, &bytes)};
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        csv_real(&out, v[i]);
    csv_int(&out, INT64_MIN);
    csv_end(&out);
    (void)fclose(out.f);
    assert_non_null(strstr(text, ",16.641357,,,-9223372036854775808\n"));
    char *p = text;
    for (size_t i = 0; i < 6; i++) {
        assert_true(strtod(p, &p) == v[i]);
        p++;
    }
    free(text);
}

static void expect_bad(const char *text, const char *where)
{
    FILE *f = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
    struct csv_in in;
    struct err e = {0};
    int rc;
    csv_open(&in, f, "f.csv");
    while ((rc = csv_next(&in, &e)) == 1)
        ;
    assert_int_equal(rc, WATTQ_E_INVALID);
    if (strncmp(e.text, where, strlen(where)) != 0)
        fail_msg("%s does not begin with %s", e.text, where);
    csv_close(&in);
    (void)fclose(f);
}

static void faults_are_named(void **unused)
{
    (void)unused;
    expect_bad("a,b\n1,\"2\n3", "f.csv:2:3: the quote that begins here is never closed");
    expect_bad("a,b\nx\"y,2\n", "f.csv:2:1: a quote inside");
    expect_bad("a\n\"x\ny\"z\n", "f.csv:2:1: something stands behind");
    expect_bad("a,\xff\n", "f.csv:1:3: this field is no UTF-8");
    expect_bad("a\rb\n", "f.csv:1:1: a carriage return stands alone");
}

static void line_ends_and_marks(void **unused)
{
    static const char text[] = "\xEF\xBB\xBF"
                               "a,b\r\n\r\n1,\"\"\r\n\"x\r\ny\",\n";
    (void)unused;
    FILE *f = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
    struct csv_in in;
    struct err e = {0};
    csv_open(&in, f, "t");
    assert_int_equal(csv_next(&in, &e), 1);
    assert_string_equal(in.field[0].s, "a");
    assert_int_equal(csv_next(&in, &e), 1);
    assert_int_equal(in.line, 3);
    assert_true(in.field[1].quoted && in.field[1].bytes == 0);
    assert_int_equal(csv_next(&in, &e), 1);
    assert_string_equal(in.field[0].s, "x\r\ny");
    assert_true(!in.field[1].quoted && in.field[1].bytes == 0);
    assert_int_equal(csv_next(&in, &e), 0);
    csv_close(&in);
    (void)fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(line_ends_and_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
