/* curves: what became of metrics over the epochs of many runs, for plots and for loss against energy. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"

#define KEYS_MAX       16
#define POINTS_DEFAULT 1000
#define POINTS_MAX     5000
#define CHANNELS_MAX   64

struct point {
    int64_t epoch;
    int64_t t_ns;
    double value;
};

/* One metric of the run at hand. */
struct curve {
    char key[SPEC_KEY_MAX];
    struct point *at;
    size_t n;
    size_t cap;
    size_t seen;
    double least; /* of all values so far */
};

struct curves_job {
    struct reader_job job;
    struct ops_ticket t;
    struct rights as;
    struct ops_list l;
    int64_t *runs;
    size_t nruns;
    struct curve curves[KEYS_MAX];
    size_t nkeys;
    size_t points;
    bool records;
    bool energy;
};

/* The channels of the run's total, and where its curves begin. */
struct meter_of {
    int64_t channels[CHANNELS_MAX];
    struct curve_point base[CHANNELS_MAX]; /* of each at t0_ns */
    size_t n;
    int64_t boot;
    int64_t t0_ns; /* RUN_NONE = no joules can be told */
    bool coarse;   /* by whole seconds (coarse.h) */
};

static void add_point(struct curve *c, const struct run_metric *m)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->at = realloc(c->at, c->cap * sizeof(*c->at));
        if (!c->at)
            abort();
    }
    c->at[c->n++] = (struct point){m->step, m->t_ns, m->value};
}

static int take_metric(void *arg, const struct run_metric *m)
{
    struct curves_job *j = arg;
    for (size_t i = 0; i < j->nkeys; i++) {
        struct curve *c = &j->curves[i];
        if (m->step == RUN_NONE || strcmp(m->key, c->key) != 0)
            continue;
        c->seen++;
        if (!j->records || m->value < c->least)
            add_point(c, m);
        c->least = m->value < c->least ? m->value : c->least;
    }
    return 0;
}

/* ---- joules --------------------------------------------------------------------------------------- */

static int take_part(void *arg, const struct run_energy *f)
{
    struct meter_of *m = arg;
    if (f->channel != 0 && f->in_total && strcmp(f->figure, "machine") == 0 &&
        strcmp(f->part, "window") == 0 && m->n < CHANNELS_MAX)
        m->channels[m->n++] = f->channel;
    return 0;
}

static int find_meter(struct store *s, const struct rights *as, int64_t run, struct meter_of *m,
                      struct err *e)
{
    struct run_row row CLEANUP(run_row_fini) = {0};
    struct run_place place;
    struct err ignored;
    *m = (struct meter_of){.t0_ns = RUN_NONE};
    int rc = runs_get(s, run, &row, e);
    if (rc > 0)
        return ops_no_run(run, e);
    if (rc == 0)
        rc = runs_place(s, run, &place, e);
    if (rc == 0)
        rc = runs_energy(s, run, take_part, m, e);
    if (rc < 0)
        return rc;
    m->boot = row.boot;
    m->coarse = !as->raw;
    m->t0_ns = m->n == 0 || place.first_batch_ns == RUN_NONE ? RUN_NONE
               : m->coarse                                   ? coarse_floor(place.first_batch_ns)
                                                             : place.first_batch_ns;
    for (size_t i = 0; i < m->n && m->t0_ns != RUN_NONE; i++)
        if (samples_curve(s, m->channels[i], m->boot, m->t0_ns, &m->base[i], &ignored) != 0)
            m->t0_ns = RUN_NONE;
    return 0;
}

static int64_t energy_to(struct store *s, const struct meter_of *m, int64_t t_ns)
{
    int64_t uj = 0;
    if (m->coarse)
        t_ns = coarse_floor(t_ns);
    if (m->t0_ns == RUN_NONE || t_ns < m->t0_ns || (m->coarse && t_ns == m->t0_ns))
        return RUN_NONE;
    for (size_t i = 0; i < m->n; i++) {
        struct curve_point b;
        struct err e;
        if (samples_curve(s, m->channels[i], m->boot, t_ns, &b, &e) != 0 ||
            b.unknown_ns > m->base[i].unknown_ns)
            return RUN_NONE;
        uj += b.e_uj - m->base[i].e_uj;
    }
    return uj;
}

/* ---- the answer ----------------------------------------------------------------------------------- */

