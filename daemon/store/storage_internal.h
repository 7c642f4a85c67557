/* Inside store/ and its tests: storage.h with its parts handed in, and the pool of readers. */
#ifndef DAEMON_STORE_STORAGE_INTERNAL_H
#define DAEMON_STORE_STORAGE_INTERNAL_H

#include "daemon/store/samples.h"
#include "daemon/store/storage.h"

/* Takes ownership of store and samples (also on failure); the ring stays the caller's. */
struct storage_parts {
    struct store *store;
    struct samples *samples;
    struct ring *ring;
    struct meter *meter; /* asked now and then what it has learned; NULL = nobody to ask */
    int64_t flush_ns; /* from commit to commit; 0 = as storage.h says. For time that is replayed */
    int64_t reserve_bytes; /* health.h; 0 = none */
};
int storage_open_parts(struct storage **out, uv_loop_t *loop, const char *path,
                       const struct storage_parts *parts, struct err *e) MUST_USE;

/* adopted.c, storage thread: the meter's channels and groups by the numbers that the writer of samples
 * gave them. m may be NULL: every number stands for itself. */
struct adopted;
struct adopted *adopted_new(struct meter *m); /* what it has now is written under its own numbers */
void adopted_free(struct adopted *a);
/* Take in what the meter has found since; failure is logged once and tried again a second later. */
void adopted_update(struct adopted *a, struct samples *w);
/* The tick's group becomes the writer's; false = nobody knows that group. */
bool adopted_translate(const struct adopted *a, struct tick *t);

/* Read-only connections and who waits for one. Loop thread, but for the work itself. */
struct readers;
struct readers *readers_new(uv_loop_t *loop, const char *path);
void readers_submit(struct readers *r, struct reader_job *job);
/* Dismisses who waits; when the last job at work has been answered, closes the connections, frees r and calls idle. */
void readers_close(struct readers *r, void (*idle)(void *arg), void *arg);

#endif
