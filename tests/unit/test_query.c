/* Questions about runs on a real database of a few hundred: random filters find what a naive evaluator finds
 * over the same rows, hostile texts stay texts, nobody sees what is somebody else's, pages and order, and a
 * question that takes too long ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/query_rows.h"

/* ---- the naive evaluator ------------------------------------------------------------------------- */

static struct val value_of(const struct truth *t, const struct column *c)
{
    switch ((int)c->id) {
    case COLUMN_ID_ID:
        return t->id;
    case COLUMN_ID_STATE:
        return t->state;
    case COLUMN_ID_LABEL:
        return t->label;
    case COLUMN_ID_UID:
        return t->uid;
    case COLUMN_ID_SWEEP:
        return t->sweep;
    case COLUMN_ID_SUBMIT:
        return t->submit;
    case COLUMN_ID_START:
        return t->start;
    case COLUMN_ID_TIME:
        return t->time;
    case COLUMN_ID_ENERGY:
        return t->energy;
    case COLUMN_ID_LO:
        return t->lo;
    case COLUMN_ID_QUALITY:
        return t->quality;
    case COLUMN_ID_POWER:
        return t->power;
    case COLUMN_ID_CPU:
        return t->cpu;
    case COLUMN_ID_MEM:
        return t->mem;
    case COLUMN_ID_EXIT:
        return t->exit;
    case COLUMN_ID_REASON:
        return t->reason;
    case COLUMN_ID_PARAM:
        return strcmp(c->key, "lr") == 0    ? t->lr
               : strcmp(c->key, "opt") == 0 ? t->opt
                                            : (struct val){0};
    case COLUMN_ID_METRIC:
        if (strcmp(c->key, "loss") != 0)
            return (struct val){0};
        return c->part == COLUMN_MIN ? t->loss_min : c->part == COLUMN_N ? t->loss_n : t->loss;
    case COLUMN_ID_TAG_OF:
        for (size_t i = 0; i < ARRAY_LEN(tags); i++)
            if (strcmp(c->key, tags[i]) == 0)
                return num(t->tag[i]);
        return num(0);
    default:
        fail_msg("no such column in this test");
    }
    return (struct val){0};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool fits(const char *pattern, const char *s)
{
    if (!*pattern)
        return !*s;
    if (*pattern == '*')
        return fits(pattern + 1, s) || (*s && fits(pattern, s + 1));
    return *s && (*pattern == '?' || lower(*pattern) == lower(*s)) && fits(pattern + 1, s + 1);
}

static bool like(const char *s, const char *pattern)
{
    char inside[80];
    if (filter_is_pattern(pattern))
        return fits(pattern, s);
    snprintf(inside, sizeof inside, "*%s*", pattern);
    return fits(inside, s);
}

static struct val literal(const struct filter_value *v)
{
    return v->kind == FILTER_TEXT ? text(v->text)
                                  : num(v->kind == FILTER_REAL ? v->r : (double)v->i);
}

/* 1 true, 0 false, -1 not known; both are known here. Numbers and texts only meet as unequal. */
static int compare(const struct val *a, enum filter_cmp cmp, const struct filter_value *v)
{
    struct val b = literal(v);
    char as_text[40];
    if (cmp == FILTER_LIKE || cmp == FILTER_UNLIKE) {
        snprintf(as_text, sizeof as_text, a->d == floor(a->d) ? "%.1f" : "%.15g", a->d);
        return like(a->kind == TEXT ? a->text : as_text, v->text) == (cmp == FILTER_LIKE);
    }
    if (a->kind != b.kind)
        return cmp == FILTER_NE;
    int d = a->kind == TEXT ? strcmp(a->text, b.text) : (a->d > b.d) - (a->d < b.d);
    switch (cmp) {
    case FILTER_EQ:
        return d == 0;
    case FILTER_NE:
        return d != 0;
    case FILTER_LT:
        return d < 0;
    case FILTER_LE:
        return d <= 0;
    case FILTER_GT:
        return d > 0;
    case FILTER_GE:
    case FILTER_LIKE:
    case FILTER_UNLIKE:
        break;
    }
    return d >= 0;
}

static int test_value(const struct filter *f, const struct filter_node *n, const struct val *a)
{
    const struct filter_value *v = &f->values[n->first];
    bool yes = false;
    if (n->op == FILTER_CMP)
        return compare(a, n->cmp, v);
    if (n->op == FILTER_IN)
        for (size_t i = 0; i < n->n; i++)
            yes = yes || compare(a, FILTER_EQ, &v[i]);
    if (n->op == FILTER_RANGE)
        yes = (v[0].kind == FILTER_OPEN || compare(a, FILTER_GE, &v[0])) &&
              (v[1].kind == FILTER_OPEN || compare(a, FILTER_LE, &v[1]));
    return yes != n->negated;
}

static int test_tags(const struct filter *f, const struct filter_node *n, const struct truth *t)
{
    struct filter_node one = *n;
    bool none =
        n->negated || (n->op == FILTER_CMP && (n->cmp == FILTER_NE || n->cmp == FILTER_UNLIKE));
    one.negated = false;
    if (n->op == FILTER_CMP && none)
        one.cmp = n->cmp == FILTER_NE ? FILTER_EQ : FILTER_LIKE;
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        struct val v = text(tags[i]);
        any = any || (t->tag[i] && (n->op == FILTER_NULL || test_value(f, &one, &v)));
    }
    if (n->op == FILTER_NULL)
        return any == n->negated;
    return any != none;
}

