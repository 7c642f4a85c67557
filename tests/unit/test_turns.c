/* turns: whose turn it is. The order, and who may start out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "daemon/queue/turns.h"

#define UUID(n) "GPU-fa4e000" #n "-0000-0000-0000-00000000000" #n

struct one {
    int64_t id, uid, priority, place;
    struct resources_want want;
    bool held; /* its sweep is */
    bool full; /* its user has as many going as he may */
    bool gone; /* has started */
};

/* ---- a little machine --------------------------------------------------------------------------- */

struct world {
    struct turns t;
    struct resources r;
    size_t running;
    bool exclusive;
    gpu_set keep; /* after a first one has waited for long */
};

static struct turns_key key_of(const struct one *x)
{
    return (struct turns_key){x->priority, x->uid, x->place, x->id};
}

static void put(struct world *w, struct one *x)
{
    const struct turns_key k = key_of(x);
    turns_put(&w->t, &k, x);
}

static void put_all(struct world *w, struct one *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(w, &list[i]);
}

static void look(void *arg, void *run, struct turns_look *out)
{
    const struct world *w = arg;
    const struct one *x = run;
    out->skip = x->held;
    out->full = x->full;
    out->want = x->want;
    out->blocked = w->exclusive || (x->want.all && w->running > 0);
}

static gpu_set keep(void *arg, void *run, const struct resources_want *want)
{
    const struct world *w = arg;
    (void)run;
    return w->keep & (want->named ? want->named : ~(gpu_set)0);
}

/* Who starts now; it does. 0 = nobody. */
static int64_t start(struct world *w)
{
    const struct turns_rules rules = {look, keep, w};
    struct resources_count share;
    gpu_set gpus = 0;
    struct one *x = turns_pick(&w->t, &w->r, &rules, &gpus);
    if (!x)
        return 0;
    const struct turns_key k = key_of(x);
    assert_true(turns_take(&w->t, &k));
    turns_serve(&w->t, x->uid);
    resources_take(&w->r, &x->want, gpus, x->id, 1, &share);
    w->running++;
    w->exclusive = x->want.all;
    x->gone = true;
    return x->id;
}

static void end(struct world *w, const struct one *x)
{
    struct resources_count share = x->want.count;
    if (x->want.all)
        share = w->r.have;
    resources_free(&w->r, x->id, &share);
    w->running--;
    w->exclusive = false;
}

/* "7 3 9": all of them in the order, and each one's position is its place in it. */
static void order_is(const struct world *w, const char *want)
{
    char text[400] = "";
    struct turns_walk walk;
    struct one *x;
    size_t n = 0;
    turns_walk_begin(&walk, &w->t);
    while ((x = turns_walk_next(&walk)) != NULL) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%d", n ? " " : "", (int)x->id);
        const struct turns_key k = key_of(x);
        assert_int_equal(turns_position(&w->t, &k), ++n);
    }
    turns_walk_end(&walk);
    assert_int_equal(n, w->t.n);
    assert_string_equal(text, want);
}

static void starts_are(struct world *w, const char *want)
{
    char text[400] = "";
    for (int64_t id; (id = start(w)) != 0;) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%d", used ? " " : "", (int)id);
    }
    assert_string_equal(text, want);
}

static struct resources machine(int64_t cpus, size_t gpus)
{
    static const char *const uuids[] = {UUID(0), UUID(1), UUID(2), UUID(3)};
    struct resources r = {.have.n[RESOURCES_CPUS] = cpus};
    for (size_t i = 0; i < gpus; i++) {
        char label[24];
        snprintf(label, sizeof(label), "gpu%zu Fake", i);
        resources_see(&r, uuids[i], label, true, 0);
    }
    return r;
}

static struct one cpu_run(int64_t id, int64_t uid, int64_t cpus)
{
    return (struct one){
        .id = id, .uid = uid, .place = turns_own_place(id), .want.count.n[RESOURCES_CPUS] = cpus};
}

static struct one gpu_run(int64_t id, int64_t uid, int64_t cpus, size_t gpus)
{
    struct one x = cpu_run(id, uid, cpus);
    x.want.gpus = gpus;
    return x;
}

/* ---- order -------------------------------------------------------------------------------------- */

