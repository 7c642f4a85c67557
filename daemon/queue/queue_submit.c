/* New runs: submissions, sweeps, retries, foreground runs. One storage job each; the rows come back from
 * the database, so memory holds what the disk holds. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/accounts.h"

typedef void (*sweep_done)(void *arg, int rc, const struct err *e, int64_t sweep, int64_t first,
                           int64_t last);

#define NOT_KEPT "the environment could not be kept"

struct code_copy {
    struct run_code code;
    char *strings[4];
};

struct submit_job {
    struct storage_job job;
    struct queue *q;
    struct submit_job *next; /* in q->coming */
    struct spec *specs;
    struct queue_item **items;
    size_t n;
    struct queue_env **envs; /* one per spec; those that are the same object stand together */
    struct queue_env *base;
    struct warrants *warrants; /* NULL = none */
    struct code_copy code;
    bool has_code;
    int64_t token; /* of that claim */
    bool claim;    /* it may start at once: insert and claim in one commit */
    gpu_set gpus;  /* and with these */
    char *uuids;
    bool
        keeps; /* it starts, and its files go to the disk meanwhile: gate and answer wait for them */
    bool beside_kept;     /* there is one of those: what it has written may not be durable yet */
    struct durable files; /* what the rows speak of */
    uv_work_t keep;
    int keep_error; /* errno */
    int64_t *ids;   /* once they are committed */
    int64_t uid;
    struct run_actor by; /* who retries */
    char *sweep_json;    /* NULL = no sweep */
    char *sweep_label;
    int64_t sweep;
    int64_t max_fails;
    int64_t max_running;
    int64_t retry_of;
    queue_done done;
    sweep_done sweep_cb;
    void (*turn)(void *arg, const struct queue_turn *t);
    void *arg;
};

static void free_job(struct submit_job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        spec_fini(&j->specs[i]);
        if (j->envs && j->envs[i] != j->base)
            queue_env_free(j->envs[i]);
        queue_item_free(j->items[i]);
    }
    queue_env_free(j->base);
    warrants_free(j->warrants);
    for (size_t i = 0; i < ARRAY_LEN(j->code.strings); i++)
        free(j->code.strings[i]);
    free(j->specs);
    free(j->items);
    free(j->envs);
    free(j->uuids);
    free(j->ids);
    durable_fini(&j->files);
    free(j->sweep_json);
    free(j->sweep_label);
    free(j);
}

/* ---- storage thread ----------------------------------------------------------------------------- */

static int insert_one(struct store *s, struct submit_job *j, size_t i, struct err *e)
{
    struct run_new n = {.spec = &j->specs[i],
                        .uid = j->uid,
                        .submitted_utc_ns = clock_utc_ns(),
                        .sweep = j->sweep,
                        .sweep_index = j->sweep != RUN_NONE ? (int64_t)i : RUN_NONE,
                        .retry_of = j->retry_of,
                        .env_hash = j->envs[i] ? j->envs[i]->hash : NULL,
                        .code_hash = j->has_code ? j->code.code.hash : NULL,
                        .warrant = j->q->warrants_dir ? warrants_name(j->warrants, i) : NULL};
    int64_t id = 0;
    int rc = j->envs[i]
                 ? queue_env_refer(s, j->q->envs_dir, j->envs[i], j->beside_kept, &j->files, e)
                 : 0;
    if (rc == 0)
        rc = runs_insert(s, &n, &id, e);
    if (rc == 0 && j->claim) {
        struct run_change c;
        run_change_init(&c);
        c.token = j->token;
        c.reason = "its turn";
        rc = runs_move(s, id, RUN_QUEUED, RUN_STARTING, &c, e);
        if (rc == 0)
            rc = accounts_devices_take(s, id, clock_boot_ns(), n.spec->exclusive, j->uuids, e);
    }
    return rc < 0 ? rc : runs_get(s, id, &j->items[i]->row, e);
}

static int submit_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct submit_job *j = container_of(job, struct submit_job, job);
    int rc = queue_warrants_keep(j->q, j->warrants, j->specs, j->envs, j->n, &j->files, e);
    if (rc == 0 && j->has_code)
        rc = runs_code_put(s, &j->code.code, e);
    if (rc == 0 && j->sweep_json)
        rc = runs_sweep_insert(s, j->uid, j->sweep_label, j->sweep_json, clock_utc_ns(), &j->sweep,
                               e);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        rc = insert_one(s, j, i, e);
    /* The commit follows, and may speak of them only now. */
    if (rc == 0 && !j->keeps && durable_wait(&j->files) < 0)
        rc = err_errno(e, WATTQ_E_IO, NOT_KEPT);
    return rc;
}

