/* Which runs a person means: 17, 3-9, 2,5,8-10, last (also @), last-2 (also @~2), sweep:12, or a filter
 * (common/filter.h): every word that is none of the others. Filter words that stand alone hold all at once
 * (state=failed sweep=12); others are read as one text (energy gt 2kJ and not tag.bad). Ids and filters are
 * not mixed: which of "and" and "or" would be meant? */
#ifndef CLIENT_SEL_H
#define CLIENT_SEL_H

#include "client/conn.h"

#define SEL_MAX 100000

struct sel {
    int64_t *ids; /* in the order named; a run named twice stands twice */
    size_t n;
    size_t cap;
    int64_t sweep; /* of the only word "sweep:N"; 0 = there was none */
    char *where;   /* the filter, with times fixed, when the words were one; else NULL */
};
void sel_init(struct sel *s);
void sel_fini(struct sel *s);
void sel_finip(struct sel *s); /* for CLEANUP() */

/* Parse words that need no daemon ("17", "3-9", lists). 0; 1 = it is another kind of word. */
int sel_parse(struct sel *s, const char *word, struct err *e) MUST_USE;
/* All words; asks the daemon for last, sweep:N and filters (oldest run first). WATTQ_E_USAGE for no selector
 * or a filter with a mistake in it, WATTQ_E_NOT_FOUND when there is no such run. */
int sel_runs(struct sel *s, struct conn *c, char *const *words, size_t n, struct err *e) MUST_USE;
/* Exactly one run. */
int sel_one(int64_t *run, struct conn *c, const char *word, struct err *e) MUST_USE;
/* The words as a filter's text, with times fixed, for operations that take `where`: no list of ids, however
 * many runs are meant. *out is NULL for no words at all; caller frees. sel_filter asks nobody and returns 1
 * for words that are no filter; sel_where turns ids and `last` into one, for which it asks the daemon. */
int sel_filter(char **out, char *const *words, size_t n, struct err *e) MUST_USE;
int sel_where(char **out, struct conn *c, char *const *words, size_t n, struct err *e) MUST_USE;
/* Write the ids as the array `runs` of a request. */
void sel_put(const struct sel *s, struct wire_out *o);
/* `op` on all of them, at most at_once in each request, with a reason unless it is NULL; what is answered is not kept. */
int sel_tell(struct conn *c, const char *op, size_t at_once, const struct sel *runs,
             const char *reason, struct err *e) MUST_USE;

/* The `runs` request, page by page: fn gets every summary, newest first, until `most` were seen or it
 * returns something else than 0 (which is passed on). put adds conditions; NULL = none. */
int sel_list(struct conn *c, void (*put)(void *arg, struct wire_out *o), void *put_arg,
             int64_t most, int (*fn)(void *arg, const struct wire_val *run), void *arg,
             struct err *e) MUST_USE;

#endif