static void users_take_turns(void **state)
{
    (void)state;
    struct world w = {0};
    struct one list[] = {cpu_run(1, 100, 1), cpu_run(2, 100, 1), cpu_run(3, 100, 1),
                         cpu_run(4, 100, 1), cpu_run(5, 200, 1), cpu_run(6, 300, 1),
                         cpu_run(7, 200, 1)};
    put_all(&w, list, 7);
    order_is(&w, "1 5 6 2 7 3 4");
    turns_serve(&w.t, 100);
    order_is(&w, "5 6 1 7 2 3 4");
    turns_serve(&w.t, 300);
    order_is(&w, "5 1 6 7 2 3 4");
    turns_serve(&w.t, 200);
    order_is(&w, "1 6 5 2 7 3 4");
    turns_fini(&w.t);
}

static void one_user_in_order(void **state)
{
    (void)state;
    struct world w = {0};
    struct one list[] = {cpu_run(9, 100, 1), cpu_run(2, 100, 1), cpu_run(5, 100, 1)};
    order_is(&w, "");
    put_all(&w, list, 3);
    order_is(&w, "2 5 9");
    const struct turns_key k = key_of(&list[1]);
    assert_true(turns_take(&w.t, &k));
    assert_false(turns_take(&w.t, &k));
    assert_int_equal(turns_position(&w.t, &k), 0);
    order_is(&w, "5 9");
    turns_fini(&w.t);
}

static void larger_priorities_first(void **state)
{
    (void)state;
    struct world w = {0};
    struct one list[] = {cpu_run(1, 100, 1), cpu_run(2, 100, 1), cpu_run(3, 200, 1),
                         cpu_run(4, 200, 1), cpu_run(5, 100, 1)};
    list[1].priority = -5;
    list[3].priority = 7;
    list[4].priority = 7;
    put_all(&w, list, 5);
    order_is(&w, "4 5 1 3 2");
    turns_serve(&w.t, 200);
    order_is(&w, "5 4 1 3 2");
    turns_fini(&w.t);
}

/* A thousand of one user's keep another waiting for one turn. */
static void a_thousand_wait_for_one(void **state)
{
    (void)state;
    struct world w = {.r = machine(1, 0)};
    struct one *many = calloc(1000, sizeof(*many));
    struct one other = cpu_run(5000, 200, 1), third = cpu_run(5001, 300, 1);
    for (size_t i = 0; i < 1000; i++)
        many[i] = cpu_run((int64_t)i + 1, 100, 1);
    put_all(&w, many, 1000);
    assert_int_equal(start(&w), 1);
    put(&w, &other);
    put(&w, &third);
    assert_int_equal(start(&w), 0);
    end(&w, &many[0]);
    assert_int_equal(start(&w), 5000);
    end(&w, &other);
    assert_int_equal(start(&w), 5001);
    end(&w, &third);
    assert_int_equal(start(&w), 2);
    turns_fini(&w.t);
    free(many);
}

/* Random runs of some users who always have more: nobody is ever two turns ahead of another. */
static void nobody_gets_ahead(void **state)
{
    (void)state;
    struct world w = {.r = machine(1, 0)};
    struct one *all = calloc(600, sizeof(*all));
    int64_t turns[5] = {0};
    uint64_t seed = 20260707;
    for (size_t i = 0; i < 600; i++) {
        all[i] = cpu_run((int64_t)i + 1, (int64_t)(i < 400 ? i % 5 : random_next(&seed) % 5), 1);
        put(&w, &all[i]);
    }
    for (size_t n = 0; n < 400; n++) {
        int64_t id = start(&w);
        assert_true(id > 0);
        turns[all[id - 1].uid]++;
        end(&w, &all[id - 1]);
        int64_t least = INT64_MAX, most = 0;
        for (size_t u = 0; u < 5; u++) {
            least = turns[u] < least ? turns[u] : least;
            most = turns[u] > most ? turns[u] : most;
        }
        assert_true(most - least <= 1);
    }
    turns_fini(&w.t);
    free(all);
}

/* ---- who starts --------------------------------------------------------------------------------- */

static void as_many_as_fit(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 0)};
    struct one list[] = {cpu_run(1, 100, 3), cpu_run(2, 100, 3), cpu_run(3, 200, 2),
                         cpu_run(4, 200, 4), cpu_run(5, 300, 1)};
    put_all(&w, list, 5);
    order_is(&w, "1 3 5 2 4");
    starts_are(&w, "1 3 5"); /* 2 of 8 are left: run 2 is waited for, and nobody passes it */
    end(&w, &list[2]);
    starts_are(&w, "2");
    end(&w, &list[0]);
    starts_are(&w, "4");
    turns_fini(&w.t);
}

