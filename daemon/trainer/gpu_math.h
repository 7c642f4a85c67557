/* The arithmetic between the matrix products on a GPU, one element, row or column at a time. nvcc compiles these
 * functions for the card, where a kernel is nothing but a loop around one of them; every other compiler
 * compiles them for the host, where tests run a whole training step through them (gpu_plan.h). Both must
 * say the same thing, so nothing here may depend on where it runs.
 *
 * Sums have a fixed shape: lane i adds elements i, i + lanes, ... in order, then halves are added to halves.
 * No atomics, so the same card gives the same bits. Matrices are [rows][width] without gaps. */
#ifndef TRAINER_GPU_MATH_H
#define TRAINER_GPU_MATH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define GPU_FN static inline __host__ __device__
#else
#define GPU_FN static inline
#endif

#define GPU_SUM_LANES   8   /* threads that share a column's sum */
#define GPU_SUM_COLUMNS 32  /* columns of one block */
#define GPU_SCORE_LANES 256 /* threads of the one block that adds the rows' losses */

/* What changes from step to step. Lies in device memory, so that one recorded step serves all batches. */
struct gpu_step {
    int64_t row; /* first row of the batch */
    float c1;    /* Adam, as in backend_adam_step */
    float c2;
    float alpha;
    float eps;
};

/* Sums over all rows since it was last zeroed. */
struct gpu_score {
    double loss;
    int64_t right;
};

/* x < 0 ? 0 : x keeps a NaN, where x > 0 ? x : 0 would hide it. */
GPU_FN float gpu_bias_one(float z, float bias, bool relu)
{
    float x = z + bias;
    return relu && x < 0 ? 0 : x;
}

GPU_FN void gpu_adam_one(float *p, float g, float *m, float *v, const struct gpu_step *t)
{
    float mi = *m + t->c1 * (g - *m);
    float vi = *v + t->c2 * (g * g - *v);
    *m = mi;
    *v = vi;
    *p -= t->alpha * mi / (sqrtf(vi) + t->eps);
}

/* One lane of one column's sum. With relu, dz = relu > 0 ? dh : 0 is written on the way (dz may be dh);
 * without (NULL), dh is summed as it is. */
GPU_FN float gpu_column_lane(float *dz, const float *dh, const float *relu, int64_t rows,
                             int64_t width, int64_t column, int64_t lane)
{
    float sum = 0;
    for (int64_t r = lane; r < rows; r += GPU_SUM_LANES) {
        int64_t i = r * width + column;
        float g = dh[i];
        if (relu) {
            g = relu[i] > 0 ? g : 0;
            dz[i] = g;
        }
        sum += g;
    }
    return sum;
}

/* The first of equals. */
GPU_FN int64_t gpu_argmax(const float *v, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

/* Softmax and categorical cross-entropy of one row of logits; with scale != 0 its gradient replaces them. */
GPU_FN float gpu_softmax_row(float *z, int64_t n, int32_t label, float scale, int32_t *right)
{
    int64_t best = gpu_argmax(z, n);
    float top = z[best];
    float sum = expf(z[0] - top);
    for (int64_t i = 1; i < n; i++)
        sum += expf(z[i] - top);
    float loss = logf(sum) - (z[label] - top);
    *right = best == label;
    if (scale != 0)
        for (int64_t i = 0; i < n; i++)
            z[i] = scale * (expf(z[i] - top) / sum - (i == label ? 1.0F : 0.0F));
    return loss;
}

GPU_FN int32_t gpu_sigmoid_right(const float *z, int64_t n, const float *target)
{
    if (n == 1)
        return (z[0] > 0) == (target[0] > 0.5F);
    return target[gpu_argmax(z, n)] > 0.5F;
}

/* Sigmoid with mean squared error or binary cross-entropy of one row; mean over its n outputs. */
GPU_FN float gpu_sigmoid_row(float *z, int64_t n, const float *target, bool mse, float scale,
                             int32_t *right)
{
    float loss = 0;
    *right = gpu_sigmoid_right(z, n, target);
    for (int64_t i = 0; i < n; i++) {
        float x = z[i];
        float e = expf(x < 0 ? x : -x); /* no overflow on either side */
        float y = (x < 0 ? e : 1) / (1 + e);
        float miss = y - target[i];
        loss += mse ? miss * miss : (x > 0 ? x : 0) - x * target[i] + logf(1 + e);
        if (scale != 0)
            z[i] = scale / (float)n * (mse ? 2 * miss * y * (1 - y) : miss);
    }
    return loss / (float)n;
}

/* One lane of the sum over the batch's rows. */
GPU_FN struct gpu_score gpu_score_lane(const float *loss, const int32_t *right, int64_t rows,
                                       int64_t lane)
{
    struct gpu_score s = {0, 0};
    for (int64_t r = lane; r < rows; r += GPU_SCORE_LANES) {
        s.loss += (double)loss[r];
        s.right += right[r];
    }
    return s;
}

#endif
