/* hello, info, queue, sweeps: what is answered from memory or by one small question. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"

static const char *const features[] = {"queue", "exec", "sweep", "metrics", "stream", "idle"};

static void put_rights(struct wire_out *o, const struct rights *as)
{
    wire_begin_map(o, "rights");
    wire_put_bool(o, "admin", as->admin);
    wire_put_bool(o, "details", as->details);
    wire_put_bool(o, "raw", as->raw);
    wire_put_bool(o, "submit", as->may_submit);
    wire_end(o);
}

int op_hello(struct op_call *c, struct err *e)
{
    struct wire_out o = {0};
    char boot_id[40] = "";
    (void)e;
    ops_begin(&o, c->id);
    wire_put_int(&o, "version", WIRE_VERSION);
    wire_put_str(&o, "daemon", WATTQ_VERSION);
    wire_put_str(&o, "mode", c->d->policy.system ? "system" : "user");
    wire_put_str(&o, "launcher", c->d->policy.system ? c->d->config.launcher : NULL);
    wire_put_int(&o, "uid", (int64_t)getuid());
    wire_put_int(&o, "pid", (int64_t)getpid());
    encode_opt(&o, "boot", queue_boot(c->d->queue));
    wire_put_str(&o, "boot_id", result_boot_id(boot_id) == 0 ? boot_id : NULL);
    wire_begin_array(&o, "features");
    for (size_t i = 0; i < ARRAY_LEN(features); i++)
        wire_put_str(&o, NULL, features[i]);
    wire_end(&o);
    put_rights(&o, peer_rights(c->p));
    wire_put_str(&o, "state_dir", peer_rights(c->p)->details ? c->d->paths.state : NULL);
    wire_put_str(&o, "train_path", c->d->paths.train);
    wire_put_str(&o, "shepherd_path", c->d->paths.shepherd);
    peer_send(c->p, &o);
    wire_out_free(&o);
    return 0;
}

/* ---- info --------------------------------------------------------------------------------------- */

static int64_t file_bytes(const char *path, const char *suffix)
{
    struct stat st;
    char *name CLEANUP(base_freep) = base_printf("%s%s", path, suffix);
    return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

static void put_storage(struct op_call *c, struct wire_out *o)
{
    struct storage_status st;
    const char *path = c->d->paths.database;
    storage_get_status(c->d->storage, &st);
    wire_begin_map(o, "storage");
    wire_put_bool(o, "degraded", st.health.degraded);
    wire_put_str(o, "reason", health_words(&st.health, peer_rights(c->p)->details));
    if (st.health.degraded)
        wire_put_int(o, "degraded_ns", clock_boot_ns() - st.health.since_ns);
    else
        wire_put_nil(o, "degraded_ns");
    wire_put_int(o, "waiting", st.waiting);
    wire_put_int(o, "log_bytes", st.health.log_bytes);
    wire_put_int(o, "commits", st.commits);
    wire_put_int(o, "samples", st.samples);
    wire_put_int(o, "dropped", (int64_t)st.dropped_ticks);
    wire_put_str(o, "path", peer_rights(c->p)->details ? path : NULL);
    wire_put_int(o, "bytes", file_bytes(path, "") + file_bytes(path, "-wal"));
    encode_opt(o, "budget_bytes", st.budget_bytes > 0 ? st.budget_bytes : RUN_NONE);
    wire_put_bool(o, "over_budget", st.over_budget);
    wire_end(o);
}

static void put_sampling(struct op_call *c, struct wire_out *o)
{
    struct meter_cost cost;
    meter_get_cost(c->d->meter, &cost);
    wire_begin_map(o, "sampling");
    wire_put_int(o, "channels", (int64_t)meter_count(c->d->meter));
    wire_put_int(o, "readings", cost.readings);
    wire_put_int(o, "cpu_us", cost.cpu_ns / NS_PER_US);
    wire_put_int(o, "span_ns", cost.since_ns ? clock_boot_ns() - cost.since_ns : 0);
    wire_end(o);
}

/* Its sentence names runs, meters and joules. */
static void put_audit(const struct op_call *c, struct wire_out *o)
{
    const char *text = ops_watch_text(c->d);
    if (text && !peer_rights(c->p)->details)
        text = "the accounts do not add up: its owner sees where";
    wire_put_str(o, "audit", text);
}

static int64_t own_rss(void)
{
    long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return RUN_NONE;
    int fields = fscanf(f, "%*s %lld", &pages);
    fclose(f);
    return fields == 1 ? (int64_t)pages * sysconf(_SC_PAGESIZE) : RUN_NONE;
}

static int64_t own_cpu(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) < 0)
        return RUN_NONE;
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

