/* What is there when the daemon starts. Each kind of source is opened on a thread of its own, all at once,
 * and what has answered in time is taken in the order of source_list. A driver that has not - an open may
 * hang inside it for ever - is left to the prober: its meters join when it does. */
#include "daemon/meter/meter_job.h"

#include "common/units.h"
#include "daemon/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBES   3
#define FIRST_NS (5 * NS_PER_S) /* GPUs that nothing keeps awake take seconds to answer */

/* ---- opening ----------------------------------------------------------------------------------- */

/* Is name one of the comma separated words? */
static bool listed(const char *words, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = words; p && *p; p += strcspn(p, ","), p += *p == ',') {
        p += strspn(p, " ");
        if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0' || p[n] == ' ')) {
            return true;
        }
    }
    return false;
}

static bool is_energy(const struct channel_desc *d)
{
    return d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
}

bool meter_disabled(const struct meter_config *cfg, const struct source_ops *ops)
{
    return listed(cfg->disable, ops->name);
}

/* First readings; true = the source is too slow to be read between others. */
static bool probe(struct meter_fresh *f)
{
    if (f->ops->may_block) {
        for (size_t i = 0; i < f->n; i++) {
            f->readings[i].state = READING_NOT_YET;
        }
        return true;
    }
    int slow = 0;
    for (int i = 0; i < PROBES; i++) {
        int64_t t0 = clock_mono_ns();
        f->ops->read(f->source, clock_boot_ns(), f->readings);
        if (clock_mono_ns() - t0 <= METER_SLOW_READ_NS) {
            return false;
        }
        slow++;
    }
    return slow == PROBES;
}

int fresh_open(struct meter_fresh *out, const struct source_ops *ops,
               const struct meter_config *cfg, struct err *e)
{
    *out = (struct meter_fresh){.ops = ops};
    int rc = ops->open(&out->source, cfg, e);
    if (rc != 0) {
        return rc;
    }
    out->n = ops->channels(out->source, &out->descs);
    out->readings = base_alloc(out->n * sizeof(*out->readings) + 1);
    out->blocks = probe(out);
    return 0;
}

void fresh_close(struct meter_fresh *f)
{
    f->ops->close(f->source);
    free(f->readings);
}

/* psys alone is never part of a total: it is on probation until it has been seen to contain its packages
 * (meter_graph.c). */
bool desc_spares_estimate(const struct channel_desc *d)
{
    return is_energy(d) && d->quality != QUALITY_ESTIMATED && d->scope != SCOPE_PSYS;
}

/* A blocking one has checked its fields when it was opened. */
bool fresh_gives_energy(const struct meter_fresh *f)
{
    for (size_t i = 0; i < f->n; i++) {
        bool answers =
            f->ops->may_block ? f->descs[i].remedy[0] == '\0' : f->readings[i].state == READING_OK;
        if (desc_spares_estimate(&f->descs[i]) && answers) {
            return true;
        }
    }
    return false;
}

/* ---- at start ---------------------------------------------------------------------------------- */

/* The fresh instance becomes a source of the meter, which owns it from here on. */
static int take_fresh(struct meter *m, struct meter_fresh *f, struct err *e)
{
    size_t first = m->n;
    if (f->n > METER_CHANNELS_MAX - first) {
        return err_set(e, WATTQ_E_LIMIT, "there are more than %d channels, with those of %s",
                       METER_CHANNELS_MAX, f->ops->name);
    }
    m->sources[m->nsources++] = (struct meter_source){.ops = f->ops,
                                                      .source = f->source,
                                                      .n = f->n,
                                                      .blocks = f->blocks,
                                                      .readings = f->readings};
    for (size_t i = 0; i < f->n; i++) {
        struct channel_slot *c = &m->slots[first + i];
        c->pub.desc = f->descs[i];
        c->pub.desc.parent += f->descs[i].parent >= 0 ? (int)first : 0;
        c->pub.desc.mirror_of += f->descs[i].mirror_of >= 0 ? (int)first : 0;
        c->source = m->nsources - 1;
        c->at = i;
    }
    m->n = first + f->n;
    f->source = NULL;
    return 0;
}

