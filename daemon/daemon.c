#include "daemon/daemon.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/api/glance.h"
#include "daemon/api/ops.h"
#include "daemon/api/stream.h"
#include "daemon/log.h"
#include "daemon/store/backup.h"

#define HEARTBEAT_MS 5000
#define ARENAS       2           /* of malloc, for all threads */
#define LARGE_BYTES  (512 << 10) /* blocks that it takes from the kernel each by itself */

/* ---- what the modules tell each other ----------------------------------------------------------- */

static void daemon_on_launch(void *arg, const struct launch_event *ev)
{
    struct daemon *d = arg;
    if (d->queue)
        queue_on_launch(d->queue, ev);
}

static void daemon_on_ready(void *arg)
{
    struct daemon *d = arg;
    if (d->queue)
        queue_on_ready(d->queue);
}

static void daemon_on_change(void *arg, const struct queue_run *r, enum run_state from)
{
    struct daemon *d = arg;
    if (d->streams)
        stream_on_change(d->streams, r, from);
}

static bool daemon_trusts(void *arg, int64_t uid)
{
    const struct daemon *d = arg;
    return rights_trusted(&d->policy, uid);
}

static void daemon_on_peer_closed(void *arg, struct peer *p)
{
    struct daemon *d = arg;
    if (d->streams)
        stream_drop_peer(d->streams, p);
    ops_on_close(d, p);
}

static void daemon_visit_runs(void *arg, int (*fn)(void *fn_arg, const struct queue_run *r),
                              void *fn_arg)
{
    struct daemon *d = arg;
    if (d->queue)
        queue_visit(d->queue, fn, fn_arg);
}

/* ---- stop: the reverse of the start, one step at a time ------------------------------------------ */

enum stop_step {
    STOP_LISTENING,
    STOP_STREAMS,
    STOP_QUEUE,
    STOP_LAUNCH,
    STOP_SAMPLING,
    STOP_STORAGE,
    STOP_METER,
    STOP_HANDLES,
    STOP_DONE
};

static void stop_next(void *arg);

static void daemon_on_handle_closed(uv_handle_t *handle)
{
    struct daemon *d = handle->data;
    if (--d->handles == 0)
        stop_next(d);
}

static void stop_handles(struct daemon *d)
{
    uv_handle_t *const handles[] = {(uv_handle_t *)&d->sigterm,   (uv_handle_t *)&d->sigint,
                                    (uv_handle_t *)&d->sighup,    (uv_handle_t *)&d->sigchld,
                                    (uv_handle_t *)&d->heartbeat, (uv_handle_t *)&d->second};
    for (size_t i = 0; i < ARRAY_LEN(handles); i++)
        uv_close(handles[i], daemon_on_handle_closed);
}

/* Starts one step. false: it had nothing to do or is done; true: it calls stop_next when it is done - which
 * may be before this returns, so what is closed is asked for first. */
static bool stop_one(struct daemon *d, enum stop_step step)
{
    bool closes = true;
    switch (step) {
    case STOP_LISTENING:
        closes = d->server != NULL;
        if (closes)
            server_close(d->server, stop_next, d);
        return closes;
    case STOP_STREAMS:
        d->server = NULL;
        closes = d->streams != NULL;
        if (closes)
            streams_close(d->streams, stop_next, d);
        return closes;
    case STOP_QUEUE:
        d->streams = NULL;
        closes = d->queue != NULL;
        if (closes)
            queue_close(d->queue, stop_next, d);
        return closes;
    case STOP_LAUNCH:
        d->queue = NULL;
        owners_free(d->owners); /* its last scan is back */
        d->owners = NULL;
        closes = d->launch != NULL;
        if (closes)
            launch_close(d->launch, stop_next, d);
        return closes;
    case STOP_SAMPLING: /* before storage: its last samples are still to be written */
        d->launch = NULL;
        if (d->meter)
            meter_stop(d->meter);
        return false;
    case STOP_STORAGE:
        closes = d->storage != NULL;
        if (closes) {
            storage_stop(d->storage);
            storage_close(d->storage, stop_next, d);
        }
        return closes;
    case STOP_METER:
        d->storage = NULL;
        ops_watch_free(d);
        glance_free(d->glance);
        d->glance = NULL;
        ledger_close(d->ledger);
        d->ledger = NULL;
        meter_close(d->meter);
        d->meter = NULL;
        slots_free(d->slots);
        d->slots = NULL;
        gpu_procs_unref(d->gpu_procs);
        d->gpu_procs = NULL;
        return false;
    case STOP_HANDLES:
        stop_handles(d);
        return true;
    case STOP_DONE:
        break;
    }
    return true;
}

