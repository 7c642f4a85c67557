/* Meters that come and go: a driver is loaded after the daemon, a BMC restarts, a card is unplugged.
 *
 * The prober's thread looks every reprobe_ns, soon after the kernel says that a device came or went, and at
 * once after a resume from suspend. For each kind of source
 * it opens a fresh instance on a thread of its own - an open may hang inside a driver, and then holds up
 * nobody but itself - and compares the uids found with those known. Nothing new and nothing gone: it is
 * closed again. Else it takes the place of the one that was there, between two sweeps (meter_change):
 * channels keep index, curve and row; new ones are appended in groups of their own.
 * What is away is logged once, what is back once, whatever the readings do in between. */
#include "daemon/meter/meter_job.h"

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/meter/uevent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define ROUND_NS (2 * NS_PER_S)  /* no longer for a driver; its answer is taken at a later look */
#define AGAIN_NS (5 * NS_PER_S)  /* and some of them are ready only later */
#define TOLD_NS  (60 * NS_PER_S) /* one channel that comes and goes is reported no more often */
/* A device that so many looks in a row did not find is gone, whatever a read says. */
#define MISSED_LOOKS 2

struct prober {
    struct meter *m;
    struct uevents *uevents; /* NULL = nobody listens */
    struct meter_config cfg;
    pthread_t thread;
    struct meter_change change;
    bool full_told;
};

/* ---- what is worth looking for ----------------------------------------------------------------- */

static enum reading_state state_of(const struct meter *m, size_t i)
{
    struct meter_status s;
    meter_get_status(m, i, &s);
    return s.state;
}

/* Would a fresh instance be of help to a channel in this state? One that is late or asleep is there. */
static bool ails(enum reading_state s)
{
    return s == READING_GONE || s == READING_IO || s == READING_NO_PERMISSION ||
           s == READING_GARBLED || s == READING_UNSUPPORTED;
}

static bool source_well(const struct meter *m, size_t source)
{
    if (!m->sources[source].source) {
        return false;
    }
    for (size_t i = 0; i < m->found; i++) {
        const struct channel_slot *c = &m->slots[i];
        if (c->source == source && (c->at == METER_NOWHERE || ails(state_of(m, i)))) {
            return false;
        }
    }
    return true;
}

static bool measures(const struct meter *m)
{
    size_t n = m->n;
    struct meter_view *views CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(*views));
    meter_views(m, views, n);
    for (size_t i = 0; i < n; i++) {
        if (views[i].usable && desc_spares_estimate(&m->slots[i].pub.desc)) {
            return true;
        }
    }
    return false;
}

/* -1 = this kind is not looked for now; else the first instance to try. */
static int first_instance(const struct prober *p, const struct source_ops *ops, bool all)
{
    const struct meter *m = p->m;
    int open = 0;
    bool well = true;
    for (size_t i = 0; i < m->nsources; i++) {
        if (m->sources[i].ops == ops) {
            open += m->sources[i].source != NULL;
            well = well && source_well(m, i);
        }
    }
    bool unwanted = meter_disabled(&p->cfg, ops) || (ops->once && open > 0) ||
                    (ops->fallback && (open > 0 || measures(m)));
    if (unwanted) {
        return -1;
    }
    return ops->many && well && !all ? open : 0;
}

/* ---- comparing --------------------------------------------------------------------------------- */

static size_t find_uid(const struct meter *m, size_t n, const char *uid)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(m->slots[i].pub.desc.uid, uid) == 0) {
            return i;
        }
    }
    return METER_NOWHERE;
}

/* As at open: the second channel of one uid gets a number. */
static void number_uid(const struct job *j, size_t fresh, size_t channel, struct channel_desc *d)
{
    int copies = 1;
    for (size_t f = 0; f <= fresh; f++) {
        for (size_t i = 0; i < (f == fresh ? channel : j->fresh[f].n); i++) {
            copies += strcmp(j->fresh[f].descs[i].uid, j->fresh[fresh].descs[channel].uid) == 0;
        }
    }
    if (copies > 1) {
        size_t n = strlen(d->uid);
        n = n > sizeof(d->uid) - 8 ? sizeof(d->uid) - 8 : n;
        (void)snprintf(d->uid + n, sizeof(d->uid) - n, "#%d", copies);
    }
}

