/* The daemon: owns the loop and every module. First file to open.
 * Threads: the loop (all of this but what follows), the sampler (meter/), the storage thread (store/),
 * libuv's pool (queries, read-only). Start order: config -> paths and lock -> meter_open -> storage_open
 * (names the channels) -> storage_start -> meter_start -> launch -> queue (reattaches runs) -> server.
 * Stop is the reverse; runs go on without us. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <uv.h>

#include "daemon/api/server.h"
#include "daemon/config.h"
#include "daemon/energy/ledger.h"
#include "daemon/launch/launch.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/meter/meter.h"
#include "daemon/meter/slots.h"
#include "daemon/paths.h"
#include "daemon/queue/queue.h"
#include "daemon/store/storage.h"

struct daemon {
    uv_loop_t loop;
    struct config config;
    struct paths paths;
    struct rights_policy policy; /* who may see and do what */
    struct gpu_procs *gpu_procs; /* who is on each GPU: sources write, queue and api read */
    struct slots *slots;         /* CPU time of runs: the queue seats them, the meter reads */
    struct ledger *ledger;       /* storage thread, as are the two below */
    int64_t suspend_ns;          /* of the meter's newest tick */
    bool ledger_failed;          /* it was said */
    struct meter *meter;
    struct owners *owners; /* who else uses the CPUs */
    struct storage *storage;
    struct launch *launch;
    struct queue *queue;
    struct server *server;
    struct ops_watch *audit; /* of itself: api/ops_audit.c */
    struct glance *glance;   /* what meters say, for peers who get it by whole seconds */
    struct streams *streams; /* api/stream.h: live power and run events to subscribers */
    uv_signal_t sigterm, sigint, sighup, sigchld;
    uv_timer_t second;    /* where others than the owner look: glance_take */
    uv_timer_t heartbeat; /* sd_notify watchdog and status, storage state */
    unsigned handles;     /* of the six above, not closed yet */
    int stop_step;        /* how far the stop has come: daemon.c */
    int lock_fd;
    int64_t started_boot_ns;
    struct ops_log *logs; /* that are being read: api/ops_logs.c */
    bool backing_up;      /* there is one at a time */
    bool stopping;
};

/* Runs until SIGTERM or SIGINT. 0, or < 0 when it could not start. */
int daemon_run(const struct config *cfg, struct err *e) MUST_USE;

#endif
