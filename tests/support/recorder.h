/* A meter made by hand: channels, ticks and restarts under the test's control, written through the real
 * store. Header only, so that each test program links just what it uses. */
#ifndef TESTS_SUPPORT_RECORDER_H
#define TESTS_SUPPORT_RECORDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"

#define REC_CHANNELS 8
#define REC_BOOT     "11111111-1111-1111-1111-111111111111"

struct recorder {
    char dir[64], path[128];
    struct store *store;
    struct samples *samples;
    struct meter_channel channel[REC_CHANNELS];
    const struct meter_channel *list[REC_CHANNELS];
    size_t n;
    int64_t period_ns;
    uint32_t chunk_ticks;
    int64_t id[REC_CHANNELS], e0[REC_CHANNELS], raw0[REC_CHANNELS];
    bool raw_known[REC_CHANNELS];
    int64_t utc_minus_boot; /* what the fake clocks show */
    int64_t boot_ns;
    struct tick *tick;
};

static inline uint64_t rec_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static inline int64_t rec_below(uint64_t *seed, int64_t n)
{
    return (int64_t)(rec_random(seed) % (uint64_t)n);
}

/* WATTQ_SEED repeats a run; the seed is printed. */
static inline uint64_t rec_seed(void)
{
    const char *s = getenv("WATTQ_SEED");
    uint64_t seed = s ? strtoull(s, NULL, 0) : ((uint64_t)getpid() << 32) ^ 0x9e3779b97f4a7c15u;
    printf("WATTQ_SEED=0x%llx\n", (unsigned long long)seed);
    return seed ? seed : 1;
}

static inline void rec_must(int rc, const struct err *e, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %d %s (%s)\n", what, rc, e->text, e->next);
    abort();
}

static inline void rec_set_base(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0,
                                bool known)
{
    struct recorder *r = arg;
    r->id[i] = id;
    r->e0[i] = e0;
    r->raw0[i] = raw0;
    r->raw_known[i] = known;
}

static inline void rec_clocks(void *arg, int64_t *boot_ns, int64_t *utc_ns)
{
    struct recorder *r = arg;
    *boot_ns = r->boot_ns;
    *utc_ns = r->boot_ns + r->utc_minus_boot;
}

static inline struct channel_desc *rec_add(struct recorder *r, const char *name,
                                           enum channel_kind kind)
{
    struct meter_channel *c = &r->channel[r->n];
    r->list[r->n] = c;
    c->source = "script";
    c->slot = (uint32_t)r->n++;
    c->desc.kind = kind;
    c->desc.quality = kind == CHANNEL_COMPANION ? QUALITY_NONE : QUALITY_MEASURED;
    c->desc.scope = SCOPE_PACKAGE;
    c->desc.quantum = 1;
    c->desc.period_ns = NS_PER_MS;
    c->desc.period_declared = true;
    c->desc.parent = c->desc.mirror_of = -1;
    base_strcpy(c->desc.uid, sizeof(c->desc.uid), name);
    base_strcpy(c->desc.label, sizeof(c->desc.label), name);
    base_strcpy(c->desc.unit, sizeof(c->desc.unit), kind == CHANNEL_COUNTER ? "uJ" : "uW");
    return &c->desc;
}

static inline void rec_init(struct recorder *r)
{
    memset(r, 0, sizeof(*r));
    strcpy(r->dir, "/tmp/wattq-test-XXXXXX");
    if (!mkdtemp(r->dir))
        abort();
    snprintf(r->path, sizeof(r->path), "%s/wattq.db", r->dir);
    r->period_ns = 100 * NS_PER_MS;
    r->utc_minus_boot = INT64_C(1700000000) * NS_PER_S;
}

static inline void rec_open_as(struct recorder *r, const char *boot_id, int64_t now_ns)
{
    struct err e = {0};
    rec_must(store_open_boot(&r->store, r->path, boot_id, &e), &e, "store_open");
    struct samples_setup u = {
        .channels = r->list,
        .n = r->n,
        .periods_ns = &r->period_ns,
        .groups = 1,
        .chunk_ticks = r->chunk_ticks,
        .now_ns = now_ns,
        .set_base = rec_set_base,
        .read_clocks = rec_clocks,
        .arg = r,
    };
    r->boot_ns = now_ns;
    rec_must(samples_open_as(&r->samples, r->store, &u, &e), &e, "samples_open");
    free(r->tick);
    r->tick = base_alloc(tick_bytes((uint32_t)r->n));
    r->tick->n = (uint32_t)r->n;
}

static inline void rec_put(struct recorder *r, int64_t before_ns, int64_t after_ns, uint32_t flags)
{
    r->tick->before_ns = before_ns;
    r->tick->after_ns = after_ns;
    r->tick->flags = flags;
    r->boot_ns = after_ns;
    samples_put(r->samples, r->tick);
}

static inline void rec_set(struct recorder *r, size_t i, int64_t value, uint8_t state)
{
    tick_values(r->tick)[i] = value;
    tick_raws(r->tick)[i] = value;
    tick_states(r->tick)[i] = state;
}

static inline void rec_flush(struct recorder *r)
{
    struct err e = {0};
    int rc;
    do {
        rec_must(store_begin(r->store, false, &e), &e, "begin");
        rc = samples_flush(r->samples, &e);
        rec_must(rc < 0 ? rc : 0, &e, "flush");
        rec_must(store_commit(r->store, &e), &e, "commit");
        samples_committed(r->samples);
    } while (rc > 0);
}

/* A clean stop, or what a kill leaves (the epoch open). */
static inline void rec_close(struct recorder *r, bool stop)
{
    struct err e = {0};
    if (stop) {
        rec_flush(r);
        rec_must(store_begin(r->store, true, &e), &e, "begin");
        rec_must(samples_end_epoch(r->samples, "stop", &e), &e, "end_epoch");
        rec_must(store_commit(r->store, &e), &e, "commit");
        samples_committed(r->samples);
    }
    samples_close(r->samples);
    store_close(r->store);
    r->samples = NULL;
    r->store = NULL;
}

static inline void rec_fini(struct recorder *r)
{
    char cmd[160];
    if (r->samples)
        rec_close(r, false);
    free(r->tick);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", r->dir);
    if (system(cmd) != 0)
        abort();
}

/* One number by SQL, for checks of what stands in the file. */
static inline int64_t rec_ask(struct recorder *r, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    int64_t v = -1;
    if (sqlite3_open_v2(r->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
        if (sqlite3_step(st) == SQLITE_ROW)
            v = sqlite3_column_int64(st, 0);
        sqlite3_finalize(st);
    }
    sqlite3_close(db);
    return v;
}

#endif
