/* energy: windows of the past. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"

struct energy_job {
    struct storage_job flush; /* samples of the last second are in the database before we look */
    struct reader_job job;
    struct ops_ticket t;
    struct rights as;
    bool ended;   /* the run's window */
    bool snapped; /* outward, to whole seconds */
    int64_t run;  /* RUN_NONE: the window below */
    int64_t since_utc_ns, until_utc_ns;
    struct energy_window w;
    enum share_policy policy;
    bool calibrated;
    struct wire_out o;
};

/* ---- windows ------------------------------------------------------------------------------------ */

static void put_window(struct store *s, struct wire_out *o, const struct energy_window *w)
{
    int64_t u0 = store_utc_of(s, w->boot, w->t0_ns);
    int64_t u1 = store_utc_of(s, w->boot, w->t1_ns);
    wire_begin_map(o, "window");
    wire_put_int(o, "boot", w->boot);
    wire_put_int(o, "t0_ns", w->t0_ns);
    wire_put_int(o, "t1_ns", w->t1_ns);
    encode_opt(o, "t0_utc_ns", u0 < 0 ? RUN_NONE : u0);
    encode_opt(o, "t1_utc_ns", u1 < 0 ? RUN_NONE : u1);
    wire_end(o);
}

static void put_set(struct wire_out *o, const struct energy_set *set, const struct rights *as)
{
    const struct encode_figure total = {&set->total, NULL, "machine", "window", false};
    wire_begin_array(o, "figures");
    encode_figure(o, NULL, &total, as);
    for (size_t i = 0; i < set->n; i++) {
        const struct encode_figure f = {&set->figures[i], &set->channels[i], "machine", "window",
                                        set->in_total[i] != 0};
        encode_figure(o, NULL, &f, as);
    }
    wire_end(o);
    wire_put_str(o, "meter", set->meter);
    wire_put_str(o, "covers", set->covers);
    if (set->has_uncovered) {
        wire_put_int(o, "uncovered_uj", set->uncovered_uj);
        wire_put_str(o, "uncovered_beyond", set->inner);
    }
}

static int window_of_run(struct store *s, struct energy_job *j, struct err *e)
{
    struct run_row row CLEANUP(run_row_fini) = {0};
    int rc = runs_get(s, j->run, &row, e);
    if (rc > 0)
        return ops_no_run(j->run, e);
    if (rc == 0 && row.t0_ns == RUN_NONE)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is %s and has not started", j->run,
                       run_state_name(row.state));
    j->w = (struct energy_window){row.boot, row.t0_ns, row.t1_ns};
    j->ended = j->w.t1_ns != RUN_NONE;
    if (!j->ended)
        j->w.t1_ns = clock_boot_ns();
    return rc;
}

/* A window lies in one boot: that of its end. */
int ops_window(struct store *s, int64_t since_utc_ns, int64_t until_utc_ns, struct energy_window *w,
               struct err *e)
{
    int64_t boot0 = 0;
    int64_t t0 = 0;
    if (store_boot_of(s, until_utc_ns, &w->boot, &w->t1_ns) != 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "nothing was measured before that time");
        return err_next(e, "choose a later time");
    }
    bool known = store_boot_of(s, since_utc_ns, &boot0, &t0) == 0;
    w->t0_ns = known && boot0 == w->boot ? t0 : 0;
    return 0;
}

static int window_of_utc(struct store *s, struct energy_job *j, struct err *e)
{
    int rc = ops_window(s, j->since_utc_ns, j->until_utc_ns, &j->w, e);
    if (rc < 0)
        return rc;
    int64_t now = clock_boot_ns();
    if (j->w.boot == store_boot(s) && j->w.t1_ns > now)
        j->w.t1_ns = now;
    if (j->w.t1_ns <= j->w.t0_ns)
        return err_set(e, WATTQ_E_USAGE, "the window ends before it begins");
    return 0;
}

