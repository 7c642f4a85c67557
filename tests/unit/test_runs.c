/* Every statement of the run tables on a real database: what is written comes back, a move that does not
 * fit is refused and changes nothing, unknown stays unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store/runs.h"

struct fixture {
    char dir[64];
    char path[80];
    struct store *s;
    struct spec spec;
    struct err e;
};

static int set_up(void **state)
{
    struct fixture *f = base_alloc(sizeof(*f));
    strcpy(f->dir, "/tmp/wattq-runs-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/wattq.db", f->dir);
    if (store_open(&f->s, f->path, &f->e) < 0 || store_begin(f->s, true, &f->e) < 0)
        return -1;
    spec_init(&f->spec);
    f->spec.argv = base_alloc(3 * sizeof(char *));
    f->spec.argv[0] = base_strdup("echo");
    f->spec.argv[1] = base_strdup("h\xc3\xa4");
    f->spec.argc = 2;
    f->spec.cwd = base_strdup("/tmp");
    f->spec.params = base_alloc(3 * sizeof(*f->spec.params));
    f->spec.params[0] = (struct spec_param){.key = "lr", .value = base_strdup("1e-3")};
    f->spec.params[1] = (struct spec_param){.key = "id", .value = base_strdup("01")};
    f->spec.params[2] = (struct spec_param){.key = "n", .value = base_strdup("10")};
    f->spec.nparams = 3;
    strcpy(f->spec.label, "first");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    store_rollback(f->s);
    store_close(f->s);
    spec_fini(&f->spec);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static int64_t insert(struct fixture *f)
{
    const struct run_new n = {.spec = &f->spec,
                              .uid = 1000,
                              .submitted_utc_ns = 1700000000000000000,
                              .sweep = RUN_NONE,
                              .sweep_index = RUN_NONE,
                              .retry_of = RUN_NONE};
    int64_t id = 0;
    assert_int_equal(runs_insert(f->s, &n, &id, &f->e), 0);
    return id;
}

static int move(struct fixture *f, int64_t id, enum run_state from, enum run_state to,
                struct run_change *c)
{
    struct run_change plain;
    run_change_init(&plain);
    plain.reason = "test";
    return runs_move(f->s, id, from, to, c ? c : &plain, &f->e);
}

static void to_running(struct fixture *f, int64_t id, int64_t t0_ns)
{
    struct run_change c;
    run_change_init(&c);
    c.token = 1;
    assert_int_equal(move(f, id, RUN_QUEUED, RUN_STARTING, &c), 0);
    run_change_init(&c);
    c.t0_ns = t0_ns;
    c.mode = "user+cgroup";
    assert_int_equal(move(f, id, RUN_STARTING, RUN_RUNNING, &c), 0);
}

static void to_done(struct fixture *f, int64_t id, int64_t t0_ns, int64_t t1_ns, int64_t ended)
{
    struct run_change c;
    to_running(f, id, t0_ns);
    assert_int_equal(move(f, id, RUN_RUNNING, RUN_STOPPING, NULL), 0);
    run_change_init(&c);
    c.t1_ns = t1_ns;
    c.exit_code = 0;
    c.ended_utc_ns = ended;
    c.reason = "exit code 0";
    assert_int_equal(move(f, id, RUN_STOPPING, RUN_DONE, &c), 0);
}

static void test_spec_round_trip(void **state)
{
    struct fixture *f = *state;
    struct spec back;
    char *json = runs_spec_json(&f->spec);
    assert_int_equal(runs_spec_parse(json, &back, &f->e), 0);
    char *again = runs_spec_json(&back);
    assert_string_equal(json, again);
    assert_string_equal(back.argv[1], "h\xc3\xa4");
    assert_string_equal(back.params[0].value, "1e-3");
    assert_int_equal(back.exclusive, f->spec.exclusive);
    assert_int_equal(back.grace_ns, f->spec.grace_ns);
    spec_fini(&back);
    free(json);
    free(again);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"argv\":[]}",
                                      "{\"argv\":[1]}",
                                      "{\"argv\":[\"x\"],\"params\":{\"a b\":\"1\"}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(runs_spec_parse(bad[i], &back, &f->e), WATTQ_E_CORRUPT);
}

static void test_insert_and_get(void **state)
{
    struct fixture *f = *state;
    struct run_row row;
    int64_t id = insert(f);
    assert_int_equal(runs_get(f->s, id, &row, &f->e), 0);
    assert_int_equal(row.state, RUN_QUEUED);
    assert_string_equal(row.label, "first");
    assert_int_equal(strlen(row.uuid), 36);
    assert_int_equal(row.uuid[14], '7');
    assert_true(row.t0_ns == RUN_NONE && row.exit_code == RUN_NONE && row.sweep == RUN_NONE &&
                row.boot == RUN_NONE && row.cpu_us == RUN_NONE);
    assert_null(row.env_hash);
    run_row_fini(&row);
    assert_int_equal(runs_get(f->s, id + 1, &row, &f->e), 1);
    f->spec.hold = true;
    int64_t held = insert(f);
    assert_int_equal(runs_get(f->s, held, &row, &f->e), 0);
    assert_int_equal(row.state, RUN_HELD);
    assert_true(held > id);
    run_row_fini(&row);
}

static void test_moves_write_what_is_known(void **state)
{
    struct fixture *f = *state;
    struct run_row row;
    int64_t id = insert(f);
    to_done(f, id, 100, 200, 1700000000000000005);
    assert_int_equal(runs_get(f->s, id, &row, &f->e), 0);
    assert_int_equal(row.state, RUN_DONE);
    assert_int_equal(row.token, 1);
    assert_int_equal(row.boot, store_boot(f->s));
    assert_int_equal(row.t0_ns, 100);
    assert_int_equal(row.t1_ns, 200);
    assert_int_equal(row.exit_code, 0);
    assert_string_equal(row.mode, "user+cgroup");
    assert_string_equal(row.reason, "exit code 0");
    assert_true(row.term_signal == RUN_NONE && row.main_exit_ns == RUN_NONE);
    run_row_fini(&row);
}

static void test_a_move_names_the_old_state(void **state)
{
    struct fixture *f = *state;
    struct run_row row;
    int64_t id = insert(f);
    assert_int_equal(move(f, id, RUN_HELD, RUN_QUEUED, NULL), WATTQ_E_CONFLICT);
    assert_non_null(strstr(f->e.text, "queued"));
    assert_int_equal(move(f, 4711, RUN_QUEUED, RUN_HELD, NULL), WATTQ_E_NOT_FOUND);
    to_running(f, id, 5);
    struct run_change c;
    run_change_init(&c);
    c.token = 2;
    assert_int_equal(move(f, id, RUN_QUEUED, RUN_STARTING, &c), WATTQ_E_CONFLICT); /* never twice */
    assert_int_equal(runs_get(f->s, id, &row, &f->e), 0);
    assert_int_equal(row.token, 1);
    assert_int_equal(row.state, RUN_RUNNING);
    run_row_fini(&row);
}

