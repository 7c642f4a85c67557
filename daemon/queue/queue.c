/* Life of the queue, its lists, snapshots, and the way from the sampler's thread to the loop. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define TICK_MS    1000
#define METRICS_MS 250

/* ---- lists -------------------------------------------------------------------------------------- */

static bool by_id(const struct queue_item *a, const struct queue_item *b)
{
    return a->row.id < b->row.id;
}

typedef bool before(const struct queue_item *a, const struct queue_item *b);

/* Index of the first element that does not stand before r. */
static size_t place(const struct items *l, const struct queue_item *r, before *less)
{
    size_t lo = 0;
    size_t hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (less(l->at[mid], r))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void insert(struct items *l, size_t i, struct queue_item *r)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->at = realloc(l->at, l->cap * sizeof(struct queue_item *));
        if (!l->at)
            abort();
    }
    memmove(&l->at[i + 1], &l->at[i], (l->n - i) * sizeof(struct queue_item *));
    l->at[i] = r;
    l->n++;
}

static void take_at(struct items *l, size_t i)
{
    memmove(&l->at[i], &l->at[i + 1], (l->n - i - 1) * sizeof(struct queue_item *));
    l->n--;
}

static void take(struct items *l, const struct queue_item *r, before *less)
{
    size_t i = place(l, r, less);
    if (i < l->n && l->at[i] == r)
        take_at(l, i);
}

struct queue_item *queue_item_new(struct queue *q)
{
    struct queue_item *r = base_alloc(sizeof(*r));
    r->q = q;
    r->alone = true;
    r->metrics_seen = -1;
    r->slot = -1;
    return r;
}

void queue_item_wake(struct queue_item *r)
{
    if (r->live)
        return;
    r->live = base_alloc(sizeof(*r->live));
    r->live->r = r;
}

void queue_item_free(struct queue_item *r)
{
    if (!r)
        return;
    queue_moves_free(r);
    queue_metrics_close(r);
    run_row_fini(&r->row);
    free(r->lost_text);
    free(r->gpus);
    free(r->live);
    if (r->spec) {
        spec_fini(r->spec);
        free(r->spec);
    }
    free(r);
}

struct queue_item *queue_item_find(const struct queue *q, int64_t id)
{
    struct queue_item key = {.row = {.id = id}};
    size_t i = place(&q->all, &key, by_id);
    return i < q->all.n && q->all.at[i]->row.id == id ? q->all.at[i] : NULL;
}

struct turns_key queue_item_key(const struct queue_item *r)
{
    int64_t place = r->row.place != RUN_NONE ? r->row.place : turns_own_place(r->row.id);
    return (struct turns_key){r->row.priority, r->row.uid, place, r->row.id};
}

void queue_line_put(struct queue *q, struct queue_item *r)
{
    const struct turns_key key = queue_item_key(r);
    turns_put(&q->line, &key, r);
}

bool queue_line_take(struct queue *q, struct queue_item *r)
{
    const struct turns_key key = queue_item_key(r);
    return turns_take(&q->line, &key);
}

void queue_active_put(struct queue *q, struct queue_item *r)
{
    insert(&q->active, q->active.n, r);
}

void queue_active_take(struct queue *q, struct queue_item *r)
{
    for (size_t i = 0; i < q->active.n; i++) {
        if (q->active.at[i] == r) {
            take_at(&q->active, i);
            q->idle_since_ns = q->idle.last_end_ns = clock_boot_ns();
            return;
        }
    }
}

void queue_add(struct queue *q, struct queue_item *r)
{
    r->next = r->row.state;
    insert(&q->all, place(&q->all, r, by_id), r);
    if (r->row.state == RUN_QUEUED)
        queue_line_put(q, r);
    else if (r->row.state != RUN_HELD)
        queue_active_put(q, r);
    struct queue_sweep_state *sw = queue_sweep_find(q, r->row.sweep);
    if (sw)
        sw->live++;
}

void queue_remove(struct queue *q, struct queue_item *r)
{
    take(&q->all, r, by_id);
    (void)queue_line_take(q, r);
    queue_active_take(q, r);
}

void queue_retire(struct queue *q, struct queue_item *r)
{
    queue_slot_leave(r);
    queue_gpus_free(r);
    queue_remove(q, r);
    queue_metrics_close(r);
    r->ended = true;
    queue_item_free(q->recent[QUEUE_RECENT - 1]);
    memmove(&q->recent[1], &q->recent[0], (QUEUE_RECENT - 1) * sizeof(struct queue_item *));
    q->recent[0] = r;
}