static int evaluate(const struct filter *f, int at, const struct truth *t)
{
    const struct filter_node *n = &f->nodes[at];
    if (n->op == FILTER_NOT) {
        int a = evaluate(f, n->left, t);
        return a < 0 ? a : !a;
    }
    if (n->op == FILTER_AND || n->op == FILTER_OR) {
        int a = evaluate(f, n->left, t);
        int b = evaluate(f, n->right, t);
        int strong = n->op == FILTER_OR;
        if (a == strong || b == strong)
            return strong;
        return a < 0 || b < 0 ? -1 : !strong;
    }
    if (n->column.id == COLUMN_ID_TAG)
        return test_tags(f, n, t);
    struct val a = value_of(t, &n->column);
    bool is_text = column_type(&n->column) == COLUMN_TEXT;
    if (is_text && a.kind == UNKNOWN)
        a = text("");
    if (n->op == FILTER_NULL)
        return (a.kind == UNKNOWN || (is_text && !*a.text)) != n->negated;
    return a.kind == UNKNOWN ? -1 : test_value(f, n, &a);
}

static void same_as_naive(const char *where)
{
    struct found got;
    struct filter *f CLEANUP(filter_freep) = parse(where);
    ask(&got, f, RUN_NONE);
    size_t at = 0;
    for (int id = RUNS; id >= 1; id--) {
        bool want = evaluate(f, (int)f->n - 1, &truths[id]) == 1;
        bool have = at < got.n && got.id[at] == id;
        if (want != have)
            fail_msg("run %d: %s is %s by SQL", id, where, have ? "true" : "not true");
        at += have;
    }
    assert_int_equal(at, got.n);
}

/* ---- random filters ------------------------------------------------------------------------------ */

static const char *const tests_of[][3] = {
    {"id", " = != < <= > >=", "1 150 299 2^8"},
    {"sweep", " = != < >=", "1 3 2..4 ..2 9"},
    {"exit", " = != <", "0 1 2"},
    {"state", " = != ~ !~ <", "done failed \"\" lost"},
    {"label", " = != ~ !~ >=", "night n*t? Night % _ \"" HOSTILE "\" \"\""},
    {"quality", " = != ~", "measured estimated none \"\""},
    {"reason", " = !~", "\"exit code\" code"},
    {"submit", " < >= =", "-5d -24h..-3h"},
    {"start", " < >=", "-5d now"},
    {"time", " < >= =", "5m 100s 1m..4m"},
    {"energy", " < >= = !=", "2kJ 0 1kJ..3kJ 500J.."},
    {"lo", " <", "2kJ"},
    {"power", " < >=", "5W 20W 1kW"},
    {"cpu", " < >= =", "50s 10s..40s"},
    {"mem", " < >=", "32M 1G"},
    {"uid", " = !=", "1000 1001"},
    {"param.lr", " = != < <= > >=", "0.5 0.25 1 x 0.2..0.6 ..0.5 0.5.."},
    {"param.opt", " = != < <= > >= ~ !~",
     "adam sgd SGD 01 2 3 s*m* 1..3 \"" HOSTILE "\" \"2\" \"[x]\""},
    {"param.nope", " = !=", "1 x"},
    {"metric.loss", " = < >=", "2 0.5 1..3"},
    {"metric.loss.min", " < =", "1 0"},
    {"metric.loss.n", " = >", "1 2 0..2"},
    {"tag", " = != ~ !~", "good bad 'so so' s*"},
};

