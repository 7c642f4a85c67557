/* Networks of the study: shapes, the width search, parameter counts, and the 13 data sets' dimensions.
 * Pure arithmetic, any thread; daemon (sweep expansion), client (dry run) and trainer share it so that
 * "is this point on the grid" has one answer.
 * source: facts of the study: shapes and search as in the framework that ran its energy sweeps. */
#ifndef COMMON_NET_H
#define COMMON_NET_H

#include "common/err.h"

#define NET_DEPTH_MAX 64 /* dense layers, output included */
#define NET_WIDTH_MAX (INT64_C(1) << 30)

enum net_shape {
    NET_RECTANGLE,
    NET_TRAPEZOID,
    NET_EXPONENTIAL,
    NET_WIDE_FIRST_2X,
    NET_WIDE_FIRST_4X,
    NET_WIDE_FIRST_8X,
    NET_WIDE_FIRST_16X,
    NET_RECTANGLE_RESIDUAL,
    NET_SHAPES, /* how many named shapes there are */
    NET_FREE    /* widths given by the user */
};

/* One network: widths[0 .. depth-1] are the dense layers' outputs, the last is the network's output. */
struct net {
    enum net_shape shape;
    int depth;
    int64_t inputs; /* encoded inputs of the first layer */
    int64_t widths[NET_DEPTH_MAX];
    int64_t params; /* trainable parameters, biases counted */
};

const char *net_shape_name(enum net_shape s); /* "wide_first_4x"; "layers" for NET_FREE */
int net_shape_parse(const char *s, enum net_shape *out, struct err *e) MUST_USE;

/* Widths for first-layer width w. Rounds half to even, as the study's Python did. depth >= 2. */
void net_widths(struct net *n, enum net_shape shape, int depth, int64_t inputs, int64_t outputs,
                int64_t w);
int64_t net_params(const struct net *n); /* sum (fan_in + 1) * width */

/* Bisection over integer w in [1, 2^30] for the network nearest to `size` parameters.
 * 0; 1 = the nearest one is more than 20 % off (n holds it, so that a message can name its size);
 * WATTQ_E_USAGE for a depth or size out of range. */
int net_search(struct net *n, enum net_shape shape, int depth, int64_t inputs, int64_t outputs,
               int64_t size, struct err *e) MUST_USE;
/* "32,64,10": the last must equal outputs. */
int net_parse_layers(struct net *n, const char *layers, int64_t inputs, int64_t outputs,
                     struct err *e) MUST_USE;

enum net_loss { NET_LOSS_MSE, NET_LOSS_BCE, NET_LOSS_CCE };

/* The study's data sets. source: PMLB index and the study's encoding. */
struct net_dataset {
    const char *name;
    int64_t rows;
    int64_t raw_features;
    int64_t inputs; /* encoded */
    int64_t outputs;
    int64_t classes;    /* distinct values of a target encoded as classes (two of them are then
                         trained with MSE all the same); 0 for a min-max target */
    enum net_loss loss; /* as run in the energy sweeps */
};
extern const struct net_dataset net_datasets[];
extern const size_t net_dataset_count;
const struct net_dataset *net_dataset_find(const char *name); /* NULL if not one of the 13 */

#endif
