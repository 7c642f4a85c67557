/* The NVIDIA library of one source: loaded, its functions found, its answers turned into readings.
 * Each source opens it for itself; loader and library count their users, so the process has it once.
 * Thread: its source's. */
#ifndef DAEMON_METER_NVML_H
#define DAEMON_METER_NVML_H

#include "daemon/meter/gpu_procs.h"
#include "daemon/meter/nvml_api.h"

struct nvml {
    void *library;
#define X(field, name, params) nvml_return(*field) params;
    NVML_CALLS(X)
#undef X
};

/* NULL path: the driver's own. False = it is not there, or lacks what nothing works without. */
bool nvml_load(struct nvml *c, const char *path);
void nvml_unload(struct nvml *c);

enum reading_state nvml_state(nvml_return rc);
/* value x factor; all ones is the library's "not available". */
struct reading nvml_reading(nvml_return rc, unsigned long long v, int64_t factor, bool wide);

/* What the driver says is damaged, in constant words; NULL = nothing. It keeps that itself until the GPU is reset or
 * replaced, so a new wattqd finds it again.
 * source: NVML API reference, nvmlDeviceGetRemappedRows, nvmlDeviceGetRetiredPagesPendingStatus and
 * nvmlDeviceGetTotalEccErrors. */
const char *nvml_fault(const struct nvml *c, nvml_device device);

/* nvml_xid.c: what the driver reports went wrong on a GPU from now on (Xid), as far as only a reset cures it: what a
 * program can cause is not that. Nothing is watched where the library cannot, or where that would keep the GPU from
 * sleeping (power_dir: its runtime power management in sysfs; NULL = not known). Asks without waiting.
 * source: NVML API reference, nvmlEventSetWait. */
struct nvml_watch {
    nvml_event_set set; /* NULL = nothing is watched */
    unsigned xid;       /* the newest; 0 = none */
    int64_t xid_ns;     /* CLOCK_BOOTTIME when it was seen */
};
void nvml_watch_open(const struct nvml *c, nvml_device device, const char *power_dir,
                     struct nvml_watch *w);
void nvml_watch_look(const struct nvml *c, struct nvml_watch *w);
void nvml_watch_close(const struct nvml *c,
                      struct nvml_watch *w); /* before the library is shut down */

/* Processes of one GPU and what each keeps busy, into `procs`. May take 100 ms. *last_seen_us is the
 * driver's own stamp of the newest sample taken, handed back to it next time; 0 at first. mig: the board
 * is cut into instances, use is not told. */
struct nvml_who {
    struct gpu_procs *procs;
    int index;
    const char *root; /* where /proc is; NULL = here */
    bool mig;
    unsigned long long last_seen_us;
    struct nvml_watch watch;
};
void nvml_who_look(const struct nvml *c, nvml_device device, struct nvml_who *w);

#endif
