/* Moves of one run on their way to the disk: in order, what has gathered in one job, tried again until
 * the commit succeeds. */
#include <assert.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/accounts.h"

#define RETRY_NS (1 * NS_PER_S)

static char *dup_or_null(const char *s)
{
    return s ? base_strdup(s) : NULL;
}

void queue_move(struct queue_item *r, enum run_state to, const struct run_change *c,
                const struct queue_waiter *w)
{
    assert(run_move_allowed(r->next, to));
    queue_item_wake(r);
    struct queue_move *m = base_alloc(sizeof(*m));
    m->from = r->next;
    m->to = to;
    m->change = *c;
    m->change.reason = dup_or_null(c->reason);
    m->change.mode = dup_or_null(c->mode);
    m->change.cpu_basis = dup_or_null(c->cpu_basis);
    if (m->change.t_ns == RUN_NONE)
        m->change.t_ns = clock_boot_ns();
    if (w)
        m->waiter = *w;
    struct queue_move **at = &r->unsent;
    while (*at)
        at = &(*at)->next;
    *at = m;
    r->next = to;
}

static void free_string(const char *s)
{
    free((void *)(uintptr_t)s);
}

static void free_move(struct queue_move *m)
{
    free_string(m->change.reason);
    free_string(m->change.mode);
    free_string(m->change.cpu_basis);
    free(m);
}

static void set_text(char **to, const char *from)
{
    if (!from || from == *to)
        return;
    free(*to);
    *to = base_strdup(from);
}

static void set_int(int64_t *to, int64_t from)
{
    if (from != RUN_NONE)
        *to = from;
}

/* What RUN_MOVE did to the row, done to its copy. */
static void apply(struct run_row *row, const struct queue_move *m)
{
    const struct run_change *c = &m->change;
    bool keeps = run_state_ended(m->to) || m->to == RUN_HELD;
    row->state = m->to;
    set_text(&row->reason, keeps ? (c->reason ? c->reason : row->reason) : "");
    set_text(&row->mode, c->mode);
    set_text(&row->cpu_basis, c->cpu_basis);
    set_int(&row->token, c->token);
    set_int(&row->t0_ns, c->t0_ns);
    set_int(&row->main_exit_ns, c->main_exit_ns);
    set_int(&row->t1_ns, c->t1_ns);
    set_int(&row->exit_code, c->exit_code);
    set_int(&row->term_signal, c->term_signal);
    set_int(&row->cpu_us, c->cpu_us);
    set_int(&row->maxrss_bytes, c->maxrss_bytes);
    set_int(&row->leftovers, c->leftovers);
    set_int(&row->mem_peak_bytes, c->mem_peak_bytes);
    set_int(&row->started_utc_ns, c->started_utc_ns);
    set_int(&row->ended_utc_ns, c->ended_utc_ns);
}

/* After the gate has opened, so that no start waits for it. */
static int put_facts(struct store *s, const struct queue_item *r, struct err *e)
{
    char *facts CLEANUP(base_freep) = machine_facts(r->q->machine);
    int rc = queue_others_cut(s, r->q, e);
    return rc < 0 ? rc : runs_machine_put(s, r->row.id, false, facts, e);
}

/* Storage thread. */
static int work(struct store *s, struct storage_job *job, struct err *e)
{
    struct queue_item *r = container_of(job, struct queue_live, job)->r;
    for (struct queue_move *m = r->flying; m; m = m->next) {
        int rc = runs_move(s, r->row.id, m->from, m->to, &m->change, e);
        if (rc == 0 && m->to == RUN_STARTING)
            rc = accounts_devices_take(s, r->row.id, m->change.t_ns, queue_item_exclusive(r),
                                       r->gpus ? r->gpus : "", e);
        if (rc < 0)
            return rc;
    }
    int rc = r->flying_facts ? put_facts(s, r, e) : 0;
    return rc == 0 && r->flying_file ? queue_end_work(s, r, e) : rc;
}

static void tell(struct queue_item *r, enum run_state from)
{
    struct queue_run snap;
    if (!r->q->cfg.on_change)
        return;
    queue_snapshot(r->q, r, &snap);
    r->q->cfg.on_change(r->q->cfg.arg, &snap, from);
}

static void committed(struct queue_item *r)
{
    bool filed = r->flying_file;
    r->flying_file = r->flying_facts = false;
    if (filed) {
        r->live->total = r->live->filing.total;
        r->live->has_total = r->live->filing.has_total;
    }
    struct queue_move *list = r->flying;
    r->flying = NULL; /* what the callbacks below send goes into a new job */
    while (list) {
        struct queue_move *m = list;
        list = m->next;
        apply(&r->row, m);
        if (m->to == RUN_STARTING)
            r->row.boot = r->q->boot;
        tell(r, m->from);
        if (m->waiter.done)
            m->waiter.done(m->waiter.arg, 0, NULL, &r->row.id, 1);
        bool claimed = m->to == RUN_STARTING;
        free_move(m);
        if (claimed)
            queue_claimed(r, 0);
    }
    if (filed)
        queue_end_filed(r);
    else
        queue_commit(r);
    if (!filed && r->row.state == RUN_QUEUED)
        queue_kick(r->q);
}

/* The moves go back in front of the line, and the next tick tries again. The claim alone is given up:
 * a run whose start cannot be written down is not started. */
static void failed(struct queue_item *r, int rc, const struct err *e)
{
    if (r->flying && r->flying->to == RUN_STARTING && !r->flying->next && !r->unsent) {
        free_move(r->flying);
        r->flying = NULL;
        r->next = r->row.state;
        queue_claimed(r, rc);
        return;
    }
    log_error("run %lld: its state cannot be written down: %s", (long long)r->row.id, e->text);
    struct queue_move **at = &r->flying;
    while (*at) {
        if ((*at)->waiter.done)
            (*at)->waiter.done((*at)->waiter.arg, rc, e, &r->row.id, 1);
        (*at)->waiter.done = NULL;
        at = &(*at)->next;
    }
    *at = r->unsent;
    r->unsent = r->flying;
    r->flying = NULL;
    r->file_now |= r->flying_file;
    r->facts_now |= r->flying_facts;
    r->flying_file = r->flying_facts = false;
    r->deadline_ns = clock_boot_ns() + RETRY_NS;
    r->q->retry_waiting = true;
}

static void done(struct storage_job *job, int rc, const struct err *e)
{
    struct queue_item *r = container_of(job, struct queue_live, job)->r;
    struct queue *q = r->q;
    r->job_busy = false;
    queue_job_back(q);
    if (rc < 0)
        failed(r, rc, e);
    else
        committed(r);
}

void queue_commit(struct queue_item *r)
{
    if (r->job_busy || (!r->unsent && !r->file_now) || r->q->closing)
        return;
    r->flying = r->unsent;
    r->unsent = NULL;
    r->flying_file = r->file_now;
    r->file_now = false;
    r->flying_facts = r->facts_now;
    r->facts_now = false;
    r->job_busy = true;
    bool claim = r->flying && r->flying->to == RUN_STARTING; /* is given up when it fails */
    r->live->job = (struct storage_job){.work = work, .done = done, .vital = !claim};
    queue_submit_job(r->q, &r->live->job);
}

void queue_moves_free(struct queue_item *r)
{
    while (r->unsent) {
        struct queue_move *m = r->unsent;
        r->unsent = m->next;
        free_move(m);
    }
}
