/* Any bytes as a table: parse, find a target, encode, split. First byte: format. */
#include "daemon/trainer/dataset.h"
#include "daemon/trainer/table.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct table *t)
{
    struct dataset d = {0};
    struct err e = {0};
    base_strcpy(d.name, sizeof(d.name), "fuzz");
    if (t->cols >= 2 && encode_table(&d, t, t->cols - 1, 1, &e) == 0) {
        for (int64_t i = 0; i < d.rows * d.inputs; i++)
            if (!(d.x[i] >= 0 && d.x[i] <= 1.0001F))
                abort(); /* the encoding's promise */
        for (int64_t i = 0; d.label && i < d.rows; i++)
            if (d.label[i] < 0 || d.label[i] >= d.outputs)
                abort();
    }
    dataset_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 16)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    struct table t;
    struct err e = {0};
    if (table_parse(&t, data[0] & 1 ? TABLE_CSV : TABLE_TSV, "fuzz", text, size - 1, &e) == 0) {
        encode(&t);
        table_fini(&t);
    } else if (!e.text[0]) {
        abort(); /* no failure without a sentence */
    }
    free(text);
    return 0;
}
