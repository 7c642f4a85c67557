/* From the line through the gate: claim, shepherd, open sweep, GO; and the shepherd's events. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define AGAIN_NS (1 * NS_PER_S)
#define FRESH_NS (50 * NS_PER_MS) /* an open sweep that is older is taken again at the gate */

/* ---- claim -------------------------------------------------------------------------------------- */

int64_t queue_token(struct queue *q, const struct queue_item *r)
{
    int64_t now_us = clock_utc_ns() / NS_PER_US;
    if (!q->warrants_dir)
        return r->row.token + 1;
    q->token = q->token + 1 > now_us ? q->token + 1 : now_us;
    return q->token;
}

static void claim(struct queue *q, struct queue_item *r, gpu_set gpus)
{
    struct run_change c;
    run_change_init(&c);
    c.token = queue_token(q, r);
    c.reason = "its turn";
    (void)queue_line_take(q, r);
    turns_serve(&q->line, r->row.uid);
    queue_active_put(q, r);
    queue_gpus_take(r, gpus);
    r->life = LIFE_CLAIMING;
    queue_move(r, RUN_STARTING, &c, NULL);
    queue_commit(r);
    if (r->row.kind != SPEC_EXEC)
        launch_get_ready(q->cfg.launch); /* while that is written down */
}

void queue_kick(struct queue *q)
{
    struct storage_status st;
    struct queue_item *r;
    gpu_set gpus = 0;
    if (!q->started || q->closing || q->line.n == 0 || launch_blocked(q->cfg.launch))
        return;
    storage_get_status(q->cfg.storage, &st);
    while (!st.health.degraded && (r = queue_pick(q, &gpus)) != NULL)
        claim(q, r, gpus);
    int64_t left_ns = st.health.degraded ? 0 : queue_pause_left(q, NULL);
    if (left_ns > 0)
        queue_wait_pause(q, left_ns);
}

void queue_on_ready(struct queue *q)
{
    queue_kick(q);
}

/* ---- shepherd ----------------------------------------------------------------------------------- */

/* queue_swept follows, then its commit. */
static void ask_open_sweep(struct queue_item *r)
{
    bool again = r->open != OPEN_NONE;
    if (!again && (!r->q->cfg.trusted || !r->q->cfg.trusted(r->q->cfg.arg, r->row.uid)))
        r->unswept = !sweep_budget_take(&r->q->budget, r->row.uid, clock_boot_ns());
    r->open = OPEN_ASKED;
    r->open_ns = clock_boot_ns();
    queue_ask_sweep(r, 0);
}

void queue_start_failed(struct queue_item *r, const struct err *e)
{
    struct run_change c;
    char *reason CLEANUP(base_freep) = base_printf("launch: %s", e->text);
    run_change_init(&c);
    c.reason = reason;
    queue_end_plain(r, RUN_FAILED, &c, NULL);
}

static char **make_argv(const struct queue_item *r)
{
    const struct spec *s = r->spec;
    size_t extra = s->kind == SPEC_TRAIN ? 1 : 0;
    char **argv = base_alloc((s->argc + extra + 1) * sizeof(*argv));
    if (extra)
        argv[0] = r->q->train_path;
    memcpy(argv + extra, s->argv, s->argc * sizeof(*argv));
    return argv;
}

_Static_assert(SPEC_RLIMITS <= LAUNCH_RLIMITS, "all of them fit");
static void take_rlimits(const struct spec *s, struct launch_rlimit out[LAUNCH_RLIMITS])
{
    for (size_t i = 0; i < s->nrlimits; i++)
        out[i] =
            (struct launch_rlimit){.resource = s->rlimits[i].resource, .soft = s->rlimits[i].soft};
}

/* In system mode what its user has had signed goes to the launcher with it. */
static int load_warrant(const struct queue_item *r, struct warrant *w, struct err *e)
{
    if (r->row.warrant)
        return warrants_load(r->q->warrants_dir, r->row.warrant, clock_utc_ns() / NS_PER_S, w, e);
    err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " has not been signed by its user", r->row.id);
    return err_next(e, "submit it again");
}

