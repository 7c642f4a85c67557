#include "common/filter.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/suggest.h"

#define WORD_MAX    512 /* bytes of one value or name */
#define HERE_BEFORE 28  /* characters shown around the place of an error */
#define HERE_AFTER  28

struct parser {
    const char *text;
    const char *at; /* next byte */
    int64_t now_utc_ns;
    struct filter *f;
    int depth;
    struct err *e;
};

static int or_list(struct parser *p, int *out);

/* ---- errors with their place --------------------------------------------------------------------- */

static size_t characters(const char *from, const char *to)
{
    size_t n = 0;
    for (; from < to; from++)
        n += ((unsigned char)*from & 0xc0) != 0x80;
    return n;
}

/* The text around `at`, cut to whole characters. */
static void here(char *out, size_t cap, const struct parser *p, const char *at)
{
    const char *from = at;
    const char *to = at;
    while (from > p->text && (at - from < HERE_BEFORE || ((unsigned char)*from & 0xc0) == 0x80))
        from--;
    while (*to && (to - at < HERE_AFTER || ((unsigned char)*to & 0xc0) == 0x80))
        to++;
    (void)snprintf(out, cap, "%s%.*s^%.*s%s", from > p->text ? "..." : "", (int)(at - from), from,
                   (int)(to - at), at, *to ? "..." : "");
}

/* Adds the place to an error that is set already (by units, by columns) or set just now. */
static int at_place(struct parser *p, const char *at, int rc)
{
    if (!p->e || rc == 0)
        return rc;
    char text[sizeof p->e->text];
    char next[sizeof p->e->next];
    char place[140];
    base_strcpy(text, sizeof text, p->e->text);
    base_strcpy(next, sizeof next, p->e->next);
    here(place, sizeof place, p, at);
    err_set(p->e, rc, "%.260s (column %zu)", text, characters(p->text, at) + 1);
    (void)err_next(p->e, "%.*s%shere: %s", (int)(sizeof next - 12 - strlen(place)), next,
                   *next ? "; " : "", place);
    return rc;
}

static int wrong(struct parser *p, const char *at, const char *what, const char *next)
{
    int rc = err_set(p->e, WATTQ_E_USAGE, "%s", what);
    if (next)
        (void)err_next(p->e, "%s", next);
    return at_place(p, at, rc);
}

static int too_much(struct parser *p, const char *at, const char *what)
{
    int rc = err_set(p->e, WATTQ_E_LIMIT, "the filter has more than %s", what);
    (void)err_next(p->e, "ask in several steps");
    return at_place(p, at, rc);
}

/* ---- pieces of text ------------------------------------------------------------------------------ */