static int retry_env(struct store *s, const struct run_row *old, struct err *e)
{
    int64_t refs = 0;
    char *path CLEANUP(base_freep) = NULL;
    char *shown CLEANUP(base_freep) = NULL;
    int rc = old->env_hash ? runs_env_refs(s, old->env_hash, &refs, e) : 0;
    if (rc == 0 && refs == 0) {
        err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " ended well, so its environment was deleted",
                old->id);
        return err_next(e, "submit it again: wattq show %" PRId64 " has its command", old->id);
    }
    if (rc == 0)
        rc = runs_env_get(s, old->env_hash, &path, &shown, e);
    return rc < 0 ? rc : runs_env_put(s, old->env_hash, path, shown ? shown : "{}", e);
}

static int insert_retry(struct store *s, struct submit_job *j, const struct run_row *old,
                        struct err *e)
{
    int rc = runs_spec_parse(old->spec_json, &j->specs[0], e);
    if (rc < 0)
        return rc;
    if (j->specs[0].kind == SPEC_EXEC)
        j->specs[0].kind = SPEC_COMMAND; /* nobody's terminal waits for it now */
    struct run_new n = {.spec = &j->specs[0],
                        .uid = old->uid,
                        .submitted_utc_ns = clock_utc_ns(),
                        .sweep = old->sweep,
                        .sweep_index = old->sweep_index,
                        .retry_of = old->id,
                        .env_hash = old->env_hash,
                        .code_hash = old->code_hash,
                        .warrant = old->warrant};
    int64_t id = 0;
    rc = runs_insert(s, &n, &id, e);
    if (rc == 0)
        rc = runs_act(s, id, j->by, "retried by an admin", e);
    return rc < 0 ? rc : runs_get(s, id, &j->items[0]->row, e);
}

static int retry_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct submit_job *j = container_of(job, struct submit_job, job);
    struct run_row old CLEANUP(run_row_fini) = {0};
    int rc = runs_get(s, j->retry_of, &old, e);
    if (rc > 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no run %" PRId64, j->retry_of);
        return err_next(e, "wattq runs");
    }
    if (rc == 0 && !run_state_ended(old.state))
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is %s; only an ended run is retried",
                       old.id, run_state_name(old.state));
    if (rc == 0 && !run_actor_may(j->by, old.uid))
        return err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " is somebody else's", old.id);
    if (rc == 0 && old.uid < 0)
        return err_set(e, WATTQ_E_CONFLICT, "run %" PRId64 " is of a user who has left", old.id);
    if (rc == 0)
        rc = retry_env(s, &old, e);
    if (rc == 0)
        rc = queue_warrants_again(j->q, &old, e);
    return rc < 0 ? rc : insert_retry(s, j, &old, e);
}

/* ---- loop --------------------------------------------------------------------------------------- */

static void tell_started(struct queue *q, struct queue_item *r)
{
    struct queue_run snap;
    if (!q->cfg.on_change)
        return;
    queue_snapshot(q, r, &snap);
    q->cfg.on_change(q->cfg.arg, &snap, RUN_QUEUED);
}

static void answer(struct submit_job *j, int rc, const struct err *e)
{
    const int64_t *ids = j->ids;
    if (j->sweep_cb)
        j->sweep_cb(j->arg, rc, e, j->sweep, rc == 0 ? ids[0] : 0, rc == 0 ? ids[j->n - 1] : 0);
    else if (j->done)
        j->done(j->arg, rc, e, ids, rc == 0 ? j->n : 0);
}

static void take_items(struct queue *q, struct submit_job *j)
{
    if (j->sweep_json) {
        struct queue_sweep_state *sw = queue_sweep_make(q, j->sweep, j->max_fails);
        sw->uid = j->uid;
        sw->max_running = j->max_running;
    }
    j->ids = base_alloc((j->n + 1) * sizeof(*j->ids));
    for (size_t i = 0; i < j->n; i++) {
        struct queue_item *r = j->items[i];
        j->ids[i] = r->row.id;
        j->items[i] = NULL; /* the queue has it */
        r->turn = j->turn;
        r->turn_arg = j->arg;
        queue_add(q, r);
    }
}

/* Runs of a user that wait, and those on their way to it. */
static int64_t waiting_of(const struct queue *q, int64_t uid)
{
    int64_t n = 0;
    for (size_t i = 0; i < q->all.n; i++)
        n += q->all.at[i]->row.uid == uid;
    for (size_t i = 0; i < q->active.n; i++)
        n -= q->active.at[i]->row.uid == uid;
    for (const struct submit_job *j = q->coming; j; j = j->next)
        n += j->uid == uid ? (int64_t)j->n : 0;
    return n;
}

static int check_room(const struct queue *q, int64_t uid, size_t n, struct err *e)
{
    const struct user_limits *l = user_limits_find(&q->cfg.limits, uid);
    if (l->max_queued == 0)
        return 0;
    return user_limits_room(l, waiting_of(q, uid), (int64_t)n, e);
}