/* The i-th of space-separated words; quotes keep spaces. */
static void pick_word(uint64_t *seed, const char *list, char *out, size_t cap)
{
    const char *word[16];
    size_t bytes[16];
    size_t n = 0;
    for (const char *p = list; *p && n < ARRAY_LEN(word);) {
        p += strspn(p, " ");
        const char *end = p;
        for (char quote = 0; *end && (quote || *end != ' '); end++) {
            if (*end == '\\')
                end++;
            else if (*end == '\'' || *end == '"')
                quote = !quote ? *end : quote == *end ? 0 : quote;
        }
        word[n] = p;
        bytes[n++] = (size_t)(end - p);
        p = end;
    }
    size_t i = (size_t)rec_below(seed, (int64_t)n);
    snprintf(out, cap, "%.*s", (int)bytes[i], word[i]);
}

static void random_test(uint64_t *seed, char *out, size_t cap)
{
    char op[8];
    char value[64];
    char second[64];
    const char *const *t = tests_of[rec_below(seed, ARRAY_LEN(tests_of))];
    pick_word(seed, t[1], op, sizeof op);
    do
        pick_word(seed, t[2], value, sizeof value);
    while (value[0] == '[' ||
           (strstr(value, "..") && strcmp(op, "=") != 0 && strcmp(op, "!=") != 0));
    do
        pick_word(seed, t[2], second, sizeof second);
    while (second[0] == '[' || strstr(second, ".."));
    int64_t form = rec_below(seed, 10);
    if (form == 0)
        snprintf(out, cap, "%s is %snull", t[0], chance(seed, 50) ? "not " : "");
    else if (form == 1 && !strstr(value, ".."))
        snprintf(out, cap, "%s %sin [%s,%s]", t[0], chance(seed, 50) ? "not " : "", value, second);
    else if (form == 2)
        snprintf(out, cap, "tag.%s", chance(seed, 50) ? "good" : "\"so so\"");
    else
        snprintf(out, cap, "%s %s %s", t[0], op, value);
}

static void random_filter(uint64_t *seed, char *out, size_t cap, int depth)
{
    char left[1024];
    char right[1024];
    int64_t form = depth > 2 ? 0 : rec_below(seed, 6);
    if (form <= 2) {
        random_test(seed, out, cap);
    } else if (form == 3) {
        random_filter(seed, left, sizeof left / 2, depth + 1);
        snprintf(out, cap, "not (%s)", left);
    } else {
        random_filter(seed, left, sizeof left / 2, depth + 1);
        random_filter(seed, right, sizeof right / 2, depth + 1);
        snprintf(out, cap, "(%s) %s (%s)", left, form == 4 ? "and" : "or", right);
    }
}

static void sql_finds_what_naive_finds(void **state)
{
    (void)state;
    char *where = base_alloc(FILTER_TEXT_MAX);
    uint64_t seed = rec_seed();
    for (int i = 0; i < 2500; i++) {
        random_filter(&seed, where, FILTER_TEXT_MAX, 0);
        same_as_naive(where);
    }
    free(where);
}

static void hostile_texts_stay_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        HOSTILE, "' OR 1=1 --", "\\\" OR 1=1",      "?1",
        "@",     "%s%n",        "'||(SELECT 1)||'", "); DELETE FROM run; --",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char where[400];
        size_t want = 0;
        for (int id = 1; id <= RUNS; id++)
            want += strcmp(truths[id].label.text, texts[i]) == 0;
        snprintf(where, sizeof where, "label = \"%s\"", texts[i]);
        assert_int_equal(count(where, RUN_NONE), want);
        snprintf(where, sizeof where, "label ~ \"*%s*\" and label !~ \"*%s*\"", texts[i], texts[i]);
        assert_int_equal(count(where, RUN_NONE), 0);
        if (strchr(texts[i], '"'))
            continue;
        snprintf(where, sizeof where, "param.\"%s\" = 1 or metric.\"%s\" > 0 or tag.\"%s\"",
                 texts[i], texts[i], texts[i]);
        assert_int_equal(count(where, RUN_NONE), 0);
    }
    assert_int_equal(count("id > 0", RUN_NONE), RUNS);
}

/* The words that a filter takes for a state are those that there are. */
static void states_are_the_states(void **state)
{
    (void)state;
    const struct column c = {.id = COLUMN_ID_STATE};
    const char *const *words = column_words(&c);
    for (int i = 0; i < RUN_STATES; i++)
        assert_string_equal(words[i], run_state_name((enum run_state)i));
    assert_null(words[RUN_STATES]);
}