/* A fresh instance beside what is known. */
struct match {
    size_t owner; /* meter_source whose channels it has; METER_NOWHERE = a new one */
    bool news;    /* a uid never seen */
    bool better;  /* an answer where there was none */
    bool missing; /* the owner has channels that are not there any more */
    size_t known[METER_CHANNELS_MAX]; /* by its channels: meter-wide index; METER_NOWHERE = new */
};

static void match_known(struct prober *p, struct job *j, size_t fresh, struct match *x)
{
    struct meter *m = p->m;
    const struct meter_fresh *f = &j->fresh[fresh];
    for (size_t i = 0; i < f->n; i++) {
        struct channel_desc d = f->descs[i];
        number_uid(j, fresh, i, &d);
        size_t c = find_uid(m, m->found, d.uid);
        x->known[i] = c;
        if (c == METER_NOWHERE) {
            x->news = true;
            continue;
        }
        struct channel_slot *slot = &m->slots[c];
        slot->missed = 0;
        if (x->owner == METER_NOWHERE && m->sources[slot->source].ops == f->ops) {
            x->owner = slot->source;
        }
        bool answers = f->readings[i].state == READING_OK;
        x->better |= answers && (slot->at == METER_NOWHERE || ails(state_of(m, c)));
    }
}

static bool knows(const struct match *x, size_t n, size_t channel)
{
    for (size_t i = 0; i < n; i++) {
        if (x->known[i] == channel) {
            return true;
        }
    }
    return false;
}

/* Channels of that source which a complete look did not find. A GPU left asleep may not be listed. */
static bool count_missing(struct meter *m, size_t source, const struct match *x, size_t n)
{
    bool missing = false;
    for (size_t i = 0; i < m->found; i++) {
        struct channel_slot *c = &m->slots[i];
        if (c->source == source && c->at != METER_NOWHERE && !knows(x, n, i) &&
            state_of(m, i) != READING_ASLEEP && ++c->missed >= MISSED_LOOKS) {
            missing = true;
        }
    }
    return missing;
}

/* ---- the change -------------------------------------------------------------------------------- */

static void move(struct meter_change *c, size_t channel, size_t source, size_t at)
{
    size_t i = c->nmoves++;
    c->moves[i].channel = channel;
    c->moves[i].source = source;
    c->moves[i].at = at;
}

/* Everything that source had and the fresh one does not is nowhere now. */
static void move_missing(struct prober *p, size_t source, const struct match *x, size_t n)
{
    for (size_t i = 0; i < p->m->found; i++) {
        if (p->m->slots[i].source == source && !knows(x, n, i)) {
            move(&p->change, i, source, METER_NOWHERE);
        }
    }
}

/* The group of this change for a pace; made where there is none yet. */
static uint32_t new_group(struct prober *p, uint32_t pace)
{
    struct meter *m = p->m;
    for (size_t g = m->ngroups; g < p->change.ngroups; g++) {
        if (m->groups[g].pace == pace) {
            return (uint32_t)g;
        }
    }
    struct meter_group *g = &m->groups[p->change.ngroups];
    free(g->channels); /* of a change that was never taken */
    *g = (struct meter_group){.pace = pace};
    g->channels = base_alloc(METER_CHANNELS_MAX * sizeof(*g->channels));
    return (uint32_t)p->change.ngroups++;
}

static uint32_t pace_for(struct prober *p, const struct meter_fresh *f)
{
    struct meter *m = p->m;
    int64_t period_ns = meter_pace_ns(&p->cfg, f->ops, f->blocks);
    for (size_t i = 0; !f->blocks && i < p->change.npaces; i++) {
        if (!m->paces[i].own && (i == 0) == !f->ops->slow) {
            return (uint32_t)i;
        }
    }
    m->paces[p->change.npaces] = (struct meter_pace){.period_ns = period_ns, .own = f->blocks};
    return (uint32_t)p->change.npaces++;
}

static bool fits(const struct prober *p, const struct meter_fresh *f, const struct match *x)
{
    size_t news = 0;
    for (size_t i = 0; i < f->n; i++) {
        news += x->known[i] == METER_NOWHERE;
    }
    return news <= METER_CHANNELS_MAX - p->change.found &&
           (news == 0 || p->change.ngroups < METER_GROUPS_MAX) &&
           (x->owner != METER_NOWHERE || p->change.nsources < METER_SOURCES_MAX);
}

