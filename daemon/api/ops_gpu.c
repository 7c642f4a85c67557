/* gpu: a GPU is taken out of what runs are given, or put back. And how info and who tell of such. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api/ops_private.h"
#include "daemon/queue/resources.h"
#include "daemon/store/gpu_out.h"

#define WHY_MAX 100 /* bytes; with the admin's name it fits GPU_OUT_WHY_MAX */
_Static_assert(WHY_MAX + USERS_NAME_MAX - 1 < GPU_OUT_WHY_MAX - 14, "\"NAME took it out: WHY\"");

struct gpu_ask {
    struct ops_ticket t;
    int gpu;
};

static void put_one(struct wire_out *o, const struct resources_gpu *g)
{
    wire_put_str(o, "device", g->uuid);
    wire_put_str(o, "label", g->label[0] ? g->label : NULL);
    wire_put_str(o, "out", resources_against(g));
}

static void on_written(void *arg, int rc, const struct err *e)
{
    struct gpu_ask *a = arg;
    const struct resources_gpu *g = &queue_resources(a->t.d->queue)->gpus[a->gpu];
    struct wire_out o = {0};
    if (rc == 0) {
        ops_begin(&o, a->t.id);
        put_one(&o, g);
        if (g->run == RESOURCES_NOBODY)
            wire_put_nil(&o, "run");
        else
            wire_put_int(&o, "run", g->run);
    }
    ops_answer(&a->t, &o, rc, e);
    free(a);
}

static int find(const struct op_call *c, int *gpu, struct err *e)
{
    const struct resources *all = queue_resources(c->d->queue);
    const char *name = wire_str(c->req, "gpu", "");
    *gpu = resources_find(all, name);
    if (*gpu >= 0)
        return 0;
    err_set(e, WATTQ_E_NOT_FOUND,
            *gpu == -2 ? "several of the %zu GPUs that runs are given begin with '%.60s'"
                       : "none of the %zu GPUs that runs are given is called '%.60s'",
            all->ngpus, name);
    return err_next(e, "wattq who lists them");
}

int op_gpu(struct op_call *c, struct err *e)
{
    const struct wire_val *on = wire_get(c->req, "on");
    const char *why = wire_str(c->req, "reason", "");
    int gpu = 0;
    int rc = find(c, &gpu, e);
    if (rc < 0)
        return rc;
    if (wire_type(on) != WIRE_BOOL || strlen(why) > WHY_MAX)
        return err_set(e, WATTQ_E_USAGE, "'on' is true or false, 'reason' at most %d bytes",
                       WHY_MAX);
    struct gpu_ask *a = base_alloc(sizeof(*a));
    ops_keep(&a->t, c);
    a->gpu = gpu;
    const struct queue_gpu_said said = {.gpu = gpu,
                                        .out = !wire_bool(c->req, "on", true),
                                        .by = (int64_t)peer_uid(c->p),
                                        .why = why};
    queue_gpu_out(c->d->queue, &said, on_written, a);
    return 0;
}

void ops_put_gpus_out(const struct op_call *c, struct wire_out *o)
{
    const struct resources *all = queue_resources(c->d->queue);
    wire_begin_array(o, "gpus_out");
    for (size_t i = 0; i < all->ngpus; i++) {
        if (!resources_against(&all->gpus[i]))
            continue;
        wire_begin_map(o, NULL);
        put_one(o, &all->gpus[i]);
        wire_end(o);
    }
    wire_end(o);
}
