/* filter: any text is refused with a place in it, or read, written and read again as the same text. */
#include <stdlib.h>
#include <string.h>

#include "common/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct filter *f = NULL;
    struct filter *again = NULL;
    struct err e = {0};
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (filter_parse(&f, text, INT64_C(1700000000000000000), &e) < 0) {
        if (f || !e.text[0] || (e.code == WATTQ_E_USAGE && !strstr(e.text, "(column ")))
            abort();
        free(text);
        return 0;
    }
    char *one = filter_print(f);
    /* Quotes may make a text longer than what is taken. */
    if (filter_parse(&again, one, 5, &e) < 0 && e.code != WATTQ_E_LIMIT)
        abort();
    char *two = again ? filter_print(again) : NULL;
    if (two && strcmp(one, two) != 0)
        abort();
    filter_free(f);
    filter_free(again);
    free(one);
    free(two);
    free(text);
    return 0;
}
