/* Matrix products by cublasLt, which is opened when it is needed (dlopen), so that wattq-train starts where
 * there is none. Each product gets one algorithm, the first that the library's heuristic proposes, and
 * keeps it: nothing is timed, so the same card and library give the same bits.
 *
 * f32 is strict (CUBLAS_COMPUTE_32F_PEDANTIC); TF32 only on request. Split sums may only be added in a
 * fixed order (CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE), never in place. One thread. */
#ifndef TRAINER_CUDA_LT_H
#define TRAINER_CUDA_LT_H

#include <cublasLt.h>

extern "C" {
#include "common/err.h"
#include "daemon/trainer/gpu_plan.h"
}

struct lt {
    void *so;
    cublasLtHandle_t handle;
    bool tf32;
    size_t version; /* 130001 = 13.0.1 */
    decltype(&cublasLtCreate) create;
    decltype(&cublasLtDestroy) destroy;
    decltype(&cublasLtGetVersion) get_version;
    decltype(&cublasLtMatmul) matmul;
    decltype(&cublasLtMatmulDescCreate) desc_create;
    decltype(&cublasLtMatmulDescDestroy) desc_destroy;
    decltype(&cublasLtMatmulDescSetAttribute) desc_set;
    decltype(&cublasLtMatrixLayoutCreate) layout_create;
    decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
    decltype(&cublasLtMatmulPreferenceCreate) pref_create;
    decltype(&cublasLtMatmulPreferenceDestroy) pref_destroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) pref_set;
    decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
    decltype(&cublasLtMatmulAlgoConfigGetAttribute) algo_get;
};

/* One product ready to be launched. */
struct lt_product {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a;
    cublasLtMatrixLayout_t b;
    cublasLtMatrixLayout_t c;
    cublasLtMatmulAlgo_t algo;
};

/* The library alone, without a card. 0, or WATTQ_E_UNAVAILABLE naming what is missing. */
int lt_load(struct lt *lt, struct err *e) MUST_USE;
/* Afterwards, for the current device. */
int lt_start(struct lt *lt, bool tf32, struct err *e) MUST_USE;
void lt_close(struct lt *lt); /* zeroed and half-open ones are fine */

/* WATTQ_E_UNAVAILABLE: the library has no kernel for it. *digest: FNV-1a over the algorithms chosen. */
int lt_prepare(const struct lt *lt, const struct gpu_gemm *g, struct lt_product *p,
               uint64_t *digest, struct err *e) MUST_USE;
void lt_product_close(const struct lt *lt, struct lt_product *p);
cublasStatus_t lt_launch(const struct lt *lt, const struct gpu_gemm *g, const struct lt_product *p,
                         char *arena, size_t workspace, cudaStream_t stream);

#endif
