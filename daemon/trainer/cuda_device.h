/* The card that trains: the first one CUDA shows (CUDA_VISIBLE_DEVICES decides, and the queue sets it).
 * source: CUDA runtime, cudaGetDeviceProperties and cudaDeviceGetAttribute. Any thread. */
#ifndef TRAINER_CUDA_DEVICE_H
#define TRAINER_CUDA_DEVICE_H

#include "common/err.h"

struct cuda_device {
    char name[128];
    char uuid[48]; /* as NVML has it: "GPU-01234567-..." */
    int major;     /* compute capability */
    int minor;
    int sms;
    int64_t l1_bytes;     /* per SM, L1 and shared memory together; 0 = not known for this card */
    int64_t shared_bytes; /* per SM, the most that shared memory can be */
    int64_t l2_bytes;
    int64_t memory_bytes;
    int clock_khz;  /* highest SM clock; 0 = not told */
    int memory_khz; /* highest memory clock; 0 = not told */
    int driver;     /* CUDA version the driver can do: 13000 = 13.0 */
    int runtime;
};

/* 0, or WATTQ_E_UNAVAILABLE: no driver, too old a driver, no device, or one we were not compiled for. */
int cuda_device_read(struct cuda_device *d, struct err *e) MUST_USE;

#endif
