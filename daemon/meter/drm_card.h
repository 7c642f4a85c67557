/* One GPU as the kernel's DRM subsystem shows it: where its files are and who it is. To find it reads
 * nothing that wakes a sleeping card. Thread: its source's.
 * source: Linux Documentation/gpu/amdgpu/driver-misc.rst (unique_id, product_name, vbios_version),
 * Documentation/ABI/testing/sysfs-class-drm. */
#ifndef DAEMON_METER_DRM_CARD_H
#define DAEMON_METER_DRM_CARD_H

#include "common/base.h"

enum drm_driver { DRM_AMDGPU, DRM_I915, DRM_XE, DRM_DRIVERS };

struct drm_card {
    enum drm_driver driver;
    unsigned number; /* of this boot: card0 */
    char *dir;       /* .../class/drm/card0 */
    char *device;    /* its PCI device, by its real path */
    char *power;     /* .../power: runtime PM */
    char pdev[24];   /* "0000:03:00.0" */
    char uid[40];    /* AMD's unique number, which stays with the card; else the PCI address */
    char name
        [64]; /* channel_desc.device: "GPU-0123456789abcdef" as ROCm calls it, or the PCI address */
    char model[40]; /* product name, else PCI vendor:device */
    char firmware[64];
};

const char *drm_driver_name(enum drm_driver d); /* "amdgpu" */
/* Is that the name of a hwmon chip of such a driver? "i915_gt0" too. */
bool drm_driver_chip(const char *hwmon_name);

/* The instance-th card of these drivers, in order of their numbers. False = there are not so many. */
bool drm_card_find(struct drm_card *c, const char *sys, int instance);
void drm_card_fini(struct drm_card *c);

#endif
