/* Text of pages and charts: what comes from outside is escaped, what cannot be drawn is left out and never
 * becomes a number, and tags are closed in order whatever the data are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client/svg.h"

#define HOSTILE "a<script>\"'&\x01\xff\xed\xa0\x80\xef\xbf\xbf"

/* Every tag is closed in order, every attribute quoted; fails the test otherwise. */
static void check_markup(const char *s)
{
    char stack[64][24];
    size_t depth = 0;
    for (const char *p = strchr(s, '<'); p; p = strchr(p, '<')) {
        const char *end = strchr(p, '>');
        assert_non_null(end);
        bool closes = p[1] == '/';
        char name[24] = "";
        (void)sscanf(p + 1 + closes, "%23[a-z0-9]", name);
        size_t quotes = 0;
        for (const char *q = p; q < end; q++)
            quotes += *q == '"';
        assert_int_equal(quotes % 2, 0);
        if (p[1] == '?') {
            assert_ptr_equal(p, s);
        } else if (closes) {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (end[-1] != '/') {
            assert_true(depth < ARRAY_LEN(stack));
            assert_true(name[0]);
            memcpy(stack[depth++], name, sizeof name);
        }
        p = end;
    }
    assert_int_equal(depth, 0);
    assert_null(strstr(s, "nan"));
    assert_null(strstr(s, "inf"));
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;
    for (const char *p = strstr(s, what); p; p = strstr(p + 1, what))
        n++;
    return n;
}

static void outside_text_is_escaped(void **state)
{
    (void)state;
    struct html h CLEANUP(html_finip) = {0};
    html_element(&h, "p class=\"x\"", HOSTILE);
    assert_string_equal(h.s, "<p class=\"x\">a&lt;script&gt;&quot;&#39;&amp;"
                             "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                             "\xef\xbf\xbd</p>\n");
    html_fini(&h);
    html_text(&h, "gr\xc3\xbc\xc3\x9f 2^14 \xe2\x89\xa5 \xf0\x9f\x98\x80\n");
    assert_string_equal(h.s, "gr\xc3\xbc\xc3\x9f 2^14 \xe2\x89\xa5 \xf0\x9f\x98\x80\n");
}

static void a_table_has_headers_and_no_holes(void **state)
{
    (void)state;
    static const char *const heads[] = {"NAME", ">N"};
    struct html h CLEANUP(html_finip) = {0};
    struct html_table t;
    html_table_begin(&t, &h, "Runs <all>", heads, 2);
    html_cell(&t, HOSTILE);
    html_cellf(&t, "%d", 7);
    html_table_class(&t, "bad");
    html_cell(&t, NULL);
    html_cell(&t, "");
    html_table_end(&t);
    check_markup(h.s);
    assert_non_null(strstr(h.s, "<caption>Runs &lt;all&gt;</caption>"));
    assert_non_null(strstr(h.s, "<th scope=\"col\" class=\"n\">N</th>"));
    assert_non_null(strstr(h.s, "<td class=\"n\">7</td></tr>"));
    assert_non_null(strstr(h.s, "<tr class=\"bad\"><th scope=\"row\">-</th>"));
    assert_null(strstr(h.s, "<script"));
}

static void numbers_carry_their_unit(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *unit, *text;
    } rows[] = {
        {0.0123, "J", "12.3 mJ"},
        {0, "J", "0 J"},
        {3e-6, "s", "3 \xc2\xb5s"},
        {32768, "B", "32 KiB"},
        {1 << 20, "B", "1 MiB"},
        {16384, "2^", "2^14"},
        {0.1, "%", "10 %"},
        {1234, NULL, "1234"},
        {NAN, "J", "-"},
        {INFINITY, "B", "-"},
        {-0.5, "W", "-500 mW"},
        {999.9, "J", "1 kJ"},
        {1023 * 1024.0, "B", "1023 KiB"},
        {-1, "2^", "-1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char buf[32];
        assert_string_equal(svg_number(buf, sizeof buf, rows[i].v, rows[i].unit), rows[i].text);
    }
}

static struct svg_chart chart_of(const struct svg_series *s, size_t n)
{
    return (struct svg_chart){.title = "T" HOSTILE,
                              .desc = "D" HOSTILE,
                              .x = {.label = "size" HOSTILE, .scale = SVG_LOG2, .unit = "2^"},
                              .y = {.label = "J per datum", .scale = SVG_LOG10, .unit = "J"},
                              .series = s,
                              .nseries = n};
}

static void what_cannot_be_drawn_is_left_out(void **state)
{
    (void)state;
    const double x[] = {32, 64, 128, 256, NAN, -3};
    const double y[] = {1e-3, NAN, 2e-3, 0, 5e-3, 6e-3};
    const struct svg_series s = {
        .name = "a" HOSTILE, .kind = SVG_POINTS, .x = x, .y = y, .n = ARRAY_LEN(x)};
    struct svg_chart c = chart_of(&s, 1);
    struct html h CLEANUP(html_finip) = {0};
    svg_chart(&h, &c, "f1");
    check_markup(h.s);
    assert_int_equal(count(h.s, "<path d=\"M"), 3); /* two points, one in the legend */
    assert_null(strstr(h.s, "http"));
    assert_null(strstr(h.s, "<script"));
    assert_non_null(strstr(h.s, "aria-labelledby=\"f1-t f1-d\""));
    assert_non_null(strstr(h.s, ">2^6<"));
    assert_non_null(strstr(h.s, ">2 mJ<"));
}

static void nothing_to_draw_is_said(void **state)
{
    (void)state;
    const double x[] = {1, 2};
    const double y[] = {NAN, -1};
    const struct svg_series s = {.kind = SVG_LINE, .x = x, .y = y, .n = 2};
    struct svg_chart c = chart_of(&s, 1);
    struct html h CLEANUP(html_finip) = {0};
    svg_chart(&h, &c, "f1");
    check_markup(h.s);
    assert_non_null(strstr(h.s, ">nothing to draw<"));
    c.nseries = 0;
    svg_chart(&h, &c, "f2");
    assert_int_equal(count(h.s, ">nothing to draw<"), 2);
}

static void an_estimate_looks_like_one(void **state)
{
    (void)state;
    const double x[] = {32, 64, 128};
    const double y[] = {1e-3, 2e-3, 3e-3};
    struct svg_series s[] = {{.name = "CPU", .kind = SVG_POINTS, .x = x, .y = y, .n = 3},
                             {.name = "fit", .kind = SVG_LINE, .x = x, .y = y, .n = 3}};
    struct svg_chart c = chart_of(s, 2);
    struct html h CLEANUP(html_finip) = {0};
    svg_chart(&h, &c, "f1");
    assert_null(strstr(h.s, "estimated"));
    assert_null(strstr(h.s, " est\""));
    s[0].estimated = s[1].estimated = true;
    html_fini(&h);
    svg_chart(&h, &c, "f1");
    assert_int_equal(count(h.s, "(estimated)"), 2);
    assert_non_null(strstr(h.s, "<g class=\"p c0 est\">"));
    assert_non_null(strstr(h.s, "<g class=\"l c0 est\">"));
}

static void markers_stand_only_inside(void **state)
{
    (void)state;
    const double x[] = {1024, 1 << 20};
    const double y[] = {1e-3, 1e-1};
    const struct svg_series s = {.kind = SVG_LINE, .x = x, .y = y, .n = 2};
    const struct svg_marker m[] = {{.at = 32768, .label = "L1 <32 KiB>"},
                                   {.at = 4e12, .label = "RAM"},
                                   {.at = 0, .label = "never"},
                                   {.at = 1e-2, .label = "limit", .horizontal = true}};
    struct svg_chart c = chart_of(&s, 1);
    c.markers = m;
    c.nmarkers = ARRAY_LEN(m);
    struct html h CLEANUP(html_finip) = {0};
    svg_chart(&h, &c, "f1");
    check_markup(h.s);
    assert_int_equal(count(h.s, "class=\"mark\""), 2);
    assert_non_null(strstr(h.s, ">L1 &lt;32 KiB&gt;<"));
    assert_null(strstr(h.s, "never"));
}

static void a_file_of_its_own_names_its_space(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3};
    const double y[] = {4, 0, -2};
    const struct svg_series s = {
        .name = "runs", .kind = SVG_BARS, .x = x, .y = y, .n = 3, .width = 1};
    struct svg_chart c = {.title = "bars",
                          .x = {.label = "bin"},
                          .y = {.label = "runs"},
                          .series = &s,
                          .nseries = 1,
                          .standalone = true};
    struct html h CLEANUP(html_finip) = {0};
    svg_chart(&h, &c, "f1");
    assert_int_equal(strncmp(h.s, "<?xml version=\"1.0\"", 19), 0);
    assert_non_null(strstr(h.s, "xmlns=\"http://www.w3.org/2000/svg\""));
    assert_non_null(strstr(h.s, "<style>"));
    assert_int_equal(count(h.s, "z\"/>"), 3); /* a bar of nothing is none; and the sample */
}

/* Whatever numbers: closed tags, no nan, no inf, ticks bounded. */
static void any_data_gives_a_chart(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    static const double odd[] = {0,     -0.0,   1,      -1,    NAN,  INFINITY, -INFINITY,
                                 1e300, 1e-300, 4e-320, 1e-12, 1e12, 3.5,      1e15};
    for (int i = 0; i < 2000; i++) {
        double v[4][6];
        size_t n = (size_t)rand() % 7;
        for (size_t k = 0; k < 24; k++)
            v[k / 6][k % 6] = rand() % 3 ? odd[(size_t)rand() % ARRAY_LEN(odd)] : rand() * 1e-3;
        const struct svg_series s = {.name = rand() % 2 ? "s" : NULL,
                                     .kind = (enum svg_kind)(rand() % 5),
                                     .x = v[0],
                                     .y = v[1],
                                     .lo = v[2],
                                     .hi = v[3],
                                     .n = n,
                                     .width = 1.5,
                                     .estimated = rand() % 2};
        const struct svg_marker m = {v[0][0], "m", rand() % 2};
        static const char *const units[] = {NULL, "J", "B", "2^", "%"};
        struct svg_chart c = {.title = "t",
                              .x = {"x", (enum svg_scale)(rand() % 3), units[rand() % 5], 0, 0, 0},
                              .y = {"y", (enum svg_scale)(rand() % 3), units[rand() % 5], 0, 0, 1},
                              .series = &s,
                              .nseries = 1,
                              .markers = &m,
                              .nmarkers = 1};
        struct html h CLEANUP(html_finip) = {0};
        svg_chart(&h, &c, "x");
        check_markup(h.s);
        assert_true(count(h.s, "class=\"grid\"") <= 48);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_text_is_escaped),
        cmocka_unit_test(a_table_has_headers_and_no_holes),
        cmocka_unit_test(numbers_carry_their_unit),
        cmocka_unit_test(what_cannot_be_drawn_is_left_out),
        cmocka_unit_test(nothing_to_draw_is_said),
        cmocka_unit_test(an_estimate_looks_like_one),
        cmocka_unit_test(markers_stand_only_inside),
        cmocka_unit_test(a_file_of_its_own_names_its_space),
        cmocka_unit_test(any_data_gives_a_chart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
