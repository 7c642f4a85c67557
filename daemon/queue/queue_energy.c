/* Energy limits: about once per second what each run that has one has used so far is read in the pool, and a run
 * that is over is ended like one that is out of time. Where no run has a limit nothing is read. Loop thread but
 * for the reading.
 *
 * Bounded cost: after a round the next one waits fifty times as long as it took. While wattqd is away nobody looks;
 * what flowed meanwhile is in the counters, so the first look after it knows. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/spent.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define EVERY_NS   (900 * NS_PER_MS) /* the tick that asks comes once per second */
#define REST_TIMES 50
#define BLIND_NS   (15 * NS_PER_S) /* so long a figure may be missing before it is worth a remark */

struct energy_one {
    struct spent_ask ask;
    int rc;
    struct err err;
    struct energy_spent got;
};
struct queue_energy {
    struct reader_job job;
    struct queue *q;
    int64_t asked_ns;
    size_t n;
    struct energy_one at[];
};

/* ---- at submission ------------------------------------------------------------------------------ */

/* Why that figure cannot be told on this machine now; "" = it can. */
static const char *why_not(struct queue *q, enum spec_figure figure, char buf[160])
{
    size_t n = meter_count(q->cfg.meter);
    const struct meter_channel **channels CLEANUP(base_freep) =
        base_alloc((n + 1) * sizeof(const struct meter_channel *));
    struct meter_view *views CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(*views));
    uint8_t *in CLEANUP(base_freep) = base_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        channels[i] = meter_channel(q->cfg.meter, i);
    meter_views(q->cfg.meter, views, n);
    (void)meter_antichain(channels, n, views, in);
    return spent_why_not(figure, channels, in, n, buf);
}

static int settle(struct queue *q, struct spec *s, struct err *e)
{
    char why[160];
    if (s->energy_figure == SPEC_FIGURE_UNSAID && !s->exclusive) {
        err_set(e, WATTQ_E_USAGE,
                "an energy limit of a run that may have others beside it must name its figure");
        return err_next(e, "write --energy-limit AMOUNT,attributed, or leave --shared out");
    }
    if (s->energy_figure == SPEC_FIGURE_UNSAID)
        s->energy_figure = SPEC_FIGURE_LO;
    if (!why_not(q, s->energy_figure, why)[0])
        return 0;
    err_set(e, WATTQ_E_USAGE, "an energy limit cannot be kept: the machine's figure %s", why);
    return err_next(e,
                    s->energy_figure == SPEC_FIGURE_LO && !why_not(q, SPEC_FIGURE_MACHINE, why)[0]
                        ? "write --energy-limit AMOUNT,machine, which is held against the figure"
                          " itself"
                        : "wattq meters, which says what each meter lacks");
}

int queue_energy_settle(struct queue *q, struct spec *specs, size_t n, struct err *e)
{
    enum spec_figure fine = SPEC_FIGURE_UNSAID;
    for (size_t i = 0; i < n; i++) {
        struct spec *s = &specs[i];
        if (s->energy_limit_uj == 0 || (fine != SPEC_FIGURE_UNSAID && s->energy_figure == fine))
            continue;
        int rc = settle(q, s, e);
        if (rc < 0)
            return rc;
        fine = s->energy_figure;
    }
    return 0;
}

/* ---- over --------------------------------------------------------------------------------------- */

static void say_over(const struct queue_item *r, const struct energy_spent *x, char *out,
                     size_t cap)
{
    static const char *const words[] = {
        [SPEC_FIGURE_LO] = "the machine had used at least",
        [SPEC_FIGURE_MACHINE] = "the machine had used",
        [SPEC_FIGURE_ATTRIBUTED] = "its share was",
    };
    char limit[40], used[40];
    snprintf(out, cap, "energy limit of %s reached: %s %s",
             units_show_energy(limit, sizeof(limit), r->spec->energy_limit_uj),
             words[r->spec->energy_figure], units_show_energy(used, sizeof(used), x->energy_uj));
}

static void end_it(struct queue_item *r, const struct energy_spent *x)
{
    struct run_change c;
    struct err e;
    char reason[160];
    if (launch_stop_energy(r->q->cfg.launch, r->row.id, r->spec->grace_ns, &e) < 0) {
        log_warn("run %" PRId64 " is over its energy limit and cannot be ended yet: %s", r->row.id,
                 e.text);
        return;
    }
    r->live->energy_over = true;
    say_over(r, x, reason, sizeof(reason));
    base_strcpy(r->live->stop_reason, sizeof(r->live->stop_reason), reason);
    if (r->next != RUN_RUNNING && r->next != RUN_PAUSED)
        return;
    run_change_init(&c);
    c.t_ns = clock_boot_ns();
    c.reason = reason;
    queue_move(r, RUN_STOPPING, &c, NULL);
    queue_commit(r);
}

