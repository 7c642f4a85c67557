/* The four working sets of a network in training, and the level of the memory hierarchy each needs.
 * Pure arithmetic, any thread.
 *
 * source: BUTTER-E analysis, common.py. Each set is a replicated part R (every unit of a level holds a
 * copy) and a distributed part Q (split among the units). With s bytes per number, batch B, widths
 * u_0 .. u_D (u_0 = inputs), P parameters:
 *   l  inter-layer  largest over layers i of Q = s B (u_{i-1} + u_i)
 *   f  forward      R = s P, on top of l
 *   b  backward     R = 2 s P (weights, gradients), Q = s B sum(u_0..u_D) - max Q of l, on top of l
 *   d  data set     Q = s rows (features + targets), on top of b
 * Adam keeps two more numbers per parameter. The study does not count them; with `adam` they are added
 * to b as Q = 2 s P: each thread updates its slice of the parameters, nobody needs a copy. */
#ifndef DAEMON_MODEL_WORKSET_H
#define DAEMON_MODEL_WORKSET_H

#include "common/net.h"
#include "daemon/model/caches.h"

enum workset_kind { WORKSET_L, WORKSET_F, WORKSET_B, WORKSET_D, WORKSET_KINDS };

struct workset_case {
    const struct net
        *net;         /* inputs and widths; its params field is not used. (The study itself took the
                              raw features as inputs, also where it trained on encoded ones.) */
    int64_t rows;     /* of the whole data set; 0 = leave d out */
    int64_t features; /* numbers per row of data as kept in memory */
    int64_t targets;  /* per row: classes for > 2 classes, else 1 */
    int64_t batch;    /* 256 in the study */
    int64_t number_bytes; /* s: 4 for float */
    bool adam;            /* count Adam's moments */
};

struct workset_place {
    int index;     /* into caches.level; -1 = fits nowhere, or left out */
    int64_t bytes; /* R + Q: the set itself, one copy */
    int64_t
        occupied; /* bytes of one unit's share in use up to and including that level, sets below included */
    int64_t total;     /* bytes in use over all units */
    int64_t effective; /* as occupied, without what was lost by stepping over full levels */
};

struct workset {
    int64_t params;
    struct workset_place place[WORKSET_KINDS];
};

/* Computes all four on machine m, as the study does (its check values are the test's). */
void workset_compute(struct workset *out, const struct workset_case *c, const struct caches *m);

const char *
workset_kind_name(enum workset_kind k); /* "inter-layer" "forward" "backward" "data set" */

/* The question a person asks: in which level does this network live while it trains (or only computes)?
 * The place of f or b for batch 256, floats, Adam, and a program of that many threads. NULL = larger
 * than anything the machine describes, or no cache is described (only RAM is known). */
const struct caches_level *workset_home(const struct net *net, enum workset_kind k, int threads,
                                        const struct caches *machine);

#endif
