/* The reference backend: backend_reference.inc in float and in double. */
#include "daemon/trainer/backend_list.h"
#include "daemon/trainer/workspace.h"

#include <math.h>
#include <stdlib.h>

struct reference {
    struct backend base;
    struct workspace ws;
    void *input; /* the batch's rows in the precision we compute in */
    size_t input_bytes;
};

#define REAL    float
#define NAME(x) x##_f32
#define EXP     expf
#define LOG     logf
#define SQRT    sqrtf
#include "daemon/trainer/backend_reference.inc"
#undef REAL
#undef NAME
#undef EXP
#undef LOG
#undef SQRT

#define REAL    double
#define NAME(x) x##_f64
#define EXP     exp
#define LOG     log
#define SQRT    sqrt
#include "daemon/trainer/backend_reference.inc"

static struct reference *self(struct backend *b)
{
    return container_of(b, struct reference, base);
}

static void reference_close(struct backend *b)
{
    struct reference *r = self(b);
    workspace_close(&r->ws);
    network_close(&r->base.network);
    network_unmap(r->input, r->input_bytes);
    free(r);
}

static int open_parts(struct reference *r, struct err *e)
{
    const struct backend_spec *spec = &r->base.spec;
    size_t scalar = spec->precision == BACKEND_F64 ? sizeof(double) : sizeof(float);
    int rc = network_open(&r->base.network, &spec->net, scalar, e);
    if (rc == 0)
        rc = workspace_open(&r->ws, &r->base.network, spec->batch, e);
    if (rc < 0)
        return rc;
    r->input_bytes = (size_t)(spec->batch * spec->net.inputs) * scalar;
    r->input = network_map(r->input_bytes);
    if (!r->input)
        return err_set(e, WATTQ_E_LIMIT, "no memory for a batch of %lld rows",
                       (long long)spec->batch);
    network_randomize(&r->base.network, spec->init, spec->seed);
    return 0;
}

static int reference_open(struct backend **out, const struct backend_spec *spec, struct err *e)
{
    struct reference *r = base_alloc(sizeof(*r));
    r->base.ops = &backend_reference;
    r->base.spec = *spec;
    int rc = open_parts(r, e);
    if (rc < 0)
        reference_close(&r->base);
    else
        *out = &r->base;
    return rc;
}

static void reference_isa(char *out, size_t cap)
{
    base_strcpy(out, cap, "scalar");
}

static void reference_gradient(struct backend *b, int64_t row, int64_t rows,
                               struct backend_score *s)
{
    *s = (struct backend_score){0};
    if (b->spec.precision == BACKEND_F64)
        gradient_f64(self(b), row, rows, s);
    else
        gradient_f32(self(b), row, rows, s);
}

static void reference_step(struct backend *b, int64_t row, int64_t rows, struct backend_score *s)
{
    reference_gradient(b, row, rows, s);
    if (b->spec.precision == BACKEND_F64)
        adam_f64(self(b));
    else
        adam_f32(self(b));
}

static void reference_evaluate(struct backend *b, int64_t row, int64_t rows,
                               struct backend_score *s)
{
    struct reference *r = self(b);
    for (int64_t end = row + rows; row < end; row += b->spec.batch) {
        int64_t n = end - row < b->spec.batch ? end - row : b->spec.batch;
        if (b->spec.precision == BACKEND_F64) {
            forward_f64(r, row, n);
            head_f64(r, row, n, false, s);
        } else {
            forward_f32(r, row, n);
            head_f32(r, row, n, false, s);
        }
    }
}

const struct backend_ops backend_reference = {
    .name = "reference",
    .summary = "plain loops, the definition of correct; f32 or f64; slow",
    .f64 = true,
    .open = reference_open,
    .isa = reference_isa,
    .step = reference_step,
    .gradient = reference_gradient,
    .evaluate = reference_evaluate,
    .close = reference_close,
};
