/* Random numbers of the trainer: counter-based (Philox4x32-10), so that value i of a purpose is a pure
 * function of (seed, purpose, i) - no state, no order of calls, the same on every machine.
 * source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; constants and known
 * answers as in Random123. numpy's generator, which the study used, is not reproduced (docs/trainer.md). */
#ifndef TRAINER_RNG_H
#define TRAINER_RNG_H

#include "common/base.h"

/* Each use has its own sequence; the numbers are part of what a seed means, so they never change. */
enum rng_purpose {
    RNG_SPLIT = 1,
    RNG_INIT = 2,
    RNG_STANDIN = 3,
    RNG_STANDIN_TARGET = 4,
    RNG_TEST = 5
};

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Uniform in [0, 1), 53 bits. */
double rng_uniform(uint64_t seed, enum rng_purpose purpose, uint64_t index);
/* A permutation of 0..n-1 by Fisher-Yates from the end; n < 2^32. */
void rng_permute(uint64_t seed, enum rng_purpose purpose, uint32_t *out, uint32_t n);

#endif
