#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/trainer/cuda_lt.h"

/* Newest first; then where NVIDIA's own packages put it without telling the loader. */
static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                    "/usr/local/cuda/lib64/libcublasLt.so"};

static void *find_library(void)
{
    void *so = nullptr;
    for (const char *name : names)
        if (!so)
            so = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    return so;
}

template <typename F> static bool bind(const struct lt *lt, F *to, const char *name)
{
    *to = reinterpret_cast<F>(dlsym(lt->so, name));
    return *to != nullptr;
}

static bool bind_all(struct lt *lt)
{
    return bind(lt, &lt->create, "cublasLtCreate") && bind(lt, &lt->destroy, "cublasLtDestroy") &&
           bind(lt, &lt->get_version, "cublasLtGetVersion") &&
           bind(lt, &lt->matmul, "cublasLtMatmul") &&
           bind(lt, &lt->desc_create, "cublasLtMatmulDescCreate") &&
           bind(lt, &lt->desc_destroy, "cublasLtMatmulDescDestroy") &&
           bind(lt, &lt->desc_set, "cublasLtMatmulDescSetAttribute") &&
           bind(lt, &lt->layout_create, "cublasLtMatrixLayoutCreate") &&
           bind(lt, &lt->layout_destroy, "cublasLtMatrixLayoutDestroy") &&
           bind(lt, &lt->pref_create, "cublasLtMatmulPreferenceCreate") &&
           bind(lt, &lt->pref_destroy, "cublasLtMatmulPreferenceDestroy") &&
           bind(lt, &lt->pref_set, "cublasLtMatmulPreferenceSetAttribute") &&
           bind(lt, &lt->heuristic, "cublasLtMatmulAlgoGetHeuristic") &&
           bind(lt, &lt->algo_get, "cublasLtMatmulAlgoConfigGetAttribute");
}

int lt_load(struct lt *lt, struct err *e)
{
    *lt = {};
    lt->so = find_library();
    if (!lt->so) {
        err_set(e, WATTQ_E_UNAVAILABLE, "there is no libcublasLt.so.13 or .12 that can be loaded");
        return err_next(e, "install NVIDIA's cuBLAS, or name its directory in LD_LIBRARY_PATH");
    }
    if (!bind_all(lt)) {
        lt_close(lt);
        err_set(e, WATTQ_E_UNAVAILABLE, "the libcublasLt found lacks a function this needs");
        return err_next(e, "install NVIDIA's cuBLAS 12 or 13");
    }
    lt->version = lt->get_version();
    return 0;
}

int lt_start(struct lt *lt, bool tf32, struct err *e)
{
    lt->tf32 = tf32;
    cublasStatus_t rc = lt->create(&lt->handle);
    if (rc == CUBLAS_STATUS_SUCCESS)
        return 0;
    lt->handle = nullptr;
    err_set(e, WATTQ_E_UNAVAILABLE, "cublasLt does not start: status %d", (int)rc);
    return err_next(e, "is the card's memory full? see nvidia-smi");
}

void lt_close(struct lt *lt)
{
    if (lt->handle)
        lt->destroy(lt->handle);
    if (lt->so)
        dlclose(lt->so);
    *lt = {};
}

/* ---- one product --------------------------------------------------------------------------------- */

void lt_product_close(const struct lt *lt, struct lt_product *p)
{
    if (p->a)
        lt->layout_destroy(p->a);
    if (p->b)
        lt->layout_destroy(p->b);
    if (p->c)
        lt->layout_destroy(p->c);
    if (p->desc)
        lt->desc_destroy(p->desc);
    *p = {};
}

static bool set_op(const struct lt *lt, const struct lt_product *p,
                   cublasLtMatmulDescAttributes_t which, bool transposed)
{
    cublasOperation_t op = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    return lt->desc_set(p->desc, which, &op, sizeof op) == CUBLAS_STATUS_SUCCESS;
}

static bool make_layout(const struct lt *lt, cublasLtMatrixLayout_t *out, int64_t rows,
                        int64_t columns)
{
    return lt->layout_create(out, CUDA_R_32F, (uint64_t)rows, (uint64_t)columns, rows) ==
           CUBLAS_STATUS_SUCCESS;
}

/* cublasLt counts by columns: a row-major matrix is its transpose, so it is asked for c' = b' a'. Its first
 * operand is our b, its rows are our columns. */