int queue_item_spec(struct queue_item *r, struct err *e)
{
    if (r->spec)
        return 0;
    struct spec *s = base_alloc(sizeof(*s));
    int rc = runs_spec_parse(r->row.spec_json, s, e);
    if (rc < 0)
        free(s);
    else
        r->spec = s;
    return rc;
}

/* ---- snapshots ---------------------------------------------------------------------------------- */

static void snapshot(const struct queue_item *r, size_t position, struct queue_run *out)
{
    int64_t t0 = r->row.t0_ns;
    int64_t end = r->row.t1_ns != RUN_NONE ? r->row.t1_ns : clock_boot_ns();
    *out = (struct queue_run){.row = &r->row,
                              .position = (int)position,
                              .elapsed_ns = t0 != RUN_NONE && t0 != 0 ? end - t0 : RUN_NONE,
                              .alone = r->alone,
                              .gpus = r->gpus ? r->gpus : "",
                              .total = r->live && r->live->has_total ? &r->live->total : NULL};
}

void queue_snapshot(struct queue *q, const struct queue_item *r, struct queue_run *out)
{
    const struct turns_key key = queue_item_key(r);
    snapshot(r, turns_position(&q->line, &key), out);
}

/* Positions by counting: a line of 100,000 is listed at once. */
static int visit_line(struct queue *q, int (*fn)(void *arg, const struct queue_run *r), void *arg)
{
    struct queue_run snap;
    struct turns_walk w;
    const struct queue_item *r;
    size_t position = 0;
    int rc = 0;
    turns_walk_begin(&w, &q->line);
    while (rc == 0 && (r = turns_walk_next(&w)) != NULL) {
        snapshot(r, ++position, &snap);
        rc = fn(arg, &snap);
    }
    turns_walk_end(&w);
    return rc;
}

void queue_visit(struct queue *q, int (*fn)(void *arg, const struct queue_run *r), void *arg)
{
    struct queue_run snap;
    for (size_t i = 0; i < q->active.n; i++) {
        queue_snapshot(q, q->active.at[i], &snap);
        if (fn(arg, &snap) != 0)
            return;
    }
    if (visit_line(q, fn, arg) != 0)
        return;
    for (size_t i = 0; q->all.n > q->line.n + q->active.n && i < q->all.n; i++) {
        if (q->all.at[i]->next != RUN_HELD)
            continue;
        queue_snapshot(q, q->all.at[i], &snap);
        if (fn(arg, &snap) != 0)
            return;
    }
}

int queue_find(struct queue *q, int64_t run, struct queue_run *out)
{
    const struct queue_item *r = queue_item_find(q, run);
    if (!r)
        return 1;
    queue_snapshot(q, r, out);
    return 0;
}

void queue_get_counts(const struct queue *q, struct queue_counts *out)
{
    *out = (struct queue_counts){.queued = (int64_t)q->line.n,
                                 .held = (int64_t)(q->all.n - q->line.n - q->active.n)};
    for (size_t i = 0; i < q->active.n; i++) {
        enum run_state s = q->active.at[i]->next;
        if (s == RUN_PAUSED)
            out->paused++;
        else if (s == RUN_STOPPING || run_state_ended(s))
            out->stopping++;
        else if (s == RUN_RUNNING)
            out->running++;
        else
            out->starting++;
    }
}

void queue_refresh(struct queue *q, int64_t run, const struct energy_figure *total)
{
    for (size_t i = 0; i < QUEUE_RECENT && q->recent[i]; i++) {
        struct queue_item *r = q->recent[i];
        if (r->row.id != run)
            continue;
        queue_item_wake(r);
        r->live->total = *total;
        r->live->has_total = true;
    }
}

void queue_former(struct queue *q, int64_t uid, int64_t now, bool forget)
{
    size_t kept = 0;
    for (size_t i = 0; i < QUEUE_RECENT && q->recent[i]; i++) {
        struct queue_item *r = q->recent[i];
        bool theirs = r->row.uid == uid;
        q->recent[i] = NULL;
        if (theirs)
            r->row.uid = now;
        if (theirs && forget)
            queue_item_free(r);
        else
            q->recent[kept++] = r;
    }
}

void queue_recent(struct queue *q, int (*fn)(void *arg, const struct queue_run *r), void *arg)
{
    struct queue_run snap;
    for (size_t i = 0; i < QUEUE_RECENT && q->recent[i]; i++) {
        queue_snapshot(q, q->recent[i], &snap);
        if (fn(arg, &snap) != 0)
            return;
    }
}

int64_t queue_boot(const struct queue *q)
{
    return q->started ? q->boot : RUN_NONE;
}

/* ---- jobs and sweeps ---------------------------------------------------------------------------- */