struct texts {
    char text[4000];
    size_t n;
};

static void add(struct texts *t, const char *fmt, ...) PRINTF(2, 3);
static void add(struct texts *t, const char *fmt, ...)
{
    va_list ap;
    size_t at = strlen(t->text);
    va_start(ap, fmt);
    vsnprintf(t->text + at, sizeof(t->text) - at, fmt, ap);
    va_end(ap);
    t->n++;
}

static int take_event(void *arg, const struct run_event *ev)
{
    add(arg, "%s>%s(%s,%lld) ", ev->from ? ev->from : "", ev->to, ev->reason,
        ev->actor_uid == RUN_NONE ? -1LL : (long long)ev->actor_uid);
    return 0;
}

static void test_every_move_is_an_event(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    struct run_change c;
    int64_t id = insert(f);
    run_change_init(&c);
    c.actor_uid = 7;
    c.reason = "wait";
    assert_int_equal(move(f, id, RUN_QUEUED, RUN_HELD, &c), 0);
    assert_int_equal(move(f, id, RUN_QUEUED, RUN_HELD, &c), WATTQ_E_CONFLICT);
    assert_int_equal(move(f, id, RUN_HELD, RUN_CANCELLED, NULL), 0);
    assert_int_equal(runs_events(f->s, id, take_event, &t, &f->e), 0);
    assert_string_equal(t.text,
                        ">queued(submitted,1000) queued>held(wait,7) held>cancelled(test,-1) ");
}

