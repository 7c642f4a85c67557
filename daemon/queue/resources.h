/* What runs are given of the machine beside CPU time: its GPUs, by UUID. Pure, no thread of its own: the
 * queue's table, on the loop. Written down as rows of `device_owner` with the moves of the runs, so that it
 * survives wattqd.
 *
 * A GPU belongs to one run or to nobody. An exclusive run owns all of them, whatever it asked to see. Others
 * get whole GPUs: so many, or those they name. Given are, in this order: GPUs that answer and on which no
 * process of nobody's stands, then the others; within each, by the number the driver gives them (PCI order).
 * A GPU that has gone (lost, driver unloaded, hanging), whose memory is damaged or that was taken out is given to
 * nobody; who holds it keeps it to his end. An exclusive run owns such a one too, and does not see it.
 *
 * What is counted and not named (CPUs, bytes of memory): so many there are, so many are given. One more joins as a word of
 * `resources_kind`, its line in the table `counted` of resources.c, a field of `spec` and who fills in `have`.
 * A count that is not known (`have` 0) keeps nobody waiting.
 *
 * Of GPUs that CUDA knows, an environment can say which a program sees (resources_env). Others, AMD's and
 * Intel's, are not given out: exclusive runs own them, beside shared runs their energy is nobody's. */
#ifndef DAEMON_QUEUE_RESOURCES_H
#define DAEMON_QUEUE_RESOURCES_H

#include "common/spec.h"

enum resources_kind { RESOURCES_CPUS, RESOURCES_MEM, RESOURCES_KINDS };

#define RESOURCES_GPUS_MAX  SPEC_GPUS_MAX
#define RESOURCES_TEXT      384
#define RESOURCES_NOBODY    INT64_MIN /* as RUN_NONE */
#define RESOURCES_ID_LEAST  6         /* of a UUID's beginning, "GPU-" included */
#define RESOURCES_NAME_SIZE 64

typedef uint32_t gpu_set; /* one bit per index into `gpus` */

struct resources_gpu {
    char uuid[RESOURCES_NAME_SIZE];
    char label[48];     /* "gpu0 NVIDIA H100" */
    unsigned number;    /* the driver's: 0 of "gpu0" */
    bool here;          /* it answers, and nothing is said against it */
    const char *fault;  /* why it is given to nobody although it answers; NULL = nothing */
    char out[192];      /* why it was taken out, by an admin or for an Xid; "" = it was not */
    int64_t xid_ns;     /* the Xid that was acted on last (gpu_procs.h) */
    unsigned strangers; /* processes on it that are no run's */
    int64_t run;        /* who holds it; RESOURCES_NOBODY */
    int64_t since_ns;   /* CLOCK_BOOTTIME */
};
struct resources_count { /* of each that is counted */
    int64_t n[RESOURCES_KINDS];
};
struct resources {                                 /* zero-initialise */
    struct resources_gpu gpus[RESOURCES_GPUS_MAX]; /* an index is a GPU's for ever */
    size_t ngpus;
    struct resources_count have;  /* for runs, on this machine; 0 = not known */
    struct resources_count given; /* of it, to runs */
};

/* What a run wants. */
struct resources_want {
    bool all;      /* exclusive: everything there is */
    size_t gpus;   /* so many; 0 = none */
    gpu_set named; /* these; 0 = any */
    struct resources_count count;
};

/* What is kept for somebody who has a better right to it. */
struct resources_aside {
    gpu_set gpus;
    struct resources_count count;
};

/* What is given to a shared run that did not say, beside the one CPU. */
struct resources_defaults {
    size_t gpus; /* or what is there if that is less */
};

/* Is that a GPU that can be given to a run? By the form of its name: NVIDIA's "GPU-8-4-4-4-12" */
bool resources_can_give(const char *uuid);
/* Seen (again): here, strangers and label are taken over. One that is new is added; RESOURCES_GPUS_MAX are
 * kept, more are as if they were not there. */
void resources_see(struct resources *r, const char *uuid, const char *label, bool here,
                   unsigned strangers);
/* Its driver says that it is damaged (fault: for ever, why; it is no longer `here`) or no longer so (NULL).
 * True = that is news. One that is not known: false. */
