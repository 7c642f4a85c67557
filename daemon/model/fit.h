/* The energy model of one machine and backend, fitted to finished runs, and the ways it is judged.
 * Pure arithmetic: no I/O, any thread; memory is the caller's but for what fit_make() hands out.
 *
 * Time first, then power, because most of a node's energy is its idle power times time. All per training
 * step (one batch) of phase `train`, from the run's own averages:
 *
 *   seconds  = step + layer D + side(op O/threads, sum_L byte_L B_L)        side: + or max, see fit_form
 *   watts    = idle + active + (e_op O + sum_L e_L M_L) / seconds
 *   joules   = idle seconds + active seconds + e_op O + sum_L e_L M_L
 *
 *   D    layers, the output included
 *   O    operations of a step, F + G of opcount.h with the encoded width and the mean rows of a step
 *   B_L  bytes that one unit of level L of the memory hierarchy must move per step: what is replicated in
 *        full, what is distributed divided by the units (workset.h says which part is which)
 *   M_L  the same over all units
 * Which level a set lives in is decided by workset.h from the caches of the machine (caches.h) and the
 * threads used: f at the level of f, b at that of b, the inter-layer sets one by one where each lives.
 *
 * Every coefficient is >= 0 (nnls.h) and a byte from a further level costs no less than one from a nearer; the
 * residual is relative. Intervals are the 2.5 and 97.5 % quantiles
 * of a bootstrap that resamples whole points, so that repeats of one point stay together.
 *
 * What is the study's: working sets, placement, operation counts, the idea that energy follows where the
 * set lives. What is ours: this equation (the study's own is not in its published code), time before power,
 * and all judging. docs/model.md has the whole story. */
#ifndef DAEMON_MODEL_FIT_H
#define DAEMON_MODEL_FIT_H

#include "daemon/model/caches.h"
#include "daemon/model/study.h"

#define FIT_TERMS_MAX   (3 + CACHES_LEVELS_MAX)
#define FIT_FACTORS_MAX 13 /* 1/8 .. 8 in steps of sqrt 2 */
#define FIT_POINTS_MIN  12 /* fewer different networks than this are no fit */
#define FIT_GROUPS_MIN  3  /* different sizes, data sets, shapes to leave one out */

/* Columns of both parts. Level k of the hierarchy is FIT_LEVEL + k. */
enum fit_column {
    FIT_STEP,  /* time: s per step. power: W whenever it computes (`active`) */
    FIT_LAYER, /* time: s per layer and step. power: not used, 0 */
    FIT_OP,    /* time: s per operation of one thread. power: J per operation */
    FIT_LEVEL  /* time: s per byte of one unit. power: J per byte */
};

/* How computing and moving go together. Both are fitted and cross-validated; the better one is kept, and
 * where they are within 5 % of each other the sum, which has one minimum only. */
enum fit_form {
    FIT_SUM, /* one after the other */
    FIT_MAX, /* at once: the slower of the two decides, point by point */
    FIT_FORMS
};
enum fit_fold { FIT_BY_SIZE, FIT_BY_DATASET, FIT_BY_SHAPE, FIT_FOLDS };
enum fit_energy { FIT_NO_ENERGY, FIT_ENERGY };

/* One coefficient: `name` is its key in the database and JSON. lo, hi NAN where no bootstrap was made. */
struct fit_term {
    char name[24];     /* "step", "layer", "op", "byte_L2", "active" */
    char unit[24];     /* "s/step", "s/op", "s/B", "W", "J/op", "J/B" */
    char meaning[160]; /* its physical reading, with the reciprocal where people think in that */
    double value;
    double lo;
    double hi;
    bool used; /* false: no run of the fit has anything there, so nothing is said about it */
};

/* One of the two laws. Terms stand at their fit_column. */
struct fit_law {
    size_t n; /* columns: 3 + levels */
    struct fit_term term[FIT_TERMS_MAX];
    double cov[FIT_TERMS_MAX][FIT_TERMS_MAX]; /* of the coefficients, from the bootstrap */
};

