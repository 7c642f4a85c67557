#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

extern "C" {
#include "daemon/trainer/cuda_device.h"
}

/* source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability": size of the unified
 * data cache, KiB per SM. CUDA has no attribute for it. */
static int64_t l1_bytes(int major, int minor)
{
    static const struct {
        int major, minor, kib;
    } table[] = {{7, 0, 128},  {7, 2, 128},  {7, 5, 96},  {8, 0, 192},  {8, 6, 128},
                 {8, 7, 192},  {8, 9, 128},  {9, 0, 256}, {10, 0, 256}, {10, 3, 256},
                 {11, 0, 256}, {12, 0, 128}, {12, 1, 128}};
    for (const auto &row : table)
        if (row.major == major && row.minor == minor)
            return (int64_t)row.kib << 10;
    return 0;
}

static int no_driver(struct cuda_device *d, cudaError_t rc, struct err *e)
{
    if (rc == cudaErrorInsufficientDriver && d->driver == 0) {
        err_set(e, WATTQ_E_UNAVAILABLE, "there is no NVIDIA driver on this machine");
        return err_next(e, "train on the CPU: --backend openblas");
    }
    if (rc == cudaErrorInsufficientDriver) {
        err_set(e, WATTQ_E_UNAVAILABLE,
                "the NVIDIA driver can do CUDA %d.%d, and this wattq-train was built for %d.%d",
                d->driver / 1000, d->driver % 1000 / 10, d->runtime / 1000, d->runtime % 1000 / 10);
        return err_next(e, "install a newer driver, or build with an older CUDA toolkit");
    }
    if (rc == cudaErrorNoDevice || rc == cudaSuccess) {
        err_set(e, WATTQ_E_UNAVAILABLE, "CUDA shows no GPU to this process");
        return err_next(e, "ask for one (--gpus 1), and see nvidia-smi and CUDA_VISIBLE_DEVICES");
    }
    err_set(e, WATTQ_E_UNAVAILABLE, "CUDA does not start: %s", cudaGetErrorString(rc));
    return err_next(e, "see nvidia-smi; train on the CPU: --backend openblas");
}

static void show_uuid(char *out, size_t cap, const cudaUUID_t *u)
{
    size_t at = (size_t)snprintf(out, cap, "GPU-");
    for (int i = 0; i < 16 && at + 3 < cap; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        at += (size_t)snprintf(out + at, cap - at, "%s%02x", dash, (unsigned char)u->bytes[i]);
    }
}

/* 0 for what the driver does not tell. */
static int attribute(enum cudaDeviceAttr which)
{
    int value = 0;
    return cudaDeviceGetAttribute(&value, which, 0) == cudaSuccess && value > 0 ? value : 0;
}

int cuda_device_read(struct cuda_device *d, struct err *e)
{
    *d = {};
    int count = 0;
    cudaDeviceProp p;
    (void)cudaDriverGetVersion(&d->driver);
    (void)cudaRuntimeGetVersion(&d->runtime);
    cudaError_t rc = cudaGetDeviceCount(&count);
    if (rc != cudaSuccess || count < 1)
        return no_driver(d, rc, e);
    rc = cudaGetDeviceProperties(&p, 0);
    if (rc != cudaSuccess)
        return no_driver(d, rc, e);
    base_strcpy(d->name, sizeof d->name, p.name);
    show_uuid(d->uuid, sizeof d->uuid, &p.uuid);
    d->major = p.major;
    d->minor = p.minor;
    d->sms = p.multiProcessorCount;
    d->l1_bytes = l1_bytes(p.major, p.minor);
    d->shared_bytes = (int64_t)p.sharedMemPerMultiprocessor;
    d->l2_bytes = p.l2CacheSize;
    d->memory_bytes = (int64_t)p.totalGlobalMem;
    d->clock_khz = attribute(cudaDevAttrClockRate);
    d->memory_khz = attribute(cudaDevAttrMemoryClockRate);
    return 0;
}
