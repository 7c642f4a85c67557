/* audit: does everything add up? On request over any stretch of stored time; and by itself each minute over
 * the newest minutes, at a bounded cost, with a row for each and a word in the log where it fails. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"
#include "daemon/energy/audit.h"
#include "daemon/log.h"

#define ASKED_BUDGET_NS (60 * NS_PER_S)
#define ASKED_WINDOWS   20
#define SINCE_DEFAULT   (600 * NS_PER_S)

/* By itself: at most 0.2 % of a core. */
#define WATCH_BUDGET_NS (100 * NS_PER_MS)
#define WATCH_BACK_NS   (600 * NS_PER_S) /* the first time: what the daemon before left, too */
#define WATCH_EVERY_NS  (60 * NS_PER_S)
#define WATCH_WINDOWS   1

/* ---- on request --------------------------------------------------------------------------------- */

struct audit_job {
    struct storage_job flush;
    struct reader_job job;
    struct ops_ticket t;
    int64_t since_utc_ns;
    struct audit_plan plan;
    struct audit_result result;
    struct wire_out o;
};

struct each_boot {
    struct audit_job *j;
    int64_t boots[64];
    size_t n;
};

static int take_boot(void *arg, int64_t boot)
{
    struct each_boot *x = arg;
    if (x->n < ARRAY_LEN(x->boots))
        x->boots[x->n++] = boot;
    return 0;
}

static int audit_boots(struct store *s, struct audit_job *j, struct err *e)
{
    struct each_boot x = {.j = j};
    int64_t first = 0, t0 = 0;
    bool known = store_boot_of(s, j->since_utc_ns, &first, &t0) == 0;
    int rc = accounts_boots(s, known ? first : 0, take_boot, &x, e);
    for (size_t i = 0; rc == 0 && i < x.n && !j->result.cut; i++) {
        j->plan.boot = x.boots[i];
        j->plan.t0_ns = known && x.boots[i] == first ? t0 : 0;
        j->plan.t1_ns = INT64_MAX;
        rc = audit_run(s, &j->plan, &j->result, e);
    }
    return rc;
}

static void put_result(struct wire_out *o, const struct audit_result *r, int64_t since_utc_ns)
{
    wire_put_int(o, "since_utc_ns", since_utc_ns);
    wire_put_int(o, "meters", r->meters);
    wire_put_int(o, "ticks", r->ticks);
    wire_put_int(o, "replayed", r->replayed);
    wire_put_int(o, "windows", r->windows);
    wire_put_int(o, "chunks", r->chunks);
    wire_put_int(o, "checks", r->checks);
    wire_put_int(o, "failures", r->failures);
    wire_put_bool(o, "cut", r->cut);
    wire_begin_array(o, "failed");
    for (int64_t i = 0; i < r->failures && i < AUDIT_TEXTS; i++)
        wire_put_str(o, NULL, r->text[i]);
    wire_end(o);
}

static int audit_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct audit_job *j = container_of(job, struct audit_job, job);
    int rc = audit_boots(s, j, e);
    if (rc < 0)
        return rc;
    ops_begin(&j->o, j->t.id);
    put_result(&j->o, &j->result, j->since_utc_ns);
    return 0;
}

static void audit_done(struct reader_job *job, int rc, const struct err *e)
{
    struct audit_job *j = container_of(job, struct audit_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j);
}

static void flushed(struct storage_job *job, int rc, const struct err *e)
{
    struct audit_job *j = container_of(job, struct audit_job, flush);
    (void)rc; /* a full disk: what is stored already can be audited all the same */
    (void)e;
    if (j->t.d->stopping) {
        struct err stopping = {0};
        err_set(&stopping, WATTQ_E_UNAVAILABLE, "wattqd is stopping");
        audit_done(&j->job, WATTQ_E_UNAVAILABLE, &stopping);
        return;
    }
    ops_read(&j->t, &j->job);
}

