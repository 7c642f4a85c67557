/* idle: what the machine drew while no run was on, over the newest such time or over a range of the past.
 *
 * Idle time is cut into pieces of at least a second; the figure of a channel is the mean over all pieces,
 * and beside it stand their median and spread, which one piece in which something else used the machine
 * does not move. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"

#define IDLE_SECONDS 30
#define IDLE_BACK_NS (3600 * NS_PER_S) /* how far back an idle stretch is looked for */
#define SETTLE_NS    (1 * NS_PER_S)    /* after a run: fans and caches calm down */
#define PIECES_MAX   600

struct idle_job {
    struct storage_job flush; /* samples of the last second are in the database before we look */
    struct reader_job job;
    struct ops_ticket t;
    bool coarse;          /* stretches of whole seconds */
    int64_t since_utc_ns; /* RUN_NONE: the last hour */
    int64_t until_utc_ns;
    struct energy_window w;
    int64_t boot_now;
    int64_t busy_from_ns; /* a run goes on since then; RUN_NONE = none does */
    int64_t idle_ns;      /* newest time that is enough; RUN_NONE = all of it */
    struct wire_out o;
};

/* ---- stretches without a run -------------------------------------------------------------------- */

struct stretch {
    int64_t t0_ns;
    int64_t t1_ns;
};
struct stretches {
    struct stretch *at;
    size_t n;
    bool coarse;
    int64_t free_from; /* up to here everything is known to be busy or taken */
    int64_t end_ns;
};

static void put_stretch(struct stretches *l, int64_t t0_ns, int64_t t1_ns)
{
    if (l->coarse) {
        t0_ns = coarse_ceil(t0_ns);
        t1_ns = coarse_floor(t1_ns);
    }
    if (t1_ns - t0_ns < NS_PER_S)
        return;
    l->at = realloc(l->at, (l->n + 1) * sizeof(*l->at));
    if (!l->at)
        abort();
    l->at[l->n++] = (struct stretch){t0_ns, t1_ns};
}

static int take_run(void *arg, int64_t t0_ns, int64_t t1_ns)
{
    struct stretches *l = arg;
    put_stretch(l, l->free_from, t0_ns < l->end_ns ? t0_ns : l->end_ns);
    if (t1_ns + SETTLE_NS > l->free_from)
        l->free_from = t1_ns + SETTLE_NS;
    return 0;
}

static int find_stretches(struct store *s, const struct idle_job *j, struct stretches *l,
                          struct err *e)
{
    *l = (struct stretches){.coarse = j->coarse, .free_from = j->w.t0_ns, .end_ns = j->w.t1_ns};
    if (j->w.boot == j->boot_now && j->busy_from_ns != RUN_NONE && j->busy_from_ns < l->end_ns)
        l->end_ns = j->busy_from_ns;
    /* A run that ended just before the range still warms its beginning. */
    struct energy_window w = j->w;
    w.t0_ns -= w.t0_ns > SETTLE_NS ? SETTLE_NS : 0;
    int rc = runs_windows(s, &w, take_run, l, e);
    if (rc == 0)
        put_stretch(l, l->free_from, l->end_ns);
    return rc;
}

/* The part of a stretch for which the channel has samples. */
static void clamp_to_samples(struct store *s, int64_t channel, struct energy_window *w)
{
    struct sample at;
    struct err e;
    if (samples_before(s, channel, w->boot, w->t1_ns, &at, &e) == 0 && at.t_ns < w->t1_ns)
        w->t1_ns = at.t_ns;
    if (samples_after(s, channel, w->boot, w->t0_ns, &at, &e) == 0 && at.t_ns > w->t0_ns)
        w->t0_ns = at.t_ns;
}

/* ---- pieces ------------------------------------------------------------------------------------- */

/* What was found of one channel, or of the total. */
struct pieces {
    double *power_w; /* of each piece */
    size_t n;
    int64_t uj;
    int64_t ns;
    int64_t since_ns; /* RUN_NONE = nothing was found */
};

static void put_piece(struct pieces *p, const struct energy_figure *f,
                      const struct energy_window *w)
{
    int64_t ns = w->t1_ns - w->t0_ns;
    if (!f->known || f->unknown_ns > 0 || ns <= 0)
        return;
    p->power_w = realloc(p->power_w, (p->n + 1) * sizeof(*p->power_w));
    if (!p->power_w)
        abort();
    p->power_w[p->n++] = (double)f->energy_uj / (double)ns * 1e3;
    p->uj += f->energy_uj;
    p->ns += ns;
    if (p->since_ns == RUN_NONE || w->t0_ns < p->since_ns)
        p->since_ns = w->t0_ns;
}

static int64_t piece_ns(const struct idle_job *j, const struct stretches *l)
{
    int64_t all = 0;
    for (size_t i = 0; i < l->n; i++)
        all += l->at[i].t1_ns - l->at[i].t0_ns;
    if (j->idle_ns != RUN_NONE && all > j->idle_ns)
        all = j->idle_ns;
    return all / PIECES_MAX > NS_PER_S ? all / PIECES_MAX : NS_PER_S;
}

