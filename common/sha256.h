/* SHA-256 (FIPS 180-4), for naming content: scripts, environments, code; HMAC-SHA-256 (RFC 2104) over it, for
 * vouching for content. Pure, any thread. */
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

struct hmac {
    struct sha256 inner;
    uint8_t outer_key[64];
};
void hmac_init(struct hmac *m, const void *key, size_t bytes);
void hmac_add(struct hmac *m, const void *data, size_t bytes);
void hmac_end(struct hmac *m, uint8_t out[SHA256_BYTES]); /* forgets the key */
/* In a time that does not depend on where they differ. */
bool hmac_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]);

#endif
