/* The GPU backend: network and data lie on the card, and a whole step (gpu_plan.h) is recorded once as a CUDA
 * graph and replayed for every batch. Products by cublasLt (cuda_lt.h), everything between them by one kernel
 * each around gpu_math.h. No atomics and no timing, so the same card and libraries give the same bits.
 *
 * What changes from step to step - the batch's first row and Adam's scalars - is written into the arena by a
 * kernel that gets it by value, so nothing on the host must stay as it is until the card has read it. Scores
 * add up on the card until flush. One thread, one stream, at most RUN_AHEAD batches in flight. */
#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/trainer/cuda_kernels.h"
#include "daemon/trainer/cuda_lt.h"

extern "C" {
#include "daemon/trainer/backend_list.h"
#include "daemon/trainer/cuda_device.h"
#include "daemon/trainer/metrics.h"
}

#define PASSES_MAX 8 /* full and short batches of training and testing, and some for tests */
#define RUN_AHEAD  8 /* batches; the host waits, asleep, for the first half of them */

/* One pass recorded for one number of rows. */
struct recorded {
    enum gpu_pass pass;
    int64_t rows;
    cudaGraphExec_t exec;
};

struct cuda {
    struct backend base;
    struct cuda_device device;
    struct lt lt;
    struct gpu_layout l;
    char *arena;
    cudaStream_t stream;
    cudaEvent_t half[2];
    int64_t launched;
    struct recorded recorded[PASSES_MAX];
    int nrecorded;
    uint64_t digest;  /* of the algorithms of all products recorded so far */
    struct err fault; /* the first thing that went wrong on the card; everything after it is void */
};

/* ---- launches ------------------------------------------------------------------------------------ */

static struct cuda *self(struct backend *b)
{
    return container_of(b, struct cuda, base);
}

/* Remembers the first failure; false after any. */
static bool fine(struct cuda *c, cudaError_t rc, const char *what)
{
    if (c->fault.code == 0 && rc != cudaSuccess) {
        err_set(&c->fault, WATTQ_E_UNAVAILABLE, "the GPU %s: %s: %s", c->device.name, what,
                cudaGetErrorString(rc));
        err_next(&c->fault, "see dmesg and nvidia-smi; train on the CPU: --backend openblas");
    }
    return c->fault.code == 0;
}

static float *f32(const struct cuda *c, size_t offset)
{
    return offset == GPU_NONE ? nullptr : reinterpret_cast<float *>(c->arena + offset);
}

static int32_t *i32(const struct cuda *c, size_t offset)
{
    return offset == GPU_NONE ? nullptr : reinterpret_cast<int32_t *>(c->arena + offset);
}

static struct gpu_step *step_of(const struct cuda *c)
{
    return reinterpret_cast<struct gpu_step *>(c->arena + c->l.step);
}

static struct gpu_score *scores_of(const struct cuda *c)
{
    return reinterpret_cast<struct gpu_score *>(c->arena + c->l.scores);
}

template <typename I> static void launch_load(const struct cuda *c, const struct gpu_op *op)
{
    load_rows<I><<<op->blocks, op->threads_x, 0, c->stream>>>(
        f32(c, c->l.input), f32(c, c->l.x), step_of(c), (I)(op->rows * op->width), (I)op->width);
}

template <typename I> static void launch_bias(const struct cuda *c, const struct gpu_op *op)
{
    const struct gpu_bias *b = &op->bias;
    bias_relu<I><<<op->blocks, op->threads_x, 0, c->stream>>>(
        f32(c, b->z), f32(c, b->act), f32(c, b->bias), f32(c, b->skip), (I)(op->rows * op->width),
        (I)op->width, b->relu);
}

static void launch_head(const struct cuda *c, const struct gpu_op *op)
{
    const struct gpu_head *h = &op->head;
    struct head_args a = {};
    a.z = f32(c, h->z);
    a.target = f32(c, h->target);
    a.label = i32(c, h->label);
    a.loss = f32(c, c->l.row_loss);
    a.right = i32(c, c->l.row_right);
    a.step = step_of(c);
    a.rows = op->rows;
    a.width = op->width;
    a.scale = h->scale;
    a.mse = h->mse;
    a.count = h->count;
    head_rows<<<op->blocks, op->threads_x, 0, c->stream>>>(a);
}

static void launch_column(const struct cuda *c, const struct gpu_op *op)
{
    const struct gpu_column *k = &op->column;
    column_sums<<<op->blocks, dim3(op->threads_x, op->threads_y), 0, c->stream>>>(
        f32(c, k->dz), f32(c, k->dh), f32(c, k->relu), f32(c, k->sum), op->rows, op->width);
}

