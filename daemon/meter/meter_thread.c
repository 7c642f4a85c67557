/* The sampler: sweeps groups on their grids and at edges, fills ticks. */
#include "daemon/meter/meter_internal.h"

#include "common/units.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define NOTIFY_NS     NS_PER_S
#define RETRY_EDGE_NS NS_PER_MS /* the ring was full: the edge is taken again */
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

/* A source that was moved to a worker while running: its newest answer, while that is young enough. */
static void read_moved(struct meter_source *s, int64_t now_ns)
{
    struct worker_stamps stamps;
    if (worker_take(s->worker, &s->taken_seq, s->readings, &stamps)) {
        s->read_ns = stamps.after_ns;
    } else if (now_ns - s->read_ns > METER_STALE_NS) {
        all_stale(s);
    }
}

/* Edges are read whatever the source's rest; on the grid half a period of jitter is forgiven. */
static bool rests(const struct meter *m, const struct meter_source *s, const struct sweep *w)
{
    int64_t slack = m->groups[s->group].period_ns / 2;
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
        s->worker = worker_start(s, m->groups[s->group].period_ns, NULL);
        s->slow_reads = 0;
        s->read_ns = w->before_ns;
    }
}

static void read_group(struct meter *m, uint32_t group, struct sweep *w)
{
    w->before_ns = clock_boot_ns();
    for (size_t i = 0; i < m->nsources; i++) {
        struct meter_source *s = &m->sources[i];
        if (s->group == group && s->worker) {
            read_moved(s, w->before_ns);
        } else if (s->group == group) {
            read_here(m, s, w);
        }
    }
    w->after_ns = clock_boot_ns();
}

/* ---- filling ticks ----------------------------------------------------------------------------- */

static struct reading reading_of(const struct meter *m, const struct channel_slot *c)
{
    const struct meter_source *s = &m->sources[c->source];
    return s->readings[(size_t)(c - m->slots) - s->first];
}

/* Every reading goes through its lane, whether there is room for the tick or not: the curves go on. */
static void fill(struct meter *m, const struct meter_group *g, const struct sweep *w,
                 struct tick *t)
{
    int64_t at = middle(w->before_ns, w->after_ns);
    for (uint32_t i = 0; i < g->n; i++) {
        struct channel_slot *c = &m->slots[g->channels[i]];
        struct lane_value v = lane_take(&c->lane, reading_of(m, c), at, w->resumed);
        if (v.state != READING_OK) {
            c->window_whole = false;
        }
        if (t) {
            tick_values(t)[i] = v.value;
            tick_raws(t)[i] = v.raw;
            tick_states(t)[i] = v.state;
        }
    }
}

static bool push(struct meter *m, uint32_t group, const struct sweep *w)
{
    struct meter_group *g = &m->groups[group];
    struct tick *t = ring_reserve(m->ring, g->n);
    fill(m, g, w, t);
    if (!t) {
        return false;
    }
    t->group = group;
    t->flags = (w->ticket ? TICK_EDGE : 0) | (g->started ? 0 : TICK_FIRST);
    t->index = g->index;
    t->before_ns = w->before_ns;
    t->after_ns = w->after_ns;
    t->suspend_ns = w->suspend_ns;
    t->ticket = w->ticket;
    g->started = true;
    ring_push(m->ring);
    return true;
}

/* The smaller of two tries: being preempted between the two clocks looks like a sleep. */
static int64_t slept_ns(void)
{
    int64_t a = clock_boot_ns() - clock_mono_ns();
    int64_t b = clock_boot_ns() - clock_mono_ns();
    return a > b ? a : b; /* monotonic is read second: a delay makes the difference smaller */
}

/* resumed is per group: each one must hear of a sleep once. */
static void look_for_suspend(struct meter_group *g, struct sweep *w)
{
    w->suspend_ns = slept_ns();
    w->resumed = g->started && w->suspend_ns - g->suspend_ns > SUSPENDED_NS;
    g->suspend_ns = w->suspend_ns;
}

