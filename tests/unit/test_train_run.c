/* The loop: what it writes, when it stops, and that two runs give the same bits. Options and the plan. */
#include "daemon/trainer/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"

static int parse(struct options *o, struct err *e, const char *const *words)
{
    char name[] = "wattq-train";
    char *argv[40] = {name};
    int argc = 1;
    *e = (struct err){0};
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return options_parse(o, argc, argv, e);
}
#define PARSE(o, e, ...) parse(o, e, (const char *const[]){__VA_ARGS__, NULL})

/* Everything a run wrote, split into lines. */
struct trace {
    char *text;
    const char *line[20000];
    int lines;
};

static int run(struct train_plan *p, bool (*stop)(void), struct train_result *r, struct trace *t,
               struct err *e)
{
    char path[] = "/tmp/wattq-metrics-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct metrics m;
    assert_int_equal(metrics_open(&m, path, e), 0);
    const struct train_hooks h = {.metrics = &m, .start_boot_ns = clock_boot_ns(), .stop = stop};
    int rc = train_run(p, &h, r, e);
    metrics_close(&m);
    FILE *f = fdopen(fd, "r");
    t->text = base_alloc(1 << 22);
    t->text[fread(t->text, 1, (1 << 22) - 1, f)] = '\0';
    fclose(f);
    unlink(path);
    t->lines = 0;
    for (char *s = strtok(t->text, "\n"); s && t->lines < 20000; s = strtok(NULL, "\n"))
        t->line[t->lines++] = s;
    return rc;
}

static double number_after(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    assert_non_null(at);
    return strtod(at + strlen(key), NULL);
}

static void plan_of(struct train_plan *p, const char *epochs, const char *seed, const char *backend)
{
    struct options o;
    struct err e;
    assert_int_equal(PARSE(&o, &e, "--dataset", "standin:banana", "--size", "256", "--depth=3",
                           "--epochs", epochs, "--seed", seed, "--backend", backend),
                     0);
    if (train_plan_open(p, &o, &e) != 0)
        fail_msg("%s", e.text);
}

static void test_lines(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "7", "1", "auto");
    int64_t before = clock_boot_ns();
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    int64_t after = clock_boot_ns();
    assert_int_equal(strncmp(t.line[0], "{\"info\":{\"dataset\":\"banana\",\"standin\":true", 40),
                     0);
    assert_int_equal(strncmp(t.line[1], "{\"phase\":\"setup\",\"t_boot_ns\":", 29), 0);
    assert_int_equal(strncmp(t.line[2], "{\"phase\":\"train\",\"t_boot_ns\":", 29), 0);
    assert_int_equal(strncmp(t.line[3], "{\"epoch\":1,", 11), 0);
    assert_non_null(
        strstr(t.line[t.lines - 1], "{\"summary\":{\"epochs\":7,\"rows_train_seen\":29680"));
    assert_non_null(strstr(t.line[t.lines - 1], "\"stopped\":false"));
    const char *end =
        t.line[t.lines - 2]; /* the last epoch's line when thinning had held it back */
    assert_true(strstr(end, "{\"phase\":null") || strstr(end, "{\"epoch\":7"));
    double last = (double)before;
    for (int i = 1; i < t.lines - 1; i++) { /* stamps rise and lie inside the run */
        double at = number_after(t.line[i], "\"t_boot_ns\":");
        assert_true(at >= last && at <= (double)after);
        last = at;
    }
    /* Short epochs are not marked one by one, and their test time says so. */
    assert_int_equal(r.test_ns, r.test_ns_inside_train);
    assert_true(r.train_ns > 0 && r.test_ns > 0);
    assert_true(r.train_ns + r.test_ns <= after - before);
    free(t.text);
    train_plan_close(&p);
}

static void test_thinned(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "400", "1", "auto");
    int64_t t0 = clock_boot_ns();
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    double seconds = (double)(clock_boot_ns() - t0) / 1e9;
    int epochs = 0;
    double last = 0;
    for (int i = 0; i < t.lines; i++)
        if (strncmp(t.line[i], "{\"epoch\":", 9) == 0) {
            double n = number_after(t.line[i], "{\"epoch\":");
            assert_true(n > last);
            last = n;
            epochs++;
        }
    assert_true(last == 400);
    assert_true(epochs <= 3 + (int)(4 * seconds));
    free(t.text);
    train_plan_close(&p);
}

