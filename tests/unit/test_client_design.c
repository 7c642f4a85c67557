/* The design of a sweep from options and meters; what a sweep will take from a calibration. */
#include "client/design.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cost.h"
#include "daemon/model/opcount.h"

/* ---- options ------------------------------------------------------------------------------------- */

struct typed {
    struct args a;
    struct train_args t;
    struct queue_sweep q;
    struct design d;
    struct err e;
    int rc;
};

static void type(struct typed *x, const char *const *words)
{
    *x = (struct typed){.rc = 0};
    int argc = 0;
    static char *argv[40];
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    opt_set all = OPT(CANARY_EVERY) | OPT(CANARY_NET) | OPT(WARMUP) | OPT(PAUSE) | OPT(REL_ERROR) |
                  OPT(REPEAT) | OPT(SHARED);
    assert_int_equal(opt_parse(&x->a, all, OPT_PASS, argc, argv, &x->e), 0);
    assert_int_equal(train_args_init(&x->t, &x->a, 0, &x->e), 0);
    x->rc = design_init(&x->d, &x->a, &x->t, &x->q, NULL, &x->e);
}
#define TYPE(x, ...) type(x, (const char *const[]){__VA_ARGS__, NULL})

static void drop(struct typed *x)
{
    args_fini(&x->a);
    train_args_finip(&x->t);
    design_finip(&x->d);
}

static void test_defaults(void **state)
{
    (void)state;
    struct typed x;
    TYPE(&x, "--size", "64");
    assert_int_equal(x.rc, 0);
    assert_int_equal(x.q.repeat, 3);
    assert_int_equal(x.q.canary_every, 20);
    assert_int_equal(x.d.pause_ns, 2 * NS_PER_S);
    assert_string_equal(train_args_get(&x.t, "epochs"), "auto");
    assert_string_equal(train_args_get(&x.t, "min-seconds"), "5"); /* no daemon: assumed */
    assert_true(x.d.length.unknown);
    assert_string_equal(train_args_get(&x.d.canary, "dataset"), "standin:adult");
    assert_string_equal(train_args_get(&x.d.canary, "min-seconds"), "5");
    assert_string_equal(train_args_get(&x.d.warmup, "min-seconds"), "10");
    assert_true(x.q.canary == x.d.canary.argv && x.q.nwarmup == x.d.warmup.n);
    drop(&x);
}

static void test_each_can_be_changed(void **state)
{
    (void)state;
    struct typed x;
    TYPE(&x, "--size", "64", "--repeat", "5", "--canary-every", "7", "--canary-net",
         "size=2^16,depth=6", "--pause", "500ms", "--warmup", "1s", "--min-seconds", "3",
         "--backend", "reference");
    assert_int_equal(x.rc, 0);
    assert_int_equal(x.q.repeat, 5);
    assert_int_equal(x.q.canary_every, 7);
    assert_int_equal(x.d.pause_ns, NS_PER_S / 2);
    assert_string_equal(train_args_get(&x.t, "min-seconds"), "3");
    assert_string_equal(train_args_get(&x.d.canary, "size"), "2^16");
    assert_string_equal(train_args_get(&x.d.canary, "shape"), "rectangle");
    assert_string_equal(train_args_get(&x.d.canary, "backend"), "reference");
    assert_string_equal(train_args_get(&x.d.canary, "min-seconds"), "3");
    assert_string_equal(train_args_get(&x.d.warmup, "min-seconds"), "1");
    drop(&x);
    TYPE(&x, "--size", "64", "--epochs", "4", "--warmup", "0", "--pause", "0", "--canary-every",
         "0");
    assert_int_equal(x.rc, 0);
    assert_int_equal(x.q.canary_every, 0);
    assert_int_equal(x.q.nwarmup, 0);
    assert_int_equal(x.d.pause_ns, 0);
    assert_string_equal(train_args_get(&x.t, "epochs"), "4");
    assert_null(train_args_get(&x.t, "min-seconds"));
    drop(&x);
    TYPE(&x, "--size", "64", "--shared");
    assert_int_equal(x.d.pause_ns, 0); /* beside others nothing is idle */
    drop(&x);
}

