#include "daemon/store/health.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/store/reserve.h"

#define LOOK_NS    (500 * NS_PER_MS)
#define START_PART 8 /* of the reserve is kept for opening the database at a full disk */

struct health {
    char path[WATTQ_PATH_MAX];
    int64_t reserve; /* bytes there should be; 0 = none is kept */
    bool whole;
    bool failed; /* the newest transaction */
    bool said;   /* that the log is long */
    struct err why;
    int64_t looked_ns, log_bytes;
    pthread_mutex_t lock; /* of what other threads ask for */
    struct health_state state;
};

/* What keeps us from writing as ever; false = nothing does. */
static bool trouble(const struct health *h, struct err *e)
{
    if (h->failed) {
        *e = h->why;
        return true;
    }
    if (h->log_bytes >= HEALTH_LOG_MAX) {
        err_set(e, WATTQ_E_STORAGE,
                "a program that reads %s keeps its log from being used again; that has grown to "
                "%" PRId64 " MiB",
                h->path, h->log_bytes >> 20);
        err_next(e, "see who: fuser %s-wal", h->path);
        return true;
    }
    if (h->whole)
        return false;
    err_set(e, WATTQ_E_STORAGE, "the disk is full that holds %s: only the ends of runs are written",
            h->path);
    err_next(e, "free %" PRId64 " MiB there; wattqd goes on by itself", 2 * h->reserve >> 20);
    return true;
}

static void update(struct health *h)
{
    struct err e = {0};
    bool degraded = trouble(h, &e), before = h->state.degraded;
    pthread_mutex_lock(&h->lock);
    h->state.degraded = degraded;
    h->state.log_bytes = h->log_bytes;
    base_strcpy(h->state.reason, sizeof(h->state.reason), e.text);
    if (!degraded)
        h->state.since_ns = 0;
    else if (!before)
        h->state.since_ns = clock_boot_ns();
    pthread_mutex_unlock(&h->lock);
    if (degraded && !before)
        log_error("storage is degraded, samples wait in memory, no run is started: %s (%s)", e.text,
                  e.next);
    if (!degraded && before)
        log_warn("storage works again");
}

struct health *health_new(const char *path, int64_t reserve_bytes)
{
    struct health *h = base_alloc(sizeof(*h));
    base_strcpy(h->path, sizeof(h->path), path);
    pthread_mutex_init(&h->lock, NULL);
    h->reserve = reserve_bytes;
    h->whole = reserve_bytes == 0 || reserve_hold(path, reserve_bytes, reserve_bytes);
    if (!h->whole)
        reserve_scrape(path, reserve_bytes / START_PART);
    update(h);
    return h;
}

void health_free(struct health *h)
{
    if (!h)
        return;
    if (!h->whole)
        reserve_scrape(h->path, h->reserve / START_PART);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void health_failed(struct health *h, const struct err *e)
{
    h->failed = true;
    h->why = *e;
    update(h);
}

void health_committed(struct health *h)
{
    if (!h->failed)
        return;
    h->failed = false;
    update(h);
}

static void say_log(struct health *h)
{
    bool is_long = h->log_bytes >= HEALTH_LOG_SAY;
    if (is_long && !h->said)
        log_warn("the log of the database has grown to %" PRId64
                 " MiB, since a program reads %s without end"
                 " (see who: fuser %s-wal)",
                 h->log_bytes >> 20, h->path, h->path);
    h->said = is_long;
}

void health_look(struct health *h, int64_t log_bytes)
{
    int64_t now = clock_mono_ns();
    bool log_changes = (log_bytes >= HEALTH_LOG_MAX) != (h->log_bytes >= HEALTH_LOG_MAX);
    if (!log_changes && now - h->looked_ns < LOOK_NS)
        return;
    h->looked_ns = now;
    h->log_bytes = log_bytes;
    say_log(h);
    if (!h->whole)
        h->whole = reserve_hold(h->path, h->reserve, h->reserve);
    update(h);
}

bool health_give(struct health *h)
{
    if (!h->whole || h->reserve == 0 || !reserve_cut(h->path, h->reserve / START_PART))
        return false;
    h->whole = false;
    h->looked_ns = clock_mono_ns(); /* not to be taken back before it was used */
    update(h);
    return true;
}

bool health_degraded(const struct health *h)
{
    return h->state.degraded; /* this thread writes it */
}

bool health_vital_only(const struct health *h, struct err *e)
{
    bool few = !h->whole || h->log_bytes >= HEALTH_LOG_MAX;
    return few && trouble(h, e);
}

const char *health_words(const struct health_state *s, bool details)
{
    if (!s->degraded)
        return NULL;
    return details ? s->reason : "storage is degraded, nothing is started";
}

void health_get(struct health *h, struct health_state *out)
{
    pthread_mutex_lock(&h->lock);
    *out = h->state;
    pthread_mutex_unlock(&h->lock);
}
