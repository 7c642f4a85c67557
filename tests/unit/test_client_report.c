/* The page as a whole, on runs made by a law: closed tags, headings in order, no number that is none, what
 * is hostile escaped, what is estimated marked, and a sentence instead of an empty page. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/json.h"
#include "client/report.h"
#include "client_golden.h"
#include "study_world.h"

static const int depths[] = {2, 4, 0};

static double law(const struct study_run *r, double f)
{
    double grow = f < 32768 ? 0.05 : 0.4;
    return 1e-6 * pow(f / 32768, grow) * pow(1.07, r->net.depth - 2);
}

#define EPOCHS 14 /* 1, 2, 4, .. */

/* The larger the network, the faster it learns: every line of equal loss is one the study would take. */
static void learn(struct study_loss *l, const struct world *w)
{
    l->curves = base_alloc((w->n + 1) * sizeof *l->curves);
    l->points = base_alloc((w->n + 1) * EPOCHS * sizeof *l->points);
    for (size_t i = 0; i < w->n; i++) {
        const struct study_run *r = &w->runs[i];
        struct isoloss_point *at = l->points + i * EPOCHS;
        double speed = 0.002 * pow((double)r->size, 0.3);
        for (int k = 0; k < EPOCHS; k++) {
            double epoch = exp2(k);
            at[k] = (struct isoloss_point){epoch, 1 / (1 + speed * epoch),
                                           epoch * r->train_j / r->epochs,
                                           epoch * r->train_s / r->epochs};
        }
        l->curves[i] = (struct isoloss_curve){.at = at, .n = EPOCHS};
    }
}

static void make(struct report *r, struct world *w)
{
    report_init(r);
    learn(&r->losses, w);
    r->title = base_strdup("A <b>title</b> & \"more\"");
    r->selection = base_strdup("sweep:<3>");
    base_strcpy(r->host, sizeof r->host, "here");
    r->study.runs = w->runs;
    r->study.n = w->n;
    r->study.caches = caches_study_cpu;
    base_strcpy(r->study.covers, sizeof r->study.covers, "package; not <GPU>");
    report_compute(r, NULL, NULL);
    r->made_utc_ns = INT64_C(1767225600) * NS_PER_S;
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;
    for (const char *p = strstr(s, what); p; p = strstr(p + 1, what))
        n++;
    return n;
}

/* Text and numbers between tags: no "nan", "inf" as a word. */
static void check_words(const char *s)
{
    for (const char *p = s; *p; p++) {
        bool starts = p == s || !(p[-1] >= 'a' && p[-1] <= 'z');
        bool word = strncmp(p, "nan", 3) == 0 || strncmp(p, "inf", 3) == 0;
        if (starts && word && !(p[3] >= 'a' && p[3] <= 'z'))
            fail_msg("%.60s", p > s + 20 ? p - 20 : p);
    }
}

/* h1 once and first; no heading is more than one deeper than the one before. */
static void check_headings(const char *s)
{
    int before = 0;
    for (const char *p = strstr(s, "<h"); p; p = strstr(p + 2, "<h")) {
        if (p[2] < '1' || p[2] > '6')
            continue;
        int level = p[2] - '0';
        assert_true(level <= before + 1);
        before = level;
    }
    assert_int_equal(count(s, "<h1>"), 1);
}

static void check_page(const char *s)
{
    check_words(s);
    check_headings(s);
    assert_null(strstr(s, "http:"));
    assert_null(strstr(s, "https:"));
    assert_null(strstr(s, "<script"));
    assert_null(strstr(s, "<b>"));
    assert_non_null(strstr(s, "<html lang=\"en\">"));
    assert_non_null(strstr(s, "name=\"viewport\""));
    assert_int_equal(count(s, "<figure"), count(s, "<figcaption>"));
    assert_int_equal(count(s, "<svg"), count(s, "role=\"img\""));
}

/* Ids, headings and table captions of the page: what there is, in which order. */
static char *outline(const char *s)
{
    struct html h = {0};
    static const char *const marks[] = {"<h1>",          "<h2 id=\"", "<h3>",
                                        "<figure id=\"", "<caption>", "<details><summary>"};
    for (const char *p = s; *p; p++)
        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            size_t n = strlen(marks[i]);
            if (strncmp(p, marks[i], n) == 0)
                html_rawf(&h, "%s%.*s\n", marks[i], (int)strcspn(p + n, "<\""), p + n);
        }
    return h.s;
}