/* Relative errors, predicted / measured - 1, over runs. All NAN with n = 0. */
struct fit_error {
    size_t n; /* runs */
    double mean_abs;
    double median_abs;
    double p90_abs;
    double within10; /* share of runs, 0 .. 1 */
    double within20;
    double mean_ratio; /* predicted / measured: 1 = no bias */
    double sd_log;     /* of ln(predicted / measured) about 0: what an interval is made of */
};

/* Errors of what was predicted; dynamic = power above idle. NAN with no energy. */
struct fit_errors {
    struct fit_error time;
    struct fit_error power; /* total, at the measured time */
    struct fit_error dynamic;
    struct fit_error energy; /* at the predicted time */
};

/* Repeats of one point among themselves: what no model can be better than. */
struct fit_noise {
    size_t points; /* with at least two repeats; 0 = not known, the others NAN */
    double time;   /* pooled relative standard deviation */
    double power;
    double energy;
};

struct fit_cv {
    size_t folds; /* groups left out in turn; 0 = fewer than FIT_GROUPS_MIN, nothing was done */
    struct fit_errors error;
};

/* A simpler way to the same figures, on the same folds. */
#define FIT_RIVALS(X)                                                                              \
    X(NO_CACHE, "no_cache", "one cost per byte, wherever it lives")                                \
    X(OPS, "ops", "operations only: the traditional approximation")                                \
    X(SPLINE, "spline", "a cubic spline in log P, with depth")                                     \
    X(POWER_MEASURED, "power_measured", "mean power x measured time")                              \
    X(POWER_PREDICTED, "power_predicted", "mean power x our predicted time")
enum fit_rival {
#define X(sym, name, text) FIT_RIVAL_##sym,
    FIT_RIVALS(X)
#undef X
        FIT_RIVAL_COUNT
};
const char *fit_rival_name(enum fit_rival r);
const char *fit_rival_text(enum fit_rival r);
const char *fit_fold_name(enum fit_fold f); /* "size", "dataset", "shape" */
const char *fit_form_name(enum fit_form f); /* "sum", "max" */

/* The placebo: every cache made `factor` times its size, error left out by size. If memory levels do what
 * the model says, the true sizes are near the minimum; if the curve is flat, these runs cannot tell. */
enum fit_verdict { FIT_NEAR_ONE, FIT_ELSEWHERE, FIT_FLAT, FIT_NOT_JUDGED };
struct fit_placebo {
    size_t n;
    double factor[FIT_FACTORS_MAX];
    double error[FIT_FACTORS_MAX]; /* mean |relative error| of time, left out by size */
    double best;                   /* factor of the minimum */
    enum fit_verdict verdict;
    char sentence[200];
};
const char *fit_verdict_name(enum fit_verdict v); /* "near 1", "elsewhere", "flat", "not judged" */

/* Is anything left in the residuals that the form does not have? One test per thing they may follow. */
enum fit_left {
    FIT_LEFT_SIZE,
    FIT_LEFT_DEPTH,
    FIT_LEFT_LEVEL,
    FIT_LEFT_DATASET,
    FIT_LEFT_SHAPE,
    FIT_LEFT_COUNT
};
struct fit_residual {
    const char *follows; /* "size", "depth", "level", "data set", "shape" */
    size_t groups;
    double share; /* of the residuals' variance that lies between groups, beyond chance */
    double sd;    /* relative size of that part */
    double p;     /* permutation, Holm over the tests; NAN with one group */
};
struct fit_residuals {
    struct fit_residual left[FIT_LEFT_COUNT];
    double
        misfit; /* sd of the points' residuals over what repeat noise explains; NAN = no repeats */
    bool clean;
    char sentence[400];
};