/* ---- who sees what ------------------------------------------------------------------------------- */

struct seen {
    size_t runs, commands, params, energies;
};

static int keep_seen(void *arg, int64_t id, const struct query_cell *cells)
{
    struct seen *s = arg;
    bool own = truths[id].uid.d == 1000;
    s->runs++;
    s->commands += cells[0].kind != QUERY_UNKNOWN;
    s->params += cells[1].kind != QUERY_UNKNOWN;
    s->energies += cells[2].kind != QUERY_UNKNOWN;
    assert_true(own || (cells[0].kind == QUERY_UNKNOWN && cells[1].kind == QUERY_UNKNOWN));
    return 0;
}

static void others_details_are_unknown(void **state)
{
    (void)state;
    size_t own = count("uid = 1000", RUN_NONE);
    assert_int_equal(count("command ~ secret", RUN_NONE), RUNS);
    assert_int_equal(count("command ~ secret", 1000), own);
    assert_int_equal(count("not command ~ secret", 1000), 0);
    assert_int_equal(count("command is null", 1000), 0);
    assert_int_equal(count("command is not null", 1000), own);
    assert_int_equal(count("param.lr > 0 and uid = 1001", 1000), 0);
    assert_int_equal(count("(param.lr is null or tag is null or tag != x) and uid = 1001", 1000),
                     0);
    assert_int_equal(count("metric.loss.n >= 0 and uid = 1001 or tag.good and uid = 1001", 1000),
                     0);
    assert_int_equal(count("energy >= 0", 1000), count("energy >= 0", RUN_NONE));
    struct query *q = base_alloc(sizeof *q);
    struct seen s = {0};
    struct err e = {0};
    query_init(q);
    q->visible_uid = 1000;
    q->ncolumns = 3;
    assert_int_equal(column_find(&q->column[0], "command", 7, &e), 0);
    assert_int_equal(column_find(&q->column[1], "param.lr", 8, &e), 0);
    assert_int_equal(column_find(&q->column[2], "energy", 6, &e), 0);
    q->nsort = 1;
    assert_int_equal(query_sort_parse(&q->sort[0], "-param.lr", &e), 0);
    assert_int_equal(query_run(store, q, keep_seen, &s, &e), 0);
    assert_int_equal(s.runs, RUNS);
    assert_int_equal(s.commands, own);
    assert_int_equal(s.energies, count("energy >= 0", RUN_NONE));
    free(q);
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static void pages_and_conditions(void **state)
{
    (void)state;
    struct query *q = base_alloc(sizeof *q);
    struct found all;
    struct found page;
    struct found joined = {.n = 0};
    struct err e = {0};
    struct filter *f CLEANUP(filter_freep) = parse("energy > 0");
    ask(&all, f, RUN_NONE);
    query_init(q);
    q->where = f;
    q->base.limit = 7;
    do {
        page.n = 0;
        rec_must(query_run(store, q, keep_id, &page, &e), &e, "page");
        for (size_t i = 0; i < page.n; i++)
            joined.id[joined.n++] = page.id[i];
        q->base.before_id = joined.id[joined.n - 1];
    } while (page.n == 7);
    assert_int_equal(joined.n, all.n);
    assert_memory_equal(joined.id, all.id, all.n * sizeof(int64_t));
    query_init(q);
    q->base.state = RUN_DONE;
    q->base.sweep = 2;
    q->base.uid = 1001;
    q->base.since_utc_ns = NOW - 200 * 3600 * NS_PER_S;
    q->base.label = HOSTILE;
    page.n = 0;
    rec_must(query_run(store, q, keep_id, &page, &e), &e, "base");
    assert_int_equal(
        page.n,
        count("state=done and sweep=2 and uid=1001 and since -200h and label = \"" HOSTILE "\"",
              RUN_NONE));
    free(q);
}

static void order_of_rows(void **state)
{
    (void)state;
    struct query *q = base_alloc(sizeof *q);
    struct found got = {.n = 0};
    struct err e = {0};
    query_init(q);
    q->nsort = 2;
    assert_int_equal(query_sort_parse(&q->sort[0], "-energy", &e), 0);
    assert_int_equal(query_sort_parse(&q->sort[1], "label", &e), 0);
    rec_must(query_run(store, q, keep_id, &got, &e), &e, "sorted");
    assert_int_equal(got.n, RUNS);
    for (size_t i = 1; i < got.n; i++) {
        const struct truth *a = &truths[got.id[i - 1]];
        const struct truth *b = &truths[got.id[i]];
        bool same = a->energy.kind == b->energy.kind && a->energy.d == b->energy.d;
        assert_true(a->energy.kind >= b->energy.kind); /* unknown last */
        assert_true(a->energy.kind != b->energy.kind || a->energy.d >= b->energy.d);
        int d = strcmp(a->label.text, b->label.text);
        assert_true(!same || d < 0 || (d == 0 && got.id[i - 1] > got.id[i]));
    }
    assert_int_equal(query_sort_parse(&q->sort[0], "mean:energy", &e), 0);
    assert_int_equal(query_run(store, q, keep_id, &got, &e), WATTQ_E_USAGE);
    free(q);
}

static int keep_reason(void *arg, int64_t id, const struct query_cell *cells)
{
    const char *want = id == 7 ? NULL : "no figure of it is stored";
    *(size_t *)arg += 1;
    if (id == 7) {
        assert_int_equal(cells[1].i, 42000000);
        assert_string_equal(cells[1].quality, "measured");
    } else {
        assert_int_equal(cells[1].kind, QUERY_UNKNOWN);
        assert_string_equal(cells[1].reason, want);
    }
    if (cells[0].kind == QUERY_UNKNOWN)
        assert_string_equal(cells[0].reason, truths[id].quality.kind ? "the meter failed"
                                                                     : "no figure of it is stored");
    else
        assert_string_equal(cells[0].quality, truths[id].quality.text);
    return 0;
}

static void joules_say_what_they_are(void **state)
{
    (void)state;
    struct query *q = base_alloc(sizeof *q);
    struct err e = {0};
    size_t n = 0;
    query_init(q);
    q->ncolumns = 2;
    assert_int_equal(column_find(&q->column[0], "energy", 6, &e), 0);
    assert_int_equal(column_find(&q->column[1], "energy.package-0", 16, &e), 0);
    rec_must(query_run(store, q, keep_reason, &n, &e), &e, "rows");
    assert_int_equal(n, RUNS);
    assert_int_equal(count("energy.package-0 = 42J", RUN_NONE), 1);
    assert_int_equal(count("energy.uid-1 = 42J", RUN_NONE), 1);
    assert_int_equal(column_find(&q->column[1], "energy.twin", 11, &e), 0);
    assert_int_equal(query_run(store, q, keep_reason, &n, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "uid-2, uid-3"));
    assert_int_equal(column_find(&q->column[1], "energy.pakage-0", 15, &e), 0);
    assert_int_equal(query_run(store, q, keep_reason, &n, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "energy.package-0"));
    free(q);
}

/* Of the newest total only; a run without such a figure has none. */
static void shares_and_gpus_are_columns(void **state)
{
    (void)state;
    assert_int_equal(count("marginal lt 0J", RUN_NONE), 1);
    assert_int_equal(count("marginal is not null", RUN_NONE), 1);
    assert_int_equal(count("attributed = 5J", RUN_NONE), 1);
    assert_int_equal(count("gpu = 0s or gpu gt 0s", RUN_NONE), truths[1].time.kind == NUMBER);
}

static void too_long_ends(void **state)
{
    (void)state;
    struct query *q = base_alloc(sizeof *q);
    struct found got = {.n = 0};
    struct err e = {0};
    struct filter *f CLEANUP(filter_freep) =
        parse("command ~ *a*b*c*d* or command ~ *x*y* or command ~ *z* or note ~ x");
    query_init(q);
    q->where = f;
    q->limit_ns = 1;
    assert_int_equal(query_run(store, q, keep_id, &got, &e), WATTQ_E_LIMIT);
    assert_non_null(strstr(e.text, "too long"));
    assert_int_equal(count("id > 0", RUN_NONE), RUNS); /* the connection is as good as before */
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sql_finds_what_naive_finds),
        cmocka_unit_test(hostile_texts_stay_texts),
        cmocka_unit_test(others_details_are_unknown),
        cmocka_unit_test(pages_and_conditions),
        cmocka_unit_test(order_of_rows),
        cmocka_unit_test(joules_say_what_they_are),
        cmocka_unit_test(shares_and_gpus_are_columns),
        cmocka_unit_test(too_long_ends),
        cmocka_unit_test(states_are_the_states),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
