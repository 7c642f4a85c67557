/* The kernels of backend_cuda.cu, included there only: each a loop around a function of gpu_math.h, launched with
 * the geometry of its operation in gpu_plan.h. */
#ifndef TRAINER_CUDA_KERNELS_H
#define TRAINER_CUDA_KERNELS_H

#include <cuda_runtime.h>
#include <math.h>

extern "C" {
#include "daemon/trainer/gpu_math.h"
}

/* I: uint32_t where it can count the elements, since 64-bit division is slow on a GPU. */
template <typename I> static __device__ I first_element(void)
{
    return (I)blockIdx.x * blockDim.x + threadIdx.x;
}

template <typename I> static __device__ I stride(void)
{
    return (I)gridDim.x * blockDim.x;
}

static __global__ void set_step(struct gpu_step *to, struct gpu_step step)
{
    *to = step;
}

template <typename I>
static __global__ void load_rows(float *in, const float *x, const struct gpu_step *step, I n,
                                 I width)
{
    const float *from = x + step->row * (int64_t)width;
    for (I i = first_element<I>(); i < n; i += stride<I>())
        in[i] = from[i];
}

template <typename I>
static __global__ void bias_relu(float *z, float *act, const float *bias, const float *skip, I n,
                                 I width, bool relu)
{
    for (I i = first_element<I>(); i < n; i += stride<I>()) {
        float x = gpu_bias_one(z[i], bias[i % width], relu);
        z[i] = x;
        if (skip)
            act[i] = x + skip[i];
    }
}

struct head_args {
    float *z;
    const float *target;
    const int32_t *label;
    float *loss;
    int32_t *right;
    const struct gpu_step *step;
    int64_t rows;
    int64_t width;
    float scale;
    bool mse;
    bool count;
};

static __global__ void head_rows(const struct head_args a)
{
    for (int64_t r = first_element<int64_t>(); r < a.rows; r += stride<int64_t>()) {
        float *z = a.z + r * a.width;
        int64_t row = a.step->row + r;
        int32_t right;
        a.loss[r] =
            a.label ? gpu_softmax_row(z, a.width, a.label[row], a.scale, &right)
                    : gpu_sigmoid_row(z, a.width, a.target + row * a.width, a.mse, a.scale, &right);
        a.right[r] = a.count ? right : 0;
    }
}

static __global__ void column_sums(float *dz, const float *dh, const float *relu, float *sum,
                                   int64_t rows, int64_t width)
{
    __shared__ float part[GPU_SUM_LANES][GPU_SUM_COLUMNS];
    int x = (int)threadIdx.x;
    int lane = (int)threadIdx.y;
    for (int64_t base = (int64_t)blockIdx.x * GPU_SUM_COLUMNS; base < width;
         base += (int64_t)gridDim.x * GPU_SUM_COLUMNS) {
        bool mine = base + x < width;
        part[lane][x] = mine ? gpu_column_lane(dz, dh, relu, rows, width, base + x, lane) : 0.0F;
        __syncthreads();
        for (int half = GPU_SUM_LANES / 2; half > 0; half /= 2) {
            if (lane < half)
                part[lane][x] += part[lane + half][x];
            __syncthreads();
        }
        if (lane == 0 && mine)
            sum[base + x] = part[0][x];
        __syncthreads();
    }
}

static __global__ void adam(float *p, const float *g, float *m, float *v,
                            const struct gpu_step *step, int64_t n)
{
    const struct gpu_step t = *step;
    for (int64_t i = first_element<int64_t>(); i < n; i += stride<int64_t>())
        gpu_adam_one(p + i, g[i], m + i, v + i, &t);
}

static __global__ void add_scores(struct gpu_score *to, const float *loss, const int32_t *right,
                                  int64_t rows)
{
    __shared__ struct gpu_score part[GPU_SCORE_LANES];
    int lane = (int)threadIdx.x;
    part[lane] = gpu_score_lane(loss, right, rows, lane);
    __syncthreads();
    for (int half = GPU_SCORE_LANES / 2; half > 0; half /= 2) {
        if (lane < half) {
            part[lane].loss += part[lane + half].loss;
            part[lane].right += part[lane + half].right;
        }
        __syncthreads();
    }
    if (lane == 0) {
        to->loss += part[0].loss;
        to->right += part[0].right;
    }
}

#endif