static void refused(const char *const *words, const char *word)
{
    struct typed x;
    type(&x, words);
    if (x.rc != WATTQ_E_USAGE || !strstr(x.e.text, word) || !x.e.next[0])
        fail_msg("%d '%s' instead of '%s'", x.rc, x.e.text, word);
    drop(&x);
}
#define REFUSED(word, ...) refused((const char *const[]){__VA_ARGS__, NULL}, word)

static void test_refusals(void **state)
{
    (void)state;
    REFUSED("contradict", "--epochs", "4", "--rel-error", "1%");
    REFUSED("contradict", "--min-seconds", "4", "--rel-error", "1%");
    REFUSED("--rel-error", "--rel-error", "60%");
    REFUSED("--rel-error", "--rel-error", "x");
    REFUSED("--rel-error", "--rel-error", "1%%");
    REFUSED("--canary-net", "--canary-net", "size");
    REFUSED("--canary-net", "--canary-net", "epochs=3");
    REFUSED("--pause", "--pause", "2h");
    REFUSED("--pause", "--pause", "2");
    REFUSED("--warmup", "--warmup", "x");
}

static void test_error_parse(void **state)
{
    (void)state;
    double x = 0;
    struct err e;
    assert_int_equal(design_error_parse("1%", &x, &e), 0);
    assert_true(x == 0.01);
    assert_int_equal(design_error_parse("0.5 %", &x, &e), 0);
    assert_true(x == 0.005);
    assert_int_equal(design_error_parse("0.02", &x, &e), 0);
    assert_true(x == 0.02);
    assert_int_equal(design_error_parse("", &x, &e), WATTQ_E_USAGE);
    assert_int_equal(design_error_parse("0", &x, &e), WATTQ_E_USAGE);
    assert_int_equal(design_error_parse("nan", &x, &e), WATTQ_E_USAGE);
}

/* ---- meters -------------------------------------------------------------------------------------- */

struct channel {
    const char *label, *kind, *quality;
    int64_t period_ns, box_ns, learned_ns;
    bool in_total;
};

static struct design_length length_of(const struct channel *c, size_t n)
{
    struct design_length l = {.wanted = 0.01};
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    wire_out_reset(&o);
    wire_begin_array(&o, "channels");
    for (size_t i = 0; i < n; i++) {
        wire_begin_map(&o, NULL);
        wire_put_str(&o, "label", c[i].label);
        wire_put_str(&o, "kind", c[i].kind);
        wire_put_str(&o, "quality", c[i].quality);
        wire_put_int(&o, "period_ns", c[i].period_ns);
        wire_put_int(&o, "box_ns", c[i].box_ns);
        wire_put_int(&o, "period_learned_ns", c[i].learned_ns);
        wire_put_int(&o, "quantum", 61);
        wire_put_bool(&o, "in_total", c[i].in_total);
        wire_end(&o);
    }
    wire_end(&o);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL), 0);
    design_meter(&l, wire_msg_root(m));
    wire_msg_free(m);
    wire_out_free(&o);
    return l;
}

static void test_the_slowest_meter_of_the_total_decides(void **state)
{
    (void)state;
    static const struct channel all[] = {
        {"package-0", "counter", "modelled", 1000000, 0, 100000000, true},
        {"gpu0", "gauge", "measured", 100000000, 1000000000, 0, true},
        {"plug", "gauge", "measured", 60000000000, 0, 0, false},
    };
    char text[400];
    struct design_length l = length_of(all, 1);
    assert_true(fabs(l.seconds - 5) < 1e-9);
    assert_non_null(strstr(l.why, "package-0 (counter"));
    l = length_of(all, 2); /* a mean over one second */
    assert_true(fabs(l.seconds - 100) < 1e-9);
    assert_non_null(strstr(l.why, "gpu0"));
    assert_non_null(strstr(design_say_length(text, sizeof text, &l), "at least 100 s"));
}

static void test_a_meter_that_is_too_coarse_says_so(void **state)
{
    (void)state;
    static const struct channel plug = {"plug", "gauge", "measured", 60000000000, 0, 0, true};
    static const struct channel guess = {"cpu", "counter", "estimated", 0, 0, 0, true};
    char text[400];
    struct design_length l = length_of(&plug, 1);
    assert_true(l.seconds == 300 && fabs(l.reached - 0.2) < 1e-9);
    assert_non_null(strstr(design_say_length(text, sizeof text, &l), "cannot tell"));
    assert_non_null(strstr(text, "20 %"));
    l = length_of(&guess, 1);
    assert_true(l.estimate && l.seconds <= 2.5);
    assert_non_null(strstr(l.why, "estimated"));
    l = length_of(NULL, 0);
    assert_true(l.seconds == 1);
    assert_string_equal(l.why, "no meter");
}

