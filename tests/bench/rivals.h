/* Other ways to keep the same samples, for comparison: what they take, not how to read them back. */
#ifndef TESTS_BENCH_RIVALS_H
#define TESTS_BENCH_RIVALS_H

#include <math.h>
#include <sqlite3.h>
#include <zlib.h>

#include "tests/support/recorder.h"

/* What a bench has recorded: value[channel * n + tick]. */
struct trace {
    uint32_t channels, n;
    int64_t period_ns;
    const uint8_t *kinds;
    const int64_t *t_ns;
    const int64_t *value;
};

static inline void rival_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        abort();
}

/* A row per sample in a table that is its own index. */
static inline double rival_rows(const struct trace *t)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        abort();
    rival_sql(
        db,
        "CREATE TABLE s(ch INTEGER, t INTEGER, v INTEGER, PRIMARY KEY(ch,t)) WITHOUT ROWID; BEGIN");
    sqlite3_prepare_v2(db, "INSERT INTO s VALUES(?,?,?)", -1, &st, NULL);
    for (uint32_t i = 0; i < t->n; i++) {
        for (uint32_t c = 0; c < t->channels; c++) {
            sqlite3_bind_int(st, 1, (int)c);
            sqlite3_bind_int64(st, 2, t->t_ns[i]);
            sqlite3_bind_int64(st, 3, t->value[(size_t)c * t->n + i]);
            if (sqlite3_step(st) != SQLITE_DONE)
                abort();
            sqlite3_reset(st);
        }
    }
    sqlite3_finalize(st);
    rival_sql(db, "COMMIT");
    sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &st, NULL);
    sqlite3_step(st);
    double bytes = 4096.0 * sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return bytes / ((double)t->n * t->channels);
}

/* source: Pelkonen et al., "Gorilla", VLDB 8 (2015), 4.1. Stamps in ms, lossy in time. */
static inline uint64_t gorilla_stamp_bits(int64_t dod)
{
    if (dod == 0)
        return 1;
    if (dod >= -63 && dod <= 64)
        return 9;
    if (dod >= -255 && dod <= 256)
        return 12;
    return dod >= -2047 && dod <= 2048 ? 16 : 36;
}

struct gorilla {
    uint64_t last;
    int lead, trail;
};

static inline uint64_t gorilla_value_bits(struct gorilla *g, double v)
{
    uint64_t now;
    memcpy(&now, &v, 8);
    uint64_t x = now ^ g->last;
    g->last = now;
    if (x == 0)
        return 1;
    int lead = __builtin_clzll(x), trail = __builtin_ctzll(x);
    lead = lead > 31 ? 31 : lead;
    if (g->lead >= 0 && lead >= g->lead && trail >= g->trail)
        return 2 + (uint64_t)(64 - g->lead - g->trail);
    g->lead = lead;
    g->trail = trail;
    return 2 + 5 + 6 + (uint64_t)(64 - lead - trail);
}

static inline double rival_gorilla(const struct trace *t)
{
    uint64_t bits = 0;
    for (uint32_t c = 0; c < t->channels; c++) {
        struct gorilla g = {.lead = -1};
        int64_t last = 0, step = 0;
        for (uint32_t i = 0; i < t->n; i++) {
            int64_t ms = t->t_ns[i] / 1000000;
            bits += gorilla_stamp_bits(ms - last - step);
            bits += gorilla_value_bits(&g, (double)t->value[(size_t)c * t->n + i] * 1e-6);
            step = ms - last;
            last = ms;
        }
    }
    return (double)bits / 8 / ((double)t->n * t->channels);
}

/* As Netdata keeps a metric: one float of the rate (of a counter: its power) per tick and no stamps, pages
 * of 4 KiB of one metric, 64 pages together through a compressor (zlib here). */
static inline double rival_netdata(const struct trace *t)
{
    size_t per = 64 * 1024, bytes = 0;
    float *page = base_alloc(per * sizeof(*page));
    uLong cap = compressBound(per * sizeof(*page));
    Bytef *out = base_alloc(cap);
    size_t n = 0;
    for (uint32_t c = 0; c < t->channels; c++) {
        const int64_t *v = t->value + (size_t)c * t->n;
        bool counter = t->kinds[c] == CHANNEL_COUNTER || t->kinds[c] == CHANNEL_CPU_TIME;
        for (uint32_t i = 1; i < t->n; i++) {
            double seconds = (double)(t->t_ns[i] - t->t_ns[i - 1]) * 1e-9;
            page[n++] =
                (float)(counter ? (double)(v[i] - v[i - 1]) / seconds * 1e-6 : (double)v[i] * 1e-6);
            if (n < per && (c + 1 < t->channels || i + 1 < t->n))
                continue;
            uLong got = cap;
            if (compress2(out, &got, (const Bytef *)page, n * sizeof(*page), 6) != Z_OK)
                abort();
            bytes += got;
            n = 0;
        }
    }
    free(page);
    free(out);
    return (double)bytes / ((double)t->n * t->channels);
}

#endif
