/* A libnvidia-ml.so.1 for tests: GPUs of constant power whose behaviour a control file sets while the
 * daemon runs. FAKE_NVML_CONTROL names the file; it is read again at every call. Lines "key value":
 *
 *   gpus 2            how many                           default 1
 *   power_mw 250000   of each GPU                        default 100000
 *   limit_mw 700000   enforced power limit               default 700000
 *   energy_offset_mj 0  added to the counter: lower it to make the counter fall
 *   reset_ns T        CLOCK_BOOTTIME: the counter starts from 0 at T (0: from boot)
 *   error 15          every reading returns this NVML code; 0 = none
 *   init_error 9      nvmlInit returns this code; 0 = none
 *   no_energy 1       the energy counter is NOT_SUPPORTED
 *   no_power 1        power of the GPU's own scope is NOT_SUPPORTED, field by field or as a whole
 *   module_mw 800000  the module's power; 0 = NOT_SUPPORTED    default 0
 *   memory_mw 40000   the memory's power; 0 = NOT_SUPPORTED    default 0
 *   arch 9            architecture: 7 Ampere, 9 Hopper         default 9
 *   mig 1             cut into instances: use is NOT_SUPPORTED
 *   sentinel 1        power and energy read as all ones
 *   hang 1            every reading waits until the file says 0
 *   remap_pending 1   a row waits for a reset to be remapped
 *   remap_failed 1    a row could not be remapped
 *   pages_pending 1   a page waits for a reset to be retired
 *   ecc 3             uncorrectable errors since the last reset
 *   xid 79            the driver reports this Xid, each time the number changes to another than 0
 *   busy 30           percent of the time in which a kernel ran
 *   proc_P 4096       process P holds so many bytes (-1: not told), on every GPU; proc_P@1 on GPU 1 alone
 *   use_P 60          and keeps the multiprocessors busy for so many percent; use_P@1 as well
 *
 * "key@1 value" is of GPU 1 alone. Energy is power_mw x (now - reset_ns), refreshed every 20 ms like a
 * board's. nvmlInit and nvmlShutdown are counted; without the first every call is UNINITIALIZED. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/meter/nvml_api.h"

#define EXPORT     __attribute__((visibility("default")))
#define GPUS_MAX   8
#define ROWS_MAX   300
#define REFRESH_NS INT64_C(20000000)

/* As the loader looks them up. */
EXPORT nvml_return nvmlInit_v2(void);
EXPORT nvml_return nvmlShutdown(void);
EXPORT nvml_return nvmlDeviceGetCount_v2(unsigned *count);
EXPORT nvml_return nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml_device *device);
EXPORT nvml_return nvmlDeviceGetUUID(nvml_device device, char *text, unsigned bytes);
EXPORT nvml_return nvmlDeviceGetName(nvml_device device, char *text, unsigned bytes);
EXPORT nvml_return nvmlDeviceGetTotalEnergyConsumption(nvml_device device, unsigned long long *mj);
EXPORT nvml_return nvmlDeviceGetPowerUsage(nvml_device device, unsigned *mw);
EXPORT nvml_return nvmlDeviceGetEnforcedPowerLimit(nvml_device device, unsigned *mw);
EXPORT nvml_return nvmlDeviceGetTemperature(nvml_device device, int sensor, unsigned *celsius);
EXPORT nvml_return nvmlDeviceGetClockInfo(nvml_device device, int type, unsigned *mhz);
EXPORT nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(nvml_device device,
                                                             unsigned long long *mask);
EXPORT nvml_return nvmlDeviceGetArchitecture(nvml_device device, unsigned *arch);
EXPORT nvml_return nvmlDeviceGetPciInfo_v3(nvml_device device, struct nvml_pci *pci);
EXPORT nvml_return nvmlDeviceGetFieldValues(nvml_device device, int n, struct nvml_field *values);
EXPORT nvml_return nvmlSystemGetDriverVersion(char *text, unsigned bytes);
EXPORT nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvml_device *device);
EXPORT nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, nvml_device *device);
EXPORT nvml_return nvmlDeviceGetIndex(nvml_device device, unsigned *index);
EXPORT nvml_return nvmlDeviceGetVbiosVersion(nvml_device device, char *text, unsigned bytes);
EXPORT nvml_return nvmlDeviceGetMigMode(nvml_device device, unsigned *now, unsigned *pending);
EXPORT nvml_return nvmlDeviceGetFanSpeed(nvml_device device, unsigned *percent);
EXPORT nvml_return nvmlDeviceGetUtilizationRates(nvml_device device,
                                                 struct nvml_utilization *rates);
