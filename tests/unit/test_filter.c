/* The filter language: what is taken, what every mistake is answered with, and that a tree written as text
 * is the same tree when it is read again (random trees; WATTQ_SEED repeats a run). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/filter.h"
#include "tests/support/recorder.h"

#define NOW INT64_C(1700000000000000000)

static char *canonical(const char *text)
{
    struct filter *f CLEANUP(filter_freep) = NULL;
    struct err e = {0};
    if (filter_parse(&f, text, NOW, &e) < 0)
        fail_msg("'%s': %s; %s", text, e.text, e.next);
    return filter_print(f);
}

static void what_is_taken(void **state)
{
    static const char *const cases[][2] = {
        {"state=failed", "state = failed"},
        {"state == failed and sweep eq 12", "state = failed and sweep = 12"},
        {"energy>2kJ", "energy > 2kJ"},
        {"energy.lo >= 0", "lo >= 0"},
        {"not (state=done or state=lost)", "not (state = done or state = lost)"},
        {"id=1 or id=2 and id=3", "id = 1 or id = 2 and id = 3"},
        {"(id=1 or id=2) and id=3", "(id = 1 or id = 2) and id = 3"},
        {"id=1 and (id=2 and id=3)", "id = 1 and (id = 2 and id = 3)"},
        {"NOT id=1 AND id NOT IN [2, 3]", "not id = 1 and id not in [2,3]"},
        {"size=32..1M", "size = 32..1M"},
        {"size in ..2^14", "size = ..2^14"},
        {"time != 1m..5m", "time != 1m..5m"},
        {"param.lr in [0.1,\"0.01\"]", "param.lr in [0.1,\"0.01\"]"},
        {"param.x=a..b", "param.x = \"a..b\""},
        {"param.lr=1e-4..1e-2", "param.lr = 1e-4..1e-2"},
        {"label ~ 'a b'", "label ~ \"a b\""},
        {"label !~ *x?", "label !~ *x?"},
        {"label = 'say \\'no\\''", "label = \"say 'no'\""},
        {"energy.\"GPU 0\" is not null", "energy.\"GPU 0\" is not null"},
        {"energy.\"lo\" lt 5J", "energy.\"lo\" < 5J"},
        {"metric.loss.min < 1e-3", "metric.loss.min < 1e-3"},
        {"metric.loss.min.last < 1", "metric.loss.min.last < 1"},
        {"metric.loss.last < 1", "metric.loss < 1"},
        {"tag.good and tag=x", "tag.good = true and tag = x"},
        {"since -2h and until now",
         "submit >= 2023-11-14T20:13:20.000000000Z and submit <= 2023-11-14T22:13:20.000000000Z"},
        {"start >= 2026-01-31T10:00:00+01:00", "start >= 2026-01-31T09:00:00.000000000Z"},
        {"elapsed > 2h30m", "time > 2h30m"},
        {"command ~ --lr=0.1", "command ~ \"--lr=0.1\""},
        {"power > 50W and mem > 2G", "power > 50W and mem > 2G"},
        {"priority >= -5", "priority >= -5"},
        {"reason is null", "reason is null"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *once = canonical(cases[i][0]);
        char *twice = canonical(once);
        assert_string_equal(once, cases[i][1]);
        assert_string_equal(twice, once);
        free(once);
        free(twice);
    }
}

/* text must hold the third, next the fourth; the place is the column of the second. */
static void what_is_refused(void **state)
{
    static const struct {
        const char *filter;
        const char *place;
        const char *text, *next;
    } cases[] = {
        {"", "column 1", "too early", "wattq help filter"},
        {"energy > 2", "column 10", "2J (joules) or 2kWh", "energy > ^2"},
        {"state=failed and time < 5 and id=1", "column 25", "5s (seconds) or 5m (minutes)",
         "< ^5 and id"},
        {"enrgy > 2kJ", "column 1", "no column 'enrgy'", "did you mean energy?"},
        {"st = x", "column 1", "no column 'st'", "may be state, start"},
        {"zeta > 0.1", "column 1", "no column 'zeta'", "param.zeta"},
        {"label ~ \xc3\xa4\xc3\xb6 or xx=1", "column 15", "no column 'xx'", "^xx=1"},
        {"id=1 id=2", "column 6", "and, or", "id=1 ^id=2"},
        {"label=a,b", "column 8", "comma", "in [a,b]"},
        {"id in [1,2", "column 11", "list", "in [a,b,c]"},
        {"id in 5", "column 7", "list or a range", "1..5"},
        {"((id=1)", "column 8", "bracket", "^"},
        {"id=1)", "column 5", "end here", "^)"},
        {"id", "column 1", "comparison is missing", "= != <"},
        {"id = ", "column 6", "value is missing", "^"},
        {"id = 1..2..3", "column 9", "not a whole number", "1..^2..3"},
        {"id < 1..2", "column 6", "range", "="},
        {"id = ..", "column 6", "no end", "LOW.."},
        {"time ~ 5s", "column 6", "texts", "range"},
        {"tag.x < true", "column 7", "no order", "= true"},
        {"tag.x = maybe", "column 9", "neither true nor false", "true"},
        {"label = 'x", "column 9", "does not end", "quote"},
        {"id is 5", "column 7", "null", "is null"},
        {"start > yesterday-ish", "column 9", "not a point in time", "-2h"},
        {"state = faild", "column 9", "no run has the state 'faild'", "did you mean failed?"},
        {"id=1 and quality in [measured,guess]", "column 31", "the quality 'guess'", "^guess"},
        {"param. = 1", "column 1", "behind 'param.'", "param.lr"},
        {"exit = one", "column 8", "not a whole number", "4096"},
        {"cpu_share > lots", "column 13", "not a number", "0.5"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter *f = NULL;
        struct err e = {0};
        int rc = filter_parse(&f, cases[i].filter, NOW, &e);
        if (rc != WATTQ_E_USAGE || f || !strstr(e.text, cases[i].place) ||
            !strstr(e.text, cases[i].text) || !strstr(e.next, cases[i].next) ||
            !strchr(e.next, '^'))
            fail_msg("'%s': %d '%s' next '%s'", cases[i].filter, rc, e.text, e.next);
        assert_true(filter_parse(&f, cases[i].filter, NOW, NULL) < 0);
    }
}

static void limits(void **state)
{
    (void)state;
    struct filter *f = NULL;
    struct err e = {0};
    char *text = base_alloc(20000);
    memset(text, '(', FILTER_DEPTH_MAX);
    strcpy(text + FILTER_DEPTH_MAX, "id=1");
    memset(text + FILTER_DEPTH_MAX + 4, ')', FILTER_DEPTH_MAX);
    assert_int_equal(filter_parse(&f, text, NOW, &e), WATTQ_E_LIMIT);
    text[FILTER_DEPTH_MAX * 2 + 3] = '\0';
    assert_int_equal(filter_parse(&f, text + 1, NOW, &e), 0);
    filter_free(f);
    strcpy(text, "id=1");
    for (int i = 1; i < 129; i++) {
        strcat(text, " or id=1");
        int rc = filter_parse(&f, text, NOW, &e);
        assert_int_equal(rc, i < 128 ? 0 : WATTQ_E_LIMIT);
        filter_free(f);
    }
    strcpy(text, "id in [1");
    for (int i = 1; i < 257; i++)
        strcat(text, ",1");
    strcat(text, "]");
    assert_int_equal(filter_parse(&f, text, NOW, &e), WATTQ_E_LIMIT);
    strcpy(text, "label = ");
    memset(text + 8, 'x', 4100);
    text[4108] = '\0';
    assert_int_equal(filter_parse(&f, text, NOW, &e), WATTQ_E_LIMIT);
    text[8 + 600] = '\0';
    assert_int_equal(filter_parse(&f, text, NOW, &e), WATTQ_E_LIMIT);
    free(text);
}

static void names_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {
        "energy",      "energy.package-0", "energy.\"GPU 0\"",     "energy.\"lo\"",
        "metric.loss", "metric.loss.n",    "metric.loss.min.last", "tag.a-b",
        "param.x.y",   "info.widths",      "summary.end"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct column a;
        struct column b;
        char name[COLUMN_NAME_MAX];
        assert_int_equal(column_find(&a, names[i], strlen(names[i]), NULL), 0);
        assert_string_equal(column_name(name, sizeof name, &a), names[i]);
        assert_int_equal(column_find(&b, name, strlen(name), NULL), 0);
        assert_true(column_same(&a, &b));
    }
    for (int i = 0; i < COLUMN_FIXED; i++) {
        struct column c;
        const char *name = column_defs[i].name;
        assert_int_equal(column_find(&c, name, strlen(name), NULL), 0);
        assert_int_equal(c.id, i);
        assert_true(column_defs[i].doc[0] != '\0');
    }
}