static void a_measured_sweep(void **state)
{
    (void)state;
    struct world w = {0};
    struct report r CLEANUP(report_finip) = {0};
    struct html h CLEANUP(html_finip) = {0};
    add_grid(&w, &(struct grid){law, 6, 17, depths, STUDY_MEASURED, false, 2});
    base_strcpy(w.runs[0].meter, sizeof w.runs[0].meter, "<script>alert(1)</script>");
    w.runs[1].excluded = STUDY_X(OUTLIER);
    w.runs[2].test_loss = 0.25;
    make(&r, &w);
    report_page(&h, &r);
    check_page(h.s);
    assert_true(r.model[POINTS_CPU].made);
    assert_non_null(strstr(h.s, "A &lt;b&gt;title&lt;/b&gt; &amp; &quot;more&quot;"));
    assert_non_null(strstr(h.s, "&lt;script&gt;alert(1)"));
    assert_null(strstr(h.s, "estimate<"));
    assert_int_equal(count(h.s, "<tr class=\"yes\">") + count(h.s, "<tr class=\"no\">") +
                         count(h.s, "<tr class=\"open\">"),
                     r.nclaims);
    assert_true(count(h.s, "<tr class=\"yes\">") >= 4);
    assert_non_null(strstr(h.s, "L1 full: 32 KiB"));
    assert_non_null(strstr(h.s, "filter_3"));
    assert_true(r.nlines >= 4 && r.loss_joules);
    assert_true(r.lines[0].ordered && r.lines[0].ops[0] > 0 && r.lines[0].f[0] > 0);
    assert_true(r.lines[0].size[0] < r.lines[0].size[1]);
    char *text CLEANUP(base_freep) = outline(h.s);
    golden_check("report_outline.txt", text);
}

static void an_estimated_sweep(void **state)
{
    (void)state;
    struct world w = {0};
    struct report r CLEANUP(report_finip) = {0};
    struct html h CLEANUP(html_finip) = {0};
    add_grid(&w, &(struct grid){law, 6, 17, depths, STUDY_ESTIMATED, false, 1});
    make(&r, &w);
    report_page(&h, &r);
    check_page(h.s);
    assert_non_null(strstr(h.s, "The joules of these runs are estimates"));
    assert_null(strstr(h.s, "energy per datum (J)"));
    assert_non_null(strstr(h.s, "time per datum (s)"));
    assert_non_null(strstr(h.s, "reproduced, by time"));
    /* Each joule of a run stands behind a tilde, with the word. */
    assert_int_equal(count(h.s, "J estimated"), 2 * w.n);
    assert_int_equal(count(h.s, "~"), 2 * w.n);
    assert_false(r.points.set[POINTS_CPU].joules);
    assert_false(r.loss_joules);
    assert_true(r.nlines > 0);
    assert_null(strstr(h.s, "energy to the loss"));
}

static void nothing_to_report(void **state)
{
    (void)state;
    struct world w = {0};
    struct report r CLEANUP(report_finip) = {0};
    struct html h CLEANUP(html_finip) = {0};
    make(&r, &w);
    report_page(&h, &r);
    check_page(h.s);
    assert_non_null(strstr(h.s, "There is no finished training run in this selection"));
    assert_non_null(strstr(h.s, "wattq sweep train"));
    assert_null(strstr(h.s, "<figure"));
    html_fini(&h);
    static const int one[] = {3, 0};
    report_fini(&r);
    add_grid(&w, &(struct grid){law, 8, 8, one, STUDY_NO_ENERGY, false, 1});
    for (size_t i = 0; i < w.n; i++) {
        w.runs[i].run_j = w.runs[i].train_j = w.runs[i].lo_j = w.runs[i].hi_j = NAN;
        w.runs[i].excluded = STUDY_X(NO_ENERGY);
    }
    w.n = 1;
    make(&r, &w);
    report_page(&h, &r);
    check_page(h.s);
    assert_false(r.model[POINTS_CPU].made);
    assert_non_null(strstr(h.s, "No model: "));
}

/* Numbers of the data are numbers or null, and a null energy says why. */
static void check_json(json_t *v)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_real(v))
        assert_true(isfinite(json_real_value(v)));
    json_object_foreach(v, key, one)
    {
        check_json(one);
        if (strcmp(key, "energy_j") == 0 && json_is_null(one))
            assert_true(json_is_string(json_object_get(v, "reason")));
    }
    json_array_foreach(v, i, one) check_json(one);
}

static void the_same_as_data(void **state)
{
    (void)state;
    struct world w = {0};
    struct report r CLEANUP(report_finip) = {0};
    add_grid(&w, &(struct grid){law, 6, 14, depths, STUDY_MEASURED, false, 1});
    w.runs[0].run_j = NAN;
    make(&r, &w);
    json_t *doc CLEANUP(json_freep) = report_json(&r);
    check_json(doc);
    assert_string_equal(json_string_value(json_object_get(doc, "schema")), "wattq.report/1");
    assert_int_equal(json_array_size(json_object_get(doc, "claims")), r.nclaims);
    assert_int_equal(json_array_size(json_object_get(doc, "runs")), w.n);
    json_t *cpu = json_object_get(doc, "cpu");
    assert_string_equal(json_string_value(json_object_get(cpu, "judged_by")), "energy");
    assert_int_equal(json_array_size(json_object_get(cpu, "boundaries")), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_measured_sweep),
        cmocka_unit_test(an_estimated_sweep),
        cmocka_unit_test(nothing_to_report),
        cmocka_unit_test(the_same_as_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
