/* baselines: idle power in force and what it was before. idle_measure: takes it on request. */
#include <stdlib.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"
#include "daemon/energy/baseline_take.h"
#include "daemon/store/baselines.h"

#define MEASURE_MIN_NS (3 * NS_PER_S)
#define MEASURE_MAX_NS (3600 * NS_PER_S)
#define LIST_MAX       10000

/* ---- baselines ---------------------------------------------------------------------------------- */

struct list_job {
    struct reader_job job;
    struct ops_ticket t;
    int64_t limit;
    struct ops_list l;
    const struct channel_row *channels;
    size_t n;
    struct store *s;
};

static const struct channel_row *channel_of(const struct channel_row *list, size_t n, int64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

static void put_names(struct wire_out *o, const struct channel_row *c)
{
    wire_put_str(o, "label", c ? c->label : NULL);
    wire_put_str(o, "scope", c ? channel_scope_name(c->scope) : NULL);
    wire_put_str(o, "quality", c ? channel_quality_name(c->quality) : NULL);
}

static void put_values(struct wire_out *o, const struct baseline *b)
{
    encode_opt(o, "baseline", b->id > 0 ? b->id : RUN_NONE);
    wire_put_int(o, "power_uw", b->power_uw);
    wire_put_int(o, "spread_uw", b->spread_uw);
    wire_put_int(o, "n", b->n);
    wire_put_str(o, "basis", b->basis);
    encode_opt(o, "run", b->run > 0 ? b->run : RUN_NONE);
    wire_put_int(o, "created_utc_ns", b->created_utc_ns);
    encode_opt(o, "temp_mc", b->temp_mc);
    encode_opt(o, "busy_ppm", b->busy_ppm >= 0 ? b->busy_ppm : RUN_NONE);
}

void ops_put_baseline(struct wire_out *o, const struct baseline *b, const struct channel_row *c)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", b->channel);
    put_names(o, c);
    put_values(o, b);
    wire_end(o);
}

static int put_baseline(void *arg, const struct baseline *b)
{
    struct list_job *j = arg;
    struct err e;
    struct baseline now;
    if (ops_list_full(&j->l))
        return 1;
    struct wire_out *o = ops_list_row(&j->l);
    bool in_force = b->run == 0 && baselines_in_force(j->s, b->channel, INT64_MAX, &now, &e) == 0 &&
                    now.id == b->id;
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", b->channel);
    put_names(o, channel_of(j->channels, j->n, b->channel));
    put_values(o, b);
    wire_put_bool(o, "in_force", in_force);
    wire_end(o);
    return 0;
}

static int list_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct list_job *j = container_of(job, struct list_job, job);
    struct channel_row *channels CLEANUP(base_freep) = NULL;
    j->s = s;
    int rc = samples_channels(s, &channels, &j->n, e);
    j->channels = channels;
    ops_list_begin(&j->l, j->t.id, "baselines");
    if (rc == 0)
        rc = baselines_list(s, BASELINES_ALL, j->limit, put_baseline, j, e);
    ops_list_end(&j->l);
    return rc < 0 ? rc : 0;
}

static void list_done(struct reader_job *job, int rc, const struct err *e)
{
    struct list_job *j = container_of(job, struct list_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free(j);
}

int op_baselines(struct op_call *c, struct err *e)
{
    int64_t limit = wire_int(c->req, "limit", 1000);
    if (limit < 1 || limit > LIST_MAX)
        return err_set(e, WATTQ_E_USAGE, "'limit' is 1 to %d", LIST_MAX);
    struct list_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = list_work, .done = list_done};
    j->limit = limit;
    ops_keep(&j->t, c);
    ops_read(&j->t, &j->job);
    return 0;
}

/* ---- idle_measure ------------------------------------------------------------------------------- */

struct ops_measure {
    struct ops_ticket t;
};

static const char *phase_name(enum queue_idle_phase p)
{
    static const char *const names[] = {"none", "waiting", "cooling", "measuring", "reading"};
    return names[p];
}

