#include "daemon/meter/drm_card.h"

#include "daemon/meter/attr.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *drm_driver_name(enum drm_driver d)
{
    static const char *const names[DRM_DRIVERS] = {"amdgpu", "i915", "xe"};
    return (unsigned)d < DRM_DRIVERS ? names[d] : "unknown";
}

bool drm_driver_chip(const char *hwmon_name)
{
    if (strncmp(hwmon_name, "i915_gt", 7) == 0) {
        return true;
    }
    for (int d = 0; d < DRM_DRIVERS; d++) {
        if (strcmp(hwmon_name, drm_driver_name((enum drm_driver)d)) == 0) {
            return true;
        }
    }
    return false;
}

/* The last part of where a link points; "" = it is none. */
static void link_name(const char *path, char *out, size_t cap)
{
    char target[WATTQ_PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(target, '/');
    if (!base_strcpy(out, cap, slash ? slash + 1 : target)) {
        out[0] = '\0';
    }
}

/* Outputs are "card0-DP-1". */
static bool is_card(const char *name, unsigned *number)
{
    int64_t n = 0;
    bool card = strncmp(name, "card", 4) == 0 && attr_parse(name + 4, strlen(name + 4), &n);
    *number = card && n >= 0 && n < 1000 ? (unsigned)n : 0;
    return card && n >= 0;
}

static bool is_ours(const char *dir, enum drm_driver *driver)
{
    char name[32];
    char *path CLEANUP(base_freep) = base_printf("%s/device/driver", dir);
    link_name(path, name, sizeof(name));
    for (int d = 0; d < DRM_DRIVERS; d++) {
        if (strcmp(name, drm_driver_name((enum drm_driver)d)) == 0) {
            *driver = (enum drm_driver)d;
            return true;
        }
    }
    return false;
}

static void identify(struct drm_card *c)
{
    char unique[40];
    char vendor[16] = "";
    char device[16] = "";
    const char *slash = strrchr(c->device, '/');
    if (!base_strcpy(c->pdev, sizeof(c->pdev), slash ? slash + 1 : c->device)) {
        c->pdev[0] = '\0';
    }
    (void)base_strcpy(c->uid, sizeof(c->uid), c->pdev);
    (void)base_strcpy(c->name, sizeof(c->name), c->pdev);
    if (attr_text(c->device, "unique_id", unique, sizeof(unique)) && unique[0] &&
        strspn(unique, "0") != strlen(unique)) {
        (void)base_strcpy(c->uid, sizeof(c->uid), unique);
        (void)snprintf(c->name, sizeof(c->name), "GPU-%s", unique);
    }
    if (!attr_text(c->device, "product_name", c->model, sizeof(c->model)) || !c->model[0]) {
        (void)attr_text(c->device, "vendor", vendor, sizeof(vendor));
        (void)attr_text(c->device, "device", device, sizeof(device));
        (void)snprintf(c->model, sizeof(c->model), "%s:%s",
                       strncmp(vendor, "0x", 2) == 0 ? vendor + 2 : vendor,
                       strncmp(device, "0x", 2) == 0 ? device + 2 : device);
    }
    if (!attr_text(c->device, "vbios_version", c->firmware, sizeof(c->firmware))) {
        (void)base_strcpy(c->firmware, sizeof(c->firmware), c->model);
    }
}

static bool take(struct drm_card *c, const char *dir)
{
    char *link CLEANUP(base_freep) = base_printf("%s/device", dir);
    c->device = realpath(link, NULL);
    if (!c->device) {
        return false;
    }
    c->dir = base_strdup(dir);
    c->power = base_printf("%s/power", c->device);
    identify(c);
    return true;
}

bool drm_card_find(struct drm_card *c, const char *sys, int instance)
{
    char *class CLEANUP(base_freep) = base_printf("%s/class/drm", sys);
    struct dirent **list = NULL;
    bool found = false;
    int n = scandir(class, &list, NULL, versionsort);
    *c = (struct drm_card){0};
    for (int i = 0; i < n; i++) {
        char *dir CLEANUP(base_freep) = base_printf("%s/%s", class, list[i]->d_name);
        if (!found && is_card(list[i]->d_name, &c->number) && is_ours(dir, &c->driver)) {
            found = instance-- == 0 && take(c, dir);
        }
        free(list[i]);
    }
    free(list);
    return found;
}

void drm_card_fini(struct drm_card *c)
{
    free(c->dir);
    free(c->device);
    free(c->power);
}
