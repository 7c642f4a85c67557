/* One finished training run as the study sees it: which network on which data, how long, how much energy,
 * and whether it may enter a fit. What models, advice and reports are computed from; filled by
 * client/study_load.h from the daemon's answers, by tests from a law. Pure data; any thread.
 *
 * NAN = not known, in every double; an unknown is never 0. Joules are the machine's figure; idle power is
 * inside of them. "datum" = one training row in one epoch, "step" = one batch, both of phase `train`. */
#ifndef DAEMON_MODEL_STUDY_H
#define DAEMON_MODEL_STUDY_H

#include "common/net.h"

enum study_quality { STUDY_MEASURED, STUDY_MODELLED, STUDY_ESTIMATED, STUDY_NO_ENERGY };

/* What a run of a measured sweep is there for; parameter `role` of the run. */
enum study_role {
    STUDY_NETWORK, /* a point of the grid: no parameter `role` */
    STUDY_WARMUP,  /* "warmup": brings the machine to temperature, thrown away */
    STUDY_CANARY   /* "canary": the same network again and again, for the control chart */
};

/* Why a run does not enter a fit. A named, reversible step each: the run stays, with its reasons. */
#define STUDY_EXCLUSIONS(X)                                                                        \
    X(WARMUP, "warmup", "it warmed the machine up")                                                \
    X(CANARY, "canary", "it is a control run")                                                     \
    X(BLOCK, "block", "the control run of its block is out of bounds")                             \
    X(NO_TIME, "no_time", "the trainer told no training time")                                     \
    X(STANDIN_LOSS, "standin_loss", "its data set is a stand-in: its loss means nothing")          \
    X(SLOW, "filter_1", "it ran longer than 75,000 s (study's filter 1)")                          \
    X(ZERO, "filter_2", "its energy is zero (study's filter 2)")                                   \
    X(OUTLIER, "filter_3", "its time is more than 4 sd from its group's (study's filter 3)")       \
    X(COVERAGE, "coverage", "its meter did not cover the whole run")                               \
    X(OVERLAP, "overlap", "other runs shared its time")                                            \
    X(RESOLUTION, "resolution", "it was too short for the meter")                                  \
    X(STOPPED, "stopped", "it was stopped by a signal")                                            \
    X(DISTURBED, "disturbed", "something else used the machine")                                   \
    X(THROTTLED, "throttled", "a CPU or GPU was held back by heat or its supply")                  \
    X(ESTIMATE, "estimate", "its joules are an estimate")                                          \
    X(NO_ENERGY, "no_energy", "it has no energy figure")

enum study_exclusion {
#define X(sym, name, text) STUDY_X_##sym,
    STUDY_EXCLUSIONS(X)
#undef X
        STUDY_X_COUNT
};
#define STUDY_X(sym) (UINT32_C(1) << STUDY_X_##sym)
/* Bits that keep a run out of every fit, and those that keep only its joules out. */
#define STUDY_X_TIME                                                                               \
    (STUDY_X(WARMUP) | STUDY_X(CANARY) | STUDY_X(BLOCK) | STUDY_X(NO_TIME) | STUDY_X(SLOW) |       \
     STUDY_X(OUTLIER) | STUDY_X(OVERLAP) | STUDY_X(STOPPED) | STUDY_X(DISTURBED) |                 \
     STUDY_X(THROTTLED))
#define STUDY_X_JOULES                                                                             \
    (STUDY_X_TIME | STUDY_X(ZERO) | STUDY_X(COVERAGE) | STUDY_X(RESOLUTION) | STUDY_X(ESTIMATE) |  \
     STUDY_X(NO_ENERGY))

struct study_run {
    /* which */
    int64_t run;
    int64_t sweep; /* 0 = none */
    int64_t
        repeat; /* 1, 2, ..; 0 = not repeated. Repeats of one point share all but run, repeat, block */
    int64_t block; /* stretch between two canaries of its sweep, from 1; 0 = none */
    enum study_role role;
    char variant[24]; /* of an intervention; "" = none. What differs may be in no other field */
    char machine[64]; /* host it ran on */
    char backend[24]; /* "openblas f32"; of a control: "torch f32" */
    char isa[48];
    bool gpu;
    char hardware[96]; /* class whose runs are compared with each other: machine and backend; of the
                          study's own rows "cpu" or "gpu" */
    int64_t origin;    /* 0 = measured by this daemon, else the import it came with */
    /* what */
    char dataset[64];
    bool standin;
    char shape[24]; /* depth 2 is always "rectangle", as in the study */
    int64_t size;   /* parameters asked for; params where widths were given by hand */
    struct net net; /* inputs, depth, widths, params */
    int64_t rows_train;
    int64_t rows_test;
    int64_t raw_features;
    int64_t classes; /* 0 = a min-max target */
    int64_t batch;
    int threads;
    int64_t number_bytes; /* 4 or 8 */
    /* how long: seconds */
    int64_t started_utc_ns;
    int64_t first_batch_ns; /* boot clock; 0 = not known */
    double run_s;           /* the whole window */
    double setup_s;         /* before the first batch */
    double train_s;         /* in training steps, tests left out */
    double test_s;
    double epochs;    /* finished ones; those of a phase warmup are in no figure below */
    double rows_seen; /* training rows, those of an unfinished epoch included */
    bool stopped;     /* by a signal, before its last epoch */
    /* how much: joules */
    enum study_quality quality;
    double run_j; /* the whole window, idle included */
    double lo_j;  /* its counter bounds */
    double hi_j;
    double setup_j;   /* of the phase setup */
    double train_j;   /* of train_s */
    double test_j;    /* of test_s */
    double unknown_s; /* of the window, not covered by its meter */
    char flags[160];  /* words of the figure (daemon/energy/energy.h): "overlap bridged" */
    double idle_w;    /* what the machine drew before and after with no run on */
    double idle_sd_w;
    double gain;     /* stated accuracy of the meter, relative; NAN = none stated */
    double random_j; /* one standard deviation of run_j */
    char scope[48];  /* what the joules cover: "package + dram" */
    char meter[96];
    /* how well it learned */
    double test_loss;
    double best_loss;
    double accuracy;
    uint32_t excluded; /* STUDY_X() bits */
};

/* "filter_3", and the sentence. */
const char *study_exclusion_name(enum study_exclusion x);
const char *study_exclusion_text(enum study_exclusion x);
const char *study_quality_name(enum study_quality q); /* "measured", ..., "none" */

/* Derived; NAN where something in them is. */
double study_steps(const struct study_run *r);   /* batches of phase train: ceil per epoch */
double study_step_s(const struct study_run *r);  /* train_s per step */
double study_datum_s(const struct study_run *r); /* train_s per row seen */
double study_datum_j(const struct study_run *r); /* train_j per row seen */
double study_epoch_j(const struct study_run *r); /* train_j per epoch of rows_train rows */

#endif
