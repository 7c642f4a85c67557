/* What the kernel says of one open file of a GPU: /proc/PID/fdinfo/FD of a DRM driver. Pure.
 * Two of them with one client id and one device are the same open file, shared or inherited.
 * source: Linux Documentation/gpu/drm-usage-stats.rst; xe counts cycles (xe-drm-usage-stats.rst). */
#ifndef DAEMON_METER_DRM_FDINFO_H
#define DAEMON_METER_DRM_FDINFO_H

#include "common/base.h"

#define DRM_ENGINES_MAX 16

/* One kind of execution unit, as often as the card has it. */
struct drm_engine {
    char name[20]; /* "gfx", "compute", "rcs" */
    int64_t busy;  /* ns, or cycles where total > 0; of all units of that kind together */
    int64_t total; /* cycles that went by; 0 = busy is in ns */
    int64_t units; /* at least 1 */
};

struct drm_fdinfo {
    char driver[16];      /* "amdgpu" */
    char pdev[24];        /* "0000:03:00.0"; empty = not told */
    int64_t client;       /* -1 = not told: the file cannot be told apart from others */
    int64_t memory_bytes; /* on the card: regions vram*, local*; -1 = not told */
    struct drm_engine engines[DRM_ENGINES_MAX];
    size_t n;
};

/* False: no fdinfo of a GPU (no drm-driver line). Lines that are not understood are passed over; engines
 * beyond DRM_ENGINES_MAX too. */
bool drm_fdinfo_parse(const char *text, struct drm_fdinfo *out);

/* Part of the time in which that client kept its busiest kind of engine busy between two looks, span_ns
 * apart: 0 .. 1000000. A count that fell back counts as none (the kernel lets it catch up). */
int64_t drm_fdinfo_busy_ppm(const struct drm_fdinfo *before, const struct drm_fdinfo *now,
                            int64_t span_ns);

#endif
