/* A model on its way into the database and back: what was written is read, predictions are the same, and what is
 * missing or mangled is an error with a name, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/json.h"
#include "client/model_json.h"
#include "client/model_load.h"
#include "model_law.h"

static struct fit fitted(bool estimated)
{
    struct law l = law_small();
    struct law_runs r = law_sweep(&l, 80, 2, 3);
    struct fit f;
    for (size_t i = 0; i < r.n && estimated; i++)
        r.run[i].excluded = STUDY_X(ESTIMATE);
    r.run[5].excluded = STUDY_X(OVERLAP) | STUDY_X(OUTLIER);
    r.run[6].excluded |= STUDY_X(COVERAGE);
    struct fit_options o = {.caches = l.caches, .bootstraps = 50, .seed = 4};
    assert_int_equal(fit_make(&f, r.run, r.n, &o, NULL), 0);
    free(r.run);
    return f;
}

/* Through text, as the database keeps it. */
static json_t *through_text(json_t *v)
{
    char *s = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_t *back = json_loads(s, 0, NULL);
    assert_non_null(back);
    assert_true(strlen(s) < 100000);
    free(s);
    json_decref(v);
    return back;
}

static void near(double a, double b)
{
    if (isnan(a) != isnan(b) || fabs(a - b) > 1e-9 * fabs(b))
        fail_msg("%.17g is not %.17g", a, b);
}

static void same_error(const struct fit_error *a, const struct fit_error *b)
{
    assert_int_equal(a->n, b->n);
    near(a->mean_abs, b->mean_abs);
    near(a->p90_abs, b->p90_abs);
    near(a->within20, b->within20);
    near(a->mean_ratio, b->mean_ratio);
    near(a->sd_log, b->sd_log);
}

/* What the terms' rows carry beside the report. */
static struct fit read_back(const struct fit *f)
{
    struct fit g = {0};
    json_t *report = through_text(model_report_json(f));
    json_t *caches = through_text(model_caches_json(&f->caches));
    assert_int_equal(model_caches_read(&g.caches, caches, NULL), 0);
    g.time.n = g.power.n = FIT_LEVEL + g.caches.n;
    assert_int_equal(model_report_read(&g, report, NULL), 0);
    memcpy(g.time.term, f->time.term, sizeof(g.time.term));
    memcpy(g.power.term, f->power.term, sizeof(g.power.term));
    g.has = f->has;
    json_decref(report);
    json_decref(caches);
    return g;
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    for (int estimated = 0; estimated < 2; estimated++) {
        struct fit f = fitted(estimated);
        struct fit g = read_back(&f);
        assert_int_equal(g.form, f.form);
        assert_int_equal(g.quality, f.quality);
        assert_string_equal(g.no_energy, f.no_energy);
        assert_int_equal(g.no_energy[0] != '\0', estimated);
        assert_int_equal(g.caches.n, f.caches.n);
        assert_string_equal(g.caches.level[2].name, "L3");
        assert_int_equal(g.placebo.verdict, f.placebo.verdict);
        assert_int_equal(g.placebo.n, f.placebo.n);
        assert_string_equal(g.left_time.sentence, f.left_time.sentence);
        near(g.placebo.error[3], f.placebo.error[3]);
        near(g.noise.energy, f.noise.energy);
        near(g.idle_w, f.idle_w);
        near(g.left_time.left[FIT_LEFT_DEPTH].p, f.left_time.left[FIT_LEFT_DEPTH].p);
        for (int k = 0; k < FIT_FOLDS; k++) {
            same_error(&g.cv[k].error.energy, &f.cv[k].error.energy);
            same_error(&g.rival[FIT_RIVAL_SPLINE][k].error.time,
                       &f.rival[FIT_RIVAL_SPLINE][k].error.time);
        }
        fit_free(&f);
    }
}

