/* GPUs that are given to nobody because an admin said so, or because their driver reported what only a reset cures:
 * rows of table `meta`, gpu:UUID -> {"why", "by", "boot", "utc_ns"}, so that a new wattqd knows them. by: NULL = wattqd
 * itself, and then only as long as the machine is up: a reboot resets the GPU. Writers run on the storage thread inside a
 * transaction, the reader on any connection. Each change is an event (former.h). */
#ifndef DAEMON_STORE_GPU_OUT_H
#define DAEMON_STORE_GPU_OUT_H

#include "daemon/store/store.h"

#define GPU_OUT_WHY_MAX 192 /* bytes, with the NUL, of what is said of it */

struct gpu_out {
    const char *uuid, *label; /* label: for the log alone */
    int64_t by;               /* INT64_MIN = wattqd */
    const char *why;          /* "" = nothing was said */
};
/* text: what people are told from now on. */
int gpu_out_put(struct store *s, const struct gpu_out *g, char text[GPU_OUT_WHY_MAX],
                struct err *e) MUST_USE;
/* Given to runs again; once more does no harm. */
int gpu_out_drop(struct store *s, const struct gpu_out *g, struct err *e) MUST_USE;
/* fn: with the same text as gpu_out_put. */
int gpu_out_list(struct store *s, void (*fn)(void *arg, const char *uuid, const char *text),
                 void *arg, struct err *e) MUST_USE;
/* What wattqd itself took out before this boot is forgotten. */
int gpu_out_expire(struct store *s, struct err *e) MUST_USE;

#endif