static int link_of(const struct match *x, int index)
{
    return index < 0 || x->known[index] == METER_NOWHERE ? -1 : (int)x->known[index];
}

/* New channels get their places first, so that a parent may be one of them. */
static void place_channels(struct prober *p, const struct job *j, size_t fresh, struct match *x,
                           size_t source, uint32_t pace)
{
    struct meter *m = p->m;
    const struct meter_fresh *f = &j->fresh[fresh];
    size_t first = p->change.found;
    bool is_new[METER_CHANNELS_MAX];
    for (size_t i = 0; i < f->n; i++) {
        is_new[i] = x->known[i] == METER_NOWHERE;
        if (is_new[i]) {
            x->known[i] = p->change.found++;
        } else if (m->slots[x->known[i]].source == source) {
            move(&p->change, x->known[i], source, i);
        }
    }
    for (size_t i = 0; first < p->change.found && i < f->n; i++) {
        if (is_new[i]) {
            struct channel_desc d = f->descs[i];
            number_uid(j, fresh, i, &d);
            d.parent = link_of(x, d.parent);
            d.mirror_of = link_of(x, d.mirror_of);
            (void)meter_put_channel(m, x->known[i], &d, source, i, new_group(p, pace),
                                    f->readings[i]);
        }
    }
}

static void say_new(const struct meter *m, const struct meter_fresh *f, const struct match *x)
{
    char list[160] = "";
    size_t news = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (x->known[i] >= m->found) {
            size_t n = strlen(list);
            snprintf(list + n, sizeof(list) - n, "%s%s", news++ ? ", " : "", f->descs[i].label);
        }
    }
    if (news) {
        log_info("meter found source=%s channels=%zu labels=\"%s\"", f->ops->name, news, list);
    }
}

/* The fresh instance becomes a meter_source, with its worker where it needs one. */
static bool put_in(struct prober *p, struct job *j, size_t fresh, struct match *x)
{
    struct meter *m = p->m;
    struct meter_change *c = &p->change;
    struct meter_fresh *f = &j->fresh[fresh];
    size_t source = x->owner != METER_NOWHERE ? x->owner : c->nsources;
    bool known = x->owner != METER_NOWHERE;
    uint32_t pace = known ? m->sources[source].pace : pace_for(p, f);
    struct meter_source now = {.ops = f->ops,
                               .source = f->source,
                               .n = f->n,
                               .pace = pace,
                               .blocks = m->paces[pace].own,
                               .readings = f->readings};
    if (now.blocks) {
        now.worker = worker_start(&now, m->paces[pace].period_ns, NULL);
        if (!now.worker) {
            return false;
        }
    }
    if (!known) {
        m->sources[source] = (struct meter_source){.ops = f->ops, .pace = pace};
        c->nsources++;
    }
    move_missing(p, source, x, f->n);
    place_channels(p, j, fresh, x, source, pace);
    c->swaps[c->nswaps].source = source;
    c->swaps[c->nswaps++].now = now;
    say_new(m, f, x);
    f->source = NULL; /* the change's from here on */
    return true;
}

static void take_out(struct prober *p, size_t source, const struct match *none)
{
    struct meter_change *c = &p->change;
    const struct meter_source *s = &p->m->sources[source];
    move_missing(p, source, none, 0);
    c->swaps[c->nswaps].source = source;
    c->swaps[c->nswaps++].now =
        (struct meter_source){.ops = s->ops, .pace = s->pace, .blocks = false};
}

static void tell_full(struct prober *p, const struct source_ops *ops)
{
    if (!p->full_told) {
        log_warn("a meter was found for which there is no room source=%s", ops->name);
        p->full_told = true;
    }
}

/* One kind that has been looked at. */
static void compare(struct prober *p, struct job *j)
{
    struct meter *m = p->m;
    bool seen[METER_SOURCES_MAX] = {false};
    struct match *x CLEANUP(base_freep) = base_alloc(sizeof(*x));
    for (size_t i = 0; i < j->n; i++) {
        memset(x, 0, sizeof(*x));
        x->owner = METER_NOWHERE;
        match_known(p, j, i, x);
        bool first = x->owner == METER_NOWHERE || !seen[x->owner];
        if (x->owner != METER_NOWHERE) {
            seen[x->owner] = true;
            x->missing = j->complete && count_missing(m, x->owner, x, j->fresh[i].n);
        }
        if (!first || !(x->news || x->better || x->missing)) {
            continue;
        }
        if (!fits(p, &j->fresh[i], x) || !put_in(p, j, i, x)) {
            tell_full(p, j->ops);
        }
    }
    memset(x, 0, sizeof(*x));
    for (size_t i = 0; j->complete && i < m->nsources; i++) {
        if (m->sources[i].ops == j->ops && m->sources[i].source && !seen[i] &&
            count_missing(m, i, x, 0)) {
            take_out(p, i, x);
        }
    }
}

