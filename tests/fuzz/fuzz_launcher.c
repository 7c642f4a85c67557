/* What the program that is root reads: records of its peers, names of meters, its own journal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/launch/launcher.h"
#include "daemon/launch/launcher_journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_record(const uint8_t *data, size_t size)
{
    struct launcher_record *r = malloc(sizeof(*r));
    struct err e;
    if (!r)
        return;
    if (launcher_record_parse(r, data, size, &e) == 0) {
        /* What was taken is exactly what came. */
        if (launcher_record_bytes(r) != size || memcmp(r, data, size) != 0)
            abort();
        if (strlen(r->text) >= sizeof(r->text))
            abort();
        (void)!launcher_verdict(r, &e);
    }
    free(r);
}

static void fuzz_journal(const uint8_t *data, size_t size)
{
    struct journal j = {.fd = -1};
    if (journal_parse(&j, data, size, NULL) == 0 &&
        j.records > size / sizeof(struct journal_record))
        abort();
    journal_close(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] % 3 == 0) {
        fuzz_record(data + 1, size - 1);
    } else if (data[0] % 3 == 1) {
        fuzz_journal(data + 1, size - 1);
    } else {
        char *text = malloc(size);
        if (!text)
            return 0;
        memcpy(text, data + 1, size - 1);
        text[size - 1] = 0;
        if (launcher_meter_allowed(text) && strstr(text, ".."))
            abort();
        free(text);
    }
    return 0;
}