static uint32_t block_flags(const struct spec *s)
{
    return (s->wait_children ? LAUNCH_WAIT_CHILDREN : 0) |
           (s->kind == SPEC_TRAIN ? LAUNCH_TRAIN : 0);
}

/* Its GPUs and CPUs; for on_end also its label. */
static char **extra_env(const struct queue_item *r, char *const *env)
{
    char **more = queue_gpus_env(r, env);
    size_t n = 0;
    if (!r->spec->on_end)
        return more;
    while (more && more[n])
        n++;
    char **longer = base_alloc((n + 2) * sizeof(*longer));
    if (n)
        memcpy(longer, more, n * sizeof(*longer));
    longer[n] = base_printf("WATTQ_LABEL=%s", r->row.label ? r->row.label : "");
    free(more);
    return longer;
}

static int start_shepherd(struct queue_item *r, struct err *e)
{
    struct queue *q = r->q;
    struct warrant *warrant CLEANUP(base_freep) = NULL;
    char **env CLEANUP(base_freep) = NULL;
    int rc = queue_item_spec(r, e);
    if (rc < 0)
        return rc;
    if (!r->row.env_hash)
        return err_set(e, WATTQ_E_NOT_FOUND, "it has no environment");
    if (q->warrants_dir) {
        warrant = base_alloc(sizeof(*warrant));
        rc = load_warrant(r, warrant, e);
    }
    if (rc < 0)
        return rc;
    env = queue_env_read(q->envs_dir, r->row.env_hash, e);
    if (!env)
        return e->code;
    char **more = extra_env(r, env);
    char **argv CLEANUP(base_freep) = make_argv(r);
    struct launch_rlimit rlimits[LAUNCH_RLIMITS];
    take_rlimits(r->spec, rlimits);
    const struct launch_block b = {
        .run_id = r->row.id,
        .token = r->row.token,
        .grace_ns = r->spec->grace_ns,
        .linger_ns = q->cfg.linger_ns,
        .log_cap_bytes = r->spec->log_cap_bytes,
        .time_limit_ns = r->spec->time_limit_ns,
        .mem_max_bytes = r->spec->mem_bytes,
        .pids_max = q->cfg.max_pids,
        .nice = r->spec->nice,
        .rlimits = rlimits,
        .nrlimits = r->spec->nrlimits,
        .umask = r->spec->umask,
        .flags = block_flags(r->spec),
        .argv = argv,
        .env = env,
        .extra_env = more,
        .cwd = r->spec->cwd,
        .stdin_path = r->spec->stdin_path,
        .on_end = r->spec->on_end,
    };
    const struct launch_order order = {.uid = r->row.uid, .warrant = warrant};
    rc = launch_start(q->cfg.launch, &b, &order, e);
    resources_env_free(more);
    return rc;
}

static int give_turn(struct queue_item *r, struct err *e)
{
    if (r->client_gone || !r->turn)
        return err_set(e, WATTQ_E_CONFLICT, "its client went away before its turn");
    int rc = queue_item_spec(r, e);
    if (rc < 0)
        return rc;
    char *dir CLEANUP(base_freep) = base_printf("%s/%" PRId64, r->q->runs_dir, r->row.id);
    char *gpus CLEANUP(base_freep) = queue_gpus_visible(r);
    const struct queue_turn t = {.run = r->row.id,
                                 .token = r->row.token,
                                 .run_dir = dir,
                                 .gpus = gpus,
                                 .cpus = resources_cpus(&r->q->resources, r->spec),
                                 .spec = r->spec};
    r->turn(r->turn_arg, &t);
    return 0;
}

