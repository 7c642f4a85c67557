/* What a GPU has to do, as data: where everything lies in one arena of device memory, and the operations of one
 * pass in the order of their dependencies, with their launch geometry. backend_cuda.cu records a plan once as
 * a CUDA graph and replays it; tests run the same plan on the host (tests/unit/test_train_gpu_plan.c), so what
 * is decided here is tested without a card. Pure arithmetic; any thread.
 *
 * Offsets are bytes from the arena's start, each block on a 256-byte boundary, the four slices inside like the
 * network's own (network.h), whose blocks begin on 64 bytes. Matrices are row-major without gaps. */
#ifndef TRAINER_GPU_PLAN_H
#define TRAINER_GPU_PLAN_H

#include "daemon/trainer/dataset.h"
#include "daemon/trainer/gpu_math.h"
#include "daemon/trainer/network.h"

#define GPU_ALIGN       256
#define GPU_THREADS     256                     /* of a block in the element-wise kernels */
#define GPU_ROW_THREADS 32                      /* of a block that takes one row a thread */
#define GPU_BLOCKS_MAX  4096                    /* beyond that a thread takes several elements */
#define GPU_OPS_MAX     (NET_DEPTH_MAX * 5 + 8) /* of a step */
#define GPU_NONE        SIZE_MAX                /* offset of a block there is none of */
#define GPU_SCORE_STEPS 0                       /* which gpu_score a pass adds to: training steps */
#define GPU_SCORE_TESTS 1                       /* evaluation */
#define GPU_SCORES      2
#define GPU_WORKSPACE   ((size_t)32 << 20) /* for the matrix products */

struct gpu_layout {
    size_t step;   /* struct gpu_step */
    size_t scores; /* struct gpu_score [GPU_SCORES] */
    size_t param;  /* the four slices of the network, each `scalars` floats */
    size_t grad;
    size_t m;
    size_t v;
    size_t x;                   /* the whole data set, [rows][inputs] */
    size_t target;              /* [rows][outputs]; GPU_NONE with labels */
    size_t label;               /* [rows]; GPU_NONE with targets */
    size_t input;               /* [batch][inputs]: the batch's rows */
    size_t act[NET_DEPTH_MAX];  /* [batch][out]; the last: logits, then their gradient */
    size_t relu[NET_DEPTH_MAX]; /* before a skip is added; act[k] itself without one */
    size_t delta[2];            /* gradient of hidden layer k's pre-activations: delta[k % 2] */
    size_t carry; /* gradient of a layer's output while a skip needs it; GPU_NONE without skips */
    size_t row_loss;  /* float [batch] */
    size_t row_right; /* int32 [batch] */
    size_t workspace; /* GPU_WORKSPACE bytes */
    size_t bytes;     /* of the arena */
};

enum gpu_op_kind {
    GPU_LOAD, /* the batch's rows into `input` */
    GPU_GEMM, /* c = op(a) op(b) + beta c */
    GPU_BIAS, /* bias, ReLU and skip */
    GPU_HEAD, /* loss of every row, with scale != 0 the logits' gradient */
    GPU_COLUMN, /* mask by the ReLU below (unless relu is GPU_NONE) and column sums: a bias gradient */
    GPU_ADAM, /* all parameters at once */
    GPU_SCORE /* the rows' losses into a gpu_score */
};

struct gpu_gemm {
    int64_t m; /* op(a) is [m][k], op(b) is [k][n], c is [m][n] */
    int64_t n;
    int64_t k;
    bool ta;     /* a is stored as [k][m] */
    bool tb;     /* b is stored as [n][k] */
    int64_t lda; /* floats from row to row as stored */
    int64_t ldb;
    int64_t ldc;
    float beta;
    size_t a;
    size_t b;
    size_t c;
};

struct gpu_bias {
    size_t z;    /* pre-activations in, activations out */
    size_t bias; /* [width] */
    size_t skip; /* added after the ReLU into `act`; GPU_NONE: no skip */
    size_t act;
    bool relu;
};

struct gpu_head {
    size_t z;
    size_t target; /* GPU_NONE with labels */
    size_t label;
    float scale; /* 1 / rows, or 0 for the score alone */
    bool mse;
    bool count; /* rows can be right or wrong: not for a min-max target */
};

struct gpu_column {
    size_t dz;
    size_t dh;
    size_t relu; /* GPU_NONE: sum dh, write no dz */
    size_t sum;  /* [width] */
};

struct gpu_op {
    enum gpu_op_kind kind;
    uint32_t blocks; /* of the launch; 0 for a product */
    uint32_t threads_x;
    uint32_t threads_y;
    int64_t rows; /* GPU_ADAM: 1, and width counts all scalars */
    int64_t width;
    union {
        struct gpu_gemm gemm;
        struct gpu_bias bias;
        struct gpu_head head;
        struct gpu_column column;
        size_t score; /* GPU_SCORE: offset of the gpu_score */
    };
};

enum gpu_pass {
    GPU_PASS_STEP,     /* forward, backward, Adam, score */
    GPU_PASS_GRADIENT, /* the same without Adam */
    GPU_PASS_TEST      /* forward and score */
};

struct gpu_plan {
    int64_t rows;
    int n;
    struct gpu_op op[GPU_OPS_MAX];
};

void gpu_layout_make(struct gpu_layout *l, const struct network *n, const struct dataset *d,
                     int64_t batch);
/* rows in 1 .. batch of the layout. */
void gpu_plan_make(struct gpu_plan *p, const struct gpu_layout *l, const struct network *n,
                   const struct dataset *d, enum gpu_pass pass, int64_t rows);

/* Largest power of two up to 256 that divides the offset: what a product may assume of an operand. */
uint32_t gpu_alignment(size_t offset);

#endif
