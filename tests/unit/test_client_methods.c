/* The methods text: what must be in it, what must never be, and that foreign text cannot break its format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/methods.h"
#include "client/print.h"

static void check_escape(const char *text, enum methods_format f, const char *want)
{
    char *got = methods_escape(text, f);
    assert_string_equal(got, want);
    free(got);
}

static void test_escapes(void **state)
{
    (void)state;
    check_escape("a_b 5% $x #1 & {y} ~ ^ \\ < > | \"q\"", METHODS_LATEX,
                 "a\\_b 5\\% \\$x \\#1 \\& \\{y\\} \\textasciitilde{} \\textasciicircum{} "
                 "\\textbackslash{} \\textless{} \\textgreater{} \\textbar{} ''q''");
    check_escape("1 \xc2\xb1 2 \xc3\xa4", METHODS_LATEX, "1 $\\pm$ 2 \xc3\xa4");
    check_escape("a_b*c`d`[e](f)|<g>\n#h ~5 J", METHODS_MARKDOWN,
                 "a\\_b\\*c\\`d\\`\\[e\\](f)\\|\\<g\\> \\#h \\~5 J");
    check_escape("\\input{/etc/passwd}", METHODS_LATEX, "\\textbackslash{}input\\{/etc/passwd\\}");
}

static void add_run(struct compare *c, size_t group, int64_t run, double s, double j,
                    bool estimated)
{
    struct wire_out o = {0};
    struct wire_msg *msg = NULL;
    wire_out_reset(&o);
    wire_put_int(&o, "run", run);
    wire_put_str(&o, "state", "done");
    wire_put_int(&o, "elapsed_ns", (int64_t)(s * 1e9));
    wire_begin_map(&o, "energy");
    wire_put_nil(&o, "channel");
    wire_put_int(&o, "energy_uj", (int64_t)(j * 1e6));
    wire_put_str(&o, "method", estimated ? "estimate" : "counter");
    wire_end(&o);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(
        wire_msg_new(&msg, o.data + WIRE_HEADER_BYTES, o.bytes - WIRE_HEADER_BYTES, NULL), 0);
    compare_add(c, group, wire_msg_root(msg));
    wire_msg_free(msg);
    wire_out_free(&o);
}

static void fill(struct methods *m, bool estimated)
{
    *m = (struct methods){.idle_w = estimated ? (double)NAN : 41.5,
                          .idle_sd_w = 0.2,
                          .selection = base_strdup("sweep:3"),
                          .covers = base_strdup("package; not PSU, fans"),
                          .hardware = base_strdup("Some CPU, Linux 6"),
                          .version = base_strdup("0.1.0"),
                          .alone = 4};
    compare_init(&m->runs, NULL, 0, 0.02);
    compare_add_group(&m->runs, "size=2^5");
    compare_add_group(&m->runs, "size=2^6");
    for (int64_t i = 0; i < 4; i++)
        add_run(&m->runs, (size_t)i % 2, i + 1, 1 + 0.1 * (double)i, 50 + (double)i, estimated);
    compare_leave(&m->runs, 9, "it did not end well");
    compare_leave(&m->runs, 10, "it is a control run");
    compare_leave(&m->runs, 11, "it did not end well");
    methods_word(&m->machines, "lab_1");
    methods_word(&m->blocks, "1");
    methods_word(&m->blocks, "2");
    methods_word(&m->blocks, "2");
    if (estimated) {
        m->estimated = 4;
        return;
    }
    m->measured = 4;
    methods_word(&m->basis, "monotone+pmax");
    m->half_widths = base_alloc(sizeof(double));
    m->half_widths[0] = 0.015;
    m->nbounded = 1;
    m->meters = base_alloc(2 * sizeof *m->meters);
    m->meters[0] = (struct methods_meter){base_strdup("package-0"),
                                          base_strdup("package"),
                                          base_strdup("powercap"),
                                          base_strdup("measured"),
                                          1000000,
                                          true,
                                          NAN};
    m->meters[1] = (struct methods_meter){base_strdup("wall"),
                                          base_strdup("node"),
                                          base_strdup("x"),
                                          base_strdup("measured"),
                                          PRINT_NONE,
                                          false,
                                          0.01};
    m->nmeters = 2;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void test_measured(void **state)
{
    (void)state;
    struct methods m;
    fill(&m, false);
    m.runs.runs[0].why_no_energy = m.runs.runs[2].why_no_energy = "it was too short for the meter";
    char *t = methods_text(&m, METHODS_MARKDOWN);
    has(t, "4 runs of 2 configurations were evaluated (selection: sweep:3). Each configuration was "
           "run 2 "
           "times. The runs were executed in 2 blocks. 3 runs were excluded (2: it did not end "
           "well; 1: it "
           "is a control run).");
    has(t, "executed on lab\\_1 (Some CPU, Linux 6) by wattq 0.1.0.");
    has(t, "package-0 (scope package, source powercap) updates every 1.0ms; its "
           "maker "
           "states no accuracy.");
    has(t, "its stated accuracy is \xc2\xb1"
           "1 %.");
    has(t, "hard bounds (basis: monotone+pmax); their median half width is 1.5 % of the energy");
    has(t, "Idle power is part of every energy and was not subtracted. Around the runs, with no "
           "run on, "
           "the machine drew 41.5 W (robust sd 200.0 mW).");
    has(t, "Of 2 runs the time was used and not the energy (2: it was too short for the meter). "
           "Covered: "
           "package; not PSU, fans.");
    has(t, "| size=2^5 | 2 | 1.10 s \xc2\xb1 141.4 ms | 51.0 J \xc2\xb1 1.41 J |");
    assert_null(strstr(t, "~"));
    assert_null(strstr(t, "estimate"));
    free(t);
    t = methods_text(&m, METHODS_LATEX);
    has(t, "lab\\_1");
    has(t, "\\paragraph{Energy.}");
    has(t, "size=2\\textasciicircum{}5 & 2 & 1.10 s $\\pm$ 141.4 ms");
    has(t, "\\end{tabular}");
    free(t);
    methods_fini(&m);
}

static void test_an_estimate_is_no_measurement(void **state)
{
    (void)state;
    struct methods m;
    fill(&m, true);
    char *t = methods_text(&m, METHODS_MARKDOWN);
    has(t, "all joules are estimates and no measurements");
    has(t, "| \\~51.0 J");
    has(t, "A tilde marks an estimate.");
    has(t, "It was not measured around these runs.");
    assert_null(strstr(t, "hard bounds"));
    assert_null(strstr(t, "whole machine"));
    free(t);
    methods_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_an_estimate_is_no_measurement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
