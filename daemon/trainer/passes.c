#include "daemon/trainer/passes_list.h"

const struct passes *const *passes_usable(void)
{
#if defined(__x86_64__)
    static const struct passes *const all[] = {&passes_avx512, &passes_avx2, &passes_baseline,
                                               NULL};
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return all;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? all + 1 : all + 2;
#else
    static const struct passes *const all[] = {&passes_baseline, NULL};
    return all;
#endif
}