/* A foreground run: its directory, if need be its user's, then its turn. */
static int start_exec(struct queue_item *r, struct err *e)
{
    struct launch *l = r->q->cfg.launch;
    int rc = launch_prepare(l, r->row.id, e);
    if (rc == 0)
        rc = launch_hand_over(l, r->row.id, r->row.uid);
    return rc == 0 ? give_turn(r, e) : rc;
}

static void handed(struct queue_item *r)
{
    struct err e = {0};
    if (r->next == RUN_STARTING && r->life == LIFE_SPAWNING && give_turn(r, &e) < 0)
        queue_start_failed(r, &e);
}

void queue_claimed(struct queue_item *r, int rc)
{
    struct queue *q = r->q;
    struct err e = {0};
    if (q->closing)
        return;
    if (rc < 0) {
        queue_gpus_free(r);
        r->has_devices = false;
        queue_active_take(q, r);
        queue_line_put(q, r);
        r->life = LIFE_WAITING;
        return;
    }
    r->life = LIFE_SPAWNING;
    if (r->next != RUN_STARTING)
        return; /* cancelled meanwhile: queue_abort has its move on the way */
    r->attempts++;
    r->open = OPEN_NONE;
    rc = r->row.kind == SPEC_EXEC ? start_exec(r, &e) : start_shepherd(r, &e);
    if (rc < 0)
        queue_start_failed(r, &e);
    else if (r->row.kind != SPEC_EXEC)
        ask_open_sweep(r); /* is on disk when its shepherd stands at the gate */
}

void queue_abort(struct queue_item *r, const struct run_change *c, const struct queue_waiter *w)
{
    struct err e;
    if (r->life > LIFE_CLAIMING && launch_abort(r->q->cfg.launch, r->row.id, &e) < 0)
        log_debug("run %" PRId64 ": no shepherd to give up: %s", r->row.id, e.text);
    r->ticket = 0;
    queue_end_plain(r, RUN_CANCELLED, c, w);
}

/* ---- open sweep and GO -------------------------------------------------------------------------- */

/* The shepherd writes "released" to disk before it opens the gate. Sweeps in that time stand nearer to
 * the gate than the committed one and tighten the upper bound; losing them would only widen it. */
static void sweep_up_to_gate(struct queue_item *r)
{
    int64_t now_ns = clock_boot_ns();
    queue_edge(r, 0);
    for (int64_t ms = 1; ms <= 4; ms *= 2)
        queue_edge(r, now_ns + ms * NS_PER_MS);
}

static int seal_work(struct store *s, struct storage_job *job, struct err *e)
{
    const struct queue_item *r = container_of(job, struct queue_live, seal)->r;
    return runs_remark(
        s, r->row.id, "its edges are not swept: its user starts runs faster than once a second", e);
}

static void go(struct queue_item *r)
{
    struct err refused;
    r->life = LIFE_GOING;
    if (launch_go(r->q->cfg.launch, r->row.id, r->row.token, &refused) < 0)
        log_warn("run %" PRId64 ": GO was refused: %s", r->row.id, refused.text);
    sweep_up_to_gate(r);
}

static void sealed(struct storage_job *job, int rc, const struct err *e)
{
    struct queue_item *r = container_of(job, struct queue_live, seal)->r;
    struct queue *q = r->q;
    bool waits = r->life == LIFE_OPENING;
    queue_job_back(q);
    if (q->closing || r->open != OPEN_SEALING || (!waits && r->life != LIFE_SPAWNING))
        return;
    r->open = rc < 0 ? OPEN_NONE : OPEN_SEALED;
    if (rc < 0 && waits) {
        /* The disk is full: the child stays at its gate until this can be written down. */
        log_error("run %" PRId64 " waits at its gate: %s", r->row.id, e->text);
        r->open = OPEN_ASKED;
        r->ticket = -1;
        r->deadline_ns = clock_boot_ns() + AGAIN_NS;
    } else if (waits && !r->keeping) {
        go(r);
    }
}

