/* The passes for any processor of this architecture. */
#include "daemon/trainer/passes_list.h"

#include <math.h>

#define ISA_NAME     "baseline"
#define PASSES_TABLE passes_baseline
#include "daemon/trainer/passes.inc"
