/* What a run is asked to be: parsed from the wire by the daemon, built by the client, stored as
 * canonical JSON. Pure, any thread. Bounds are checked here, once, for everybody. */
#ifndef COMMON_SPEC_H
#define COMMON_SPEC_H

#include "common/err.h"
#include "common/spec_limits.h"
#include "common/wire.h"

#define SPEC_ARGC_MAX     4096
#define SPEC_ARGV_BYTES   (256u << 10)
#define SPEC_ENV_MAX      8192
#define SPEC_ENV_BYTES    (512u << 10)
#define SPEC_LABEL_MAX    100
#define SPEC_LOG_CAP      (INT64_C(256) << 20) /* of a run that does not say */
#define SPEC_PARAMS_MAX   64
#define SPEC_KEY_MAX      64
#define SPEC_SWEEP_RUNS   100000
#define SPEC_PAUSE_MAX_NS (3600 * NS_PER_S)
#define SPEC_GPUS_MAX     32
#define SPEC_GPU_NAME_MAX 63
#define SPEC_GPUS_DEFAULT (-1)
#define SPEC_CPUS_MAX     65536
#define SPEC_PRIORITY_MAX 1000
#define SPEC_ON_END_MAX   4096 /* bytes of its command, without the NUL */

enum spec_kind { SPEC_COMMAND, SPEC_TRAIN, SPEC_EXEC };

struct spec_param {
    char key[SPEC_KEY_MAX];
    char *value; /* as written; its type is found by spec_param_type */
};

/* One run. Zero-initialise; spec_fini frees what it owns. */
struct spec {
    enum spec_kind kind;
    char **
        argv; /* NULL-terminated; argc >= 1. For SPEC_TRAIN the arguments of wattq-train, without it */
    size_t argc;
    char **
        env; /* NULL-terminated "K=V"; NULL when only the hash is known (read back from the store) */
    size_t envc;
    char *cwd;        /* absolute */
    char *stdin_path; /* absolute, or NULL for /dev/null */
    char *
        on_end; /* for /bin/sh -c once it has ended (shepherd.h); NULL = nothing; not of SPEC_EXEC */
    char label[SPEC_LABEL_MAX + 1];
    char project[SPEC_LABEL_MAX + 1];
    unsigned umask;
    int priority;          /* larger first; -1000 .. 1000 */
    int64_t time_limit_ns; /* 0 = none */
    int64_t grace_ns;      /* between TERM and KILL; default 30 s */
    int64_t log_cap_bytes; /* 0 = none; default SPEC_LOG_CAP */
    int64_t quiet_ppm;     /* starts only when others have used at most this part of all CPUs ... */
    int64_t quiet_ns;      /* ... for so long; 0 = whenever it is its turn */
    int64_t pause_ns;      /* starts only after that long without any run; exclusive ones only */
    int64_t bracket_ns;    /* idle time that is measured before and after; exclusive ones only */
    int gpus;              /* how many it is given; SPEC_GPUS_DEFAULT = nothing was said of it */
    char **
        gpu_ids; /* these, NULL-terminated: as a person names them, UUIDs once submitted; NULL = any */
    int64_t
        mem_bytes; /* of all its processes: reserved for it, and its limit; 0 = nothing was said */
    int nice;      /* 0 .. SPEC_NICE_MAX */
    int64_t energy_limit_uj;        /* it is ended beyond; 0 = none */
    enum spec_figure energy_figure; /* ... by this figure */
    struct spec_rlimit *rlimits;    /* soft limits of whoever submitted it */
    size_t nrlimits;
    int64_t cpus;       /* how many it is given; 0 = nothing was said: one, or all if exclusive */
    bool exclusive;     /* alone on the machine */
    bool wait_children; /* the run ends when its last process does */
    bool hold;          /* submitted held */
    bool requeue; /* lost to a reboot it is submitted again, as its retry; training always is */
    struct spec_param *params;
    size_t nparams;
};

void spec_init(struct spec *s); /* defaults */
void spec_fini(struct spec *s);

/* Requests carry a run under the key "run" (docs/protocol.md). Checks every bound.
 * WATTQ_E_USAGE with a sentence, or WATTQ_E_LIMIT. */
int spec_from_wire(struct spec *s, const struct wire_val *map, struct err *e) MUST_USE;
void spec_to_wire(const struct spec *s, struct wire_out *o, const char *key);
/* The same keys into the map that is open, for a request that adds others (`code`). */
void spec_put_wire(const struct spec *s, struct wire_out *o);

/* GPUs as they are asked for on a command line: "2", or names with commas between: UUIDs, their beginnings,
 * gpu0, and plain numbers where there is a comma ("0,1"). Into s; WATTQ_E_USAGE. */
int spec_gpus_parse(struct spec *s, const char *text, struct err *e) MUST_USE;
/* The same of another run, or other names: s's own are let go. n = 0 leaves it to `gpus`. */
void spec_gpus_set(struct spec *s, int gpus, char *const *ids, size_t n);
size_t spec_gpu_ids(const struct spec *s); /* how many are named; 0 = any will do */

/* Seconds for which the machine is kept idle around it: pause or bracket before, bracket after. */
double spec_idle_s(const struct spec *s);

enum spec_type { SPEC_INT, SPEC_REAL, SPEC_TEXT };
/* "01" is text, "10" an int, "1e-3" a real. */
enum spec_type spec_param_type(const char *value);
/* Keys are [A-Za-z_][A-Za-z0-9_.-]*. */
bool spec_key_ok(const char *key);

/* A sweep's axis: -p K=a,b,c | K=1..5 | K=0..1:0.25 | K=2^5..2^10 | K=log:1e-4..1e-1:4 (4 points) |
 * K=@file (one value a line; client only: the daemon opens no path that a peer named). Ranges may stand
 * in a list. */
struct spec_axis {
    char key[SPEC_KEY_MAX];
    char **values;
    size_t n;
};
int spec_axis_parse(struct spec_axis *a, const char *text, struct err *e) MUST_USE;
void spec_axis_fini(struct spec_axis *a);
/* Replace {key} by its value in one argv element; "{{" is a literal brace. An unknown key is
 * WATTQ_E_USAGE. Caller frees *out. used[i] is set for every axis that appeared. */
int spec_expand(const char *text, const struct spec_param *params, size_t n, bool *used, char **out,
                struct err *e) MUST_USE;

#endif