int op_info(struct op_call *c, struct err *e)
{
    struct wire_out o = {0};
    struct queue_counts n;
    (void)e;
    queue_get_counts(c->d->queue, &n);
    ops_begin(&o, c->id);
    wire_put_str(&o, "daemon", WATTQ_VERSION);
    wire_put_str(&o, "mode", c->d->policy.system ? "system" : "user");
    wire_put_str(&o, "supervision", launch_mode(c->d->launch));
    wire_put_str(&o, "blocked", launch_blocked(c->d->launch));
    put_storage(c, &o);
    put_sampling(c, &o);
    wire_begin_map(&o, "queue");
    wire_put_int(&o, "queued", n.queued);
    wire_put_int(&o, "running", n.starting + n.running + n.paused + n.stopping);
    wire_put_int(&o, "held", n.held);
    wire_put_int(&o, "parallel", c->d->config.parallel);
    wire_end(&o);
    ops_put_gpus_out(c, &o);
    put_audit(c, &o);
    wire_put_int(&o, "uptime_ns", clock_boot_ns() - c->d->started_boot_ns);
    encode_opt(&o, "cpu_us", own_cpu());
    encode_opt(&o, "rss_bytes", own_rss());
    wire_put_int(&o, "peers", (int64_t)server_peers(c->d->server));
    peer_send(c->p, &o);
    wire_out_free(&o);
    return 0;
}

/* ---- queue -------------------------------------------------------------------------------------- */

struct listing {
    struct ops_list l;
    struct encode enc;
    struct queue *q;
    int64_t left;
    int64_t uid; /* RUN_NONE = everybody */
    bool blocked;
    const char *launch_blocked;
    char why[QUEUE_REASON_MAX]; /* room for the sentence */
};

/* Why one that waits does: a disk that takes no commits, a launcher that is away, or what the queue says. */
static const char *why_waiting(struct listing *x, const struct queue_run *r)
{
    if (r->row->state != RUN_QUEUED)
        return NULL;
    if (x->blocked)
        return "storage is degraded, nothing is started: wattq info";
    if (x->launch_blocked)
        return x->launch_blocked;
    return queue_waiting_for(x->q, r->row->id, x->why, sizeof(x->why));
}

static int put_run(void *arg, const struct queue_run *r)
{
    struct listing *x = arg;
    if (x->uid != RUN_NONE && r->row->uid != x->uid)
        return 0;
    if (x->left-- <= 0 || ops_list_full(&x->l))
        return 1;
    struct wire_out *o = ops_list_row(&x->l);
    bool see = rights_may_see(&x->enc.as, r->row->uid);
    const char *why = see ? why_waiting(x, r) : NULL;
    wire_begin_map(o, NULL);
    encode_run(&x->enc, o, r->row, r);
    if (why)
        wire_put_str(o, "waiting_for", why);
    wire_end(o);
    return 0;
}

/* The machine's power now: the sum over the channels that make up its total, if all have a value. */
static void put_power(struct op_call *c, struct wire_out *o)
{
    struct meter_total t;
    wire_begin_map(o, "power");
    ops_meter_total(c, &t);
    wire_put_str(o, "channel", t.label);
    encode_opt(o, "power_uw", t.power_uw);
    wire_put_str(o, "quality", t.quality);
    if (t.power_uw == RUN_NONE)
        wire_put_str(o, "reason", t.reason);
    wire_end(o);
}

