/* Resources in the queue: what the table knows of GPUs comes from the meter's lists, who holds what from
 * claims and, after a restart, from the rows and the runs' descriptions. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/meter/slots.h"
#include "daemon/queue/queue_private.h"

/* A list that the driver refuses says nothing against the GPU; one that has gone or hangs does. */
static bool answers(const struct gpu_use *u)
{
    return u->state != READING_GONE && u->state != READING_STALE;
}

static unsigned strangers(const struct gpu_use *u)
{
    unsigned n = 0;
    for (size_t i = 0; i < u->n; i++)
        n += u->procs[i].compute && u->procs[i].root == 0;
    return n;
}

static const char *fault(const struct gpu_use *u)
{
    if (answers(u))
        return u->fault;
    return u->state == READING_GONE ? "it is lost, or its driver is gone"
                                    : "its driver does not answer";
}

static void look_at(struct queue *q, const struct gpu_use *u)
{
    resources_see(&q->resources, u->device, u->label, answers(u), strangers(u));
    queue_gpu_xid(q, u);
    if (!resources_fault(&q->resources, u->device, fault(u)))
        return;
    if (fault(u))
        log_warn("%s (%s) is given to no new run: %s", u->label, u->device, fault(u));
    else
        log_info("%s (%s) is given to runs again", u->label, u->device);
}

void queue_gpus_look(struct queue *q)
{
    size_t n = q->cfg.gpu_procs ? gpu_procs_count(q->cfg.gpu_procs) : 0;
    if (n == 0)
        return;
    struct gpu_use *u CLEANUP(base_freep) = base_alloc(sizeof(*u));
    int64_t now_ns = clock_boot_ns();
    for (size_t i = 0; i < n && gpu_procs_get(q->cfg.gpu_procs, i, now_ns, u); i++)
        if (resources_can_give(u->device))
            look_at(q, u);
}

const struct resources *queue_resources(const struct queue *q)
{
    return &q->resources;
}

int64_t queue_run_of(const struct queue *q, int64_t shepherd)
{
    int slot = q->cfg.slots ? slots_find(q->cfg.slots, shepherd) : -1;
    for (size_t i = 0; slot >= 0 && i < q->active.n; i++)
        if (q->active.at[i]->slot == slot)
            return q->active.at[i]->row.id;
    return RUN_NONE;
}

/* CPUs that this process may use: a run is not given more than its daemon was. */
static int64_t own_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN); /* more of them than a cpu_set_t holds */
    return n > 0 ? n : 0;
}

static int64_t own_mem(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (int64_t)pages * bytes : 0;
}

void queue_gpus_count(struct queue *q)
{
    q->resources.have.n[RESOURCES_CPUS] = q->cfg.cpus > 0 ? q->cfg.cpus : own_cpus();
    q->resources.have.n[RESOURCES_MEM] = q->cfg.mem_bytes > 0 ? q->cfg.mem_bytes : own_mem();
}

int queue_gpus_settle(struct queue *q, int64_t uid, struct spec *specs, size_t n, struct err *e)
{
    const struct resources_defaults d = {.gpus = (size_t)q->cfg.default_gpus};
    int rc = 0;
    queue_gpus_look(q);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = resources_settle(&q->resources, &specs[i], &d, e);
    const struct user_limits *l = user_limits_find(&q->cfg.limits, uid);
    int64_t most_ns = l->max_time_ns, time_ns = l->default_time_ns;
    if (most_ns > 0 && time_ns > most_ns)
        time_ns = most_ns;
    for (size_t i = 0; i < n; i++)
        if (specs[i].time_limit_ns == 0)
            specs[i].time_limit_ns = time_ns;
    return rc;
}

/* ---- choosing ----------------------------------------------------------------------------------- */

bool queue_gpus_want(struct queue *q, struct queue_item *r, struct resources_want *out)
{
    struct err e;
    *out = (struct resources_want){0};
    return queue_item_spec(r, &e) < 0 || resources_want(&q->resources, r->spec, out);
}