bool resources_fault(struct resources *r, const char *uuid, const char *fault);
/* Taken out, with why, or given again (""). One that is not known yet is from then on. */
void resources_out(struct resources *r, const char *uuid, const char *why);
/* Why it is given to nobody, whether it answers or not; NULL = nothing is said against it. */
const char *resources_against(const struct resources_gpu *g);
size_t resources_here(const struct resources *r);
/* By UUID, its beginning, "gpu0" or "0". -1 = there is none, -2 = several begin so. */
int resources_find(const struct resources *r, const char *name);

/* At submission. Says how many a run gets that did not say (a shared one: the defaults and one CPU, a built-in
 * training run as many CPUs as it has --threads; an exclusive one stays without a number: it gets what is there
 * at its start), turns names into UUIDs, and refuses what this machine can never give: WATTQ_E_USAGE in one
 * sentence with how many there are. */
int resources_settle(const struct resources *r, struct spec *s, const struct resources_defaults *d,
                     struct err *e) MUST_USE;
/* What a settled run wants now. A named GPU that is not known: false. */
bool resources_want(const struct resources *r, const struct spec *s, struct resources_want *out);

enum resources_answer {
    RESOURCES_FIT,
    RESOURCES_WAIT, /* others hold what it takes */
    RESOURCES_GONE  /* there is not so much now, whoever holds it */
};
/* aside: not to be given; NULL = nothing. out: its GPUs. */
enum resources_answer resources_choose(const struct resources *r, const struct resources_want *w,
                                       const struct resources_aside *aside, gpu_set *out);
/* The same of one resource. */
enum resources_answer resources_choose_gpus(const struct resources *r,
                                            const struct resources_want *w, gpu_set aside,
                                            gpu_set *out);
enum resources_answer resources_choose_count(const struct resources *r,
                                             const struct resources_want *w, enum resources_kind k,
                                             int64_t aside);
/* Does one that does not fit wait for GPUs alone? */
bool resources_waits_gpus(const struct resources *r, const struct resources_want *w,
                          const struct resources_aside *aside);
/* Then what it wants of all that is counted is put aside, so that nobody takes it before the GPUs are there, and
 * `gpus` of these. */
void resources_set_aside(const struct resources_want *w, gpu_set gpus,
                         struct resources_aside *aside);
/* "1 GPU: held by run 12; 4 CPUs: of 8 CPUs only 2 CPUs left", for a run that does not fit. */
const char *resources_why(const struct resources *r, const struct resources_want *w,
                          char buf[RESOURCES_TEXT]);

/* "4 CPUs" */
const char *resources_amount(enum resources_kind k, int64_t n, char buf[40]);
const char *resources_kind_name(enum resources_kind k); /* "cpus" */

/* share: what it is given of what is counted, which its holder keeps and hands back; all of it where it
 * wants all. */
void resources_take(struct resources *r, const struct resources_want *w, gpu_set set, int64_t run,
                    int64_t now_ns, struct resources_count *share);
void resources_free(struct resources *r, int64_t run, struct resources_count *share);
gpu_set resources_held(const struct resources *r, int64_t run);

/* Which of those it holds a run is to see: all of them, but of an exclusive one that asked for a number or
 * for names these alone, and none that is damaged. */
gpu_set resources_visible(const struct resources *r, const struct resources_want *w, gpu_set held);
/* UUIDs of a set in the driver's order with commas between, in new memory; "" for none. */
char *resources_uuids(const struct resources *r, gpu_set set);

/* What a run finds of this in its environment, "K=V" in new memory, NULL-terminated, at most 5:
 * CUDA_VISIBLE_DEVICES (UUIDs; empty = it sees none), CUDA_DEVICE_ORDER=PCI_BUS_ID and WATTQ_GPUS, none of
 * them where it did not say and there are none; WATTQ_CPUS, and OMP_NUM_THREADS where it was given a number
 * of CPUs and not just all. */
struct resources_told {
    const char *uuids; /* what it may see, with commas between */
    int64_t cpus;      /* resources_cpus; 0 = not known: it is told nothing */
    bool own_cuda; /* it has a CUDA_VISIBLE_DEVICES: stays where it is exclusive and said nothing */
    bool own_threads; /* it has an OMP_NUM_THREADS: stays */
};
/* source: CUDA C++ Programming Guide, environment variables; OpenMP 5.2, 21.1.2 OMP_NUM_THREADS (OpenBLAS, MKL and
 * PyTorch read it too). */
char **resources_env(const struct spec *s, const struct resources_told *told);
void resources_env_free(char **env);
/* How many CPUs a run may count on: those it asked for, else 1, or all of an exclusive one. */
int64_t resources_cpus(const struct resources *r, const struct spec *s);

#endif
