/* perf_text: what sysfs says of an event is refused or understood in full: a scale is a positive fraction
 * that is monotone in the count, a format takes back no bit, a list of terms comes to an end. */
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/perf_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scale(const char *text)
{
    struct perf_scale s;
    int64_t one = 0;
    int64_t many = 0;
    if (!perf_scale_parse(text, &s))
        return;
    if (s.num <= 0 || s.den <= 0)
        abort();
    if (perf_scale_uj(&s, UINT32_MAX, &many) && (!perf_scale_uj(&s, 1, &one) || one > many))
        abort();
}

static void terms(const char *text)
{
    char name[16];
    uint64_t value = 0;
    struct perf_config c = {{0}};
    const char *rest = text;
    while (perf_term_next(&rest, name, sizeof(name), &value) > 0) {
        struct perf_config before = c;
        if (strlen(name) == 0 || strlen(name) >= sizeof(name))
            abort();
        if (perf_config_put(&c, text, value) && (before.word[0] & ~c.word[0]) != 0)
            abort();
    }
    if (perf_config_put(&c, text, UINT64_MAX) && (c.word[0] | c.word[1] | c.word[2]) == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    scale(text);
    terms(text);
    free(text);
    return 0;
}
