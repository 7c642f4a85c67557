#include "daemon/meter/ipmi_dcmi.h"

#define GROUP_DCMI   0xdc
#define POWER_BYTES  19
#define POWER_STATE  18
#define ACTIVE       0x40
#define DEVICE_BYTES 12

static unsigned le16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static enum reading_state completion(uint8_t code)
{
    switch (code) {
    case 0x00:
        return READING_OK;
    case 0xc1: /* invalid command */
    case 0xc2: /* invalid for this unit */
    case 0xcc: /* invalid data field */
        return READING_UNSUPPORTED;
    case 0xd4: /* insufficient privilege */
        return READING_NO_PERMISSION;
    case 0xd6: /* sub-function disabled */
        return READING_DISABLED;
    default: /* busy, time-out, out of space: the next one may be answered */
        return READING_IO;
    }
}

struct reading dcmi_power(const uint8_t *answer, size_t bytes)
{
    if (bytes == 0) {
        return (struct reading){.state = READING_GARBLED};
    }
    enum reading_state state = completion(answer[0]);
    if (state != READING_OK) {
        return (struct reading){.state = state};
    }
    if (bytes < POWER_BYTES || answer[1] != GROUP_DCMI) {
        return (struct reading){.state = READING_GARBLED};
    }
    if ((answer[POWER_STATE] & ACTIVE) == 0) {
        return (struct reading){.state = READING_DISABLED};
    }
    unsigned watts = le16(answer + 2);
    bool known = watts != 0 && watts != UINT16_MAX;
    return (struct reading){.value = (int64_t)watts * 1000000,
                            .state = known ? READING_OK : READING_IMPLAUSIBLE};
}

bool ipmi_device_text(const uint8_t *answer, size_t bytes, char *out, size_t cap)
{
    if (bytes < DEVICE_BYTES || answer[0] != 0) {
        return false;
    }
    unsigned maker = (le16(answer + 7) | (unsigned)answer[9] << 16) & 0xfffff;
    unsigned firmware = answer[3];
    unsigned version = answer[5];
    (void)snprintf(out, cap, "BMC %u.%02x, IPMI %u.%u, maker %u, product %u", firmware & 0x7f,
                   answer[4], version & 0xf, version >> 4, maker, le16(answer + 10));
    return true;
}
