/* gpu_metrics: any bytes are refused or give numbers that are told apart from "not told". */
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/gpu_metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gpu_metrics m;
    uint8_t *bytes =
        malloc(size + !size); /* its exact size, so that a read beyond the end is seen */
    if (size > 0)
        memcpy(bytes, data, size);
    enum reading_state s = gpu_metrics_parse(bytes, size, &m);
    if (m.energy_uj < -1 || m.power_uw < -1 || m.energy_uj == 0 || m.power_uw == 0)
        abort();
    if (s != READING_OK && (m.energy_uj != -1 || m.power_uw != -1 || m.throttle_known))
        abort();
    if (m.wrap_uj != 0 && m.energy_uj >= m.wrap_uj)
        abort();
    if (!m.throttle_known && m.throttle != 0)
        abort();
    free(bytes);
    return 0;
}