void queue_submit_job(struct queue *q, struct storage_job *job)
{
    q->jobs_out++;
    storage_submit(q->cfg.storage, job);
}

static void finish_close(struct queue *q);

void queue_job_back(struct queue *q)
{
    assert(q->jobs_out > 0);
    q->jobs_out--;
    if (q->closing)
        finish_close(q);
}

/* Sampler thread. */
static void on_sweep(void *arg, int64_t ticket)
{
    struct queue *q = arg;
    uv_mutex_lock(&q->ticket_lock);
    if (q->ntickets < QUEUE_TICKETS)
        q->tickets[q->ntickets++] = ticket;
    q->sweeps_out--;
    uv_async_send(&q->ticket_async); /* under the lock: queue_close waits for sweeps_out == 0 */
    uv_mutex_unlock(&q->ticket_lock);
}

#define SWEEP_PATIENCE_NS (3 * NS_PER_S)

/* The ticket; 0 or less: there is no room for another. */
static int64_t ask_meter(struct queue *q, int64_t at_ns)
{
    uv_mutex_lock(&q->ticket_lock);
    q->sweeps_out++;
    uv_mutex_unlock(&q->ticket_lock);
    int64_t ticket = meter_sweep(q->cfg.meter, at_ns, on_sweep, q);
    if (ticket <= 0) {
        uv_mutex_lock(&q->ticket_lock);
        q->sweeps_out--;
        uv_mutex_unlock(&q->ticket_lock);
    }
    return ticket;
}

void queue_edge(struct queue_item *r, int64_t at_ns)
{
    if (!r->unswept)
        (void)ask_meter(r->q, at_ns);
}

void queue_ask_sweep(struct queue_item *r, int64_t at_ns)
{
    int64_t now = clock_boot_ns();
    int64_t ticket = r->unswept ? 0 : ask_meter(r->q, at_ns);
    /* Without sweeps a sample of the grid must stand behind the end. */
    int64_t wait_ns = ticket > 0                              ? SWEEP_PATIENCE_NS
                      : r->unswept && r->life == LIFE_CLOSING ? NS_PER_S
                                                              : 0;
    r->ticket = ticket > 0 ? ticket : -1;
    r->deadline_ns = (at_ns > now ? at_ns : now) + wait_ns;
    if (r->unswept && wait_ns == 0) /* nothing is waited for, least of all the next second */
        uv_async_send(&r->q->ticket_async);
}

static void swept(struct queue *q, int64_t ticket)
{
    for (size_t i = 0; i < q->active.n; i++) {
        struct queue_item *r = q->active.at[i];
        if (r->ticket != ticket)
            continue;
        r->ticket = 0;
        r->deadline_ns = 0;
        queue_swept(r);
        return;
    }
}

static void go_on_unswept(struct queue_item *r)
{
    if (r->ticket != -1 || r->deadline_ns > clock_boot_ns())
        return;
    r->ticket = 0;
    r->deadline_ns = 0;
    queue_swept(r);
}

static void on_tickets(uv_async_t *a)
{
    struct queue *q = container_of(a, struct queue, ticket_async);
    int64_t mine[QUEUE_TICKETS];
    uv_mutex_lock(&q->ticket_lock);
    size_t n = q->ntickets;
    memcpy(mine, q->tickets, n * sizeof(mine[0]));
    q->ntickets = 0;
    uv_mutex_unlock(&q->ticket_lock);
    for (size_t i = 0; i < n && !q->closing; i++)
        swept(q, mine[i]);
    for (size_t i = q->active.n; i-- > 0 && !q->closing;)
        if (i < q->active.n && q->active.at[i]->unswept && q->active.at[i]->open == OPEN_ASKED)
            go_on_unswept(q->active.at[i]);
    if (q->closing)
        finish_close(q);
}

/* ---- clock -------------------------------------------------------------------------------------- */

/* A commit to be tried again, or a sweep that did not come in time. */
static void on_deadline(struct queue_item *r)
{
    r->deadline_ns = 0;
    if (r->life == LIFE_BRACKET) {
        queue_end_bracketed(r);
    } else if (r->ticket) {
        r->ticket = 0;
        if (!r->unswept)
            log_warn("run %lld: the meters did not answer in time; its edge has grid samples only",
                     (long long)r->row.id);
        queue_swept(r);
    } else {
        queue_commit(r);
    }
}