static void no_small_one_passes_a_large_one(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 0)};
    struct one list[] = {cpu_run(1, 100, 4), cpu_run(2, 200, 8), cpu_run(3, 300, 1)};
    put_all(&w, list, 3);
    starts_are(&w, "1");
    end(&w, &list[0]);
    starts_are(&w, "2");
    end(&w, &list[1]);
    starts_are(&w, "3");
    turns_fini(&w.t);
}

static void exclusive_is_waited_for(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 2)};
    struct one list[] = {cpu_run(1, 100, 1), cpu_run(2, 200, 0), cpu_run(3, 300, 1),
                         cpu_run(4, 100, 1)};
    list[1].want.all = true;
    put_all(&w, list, 4);
    starts_are(&w, "1");
    end(&w, &list[0]);
    starts_are(&w, "2"); /* and nobody beside it */
    end(&w, &list[1]);
    starts_are(&w, "3 4");
    turns_fini(&w.t);
}

static void held_sweeps_are_stepped_over(void **state)
{
    (void)state;
    struct world w = {.r = machine(2, 0)};
    struct one list[6];
    for (size_t i = 0; i < 6; i++) {
        list[i] = cpu_run((int64_t)i + 1, i < 5 ? 100 : 200, 1);
        list[i].held = i < 4;
    }
    put_all(&w, list, 6);
    /* His fifth comes in his first turn: those that are held are no turns. */
    starts_are(&w, "5 6");
    end(&w, &list[4]);
    list[1].held = false;
    starts_are(&w, "2");
    turns_fini(&w.t);
}

static void who_has_enough_is_left_out(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 0)};
    struct one list[7];
    for (size_t i = 0; i < 7; i++) {
        list[i] = cpu_run((int64_t)i + 1, i < 4 ? 100 : i < 6 ? 200 : 300, 1);
        list[i].full = i < 4;
    }
    list[3].priority = 1;
    put_all(&w, list, 7);
    starts_are(&w, "5 7 6");
    list[0].full = list[3].full = false;
    starts_are(&w, "4 1");
    turns_fini(&w.t);
}

static void what_is_gone_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct world w = {.r = machine(4, 1)};
    struct one list[] = {gpu_run(1, 100, 1, 2), gpu_run(2, 100, 1, 1), cpu_run(3, 200, 9),
                         cpu_run(4, 200, 1)};
    put_all(&w, list, 4);
    starts_are(&w, "2 4");
    turns_fini(&w.t);
}

/* ---- GPUs --------------------------------------------------------------------------------------- */

static void who_waits_for_gpus_is_passed(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 2)};
    struct one list[] = {gpu_run(1, 100, 2, 1), gpu_run(2, 200, 4, 2), cpu_run(3, 300, 2),
                         cpu_run(4, 400, 1), cpu_run(5, 500, 1)};
    put_all(&w, list, 5);
    /* 8 - 2 - 4 that are kept for run 2 leave 2: run 3 takes them, run 4 would take one of those kept. */
    starts_are(&w, "1 3");
    end(&w, &list[0]);
    starts_are(&w, "2 4 5");
    assert_int_equal(w.r.given.n[RESOURCES_CPUS], 8);
    turns_fini(&w.t);
}

static void who_waits_for_cpus_as_well_is_not(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 1)};
    struct one list[] = {gpu_run(1, 100, 6, 1), gpu_run(2, 200, 4, 1), cpu_run(3, 300, 1)};
    put_all(&w, list, 3);
    starts_are(&w, "1");
    end(&w, &list[0]);
    starts_are(&w, "2 3");
    turns_fini(&w.t);
}

static void gpus_go_by_until_they_are_kept(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 2)};
    struct one list[] = {gpu_run(1, 100, 1, 1), gpu_run(2, 200, 1, 2), gpu_run(3, 300, 1, 1),
                         gpu_run(4, 400, 1, 1)};
    put_all(&w, list, 4);
    starts_are(&w, "1 3"); /* run 2 has not waited for long */
    end(&w, &list[2]);
    w.keep = ~(gpu_set)0;
    starts_are(&w, "");
    end(&w, &list[0]);
    starts_are(&w, "2");
    turns_fini(&w.t);
}

static void named_gpus_leave_the_others(void **state)
{
    (void)state;
    struct world w = {.r = machine(8, 2), .keep = ~(gpu_set)0};
    struct one list[] = {gpu_run(1, 100, 1, 1), gpu_run(2, 200, 1, 1), gpu_run(3, 300, 1, 1)};
    list[0].want.named = list[1].want.named = 1;
    put_all(&w, list, 3);
    starts_are(&w, "1 3");
    end(&w, &list[0]);
    starts_are(&w, "2");
    turns_fini(&w.t);
}

