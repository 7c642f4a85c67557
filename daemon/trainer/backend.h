/* A training backend: one network on one data set, advanced batch by batch. A new backend is one file and
 * one line in backends[] (backend.c). One thread calls; the backend owns its network and scratch memory and
 * borrows the data set.
 *
 * Semantics all backends share, and backend_reference.inc defines: forward with ReLU, loss from logits,
 * backward, Adam as Keras has it (facts of the study; docs/trainer.md):
 *   m += (1 - b1) (g - m);  v += (1 - b2) (g^2 - v);  p -= alpha_t m / (sqrt(v) + eps_t)
 *   alpha_t = lr sqrt(1 - b2^t) / (1 - b1^t);  eps_t = eps (keras) or eps sqrt(1 - b2^t) (torch)
 * Same spec, seed, backend and ISA: bit-equal losses and parameters. */
#ifndef TRAINER_BACKEND_H
#define TRAINER_BACKEND_H

#include "daemon/trainer/dataset.h"
#include "daemon/trainer/network.h"

#define BACKEND_BETA1 0.9
#define BACKEND_BETA2 0.999

/* TF32: matrix products with 10-bit mantissas, sums in float. */
enum backend_precision { BACKEND_F32, BACKEND_F64, BACKEND_TF32 };
enum backend_adam { BACKEND_ADAM_KERAS, BACKEND_ADAM_TORCH }; /* where epsilon stands */

struct backend_spec {
    struct net net;
    const struct dataset *data; /* borrowed until close */
    enum backend_precision precision;
    enum network_init init;
    enum backend_adam adam;
    int64_t batch; /* most rows in one step */
    double lr;
    double eps;
    uint64_t seed; /* of the initial weights */
};

/* Sums over rows; divide by the rows for the mean. step and gradient set it, evaluate adds to it. */
struct backend_score {
    double loss;
    int64_t right; /* rows classified rightly; 0 for a min-max target */
};

struct backend {
    const struct backend_ops *ops;
    struct backend_spec spec;
    struct network network;
    int64_t steps; /* Adam steps taken */
};

struct json;

/* Members marked * are NULL where there is nothing to say or do. */
struct backend_ops {
    const char *name;
    const char *summary;
    bool f64;  /* can compute in double on request */
    bool tf32; /* can use TF32 on request */
    /* 0, WATTQ_E_LIMIT (memory), WATTQ_E_UNAVAILABLE (not on this machine). */
    int (*open)(struct backend **out, const struct backend_spec *spec, struct err *e);
    /* * Can it compute here? 0, or WATTQ_E_UNAVAILABLE saying why not. NULL: always. */
    int (*probe)(struct err *e);
    void (*isa)(char *out, size_t cap); /* what computes, for the record: "avx512+SkylakeX" */
    /* * Members device_* about the GPU; b NULL: before anything is open. NULL: it is the CPU. */
    void (*facts)(const struct backend *b, struct json *j);
    /* One optimiser step on rows [row, row + rows), rows <= spec.batch; the score is the one before
     * the step. Where there is flush, the step may still be under way and its score is left at 0. */
    void (*step)(struct backend *b, int64_t row, int64_t rows, struct backend_score *s);
    /* * Waits for the steps and sums their scores since the last flush. WATTQ_E_UNAVAILABLE: the device
     * failed, and nothing since the last flush can be relied on. */
    int (*flush)(struct backend *b, struct backend_score *s, struct err *e);
    /* Forward and backward only; leaves the mean's gradient in network.grad. For tests. */
    void (*gradient)(struct backend *b, int64_t row, int64_t rows, struct backend_score *s);
    /* Forward only, any number of rows, in batches. */
    void (*evaluate)(struct backend *b, int64_t row, int64_t rows, struct backend_score *s);
    /* * Brings network.param, m and v up to date. NULL: they always are. */
    void (*fetch)(struct backend *b);
    void (*close)(struct backend *b);
};

extern const struct backend_ops *const backends[]; /* NULL-terminated */

/* By name; "auto" is a static rule: reference for f64, else openblas; a GPU is only ever chosen by name. Timing
 * never decides, because then two runs of one spec could differ. 0, or WATTQ_E_USAGE naming those there are. */
int backend_choose(const char *name, enum backend_precision precision,
                   const struct backend_ops **out, struct err *e) MUST_USE;

/* Can it compute on this machine? False: e says why not. */
bool backend_usable(const struct backend_ops *ops, struct err *e);

/* Flush denormals to zero in the calling thread: Adam's moments of dead units decay into them, and
 * arithmetic on them is several times slower. Call once in every thread that computes. */
void backend_enter_thread(void);

/* ---- for the backends --------------------------------------------------------------------------- */

/* The scalars of step t = 1, 2, ...; computed in double so that 1 - b2 is exact to the last bit of float. */
struct backend_adam_step {
    double c1; /* 1 - b1 */
    double c2; /* 1 - b2 */
    double alpha;
    double eps;
};
struct backend_adam_step backend_adam_at(const struct backend_spec *spec, int64_t t);

#endif