static void on_progress(void *arg, enum queue_idle_phase phase, int64_t left_ns)
{
    struct ops_measure *m = arg;
    struct wire_out o = {0};
    ops_begin(&o, m->t.id);
    wire_put_str(&o, "phase", phase_name(phase));
    wire_put_int(&o, "left_ns", left_ns);
    wire_put_bool(&o, "more", true);
    peer_send(m->t.p, &o);
    wire_out_free(&o);
}

/* Who was at work at the end of it; only where that spoilt something. */
static void put_others(struct wire_out *o, struct owners *w)
{
    struct owner_use use[OWNERS_MAX];
    int64_t ns = 0;
    size_t n = w ? owners_now(w, use, &ns) : 0;
    wire_begin_array(o, "others");
    for (size_t i = 0; i < n && ns > 0; i++) {
        wire_begin_map(o, NULL);
        wire_put_str(o, "kind", owner_kind_name(use[i].kind));
        wire_put_str(o, "owner", use[i].name);
        wire_put_int(o, "busy_ppm",
                     units_muldiv_floor(use[i].busy_us, INT64_C(1000000000), ns * owners_cpus(w)));
        wire_end(o);
    }
    wire_end(o);
}

static void put_row(struct wire_out *o, const struct baseline_row *r)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", r->b.channel);
    put_names(o, r->channel);
    if (r->known) {
        put_values(o, &r->b);
    } else {
        encode_opt(o, "power_uw", RUN_NONE);
        wire_put_str(o, "reason", r->reason);
    }
    wire_end(o);
}

static void put_answer(struct ops_measure *m, struct wire_out *o, const struct queue_idle_answer *a)
{
    const struct baseline_calm *calm = &a->set->calm;
    bool spoilt = calm->reason[0] || calm->busy_pieces > 0;
    ops_begin(o, m->t.id);
    wire_put_bool(o, "calm", !calm->reason[0]);
    wire_put_str(o, "reason", calm->reason[0] ? calm->reason : NULL);
    wire_put_int(o, "pieces", calm->pieces);
    wire_put_int(o, "busy_pieces", calm->busy_pieces);
    encode_opt(o, "busy_ppm", calm->busy_ppm >= 0 ? calm->busy_ppm : RUN_NONE);
    encode_opt(o, "temp_mc", calm->temp_mc);
    wire_begin_array(o, "baselines");
    for (size_t i = 0; i < a->set->n; i++)
        put_row(o, &a->set->rows[i]);
    wire_end(o);
    put_others(o, spoilt ? m->t.d->owners : NULL);
    wire_put_int(o, "stored", a->written);
}

static void forget(struct ops_measure *m)
{
    struct ops_peer *s = ops_peer(m->t.p);
    if (s->measure == m)
        s->measure = NULL;
}

static void on_done(void *arg, int rc, const struct err *e, const struct queue_idle_answer *a)
{
    struct ops_measure *m = arg;
    struct wire_out o = {0};
    if (rc == 0)
        put_answer(m, &o, a);
    forget(m);
    ops_answer(&m->t, &o, rc, e);
    free(m);
}

void ops_measure_closed(struct ops_peer *s)
{
    struct ops_measure *m = s->measure;
    if (!m)
        return;
    s->measure = NULL;
    queue_idle_forget(m->t.d->queue, m);
    ops_drop(&m->t);
    free(m);
}

int op_idle_measure(struct op_call *c, struct err *e)
{
    int64_t for_ns = wire_int(c->req, "for_ns", 60 * NS_PER_S);
    if (for_ns < MEASURE_MIN_NS || for_ns > MEASURE_MAX_NS) {
        err_set(e, WATTQ_E_USAGE, "idle power is measured for 3 s to 1 h");
        return err_next(e, "wattq idle measure --for 60s");
    }
    struct ops_peer *s = ops_peer(c->p);
    struct ops_measure *m = base_alloc(sizeof(*m));
    ops_keep(&m->t, c);
    const struct queue_idle_asked asked = {on_progress, on_done, m};
    int rc = queue_idle_measure(c->d->queue, for_ns, &asked, e);
    if (rc < 0) {
        ops_drop(&m->t);
        free(m);
        return rc;
    }
    s->measure = m;
    char text[64];
    (void)snprintf(text, sizeof(text), "idle power, for %lld s", (long long)(for_ns / NS_PER_S));
    ops_note_act(c, "idle_measure", text);
    return 0;
}
