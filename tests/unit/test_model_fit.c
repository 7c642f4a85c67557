/* The energy model on generated runs, where the truth is known: it finds the law where there is one of its
 * form, says so where there is not, and lets nothing in that was not measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "daemon/model/workset.h"
#include "model_law.h"

#define BOOTSTRAPS 200

static struct fit fit_law(const struct law *l, size_t points, uint64_t seed)
{
    struct law_runs r = law_sweep(l, points, 3, seed);
    struct fit f;
    struct err e = {0};
    int rc = fit_make(
        &f, r.run, r.n,
        &(struct fit_options){.caches = l->caches, .bootstraps = BOOTSTRAPS, .seed = seed}, &e);
    if (rc < 0)
        fail_msg("%s", e.text);
    free(r.run);
    return f;
}

static int inside(const struct fit_law *law, const double *truth, int *of)
{
    int in = 0;
    for (size_t j = 0; j < law->n; j++) {
        if (!law->term[j].used)
            continue;
        /* A bound of 0 is no statement about a coefficient that cannot be negative. */
        in += truth[j] <= law->term[j].hi && (truth[j] >= law->term[j].lo || law->term[j].lo == 0);
        (*of)++;
    }
    return in;
}

/* A 95 % interval may miss one in twenty; over all machines, seeds and terms, most must hold. */
static void test_recovers_the_law(void **state)
{
    (void)state;
    const struct law laws[] = {law_study(), law_small()};
    int in = 0;
    int of = 0;
    int alarms = 0;
    for (size_t m = 0; m < ARRAY_LEN(laws); m++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            struct fit f = fit_law(&laws[m], 150, seed);
            in += inside(&f.time, laws[m].time, &of);
            in += inside(&f.power, laws[m].power, &of);
            assert_int_equal(f.form, FIT_SUM);
            for (int fold = 0; fold < FIT_FOLDS; fold++) {
                assert_true(f.cv[fold].error.time.mean_abs < 1.5 * f.noise.time);
                assert_true(f.cv[fold].error.energy.mean_abs < 1.5 * f.noise.energy);
                assert_true(f.cv[fold].error.energy.mean_abs < 0.055);
            }
            alarms += !f.left_time.clean + !f.left_power.clean;
            fit_free(&f);
        }
    assert_true(alarms <= 3); /* of 16 tests at 5 % */
    if (in < 0.88 * of)
        fail_msg("%d of %d coefficients lie in their interval", in, of);
}

static void test_repeat_noise_is_what_was_put_in(void **state)
{
    (void)state;
    struct law l = law_study();
    struct fit f = fit_law(&l, 200, 4);
    assert_true(fabs(f.noise.time / l.noise_time - 1) < 0.1);
    assert_true(fabs(f.noise.power / l.noise_power - 1) < 0.1);
    assert_true(fabs(f.left_time.misfit - 1) < 0.15);
    assert_true(f.idle_w == l.idle_w);
    assert_int_equal(f.time_runs, 600);
    fit_free(&f);
}

/* Where moving and computing overlap, the other form is found, with its coefficients. */
static void test_finds_the_other_form(void **state)
{
    (void)state;
    struct law l = law_small();
    l.form = FIT_MAX;
    l.time[FIT_LEVEL] = 6e-11;
    l.time[FIT_LEVEL + 1] = 2e-10;
    l.time[FIT_LEVEL + 2] = 5e-10;
    l.time[FIT_LEVEL + 3] = 1.2e-9;
    struct fit f = fit_law(&l, 250, 2);
    int of = 0;
    assert_int_equal(f.form, FIT_MAX);
    assert_true(f.form_cv[FIT_MAX] < f.form_cv[FIT_SUM]);
    assert_true(inside(&f.time, l.time, &of) >= of - 1);
    assert_true(f.cv[FIT_BY_SIZE].error.time.mean_abs < 1.5 * f.noise.time);
    fit_free(&f);
}