static void sweep_grid(struct meter *m, uint32_t group)
{
    struct meter_group *g = &m->groups[group];
    struct sweep w = {0};
    look_for_suspend(g, &w);
    read_group(m, group, &w);
    (void)push(m, group, &w); /* a full ring has counted the loss */
    if (group == 0) {
        meter_watch_sweep(m);
    }
}

/* An answer of a blocking source, with its own stamps; or, once per second, that there is none. */
static void sweep_own(struct meter *m, uint32_t group, int64_t mono_ns)
{
    struct meter_group *g = &m->groups[group];
    struct meter_source *s = g->own;
    struct worker_stamps stamps;
    struct sweep w = {0};
    look_for_suspend(g, &w);
    if (worker_take(s->worker, &s->taken_seq, s->readings, &stamps)) {
        w.before_ns = stamps.before_ns;
        w.after_ns = stamps.after_ns;
        g->index = stamps.index;
        g->stale_mono_ns = mono_ns + METER_STALE_NS;
    } else if (mono_ns >= g->stale_mono_ns) {
        all_stale(s);
        w.before_ns = w.after_ns = clock_boot_ns();
        g->stale_mono_ns = mono_ns + NS_PER_S;
    } else {
        return;
    }
    (void)push(m, group, &w);
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
static void advance(struct meter_group *g, int64_t mono_ns)
{
    g->index = (mono_ns - g->origin_mono_ns) / g->period_ns;
    g->next_mono_ns = g->origin_mono_ns + (g->index + 1) * g->period_ns;
}

static void serve_groups(struct meter *m, int64_t mono_ns)
{
    for (uint32_t i = 0; i < m->ngroups; i++) {
        struct meter_group *g = &m->groups[i];
        if (g->own) {
            sweep_own(m, i, mono_ns);
        } else if (g->n > 0 && mono_ns >= g->next_mono_ns) {
            advance(g, mono_ns);
            sweep_grid(m, i);
        } else if (mono_ns >= g->next_mono_ns) {
            advance(g, mono_ns);
        }
    }
    if (mono_ns - m->notified_mono_ns >= NOTIFY_NS) {
        meter_watch(m, mono_ns);
        notify(m, mono_ns);
    }
}

static void serve_edge(struct meter *m, const struct request *r)
{
    struct meter_group *g = &m->groups[0];
    struct sweep w = {.ticket = r->ticket};
    look_for_suspend(g, &w);
    read_group(m, 0, &w);
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
    int64_t next = m->groups[0].next_mono_ns;
    for (size_t i = 1; i < m->ngroups; i++) {
        if (!m->groups[i].own && m->groups[i].next_mono_ns < next) {
            next = m->groups[i].next_mono_ns;
        }
    }
    for (size_t i = 0; i < m->nrequests; i++) {
        if (m->requests[i].due_mono_ns < next) {
            next = m->requests[i].due_mono_ns;
        }
    }
    return next;
}

static void start_grids(struct meter *m)
{
    int64_t now = clock_mono_ns();
    for (size_t i = 0; i < m->ngroups; i++) {
        m->groups[i].origin_mono_ns = now;
        m->groups[i].next_mono_ns = now;
        m->groups[i].stale_mono_ns = now + METER_STALE_NS;
    }
    m->notified_mono_ns = now;
}

void *meter_run(void *meter)
{
    struct meter *m = meter;
    (void)prctl(PR_SET_NAME, "meter");
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    start_grids(m);
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        int64_t now = clock_mono_ns();
        int64_t next = next_deadline(m);
        struct request r;
        if (take_request(m, now, &r)) {
            pthread_mutex_unlock(&m->lock);
            serve_edge(m, &r);
            pthread_mutex_lock(&m->lock);
        } else if (now >= next) {
            pthread_mutex_unlock(&m->lock);
            serve_groups(m, now);
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