static void put_point(struct store *s, struct wire_out *o, const struct point *p,
                      const struct meter_of *m)
{
    wire_begin_array(o, NULL);
    wire_put_int(o, NULL, p->epoch);
    wire_put_f64(o, NULL, p->value);
    wire_put_int(o, NULL, p->t_ns);
    if (m)
        encode_opt(o, NULL, energy_to(s, m, p->t_ns));
    wire_end(o);
}

static void put_curve(struct store *s, struct curves_job *j, int64_t run, const struct curve *c,
                      const struct meter_of *m)
{
    struct wire_out *o = ops_list_row(&j->l);
    size_t shown = c->n < j->points ? c->n : j->points;
    wire_begin_map(o, NULL);
    wire_put_int(o, "run", run);
    wire_put_str(o, "key", c->key);
    wire_put_int(o, "n", (int64_t)c->seen);
    wire_begin_array(o, "points");
    for (size_t i = 0; i < shown; i++)
        put_point(s, o, &c->at[shown < c->n ? i * (c->n - 1) / (shown - 1) : i], m);
    wire_end(o);
    wire_end(o);
}

static int put_run(struct store *s, struct curves_job *j, int64_t run, struct err *e)
{
    struct meter_of m;
    for (size_t i = 0; i < j->nkeys; i++) {
        j->curves[i].n = j->curves[i].seen = 0;
        j->curves[i].least = INFINITY;
    }
    int rc = ops_may_see(s, &j->as, run, e);
    if (rc == 0)
        rc = find_meter(s, &j->as, run, &m, e);
    if (rc == 0)
        rc = runs_metrics(s, run, take_metric, j, e);
    for (size_t i = 0; rc == 0 && i < j->nkeys; i++)
        if (j->curves[i].seen > 0)
            put_curve(s, j, run, &j->curves[i], j->energy ? &m : NULL);
    return rc;
}

static int curves_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct curves_job *j = container_of(job, struct curves_job, job);
    int64_t next = RUN_NONE;
    for (size_t i = 0; i < j->nruns && next == RUN_NONE; i++) {
        if (ops_list_full(&j->l)) {
            next = j->runs[i];
            break;
        }
        int rc = put_run(s, j, j->runs[i], e);
        if (rc < 0)
            return rc;
    }
    encode_opt(ops_list_end(&j->l), "next", next);
    return 0;
}

static void free_job(struct curves_job *j)
{
    for (size_t i = 0; i < j->nkeys; i++)
        free(j->curves[i].at);
    free(j->runs);
    free(j);
}

static void curves_done(struct reader_job *job, int rc, const struct err *e)
{
    struct curves_job *j = container_of(job, struct curves_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free_job(j);
}

static int take_keys(const struct op_call *c, struct curves_job *j, struct err *e)
{
    const struct wire_val *keys = wire_get(c->req, "keys");
    size_t n = wire_len(keys);
    if (wire_type(keys) != WIRE_ARRAY || n == 0 || n > KEYS_MAX)
        return err_set(e, WATTQ_E_USAGE, "'keys' must be an array of 1 to %d names of metrics",
                       KEYS_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *key = wire_as_str(wire_at(keys, i), NULL);
        if (!key || !base_strcpy(j->curves[i].key, sizeof(j->curves[i].key), key))
            return err_set(e, WATTQ_E_USAGE, "'keys' element %zu is no name of a metric", i);
    }
    j->nkeys = n;
    return 0;
}

int op_curves(struct op_call *c, struct err *e)
{
    int64_t points = wire_int(c->req, "points", POINTS_DEFAULT);
    if (points < 2 || points > POINTS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "'points' is 2 to %d", POINTS_MAX);
    struct curves_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = curves_work, .done = curves_done, .slow = true};
    j->points = (size_t)points;
    j->as = *peer_rights(c->p);
    j->records = wire_bool(c->req, "records", false);
    j->energy = wire_bool(c->req, "energy", false);
    int rc = take_keys(c, j, e);
    if (rc == 0)
        rc = ops_need_runs(c, &j->runs, &j->nruns, e);
    if (rc < 0) {
        free_job(j);
        return rc;
    }
    ops_keep(&j->t, c);
    ops_list_begin(&j->l, c->id, "curves");
    ops_read(&j->t, &j->job);
    return 0;
}
