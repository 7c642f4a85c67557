/* Verdicts about groups of runs: how often nothing is called something, what is paired, and when there must be
 * no verdict. Random numbers come from seeds: the same every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/compare.h"
#include "common/random.h"

struct made {
    int64_t run;
    double s, j;
    const char *keys[4]; /* params, NULL = no more */
    const char *values[4];
    const char *quality; /* NULL = measured */
    const char *channel; /* NULL = pkg */
    const char *scope;   /* NULL = package */
    const char *flags;
    const char *state;
    int64_t gain_ppm;
    double loss; /* 0 = none */
};

static void put_energy(struct wire_out *o, const struct made *m)
{
    const char *quality = m->quality ? m->quality : "measured";
    wire_begin_map(o, "energy");
    wire_put_nil(o, "channel");
    wire_put_int(o, "energy_uj", (int64_t)(m->j * 1e6));
    wire_put_str(o, "quality", quality);
    wire_put_str(o, "method", strcmp(quality, "estimated") == 0 ? "estimate" : "counter");
    wire_put_str(o, "flags", m->flags ? m->flags : "");
    if (m->gain_ppm)
        wire_put_int(o, "gain_ppm", m->gain_ppm);
    wire_end(o);
    wire_begin_array(o, "energy_parts");
    wire_begin_map(o, NULL);
    wire_put_str(o, "label", m->channel ? m->channel : "pkg");
    wire_put_str(o, "scope", m->scope ? m->scope : "package");
    wire_put_int(o, "energy_uj", (int64_t)(m->j * 1e6));
    wire_end(o);
    wire_end(o);
}

static void add(struct compare *c, size_t group, const struct made *m)
{
    struct wire_out o = {0};
    struct wire_msg *msg = NULL;
    wire_out_reset(&o);
    wire_put_int(&o, "run", m->run);
    wire_put_str(&o, "state", m->state ? m->state : "done");
    wire_put_str(&o, "machine", "here");
    wire_put_int(&o, "elapsed_ns", (int64_t)(m->s * 1e9));
    wire_begin_map(&o, "params");
    for (size_t i = 0; i < 4 && m->keys[i]; i++)
        wire_put_str(&o, m->keys[i], m->values[i]);
    wire_end(&o);
    if (m->loss != 0) {
        wire_begin_map(&o, "summary");
        wire_put_f64(&o, "loss", m->loss);
        wire_end(&o);
    }
    if (m->j > 0)
        put_energy(&o, m);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    assert_int_equal(
        wire_msg_new(&msg, o.data + WIRE_HEADER_BYTES, o.bytes - WIRE_HEADER_BYTES, NULL), 0);
    compare_add(c, group, wire_msg_root(msg));
    wire_msg_free(msg);
    wire_out_free(&o);
}

static double gauss(uint64_t *seed)
{
    return stats_normal_quantile((double)(random_next(seed) >> 12) * 0x1p-52 + 0x1p-53);
}

static void start(struct compare *c)
{
    compare_init(c, NULL, 0, 0.02);
    compare_add_group(c, "a");
    compare_add_group(c, "b");
}

/* n runs in each group: 10 s and 100 J, the second group longer by effect, every value off by noise. With
 * repeats the runs of one repeat are off by the same drift. */
struct plan {
    size_t n;
    double effect, noise, drift;
    bool repeats;
};

static void fill(struct compare *c, const struct plan *p, uint64_t *seed)
{
    char repeat[2][16][24];
    for (size_t i = 0; i < p->n; i++) {
        double drift = p->drift * gauss(seed);
        for (size_t g = 0; g < 2; g++) {
            snprintf(repeat[g][i], 24, "%zu", i + 1);
            double s = 10 * exp(drift + (g == 1 ? p->effect : 0) + p->noise * gauss(seed));
            struct made m = {.run = (int64_t)(10 * i + g + 1),
                             .s = s,
                             .j = 10 * s,
                             .keys = {"lr", p->repeats ? "repeat" : NULL},
                             .values = {g == 0 ? "0.1" : "0.2", repeat[g][i]}};
            add(c, g, &m);
        }
    }
}

/* How often, of trials, the time gets this verdict. */
static double share(const struct plan *p, enum compare_verdict v, int trials)
{
    uint64_t seed = 7;
    int hits = 0;
    for (int i = 0; i < trials; i++) {
        struct compare c;
        size_t n = 0;
        start(&c);
        fill(&c, p, &seed);
        struct compare_result *r = compare_results(&c, &n);
        assert_int_equal(n, 3);
        hits += r[COMPARE_TIME].verdict == v;
        free(r);
        compare_fini(&c);
    }
    return (double)hits / trials;
}

#define ALPHA_500 0.0695 /* 5 % and two standard errors of 500 trials */