static void on_tick(uv_timer_t *t)
{
    struct queue *q = container_of(t, struct queue, tick);
    int64_t now = clock_boot_ns();
    for (size_t i = q->active.n; i-- > 0;) {
        if (i >= q->active.n)
            continue;
        struct queue_item *r = q->active.at[i];
        if (r->deadline_ns && r->deadline_ns <= now)
            on_deadline(r);
    }
    for (size_t i = q->all.n; q->retry_waiting && i-- > 0;)
        if (i < q->all.n && q->all.at[i]->deadline_ns && q->all.at[i]->deadline_ns <= now)
            on_deadline(q->all.at[i]);
    q->retry_waiting = false;
    queue_gpus_look(q);
    queue_idle_tick(q, now);
    queue_late_tick(q, now);
    queue_energy_tick(q, now);
    queue_warrants_tick(q, now);
    queue_kick(q);
}

static void on_pause(uv_timer_t *t)
{
    queue_kick(container_of(t, struct queue, pause));
}

void queue_wait_pause(struct queue *q, int64_t left_ns)
{
    uint64_t ms = (uint64_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
    uv_update_time(q->cfg.loop);
    uv_timer_start(&q->pause, on_pause, ms, 0);
}

static void on_metrics(uv_timer_t *t)
{
    queue_metrics_poll(container_of(t, struct queue, metrics));
}

/* ---- life --------------------------------------------------------------------------------------- */

int queue_open(struct queue **out, const struct queue_config *cfg, struct err *e)
{
    struct queue *q = base_alloc(sizeof(*q));
    q->cfg = *cfg;
    q->envs_dir = base_strdup(cfg->envs_dir);
    q->runs_dir = base_strdup(cfg->runs_dir);
    q->warrants_dir = cfg->warrants_dir ? base_strdup(cfg->warrants_dir) : NULL;
    q->train_path = base_strdup(cfg->train_path);
    q->machine = machine_open(NULL);
    int rc = uv_mutex_init(&q->ticket_lock);
    if (rc == 0)
        rc = uv_async_init(cfg->loop, &q->ticket_async, on_tickets);
    if (rc < 0) {
        free(q->envs_dir);
        free(q->runs_dir);
        free(q->warrants_dir);
        free(q->train_path);
        machine_close(q->machine);
        free(q);
        return err_set(e, WATTQ_E_IO, "the queue cannot start: %s", uv_strerror(rc));
    }
    uv_timer_init(cfg->loop, &q->tick);
    uv_timer_init(cfg->loop, &q->metrics);
    uv_timer_init(cfg->loop, &q->pause);
    uv_timer_init(cfg->loop, &q->others);
    uv_timer_start(&q->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&q->metrics, on_metrics, METRICS_MS, METRICS_MS);
    queue_others_start(q);
    queue_gpus_count(q);
    q->idle_since_ns = clock_boot_ns();
    q->handles = 5;
    *out = q;
    return 0;
}

static void free_queue(struct queue *q)
{
    void (*closed)(void *) = q->closed;
    void *arg = q->closed_arg;
    for (size_t i = 0; i < q->all.n; i++)
        queue_item_free(q->all.at[i]);
    for (size_t i = 0; i < QUEUE_RECENT; i++)
        queue_item_free(q->recent[i]);
    queue_on_end_close(q);
    free(q->all.at);
    turns_fini(&q->line);
    free(q->active.at);
    free(q->sweeps);
    free(q->envs_dir);
    free(q->runs_dir);
    free(q->warrants_dir);
    free(q->train_path);
    machine_close(q->machine);
    uv_mutex_destroy(&q->ticket_lock);
    free(q);
    if (closed)
        closed(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct queue *q = h->data;
    if (--q->handles == 0)
        free_queue(q);
}

static void close_handle(struct queue *q, uv_handle_t *h)
{
    h->data = q;
    uv_close(h, on_handle_closed);
}

/* Handles go once no job and no sweep can call back any more. */
static void finish_close(struct queue *q)
{
    uv_mutex_lock(&q->ticket_lock);
    size_t sweeps = q->sweeps_out;
    uv_mutex_unlock(&q->ticket_lock);
    if (q->jobs_out > 0 || sweeps > 0 || uv_is_closing((uv_handle_t *)&q->ticket_async))
        return;
    close_handle(q, (uv_handle_t *)&q->ticket_async);
    close_handle(q, (uv_handle_t *)&q->tick);
    close_handle(q, (uv_handle_t *)&q->metrics);
    close_handle(q, (uv_handle_t *)&q->pause);
    close_handle(q, (uv_handle_t *)&q->others);
}

void queue_close(struct queue *q, void (*closed)(void *arg), void *arg)
{
    q->closing = true;
    q->closed = closed;
    q->closed_arg = arg;
    queue_idle_close(q);
    queue_late_close(q);
    uv_timer_stop(&q->tick);
    uv_timer_stop(&q->metrics);
    uv_timer_stop(&q->pause);
    uv_timer_stop(&q->others);
    finish_close(q);
}