/* Who is measured: one channel, or (NULL) the total. */
static int measure(struct store *s, const struct channel_row *c, const struct energy_window *w,
                   struct energy_figure *f, struct err *e)
{
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    if (c)
        return energy_of_channel(s, c, w, f, e);
    int rc = energy_of_window(s, w, &set, e);
    *f = set.total;
    return rc;
}

/* Newest first, until there is enough. The rest of a stretch that is shorter than half a piece joins the
 * piece beside it. */
static void cut(struct store *s, const struct channel_row *c, const struct idle_job *j,
                const struct energy_window *w, int64_t step_ns, struct pieces *p)
{
    struct energy_window piece = *w;
    while (piece.t1_ns > w->t0_ns && (j->idle_ns == RUN_NONE || p->ns < j->idle_ns)) {
        struct energy_figure f;
        struct err e;
        int64_t rest = piece.t1_ns - w->t0_ns;
        piece.t0_ns = rest < step_ns + step_ns / 2 ? w->t0_ns : piece.t1_ns - step_ns;
        if (measure(s, c, &piece, &f, &e) == 0)
            put_piece(p, &f, &piece);
        piece.t1_ns = piece.t0_ns;
    }
}

/* With all energy channels that have samples there, for the total. */
static void clamp_to_all(struct store *s, const struct channel_row *all, size_t n,
                         struct energy_window *w)
{
    const struct energy_window whole = *w;
    for (size_t i = 0; i < n; i++) {
        struct energy_window one = whole;
        if (all[i].quality == QUALITY_NONE)
            continue;
        clamp_to_samples(s, all[i].id, &one);
        if (one.t1_ns <= one.t0_ns || one.t0_ns >= whole.t1_ns || one.t1_ns <= whole.t0_ns)
            continue; /* a channel of other times */
        w->t0_ns = one.t0_ns > w->t0_ns ? one.t0_ns : w->t0_ns;
        w->t1_ns = one.t1_ns < w->t1_ns ? one.t1_ns : w->t1_ns;
    }
}

struct channels {
    struct channel_row *at;
    size_t n;
};

static void find_pieces(struct store *s, const struct channel_row *c, const struct channels *all,
                        const struct stretches *l, const struct idle_job *j, struct pieces *p)
{
    int64_t step_ns = piece_ns(j, l);
    *p = (struct pieces){.since_ns = RUN_NONE};
    for (size_t i = l->n; i-- > 0 && (j->idle_ns == RUN_NONE || p->ns < j->idle_ns);) {
        struct energy_window w = {j->w.boot, l->at[i].t0_ns, l->at[i].t1_ns};
        if (c)
            clamp_to_samples(s, c->id, &w);
        else
            clamp_to_all(s, all->at, all->n, &w);
        if (w.t1_ns - w.t0_ns >= NS_PER_S / 2)
            cut(s, c, j, &w, step_ns, p);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Median, and 1.4826 times the median distance from it: of a normal distribution its sd. */
static void put_pieces(struct store *s, struct wire_out *o, struct pieces *p,
                       const struct idle_job *j)
{
    bool found = p->n > 0;
    encode_opt(o, "power_uw", found ? units_muldiv_floor(p->uj, NS_PER_S, p->ns) : RUN_NONE);
    if (!found)
        wire_put_str(o, "reason",
                     j->since_utc_ns == RUN_NONE
                         ? "no second without a run was measured in the last hour"
                         : "no second without a run was measured in that time");
    double mid = found ? median(p->power_w, p->n) : 0;
    encode_opt(o, "median_uw", found ? (int64_t)llround(mid * 1e6) : RUN_NONE);
    for (size_t i = 0; i < p->n; i++)
        p->power_w[i] = fabs(p->power_w[i] - mid);
    encode_opt(o, "spread_uw",
               p->n > 1 ? (int64_t)llround(1.4826e6 * median(p->power_w, p->n)) : RUN_NONE);
    wire_put_int(o, "pieces", (int64_t)p->n);
    wire_put_int(o, "n", p->ns / NS_PER_S);
    encode_opt(o, "since_utc_ns",
               found ? store_utc_of(s, j->w.boot, p->since_ns) : (int64_t)RUN_NONE);
    free(p->power_w);
}

/* ---- the operation ------------------------------------------------------------------------------ */

static void put_channel(struct store *s, struct idle_job *j, const struct channel_row *c,
                        const struct stretches *l)
{
    struct pieces p;
    find_pieces(s, c, NULL, l, j, &p);
    wire_begin_map(&j->o, NULL);
    wire_put_int(&j->o, "channel", c->id);
    wire_put_str(&j->o, "label", c->label);
    wire_put_str(&j->o, "quality", channel_quality_name(c->quality));
    put_pieces(s, &j->o, &p, j);
    wire_end(&j->o);
}

/* What the total was taken over, from the newest stretch. */
static void put_total(struct store *s, struct idle_job *j, const struct channels *all,
                      const struct stretches *l)
{
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    struct pieces p;
    struct err e;
    find_pieces(s, NULL, all, l, j, &p);
    wire_begin_map(&j->o, "total");
    if (l->n > 0) {
        struct energy_window w = {j->w.boot, l->at[l->n - 1].t0_ns, l->at[l->n - 1].t1_ns};
        clamp_to_all(s, all->at, all->n, &w);
        if (w.t1_ns > w.t0_ns && energy_of_window(s, &w, &set, &e) == 0) {
            wire_put_str(&j->o, "label", set.meter);
            wire_put_str(&j->o, "quality", channel_quality_name(set.total.quality));
        }
    }
    put_pieces(s, &j->o, &p, j);
    wire_end(&j->o);
}

static int find_range(struct store *s, struct idle_job *j, struct err *e)
{
    j->boot_now = store_boot(s);
    if (j->coarse && j->since_utc_ns == RUN_NONE)
        j->w.t1_ns -= COARSE_NS;
    if (j->since_utc_ns == RUN_NONE) {
        j->w.boot = j->boot_now;
        return 0;
    }
    int rc = ops_window(s, j->since_utc_ns, j->until_utc_ns, &j->w, e);
    if (rc < 0)
        return rc;
    int64_t now = clock_boot_ns();
    if (j->coarse)
        now -= COARSE_NS;
    if (j->w.boot == j->boot_now && j->w.t1_ns > now)
        j->w.t1_ns = now;
    return j->w.t1_ns > j->w.t0_ns ? 0
                                   : err_set(e, WATTQ_E_USAGE, "the range ends before it begins");
}

static int idle_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, job);
    struct channels all = {0};
    struct stretches l = {0};
    int rc = find_range(s, j, e);
    if (rc == 0)
        rc = find_stretches(s, j, &l, e);
    if (rc == 0)
        rc = samples_channels(s, &all.at, &all.n, e);
    if (rc == 0) {
        ops_begin(&j->o, j->t.id);
        wire_begin_array(&j->o, "channels");
        for (size_t i = 0; i < all.n; i++)
            if (all.at[i].quality != QUALITY_NONE)
                put_channel(s, j, &all.at[i], &l);
        wire_end(&j->o);
        put_total(s, j, &all, &l);
    }
    free(all.at);
    free(l.at);
    return rc;
}