static void skip_space(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* A keyword at this place, as a whole word; taken if it is there. */
static bool keyword(struct parser *p, const char *word)
{
    skip_space(p);
    size_t n = strlen(word);
    if (strncasecmp(p->at, word, n) != 0 || word_byte(p->at[n]))
        return false;
    p->at += n;
    return true;
}

static bool sign(struct parser *p, const char *s)
{
    skip_space(p);
    size_t n = strlen(s);
    if (strncmp(p->at, s, n) != 0)
        return false;
    p->at += n;
    return true;
}

/* The end of the quoted text that begins at s; NULL = it does not end. */
static const char *quoted_end(const char *s)
{
    char quote = *s;
    for (s++; *s && *s != quote; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s + 1 : NULL;
}

/* A column's name: word bytes, and a quoted text behind a dot. Empty when none begins here. */
static const char *name_end(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_')
        return s;
    const char *at = s;
    while (word_byte(*at)) {
        at++;
        if (at[-1] == '.' && (*at == '"' || *at == '\'')) {
            const char *end = quoted_end(at);
            return end ? end : at;
        }
    }
    return at;
}

struct word {
    const char *at; /* where it began */
    char text[WORD_MAX];
    bool quoted;
};

static int take_quoted(struct parser *p, struct word *w)
{
    const char *end = quoted_end(p->at);
    size_t n = 0;
    if (!end)
        return wrong(p, p->at, "the quoted text does not end", "put a closing quote");
    w->quoted = true;
    for (const char *s = p->at + 1; s < end - 1; s++) {
        if (*s == '\\' && s + 1 < end - 1)
            s++;
        if (n + 1 >= sizeof w->text)
            return too_much(p, p->at, "512 bytes in one value");
        w->text[n++] = *s;
    }
    w->text[n] = '\0';
    p->at = end;
    return 0;
}

static int take_word(struct parser *p, struct word *w, const char *behind)
{
    skip_space(p);
    *w = (struct word){.at = p->at};
    if (*p->at == '"' || *p->at == '\'')
        return take_quoted(p, w);
    size_t n = strcspn(p->at, " \t\r\n\v\f,()[]");
    if (n == 0 || strchr("=<>~!", *p->at)) {
        char what[80];
        (void)snprintf(what, sizeof what, "a value is missing behind '%.40s'", behind);
        return wrong(p, p->at, what, "write one, in quotes if it is an odd text");
    }
    if (n >= sizeof w->text)
        return too_much(p, p->at, "512 bytes in one value");
    memcpy(w->text, p->at, n);
    w->text[n] = '\0';
    p->at += n;
    return 0;
}

/* ---- the tree ------------------------------------------------------------------------------------ */

static int add_node(struct parser *p, const char *at, const struct filter_node *node, int *out)
{
    struct filter *f = p->f;
    if (f->n >= FILTER_NODES_MAX)
        return too_much(p, at, "256 tests and connections");
    *out = (int)f->n;
    f->nodes[f->n++] = *node;
    return 0;
}

/* "state = faild" would find nothing, and not say why. */
static int check_word(struct parser *p, const struct column *c, const struct word *w)
{
    const char *const *words = column_words(c);
    char name[COLUMN_NAME_MAX];
    struct suggest near;
    if (!words || !w->text[0])
        return 0;
    suggest_init(&near, w->text);
    for (; *words; words++) {
        if (strcmp(*words, w->text) == 0)
            return 0;
        suggest_offer(&near, *words);
    }
    err_set(p->e, WATTQ_E_USAGE, "no run has the %s '%.60s'", column_name(name, sizeof name, c),
            w->text);
    if (near.best)
        (void)err_next(p->e, "did you mean %s?", near.best);
    else
        (void)err_next(p->e, "wattq help columns");
    return at_place(p, w->at, WATTQ_E_USAGE);
}

/* The text of a value, read as one of the column, into the next place. */
static int add_value(struct parser *p, const struct column *c, const struct word *w)
{
    struct filter *f = p->f;
    if (f->nvalues >= FILTER_NODES_MAX)
        return too_much(p, w->at, "256 values");
    int rc = filter_value_parse(&f->values[f->nvalues], c, w->text, w->quoted, p->now_utc_ns, p->e);
    if (rc < 0)
        return at_place(p, w->at, rc);
    f->nvalues++;
    return 0;
}

static int add_open(struct parser *p, const struct word *w)
{
    if (p->f->nvalues >= FILTER_NODES_MAX)
        return too_much(p, w->at, "256 values");
    p->f->values[p->f->nvalues++] = (struct filter_value){.kind = FILTER_OPEN};
    return 0;
}

/* ---- tests --------------------------------------------------------------------------------------- */

static bool is_number(const char *text, const struct column *c)
{
    struct filter_value v = {0};
    bool number = filter_value_parse(&v, c, text, false, 0, NULL) == 0 && v.kind != FILTER_TEXT;
    free(v.text);
    return number;
}

/* LOW..HIGH: where the dots stand, or NULL when it is a plain value. Texts have no ranges; a parameter's
 * word is one only between numbers. */
static char *range_dots(struct word *w, const struct column *c)
{
    char *dots = w->quoted ? NULL : strstr(w->text, "..");
    if (!dots || column_type(c) == COLUMN_TEXT || column_type(c) == COLUMN_BOOL)
        return NULL;
    if (column_type(c) != COLUMN_ANY)
        return dots;
    *dots = '\0';
    bool numbers = (!w->text[0] || is_number(w->text, c)) && (!dots[2] || is_number(dots + 2, c)) &&
                   (w->text[0] || dots[2]);
    *dots = '.';
    return numbers ? dots : NULL;
}

static int range(struct parser *p, struct filter_node *node, struct word *w, char *dots)
{
    struct word high = {.at = w->at + (dots + 2 - w->text)};
    base_strcpy(high.text, sizeof high.text, dots + 2);
    *dots = '\0';
    if (!w->text[0] && !high.text[0])
        return wrong(p, w->at, "the range has no end at all", "write LOW.., ..HIGH or LOW..HIGH");
    node->op = FILTER_RANGE;
    node->n = 2;
    int rc = w->text[0] ? add_value(p, &node->column, w) : add_open(p, w);
    if (rc == 0)
        rc = high.text[0] ? add_value(p, &node->column, &high) : add_open(p, &high);
    return rc;
}

static int list(struct parser *p, struct filter_node *node)
{
    struct word w;
    node->op = FILTER_IN;
    do {
        int rc = take_word(p, &w, "in [");
        if (rc == 0)
            rc = check_word(p, &node->column, &w);
        if (rc == 0)
            rc = add_value(p, &node->column, &w);
        if (rc < 0)
            return rc;
        node->n++;
    } while (sign(p, ","));
    if (sign(p, "]"))
        return 0;
    return wrong(p, p->at, "the list does not end here", "write in [a,b,c]");
}

static int in(struct parser *p, struct filter_node *node)
{
    struct word w;
    if (sign(p, "["))
        return list(p, node);
    int rc = take_word(p, &w, "in");
    if (rc < 0)
        return rc;
    char *dots = range_dots(&w, &node->column);
    return dots ? range(p, node, &w, dots)
                : wrong(p, w.at, "'in' needs a list or a range", "write in [a,b,c] or in 1..5");
}

struct cmp_word {
    const char *sign; /* longer ones first */
    enum filter_cmp cmp;
};
static const struct cmp_word signs[] = {
    {"==", FILTER_EQ}, {"!=", FILTER_NE},     {"<=", FILTER_LE},
    {">=", FILTER_GE}, {"!~", FILTER_UNLIKE}, {"=", FILTER_EQ},
    {"<", FILTER_LT},  {">", FILTER_GT},      {"~", FILTER_LIKE},
};
static const struct cmp_word words[] = {
    {"eq", FILTER_EQ}, {"ne", FILTER_NE}, {"lt", FILTER_LT},
    {"le", FILTER_LE}, {"gt", FILTER_GT}, {"ge", FILTER_GE},
};

static const char *take_cmp(struct parser *p, enum filter_cmp *out)
{
    for (size_t i = 0; i < ARRAY_LEN(signs); i++)
        if (sign(p, signs[i].sign)) {
            *out = signs[i].cmp;
            return signs[i].sign;
        }
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (keyword(p, words[i].sign)) {
            *out = words[i].cmp;
            return words[i].sign;
        }
    return NULL;
}

static int check_cmp(struct parser *p, const char *at, const struct filter_node *node)
{
    enum column_type t = column_type(&node->column);
    bool like = node->cmp == FILTER_LIKE || node->cmp == FILTER_UNLIKE;
    if (like && t != COLUMN_TEXT && t != COLUMN_ANY)
        return wrong(p, at, "~ looks into texts, and this is none",
                     "compare with = < > or a range");
    if (t == COLUMN_BOOL && node->cmp != FILTER_EQ && node->cmp != FILTER_NE)
        return wrong(p, at, "what is true or false has no order", "write = true or != true");
    return 0;
}

static int compare(struct parser *p, struct filter_node *node, const char *op, const char *op_at)
{
    struct word w = {0};
    node->op = FILTER_CMP;
    int rc = check_cmp(p, op_at, node);
    if (rc == 0)
        rc = take_word(p, &w, op);
    if (rc < 0)
        return rc;
    char *dots = range_dots(&w, &node->column);
    if (dots && node->cmp != FILTER_EQ && node->cmp != FILTER_NE)
        return wrong(p, w.at, "a range goes with = or != only", "write energy=2kJ..5kJ");
    if (dots) {
        node->negated = node->cmp == FILTER_NE;
        node->cmp = FILTER_EQ;
        return range(p, node, &w, dots);
    }
    node->n = 1;
    rc = node->cmp == FILTER_EQ || node->cmp == FILTER_NE ? check_word(p, &node->column, &w) : 0;
    return rc < 0 ? rc : add_value(p, &node->column, &w);
}

static int null_test(struct parser *p, struct filter_node *node)
{
    node->op = FILTER_NULL;
    node->negated = keyword(p, "not");
    if (keyword(p, "null"))
        return 0;
    return wrong(p, p->at, "'is' goes with null only", "write is null, is not null, or = VALUE");
}

static int bare(struct parser *p, struct filter_node *node, const char *at)
{
    if (column_type(&node->column) != COLUMN_BOOL) {
        skip_space(p);
        return wrong(p, *p->at ? p->at : at, "a comparison is missing here",
                     "write = != < <= > >= ~, in [a,b] or is null behind the column");
    }
    const struct word yes = {.at = at, .text = "true"};
    node->op = FILTER_CMP;
    node->n = 1;
    return add_value(p, &node->column, &yes);
}

/* since TIME, until TIME */
static int when(struct parser *p, struct filter_node *node, enum filter_cmp cmp, const char *word)
{
    struct word w;
    node->op = FILTER_CMP;
    node->cmp = cmp;
    node->column = (struct column){.id = COLUMN_ID_SUBMIT};
    node->n = 1;
    int rc = take_word(p, &w, word);
    return rc < 0 ? rc : add_value(p, &node->column, &w);
}

static int behind_name(struct parser *p, struct filter_node *node, const char *at)
{
    if (keyword(p, "is"))
        return null_test(p, node);
    const char *before = p->at;
    if (keyword(p, "not")) {
        if (keyword(p, "in")) {
            node->negated = true;
            return in(p, node);
        }
        p->at = before;
    }
    if (keyword(p, "in"))
        return in(p, node);
    skip_space(p);
    const char *op_at = p->at;
    const char *op = take_cmp(p, &node->cmp);
    return op ? compare(p, node, op, op_at) : bare(p, node, at);
}

static int no_name(struct parser *p)
{
    return wrong(p, p->at, *p->at ? "a column's name is missing here" : "the filter ends too early",
                 "write COLUMN = VALUE; wattq help filter");
}

static int test(struct parser *p, int *out)
{
    struct filter_node node = {.left = -1, .right = -1, .first = p->f->nvalues};
    skip_space(p);
    const char *at = p->at;
    const char *end = name_end(at);
    if (end == at)
        return no_name(p);
    int rc = 0;
    if (keyword(p, "since")) {
        rc = when(p, &node, FILTER_GE, "since");
    } else if (keyword(p, "until")) {
        rc = when(p, &node, FILTER_LE, "until");
    } else {
        rc = column_find(&node.column, at, (size_t)(end - at), p->e);
        if (rc < 0)
            return at_place(p, at, rc);
        p->at = end;
        rc = behind_name(p, &node, at);
    }
    return rc < 0 ? rc : add_node(p, at, &node, out);
}

/* ---- connections --------------------------------------------------------------------------------- */

static int term(struct parser *p, int *out)
{
    skip_space(p);
    const char *at = p->at;
    if (p->depth >= FILTER_DEPTH_MAX)
        return too_much(p, at, "32 levels");
    if (keyword(p, "not")) {
        struct filter_node node = {.op = FILTER_NOT, .right = -1};
        p->depth++;
        int rc = term(p, &node.left);
        p->depth--;
        return rc < 0 ? rc : add_node(p, at, &node, out);
    }
    if (!sign(p, "("))
        return test(p, out);
    p->depth++;
    int rc = or_list(p, out);
    p->depth--;
    if (rc < 0 || sign(p, ")"))
        return rc;
    return wrong(p, p->at, "a bracket is open", "put and, or or ) here");
}

/* term { "and" term }, or one level up. */
static int chain(struct parser *p, int *out, enum filter_op op)
{
    int rc = op == FILTER_AND ? term(p, out) : chain(p, out, FILTER_AND);
    while (rc == 0) {
        skip_space(p);
        const char *at = p->at;
        if (!keyword(p, op == FILTER_AND ? "and" : "or"))
            break;
        struct filter_node node = {.op = op, .left = *out};
        rc = op == FILTER_AND ? term(p, &node.right) : chain(p, &node.right, FILTER_AND);
        if (rc == 0)
            rc = add_node(p, at, &node, out);
    }
    return rc;
}

static int or_list(struct parser *p, int *out)
{
    return chain(p, out, FILTER_OR);
}

static int whole_text(struct parser *p)
{
    int root = 0;
    int rc = or_list(p, &root);
    if (rc < 0)
        return rc;
    skip_space(p);
    if (!*p->at)
        return 0;
    if (*p->at == ',')
        return wrong(p, p->at, "a comma stands outside a list",
                     "write in [a,b] for several values");
    return wrong(p, p->at, "the filter should end here or go on with and, or",
                 "put and or or between two tests");
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->nvalues; i++)
        free(f->values[i].text);
    free(f->values);
    free(f->nodes);
    free(f);
}

void filter_freep(struct filter **f)
{
    filter_free(*f);
}

int filter_parse(struct filter **out, const char *text, int64_t now_utc_ns, struct err *e)
{
    *out = NULL;
    if (strlen(text) > FILTER_TEXT_MAX) {
        err_set(e, WATTQ_E_LIMIT, "a filter has at most %d bytes", FILTER_TEXT_MAX);
        return err_next(e, "name fewer values, or a range");
    }
    struct filter *f = base_alloc(sizeof *f);
    f->nodes = base_alloc(FILTER_NODES_MAX * sizeof *f->nodes);
    f->values = base_alloc(FILTER_NODES_MAX * sizeof *f->values);
    struct parser p = {.text = text, .at = text, .now_utc_ns = now_utc_ns, .f = f, .e = e};
    int rc = whole_text(&p);
    if (rc < 0)
        filter_free(f);
    else
        *out = f;
    return rc;
}
