/* SHA-256 (FIPS 180-4), for naming content: scripts, environments, code. Pure, any thread. */
#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#include "common/base.h"

#define SHA256_BYTES 32
#define SHA256_HEX   65 /* with the NUL */

struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t bytes);
void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]);
/* The same as lower-case hex. */
void sha256_end_hex(struct sha256 *s, char out[SHA256_HEX]);
void sha256_hex(const void *data, size_t bytes, char out[SHA256_HEX]);

#endif