static void test_says_when_the_truth_is_another(void **state)
{
    (void)state;
    struct law deep = law_small();
    deep.depth2 = 4e-7;
    struct fit f = fit_law(&deep, 150, 3);
    assert_false(f.left_time.clean);
    assert_true(f.left_time.left[FIT_LEFT_DEPTH].p < 0.05);
    assert_non_null(strstr(f.left_time.sentence, "depth"));
    assert_true(f.left_time.misfit > 1.5);
    fit_free(&f);

    struct law pages = law_small();
    pages.tlb = 0.25;
    pages.tlb_params = 1 << 16;
    f = fit_law(&pages, 200, 3);
    assert_false(f.left_time.clean);
    assert_true(f.left_time.left[FIT_LEFT_SIZE].p < 0.05);
    fit_free(&f);
}

static void no_caches(struct law *l)
{
    for (int k = 0; k < CACHES_LEVELS_MAX; k++) {
        l->time[FIT_LEVEL + k] = 4e-11;
        l->power[FIT_LEVEL + k] = 3e-11;
    }
}

static void test_placebo_and_rivals_with_a_cache_effect(void **state)
{
    (void)state;
    const struct law laws[] = {law_study(), law_small()};
    for (size_t m = 0; m < ARRAY_LEN(laws); m++) {
        struct fit f = fit_law(&laws[m], 200, 5);
        assert_int_equal(f.placebo.verdict, FIT_NEAR_ONE);
        assert_true(f.placebo.best > 0.7 && f.placebo.best < 1.5);
        for (int fold = 0; fold < FIT_FOLDS; fold++) {
            double ours = f.cv[fold].error.time.mean_abs;
            assert_true(f.rival[FIT_RIVAL_NO_CACHE][fold].error.time.mean_abs > 1.5 * ours);
            assert_true(f.rival[FIT_RIVAL_OPS][fold].error.time.mean_abs > 1.5 * ours);
            assert_true(f.rival[FIT_RIVAL_SPLINE][fold].error.energy.mean_abs >
                        1.5 * f.cv[fold].error.energy.mean_abs);
        }
        fit_free(&f);
    }
}

static void test_placebo_and_rivals_without_one(void **state)
{
    (void)state;
    struct law l = law_small();
    no_caches(&l);
    l.threads = 1;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fit f = fit_law(&l, 200, seed);
        assert_int_equal(f.placebo.verdict, FIT_FLAT);
        assert_true(f.rival[FIT_RIVAL_NO_CACHE][FIT_BY_SIZE].error.time.mean_abs <
                    1.02 * f.cv[FIT_BY_SIZE].error.time.mean_abs);
        fit_free(&f);
    }
}

/* Joules that are a guess, or of another meter, or without idle power, teach time and nothing else. */
static void test_estimates_never_enter(void **state)
{
    (void)state;
    struct law l = law_small();
    struct law_runs r = law_sweep(&l, 100, 2, 9);
    struct fit_options o = {.caches = l.caches, .seed = 1};
    struct fit f;
    for (size_t i = 0; i < r.n; i++) {
        r.run[i].quality = STUDY_ESTIMATED;
        r.run[i].excluded = STUDY_X(ESTIMATE);
    }
    assert_int_equal(fit_make(&f, r.run, r.n, &o, NULL), 0);
    assert_int_equal(f.has, FIT_NO_ENERGY);
    assert_int_equal(f.time_runs, r.n);
    assert_int_equal(f.energy_runs, 0);
    assert_int_equal(f.inside.energy.n, 0);
    assert_true(isnan(f.inside.energy.mean_abs) && isnan(f.idle_w));
    assert_int_equal(f.rival[FIT_RIVAL_POWER_MEASURED][FIT_BY_SIZE].error.energy.n, 0);
    struct fit_prediction p;
    struct net n;
    assert_int_equal(net_search(&n, NET_RECTANGLE, 4, 26, 4, 1 << 12, NULL), 0);
    struct fit_network net = {&n, 10366, 2592, 256, 1, 4, 30};
    fit_predict(&f, &net, &p);
    assert_true(p.train_s.value > 0 && isnan(p.train_j.value) && isnan(p.run_j.value));
    fit_free(&f);
    /* One flag alone is enough: a quality nobody flagged does not enter either. */
    for (size_t i = 0; i < r.n; i++)
        r.run[i].excluded = 0;
    assert_int_equal(fit_make(&f, r.run, r.n, &o, NULL), 0);
    assert_int_equal(f.energy_runs, 0);
    fit_free(&f);
    free(r.run);
}