static void test_bit_equal_runs(void **state)
{
    (void)state;
    static const char *const names[] = {"openblas", "reference"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct train_result r[3];
        for (int k = 0; k < 3; k++) {
            struct train_plan p;
            struct trace t;
            struct err e = {0};
            plan_of(&p, "5", k == 2 ? "2" : "1", names[i]);
            assert_int_equal(run(&p, NULL, &r[k], &t, &e), 0);
            free(t.text);
            train_plan_close(&p);
        }
        assert_memory_equal(&r[0].train_loss, &r[1].train_loss, sizeof(double));
        assert_memory_equal(&r[0].test_loss, &r[1].test_loss, sizeof(double));
        assert_true(r[0].test_loss != r[2].test_loss); /* the seed does something */
        assert_true(r[0].test_accuracy > 0 && r[0].test_accuracy < 1);
    }
}

/* ---- a backend whose steps go on by themselves, as a GPU's do ---- */

static const struct backend_ops *cpu; /* what computes behind it */
static struct backend_ops late;
static struct backend_score pending;
static int flushes;
static int fail_at_flush; /* 0 = never */

static int late_open(struct backend **out, const struct backend_spec *spec, struct err *e)
{
    int rc = cpu->open(out, spec, e);
    if (rc == 0)
        (*out)->ops = &late;
    return rc;
}

static void late_step(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    struct backend_score mine;
    cpu->step(b, row, rows, &mine);
    pending.loss += mine.loss;
    *s = (struct backend_score){0};
}

static int late_flush(struct backend *b, struct backend_score *s, struct err *e)
{
    (void)b;
    *s = pending;
    pending = (struct backend_score){0};
    if (++flushes == fail_at_flush)
        return err_set(e, WATTQ_E_UNAVAILABLE, "the card fell off the bus");
    return 0;
}

static void late_facts(const struct backend *b, struct json *j)
{
    json_bool(j, "device_open", b != NULL);
}

static void make_late(struct train_plan *p)
{
    cpu = p->ops;
    late = *cpu;
    late.open = late_open;
    late.step = late_step;
    late.flush = late_flush;
    late.facts = late_facts;
    p->ops = &late;
    pending = (struct backend_score){0};
    flushes = 0;
    fail_at_flush = 0;
}

/* The losses are those of a backend that tells each step's, to rounding of the sum. */
static void test_late_scores(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r[2];
    struct trace t;
    struct err e = {0};
    plan_of(&p, "5", "1", "auto");
    assert_int_equal(run(&p, NULL, &r[0], &t, &e), 0);
    free(t.text);
    make_late(&p);
    assert_int_equal(run(&p, NULL, &r[1], &t, &e), 0);
    assert_non_null(strstr(t.line[0], "\"device_open\":true"));
    assert_int_equal(flushes, 5);
    assert_true(fabs(r[0].train_loss - r[1].train_loss) < 1e-12);
    assert_true(r[0].test_loss == r[1].test_loss);
    free(t.text);
    p.opt.warmup_seconds = 1e-9; /* ends after the first batch, in the middle of an epoch */
    flushes = 0;
    assert_int_equal(run(&p, NULL, &r[1], &t, &e), 0);
    assert_int_equal(flushes, 5 + 1);
    assert_true(fabs(r[0].train_loss - r[1].train_loss) < 1e-12);
    free(t.text);
    train_plan_close(&p);
}

static void test_late_failures(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "5", "1", "auto");
    make_late(&p);
    fail_at_flush = 3;
    assert_int_equal(run(&p, NULL, &r, &t, &e), WATTQ_E_UNAVAILABLE);
    assert_non_null(strstr(e.text, "fell off"));
    assert_int_equal(r.epochs, 2);
    free(t.text);
    fail_at_flush = 0;
    p.data.x[300] = INFINITY;
    assert_int_equal(run(&p, NULL, &r, &t, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "in epoch 1"));
    assert_null(strstr(e.text, "batch"));
    assert_int_equal(r.end, TRAIN_NOT_FINITE);
    free(t.text);
    train_plan_close(&p);
}

static int asked;
static bool stop_at_30(void)
{
    return ++asked > 30; /* 17 batches an epoch: in the middle of the second */
}

static void test_stop(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "100", "1", "auto");
    asked = 0;
    assert_int_equal(run(&p, stop_at_30, &r, &t, &e), 0);
    assert_int_equal(r.end, TRAIN_SIGNAL);
    assert_int_equal(r.epochs, 1);
    assert_int_equal(r.rows_train_seen, 4240 + 13 * 256);
    assert_non_null(strstr(t.line[t.lines - 1], "\"stopped\":true"));
    assert_non_null(strstr(t.line[t.lines - 2], "{\"phase\":null"));
    free(t.text);
    train_plan_close(&p);
}

