/* meters, power: what can be measured, what it says now, and what it said. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/opinions.h"

#define PIXELS_DEFAULT 200
#define PIXELS_MAX     4000
#define SERIES_MAX     64

/* in[i] = 1 for each channel of the machine's total as it stands now. New memory. */
static uint8_t *current_total(struct meter *m, size_t n)
{
    const struct meter_channel **channels CLEANUP(base_freep) =
        base_alloc((n + 1) * sizeof(struct meter_channel *));
    struct meter_view *views CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(*views));
    uint8_t *in = base_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        channels[i] = meter_channel(m, i);
    meter_views(m, views, n);
    meter_antichain(channels, n, views, in);
    return in;
}

void ops_meter_total(const struct op_call *c, struct meter_total *out)
{
    struct meter *m = c->d->meter;
    size_t count = meter_count(m);
    uint8_t *in CLEANUP(base_freep) = current_total(m, count);
    enum channel_quality worst = QUALITY_MEASURED;
    size_t found = 0;
    *out = (struct meter_total){.power_uw = 0};
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *ch = meter_channel(m, i);
        struct meter_status st;
        size_t n = strlen(out->label);
        if (!in[i])
            continue;
        glance_status(c->d->glance, i, peer_rights(c->p), &st);
        snprintf(out->label + n, sizeof(out->label) - n, "%s%s", found++ ? " + " : "",
                 ch->desc.label);
        worst = ch->desc.quality > worst ? ch->desc.quality : worst;
        if (out->power_uw != RUN_NONE)
            out->power_uw = st.power_uw >= 0 ? out->power_uw + st.power_uw : RUN_NONE;
    }
    out->quality = channel_quality_name(found ? worst : QUALITY_NONE);
    out->reason = found ? "not enough readings yet" : "nothing here measures energy";
    if (!found)
        out->power_uw = RUN_NONE;
}

/* ---- meters ------------------------------------------------------------------------------------- */

static void put_desc(struct wire_out *o, const struct meter_channel *c)
{
    const struct channel_desc *d = &c->desc;
    encode_opt(o, "channel", c->id ? c->id : RUN_NONE);
    wire_put_str(o, "uid", d->uid);
    wire_put_str(o, "label", d->label);
    wire_put_str(o, "source", c->source);
    wire_put_str(o, "kind", channel_kind_name(d->kind));
    wire_put_str(o, "unit", d->unit);
    wire_put_str(o, "scope", channel_scope_name(d->scope));
    wire_put_str(o, "quality", channel_quality_name(d->quality));
    wire_put_str(o, "remedy", d->remedy);
    wire_put_str(o, "covers", d->covers);
    wire_put_str(o, "device", d->device);
    wire_put_str(o, "driver", d->driver);
    wire_put_str(o, "firmware", d->firmware);
    wire_put_int(o, "period_ns", d->period_ns);
    wire_put_bool(o, "period_declared", d->period_declared);
    wire_put_int(o, "lag_ns", d->lag_ns);
    wire_put_int(o, "box_ns", d->box_ns);
    encode_opt(o, "wrap_uj", d->wrap_uj ? d->wrap_uj : RUN_NONE);
    wire_put_int(o, "quantum", d->quantum);
    encode_opt(o, "pmax_uw", d->pmax_uw ? d->pmax_uw : RUN_NONE);
    encode_opt(o, "accuracy_ppm", d->accuracy_ppm ? d->accuracy_ppm : RUN_NONE);
}

static int64_t id_of(struct meter *m, int index)
{
    if (index < 0 || (size_t)index >= meter_count(m))
        return RUN_NONE;
    int64_t id = meter_channel(m, (size_t)index)->id;
    return id ? id : RUN_NONE;
}

/* What watching it showed; "" and nil where there is no doubt. */
static void put_opinion(struct wire_out *o, struct meter *m, const struct meter_opinion *op)
{
    bool numbers = op->doubt != METER_DOUBT_NONE && op->span_ns > 0;
    bool other = op->about >= 0 && (size_t)op->about < meter_count(m);
    wire_put_str(o, "doubt", meter_doubt_name(op->doubt));
    wire_put_str(o, "doubt_text", meter_doubt_text(op->doubt));
    encode_opt(o, "doubt_about", id_of(m, op->about));
    wire_put_str(o, "doubt_label", other ? meter_channel(m, (size_t)op->about)->desc.label : "");
    encode_opt(o, "doubt_since_ns",
               op->doubt != METER_DOUBT_NONE && op->since_ns ? op->since_ns : RUN_NONE);
    encode_opt(o, "doubt_mine_uj", numbers ? op->mine_uj : RUN_NONE);
    encode_opt(o, "doubt_other_uj", numbers ? op->other_uj : RUN_NONE);
    encode_opt(o, "doubt_span_ns", numbers ? op->span_ns : RUN_NONE);
}

