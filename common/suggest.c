#include "common/suggest.h"

#include <string.h>

#define WORD_MAX 64

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b; both at most WORD_MAX.
 * source: optimal string alignment distance. */
static size_t edits(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = smallest(last[j] + 1, now[j - 1] + 1, replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smallest(now[j], before[j - 2] + 1, now[j]);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

void suggest_init(struct suggest *s, const char *word)
{
    size_t n = strlen(word);
    /* A third of the word wrong is still a slip; more is another word. */
    *s = (struct suggest){.word = word, .distance = n < 3 ? 1 : n / 3 + 1};
}

void suggest_offer(struct suggest *s, const char *name)
{
    size_t nw = strlen(s->word);
    size_t nn = strlen(name);
    if (nw == 0 || nw > WORD_MAX || nn > WORD_MAX)
        return;
    size_t d = edits(s->word, nw, name, nn);
    if (d < s->distance + (s->best ? 0 : 1)) {
        s->best = name;
        s->distance = d;
    }
}
