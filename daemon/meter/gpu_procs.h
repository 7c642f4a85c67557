/* Who is on each GPU: processes, what share of the time each kept the multiprocessors busy, how much
 * memory it holds. Written by the source of each GPU on its own thread, at a slow pace of its own (a
 * driver may take 100 ms to answer); read by any thread as a snapshot. Who owns a GPU is not known here:
 * the queue assigns by UUID, and a process that belongs to no run of that GPU is an intruder.
 *
 * Shared by reference count, because a thread that hangs inside a driver outlives the meter and still
 * holds it. Unknown is -1 and never 0: on a GPU that is cut into MIG instances the driver does not tell
 * use per process at all.
 * source: NVML API reference; facts on meters, lessons 33 and 34 (rows of dead processes, shares above
 * 100, time stamps of another clock). */
#ifndef DAEMON_METER_GPU_PROCS_H
#define DAEMON_METER_GPU_PROCS_H

#include "daemon/meter/source.h"

#define GPU_PROCS_GPUS_MAX 32
#define GPU_PROCS_MAX      64              /* per GPU; more are counted in `more` */
#define GPU_PROCS_STALE_NS (10 * NS_PER_S) /* an older answer is none */

struct gpu_proc {
    int64_t pid;
    int64_t start_ticks; /* proc(5) stat field 22: with pid, who it is; 0 = not readable */
    int64_t uid;         /* -1 = not readable */
    int64_t root; /* pid of the wattq-shepherd that stands above it; 0 = none, it is no run's;
                           * -1 = not readable */
    int64_t memory_bytes; /* of the GPU's; -1 = not told */
    int64_t busy_ppm;     /* of the multiprocessors' time since the answer before; -1 = not told */
    int64_t busy_us;      /* that, added up since the process was first seen; -1 = never told */
    int64_t first_ns;     /* CLOCK_BOOTTIME when it was first seen */
    bool compute;         /* has a compute context */
    bool graphics;        /* has a graphics context */
};

struct gpu_use {
    char device[64]; /* as channel_desc.device: GPU UUID */
    char label[48];  /* "gpu0 NVIDIA H100" */
    enum reading_state
        state;             /* of the list; READING_OK: procs is complete but for `more`, `hidden` */
    const char *fault;     /* what its driver says is damaged; NULL = nothing; constant text */
    unsigned xid;          /* newest that its driver reported and only a reset cures; 0 = none */
    int64_t xid_ns;        /* CLOCK_BOOTTIME when that was seen */
    const char *reason;    /* in words, "" when OK; constant text */
    int64_t stamp_ns;      /* CLOCK_BOOTTIME of the answer; 0 = none yet */
    int64_t span_ns;       /* what busy_ppm looks back on; 0 = first answer */
    int64_t busy_ppm;      /* the whole GPU's utilisation; -1 = not told */
    int64_t idle_since_ns; /* busy_ppm has been 0 since then; 0 = it is not, or not told */
    size_t n, more;
    size_t hidden; /* processes of others that may not be looked into: each may be on it or not */
    struct gpu_proc procs[GPU_PROCS_MAX];
};

/* What processes did, added up by whose they are. */
struct gpu_sum {
    int64_t uid, root; /* as of gpu_proc */
    int64_t busy_us;
};
#define GPU_SUMS_MAX 32

struct gpu_procs;

struct gpu_procs *gpu_procs_new(void); /* with one reference */
struct gpu_procs *gpu_procs_ref(struct gpu_procs *p);
void gpu_procs_unref(struct gpu_procs *p); /* NULL is fine */

/* Readers. Indices are stable: a GPU that was seen once keeps its own. */
size_t gpu_procs_count(struct gpu_procs *p);
/* False = no such index. now_ns: an answer older than GPU_PROCS_STALE_NS becomes READING_STALE, its
 * processes are left out. */
bool gpu_procs_get(struct gpu_procs *p, size_t index, int64_t now_ns, struct gpu_use *out);
bool gpu_procs_find(struct gpu_procs *p, const char *device, int64_t now_ns, struct gpu_use *out);

/* What has gathered since the take before: at most GPU_SUMS_MAX rows into out, the stretch into t0 and t1
 * (t1 <= t0: nothing was looked at). Empties it. Whoever is one too many is left out. */
size_t gpu_procs_take(struct gpu_procs *p, size_t index, struct gpu_sum *out, int64_t *t0_ns,
                      int64_t *t1_ns);

/* Writers (sources). Index of that device, made at the first call; -1 = GPU_PROCS_GPUS_MAX are known. */
int gpu_procs_add(struct gpu_procs *p, const char *device, const char *label);
/* What is known of its damage before the first answer, which says it anew. */
void gpu_procs_fault(struct gpu_procs *p, int index, const char *fault);
/* An answer taken at use->stamp_ns: device and label stay; first_ns, busy_us, span_ns and idle_since_ns
 * are worked out here from the answer before. A list that is not OK keeps what is known of the processes
 * for the next one that is. */
void gpu_procs_put(struct gpu_procs *p, int index, const struct gpu_use *use);

/* Whose process that is, when it started and what run's tree it stands in, from <root>/proc. False = there is
 * none, or it is a zombie. A shepherd is known by its name alone here: whether it is one of ours, the slots
 * say (slots_find). */
bool gpu_procs_identify(const char *root, struct gpu_proc *proc);

/* For writers: the row of that process, made if it is alive. NULL = it is not, or there is no room (more). */
struct gpu_proc *gpu_procs_row(struct gpu_use *use, const char *root, int64_t pid);

#endif