/* The ends of an ended run of a second or more stay: its figure is the one that is stored. */
static int snap(struct store *s, struct energy_job *j, struct err *e)
{
    bool whole = j->run != RUN_NONE && j->ended && j->w.t1_ns - j->w.t0_ns >= COARSE_NS;
    if (j->as.raw || whole)
        return 0;
    j->snapped = true;
    return coarse_window(&j->w, j->w.boot == store_boot(s) ? clock_boot_ns() : RUN_NONE, e);
}

static int energy_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct energy_job *j = container_of(job, struct energy_job, job);
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    int rc = 0;
    if (j->run != RUN_NONE)
        rc = window_of_run(s, j, e);
    else if (j->w.boot == RUN_NONE)
        rc = window_of_utc(s, j, e);
    if (rc == 0)
        rc = snap(s, j, e);
    if (rc == 0)
        rc = energy_of_window(s, &j->w, &set, e);
    if (rc < 0)
        return rc;
    ops_begin(&j->o, j->t.id);
    put_window(s, &j->o, &j->w);
    put_set(&j->o, &set, &j->as);
    if (!j->as.raw)
        wire_put_bool(&j->o, "snapped", j->snapped);
    if (j->calibrated)
        rc = ops_put_calibrated(s, &j->o, &set, e);
    if (rc < 0 || j->run == RUN_NONE)
        return rc;
    const struct ops_share mine = {j->run, &j->w, &j->as, j->policy, &set};
    return ops_put_shares(s, &j->o, &mine, e);
}

static void job_done(struct reader_job *job, int rc, const struct err *e)
{
    struct energy_job *j = container_of(job, struct energy_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j);
}

static void flushed(struct storage_job *job, int rc, const struct err *e)
{
    struct energy_job *j = container_of(job, struct energy_job, flush);
    (void)rc; /* a full disk: what is stored already is still an answer */
    (void)e;
    if (j->t.d->stopping) {
        struct err stopping = {0};
        err_set(&stopping, WATTQ_E_UNAVAILABLE, "wattqd is stopping");
        job_done(&j->job, WATTQ_E_UNAVAILABLE, &stopping);
        return;
    }
    ops_read(&j->t, &j->job);
}

static struct energy_job *new_job(const struct op_call *c)
{
    struct energy_job *j = base_alloc(sizeof(*j));
    j->flush = (struct storage_job){.done = flushed};
    j->job = (struct reader_job){.work = energy_work, .done = job_done, .slow = true};
    ops_keep(&j->t, c);
    return j;
}

int op_energy(struct op_call *c, struct err *e)
{
    int64_t now = clock_utc_ns();
    const struct energy_window w = {wire_int(c->req, "boot", RUN_NONE),
                                    wire_int(c->req, "t0_ns", 0), wire_int(c->req, "t1_ns", 0)};
    int64_t run = wire_int(c->req, "run", RUN_NONE);
    int64_t since = wire_int(c->req, "since_utc_ns", RUN_NONE);
    int64_t until = wire_int(c->req, "until_utc_ns", now);
    if (run == RUN_NONE && w.boot == RUN_NONE && since == RUN_NONE)
        return err_set(e, WATTQ_E_USAGE,
                       "name a 'run', 'since_utc_ns', or 'boot' with 't0_ns' and 't1_ns'");
    if (w.boot != RUN_NONE ? w.t0_ns < 0 || w.t1_ns <= w.t0_ns
                           : since != RUN_NONE && until <= since)
        return err_set(e, WATTQ_E_USAGE, "the window ends before it begins");
    enum share_policy policy;
    const char *word = wire_str(c->req, "policy", c->d->config.share_policy);
    if (!share_policy_parse(word, &policy)) {
        err_set(e, WATTQ_E_USAGE, "there is no policy '%.40s'", word);
        return err_next(e, "none, equal, reserved or usage");
    }
    struct energy_job *j = new_job(c);
    j->policy = policy;
    j->as = *peer_rights(c->p);
    j->calibrated = wire_bool(c->req, "calibrated", false);
    j->run = run;
    j->since_utc_ns = since;
    j->until_utc_ns = until;
    j->w = w;
    storage_submit(c->d->storage, &j->flush);
    return 0;
}
