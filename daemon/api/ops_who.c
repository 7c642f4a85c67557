/* who: which run holds the CPUs since when, and who else is on them; which processes are on each GPU. From
 * memory. */
#include <stdlib.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/queue/resources.h"

struct holders {
    struct op_call *c;
    struct wire_out *o;
    struct encode enc;
};

/* Instants of this boot as civil time, for people. */
static int64_t utc_of(int64_t boot_ns)
{
    return clock_utc_ns() - (clock_boot_ns() - boot_ns);
}

static int put_holder(void *arg, const struct queue_run *r)
{
    struct holders *x = arg;
    if (r->elapsed_ns == RUN_NONE || r->row->state == RUN_QUEUED || r->row->state == RUN_HELD)
        return 0;
    wire_begin_map(x->o, NULL);
    wire_put_int(x->o, "run", r->row->id);
    wire_put_str(x->o, "user", encode_user(&x->enc, r->row->uid));
    wire_put_str(x->o, "label", r->row->label);
    wire_put_str(x->o, "state", run_state_name(r->row->state));
    wire_put_int(x->o, "elapsed_ns", r->elapsed_ns);
    encode_opt(x->o, "started_utc_ns", r->row->started_utc_ns);
    wire_end(x->o);
    return 0;
}

static void put_others(struct wire_out *o, struct owners *w)
{
    struct owner_use use[OWNERS_MAX];
    int64_t ns = 0;
    size_t n = owners_now(w, use, &ns);
    int64_t share = owners_share_ppm(w);
    wire_begin_array(o, "others");
    for (size_t i = 0; i < n; i++) {
        wire_begin_map(o, NULL);
        wire_put_str(o, "kind", owner_kind_name(use[i].kind));
        wire_put_str(o, "owner", use[i].name);
        wire_put_int(o, "busy_us", use[i].busy_us);
        wire_put_int(o, "since_utc_ns", utc_of(use[i].since_ns));
        wire_end(o);
    }
    wire_end(o);
    wire_put_int(o, "interval_ns", ns);
    encode_opt(o, "others_ppm", share >= 0 ? share : RUN_NONE);
    if (share < 0)
        wire_put_str(o, "reason", "nobody has looked twice yet");
}

static void put_cpus(struct op_call *c, struct wire_out *o)
{
    struct holders x = {.c = c, .o = o};
    wire_begin_map(o, NULL);
    wire_put_str(o, "device", "cpu");
    wire_put_int(o, "cpus", owners_cpus(c->d->owners));
    wire_begin_array(o, "runs");
    queue_visit(c->d->queue, put_holder, &x);
    wire_end(o);
    put_others(o, c->d->owners);
    wire_end(o);
}

/* A process on a GPU: a run's, or nobody's; an intruder where the GPU is another run's. One that cannot be
 * looked at, or whose run cannot be told, is called nothing. */
static void put_whose(struct wire_out *o, struct queue *q, const struct gpu_proc *p, int64_t holder)
{
    int64_t run = p->root > 0 ? queue_run_of(q, p->root) : RUN_NONE;
    bool told = p->root == 0 || run != RUN_NONE;
    encode_opt(o, "run", run);
    wire_put_bool(o, "intruder", holder != RUN_NONE && told && run != holder);
}

static void put_process(struct wire_out *o, struct encode *enc, struct queue *q,
                        const struct gpu_proc *p, int64_t holder)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "pid", p->pid);
    if (p->uid >= 0)
        wire_put_str(o, "user", encode_user(enc, p->uid));
    else
        wire_put_nil(o, "user");
    encode_opt(o, "busy_ppm", p->busy_ppm >= 0 ? p->busy_ppm : RUN_NONE);
    encode_opt(o, "memory_bytes", p->memory_bytes >= 0 ? p->memory_bytes : RUN_NONE);
    wire_put_int(o, "since_utc_ns", utc_of(p->first_ns));
    put_whose(o, q, p, holder);
    wire_end(o);
}

/* The run that the queue gave it to, since when. */
static int64_t put_gpu_holder(struct wire_out *o, struct encode *enc, struct queue *q,
                              const char *device)
{
    const struct resources *all = queue_resources(q);
    int i = resources_can_give(device) ? resources_find(all, device) : -1;
    struct queue_run r;
    if (i < 0 || all->gpus[i].run == RESOURCES_NOBODY || queue_find(q, all->gpus[i].run, &r) != 0) {
        wire_put_nil(o, "holder");
        return RUN_NONE;
    }
    wire_begin_map(o, "holder");
    wire_put_int(o, "run", r.row->id);
    wire_put_str(o, "user", encode_user(enc, r.row->uid));
    wire_put_str(o, "label", r.row->label);
    wire_put_str(o, "state", run_state_name(r.row->state));
    wire_put_int(o, "since_utc_ns", utc_of(all->gpus[i].since_ns));
    wire_end(o);
    return r.row->id;
}

/* Why no run is given it. */
static void put_against(struct wire_out *o, const struct queue *q, const char *device)
{
    const struct resources *all = queue_resources(q);
    int i = resources_can_give(device) ? resources_find(all, device) : -1;
    wire_put_str(o, "out", i >= 0 ? resources_against(&all->gpus[i]) : NULL);
}

static void put_gpu(struct wire_out *o, struct queue *q, const struct gpu_use *u, int64_t now_ns)
{
    struct encode enc = {0};
    bool known = u->state == READING_OK;
    wire_begin_map(o, NULL);
    wire_put_str(o, "device", u->device);
    wire_put_str(o, "label", u->label);
    int64_t holder = put_gpu_holder(o, &enc, q, u->device);
    put_against(o, q, u->device);
    wire_begin_array(o, "processes");
    for (size_t i = 0; i < u->n; i++)
        put_process(o, &enc, q, &u->procs[i], holder);
    wire_end(o);
    wire_put_int(o, "more", (int64_t)u->more);
    wire_put_int(o, "hidden", (int64_t)u->hidden);
    encode_opt(o, "busy_ppm", u->busy_ppm >= 0 ? u->busy_ppm : RUN_NONE);
    encode_opt(o, "idle_ns", u->idle_since_ns > 0 ? now_ns - u->idle_since_ns : RUN_NONE);
    wire_put_bool(o, "known", known);
    if (!known)
        wire_put_str(o, "reason", u->reason);
    wire_end(o);
}

static void put_gpus(struct op_call *c, struct wire_out *o)
{
    struct gpu_use *u = base_alloc(sizeof(*u));
    int64_t now_ns = clock_boot_ns();
    for (size_t i = 0; gpu_procs_get(c->d->gpu_procs, i, now_ns, u); i++)
        put_gpu(o, c->d->queue, u, now_ns);
    free(u);
}

int op_who(struct op_call *c, struct err *e)
{
    struct wire_out o = {0};
    (void)e;
    ops_begin(&o, c->id);
    wire_begin_array(&o, "devices");
    put_cpus(c, &o);
    put_gpus(c, &o);
    wire_end(&o);
    peer_send(c->p, &o);
    wire_out_free(&o);
    return 0;
}
