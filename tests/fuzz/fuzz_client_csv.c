/* The CSV reader on any bytes: no crash, fields inside the record, and what it read, written and read again,
 * is the same. */
#include <stdlib.h>
#include <string.h>

#include "client/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void write_again(const struct csv_in *in)
{
    char *text = NULL;
    size_t n = 0;
    struct csv_out out = {.f = open_memstream(&text, &n)};
    for (size_t i = 0; i < in->n; i++)
        csv_text(&out, in->field[i].quoted || in->field[i].bytes ? in->field[i].s : NULL,
                 in->field[i].bytes);
    csv_end(&out);
    (void)fclose(out.f);
    FILE *f = fmemopen(text, n, "r");
    struct csv_in again;
    struct err e = {0};
    csv_open(&again, f, "again");
    /* One field without anything is an empty line, which is passed over. */
    bool blank = in->n == 1 && in->field[0].bytes == 0 && !in->field[0].quoted;
    bool bom = n > 2 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    if (!blank && !bom) {
        if (csv_next(&again, &e) != 1 || again.n != in->n)
            abort();
        for (size_t i = 0; i < in->n; i++)
            if (again.field[i].bytes != in->field[i].bytes ||
                memcmp(again.field[i].s, in->field[i].s, in->field[i].bytes) != 0)
                abort();
    }
    csv_close(&again);
    (void)fclose(f);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct csv_in in;
    struct err e = {0};
    char *copy = malloc(bytes + 1);
    if (!copy || bytes == 0) {
        free(copy);
        return 0;
    }
    memcpy(copy, data, bytes);
    FILE *f = fmemopen(copy, bytes, "r");
    csv_open(&in, f, "fuzz");
    while (csv_next(&in, &e) == 1)
        write_again(&in);
    csv_close(&in);
    (void)fclose(f);
    free(copy);
    return 0;
}
