/* resources: which GPUs a run gets, what is refused, and that one GPU is never two runs'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "daemon/queue/resources.h"

#define UUID(n) "GPU-fa4e000" #n "-0000-0000-0000-00000000000" #n

static const char *const uuids[] = {UUID(0), UUID(1), UUID(2), UUID(3)};

/* Found in another order than the driver counts them. */
static struct resources four(void)
{
    struct resources r = {0};
    for (size_t i = 4; i-- > 0;) {
        char label[24];
        snprintf(label, sizeof(label), "gpu%zu Fake", i);
        resources_see(&r, uuids[i], label, true, 0);
    }
    return r;
}

static struct spec shared(int gpus)
{
    struct spec s;
    spec_init(&s);
    s.exclusive = false;
    s.gpus = gpus;
    return s;
}

static enum resources_answer choose(const struct resources *r, const struct spec *s, gpu_set barred,
                                    gpu_set *out)
{
    struct resources_want w;
    assert_true(resources_want(r, s, &w));
    const struct resources_aside aside = {.gpus = barred};
    return resources_choose(r, &w, &aside, out);
}

static void give(struct resources *r, gpu_set set, int64_t run, int64_t now_ns)
{
    const struct resources_want w = {0};
    struct resources_count none;
    resources_take(r, &w, set, run, now_ns, &none);
}

static void give_back(struct resources *r, int64_t run)
{
    struct resources_count none = {0};
    resources_free(r, run, &none);
}

static int settle(const struct resources *r, struct spec *s, size_t gpus, struct err *e)
{
    const struct resources_defaults d = {.gpus = gpus};
    return resources_settle(r, s, &d, e);
}

static char **env_of(const struct spec *s, const char *seen, bool own)
{
    const struct resources_told told = {.uuids = seen, .own_cuda = own};
    return resources_env(s, &told);
}

static void names_of(const struct resources *r, gpu_set set, const char *want)
{
    char *text = resources_uuids(r, set);
    assert_string_equal(text, want);
    free(text);
}

static void lowest_free_first(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec two = shared(2), one = shared(1);
    gpu_set set = 0;
    assert_int_equal(choose(&r, &two, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(0) "," UUID(1));
    give(&r, set, 7, 100);
    assert_true(resources_held(&r, 7) == set);
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(2));
    give_back(&r, 7);
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(0));
}

static void strangers_come_last(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec one = shared(1), all = shared(4);
    gpu_set set = 0;
    resources_see(&r, uuids[0], "gpu0 Fake", true, 1);
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(1));
    assert_int_equal(choose(&r, &all, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(0) "," UUID(1) "," UUID(2) "," UUID(3));
}

static void a_damaged_one(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec one = shared(1);
    struct resources_want w = {.gpus = 4}, all = {.all = true};
    gpu_set set = 0;
    char why[RESOURCES_TEXT];
    assert_true(resources_fault(&r, uuids[0], "bad memory"));
    assert_false(resources_fault(&r, uuids[0], "bad memory"));
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(1));
    assert_string_equal(
        resources_why(&r, &w, why),
        "4 GPUs: 3 of the 4 here can be given; gpu0 is given to nobody: bad memory");
    /* To be alone is to own it, and not to see it. */
    assert_int_equal(resources_choose(&r, &all, NULL, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(0) "," UUID(1) "," UUID(2) "," UUID(3));
    names_of(&r, resources_visible(&r, &all, set), UUID(1) "," UUID(2) "," UUID(3));
    resources_see(&r, uuids[0], "", true, 0);
    assert_true(resources_fault(&r, uuids[0], NULL));
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(0));
}

