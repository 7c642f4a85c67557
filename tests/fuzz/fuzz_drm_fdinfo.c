/* fdinfo of a GPU: any text is refused or gives counts that are not negative, and shares within 0 .. 1. */
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/drm_fdinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct drm_fdinfo *f)
{
    if (f->client < -1 || f->memory_bytes < -1 || f->n > DRM_ENGINES_MAX)
        abort();
    for (size_t i = 0; i < f->n; i++) {
        const struct drm_engine *e = &f->engines[i];
        if (e->name[0] == '\0' || e->busy < 0 || e->total < 0 || e->units < 1)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drm_fdinfo whole, half;
    char *text = malloc(size + 1); /* so that a read beyond the end is seen */
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    bool known = drm_fdinfo_parse(text, &whole);
    if (known != (whole.driver[0] != '\0'))
        abort();
    check(&whole);
    text[size / 2] = '\0';
    (void)drm_fdinfo_parse(text, &half);
    check(&half);
    for (int64_t span_ns = -1; span_ns <= 1000000000; span_ns += 500000000) {
        int64_t ppm = drm_fdinfo_busy_ppm(&half, &whole, span_ns);
        if (ppm < 0 || ppm > 1000000)
            abort();
    }
    free(text);
    return 0;
}