static bool describe(const struct lt *lt, const struct gpu_gemm *g, struct lt_product *p)
{
    cublasComputeType_t compute =
        lt->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC;
    return lt->desc_create(&p->desc, compute, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
           set_op(lt, p, CUBLASLT_MATMUL_DESC_TRANSA, g->tb) &&
           set_op(lt, p, CUBLASLT_MATMUL_DESC_TRANSB, g->ta) &&
           make_layout(lt, &p->a, g->tb ? g->k : g->n, g->tb ? g->n : g->k) &&
           make_layout(lt, &p->b, g->ta ? g->m : g->k, g->ta ? g->k : g->m) &&
           make_layout(lt, &p->c, g->n, g->m);
}

static bool set_preferences(const struct lt *lt, cublasLtMatmulPreference_t pref,
                            const struct gpu_gemm *g)
{
    size_t workspace = GPU_WORKSPACE;
    uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t which;
        uint32_t value;
    } alignment[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, gpu_alignment(g->b)},
                     {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, gpu_alignment(g->a)},
                     {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, gpu_alignment(g->c)},
                     {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, gpu_alignment(g->c)}};
    bool ok = lt->pref_set(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                           sizeof workspace) == CUBLAS_STATUS_SUCCESS &&
              lt->pref_set(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
                           sizeof reduction) == CUBLAS_STATUS_SUCCESS;
    for (const auto &row : alignment)
        ok = ok &&
             lt->pref_set(pref, row.which, &row.value, sizeof row.value) == CUBLAS_STATUS_SUCCESS;
    return ok;
}

/* What identifies an algorithm, without the opaque struct's padding. */
static void mix(const struct lt *lt, const cublasLtMatmulAlgo_t *algo, uint64_t *digest)
{
    static const cublasLtMatmulAlgoConfigAttributes_t which[] = {
        CUBLASLT_ALGO_CONFIG_ID,
        CUBLASLT_ALGO_CONFIG_TILE_ID,
        CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
        CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
        CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING,
        CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION,
        CUBLASLT_ALGO_CONFIG_STAGES_ID};
    for (auto attribute : which) {
        uint32_t value = 0;
        size_t written;
        (void)lt->algo_get(algo, attribute, &value, sizeof value, &written);
        for (int i = 0; i < 4; i++)
            *digest = (*digest ^ (value >> (8 * i) & 255)) * UINT64_C(0x100000001b3);
    }
}

static bool choose(const struct lt *lt, const struct gpu_gemm *g, struct lt_product *p,
                   uint64_t *digest)
{
    cublasLtMatmulPreference_t pref;
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    if (lt->pref_create(&pref) != CUBLAS_STATUS_SUCCESS)
        return false;
    bool ok = set_preferences(lt, pref, g) &&
              lt->heuristic(lt->handle, p->desc, p->a, p->b, p->c, p->c, pref, 1, &best, &found) ==
                  CUBLAS_STATUS_SUCCESS &&
              found == 1 && best.state == CUBLAS_STATUS_SUCCESS;
    lt->pref_destroy(pref);
    if (!ok)
        return false;
    p->algo = best.algo;
    mix(lt, &p->algo, digest);
    return true;
}

int lt_prepare(const struct lt *lt, const struct gpu_gemm *g, struct lt_product *p,
               uint64_t *digest, struct err *e)
{
    *p = {};
    if (describe(lt, g, p) && choose(lt, g, p, digest))
        return 0;
    lt_product_close(lt, p);
    err_set(e, WATTQ_E_UNAVAILABLE, "cublasLt %zu has no %s product of %lld x %lld x %lld",
            lt->version, lt->tf32 ? "TF32" : "f32", (long long)g->m, (long long)g->n,
            (long long)g->k);
    return err_next(e, "train on the CPU: --backend openblas");
}

cublasStatus_t lt_launch(const struct lt *lt, const struct gpu_gemm *g, const struct lt_product *p,
                         char *arena, size_t workspace, cudaStream_t stream)
{
    const float one = 1;
    return lt->matmul(lt->handle, p->desc, &one, arena + g->b, p->a, arena + g->a, p->b, &g->beta,
                      arena + g->c, p->c, arena + g->c, p->c, &p->algo, arena + workspace,
                      GPU_WORKSPACE, stream);
}
