#include "daemon/api/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/coarse.h"
#include "daemon/store/storage.h"

/* Everybody with the same interval, who may see the same, shares a timer and the encoded frame. */
struct pace {
    uv_timer_t timer;
    struct streams *owner;
    struct pace *next;
    int64_t interval_ns;
    struct rights
        as; /* of nobody in particular: runs of a peer's own are as those of others here */
    size_t users;
};

enum sub_kind { SUB_POWER, SUB_WATCH, SUB_WAIT };

struct sub {
    struct sub *prev, *next;
    struct peer *peer;
    int64_t id; /* of the request */
    enum sub_kind kind;
    struct pace *pace; /* SUB_POWER */
    int64_t *runs;     /* sorted; NULL = no condition */
    size_t n;
    int64_t sweep;
    enum stream_until until; /* SUB_WAIT */
    size_t remaining;
};

struct streams {
    struct streams_config cfg;
    struct sub *subs;
    size_t nsubs;
    struct pace *paces;
    struct wire_out frame; /* scratch, one frame at a time */
    size_t handles;        /* timers not closed yet */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct streams *streams_new(const struct streams_config *cfg)
{
    struct streams *s = base_alloc(sizeof(*s));
    s->cfg = *cfg;
    return s;
}

size_t stream_subscribers(const struct streams *s)
{
    return s->nsubs;
}

/* ---- live power -------------------------------------------------------------------------------- */

static bool carries_power(const struct channel_desc *d)
{
    return d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
}

static void put_channel(struct wire_out *o, const struct meter_channel *ch,
                        const struct meter_status *st, bool in_total)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", ch->id);
    wire_put_str(o, "label", ch->desc.label);
    if (!carries_power(&ch->desc))
        wire_put_nil(o, "power_uw");
    else if (st->state == READING_OK && st->power_uw >= 0)
        wire_put_int(o, "power_uw", st->power_uw);
    else {
        wire_put_nil(o, "power_uw");
        wire_put_str(o, "reason",
                     st->state == READING_OK ? "not enough readings yet"
                                             : reading_state_text(st->state));
    }
    if (st->last_ns)
        wire_put_int(o, "value", st->last_value);
    else
        wire_put_nil(o, "value");
    wire_put_str(o, "unit", ch->desc.unit);
    wire_put_str(o, "quality", channel_quality_name(ch->desc.quality));
    wire_put_bool(o, "in_total", in_total);
    wire_end(o);
}

/* What stands in the frame's "channels": taken once, because the antichain needs all states first. */
struct snapshot {
    size_t n;
    const struct meter_channel **channels;
    struct meter_status *status;
    struct meter_view *views;
    uint8_t *in_total;
};

static void snapshot_take(struct snapshot *v, const struct streams *s, const struct rights *as)
{
    struct meter *m = s->cfg.meter;
    v->n = meter_count(m);
    v->channels = base_alloc(v->n * sizeof(const struct meter_channel *));
    v->status = base_alloc(v->n * sizeof(*v->status));
    v->views = base_alloc((v->n + 1) * sizeof(*v->views));
    v->in_total = base_alloc(v->n);
    for (size_t i = 0; i < v->n; i++) {
        v->channels[i] = meter_channel(m, i);
        glance_status(s->cfg.glance, i, as, &v->status[i]);
    }
    meter_views(m, v->views, v->n);
    (void)meter_antichain(v->channels, v->n, v->views, v->in_total);
}

static void snapshot_fini(struct snapshot *v)
{
    free(v->channels);
    free(v->status);
    free(v->views);
    free(v->in_total);
}

struct live {
    struct streams *s;
    const struct rights *as;
};

static int put_live_run(void *arg, const struct queue_run *r)
{
    const struct live *x = arg;
    struct streams *s = x->s;
    enum run_state state = r->row->state;
    if (state == RUN_RUNNING || state == RUN_PAUSED || state == RUN_STOPPING)
        s->cfg.put_run(s->cfg.arg, &s->frame, NULL, r, x->as);
    return 0;
}

