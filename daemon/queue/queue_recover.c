/* After a start of the daemon: every run that was not over is found again, with its shepherd or its
 * result; environments nobody needs are removed. */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/energy/stored.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/accounts.h"
#include "daemon/store/gpu_out.h"

struct load {
    struct queue *q;
    struct queue_item **live;
    size_t n;
    size_t cap;
    struct queue_item *recent[QUEUE_RECENT];
    size_t nrecent;
    struct queue_sweep_state *sweeps;
    size_t nsweeps;
    struct resources outs; /* GPUs that were taken out */
    struct turns turns;    /* who was served when; no runs */
    int64_t boot;
};

/* ---- reading ------------------------------------------------------------------------------------ */

static char *dup_or_null(const char *s)
{
    return s ? base_strdup(s) : NULL;
}

static struct queue_item *copy_item(struct queue *q, const struct run_row *row)
{
    struct queue_item *r = queue_item_new(q);
    r->row = *row;
    r->row.spec_json = dup_or_null(row->spec_json);
    r->row.label = dup_or_null(row->label);
    r->row.project = dup_or_null(row->project);
    r->row.reason = dup_or_null(row->reason);
    r->row.mode = dup_or_null(row->mode);
    r->row.env_hash = dup_or_null(row->env_hash);
    r->row.code_hash = dup_or_null(row->code_hash);
    r->row.cpu_basis = dup_or_null(row->cpu_basis);
    r->row.warrant = dup_or_null(row->warrant);
    r->next = row->state;
    return r;
}

static int take_live(void *arg, const struct run_row *row)
{
    struct load *j = arg;
    if (j->n == j->cap) {
        j->cap = j->cap ? 2 * j->cap : 256;
        j->live = realloc(j->live, j->cap * sizeof(struct queue_item *));
        if (!j->live)
            abort();
    }
    j->live[j->n++] = copy_item(j->q, row);
    return 0;
}

static int take_recent(void *arg, const struct run_row *row)
{
    struct load *j = arg;
    j->recent[j->nrecent] = copy_item(j->q, row);
    j->recent[j->nrecent++]->ended = true;
    return 0;
}

