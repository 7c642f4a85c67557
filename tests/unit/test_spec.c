/* spec: a run survives the wire, every bound of it is checked, axes and {key} as the manual says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/spec.h"

/* A run map with one thing about it changed by edit. */
static int take(struct spec *s, void (*edit)(struct wire_out *o), struct err *e)
{
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    wire_out_reset(&o);
    wire_begin_map(&o, "run");
    edit(&o);
    wire_end(&o);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL), 0);
    int rc = spec_from_wire(s, wire_get(wire_msg_root(m), "run"), e);
    wire_msg_free(m);
    wire_out_free(&o);
    return rc;
}

static void put_argv(struct wire_out *o, const char *first)
{
    wire_begin_array(o, "argv");
    wire_put_str(o, NULL, first);
    wire_end(o);
}

static void put_env(struct wire_out *o, const char *first)
{
    wire_begin_array(o, "env");
    if (first)
        wire_put_str(o, NULL, first);
    wire_end(o);
}

static void base(struct wire_out *o)
{
    put_argv(o, "true");
    wire_put_str(o, "cwd", "/");
    put_env(o, "A=1");
}

static void test_defaults(void **state)
{
    (void)state;
    struct spec s = {0};
    struct err e = {0};
    assert_int_equal(take(&s, base, &e), 0);
    assert_int_equal(s.kind, SPEC_COMMAND);
    assert_int_equal(s.umask, 0022);
    assert_int_equal(s.grace_ns, 30 * NS_PER_S);
    assert_int_equal(s.log_cap_bytes, 256 << 20);
    assert_true(s.exclusive && !s.wait_children && !s.hold);
    assert_int_equal(s.gpus, SPEC_GPUS_DEFAULT);
    assert_null(s.gpu_ids);
    assert_null(s.stdin_path);
    assert_null(s.argv[s.argc]);
    assert_null(s.env[s.envc]);
    spec_fini(&s);
}

static void everything(struct wire_out *o)
{
    wire_begin_array(o, "argv");
    wire_put_str(o, NULL, "python");
    wire_put_str(o, NULL, "");
    wire_put_str(o, NULL, "--lr=é");
    wire_end(o);
    wire_put_str(o, "kind", "exec");
    wire_put_str(o, "cwd", "/home/x y");
    wire_begin_array(o, "env");
    wire_put_str(o, NULL, "A=");
    wire_put_bin(o, NULL, "B=\xff\xfe", 4);
    wire_end(o);
    wire_put_str(o, "stdin", "/dev/zero");
    wire_put_str(o, "label", "l");
    wire_put_str(o, "project", "p");
    wire_put_int(o, "umask", 077);
    wire_put_int(o, "priority", -1000);
    wire_put_int(o, "time_limit_ns", 5);
    wire_put_int(o, "grace_ns", 0);
    wire_put_int(o, "log_cap_bytes", 0);
    wire_put_int(o, "gpus", 2);
    wire_begin_array(o, "gpu_ids");
    wire_put_str(o, NULL, "gpu1");
    wire_put_str(o, NULL, "GPU-8f3a0000");
    wire_end(o);
    wire_put_bool(o, "exclusive", false);
    wire_put_bool(o, "wait_children", true);
    wire_put_bool(o, "hold", true);
    wire_begin_map(o, "params");
    wire_put_str(o, "lr", "0.1");
    wire_put_str(o, "seed", "3");
    wire_end(o);
    wire_put_str(o, "from_the_future", "ignored");
}

static void with_pause(struct wire_out *o, int64_t pause_ns, bool exclusive)
{
    wire_begin_array(o, "argv");
    wire_put_str(o, NULL, "x");
    wire_end(o);
    wire_begin_array(o, "env");
    wire_end(o);
    wire_put_str(o, "cwd", "/");
    wire_put_int(o, "pause_ns", pause_ns);
    wire_put_bool(o, "exclusive", exclusive);
}
static void two_seconds(struct wire_out *o)
{
    with_pause(o, 2 * NS_PER_S, true);
}
static void too_long(struct wire_out *o)
{
    with_pause(o, SPEC_PAUSE_MAX_NS + 1, true);
}
static void beside_others(struct wire_out *o)
{
    with_pause(o, 1, false);
}

