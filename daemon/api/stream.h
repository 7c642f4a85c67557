/* Live power and run changes to whoever subscribed. Loop thread. Owns subscriptions and one timer per
 * distinct interval; nothing runs while nobody is subscribed. A frame is encoded once and sent to all
 * its subscribers that may see the same; each gets its own `id` and `lost` in front (peer_stream_tagged).
 * Peers without the readings as taken get a frame of power once per second at most, with what the meters said
 * at the last whole second (glance.h).
 *
 * Order for an operation that answers and then follows (docs/protocol.md: power live, watch, wait):
 * look at the queue in memory and subscribe in the same loop turn, so that no change falls between.
 * A subscription ends with its peer (stream_drop_peer); a wait also ends by itself. */
#ifndef DAEMON_API_STREAM_H
#define DAEMON_API_STREAM_H

#include "daemon/api/glance.h"
#include "daemon/api/server.h"
#include "daemon/meter/meter.h"
#include "daemon/queue/queue.h"

#define STREAM_INTERVAL_MIN_NS (100 * NS_PER_MS)
#define STREAM_INTERVAL_MAX_NS (3600 * NS_PER_S)
#define STREAM_PER_PEER        64    /* subscriptions of one connection */
#define STREAM_RUNS_MAX        10000 /* run ids named by one subscription */

struct streams;

struct streams_config {
    uv_loop_t *loop;
    struct meter *meter; /* borrowed until streams_close, as is glance */
    struct glance *glance;
    struct storage *storage; /* whose health power frames tell; NULL = nobody's */
    /* Writes one run summary (docs/protocol.md) under key, or as array element when key is NULL, as whoever has
     * these rights may see it. */
    void (*put_run)(void *arg, struct wire_out *o, const char *key, const struct queue_run *r,
                    const struct rights *as);
    /* Calls fn for each live run, running ones first: queue_visit without naming the queue. */
    void (*visit_runs)(void *arg, int (*fn)(void *fn_arg, const struct queue_run *r), void *fn_arg);
    void *arg;
};

struct streams *streams_new(const struct streams_config *cfg);
/* Ends every subscription; closed is called when the last timer is gone and memory is free. */
void streams_close(struct streams *s, void (*closed)(void *arg), void *arg);

/* Power of every channel and the runs that are on, now and then every interval_ns (rounded up to whole
 * 100 ms, at most an hour; whole seconds for peers who get readings by them). 0; WATTQ_E_USAGE for an interval
 * below 100 ms, WATTQ_E_LIMIT. */
int stream_power_subscribe(struct streams *s, struct peer *p, int64_t id, int64_t interval_ns,
                           struct err *e) MUST_USE;

/* Which runs: the listed ones, or those of a sweep, or (n = 0 and sweep = RUN_NONE) all. */
struct stream_filter {
    const int64_t *runs; /* copied */
    size_t n;
    int64_t sweep; /* RUN_NONE = no condition */
};
/* A frame {"run": summary, "from": state} at every move of those runs; may be dropped when slow. */
int stream_watch_subscribe(struct streams *s, struct peer *p, int64_t id,
                           const struct stream_filter *f, struct err *e) MUST_USE;

enum stream_until { STREAM_UNTIL_STARTED, STREAM_UNTIL_ENDED };
/* One reply {"ok": true, "run": summary, "more": ..} for each of `remaining` runs of the filter as it
 * gets there (a run that ends has also started); the last has "more" false and ends the subscription.
 * The caller has answered for the runs that are there already, and counted the others: with a list,
 * f->runs holds exactly those, each once; remaining must be > 0. Never dropped. */
int stream_wait_subscribe(struct streams *s, struct peer *p, int64_t id,
                          const struct stream_filter *f, enum stream_until until, size_t remaining,
                          struct err *e) MUST_USE;

/* For queue_config.on_change. */
void stream_on_change(struct streams *s, const struct queue_run *r, enum run_state from);
/* From server_config.on_close, before anything else lets go of the peer. */
void stream_drop_peer(struct streams *s, struct peer *p);
size_t stream_subscribers(const struct streams *s); /* somebody watches: > 0 */

#endif
