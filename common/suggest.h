/* "Did you mean": the nearest of some names to a misspelt word. Pure, any thread. */
#ifndef COMMON_SUGGEST_H
#define COMMON_SUGGEST_H

#include "common/base.h"

struct suggest {
    const char *word;
    const char *best; /* NULL while nothing is near enough to be meant */
    size_t distance;
};
void suggest_init(struct suggest *s, const char *word);  /* word is borrowed */
void suggest_offer(struct suggest *s, const char *name); /* borrowed; the first of equals stays */

#endif