static void one_that_was_taken_out(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec some = shared(4), more = shared(5);
    struct resources_want w = {.gpus = 4};
    const struct resources_defaults d = {.gpus = 1};
    gpu_set set = 0;
    struct err e;
    char why[RESOURCES_TEXT];
    resources_out(&r, uuids[0], "joe took it out");
    resources_see(&r, uuids[0], "", true, 0);
    assert_int_equal(choose(&r, &some, 0, &set), RESOURCES_GONE);
    assert_string_equal(
        resources_why(&r, &w, why),
        "4 GPUs: 3 of the 4 here can be given; gpu0 is given to nobody: joe took it out");
    assert_int_equal(resources_settle(&r, &some, &d, &e), 0); /* waits for it */
    assert_int_equal(resources_settle(&r, &more, &d, &e), WATTQ_E_USAGE);
    resources_out(&r, uuids[0], "");
    resources_see(&r, uuids[0], "", true, 0);
    assert_null(resources_against(&r.gpus[0]));
    assert_int_equal(choose(&r, &some, 0, &set), RESOURCES_FIT);
    /* One that nobody has seen yet. */
    resources_out(&r, "GPU-fa4e0000-0000-0000-0000-000000000009", "Xid 79");
    assert_int_equal(r.ngpus, 5);
    assert_int_equal(resources_here(&r), 4);
}

static void a_lost_one(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec one = shared(1), all = shared(4);
    gpu_set set = 0;
    char why[RESOURCES_TEXT];
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    give(&r, set, 7, 1);
    resources_see(&r, uuids[0], "", false, 0); /* while run 7 has it */
    names_of(&r, resources_held(&r, 7), UUID(0));
    give_back(&r, 7);
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(1));
    assert_int_equal(choose(&r, &all, 0, &set), RESOURCES_GONE);
    struct resources_want w = {.gpus = 4};
    assert_string_equal(resources_why(&r, &w, why), "4 GPUs: 3 of the 4 here can be given");
    resources_see(&r, uuids[0], "", true, 0);
    assert_int_equal(choose(&r, &all, 0, &set), RESOURCES_FIT);
}

static void names(void **state)
{
    (void)state;
    struct resources r = four();
    assert_string_equal(r.gpus[resources_find(&r, "gpu2")].uuid, UUID(2));
    assert_string_equal(r.gpus[resources_find(&r, "3")].uuid, UUID(3));
    assert_string_equal(r.gpus[resources_find(&r, "GPU-fa4e0001")].uuid, UUID(1));
    assert_string_equal(r.gpus[resources_find(&r, UUID(0))].uuid, UUID(0));
    assert_int_equal(resources_find(&r, "GPU-fa4e"), -2);
    assert_int_equal(resources_find(&r, "GPU-"), -1);
    assert_int_equal(resources_find(&r, "gpu"), -1);
    assert_int_equal(resources_find(&r, "gpu4"), -1);
    assert_int_equal(resources_find(&r, "99999999999999999999"), -1);
    assert_true(resources_can_give(UUID(0)));
    assert_false(resources_can_give("GPU-1234567890abcdef"));
    assert_false(resources_can_give("0000:03:00.0"));
}

static void submission(void **state)
{
    (void)state;
    struct resources r = four(), none = {0};
    struct err e = {0};
    struct spec s = shared(SPEC_GPUS_DEFAULT);
    assert_int_equal(settle(&r, &s, 1, &e), 0);
    assert_int_equal(s.gpus, 1);
    s = shared(SPEC_GPUS_DEFAULT);
    assert_int_equal(settle(&r, &s, 9, &e), 0);
    assert_int_equal(s.gpus, 4);
    s = shared(SPEC_GPUS_DEFAULT); /* where there are none nothing is said */
    assert_int_equal(settle(&none, &s, 1, &e), 0);
    assert_int_equal(s.gpus, SPEC_GPUS_DEFAULT);
    s.exclusive = true; /* all there are, at its start */
    assert_int_equal(settle(&r, &s, 1, &e), 0);
    assert_int_equal(s.gpus, SPEC_GPUS_DEFAULT);
    s = shared(5);
    assert_int_equal(settle(&r, &s, 1, &e), WATTQ_E_USAGE);
    assert_string_equal(e.text, "5 GPUs were asked for, but this machine has 4");
    s = shared(1);
    assert_int_equal(settle(&none, &s, 1, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "has none"));
}

