/* What a BMC answers, byte by byte. Pure, any thread; every length is checked.
 * source: IPMI v2.0 tables 5-2 (completion codes) and 20-2 (Get Device ID); DCMI v1.5 table 6-16 (Get Power
 * Reading). Byte 0 of an answer is the completion code. */
#ifndef DAEMON_METER_IPMI_DCMI_H
#define DAEMON_METER_IPMI_DCMI_H

#include "daemon/meter/source.h"

#define IPMI_NETFN_APP         0x06
#define IPMI_NETFN_GROUP       0x2c
#define IPMI_CMD_DEVICE_ID     0x01
#define IPMI_CMD_POWER_READING 0x02
#define IPMI_ANSWER_BYTES      64 /* longer ones are cut off */

/* Get Power Reading: the instantaneous value only. Its average is over a window that each maker defines
 * (65,530 s has been seen), so it is not used. Whole watts; a machine that is on and shows 0 W does not
 * know, and is READING_IMPLAUSIBLE. */
struct reading dcmi_power(const uint8_t *answer, size_t bytes);
/* Get Device ID as a person reads it: "BMC 9.08, IPMI 2.0, maker 4753, product 3842". False when the
 * answer is none. */
bool ipmi_device_text(const uint8_t *answer, size_t bytes, char *out, size_t cap);

#endif