static void put_status(struct wire_out *o, const struct op_call *c, size_t i)
{
    struct meter *m = c->d->meter;
    struct meter_status st;
    glance_status(c->d->glance, i, peer_rights(c->p), &st);
    wire_put_str(o, "state", reading_state_name(st.state));
    wire_put_str(o, "state_text", reading_state_text(st.state));
    encode_opt(o, "period_learned_ns", st.period_learned_ns ? st.period_learned_ns : RUN_NONE);
    encode_opt(o, "quantum_learned", st.quantum_learned ? st.quantum_learned : RUN_NONE);
    encode_opt(o, "lag_learned_ns", st.lag_learned_ns >= 0 ? st.lag_learned_ns : RUN_NONE);
    wire_put_int(o, "lag_events", st.lag_events);
    encode_opt(o, "changed_ns", st.changed_ns ? st.changed_ns : RUN_NONE);
    put_opinion(o, m, &st.opinion);
    encode_opt(o, "last_value", st.last_ns ? st.last_value : RUN_NONE);
    encode_opt(o, "last_ns", st.last_ns ? st.last_ns : RUN_NONE);
    encode_opt(o, "power_uw", st.power_uw >= 0 ? st.power_uw : RUN_NONE);
    wire_put_int(o, "reads", st.reads);
    wire_put_int(o, "failures", st.failures);
}

/* How much of the time an averaging sensor looks, in ppm: min(1, box / period). */
static int64_t sampled_ppm(const struct channel_desc *d)
{
    if (d->kind != CHANNEL_AVERAGE || d->period_ns <= 0 || d->box_ns <= 0)
        return RUN_NONE;
    return d->box_ns >= d->period_ns ? 1000000
                                     : units_muldiv_floor(d->box_ns, 1000000, d->period_ns);
}

static void put_meter(struct wire_out *o, const struct op_call *c, size_t i, bool in_total)
{
    struct meter *m = c->d->meter;
    const struct meter_channel *ch = meter_channel(m, i);
    put_desc(o, ch);
    wire_put_int(o, "sample_ns", meter_group_period_ns(m, ch->group));
    encode_opt(o, "sampled_ppm", sampled_ppm(&ch->desc));
    encode_opt(o, "parent", id_of(m, ch->desc.parent));
    encode_opt(o, "mirror_of", id_of(m, ch->desc.mirror_of));
    wire_put_bool(o, "in_total", in_total);
    put_status(o, c, i);
}

int op_meters(struct op_call *c, struct err *e)
{
    struct meter *m = c->d->meter;
    struct ops_list l;
    size_t n = meter_count(m);
    uint8_t *in CLEANUP(base_freep) = current_total(m, n);
    (void)e;
    ops_list_begin(&l, c->id, "channels");
    for (size_t i = 0; i < n && !ops_list_full(&l); i++) {
        struct wire_out *o = ops_list_row(&l);
        wire_begin_map(o, NULL);
        put_meter(o, c, i, in[i] != 0);
        wire_end(o);
    }
    ops_list_end(&l);
    ops_list_send(&l, c->p);
    return 0;
}

/* ---- one meter and its history ------------------------------------------------------------------- */

#define NOTES_MAX 500

struct meter_job {
    struct reader_job job;
    struct ops_ticket t;
    struct wire_out o;
    struct store *store;
    int64_t channel;
    size_t notes;
};

static int put_note(void *arg, const struct channel_note *n)
{
    struct meter_job *j = arg;
    int64_t utc = store_utc_of(j->store, n->boot, n->t_ns);
    if (j->notes++ == NOTES_MAX)
        return 1;
    wire_begin_map(&j->o, NULL);
    encode_opt(&j->o, "t_utc_ns", utc < 0 ? RUN_NONE : utc);
    wire_put_str(&j->o, "kind", n->kind);
    wire_put_str(&j->o, "text", n->text);
    wire_end(&j->o);
    return 0;
}

static int meter_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct meter_job *j = container_of(job, struct meter_job, job);
    j->store = s;
    wire_begin_array(&j->o, "notes");
    int rc = opinions_notes(s, j->channel, put_note, j, e);
    wire_end(&j->o);
    return rc < 0 ? rc : 0;
}

static void meter_done(struct reader_job *job, int rc, const struct err *e)
{
    struct meter_job *j = container_of(job, struct meter_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j);
}

int op_meter(struct op_call *c, struct err *e)
{
    struct meter *m = c->d->meter;
    size_t n = meter_count(m), i = 0;
    int64_t id = 0;
    int rc = ops_need_int(c, "channel", &id, e);
    if (rc < 0)
        return rc;
    while (i < n && meter_channel(m, i)->id != id)
        i++;
    if (id <= 0 || i == n)
        return err_set(e, WATTQ_E_NOT_FOUND, "this machine has no meter %lld now", (long long)id);
    uint8_t *in CLEANUP(base_freep) = current_total(m, n);
    struct meter_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = meter_work, .done = meter_done};
    j->channel = id;
    ops_keep(&j->t, c);
    ops_begin(&j->o, c->id);
    put_meter(&j->o, c, i, in[i] != 0);
    ops_read(&j->t, &j->job);
    return 0;
}