static void submission_by_name(void **state)
{
    (void)state;
    struct resources r = four();
    struct err e = {0};
    struct spec s;
    gpu_set set = 0;
    spec_init(&s);
    s.exclusive = false;
    assert_int_equal(spec_gpus_parse(&s, "gpu3,1", &e), 0);
    assert_int_equal(settle(&r, &s, 1, &e), 0);
    assert_string_equal(s.gpu_ids[0], UUID(3));
    assert_int_equal(choose(&r, &s, 0, &set), RESOURCES_FIT);
    names_of(&r, set, UUID(1) "," UUID(3));
    assert_int_equal(spec_gpus_parse(&s, "gpu3,3", &e), 0);
    assert_int_equal(settle(&r, &s, 1, &e), WATTQ_E_USAGE);
    assert_int_equal(spec_gpus_parse(&s, "gpu7", &e), 0);
    assert_int_equal(settle(&r, &s, 1, &e), WATTQ_E_USAGE);
    assert_string_equal(e.text, "no GPU here is called 'gpu7'; this machine has 4");
    spec_fini(&s);
}

static void exclusive_owns_all(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec s = shared(2), one = shared(1);
    struct resources_want w;
    gpu_set set = 0;
    char why[RESOURCES_TEXT];
    s.exclusive = true;
    assert_int_equal(choose(&r, &s, 0, &set), RESOURCES_FIT);
    assert_int_equal(set, 15);
    assert_true(resources_want(&r, &s, &w));
    names_of(&r, resources_visible(&r, &w, set), UUID(0) "," UUID(1));
    s.gpus = SPEC_GPUS_DEFAULT;
    assert_true(resources_want(&r, &s, &w));
    assert_true(resources_visible(&r, &w, set) == set);
    give(&r, set, 12, 1);
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_WAIT);
    assert_true(resources_want(&r, &one, &w));
    assert_string_equal(resources_why(&r, &w, why), "1 GPU: held by run 12");
    one.gpus = 0;
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_FIT);
    assert_int_equal(set, 0);
}

static void what_is_kept_for_another(void **state)
{
    (void)state;
    struct resources r = four();
    struct spec one = shared(1);
    gpu_set set = 0;
    assert_int_equal(choose(&r, &one, ~(gpu_set)0, &set), RESOURCES_WAIT);
    assert_int_equal(choose(&r, &one, 8 + 4, &set), RESOURCES_FIT); /* gpu0 is the fourth found */
    assert_false(set & (8 + 4));
}

static void in_the_environment(void **state)
{
    (void)state;
    struct spec s = shared(1);
    char **env = env_of(&s, UUID(1), true);
    assert_string_equal(env[0], "CUDA_VISIBLE_DEVICES=" UUID(1));
    assert_string_equal(env[1], "CUDA_DEVICE_ORDER=PCI_BUS_ID");
    assert_string_equal(env[2], "WATTQ_GPUS=" UUID(1));
    assert_null(env[3]);
    resources_env_free(env);
    s.gpus = 0;
    env = env_of(&s, "", false);
    assert_string_equal(env[0], "CUDA_VISIBLE_DEVICES=");
    resources_env_free(env);
    s.gpus = SPEC_GPUS_DEFAULT; /* a machine without GPUs */
    env = env_of(&s, "", false);
    assert_null(env[0]);
    resources_env_free(env);
    s.exclusive = true; /* his own choice among all that are his */
    env = env_of(&s, UUID(0) "," UUID(1), true);
    assert_string_equal(env[0], "WATTQ_GPUS=" UUID(0) "," UUID(1));
    assert_null(env[1]);
    resources_env_free(env);
}