static void test_limits(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "100000000", "1", "auto");
    p.opt.max_seconds = 0.05;
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    assert_int_equal(r.end, TRAIN_MAX_SECONDS);
    assert_true(r.rows_train_seen > 0);
    free(t.text);
    p.opt.max_seconds = 0;
    p.opt.loss_target = 0.3; /* the mean squared error of a guess is 0.25 */
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    assert_int_equal(r.end, TRAIN_LOSS_TARGET);
    assert_int_equal(r.epochs, 1);
    assert_non_null(strstr(t.text, "info"));
    free(t.text);
    train_plan_close(&p);
}

/* Losses as kept in the lines: those of the same epoch must be the same bits in every run. */
static double loss_of_epoch(const struct trace *t, int epoch)
{
    char key[40];
    snprintf(key, sizeof(key), "{\"epoch\":%d,", epoch);
    for (int i = 0; i < t->lines; i++)
        if (strncmp(t->line[i], key, strlen(key)) == 0)
            return number_after(t->line[i], "\"test_loss\":");
    return NAN;
}

static int count_lines(const struct trace *t, const char *start)
{
    int n = 0;
    for (int i = 0; i < t->lines; i++)
        n += strncmp(t->line[i], start, strlen(start)) == 0;
    return n;
}

static void test_auto_epochs(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct train_result fixed;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "1", "1", "auto");
    p.opt.epochs = OPTIONS_AUTO;
    p.opt.min_seconds = 0.2;
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    assert_int_equal(r.end, TRAIN_AUTO);
    assert_true(r.train_ns >= NS_PER_S / 5);
    assert_true(r.epochs > 1);
    assert_int_equal(r.rows_train_seen, r.epochs * 4240); /* whole epochs only */
    assert_non_null(strstr(t.line[0], "\"epochs_asked\":\"auto\",\"min_seconds\":0.2"));
    assert_null(strstr(t.line[0], "\"epochs\":"));
    assert_non_null(strstr(t.line[t.lines - 1], "\"epochs_asked\":\"auto\""));
    assert_non_null(strstr(t.line[t.lines - 1], "\"end\":\"auto\""));
    int last = (int)r.epochs;
    double loss = loss_of_epoch(&t, last);
    free(t.text);
    p.opt.epochs = last;
    p.opt.min_seconds = 0;
    assert_int_equal(run(&p, NULL, &fixed, &t, &e), 0);
    assert_true(fixed.test_loss == r.test_loss);
    assert_true(loss_of_epoch(&t, last) == loss);
    free(t.text);
    p.opt.epochs = OPTIONS_AUTO;
    p.opt.min_seconds = 1e-6;
    p.opt.min_epochs = 7;
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    assert_int_equal(r.epochs, 7);
    free(t.text);
    train_plan_close(&p);
}

static void test_warmup(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct train_result cold;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "3", "1", "auto");
    p.opt.warmup_seconds = 0.05;
    assert_int_equal(run(&p, NULL, &r, &t, &e), 0);
    assert_int_equal(r.end, TRAIN_EPOCHS);
    assert_true(r.warmup_ns >= NS_PER_S / 20);
    assert_true(r.epochs_warmup > 0);
    assert_int_equal(r.epochs, r.epochs_warmup + 3);
    assert_true(r.rows_train_seen > 2 * 4240 && r.rows_train_seen <= 3 * 4240);
    assert_int_equal(count_lines(&t, "{\"phase\":\"warmup\""), 1);
    assert_int_equal(count_lines(&t, "{\"phase\":\"train\""), 1);
    assert_int_equal(strncmp(t.line[2], "{\"phase\":\"warmup\"", 17), 0);
    assert_non_null(strstr(t.line[t.lines - 1], "\"epochs_warmup\":"));
    free(t.text);
    p.opt.epochs = r.epochs; /* the steps of the warm-up were real ones */
    p.opt.warmup_seconds = 0;
    assert_int_equal(run(&p, NULL, &cold, &t, &e), 0);
    assert_true(cold.test_loss == r.test_loss);
    assert_int_equal(cold.epochs_warmup, 0);
    assert_null(strstr(t.line[t.lines - 1], "warmup"));
    free(t.text);
    train_plan_close(&p);
}

/* A stop in the warm-up: nothing counted, and the record says so. */
static void test_stop_in_warmup(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "3", "1", "auto");
    p.opt.warmup_seconds = 1000;
    asked = 0;
    assert_int_equal(run(&p, stop_at_30, &r, &t, &e), 0);
    assert_int_equal(r.end, TRAIN_SIGNAL);
    assert_int_equal(r.rows_train_seen, 0);
    assert_int_equal(r.train_ns, 0);
    assert_int_equal(r.epochs_warmup, r.epochs);
    assert_int_equal(count_lines(&t, "{\"phase\":\"train\""), 0);
    free(t.text);
    train_plan_close(&p);
}

