/* CRC-32C (Castagnoli, reflected 0x82f63b78), as in iSCSI and ext4. Pure, any thread. Uses the CPU's
 * instruction where there is one; both ways give the same number (tests/unit/test_codec.c). */
#ifndef DAEMON_STORE_CRC32C_H
#define DAEMON_STORE_CRC32C_H

#include "common/base.h"

uint32_t crc32c(const void *data, size_t bytes);
uint32_t crc32c_portable(const void *data, size_t bytes);

#endif