/* ---- moving ------------------------------------------------------------------------------------- */

static void move(struct world *w, struct one *list, const int64_t *ids, size_t n, int64_t before)
{
    struct turns_key moved[8], to;
    struct turns_place *places = NULL;
    for (size_t i = 0; i < n; i++)
        moved[i] = key_of(&list[ids[i] - 1]);
    if (before)
        to = key_of(&list[before - 1]);
    size_t m = turns_move(&w->t, moved, n, before ? &to : NULL, &places);
    for (size_t i = 0; i < m; i++) {
        struct one *x = &list[places[i].id - 1];
        const struct turns_key k = key_of(x);
        assert_true(turns_take(&w->t, &k));
    }
    for (size_t i = 0; i < m; i++) {
        struct one *x = &list[places[i].id - 1];
        x->place = places[i].place;
        put(w, x);
    }
    free(places);
}

static void among_own_places(void **state)
{
    (void)state;
    struct world w = {0};
    struct one list[7];
    for (size_t i = 0; i < 7; i++)
        list[i] = cpu_run((int64_t)i + 1, i < 5 ? 100 : 200, 1);
    put_all(&w, list, 7);
    order_is(&w, "1 6 2 7 3 4 5");
    move(&w, list, (const int64_t[]){5}, 1, 0);
    order_is(&w, "5 6 1 7 2 3 4"); /* those of the other stand where they stood */
    move(&w, list, (const int64_t[]){4, 3}, 2, 1);
    order_is(&w, "5 6 4 7 3 1 2");
    move(&w, list, (const int64_t[]){5}, 1, 0); /* is there already */
    order_is(&w, "5 6 4 7 3 1 2");
    move(&w, list, (const int64_t[]){2, 5}, 2, 0);
    order_is(&w, "2 6 5 7 4 3 1");
    move(&w, list, (const int64_t[]){5, 4}, 2, 3);
    order_is(&w, "2 6 5 7 4 3 1");
    turns_fini(&w.t);
}

/* However often: there is always room, and the order is the one asked for. */
static void there_is_always_room(void **state)
{
    (void)state;
    struct world w = {0};
    struct one list[6];
    uint64_t seed = 4711;
    int64_t want[6];
    for (size_t i = 0; i < 6; i++) {
        list[i] = cpu_run((int64_t)i + 1, 100, 1);
        want[i] = (int64_t)i + 1;
    }
    put_all(&w, list, 6);
    for (int n = 0; n < 2000; n++) {
        /* Mostly the same gap, so that it gets narrow. */
        size_t from = random_next(&seed) % 6, to = n % 10 ? 3 : random_next(&seed) % 6;
        if (from == to)
            continue;
        int64_t id = want[from], before = want[to];
        move(&w, list, &id, 1, before);
        memmove(&want[from], &want[from + 1], (5 - from) * sizeof(*want));
        size_t at = 0;
        while (want[at] != before)
            at++;
        memmove(&want[at + 1], &want[at], (5 - at) * sizeof(*want));
        want[at] = id;
        char text[32] = "";
        for (size_t i = 0; i < 6; i++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d", i ? " " : "",
                     (int)want[i]);
        order_is(&w, text);
    }
    turns_fini(&w.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(users_take_turns),
                                       cmocka_unit_test(one_user_in_order),
                                       cmocka_unit_test(larger_priorities_first),
                                       cmocka_unit_test(a_thousand_wait_for_one),
                                       cmocka_unit_test(nobody_gets_ahead),
                                       cmocka_unit_test(as_many_as_fit),
                                       cmocka_unit_test(no_small_one_passes_a_large_one),
                                       cmocka_unit_test(exclusive_is_waited_for),
                                       cmocka_unit_test(held_sweeps_are_stepped_over),
                                       cmocka_unit_test(who_has_enough_is_left_out),
                                       cmocka_unit_test(what_is_gone_keeps_nobody_waiting),
                                       cmocka_unit_test(who_waits_for_gpus_is_passed),
                                       cmocka_unit_test(who_waits_for_cpus_as_well_is_not),
                                       cmocka_unit_test(gpus_go_by_until_they_are_kept),
                                       cmocka_unit_test(named_gpus_leave_the_others),
                                       cmocka_unit_test(among_own_places),
                                       cmocka_unit_test(there_is_always_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
