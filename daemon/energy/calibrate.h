/* One meter fitted to a better one over stored samples: true power = (reading - offset) (1 + gain).
 *
 * Both are integrated over the same windows, each at least a second and four periods of the slower one; a
 * meter's windows are shifted by its lag. Slope by Theil-Sen (median of the slopes of all pairs: a window in
 * which one of them missed something does not move it), intercept by the median of what is left; residual =
 * 1.4826 x median distance from the line. A fit needs CALIBRATE_LEAST windows and power that varied by 5 %.
 * A calibration never changes a stored joule: it is applied where it is asked for, inside the range of
 * power in which the meters were compared; outside of it the answer is unknown and says so.
 * Thread: whichever owns the connection. At most CALIBRATE_MOST windows are read.
 * source: Theil 1950, Sen 1968. */
#ifndef DAEMON_ENERGY_CALIBRATE_H
#define DAEMON_ENERGY_CALIBRATE_H

#include "daemon/energy/energy.h"
#include "daemon/store/baselines.h"

#define CALIBRATE_LEAST 10
#define CALIBRATE_MOST  300

/* Pure: n pairs of mean power, W. Fills n, gain_ppm, offset_uw, residual_uw, lo_uw, hi_uw. WATTQ_E_CONFLICT
 * with the reason when no line can be drawn. Reorders nothing. */
int calibrate_fit(const double *meter_w, const double *better_w, size_t n, struct calibration *out,
                  struct err *e) MUST_USE;

/* From samples. out gets channel, against, boot, t0, t1 and the fit. */
int calibrate_over(struct store *s, const struct channel_row *meter,
                   const struct channel_row *better, const struct energy_window *w,
                   struct calibration *out, struct err *e) MUST_USE;

/* Writer, inside a transaction: the estimate fitted to the CPU's own meter, once, where both have ten minutes of
 * samples with variation. A machine with several packages has no single meter for it and is left alone. The row
 * has no actor; the channel gets a note of kind `calibrated`. 1 = stored, 0 = nothing to do, < 0. The estimate
 * stays an estimate: its figures state the error from then on (calibrate_gain_ppm). */
int calibrate_estimate(struct store *s, int64_t now_ns, struct err *e) MUST_USE;
/* Pure: how far off the fitted meter was, ppm of its reading in the middle of the range; at least 1. */
int64_t calibrate_gain_ppm(const struct calibration *c);

/* Pure: a figure of that meter as the better one would have shown it. 0; 1 = further outside the range of
 * power in which it was compared than a fiftieth of it (what an edge may be off by), or not known. residual_uj: one standard deviation of one window of the fit, as if
 * the same all along. */
int calibrate_apply(const struct calibration *c, const struct energy_figure *f, int64_t *energy_uj,
                    int64_t *residual_uj);

#endif
