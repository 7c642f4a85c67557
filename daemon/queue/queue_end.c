/* The end of a run: close and late sweeps, the rest of its metrics, figures and end state in one commit. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define FACTS_LATE_NS (5 * NS_PER_S) /* what is read later says nothing of a run's end */

/* ---- what the result says ----------------------------------------------------------------------- */

static enum run_state end_state(const struct result *res)
{
    switch (res->cause) {
    case RESULT_STOPPED:
    case RESULT_TOLD:
        return RUN_CANCELLED;
    case RESULT_TIMED_OUT:
        return RUN_TIMEOUT;
    case RESULT_OOM:
        return RUN_OOM;
    case RESULT_ENERGY_LIMIT:
        return RUN_ENERGY_LIMIT;
    case RESULT_NOT_STARTED:
        return RUN_FAILED;
    case RESULT_EXITED:
        break;
    }
    return res->exit_code == 0 ? RUN_DONE : RUN_FAILED;
}

static char *oom_cause(const struct queue_item *r)
{
    char limit[32];
    if (!r->spec || r->spec->mem_bytes == 0)
        return base_strdup("out of memory: the machine had none left");
    units_show_size(limit, sizeof(limit), r->spec->mem_bytes);
    return base_printf("out of memory: it reached its limit of %s", limit);
}

/* In new memory. */
static char *end_cause(const struct queue_item *r, const struct result *res)
{
    switch (res->cause) {
    case RESULT_STOPPED:
    case RESULT_TOLD:
        return base_strdup(r->live->stop_reason[0] ? r->live->stop_reason : "cancelled");
    case RESULT_TIMED_OUT:
        return base_strdup("time limit reached");
    case RESULT_OOM:
        return oom_cause(r);
    case RESULT_ENERGY_LIMIT:
        return base_strdup(r->live->stop_reason[0] ? r->live->stop_reason : "energy limit reached");
    case RESULT_NOT_STARTED:
        return base_printf("launch: %s", res->text[0] ? res->text : "it could not be executed");
    case RESULT_EXITED:
        break;
    }
    if (res->term_signal != RESULT_NONE)
        return base_printf("killed by signal %" PRId64 " (%s)", res->term_signal,
                           strsignal((int)res->term_signal));
    return base_printf("exit code %" PRId64, res->exit_code);
}

static char *with(char *text, const char *more)
{
    char *both = base_printf("%s; %s", text, more);
    free(text);
    return both;
}

/* With what limits did to single processes of it, and what its shepherd has to add: a full disk, processes
 * that would not go. */
static char *end_reason(const struct queue_item *r, const struct result *res)
{
    char text[120];
    char *reason = end_cause(r, res);
    if (res->cause == RESULT_NOT_STARTED)
        return reason;
    if (res->oom_kills > 0 && res->cause != RESULT_OOM) {
        snprintf(text, sizeof(text), "%" PRId64 " of its processes killed for memory",
                 res->oom_kills);
        reason = with(reason, text);
    }
    if (res->pids_refused > 0) {
        snprintf(text, sizeof(text),
                 "%" PRId64 " forks refused above its limit of %" PRId64 " tasks",
                 res->pids_refused, r->q->cfg.max_pids);
        reason = with(reason, text);
    }
    return res->text[0] ? with(reason, res->text) : reason;
}

static void change_from_result(struct queue_item *r, const struct result *res, struct run_change *c)
{
    run_change_init(c);
    c->t_ns = clock_boot_ns();
    c->t0_ns = res->t0_ns;
    c->main_exit_ns = res->main_exit_ns;
    c->t1_ns = res->t1_ns;
    c->exit_code = res->exit_code;
    c->term_signal = res->term_signal;
    c->cpu_us = res->cpu_us;
    c->cpu_basis = res->cpu_us == RESULT_NONE ? NULL : res->cpu_from_cgroup ? "cgroup" : "rusage";
    c->maxrss_bytes = res->maxrss_bytes;
    c->leftovers = res->leftovers;
    c->mem_peak_bytes = res->mem_peak_bytes;
    bool now_is_known = r->row.boot == r->q->boot && res->t1_ns != RESULT_NONE;
    c->ended_utc_ns = clock_utc_ns() - (now_is_known ? clock_boot_ns() - res->t1_ns : 0);
}

