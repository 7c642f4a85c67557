/* The sampler: sweeps paces on their grids and at edges, fills ticks. */
#include "daemon/meter/meter_internal.h"

#include "common/units.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define NOTIFY_NS     (850 * NS_PER_MS) /* at 10 Hz each ninth tick: a kill then costs < 1 s */
#define RETRY_EDGE_NS NS_PER_MS         /* the ring was full: the edge is taken again */
#define SUSPENDED_NS                                                                               \
    (500 * NS_PER_MS) /* BOOTTIME - MONOTONIC grew by this much: the machine slept */

struct sweep {
    int64_t before_ns, after_ns;
    int64_t suspend_ns;
    int64_t ticket; /* 0 on the grid */
    bool resumed;
};

/* ---- reading sources --------------------------------------------------------------------------- */

static int64_t middle(int64_t before_ns, int64_t after_ns)
{
    return before_ns + (after_ns - before_ns) / 2;
}

static void all_stale(struct meter_source *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->readings[i] = (struct reading){.state = READING_STALE};
    }
}

int64_t meter_thread_cpu_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void count(_Atomic int64_t *total, int64_t more)
{
    atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + more,
                          memory_order_relaxed); /* the sampler is its only writer */
}

/* The worker's newest answer, and what its thread has cost. */
static bool take_answer(struct meter *m, struct meter_source *s, struct worker_stamps *stamps)
{
    if (!worker_take(s->worker, &s->taken_seq, s->readings, stamps)) {
        return false;
    }
    count(&m->cost_workers_ns, stamps->cpu_ns - s->taken_cpu_ns);
    s->taken_cpu_ns = stamps->cpu_ns;
    return true;
}

/* A source that was moved to a worker while running: its newest answer, while that is young enough. The
 * sweep began when that reading did: a value must not look younger than it is, or bounds would not hold.
 * No sweep begins before the one before it; an answer from then came too late. */
static void read_moved(struct meter *m, struct meter_source *s, int64_t now_ns, int64_t *oldest_ns)
{
    struct worker_stamps stamps;
    if (take_answer(m, s, &stamps)) {
        s->read_ns = stamps.after_ns;
        s->began_ns = stamps.before_ns;
    }
    if (now_ns - s->began_ns > METER_STALE_NS || s->began_ns < m->paces[s->pace].began_ns) {
        all_stale(s);
    } else if (s->began_ns < *oldest_ns) {
        *oldest_ns = s->began_ns;
    }
}

/* Edges are read whatever the source's rest; on the grid half a period of jitter is forgiven. */
static bool rests(const struct meter *m, const struct meter_source *s, const struct sweep *w)
{
    int64_t slack = m->paces[s->pace].period_ns / 2;
    return w->ticket == 0 && s->ops->rest_ns > 0 && s->read_ns != 0 &&
           w->before_ns - s->read_ns + slack < s->ops->rest_ns;
}

static void read_here(struct meter *m, struct meter_source *s, const struct sweep *w)
{
    if (rests(m, s, w)) {
        return;
    }
    int64_t t0 = clock_mono_ns();
    s->ops->read(s->source, w->before_ns, s->readings);
    int64_t took = clock_mono_ns() - t0;
    if (w->ticket == 0) {
        s->read_ns = w->before_ns;
    }
    s->slow_reads = took > METER_SLOW_READ_NS ? s->slow_reads + 1 : 0;
    if (s->slow_reads >= METER_SLOW_READS) {
        /* Without a thread it goes on being read here: late is better than not. */
        s->worker = worker_start(s, m->paces[s->pace].period_ns, NULL);
        s->slow_reads = 0;
        s->read_ns = w->before_ns;
        s->began_ns = w->before_ns;
    }
}

static void read_pace(struct meter *m, uint32_t pace, struct sweep *w)
{
    w->before_ns = clock_boot_ns();
    int64_t oldest_ns = w->before_ns;
    for (size_t i = 0; i < m->nsources; i++) {
        struct meter_source *s = &m->sources[i];
        if (s->pace != pace || !s->source) {
            continue;
        }
        if (s->worker) {
            read_moved(m, s, w->before_ns, &oldest_ns);
        } else {
            read_here(m, s, w);
        }
    }
    w->before_ns = oldest_ns;
    m->paces[pace].began_ns = oldest_ns;
    w->after_ns = clock_boot_ns();
}