/* Counting in 32 bits leaves room for one stride beyond the last element. */
static bool small(const struct gpu_op *op)
{
    return op->rows * op->width < INT64_C(1) << 31;
}

/* Everything but a product. */
static void launch(const struct cuda *c, const struct gpu_op *op)
{
    switch (op->kind) {
    case GPU_LOAD:
        small(op) ? launch_load<uint32_t>(c, op) : launch_load<int64_t>(c, op);
        break;
    case GPU_BIAS:
        small(op) ? launch_bias<uint32_t>(c, op) : launch_bias<int64_t>(c, op);
        break;
    case GPU_HEAD:
        launch_head(c, op);
        break;
    case GPU_COLUMN:
        launch_column(c, op);
        break;
    case GPU_ADAM:
        adam<<<op->blocks, op->threads_x, 0, c->stream>>>(f32(c, c->l.param), f32(c, c->l.grad),
                                                          f32(c, c->l.m), f32(c, c->l.v),
                                                          step_of(c), op->width);
        break;
    case GPU_SCORE:
        add_scores<<<op->blocks, op->threads_x, 0, c->stream>>>(
            reinterpret_cast<struct gpu_score *>(c->arena + op->score), f32(c, c->l.row_loss),
            i32(c, c->l.row_right), op->rows);
        break;
    case GPU_GEMM:
        break;
    }
}

/* ---- recording ----------------------------------------------------------------------------------- */

/* lasting: also what changes parameters and scores. */
static bool run_plan(struct cuda *c, const struct gpu_plan *p, const struct lt_product *products,
                     bool lasting)
{
    for (int i = 0; i < p->n && c->fault.code == 0; i++) {
        const struct gpu_op *op = &p->op[i];
        if (!lasting && (op->kind == GPU_ADAM || op->kind == GPU_SCORE))
            continue;
        if (op->kind != GPU_GEMM) {
            launch(c, op);
            fine(c, cudaGetLastError(), "a kernel cannot be launched");
            continue;
        }
        cublasStatus_t rc =
            lt_launch(&c->lt, &op->gemm, &products[i], c->arena, c->l.workspace, c->stream);
        if (rc != CUBLAS_STATUS_SUCCESS)
            err_set(&c->fault, WATTQ_E_UNAVAILABLE,
                    "cublasLt refuses a product of %lld x %lld x "
                    "%lld: status %d",
                    (long long)op->gemm.m, (long long)op->gemm.n, (long long)op->gemm.k, (int)rc);
    }
    return c->fault.code == 0;
}

/* Once outside of a recording, so that every kernel is loaded and every product has really run. The scratch
 * memory and the gradient it leaves behind are written anew by every pass. */
static bool record_prepared(struct cuda *c, struct recorded *r, const struct gpu_plan *p,
                            const struct lt_product *products)
{
    cudaGraph_t graph = nullptr;
    set_step<<<1, 1, 0, c->stream>>>(step_of(c), gpu_step{});
    if (!run_plan(c, p, products, false) ||
        !fine(c, cudaStreamSynchronize(c->stream), "a first pass failed") ||
        !fine(c, cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal),
              "no graph can be recorded"))
        return false;
    run_plan(c, p, products, true);
    cudaError_t rc = cudaStreamEndCapture(c->stream, &graph);
    if (fine(c, rc, "the graph was not recorded"))
        fine(c, cudaGraphInstantiate(&r->exec, graph, 0), "the graph cannot be made");
    if (graph)
        cudaGraphDestroy(graph);
    return c->fault.code == 0;
}

static bool record(struct cuda *c, struct recorded *r)
{
    struct gpu_plan *p = static_cast<struct gpu_plan *>(base_alloc(sizeof *p));
    struct lt_product *products =
        static_cast<struct lt_product *>(base_alloc(GPU_OPS_MAX * sizeof *products));
    gpu_plan_make(p, &c->l, &c->base.network, c->base.spec.data, r->pass, r->rows);
    int rc = 0;
    for (int i = 0; i < p->n && rc == 0; i++)
        if (p->op[i].kind == GPU_GEMM)
            rc = lt_prepare(&c->lt, &p->op[i].gemm, &products[i], &c->digest, &c->fault);
    if (rc == 0)
        record_prepared(c, r, p, products);
    for (int i = 0; i < p->n; i++)
        lt_product_close(&c->lt, &products[i]);
    free(products);
    free(p);
    return c->fault.code == 0;
}

