/* A run as the daemon tells it becomes a row of the study, or is left out with the reason; and advice from
 * rows whose losses have a law. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/advise.h"
#include "client/study_load.h"
#include "common/units.h"
#include "daemon/model/qc.h"

/* ---- rows ----------------------------------------------------------------------------------------- */

struct told {
    const char *kind, *state, *backend, *shape, *role;
    int depth;
    int64_t energy_uj; /* INT64_MIN = nil */
    const char *quality, *flags;
    double exact;
};
static const struct told plain = {"train", "done",   "openblas", "trapezoid", NULL,
                                  3,       50000000, "measured", "",          0.001};

static void put_info(struct wire_out *o, const struct told *t)
{
    wire_begin_map(o, "info");
    wire_put_str(o, "dataset", "adult");
    wire_put_str(o, "shape", t->shape);
    wire_put_str(o, "widths", t->depth == 2 ? "[8,1]" : "[8,4,1]");
    wire_put_int(o, "inputs", 81);
    wire_put_int(o, "params", 697);
    wire_put_int(o, "size", 640);
    wire_put_int(o, "rows_train", 1000);
    wire_put_int(o, "rows_test", 250);
    wire_put_int(o, "raw_features", 14);
    wire_put_int(o, "classes", 2);
    wire_put_int(o, "batch", 256);
    wire_put_int(o, "threads", 1);
    wire_put_str(o, "backend", t->backend);
    wire_put_str(o, "precision", "f64");
    wire_put_bool(o, "standin", false);
    wire_end(o);
    wire_begin_map(o, "summary");
    wire_put_int(o, "epochs", 11);
    wire_put_int(o, "epochs_warmup", 1);
    wire_put_int(o, "rows_train_seen", 10000);
    wire_put_int(o, "train_ns", 800 * NS_PER_MS);
    wire_put_int(o, "test_ns", 100 * NS_PER_MS);
    wire_put_f64(o, "test_loss", 0.5);
    wire_put_f64(o, "best_test_loss", 0.4);
    wire_end(o);
}

static void put_figure(struct wire_out *o, const struct told *t)
{
    wire_begin_map(o, "energy");
    if (t->energy_uj == INT64_MIN)
        wire_put_nil(o, "energy_uj");
    else
        wire_put_int(o, "energy_uj", t->energy_uj);
    wire_put_int(o, "lo_uj", 49000000);
    wire_put_int(o, "hi_uj", 51000000);
    wire_put_str(o, "quality", t->quality);
    wire_put_str(o, "flags", t->flags);
    wire_put_int(o, "gain_ppm", 20000);
    wire_put_int(o, "unknown_ns", 0);
    wire_end(o);
    wire_begin_array(o, "energy_parts");
    for (int i = 0; i < 2; i++) {
        wire_begin_map(o, NULL);
        wire_put_str(o, "label", i ? "dram-0" : "package-0");
        wire_put_str(o, "scope", i ? "dram" : "package");
        wire_end(o);
    }
    wire_end(o);
    wire_begin_array(o, "phase_energy");
    wire_begin_map(o, NULL);
    wire_put_str(o, "name", "train");
    wire_put_int(o, "energy_uj", 11000000);
    wire_end(o);
    wire_end(o);
    wire_begin_map(o, "j_per_datum");
    wire_put_f64(o, "exact", t->exact);
    wire_end(o);
}

static void put_run(struct wire_out *o, const struct told *t)
{
    wire_put_int(o, "run", 7);
    wire_put_int(o, "sweep", 3);
    wire_put_str(o, "kind", t->kind);
    wire_put_str(o, "state", t->state);
    wire_put_str(o, "reason", "exit code 3");
    wire_put_str(o, "command", "python train.py");
    wire_put_int(o, "t0_ns", 1000 * NS_PER_MS);
    wire_put_int(o, "first_batch_ns", 1050 * NS_PER_MS);
    wire_put_int(o, "elapsed_ns", 1000 * NS_PER_MS);
    wire_put_int(o, "started_utc_ns", 5);
    wire_put_str(o, "machine", "vm");
    wire_begin_map(o, "params");
    wire_put_str(o, "size", "2^9");
    wire_put_str(o, "repeat", "2");
    wire_put_str(o, "block", "4");
    if (t->role)
        wire_put_str(o, "role", t->role);
    wire_end(o);
    put_info(o, t);
    put_figure(o, t);
}

static void add(struct study *s, const struct told *t)
{
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    struct err e;
    wire_out_reset(&o);
    put_run(&o, t);
    assert_int_equal(wire_out_finish(&o, &e), 0);
    assert_int_equal(wire_msg_new(&m, o.data + 4, o.bytes - 4, &e), 0);
    study_add(s, wire_msg_root(m));
    wire_msg_free(m);
    wire_out_free(&o);
}

