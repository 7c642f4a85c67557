/* Summaries of many runs by id, page by page, with energy and parameters. */
#ifndef CLIENT_PAGES_H
#define CLIENT_PAGES_H

#include "client/conn.h"

/* fn gets every run once, in the order of ids, until it returns something else than 0 (which is passed on).
 * WATTQ_E_NOT_FOUND when there is no run of an id. */
int pages_runs(struct conn *c, const int64_t *ids, size_t n,
               int (*fn)(void *arg, const struct wire_val *run), void *arg, struct err *e) MUST_USE;

#endif
