/* The binary table that amdgpu shows in `gpu_metrics`: a header (size, format, content) and a structure
 * that each version lays out in its own way. Pure: bytes in, numbers out, whatever the bytes are.
 *
 * Format 1 is of cards, 2 and 3 of APUs. Only versions whose layout is known are read, and only where the
 * table has exactly the size that version has; fields of all ones are what the driver does not know.
 * source: Linux drivers/gpu/drm/amd/include/kgd_pp_interface.h (v1_0 .. v1_6, v2_0 .. v2_4, v3_0), natural
 * alignment, little-endian. The energy counter's unit is stated there from v1_4 on: 2^-16 J
 * (15.259 uJ); older versions are taken to count in the same unit, as AMD's own tools do. */
#ifndef DAEMON_METER_GPU_METRICS_H
#define DAEMON_METER_GPU_METRICS_H

#include "daemon/meter/source.h"

#define GPU_METRICS_BYTES_MAX 4096

struct gpu_metrics {
    int format, content; /* 1, 3: v1_3 */
    bool apu;            /* power is that of the whole chip, processors and all */
    int64_t energy_uj;   /* since power-up, rounded down; -1 = not told */
    /* What the energy register can hold, where it may be 32 bits wide: the field is (v1_0), or the value
     * has not been beyond that yet (v1_1 .. v1_3, where it depends on the chip). 0 = it is wider. */
    int64_t wrap_uj;
    int64_t power_uw; /* mean over a time that is not stated; -1 = not told, or its unit is not */
    bool throttle_known; /* false too where each chip has bits of its own */
    uint32_t throttle;   /* bits of throttle.h */
};

/* READING_OK; READING_UNSUPPORTED: a version or size that is not known; READING_GARBLED: fewer bytes than the
 * header says. out is filled with "not told" in any case. */
enum reading_state gpu_metrics_parse(const uint8_t *bytes, size_t n, struct gpu_metrics *out);

#endif