static void test_pause(void **state)
{
    (void)state;
    struct spec s = {0};
    struct err e = {0};
    assert_int_equal(take(&s, two_seconds, &e), 0);
    assert_int_equal(s.pause_ns, 2 * NS_PER_S);
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    wire_out_reset(&o);
    spec_to_wire(&s, &o, "run");
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL), 0);
    assert_int_equal(wire_int(wire_get(wire_msg_root(m), "run"), "pause_ns", 0), 2 * NS_PER_S);
    wire_msg_free(m);
    wire_out_free(&o);
    spec_fini(&s);
    assert_int_equal(take(&s, too_long, &e), WATTQ_E_USAGE);
    assert_int_equal(take(&s, beside_others, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "exclusive"));
}

static void test_all_of_it_survives_the_wire(void **state)
{
    (void)state;
    struct spec a = {0};
    struct spec b = {0};
    struct err e = {0};
    if (take(&a, everything, &e) < 0)
        fail_msg("%s", e.text);
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    wire_out_reset(&o);
    spec_to_wire(&a, &o, "run");
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL), 0);
    assert_int_equal(spec_from_wire(&b, wire_get(wire_msg_root(m), "run"), &e), 0);
    wire_msg_free(m);
    wire_out_free(&o);
    assert_int_equal(b.kind, SPEC_EXEC);
    assert_int_equal(b.argc, 3);
    assert_string_equal(b.argv[1], "");
    assert_string_equal(b.argv[2], "--lr=é");
    assert_string_equal(b.env[0], "A=");
    assert_string_equal(b.env[1], "B=\xff\xfe");
    assert_string_equal(b.cwd, "/home/x y");
    assert_string_equal(b.stdin_path, "/dev/zero");
    assert_string_equal(b.label, "l");
    assert_string_equal(b.project, "p");
    assert_int_equal(b.umask, 077);
    assert_int_equal(b.priority, -1000);
    assert_int_equal(b.time_limit_ns, 5);
    assert_int_equal(b.grace_ns, 0);
    assert_int_equal(b.log_cap_bytes, 0);
    assert_true(!b.exclusive && b.wait_children && b.hold);
    assert_int_equal(b.gpus, 2);
    assert_int_equal(spec_gpu_ids(&b), 2);
    assert_string_equal(b.gpu_ids[1], "GPU-8f3a0000");
    assert_null(b.gpu_ids[2]);
    assert_int_equal(b.nparams, 2);
    assert_string_equal(b.params[1].key, "seed");
    assert_string_equal(b.params[1].value, "3");
    spec_fini(&a);
    spec_fini(&b);
}

/* ---- GPUs on a command line ---------------------------------------------------------------------- */

