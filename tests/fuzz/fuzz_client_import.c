/* The readers of files that come from elsewhere, on any bytes: study's CSV, JSON lines, standalone record. */
#include <stdlib.h>
#include <string.h>

#include "client/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_as(const uint8_t *data, size_t bytes,
                    int (*reader)(struct import_file *, FILE *, struct err *))
{
    struct import_file f = {.path = "fuzz", .name = "fuzz"};
    struct err e = {0};
    char *copy = malloc(bytes);
    if (!copy)
        return;
    memcpy(copy, data, bytes);
    FILE *in = fmemopen(copy, bytes, "r");
    if (in && localdb_open(&f.db, NULL, &e) == 0 && reader(&f, in, &e) < 0 && !e.text[0])
        abort(); /* every refusal says why */
    import_close(&f);
    (void)fclose(in);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0)
        return 0;
    if (data[0] != '{') {
        read_as(data, bytes, import_study);
        return 0;
    }
    read_as(data, bytes, import_jsonl);
    read_as(data, bytes, import_record);
    return 0;
}
