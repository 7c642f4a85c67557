/* spec_limits: memory, energy, niceness and soft limits survive the wire and the database; every bound of them
 * is checked; an energy limit is read as people write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/spec.h"
#include "daemon/store/runs.h"

static void base(struct wire_out *o)
{
    wire_begin_array(o, "argv");
    wire_put_str(o, NULL, "true");
    wire_end(o);
    wire_put_str(o, "cwd", "/");
    wire_begin_array(o, "env");
    wire_end(o);
}

static int take(struct spec *s, void (*edit)(struct wire_out *o), struct err *e)
{
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    wire_out_reset(&o);
    wire_begin_map(&o, "run");
    base(&o);
    edit(&o);
    wire_end(&o);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL), 0);
    int rc = spec_from_wire(s, wire_get(wire_msg_root(m), "run"), e);
    wire_msg_free(m);
    wire_out_free(&o);
    return rc;
}

static void nothing(struct wire_out *o)
{
    (void)o;
}

static void everything(struct wire_out *o)
{
    wire_put_int(o, "mem_bytes", INT64_C(32) << 30);
    wire_put_int(o, "nice", 5);
    wire_put_int(o, "energy_limit_uj", INT64_C(500000000000));
    wire_put_str(o, "energy_limit_figure", "attributed");
    wire_begin_map(o, "rlimits");
    wire_put_int(o, "nofile", 4096);
    wire_put_int(o, "core", 0);
    wire_put_int(o, "cpu", -1);
    wire_end(o);
}

static void check(const struct spec *s)
{
    assert_int_equal(s->mem_bytes, INT64_C(32) << 30);
    assert_int_equal(s->nice, 5);
    assert_int_equal(s->energy_limit_uj, INT64_C(500000000000));
    assert_int_equal(s->energy_figure, SPEC_FIGURE_ATTRIBUTED);
    assert_int_equal(s->nrlimits, 3);
    assert_int_equal(s->rlimits[0].resource, RLIMIT_NOFILE);
    assert_int_equal(s->rlimits[0].soft, 4096);
    assert_int_equal(s->rlimits[1].resource, RLIMIT_CORE);
    assert_int_equal(s->rlimits[1].soft, 0);
    assert_int_equal(s->rlimits[2].resource, RLIMIT_CPU);
    assert_int_equal(s->rlimits[2].soft, -1);
}

static void test_nothing_said(void **state)
{
    (void)state;
    struct spec s = {0};
    struct err e = {0};
    assert_int_equal(take(&s, nothing, &e), 0);
    assert_int_equal(s.mem_bytes, 0);
    assert_int_equal(s.nice, 0);
    assert_int_equal(s.energy_limit_uj, 0);
    assert_int_equal(s.energy_figure, SPEC_FIGURE_UNSAID);
    assert_int_equal(s.nrlimits, 0);
    char *json = runs_spec_json(&s);
    assert_null(strstr(json, "mem_bytes"));
    assert_null(strstr(json, "rlimits"));
    free(json);
    spec_fini(&s);
}

static void test_the_wire_and_the_database(void **state)
{
    (void)state;
    struct spec a = {0};
    struct spec b = {0};
    struct spec c = {0};
    struct spec d;
    struct err e = {0};
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    if (take(&a, everything, &e) < 0)
        fail_msg("%s", e.text);
    check(&a);
    wire_out_reset(&o);
    spec_to_wire(&a, &o, "run");
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL), 0);
    assert_int_equal(spec_from_wire(&b, wire_get(wire_msg_root(m), "run"), &e), 0);
    wire_msg_free(m);
    wire_out_free(&o);
    check(&b);
    char *json = runs_spec_json(&b);
    assert_int_equal(runs_spec_parse(json, &c, &e), 0);
    check(&c);
    free(json);
    spec_init(&d);
    spec_limits_copy(&d, &c);
    check(&d);
    spec_fini(&a);
    spec_fini(&b);
    spec_fini(&c);
    spec_fini(&d);
}

/* ---- each edit breaks one thing -------------------------------------------------------------------- */

