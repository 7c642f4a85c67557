/* Idle power of channels, and meters fitted to better ones: rows of `baseline` and `calibration`. Both are
 * only ever added to: a figure names the row it used. Writers run on the storage thread inside a
 * transaction; readers on any connection. What the rows mean: energy/baseline.h, energy/calibrate.h. */
#ifndef DAEMON_STORE_BASELINES_H
#define DAEMON_STORE_BASELINES_H

#include "daemon/energy/baseline.h"
#include "daemon/store/store.h"

#define BASELINES_ALL INT64_MIN /* of every channel */

/* Adds a row; b->id is ignored, *id gets the new one. */
int baselines_put(struct store *s, const struct baseline *b, int64_t *id, struct err *e) MUST_USE;
/* 0; 1 = there is none. */
int baselines_of_run(struct store *s, int64_t channel, int64_t run, struct baseline *out,
                     struct err *e) MUST_USE;
int baselines_in_force(struct store *s, int64_t channel, int64_t utc_ns, struct baseline *out,
                       struct err *e) MUST_USE;
int baselines_get(struct store *s, int64_t id, struct baseline *out, struct err *e) MUST_USE;
/* Newest first, brackets among them. fn: 0 to go on, else it is returned. */
int baselines_list(struct store *s, int64_t channel, int64_t limit,
                   int (*fn)(void *arg, const struct baseline *b), void *arg,
                   struct err *e) MUST_USE;

/* One meter fitted to a better one: true power = (reading - offset_uw) (1 + gain_ppm / 1e6). */
struct calibration {
    int64_t id;
    int64_t channel, against;
    int64_t boot, t0_ns, t1_ns;
    int64_t n; /* windows compared */
    int64_t gain_ppm;
    int64_t offset_uw;
    int64_t residual_uw;  /* one standard deviation */
    int64_t lo_uw, hi_uw; /* range of the meter's own power in which they were compared */
    int64_t actor_uid;    /* INT64_MIN = the daemon itself */
    int64_t created_utc_ns;
    char serial[64]; /* of the better meter; "" = not told */
};
int calibrations_put(struct store *s, const struct calibration *c, int64_t *id,
                     struct err *e) MUST_USE;
/* The channel's history says so, too: a note of kind 'calibrated'. */
int calibrations_note(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                      const char *text, struct err *e) MUST_USE;
int calibrations_newest(struct store *s, int64_t channel, struct calibration *out,
                        struct err *e) MUST_USE; /* 0; 1 = none */
int calibrations_list(struct store *s, int64_t channel, int64_t limit,
                      int (*fn)(void *arg, const struct calibration *c), void *arg,
                      struct err *e) MUST_USE;

#endif