static void stop_next(void *arg)
{
    struct daemon *d = arg;
    while (!stop_one(d, (enum stop_step)d->stop_step++))
        continue;
}

static void stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    d->stop_step = STOP_LISTENING;
    sd_notify(0, "STOPPING=1");
    uv_timer_stop(&d->heartbeat);
    uv_timer_stop(&d->second);
    stop_next(d);
}

/* ---- signals and heartbeat ----------------------------------------------------------------------- */

static void daemon_on_stop_signal(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    log_info("stopping signal=%s", strsignal(signum));
    stop(d);
}

static void daemon_on_hangup(uv_signal_t *handle, int signum)
{
    (void)handle;
    (void)signum;
    log_info("SIGHUP: options are read at the start only; restart wattqd to change them");
}

/* Shepherds are started detached and so become our children, as do the orphans of a killed one. Whoever
 * starts a process of its own (launch, briefly) waits for it before the loop turns. */
static void daemon_on_child(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    (void)signum;
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        log_debug("child ended pid=%ld status=%d", (long)pid, status);
        if (d->launch)
            launch_reaped(d->launch, pid, status);
    }
}

static void daemon_on_heartbeat(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct queue_counts n = {0};
    struct storage_status st;
    storage_get_status(d->storage, &st);
    ops_watch_beat(d);
    queue_get_counts(d->queue, &n);
    const char *trouble = health_words(&st.health, true);
    sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s%s%s%" PRId64 " running, %" PRId64 " queued, %zu channels",
               trouble ? "storage degraded: " : "", trouble ? trouble : "", trouble ? "; " : "",
               n.running + n.starting + n.stopping + n.paused, n.queued, meter_count(d->meter));
}

/* A third of the watchdog's time, so that one late beat is no reason to be killed. */
static uint64_t heartbeat_ms(void)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0 || usec / 3000 >= HEARTBEAT_MS)
        return HEARTBEAT_MS;
    return usec < 3000 ? 1 : usec / 3000;
}

static void init_handles(struct daemon *d)
{
    uv_signal_init(&d->loop, &d->sigterm);
    uv_signal_init(&d->loop, &d->sigint);
    uv_signal_init(&d->loop, &d->sighup);
    uv_signal_init(&d->loop, &d->sigchld);
    uv_timer_init(&d->loop, &d->heartbeat);
    d->sigterm.data = d->sigint.data = d->sighup.data = d->sigchld.data = d->heartbeat.data = d;
    uv_timer_init(&d->loop, &d->second);
    d->second.data = d;
    d->handles = 6;
    uv_signal_start(&d->sigchld, daemon_on_child, SIGCHLD);
    uv_signal_start(&d->sigterm, daemon_on_stop_signal, SIGTERM);
    uv_signal_start(&d->sigint, daemon_on_stop_signal, SIGINT);
    uv_signal_start(&d->sighup, daemon_on_hangup, SIGHUP);
}

/* ---- the ledger (storage thread) ----------------------------------------------------------------- */

static void daemon_on_tick(void *arg, struct tick *t)
{
    struct daemon *d = arg;
    d->suspend_ns = t->suspend_ns;
}

/* Said once: without accounts runs are measured as ever, but for what they share with others. */
static void daemon_on_due(void *arg, struct store *s, struct samples *w)
{
    struct daemon *d = arg;
    struct err e = {0};
    int rc = d->ledger ? 0 : ledger_open(&d->ledger, s, w, d->slots, d->gpu_procs, &e);
    if (rc == 0 && d->ledger)
        rc = ledger_prepare(d->ledger, s, w, &e);
    if (rc < 0 && !d->ledger_failed)
        log_error("the accounts of runs cannot be kept: %s", e.text);
    d->ledger_failed = rc < 0;
}

static int daemon_on_flushed(void *arg, struct store *s, struct samples *w, struct err *e)
{
    struct daemon *d = arg;
    int rc = d->ledger ? ledger_write(d->ledger, s, w, d->suspend_ns, e) : 0;
    return rc < 0 ? rc : 0;
}

/* ---- start --------------------------------------------------------------------------------------- */