void queue_swept(struct queue_item *r)
{
    if (r->life == LIFE_CLOSING) {
        queue_end_swept(r);
    } else if (r->open == OPEN_ASKED && r->life <= LIFE_OPENING) {
        r->open = OPEN_SEALING;
        r->live->seal = (struct storage_job){.work = r->unswept ? seal_work : NULL, .done = sealed};
        queue_submit_job(r->q, &r->live->seal);
    }
}

static void at_gate(struct queue_item *r)
{
    if (r->next != RUN_STARTING)
        return;
    queue_slot_take(r);
    bool old = r->open == OPEN_SEALED && clock_boot_ns() - r->open_ns > FRESH_NS;
    if (r->open == OPEN_SEALED && !old && !r->keeping) {
        go(r);
        return;
    }
    r->life = LIFE_OPENING;
    if (r->open == OPEN_NONE || old)
        ask_open_sweep(r);
}

void queue_kept(struct queue_item *r)
{
    r->keeping = false;
    if (r->life == LIFE_OPENING && r->open == OPEN_SEALED)
        at_gate(r);
}

/* ---- events ------------------------------------------------------------------------------------- */

/* Two windows that are open at the same time: neither figure is one run's alone. */
static void mark_company(struct queue *q, struct queue_item *r)
{
    for (size_t i = 0; i < q->active.n; i++) {
        struct queue_item *other = q->active.at[i];
        if (other != r && other->window_open)
            other->alone = r->alone = false;
    }
}

static void started(struct queue_item *r, const struct launch_event *ev)
{
    struct run_change c;
    if (r->life >= LIFE_CLOSING)
        return;
    r->life = LIFE_ON;
    r->window_open = true;
    mark_company(r->q, r);
    queue_slot_take(r); /* found again after a restart: from now on */
    queue_metrics_open(r);
    if (r->next != RUN_STARTING)
        return; /* after a restart: all that is known already */
    r->live->filing.window = (struct energy_window){r->row.boot, ev->t_ns, RUN_NONE};
    queue_edge(r, ev->t_ns + meter_settle_ns(r->q->cfg.meter));
    run_change_init(&c);
    c.t_ns = c.t0_ns = ev->t_ns;
    c.mode = ev->mode;
    c.started_utc_ns = clock_utc_ns() - (clock_boot_ns() - ev->t_ns);
    c.reason = "gate opened";
    r->facts_now = true;
    queue_move(r, RUN_RUNNING, &c, NULL);
    queue_commit(r);
}

static void move_to(struct queue_item *r, enum run_state to, const struct launch_event *ev,
                    const char *reason)
{
    struct run_change c;
    if (r->next == to || !run_move_allowed(r->next, to))
        return;
    run_change_init(&c);
    c.t_ns = ev->t_ns > 0 ? ev->t_ns : clock_boot_ns();
    c.reason = reason;
    if (ev->kind == LAUNCH_MAIN_EXIT)
        c.main_exit_ns = ev->t_ns;
    queue_move(r, to, &c, NULL);
    queue_commit(r);
}

/* By the launcher: nothing of it has run, and nothing would another time. */
static void refused(struct queue_item *r, const struct launch_event *ev)
{
    struct err e = {0};
    launch_ack(r->q->cfg.launch, r->row.id);
    if (r->next != RUN_STARTING)
        return;
    err_set(&e, WATTQ_E_FORBIDDEN, "%s%s%s", ev->text, ev->next[0] ? "; " : "", ev->next);
    log_warn("run %" PRId64 " is not started: %s", r->row.id, e.text);
    queue_start_failed(r, &e);
}

