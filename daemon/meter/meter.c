#include "daemon/meter/meter_internal.h"

#include "common/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_NS      (100 * NS_PER_MS)
#define SLOW_PERIOD_NS NS_PER_S
#define OWN_PERIOD_NS  (100 * NS_PER_MS) /* vendor libraries refresh no faster */
#define SETTLE_MAX_NS  (2 * NS_PER_MS)
#define RING_SPAN_NS   (10 * NS_PER_S) /* the storage thread may be away for this long */
#define RING_MIN_BYTES ((size_t)256 << 10)
#define RING_MAX_BYTES ((size_t)16 << 20)
#define USABLE_NS      (10 * NS_PER_S)

/* ---- groups ------------------------------------------------------------------------------------ */

int64_t meter_pace_ns(const struct meter_config *cfg, const struct source_ops *ops, bool blocks)
{
    int64_t fast = cfg->period_ns > 0 ? cfg->period_ns : PERIOD_NS;
    if (ops->slow) {
        return SLOW_PERIOD_NS;
    }
    return blocks && fast < OWN_PERIOD_NS ? OWN_PERIOD_NS : fast;
}

/* A pace and the group of its first channels. */
static uint32_t add_pace(struct meter *m, int64_t period_ns, bool own)
{
    m->paces[m->npaces] = (struct meter_pace){.period_ns = period_ns, .own = own};
    struct meter_group *g = &m->groups[m->ngroups++];
    g->pace = (uint32_t)m->npaces;
    g->channels = base_alloc(m->n * sizeof(*g->channels) + 1);
    return (uint32_t)m->npaces++;
}

struct channel_slot *meter_put_channel(struct meter *m, size_t i, const struct channel_desc *d,
                                       size_t source, size_t at, uint32_t group, struct reading r)
{
    struct channel_slot *c = &m->slots[i];
    struct meter_group *g = &m->groups[group];
    c->pub.desc = *d;
    c->pub.source = m->sources[source].ops->name;
    c->source = source;
    c->at = at;
    c->pub.group = group;
    c->pub.slot = g->n;
    g->channels[g->n++] = (uint32_t)i;
    lane_init(&c->lane, &c->pub.desc, m->paces[g->pace].period_ns);
    lane_seen(&c->lane, r, clock_boot_ns());
    return c;
}

