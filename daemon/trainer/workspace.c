#include "daemon/trainer/workspace.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN_BYTES 64

/* Walks over all blocks; hands out addresses when base is given, else only counts. */
struct cursor {
    char *base;
    size_t used;
};

static void *carve(struct cursor *c, int64_t batch, int64_t width, size_t scalar_bytes)
{
    void *p = c->base ? c->base + c->used : NULL;
    size_t bytes = (size_t)(batch * width) * scalar_bytes;
    c->used += (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return p;
}

static void place(struct workspace *w, const struct network *n, int64_t batch, struct cursor *c)
{
    int64_t widest[2] = {0, 0};
    int64_t skip_width = 0;
    for (int k = 0; k < n->net.depth; k++) {
        const struct network_layer *l = &n->layer[k];
        w->act[k] = carve(c, batch, l->out, n->scalar_bytes);
        w->relu[k] = l->skip ? carve(c, batch, l->out, n->scalar_bytes) : w->act[k];
        widest[k % 2] = l->out > widest[k % 2] ? l->out : widest[k % 2];
        if (l->skip)
            skip_width = l->out;
    }
    w->delta[0] = carve(c, batch, widest[0], n->scalar_bytes);
    w->delta[1] = carve(c, batch, widest[1], n->scalar_bytes);
    w->carry = skip_width ? carve(c, batch, skip_width, n->scalar_bytes) : NULL;
}

double workspace_bytes(const struct network *n, int64_t batch)
{
    double scalars = 0;
    for (int k = 0; k < n->net.depth; k++)
        scalars += (double)n->layer[k].out * (n->layer[k].skip ? 2 : 1);
    return scalars * (double)batch * (double)n->scalar_bytes * 2; /* deltas at most double it */
}

/* source: /proc/meminfo MemAvailable, kB. -1 where there is none. */
static double available_bytes(void)
{
    FILE *f CLEANUP(base_fclosep) = fopen("/proc/meminfo", "re");
    char line[128];
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "MemAvailable:", 13) == 0)
            return (double)strtoll(line + 13, NULL, 10) * 1024;
    return -1;
}

int workspace_open(struct workspace *w, const struct network *n, int64_t batch, struct err *e)
{
    *w = (struct workspace){0};
    struct cursor count = {0};
    double need = workspace_bytes(n, batch) + (double)n->arena_bytes;
    double have = available_bytes();
    if (have >= 0 && need > have) {
        err_set(e, WATTQ_E_LIMIT, "training this network takes up to %.1f GB and %.1f GB are free",
                need / 1e9, have / 1e9);
        return err_next(e, "choose a smaller --size, a larger --depth or a smaller --batch");
    }
    place(w, n, batch, &count);
    w->arena_bytes = count.used;
    w->arena = network_map(count.used);
    if (!w->arena)
        return err_set(e, WATTQ_E_LIMIT, "no memory for the activations (%zu MB)",
                       count.used >> 20);
    struct cursor fill = {.base = w->arena};
    place(w, n, batch, &fill);
    return 0;
}

void workspace_close(struct workspace *w)
{
    network_unmap(w->arena, w->arena_bytes);
    *w = (struct workspace){0};
}