/* ---- random trees -------------------------------------------------------------------------------- */

struct maker {
    uint64_t seed;
    char text[FILTER_TEXT_MAX];
    size_t n;
};

static void add(struct maker *m, const char *s)
{
    size_t k = strlen(s);
    assert_true(m->n + k < sizeof m->text);
    memcpy(m->text + m->n, s, k + 1);
    m->n += k;
}

static const char *pick(struct maker *m, const char *const *list, size_t n)
{
    return list[rec_below(&m->seed, (int64_t)n)];
}
#define PICK(m, ...)                                                                               \
    pick((m), (const char *const[]){__VA_ARGS__},                                                  \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void add_test(struct maker *m)
{
    switch (rec_below(&m->seed, 8)) {
    case 0:
        add(m, PICK(m, "label", "param.opt", "tag", "command"));
        add(m, PICK(m, "=", " != ", "~", " !~ ", " < ", ">="));
        add(m, PICK(m, "x", "'a b'", "\"q\\\"\\\\\"", "*.py", "\xc3\xa4", "\"\"", "'in [1]'"));
        break;
    case 1:
        add(m, PICK(m, "energy", "lo", "energy.cpu", "energy.\"a b\""));
        add(m, PICK(m, "=", ">", " le "));
        add(m, PICK(m, "1J", "2.5kJ", "0", "0.1kWh"));
        break;
    case 2:
        add(m, PICK(m, "size", "id", "priority"));
        add(m, PICK(m, " = ", " != ", " in "));
        add(m, PICK(m, "1..5", "2^5..", "..64k"));
        break;
    case 3:
        add(m, PICK(m, "param.lr", "info.rows"));
        add(m, PICK(m, " in ", " not in "));
        add(m, PICK(m, "[1]", "[0.1, 01, x]", "[\"1\",'1 2',3]"));
        break;
    case 4:
        add(m, PICK(m, "time", "cpu", "reason", "metric.loss"));
        add(m, PICK(m, " is null", " IS NOT NULL"));
        break;
    case 5:
        add(m, PICK(m, "start >", "end<=", "since ", "until "));
        add(m, PICK(m, "-7d", "now", "2026-01-31", "\"2026-01-31 10:00\"", "2026-03-29T12:00:00Z"));
        break;
    case 6:
        add(m, PICK(m, "tag.good", "tag.\"so so\"", "tag.x = no"));
        break;
    default:
        add(m, PICK(m, "metric.loss.min", "metric.a.b", "cpu_share", "best_loss"));
        add(m, PICK(m, " < 0.5", " >= 1e-3", "=2^3", " = 0.1..0.2"));
    }
}

static void add_tree(struct maker *m, int depth)
{
    int64_t kind = depth > 4 ? 9 : rec_below(&m->seed, 10);
    if (kind < 2) {
        add(m, "not ");
        add_tree(m, depth + 1);
    } else if (kind < 4) {
        add(m, "(");
        add_tree(m, depth + 1);
        add(m, ")");
    } else if (kind < 7) {
        add(m, "(");
        add_tree(m, depth + 1);
        add(m, PICK(m, ") and (", ") or ("));
        add_tree(m, depth + 1);
        add(m, ")");
    } else if (kind < 8) {
        add_test(m);
        add(m, PICK(m, " and ", " or "));
        add_tree(m, depth + 1);
    } else {
        add_test(m);
    }
}

static void same_node(const struct filter *a, const struct filter *b, int i, int j)
{
    const struct filter_node *x = &a->nodes[i];
    const struct filter_node *y = &b->nodes[j];
    assert_int_equal(x->op, y->op);
    if (x->op == FILTER_AND || x->op == FILTER_OR || x->op == FILTER_NOT) {
        same_node(a, b, x->left, y->left);
        if (x->op != FILTER_NOT)
            same_node(a, b, x->right, y->right);
        return;
    }
    assert_true(column_same(&x->column, &y->column));
    assert_int_equal(x->negated, y->negated);
    assert_int_equal(x->n, y->n);
    if (x->op == FILTER_CMP)
        assert_int_equal(x->cmp, y->cmp);
    for (size_t k = 0; k < x->n; k++) {
        const struct filter_value *v = &a->values[x->first + k];
        const struct filter_value *w = &b->values[y->first + k];
        assert_int_equal(v->kind, w->kind);
        assert_int_equal(v->i, w->i);
        assert_true(v->r == w->r);
        if (v->kind == FILTER_TEXT)
            assert_string_equal(v->text, w->text);
    }
}

static void random_trees_come_back(void **state)
{
    (void)state;
    struct maker *m = base_alloc(sizeof *m);
    m->seed = rec_seed();
    for (int i = 0; i < 3000; i++) {
        struct filter *a CLEANUP(filter_freep) = NULL;
        struct filter *b CLEANUP(filter_freep) = NULL;
        struct err e = {0};
        m->n = 0;
        add_tree(m, 0);
        if (filter_parse(&a, m->text, NOW, &e) < 0)
            fail_msg("'%s': %s; %s", m->text, e.text, e.next);
        char *text CLEANUP(base_freep) = filter_print(a);
        if (filter_parse(&b, text, NOW + 12345, &e) < 0)
            fail_msg("'%s' from '%s': %s; %s", text, m->text, e.text, e.next);
        assert_int_equal(a->n, b->n);
        same_node(a, b, (int)a->n - 1, (int)b->n - 1);
    }
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(random_trees_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
