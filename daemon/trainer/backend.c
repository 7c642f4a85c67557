#include "daemon/trainer/backend.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "daemon/trainer/backend_list.h"

const struct backend_ops *const backends[] = {&backend_openblas, &backend_reference,
#ifdef WATTQ_HAVE_CUDA
                                              &backend_cuda,
#endif
                                              NULL};

static int unknown(const char *name, struct err *e)
{
    char all[120] = "auto";
    for (const struct backend_ops *const *b = backends; *b; b++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof(all) - used, ", %s", (*b)->name);
    }
    err_set(e, WATTQ_E_USAGE, "there is no backend '%.40s'", name);
    return err_next(e, "the backends are %s", all);
}

int backend_choose(const char *name, enum backend_precision precision,
                   const struct backend_ops **out, struct err *e)
{
    if (strcmp(name, "auto") == 0)
        name = precision == BACKEND_F64 ? "reference" : "openblas";
    for (const struct backend_ops *const *b = backends; *b; b++) {
        if (strcmp((*b)->name, name) != 0)
            continue;
        if (precision == BACKEND_F64 && !(*b)->f64) {
            err_set(e, WATTQ_E_USAGE, "the backend %s does not compute in f64", name);
            return err_next(e, "use --backend reference with --precision f64");
        }
        if (precision == BACKEND_TF32 && !(*b)->tf32) {
            err_set(e, WATTQ_E_USAGE, "the backend %s has no tf32: only a GPU has", name);
            return err_next(e, "use --backend cuda with --precision tf32");
        }
        *out = *b;
        return 0;
    }
    return unknown(name, e);
}

bool backend_usable(const struct backend_ops *ops, struct err *e)
{
    return !ops->probe || ops->probe(e) == 0;
}

void backend_enter_thread(void)
{
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* FTZ | DAZ */
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | (UINT64_C(1) << 24))); /* FZ */
#endif
}

struct backend_adam_step backend_adam_at(const struct backend_spec *spec, int64_t t)
{
    double root = sqrt(1 - pow(BACKEND_BETA2, (double)t));
    return (struct backend_adam_step){
        .c1 = 1 - BACKEND_BETA1,
        .c2 = 1 - BACKEND_BETA2,
        .alpha = spec->lr * root / (1 - pow(BACKEND_BETA1, (double)t)),
        .eps = spec->adam == BACKEND_ADAM_TORCH ? spec->eps * root : spec->eps,
    };
}
