#include "daemon/meter/meter.h"

#include "common/units.h"

/* source: docs/measurement.md, counters. What dt at pmax can move, in uJ, rounded up. */
static int64_t most(int64_t pmax_uw, int64_t dt_ns)
{
    return units_muldiv_ceil(pmax_uw, dt_ns > 0 ? dt_ns : 0, NS_PER_S);
}

int meter_unwrap(int64_t *cum, int64_t prev_raw, int64_t raw, int64_t wrap_uj, int64_t pmax_uw,
                 int64_t dt_ns)
{
    /* Away for so long that the register may have lapped: how often cannot be told from its value. */
    if (wrap_uj > 0 && pmax_uw > 0 && most(pmax_uw, dt_ns) > wrap_uj - wrap_uj / 10) {
        return 1;
    }
    int64_t delta = 0;
    if (__builtin_sub_overflow(raw, prev_raw, &delta)) {
        return 2;
    }
    if (delta < 0) {
        if (wrap_uj <= 0) {
            return 1;
        }
        if (raw < 0 || prev_raw >= wrap_uj || raw >= wrap_uj) {
            return 2; /* not a value this register can show */
        }
        delta += wrap_uj;
    }
    if (pmax_uw > 0 && delta > most(pmax_uw, dt_ns)) {
        return 2;
    }
    int64_t next = 0;
    if (__builtin_add_overflow(*cum, delta, &next)) {
        return 2;
    }
    *cum = next;
    return 0;
}
