/* The elementwise passes between the matrix products, each one sweep over memory. One source (passes.inc) is
 * compiled for several instruction sets; the best one the processor has is chosen at run time. Results of
 * two variants differ in the last bits (fused multiply-add), so a run records which one it used.
 * All matrices are [rows][width] without gaps. */
#ifndef TRAINER_PASSES_H
#define TRAINER_PASSES_H

#include "common/base.h"

/* Loss of logits, and their gradient in place. */
struct pass_head {
    float *z;             /* logits; the gradient afterwards if scale != 0, else left undefined */
    const float *target;  /* sigmoid: [rows][width] */
    const int32_t *label; /* softmax: [rows] */
    int64_t rows;
    int64_t width;
    float scale;   /* factor of the gradient: 1 / rows of the batch; 0: no gradient wanted */
    bool mse;      /* sigmoid: mean squared error instead of binary cross-entropy */
    double loss;   /* out: sum over rows */
    int64_t right; /* out: rows whose class is right */
};

struct pass_adam {
    float *p;
    const float *g;
    float *m;
    float *v;
    size_t n;
    float c1; /* 1 - beta1 */
    float c2; /* 1 - beta2 */
    float alpha;
    float eps;
};

struct passes {
    const char *isa;
    void (*bias)(float *z, const float *bias, int64_t rows, int64_t width);
    void (*bias_relu)(float *z, const float *bias, int64_t rows, int64_t width);
    /* relu: pre-activations in, activations out; act = relu + in */
    void (*bias_relu_skip)(float *relu, float *act, const float *in, const float *bias,
                           int64_t rows, int64_t width);
    /* dz = relu > 0 ? dh : 0 (dz may be dh), and sum = dz's column sums */
    void (*mask_sum)(float *dz, const float *dh, const float *relu, float *sum, int64_t rows,
                     int64_t width);
    void (*sum)(const float *dz, float *sum, int64_t rows, int64_t width);
    void (*softmax)(struct pass_head *h);
    void (*sigmoid)(struct pass_head *h);
    void (*adam)(const struct pass_adam *a);
    void (*exp_neg)(float *x, int64_t n); /* in place, for x <= 0; what the two losses use */
};

/* Best first, NULL-terminated; only those this processor can run. */
const struct passes *const *passes_usable(void);

#endif