/* Nothing of it has run: back to its place in the line, or given up after a few attempts. */
static void never_ran(struct queue_item *r, const struct launch_event *ev)
{
    struct run_change c;
    const char *text = ev->text;
    run_change_init(&c);
    launch_ack(r->q->cfg.launch, r->row.id);
    r->attempts -= ev->again && r->attempts > 0;
    if (r->row.kind == SPEC_EXEC || r->attempts >= QUEUE_ATTEMPTS) {
        char *reason CLEANUP(base_freep) =
            base_printf("launch: its shepherd did not come up (%s)", text ? text : "no reason");
        c.reason = reason;
        queue_end_plain(r, RUN_FAILED, &c, NULL);
        return;
    }
    c.reason = "its shepherd went away before the gate opened";
    r->open = OPEN_NONE;
    r->ticket = 0;
    r->deadline_ns = 0;
    queue_slot_leave(r);
    queue_gpus_free(r);
    queue_active_take(r->q, r);
    r->life = LIFE_WAITING;
    queue_move(r, RUN_QUEUED, &c, NULL);
    queue_line_put(r->q, r);
    queue_commit(r);
}

static void lost_shepherd(struct queue_item *r, const struct launch_event *ev)
{
    char *reason CLEANUP(base_freep) =
        base_printf("lost(status): %s", ev->text ? ev->text : "its shepherd is gone");
    queue_end_lost(r, reason, ev->t_ns > 0 ? ev->t_ns : clock_boot_ns());
}

static void lost_to_reboot(struct queue_item *r)
{
    r->live->filing.to_last_sample = true;
    r->requeue = queue_end_again(r);
    queue_end_lost(r, "lost(reboot): the machine went down while it was running", RUN_NONE);
}

static void lost(struct queue_item *r, const struct launch_event *ev)
{
    log_warn("run %" PRId64 ": %s", r->row.id, ev->text ? ev->text : "its shepherd is gone");
    if (r->next == RUN_STARTING && r->life <= LIFE_GOING && ev->untouched)
        never_ran(r, ev);
    else if (r->life < LIFE_CLOSING && r->row.boot != r->q->boot)
        lost_to_reboot(r);
    else if (r->life < LIFE_CLOSING)
        lost_shepherd(r, ev);
}

void queue_on_launch(struct queue *q, const struct launch_event *ev)
{
    struct queue_item *r = queue_item_find(q, ev->run_id);
    if (q->closing)
        return;
    if (ev->kind == LAUNCH_ON_END) {
        queue_on_end_over(q, ev);
        return;
    }
    if (!r || r->life == LIFE_ABORTING || r->life == LIFE_WAITING) {
        if (ev->kind == LAUNCH_ENDED || ev->kind == LAUNCH_LOST || ev->kind == LAUNCH_REFUSED)
            launch_ack(q->cfg.launch, ev->run_id);
        return;
    }
    switch (ev->kind) {
    case LAUNCH_AT_GATE:
        at_gate(r);
        break;
    case LAUNCH_STARTED:
        started(r, ev);
        break;
    case LAUNCH_MAIN_EXIT: /* for the part up to here */
        queue_edge(r, 0);
        move_to(r, RUN_STOPPING, ev, "main process ended");
        break;
    case LAUNCH_EMPTY: /* close and late: what the run leaves on disk takes some ms more */
        queue_edge(r, 0);
        queue_edge(r, ev->t_ns + meter_settle_ns(q->cfg.meter));
        break;
    case LAUNCH_PAUSED:
        move_to(r, RUN_PAUSED, ev, "paused");
        break;
    case LAUNCH_RESUMED:
        if (r->next == RUN_PAUSED)
            move_to(r, RUN_RUNNING, ev, "resumed");
        break;
    case LAUNCH_ENDED:
        if (r->life < LIFE_CLOSING)
            queue_end_begin(r, ev->result);
        break;
    case LAUNCH_LOST:
        lost(r, ev);
        break;
    case LAUNCH_REFUSED:
        refused(r, ev);
        break;
    case LAUNCH_HANDED:
        handed(r);
        break;
    case LAUNCH_ON_END:
        break;
    }
    if (ev->kind == LAUNCH_LOST || ev->kind == LAUNCH_REFUSED)
        queue_kick(q);
}
