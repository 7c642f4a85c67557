/* The backends, one per file. */
#ifndef TRAINER_BACKEND_LIST_H
#define TRAINER_BACKEND_LIST_H

#include "daemon/trainer/backend.h"

extern const struct backend_ops backend_reference; /* plain loops: the definition of correct */
extern const struct backend_ops backend_openblas;  /* serial OpenBLAS and fused passes */
#ifdef WATTQ_HAVE_CUDA
extern const struct backend_ops backend_cuda; /* where a CUDA compiler was found at build time */
#endif

#endif