static int take_id(void *arg, const struct run_row *r)
{
    add(arg, "%lld ", (long long)r->id);
    return 0;
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    int64_t sweep = 0;
    struct texts t[6] = {{{0}, 0}};
    int64_t ids[4];
    assert_int_equal(runs_sweep_insert(f->s, 1000, "s", "{}", 5, &sweep, &f->e), 0);
    for (int i = 0; i < 4; i++) {
        struct run_new n = {.spec = &f->spec,
                            .uid = i,
                            .submitted_utc_ns = 100 + i,
                            .sweep = i == 3 ? sweep : RUN_NONE,
                            .sweep_index = i == 3 ? 0 : RUN_NONE,
                            .retry_of = i == 1 ? ids[0] : RUN_NONE,
                            .warrant = i == 2 ? "abc" : NULL};
        strcpy(f->spec.label, i % 2 ? "odd" : "even");
        assert_int_equal(runs_insert(f->s, &n, &ids[i], &f->e), 0);
    }
    to_done(f, ids[0], 100, 200, 900);
    const struct run_query all = {RUN_NONE, RUN_NONE, -1, NULL, RUN_NONE, RUN_NONE, RUN_NONE, 2};
    assert_int_equal(runs_list(f->s, &all, take_id, &t[0], &f->e), 0);
    assert_string_equal(t[0].text, "4 3 ");
    struct run_query q = all;
    q.before_id = 3;
    assert_int_equal(runs_list(f->s, &q, take_id, &t[1], &f->e), 0);
    assert_string_equal(t[1].text, "2 1 ");
    q = all;
    q.label = "even";
    q.since_utc_ns = 101;
    assert_int_equal(runs_list(f->s, &q, take_id, &t[2], &f->e), 0);
    assert_string_equal(t[2].text, "3 ");
    q = all;
    q.sweep = sweep;
    assert_int_equal(runs_list(f->s, &q, take_id, &t[3], &f->e), 0);
    assert_string_equal(t[3].text, "4 ");
    q = all;
    q.state = RUN_DONE;
    assert_int_equal(runs_list(f->s, &q, take_id, &t[4], &f->e), 0);
    assert_string_equal(t[4].text, "1 ");
    assert_int_equal(runs_live(f->s, take_id, &t[5], &f->e), 0);
    assert_string_equal(t[5].text, "2 3 4 ");
    for (int i = 1; i < 3; i++) {
        struct run_row row CLEANUP(run_row_fini) = {0};
        assert_int_equal(runs_get(f->s, ids[i], &row, &f->e), 0);
        assert_string_equal(row.warrant ? row.warrant : "-", i == 2 ? "abc" : "-");
    }
    int64_t by = 0;
    assert_int_equal(runs_retried_by(f->s, ids[0], &by, &f->e), 0);
    assert_int_equal(by, ids[1]);
    int64_t counts[RUN_STATES];
    assert_int_equal(runs_sweep_counts(f->s, sweep, counts, &f->e), 0);
    assert_int_equal(counts[RUN_QUEUED], 1);
    memset(&t[0], 0, sizeof(t[0]));
    assert_int_equal(runs_recent(f->s, 5, take_id, &t[0], &f->e), 0);
    assert_string_equal(t[0].text, "1 ");
}

static int take_sweep(void *arg, const struct run_sweep *w)
{
    add(arg, "%lld %s %s %s;", (long long)w->id, w->label, w->state, w->reason ? w->reason : "-");
    return 0;
}

static void test_sweep_states(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    int64_t id = 0;
    assert_int_equal(runs_sweep_insert(f->s, 0, "grid", "{}", 5, &id, &f->e), 0);
    assert_int_equal(runs_sweep_state(f->s, id, "held", "five failed", &f->e), 0);
    assert_int_equal(runs_sweep_get(f->s, RUN_NONE, take_sweep, &t, &f->e), 0);
    assert_string_equal(t.text, "1 grid held five failed;");
    assert_int_equal(runs_sweep_state(f->s, id, "nonsense", NULL, &f->e), WATTQ_E_CONFLICT);
}

