/* Inside of claims: statistics over configurations with their intervals (claims_stats.c), findings about
 * cost (claims_cost.c), about iso-loss lines and models (claims_loss.c), and their table (claims.c). */
#ifndef DAEMON_MODEL_CLAIMS_PRIVATE_H
#define DAEMON_MODEL_CLAIMS_PRIVATE_H

#include "daemon/model/claims.h"

#define CLAIMS_BOOTSTRAPS 1000

/* A figure with its interval; NAN where it could not be computed. */
struct claims_figure {
    double value;
    double lo;
    double hi;
    size_t n;                       /* configurations or groups behind it */
    double boot[CLAIMS_BOOTSTRAPS]; /* replicates, in order; NAN ones allowed */
};

/* Pairs for a slope of y on x within groups. */
struct claims_pairs {
    double *x;
    double *y;
    size_t *group;
    size_t n;
    size_t groups;
};
void claims_pairs_init(struct claims_pairs *p, size_t most);
void claims_pairs_fini(struct claims_pairs *p);
void claims_pairs_finip(struct claims_pairs *p);
/* Pairs that are not finite are not taken. */
void claims_pairs_add(struct claims_pairs *p, double x, double y, size_t group);

void claims_slope(struct claims_figure *out, const struct claims_pairs *p);
void claims_median(struct claims_figure *out, const double *v, size_t n);
/* a - b of two independent figures; exp() of a figure and its ends. */
void claims_minus(struct claims_figure *out, const struct claims_figure *a,
                  const struct claims_figure *b);
void claims_exp(struct claims_figure *f);
void claims_exp2(struct claims_figure *f);

/* ---- what the judges share ------------------------------------------------------------------------ */

void claims_untestable(struct claim *c, const char *fmt, ...) PRINTF(2, 3);
/* Fills value, lo, hi, n, the verdict and the sentence. */
void claims_decide(struct claim *c, const struct claims_figure *f, bool reproduced, const char *fmt,
                   ...) PRINTF(4, 5);
/* The set of a class. NULL, with the claim made untestable, when it has fewer than CLAIMS_LEAST points. */
const struct points_set *claims_set(struct claim *c, const struct claims_input *in,
                                    enum points_class k);

typedef void claims_judge_fn(struct claim *c, const struct claims_input *in);
claims_judge_fn claims_flat_then_rises, claims_rises, claims_crossover, claims_large_cpu,
    claims_large_gpu, claims_data_cpu, claims_data_gpu, claims_depth_cpu, claims_depth_gpu,
    claims_wide_shallow, claims_dip, claims_f_cpu, claims_f_gpu;
claims_judge_fn claims_tiny, claims_minima, claims_examples, claims_flops, claims_predictors,
    claims_model_cpu, claims_model_gpu;

#endif
