/* Inside store/, but for what storage_get_status shows of it: does what the storage thread writes get to the disk, and what is written until it does?
 *
 * Degraded, and no run is started, while
 *  - the newest transaction failed: full disk, I/O error, a file system that is read-only now. Everything is tried
 *    again each second; samples wait in memory, in order;
 *  - the reserve (reserve.h) is not whole: it was given back for the end of a run, or there has not been room for
 *    it. Until there is, only vital jobs are written, with the samples that belong to them;
 *  - the log has HEALTH_LOG_MAX bytes, since somebody has been reading the database all that time: likewise.
 * Storage thread; health_get: any thread. */
#ifndef DAEMON_STORE_HEALTH_H
#define DAEMON_STORE_HEALTH_H

#include "common/err.h"

#define HEALTH_RESERVE  (INT64_C(8) << 20)
#define HEALTH_LOG_SAY  (INT64_C(64) << 20) /* then it is said */
#define HEALTH_LOG_MAX  (INT64_C(256) << 20)
#define HEALTH_RETRY_NS (1000 * INT64_C(1000000))

struct health;
/* path: the database's. reserve_bytes 0 = none is kept. */
struct health *health_new(const char *path, int64_t reserve_bytes);
void health_free(struct health *h); /* what there is room for is kept for the next start */

void health_failed(struct health *h, const struct err *e); /* a transaction did */
void health_committed(struct health *h);
/* Between transactions, in each round of the thread: is there room again? Looks twice a second at most. */
void health_look(struct health *h, int64_t log_bytes);
/* A vital job found no room: the reserve is given back, but for what the next start needs. true = try again. */
bool health_give(struct health *h);

bool health_degraded(const struct health *h);
/* Only what is vital is written now; e says why. */
bool health_vital_only(const struct health *h, struct err *e);

struct health_state {
    bool degraded;
    char reason[160];
    int64_t since_ns; /* CLOCK_BOOTTIME */
    int64_t log_bytes;
};
void health_get(struct health *h, struct health_state *out);
/* For somebody who may see where things are (details), or may not. NULL = nothing is wrong. */
const char *health_words(const struct health_state *s, bool details);

#endif