/* ---- cost ---------------------------------------------------------------------------------------- */

static struct cost_rates rates(void)
{
    static const struct cost_point at[] = {{1e6, 4e-5}, {1e8, 1e-3}, {1e10, 0.1}};
    struct cost_rates r = {.load_w = 50, .idle_w = 20, .number_s = 1e-8};
    cost_from_points(&r, at, 3, 4);
    return r;
}

static void test_cost_of_a_net(void **state)
{
    (void)state;
    struct cost_rates r = rates();
    const struct net_dataset *data = net_dataset_find("adult");
    struct net net;
    struct err e;
    struct opcount ops;
    struct cost_run one;
    assert_int_equal(net_search(&net, NET_RECTANGLE, 4, 81, 1, 1 << 20, &e), 0);
    const struct opcount_case c = {.net = &net, .batch = 256};
    opcount_compute(&ops, &c);
    double both = ops.forward + ops.backward;
    double step = 1e-3 * pow(both / 1e8, 1); /* the points lie on a line of slope 1 there */
    double epoch = step * 153 + step * 39 * ops.forward / both;
    cost_of_net(&one, &r, &net, data, 2, 0, 256);
    assert_true(one.epochs == 2);
    double want = 2 * epoch + 0.05 + 1e-8 * 48842 * 82;
    if (fabs(one.seconds - want) > 1e-6 * want)
        fail_msg("%g s instead of %g", one.seconds, want);
    cost_of_net(&one, &r, &net, data, 0, 2.5 * 153 * step, 256); /* whole epochs */
    assert_true(one.epochs == 3);
    r.n = 0;
    cost_of_net(&one, &r, &net, data, 2, 0, 256);
    assert_true(isnan(one.seconds));
}

static void test_cost_of_a_list(void **state)
{
    (void)state;
    struct cost_rates r = rates();
    struct cost c;
    char text[200];
    char words[2][12][24] = {{"--dataset", "standin:banana", "--shape=rectangle", "--depth", "3",
                              "--size", "2^10", "--epochs", "auto", "--min-seconds", "5"},
                             {"--dataset", "/tmp/x.csv", "--size", "64"}};
    struct spec specs[2];
    for (size_t i = 0; i < 2; i++) {
        spec_init(&specs[i]);
        specs[i].pause_ns = 2 * NS_PER_S;
        specs[i].argv = base_alloc(13 * sizeof(char *));
        for (; words[i][specs[i].argc][0]; specs[i].argc++)
            specs[i].argv[specs[i].argc] = base_strdup(words[i][specs[i].argc]);
    }
    cost_of_specs(&c, &r, specs, 2);
    assert_int_equal(c.unknown, 1);
    assert_true(c.run_s > 5 && c.run_s < 8);
    assert_true(c.pause_s == 4);
    assert_true(fabs(c.energy_j - (c.run_s * 50 + 4 * 20)) < 1e-6);
    assert_non_null(strstr(cost_say(text, sizeof text, &c), "data of your own"));
    r.estimate = true;
    cost_of_specs(&c, &r, specs, 1);
    assert_non_null(strstr(cost_say(text, sizeof text, &c), "~"));
    assert_non_null(strstr(text, "estimated"));
    r.load_w = NAN;
    cost_of_specs(&c, &r, specs, 1);
    assert_true(isnan(c.energy_j) && c.reason != NULL);
    assert_non_null(strstr(cost_say(text, sizeof text, &c), "energy not known"));
    for (size_t i = 0; i < 2; i++)
        spec_fini(&specs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_each_can_be_changed),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_error_parse),
        cmocka_unit_test(test_the_slowest_meter_of_the_total_decides),
        cmocka_unit_test(test_a_meter_that_is_too_coarse_says_so),
        cmocka_unit_test(test_cost_of_a_net),
        cmocka_unit_test(test_cost_of_a_list),
    };
    return cmocka_run_group_tests_name("client_design", tests, NULL, NULL);
}
