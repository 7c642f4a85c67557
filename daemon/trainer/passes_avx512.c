/* The passes for x86-64 with AVX512. Headers come before the target is raised: their inline functions must
 * stay callable everywhere. */
#include "daemon/trainer/passes_list.h"

#include <math.h>

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define ISA_NAME     "avx512"
#define PASSES_TABLE passes_avx512
#include "daemon/trainer/passes.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
