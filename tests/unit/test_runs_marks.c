/* Tags, notes, labels and numbers by hand on a real database: who may, what is counted, what gives way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store/runs_marks.h"

#define OWNER 1000

struct fixture {
    char dir[64];
    struct store *s;
    int64_t run;
    struct err e;
};

static int set_up(void **state)
{
    struct fixture *f = base_alloc(sizeof(*f));
    char path[80];
    struct spec spec;
    strcpy(f->dir, "/tmp/wattq-marks-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(path, sizeof(path), "%s/wattq.db", f->dir);
    if (store_open(&f->s, path, &f->e) < 0 || store_begin(f->s, true, &f->e) < 0)
        return -1;
    spec_init(&spec);
    spec.argv = base_alloc(2 * sizeof(char *));
    spec.argv[0] = base_strdup("true");
    spec.argc = 1;
    spec.cwd = base_strdup("/");
    const struct run_new n = {.spec = &spec,
                              .uid = OWNER,
                              .submitted_utc_ns = 1,
                              .sweep = RUN_NONE,
                              .sweep_index = RUN_NONE,
                              .retry_of = RUN_NONE};
    int rc = runs_insert(f->s, &n, &f->run, &f->e);
    spec_fini(&spec);
    *state = f;
    return rc;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    store_rollback(f->s);
    store_close(f->s);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static int tag(struct fixture *f, int64_t uid, const char *add)
{
    char *words[] = {base_strdup(add)};
    const struct run_mark m = {.kind = RUN_MARK_TAG, .add = words, .nadd = 1};
    int rc = runs_mark(f->s, f->run, (struct run_actor){uid, uid == 0}, &m, 5, &f->e);
    free(words[0]);
    return rc;
}

static int metric(struct fixture *f, const char *name, double value, bool force)
{
    char *key = base_strdup(name);
    const struct run_mark m = {
        .kind = RUN_MARK_METRIC, .add = &key, .nadd = 1, .values = &value, .force = force};
    int rc = runs_mark(f->s, f->run, (struct run_actor){OWNER, false}, &m, 5, &f->e);
    free(key);
    return rc;
}

static int take_head(void *arg, const struct run_head *h)
{
    *(struct run_head *)arg = *h;
    return 0;
}

static struct run_head head(struct fixture *f)
{
    struct run_head h = {.n = -1};
    assert_int_equal(runs_heads(f->s, f->run, take_head, &h, &f->e), 0);
    return h;
}

static int count_one(void *arg, const char *t)
{
    (void)t;
    ++*(int *)arg;
    return 0;
}

static void test_only_the_owner_and_root(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    assert_int_equal(tag(f, OWNER + 1, "a"), WATTQ_E_FORBIDDEN);
    assert_int_equal(tag(f, OWNER, "b"), 0);
    assert_int_equal(tag(f, 0, "c"), 0);
    f->run++;
    assert_int_equal(tag(f, OWNER, "d"), WATTQ_E_NOT_FOUND);
    f->run--;
    assert_int_equal(runs_tags(f->s, f->run, count_one, &n, &f->e), 0);
    assert_int_equal(n, 2);
}

struct acts {
    int n;
    int64_t actor_uid;
    char reason[64];
    bool kept; /* the state */
};

static int take_event(void *arg, const struct run_event *ev)
{
    struct acts *a = arg;
    a->n++;
    a->actor_uid = ev->actor_uid;
    a->kept = strcmp(ev->from ? ev->from : "", ev->to) == 0;
    base_strcpy(a->reason, sizeof(a->reason), ev->reason ? ev->reason : "");
    return 0;
}

static struct acts acts(struct fixture *f)
{
    struct acts a = {0};
    assert_int_equal(runs_events(f->s, f->run, take_event, &a, &f->e), 0);
    return a;
}

/* Whatever somebody does to the run of another stands in its history with his uid. */
static void test_acts_of_others_are_kept(void **state)
{
    struct fixture *f = *state;
    int before = acts(f).n;
    assert_int_equal(runs_act(f->s, f->run, (struct run_actor){OWNER, true}, "pinned", &f->e), 0);
    assert_int_equal(acts(f).n, before);
    assert_int_equal(runs_act(f->s, f->run, (struct run_actor){OWNER + 1, false}, "pinned", &f->e),
                     WATTQ_E_FORBIDDEN);
    assert_int_equal(acts(f).n, before);
    assert_int_equal(runs_act(f->s, f->run, (struct run_actor){OWNER + 1, true}, "pinned", &f->e),
                     0);
    struct acts a = acts(f);
    assert_int_equal(a.n, before + 1);
    assert_int_equal(a.actor_uid, OWNER + 1);
    assert_string_equal(a.reason, "pinned");
    assert_true(a.kept);
    f->run++;
    assert_int_equal(runs_act(f->s, f->run, (struct run_actor){0, true}, "pinned", &f->e),
                     WATTQ_E_NOT_FOUND);
    f->run--;
}

static void test_tags_are_bounded(void **state)
{
    struct fixture *f = *state;
    char name[16];
    for (int i = 0; i < RUN_TAGS_MAX; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        assert_int_equal(tag(f, OWNER, name), 0);
    }
    assert_int_equal(tag(f, OWNER, "one-more"), WATTQ_E_LIMIT);
    assert_true(run_tag_ok("v1.2:x-y_z"));
    const char *bad[] = {"", "-a", "+a", "a b", "\xc3\xa4", "a=b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(run_tag_ok(bad[i]));
}

static int put_line(struct fixture *f, int64_t seq, double value)
{
    return runs_metric_put(f->s, f->run, seq, seq, "loss", value, seq, "mark", &f->e);
}

static void test_the_programs_numbers_are_its_own(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put_line(f, 1, 3), 0);
    assert_int_equal(put_line(f, 2, 1), 0);
    assert_int_equal(metric(f, "loss", 9, false), WATTQ_E_CONFLICT);
    struct run_head h = head(f);
    assert_true(h.n == 2 && h.first == 3 && h.last == 1 && h.min == 1 && h.max == 3);
    assert_true(h.by_uid == RUN_NONE && h.last_step == 2);
    assert_int_equal(metric(f, "loss", 9, true), 0);
    h = head(f);
    assert_true(h.n == 1 && h.first == 9 && h.min == 9 && h.max == 9 && h.by_uid == OWNER);
    assert_int_equal(metric(f, "loss", 8, false), 0); /* one's own may be corrected */
}

static void test_a_number_by_hand_gives_way_to_the_program(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(metric(f, "loss", -100, false), 0);
    assert_int_equal(put_line(f, 1, 3), 0);
    assert_int_equal(put_line(f, 2, 2), 0);
    struct run_head h = head(f);
    assert_true(h.n == 2 && h.first == 3 && h.last == 2 && h.min == 2 && h.max == 3);
    assert_true(h.by_uid == RUN_NONE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_only_the_owner_and_root),
        TEST(test_acts_of_others_are_kept),
        TEST(test_tags_are_bounded),
        TEST(test_the_programs_numbers_are_its_own),
        TEST(test_a_number_by_hand_gives_way_to_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
