/* The passes for x86-64 with AVX2. Headers come before the target is raised: their inline functions must
 * stay callable everywhere. */
#include "daemon/trainer/passes_list.h"

#include <math.h>

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define ISA_NAME     "avx2"
#define PASSES_TABLE passes_avx2
#include "daemon/trainer/passes.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
