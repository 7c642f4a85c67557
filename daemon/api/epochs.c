#include "daemon/api/epochs.h"

#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/coarse.h"

#define CHANNELS_MAX 64
#define VALUES_MAX   64

struct value {
    char key[SPEC_KEY_MAX];
    double v;
};

struct epochs {
    struct store *s;
    struct wire_out *o;
    const struct run_row *row;
    struct channel_row channels[CHANNELS_MAX]; /* of the run's total */
    size_t nchannels;
    bool estimated;
    bool coarse;
    int64_t phase_t0_ns; /* of the newest phase that began before the line at hand */
    int64_t prev_ns;
    int64_t seq, step, t_ns; /* of the line that is being gathered; seq -1 = none */
    struct value values[VALUES_MAX];
    size_t nvalues;
    size_t skip; /* lines that only say where the first shown one began */
    size_t lines;
};

/* ---- energy between two lines ------------------------------------------------------------------- */

static int64_t resolution(const struct channel_row *c)
{
    int64_t learned = c->period_learned_ns > 0 ? c->period_learned_ns : c->period_ns;
    return 2 * (learned > c->period_ns ? learned : c->period_ns);
}

/* Sum over the total's channels of E(t1) - E(t0); a reason when there is none. */
static const char *energy_between(struct epochs *x, int64_t t0_ns, int64_t t1_ns, int64_t *uj)
{
    struct curve_point a;
    struct curve_point b;
    struct err e;
    *uj = 0;
    if (x->nchannels == 0)
        return "nothing measured energy";
    if (x->coarse) {
        t0_ns = coarse_floor(t0_ns);
        t1_ns = coarse_floor(t1_ns);
        if (t1_ns == t0_ns)
            return "no whole second: to you readings are given by whole seconds";
    }
    for (size_t i = 0; i < x->nchannels; i++) {
        const struct channel_row *c = &x->channels[i];
        if (t1_ns - t0_ns < resolution(c))
            return "below the meter's resolution";
        if (samples_curve(x->s, c->id, x->row->boot, t0_ns, &a, &e) != 0 ||
            samples_curve(x->s, c->id, x->row->boot, t1_ns, &b, &e) != 0)
            return "no samples around it";
        if (b.unknown_ns > a.unknown_ns)
            return "the meter was not read all the time";
        *uj += b.e_uj - a.e_uj;
    }
    return NULL;
}

static void flush_line(struct epochs *x)
{
    int64_t uj = 0;
    if (x->seq < 0)
        return;
    int64_t t0 = x->prev_ns != RUN_NONE ? x->prev_ns : x->row->t0_ns;
    x->prev_ns = x->t_ns;
    x->seq = -1;
    if (x->lines++ < x->skip)
        return;
    const char *reason =
        t0 == RUN_NONE ? "the run's start is not known" : energy_between(x, t0, x->t_ns, &uj);
    wire_begin_map(x->o, NULL);
    encode_opt(x->o, "epoch", x->step);
    wire_put_int(x->o, "t_ns", x->t_ns);
    wire_begin_map(x->o, "values");
    for (size_t i = 0; i < x->nvalues; i++)
        wire_put_f64(x->o, x->values[i].key, x->values[i].v);
    wire_end(x->o);
    encode_opt(x->o, "energy_uj", reason ? RUN_NONE : uj);
    wire_put_str(x->o, "reason", reason);
    if (x->estimated)
        wire_put_str(x->o, "quality", "estimated");
    wire_end(x->o);
}

static int take_metric(void *arg, const struct run_metric *m)
{
    struct epochs *x = arg;
    if (m->step == RUN_NONE)
        return 0;
    if (m->seq != x->seq) {
        flush_line(x);
        x->seq = m->seq;
        x->step = m->step;
        x->t_ns = m->t_ns;
        x->nvalues = 0;
    }
    if (x->nvalues < VALUES_MAX) {
        struct value *v = &x->values[x->nvalues++];
        base_strcpy(v->key, sizeof(v->key), m->key);
        v->v = m->value;
    }
    return 0;
}

/* ---- what it is measured with ------------------------------------------------------------------- */

static int take_total_part(void *arg, const struct run_energy *f)
{
    struct epochs *x = arg;
    struct err e;
    if (f->channel == 0 || !f->in_total || strcmp(f->figure, "machine") != 0 ||
        strcmp(f->part, "window") != 0 || x->nchannels == CHANNELS_MAX)
        return 0;
    if (samples_channel(x->s, f->channel, &x->channels[x->nchannels], &e) == 0)
        x->nchannels++;
    x->estimated |= strcmp(f->quality, "estimated") == 0;
    return 0;
}

/* A run that goes on has no figures yet: the channels its total will be taken over. */
static void take_live_channels(struct epochs *x)
{
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    struct err e;
    const struct energy_window w = {x->row->boot, x->row->t0_ns, clock_boot_ns()};
    if (x->row->t0_ns == RUN_NONE || energy_of_window(x->s, &w, &set, &e) < 0)
        return;
    for (size_t i = 0; i < set.n && x->nchannels < CHANNELS_MAX; i++) {
        if (!set.in_total[i])
            continue;
        x->channels[x->nchannels++] = set.channels[i];
        x->estimated |= set.channels[i].quality == QUALITY_ESTIMATED;
    }
}

/* The first line's epoch began with its phase, not with the program. */
static int take_phase(void *arg, const struct run_phase *p)
{
    struct epochs *x = arg;
    if (strcmp(p->name, "train") == 0 && x->phase_t0_ns == RUN_NONE)
        x->phase_t0_ns = p->t0_ns;
    return 0;
}

static int count_lines(void *arg, const struct run_metric *m)
{
    struct epochs *x = arg;
    if (m->step == RUN_NONE || m->seq == x->seq)
        return 0;
    x->seq = m->seq;
    x->lines++;
    return 0;
}

int epochs_put(struct store *s, const struct rights *as, struct wire_out *o,
               const struct run_row *row, struct err *e)
{
    struct epochs x = {
        .s = s, .o = o, .row = row, .coarse = !as->raw, .phase_t0_ns = RUN_NONE, .seq = -1};
    int rc = runs_metrics_tail(s, row->id, EPOCHS_MAX + 1, count_lines, &x, e);
    if (rc == 0)
        rc = runs_phases(s, row->id, take_phase, &x, e);
    if (rc == 0)
        rc = runs_energy(s, row->id, take_total_part, &x, e);
    if (rc < 0)
        return rc;
    if (x.nchannels == 0 && x.lines > 0)
        take_live_channels(&x);
    x.skip = x.lines > EPOCHS_MAX ? x.lines - EPOCHS_MAX : 0;
    x.lines = 0;
    x.seq = -1;
    x.prev_ns = x.skip > 0 ? RUN_NONE : x.phase_t0_ns;
    wire_begin_array(o, "per_epoch");
    rc = runs_metrics_tail(s, row->id, EPOCHS_MAX + 1, take_metric, &x, e);
    flush_line(&x);
    wire_end(o);
    return rc;
}