static void send_off(struct submit_job *j)
{
    j->next = j->q->coming;
    j->q->coming = j;
    queue_submit_job(j->q, &j->job);
}

static void forget(struct submit_job *j)
{
    struct submit_job **at = &j->q->coming;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
}

/* ---- files beside the start ---------------------------------------------------------------------- */

static void keep_work(uv_work_t *w)
{
    struct submit_job *j = container_of(w, struct submit_job, keep);
    j->keep_error = durable_wait(&j->files) < 0 ? errno : 0;
}

/* Whoever submitted it is told that there is none. Its gate is still closed. */
static void give_up(struct queue_item *r)
{
    struct run_change c;
    run_change_init(&c);
    c.reason = NOT_KEPT;
    r->env_lost = true;
    if (r->next == RUN_STARTING)
        queue_abort(r, &c, NULL);
    else if (r->next == RUN_QUEUED) /* its shepherd had gone */
        queue_end_plain(r, RUN_CANCELLED, &c, NULL);
}

static void keep_done(uv_work_t *w, int status)
{
    struct submit_job *j = container_of(w, struct submit_job, keep);
    struct queue *q = j->q;
    struct queue_item *r = queue_item_find(q, j->ids[0]);
    struct err e = {0};
    errno = status < 0 ? ECANCELED : j->keep_error;
    int rc = errno ? err_errno(&e, WATTQ_E_IO, NOT_KEPT) : 0;
    q->keeping--;
    queue_job_back(q);
    answer(j, rc, &e);
    free_job(j);
    if (!r || q->closing)
        return;
    if (rc == 0)
        queue_kept(r);
    else
        give_up(r);
}

/* The directory of its run is there by now, so that one commit of the file system's journal makes all durable. */
static void keep_begin(struct submit_job *j)
{
    j->q->jobs_out++;
    if (uv_queue_work(j->q->cfg.loop, &j->keep, keep_work, keep_done) < 0) {
        keep_work(&j->keep);
        keep_done(&j->keep, 0);
    }
}

static void start_claimed(struct queue *q, struct queue_item *r, const struct submit_job *j)
{
    queue_item_wake(r);
    queue_gpus_take(r, j->gpus);
    turns_serve(&q->line, r->row.uid);
    tell_started(q, r);
    r->life = LIFE_CLAIMING;
    r->keeping = j->keeps;
    queue_claimed(r, 0);
}

static void submit_done(struct storage_job *job, int rc, const struct err *e)
{
    struct submit_job *j = container_of(job, struct submit_job, job);
    struct queue *q = j->q;
    struct queue_item *claimed = rc == 0 && j->claim ? j->items[0] : NULL;
    bool keeps = claimed && j->keeps;
    q->reserved -= j->claim ? 1 : 0;
    q->keeping -= j->keeps && !keeps ? 1 : 0;
    forget(j);
    queue_job_back(q);
    if (rc == 0)
        take_items(q, j);
    if (!keeps)
        answer(j, rc, e);
    if (claimed)
        start_claimed(q, claimed, j);
    if (keeps)
        keep_begin(j);
    else
        free_job(j);
    queue_kick(q);
}

static struct submit_job *new_job(struct queue *q, struct spec *specs, size_t n, int64_t uid)
{
    struct submit_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = submit_work, .done = submit_done};
    j->q = q;
    j->specs = specs;
    j->n = n;
    j->uid = uid;
    j->sweep = RUN_NONE;
    j->retry_of = RUN_NONE;
    j->items = base_alloc((n + 1) * sizeof(struct queue_item *));
    j->envs = base_alloc((n + 1) * sizeof(struct queue_env *));
    for (size_t i = 0; i < n; i++)
        j->items[i] = queue_item_new(q);
    return j;
}

static void copy_code(struct submit_job *j, const struct run_code *c)
{
    if (!c || !c->hash[0])
        return;
    const char *from[] = {c->commit_id, c->diff, c->script_sha256, c->interpreter};
    for (size_t i = 0; i < ARRAY_LEN(from); i++)
        j->code.strings[i] = from[i] ? base_strdup(from[i]) : NULL;
    j->code.code = *c;
    j->code.code.commit_id = j->code.strings[0];
    j->code.code.diff = j->code.strings[1];
    j->code.code.script_sha256 = j->code.strings[2];
    j->code.code.interpreter = j->code.strings[3];
    j->has_code = true;
}

/* Rows without an environment share the base's; it is made once. */
static void make_envs(struct submit_job *j, const struct spec *base)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct spec *s = &j->specs[i];
        if (s->env) {
            j->envs[i] = queue_env_new(s->env, s->envc);
            continue;
        }
        if (!j->base && base && base->env)
            j->base = queue_env_new(base->env, base->envc);
        j->envs[i] = j->base;
    }
}