static void a_run_becomes_a_row(void **state)
{
    (void)state;
    struct study s;
    study_init(&s);
    add(&s, &plain);
    assert_int_equal(s.n, 1);
    const struct study_run *r = &s.runs[0];
    assert_true(r->run == 7 && r->sweep == 3 && r->repeat == 2 && r->block == 4);
    assert_int_equal(r->role, STUDY_NETWORK);
    assert_string_equal(r->dataset, "adult");
    assert_string_equal(r->shape, "trapezoid");
    assert_string_equal(r->backend, "openblas f64");
    assert_string_equal(r->scope, "package + dram");
    assert_string_equal(r->meter, "package-0 + dram-0");
    assert_string_equal(r->hardware, "vm openblas f64");
    assert_true(r->size == 640 && r->net.depth == 3 && r->net.widths[1] == 4);
    assert_true(r->net.params == 697 && r->number_bytes == 8);
    assert_true(fabs(r->setup_s - 0.05) < 1e-12 && fabs(r->train_s - 0.8) < 1e-12);
    assert_true(r->epochs == 10 && r->rows_seen == 10000);
    assert_true(fabs(r->train_j - 10) < 1e-9 && fabs(r->test_j - 1) < 1e-9);
    assert_true(r->run_j == 50 && r->lo_j == 49 && r->hi_j == 51);
    assert_true(fabs(r->gain - 0.02) < 1e-12);
    assert_true(isnan(r->idle_w) && isnan(r->setup_j) && isnan(r->random_j));
    qc_apply(s.runs, 1, QC_ALL);
    assert_int_equal(s.runs[0].excluded, 0);
    study_fini(&s);
}

static void depth_2_is_a_rectangle(void **state)
{
    (void)state;
    struct study s;
    struct told t = plain;
    study_init(&s);
    t.depth = 2;
    t.role = "canary";
    add(&s, &t);
    assert_string_equal(s.runs[0].shape, "rectangle");
    assert_int_equal(s.runs[0].role, STUDY_CANARY);
    study_fini(&s);
}

static void unknown_joules_stay_unknown(void **state)
{
    (void)state;
    struct study s;
    struct told t = plain;
    study_init(&s);
    t.energy_uj = INT64_MIN;
    t.exact = NAN;
    t.quality = "estimated";
    add(&s, &t);
    assert_true(isnan(s.runs[0].run_j) && isnan(s.runs[0].train_j) && isnan(s.runs[0].test_j));
    qc_apply(s.runs, 1, QC_ALL);
    assert_int_equal(s.runs[0].excluded, STUDY_X(ESTIMATE) | STUDY_X(NO_ENERGY));
    study_fini(&s);
}

static void others_are_left_out_with_the_reason(void **state)
{
    (void)state;
    struct study s;
    study_init(&s);
    struct told failed = plain;
    struct told command = plain;
    struct told torch = plain;
    failed.state = "failed";
    command.kind = torch.kind = "command";
    torch.backend = "torch";
    add(&s, &failed);
    add(&s, &command);
    add(&s, &torch);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.runs[0].backend, "torch f64");
    assert_int_equal(s.nleft, 2);
    assert_string_equal(s.left[0].reason, "failed: exit code 3");
    assert_string_equal(s.left[0].what, "run 7 adult trapezoid depth ? size 2^9");
    assert_string_equal(s.left[1].reason, "it is not a run of the built-in trainer");
    assert_string_equal(s.left[1].what, "run 7 python train.py");
    study_fini(&s);
}

/* ---- advice --------------------------------------------------------------------------------------- */

#define POINTS 60
#define SIZES  8

/* Losses fall as 1/epoch, faster in larger networks; an epoch costs 1 J up to 2^9, and (S/2^9)^1.5 beyond: the
 * cheapest network is that of 2^9. */
struct world {
    struct study s;
    struct study_loss loss;
};

