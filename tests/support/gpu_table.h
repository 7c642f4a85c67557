/* A gpu_metrics table written field by field in the order of the kernel's structures, each aligned to its
 * own size: what the compiler makes of them, found without offsets. */
#ifndef TESTS_SUPPORT_GPU_TABLE_H
#define TESTS_SUPPORT_GPU_TABLE_H

#include <stdint.h>
#include <string.h>

struct gpu_table {
    uint8_t bytes[512];
    size_t n;
};

static inline void table_put(struct gpu_table *t, size_t size, uint64_t v)
{
    t->n = (t->n + size - 1) / size * size;
    for (size_t i = 0; i < size; i++)
        t->bytes[t->n++] = (uint8_t)(v >> 8 * i);
}

/* count fields that the driver left as they were: all ones */
static inline void table_skip(struct gpu_table *t, size_t size, int count)
{
    for (int i = 0; i < count; i++)
        table_put(t, size, UINT64_MAX);
}

static inline void table_begin(struct gpu_table *t, int format, int content)
{
    memset(t, 0, sizeof(*t));
    table_put(t, 2, 0);
    table_put(t, 1, (uint64_t)format);
    table_put(t, 1, (uint64_t)content);
}

/* Structures with a u64 in them end on a multiple of 8. */
static inline void table_end(struct gpu_table *t)
{
    t->n = (t->n + 7) / 8 * 8;
    t->bytes[0] = (uint8_t)t->n;
    t->bytes[1] = (uint8_t)(t->n >> 8);
}

/* v1_1 .. v1_3: watt, energy in 2^-16 J, reasons of any chip (v1_3) */
static inline void table_card(struct gpu_table *t, int content, uint64_t watt, uint64_t energy,
                              uint64_t reasons)
{
    table_begin(t, 1, content);
    table_skip(t, 2, 6 + 3); /* temperatures, activities */
    table_put(t, 2, watt);
    table_put(t, 8, energy);
    table_put(t, 8, 123456789); /* system_clock_counter */
    table_skip(t, 2, 7 + 7);    /* clocks */
    table_put(t, 4, 0x20);      /* throttle_status, of the chip */
    table_skip(t, 2, 1 + 2 + 1);
    table_skip(t, 4, 2);
    table_skip(t, 2, 4);
    if (content >= 2)
        table_skip(t, 8, 1); /* firmware_timestamp */
    if (content >= 3) {
        table_skip(t, 2, 3 + 1);
        table_put(t, 8, reasons);
    }
    table_end(t);
}

/* v2_1 .. v2_4 of an APU */
static inline void table_apu(struct gpu_table *t, int content, uint64_t power, uint64_t reasons)
{
    table_begin(t, 2, content);
    table_skip(t, 2, 2 + 8 + 2 + 2);
    table_put(t, 8, 123456789);
    table_put(t, 2, power);
    table_skip(t, 2, 3 + 8 + 6 + 6 + 8 + 2);
    table_put(t, 4, 0x3);
    table_skip(t, 2, 1 + 3);
    if (content >= 2)
        table_put(t, 8, reasons);
    if (content >= 3)
        table_skip(t, 2, 12);
    if (content >= 4)
        table_skip(t, 2, 6);
    table_end(t);
}

#endif
