#include "daemon/trainer/rng.h"

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0];
    uint32_t c1 = counter[1];
    uint32_t c2 = counter[2];
    uint32_t c3 = counter[3];
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = UINT64_C(0xD2511F53) * c0;
        uint64_t p1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Two 64-bit values per block. */
static uint64_t value(uint64_t seed, enum rng_purpose purpose, uint64_t index)
{
    uint64_t block = index / 2;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)purpose, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    rng_philox(counter, key, out);
    size_t half = index % 2 * 2;
    return (uint64_t)out[half + 1] << 32 | out[half];
}

double rng_uniform(uint64_t seed, enum rng_purpose purpose, uint64_t index)
{
    return (double)(value(seed, purpose, index) >> 11) * 0x1p-53;
}

/* value * n / 2^64: biased by less than n / 2^64, which nobody can see. */
void rng_permute(uint64_t seed, enum rng_purpose purpose, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        __extension__ unsigned __int128 wide = value(seed, purpose, i);
        uint32_t j = (uint32_t)(wide * i >> 64);
        uint32_t swap = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swap;
    }
}