/* ---- handing over ------------------------------------------------------------------------------ */

static void *close_one(void *arg)
{
    struct meter_source *s = arg;
    if (!s->worker || worker_stop(s->worker)) {
        s->ops->close(s->source);
    }
    free(s->readings);
    free(s);
    return NULL;
}

/* What was replaced. One that may hang does so on a thread of its own. */
static void retire(const struct meter_source *old)
{
    if (!old->source) {
        free(old->readings);
        return;
    }
    struct meter_source *s = base_alloc(sizeof(*s));
    *s = *old;
    if (!(s->worker || s->ops->may_block) || !job_spawn(close_one, s)) {
        (void)close_one(s);
    }
}

static void hand_over(struct prober *p)
{
    struct meter *m = p->m;
    struct meter_change *c = &p->change;
    if (c->nswaps == 0) {
        return;
    }
    pthread_mutex_lock(&m->lock);
    m->change = c;
    pthread_cond_signal(&m->wake);
    while (m->change && !m->stop) {
        pthread_cond_wait(&m->probe_wake, &m->lock);
    }
    m->change = NULL; /* the sampler has stopped: what was found is closed again below */
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < c->nswaps; i++) {
        retire(&c->swaps[i].now);
    }
}

/* ---- what is said about it --------------------------------------------------------------------- */

static bool is_away(enum reading_state s)
{
    return s == READING_GONE || s == READING_STALE;
}

/* One line for all channels of a source that went, or came back, since the last look. */
static void report_source(struct meter *m, size_t source, bool away)
{
    char list[160] = "";
    size_t n = 0;
    enum reading_state why = READING_GONE;
    int64_t now = clock_mono_ns();
    for (size_t i = 0; i < m->n; i++) {
        struct channel_slot *c = &m->slots[i];
        enum reading_state s = state_of(m, i);
        bool hushed = away && c->told_mono_ns != 0 && now - c->told_mono_ns < TOLD_NS;
        if (c->source != source || c->told == away || is_away(s) != away || hushed) {
            continue;
        }
        c->told = away;
        c->told_mono_ns = away ? now : c->told_mono_ns;
        why = s;
        size_t at = strlen(list);
        snprintf(list + at, sizeof(list) - at, "%s%s", n++ ? ", " : "", c->pub.desc.label);
    }
    if (n && away) {
        log_warn("meter away source=%s channels=%zu labels=\"%s\" reason=\"%s\"",
                 m->sources[source].ops->name, n, list, reading_state_text(why));
    } else if (n) {
        log_info("meter back source=%s channels=%zu labels=\"%s\"", m->sources[source].ops->name, n,
                 list);
    }
}

static void report(struct meter *m)
{
    for (size_t i = 0; i < m->nsources; i++) {
        report_source(m, i, true);
        report_source(m, i, false);
    }
}

/* ---- the thread -------------------------------------------------------------------------------- */

static void start_jobs(struct prober *p, bool all)
{
    for (size_t k = 0; k < METER_KINDS_MAX && source_list[k]; k++) {
        int from = p->m->jobs[k] ? -1 : first_instance(p, source_list[k], all);
        if (from < 0) {
            continue;
        }
        p->m->jobs[k] = job_start(source_list[k], p->m, &p->cfg, from, false);
    }
}

static bool any_job(struct prober *p)
{
    for (size_t k = 0; k < METER_KINDS_MAX; k++) {
        if (p->m->jobs[k] && !p->m->jobs[k]->late && !job_finished(p->m->jobs[k])) {
            return true;
        }
    }
    return false;
}

