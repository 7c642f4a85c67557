/* What people read and what programs read, from the same answers; golden texts, and two properties: a bound
 * is never shown inside of itself, and nothing unknown is shown as a number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "client/chart.h"
#include "client/json.h"
#include "client/table.h"
#include "client_golden.h"

struct fig {
    int64_t uj, lo, hi; /* PRINT_NONE = unknown */
    const char *quality, *method, *basis, *flags, *reason;
};

static void put_fig(struct wire_out *o, const char *key, const struct fig *f)
{
    if (key)
        wire_begin_map(o, key);
    wire_put_nil(o, "channel");
    wire_put_str(o, "quality", f->quality);
    wire_put_str(o, "method", f->method);
    wire_put_str(o, "bound_basis", f->basis);
    wire_put_str(o, "flags", f->flags ? f->flags : "");
    const char *const names[] = {"energy_uj", "lo_uj", "hi_uj"};
    const int64_t values[] = {f->uj, f->lo, f->hi};
    for (size_t i = 0; i < 3; i++) {
        if (values[i] == PRINT_NONE)
            wire_put_nil(o, names[i]);
        else
            wire_put_int(o, names[i], values[i]);
    }
    if (f->reason)
        wire_put_str(o, "reason", f->reason);
    if (key)
        wire_end(o);
}

struct part {
    const char *label, *scope;
    int64_t uj;
};

struct run {
    int64_t id;
    const char *state;
    int64_t elapsed_ns;
    int64_t code, sig;
    const char *reason;
    const struct fig *energy;
    struct part parts[4];
    size_t nparts;
    int alone; /* -1 = not said */
};

static struct wire_msg *run_msg(const struct run *r)
{
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_put_int(&o, "run", r->id);
    wire_put_str(&o, "state", r->state);
    if (r->elapsed_ns != PRINT_NONE)
        wire_put_int(&o, "elapsed_ns", r->elapsed_ns);
    else
        wire_put_nil(&o, "elapsed_ns");
    if (r->code >= 0)
        wire_put_int(&o, "exit_code", r->code);
    if (r->sig > 0)
        wire_put_int(&o, "term_signal", r->sig);
    wire_put_str(&o, "reason", r->reason);
    if (r->energy)
        put_fig(&o, "energy", r->energy);
    else
        wire_put_nil(&o, "energy");
    wire_begin_array(&o, "energy_parts");
    for (size_t i = 0; i < r->nparts; i++) {
        wire_begin_map(&o, NULL);
        wire_put_str(&o, "label", r->parts[i].label);
        wire_put_str(&o, "scope", r->parts[i].scope);
        if (r->parts[i].uj == PRINT_NONE)
            wire_put_nil(&o, "energy_uj");
        else
            wire_put_int(&o, "energy_uj", r->parts[i].uj);
        wire_end(&o);
    }
    wire_end(&o);
    if (r->alone >= 0)
        wire_put_bool(&o, "alone", r->alone == 1);
    return wired(&o);
}

#define KJ INT64_C(1000000000)
#define J  INT64_C(1000000)

static const struct fig measured = {31200 * J, 30900 * J,  31500 * J, "modelled",
                                    "counter", "monotone", "",        NULL};
static const struct fig estimated = {31200 * J,  PRINT_NONE,          PRINT_NONE, "estimated",
                                     "estimate", "none: an estimate", "estimate", NULL};
static const struct fig integral = {5 * J,      PRINT_NONE,          PRINT_NONE, "measured",
                                    "integral", "none: an integral", "",         NULL};
static const struct fig unknown = {PRINT_NONE, PRINT_NONE, PRINT_NONE, "modelled",
                                   "counter",  "none",     "unknown",  "the meter did not answer"};
static const struct fig below = {0,         0,          61 * 1000,          "modelled",
                                 "counter", "monotone", "below_resolution", NULL};
static const struct fig tight = {31243712 * INT64_C(1000),
                                 31240155 * INT64_C(1000),
                                 31246631 * INT64_C(1000),
                                 "modelled",
                                 "counter",
                                 "soft: learned period",
                                 "bridged",
                                 NULL};

