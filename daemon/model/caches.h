/* The memory hierarchy of this machine: which caches there are, how large, and who shares each.
 * Pure but for reading a handful of small files; any thread; owns nothing after it returns.
 *
 * source: /sys/devices/system/cpu/cpuN/cache/indexK/{level,type,size,shared_cpu_list} and
 * /proc/meminfo (MemTotal, KiB). getconf and cpuid describe one core of the model sold; sysfs tells the
 * sharing domains that are really there (hyperthreads, cluster caches, parts fused off, CPUs that are
 * offline). A virtual machine shows what its host chose to show: often the host's whole last-level cache. */
#ifndef DAEMON_MODEL_CACHES_H
#define DAEMON_MODEL_CACHES_H

#include "common/err.h"

#define CACHES_LEVELS_MAX 6 /* data or unified caches, and RAM */

struct caches_level {
    char name[8]; /* "L1", "L2", "L3", "RAM" */
    int level;    /* as the kernel numbers them; RAM is one more than the last cache */
    int64_t
        bytes; /* of one unit; of the smallest where they differ (performance and efficiency cores) */
    int64_t bytes_max; /* of the largest unit */
    int units;         /* separate caches of this level that the chosen CPUs reach */
    int cpus_per_unit; /* most CPUs (hardware threads) that share one unit */
};

/* Nearest level first; the last is RAM whenever its size is known. */
struct caches {
    size_t n;
    struct caches_level level[CACHES_LEVELS_MAX];
    int cpus;  /* CPUs looked at */
    int cores; /* units of the nearest cache; 0 = no cache was described */
};

/* root: prefix put before /sys and /proc ("" or NULL = the machine itself; a fixture tree in tests).
 * cpulist: only caches that these CPUs reach ("0-3,8"); NULL or "" = every CPU with a cache directory.
 * 0; 1 = the system describes no cache (some ARM boards, some containers): only RAM is in *out;
 * WATTQ_E_UNAVAILABLE = neither caches nor RAM; WATTQ_E_INVALID = a cpulist that is none. */
int caches_detect(struct caches *out, const char *root, const char *cpulist,
                  struct err *e) MUST_USE;

/* What a program with that many threads, spread one to a core, can hold: no level has more units than
 * threads. threads < 1 counts as 1. */
void caches_use(struct caches *out, const struct caches *machine, int threads);

/* The two nodes of the study, for checking our arithmetic against its figures.
 * source: BUTTER-E analysis, common.py: 36 cores, 2 x 24.75 MiB; 2 V100 as 168 SMs, 2 x 6 MiB. */
extern const struct caches caches_study_cpu;
extern const struct caches caches_study_gpu;

/* What a run on a GPU says of its card (info keys device_*); 0 = not told. */
struct caches_gpu {
    int devices;          /* cards of that kind in use; at least 1 */
    int sms;              /* device_sm_count, of one card */
    int64_t l1_bytes;     /* device_l1_bytes_per_sm */
    int64_t l2_bytes;     /* device_l2_bytes */
    int64_t memory_bytes; /* device_memory_bytes */
};

/* The memory hierarchy of those cards: the SMs stand for cores, L1 and shared memory are one, and a card's L2
 * and memory belong to all of its SMs. A level that was not told is left out. 0; 1 = nothing was told. */
int caches_of_gpu(struct caches *out, const struct caches_gpu *g) MUST_USE;

/* "L1 48 KiB x 2, L2 2 MiB x 2, L3 260 MiB, RAM 23.5 GiB"; buf is returned. */
const char *caches_show(char *buf, size_t cap, const struct caches *c);

#endif
