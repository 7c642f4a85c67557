#include "common/cpulist.h"

#include <stdlib.h>
#include <string.h>

bool cpulist_has(const struct cpulist *s, int cpu)
{
    return cpu >= 0 && cpu < CPULIST_MAX && (s->word[cpu / 64] >> (cpu % 64) & 1) != 0;
}

int cpulist_count(const struct cpulist *s)
{
    int n = 0;
    for (size_t i = 0; i < CPULIST_WORDS; i++)
        n += __builtin_popcountll(s->word[i]);
    return n;
}

bool cpulist_parse(struct cpulist *s, const char *text)
{
    memset(s, 0, sizeof(*s));
    while (*text != '\0' && *text != '\n') {
        char *end;
        if (*text < '0' || *text > '9')
            return false;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            text = end + 1;
            if (*text < '0' || *text > '9')
                return false;
            last = strtoul(text, &end, 10);
        }
        if (last < first)
            return false;
        for (unsigned long c = first; c <= last && c < CPULIST_MAX; c++)
            s->word[c / 64] |= UINT64_C(1) << (c % 64);
        text = *end == ',' ? end + 1 : end;
        if (*end != ',' && *end != '\0' && *end != '\n')
            return false;
    }
    return true;
}