static const struct run runs[] = {
    {17,
     "done",
     252 * NS_PER_S,
     0,
     0,
     "exit 0",
     &measured,
     {{"package-0", "package", 7200 * J}, {"gpu0", "gpu", 24000 * J}},
     2,
     1},
    {18, "done", 252 * NS_PER_S, 0, 0, NULL, &estimated, {{"cpu", "cpu", 31200 * J}}, 1, 0},
    {19, "failed", 1500 * NS_PER_MS, 3, 0, "exit 3", &integral, {{0}}, 0, 1},
    {20, "failed", 1500 * NS_PER_MS, -1, 9, "killed", &unknown, {{0}}, 0, 1},
    {21, "done", 50 * NS_PER_MS, 0, 0, NULL, &below, {{0}}, 0, 1},
    {22,
     "timeout",
     3600 * NS_PER_S,
     -1,
     15,
     "time limit of 1h reached",
     &tight,
     {{"package-0", "package", PRINT_NONE},
      {"dram-0", "dram", 1 * KJ},
      {"package-1", "package", 2 * KJ}},
     3,
     -1},
    {23, "cancelled", PRINT_NONE, -1, 0, "cancelled by ann", NULL, {{0}}, 0, -1},
    {24, "lost", 60 * NS_PER_S, -1, 0, "the supervisor was killed", NULL, {{0}}, 0, 1},
};

static void cost_lines(void **state)
{
    (void)state;
    struct capture c;
    capture_start(&c);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        struct wire_msg *m = run_msg(&runs[i]);
        char *line = print_cost_line(wire_msg_root(m));
        fprintf(c.f, "%s\n", line);
        free(line);
        wire_msg_free(m);
    }
    golden_check("cost_lines.txt", capture_end(&c));
    free(c.text);
}

static void the_promised_cost_line(void **state)
{
    (void)state;
    struct wire_msg *m = run_msg(&runs[0]);
    char *line = print_cost_line(wire_msg_root(m));
    assert_string_equal(
        line, "done 17  4m12s  31.2 kJ (30.9..31.5 counter)  GPU 24.0 CPU 7.2  0.0087 kWh  "
              "alone");
    free(line);
    wire_msg_free(m);
}

static void an_estimate_cannot_pass(void **state)
{
    (void)state;
    struct wire_msg *m = run_msg(&runs[1]);
    const struct wire_val *figure = print_total(wire_msg_root(m), "window");
    char *line = print_cost_line(wire_msg_root(m));
    char *energy = print_energy(figure);
    char *bounds = print_bounds(figure);
    assert_non_null(strstr(line, "~31.2 kJ estimated (-)"));
    assert_null(strstr(line, " 31.2 kJ"));
    assert_non_null(strstr(line, "~0.0087 kWh"));
    assert_string_equal(energy, "~31.2 kJ estimated");
    assert_string_equal(bounds, "-");
    free(line);
    free(energy);
    free(bounds);
    wire_msg_free(m);
}

static void json_of_runs(void **state)
{
    (void)state;
    struct capture c;
    struct err e = {0};
    capture_start(&c);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        struct wire_msg *m = run_msg(&runs[i]);
        assert_int_equal(json_write(c.f, json_document("wattq.run/1", wire_msg_root(m)), false, &e),
                         0);
        wire_msg_free(m);
    }
    golden_check("runs.json", capture_end(&c));
    free(c.text);
}

/* Every map with a null energy says why. */
static void check_reasons(json_t *v)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_object(v)) {
        if (json_is_null(json_object_get(v, "energy_j")))
            assert_true(json_string_length(json_object_get(v, "reason")) > 0);
        json_object_foreach(v, key, member) check_reasons(member);
    }
    if (json_is_array(v))
        json_array_foreach(v, i, member) check_reasons(member);
}

static void null_energy_has_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        struct wire_msg *m = run_msg(&runs[i]);
        json_t *doc = json_document("wattq.run/1", wire_msg_root(m));
        check_reasons(doc);
        json_decref(doc);
        wire_msg_free(m);
    }
}