/* ---- filling ticks ----------------------------------------------------------------------------- */

static struct reading reading_of(const struct meter *m, const struct channel_slot *c)
{
    if (c->at == METER_NOWHERE) {
        return (struct reading){.state = READING_GONE};
    }
    return m->sources[c->source].readings[c->at];
}

/* Every reading goes through its lane, whether there is room for the tick or not: the curves go on. */
static void fill(struct meter *m, const struct meter_group *g, const struct sweep *w,
                 struct tick *t)
{
    int64_t at = middle(w->before_ns, w->after_ns);
    count(&m->cost_readings, g->n);
    for (uint32_t i = 0; i < g->n; i++) {
        struct channel_slot *c = &m->slots[g->channels[i]];
        struct lane_value v = lane_take(&c->lane, reading_of(m, c), at, w->resumed);
        enum reading_state state = (enum reading_state)(v.state & TICK_STATE_MASK);
        bool away = state == READING_GONE || state == READING_STALE;
        m->away_moved = m->away_moved || away != c->was_away;
        c->was_away = away;
        struct meter_status now;
        lane_status(&c->lane, &now);
        watch_put(m->watch, g->channels[i],
                  &(struct watch_sample){.t_ns = at,
                                         .value = v.value,
                                         .raw = v.raw,
                                         .state = v.state,
                                         .resumed = w->resumed,
                                         .period_ns = now.period_learned_ns,
                                         .quantum = now.quantum_learned});
        if (t) {
            tick_values(t)[i] = v.value;
            tick_raws(t)[i] = v.raw;
            tick_states(t)[i] = v.state;
        }
    }
}

/* Outward on the grid, and later than the tick before whatever rounding does. */
static void stamp(struct meter_group *g, int64_t period_ns, const struct sweep *w, struct tick *t)
{
    t->before_ns = w->before_ns;
    t->after_ns = w->after_ns;
    tick_round(period_ns, &t->before_ns, &t->after_ns);
    if (w->before_ns > g->began_ns)
        while (middle(t->before_ns, t->after_ns) <= g->middle_ns)
            t->after_ns += tick_width_ns(period_ns);
    g->began_ns = w->before_ns;
    g->middle_ns = middle(t->before_ns, t->after_ns);
}

static bool push_group(struct meter *m, uint32_t group, const struct sweep *w)
{
    struct meter_group *g = &m->groups[group];
    struct tick *t = ring_reserve(m->ring, g->n);
    fill(m, g, w, t);
    if (!t) {
        return false;
    }
    t->group = group;
    t->flags = (w->ticket ? TICK_EDGE : 0) | (g->started ? 0 : TICK_FIRST);
    t->index = m->paces[g->pace].index;
    stamp(g, m->paces[g->pace].period_ns, w, t);
    t->suspend_ns = w->suspend_ns;
    t->ticket = w->ticket;
    g->started = true;
    ring_push(m->ring);
    return true;
}

/* Its channels have rows; before that nobody could take its ticks. */
static bool is_live(const struct meter *m, const struct meter_group *g)
{
    return g->n > 0 && g->channels[g->n - 1] < m->n;
}

/* A tick for each group of the pace. False: at least one found no room. */
static bool push(struct meter *m, uint32_t pace, const struct sweep *w)
{
    bool all = true;
    for (uint32_t g = 0; g < m->ngroups; g++) {
        if (m->groups[g].pace == pace && is_live(m, &m->groups[g])) {
            all = push_group(m, g, w) && all;
        }
    }
    m->paces[pace].swept = true;
    return all;
}

static bool is_empty(const struct meter *m, uint32_t pace)
{
    for (size_t g = 0; g < m->ngroups; g++) {
        if (m->groups[g].pace == pace && is_live(m, &m->groups[g])) {
            return false;
        }
    }
    return true;
}

/* The smaller of two tries: being preempted between the two clocks looks like a sleep. */
static int64_t slept_ns(const struct meter *m)
{
    if (m->slept_ns) {
        return m->slept_ns();
    }
    int64_t a = clock_boot_ns() - clock_mono_ns();
    int64_t b = clock_boot_ns() - clock_mono_ns();
    return a > b ? a : b; /* monotonic is read second: a delay makes the difference smaller */
}

