/* The few declarations of NVML that wattq needs, ours: the library is loaded at run time and its header
 * is not required to build. Used by nvml.c and by the library that the tests put in its place.
 * source: NVML API reference; types and numbers are its ABI, stable since R384 (field values since R525). */
#ifndef DAEMON_METER_NVML_API_H
#define DAEMON_METER_NVML_API_H

typedef int nvml_return;
typedef void *nvml_device;

#define NVML_OK                 0
#define NVML_UNINITIALIZED      1
#define NVML_NOT_SUPPORTED      3
#define NVML_NO_PERMISSION      4
#define NVML_NOT_FOUND          6
#define NVML_INSUFFICIENT_SIZE  7
#define NVML_NO_DRIVER          9
#define NVML_NO_FUNCTION        13
#define NVML_GPU_IS_LOST        15
#define NVML_RESET_REQUIRED     16
#define NVML_TEMPERATURE_GPU    0
#define NVML_CLOCK_SM           1
#define NVML_CLOCK_MEM          2
#define NVML_ARCH_AMPERE        7
#define NVML_FI_POWER_AVERAGE   185 /* mW over 1 s */
#define NVML_FI_POWER_INSTANT   186 /* mW now */
#define NVML_POWER_SCOPE_GPU    0   /* scope ids of both */
#define NVML_POWER_SCOPE_MODULE 1   /* Grace Hopper: CPU, memory and GPU together */
#define NVML_POWER_SCOPE_MEMORY 2
#define NVML_VALUE_UINT         1 /* value type of both */
#define NVML_TEXT_BYTES         96
#define NVML_ECC_UNCORRECTED    1
#define NVML_ECC_VOLATILE       0 /* since the driver was loaded or the GPU reset */
#define NVML_EVENT_XID          0x8ULL
#define NVML_TIMEOUT            10

struct nvml_pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device;
    unsigned pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

struct nvml_field {
    unsigned field_id;
    unsigned scope_id;
    long long timestamp; /* their clock, not used */
    long long latency_usec;
    unsigned value_type;
    nvml_return result; /* of this field; the call succeeds while a field is not supported */
    union {
        double d;
        unsigned u;
        unsigned long long ull;
    } value;
};

struct nvml_utilization {
    unsigned gpu, memory; /* percent of the driver's last sample period */
};

struct nvml_process {
    unsigned pid;
    unsigned long long bytes; /* all ones: not told */
    unsigned gpu_instance, compute_instance;
};

struct nvml_process_sample {
    unsigned pid;
    unsigned long long stamp_us; /* their clock: only ever handed back to them */
    unsigned sm, mem, enc, dec;  /* percent */
};

typedef void *nvml_event_set;

struct nvml_event {
    nvml_device device;
    unsigned long long type;
    unsigned long long data; /* of NVML_EVENT_XID: which */
    unsigned gpu_instance, compute_instance;
};

/* name in the library, result, parameters */
#define NVML_CALLS(X)                                                                              \
    X(init, "nvmlInit_v2", (void))                                                                 \
    X(shutdown, "nvmlShutdown", (void))                                                            \
    X(driver_version, "nvmlSystemGetDriverVersion", (char *text, unsigned bytes))                  \
    X(count, "nvmlDeviceGetCount_v2", (unsigned *count))                                           \
    X(by_index, "nvmlDeviceGetHandleByIndex_v2", (unsigned index, nvml_device *device))            \
    X(by_uuid, "nvmlDeviceGetHandleByUUID", (const char *uuid, nvml_device *device))               \
    X(by_pci, "nvmlDeviceGetHandleByPciBusId_v2", (const char *bus_id, nvml_device *device))       \
    X(index, "nvmlDeviceGetIndex", (nvml_device device, unsigned *index))                          \
    X(uuid, "nvmlDeviceGetUUID", (nvml_device device, char *text, unsigned bytes))                 \
    X(name, "nvmlDeviceGetName", (nvml_device device, char *text, unsigned bytes))                 \
    X(vbios, "nvmlDeviceGetVbiosVersion", (nvml_device device, char *text, unsigned bytes))        \
    X(mig, "nvmlDeviceGetMigMode", (nvml_device device, unsigned *now, unsigned *pending))         \
    X(energy, "nvmlDeviceGetTotalEnergyConsumption", (nvml_device device, unsigned long long *mj)) \
    X(power, "nvmlDeviceGetPowerUsage", (nvml_device device, unsigned *mw))                        \
    X(limit, "nvmlDeviceGetEnforcedPowerLimit", (nvml_device device, unsigned *mw))                \
    X(temperature, "nvmlDeviceGetTemperature",                                                     \
      (nvml_device device, int sensor, unsigned *celsius))                                         \
    X(clock, "nvmlDeviceGetClockInfo", (nvml_device device, int type, unsigned *mhz))              \
    X(fan, "nvmlDeviceGetFanSpeed", (nvml_device device, unsigned *percent))                       \
    X(utilization, "nvmlDeviceGetUtilizationRates",                                                \
      (nvml_device device, struct nvml_utilization * rates))                                       \
    X(throttle, "nvmlDeviceGetCurrentClocksThrottleReasons",                                       \
      (nvml_device device, unsigned long long *mask))                                              \
    X(architecture, "nvmlDeviceGetArchitecture", (nvml_device device, unsigned *arch))             \
    X(pci, "nvmlDeviceGetPciInfo_v3", (nvml_device device, struct nvml_pci * pci))                 \
    X(remapped_rows, "nvmlDeviceGetRemappedRows",                                                  \
      (nvml_device device, unsigned *correctable, unsigned *uncorrectable, unsigned *pending,      \
       unsigned *failed))                                                                          \
    X(pages_pending, "nvmlDeviceGetRetiredPagesPendingStatus", (nvml_device device, int *pending)) \
    X(ecc, "nvmlDeviceGetTotalEccErrors",                                                          \
      (nvml_device device, int type, int counter, unsigned long long *count))                      \
    X(events_new, "nvmlEventSetCreate", (nvml_event_set * set))                                    \
    X(events_add, "nvmlDeviceRegisterEvents",                                                      \
      (nvml_device device, unsigned long long types, nvml_event_set set))                          \
    X(events_wait, "nvmlEventSetWait_v2",                                                          \
      (nvml_event_set set, struct nvml_event * out, unsigned timeout_ms))                          \
    X(events_free, "nvmlEventSetFree", (nvml_event_set set))                                       \
    X(fields, "nvmlDeviceGetFieldValues", (nvml_device device, int n, struct nvml_field *values))  \
    X(compute_v3, "nvmlDeviceGetComputeRunningProcesses_v3",                                       \
      (nvml_device device, unsigned *count, struct nvml_process *out))                             \
    X(compute_v2, "nvmlDeviceGetComputeRunningProcesses_v2",                                       \
      (nvml_device device, unsigned *count, struct nvml_process *out))                             \
    X(graphics_v3, "nvmlDeviceGetGraphicsRunningProcesses_v3",                                     \
      (nvml_device device, unsigned *count, struct nvml_process *out))                             \
    X(graphics_v2, "nvmlDeviceGetGraphicsRunningProcesses_v2",                                     \
      (nvml_device device, unsigned *count, struct nvml_process *out))                             \
    X(process_use, "nvmlDeviceGetProcessUtilization",                                              \
      (nvml_device device, struct nvml_process_sample * out, unsigned *count,                      \
       unsigned long long last_seen_us))

#endif