EXPORT nvml_return nvmlDeviceGetRemappedRows(nvml_device device, unsigned *correctable,
                                             unsigned *uncorrectable, unsigned *pending,
                                             unsigned *failed);
EXPORT nvml_return nvmlDeviceGetRetiredPagesPendingStatus(nvml_device device, int *pending);
EXPORT nvml_return nvmlDeviceGetTotalEccErrors(nvml_device device, int type, int counter,
                                               unsigned long long *count);
EXPORT nvml_return nvmlEventSetCreate(nvml_event_set *set);
EXPORT nvml_return nvmlDeviceRegisterEvents(nvml_device device, unsigned long long types,
                                            nvml_event_set set);
EXPORT nvml_return nvmlEventSetWait_v2(nvml_event_set set, struct nvml_event *out,
                                       unsigned timeout_ms);
EXPORT nvml_return nvmlEventSetFree(nvml_event_set set);
EXPORT nvml_return nvmlDeviceGetComputeRunningProcesses_v3(nvml_device device, unsigned *count,
                                                           struct nvml_process *out);
EXPORT nvml_return nvmlDeviceGetProcessUtilization(nvml_device device,
                                                   struct nvml_process_sample *out, unsigned *count,
                                                   unsigned long long last_seen_us);

static const char device_of[GPUS_MAX];
static atomic_int users; /* of the library, as the driver's own counts them */

static int64_t control_all(const char *key, int64_t otherwise)
{
    const char *path = getenv("FAKE_NVML_CONTROL");
    FILE *f = path ? fopen(path, "re") : NULL;
    char name[64];
    int64_t value = otherwise;
    int64_t v = 0;
    while (f && fscanf(f, "%63s %" SCNd64, name, &v) == 2) {
        if (strcmp(name, key) == 0) {
            value = v;
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return value;
}

static unsigned index_of(nvml_device device)
{
    return (unsigned)((const char *)device - device_of);
}

static int64_t control(nvml_device device, const char *key, int64_t otherwise)
{
    char own[64];
    (void)snprintf(own, sizeof(own), "%s@%u", key, index_of(device));
    return control_all(own, control_all(key, otherwise));
}

static nvml_return gate(nvml_device device)
{
    while (control(device, "hang", 0) != 0) {
        struct timespec t = {.tv_nsec = 10000000};
        (void)nanosleep(&t, NULL);
    }
    if (atomic_load(&users) <= 0) {
        return NVML_UNINITIALIZED;
    }
    return (nvml_return)control(device, "error", 0);
}

nvml_return nvmlInit_v2(void)
{
    nvml_return rc = (nvml_return)control_all("init_error", 0);
    if (rc == NVML_OK) {
        atomic_fetch_add(&users, 1);
    }
    return rc;
}

nvml_return nvmlShutdown(void)
{
    atomic_fetch_sub(&users, 1);
    return NVML_OK;
}

nvml_return nvmlSystemGetDriverVersion(char *text, unsigned bytes)
{
    (void)snprintf(text, bytes, "999.1");
    return NVML_OK;
}

nvml_return nvmlDeviceGetCount_v2(unsigned *count)
{
    int64_t n = control_all("gpus", 1);
    *count = (unsigned)(n < GPUS_MAX ? n : GPUS_MAX);
    return NVML_OK;
}

nvml_return nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml_device *device)
{
    union {
        const char *in;
        nvml_device out;
    } handle = {.in = &device_of[index]};
    *device = handle.out;
    return (int64_t)index < control_all("gpus", 1) ? NVML_OK : NVML_NOT_FOUND;
}

nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvml_device *device)
{
    unsigned bus = 0;
    return sscanf(bus_id, "0000:%x:00.0", &bus) == 1 && bus > 0 && bus <= GPUS_MAX
               ? nvmlDeviceGetHandleByIndex_v2(bus - 1, device)
               : NVML_NOT_FOUND;
}

nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, nvml_device *device)
{
    unsigned index = 0;
    if (sscanf(uuid, "GPU-fa4e0000-0000-0000-0000-%u", &index) != 1 || index >= GPUS_MAX) {
        return NVML_NOT_FOUND;
    }
    (void)nvmlDeviceGetHandleByIndex_v2(index, device);
    return gate(*device);
}

nvml_return nvmlDeviceGetIndex(nvml_device device, unsigned *index)
{
    *index = index_of(device);
    return NVML_OK;
}

nvml_return nvmlDeviceGetVbiosVersion(nvml_device device, char *text, unsigned bytes)
{
    (void)device;
    (void)snprintf(text, bytes, "96.00.61.00.01");
    return NVML_OK;
}