_Static_assert(RESULT_NONE == RUN_NONE, "unknown is handed on as it is");

/* A run that ended before we saw it start or stop goes through the states it was in all the same. */
static void catch_up(struct queue_item *r, const struct result *res)
{
    struct run_change c;
    run_change_init(&c);
    c.reason = "seen from its result";
    if (r->next == RUN_STARTING && res->t0_ns != RESULT_NONE) {
        char *mode CLEANUP(base_freep) =
            base_printf("%s+%s", r->q->warrants_dir ? "system" : "user", res->mode);
        c.t_ns = c.t0_ns = res->t0_ns;
        c.started_utc_ns = clock_utc_ns() - (clock_boot_ns() - res->t0_ns);
        c.mode = res->mode[0] ? mode : NULL;
        queue_move(r, RUN_RUNNING, &c, NULL);
        c.started_utc_ns = c.t0_ns = RUN_NONE;
        c.mode = NULL;
    }
    if (r->next == RUN_RUNNING || r->next == RUN_PAUSED) {
        c.t_ns = res->t1_ns != RESULT_NONE ? res->t1_ns : RUN_NONE;
        queue_move(r, RUN_STOPPING, &c, NULL);
    }
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void file_end(struct queue_item *r)
{
    r->life = LIFE_FILING;
    r->live->filing.on_end = queue_on_end_wanted(r);
    r->file_now = true;
    queue_commit(r);
}

static bool this_boot(const struct queue_item *r)
{
    return r->row.boot == r->q->boot;
}

static int64_t between(int64_t t_ns, int64_t from_ns, int64_t to_ns)
{
    return t_ns < from_ns ? from_ns : t_ns > to_ns ? to_ns : t_ns;
}

/* In system mode a foreground run's directory is its user's, who can write what he likes there: its window stays
 * within what was seen of it here. */
static void bound_times(const struct queue_item *r, struct result *res)
{
    int64_t now_ns = clock_boot_ns();
    bool known = r->row.t0_ns != RUN_NONE && r->row.t0_ns > 0;
    if (!r->q->warrants_dir || r->row.kind != SPEC_EXEC || !this_boot(r))
        return;
    if (known)
        res->t0_ns = r->row.t0_ns;
    else if (res->t0_ns != RESULT_NONE)
        res->t0_ns =
            between(res->t0_ns, now_ns - (clock_utc_ns() - r->row.submitted_utc_ns), now_ns);
    if (res->t0_ns == RESULT_NONE)
        return;
    res->main_exit_ns = between(res->main_exit_ns, res->t0_ns, now_ns);
    res->t1_ns =
        res->t1_ns == RESULT_NONE ? now_ns : between(res->t1_ns, res->main_exit_ns, now_ns);
}

bool queue_end_again(struct queue_item *r)
{
    struct err e;
    return r->row.kind == SPEC_TRAIN || (queue_item_spec(r, &e) == 0 && r->spec->requeue);
}

/* A machine that goes down in order tells every process to end, shepherds too, wattqd before them: their results are of
 * the boot before. What happened to the run is the same as when the power had gone. */
static void see_shutdown(struct queue_item *r, const struct result *res)
{
    if (res->cause != RESULT_TOLD || this_boot(r) || r->live->stop_reason[0])
        return;
    r->lost_text = base_strdup("lost(reboot): the machine was shut down while it was running");
    r->requeue = queue_end_again(r);
}

void queue_end_begin(struct queue_item *r, const struct result *said)
{
    struct queue *q = r->q;
    struct result *res = &r->live->result;
    *res = *said;
    bound_times(r, res);
    see_shutdown(r, res);
    r->window_open = false;
    r->ticket = 0;
    r->deadline_ns = 0;
    r->live->filing.window = (struct energy_window){r->row.boot, res->t0_ns, res->t1_ns};
    r->live->filing.main_exit_ns = res->main_exit_ns;
    r->live->filing.overlapped = !r->alone;
    catch_up(r, res);
    queue_commit(r);
    queue_metrics_open(r);
    if (!this_boot(r) || res->t0_ns == RESULT_NONE || res->t1_ns == RESULT_NONE) {
        queue_end_swept(r);
        return;
    }
    int64_t now = clock_boot_ns();
    int64_t late = res->t1_ns + meter_settle_ns(q->cfg.meter);
    r->life = LIFE_CLOSING;
    queue_edge(r, 0);
    queue_ask_sweep(r, late > now ? late : now + NS_PER_US);
}

/* Nothing else starts meanwhile: the run is still active, and alone. */
static bool bracket_begins(struct queue_item *r)
{
    const struct energy_window *w = &r->live->filing.window;
    struct err e;
    if (r->life != LIFE_CLOSING || queue_item_spec(r, &e) < 0 || r->spec->bracket_ns == 0)
        return false;
    r->live->filing.bracket_ns = r->spec->bracket_ns;
    r->deadline_ns = queue_idle_bracket_end(w->t1_ns, r->spec->bracket_ns);
    r->life = LIFE_BRACKET;
    return true;
}

void queue_end_swept(struct queue_item *r)
{
    if (!bracket_begins(r))
        queue_end_bracketed(r);
}

void queue_end_bracketed(struct queue_item *r)
{
    if (r->live->filing.bracket_ns > 0)
        queue_idle_note_held(r->q, &r->live->filing);
    r->life = LIFE_DRAINING;
    if (queue_metrics_drain(r))
        queue_end_drained(r);
}

static void move_to_end(struct queue_item *r)
{
    struct run_change c;
    if (r->lost_text) {
        run_change_init(&c);
        c.reason = r->lost_text;
        c.t1_ns = r->live->filing.window.t1_ns;
        c.ended_utc_ns = clock_utc_ns();
        queue_move(r, RUN_LOST, &c, NULL);
        return;
    }
    enum run_state to = end_state(&r->live->result);
    struct err ignored; /* without it the reason says less */
    if (queue_item_spec(r, &ignored) < 0)
        log_warn("run %" PRId64 ": %s", r->row.id, ignored.text);
    char *reason CLEANUP(base_freep) = end_reason(r, &r->live->result);
    change_from_result(r, &r->live->result, &c);
    c.reason = reason;
    if (!run_move_allowed(r->next, to))
        to = RUN_FAILED; /* starting: nothing of it ran */
    queue_move(r, to, &c, NULL);
}

void queue_end_drained(struct queue_item *r)
{
    move_to_end(r);
    file_end(r);
}

void queue_end_lost(struct queue_item *r, const char *reason, int64_t t1_ns)
{
    r->lost_text = base_strdup(reason ? reason : "lost(status)");
    r->window_open = false;
    r->ticket = 0;
    r->deadline_ns = 0;
    if (r->live->filing.window.t0_ns == 0)
        r->live->filing.window.t0_ns = r->row.t0_ns;
    r->live->filing.window.boot = r->row.boot;
    r->live->filing.window.t1_ns = t1_ns;
    r->live->filing.main_exit_ns = r->row.main_exit_ns;
    r->live->filing.overlapped = !r->alone;
    queue_metrics_open(r);
    queue_end_swept(r);
}

void queue_end_plain(struct queue_item *r, enum run_state to, const struct run_change *c,
                     const struct queue_waiter *w)
{
    struct run_change full = *c;
    full.ended_utc_ns = clock_utc_ns();
    queue_item_wake(r);
    r->live->filing.window.t0_ns = RUN_NONE;
    r->ticket = 0;
    r->deadline_ns = 0;
    r->life = LIFE_ABORTING;
    queue_move(r, to, &full, w);
    r->file_now = true;
    queue_commit(r);
}

/* ---- storage thread ----------------------------------------------------------------------------- */

/* A run that did not end well may be tried again with the environment it had. */
static bool may_be_retried(const struct queue_item *r)
{
    const struct queue_move *last = r->flying;
    while (last && last->next)
        last = last->next;
    return !r->env_lost && (!last || last->to != RUN_DONE);
}

/* The machine is still as it was at the end: not so for a run that ended while no daemon was there. */
static bool just_ended(const struct queue_item *r)
{
    const struct energy_window *w = &r->live->filing.window;
    return w->t0_ns != RUN_NONE && w->t0_ns != 0 && w->t1_ns != RUN_NONE && w->boot == r->q->boot &&
           clock_boot_ns() - w->t1_ns < FACTS_LATE_NS;
}

int queue_end_work(struct store *s, struct queue_item *r, struct err *e)
{
    struct queue_filing *f = &r->live->filing;
    int rc = 0;
    f->has_total = false;
    f->policy = r->q->cfg.policy;
    f->env_unused = false;
    if (just_ended(r)) {
        char *facts CLEANUP(base_freep) = machine_facts(r->q->machine);
        rc = runs_machine_put(s, r->row.id, true, facts, e);
    }
    if (rc == 0 && f->window.t0_ns != RUN_NONE && f->window.t0_ns != 0 && this_boot(r))
        rc = queue_others_end(s, r, e);
    if (rc == 0 && f->bracket_ns > 0)
        rc = queue_idle_bracket(s, r->q, r->row.id, f, e);
    if (rc == 0 && f->window.t0_ns != RUN_NONE && f->window.t0_ns != 0)
        rc = queue_figures(s, r->row.id, f, e);
    if (rc == 0 && r->row.env_hash && !may_be_retried(r))
        rc = runs_env_drop(s, r->row.env_hash, &f->env_unused, e);
    if (rc == 0 && f->on_end)
        rc = runs_remark(s, r->row.id, QUEUE_ON_END_FOLLOWS, e);
    return rc;
}

/* ---- after the commit --------------------------------------------------------------------------- */

struct env_job {
    struct storage_job job;
    struct queue *q;
    char hash[65];
};

static int env_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct env_job *j = container_of(job, struct env_job, job);
    (void)e;
    queue_env_remove(s, j->q->envs_dir, j->hash);
    return 0;
}