static void put_health(struct wire_out *o, struct storage *storage, const struct rights *as)
{
    struct storage_status st = {0};
    if (storage)
        storage_get_status(storage, &st);
    wire_put_str(o, "degraded", health_words(&st.health, as->details));
}

static void encode_power(struct streams *s, const struct rights *as)
{
    struct live live = {s, as};
    struct snapshot v CLEANUP(snapshot_fini) = {0};
    struct wire_out *o = &s->frame;
    snapshot_take(&v, s, as);
    wire_out_reset(o);
    wire_put_bool(o, "ok", true);
    wire_put_bool(o, "more", true);
    wire_put_int(o, "t_ns", clock_boot_ns());
    wire_put_int(o, "t_utc_ns", clock_utc_ns());
    put_health(o, s->cfg.storage, as);
    wire_begin_array(o, "channels");
    for (size_t i = 0; i < v.n; i++)
        if (v.channels[i]->desc.kind != CHANNEL_CPU_TIME)
            put_channel(o, v.channels[i], &v.status[i], v.in_total[i]);
    wire_end(o);
    wire_begin_array(o, "runs");
    s->cfg.visit_runs(s->cfg.arg, put_live_run, &live);
    wire_end(o);
}

/* Tell one subscriber of an interval (only), or all of them (only = NULL). */
static void send_power(struct streams *s, const struct pace *pace, const struct sub *only)
{
    encode_power(s, &pace->as);
    if (wire_out_finish(&s->frame, NULL) < 0)
        return; /* more channels than fit into a megabyte: nothing that could be shown */
    for (const struct sub *b = s->subs; b; b = b->next)
        if (b->kind == SUB_POWER && b->pace == pace && (!only || b == only))
            peer_stream_tagged(b->peer, b->id, &s->frame);
}

static void stream_on_timer(uv_timer_t *timer)
{
    const struct pace *pace = container_of(timer, struct pace, timer);
    send_power(pace->owner, pace, NULL);
}

static struct pace *take_pace(struct streams *s, int64_t interval_ns, const struct rights *of)
{
    const struct rights as = {.uid = -1, .admitted = true, .details = of->details, .raw = of->raw};
    struct pace *p = s->paces;
    while (p &&
           (p->interval_ns != interval_ns || p->as.details != as.details || p->as.raw != as.raw))
        p = p->next;
    if (!p) {
        uint64_t ms = (uint64_t)(interval_ns / NS_PER_MS);
        p = base_alloc(sizeof(*p));
        p->owner = s;
        p->interval_ns = interval_ns;
        p->as = as;
        p->next = s->paces;
        s->paces = p;
        uv_timer_init(s->cfg.loop, &p->timer);
        s->handles++;
        uv_timer_start(&p->timer, stream_on_timer, ms, ms);
    }
    p->users++;
    return p;
}

static void finish_close(struct streams *s)
{
    if (!s->closing || s->handles > 0)
        return;
    void (*closed)(void *arg) = s->closed;
    void *arg = s->closed_arg;
    wire_out_free(&s->frame);
    free(s);
    if (closed)
        closed(arg);
}

static void stream_on_pace_closed(uv_handle_t *handle)
{
    struct pace *p = container_of((uv_timer_t *)handle, struct pace, timer);
    struct streams *s = p->owner;
    free(p);
    s->handles--;
    finish_close(s);
}

static void drop_pace(struct streams *s, struct pace *p)
{
    if (!p || --p->users > 0)
        return;
    struct pace **at = &s->paces;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    uv_close((uv_handle_t *)&p->timer, stream_on_pace_closed);
}