/* One group per pace, under the same number, as long as nothing has come later. */
static void form_groups(struct meter *m, const struct meter_config *cfg)
{
    static const struct source_ops any = {.name = ""};
    uint32_t fast = add_pace(m, meter_pace_ns(cfg, &any, false), false);
    uint32_t slow = fast;
    for (size_t i = 0; i < m->nsources; i++) {
        struct meter_source *s = &m->sources[i];
        int64_t period_ns = meter_pace_ns(cfg, s->ops, s->blocks);
        if (s->blocks) {
            s->pace = add_pace(m, period_ns, true);
        } else if (s->ops->slow) {
            slow = slow == fast ? add_pace(m, period_ns, false) : slow;
            s->pace = slow;
        } else {
            s->pace = fast;
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        const struct channel_slot *c = &m->slots[i];
        const struct meter_source *s = &m->sources[c->source];
        struct channel_desc d = c->pub.desc;
        (void)meter_put_channel(m, i, &d, c->source, c->at, s->pace, s->readings[c->at]);
    }
}

static void start_watch(struct meter *m)
{
    m->watch = watch_new(METER_CHANNELS_MAX);
    meter_watch_more(m);
}

static size_t ring_bytes(const struct meter *m)
{
    size_t bytes = RING_MIN_BYTES;
    for (size_t i = 0; i < m->ngroups; i++) {
        const struct meter_group *g = &m->groups[i];
        size_t ticks = (size_t)(RING_SPAN_NS / m->paces[g->pace].period_ns) + 1;
        bytes += ticks * (tick_bytes(g->n) + 16);
    }
    return bytes < RING_MAX_BYTES ? bytes : RING_MAX_BYTES;
}

static void init_conds(struct meter *m)
{
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_cond_init(&m->probe_wake, &attr);
    pthread_condattr_destroy(&attr);
}

int meter_open(struct meter **out, const struct meter_config *cfg, struct err *e)
{
    struct meter *m = base_alloc(sizeof(*m));
    m->slots = base_alloc(METER_CHANNELS_MAX * sizeof(*m->slots));
    m->sources = base_alloc(METER_SOURCES_MAX * sizeof(*m->sources));
    m->groups = base_alloc(METER_GROUPS_MAX * sizeof(*m->groups));
    m->paces = base_alloc(METER_PACES_MAX * sizeof(*m->paces));
    m->cfg = *cfg;
    m->slept_ns = cfg->slept_ns;
    init_conds(m);
    int rc = meter_find_first(m, e);
    if (rc < 0) {
        meter_close(m);
        return rc;
    }
    form_groups(m, cfg);
    m->found = (size_t)m->n;
    start_watch(m);
    m->ring = ring_new(ring_bytes(m));
    *out = m;
    return 0;
}

void meter_close(struct meter *m)
{
    if (!m) {
        return;
    }
    meter_stop(m);
    meter_leave_jobs(m);
    for (size_t i = 0; i < m->nsources; i++) {
        if (!m->sources[i].abandoned && m->sources[i].source) {
            m->sources[i].ops->close(m->sources[i].source);
        }
        free(m->sources[i].readings);
    }
    for (size_t i = 0; i < METER_GROUPS_MAX; i++) {
        free(m->groups[i].channels);
    }
    pthread_cond_destroy(&m->probe_wake);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    ring_free(m->ring);
    watch_free(m->watch);
    free(m->groups);
    free(m->paces);
    free(m->sources);
    free(m->slots);
    free(m);
}

/* ---- running ----------------------------------------------------------------------------------- */

void meter_set_base(struct meter *m, size_t i, int64_t id, int64_t e0, int64_t raw0, bool raw_known)
{
    m->slots[i].pub.id = id;
    lane_base(&m->slots[i].lane, e0, raw0, raw_known);
}

static int start_workers(struct meter *m, struct err *e)
{
    for (size_t i = 0; i < m->nsources; i++) {
        struct meter_source *s = &m->sources[i];
        if (s->blocks) {
            s->worker = worker_start(s, m->paces[s->pace].period_ns, e);
            if (!s->worker) {
                return e ? e->code : WATTQ_E_IO;
            }
        }
    }
    return 0;
}

static void stop_workers(struct meter *m)
{
    for (size_t i = 0; i < m->nsources; i++) {
        struct meter_source *s = &m->sources[i];
        if (s->worker) {
            s->abandoned = !worker_stop(s->worker);
            s->worker = NULL;
        }
    }
}

int meter_start(struct meter *m, void (*notify)(void *arg), void *arg, struct err *e)
{
    m->notify = notify;
    m->notify_arg = arg;
    int rc = start_workers(m, e);
    if (rc < 0) {
        stop_workers(m);
        return rc;
    }
    rc = pthread_create(&m->thread, NULL, meter_run, m);
    if (rc != 0) {
        errno = rc;
        stop_workers(m);
        return err_errno(e, WATTQ_E_IO, "cannot start the sampling thread");
    }
    m->running = true;
    if (m->cfg.reprobe_ns > 0) {
        rc = prober_start(&m->prober, m, &m->cfg, e);
    }
    if (rc < 0) {
        meter_stop(m);
    }
    return rc < 0 ? rc : 0;
}

void meter_stop(struct meter *m)
{
    if (!m->running) {
        return;
    }
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_cond_signal(&m->probe_wake);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    m->running = false;
    prober_stop(m->prober);
    m->prober = NULL;
    stop_workers(m);
}

int64_t meter_sweep(struct meter *m, int64_t at_boot_ns, void (*done)(void *arg, int64_t ticket),
                    void *arg)
{
    int64_t now = clock_mono_ns();
    int64_t wait = at_boot_ns > 0 ? at_boot_ns - clock_boot_ns() : 0;
    int64_t ticket = 0;
    pthread_mutex_lock(&m->lock);
    if (m->nrequests < METER_REQUESTS_MAX) {
        ticket = ++m->last_ticket;
        m->requests[m->nrequests++] = (struct request){
            .ticket = ticket,
            .due_mono_ns = now + (wait > 0 ? wait : 0) + TICK_UNIT_MAX_NS,
            .done = done,
            .arg = arg,
        };
        pthread_cond_signal(&m->wake);
    }
    pthread_mutex_unlock(&m->lock);
    return ticket;
}

/* ---- questions --------------------------------------------------------------------------------- */

size_t meter_count(const struct meter *m)
{
    return m->n;
}

size_t meter_found(const struct meter *m)
{
    return m->found;
}

void meter_accept(struct meter *m, size_t n)
{
    m->n = n; /* the sampler sees ids and bases of what it starts to sample */
}

const struct meter_channel *meter_channel(const struct meter *m, size_t i)
{
    return &m->slots[i].pub;
}

size_t meter_groups(const struct meter *m)
{
    return m->ngroups;
}

int64_t meter_group_period_ns(const struct meter *m, size_t group)
{
    return m->paces[m->groups[group].pace].period_ns;
}

struct ring *meter_ring(struct meter *m)
{
    return m->ring;
}

int64_t meter_settle_ns(const struct meter *m)
{
    int64_t settle = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct channel_desc *d = &m->slots[i].pub.desc;
        int64_t refresh = d->period_ns + d->lag_ns;
        if (m->groups[m->slots[i].pub.group].pace == 0 && d->kind == CHANNEL_COUNTER &&
            refresh <= SETTLE_MAX_NS && refresh > settle) {
            settle = refresh;
        }
    }
    return settle;
}

void meter_get_cost(const struct meter *m, struct meter_cost *out)
{
    *out = (struct meter_cost){.since_ns = m->cost_since_ns,
                               .cpu_ns = m->cost_sampler_ns + m->cost_workers_ns,
                               .readings = m->cost_readings};
}

void meter_get_status(const struct meter *m, size_t i, struct meter_status *out)
{
    lane_status(&m->slots[i].lane, out);
    watch_get(m->watch, i, &out->opinion, &out->lag_learned_ns, &out->lag_events);
}

void meter_set_opinion(struct meter *m, size_t i, const struct meter_opinion *o)
{
    watch_set(m->watch, i, o);
}

static bool is_energy(const struct channel_desc *d)
{
    return d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
}

void meter_views(const struct meter *m, struct meter_view *views, size_t n)
{
    int64_t now = clock_boot_ns();
    for (size_t i = 0; i < n; i++) {
        const struct channel_desc *d = &m->slots[i].pub.desc;
        struct meter_status s;
        meter_get_status(m, i, &s);
        enum meter_doubt doubt = s.opinion.doubt;
        bool mirror = doubt == METER_DOUBT_MIRROR;
        int64_t age = 3 * d->period_ns > USABLE_NS ? 3 * d->period_ns : USABLE_NS;
        views[i] = (struct meter_view){
            .usable = is_energy(d) && s.state == READING_OK && s.last_ns != 0 &&
                      now - s.last_ns <= age && (mirror || !meter_doubt_excludes(doubt)),
            .demoted = doubt != METER_DOUBT_NONE && !meter_doubt_excludes(doubt),
            .mirror = mirror ? s.opinion.about : -1,
        };
    }
}