static void test_what_was_left_out_is_listed(void **state)
{
    (void)state;
    struct law l = law_small();
    struct law_runs r = law_sweep(&l, 100, 2, 11);
    struct fit_options o = {.caches = l.caches, .seed = 1};
    struct fit f;
    r.run[0].excluded = STUDY_X(WARMUP);
    r.run[0].train_s *= 50;
    r.run[1].train_s = (double)NAN;
    r.run[2].idle_w = (double)NAN;
    base_strcpy(r.run[3].scope, sizeof(r.run[3].scope), "package");
    r.run[4].excluded = STUDY_X(COVERAGE);
    assert_int_equal(fit_make(&f, r.run, r.n, &o, NULL), 0);
    assert_int_equal(f.runs, r.n);
    assert_int_equal(f.time_runs, r.n - 2);
    assert_int_equal(f.energy_runs, r.n - 5);
    assert_true(!f.run[0].time && f.run[0].excluded == STUDY_X(WARMUP));
    assert_true(!f.run[1].time && f.run[1].refused);
    assert_true(f.run[2].time && !f.run[2].energy && f.run[2].refused);
    assert_true(f.run[3].time && !f.run[3].energy && f.run[3].refused);
    assert_true(f.run[4].time && !f.run[4].energy);
    assert_true(f.run[5].time && f.run[5].energy && !f.run[5].refused);
    assert_true(f.inside.time.mean_abs < 1.5 * l.noise_time);
    fit_free(&f);
    free(r.run);
}

static void test_refuses_mixtures_and_little_data(void **state)
{
    (void)state;
    struct law l = law_small();
    struct law_runs r = law_sweep(&l, 40, 1, 1);
    struct fit_options o = {.caches = l.caches, .seed = 1};
    struct fit f;
    struct err e = {0};
    assert_int_equal(fit_make(&f, r.run, 5, &o, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "there are 5"));
    assert_int_equal(fit_make(&f, r.run, 0, &o, &e), WATTQ_E_INVALID);
    base_strcpy(r.run[7].backend, sizeof(r.run[7].backend), "reference f64");
    assert_int_equal(fit_make(&f, r.run, r.n, &o, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "two backends"));
    r.run[7].excluded = STUDY_X(STOPPED); /* what is left out may be of any kind */
    assert_int_equal(fit_make(&f, r.run, r.n, &o, &e), 0);
    fit_free(&f);
    free(r.run);
}

static void test_one_seed_one_answer(void **state)
{
    (void)state;
    struct law l = law_study();
    struct fit a = fit_law(&l, 80, 21);
    struct fit b = fit_law(&l, 80, 21);
    assert_memory_equal(a.time.term, b.time.term, sizeof(a.time.term));
    assert_memory_equal(a.power.term, b.power.term, sizeof(a.power.term));
    assert_memory_equal(&a.placebo, &b.placebo, sizeof(a.placebo));
    fit_free(&a);
    fit_free(&b);
}