static void forget_all(struct cuda *c)
{
    for (int i = 0; i < c->nrecorded; i++)
        cudaGraphExecDestroy(c->recorded[i].exec);
    c->nrecorded = 0;
}

/* NULL after a fault. */
static struct recorded *find_recorded(struct cuda *c, enum gpu_pass pass, int64_t rows)
{
    for (int i = 0; i < c->nrecorded; i++)
        if (c->recorded[i].pass == pass && c->recorded[i].rows == rows)
            return &c->recorded[i];
    if (c->nrecorded == PASSES_MAX) {
        fine(c, cudaStreamSynchronize(c->stream), "a step failed");
        forget_all(c);
    }
    struct recorded *r = &c->recorded[c->nrecorded];
    *r = {pass, rows, nullptr};
    if (c->fault.code != 0 || !record(c, r))
        return nullptr;
    c->nrecorded++;
    return r;
}

/* Not further ahead of the card than RUN_AHEAD batches: a signal or a time limit must be obeyed soon. */
static void pace(struct cuda *c)
{
    if (++c->launched % (RUN_AHEAD / 2) != 0)
        return;
    int64_t which = c->launched / (RUN_AHEAD / 2) % 2;
    fine(c, cudaEventRecord(c->half[which], c->stream), "an event cannot be recorded");
    fine(c, cudaEventSynchronize(c->half[1 - which]), "a step failed");
}

static void replay(struct cuda *c, enum gpu_pass pass, int64_t rows, const struct gpu_step *step)
{
    const struct recorded *r = find_recorded(c, pass, rows);
    if (!r)
        return;
    set_step<<<1, 1, 0, c->stream>>>(step_of(c), *step);
    if (fine(c, cudaGetLastError(), "a kernel cannot be launched") &&
        fine(c, cudaGraphLaunch(r->exec, c->stream), "a step cannot be launched"))
        pace(c);
}

/* ---- opening ------------------------------------------------------------------------------------- */

static void cuda_close(struct backend *b)
{
    struct cuda *c = self(b);
    if (c->stream)
        (void)cudaStreamSynchronize(c->stream);
    forget_all(c);
    for (cudaEvent_t half : c->half)
        if (half)
            cudaEventDestroy(half);
    lt_close(&c->lt);
    if (c->arena)
        cudaFree(c->arena);
    if (c->stream)
        cudaStreamDestroy(c->stream);
    network_close(&c->base.network);
    free(c);
}

static int check_tf32(const struct cuda *c, struct err *e)
{
    if (c->base.spec.precision != BACKEND_TF32 || c->device.major >= 8)
        return 0;
    err_set(e, WATTQ_E_UNAVAILABLE, "the %s (sm_%d%d) has no TF32", c->device.name, c->device.major,
            c->device.minor);
    return err_next(e, "use --precision f32");
}

static int take_arena(struct cuda *c, struct err *e)
{
    size_t available = 0;
    size_t total = 0;
    gpu_layout_make(&c->l, &c->base.network, c->base.spec.data, c->base.spec.batch);
    if (!fine(c, cudaMemGetInfo(&available, &total), "its memory cannot be asked for")) {
        *e = c->fault;
        return e->code;
    }
    if (c->l.bytes <= available && cudaMalloc((void **)&c->arena, c->l.bytes) == cudaSuccess)
        return 0;
    err_set(e, WATTQ_E_LIMIT, "training this network takes %.2f GB on the %s, and %.2f GB are free",
            (double)c->l.bytes / 1e9, c->device.name, (double)available / 1e9);
    return err_next(e, "choose a smaller --size, a larger --depth or a smaller --batch");
}

static void upload(struct cuda *c, size_t offset, const void *from, size_t bytes)
{
    if (from && c->fault.code == 0)
        fine(c, cudaMemcpy(c->arena + offset, from, bytes, cudaMemcpyHostToDevice),
             "the data cannot be sent");
}

/* Zero everywhere first: moments, scores, and the padding between the network's blocks. */
static int send_all(struct cuda *c, struct err *e)
{
    const struct dataset *d = c->base.spec.data;
    size_t rows = (size_t)d->rows;
    fine(c, cudaMemset(c->arena, 0, c->l.bytes), "its memory cannot be cleared");
    upload(c, c->l.param, c->base.network.param, c->base.network.scalars * sizeof(float));
    upload(c, c->l.x, d->x, rows * (size_t)d->inputs * sizeof(float));
    upload(c, c->l.target, d->target, rows * (size_t)d->outputs * sizeof(float));
    upload(c, c->l.label, d->label, rows * sizeof(int32_t));
    fine(c, cudaDeviceSynchronize(), "the data did not arrive");
    if (c->fault.code != 0)
        *e = c->fault;
    return c->fault.code;
}

