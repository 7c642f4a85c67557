/* A libnvidia-ml.so.1 for tests: GPUs of constant power whose behaviour a control file sets while the
 * daemon runs. FAKE_NVML_CONTROL names the file; it is read again at every call. Lines "key value":
 *
 *   gpus 2            how many (read at nvmlInit)        default 1
 *   power_mw 250000   of each GPU                        default 100000
 *   limit_mw 700000   enforced power limit               default 700000
 *   energy_offset_mj 0  added to the counter: lower it to make the counter fall
 *   reset_ns T        CLOCK_BOOTTIME: the counter starts from 0 at T (0: from boot)
 *   error 15          every reading returns this NVML code; 0 = none
 *   no_energy 1       the energy counter is NOT_SUPPORTED
 *   sentinel 1        power and energy read as all ones
 *   hang 1            every reading waits until the file says 0
 *
 * Energy is power_mw x (now - reset_ns), refreshed every 20 ms like a board's. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/meter/nvml_api.h"

#define EXPORT     __attribute__((visibility("default")))
#define GPUS_MAX   8
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

static const char device_of[GPUS_MAX];

static int64_t control(const char *key, int64_t otherwise)
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

static nvml_return gate(void)
{
    while (control("hang", 0) != 0) {
        struct timespec t = {.tv_nsec = 10000000};
        (void)nanosleep(&t, NULL);
    }
    return (nvml_return)control("error", 0);
}

static unsigned index_of(nvml_device device)
{
    return (unsigned)((const char *)device - device_of);
}

nvml_return nvmlInit_v2(void)
{
    return NVML_OK;
}

nvml_return nvmlShutdown(void)
{
    return NVML_OK;
}

nvml_return nvmlDeviceGetCount_v2(unsigned *count)
{
    int64_t n = control("gpus", 1);
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
    return index < GPUS_MAX ? NVML_OK : NVML_NOT_FOUND;
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
    (void)device;
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    int64_t now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
    now -= now % REFRESH_NS;
    int64_t us = (now - control("reset_ns", 0)) / 1000;
    *mj = (unsigned long long)(control("power_mw", 100000) * us / 1000000 +
                               control("energy_offset_mj", 0));
    if (control("sentinel", 0)) {
        *mj = ~0ULL;
    }
    return control("no_energy", 0) ? NVML_NOT_SUPPORTED : gate();
}

nvml_return nvmlDeviceGetPowerUsage(nvml_device device, unsigned *mw)
{
    (void)device;
    *mw = control("sentinel", 0) ? ~0U : (unsigned)control("power_mw", 100000);
    return gate();
}

nvml_return nvmlDeviceGetEnforcedPowerLimit(nvml_device device, unsigned *mw)
{
    (void)device;
    *mw = (unsigned)control("limit_mw", 700000);
    return NVML_OK;
}

nvml_return nvmlDeviceGetTemperature(nvml_device device, int sensor, unsigned *celsius)
{
    (void)device;
    (void)sensor;
    *celsius = 42;
    return gate();
}

nvml_return nvmlDeviceGetClockInfo(nvml_device device, int type, unsigned *mhz)
{
    (void)device;
    *mhz = type == NVML_CLOCK_SM ? 1980 : 2619;
    return gate();
}

nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(nvml_device device, unsigned long long *mask)
{
    (void)device;
    *mask = 4; /* software power cap */
    return gate();
}

nvml_return nvmlDeviceGetArchitecture(nvml_device device, unsigned *arch)
{
    (void)device;
    *arch = 9; /* Hopper */
    return NVML_OK;
}

nvml_return nvmlDeviceGetPciInfo_v3(nvml_device device, struct nvml_pci *pci)
{
    memset(pci, 0, sizeof(*pci));
    pci->bus = index_of(device) + 1;
    return NVML_OK;
}

nvml_return nvmlDeviceGetFieldValues(nvml_device device, int n, struct nvml_field *values)
{
    (void)device;
    for (int i = 0; i < n; i++) {
        bool power = values[i].field_id == NVML_FI_POWER_INSTANT;
        values[i].result = power ? gate() : NVML_NOT_SUPPORTED;
        values[i].value_type = NVML_VALUE_UINT;
        values[i].value.u = control("sentinel", 0) ? ~0U : (unsigned)control("power_mw", 100000);
    }
    return NVML_OK;
}