static void test_environment_is_counted(void **state)
{
    struct fixture *f = *state;
    int64_t refs = -1;
    bool last = true;
    char *path = NULL;
    char *shown = NULL;
    assert_int_equal(runs_env_refs(f->s, "h", &refs, &f->e), 0);
    assert_int_equal(refs, 0);
    assert_int_equal(runs_env_put(f->s, "h", "env/h", "{\"A\":\"1\"}", &f->e), 0);
    assert_int_equal(runs_env_put(f->s, "h", "env/h", "{\"A\":\"1\"}", &f->e), 0);
    assert_int_equal(runs_env_drop(f->s, "h", &last, &f->e), 0);
    assert_false(last);
    assert_int_equal(runs_env_drop(f->s, "h", &last, &f->e), 0);
    assert_true(last);
    assert_int_equal(runs_env_drop(f->s, "h", &last, &f->e), 0);
    assert_false(last); /* below zero it cannot go */
    assert_int_equal(runs_env_get(f->s, "h", &path, &shown, &f->e), 0);
    assert_string_equal(shown, "{\"A\":\"1\"}"); /* what may be shown stays */
    free(path);
    free(shown);
    assert_int_equal(runs_env_get(f->s, "none", &path, &shown, &f->e), 1);
}

static int take_code(void *arg, const struct run_code *c)
{
    add(arg, "%s %s %d %s", c->hash, c->commit_id, c->dirty, c->diff ? c->diff : "-");
    return 0;
}

static void test_code_and_machine(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    const struct run_code c = {.hash = "abc", .commit_id = "f00", .dirty = -1};
    int64_t id = insert(f);
    assert_int_equal(runs_code_put(f->s, &c, &f->e), 0);
    assert_int_equal(runs_code_put(f->s, &c, &f->e), 0); /* once per content */
    assert_int_equal(runs_set_code(f->s, id, "abc", &f->e), 0);
    assert_int_equal(runs_code_get(f->s, "abc", take_code, &t, &f->e), 0);
    assert_string_equal(t.text, "abc f00 -1 -");
    assert_int_equal(runs_machine_put(f->s, id, false, "{\"cpu\":\"x\"}", &f->e), 0);
    assert_int_equal(runs_machine_put(f->s, id, true, "{\"cpu\":\"x\"}", &f->e), 0);
}

static int take_phase(void *arg, const struct run_phase *p)
{
    add(arg, "%s %lld..%lld ", p->name, (long long)p->t0_ns,
        p->t1_ns == RUN_NONE ? -1LL : (long long)p->t1_ns);
    return 0;
}

static void test_phases(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    int64_t id = insert(f);
    assert_int_equal(runs_phase_open(f->s, id, "setup", 10, &f->e), 0);
    assert_int_equal(runs_phase_open(f->s, id, "train", 20, &f->e), 0);
    assert_int_equal(runs_phase_open(f->s, id, "train", 25, &f->e), 0); /* it goes on */
    assert_int_equal(runs_phase_open(f->s, id, NULL, 15, &f->e),
                     0); /* never ends before it began */
    assert_int_equal(runs_phase_open(f->s, id, "test", 40, &f->e), 0);
    assert_int_equal(runs_phases(f->s, id, take_phase, &t, &f->e), 0);
    assert_string_equal(t.text, "setup 10..20 train 20..20 test 40..-1 ");
}

static int take_metric(void *arg, const struct run_metric *m)
{
    add(arg, "%lld/%lld %s=%g@%lld %s;", (long long)m->seq,
        m->step == RUN_NONE ? -1LL : (long long)m->step, m->key, m->value, (long long)m->t_ns,
        m->stamp);
    return 0;
}

static void test_metrics(void **state)
{
    struct fixture *f = *state;
    struct texts all = {0};
    struct texts tail = {0};
    int64_t id = insert(f);
    int64_t count = -1;
    int64_t newest = 0;
    assert_int_equal(runs_metric_count(f->s, id, &count, &newest, &f->e), 0);
    assert_true(count == 0 && newest == -1);
    assert_int_equal(runs_metric_put(f->s, id, 0, 1, "a", 0.5, 10, "mark", &f->e), 0);
    assert_int_equal(runs_metric_put(f->s, id, 0, 1, "a", 9, 99, "arrival", &f->e),
                     0); /* imported again */
    assert_int_equal(runs_metric_put(f->s, id, 0, 1, "b", 2, 10, "mark", &f->e), 0);
    assert_int_equal(runs_metric_put(f->s, id, 4, RUN_NONE, "a", 3, 20, "writer", &f->e), 0);
    assert_int_equal(runs_metric_put(f->s, id, 5, 2, "a", 3, 20, "guess", &f->e), 0);
    assert_int_equal(runs_metrics(f->s, id, take_metric, &all, &f->e), 0);
    assert_string_equal(all.text, "0/1 a=0.5@10 mark;0/1 b=2@10 mark;4/-1 a=3@20 writer;");
    assert_int_equal(runs_metrics_tail(f->s, id, 1, take_metric, &tail, &f->e), 0);
    assert_string_equal(tail.text, "4/-1 a=3@20 writer;");
    assert_int_equal(runs_metric_count(f->s, id, &count, &newest, &f->e), 0);
    assert_true(count == 3 && newest == 4);
}

