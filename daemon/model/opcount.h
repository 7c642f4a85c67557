/* Arithmetic of one training step, counted as the study counts it: one multiply-accumulate = one operation.
 * Pure arithmetic, any thread.
 *
 * With widths u_0 .. u_D (u_0 = inputs), batch B and P parameters:
 *   F = B sum_{i=0}^{D-1} (u_i u_{i+1} + u_{i+1})                       one forward pass
 *   G = B sum_{i=0}^{D-1} (2 u_{i+1} + u_i u_{i+1} + [i>0] u_i u_{i+1}) + P (1 + B)
 *       one backward pass and update: derivative of the activation and of the bias, the weights'
 *       gradient, the gradient handed to the layer before (there is none before the first), the sum over
 *       the batch, one update per parameter
 *   epoch = n_tb (F + G) + n_eb F with n_tb = ceil(rows_train/B), n_eb = ceil(rows_test/B)
 *   datum = epoch / (n_tb B)
 * source: BUTTER-E analysis, notebooks: number of operations. The study took u_0 = the raw features of a
 * data set also where it trained on encoded ones (connect_4: 42 for 126), and P of the encoded net. */
#ifndef DAEMON_MODEL_OPCOUNT_H
#define DAEMON_MODEL_OPCOUNT_H

#include "common/net.h"

struct opcount {
    double forward;  /* F, of a whole batch */
    double backward; /* G, of a whole batch */
    double epoch;    /* the test pass is inside, as in the study; NAN for unknown rows */
    double datum;    /* per training row of whole batches */
};

struct opcount_case {
    const struct net *net; /* params is not used, it is counted anew */
    bool raw;              /* u_0 = raw_features, as the study did, instead of net->inputs */
    int64_t raw_features;
    int64_t rows_train; /* 0 = unknown */
    int64_t rows_test;  /* 0 = no test pass */
    double batch;       /* rows of a step; the mean of a run where the last one is short */
};

void opcount_compute(struct opcount *out, const struct opcount_case *c);

#endif
