#include "daemon/meter/gpu_metrics.h"

#include "common/units.h"
#include "daemon/meter/throttle.h"

#define HEADER_BYTES 4
#define NONE         0 /* the header stands at 0: no field does */

/* Where each version has what is of use here. */
static const struct layout {
    uint8_t format, content;
    uint16_t bytes;
    uint16_t energy, energy_bytes;
    uint16_t power, power_bytes;
    int32_t power_uw; /* unit of power; 0 = not stated, so it is not used */
    uint16_t any;     /* reasons of any chip, 8 bytes ("ASIC independent") */
    uint16_t chip; /* this chip's own, 4 bytes, where the version belongs to one family of chips */
} layouts[] = {
    {1, 0, 80, 36, 4, 34, 2, 1000000, NONE, NONE},  {1, 1, 96, 24, 8, 22, 2, 1000000, NONE, NONE},
    {1, 2, 104, 24, 8, 22, 2, 1000000, NONE, NONE}, {1, 3, 120, 24, 8, 22, 2, 1000000, 112, NONE},
    {1, 4, 288, 24, 8, 10, 2, 1000000, NONE, 40},   {1, 5, 360, 88, 8, 10, 2, 1000000, NONE, 104},
    {1, 6, 384, 88, 8, 10, 2, 1000000, NONE, 128},  {2, 0, 120, NONE, 0, 44, 2, 0, NONE, NONE},
    {2, 1, 120, NONE, 0, 40, 2, 0, NONE, NONE},     {2, 2, 128, NONE, 0, 40, 2, 0, 120, NONE},
    {2, 3, 152, NONE, 0, 40, 2, 0, 120, NONE},      {2, 4, 168, NONE, 0, 40, 2, 1000, 120, NONE},
    {3, 0, 264, NONE, 0, 112, 4, 1000, NONE, NONE},
};

static uint64_t number(const uint8_t *at, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i > 0; i--) {
        v = v << 8 | at[i - 1];
    }
    return v;
}

/* False: all ones, the driver has not filled it in. */
static bool told(uint64_t v, size_t bytes)
{
    return v != UINT64_MAX >> (64 - 8 * bytes);
}

static const struct layout *find(uint8_t format, uint8_t content, size_t bytes)
{
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        const struct layout *l = &layouts[i];
        if (l->format == format && l->content == content && l->bytes == bytes) {
            return l;
        }
    }
    return NULL;
}

/* 2^-16 J = 15625 / 1024 uJ. A register that stands at 0 does not count: the second die of a card whose
 * first one counts for both shows that. */
static void take_energy(const struct layout *l, const uint8_t *bytes, struct gpu_metrics *out)
{
    uint64_t raw = number(bytes + l->energy, l->energy_bytes);
    if (raw == 0 || !told(raw, l->energy_bytes) || raw > INT64_MAX) {
        return;
    }
    bool stated = l->format == 1 && l->content >= 4;
    out->energy_uj = units_muldiv_floor((int64_t)raw, 15625, 1024);
    out->wrap_uj = !stated && raw <= UINT32_MAX ? INT64_C(65536000000) : 0;
}

struct reasons {
    uint8_t from, to; /* bits of the table */
    uint32_t means;
};

/* source: drivers/gpu/drm/amd/pm/swsmu/inc/amdgpu_smu.h, SMU_THROTTLER_*_BIT: PPT and the APU's limits, TDC,
 * EDC and APCC, TEMP_*, VRHOT, PROCHOT. Others (PPM, FIT) have no counterpart. */
static const struct reasons any_chip[] = {
    {0, 7, THROTTLE_POWER_CAP},
    {16, 20, THROTTLE_POWER_CAP},
    {21, 23, THROTTLE_HW_SLOWDOWN},
    {32, 47, THROTTLE_HW_HEAT},
};
/* Of MI300, the family with v1_4 and later: PROCHOT, PPT, socket, voltage regulator, HBM.
 * source: smu_v13_0_6_ppt.c */
static const struct reasons mi300[] = {
    {0, 0, THROTTLE_HW_HEAT},
    {1, 1, THROTTLE_POWER_CAP},
    {2, 4, THROTTLE_HW_HEAT},
};

static uint32_t translate(const struct reasons *list, size_t n, uint64_t bits)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < n; i++) {
        for (unsigned b = list[i].from; b <= list[i].to; b++) {
            mask |= bits >> b & 1 ? list[i].means : 0;
        }
    }
    return mask;
}

static void take_throttle(const struct layout *l, const uint8_t *bytes, struct gpu_metrics *out)
{
    uint64_t any = l->any ? number(bytes + l->any, 8) : UINT64_MAX;
    uint64_t chip = l->chip ? number(bytes + l->chip, 4) : UINT32_MAX;
    if (told(any, 8)) {
        out->throttle = translate(any_chip, ARRAY_LEN(any_chip), any);
        out->throttle_known = true;
    } else if (told(chip, 4)) {
        out->throttle = translate(mi300, ARRAY_LEN(mi300), chip);
        out->throttle_known = true;
    }
}

enum reading_state gpu_metrics_parse(const uint8_t *bytes, size_t n, struct gpu_metrics *out)
{
    *out = (struct gpu_metrics){.energy_uj = -1, .power_uw = -1};
    if (n < HEADER_BYTES) {
        return READING_GARBLED;
    }
    size_t size = (size_t)number(bytes, 2);
    if (n < size) {
        return READING_GARBLED;
    }
    out->format = bytes[2];
    out->content = bytes[3];
    out->apu = out->format == 2 || out->format == 3;
    const struct layout *l = find(bytes[2], bytes[3], size);
    if (!l) {
        return READING_UNSUPPORTED;
    }
    if (l->energy) {
        take_energy(l, bytes, out);
    }
    uint64_t power = number(bytes + l->power, l->power_bytes);
    if (l->power_uw > 0 && power > 0 && told(power, l->power_bytes)) {
        out->power_uw = (int64_t)power * l->power_uw;
    }
    take_throttle(l, bytes, out);
    return READING_OK;
}