static int take_job(struct meter *m, struct job *j, bool *energy, struct err *e)
{
    int rc = j->rc;
    if (rc < 0 && e) {
        *e = j->err;
    }
    for (size_t i = 0; rc == 0 && i < j->n && m->nsources < METER_SOURCES_MAX; i++) {
        *energy = *energy || fresh_gives_energy(&j->fresh[i]);
        rc = take_fresh(m, &j->fresh[i], e);
    }
    return rc;
}

static bool all_finished(struct meter *m)
{
    for (size_t k = 0; k < METER_KINDS_MAX; k++) {
        if (m->jobs[k] && !job_finished(m->jobs[k])) {
            return false;
        }
    }
    return true;
}

static void await_jobs(struct meter *m, int64_t deadline_ns)
{
    const struct timespec t = {.tv_sec = deadline_ns / NS_PER_S,
                               .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    while (!all_finished(m) && clock_mono_ns() < deadline_ns) {
        pthread_mutex_lock(&m->lock);
        if (!m->probe_job) {
            (void)pthread_cond_timedwait(&m->probe_wake, &m->lock, &t);
        }
        m->probe_job = false;
        pthread_mutex_unlock(&m->lock);
    }
}

static int start_kinds(struct meter *m, bool fallback, struct err *e)
{
    for (size_t k = 0; k < METER_KINDS_MAX && source_list[k]; k++) {
        if (source_list[k]->fallback != fallback || meter_disabled(&m->cfg, source_list[k])) {
            continue;
        }
        m->jobs[k] = job_start(source_list[k], m, &m->cfg, 0, true);
        if (!m->jobs[k]) {
            return err_set(e, WATTQ_E_IO, "cannot start a thread that looks for meters");
        }
    }
    return 0;
}

/* In the list's order. A job that hangs stays in its place. */
static int take_kinds(struct meter *m, bool *energy, struct err *e)
{
    int rc = 0;
    for (size_t k = 0; rc >= 0 && k < METER_KINDS_MAX; k++) {
        struct job *j = m->jobs[k];
        if (j && job_finished(j)) {
            rc = take_job(m, j, energy, e);
            m->jobs[k] = NULL;
            job_free(j);
        } else if (j && !j->late) {
            j->late = true;
            log_warn("a driver does not answer; its meters are taken in when it does source=%s",
                     j->ops->name);
        }
    }
    return rc < 0 ? rc : 0;
}

/* Two channels never share a uid: a later one gets a number. */
static void part_uids(struct meter *m)
{
    for (size_t i = 1; i < m->n; i++) {
        char *uid = m->slots[i].pub.desc.uid;
        const size_t cap = sizeof(m->slots[i].pub.desc.uid);
        int copies = 1;
        for (size_t j = 0; j < i; j++) {
            copies += strcmp(m->slots[j].pub.desc.uid, uid) == 0;
        }
        if (copies > 1) {
            size_t n = strlen(uid);
            n = n > cap - 8 ? cap - 8 : n;
            (void)snprintf(uid + n, cap - n, "#%d", copies);
        }
    }
}

int meter_find_first(struct meter *m, struct err *e)
{
    int64_t deadline = clock_mono_ns() + (m->cfg.first_ns > 0 ? m->cfg.first_ns : FIRST_NS);
    bool energy = false;
    int rc = start_kinds(m, false, e);
    if (rc == 0) {
        await_jobs(m, deadline);
        rc = take_kinds(m, &energy, e);
    }
    if (rc == 0 && (!energy || m->cfg.estimate_always)) {
        rc = start_kinds(m, true, e);
        await_jobs(m, deadline + NS_PER_S);
        rc = rc < 0 ? rc : take_kinds(m, &energy, e);
    }
    part_uids(m);
    return rc;
}

void meter_leave_jobs(struct meter *m)
{
    for (size_t k = 0; k < METER_KINDS_MAX; k++) {
        if (m->jobs[k]) {
            job_leave(m->jobs[k]);
        }
        m->jobs[k] = NULL;
    }
}
