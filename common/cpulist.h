/* Lists of CPUs as the kernel writes them: "0-3,8". Pure, any thread. */
#ifndef COMMON_CPULIST_H
#define COMMON_CPULIST_H

#include "common/base.h"

#define CPULIST_MAX   4096 /* Linux's own limit is 8192; beyond ours the rest is not looked at */
#define CPULIST_WORDS (CPULIST_MAX / 64)

struct cpulist {
    uint64_t word[CPULIST_WORDS];
};

/* "0-3,8", perhaps with a newline behind it; numbers beyond CPULIST_MAX are dropped. False for anything
 * else. An empty text is an empty list. */
bool cpulist_parse(struct cpulist *s, const char *text) MUST_USE;
bool cpulist_has(const struct cpulist *s, int cpu);
int cpulist_count(const struct cpulist *s);

#endif