/* Whatever comes and goes: a GPU is one run's, and a run that fits has exactly what it wants. */
static void never_two_owners(void **state)
{
    (void)state;
    struct resources r = four();
    uint64_t seed = 20260101;
    for (int64_t run = 1; run < 2000; run++) {
        struct spec s = shared((int)(random_next(&seed) % 5));
        gpu_set set = 0, before = 0;
        for (int64_t k = 1; k < run; k++)
            before |= resources_held(&r, k);
        resources_see(&r, uuids[random_next(&seed) % 4], "", random_next(&seed) % 3 > 0,
                      random_next(&seed) % 2);
        if (choose(&r, &s, 0, &set) == RESOURCES_FIT) {
            assert_int_equal(__builtin_popcount(set), s.gpus);
            assert_true((set & before) == 0);
            give(&r, set, run, run);
        }
        give_back(&r, 1 + (int64_t)(random_next(&seed) % (uint64_t)run));
    }
}

/* ---- what is counted ---------------------------------------------------------------------------- */

static struct resources eight_cpus(void)
{
    struct resources r = four();
    r.have.n[RESOURCES_CPUS] = 8;
    return r;
}

static struct spec with_cpus(int64_t cpus, int gpus)
{
    struct spec s = shared(gpus);
    s.cpus = cpus;
    return s;
}

static void cpus_are_counted(void **state)
{
    (void)state;
    struct resources r = eight_cpus();
    struct resources_count a, b;
    struct resources_want w;
    struct spec six = with_cpus(6, 0), two = with_cpus(2, 0), three = with_cpus(3, 0);
    gpu_set set = 0;
    char why[RESOURCES_TEXT];
    assert_true(resources_want(&r, &six, &w));
    assert_int_equal(resources_choose(&r, &w, NULL, &set), RESOURCES_FIT);
    resources_take(&r, &w, set, 1, 1, &a);
    assert_int_equal(r.given.n[RESOURCES_CPUS], 6);
    assert_int_equal(choose(&r, &three, 0, &set), RESOURCES_WAIT);
    assert_true(resources_want(&r, &three, &w));
    assert_string_equal(resources_why(&r, &w, why), "3 CPUs: of 8 CPUs only 2 CPUs left");
    assert_true(resources_want(&r, &two, &w));
    assert_int_equal(resources_choose(&r, &w, NULL, &set), RESOURCES_FIT);
    resources_take(&r, &w, set, 2, 1, &b);
    resources_free(&r, 1, &a);
    assert_int_equal(choose(&r, &six, 0, &set), RESOURCES_FIT);
    resources_free(&r, 2, &b);
    resources_free(&r, 2, &b); /* its share is gone: twice is once */
    assert_int_equal(r.given.n[RESOURCES_CPUS], 0);
    r.have.n[RESOURCES_CPUS] = 4; /* a smaller machine, after a restart */
    assert_int_equal(choose(&r, &six, 0, &set), RESOURCES_GONE);
    r.have.n[RESOURCES_CPUS] = 0; /* not known: nobody waits for it */
    assert_int_equal(choose(&r, &six, 0, &set), RESOURCES_FIT);
}

static void exclusive_has_all_cpus(void **state)
{
    (void)state;
    struct resources r = eight_cpus();
    struct resources_count share;
    struct resources_want w;
    struct spec s = with_cpus(2, 0), one = with_cpus(1, 0);
    gpu_set set = 0;
    s.exclusive = true;
    assert_true(resources_want(&r, &s, &w));
    assert_int_equal(resources_choose(&r, &w, NULL, &set), RESOURCES_FIT);
    resources_take(&r, &w, set, 1, 1, &share);
    assert_int_equal(r.given.n[RESOURCES_CPUS], 8);
    assert_int_equal(resources_cpus(&r, &s), 2);
    s.cpus = 0;
    assert_int_equal(resources_cpus(&r, &s), 8);
    assert_int_equal(choose(&r, &one, 0, &set), RESOURCES_WAIT);
    resources_free(&r, 1, &share);
    r.given.n[RESOURCES_CPUS] = 1;
    assert_int_equal(choose(&r, &s, 0, &set), RESOURCES_WAIT);
}