static void mem_small(struct wire_out *o)
{
    wire_put_int(o, "mem_bytes", SPEC_MEM_MIN_BYTES - 1);
}
static void mem_large(struct wire_out *o)
{
    wire_put_int(o, "mem_bytes", SPEC_MEM_MAX_BYTES + 1);
}
static void mem_text(struct wire_out *o)
{
    wire_put_str(o, "mem_bytes", "2G");
}
static void nice_below(struct wire_out *o)
{
    wire_put_int(o, "nice", -1);
}
static void nice_above(struct wire_out *o)
{
    wire_put_int(o, "nice", 20);
}
static void energy_below(struct wire_out *o)
{
    wire_put_int(o, "energy_limit_uj", -5);
}
static void energy_above(struct wire_out *o)
{
    wire_put_int(o, "energy_limit_uj", INT64_MAX);
}
static void figure_unknown(struct wire_out *o)
{
    wire_put_int(o, "energy_limit_uj", 5);
    wire_put_str(o, "energy_limit_figure", "hi");
}
static void figure_empty(struct wire_out *o)
{
    wire_put_int(o, "energy_limit_uj", 5);
    wire_put_str(o, "energy_limit_figure", "");
}
static void figure_alone(struct wire_out *o)
{
    wire_put_str(o, "energy_limit_figure", "machine");
}
static void rlimits_list(struct wire_out *o)
{
    wire_begin_array(o, "rlimits");
    wire_end(o);
}
static void rlimit_unknown(struct wire_out *o)
{
    wire_begin_map(o, "rlimits");
    wire_put_int(o, "rss", 1);
    wire_end(o);
}
static void rlimit_text(struct wire_out *o)
{
    wire_begin_map(o, "rlimits");
    wire_put_str(o, "nofile", "many");
    wire_end(o);
}
static void rlimit_twice(struct wire_out *o)
{
    wire_begin_map(o, "rlimits");
    wire_put_int(o, "nofile", 1);
    wire_put_int(o, "nofile", 2);
    wire_end(o);
}
static void rlimits_many(struct wire_out *o)
{
    char name[8];
    wire_begin_map(o, "rlimits");
    for (int i = 0; i <= SPEC_RLIMITS; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        wire_put_int(o, name, 1);
    }
    wire_end(o);
}

static void test_bounds(void **state)
{
    static const struct {
        void (*edit)(struct wire_out *o);
        const char *says;
    } rows[] = {
        {mem_small, "mem_bytes"},       {mem_large, "mem_bytes"}, {mem_text, "mem_bytes"},
        {nice_below, "nice"},           {nice_above, "nice"},     {energy_below, "energy_limit_uj"},
        {energy_above, "energy_limit"}, {figure_unknown, "'hi'"}, {figure_empty, "no figure"},
        {figure_alone, "without"},      {rlimits_list, "map"},    {rlimit_unknown, "'rss'"},
        {rlimit_text, "'nofile'"},      {rlimit_twice, "nofile"}, {rlimits_many, "rlimits"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spec s = {0};
        struct err e = {0};
        int rc = take(&s, rows[i].edit, &e);
        if (rc != WATTQ_E_USAGE || !strstr(e.text, rows[i].says))
            fail_msg("row %zu: %d '%s' does not say '%s'", i, rc, e.text, rows[i].says);
    }
}

/* ---- as people write it ----------------------------------------------------------------------------- */

static void test_energy_text(void **state)
{
    static const struct {
        const char *text;
        int64_t uj; /* 0 = refused */
        enum spec_figure figure;
    } rows[] = {
        {"500kJ", INT64_C(500000000000), SPEC_FIGURE_UNSAID},
        {"0.2kWh", INT64_C(720000000000), SPEC_FIGURE_UNSAID},
        {"2J,attributed", 2000000, SPEC_FIGURE_ATTRIBUTED},
        {"2J,machine", 2000000, SPEC_FIGURE_MACHINE},
        {"2J,lo", 2000000, SPEC_FIGURE_LO},
        {"500", 0, 0},
        {"500,attributed", 0, 0},
        {"0J", 0, 0},
        {"2GJ", INT64_C(2000000000000000), SPEC_FIGURE_UNSAID},
        {"2000GJ", 0, 0},
        {"5J,", 0, 0},
        {"5J,lo,lo", 0, 0},
        {",lo", 0, 0},
        {"5W", 0, 0},
        {"", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spec s = {0};
        struct err e = {0};
        int rc = spec_energy_limit_parse(&s, rows[i].text, &e);
        if (rc != (rows[i].uj ? 0 : WATTQ_E_USAGE))
            fail_msg("'%s': %d %s", rows[i].text, rc, e.text);
        assert_int_equal(s.energy_limit_uj, rows[i].uj);
        assert_int_equal(s.energy_figure, rows[i].figure);
        if (rc < 0)
            assert_true(e.text[0] && e.next[0]);
    }
    struct spec s = {0};
    struct err e = {0};
    assert_int_equal(spec_energy_limit_parse(&s, "500", &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "500J (joules) or 500kWh")); /* both readings */
}

static void test_capture(void **state)
{
    struct spec s = {0};
    struct rlimit was;
    bool found = false;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    struct rlimit now = {was.rlim_max < 100 ? was.rlim_max : 100, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    spec_rlimits_capture(&s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    for (size_t i = 0; i < s.nrlimits; i++) {
        assert_non_null(spec_rlimit_name(s.rlimits[i].resource));
        assert_int_equal(spec_rlimit_find(spec_rlimit_name(s.rlimits[i].resource)),
                         s.rlimits[i].resource);
        if (s.rlimits[i].resource == RLIMIT_NOFILE)
            found = s.rlimits[i].soft == (int64_t)now.rlim_cur;
    }
    assert_true(found);
    assert_true(s.nrlimits <= SPEC_RLIMITS);
    spec_fini(&s);
    assert_null(spec_rlimit_name(RLIMIT_RSS));
    assert_int_equal(spec_rlimit_find("rss"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_said), cmocka_unit_test(test_the_wire_and_the_database),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_energy_text),
        cmocka_unit_test(test_capture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
