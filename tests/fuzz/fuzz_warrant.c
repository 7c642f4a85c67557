/* A warrant comes through wattqd, which may have been taken over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/warrant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[SHA256_BYTES] = {7};
    struct warrant *w = malloc(sizeof(*w));
    if (!w)
        return 0;
    if (warrant_parse(w, data, size, NULL) == 0) {
        if (warrant_bytes(w) != size || memcmp(w, data, size) != 0 || warrant_genuine(w, key))
            abort();
        warrant_sign(w, key);
        if (!warrant_genuine(w, key) || warrant_find(w, w->leaves[w->n - 1]) != (int)w->n - 1)
            abort();
    }
    free(w);
    return 0;
}
