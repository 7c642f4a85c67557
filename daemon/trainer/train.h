/* One training run: what to train (plan), and the loop over epochs. One thread. Same plan, same binary, same
 * ISA: bit-equal losses. */
#ifndef TRAINER_TRAIN_H
#define TRAINER_TRAIN_H

#include "daemon/trainer/metrics.h"
#include "daemon/trainer/options.h"

struct train_plan {
    struct options opt;
    struct dataset data;
    struct net net;
    const struct backend_ops *ops;
};

/* Opens the data set, finds the network and the backend. On failure *p is empty.
 * 0; WATTQ_E_USAGE (an option makes no sense), WATTQ_E_INVALID (also: no width reaches the size) and what
 * dataset_open returns. */
int train_plan_open(struct train_plan *p, const struct options *o, struct err *e) MUST_USE;
void train_plan_close(struct train_plan *p);
/* The members of the "info" object and of --describe; b NULL: nothing is open. */
void train_plan_json(const struct train_plan *p, const struct backend *b, struct json *j);
/* --describe: the whole object, with the inputs of the working-set model, on one line. */
void train_describe(const struct train_plan *p, FILE *out);
/* --backends: those built in, as one line of JSON, and why one cannot be used here. */
void train_backends(FILE *out);

enum train_end {
    TRAIN_EPOCHS,
    TRAIN_AUTO, /* long enough */
    TRAIN_MAX_SECONDS,
    TRAIN_LOSS_TARGET,
    TRAIN_SIGNAL,
    TRAIN_NOT_FINITE
};

/* Final figures; a loss that no epoch gave is NaN. Durations in CLOCK_BOOTTIME ns. */
struct train_result {
    enum train_end end;
    int64_t epochs;        /* finished ones */
    int64_t epochs_warmup; /* of them, those that ended in phase warmup */
    int64_t rows_train_seen;
    int64_t warmup_ns; /* training and testing; its rows and time are in nothing below or above */
    int64_t train_ns;
    int64_t test_ns;
    int64_t test_ns_inside_train; /* of test_ns, what was not marked as a phase of its own */
    double train_loss;            /* mean over the last finished epoch, while the weights moved */
    double test_loss;             /* after that epoch */
    double test_accuracy;         /* NaN for a min-max target */
    double best_test_loss;
};

struct train_hooks {
    struct metrics *metrics;
    FILE *progress;        /* NULL: silent */
    int64_t start_boot_ns; /* when the program started: the setup phase began then */
    /* asked before every batch: true stops after the batch that is running; NULL: never */
    bool (*stop)(void);
};

/* 0 also when stopped; WATTQ_E_INVALID for a loss that is not finite; what the backend's open returns.
 * *r is filled in every case. */
int train_run(const struct train_plan *p, const struct train_hooks *h, struct train_result *r,
              struct err *e) MUST_USE;

#endif