static void test_nothing_is_rarely_called_a_difference(void **state)
{
    (void)state;
    const struct plan plans[] = {{.n = 2, .noise = 0.01},
                                 {.n = 3, .noise = 0.05},
                                 {.n = 6, .noise = 0.02},
                                 {.n = 5, .noise = 0.01, .drift = 0.05, .repeats = true}};
    for (size_t i = 0; i < ARRAY_LEN(plans); i++)
        assert_true(share(&plans[i], COMPARE_DIFFERS, 500) <= ALPHA_500);
    /* far from equivalent: at the very margin */
    const struct plan margin = {.n = 8, .noise = 0.01, .effect = log1p(0.02)};
    assert_true(share(&margin, COMPARE_EQUIVALENT, 500) <= ALPHA_500);
}

static void test_what_is_there_is_found(void **state)
{
    (void)state;
    const struct plan far = {.n = 5, .noise = 0.01, .effect = 0.05};
    const struct plan same = {.n = 10, .noise = 0.005};
    assert_true(share(&far, COMPARE_DIFFERS, 100) > 0.97);
    assert_true(share(&same, COMPARE_EQUIVALENT, 100) > 0.9);
    /* a drift ten times the effect drowns it, but not in pairs */
    const struct plan paired = {
        .n = 5, .noise = 0.005, .drift = 0.2, .effect = 0.02, .repeats = true};
    struct plan loose = paired;
    loose.repeats = false;
    assert_true(share(&paired, COMPARE_DIFFERS, 100) > 0.85);
    assert_true(share(&loose, COMPARE_DIFFERS, 100) < 0.2);
}

static struct compare_result one(struct compare *c, size_t quantity)
{
    size_t n = 0;
    struct compare_result *r = compare_results(c, &n);
    struct compare_result out = r[quantity];
    free(r);
    return out;
}

static void test_one_run_is_no_group(void **state)
{
    (void)state;
    struct compare c;
    start(&c);
    add(&c, 0, &(struct made){.run = 1, .s = 1, .j = 10});
    add(&c, 1, &(struct made){.run = 2, .s = 2, .j = 10});
    struct compare_result r = one(&c, COMPARE_TIME);
    assert_int_equal(r.verdict, COMPARE_NO_VERDICT);
    assert_non_null(strstr(r.reason, "repeat"));
    assert_true(fabs(r.effect - 1) < 1e-9 && isnan(r.p) && isnan(r.lo));
    compare_fini(&c);
}

/* Four runs; the groups differ in what is set in b. */
static void four(struct compare *c, struct made a, struct made b)
{
    start(c);
    for (int64_t i = 0; i < 4; i++) {
        a.run = i + 1;
        b.run = i + 11;
        a.s = b.s = 10 + 0.01 * (double)i;
        a.j = 100 + 0.1 * (double)(i * i % 3);
        b.j = 103 + 0.1 * (double)(i * i % 3);
        add(c, 0, &a);
        add(c, 1, &b);
    }
}

static void test_the_meter_decides(void **state)
{
    (void)state;
    struct compare c;
    four(&c, (struct made){0}, (struct made){0});
    struct compare_result r = one(&c, COMPARE_ENERGY);
    assert_int_equal(r.verdict, COMPARE_DIFFERS);
    assert_true(r.slack == 0 && fabs(r.effect - 0.03) < 0.001);
    compare_fini(&c);
    /* 1 % and 2.5 % of two meters that cover the same: 3 % may be all theirs */
    four(&c, (struct made){.gain_ppm = 10000},
         (struct made){.gain_ppm = 25000, .channel = "other"});
    r = one(&c, COMPARE_ENERGY);
    assert_int_equal(r.verdict, COMPARE_UNDECIDED);
    assert_int_equal(r.more, -1);
    assert_true(r.lo < -0.005 && r.hi > 0.065);
    assert_int_equal(one(&c, COMPARE_TIME).verdict, COMPARE_EQUIVALENT);
    compare_fini(&c);
    four(&c, (struct made){.gain_ppm = 10000}, (struct made){.channel = "other"});
    assert_non_null(strstr(one(&c, COMPARE_ENERGY).reason, "accuracy"));
    compare_fini(&c);
    four(&c, (struct made){0}, (struct made){.scope = "node"});
    assert_non_null(strstr(one(&c, COMPARE_ENERGY).reason, "different things"));
    compare_fini(&c);
}

static void test_estimates_are_not_judged(void **state)
{
    (void)state;
    struct compare c;
    struct compare_side s;
    four(&c, (struct made){0}, (struct made){.quality = "estimated"});
    for (size_t q = COMPARE_ENERGY; q <= COMPARE_MEAN_POWER; q++) {
        struct compare_result r = one(&c, q);
        assert_int_equal(r.verdict, COMPARE_NO_VERDICT);
        assert_non_null(strstr(r.reason, "estimates"));
        assert_true(isnan(r.p) && isnan(r.lo) && isnan(r.equivalence));
    }
    compare_side(&c, 1, COMPARE_ENERGY, &s);
    assert_true(s.estimated);
    compare_side(&c, 1, COMPARE_TIME, &s);
    assert_false(s.estimated);
    assert_int_equal(one(&c, COMPARE_TIME).verdict, COMPARE_EQUIVALENT);
    compare_fini(&c);
}

