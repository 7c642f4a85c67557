/* Blobs of samples that were changed under a right checksum. Header only. */
#ifndef TESTS_SUPPORT_FORGE_H
#define TESTS_SUPPORT_FORGE_H

#include <string.h>

#include "daemon/store/crc32c.h"

static inline void forge_crc(uint8_t *at, const uint8_t *from, size_t bytes)
{
    uint32_t crc = crc32c(from, bytes);
    memcpy(at, &crc, sizeof(crc));
}

/* Checksums as they belong to what is in the blob now, whichever version it says it is of. */
static inline void forge_mend(uint8_t *blob, size_t bytes)
{
    uint16_t channels;
    if (bytes < 16)
        return;
    memcpy(&channels, blob + 4, sizeof(channels));
    size_t head = 12 + 8 * (1 + (size_t)channels) + 4, at = head;
    if (blob[1] != 2 || head > bytes) {
        forge_crc(blob + bytes - 4, blob, bytes - 4);
        return;
    }
    for (size_t part = 0; part <= channels; part++) {
        uint32_t length;
        memcpy(&length, blob + 12 + 8 * part, sizeof(length));
        if (length > bytes - at)
            break;
        forge_crc(blob + 12 + 8 * part + 4, blob + at, length);
        at += length;
    }
    forge_crc(blob + head - 4, blob, head - 4);
}

#endif
