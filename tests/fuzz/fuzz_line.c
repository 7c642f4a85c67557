/* line protocol: any bytes are a reading, a reason, nothing, or refused; never a value beside a reason. */
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct line l;
    char *text = malloc(size + 1); /* so that a read beyond the end is seen */
    if (size > 0)
        memcpy(text, data, size);
    int rc = line_parse(text, size, &l);
    if (rc != 0 && l.state == READING_OK)
        abort();
    if (rc == 0 && l.state != READING_OK && l.value != 0)
        abort();
    if (strlen(l.name) >= LINE_NAME_MAX)
        abort();
    free(text);
    return 0;
}