nvml_return nvmlDeviceGetMigMode(nvml_device device, unsigned *now, unsigned *pending)
{
    *now = *pending = (unsigned)control(device, "mig", 0);
    return NVML_OK;
}

nvml_return nvmlDeviceGetUUID(nvml_device device, char *text, unsigned bytes)
{
    (void)snprintf(text, bytes, "GPU-fa4e0000-0000-0000-0000-%012u", index_of(device));
    return NVML_OK;
}

nvml_return nvmlDeviceGetName(nvml_device device, char *text, unsigned bytes)
{
    (void)device;
    (void)snprintf(text, bytes, "Fake GPU");
    return NVML_OK;
}

nvml_return nvmlDeviceGetTotalEnergyConsumption(nvml_device device, unsigned long long *mj)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    int64_t now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
    now -= now % REFRESH_NS;
    int64_t us = (now - control(device, "reset_ns", 0)) / 1000;
    *mj = (unsigned long long)(control(device, "power_mw", 100000) * us / 1000000 +
                               control(device, "energy_offset_mj", 0));
    if (control(device, "sentinel", 0)) {
        *mj = ~0ULL;
    }
    return control(device, "no_energy", 0) ? NVML_NOT_SUPPORTED : gate(device);
}

nvml_return nvmlDeviceGetPowerUsage(nvml_device device, unsigned *mw)
{
    *mw = control(device, "sentinel", 0) ? ~0U : (unsigned)control(device, "power_mw", 100000);
    return control(device, "no_power", 0) ? NVML_NOT_SUPPORTED : gate(device);
}

nvml_return nvmlDeviceGetEnforcedPowerLimit(nvml_device device, unsigned *mw)
{
    *mw = (unsigned)control(device, "limit_mw", 700000);
    return gate(device);
}

nvml_return nvmlDeviceGetTemperature(nvml_device device, int sensor, unsigned *celsius)
{
    (void)sensor;
    *celsius = 42;
    return gate(device);
}

nvml_return nvmlDeviceGetClockInfo(nvml_device device, int type, unsigned *mhz)
{
    *mhz = type == NVML_CLOCK_SM ? 1980 : 2619;
    return gate(device);
}

nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(nvml_device device, unsigned long long *mask)
{
    *mask = 4; /* software power cap */
    return gate(device);
}

nvml_return nvmlDeviceGetArchitecture(nvml_device device, unsigned *arch)
{
    *arch = (unsigned)control(device, "arch", 9);
    return NVML_OK;
}

nvml_return nvmlDeviceGetPciInfo_v3(nvml_device device, struct nvml_pci *pci)
{
    memset(pci, 0, sizeof(*pci));
    pci->bus = index_of(device) + 1;
    return NVML_OK;
}

static int64_t scope_mw(nvml_device device, unsigned scope)
{
    if (scope == NVML_POWER_SCOPE_MODULE) {
        return control(device, "module_mw", 0);
    }
    if (scope == NVML_POWER_SCOPE_MEMORY) {
        return control(device, "memory_mw", 0);
    }
    return control(device, "no_power", 0) ? 0 : control(device, "power_mw", 100000);
}

/* The call succeeds whatever its fields say. */
nvml_return nvmlDeviceGetFieldValues(nvml_device device, int n, struct nvml_field *values)
{
    for (int i = 0; i < n; i++) {
        int64_t mw = scope_mw(device, values[i].scope_id);
        bool power = values[i].field_id == NVML_FI_POWER_INSTANT ||
                     values[i].field_id == NVML_FI_POWER_AVERAGE;
        values[i].result = power && mw > 0 ? gate(device) : NVML_NOT_SUPPORTED;
        values[i].value_type = NVML_VALUE_UINT;
        values[i].value.u = control(device, "sentinel", 0) ? ~0U : (unsigned)mw;
    }
    return NVML_OK;
}

nvml_return nvmlDeviceGetFanSpeed(nvml_device device, unsigned *percent)
{
    (void)device;
    *percent = 0;
    return NVML_NOT_SUPPORTED; /* a server's card has none */
}

nvml_return nvmlDeviceGetUtilizationRates(nvml_device device, struct nvml_utilization *rates)
{
    *rates = (struct nvml_utilization){.gpu = (unsigned)control(device, "busy", 0)};
    return control(device, "mig", 0) ? NVML_NOT_SUPPORTED : gate(device);
}