static void make_world(struct world *w, int from, int to, bool standin)
{
    study_init(&w->s);
    w->s.runs = base_alloc(SIZES * sizeof *w->s.runs);
    w->loss.curves = base_alloc(SIZES * sizeof *w->loss.curves);
    w->loss.points = base_alloc((size_t)SIZES * POINTS * sizeof *w->loss.points);
    for (int k = from; k <= to; k++) {
        size_t i = w->s.n++;
        double size = exp2(k);
        double joule = k <= 9 ? 1 : pow(size / exp2(9), 1.5);
        struct study_run *r = &w->s.runs[i];
        *r = (struct study_run){.run = k,
                                .size = INT64_C(1) << k,
                                .batch = 256,
                                .threads = 1,
                                .rows_train = 800,
                                .rows_test = 200,
                                .epochs = POINTS,
                                .train_s = 1,
                                .rows_seen = 48000,
                                .run_s = 2,
                                .run_j = 100,
                                .number_bytes = 4,
                                .standin = standin};
        base_strcpy(r->dataset, sizeof r->dataset, "rings");
        base_strcpy(r->shape, sizeof r->shape, "rectangle");
        base_strcpy(r->backend, sizeof r->backend, "openblas f32");
        base_strcpy(r->hardware, sizeof r->hardware, "vm openblas f32");
        r->net = (struct net){.depth = 3, .inputs = 2, .widths = {4, 4, 1}, .params = r->size};
        for (int p = 0; p < POINTS; p++)
            w->loss.points[i * POINTS + (size_t)p] = (struct isoloss_point){
                p + 1, 10 / ((p + 1) * sqrt(size)), joule * (p + 1), 0.01 * (p + 1)};
        w->loss.curves[i] = (struct isoloss_curve){w->loss.points + i * POINTS, POINTS, false};
    }
}

static void free_world(struct world *w)
{
    study_loss_fini(&w->loss);
    study_fini(&w->s);
}

static void the_cheapest_is_advised(void **state)
{
    (void)state;
    struct world w;
    struct advise a;
    struct err e;
    make_world(&w, 6, 12, false);
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "rings", NULL, 0.03, &e), 0);
    const struct advise_group *g = &a.group[0];
    assert_int_equal(g->by, ISOLOSS_ENERGY);
    assert_int_equal(advise_run(g, g->best)->size, 512);
    assert_int_equal(advise_run(g, g->smaller)->size, 256);
    assert_int_equal(advise_run(g, g->larger)->size, 1024);
    /* Twice the size: 1/sqrt 2 of the epochs at 2^1.5 the price. */
    assert_true(fabs(g->nets[g->larger].cost.energy_j / g->nets[g->best].cost.energy_j - 2) < 1e-6);
    assert_true(g->enough);
    assert_int_equal(g->reached, 7);
    advise_fini(&a);
    free_world(&w);
}

static void an_edge_is_not_enough(void **state)
{
    (void)state;
    struct world w;
    struct advise a;
    struct err e;
    make_world(&w, 6, 8, false);
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "rings", "openblas", NAN, &e), 0);
    assert_false(a.group[0].enough);
    assert_non_null(strstr(a.group[0].command, "--size 512,1024"));
    assert_true(fabs(a.group[0].loss - 10 / (POINTS * sqrt(128))) < 1e-9); /* half reach it */
    advise_fini(&a);
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "rings", NULL, 1e-9, &e), 0);
    assert_int_equal(a.group[0].best, -1);
    assert_non_null(strstr(a.group[0].missing, "no network got there"));
    advise_fini(&a);
    free_world(&w);
}

static void estimates_go_by_time(void **state)
{
    (void)state;
    struct world w;
    struct advise a;
    struct err e;
    make_world(&w, 6, 12, false);
    for (size_t i = 0; i < w.s.n; i++)
        w.s.runs[i].quality = STUDY_ESTIMATED;
    qc_apply(w.s.runs, w.s.n, QC_ALL);
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "rings", NULL, 0.03, &e), 0);
    const struct advise_group *g = &a.group[0];
    assert_int_equal(g->by, ISOLOSS_TIME);
    assert_non_null(strstr(g->why_time, "7 of 7 runs"));
    assert_non_null(strstr(g->why_time, "estimate"));
    assert_int_equal(advise_run(g, g->best)->size, 4096); /* every epoch takes as long */
    advise_fini(&a);
    free_world(&w);
}

static void stand_ins_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct advise a;
    struct err e;
    make_world(&w, 6, 12, true);
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "rings", NULL, NAN, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "stand-in"));
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "ring", NULL, NAN, &e), WATTQ_E_NOT_FOUND);
    w.s.runs[2].standin = false; /* one real run is what is looked at */
    assert_int_equal(advise_make(&a, &w.s, &w.loss, "rings", NULL, NAN, &e), 0);
    assert_int_equal(a.standins, 6);
    assert_int_equal(a.group[0].n, 1);
    advise_fini(&a);
    free_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_becomes_a_row),
        cmocka_unit_test(depth_2_is_a_rectangle),
        cmocka_unit_test(unknown_joules_stay_unknown),
        cmocka_unit_test(others_are_left_out_with_the_reason),
        cmocka_unit_test(the_cheapest_is_advised),
        cmocka_unit_test(an_edge_is_not_enough),
        cmocka_unit_test(estimates_go_by_time),
        cmocka_unit_test(stand_ins_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