/* resumed is per pace: each one must hear of a sleep once. The prober looks at every meter then. */
static void look_for_suspend(struct meter *m, struct meter_pace *p, struct sweep *w)
{
    w->suspend_ns = slept_ns(m);
    w->resumed = p->swept && w->suspend_ns - p->suspend_ns > SUSPENDED_NS;
    p->suspend_ns = w->suspend_ns;
    if (w->resumed) {
        pthread_mutex_lock(&m->lock);
        m->probe_resume = true;
        pthread_cond_signal(&m->probe_wake);
        pthread_mutex_unlock(&m->lock);
    }
}

static void sweep_grid(struct meter *m, uint32_t pace)
{
    struct sweep w = {0};
    look_for_suspend(m, &m->paces[pace], &w);
    read_pace(m, pace, &w);
    (void)push(m, pace, &w); /* a full ring has counted the loss */
    if (pace == 0) {
        watch_step(m->watch, middle(w.before_ns, w.after_ns));
    }
}

static struct meter_source *source_of(struct meter *m, uint32_t pace)
{
    for (size_t i = 0; i < m->nsources; i++) {
        if (m->sources[i].pace == pace) {
            return &m->sources[i];
        }
    }
    return NULL;
}

/* An answer of a blocking source, with its own stamps; or, once per second, that there is none. */
static void sweep_own(struct meter *m, uint32_t pace, int64_t mono_ns)
{
    struct meter_pace *p = &m->paces[pace];
    struct meter_source *s = source_of(m, pace);
    struct worker_stamps stamps;
    struct sweep w = {0};
    look_for_suspend(m, p, &w);
    if (s && s->worker && take_answer(m, s, &stamps)) {
        w.before_ns = stamps.before_ns;
        w.after_ns = stamps.after_ns;
        /* a worker that took another one's place counts from 0 */
        p->index = stamps.index > p->index ? stamps.index : p->index + 1;
        p->stale_mono_ns = mono_ns + METER_STALE_NS;
    } else if (mono_ns >= p->stale_mono_ns) {
        if (s) {
            all_stale(s);
        }
        w.before_ns = w.after_ns = clock_boot_ns();
        p->stale_mono_ns = mono_ns + NS_PER_S;
    } else {
        return;
    }
    (void)push(m, pace, &w);
}

/* ---- schedule ---------------------------------------------------------------------------------- */

static void notify(struct meter *m, int64_t mono_ns)
{
    m->notified_mono_ns = mono_ns;
    if (m->notify) {
        m->notify(m->notify_arg);
    }
}

/* Late by more than a period: the missed grid points are skipped, the grid stays where it is. */
static void advance(struct meter_pace *p, int64_t mono_ns)
{
    p->index = (mono_ns - p->origin_mono_ns) / p->period_ns;
    p->next_mono_ns = p->origin_mono_ns + (p->index + 1) * p->period_ns;
}

void meter_watch_more(struct meter *m)
{
    size_t n = m->n;
    const struct meter_channel **list CLEANUP(base_freep) =
        base_alloc((n + 1) * sizeof(struct meter_channel *));
    int64_t *paces CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(*paces));
    for (size_t i = 0; i < n; i++) {
        list[i] = &m->slots[i].pub;
        paces[i] = meter_group_period_ns(m, m->slots[i].pub.group);
    }
    watch_more(m->watch, list, paces, n);
    m->paired = n;
}

/* About once per second: what is not worth doing at each sweep. */
static void look_around(struct meter *m, int64_t mono_ns)
{
    if (m->paired != m->n) {
        meter_watch_more(m);
    }
    atomic_store_explicit(&m->cost_sampler_ns, meter_thread_cpu_ns(), memory_order_relaxed);
    if (m->away_moved) {
        m->away_moved = false;
        pthread_mutex_lock(&m->lock);
        m->probe_look = true;
        pthread_cond_signal(&m->probe_wake);
        pthread_mutex_unlock(&m->lock);
    }
    notify(m, mono_ns);
}

static void serve_paces(struct meter *m, int64_t mono_ns)
{
    for (uint32_t i = 0; i < m->npaces; i++) {
        struct meter_pace *p = &m->paces[i];
        if (p->own) {
            sweep_own(m, i, mono_ns);
        } else if (mono_ns >= p->next_mono_ns) {
            advance(p, mono_ns);
            if (!is_empty(m, i)) {
                sweep_grid(m, i);
            }
        }
    }
    if (mono_ns - m->notified_mono_ns >= NOTIFY_NS) {
        look_around(m, mono_ns);
    }
}