/* One run as the fit saw it. */
struct fit_run {
    int64_t run;
    size_t index;        /* into the runs given */
    bool time;           /* entered the time law */
    bool energy;         /* entered the power law */
    uint32_t excluded;   /* why not: STUDY_X() bits */
    const char *refused; /* a reason that is not one of those; NULL = none */
    double step_s;       /* measured */
    double step_j;
    double fit_s; /* by the law */
    double fit_j;
    double out_s; /* by the law that was fitted without this run's size; NAN = not done */
    double out_j;
};

struct fit {
    char machine[64];
    char backend[24];
    bool gpu;
    enum fit_energy has; /* FIT_NO_ENERGY: no measured joules, time only */
    enum study_quality
        quality; /* of the joules: STUDY_MEASURED or STUDY_MODELLED, else STUDY_NO_ENERGY */
    struct caches caches; /* in which the sets were placed */
    enum fit_form form;
    double form_cv[FIT_FORMS]; /* mean |error| of time left out by size: why that form */
    struct fit_law time;
    struct fit_law power;
    char no_energy[160]; /* why it is a model of time only; "" = it is not */
    double idle_w;       /* median over the runs */
    double test_ratio; /* seconds of a step of the test pass / of training; NAN = no run had one */
    double setup_s;    /* median */
    /* judged */
    size_t runs; /* given */
    size_t time_runs;
    size_t time_points; /* different networks */
    size_t energy_runs;
    size_t energy_points;
    struct fit_noise noise;
    struct fit_errors inside; /* of the runs fitted */
    struct fit_cv cv[FIT_FOLDS];
    struct fit_cv rival[FIT_RIVAL_COUNT][FIT_FOLDS];
    struct fit_placebo placebo;
    struct fit_residuals left_time;
    struct fit_residuals left_power; /* of energy at the measured time */
    size_t bootstraps;
    uint64_t seed;
    /* where it was looked at: beyond this a prediction says so */
    int64_t params_min, params_max;
    int depth_min, depth_max;
    struct fit_run *run; /* [runs]; NULL in a fit that was read back. fit_free() */
};

struct fit_options {
    const struct caches *caches; /* of the machine the runs ran on */
    size_t bootstraps;           /* 0 = no intervals; 500 is usual */
    uint64_t seed;
    /* May be NULL. share 0 .. 1; called from the thread of fit_make(). */
    void (*progress)(void *arg, const char *doing, double share);
    void *arg;
};

/* All of the above. Runs of one machine and backend; excluded ones are kept out, and listed.
 * 0; WATTQ_E_INVALID: a mixture, too few points, nothing to fit (the text says which, next what to do). */
int fit_make(struct fit *out, const struct study_run *runs, size_t n, const struct fit_options *o,
             struct err *e) MUST_USE;
void fit_free(struct fit *f);

/* What a network would cost. */
struct fit_network {
    const struct net *net;
    int64_t rows_train;
    int64_t rows_test; /* 0 = no test pass */
    int64_t batch;
    int threads;
    int64_t number_bytes;
    double epochs;
};
/* A figure with its 95 % interval: spread of the coefficients, and error left out by size. */
struct fit_figure {
    double value;
    double lo;
    double hi;
};
struct fit_prediction {
    double ops;                      /* of a training step */
    double bytes[CACHES_LEVELS_MAX]; /* of a training step, over all units, per level */
    int level[4];      /* index into fit.caches.level by enum workset_kind; -1 = fits nowhere */
    bool memory_bound; /* moving takes longer than computing */
    struct fit_figure step_s;
    struct fit_figure train_s; /* training alone */
    struct fit_figure run_s;   /* with the test passes and setup */
    struct fit_figure power_w; /* while training; NAN in a time-only model, as all joules */
    struct fit_figure train_j;
    struct fit_figure run_j;
    double datum_j;  /* train_j per training row */
    bool outside;    /* of what the model was fitted on */
    char where[120]; /* in words: which way, "" if not */
};
void fit_predict(const struct fit *f, const struct fit_network *net, struct fit_prediction *out);

#endif