int op_audit(struct op_call *c, struct err *e)
{
    (void)e;
    struct audit_job *j = base_alloc(sizeof(*j));
    j->flush = (struct storage_job){.done = flushed};
    j->job = (struct reader_job){.work = audit_work, .done = audit_done, .slow = true};
    j->since_utc_ns = wire_int(c->req, "since_utc_ns", clock_utc_ns() - SINCE_DEFAULT);
    j->plan = (struct audit_plan){
        .windows = ASKED_WINDOWS, .seed = (uint64_t)clock_mono_ns(), .budget_ns = ASKED_BUDGET_NS};
    ops_keep(&j->t, c);
    storage_submit(c->d->storage, &j->flush);
    return 0;
}

/* ---- by itself ---------------------------------------------------------------------------------- */

struct ops_watch {
    struct daemon *d;
    struct reader_job read;
    struct storage_job write;
    struct audit_result result;
    struct audit_row row;
    int64_t started_ns;
    int64_t seen_ns; /* up to where it was looked at */
    size_t rounds;
    bool busy;
    bool said;                                        /* the failure that stands is in the log */
    char text[sizeof(((struct audit_row *)0)->text)]; /* newest failure; "" = none */
};

static int watch_read(struct store *s, struct reader_job *job, struct err *e)
{
    struct ops_watch *w = container_of(job, struct ops_watch, read);
    int64_t now_ns = clock_boot_ns();
    const struct audit_plan plan = {.boot = store_boot(s),
                                    .t0_ns = w->seen_ns ? w->seen_ns : now_ns - WATCH_BACK_NS,
                                    .t1_ns = now_ns,
                                    .first = w->rounds++,
                                    .windows = WATCH_WINDOWS,
                                    .seed = (uint64_t)now_ns,
                                    .budget_ns = WATCH_BUDGET_NS};
    w->result = (struct audit_result){0};
    int rc = audit_run(s, &plan, &w->result, e);
    w->row = (struct audit_row){.boot = plan.boot,
                                .t0_ns = plan.t0_ns,
                                .t1_ns = plan.t1_ns,
                                .checks = w->result.checks,
                                .failures = w->result.failures,
                                .created_utc_ns = clock_utc_ns()};
    base_strcpy(w->row.text, sizeof(w->row.text), w->result.text[0]);
    w->seen_ns = rc == 0 ? now_ns : w->seen_ns;
    return rc;
}

static int watch_write(struct store *s, struct storage_job *job, struct err *e)
{
    return accounts_audit_put(s, &container_of(job, struct ops_watch, write)->row, e);
}

static void watch_written(struct storage_job *job, int rc, const struct err *e)
{
    (void)rc; /* the next one is a minute away */
    (void)e;
    container_of(job, struct ops_watch, write)->busy = false;
}

static void watch_done(struct reader_job *job, int rc, const struct err *e)
{
    struct ops_watch *w = container_of(job, struct ops_watch, read);
    w->busy = rc == 0 && !w->d->stopping && w->result.checks > 0;
    if (rc < 0)
        log_debug("the audit could not be made: %s", e->text);
    if (rc == 0 && w->result.failures > 0) {
        base_strcpy(w->text, sizeof(w->text), w->row.text);
        if (!w->said)
            log_error("audit: %s; what to do: wattq audit --since -1h", w->row.text);
        w->said = true;
    }
    if (!w->busy)
        return;
    w->write = (struct storage_job){.work = watch_write, .done = watch_written};
    storage_submit(w->d->storage, &w->write);
}

void ops_watch_beat(struct daemon *d)
{
    int64_t now_ns = clock_mono_ns();
    if (!d->audit) {
        d->audit = base_alloc(sizeof(*d->audit));
        d->audit->d = d;
        d->audit->started_ns = now_ns;
    }
    struct ops_watch *w = d->audit;
    if (w->busy || d->stopping || now_ns - w->started_ns < WATCH_EVERY_NS)
        return;
    w->busy = true;
    w->started_ns = now_ns;
    w->read = (struct reader_job){.work = watch_read, .done = watch_done, .slow = true};
    storage_read(d->storage, &w->read);
}

const char *ops_watch_text(const struct daemon *d)
{
    return d->audit && d->audit->text[0] ? d->audit->text : NULL;
}

void ops_watch_free(struct daemon *d)
{
    free(d->audit);
    d->audit = NULL;
}
