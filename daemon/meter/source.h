/* The contract of a power source: everything that can be asked for energy, power or what explains it.
 * To add a meter: write one source_x.c with a `const struct source_ops source_x`, add it to the array in
 * sources.c, add a paragraph to docs/measurement.md.
 *
 * Thread: open, channels and a first read run on a thread that ends with them (meter_job.h), kinds beside
 * each other; read then runs on the sampler thread, or on the source's own thread when it may block. One
 * source never sees two calls at once.
 * Devices come and go: while the meter runs, open is called again now and then on a thread of its own, with
 * another instance open and being read. It must not disturb that one. What the second finds is compared by
 * uid; it is closed again, or takes the first one's place (meter_probe.c).
 *
 * A reading is a value or a reason why there is none. Nothing turns unknown into 0. */
#ifndef DAEMON_METER_SOURCE_H
#define DAEMON_METER_SOURCE_H

#include "common/err.h"

enum reading_state {
    READING_OK = 0,
    READING_NOT_YET,       /* no attempt so far */
    READING_NO_PERMISSION, /* EACCES, EPERM: channel_desc.remedy says what would help */
    READING_GONE,          /* ENOENT, ENODEV: the device went away */
    READING_DISABLED,      /* ENODATA: the sensor is switched off */
    READING_UNSUPPORTED,   /* the device says it does not have this field */
    READING_IO,            /* the read failed otherwise */
    READING_GARBLED,       /* what came back is not a number */
    READING_IMPLAUSIBLE,   /* a sentinel, or more power than the channel can carry */
    READING_STALE,         /* a source with its own thread has not answered in time */
    READING_ASLEEP,        /* the device is suspended and was left so */
    READING_STATES
};
const char *reading_state_name(enum reading_state s); /* "no_permission" */
const char *reading_state_text(enum reading_state s); /* "permission denied" */

enum channel_kind {
    CHANNEL_COUNTER,   /* cumulative energy, uJ */
    CHANNEL_GAUGE,     /* instantaneous power, uW */
    CHANNEL_AVERAGE,   /* power averaged over box_ns, uW */
    CHANNEL_COMPANION, /* explains power: milli-degrees, kHz, ppm, bit mask */
    CHANNEL_CPU_TIME   /* cumulative CPU time, us */
};
enum channel_quality {
    QUALITY_MEASURED,  /* a sensor in the current path */
    QUALITY_MODELLED,  /* the hardware's own model */
    QUALITY_ESTIMATED, /* we guess; never added to the two above */
    QUALITY_NONE       /* companions and CPU time: not energy */
};
enum channel_scope {
    SCOPE_NODE,
    SCOPE_PSYS,
    SCOPE_PACKAGE,
    SCOPE_DRAM,
    SCOPE_CORE,
    SCOPE_UNCORE,
    SCOPE_GPU,
    SCOPE_MODULE,
    SCOPE_CPU,
    SCOPE_OTHER
};
/* A register that only rises: its differences count. */
static inline bool channel_kind_counts(enum channel_kind k)
{
    return k == CHANNEL_COUNTER || k == CHANNEL_CPU_TIME;
}
/* A power, whose integral over time is the energy. */
static inline bool channel_kind_integrates(enum channel_kind k)
{
    return k == CHANNEL_GAUGE || k == CHANNEL_AVERAGE;
}
const char *channel_kind_name(enum channel_kind k);       /* "counter" */
const char *channel_quality_name(enum channel_quality q); /* "measured" */
const char *channel_scope_name(enum channel_scope s);     /* "package" */

struct channel_desc {
    char uid[160];  /* stable: sysfs path below the root, GPU UUID + field; never a bare label */
    char label[48]; /* what a person reads: "package-0" */
    char
        unit[8]; /* "uJ" "uW" "us" "mC" "kHz" "ppm" "mask" "n" "ms": the unit of reading.value; what
                       the units of companions mean: energy/companions.h */
    char
        covers[80]; /* "CPU package: cores, caches, memory controller; not DRAM, GPU, board, PSU" */
    char remedy[160]; /* the command that would make it readable; empty when it is */
    char device
        [64]; /* the physical device: "package-0", GPU UUID, "bmc"; channels of two sources with
                         one device and scope meter the same thing. Empty = not told */
    char driver[48];   /* kernel driver or library, with version; empty = not told */
    char firmware[64]; /* VBIOS, BMC firmware, model and serial; empty = not told */
    enum channel_kind kind;
    enum channel_quality quality;
    enum channel_scope scope;
    int64_t quantum;      /* smallest step, in unit; 1 = unknown */
    int64_t wrap_uj;      /* modulus of the raw counter: max + 1 step; 0 = no range known */
    int64_t period_ns;    /* the hardware refreshes no faster than this */
    bool period_declared; /* false: period_ns is an assumption, bounds that use it are soft */
    int64_t lag_ns;       /* a value describes the time this far back */
    int64_t box_ns;       /* averaging window, CHANNEL_AVERAGE only */
    int64_t pmax_uw;      /* largest power it can carry; 0 = unknown */
    int64_t accuracy_ppm; /* stated by its maker; 0 = none stated */
    int parent;    /* index, in the same source, of the channel that contains it; -1 = none */
    int mirror_of; /* index of the channel whose register, or whose power as another kind of
                            reading, this one shows again; -1 = none */
};