static int make_stream(struct cuda *c, struct err *e)
{
    unsigned flags = cudaEventDisableTiming | cudaEventBlockingSync;
    if (fine(c, cudaSetDevice(0), "it cannot be used") &&
        fine(c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "no stream"))
        for (cudaEvent_t &half : c->half)
            fine(c, cudaEventCreateWithFlags(&half, flags), "no event");
    if (c->fault.code != 0)
        *e = c->fault;
    return c->fault.code;
}

/* Kernels are loaded when they are first used, which must not be while a graph is recorded. */
static int preload(struct cuda *c, struct err *e)
{
    cudaFuncAttributes a;
    fine(c, cudaFuncGetAttributes(&a, adam), "it has no code for this card");
    fine(c, cudaFuncGetAttributes(&a, add_scores), "it has no code for this card");
    if (c->fault.code != 0)
        *e = c->fault;
    return c->fault.code;
}

static int open_parts(struct cuda *c, struct err *e)
{
    const struct backend_spec *spec = &c->base.spec;
    int rc = cuda_device_read(&c->device, e);
    if (rc == 0)
        rc = check_tf32(c, e);
    if (rc == 0)
        rc = lt_load(&c->lt, e);
    if (rc == 0)
        rc = make_stream(c, e);
    if (rc == 0)
        rc = preload(c, e);
    if (rc == 0)
        rc = lt_start(&c->lt, spec->precision == BACKEND_TF32, e);
    if (rc == 0)
        rc = network_open(&c->base.network, &spec->net, sizeof(float), e);
    if (rc == 0)
        rc = take_arena(c, e);
    if (rc < 0)
        return rc;
    network_randomize(&c->base.network, spec->init, spec->seed);
    return send_all(c, e);
}

/* Whole and short batches of training and testing are recorded here: that belongs to the preparation, not to
 * the first epoch's time. What else is asked for later (by tests) is recorded when it is. */
static int record_all(struct cuda *c, struct err *e)
{
    const struct backend_spec *spec = &c->base.spec;
    const struct {
        enum gpu_pass pass;
        int64_t total;
    } work[] = {{GPU_PASS_STEP, spec->data->rows_train}, {GPU_PASS_TEST, spec->data->rows_test}};
    for (const auto &w : work) {
        int64_t rest = w.total % spec->batch;
        if (w.total >= spec->batch)
            find_recorded(c, w.pass, spec->batch);
        if (rest > 0)
            find_recorded(c, w.pass, rest);
    }
    if (c->fault.code != 0)
        *e = c->fault;
    return c->fault.code;
}

static int cuda_open(struct backend **out, const struct backend_spec *spec, struct err *e)
{
    struct err mine = {};
    struct cuda *c = static_cast<struct cuda *>(base_alloc(sizeof *c));
    c->base.ops = &backend_cuda;
    c->base.spec = *spec;
    c->digest = UINT64_C(0xcbf29ce484222325); /* FNV-1a's start */
    int rc = open_parts(c, &mine);
    if (rc == 0)
        rc = record_all(c, &mine);
    if (rc < 0)
        cuda_close(&c->base);
    else
        *out = &c->base;
    if (rc < 0 && e)
        *e = mine;
    return rc;
}

static int cuda_probe(struct err *e)
{
    struct cuda_device d;
    struct lt lt;
    int rc = cuda_device_read(&d, e);
    if (rc == 0)
        rc = lt_load(&lt, e);
    if (rc == 0)
        lt_close(&lt);
    return rc;
}

static void cuda_isa(char *out, size_t cap)
{
    struct cuda_device d;
    struct err e = {};
    if (cuda_device_read(&d, &e) < 0)
        base_strcpy(out, cap, "none");
    else
        snprintf(out, cap, "sm_%d%d", d.major, d.minor);
}

/* ---- facts --------------------------------------------------------------------------------------- */

static void put_known(struct json *j, const char *key, int64_t value)
{
    if (value > 0)
        json_i64(j, key, value);
    else
        json_null(j, key);
}

static void put_device(struct json *j, const struct cuda_device *d)
{
    char sm[16];
    snprintf(sm, sizeof sm, "%d.%d", d->major, d->minor);
    json_text(j, "device_name", d->name);
    json_text(j, "device_uuid", d->uuid);
    json_text(j, "device_capability", sm);
    json_i64(j, "device_sm_count", d->sms);
    put_known(j, "device_l1_bytes_per_sm", d->l1_bytes);
    put_known(j, "device_shared_bytes_per_sm", d->shared_bytes);
    put_known(j, "device_l2_bytes", d->l2_bytes);
    put_known(j, "device_memory_bytes", d->memory_bytes);
    put_known(j, "device_clock_khz", d->clock_khz);
    put_known(j, "device_memory_clock_khz", d->memory_khz);
    json_i64(j, "device_driver_version", d->driver);
    json_i64(j, "device_runtime_version", d->runtime);
}

