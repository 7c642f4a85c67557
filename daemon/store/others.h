/* What others than runs used of the CPUs and GPUs, as samples of 10 s and as sums beside a run. Writers run
 * on the storage thread, readers on any connection's. */
#ifndef DAEMON_STORE_OTHERS_H
#define DAEMON_STORE_OTHERS_H

#include "daemon/store/store.h"

#define OTHERS_STRETCH_MAX_NS (120 * NS_PER_S) /* no row is longer */

struct other_use {
    const char *kind;   /* 'login', 'container', 'service', 'gpu' */
    const char *owner;  /* whose */
    const char *device; /* "" = the CPUs, else a GPU's UUID */
    int64_t busy_us;
};
/* In the boot of this kernel. t1_ns > t0_ns. */
int others_put(struct store *s, const struct other_use *u, int64_t t0_ns, int64_t t1_ns,
               struct err *e) MUST_USE;
/* Sum up what others used in the window, of the CPUs and of the GPUs that the run was given, and keep it with
 * the run, instead of what was kept before. A row that reaches over an edge counts with the part inside. */
int others_keep(struct store *s, int64_t run, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                struct err *e) MUST_USE;
/* What was kept, most first; strings live during the call. */
int others_of_run(struct store *s, int64_t run, int (*fn)(void *arg, const struct other_use *u),
                  void *arg, struct err *e) MUST_USE;

#endif