/* Would it start at once? Then its claim travels with its row: one commit less before the first
 * instruction. */
static bool starts_now(struct queue *q, const struct spec *s)
{
    struct storage_status st;
    if (!q->started || q->closing || q->line.n > 0 || q->active.n > 0 || q->reserved > 0 ||
        q->idle.measure || (s->exclusive && queue_on_end_run(q)) || s->hold || s->pause_ns > 0 ||
        s->bracket_ns > 0 || s->quiet_ns > 0 || launch_blocked(q->cfg.launch))
        return false;
    storage_get_status(q->cfg.storage, &st);
    return !st.health.degraded;
}

static bool gpus_fit(struct submit_job *j)
{
    struct resources_want want;
    return resources_want(&j->q->resources, &j->specs[0], &want) &&
           resources_choose(&j->q->resources, &want, NULL, &j->gpus) == RESOURCES_FIT;
}

static void refuse(struct submit_job *j, int rc, const struct err *e)
{
    answer(j, rc, e);
    free_job(j);
}

static int settle(struct submit_job *j, struct err *e)
{
    struct queue *q = j->q;
    const struct user_limits *l = user_limits_find(&q->cfg.limits, j->uid);
    for (size_t i = 0; i < j->n; i++)
        user_limits_settle(l, q->resources.have.n[RESOURCES_MEM], &j->specs[i]);
    int rc = queue_gpus_settle(q, j->uid, j->specs, j->n, e);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        rc = user_limits_check(l, &j->specs[i], e);
    if (rc == 0)
        rc = queue_energy_settle(q, j->specs, j->n, e);
    return rc == 0 ? check_room(q, j->uid, j->n, e) : rc;
}

static void dispatch(struct submit_job *j)
{
    struct err e = {0};
    int rc = settle(j, &e);
    if (rc < 0) {
        refuse(j, rc, &e);
        return;
    }
    if (j->n == 1 && !j->sweep_json && starts_now(j->q, &j->specs[0]) && gpus_fit(j)) {
        j->claim = true;
        j->token = queue_token(j->q, j->items[0]);
        j->uuids = resources_uuids(&j->q->resources, j->gpus);
        j->q->reserved++;
        j->keeps = j->specs[0].kind != SPEC_EXEC;
    }
    j->beside_kept = j->q->keeping > 0;
    j->q->keeping += j->keeps ? 1 : 0;
    bool ready = j->claim && j->specs[0].kind != SPEC_EXEC;
    struct launch *l = j->q->cfg.launch;
    send_off(j);
    if (ready)
        launch_get_ready(l); /* while that is written down */
}

void queue_submit(struct queue *q, struct spec *specs, size_t n, int64_t uid,
                  const struct run_code *code, struct warrants *warrants, queue_done done,
                  void *arg)
{
    struct submit_job *j = new_job(q, specs, n, uid);
    j->warrants = warrants;
    make_envs(j, NULL);
    copy_code(j, code);
    j->done = done;
    j->arg = arg;
    dispatch(j);
}

void queue_exec(struct queue *q, struct spec *spec, int64_t uid, const struct run_code *code,
                struct warrants *warrants, void (*turn)(void *arg, const struct queue_turn *t),
                queue_done done, void *arg)
{
    struct submit_job *j = new_job(q, spec, 1, uid);
    j->warrants = warrants;
    j->specs[0].kind = SPEC_EXEC;
    make_envs(j, NULL);
    copy_code(j, code);
    j->turn = turn;
    j->done = done;
    j->arg = arg;
    dispatch(j);
}

void queue_submit_sweep(struct queue *q, struct spec *specs, size_t n, const struct queue_sweep *sw,
                        int64_t uid, struct warrants *warrants, sweep_done done, void *arg)
{
    struct submit_job *j = new_job(q, specs, n, uid);
    j->warrants = warrants;
    make_envs(j, sw->run);
    copy_code(j, sw->code);
    j->sweep_json = queue_sweep_json(sw);
    j->sweep_label = base_strdup(sw->label);
    j->max_fails = sw->max_fails;
    j->max_running = sw->max_running;
    j->sweep_cb = done;
    j->arg = arg;
    dispatch(j);
}

void queue_retry(struct queue *q, int64_t run, struct run_actor by, queue_done done, void *arg)
{
    struct submit_job *j = new_job(q, base_alloc(sizeof(struct spec)), 1, by.uid);
    j->job.work = retry_work;
    j->by = by;
    j->retry_of = run;
    j->done = done;
    j->arg = arg;
    struct err e = {0};
    int rc = done ? check_room(q, by.uid, 1, &e) : 0; /* else it is the queue's own doing */
    if (rc < 0)
        refuse(j, rc, &e);
    else
        send_off(j);
}