struct reading {
    int64_t value; /* in channel_desc.unit; meaningless unless state is READING_OK */
    enum reading_state state;
    /* Counters: 0 = the register runs on by itself. Else the number of the count that value belongs to,
     * which began with its descriptor or when its device started again: values of two eras have no
     * difference, however they compare, and none goes on from before a restart of the daemon. */
    uint32_t era;
    /* The answer that was given before: nothing new has come. It is no sample of its own, so that a slow
     * gauge is stored as it changed and not as often as it was looked at. value and state still stand. */
    bool again;
};

struct slots;
struct gpu_procs;

struct meter_config {
    const char *sysfs_root; /* "" for the real tree; tests point it at a fixture */
    const char *script;     /* formula file of the `script` source, or NULL */
    const char *replay;     /* recorded trace of the `replay` source, or NULL */
    const char *nvml_path;  /* library to dlopen; NULL = libnvidia-ml.so.1 */
    const char *disable;    /* comma separated source names that are not opened, or NULL */
    int64_t period_ns;      /* of the fast group; default 100 ms */
    int64_t
        cpu_watts_uw; /* declared full-load watts of this machine's CPUs for `estimate`; 0 = default */
    bool estimate_always;        /* run `estimate` beside real meters too */
    struct slots *slots;         /* CPU time of runs (slots.h), or NULL; outlives the meter */
    const char *meters_file;     /* names programs that are meters (line.h), or NULL */
    const char *meters_program;  /* wattq-meters, which looks after them */
    const char *meters_socket;   /* where it listens when it runs by itself; NULL = start it */
    int64_t reprobe_ns;          /* how often to look for what came or went; 0 = never (tests) */
    int64_t first_ns;            /* meter_open waits so long for drivers; 0 = 5 s */
    int64_t (*slept_ns)(void);   /* CLOCK_BOOTTIME - CLOCK_MONOTONIC; NULL = this machine's */
    struct gpu_procs *gpu_procs; /* who is on each GPU, or NULL; sources take a reference */
    int instance;                /* of a source with `many`: 0, 1, ... until open says 1 */
    /* Opens what only root may open, where a launcher hands descriptors in: powercap's energy_uj and the
     * BMC's device by path, perf counters by "perf:PMU:EVENT:CPU". The descriptor, which the caller then
     * owns, or -1 with errno. Called on the thread that opens or reads. NULL = open by name. */
    int (*open_fd)(void *arg, const char *name, int flags);
    void *open_arg;
};

struct source; /* private to each source: embed what you need */

struct source_ops {
    const char *name;
    bool
        may_block; /* read may take > 2 ms: gets its own thread, the sampler takes its newest answer */
    int64_t
        rest_ns; /* on the grid, read no more often than this (edge sweeps always do); 0 = every sweep */
    bool fallback; /* opened only when no source before it gives energy (or estimate_always) */
    bool
        once; /* what it has never changes, or only one may hold it: opened again only while none is open */
    bool slow; /* sampled at 1 Hz instead of the fast pace (temperatures, clocks) */
    bool many; /* opened once per device (meter_config.instance), each with a thread of its own if
                      may_block: one that hangs holds up no other */
    /* 0; 1 = nothing of this kind here (not an error); < 0 with err. */
    int (*open)(struct source **out, const struct meter_config *cfg, struct err *e);
    /* How many channels; *out is borrowed until close. Unreadable ones are listed too, with remedy. */
    size_t (*channels)(struct source *s, const struct channel_desc **out);
    /* One reading per channel, in the order of channels(). Never fails as a whole. */
    void (*read)(struct source *s, int64_t boot_ns, struct reading *out);
    void (*close)(struct source *s);
};

extern const struct source_ops *const source_list[]; /* NULL-terminated; order = preference */

#endif