static void test_not_finite(void **state)
{
    (void)state;
    struct train_plan p;
    struct train_result r;
    struct trace t;
    struct err e = {0};
    plan_of(&p, "50", "1", "auto");
    p.data.x[300] = INFINITY;
    assert_int_equal(run(&p, NULL, &r, &t, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "not finite any more in epoch 1, batch 1"));
    assert_non_null(strstr(t.line[t.lines - 1], "\"end\":\"not_finite\""));
    assert_non_null(strstr(t.line[t.lines - 1], "\"test_loss\":null"));
    free(t.text);
    train_plan_close(&p);
}

static void test_unreachable_size(void **state)
{
    (void)state;
    struct options o;
    struct train_plan p;
    struct err e;
    assert_int_equal(PARSE(&o, &e, "--dataset", "standin:splice", "--size", "32"), 0);
    assert_int_equal(train_plan_open(&p, &o, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "within 20 %"));
    assert_non_null(strstr(e.text, "298")); /* 288 + 2 + 2 + 6 */
}

static void test_options(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    assert_int_equal(PARSE(&o, &e, "--dataset=x", "--size", "2^14"), 0);
    assert_int_equal(o.size, 16384);
    assert_int_equal(o.batch, 256);
    assert_true(o.lr == 1e-4 && o.eps == 1e-7);
    assert_string_equal(options_word("init", o.init), "glorot");
    assert_string_equal(options_word("adam", o.adam), "keras");
    assert_int_equal(PARSE(&o, &e, "--dataset=x", "--size", "9", "--epochs", "auto",
                           "--min-seconds", "5", "--cpus", "0-3,8"),
                     0);
    assert_int_equal(o.epochs, OPTIONS_AUTO);
    assert_true(o.min_seconds == 5 && o.min_epochs == 1);
    assert_int_equal(PARSE(&o, &e, "--size", "32"), WATTQ_E_USAGE);
    assert_int_equal(PARSE(&o, &e, "--dataset", "x"), WATTQ_E_USAGE);
    assert_int_equal(PARSE(&o, &e, "--dataset", "x", "--size", "9", "--layers", "1"),
                     WATTQ_E_USAGE);
    static const char *const bad[][2] = {
        {"--depth", "1"},       {"--depth", "x"},       {"--epochs", "0"},
        {"--batch", "-1"},      {"--lr", "nan"},        {"--lr", "0"},
        {"--threads", "2"},     {"--init", "normal"},   {"--what", "1"},
        {"--precision", "f16"}, {"--describe=1", ""},   {"stray", ""},
        {"--epochs", "auto"},   {"--min-seconds", "5"}, {"--min-epochs", "2"},
        {"--cpus", "a"},        {"--cpus", ""},         {"--epochs", "automatic"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int rc = PARSE(&o, &e, "--dataset", "x", "--size", "64", bad[i][0], bad[i][1]);
        if (rc != WATTQ_E_USAGE || !e.text[0] || !e.next[0])
            fail_msg("%s %s: %d '%s' '%s'", bad[i][0], bad[i][1], rc, e.text, e.next);
    }
    assert_int_equal(PARSE(&o, &e, "--size"), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "needs a value"));
}

/* A name with a quote and a newline must not break a line of JSON. */
static void test_json(void **state)
{
    (void)state;
    struct json j;
    json_start(&j);
    json_text(&j, "a", "x\"y\\\n");
    json_f64(&j, "b", NAN);
    json_open(&j, "c");
    json_i64(&j, "d", -1);
    json_close(&j);
    json_bool(&j, "e", false);
    assert_string_equal(j.text,
                        "{\"a\":\"x\\\"y\\\\\\u000a\",\"b\":null,\"c\":{\"d\":-1},\"e\":false");
    for (int i = 0; i < 1000; i++)
        json_text(&j, "key", "value");
    assert_true(j.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),          cmocka_unit_test(test_thinned),
        cmocka_unit_test(test_bit_equal_runs), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_auto_epochs),
        cmocka_unit_test(test_warmup),         cmocka_unit_test(test_stop_in_warmup),
        cmocka_unit_test(test_not_finite),     cmocka_unit_test(test_unreachable_size),
        cmocka_unit_test(test_options),        cmocka_unit_test(test_json),
        cmocka_unit_test(test_late_scores),    cmocka_unit_test(test_late_failures),
    };
    return cmocka_run_group_tests_name("train_run", tests, NULL, NULL);
}