/* ---- blind -------------------------------------------------------------------------------------- */

struct blind_job {
    struct storage_job job;
    struct queue *q;
    int64_t run;
    char text[240];
};

static int blind_work(struct store *s, struct storage_job *job, struct err *e)
{
    const struct blind_job *j = container_of(job, struct blind_job, job);
    return runs_remark(s, j->run, j->text, e);
}

static void blind_done(struct storage_job *job, int rc, const struct err *e)
{
    struct blind_job *j = container_of(job, struct blind_job, job);
    queue_job_back(j->q);
    if (rc < 0)
        log_warn("run %" PRId64 ": %s; and this cannot be written down: %s", j->run, j->text,
                 e->text);
    free(j);
}

/* Its limit is held against less than it should be, or against nothing: said once, in its history. */
static void note_blind(struct queue_item *r, const struct energy_one *one, int64_t now_ns)
{
    const char *why = one->rc < 0 ? one->err.text : one->got.reason;
    if (!why[0]) {
        r->live->energy_blind_ns = 0;
        return;
    }
    if (r->live->energy_blind_ns == 0)
        r->live->energy_blind_ns = now_ns;
    if (r->live->energy_told || now_ns - r->live->energy_blind_ns < BLIND_NS)
        return;
    r->live->energy_told = true;
    struct blind_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = blind_work, .done = blind_done};
    j->q = r->q;
    j->run = r->row.id;
    snprintf(j->text, sizeof(j->text), "its energy limit cannot be watched %s now: %.150s",
             one->rc == 0 && one->got.known ? "in full" : "just", why);
    log_warn("run %" PRId64 ": %s", j->run, j->text);
    queue_submit_job(r->q, &j->job);
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static bool is_watched(struct queue_item *r)
{
    struct err e;
    if (r->life != LIFE_ON || r->row.t0_ns == RUN_NONE || queue_item_spec(r, &e) < 0 ||
        r->spec->energy_limit_uj == 0 || r->live->energy_over)
        return false;
    return r->next == RUN_RUNNING || r->next == RUN_PAUSED ||
           (r->next == RUN_STOPPING && r->spec->wait_children && !r->live->stop_reason[0]);
}

static int read_all(struct store *s, struct reader_job *job, struct err *e)
{
    struct queue_energy *j = container_of(job, struct queue_energy, job);
    (void)e;
    for (size_t i = 0; i < j->n; i++)
        j->at[i].rc = energy_spent(s, &j->at[i].ask, &j->at[i].got, &j->at[i].err);
    return 0;
}

static void look_at(struct queue *q, const struct energy_one *one, int64_t now_ns)
{
    struct queue_item *r = queue_item_find(q, one->ask.run);
    if (!r || !is_watched(r))
        return;
    note_blind(r, one, now_ns);
    if (one->rc == 0 && one->got.known && one->got.energy_uj >= r->spec->energy_limit_uj)
        end_it(r, &one->got);
}

static void all_read(struct reader_job *job, int rc, const struct err *e)
{
    struct queue_energy *j = container_of(job, struct queue_energy, job);
    struct queue *q = j->q;
    int64_t now_ns = clock_boot_ns();
    int64_t rest_ns = (now_ns - j->asked_ns) * REST_TIMES;
    q->energy = NULL;
    q->energy_next_ns = now_ns + (rest_ns > EVERY_NS ? rest_ns : EVERY_NS);
    if (rc < 0)
        log_warn("energy limits cannot be watched just now: %s", e->text);
    for (size_t i = 0; rc == 0 && i < j->n && !q->closing; i++)
        look_at(q, &j->at[i], now_ns);
    free(j);
    queue_job_back(q);
}

void queue_energy_tick(struct queue *q, int64_t now_ns)
{
    size_t n = 0;
    if (q->energy || now_ns < q->energy_next_ns)
        return;
    for (size_t i = 0; i < q->active.n; i++)
        n += is_watched(q->active.at[i]);
    if (n == 0)
        return;
    struct queue_energy *j = base_alloc(sizeof(*j) + n * sizeof(j->at[0]));
    j->job = (struct reader_job){.work = read_all, .done = all_read};
    j->q = q;
    j->asked_ns = now_ns;
    for (size_t i = 0; i < q->active.n; i++) {
        struct queue_item *r = q->active.at[i];
        if (is_watched(r))
            j->at[j->n++].ask = (struct spent_ask){.run = r->row.id,
                                                   .boot = r->row.boot,
                                                   .t0_ns = r->row.t0_ns,
                                                   .now_ns = now_ns,
                                                   .figure = r->spec->energy_figure,
                                                   .alone = r->alone,
                                                   .policy = q->cfg.policy};
    }
    q->energy = j;
    q->jobs_out++; /* a read is waited for as a storage job is */
    storage_read(q->cfg.storage, &j->job);
}
