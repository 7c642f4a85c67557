/* What tells two runs apart, from two answers of `show`. What was run - command, parameters, environment, code,
 * machine, limits - decides whether they differ; how it went (time, energy, metrics) is never twice the same and
 * is listed beside it. Pure. */
#ifndef CLIENT_DIFF_H
#define CLIENT_DIFF_H

#include "common/wire.h"

struct diff_item {
    const char *section; /* literal: "command", "params", ..., "outcome" */
    char *key;
    char *a; /* NULL = it has none */
    char *b;
};
struct diff {
    struct diff_item *items; /* only what is not the same */
    size_t n;
    bool differs; /* any item but of "outcome" */
};
void diff_init(struct diff *d, const struct wire_val *a, const struct wire_val *b);
void diff_fini(struct diff *d);

/* A unified diff in one line: "train.py +3 -1, net.py +12 -0"; new memory, "" for none. */
char *diff_summary(const char *text);

#endif