/* Bytes of one step, by hand: a net that lies in one level alone. */
static void test_features_by_hand(void **state)
{
    (void)state;
    struct net n = {.shape = NET_FREE, .depth = 2, .inputs = 3, .widths = {5, 2}};
    struct fit_network net = {&n, 512, 0, 256, 2, 4, 1};
    struct fit_features f;
    fit_features_make(&f, &net, false, &law_cloud, 1);
    double params = 4 * 5 + 6 * 2;
    double layers = 4 * 256.0 * (3 + 5) + 4 * 256.0 * (5 + 2);
    double widths = 4 * 256.0 * (3 + 5 + 2) - 4 * 256.0 * (3 + 5); /* without the largest layer */
    double backward = widths + 2 * 4 * params;                     /* and Adam's moments */
    assert_int_equal(f.home[WORKSET_B], 0);
    assert_true(fabs(f.moved[0] - (layers + backward + 2 * 3 * 4 * params)) < 1e-6);
    assert_true(fabs(f.unit[0] - ((layers + backward) / 2 + 3 * 4 * params)) < 1e-6);
    assert_true(f.unit[1] + f.unit[2] + f.unit[3] == 0);
    assert_true(f.ops_thread == f.ops / 2);
    /* Caches a thousandth the size: weights and all live further out, the sum stays. */
    struct fit_features small;
    fit_features_make(&small, &net, false, &law_cloud, 1e-6);
    assert_true(small.home[WORKSET_B] == 3 && small.moved[0] == 0 && small.moved[3] > 0);
}

/* 95 % of networks that were never run must lie in their interval, or nearly so many. */
static void test_predicts_what_was_never_run(void **state)
{
    (void)state;
    struct law l = law_study();
    struct fit f = fit_law(&l, 150, 8);
    struct law_runs fresh = law_sweep(&l, 300, 1, 77);
    int in_time = 0;
    int in_energy = 0;
    int in_power = 0;
    for (size_t i = 0; i < fresh.n; i++) {
        const struct study_run *r = &fresh.run[i];
        double watt = r->train_j / r->train_s;
        struct fit_network net = {&r->net, r->rows_train, r->rows_test, 256, 36, 4, r->epochs};
        struct fit_prediction p;
        fit_predict(&f, &net, &p);
        in_time += r->train_s >= p.train_s.lo && r->train_s <= p.train_s.hi;
        in_energy += r->train_j >= p.train_j.lo && r->train_j <= p.train_j.hi;
        assert_true(fabs(p.run_s.value / r->run_s - 1) < 0.15);
        in_power += watt >= p.power_w.lo && watt <= p.power_w.hi;
        assert_true(p.power_w.value > l.idle_w);
        /* What errs is mostly the time; power knows more than joules over seconds. */
        assert_true(p.power_w.hi / p.power_w.value < p.train_j.hi / p.train_j.value);
    }
    if (in_time < 275 || in_energy < 275 || in_power < 275)
        fail_msg("%d times, %d energies and %d powers of 300 lie in their 95 %% interval", in_time,
                 in_energy, in_power);
    struct net huge;
    assert_int_equal(net_search(&huge, NET_RECTANGLE, 4, 26, 4, 1 << 27, NULL), 0);
    struct fit_prediction p;
    fit_predict(&f, &(struct fit_network){&huge, 10366, 2592, 256, 36, 4, 30}, &p);
    assert_true(p.outside && p.where[0] != '\0');
    fit_free(&f);
    free(fresh.run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_by_hand),
        cmocka_unit_test(test_recovers_the_law),
        cmocka_unit_test(test_repeat_noise_is_what_was_put_in),
        cmocka_unit_test(test_finds_the_other_form),
        cmocka_unit_test(test_says_when_the_truth_is_another),
        cmocka_unit_test(test_placebo_and_rivals_with_a_cache_effect),
        cmocka_unit_test(test_placebo_and_rivals_without_one),
        cmocka_unit_test(test_estimates_never_enter),
        cmocka_unit_test(test_what_was_left_out_is_listed),
        cmocka_unit_test(test_refuses_mixtures_and_little_data),
        cmocka_unit_test(test_one_seed_one_answer),
        cmocka_unit_test(test_predicts_what_was_never_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