static void env_done(struct storage_job *job, int rc, const struct err *e)
{
    struct env_job *j = container_of(job, struct env_job, job);
    (void)rc; /* a file that stays is found at the next start */
    (void)e;
    queue_job_back(j->q);
    free(j);
}

/* In a job of its own, after the reference is durably gone: a run that is submitted meanwhile is put
 * before it or finds no file, and writes it again. */
static void remove_env(struct queue *q, const char *hash)
{
    struct env_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = env_work, .done = env_done};
    j->q = q;
    base_strcpy(j->hash, sizeof(j->hash), hash);
    queue_submit_job(q, &j->job);
}

void queue_end_filed(struct queue_item *r)
{
    struct queue *q = r->q;
    if (q->closing)
        return;
    if (r->live->filing.on_end)
        queue_on_end_begin(r);
    else
        launch_ack(q->cfg.launch, r->row.id);
    if (r->live->filing.has_total)
        queue_late_add(q, r->row.id);
    if (r->live->filing.env_unused)
        remove_env(q, r->row.env_hash);
    queue_retire(q, r);
    if (r->row.state == RUN_LOST && r->requeue)
        queue_retry(q, r->row.id, (struct run_actor){.uid = r->row.uid}, NULL, NULL);
    queue_sweep_ended_run(q, r);
    queue_kick(q);
}