static void json_rules(void **state)
{
    (void)state;
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_put_int(&o, "id", 7);
    wire_put_bool(&o, "ok", true);
    wire_put_int(&o, "t0_ns", INT64_C(9007199254740993));
    wire_put_int(&o, "elapsed_ns", 1500 * NS_PER_MS);
    wire_put_int(&o, "started_utc_ns", INT64_C(1700000000123000000));
    wire_put_nil(&o, "ended_utc_ns");
    wire_put_int(&o, "power_uw", 84200000);
    wire_put_nil(&o, "cpu_us");
    wire_put_strn(&o, "text", "a\xff", 2);
    wire_put_f64(&o, "odd", NAN);
    wire_begin_map(&o, "params");
    wire_put_int(&o, "my_uj", 3);
    wire_put_str(&o, "lr", "1e-3");
    wire_end(&o);
    struct wire_msg *m = wired(&o);
    json_t *doc = json_document("wattq.x/1", wire_msg_root(m));
    assert_null(json_object_get(doc, "id"));
    assert_null(json_object_get(doc, "ok"));
    assert_string_equal(json_string_value(json_object_get(doc, "t0_ns")), "9007199254740993");
    assert_true(json_real_value(json_object_get(doc, "elapsed_s")) == 1.5);
    assert_string_equal(json_string_value(json_object_get(doc, "started_utc")),
                        "2023-11-14T22:13:20.123Z");
    assert_true(json_is_null(json_object_get(doc, "ended_utc_ns")));
    assert_true(json_is_null(json_object_get(doc, "ended_utc")));
    assert_true(json_real_value(json_object_get(doc, "power_w")) == 84.2);
    assert_true(json_is_null(json_object_get(doc, "cpu_s")));
    assert_true(json_is_null(json_object_get(doc, "odd")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "params"), "my_uj")),
                     3);
    json_decref(doc);
    wire_msg_free(m);
}

static void text_that_is_no_utf8(void **state)
{
    (void)state;
    json_t *t = json_text("ok \xc3\xa4 \xff\xed\xa0\x80 end", 14);
    assert_non_null(t);
    assert_non_null(strstr(json_string_value(t), "ok \xc3\xa4 \xef\xbf\xbd"));
    assert_non_null(strstr(json_string_value(t), " end"));
    json_decref(t);
}

/* "12.34..12.56 kJ" -> uJ */
static double unit_uj(const char *text)
{
    static const struct {
        const char *unit;
        double uj;
    } units[] = {{" GJ", 1e15}, {" MJ", 1e12}, {" kJ", 1e9}, {" mJ", 1e3}, {" uJ", 1}, {" J", 1e6}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strstr(text, units[i].unit))
            return units[i].uj;
    fail_msg("no unit in %s", text);
    return 0;
}

static void shown_bounds_contain_the_bounds(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int i = 0; i < 20000; i++) {
        double size = pow(10, (double)(rand() % 1500) / 100);
        int64_t lo = (int64_t)(size * ((double)rand() / RAND_MAX));
        int64_t hi = lo + (int64_t)(size * pow(10, -(double)(rand() % 60) / 10));
        struct fig f = {lo + (hi - lo) / 2, lo, hi, "modelled", "counter", "monotone", "", NULL};
        struct wire_out o = {0};
        wire_out_reset(&o);
        put_fig(&o, NULL, &f);
        struct wire_msg *m = wired(&o);
        char *text = print_bounds(wire_msg_root(m));
        const char *dots = strstr(text, "..");
        assert_non_null(dots);
        double a = atof(text); /* "0..1" is read as "0." */
        double b = atof(dots + 2);
        double unit = unit_uj(text);
        if (a * unit > (double)lo * (1 + 1e-12) || b * unit < (double)hi * (1 - 1e-12))
            fail_msg("%lld..%lld shown as %s", (long long)lo, (long long)hi, text);
        free(text);
        wire_msg_free(m);
    }
}

static void quantities(void **state)
{
    (void)state;
    char b[64];
    assert_string_equal(print_power(b, sizeof b, 84200000), "84.2 W");
    assert_string_equal(print_power(b, sizeof b, PRINT_NONE), "-");
    assert_string_equal(print_joules(b, sizeof b, 3.13e-3), "3.13 mJ");
    assert_string_equal(print_joules(b, sizeof b, NAN), "-");
    assert_string_equal(print_joules(b, sizeof b, 0), "0.00 J");
    assert_string_equal(print_seconds(b, sizeof b, 1.234e-6), "1.23 us");
    assert_string_equal(print_count(b, sizeof b, 1048576), "1,048,576");
    assert_string_equal(print_count(b, sizeof b, -1234), "-1,234");
    assert_string_equal(print_count(b, sizeof b, PRINT_NONE), "-");
    assert_string_equal(print_duration(b, sizeof b, PRINT_NONE), "-");
    assert_int_equal(print_width("\u2588x\u00e4"), 3);
}

static void commands_can_be_pasted(void **state)
{
    (void)state;
    static const char *const argv[] = {"python", "a b.py", "--x={y}", "it's", "", "\n"};
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_begin_array(&o, "argv");
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        wire_put_str(&o, NULL, argv[i]);
    wire_end(&o);
    struct wire_msg *m = wired(&o);
    char *text = print_command(wire_msg_root(m));
    assert_string_equal(text, "python 'a b.py' --x={y} 'it'\\''s' '' '?'");
    free(text);
    wire_msg_free(m);
}

