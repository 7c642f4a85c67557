/* A filter as text again. */
#include <stdlib.h>

#include "common/filter.h"

static void put(FILE *o, const struct filter *f, int at, enum filter_op parent, bool right);

/* Brackets only where the tree would come back otherwise: chains lean to the left. */
static bool needs_brackets(enum filter_op op, enum filter_op parent, bool right)
{
    if (op != FILTER_AND && op != FILTER_OR)
        return false;
    if (parent == FILTER_NOT)
        return true;
    if (op == parent)
        return right;
    return parent == FILTER_AND;
}

static void put_value(FILE *o, const struct filter *f, const struct filter_node *n, size_t i)
{
    char *text CLEANUP(base_freep) = filter_value_text(&f->values[n->first + i], &n->column);
    (void)fputs(text, o);
}

static void put_list(FILE *o, const struct filter *f, const struct filter_node *n)
{
    (void)fputs(n->negated ? " not in [" : " in [", o);
    for (size_t i = 0; i < n->n; i++) {
        (void)fputs(i ? "," : "", o);
        put_value(o, f, n, i);
    }
    (void)fputc(']', o);
}

static void put_test(FILE *o, const struct filter *f, const struct filter_node *n)
{
    static const char *const cmps[] = {" = ", " != ", " < ", " <= ", " > ", " >= ", " ~ ", " !~ "};
    char name[COLUMN_NAME_MAX];
    (void)fputs(column_name(name, sizeof name, &n->column), o);
    switch (n->op) {
    case FILTER_IN:
        put_list(o, f, n);
        break;
    case FILTER_RANGE:
        (void)fputs(n->negated ? " != " : " = ", o);
        put_value(o, f, n, 0);
        (void)fputs("..", o);
        put_value(o, f, n, 1);
        break;
    case FILTER_NULL:
        (void)fputs(n->negated ? " is not null" : " is null", o);
        break;
    case FILTER_CMP:
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        (void)fputs(cmps[n->cmp], o);
        put_value(o, f, n, 0);
        break;
    }
}

static void put_inside(FILE *o, const struct filter *f, const struct filter_node *n)
{
    switch (n->op) {
    case FILTER_NOT:
        (void)fputs("not ", o);
        put(o, f, n->left, FILTER_NOT, true);
        break;
    case FILTER_AND:
    case FILTER_OR:
        put(o, f, n->left, n->op, false);
        (void)fputs(n->op == FILTER_AND ? " and " : " or ", o);
        put(o, f, n->right, n->op, true);
        break;
    case FILTER_CMP:
    case FILTER_IN:
    case FILTER_RANGE:
    case FILTER_NULL:
        put_test(o, f, n);
        break;
    }
}

static void put(FILE *o, const struct filter *f, int at, enum filter_op parent, bool right)
{
    const struct filter_node *n = &f->nodes[at];
    bool brackets = needs_brackets(n->op, parent, right);
    (void)fputs(brackets ? "(" : "", o);
    put_inside(o, f, n);
    (void)fputs(brackets ? ")" : "", o);
}

char *filter_print(const struct filter *f)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *o = open_memstream(&text, &bytes);
    if (!o)
        abort();
    put(o, f, (int)f->n - 1, FILTER_OR, false);
    if (fclose(o) != 0)
        abort();
    return text;
}
