#include "daemon/energy/baseline.h"

#include "common/units.h"
#include "daemon/store/baselines.h"

int baseline_find(struct store *s, int64_t channel, int64_t utc_ns, int64_t run,
                  struct baseline *out, struct err *e)
{
    int rc = run > 0 ? baselines_of_run(s, channel, run, out, e) : 1;
    return rc == 1 ? baselines_in_force(s, channel, utc_ns, out, e) : rc;
}

int64_t baseline_energy_uj(const struct baseline *b, int64_t ns)
{
    return units_muldiv_floor(units_muldiv_floor(2 * b->power_uw, ns, NS_PER_S) + 1, 1, 2);
}