static void test_predictions_are_the_same(void **state)
{
    (void)state;
    struct fit f = fitted(false);
    struct fit g = read_back(&f);
    struct fit_prediction a;
    struct fit_prediction b;
    struct net n;
    for (int k = 6; k < 24; k += 3) {
        assert_int_equal(net_search(&n, NET_TRAPEZOID, 4, 26, 4, INT64_C(1) << k, NULL) < 0, 0);
        struct fit_network net = {&n, 10366, 2592, 256, 1, 4, 30};
        fit_predict(&f, &net, &a);
        fit_predict(&g, &net, &b);
        near(b.run_j.value, a.run_j.value);
        near(b.run_j.lo, a.run_j.lo);
        near(b.run_s.hi, a.run_s.hi);
        assert_int_equal(a.outside, b.outside);
    }
    fit_free(&f);
}

static void test_reasons(void **state)
{
    (void)state;
    struct fit f = fitted(false);
    char *s = model_reason(&f, &f.run[5]);
    assert_string_equal(s, "filter_3, overlap");
    free(s);
    s = model_reason(&f, &f.run[6]);
    assert_string_equal(s, "joules: coverage");
    free(s);
    assert_null(model_reason(&f, &f.run[7]));
    fit_free(&f);
    f = fitted(true);
    s = model_reason(&f, &f.run[7]);
    assert_string_equal(s, "joules: estimate");
    free(s);
    fit_free(&f);
}

/* Every object loses each of its keys in turn, or has it replaced by something else; by what, the seed says. */
static void mangle(json_t *root, json_t *at, uint64_t *seed, const struct caches *caches)
{
    const char *key;
    json_t *v;
    void *next;
    json_object_foreach_safe(at, next, key, v)
    {
        char name[64];
        base_strcpy(name, sizeof(name), key);
        json_t *kept = json_incref(v);
        json_t *const other[] = {json_string("x"), json_integer(-7), json_array(), json_null()};
        struct fit g = {.caches = *caches};
        struct err e = {0};
        g.time.n = g.power.n = FIT_LEVEL + caches->n;
        size_t by = fit_random(seed) % (ARRAY_LEN(other) + 1);
        if (by == ARRAY_LEN(other))
            json_object_del(at, name);
        else
            json_object_set(at, name, other[by]);
        int rc = model_report_read(&g, root, &e);
        assert_true(rc == 0 || (rc == WATTQ_E_CORRUPT && e.text[0]));
        assert_true(g.placebo.n <= FIT_FACTORS_MAX && g.form < FIT_FORMS &&
                    g.placebo.verdict <= FIT_NOT_JUDGED);
        json_object_set(at, name, kept);
        for (size_t i = 0; i < ARRAY_LEN(other); i++)
            json_decref(other[i]);
        if (json_is_object(kept))
            mangle(root, kept, seed, caches);
        json_decref(kept);
    }
}

static void test_mangled_reports(void **state)
{
    (void)state;
    const char *asked = getenv("WATTQ_SEED");
    uint64_t seed = asked ? strtoull(asked, NULL, 0) : (uint64_t)getpid() << 8 | 1;
    print_message("WATTQ_SEED=%llu\n", (unsigned long long)seed);
    struct fit f = fitted(false);
    json_t *report = through_text(model_report_json(&f));
    mangle(report, report, &seed, &f.caches);
    json_t *caches = json_pack("{s:[{s:s}]}", "levels", "name", "L1");
    struct caches c;
    assert_int_equal(model_caches_read(&c, caches, NULL), WATTQ_E_CORRUPT);
    json_decref(caches);
    caches = json_object();
    assert_int_equal(model_caches_read(&c, caches, NULL), WATTQ_E_CORRUPT);
    json_decref(caches);
    json_decref(report);
    fit_free(&f);
}

static void test_backends(void **state)
{
    (void)state;
    assert_true(model_backend_is("openblas f32", "openblas"));
    assert_true(model_backend_is("openblas f32", "openblas f32"));
    assert_false(model_backend_is("openblas f32", "open"));
    assert_false(model_backend_is("openblas f32", "openblas f64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_predictions_are_the_same),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_mangled_reports),
        cmocka_unit_test(test_backends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