int op_queue(struct op_call *c, struct err *e)
{
    struct storage_status st;
    int64_t limit = wire_int(c->req, "limit", 1000);
    (void)e;
    storage_get_status(c->d->storage, &st);
    struct listing x = {.q = c->d->queue,
                        .enc.as = *peer_rights(c->p),
                        .left = limit > 0 ? limit : 1000,
                        .uid = wire_bool(c->req, "all", true) ? RUN_NONE : (int64_t)peer_uid(c->p),
                        .blocked = st.health.degraded,
                        .launch_blocked = launch_blocked(c->d->launch)};
    ops_list_begin(&x.l, c->id, "runs");
    queue_visit(c->d->queue, put_run, &x);
    x.left = 5;
    queue_recent(c->d->queue, put_run, &x);
    struct wire_out *o = ops_list_end(&x.l);
    struct queue_counts n;
    queue_get_counts(c->d->queue, &n);
    wire_put_int(o, "queued", n.queued);
    wire_put_int(o, "held", n.held);
    wire_put_str(o, "degraded", health_words(&st.health, peer_rights(c->p)->details));
    put_audit(c, o);
    put_power(c, o);
    ops_list_send(&x.l, c->p);
    return 0;
}

/* ---- sweeps ------------------------------------------------------------------------------------- */

struct sweeps_job {
    struct reader_job job;
    struct ops_ticket t;
    struct rights as;
    struct ops_list l;
    int64_t id;
    struct store *s;
    struct err *e;
    size_t n;
};

static int put_sweep(void *arg, const struct run_sweep *w)
{
    struct sweeps_job *j = arg;
    int64_t n[RUN_STATES];
    int64_t total = 0;
    int rc = runs_sweep_counts(j->s, w->id, n, j->e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < RUN_STATES; i++)
        total += n[i];
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_map(o, NULL);
    wire_put_int(o, "sweep", w->id);
    wire_put_str(o, "label", w->label);
    wire_put_int(o, "uid", w->uid);
    wire_put_str(o, "state", w->state);
    wire_put_str(o, "reason", rights_may_see(&j->as, w->uid) ? w->reason : NULL);
    wire_put_int(o, "total", total);
    wire_put_int(o, "queued", n[RUN_QUEUED] + n[RUN_HELD]);
    wire_put_int(o, "running", n[RUN_STARTING] + n[RUN_RUNNING] + n[RUN_PAUSED] + n[RUN_STOPPING]);
    wire_put_int(o, "done", n[RUN_DONE]);
    wire_put_int(o, "failed",
                 n[RUN_FAILED] + n[RUN_TIMEOUT] + n[RUN_ENERGY_LIMIT] + n[RUN_OOM] + n[RUN_LOST]);
    wire_put_int(o, "cancelled", n[RUN_CANCELLED] + n[RUN_SKIPPED]);
    wire_put_int(o, "submitted_utc_ns", w->submitted_utc_ns);
    wire_end(o);
    j->n++;
    return ops_list_full(&j->l) ? 1 : 0;
}

static int sweeps_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct sweeps_job *j = container_of(job, struct sweeps_job, job);
    j->s = s;
    j->e = e;
    int rc = runs_sweep_get(s, j->id, put_sweep, j, e);
    if (rc < 0)
        return rc;
    if (j->id != RUN_NONE && j->n == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no sweep %" PRId64, j->id);
        return err_next(e, "wattq runs, which shows the sweep of each run");
    }
    ops_list_end(&j->l);
    return 0;
}

static void sweeps_done(struct reader_job *job, int rc, const struct err *e)
{
    struct sweeps_job *j = container_of(job, struct sweeps_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free(j);
}

int op_sweeps(struct op_call *c, struct err *e)
{
    (void)e;
    struct sweeps_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = sweeps_work, .done = sweeps_done};
    j->id = wire_int(c->req, "sweep", RUN_NONE);
    j->as = *peer_rights(c->p);
    ops_keep(&j->t, c);
    ops_list_begin(&j->l, c->id, "sweeps");
    ops_read(&j->t, &j->job);
    return 0;
}