static int take_param(void *arg, const char *key, const char *value)
{
    add(arg, "%s=%s;", key, value);
    return 0;
}

static void test_params_keep_their_type(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    int64_t id = insert(f);
    assert_int_equal(runs_param_put(f->s, id, "n", "11", &f->e), 0);
    assert_int_equal(runs_params(f->s, id, take_param, &t, &f->e), 0);
    assert_string_equal(t.text, "id=01;lr=0.001;n=11;");
}

static int take_figure(void *arg, const struct run_energy *x)
{
    add(arg, "%s/%s %lld %lld..%lld %s;", x->figure, x->part,
        x->energy_uj == RUN_NONE ? -1LL : (long long)x->energy_uj,
        x->lo_uj == RUN_NONE ? -1LL : (long long)x->lo_uj,
        x->hi_uj == RUN_NONE ? -1LL : (long long)x->hi_uj, x->reason ? x->reason : "-");
    return 0;
}

static void test_newer_figures_supersede(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    int64_t id = insert(f);
    struct energy_set set = {.total = {.known = true, .energy_uj = 100, .random_uj = -1}};
    assert_int_equal(runs_energy_put(f->s, id, "machine", "window", &set, 1, &f->e), 0);
    set.total.energy_uj = 50;
    assert_int_equal(runs_energy_put(f->s, id, "machine", "main", &set, 1, &f->e), 0);
    set.total = (struct energy_figure){
        .known = true, .energy_uj = 101, .bounded = true, .lo_uj = 90, .hi_uj = 110};
    assert_int_equal(runs_energy_put(f->s, id, "machine", "window", &set, 2, &f->e), 0);
    set.total = (struct energy_figure){.known = false, .energy_uj = 7, .reason = "no meter"};
    assert_int_equal(runs_energy_put(f->s, id, "attributed", "window", &set, 2, &f->e), 0);
    assert_int_equal(runs_energy(f->s, id, take_figure, &t, &f->e), 0);
    assert_string_equal(t.text, "machine/main 50 -1..-1 -;machine/window 101 90..110 -;"
                                "attributed/window -1 -1..-1 no meter;");
}

static int take_window(void *arg, int64_t t0_ns, int64_t t1_ns)
{
    add(arg, "%lld..%lld ", (long long)t0_ns, (long long)t1_ns);
    return 0;
}

static void test_overlap(void **state)
{
    struct fixture *f = *state;
    struct texts t = {0};
    int64_t a = insert(f);
    int64_t b = insert(f);
    to_done(f, a, 100, 200, 1);
    to_done(f, b, 200, 300, 2);
    const int64_t boot = store_boot(f->s);
    const struct energy_window touching = {boot, 200, 300};
    const struct energy_window shared = {boot, 199, 300};
    const struct energy_window other = {boot + 1, 100, 300};
    assert_int_equal(runs_overlap(f->s, b, &touching, &f->e), 0);
    assert_int_equal(runs_overlap(f->s, b, &shared, &f->e), 1);
    assert_int_equal(runs_overlap(f->s, b, &other, &f->e), 0);
    const struct energy_window all = {boot, 0, 1000};
    assert_int_equal(runs_windows(f->s, &all, take_window, &t, &f->e), 0);
    assert_string_equal(t.text, "100..200 200..300 ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_spec_round_trip),
        TEST(test_insert_and_get),
        TEST(test_moves_write_what_is_known),
        TEST(test_a_move_names_the_old_state),
        TEST(test_every_move_is_an_event),
        TEST(test_lists),
        TEST(test_sweep_states),
        TEST(test_environment_is_counted),
        TEST(test_code_and_machine),
        TEST(test_phases),
        TEST(test_metrics),
        TEST(test_params_keep_their_type),
        TEST(test_newer_figures_supersede),
        TEST(test_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