/* ---- power: series ------------------------------------------------------------------------------ */

struct series_job {
    struct reader_job job;
    struct ops_ticket t;
    struct ops_list l;
    int64_t since_utc_ns, until_utc_ns;
    int64_t channel; /* RUN_NONE = all */
    size_t pixels;
    bool coarse; /* by whole seconds, and without extremes, which are of shorter ones */
};

static void put_pixels(struct wire_out *o, const struct series_job *j,
                       const struct series_pixel *px, int64_t to_utc)
{
    wire_begin_array(o, "pixels");
    for (size_t i = 0; i < j->pixels; i++) {
        if (!px[i].valid) {
            wire_put_nil(o, NULL);
            continue;
        }
        wire_begin_array(o, NULL);
        wire_put_int(o, NULL, px[i].t0_ns + to_utc);
        wire_put_int(o, NULL, px[i].t1_ns + to_utc);
        wire_put_f64(o, NULL, px[i].mean_w);
        wire_put_f64(o, NULL, j->coarse ? px[i].mean_w : px[i].min_w);
        wire_put_f64(o, NULL, j->coarse ? px[i].mean_w : px[i].max_w);
        wire_end(o);
    }
    wire_end(o);
}

static int put_series(struct store *s, struct series_job *j, const struct channel_row *c,
                      const struct energy_window *w, struct err *e)
{
    struct series_pixel *px CLEANUP(base_freep) = base_alloc(j->pixels * sizeof(*px));
    int rc = samples_series(s, c->id, w->boot, w->t0_ns, w->t1_ns, px, j->pixels, e);
    if (rc < 0)
        return rc;
    bool any = false;
    for (size_t i = 0; rc == 0 && i < j->pixels; i++)
        any |= px[i].valid;
    if (!any)
        return 0;
    bool power = c->quality != QUALITY_NONE;
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", c->id);
    wire_put_str(o, "label", c->label);
    wire_put_str(o, "unit", power ? "W" : c->unit);
    wire_put_str(o, "quality", channel_quality_name(c->quality));
    put_pixels(o, j, px, store_utc_of(s, w->boot, w->t1_ns) - w->t1_ns);
    wire_end(o);
    return 0;
}

static int find_window(struct store *s, struct series_job *j, struct energy_window *w,
                       struct err *e)
{
    int rc = ops_window(s, j->since_utc_ns, j->until_utc_ns, w, e);
    if (rc < 0)
        return rc;
    if (w->t1_ns <= w->t0_ns)
        return err_set(e, WATTQ_E_USAGE, "the window ends before it begins");
    if (!j->coarse)
        return 0;
    rc = coarse_window(w, w->boot == store_boot(s) ? clock_boot_ns() : RUN_NONE, e);
    j->pixels = rc == 0 ? coarse_pixels(w, j->pixels) : 0;
    return rc;
}

static int series_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct series_job *j = container_of(job, struct series_job, job);
    struct channel_row *channels CLEANUP(base_freep) = NULL;
    struct energy_window w = {0};
    size_t n = 0;
    int rc = find_window(s, j, &w, e);
    if (rc == 0)
        rc = samples_channels(s, &channels, &n, e);
    size_t sent = 0;
    for (size_t i = 0; rc == 0 && i < n && sent < SERIES_MAX && !ops_list_full(&j->l); i++) {
        if (j->channel != RUN_NONE && channels[i].id != j->channel)
            continue;
        rc = put_series(s, j, &channels[i], &w, e);
        sent++;
    }
    if (rc == 0)
        ops_list_end(&j->l);
    return rc;
}

static void series_done(struct reader_job *job, int rc, const struct err *e)
{
    struct series_job *j = container_of(job, struct series_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free(j);
}

int op_power(struct op_call *c, struct err *e)
{
    int64_t since = wire_int(c->req, "since_utc_ns", RUN_NONE);
    if (since == RUN_NONE || wire_bool(c->req, "live", false))
        return stream_power_subscribe(c->d->streams, c->p, c->id,
                                      wire_int(c->req, "interval_ns", NS_PER_S), e);
    int64_t pixels = wire_int(c->req, "pixels", PIXELS_DEFAULT);
    int64_t until = wire_int(c->req, "until_utc_ns", clock_utc_ns());
    if (pixels < 1 || pixels > PIXELS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "'pixels' is 1 to %d", PIXELS_MAX);
    if (until <= since)
        return err_set(e, WATTQ_E_USAGE, "the window ends before it begins");
    struct series_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = series_work, .done = series_done, .slow = true};
    j->since_utc_ns = since;
    j->until_utc_ns = until;
    j->channel = wire_int(c->req, "channel", RUN_NONE);
    j->pixels = (size_t)pixels;
    j->coarse = !peer_rights(c->p)->raw;
    ops_keep(&j->t, c);
    ops_list_begin(&j->l, c->id, "series");
    ops_read(&j->t, &j->job);
    return 0;
}
