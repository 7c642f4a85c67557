/* Time and joules of training before it is done: a network of the trainer's arguments, priced by a stored
 * model (daemon/model/fit.h says how). All of it is a forecast, and is printed as one. */
#ifndef CLIENT_PREDICT_H
#define CLIENT_PREDICT_H

#include "client/model_load.h"
#include "common/spec.h"

/* What would be trained. */
struct predict_net {
    char dataset[64];
    char shape[24];
    char backend[24]; /* "openblas f32"; "" = whatever the model is of */
    int64_t size;     /* parameters asked for; 0 = widths were given */
    struct net net;
    int64_t rows_train;
    int64_t rows_test;
    int64_t batch;
    int threads;
    int64_t number_bytes;
    double epochs; /* NAN = as many as min_seconds of training take */
    double min_seconds;
    double min_epochs;
    double max_seconds; /* 0 or INFINITY = no limit */
};
/* Asks wattq-train itself (--describe): argv are its arguments. One of the study's data sets need not be
 * here. 0; > 0: its exit code, after it has said on stderr what is wrong. */
int predict_describe(struct predict_net *out, const char *program, char *const *argv, size_t n,
                     struct err *e) MUST_USE;

struct predict {
    double epochs; /* those priced */
    struct fit_prediction p;
};
void predict_one(struct predict *out, const struct fit *f, const struct predict_net *n);

/* A list of runs as a sweep of networks expands to, on the study's data sets. Bounds are the sums of the
 * runs' bounds: the errors of one model do not cancel over its networks. */
struct predict_grid {
    size_t runs;    /* priced */
    size_t unknown; /* not: another data set, or not a network */
    size_t outside; /* of the priced ones: beyond what the model was fitted on */
    struct fit_figure run_s;
    struct fit_figure run_j; /* NAN in a model of time only */
    double longest_s;
};
void predict_grid(struct predict_grid *out, const struct fit *f, const struct spec *specs,
                  size_t n);

#endif