/* Every peer is a descriptor; the usual soft limit of 1024 is not enough. */
static void raise_nofile(void)
{
    const rlim_t want = SERVER_PEERS_MAX + 512;
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= want)
        return;
    lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
        log_warn("cannot raise the number of open files limit=%llu",
                 (unsigned long long)lim.rlim_cur);
}

static void prepare_process(void)
{
    /* A peer or a shepherd that went away is seen by write()'s answer. */
    signal(SIGPIPE, SIG_IGN);
    /* Threads that each keep what they freed in an arena of their own cost 2.5 MB. Once a large block has been freed,
     * glibc would take the next ones from its arenas too, where what they leave between the small ones costs 1 MB. */
    (void)mallopt(M_ARENA_MAX, ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    raise_nofile();
    /* Children of a shepherd that was killed come to us, and with them the status of its run. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        log_warn(
            "cannot become a subreaper; the end of a run whose shepherd is killed may be lost");
}

/* One for each run that may go on at once, and one for a run that is being filed or was found again. */
static size_t slots_wanted(const struct config *c)
{
    int64_t n = c->parallel;
    if (n == 0)
        n = c->cpus > 0 ? c->cpus : sysconf(_SC_NPROCESSORS_ONLN); /* a run has one at least */
    return n > 0 && n + 1 < SLOTS_MAX ? (size_t)n + 1 : SLOTS_MAX;
}

static int start_measuring(struct daemon *d, struct err *e)
{
    const struct config *c = &d->config;
    d->slots = slots_new(slots_wanted(c));
    d->gpu_procs = gpu_procs_new();
    const struct meter_config mc = {
        .sysfs_root = c->sysfs_root,
        .script = c->script[0] ? c->script : NULL,
        .replay = c->replay[0] ? c->replay : NULL,
        .nvml_path = c->nvml[0] ? c->nvml : NULL,
        .disable = c->disable[0] ? c->disable : NULL,
        .period_ns = c->period_ns,
        .cpu_watts_uw = c->cpu_watts * 1000000,
        .estimate_always = c->estimate,
        .meters_file = c->meters,
        .meters_program = d->paths.meters,
        .meters_socket = c->meters_socket[0] ? c->meters_socket : NULL,
        .reprobe_ns = c->reprobe_ns,
        .slots = d->slots,
        .gpu_procs = d->gpu_procs,
        .open_fd = config_system(c) ? launch_meter_fd : NULL,
        .open_arg = d->config.launcher,
    };
    int rc = meter_open(&d->meter, &mc, e);
    if (rc == 0)
        rc = storage_open(&d->storage, &d->loop, d->paths.database, d->meter, e);
    if (rc < 0)
        return rc;
    storage_set_full(d->storage, !strcmp(c->durability, "full"));
    storage_set_budget(d->storage, c->budget_bytes);
    const struct storage_feed feed = {daemon_on_tick, daemon_on_due, daemon_on_flushed, d};
    storage_set_feed(d->storage, &feed);
    rc = storage_start(d->storage, e);
    return rc == 0 ? meter_start(d->meter, storage_wake, d->storage, e) : rc;
}

static int start_running(struct daemon *d, struct err *e)
{
    const struct launch_config lc = {.runs_dir = d->paths.runs,
                                     .shepherd_path = d->paths.shepherd,
                                     .launcher =
                                         config_system(&d->config) ? d->config.launcher : NULL,
                                     .on_ready = daemon_on_ready,
                                     .on_event = daemon_on_launch,
                                     .arg = d};
    int rc = launch_open(&d->launch, &d->loop, &lc, e);
    d->owners = owners_new(d->config.sysfs_root, d->config.others_period_ns);
    if (rc < 0)
        return rc;
    enum share_policy policy = SHARE_EQUAL;
    (void)share_policy_parse(d->config.share_policy, &policy); /* checked with the options */
    const struct queue_config qc = {
        .loop = &d->loop,
        .meter = d->meter,
        .storage = d->storage,
        .launch = d->launch,
        .gpu_procs = d->gpu_procs,
        .default_gpus = d->config.default_gpus,
        .cpus = d->config.cpus,
        .mem_bytes = d->config.mem_bytes,
        .max_pids = d->config.max_pids,
        .limits = d->config.limits,
        .slots = d->slots,
        .database = d->paths.database,
        .envs_dir = d->paths.envs,
        .runs_dir = d->paths.runs,
        .train_path = d->paths.train,
        .warrants_dir = config_system(&d->config) ? d->paths.warrants : NULL,
        .parallel = d->config.parallel,
        .policy = policy,
        .linger_ns = d->config.linger_ns,
        .owners = d->owners,
        .disturbed_ppm = d->config.disturbed_percent * 10000,
        .idle_busy_ppm = d->config.idle_busy_percent * 10000,
        .idle_learn_ns = d->config.idle_learn_ns,
        .trusted = daemon_trusts,
        .on_change = daemon_on_change,
        .arg = d,
    };
    rc = queue_open(&d->queue, &qc, e);
    return rc == 0 ? queue_start(d->queue, e) : rc;
}

static int start_serving(struct daemon *d, struct err *e)
{
    const struct server_config sc = {
        .path = sd_listen_fds(0) > 0 ? NULL : d->paths.socket,
        .mode = rights_shared(&d->policy) ? 0666 : 0600,
        .on_request = ops_on_request,
        .on_close = daemon_on_peer_closed,
        .arg = d,
        .policy = d->policy,
    };
    return server_open(&d->server, &d->loop, &sc, e);
}

/* Just behind each whole second of the clock that samples are stored by. */
static void daemon_on_second(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    int64_t now = clock_boot_ns();
    glance_take(d->glance, now);
    uv_timer_start(timer, daemon_on_second, (uint64_t)((NS_PER_S - now % NS_PER_S) / NS_PER_MS) + 1,
                   0);
}

/* Whatever fails, stop() undoes what was started: one way out. */
static int start(struct daemon *d, struct err *e)
{
    int rc = start_measuring(d, e);
    if (rc < 0)
        return rc;
    d->glance = glance_new(d->meter);
    if (rights_shared(&d->policy))
        daemon_on_second(&d->second);
    const struct streams_config stc = {.loop = &d->loop,
                                       .meter = d->meter,
                                       .glance = d->glance,
                                       .storage = d->storage,
                                       .put_run = ops_put_run,
                                       .visit_runs = daemon_visit_runs,
                                       .arg = d};
    d->streams = streams_new(&stc); /* the queue tells it of what it finds */
    rc = start_running(d, e);
    backup_remove(d->paths.backup); /* of a wattqd that was killed */
    if (rc == 0)
        rc = start_serving(d, e);
    if (rc < 0)
        return rc;
    uv_timer_start(&d->heartbeat, daemon_on_heartbeat, 0, heartbeat_ms());
    (void)malloc_trim(0); /* of what only the start needed, 1 MB and more */
    sd_notify(0, "READY=1");
    log_info("ready version=%s socket=%s state=%s channels=%zu supervision=%s", WATTQ_VERSION,
             d->paths.socket, d->paths.state, meter_count(d->meter), launch_mode(d->launch));
    return 0;
}

static int run_loop(struct daemon *d, struct err *e)
{
    int rc = uv_loop_init(&d->loop);
    if (rc < 0)
        return err_set(e, WATTQ_E_IO, "cannot create the event loop: %s", uv_strerror(rc));
    init_handles(d);
    rc = start(d, e);
    if (rc < 0)
        stop(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    rc = rc < 0 ? rc : 0;
    if (uv_loop_close(&d->loop) != 0) {
        log_error("internal: the loop ended with open handles");
        assert(false);
    }
    return rc;
}

/* Who may come, and where to. */
static int find_places(struct daemon *d, struct err *e)
{
    const struct config *c = &d->config;
    int rc =
        rights_policy_init(&d->policy, geteuid(), c->visibility, c->meter_group, c->admin_group, e);
    d->policy.system = config_system(c);
    bool shared = rc == 0 && rights_shared(&d->policy);
    if (rc == 0)
        rc = paths_init(&d->paths, c, shared, e);
    if (rc == 0 && shared && sd_listen_fds(0) <= 0)
        rc = paths_share(&d->paths, e);
    return rc;
}

int daemon_run(const struct config *cfg, struct err *e)
{
    struct daemon d = {.config = *cfg, .lock_fd = -1, .started_boot_ns = clock_boot_ns()};
    prepare_process();
    int rc = find_places(&d, e);
    if (rc < 0)
        return rc;
    d.lock_fd = paths_lock(&d.paths, e);
    if (d.lock_fd < 0)
        return d.lock_fd;
    rc = run_loop(&d, e);
    close(d.lock_fd); /* last: nobody may start on this database before */
    return rc;
}
