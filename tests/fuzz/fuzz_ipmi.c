/* ipmi_dcmi: any bytes of a BMC are a plausible number of whole watts or a reason. */
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/ipmi_dcmi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + 1); /* so that a byte too far is seen */
    char text[64];
    if (size > 0)
        memcpy(exact, data, size);
    struct reading r = dcmi_power(exact, size);
    if (r.state == READING_OK &&
        (r.value <= 0 || r.value >= INT64_C(65535000000) || r.value % 1000000 != 0 || size < 19))
        abort();
    if (ipmi_device_text(exact, size, text, sizeof(text)) && strlen(text) >= sizeof(text))
        abort();
    free(exact);
    return 0;
}