static void cuda_facts(const struct backend *b, struct json *j)
{
    struct cuda_device d;
    struct err e = {};
    struct lt lt;
    if (cuda_device_read(&d, &e) < 0) {
        json_null(j, "device_name");
        json_text(j, "device_reason", e.text);
        return;
    }
    put_device(j, &d);
    if (b) {
        const struct cuda *c = self(const_cast<struct backend *>(b));
        char digest[24];
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)c->digest);
        json_i64(j, "device_cublaslt_version", (int64_t)c->lt.version);
        json_text(j, "device_gemm_algorithms", digest);
    } else if (lt_load(&lt, &e) == 0) {
        json_i64(j, "device_cublaslt_version", (int64_t)lt.version);
        lt_close(&lt);
    } else {
        json_null(j, "device_cublaslt_version");
    }
}

/* ---- work ---------------------------------------------------------------------------------------- */

static void cuda_step(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    struct backend_adam_step t = backend_adam_at(&b->spec, ++b->steps);
    const struct gpu_step step = {row, (float)t.c1, (float)t.c2, (float)t.alpha, (float)t.eps};
    *s = {};
    replay(self(b), GPU_PASS_STEP, rows, &step);
}

/* Waits, takes the sums and zeroes them. Not a number after a fault. */
static void take_score(struct cuda *c, int which, struct backend_score *s)
{
    struct gpu_score got = {NAN, 0};
    struct gpu_score *at = scores_of(c) + which;
    if (c->fault.code == 0 &&
        fine(c, cudaMemcpyAsync(&got, at, sizeof got, cudaMemcpyDeviceToHost, c->stream),
             "the score cannot be read") &&
        fine(c, cudaMemsetAsync(at, 0, sizeof *at, c->stream), "the score cannot be cleared"))
        fine(c, cudaStreamSynchronize(c->stream), "a step failed");
    s->loss += c->fault.code == 0 ? got.loss : (double)NAN;
    s->right += c->fault.code == 0 ? got.right : 0;
}

static int cuda_flush(struct backend *b, struct backend_score *s, struct err *e)
{
    struct cuda *c = self(b);
    *s = {};
    take_score(c, GPU_SCORE_STEPS, s);
    if (c->fault.code != 0 && e)
        *e = c->fault;
    return c->fault.code;
}

static void cuda_evaluate(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    struct cuda *c = self(b);
    for (int64_t end = row + rows; row < end; row += b->spec.batch) {
        struct gpu_step step = {};
        step.row = row;
        replay(c, GPU_PASS_TEST, end - row < b->spec.batch ? end - row : b->spec.batch, &step);
    }
    take_score(c, GPU_SCORE_TESTS, s);
}

static void download(struct cuda *c, void *to, size_t offset)
{
    size_t bytes = c->base.network.scalars * sizeof(float);
    if (fine(c, cudaStreamSynchronize(c->stream), "a step failed"))
        fine(c, cudaMemcpy(to, c->arena + offset, bytes, cudaMemcpyDeviceToHost),
             "the parameters cannot be read");
}

static void cuda_gradient(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    struct cuda *c = self(b);
    struct gpu_step step = {};
    step.row = row;
    *s = {};
    replay(c, GPU_PASS_GRADIENT, rows, &step);
    take_score(c, GPU_SCORE_STEPS, s);
    download(c, b->network.grad, c->l.grad);
}

static void cuda_fetch(struct backend *b)
{
    struct cuda *c = self(b);
    download(c, b->network.param, c->l.param);
    download(c, b->network.m, c->l.m);
    download(c, b->network.v, c->l.v);
}

const struct backend_ops backend_cuda = {
    .name = "cuda",
    .summary = "cublasLt and our own kernels, a step recorded as one CUDA graph; f32 or tf32",
    .f64 = false,
    .tf32 = true,
    .open = cuda_open,
    .probe = cuda_probe,
    .isa = cuda_isa,
    .facts = cuda_facts,
    .step = cuda_step,
    .flush = cuda_flush,
    .gradient = cuda_gradient,
    .evaluate = cuda_evaluate,
    .fetch = cuda_fetch,
    .close = cuda_close,
};