static void serve_edge(struct meter *m, const struct request *r)
{
    struct sweep w = {.ticket = r->ticket};
    look_for_suspend(m, &m->paces[0], &w);
    read_pace(m, 0, &w);
    if (!push(m, 0, &w)) {
        struct request again = *r;
        again.due_mono_ns = clock_mono_ns() + RETRY_EDGE_NS;
        pthread_mutex_lock(&m->lock);
        m->requests[m->nrequests++] = again; /* one place more than meter_sweep fills */
        pthread_mutex_unlock(&m->lock);
        return;
    }
    notify(m, clock_mono_ns());
    if (r->done) {
        r->done(r->arg, r->ticket);
    }
}

/* Under the lock: the earliest request that is due leaves the list. */
static bool take_request(struct meter *m, int64_t mono_ns, struct request *out)
{
    size_t first = m->nrequests;
    for (size_t i = 0; i < m->nrequests; i++) {
        if (m->requests[i].due_mono_ns <= mono_ns &&
            (first == m->nrequests || m->requests[i].ticket < m->requests[first].ticket)) {
            first = i;
        }
    }
    if (first == m->nrequests) {
        return false;
    }
    *out = m->requests[first];
    m->requests[first] = m->requests[--m->nrequests];
    return true;
}

/* Under the lock: when something has to happen next. A worker's answers are fetched at the fast pace. */
static int64_t next_deadline(const struct meter *m)
{
    int64_t next = m->paces[0].next_mono_ns;
    for (size_t i = 1; i < m->npaces; i++) {
        if (!m->paces[i].own && m->paces[i].next_mono_ns < next) {
            next = m->paces[i].next_mono_ns;
        }
    }
    for (size_t i = 0; i < m->nrequests; i++) {
        if (m->requests[i].due_mono_ns < next) {
            next = m->requests[i].due_mono_ns;
        }
    }
    return next;
}

static void start_grids(struct meter *m, size_t first)
{
    int64_t now = clock_mono_ns();
    for (size_t i = first; i < m->npaces; i++) {
        m->paces[i].origin_mono_ns = now;
        m->paces[i].next_mono_ns = now;
        m->paces[i].stale_mono_ns = now + METER_STALE_NS;
    }
}

/* Under the lock, between two sweeps: what the prober found takes its place; what it replaces is handed
 * back. No memory is taken. */
static void take_change(struct meter *m)
{
    struct meter_change *c = m->change;
    size_t paces = m->npaces;
    m->nsources = c->nsources;
    m->npaces = c->npaces;
    for (size_t i = 0; i < c->nswaps; i++) {
        struct meter_source old = m->sources[c->swaps[i].source];
        m->sources[c->swaps[i].source] = c->swaps[i].now;
        c->swaps[i].now = old;
    }
    for (size_t i = 0; i < c->nmoves; i++) {
        struct channel_slot *slot = &m->slots[c->moves[i].channel];
        slot->source = c->moves[i].source;
        slot->at = c->moves[i].at;
    }
    start_grids(m, paces);
    m->ngroups = c->ngroups;
    m->found = c->found;
    m->change = NULL;
    pthread_cond_signal(&m->probe_wake);
    if (c->found > m->n) {
        m->notified_mono_ns = 0; /* the storage thread has channels to take in */
    }
}

void *meter_run(void *meter)
{
    struct meter *m = meter;
    (void)prctl(PR_SET_NAME, "meter");
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    start_grids(m, 0);
    m->cost_since_ns = clock_boot_ns();
    m->notified_mono_ns = clock_mono_ns();
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        if (m->change) {
            take_change(m);
        }
        int64_t now = clock_mono_ns();
        int64_t next = next_deadline(m);
        struct request r;
        if (take_request(m, now, &r)) {
            pthread_mutex_unlock(&m->lock);
            serve_edge(m, &r);
            pthread_mutex_lock(&m->lock);
        } else if (now >= next) {
            pthread_mutex_unlock(&m->lock);
            serve_paces(m, now);
            pthread_mutex_lock(&m->lock);
        } else {
            struct timespec deadline = {.tv_sec = next / NS_PER_S,
                                        .tv_nsec = (long)(next % NS_PER_S)};
            (void)pthread_cond_timedwait(&m->wake, &m->lock, &deadline);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}