/* The total of the window. */
static int read_total(struct store *s, struct queue_item *r, struct err *e)
{
    struct energy_figure total;
    int rc = energy_stored_total(s, r->row.id, &total, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    queue_item_wake(r);
    r->live->total = total;
    r->live->has_total = true;
    r->alone = strstr(total.flags, "overlap") == NULL;
    return 0;
}

static int take_sweep(void *arg, const struct run_sweep *w)
{
    struct load *j = arg;
    if (strcmp(w->state, "ended") == 0)
        return 0;
    struct queue_sweep_state *list = realloc(j->sweeps, (j->nsweeps + 1) * sizeof(*list));
    if (!list)
        abort();
    j->sweeps = list;
    list[j->nsweeps] = (struct queue_sweep_state){
        .id = w->id, .uid = w->uid, .held = strcmp(w->state, "held") == 0};
    queue_sweep_limits(&list[j->nsweeps], w->spec_json);
    base_strcpy(list[j->nsweeps].reason, sizeof(list->reason), w->reason ? w->reason : "");
    j->nsweeps++;
    return 0;
}

static int take_device(void *arg, const char *device)
{
    struct queue_item *r = arg;
    char *longer = base_printf("%s%s%s", r->gpus ? r->gpus : "", r->gpus ? "," : "", device);
    free(r->gpus);
    r->gpus = longer;
    return 0;
}

static int take_served(void *arg, int64_t uid)
{
    struct load *j = arg;
    turns_serve(&j->turns, uid);
    return 0;
}

static void take_out(void *arg, const char *uuid, const char *text)
{
    resources_out(arg, uuid, text);
}

static int load(struct load *j, struct store *s, struct err *e)
{
    j->boot = store_boot(s);
    int rc = runs_live(s, take_live, j, e);
    if (rc == 0)
        rc = runs_token_max(s, &j->q->token, e);
    if (rc == 0)
        rc = runs_served(s, take_served, j, e);
    if (rc == 0)
        rc = gpu_out_list(s, take_out, &j->outs, e);
    if (rc == 0)
        rc = runs_recent(s, QUEUE_RECENT, take_recent, j, e);
    if (rc == 0)
        rc = queue_on_end_load(j->q, s, e);
    for (size_t i = 0; rc == 0 && i < j->nrecent; i++)
        rc = read_total(s, j->recent[i], e);
    if (rc == 0)
        rc = runs_sweep_get(s, RUN_NONE, take_sweep, j, e);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        if (j->live[i]->row.boot == j->boot && j->live[i]->row.state != RUN_QUEUED)
            rc = accounts_devices_of(s, j->live[i]->row.id, true, take_device, j->live[i], e);
    for (size_t i = 0; rc == 0 && i < j->n; i++) {
        int64_t count = 0;
        struct queue_item *r = j->live[i];
        if (r->row.t0_ns != RUN_NONE)
            rc = runs_metric_count(s, r->row.id, &count, &r->metrics_seen, e);
    }
    return rc;
}

/* ---- loop --------------------------------------------------------------------------------------- */

static void reattach(struct queue *q, struct queue_item *r)
{
    queue_item_wake(r);
    queue_gpus_found(r);
    r->life = LIFE_SPAWNING;
    r->window_open = r->row.state != RUN_STARTING;
    r->live->filing.window = (struct energy_window){r->row.boot, r->row.t0_ns, RUN_NONE};
    log_info("run %" PRId64 " found again state=%s", r->row.id, run_state_name(r->row.state));
    launch_reattach(q->cfg.launch, r->row.id, r->row.token);
}

/* A foreground run that was waiting: the client that would start it is connected no more. */
static void drop_waiting_exec(struct queue_item *r)
{
    struct run_change c;
    run_change_init(&c);
    c.reason = "wattqd was restarted while its client waited";
    queue_end_plain(r, RUN_CANCELLED, &c, NULL);
}

static void mark_overlaps(struct queue *q)
{
    size_t open = 0;
    for (size_t i = 0; i < q->active.n; i++)
        open += q->active.at[i]->window_open;
    for (size_t i = 0; open > 1 && i < q->active.n; i++)
        q->active.at[i]->alone = false;
}

static void take_loaded(struct queue *q, struct load *j)
{
    q->boot = j->boot;
    q->line = j->turns;
    j->turns = (struct turns){0};
    for (size_t i = 0; i < j->outs.ngpus; i++)
        resources_out(&q->resources, j->outs.gpus[i].uuid, j->outs.gpus[i].out);
    queue_gpus_look(q);
    for (size_t i = 0; i < j->nsweeps; i++) {
        struct queue_sweep_state *sw = queue_sweep_make(q, j->sweeps[i].id, j->sweeps[i].max_fails);
        *sw = j->sweeps[i];
    }
    for (size_t i = 0; i < j->n; i++)
        queue_add(q, j->live[i]);
    for (size_t i = 0; i < j->nrecent; i++) {
        q->recent[i] = j->recent[i];
        const struct run_row *row = &j->recent[i]->row;
        if (row->boot == j->boot && row->t1_ns != RUN_NONE && row->t1_ns > q->idle.last_end_ns)
            q->idle.last_end_ns = row->t1_ns; /* its heat may still be there */
    }
    q->started = true;
    for (size_t i = 0; i < j->n; i++) {
        struct queue_item *r = j->live[i];
        bool waits = r->row.state == RUN_QUEUED || r->row.state == RUN_HELD;
        if (waits && r->row.kind == SPEC_EXEC)
            drop_waiting_exec(r);
        else if (!waits)
            reattach(q, r);
    }
    mark_overlaps(q);
    queue_on_end_recover(q);
}

/* Sweeps whose last run ended just before the kill. */
static void end_empty_sweeps(struct queue *q)
{
    for (size_t i = q->nsweeps; i-- > 0;)
        if (q->sweeps[i].live == 0)
            queue_sweep_end(q, &q->sweeps[i]);
}

/* A kill between the file and its row, or between the row and the file's removal, leaves a file. Storage thread. */
static void clean_envs(struct store *s, const char *dir)
{
    DIR *d = base_open_dir(dir);
    if (!d)
        return;
    for (struct dirent *ent; (ent = readdir(d)) != NULL;)
        if (strlen(ent->d_name) == 64 && strspn(ent->d_name, "0123456789abcdef") == 64)
            queue_env_remove(s, dir, ent->d_name);
    closedir(d);
}

struct clean_job {
    struct storage_job job;
    struct queue *q;
};

static int clean_work(struct store *s, struct storage_job *job, struct err *e)
{
    clean_envs(s, container_of(job, struct clean_job, job)->q->envs_dir);
    int rc = gpu_out_expire(s, e);
    return rc < 0 ? rc : accounts_slots_close(s, e);
}

static void clean_done(struct storage_job *job, int rc, const struct err *e)
{
    struct clean_job *j = container_of(job, struct clean_job, job);
    if (rc < 0) /* files that stay are found at the next start, and so are slots */
        log_warn("the slots of runs before are not closed: %s", e->text);
    queue_job_back(j->q);
    free(j);
}

static void free_load(struct load *j, bool taken)
{
    for (size_t i = 0; !taken && i < j->n; i++)
        queue_item_free(j->live[i]);
    for (size_t i = 0; !taken && i < j->nrecent; i++)
        queue_item_free(j->recent[i]);
    turns_fini(&j->turns);
    free(j->live);
    free(j->sweeps);
}

/* Read here and now, before anybody can ask: a queue that is half there would answer wrongly. */
int queue_start(struct queue *q, struct err *e)
{
    struct load j = {.q = q};
    struct store *s = NULL;
    int rc = store_open_reader(&s, q->cfg.database, e);
    if (rc == 0)
        rc = load(&j, s, e);
    store_close(s);
    if (rc == 0)
        take_loaded(q, &j);
    free_load(&j, rc == 0);
    if (rc < 0)
        return rc;
    struct clean_job *c = base_alloc(sizeof(*c));
    c->job = (struct storage_job){.work = clean_work, .done = clean_done};
    c->q = q;
    queue_submit_job(q, &c->job);
    end_empty_sweeps(q);
    queue_kick(q);
    return 0;
}