static void cpus_at_submission(void **state)
{
    (void)state;
    struct resources r = eight_cpus();
    struct err e = {0};
    struct spec s = shared(0);
    assert_int_equal(settle(&r, &s, 1, &e), 0);
    assert_int_equal(s.cpus, 1);
    s = with_cpus(9, 0);
    assert_int_equal(settle(&r, &s, 1, &e), WATTQ_E_USAGE);
    assert_string_equal(e.text, "9 CPUs were asked for, but this machine has 8 CPUs for runs");
    s.exclusive = true;
    s.cpus = 0;
    assert_int_equal(settle(&r, &s, 1, &e), 0);
    assert_int_equal(s.cpus, 0);
    char word[] = "--threads", two[] = "2", three[] = "--threads=3", wrong[] = "--threads=-1";
    char *argv[] = {word, two, three, NULL};
    struct spec t = shared(0);
    t.kind = SPEC_TRAIN;
    t.argv = argv;
    t.argc = 3;
    assert_int_equal(settle(&r, &t, 1, &e), 0);
    assert_int_equal(t.cpus, 3);
    t.cpus = 0;
    argv[2] = wrong; /* the trainer says what is wrong with that */
    assert_int_equal(settle(&r, &t, 1, &e), 0);
    assert_int_equal(t.cpus, 1);
}

/* One that waits for GPUs alone loses nothing by those that pass it. */
static void put_aside(void **state)
{
    (void)state;
    struct resources r = eight_cpus();
    struct resources_aside aside = {0};
    struct resources_want w;
    struct spec head = with_cpus(6, 4), two = with_cpus(2, 0), three = with_cpus(3, 0);
    gpu_set set = 0;
    give(&r, 1, 7, 1);
    assert_int_equal(choose(&r, &head, 0, &set), RESOURCES_WAIT);
    assert_true(resources_want(&r, &head, &w));
    assert_true(resources_waits_gpus(&r, &w, &aside));
    resources_set_aside(&w, 2, &aside);
    assert_int_equal(aside.gpus, 2);
    assert_true(resources_want(&r, &two, &w));
    assert_int_equal(resources_choose(&r, &w, &aside, &set), RESOURCES_FIT);
    assert_true(resources_want(&r, &three, &w));
    assert_int_equal(resources_choose(&r, &w, &aside, &set), RESOURCES_WAIT);
    assert_false(resources_waits_gpus(&r, &w, &aside));
}

static void cpus_in_the_environment(void **state)
{
    (void)state;
    struct spec s = with_cpus(2, SPEC_GPUS_DEFAULT);
    struct resources_told told = {.uuids = "", .cpus = 2};
    char **env = resources_env(&s, &told);
    assert_string_equal(env[0], "WATTQ_CPUS=2");
    assert_string_equal(env[1], "OMP_NUM_THREADS=2");
    assert_null(env[2]);
    resources_env_free(env);
    told.own_threads = true;
    env = resources_env(&s, &told);
    assert_string_equal(env[0], "WATTQ_CPUS=2");
    assert_null(env[1]);
    resources_env_free(env);
    told = (struct resources_told){.uuids = "", .cpus = 8};
    s.cpus = 0;
    s.exclusive = true; /* all there are: a program that counts CPUs finds that itself */
    env = resources_env(&s, &told);
    assert_string_equal(env[0], "WATTQ_CPUS=8");
    assert_null(env[1]);
    resources_env_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lowest_free_first),
                                       cmocka_unit_test(strangers_come_last),
                                       cmocka_unit_test(a_damaged_one),
                                       cmocka_unit_test(a_lost_one),
                                       cmocka_unit_test(one_that_was_taken_out),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(submission),
                                       cmocka_unit_test(submission_by_name),
                                       cmocka_unit_test(exclusive_owns_all),
                                       cmocka_unit_test(what_is_kept_for_another),
                                       cmocka_unit_test(in_the_environment),
                                       cmocka_unit_test(never_two_owners),
                                       cmocka_unit_test(cpus_are_counted),
                                       cmocka_unit_test(exclusive_has_all_cpus),
                                       cmocka_unit_test(cpus_at_submission),
                                       cmocka_unit_test(put_aside),
                                       cmocka_unit_test(cpus_in_the_environment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