static void power_lines(void **state)
{
    (void)state;
    static const struct {
        int64_t uw;
        const char *quality;
        const char *want;
    } cases[] = {{84200000, "modelled", "now 84.2 W (package-0, modelled)"},
                 {7000000, "estimated", "now ~7.00 W estimated (package-0)"},
                 {PRINT_NONE, "modelled", "power unknown: no meter answers; see wattq meters"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_out o = {0};
        wire_out_reset(&o);
        wire_put_str(&o, "channel", "package-0");
        if (cases[i].uw == PRINT_NONE)
            wire_put_nil(&o, "power_uw");
        else
            wire_put_int(&o, "power_uw", cases[i].uw);
        wire_put_str(&o, "quality", cases[i].quality);
        struct wire_msg *m = wired(&o);
        char *text = print_power_line(wire_msg_root(m));
        assert_string_equal(text, cases[i].want);
        free(text);
        wire_msg_free(m);
    }
    (void)state;
}

static void tables(void **state)
{
    (void)state;
    static const char *const heads[] = {">ID", "NAME", "EMPTY", ">N"};
    struct capture c;
    struct table t;
    struct print p = {.columns = 0};
    table_init(&t, heads, ARRAY_LEN(heads));
    for (int i = 8; i < 11; i++) {
        table_put(&t, "%d", i);
        table_put(&t, "%s", i == 9 ? "\u00e4\u00f6" : "long name");
        table_put(&t, "-");
        table_put(&t, "%d", i * 100);
    }
    capture_start(&c);
    p.out = c.f;
    table_print(&t, &p);
    assert_string_equal(capture_end(&c),
                        "ID  NAME          N\n 8  long name   800\n 9  \u00e4\u00f6          "
                        "900\n10  long name  1000\n");
    free(c.text);
    table_fini(&t);
}

static void the_last_column_is_cut_on_a_terminal_only(void **state)
{
    (void)state;
    static const char *const heads[] = {">ID", "COMMAND"};
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    table_put(&t, "1");
    table_put(&t, "a command that is much too long");
    for (int columns = 0; columns <= 20; columns += 20) {
        struct capture c;
        struct print p = {.columns = columns};
        capture_start(&c);
        p.out = c.f;
        table_print(&t, &p);
        const char *text = capture_end(&c);
        assert_true((strstr(text, "too long") != NULL) == (columns == 0));
        for (const char *line = text; columns > 0 && *line; line = strchr(line, '\n') + 1)
            assert_true(strchr(line, '\n') - line <= columns);
        free(c.text);
    }
    table_fini(&t);
}

static void bars(void **state)
{
    (void)state;
    char b[CHART_TEXT];
    const double v[] = {0, 0.5, NAN, 1};
    assert_string_equal(chart_bar(b, sizeof b, 1, 2, 8, false), "####");
    assert_string_equal(chart_bar(b, sizeof b, 1, 2, 1, true), "\u258c");
    assert_string_equal(chart_bar(b, sizeof b, 1e-9, 2, 8, true), "\u258f");
    assert_string_equal(chart_bar(b, sizeof b, NAN, 2, 8, true), "");
    assert_string_equal(chart_bar(b, sizeof b, 5, 2, 3, false), "###");
    assert_string_equal(chart_line(b, sizeof b, v, 4, 1, false), "_+ #");
    assert_string_equal(chart_line(b, sizeof b, v, 4, 1, true), "\u2581\u2585 \u2588");
    char small[4];
    chart_bar(small, sizeof small, 1, 1, 8, true);
    assert_true(strlen(small) < sizeof small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_lines),
        cmocka_unit_test(the_promised_cost_line),
        cmocka_unit_test(an_estimate_cannot_pass),
        cmocka_unit_test(json_of_runs),
        cmocka_unit_test(null_energy_has_a_reason),
        cmocka_unit_test(json_rules),
        cmocka_unit_test(text_that_is_no_utf8),
        cmocka_unit_test(shown_bounds_contain_the_bounds),
        cmocka_unit_test(quantities),
        cmocka_unit_test(commands_can_be_pasted),
        cmocka_unit_test(power_lines),
        cmocka_unit_test(tables),
        cmocka_unit_test(the_last_column_is_cut_on_a_terminal_only),
        cmocka_unit_test(bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
