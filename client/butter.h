/* Runs of networks in the files of the published study (BUTTER-E): the same columns in the same order and
 * units, so that its notebooks can read them. docs/exchange.md says what stands in each. */
#ifndef CLIENT_BUTTER_H
#define CLIENT_BUTTER_H

#include "client/localdb.h"
#include "client/study_load.h"

struct butter_result {
    size_t runs;      /* written */
    size_t design;    /* warm-up and control runs, left out */
    size_t no_joules; /* written without energy: an estimate, or none */
};
/* Both files into the directory dir, which is there. db has the tables run, run_param and sweep. */
int butter_write(struct localdb *db, const struct study *s, const char *dir,
                 struct butter_result *out, struct err *e) MUST_USE;

/* What identifies the experiment of a run, whoever measured it: an integer below 2^48 and a UUID of the
 * same hash over data set, shape, depth, size, batch size, learning rate and optimiser. */
int64_t butter_experiment(const struct study_run *r, double learning_rate, char uuid[37]);

#endif
