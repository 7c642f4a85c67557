/* The filter language: which runs are meant, in words. Parsed by the client (for a quick answer, and so
 * that relative times are fixed once) and again by the daemon, which compiles it to SQL
 * (daemon/store/query.h). Pure, any thread.
 *
 *   filter  = and-list { "or" and-list }              and binds tighter than or, not tightest
 *   and-list= term { "and" term }
 *   term    = "not" term | "(" filter ")" | test
 *   test    = COLUMN OP VALUE | COLUMN ["not"] "in" "[" VALUE {"," VALUE} "]" | COLUMN "=" RANGE
 *           | COLUMN "is" ["not"] "null" | COLUMN (one that is true or false: tag.good)
 *           | "since" TIME | "until" TIME              submitted from then on, up to then
 *   OP      = = == != < <= > >= ~ !~, or as words eq ne lt le gt ge
 *   RANGE   = LOW..HIGH | LOW.. | ..HIGH              both ends included; not of texts
 *
 * Columns: column.h. Values have the units people write (units.h): 2kJ, 5m, 512M, 50W, 2^14, -7d,
 * 2026-01-31; a bare number where a unit is needed is refused with both readings shown, but 0 is 0.
 * What holds a space or one of ,()[]=<>~! stands in quotes, and quoted it is a text even of a parameter.
 * ~ finds a text inside a text, or fits a pattern where * or ? stand in it; both without regard to case.
 *
 * Not known is neither true nor false: a run without energy is found by `energy is null` only, neither by
 * `energy > 2kJ` nor by `not energy > 2kJ`. Text columns are never unknown: nothing is the empty text.
 * A parameter is compared as a number when the value is one (2^14 and 64k too), else as text; numbers and
 * texts are never equal, and neither is less than the other. */
#ifndef COMMON_FILTER_H
#define COMMON_FILTER_H

#include "common/column.h"

#define FILTER_TEXT_MAX  4096
#define FILTER_DEPTH_MAX 32
#define FILTER_NODES_MAX 256 /* and as many values */

enum filter_op {
    FILTER_AND,   /* left, right */
    FILTER_OR,    /* left, right */
    FILTER_NOT,   /* left */
    FILTER_CMP,   /* column cmp value[0] */
    FILTER_IN,    /* column in value[0..n) */
    FILTER_RANGE, /* value[0] <= column <= value[1]; either may be open */
    FILTER_NULL   /* column is null */
};
enum filter_cmp {
    FILTER_EQ,
    FILTER_NE,
    FILTER_LT,
    FILTER_LE,
    FILTER_GT,
    FILTER_GE,
    FILTER_LIKE,
    FILTER_UNLIKE
};

enum filter_kind { FILTER_OPEN, FILTER_INT, FILTER_REAL, FILTER_TEXT };
struct filter_value {
    enum filter_kind kind; /* FILTER_OPEN: the missing end of a range */
    int64_t i;             /* in the unit of the column's type; 0 and 1 for COLUMN_BOOL */
    double r;
    char *text; /* as it is written back: of FILTER_TEXT the text itself */
};

struct filter_node {
    enum filter_op op;
    enum filter_cmp cmp;
    bool negated; /* not in, is not null, != RANGE */
    int left, right;
    struct column column;
    size_t first, n; /* values */
};

struct filter {
    struct filter_node *nodes; /* children come before their parents; the last is the root */
    size_t n;
    struct filter_value *values;
    size_t nvalues;
};

/* now_utc_ns: what relative times are counted from. 0; WATTQ_E_USAGE with the place: text says what and
 * at which column of the text, next what to write, with ^ before the place; WATTQ_E_LIMIT. An empty text is
 * an error. On failure *out holds nothing. */
int filter_parse(struct filter **out, const char *text, int64_t now_utc_ns, struct err *e) MUST_USE;
void filter_free(struct filter *f); /* NULL is fine */
void filter_freep(struct filter **f);

/* As text that parses to the same tree whatever the time, the time zone and the shell: caller frees. */
char *filter_print(const struct filter *f);
/* A text as a value: as it is, or in quotes. Caller frees. */
char *filter_quote(const char *text);

/* One value of a column, as in a test: for programs that make filters. Same errors, without a place. */
int filter_value_parse(struct filter_value *out, const struct column *c, const char *text,
                       bool quoted, int64_t now_utc_ns, struct err *e) MUST_USE;
/* As it is written back, quoted where that is needed. Caller frees. */
char *filter_value_text(const struct filter_value *v, const struct column *c);

/* Has ~ a pattern in it (else it looks for a part)? */
bool filter_is_pattern(const char *text);

#endif