/* ---- subscriptions ----------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static struct sub *add_sub(struct streams *s, struct peer *p, int64_t id, enum sub_kind kind,
                           struct err *e)
{
    size_t own = 0;
    for (const struct sub *b = s->subs; b; b = b->next)
        own += b->peer == p;
    if (own >= STREAM_PER_PEER || s->closing) {
        err_set(e, WATTQ_E_LIMIT, "this connection follows %zu things already", own);
        err_next(e, "close it and open another");
        return NULL;
    }
    struct sub *b = base_alloc(sizeof(*b));
    *b = (struct sub){.next = s->subs, .peer = p, .id = id, .kind = kind, .sweep = RUN_NONE};
    if (b->next)
        b->next->prev = b;
    s->subs = b;
    s->nsubs++;
    return b;
}

static void drop_sub(struct streams *s, struct sub *b)
{
    if (b->prev)
        b->prev->next = b->next;
    else
        s->subs = b->next;
    if (b->next)
        b->next->prev = b->prev;
    s->nsubs--;
    drop_pace(s, b->pace);
    free(b->runs);
    free(b);
}

int stream_power_subscribe(struct streams *s, struct peer *p, int64_t id, int64_t interval_ns,
                           struct err *e)
{
    if (interval_ns < STREAM_INTERVAL_MIN_NS) {
        err_set(e, WATTQ_E_USAGE, "an interval of %" PRId64 " ms is too short",
                interval_ns / NS_PER_MS);
        return err_next(e, "ask for 100ms or more; `wattq power --since` shows every sample");
    }
    if (interval_ns > STREAM_INTERVAL_MAX_NS)
        interval_ns = STREAM_INTERVAL_MAX_NS;
    /* Whole steps keep the number of different timers small. */
    const struct rights *as = peer_rights(p);
    int64_t step_ns = as->raw ? STREAM_INTERVAL_MIN_NS : COARSE_NS;
    interval_ns += step_ns - 1;
    interval_ns -= interval_ns % step_ns;
    struct sub *b = add_sub(s, p, id, SUB_POWER, e);
    if (!b)
        return WATTQ_E_LIMIT;
    b->pace = take_pace(s, interval_ns, as);
    send_power(s, b->pace, b);
    return 0;
}

static int add_filtered(struct streams *s, struct sub **out, const struct sub *like,
                        const struct stream_filter *f, struct err *e)
{
    if (f->n > STREAM_RUNS_MAX) {
        err_set(e, WATTQ_E_LIMIT, "%zu runs are named, at most %d are followed", f->n,
                STREAM_RUNS_MAX);
        return err_next(e, "name their sweep, or follow all runs");
    }
    struct sub *b = add_sub(s, like->peer, like->id, like->kind, e);
    if (!b)
        return WATTQ_E_LIMIT;
    b->sweep = f->sweep;
    if (f->n > 0) {
        b->n = f->n;
        b->runs = base_alloc(f->n * sizeof(*b->runs));
        memcpy(b->runs, f->runs, f->n * sizeof(*b->runs));
        qsort(b->runs, b->n, sizeof(*b->runs), compare_ids);
    }
    *out = b;
    return 0;
}

int stream_watch_subscribe(struct streams *s, struct peer *p, int64_t id,
                           const struct stream_filter *f, struct err *e)
{
    struct sub *b = NULL;
    return add_filtered(s, &b, &(struct sub){.peer = p, .id = id, .kind = SUB_WATCH}, f, e);
}

int stream_wait_subscribe(struct streams *s, struct peer *p, int64_t id,
                          const struct stream_filter *f, enum stream_until until, size_t remaining,
                          struct err *e)
{
    struct sub *b = NULL;
    assert(remaining > 0);
    int rc = add_filtered(s, &b, &(struct sub){.peer = p, .id = id, .kind = SUB_WAIT}, f, e);
    if (rc < 0 || !b)
        return rc;
    b->until = until;
    b->remaining = remaining;
    return 0;
}

void stream_drop_peer(struct streams *s, struct peer *p)
{
    for (struct sub *b = s->subs, *next; b; b = next) {
        next = b->next;
        if (b->peer == p)
            drop_sub(s, b);
    }
}

void streams_close(struct streams *s, void (*closed)(void *arg), void *arg)
{
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    while (s->subs)
        drop_sub(s, s->subs);
    finish_close(s);
}

/* ---- run changes ------------------------------------------------------------------------------- */