/* Not kept with the run: a list of many thousand that wait is asked for now and then. */
static int spec_of(const struct queue_item *r, struct spec *own, const struct spec **out)
{
    struct err e;
    *out = r->spec ? r->spec : own;
    return r->spec ? 0 : runs_spec_parse(r->row.spec_json, own, &e);
}

const char *queue_waits_resources(struct queue *q, int64_t run, char *buf, size_t cap)
{
    const struct queue_item *r = queue_item_find(q, run);
    struct spec own = {0};
    const struct spec *s = NULL;
    struct resources_want want;
    gpu_set ignored;
    char text[RESOURCES_TEXT];
    bool waits = false;
    if (!r || spec_of(r, &own, &s) < 0)
        return NULL;
    if (!resources_want(&q->resources, s, &want)) {
        snprintf(buf, cap, "a GPU that is not there now: %.60s", s->gpu_ids[0]);
        waits = true;
    } else {
        enum resources_answer a = resources_choose(&q->resources, &want, NULL, &ignored);
        waits = a == RESOURCES_GONE || (a == RESOURCES_WAIT && !want.all);
        if (waits)
            base_strcpy(buf, cap, resources_why(&q->resources, &want, text));
    }
    spec_fini(&own);
    return waits ? buf : NULL;
}

/* ---- having ------------------------------------------------------------------------------------- */

static void take(struct queue_item *r, gpu_set set, int64_t since_ns)
{
    struct queue *q = r->q;
    struct resources_want want;
    (void)queue_gpus_want(q, r, &want);
    resources_take(&q->resources, &want, set, r->row.id, since_ns, &r->share);
    free(r->gpus);
    r->gpus = set ? resources_uuids(&q->resources, set) : NULL;
    r->has_devices = true;
    r->gpu_wait_ns = 0;
}

void queue_gpus_take(struct queue_item *r, gpu_set set)
{
    take(r, set, clock_boot_ns());
}

void queue_gpus_free(struct queue_item *r)
{
    resources_free(&r->q->resources, r->row.id, &r->share);
    free(r->gpus);
    r->gpus = NULL;
}

void queue_gpus_found(struct queue_item *r)
{
    struct queue *q = r->q;
    char *list CLEANUP(base_freep) = base_strdup(r->gpus ? r->gpus : "");
    char *rest = NULL;
    gpu_set set = 0;
    for (char *one = strtok_r(list, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        if (resources_can_give(one) && resources_find(&q->resources, one) < 0)
            resources_see(&q->resources, one, "", false, 0);
        int at = resources_can_give(one) ? resources_find(&q->resources, one) : -1;
        set |= at >= 0 ? (gpu_set)1 << at : 0;
    }
    take(r, set, r->row.t0_ns != RUN_NONE ? r->row.t0_ns : clock_boot_ns());
}

char *queue_gpus_visible(const struct queue_item *r)
{
    const struct resources *all = &r->q->resources;
    struct resources_want want;
    gpu_set set = resources_held(all, r->row.id);
    if (r->spec && resources_want(all, r->spec, &want))
        set = resources_visible(all, &want, set);
    return resources_uuids(all, set);
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(b, "=") + 1;
    return strncmp(a, b, n) == 0;
}

static bool has_name(char *const *list, const char *pair)
{
    for (size_t i = 0; list[i]; i++)
        if (same_name(list[i], pair))
            return true;
    return false;
}

char **queue_gpus_env(const struct queue_item *r, char *const *env)
{
    char *uuids CLEANUP(base_freep) = queue_gpus_visible(r);
    const struct resources_told told = {.uuids = uuids,
                                        .cpus = resources_cpus(&r->q->resources, r->spec),
                                        .own_cuda = has_name(env, "CUDA_VISIBLE_DEVICES="),
                                        .own_threads = has_name(env, "OMP_NUM_THREADS=")};
    return resources_env(r->spec, &told);
}