static void idle_done(struct reader_job *job, int rc, const struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j);
}

static void flushed(struct storage_job *job, int rc, const struct err *e)
{
    struct idle_job *j = container_of(job, struct idle_job, flush);
    (void)rc; /* a full disk: what is stored already is still an answer */
    (void)e;
    if (j->t.d->stopping) {
        struct err stopping = {0};
        err_set(&stopping, WATTQ_E_UNAVAILABLE, "wattqd is stopping");
        idle_done(&j->job, WATTQ_E_UNAVAILABLE, &stopping);
        return;
    }
    ops_read(&j->t, &j->job);
}

static int find_busy(void *arg, const struct queue_run *r)
{
    int64_t *from = arg;
    int64_t t0 = r->row->t0_ns;
    if (run_state_ended(r->row->state) || t0 == RUN_NONE)
        return 0;
    if (*from == RUN_NONE || t0 < *from)
        *from = t0;
    return 0;
}

int op_idle(struct op_call *c, struct err *e)
{
    int64_t since = wire_int(c->req, "since_utc_ns", RUN_NONE);
    int64_t until = wire_int(c->req, "until_utc_ns", clock_utc_ns());
    int64_t seconds = wire_int(c->req, "seconds", since == RUN_NONE ? IDLE_SECONDS : 0);
    if (seconds < (since == RUN_NONE ? 1 : 0) || seconds > 3600)
        return err_set(e, WATTQ_E_USAGE, "'seconds' is 1 to 3600");
    if (since != RUN_NONE && until <= since)
        return err_set(e, WATTQ_E_USAGE, "the range ends before it begins");
    struct idle_job *j = base_alloc(sizeof(*j));
    j->flush = (struct storage_job){.done = flushed};
    j->job = (struct reader_job){.work = idle_work, .done = idle_done, .slow = true};
    ops_keep(&j->t, c);
    j->since_utc_ns = since;
    j->coarse = !peer_rights(c->p)->raw;
    j->until_utc_ns = until;
    j->idle_ns = seconds > 0 ? seconds * NS_PER_S : RUN_NONE;
    j->w.t1_ns = clock_boot_ns();
    j->w.t0_ns = j->w.t1_ns > IDLE_BACK_NS ? j->w.t1_ns - IDLE_BACK_NS : 0;
    j->busy_from_ns = RUN_NONE;
    queue_visit(c->d->queue, find_busy, &j->busy_from_ns);
    storage_submit(c->d->storage, &j->flush);
    return 0;
}