/* Until the deadline, a sign of a job, or - where asked for - something to look at. True = the meter stops. */
static bool wait_until(struct meter *m, int64_t mono_ns, bool looks)
{
    struct timespec t = {.tv_sec = mono_ns / NS_PER_S, .tv_nsec = (long)(mono_ns % NS_PER_S)};
    pthread_mutex_lock(&m->lock);
    if (!m->stop &&
        !(looks && (m->probe_look || m->probe_resume || m->probe_event || m->probe_job))) {
        (void)pthread_cond_timedwait(&m->probe_wake, &m->lock, &t);
    }
    bool stop = m->stop;
    pthread_mutex_unlock(&m->lock);
    return stop;
}

static bool taken(struct meter *m, bool *flag)
{
    pthread_mutex_lock(&m->lock);
    bool was = *flag;
    *flag = false;
    pthread_mutex_unlock(&m->lock);
    return was;
}

static void wait_for_jobs(struct prober *p)
{
    int64_t deadline = clock_mono_ns() + ROUND_NS;
    while (any_job(p) && clock_mono_ns() < deadline) {
        if (wait_until(p->m, clock_mono_ns() + NS_PER_S / 20, false)) {
            return;
        }
    }
}

/* What has answered is compared and handed over; what has not is a matter of a later look. */
static void collect(struct prober *p)
{
    struct meter *m = p->m;
    p->change = (struct meter_change){
        .found = m->found, .ngroups = m->ngroups, .npaces = m->npaces, .nsources = m->nsources};
    struct job *done[METER_KINDS_MAX];
    size_t n = 0;
    (void)taken(m,
                &m->probe_job); /* one that finishes from here on is seen below, or rings again */
    for (size_t k = 0; k < METER_KINDS_MAX; k++) {
        if (p->m->jobs[k] && job_finished(p->m->jobs[k])) {
            compare(p, p->m->jobs[k]);
            done[n++] = p->m->jobs[k];
            p->m->jobs[k] = NULL;
        } else if (p->m->jobs[k] && !p->m->jobs[k]->late) {
            p->m->jobs[k]->late = true;
            log_warn("a driver does not answer while it is looked at source=%s",
                     p->m->jobs[k]->ops->name);
        }
    }
    hand_over(p);
    for (size_t i = 0; i < n; i++) {
        job_free(done[i]);
    }
}

static void look(struct prober *p, bool all)
{
    start_jobs(p, all);
    wait_for_jobs(p);
    collect(p);
}

static void *run(void *arg)
{
    struct prober *p = arg;
    struct meter *m = p->m;
    int64_t next = clock_mono_ns() + p->cfg.reprobe_ns;
    (void)prctl(PR_SET_NAME, "meter-probe");
    while (!wait_until(m, next, true)) {
        bool resumed = taken(m, &m->probe_resume);
        bool event = taken(m, &m->probe_event);
        if (resumed) {
            log_info("the machine has slept; every meter is looked at again");
        }
        if (taken(m, &m->probe_job)) {
            collect(p); /* a driver that was late has answered */
        }
        if (resumed || event || clock_mono_ns() >= next) {
            look(p, resumed);
            bool soon = event && p->cfg.reprobe_ns > AGAIN_NS;
            next = clock_mono_ns() + (soon ? AGAIN_NS : p->cfg.reprobe_ns);
        }
        (void)taken(m, &m->probe_look);
        report(m);
    }
    return NULL;
}

static void on_uevent(void *arg)
{
    struct meter *m = arg;
    pthread_mutex_lock(&m->lock);
    m->probe_event = true;
    pthread_cond_signal(&m->probe_wake);
    pthread_mutex_unlock(&m->lock);
}

int prober_start(struct prober **out, struct meter *m, const struct meter_config *cfg,
                 struct err *e)
{
    struct prober *p = base_alloc(sizeof(*p));
    p->m = m;
    p->cfg = *cfg;
    int rc = pthread_create(&p->thread, NULL, run, p);
    if (rc != 0) {
        free(p);
        errno = rc;
        return err_errno(e, WATTQ_E_IO, "cannot start the thread that looks for meters");
    }
    /* A fixture's devices make no messages; without them meters are found at the regular looks. */
    if (!cfg->sysfs_root || cfg->sysfs_root[0] == '\0') {
        p->uevents = uevents_start(on_uevent, m);
    }
    *out = p;
    return 0;
}

void prober_stop(struct prober *p)
{
    if (!p) {
        return;
    }
    uevents_stop(p->uevents);
    pthread_join(p->thread, NULL);
    meter_leave_jobs(p->m);
    free(p);
}
