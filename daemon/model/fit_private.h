/* Inside daemon/model/fit*.c: runs as equations, and the steps of a fit. */
#ifndef DAEMON_MODEL_FIT_PRIVATE_H
#define DAEMON_MODEL_FIT_PRIVATE_H

#include "daemon/model/fit.h"

/* What one training step does. */
struct fit_features {
    double layers;
    double ops;                      /* of all threads */
    double ops_thread;               /* of one */
    double unit[CACHES_LEVELS_MAX];  /* bytes that one unit of the level moves */
    double moved[CACHES_LEVELS_MAX]; /* bytes over all units */
    int home[4];                     /* level of l, f, b, d; -1 = fits nowhere */
};

/* Runs of the same network on the same data with the same threads: repeats of one point. */
struct fit_point {
    const struct study_run *like; /* one of them */
    size_t group[FIT_FOLDS];
    double params;
    /* the time law's equation of all its repeats together: sum 1, 1/t, 1/t^2 of the time runs */
    double n;
    double w;
    double ww;
};

/* A run that enters the time law. */
struct fit_row {
    size_t index; /* into the runs given */
    size_t point;
    double step_s;
    double power_w; /* of phase train; NAN = does not enter the power law */
    double idle_w;
};

struct fit_data {
    const struct study_run *runs;
    size_t nruns;
    struct fit_point *point;
    size_t npoints;
    struct fit_row *row;
    size_t nrows;
    size_t energy_rows;
    size_t groups[FIT_FOLDS];
    int levels;
    bool has_energy;
    char no_energy[160];  /* why not */
    const char **refused; /* [nruns] a reason beside the exclusion bits; NULL = none */
};

/* 0, or WATTQ_E_INVALID: nothing that could be fitted. */
int fit_data_make(struct fit_data *d, const struct study_run *runs, size_t n, struct err *e);
void fit_data_free(struct fit_data *d);

/* caches: of the machine, every cache `factor` times its size. */
void fit_features_make(struct fit_features *out, const struct fit_network *net, bool gpu,
                       const struct caches *caches, double factor);
struct fit_features *fit_features_all(const struct fit_data *d, const struct caches *caches,
                                      bool gpu, double factor);
/* One level that all bytes are in. */
struct fit_features *fit_features_merged(const struct fit_data *d, const struct fit_features *f);

/* ---- the laws; x and c have 3 + levels columns, at fit_column ------------------------------------ */

/* A byte from further away is never cheaper: what is solved for is not the cost of a level but what each level
 * adds to the one before it, >= 0. fit_steps: columns of an equation (bytes of that level and all beyond);
 * fit_sum_steps: the solution back into costs. A level nobody lives in costs what the one before it does. */
void fit_steps(double *row, const double *bytes, int levels);
void fit_sum_steps(double *c, int levels);

struct fit_time {
    enum fit_form form;
    double c[FIT_TERMS_MAX];
    double loss; /* mean square of the relative residual, over the weights */
};
double fit_time_side(const struct fit_time *t, const struct fit_features *f, int levels,
                     bool *memory);
double fit_time_of(const struct fit_time *t, const struct fit_features *f, int levels);
/* mult[point]: how often each point counts; 0 = left out. start: an earlier solution, or NULL.
 * columns: bits of fit_column that may be used (a rival may use fewer). quick: start only, no search for
 * better starting points. */
void fit_time_solve(struct fit_time *out, enum fit_form form, const struct fit_data *d,
                    const struct fit_features *f, const double *mult, const struct fit_time *start,
                    uint32_t columns, bool quick);
void fit_power_solve(double *c, const struct fit_data *d, const struct fit_features *f,
                     const double *mult, uint32_t columns);
/* Joules of a step above idle, for its time. */
double fit_power_of(const double *c, const struct fit_features *f, int levels, double step_s);

/* ---- judging --------------------------------------------------------------------------------------- */

/* What is predicted for a row. */
struct fit_guess {
    double step_s;
    double power_w; /* at the measured time */
    double step_j;  /* at the predicted time */
};
/* A way to predict: learns from points with mult > 0, then guesses any row. */
struct fit_method {
    void (*learn)(struct fit_method *m, const struct fit_data *d, const double *mult);
    void (*guess)(const struct fit_method *m, const struct fit_data *d, const struct fit_row *r,
                  struct fit_guess *out);
    const struct fit_features *f;
    enum fit_form form;
    uint32_t columns;
    bool quick;
    bool time_only;
    const struct fit_time *start;
    /* learnt */
    struct fit_time time;
    double power[FIT_TERMS_MAX];
    double mean_w;
    struct fit_spline *spline; /* two: time, energy */
};
void fit_method_ours(struct fit_method *m, const struct fit_features *f, enum fit_form form);
/* guess: [nrows] or NULL. */
void fit_errors_make(struct fit_errors *out, const struct fit_data *d,
                     const struct fit_guess *guess);
void fit_error_make(struct fit_error *out, double *ratio, size_t n); /* reorders ratio */
void fit_noise_make(struct fit_noise *out, const struct fit_data *d);
/* Leaves each group out in turn; out[nrows] gets what was guessed for rows while they were left out. */
void fit_cross(struct fit_method *m, const struct fit_data *d, enum fit_fold fold,
               struct fit_cv *cv, struct fit_guess *out);
void fit_rivals_make(struct fit *f, const struct fit_data *d, const struct fit_features *features,
                     const struct fit_time *start);
void fit_placebo_make(struct fit_placebo *out, const struct fit_data *d, const struct fit *f,
                      const struct fit_time *start, const struct fit_options *o);
/* ln_ratio[npoints]: ln(predicted / measured), NAN = not there. noise: relative sd of a repeat; what: "time". */
void fit_residuals_make(struct fit_residuals *out, const struct fit_data *d,
                        const struct fit_features *f, const double *ln_ratio, double noise,
                        const char *what, uint64_t seed);

uint64_t fit_random(uint64_t *state); /* splitmix64 */

#endif
