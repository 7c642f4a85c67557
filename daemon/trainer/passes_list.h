/* The compiled variants; on other processors than x86-64 there is only the baseline. */
#ifndef TRAINER_PASSES_LIST_H
#define TRAINER_PASSES_LIST_H

#include "daemon/trainer/passes.h"

extern const struct passes passes_baseline;
#if defined(__x86_64__)
extern const struct passes passes_avx2;
extern const struct passes passes_avx512;
#endif

#endif