static void test_gpus(void **state)
{
    static const struct {
        const char *text;
        int gpus; /* -2 = refused */
        size_t ids;
    } rows[] = {{"0", 0, 0},         {"1", 1, 0},
                {"32", 32, 0},       {"33", -2, 0},
                {"gpu1", 1, 1},      {"0,1", 2, 2},
                {"GPU-8f3a", 1, 1},  {"", -2, 0},
                {"1,", -2, 0},       {",", -2, 0},
                {"-1", 1, 1},        {"a b", -2, 0},
                {"99999999", -2, 0}, {"gpu0,gpu1,gpu2", 3, 3},
                {"x=1", -2, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spec s;
        struct err e = {0};
        spec_init(&s);
        int rc = spec_gpus_parse(&s, rows[i].text, &e);
        if (rc != (rows[i].gpus == -2 ? WATTQ_E_USAGE : 0))
            fail_msg("%s: %d %s", rows[i].text, rc, e.text);
        if (rc == 0)
            assert_int_equal(s.gpus, rows[i].gpus);
        assert_int_equal(spec_gpu_ids(&s), rows[i].ids);
        spec_fini(&s);
    }
}

/* ---- bounds: each edit breaks one thing ---------------------------------------------------------- */

static void gpus_disagree(struct wire_out *o)
{
    base(o);
    wire_put_int(o, "gpus", 1);
    wire_begin_array(o, "gpu_ids");
    wire_put_str(o, NULL, "a");
    wire_put_str(o, NULL, "b");
    wire_end(o);
}
static void gpus_too_many(struct wire_out *o)
{
    base(o);
    wire_put_int(o, "gpus", SPEC_GPUS_MAX + 1);
}
static void gpus_badly_named(struct wire_out *o)
{
    base(o);
    wire_begin_array(o, "gpu_ids");
    wire_put_str(o, NULL, "a,b");
    wire_end(o);
}
static void gpus_none_named(struct wire_out *o)
{
    base(o);
    wire_begin_array(o, "gpu_ids");
    wire_end(o);
}
static void no_argv(struct wire_out *o)
{
    wire_put_str(o, "cwd", "/"), put_env(o, NULL);
}
static void empty_argv(struct wire_out *o)
{
    wire_begin_array(o, "argv");
    wire_end(o);
    wire_put_str(o, "cwd", "/");
    put_env(o, NULL);
}
static void argv_of_ints(struct wire_out *o)
{
    wire_begin_array(o, "argv");
    wire_put_int(o, NULL, 1);
    wire_end(o);
}
static void argv_not_utf8(struct wire_out *o)
{
    put_argv(o, "\xff");
}
static void argv_bin(struct wire_out *o)
{
    wire_begin_array(o, "argv");
    wire_put_bin(o, NULL, "true", 4);
    wire_end(o);
}
static void argv_many(struct wire_out *o)
{
    wire_begin_array(o, "argv");
    for (int i = 0; i <= SPEC_ARGC_MAX; i++)
        wire_put_str(o, NULL, "x");
    wire_end(o);
}
static void argv_large(struct wire_out *o)
{
    char *big = calloc(1, SPEC_ARGV_BYTES + 1);
    memset(big, 'x', SPEC_ARGV_BYTES);
    put_argv(o, big);
    free(big);
}
static void cwd_absent(struct wire_out *o)
{
    put_argv(o, "true"), put_env(o, NULL);
}
static void cwd_relative(struct wire_out *o)
{
    put_argv(o, "true"), wire_put_str(o, "cwd", "a");
}
static void cwd_long(struct wire_out *o)
{
    char path[WATTQ_PATH_MAX + 1] = "/";
    memset(path + 1, 'a', WATTQ_PATH_MAX - 1);
    put_argv(o, "true"), wire_put_str(o, "cwd", path);
}
static void env_absent(struct wire_out *o)
{
    put_argv(o, "true"), wire_put_str(o, "cwd", "/");
}
static void env_no_equals(struct wire_out *o)
{
    env_absent(o), put_env(o, "PATH");
}
static void env_no_name(struct wire_out *o)
{
    env_absent(o), put_env(o, "=x");
}
static void env_large(struct wire_out *o)
{
    env_absent(o);
    char *big = calloc(1, SPEC_ENV_BYTES + 1);
    memset(big, '=', SPEC_ENV_BYTES);
    big[0] = 'A';
    put_env(o, big);
    free(big);
}
static void kind_unknown(struct wire_out *o)
{
    base(o), wire_put_str(o, "kind", "magic");
}
static void label_long(struct wire_out *o)
{
    char label[SPEC_LABEL_MAX + 2] = "";
    memset(label, 'l', SPEC_LABEL_MAX + 1);
    base(o), wire_put_str(o, "label", label);
}
static void label_newline(struct wire_out *o)
{
    base(o), wire_put_str(o, "label", "a\nb");
}
static void umask_large(struct wire_out *o)
{
    base(o), wire_put_int(o, "umask", 01000);
}
static void priority_large(struct wire_out *o)
{
    base(o), wire_put_int(o, "priority", 1001);
}
static void grace_negative(struct wire_out *o)
{
    base(o), wire_put_int(o, "grace_ns", -1);
}
static void limit_text(struct wire_out *o)
{
    base(o), wire_put_str(o, "time_limit_ns", "5m");
}
static void bool_int(struct wire_out *o)
{
    base(o), wire_put_int(o, "hold", 1);
}
static void with_on_end(struct wire_out *o)
{
    base(o), wire_put_str(o, "on_end", "echo $WATTQ_STATE");
}

static void test_on_end(void **state)
{
    (void)state;
    struct spec s = {0};
    struct err e = {0};
    assert_int_equal(take(&s, with_on_end, &e), 0);
    assert_string_equal(s.on_end, "echo $WATTQ_STATE");
    spec_fini(&s);
    assert_int_equal(take(&s, base, &e), 0);
    assert_null(s.on_end);
    spec_fini(&s);
}

static void on_end_number(struct wire_out *o)
{
    base(o), wire_put_int(o, "on_end", 1);
}

static void on_end_long(struct wire_out *o)
{
    char text[SPEC_ON_END_MAX + 2];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    base(o), wire_put_str(o, "on_end", text);
}

static void on_end_of_exec(struct wire_out *o)
{
    base(o), wire_put_str(o, "kind", "exec"), wire_put_str(o, "on_end", "true");
}

static void stdin_relative(struct wire_out *o)
{
    base(o), wire_put_str(o, "stdin", "in.txt");
}
static void one_param(struct wire_out *o, const char *key, const char *value)
{
    base(o);
    wire_begin_map(o, "params");
    wire_put_str(o, key, value);
    wire_end(o);
}
static void param_bad_key(struct wire_out *o)
{
    one_param(o, "1x", "1");
}
static void param_nil(struct wire_out *o)
{
    one_param(o, "x", NULL);
}
static void params_many(struct wire_out *o)
{
    base(o);
    wire_begin_map(o, "params");
    for (int i = 0; i <= SPEC_PARAMS_MAX; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        wire_put_str(o, key, "1");
    }
    wire_end(o);
}
static void params_twice(struct wire_out *o)
{
    base(o);
    wire_begin_map(o, "params");
    wire_put_str(o, "k", "1");
    wire_put_str(o, "k", "2");
    wire_end(o);
}

static void test_every_bound_is_checked(void **state)
{
    (void)state;
    static const struct {
        void (*edit)(struct wire_out *o);
        int rc;
        const char *names;
    } rows[] = {
        {gpus_disagree, WATTQ_E_USAGE, "gpus"},    {gpus_too_many, WATTQ_E_USAGE, "gpus"},
        {gpus_badly_named, WATTQ_E_USAGE, "GPU"},  {gpus_none_named, WATTQ_E_USAGE, "gpu_ids"},
        {no_argv, WATTQ_E_USAGE, "argv"},          {empty_argv, WATTQ_E_USAGE, "command"},
        {argv_of_ints, WATTQ_E_USAGE, "argv"},     {argv_not_utf8, WATTQ_E_USAGE, "argv"},
        {argv_bin, WATTQ_E_USAGE, "argv"},         {argv_many, WATTQ_E_LIMIT, "argv"},
        {argv_large, WATTQ_E_LIMIT, "argv"},       {cwd_absent, WATTQ_E_USAGE, "cwd"},
        {cwd_relative, WATTQ_E_USAGE, "cwd"},      {cwd_long, WATTQ_E_LIMIT, "cwd"},
        {env_absent, WATTQ_E_USAGE, "env"},        {env_no_equals, WATTQ_E_USAGE, "NAME=VALUE"},
        {env_no_name, WATTQ_E_USAGE, "NAME="},     {env_large, WATTQ_E_LIMIT, "env"},
        {kind_unknown, WATTQ_E_USAGE, "magic"},    {label_long, WATTQ_E_LIMIT, "label"},
        {label_newline, WATTQ_E_USAGE, "label"},   {umask_large, WATTQ_E_USAGE, "umask"},
        {priority_large, WATTQ_E_USAGE, "1000"},   {grace_negative, WATTQ_E_USAGE, "grace_ns"},
        {limit_text, WATTQ_E_USAGE, "time_limit"}, {bool_int, WATTQ_E_USAGE, "hold"},
        {on_end_number, WATTQ_E_USAGE, "on_end"},  {on_end_long, WATTQ_E_LIMIT, "on_end"},
        {on_end_of_exec, WATTQ_E_USAGE, "exec"},   {stdin_relative, WATTQ_E_USAGE, "stdin"},
        {param_bad_key, WATTQ_E_USAGE, "1x"},      {param_nil, WATTQ_E_USAGE, "'x'"},
        {params_many, WATTQ_E_LIMIT, "64"},        {params_twice, WATTQ_E_USAGE, "twice"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct spec s = {0};
        struct err e = {0};
        int rc = take(&s, rows[i].edit, &e);
        if (rc != rows[i].rc || !strstr(e.text, rows[i].names))
            fail_msg("row %zu: rc %d, \"%s\"", i, rc, e.text);
        assert_null(s.argv); /* nothing is left to free */
    }
}

/* ---- parameters ---------------------------------------------------------------------------------- */

static void test_types_of_values(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        enum spec_type type;
    } rows[] = {
        {"10", SPEC_INT},
        {"0", SPEC_INT},
        {"-5", SPEC_INT},
        {"01", SPEC_TEXT},
        {"", SPEC_TEXT},
        {"1e-3", SPEC_REAL},
        {"0.5", SPEC_REAL},
        {"-0.5", SPEC_REAL},
        {"1E5", SPEC_REAL},
        {"+5", SPEC_TEXT},
        {"1.", SPEC_TEXT},
        {".5", SPEC_TEXT},
        {"1e", SPEC_TEXT},
        {"nan", SPEC_TEXT},
        {"0x10", SPEC_TEXT},
        {"-", SPEC_TEXT},
        {"1 ", SPEC_TEXT},
        {"1e999", SPEC_TEXT},
        {"-0", SPEC_TEXT},
        {"9223372036854775807", SPEC_INT},
        {"9223372036854775808", SPEC_TEXT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (spec_param_type(rows[i].s) != rows[i].type)
            fail_msg("'%s'", rows[i].s);
}

static void axis_is(const char *text, const char *joined)
{
    struct spec_axis a;
    struct err e = {0};
    char have[512] = "";
    if (spec_axis_parse(&a, text, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    for (size_t i = 0; i < a.n; i++) {
        strcat(have, i ? " " : "");
        strcat(have, a.values[i]);
    }
    assert_string_equal(have, joined);
    spec_axis_fini(&a);
}

static void test_axes(void **state)
{
    (void)state;
    axis_is("lr=0.1,0.01", "0.1 0.01");
    axis_is("s=1..5", "1 2 3 4 5");
    axis_is("s=3..3", "3");
    axis_is("s=-2..1", "-2 -1 0 1");
    axis_is("x=0..1:0.25", "0 0.25 0.5 0.75 1");
    axis_is("x=0..1:0.1", "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1");
    axis_is("x=0..1:0.4", "0 0.4 0.8");
    axis_is("x=log:1e-4..1e-1:4", "0.0001 0.001 0.01 0.1");
    axis_is("size=2^5..2^8", "32 64 128 256");
    axis_is("size=2^5,2^7", "2^5 2^7"); /* text as written */
    axis_is("m=1..3,10,20..21", "1 2 3 10 20 21");
    axis_is("f=../data/a.csv,b..c", "../data/a.csv b..c"); /* not ranges */
    axis_is("v=a b", "a b");
    char path[] = "/tmp/wattq-axis-XXXXXX";
    int fd = mkstemp(path);
    assert_true(write(fd, "one\n\ntwo, too\r\nthree", 20) == 20);
    close(fd);
    char text[64];
    snprintf(text, sizeof(text), "k=@%s", path);
    axis_is(text, "one two, too three");
    unlink(path);
}

static void test_bad_axes(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "lr",
                                      "=1",
                                      "1a=1",
                                      "k=",
                                      "k=a,,b",
                                      "k=1,",
                                      "k=5..1",
                                      "k=1..",
                                      "k=1..x",
                                      "k=0..1:0",
                                      "k=0..1:-1",
                                      "k=0.5..2",
                                      "k=log:0..1:3",
                                      "k=log:1..2",
                                      "k=log:1..10:1",
                                      "k=1..999999999",
                                      "k=0..1:1e-12",
                                      "k=@/nonexistent",
                                      NULL};
    for (const char *const *b = bad; *b; b++) {
        struct spec_axis a;
        struct err e = {0};
        if (spec_axis_parse(&a, *b, &e) >= 0 || !e.text[0])
            fail_msg("'%s' was taken", *b);
        assert_null(a.values);
    }
}

static void test_expand(void **state)
{
    (void)state;
    char one[] = "0.1";
    char two[] = "{x}";
    const struct spec_param p[] = {{"lr", one}, {"b.s", two}};
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"--lr={lr}", "--lr=0.1"}, {"{lr}{lr}", "0.10.1"}, {"{b.s}", "{x}"}, /* not expanded again */
        {"{{lr}", "{lr}"},         {"{{{lr}", "{0.1"},     {"a}b", "a}b"},   {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *out = NULL;
        assert_int_equal(spec_expand(rows[i].in, p, 2, NULL, &out, NULL), 0);
        assert_string_equal(out, rows[i].out);
        free(out);
    }
    bool used[2] = {false, false};
    char *out = NULL;
    assert_int_equal(spec_expand("x{lr}", p, 2, used, &out, NULL), 0);
    free(out);
    assert_true(used[0] && !used[1]);
    static const char *const bad[] = {"{nope}", "{", "{}", "{lr", "{ lr}", "{\"a\":1}", NULL};
    for (const char *const *b = bad; *b; b++) {
        struct err e = {0};
        assert_int_equal(spec_expand(*b, p, 2, NULL, &out, &e), WATTQ_E_USAGE);
        assert_null(out);
        assert_non_null(strstr(e.next, "{{"));
    }
}

static void test_an_expansion_is_bounded(void **state)
{
    (void)state;
    char *value = calloc(1, 4096);
    memset(value, 'v', 4095);
    const struct spec_param p = {"v", value};
    char *text = calloc(1, 3 * 1000 + 1);
    for (int i = 0; i < 1000; i++)
        memcpy(text + 3 * i, "{v}", 3);
    char *out = NULL;
    assert_int_equal(spec_expand(text, &p, 1, NULL, &out, NULL), WATTQ_E_LIMIT);
    free(text);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_end),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_of_it_survives_the_wire),
        cmocka_unit_test(test_gpus),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_every_bound_is_checked),
        cmocka_unit_test(test_types_of_values),
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_bad_axes),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_an_expansion_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
