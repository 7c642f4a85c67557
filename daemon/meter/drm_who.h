/* Who is on one GPU of a DRM driver: what /proc/PID/fdinfo says of open files of that card, and, for AMD's
 * compute queues, which the driver does not count there, the list of the kernel's kfd. Into gpu_procs.
 *
 * Other users' processes may not be looked into without CAP_SYS_PTRACE: how many those are is said
 * (gpu_use.hidden), because each of them may be on it. kfd tells its processes to everybody.
 * A look reads the open files of every process it may: milliseconds. Thread: its source's.
 * source: drm-usage-stats.rst; /sys/class/kfd/kfd/proc/PID/vram_GPUID (drivers/gpu/drm/amd/amdkfd). */
#ifndef DAEMON_METER_DRM_WHO_H
#define DAEMON_METER_DRM_WHO_H

#include "daemon/meter/drm_fdinfo.h"
#include "daemon/meter/gpu_procs.h"

#define DRM_CLIENTS_MAX 256 /* open files of one card that are kept apart; more are passed over */

struct drm_client {
    int64_t pid; /* the first process that was seen to have it */
    struct drm_fdinfo info;
};

struct drm_who {
    struct gpu_procs *procs; /* NULL: nobody wants to know */
    int index;
    char *root;                      /* where proc and sys are; NULL = here */
    char pdev[24];                   /* "0000:03:00.0" */
    int64_t kfd_id;                  /* what kfd calls this GPU; 0 = it does not have it */
    struct drm_client *before, *now; /* of the look before, of this one */
    size_t nbefore, nnow;
    int64_t before_ns; /* when that was; 0 = never */
};

/* root as meter_config.sysfs_root. Does nothing where procs is NULL. */
void drm_who_init(struct drm_who *w, struct gpu_procs *procs, const char *root, const char *device,
                  const char *label, const char *pdev);
void drm_who_fini(struct drm_who *w);
/* busy_ppm: of the whole GPU, as it says itself; -1 = it does not. */
void drm_who_look(struct drm_who *w, int64_t busy_ppm);
/* Why nobody looked: asleep, gone. */
void drm_who_none(struct drm_who *w, int64_t boot_ns, enum reading_state why);

#endif
