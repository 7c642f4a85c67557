/* Scratch memory of one step, one arena: activations of every layer and the gradients that flow back.
 * Shared by the CPU backends; float or double. */
#ifndef TRAINER_WORKSPACE_H
#define TRAINER_WORKSPACE_H

#include "daemon/trainer/network.h"

struct workspace {
    void *act[NET_DEPTH_MAX]; /* [batch][out]: what the next layer reads; the last holds logits */
    void
        *relu[NET_DEPTH_MAX]; /* the activation before a skip is added; act[k] itself without one */
    void *delta[2];           /* gradient of layer k's pre-activations lies in delta[k % 2] */
    void *carry; /* gradient of a layer's output while a skip still needs it; NULL without skips */
    void *arena;
    size_t arena_bytes;
};

/* 0, or WATTQ_E_LIMIT when network and scratch together exceed the memory this machine has free now. */
int workspace_open(struct workspace *w, const struct network *n, int64_t batch,
                   struct err *e) MUST_USE;
void workspace_close(struct workspace *w);
/* Bytes of scratch for one step, without taking them. */
double workspace_bytes(const struct network *n, int64_t batch);

#endif
