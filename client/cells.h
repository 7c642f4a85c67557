/* Answers of the op `table` in every form: columns for people, CSV, JSON, JSON lines. One rule for names
 * and units: a value is written in its base unit under its column's name and that unit (energy_j, time_s,
 * power_w, mem_bytes, start_utc), a joule column is followed by NAME_quality, and in JSON an unknown joule
 * by NAME_reason. Pure but for the streams. */
#ifndef CLIENT_CELLS_H
#define CLIENT_CELLS_H

#include "client/csv.h"
#include "client/json.h"
#include "client/table.h"

#define CELLS_COLUMNS_MAX 64

/* A column as the last frame of an answer describes it; names live as long as that frame. */
struct cells_head {
    const char *name, *type, *unit;
    bool joule;
    char key[200]; /* "energy_j" */
};
struct cells_heads {
    struct cells_head head[CELLS_COLUMNS_MAX];
    size_t n;
};
/* WATTQ_E_PROTOCOL for columns that nobody asked for. */
int cells_heads(struct cells_heads *out, const struct wire_val *columns, struct err *e) MUST_USE;

/* For people: "~31.2 kJ estimated", "4m12s", "-". Caller frees. */
char *cells_text(const struct cells_head *h, const struct wire_val *cell);
/* Why it is unknown, or NULL. */
const char *cells_reason(const struct cells_head *h, const struct wire_val *cell);

void cells_csv_heads(struct csv_out *o, const struct cells_heads *heads);
void cells_csv_row(struct csv_out *o, const struct cells_heads *heads, const struct wire_val *row);
json_t *cells_json_heads(const struct cells_heads *heads);
json_t *cells_json_row(const struct cells_heads *heads, const struct wire_val *row);

#endif