static int64_t *find_run(const struct sub *b, int64_t run)
{
    return b->n ? bsearch(&run, b->runs, b->n, sizeof(*b->runs), compare_ids) : NULL;
}

static bool matches(const struct sub *b, const struct run_row *row)
{
    if (b->kind == SUB_POWER)
        return false;
    if (b->sweep != RUN_NONE && row->sweep != b->sweep)
        return false;
    return !b->runs || find_run(b, row->id);
}

static bool was_started(enum run_state s)
{
    return s == RUN_RUNNING || s == RUN_PAUSED || s == RUN_STOPPING;
}

/* Did this move bring the run to where the waiter wants it, for the first time? */
static bool arrived(const struct sub *b, enum run_state from, enum run_state to)
{
    if (run_state_ended(from))
        return false; /* the call with the final figures, when the end itself was told before */
    if (run_state_ended(to))
        return b->until == STREAM_UNTIL_ENDED || !was_started(from);
    return b->until == STREAM_UNTIL_STARTED && was_started(to) && !was_started(from);
}

/* Each listed run is answered once. */
static void forget_run(struct sub *b, int64_t run)
{
    int64_t *at = find_run(b, run);
    if (!at)
        return;
    size_t behind = b->n - (size_t)(at - b->runs) - 1;
    memmove(at, at + 1, behind * sizeof(*at));
    b->n--;
}

static void send_wait(struct streams *s, struct sub *b, const struct queue_run *r)
{
    struct wire_out *o = &s->frame;
    b->remaining--;
    forget_run(b, r->row->id);
    wire_out_reset(o);
    wire_put_int(o, "id", b->id);
    wire_put_bool(o, "ok", true);
    wire_put_bool(o, "more", b->remaining > 0);
    s->cfg.put_run(s->cfg.arg, o, "run", r, peer_rights(b->peer));
    peer_send(b->peer, o);
    if (b->remaining == 0)
        drop_sub(s, b);
}

/* What a subscriber may see of that run, so that those who may see the same share a frame: 0 to 3. */
static unsigned sight(const struct sub *b, const struct run_row *row)
{
    const struct rights *as = peer_rights(b->peer);
    return (rights_may_see(as, row->uid) ? 1U : 0U) | (as->raw ? 2U : 0U);
}

static void send_watch(struct streams *s, const struct queue_run *r, enum run_state from,
                       unsigned seen)
{
    struct wire_out *o = &s->frame;
    const struct rights as = {
        .uid = -1, .admitted = true, .details = (seen & 1) != 0, .raw = (seen & 2) != 0};
    wire_out_reset(o);
    wire_put_bool(o, "ok", true);
    wire_put_bool(o, "more", true);
    wire_put_str(o, "from", run_state_name(from));
    s->cfg.put_run(s->cfg.arg, o, "run", r, &as);
    if (wire_out_finish(o, NULL) < 0)
        return; /* a summary is bounded far below a frame */
    for (const struct sub *b = s->subs; b; b = b->next)
        if (b->kind == SUB_WATCH && matches(b, r->row) && sight(b, r->row) == seen)
            peer_stream_tagged(b->peer, b->id, o);
}

/* Bit n: somebody of sight n watches it. */
static unsigned watched(const struct streams *s, const struct run_row *row)
{
    unsigned by = 0;
    for (const struct sub *b = s->subs; b; b = b->next)
        if (b->kind == SUB_WATCH && matches(b, row))
            by |= 1U << sight(b, row);
    return by;
}

void stream_on_change(struct streams *s, const struct queue_run *r, enum run_state from)
{
    unsigned by = watched(s, r->row);
    for (unsigned seen = 0; seen < 4; seen++)
        if (by & (1U << seen))
            send_watch(s, r, from, seen);
    for (struct sub *b = s->subs, *next; b; b = next) {
        next = b->next;
        if (b->kind == SUB_WAIT && matches(b, r->row) && arrived(b, from, r->row->state))
            send_wait(s, b, r);
    }
}