nvml_return nvmlDeviceGetRemappedRows(nvml_device device, unsigned *correctable,
                                      unsigned *uncorrectable, unsigned *pending, unsigned *failed)
{
    *correctable = 0;
    *pending = (unsigned)control(device, "remap_pending", 0);
    *failed = (unsigned)control(device, "remap_failed", 0);
    *uncorrectable = *pending + *failed;
    return gate(device);
}

nvml_return nvmlDeviceGetRetiredPagesPendingStatus(nvml_device device, int *pending)
{
    *pending = (int)control(device, "pages_pending", 0);
    return gate(device);
}

nvml_return nvmlDeviceGetTotalEccErrors(nvml_device device, int type, int counter,
                                        unsigned long long *count)
{
    bool asked = type == NVML_ECC_UNCORRECTED && counter == NVML_ECC_VOLATILE;
    *count = asked ? (unsigned long long)control(device, "ecc", 0) : 0;
    return gate(device);
}

struct events { /* of one GPU: nobody here asks for more in one set */
    nvml_device device;
    int64_t last;
};

nvml_return nvmlEventSetCreate(nvml_event_set *set)
{
    *set = calloc(1, sizeof(struct events));
    return *set && atomic_load(&users) > 0 ? NVML_OK : NVML_UNINITIALIZED;
}

nvml_return nvmlDeviceRegisterEvents(nvml_device device, unsigned long long types,
                                     nvml_event_set set)
{
    struct events *e = set;
    e->device = device;
    e->last = control(device, "xid", 0);
    return types == NVML_EVENT_XID ? NVML_OK : NVML_NOT_SUPPORTED;
}

nvml_return nvmlEventSetWait_v2(nvml_event_set set, struct nvml_event *out, unsigned timeout_ms)
{
    struct events *e = set;
    int64_t xid = control(e->device, "xid", 0);
    bool news = xid != e->last && xid != 0;
    e->last = xid;
    *out = (struct nvml_event){
        .device = e->device, .type = NVML_EVENT_XID, .data = (unsigned long long)xid};
    return news && timeout_ms == 0 ? NVML_OK : NVML_TIMEOUT;
}

nvml_return nvmlEventSetFree(nvml_event_set set)
{
    free(set);
    return NVML_OK;
}

/* Each line of that prefix that is about this GPU: the process and its value. */
static unsigned each(nvml_device device, const char *prefix, unsigned *pids, long long *values,
                     unsigned most)
{
    const char *path = getenv("FAKE_NVML_CONTROL");
    FILE *f = path ? fopen(path, "re") : NULL;
    char name[64];
    long long v = 0;
    unsigned n = 0;
    while (f && n < most && fscanf(f, "%63s %lld", name, &v) == 2) {
        const char *at = strchr(name, '@');
        bool here = !at || strtoul(at + 1, NULL, 10) == index_of(device);
        if (here && strncmp(name, prefix, strlen(prefix)) == 0) {
            pids[n] = (unsigned)strtoul(name + strlen(prefix), NULL, 10);
            values[n++] = v;
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return n;
}

nvml_return nvmlDeviceGetComputeRunningProcesses_v3(nvml_device device, unsigned *count,
                                                    struct nvml_process *out)
{
    unsigned pids[ROWS_MAX];
    long long bytes[ROWS_MAX];
    unsigned n = each(device, "proc_", pids, bytes, ROWS_MAX);
    nvml_return rc = n > *count ? NVML_INSUFFICIENT_SIZE : gate(device);
    for (unsigned i = 0; rc == NVML_OK && i < n; i++) {
        out[i] = (struct nvml_process){.pid = pids[i], .bytes = (unsigned long long)bytes[i]};
    }
    *count = n;
    return rc;
}

/* Stamps are of a clock that has nothing to do with ours; a sample is new at every call. */
nvml_return nvmlDeviceGetProcessUtilization(nvml_device device, struct nvml_process_sample *out,
                                            unsigned *count, unsigned long long last_seen_us)
{
    unsigned pids[ROWS_MAX];
    long long percent[ROWS_MAX];
    unsigned n = each(device, "use_", pids, percent, ROWS_MAX);
    nvml_return rc = control(device, "mig", 0) ? NVML_NOT_SUPPORTED : gate(device);
    if (rc != NVML_OK || n == 0) {
        return rc != NVML_OK ? rc : NVML_NOT_FOUND;
    }
    for (unsigned i = 0; i < n && i < *count; i++) {
        out[i] = (struct nvml_process_sample){
            .pid = pids[i], .sm = (unsigned)percent[i], .stamp_us = last_seen_us + 1000};
    }
    *count = n;
    return NVML_OK;
}