static void test_what_takes_no_part(void **state)
{
    (void)state;
    struct compare c;
    start(&c);
    add(&c, 0, &(struct made){.run = 1, .s = 1, .state = "failed"});
    add(&c, 0, &(struct made){.run = 2, .s = 1, .keys = {"role"}, .values = {"canary"}});
    add(&c, 0, &(struct made){.run = 3, .s = 1, .j = 5, .flags = "overlap"});
    add(&c, 0, &(struct made){.run = 4, .s = 1});
    assert_int_equal(c.nleft, 2);
    assert_int_equal(c.groups[0].n, 2);
    assert_non_null(strstr(c.runs[0].why_no_energy, "shared"));
    assert_non_null(strstr(c.runs[1].why_no_energy, "not known"));
    assert_true(isnan(c.runs[0].values[COMPARE_ENERGY]) && c.runs[0].values[COMPARE_TIME] == 1);
    assert_true(compare_has(&c, 1) && compare_has(&c, 4) && !compare_has(&c, 5));
    compare_fini(&c);
}

static void test_pairs(void **state)
{
    (void)state;
    struct compare c;
    static const char *const blocks[] = {"1", "2", "3", "4"};
    start(&c);
    for (int64_t i = 0; i < 4; i++)
        for (size_t g = 0; g < 2; g++) {
            if (g == 1 && i == 3)
                continue; /* one without a partner */
            add(&c, g,
                &(struct made){.run = 2 * i + (int64_t)g + 1,
                               .s = 1 + (double)i + 0.01 * (double)g +
                                    0.001 * (double)(i * (int64_t)g),
                               .keys = {"lr", "block"},
                               .values = {g ? "1" : "2", blocks[i]}});
        }
    struct compare_result r = one(&c, COMPARE_TIME);
    assert_int_equal(r.test, STATS_PAIRED);
    assert_string_equal(r.matched, "block");
    assert_true(r.n == 3 && r.nref == 3);
    compare_fini(&c);
    /* two runs of one group in the same place: whose partner is whose? */
    start(&c);
    for (int64_t i = 0; i < 4; i++)
        add(&c, (size_t)i % 2,
            &(struct made){.run = i + 1, .s = 1 + (double)i, .keys = {"repeat"}, .values = {"1"}});
    r = one(&c, COMPARE_TIME);
    assert_int_equal(r.test, STATS_WELCH);
    assert_null(r.matched);
    compare_fini(&c);
}

static void test_metrics_and_signs(void **state)
{
    (void)state;
    const char *const metrics[] = {"loss"};
    struct compare c;
    compare_init(&c, metrics, 1, 0.02);
    compare_add_group(&c, "a");
    compare_add_group(&c, "b");
    for (int64_t i = 0; i < 4; i++) {
        add(&c, 0, &(struct made){.run = i + 1, .s = 1, .loss = -1 + 0.01 * (double)i});
        add(&c, 1, &(struct made){.run = i + 11, .s = 1, .loss = 2 + 0.01 * (double)i});
    }
    struct compare_result r = one(&c, COMPARE_METRICS);
    assert_false(r.ratio); /* a sign changes: no percent of that */
    assert_true(fabs(r.effect - 3) < 1e-9);
    assert_int_equal(r.verdict, COMPARE_DIFFERS);
    r = one(&c, COMPARE_TIME);
    assert_int_equal(r.verdict, COMPARE_NO_VERDICT); /* no spread is no certainty */
    assert_non_null(one(&c, COMPARE_ENERGY).reason);
    compare_fini(&c);
}

static void test_keys_and_order(void **state)
{
    (void)state;
    struct compare c;
    size_t n = 0;
    static const char *const values[] = {"10", "9", "100"};
    compare_init(&c, NULL, 0, 0.02);
    for (int64_t i = 0; i < 6; i++)
        add(&c, compare_group_of(&c, values[i % 3]),
            &(struct made){.run = i + 1,
                           .s = 1,
                           .keys = {"batch", "lr"},
                           .values = {values[i % 3], i < 3 ? "0.1" : "0.2"}});
    assert_true(compare_sort(&c, "100"));
    assert_string_equal(c.groups[0].name, "100");
    assert_string_equal(c.groups[1].name, "9");
    assert_string_equal(c.groups[2].name, "10");
    assert_int_equal(c.runs[0].group, 2);
    assert_false(compare_sort(&c, "7"));
    struct compare_key *k = compare_keys(&c, &n);
    assert_int_equal(n, 2);
    assert_true(strcmp(k[0].key, "batch") == 0 && k[0].differs);
    assert_true(strcmp(k[1].key, "lr") == 0 && !k[1].differs);
    assert_string_equal(k[1].values[0], "0.1, 0.2");
    compare_keys_free(&c, k, n);
    compare_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_rarely_called_a_difference),
        cmocka_unit_test(test_what_is_there_is_found),
        cmocka_unit_test(test_one_run_is_no_group),
        cmocka_unit_test(test_the_meter_decides),
        cmocka_unit_test(test_estimates_are_not_judged),
        cmocka_unit_test(test_what_takes_no_part),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_metrics_and_signs),
        cmocka_unit_test(test_keys_and_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
