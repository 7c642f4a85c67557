/* A sweep as somebody would type it, for commands that put one together: `wattq study`. */
#ifndef CLIENT_SWEEP_H
#define CLIENT_SWEEP_H

#include "client/cost.h"
#include "client/design.h"
#include "client/predict.h"

struct sweep_forecast {
    size_t runs;
    size_t networks; /* points of the grid */
    size_t canaries;
    size_t warmups;
    size_t blocks;
    size_t left_out; /* points that no network stands for */
    int64_t repeat;
    struct design_length length;
    struct cost cost;
    int64_t model; /* that foretold the cost; 0 = a calibration did */
    struct predict_grid grid;
};
/* words: what stands behind `wattq sweep`, "train" among them. By the newest model of the backend; where there
 * is none rates are taken by a calibration the first time (calibrated false), then used. Queues nothing; without a daemon what it alone knows is unknown. */
int sweep_foretell(struct sweep_forecast *out, const struct app *app, char *const *words, size_t n,
                   struct cost_rates *rates, bool *calibrated, struct err *e) MUST_USE;
/* Queue it: `wattq sweep words...`, with its talk. *sweep: its id; NULL = not wanted. */
int sweep_queue(const struct app *app, char *const *words, size_t n, int64_t *sweep,
                struct err *e) MUST_USE;

#endif
