#include "daemon/meter/nvml.h"

#include <string.h>

#include "common/units.h"
#include "daemon/meter/attr.h"

/* source: NVIDIA, "Xid Errors", catalog for Ampere and newer GPUs: those whose immediate action is to reset the GPU or
 * to restart the machine. 109, which long kernels cause too, is left out; 48 is an ECC error of two bits. */
static bool takes_reset(unsigned long long xid)
{
    static const unsigned bad[] = {46, 48, 62, 64, 79, 95, 110, 119, 120, 136, 140};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (xid == bad[i]) {
            return true;
        }
    }
    return false;
}

/* A set of events keeps the GPU's device file open. Where the kernel may let the GPU sleep, it is to. */
static bool may_sleep(const char *power_dir)
{
    char text[16];
    return power_dir && attr_text(power_dir, "control", text, sizeof(text)) &&
           strcmp(text, "auto") == 0;
}

void nvml_watch_open(const struct nvml *c, nvml_device device, const char *power_dir,
                     struct nvml_watch *w)
{
    if (w->set || !c->events_new || !c->events_add || !c->events_wait || !c->events_free ||
        may_sleep(power_dir) || c->events_new(&w->set) != NVML_OK) {
        return;
    }
    if (c->events_add(device, NVML_EVENT_XID, w->set) != NVML_OK) {
        nvml_watch_close(c, w);
    }
}

void nvml_watch_close(const struct nvml *c, struct nvml_watch *w)
{
    if (w->set) {
        (void)c->events_free(w->set);
    }
    w->set = NULL;
}

void nvml_watch_look(const struct nvml *c, struct nvml_watch *w)
{
    struct nvml_event event = {0};
    for (int i = 0; w->set && i < 64; i++) { /* a broken program can cause many: go on next time */
        if (c->events_wait(w->set, &event, 0) != NVML_OK) {
            return;
        }
        if (event.type == NVML_EVENT_XID && takes_reset(event.data)) {
            w->xid = (unsigned)event.data;
            w->xid_ns = clock_boot_ns();
        }
    }
}
